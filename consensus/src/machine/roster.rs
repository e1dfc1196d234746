//! Who is, was, and asks to become a member: the replicated record of admissions.
//!
//! Decides: at most one live incarnation a slot; a joiner is admitted when enough voters endorsed it, one of them of another vendor
//! where there is one that stays, and none that stays refused; an incarnation's name is the log index of its proposal. A verdict counts
//! only under its voter's signature over this proposal, so no leader can speak for other voters; an order of the governors only where it
//! names this cluster, epoch, slot and incumbent.
//! Trusts: that a voter verified the evidence before it signed; evidence itself is not looked at here, it depends on time.
//! Out of scope: verification (`attest`, `node`), Raft's own membership (`replica`). Protocol sections 2.1 and 4, IN7.

use crate::charter::Law;
use crate::defects::{self, Defect};
use crate::machine::view::{MemberRow, MemberStanding, ProposalRow};
use ringwall_wire::admission::{Admission, AdmitPropose, Endorse, IncarnationCert, Verdict};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::{Denial, Founding, Outcome};
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, SigPublic, Signature, Slot, Vendor};
use ringwall_wire::limits::{EPOCHS, SLOTS};
use ringwall_wire::order::{OrderFault, ReplaceOrder};
use ringwall_wire::receipt::EpochStart;
use ringwall_wire::recovery::EpochBegun;
use std::collections::BTreeMap;

/// Entries after which a proposal that was not admitted is dead.
pub(crate) const PROPOSAL_ENTRIES: u64 = 4_096;
/// Proposals that may wait at once: one for each slot and a retry.
const PROPOSALS: usize = 2 * SLOTS;
/// Incarnations on record; the oldest that are out are forgotten first, which the gate treats like out.
const MEMBERS: usize = 1_024;
/// Endorsements an admission needs, where there are that many voters.
const ENDORSEMENTS: usize = 2;

ringwall_wire::choice! {
    /// Standing, as a snapshot holds it.
    #[derive(Copy)]
    pub enum Standing {
        /// Live.
        1 => Live,
        /// Superseded.
        2 => Superseded,
        /// Retired.
        3 => Retired,
    }
}

ringwall_wire::record! {
    /// A member, as a snapshot holds it.
    pub struct MemberRecord {
        /// Who.
        pub incarnation: Incarnation,
        /// What.
        pub cert: IncarnationCert,
        /// Standing.
        pub standing: Standing,
        /// What its admission was decided by; none for a founder.
        pub admission: Option<Admission>,
    }
}

ringwall_wire::record! {
    /// A proposal, as a snapshot holds it.
    pub struct ProposalRecord {
        /// Its log index.
        pub admit_index: u64,
        /// The proposal.
        pub propose: AdmitPropose,
        /// Verdicts.
        pub endorsements: List<Endorse, { 2 * SLOTS }>,
    }
}

/// A voter, as endorsement rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Voter {
    pub(crate) incarnation: Incarnation,
    pub(crate) slot: Slot,
    pub(crate) vendor: Vendor,
    pub(crate) sig: SigPublic,
}

/// The record of admissions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    pub(crate) epoch: Option<Epoch>,
    pub(crate) members: BTreeMap<Incarnation, MemberRow>,
    pub(crate) proposals: BTreeMap<u64, ProposalRow>,
    /// How every epoch but the first began, oldest first.
    pub(crate) epochs: Vec<EpochStart>,
}

impl Roster {
    pub(crate) fn found(&mut self, founding: Founding) -> Outcome {
        if self.epoch.is_some() {
            return Outcome::Denied(Denial::AlreadyFounded);
        }
        self.epoch = Some(founding.incarnation.epoch());
        self.enter(founding.incarnation, founding.cert, None);
        Outcome::Admitted(founding.incarnation)
    }

    /// The next epoch begins, with one member: everybody of the epochs before is out. That the log before it is the one that is named here is the word
    /// of that member, the only voter: it took the log up.
    pub(crate) fn begin(&mut self, index: u64, begun: EpochBegun, cluster_id: &ClusterId) -> Outcome {
        let EpochBegun { start, account, founding } = begun;
        let next = self.epoch.and_then(|epoch| epoch.0.checked_add(1)).map(Epoch);
        let ours = start.cluster_id == *cluster_id && account.cluster_id == *cluster_id;
        let one = [account.epoch, founding.incarnation.epoch()].iter().all(|epoch| *epoch == start.epoch);
        let named = start.account == Digest(account.digest()) && (1..=index).contains(&start.previous.size);
        if Some(start.epoch) != next || !ours || !one || !named || self.epochs.len() >= EPOCHS {
            return Outcome::Denied(Denial::NotNextEpoch);
        }
        self.members.values_mut().for_each(|row| row.standing = MemberStanding::Retired);
        self.proposals.clear();
        self.epoch = Some(start.epoch);
        self.epochs.push(start);
        self.enter(founding.incarnation, founding.cert, None);
        Outcome::Admitted(founding.incarnation)
    }

    pub(crate) fn propose(&mut self, index: u64, propose: AdmitPropose, law: Law<'_>) -> Outcome {
        self.drop_stale(index);
        if self.proposals.len() >= PROPOSALS {
            return Outcome::Denied(Denial::TooManyProposals);
        }
        if self.keys_known(&propose.cert) {
            return Outcome::Denied(Denial::KeysKnown);
        }
        if let Some(order) = &propose.order
            && let Err(fault) = self.order_holds(order, propose.cert.slot, index, law)
        {
            return Outcome::Denied(Denial::Order(fault));
        }
        let free = defects::on(Defect::NoSlotRule);
        if !free && self.incumbent(propose.cert.slot) != (propose.replaces != Incarnation(0)).then_some(propose.replaces) {
            return Outcome::Denied(Denial::SlotOccupied);
        }
        self.proposals.insert(index, ProposalRow { admit_index: index, propose, endorsements: Vec::new() });
        Outcome::Done
    }

    pub(crate) fn endorse(&mut self, index: u64, endorse: Endorse, voters: &[Voter], cluster_id: &ClusterId) -> Outcome {
        self.drop_stale(index);
        let Some(proposal) = self.proposals.get_mut(&endorse.admit_index) else {
            return Outcome::Denied(Denial::NoProposal);
        };
        let Some(voter) = voters.iter().find(|voter| voter.incarnation == endorse.by) else {
            return Outcome::Denied(Denial::NotVoter);
        };
        // The membership is what the leader of the moment wrote; the key must also be the one the voter was admitted with.
        if self.members.get(&endorse.by).is_none_or(|row| row.cert.keys.sig != voter.sig) {
            return Outcome::Denied(Denial::NotVoter);
        }
        if proposal.endorsements.iter().any(|given| given.by == endorse.by) {
            return Outcome::Denied(Denial::AlreadyEndorsed);
        }
        let words = Endorse::signed_bytes(cluster_id, endorse.admit_index, &proposal.propose, endorse.accepts);
        if !signed(&voter.sig, &words, &endorse.signature) {
            return Outcome::Denied(Denial::BadSignature);
        }
        proposal.endorsements.push(endorse);
        Outcome::Done
    }

    pub(crate) fn commit(&mut self, index: u64, admit_index: u64, voters: &[Voter]) -> Outcome {
        self.drop_stale(index);
        let (Some(proposal), Some(epoch)) = (self.proposals.get(&admit_index), self.epoch) else {
            return Outcome::Denied(Denial::NoProposal);
        };
        let replaces = (proposal.propose.replaces != Incarnation(0)).then_some(proposal.propose.replaces);
        if !defects::on(Defect::NoSlotRule) && self.incumbent(proposal.propose.cert.slot) != replaces {
            return Outcome::Denied(Denial::SlotOccupied);
        }
        let verdicts = match self.endorsed(proposal, voters) {
            Ok(verdicts) => verdicts,
            Err(denial) => return Outcome::Denied(denial),
        };
        let Some(proposal) = self.proposals.remove(&admit_index) else {
            return Outcome::Denied(Denial::NoProposal);
        };
        if let Some(old) = replaces.and_then(|old| self.members.get_mut(&old)) {
            old.standing = MemberStanding::Superseded;
        }
        let incarnation = Incarnation::new(epoch, admit_index);
        let admission = Admission { at: index, evidence: proposal.propose.evidence, verdicts };
        self.enter(incarnation, proposal.propose.cert, Some(admission));
        Outcome::Admitted(incarnation)
    }

    pub(crate) fn retire(&mut self, incarnation: Incarnation) -> Outcome {
        match self.members.get_mut(&incarnation) {
            Some(row) if row.standing != MemberStanding::Retired => {
                row.standing = MemberStanding::Retired;
                Outcome::Done
            }
            _ => Outcome::Denied(Denial::NoMember),
        }
    }

    /// Whether `admit_index` is a proposal that lives as of `applied` and that no voter refused: it may be admitted further on.
    pub(crate) fn may_be_admitted(&self, admit_index: u64, applied: u64) -> bool {
        let alive = |row: &&ProposalRow| applied.saturating_sub(row.admit_index) <= PROPOSAL_ENTRIES;
        self.proposals.get(&admit_index).filter(alive).is_some_and(|row| !self.refused(row))
    }

    /// Whether somebody refused whose refusal counts.
    fn refused(&self, proposal: &ProposalRow) -> bool {
        proposal.endorsements.iter().any(|given| !given.accepts && self.stays(given.by, proposal))
    }

    /// Whether the word of `voter` counts: it was not superseded, and stands in another slot than the joiner.
    fn stays(&self, voter: Incarnation, proposal: &ProposalRow) -> bool {
        let row = self.members.get(&voter);
        row.is_some_and(|row| row.standing == MemberStanding::Live && row.cert.slot != proposal.propose.cert.slot)
    }

    /// Protocol section 4.3, step 4: two voters, one of another vendor than the joiner where there is one, and nobody against. Voters of
    /// the joiner's own slot count for nothing, nor does the word, yes or no, of one that was superseded; a group of one voter decides alone.
    /// Gives the verdicts that counted, which whoever is asked for this admission will show.
    fn endorsed(&self, proposal: &ProposalRow, voters: &[Voter]) -> Result<List<Verdict, { 2 * SLOTS }>, Denial> {
        let cert = &proposal.propose.cert;
        let others: Vec<&Voter> = voters.iter().filter(|voter| voter.slot != cert.slot).collect();
        let given = |voter: &Voter| proposal.endorsements.iter().find(|given| given.accepts && given.by == voter.incarnation);
        let accepted: Vec<(&Voter, &Endorse)> = others
            .iter()
            .filter(|voter| self.stays(voter.incarnation, proposal))
            .filter_map(|voter| Some((*voter, given(voter)?)))
            .collect();
        if self.refused(proposal) {
            return Err(Denial::Rejected);
        }
        let enough = accepted.len() >= ENDORSEMENTS.min(others.len()).max(1);
        let crossed =
            !others.iter().any(|voter| voter.vendor != cert.vendor) || accepted.iter().any(|(voter, _)| voter.vendor != cert.vendor);
        if !(enough && crossed || defects::on(Defect::NoEndorsement)) {
            return Err(Denial::NotEndorsed);
        }
        let verdicts = accepted.iter().map(|(_, given)| Verdict { by: given.by, signature: given.signature });
        Ok(List::new(verdicts.collect::<Vec<_>>())
            .expect("a voter endorses once, and a membership has at most twice as many voters as slots"))
    }

    fn enter(&mut self, incarnation: Incarnation, cert: IncarnationCert, admission: Option<Admission>) {
        self.members.insert(incarnation, MemberRow { incarnation, cert, standing: MemberStanding::Live, admission });
        while self.members.len() > MEMBERS {
            let out = self.members.values().find(|row| row.standing != MemberStanding::Live).map(|row| row.incarnation);
            let Some(out) = out else { return };
            self.members.remove(&out);
        }
    }

    /// The live incarnation of a slot.
    fn incumbent(&self, slot: Slot) -> Option<Incarnation> {
        let live = self.members.values().filter(|row| row.standing == MemberStanding::Live);
        live.filter(|row| row.cert.slot == slot).map(|row| row.incarnation).next_back()
    }

    /// Whether the governors' order lets a joiner be proposed for `slot` at `index` although the incumbent was not asked. It is used up by
    /// what it orders: once another incarnation stands in the slot, it names nobody's incumbent.
    pub(crate) fn order_holds(&self, order: &ReplaceOrder, slot: Slot, index: u64, law: Law<'_>) -> Result<(), OrderFault> {
        if order.cluster_id != *law.cluster_id() {
            return Err(OrderFault::OtherCluster);
        }
        if Some(order.epoch) != self.epoch {
            return Err(OrderFault::OtherEpoch);
        }
        if order.slot != slot {
            return Err(OrderFault::OtherSlot);
        }
        if self.incumbent(slot) != Some(order.incumbent) {
            return Err(OrderFault::OtherIncumbent);
        }
        if order.last_index.is_some_and(|last| index > last) {
            return Err(OrderFault::Expired);
        }
        law.order(order)
    }

    fn keys_known(&self, cert: &IncarnationCert) -> bool {
        let known = self.members.values().map(|row| &row.cert).chain(self.proposals.values().map(|row| &row.propose.cert));
        known.map(|known| &known.keys).any(|keys| keys.noise == cert.keys.noise || keys.sig == cert.keys.sig)
    }

    fn drop_stale(&mut self, index: u64) {
        self.proposals.retain(|at, _| index.saturating_sub(*at) <= PROPOSAL_ENTRIES);
    }

    /// Everything, in order, for a snapshot.
    pub(crate) fn records(&self) -> (Vec<MemberRecord>, Vec<ProposalRecord>) {
        let members = self.members.values().map(|row| MemberRecord {
            incarnation: row.incarnation,
            cert: row.cert.clone(),
            standing: match row.standing {
                MemberStanding::Live => Standing::Live,
                MemberStanding::Superseded => Standing::Superseded,
                MemberStanding::Retired => Standing::Retired,
            },
            admission: row.admission.clone(),
        });
        let proposals = self.proposals.values().map(|row| ProposalRecord {
            admit_index: row.admit_index,
            propose: row.propose.clone(),
            endorsements: List::new(row.endorsements.clone()).expect("a voter endorses once, and voters are bounded"),
        });
        (members.collect(), proposals.collect())
    }

    pub(crate) fn restore_member(&mut self, record: MemberRecord) {
        let standing = match record.standing {
            Standing::Live => MemberStanding::Live,
            Standing::Superseded => MemberStanding::Superseded,
            Standing::Retired => MemberStanding::Retired,
        };
        let MemberRecord { incarnation, cert, admission, .. } = record;
        self.members.insert(incarnation, MemberRow { incarnation, cert, standing, admission });
    }

    pub(crate) fn restore_proposal(&mut self, record: ProposalRecord) {
        let ProposalRecord { admit_index, propose, endorsements } = record;
        self.proposals.insert(admit_index, ProposalRow { admit_index, propose, endorsements: endorsements.into_vec() });
    }
}

/// A function of its arguments alone: every replica comes to the same answer.
pub(crate) fn signed(key: &SigPublic, words: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    let verified = ed25519_dalek::VerifyingKey::from_bytes(&key.0).is_ok_and(|key| key.verify_strict(words, &signature).is_ok());
    verified || defects::on(Defect::AnySignature)
}
