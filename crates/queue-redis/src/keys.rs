//! The names of the keys in Redis. All begin with the prefix; [`crate`] says what each holds.

use model::position::Partition;

#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(crate) fn meta(&self) -> String {
        format!("{}:meta", self.prefix)
    }

    pub(crate) fn stream(&self, partition: Partition) -> String {
        format!("{}:{partition}", self.prefix)
    }

    pub(crate) fn marks(&self, partition: Partition) -> String {
        format!("{}:marks:{partition}", self.prefix)
    }

    pub(crate) fn groups(&self) -> String {
        format!("{}:groups", self.prefix)
    }

    pub(crate) fn committed(&self) -> String {
        format!("{}:committed", self.prefix)
    }

    pub(crate) fn members(&self, group: &str) -> String {
        format!("{}:members:{group}", self.prefix)
    }

    pub(crate) fn leases(&self, group: &str) -> String {
        format!("{}:leases:{group}", self.prefix)
    }
}
