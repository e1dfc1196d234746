//! A shadow dealing: keys made for one drill, dealt by the same code as real ones, and thrown away.
//!
//! Decides: a drill's master keys, recovery key and shares are drawn anew and of a shadow cluster's id; no real key is an argument of anything here, so
//! nothing of a drill can hold one or say something of one. What is left of the shadow's keys is what a recovery has to work with: a manifest, envelopes, a
//! recovery blob, and a seal over the copy. Whoever made them keeps no way to open them but the custodians' shares.
//! Trusts: the caller for names and for the shadow cluster's id. Out of scope: offers, sessions (`node`). Protocol section 6.2, DL0.

use super::dealing::{DealError, DealPlan, deal};
use super::draws::Draws;
use super::recovered::{BlobError, TagKey, seal_keys};
use crate::hedge::HedgedIvs;
use crate::ring::{CustodyUse, Keyring};
use rand_core::CryptoRng;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::{CustodyManifest, RecoveryBlob, ShareEnvelope};
use ringwall_wire::ids::{ClusterId, Digest};
use ringwall_wire::limits::CUSTODIANS;
use ringwall_wire::secret::wash_stack;

/// What is kept of a shadow.
#[derive(Clone, Debug)]
pub struct Shadow {
    /// Of the shadow cluster.
    pub manifest: CustodyManifest,
    /// One for each custodian, in the manifest's order.
    pub envelopes: List<ShareEnvelope, CUSTODIANS>,
    /// The shadow's master keys, sealed to the shadow's recovery key.
    pub blob: RecoveryBlob,
    /// Seal over the copy under the shadow's master key, made as a member seals what it writes.
    pub seal: [u8; 32],
}

/// Why there is no shadow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShadowError {
    /// The shares.
    #[error(transparent)]
    Shares(#[from] DealError),
    /// The blob.
    #[error("the shadow's keys were not sealed: {0}")]
    Blob(#[from] BlobError),
}

/// Makes the keys of the shadow cluster, deals them as `plan` says, and seals `copy` under them. The keys end with the function.
pub fn shadow(
    cluster_id: ClusterId,
    plan: &DealPlan<'_>,
    copy: &[u8],
    rng: &mut dyn CryptoRng,
    ivs: &mut HedgedIvs,
) -> Result<Shadow, ShadowError> {
    let ring = Keyring::found(cluster_id, rng);
    let dealt = deal(&ring, plan, rng, ivs)?;
    let hash = Digest(dealt.manifest.digest());
    let tag = ring.unwrap_custody(&hash, CustodyUse::Tag, &dealt.keys.tag).expect("it was wrapped under this ring a moment ago");
    let salt = ring.custody_salt(plan.custody_epoch);
    let mut draws = Draws::new(rng, &salt);
    let blob = seal_keys(&ring, &dealt.manifest, &TagKey::new(tag), plan.epoch, plan.policy_version, &mut draws)?;
    let seal = ring.seal_log(ring.newest(), copy).expect("a ring has its newest key");
    wash_stack();
    Ok(Shadow { manifest: dealt.manifest, envelopes: dealt.envelopes, blob, seal })
}
