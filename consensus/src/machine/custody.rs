//! Shares of the recovery key, as the group records them: what was dealt, who holds a share, which dealing is active.
//!
//! Decides: IDLE, DEALT, ACKED(k), ACTIVE. One dealing waits at most; it becomes the active one when every custodian has acknowledged it, or at least
//! the threshold and the governors order the rest away, and in the same entry the master key is rotated: until then the dealing before is good,
//! from then on it opens nothing that is written. Custody epochs only rise, those of dropped dealings included (IN10). Every replica verifies every
//! signature; a manifest that names other custodians than those in force is refused, whoever leads. Drills of the active dealing are counted by time.
//! Trusts: that a member looked at a proof's answer before it was proposed; nobody without keys can. Out of scope: making shares (`keys`, `node`),
//! generations (`generations`). Protocol section 6.1.

use crate::charter::{Charter, CustodyTerms, Law};
use crate::defects::{self, Defect};
use crate::machine::replicated::ReplicatedState;
use crate::machine::roster::{Voter, signed};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message;
use ringwall_wire::command::{Denial, Outcome};
use ringwall_wire::custody::{
    Activate, ActivateOrder, CustodiansOrder, CustodyCommand, CustodyFault, CustodyManifest, Dealing, DealtKeys, RecoveryBlob, ShareAck,
    ShareProof,
};
use ringwall_wire::drill::{DrillBegun, DrillPaper, DrillRow};
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{CustodianId, CustodyEpoch, Digest, Epoch, KeyEpoch};
use ringwall_wire::limits::{CUSTODIANS, DRILL_PAUSE_MS};
use ringwall_wire::order::OrderFault;
use ringwall_wire::rotation::{RotatedCustody, RotationFault};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Stands for the manifest before the first.
const NO_MANIFEST: Digest = Digest([0; 32]);

ringwall_wire::record! {
    /// A proof on record.
    pub struct ProofRecord {
        /// Group time at which it was recorded, Unix milliseconds.
        pub at_ms: u64,
        /// The proof.
        pub proof: ShareProof,
    }
}

ringwall_wire::record! {
    /// A dealing, as a snapshot holds it.
    pub struct HeldRecord {
        /// Whether it is the active one; otherwise it waits.
        pub active: bool,
        /// Group time at which it was dealt, Unix milliseconds.
        pub dealt_ms: u64,
        /// What was dealt.
        pub dealing: Dealing,
        /// Master keys sealed to it, from its activation on.
        pub recovery: Option<RecoveryBlob>,
        /// Who acknowledged.
        pub acks: List<ShareAck, CUSTODIANS>,
        /// Newest proof of each custodian.
        pub proofs: List<ProofRecord, CUSTODIANS>,
        /// Its drills, if there were any.
        pub drills: Option<DrillRow>,
    }
}

ringwall_wire::record! {
    /// What is known of custody beside the dealings, as a snapshot holds it.
    pub struct CustodyRecord {
        /// Newest custody epoch that was dealt.
        pub newest: CustodyEpoch,
        /// Who has to hold shares, where the governors changed what the founding record says.
        pub custodians: Option<TermsRecord>,
    }
}

ringwall_wire::record! {
    /// Who has to hold shares.
    pub struct TermsRecord {
        /// They.
        pub custodians: List<Custodian, CUSTODIANS>,
        /// Shares that recover.
        pub threshold: u8,
    }
}

/// A dealing on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Hash of its manifest.
    pub hash: Digest,
    /// What was dealt; the keys beside it are wrapped under the newest master key once it is active.
    pub dealing: Dealing,
    /// Group time at which it was dealt, Unix milliseconds.
    pub dealt_ms: u64,
    /// Master keys sealed to it, from its activation on.
    pub recovery: Option<RecoveryBlob>,
    /// Who acknowledged it.
    pub acks: BTreeMap<CustodianId, ShareAck>,
    /// Newest proof of each custodian, with the group time of its record.
    pub proofs: BTreeMap<CustodianId, ProofRecord>,
    /// Its drills, if there were any.
    pub drills: Option<DrillRow>,
}

/// Custody as of one applied index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Custody {
    /// Newest custody epoch that was dealt, dropped ones included; 0 before the first.
    pub newest: CustodyEpoch,
    /// The dealing that recovers; none before the first activation.
    pub active: Option<Arc<Held>>,
    /// The dealing that waits for acknowledgements.
    pub waiting: Option<Arc<Held>>,
    /// Who has to hold shares, where the governors changed what the founding record says.
    pub custodians: Option<Arc<CustodyTerms>>,
}

impl Held {
    /// The manifest.
    pub fn manifest(&self) -> &CustodyManifest {
        &self.dealing.manifest.manifest
    }

    /// Custody epoch.
    pub fn custody_epoch(&self) -> CustodyEpoch {
        self.manifest().custody_epoch
    }

    /// Whether every custodian has acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        self.acks.len() == self.manifest().members.len()
    }

    /// Whether as many custodians acknowledged as it takes to recover.
    pub fn recovers(&self) -> bool {
        self.acks.len() >= usize::from(self.manifest().threshold)
    }

    /// Whether `keys` are all of this dealing's, each wrapped under `key_epoch`.
    pub(crate) fn wants(&self, keys: &DealtKeys, key_epoch: KeyEpoch) -> bool {
        is_whole(self.manifest(), keys, key_epoch)
    }

    fn verified_ack(&self, ack: &ShareAck) -> Result<(), CustodyFault> {
        let member = self.manifest().member(&ack.custodian).ok_or(CustodyFault::NotCustodian)?;
        if self.acks.contains_key(&ack.custodian) {
            return Err(CustodyFault::Already);
        }
        let words = ShareAck::words(&self.manifest().cluster_id, &self.hash, &ack.custodian);
        signed(&member.custodian.sig, &words, &ack.signature).then_some(()).ok_or(CustodyFault::BadSignature)
    }

    fn verified_proof(&self, proof: &ShareProof) -> Result<(), CustodyFault> {
        let member = self.manifest().member(&proof.custodian).ok_or(CustodyFault::NotCustodian)?;
        if self.proofs.get(&proof.custodian).is_some_and(|known| known.proof.nonce == proof.nonce) {
            return Err(CustodyFault::Already);
        }
        let words = proof.words(&self.manifest().cluster_id);
        signed(&member.custodian.sig, &words, &proof.signature).then_some(()).ok_or(CustodyFault::BadSignature)
    }

    /// Whether this custodian may have a drill begun at this group time.
    pub fn may_drill(&self, who: &CustodianId, now_ms: u64) -> Result<(), CustodyFault> {
        self.manifest().member(who).ok_or(CustodyFault::NotCustodian)?;
        match &self.drills {
            Some(row) if now_ms.saturating_sub(row.at_ms) < DRILL_PAUSE_MS => Err(CustodyFault::TooSoon),
            _ => Ok(()),
        }
    }

    /// The receipt of the drill that is under way, by the member that holds it.
    fn verified_drill(&self, paper: &DrillPaper, facts: &Facts<'_>) -> Result<(), CustodyFault> {
        let begun = self.drills.as_ref().filter(|row| !row.ended).map(|row| &row.begun).ok_or(CustodyFault::NoDrill)?;
        let receipt = &paper.receipt;
        let same = (receipt.session, receipt.offer, receipt.active, receipt.by) == (begun.session, begun.offer, begun.active, begun.by);
        if !same || Digest(paper.offer.offer.digest()) != begun.offer {
            return Err(CustodyFault::NoDrill);
        }
        let voter = facts.voters.iter().find(|voter| voter.incarnation == begun.by).ok_or(CustodyFault::NotDealer)?;
        signed(&voter.sig, &receipt.words(), &receipt.signature).then_some(()).ok_or(CustodyFault::BadSignature)
    }

    fn record(&self, active: bool) -> HeldRecord {
        HeldRecord {
            active,
            dealt_ms: self.dealt_ms,
            dealing: self.dealing.clone(),
            recovery: self.recovery.clone(),
            acks: List::new(self.acks.values().cloned().collect()).expect("a custodian of the manifest acknowledges once"),
            proofs: List::new(self.proofs.values().cloned().collect()).expect("one of each custodian of the manifest"),
            drills: self.drills.clone(),
        }
    }
}

/// One key for every custodian of the manifest, in its order, and the tag key: all wrapped under `key_epoch`.
fn is_whole(manifest: &CustodyManifest, keys: &DealtKeys, key_epoch: KeyEpoch) -> bool {
    let named = manifest.members.iter().map(|member| member.id());
    keys.tag.key_epoch == key_epoch
        && keys.proofs.iter().map(|proof| proof.custodian).eq(named)
        && keys.proofs.iter().all(|proof| proof.key.key_epoch == key_epoch)
}

/// What a dealing is judged by, beside itself.
pub(crate) struct Facts<'a> {
    pub(crate) law: Law<'a>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) voters: &'a [Voter],
    /// Oldest and newest live generation.
    pub(crate) keys: (KeyEpoch, KeyEpoch),
    pub(crate) now_ms: u64,
}

impl Custody {
    /// Who has to hold shares: what the governors said last, otherwise the founding record.
    pub(crate) fn terms<'a>(&'a self, charter: &'a Charter) -> Option<&'a CustodyTerms> {
        self.custodians.as_deref().or(charter.custody.as_deref())
    }

    /// Whether a key of a dealing is wrapped under this generation.
    pub(crate) fn wraps_under(&self, key_epoch: KeyEpoch) -> bool {
        let held = self.active.iter().chain(&self.waiting);
        held.flat_map(|held| std::iter::once(&held.dealing.keys.tag).chain(held.dealing.keys.proofs.iter().map(|proof| &proof.key)))
            .any(|key| key.key_epoch == key_epoch)
    }

    /// Custody epoch of the active dealing; 0 before the first.
    pub fn active_epoch(&self) -> CustodyEpoch {
        self.active.as_ref().map_or(CustodyEpoch(0), |active| active.custody_epoch())
    }

    /// Hash of the active manifest, zeros before the first.
    pub(crate) fn active_hash(&self) -> Digest {
        self.active.as_ref().map_or(NO_MANIFEST, |active| active.hash)
    }

    /// IDLE or DEALT to DEALT. A dealing that waits is dropped for the new one.
    pub(crate) fn deal(&mut self, dealing: Dealing, facts: &Facts<'_>) -> Result<(), CustodyFault> {
        self.may_deal(&dealing, facts)?;
        let manifest = &dealing.manifest.manifest;
        let hash = Digest(manifest.digest());
        self.newest = manifest.custody_epoch;
        let (acks, proofs) = (BTreeMap::new(), BTreeMap::new());
        self.waiting = Some(Arc::new(Held { hash, dealing, dealt_ms: facts.now_ms, recovery: None, acks, proofs, drills: None }));
        Ok(())
    }

    fn may_deal(&self, dealing: &Dealing, facts: &Facts<'_>) -> Result<(), CustodyFault> {
        let manifest = &dealing.manifest.manifest;
        let terms = self.terms(facts.law.charter).ok_or(CustodyFault::NoCustodians)?;
        if manifest.cluster_id != *facts.law.cluster_id() || Some(manifest.epoch) != facts.epoch {
            return Err(CustodyFault::OtherCluster);
        }
        if self.newest.0.checked_add(1) != Some(manifest.custody_epoch.0) && !defects::on(Defect::AnyDealing) {
            return Err(CustodyFault::NotNext);
        }
        if manifest.previous != self.active_hash() {
            return Err(CustodyFault::OtherPrevious);
        }
        if !terms.are_named_by(manifest) {
            return Err(CustodyFault::OtherCustodians);
        }
        if (manifest.oldest_key, manifest.newest_key) != facts.keys {
            return Err(CustodyFault::OtherKeys);
        }
        let dealer = facts.voters.iter().find(|voter| voter.incarnation == manifest.dealer);
        if dealer.is_none_or(|voter| voter.sig != manifest.dealer_sig) {
            return Err(CustodyFault::NotDealer);
        }
        if !signed(&manifest.dealer_sig, &manifest.words(), &dealing.manifest.signature) {
            return Err(CustodyFault::BadSignature);
        }
        let hash = Digest(manifest.digest());
        let sealed = manifest.members.iter().map(|member| (hash, member.id(), member.x));
        let envelopes = dealing.envelopes.iter().map(|envelope| (envelope.manifest, envelope.custodian, envelope.x));
        let whole = envelopes.eq(sealed) && is_whole(manifest, &dealing.keys, manifest.newest_key);
        whole.then_some(()).ok_or(CustodyFault::NotWhole)
    }

    /// DEALT or ACKED(k) to ACKED(k+1). A custodian may come after the activation.
    pub(crate) fn ack(&mut self, ack: ShareAck) -> Result<(), CustodyFault> {
        let held = self.named(&ack.manifest)?;
        held.verified_ack(&ack)?;
        Arc::make_mut(held).acks.insert(ack.custodian, ack);
        Ok(())
    }

    /// A custodian has shown its share of the active dealing.
    pub(crate) fn proved(&mut self, proof: ShareProof, now_ms: u64) -> Result<(), CustodyFault> {
        let active = self.active.as_mut().filter(|active| active.hash == proof.manifest).ok_or(CustodyFault::NoDealing)?;
        active.verified_proof(&proof)?;
        Arc::make_mut(active).proofs.insert(proof.custodian, ProofRecord { at_ms: now_ms, proof });
        Ok(())
    }

    /// A drill begins; one that was under way is over with it, its member having lost it.
    pub(crate) fn drill_begun(&mut self, begun: DrillBegun, facts: &Facts<'_>) -> Result<(), CustodyFault> {
        let active = self.active.as_mut().filter(|active| active.hash == begun.active).ok_or(CustodyFault::NoDealing)?;
        active.may_drill(&begun.asked_by, facts.now_ms)?;
        if facts.voters.iter().all(|voter| voter.incarnation != begun.by) {
            return Err(CustodyFault::NotDealer);
        }
        let active = Arc::make_mut(active);
        let last = active.drills.take().and_then(|row| row.last);
        active.drills = Some(DrillRow { at_ms: facts.now_ms, begun, ended: false, last });
        Ok(())
    }

    /// The drill that is under way has its receipt.
    pub(crate) fn drill_ended(&mut self, paper: Box<DrillPaper>, facts: &Facts<'_>) -> Result<(), CustodyFault> {
        let active = self.active.as_mut().filter(|active| active.hash == paper.receipt.active).ok_or(CustodyFault::NoDealing)?;
        active.verified_drill(&paper, facts)?;
        if let Some(row) = &mut Arc::make_mut(active).drills {
            row.ended = true;
            row.last = Some(paper);
        }
        Ok(())
    }

    fn named(&mut self, manifest: &Digest) -> Result<&mut Arc<Held>, CustodyFault> {
        let mut held = self.waiting.iter_mut().chain(&mut self.active);
        held.find(|held| held.hash == *manifest).ok_or(CustodyFault::NoDealing)
    }

    /// Back to what was active: from every state, and with nothing left of the dealing but its number.
    pub(crate) fn abort(&mut self, manifest: &Digest) -> Result<(), CustodyFault> {
        match self.waiting.take_if(|waiting| waiting.hash == *manifest) {
            Some(_) => Ok(()),
            None => Err(CustodyFault::NoDealing),
        }
    }

    /// The dealing that may be activated now: everybody acknowledged, or the governors do without some and the rest can recover.
    pub(crate) fn may_activate(
        &self,
        manifest: &Digest,
        order: Option<&ActivateOrder>,
        facts: &Facts<'_>,
    ) -> Result<Arc<Held>, CustodyFault> {
        let waiting = self.waiting.as_ref().filter(|waiting| waiting.hash == *manifest).ok_or(CustodyFault::NoDealing)?;
        if waiting.is_acknowledged() {
            return Ok(Arc::clone(waiting));
        }
        let order = order.filter(|_| waiting.recovers()).ok_or(CustodyFault::NotAcknowledged)?;
        let holds = || {
            if order.cluster_id != *facts.law.cluster_id() {
                return Err(OrderFault::OtherCluster);
            }
            if Some(order.epoch) != facts.epoch {
                return Err(OrderFault::OtherEpoch);
            }
            facts.law.words(&order.signed_words(), &order.signatures)
        };
        if order.manifest != *manifest {
            return Err(CustodyFault::NoDealing);
        }
        holds().map_err(CustodyFault::Order)?;
        Ok(Arc::clone(waiting))
    }

    /// ACKED(k) to ACTIVE, with the keys that came with the rotation.
    fn activate(&mut self, rotated: RotatedCustody) {
        self.active = self.waiting.take();
        self.carried(rotated);
    }

    /// The active dealing goes on under another master key.
    pub(crate) fn carried(&mut self, rotated: RotatedCustody) {
        if let Some(active) = &mut self.active {
            let active = Arc::make_mut(active);
            active.recovery = Some(rotated.recovery);
            active.dealing.keys = rotated.keys;
        }
    }

    /// The keys of a dealing, active or not, go on under another master key.
    pub(crate) fn rewrapped(&mut self, manifest: &Digest, keys: DealtKeys, newest: KeyEpoch) -> Result<(), RotationFault> {
        let held = self.named(manifest).map_err(|_| RotationFault::NotCustody)?;
        if !held.wants(&keys, newest) {
            return Err(RotationFault::NotCustody);
        }
        Arc::make_mut(held).dealing.keys = keys;
        Ok(())
    }

    /// The governors name other custodians: the next dealing is theirs, the active one stays until then, and one that waits is dropped.
    pub(crate) fn change(&mut self, order: CustodiansOrder, facts: &Facts<'_>) -> Result<(), CustodyFault> {
        let terms = self.terms(facts.law.charter).ok_or(CustodyFault::NoCustodians)?;
        if order.cluster_id != *facts.law.cluster_id() || Some(order.epoch) != facts.epoch {
            return Err(CustodyFault::OtherCluster);
        }
        if order.replaces != CustodiansOrder::list_digest(&terms.custodians, terms.threshold) {
            return Err(CustodyFault::OtherPrevious);
        }
        facts.law.words(&order.signed_words(), &order.signatures).map_err(CustodyFault::Order)?;
        let next = CustodyTerms::new(order.custodians, order.threshold).ok_or(CustodyFault::OtherCustodians)?;
        self.custodians = Some(Arc::new(next));
        self.waiting = None;
        Ok(())
    }

    /// For a snapshot: what stands beside the dealings, and the dealings.
    pub(crate) fn records(&self) -> (CustodyRecord, Vec<HeldRecord>) {
        let custodians = self.custodians.as_deref();
        let custodians = custodians.map(|terms| TermsRecord { custodians: terms.custodians.clone(), threshold: terms.threshold });
        let active = self.active.iter().map(|held| held.record(true));
        let held = active.chain(self.waiting.iter().map(|held| held.record(false)));
        (CustodyRecord { newest: self.newest, custodians }, held.collect())
    }

    /// From a snapshot, without its dealings; none if it is not one of ours.
    pub(crate) fn restore(record: CustodyRecord) -> Option<Self> {
        let custodians = match record.custodians {
            None => None,
            Some(TermsRecord { custodians, threshold }) => Some(Arc::new(CustodyTerms::new(custodians, threshold)?)),
        };
        Some(Custody { newest: record.newest, active: None, waiting: None, custodians })
    }

    /// A dealing from a snapshot; false if there is one in its place.
    #[must_use]
    pub(crate) fn restore_held(&mut self, record: HeldRecord) -> bool {
        let HeldRecord { active, dealt_ms, dealing, recovery, acks, proofs, drills } = record;
        let hash = Digest(dealing.manifest.manifest.digest());
        let acks = acks.into_vec().into_iter().map(|ack| (ack.custodian, ack)).collect();
        let proofs = proofs.into_vec().into_iter().map(|record| (record.proof.custodian, record)).collect();
        let held = Arc::new(Held { hash, dealing, dealt_ms, recovery, acks, proofs, drills });
        let place = if active { &mut self.active } else { &mut self.waiting };
        place.replace(held).is_none()
    }
}

impl ReplicatedState {
    pub(super) fn custody_mut(&mut self) -> &mut Custody {
        Arc::make_mut(&mut self.custody)
    }

    /// A step of custody.
    pub(super) fn custody_step(&mut self, command: CustodyCommand) -> Outcome {
        // The membership is what the leader of the moment wrote; the key must also be the one the voter was admitted with.
        let admitted = |voter: &Voter| self.roster.members.get(&voter.incarnation).is_some_and(|row| row.cert.keys.sig == voter.sig);
        let voters: Vec<Voter> = self.voters().into_iter().filter(admitted).collect();
        let (charter, governed) = (self.charter.clone(), Arc::clone(&self.governed));
        let law = Law { charter: &charter, policy: governed.in_force() };
        let keys = (self.generations.oldest(), self.generations.newest());
        let facts = Facts { law, epoch: self.roster.epoch, voters: &voters, keys, now_ms: self.time_ms };
        let done = match command {
            CustodyCommand::Deal(dealing) => self.custody_mut().deal(*dealing, &facts),
            CustodyCommand::Ack(ack) => self.custody_mut().ack(ack),
            CustodyCommand::Activate(activate) => return self.activate(*activate, &facts),
            CustodyCommand::Abort(manifest) => self.custody_mut().abort(&manifest),
            CustodyCommand::Proved(proof) => self.custody_mut().proved(proof, facts.now_ms),
            CustodyCommand::Change(order) => self.custody_mut().change(*order, &facts),
            CustodyCommand::DrillBegun(begun) => self.custody_mut().drill_begun(begun, &facts),
            CustodyCommand::DrillEnded(paper) => self.custody_mut().drill_ended(paper, &facts),
        };
        match done {
            Ok(()) => Outcome::Done,
            Err(fault) => Outcome::Denied(Denial::Custody(fault)),
        }
    }

    /// The dealing takes the place of the active one and the master key is rotated, both or neither.
    fn activate(&mut self, activate: Activate, facts: &Facts<'_>) -> Outcome {
        let Activate { manifest, order, rotate } = activate;
        let next = match self.custody.may_activate(&manifest, order.as_ref(), facts) {
            Ok(next) => next,
            Err(fault) => return Outcome::Denied(Denial::Custody(fault)),
        };
        let rotated = self.may_rotate(&rotate, Some(&*next)).and_then(|()| {
            let custody = rotate.custody.ok_or(RotationFault::NotCustody)?;
            self.generations().rotate(rotate.generation, facts.now_ms)?;
            Ok(custody)
        });
        match rotated {
            Ok(custody) => {
                self.custody_mut().activate(custody);
                Outcome::Done
            }
            Err(fault) => Outcome::Denied(Denial::Keys(fault)),
        }
    }
}

#[cfg(test)]
mod tests;
