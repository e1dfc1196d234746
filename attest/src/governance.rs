//! Whether a policy may take the place of another one: approved, monotone, and public for as long as the one it replaces demands.
//!
//! Decides: one change ([`judge_change`]): enough governors of the policy it replaces signed this very step, its version rises, and nothing falls that
//! must not: trust domain and slots stay, the least security version and every firmware floor only rise, no build below the least security version
//! comes in. Its notice ([`verify_notice`]): the entry of a change that loosens was in a witnessed checkpoint, and a later one that continues it was
//! witnessed a full delay afterwards. A chain of changes ([`verify_steps`], [`verify_row`]), which proves itself offline, whole or page by page
//! ([`PageWalk`]). Words of governors about a change or a lease ([`verify_withdrawal`], [`verify_lease`]).
//! Trusts: the policy it starts from, and of that policy's named witnesses that fewer than the threshold lie. Out of scope: the group's own delay and
//! what is in force (`consensus`), sessions (`session.rs`). Protocol section 8, "Changes".

mod chain;
mod monotone;
mod notice;
mod pages;

pub use chain::{StepError, VerifiedSteps, verify_row, verify_steps};
pub use notice::{NoticeError, NoticePart, verify_notice};
pub use pages::{PageError, PageWalk};

use crate::approval::{ApprovalError, ApprovedPolicy, Authority, GovernorsError, can_approve, verify_approval, verify_words};
use crate::policy::{Change, change};
use crate::release::{Rule, RuleError};
use alloc::string::String;
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::{PolicyFault, PolicyLease, PolicyWithdrawal};
use ringwall_wire::ids::{ClusterId, Digest, SigPublic};
use ringwall_wire::policy::{PolicyDoc, ReleaseRule, SignedPolicy};

/// Why a policy may not take the place of another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum ChangeError {
    /// It is not approved, or not for this step.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// The slots are others.
    #[error("the change names other slots: places are part of what the cluster was founded as; found another cluster")]
    SlotsChanged,
    /// The least security version falls.
    #[error("the least security version would fall from {in_force} to {offered}: it only rises, so that an old build cannot come back")]
    SvnFell { offered: u32, in_force: u32 },
    /// A firmware floor falls.
    #[error("{floor} would fall from {in_force} to {offered}: floors only rise, so that known holes stay closed")]
    FloorFell { floor: String, offered: u32, in_force: u32 },
    /// An old build comes in.
    #[error(
        "build \"{build}\" (security version {svn}) comes in below the least security version {min_svn}, or was below it: leave it out"
    )]
    BuildBelowSvn { build: String, svn: u32, min_svn: u32 },
    /// Its governors could approve nothing.
    #[error("under it nothing could ever be changed again: {0}; correct `governance`, and sign it again")]
    Ungovernable(GovernorsError),
    /// No proof could meet its rule about releases.
    #[error("under it all evidence is refused: {0}; correct `release`, and sign it again")]
    NothingProven(RuleError),
    /// Its notice.
    #[error(transparent)]
    Notice(#[from] NoticeError),
}

impl ChangeError {
    /// The same, as replicas tell it.
    pub fn fault(&self) -> PolicyFault {
        match self {
            ChangeError::Approval(ApprovalError::Governors(fault)) => governors_fault(fault),
            ChangeError::Approval(ApprovalError::OtherStep { .. }) => PolicyFault::OtherStep,
            ChangeError::Approval(ApprovalError::NoPolicy(_)) => PolicyFault::NoPolicy,
            ChangeError::Approval(ApprovalError::VersionNotHigher { .. }) => PolicyFault::VersionNotHigher,
            ChangeError::Approval(ApprovalError::OtherTrustDomain { .. }) => PolicyFault::OtherTrustDomain,
            ChangeError::SlotsChanged => PolicyFault::SlotsChanged,
            ChangeError::SvnFell { .. } => PolicyFault::SvnFell,
            ChangeError::FloorFell { .. } => PolicyFault::FloorFell,
            ChangeError::BuildBelowSvn { .. } => PolicyFault::BuildBelowSvn,
            ChangeError::Approval(ApprovalError::VersionJump { .. }) => PolicyFault::VersionJump,
            ChangeError::Approval(ApprovalError::SignedTwice { .. }) => PolicyFault::SignedTwice,
            ChangeError::Ungovernable(_) => PolicyFault::Ungovernable,
            ChangeError::NothingProven(_) => PolicyFault::NothingProven,
            ChangeError::Notice(fault) => fault.fault(),
        }
    }
}

fn governors_fault(fault: &GovernorsError) -> PolicyFault {
    match fault {
        GovernorsError::NoThreshold | GovernorsError::Unreachable { .. } => PolicyFault::NoGovernors,
        GovernorsError::Stranger { .. } => PolicyFault::Stranger,
        GovernorsError::BadSignature { .. } => PolicyFault::BadSignature,
        GovernorsError::TooFew { .. } => PolicyFault::TooFew,
    }
}

/// A change that is approved and monotone, and what it does. Only [`judge_change`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a verdict nobody uses protects nobody"]
pub struct JudgedChange {
    approved: ApprovedPolicy,
    change: Change,
    wants_notice: bool,
}

impl JudgedChange {
    /// The policy it leads to.
    pub fn policy(&self) -> &PolicyDoc {
        self.approved.policy()
    }

    /// The governors who approved, each once, in ascending order.
    pub fn approvers(&self) -> &[SigPublic] {
        self.approved.approvers()
    }

    /// What it does as a whole.
    pub fn change(&self) -> Change {
        self.change
    }

    /// Whether it waits for the delay of the policy it replaces.
    pub fn loosens(&self) -> bool {
        self.change == Change::Loosening
    }

    /// Whether the wait has to be shown by the witnesses of the policy it replaces.
    pub fn wants_notice(&self) -> bool {
        self.wants_notice
    }
}

/// Judges whether `signed` may take the place of `in_force`, and what it does. A function of its arguments alone, so that every replica comes to the
/// same answer. At most 32 signatures are verified, about 50 µs each, and two documents of at most 128 KiB compared.
pub fn judge_change(in_force: &PolicyDoc, signed: &SignedPolicy) -> Result<JudgedChange, ChangeError> {
    let approved = verify_approval(signed, Authority::Change(in_force))?;
    monotone::judge(in_force, approved.policy())?;
    workable(in_force, approved.policy())?;
    let change = change(in_force, approved.policy());
    let wants_notice = change == Change::Loosening && matches!(in_force.release, ReleaseRule::Demanded(_));
    Ok(JudgedChange { approved, change, wants_notice })
}

/// Refuses what would end everything at once, by mistake or by stolen keys, and looks like a tightening: a policy nobody can change, or one whose rule
/// about releases nothing can meet. One that takes the place of a rule nothing can meet either is a way out, and may be.
fn workable(in_force: &PolicyDoc, offered: &PolicyDoc) -> Result<(), ChangeError> {
    can_approve(&offered.governance).map_err(ChangeError::Ungovernable)?;
    match readable(&offered.release) {
        Err(error) if readable(&in_force.release).is_ok() => Err(ChangeError::NothingProven(error)),
        _ => Ok(()),
    }
}

fn readable(rule: &ReleaseRule) -> Result<(), RuleError> {
    match rule {
        ReleaseRule::NotDemanded => Ok(()),
        ReleaseRule::Demanded(rule) => Rule::read(rule).map(|_| ()),
    }
}

/// Verifies that the governors of the policy in force took a change back; gives its name.
pub fn verify_withdrawal(word: &PolicyWithdrawal, cluster_id: &ClusterId, in_force: &PolicyDoc) -> Result<Digest, PolicyFault> {
    if word.cluster_id != *cluster_id {
        return Err(PolicyFault::OtherCluster);
    }
    let signed = verify_words(&word.signed_words(), &word.signatures, &in_force.governance);
    signed.map(|_| word.change).map_err(|fault| governors_fault(&fault))
}

/// Verifies that the governors of the policy in force want it still; gives until when, Unix seconds by the group's time. How far that may lie ahead
/// is for the group to say, which has a time: [`PolicyFault::LeaseTooLong`].
pub fn verify_lease(lease: &PolicyLease, cluster_id: &ClusterId, in_force: &PolicyDoc) -> Result<u64, PolicyFault> {
    if lease.cluster_id != *cluster_id {
        return Err(PolicyFault::OtherCluster);
    }
    if lease.policy != Digest(in_force.digest()) {
        return Err(PolicyFault::OtherPolicy);
    }
    if in_force.governance.lease_s == 0 {
        return Err(PolicyFault::NoLease);
    }
    let signed = verify_words(&lease.signed_words(), &lease.signatures, &in_force.governance);
    signed.map(|_| lease.until_s).map_err(|fault| governors_fault(&fault))
}
