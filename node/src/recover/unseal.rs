//! Whether this machine's own chip opens the keys, so that no custodian has to be asked.
//!
//! Decides: it does where the policy says `same_chips`, the wrap in the node's own data folder is of the dealing whose shares would be asked for and no older than any
//! recovery file that was brought, and the chip derives for this guest the very key it was wrapped under. Whatever is missing has a name, and leads to the custodians.
//! What opens here is a ring of keys and nothing else: disks, majority, anchors and losses are judged as after a recovery by shares.
//! Trusts: nothing in the file but what the chip's key authenticates. Out of scope: writing it (`crate::custody::platform_wrap`). Protocol section 6.3.

use crate::context::Site;
use crate::custody::platform_wrap::{self, WrapFileError};
use crate::platform::chip_keys::KeyRequest;
use crate::platform::derived_keys::DerivedKeyError;
use crate::recover::dealing::Dealing;
use ringwall_keys::Keyring;
use ringwall_keys::custody::{PlatformKey, PlatformWrapError};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, KeyEpoch};
use ringwall_wire::platform::WrapPlace;
use ringwall_wire::policy::PlatformUnseal;

/// Why the chip opened nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotUnsealed {
    /// The policy does not want it.
    #[error("the policy says platform_unseal = never")]
    Never,
    /// Nothing was wrapped.
    #[error("this node's data folder has no platform wrap: it was never a voter here under this policy, or only as the founder")]
    NoWrap,
    /// The file.
    #[error(transparent)]
    File(#[from] WrapFileError),
    /// It is of another dealing.
    #[error("the platform wrap is of dealing {wrap}, and the newest one is {wanted}: it is old")]
    OtherDealing {
        /// Manifest it names.
        wrap: Digest,
        /// Manifest of the newest dealing.
        wanted: Digest,
    },
    /// Keys were rotated since.
    #[error("the platform wrap holds keys up to generation {wrap}, and a recovery file says that there is generation {known}: it is old")]
    Older {
        /// Newest inside.
        wrap: KeyEpoch,
        /// Newest of the recovery files.
        known: KeyEpoch,
    },
    /// The chip.
    #[error("the chip gives no key: {0}")]
    Chip(#[from] DerivedKeyError),
    /// It does not open.
    #[error(transparent)]
    Wrap(#[from] PlatformWrapError),
}

/// The keys this machine's chip opens.
pub(crate) async fn open(site: &Site, dealing: &Dealing) -> Result<Keyring, NotUnsealed> {
    if site.policy().platform_unseal == PlatformUnseal::Never {
        return Err(NotUnsealed::Never);
    }
    // Who has no such key says so first, whatever lies in the folder.
    site.chip_keys.request()?;
    let wrap = platform_wrap::read(&site.config.data)?.ok_or(NotUnsealed::NoWrap)?;
    is_newest(&wrap.place, dealing)?;
    let WrapPlace { tcb_version, vmpl, .. } = wrap.place;
    let derived = site.chip_keys.derive(KeyRequest { tcb_version, vmpl }).await?;
    Ok(PlatformKey::new(&derived, site.cluster_id, site.slot()).open(&wrap)?)
}

/// A wrap that another one took the place of opens nothing, though the chip could.
fn is_newest(place: &WrapPlace, dealing: &Dealing) -> Result<(), NotUnsealed> {
    let wanted = Digest(dealing.manifest.digest());
    if place.manifest != wanted {
        return Err(NotUnsealed::OtherDealing { wrap: place.manifest, wanted });
    }
    let known = dealing.blobs.iter().map(|blob| blob.newest_key).max().unwrap_or(place.newest_key);
    match place.newest_key < known {
        true => Err(NotUnsealed::Older { wrap: place.newest_key, known }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_wire::custody::{CustodyManifest, RecoveryBlob};
    use ringwall_wire::sample::{Sample as _, Source};

    #[test]
    fn a_wrap_of_another_dealing_or_of_older_keys_opens_nothing() {
        let mut source = Source::new(1);
        let manifest = CustodyManifest::sample(&mut source);
        let blob = |newest_key| RecoveryBlob { newest_key, ..RecoveryBlob::sample(&mut Source::new(2)) };
        let dealing = Dealing { manifest, blobs: vec![blob(KeyEpoch(2)), blob(KeyEpoch(3))] };
        let hash = Digest(dealing.manifest.digest());
        let place = |manifest, newest_key| WrapPlace { manifest, newest_key, ..WrapPlace::sample(&mut Source::new(3)) };
        assert!(is_newest(&place(hash, KeyEpoch(3)), &dealing).is_ok());
        assert!(is_newest(&place(hash, KeyEpoch(4)), &dealing).is_ok(), "newer than any file that was brought");
        assert!(matches!(
            is_newest(&place(hash, KeyEpoch(2)), &dealing),
            Err(NotUnsealed::Older { wrap: KeyEpoch(2), known: KeyEpoch(3) })
        ));
        assert!(matches!(is_newest(&place(Digest([0; 32]), KeyEpoch(3)), &dealing), Err(NotUnsealed::OtherDealing { .. })));
    }
}
