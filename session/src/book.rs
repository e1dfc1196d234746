//! Where nodes may be found, and what is known of each place.
//!
//! Decides: the order in which addresses are tried; a place whose node was refused for its evidence, cluster or history is left alone for a while, so
//! that a successor there is found later; which of several troubles is told. Addresses come from the options and from verified nodes only.
//! Trusts: nothing; an address is where to ask, never who answers. Out of scope: when an address is tried (`rounds.rs`), opening a session
//! (`opening.rs`). Protocol section 3.

use crate::chance;
use crate::dial::DialError;
use crate::error::{Attempt, ConnectError};
use crate::refused::REFUSED_RESTS_MS;
use rand_core::CryptoRng;
use ringwall_wire::session::MemberHint;
use std::sync::Arc;

/// Addresses a book holds: those of the options, and hints up to this number.
const ADDRESSES: usize = 64;

#[derive(Debug)]
struct Place {
    address: String,
    /// Whether it came from the options, and therefore stays.
    given: bool,
    trouble: Option<DialError>,
    /// When a refused address may be asked again; long enough that a hostile place costs next to nothing.
    rests_until: Option<u64>,
}

impl Place {
    fn new(address: String, given: bool) -> Self {
        Place { address, given, trouble: None, rests_until: None }
    }

    fn is_refused(&self) -> bool {
        self.trouble.as_ref().is_some_and(DialError::is_final_for_node)
    }
}

/// Addresses with what is known of each.
#[derive(Debug)]
pub(crate) struct Book {
    places: Vec<Place>,
    cursor: usize,
}

impl Book {
    /// A book of these addresses, which begins at one of them by chance.
    pub(crate) fn new(addresses: Vec<String>, rng: &mut dyn CryptoRng) -> Self {
        let mut places: Vec<Place> = Vec::new();
        for address in addresses {
            if !places.iter().any(|place| place.address == address) {
                places.push(Place::new(address, true));
            }
        }
        let cursor = chance::index(places.len(), rng);
        Book { places, cursor }
    }

    /// Replaces earlier hints with what a verified node just said.
    fn learn(&mut self, members: &[MemberHint]) {
        let current = self.places.get(self.cursor).map(|place| place.address.clone());
        self.places.retain(|place| place.given || place.is_refused() || members.iter().any(|member| *member.address == *place.address));
        for member in members {
            let known = self.places.iter().any(|place| *place.address == *member.address);
            if !known && !member.address.is_empty() && self.places.len() < ADDRESSES {
                self.places.push(Place::new(member.address.to_string(), false));
            }
        }
        self.cursor = self.places.iter().position(|place| Some(&place.address) == current.as_ref()).unwrap_or(0);
    }

    /// The addresses to try in this round, the present one first.
    pub(crate) fn round(&self, now: u64) -> Vec<String> {
        let usable = |place: &&Place| place.rests_until.is_none_or(|until| until <= now);
        let (before, from) = self.places.split_at(self.cursor.min(self.places.len()));
        from.iter().chain(before).filter(usable).map(|place| place.address.clone()).collect()
    }

    /// The node at `address` serves, and says who else may.
    pub(crate) fn found(&mut self, address: &str, members: &[MemberHint]) {
        self.clear(address);
        self.cursor = self.places.iter().position(|place| place.address == address).unwrap_or(self.cursor);
        self.learn(members);
    }

    /// Notes why the node at `address` is not used.
    pub(crate) fn note(&mut self, address: &str, trouble: DialError, now: u64) {
        if let Some(place) = self.places.iter_mut().find(|place| place.address == address) {
            place.trouble = Some(trouble);
            place.rests_until = place.is_refused().then(|| now.saturating_add(REFUSED_RESTS_MS));
        }
    }

    /// Nothing speaks against the node at `address`.
    pub(crate) fn clear(&mut self, address: &str) {
        if let Some(place) = self.places.iter_mut().find(|place| place.address == address) {
            place.trouble = None;
            place.rests_until = None;
        }
    }

    /// Whether there is no address at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// An attempt failed. One that was `cut` off by the end of the search says nothing against what its node said before.
    pub(crate) fn failed(&mut self, address: &str, trouble: DialError, cut: bool, now: u64) {
        let told = self.places.iter().any(|place| place.address == address && place.trouble.is_some());
        if !(cut && told) {
            self.note(address, trouble, now);
        }
    }

    /// Leaves a node: the next round starts after it.
    pub(crate) fn leave(&mut self, address: &str, trouble: DialError, now: u64) {
        self.note(address, trouble, now);
        let count = self.places.len().max(1);
        if let Some(at) = self.places.iter().position(|place| place.address == address) {
            self.cursor = at.saturating_add(1) % count;
        }
    }

    /// What came of every address that is not of use now.
    pub(crate) fn tried(&self) -> Vec<Attempt> {
        let attempt = |place: &Place| {
            let trouble = place.trouble.as_ref()?;
            Some(Attempt { address: place.address.clone(), cause: trouble.to_string(), refused: place.is_refused() })
        };
        self.places.iter().filter_map(attempt).collect()
    }

    /// No node was refused for good: where one has an older policy than is known, that is told before who is out of reach.
    fn behind(&self, waited_ms: u64, tried: Vec<Attempt>) -> ConnectError {
        let behind = self.places.iter().find_map(|place| match &place.trouble {
            Some(DialError::OldPolicy(error)) => Some((place.address.clone(), Arc::clone(error))),
            _ => None,
        });
        match behind {
            Some((address, error)) => ConnectError::of_evidence(address, error, tried),
            None => ConnectError::Unavailable { waited_ms, tried },
        }
    }

    /// What stands in the way, after `waited_ms`: a bad node is told before one nobody can tell of, and that before one out of reach.
    pub(crate) fn trouble(&self, waited_ms: u64) -> ConnectError {
        let tried = self.tried();
        let refused = self.places.iter().filter_map(|place| match &place.trouble {
            Some(trouble) if trouble.is_final_for_node() => Some((place.address.clone(), trouble.clone())),
            _ => None,
        });
        match refused.min_by_key(|(_, trouble)| trouble.is_undecided()) {
            Some((address, DialError::Evidence(error))) => ConnectError::of_evidence(address, error, tried),
            Some((address, DialError::OtherCluster { claimed, pinned })) => ConnectError::OtherCluster { address, claimed, pinned, tried },
            Some((address, DialError::History(trouble))) => ConnectError::of_history(address, trouble, tried),
            Some((address, DialError::WentBack { known, got })) => ConnectError::WentBack { address, known, got, tried },
            _ => self.behind(waited_ms, tried),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::chance::Dice;
    use ringwall_wire::bounded::Text;
    use ringwall_wire::ids::{Incarnation, Revision, Slot, Vendor};

    fn book(addresses: &[&str]) -> Book {
        let mut book = Book::new(addresses.iter().map(|address| (*address).to_string()).collect(), &mut Dice(1));
        book.cursor = 0;
        book
    }

    fn hint(address: &str) -> MemberHint {
        MemberHint { slot: Slot(1), incarnation: Incarnation(1), vendor: Vendor::Amd, address: Text::new(address).unwrap() }
    }

    fn down() -> DialError {
        DialError::Unreachable("nobody there".into())
    }

    fn back() -> DialError {
        DialError::WentBack { known: Revision(9), got: Revision(3) }
    }

    #[test]
    fn clients_begin_at_different_addresses_and_no_address_is_tried_twice_in_a_round() {
        let first = |seed| Book::new(["a", "b", "a", "c"].map(String::from).to_vec(), &mut Dice(seed)).round(0);
        let begun: std::collections::BTreeSet<String> = (0..50).map(|seed| first(seed)[0].clone()).collect();
        assert_eq!(begun.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(first(1).len(), 3);
    }

    #[test]
    fn a_refused_place_rests_and_any_other_failure_is_tried_again() {
        let mut book = book(&["a", "b"]);
        book.note("a", back(), 1_000);
        book.note("b", down(), 1_000);
        assert_eq!(book.round(1_000), ["b"]);
        assert_eq!(book.round(1_000 + REFUSED_RESTS_MS - 1), ["b"]);
        assert_eq!(book.round(1_000 + REFUSED_RESTS_MS), ["a", "b"], "a successor at the same place is never found");
    }

    #[test]
    fn a_round_begins_after_the_node_that_was_left_and_at_the_one_that_was_found() {
        let mut book = book(&["a", "b", "c"]);
        book.leave("b", down(), 0);
        assert_eq!(book.round(0), ["c", "a", "b"]);
        book.found("b", &[]);
        assert_eq!(book.round(0), ["b", "c", "a"]);
        assert!(book.tried().is_empty(), "a found node is told as one that failed");
        book.leave("nowhere", down(), 0);
        assert_eq!(book.round(0), ["b", "c", "a"]);
    }

    #[test]
    fn hints_are_bounded_replace_older_ones_and_never_those_that_were_given() {
        let mut book = book(&["a"]);
        book.found("a", &[hint("b"), hint("a"), hint("")]);
        assert_eq!(book.round(0), ["a", "b"]);
        book.note("b", back(), 0);
        let many: Vec<MemberHint> = (0..100).map(|number| hint(&format!("h{number}"))).collect();
        book.found("a", &many);
        assert_eq!(book.places.len(), ADDRESSES);
        assert!(book.places.iter().any(|place| place.address == "b"), "a refused place was forgotten: a hint would bring it back");
        book.found("a", &[]);
        assert_eq!(book.places.iter().map(|place| place.address.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_proves_bad_is_told_before_what_is_out_of_reach_and_a_cut_attempt_changes_no_word() {
        let mut book = book(&["a", "b"]);
        book.failed("a", down(), false, 0);
        assert!(matches!(book.trouble(7), ConnectError::Unavailable { waited_ms: 7, .. }));
        book.failed("b", back(), false, 0);
        book.failed("b", down(), true, 0);
        assert!(matches!(book.trouble(7), ConnectError::WentBack { known: Revision(9), got: Revision(3), .. }));
        assert_eq!(book.tried().iter().filter(|attempt| attempt.refused).count(), 1);
        book.clear("b");
        assert_eq!(book.tried().len(), 1);
    }
}
