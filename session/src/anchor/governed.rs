//! One client's memory of how its cluster is governed: the newest policy and the newest head of the release log.
//!
//! Decides: what is remembered is read before every session, so that what another process of this user has seen counts; what a session showed is kept before
//! anything is sent on it. After a log was seen to lie, no session is opened, in this process or, with files, in any later one.
//! Trusts: what `attest` judged. Out of scope: which of two records is newer (`policies.rs`, `heads.rs`), files (`client`). Protocol sections 5.2 and 8.

use super::heads::LogForkFile;
use super::keeper::{Detected, Trouble, of_store};
use super::policies::newer_policy;
use super::store::{AnchorError, AnchorStore};
use ringwall_attest::governance::{PageWalk, StepError, verify_row};
use ringwall_attest::release::ReleaseError;
use ringwall_attest::{Rejection, SessionError};
use ringwall_wire::codec::DecodeError;
use ringwall_wire::governance::PolicyRow;
use ringwall_wire::ids::{ClusterId, Digest};
use ringwall_wire::known::KnownPolicy;
use ringwall_wire::limits::POLICY_ROW_STEPS;
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::release::{ForkProof, LogHead};
use std::sync::{Arc, Mutex, PoisonError};

/// It is shared by the sessions of one client.
pub struct Governed {
    store: Arc<dyn AnchorStore>,
    policy: Mutex<Option<Arc<Newest>>>,
}

/// The newest policy, and the record that shows how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// How it came about.
    pub record: KnownPolicy,
    /// The policy at its end.
    pub policy: PolicyDoc,
}

impl Newest {
    /// The policy at the end of a record.
    pub fn new(record: KnownPolicy) -> Result<Self, DecodeError> {
        Ok(Newest { policy: record.policy()?, record })
    }

    /// Where these pages lead from what was held; none where no record takes so many changes. Nobody stands for it yet.
    pub fn after(held: Option<&Newest>, cluster_id: ClusterId, walk: &PageWalk) -> Option<Self> {
        let begins = || walk.founding().map(|founding| KnownPolicy { cluster_id, founding: founding.clone(), steps: PolicyRow::default() });
        let record = held.map(|held| held.record.clone()).or_else(begins)?.followed_by(walk.steps()).ok()?;
        if record.steps.len() > POLICY_ROW_STEPS {
            return None;
        }
        Some(Newest { policy: walk.policy()?.clone(), record })
    }
}

/// What a session begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The newest policy.
    pub policy: Option<Arc<Newest>>,
    /// The newest head of the release log.
    pub head: Option<LogHead>,
    /// SHA-256 of the newest policy the store has.
    stored: Option<Digest>,
}

impl core::fmt::Debug for Governed {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("Governed")
    }
}

impl Governed {
    /// What `store` remembers, and `given` with a card.
    pub fn new(store: Arc<dyn AnchorStore>, given: Option<KnownPolicy>) -> Result<Self, DecodeError> {
        let given = given.map(Newest::new).transpose()?;
        Ok(Governed { store, policy: Mutex::new(given.map(Arc::new)) })
    }

    /// What is remembered, by whichever process of this user.
    pub fn remembered(&self) -> Result<Remembered, Trouble> {
        let kept = self.store.governed().map_err(of_store)?;
        if let Some((misdeed, evidence)) = kept.detected {
            let what = "the release log was seen to lie before, and nobody has settled the matter since".into();
            return Err(Trouble::Detected(Arc::new(Detected { misdeed, what, evidence })));
        }
        let stored = kept.policy.as_ref().map(KnownPolicy::digest);
        let policy = match kept.policy {
            Some(kept) => Some(self.take(kept)?),
            None => self.policy.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        Ok(Remembered { policy, head: kept.head, stored })
    }

    /// Keeps what a node that was judged has shown. On stable storage when this returns; nothing is written when nothing is new.
    pub fn learned(&self, before: &Remembered, policy: Option<KnownPolicy>, head: Option<&LogHead>) -> Result<(), Trouble> {
        if let Some(policy) = policy {
            let newest = self.take(policy)?;
            if before.stored != Some(newest.record.digest()) {
                let kept = self.store.save_policy(&newest.record).map_err(of_store)?;
                self.take(kept)?;
            }
        }
        match head {
            Some(head) if before.head.as_ref() != Some(head) => self.store.save_head(head).map_err(of_store),
            _ => Ok(()),
        }
    }

    /// Keeps the proof that the log lied; `what` says how.
    pub fn lied(&self, proof: &ForkProof, what: String) -> Trouble {
        let file = LogForkFile(proof.clone());
        let evidence = self.store.log_lied(&file).unwrap_or_else(|fault| format!("nowhere, because it could not be kept: {fault}"));
        Trouble::Detected(Arc::new(Detected { misdeed: file.misdeed(), what, evidence }))
    }

    fn take(&self, newer: KnownPolicy) -> Result<Arc<Newest>, Trouble> {
        let mut known = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        let merged = match known.as_deref() {
            Some(known) => newer_policy(&known.record, &newer).map_err(|fork| of_store(AnchorError::PoliciesForked(fork)))?,
            None => newer,
        };
        let merged = Newest::new(merged).map_err(|fault| Trouble::Store {
            code: "RW-C-ANCHOR-MALFORMED",
            words: format!("the record of this cluster's policy cannot be read: {fault}; move the file away to begin anew"),
        })?;
        Ok(Arc::clone(known.insert(Arc::new(merged))))
    }
}

/// The proof that the release log lied, where that is why a node was refused.
pub fn log_lied(error: &SessionError) -> Option<(&ForkProof, String)> {
    let SessionError::Rejected(Rejection::NotReleased(error)) = error else { return None };
    match &**error {
        lied @ (ReleaseError::Fork { proof, .. } | ReleaseError::RevocationTakenBack { proof, .. }) => Some((&**proof, lied.to_string())),
        _ => None,
    }
}

/// A policy with changes that were judged; a card brings them, and nobody vouches for a card.
pub fn verified(known: KnownPolicy, cluster_id: &ClusterId) -> Result<KnownPolicy, StepError> {
    let _holds = verify_row(cluster_id, &known.founding, &known.steps)?;
    Ok(known)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::anchor::{InMemory, Misdeed};
    use ringwall_sim::release::Publisher;

    #[test]
    fn after_a_log_was_seen_to_lie_nothing_is_begun() {
        let store = Arc::new(InMemory::default());
        let governed = Governed::new(Arc::clone(&store) as Arc<dyn AnchorStore>, None).unwrap();
        let mut publisher = Publisher::default();
        let before = governed.remembered().unwrap();
        assert_eq!((before.policy.clone(), before.head.clone()), (None, None));
        let small = publisher.remembered(5);
        publisher.log.append_leaf(Digest([3; 32]));
        let large = publisher.remembered(6);
        for head in [&small, &large, &small] {
            governed.learned(&before, None, Some(head)).unwrap();
        }
        assert_eq!(governed.remembered().unwrap().head, Some(large.clone()), "the newest head is kept");
        let fork = ForkProof { older: large.note, newer: small.note, path: Default::default() };
        let Trouble::Detected(found) = governed.lied(&fork, "the log shrank".into()) else { panic!("a detection") };
        assert_eq!((found.misdeed, found.what.as_str()), (Misdeed::Rollback, "the log shrank"));
        let later = Governed::new(store, None).unwrap();
        for client in [&governed, &later] {
            assert!(matches!(client.remembered(), Err(Trouble::Detected(_))), "the matter is not settled");
        }
    }

    #[test]
    fn what_a_card_brings_counts_before_anything_was_kept_and_is_kept_with_the_first_session() {
        let founding = ringwall_sim::world::policy();
        let known = KnownPolicy { cluster_id: ClusterId([7; 32]), founding, steps: Default::default() };
        let store = Arc::new(InMemory::default());
        let governed = Governed::new(Arc::clone(&store) as Arc<dyn AnchorStore>, Some(known.clone())).unwrap();
        let before = governed.remembered().unwrap();
        assert_eq!(before.policy.as_ref().map(|newest| newest.record.clone()), Some(known.clone()));
        assert_eq!(store.governed().unwrap().policy, None);
        governed.learned(&before, Some(known.clone()), None).unwrap();
        assert_eq!(store.governed().unwrap().policy, Some(known));
    }
}
