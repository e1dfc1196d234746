//! When to ask the vendors again.
//!
//! Decides: the wait after each round, as a function of time, validity, failures and chance. A good round is followed by another after a share of
//! the remaining validity, at most the configured time; a bad one by a wait that doubles. Every wait is drawn from its upper half, so that nodes
//! that started together do not ask together, and no wait is below its floor, so that nothing hammers a service.
//! Trusts: nothing; a clock that jumps makes a wait shorter or longer within these bounds. Out of scope: sleeping (`keeper`).

use super::limits::{REFRESH_LEAST, REFRESH_SHARE, RETRY_AFTER_MOST, RETRY_FIRST, RETRY_MOST};
use std::time::Duration;

/// What a round left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Rounds that failed since the last good one.
    pub failures: u32,
    /// What the service asked for.
    pub retry_after: Option<Duration>,
    /// Until when everything held is in force, Unix seconds; absent when something is missing.
    pub expires_s: Option<u64>,
}

/// The wait until the next round, at `now_s`. `chance` is uniformly random.
pub fn wait(outlook: &Outlook, refresh: Duration, now_s: u64, chance: u64) -> Duration {
    if outlook.failures > 0 {
        let asked = outlook.retry_after.unwrap_or_default().min(RETRY_AFTER_MOST);
        return upper_half(backoff(outlook.failures), chance).max(asked);
    }
    let left = Duration::from_secs(outlook.expires_s.unwrap_or(0).saturating_sub(now_s) / REFRESH_SHARE);
    upper_half(left.min(refresh), chance).max(REFRESH_LEAST)
}

/// [`RETRY_FIRST`], doubled for each further failure, at most [`RETRY_MOST`].
fn backoff(failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    RETRY_FIRST.checked_mul(factor).unwrap_or(RETRY_MOST).min(RETRY_MOST)
}

fn upper_half(wait: Duration, chance: u64) -> Duration {
    let half = wait / 2;
    let steps = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
    let part = chance.checked_rem(steps.saturating_add(1)).unwrap_or(0);
    half.saturating_add(Duration::from_millis(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const CHANCES: [u64; 5] = [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX];

    #[test]
    fn waits_after_failures_double_and_stay_within_their_bounds() {
        for chance in CHANCES {
            for (failures, most) in [(1, 4), (2, 8), (3, 16), (11, 4_096), (12, 8_192), (13, 10_800), (40, 10_800), (u32::MAX, 10_800)] {
                let most = Duration::from_secs(most);
                let wait = wait(&Outlook { failures, ..Outlook::default() }, DAY, 0, chance);
                assert!((most / 2..=most).contains(&wait), "{failures} failures: {wait:?}");
            }
        }
    }

    #[test]
    fn a_service_is_heard_when_it_asks_to_wait_and_cannot_silence_a_node() {
        let asked = |seconds| Outlook { failures: 1, retry_after: Some(Duration::from_secs(seconds)), expires_s: None };
        for chance in CHANCES {
            assert_eq!(wait(&asked(900), DAY, 0, chance), Duration::from_secs(900));
            assert_eq!(wait(&asked(u64::MAX), DAY, 0, chance), RETRY_AFTER_MOST);
            assert!(wait(&asked(0), DAY, 0, chance) >= RETRY_FIRST / 2);
        }
    }

    #[test]
    fn good_rounds_come_daily_sooner_near_the_end_and_never_at_once() {
        for chance in CHANCES {
            let left = |seconds: u64| wait(&Outlook { expires_s: Some(1_000 + seconds), ..Outlook::default() }, DAY, 1_000, chance);
            assert!((DAY / 2..=DAY).contains(&left(30 * 86_400)));
            assert!(left(86_400) <= DAY / 3);
            assert_eq!(left(0), REFRESH_LEAST);
            assert_eq!(wait(&Outlook::default(), DAY, 1_000, chance), REFRESH_LEAST);
            assert_eq!(wait(&Outlook { expires_s: Some(5), ..Outlook::default() }, DAY, u64::MAX, chance), REFRESH_LEAST);
        }
    }

    #[test]
    fn nodes_that_started_together_do_not_ask_together() {
        let outlook = Outlook { expires_s: Some(30 * 86_400), ..Outlook::default() };
        let mut waits: Vec<Duration> =
            (0..1_000_u64).map(|node| wait(&outlook, DAY, 0, node.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 990, "{} different waits", waits.len());
    }
}
