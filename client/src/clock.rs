//! The one file of the client that reads a clock.
//!
//! Decides: evidence and endorsements are judged at the wall clock of the client's own machine (a node cannot choose it), and
//! waiting is measured on the monotonic clock. Trusts: the machine the client runs on.
//! Out of scope: group time (`consensus`). Protocol section 8, "Client freshness".

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Unix seconds by this machine's clock; 0 for a clock set before 1970, which every appraisal then refuses as too early.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Monotonic time, for deadlines and backoff.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Whole milliseconds, for people and `--json`.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
