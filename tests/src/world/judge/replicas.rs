//! Equal index, equal state: every digest of every replica, by index.
//!
//! Decides: IN5. Trusts: nothing. Out of scope: when digests are taken (marks, catch-up proofs, the end of a world).

use crate::world::judge::Rule;
use crate::world::judge::watch::Watch;
use ringwall_wire::ids::{Digest, Incarnation};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Digests seen.
#[derive(Default)]
pub struct States(Mutex<BTreeMap<u64, (Incarnation, Digest)>>);

impl States {
    /// A replica has this state at this index.
    pub fn seen(&self, watch: &Watch, by: Incarnation, index: u64, digest: Digest) {
        let mut states = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (first, known) = *states.entry(index).or_insert((by, digest));
        drop(states);
        if known != digest {
            watch.broken(Rule::EqualState, format!("{first} and {by} differ at index {index}"));
        }
    }

    /// Indices at which digests were taken.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::trace::Trace;
    use ringwall_wire::ids::ClusterId;
    use std::sync::Arc;

    #[tokio::test]
    async fn another_state_at_the_same_index_is_found() {
        let watch = Watch::new(ClusterId([0; 32]), Arc::new(Trace::new(false, false)));
        let states = States::default();
        states.seen(&watch, Incarnation(1), 7, Digest([1; 32]));
        states.seen(&watch, Incarnation(2), 7, Digest([1; 32]));
        states.seen(&watch, Incarnation(2), 8, Digest([2; 32]));
        assert!(watch.violations().is_empty());
        states.seen(&watch, Incarnation(3), 7, Digest([2; 32]));
        assert_eq!(watch.violations()[0].rule, Rule::EqualState);
    }
}
