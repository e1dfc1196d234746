//! A drill in a group of one, over the real steps: begun, answered, judged, on record; and everything that is not an answer to it.
//!
//! Decides: that nothing real is in a drill and nothing of a drill is in a recovery; that whoever answers wrongly is named; that a second one waits; that a
//! drill without answers leaves nothing. Trusts: `ringwall_keys::custody` for dealings. Out of scope: the network, the custodian's program.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::peers::serve::gate_tests::alone;
use crate::recover::session::tests::{box_of, custodian, signing};
use ed25519_dalek::Signer as _;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use ringwall_channel::NodeSecrets;
use ringwall_consensus::Held;
use ringwall_keys::HedgedIvs;
use ringwall_keys::custody::{DealPlan, Draws, KemSecret, Shadow, TagKey, combine, deal, open_share, seal_keys, seal_submission, shadow};
use ringwall_keys::ring::{CustodyUse, Keyring};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::{CustodyManifest, Dealing, ShareEnvelope, SharePlain, SignedManifest};
use ringwall_wire::drill::{DrillOutcome, shadow_cluster, shadow_copy};
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{ClusterId, CustodyEpoch, Epoch, Nonce, PolicyVersion, SigPublic, Signature, Slot};
use ringwall_wire::recovery::{RecoveryOffer, RecoveryPurpose};
use ringwall_wire::secret::Secret;

const CLUSTER: ClusterId = ClusterId([7; 32]);
const COPY: TreePoint = TreePoint { size: 12, root: Digest([12; 32]) };

fn plan<'a>(custodians: &'a [Custodian], previous: Digest) -> DealPlan<'a> {
    DealPlan {
        epoch: Epoch(1),
        custody_epoch: CustodyEpoch(3),
        threshold: 2,
        custodians,
        previous,
        policy: Digest([1; 32]),
        policy_version: PolicyVersion(1),
        dealer: Incarnation::new(Epoch(1), 1),
        dealer_sig: SigPublic([9; 32]),
    }
}

/// A real dealing, and the shadow of a drill beside it.
struct Both {
    ring: Keyring,
    real: CustodyManifest,
    envelopes: List<ShareEnvelope, { ringwall_wire::limits::CUSTODIANS }>,
    blob: RecoveryBlob,
    session: Nonce,
    shadow: Shadow,
}

impl Both {
    fn new(number: u8) -> Self {
        let mut rng = ChaCha20Rng::from_seed([number; 32]);
        let ring = Keyring::found(CLUSTER, &mut rng);
        let custodians: Vec<Custodian> = (1..=3).map(custodian).collect();
        let first = plan(&custodians, Digest([0; 32]));
        let mut ivs = HedgedIvs::new(Box::new(ChaCha20Rng::from_seed([number; 32])), first.dealer);
        let dealt = deal(&ring, &first, &mut rng, &mut ivs).unwrap();
        let hash = Digest(dealt.manifest.digest());
        let tag = TagKey::new(ring.unwrap_custody(&hash, CustodyUse::Tag, &dealt.keys.tag).unwrap());
        let salt = ring.custody_salt(CustodyEpoch(3));
        let blob = seal_keys(&ring, &dealt.manifest, &tag, Epoch(1), PolicyVersion(1), &mut Draws::new(&mut rng, &salt)).unwrap();
        let session = Nonce([number; 32]);
        let id = shadow_cluster(&CLUSTER, &session);
        let made = shadow(id, &plan(&custodians, hash), &shadow_copy(&id, &COPY), &mut rng, &mut ivs).unwrap();
        Both { ring, real: dealt.manifest, envelopes: dealt.envelopes, blob, session, shadow: made }
    }

    fn real_share(&self, number: u8) -> SharePlain {
        let envelope = &self.envelopes[usize::from(number) - 1];
        open_share(&self.real, &custodian(number).id(), envelope, &box_of(number)).unwrap().share().clone()
    }

    fn shadow_share(&self, number: u8) -> SharePlain {
        let envelope = &self.shadow.envelopes[usize::from(number) - 1];
        open_share(&self.shadow.manifest, &custodian(number).id(), envelope, &box_of(number)).unwrap().share().clone()
    }

    fn offer(&self, purpose: RecoveryPurpose, manifest: &CustodyManifest, secrets: &NodeSecrets) -> (RecoveryOffer, KemSecret) {
        let kem = KemSecret::from_seed(Secret::new(self.session.0));
        let offer = RecoveryOffer {
            cluster_id: CLUSTER,
            epoch: Epoch(1),
            purpose,
            custody_epoch: CustodyEpoch(3),
            manifest: Digest(manifest.digest()),
            session: self.session,
            kem: kem.public(),
            slot: Slot(1),
            sig: secrets.public().sig,
            inventory: List::default(),
            replaces: None,
            keepers: List::default(),
            earlier: List::default(),
        };
        (offer, kem)
    }

    /// A session of a drill, or of a recovery from the real dealing.
    fn session(&self, purpose: RecoveryPurpose) -> Session {
        let secrets = Arc::new(NodeSecrets::generate(&mut ChaCha20Rng::from_seed([1; 32])));
        let manifest = match purpose {
            RecoveryPurpose::Drill => &self.shadow.manifest,
            RecoveryPurpose::Outage => &self.real,
        };
        let (offer, kem) = self.offer(purpose, manifest, &secrets);
        Session::new(offer, manifest.clone(), kem, secrets, 1)
    }
}

fn submission(offer: &RecoveryOffer, number: u8, share: &SharePlain) -> ShareSubmission {
    let mut rng = ChaCha20Rng::from_seed([number; 32]);
    let mut draws = Draws::new(&mut rng, &Secret::new([8; 32]));
    let (digest, id) = (Digest(offer.digest()), custodian(number).id());
    let (kem, sealed) = seal_submission(&offer.kem, &digest, &offer.manifest, &id, share, &mut draws).unwrap();
    let mut sent = ShareSubmission {
        offer: digest,
        manifest: offer.manifest,
        custodian: id,
        kem,
        sealed,
        last_epoch: Epoch(1),
        anchor: None,
        signature: Signature([0; 64]),
    };
    sent.signature = Signature(signing(number).sign(&sent.words()).to_bytes());
    sent
}

#[test]
fn nothing_of_a_drill_holds_a_real_key_and_its_shares_open_the_shadow_alone() {
    let both = Both::new(1);
    let mut seen = both.shadow.manifest.encode();
    both.shadow.envelopes.iter().for_each(|envelope| seen.extend(envelope.encode()));
    seen.extend(both.shadow.blob.encode());
    seen.extend(both.shadow.seal);
    (1..=3).for_each(|number| seen.extend(both.shadow_share(number).encode()));
    let mut session = both.session(RecoveryPurpose::Drill);
    for number in [1, 3] {
        session.submit(&submission(session.offer(), number, &both.shadow_share(number)), 2).unwrap();
    }
    assert!(session.open(std::slice::from_ref(&both.blob), 3).is_err(), "the real blob is nothing the shadow's key opens");
    let mut session = both.session(RecoveryPurpose::Drill);
    for number in [1, 3] {
        session.submit(&submission(session.offer(), number, &both.shadow_share(number)), 2).unwrap();
    }
    let opened = session.open(std::slice::from_ref(&both.shadow.blob), 3).unwrap();
    let id = *opened.cluster_id();
    assert!(opened.has_sealed(opened.newest(), &shadow_copy(&id, &COPY), &both.shadow.seal), "it vouches for the copy");
    let other = TreePoint { size: 13, ..COPY };
    assert!(!opened.has_sealed(opened.newest(), &shadow_copy(&id, &other), &both.shadow.seal), "and for no other");
    opened.granted().iter().for_each(|key| seen.extend(key.key.expose()));
    let held = |needle: &[u8]| seen.windows(needle.len()).any(|window| window == needle);
    assert!(held(&opened.granted()[1].key.expose()[..16]), "the search finds what is there");
    for key in both.ring.granted() {
        assert!(!held(&key.key.expose()[..16]) && !held(&key.key.expose()[16..]), "real key {}", key.key_epoch);
    }
    for number in 1..=3 {
        let share = both.real_share(number);
        assert!(!held(&share.y.expose()[..16]) && !held(&share.r.expose()[..16]), "real share {number}");
    }
}

#[test]
fn a_real_share_is_nothing_in_a_drill_and_a_drills_is_nothing_in_a_recovery() {
    let (both, another) = (Both::new(2), Both::new(3));
    for (purpose, wrong) in [(RecoveryPurpose::Drill, both.real_share(1)), (RecoveryPurpose::Outage, both.shadow_share(1))] {
        let mut session = both.session(purpose);
        let offer = session.offer().clone();
        assert_eq!(
            session.submit(&submission(&offer, 1, &wrong), 2),
            Err(RecoveryFault::NotAShare),
            "{purpose:?}: sealed for it, and not of it"
        );
        assert_eq!(session.count().0, 0);
        // What was sealed to one of the two is nothing to the other, under whichever name it is brought.
        let other = match purpose {
            RecoveryPurpose::Drill => both.session(RecoveryPurpose::Outage),
            RecoveryPurpose::Outage => both.session(RecoveryPurpose::Drill),
        };
        let elsewhere = submission(other.offer(), 1, &wrong);
        assert_eq!(session.submit(&elsewhere, 2), Err(RecoveryFault::OtherSession), "{purpose:?}");
        let renamed = ShareSubmission { offer: Digest(offer.digest()), manifest: offer.manifest, ..elsewhere };
        assert_eq!(
            session.submit(&renamed, 2),
            Err(RecoveryFault::BadSignature),
            "{purpose:?}: it says what it is for under its signature"
        );
    }
    let mut session = both.session(RecoveryPurpose::Drill);
    let offer = session.offer().clone();
    assert_eq!(session.submit(&submission(&offer, 1, &another.shadow_share(1)), 2), Err(RecoveryFault::NotAShare), "another drill's");
    assert_eq!(session.submit(&submission(&offer, 1, &both.shadow_share(2)), 2), Err(RecoveryFault::OtherShare), "somebody else's");
    let good = submission(&offer, 1, &both.shadow_share(1));
    assert_eq!(session.submit(&good, 2), Ok(custodian(1).id()));
    assert_eq!(session.submit(&good, 2), Err(RecoveryFault::Already));
    // An envelope of the drill is none of the dealing, nor the other way round.
    for (manifest, envelope) in [(&both.real, &both.shadow.envelopes[0]), (&both.shadow.manifest, &both.envelopes[0])] {
        assert!(open_share(manifest, &custodian(1).id(), envelope, &box_of(1)).is_err());
        let renamed = ShareEnvelope { manifest: Digest(manifest.digest()), ..envelope.clone() };
        assert!(open_share(manifest, &custodian(1).id(), &renamed, &box_of(1)).is_err(), "sealed for its own manifest alone");
    }
    let shares: Vec<_> = (1..=2)
        .map(|number| {
            open_share(&both.shadow.manifest, &custodian(number).id(), &both.shadow.envelopes[usize::from(number) - 1], &box_of(number))
                .unwrap()
        })
        .collect();
    assert!(combine(&both.real, &shares).is_err(), "they were judged against the shadow");
}

/// An active dealing, as the record of a group of one would have it.
fn held(node: &Node) -> Held {
    let mut rng = ChaCha20Rng::from_seed([5; 32]);
    let custodians: Vec<Custodian> = (1..=3).map(custodian).collect();
    let plan = plan(&custodians, Digest([0; 32]));
    let mut ivs = HedgedIvs::new(Box::new(ChaCha20Rng::from_seed([5; 32])), plan.dealer);
    let dealt = deal(&node.keyring.now(), &plan, &mut rng, &mut ivs).unwrap();
    let hash = Digest(dealt.manifest.digest());
    let manifest = SignedManifest { manifest: dealt.manifest, signature: Signature([0; 64]) };
    let dealing = Dealing { manifest, envelopes: dealt.envelopes, keys: dealt.keys, exchange: Blob::default() };
    Held { hash, dealing, dealt_ms: 0, recovery: None, acks: BTreeMap::new(), proofs: BTreeMap::new(), drills: None }
}

async fn made(node: &Arc<Node>) -> (Held, Running) {
    let active = held(node);
    let view = node.replica.view().unwrap();
    let tree = view.tree();
    let ground = begin::Ground { copy: TreePoint { size: tree.size, root: tree.root }, term: view.term(), index: view.applied() };
    drop(view);
    let running = begin::make(node, &active, &ground, custodian(1).id()).await.unwrap();
    (active, running)
}

fn answered(running: &Running, number: u8) -> ShareSubmission {
    let envelope = &running.offer.envelopes[usize::from(number) - 1];
    let share = open_share(&running.offer.shadow, &custodian(number).id(), envelope, &box_of(number)).unwrap();
    submission(&running.offer.signed.offer, number, share.share())
}

#[tokio::test]
async fn whoever_answers_wrongly_or_not_at_all_is_named_in_the_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let node = alone(folder.path()).await;
    let (active, mut running) = made(&node).await;
    assert_eq!((running.offer.shadow.previous, running.offer.shadow.threshold), (active.hash, 2));
    let real = open_share(active.manifest(), &custodian(2).id(), &active.dealing.envelopes[1], &box_of(2)).unwrap();
    let wrong = submission(&running.offer.signed.offer, 2, real.share());
    assert_eq!(running.submit(&wrong, 1), Err(RecoveryFault::NotAShare));
    running.submit(&answered(&running, 1), 1).unwrap();
    assert_eq!(running.ends(), None, "one of two");
    let paper = rehearse::conclude(&node, &mut running, Some(RecoveryFault::Ended)).await.unwrap();
    let receipt = &paper.receipt;
    assert_eq!(receipt.outcome, DrillOutcome::Failed(RecoveryFault::Ended));
    assert!(matches!(receipt.custodians[0].answer, DrillAnswer::Given(_)));
    assert_eq!(receipt.custodians[1].answer, DrillAnswer::Refused(RecoveryFault::NotAShare));
    assert_eq!(receipt.custodians[2].answer, DrillAnswer::Silent);
    assert!(receipt.laps.is_empty() && receipt.given() == 1);
    let key = node.secrets.public().sig;
    assert!(crate::recover::session::is_signed(&key, &receipt.words(), &receipt.signature));
    assert_eq!((key, receipt.offer), (paper.offer.offer.sig, Digest(paper.offer.offer.digest())));
    assert!(!node.site.config.data.join(SCRATCH).exists());
    node.replica.shutdown().await;
}

#[tokio::test]
async fn five_wrong_answers_end_a_drill_and_enough_good_ones_conclude_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = alone(folder.path()).await;
    let (active, mut running) = made(&node).await;
    for number in 0..5_u8 {
        let place = number % 3;
        let at = usize::from(place);
        let share = open_share(active.manifest(), &custodian(place + 1).id(), &active.dealing.envelopes[at], &box_of(place + 1)).unwrap();
        let mut spoiled = share.share().clone();
        spoiled.y = Secret::new([number; 32]);
        assert!(running.submit(&submission(&running.offer.signed.offer, place + 1, &spoiled), 1).is_err());
    }
    assert_eq!(running.ends(), Some(Some(RecoveryFault::TooManyRefused)));
    let (_, mut running) = made(&node).await;
    for number in [1, 3] {
        running.submit(&answered(&running, number), 1).unwrap();
    }
    assert_eq!(running.ends(), Some(None));
    node.replica.shutdown().await;
}

#[tokio::test]
async fn a_member_without_a_dealing_or_a_drill_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let node = alone(folder.path()).await;
    let who = custodian(1).id();
    let asked = async |op| lead(&node, DrillCall { who, op }).await.unwrap();
    assert_eq!(asked(DrillOp::Begin).await, CustodianAnswer::Fault(CustodyFault::NoDealing));
    assert_eq!(asked(DrillOp::Offer).await, CustodianAnswer::RecoveryFault(RecoveryFault::NoSession));
    assert_eq!(asked(DrillOp::Progress).await, CustodianAnswer::RecoveryFault(RecoveryFault::NoSession));
    let stranger = Incarnation::new(node.incarnation.epoch(), 9_000);
    let refused = answer(&node, stranger, DrillCall { who, op: DrillOp::Begin }).await;
    assert!(matches!(refused, PeerAnswer::Refused(refusal) if refusal.code == RefusalCode::NotMember));
    // The leader that is deposed forgets what it had; here the replica ends, and leads no more.
    let (_, running) = made(&node).await;
    *node.custody.drill.running.lock().await = Some(running);
    assert!(matches!(asked(DrillOp::Begin).await, CustodianAnswer::DrillOffer(_)), "the one that is under way, no second one");
    look(&node).await;
    assert!(node.custody.drill.running.lock().await.is_some(), "it leads, and the drill waits for answers");
    node.replica.shutdown().await;
}

#[tokio::test]
async fn a_drill_that_nobody_answers_ends_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let node = alone(folder.path()).await;
    let (_, running) = made(&node).await;
    let day = Duration::from_secs(DRILL_LASTS_S);
    assert_eq!(running.ends_after(day.saturating_sub(Duration::from_secs(1))), None);
    assert_eq!(running.ends_after(day), Some(Some(RecoveryFault::Ended)));
    node.replica.shutdown().await;
}
