//! The half of a man in the middle that faces the genuine node: an ordinary session, up to the evidence.
//!
//! Decides: asks with a nonce that is somebody else's, and gives back what a genuine node answers. Trusts: nothing, protects nothing.
//! Out of scope: what is done with the answer (`serving.rs`). Protocol section 3.1; register row A2.

use super::Generator;
use ringwall_channel::{ClientDial, ClientPrologue};
use ringwall_quic::{Alpn, FrameReader, FrameWriter, bind, dial, dial_config, transport_binding};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Nonce, PolicyVersion};
use ringwall_wire::limits::{ATTEST_MESSAGE_BYTES, HANDSHAKE_MESSAGE_BYTES};
use ringwall_wire::session::{AttestMode, AttestReq, AttestResp, GetDescriptor, NodeDescriptor};
use ringwall_wire::version::SUPPORTED;
use std::net::SocketAddr;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(5);

/// A connection to a genuine node, and what it says of itself.
pub(super) struct Genuine {
    _endpoint: quinn::Endpoint,
    connection: quinn::Connection,
    reader: FrameReader,
    writer: FrameWriter,
    pub(super) descriptor: NodeDescriptor,
}

impl Genuine {
    /// Opens it.
    pub(super) async fn reach(node: SocketAddr) -> Option<Self> {
        let endpoint = bind(SocketAddr::from(([127, 0, 0, 1], 0)), None).ok()?;
        let connection = dial(&endpoint, &dial_config(Alpn::Client).ok()?, node, WITHIN).await.ok()?;
        let (send, recv) = connection.open_bi().await.ok()?;
        let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
        let versions = List::new(SUPPORTED.to_vec()).ok()?;
        writer.write(&GetDescriptor { versions }.encode(), WITHIN).await.ok()?;
        let descriptor = NodeDescriptor::decode(&reader.read(HANDSHAKE_MESSAGE_BYTES, WITHIN).await.ok()?).ok()?;
        Some(Genuine { _endpoint: endpoint, connection, reader, writer, descriptor })
    }

    /// Its evidence, asked for with this nonce.
    pub(super) async fn evidence(mut self, nonce: Nonce) -> Option<AttestResp> {
        let Genuine { descriptor, .. } = &self;
        let prologue = ClientPrologue {
            cluster_id: descriptor.cluster_id,
            epoch: descriptor.epoch,
            version: descriptor.version,
            transport_binding: &transport_binding(&self.connection),
        };
        let (dialled, msg1) = ClientDial::start(descriptor, &prologue, &mut Generator).ok()?;
        self.writer.write(&msg1, WITHIN).await.ok()?;
        let mut session = dialled.finish(&self.reader.read(HANDSHAKE_MESSAGE_BYTES, WITHIN).await.ok()?).ok()?;
        let question = AttestReq { nonce, mode: AttestMode::Batched, min_policy_version: PolicyVersion(0), known_policy: None };
        self.writer.write(&session.seal_attest_req(&question).ok()?, WITHIN).await.ok()?;
        session.open_attest_resp(&self.reader.read(2 * ATTEST_MESSAGE_BYTES, WITHIN).await.ok()?).ok()
    }
}
