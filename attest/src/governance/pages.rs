//! A row of changes that comes in pages, since it is longer than one answer.
//!
//! Decides: each page is judged before the next one is asked for: it goes on exactly where what was judged ends, it brings at least one change as long as
//! more are announced, and neither the changes nor their bytes nor the pages are more than a cluster's whole record can have. Whoever knows no policy is
//! first shown the founding one, which the founding record of the pinned cluster names.
//! Trusts: nothing of whoever sends pages. A page says that its changes were approved, never that they are in force: for that stands the evidence that is
//! judged afterwards, by the policy the pages lead to. So nothing of a page may be kept, or gone by, before that evidence holds.
//! Out of scope: sending pages (`node`), asking for them (`client`, `node`). Protocol section 3.1, "Pages".

use super::chain::{StepError, verify_steps};
use alloc::vec::Vec;
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::{Founded, PolicyPage, PolicyStep, steps_bytes};
use ringwall_wire::ids::{ClusterId, Digest};
use ringwall_wire::limits::{POLICY_PAGES, POLICY_ROW_BYTES, POLICY_ROW_STEPS, POLICY_STEPS};
use ringwall_wire::policy::PolicyDoc;

/// Why a page of changes is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum PageError {
    /// More pages than any row has.
    #[error("{most} pages of changes came, and no row has more: whoever sends them does not end")]
    TooMany { most: usize },
    /// A page without a change.
    #[error("a page of changes brings none and announces {left}")]
    Empty { left: usize },
    /// More than the first page announced.
    #[error("the first page announced {announced} changes, and {got} came or are to come")]
    MoreThanAnnounced { announced: usize, got: usize },
    /// Whoever knows no policy was not shown where the row begins.
    #[error("the first page of changes does not show the founding policy")]
    FoundingMissing,
    /// Whoever knows a policy was shown where the row begins.
    #[error("a page of changes shows a founding policy, which was not asked for")]
    FoundingUnasked,
    /// The founding record is another cluster's.
    #[error("the first page shows the founding record of cluster {got}, pinned is {pinned}")]
    OtherCluster { got: ClusterId, pinned: ClusterId },
    /// The founding policy is not the one the founding record names.
    #[error("the first page shows founding policy {got}, the founding record names {named}")]
    OtherFounding { got: Digest, named: Digest },
}

/// Pages of one session, as far as they were judged.
#[derive(Clone, Debug)]
pub struct PageWalk {
    cluster_id: ClusterId,
    founding: Option<PolicyDoc>,
    policy: Option<PolicyDoc>,
    steps: Vec<PolicyStep>,
    bytes: usize,
    pages: usize,
    announced: usize,
}

impl PageWalk {
    /// Before the first page, for someone who holds this policy, or none.
    pub fn new(cluster_id: ClusterId, held: Option<&PolicyDoc>) -> Self {
        PageWalk { cluster_id, founding: None, policy: held.cloned(), steps: Vec::new(), bytes: 0, pages: 0, announced: 0 }
    }

    /// Judges the next page. At most 32 changes are verified; after an error nothing of this walk is of use.
    pub fn take(&mut self, page: PolicyPage) -> Result<(), StepError> {
        let PolicyPage { founded, steps, left } = page;
        let left = usize::from(left);
        if self.pages >= POLICY_PAGES {
            return Err(PageError::TooMany { most: POLICY_PAGES }.into());
        }
        self.pages = self.pages.saturating_add(1);
        if steps.is_empty() {
            return Err(PageError::Empty { left }.into());
        }
        let count = self.steps.len().saturating_add(steps.len());
        self.within(count.saturating_add(left))?;
        self.bytes = self.bytes.saturating_add(steps_bytes(&steps));
        if self.bytes > POLICY_ROW_BYTES {
            return Err(StepError::TooLarge { got: self.bytes, most: POLICY_ROW_BYTES });
        }
        let from = self.begin(founded)?;
        let verified = verify_steps(&self.cluster_id, &from, &steps)?;
        self.policy = Some(verified.into_policy());
        self.steps.extend(steps.into_vec());
        Ok(())
    }

    /// What came and what is announced is no more than a record has, nor, but for changes that were made meanwhile, than the first page announced.
    fn within(&mut self, total: usize) -> Result<(), StepError> {
        if total > POLICY_ROW_STEPS {
            return Err(StepError::TooMany { got: total, most: POLICY_ROW_STEPS });
        }
        if self.steps.is_empty() {
            self.announced = total;
        }
        let (announced, most) = (self.announced, self.announced.saturating_add(POLICY_STEPS));
        match total > most {
            true => Err(PageError::MoreThanAnnounced { announced, got: total }.into()),
            false => Ok(()),
        }
    }

    /// The policy the page has to go on from.
    fn begin(&mut self, founded: Option<Founded>) -> Result<PolicyDoc, PageError> {
        let (policy, founded) = match (&self.policy, founded) {
            (Some(policy), None) => return Ok(policy.clone()),
            (Some(_), Some(_)) => return Err(PageError::FoundingUnasked),
            (None, None) => return Err(PageError::FoundingMissing),
            (None, Some(Founded { genesis, policy })) => (policy, genesis),
        };
        let (got, pinned) = (founded.cluster_id(), self.cluster_id);
        if got != pinned {
            return Err(PageError::OtherCluster { got, pinned });
        }
        let (got, named) = (Digest(policy.digest()), founded.template.policy);
        if got != named {
            return Err(PageError::OtherFounding { got, named });
        }
        self.founding = Some(policy.clone());
        Ok(policy)
    }

    /// Whether no page came.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The policy the pages lead to: what evidence is judged by; the one that was held where no page came.
    pub fn policy(&self) -> Option<&PolicyDoc> {
        self.policy.as_ref()
    }

    /// Its SHA-256: the policy to name with the next question.
    pub fn known(&self) -> Option<Digest> {
        self.policy.as_ref().map(|policy| Digest(policy.digest()))
    }

    /// The founding policy, where the pages showed it.
    pub fn founding(&self) -> Option<&PolicyDoc> {
        self.founding.as_ref()
    }

    /// The changes, in their order.
    pub fn steps(&self) -> &[PolicyStep] {
        &self.steps
    }

    /// Gives the changes away.
    pub fn into_steps(self) -> Vec<PolicyStep> {
        self.steps
    }
}
