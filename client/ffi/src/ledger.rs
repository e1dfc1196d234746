//! What was handed out and not freed yet.
//!
//! Decides: whether a pointer and a length are an allocation of ours, once. So a wrong length, a pointer of somebody else and a second free are errors, not damage.
//! Trusts: nothing. Out of scope: allocating and freeing (exports.rs). Addresses are kept as complements: a leak detector that searches memory for pointers must not take this
//! list for their user.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Addresses (complemented) and lengths of what callers hold.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<BTreeMap<usize, usize>>);

impl Ledger {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Ledger(Mutex::new(BTreeMap::new()))
    }

    /// `len` bytes at `address` are the caller's from now on.
    pub(crate) fn gave(&self, address: usize, len: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(!address, len);
    }

    /// Whether they were, which they are not any more.
    pub(crate) fn took_back(&self, address: usize, len: usize) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&!address) == Some(&len) && held.remove(&!address).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_is_taken_back_and_once() {
        let ledger = Ledger::new();
        ledger.gave(4_096, 10);
        assert!(!ledger.took_back(4_096, 9) && !ledger.took_back(4_097, 10) && !ledger.took_back(0, 0));
        assert!(ledger.took_back(4_096, 10));
        assert!(!ledger.took_back(4_096, 10), "a second time");
    }
}
