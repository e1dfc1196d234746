//! How patiently a client waits.
//!
//! Decides: three times, and their defaults. Trusts: whoever sets them. Out of scope: what happens when they are over (`core.rs`), and the pauses
//! nobody sets (`rounds.rs`, `lane.rs`). Protocol section 3.

use std::time::Duration;

/// How patiently a client waits. Parts of a millisecond do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Most time to open, attest and authenticate one session. Default 5 s: a throttled guest waits up to 2 s for its quote.
    pub dial: Duration,
    /// Most time without any answer while questions wait, after which the node is left. Default 5 s.
    pub answer: Duration,
    /// Most time an operation takes in all, over every node and retry. Default 30 s.
    pub deadline: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { dial: Duration::from_secs(5), answer: Duration::from_secs(5), deadline: Duration::from_secs(30) }
    }
}

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
