//! One dealing: a recovery key is drawn, split, committed to, sealed away, and forgotten.
//!
//! Decides: D1 to D4 of the protocol. What leaves is public or sealed: manifest (to be signed), envelopes, and keys wrapped under the newest
//! master key. Master keys are sealed to the manifest's public key when it becomes the active one (`recovered.rs`), not before. The recovery key and the plain shares end with the function. A split that does not hold its promise in every choice of
//! shares is not given out; a generator that stands still is no reason for that, since draws are mixed.
//! Trusts: the caller for epoch, policy and names, which every replica and every custodian looks at again.
//! Out of scope: signing, evidence, proposing (`node`). Protocol section 6.1.

use super::draws::Draws;
use super::envelope::{EnvelopeError, custodian_key, seal_share};
use super::proof::proof_key;
use super::recovered::RecoveryKey;
use super::split::{evaluate, holds};
use crate::hedge::HedgedIvs;
use crate::ring::{CustodyUse, Keyring};
use alloc::vec::Vec;
use rand_core::CryptoRng;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::{CustodyManifest, DealtKeys, ManifestMember, SHARE_VERSION, ShareEnvelope, SharePlain, WrappedProofKey};
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{CustodianId, CustodyEpoch, Digest, Epoch, Incarnation, PolicyVersion, SigPublic, XWingPublic};
use ringwall_wire::limits::CUSTODIANS;
use ringwall_wire::secret::{Secret, wash_stack};
use ringwall_wire::without::{Defence, left_out};

/// What a dealing is to be.
#[derive(Clone, Debug)]
pub struct DealPlan<'a> {
    /// Cluster epoch.
    pub epoch: Epoch,
    /// Which dealing: the newest plus one.
    pub custody_epoch: CustodyEpoch,
    /// Shares that recover.
    pub threshold: u8,
    /// Who is dealt to, in the founding record's order.
    pub custodians: &'a [Custodian],
    /// Hash of the active manifest; zeros for the first.
    pub previous: Digest,
    /// SHA-256 of the policy in force.
    pub policy: Digest,
    /// Its version.
    pub policy_version: PolicyVersion,
    /// Who deals.
    pub dealer: Incarnation,
    /// With which signature key.
    pub dealer_sig: SigPublic,
}

/// What a dealing gave.
#[derive(Clone, Debug)]
pub struct Dealt {
    /// To be signed, and proven by evidence.
    pub manifest: CustodyManifest,
    /// One for each custodian, in the manifest's order.
    pub envelopes: List<ShareEnvelope, CUSTODIANS>,
    /// Keys members need, wrapped.
    pub keys: DealtKeys,
}

/// Why nothing was dealt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DealError {
    /// Nobody is named.
    #[error("no custodians are named: there is nobody to deal to")]
    NoCustodians,
    /// More are named than a cluster may have.
    #[error("{named} custodians are named, at most {CUSTODIANS} can be")]
    TooMany {
        /// How many.
        named: usize,
    },
    /// The threshold is none: at least two, so that nobody recovers alone, and no more than there are.
    #[error("{threshold} of {custodians} is no threshold: at least 2, and no more than there are custodians")]
    Threshold {
        /// The threshold.
        threshold: u8,
        /// How many are named.
        custodians: usize,
    },
    /// Somebody is named twice: two shares with one owner.
    #[error("two custodians share a key ({first} and {second}): one person would hold two shares")]
    Alike {
        /// One.
        first: CustodianId,
        /// The other.
        second: CustodianId,
    },
    /// A custodian's key is none.
    #[error("custodian {custodian}: {fault}")]
    BadKey {
        /// Whose.
        custodian: CustodianId,
        /// What is wrong.
        fault: EnvelopeError,
    },
    /// The shares did not give the key back, or too few of them did: a defect, or a memory fault. Nothing has left.
    #[error("the shares did not hold what a split promises; nothing was dealt: try again, and replace this machine if it happens again")]
    NotSplit,
}

/// Deals, mixing in the newest master key of `ring`: everything but signature and evidence.
pub fn deal(ring: &Keyring, plan: &DealPlan<'_>, rng: &mut dyn CryptoRng, ivs: &mut HedgedIvs) -> Result<Dealt, DealError> {
    let dealt = dealt(ring, plan, rng, ivs);
    wash_stack();
    dealt
}

#[inline(never)]
fn dealt(ring: &Keyring, plan: &DealPlan<'_>, rng: &mut dyn CryptoRng, ivs: &mut HedgedIvs) -> Result<Dealt, DealError> {
    let keys = appraise_plan(plan)?;
    let mut draws = Draws::new(rng, &ring.custody_salt(plan.custody_epoch));
    let recovery_key = RecoveryKey::new(*ring.cluster_id(), plan.custody_epoch, draws.next_secret());
    let shares = split(ring, plan, &recovery_key, &mut draws)?;
    let manifest = manifest(ring, plan, &recovery_key, &shares);
    let hash = Digest(manifest.digest());
    let mut envelopes = List::default();
    let mut proofs = List::default();
    for ((member, public), share) in manifest.members.iter().zip(&keys).zip(&shares) {
        let custodian = member.id();
        let envelope = seal_share(&hash, (&custodian, public), share, &mut draws);
        let envelope = envelope.map_err(|fault| DealError::BadKey { custodian, fault })?;
        envelopes.push(envelope).expect("no more envelopes than custodians");
        let key = ring.wrap_custody(&hash, CustodyUse::Proof(&custodian), &proof_key(share), ivs);
        proofs.push(WrappedProofKey { custodian, key }).expect("no more proof keys than custodians");
    }
    let tag = ring.wrap_custody(&hash, CustodyUse::Tag, recovery_key.tag_key().expose(), ivs);
    Ok(Dealt { manifest, envelopes, keys: DealtKeys { tag, proofs } })
}

/// Looks at everything that can be wrong with a plan; gives the custodians' keys.
fn appraise_plan(plan: &DealPlan<'_>) -> Result<Vec<XWingPublic>, DealError> {
    let named = plan.custodians.len();
    match named {
        0 => return Err(DealError::NoCustodians),
        _ if named > CUSTODIANS => return Err(DealError::TooMany { named }),
        _ if plan.threshold < 2 || usize::from(plan.threshold) > named => {
            return Err(DealError::Threshold { threshold: plan.threshold, custodians: named });
        }
        _ => {}
    }
    for (at, one) in plan.custodians.iter().enumerate() {
        let others = plan.custodians.iter().skip(at.saturating_add(1));
        if let Some(other) = others.into_iter().find(|other| other.sig == one.sig || other.kem == one.kem) {
            return Err(DealError::Alike { first: one.id(), second: other.id() });
        }
    }
    let key = |custodian: &Custodian| custodian_key(custodian).map_err(|fault| DealError::BadKey { custodian: custodian.id(), fault });
    plan.custodians.iter().map(key).collect()
}

/// D1: the plain shares, in the custodians' order.
fn split(ring: &Keyring, plan: &DealPlan<'_>, key: &RecoveryKey, draws: &mut Draws<'_>) -> Result<Vec<SharePlain>, DealError> {
    let flat = left_out(Defence::ShareThreshold);
    let coefficients: Vec<Secret<32>> =
        (1..plan.threshold).map(|_| if flat { Secret::new([0; 32]) } else { draws.next_secret() }).collect();
    let places = (1..=u8::MAX).take(plan.custodians.len());
    let points: Vec<(u8, Secret<32>)> = places.map(|x| (x, evaluate(key.expose(), &coefficients, x))).collect();
    if !holds(key.expose(), &points, usize::from(plan.threshold)) && !flat {
        return Err(DealError::NotSplit);
    }
    let share = |(x, y)| SharePlain {
        version: SHARE_VERSION,
        cluster_id: *ring.cluster_id(),
        custody_epoch: plan.custody_epoch,
        x,
        y,
        r: draws.next_secret(),
    };
    Ok(points.into_iter().map(share).collect())
}

/// D2 and D3: what is said of it in public.
fn manifest(ring: &Keyring, plan: &DealPlan<'_>, key: &RecoveryKey, shares: &[SharePlain]) -> CustodyManifest {
    let member = |(custodian, share): (&Custodian, &SharePlain)| ManifestMember {
        custodian: custodian.clone(),
        x: share.x,
        commitment: share.commitment(),
    };
    let members = plan.custodians.iter().zip(shares).map(member).collect();
    CustodyManifest {
        cluster_id: *ring.cluster_id(),
        epoch: plan.epoch,
        custody_epoch: plan.custody_epoch,
        threshold: plan.threshold,
        members: List::new(members).expect("the plan was appraised"),
        kcv: key.kcv(),
        recovery: key.public(),
        previous: plan.previous,
        policy: plan.policy,
        policy_version: plan.policy_version,
        oldest_key: ring.oldest(),
        newest_key: ring.newest(),
        dealer: plan.dealer,
        dealer_sig: plan.dealer_sig,
    }
}
