//! A condition on messages as a finite automaton: it takes templates and the words of their holes piece by piece, so
//! that no message is put together to be asked.

use regex_automata::Input;
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_syntax::hir::Hir;

/// Bytes of an automaton; a condition that needs a larger one is held against whole messages.
const BYTES_MAX: usize = 512 << 10;

/// How far a message was read, and what is known by then.
pub(super) type State = StateID;

#[derive(Debug)]
pub(super) struct Automaton {
    dfa: dense::DFA<Vec<u32>>,
    start: State,
}

impl Automaton {
    /// None when it would be too large.
    pub(super) fn new(condition: &Hir) -> Option<Self> {
        let config = thompson::Config::new().utf8(false).nfa_size_limit(Some(BYTES_MAX));
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(condition).ok()?;
        let config = dense::Config::new()
            .start_kind(StartKind::Unanchored)
            .accelerate(false)
            .dfa_size_limit(Some(BYTES_MAX))
            .determinize_size_limit(Some(BYTES_MAX * 4));
        let dfa = dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()?;
        let start = dfa.start_state_forward(&Input::new("")).ok()?;
        Some(Self { dfa, start })
    }

    /// Nothing was read yet.
    pub(super) fn start(&self) -> State {
        self.start
    }

    /// The state after more bytes of the message; one that is [`over`](Self::over) stays.
    pub(super) fn step(&self, mut state: State, bytes: &[u8]) -> State {
        if self.over(state) {
            return state;
        }
        for byte in bytes {
            state = self.dfa.next_state(state, *byte);
            if self.over(state) {
                break;
            }
        }
        state
    }

    /// Whatever is still to come changes nothing.
    pub(super) fn over(&self, state: State) -> bool {
        self.dfa.is_special_state(state) && (self.dfa.is_match_state(state) || self.dfa.is_dead_state(state))
    }

    /// Whether a message that ends here matches.
    pub(super) fn matches(&self, state: State) -> bool {
        self.dfa.is_match_state(state) || self.dfa.is_match_state(self.dfa.next_eoi_state(state))
    }
}

#[cfg(test)]
mod tests {
    use model::query::words::TextMatcher;
    use model::query::{Query, Text};
    use proptest::prelude::*;

    use super::*;

    fn text(query: &str) -> Text {
        match model::query::parse(query, 0) {
            Ok(Query::Message(text)) => text,
            other => panic!("{query} is {other:?}"),
        }
    }

    #[test]
    fn what_is_too_large_has_none() {
        assert!(Automaton::new(&text("/([a-z]{3}.){100,200}[0-9]{100}/").hir()).is_none());
    }

    proptest! {
        #[test]
        fn pieces_match_as_the_whole(
            pieces in prop::collection::vec("[ab0-1 ._é]{0,4}", 0..5),
            kind in 0..4,
            needle in "[ab0-1é]{1,2}([ .][ab0-1]{1,2}){0,2}",
        ) {
            let query = match kind {
                0 => format!("\"{needle}\""),
                1 => format!("\"*{needle}*\""),
                2 => format!("/^{}(a|\\b)/", regex::escape(&needle)),
                _ => format!("/{}$/", regex::escape(&needle)),
            };
            let text = text(&query);
            let automaton = Automaton::new(&text.hir()).expect("an automaton");
            let end = pieces.iter().fold(automaton.start(), |state, piece| automaton.step(state, piece.as_bytes()));
            let message = pieces.concat();
            prop_assert_eq!(automaton.matches(end), TextMatcher::new(&text).matches(&message), "{} {:?}", query, message);
        }
    }
}
