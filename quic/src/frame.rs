//! Bounded frames on a stream: `u32 length || bytes`, big-endian, used until a session has records of its own.
//!
//! Decides: the caller names the largest frame and the longest time for each read; a length above the limit refuses before memory is
//! reserved, and memory follows the bytes that arrive, never the announced length.
//! Trusts: nothing. Out of scope: what a frame means (`wire`, `channel`).

use crate::stream::{Sink, Source};
use quinn::{ConnectionError, RecvStream, SendStream};
use std::time::Duration;

/// Bytes reserved at first for a frame, however long it says it is.
const FIRST_RESERVE_BYTES: usize = 16 * 1024;

/// Why a frame was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The frame is longer than is legal here.
    #[error("a frame of {len} bytes, at most {max} are legal here")]
    TooLong {
        /// Announced bytes.
        len: usize,
        /// Limit.
        max: usize,
    },
    /// It did not arrive, or was not taken, in time.
    #[error("no complete frame within {within:?}")]
    TooSlow {
        /// How long we waited.
        within: Duration,
    },
    /// The stream ended: cleanly between frames, or inside one.
    #[error("the stream ended {}", if *.inside { "inside a frame" } else { "where a frame should begin" })]
    Ended {
        /// Whether a frame had begun.
        inside: bool,
    },
    /// The other side reset the stream.
    #[error("the other side reset the stream with code {code}")]
    Reset {
        /// Its code.
        code: u64,
    },
    /// The connection is gone.
    #[error("the connection is gone: {0}")]
    Lost(ConnectionError),
    /// A connection that is not QUIC is gone.
    #[error("the connection is gone: {why}")]
    Gone {
        /// How.
        why: String,
    },
    /// What carries the stream forbids what was sent on it.
    #[error("the other side broke the rules of the connection: {what}")]
    Illegal {
        /// What it did.
        what: &'static str,
    },
}

/// Reads frames.
#[derive(Debug)]
pub struct FrameReader<S = RecvStream> {
    stream: S,
}

impl<S: Source> FrameReader<S> {
    /// Reads frames from `stream`.
    pub fn new(stream: S) -> Self {
        FrameReader { stream }
    }

    /// The next frame, of at most `max` bytes, complete within `within`.
    pub async fn read(&mut self, max: usize, within: Duration) -> Result<Vec<u8>, FrameError> {
        match tokio::time::timeout(within, self.read_unhurried(max)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FrameError::TooSlow { within }),
        }
    }

    async fn read_unhurried(&mut self, max: usize) -> Result<Vec<u8>, FrameError> {
        let mut header = [0; 4];
        let mut filled = 0usize;
        while let Some(rest) = header.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let chunk = self.stream.chunk(rest.len()).await?.ok_or(FrameError::Ended { inside: filled > 0 })?;
            rest.iter_mut().zip(&chunk).for_each(|(place, byte)| *place = *byte);
            filled = filled.saturating_add(chunk.len());
        }
        let len = u32::from_be_bytes(header) as usize;
        if len > max {
            return Err(FrameError::TooLong { len, max });
        }
        let mut frame = Vec::with_capacity(len.min(FIRST_RESERVE_BYTES));
        while frame.len() < len {
            match self.stream.chunk(len.saturating_sub(frame.len())).await? {
                Some(chunk) => frame.extend_from_slice(&chunk),
                None => return Err(FrameError::Ended { inside: true }),
            }
        }
        Ok(frame)
    }

    /// The stream, at the byte after the last frame: from here on the session's records.
    pub fn into_stream(self) -> S {
        self.stream
    }
}

/// Writes frames.
#[derive(Debug)]
pub struct FrameWriter<S = SendStream> {
    stream: S,
}

impl<S: Sink> FrameWriter<S> {
    /// Writes frames to `stream`.
    pub fn new(stream: S) -> Self {
        FrameWriter { stream }
    }

    /// Writes one frame; gives up when the other side does not take it within `within`.
    ///
    /// # Panics
    /// On a frame of 4 GiB or more: a programming error.
    pub async fn write(&mut self, frame: &[u8], within: Duration) -> Result<(), FrameError> {
        let len = u32::try_from(frame.len()).expect("frames are below 4 GiB");
        let writing = async {
            self.stream.put(&len.to_be_bytes()).await?;
            self.stream.put(frame).await
        };
        match tokio::time::timeout(within, writing).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FrameError::TooSlow { within }),
        }
    }

    /// Says that nothing follows and waits, at most `within`, until the other side has it all: for a last word before closing.
    pub async fn finish(mut self, within: Duration) {
        // Whether the last word arrived changes nothing for us; the connection is closed next.
        let _ = tokio::time::timeout(within, self.stream.end()).await;
    }

    /// The stream, after the last frame: from here on the session's records.
    pub fn into_stream(self) -> S {
        self.stream
    }
}
