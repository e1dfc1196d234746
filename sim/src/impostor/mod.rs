//! A node's side of a session that misbehaves as told, over real QUIC, with simulated evidence.
//!
//! Decides: at which step it departs from the protocol; before that it is an honest node of a cluster of its own, or stands before a node of
//! somebody else's and shows that node's evidence as its own. It writes down every frame it was sent, and every byte that came after its evidence.
//! Shared by the attacks and by the tests of the client.
//! Trusts: nothing, protects nothing. Out of scope: being a cluster.

mod borrowed;
pub mod relay;
mod serving;
mod tale;

pub use tale::Tale;

use crate::ledger::Ledger;
use crate::{Lie, SimTee, world};
use core::convert::Infallible;
use rand_core::{TryCryptoRng, TryRng};
use ringwall_channel::NodeSecrets;
use ringwall_channel::client::MSG1_BYTES;
use ringwall_quic::{bind, server_config};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::{ClusterCard, GenesisRecord};
use ringwall_wire::ids::{ClusterId, Epoch, Nonce, Slot};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::receipt::Receipt;
use ringwall_wire::session::{AttestReq, GetDescriptor};
use serving::Node;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tale::Book;

/// How it misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Not at all.
    Honest,
    /// Honest, in a cluster whose policy lets a session last one second.
    ShortSessions,
    /// Honest evidence, made for this session and one more.
    SharedEvidence,
    /// Garbage in place of its descriptor.
    GarbageDescriptor,
    /// A frame that announces four GiB.
    HugeFrame,
    /// Nothing, from the beginning.
    SilentAtOnce,
    /// A descriptor of another cluster.
    OtherCluster,
    /// A descriptor with keys it does not hold.
    BorrowedKeys,
    /// A handshake, and then nothing.
    SilentBeforeEvidence,
    /// Garbage in place of evidence.
    GarbageEvidence,
    /// More than any evidence has.
    HugeEvidence,
    /// Evidence of another session.
    ReplayedEvidence,
    /// Evidence that lies.
    Lies(Lie),
    /// A word that the user is not known.
    RefusesUser,
    /// Garbage in place of an answer.
    GarbageRecords,
    /// An answer above every limit.
    EndlessMessage,
    /// No answer at all.
    NeverReplies,
}

#[derive(Default)]
struct Log {
    frames: Vec<Vec<u8>>,
    requests: Vec<AttestReq>,
    after: usize,
    heard: Vec<Vec<u8>>,
}

/// The node.
pub struct Impostor {
    /// The cluster it says it is of.
    pub cluster_id: ClusterId,
    /// Where it answers.
    pub address: String,
    log: Arc<Mutex<Log>>,
    book: Arc<Mutex<Book>>,
    tee: Arc<Mutex<SimTee>>,
    node: Arc<Node>,
}

struct Generator;

impl TryRng for Generator {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(getrandom::u32().expect("the system's generator works"))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(getrandom::u64().expect("the system's generator works"))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        getrandom::fill(out).expect("the system's generator works");
        Ok(())
    }
}

impl TryCryptoRng for Generator {}

const WITHIN: Duration = Duration::from_secs(5);
const EPOCH: Epoch = Epoch(1);

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Impostor {
    /// Starts one of a cluster of its own; call inside a runtime.
    ///
    /// # Panics
    /// Where this machine gives no socket.
    pub fn start(act: Act) -> Self {
        let mut policy = world::policy();
        if act == Act::ShortSessions {
            policy.session.reattest_s = 1;
        }
        let genesis = crate::genesis_record(&policy, "impostor", Nonce([7; 32]));
        Self::serve(act, policy, genesis, None)
    }

    /// Starts one that stands between a client and the genuine node at this address: a TLS and boot keys of its own, that node's evidence.
    ///
    /// # Panics
    /// Where this machine gives no socket.
    pub fn before(card: &ClusterCard, node: SocketAddr) -> Self {
        Self::serve(Act::Honest, card.policy.clone(), card.genesis.clone(), Some(node))
    }

    fn serve(act: Act, policy: PolicyDoc, genesis: GenesisRecord, genuine: Option<SocketAddr>) -> Self {
        let cluster_id = genesis.cluster_id();
        let boot = world::joining_config(cluster_id, Slot(1));
        let lies: Vec<Lie> = match act {
            Act::Lies(lie) => vec![lie],
            _ => Vec::new(),
        };
        let profile = world::machine("genoa-1", boot.clone()).expect("a chip of the standard world");
        let tee = Arc::new(Mutex::new(SimTee::new(profile, 0).with_clock(now_s).telling(&lies)));
        let log = Arc::new(Mutex::new(Log::default()));
        let secrets = NodeSecrets::generate(&mut Generator);
        let book = Arc::new(Mutex::new(Book { ledger: Ledger::new(cluster_id, EPOCH, 6), tale: Tale::True, last: None }));
        let (tees, logs, books) = (Arc::clone(&tee), Arc::clone(&log), Arc::clone(&book));
        let node = Arc::new(Node { act, secrets, tee: tees, policy, genesis, boot, genuine, log: logs, book: books });
        let config = server_config().expect("a certificate can be made");
        let endpoint = bind(SocketAddr::from(([0, 0, 0, 0], 0)), Some(config)).expect("a port is free");
        let address = format!("127.0.0.1:{}", endpoint.local_addr().expect("a bound socket has an address").port());
        let behind = Arc::clone(&node);
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let node = Arc::clone(&node);
                tokio::spawn(async move {
                    if let Ok(connection) = incoming.await {
                        // A client that leaves is what most cases wait for.
                        let _ = node.serve(connection).await;
                    }
                });
            }
        });
        Impostor { cluster_id, address, log, book, tee, node: behind }
    }

    /// Its machine lies from now on.
    pub fn turn(&self, lie: Lie) {
        let mut tee = self.tee.lock().expect("nobody panics with the lock held");
        *tee = tee.clone().telling(&[lie]);
    }

    /// Signs a receipt of one session, whatever it says and in whoever's name, with the key its evidence shows.
    pub fn resign(&self, receipt: &mut Receipt) {
        crate::ledger::resign(receipt, &|words: &[u8]| self.node.secrets.sign(words));
    }

    /// Whether a message of a user, as it was opened here, holds this text.
    pub fn heard(&self, text: &[u8]) -> bool {
        let log = self.log.lock().expect("nobody panics with the lock held");
        log.heard.iter().any(|message| message.windows(text.len()).any(|window| window == text))
    }

    /// Requests for evidence that were answered.
    pub fn asked(&self) -> usize {
        self.log.lock().expect("nobody panics with the lock held").requests.len()
    }

    /// Changes what it says of its history.
    pub fn tell(&self, tale: Tale) {
        self.book.lock().expect("nobody panics with the lock held").tale = tale;
    }

    /// Requests that were answered with a write.
    pub fn entries(&self) -> u64 {
        self.book.lock().expect("nobody panics with the lock held").ledger.size()
    }

    /// Bytes the client sent after the evidence.
    pub fn bytes_after_evidence(&self) -> usize {
        self.log.lock().expect("nobody panics with the lock held").after
    }

    /// Handshakes that were begun.
    pub fn handshakes(&self) -> usize {
        self.log.lock().expect("nobody panics with the lock held").frames.iter().filter(|frame| frame.len() == MSG1_BYTES).count()
    }

    /// Everything that arrived is a version offer, a handshake message or a request for evidence, and nothing came after the evidence.
    ///
    /// # Panics
    /// When something did.
    pub fn assert_nothing_was_told(&self) {
        let log = self.log.lock().expect("nobody panics with the lock held");
        assert_eq!(log.after, 0, "{} application bytes left the client before the node was verified", log.after);
        let sealed = log.frames.iter().filter(|frame| GetDescriptor::decode(frame).is_err() && frame.len() != MSG1_BYTES).count();
        // What the session opened as a request for evidence cannot be anything else: other messages have other labels.
        assert_eq!(sealed, log.requests.len(), "a frame was neither an offer of versions, a handshake message nor a request for evidence");
    }
}
