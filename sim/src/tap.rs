//! A place on the network: a UDP relay on loopback that passes datagrams on, keeps them, and does to them what its weather says.
//!
//! Decides: one upstream socket for each peer of the tap, so that answers find their way back; where the node behind it is, which may change.
//! Trusts: nothing. Out of scope: judging what was captured (`canary.rs`); what happens to datagrams (`weather.rs`). Register rows R9, R10, S2.

use crate::weather::{Fate, Way, Weather};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;

/// Bytes a tap keeps at most; a test that sends more is told.
const KEPT: usize = 512 * 1024 * 1024;
/// Largest datagram.
const DATAGRAM: usize = 65_536;
/// Peers of one tap at most: each has a socket. Clients that come and go beyond this are not served.
const PEERS: usize = 4_096;

/// A tap in front of one node.
pub struct Tap {
    /// Where to send instead of to the node.
    pub address: SocketAddr,
    wire: Arc<Wire>,
    task: tokio::task::JoinHandle<()>,
}

/// What the tasks of a tap share.
struct Wire {
    node: Mutex<Option<SocketAddr>>,
    weather: Arc<Weather>,
    seen: Option<Mutex<Seen>>,
}

/// What passed a tap.
#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    sources: BTreeSet<SocketAddr>,
    sizes: BTreeSet<usize>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tap {
    /// Listens in fair weather and keeps everything; datagrams are dropped until [`Tap::aim`].
    pub async fn new() -> std::io::Result<Self> {
        Self::listen(Arc::new(Weather::new(0)), Some(Mutex::default())).await
    }

    /// Listens in this weather and keeps nothing.
    pub async fn under(weather: Arc<Weather>) -> std::io::Result<Self> {
        Self::listen(weather, None).await
    }

    async fn listen(weather: Arc<Weather>, seen: Option<Mutex<Seen>>) -> std::io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let address = socket.local_addr()?;
        let wire = Arc::new(Wire { node: Mutex::default(), weather, seen });
        let task = tokio::spawn(relay(socket, Arc::clone(&wire)));
        Ok(Tap { address, wire, task })
    }

    /// Names the node behind the tap, from now on.
    pub fn aim(&self, node: SocketAddr) {
        *locked(&self.wire.node) = Some(node);
    }

    /// What becomes of datagrams.
    pub fn weather(&self) -> &Weather {
        &self.wire.weather
    }

    /// Everything that passed, both ways, one datagram after the other.
    pub fn captured(&self) -> Vec<u8> {
        self.wire.seen(|seen| seen.bytes.clone())
    }

    /// Who sent datagrams through this tap to the node.
    pub fn sources(&self) -> BTreeSet<SocketAddr> {
        self.wire.seen(|seen| seen.sources.clone())
    }

    /// Sizes of datagrams that passed.
    pub fn sizes(&self) -> BTreeSet<usize> {
        self.wire.seen(|seen| seen.sizes.clone())
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    fn seen<T: Default>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        self.seen.as_ref().map(|seen| look(&mut locked(seen))).unwrap_or_default()
    }

    fn keep(&self, datagram: &[u8], source: Option<SocketAddr>) {
        self.seen(|seen| {
            assert!(seen.bytes.len() + datagram.len() <= KEPT, "the tap is full: raise its bound or send less");
            seen.bytes.extend_from_slice(datagram);
            seen.sources.extend(source);
            seen.sizes.insert(datagram.len());
        });
    }
}

/// One peer of the tap, and its way to the node.
struct Peer {
    upstream: Arc<UdpSocket>,
    node: SocketAddr,
    answers: tokio::task::JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.answers.abort();
    }
}

async fn relay(socket: Arc<UdpSocket>, wire: Arc<Wire>) {
    let mut peers: HashMap<SocketAddr, Peer> = HashMap::new();
    let mut datagram = vec![0; DATAGRAM];
    while let Ok((len, from)) = socket.recv_from(&mut datagram).await {
        let Some(node) = *locked(&wire.node) else { continue };
        wire.keep(&datagram[..len], Some(from));
        // A node that moved is another one: the peer needs a new way to it.
        if peers.get(&from).is_none_or(|peer| peer.node != node) {
            if peers.len() >= PEERS && !peers.contains_key(&from) {
                continue;
            }
            let Ok(upstream) = UdpSocket::bind("127.0.0.1:0").await.map(Arc::new) else { return };
            if upstream.connect(node).await.is_err() {
                return;
            }
            let answers = tokio::spawn(answers(Arc::clone(&upstream), Arc::clone(&socket), from, Arc::clone(&wire)));
            peers.insert(from, Peer { upstream, node, answers });
        }
        let Some(upstream) = peers.get(&from).map(|peer| Arc::clone(&peer.upstream)) else { continue };
        pass(wire.weather.fate(from, Way::In), &datagram[..len], move |bytes| {
            let upstream = Arc::clone(&upstream);
            async move { drop(upstream.send(&bytes).await) }
        })
        .await;
    }
}

async fn answers(upstream: Arc<UdpSocket>, socket: Arc<UdpSocket>, to: SocketAddr, wire: Arc<Wire>) {
    let mut datagram = vec![0; DATAGRAM];
    loop {
        match upstream.recv(&mut datagram).await {
            Ok(len) => {
                wire.keep(&datagram[..len], None);
                let socket = Arc::clone(&socket);
                pass(wire.weather.fate(to, Way::Out), &datagram[..len], move |bytes| {
                    let socket = Arc::clone(&socket);
                    async move { drop(socket.send_to(&bytes, to).await) }
                })
                .await;
            }
            // The node was away for a moment: loopback says so, and it may come back.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
            Err(_) => return,
        }
    }
}

/// Sends a datagram as its fate wants; what is delayed does not hold up what follows.
async fn pass<F: Future<Output = ()> + Send + 'static>(fate: Fate, datagram: &[u8], send: impl Fn(Vec<u8>) -> F + Send + 'static) {
    let times = match fate {
        Fate::Lost => return,
        Fate::Once(Duration::ZERO) => return send(datagram.to_vec()).await,
        Fate::Once(after) => vec![after],
        Fate::Twice(first, second) => vec![first, second],
    };
    let datagram = datagram.to_vec();
    tokio::spawn(async move {
        let mut waited = Duration::ZERO;
        for after in times {
            tokio::time::sleep(after.saturating_sub(waited)).await;
            waited = after;
            send(datagram.clone()).await;
        }
    });
}
