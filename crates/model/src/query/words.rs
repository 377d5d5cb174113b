//! Words of a message.

use super::tree::Text;

/// A text condition made ready to be held against many messages.
#[derive(Debug, Clone)]
pub struct TextMatcher {}

impl TextMatcher {
    pub fn new(_text: &Text) -> Self {
        Self {}
    }

    pub fn matches(&self, _message: &str) -> bool {
        true
    }
}

/// Calls `each` with every word of a message, folded.
pub fn tokens(message: &str, mut each: impl FnMut(&[u8])) {
    each(message.as_bytes());
}

impl Text {
    /// Folded words that every message which matches has among its words; an index may narrow by them.
    pub fn required_words(&self) -> Vec<String> {
        Vec::new()
    }
}
