//! Which master keys are alive, and how many namespaces are wrapped under each.
//!
//! Decides: generations are numbered without gaps and only rise (IN10); the newest is the one new data keys are wrapped under; the oldest may go once
//! nothing is wrapped under it. The keys themselves are nowhere in the state: a commitment names each one.
//! Trusts: nothing in an entry. A replica cannot know whether a data key is wrapped as it says; whoever reads finds out.
//! Out of scope: the rows of namespaces (`replicated`), shares (`custody`), when to rotate (`node`). Protocol section 7.5.

use ringwall_wire::bounded::List;
use ringwall_wire::ids::{Digest, KeyEpoch};
use ringwall_wire::limits::LIVE_KEYS;
use ringwall_wire::rotation::{KeyGeneration, RotationFault};
use std::collections::BTreeMap;

/// Master keys that may be alive at once: a grant and a recovery blob hold the tag key besides.
const LIVE_MASTERS: usize = LIVE_KEYS - 1;
/// The generation a cluster is founded with.
pub(crate) const FIRST: KeyEpoch = KeyEpoch(1);

ringwall_wire::record! {
    /// A live master key, as the log knows it.
    #[derive(Copy)]
    pub struct KeyRow {
        /// Which.
        pub key_epoch: KeyEpoch,
        /// Commitment to it; none for the one the cluster was founded with, which was granted before there was a log.
        pub commit: Option<Digest>,
        /// Namespaces wrapped under it.
        pub spaces: u64,
    }
}

impl KeyRow {
    /// Whether this is the key a ring holds, and no other of its number.
    pub fn names(&self, held: &KeyGeneration) -> bool {
        self.key_epoch == held.key_epoch && self.commit.is_none_or(|commit| commit == held.commit)
    }
}

ringwall_wire::record! {
    /// All of it, as a snapshot holds it.
    pub struct GenerationsRecord {
        /// Live ones, ascending, without gaps.
        pub live: List<KeyRow, LIVE_MASTERS>,
        /// Group time of the newest, Unix milliseconds.
        pub rotated_ms: u64,
        /// Group time of the first erasure after that.
        pub erased_ms: Option<u64>,
        /// Namespaces erased so far.
        pub erasures: u64,
    }
}

/// The live master keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generations {
    /// Never empty, without gaps.
    live: BTreeMap<KeyEpoch, KeyRow>,
    pub(crate) rotated_ms: u64,
    pub(crate) erased_ms: Option<u64>,
    pub(crate) erasures: u64,
}

impl Default for Generations {
    fn default() -> Self {
        let first = KeyRow { key_epoch: FIRST, commit: None, spaces: 0 };
        Generations { live: BTreeMap::from([(FIRST, first)]), rotated_ms: 0, erased_ms: None, erasures: 0 }
    }
}

impl Generations {
    /// The one new data keys are wrapped under.
    pub(crate) fn newest(&self) -> KeyEpoch {
        self.live.last_key_value().map_or(FIRST, |(newest, _)| *newest)
    }

    /// The oldest anything may be wrapped under.
    pub(crate) fn oldest(&self) -> KeyEpoch {
        self.live.first_key_value().map_or(FIRST, |(oldest, _)| *oldest)
    }

    /// Live ones, oldest first.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &KeyRow> {
        self.live.values()
    }

    /// Whether a namespace may be wrapped under it.
    pub(crate) fn is_live(&self, key_epoch: KeyEpoch) -> bool {
        self.live.contains_key(&key_epoch)
    }

    /// Whether `next` may be the newest from now on.
    pub(crate) fn may_follow(&self, next: &KeyGeneration) -> Result<(), RotationFault> {
        if self.newest().0.checked_add(1) != Some(next.key_epoch.0) {
            return Err(RotationFault::NotNext);
        }
        match self.live.len() < LIVE_MASTERS {
            true => Ok(()),
            false => Err(RotationFault::TooMany),
        }
    }

    /// `next` is the newest from now on.
    pub(crate) fn rotate(&mut self, next: KeyGeneration, now_ms: u64) -> Result<(), RotationFault> {
        self.may_follow(&next)?;
        let KeyGeneration { key_epoch, commit } = next;
        self.live.insert(key_epoch, KeyRow { key_epoch, commit: Some(commit), spaces: 0 });
        self.rotated_ms = now_ms;
        self.erased_ms = None;
        Ok(())
    }

    /// The oldest is over.
    pub(crate) fn retire(&mut self, key_epoch: KeyEpoch) -> Result<(), RotationFault> {
        match self.live.get(&key_epoch) {
            None => Err(RotationFault::NoGeneration),
            Some(row) if row.spaces > 0 || key_epoch == self.newest() || key_epoch != self.oldest() => Err(RotationFault::InUse),
            Some(_) => {
                self.live.remove(&key_epoch);
                Ok(())
            }
        }
    }

    /// A namespace is wrapped under it.
    pub(crate) fn wrapped(&mut self, key_epoch: KeyEpoch) {
        if let Some(row) = self.live.get_mut(&key_epoch) {
            row.spaces += 1;
        }
    }

    /// A namespace is not wrapped under it any more.
    pub(crate) fn unwrapped(&mut self, key_epoch: KeyEpoch) {
        if let Some(row) = self.live.get_mut(&key_epoch) {
            row.spaces = row.spaces.saturating_sub(1);
        }
    }

    /// A namespace was erased.
    pub(crate) fn erased(&mut self, now_ms: u64) {
        self.erasures += 1;
        self.erased_ms = self.erased_ms.or(Some(now_ms));
    }

    /// For a snapshot.
    pub(crate) fn record(&self) -> GenerationsRecord {
        GenerationsRecord {
            live: List::new(self.live.values().copied().collect()).expect("no more are alive than may be"),
            rotated_ms: self.rotated_ms,
            erased_ms: self.erased_ms,
            erasures: self.erasures,
        }
    }

    /// From a snapshot; none if it is not one of ours.
    pub(crate) fn restore(record: GenerationsRecord) -> Option<Self> {
        let GenerationsRecord { live, rotated_ms, erased_ms, erasures } = record;
        let follows = |pair: &[KeyRow]| matches!(pair, [one, next] if one.key_epoch.0.checked_add(1) == Some(next.key_epoch.0));
        if live.is_empty() || !live.windows(2).all(follows) {
            return None;
        }
        let live = live.iter().map(|row| (row.key_epoch, *row)).collect();
        Some(Generations { live, rotated_ms, erased_ms, erasures })
    }
}
