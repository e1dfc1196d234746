//! What sizes give away: of a message on the wire, of a record on the disk.
//!
//! Decides: whether two neighbouring lengths can be told apart by what is seen of them. Trusts: nothing; sizes are measured on what the shipped code
//! seals. Out of scope: how often and when.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use ringwall_channel::{ClientDial, ClientPrologue, NodeSecrets, answer_client};
use ringwall_keys::ring::FIRST_KEY_EPOCH;
use ringwall_keys::{HedgedIvs, Keyring, RecordPlace};
use ringwall_wire::ids::{ClientTag, Epoch, Incarnation, PolicyVersion, SpaceTag};
use ringwall_wire::request::KeyMode;
use ringwall_wire::session::NodeDescriptor;

/// Bytes a message of each of `lengths` takes on the wire of a fresh session.
pub(crate) fn on_the_wire(ring: &Keyring, lengths: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let node = NodeSecrets::generate(&mut rng);
    let (cluster_id, epoch, version) = (*ring.cluster_id(), Epoch(1), 1);
    let descriptor = NodeDescriptor {
        version,
        cluster_id,
        epoch,
        incarnation: Incarnation(1),
        noise: node.public().noise,
        kem: node.public().kem,
        policy_version: PolicyVersion(1),
        web: None,
    };
    let prologue = ClientPrologue { cluster_id, epoch, version, transport_binding: &[7; 32] };
    let (_dial, msg1) = ClientDial::start(&descriptor, &prologue, &mut rng).unwrap();
    let (_msg2, session) = answer_client(&node, &prologue, &msg1, &mut rng).unwrap();
    let (mut sealer, _) = session.serve().unwrap().split(0, 1 << 20).unwrap();
    let size = |length| {
        let mut out = Vec::new();
        sealer.seal(&vec![7; length], &mut out).unwrap();
        out.len()
    };
    lengths.map(size).collect()
}

/// Bytes a value of each of `lengths` takes on the disk.
pub(crate) fn on_the_disk(ring: &Keyring, lengths: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut ivs = HedgedIvs::new(Box::new(ChaCha20Rng::seed_from_u64(2)), Incarnation(1));
    let (keys, _) = ring.new_space_key(&SpaceTag([3; 16]), KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs).unwrap();
    let place = RecordPlace { key: keys.key_tag(b"name"), client: ClientTag([4; 16]), seq: 1 };
    let mut size = |length| keys.seal(&place, b"name", &vec![7; length], &mut ivs).unwrap().value.len();
    lengths.map(&mut size).collect()
}

/// Whether any two neighbours differ.
pub(crate) fn neighbours_differ(sizes: &[usize]) -> bool {
    sizes.windows(2).any(|pair| pair[0] != pair[1])
}
