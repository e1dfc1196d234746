//! The calls of docs/core.md as functions of a module: one core a module, made when it is first asked.
//!
//! Decides: nothing; bytes in, bytes out. A call that panics ends the instance, clients and all, whose memory the page has kept.
//! Trusts: the page for what docs/core.md trusts a host for. Out of scope: calls (`ringwall_session::spoken`), their way in (`door.rs`).

use crate::qr;
use ringwall_session::spoken::Spoken;
use std::sync::{Mutex, PoisonError};

/// The core of a module, with the roots that `make` gives it.
pub struct Words {
    make: fn() -> Spoken,
    held: Mutex<Option<Spoken>>,
}

impl core::fmt::Debug for Words {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("Words")
    }
}

impl Words {
    /// A core that is made by `make`.
    pub const fn new(make: fn() -> Spoken) -> Self {
        Words { make, held: Mutex::new(None) }
    }

    fn with(&self, work: impl FnOnce(&mut Spoken) -> Vec<u8>) -> Vec<u8> {
        work(self.held.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(self.make))
    }

    /// The call `card`.
    pub fn card(&self, frame: &[u8]) -> Vec<u8> {
        self.with(|spoken| spoken.card(frame))
    }

    /// The call `verify`.
    pub fn verify(&self, frame: &[u8]) -> Vec<u8> {
        self.with(|spoken| spoken.verify(frame))
    }

    /// The call `open`.
    pub fn open(&self, frame: &[u8]) -> Vec<u8> {
        self.with(|spoken| spoken.open(frame))
    }

    /// The call `handle`.
    pub fn handle(&self, frame: &[u8]) -> Vec<u8> {
        self.with(|spoken| spoken.handle(frame))
    }

    /// The call `qr`, which needs no core.
    pub fn qr(&self, frame: &[u8]) -> Vec<u8> {
        qr::call(frame)
    }
}

/// Exports the calls of a [`Words`] that is called `WORDS` where this is said.
#[macro_export]
macro_rules! exported_words {
    () => {
        $crate::exported!(card, verify, open, handle, qr);

        /// The call `card`.
        pub fn card(frame: &[u8]) -> Vec<u8> {
            WORDS.card(frame)
        }

        /// The call `verify`.
        pub fn verify(frame: &[u8]) -> Vec<u8> {
            WORDS.verify(frame)
        }

        /// The call `open`.
        pub fn open(frame: &[u8]) -> Vec<u8> {
            WORDS.open(frame)
        }

        /// The call `handle`.
        pub fn handle(frame: &[u8]) -> Vec<u8> {
            WORDS.handle(frame)
        }

        /// The call `qr`.
        pub fn qr(frame: &[u8]) -> Vec<u8> {
            WORDS.qr(frame)
        }
    };
}
