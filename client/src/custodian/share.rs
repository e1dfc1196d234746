//! One share against the manifest it was dealt by, with the name of the custodian it was dealt to in every refusal.
//!
//! Decides: whose share a refusal speaks of, and what that person can do. Whether a share is good `keys` decides, by its commitment.
//! Trusts: the manifest, which is judged elsewhere (`dealing.rs`). Out of scope: where the share comes from. Protocol section 6.1.

use super::keys::CustodianKeys;
use ringwall_keys::custody::{EnvelopeError, GoodShare, ShareError, open_share};
use ringwall_wire::custody::{CustodyManifest, ManifestMember, ShareEnvelope, SharePlain};
use ringwall_wire::ids::CustodianId;

/// Why something is not the share it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareFault {
    /// The manifest has no place for these keys.
    #[error(
        "nobody with the keys of {id} holds a share of this dealing: it was dealt to {holders}; use the folder of the keys it was dealt to"
    )]
    NotCustodian {
        /// Whose keys.
        id: CustodianId,
        /// The names of those it was dealt to.
        holders: String,
    },
    /// It is not the custodian's share.
    #[error("share of {whose} (number {x}): {source}; {}", .source.advice())]
    Bad {
        /// The custodian's name in the manifest.
        whose: String,
        /// The place of their share.
        x: u8,
        /// What is wrong.
        source: ShareError,
    },
}

trait Advice {
    fn advice(&self) -> &'static str;
}

impl Advice for ShareError {
    fn advice(&self) -> &'static str {
        match self {
            ShareError::OtherManifest { .. } => "it was put together from two dealings: pull again",
            ShareError::NotCustodian { .. } | ShareError::OtherCustodian { .. } | ShareError::OtherPlace { .. } => "use your own",
            ShareError::Envelope(EnvelopeError::NotSealedHere) => {
                "pull again from another node, or use the folder of the keys it was sealed to"
            }
            ShareError::Envelope(_) => "it was cut or altered: pull again from another node",
            ShareError::OtherVersion { .. } | ShareError::OtherCluster { .. } | ShareError::OtherDealing { .. } => "use the right one",
            ShareError::OtherCommitment { .. } => "compare it with the paper, or use another copy",
        }
    }
}

impl ShareFault {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        let ShareFault::Bad { source, .. } = self else { return "RW-C-SHARE-NOT-CUSTODIAN" };
        match source {
            ShareError::OtherManifest { .. } | ShareError::OtherDealing { .. } => "RW-C-SHARE-OTHER-DEALING",
            ShareError::NotCustodian { .. } => "RW-C-SHARE-NOT-CUSTODIAN",
            ShareError::OtherCustodian { .. } | ShareError::OtherPlace { .. } => "RW-C-SHARE-OTHER-CUSTODIAN",
            ShareError::Envelope(EnvelopeError::NotSealedHere) => "RW-C-SHARE-NOT-OPENED",
            ShareError::Envelope(_) | ShareError::OtherVersion { .. } => "RW-C-SHARE-MALFORMED",
            ShareError::OtherCluster { .. } => "RW-C-SHARE-OTHER-CLUSTER",
            ShareError::OtherCommitment { .. } => "RW-C-SHARE-OTHER-SHARE",
        }
    }
}

/// The place of these keys in a manifest.
pub fn member<'a>(manifest: &'a CustodyManifest, id: &CustodianId) -> Result<&'a ManifestMember, ShareFault> {
    let holders = || manifest.members.iter().map(|member| member.custodian.name.to_string()).collect::<Vec<_>>().join(", ");
    manifest.member(id).ok_or_else(|| ShareFault::NotCustodian { id: *id, holders: holders() })
}

fn bad(member: &ManifestMember) -> impl FnOnce(ShareError) -> ShareFault {
    let (whose, x) = (member.custodian.name.to_string(), member.x);
    move |source| ShareFault::Bad { whose, x, source }
}

/// Holds a share against what was dealt to these keys.
pub fn judge(manifest: &CustodyManifest, share: SharePlain, id: &CustodianId) -> Result<GoodShare, ShareFault> {
    GoodShare::judge(manifest, id, share).map_err(bad(member(manifest, id)?))
}

/// Opens the envelope of these keys' owner, and gives the share if it is the one that was dealt.
pub fn open(manifest: &CustodyManifest, envelope: &ShareEnvelope, keys: &CustodianKeys) -> Result<GoodShare, ShareFault> {
    let id = keys.id();
    open_share(manifest, &id, envelope, &keys.kem_secret()).map_err(bad(member(manifest, &id)?))
}
