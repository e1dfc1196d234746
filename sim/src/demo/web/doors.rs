//! Where nodes let pages in: asked of each node, as anybody can who makes a card.
//!
//! Decides: that the first answer of a session is taken and the session left; what the answer says are hints. Trusts: nothing in it.
//! Out of scope: the doors (`ringwall_node`), believing a node. Protocol section 3.1, step 1.

use crate::demo::DemoError;
use ringwall_quic::{Alpn, FrameReader, FrameWriter};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::WebDoor;
use ringwall_wire::limits::HANDSHAKE_MESSAGE_BYTES;
use ringwall_wire::session::{GetDescriptor, NodeDescriptor};
use std::net::SocketAddr;
use std::time::Duration;

/// Longest time for one step.
const STEP: Duration = Duration::from_secs(5);

/// The door of the node at this address, if it has one.
pub(super) async fn door(address: SocketAddr) -> Result<Option<WebDoor>, DemoError> {
    let broken = |fault: &dyn std::fmt::Display| DemoError::Broken(format!("{address} was asked for its door: {fault}"));
    let own = SocketAddr::from(([127, 0, 0, 1], 0));
    let endpoint = ringwall_quic::bind(own, None).map_err(|fault| broken(&fault))?;
    let config = ringwall_quic::dial_config(Alpn::Client).map_err(|fault| broken(&fault))?;
    let connection = ringwall_quic::dial(&endpoint, &config, address, STEP).await.map_err(|fault| broken(&fault))?;
    let (send, recv) = connection.open_bi().await.map_err(|fault| broken(&fault))?;
    let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
    let ask = GetDescriptor { versions: List::new(vec![1]).map_err(|fault| broken(&fault))? };
    writer.write(&ask.encode(), STEP).await.map_err(|fault| broken(&fault))?;
    let answer = reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await.map_err(|fault| broken(&fault))?;
    Ok(NodeDescriptor::decode(&answer).map_err(|fault| broken(&fault))?.web)
}

/// What a page's browser connects to for it: origins, as a content policy names them.
pub(super) fn origins(door: &WebDoor) -> Vec<String> {
    let transport = Some(&door.address).filter(|address| !address.is_empty()).map(|address| format!("https://{}", &**address));
    transport.into_iter().chain(socket_origin(door)).collect()
}

fn socket_origin(door: &WebDoor) -> Option<String> {
    let (scheme, rest) = door.socket.split_once("://")?;
    Some(format!("{scheme}://{}", rest.split('/').next()?))
}

/// Whether a page means this door by what it calls the place of its session.
pub(super) fn is_meant(door: &WebDoor, named: &str) -> bool {
    !named.is_empty()
        && (*named == *door.address
            || *named == *door.socket
            || socket_origin(door).is_some_and(|origin| origin.ends_with(&format!("//{named}"))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_wire::bounded::Text;

    #[test]
    fn a_door_has_an_origin_for_each_way_in_and_is_meant_by_each_of_its_names() {
        let text = |words: &str| Text::new(words).unwrap();
        let door = WebDoor { address: text("127.0.0.1:1"), certificates: List::default(), socket: text("ws://127.0.0.1:2/ringwall") };
        assert_eq!(origins(&door), ["https://127.0.0.1:1", "ws://127.0.0.1:2"]);
        for named in ["127.0.0.1:1", "127.0.0.1:2", "ws://127.0.0.1:2/ringwall"] {
            assert!(is_meant(&door, named), "{named}");
        }
        for other in ["", "127.0.0.1:3", ":2", "ws://127.0.0.1:2"] {
            assert!(!is_meant(&door, other), "{other}");
        }
        let closed = WebDoor { address: text(""), socket: text(""), ..door };
        assert!(origins(&closed).is_empty() && !is_meant(&closed, ""));
    }
}
