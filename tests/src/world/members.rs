//! Sessions of a member with the others: calls out, calls in.
//!
//! Decides: nothing of its own: out, these are the links of `node/src/peers/pool.rs` (queue at once, dial, four numbered streams, pause
//! and fail what waits when nobody is reached); in, the loop of `node/src/peers/serve.rs` (order for appends and snapshots, none for the
//! rest, who is no member any more is cut off). Not run here: flow control, priorities, idle links, re-attestation after a day.
//! Everything that is sent passes the watch first. Trusts: nothing. Out of scope: Raft (`consensus`). Protocol sections 3.2 and 4.

use crate::world::admission;
use crate::world::flaws::Flaw;
use crate::world::pipes::{Door, Pipe, PipeOut};
use crate::world::process::Process;
use crate::world::sessions::{self, Expected, Fault, Own};
use crate::world::site::Site;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesOrdered, FuturesUnordered, StreamExt};
use ringwall_channel::{NodeSecrets, Opener, Sealer};
use ringwall_consensus::runtime;
use ringwall_consensus::{BoxFuture, Class, Prover, Recognition, Transport, TransportError};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{Incarnation, NoisePublic};
use ringwall_wire::limits::PEER_MESSAGE_BYTES;
use ringwall_wire::peer::{AppendAnswer, Member, Membership, PeerAnswer, PeerCall, PeerReply, PeerRpc};
use ringwall_wire::session::{PeerPurpose, RefusalCode};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

/// Milliseconds of the first pause before a member is dialled again; doubles.
const PAUSE_FIRST_MS: u64 = 50;
/// Longest such pause.
const PAUSE_MOST_MS: u64 = 500;
/// How often who is served is looked up again, milliseconds.
const STANDING_LOOK_MS: u64 = 1_000;

/// Stream number of a class.
fn number(class: Class) -> u32 {
    match class {
        Class::Append => 1,
        Class::Control => 2,
        Class::Bulk => 3,
        Class::Forward => 4,
    }
}

struct Outgoing {
    class: Class,
    number: u64,
    bytes: Vec<u8>,
    reply: oneshot::Sender<PeerAnswer>,
}

struct Link {
    queue: mpsc::UnboundedSender<Outgoing>,
    up: Arc<Notify>,
}

/// Sessions to other members.
pub struct Peers {
    this: Weak<Peers>,
    site: Arc<Site>,
    secrets: Arc<NodeSecrets>,
    me: Incarnation,
    links: Mutex<BTreeMap<Incarnation, Link>>,
    numbers: Mutex<u64>,
    prover: OnceLock<Prover>,
    successor: OnceLock<Incarnation>,
}

impl Peers {
    /// No session yet.
    pub fn new(site: Arc<Site>, secrets: Arc<NodeSecrets>, me: Incarnation) -> Arc<Self> {
        Arc::new_cyclic(|this| Peers {
            this: this.clone(),
            site,
            secrets,
            me,
            links: Mutex::default(),
            numbers: Mutex::default(),
            prover: OnceLock::new(),
            successor: OnceLock::new(),
        })
    }

    /// What members that have not heard of this incarnation are shown.
    pub fn show(&self, prover: Prover) {
        // The first stays.
        let _ = self.prover.set(prover);
    }

    /// Who was shown to have been admitted to this incarnation's slot after it.
    pub fn successor(&self) -> Option<Incarnation> {
        self.successor.get().copied()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Incarnation, Link>> {
        self.links.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn enqueue(&self, to: Incarnation, member: &Member, class: Class, call: &PeerCall) -> oneshot::Receiver<PeerAnswer> {
        self.site.common.watch.call(self.me, to, class != Class::Append, call);
        let number = {
            let mut numbers = self.numbers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *numbers += 1;
            *numbers
        };
        let bytes = PeerRpc { number, call: call.clone() }.encode();
        let (reply, answer) = oneshot::channel();
        let outgoing = Outgoing { class, number, bytes, reply };
        let mut links = self.lock();
        let link = links.entry(to).or_insert_with(|| self.link(to, member.clone()));
        if let Err(mpsc::error::SendError(outgoing)) = link.queue.send(outgoing) {
            let link = self.link(to, member.clone());
            // A fresh link takes it.
            let _ = link.queue.send(outgoing);
            links.insert(to, link);
        }
        answer
    }

    fn link(&self, to: Incarnation, member: Member) -> Link {
        let (queue, calls) = mpsc::unbounded_channel();
        let up = Arc::new(Notify::new());
        let task = LinkTask { peers: self.this.clone(), to, member, calls, up: Arc::clone(&up) };
        runtime::spawn(task.run());
        Link { queue, up }
    }

    /// The member just opened a session to this node: a pause before it is dialled again ends.
    fn is_up(&self, member: Incarnation) {
        if let Some(link) = self.lock().get(&member) {
            link.up.notify_one();
        }
    }

    /// Forgets links to incarnations that are not in `members`.
    pub fn keep_only(&self, members: &[Incarnation]) {
        self.lock().retain(|incarnation, _| members.contains(incarnation));
    }
}

impl Transport for Peers {
    fn call(
        &self,
        to: Incarnation,
        member: &Member,
        class: Class,
        call: PeerCall,
        timeout: Duration,
    ) -> BoxFuture<Result<PeerAnswer, TransportError>> {
        let waiting = self.enqueue(to, member, class, &call);
        Box::pin(async move {
            match tokio::time::timeout(timeout, waiting).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err(TransportError::Unreachable { to, why: "no session".into() }),
                Err(_) => Err(TransportError::Timeout { to, after_ms: timeout.as_millis() as u64 }),
            }
        })
    }
}

struct LinkTask {
    peers: Weak<Peers>,
    to: Incarnation,
    member: Member,
    calls: mpsc::UnboundedReceiver<Outgoing>,
    up: Arc<Notify>,
}

impl LinkTask {
    async fn run(mut self) {
        let mut pause = PAUSE_FIRST_MS;
        // Nothing is dialled before somebody has something to say.
        let mut first = self.calls.recv().await;
        while let Some(peers) = self.peers.upgrade().filter(|_| first.is_some() || !self.calls.is_closed()) {
            let (site, secrets, me) = (Arc::clone(&peers.site), Arc::clone(&peers.secrets), peers.me);
            let prover = peers.prover.get().cloned();
            drop(peers);
            let by = site.generation();
            match self.open(Own { site: &site, secrets: &secrets, incarnation: me, prover: prover.as_ref() }).await {
                Ok((pipe, streams)) => {
                    pause = PAUSE_FIRST_MS;
                    if self.carry((&*site, by), pipe, streams, first.take()).await {
                        return;
                    }
                }
                Err(fault) => {
                    if let (Fault::Succeeded(successor), Some(peers)) = (&fault, self.peers.upgrade()) {
                        // One is enough.
                        let _ = peers.successor.set(*successor);
                    }
                    site.common.trace.note(format_args!("{me} does not reach {}: {fault:?}", self.to));
                    first = None;
                    let wait = pause / 2 + site.dice.below(pause / 2);
                    if !self.fail_for(wait).await {
                        return;
                    }
                    pause = (pause * 2).min(PAUSE_MOST_MS);
                }
            }
        }
    }

    async fn open(&self, own: Own<'_>) -> Result<(Pipe, Streams), Fault> {
        let site = own.site;
        let dialled = site.common.wires.dial(site.place, site.process, &self.member.peer_address, Door::Peers).await;
        let mut pipe = dialled.ok_or(Fault::Lost)?;
        let expected = Expected { incarnation: self.to, slot: self.member.slot, noise: self.member.noise };
        let expected = (!site.common.flaws.has(Flaw::AddressIsIdentity)).then_some(expected);
        let mut opened = sessions::dial(own, &mut pipe, PeerPurpose::Member, expected).await?;
        let mut streams = Streams::default();
        for class in [Class::Append, Class::Control, Class::Bulk, Class::Forward] {
            let number = number(class);
            streams.insert(number, opened.session.split(number, PEER_MESSAGE_BYTES).map_err(|_| Fault::Malformed)?);
        }
        Ok((pipe, streams))
    }

    /// Fails what waits for `ms`, unless the member shows up. False when nobody can ask any more.
    async fn fail_for(&mut self, ms: u64) -> bool {
        let until = tokio::time::sleep(Duration::from_millis(ms));
        tokio::pin!(until);
        loop {
            tokio::select! {
                biased;
                () = self.up.notified() => return true,
                () = &mut until => return true,
                call = self.calls.recv() => {
                    if call.is_none() {
                        return false;
                    }
                }
            }
        }
    }

    /// Carries calls until the session breaks; true when nobody can ask any more.
    async fn carry(&mut self, (site, by): (&Site, usize), mut pipe: Pipe, mut streams: Streams, first: Option<Outgoing>) -> bool {
        let mut waiting: BTreeMap<u64, oneshot::Sender<PeerAnswer>> = BTreeMap::new();
        let mut next = first;
        loop {
            if let Some(call) = next.take() {
                waiting.insert(call.number, call.reply);
                if !send(&mut streams, &pipe.out, number(call.class), &call.bytes) {
                    return false;
                }
            }
            tokio::select! {
                biased;
                call = self.calls.recv() => match call {
                    Some(call) => next = Some(call),
                    None => return true,
                },
                frame = pipe.recv() => {
                    // PC10: what was opened under another policy ends.
                    let Some(frame) = frame.filter(|_| site.generation() == by) else { return false };
                    let Some((_, opener)) = streams.get_mut(&frame.stream) else { return false };
                    if opener.push(&frame.bytes).is_err() {
                        return false;
                    }
                    loop {
                        let Ok(message) = opener.next() else { return false };
                        let Some(message) = message else { break };
                        let Ok(PeerReply { number, answer }) = PeerReply::decode(&message) else { return false };
                        // A caller that stopped waiting has dropped its end.
                        let _ = waiting.remove(&number).map(|reply| reply.send(answer));
                    }
                }
            }
        }
    }
}

type Streams = BTreeMap<u32, (Sealer, Opener)>;

fn send(streams: &mut Streams, out: &PipeOut, number: u32, message: &[u8]) -> bool {
    let Some((sealer, _)) = streams.get_mut(&number) else { return false };
    let mut bytes = Vec::new();
    let sealed = sealer.seal(message, &mut bytes).is_ok();
    if sealed {
        out.send(number, bytes);
    }
    sealed
}

/// Serves one pipe of a member or a joiner until it is over.
pub async fn accept(process: Arc<Process>, mut pipe: Pipe) {
    let site = &process.site;
    let greeted = match sessions::greet(site, &mut pipe).await {
        Ok(greeted) => greeted,
        Err(_) => return,
    };
    let own = Own { site, secrets: &process.secrets, incarnation: process.incarnation, prover: None };
    if greeted.purpose() == PeerPurpose::Join {
        return admission::accept(&process, pipe, greeted).await;
    }
    let known = |peer: &ringwall_attest::AppraisedPeer| {
        !matches!(process.recognise(peer.incarnation(), &peer.keys().noise), Recognition::Refused(_))
    };
    let by = site.generation();
    let mut opened = match sessions::answer(own, &mut pipe, greeted, site.nonce(), known).await {
        Ok(opened) => opened,
        Err(fault) => return site.common.trace.note(format_args!("{} refused a session: {fault:?}", process.incarnation)),
    };
    let peer = opened.session.peer().expect("an attested session has a peer");
    let (from, noise) = (peer.incarnation(), peer.keys().noise);
    if site.common.flaws.has(Flaw::NoIntroduction) {
        sessions::tell(&mut opened.sealer, &pipe, &PeerReply { number: 0, answer: PeerAnswer::Done }.encode());
    } else if !sessions::recognise(&process, (from, &noise), &mut opened, &mut pipe).await {
        return;
    }
    process.peers.is_up(from);
    serve((&process, by), pipe, opened.session, from, noise).await;
}

/// One stream of a session that is served.
struct Served {
    opener: Opener,
    calls: mpsc::UnboundedSender<(u64, PeerCall)>,
}

async fn serve(
    (process, by): (&Arc<Process>, usize),
    mut pipe: Pipe,
    mut session: ringwall_channel::Session<ringwall_channel::Attested>,
    from: Incarnation,
    noise: NoisePublic,
) {
    let mut streams: BTreeMap<u32, Served> = BTreeMap::new();
    let mut looked_ms = process.site.common.trace.now_ms();
    while let Some(frame) = pipe.recv().await {
        let now = process.site.common.trace.now_ms();
        if now >= looked_ms + STANDING_LOOK_MS {
            looked_ms = now;
            if process.recognise(from, &noise) != Recognition::Member {
                return;
            }
        }
        if !(1..=4).contains(&frame.stream) || process.site.generation() != by {
            return;
        }
        if let std::collections::btree_map::Entry::Vacant(place) = streams.entry(frame.stream) {
            let Ok((sealer, opener)) = session.split(frame.stream, PEER_MESSAGE_BYTES) else { return };
            let (calls, queue) = mpsc::unbounded_channel();
            let ordered = [number(Class::Append), number(Class::Bulk)].contains(&frame.stream);
            runtime::spawn(work(Arc::clone(process), from, (frame.stream, ordered), sealer, pipe.out.clone(), queue));
            place.insert(Served { opener, calls });
        }
        let Some(stream) = streams.get_mut(&frame.stream) else { return };
        if stream.opener.push(&frame.bytes).is_err() {
            return;
        }
        loop {
            let Ok(message) = stream.opener.next() else { return };
            let Some(message) = message else { break };
            let Ok(PeerRpc { number, call }) = PeerRpc::decode(&message) else { return };
            if stream.calls.send((number, call)).is_err() {
                return;
            }
        }
    }
}

/// Answers the calls of one stream.
async fn work(
    process: Arc<Process>,
    from: Incarnation,
    (stream, ordered): (u32, bool),
    mut sealer: Sealer,
    out: PipeOut,
    mut queue: mpsc::UnboundedReceiver<(u64, PeerCall)>,
) {
    let mut in_order: FuturesOrdered<BoxFuture<PeerReply>> = FuturesOrdered::new();
    let mut any: FuturesUnordered<BoxFuture<PeerReply>> = FuturesUnordered::new();
    loop {
        let reply = tokio::select! {
            biased;
            call = queue.recv() => {
                let Some((number, call)) = call else { return };
                let answering = answer(&process, from, call);
                let replying: BoxFuture<PeerReply> = Box::pin(async move { PeerReply { number, answer: answering.await } });
                if ordered { in_order.push_back(replying) } else { any.push(replying) }
                continue;
            }
            Some(reply) = in_order.next(), if !in_order.is_empty() => reply,
            Some(reply) = any.next(), if !any.is_empty() => reply,
        };
        let reply = PeerReply { number: reply.number, answer: unless_fenced(&process, reply.answer) };
        process.site.common.watch.answered(process.incarnation, &reply.answer);
        let mut bytes = Vec::new();
        if sealer.seal(&reply.encode(), &mut bytes).is_err() {
            return;
        }
        out.send(stream, bytes);
    }
}

/// IN8, as `node/src/peers/serve.rs`.
fn unless_fenced(process: &Process, answer: PeerAnswer) -> PeerAnswer {
    if process.replica.fenced().now_or_never().is_none() {
        return answer;
    }
    process.site.common.watch.fenced(process.incarnation);
    match process.site.common.flaws.has(Flaw::AnswersFenced) {
        true => answer,
        false => PeerAnswer::Refused(sessions::refusal(RefusalCode::Fenced, "this incarnation is out")),
    }
}

/// Whether a follower acknowledges what it did not take: never, but where that is the mistake.
fn untaken(process: &Process) -> bool {
    process.site.common.flaws.has(Flaw::FalseAck) && process.site.dice.chance(100)
}

/// A membership in which this process alone votes; one that does not name it stays as it is.
fn phantom(process: &Process, membership: Membership) -> Membership {
    let named = membership.members.iter().any(|named| named.incarnation == process.incarnation);
    let alone = List::new(vec![process.incarnation]).and_then(|alone| List::new(vec![alone]));
    match alone {
        Ok(configs) if named => Membership { configs, ..membership },
        _ => membership,
    }
}

fn deaf() -> BoxFuture<PeerAnswer> {
    Box::pin(std::future::ready(PeerAnswer::Refused(sessions::refusal(RefusalCode::Unavailable, "never"))))
}

/// Hands a call to whom it is for, as `node/src/peers/serve.rs` does. Nothing here waits.
fn answer(process: &Arc<Process>, from: Incarnation, call: PeerCall) -> BoxFuture<PeerAnswer> {
    let process = Arc::clone(process);
    match call {
        PeerCall::Alive => Box::pin(std::future::ready(PeerAnswer::Done)),
        PeerCall::Leaving => {
            process.gone.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(from);
            Box::pin(std::future::ready(PeerAnswer::Done))
        }
        PeerCall::Endorse(call) => Box::pin(async move { admission::endorse_for(&process, call).await }),
        PeerCall::CatchUp(index) => Box::pin(async move { admission::caught_up(&process, index).await }),
        PeerCall::Forward(_) if !process.replica.may_forward(from) => {
            let refusal = sessions::refusal(RefusalCode::NotMember, "only a live member may have writes proposed here");
            Box::pin(std::future::ready(PeerAnswer::Refused(refusal)))
        }
        PeerCall::PreVote(_) if process.site.common.flaws.has(Flaw::DeniedPreVotes) => deaf(),
        PeerCall::SnapshotBegin(_) if process.site.common.flaws.has(Flaw::NoSnapshots) => deaf(),
        PeerCall::SnapshotBegin(mut head) if process.site.common.flaws.has(Flaw::PhantomMembership) => {
            head.membership = phantom(&process, head.membership);
            process.replica.answer(from, PeerCall::SnapshotBegin(head))
        }
        PeerCall::SnapshotPart(mut part) if process.site.common.flaws.has(Flaw::BentSnapshots) => {
            let mut bytes = part.bytes.to_vec();
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 1;
            }
            part.bytes = Blob::new(bytes).expect("as long as before");
            process.replica.answer(from, PeerCall::SnapshotPart(part))
        }
        PeerCall::Append(append) if !append.entries.is_empty() && untaken(&process) => {
            Box::pin(std::future::ready(PeerAnswer::Append(AppendAnswer::Success)))
        }
        PeerCall::Append(append) => {
            let last = append.entries.last().map(|entry| entry.at);
            let answering = process.replica.answer(from, PeerCall::Append(append));
            Box::pin(async move {
                let mut answer = answering.await;
                if answer == PeerAnswer::Append(AppendAnswer::Conflict) && process.site.common.flaws.has(Flaw::StaleAck) {
                    answer = PeerAnswer::Append(AppendAnswer::Success);
                }
                if let PeerAnswer::Append(AppendAnswer::Success) = &answer {
                    process.site.common.watch.followed(process.incarnation, from);
                }
                if let (Some(last), PeerAnswer::Append(AppendAnswer::Success)) = (last, &answer) {
                    process.site.common.watch.acknowledged(process.incarnation, last);
                }
                answer
            })
        }
        PeerCall::Vote(vote) => {
            let answering = process.replica.answer(from, PeerCall::Vote(vote));
            Box::pin(async move {
                let answer = answering.await;
                if matches!(&answer, PeerAnswer::Vote(said) if said.granted) {
                    process.site.common.watch.followed(process.incarnation, from);
                }
                process.site.common.watch.voted(process.incarnation, from, &vote, &answer);
                answer
            })
        }
        call => process.replica.answer(from, call),
    }
}
