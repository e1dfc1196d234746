//! Founding a cluster: the first node makes its identity, its master key and a group of one.
//!
//! Decides: a data folder founds once; the nonce that makes the cluster's identity and the master key come from this TEE's generator; the
//! card, which is public, is written last, so its presence says that the founding succeeded.
//! Trusts: the template and policy to which the boot configuration is bound. Out of scope: how others join (`join`).
//! Protocol sections 2.1 and 4.

use crate::config::Config;
use crate::entropy::{self, Entropy};
use crate::folders;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message;
use ringwall_wire::genesis::{ClusterCard, GenesisRecord, GenesisTemplate, WebDoor};
use ringwall_wire::ids::{Epoch, Incarnation};
use ringwall_wire::policy::PolicyDoc;
use std::path::{Path, PathBuf};

/// Name of the card in the founder's data folder.
pub const CARD_FILE: &str = "cluster.card";
/// Epoch of a new cluster.
pub const FIRST_EPOCH: Epoch = Epoch(1);

/// The first incarnation of a cluster.
pub fn first_incarnation() -> Incarnation {
    Incarnation::new(FIRST_EPOCH, 1)
}

/// Why nothing was founded.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// The folder founded before.
    #[error("{card} exists: this folder founded a cluster already; join it with `run`, or found another one in an empty folder", card = card.display())]
    AlreadyFounded {
        /// The card.
        card: PathBuf,
    },
    /// The folder holds lives of a node.
    #[error("{folder} holds incarnations of a node; found a new cluster in an empty folder", folder = folder.display())]
    FolderInUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder or card cannot be written.
    #[error("{path}: cannot be written: {cause}; check the data folder and its owner", path = path.display())]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
}

/// The identity of a new cluster, made from this generator.
pub fn identity(template: GenesisTemplate, policy: PolicyDoc, entropy: &Entropy) -> ClusterCard {
    let genesis = GenesisRecord { nonce: entropy::nonce(entropy), template };
    ClusterCard { genesis, policy, steps: Default::default(), addresses: List::default(), web: Default::default() }
}

/// Refuses a folder that founded, or that holds a node.
pub fn claim(data: &Path) -> Result<(), FoundError> {
    let unwritable = |cause| FoundError::Unwritable { path: data.to_path_buf(), cause };
    std::fs::create_dir_all(data).map_err(unwritable)?;
    let card = data.join(CARD_FILE);
    if card.exists() {
        return Err(FoundError::AlreadyFounded { card });
    }
    for entry in std::fs::read_dir(data).map_err(unwritable)? {
        let entry = entry.map_err(unwritable)?;
        if entry.file_name().to_string_lossy().starts_with(folders::PREFIX) {
            return Err(FoundError::FolderInUse { folder: data.to_path_buf() });
        }
    }
    Ok(())
}

/// Writes the card, whole or not at all, with the founder's own door for pages.
pub fn publish(config: &Config, web: Option<WebDoor>, mut card: ClusterCard) -> Result<PathBuf, FoundError> {
    let mut addresses = vec![config.advertise_clients.clone()];
    addresses.extend(config.peers.iter().filter(|address| **address != config.advertise_clients).cloned());
    addresses.truncate(ringwall_wire::limits::SLOTS);
    card.addresses = List::new(addresses).expect("cut to the limit");
    card.web = List::new(web.into_iter().collect()).expect("one");
    let path = config.data.join(CARD_FILE);
    let beside = config.data.join("cluster.card.new");
    match folders::replace(&folders::anew(), &beside, &path, &card.encode()) {
        Ok(()) => Ok(path),
        Err(cause) => Err(FoundError::Unwritable { path, cause }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use ringwall_wire::sample::{Sample, Source};

    #[test]
    fn a_folder_founds_once() {
        let folder = tempfile::tempdir().unwrap();
        claim(folder.path()).unwrap();
        std::fs::write(folder.path().join(CARD_FILE), b"").unwrap();
        assert!(matches!(claim(folder.path()), Err(FoundError::AlreadyFounded { .. })));
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inc-1099511627777")).unwrap();
        assert!(matches!(claim(folder.path()), Err(FoundError::FolderInUse { .. })));
    }

    #[test]
    fn two_foundings_from_one_template_are_two_clusters() {
        let mut source = Source::new(3);
        let (template, policy) = (GenesisTemplate::sample(&mut source), PolicyDoc::sample(&mut source));
        let entropy = entropy::system().unwrap();
        let first = identity(template.clone(), policy.clone(), &entropy);
        let second = identity(template, policy, &entropy);
        assert_ne!(first.genesis.cluster_id(), second.genesis.cluster_id());
    }
}
