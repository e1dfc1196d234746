//! Judging a drill: its offer before anything is answered, its receipt afterwards.
//!
//! Decides: an offer of a drill is judged as an offer of a recovery is, by the same function; besides, everything in it is of the shadow cluster of this very
//! session, and dealt to the custodians of a dealing this folder holds, as that one was. So what is opened is a share of a key made for the drill, and
//! the real one stays where it is. A receipt holds if the key that the offer's evidence vouches for signed it, as of the time of that evidence.
//! Trusts: `offer.rs` for the node, the pinned card. Out of scope: answering (`ceremony.rs`). Protocol section 6.2, "Drill".

use super::dealing::{Judge, is_signed};
use super::offer::{JudgedOffer, OfferError, judge_offer};
use crate::Verification;
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::custody::{CustodyManifest, ShareEnvelope};
use ringwall_wire::drill::{DrillOffer, DrillPaper, DrillReceipt, shadow_cluster};
use ringwall_wire::ids::{CustodianId, Digest};
use ringwall_wire::recovery::RecoveryPurpose;
use ringwall_wire::session::SavedExchange;

/// Why a drill is not what it should be.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum DrillError {
    /// The shadow is not one of this drill and this dealing.
    #[error("the drill is not a shadow of the dealing it names: another {what}. Nothing was opened; tell the operators")]
    NotShadow { what: &'static str },
    /// There is nothing in it for this custodian.
    #[error("the drill holds no envelope for custodian {custodian}; fetch it again")]
    NoEnvelope { custodian: CustodianId },
    /// The receipt is not the word of the node of the offer beside it.
    #[error("the receipt is not the word of the node whose offer came with it: another {what}")]
    NotReceipt { what: &'static str },
    /// The time of its evidence cannot be read.
    #[error("the evidence of the receipt cannot be read: {0}")]
    Exchange(DecodeError),
}

impl DrillError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            DrillError::NotShadow { .. } | DrillError::NoEnvelope { .. } => "RW-C-OFFER-REFUSED",
            DrillError::NotReceipt { .. } | DrillError::Exchange(_) => "RW-C-EVIDENCE",
        }
    }
}

/// What a custodian opens in a drill, in place of its share.
#[derive(Clone, Debug)]
pub struct Shadow {
    pub(crate) manifest: CustodyManifest,
    pub(crate) envelope: ShareEnvelope,
}

impl Shadow {
    /// The shadow of `held` for `custodian`, if that is what `drill` brings.
    pub fn judge(drill: &DrillOffer, held: &CustodyManifest, custodian: &CustodianId) -> Result<Self, DrillError> {
        let (offer, shadow) = (&drill.signed.offer, &drill.shadow);
        let dealt =
            |manifest: &CustodyManifest| -> Vec<_> { manifest.members.iter().map(|member| (member.custodian.clone(), member.x)).collect() };
        let facts = [
            ("purpose", offer.purpose == RecoveryPurpose::Drill),
            ("manifest", offer.manifest == Digest(shadow.digest())),
            ("shadow cluster", shadow.cluster_id == shadow_cluster(&offer.cluster_id, &offer.session)),
            ("dealing", shadow.previous == Digest(held.digest()) && offer.custody_epoch == held.custody_epoch),
            ("number", shadow.custody_epoch == held.custody_epoch),
            ("threshold", shadow.threshold == held.threshold),
            ("list of custodians", dealt(shadow) == dealt(held)),
        ];
        if let Some((what, _)) = facts.into_iter().find(|(_, same)| !same) {
            return Err(DrillError::NotShadow { what });
        }
        let envelope = drill.envelopes.iter().find(|envelope| envelope.custodian == *custodian);
        let envelope = envelope.cloned().ok_or(DrillError::NoEnvelope { custodian: *custodian })?;
        Ok(Shadow { manifest: shadow.clone(), envelope })
    }
}

/// A receipt that holds.
#[derive(Debug)]
#[must_use = "a judged receipt is shown"]
pub struct JudgedReceipt {
    receipt: DrillReceipt,
    offer: JudgedOffer,
    attested_s: u64,
}

impl JudgedReceipt {
    /// The receipt.
    pub fn receipt(&self) -> &DrillReceipt {
        &self.receipt
    }

    /// Who signed it.
    pub fn node(&self) -> &Verification {
        self.offer.node()
    }

    /// As of when its evidence was judged, Unix seconds.
    pub fn attested_s(&self) -> u64 {
        self.attested_s
    }
}

/// Why a receipt proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The offer beside it.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The receipt.
    #[error(transparent)]
    Drill(#[from] DrillError),
}

impl ReceiptError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ReceiptError::Offer(fault) => fault.code(),
            ReceiptError::Drill(fault) => fault.code(),
        }
    }
}

/// Judges a receipt without a network, as of the time its evidence was made; never later than `judge` says it is now.
pub fn judge_receipt(judge: &Judge<'_>, paper: &DrillPaper, place: &str) -> Result<JudgedReceipt, ReceiptError> {
    let exchange = SavedExchange::decode(&paper.offer.exchange).map_err(DrillError::Exchange)?;
    let attested_s = exchange.at_s.min(judge.now_s);
    let then = Judge { card: judge.card, anchors: judge.anchors, now_s: attested_s };
    let judged = judge_offer(&then, &paper.offer, place)?;
    let (offer, receipt) = (judged.offer(), &paper.receipt);
    let facts = [
        ("purpose", offer.purpose == RecoveryPurpose::Drill),
        ("cluster", receipt.cluster_id == offer.cluster_id && receipt.epoch == offer.epoch),
        ("session", receipt.session == offer.session && receipt.offer == Digest(offer.digest())),
        ("dealing", receipt.custody_epoch == offer.custody_epoch),
        ("signature", is_signed(&offer.sig, &receipt.words(), &receipt.signature)),
    ];
    if let Some((what, _)) = facts.into_iter().find(|(_, same)| !same) {
        return Err(DrillError::NotReceipt { what }.into());
    }
    Ok(JudgedReceipt { receipt: receipt.clone(), offer: judged, attested_s })
}
