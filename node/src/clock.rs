//! The one file of the node that reads a clock.
//!
//! Decides: wall time is Unix time of this machine. Evidence and endorsements are judged at it, proposals are stamped with it; no
//! safety rests on it, since the host owns the clock of its guests. Waiting is measured by tokio's monotonic clock.
//! Trusts: the machine for hygiene alone. Out of scope: group time (`consensus`). Protocol section 8, "Time inside".

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Reads wall time: Unix milliseconds. A value, so that tests and simulations bring their own.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The clock of this machine; 0 when it is set before 1970, which every appraisal then refuses as too early.
pub fn system() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Monotonic time, for deadlines and backoff.
pub(crate) fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
