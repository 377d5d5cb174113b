//! The operator's rules of what is not worth storing: queries in the search syntax.

use model::Record;
use model::query::{Evaluator, ParseError, parse};

/// One rule, ready to be held against records.
#[derive(Debug)]
pub(crate) struct DropRule {
    text: String,
    evaluator: Evaluator,
}

/// A rule that can't be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    #[error("drop rule `{rule}`: {source} (at character {})", source.position)]
    Parse { rule: String, source: ParseError },
    /// What it matches would depend on when it is applied.
    #[error("drop rule `{rule}`: relative times are not allowed here, write an absolute one")]
    RelativeTime { rule: String },
    #[error("drop rule `{rule}` matches every record; remove the sender instead")]
    MatchesAll { rule: String },
}

impl DropRule {
    pub(crate) fn new(text: &str) -> Result<Self, RuleError> {
        // Two times, nanoseconds since the Unix epoch: a rule that reads differently at them has a relative one.
        const SOON: i64 = 1_700_000_000_000_000_000;
        const LATER: i64 = SOON + 86_400_000_000_000;
        let rule = || text.to_owned();
        let query = parse(text, SOON).map_err(|source| RuleError::Parse { rule: rule(), source })?;
        if query == model::query::Query::All {
            return Err(RuleError::MatchesAll { rule: rule() });
        }
        if parse(text, LATER).ok().as_ref() != Some(&query) {
            return Err(RuleError::RelativeTime { rule: rule() });
        }
        Ok(Self { text: rule(), evaluator: Evaluator::new(&query) })
    }

    pub(crate) fn matches(&self, record: &Record<'_>) -> bool {
        self.evaluator.matches(record)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}
