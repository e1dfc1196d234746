//! Doors for pages: the same sessions as any client's, for programs that run in a browser and cannot speak our QUIC.
//!
//! | file | what it decides |
//! |---|---|
//! | `settings.rs` | which doors there are |
//! | `certificates.rs` | the certificate pages are shown, and the next |
//! | `transport.rs` | WebTransport: what of HTTP/3 is spoken, and what ends the connection |
//! | `socket.rs` | WebSocket: messages as a stream of bytes |
//! | `caller.rs` | a connection of a client, whichever door it came through |
//!
//! Origins are not looked at: a browser adds nothing of its user's to what a page sends (there are no cookies and no accounts), so a page of somebody else
//! gets what any stranger gets. Trusts: nothing a page says. Out of scope: sessions (`front`), how many connections there are (`accept.rs`). Protocol section 3.5.

pub(crate) mod caller;
pub mod certificates;
pub mod settings;
pub(crate) mod socket;
#[cfg(test)]
mod tests;
pub(crate) mod transport;

use crate::clock::Clock;
use crate::config::Config;
use crate::entropy::Entropy;
use certificates::{Certificates, Shown};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::genesis::WebDoor;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// The one path there is, behind both doors.
pub const PATH: &str = "/ringwall";

/// Why the TCP address of WebSocket cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("TCP address {address} of web.socket_listen cannot be bound: {cause}; stop the process that holds it or choose another one")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub cause: std::io::Error,
}

/// The doors of one node.
#[derive(Debug, Default)]
pub struct Doors {
    address: Text<128>,
    certificates: Option<Certificates>,
    socket: Text<128>,
    listener: Mutex<Option<TcpListener>>,
}

impl Doors {
    /// Opens what the configuration wants. Call inside a tokio runtime.
    pub fn open(config: &Config, clock: &Clock, entropy: &Entropy) -> Result<Arc<Doors>, ListenError> {
        let Some(settings) = &config.web else { return Ok(Arc::default()) };
        let certificates = settings.transport.as_ref().map(|folder| Certificates::of(folder, Arc::clone(clock), entropy));
        let (socket, listener) = match &settings.socket {
            Some((listen, told)) => {
                let listener = socket::listen(*listen).map_err(|cause| ListenError { address: *listen, cause })?;
                tracing::info!(%listen, told = %**told, "pages are let in over WebSocket");
                (told.clone(), Some(listener))
            }
            None => (Text::default(), None),
        };
        Ok(Arc::new(Doors { address: config.advertise_clients.clone(), certificates, socket, listener: Mutex::new(listener) }))
    }

    /// How connections are taken now where pages are let in over QUIC.
    pub(crate) fn shown(&self) -> Option<Arc<Shown>> {
        self.certificates.as_ref()?.now()
    }

    /// Where connections over TCP arrive; for whoever asks first.
    pub(crate) fn listener(&self) -> Option<TcpListener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What a card says of them; none when no page is let in.
    pub fn door(&self) -> Option<WebDoor> {
        let shown = self.shown();
        if shown.is_none() && self.socket.is_empty() {
            return None;
        }
        let address = if shown.is_some() { self.address.clone() } else { Text::default() };
        let certificates = shown.map_or_else(Vec::new, |shown| vec![shown.now, shown.next]);
        Some(WebDoor { address, certificates: List::new(certificates).expect("two"), socket: self.socket.clone() })
    }
}
