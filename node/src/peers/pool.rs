//! Calls to other members: one outgoing session for each of them, opened when it is first needed and again when it breaks.
//!
//! Decides: a call is queued, encoded, before `call` returns; calls of one class stay in order; four classes never wait for each other;
//! queued bytes and waiting calls are bounded; a member that cannot be reached fails its calls at once, with growing pauses between
//! tries; a session ends when the policy wants new evidence. The session is only used with the attested holder of the member's key.
//! Trusts: `handshake` for that. Out of scope: answering (`serve`). Protocol sections 3 (SB5) and 4.

use crate::clock;
use crate::context::Site;
use crate::entropy;
use crate::peers::handshake::{self, Expected, Opened, Own, PeerError};
use crate::peers::lane::{self, CHUNK_BYTES, CLASSES, FLUSH_MESSAGES, IN_FLIGHT, QUEUED_BYTES};
use crate::renewal::Lasting;
use quinn::{Connection, RecvStream, SendStream};
use ringwall_channel::{NodeSecrets, Opener, Sealer};
use ringwall_consensus::{BoxFuture, Class, Prover, Transport, TransportError};
use ringwall_quic::{CloseCode, close};
use ringwall_wire::codec::Message;
use ringwall_wire::ids::Incarnation;
use ringwall_wire::limits::PEER_MESSAGE_BYTES;
use ringwall_wire::peer::{Member, PeerAnswer, PeerCall, PeerReply, PeerRpc};
use ringwall_wire::session::PeerPurpose;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tracing::{debug, info};

/// Longest time to open a connection to a member; beyond it heartbeats have failed anyway.
const DIAL: Duration = Duration::from_secs(2);
/// First pause after a failed try; doubles up to [`PAUSE_MOST`].
const PAUSE_FIRST: Duration = Duration::from_millis(30);
/// Longest pause between two tries: a member that returned is found within this.
const PAUSE_MOST: Duration = Duration::from_millis(500);
/// A session nobody used for this long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// The sessions this incarnation dials.
pub(crate) struct PeerPool {
    site: Arc<Site>,
    secrets: Arc<NodeSecrets>,
    me: Incarnation,
    runtime: tokio::runtime::Handle,
    links: Mutex<HashMap<Incarnation, Arc<Link>>>,
    numbers: AtomicU64,
    this: Weak<PeerPool>,
    /// Shows this incarnation's admission; set once its replica is open.
    prover: OnceLock<Prover>,
    /// Who was shown to have been admitted to this incarnation's slot after it.
    successor: OnceLock<Incarnation>,
}

/// Queues towards one member.
struct Link {
    queues: [mpsc::UnboundedSender<Outgoing>; 4],
    queued: Arc<AtomicUsize>,
    /// Why the last try failed.
    fault: Arc<Mutex<String>>,
    /// The member is known to be up: the next try need not wait.
    up: Arc<Notify>,
}

struct Outgoing {
    number: u64,
    bytes: Vec<u8>,
    reply: oneshot::Sender<PeerAnswer>,
}

type Queue = mpsc::UnboundedReceiver<Outgoing>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PeerPool {
    /// A pool for this incarnation. Call inside a tokio runtime.
    pub(crate) fn new(site: Arc<Site>, secrets: Arc<NodeSecrets>, me: Incarnation) -> Arc<Self> {
        Arc::new_cyclic(|this| PeerPool {
            site,
            secrets,
            me,
            runtime: tokio::runtime::Handle::current(),
            links: Mutex::default(),
            numbers: AtomicU64::new(1),
            this: this.clone(),
            prover: OnceLock::new(),
            successor: OnceLock::new(),
        })
    }

    /// What members that have not heard of this incarnation are shown.
    pub(crate) fn show(&self, prover: Prover) {
        // The first stays: a pool belongs to one replica.
        let _ = self.prover.set(prover);
    }

    /// Who was shown, by a member that retired this incarnation, to have been admitted to its slot.
    pub(crate) fn successor(&self) -> Option<Incarnation> {
        self.successor.get().copied()
    }

    /// Sends a call now; what comes back resolves to the answer.
    fn enqueue(&self, to: Incarnation, member: &Member, class: Class, call: PeerCall) -> Result<oneshot::Receiver<PeerAnswer>, String> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let bytes = PeerRpc { number, call }.encode();
        if bytes.len() > PEER_MESSAGE_BYTES {
            return Err(format!("the call takes {} bytes, at most {PEER_MESSAGE_BYTES}", bytes.len()));
        }
        let (reply, answer) = oneshot::channel();
        let mut links = lock(&self.links);
        let link = links.entry(to).or_insert_with(|| self.link(to, member.clone()));
        if link.queued.load(Ordering::Relaxed).saturating_add(bytes.len()) > QUEUED_BYTES {
            return Err(format!("{QUEUED_BYTES} bytes wait to be sent to it already"));
        }
        link.queued.fetch_add(bytes.len(), Ordering::Relaxed);
        let index = lane::number(class) as usize - 1;
        let queue = link.queues.get(index).expect("there is one queue for each class");
        match queue.send(Outgoing { number, bytes, reply }) {
            Ok(()) => Ok(answer),
            Err(_) => {
                // The link ended for lack of use just now; the next call makes a new one.
                links.remove(&to);
                Err("the session was just closed".into())
            }
        }
    }

    fn link(&self, to: Incarnation, member: Member) -> Arc<Link> {
        let (senders, queues): (Vec<_>, Vec<_>) = CLASSES.iter().map(|_| mpsc::unbounded_channel()).unzip();
        let link = Arc::new(Link {
            queues: senders.try_into().expect("there are four classes"),
            queued: Arc::default(),
            fault: Arc::default(),
            up: Arc::default(),
        });
        let task = LinkTask {
            pool: self.this.clone(),
            to,
            member,
            queues: queues.into_iter().map(|queue| Arc::new(tokio::sync::Mutex::new(queue))).collect(),
            queued: Arc::clone(&link.queued),
            fault: Arc::clone(&link.fault),
            up: Arc::clone(&link.up),
        };
        self.runtime.spawn(task.run());
        link
    }

    /// The member just opened a session to this node, so it is up: a pause before it is dialled again ends.
    pub(crate) fn is_up(&self, member: Incarnation) {
        if let Some(link) = lock(&self.links).get(&member) {
            link.up.notify_one();
        }
    }

    /// Forgets links to incarnations that are not in `members`.
    pub(crate) fn keep_only(&self, members: &[Incarnation]) {
        lock(&self.links).retain(|incarnation, _| members.contains(incarnation));
    }

    /// Why the last try to reach `to` failed.
    fn fault_of(&self, to: Incarnation) -> String {
        let links = lock(&self.links);
        let fault = links.get(&to).map(|link| lock(&link.fault).clone()).unwrap_or_default();
        if fault.is_empty() { "the session broke before the answer".into() } else { fault }
    }
}

impl Transport for PeerPool {
    fn call(
        &self,
        to: Incarnation,
        member: &Member,
        class: Class,
        call: PeerCall,
        timeout: Duration,
    ) -> BoxFuture<Result<PeerAnswer, TransportError>> {
        let waiting = match self.enqueue(to, member, class, call) {
            Ok(waiting) => waiting,
            Err(why) => return Box::pin(std::future::ready(Err(TransportError::Unreachable { to, why }))),
        };
        let pool = self.this.clone();
        Box::pin(async move {
            match tokio::time::timeout(timeout, waiting).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => {
                    let why = pool.upgrade().map_or_else(|| "this node is leaving".into(), |pool| pool.fault_of(to));
                    Err(TransportError::Unreachable { to, why })
                }
                Err(_) => Err(TransportError::Timeout { to, after_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX) }),
            }
        })
    }
}

/// What keeps one member reachable.
struct LinkTask {
    pool: Weak<PeerPool>,
    to: Incarnation,
    member: Member,
    queues: Vec<Arc<tokio::sync::Mutex<Queue>>>,
    queued: Arc<AtomicUsize>,
    fault: Arc<Mutex<String>>,
    up: Arc<Notify>,
}

impl LinkTask {
    async fn run(self) {
        let mut pause = PAUSE_FIRST;
        while let Some(pool) = self.pool.upgrade() {
            let (site, secrets, me) = (Arc::clone(&pool.site), Arc::clone(&pool.secrets), pool.me);
            let prover = pool.prover.get().cloned();
            drop(pool);
            let own = Own { site: &site, secrets: &secrets, incarnation: me, prover: prover.as_ref() };
            match self.open(own).await {
                Ok((connection, opened)) => {
                    lock(&self.fault).clear();
                    pause = PAUSE_FIRST;
                    info!(to = %self.to, slot = %self.member.slot, address = %self.member.peer_address, "session with member is open");
                    let lasting = site.sessions.dialled(self.member.noise, opened.since);
                    if self.carry(&connection, opened.session, lasting).await {
                        return;
                    }
                    let why = connection.close_reason().map(|reason| reason.to_string()).unwrap_or_default();
                    info!(to = %self.to, slot = %self.member.slot, why, "session with member ended");
                }
                Err(fault) => {
                    if let (PeerError::Succeeded(successor), Some(pool)) = (&fault, self.pool.upgrade()) {
                        // One is enough.
                        let _ = pool.successor.set(*successor);
                    }
                    debug!(to = %self.to, slot = %self.member.slot, address = %self.member.peer_address, %fault, "member is not reached");
                    *lock(&self.fault) = fault.to_string();
                    let jitter = entropy::below(&site.entropy, u64::try_from(pause.as_millis()).unwrap_or(0));
                    if !self.fail_for(pause.saturating_add(Duration::from_millis(jitter)) / 2).await {
                        return;
                    }
                    pause = pause.saturating_mul(2).min(PAUSE_MOST);
                }
            }
        }
    }

    async fn open(&self, own: Own<'_>) -> Result<(Connection, Opened), PeerError> {
        let address = resolve(&self.member.peer_address).await?;
        let connection = ringwall_quic::dial(&own.site.endpoint, &own.site.dial, address, DIAL).await?;
        let expected = Expected { incarnation: self.to, slot: self.member.slot, noise: self.member.noise };
        let opened = handshake::dial(own, &connection, PeerPurpose::Member, Some(expected)).await?;
        Ok((connection, opened))
    }

    /// Fails what is queued, and whatever comes during the pause. False when nobody can queue any more.
    async fn fail_for(&self, pause: Duration) -> bool {
        let until = clock::now() + pause;
        loop {
            let mut open = false;
            for queue in &self.queues {
                let mut queue = queue.lock().await;
                while let Ok(outgoing) = queue.try_recv() {
                    self.queued.fetch_sub(outgoing.bytes.len(), Ordering::Relaxed);
                }
                open |= !queue.is_closed();
            }
            if !open || clock::now() >= until {
                return open;
            }
            tokio::select! {
                () = tokio::time::sleep_until((clock::now() + PAUSE_FIRST / 2).min(until)) => {}
                () = self.up.notified() => return true,
            }
        }
    }

    /// Carries calls until the session breaks, must attest again, or is not used any more; true in the last case.
    async fn carry(
        &self,
        connection: &Connection,
        mut session: ringwall_channel::Session<ringwall_channel::Attested>,
        mut lasting: Lasting,
    ) -> bool {
        let mut lanes = tokio::task::JoinSet::new();
        let used = Arc::new(Mutex::new(clock::now()));
        for (class, queue) in CLASSES.into_iter().zip(&self.queues) {
            let keys = session.split(lane::number(class), PEER_MESSAGE_BYTES).expect("each number is split once in a fresh session");
            let lane = Lane {
                class,
                connection: connection.clone(),
                queue: Arc::clone(queue),
                queued: Arc::clone(&self.queued),
                waiting: Arc::default(),
                used: Arc::clone(&used),
            };
            lanes.spawn(lane.run(keys));
        }
        let unused = loop {
            tokio::select! {
                _ = lanes.join_next() => break self.queues_closed().await,
                _ = connection.closed() => break false,
                over = lasting.over() => {
                    debug!(to = %self.to, slot = %self.member.slot, ?over, "session with member is opened anew");
                    break false;
                }
                () = tokio::time::sleep(IDLE / 2) => {
                    if lock(&used).elapsed() > IDLE {
                        break true;
                    }
                }
            }
        };
        close(connection, CloseCode::Done);
        lanes.shutdown().await;
        if unused && let Some(pool) = self.pool.upgrade() {
            lock(&pool.links).remove(&self.to);
        }
        unused
    }

    async fn queues_closed(&self) -> bool {
        match self.queues.first() {
            Some(queue) => queue.try_lock().is_ok_and(|queue| queue.is_closed()),
            None => true,
        }
    }
}

/// Looks a member's address up.
pub(crate) async fn resolve(address: &str) -> Result<std::net::SocketAddr, PeerError> {
    let unknown = |why: String| PeerError::Stream(format!("address {address} cannot be looked up: {why}"));
    let mut found = tokio::net::lookup_host(address).await.map_err(|fault| unknown(fault.to_string()))?;
    found.next().ok_or_else(|| unknown("no such host".into()))
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<PeerAnswer>>>>;

/// One class of one session.
struct Lane {
    class: Class,
    connection: Connection,
    queue: Arc<tokio::sync::Mutex<Queue>>,
    queued: Arc<AtomicUsize>,
    waiting: Waiting,
    used: Arc<Mutex<Instant>>,
}

impl Lane {
    /// Ends when the stream breaks or nobody can queue any more; calls that wait then find their answer gone.
    async fn run(self, keys: (Sealer, Opener)) {
        let queue = Arc::clone(&self.queue);
        let mut queue = queue.lock().await;
        let mut batch = Vec::with_capacity(FLUSH_MESSAGES);
        if queue.recv_many(&mut batch, FLUSH_MESSAGES).await == 0 {
            return;
        }
        let Ok((mut send, recv)) = self.connection.open_bi().await else {
            self.taken(&batch);
            return;
        };
        // An unset priority only changes who goes first.
        let _ = send.set_priority(lane::priority(self.class));
        if send.write_all(&lane::number(self.class).to_be_bytes()).await.is_err() {
            self.taken(&batch);
            return;
        }
        let (sealer, opener) = keys;
        let waiting = Arc::clone(&self.waiting);
        tokio::select! {
            () = self.write(send, sealer, &mut queue, batch) => {}
            () = read(recv, opener, waiting) => {}
        }
    }

    /// Takes a batch out of the accounting.
    fn taken(&self, batch: &[Outgoing]) {
        let bytes: usize = batch.iter().map(|outgoing| outgoing.bytes.len()).sum();
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    async fn write(&self, mut send: SendStream, mut sealer: Sealer, queue: &mut Queue, mut batch: Vec<Outgoing>) {
        let mut out = Vec::new();
        loop {
            *lock(&self.used) = clock::now();
            self.taken(&batch);
            let mut messages = Vec::with_capacity(batch.len());
            {
                let mut waiting = lock(&self.waiting);
                if waiting.len() >= IN_FLIGHT {
                    waiting.retain(|_, reply| !reply.is_closed());
                }
                for outgoing in batch.drain(..) {
                    // Beyond the bound a call is dropped unsent, which its caller sees at once.
                    if waiting.len() < IN_FLIGHT {
                        waiting.insert(outgoing.number, outgoing.reply);
                        messages.push(outgoing.bytes);
                    }
                }
            }
            out.clear();
            let sealed = sealer.seal_many(&messages, &mut out);
            lane::wipe(&mut messages);
            drop(messages);
            if sealed.is_err() || send.write_all(&out).await.is_err() {
                return;
            }
            out.shrink_to(CHUNK_BYTES);
            if queue.recv_many(&mut batch, FLUSH_MESSAGES).await == 0 {
                return;
            }
        }
    }
}

/// Hands answers to those who wait, until the stream breaks.
async fn read(mut recv: RecvStream, mut opener: Opener, waiting: Waiting) {
    while let Ok(Some(chunk)) = recv.read_chunk(CHUNK_BYTES, true).await {
        if opener.push(&chunk.bytes).is_err() {
            return;
        }
        loop {
            match opener.look(PeerReply::decode) {
                Ok(Some(decoded)) => {
                    let Ok(PeerReply { number, answer }) = decoded else { return };
                    let reply = lock(&waiting).remove(&number);
                    // A caller that stopped waiting has dropped its end.
                    let _ = reply.map(|reply| reply.send(answer));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::join::endorse::place;
    use crate::peers::handshake::Turn;
    use crate::renewal::Sessions;
    use ringwall_wire::bounded::Text;
    use ringwall_wire::ids::Vendor;
    use ringwall_wire::peer::PeerReply;

    /// How many sessions a pool opens with a member that never ends one itself, until it was as many as wanted or was tried long enough.
    async fn opened(lasting: Duration, wanted: usize, word: impl Fn(&Site)) -> usize {
        let (mut ours, theirs) = (place::site_of("genoa-1", 1, &[]), place::site_of("tdx-1", 2, &[]));
        place::change(&mut ours, |site| site.sessions = Sessions::new(&site.founding.session, lasting));
        let (own, other) = (Arc::new(NodeSecrets::generate(&mut *(ours.entropy)())), NodeSecrets::generate(&mut *(theirs.entropy)()));
        let (me, to) = (Incarnation::new(ours.epoch(), 1), Incarnation::new(ours.epoch(), 9));
        let keys = other.public().clone();
        let member = Member {
            slot: theirs.slot(),
            vendor: Vendor::Intel,
            noise: keys.noise,
            sig: keys.sig,
            peer_address: Text::new(theirs.config.listen.to_string()).unwrap(),
            client_address: Text::default(),
        };
        let count = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&count);
        let answering = tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Some(incoming) = theirs.endpoint.accept().await {
                let connection = incoming.await.unwrap();
                let own = Own { site: &theirs, secrets: &other, incarnation: to, prover: None };
                let greeted = handshake::greet(&theirs, &connection).await.unwrap();
                let nonce = entropy::nonce(&theirs.entropy);
                let mut opened = handshake::answer(own, &connection, greeted, nonce, |_| Turn::Free, |_| true).await.unwrap();
                opened.records.send(&PeerReply { number: 0, answer: PeerAnswer::Done }, theirs.step()).await.unwrap();
                counting.fetch_add(1, Ordering::Relaxed);
                kept.push((connection, opened));
            }
        });
        let pool = PeerPool::new(Arc::clone(&ours), own, me);
        for _ in 0..200 {
            let _unanswered = pool.call(to, &member, Class::Control, PeerCall::Alive, Duration::from_millis(20)).await;
            match count.load(Ordering::Relaxed) {
                0 => {}
                enough if enough >= wanted => break,
                _ => word(&ours),
            }
        }
        answering.abort();
        count.load(Ordering::Relaxed)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_dialling_side_opens_sessions_anew_itself() {
        let day = Duration::from_secs(86_400);
        assert!(opened(day, 2, |site| site.sessions.renew()).await >= 2, "at a word");
        assert!(opened(Duration::from_millis(500), 2, |_| {}).await >= 2, "when its evidence is old");
        assert_eq!(opened(day, 2, |_| {}).await, 1, "and for no other reason");
    }
}
