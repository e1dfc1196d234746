//! The master keys this process holds, as they come and go.
//!
//! Decides: whoever asks gets the ring as it is now, whole; what is written to disk is sealed under a key the record names, so that whoever recovers has
//! it. Who changes it: founding and joining (the first ring), `custody` (later ones), recovery.
//! Trusts: those. Out of scope: which keys are alive (the replicated record says). Protocol sections 6.2 and 7.5.

use ringwall_consensus::{Seal, Sealer};
use ringwall_keys::Keyring;
use ringwall_wire::ids::KeyEpoch;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The ring of this process.
#[derive(Debug)]
pub struct Ring {
    keys: RwLock<Arc<Keyring>>,
    /// The generation seals are made under.
    sealing: AtomicU32,
}

impl Ring {
    /// With these keys at first. The oldest is surely one the record names; a newer one may have been handed out for a rotation that is given up.
    pub fn new(keys: Keyring) -> Arc<Self> {
        let sealing = AtomicU32::new(keys.oldest().0);
        Arc::new(Ring { keys: RwLock::new(Arc::new(keys)), sealing })
    }

    /// The keys as of now.
    pub fn now(&self) -> Arc<Keyring> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another ring in its place, made from the one that is there; keys that are not in it are wiped once nobody works with them any more.
    pub fn change(&self, next: impl FnOnce(&Keyring) -> Keyring) {
        let mut ring = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *ring = Arc::new(next(&ring));
    }

    /// What is written is sealed under this generation from now on: one the record names.
    pub(crate) fn seal_under(&self, key_epoch: KeyEpoch) {
        self.sealing.store(key_epoch.0, Ordering::Relaxed);
    }

    /// Seals what this member writes.
    pub fn sealer(self: &Arc<Self>) -> Sealer {
        let ring = Arc::clone(self);
        Arc::new(move |words| {
            let keys = ring.now();
            let wanted = KeyEpoch(ring.sealing.load(Ordering::Relaxed));
            let sealed = keys.seal_log(wanted, words).map(|mac| Seal { key_epoch: wanted, mac });
            // The generation was dropped a moment ago: any other on the ring was alive then.
            let oldest = || {
                let key_epoch = keys.oldest();
                let mac = keys.seal_log(key_epoch, words).expect("a ring has its oldest key");
                Seal { key_epoch, mac }
            };
            sealed.unwrap_or_else(oldest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;
    use ringwall_wire::ids::ClusterId;

    #[test]
    fn seals_are_made_under_a_key_the_record_names() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let founded = Keyring::found(ClusterId([1; 32]), &mut rng);
        let ring = Ring::new(founded.clone());
        let (seal, second) = (ring.sealer(), founded.new_master(KeyEpoch(2), &mut rng));
        ring.change(|keys| keys.with(&second));
        assert_eq!(seal(b"words").key_epoch, KeyEpoch(1), "offered, and named by nobody yet");
        ring.seal_under(KeyEpoch(2));
        let made = seal(b"words");
        assert_eq!(made.key_epoch, KeyEpoch(2));
        assert!(ring.now().has_sealed(KeyEpoch(2), b"words", &made.mac));
        assert!(!ring.now().has_sealed(KeyEpoch(1), b"words", &made.mac), "another generation");
        assert!(!ring.now().has_sealed(KeyEpoch(2), b"other", &made.mac), "other words");
        ring.seal_under(KeyEpoch(1));
        ring.change(|keys| keys.keeping(|held| held.key_epoch == KeyEpoch(2)));
        assert_eq!(seal(b"words").key_epoch, KeyEpoch(2), "the first one was dropped");
    }
}
