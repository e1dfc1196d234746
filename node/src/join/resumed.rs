//! What a node does that trusts its disk: it writes its keys and its place down, and goes on from them. Never shipped: this file is compiled in a build
//! for attacks alone (feature `without`), and does something there only when `fresh-start` is left out.
//!
//! Decides: nothing a node of ours decides; it is the ordinary design that protocol section 0, decision 1, refuses.
//! Trusts: the disk, which is the mistake. Out of scope: going on from the log (`consensus`).

use super::joiner::Granted;
use crate::context::Site;
use crate::ring::Ring;
use core::convert::Infallible;
use rand_core::{TryCryptoRng, TryRng};
use ringwall_channel::NodeSecrets;
use ringwall_keys::Keyring;
use ringwall_wire::admission::KeyGrant;
use ringwall_wire::codec::Message as _;
use ringwall_wire::without::{Defence, left_out};
use std::sync::Arc;

/// Bytes of the seeds in front of the grant.
const SEED_BYTES: usize = 128;
/// Where it all stands.
const FILE: &str = "identity";

/// A generator that gives again what was written down.
struct Again {
    bytes: Vec<u8>,
    at: usize,
}

impl TryRng for Again {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_be_bytes(bytes))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_be_bytes(bytes))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            *byte = self.bytes.get(self.at).copied().unwrap_or(0);
            self.at += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Again {}

/// Writes down who this node is.
pub(super) fn note(site: &Site, granted: &Granted) {
    if left_out(Defence::FreshStart) {
        let written = [granted.secrets.written_down().to_vec(), granted.grant.encode()].concat();
        // A node without a note starts as ours do.
        let _ = std::fs::write(site.config.data.join(FILE), written);
    }
}

/// Who this node was when its disk was written.
pub(super) fn found(site: &Site) -> Option<Granted> {
    if !left_out(Defence::FreshStart) {
        return None;
    }
    let written = std::fs::read(site.config.data.join(FILE)).ok()?;
    let (seeds, grant) = written.split_at_checked(SEED_BYTES)?;
    let grant = KeyGrant::decode(grant).ok()?;
    let secrets = NodeSecrets::generate(&mut Again { bytes: seeds.to_vec(), at: 0 });
    let keyring = Keyring::from_grant(site.cluster_id, &grant.master_keys).ok()?;
    tracing::warn!(incarnation = %grant.incarnation, "WITHOUT fresh-start: this node goes on from its disk");
    Some(Granted { secrets: Arc::new(secrets), keyring: Ring::new(keyring), grant })
}
