//! Whole messages over one stream of an attested session.
//!
//! Decides: one message at a time, each within a time; used for the few messages of stream 0 (admission, first word of a session).
//! Trusts: `channel` for authenticity and limits. Out of scope: pipelined calls (`pool`, `serve`). Protocol section 3.

use crate::peers::handshake::PeerError;
use quinn::{RecvStream, SendStream};
use ringwall_channel::{Opener, Sealer};
use ringwall_quic::FrameError;
use ringwall_wire::codec::{DecodeError, Message};
use ringwall_wire::limits::PEER_MESSAGE_BYTES;
use ringwall_wire::session::Refusal;
use std::time::Duration;
use zeroize::Zeroizing;

/// Bytes taken from a stream at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Both directions of one stream.
#[derive(Debug)]
pub struct Records {
    sealer: Sealer,
    opener: Opener,
    send: SendStream,
    recv: RecvStream,
}

impl Records {
    /// Over these streams with these keys.
    pub fn new(keys: (Sealer, Opener), streams: (SendStream, RecvStream)) -> Self {
        Records { sealer: keys.0, opener: keys.1, send: streams.0, recv: streams.1 }
    }

    /// Sends one message.
    pub async fn send<M: Message>(&mut self, message: &M, within: Duration) -> Result<(), PeerError> {
        let mut out = Vec::new();
        // A message may carry keys: no copy of it stays behind.
        self.sealer.seal(&Zeroizing::new(message.encode()), &mut out)?;
        match tokio::time::timeout(within, self.send.write_all(&out)).await {
            Ok(outcome) => outcome.map_err(|fault| PeerError::Stream(fault.to_string())),
            Err(_) => Err(PeerError::Frame(FrameError::TooSlow { within })),
        }
    }

    /// Receives one message; a refusal in its place is [`PeerError::Refused`].
    pub async fn receive<M: Message>(&mut self, within: Duration) -> Result<M, PeerError> {
        self.receive_at_most(PEER_MESSAGE_BYTES, within).await
    }

    /// The same, for which at most `bytes` bytes of the stream are read: for whoever is attested and no member yet.
    pub async fn receive_at_most<M: Message>(&mut self, bytes: usize, within: Duration) -> Result<M, PeerError> {
        let receiving = async {
            let mut left = bytes;
            loop {
                if let Some(message) = self.opener.next()? {
                    return Ok(message);
                }
                if left == 0 {
                    return Err(PeerError::Frame(FrameError::TooLong { len: bytes.saturating_add(1), max: bytes }));
                }
                match self.recv.read_chunk(left.min(CHUNK_BYTES), true).await {
                    Ok(Some(chunk)) => {
                        left = left.saturating_sub(chunk.bytes.len());
                        self.opener.push(&chunk.bytes)?;
                    }
                    Ok(None) => return Err(PeerError::Frame(FrameError::Ended { inside: !self.opener.is_idle() })),
                    Err(fault) => return Err(PeerError::Stream(fault.to_string())),
                }
            }
        };
        let bytes = match tokio::time::timeout(within, receiving).await {
            Ok(outcome) => Zeroizing::new(outcome?),
            Err(_) => return Err(PeerError::Frame(FrameError::TooSlow { within })),
        };
        match M::decode(&bytes) {
            Err(fault @ DecodeError::WrongLabel { .. }) => {
                Err(Refusal::decode(&bytes).map_or(PeerError::Malformed(fault), PeerError::Refused))
            }
            outcome => outcome.map_err(PeerError::Malformed),
        }
    }

    /// Says that nothing follows and waits, at most `within`, until the other side has everything.
    pub async fn finish(mut self, within: Duration) {
        if self.send.finish().is_ok() {
            // Whether the last word arrived changes nothing here.
            let _ = tokio::time::timeout(within, self.send.stopped()).await;
        }
    }
}
