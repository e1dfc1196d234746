//! A wire tap: a UDP relay on loopback that keeps every datagram it passes on.
//!
//! Decides: one upstream socket for each peer of the tap, so that answers find their way back. Trusts: nothing.
//! Out of scope: judging what was captured (`canary.rs`).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::net::UdpSocket;

/// Bytes a tap keeps at most; a test that sends more is told.
const KEPT: usize = 256 * 1024 * 1024;
/// Largest datagram.
const DATAGRAM: usize = 65_536;

/// A tap in front of one node.
pub struct Tap {
    /// Where to send instead of to the node.
    pub address: SocketAddr,
    target: Arc<OnceLock<SocketAddr>>,
    kept: Arc<Mutex<Vec<u8>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Tap {
    /// Listens; datagrams are dropped until [`Tap::aim`].
    pub async fn new() -> std::io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let address = socket.local_addr()?;
        let target = Arc::new(OnceLock::new());
        let kept = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(relay(socket, Arc::clone(&target), Arc::clone(&kept)));
        Ok(Tap { address, target, kept, task })
    }

    /// Names the node behind the tap.
    pub fn aim(&self, node: SocketAddr) {
        let _ = self.target.set(node);
    }

    /// Everything that passed, both ways.
    pub fn captured(&self) -> Vec<u8> {
        self.kept.lock().expect("the relay does not panic").clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(socket: Arc<UdpSocket>, target: Arc<OnceLock<SocketAddr>>, kept: Arc<Mutex<Vec<u8>>>) {
    let mut peers: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut datagram = vec![0; DATAGRAM];
    while let Ok((len, from)) = socket.recv_from(&mut datagram).await {
        let Some(node) = target.get() else { continue };
        keep(&kept, &datagram[..len]);
        let upstream = match peers.get(&from) {
            Some(upstream) => Arc::clone(upstream),
            None => {
                let Ok(upstream) = UdpSocket::bind("127.0.0.1:0").await.map(Arc::new) else { return };
                if upstream.connect(*node).await.is_err() {
                    return;
                }
                peers.insert(from, Arc::clone(&upstream));
                tokio::spawn(answers(Arc::clone(&upstream), Arc::clone(&socket), from, Arc::clone(&kept)));
                upstream
            }
        };
        let _ = upstream.send(&datagram[..len]).await;
    }
}

async fn answers(upstream: Arc<UdpSocket>, socket: Arc<UdpSocket>, to: SocketAddr, kept: Arc<Mutex<Vec<u8>>>) {
    let mut datagram = vec![0; DATAGRAM];
    loop {
        match upstream.recv(&mut datagram).await {
            Ok(len) => {
                keep(&kept, &datagram[..len]);
                let _ = socket.send_to(&datagram[..len], to).await;
            }
            // The node was away for a moment: loopback says so, and it may come back.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
            Err(_) => return,
        }
    }
}

fn keep(kept: &Mutex<Vec<u8>>, datagram: &[u8]) {
    let mut kept = kept.lock().expect("the relay does not panic");
    assert!(kept.len() + datagram.len() <= KEPT, "the tap is full: raise its bound or send less");
    kept.extend_from_slice(datagram);
}
