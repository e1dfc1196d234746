//! A machine that keeps a recovery session, so that custodians' answers outlive the process they were given to.
//!
//! Decides: KS1, KS3, KS5 and KS6. A session is kept for the process that made the offer, in memory alone; it is handed to an attested process of the same build, which
//! holds it from then on and nobody else; the word that its holder finishes is given to one process of one session, and what was kept is gone with it. A keeper
//! that gave its word keeps nothing any more, so that nothing it is told later, however late it arrives, makes it give another.
//! Trusts: evidence, for who asks. Out of scope: asking (`keeping.rs`), the offer and its answers. Protocol section 6.2.

use crate::context::Site;
use crate::entropy;
use crate::peers::handshake::{self, Greeted, Own, PeerError, Turn, refusal};
use crate::recover::assist::Assist;
use quinn::Connection;
use ringwall_attest::AppraisedPeer;
use ringwall_keys::custody::KemSecret;
use ringwall_quic::{CloseCode, close};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClusterId, Digest, Incarnation, Nonce, SigPublic};
use ringwall_wire::keeper::{KeepAnswer, KeepAsk, KeepFault, KeepOp, KeepReply, KeptOffer, KeptSession};
use ringwall_wire::limits::{HANDSHAKE_MESSAGE_BYTES, HOLDERS};
use ringwall_wire::recovery::{RecoveryOffer, RecoveryPurpose};
use ringwall_wire::secret::wash_stack;
use ringwall_wire::session::RefusalCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// Longest time for a question to arrive or an answer to leave.
const STEP: Duration = Duration::from_secs(10);
/// Time the other side has to read the answer.
const LAST_WORD: Duration = Duration::from_secs(2);

/// A process that asks, as its evidence names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    /// Its key, made when it started.
    pub(crate) sig: SigPublic,
    /// The build it runs, by the name and the security version the policy has for it: what custodians are shown.
    pub(crate) build: (String, u32),
}

impl Asker {
    pub(crate) fn of(peer: &AppraisedPeer) -> Self {
        let judged = peer.appraised();
        Asker { sig: peer.keys().sig, build: (judged.measurement().to_owned(), judged.svn()) }
    }
}

/// What is kept.
#[cfg_attr(test, derive(Clone))]
struct Kept {
    session: KeptSession,
    holder: SigPublic,
    /// Who held it before, and never does again: a question of theirs that arrives late takes it from nobody.
    former: Vec<SigPublic>,
    build: (String, u32),
}

#[cfg_attr(test, derive(Clone))]
enum Desk {
    Free,
    Keeps(Box<Kept>),
    /// The word was given, for this session to this process.
    Gave(Nonce, SigPublic),
}

/// The rules, without I/O and without a clock.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Keeper {
    cluster_id: ClusterId,
    own: SigPublic,
    desk: Desk,
}

impl Keeper {
    /// A keeper of this cluster that keeps nothing yet; `own` is the key its evidence names.
    pub(crate) fn new(cluster_id: ClusterId, own: SigPublic) -> Self {
        Keeper { cluster_id, own, desk: Desk::Free }
    }

    /// Answers one question.
    pub(crate) fn answer(&mut self, who: &Asker, op: KeepOp) -> KeepAnswer {
        let answered = match op {
            KeepOp::Look => self.look(who),
            KeepOp::Keep(session) => self.keep(who, *session),
            KeepOp::Take(name) => self.take(who, &name),
            KeepOp::GoOn(offer) => self.go_on(who, *offer),
            KeepOp::Finish(name) => self.finish(who, &name),
        };
        wash_stack();
        answered.unwrap_or_else(KeepAnswer::Refused)
    }

    fn look(&self, who: &Asker) -> Result<KeepAnswer, KeepFault> {
        match &self.desk {
            Desk::Free => Ok(KeepAnswer::Nothing),
            Desk::Keeps(kept) => {
                Ok(KeepAnswer::Kept(Box::new(KeptOffer { offer: kept.session.offer.clone(), yours: kept.holder == who.sig })))
            }
            // Its answer may have been lost on the way: whoever has the word learns so, and asks for it again.
            Desk::Gave(_, to) if *to == who.sig => Ok(KeepAnswer::Finishes),
            Desk::Gave(..) => Err(KeepFault::Spent),
        }
    }

    /// KS1: of the process that made it, before anybody was asked. One session at a time: whoever brings another one gives the first one up.
    fn keep(&mut self, who: &Asker, session: KeptSession) -> Result<KeepAnswer, KeepFault> {
        let offer = &session.offer;
        if offer.sig != who.sig || !offer.earlier.is_empty() || !self.is_named(offer) {
            return Err(KeepFault::NotFitting);
        }
        match &self.desk {
            Desk::Gave(..) => return Err(KeepFault::Spent),
            Desk::Keeps(kept) if kept.session.offer.session == offer.session => {
                // Asked twice, it is one session; a word that was late changes nothing.
                return if kept.holder == who.sig && kept.session.offer == *offer {
                    Ok(KeepAnswer::Done)
                } else {
                    Err(KeepFault::Superseded)
                };
            }
            Desk::Keeps(_) | Desk::Free => {}
        }
        if KemSecret::from_seed(session.seed.clone()).public() != offer.kem {
            return Err(KeepFault::NotFitting);
        }
        let build = who.build.clone();
        self.desk = Desk::Keeps(Box::new(Kept { session, holder: who.sig, former: Vec::new(), build }));
        Ok(KeepAnswer::Done)
    }

    /// KS3: to a process of the same build, which holds it from now on.
    fn take(&mut self, who: &Asker, name: &Nonce) -> Result<KeepAnswer, KeepFault> {
        let kept = self.kept(name, who)?;
        if kept.build != who.build {
            return Err(KeepFault::OtherBuild);
        }
        if kept.former.contains(&who.sig) {
            return Err(KeepFault::Superseded);
        }
        if kept.holder != who.sig {
            if kept.former.len() >= HOLDERS {
                return Err(KeepFault::TooOften);
            }
            kept.former.push(std::mem::replace(&mut kept.holder, who.sig));
        }
        Ok(KeepAnswer::Taken(Box::new(kept.session.clone())))
    }

    /// KS4: the holder's own offer of the same session, which names every offer before it.
    fn go_on(&mut self, who: &Asker, offer: RecoveryOffer) -> Result<KeepAnswer, KeepFault> {
        let fits = offer.sig == who.sig && self.is_named(&offer);
        let kept = self.kept(&offer.session, who)?;
        if kept.holder != who.sig {
            return Err(KeepFault::Superseded);
        }
        let before = &kept.session.offer;
        if offer == *before {
            return Ok(KeepAnswer::Done);
        }
        let mut known = before.earlier.iter().copied().chain([Digest(before.digest())]);
        if !fits || !offer.is_of_one_session_with(before) || !known.all(|digest| offer.earlier.contains(&digest)) {
            return Err(KeepFault::NotFitting);
        }
        kept.session.offer = offer;
        Ok(KeepAnswer::Done)
    }

    /// KS5: to its holder, once. Asked again, the same process is told the same.
    fn finish(&mut self, who: &Asker, name: &Nonce) -> Result<KeepAnswer, KeepFault> {
        if matches!(&self.desk, Desk::Gave(session, to) if (session, to) == (name, &who.sig)) {
            return Ok(KeepAnswer::Finishes);
        }
        if self.kept(name, who)?.holder != who.sig {
            return Err(KeepFault::Superseded);
        }
        self.desk = Desk::Gave(*name, who.sig);
        Ok(KeepAnswer::Finishes)
    }

    fn kept(&mut self, name: &Nonce, who: &Asker) -> Result<&mut Kept, KeepFault> {
        match &mut self.desk {
            Desk::Keeps(kept) if kept.session.offer.session == *name => Ok(kept),
            Desk::Gave(session, to) if session == name && *to != who.sig => Err(KeepFault::Superseded),
            Desk::Free | Desk::Keeps(_) | Desk::Gave(..) => Err(KeepFault::Unknown),
        }
    }

    fn is_named(&self, offer: &RecoveryOffer) -> bool {
        let here = offer.keepers.iter().any(|keeper| keeper.sig == self.own);
        here && offer.cluster_id == self.cluster_id && offer.purpose == RecoveryPurpose::Outage
    }
}

/// Answers one question of an attested process that recovers.
pub(crate) async fn serve(site: &Arc<Site>, assist: &Assist, connection: Connection, greeted: Greeted) {
    let Ok(_turn) = assist.keeps.try_acquire() else {
        return greeted.refuse(&connection, &refusal(RefusalCode::Busy, "others ask this keeper right now; try again")).await;
    };
    let own = Own { site, secrets: &assist.secrets, incarnation: Incarnation(0), prover: None };
    let nonce = entropy::nonce(&site.entropy);
    let outcome = async {
        let mut opened = handshake::answer(own, &connection, greeted, nonce, |_| Turn::Free, |_| true).await?;
        let who = Asker::of(opened.session.peer().expect("an attested session has a peer"));
        let ask: KeepAsk = opened.records.receive_at_most(HANDSHAKE_MESSAGE_BYTES, STEP).await?;
        let answer = answered(&assist.keeper, &who, ask.op);
        opened.records.send(&KeepReply { answer }, STEP).await?;
        opened.records.finish(LAST_WORD).await;
        Ok::<(), PeerError>(())
    };
    if let Err(fault) = outcome.await {
        warn!(address = %connection.remote_address(), %fault, "keeper: a question was not answered");
    }
    close(&connection, CloseCode::Done);
}

/// Answers, and says what changed.
fn answered(keeper: &Mutex<Keeper>, who: &Asker, op: KeepOp) -> KeepAnswer {
    let looks = matches!(op, KeepOp::Look);
    let answer = keeper.lock().unwrap_or_else(PoisonError::into_inner).answer(who, op);
    match &answer {
        KeepAnswer::Refused(fault) => warn!(by = %who.sig, "keeper: refused: {}", fault.words()),
        KeepAnswer::Taken(kept) => {
            info!(by = %who.sig, session = %kept.offer.session, "keeper: the session was handed to another process, which holds it now");
        }
        KeepAnswer::Finishes if looks => {}
        KeepAnswer::Finishes => info!(by = %who.sig, "keeper: the word is given that this process finishes; the session is forgotten here"),
        KeepAnswer::Done => info!(by = %who.sig, "keeper: a session is kept in memory"),
        KeepAnswer::Nothing | KeepAnswer::Kept(_) => debug_assert!(looks, "nothing else is answered so"),
    }
    answer
}

#[cfg(test)]
mod tests;
