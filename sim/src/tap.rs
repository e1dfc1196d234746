//! A place on the network: a UDP relay on loopback that passes on what it receives, keeps it, and does with it what an adversary would.
//!
//! Decides: one upstream socket for each peer of the tap, so that answers find their way back; where the node behind it is, which may change; which
//! datagrams are withheld, repeated or held back. Trusts: nothing.
//! Out of scope: judging what was captured (`canary.rs`). Register rows R9, R10, S2.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::UdpSocket;

/// Bytes a tap keeps at most; a test that sends more is told.
const KEPT: usize = 256 * 1024 * 1024;
/// Largest datagram.
const DATAGRAM: usize = 65_536;
/// Datagrams that are held back while the network is [`Weather::Restless`].
const HELD: usize = 3;

/// What becomes of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// They pass.
    #[default]
    Fair,
    /// They pass in another order, and old ones come again.
    Restless,
    /// Those to the node pass; its answers do, to the spared alone.
    Deaf,
    /// None passes.
    Cut,
}

#[derive(Default)]
struct Orders {
    node: Option<SocketAddr>,
    weather: Weather,
    /// From whom nothing passes.
    shut_out: Vec<SocketAddr>,
    /// Who hears the node while it is [`Weather::Deaf`].
    spared: Vec<SocketAddr>,
    kept: Vec<u8>,
    datagrams: usize,
}

/// A tap in front of one node.
pub struct Tap {
    /// Where to send instead of to the node.
    pub address: SocketAddr,
    orders: Arc<Mutex<Orders>>,
    task: tokio::task::JoinHandle<()>,
}

fn locked(orders: &Mutex<Orders>) -> MutexGuard<'_, Orders> {
    orders.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tap {
    /// Listens; datagrams are dropped until [`Tap::aim`].
    pub async fn new() -> std::io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let address = socket.local_addr()?;
        let orders = Arc::new(Mutex::new(Orders::default()));
        let task = tokio::spawn(relay(socket, Arc::clone(&orders)));
        Ok(Tap { address, orders, task })
    }

    /// Names the node behind the tap, from now on.
    pub fn aim(&self, node: SocketAddr) {
        locked(&self.orders).node = Some(node);
    }

    /// Changes what becomes of datagrams.
    pub fn set(&self, weather: Weather) {
        locked(&self.orders).weather = weather;
    }

    /// Lets nothing from these addresses through; an empty list lets everything.
    pub fn shut_out(&self, senders: &[SocketAddr]) {
        locked(&self.orders).shut_out = senders.to_vec();
    }

    /// Withholds the node's answers from everybody but these.
    pub fn withhold_from_all_but(&self, spared: &[SocketAddr]) {
        let mut orders = locked(&self.orders);
        orders.weather = Weather::Deaf;
        orders.spared = spared.to_vec();
    }

    /// Everything that passed, both ways.
    pub fn captured(&self) -> Vec<u8> {
        locked(&self.orders).kept.clone()
    }

    /// How many datagrams arrived, both ways.
    pub fn datagrams(&self) -> usize {
        locked(&self.orders).datagrams
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One peer of the tap.
struct Peer {
    upstream: Arc<UdpSocket>,
    node: SocketAddr,
    answers: tokio::task::JoinHandle<()>,
    held: VecDeque<Vec<u8>>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.answers.abort();
    }
}

async fn relay(socket: Arc<UdpSocket>, orders: Arc<Mutex<Orders>>) {
    let mut peers: HashMap<SocketAddr, Peer> = HashMap::new();
    let mut datagram = vec![0; DATAGRAM];
    while let Ok((len, from)) = socket.recv_from(&mut datagram).await {
        let datagram = &datagram[..len];
        let (node, weather) = {
            let mut orders = locked(&orders);
            let Some(node) = orders.node else { continue };
            keep(&mut orders, datagram);
            if orders.shut_out.contains(&from) {
                continue;
            }
            (node, orders.weather)
        };
        if weather == Weather::Cut {
            continue;
        }
        // A node that moved is another one: the peer needs a new way to it.
        if peers.get(&from).is_none_or(|peer| peer.node != node) {
            let Ok(upstream) = UdpSocket::bind("127.0.0.1:0").await.map(Arc::new) else { return };
            if upstream.connect(node).await.is_err() {
                return;
            }
            let answers = tokio::spawn(answers(Arc::clone(&upstream), Arc::clone(&socket), from, Arc::clone(&orders)));
            peers.insert(from, Peer { upstream, node, answers, held: VecDeque::new() });
        }
        let Some(peer) = peers.get_mut(&from) else { continue };
        for datagram in released(weather, &mut peer.held, datagram) {
            let _ = peer.upstream.send(&datagram).await;
        }
    }
}

/// What goes on when this datagram arrives.
fn released(weather: Weather, held: &mut VecDeque<Vec<u8>>, datagram: &[u8]) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    if weather != Weather::Restless {
        out.extend(held.drain(..));
        out.push(datagram.to_vec());
        return out;
    }
    held.push_back(datagram.to_vec());
    if held.len() > HELD {
        // The newest first, then the oldest, twice.
        out.extend(held.pop_back());
        if let Some(oldest) = held.pop_front() {
            out.push(oldest.clone());
            out.push(oldest);
        }
    }
    out
}

async fn answers(upstream: Arc<UdpSocket>, socket: Arc<UdpSocket>, to: SocketAddr, orders: Arc<Mutex<Orders>>) {
    let mut datagram = vec![0; DATAGRAM];
    loop {
        match upstream.recv(&mut datagram).await {
            Ok(len) => {
                let weather = {
                    let mut orders = locked(&orders);
                    keep(&mut orders, &datagram[..len]);
                    match orders.weather {
                        Weather::Deaf if orders.spared.contains(&to) => Weather::Fair,
                        weather => weather,
                    }
                };
                match weather {
                    Weather::Fair => drop(socket.send_to(&datagram[..len], to).await),
                    Weather::Restless => {
                        let _ = socket.send_to(&datagram[..len], to).await;
                        let _ = socket.send_to(&datagram[..len], to).await;
                    }
                    Weather::Deaf | Weather::Cut => {}
                }
            }
            // The node was away for a moment: loopback says so, and it may come back.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
            Err(_) => return,
        }
    }
}

fn keep(orders: &mut Orders, datagram: &[u8]) {
    assert!(orders.kept.len() + datagram.len() <= KEPT, "the tap is full: raise its bound or send less");
    orders.kept.extend_from_slice(datagram);
    orders.datagrams += 1;
}
