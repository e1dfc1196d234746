//! What time it is for the group, as whoever leads stamps it: the one file of this crate that reads a clock.
//!
//! Decides: the group's time goes on at the rate of clocks, also where one leader's clock once ran ahead. A stamp is the leader's own clock, or the largest
//! time of the group it has seen plus what a monotonic clock measured since, whichever is later. Without the second half one entry stamped a century ahead would
//! have the time stand still for a century: no delay of a policy would end, no lease lapse, no record expire.
//! The monotonic clock is tokio's, which simulations run themselves.
//! Trusts: nothing; a clock that runs fast brings time forward, as a wrong clock does. Out of scope: what time decides (`machine`). Protocol section 8,
//! "Time inside".

use crate::replica::{Inner, Replica};
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// The largest time of the group that was seen, and when.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Option<(u64, Instant)>>);

impl Pace {
    /// The time to stamp with, Unix milliseconds: never before `clock_ms` nor before `risen_ms`, the time the group has reached.
    pub(crate) fn now_ms(&self, clock_ms: u64, risen_ms: u64) -> u64 {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        go_on(&mut held, Instant::now(), clock_ms, risen_ms)
    }
}

fn go_on(held: &mut Option<(u64, Instant)>, now: Instant, clock_ms: u64, risen_ms: u64) -> u64 {
    let gone_ms = |since: Instant| u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX);
    let paced_ms = held.map_or(0, |(base_ms, since)| base_ms.saturating_add(gone_ms(since)));
    if risen_ms > paced_ms {
        *held = Some((risen_ms, now));
    }
    clock_ms.max(paced_ms).max(risen_ms)
}

impl Inner {
    /// The time this replica would stamp an entry with now.
    pub(crate) fn now_ms(&self) -> u64 {
        self.pace.now_ms((self.options.clock)(), self.readers.time_ms())
    }
}

impl Replica {
    /// The time this replica would stamp an entry with now, Unix milliseconds: what a leader goes by before it proposes.
    pub fn now_ms(&self) -> u64 {
        self.inner().now_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const YEAR_2100_MS: u64 = 4_102_444_800_000;

    #[test]
    fn one_clock_that_ran_ahead_does_not_stop_time() {
        let (begin, mut held) = (Instant::now(), None);
        let mut at = |second: u64, clock_ms, risen_ms| go_on(&mut held, begin + Duration::from_secs(second), clock_ms, risen_ms);
        assert_eq!(at(0, 1_000, 0), 1_000, "before anything is on record the own clock is all there is");
        // Another leader stamped one entry with 2100; this one's clock is right.
        assert_eq!(at(1, 2_000, YEAR_2100_MS), YEAR_2100_MS);
        assert_eq!(at(61, 62_000, YEAR_2100_MS), YEAR_2100_MS + 60_000, "and goes on at the rate of clocks");
        // What it stamped is applied a moment later: that moment is not lost.
        assert_eq!(at(62, 63_000, YEAR_2100_MS + 60_000), YEAR_2100_MS + 61_000);
        assert_eq!(at(63, 64_000, YEAR_2100_MS + 90_000), YEAR_2100_MS + 90_000, "it follows a time that rose elsewhere");
        assert_eq!(at(64, YEAR_2100_MS + 95_000, YEAR_2100_MS + 90_000), YEAR_2100_MS + 95_000, "and its own clock");
        assert_eq!(at(65, 0, u64::MAX), u64::MAX);
        assert_eq!(at(66, 0, 0), u64::MAX, "the end of time is no fault");
    }
}
