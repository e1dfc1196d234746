//! Asking a node for evidence, from however far behind.
//!
//! Decides: the question names the newest policy that is known here. A node whose changes since then do not fit an answer sends a page of them in its place: it is
//! judged before the next is asked for, and pages are bounded. What was judged is kept in memory until evidence was, so that a dial that ran out of time is gone on
//! with by the next. It is remembered for good only when a node's own evidence stands for it (`NodeDialler::attest`): a page may hold a change that governors signed and
//! that is not in force. Whoever is not behind asks once, as ever.
//! Trusts: nothing of a page. Out of scope: judging pages (`ringwall_attest::governance`). Protocol section 3.1, "Pages".

use super::{NodeDialler, Pipe, SEALED_ATTEST_BYTES, of_channel};
use crate::anchor::Newest;
use crate::clock;
use crate::exchange::Exchange;
use crate::link::DialError;
use ringwall_attest::SessionError;
use ringwall_attest::governance::{PageWalk, StepError};
use ringwall_channel::{Answered, Session, Unverified};
use ringwall_wire::bounded::Blob;
use ringwall_wire::governance::PolicyPage;
use ringwall_wire::ids::{Nonce, PolicyVersion};
use ringwall_wire::session::{AttestReq, SavedExchange};
use std::sync::{Arc, Mutex, PoisonError};

/// Where pages led that were judged, and that no evidence was judged after.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<Option<Arc<Newest>>>);

impl Ahead {
    /// What to begin with for someone who holds this: where pages led from it, if any did.
    fn beyond(&self, held: Option<Arc<Newest>>) -> Option<Arc<Newest>> {
        let ahead = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let goes_on = |ahead: &Newest| match &held {
            None => true,
            Some(held) => {
                let next = ahead.record.steps.get(held.record.steps.len());
                next.is_some_and(|next| next.signed.replaces == Some(held.record.digest()))
            }
        };
        ahead.filter(|ahead| goes_on(ahead)).or(held)
    }

    fn keep(&self, newest: Option<Arc<Newest>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = newest;
    }

    /// Evidence was judged: either what is known is kept elsewhere now, or nobody stands for it.
    pub(super) fn forget(&self) {
        self.keep(None);
    }
}

impl NodeDialler {
    /// Steps 3 and 4: evidence for this very session, not judged yet.
    pub(super) async fn ask(&self, pipe: &mut Pipe, session: &mut Session<Unverified>, nonce: &Nonce) -> Result<Exchange, DialError> {
        let noise = *session.remote_noise().ok_or_else(|| DialError::Handshake("the node has no static key".into()))?;
        let mut remembered = self.governed.remembered().await?;
        remembered.policy = self.ahead.beyond(remembered.policy);
        let mut walk = PageWalk::new(self.cluster_id, remembered.policy.as_deref().map(|newest| &newest.policy));
        let answered = loop {
            match self.answered(pipe, session, nonce, &walk).await {
                Ok(Answered::Page(page)) => match taken(walk, *page).await? {
                    Ok(next) => walk = next,
                    Err(fault) => return Err(self.refuse(Some(&noise), SessionError::Steps(fault))),
                },
                Ok(Answered::Answer(answer)) => break Ok(*answer),
                Err(fault) => break Err(fault),
            }
        };
        if !walk.is_empty() {
            remembered.policy = Newest::after(remembered.policy.as_deref(), self.cluster_id, &walk).map(Arc::new);
            self.ahead.keep(remembered.policy.clone());
        }
        let answer = answered?;
        let asked = SavedExchange {
            cluster_id: self.cluster_id,
            min_policy_version: self.least_version(&walk),
            handshake: *session.handshake(),
            nonce: *nonce,
            noise,
            mode: self.attest,
            at_s: clock::now_s(),
            answer: Blob::default(),
        };
        Ok(Exchange::new(asked, answer, remembered))
    }

    async fn answered(
        &self,
        pipe: &mut Pipe,
        session: &mut Session<Unverified>,
        nonce: &Nonce,
        walk: &PageWalk,
    ) -> Result<Answered, DialError> {
        let min_policy_version = self.least_version(walk);
        let question = AttestReq { nonce: *nonce, mode: self.attest, min_policy_version, known_policy: walk.known() };
        pipe.write(&session.seal_attest_req(&question).map_err(of_channel)?).await?;
        let sealed = pipe.read(SEALED_ATTEST_BYTES).await?;
        session.open_answer(&sealed).map_err(of_channel)
    }

    fn least_version(&self, walk: &PageWalk) -> PolicyVersion {
        walk.policy().map_or(self.min_policy_version, |policy| policy.version.max(self.min_policy_version))
    }
}

/// Judges a page off the event loop: up to a second of signatures where many governors and witnesses sign.
async fn taken(mut walk: PageWalk, page: PolicyPage) -> Result<Result<PageWalk, StepError>, DialError> {
    let judging = tokio::task::spawn_blocking(move || walk.take(page).map(|()| walk));
    judging.await.map_err(|_| DialError::Handshake("the program is ending".into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_wire::bounded::List;
    use ringwall_wire::codec::Message as _;
    use ringwall_wire::governance::PolicyStep;
    use ringwall_wire::ids::{ClusterId, Digest};
    use ringwall_wire::known::KnownPolicy;
    use ringwall_wire::policy::SignedPolicy;

    /// So many changes after the founding, made in this second: not judged by anybody.
    fn newest(changes: u64, timelock_s: u32) -> Arc<Newest> {
        let founding = ringwall_sim::world::policy();
        let mut known = KnownPolicy { cluster_id: ClusterId([7; 32]), founding, steps: List::default() };
        for _ in 0..changes {
            let mut policy = known.policy().unwrap();
            policy.version.0 += 1;
            policy.governance.timelock_s = timelock_s;
            let policy = Blob::new(policy.encode()).unwrap();
            let signed = SignedPolicy { replaces: Some(known.digest()), policy, signatures: List::default() };
            known = known.followed_by(&[PolicyStep { signed, notice: None }]).unwrap();
        }
        Arc::new(Newest::new(known).unwrap())
    }

    #[test]
    fn pages_are_gone_on_with_only_where_they_lead_on_from_what_is_held() {
        let ahead = Ahead::default();
        let version = |held: Option<Arc<Newest>>| ahead.beyond(held).map(|newest| newest.policy.version.0);
        assert_eq!((version(None), version(Some(newest(3, 5)))), (None, Some(4)), "no page came");
        ahead.keep(Some(newest(40, 5)));
        assert_eq!((version(None), version(Some(newest(3, 5)))), (Some(41), Some(41)));
        assert_eq!(version(Some(newest(40, 5))), Some(41), "as far");
        assert_eq!(version(Some(newest(41, 5))), Some(42), "another process is further");
        assert_eq!(version(Some(newest(3, 9))), Some(4), "of another row: what is held stays");
        ahead.forget();
        assert_eq!(version(None), None);
    }

    #[test]
    fn what_pages_add_is_a_record_from_the_founding_on() {
        let held = newest(2, 5);
        let walk = PageWalk::new(ClusterId([7; 32]), Some(&held.policy));
        let same = Newest::after(Some(&held), ClusterId([7; 32]), &walk).unwrap();
        assert_eq!(same, *held);
        let none = PageWalk::new(ClusterId([7; 32]), None);
        assert_eq!(Newest::after(None, ClusterId([7; 32]), &none), None, "without a page nothing is known");
        assert_eq!(held.record.digest(), Digest(held.policy.digest()));
    }
}
