//! The two halves of what carries a session: bytes in order, whichever door they came through.
//!
//! Decides: what reading and writing mean, and what QUIC's faults are called. A wait that is given up in the middle of reading loses nothing;
//! one given up in the middle of writing leaves a stream that is good for nothing more.
//! Trusts: nothing. Out of scope: what travels (`channel`), doors that are not QUIC (`node`). Protocol section 3.

use crate::frame::FrameError;
use bytes::Bytes;
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use std::future::Future;

/// Where bytes come from.
pub trait Source: Send {
    /// The next bytes, at least one and at most `most`; none when the other side has said all. Whoever gives up waiting loses nothing.
    fn chunk(&mut self, most: usize) -> impl Future<Output = Result<Option<Bytes>, FrameError>> + Send;
}

/// Where bytes go.
pub trait Sink: Send {
    /// Takes all of them, as fast as the other side does.
    fn put(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), FrameError>> + Send;

    /// Says that nothing follows, and waits until the other side has everything or is gone.
    fn end(&mut self) -> impl Future<Output = ()> + Send;
}

impl Source for RecvStream {
    async fn chunk(&mut self, most: usize) -> Result<Option<Bytes>, FrameError> {
        let chunk = self.read_chunk(most, true).await.map_err(of_read)?;
        Ok(chunk.map(|chunk| chunk.bytes))
    }
}

impl Sink for SendStream {
    async fn put(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        self.write_all(bytes).await.map_err(of_write)
    }

    async fn end(&mut self) {
        if self.finish().is_ok() {
            // Whether it arrived changes nothing for us.
            let _ = self.stopped().await;
        }
    }
}

fn of_read(fault: ReadError) -> FrameError {
    match fault {
        ReadError::Reset(code) => FrameError::Reset { code: code.into_inner() },
        ReadError::ConnectionLost(fault) => FrameError::Lost(fault),
        // Not reachable: reads are ordered, early bytes are off, and the stream is ours until it ends.
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => FrameError::Ended { inside: true },
    }
}

/// What a fault of writing to QUIC is called.
pub fn of_write(fault: WriteError) -> FrameError {
    match fault {
        WriteError::Stopped(code) => FrameError::Reset { code: code.into_inner() },
        WriteError::ConnectionLost(fault) => FrameError::Lost(fault),
        WriteError::ClosedStream | WriteError::ZeroRttRejected => FrameError::Ended { inside: true },
    }
}
