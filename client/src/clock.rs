//! The one file of the client that reads a clock.
//!
//! Decides: evidence and endorsements are judged at the wall clock of the client's own machine (a node cannot choose it), and
//! waiting is measured on the monotonic clock. Trusts: the machine the client runs on.
//! Out of scope: group time (`consensus`). Protocol section 8, "Client freshness".

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Longer than any process waits.
const FAR: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Unix seconds by this machine's clock; 0 for a clock set before 1970, which every appraisal then refuses as too early.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Monotonic time, for deadlines and backoff.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The same as the core counts it: milliseconds since this process first asked.
pub(crate) fn now_ms() -> u64 {
    ms(now())
}

/// A moment as the core counts it.
pub(crate) fn ms(moment: Instant) -> u64 {
    millis(moment.into_std().saturating_duration_since(*origin()))
}

/// The moment the core counts as `ms`; one that is too far away to be counted is as far as years.
pub(crate) fn at(ms: u64) -> Instant {
    let origin = *origin();
    Instant::from_std(origin.checked_add(Duration::from_millis(ms)).unwrap_or_else(|| origin + FAR))
}

fn origin() -> &'static std::time::Instant {
    static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
    ORIGIN.get_or_init(std::time::Instant::now)
}

/// Whole milliseconds, for people and `--json`.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
