//! Asking a node for evidence, from however far behind.
//!
//! Decides: the question names the newest policy that is known here. A node whose changes since then do not fit an answer sends a page of them in its place: it is
//! judged before the next is asked for, and pages are bounded. What was judged is kept in memory until evidence was, so that an attempt that ran out of time is gone on
//! with by the next. It is remembered for good only when a node's own evidence stands for it (`Memory::attest`): a page may hold a change that governors signed and
//! that is not in force. A later node that does not go by them is judged as if they had not come: nobody vouches for who sent them. Whoever is not behind asks once.
//! Trusts: nothing of a page. Out of scope: judging pages (`ringwall_attest::governance`). Protocol section 3.1, "Pages".

use super::memory::Memory;
use super::terms::{Now, Terms};
use crate::anchor::{Newest, Remembered};
use crate::dial::DialError;
use crate::exchange::Exchange;
use ringwall_attest::SessionError;
use ringwall_attest::governance::{PageWalk, StepError};
use ringwall_channel::{Answered, Session, Unverified};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::{PolicyPage, PolicyStep};
use ringwall_wire::ids::{ClusterId, Digest, NoisePublic, Nonce, PolicyVersion};
use ringwall_wire::limits::POLICY_ROW_STEPS;
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::session::{AttestReq, AttestResp, SavedExchange};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What is said of a node that was asked from where somebody else's pages ended.
const LED_ASTRAY: &str = "an earlier dial was shown policy changes that this node does not go by; it is asked again without them";

/// Where pages led that were judged, and that no evidence was judged after.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    newest: Mutex<Option<Arc<Newest>>>,
    /// They led astray once: whoever sent those would send them before every other dial, so no more are kept from one dial to the next.
    astray: AtomicBool,
}

impl Ahead {
    /// What to begin with for someone who holds this: where pages led from it, if any did.
    fn beyond(&self, held: Option<Arc<Newest>>) -> Option<Arc<Newest>> {
        let ahead = self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone();
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
        let newest = newest.filter(|_| !self.astray.load(Ordering::Relaxed));
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = newest;
    }

    fn led_astray(&self) {
        self.astray.store(true, Ordering::Relaxed);
        self.forget();
    }

    /// Evidence was judged: either what is known is kept elsewhere now, or nobody stands for it.
    pub(super) fn forget(&self) {
        self.keep(None);
    }
}

/// One row of questions to one node.
pub(super) struct Asking {
    session: Session<Unverified>,
    noise: NoisePublic,
    /// What an answer is judged from.
    remembered: Remembered,
    /// The newest policy that was verified, whatever pages led to.
    held: Option<Arc<Newest>>,
    walk: Walk,
}

impl Asking {
    /// Begins with what is remembered, and with where earlier pages led to from it.
    pub(super) fn begin(memory: &Arc<Memory>, cluster_id: ClusterId, session: Session<Unverified>) -> Result<Self, DialError> {
        let noise = *session.remote_noise().ok_or_else(|| DialError::Handshake("the node has no static key".into()))?;
        let mut remembered = memory.governed.remembered()?;
        let held = remembered.policy.clone();
        remembered.policy = memory.ahead.beyond(held.clone());
        let pages = PageWalk::new(cluster_id, remembered.policy.as_deref().map(|newest| &newest.policy));
        let walk = Walk { memory: Arc::clone(memory), cluster_id, begun: remembered.policy.clone(), pages: Some(pages) };
        Ok(Asking { session, noise, remembered, held, walk })
    }

    /// The question, sealed: what is known here, pages included.
    pub(super) fn question(&mut self, terms: &Terms, nonce: &Nonce) -> Result<Vec<u8>, DialError> {
        let pages = self.walk.pages();
        let min_policy_version = least_version(terms, pages.and_then(PageWalk::policy));
        let known_policy = pages.and_then(PageWalk::known);
        let question = AttestReq { nonce: *nonce, mode: terms.attest, min_policy_version, known_policy };
        self.session.seal_attest_req(&question).map_err(DialError::of_channel)
    }

    /// Looks at one reply. A page is judged, and there is nothing yet; anything else ends the questions.
    pub(super) fn heard(&mut self, memory: &Memory, sealed: &[u8], now: Now) -> Result<Option<Result<AttestResp, DialError>>, DialError> {
        match self.session.open_answer(sealed) {
            Ok(Answered::Page(page)) => match self.walk.take(*page) {
                Ok(()) => Ok(None),
                Err(fault) => Err(memory.refuse(Some(&self.noise), SessionError::Steps(fault), now)),
            },
            Ok(Answered::Answer(answer)) => Ok(Some(Ok(*answer))),
            Err(fault) => Ok(Some(Err(DialError::of_channel(fault)))),
        }
    }

    /// Evidence for this very session, not judged yet, with what it is to be judged from.
    pub(super) fn exchange(
        self,
        answered: Result<AttestResp, DialError>,
        (memory, terms): (&Memory, &Terms),
        nonce: &Nonce,
        now: Now,
    ) -> Result<(Session<Unverified>, Exchange), DialError> {
        let Asking { session, noise, mut remembered, held, walk } = self;
        let pages = walk.end();
        let walked = pages.filter(|pages| !pages.is_empty());
        if let Some(pages) = &walked {
            let begun = remembered.policy.as_deref();
            let Some(newest) = Newest::after(begun, terms.cluster_id, pages) else {
                // Never by less than what is held.
                return Err(memory.refuse(Some(&noise), SessionError::Steps(beyond_any_row(begun, pages)), now));
            };
            remembered.policy = Some(Arc::new(newest));
            memory.ahead.keep(remembered.policy.clone());
        }
        let answer = answered?;
        if walked.is_none() {
            let judged_from = stood_for(remembered.policy.as_ref(), held.as_ref(), &answer);
            remembered.policy = judged_from.inspect_err(|_| memory.ahead.led_astray())?;
        }
        let asked = SavedExchange {
            cluster_id: terms.cluster_id,
            min_policy_version: least_version(terms, remembered.policy.as_deref().map(|newest| &newest.policy)),
            handshake: *session.handshake(),
            nonce: *nonce,
            noise,
            mode: terms.attest,
            at_s: now.s,
            answer: Blob::default(),
        };
        Ok((session, Exchange::new(asked, answer, remembered)))
    }
}

fn least_version(terms: &Terms, policy: Option<&PolicyDoc>) -> PolicyVersion {
    policy.map_or(terms.min_policy_version, |policy| policy.version.max(terms.min_policy_version))
}

/// The pages of one attempt. One that ends in their midst, because its time ran out or its connection broke, leaves what was judged to the next.
struct Walk {
    memory: Arc<Memory>,
    cluster_id: ClusterId,
    begun: Option<Arc<Newest>>,
    /// None once they ended or one of them was refused.
    pages: Option<PageWalk>,
}

impl Walk {
    fn pages(&self) -> Option<&PageWalk> {
        self.pages.as_ref()
    }

    /// Judges a page: up to a second of signatures where many governors and witnesses sign.
    fn take(&mut self, page: PolicyPage) -> Result<(), StepError> {
        let Some(mut pages) = self.pages.take() else { return Ok(()) };
        pages.take(page)?;
        self.pages = Some(pages);
        Ok(())
    }

    fn end(mut self) -> Option<PageWalk> {
        self.pages.take()
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        let judged = self.pages.take().filter(|pages| !pages.is_empty());
        let newest = judged.and_then(|pages| Newest::after(self.begun.as_deref(), self.cluster_id, &pages));
        if let Some(newest) = newest {
            self.memory.ahead.keep(Some(Arc::new(newest)));
        }
    }
}

/// What an answer is judged from that no page of its own session came before. Where pages of an earlier dial led to counts if the answer goes by that or on from it;
/// else they were somebody else's, and what is held counts, as if they had not come. Fails where the answer does not reach back to that: it was asked from elsewhere.
fn stood_for(begun: Option<&Arc<Newest>>, held: Option<&Arc<Newest>>, answer: &AttestResp) -> Result<Option<Arc<Newest>>, DialError> {
    let bound = Digest(answer.policy.digest());
    let goes_on = |from: Digest| bound == from || answer.steps.iter().any(|step| step.signed.replaces == Some(from));
    let ahead = begun.filter(|begun| held.is_none_or(|held| held.record.digest() != begun.record.digest()));
    if ahead.is_none_or(|ahead| goes_on(ahead.record.digest())) {
        return Ok(begun.cloned());
    }
    let reaches = match held {
        Some(held) => goes_on(held.record.digest()),
        None => {
            let founding = answer.steps.first().and_then(PolicyStep::as_founding);
            founding.is_some() || bound == answer.genesis.template.policy
        }
    };
    reaches.then(|| held.cloned()).ok_or_else(|| DialError::Unreachable(LED_ASTRAY.into()))
}

/// More changes than a record takes.
fn beyond_any_row(held: Option<&Newest>, walk: &PageWalk) -> StepError {
    let got = held.map_or(0, |held| held.record.steps.len()).saturating_add(walk.steps().len());
    StepError::TooMany { got, most: POLICY_ROW_STEPS }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};
    use ringwall_wire::bounded::List;
    use ringwall_wire::ids::{SigPublic, Signature};
    use ringwall_wire::known::KnownPolicy;
    use ringwall_wire::policy::{Approval, Governance, SignedPolicy};
    use ringwall_wire::sample::{Sample as _, Source};

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
        // A stranger at one of the addresses does not keep a client from the other nodes for ever.
        ahead.keep(Some(newest(40, 5)));
        ahead.led_astray();
        assert_eq!(version(None), None);
        ahead.keep(Some(newest(40, 5)));
        assert_eq!((version(None), version(Some(newest(3, 5)))), (None, Some(4)));
    }

    /// An answer of a node that goes by this, with all changes since so many.
    fn answer(by: &Newest, since: usize) -> AttestResp {
        let steps = List::new(by.record.steps[since..].to_vec()).unwrap();
        AttestResp { policy: by.policy.clone(), steps, ..AttestResp::sample(&mut Source::new(3)) }
    }

    #[test]
    fn a_node_is_not_judged_by_pages_somebody_else_sent() {
        let (held, ahead, next) = (newest(3, 5), newest(4, 9), newest(4, 5));
        // Of one row with what is held, and never in force: a change that waits, sent by whoever answered in a node's place.
        let waiting = Arc::new(Newest::new(held.record.followed_by(&ahead.record.steps[3..]).unwrap()).unwrap());
        let from = |begun: &Arc<Newest>, held: Option<&Arc<Newest>>, answer: &AttestResp| stood_for(Some(begun), held, answer).ok();
        assert_eq!(from(&waiting, Some(&held), &answer(&held, 0)), Some(Some(Arc::clone(&held))), "it is in force, the pages' end is not");
        assert_eq!(from(&waiting, Some(&held), &answer(&next, 0)), Some(Some(Arc::clone(&held))), "it goes on otherwise");
        assert_eq!(from(&next, Some(&held), &answer(&next, 4)), Some(Some(Arc::clone(&next))), "the pages' end is in force");
        assert_eq!(from(&next, Some(&held), &answer(&newest(6, 5), 4)), Some(Some(Arc::clone(&next))), "it goes on from their end");
        let far = newest(40, 5);
        assert_eq!(from(&waiting, Some(&held), &answer(&far, 10)), None, "asked from elsewhere, it does not reach back to what is held");
        assert_eq!(from(&held, Some(&held), &answer(&far, 10)), Some(Some(Arc::clone(&held))), "nothing is ahead: as it came");
        // Whoever holds the cluster id alone.
        let mut bare = answer(&next, 0);
        assert_eq!(from(&waiting, None, &bare), None);
        bare.genesis.template.policy = Digest(next.policy.digest());
        assert_eq!(from(&waiting, None, &bare), Some(None));
        bare.genesis.template.policy = Digest([0; 32]);
        let founding = PolicyStep::founding(&next.record.founding).unwrap();
        bare.steps = List::new([&[founding], &*next.record.steps].concat()).unwrap();
        assert_eq!(from(&waiting, None, &bare), Some(None));
        assert_eq!(stood_for(None, None, &bare).ok(), Some(None));
    }

    #[test]
    fn pages_beyond_any_row_leave_nobody_with_less_than_was_held() {
        let governor = SigningKey::from_bytes(&[1; 32]);
        let keys = List::new(vec![SigPublic(governor.verifying_key().to_bytes())]).unwrap();
        let governance = Governance { keys, threshold: 1, timelock_s: 60, lease_s: 0 };
        let first = PolicyDoc { governance, ..ringwall_sim::world::policy() };
        let mut second = PolicyDoc { version: PolicyVersion(first.version.0 + 1), ..first.clone() };
        second.session.reattest_s -= 1;
        let policy = Blob::new(second.encode()).unwrap();
        let mut signed = SignedPolicy { replaces: Some(Digest(first.digest())), policy, signatures: List::default() };
        let signature = Signature(governor.sign(&signed.signed_words()).to_bytes());
        signed.signatures = List::new(vec![Approval { key: SigPublic(governor.verifying_key().to_bytes()), signature }]).unwrap();
        let mut walk = PageWalk::new(ClusterId([7; 32]), Some(&first));
        let steps = List::new(vec![PolicyStep { signed, notice: None }]).unwrap();
        walk.take(PolicyPage { founded: None, steps, left: 0 }).unwrap();
        // Where the changes of what is held come from matters to nobody here, how many there are does.
        let held = |changes: usize| {
            let steps = List::new(vec![walk.steps()[0].clone(); changes]).unwrap();
            let record = KnownPolicy { cluster_id: ClusterId([7; 32]), founding: first.clone(), steps };
            Newest { record, policy: first.clone() }
        };
        let after = |changes: usize| Newest::after(Some(&held(changes)), ClusterId([7; 32]), &walk);
        assert_eq!(after(POLICY_ROW_STEPS - 1).unwrap().policy, second);
        assert_eq!(after(POLICY_ROW_STEPS), None, "no record and no file takes it");
        let fault = beyond_any_row(Some(&held(POLICY_ROW_STEPS)), &walk);
        assert_eq!(fault, StepError::TooMany { got: POLICY_ROW_STEPS + 1, most: POLICY_ROW_STEPS });
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
