//! A drill: a total loss rehearsed on a living cluster, with shares of a key that was made for it and opens nothing else.
//!
//! Decides: the words of DL0 to DL4. A drill has a *shadow cluster*, whose id follows from cluster and session under a label of its own: manifest, shares,
//! envelopes, blob and keys of a drill are of that id, so that none of them is anything in a recovery, and nothing real is anything in a drill. The receipt
//! says who answered, what was compared and how long it took, under the key that the offer's evidence vouches for.
//! Trusts: nothing. Out of scope: the steps (`node`), the judging (`client`), what is kept (`consensus`). Protocol section 6.2, "Drill".

use crate::bounded::List;
use crate::codec::{Field as _, enc, enc_digest};
use crate::custody::{CustodyManifest, ShareEnvelope};
use crate::ids::{ClusterId, CustodianId, CustodyEpoch, Digest, Epoch, Incarnation, Nonce, Signature};
use crate::label::Label;
use crate::limits::{CUSTODIANS, DRILL_LAPS};
use crate::receipt::TreePoint;
use crate::recovery::{RecoveryFault, ShareSubmission, SignedOffer};
use crate::{choice, message, record};
use alloc::boxed::Box;
use alloc::vec::Vec;

message! {
    /// What custodians are given of a drill (DL1).
    pub struct DrillOffer = DrillOffer {
        /// The offer, with what proves it; its `manifest` is the shadow's.
        pub signed: SignedOffer,
        /// The shadow dealing: of the shadow cluster, to the custodians of the active dealing, which it names as the one before.
        pub shadow: CustodyManifest,
        /// One envelope a custodian, in the manifest's order.
        pub envelopes: List<ShareEnvelope, CUSTODIANS>,
    }
}

choice! {
    /// What a custodian asks of a member about drills.
    pub enum DrillOp {
        /// Begin one, or give me the one that is under way.
        1 => Begin,
        /// Give me the one that is under way.
        2 => Offer,
        /// A share for it, whoever's: whoever brings it decides nothing.
        3 => Submit(Box<ShareSubmission>),
        /// How far is it?
        4 => Progress,
        /// How did the last one end?
        5 => Last,
    }
}

record! {
    /// The same on its way to the leader, which alone has a drill.
    pub struct DrillCall {
        /// Who asks, by the member's word.
        pub who: CustodianId,
        /// What.
        pub op: DrillOp,
    }
}

record! {
    /// A drill begins (DL0).
    #[derive(Copy)]
    pub struct DrillBegun {
        /// Its session.
        pub session: Nonce,
        /// SHA-256 of its offer.
        pub offer: Digest,
        /// Hash of the active manifest: whose custodians are asked.
        pub active: Digest,
        /// The custodian that asked for it, by the word of the member it asked.
        pub asked_by: CustodianId,
        /// The member that holds it.
        pub by: Incarnation,
    }
}

record! {
    /// Drills of the active dealing, as the group remembers them.
    pub struct DrillRow {
        /// Group time at which the newest began, Unix milliseconds.
        pub at_ms: u64,
        /// The newest.
        pub begun: DrillBegun,
        /// Whether it has its receipt.
        pub ended: bool,
        /// The receipt of the newest that has one.
        pub last: Option<Box<DrillPaper>>,
    }
}

record! {
    /// How long a step took.
    #[derive(Copy)]
    pub struct DrillLap {
        /// The step.
        pub step: DrillStep,
        /// Milliseconds, by the node's monotonic clock.
        pub took_ms: u64,
    }
}

choice! {
    /// A step of a drill.
    #[derive(Copy)]
    pub enum DrillStep {
        /// Custodians gave their shares.
        1 => Shares,
        /// The shares gave the shadow key, which opened the shadow's keys and vouched for the copy.
        2 => Opened,
        /// The member's disk was read as recovery reads one, and its state computed.
        3 => Read,
        /// A log was chosen, and held against all that custodians have seen and against the copy.
        4 => Compared,
    }
}

record! {
    /// How one custodian stands in a drill.
    #[derive(Copy)]
    pub struct DrillWord {
        /// Who.
        pub custodian: CustodianId,
        /// What came of it.
        pub answer: DrillAnswer,
    }
}

choice! {
    /// What a custodian did in a drill.
    #[derive(Copy)]
    pub enum DrillAnswer {
        /// Its share was good; milliseconds after the drill began.
        1 => Given(u64),
        /// It answered, and not with the share that was made for it.
        2 => Refused(RecoveryFault),
        /// Nothing of it came before the end.
        3 => Silent,
    }
}

record! {
    /// What was compared.
    #[derive(Copy)]
    pub struct DrillCompared {
        /// Whose disk was read.
        pub disk: Incarnation,
        /// SHA-256 of its claim.
        pub claim: Digest,
        /// The log tree when the drill began, which the shadow's key vouched for.
        pub copy: TreePoint,
        /// The log tree that the disk gave; it holds the copy.
        pub found: TreePoint,
        /// Voters of the membership it ends with.
        pub voters: u8,
        /// Those whose disks were not read: a drill reads one.
        pub unread: u8,
        /// Signed heads of custodians that it was held against.
        pub anchors: u8,
    }
}

choice! {
    /// How a drill ended.
    #[derive(Copy)]
    pub enum DrillOutcome {
        /// Well.
        1 => Passed(DrillCompared),
        /// Otherwise.
        2 => Failed(RecoveryFault),
    }
}

message! {
    /// How a drill went, under the key its offer names (DL4).
    pub struct DrillReceipt = DrillReceipt {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// Its epoch.
        pub epoch: Epoch,
        /// The active dealing, whose custodians were asked.
        pub custody_epoch: CustodyEpoch,
        /// Hash of its manifest.
        pub active: Digest,
        /// Shares that recover.
        pub threshold: u8,
        /// The session.
        pub session: Nonce,
        /// SHA-256 of the offer.
        pub offer: Digest,
        /// The member that held it.
        pub by: Incarnation,
        /// Log index of the entry that began it.
        pub index: u64,
        /// When it began, Unix milliseconds by the member's clock.
        pub begun_at_ms: u64,
        /// When it ended.
        pub ended_at_ms: u64,
        /// Every custodian of the dealing, in the manifest's order.
        pub custodians: List<DrillWord, CUSTODIANS>,
        /// Steps that were taken, in order.
        pub laps: List<DrillLap, DRILL_LAPS>,
        /// How it ended.
        pub outcome: DrillOutcome,
        /// Digest of the last event of its audit.
        pub audit: Digest,
        /// Signature over [`DrillReceipt::words`].
        pub signature: Signature,
    }
}

message! {
    /// A receipt with what proves it: judged by anybody who has the cluster's card, without a network.
    pub struct DrillPaper = DrillPaper {
        /// The receipt.
        pub receipt: DrillReceipt,
        /// The offer, whose evidence vouches for the key that signed both.
        pub offer: SignedOffer,
    }
}

/// The cluster a drill's shares and keys are of. No founding record hashes to it.
pub fn shadow_cluster(cluster_id: &ClusterId, session: &Nonce) -> ClusterId {
    ClusterId(enc_digest(Label::ShadowCluster, &[&cluster_id.0, &session.0]))
}

/// What the shadow's master key seals in place of a cluster's disks: where the log stood when the drill began.
pub fn shadow_copy(shadow: &ClusterId, copy: &TreePoint) -> Vec<u8> {
    enc(Label::ShadowCopy, &[&shadow.0, &copy.to_bytes()])
}

impl DrillReceipt {
    /// What the member signs: all of it but the signature.
    pub fn words(&self) -> Vec<u8> {
        let (epoch, custody_epoch) = (self.epoch.to_bytes(), self.custody_epoch.to_bytes());
        let (by, index) = (self.by.to_bytes(), self.index.to_bytes());
        let (begun, ended) = (self.begun_at_ms.to_bytes(), self.ended_at_ms.to_bytes());
        let (custodians, laps, outcome) = (self.custodians.to_bytes(), self.laps.to_bytes(), self.outcome.to_bytes());
        let fields: [&[u8]; 15] = [
            &self.cluster_id.0,
            &epoch,
            &custody_epoch,
            &self.active.0,
            &[self.threshold],
            &self.session.0,
            &self.offer.0,
            &by,
            &index,
            &begun,
            &ended,
            &custodians,
            &laps,
            &outcome,
            &self.audit.0,
        ];
        enc(Label::DrillReceiptSigned, &fields)
    }

    /// Custodians whose good shares came in.
    pub fn given(&self) -> usize {
        self.custodians.iter().filter(|word| matches!(word.answer, DrillAnswer::Given(_))).count()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sample::{Sample as _, Source};

    #[test]
    fn a_shadow_is_of_one_session_of_one_cluster_and_never_that_cluster() {
        let (cluster, session) = (ClusterId([1; 32]), Nonce([2; 32]));
        let shadow = shadow_cluster(&cluster, &session);
        assert_ne!(shadow, cluster);
        assert_ne!(shadow, shadow_cluster(&ClusterId([3; 32]), &session));
        assert_ne!(shadow, shadow_cluster(&cluster, &Nonce([3; 32])));
        assert_ne!(shadow, shadow_cluster(&shadow, &session), "a shadow of a shadow is another one");
    }

    #[test]
    fn a_receipt_is_signed_whole() {
        let receipt = DrillReceipt::sample(&mut Source::new(3));
        let words = receipt.words();
        let changes: [&dyn Fn(&mut DrillReceipt); 9] = [
            &|receipt| receipt.cluster_id.0[0] ^= 1,
            &|receipt| receipt.custody_epoch.0 ^= 1,
            &|receipt| receipt.threshold ^= 1,
            &|receipt| receipt.session.0[0] ^= 1,
            &|receipt| receipt.index ^= 1,
            &|receipt| receipt.ended_at_ms ^= 1,
            &|receipt| {
                receipt.custodians =
                    List::new(alloc::vec![DrillWord { custodian: CustodianId([9; 20]), answer: DrillAnswer::Given(7) }]).unwrap()
            },
            &|receipt| receipt.laps = List::new(alloc::vec![DrillLap { step: DrillStep::Compared, took_ms: 77 }; 5]).unwrap(),
            &|receipt| receipt.outcome = DrillOutcome::Failed(RecoveryFault::Fork),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = receipt.clone();
            change(&mut changed);
            assert_ne!(changed.words(), words, "change {number}");
        }
    }
}
