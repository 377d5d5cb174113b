//! The steps over the columns of a batch: what they do to most records takes a look at message and level, and at what
//! begins like logfmt, a parse.

use model::Batch;

use crate::{Transforms, json, level, trace};

impl Transforms {
    /// Does to the rows of a batch what [`Transforms::apply`] does to records, where it keeps them and changes their
    /// level at most. Returns the other rows, rising: they are as they were, and each is to be applied as a record.
    pub fn apply_to_columns(&self, batch: &mut Batch) -> Vec<usize> {
        if !self.drop.is_empty() {
            return (0..batch.len()).collect();
        }
        let has_ids = self.settings.find_trace && batch.attributes.names().any(trace::is_source);
        let Batch { severities, messages, trace_ids, span_ids, .. } = batch;
        let columns = severities.iter_mut().zip(messages.iter()).zip(trace_ids.iter().zip(span_ids.iter()));
        let mut others = Vec::new();
        for (row, ((severity, message), (trace, span))) in columns.enumerate() {
            // What begins like JSON nearly always is; much begins like logfmt.
            let spells_fields =
                self.parser(message).is_some_and(|parse| json::looks_like(message) || parse(message).is_some());
            if spells_fields || has_ids && (trace.is_none() || span.is_none()) {
                others.push(row);
            } else if self.settings.guess_level && severity.is_none() {
                *severity = level::of_message(message);
            }
        }
        others
    }
}
