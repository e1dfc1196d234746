//! A share, judged against the manifest of its dealing.
//!
//! Decides: what a good share is. [`GoodShare`] has one maker, and only good shares are combined: a wrong, old, swapped or altered one is found by its
//! commitment and named before it can spoil anything.
//! Trusts: the manifest, whose signature and evidence the caller judged. Out of scope: combining (`recovered.rs`). Protocol sections 6.1, D5 and 6.2, DR2.

use super::envelope::{EnvelopeError, KemSecret, open_envelope};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::{CustodyManifest, SHARE_VERSION, ShareEnvelope, SharePlain};
use ringwall_wire::ids::{ClusterId, CustodianId, CustodyEpoch, Digest};
use ringwall_wire::secret::wash_stack;
use ringwall_wire::without::{Defence, left_out};
use subtle::ConstantTimeEq;

/// Why a share is not the one that was dealt. Words for people name the cause, facts are for whoever matches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The envelope is of another dealing.
    #[error("the envelope belongs to manifest {got}, wanted is {wanted}")]
    OtherManifest {
        /// Manifest it names.
        got: Digest,
        /// Manifest that was given.
        wanted: Digest,
    },
    /// The manifest names nobody of this name.
    #[error("the manifest names no custodian {custodian}")]
    NotCustodian {
        /// Who was looked for.
        custodian: CustodianId,
    },
    /// The envelope is somebody else's.
    #[error("the envelope is for custodian {got}, this is {wanted}")]
    OtherCustodian {
        /// Whom it names.
        got: CustodianId,
        /// Who was looked for.
        wanted: CustodianId,
    },
    /// It does not open, or holds no share.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// It was split by another version.
    #[error("the share is of version {got}, this program knows {SHARE_VERSION}; use the program it was dealt with")]
    OtherVersion {
        /// Its version.
        got: u8,
    },
    /// It is of another cluster.
    #[error("the share is of cluster {got}, wanted is {wanted}")]
    OtherCluster {
        /// Its cluster.
        got: ClusterId,
        /// The manifest's.
        wanted: ClusterId,
    },
    /// It is of another dealing.
    #[error("the share is of dealing {got}, wanted is {wanted}; an old share is of no use after a new dealing")]
    OtherDealing {
        /// Its custody epoch.
        got: CustodyEpoch,
        /// The manifest's.
        wanted: CustodyEpoch,
    },
    /// It is another custodian's.
    #[error("the share is number {got}, this custodian's is number {wanted}: it is somebody else's share")]
    OtherPlace {
        /// Where it says it stands.
        got: u8,
        /// Where the custodian's stands.
        wanted: u8,
    },
    /// It says all the right things and is not the share that was dealt.
    #[error("share {x} is not the one that was dealt: its commitment is another; it was mistyped or altered")]
    OtherCommitment {
        /// Its place.
        x: u8,
    },
}

/// A share that is the one the manifest commits to. Made by judging alone.
#[must_use]
#[derive(Debug)]
pub struct GoodShare {
    manifest: Digest,
    custodian: CustodianId,
    share: SharePlain,
}

impl GoodShare {
    /// Judges the share of `custodian` against `manifest`.
    pub fn judge(manifest: &CustodyManifest, custodian: &CustodianId, share: SharePlain) -> Result<Self, ShareError> {
        let member = manifest.member(custodian).ok_or(ShareError::NotCustodian { custodian: *custodian })?;
        if share.version != SHARE_VERSION {
            return Err(ShareError::OtherVersion { got: share.version });
        }
        if share.cluster_id != manifest.cluster_id {
            return Err(ShareError::OtherCluster { got: share.cluster_id, wanted: manifest.cluster_id });
        }
        if share.custody_epoch != manifest.custody_epoch {
            return Err(ShareError::OtherDealing { got: share.custody_epoch, wanted: manifest.custody_epoch });
        }
        if share.x != member.x {
            return Err(ShareError::OtherPlace { got: share.x, wanted: member.x });
        }
        if !bool::from(share.commitment().0.ct_eq(&member.commitment.0)) && !left_out(Defence::ShareCommitments) {
            return Err(ShareError::OtherCommitment { x: share.x });
        }
        Ok(GoodShare { manifest: Digest(manifest.digest()), custodian: *custodian, share })
    }

    /// Hash of the manifest it was judged against.
    pub fn manifest(&self) -> &Digest {
        &self.manifest
    }

    /// Whose it is.
    pub fn custodian(&self) -> &CustodianId {
        &self.custodian
    }

    /// The share itself.
    pub fn share(&self) -> &SharePlain {
        &self.share
    }
}

/// Opens a custodian's envelope and judges what is in it: what has to succeed before anything is acknowledged.
pub fn open_share(
    manifest: &CustodyManifest,
    custodian: &CustodianId,
    envelope: &ShareEnvelope,
    secret: &KemSecret,
) -> Result<GoodShare, ShareError> {
    let judged = opened(manifest, custodian, envelope, secret);
    wash_stack();
    judged
}

#[inline(never)]
fn opened(
    manifest: &CustodyManifest,
    custodian: &CustodianId,
    envelope: &ShareEnvelope,
    secret: &KemSecret,
) -> Result<GoodShare, ShareError> {
    let wanted = Digest(manifest.digest());
    if envelope.manifest != wanted {
        return Err(ShareError::OtherManifest { got: envelope.manifest, wanted });
    }
    if envelope.custodian != *custodian {
        return Err(ShareError::OtherCustodian { got: envelope.custodian, wanted: *custodian });
    }
    GoodShare::judge(manifest, custodian, open_envelope(secret, envelope)?)
}
