//! The dealing whose shares are wanted: the newest one a recovery file tells of, judged.
//!
//! Decides: a manifest counts if its dealer signed it and the dealer's evidence, made for this very manifest, is a member's of this cluster: a host that
//! could bring a manifest of its own would have its own custodians recover a world of its own. Evidence is judged as of the time it was made; what has
//! been revoked since does not unmake a dealing. Of one dealing all blobs are kept, the newest keys first; their tags are compared later.
//! Trusts: the roots and the pinned cluster. Out of scope: shares (`session.rs`). Protocol section 6.2, DR0.

use crate::attesting;
use crate::context::Site;
use crate::custody::blob_file;
use crate::recover::session::is_signed;
use ringwall_attest::Asked;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::{CustodyManifest, RecoveryBlob, RecoveryFile};
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::Digest;
use ringwall_wire::session::{AttestResp, SavedExchange};
use std::path::PathBuf;
use tracing::warn;

/// Why a recovery file tells of no dealing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDealt {
    /// It is another cluster's.
    #[error("it is of another cluster")]
    OtherCluster,
    /// The signature is not the dealer's.
    #[error("the dealer's signature does not verify over this manifest")]
    Signature,
    /// The dealer's evidence is none for this manifest.
    #[error("the dealer's evidence is refused: {0}")]
    Evidence(String),
}

/// A dealing, and what of its keys lies on disks.
#[derive(Clone, Debug)]
pub(crate) struct Dealing {
    pub(crate) manifest: CustodyManifest,
    /// The newest keys first.
    pub(crate) blobs: Vec<RecoveryBlob>,
}

/// The newest dealing of the files in these data folders; none if no file tells of one.
pub(crate) fn newest(site: &Site, folders: &[PathBuf]) -> Option<Dealing> {
    let mut newest: Option<Dealing> = None;
    for folder in folders {
        let file = match blob_file::read(folder) {
            Ok(Some(file)) => file,
            Ok(None) => continue,
            Err(fault) => {
                warn!(%fault, "a recovery file is left aside");
                continue;
            }
        };
        if let Err(fault) = judge(site, &file) {
            warn!(folder = %folder.display(), %fault, "a recovery file is left aside");
            continue;
        }
        let RecoveryFile { manifest, recovery, .. } = file;
        let manifest = manifest.manifest;
        match &mut newest {
            Some(known) if known.manifest.custody_epoch > manifest.custody_epoch => {}
            Some(known) if known.manifest == manifest => known.blobs.push(recovery),
            _ => newest = Some(Dealing { manifest, blobs: vec![recovery] }),
        }
    }
    if let Some(dealing) = &mut newest {
        dealing.blobs.sort_by_key(|blob| std::cmp::Reverse(blob.newest_key));
        dealing.blobs.dedup();
    }
    newest
}

fn judge(site: &Site, file: &RecoveryFile) -> Result<(), NotDealt> {
    let manifest = &file.manifest.manifest;
    if manifest.cluster_id != site.cluster_id {
        return Err(NotDealt::OtherCluster);
    }
    let refused = |fault: &dyn std::fmt::Display| NotDealt::Evidence(fault.to_string());
    let exchange = SavedExchange::decode(&file.exchange).map_err(|fault| refused(&fault))?;
    let answer = AttestResp::decode(&exchange.answer).map_err(|fault| refused(&fault))?;
    let (handshake, nonce) = manifest.opening();
    let asked = Asked { handshake: &handshake, nonce: &nonce, role: Role::Dealing, noise: &exchange.noise, mode: exchange.mode };
    // No later than now: what a file says of its own time is not believed beyond that.
    let now_s = exchange.at_s.min(site.now_s());
    let peer = attesting::judge_kept(site, &answer, &asked, now_s).map_err(|fault| refused(&fault))?;
    if (peer.incarnation(), peer.keys().sig) != (manifest.dealer, manifest.dealer_sig) {
        return Err(NotDealt::Evidence("it is another member's than the dealer's".into()));
    }
    if file.recovery.manifest != Digest(manifest.digest()) {
        return Err(NotDealt::Evidence("the stored keys are of another manifest".into()));
    }
    match is_signed(&manifest.dealer_sig, &manifest.words(), &file.manifest.signature) {
        true => Ok(()),
        false => Err(NotDealt::Signature),
    }
}
