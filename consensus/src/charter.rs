//! What every replica of a cluster is opened with and no entry changes: the cluster's name, its founding policy, how words of governors are judged,
//! who the first custodians are.
//!
//! Decides: that all of it is the same function in every replica, since entries are judged by it while they are applied. Judges are functions of their
//! arguments alone; whose signatures count they are told with every question: those of the policy in force, which is state (`machine/policy.rs`).
//! Trusts: the caller to take it from the cluster's founding documents, which the cluster id pins. Out of scope: counting signatures, comparing
//! policies, proofs of a public log (`attest`, which this crate does not know). Protocol sections 4.3, 6.1 and 8.

use ringwall_wire::bounded::List;
use ringwall_wire::command::CommandBody;
use ringwall_wire::custody::CustodyManifest;
use ringwall_wire::genesis::{Custodian, GenesisTemplate};
use ringwall_wire::governance::{PolicyCommand, PolicyFault};
use ringwall_wire::ids::ClusterId;
use ringwall_wire::limits::CUSTODIANS;
use ringwall_wire::order::{OrderFault, ReplaceOrder};
use ringwall_wire::policy::{Approval, PolicyDoc, SignedPolicy};
use ringwall_wire::release::PolicyNotice;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Judges whether enough of the governors of this policy signed an order: by its arguments alone.
pub type OrderJudge = Arc<dyn Fn(&ReplaceOrder, &PolicyDoc) -> Result<(), OrderFault> + Send + Sync>;
/// Judges whether enough of the governors of this policy signed these words: by its arguments alone.
pub type GovernorsJudge = Arc<dyn Fn(&[u8], &[Approval], &PolicyDoc) -> Result<(), OrderFault> + Send + Sync>;
/// Judges whether a signed policy may take the place of this one, and whether it has to wait: by its arguments alone.
pub type StepJudge = Arc<dyn Fn(&SignedPolicy, &PolicyDoc) -> Result<JudgedStep, PolicyFault> + Send + Sync>;
/// Judges whether a notice shows, under this policy, that its replacement by a signed one was public for long enough: by its arguments alone.
pub type NoticeJudge = Arc<dyn Fn(&ClusterId, &PolicyNotice, &SignedPolicy, &PolicyDoc) -> Result<(), PolicyFault> + Send + Sync>;

/// A step from one policy to the next that enough governors approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedStep {
    /// The policy it leads to.
    pub policy: PolicyDoc,
    /// Whether it accepts anything the one before does not: then it waits.
    pub loosens: bool,
    /// Whether the wait has to be shown by a public log's witnesses besides.
    pub wants_notice: bool,
}

/// How words of governors are judged. As it comes, nothing holds.
#[derive(Clone)]
pub struct Judges {
    /// Orders to replace a node.
    pub orders: OrderJudge,
    /// Any other words.
    pub words: GovernorsJudge,
    /// Steps from one policy to the next.
    pub steps: StepJudge,
    /// Notices that a step was public.
    pub notices: NoticeJudge,
    /// Number of the rules behind `steps`, which are code of a build: it stands in each proposal, and a replica with other rules does not apply that.
    pub rules: u16,
}

/// A change of the policy is judged by other rules than this build has: applied here, it might have another outcome than elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "entry {index} proposes a change of the policy under rules {theirs}, and this build judges changes of policies by other rules ({ours}); upgrade it, or whoever is older, \
     and join anew: no policy is to be changed while members run builds with different rules"
)]
pub struct OtherRules {
    /// Index of the entry.
    pub index: u64,
    /// Of whoever proposed it.
    pub theirs: u16,
    /// Of this build.
    pub ours: u16,
}

impl Judges {
    /// Says, in a change that is proposed here, by which rules.
    pub(crate) fn sign(&self, mut body: CommandBody) -> CommandBody {
        if let CommandBody::Policy(command) = &mut body
            && let PolicyCommand::Propose(proposal) = &mut **command
        {
            proposal.rules = self.rules;
        }
        body
    }

    /// Whether this replica may judge an entry's step of governance.
    pub(crate) fn may_judge(&self, index: u64, command: &PolicyCommand) -> Result<(), OtherRules> {
        match command {
            PolicyCommand::Propose(proposal) if proposal.rules != self.rules => {
                Err(OtherRules { index, theirs: proposal.rules, ours: self.rules })
            }
            _ => Ok(()),
        }
    }
}

impl Default for Judges {
    fn default() -> Self {
        Judges {
            orders: Arc::new(|_, _| Err(OrderFault::NoGovernors)),
            words: Arc::new(|_, _, _| Err(OrderFault::NoGovernors)),
            steps: Arc::new(|_, _| Err(PolicyFault::NoGovernors)),
            notices: Arc::new(|_, _, _, _| Err(PolicyFault::NoGovernors)),
            rules: 0,
        }
    }
}

/// Who has to hold shares of the recovery key, and how many of them recover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustodyTerms {
    /// They, in the order of their shares.
    pub custodians: List<Custodian, CUSTODIANS>,
    /// Shares that recover.
    pub threshold: u8,
}

impl CustodyTerms {
    /// Terms under which something can be dealt: at least two must come together, there are that many, and nobody stands twice.
    pub fn new(custodians: List<Custodian, CUSTODIANS>, threshold: u8) -> Option<Self> {
        let names: BTreeSet<_> = custodians.iter().map(Custodian::id).collect();
        let keys: BTreeSet<_> = custodians.iter().map(|custodian| custodian.sig).collect();
        let possible = threshold >= 2 && usize::from(threshold) <= custodians.len();
        (possible && names.len() == custodians.len() && keys.len() == custodians.len()).then_some(CustodyTerms { custodians, threshold })
    }

    /// What the founding record says; none if it names no custodians.
    pub fn of(template: &GenesisTemplate) -> Option<Self> {
        Self::new(template.custodians.clone(), template.custody_threshold)
    }

    /// Whether a manifest deals to exactly these, in this order, with shares from 1.
    pub fn are_named_by(&self, manifest: &CustodyManifest) -> bool {
        let named = manifest.members.iter().map(|member| (&member.custodian, usize::from(member.x)));
        manifest.threshold == self.threshold && named.eq(self.custodians.iter().zip(1_usize..))
    }
}

/// The same in every replica of a cluster.
#[derive(Clone)]
pub(crate) struct Charter {
    pub(crate) cluster_id: ClusterId,
    /// None where nobody governs.
    pub(crate) policy: Option<Arc<PolicyDoc>>,
    pub(crate) judges: Judges,
    pub(crate) custody: Option<Arc<CustodyTerms>>,
}

#[cfg(any(test, feature = "faults"))]
impl Charter {
    /// Of a cluster without governors and without custodians.
    pub(crate) fn plain(cluster_id: ClusterId) -> Self {
        Charter { cluster_id, policy: None, judges: Judges::default(), custody: None }
    }
}

impl fmt::Debug for Charter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Charter({})", self.cluster_id)
    }
}

/// Whose words hold now: the charter's judges, under the policy in force.
#[derive(Clone, Copy)]
pub(crate) struct Law<'a> {
    pub(crate) charter: &'a Charter,
    /// The policy in force; none where nobody governs.
    pub(crate) policy: Option<&'a PolicyDoc>,
}

impl Law<'_> {
    /// The cluster.
    pub(crate) fn cluster_id(&self) -> &ClusterId {
        &self.charter.cluster_id
    }

    /// Whether enough governors signed an order to replace a node.
    pub(crate) fn order(&self, order: &ReplaceOrder) -> Result<(), OrderFault> {
        (self.charter.judges.orders)(order, self.policy.ok_or(OrderFault::NoGovernors)?)
    }

    /// Whether enough governors signed other words.
    pub(crate) fn words(&self, words: &[u8], signatures: &[Approval]) -> Result<(), OrderFault> {
        (self.charter.judges.words)(words, signatures, self.policy.ok_or(OrderFault::NoGovernors)?)
    }
}
