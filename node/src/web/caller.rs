//! A connection of a client, whichever door it came through, and the two halves of the stream that carries its session.
//!
//! Decides: what each door gives in place of the others': the stream, the value the session is bound to, the widening once it is open, the goodbye.
//! Everything else is the same code for all. Trusts: nothing. Out of scope: sessions (`front/session.rs`). Protocol section 3.5.

use crate::web::socket::{Socket, SocketReader, SocketWriter};
use crate::web::transport::Page;
use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream};
use ringwall_channel::{web_socket_binding, web_transport_binding};
use ringwall_quic::{Alpn, CloseCode, FrameError, Sink, Source, admit, close, of_write, transport_binding};

/// A client's connection.
#[derive(Debug)]
pub enum Caller {
    /// Over our own QUIC protocol.
    Native(Connection),
    /// Over WebTransport.
    Page(Box<Page>),
    /// Over WebSocket.
    Socket(Box<Socket>),
}

impl From<Connection> for Caller {
    fn from(connection: Connection) -> Self {
        Caller::Native(connection)
    }
}

impl Caller {
    /// The one stream of its session, once the client opened it. Asked for once.
    pub(crate) async fn streams(&mut self) -> Result<(Sending, Receiving), FrameError> {
        let (send, recv) = match self {
            Caller::Native(connection) => connection.accept_bi().await.map_err(FrameError::Lost)?,
            Caller::Page(page) => page.streams().await?,
            Caller::Socket(socket) => {
                let (writer, reader) = socket.streams()?;
                return Ok((Sending::Socket(writer), Receiving::Socket(reader)));
            }
        };
        Ok((Sending::Quic(send), Receiving::Quic(recv)))
    }

    /// What goes into the prologue of its handshake.
    pub(crate) fn binding(&self) -> [u8; 32] {
        match self {
            Caller::Native(connection) => transport_binding(connection),
            Caller::Page(page) => web_transport_binding(&page.certificate().0),
            Caller::Socket(_) => web_socket_binding(),
        }
    }

    /// Gives it the room of a client whose session is open.
    pub(crate) fn admit(&self) {
        match self {
            Caller::Native(connection) => admit(connection, Alpn::Client),
            Caller::Page(page) => admit(page.connection(), Alpn::Web),
            // Its room is what its messages and the kernel's buffers take, from the beginning.
            Caller::Socket(_) => {}
        }
    }

    /// Ends it with a code the other side sees.
    pub(crate) async fn close(self, code: CloseCode) {
        match self {
            Caller::Native(connection) => close(&connection, code),
            Caller::Page(page) => page.close(code).await,
            Caller::Socket(socket) => socket.close(code).await,
        }
    }
}

/// What a node sends of one session.
#[derive(Debug)]
pub(crate) enum Sending {
    /// On a stream of QUIC.
    Quic(SendStream),
    /// As messages.
    Socket(SocketWriter),
}

impl Sending {
    /// Takes bytes without copying them where that is possible.
    pub(crate) async fn put_whole(&mut self, bytes: Bytes) -> Result<(), FrameError> {
        match self {
            Sending::Quic(stream) => stream.write_chunk(bytes).await.map_err(of_write),
            Sending::Socket(writer) => writer.put_whole(bytes).await,
        }
    }
}

impl Sink for Sending {
    async fn put(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        match self {
            Sending::Quic(stream) => stream.put(bytes).await,
            Sending::Socket(writer) => writer.put_whole(Bytes::copy_from_slice(bytes)).await,
        }
    }

    async fn end(&mut self) {
        match self {
            Sending::Quic(stream) => stream.end().await,
            // Every message was handed to the kernel when it was written; the goodbye follows with the connection's end.
            Sending::Socket(_) => {}
        }
    }
}

/// What a node receives of one session.
#[derive(Debug)]
pub(crate) enum Receiving {
    /// On a stream of QUIC.
    Quic(RecvStream),
    /// As messages.
    Socket(SocketReader),
}

impl Source for Receiving {
    async fn chunk(&mut self, most: usize) -> Result<Option<Bytes>, FrameError> {
        match self {
            Receiving::Quic(stream) => stream.chunk(most).await,
            Receiving::Socket(reader) => reader.next(most).await,
        }
    }
}
