//! The steps of a custodian: take in, accept, answer an offer, rehearse, export, import. Each can be cut off anywhere and repeated.
//!
//! Decides: the order within each step: judge everything, then the journal, then files, then what leaves the folder. So whatever left is in the journal,
//! and a step that is repeated gives the same result without another entry. Nothing is overwritten by less, and a step that refuses changed nothing.
//! Trusts: the folder, this machine's clock. Out of scope: asking people (`cli`), the network (`session.rs`). Protocol section 6.1.

use super::dealing::{Judge, JudgedDealing, judge_dealing};
use super::drill::Shadow;
use super::error::CustodianError;
use super::keys::{CustodianKeys, public_of};
use super::offer::{Answered, JudgedOffer, OfferError, Request, answered, judge_offer};
use super::orders::{Listed, as_named, follows};
use super::share;
use super::shelf::{Held, Shelf, name_of, words};
use ringwall_keys::custody::envelope::seal_share;
use ringwall_keys::custody::{GoodShare, answer_challenge, seal_submission};
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::Dealt;
use ringwall_wire::custody::{CustodiansOrder, ShareAck, ShareChallenge, SharePlain, ShareProof, SignedManifest};
use ringwall_wire::drill::DrillOffer;
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Signature};
use ringwall_wire::keeping::{Copied, DealingName, JournalEvent, KeptAnchor, PaperForm, Submitted};
use ringwall_wire::recovery::{RecoveryPurpose, ShareSubmission, SignedOffer};

/// Takes in a dealing as a node or a file gave it: it is kept, and not believed yet.
pub fn pull(shelf: &mut Shelf, card: &ClusterCard, dealt: &Dealt, at_s: u64) -> Result<DealingName, CustodianError> {
    let (got, pinned) = (dealt.manifest.manifest.cluster_id, card.genesis.cluster_id());
    if got != pinned {
        return Err(super::dealing::DealingError::OtherCluster { got, pinned }.into());
    }
    // Of two that tell the same dealing the one that is kept stays: a cut or altered copy takes nothing away.
    let name = name_of(&dealt.manifest.manifest);
    shelf.pin(card)?;
    if shelf.held(&name)?.is_none_or(|held| held.exchange.is_none() || held.ack.is_none()) {
        shelf.keep_dealt(dealt)?;
    }
    shelf.note_pulled(at_s, name)?;
    Ok(name)
}

/// Takes in an order of the governors that names other custodians: judged, then kept, so that dealings to those can be accepted.
pub fn take_order(shelf: &Shelf, card: &ClusterCard, order: &CustodiansOrder) -> Result<Listed, CustodianError> {
    let kept = shelf.orders(&card.genesis.cluster_id())?;
    let others: Vec<CustodiansOrder> = kept.into_iter().filter(|kept| kept != order).collect();
    let listed = follows(card, &others, order)?;
    shelf.pin(card)?;
    shelf.keep_order(order)?;
    Ok(listed)
}

/// Keeps how far the log was seen; what goes back or contradicts is refused, and the older anchor stays.
pub fn keep_anchor(shelf: &Shelf, seen: &KeptAnchor) -> Result<(), CustodianError> {
    let got = &seen.anchor.head;
    if let Some(kept) = shelf.anchor(&got.cluster_id)? {
        let known = &kept.anchor.head;
        if (got.epoch, got.tree.size) < (known.epoch, known.tree.size) {
            return Err(CustodianError::Behind { known: known.tree.size, got: got.tree.size });
        }
        if (got.epoch, got.tree.size) == (known.epoch, known.tree.size) && got.tree.root != known.tree.root {
            return Err(CustodianError::Fork { size: got.tree.size });
        }
    }
    shelf.keep_anchor(seen)
}

/// A dealing that was judged, of which the share was opened: what [`accept`] acknowledges.
#[derive(Debug)]
#[must_use = "a verified dealing is acknowledged"]
pub struct Verified {
    /// Which.
    pub name: DealingName,
    /// The dealing.
    pub dealing: JudgedDealing,
    /// Place of the custodian's share.
    pub x: u8,
    /// Whether it continues a dealing this folder holds; none where it holds none of the one before.
    pub continues: Option<bool>,
    /// When it was accepted before: the step is repeated.
    pub repeated_s: Option<u64>,
}

/// Judges a kept dealing and the share in it. Changes nothing.
pub fn verify(shelf: &Shelf, held: &Held, judge: &Judge<'_>, keys: &CustodianKeys) -> Result<Verified, CustodianError> {
    let manifest = &held.manifest.manifest;
    let exchange = held.exchange.as_deref().ok_or(CustodianError::NothingPulled { cluster_id: manifest.cluster_id })?;
    let orders = shelf.orders(&manifest.cluster_id)?;
    let dealing = judge_dealing(judge, &orders, &held.manifest, exchange)?;
    let share = share::open(manifest, &held.envelope, keys)?;
    let before: Vec<Held> = shelf.all_held(&manifest.cluster_id)?.into_iter().filter(|other| other.ack.is_some()).collect();
    let before: Vec<&Held> =
        before.iter().filter(|other| other.name.custody_epoch.0.checked_add(1) == Some(manifest.custody_epoch.0)).collect();
    let continues = (!before.is_empty()).then(|| before.iter().any(|other| other.name.manifest == manifest.previous));
    let repeated_s = shelf.noted(&JournalEvent::Accepted(held.name));
    Ok(Verified { name: held.name, dealing, x: share.share().x, continues, repeated_s })
}

/// Acknowledges a dealing: in the journal first, then in the folder, then it may leave.
pub fn accept(shelf: &mut Shelf, verified: &Verified, keys: &CustodianKeys, at_s: u64) -> Result<ShareAck, CustodianError> {
    let (name, custodian) = (verified.name, keys.id());
    shelf.note_once(at_s, JournalEvent::Accepted(name))?;
    let signature = keys.sign(&ShareAck::words(&name.cluster_id, &name.manifest, &custodian));
    let ack = ShareAck { manifest: name.manifest, custodian, signature };
    shelf.keep_ack(&name, &ack)?;
    Ok(ack)
}

/// Judges an offer and gathers what there is to weigh. Changes nothing and needs no keys.
pub fn weigh(
    shelf: &Shelf,
    judge: &Judge<'_>,
    offer: &SignedOffer,
    place: &str,
    progress: Option<&[u8]>,
) -> Result<Request, CustodianError> {
    let judged: JudgedOffer = judge_offer(judge, offer, place)?;
    let wanted = judged.offer().manifest;
    weighed(shelf, judged, wanted, progress)
}

/// The same for the offer of a drill: it names a dealing this folder holds, and brings a shadow of it for these keys.
pub fn weigh_drill(
    shelf: &Shelf,
    judge: &Judge<'_>,
    drill: &DrillOffer,
    place: &str,
    progress: Option<&[u8]>,
) -> Result<Request, CustodianError> {
    let judged: JudgedOffer = judge_offer(judge, &drill.signed, place)?;
    let mut request = weighed(shelf, judged, drill.shadow.previous, progress)?;
    let custodian = public_of(&shelf.keys()?)?.id();
    request.shadow = Some(Shadow::judge(drill, &request.manifest, &custodian)?);
    Ok(request)
}

fn weighed(shelf: &Shelf, judged: JudgedOffer, wanted: Digest, progress: Option<&[u8]>) -> Result<Request, CustodianError> {
    let asked = judged.offer();
    let held = shelf.all_held(&asked.cluster_id)?;
    let found = held.iter().find(|held| held.name.manifest == wanted && held.name.custody_epoch == asked.custody_epoch);
    let Some(found) = found else {
        let mut held: Vec<_> = held.iter().map(|held| held.name.custody_epoch).collect();
        held.dedup();
        return Err(CustodianError::NotHeld { wanted: asked.custody_epoch, manifest: wanted.to_string(), held });
    };
    let manifest = found.manifest.manifest.clone();
    let anchor = shelf.anchor(&asked.cluster_id)?;
    let seen = last_epoch(anchor.as_ref(), &manifest.epoch);
    if asked.epoch < seen {
        return Err(CustodianError::OldEpoch { offered: asked.epoch, seen });
    }
    let answered: Option<Answered> = progress.map(|reply| answered(&judged, reply)).transpose()?;
    let repeated_s = shelf.journal.released_to(&asked.session);
    Ok(Request { judged, manifest, shadow: None, answered, anchor, repeated_s })
}

fn last_epoch(anchor: Option<&KeptAnchor>, dealt: &Epoch) -> Epoch {
    anchor.map_or(*dealt, |kept| kept.anchor.head.epoch.max(*dealt))
}

/// Whether another session of the same dealing was answered before, with a share or with a loss accepted.
pub fn is_second(shelf: &Shelf, request: &Request) -> Result<(), CustodianError> {
    let offer = request.judged.offer();
    let answered = shelf.journal.answered(&offer.cluster_id, offer.custody_epoch);
    match answered.filter(|(_, session)| *session != offer.session).last() {
        Some((when_s, earlier)) => Err(CustodianError::second_session(when_s, &earlier, offer)),
        None => Ok(()),
    }
}

/// Answers an offer with the share: in the journal first, then in the folder, then it may leave. `reason` is the custodian's for a second session.
pub fn release(
    shelf: &mut Shelf,
    request: &Request,
    keys: &CustodianKeys,
    reason: Option<&Text<256>>,
    at_s: u64,
) -> Result<ShareSubmission, CustodianError> {
    let offer = request.judged.offer();
    let (cluster_id, session) = (offer.cluster_id, offer.session);
    if reason.is_none() && offer.purpose == RecoveryPurpose::Outage {
        is_second(shelf, request)?;
    }
    let dealing = name_of(&request.manifest);
    let share = to_release(shelf, request, keys)?;
    let event = match offer.purpose {
        RecoveryPurpose::Drill => JournalEvent::Drilled(dealing),
        RecoveryPurpose::Outage => {
            let earlier = shelf.journal.answered(&cluster_id, offer.custody_epoch).map(|(_, session)| session);
            let after = earlier.filter(|other| *other != session).last();
            let build = request.build();
            JournalEvent::Submitted(Submitted { dealing, session, build, after, reason: reason.cloned().unwrap_or_default() })
        }
    };
    // The answer of a run that was cut off behind the journal is given again: the same share, to the same session.
    if request.repeated_s.is_none() {
        shelf.note(at_s, event)?;
    }
    let digest = Digest(offer.digest());
    // A node that found more disks offers the same session anew, in other words: those are answered anew.
    if let Some(kept) = shelf.submission(&cluster_id, &session)?.filter(|kept| kept.offer == digest) {
        return Ok(kept);
    }
    let submission = sealed(request, keys, &share)?;
    shelf.keep_submission(&cluster_id, &session, &submission)?;
    Ok(submission)
}

/// What an offer is answered with: the real share to a recovery, the shadow's to a drill, and never the other way round.
fn to_release(shelf: &Shelf, request: &Request, keys: &CustodianKeys) -> Result<GoodShare, CustodianError> {
    let dealing = name_of(&request.manifest);
    match (request.judged.offer().purpose, &request.shadow) {
        (RecoveryPurpose::Outage, None) => opened(shelf, &dealing, keys),
        (RecoveryPurpose::Drill, Some(shadow)) => {
            // The real share must open as well, or the drill says nothing; it is thrown away here.
            drop(opened(shelf, &dealing, keys)?);
            Ok(share::open(&shadow.manifest, &shadow.envelope, keys)?)
        }
        (RecoveryPurpose::Drill, None) => Err(CustodianError::OtherPurpose { got: "a drill, not a recovery", verb: "drill" }),
        (RecoveryPurpose::Outage, Some(_)) => Err(CustodianError::OtherPurpose { got: "a recovery, not a drill", verb: "submit" }),
    }
}

fn sealed(request: &Request, keys: &CustodianKeys, good: &GoodShare) -> Result<ShareSubmission, CustodianError> {
    let asked = request.judged.offer();
    let (offer, custodian) = (Digest(asked.digest()), keys.id());
    let sealed = keys.with_draws(|draws| seal_submission(&asked.kem, &offer, &asked.manifest, &custodian, good.share(), draws));
    let (kem, sealed) = sealed.map_err(|_| OfferError::BadKey)?;
    let mut submission = ShareSubmission {
        offer,
        manifest: asked.manifest,
        custodian,
        kem,
        sealed,
        last_epoch: last_epoch(request.anchor.as_ref(), &request.manifest.epoch),
        anchor: request.anchor.as_ref().map(|kept| kept.anchor.clone()),
        signature: Signature([0; 64]),
    };
    submission.signature = keys.sign(&submission.words());
    Ok(submission)
}

/// Opens a kept share and holds it against its commitment.
pub fn opened(shelf: &Shelf, name: &DealingName, keys: &CustodianKeys) -> Result<GoodShare, CustodianError> {
    let nothing = CustodianError::NothingAccepted { cluster_id: name.cluster_id };
    let held = shelf.held(name)?.ok_or(nothing)?;
    Ok(share::open(&held.manifest.manifest, &held.envelope, keys)?)
}

/// Rehearses alone: the keys open, the share opens, and it is the one that was dealt. It is thrown away again.
pub fn rehearse(shelf: &mut Shelf, name: &DealingName, keys: &CustodianKeys, at_s: u64) -> Result<u8, CustodianError> {
    let share = opened(shelf, name, keys)?;
    shelf.note(at_s, JournalEvent::Drilled(*name))?;
    Ok(share.share().x)
}

/// Notes that a share leaves the folder; what is done with it afterwards is in nobody's journal.
pub fn export(
    shelf: &mut Shelf,
    name: &DealingName,
    keys: &CustodianKeys,
    form: PaperForm,
    at_s: u64,
) -> Result<GoodShare, CustodianError> {
    let share = opened(shelf, name, keys)?;
    shelf.note(at_s, JournalEvent::Exported(Copied { dealing: *name, form }))?;
    Ok(share)
}

/// Takes a share back: it must be the one the manifest commits to, and is sealed to the custodian's keys again.
pub fn import(
    shelf: &mut Shelf,
    card: &ClusterCard,
    manifest: &SignedManifest,
    share: SharePlain,
    keys: &CustodianKeys,
    (form, at_s): (PaperForm, u64),
) -> Result<DealingName, CustodianError> {
    let dealt = &manifest.manifest;
    let (got, pinned) = (dealt.cluster_id, card.genesis.cluster_id());
    if got != pinned {
        return Err(super::dealing::DealingError::OtherCluster { got, pinned }.into());
    }
    as_named(card, &shelf.orders(&pinned)?, dealt)?;
    let good = share::judge(dealt, share, &keys.id())?;
    let name = name_of(dealt);
    if let Some(held) = shelf.held(&name)?
        && share::open(dealt, &held.envelope, keys).is_ok()
    {
        return Err(CustodianError::HeldAlready { what: words(&name.cluster_id, name.custody_epoch) });
    }
    let envelope = keys.with_draws(|draws| {
        let (custodian, public) = (keys.id(), keys.kem_secret().public());
        seal_share(&name.manifest, (&custodian, &public), good.share(), draws)
    });
    let envelope = envelope.expect("the custodian's own key is one");
    shelf.pin(card)?;
    shelf.note_once(at_s, JournalEvent::Imported(Copied { dealing: name, form }))?;
    shelf.keep_returned(manifest, &envelope)?;
    Ok(name)
}

/// Answers a node's question whether the share is there; good on the session of `handshake` alone.
pub fn prove(
    shelf: &Shelf,
    cluster_id: &ClusterId,
    challenge: &ShareChallenge,
    handshake: &Digest,
    keys: &CustodianKeys,
) -> Result<(DealingName, ShareProof), CustodianError> {
    let held = shelf.all_held(cluster_id)?;
    let Some(wanted) = held.iter().find(|held| held.name.manifest == challenge.manifest) else {
        let held = held.iter().map(|held| held.name.custody_epoch).collect();
        return Err(CustodianError::NotAsked { manifest: challenge.manifest.to_string(), held });
    };
    let share = share::open(&wanted.manifest.manifest, &wanted.envelope, keys)?;
    let mut proof = ShareProof {
        manifest: challenge.manifest,
        custodian: keys.id(),
        nonce: challenge.nonce,
        handshake: *handshake,
        answer: answer_challenge(&share, challenge, handshake),
        signature: Signature([0; 64]),
    };
    proof.signature = keys.sign(&proof.words(cluster_id));
    Ok((wanted.name, proof))
}
