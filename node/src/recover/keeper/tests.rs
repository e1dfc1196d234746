//! The rules of keepers, one by one, and in every order in which a host can let things happen.
//!
//! Decides: who may have what of a session that is kept; and, over all interleavings of three processes and two keepers with words that arrive again at any time, that one
//! set of answers never makes two lineages. The rules that this rests on are left out, and two lineages are found.
//! Trusts: nothing. Out of scope: evidence, the network.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use ringwall_wire::bounded::List;
use ringwall_wire::ids::{CustodyEpoch, Epoch, Slot};
use ringwall_wire::keeper::Keeper as Named;
use ringwall_wire::secret::Secret;
use std::collections::BTreeSet;

const CLUSTER: ClusterId = ClusterId([7; 32]);
/// Keys of the two keepers.
const KEEPERS: [SigPublic; 2] = [SigPublic([201; 32]), SigPublic([202; 32])];

fn asker(number: u8) -> Asker {
    Asker { sig: SigPublic([number; 32]), build: ("release-1".into(), 1) }
}

fn keeper(at: usize) -> Keeper {
    Keeper::new(CLUSTER, KEEPERS[at])
}

/// A session as process `number` makes it.
fn made(number: u8, name: u8) -> KeptSession {
    let seed = Secret::new([name; 32]);
    let keepers = KEEPERS.iter().map(|sig| Named { slot: Slot(2), sig: *sig }).collect();
    let offer = RecoveryOffer {
        cluster_id: CLUSTER,
        epoch: Epoch(1),
        purpose: RecoveryPurpose::Outage,
        custody_epoch: CustodyEpoch(1),
        manifest: Digest([1; 32]),
        session: Nonce([name; 32]),
        kem: KemSecret::from_seed(seed.clone()).public(),
        slot: Slot(1),
        sig: asker(number).sig,
        inventory: List::default(),
        replaces: None,
        keepers: List::new(keepers).unwrap(),
        earlier: List::default(),
    };
    KeptSession { offer, seed }
}

/// What process `number` offers after it took these.
fn after(number: u8, taken: &[KeptSession]) -> RecoveryOffer {
    let mut earlier = List::default();
    for kept in taken {
        for digest in kept.offer.earlier.iter().copied().chain([Digest(kept.offer.digest())]) {
            if !earlier.contains(&digest) {
                earlier.push(digest).unwrap();
            }
        }
    }
    RecoveryOffer { sig: asker(number).sig, earlier, ..taken[0].offer.clone() }
}

fn keep(session: &KeptSession) -> KeepOp {
    KeepOp::Keep(Box::new(session.clone()))
}

fn go_on(offer: &RecoveryOffer) -> KeepOp {
    KeepOp::GoOn(Box::new(offer.clone()))
}

fn refused(fault: KeepFault) -> KeepAnswer {
    KeepAnswer::Refused(fault)
}

#[test]
fn ks1_only_the_process_that_made_an_offer_has_it_kept_and_by_whom_it_names() {
    let (session, name) = (made(1, 9), Nonce([9; 32]));
    let mut elsewhere = session.clone();
    elsewhere.offer.cluster_id = ClusterId([8; 32]);
    let mut drill = session.clone();
    drill.offer.purpose = RecoveryPurpose::Drill;
    let mut nobody = session.clone();
    nobody.offer.keepers = List::default();
    let mut later = session.clone();
    later.offer.earlier = List::new(vec![Digest([1; 32])]).unwrap();
    let mut other_key = session.clone();
    other_key.seed = Secret::new([5; 32]);
    for (what, wrong) in [("cluster", elsewhere), ("drill", drill), ("keeper", nobody), ("earlier", later), ("key", other_key)] {
        assert_eq!(keeper(0).answer(&asker(1), keep(&wrong)), refused(KeepFault::NotFitting), "{what}");
    }
    let mut desk = keeper(0);
    assert_eq!(desk.answer(&asker(2), keep(&session)), refused(KeepFault::NotFitting), "another process's offer");
    assert_eq!(desk.answer(&asker(1), KeepOp::Look), KeepAnswer::Nothing);
    assert_eq!(desk.answer(&asker(1), keep(&session)), KeepAnswer::Done);
    assert_eq!(desk.answer(&asker(1), keep(&session)), KeepAnswer::Done, "asked twice");
    let looked = |desk: &mut Keeper, number| match desk.answer(&asker(number), KeepOp::Look) {
        KeepAnswer::Kept(kept) => (kept.offer.session, kept.yours),
        other => panic!("{other:?}"),
    };
    assert_eq!((looked(&mut desk, 1), looked(&mut desk, 2)), ((name, true), (name, false)), "looking changes nothing");
    assert_eq!(desk.answer(&asker(3), keep(&made(3, 10))), KeepAnswer::Done, "another session takes its place");
    assert_eq!(desk.answer(&asker(1), KeepOp::Take(name)), refused(KeepFault::Unknown));
    assert_eq!(desk.answer(&asker(1), KeepOp::Finish(name)), refused(KeepFault::Unknown));
}

#[test]
fn ks3_a_session_is_handed_to_the_same_build_and_held_by_the_last_one_alone() {
    let (session, name) = (made(1, 9), Nonce([9; 32]));
    let mut desk = keeper(0);
    assert_eq!(desk.answer(&asker(2), KeepOp::Take(name)), refused(KeepFault::Unknown), "nothing was kept: a keeper that was started anew");
    desk.answer(&asker(1), keep(&session));
    for build in [("release-2", 1), ("release-1", 2)] {
        let other = Asker { build: (build.0.into(), build.1), ..asker(2) };
        assert_eq!(desk.answer(&other, KeepOp::Take(name)), refused(KeepFault::OtherBuild), "{build:?}");
    }
    assert_eq!(desk.answer(&asker(2), KeepOp::Finish(name)), refused(KeepFault::Superseded), "it never took it");
    assert_eq!(desk.answer(&asker(2), KeepOp::Take(name)), KeepAnswer::Taken(Box::new(session.clone())));
    assert_eq!(desk.answer(&asker(2), KeepOp::Take(name)), KeepAnswer::Taken(Box::new(session.clone())), "asked twice");
    assert_eq!(desk.answer(&asker(1), KeepOp::Finish(name)), refused(KeepFault::Superseded), "both live");
    assert_eq!(desk.answer(&asker(1), keep(&session)), refused(KeepFault::Superseded), "its first word, again and late");
    assert_eq!(desk.answer(&asker(1), KeepOp::Take(name)), refused(KeepFault::Superseded), "it is never holder again");
    for number in 3..=HOLDERS as u8 + 1 {
        assert!(matches!(desk.answer(&asker(number), KeepOp::Take(name)), KeepAnswer::Taken(_)), "{number}");
    }
    assert_eq!(desk.answer(&asker(100), KeepOp::Take(name)), refused(KeepFault::TooOften));
    assert_eq!(desk.answer(&asker(HOLDERS as u8 + 1), KeepOp::Finish(name)), KeepAnswer::Finishes, "the last one is none the worse");
}

#[test]
fn ks4_the_holder_goes_on_under_an_offer_of_its_own_that_names_those_before() {
    let session = made(1, 9);
    let mut desk = keeper(0);
    desk.answer(&asker(1), keep(&session));
    let second = after(2, std::slice::from_ref(&session));
    assert_eq!(desk.answer(&asker(2), go_on(&second)), refused(KeepFault::Superseded), "it never took it");
    desk.answer(&asker(2), KeepOp::Take(session.offer.session));
    let changed = |change: &dyn Fn(&mut RecoveryOffer)| {
        let mut offer = second.clone();
        change(&mut offer);
        offer
    };
    let wrong = [
        ("another's", changed(&|offer| offer.sig = asker(3).sig)),
        ("without the first", changed(&|offer| offer.earlier = List::default())),
        ("another key", changed(&|offer| offer.kem.0[0] ^= 1)),
        ("fewer keepers", changed(&|offer| offer.keepers = List::new(vec![offer.keepers[0]]).unwrap())),
        ("another dealing", changed(&|offer| offer.manifest = Digest([2; 32]))),
        ("another epoch", changed(&|offer| offer.epoch = Epoch(2))),
    ];
    for (what, offer) in wrong {
        assert_eq!(desk.answer(&asker(2), go_on(&offer)), refused(KeepFault::NotFitting), "{what}");
    }
    assert_eq!(desk.answer(&asker(2), go_on(&changed(&|offer| offer.session = Nonce([3; 32])))), refused(KeepFault::Unknown));
    assert_eq!(desk.answer(&asker(2), go_on(&second)), KeepAnswer::Done);
    assert_eq!(desk.answer(&asker(2), go_on(&second)), KeepAnswer::Done, "asked twice");
    let KeepAnswer::Taken(taken) = desk.answer(&asker(3), KeepOp::Take(session.offer.session)) else { panic!("it is kept") };
    let third = after(3, &[*taken]);
    assert_eq!(third.earlier.as_ref(), [Digest(session.offer.digest()), Digest(second.digest())], "all that custodians may have answered");
}

#[test]
fn ks5_the_word_is_given_once_and_nothing_is_kept_after_it() {
    let (session, name) = (made(1, 9), Nonce([9; 32]));
    let mut desk = keeper(0);
    desk.answer(&asker(1), keep(&session));
    assert_eq!(desk.answer(&asker(1), KeepOp::Finish(name)), KeepAnswer::Finishes);
    assert!(matches!(desk.desk, Desk::Gave(..)), "the secret is gone");
    assert_eq!(
        desk.answer(&asker(1), KeepOp::Finish(name)),
        KeepAnswer::Finishes,
        "the answer was lost: the same process is told the same"
    );
    assert_eq!(desk.answer(&asker(2), KeepOp::Finish(name)), refused(KeepFault::Superseded));
    assert_eq!(desk.answer(&asker(2), KeepOp::Take(name)), refused(KeepFault::Superseded));
    assert_eq!(desk.answer(&asker(2), KeepOp::Look), refused(KeepFault::Spent));
    let looked = desk.answer(&asker(1), KeepOp::Look);
    assert_eq!(looked, KeepAnswer::Finishes, "the answer was lost, and a process looks before it asks again: nobody superseded it");
    assert_eq!(crate::recover::keeping::stands(&looked, &name), Ok(()));
    assert_eq!(desk.answer(&asker(1), keep(&session)), refused(KeepFault::Spent));
    assert_eq!(desk.answer(&asker(3), keep(&made(3, 10))), refused(KeepFault::Spent), "no other session either");
    assert_eq!(desk.answer(&asker(3), KeepOp::Finish(Nonce([10; 32]))), refused(KeepFault::Unknown));
}

/// A rule that is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// KS3: who finishes is the holder.
    Holder,
    /// KS3: who was superseded never holds it again.
    Former,
    /// KS5: every keeper gives its word, not one.
    Every,
    /// KS5: what a keeper gave its word for is gone.
    Once,
    /// KS6: a keeper that gave its word keeps nothing any more.
    Spent,
}

/// A step of a process: at which keeper, and what.
#[derive(Clone, Copy, Debug)]
enum Step {
    Keep(usize),
    Take(usize),
    GoOn(usize),
    Publish,
    Finish(usize),
}

const MAKER: [Step; 5] = [Step::Keep(0), Step::Keep(1), Step::Publish, Step::Finish(0), Step::Finish(1)];
const LATER: [Step; 7] = [Step::Take(0), Step::Take(1), Step::GoOn(0), Step::GoOn(1), Step::Publish, Step::Finish(0), Step::Finish(1)];

#[derive(Clone, Default)]
struct Process {
    at: usize,
    ended: bool,
    words: usize,
    taken: Vec<KeptSession>,
    offer: Option<RecoveryOffer>,
}

#[derive(Clone)]
struct World {
    keepers: [Keeper; 2],
    processes: [Process; 3],
    published: Vec<Digest>,
}

/// All worlds that can be reached.
struct Search {
    without: &'static [Rule],
    first: KeptSession,
    seen: BTreeSet<String>,
    /// A world with two lineages.
    two: bool,
    /// Processes that finished in some world.
    finished: BTreeSet<usize>,
    /// Whether a process finished for which an answer to something that was published would not count.
    forgot: bool,
}

impl Search {
    /// Visits every world, or as many as it takes to find what is looked for.
    fn of(without: &'static [Rule], found: impl Fn(&Search) -> bool) -> Self {
        let mut search = Search { without, first: made(1, 9), seen: BTreeSet::new(), two: false, finished: BTreeSet::new(), forgot: false };
        let mut maker = Process { offer: Some(search.first.offer.clone()), ..Process::default() };
        maker.taken.clear();
        let world =
            World { keepers: [keeper(0), keeper(1)], processes: [maker, Process::default(), Process::default()], published: Vec::new() };
        search.visit(world, found);
        search
    }

    fn steps(number: usize) -> &'static [Step] {
        if number == 0 { &MAKER } else { &LATER }
    }

    fn visit(&mut self, world: World, found: impl Fn(&Search) -> bool) {
        let mut waiting = vec![world];
        while let Some(world) = waiting.pop().filter(|_| !found(self)) {
            if !self.seen.insert(name_of(&world)) {
                continue;
            }
            self.judge(&world);
            for number in 0..world.processes.len() {
                let process = &world.processes[number];
                // Whatever it asked before may arrive again at any time.
                for step in &Self::steps(number)[..process.at] {
                    let mut later = world.clone();
                    let _late = self.ask(&mut later, number, *step);
                    waiting.push(later);
                }
                // A process that is killed, or cut off, is one that takes no step any more.
                if !process.ended && process.at < Self::steps(number).len() {
                    let mut later = world.clone();
                    self.step(&mut later, number);
                    waiting.push(later);
                }
            }
        }
    }

    fn step(&self, world: &mut World, number: usize) {
        let step = Self::steps(number)[world.processes[number].at];
        if let Step::GoOn(0) = step {
            let offer = after(number as u8 + 1, &world.processes[number].taken);
            world.processes[number].offer = Some(offer);
        }
        let answer = self.ask(world, number, step);
        let process = &mut world.processes[number];
        process.at += 1;
        match answer {
            None => world.published.push(Digest(process.offer.as_ref().unwrap().digest())),
            Some(KeepAnswer::Taken(kept)) => process.taken.push(*kept),
            Some(KeepAnswer::Finishes) => process.words += 1,
            Some(KeepAnswer::Done) => {}
            // Whoever is refused ends; where one word is enough it asks for the other as well.
            Some(_) => process.ended = !(self.lacks(Rule::Every) && matches!(step, Step::Finish(_))),
        }
    }

    fn ask(&self, world: &mut World, number: usize, step: Step) -> Option<KeepAnswer> {
        let (who, name) = (asker(number as u8 + 1), self.first.offer.session);
        let offer = || Box::new(world.processes[number].offer.clone().unwrap());
        let (at, op) = match step {
            Step::Keep(at) => (at, keep(&self.first)),
            Step::Take(at) => (at, KeepOp::Take(name)),
            Step::GoOn(at) => (at, KeepOp::GoOn(offer())),
            Step::Publish => return None,
            Step::Finish(at) => (at, KeepOp::Finish(name)),
        };
        let desk = &mut world.keepers[at];
        if let Desk::Keeps(kept) = &mut desk.desk {
            if self.lacks(Rule::Holder) && matches!(step, Step::Finish(_)) {
                kept.holder = who.sig;
            }
            if self.lacks(Rule::Former) {
                kept.former.clear();
            }
        }
        let before = desk.desk.clone();
        let answer = desk.answer(&who, op);
        if matches!(answer, KeepAnswer::Finishes) {
            if self.lacks(Rule::Once) {
                desk.desk = before;
            } else if self.lacks(Rule::Spent) {
                desk.desk = Desk::Free;
            }
        }
        Some(answer)
    }

    fn lacks(&self, rule: Rule) -> bool {
        self.without.contains(&rule)
    }

    fn judge(&mut self, world: &World) {
        let wanted = if self.lacks(Rule::Every) { 1 } else { 2 };
        let finished: Vec<usize> = (0..3).filter(|number| world.processes[*number].words >= wanted).collect();
        self.two |= finished.len() > 1;
        for number in finished {
            self.finished.insert(number);
            let offer = world.processes[number].offer.as_ref().unwrap();
            let counts = |digest: &Digest| Digest(offer.digest()) == *digest || offer.earlier.contains(digest);
            self.forgot |= !world.published.iter().all(counts);
        }
    }
}

fn name_of(world: &World) -> String {
    let desks = world.keepers.iter().map(|keeper| match &keeper.desk {
        Desk::Free => "free".into(),
        Desk::Keeps(kept) => format!("{} {:?} {}", kept.holder, kept.former, Digest(kept.session.offer.digest())),
        Desk::Gave(_, to) => format!("gave {to}"),
    });
    let processes = world.processes.iter().map(|process| {
        let offer = process.offer.as_ref().map(|offer| Digest(offer.digest()));
        let taken: Vec<_> = process.taken.iter().map(|kept| Digest(kept.offer.digest())).collect();
        format!("{} {} {} {offer:?} {taken:?}", process.at, process.ended, process.words)
    });
    desks.chain(processes).collect::<Vec<String>>().join("; ")
}

#[test]
fn in_no_order_of_events_do_answers_make_two_lineages() {
    let search = Search::of(&[], |_| false);
    assert!(!search.two, "two lineages");
    assert!(!search.forgot, "an answer to a published offer would not have counted for the process that finished");
    assert_eq!(search.finished, BTreeSet::from([0, 1, 2]), "each of them can finish, where the others do not");
    assert!(search.seen.len() > 500, "only {} worlds", search.seen.len());
}

#[test]
fn without_its_rules_a_keeper_lets_answers_make_two_lineages_or_be_in_vain() {
    for (what, without) in
        [("once", [Rule::Once].as_slice()), ("spent", &[Rule::Spent]), ("holder and every keeper", &[Rule::Holder, Rule::Every])]
    {
        assert!(Search::of(without, |search| search.two).two, "nothing rests on: {what}");
    }
    // Each of these two stands behind the other: who took the session from all of them is the holder of all of them.
    assert!(!Search::of(&[Rule::Every], |search| search.two).two);
    for (what, without) in [("holder", [Rule::Holder].as_slice()), ("former", &[Rule::Former])] {
        assert!(Search::of(without, |search| search.forgot).forgot, "without {what} no answer is in vain");
    }
}
