//! Dealings and offers as nodes make them, in files: a cluster that deals shares, dies, and asks for them again, without a network.
//!
//! Decides: what a genuine dealer and a genuine recovering node would put into a file; every message is open to changes, and evidence can be told with
//! lies. The cluster, its keys and its sessions derive from numbers, so that two runs make the same shares.
//! Trusts: nothing, protects nothing. Out of scope: nodes that answer over the network. Protocol section 6.1.

use crate::world;
use crate::{Lie, SimTee, policy_for};
use ed25519_dalek::{Signer as _, SigningKey};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use ringwall_attest::batch::leaf;
use ringwall_attest::{Batch, report_data};
use ringwall_keys::custody::{DealPlan, Draws, KemSecret, TagKey, deal, seal_keys, shadow};
use ringwall_keys::{CustodyUse, HedgedIvs, Keyring};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodianReply, Dealt, RecoveryProgress, RecoveryStep};
use ringwall_wire::custody::{RecoveryBlob, SignedManifest};
use ringwall_wire::drill::{
    DrillAnswer, DrillCompared, DrillLap, DrillOffer, DrillOutcome, DrillPaper, DrillReceipt, DrillStep, DrillWord, shadow_cluster,
    shadow_copy,
};
use ringwall_wire::evidence::{Binding, Role};
use ringwall_wire::genesis::{ClusterCard, Custodian, GenesisRecord, GenesisTemplate};
use ringwall_wire::ids::{
    BootKeys, ClusterId, CustodianId, CustodyEpoch, Digest, Epoch, Incarnation, KemPublic, NoisePublic, Nonce, PolicyVersion, SigPublic,
    Signature, Slot,
};
use ringwall_wire::keeping::KeptAnchor;
use ringwall_wire::peer::LogPosition;
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::receipt::{ReceiptHead, Signer, TreeHead, TreePoint};
use ringwall_wire::recovery::{
    AbsentVoter, AuditEvent, AuditWhat, CustodyAnchor, DiskNote, LossAsked, LossTerms, RecoveryOffer, RecoveryPurpose, SignedOffer,
};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::{AttestMode, AttestResp, SavedExchange, SessionProof};

/// The one place of such clusters.
const SLOT: Slot = Slot(1);
/// Epoch of everything here.
pub const EPOCH: Epoch = Epoch(1);

/// The policy of a cluster on this machine (`genoa-1`, `tdx-1`, ...).
///
/// # Panics
/// When there is no such machine.
pub fn policy(chip: &str) -> PolicyDoc {
    policy_for(&[&machine(chip, ClusterId([0; 32]), 0)])
}

fn machine(chip: &str, cluster: ClusterId, now_s: u64) -> SimTee {
    let boot = world::joining_config(cluster, SLOT);
    SimTee::new(world::machine(chip, boot).expect("a machine of the simulated world"), now_s)
}

/// A cluster that deals and recovers.
pub struct Custody {
    /// Its card.
    pub card: ClusterCard,
    /// Its master keys.
    pub ring: Keyring,
    tee: SimTee,
    key: SigningKey,
    now_s: u64,
}

/// What was dealt.
#[derive(Clone)]
pub struct Dealing {
    /// The manifest, signed.
    pub manifest: SignedManifest,
    /// What each custodian is given, in their order.
    pub dealt: Vec<Dealt>,
    /// The master keys, sealed to the recovery key.
    pub recovery: RecoveryBlob,
}

/// What a recovering node asks, and what it can open the answers with.
pub struct Offer {
    /// The offer.
    pub signed: SignedOffer,
    /// The session's key.
    pub kem: KemSecret,
    key: SigningKey,
}

/// A drill, and what can open its answers.
pub struct Drill {
    /// What custodians are given.
    pub asked: DrillOffer,
    /// The session.
    pub offer: Offer,
    /// The shadow's keys, sealed.
    pub blob: RecoveryBlob,
    /// What the shadow vouches for.
    pub copy: TreePoint,
}

impl core::fmt::Debug for Drill {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Drill({})", self.asked.signed.offer.session)
    }
}

impl core::fmt::Debug for Custody {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Custody({})", self.card.genesis.cluster_id())
    }
}

impl core::fmt::Debug for Offer {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Offer({})", self.signed.offer.session)
    }
}

impl Custody {
    /// The cluster founded from `template` under `policy`, whose only machine is `chip`; `number` makes it another cluster. Endorsements are dated
    /// around `now_s`.
    ///
    /// # Panics
    /// When there is no such machine.
    pub fn found(template: GenesisTemplate, policy: PolicyDoc, chip: &str, number: u8, now_s: u64) -> Self {
        let genesis = GenesisRecord { nonce: Nonce([number; 32]), template };
        let cluster_id = genesis.cluster_id();
        let card = ClusterCard { genesis, policy, steps: Default::default(), addresses: List::default(), web: Default::default() };
        let ring = Keyring::found(cluster_id, &mut ChaCha20Rng::from_seed([number; 32]));
        Custody { card, ring, tee: machine(chip, cluster_id, now_s), key: SigningKey::from_bytes(&[number; 32]), now_s }
    }

    /// The same cluster on a machine that lies.
    #[must_use]
    pub fn telling(mut self, lies: &[Lie]) -> Self {
        self.tee = self.tee.telling(lies);
        self
    }

    /// The incarnation that deals.
    pub fn dealer() -> Incarnation {
        Incarnation::new(EPOCH, 7)
    }

    /// Deals shares to the custodians of the template.
    ///
    /// # Panics
    /// When the template names none.
    pub fn deal(&self, custody_epoch: u32, previous: Digest) -> Dealing {
        let template = &self.card.genesis.template;
        self.deal_to((&template.custodians, template.custody_threshold), custody_epoch, previous)
    }

    /// Deals shares to these, as a cluster does whose governors named them.
    ///
    /// # Panics
    /// When they cannot hold shares.
    pub fn deal_to(&self, (custodians, threshold): (&[Custodian], u8), custody_epoch: u32, previous: Digest) -> Dealing {
        let plan = DealPlan {
            epoch: EPOCH,
            custody_epoch: CustodyEpoch(custody_epoch),
            threshold,
            custodians,
            previous,
            policy: Digest(self.card.policy.digest()),
            policy_version: self.card.policy.version,
            dealer: Self::dealer(),
            dealer_sig: SigPublic(self.key.verifying_key().to_bytes()),
        };
        let seed = [custody_epoch as u8; 32];
        let mut ivs = HedgedIvs::new(Box::new(ChaCha20Rng::from_seed(seed)), Self::dealer());
        let made = deal(&self.ring, &plan, &mut ChaCha20Rng::from_seed(seed), &mut ivs).expect("they can hold shares");
        let recovery = self.activated(&made, seed);
        let signature = Signature(self.key.sign(&made.manifest.words()).to_bytes());
        let manifest = SignedManifest { manifest: made.manifest, signature };
        let exchange = self.exchange(Role::Dealing, Self::dealer(), &manifest.manifest.opening(), &self.key);
        let of = |envelope| Dealt { manifest: manifest.clone(), envelope, exchange: exchange.clone(), active: false };
        let dealt = made.envelopes.into_vec().into_iter().map(of).collect();
        Dealing { manifest, dealt, recovery }
    }

    /// The master keys, sealed to a dealing as they are when it becomes the active one.
    fn activated(&self, made: &ringwall_keys::custody::Dealt, seed: [u8; 32]) -> RecoveryBlob {
        let hash = Digest(made.manifest.digest());
        let tag = self.ring.unwrap_custody(&hash, CustodyUse::Tag, &made.keys.tag).expect("it was wrapped under these keys");
        let (mut rng, salt) = (ChaCha20Rng::from_seed(seed), self.ring.custody_salt(made.manifest.custody_epoch));
        let mut draws = Draws::new(&mut rng, &salt);
        let version = self.card.policy.version;
        seal_keys(&self.ring, &made.manifest, &TagKey::new(tag), EPOCH, version, &mut draws).expect("few master keys are alive")
    }

    /// Signs a manifest that was changed, and makes evidence for it: a dealer that runs other code.
    pub fn sign_anew(&self, dealt: &mut Dealt) {
        let manifest = &mut dealt.manifest;
        manifest.signature = Signature(self.key.sign(&manifest.manifest.words()).to_bytes());
        dealt.envelope.manifest = Digest(manifest.manifest.digest());
        dealt.exchange = self.exchange(Role::Dealing, Self::dealer(), &manifest.manifest.opening(), &self.key);
    }

    /// Offers session number `session` of a recovery of `dealing`, from disks that end at `last`.
    pub fn offer(&self, dealing: &Dealing, purpose: RecoveryPurpose, session: u8, last: u64) -> Offer {
        let (key, kem) = (SigningKey::from_bytes(&[session; 32]), KemSecret::from_seed(Secret::new([session; 32])));
        let manifest = &dealing.manifest.manifest;
        let note = DiskNote {
            slot: SLOT,
            incarnation: Self::dealer(),
            last: LogPosition { term: 3, index: last },
            custody_epoch: manifest.custody_epoch,
        };
        let offer = RecoveryOffer {
            cluster_id: manifest.cluster_id,
            epoch: EPOCH,
            purpose,
            custody_epoch: manifest.custody_epoch,
            manifest: Digest(manifest.digest()),
            session: Nonce([session; 32]),
            kem: kem.public(),
            slot: SLOT,
            sig: SigPublic(key.verifying_key().to_bytes()),
            inventory: List::new(vec![note]).expect("one fits"),
            replaces: None,
            keepers: List::default(),
            earlier: List::default(),
        };
        let signed = self.signed(offer, &key);
        Offer { signed, kem, key }
    }

    /// The same offer in other words, signed and proven like the first.
    pub fn offer_anew(&self, offer: &mut Offer, change: impl FnOnce(&mut RecoveryOffer)) {
        let mut changed = offer.signed.offer.clone();
        change(&mut changed);
        offer.signed = self.signed(changed, &offer.key);
    }

    /// A drill of `dealing`, as the leader of a living cluster would begin it.
    ///
    /// # Panics
    /// When the template names no custodians.
    pub fn drill(&self, dealing: &Dealing, session: u8, last: u64) -> Drill {
        let mut offer = self.offer(dealing, RecoveryPurpose::Drill, session, last);
        let (manifest, id) = (&dealing.manifest.manifest, shadow_cluster(&offer.signed.offer.cluster_id, &offer.signed.offer.session));
        let custodians: Vec<_> = manifest.members.iter().map(|member| member.custodian.clone()).collect();
        let plan = DealPlan {
            epoch: EPOCH,
            custody_epoch: manifest.custody_epoch,
            threshold: manifest.threshold,
            custodians: &custodians,
            previous: Digest(manifest.digest()),
            policy: manifest.policy,
            policy_version: manifest.policy_version,
            dealer: Self::dealer(),
            dealer_sig: offer.signed.offer.sig,
        };
        let copy = TreePoint { size: last.saturating_add(1), root: Digest([last as u8; 32]) };
        let mut ivs = HedgedIvs::new(Box::new(ChaCha20Rng::from_seed([session; 32])), Self::dealer());
        let made = shadow(id, &plan, &shadow_copy(&id, &copy), &mut ChaCha20Rng::from_seed([session ^ 0x55; 32]), &mut ivs);
        let made = made.expect("the template names custodians");
        self.offer_anew(&mut offer, |offer| offer.manifest = Digest(made.manifest.digest()));
        let asked = DrillOffer { signed: offer.signed.clone(), shadow: made.manifest, envelopes: made.envelopes };
        Drill { asked, offer, blob: made.blob, copy }
    }

    /// The receipt of a drill that went well for the first `given` custodians, changed before it is signed.
    ///
    /// # Panics
    /// Never: a drill has few custodians.
    pub fn receipt(&self, drill: &Drill, given: usize, change: impl FnOnce(&mut DrillReceipt)) -> DrillPaper {
        let (asked, key) = (&drill.asked, &drill.offer.key);
        let members = asked.shadow.members.iter().enumerate();
        let custodians = members.map(|(at, member)| DrillWord {
            custodian: member.id(),
            answer: if at < given { DrillAnswer::Given(5_000) } else { DrillAnswer::Silent },
        });
        let compared = DrillCompared {
            disk: Self::dealer(),
            claim: Digest([3; 32]),
            copy: drill.copy,
            found: TreePoint { size: drill.copy.size.saturating_add(7), root: Digest([4; 32]) },
            voters: 3,
            unread: 2,
            anchors: 1,
        };
        let offer = &asked.signed.offer;
        let mut receipt = DrillReceipt {
            cluster_id: offer.cluster_id,
            epoch: offer.epoch,
            custody_epoch: offer.custody_epoch,
            active: asked.shadow.previous,
            threshold: asked.shadow.threshold,
            session: offer.session,
            offer: Digest(offer.digest()),
            by: Self::dealer(),
            index: 900,
            begun_at_ms: self.now_s * 1_000,
            ended_at_ms: self.now_s * 1_000 + 60_000,
            custodians: List::new(custodians.collect()).expect("few custodians"),
            laps: List::new(vec![DrillLap { step: DrillStep::Read, took_ms: 40 }]).expect("one fits"),
            outcome: DrillOutcome::Passed(compared),
            audit: Digest([5; 32]),
            signature: Signature([0; 64]),
        };
        change(&mut receipt);
        receipt.signature = Signature(key.sign(&receipt.words()).to_bytes());
        DrillPaper { receipt, offer: asked.signed.clone() }
    }

    fn signed(&self, offer: RecoveryOffer, key: &SigningKey) -> SignedOffer {
        let signature = Signature(key.sign(&offer.words()).to_bytes());
        let exchange = self.exchange(Role::Recovery, Incarnation(0), &offer.opening(), key);
        SignedOffer { offer, signature, exchange }
    }

    /// What a member says of the log: `entries` of them.
    pub fn seen(&self, entries: u64) -> KeptAnchor {
        let head = ReceiptHead {
            cluster_id: self.card.genesis.cluster_id(),
            epoch: EPOCH,
            index: entries.saturating_sub(1),
            term: 3,
            tree: TreeHead { size: entries, root: Digest([entries as u8; 32]), landmark: Digest([0; 32]) },
            group: Digest([0; 32]),
            incarnation: Self::dealer(),
            signature: Signature([0; 64]),
        };
        let signature = Signature(self.key.sign(&head.words()).to_bytes());
        let signer = Signer { incarnation: Self::dealer(), exchange: Blob::default() };
        KeptAnchor { anchor: CustodyAnchor { head: ReceiptHead { signature, ..head }, signer }, seen_at_s: self.now_s }
    }

    /// An answer to nobody's question: evidence bound to `opening`, as an exchange.
    pub fn exchange<const MAX: usize>(
        &self,
        role: Role,
        incarnation: Incarnation,
        (handshake, nonce): &(Digest, Nonce),
        key: &SigningKey,
    ) -> Blob<MAX> {
        let batch = Batch::new(vec![leaf(handshake, nonce)]).expect("one leaf");
        let sig = SigPublic(key.verifying_key().to_bytes());
        let keys = BootKeys { noise: NoisePublic([1; 32]), sig, kem: KemPublic([3; 1184]) };
        let boot = &self.tee.profile().boot_config;
        let binding = Binding {
            cluster_id: self.card.genesis.cluster_id(),
            epoch: EPOCH,
            role,
            incarnation,
            keys: keys.clone(),
            boot_config: boot.host_data(),
            policy: Digest(self.card.policy.digest()),
            batch_root: batch.root(),
        };
        let answer = AttestResp {
            cluster_id: binding.cluster_id,
            epoch: binding.epoch,
            role,
            incarnation,
            keys,
            boot_config: Blob::new(boot.encode()).expect("a boot configuration is short"),
            genesis: self.card.genesis.clone(),
            policy: self.card.policy.clone(),
            steps: Default::default(),
            evidence: self.tee.mint(&report_data(&binding)),
            endorsements: self.tee.endorse(),
            proof: SessionProof::Batched(batch.path(0).expect("one leaf")),
            release_proof: Blob::default(),
        };
        let exchange = SavedExchange {
            cluster_id: binding.cluster_id,
            min_policy_version: PolicyVersion(0),
            handshake: *handshake,
            nonce: *nonce,
            noise: answer.keys.noise,
            mode: AttestMode::Single,
            at_s: self.now_s,
            answer: Blob::new(answer.encode()).expect("an answer has its size"),
        };
        Blob::new(exchange.encode()).expect("an exchange has its size")
    }
}

impl Offer {
    /// What the node tells of its progress, in events it signs.
    ///
    /// # Panics
    /// Above the number of events a node shows.
    pub fn progress(&self, what: Vec<AuditWhat>) -> CustodianReply {
        let offer = &self.signed.offer;
        let (mut audit, mut previous) = (Vec::new(), Digest([0; 32]));
        for (number, what) in (1..).zip(what) {
            let mut event = AuditEvent { session: offer.session, number, previous, at_s: 0, what, signature: Signature([0; 64]) };
            event.signature = Signature(self.key.sign(&event.words(&offer.cluster_id)).to_bytes());
            previous = Digest(event.digest());
            audit.push(event);
        }
        let progress = RecoveryProgress {
            session: offer.session,
            step: RecoveryStep::Shares,
            submitted: List::default(),
            loss: None,
            audit: List::new(audit).expect("few events"),
        };
        CustodianReply { number: 1, body: CustodianAnswer::Progress(Box::new(progress)) }
    }

    /// What the node tells of its progress when it asks everybody to accept a loss: `entries` would be kept, of a disk while that of slot 2 is missing or of a backup, and these
    /// `accepted` it.
    ///
    /// # Panics
    /// Above the number of events a node shows.
    pub fn asks_loss(&self, entries: u64, backup: bool, accepted: &[CustodianId]) -> CustodianReply {
        let terms = LossTerms {
            session: self.signed.offer.session,
            claims: Digest([8; 32]),
            chosen: TreePoint { size: entries, root: Digest([entries as u8; 32]) },
            missing: 1,
            voters: 2,
        };
        let absent = AbsentVoter { slot: Slot(2), incarnation: Incarnation::new(EPOCH, 8) };
        let taken = if backup { Incarnation::new(EPOCH, 0) } else { Custody::dealer() };
        let asked = LossAsked { terms, taken, absent: List::new(vec![absent]).expect("one fits"), known: if backup { 0 } else { entries } };
        let words = accepted.iter().map(|custodian| AuditWhat::LossAccepted(*custodian));
        let mut reply = self.progress(std::iter::once(AuditWhat::LossAsked(asked)).chain(words).collect());
        if let CustodianAnswer::Progress(progress) = &mut reply.body {
            (progress.step, progress.loss) = (RecoveryStep::Loss, Some(terms));
        }
        reply
    }
}
