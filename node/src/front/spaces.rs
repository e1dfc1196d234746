//! The namespaces clients work on: their tags, and their data keys unwrapped in memory.
//!
//! Decides: which namespaces stay unwrapped (the recently used ones, bounded). A namespace's data key never changes while it is cached, however it is
//! wrapped; once any namespace was erased, nothing stays cached. One in dual mode is never cached: its keys belong to the session that brought the
//! user's part, and end with it.
//! Trusts: the keyring, and the state to hold the wrapped key that won. Out of scope: making a namespace (`requests.rs`). Protocol section 7.

use ringwall_consensus::{SpaceRow, View};
use ringwall_keys::user::{commitment, is_sealed_name, is_sealed_value};
use ringwall_keys::{OpenError, SpaceKeys};
use ringwall_wire::ids::SpaceTag;
use ringwall_wire::request::KeyMode;
use ringwall_wire::secret::{Secret, wash_stack};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::front::limits::SPACES_KEPT;
use crate::front::refusals::{awaiting_key, fenced, refusal, unreadable, user_key_needed};
use crate::ring::Ring;

/// A namespace with its keys.
#[derive(Debug)]
pub(crate) struct Space {
    keys: SpaceKeys,
}

impl Space {
    /// A namespace with these keys.
    pub(crate) fn new(keys: SpaceKeys) -> Self {
        Space { keys }
    }

    /// What replicas know it by.
    pub(crate) fn tag(&self) -> &SpaceTag {
        self.keys.space()
    }

    /// Its keys.
    pub(crate) fn keys(&self) -> &SpaceKeys {
        &self.keys
    }

    /// Whether its keys may outlive the session that uses them, and names of its keys with them.
    pub(crate) fn may_be_kept(&self) -> bool {
        self.keys.mode() != KeyMode::Dual
    }

    /// In user mode the cluster takes what the user's client sealed, and nothing else: a client that takes the namespace for one of another mode
    /// would store in the clear here, or find nothing.
    pub(crate) fn takes(&self, name: &[u8], value: Option<&[u8]>) -> Result<(), Refusal> {
        let sealed = is_sealed_name(name) && value.is_none_or(is_sealed_value);
        match self.keys.mode() == KeyMode::User && !sealed {
            true => Err(refusal(RefusalCode::OtherMode, "the namespace is in user mode: open it with that mode and the user's key")),
            false => Ok(()),
        }
    }
}

/// The recently used namespaces.
#[derive(Debug)]
pub(crate) struct Spaces {
    keyring: Arc<Ring>,
    kept: Mutex<Recent<SpaceTag, Arc<Space>>>,
    erasures: AtomicU64,
}

impl Spaces {
    /// An empty cache over `keyring`.
    pub(crate) fn new(keyring: Arc<Ring>) -> Self {
        Spaces { keyring, kept: Mutex::new(Recent::new(SPACES_KEPT)), erasures: AtomicU64::new(0) }
    }

    /// The namespace, if it is cached.
    pub(crate) fn cached(&self, tag: &SpaceTag) -> Option<Arc<Space>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(tag)
    }

    /// How many erasures the cluster has seen: when it rises, keys that were handed out before are not to be used any more.
    pub(crate) fn erasures(&self) -> u64 {
        self.erasures.load(Ordering::Acquire)
    }

    /// Namespaces were erased: nothing that was unwrapped before is kept. Whether that is news.
    pub(crate) fn forget(&self, erasures: u64) -> bool {
        let news = self.erasures.fetch_max(erasures, Ordering::AcqRel) < erasures;
        if news {
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Recent::new(SPACES_KEPT);
        }
        news
    }

    /// The namespace as `view` has it; none when `view` has none, which is final only after a read round.
    pub(crate) fn load(&self, view: &View, tag: &SpaceTag) -> Result<Option<Arc<Space>>, Refusal> {
        let Some(row) = view.space(tag).map_err(|_| fenced())? else { return Ok(None) };
        if row.mode == KeyMode::Dual {
            return Err(user_key_needed());
        }
        let keys = self.keyring.now().unwrap_space_key(tag, row.mode, &row.dek).map_err(|fault| unopened(tag, fault))?;
        let space = Arc::new(Space::new(keys));
        // A look that is older than the last erasure may show what was erased by it: that is not kept.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if view.erasures() >= self.erasures() {
            kept.put(*tag, space.clone());
        }
        drop(kept);
        Ok(Some(space))
    }

    /// A namespace in dual mode, for the session that brought the user's part: it is not kept here.
    pub(crate) fn unlock(&self, tag: &SpaceTag, row: &SpaceRow, part: &Secret<32>) -> Result<Space, Refusal> {
        if row.mode != KeyMode::Dual {
            return Err(refusal(RefusalCode::OtherMode, "the namespace exists with another key mode"));
        }
        let keyring = self.keyring.now();
        let given = commitment(keyring.cluster_id(), KeyMode::Dual, part);
        wash_stack();
        if row.commit != Some(given) {
            return Err(refusal(RefusalCode::OtherUserKey, "the namespace was made under another key of its user"));
        }
        keyring.unwrap_dual_space_key(tag, &row.dek, part).map(Space::new).map_err(|fault| unopened(tag, fault))
    }
}

/// A data key did not unwrap: its master key is on its way here, or our storage or our keys are wrong; not the client.
fn unopened(tag: &SpaceTag, fault: OpenError) -> Refusal {
    if let OpenError::UnknownKeyEpoch { wanted } = fault {
        tracing::debug!(space = %tag, %wanted, "a namespace is wrapped under a master key that is not here");
        return awaiting_key();
    }
    tracing::error!(space = %tag, %fault, "a namespace's data key did not unwrap");
    unreadable()
}

/// The most recently used entries, at most `most`: two generations; when the young one is half of the bound, the old one is dropped.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Hash + Eq + Copy, V: Clone> Recent<K, V> {
    /// Keeps at most `most`, at least the last half of that.
    pub(crate) fn new(most: usize) -> Self {
        Recent { young: HashMap::new(), old: HashMap::new(), half: (most / 2).max(1) }
    }

    /// A copy of the value, now young.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.put(*key, value.clone());
        Some(value)
    }

    /// Keeps a value.
    pub(crate) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::front::testing::rng;
    use ringwall_keys::ring::FIRST_KEY_EPOCH;
    use ringwall_keys::{HedgedIvs, Keyring};
    use ringwall_wire::ids::{ClusterId, Incarnation, OwnerMark, Revision};

    /// Keys that a user's part was mixed into end with the session, and so do the names a list opened with them.
    #[test]
    fn only_what_the_cluster_alone_opens_outlives_a_session() {
        let keyring = Keyring::found(ClusterId([7; 32]), &mut *rng());
        let mut ivs = HedgedIvs::new(rng(), Incarnation(1));
        let tag = SpaceTag([1; 16]);
        for mode in [KeyMode::Cluster, KeyMode::User] {
            let (keys, _) = keyring.new_space_key(&tag, mode, FIRST_KEY_EPOCH, &mut ivs).unwrap();
            assert!(Space::new(keys).may_be_kept(), "{mode:?}");
        }
        let wrapped = keyring.new_data_key(&tag, KeyMode::Dual, FIRST_KEY_EPOCH, &mut ivs).unwrap();
        let keys = keyring.unwrap_dual_space_key(&tag, &wrapped, &Secret::new([2; 32])).unwrap();
        assert!(!Space::new(keys).may_be_kept());
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let mut recent = Recent::new(8);
        for key in 0..100u32 {
            recent.put(key, key);
            assert_eq!(recent.get(&0), Some(0), "entry 0 is used all the time, at {key}");
            assert!(recent.young.len() + recent.old.len() <= 9);
        }
        assert_eq!(recent.get(&1), None);
    }

    /// KM3: another key of the same user would find nothing and write beside what is there.
    #[test]
    fn a_namespace_in_dual_mode_is_unlocked_by_the_part_it_was_made_with() {
        let keyring = Keyring::found(ClusterId([7; 32]), &mut *rng());
        let mut ivs = HedgedIvs::new(rng(), Incarnation(1));
        let (tag, part) = (SpaceTag([1; 16]), Secret::new([2; 32]));
        let row = |mode| SpaceRow {
            mode,
            commit: Some(commitment(keyring.cluster_id(), KeyMode::Dual, &part)),
            dek: keyring.new_data_key(&tag, mode, FIRST_KEY_EPOCH, &mut ivs).unwrap(),
            owner: OwnerMark([3; 16]),
            revision: Revision(1),
        };
        let [dual, user] = [KeyMode::Dual, KeyMode::User].map(row);
        let spaces = Spaces::new(Ring::new(keyring));
        let code = |row: &SpaceRow, part: &Secret<32>| spaces.unlock(&tag, row, part).map(|_| ()).map_err(|refused| refused.code);
        assert_eq!(code(&dual, &part), Ok(()));
        assert_eq!(code(&dual, &Secret::new([4; 32])), Err(RefusalCode::OtherUserKey));
        let unbound = SpaceRow { commit: None, ..dual };
        assert_eq!(code(&unbound, &part), Err(RefusalCode::OtherUserKey), "nothing says which part it was made with");
        assert_eq!(code(&user, &part), Err(RefusalCode::OtherMode));
    }
}
