//! The master keys this process holds, as they come and go.
//!
//! Decides: nothing; whoever asks gets the ring as it is now, whole. Who changes it: founding and joining (the first ring), `custody` (later ones).
//! Trusts: those. Out of scope: which keys are alive (the replicated record says). Protocol section 7.5.

use ringwall_keys::Keyring;
use std::sync::{Arc, PoisonError, RwLock};

/// The ring of this process.
#[derive(Debug)]
pub struct Ring(RwLock<Arc<Keyring>>);

impl Ring {
    /// With these keys at first.
    pub fn new(keys: Keyring) -> Arc<Self> {
        Arc::new(Ring(RwLock::new(Arc::new(keys))))
    }

    /// The keys as of now.
    pub fn now(&self) -> Arc<Keyring> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another ring in its place, made from the one that is there; keys that are not in it are wiped once nobody works with them any more.
    pub fn change(&self, next: impl FnOnce(&Keyring) -> Keyring) {
        let mut ring = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *ring = Arc::new(next(&ring));
    }
}
