//! Whole lines of a file from an offset on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// A piece of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// Where it ends in the file; where it begins when there was nothing.
    pub(super) end: u64,
}

/// Reads whole lines from `start` on, at most `bytes_max`; up to `end` exactly if it is given and still there. A line
/// longer than that is cut. With `is_end` a last line needs no line break.
pub(super) fn read(file: &File, start: u64, end: Option<u64>, is_end: bool, bytes_max: usize) -> io::Result<Chunk> {
    let wanted =
        end.and_then(|end| usize::try_from(end.checked_sub(start)?).ok()).filter(|&wanted| wanted <= bytes_max);
    let mut bytes = vec![0; wanted.unwrap_or(bytes_max)];
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, start + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let is_full = filled == bytes.len();
    bytes.truncate(filled);
    let is_exact = wanted.is_some() && is_full;
    let ends_anywhere = is_exact || (is_end && !is_full);
    if !ends_anywhere {
        match bytes.iter().rposition(|&byte| byte == b'\n') {
            Some(last) => bytes.truncate(last + 1),
            // One line that is longer than a batch: its first half, so that the rest is found in pieces too.
            None if is_full => bytes.truncate(bytes_max / 2),
            None => bytes.clear(),
        }
    }
    let end = start + bytes.len() as u64;
    Ok(Chunk { bytes, end })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn piece(text: &str, start: u64, end: Option<u64>, is_end: bool, max: usize) -> (String, u64) {
        let chunk = read(&file(text), start, end, is_end, max).unwrap();
        (String::from_utf8(chunk.bytes).unwrap(), chunk.end)
    }

    #[test]
    fn lines_are_whole() {
        assert_eq!(piece("ab\ncd\nef", 0, None, false, 100), ("ab\ncd\n".to_owned(), 6));
        assert_eq!(piece("ab\ncd\nef", 6, None, false, 100), (String::new(), 6));
        assert_eq!(piece("ab\ncd\nef", 6, None, true, 100), ("ef".to_owned(), 8));
        assert_eq!(piece("ab\ncd\nef", 0, None, true, 4), ("ab\n".to_owned(), 3));
        assert_eq!(piece("", 0, None, true, 4), (String::new(), 0));
    }

    #[test]
    fn a_range_that_was_sent_is_read_again_exactly() {
        assert_eq!(piece("ab\ncd\nef\n", 0, Some(3), false, 100), ("ab\n".to_owned(), 3));
        assert_eq!(piece("ab\ncd", 3, Some(5), false, 100), ("cd".to_owned(), 5));
    }

    #[test]
    fn a_line_longer_than_a_batch_is_cut() {
        assert_eq!(piece("abcdefgh\n", 0, None, false, 4), ("ab".to_owned(), 2));
        assert_eq!(piece("abcdefgh\n", 8, None, false, 4), ("\n".to_owned(), 9));
    }
}
