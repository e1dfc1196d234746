//! The first word of a session between members: a dialler that is not known shows its admission; one that was retired is told so, and
//! is shown its successor's.
//!
//! Decides: how often and how much is asked for; everything else is `consensus`: `Replica::recognise`, `Replica::prove`, and
//! `Prover::succession`, without which nobody believes that it is out. Evidence was judged before, in both directions, and nothing but
//! these messages passes until the dialler is known.
//! Trusts: `consensus` for who is a member. Out of scope: evidence (`handshake`), calls (`serve`), the end (`fencing`). Protocol
//! sections 4.4, admission proofs, and 4.6.

use crate::context::Node;
use crate::peers::handshake::{Own, PeerError};
use crate::peers::records::Records;
use ringwall_consensus::{Prover, Recognition, Replica, Succession, Unrecognized};
use ringwall_wire::admission::AdmissionProof;
use ringwall_wire::codec::DecodeError;
use ringwall_wire::ids::{Incarnation, NoisePublic};
use ringwall_wire::limits::{ADMISSION_LINKS, ADMISSION_PROOF_BYTES, ADMISSION_ROUNDS, HANDSHAKE_MESSAGE_BYTES};
use ringwall_wire::peer::{PeerAnswer, PeerCall, PeerReply, PeerRpc};
use std::time::Duration;

/// The dialling side: waits until it is taken for a member, and shows what it is asked for meanwhile.
pub(crate) async fn introduce(own: Own<'_>, records: &mut Records, within: Duration) -> Result<(), PeerError> {
    for _ in 0..=ADMISSION_ROUNDS {
        let word: PeerReply = records.receive(within).await?;
        let after = match word.answer {
            PeerAnswer::Done => return Ok(()),
            PeerAnswer::Refused(refusal) => return Err(PeerError::Refused(refusal)),
            PeerAnswer::ShowAdmission(after) => after,
            PeerAnswer::Out => return Err(told_out(own, records, within).await),
            _ => return Err(PeerError::Malformed(DecodeError::Illegal { what: "first word of a session" })),
        };
        let proof = own.prover.map_or_else(AdmissionProof::none, |prover| prover.proof(after));
        records.send(&proof, own.site.step()).await?;
    }
    Err(PeerError::Malformed(DecodeError::Illegal { what: "number of proofs asked for" }))
}

/// The other side says that this incarnation was retired: asks for its successor's admission until it is shown, or is not.
async fn told_out(own: Own<'_>, records: &mut Records, within: Duration) -> PeerError {
    let asked = match own.prover {
        Some(prover) => ask_successor(own, prover, records, within).await,
        None => Err(PeerError::Malformed(DecodeError::Illegal { what: "word to a node that is no member" })),
    };
    asked.map_or_else(|fault| fault, PeerError::Succeeded)
}

async fn ask_successor(own: Own<'_>, prover: &Prover, records: &mut Records, within: Duration) -> Result<Incarnation, PeerError> {
    let mut after = prover.through();
    for _ in 0..ADMISSION_ROUNDS {
        records.send(&PeerRpc { number: 0, call: PeerCall::ShowSuccessor(after) }, own.site.step()).await?;
        let proof: AdmissionProof = records.receive_at_most(ADMISSION_PROOF_BYTES, within).await?;
        after = match prover.succession(own.site.slot(), &proof, after) {
            Succession::By(successor) => return Ok(successor),
            Succession::Unproven { after } => after,
            Succession::Refused(fault) => return Err(PeerError::NotSucceeded(fault)),
        };
    }
    Err(PeerError::NotSucceeded(Unrecognized::NotShown(own.incarnation)))
}

/// The answering side of that.
async fn tell_out(node: &Node, who: Incarnation, records: &mut Records) -> Result<(), PeerError> {
    let step = node.site.step();
    records.send(&PeerReply { number: 0, answer: PeerAnswer::Out }, step).await?;
    for _ in 0..ADMISSION_ROUNDS {
        let asked: PeerRpc = records.receive_at_most(HANDSHAKE_MESSAGE_BYTES, step).await?;
        let PeerCall::ShowSuccessor(after) = asked.call else {
            return Err(PeerError::Malformed(DecodeError::Illegal { what: "call of one that is out" }));
        };
        let proof = node.replica.successor(who, after);
        records.send(&proof, step).await?;
        if proof.links.len() < ADMISSION_LINKS {
            break;
        }
    }
    Ok(())
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
        Recognition::Out => {
            // Whether it hears of it changes nothing here.
            let _ = tell_out(node, who, records).await;
            return Err(PeerError::NotShown { incarnation: who, fault: Unrecognized::Retired(who) });
        }
        Recognition::Member => return records.send(&PeerReply { number: 0, answer: PeerAnswer::Done }, step).await,
        Recognition::Refused(fault) => fault,
        Recognition::Unproven { .. } => Unrecognized::NotShown(who),
    };
    let fault = PeerError::NotShown { incarnation: who, fault };
    // Why it is refused is in the log; whether the other side hears of it changes nothing here.
    let _ = records.send(&PeerReply { number: 0, answer: PeerAnswer::Refused(fault.refusal()) }, step).await;
    Err(fault)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::join::endorse::place;
    use crate::peers::handshake::Opened;
    use crate::peers::serve::gate_tests::alone;
    use ringwall_channel::NodeSecrets;
    use ringwall_quic::FrameError;
    use ringwall_wire::admission::{Admission, AdmissionLink};
    use ringwall_wire::bounded::{Blob, List};
    use ringwall_wire::ids::Digest;
    use ringwall_wire::limits::ADMISSION_LINKS;
    use ringwall_wire::peer::{PeerCall, PeerRpc, SnapshotChunk};
    use ringwall_wire::session::{PeerPurpose, RefusalCode};

    const STEP: Duration = Duration::from_secs(10);

    /// The two ends of an attested session: the dialler's, then the answerer's.
    async fn ends() -> (Opened, Opened) {
        let (one, two) = (place::site_of("turin-1", 2, &[]), place::site_of("tdx-1", 3, &[]));
        let other = Incarnation::new(two.epoch(), 1);
        let (dialled, answered) = place::between((&one, Incarnation(0)), (&two, other), PeerPurpose::Join, None).await;
        (dialled.unwrap(), answered.unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_dialler_that_is_not_known_is_asked_so_often_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        let node = alone(folder.path()).await;
        let cert = node.replica.view().unwrap().member(node.incarnation).unwrap().cert;
        let admission = Admission { at: 0, evidence: Digest([0; 32]), verdicts: List::default() };
        let link = AdmissionLink { admit_index: node.incarnation.admit_index(), cert, admission };
        let (mut theirs, mut ours) = ends().await;
        let (who, noise) = (Incarnation::new(node.site.epoch(), 1 << 20), NoisePublic([7; 32]));
        let asking = recognise(&node, who, &noise, &mut ours.records);
        // Links that are true, of somebody everybody knows, for as long as it is asked.
        let showing = async {
            let mut asked = 0;
            while asked < 2 * ADMISSION_ROUNDS {
                match theirs.records.receive::<PeerReply>(STEP).await.unwrap().answer {
                    PeerAnswer::ShowAdmission(after) => {
                        asked += 1;
                        let at = |step: usize| Admission { at: after + 1 + step as u64, ..link.admission.clone() };
                        let links = (0..ADMISSION_LINKS).map(|step| AdmissionLink { admission: at(step), ..link.clone() });
                        theirs.records.send(&AdmissionProof { links: List::new(links.collect()).unwrap() }, STEP).await.unwrap();
                    }
                    PeerAnswer::Refused(refusal) => return (asked, Some(refusal.code)),
                    other => panic!("{other:?}"),
                }
            }
            drop(theirs);
            (asked, None)
        };
        let (refused, shown) = tokio::join!(asking, showing);
        assert_eq!(shown, (ADMISSION_ROUNDS, Some(RefusalCode::NotMember)));
        assert!(matches!(refused, Err(PeerError::NotShown { fault: Unrecognized::NotShown(_), .. })), "{refused:?}");
        node.replica.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn more_bytes_than_a_proof_can_have_are_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let node = alone(folder.path()).await;
        let (mut theirs, mut ours) = ends().await;
        let (who, noise) = (Incarnation::new(node.site.epoch(), 1 << 20), NoisePublic([7; 32]));
        let bytes = Blob::new(vec![1; ADMISSION_PROOF_BYTES + 4_096]).unwrap();
        let large = PeerRpc { number: 0, call: PeerCall::SnapshotPart(SnapshotChunk { offset: 0, bytes, last: false }) };
        let flooding = async {
            theirs.records.receive::<PeerReply>(STEP).await.unwrap();
            // What is not read any more is not waited for.
            let _ = theirs.records.send(&large, STEP).await;
            theirs
        };
        let (refused, _theirs) = tokio::join!(recognise(&node, who, &noise, &mut ours.records), flooding);
        assert!(matches!(refused, Err(PeerError::Frame(FrameError::TooLong { max: ADMISSION_PROOF_BYTES, .. }))), "{refused:?}");
        node.replica.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_dialler_does_not_show_itself_for_ever() {
        let site = place::site_of("turin-1", 2, &[]);
        let secrets = NodeSecrets::generate(&mut *(site.entropy)());
        let (mut ours, mut theirs) = ends().await;
        let own = Own { site: &site, secrets: &secrets, incarnation: Incarnation::new(site.epoch(), 9), prover: None };
        let asking = async {
            for _ in 0..2 * ADMISSION_ROUNDS {
                let word = PeerReply { number: 0, answer: PeerAnswer::ShowAdmission(0) };
                if theirs.records.send(&word, STEP).await.is_err() || theirs.records.receive::<AdmissionProof>(STEP).await.is_err() {
                    return;
                }
            }
            theirs.records.send(&PeerReply { number: 0, answer: PeerAnswer::Done }, STEP).await.unwrap();
        };
        let introduced = async {
            let outcome = introduce(own, &mut ours.records, STEP).await;
            drop(ours);
            outcome
        };
        let (outcome, ()) = tokio::join!(introduced, asking);
        assert!(matches!(outcome, Err(PeerError::Malformed(_))), "{outcome:?}");
    }
}
