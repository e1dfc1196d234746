//! Ways to a node, in words: which is opened how, how long each has, and hosts that say of them what cannot be.
//!
//! Decides: every way to a place has its share of the time, what arrives is of the way it arrived on, and a host that is out of order harms its own client and no more.
//! Trusts: the node in memory (`answering`). Out of scope: sessions (`spoken.rs`). docs/core.md, "Events" and "Effects".

use crate::answering::Node;
use crate::host::{Host, Placed, call, error_code, frame, heads};
use ringwall_session::spoken::Spoken;
use serde_json::{Value, json};

fn spoken() -> Spoken {
    Spoken::new(ringwall_sim::anchors())
}

#[test]
fn a_way_is_opened_as_it_was_asked_for_and_the_next_one_follows() {
    let node = Node::new();
    let mut spoken = spoken();
    let answer = Host::try_open_at(&mut spoken, &node, Placed::Web, &[], json!({ "over": ["webtransport", "websocket"] }));
    let client = heads(&answer)[0].0["client"].clone();
    let dial = |answer: &[u8]| heads(answer).into_iter().map(|one| one.0).find(|head| head["is"] == "dial");
    let first = dial(&answer).unwrap();
    assert_eq!((first["over"].clone(), first["certificates"].as_array().unwrap().len()), (json!("webtransport"), 1));
    let reached = |more: Value| {
        let mut event = json!({ "is": "reached", "dial": first["dial"], "over": "webtransport" });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    for more in
        [json!({}), json!({ "certificate": "00".repeat(32) }), json!({ "over": "websocket" }), json!({ "binding": "00".repeat(32) })]
    {
        assert_eq!(error_code(&spoken.handle(&call(&client, reached(more.clone()), b""))), "RW-C-CALL-HEAD", "{more}");
    }
    let next = spoken.handle(&call(&client, json!({ "is": "unreached", "dial": first["dial"], "why": "no UDP here" }), b""));
    let second = dial(&next).unwrap();
    assert_eq!((second["over"].clone(), second["address"].clone()), (json!("websocket"), json!("ws://127.0.0.1:7002/ringwall")));
    let opened = spoken.handle(&call(&client, json!({ "is": "reached", "dial": second["dial"], "over": "websocket" }), b""));
    assert_eq!(heads(&opened)[0].0["is"], json!("send"));
    let after = spoken.handle(&call(&client, json!({ "is": "arrived", "dial": first["dial"] }), b"late"));
    assert!(heads(&after).iter().all(|one| one.0["is"] != "error"), "a dial that is over is no error");
    let huge = spoken.handle(&call(&client, json!({ "is": "arrived", "dial": second["dial"] }), &u32::MAX.to_be_bytes()));
    let told = heads(&huge);
    let broke = told.iter().find(|one| one.0["is"] == "unusable").unwrap();
    assert_eq!(broke.0["error"]["code"], json!("RW-C-DIAL-BREACH"));
}

/// A page that may go both ways, as the module knows it: its client, and its answers.
fn page(node: &Node, spoken: &mut Spoken) -> (Value, Vec<u8>) {
    let answer = Host::try_open_at(spoken, node, Placed::Web, &[], json!({ "over": ["webtransport", "websocket"], "now_ms": 1_000 }));
    (heads(&answer)[0].0["client"].clone(), answer)
}

fn at(client: &Value, now_ms: u64, event: Value, payload: &[u8]) -> Vec<u8> {
    frame(json!({ "client": client, "now_ms": now_ms, "now_s": 1_800_000_000, "fresh": "11".repeat(32), "event": event }), payload)
}

fn told(answer: &[u8], is: &str) -> Vec<Value> {
    heads(answer).into_iter().map(|one| one.0).filter(|head| head["is"] == is).collect()
}

#[test]
fn a_way_that_says_nothing_makes_room_for_the_next_one() {
    let (node, mut spoken) = (Node::new(), spoken());
    let (client, opened) = page(&node, &mut spoken);
    let first = told(&opened, "dial").remove(0);
    assert_eq!((first["over"].clone(), first["within_ms"].clone()), (json!("webtransport"), json!(2_500)), "half of what a dial may take");
    let tick = |spoken: &mut Spoken, now_ms| spoken.handle(&at(&client, now_ms, json!({ "is": "tick" }), b""));
    // Ticks as it wants them, until there is another way: nobody answers anything.
    let (mut now_ms, mut wake) = (1_000, told(&opened, "wake").pop().unwrap()["at_ms"].as_u64().unwrap());
    let second = loop {
        assert!(wake > now_ms, "it wants time that is over");
        now_ms = wake;
        assert!(now_ms <= 3_500, "nothing by half of the time");
        let answer = tick(&mut spoken, now_ms);
        if let Some(next) = told(&answer, "dial").into_iter().find(|dial| dial["over"] == "websocket") {
            let ended = heads(&answer).iter().position(|one| one.0["is"] == "hang_up" && one.0["dial"] == first["dial"]).unwrap();
            assert!(ended < heads(&answer).iter().position(|one| one.0 == next).unwrap(), "the silent way is ended before");
            break next;
        }
        wake = told(&answer, "wake").pop().map_or(wake + 50, |told| told["at_ms"].as_u64().unwrap());
    };
    assert_eq!((now_ms, second["within_ms"].clone()), (3_500, json!(2_500)));
    // What the first one says now matters to nobody.
    for late in [
        json!({ "is": "reached", "dial": first["dial"], "over": "webtransport", "certificate": first["certificates"][0] }),
        json!({ "is": "lost", "dial": first["dial"], "why": "late" }),
    ] {
        let answer = spoken.handle(&at(&client, now_ms, late, b""));
        assert!(heads(&answer).iter().all(|one| one.0["is"] == "wake"), "{:?}", heads(&answer));
    }
    let reached = spoken.handle(&at(&client, now_ms, json!({ "is": "reached", "dial": second["dial"], "over": "websocket" }), b""));
    assert_eq!(told(&reached, "send").len(), 1);
    // The last one has what time there is.
    let later = tick(&mut spoken, 5_900);
    assert!(told(&later, "hang_up").is_empty() && told(&later, "unusable").is_empty(), "{:?}", heads(&later));
}

#[test]
fn a_way_that_was_open_in_time_is_told_late_and_used_and_one_that_then_is_silent_makes_room() {
    let (node, mut spoken) = (Node::new(), spoken());
    let (client, opened) = page(&node, &mut spoken);
    let first = told(&opened, "dial").remove(0);
    // Its host was busy: something else is told before, when the time of the way is over.
    let before = spoken.handle(&at(&client, 3_600, json!({ "is": "forget", "ticket": 9 }), b""));
    assert!(told(&before, "hang_up").is_empty() && told(&before, "dial").iter().all(|dial| dial["over"] == "webtransport"));
    let reached = json!({ "is": "reached", "dial": first["dial"], "over": "webtransport", "certificate": first["certificates"][0] });
    assert_eq!(told(&spoken.handle(&at(&client, 3_600, reached, b"")), "send").len(), 1);
    let tick = |spoken: &mut Spoken, now_ms| spoken.handle(&at(&client, now_ms, json!({ "is": "tick" }), b""));
    assert!(told(&tick(&mut spoken, 3_600), "hang_up").is_empty(), "it has half of what time is left");
    // The way is there, and nothing comes over it.
    let late = tick(&mut spoken, 4_800);
    assert_eq!(told(&late, "hang_up")[0]["dial"], first["dial"]);
    let second = told(&late, "dial").into_iter().find(|dial| dial["over"] == "websocket").unwrap();
    // One that is lost in silence does the same, but no attempt begins when its time is over.
    let lost = spoken.handle(&at(&client, 6_000, json!({ "is": "lost", "dial": second["dial"], "why": "gone" }), b""));
    assert_eq!(told(&lost, "unusable")[0]["dial"], second["dial"]);
}

#[test]
fn a_way_begins_with_what_arrives_on_it_and_that_is_little_before_it_is_open() {
    let (node, mut spoken) = (Node::new(), spoken());
    let (client, opened) = page(&node, &mut spoken);
    let first = told(&opened, "dial").remove(0)["dial"].clone();
    // Bytes of a way that was never open are not those of the next one.
    let early = spoken.handle(&at(&client, 1_001, json!({ "is": "arrived", "dial": first }), &[0xff; 64]));
    assert!(told(&early, "unusable").is_empty());
    let next = spoken.handle(&at(&client, 1_002, json!({ "is": "unreached", "dial": first, "why": "no" }), b""));
    let second = told(&next, "dial").remove(0)["dial"].clone();
    let reached = spoken.handle(&at(&client, 1_003, json!({ "is": "reached", "dial": second, "over": "websocket" }), b""));
    assert!(told(&reached, "unusable").is_empty() && told(&reached, "send").len() == 1, "{:?}", heads(&reached));
    // A host that never says that its way is open cannot make the module hold whatever comes.
    let (client, opened) = page(&node, &mut spoken);
    let first = told(&opened, "dial").remove(0)["dial"].clone();
    let held = spoken.handle(&at(&client, 1_001, json!({ "is": "arrived", "dial": first }), &[7; 64 * 1024]));
    assert!(told(&held, "unusable").is_empty());
    let over = spoken.handle(&at(&client, 1_001, json!({ "is": "arrived", "dial": first }), &[7]));
    assert_eq!(told(&over, "unusable")[0]["error"]["code"], json!("RW-C-DIAL-BREACH"));
    assert_eq!(told(&over, "hang_up").len(), 1);
}

#[test]
fn a_session_whose_way_was_never_there_is_over() {
    let node = Node::new();
    let mut host = Host::open(spoken(), &node, &[]);
    host.serve(&node);
    host.ask(1, json!({ "is": "status" }), b"");
    let dial = host.find("dial").0["dial"].clone();
    host.event(json!({ "is": "unreached", "dial": dial, "why": "the host changed its mind" }), b"");
    host.tick(1_000);
    let dials = host.said().iter().filter(|is| *is == "dial").count();
    assert_eq!(dials, 2, "the question is asked over another way: {:?}", host.said());
}

#[test]
fn a_clock_is_a_number_and_what_is_refused_does_not_set_it() {
    let (node, mut spoken) = (Node::new(), spoken());
    let (client, opened) = page(&node, &mut spoken);
    let refused = |answer: &[u8]| error_code(answer) == "RW-C-CALL-HEAD";
    for event in [json!({ "is": "tick" }), json!({ "is": "dance" })] {
        assert!(refused(&spoken.handle(&at(&client, 1 << 53, event, b""))));
    }
    assert!(refused(&Host::try_open_at(&mut spoken, &node, Placed::Web, &[], json!({ "now_ms": 1_u64 << 53 }))));
    // A day later, said with a signature that is none.
    let wrong = at(&client, 86_400_000, json!({ "is": "signed", "dial": 1 }), b"short");
    assert_eq!(error_code(&spoken.handle(&wrong)), "RW-C-CALL-FRAME");
    let still = spoken.handle(&at(&client, 1_010, json!({ "is": "tick" }), b""));
    assert!(told(&still, "ended").is_empty() && told(&still, "hang_up").is_empty(), "the day did not pass: {:?}", heads(&still));
    assert_eq!(told(&opened, "dial").len(), 1);
}
