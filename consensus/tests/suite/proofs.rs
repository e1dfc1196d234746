//! A member that was away while others were replaced: whom it follows when it is back, and whom it does not.
//!
//! Decides: who shows a genuine admission is followed, across any number of replacements; with no proof, or a wrong, foreign, stale, short
//! or one-sided one, nothing reaches Raft. Evidence is taken for genuine throughout: it is what can be forged (protocol 4.4).
//! Trusts: the wires of `rig`. Out of scope: the single rules (`consensus/src/shown_tests.rs`).

use crate::rig::*;
use ringwall_consensus::{LinkFault, Recognition, Replica, Role, Unrecognized};
use ringwall_wire::admission::AdmissionProof;
use ringwall_wire::bounded::List;
use ringwall_wire::command::CommandBody;
use ringwall_wire::ids::{Incarnation, NoisePublic, Vendor};
use ringwall_wire::peer::{AppendCall, Ballot, LogPosition, PeerAnswer, PeerCall, VoteCall};
use ringwall_wire::request::Expect;
use ringwall_wire::session::RefusalCode;
use std::collections::BTreeSet;

/// Five voters, of which one has been away while all others, and the leader last, were replaced.
struct Away {
    group: Group,
    lagging: Replica,
    /// Voters it has on record.
    known: BTreeSet<Incarnation>,
}

impl Away {
    async fn begin(between: usize) -> Away {
        let group = Group::start(5).await;
        group.write(open_space(SPACE)).await;
        let voters = group.leader().await.metrics().voters;
        let leader = group.leader().await.metrics().me;
        let away = voters.iter().map(|voter| voter.incarnation).find(|id| *id != leader).unwrap();
        let lagging = group.get(away);
        wait_for("it has everything so far", || lagging.applied() == group.get(leader).applied()).await;
        group.wires.faults.lock().unwrap().alone.insert(away);
        let mut last = None;
        for made in 0..between {
            last = Some(group.admit(&cert(6, 1_000 + made as u64), last).await);
        }
        let mut old: Vec<_> = voters.iter().filter(|voter| voter.incarnation != away).collect();
        // The leader goes last.
        old.sort_by_key(|voter| voter.incarnation == leader);
        for voter in old {
            group.write(put(1, voter.incarnation.admit_index(), 7, b"meanwhile", Expect::Any)).await;
            if group.leader().await.metrics().me == voter.incarnation {
                group.leader().await.hand_over().await.unwrap();
            }
            group.kill(voter.incarnation).await;
            group.join(voter.member.slot.0, Some(voter.incarnation)).await;
            group.command(CommandBody::Retire(voter.incarnation)).await;
        }
        let known = voters.iter().map(|voter| voter.incarnation).collect();
        Away { group, lagging, known }
    }

    fn noise(&self, who: Incarnation) -> NoisePublic {
        self.group.wires.keys.lock().unwrap()[&who]
    }

    /// The index after which the member that was away asks.
    fn asked(&self, who: Incarnation) -> u64 {
        match self.lagging.recognise(who, &self.noise(who)) {
            Recognition::Unproven { after } => after,
            other => panic!("{who} is {other:?}"),
        }
    }
}

/// What a leader of this name sends.
fn append(leader: Incarnation) -> PeerCall {
    let ballot = Ballot { term: 1_000, leader, committed: true };
    PeerCall::Append(AppendCall { ballot, previous: None, entries: List::default(), committed: None, tree: None })
}

async fn assert_stopped(replica: &Replica, from: Incarnation, call: PeerCall) {
    match replica.answer(from, call).await {
        PeerAnswer::Refused(refusal) => assert_eq!(refusal.code, RefusalCode::NotMember, "{}", &*refusal.detail),
        other => panic!("{other:?}"),
    }
}

/// Entries, read indices and votes of `from`, all stopped.
async fn assert_silenced(replica: &Replica, from: Incarnation) {
    for call in [append(from), PeerCall::ReadIndex] {
        assert_stopped(replica, from, call).await;
    }
    let longer = Some(LogPosition { term: 900, index: 900 });
    let ballot = Ballot { term: 1_000, leader: from, committed: false };
    assert_stopped(replica, from, PeerCall::Vote(VoteCall { ballot, last: longer, transfer: false })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lags_follows_whoever_shows_its_admission_and_nobody_else() {
    let away = Away::begin(0).await;
    let lagging = &away.lagging;
    // The one that was admitted last: it may lead any time, and its admission rests on all the others.
    let (me, newest) = away.group.all().pop_last().unwrap();
    let term = lagging.metrics().term;
    let noise = away.noise(me);
    let after = away.asked(me);
    assert!(!away.known.contains(&me), "nobody it has on record is left");
    let genuine = newest.prover().proof(after);
    assert!(genuine.links.len() >= 4);

    let prove = |edit: &dyn Fn(&mut AdmissionProof)| {
        let mut proof = genuine.clone();
        edit(&mut proof);
        lagging.prove(me, &noise, &proof, after)
    };
    let fault = |seen: Recognition| match seen {
        Recognition::Refused(Unrecognized::Link { fault, .. }) => fault,
        other => panic!("{other:?}"),
    };
    let first = |edit: fn(&mut ringwall_wire::admission::AdmissionLink)| {
        move |proof: &mut AdmissionProof| {
            let mut links = proof.links.clone().into_vec();
            edit(&mut links[0]);
            proof.links = List::new(links).unwrap();
        }
    };
    // None at all.
    assert_eq!(prove(&|proof| *proof = AdmissionProof::none()), Recognition::Refused(Unrecognized::NotShown(me)));
    // Wrong: a signature, the certificate, the evidence.
    let few = |fault: LinkFault| matches!(fault, LinkFault::TooFew { .. });
    for (what, edit) in [
        ("signatures", first(|link| sign_nothing(link, |_| true))),
        ("certificate", first(|link| link.cert.chip.0[0] ^= 1)),
        ("evidence", first(|link| link.admission.evidence.0[0] ^= 1)),
        ("one verdict", first(|link| keep(link, 1))),
        ("no verdict", first(|link| keep(link, 0))),
    ] {
        assert!(few(fault(prove(&edit))), "{what}");
    }
    // Too short: later admissions rest on earlier ones.
    let short = prove(&|proof| proof.links = List::new(proof.links.clone().into_vec().split_off(2)).unwrap());
    assert!(few(fault(short)), "links are missing");
    // Stale: what was asked for is what follows the last index known here.
    let stale = lagging.prove(me, &noise, &genuine, after + 1_000);
    assert!(matches!(fault(stale), LinkFault::Order { .. }));
    assert_silenced(lagging, me).await;
    assert_eq!(lagging.metrics().term, term, "nothing of it reached Raft");

    // Foreign: somebody with evidence, a name further on, and somebody else's proof.
    let rogue = Incarnation::new(EPOCH, lagging.applied() + 5_000);
    let foreign = lagging.prove(rogue, &NoisePublic([66; 32]), &genuine, after);
    assert_eq!(foreign, Recognition::Refused(Unrecognized::NotShown(rogue)));
    assert_stopped(lagging, rogue, append(rogue)).await;
    // The links it repeated are true of others all the same: under their names, with their keys.
    assert_eq!(lagging.recognise(me, &noise), Recognition::Member);
    assert_eq!(lagging.recognise(me, &NoisePublic([66; 32])), Recognition::Refused(Unrecognized::OtherKey(me)));
    // Of whom it knows by now, no link may say that it has another key, or that it came before what was asked for.
    let other_key = prove(&first(|link| link.cert.keys.noise.0[0] ^= 1));
    assert_eq!(fault(other_key), LinkFault::OtherKey);
    let stale = lagging.prove(me, &noise, &genuine, after + 1_000);
    assert!(matches!(fault(stale), LinkFault::Order { .. }));
    assert_eq!(lagging.metrics().term, term);

    away.group.heal();
    away.group.assert_identical().await;
    wait_for("it follows", || lagging.metrics().role == Role::Follower && lagging.metrics().leader.is_some()).await;
    away.group.stop().await;
}

fn sign_nothing(link: &mut ringwall_wire::admission::AdmissionLink, which: impl Fn(usize) -> bool) {
    let mut verdicts = link.admission.verdicts.clone().into_vec();
    for (at, verdict) in verdicts.iter_mut().enumerate() {
        if which(at) {
            verdict.signature.0[0] ^= 1;
        }
    }
    link.admission.verdicts = List::new(verdicts).unwrap();
}

fn keep(link: &mut ringwall_wire::admission::AdmissionLink, verdicts: usize) {
    let mut kept = link.admission.verdicts.clone().into_vec();
    kept.truncate(verdicts);
    link.admission.verdicts = List::new(kept).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_of_one_vendor_alone_do_not_convince() {
    let away = Away::begin(0).await;
    let (leader, lagging) = (away.group.leader().await, &away.lagging);
    let me = leader.metrics().me;
    let after = away.asked(me);
    let vendor_of = |who: Incarnation| lagging.view().unwrap().member(who).map(|row| row.cert.vendor);
    let mut links = leader.prover().proof(after).links.into_vec();
    let joiner = links[0].cert.vendor;
    let mut verdicts = links[0].admission.verdicts.clone().into_vec();
    let all = verdicts.len();
    verdicts.retain(|verdict| vendor_of(verdict.by) == Some(joiner));
    assert!(verdicts.len() < all && !verdicts.is_empty(), "the log had asked the other vendor too");
    links[0].admission.verdicts = List::new(verdicts.clone()).unwrap();
    let seen = lagging.prove(me, &away.noise(me), &AdmissionProof { links: List::new(links).unwrap() }, after);
    let Recognition::Refused(Unrecognized::Link { fault, .. }) = seen else { panic!("{seen:?}") };
    match verdicts.len() {
        1 => assert!(matches!(fault, LinkFault::TooFew { .. }), "{joiner}: {fault}"),
        _ => assert_eq!(fault, LinkFault::NoOtherVendor, "{joiner}"),
    }
    assert!(matches!(joiner, Vendor::Amd | Vendor::Intel));
    away.group.heal();
    away.group.assert_identical().await;
    away.group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_admissions_than_one_message_shows_are_shown_in_turn() {
    let away = Away::begin(40).await;
    let (leader, lagging) = (away.group.leader().await, &away.lagging);
    let me = leader.metrics().me;
    let after = away.asked(me);
    let first = leader.prover().proof(after);
    let Recognition::Unproven { after: next } = lagging.prove(me, &away.noise(me), &first, after) else {
        panic!("one message is not enough")
    };
    assert_eq!(next, first.links.last().unwrap().admission.at);
    assert_stopped(lagging, me, append(me)).await;
    let second = leader.prover().proof(next);
    assert_eq!(lagging.prove(me, &away.noise(me), &second, next), Recognition::Member);
    away.group.heal();
    away.group.assert_identical().await;
    let follows = lagging.clone();
    wait_for("it follows", || follows.metrics().role == Role::Follower && follows.metrics().leader.is_some()).await;
    away.group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_that_has_applied_nothing_believes_its_grant_and_what_is_shown() {
    let group = Group::start(3).await;
    let cert = cert(4, group.next());
    let new = group.admit(&cert, None).await;
    let learner = group.open(new).await;
    let members = group.leader().await.metrics().voters;
    for member in &members {
        assert_eq!(learner.recognise(member.incarnation, &member.member.noise), Recognition::Member);
    }
    let older = Incarnation::new(EPOCH, new.admit_index() - 1);
    assert!(matches!(learner.recognise(older, &NoisePublic([66; 32])), Recognition::Refused(_)), "its grant does not name it");
    assert_stopped(&learner, older, append(older)).await;
    // One that was admitted after the grant shows it; the learner's own log is empty still.
    let next = group.admit(&crate::rig::cert(5, group.next()), None).await;
    let noise = group.wires.keys.lock().unwrap()[&next];
    let Recognition::Unproven { after } = learner.recognise(next, &noise) else { panic!("nobody told it") };
    assert_stopped(&learner, next, append(next)).await;
    assert_eq!(after, new.admit_index());
    let proof = {
        let replica = group.open(next).await;
        let own = replica.prover().proof(after);
        assert_eq!(own.links.len(), 1, "before it has applied anything, its grant tells it its own admission");
        own
    };
    assert_eq!(learner.prove(next, &noise, &proof, after), Recognition::Member);
    group.stop().await;
}
