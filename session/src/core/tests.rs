//! The core without sockets, clocks or a runtime: each test is one promise of protocol section 3, step 7.
//!
//! Decides: nothing. Trusts: the stand (`stand.rs`). Compiled for tests only. Out of scope: whole clients (`client/src/failover.rs`), events by
//! chance (`random.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::serving::{BACKLOG_BYTES, QUIET_MS};
use super::stand::{Reading, Stand, asked, dialled, down, notes, opened, requests, sent, watched};
use super::{DialId, Effect, Left};
use crate::anchor::Trouble;
use crate::asked::Failure;
use crate::dial::{DialError, LinkError};
use crate::error::{ConnectError, WatchError};
use crate::refused::REFUSED_RESTS_MS;
use crate::rounds::{ATTESTING_MS, SILENT_MS};
use ringwall_attest::SessionError;
use ringwall_wire::bounded::List;
use ringwall_wire::ids::Revision;
use ringwall_wire::request::{Answer, Event, Events, KeyName, Op, Unlock};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::RefusalCode;
use std::sync::Arc;

const FAR: DialId = DialId(999);

fn lost() -> LinkError {
    LinkError::Lost("cut".into())
}

fn events(revision: u64) -> Answer {
    let event = Event { key: KeyName::new(*b"k").unwrap(), revision: Revision(revision), value: None };
    Answer::Events(Events { events: List::new(vec![event]).unwrap(), through: Revision(revision) })
}

#[test]
fn nobody_is_dialled_before_the_first_need_and_what_was_asked_is_sent_on_the_session() {
    let mut stand = Stand::new(&["a"], 5_000, 1);
    assert!(stand.pass(10_000).is_empty(), "nobody wants anything");
    let get = stand.get();
    let effects = stand.effects();
    let (dial, address) = dialled(&effects);
    assert_eq!((effects.len(), address.as_str()), (1, "a"), "something is sent before a session is open");
    let effects = stand.open(dial);
    assert!(matches!(&effects[0], Effect::Use { dial: used, verification } if *used == dial && verification.address == "here"));
    let number = asked(&effects);
    stand.reply(dial, number, Answer::Absent(Revision(4)));
    assert!(matches!(stand.outcome(get), Some(Ok(Answer::Absent(Revision(4))))));
    assert_eq!(stand.core.known(), Revision(4));
}

#[test]
fn the_first_session_is_opened_for_whoever_makes_the_client_or_the_client_is_over() {
    let mut stand = Stand::new(&["a"], 400, 1);
    stand.core.open(stand.now);
    dialled(&stand.effects());
    let effects = stand.pass(500);
    match effects.last() {
        Some(Effect::Ended(Some(why))) => {
            assert!(matches!(&**why, ConnectError::Unavailable { waited_ms: 400, tried } if tried.len() == 1))
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(effects[effects.len() - 2], Effect::Abandon { .. }), "the attempt goes on: {effects:?}");
    let late = stand.get();
    assert!(matches!(stand.outcome(late), Some(Err(Failure::Session(ConnectError::Closed)))));
    stand.core.open(stand.now);
    assert!(stand.pass(1_000).is_empty() && stand.core.wake().is_none());
    let mut nowhere = Stand::new(&[], 400, 1);
    nowhere.core.open(nowhere.now);
    assert!(matches!(&nowhere.effects()[..], [Effect::Ended(Some(why))] if matches!(**why, ConnectError::NoAddress)));
}

#[test]
fn a_silent_address_holds_up_nobody_and_the_first_session_wins() {
    let mut stand = Stand::new(&["a", "b", "c"], 9_000, 1);
    stand.core.open(stand.now);
    let (first, at) = dialled(&stand.effects());
    assert!(stand.pass(SILENT_MS - 1).is_empty());
    let (second, beside) = dialled(&stand.pass(1));
    assert_ne!(at, beside);
    // The second one was reached, and takes its time for evidence.
    stand.core.reached(second);
    assert!(stand.pass(SILENT_MS + 100).is_empty(), "a throttled node is not waited for");
    let effects = stand.open(second);
    assert!(
        matches!(effects[..], [Effect::Abandon { dial }, Effect::Use { dial: used, .. }] if (dial, used) == (first, second)),
        "{effects:?}"
    );
    // What crosses on the way changes nothing.
    assert!(stand.open(first).is_empty() && stand.fail(first, down()).is_empty());
    const { assert!(ATTESTING_MS > SILENT_MS + 100) };
}

#[test]
fn an_attempt_whose_end_nobody_tells_is_dropped() {
    let mut stand = Stand::new(&["a"], 9_000, 1);
    stand.get();
    let (dial, _) = dialled(&stand.effects());
    assert!(stand.pass(2_900).is_empty(), "what was read in time may be judged");
    let effects = stand.pass(100);
    assert!(matches!(effects[0], Effect::Abandon { dial: dropped } if dropped == dial), "{effects:?}");
    assert!(stand.pass(4_000).iter().any(|effect| matches!(effect, Effect::Dial { .. })), "the address is never tried again");
}

#[test]
fn what_no_other_node_would_make_better_ends_the_search_at_once() {
    let finals: [(DialError, &str); 4] = [
        (DialError::NotAuthorized("no".into()), "RW-C-NOT-AUTHORIZED"),
        (DialError::DeviceRevoked("no".into()), "RW-C-DEVICE-REVOKED"),
        (DialError::NotRestored("no".into()), "RW-C-NOT-RESTORED"),
        (DialError::History(Trouble::Store { code: "RW-C-ANCHOR-IO", words: "disk".into() }), "RW-C-ANCHOR-IO"),
    ];
    for (fault, code) in finals {
        let mut stand = Stand::new(&["a", "b"], 9_000, 1);
        let put = stand.put();
        let (dial, _) = dialled(&stand.effects());
        assert!(stand.fail(dial, fault).is_empty(), "{code}: another node is asked");
        match stand.outcome(put) {
            Some(Err(Failure::Session(told))) => assert_eq!(told.code(), code),
            other => panic!("{other:?}"),
        }
        // The next need is another search.
        stand.put();
        dialled(&stand.effects());
    }
}

#[test]
fn a_node_whose_evidence_was_refused_rests_and_everywhere_refused_fails_at_once() {
    let refused = || DialError::Evidence(Arc::new(SessionError::StandingSignature));
    let mut stand = Stand::new(&["a", "b"], 200_000, 1);
    let get = stand.get();
    let (first, bad) = dialled(&stand.effects());
    let (second, other) = dialled(&stand.fail(first, refused()));
    assert_ne!(bad, other);
    stand.fail(second, down());
    let mut seen = Vec::new();
    while stand.now < 1_000 + REFUSED_RESTS_MS + 5_000 {
        assert!(stand.now >= 1_000 + REFUSED_RESTS_MS || !seen.contains(&bad), "the refused node was asked again");
        for effect in stand.pass(100) {
            if let Effect::Dial { dial, address, .. } = effect {
                seen.push(address);
                stand.core.failed(dial, down(), stand.now);
            }
        }
    }
    assert!(seen.len() > 10 && seen.contains(&bad), "a successor at the same place is never found");
    assert!(stand.outcome(get).is_none());

    let mut nobody = Stand::new(&["a"], 200_000, 1);
    let get = nobody.get();
    let (dial, _) = dialled(&nobody.effects());
    nobody.fail(dial, refused());
    nobody.pass(100);
    assert!(matches!(nobody.outcome(get), Some(Err(Failure::Session(ConnectError::Evidence { .. })))));
}

#[test]
fn addresses_are_tried_in_order_after_the_one_that_was_left() {
    let (mut stand, mut dial) = Stand::serving(&["a", "b", "c"], 9_000);
    let mut order = Vec::new();
    for _ in 0..6 {
        let get = stand.get();
        let number = asked(&stand.effects());
        stand.reply(dial, number, Answer::Absent(Revision(1)));
        assert!(stand.outcome(get).is_some());
        stand.get();
        stand.effects();
        stand.core.broke(dial, lost(), stand.now);
        let effects = stand.effects();
        assert!(matches!(&effects[0], Effect::Leave { why: Left::Node(DialError::Unreachable(_)), .. }));
        let (next, address) = dialled(&effects);
        order.push(address);
        let number = asked(&stand.open(next));
        stand.reply(next, number, Answer::Absent(Revision(1)));
        dial = next;
    }
    assert_eq!(order[..3], order[3..], "{order:?}");
    assert_eq!(order[..3].iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[test]
fn a_write_is_sent_again_with_the_same_bytes_after_a_loss_and_told_once() {
    let (mut stand, dial) = Stand::serving(&["a", "b"], 9_000);
    let put = stand.put();
    let first = sent(&stand.effects());
    stand.core.broke(dial, lost(), stand.now);
    let (next, _) = dialled(&stand.pass(100));
    let effects = stand.open(next);
    assert_eq!(sent(&effects), first, "the retry has other bytes");
    let number = asked(&effects);
    assert!(stand.reply(dial, number, Answer::Written(Revision(7))).is_empty() && stand.outcome(put).is_none(), "the old session is read");
    stand.reply(next, number, Answer::Written(Revision(8)));
    stand.reply(next, number, Answer::Written(Revision(9)));
    assert!(matches!(stand.outcome(put), Some(Ok(Answer::Written(Revision(8))))));
}

#[test]
fn a_deadline_comes_while_a_session_is_sought_and_says_what_was_in_the_way() {
    let mut stand = Stand::new(&["a", "b"], 700, 1);
    let (put, get) = (stand.put(), stand.get());
    let (dial, _) = dialled(&stand.effects());
    let (beside, _) = dialled(&stand.fail(dial, down()));
    stand.pass(800);
    for asked in [put, get] {
        match stand.outcome(asked) {
            Some(Err(Failure::Session(ConnectError::Unavailable { tried, .. }))) => assert_eq!(tried.len(), 2, "{tried:?}"),
            other => panic!("never sent, so not unknown: {other:?}"),
        }
    }
    assert!(stand.open(beside).is_empty(), "nobody waits for it any more");
    // A later question begins a search of its own, and its deadline is its own.
    let (dial, later) = (
        dialled(&{
            stand.put();
            stand.effects()
        }),
        stand.gone.len() - 1,
    );
    stand.pass(600);
    assert!(stand.outcome(later).is_none(), "{dial:?}");
}

#[test]
fn nothing_is_sent_on_a_session_that_is_too_old_by_the_policy() {
    let mut stand = Stand::new(&["a"], 90_000, 1);
    stand.core.open(stand.now);
    let (dial, _) = dialled(&stand.effects());
    stand.core.opened(dial, opened("a", stand.now + 5_000, &[]), stand.now);
    stand.effects();
    let put = stand.put();
    let first = sent(&stand.effects());
    // Its machine lives, and does not answer before the session is too old.
    stand.core.timeouts.answer = std::time::Duration::from_secs(60);
    assert!(sent(&stand.pass(4_999)).is_empty());
    let effects = stand.pass(1);
    assert!(matches!(effects[0], Effect::Leave { why: Left::Aged, .. }), "{effects:?}");
    let (next, _) = dialled(&stand.pass(100));
    // This one is too old when it opens: nothing is sent on it, nor counted as sent.
    stand.core.opened(next, opened("a", stand.now, &[]), stand.now);
    let effects = stand.effects();
    assert!(
        matches!(effects[..2], [Effect::Use { .. }, Effect::Leave { why: Left::Aged, .. }]) && sent(&effects).is_empty(),
        "{effects:?}"
    );
    let (next, _) = dialled(&stand.pass(200));
    assert_eq!(sent(&stand.open(next)), first);
    stand.core.close();
    assert!(matches!(stand.outcome(put), Some(Err(Failure::OutcomeUnknown { submissions: 2, .. }))));
    // One that nobody uses ends, and no other is opened.
    let mut idle = Stand::new(&["a"], 90_000, 1);
    idle.core.open(idle.now);
    let (dial, _) = dialled(&idle.effects());
    idle.core.opened(dial, opened("a", idle.now + 5_000, &[]), idle.now);
    let effects = idle.pass(60_000);
    assert!(matches!(effects[..], [Effect::Use { .. }, Effect::Leave { why: Left::Aged, .. }]), "{effects:?}");
}

#[test]
fn a_watch_goes_on_after_a_change_of_node_from_what_its_reader_was_told() {
    let (mut stand, dial) = Stand::serving(&["a", "b"], 9_000);
    let reading = Reading::default();
    reading.room.set(1);
    stand.core.watch(notes(), KeyName::default(), Revision(2), reading.clone()).unwrap();
    let (number, watch) = watched(&stand.effects()).unwrap();
    assert_eq!(watch.after, Revision(2));
    stand.reply(dial, number, events(5));
    assert_eq!(reading.told.borrow().len(), 1);
    // It has no room: it is not told, and not buffered.
    let effects = stand.reply(dial, number, events(6));
    assert!(matches!(requests(&effects)[..], [ref request] if request.op == Op::CancelWatch(number)), "{effects:?}");
    assert!(watched(&stand.pass(200)).is_none());
    reading.room.set(9);
    let (number, watch) = watched(&stand.pass(100)).expect("its reader has room");
    assert_eq!(watch.after, Revision(5), "6 was not told");
    stand.reply(dial, number, events(6));
    stand.core.broke(dial, lost(), stand.now);
    let (next, _) = dialled(&stand.pass(100));
    let (number, watch) = watched(&stand.open(next)).unwrap();
    assert_eq!(watch.after, Revision(6));
    // Events that go back end it with a word.
    stand.reply(next, number, events(4));
    assert!(matches!(reading.last.borrow()[..], [WatchError::Nonsense(_)]));
    // One nobody reads is cancelled at the node.
    let other = Reading::default();
    stand.core.watch(notes(), KeyName::default(), Revision(0), other.clone()).unwrap();
    let (number, _) = watched(&stand.effects()).unwrap();
    other.gone.set(true);
    assert!(requests(&stand.pass(100)).iter().any(|request| request.op == Op::CancelWatch(number)));
}

#[test]
fn a_client_that_is_closed_while_a_write_is_out_calls_its_outcome_unknown() {
    let (mut stand, dial) = Stand::serving(&["a"], 9_000);
    let put = stand.put();
    stand.effects();
    let reading = Reading::default();
    stand.core.watch(notes(), KeyName::default(), Revision(0), reading.clone()).unwrap();
    let (get, unsent) = (stand.get(), stand.put());
    stand.core.close();
    let effects = stand.effects();
    assert!(matches!(effects[..], [Effect::Leave { dial: left, why: Left::Closed }, Effect::Ended(None)] if left == dial), "{effects:?}");
    assert!(matches!(stand.outcome(put), Some(Err(Failure::OutcomeUnknown { submissions: 1, .. }))));
    for asked in [get, unsent] {
        assert!(matches!(stand.outcome(asked), Some(Err(Failure::Session(ConnectError::Closed)))));
    }
    assert!(matches!(reading.last.borrow()[..], [WatchError::Session(ConnectError::Closed)]));
    stand.core.close();
    stand.core.broke(dial, lost(), stand.now);
    assert!(stand.pass(60_000).is_empty(), "it is over once");
    assert!(matches!(stand.core.watch(notes(), KeyName::default(), Revision(0), reading), Err(WatchError::Session(ConnectError::Closed))));
}

#[test]
fn events_of_dials_that_are_over_or_never_were_change_nothing() {
    let (mut stand, dial) = Stand::serving(&["a", "b"], 90_000);
    let put = stand.put();
    let number = asked(&stand.effects());
    stand.core.reached(FAR);
    stand.core.heard(FAR, 1, stand.now);
    stand.core.backlog(FAR, usize::MAX);
    stand.core.broke(FAR, lost(), stand.now);
    assert!(stand.open(FAR).is_empty() && stand.fail(FAR, DialError::NotAuthorized("no".into())).is_empty());
    assert!(stand.reply(FAR, number, Answer::Written(Revision(1))).is_empty() && stand.arrive(FAR, vec![0xff; 9]).is_empty());
    // The session's own attempt is over: its end is told with another word.
    assert!(stand.open(dial).is_empty() && stand.fail(dial, down()).is_empty());
    assert!(stand.core.has_room() && stand.outcome(put).is_none());
    stand.reply(dial, number, Answer::Written(Revision(1)));
    assert!(matches!(stand.outcome(put), Some(Ok(Answer::Written(Revision(1))))));
}

#[test]
fn a_machine_that_says_nothing_is_left_soon_if_anybody_can_tell_and_a_silent_node_when_answers_are_due() {
    for (tells, most) in [(true, QUIET_MS + 100), (false, 2_100)] {
        let (mut stand, dial) = Stand::serving(&["a", "b"], 90_000);
        if tells {
            stand.core.heard(dial, 7, stand.now);
        }
        stand.get();
        stand.effects();
        let early = stand.pass(if tells { QUIET_MS - 1 } else { 1_999 });
        assert!(early.is_empty(), "{early:?}");
        let effects = stand.pass(100);
        assert!(matches!(&effects[0], Effect::Leave { why: Left::Node(DialError::Unreachable(_)), .. }), "{tells} {most} {effects:?}");
    }
    // Acknowledgements keep it.
    let (mut stand, dial) = Stand::serving(&["a", "b"], 90_000);
    stand.get();
    stand.effects();
    for count in 0..18 {
        stand.core.heard(dial, count, stand.now);
        assert!(stand.pass(100).is_empty());
    }
}

#[test]
fn new_questions_wait_while_too_much_waits_for_the_network() {
    let (mut stand, dial) = Stand::serving(&["a"], 90_000);
    stand.core.backlog(dial, BACKLOG_BYTES);
    assert!(!stand.core.has_room());
    stand.get();
    assert!(stand.pass(10).is_empty());
    stand.core.backlog(dial, BACKLOG_BYTES - 1);
    assert!(stand.core.has_room());
    let number = asked(&stand.effects());
    // A pause that is over while it is clogged wakes nobody again and again.
    stand.core.backlog(dial, BACKLOG_BYTES);
    stand.refuse(dial, number, RefusalCode::Busy);
    assert!(sent(&stand.pass(100)).is_empty());
    stand.core.backlog(dial, 0);
    assert_eq!(asked(&stand.effects()), number);
}

#[test]
fn a_busy_node_is_asked_again_on_the_same_session_after_a_pause() {
    let (mut stand, dial) = Stand::serving(&["a"], 90_000);
    let put = stand.put();
    let first = sent(&stand.effects());
    for _ in 0..4 {
        let number = requests(&[Effect::Send { dial, messages: first.clone() }])[0].number;
        assert!(sent(&stand.refuse(dial, number, RefusalCode::Busy)).is_empty(), "no pause");
        assert_eq!(sent(&stand.pass(400)), first);
    }
    stand.core.close();
    assert!(matches!(stand.outcome(put), Some(Err(Failure::OutcomeUnknown { submissions: 1, .. }))), "busy means surely not applied");
}

#[test]
fn sessions_that_answer_nothing_are_followed_by_growing_pauses() {
    let (mut stand, mut dial) = Stand::serving(&["a"], 90_000);
    stand.get();
    stand.effects();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        stand.core.broke(dial, lost(), stand.now);
        let (began, mut effects) = (stand.now, stand.effects());
        while !effects.iter().any(|effect| matches!(effect, Effect::Dial { .. })) {
            effects.extend(stand.pass(1));
        }
        pauses.push(stand.now - began);
        dial = dialled(&effects).0;
        stand.open(dial);
    }
    assert!(pauses[0] >= 20 && pauses[0] <= 40 && pauses[7] >= 1_000 && pauses[7] <= 2_000, "{pauses:?}");
}

#[test]
fn a_forgotten_client_goes_on_under_another_name() {
    let (mut stand, dial) = Stand::serving(&["a"], 90_000);
    let put = stand.put();
    let number = asked(&stand.effects());
    let effects = stand.refuse(dial, number, RefusalCode::ClientForgotten);
    assert!(matches!(effects[0], Effect::Leave { why: Left::Renewed, .. }), "{effects:?}");
    let name =
        |effects: &[Effect]| effects.iter().find_map(|effect| if let Effect::Dial { client, .. } = effect { Some(*client) } else { None });
    let effects = stand.pass(100);
    assert!(name(&effects).is_some());
    let (next, _) = dialled(&effects);
    let effects = stand.open(next);
    assert!(matches!(&requests(&effects)[0].op, Op::Write(write) if write.once.seq == 1), "numbers start anew");
    stand.reply(next, asked(&effects), Answer::Written(Revision(1)));
    assert!(matches!(stand.outcome(put), Some(Ok(Answer::Written(Revision(1))))));
}

#[test]
fn what_nobody_waits_for_any_more_is_held_only_where_it_was_sent() {
    let mut stand = Stand::new(&["a"], 90_000, 1);
    let get = stand.get();
    for _ in 0..10_000 {
        let put = stand.put();
        stand.gone[put].set(true);
        stand.core.forgot();
        assert_eq!(stand.core.held(), 1, "there is no node, and somebody forgets");
    }
    let (dial, _) = dialled(&stand.effects());
    let number = asked(&stand.open(dial));
    let put = stand.put();
    let write = requests(&stand.effects());
    stand.gone[put].set(true);
    stand.core.forgot();
    assert_eq!(stand.core.held(), 2, "a write that was sent may be applied");
    stand.core.broke(dial, lost(), stand.now);
    let (next, _) = dialled(&stand.pass(100));
    let again = requests(&stand.open(next));
    assert_eq!((again.len(), &again[1..]), (2, &write[..]), "with the same bytes");
    stand.reply(next, number, Answer::Absent(Revision(4)));
    assert!(matches!(stand.outcome(get), Some(Ok(Answer::Absent(Revision(4))))));
}

#[test]
fn a_node_whose_history_went_back_is_left_for_good() {
    let (mut stand, dial) = Stand::serving(&["a"], 90_000);
    stand.put();
    let number = asked(&stand.effects());
    stand.reply(dial, number, Answer::Written(Revision(9)));
    let get = stand.get();
    let number = asked(&stand.effects());
    let effects = stand.reply(dial, number, Answer::Absent(Revision(3)));
    assert!(matches!(effects[0], Effect::Leave { why: Left::Node(DialError::WentBack { .. }), .. }), "{effects:?}");
    assert!(matches!(stand.outcome(get), Some(Err(Failure::Session(ConnectError::WentBack { .. })))), "nobody else is there");
}

#[test]
fn every_session_is_given_the_users_parts_first() {
    let (mut stand, dial) = Stand::serving(&["a"], 90_000);
    assert!(stand.core.keep(Unlock { namespace: notes(), part: Secret::new([7; 32]) }));
    stand.get();
    stand.effects();
    stand.core.broke(dial, lost(), stand.now);
    let (next, _) = dialled(&stand.pass(100));
    let requests = requests(&stand.open(next));
    assert!(matches!(requests[..], [ref first, ref second] if matches!(first.op, Op::Unlock(_)) && matches!(second.op, Op::Get(_))));
}
