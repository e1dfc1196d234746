//! Batching against a platform that counts, blocks and fails.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: real evidence (`session/tests.rs`).

#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::front::testing::rng;
use ed25519_dalek::VerifyingKey;
use ringwall_attest::batch::fold;
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{SnpEndorsements, SnpEvidence};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// A platform whose evidence is the root it was asked about.
#[derive(Default)]
struct Fake {
    roots: Mutex<Vec<(Digest, Instant)>>,
    takes: Duration,
    throttled: AtomicU64,
    broken: bool,
    standing_period_s: u64,
    /// Steps of the policy so far.
    steps: AtomicU64,
}

/// The policy after so many steps; what they are does not matter here.
fn in_force(steps: u64) -> Arc<InForce> {
    let mut policy = ringwall_sim::world::policy();
    policy.version.0 += steps;
    Arc::new(InForce::founding(policy))
}

impl Maker for Arc<Fake> {
    fn make(&self, root: Digest) -> Result<Quote, CollectError> {
        lock(&self.roots).push((root, Instant::now()));
        std::thread::sleep(self.takes);
        if self.broken {
            return Err(CollectError::Unavailable { reason: String::new() });
        }
        if self.throttled.load(Ordering::SeqCst) > 0 {
            self.throttled.fetch_sub(1, Ordering::SeqCst);
            return Err(CollectError::Throttled { retry_after_ms: 10 });
        }
        let evidence = Evidence::Snp(SnpEvidence { report: Blob::new(root.0).unwrap() });
        let endorsements = SnpEndorsements { vek: Blob::default(), ask: Blob::default(), crl: Blob::default() };
        Ok(Quote { evidence, endorsements: Endorsements::Snp(endorsements), in_force: in_force(self.steps.load(Ordering::SeqCst)) })
    }

    fn is_current(&self, quote: &Quote) -> bool {
        quote.in_force.digest() == in_force(self.steps.load(Ordering::SeqCst)).digest()
    }

    fn standing_period_s(&self) -> u64 {
        self.standing_period_s
    }
}

struct World {
    fake: Arc<Fake>,
    quotes: Arc<Quotes<Arc<Fake>>>,
    now_s: Arc<AtomicU64>,
}

fn world(fake: Fake, standing_period_s: u32) -> World {
    let fake = Arc::new(Fake { standing_period_s: u64::from(standing_period_s), ..fake });
    let now_s = Arc::new(AtomicU64::new(1_000));
    let clock = now_s.clone();
    let quotes = Quotes::new(fake.clone(), Arc::new(move || clock.load(Ordering::SeqCst)), rng());
    let quotes = Arc::new(quotes);
    tokio::spawn(quotes.clone().run());
    World { fake, quotes, now_s }
}

impl World {
    async fn ask(&self, session: u64, mode: AttestMode) -> Result<Digest, RefusalCode> {
        let mut handshake = Digest([0; 32]);
        handshake.0[..8].copy_from_slice(&session.to_be_bytes());
        let nonce = Nonce([session as u8; 32]);
        let bound = self.quotes.ask(handshake, nonce, mode).await.map_err(|refusal| refusal.code)?;
        let Evidence::Snp(evidence) = &bound.quote.evidence else { panic!("not what the platform made") };
        let quoted = Digest(evidence.report.to_vec().try_into().unwrap());
        let reached = match &bound.proof {
            SessionProof::Batched(path) => fold(&leaf(&handshake, &nonce), path),
            SessionProof::Standing(proof) => {
                let key = VerifyingKey::from_bytes(&proof.key.0).unwrap();
                let signature = ed25519_dalek::Signature::from_bytes(&proof.signature.0);
                key.verify_strict(&session_words(&handshake, &nonce), &signature).unwrap();
                fold(&standing_leaf(&proof.key, proof.period_start_s), &proof.path)
            }
        };
        assert_eq!(reached, Some(quoted), "the quote is for this session");
        Ok(quoted)
    }

    fn quotes_made(&self) -> usize {
        lock(&self.fake.roots).len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_asker_is_served_at_once_and_a_crowd_shares_quotes() {
    // Who waits for the gap waits for it each time; a busy machine delays somebody now and then.
    let mut at_once = false;
    for _ in 0..20 {
        let world = world(Fake { takes: Duration::from_millis(8), ..Fake::default() }, 0);
        let began = Instant::now();
        world.ask(0, AttestMode::Batched).await.unwrap();
        at_once |= began.elapsed() < QUOTE_GAP;
    }
    assert!(at_once, "lone askers wait for the gap");
    let world = Arc::new(world(Fake { takes: Duration::from_millis(8), ..Fake::default() }, 0));
    world.ask(0, AttestMode::Batched).await.unwrap();
    let asks = (1..=500).map(|session| {
        let world = world.clone();
        tokio::spawn(async move { world.ask(session, AttestMode::Batched).await.unwrap() })
    });
    let asks: Vec<_> = asks.collect();
    let mut roots = BTreeSet::new();
    for ask in asks {
        roots.insert(ask.await.unwrap());
    }
    assert!(roots.len() <= 3, "{} quotes for 500 sessions", roots.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotes_keep_their_distance_and_single_ones_share_with_nobody() {
    let world = world(Fake::default(), 0);
    let asks = (0..4).map(|session| world.ask(session, AttestMode::Single)).collect::<Vec<_>>();
    let batched = (10..20).map(|session| world.ask(session, AttestMode::Batched)).collect::<Vec<_>>();
    let (singles, batched) = tokio::join!(futures_util::future::join_all(asks), futures_util::future::join_all(batched));
    let singles: BTreeSet<Digest> = singles.into_iter().map(Result::unwrap).collect();
    let batched: BTreeSet<Digest> = batched.into_iter().map(Result::unwrap).collect();
    assert_eq!((singles.len(), singles.intersection(&batched).count()), (4, 0));
    let roots = lock(&world.fake.roots);
    let gaps = roots.windows(2).map(|pair| pair[1].1 - pair[0].1);
    // The blocking thread starts a moment after the quote was begun.
    assert!(gaps.clone().all(|gap| gap >= QUOTE_GAP - Duration::from_millis(10)), "{:?}", gaps.collect::<Vec<_>>());
    assert!(u32::try_from(Duration::from_secs(1).as_millis() / QUOTE_GAP.as_millis()).unwrap() <= QUOTES_PER_SECOND);
}

#[tokio::test]
async fn too_many_singles_are_busy() {
    let world = world(Fake { takes: Duration::from_secs(1), ..Fake::default() }, 0);
    let asks = (0..=SINGLE_WAITING as u64).map(|session| world.ask(session, AttestMode::Single));
    let mut asks: FuturesUnordered<_> = asks.collect();
    let refused = timeout(Duration::from_millis(500), async {
        loop {
            if let Some(Err(code)) = asks.next().await {
                return code;
            }
        }
    });
    assert_eq!(refused.await.unwrap(), RefusalCode::Busy);
}

#[tokio::test]
async fn a_standing_key_serves_its_period_and_no_longer() {
    let world = world(Fake::default(), 600);
    let first = world.ask(1, AttestMode::Standing).await.unwrap();
    for session in 2..50 {
        assert_eq!(world.ask(session, AttestMode::Standing).await.unwrap(), first);
    }
    assert_eq!(world.quotes_made(), 1);
    world.now_s.store(1_000 + 450, Ordering::SeqCst);
    assert_ne!(world.ask(50, AttestMode::Standing).await.unwrap(), first);
    world.now_s.store(500, Ordering::SeqCst);
    world.ask(51, AttestMode::Standing).await.unwrap();
    assert_eq!(world.quotes_made(), 3, "a clock that went back ends the period");
}

#[tokio::test]
async fn a_standing_key_is_over_with_the_policy_it_is_bound_to() {
    let world = world(Fake::default(), 600);
    let first = world.ask(1, AttestMode::Standing).await.unwrap();
    world.fake.steps.store(1, Ordering::SeqCst);
    let second = world.ask(2, AttestMode::Standing).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(world.ask(3, AttestMode::Standing).await, Ok(second));
    assert_eq!(world.quotes_made(), 2);
}

#[tokio::test]
async fn standing_is_refused_where_the_policy_offers_none() {
    let world = world(Fake::default(), 0);
    assert_eq!(world.ask(1, AttestMode::Standing).await, Err(RefusalCode::ModeNotOffered));
    assert_eq!(world.quotes_made(), 0);
}

#[tokio::test]
async fn a_platform_that_asks_to_wait_is_waited_for_and_a_broken_one_is_said_so() {
    let patient = world(Fake { throttled: AtomicU64::new(2), ..Fake::default() }, 0);
    patient.ask(1, AttestMode::Batched).await.unwrap();
    assert_eq!(patient.quotes_made(), 3);
    let broken = world(Fake { broken: true, ..Fake::default() }, 0);
    assert_eq!(broken.ask(1, AttestMode::Batched).await, Err(RefusalCode::Unavailable));
}

use futures_util::stream::{FuturesUnordered, StreamExt as _};
