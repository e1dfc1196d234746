//! An open session with one node: sealed records, and what its receipts must say.
//!
//! Decides: messages are sealed behind those that wait; what arrived is passed on only behind a receipt that answers for it (`anchor/keeper.rs`); nothing goes on
//! after what ended this client's use of the cluster. Buffers that were written out do not stay large.
//! Trusts: the session's keys. Out of scope: carrying bytes (whoever drives it), what messages mean (`core.rs`), opening (`opening.rs`). Protocol section 3, step 7.

use crate::anchor::Sitting;
use crate::dial::LinkError;
use ringwall_channel::{Opener, Sealer};

/// Most bytes that are given to [`Line::push`] at once: less than an opener lets wait.
pub const CHUNK_BYTES: usize = 128 * 1024;
/// Bytes of a written-out buffer that are kept for the next one.
const KEPT_BYTES: usize = 256 * 1024;

/// The session.
pub struct Line {
    sealer: Sealer,
    opener: Opener,
    out: Vec<u8>,
    written: usize,
    /// The session's receipts; none before its user was accepted.
    sitting: Option<Sitting>,
}

impl core::fmt::Debug for Line {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Line({:?}, {} bytes wait)", self.sitting, self.backlog())
    }
}

impl Line {
    /// A session whose user is not accepted yet.
    pub(crate) fn new(sealer: Sealer, opener: Opener) -> Self {
        Line { sealer, opener, out: Vec::new(), written: 0, sitting: None }
    }

    /// From here on receipts are demanded.
    pub(crate) fn sit(&mut self, sitting: Sitting) {
        self.sitting = Some(sitting);
    }

    /// Seals messages behind those that wait to be written.
    pub fn queue<M: AsRef<[u8]>>(&mut self, messages: &[M]) -> Result<(), LinkError> {
        self.sealer.seal_many(messages, &mut self.out).map_err(|fault| LinkError::Breach(fault.to_string()))
    }

    /// Sealed bytes that wait to be written.
    pub fn backlog(&self) -> usize {
        self.unsent().len()
    }

    /// The bytes that wait to be written, the oldest first.
    pub fn unsent(&self) -> &[u8] {
        self.out.get(self.written..).unwrap_or_default()
    }

    /// So many of [`Line::unsent`] were written.
    pub fn sent(&mut self, count: usize) {
        self.written = self.written.saturating_add(count);
        if self.written >= self.out.len() {
            self.out.clear();
            self.out.shrink_to(KEPT_BYTES);
            self.written = 0;
        }
    }

    /// Takes bytes of the node, at most [`CHUNK_BYTES`]; [`Line::drain`] is called before more are given.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.opener.push(bytes).map_err(|fault| LinkError::Breach(fault.to_string()))
    }

    /// Gives what was decrypted. `now_ms` is the driver's clock: what receipts add is kept within a second of it.
    pub fn drain(&mut self, arrived: &mut Vec<Vec<u8>>, now_ms: u64) -> Result<(), LinkError> {
        while let Some(message) = self.opener.next().map_err(|fault| LinkError::Breach(fault.to_string()))? {
            let passes = self.sitting.as_mut().map_or(Ok(true), |sitting| sitting.passes(&message, now_ms))?;
            if passes {
                arrived.push(message);
            }
        }
        Ok(())
    }

    /// Whether the session may go on: not after a detection, in whichever session of this client it was.
    pub fn goes_on(&self) -> Result<(), LinkError> {
        self.sitting.as_ref().map_or(Ok(()), |sitting| sitting.goes_on().map_err(LinkError::from))
    }
}
