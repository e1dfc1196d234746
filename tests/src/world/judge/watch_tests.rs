//! The watch against messages that must not be sent: each broken rule is found by its name, and right ones are not.
//!
//! Decides: one test a rule. Trusts: nothing. Out of scope: worlds.

#![allow(clippy::unwrap_used)]
use super::*;
use ringwall_consensus::log::recover::Ending;
use ringwall_wire::bounded::{List, SharedBlob};
use ringwall_wire::ids::Epoch;
use ringwall_wire::peer::{Ballot, VoteAnswer};
use ringwall_wire::session::{Refusal, RefusalCode};

fn watch() -> Watch {
    Watch::new(ClusterId([1; 32]), Arc::new(Trace::new(false, false)))
}

fn id(index: u64) -> Incarnation {
    Incarnation::new(Epoch(1), index)
}

fn at(term: u64, index: u64) -> LogPosition {
    LogPosition { term, index }
}

fn entry(term: u64, index: u64, byte: u8) -> LogEntry {
    LogEntry { at: at(term, index), payload: EntryPayload::Command(SharedBlob::new(vec![byte]).unwrap()) }
}

fn append(leader: u64, term: u64, previous: Option<LogPosition>, entries: Vec<LogEntry>, committed: Option<LogPosition>) -> PeerCall {
    let ballot = Ballot { term, leader: id(leader), committed: true };
    PeerCall::Append(AppendCall { ballot, previous, entries: List::new(entries).unwrap(), committed, tree: None })
}

fn rules(watch: &Watch) -> Vec<Rule> {
    watch.violations().iter().map(|violation| violation.rule).collect()
}

fn vote(term: u64, candidate: u64, last: Option<LogPosition>) -> VoteCall {
    VoteCall { ballot: Ballot { term, leader: id(candidate), committed: false }, last, transfer: false }
}

fn granted(term: u64, candidate: u64) -> PeerAnswer {
    PeerAnswer::Vote(VoteAnswer { ballot: vote(term, candidate, None).ballot, granted: true, last: None })
}

#[tokio::test]
async fn a_right_log_breaks_nothing() {
    let watch = watch();
    watch.call(id(1), id(2), false, &append(1, 1, None, vec![entry(1, 0, 0), entry(1, 1, 1)], None));
    watch.call(id(1), id(2), false, &append(1, 1, Some(at(1, 1)), vec![entry(1, 2, 2)], Some(at(1, 1))));
    watch.call(id(2), id(1), true, &PeerCall::Vote(vote(2, 2, Some(at(1, 2)))));
    watch.voted(id(3), id(2), &vote(2, 2, Some(at(1, 2))), &granted(2, 2));
    watch.call(id(2), id(3), false, &append(2, 2, Some(at(1, 2)), vec![entry(2, 3, 3)], Some(at(1, 2))));
    assert_eq!(rules(&watch), []);
}

#[tokio::test]
async fn two_votes_of_one_voter_in_one_term() {
    let watch = watch();
    watch.voted(id(3), id(1), &vote(2, 1, None), &granted(2, 1));
    watch.voted(id(3), id(2), &vote(2, 2, None), &granted(2, 2));
    assert_eq!(rules(&watch), [Rule::OneVote]);
}

#[tokio::test]
async fn two_leaders_in_one_term() {
    let watch = watch();
    watch.call(id(1), id(3), false, &append(1, 4, None, vec![], None));
    watch.call(id(2), id(3), false, &append(2, 4, None, vec![], None));
    assert_eq!(rules(&watch), [Rule::OneLeader]);
}

#[tokio::test]
async fn another_entry_at_the_same_place() {
    let watch = watch();
    watch.call(id(1), id(2), false, &append(1, 1, None, vec![entry(1, 0, 7)], None));
    watch.call(id(1), id(3), false, &append(1, 1, None, vec![entry(1, 0, 8)], None));
    assert_eq!(rules(&watch), [Rule::LogMatching]);
}

#[tokio::test]
async fn a_committed_entry_that_changes() {
    let watch = watch();
    watch.call(id(1), id(2), false, &append(1, 1, None, vec![entry(1, 0, 0), entry(1, 1, 1)], Some(at(1, 1))));
    watch.call(id(2), id(3), false, &append(2, 2, Some(at(1, 0)), vec![entry(2, 1, 9), entry(2, 2, 9)], Some(at(2, 2))));
    assert_eq!(rules(&watch), [Rule::CommittedPrefix]);
}

#[tokio::test]
async fn a_leader_that_lacks_what_was_committed() {
    let watch = watch();
    watch.call(id(1), id(2), false, &append(1, 1, None, vec![entry(1, 0, 0), entry(1, 1, 1)], Some(at(1, 1))));
    watch.call(id(3), id(2), true, &PeerCall::Vote(vote(2, 3, Some(at(1, 0)))));
    watch.call(id(3), id(2), false, &append(3, 2, Some(at(1, 0)), vec![], None));
    assert_eq!(rules(&watch), [Rule::LeaderComplete]);
}

#[tokio::test]
async fn a_gap_an_alien_ballot_a_commit_that_goes_back_and_one_of_a_later_term() {
    let watch = watch();
    watch.call(id(1), id(2), false, &append(1, 1, Some(at(1, 3)), vec![entry(1, 5, 0)], None));
    watch.call(id(1), id(2), false, &append(9, 2, None, vec![], None));
    watch.call(id(1), id(2), true, &append(1, 3, None, vec![], Some(at(1, 5))));
    watch.call(id(1), id(2), true, &append(1, 3, None, vec![], Some(at(1, 4))));
    watch.call(id(1), id(3), true, &append(1, 3, None, vec![], Some(at(4, 6))));
    assert_eq!(rules(&watch), [Rule::Consecutive, Rule::OwnBallot, Rule::CommitForward, Rule::CommitTerm]);
}

fn life(process: u64, index: u64, honest: bool) -> Life {
    Life { process, incarnation: id(index), sig: SigPublic([process as u8; 32]), vendor: Vendor::Amd, honest }
}

#[tokio::test]
async fn two_processes_of_one_name_and_a_dishonest_one() {
    let watch = watch();
    watch.life(life(1, 1, true));
    watch.life(life(2, 1, true));
    watch.life(life(3, 9, false));
    assert_eq!(rules(&watch), [Rule::OneLife, Rule::HonestOnly]);
}

#[tokio::test]
async fn a_fenced_node_that_answers() {
    let watch = watch();
    watch.fenced(id(1));
    watch.answered(id(1), &PeerAnswer::Refused(Refusal { code: RefusalCode::Fenced, detail: Default::default() }));
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_millis(5)).await;
    assert_eq!(rules(&watch), []);
    watch.answered(id(1), &PeerAnswer::Done);
    assert_eq!(rules(&watch), [Rule::FencedSilence]);
}

#[tokio::test]
async fn keys_without_an_admission_and_generations_that_go_back() {
    let watch = watch();
    watch.granted(id(7), 3);
    assert_eq!(rules(&watch), [], "the founder is alone: its log was sent to nobody");
    watch.granted(id(8), 2);
    assert_eq!(rules(&watch), [Rule::NeverBack]);
}

#[tokio::test]
async fn what_was_acknowledged_and_is_not_on_the_disk() {
    let watch = watch();
    let found = |entries| Recovered { entries, vote: None, committed: None, purged: None, ending: Ending::Clean };
    watch.acknowledged(id(1), at(1, 1));
    watch.recovered(id(1), &found(vec![entry(1, 0, 0), entry(1, 1, 0)]));
    watch.recovered(id(1), &found(vec![entry(1, 0, 0), entry(2, 1, 0)]));
    assert_eq!(rules(&watch), []);
    watch.recovered(id(1), &found(vec![entry(1, 0, 0)]));
    watch.voted(id(1), id(2), &vote(5, 2, None), &granted(5, 2));
    watch.recovered(id(1), &found(vec![entry(1, 0, 0), entry(1, 1, 0)]));
    assert_eq!(rules(&watch), [Rule::Durable, Rule::Durable]);
}

#[tokio::test]
async fn what_a_node_shows_of_its_state_does_not_go_back() {
    let now = [
        ("applied index", 9),
        ("revision", 5),
        ("time", 7),
        ("epoch", 1),
        ("newest dealing", 3),
        ("active dealing", 2),
        ("policy version", 4),
        ("least security version", 6),
    ];
    for place in 0..now.len() {
        let watch = watch();
        let mut next = now;
        next[place].1 += 1;
        watch.showed(id(1), now);
        watch.showed(id(1), next);
        watch.showed(id(2), now);
        assert_eq!(rules(&watch), [], "another life begins where it likes");
        watch.showed(id(1), now);
        assert_eq!(rules(&watch), [Rule::NeverBack], "{}", now[place].0);
    }
}

#[tokio::test]
async fn a_session_by_an_older_policy_than_was_in_force_is_seen() {
    let watch = watch();
    assert_eq!(watch.policy_of(id(1)), 0, "nobody has shown anything");
    let mut shown = [("", 0); 8];
    shown[POLICY] = ("policy version", 2);
    watch.showed(id(1), shown);
    assert_eq!((watch.policy_of(id(1)), watch.policy_of(id(2))), (2, 0));
    for (floor, version) in [(0, 1), (1, 1), (1, 2)] {
        watch.opened("a client", floor, version);
    }
    assert_eq!(rules(&watch), []);
    watch.opened("a client", 2, 1);
    assert_eq!(rules(&watch), [Rule::NewestPolicy]);
}
