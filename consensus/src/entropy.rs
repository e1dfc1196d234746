//! The one file of the replica that reads the operating system's generator.
//!
//! Decides: a draw that fails or is all zeroes is an error, not a key. Nothing drawn here is replicated, sent or stored: it keys hashes in memory, so
//! a simulated world replays the same whatever it is. Trusts: the guest's kernel; `node` tried its generator at boot.
//! Out of scope: every other key (`node`, `keys`). Protocol sections 1.2 (R11) and 5.1.

use std::io;

/// `N` bytes of the system's generator.
pub(crate) fn draw<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    match bytes == [0; N] {
        true => Err(io::Error::other(
            "the operating system's generator returns zeroes; no file is opened with it (restart the machine, update its firmware)",
        )),
        false => Ok(bytes),
    }
}
