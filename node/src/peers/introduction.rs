//! The first word of a session between members: a dialler that is not known shows its admission.
//!
//! Decides: how often and how much is asked for; everything else is `Replica::recognise` and `Replica::prove`. Evidence was judged before,
//! and nothing but these messages passes until the dialler is known.
//! Trusts: `consensus` for who is a member. Out of scope: evidence (`handshake`), calls (`serve`). Protocol section 4.4, admission proofs.

use crate::context::Node;
use crate::peers::handshake::{Own, PeerError};
use crate::peers::records::Records;
use ringwall_consensus::{Recognition, Replica, Unrecognized};
use ringwall_wire::admission::AdmissionProof;
use ringwall_wire::codec::DecodeError;
use ringwall_wire::ids::{Incarnation, NoisePublic};
use ringwall_wire::limits::{ADMISSION_PROOF_BYTES, ADMISSION_ROUNDS};
use ringwall_wire::peer::{PeerAnswer, PeerReply};
use std::time::Duration;

/// The dialling side: waits until it is taken for a member, and shows what it is asked for meanwhile.
pub(crate) async fn introduce(own: Own<'_>, records: &mut Records, within: Duration) -> Result<(), PeerError> {
    for _ in 0..=ADMISSION_ROUNDS {
        let word: PeerReply = records.receive(within).await?;
        let after = match word.answer {
            PeerAnswer::Done => return Ok(()),
            PeerAnswer::Refused(refusal) => return Err(PeerError::Refused(refusal)),
            PeerAnswer::ShowAdmission(after) => after,
            _ => return Err(PeerError::Malformed(DecodeError::Illegal { what: "first word of a session" })),
        };
        let proof = own.prover.map_or_else(AdmissionProof::none, |prover| prover.proof(after));
        records.send(&proof, own.site.step()).await?;
    }
    Err(PeerError::Malformed(DecodeError::Illegal { what: "number of proofs asked for" }))
}

/// Whether a session may be opened with this name and key, to be shown more if need be.
pub(crate) fn may_be_known(replica: &Replica, who: Incarnation, noise: &NoisePublic) -> bool {
    !matches!(replica.recognise(who, noise), Recognition::Refused(_))
}

/// The answering side: asks until the dialler is known, and says so; or says no.
pub(crate) async fn recognise(node: &Node, who: Incarnation, noise: &NoisePublic, records: &mut Records) -> Result<(), PeerError> {
    let step = node.site.step();
    let mut seen = node.replica.recognise(who, noise);
    for _ in 0..ADMISSION_ROUNDS {
        let Recognition::Unproven { after } = seen else { break };
        records.send(&PeerReply { number: 0, answer: PeerAnswer::ShowAdmission(after) }, step).await?;
        let proof: AdmissionProof = records.receive_at_most(ADMISSION_PROOF_BYTES, step).await?;
        seen = node.replica.prove(who, noise, &proof, after);
    }
    let fault = match seen {
        Recognition::Member => return records.send(&PeerReply { number: 0, answer: PeerAnswer::Done }, step).await,
        Recognition::Refused(fault) => fault,
        Recognition::Unproven { .. } => Unrecognized::NotShown(who),
    };
    let fault = PeerError::NotShown { incarnation: who, fault };
    // Why it is refused is in the log; whether the other side hears of it changes nothing here.
    let _ = records.send(&PeerReply { number: 0, answer: PeerAnswer::Refused(fault.refusal()) }, step).await;
    Err(fault)
}
