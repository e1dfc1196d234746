//! A cluster's keys and its custodians, for the tests of custody.
//!
//! Decides: what is dealt to whom, reproducibly. Trusts: ChaCha as a generator. Out of scope: what is tested with it.

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use ringwall_keys::custody::{DealError, DealPlan, Dealt, Draws, GoodShare, KemSecret, TagKey, deal, open_share, seal_keys};
use ringwall_keys::{CustodyUse, HedgedIvs, Keyring};
use ringwall_wire::bounded::{Blob, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::RecoveryBlob;
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{ClusterId, CustodyEpoch, Digest, Epoch, Incarnation, PolicyVersion, SigPublic};
use ringwall_wire::secret::Secret;

pub(crate) const CLUSTER: ClusterId = ClusterId([0xC1; 32]);

pub(crate) struct Bench {
    pub(crate) ring: Keyring,
    pub(crate) ivs: HedgedIvs,
    pub(crate) secrets: Vec<KemSecret>,
    pub(crate) custodians: Vec<Custodian>,
    pub(crate) threshold: u8,
    pub(crate) custody_epoch: CustodyEpoch,
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

impl Bench {
    pub(crate) fn new(threshold: u8, count: u8) -> Self {
        let ring = Keyring::found(CLUSTER, &mut rng(1));
        let ivs = HedgedIvs::new(Box::new(rng(2)), Incarnation::new(Epoch(1), 1));
        let secrets: Vec<KemSecret> = (0..count).map(|at| KemSecret::from_seed(Secret::new([at + 1; 32]))).collect();
        let custodian = |(at, secret): (usize, &KemSecret)| Custodian {
            name: Text::new(format!("custodian {at}")).unwrap(),
            sig: SigPublic([at as u8 + 1; 32]),
            kem: Blob::new(secret.public().0).unwrap(),
        };
        let custodians = secrets.iter().enumerate().map(custodian).collect();
        Bench { ring, ivs, secrets, custodians, threshold, custody_epoch: CustodyEpoch(1) }
    }

    pub(crate) fn try_deal(&mut self, rng: &mut dyn CryptoRng) -> Result<Dealt, DealError> {
        let plan = DealPlan {
            epoch: Epoch(1),
            custody_epoch: self.custody_epoch,
            threshold: self.threshold,
            custodians: &self.custodians,
            previous: Digest([0; 32]),
            policy: Digest([7; 32]),
            policy_version: PolicyVersion(1),
            dealer: Incarnation::new(Epoch(1), 1),
            dealer_sig: SigPublic([9; 32]),
        };
        deal(&self.ring, &plan, rng, &mut self.ivs)
    }

    pub(crate) fn deal(&mut self, seed: u64) -> Dealt {
        self.try_deal(&mut rng(seed)).expect("a sound plan is dealt")
    }

    /// All keys of the ring, sealed to the dealing.
    pub(crate) fn blob(&self, dealt: &Dealt) -> RecoveryBlob {
        let hash = Digest(dealt.manifest.digest());
        let tag = TagKey::new(self.ring.unwrap_custody(&hash, CustodyUse::Tag, &dealt.keys.tag).unwrap());
        let mut generator = rng(77);
        let mut draws = Draws::new(&mut generator, &self.ring.custody_salt(self.custody_epoch));
        seal_keys(&self.ring, &dealt.manifest, &tag, Epoch(1), PolicyVersion(1), &mut draws).unwrap()
    }

    /// The good share of the custodian at this place of the list.
    pub(crate) fn share(&self, dealt: &Dealt, at: usize) -> GoodShare {
        open_share(&dealt.manifest, &self.custodians[at].id(), &dealt.envelopes[at], &self.secrets[at]).expect("what was dealt is good")
    }

    pub(crate) fn shares(&self, dealt: &Dealt, which: &[usize]) -> Vec<GoodShare> {
        which.iter().map(|at| self.share(dealt, *at)).collect()
    }
}
