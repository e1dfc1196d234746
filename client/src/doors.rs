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

#[cfg(test)]
mod tests {
    use super::doors;
    use quinn::Endpoint;
    use ringwall_quic::{FrameReader, FrameWriter};
    use ringwall_wire::bounded::{List, Text};
    use ringwall_wire::codec::Message as _;
    use ringwall_wire::genesis::WebDoor;
    use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, KemPublic, NoisePublic, PolicyVersion};
    use ringwall_wire::limits::{HANDSHAKE_MESSAGE_BYTES, SLOTS};
    use ringwall_wire::session::{GetDescriptor, NodeDescriptor};
    use std::time::{Duration, Instant};

    const CLUSTER: ClusterId = ClusterId([7; 32]);
    const SOON: Duration = Duration::from_secs(20);
    /// Connections one node here takes.
    const TAKEN: usize = 2 * SLOTS;

    fn door(host: &str) -> WebDoor {
        let text = |words: String| Text::new(words).unwrap();
        let certificates = List::new(vec![Digest([9; 32])]).unwrap();
        WebDoor { address: text(format!("{host}:443")), certificates, socket: text(format!("wss://{host}/")) }
    }

    fn descriptor(cluster_id: ClusterId, web: Option<WebDoor>) -> Vec<u8> {
        NodeDescriptor {
            version: 1,
            cluster_id,
            epoch: Epoch(1),
            incarnation: Incarnation::new(Epoch(1), 1),
            noise: NoisePublic([3; 32]),
            kem: KemPublic([4; 1184]),
            policy_version: PolicyVersion(1),
            web,
        }
        .encode()
    }

    /// A node that answers whoever asks for its descriptor with this frame; with none it reads on and is silent.
    fn node(answer: Option<Vec<u8>>) -> (Endpoint, Text<128>) {
        let config = ringwall_quic::server_config().unwrap();
        let endpoint = ringwall_quic::bind("127.0.0.1:0".parse().unwrap(), Some(config)).unwrap();
        let address = Text::new(endpoint.local_addr().unwrap().to_string()).unwrap();
        let taking = endpoint.clone();
        tokio::spawn(async move {
            for _ in 0..TAKEN {
                let Some(incoming) = taking.accept().await else { return };
                tokio::spawn(spoken(incoming, answer.clone()));
            }
        });
        (endpoint, address)
    }

    async fn spoken(incoming: quinn::Incoming, answer: Option<Vec<u8>>) {
        let connection = incoming.await.unwrap();
        let (send, recv) = connection.accept_bi().await.unwrap();
        let (mut writer, mut reader) = (FrameWriter::new(send), FrameReader::new(recv));
        let asked = reader.read(HANDSHAKE_MESSAGE_BYTES, SOON).await.unwrap();
        assert!(GetDescriptor::decode(&asked).unwrap().versions.contains(&1));
        if let Some(answer) = answer {
            // Whoever asked may have left at the first bytes of it.
            writer.write(&answer, SOON).await.ok();
        }
        connection.closed().await;
    }

    #[tokio::test]
    async fn doors_stand_in_the_order_of_the_addresses_and_none_is_another_clusters() {
        let answers = [(CLUSTER, Some("first")), (CLUSTER, None), (ClusterId([8; 32]), Some("others")), (CLUSTER, Some("last"))];
        let nodes: Vec<_> = answers.iter().map(|(cluster, host)| node(Some(descriptor(*cluster, host.map(door))))).collect();
        let addresses: Vec<_> = nodes.iter().map(|(_, address)| address.clone()).collect();
        assert_eq!(doors(&CLUSTER, &addresses).await.to_vec(), [door("first"), door("last")]);
        assert!(doors(&CLUSTER, &[]).await.is_empty());
    }

    #[tokio::test]
    async fn a_node_that_is_silent_or_talks_nonsense_holds_nobody_up_and_hides_no_other() {
        let good = descriptor(CLUSTER, Some(door("good")));
        let cut = good.get(..good.len() - 1).unwrap().to_vec();
        let answers = [None, Some(vec![0xff; 100]), Some(cut), Some(vec![0; HANDSHAKE_MESSAGE_BYTES + 1]), Some(good)];
        let nodes: Vec<_> = answers.into_iter().map(node).collect();
        // A port where nobody is, and addresses that are none.
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let more = [nobody.local_addr().unwrap().to_string(), "127.0.0.1".into(), "127.0.0.1:65536".into(), String::new()];
        let addresses: Vec<_> =
            more.into_iter().map(|words| Text::new(words).unwrap()).chain(nodes.iter().map(|(_, address)| address.clone())).collect();
        let begun = Instant::now();
        assert_eq!(doors(&CLUSTER, &addresses).await.to_vec(), [door("good")]);
        assert!(begun.elapsed() < SOON, "all are asked at once, each for five seconds");
    }

    #[tokio::test]
    async fn no_more_are_asked_than_a_cluster_has_slots() {
        let (_good, address) = node(Some(descriptor(CLUSTER, Some(door("good")))));
        let (_last, after) = node(Some(descriptor(CLUSTER, Some(door("one too many")))));
        let mut addresses = vec![address; SLOTS];
        addresses.push(after);
        assert_eq!(doors(&CLUSTER, &addresses).await.to_vec(), vec![door("good"); SLOTS]);
    }
}
