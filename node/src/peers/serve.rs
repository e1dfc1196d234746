//! Sessions other members dialled: their calls, in order, into the gate of `consensus`, and the answers back.
//!
//! Decides: only streams 1 to 4, each once; only calls that belong to a stream's class; how many calls and bytes are worked on at once
//! (then the stream is not read, and the sender waits); append answers keep their order. The session ends when the policy wants new
//! evidence or the member is not one any more.
//! Trusts: `handshake` for who the member is; `Replica::answer` and `Replica::may_forward` for what it may do (V1 to V3).
//! Protocol section 4.

use crate::context::Node;
use crate::custody::{asks, keys};
use crate::drill;
use crate::front;
use crate::governance;
use crate::join::endorse;
use crate::peers::handshake::{self, Greeted, Own, PeerError, Turn};
use crate::peers::introduction;
use crate::peers::lane::{self, CHUNK_BYTES, FLUSH_MESSAGES, IN_FLIGHT, WORKING_BYTES};
use crate::renewal::Over;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use futures_util::{FutureExt, StreamExt};
use quinn::{Connection, RecvStream, SendStream};
use ringwall_channel::{Opener, Sealer};
use ringwall_consensus::{BoxFuture, Class, Recognition};
use ringwall_quic::{Alpn, CloseCode, admit, close};
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{Incarnation, NoisePublic};
use ringwall_wire::limits::PEER_MESSAGE_BYTES;
use ringwall_wire::peer::{PeerAnswer, PeerCall, PeerReply, PeerRpc};
use ringwall_wire::session::RefusalCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};

/// Time a refused member has to read why.
const LAST_WORD: Duration = Duration::from_millis(500);
/// How often a session looks whether its member is still one.
const STANDING_LOOK: Duration = Duration::from_secs(1);

/// The turn of a dialler that says it is a member. `strangers` are the permits for those nobody here has heard of: a session costs us
/// a quote before it costs them one, so without a bound anybody could keep the machine quoting.
fn turn(known: bool, strangers: &Arc<Semaphore>) -> Turn {
    match known {
        true => Turn::Free,
        false => strangers.clone().try_acquire_owned().map_or(Turn::Crowded, Turn::Held),
    }
}

/// Serves a member's session until it ends.
pub(crate) async fn member(node: Arc<Node>, connection: Connection, greeted: Greeted, strangers: Arc<Semaphore>) {
    let own = Own { site: &node.site, secrets: &node.secrets, incarnation: node.incarnation, prover: None };
    let nonce = crate::entropy::nonce(&node.site.entropy);
    let known = |peer: &ringwall_attest::AppraisedPeer| introduction::may_be_known(&node.replica, peer.incarnation(), &peer.keys().noise);
    let turn = |noise: &NoisePublic| turn(node.replica.knows_key(noise), &strangers);
    let mut opened = match handshake::answer(own, &connection, greeted, nonce, turn, known).await {
        Ok(opened) => opened,
        Err(fault) => {
            let address = connection.remote_address();
            match &fault {
                // The other side changed its mind: it dialled somebody who was replaced by this node, or is replaced itself.
                PeerError::Refused(_) | PeerError::Lost(_) | PeerError::Crowded => {
                    debug!(%address, %fault, "session ended before it began")
                }
                _ => warn!(%address, %fault, "session refused"),
            }
            return close(&connection, CloseCode::Refused);
        }
    };
    let peer = opened.session.peer().expect("an attested session has a peer");
    let (from, noise) = (peer.incarnation(), peer.keys().noise);
    if let Err(fault) = introduction::recognise(&node, from, &noise, &mut opened.records).await {
        warn!(address = %connection.remote_address(), %from, %fault, "session refused");
        opened.records.finish(LAST_WORD).await;
        return close(&connection, CloseCode::Refused);
    }
    admit(&connection, Alpn::Peer);
    node.peers.is_up(from);
    debug!(%from, address = %connection.remote_address(), "member opened a session");
    let mut streams = tokio::task::JoinSet::new();
    let mut lasting = node.site.sessions.answered(noise, opened.since);
    let mut look = tokio::time::interval(STANDING_LOOK);
    let code = loop {
        tokio::select! {
            accepted = connection.accept_bi() => match accepted {
                Ok((send, recv)) => {
                    let Some((class, keys, send, recv)) = begin(&mut opened.session, send, recv, node.site.step()).await else {
                        break CloseCode::Malformed;
                    };
                    streams.spawn(serve(Arc::clone(&node), from, class, keys, send, recv));
                }
                Err(_) => break CloseCode::Done,
            },
            Some(ended) = streams.join_next() => {
                if !ended.unwrap_or(false) {
                    break CloseCode::Malformed;
                }
            }
            over = lasting.over() => break if over == Over::Refused { CloseCode::Refused } else { CloseCode::Replaced },
            _ = look.tick() => {
                if node.replica.recognise(from, &noise) != Recognition::Member {
                    break CloseCode::Refused;
                }
            }
        }
    };
    close(&connection, code);
    streams.shutdown().await;
    debug!(%from, ?code, "session of member ended");
}

type Begun = (Class, (Sealer, Opener), SendStream, RecvStream);

async fn begin(
    session: &mut ringwall_channel::Session<ringwall_channel::Attested>,
    send: SendStream,
    mut recv: RecvStream,
    within: Duration,
) -> Option<Begun> {
    let mut number = [0; 4];
    tokio::time::timeout(within, recv.read_exact(&mut number)).await.ok()?.ok()?;
    let number = u32::from_be_bytes(number);
    let class = lane::class(number)?;
    // Each number once in a session: the channel refuses a second time.
    let keys = session.split(number, PEER_MESSAGE_BYTES).ok()?;
    // An unset priority only changes who goes first.
    let _ = send.set_priority(lane::priority(class));
    Some((class, keys, send, recv))
}

/// Calls of one stream that are being answered.
enum Working {
    Ordered(FuturesOrdered<BoxFuture<(usize, PeerReply)>>),
    Any(FuturesUnordered<BoxFuture<(usize, PeerReply)>>),
}

impl Working {
    fn push(&mut self, answering: BoxFuture<(usize, PeerReply)>) {
        match self {
            Working::Ordered(futures) => futures.push_back(answering),
            Working::Any(futures) => futures.push(answering),
        }
    }

    fn len(&self) -> usize {
        match self {
            Working::Ordered(futures) => futures.len(),
            Working::Any(futures) => futures.len(),
        }
    }

    async fn next(&mut self) -> Option<(usize, PeerReply)> {
        match self {
            Working::Ordered(futures) => futures.next().await,
            Working::Any(futures) => futures.next().await,
        }
    }
}

/// Serves one stream; false when the member broke the protocol.
async fn serve(
    node: Arc<Node>,
    from: Incarnation,
    class: Class,
    keys: (Sealer, Opener),
    mut send: SendStream,
    mut recv: RecvStream,
) -> bool {
    let (mut sealer, mut opener) = keys;
    let mut working = match class {
        Class::Append | Class::Bulk => Working::Ordered(FuturesOrdered::new()),
        Class::Control | Class::Forward => Working::Any(FuturesUnordered::new()),
    };
    let mut held_bytes: usize = 0;
    let mut out = Vec::new();
    loop {
        let room = working.len() < IN_FLIGHT && held_bytes < WORKING_BYTES;
        let busy = working.len() > 0;
        tokio::select! {
            Some((bytes, reply)) = working.next(), if busy => {
                held_bytes = held_bytes.saturating_sub(bytes);
                let mut replies = vec![reply.encode()];
                while replies.len() < FLUSH_MESSAGES {
                    let Some(Some((bytes, reply))) = working.next().now_or_never() else { break };
                    held_bytes = held_bytes.saturating_sub(bytes);
                    replies.push(reply.encode());
                }
                out.clear();
                let sealed = sealer.seal_many(&replies, &mut out);
                lane::wipe(&mut replies);
                if sealed.is_err() || send.write_all(&out).await.is_err() {
                    return true;
                }
            }
            chunk = recv.read_chunk(CHUNK_BYTES, true), if room => {
                let Ok(Some(chunk)) = chunk else { return true };
                if opener.push(&chunk.bytes).is_err() {
                    return false;
                }
                loop {
                    let Ok(next) = opener.look(|message| (message.len(), PeerRpc::decode(message))) else { return false };
                    let Some((bytes, decoded)) = next else { break };
                    let Ok(PeerRpc { number, call }) = decoded else { return false };
                    if !lane::carries(class, &call) {
                        return false;
                    }
                    held_bytes = held_bytes.saturating_add(bytes);
                    let (answering, node) = (answer(&node, from, call), Arc::clone(&node));
                    working.push(Box::pin(async move { (bytes, PeerReply { number, answer: unless_fenced(&node, answering.await) }) }));
                }
            }
        }
    }
}

/// IN8: whoever is fenced by now answers nothing, not even that it is there, whatever it was asked and when.
fn unless_fenced(node: &Node, answer: PeerAnswer) -> PeerAnswer {
    match node.replica.fenced().now_or_never() {
        None => answer,
        Some(_) => PeerAnswer::Refused(handshake::refusal(RefusalCode::Fenced, "this incarnation is out")),
    }
}

/// Hands a call to whom it is for. Appends take their place in the order of these calls, so nothing here waits.
fn answer(node: &Arc<Node>, from: Incarnation, call: PeerCall) -> BoxFuture<PeerAnswer> {
    let node = Arc::clone(node);
    match call {
        PeerCall::Alive => Box::pin(std::future::ready(PeerAnswer::Done)),
        PeerCall::Leaving => {
            info!(%from, "member is leaving on purpose");
            node.gone.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(from);
            Box::pin(std::future::ready(PeerAnswer::Done))
        }
        PeerCall::Endorse(call) => Box::pin(async move { endorse::answer(&node, call).await }),
        PeerCall::OfferKey(offer) => Box::pin(std::future::ready(keys::take(&node, from, &offer))),
        PeerCall::AskKey(generation) => Box::pin(std::future::ready(keys::give(&node, from, &generation))),
        PeerCall::Custody(ask) => Box::pin(async move { asks::answer(&node, from, *ask).await }),
        PeerCall::Drill(call) => Box::pin(async move { drill::answer(&node, from, *call).await }),
        PeerCall::Policy(command) => Box::pin(async move { governance::asks::answer(&node, from, *command).await }),
        PeerCall::CatchUp(index) => Box::pin(async move { endorse::caught_up(&node, index).await }),
        PeerCall::Forward(_) if !node.replica.may_forward(from) => {
            debug!(%from, "a forwarded write was stopped at the gate");
            let refusal = handshake::refusal(RefusalCode::NotMember, "only a live member may have writes proposed here");
            Box::pin(std::future::ready(PeerAnswer::Refused(refusal)))
        }
        PeerCall::Forward(call) => Box::pin(async move { front::forwarded(&node, call).await }),
        call => node.replica.answer(from, call),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn strangers_wait_for_strangers_and_members_for_nobody() {
        let strangers = Arc::new(Semaphore::new(2));
        let held = [turn(false, &strangers), turn(false, &strangers)];
        assert!(held.iter().all(|turn| matches!(turn, Turn::Held(_))));
        assert!(matches!(turn(false, &strangers), Turn::Crowded));
        assert!(matches!(turn(true, &strangers), Turn::Free));
        drop(held);
        assert!(matches!(turn(false, &strangers), Turn::Held(_)));
    }
}

#[cfg(test)]
pub(crate) mod gate_tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::join::endorse::place;
    use crate::join::joiner::{OwnEvidence, cert};
    use crate::peers::pool::PeerPool;
    use crate::renewal::Sessions;
    use crate::ring::Ring;
    use ringwall_channel::NodeSecrets;
    use ringwall_consensus::{Replica, Transport};
    use ringwall_keys::Keyring;
    use ringwall_wire::bounded::Text;
    use ringwall_wire::command::{CommandBody, SharedWrites};
    use ringwall_wire::ids::{Digest, Epoch, Vendor};
    use ringwall_wire::peer::ForwardCall;

    /// The one voter of a group, whose front door is not open yet.
    pub(crate) async fn alone(folder: &std::path::Path) -> Arc<Node> {
        alone_for(folder, Duration::from_secs(86_400)).await
    }

    /// The same with sessions that last so long.
    async fn alone_for(folder: &std::path::Path, lasting: Duration) -> Arc<Node> {
        let mut site = place::site_of("genoa-1", 1, &[]);
        place::change(&mut site, |site| site.sessions = Sessions::new(&site.founding.session, lasting));
        alone_at(folder, site).await
    }

    /// The same on this site.
    pub(crate) async fn alone_at(folder: &std::path::Path, site: Arc<crate::context::Site>) -> Arc<Node> {
        let secrets = Arc::new(NodeSecrets::generate(&mut *(site.entropy)()));
        let incarnation = Incarnation::new(site.epoch(), 1);
        let peers = PeerPool::new(Arc::clone(&site), Arc::clone(&secrets), incarnation);
        let transport: Arc<dyn Transport> = peers.clone();
        let options = crate::run::replica_options(&site, folder.join("inc"), incarnation);
        let replica = Replica::open(options, transport).await.unwrap();
        let own = OwnEvidence { vendor: Vendor::Amd, chip: Digest([0; 32]), measurement: Text::default() };
        replica.found(cert(&site, &secrets, &own)).await.unwrap();
        let keyring = Ring::new(Keyring::found(site.cluster_id, &mut *(site.entropy)()));
        Arc::new(Node {
            site,
            secrets,
            incarnation,
            keyring,
            replica,
            peers,
            granted: Vec::new(),
            front: Default::default(),
            gone: Default::default(),
            admitting: Default::default(),
            steward: tokio::sync::Notify::new(),
            custody: Default::default(),
            governance: Default::default(),
        })
    }

    #[tokio::test]
    async fn writes_of_strangers_and_of_who_is_out_do_not_reach_the_front_door() {
        let folder = tempfile::tempdir().unwrap();
        let node = alone(folder.path()).await;
        let me = node.incarnation;
        let forwarded =
            async |from: Incarnation| match answer(&node, from, PeerCall::Forward(ForwardCall { writes: SharedWrites::default() })).await {
                PeerAnswer::Refused(refusal) => refusal.code,
                other => panic!("the front door is not open: {other:?}"),
            };
        assert_eq!(forwarded(me).await, RefusalCode::Unavailable, "a member reaches the door");
        assert_eq!(forwarded(Incarnation::new(me.epoch(), 9_000)).await, RefusalCode::NotMember, "not heard of");
        assert_eq!(forwarded(Incarnation::new(Epoch(9), 1)).await, RefusalCode::NotMember, "of another epoch");
        node.replica.propose(CommandBody::Retire(me)).await.unwrap();
        assert_eq!(forwarded(me).await, RefusalCode::NotMember, "retired");
        node.replica.shutdown().await;
    }

    /// A dialler whose evidence nothing is wrong with, and whose admission lies beyond what is applied here.
    #[tokio::test(flavor = "multi_thread")]
    async fn genuine_evidence_without_an_admission_opens_no_session() {
        let folder = tempfile::tempdir().unwrap();
        let node = alone(folder.path()).await;
        let rogue = place::site_of("tdx-1", 3, &[]);
        let keys = NodeSecrets::generate(&mut *(rogue.entropy)());
        let serving = Arc::clone(&node);
        let answering = tokio::spawn(async move {
            let connection = serving.site.endpoint.accept().await.unwrap().await.unwrap();
            let greeted = handshake::greet(&serving.site, &connection).await.unwrap();
            member(serving, connection, greeted, Arc::new(Semaphore::new(1))).await;
        });
        let within = Duration::from_secs(10);
        let connection = ringwall_quic::dial(&rogue.endpoint, &rogue.dial, node.site.config.listen, within).await.unwrap();
        let beyond = Incarnation::new(node.incarnation.epoch(), 9_000);
        let own = Own { site: &rogue, secrets: &keys, incarnation: beyond, prover: None };
        let dialled = handshake::dial(own, &connection, ringwall_wire::session::PeerPurpose::Member, None).await;
        match dialled {
            Err(PeerError::Refused(refusal)) => assert_eq!(refusal.code, RefusalCode::NotMember),
            other => panic!("{other:?}"),
        }
        answering.await.unwrap();
        assert_ne!(node.replica.recognise(beyond, &keys.public().noise), Recognition::Member);
        node.replica.shutdown().await;
    }
    /// How this node ends the session of a member that would go on with it for ever; `word` is said again and again meanwhile.
    async fn ended(node: &Arc<Node>, word: impl Fn(&Node)) -> CloseCode {
        let serving = Arc::clone(node);
        let answering = tokio::spawn(async move {
            let connection = serving.site.endpoint.accept().await.unwrap().await.unwrap();
            let greeted = handshake::greet(&serving.site, &connection).await.unwrap();
            member(serving, connection, greeted, Arc::new(Semaphore::new(1))).await;
        });
        // The one member there is, which dials itself from a machine that renews nothing.
        let other = place::site_of("genoa-1", 1, &[]);
        let within = Duration::from_secs(20);
        let connection = ringwall_quic::dial(&other.endpoint, &other.dial, node.site.config.listen, within).await.unwrap();
        let own = Own { site: &other, secrets: &node.secrets, incarnation: node.incarnation, prover: None };
        let opened = handshake::dial(own, &connection, ringwall_wire::session::PeerPurpose::Member, None).await.unwrap();
        let saying = async {
            loop {
                word(node);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let closed = tokio::select! {
            closed = tokio::time::timeout(within, connection.closed()) => closed.expect("the session went on"),
            () = saying => unreachable!("nobody is silenced"),
        };
        answering.await.unwrap();
        drop(opened);
        let quinn::ConnectionError::ApplicationClosed(closed) = closed else { panic!("{closed}") };
        let codes = [CloseCode::Refused, CloseCode::Replaced];
        codes.into_iter().find(|code| closed.error_code == (*code as u32).into()).unwrap_or_else(|| panic!("{closed}"))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_answering_side_ends_sessions_itself() {
        let folder = tempfile::tempdir().unwrap();
        let node = alone(folder.path()).await;
        let noise = node.secrets.public().noise;
        assert_eq!(ended(&node, |node| node.site.sessions.renew()).await, CloseCode::Replaced, "at a word");
        assert_eq!(
            ended(&node, |node| assert!(node.site.sessions.refuse(&noise) < 2)).await,
            CloseCode::Refused,
            "its evidence is refused"
        );
        let leaving = Arc::clone(&node);
        let retired = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            leaving.replica.propose(CommandBody::Retire(leaving.incarnation)).await.unwrap();
        });
        assert_eq!(ended(&node, |_| {}).await, CloseCode::Refused, "it is no member any more");
        retired.await.unwrap();
        node.replica.shutdown().await;
        let folder = tempfile::tempdir().unwrap();
        let node = alone_for(folder.path(), Duration::from_millis(500)).await;
        assert_eq!(ended(&node, |_| {}).await, CloseCode::Replaced, "its evidence is old");
        node.replica.shutdown().await;
    }

    /// A member whose TEE was broken says to one that lives that it was retired, and has nothing to show.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_word_alone_does_not_make_a_member_believe_that_it_is_out() {
        let folder = tempfile::tempdir().unwrap();
        let node = alone(folder.path()).await;
        let liar = place::site_of("tdx-1", 3, &[]);
        let keys = NodeSecrets::generate(&mut *(liar.entropy)());
        let (address, name) = (liar.config.listen, Incarnation::new(node.incarnation.epoch(), 9_000));
        let answering = tokio::spawn(async move {
            let connection = liar.endpoint.accept().await.unwrap().await.unwrap();
            let greeted = handshake::greet(&liar, &connection).await.unwrap();
            let own = Own { site: &liar, secrets: &keys, incarnation: name, prover: None };
            let nonce = crate::entropy::nonce(&liar.entropy);
            let mut opened = handshake::answer(own, &connection, greeted, nonce, |_| Turn::Free, |_| true).await.unwrap();
            opened.records.send(&PeerReply { number: 0, answer: PeerAnswer::Out }, liar.step()).await.unwrap();
            let asked: PeerRpc = opened.records.receive(liar.step()).await.unwrap();
            opened.records.send(&ringwall_wire::admission::AdmissionProof::none(), liar.step()).await.unwrap();
            opened.records.finish(LAST_WORD).await;
            asked.call
        });
        let connection = ringwall_quic::dial(&node.site.endpoint, &node.site.dial, address, Duration::from_secs(10)).await.unwrap();
        let prover = node.replica.prover();
        let own = Own { site: &node.site, secrets: &node.secrets, incarnation: node.incarnation, prover: Some(&prover) };
        let dialled = handshake::dial(own, &connection, ringwall_wire::session::PeerPurpose::Member, None).await;
        let not_shown = ringwall_consensus::Unrecognized::NotShown(node.incarnation);
        assert!(matches!(&dialled, Err(PeerError::NotSucceeded(fault)) if *fault == not_shown), "{dialled:?}");
        assert_eq!(answering.await.unwrap(), PeerCall::ShowSuccessor(node.replica.applied()), "it asks for what it does not know yet");
        node.replica.shutdown().await;
    }
}
