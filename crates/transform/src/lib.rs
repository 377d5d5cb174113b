//! Pure functions on records, between the queue and the store.
//!
//! [`Transforms::apply`] looks at one record and tells what becomes of it. The steps, in order:
//!
//! - [`json`], [`logfmt`]: a message that is a JSON object or logfmt becomes attributes; the message stays as sent;
//! - [`level`]: a record without a level gets the one that stands plainly in its message;
//! - [`trace`]: trace and span ids are taken from attributes;
//! - [`drop`]: what the operator's rules match is dropped.
//!
//! [`Transforms::apply_to_columns`] does the same to the records of a batch at once, and leaves to the former what takes
//! more than a look at a column ([`columns`]).
//!
//! Every step is deterministic, and applying the steps twice gives what applying them once gives: the live tail, a
//! replay and a retried batch then agree. Times are left alone. Nothing that a record has is overwritten.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod bounds;
mod columns;
mod drop;
mod json;
mod level;
mod logfmt;
mod merge;
mod trace;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use model::{Fields, Record};
use serde::{Deserialize, Serialize};

use crate::drop::DropRule;
pub use crate::drop::RuleError;

/// What the operator wants done to records. Everything is on and nothing is dropped by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// JSON messages become attributes.
    pub parse_json: bool,
    /// Logfmt messages become attributes.
    pub parse_logfmt: bool,
    /// A missing level is taken from the message.
    pub guess_level: bool,
    /// Missing trace and span ids are taken from attributes.
    pub find_trace: bool,
    /// Queries in the search syntax, without relative times; a record that one of them matches is dropped.
    pub drop: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { parse_json: true, parse_logfmt: true, guess_level: true, find_trace: true, drop: Vec::new() }
    }
}

/// The steps, ready to be applied, with the revision of the settings that they were made from.
#[derive(Debug)]
pub struct Transforms {
    revision: u64,
    settings: Settings,
    drop: Vec<DropRule>,
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on, perhaps changed.
    Keep,
    /// A rule of the operator wants it gone; names the rule.
    Drop(String),
    /// It can't be stored and becomes a dead letter; says why.
    Reject(String),
}

impl Transforms {
    /// Makes the settings ready. `revision` rises with each change of the settings.
    ///
    /// # Errors
    /// A rule that can't be read as a query.
    pub fn new(settings: Settings, revision: u64) -> Result<Self, RuleError> {
        let drop = settings.drop.iter().map(|text| DropRule::new(text)).collect::<Result<_, _>>()?;
        Ok(Self { revision, settings, drop })
    }

    /// The revision of the settings: a node that has an older one holds records back from the live tail.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Changes the record by every step and tells what becomes of it.
    pub fn apply(&self, record: &mut Record<'_>) -> Outcome {
        let parsed = self.parse_message(record);
        if self.settings.guess_level && record.severity.is_none() {
            record.severity = level::of_fields(&parsed).or_else(|| level::of_message(&record.message));
        }
        merge::add_missing(&mut record.attributes, parsed);
        if self.settings.find_trace {
            trace::find(record);
        }
        match self.drop.iter().find(|rule| rule.matches(record)) {
            Some(rule) => Outcome::Drop(format!("rule: {}", rule.text())),
            None => Outcome::Keep,
        }
    }

    /// The fields that the message spells out; none for most messages.
    fn parse_message<'a>(&self, record: &Record<'a>) -> Fields<'a> {
        match &record.message {
            Cow::Borrowed(text) => self.parse(text),
            Cow::Owned(text) => {
                self.parse(text).into_iter().map(|(n, v)| (Cow::Owned(n.into_owned()), v.into_owned())).collect()
            }
        }
    }

    fn parse<'t>(&self, text: &'t str) -> Fields<'t> {
        self.parser(text).and_then(|parse| parse(text)).unwrap_or_default()
    }

    /// How a message is read that looks as if it spelled out fields.
    fn parser(&self, text: &str) -> Option<Parser> {
        if self.settings.parse_json && json::looks_like(text) {
            Some(json::parse)
        } else if self.settings.parse_logfmt && logfmt::looks_like(text) {
            Some(logfmt::parse)
        } else {
            None
        }
    }
}

type Parser = for<'t> fn(&'t str) -> Option<Fields<'t>>;

impl Default for Transforms {
    /// The default settings at revision 0.
    fn default() -> Self {
        Self { revision: 0, settings: Settings::default(), drop: Vec::new() }
    }
}
