//! A dealing in memory: a cluster's keys, custodians whose keys everybody knows, their shares, and what shares open.
//!
//! Decides: nothing; it uses the shipped functions as a dealing node, custodians and a recovering node do, with the generator it is given. Trusts: nothing.
//! Out of scope: nodes, evidence and signatures (`keepers.rs`, `ringwall_sim::custody`).

use rand_core::CryptoRng;
use ringwall_keys::custody::split::{PointError, interpolate};
use ringwall_keys::custody::{
    BlobError, CombineError, DealError, DealPlan, Dealt, Draws, EnvelopeError, GoodShare, KemSecret, ProofKey, RecoveryKey, ShareError,
    TagKey, combine, deal, open_share, seal_keys,
};
use ringwall_keys::{CustodyUse, HedgedIvs, Keyring, OpenError};
use ringwall_sim::tape::Tape;
use ringwall_wire::bounded::{Blob, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::{CustodyManifest, RecoveryBlob};
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{ClusterId, CustodyEpoch, Digest, Epoch, Incarnation, PolicyVersion, SigPublic};
use ringwall_wire::secret::Secret;

/// The cluster of such dealings.
pub const CLUSTER: ClusterId = ClusterId([0xC1; 32]);

/// Why something with shares failed.
#[derive(Debug, thiserror::Error)]
pub enum DealerError {
    /// Nothing was dealt.
    #[error(transparent)]
    Deal(#[from] DealError),
    /// A share is not good.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// Shares do not combine.
    #[error(transparent)]
    Combine(#[from] CombineError),
    /// Points do not combine.
    #[error(transparent)]
    Points(#[from] PointError),
    /// A dealing's key does not unwrap.
    #[error(transparent)]
    Unwrap(#[from] OpenError),
    /// Keys do not seal.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A share does not seal.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// Whoever deals, and the custodians.
pub struct Dealer {
    /// The cluster's keys.
    pub ring: Keyring,
    /// Who is dealt to.
    pub custodians: Vec<Custodian>,
    /// Their keys.
    pub keys: Vec<KemSecret>,
    threshold: u8,
    ivs: HedgedIvs,
}

impl Dealer {
    /// `threshold` of `count` custodians; `ivs` is the generator of initialization vectors.
    ///
    /// # Panics
    /// Never: names of custodians are short.
    pub fn new(ring: Keyring, threshold: u8, count: u8, ivs: Box<dyn CryptoRng + Send>) -> Self {
        let keys: Vec<KemSecret> = (1..=count).map(|number| KemSecret::from_seed(Secret::new([number; 32]))).collect();
        let custodian = |(number, key): (u8, &KemSecret)| Custodian {
            name: Text::new(format!("custodian {number}")).expect("short and printable"),
            sig: SigPublic([number; 32]),
            kem: Blob::new(key.public().0.to_vec()).expect("an X-Wing key fits"),
        };
        let custodians = (1..=count).zip(&keys).map(custodian).collect();
        Dealer { ring, custodians, keys, threshold, ivs: HedgedIvs::new(ivs, who()) }
    }

    /// Two of three custodians of a cluster that is founded with what comes next on a tape, and so is everything else here.
    pub fn on_tape(tape: &Tape) -> Self {
        Dealer::new(Keyring::found(CLUSTER, &mut tape.clone()), 2, 3, Box::new(tape.clone()))
    }

    /// Deals.
    pub fn deal(&mut self, rng: &mut dyn CryptoRng) -> Result<Dealt, DealerError> {
        let plan = DealPlan {
            epoch: Epoch(1),
            custody_epoch: CustodyEpoch(1),
            threshold: self.threshold,
            custodians: &self.custodians,
            previous: Digest([0; 32]),
            policy: Digest([7; 32]),
            policy_version: PolicyVersion(1),
            dealer: who(),
            dealer_sig: SigPublic([9; 32]),
        };
        Ok(deal(&self.ring, &plan, rng, &mut self.ivs)?)
    }

    /// The share of the custodian at this place of the list, opened and judged.
    pub fn share(&self, dealt: &Dealt, at: usize) -> Result<GoodShare, DealerError> {
        Ok(open_share(&dealt.manifest, &self.custodians[at].id(), &dealt.envelopes[at], &self.keys[at])?)
    }

    /// As many shares as the threshold, the last ones.
    pub fn shares(&self, dealt: &Dealt) -> Result<Vec<GoodShare>, DealerError> {
        let first = self.custodians.len() - usize::from(self.threshold);
        (first..self.custodians.len()).map(|at| self.share(dealt, at)).collect()
    }

    /// What members make tags of recovery blobs with.
    pub fn tag_key(&self, dealt: &Dealt) -> Result<TagKey, DealerError> {
        let manifest = Digest(dealt.manifest.digest());
        Ok(TagKey::new(self.ring.unwrap_custody(&manifest, CustodyUse::Tag, &dealt.keys.tag)?))
    }

    /// What the proofs of the custodian at this place are judged with, as a member unwraps it.
    pub fn proof_key(&self, dealt: &Dealt, at: usize) -> Result<ProofKey, DealerError> {
        Ok(ProofKey::new(self.unwrapped_proof_key(dealt, at)?))
    }

    /// The bytes of that key.
    pub fn unwrapped_proof_key(&self, dealt: &Dealt, at: usize) -> Result<Secret<32>, DealerError> {
        let (manifest, proof) = (Digest(dealt.manifest.digest()), &dealt.keys.proofs[at]);
        Ok(self.ring.unwrap_custody(&manifest, CustodyUse::Proof(&proof.custodian), &proof.key)?)
    }

    /// All keys of the cluster, sealed to the dealing.
    pub fn blob(&self, dealt: &Dealt, rng: &mut dyn CryptoRng) -> Result<RecoveryBlob, DealerError> {
        let mut draws = Draws::new(rng, &self.ring.custody_salt(CustodyEpoch(1)));
        Ok(seal_keys(&self.ring, &dealt.manifest, &self.tag_key(dealt)?, Epoch(1), PolicyVersion(1), &mut draws)?)
    }
}

/// The recovery key of good shares.
pub fn recovered(manifest: &CustodyManifest, shares: &[GoodShare]) -> Result<RecoveryKey, DealerError> {
    Ok(combine(manifest, shares)?)
}

/// The bytes shares were split from: what the recovery key is.
pub fn split_secret(shares: &[GoodShare]) -> Result<Secret<32>, DealerError> {
    let points: Vec<(u8, &Secret<32>)> = shares.iter().map(|good| (good.share().x, &good.share().y)).collect();
    Ok(interpolate(&points)?)
}

/// Whose dealing it is.
fn who() -> Incarnation {
    Incarnation::new(Epoch(1), 1)
}
