//! What both sides must agree on before the first handshake byte.
//!
//! Decides: cluster, epoch, protocol version, roles and transport go into the Noise prologue, so a handshake between sides that differ
//! in any of them fails, and a stripped version offer is noticed.
//! Trusts: nothing. Out of scope: how the sides learn them (a descriptor or hello, both untrusted hints). Protocol section 3.

use alloc::vec::Vec;
use ringwall_wire::codec::{Field, enc, enc_digest};
use ringwall_wire::ids::{ClusterId, Epoch, Slot};
use ringwall_wire::label::Label;
use ringwall_wire::session::PeerPurpose;

/// The prologue of a client's session: `enc("nk-prologue", cluster_id, epoch, version, transport_binding)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientPrologue<'a> {
    /// The cluster the client pinned.
    pub cluster_id: ClusterId,
    /// Its epoch, from the descriptor.
    pub epoch: Epoch,
    /// The version the node picked.
    pub version: u16,
    /// The TLS exporter value of the connection; [`web_transport_binding`] or [`web_socket_binding`] where the dialler is a page.
    pub transport_binding: &'a [u8],
}

/// What binds a session to the WebTransport connection under it, where no exporter value can be had:
/// `SHA-256(enc("web-transport", SHA-256 of the certificate that was shown))`. A relay that shows a certificate of its own makes the handshake fail;
/// one that holds the key of the node's certificate does not.
pub fn web_transport_binding(certificate: &[u8; 32]) -> [u8; 32] {
    enc_digest(Label::WebTransport, &[certificate])
}

/// What stands in the same place where a session goes over WebSocket: `SHA-256(enc("web-socket"))`, which says which door it is and binds to nothing else.
pub fn web_socket_binding() -> [u8; 32] {
    enc_digest(Label::WebSocket, &[])
}

/// The prologue of a session between nodes:
/// `enc("peer-prologue", cluster_id, epoch, version, purpose, from slot, to slot, transport_binding)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerPrologue<'a> {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The version the answering side picked.
    pub version: u16,
    /// Whether a member talks, or a joiner.
    pub purpose: PeerPurpose,
    /// Slot of the dialler.
    pub from: Slot,
    /// Slot of the answering side.
    pub to: Slot,
    /// The TLS exporter value of the connection.
    pub transport_binding: &'a [u8],
}

impl ClientPrologue<'_> {
    /// The bytes both sides hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (epoch, version) = (self.epoch.0.to_be_bytes(), self.version.to_be_bytes());
        enc(Label::NkPrologue, &[&self.cluster_id.0, &epoch, &version, self.transport_binding])
    }
}

impl PeerPrologue<'_> {
    /// The bytes both sides hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (epoch, version) = (self.epoch.0.to_be_bytes(), self.version.to_be_bytes());
        let fields: [&[u8]; 7] =
            [&self.cluster_id.0, &epoch, &version, &self.purpose.to_bytes(), &[self.from.0], &[self.to.0], self.transport_binding];
        enc(Label::PeerPrologue, &fields)
    }
}
