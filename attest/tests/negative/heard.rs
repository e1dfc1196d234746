//! A judge that heard more of a log than a proof shows, and proofs that entries are public, with one thing wrong in each.
//!
//! Decides: a head that lags passes, a build that was revoked does not, and a log that lied is shown with both heads; an entry is public by the log and the witnesses of
//! the policy alone.
//! Trusts: proofs `ringwall-sim` mints. Out of scope: what a proof of release proves by itself (`release.rs`), nodes (`node/src/heard/tests.rs`).

use crate::harness::NOW_S;
use ringwall_attest::release::{Heard, LogError, Ran, ReleaseError, verify_published};
use ringwall_sim::release::{MintedLog, Publisher, Witness, statement_of};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClusterId, Digest};
use ringwall_wire::policy::Measurement;
use ringwall_wire::release::{LogEntry, Published, PublishedEntry, ReleaseProof, Revoked, RevokedBuild};

struct Scene {
    publisher: Publisher,
    build: Measurement,
    proof: ReleaseProof,
    size: u64,
}

impl Scene {
    fn new() -> Self {
        let mut publisher = Publisher::default();
        let build = ringwall_sim::world::policy().measurements.first().unwrap().clone();
        let proof = publisher.publish(&statement_of(&build), NOW_S);
        let size = publisher.log.size();
        Scene { publisher, build, proof, size }
    }

    fn revoke(&mut self, build: &str) {
        let what = RevokedBuild::Build(Text::new(build).unwrap());
        self.publisher.log.revoke(Revoked { what, reason: Text::new("it leaks").unwrap(), at_s: NOW_S });
    }

    /// The proof with the log's head as it is now, by these witnesses.
    fn by(&self, witnesses: &[Witness], at_s: u64) -> ReleaseProof {
        let mut proof = self.proof.clone();
        self.publisher.refresh(&mut proof, self.size, &[], at_s);
        proof.head = self.publisher.log.head(witnesses, at_s);
        proof
    }

    fn now(&self, at_s: u64) -> ReleaseProof {
        self.by(&self.publisher.witnesses, at_s)
    }

    fn heard(&self, proof: &ReleaseProof) -> Heard {
        Heard::of(&proof.encode(), &self.publisher.rule()).unwrap()
    }

    fn allows(&self, heard: &Heard, proof: &ReleaseProof) -> Result<(), ReleaseError> {
        heard.allows(&proof.encode(), &self.publisher.rule(), &self.build, &Ran::Snp(*self.build.snp.first().unwrap()))
    }
}

#[test]
fn a_build_stays_revoked_whatever_older_head_is_shown_for_it() {
    let mut scene = Scene::new();
    let before = scene.proof.clone();
    scene.revoke("another");
    let heard = scene.heard(&scene.now(NOW_S));
    assert_eq!((heard.revoked(), scene.allows(&heard, &before)), (1, Ok(())), "it lags, and was not revoked");
    let own = scene.build.id.to_string();
    scene.revoke(&own);
    let more = scene.heard(&scene.now(NOW_S));
    assert!(more.says_more_than(&heard) && !heard.says_more_than(&more) && !more.says_more_than(&more));
    assert!(matches!(scene.allows(&more, &before), Err(ReleaseError::Revoked { .. })));
    assert_eq!(scene.allows(&heard, &before), Ok(()), "whoever heard less goes by that");
    // The log of another policy says nothing of this one's builds.
    let mut other = Scene::new();
    other.publisher.log = MintedLog::new("log.example/other");
    other.publisher.log.append_leaf(Digest([1; 32]));
    other.proof = other.publisher.publish(&statement_of(&other.build), NOW_S);
    other.revoke(&own);
    let elsewhere = other.heard(&other.now(NOW_S));
    assert_eq!(scene.allows(&elsewhere, &before), Ok(()));
    assert!(Heard::of(&before.encode(), &other.publisher.rule()).is_err(), "and its key does not vouch for this head");
}

#[test]
fn an_older_head_is_a_lie_only_where_the_same_witnesses_went_back() {
    let mut scene = Scene::new();
    let old = scene.publisher.clone();
    scene.publisher.log.append_leaf(Digest([3; 32]));
    let witnesses = scene.publisher.witnesses.clone();
    let heard = scene.heard(&scene.by(&witnesses[..2], NOW_S));
    let shrunk = |cosigning: &[Witness], at_s| {
        let mut proof = scene.proof.clone();
        old.refresh(&mut proof, scene.size, &[], at_s);
        proof.head = old.log.head(cosigning, at_s);
        proof
    };
    for (cosigning, at_s) in [(&witnesses[..2], NOW_S), (&witnesses[..2], NOW_S - 5), (&witnesses[1..], NOW_S + 5)] {
        assert_eq!(scene.allows(&heard, &shrunk(cosigning, at_s)), Ok(()), "{at_s}");
    }
    let lied = scene.allows(&heard, &shrunk(&witnesses[..2], NOW_S + 5));
    assert!(matches!(lied, Err(ReleaseError::Fork { error: LogError::Shrank { older: 3, newer: 2 }, .. })), "{lied:?}");
}

#[test]
fn a_newer_head_that_forgot_a_revocation_is_a_lie_whatever_leads_to_it() {
    let mut scene = Scene::new();
    scene.revoke("another");
    let heard = scene.heard(&scene.now(NOW_S));
    scene.publisher.log.append_leaf(Digest([3; 32]));
    assert_eq!(scene.allows(&heard, &scene.now(NOW_S)), Ok(()), "nothing leads to it, and it has what was revoked");
    scene.publisher.log.forget_revocations();
    for _ in 0..2 {
        let lied = scene.allows(&heard, &scene.now(NOW_S));
        assert!(matches!(lied, Err(ReleaseError::RevocationTakenBack { known: 1, .. })), "{lied:?}");
        assert!(
            !scene.heard(&scene.now(NOW_S)).says_more_than(&heard),
            "whoever remembers a revocation does not forget it for a longer log"
        );
        scene.revoke("yet another");
    }
    // Another history of one size.
    let mut forked = Scene::new();
    forked.publisher.log.append_leaf(Digest([4; 32]));
    let lied = scene.allows(&scene.heard(&scene.now(NOW_S)), &forked.now(NOW_S));
    assert!(matches!(lied, Err(ReleaseError::Fork { error: LogError::Forked { .. }, .. })), "{lied:?}");
}

#[test]
fn what_too_few_vouch_for_is_not_heard() {
    let scene = Scene::new();
    let heard = |proof: &ReleaseProof| Heard::of(&proof.encode(), &scene.publisher.rule());
    assert!(matches!(
        heard(&scene.by(&scene.publisher.witnesses[..1], NOW_S)),
        Err(ReleaseError::Log(LogError::TooFewWitnesses { cosigned: 1, threshold: 2 }))
    ));
    let mut other = Scene::new();
    other.revoke("another");
    let silent = ReleaseProof { revocations: scene.proof.revocations.clone(), ..other.now(NOW_S) };
    assert_eq!(heard(&silent), Err(ReleaseError::OtherRevocations));
}

#[test]
fn entries_are_public_by_the_log_and_the_witnesses_of_the_policy() {
    let mut publisher = Publisher::default();
    let entries = [1, 2, 3].map(|number| LogEntry::custody(ClusterId([7; 32]), Digest([number; 32])));
    let places = entries.clone().map(|entry| publisher.log.append(&entry));
    let (rule, size) = (publisher.rule(), publisher.log.size());
    let shown = |at: usize| PublishedEntry { entry: entries[at].clone(), proof: publisher.log.inclusion(places[at], size) };
    let checkpoint = |witnesses: usize| publisher.log.head(&publisher.witnesses[..witnesses], NOW_S);
    let judged = |witnesses: usize, entries: Vec<PublishedEntry>| {
        verify_published(&Published { checkpoint: checkpoint(witnesses), entries: List::new(entries).unwrap() }.encode(), &rule)
    };
    let published = judged(2, vec![shown(0), shown(2)]).unwrap();
    assert_eq!((published.place_of(&entries[2]), published.place_of(&entries[1]), published.since_s()), (Some(3), None, NOW_S));
    assert!(matches!(judged(1, vec![shown(0)]), Err(ReleaseError::Log(LogError::TooFewWitnesses { .. }))));
    for disordered in [vec![shown(1), shown(0)], vec![shown(1), shown(1)]] {
        assert!(matches!(judged(3, disordered), Err(ReleaseError::OtherEntry { .. })));
    }
    let swapped = PublishedEntry { entry: entries[1].clone(), ..shown(0) };
    assert!(matches!(judged(3, vec![swapped]), Err(ReleaseError::Log(LogError::NotIncluded { .. }))));
    let stranger = MintedLog::new("log.example/releases-too");
    let other = Published { checkpoint: stranger.head(&publisher.witnesses, NOW_S), entries: List::default() };
    assert!(verify_published(&other.encode(), &rule).is_err());
    assert!(matches!(verify_published(b"nothing", &rule), Err(ReleaseError::Malformed(_))));
}
