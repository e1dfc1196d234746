//! What a client's memory keeps, what it does not, and when it is over: sessions with a node whose ledger the test holds, without a network.
//!
//! Decides: a receipt is signed before it is kept and before it accuses; nothing is kept and nothing begins after a detection; what another process
//! of the user saw counts. Trusts: the rules (`judge.rs`, tried in client/tests/anchor.rs), the ledger. Out of scope: files, evidence under its
//! signers' proofs (client/tests/rollback.rs).
#![allow(clippy::unwrap_used)]

use super::*;
use crate::anchor::governed::Remembered;
use crate::anchor::{InMemory, KeptGovernance, KnownPolicy, LogForkFile};
use ed25519_dalek::{Signer as _, SigningKey};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use ringwall_sim::ledger::{Ledger, To};
use ringwall_wire::ids::{ClientId, ClusterId, Revision, SigPublic, Signature, UserId};
use ringwall_wire::release::LogHead;
use ringwall_wire::sample::{Sample as _, Source};
use ringwall_wire::session::{AttestResp, Refusal, RefusalCode, SavedExchange};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const CLUSTER: ClusterId = ClusterId([7; 32]);
const SPACE: Digest = Digest([1; 32]);
const OTHER: Digest = Digest([2; 32]);
/// Whose key the session proved.
const NODE: u8 = 5;
/// Somebody else.
const STRANGER: u8 = 6;

fn sign(seed: u8) -> impl Fn(&[u8]) -> Signature {
    let key = SigningKey::from_bytes(&[seed; 32]);
    move |words| Signature(key.sign(words).to_bytes())
}

/// A store that counts accusations and, where it is told to, forgets them.
#[derive(Default)]
struct Counting {
    inner: InMemory,
    accused: AtomicUsize,
    forgets: AtomicBool,
}

impl AnchorStore for Counting {
    fn load(&self) -> Result<KeptAnchor, AnchorError> {
        let mut kept = self.inner.load()?;
        if self.forgets.load(Ordering::Relaxed) {
            kept.detected = None;
        }
        Ok(kept)
    }

    fn save(&self, anchor: &Anchor, signers: &[Signer]) -> Result<(), AnchorError> {
        self.inner.save(anchor, signers)
    }

    fn detected(&self, evidence: &EvidenceFile) -> Result<String, AnchorError> {
        self.accused.fetch_add(1, Ordering::Relaxed);
        self.inner.detected(evidence)
    }

    fn governed(&self) -> Result<KeptGovernance, AnchorError> {
        self.inner.governed()
    }

    fn save_policy(&self, policy: &KnownPolicy) -> Result<KnownPolicy, AnchorError> {
        self.inner.save_policy(policy)
    }

    fn save_head(&self, head: &LogHead) -> Result<(), AnchorError> {
        self.inner.save_head(head)
    }

    fn log_lied(&self, proof: &LogForkFile) -> Result<String, AnchorError> {
        self.inner.log_lied(proof)
    }
}

impl Counting {
    /// Size of the newest tree that is kept.
    fn size(&self) -> Option<u64> {
        self.inner.load().unwrap().anchor.map(|anchor| anchor.newest.head.tree.size)
    }

    fn accused(&self) -> usize {
        self.accused.load(Ordering::Relaxed)
    }
}

/// One process of a user, and the node it speaks with.
struct Place {
    keeper: Arc<Keeper>,
    store: Arc<Counting>,
    ledger: Ledger,
}

/// One session.
struct Talk {
    sitting: Sitting,
    to: To,
}

impl Place {
    fn new() -> Self {
        Place::over(Arc::default())
    }

    fn over(store: Arc<Counting>) -> Self {
        let mut ledger = Ledger::new(CLUSTER, Epoch(2), 20);
        ledger.write(&SPACE);
        Place { keeper: Keeper::new(Arc::clone(&store) as Arc<dyn AnchorStore>), store, ledger }
    }

    fn longer(&self, writes: usize) -> Ledger {
        let mut longer = self.ledger.clone();
        (0..writes).for_each(|_| longer.write(&SPACE));
        longer
    }

    fn shorter(&self) -> Ledger {
        let mut shorter = self.ledger.clone();
        shorter.leaves.truncate(9);
        shorter
    }

    fn begin(&self) -> Result<Begun, Trouble> {
        self.keeper.begin(&mut ChaCha20Rng::seed_from_u64(9))
    }

    fn open(&self) -> Result<Talk, Trouble> {
        self.opened(self.begin()?)
    }

    fn opened(&self, opening: Begun) -> Result<Talk, Trouble> {
        let (user, client, nonce) = (UserId([3; 20]), ClientId([4; 16]), opening.nonce);
        let from = opening.known().map_or(0, |known| known.size);
        let mut to = To { user, client, nonce, number: 1, from };
        let first = self.ledger.receipt(&to, &[SPACE], 0, sign(NODE));
        to.from = self.ledger.size();
        let Ledger { cluster_id, epoch, incarnation, .. } = self.ledger;
        let key = SigPublic(SigningKey::from_bytes(&[NODE; 32]).verifying_key().to_bytes());
        let session = Session { cluster_id, epoch, incarnation, key, user, client, nonce, number: 1 };
        let mut source = Source::new(7);
        let exchange = Exchange::new(SavedExchange::sample(&mut source), AttestResp::sample(&mut source), Remembered::default());
        let sitting = Sitting::open(&self.keeper, opening, (session, exchange), (&first, &List::default()), 0)?;
        Ok(Talk { sitting, to })
    }
}

impl Talk {
    /// The session's next receipt, of this ledger, signed by whoever has this seed.
    fn hears(&mut self, ledger: &Ledger, seed: u8, covers: u16) -> Result<bool, Trouble> {
        self.hears_of(SPACE, ledger, seed, covers)
    }

    fn hears_of(&mut self, space: Digest, ledger: &Ledger, seed: u8, covers: u16) -> Result<bool, Trouble> {
        self.to.number += 1;
        let receipt = Box::new(ledger.receipt(&self.to, &[space], covers, sign(seed)));
        let heard = self.sitting.passes(&Reply { number: 0, body: Answer::Receipt(receipt) }.encode(), 0);
        match &heard {
            Ok(_) => self.to.from = ledger.size(),
            Err(_) => self.to.number -= 1,
        }
        heard
    }

    fn replied(&mut self, number: u64) -> Result<bool, Trouble> {
        self.sitting.passes(&Reply { number, body: Answer::Absent(Revision(5)) }.encode(), 0)
    }

    fn refused(&mut self, number: u64) -> Result<bool, Trouble> {
        let refusal = Refusal { code: RefusalCode::Unavailable, detail: Default::default() };
        self.sitting.passes(&Reply { number, body: Answer::Refused(refusal) }.encode(), 0)
    }
}

/// Two sessions beside each other, of which nothing waits, and two ledgers that go on: the second where the first one ends.
fn beside(place: &Place) -> ([Talk; 2], [Ledger; 2]) {
    let talks = [place.open().unwrap(), place.open().unwrap()];
    place.keeper.settle();
    let mut older = place.ledger.clone();
    older.write(&OTHER);
    let mut newer = older.clone();
    (0..3).for_each(|_| newer.write(&SPACE));
    (talks, [older, newer])
}

fn fault(fault: ReceiptFault) -> Trouble {
    Trouble::Receipt(fault)
}

fn detected(trouble: Option<Trouble>) -> Arc<Detected> {
    match trouble {
        Some(Trouble::Detected(what)) => what,
        other => unreachable!("no detection: {other:?}"),
    }
}

#[test]
fn what_is_not_signed_is_not_kept() {
    let place = Place::new();
    let mut talk = place.open().unwrap();
    place.keeper.settle();
    let kept = place.store.size();
    assert_eq!(kept, Some(place.ledger.size()), "what was signed is kept");
    // It goes on in every word, and the signature alone is not the node's.
    assert_eq!(talk.hears(&place.longer(3), STRANGER, 1), Ok(false));
    place.keeper.settle();
    assert_eq!(place.store.size(), kept, "a receipt nobody signed was kept");
    assert_eq!(talk.sitting.goes_on(), Err(fault(ReceiptFault::Signature)), "and the session ends");
    assert_eq!(place.store.accused(), 0);
    let again = place.open().unwrap();
    assert_eq!(again.sitting.anchor.as_ref().unwrap().newest.head.tree.size, place.ledger.size(), "nor is it remembered");
    // The same words, signed.
    let mut talk = place.open().unwrap();
    assert_eq!(talk.hears(&place.longer(3), NODE, 1), Ok(false));
    place.keeper.settle();
    assert_eq!(place.store.size(), Some(place.longer(3).size()));
}

#[test]
fn a_word_that_is_not_signed_accuses_nobody() {
    let place = Place::new();
    let mut talk = place.open().unwrap();
    let later = talk.hears(&place.shorter(), STRANGER, 1);
    assert_eq!(later, Err(fault(ReceiptFault::Signature)), "the later one of two is not the node's");
    // Here the known one is not: it said more than there is.
    assert_eq!(talk.hears(&place.longer(3), STRANGER, 1), Ok(false));
    assert_eq!(talk.replied(1), Ok(true));
    let known = talk.hears(&place.ledger, NODE, 1);
    assert_eq!(known, Err(fault(ReceiptFault::Signature)), "the known one of two is not the node's");
    assert_eq!(place.store.accused(), 0);
    // The same tale, told by the node itself.
    let place = Place::new();
    let mut talk = place.open().unwrap();
    assert_eq!(talk.hears(&place.longer(3), NODE, 1), Ok(false));
    assert_eq!(talk.replied(1), Ok(true));
    let what = detected(talk.hears(&place.ledger, NODE, 1).err());
    assert_eq!((what.misdeed, place.store.accused()), (Misdeed::Rollback, 1));
}

#[test]
fn a_receipt_answers_for_the_replies_after_it_and_for_no_more() {
    let place = Place::new();
    let mut talk = place.open().unwrap();
    assert_eq!(talk.replied(1), Err(fault(ReceiptFault::Missing)), "the first one answers for no reply");
    assert_eq!(talk.hears(&place.ledger, NODE, 2), Ok(false));
    assert_eq!((talk.replied(1), talk.replied(2)), (Ok(true), Ok(true)));
    assert_eq!(talk.replied(3), Err(fault(ReceiptFault::Missing)));
    assert_eq!(talk.hears(&place.ledger, NODE, 2), Ok(false));
    assert_eq!((talk.replied(3), talk.refused(0), talk.refused(4)), (Ok(true), Ok(true), Ok(true)), "a refusal was one of the two");
    assert_eq!(talk.replied(5), Err(fault(ReceiptFault::Missing)));
    assert_eq!(talk.hears(&place.ledger, NODE, 1), Ok(false));
    assert_eq!(talk.hears(&place.ledger, NODE, 1), Err(fault(ReceiptFault::Torn)), "the one before was for nobody");
}

#[test]
fn after_a_detection_nothing_is_kept_and_nothing_begins() {
    let place = Place::new();
    place.store.forgets.store(true, Ordering::Relaxed);
    let (mut one, mut other) = (place.open().unwrap(), place.open().unwrap());
    place.keeper.settle();
    assert_eq!(place.store.size(), Some(place.ledger.size()));
    // One session is told more, in good order; before that is kept, the other one is told less.
    assert_eq!(other.hears(&place.longer(3), NODE, 1), Ok(false));
    let what = detected(one.hears(&place.shorter(), NODE, 1).err());
    assert_eq!(what.misdeed, Misdeed::Rollback);
    place.keeper.settle();
    assert_eq!(place.store.size(), Some(place.ledger.size()), "something was kept after the detection");
    assert_eq!(detected(other.sitting.goes_on().err()), what, "every session of this client ends");
    // Another fault does not cover it, and asking again does not wear it off.
    assert_eq!(place.keeper.hurt(fault(ReceiptFault::Torn)), Trouble::Detected(Arc::clone(&what)));
    for _ in 0..3 {
        assert_eq!(detected(place.open().err()), what, "although the store has nothing to say of it");
    }
    let next = Place::over(Arc::clone(&place.store));
    assert!(next.open().is_ok(), "this store forgot; a process that has nothing else to go by begins");
    place.store.forgets.store(false, Ordering::Relaxed);
    let next = Place::over(Arc::clone(&place.store));
    assert_eq!(detected(next.open().err()).misdeed, Misdeed::Rollback, "one that remembers ends those that come later too");
}

#[test]
fn what_another_process_of_the_user_saw_counts() {
    let first = Place::new();
    drop(first.open().unwrap());
    first.keeper.settle();
    let mut second = Place::over(Arc::clone(&first.store));
    second.ledger = first.longer(5);
    drop(second.open().unwrap());
    second.keeper.settle();
    // The first was never told of those five; its node has lost three of them.
    let mut first = first;
    first.ledger = first.longer(2);
    let what = detected(first.open().err());
    assert_eq!((what.misdeed, first.store.accused()), (Misdeed::Rollback, 1));

    // Two that run at the same time are told two histories of one length: it shows when the second is to be kept.
    let one = Place::new();
    let mut other = Place::over(Arc::clone(&one.store));
    other.ledger.rewrite(4);
    let (_one, _other) = (one.open().unwrap(), other.open().unwrap());
    one.keeper.settle();
    other.keeper.settle();
    assert_eq!(one.store.accused(), 1);
    assert_eq!(detected(other.open().err()).misdeed, Misdeed::Fork);
    assert_eq!(detected(one.open().err()).misdeed, Misdeed::Fork, "nor does the other one go on");
}

#[test]
fn what_sessions_beside_each_other_accepted_is_kept_whichever_was_last() {
    for older_last in [true, false] {
        let place = Place::new();
        let ([mut used, mut left], [older, newer]) = beside(&place);
        for older_now in [!older_last, older_last] {
            let heard = if older_now { left.hears_of(OTHER, &older, NODE, 1) } else { used.hears(&newer, NODE, 1) };
            assert_eq!(heard, Ok(false));
        }
        assert_eq!(place.keeper.lock().fresh.len(), 2);
        place.keeper.settle();
        let kept = place.store.inner.load().unwrap().anchor.unwrap();
        assert_eq!(kept.newest.head.tree.size, newer.size(), "older last: {older_last}");
        assert!(kept.receipts().any(|receipt| receipt.leaf.mark(&OTHER).is_some()), "both are kept");
        assert_eq!(place.begin().unwrap().known().unwrap().size, newer.size(), "and the newest is shown");
        assert_eq!(place.keeper.due_ms(), None);
        assert!(place.keeper.lock().fresh.is_empty());
        assert!(used.sitting.goes_on().is_ok() && left.sitting.goes_on().is_ok());
    }
}

#[test]
fn a_session_whose_word_is_not_signed_takes_no_other_sessions_word_with_it() {
    let place = Place::new();
    let ([mut used, mut left], [older, newer]) = beside(&place);
    assert_eq!(used.hears(&older, NODE, 1), Ok(false));
    assert_eq!(left.hears(&newer, STRANGER, 1), Ok(false));
    place.keeper.settle();
    assert_eq!(place.store.size(), Some(older.size()), "what was signed is kept, and nothing else");
    assert!(place.begin().is_ok() && used.sitting.goes_on().is_ok(), "whoever asks first is not told of another session's fault");
    assert_eq!(left.sitting.goes_on(), Err(fault(ReceiptFault::Signature)));
    assert!(place.keeper.lock().fresh.is_empty());
    assert_eq!((place.store.accused(), place.begin().unwrap().known().unwrap().size), (0, older.size()));
}

#[test]
fn two_sessions_that_were_told_two_histories_show_it_when_they_are_kept() {
    let place = Place::new();
    let ([mut one, mut other], [_, newer]) = beside(&place);
    let mut forked = newer.clone();
    forked.rewrite(place.ledger.leaves.len());
    assert_eq!((one.hears(&newer, NODE, 1), other.hears(&forked, NODE, 1)), (Ok(false), Ok(false)));
    place.keeper.settle();
    assert_eq!((detected(other.sitting.goes_on().err()).misdeed, place.store.accused()), (Misdeed::Fork, 1));
    assert_eq!(detected(place.begin().err()).misdeed, Misdeed::Fork);
}

#[test]
fn whoever_keeps_late_takes_nothing_back() {
    let place = Place::new();
    let ([mut used, _left], [older, newer]) = beside(&place);
    assert_eq!((used.hears(&older, NODE, 1), used.replied(1)), (Ok(false), Ok(true)));
    // A thread that is slow has this in hand, while others keep what came since, and what came after that waits.
    let late = place.keeper.lock().fresh.first().unwrap().clone();
    assert_eq!((used.hears(&newer, NODE, 1), used.replied(2)), (Ok(false), Ok(true)));
    place.keeper.settle();
    let mut newest = newer.clone();
    newest.write(&SPACE);
    assert_eq!(used.hears(&newest, NODE, 1), Ok(false));
    assert!(place.keeper.keep(&late));
    let known = |place: &Place| place.keeper.lock().anchor.as_ref().unwrap().newest.head.tree.size;
    assert_eq!((known(&place), place.keeper.lock().fresh.len()), (newer.size(), 1), "what is known stays, and what waits");
    place.keeper.settle();
    assert_eq!((known(&place), place.store.size()), (newest.size(), Some(newest.size())));
}

#[test]
fn what_waits_is_bounded() {
    let place = Place::new();
    let begun: Vec<Begun> = (0..SESSIONS + 2).map(|_| place.begin().unwrap()).collect();
    let talks: Vec<Talk> = begun.into_iter().map(|begun| place.opened(begun).unwrap()).collect();
    assert_eq!((talks.len(), place.keeper.lock().fresh.len()), (SESSIONS + 2, SESSIONS));
    let quiet = |talk: &Talk| place.keeper.lock().fresh.iter().all(|fresh| !Arc::ptr_eq(&fresh.session, &talk.sitting.proven));
    let gone: Vec<bool> = talks.iter().take(3).map(quiet).collect();
    assert_eq!(gone, [true, true, false], "the one that was silent longest goes");
}
