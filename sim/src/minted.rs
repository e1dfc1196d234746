//! What this process minted already: equal questions are answered with the bytes made the first time.
//!
//! Decides: how much is kept. Only what is a pure function of its question is kept (keys that derive from names, certificates, lists and
//! statements of a day), never a report or a quote, so nobody can tell from the bytes whether they were made anew.
//! Trusts: its callers for that. Out of scope: what verifiers remember (`attest`).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Answers kept; all are forgotten when there are more. A suite knows tens of machines and days.
const KEPT: usize = 1_024;

/// Answers to questions of one kind.
pub(crate) struct Minted<K, V>(LazyLock<Mutex<HashMap<K, V>>>);

impl<K: Eq + Hash, V: Clone> Minted<K, V> {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Minted(LazyLock::new(|| Mutex::new(HashMap::new())))
    }

    /// The answer to `asked`, made by `mint` the first time. Made under the lock: whoever waits would otherwise make the same again.
    pub(crate) fn once(&self, asked: K, mint: impl FnOnce() -> V) -> V {
        let mut minted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if minted.len() >= KEPT {
            minted.clear();
        }
        minted.entry(asked).or_insert_with(mint).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_made_once_and_their_number_is_bounded() {
        let minted = Minted::<usize, usize>::new();
        let mut made = 0;
        for asked in [1, 2, 1, 1] {
            let answer = minted.once(asked, || {
                made += 1;
                asked * 10
            });
            assert_eq!(answer, asked * 10);
        }
        assert_eq!(made, 2);
        for asked in 0..3 * KEPT {
            assert_eq!(minted.once(asked, || asked), if asked == 1 || asked == 2 { asked * 10 } else { asked });
        }
        assert!(minted.0.lock().unwrap().len() <= KEPT);
    }
}
