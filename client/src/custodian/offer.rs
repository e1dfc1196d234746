//! Judging the offer of a recovering node, and what it means in plain words.
//!
//! Decides: the node is a genuine process of the pinned cluster that made this very offer (its evidence is bound to the offer's hash, for recovery
//! alone, and names the key that signed it); what others answered is believed from events that this key signed, in an unbroken chain. What the node says
//! of disks is its word: it is shown beside what this custodian saw itself.
//! Trusts: the pinned cluster card, the roots of trust, this machine's clock. Out of scope: whether to release (`ceremony.rs`). Protocol section 6.1.

use super::dealing::{EvidenceRefused, Judge, VouchError, is_signed, vouched};
use super::drill::Shadow;
use crate::Verification;
use ringwall_attest::{Trace, date};
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::custodian::{CustodianAnswer, CustodianReply, RecoveryProgress, RecoveryStep};
use ringwall_wire::custody::CustodyManifest;
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{ClusterId, CustodianId, Digest, Slot};
use ringwall_wire::keeping::KeptAnchor;
use ringwall_wire::recovery::{AuditWhat, DiskNote, LossAsked, RecoveryOffer, RecoveryPurpose, SignedOffer};
use std::cmp::Ordering;

/// Why an offer is not believed.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum OfferError {
    /// It is of another cluster.
    #[error("the offer is of cluster {got}, pinned is {pinned}: nothing of this folder is for it")]
    OtherCluster { got: ClusterId, pinned: ClusterId },
    /// The node's evidence cannot be read.
    #[error("the node's evidence cannot be read: {0}; fetch the offer again")]
    Exchange(DecodeError),
    /// The node's evidence is refused.
    #[error("the recovering node's evidence is refused: {}. What to do: {}", .0.error, .0.error.advice())]
    Evidence(EvidenceRefused),
    /// The evidence is another node's.
    #[error("the offer is not the word of the node whose evidence came with it: another {what}; fetch the offer again")]
    NotNode { what: &'static str },
    /// The signature does not verify.
    #[error("the node's signature does not verify over this offer: it was changed; fetch the offer again")]
    Signature,
    /// Its key is none.
    #[error("the offer's key is no key: nothing can be sealed to it; fetch the offer again")]
    BadKey,
    /// The progress is another session's, or not the node's word.
    #[error("the progress is not that of this offer: {what}; fetch it again from the same node")]
    Progress { what: &'static str },
}

impl OfferError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            OfferError::OtherCluster { .. } => "RW-C-OTHER-CLUSTER",
            OfferError::Exchange(_) => "RW-C-OFFER-MALFORMED",
            OfferError::Evidence(refused) => refused.code(),
            OfferError::Progress { .. } => "RW-C-OFFER-PROGRESS",
            _ => "RW-C-OFFER-REFUSED",
        }
    }
}

/// An offer whose node was judged.
#[derive(Debug)]
#[must_use = "a judged offer is answered or refused"]
pub struct JudgedOffer {
    offer: RecoveryOffer,
    verification: Verification,
    trace: Trace,
}

impl JudgedOffer {
    /// The offer.
    pub fn offer(&self) -> &RecoveryOffer {
        &self.offer
    }

    /// Its node.
    pub fn node(&self) -> &Verification {
        &self.verification
    }

    /// Why it is believed.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

/// Judges an offer.
pub fn judge_offer(judge: &Judge<'_>, signed: &SignedOffer, place: &str) -> Result<JudgedOffer, OfferError> {
    let offer = &signed.offer;
    let pinned = judge.card.genesis.cluster_id();
    if offer.cluster_id != pinned {
        return Err(OfferError::OtherCluster { got: offer.cluster_id, pinned });
    }
    let vouched = vouched(judge, &signed.exchange, Role::Recovery, &offer.opening(), place).map_err(|fault| match fault {
        VouchError::Malformed(fault) => OfferError::Exchange(fault),
        VouchError::Refused(refused) => OfferError::Evidence(refused),
    })?;
    let peer = &vouched.peer;
    let facts =
        [("key", peer.keys().sig == offer.sig), ("epoch", peer.epoch() == offer.epoch), ("slot", peer.boot_config().slot == offer.slot)];
    if let Some((what, _)) = facts.into_iter().find(|(_, same)| !same) {
        return Err(OfferError::NotNode { what });
    }
    if !is_signed(&offer.sig, &offer.words(), &signed.signature) {
        return Err(OfferError::Signature);
    }
    Ok(JudgedOffer { offer: offer.clone(), verification: vouched.verification, trace: vouched.trace })
}

/// Whose shares a recovery has, and whose it refused, by events the node signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Custodians whose good shares are in.
    pub submitted: Vec<CustodianId>,
    /// Custodians whose shares were refused, with the reason in words.
    pub refused: Vec<(CustodianId, &'static str)>,
    /// The loss that everybody is asked to accept now, if one is.
    pub loss: Option<LossAsked>,
    /// Custodians who accepted that one.
    pub accepted: Vec<CustodianId>,
}

/// Reads what a node told of the progress of an offer: the reply to a question for it, as it came.
pub fn answered(judged: &JudgedOffer, reply: &[u8]) -> Result<Answered, OfferError> {
    let wrong = |what| OfferError::Progress { what };
    let reply = CustodianReply::decode(reply).map_err(|_| wrong("it is no reply about progress"))?;
    let CustodianAnswer::Progress(progress) = reply.body else { return Err(wrong("it is a reply to another question")) };
    let RecoveryProgress { session, step, loss, audit, .. } = *progress;
    let offer = judged.offer();
    if session != offer.session {
        return Err(wrong("it is of another session"));
    }
    let (mut found, mut previous) = (Answered::default(), Digest([0; 32]));
    for (number, event) in (1_u64..).zip(audit.iter()) {
        if event.session != session || event.number != number || event.previous != previous {
            return Err(wrong("an event is missing or was put in"));
        }
        if !is_signed(&offer.sig, &event.words(&offer.cluster_id), &event.signature) {
            return Err(wrong("an event is not signed by the node"));
        }
        previous = Digest(event.digest());
        match &event.what {
            AuditWhat::Submitted(custodian) => found.submitted.push(*custodian),
            AuditWhat::Refused(refused) => found.refused.push((refused.custodian, refused.fault.words())),
            AuditWhat::LossAsked(asked) => (found.loss, found.accepted) = (Some(asked.clone()), Vec::new()),
            AuditWhat::LossAccepted(custodian) => found.accepted.push(*custodian),
            _ => {}
        }
    }
    // Step and terms beside the events are nobody's signed word: they can say that a question is over, and no other question.
    if step != RecoveryStep::Loss {
        found.loss = None;
    } else if loss != found.loss.as_ref().map(|asked| asked.terms) || loss.is_none_or(|terms| terms.session != session) {
        return Err(wrong("the loss beside its events is not the one that the node signed"));
    }
    Ok(found)
}

/// What a custodian is asked to authorise, with everything there is to weigh.
#[derive(Debug)]
pub struct Request {
    /// The offer, judged.
    pub judged: JudgedOffer,
    /// The manifest of the dealing whose share is wanted (of a drill: which is rehearsed): it is held.
    pub manifest: CustodyManifest,
    /// What is opened in place of the share, in a drill.
    pub shadow: Option<Shadow>,
    /// Who else answered; none where that was not told.
    pub answered: Option<Answered>,
    /// How far this custodian saw the log.
    pub anchor: Option<KeptAnchor>,
    /// When this very share was released to this session before: the step is repeated.
    pub repeated_s: Option<u64>,
}

/// How the disks compare with what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// The newest disk has at least what was seen.
    NotOlder,
    /// Entries that were seen and are on no disk that was told.
    Older {
        /// How many.
        entries: u64,
    },
    /// The disks are of an older epoch than the one that was seen.
    OlderEpoch,
    /// The disks are of a newer epoch than the one that was seen.
    NewerEpoch,
    /// Nothing was seen, or no disk was told.
    Unknown,
}

impl Request {
    /// The newest log the node found on disks.
    pub fn newest(&self) -> Option<&DiskNote> {
        self.judged.offer().inventory.iter().max_by_key(|note| note.last)
    }

    /// How old the state is that would be recovered.
    pub fn age(&self) -> Age {
        let (Some(newest), Some(known)) = (self.newest(), &self.anchor) else { return Age::Unknown };
        let head = &known.anchor.head;
        match newest.incarnation.epoch().cmp(&head.epoch) {
            Ordering::Greater => return Age::NewerEpoch,
            Ordering::Less => return Age::OlderEpoch,
            Ordering::Equal => {}
        }
        match head.tree.size.saturating_sub(newest.last.index.saturating_add(1)) {
            0 => Age::NotOlder,
            entries => Age::Older { entries },
        }
    }

    /// The names of custodians, from the manifest.
    pub fn name(&self, id: &CustodianId) -> String {
        self.manifest.member(id).map_or_else(|| format!("a stranger ({id})"), |member| member.custodian.name.to_string())
    }

    /// The sentences a custodian reads before the question.
    pub fn sentences(&self, cluster_name: &str) -> Vec<String> {
        let offer = self.judged.offer();
        let mut said = vec![match offer.purpose {
            RecoveryPurpose::Outage => format!(
                "You are asked to release your share so that cluster \"{cluster_name}\" ({:.16}) is RECOVERED after an outage of all its nodes.",
                offer.cluster_id.to_string()
            ),
            RecoveryPurpose::Drill => format!(
                "You are asked to show in a DRILL that you could release your share of cluster \"{cluster_name}\" ({:.16}). What leaves is a share of a key that \
                 was made for this drill and opens nothing else; your own share stays closed. Nothing is recovered.",
                offer.cluster_id.to_string()
            ),
        }];
        said.extend(self.node_words());
        let wants = match offer.purpose {
            RecoveryPurpose::Outage => "It wants the shares of",
            RecoveryPurpose::Drill => "It rehearses with the custodians of",
        };
        said.push(format!(
            "{wants} dealing {}; {} of {} recover the cluster.",
            offer.custody_epoch,
            self.manifest.threshold,
            self.manifest.members.len()
        ));
        said.push(self.who_answered());
        said.extend(self.how_old());
        said.push(format!("The session is {:.16}; the other custodians should see the same.", offer.session.to_string()));
        said
    }

    /// Who asks, and in the place of which session.
    pub(crate) fn node_words(&self) -> Vec<String> {
        let (offer, node) = (self.judged.offer(), self.judged.node());
        let mut said = vec![format!(
            "The node that asks is genuine: {} in slot {}, build {} (security version {}), under policy version {}.",
            node.vendor, offer.slot, node.measurement, node.svn, node.policy_version
        )];
        if node.trust_domain == ringwall_wire::ids::TrustDomain::Simulated {
            said.push("Its roots of trust are SIMULATED: this protects nothing from whoever runs the machine.".into());
        }
        said.extend(offer.replaces.map(|earlier| {
            format!(
                "It says that its session takes the place of session {:.16}, which was offered in the same slot and did not come to service: ask the operators why.",
                earlier.to_string()
            )
        }));
        said.extend(self.kept_words());
        said
    }

    /// Who keeps the session, and what that lets others do with an answer to it.
    fn kept_words(&self) -> Vec<String> {
        let (offer, mut said) = (self.judged.offer(), Vec::new());
        if !offer.earlier.is_empty() {
            said.push(format!(
                "It goes on with this session in the place of {} other process(es), which offered it before; the machines that keep it handed it over. Who answered one \
                 of those need not answer again, if this process tells that it has the answer.",
                offer.earlier.len()
            ));
        }
        if !offer.keepers.is_empty() {
            let slots: Vec<String> = offer.keepers.iter().map(|keeper| slot_words(keeper.slot)).collect();
            said.push(format!(
                "Your answer is not for this one process alone: machines in {}, which it judged by that policy, KEEP the session. Whether it dies or not, they hand the session to \
                 another attested process of the same build that asks for it, on any machine the policy lists and with whatever disks it has; that one may go on with your answer, and you \
                 would not be asked again. One process can finish, and only if all of them say so.",
                slots.join(", ")
            ));
        }
        said
    }

    /// The measured release of the node, as a journal keeps it.
    pub(crate) fn build(&self) -> Text<64> {
        let build: String = self.judged.node().measurement.chars().filter(|letter| !letter.is_control()).take(64).collect();
        Text::new(build).unwrap_or_default()
    }

    fn who_answered(&self) -> String {
        let Some(answered) = &self.answered else {
            return "Who else answered was not told with this offer: ask the other custodians.".into();
        };
        let names = |ids: &[CustodianId]| ids.iter().map(|id| self.name(id)).collect::<Vec<_>>().join(", ");
        let mut said = match answered.submitted.as_slice() {
            [] => "Nobody else answered yet.".to_owned(),
            ids => format!("Answered so far: {}.", names(ids)),
        };
        for (custodian, why) in &answered.refused {
            said.push_str(&format!(" A share of {} was refused: {why}.", self.name(custodian)));
        }
        said
    }

    fn how_old(&self) -> Vec<String> {
        let mut said = Vec::new();
        match self.newest() {
            None => said.push("It did not say what it found on disks.".into()),
            Some(newest) => {
                let slots: Vec<String> = self.judged.offer().inventory.iter().map(|note| slot_words(note.slot)).collect();
                said.push(format!(
                    "By its own word it found {} disk(s) ({}); the newest log has {} entries, the last of term {}.",
                    slots.len(),
                    slots.join(", "),
                    newest.last.index.saturating_add(1),
                    newest.last.term
                ));
            }
        }
        let Some(known) = &self.anchor else {
            said.push("You have never seen this cluster's log yourself, so nothing here says how old those disks are.".into());
            return said;
        };
        let head = &known.anchor.head;
        said.push(format!("You saw the log yourself on {}: {} entries in epoch {}.", date(known.seen_at_s), head.tree.size, head.epoch));
        said.push(match self.age() {
            Age::NotOlder => "What it found is not older than that.".into(),
            Age::Older { entries } => format!(
                "WARNING: what it found lacks at least {entries} entries that you saw. Newer disks exist or existed; a recovery from these would be refused \
                 or would lose them."
            ),
            Age::OlderEpoch => "WARNING: what it found is of an older epoch than the one you saw: the cluster was recovered since.".into(),
            Age::NewerEpoch => "What it found is of a newer epoch than the one you saw.".into(),
            Age::Unknown => "How old those disks are cannot be told.".into(),
        });
        said
    }
}

fn slot_words(slot: Slot) -> String {
    format!("slot {slot}")
}
