//! A man in the middle with a TLS of his own who passes every frame on, unchanged.
//!
//! Decides: one connection to the genuine node for each client; counts the frames clients sent. Trusts: nothing, protects nothing.
//! Out of scope: one who changes anything (`serving.rs`). Protocol section 3.1, SB3 and SB6; register row A2.

use ringwall_quic::{Alpn, FrameReader, FrameWriter};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);
const FRAME_BYTES: usize = 1 << 20;

/// Starts it before `node`; gives its address, or nothing where this machine gives no socket. Call inside a runtime.
pub async fn start(node: SocketAddr, frames: Arc<AtomicUsize>) -> Option<SocketAddr> {
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = ringwall_quic::bind(here, Some(ringwall_quic::server_config().ok()?)).ok()?;
    let address = server.local_addr().ok()?;
    let dialler = ringwall_quic::bind(here, None).ok()?;
    let config = ringwall_quic::dial_config(Alpn::Client).ok()?;
    tokio::spawn(async move {
        while let Some(incoming) = server.accept().await {
            let genuine = ringwall_quic::dial(&dialler, &config, node, WITHIN);
            if let (Ok(victim), Ok(genuine)) = (incoming.await, genuine.await) {
                tokio::spawn(pass_on(victim, genuine, Arc::clone(&frames)));
            }
        }
    });
    Some(address)
}

async fn pass_on(victim: quinn::Connection, genuine: quinn::Connection, frames: Arc<AtomicUsize>) -> Option<()> {
    let (to_victim, from_victim) = victim.accept_bi().await.ok()?;
    let (to_node, from_node) = genuine.open_bi().await.ok()?;
    let (mut to_victim, mut from_victim) = (FrameWriter::new(to_victim), FrameReader::new(from_victim));
    let (mut to_node, mut from_node) = (FrameWriter::new(to_node), FrameReader::new(from_node));
    loop {
        let asked = from_victim.read(FRAME_BYTES, WITHIN).await.ok()?;
        frames.fetch_add(1, Ordering::Relaxed);
        to_node.write(&asked, WITHIN).await.ok()?;
        let answer = from_node.read(FRAME_BYTES, WITHIN).await.ok()?;
        to_victim.write(&answer, WITHIN).await.ok()?;
    }
}
