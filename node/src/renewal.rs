//! How long a session lasts: until its evidence is too old, until all are renewed, or until fresh evidence of the same node is refused.
//!
//! Decides: an age that is never above the policy's, the configuration's and a day; another policy ends every session, also one whose evidence was asked for
//! before it and that opens after it; the dialling side ends first, so that it attests anew
//! before the other side would cut it off. Evidence that is refused ends every session with the node that showed it: with its key, which the
//! handshake authenticated, so that nobody ends the sessions of another. Ages are measured on a monotonic clock, which can end
//! something and make nothing safe: a clock that stands still leaves sessions as they are, open to members that were judged once.
//! Trusts: nothing. Out of scope: judging (`attesting`), dialling again (`peers::pool`). Protocol section 3, SB5.

use crate::clock;
use ringwall_wire::ids::NoisePublic;
use ringwall_wire::limits::REATTEST_MOST_S;
use ringwall_wire::policy::SessionRules;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The dialling side ends a session a tenth of its time early, and at most this much.
const LEAD_MOST: Duration = Duration::from_secs(30);

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Its evidence is as old as it may be.
    Aged,
    /// All sessions are opened anew.
    Renewed,
    /// Fresh evidence of the other side was refused.
    Refused,
}

/// The sessions of a node with other nodes, and what bounds those with clients.
#[derive(Debug)]
pub struct Sessions {
    configured: Duration,
    renewals: watch::Sender<u64>,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    limit: Duration,
    /// When all sessions were opened anew for the last time.
    renewed: Option<Instant>,
    next: u64,
    sessions: BTreeMap<u64, (NoisePublic, watch::Sender<bool>)>,
}

/// One session, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Lasting {
    sessions: Arc<Sessions>,
    number: u64,
    until: Instant,
    /// All sessions were opened anew while this one was being opened.
    outdated: bool,
    renewals: watch::Receiver<u64>,
    refused: watch::Receiver<bool>,
}

impl Sessions {
    /// No session yet. Their age is bounded by the policy and by what this node was configured with.
    pub fn new(policy: &SessionRules, configured: Duration) -> Arc<Self> {
        let open = Open { limit: longest(policy, configured), renewed: None, next: 0, sessions: BTreeMap::new() };
        Arc::new(Sessions { configured, renewals: watch::Sender::new(0), open: Mutex::new(open) })
    }

    /// Another policy says how long evidence counts; for sessions that are open, [`Sessions::renew`] ends the matter.
    pub(crate) fn follow(&self, policy: &SessionRules) {
        self.lock().limit = longest(policy, self.configured);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long evidence counts.
    pub(crate) fn limit(&self) -> Duration {
        self.lock().limit
    }

    /// Whoever holds this is told when all sessions are opened anew.
    pub(crate) fn renewals(&self) -> watch::Receiver<u64> {
        self.renewals.subscribe()
    }

    /// Ends every session: whoever still needs one attests anew. A change of policy calls it; an operator may.
    pub(crate) fn renew(&self) {
        self.lock().renewed = Some(clock::now());
        self.renewals.send_modify(|number| *number = number.saturating_add(1));
    }

    /// Evidence of the node with this key was refused: its sessions end. Gives how many that were.
    pub(crate) fn refuse(&self, noise: &NoisePublic) -> usize {
        let open = self.lock();
        let theirs: Vec<_> = open.sessions.values().filter(|(key, _)| key == noise).collect();
        for (_, refused) in &theirs {
            refused.send_replace(true);
        }
        theirs.len()
    }

    /// A session this node dialled, whose evidence was asked for at `since`.
    pub(crate) fn dialled(self: &Arc<Self>, noise: NoisePublic, since: Instant) -> Lasting {
        let limit = self.limit();
        self.enter(noise, since, limit.saturating_sub((limit / 10).min(LEAD_MOST)))
    }

    /// A session this node answered.
    pub(crate) fn answered(self: &Arc<Self>, noise: NoisePublic, since: Instant) -> Lasting {
        self.enter(noise, since, self.limit())
    }

    fn enter(self: &Arc<Self>, noise: NoisePublic, since: Instant, lasts: Duration) -> Lasting {
        let (tell, refused) = watch::channel(false);
        // Before the look at `renewed`: a word between the two is heard twice, and never missed.
        let renewals = self.renewals();
        let mut open = self.lock();
        // Its evidence may be bound to the policy before.
        let outdated = open.renewed.is_some_and(|renewed| since <= renewed);
        let number = open.next;
        open.next = number.saturating_add(1);
        open.sessions.insert(number, (noise, tell));
        drop(open);
        Lasting { sessions: Arc::clone(self), number, until: since + lasts, outdated, renewals, refused }
    }
}

fn longest(policy: &SessionRules, configured: Duration) -> Duration {
    Duration::from_secs(u64::from(policy.reattest_s.min(REATTEST_MOST_S))).min(configured)
}

impl Lasting {
    /// Waits until the session has to end.
    pub(crate) async fn over(&mut self) -> Over {
        if self.outdated {
            return Over::Renewed;
        }
        tokio::select! {
            biased;
            // The sending halves live as long as `sessions`.
            _ = self.refused.wait_for(|refused| *refused) => Over::Refused,
            _ = self.renewals.changed() => Over::Renewed,
            () = tokio::time::sleep_until(self.until) => Over::Aged,
        }
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.sessions.lock().sessions.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn sessions(policy_s: u32, configured: Duration) -> Arc<Sessions> {
        Sessions::new(&SessionRules { reattest_s: policy_s, standing_period_s: 0 }, configured)
    }

    #[test]
    fn no_session_outlives_policy_configuration_or_a_day() {
        assert_eq!(sessions(3_600, DAY).limit(), Duration::from_secs(3_600));
        assert_eq!(sessions(3_600, Duration::from_secs(60)).limit(), Duration::from_secs(60));
        assert_eq!(sessions(604_800, 7 * DAY).limit(), DAY);
    }

    #[tokio::test(start_paused = true)]
    async fn the_dialling_side_ends_first_and_both_within_the_limit() {
        let sessions = sessions(100, DAY);
        let since = clock::now();
        let (mut dialled, mut answered) = (sessions.dialled(NoisePublic([1; 32]), since), sessions.answered(NoisePublic([1; 32]), since));
        assert_eq!(dialled.over().await, Over::Aged);
        assert_eq!(since.elapsed(), Duration::from_secs(90));
        assert_eq!(answered.over().await, Over::Aged);
        assert_eq!(since.elapsed(), Duration::from_secs(100));
    }

    #[tokio::test(start_paused = true)]
    async fn refused_evidence_ends_the_sessions_of_its_node_and_of_nobody_else() {
        let sessions = sessions(100, DAY);
        let (bad, good) = (NoisePublic([1; 32]), NoisePublic([2; 32]));
        let now = clock::now();
        let mut theirs = [sessions.dialled(bad, now), sessions.answered(bad, now)];
        let mut other = sessions.answered(good, now);
        assert_eq!(sessions.refuse(&NoisePublic([3; 32])), 0, "a stranger ends nothing");
        assert_eq!(sessions.refuse(&bad), 2);
        for session in &mut theirs {
            assert_eq!(session.over().await, Over::Refused);
        }
        drop(theirs);
        assert_eq!(sessions.refuse(&bad), 0, "sessions that are gone are not kept");
        assert_eq!(other.over().await, Over::Aged);
    }

    #[tokio::test(start_paused = true)]
    async fn all_sessions_are_renewed_at_a_word() {
        let sessions = sessions(100, DAY);
        let mut one = sessions.dialled(NoisePublic([1; 32]), clock::now());
        let client = sessions.renewals();
        sessions.renew();
        assert_eq!(one.over().await, Over::Renewed);
        assert!(client.has_changed().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn another_policy_ends_what_was_asked_for_before_it_and_says_how_long_the_next_lasts() {
        let sessions = sessions(100, DAY);
        let before = clock::now();
        sessions.follow(&SessionRules { reattest_s: 40, standing_period_s: 0 });
        sessions.renew();
        assert_eq!(sessions.dialled(NoisePublic([1; 32]), before).over().await, Over::Renewed, "opened after it, asked for before");
        tokio::time::advance(Duration::from_secs(1)).await;
        let since = clock::now();
        assert_eq!(sessions.answered(NoisePublic([1; 32]), since).over().await, Over::Aged);
        assert_eq!(since.elapsed(), Duration::from_secs(40));
        sessions.follow(&SessionRules { reattest_s: 604_800, standing_period_s: 0 });
        assert_eq!(sessions.limit(), DAY);
    }
}
