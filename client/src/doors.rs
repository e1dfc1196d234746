//! Where pages are let in: nodes are asked for their doors, for a card that is made afresh.
//!
//! Decides: who is asked (the addresses it is given), for how long, and that what a node of another cluster says does not count. What comes back are hints, as untrusted as
//! addresses: a wrong one leads a page to no session, never to a false one.
//! Trusts: nothing. Out of scope: writing cards (`cli/governance.rs`), doors themselves (`node`). Protocol section 3.5.

use futures_util::future::join_all;
use ringwall_quic::{Alpn, CloseCode, FrameReader, FrameWriter, close};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::WebDoor;
use ringwall_wire::ids::ClusterId;
use ringwall_wire::limits::{HANDSHAKE_MESSAGE_BYTES, SLOTS};
use ringwall_wire::session::{GetDescriptor, NodeDescriptor};
use ringwall_wire::version::SUPPORTED;
use std::net::SocketAddr;
use std::time::Duration;

/// Time for one node to say where its doors are.
const WITHIN: Duration = Duration::from_secs(5);

/// The doors of the nodes at these addresses, in their order. A node that does not answer in five seconds, lets no pages in, or says it is of another cluster has none.
pub async fn doors(cluster_id: &ClusterId, addresses: &[Text<128>]) -> List<WebDoor, SLOTS> {
    let asked =
        addresses.iter().take(SLOTS).map(|address| async move { tokio::time::timeout(WITHIN, door(cluster_id, address)).await.ok()? });
    let found = join_all(asked).await.into_iter().flatten().collect();
    List::new(found).unwrap_or_default()
}

async fn door(cluster_id: &ClusterId, address: &str) -> Option<WebDoor> {
    let target = tokio::net::lookup_host(address).await.ok()?.next()?;
    let here: SocketAddr = if target.is_ipv6() { ([0u16; 8], 0).into() } else { ([0u8; 4], 0).into() };
    let (endpoint, config) = (ringwall_quic::bind(here, None).ok()?, ringwall_quic::dial_config(Alpn::Client).ok()?);
    let connection = ringwall_quic::dial(&endpoint, &config, target, WITHIN).await.ok()?;
    let (send, recv) = connection.open_bi().await.ok()?;
    let (mut writer, mut reader) = (FrameWriter::new(send), FrameReader::new(recv));
    let versions = List::new(SUPPORTED.to_vec()).expect("few versions are supported");
    writer.write(&GetDescriptor { versions }.encode(), WITHIN).await.ok()?;
    let descriptor = NodeDescriptor::decode(&reader.read(HANDSHAKE_MESSAGE_BYTES, WITHIN).await.ok()?).ok()?;
    close(&connection, CloseCode::Done);
    endpoint.wait_idle().await;
    descriptor.web.filter(|_| descriptor.cluster_id == *cluster_id)
}
