//! A tap on TCP: a relay on loopback in front of a node's key broker port that keeps what passes, both ways.
//!
//! Decides: a node that does not listen yet is waited for, as guests do. Trusts: nothing. Out of scope: judging what was captured.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Tries to reach the node, 50 ms apart.
const TRIES: usize = 600;
/// Bytes it keeps at most.
const KEPT: usize = 64 << 20;

/// The tap.
pub(crate) struct Door {
    /// Where guests go instead of to the node.
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    connections: usize,
}

impl Door {
    pub(crate) async fn before(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(open(listener, node, Arc::clone(&seen)));
        Door { address, seen, task }
    }

    /// Everything that passed, piece by piece.
    pub(crate) fn captured(&self) -> Vec<u8> {
        self.seen.lock().unwrap().bytes.clone()
    }

    /// How often somebody came.
    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn open(listener: TcpListener, node: SocketAddr, seen: Arc<Mutex<Seen>>) {
    while let Ok((guest, _)) = listener.accept().await {
        seen.lock().unwrap().connections += 1;
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let Some(node) = reach(node).await else { return };
            let ((from_guest, to_guest), (from_node, to_node)) = (guest.into_split(), node.into_split());
            tokio::join!(pass(from_guest, to_node, &seen), pass(from_node, to_guest, &seen));
        });
    }
}

async fn reach(node: SocketAddr) -> Option<TcpStream> {
    for _ in 0..TRIES {
        match TcpStream::connect(node).await {
            Ok(stream) => return Some(stream),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    None
}

/// Passes on what comes until it ends, and says so to the other side.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, seen: &Mutex<Seen>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        {
            let mut seen = seen.lock().unwrap();
            assert!(seen.bytes.len() + read <= KEPT, "the tap is full: raise its bound or send less");
            seen.bytes.extend_from_slice(bytes);
        }
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
    // The other side may have closed first.
    let _ = to.shutdown().await;
}
