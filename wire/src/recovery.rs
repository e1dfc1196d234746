//! Recovery from total outage, and its drill: what a recovering node offers, what custodians submit, what disks hold, what is accepted, and the
//! account of it all.
//!
//! Decides: the words of DR0 to DR7. Everything a custodian sends names the offer it answers, so that a share is of use to one session of one
//! attested process. A *drill* is another purpose under the same signatures: what was submitted to a drill opens in no recovery.
//! Trusts: nothing. Out of scope: the decisions (`node`), the cryptography (`keys`). Protocol section 6.2.

mod faults;

pub use faults::RecoveryFault;

use crate::bounded::{Blob, List, Text};
use crate::codec::{Field as _, Message as _, enc, enc_digest};
use crate::command::Founding;
use crate::ids::{
    ClusterId, CustodianId, CustodyEpoch, Digest, Epoch, Incarnation, KeyEpoch, Nonce, SigPublic, Signature, Slot, XWingCiphertext,
    XWingPublic,
};
use crate::keeper::Keeper;
use crate::label::Label;
use crate::limits::{CUSTODIANS, EXCHANGE_BYTES, KEEPERS, SEALED_SHARE_BYTES, SLOTS, SUCCESSIONS};
use crate::peer::{LogPosition, Membership};
use crate::receipt::{EpochStart, ReceiptHead, Signer, TreeHead, TreePoint};
use crate::{choice, message, record};
use alloc::vec::Vec;

choice! {
    /// What a session collects shares for.
    #[derive(Copy)]
    pub enum RecoveryPurpose {
        /// All memories are lost.
        1 => Outage,
        /// Nothing is lost: custodians show that they could.
        2 => Drill,
    }
}

message! {
    /// What a node asks custodians for (DR0).
    pub struct RecoveryOffer = RecoveryOffer {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// Newest epoch its disks know.
        pub epoch: Epoch,
        /// Recovery or drill.
        pub purpose: RecoveryPurpose,
        /// The dealing whose shares are wanted.
        pub custody_epoch: CustodyEpoch,
        /// Hash of its manifest.
        pub manifest: Digest,
        /// Names the session.
        pub session: Nonce,
        /// Made for this session: shares are sealed to it.
        pub kem: XWingPublic,
        /// Slot of the node.
        pub slot: Slot,
        /// Its signature key of this life; the evidence names the same.
        pub sig: SigPublic,
        /// What it has found on disks so far; for people, nothing rests on it.
        pub inventory: List<DiskNote, SLOTS>,
        /// The session a process in this place offered for the same dealing and did not bring to service; for people, nothing rests on it.
        pub replaces: Option<Nonce>,
        /// Machines that keep the session, each of which has to say before the end that this process finishes (KS1); none keeps it where nobody is named.
        pub keepers: List<Keeper, KEEPERS>,
        /// SHA-256 of the offers that processes before this one made for the same session: what answered one of those counts here (KS4).
        pub earlier: List<Digest, SUCCESSIONS>,
    }
}

record! {
    /// What a disk seems to hold.
    #[derive(Copy)]
    pub struct DiskNote {
        /// Slot of the node it is in.
        pub slot: Slot,
        /// Whose log.
        pub incarnation: Incarnation,
        /// Its end.
        pub last: LogPosition,
        /// Newest custody epoch stored with it.
        pub custody_epoch: CustodyEpoch,
    }
}

message! {
    /// An offer with what proves it: judged without a network, on each custodian's own machine.
    pub struct SignedOffer = SignedOffer {
        /// The offer.
        pub offer: RecoveryOffer,
        /// Signature over [`RecoveryOffer::words`].
        pub signature: Signature,
        /// The node's evidence: an encoded [`crate::session::SavedExchange`] with the handshake and nonce of [`RecoveryOffer::opening`], role
        /// [`crate::evidence::Role::Recovery`].
        pub exchange: Blob<EXCHANGE_BYTES>,
    }
}

record! {
    /// How far a custodian has seen the log: a signed head, and who signed it.
    pub struct CustodyAnchor {
        /// The head, as it came with the custodian's last session.
        pub head: ReceiptHead,
        /// The signer's evidence.
        pub signer: Signer,
    }
}

message! {
    /// A custodian's share for one offer (DR1).
    pub struct ShareSubmission = ShareSubmission {
        /// SHA-256 of the offer.
        pub offer: Digest,
        /// Hash of the manifest.
        pub manifest: Digest,
        /// Who.
        pub custodian: CustodianId,
        /// Encapsulated key.
        pub kem: XWingCiphertext,
        /// An encoded [`crate::custody::SharePlain`], sealed to the offer's key under [`ShareSubmission::purpose`].
        pub sealed: Blob<SEALED_SHARE_BYTES>,
        /// Newest epoch the custodian has seen.
        pub last_epoch: Epoch,
        /// How far it has seen the log; none if it never did.
        pub anchor: Option<CustodyAnchor>,
        /// Signature over [`ShareSubmission::words`].
        pub signature: Signature,
    }
}

message! {
    /// What one disk, or one surviving memory, holds (DR3).
    pub struct DiskClaim = DiskClaim {
        /// The session it is for.
        pub session: Nonce,
        /// Slot of the node it was found in.
        pub slot: Slot,
        /// The incarnation whose log it is: claims are counted by this (DR4).
        pub incarnation: Incarnation,
        /// The membership the log ends with.
        pub membership: Membership,
        /// Where that membership was decided.
        pub membership_at: LogPosition,
        /// The membership before it, where the log does not know it to be committed: both then decide (DR4).
        pub previous: Option<Membership>,
        /// End of the log.
        pub last: LogPosition,
        /// Last index the log knows to be committed.
        pub committed: u64,
        /// The log tree up to the end.
        pub tree: TreeHead,
        /// Newest master key it names.
        pub key_epoch: KeyEpoch,
        /// Whether the log's owner still lives and holds the keys.
        pub alive: bool,
        /// The attested process that read it.
        pub by: SigPublic,
        /// MAC under the log key of `key_epoch` over [`DiskClaim::words`]: a host that made up a log cannot make up this.
        pub mac: [u8; 32],
        /// Signature of `by` over [`DiskClaim::words`].
        pub signature: Signature,
    }
}

record! {
    /// What would be lost: what custodians are asked to accept where claims of a majority cannot be had (DR4).
    #[derive(Copy)]
    pub struct LossTerms {
        /// The session.
        pub session: Nonce,
        /// Digest over the claims that are there, in the order of incarnations.
        pub claims: Digest,
        /// The log that would be taken up.
        pub chosen: TreePoint,
        /// Voters of its membership that made no claim.
        pub missing: u8,
        /// Voters of its membership.
        pub voters: u8,
    }
}

record! {
    /// A voter of the log that would be taken up, whose own log is not there.
    #[derive(Copy)]
    pub struct AbsentVoter {
        /// Its place; 0 where the log does not say it.
        pub slot: Slot,
        /// Which life.
        pub incarnation: Incarnation,
    }
}

record! {
    /// The question to the custodians, with what a person weighs: an event of the audit, so that whoever carries it cannot change it.
    pub struct LossAsked {
        /// What they sign.
        pub terms: LossTerms,
        /// Whose log would be taken up; a number without an admit index is a backup's.
        pub taken: Incarnation,
        /// Voters that made no claim.
        pub absent: List<AbsentVoter, { 2 * SLOTS }>,
        /// Entries up to the furthest end that a custodian, a paper or a disk's owner is known to have seen in that epoch; 0 = nobody's word is there.
        pub known: u64,
    }
}

record! {
    /// One custodian's acceptance.
    #[derive(Copy)]
    pub struct LossSignature {
        /// Who.
        pub custodian: CustodianId,
        /// Signature over [`LossTerms::words`].
        pub signature: Signature,
    }
}

message! {
    /// A loss that all custodians of the dealing accepted.
    pub struct AcceptLoss = AcceptLoss {
        /// Of what.
        pub terms: LossTerms,
        /// By whom.
        pub signatures: List<LossSignature, CUSTODIANS>,
    }
}

message! {
    /// The account of a recovery; an epoch start names its hash.
    pub struct RecoveryAccount = RecoveryAccount {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// The epoch that begins.
        pub epoch: Epoch,
        /// The offer that was answered.
        pub offer: Digest,
        /// Manifest of the dealing.
        pub manifest: Digest,
        /// Whose shares opened it; nobody's where a chip did.
        pub custodians: List<CustodianId, CUSTODIANS>,
        /// Place of the node whose chip opened the keys in place of custodians (policy `platform_unseal`); none where shares did.
        pub unsealed: Option<Slot>,
        /// Digest over the claims, in the order of incarnations.
        pub claims: Digest,
        /// Whose log was chosen.
        pub chosen: Incarnation,
        /// The loss that was accepted, if one had to be.
        pub loss: Option<AcceptLoss>,
        /// Why this dealing was used again; empty where it opened a recovery for the first time.
        pub again: Text<256>,
        /// Digest of the last event of the audit up to here.
        pub audit: Digest,
    }
}

record! {
    /// The first decision of a new epoch, as a command: what it continues, whose account says why, who stands at its beginning.
    pub struct EpochBegun {
        /// What witnesses sign and clients are told.
        pub start: EpochStart,
        /// What `start` names by its hash.
        pub account: RecoveryAccount,
        /// The one member the epoch begins with.
        pub founding: Founding,
    }
}

message! {
    /// One event of a recovery, under the recovering node's signature; each names the one before. Holds no secret.
    pub struct AuditEvent = AuditEvent {
        /// The session.
        pub session: Nonce,
        /// From 1, without gaps.
        pub number: u64,
        /// Digest of the event before; zeros for the first.
        pub previous: Digest,
        /// When, Unix seconds by the node's clock; nothing rests on it.
        pub at_s: u64,
        /// What.
        pub what: AuditWhat,
        /// Signature over [`AuditEvent::words`] with the key the offer names.
        pub signature: Signature,
    }
}

choice! {
    /// What happened in a recovery.
    pub enum AuditWhat {
        /// It was offered: digest of the offer.
        1 => Offered(Digest),
        /// A custodian's good share came in.
        2 => Submitted(CustodianId),
        /// A submission was refused.
        3 => Refused(RefusedShare),
        /// The shares gave the recovery key, and it opened the blob with keys up to this generation.
        4 => Opened(KeyEpoch),
        /// A disk's claim came in: digest of the claim.
        5 => Claimed(Digest),
        /// A claim was refused: whose, and why.
        6 => ClaimRefused(RefusedClaim),
        /// A log was chosen.
        7 => Chosen(TreePoint),
        /// A custodian accepted a loss.
        8 => LossAccepted(CustodianId),
        /// The epoch start is public: its digest.
        9 => Published(Digest),
        /// The new epoch serves: its first incarnation.
        10 => Served(Incarnation),
        /// A drill ended well.
        11 => Drilled,
        /// It ended without a result.
        12 => Ended(RecoveryFault),
        /// Custodians are asked to accept a loss; what was accepted of another one is void.
        13 => LossAsked(LossAsked),
        /// The node's chip opened the keys, up to this generation; no custodian was asked.
        14 => Unsealed(KeyEpoch),
        /// It goes on with a session that keepers handed over: digest of the newest offer before this one.
        15 => WentOn(Digest),
        /// This process finishes, and no other: so many keepers, all that the offer names, gave their word.
        16 => Sole(u8),
    }
}

record! {
    /// A share that was refused: the custodian is named.
    #[derive(Copy)]
    pub struct RefusedShare {
        /// Who signed the submission.
        pub custodian: CustodianId,
        /// Why.
        pub fault: RecoveryFault,
    }
}

record! {
    /// A claim that was refused.
    #[derive(Copy)]
    pub struct RefusedClaim {
        /// Slot it came from.
        pub slot: Slot,
        /// Whose log it says it is.
        pub incarnation: Incarnation,
        /// Why.
        pub fault: RecoveryFault,
    }
}

impl RecoveryOffer {
    /// What the node signs.
    pub fn words(&self) -> Vec<u8> {
        enc(Label::RecoveryOfferSigned, &[&self.cluster_id.0, &self.digest()])
    }

    /// Handshake hash and nonce the node's evidence is bound to, in place of a session's: both follow from the offer, whose `session` is fresh.
    pub fn opening(&self) -> (Digest, Nonce) {
        let offer = self.digest();
        (Digest(offer), Nonce(enc_digest(Label::OfferNonce, &[&offer])))
    }
}

impl ShareSubmission {
    /// What sealing is bound to (HPKE `info`): the offer's digest covers session, purpose and key.
    pub fn purpose(offer: &Digest, manifest: &Digest, custodian: &CustodianId) -> Vec<u8> {
        enc(Label::ShareSubmissionSealed, &[&offer.0, &manifest.0, &custodian.0])
    }

    /// What the custodian signs: all of it but the signature.
    pub fn words(&self) -> Vec<u8> {
        let purpose = Self::purpose(&self.offer, &self.manifest, &self.custodian);
        let (last_epoch, anchor) = (self.last_epoch.to_bytes(), self.anchor.to_bytes());
        enc(Label::ShareSubmissionSigned, &[&purpose, &self.kem.0, &self.sealed, &last_epoch, &anchor])
    }
}

impl DiskClaim {
    /// What is MACed and signed: all of it but those two.
    pub fn words(&self, cluster_id: &ClusterId) -> Vec<u8> {
        let (slot, incarnation) = (self.slot.to_bytes(), self.incarnation.to_bytes());
        let (membership, previous) = (self.membership.to_bytes(), self.previous.to_bytes());
        let (membership_at, last, committed) = (self.membership_at.to_bytes(), self.last.to_bytes(), self.committed.to_bytes());
        let (tree, key_epoch, alive) = (self.tree.to_bytes(), self.key_epoch.to_bytes(), self.alive.to_bytes());
        let fields: [&[u8]; 13] = [
            &cluster_id.0,
            &self.session.0,
            &slot,
            &incarnation,
            &membership,
            &membership_at,
            &previous,
            &last,
            &committed,
            &tree,
            &key_epoch,
            &alive,
            &self.by.0,
        ];
        enc(Label::DiskClaimSigned, &fields)
    }
}

/// Stands for claims: over their digests, in the order of incarnations.
pub fn claims_digest(claims: &[DiskClaim]) -> Digest {
    let mut ordered: Vec<&DiskClaim> = claims.iter().collect();
    ordered.sort_by_key(|claim| claim.incarnation);
    let digests: Vec<[u8; 32]> = ordered.into_iter().map(crate::codec::Message::digest).collect();
    let fields: Vec<&[u8]> = digests.iter().map(<[u8; 32]>::as_slice).collect();
    Digest(enc_digest(Label::RecoveryClaims, &fields))
}

impl LossTerms {
    /// What every custodian signs.
    pub fn words(&self, cluster_id: &ClusterId) -> Vec<u8> {
        enc(Label::AcceptLossSigned, &[&cluster_id.0, &self.to_bytes()])
    }
}

impl AuditEvent {
    /// What the recovering node signs: all of it but the signature.
    pub fn words(&self, cluster_id: &ClusterId) -> Vec<u8> {
        let (number, at_s, what) = (self.number.to_bytes(), self.at_s.to_bytes(), self.what.to_bytes());
        enc(Label::AuditEventSigned, &[&cluster_id.0, &self.session.0, &number, &self.previous.0, &at_s, &what])
    }
}
