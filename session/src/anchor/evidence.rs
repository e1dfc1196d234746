//! Evidence of a rollback or a fork, and how a third party verifies it without a network.
//!
//! Decides: what must hold: both signers are proven members of the pinned cluster by their attestation, judged anew as of the time it was made; both
//! receipts are whole and signed by them; they contradict each other in the way the file says; and where that depends on which came first, the later
//! one's nonce shows it. A file that shows less is no evidence. The checksum at its end finds damage only.
//! Trusts: nothing in the file; trust anchors are the reader's. Out of scope: noticing (`keeper.rs`). docs/formats.md, "Receipts".

use super::judge::{Contradiction, Refused, is_later, is_signed, log, spaces};
use crate::checksummed;
use crate::exchange::Exchange;
use ringwall_attest::{Anchors, AppraisedPeer, Finding, SessionError, Trace};
use ringwall_wire::codec::DecodeError;
use ringwall_wire::ids::{ClusterId, Incarnation};
use ringwall_wire::limits::RECEIPT_EVIDENCE_BYTES;
use ringwall_wire::receipt::{Evidence, Misdeed, Receipt, Signer};

/// A file of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceFile(pub Evidence);

/// What evidence was found to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// What happened.
    pub misdeed: Misdeed,
    /// In which way.
    pub contradiction: Contradiction,
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Who signed what was known.
    pub known_by: Incarnation,
    /// Who signed what contradicts it.
    pub got_by: Incarnation,
    /// When each of them was attested, Unix seconds by the client's clock.
    pub attested_s: (u64, u64),
}

/// Why a file shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceFault {
    /// Nobody proved to be the signer.
    #[error("nothing in it proves who signed the {which} receipt")]
    NoSigner {
        /// Which receipt.
        which: &'static str,
    },
    /// The signer's evidence is refused.
    #[error("the signer of the {which} receipt is not proven: {error}")]
    Signer {
        /// Which receipt.
        which: &'static str,
        /// What the appraisal found.
        error: Box<SessionError>,
    },
    /// A receipt is not what the signer signed.
    #[error("the {which} receipt is not signed by the member that attested")]
    Signature {
        /// Which receipt.
        which: &'static str,
    },
    /// They agree.
    #[error("the receipts do not contradict each other in the way the file says")]
    NoContradiction,
    /// They contradict only if one came later, and nothing shows that.
    #[error("nothing shows that the contradicting receipt was made after the other")]
    NoOrder,
}

impl EvidenceFault {
    /// Whether nobody can tell, as opposed to the file being worth nothing.
    pub fn is_undecided(&self) -> bool {
        match self {
            EvidenceFault::Signer { error, .. } => error.finding() == Finding::CannotTell,
            EvidenceFault::NoSigner { .. } => true,
            _ => false,
        }
    }
}

impl EvidenceFile {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        checksummed::to_bytes(&self.0)
    }

    /// Reads the bytes of a file; none when they are damaged or something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        checksummed::from_bytes(bytes, RECEIPT_EVIDENCE_BYTES).ok().map(EvidenceFile)
    }

    /// Verifies all of it under these roots of trust.
    pub fn verify(&self, anchors: &Anchors) -> Result<Findings, EvidenceFault> {
        let Evidence { misdeed, known, got, opening, heads, from, path, known_signer, got_signer, epochs } = &self.0;
        let known_s = signed(known, known_signer, "older", anchors)?;
        let got_s = signed(got, got_signer, "contradicting", anchors)?;
        let contradiction = [log(known, got, *from, path, epochs), spaces(known, got)].into_iter().find_map(|found| match found {
            Err(Refused::Contradicts(what, _)) => Some(what),
            _ => None,
        });
        let contradiction = contradiction.filter(|what| what.misdeed() == *misdeed).ok_or(EvidenceFault::NoContradiction)?;
        if contradiction.needs_order() && !is_later(known, got, opening, heads) {
            return Err(EvidenceFault::NoOrder);
        }
        Ok(Findings {
            misdeed: *misdeed,
            contradiction,
            cluster_id: known.head.cluster_id,
            known_by: known.head.incarnation,
            got_by: got.head.incarnation,
            attested_s: (known_s, got_s),
        })
    }
}

/// Whether the receipt is whole and signed by whom the exchange proves. Gives when that was, Unix seconds.
fn signed(receipt: &Receipt, signer: &Signer, which: &'static str, anchors: &Anchors) -> Result<u64, EvidenceFault> {
    let (exchange, peer) = prove(signer, anchors).map_err(|fault| match fault {
        Unproven::Nothing(_) => EvidenceFault::NoSigner { which },
        Unproven::Refused(error) => EvidenceFault::Signer { which, error },
    })?;
    let head = &receipt.head;
    let named = (head.cluster_id, head.epoch, head.incarnation) == (peer.cluster_id(), peer.epoch(), peer.incarnation());
    match named && signer.incarnation == head.incarnation && receipt.is_whole() && is_signed(receipt, &peer.keys().sig) {
        true => Ok(exchange.at_s()),
        false => Err(EvidenceFault::Signature { which }),
    }
}

enum Unproven {
    Nothing(#[allow(dead_code, reason = "for whoever debugs")] Option<DecodeError>),
    Refused(Box<SessionError>),
}

fn prove(signer: &Signer, anchors: &Anchors) -> Result<(Exchange, AppraisedPeer), Unproven> {
    if signer.exchange.is_empty() {
        return Err(Unproven::Nothing(None));
    }
    let exchange = Exchange::decode(&signer.exchange).map_err(|fault| Unproven::Nothing(Some(fault)))?;
    let peer = exchange.judge(anchors, &mut Trace::new()).map_err(|error| Unproven::Refused(Box::new(error)))?;
    Ok((exchange, peer))
}
