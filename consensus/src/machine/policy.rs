//! The policy in force, how it came to be, and what waits to follow it.
//!
//! Decides: a step that enough governors of the policy in force approved is in force with its entry when it only tightens; when it loosens it waits until
//! the group's time is its delay later, and for the notice that it was public where the policy names witnesses. Whatever comes into force drops what
//! waited, since that replaces another policy than the one in force. What governors withdrew does not come back under the same policy. Version and least
//! security version only rise (IN10). Members grant keys until the lease is over, by the group's time. Applying is total: all of it is a function of
//! the entries; no clock is read. What tightens is code of a build: a proposal says by which rules, and a replica with others ends (`OtherRules`).
//! A step, a notice, a withdrawal or a lease that is applied again changes nothing.
//! Trusts: nothing in an entry; the charter's judges for signatures, for what loosens and for notices. Out of scope: those (`attest`), proposing (`node`).
//! Protocol section 8, "Changes".

use crate::charter::{Charter, JudgedStep, Law};
use crate::defects::{self, Defect};
use crate::machine::replicated::ReplicatedState;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::Outcome;
use ringwall_wire::governance::{
    GovernanceView, NoticeFor, PendingNotice, PendingPolicy, PolicyCommand, PolicyFault, PolicyLease, PolicyOutcome, PolicyStep,
    PolicyWithdrawal, steps_bytes,
};
use ringwall_wire::ids::{Digest, PolicyVersion};
use ringwall_wire::limits::{
    POLICY_PENDING, POLICY_RESERVE_BYTES, POLICY_RESERVE_STEPS, POLICY_ROW_BYTES, POLICY_ROW_STEPS, POLICY_STEPS_BYTES, POLICY_WITHDRAWN,
};
use ringwall_wire::order::OrderFault;
use ringwall_wire::policy::{PolicyDoc, SignedPolicy};
use ringwall_wire::release::PolicyNotice;
use std::io;
use std::sync::Arc;

ringwall_wire::record! {
    /// What is known of governance beside the steps and what waits, as a snapshot holds it.
    pub struct GovernedRecord {
        /// Log index of the entry the policy in force came with; 0 before the founding.
        pub since_index: u64,
        /// Group time of it, Unix milliseconds.
        pub since_ms: u64,
        /// Until when governors said that it stays wanted, Unix seconds.
        pub renewed_until_s: Option<u64>,
        /// Changes of it that were withdrawn.
        pub withdrawn: List<Digest, POLICY_WITHDRAWN>,
    }
}

ringwall_wire::choice! {
    /// A part of governance that is an item of its own in a snapshot, since it may be large. Steps come first, oldest first.
    pub enum GovernedPart {
        /// A step that is in force or was.
        1 => Step(PolicyStep),
        /// A step that waits.
        2 => Pending(PendingRecord),
    }
}

ringwall_wire::record! {
    /// A step that waits, as a snapshot holds it.
    pub struct PendingRecord {
        /// The step.
        pub step: PolicyStep,
        /// Group time of its proposal, Unix milliseconds.
        pub proposed_ms: u64,
        /// Whether it needs a notice.
        pub wants_notice: bool,
    }
}

/// A step that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingStep {
    /// Its name: [`SignedPolicy::change`].
    pub change: Digest,
    /// The step, with its notice once there is one.
    pub step: PolicyStep,
    /// Group time of its proposal, Unix milliseconds.
    pub proposed_ms: u64,
    /// Group time before which it is not in force, Unix milliseconds.
    pub ready_ms: u64,
    /// Whether it needs a notice.
    pub wants_notice: bool,
    policy: PolicyDoc,
}

impl PendingStep {
    /// Whether it may be in force at this group time, as far as waiting goes.
    pub fn is_ready(&self, now_ms: u64) -> bool {
        now_ms >= self.ready_ms && !self.wants_notice_still()
    }

    /// The policy it leads to.
    pub fn policy(&self) -> &PolicyDoc {
        &self.policy
    }

    fn wants_notice_still(&self) -> bool {
        self.wants_notice && self.step.notice.is_none()
    }
}

/// Governance as of one applied index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Governed {
    /// None where nobody governs: then nothing of it ever changes.
    founding: Option<Arc<PolicyDoc>>,
    /// The policy the last step led to.
    changed: Option<Arc<PolicyDoc>>,
    steps: Vec<Arc<PolicyStep>>,
    /// Bytes of all of them.
    bytes: usize,
    pending: Vec<Arc<PendingStep>>,
    withdrawn: Vec<Digest>,
    since_index: u64,
    since_ms: u64,
    renewed_until_s: Option<u64>,
}

impl Governed {
    /// Under the founding policy.
    pub(crate) fn new(founding: Option<Arc<PolicyDoc>>) -> Self {
        Governed { founding, ..Governed::default() }
    }

    /// The policy in force; none where nobody governs.
    pub fn in_force(&self) -> Option<&PolicyDoc> {
        self.changed.as_deref().or(self.founding.as_deref())
    }

    /// The same, to keep.
    pub fn policy(&self) -> Option<Arc<PolicyDoc>> {
        self.changed.clone().or_else(|| self.founding.clone())
    }

    /// The steps that led to it, oldest first.
    pub fn steps(&self) -> &[Arc<PolicyStep>] {
        &self.steps
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.steps.len()
    }

    /// Steps that wait, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = &PendingStep> {
        self.pending.iter().map(|pending| &**pending)
    }

    /// Whether governors withdrew this change of the policy in force: it never comes into force under it.
    pub fn has_withdrawn(&self, change: &Digest) -> bool {
        self.withdrawn.contains(change)
    }

    /// Log index and group time (Unix milliseconds) of the entry the policy in force came with.
    pub fn since(&self) -> (u64, u64) {
        (self.since_index, self.since_ms)
    }

    /// Until when members grant keys, Unix seconds by the group's time; none where no lease is demanded.
    pub fn lease_until_s(&self) -> Option<u64> {
        self.in_force().and_then(|policy| policy.governance.lease_until_s(self.since_ms, self.renewed_until_s))
    }

    /// Whether the lease is over at this group time: members grant no keys then.
    pub fn is_lapsed(&self, now_ms: u64) -> bool {
        self.lease_until_s().is_some_and(|until_s| now_ms / 1_000 >= until_s)
    }

    /// What clients are shown; none where nobody governs.
    pub fn shown(&self, now_ms: u64) -> Option<GovernanceView> {
        let policy = self.in_force()?;
        let pending = self.pending.iter().map(|pending| PendingPolicy {
            signed: pending.step.signed.clone(),
            proposed_ms: pending.proposed_ms,
            ready_ms: pending.ready_ms,
            notice: match (pending.wants_notice, &pending.step.notice) {
                (false, _) => PendingNotice::NotDemanded,
                (true, None) => PendingNotice::Missing,
                (true, Some(_)) => PendingNotice::There,
            },
        });
        Some(GovernanceView {
            in_force: Digest(policy.digest()),
            version: policy.version,
            since_ms: self.since_ms,
            steps: u16::try_from(self.steps.len()).expect("steps are few"),
            pending: List::new(pending.collect()).expect("no more wait than may"),
            lease_until_s: self.lease_until_s(),
            now_ms,
        })
    }

    /// Version and least security version, which never go back (IN10).
    pub(crate) fn marks(&self) -> (PolicyVersion, u32) {
        self.in_force().map_or((PolicyVersion(0), 0), |policy| (policy.version, policy.min_svn))
    }

    /// The group is founded: from here on its policy is in force.
    pub(crate) fn founded(&mut self, index: u64, now_ms: u64) {
        (self.since_index, self.since_ms) = (index, now_ms);
    }

    /// A step of governance.
    pub(crate) fn take(&mut self, command: PolicyCommand, charter: &Charter, at: (u64, u64)) -> Result<PolicyOutcome, PolicyFault> {
        let in_force = self.policy().ok_or(PolicyFault::NoGovernors)?;
        let law = Law { charter, policy: Some(&in_force) };
        match command {
            // By which rules it is judged was looked at before: a replica with others has ended.
            PolicyCommand::Propose(proposal) => self.propose(proposal.signed, law, at),
            PolicyCommand::Notice(notice) => self.notice(*notice, law),
            PolicyCommand::Enact(change) => self.enact(&change, at),
            PolicyCommand::Withdraw(word) => self.withdraw(&word, law),
            PolicyCommand::Lease(lease) => self.renew(&lease, law, at),
        }
    }

    fn propose(&mut self, signed: SignedPolicy, law: Law<'_>, at: (u64, u64)) -> Result<PolicyOutcome, PolicyFault> {
        let change = signed.change();
        if let Some(outcome) = self.is_last(&change) {
            return Ok(outcome);
        }
        if self.pending.iter().any(|pending| pending.change == change) {
            return Err(PolicyFault::AlreadyPending);
        }
        if self.withdrawn.contains(&change) {
            return Err(PolicyFault::Withdrawn);
        }
        let JudgedStep { policy, loosens, wants_notice } = law.step(&signed)?;
        let step = PolicyStep { signed, notice: None };
        if !loosens {
            return self.in_force_now(step, policy, at);
        }
        self.has_room_to_loosen(&step)?;
        if self.pending.len() >= POLICY_PENDING {
            return Err(PolicyFault::TooManyPending);
        }
        let (_, proposed_ms) = at;
        let delay_ms = law.policy.map_or(0, |policy| u64::from(policy.governance.timelock_s).saturating_mul(1_000));
        let ready_ms = proposed_ms.saturating_add(delay_ms);
        self.pending.push(Arc::new(PendingStep { change, step, proposed_ms, ready_ms, wants_notice, policy }));
        Ok(PolicyOutcome::Pending(ready_ms))
    }

    fn notice(&mut self, notice: NoticeFor, law: Law<'_>) -> Result<PolicyOutcome, PolicyFault> {
        let NoticeFor { change, notice } = notice;
        let place = self.pending.iter().position(|pending| pending.change == change).ok_or(PolicyFault::NotPending)?;
        let pending = self.pending.get(place).ok_or(PolicyFault::NotPending)?;
        if !pending.wants_notice {
            return Err(PolicyFault::NoticeNotNeeded);
        }
        if pending.step.notice.is_some() {
            return Ok(PolicyOutcome::Noticed);
        }
        law.notice(&notice, &pending.step.signed)?;
        let step = PolicyStep { signed: pending.step.signed.clone(), notice: Some(notice) };
        // What would not fit once it is in force is not taken: the change would wait for ever with it.
        let has_room = self.has_room_to_loosen(&step);
        let pending = self.pending.get_mut(place).ok_or(PolicyFault::NotPending)?;
        has_room?;
        Arc::make_mut(pending).step = step;
        Ok(PolicyOutcome::Noticed)
    }

    fn enact(&mut self, change: &Digest, at: (u64, u64)) -> Result<PolicyOutcome, PolicyFault> {
        if let Some(outcome) = self.is_last(change) {
            return Ok(outcome);
        }
        let pending = self.pending.iter().find(|pending| pending.change == *change).cloned().ok_or(PolicyFault::NotPending)?;
        let (_, now_ms) = at;
        if now_ms < pending.ready_ms && !defects::on(Defect::NoDelay) {
            return Err(PolicyFault::TooEarly);
        }
        if pending.wants_notice_still() {
            return Err(PolicyFault::NoticeMissing);
        }
        // It was judged by the policy it replaces, which is in force for as long as it waits.
        self.in_force_now(pending.step.clone(), pending.policy.clone(), at)
    }

    fn withdraw(&mut self, word: &PolicyWithdrawal, law: Law<'_>) -> Result<PolicyOutcome, PolicyFault> {
        if word.cluster_id != *law.cluster_id() {
            return Err(PolicyFault::OtherCluster);
        }
        if self.withdrawn.contains(&word.change) {
            return Ok(PolicyOutcome::Withdrawn);
        }
        law.words(&word.signed_words(), &word.signatures).map_err(of_order)?;
        if self.withdrawn.len() >= POLICY_WITHDRAWN {
            return Err(PolicyFault::NoRoom);
        }
        self.withdrawn.push(word.change);
        self.pending.retain(|pending| pending.change != word.change);
        Ok(PolicyOutcome::Withdrawn)
    }

    fn renew(&mut self, lease: &PolicyLease, law: Law<'_>, at: (u64, u64)) -> Result<PolicyOutcome, PolicyFault> {
        let in_force = law.policy.ok_or(PolicyFault::NoGovernors)?;
        let (_, now_ms) = at;
        if lease.cluster_id != *law.cluster_id() {
            return Err(PolicyFault::OtherCluster);
        }
        if lease.policy != Digest(in_force.digest()) {
            return Err(PolicyFault::OtherPolicy);
        }
        let until_s = self.lease_until_s().ok_or(PolicyFault::NoLease)?;
        law.words(&lease.signed_words(), &lease.signatures).map_err(of_order)?;
        if self.renewed_until_s == Some(lease.until_s) {
            return Ok(PolicyOutcome::Leased(until_s));
        }
        if lease.until_s <= until_s {
            return Err(PolicyFault::LeaseNotLonger);
        }
        if lease.until_s > (now_ms / 1_000).saturating_add(u64::from(in_force.governance.lease_s)) {
            return Err(PolicyFault::LeaseTooLong);
        }
        self.renewed_until_s = Some(lease.until_s);
        Ok(PolicyOutcome::Leased(lease.until_s))
    }

    /// What whoever brings the step that is in force again is told.
    fn is_last(&self, change: &Digest) -> Option<PolicyOutcome> {
        let last = self.steps.last().filter(|last| last.signed.change() == *change);
        last.and_then(|_| self.in_force()).map(|policy| PolicyOutcome::InForce(policy.version))
    }

    /// Whether one more step is within the record, and within what a stranger can be shown in one answer. Gives its bytes.
    fn has_room(&self, step: &PolicyStep) -> Result<usize, PolicyFault> {
        let bytes = steps_bytes(std::slice::from_ref(step));
        match self.steps.len() < POLICY_ROW_STEPS && bytes <= POLICY_STEPS_BYTES && self.bytes.saturating_add(bytes) <= POLICY_ROW_BYTES {
            true => Ok(bytes),
            false => Err(PolicyFault::NoRoom),
        }
    }

    /// The same for one that loosens: it leaves the reserve to those that do not, so that a row full of releases can still revoke.
    fn has_room_to_loosen(&self, step: &PolicyStep) -> Result<(), PolicyFault> {
        let bytes = self.bytes.saturating_add(self.has_room(step)?);
        let leaves = self.steps.len() < POLICY_ROW_STEPS - POLICY_RESERVE_STEPS && bytes <= POLICY_ROW_BYTES - POLICY_RESERVE_BYTES;
        leaves.then_some(()).ok_or(PolicyFault::NoRoom)
    }

    /// One step more; it has room.
    fn push(&mut self, step: PolicyStep, bytes: usize, policy: PolicyDoc) {
        self.steps.push(Arc::new(step));
        self.bytes = self.bytes.saturating_add(bytes);
        self.changed = Some(Arc::new(policy));
    }

    /// The step is in force with this entry; whatever waits replaces another policy from now on, and is dropped.
    fn in_force_now(&mut self, step: PolicyStep, policy: PolicyDoc, at: (u64, u64)) -> Result<PolicyOutcome, PolicyFault> {
        let bytes = self.has_room(&step)?;
        let version = policy.version;
        self.push(step, bytes, policy);
        self.pending.clear();
        self.withdrawn.clear();
        (self.since_index, self.since_ms) = at;
        self.renewed_until_s = None;
        Ok(PolicyOutcome::InForce(version))
    }

    /// For a snapshot: what stands beside the parts.
    pub(crate) fn record(&self) -> GovernedRecord {
        GovernedRecord {
            since_index: self.since_index,
            since_ms: self.since_ms,
            renewed_until_s: self.renewed_until_s,
            withdrawn: List::new(self.withdrawn.clone()).expect("no more are remembered than fit"),
        }
    }

    /// For a snapshot: the parts, one at a time, so that a long row is not in memory twice.
    pub(crate) fn parts(&self) -> impl Iterator<Item = GovernedPart> {
        let steps = self.steps.iter().map(|step| GovernedPart::Step(PolicyStep::clone(step)));
        let pending = self.pending.iter().map(|pending| {
            let PendingStep { step, proposed_ms, wants_notice, .. } = &**pending;
            GovernedPart::Pending(PendingRecord { step: step.clone(), proposed_ms: *proposed_ms, wants_notice: *wants_notice })
        });
        steps.chain(pending)
    }

    /// From a snapshot, without its parts.
    pub(crate) fn restore(founding: Option<Arc<PolicyDoc>>, record: GovernedRecord) -> Self {
        let GovernedRecord { since_index, since_ms, renewed_until_s, withdrawn } = record;
        Governed { since_index, since_ms, renewed_until_s, withdrawn: withdrawn.into_vec(), ..Governed::new(founding) }
    }

    /// A part from a snapshot; false if it does not continue what is there.
    #[must_use]
    pub(crate) fn restore_part(&mut self, part: GovernedPart) -> bool {
        let in_force = self.policy();
        let follows = |signed: &SignedPolicy| {
            let policy = PolicyDoc::decode(&signed.policy).ok()?;
            let replaced = in_force.as_ref()?;
            (signed.replaces == Some(Digest(replaced.digest())) && policy.version > replaced.version).then_some(policy)
        };
        match part {
            GovernedPart::Step(step) => match (follows(&step.signed), self.has_room(&step)) {
                (Some(policy), Ok(bytes)) if self.pending.is_empty() => {
                    self.push(step, bytes, policy);
                    true
                }
                _ => false,
            },
            GovernedPart::Pending(PendingRecord { step, proposed_ms, wants_notice }) => match follows(&step.signed) {
                Some(policy) if self.pending.len() < POLICY_PENDING => {
                    let delay_s = in_force.as_ref().map_or(0, |policy| policy.governance.timelock_s);
                    let ready_ms = proposed_ms.saturating_add(u64::from(delay_s).saturating_mul(1_000));
                    let change = step.signed.change();
                    self.pending.push(Arc::new(PendingStep { change, step, proposed_ms, ready_ms, wants_notice, policy }));
                    true
                }
                _ => false,
            },
        }
    }
}

/// What is wrong with signatures under a word of governors.
fn of_order(fault: OrderFault) -> PolicyFault {
    match fault {
        OrderFault::NoGovernors => PolicyFault::NoGovernors,
        OrderFault::Stranger => PolicyFault::Stranger,
        OrderFault::TooFew => PolicyFault::TooFew,
        OrderFault::OtherCluster => PolicyFault::OtherCluster,
        OrderFault::BadSignature | OrderFault::OtherEpoch | OrderFault::OtherSlot | OrderFault::OtherIncumbent | OrderFault::Expired => {
            PolicyFault::BadSignature
        }
    }
}

impl Law<'_> {
    fn step(&self, signed: &SignedPolicy) -> Result<JudgedStep, PolicyFault> {
        (self.charter.judges.steps)(signed, self.policy.ok_or(PolicyFault::NoGovernors)?)
    }

    fn notice(&self, notice: &PolicyNotice, signed: &SignedPolicy) -> Result<(), PolicyFault> {
        (self.charter.judges.notices)(self.cluster_id(), notice, signed, self.policy.ok_or(PolicyFault::NoGovernors)?)
    }
}

impl ReplicatedState {
    /// Fails where this build would judge it by other rules than whoever proposed it: then this replica ends before it differs from the others.
    pub(super) fn policy_step(&mut self, index: u64, command: PolicyCommand) -> io::Result<Outcome> {
        // Where nobody governs nothing is judged.
        if self.governed.in_force().is_some() {
            self.charter.judges.may_judge(index, &command).map_err(io::Error::other)?;
        }
        let (charter, at) = (self.charter.clone(), (index, self.time_ms));
        let outcome = Arc::make_mut(&mut self.governed).take(command, &charter, at);
        Ok(Outcome::Policy(outcome.unwrap_or_else(PolicyOutcome::Refused)))
    }
}

#[cfg(test)]
pub(crate) mod tests;
