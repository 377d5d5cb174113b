//! Wildcards: literal pieces with any text between them.

use memchr::memmem;

/// How letters compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    Exact,
    /// A-Z as a-z; the pieces are folded already.
    Folded,
}

/// Whether the pieces make up the whole text in their order: the first at its start, the last at its end, any text
/// between each two. Takes time linear in the text for each piece.
pub fn matches(pieces: &[String], text: &[u8], case: Case) -> bool {
    let [first, middle @ .., last] = pieces else {
        return pieces.first().is_some_and(|only| equal(only.as_bytes(), text, case));
    };
    let (first, last) = (first.as_bytes(), last.as_bytes());
    if text.len() < first.len() + last.len() {
        return false;
    }
    let (head, rest) = text.split_at(first.len());
    let (mut rest, tail) = rest.split_at(rest.len() - last.len());
    if !equal(first, head, case) || !equal(last, tail, case) {
        return false;
    }
    // The leftmost place of each piece leaves the most room for those after it.
    for piece in middle {
        match find(piece.as_bytes(), rest, case) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

fn equal(piece: &[u8], text: &[u8], case: Case) -> bool {
    match case {
        Case::Exact => piece == text,
        Case::Folded => piece.eq_ignore_ascii_case(text),
    }
}

fn find(piece: &[u8], text: &[u8], case: Case) -> Option<usize> {
    match case {
        Case::Exact => memmem::find(text, piece),
        Case::Folded if piece.is_empty() => Some(0),
        Case::Folded => text.windows(piece.len()).position(|window| window.eq_ignore_ascii_case(piece)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_whole_text() {
        for (pattern, text, exact, folded) in [
            ("time*", "timeout", true, true),
            ("time*", "TimeOut", false, true),
            ("*out", "timeout", true, true),
            ("t*e", "te", true, true),
            ("t*e", "t", false, false),
            ("t*t", "t", false, false),
            ("*a*b*", "xaxbx", true, true),
            ("*a*b*", "ba", false, false),
            ("*ab*b", "abb", true, true),
            ("*ab*b", "ab", false, false),
            ("a**b", "ab", true, true),
            ("*", "", true, true),
            ("é*", "éa", true, true),
        ] {
            let pieces: Vec<String> = pattern.split('*').map(String::from).collect();
            assert_eq!(matches(&pieces, text.as_bytes(), Case::Exact), exact, "{pattern} on {text}");
            assert_eq!(matches(&pieces, text.as_bytes(), Case::Folded), folded, "{pattern} on {text}, folded");
        }
    }
}
