//! `timestamptz`: microseconds since 2000.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

/// From the Unix epoch to 2000-01-01T00:00:00Z, microseconds.
const EPOCH: i64 = 946_684_800_000_000;

/// A time in microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Micros(pub(crate) i64);

impl Micros {
    /// Splits nanoseconds since the Unix epoch into floored microseconds and the nanoseconds that are left.
    pub(crate) fn of_nanos(nanos: i64) -> (Self, i16) {
        (Self(nanos.div_euclid(1_000)), nanos.rem_euclid(1_000) as i16)
    }

    /// The other way around; None beyond what 64 bits hold.
    pub(crate) fn to_nanos(self, nanos: i16) -> Option<i64> {
        i64::try_from(i128::from(self.0) * 1_000 + i128::from(nanos)).ok()
    }

    pub(crate) fn since_2000(self) -> i64 {
        self.0.saturating_sub(EPOCH)
    }
}

impl ToSql for Micros {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(self.since_2000());
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Micros {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?).saturating_add(EPOCH)))
    }

    accepts!(TIMESTAMPTZ);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_nanoseconds() {
        for nanos in [0, -1, 1, 999, 1_000, -1_000, i64::MIN, i64::MAX, 1_768_521_570_123_456_789] {
            let (micros, rest) = Micros::of_nanos(nanos);
            assert!((0..1_000).contains(&rest));
            assert_eq!(micros.to_nanos(rest), Some(nanos));
        }
        assert_eq!(Micros(EPOCH).since_2000(), 0);
    }
}
