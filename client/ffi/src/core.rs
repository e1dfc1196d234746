//! The core in words, one for each handle.
//!
//! Decides: that clients share no core, so none waits for another. Trusts: `roots.rs` for what is believed. Out of scope: everything the core decides
//! (`ringwall_session::spoken`). docs/core.md.

use super::roots::spoken;
use ringwall_session::spoken::Spoken;

/// A client of the core.
pub(crate) trait Core: Send {
    /// One event; its effects.
    fn handle(&mut self, frame: &[u8]) -> Vec<u8>;
}

/// Opens a client: it, and what the core answered.
pub(crate) type Opening = Box<dyn FnOnce(&[u8]) -> (Box<dyn Core>, Vec<u8>) + Send>;

impl Core for Spoken {
    fn handle(&mut self, frame: &[u8]) -> Vec<u8> {
        Spoken::handle(self, frame)
    }
}

/// What a card says.
pub(crate) fn card(frame: &[u8]) -> Vec<u8> {
    spoken().card(frame)
}

/// What a saved exchange proves.
pub(crate) fn verify(frame: &[u8]) -> Vec<u8> {
    spoken().verify(frame)
}

/// A core of its own for one client.
pub(crate) fn opening() -> Opening {
    Box::new(|frame| {
        let mut core = spoken();
        let answer = core.open(frame);
        (Box::new(core), answer)
    })
}
