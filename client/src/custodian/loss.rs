//! A loss that every custodian is asked to accept: what it is, in plain words, and one custodian's word for it.
//!
//! Decides: the question is believed as an event of the audit that the key of the judged offer signed, and only while the node still asks it. A log that holds less than
//! this custodian has seen, or something else, is refused: no acceptance outweighs what was seen. What is signed names session, claims and end, so it is of use to that session
//! and that choice alone; like a share it goes to one session, unless the custodian says why to another.
//! Trusts: `offer.rs` for the node and its events. What is on disks that nobody brought, nobody here knows. Out of scope: whether all accepted (`node`). Protocol section 6.2, DR4.

use super::ceremony::{is_second, weigh};
use super::dealing::Judge;
use super::error::CustodianError;
use super::keys::CustodianKeys;
use super::offer::Request;
use super::shelf::{Shelf, name_of};
use ringwall_attest::date;
use ringwall_wire::bounded::Text;
use ringwall_wire::ids::{CustodianId, Incarnation, Nonce};
use ringwall_wire::keeping::{JournalEvent, LossTaken};
use ringwall_wire::recovery::{LossAsked, LossSignature, RecoveryPurpose, SignedOffer};

/// Why a loss is not accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum LossError {
    /// Nobody asks for it.
    #[error(
        "the node asks nobody to accept a loss (any more): fetch `progress` again, or look with `ringwalld recover status` at which step it is"
    )]
    NotAsked,
    /// Entries that this custodian saw would be lost.
    #[error(
        "ROLLBACK: what would be taken up has {entries} entries, and you saw entries {entries} to {last} yourself: newer disks exist or existed. Nothing was signed; no \
         acceptance outweighs what was seen. Bring what you saw to the operators (your share carries it: `ringwall custodian submit`), and have them find the newer disks"
    )]
    Seen { entries: u64, last: u64 },
    /// Another log of the same length was seen.
    #[error(
        "FORK: what would be taken up is another log than the one you saw ({entries} entries, another root). Nothing was signed; tell the operators and the other custodians"
    )]
    Forked { entries: u64 },
}

impl LossError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            LossError::NotAsked => "RW-C-OFFER-PROGRESS",
            LossError::Seen { .. } => "RW-C-ROLLBACK-DETECTED",
            LossError::Forked { .. } => "RW-C-FORK-DETECTED",
        }
    }
}

/// A loss that is asked, judged, with everything there is to weigh.
#[derive(Debug)]
#[must_use = "a judged loss is accepted or refused"]
pub struct AskedLoss {
    /// The session, as for a share.
    pub request: Request,
    /// The question.
    pub asked: LossAsked,
    /// Who accepted it before.
    pub accepted: Vec<CustodianId>,
    /// When this custodian accepted this very loss before: the step is repeated.
    pub repeated_s: Option<u64>,
}

/// Judges an offer and the question in its progress. Changes nothing and needs no keys.
pub fn weigh_loss(
    shelf: &Shelf,
    judge: &Judge<'_>,
    offer: &SignedOffer,
    place: &str,
    progress: &[u8],
) -> Result<AskedLoss, CustodianError> {
    let mut request = weigh(shelf, judge, offer, place, Some(progress))?;
    if request.judged.offer().purpose != RecoveryPurpose::Outage {
        return Err(CustodianError::OtherPurpose { got: "a drill, in which nothing is lost", verb: "drill" });
    }
    let answered = request.answered.as_mut().ok_or(LossError::NotAsked)?;
    let asked = answered.loss.take().ok_or(LossError::NotAsked)?;
    let accepted = std::mem::take(&mut answered.accepted);
    is_not_seen(&request, &asked)?;
    let same = |event: &JournalEvent| matches!(event, JournalEvent::LossAccepted(taken) if taken.terms == asked.terms);
    let repeated_s = shelf.journal.entries().iter().find(|entry| same(&entry.event)).map(|entry| entry.at_s);
    Ok(AskedLoss { request, asked, accepted, repeated_s })
}

/// What this custodian saw itself is in the log that would be taken up.
fn is_not_seen(request: &Request, asked: &LossAsked) -> Result<(), CustodianError> {
    let Some(kept) = &request.anchor else { return Ok(()) };
    let (head, chosen) = (&kept.anchor.head, &asked.terms.chosen);
    let epoch = asked.taken.epoch();
    if head.epoch > epoch {
        return Err(CustodianError::OldEpoch { offered: epoch, seen: head.epoch });
    }
    if head.epoch == epoch && head.tree.size > chosen.size {
        return Err(LossError::Seen { entries: chosen.size, last: head.tree.size.saturating_sub(1) }.into());
    }
    if head.epoch == epoch && head.tree.size == chosen.size && head.tree.root != chosen.root {
        return Err(LossError::Forked { entries: chosen.size }.into());
    }
    Ok(())
}

/// Signs a loss: in the journal first, then it may leave. `reason` is the custodian's for a second session.
pub fn accept_loss(
    shelf: &mut Shelf,
    loss: &AskedLoss,
    keys: &CustodianKeys,
    reason: Option<&Text<256>>,
    at_s: u64,
) -> Result<LossSignature, CustodianError> {
    let (offer, dealing) = (loss.request.judged.offer(), name_of(&loss.request.manifest));
    if reason.is_none() {
        may_answer(shelf, &loss.request)?;
    }
    if loss.request.manifest.member(&keys.id()).is_none() {
        let (wanted, manifest) = (dealing.custody_epoch, dealing.manifest.to_string());
        return Err(CustodianError::NotHeld { wanted, manifest, held: Vec::new() });
    }
    if loss.repeated_s.is_none() {
        let after = shelf.journal.answered(&dealing.cluster_id, dealing.custody_epoch).map(|(_, session)| session);
        let after: Option<Nonce> = after.filter(|other| *other != offer.session).last();
        let (build, reason) = (loss.request.build(), reason.cloned().unwrap_or_default());
        shelf.note(at_s, JournalEvent::LossAccepted(LossTaken { dealing, terms: loss.asked.terms, build, after, reason }))?;
    }
    Ok(LossSignature { custodian: keys.id(), signature: keys.sign(&loss.asked.terms.words(&dealing.cluster_id)) })
}

/// Whether this session may be answered without a reason: nothing of this dealing went to another one, or this one was answered already.
pub fn may_answer(shelf: &Shelf, request: &Request) -> Result<(), CustodianError> {
    let offer = request.judged.offer();
    let mut answered = shelf.journal.answered(&offer.cluster_id, offer.custody_epoch);
    match answered.any(|(_, session)| session == offer.session) {
        true => Ok(()),
        false => is_second(shelf, request),
    }
}

/// Whether a number is no life's: a backup's claim is made under it.
pub fn is_backup(taken: Incarnation) -> bool {
    taken.admit_index() == 0
}

impl AskedLoss {
    /// Custodians whose word is missing, this one among them.
    pub fn missing(&self) -> Vec<CustodianId> {
        let members = self.request.manifest.members.iter().map(|member| member.id());
        members.filter(|id| !self.accepted.contains(id)).collect()
    }

    /// The sentences a custodian reads before the question.
    pub fn sentences(&self, cluster_name: &str) -> Vec<String> {
        let offer = self.request.judged.offer();
        let mut said = vec![format!(
            "You are asked to accept a LOSS: cluster \"{cluster_name}\" ({:.16}) would be recovered from fewer disks than show what was confirmed last. Whatever is on \
             none of them is given up for good.",
            offer.cluster_id.to_string()
        )];
        said.extend(self.request.node_words());
        said.push(self.what_is_missing());
        said.push(self.what_is_taken_up());
        said.extend(self.what_is_lost());
        said.push(self.who_accepts());
        said.push(format!(
            "The session is {:.16}, the claims are {:.16}; the other custodians should see the same of both.",
            offer.session.to_string(),
            self.asked.terms.claims.to_string()
        ));
        said
    }

    fn what_is_missing(&self) -> String {
        let terms = &self.asked.terms;
        let lives: Vec<String> =
            self.asked.absent.iter().map(|voter| format!("slot {} (life {})", voter.slot, life(voter.incarnation))).collect();
        match lives.as_slice() {
            [] => "No disk is missing, and still they do not reach as far as a backup does: they are older ones.".into(),
            lives => format!(
                "Of {} voters whose logs would show it, {} made no claim: {}. If one of those disks can still be found, say no and have it brought.",
                terms.voters,
                terms.missing,
                lives.join(", ")
            ),
        }
    }

    fn what_is_taken_up(&self) -> String {
        let (taken, chosen) = (self.asked.taken, &self.asked.terms.chosen);
        let whose = match is_backup(taken) {
            true => "the state of a BACKUP, which is nobody's disk".to_owned(),
            false => format!("the log of life {}", life(taken)),
        };
        format!("What would be taken up is {whose}: {} entries in epoch {}.", chosen.size, taken.epoch())
    }

    fn what_is_lost(&self) -> Vec<String> {
        let (known, size) = (self.asked.known, self.asked.terms.chosen.size);
        let seen = match known {
            0 => "No custodian, paper or disk is known to have seen how far the log was.".to_owned(),
            known => format!(
                "The furthest that custodians who answered, papers and disks are known to have seen are {known} entries: all of them are kept."
            ),
        };
        let own = match &self.request.anchor {
            None => "You have never seen this cluster's log yourself.".into(),
            Some(kept) => {
                let head = &kept.anchor.head;
                format!("You saw {} entries in epoch {} on {}: they are kept.", head.tree.size, head.epoch, date(kept.seen_at_s))
            }
        };
        let lost = format!(
            "What may be lost are entries from number {size} on. Whether there were any, and how many, is UNKNOWN: it was on the missing disks alone. Users who saw them will \
             be told ROLLBACK_DETECTED by their own programs."
        );
        vec![seen, own, lost]
    }

    fn who_accepts(&self) -> String {
        let names = |ids: &[CustodianId]| ids.iter().map(|id| self.request.name(id)).collect::<Vec<_>>().join(", ");
        let manifest = &self.request.manifest;
        let all =
            format!("All {} custodians of dealing {} have to accept, not the threshold", manifest.members.len(), manifest.custody_epoch);
        let missing = names(&self.missing());
        match self.accepted.as_slice() {
            [] => format!("{all}; nobody has yet."),
            accepted => format!("{all}; accepted so far: {}; still missing: {missing}.", names(accepted)),
        }
    }
}

fn life(incarnation: Incarnation) -> String {
    format!("{}/{}", incarnation.epoch(), incarnation.admit_index())
}
