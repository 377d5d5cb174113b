//! Tokens that clients hand back, and whatever else they send in their place.

#[path = "../../crates/server/src/query/cursor.rs"]
mod token;

use token::{Cursor, open, seal};

/// Once as it is, once behind the checksum, which no input would pass by chance.
pub fn cursor(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Cursor::decode("p", text);
    let sealed = seal("p", data);
    assert_eq!(open("p", &sealed).as_deref(), Some(data));
    assert_eq!(open("q", &sealed), None, "a token of one project opens no other");
    if let Ok(cursor) = Cursor::decode("p", &sealed) {
        let again = Cursor::decode("p", &cursor.encode("p")).expect("what was read prints");
        assert_eq!(again, cursor);
    }
}
