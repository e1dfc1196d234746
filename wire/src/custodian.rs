//! What a custodian and a node say to each other, on a session whose node has attested.
//!
//! Decides: a custodian authenticates with its signature key, on this session alone, in the place where a user would; its operations are a family
//! of their own, none of which reads or writes users' data. A running member and a node that recovers are asked in the same words; which of
//! them answers what, its role in the evidence says.
//! Trusts: nothing. Out of scope: who is a custodian (the founding record, then manifests), what a share is (`custody.rs`). Protocol section 6.

use crate::bounded::{Blob, List};
use crate::codec::enc;
use crate::custody::{ActivateOrder, CustodiansOrder, CustodyFault, ShareAck, ShareChallenge, ShareEnvelope, ShareProof, SignedManifest};
use crate::drill::{DrillOffer, DrillOp, DrillRow};
use crate::ids::{ClusterId, CustodianId, CustodyEpoch, Digest, Epoch, Incarnation, Nonce, Signature};
use crate::label::Label;
use crate::limits::{AUDIT_EVENTS, CUSTODIANS, EXCHANGE_BYTES};
use crate::receipt::{ReceiptHead, Recovered};
use crate::recovery::{AuditEvent, LossSignature, LossTerms, RecoveryFault, ShareSubmission, SignedOffer};
use crate::session::Refusal;
use crate::{choice, message, record};
use alloc::boxed::Box;
use alloc::vec::Vec;

message! {
    /// A custodian's word for who it is, good on this session alone.
    pub struct CustodianAuth = CustodianAuth {
        /// Who.
        pub custodian: CustodianId,
        /// Signature over [`CustodianAuth::words`].
        pub signature: Signature,
    }
}

message! {
    /// The session is open.
    pub struct CustodianReady = CustodianReady {
        /// Cluster epoch; of a node that recovers, the one its disk knows.
        pub epoch: Epoch,
        /// Where the log stands, signed: what the custodian keeps as its anchor. None from a node that recovers.
        pub head: Option<ReceiptHead>,
        /// That the epoch began with a recovery; none in the first, and from a node that recovers.
        pub recovered: Option<Recovered>,
    }
}

message! {
    /// One request.
    pub struct CustodianRequest = CustodianRequest {
        /// Chosen by the custodian; the reply repeats it.
        pub number: u64,
        /// What is asked.
        pub op: CustodianOp,
    }
}

choice! {
    /// An operation of a custodian.
    pub enum CustodianOp {
        /// Give me the newest dealing, and my envelope.
        1 => Pull,
        /// I verified it and hold my share.
        2 => Ack(ShareAck),
        /// Ask me for a proof that I have my share.
        3 => Challenge,
        /// Here it is.
        4 => Prove(ShareProof),
        /// How does custody stand?
        5 => Status,
        /// What does this recovery (or drill) ask of me?
        6 => Offer,
        /// My share, sealed to the offer.
        7 => Submit(Box<ShareSubmission>),
        /// I accept this loss.
        8 => AcceptLoss(LossSignature),
        /// How far is the recovery, and what happened in it?
        9 => Progress,
        /// The governors do without the acknowledgements that are missing; whoever brings the order decides nothing.
        10 => Activate(ActivateOrder),
        /// The governors name other custodians; whoever brings the order decides nothing.
        11 => Change(Box<CustodiansOrder>),
        /// Of a drill.
        12 => Drill(DrillOp),
    }
}

message! {
    /// One reply.
    pub struct CustodianReply = CustodianReply {
        /// Number of the request.
        pub number: u64,
        /// The answer.
        pub body: CustodianAnswer,
    }
}

choice! {
    /// An answer to a custodian.
    pub enum CustodianAnswer {
        /// Not now, or not here.
        1 => Refused(Refusal),
        /// The dealing.
        2 => Dealt(Box<Dealt>),
        /// On record.
        3 => Noted(CustodyStatus),
        /// The question to answer.
        4 => Challenge(ShareChallenge),
        /// How custody stands.
        5 => Status(CustodyStatus),
        /// What the recovery asks.
        6 => Offer(Box<SignedOffer>),
        /// How far the recovery is.
        7 => Progress(Box<RecoveryProgress>),
        /// A step of custody did not fit.
        8 => Fault(CustodyFault),
        /// A step of the recovery did not fit.
        9 => RecoveryFault(RecoveryFault),
        /// What a drill asks.
        10 => DrillOffer(Box<DrillOffer>),
        /// Drills of the active dealing; none where there was none.
        11 => Drills(Option<DrillRow>),
    }
}

message! {
    /// What one custodian is given of a dealing.
    pub struct Dealt = Dealt {
        /// The manifest.
        pub manifest: SignedManifest,
        /// The custodian's own envelope.
        pub envelope: ShareEnvelope,
        /// The dealer's evidence: [`crate::custody::Dealing::exchange`].
        pub exchange: Blob<EXCHANGE_BYTES>,
        /// Whether it is active already.
        pub active: bool,
    }
}

record! {
    /// How custody stands.
    pub struct CustodyStatus {
        /// The active dealing; 0 = none.
        pub active: CustodyEpoch,
        /// Hash of its manifest; zeros = none.
        pub active_manifest: Digest,
        /// The dealing that waits for acknowledgements; 0 = none.
        pub waiting: CustodyEpoch,
        /// Hash of its manifest; zeros = none.
        pub waiting_manifest: Digest,
        /// Shares that recover.
        pub threshold: u8,
        /// When the active dealing was dealt, Unix milliseconds by the cluster's clock; 0 = never.
        pub dealt_at_ms: u64,
        /// Custodians, in the founding record's order.
        pub custodians: List<CustodianStanding, CUSTODIANS>,
    }
}

record! {
    /// How one custodian stands.
    #[derive(Copy)]
    pub struct CustodianStanding {
        /// Who.
        pub custodian: CustodianId,
        /// Whether it acknowledged the active dealing.
        pub holds: bool,
        /// Whether it acknowledged the one that waits.
        pub acknowledged: bool,
        /// When it last proved its share of the active dealing, Unix milliseconds by the cluster's clock; 0 = never.
        pub proved_at_ms: u64,
    }
}

record! {
    /// How far a recovery is.
    pub struct RecoveryProgress {
        /// Which session.
        pub session: Nonce,
        /// The step that is waited for.
        pub step: RecoveryStep,
        /// Whose good shares are in.
        pub submitted: List<CustodianId, CUSTODIANS>,
        /// The loss that custodians are asked to accept, where claims are missing.
        pub loss: Option<LossTerms>,
        /// What happened, in order.
        pub audit: List<AuditEvent, AUDIT_EVENTS>,
    }
}

choice! {
    /// Where a recovery stands.
    #[derive(Copy)]
    pub enum RecoveryStep {
        /// Waits for shares (DR1).
        1 => Shares,
        /// Waits for claims from disks (DR3, DR4).
        2 => Claims,
        /// Waits for custodians to accept a loss (DR4).
        3 => Loss,
        /// Waits for witnesses of the epoch start (DR6).
        4 => Witnesses,
        /// The new epoch serves (DR7).
        5 => Serving,
        /// A drill that ended well: the shares gave the recovery key, which opened the blob, and both were forgotten.
        6 => Drilled,
        /// Over, without a result; the audit says why.
        7 => Ended,
    }
}

impl CustodianAuth {
    /// What the custodian signs: like a user's words, useless on any other session.
    pub fn words(cluster_id: &ClusterId, handshake: &Digest, nonce: &Nonce, incarnation: Incarnation, custodian: &CustodianId) -> Vec<u8> {
        let fields: [&[u8]; 5] = [&cluster_id.0, &handshake.0, &nonce.0, &incarnation.0.to_be_bytes(), &custodian.0];
        enc(Label::CustodianAuthSigned, &fields)
    }
}
