//! Tapes the simulated machines play in place of their generators, and the keys that were made from them.
//!
//! Decides: which keys a cluster really uses: every place of a tape is tried as the beginning of a key, and the key that counts is the one whose
//! public half (or whose namespace tag) stands on the disk. Trusts: the disk to show what was published.
//! Out of scope: looking for the keys.

use ringwall_channel::NodeSecrets;
use ringwall_keys::Keyring;
use ringwall_keys::custody::KemSecret;
use ringwall_keys::derive::{Purpose, expand};
use ringwall_sim::canary::Canaries;
use ringwall_sim::cluster::Machine;
use ringwall_sim::tape::{BLOCK, Tape};
use ringwall_wire::ids::{ClusterId, UserId, XWingPublic};
use ringwall_wire::secret::Secret;
use std::path::{Path, PathBuf};

/// Bytes of a tape; a life draws less than a quarter of it.
const BYTES: usize = 2 << 20;
/// Blocks from the beginning that are tried: keys are made early in a life.
const TRIED: u64 = 1_024;
/// Blocks that are tried for the key of a drill, which is made a while later.
const TRIED_LATER: usize = 16_384;
/// Blocks of a node's keys: X25519, two of ML-KEM, Ed25519.
const NODE_BLOCKS: usize = 4;

/// A tape.
pub(crate) struct Recording {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Recording {
    /// Makes one. Its name holds `bait`, which is thus in the memory of the process that plays it.
    pub(crate) fn new(folder: &Path, number: usize, bait: &[u8]) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join(format!("{number}-{}", ringwall_wire::text::hex(bait)));
        let mut bytes = vec![0; BYTES];
        getrandom::fill(&mut bytes).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        Recording { path, bytes }
    }

    /// A machine that plays it and stands still at the end.
    pub(crate) fn machine(&self, chip: &str) -> Machine {
        let behaviour = ["--tape", &self.path.display().to_string(), "--linger"].map(str::to_owned).to_vec();
        Machine { chip: chip.to_owned(), behaviour }
    }

    /// Everything that was or could have been drawn.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(BLOCK)
    }

    fn from(&self, block: u64) -> Tape {
        Tape::open_at(&self.path, block).unwrap()
    }

    /// The cluster's keys, if this tape made them: those that give a tag of `user`'s `namespace` that is on a disk.
    pub(crate) fn ring(&self, cluster: ClusterId, user: &UserId, namespace: &str, disks: &[&Path]) -> Option<Keyring> {
        let ring = |block| Keyring::found(cluster, &mut self.from(block));
        let mut tags = Canaries::default();
        (0..TRIED).for_each(|block| tags.add_raw("tag", &ring(block).space_tag(user, namespace).0));
        let found = tags.search_files(disks.iter().copied()).unwrap().found;
        assert!(found.len() <= 1, "one tag has one key");
        found.first().map(|block| ring(u64::from(*block)))
    }

    /// The seed of the key that answers to a drill are sealed to, if this tape made it.
    pub(crate) fn session_key(&self, public: &XWingPublic) -> Option<Vec<u8>> {
        let mut draws = self.blocks().take(TRIED_LATER).filter_map(|block| block.first_chunk::<BLOCK>());
        draws.find(|draw| KemSecret::from_seed(Secret::new(**draw)).public() == *public).map(|draw| draw.to_vec())
    }

    /// The private keys of every incarnation this tape made whose public keys are on a disk: the raw draws.
    pub(crate) fn incarnations(&self, disks: &[&Path]) -> Vec<Vec<u8>> {
        let mut publics = Canaries::default();
        (0..TRIED).for_each(|block| publics.add_raw("public", &NodeSecrets::generate(&mut self.from(block)).public().noise.0));
        let found = publics.search_files(disks.iter().copied()).unwrap().found;
        let draws = found.into_iter().flat_map(|block| self.blocks().skip(block as usize).take(NODE_BLOCKS));
        draws.map(<[u8]>::to_vec).collect()
    }
}

/// Every key of a ring: the ones that are granted, the key of keys, and the key of seals on logs.
pub(crate) fn keys_of(ring: &Keyring) -> Vec<Vec<u8>> {
    let granted = ring.granted();
    let derived = |key, purpose, key_epoch: u32| expand::<32>(key, purpose, &[&ring.cluster_id().0, &key_epoch.to_be_bytes()]);
    let held = granted.iter().filter(|granted| granted.key_epoch.0 > 0).flat_map(|granted| {
        [Purpose::Kek, Purpose::LogSeal].map(|purpose| derived(&granted.key, purpose, granted.key_epoch.0).expose().to_vec())
    });
    let keys: Vec<Vec<u8>> = granted.iter().map(|granted| granted.key.expose().to_vec()).chain(held).collect();
    assert!(keys.len() >= 4, "a tag key, a master key, its key of keys and its key of seals");
    keys
}
