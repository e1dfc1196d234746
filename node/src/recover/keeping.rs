//! The recovering node's side of keepers: who keeps a session, whether one that is kept is gone on with, and whether this process may finish it.
//!
//! Decides: KS2, KS4 and KS5. What is kept is gone on with if every keeper its offer names was named by the operator, answers, and still has it; it is given up at the
//! operator's word alone. Nothing of a new epoch begins without `Sole`, which exists when every keeper the offer names has given its word; without keepers it exists at once.
//! Trusts: evidence, for who keeps. Out of scope: keeping (`keeper.rs`), the offer (`offering.rs`). Protocol section 6.2.

use crate::clock;
use crate::context::Site;
use crate::peers::handshake::{self, Own, PeerError};
use crate::peers::pool::resolve;
use crate::recover::{Plan, RecoverError};
use quinn::Connection;
use ringwall_channel::NodeSecrets;
use ringwall_keys::custody::KemSecret;
use ringwall_quic::{CloseCode, close};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, Incarnation, Nonce, Slot};
use ringwall_wire::keeper::{KeepAnswer, KeepAsk, KeepFault, KeepOp, KeepReply, Keeper, KeptSession};
use ringwall_wire::limits::{HANDSHAKE_MESSAGE_BYTES, KEEPERS, SUCCESSIONS};
use ringwall_wire::recovery::{RecoveryFault, RecoveryOffer};
use ringwall_wire::session::{PeerPurpose, RefusalCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};

/// Longest time to open a connection.
const DIAL: Duration = Duration::from_secs(5);
/// Longest time for a question to leave or an answer to arrive.
const STEP: Duration = Duration::from_secs(15);
/// Tries at one keeper before an offer is made or gone on with.
const TRIES: u32 = 3;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How often keepers are asked, while custodians are waited for, whether they still have the session.
const LOOK: Duration = Duration::from_secs(20);

/// What is told of a keeper that has the session.
const KEEPS: &str = "keeps the session";

/// Why a keeper did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// No session with it.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// Another process answers than the offer names.
    #[error("another process answers there than the one that the offer names: it was started anew, and what it kept is gone")]
    OtherProcess,
    /// It refused.
    #[error("{}", .0.words())]
    Refused(KeepFault),
    /// Another answer than belongs to the question.
    #[error("it answered something else than it was asked: a defect; report it")]
    Nonsense,
}

impl NotKept {
    /// Whether that was said by an attested keeper about the session. Everything else anybody on the way can say or cause: it ends nothing that custodians answered.
    fn is_of_session(&self) -> bool {
        matches!(self, NotKept::OtherProcess | NotKept::Refused(_) | NotKept::Nonsense)
    }

    /// Whether asking again, before anything is offered, cannot help.
    fn is_final(&self) -> bool {
        match self {
            NotKept::Peer(PeerError::Refused(refusal)) => !matches!(refusal.code, RefusalCode::Busy | RefusalCode::Unavailable),
            NotKept::Peer(PeerError::Evidence(_) | PeerError::OtherCluster { .. } | PeerError::Version { .. }) => true,
            NotKept::Peer(_) => false,
            NotKept::OtherProcess | NotKept::Refused(_) | NotKept::Nonsense => true,
        }
    }
}

/// Why a session that is kept is not gone on with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGoneOn {
    /// More keepers were named than one session has.
    #[error("--keep names {0} machines, and {KEEPERS} may keep a session: all of them are needed at its end")]
    TooMany(usize),
    /// Two addresses lead to one process.
    #[error("two addresses of --keep lead to one process, in slot {0}: name it once")]
    Twice(Slot),
    /// Keepers keep two sessions.
    #[error(
        "the keepers named with --keep keep different sessions ({first:.16} and {second:.16}): name those of one of them, or give both up with --anew"
    )]
    Different {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// One that the offer names is not there.
    #[error(
        "a session is kept, and nobody can finish it without the keeper in slot {slot} that its offer names: no address of --keep leads to that process. Name it; if it is gone or was started anew, \
         begin a new session with --anew, and all custodians answer again"
    )]
    Missing {
        /// Where it was.
        slot: Slot,
    },
    /// One that was named is none of the session's.
    #[error(
        "a session is kept whose offer does not name the process in slot {slot}: leave it out of --keep, or begin a new session with --anew, and all custodians answer again"
    )]
    Stranger {
        /// Where it is.
        slot: Slot,
    },
    /// The disks here tell of something else.
    #[error(
        "the session that is kept is for another {what} than the disks that were brought here tell of: bring the disks it was offered with, or begin a new session with --anew, and all custodians answer again"
    )]
    Other {
        /// What differs.
        what: &'static str,
    },
    /// Too many processes had it.
    #[error("{SUCCESSIONS} processes had this session one after the other: begin a new one with --anew, and all custodians answer again")]
    TooOften,
}

/// One keeper.
#[derive(Clone, Debug)]
struct Place {
    address: String,
    keeper: Keeper,
    /// What is known of it; for people.
    told: String,
    gave: bool,
}

/// The keepers of a session.
pub(crate) struct Keepers {
    places: Vec<Place>,
    looked: Option<Instant>,
}

/// This process finishes the session, and no other does: made by [`Keepers::sole`] alone.
#[must_use = "an epoch begins with it"]
pub(crate) struct Sole(());

/// A session that keepers handed over.
pub(crate) struct Taken {
    /// The newest offer of it.
    pub(crate) offer: RecoveryOffer,
    /// Digests of all its offers.
    pub(crate) earlier: List<Digest, SUCCESSIONS>,
    /// The key its answers are sealed to.
    pub(crate) kem: KemSecret,
}

/// Asks every keeper the operator named what it keeps: a session that is to be gone on with, if there is one.
pub(crate) async fn look(site: &Arc<Site>, secrets: &NodeSecrets, plan: &Plan) -> Result<(Keepers, Option<RecoveryOffer>), RecoverError> {
    if plan.keep.len() > KEEPERS {
        return Err(NotGoneOn::TooMany(plan.keep.len()).into());
    }
    let (mut places, mut found) = (Vec::new(), Vec::new());
    for address in &plan.keep {
        let (keeper, answer) = patiently(site, secrets, (address, None), &KeepOp::Look).await?;
        found.push((
            keeper,
            match answer {
                KeepAnswer::Nothing => None,
                KeepAnswer::Kept(kept) => Some(kept.offer),
                _ => return Err(not_kept(address, NotKept::Nonsense)),
            },
        ));
        places.push(Place { address: address.clone(), keeper, told: "answers".into(), gave: false });
    }
    let kept = what_is_kept(&found, plan.anew)?;
    Ok((Keepers { places, looked: None }, kept))
}

/// KS2: which session is gone on with.
fn what_is_kept(found: &[(Keeper, Option<RecoveryOffer>)], anew: bool) -> Result<Option<RecoveryOffer>, NotGoneOn> {
    for (at, (keeper, _)) in found.iter().enumerate() {
        if found.iter().take(at).any(|(other, _)| other.sig == keeper.sig) {
            return Err(NotGoneOn::Twice(keeper.slot));
        }
    }
    let offers = || found.iter().filter_map(|(_, offer)| offer.as_ref());
    let Some(first) = offers().next().filter(|_| !anew) else { return Ok(None) };
    if let Some(other) = offers().find(|other| !other.is_of_one_session_with(first)) {
        return Err(NotGoneOn::Different { first: first.session.to_string(), second: other.session.to_string() });
    }
    let named = |keeper: &Keeper| first.keepers.iter().any(|named| named.sig == keeper.sig);
    if let Some((stranger, _)) = found.iter().find(|(keeper, _)| !named(keeper)) {
        return Err(NotGoneOn::Stranger { slot: stranger.slot });
    }
    let has = |named: &Keeper| found.iter().any(|(keeper, offer)| keeper.sig == named.sig && offer.is_some());
    match first.keepers.iter().find(|named| !has(named)) {
        Some(missing) => Err(NotGoneOn::Missing { slot: missing.slot }),
        // Before it is taken from whoever holds it: nobody could offer it after.
        None if offers().any(|offer| offer.earlier.len() >= SUCCESSIONS) => Err(NotGoneOn::TooOften),
        None => Ok(offers().max_by_key(|offer| offer.earlier.len()).cloned()),
    }
}

/// What keepers handed over, as one session. All of them are attested; what does not fit would be a defect.
fn joined(taken: Vec<KeptSession>) -> Result<Taken, NotGoneOn> {
    let newest = taken.iter().max_by_key(|kept| kept.offer.earlier.len()).ok_or(NotGoneOn::TooMany(0))?;
    let (offer, kem) = (newest.offer.clone(), KemSecret::from_seed(newest.seed.clone()));
    let one = taken.iter().all(|kept| kept.offer.is_of_one_session_with(&offer) && kept.seed.same(&newest.seed));
    if !one || kem.public() != offer.kem {
        return Err(NotGoneOn::Other { what: "key" });
    }
    let mut earlier: List<Digest, SUCCESSIONS> = List::default();
    for kept in &taken {
        for digest in kept.offer.earlier.iter().copied().chain([Digest(kept.offer.digest())]) {
            if !earlier.contains(&digest) {
                earlier.push(digest).map_err(|_| NotGoneOn::TooOften)?;
            }
        }
    }
    Ok(Taken { offer, earlier, kem })
}

impl Keepers {
    /// As an offer names them.
    pub(crate) fn named(&self) -> List<Keeper, KEEPERS> {
        List::new(self.places.iter().map(|place| place.keeper).collect()).expect("no more were looked at than fit")
    }

    /// KS1, KS4: has every keeper do this before the offer is published.
    pub(crate) async fn tell(&mut self, site: &Arc<Site>, secrets: &NodeSecrets, op: &KeepOp) -> Result<(), RecoverError> {
        for place in &mut self.places {
            match patiently(site, secrets, (&place.address, Some(place.keeper)), op).await? {
                (_, KeepAnswer::Done) => place.told = KEEPS.into(),
                _ => return Err(not_kept(&place.address, NotKept::Nonsense)),
            }
        }
        Ok(())
    }

    /// KS3: has every keeper hand the session over. Whoever held it before does not any more.
    pub(crate) async fn take(&self, site: &Arc<Site>, secrets: &NodeSecrets, session: Nonce) -> Result<Taken, RecoverError> {
        let mut taken = Vec::new();
        for place in &self.places {
            match patiently(site, secrets, (&place.address, Some(place.keeper)), &KeepOp::Take(session)).await? {
                (_, KeepAnswer::Taken(kept)) => taken.push(*kept),
                _ => return Err(not_kept(&place.address, NotKept::Nonsense)),
            }
        }
        info!(%session, keepers = taken.len(), "recovery: keepers handed over a session that another process began: its answers count here");
        Ok(joined(taken)?)
    }

    /// Whether it is time to look again.
    pub(crate) fn is_due(&self) -> bool {
        !self.places.is_empty() && self.looked.is_none_or(|looked| looked.elapsed() >= LOOK)
    }

    /// Whether every keeper has the session, for this process. False where one does not answer: that may pass. A session that is lost or was taken over is over.
    pub(crate) async fn all_keep(&mut self, site: &Arc<Site>, secrets: &NodeSecrets, session: &Nonce) -> Result<bool, RecoverError> {
        let mut all = true;
        for place in self.places.iter_mut().filter(|place| !place.gave) {
            match ask(site, secrets, (&place.address, Some(place.keeper)), &KeepOp::Look).await {
                Ok((_, answer)) => {
                    stands(&answer, session).map_err(|fault| over(place, &NotKept::Refused(fault)))?;
                    place.told = KEEPS.into();
                }
                Err(fault) => {
                    place.passes(fault)?;
                    all = false;
                }
            }
        }
        self.looked = Some(clock::now());
        Ok(all)
    }

    /// KS5: asks every keeper for its word, once all of them answer. None where one does not (yet).
    pub(crate) async fn sole(&mut self, site: &Arc<Site>, secrets: &NodeSecrets, session: &Nonce) -> Result<Option<Sole>, RecoverError> {
        if !self.all_keep(site, secrets, session).await? {
            return Ok(None);
        }
        let mut all = true;
        for place in self.places.iter_mut().filter(|place| !place.gave) {
            match ask(site, secrets, (&place.address, Some(place.keeper)), &KeepOp::Finish(*session)).await {
                Ok((_, KeepAnswer::Finishes)) => (place.gave, place.told) = (true, "gave its word".into()),
                Ok(_) => return Err(over(place, &NotKept::Nonsense)),
                Err(fault) => {
                    place.passes(fault)?;
                    all = false;
                }
            }
        }
        Ok(all.then_some(Sole(())))
    }

    /// Whether a machine in this slot is among them.
    pub(crate) fn is_in(&self, slot: Slot) -> bool {
        self.places.iter().any(|place| place.keeper.slot == slot)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u8 {
        u8::try_from(self.places.len()).unwrap_or(u8::MAX)
    }

    /// For people.
    pub(crate) fn told(&self) -> Vec<Value> {
        let told = |place: &Place| json!({ "slot": place.keeper.slot.0, "address": place.address, "told": place.told });
        self.places.iter().map(told).collect()
    }
}

impl Place {
    /// What did not answer now may answer later, and so may whoever stood between; what the keeper itself says ends the session.
    fn passes(&mut self, fault: NotKept) -> Result<(), RecoverError> {
        if fault.is_of_session() {
            return Err(over(self, &fault));
        }
        self.told = format!(
            "does not answer: {fault}. Without it this session cannot be finished: bring it back, or begin another session with --anew"
        );
        warn!(address = self.address, %fault, "recovery: a keeper does not answer; without it this session cannot be finished");
        Ok(())
    }
}

/// Whether the session is kept for the asker, or its word given to it.
pub(super) fn stands(answer: &KeepAnswer, session: &Nonce) -> Result<(), KeepFault> {
    match answer {
        KeepAnswer::Kept(kept) if kept.offer.session != *session => Err(KeepFault::Unknown),
        KeepAnswer::Kept(kept) if kept.yours => Ok(()),
        KeepAnswer::Kept(_) => Err(KeepFault::Superseded),
        // It gave its word to this very process, and the answer was lost: asked once more, it is told the same.
        KeepAnswer::Finishes => Ok(()),
        _ => Err(KeepFault::Unknown),
    }
}

/// The session ends, because of this keeper.
fn over(place: &mut Place, fault: &NotKept) -> RecoverError {
    place.told = fault.to_string();
    // A keeper that is spent gave its word to another process: to this one it says so, whatever it is asked.
    let superseded = matches!(fault, NotKept::Refused(KeepFault::Superseded | KeepFault::Spent));
    let why = if superseded { RecoveryFault::Superseded } else { RecoveryFault::KeeperLost };
    RecoverError::NotSole { slot: place.keeper.slot, address: place.address.clone(), why }
}

fn not_kept(address: &str, fault: NotKept) -> RecoverError {
    RecoverError::NotKept { address: address.to_owned(), fault }
}

/// One question; what may pass is tried again.
async fn patiently(
    site: &Arc<Site>,
    secrets: &NodeSecrets,
    (address, expected): (&str, Option<Keeper>),
    op: &KeepOp,
) -> Result<(Keeper, KeepAnswer), RecoverError> {
    let mut tries = 0;
    loop {
        let fault = match ask(site, secrets, (address, expected), op).await {
            Ok(answered) => return Ok(answered),
            Err(fault) => fault,
        };
        tries += 1;
        if fault.is_final() || tries >= TRIES {
            return Err(not_kept(address, fault));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One question, in an attested session of its own; to the process that is expected, where one is.
async fn ask(
    site: &Arc<Site>,
    secrets: &NodeSecrets,
    (address, expected): (&str, Option<Keeper>),
    op: &KeepOp,
) -> Result<(Keeper, KeepAnswer), NotKept> {
    let epoch = site.epoch();
    let asking = async {
        let connection = ringwall_quic::dial(&site.endpoint, &site.dial, resolve(address).await?, DIAL).await.map_err(PeerError::from)?;
        let asked = asked_on(site, secrets, &connection, (expected, op)).await;
        close(&connection, CloseCode::Done);
        asked
    };
    let asked = asking.await;
    // Whoever dials takes over the epoch it is told, which is that of the keeper's disk: it counts for that session alone.
    site.epochs.set(epoch);
    asked
}

async fn asked_on(
    site: &Arc<Site>,
    secrets: &NodeSecrets,
    connection: &Connection,
    (expected, op): (Option<Keeper>, &KeepOp),
) -> Result<(Keeper, KeepAnswer), NotKept> {
    let own = Own { site, secrets, incarnation: Incarnation(0), prover: None };
    let mut opened = handshake::dial(own, connection, PeerPurpose::Keep, None).await?;
    let peer = opened.session.peer().expect("an attested session has a peer");
    let keeper = Keeper { slot: peer.boot_config().slot, sig: peer.keys().sig };
    if expected.is_some_and(|expected| expected != keeper) {
        return Err(NotKept::OtherProcess);
    }
    opened.records.send(&KeepAsk { op: op.clone() }, STEP).await?;
    let reply: KeepReply = opened.records.receive_at_most(HANDSHAKE_MESSAGE_BYTES, STEP).await?;
    match reply.answer {
        KeepAnswer::Refused(fault) => Err(NotKept::Refused(fault)),
        answer => Ok((keeper, answer)),
    }
}

#[cfg(test)]
mod tests;
