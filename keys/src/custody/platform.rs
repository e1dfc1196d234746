//! Master keys wrapped to a key that the node's own chip derives: one more copy of what a recovery blob holds, where the policy says `same_chips`.
//!
//! Decides: `wrapping key = expand(derived key, "platform-wrap", cluster, slot)`; each wrap has a key of its own with a commitment, which is compared first, so that
//! another chip, another guest or another place is told from an altered file. Everything the wrap says of itself is authenticated with it. No user's data is ever
//! sealed under such a key.
//! Trusts: the caller for the 32 derived bytes, which are the chip's and this guest's alone; it knows what was mixed into them, and nothing here does.
//! Out of scope: asking a chip, files, whether a wrap is the newest (`node`). Protocol section 6.3.

use crate::derive::{Purpose, expand};
use crate::hedge::HedgedIvs;
use crate::ring::{Keyring, KeyringError};
use crate::sealed::{open_in_place, seal_in_place};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::custody::RecoveryKeys;
use ringwall_wire::ids::{ClusterId, KeyEpoch, Slot};
use ringwall_wire::platform::{PlatformWrap, WrapPlace};
use ringwall_wire::secret::{Secret, wash_stack};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Why keys were not wrapped to a chip, or did not come out again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformWrapError {
    /// It is another cluster's or another place's.
    #[error("the wrap is for slot {slot} of cluster {cluster_id}, and this is another place; put back the file of this node")]
    OtherPlace {
        /// Cluster it names.
        cluster_id: ClusterId,
        /// Place it names.
        slot: Slot,
    },
    /// The chip's key is not the one it was wrapped under.
    #[error(
        "the chip derives another key than the keys were wrapped under: another chip, another build, another guest policy or another boot configuration than at the time"
    )]
    OtherKey,
    /// It was altered.
    #[error("the wrap was altered; put back the file as the node wrote it")]
    NotAuthentic,
    /// What it holds is something else.
    #[error("what the wrap holds cannot be read: {fault}")]
    NotThat {
        /// What is wrong.
        fault: DecodeError,
    },
    /// What it holds is no ring of keys.
    #[error("what the wrap holds is no ring of keys: {0}")]
    Keyring(#[from] KeyringError),
    /// The newest key inside is not the one outside.
    #[error("the wrap holds keys up to generation {inside} and says {outside}")]
    OtherKeys {
        /// Newest inside.
        inside: KeyEpoch,
        /// What it says.
        outside: KeyEpoch,
    },
    /// More keys are alive than a wrap holds.
    #[error("{alive} keys are alive, a wrap holds fewer")]
    TooManyKeys {
        /// How many.
        alive: usize,
    },
}

/// What one node wraps under: its chip's key, for its place. Wiped when dropped.
pub struct PlatformKey {
    cluster_id: ClusterId,
    slot: Slot,
    key: Secret<32>,
}

impl core::fmt::Debug for PlatformKey {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "PlatformKey({})", self.slot)
    }
}

impl PlatformKey {
    /// From what the chip derived.
    pub fn new(derived: &Secret<32>, cluster_id: ClusterId, slot: Slot) -> Self {
        let key = expand(derived, Purpose::PlatformWrap, &[&cluster_id.0, &[slot.0]]);
        wash_stack();
        PlatformKey { cluster_id, slot, key }
    }

    /// Wraps all keys of `ring`. Cluster, slot and newest key of `place` are set here.
    pub fn wrap(&self, ring: &Keyring, place: WrapPlace, ivs: &mut HedgedIvs) -> Result<PlatformWrap, PlatformWrapError> {
        let place = WrapPlace { cluster_id: self.cluster_id, slot: self.slot, newest_key: ring.newest(), ..place };
        if *ring.cluster_id() != self.cluster_id {
            return Err(PlatformWrapError::OtherPlace { cluster_id: *ring.cluster_id(), slot: self.slot });
        }
        let granted = ring.granted();
        let alive = granted.len();
        let keys = List::new(granted).map_err(|_| PlatformWrapError::TooManyKeys { alive })?;
        let mut text = RecoveryKeys { keys }.encode();
        let words = place.words();
        let iv = ivs.next(&[&words, &text]);
        let wrapping = self.wrapping(&iv);
        let (key, commit) = halves(&wrapping);
        seal_in_place(key, &words, &mut text);
        wash_stack();
        let sealed = Blob::new(text).expect("LIVE_KEYS keys fit SEALED_KEYS_BYTES");
        Ok(PlatformWrap { place, iv, commit: *commit, sealed })
    }

    /// Opens a wrap of this place: commitment first, then the tag.
    pub fn open(&self, wrap: &PlatformWrap) -> Result<Keyring, PlatformWrapError> {
        let WrapPlace { cluster_id, slot, newest_key, .. } = wrap.place;
        if (cluster_id, slot) != (self.cluster_id, self.slot) {
            return Err(PlatformWrapError::OtherPlace { cluster_id, slot });
        }
        let wrapping = self.wrapping(&wrap.iv);
        let (key, commit) = halves(&wrapping);
        if !bool::from(commit.ct_eq(&wrap.commit)) {
            return Err(PlatformWrapError::OtherKey);
        }
        let mut text = wrap.sealed.to_vec();
        if !open_in_place(key, &wrap.place.words(), &mut text) {
            return Err(PlatformWrapError::NotAuthentic);
        }
        let keys = RecoveryKeys::decode(&text);
        text.zeroize();
        wash_stack();
        let keys = keys.map_err(|fault| PlatformWrapError::NotThat { fault })?;
        let ring = Keyring::from_grant(self.cluster_id, &keys.keys)?;
        match ring.newest() == newest_key {
            true => Ok(ring),
            false => Err(PlatformWrapError::OtherKeys { inside: ring.newest(), outside: newest_key }),
        }
    }

    fn wrapping(&self, iv: &[u8; 24]) -> Secret<64> {
        expand(&self.key, Purpose::PlatformKeys, &[iv])
    }
}

/// Wrapping key and commitment.
fn halves(keys: &Secret<64>) -> (&[u8; 32], &[u8; 32]) {
    match keys.expose().as_chunks::<32>().0 {
        [key, commit] => (key, commit),
        _ => unreachable!("64 bytes are two chunks of 32"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;
    use ringwall_wire::ids::{Digest, Epoch, Incarnation};

    const CLUSTER: ClusterId = ClusterId([1; 32]);

    fn place() -> WrapPlace {
        let (epoch, manifest) = (Epoch(1), Digest([4; 32]));
        // Cluster, slot and newest key are set by whoever wraps.
        WrapPlace { cluster_id: ClusterId([0; 32]), slot: Slot(0), epoch, manifest, newest_key: KeyEpoch(0), tcb_version: 9, vmpl: 0 }
    }

    fn made() -> (Keyring, PlatformKey, HedgedIvs) {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let founded = Keyring::found(CLUSTER, &mut rng);
        let ring = founded.with(&founded.new_master(KeyEpoch(2), &mut rng));
        let key = PlatformKey::new(&Secret::new([7; 32]), CLUSTER, Slot(3));
        (ring, key, HedgedIvs::new(Box::new(rng), Incarnation(1)))
    }

    #[test]
    fn what_was_wrapped_to_a_chip_comes_out_under_its_key_alone() {
        let (ring, key, mut ivs) = made();
        let wrap = key.wrap(&ring, place(), &mut ivs).expect("a few keys fit");
        assert_eq!((wrap.place.cluster_id, wrap.place.slot, wrap.place.newest_key), (CLUSTER, Slot(3), KeyEpoch(2)));
        let opened = key.open(&wrap).expect("the chip that wrapped it opens it");
        assert_eq!(opened.generations(), ring.generations());
        let again = key.wrap(&ring, place(), &mut ivs).expect("a few keys fit");
        assert_ne!((again.iv, &again.sealed), (wrap.iv, &wrap.sealed), "each wrap has a key of its own");
        let other = PlatformKey::new(&Secret::new([8; 32]), CLUSTER, Slot(3));
        assert_eq!(other.open(&wrap).err(), Some(PlatformWrapError::OtherKey), "another chip");
        for elsewhere in [
            PlatformKey::new(&Secret::new([7; 32]), CLUSTER, Slot(4)),
            PlatformKey::new(&Secret::new([7; 32]), ClusterId([2; 32]), Slot(3)),
        ] {
            let refused = elsewhere.open(&wrap).err();
            assert_eq!(refused, Some(PlatformWrapError::OtherPlace { cluster_id: CLUSTER, slot: Slot(3) }));
            let mut renamed = wrap.clone();
            (renamed.place.cluster_id, renamed.place.slot) = (elsewhere.cluster_id, elsewhere.slot);
            assert_eq!(elsewhere.open(&renamed).err(), Some(PlatformWrapError::OtherKey), "a name alone opens nothing");
        }
    }

    #[test]
    fn every_word_of_a_wrap_is_authenticated() {
        let (ring, key, mut ivs) = made();
        let wrap = key.wrap(&ring, place(), &mut ivs).expect("a few keys fit");
        let altered = |alter: &dyn Fn(&mut PlatformWrap)| {
            let mut wrap = wrap.clone();
            alter(&mut wrap);
            key.open(&wrap).err()
        };
        let not_authentic = Some(PlatformWrapError::NotAuthentic);
        assert_eq!(altered(&|wrap| wrap.place.epoch = Epoch(2)), not_authentic);
        assert_eq!(altered(&|wrap| wrap.place.manifest = Digest([5; 32])), not_authentic);
        assert_eq!(altered(&|wrap| wrap.place.newest_key = KeyEpoch(3)), not_authentic, "an old wrap does not pass as a newer one");
        assert_eq!(altered(&|wrap| wrap.place.tcb_version = 1), not_authentic);
        assert_eq!(altered(&|wrap| wrap.place.vmpl = 1), not_authentic);
        assert_eq!(altered(&|wrap| wrap.iv[0] ^= 1), Some(PlatformWrapError::OtherKey));
        assert_eq!(altered(&|wrap| wrap.commit[0] ^= 1), Some(PlatformWrapError::OtherKey));
        for at in 0..wrap.sealed.len() {
            let mut sealed = wrap.sealed.to_vec();
            sealed[at] ^= 1;
            assert_eq!(altered(&|wrap| wrap.sealed = Blob::new(sealed.clone()).expect("as long as before")), not_authentic, "byte {at}");
        }
        assert_eq!(altered(&|wrap| wrap.sealed = Blob::new(alloc::vec![0; 3]).expect("short")), not_authentic);
        let other = Keyring::found(ClusterId([2; 32]), &mut ChaCha20Rng::seed_from_u64(2));
        assert!(matches!(key.wrap(&other, place(), &mut ivs), Err(PlatformWrapError::OtherPlace { .. })));
    }
}
