//! Logs against tables: each rule by hand, then against a second, naive reading of the rules.
//!
//! Decides: that the walk accepts what the rules accept and nothing else, and names what does not fit.
//! Trusts: nothing. Out of scope: whole evidence (attest/tests/events.rs, sim/tests/lies.rs).

use super::*;
use alloc::format;
use proptest::prelude::*;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::policy::{MeasurementRegister, Rtmr};

const SEPARATOR: u32 = 4;

fn digest(byte: u8) -> MeasurementRegister {
    MeasurementRegister([byte; 48])
}

/// Allowed in RTMR1 with any of these digests.
fn entry(digests: &[u8], presence: Presence) -> BootEvent {
    BootEvent {
        register: Rtmr::Rtmr1,
        event_type: SEPARATOR,
        digests: List::new(digests.iter().map(|byte| digest(*byte)).collect()).unwrap(),
        presence,
        label: Text::new(format!("{digests:?}")).unwrap(),
    }
}

fn event(byte: u8) -> Event {
    Event { register: Rtmr::Rtmr1, event_type: SEPARATOR, digest: digest(byte) }
}

fn walk(events: &[u8], entries: &[BootEvent]) -> Result<(), Rejection> {
    let events: Vec<Event> = events.iter().map(|byte| event(*byte)).collect();
    let (events, entries): (Vec<_>, Vec<_>) = (events.iter().collect(), entries.iter().collect());
    follows(&events, &entries).map_err(|misfit| misfit.rejection)
}

/// 1, then perhaps 2, then 3 or 4, then perhaps 5.
fn table() -> Vec<BootEvent> {
    use Presence::{Optional, Required};
    alloc::vec![entry(&[1], Required), entry(&[2], Optional), entry(&[3, 4], Required), entry(&[5], Optional)]
}

#[test]
fn what_the_table_says_and_nothing_else() {
    for good in [&[1, 3][..], &[1, 4], &[1, 2, 3], &[1, 2, 4, 5], &[1, 3, 5]] {
        assert_eq!(walk(good, &table()), Ok(()), "{good:?}");
    }
    let not_allowed = |r: &Rejection, at| matches!(r, Rejection::EventNotAllowed { index, .. } if *index == at);
    let out_of_order = |r: &Rejection, at| matches!(r, Rejection::EventOutOfOrder { index, .. } if *index == at);
    let lacks = |r: &Rejection, which: &str| matches!(r, Rejection::EventMissing { label, .. } if label == which);
    for (bad, at) in [(&[9][..], 0), (&[1, 9, 3], 1), (&[1, 3, 9], 2)] {
        assert!(walk(bad, &table()).is_err_and(|r| not_allowed(&r, at)), "{bad:?}");
    }
    for (bad, at) in [(&[1, 1, 3][..], 1), (&[1, 3, 4], 2), (&[1, 3, 2], 2), (&[3, 1], 0), (&[1, 2, 2, 3], 2), (&[1, 5, 3], 1)] {
        assert!(walk(bad, &table()).is_err_and(|r| out_of_order(&r, at)), "{bad:?}: {:?}", walk(bad, &table()));
    }
    for (bad, which) in [(&[][..], "[1]"), (&[1], "[3, 4]"), (&[1, 2], "[3, 4]"), (&[3], "[1]"), (&[1, 5], "[3, 4]"), (&[2, 3], "[1]")] {
        assert!(walk(bad, &table()).is_err_and(|r| lacks(&r, which)), "{bad:?}: {:?}", walk(bad, &table()));
    }
}

#[test]
fn one_digest_in_several_entries_is_counted_right() {
    use Presence::{Optional, Required};
    let twice = [entry(&[1], Optional), entry(&[1], Required)];
    assert_eq!((walk(&[1], &twice), walk(&[1, 1], &twice)), (Ok(()), Ok(())));
    assert!(matches!(walk(&[1, 1, 1], &twice), Err(Rejection::EventOutOfOrder { index: 2, .. })));
    assert!(matches!(walk(&[], &twice), Err(Rejection::EventMissing { .. })));
    let crossed = [entry(&[1, 2], Optional), entry(&[1], Optional), entry(&[2], Required)];
    for good in [&[2][..], &[1, 2], &[2, 2], &[2, 1, 2], &[1, 1, 2]] {
        assert_eq!(walk(good, &crossed), Ok(()), "{good:?}");
    }
    assert!(walk(&[2, 1], &crossed).is_err() && walk(&[1, 2, 2], &crossed).is_err());
    // An entry without digests never fits, so a required one makes the table one nobody can satisfy.
    assert!(matches!(walk(&[1], &[entry(&[], Required)]), Err(Rejection::EventNotAllowed { .. })));
    assert!(matches!(walk(&[], &[entry(&[], Required)]), Err(Rejection::EventMissing { .. })));
}

#[test]
fn register_and_type_are_part_of_an_event() {
    let table = [entry(&[1], Presence::Required)];
    for other in [Event { register: Rtmr::Rtmr2, ..event(1) }, Event { event_type: SEPARATOR + 1, ..event(1) }] {
        assert!(!allows(&table[0], &other));
    }
    assert!(allows(&table[0], &event(1)));
}

/// The rules read naively: try every way to use or pass over the next entry.
fn naive(events: &[u8], entries: &[BootEvent]) -> bool {
    let Some((entry, entries)) = entries.split_first() else { return events.is_empty() };
    let passed = entry.presence == Presence::Optional && naive(events, entries);
    passed || events.split_first().is_some_and(|(first, rest)| entry.digests.contains(&digest(*first)) && naive(rest, entries))
}

fn any_entry() -> impl Strategy<Value = BootEvent> {
    let presence = prop_oneof![Just(Presence::Required), Just(Presence::Optional)];
    (proptest::collection::vec(0u8..5, 0..3), presence).prop_map(|(digests, presence)| entry(&digests, presence))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn the_walk_agrees_with_the_naive_reading(
        events in proptest::collection::vec(0u8..5, 0..7),
        entries in proptest::collection::vec(any_entry(), 0..8),
    ) {
        prop_assert_eq!(walk(&events, &entries).is_ok(), naive(&events, &entries));
    }
}
