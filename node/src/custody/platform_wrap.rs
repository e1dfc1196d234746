//! The wrap file: the live master keys once more, wrapped to this node's own chip, where the policy says `same_chips`.
//!
//! Decides: it stands beside the recovery file, is written again whenever the record names other keys, another dealing or another epoch, and always before
//! anything is sealed to disk under a key it lacks. A founding life writes none: its boot configuration, which is part of the chip's key, is that of no later
//! process. Where a chip gives no key nothing is missing but this copy: custodians recover as ever.
//! Trusts: the record for what is alive, the chip for its key. Out of scope: opening it (`crate::recover::unseal`). Protocol section 6.3; layout: docs/formats.md.

use crate::config::ClusterPart;
use crate::context::Node;
use crate::custody::rotate;
use crate::folders;
use crate::platform::chip_keys::KeyRequest;
use crate::platform::derived_keys::DerivedKeyError;
use ringwall_consensus::{Custody, KeyRow};
use ringwall_keys::custody::{PlatformKey, PlatformWrapError};
use ringwall_keys::{HedgedIvs, Keyring};
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::ids::{Digest, Epoch};
use ringwall_wire::limits::PLATFORM_WRAP_BYTES;
use ringwall_wire::platform::{PlatformWrap, WrapPlace};
use ringwall_wire::policy::PlatformUnseal;
use ringwall_wire::rotation::KeyGeneration;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};

/// Its name in the data folder.
pub const WRAP_FILE: &str = "platform.wrap";
/// The next one while it is written.
const BESIDE: &str = "platform.wrap.new";
/// Pause after a chip or a disk refused: a host may throttle requests.
const AGAIN: Duration = Duration::from_secs(60);

/// Why the file is not there, or no wrap file.
#[derive(Debug, thiserror::Error)]
pub enum WrapFileError {
    /// The system.
    #[error("{path}: {cause}; check the data folder, its owner and its room", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Larger than any such file.
    #[error("{path}: above {max} bytes; this is no wrap file", path = path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit.
        max: usize,
    },
    /// Not one of ours.
    #[error("{path}: {cause}; this is no wrap file, or it was damaged", path = path.display())]
    NotOurs {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        cause: DecodeError,
    },
}

/// Why keys were not wrapped.
#[derive(Debug, thiserror::Error)]
enum NotWrapped {
    #[error(transparent)]
    Chip(#[from] DerivedKeyError),
    #[error(transparent)]
    Wrap(#[from] PlatformWrapError),
    #[error(transparent)]
    File(#[from] WrapFileError),
}

/// What the file was written for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holds {
    manifest: Digest,
    epoch: Epoch,
    keys: Vec<KeyGeneration>,
}

/// What this process has wrapped.
#[derive(Debug, Default)]
pub(crate) struct Wrapped {
    /// What the chip derived, once it was asked.
    key: Option<(KeyRequest, PlatformKey)>,
    holds: Option<Holds>,
    /// This life never wraps.
    never: bool,
    /// No wrap lies in the folder, since the policy wants none.
    forgotten: bool,
    not_before: Option<Instant>,
}

impl Wrapped {
    /// Wraps again if the record names something else than the file holds.
    pub(crate) async fn follow(&mut self, node: &Arc<Node>, rows: &[KeyRow], custody: &Custody) {
        if node.site.policy().platform_unseal == PlatformUnseal::Never {
            self.holds = None;
            self.forget(&node.site.config.data);
            return;
        }
        self.forgotten = false;
        if self.never {
            return;
        }
        if matches!(node.site.config.cluster, ClusterPart::Found(..)) {
            self.never = true;
            info!("this life founded the cluster, and no later one can use what its chip derives: start it again for a platform wrap");
            return;
        }
        let Some(held) = custody.active.as_ref().filter(|held| held.recovery.is_some()) else { return };
        let ring = rotate::live_ring(&node.keyring.now(), rows);
        let now = Holds { manifest: held.hash, epoch: node.site.epoch(), keys: ring.generations() };
        if self.holds.as_ref() == Some(&now) || self.not_before.is_some_and(|at| crate::clock::now() < at) {
            return;
        }
        match self.write(node, &ring, &now).await {
            Ok(()) => {
                info!(key_epoch = %ring.newest(), "the keys are wrapped to this chip");
                self.holds = Some(now);
            }
            Err(NotWrapped::Chip(fault @ DerivedKeyError::NoneHere { .. })) => {
                self.never = true;
                info!(%fault, "no platform wrap here: custodians, or nodes on other machines, open the keys after a total outage");
            }
            Err(fault) => {
                self.not_before = crate::clock::now().checked_add(AGAIN);
                warn!(%fault, "the keys are not wrapped to this chip: after a total outage it opens nothing");
            }
        }
    }

    /// The policy wants no wrap any more: what an earlier one had written goes. Copies of the disk keep it; a rotation is what ends it there.
    fn forget(&mut self, data: &Path) {
        if self.forgotten {
            return;
        }
        match std::fs::remove_file(data.join(WRAP_FILE)) {
            Ok(()) => info!("the policy wants no platform wrap: the one of this node is removed"),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            Err(fault) => {
                return warn!(%fault, file = WRAP_FILE, "the policy wants no platform wrap, and the one of this node stays: remove it by hand");
            }
        }
        self.forgotten = true;
    }

    async fn write(&mut self, node: &Arc<Node>, ring: &Keyring, holds: &Holds) -> Result<(), NotWrapped> {
        let site = &node.site;
        let (request, key) = match &mut self.key {
            Some(known) => known,
            none => {
                let request = site.chip_keys.request()?;
                let derived = site.chip_keys.derive(request).await?;
                none.insert((request, PlatformKey::new(&derived, site.cluster_id, site.slot())))
            }
        };
        let place = WrapPlace {
            cluster_id: site.cluster_id,
            slot: site.slot(),
            epoch: holds.epoch,
            manifest: holds.manifest,
            newest_key: ring.newest(),
            tcb_version: request.tcb_version,
            vmpl: request.vmpl,
        };
        let wrap = key.wrap(ring, place, &mut HedgedIvs::new((site.entropy)(), node.incarnation))?;
        let data = site.config.data.clone();
        let path = data.join(WRAP_FILE);
        let written = tokio::task::spawn_blocking(move || put(&data, &wrap)).await;
        let io = |cause| WrapFileError::Io { path, cause };
        Ok(written.unwrap_or_else(|fault| Err(io::Error::other(fault.to_string()))).map_err(io)?)
    }
}

fn put(data: &Path, wrap: &PlatformWrap) -> io::Result<()> {
    folders::replace(&folders::anew(), &data.join(BESIDE), &data.join(WRAP_FILE), &wrap.encode())
}

/// Reads the file of a data folder; none if there is none.
pub fn read(data: &Path) -> Result<Option<PlatformWrap>, WrapFileError> {
    let path = data.join(WRAP_FILE);
    let io = |cause| WrapFileError::Io { path: path.clone(), cause };
    let Some(bytes) = folders::read_most(&path, PLATFORM_WRAP_BYTES).map_err(io)? else { return Ok(None) };
    if bytes.len() > PLATFORM_WRAP_BYTES {
        return Err(WrapFileError::TooLarge { path, max: PLATFORM_WRAP_BYTES });
    }
    PlatformWrap::decode(&bytes).map(Some).map_err(|cause| WrapFileError::NotOurs { path, cause })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use ringwall_wire::bounded::Blob;
    use ringwall_wire::ids::{ClusterId, KeyEpoch, Slot};
    use ringwall_wire::limits::SEALED_KEYS_BYTES;

    #[test]
    fn the_largest_wrap_is_read_and_nothing_larger() {
        let data = tempfile::tempdir().unwrap();
        assert!(read(data.path()).unwrap().is_none());
        let (cluster_id, manifest, epoch) = (ClusterId([1; 32]), Digest([2; 32]), Epoch(1));
        let place = WrapPlace { cluster_id, slot: Slot(1), epoch, manifest, newest_key: KeyEpoch(1), tcb_version: u64::MAX, vmpl: 3 };
        let wrap = PlatformWrap { place, iv: [3; 24], commit: [4; 32], sealed: Blob::new(vec![5; SEALED_KEYS_BYTES]).unwrap() };
        put(data.path(), &wrap).unwrap();
        assert_eq!(read(data.path()).unwrap(), Some(wrap));
        assert!(!data.path().join(BESIDE).exists());
        std::fs::write(data.path().join(WRAP_FILE), b"garbage").unwrap();
        assert!(matches!(read(data.path()), Err(WrapFileError::NotOurs { .. })));
        std::fs::write(data.path().join(WRAP_FILE), vec![0; PLATFORM_WRAP_BYTES + 1]).unwrap();
        assert!(matches!(read(data.path()), Err(WrapFileError::TooLarge { .. })));
    }
}
