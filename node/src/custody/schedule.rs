//! When a leader deals, activates, drops or rotates.
//!
//! Decides: what is due by the replicated record and one clock, nothing else, so that every leader comes to the same answer and a new one goes on where
//! the old one stopped. Clocks decide when to do it, never whether it may be done.
//! Trusts: the record. Out of scope: doing it (`dealer`, `rotate`). Protocol sections 6.1 and 7.5.

use ringwall_consensus::{Custody, CustodyTerms, Held};
use ringwall_wire::ids::Epoch;
use std::time::Duration;

/// How often what is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timetable {
    /// Age at which shares are dealt again.
    pub redeal: Duration,
    /// Age at which the master key is rotated.
    pub rotate: Duration,
    /// Longest time from an erasure to the rotation that puts the erased keys out of reach.
    pub erase: Duration,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing now.
    Nothing,
    /// The dealing that waits is of no use any more.
    Drop,
    /// Everybody acknowledged.
    Activate,
    /// Shares are missing, or old.
    Deal(Why),
    /// The master key is old, or something was erased under it.
    Rotate,
}

/// Why shares are dealt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// There are none.
    First,
    /// Other custodians are named than hold shares.
    Custodians,
    /// The cluster recovered since.
    Recovered,
    /// They are as old as they may be.
    Age,
}

/// What the record says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// Dealings.
    pub(crate) custody: &'a Custody,
    /// Who has to hold shares; none where nobody has.
    pub(crate) terms: Option<&'a CustodyTerms>,
    /// Of the group.
    pub(crate) epoch: Option<Epoch>,
    /// When the master key was rotated, and when something was erased after that.
    pub(crate) rotated: (u64, Option<u64>),
    /// The later of the group's time and this clock, Unix milliseconds.
    pub(crate) now_ms: u64,
}

impl Timetable {
    /// What is due.
    pub(crate) fn due(&self, seen: &Seen<'_>) -> Due {
        if let Some(terms) = seen.terms {
            match &seen.custody.waiting {
                Some(waiting) if !seen.fits(waiting, terms) => return Due::Drop,
                Some(waiting) if waiting.is_acknowledged() => return Due::Activate,
                Some(_) => {}
                None => {
                    if let Some(why) = self.why_deal(seen, terms) {
                        return Due::Deal(why);
                    }
                }
            }
        }
        let (rotated_ms, erased_ms) = seen.rotated;
        let old = seen.is_past(rotated_ms, self.rotate);
        match old || erased_ms.is_some_and(|erased_ms| seen.is_past(erased_ms, self.erase)) {
            true => Due::Rotate,
            false => Due::Nothing,
        }
    }

    fn why_deal(&self, seen: &Seen<'_>, terms: &CustodyTerms) -> Option<Why> {
        let Some(active) = &seen.custody.active else { return Some(Why::First) };
        if !terms.are_named_by(active.manifest()) {
            return Some(Why::Custodians);
        }
        if Some(active.manifest().epoch) != seen.epoch {
            return Some(Why::Recovered);
        }
        seen.is_past(active.dealt_ms, self.redeal).then_some(Why::Age)
    }
}

impl Seen<'_> {
    fn is_past(&self, since_ms: u64, age: Duration) -> bool {
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        self.now_ms >= since_ms.saturating_add(age_ms)
    }

    /// Whether a dealing that waits may still become the active one.
    fn fits(&self, waiting: &Held, terms: &CustodyTerms) -> bool {
        terms.are_named_by(waiting.manifest()) && Some(waiting.manifest().epoch) == self.epoch
    }
}

#[cfg(test)]
mod tests;
