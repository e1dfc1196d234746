//! A client in words against a node in memory: a whole life, and whatever a host or a node may do wrong.
//!
//! Decides: effects come in the order docs/core.md gives, what was learned is kept before anything that follows is sent, and no call, however hostile, does more than be
//! refused. Trusts: the node in memory (`answering`). Out of scope: what the core decides (`core`), what an opening decides (`opening.rs`). docs/core.md.

use crate::answering::Node;
use crate::host::{Host, Placed, call, card_of, error_code, frame, heads, one};
use proptest::prelude::*;
use ringwall_session::anchor::EvidenceFile;
use ringwall_session::spoken::Spoken;
use serde_json::{Value, json};

fn spoken() -> Spoken {
    Spoken::new(ringwall_sim::anchors())
}

#[test]
fn a_whole_life_in_words() {
    let node = Node::new();
    let mut host = Host::open(spoken(), &node, &[]);
    assert_eq!(host.opened["anchor"]["known"], json!(false), "nothing was kept before: {}", host.opened);
    let dials = host.serve(&node);
    assert_eq!(dials, 1);
    let said = host.said();
    let at = |is: &str| said.iter().position(|one| one == is).unwrap_or_else(|| panic!("no {is} in {said:?}"));
    assert!(at("dial") < at("keep") && at("keep") < at("believed"), "what the evidence shows is kept first: {said:?}");
    let believed = host.find("believed");
    assert_eq!((believed.0["verdict"].clone(), believed.0["cluster"].clone()), (json!("accepted"), json!(node.cluster_id().to_string())));
    assert!(believed.0["stages"].as_array().unwrap().len() == 10 && !believed.1.is_empty());

    host.ask(1, json!({ "is": "enter", "namespace": "notes", "mode": "cluster" }), b"");
    host.ask(2, json!({ "is": "put", "namespace": "notes", "key": "a", "expect": "absent" }), b"one");
    host.ask(3, json!({ "is": "get", "namespace": "notes", "key": "a" }), b"");
    host.ask(4, json!({ "is": "list", "namespace": "notes", "values": true }), b"");
    host.ask(5, json!({ "is": "put", "namespace": "notes", "key": "a", "expect": "absent" }), b"two");
    host.ask(6, json!({ "is": "status" }), b"");
    host.serve(&node);
    assert_eq!(host.answer(1).0["answer"], json!({ "namespace": "notes", "mode": "cluster" }));
    let version = host.answer(2).0["answer"]["version"].as_u64().unwrap();
    let got = host.answer(3);
    assert_eq!((got.0["answer"].clone(), got.1.as_slice()), (json!({ "found": true, "version": version }), b"one".as_slice()));
    let list = host.answer(4);
    assert_eq!(list.0["answer"]["entries"], json!([{ "key": "a", "version": version, "bytes": 3 }]));
    assert_eq!((list.0["answer"]["more"].clone(), list.1.as_slice()), (json!(false), b"one".as_slice()));
    let conflict = host.answer(5).0["error"].clone();
    assert_eq!((conflict["code"].clone(), conflict["current"].clone()), (json!("RW-C-CONFLICT"), json!(version)));
    assert!(host.answer(6).0["answer"]["voters"].is_array());

    host.event(json!({ "is": "watch", "ticket": 9, "namespace": "notes", "prefix": "a", "after": 0 }), b"");
    host.serve(&node);
    let events = host.find("events");
    assert_eq!((events.0["ticket"].clone(), events.1.as_slice()), (json!(9), b"one".as_slice()));
    assert_eq!(events.0["changes"][0]["key"], json!("a"));
    host.event(json!({ "is": "read_on", "ticket": 9 }), b"");

    // Everything that was learned is kept within a second.
    host.tick(2_000);
    host.ask(10, json!({ "is": "anchor" }), b"");
    let anchor = host.answer(10).0["answer"].clone();
    assert_eq!((anchor["known"].clone(), anchor["unkept_receipts"].clone()), (json!(true), json!(false)), "{anchor}");

    // The node dies; the next session asks again what was not answered.
    host.ask(11, json!({ "is": "get", "namespace": "notes", "key": "a" }), b"");
    host.lose("the machine is gone");
    host.tick(2_100);
    assert_eq!(host.serve(&node), 1, "one more way");
    assert_eq!(host.answer(11).1, b"one");
    host.event(json!({ "is": "close" }), b"");
    assert_eq!(host.said().last().map(String::as_str), Some("ended"));
    let gone = host.raw(json!({ "is": "tick" }), b"");
    assert_eq!(error_code(&gone), "RW-C-CALL-CLIENT");

    what_was_kept_counts(&node, &host.kept);
}

/// It is what the next life begins with; it is nobody else's, and every damage is told.
fn what_was_kept_counts(node: &Node, kept: &[u8]) {
    let again = Host::open(spoken(), node, kept);
    assert_eq!(again.opened["anchor"]["known"], json!(true));
    for (at, code) in [(0, "RW-C-MEMORY-DAMAGED"), (kept.len() / 2, "RW-C-MEMORY-DAMAGED")] {
        let mut damaged = kept.to_vec();
        damaged[at] ^= 1;
        assert_eq!(error_code(&Host::try_open(&mut spoken(), node, &damaged, json!({}))), code);
    }
    assert_eq!(error_code(&Host::try_open(&mut spoken(), node, &kept[..kept.len() - 1], json!({}))), "RW-C-MEMORY-DAMAGED");
    let other = Node::of("another", |_| ());
    assert_eq!(error_code(&Host::try_open(&mut spoken(), &other, kept, json!({}))), "RW-C-MEMORY-OTHER");
    let stranger = json!({ "device": { "seed": "99".repeat(32) } });
    assert_eq!(error_code(&Host::try_open(&mut spoken(), node, kept, stranger)), "RW-C-MEMORY-OTHER");
}

#[test]
fn what_is_learned_is_kept_before_it_is_acted_on() {
    let node = Node::new();
    let mut host = Host::open(spoken(), &node, &[]);
    host.serve(&node);
    let said = host.said();
    let keep = said.iter().position(|one| one == "keep").unwrap();
    let believed = said.iter().position(|one| one == "believed").unwrap();
    let after = said.iter().skip(believed).position(|one| one == "send").unwrap() + believed;
    assert!(keep < after, "the policy is kept before the user is named: {said:?}");
}

#[test]
fn a_history_that_was_taken_back_ends_every_life_and_its_proof_is_kept() {
    for (misdeed, code) in [("fork", "RW-C-FORK-DETECTED"), ("rollback", "RW-C-ROLLBACK-DETECTED")] {
        let (mut node, mut liar) = (Node::new(), Node::new());
        match misdeed {
            "fork" => liar.ledger.rewrite(3),
            _ => node.ledger.grow(5),
        }
        let mut host = Host::open(spoken(), &node, &[]);
        host.serve(&node);
        host.tick(2_000);
        assert_eq!(host.find("keep").1, host.kept);
        let mut later = Host::open(spoken(), &node, &host.kept);
        later.serve(&liar);
        let said = later.said();
        let place = |is: &str| said.iter().rposition(|one| one == is).unwrap();
        assert!(place("keep") < place("disbelieved") && place("disbelieved") < place("ended"), "{said:?}");
        assert_eq!(later.find("ended").0["error"]["code"], json!(code));
        // The next life begins nothing, and gives out the proof.
        let mut last = Host::open(spoken(), &node, &later.kept);
        assert_eq!(last.opened["anchor"]["detected"], json!(misdeed));
        last.ask(1, json!({ "is": "evidence" }), b"");
        let proof = last.answer(1);
        assert_eq!(proof.0["answer"], json!({ "what": misdeed }));
        let proof = EvidenceFile::from_bytes(&proof.1).unwrap();
        assert!(proof.verify(&ringwall_sim::anchors()).is_ok(), "anybody can verify it");
        last.serve(&node);
        assert_eq!(last.find("ended").0["error"]["code"], json!(code));
        assert!(!last.said().contains(&"send".to_owned()), "nothing was said to anybody");
    }
}

#[test]
fn in_user_mode_the_node_sees_no_name_and_the_list_is_in_the_users_order() {
    let node = Node::new();
    let mut host = Host::open_with(spoken(), &node, &[], json!({ "user_key": "44".repeat(32) }));
    host.ask(1, json!({ "is": "enter", "namespace": "diary", "mode": "user" }), b"");
    host.serve(&node);
    assert_eq!(host.answer(1).0["answer"]["mode"], json!("user"));
    for (ticket, key) in [(2, "b"), (3, "a"), (4, "c")] {
        host.ask(ticket, json!({ "is": "put", "namespace": "diary", "key": key }), key.as_bytes());
    }
    host.ask(5, json!({ "is": "get", "namespace": "diary", "key": "c" }), b"");
    host.ask(6, json!({ "is": "put", "namespace": "diary", "key": "big" }), &vec![0; 512 * 1024 + 1]);
    host.serve(&node);
    assert_eq!(host.answer(5).1, b"c");
    assert_eq!(host.answer(6).0["error"]["code"], json!("RW-C-VALUE-TOO-LARGE"));
    assert!(host.names().iter().all(|name| name.len() > 16), "what the node has is sealed");
    host.ask(7, json!({ "is": "list", "namespace": "diary", "limit": 2, "values": true }), b"");
    host.ask(8, json!({ "is": "list", "namespace": "diary", "limit": 2, "after": "b" }), b"");
    host.serve(&node);
    let page = host.answer(7);
    let keys = |page: &Value| page["answer"]["entries"].as_array().unwrap().iter().map(|entry| entry["key"].clone()).collect::<Vec<_>>();
    assert_eq!(
        (keys(&page.0), page.1.as_slice(), page.0["answer"]["more"].clone()),
        (vec![json!("a"), json!("b")], b"ab".as_slice(), json!(true))
    );
    let page = host.answer(8);
    assert_eq!((keys(&page.0), page.0["answer"]["more"].clone()), (vec![json!("c")], json!(false)));
    host.ask(9, json!({ "is": "phrase" }), b"");
    let phrase = host.answer(9).1;
    assert_eq!(std::str::from_utf8(&phrase).unwrap().split_whitespace().count(), 24);
}

#[test]
fn with_the_users_key_nothing_is_asked_of_a_namespace_before_it_was_entered() {
    let node = Node::new();
    let mut host = Host::open_with(spoken(), &node, &[], json!({ "user_key": "44".repeat(32) }));
    host.serve(&node);
    let ops = |first: u64| {
        let op = |is: &str| json!({ "is": is, "namespace": "diary", "key": "plain" });
        let all = [op("put"), op("delete"), op("get"), json!({ "is": "list", "namespace": "diary" })];
        (first..).zip(all)
    };
    let refused = |host: &mut Host<'_>, first: u64| {
        for (ticket, op) in ops(first) {
            let value = if op["is"] == "put" { b"plain".as_slice() } else { b"" };
            host.ask(ticket, op, value);
            assert_eq!(host.answer(ticket).0["error"]["code"], json!("RW-C-NAMESPACE-NOT-ENTERED"), "{ticket}");
        }
        host.event(json!({ "is": "watch", "ticket": first + 4, "namespace": "diary", "prefix": "plain", "after": 0 }), b"");
        let over = host.find("over").0;
        assert_eq!((over["ticket"].clone(), over["error"]["code"].clone()), (json!(first + 4), json!("RW-C-NAMESPACE-NOT-ENTERED")));
    };
    refused(&mut host, 1);
    // It was asked for and nobody answered yet.
    host.ask(10, json!({ "is": "enter", "namespace": "diary", "mode": "user" }), b"");
    refused(&mut host, 11);
    host.serve(&node);
    assert_eq!((host.answer(10).0["answer"]["mode"].clone(), host.names()), (json!("user"), Vec::new()), "the node has nothing");
    host.ask(20, json!({ "is": "put", "namespace": "diary", "key": "plain" }), b"plain");
    host.ask(21, json!({ "is": "get", "namespace": "notes", "key": "a" }), b"");
    host.serve(&node);
    assert!(host.answer(20).0["answer"]["version"].is_u64(), "{}", host.answer(20).0);
    assert!(host.names().iter().all(|name| name.len() > 16), "what the node has is sealed");
    assert_eq!(host.answer(21).0["error"]["code"], json!("RW-C-NAMESPACE-NOT-ENTERED"), "each one is entered by itself");
    // Without the user's key nothing could be sealed, and the usual mode is meant.
    let mut plain = Host::open(spoken(), &node, &[]);
    plain.ask(1, json!({ "is": "put", "namespace": "notes", "key": "a" }), b"one");
    plain.serve(&node);
    assert!(plain.answer(1).0["answer"]["version"].is_u64());
}

#[test]
fn a_client_that_cannot_keep_ends() {
    let node = Node::new();
    let mut host = Host::open(spoken(), &node, &[]);
    host.ask(1, json!({ "is": "status" }), b"");
    host.event(json!({ "is": "unkept", "why": "no room" }), b"");
    assert_eq!(host.answer(1).0["error"]["code"], json!("RW-C-CLOSED"));
    let ended = host.find("ended");
    assert_eq!(ended.0["error"]["code"], json!("RW-C-MEMORY-UNKEPT"));
    assert!(host.said().contains(&"hang_up".to_owned()), "{:?}", host.said());
    assert!(!host.said().contains(&"keep".to_owned()));
}

#[test]
fn a_device_whose_key_is_elsewhere_signs() {
    let node = Node::new();
    let mut host = Host::open_as(spoken(), &node, json!({ "public": Host::public() }));
    host.serve(&node);
    assert!(host.said().contains(&"sign".to_owned()));
    host.ask(1, json!({ "is": "status" }), b"");
    host.serve(&node);
    assert!(host.answer(1).0["answer"].is_object());
    let mut refuses = Host::open_as(spoken(), &node, json!({ "public": Host::public() }));
    refuses.signs = Some(b"not this".to_vec());
    refuses.serve(&node);
    assert_eq!(refuses.find("unusable").0["error"]["code"], json!("RW-C-DIAL-SIGNATURE"));
}

#[test]
fn two_clients_of_one_module_do_not_know_of_each_other() {
    let (one, other) = (Node::new(), Node::of("another", |_| ()));
    let mut spoken = spoken();
    let first = one_opened(&Host::try_open(&mut spoken, &one, &[], json!({})));
    let second = one_opened(&Host::try_open(&mut spoken, &other, &[], json!({})));
    assert_ne!(first["client"], second["client"]);
    assert_ne!(first["cluster"], second["cluster"]);
    for _ in 2..16 {
        one_opened(&Host::try_open(&mut spoken, &one, &[], json!({})));
    }
    assert_eq!(error_code(&Host::try_open(&mut spoken, &one, &[], json!({}))), "RW-C-CALL-CLIENTS");
    let close = |spoken: &mut Spoken, client: &Value| heads(&spoken.handle(&call(client, json!({ "is": "close" }), b"")));
    assert_eq!(close(&mut spoken, &first["client"]).last().unwrap().0["is"], json!("ended"));
    assert_eq!(error_code(&spoken.handle(&call(&first["client"], json!({ "is": "tick" }), b""))), "RW-C-CALL-CLIENT");
    assert_eq!(close(&mut spoken, &second["client"]).last().unwrap().0["is"], json!("ended"), "the other one lived on");
}

fn one_opened(answer: &[u8]) -> Value {
    let head = heads(answer).remove(0).0;
    assert_eq!(head["is"], json!("opened"), "{head}");
    head
}

#[test]
fn a_node_of_another_cluster_and_one_that_replays_are_disbelieved() {
    let node = Node::new();
    let mut other = Node::of("another", |_| ());
    other.claims = node.cluster_id();
    for liar in [Node { replays: Some(ringwall_wire::ids::Digest([4; 32])), ..Node::new() }, other] {
        let mut host = Host::open(spoken(), &node, &[]);
        host.serve(&liar);
        let told = host.find("disbelieved");
        assert!(["RW-C-EVIDENCE", "RW-C-CANNOT-TELL"].contains(&told.0["error"]["code"].as_str().unwrap()), "{}", told.0);
        assert_eq!(told.0["verdict"], json!("refused"));
        // What was shown is judged again without a network, with the same end.
        let card = card_of(&node, Placed::Native);
        let question = frame(json!({ "now_s": ringwall_sim::answering::NOW_S, "card_bytes": card.len() }), &[card, told.1].concat());
        let again = one(&spoken().verify(&question)).0;
        assert_eq!(
            (again["is"].clone(), again["verdict"].clone(), again["pinned_by"].clone()),
            (json!("verified"), json!("refused"), json!("card"))
        );
    }
}

#[test]
fn a_saved_exchange_is_verified_from_a_card_and_from_a_link() {
    let node = Node::new();
    let mut host = Host::open(spoken(), &node, &[]);
    host.serve(&node);
    let exchange = host.find("believed").1;
    let card = card_of(&node, Placed::Native);
    let link = one(&spoken().card(&frame(json!({}), &card))).0["link"].as_str().unwrap().to_owned();
    for (card, by) in [(card.as_slice(), "card"), (link.as_bytes(), "card"), (b"".as_slice(), "file")] {
        let head = json!({ "now_s": ringwall_sim::answering::NOW_S + 60, "card_bytes": card.len() });
        let told = one(&spoken().verify(&frame(head, &[card, &exchange].concat()))).0;
        assert_eq!(
            (told["verdict"].clone(), told["pinned_by"].clone(), told["age_s"].clone()),
            (json!("accepted"), json!(by), json!(60)),
            "{told}"
        );
    }
    let head = json!({ "now_s": 0, "at_s": 1, "card_bytes": 0 });
    let told = one(&spoken().verify(&frame(head, &exchange))).0;
    assert_eq!(told["error"]["code"], json!("RW-C-CANNOT-TELL"), "a clock that is wrong by years: {told}");
    assert_eq!(error_code(&spoken().verify(&frame(json!({ "now_s": 0, "card_bytes": 0 }), &exchange[1..]))), "RW-C-INPUT");
    let foreign = card_of(&Node::of("another", |_| ()), Placed::Native);
    let head = json!({ "now_s": 0, "card_bytes": foreign.len() });
    assert_eq!(one(&spoken().verify(&frame(head, &[foreign, exchange].concat()))).0["verdict"], json!("refused"));
}

#[test]
fn a_card_says_the_same_as_file_text_and_link() {
    let node = Node::new();
    let file = card_of(&node, Placed::Web);
    let told = one(&spoken().card(&frame(json!({}), &file))).0;
    assert_eq!((told["form"].clone(), told["trust_domain"].clone()), (json!("file"), json!("simulated")));
    let link = format!(" {}\n", told["link"].as_str().unwrap());
    let short = one(&spoken().card(&frame(json!({}), link.as_bytes()))).0;
    for field in ["cluster", "addresses", "web", "sockets", "link"] {
        assert_eq!(short[field], told[field], "{field}");
    }
    assert_eq!((short["form"].clone(), short["policy_version"].clone()), (json!("link"), Value::Null));
    for (bytes, code) in [
        (b"".as_slice(), "RW-C-CARD-MALFORMED"),
        (b"ringwall:", "RW-C-CARD-LINK"),
        (b"ringwall-card:AAAA", "RW-C-CARD-TEXT"),
        (b"\xff\xfe", "RW-C-CARD-MALFORMED"),
        (&file[..file.len() - 1], "RW-C-CARD-MALFORMED"),
        (&vec![b'a'; 17_039_361], "RW-C-CARD-TOO-LARGE"),
        (&vec![b'a'; 30_000_000], "RW-C-CALL-TOO-LARGE"),
    ] {
        assert_eq!(error_code(&spoken().card(&frame(json!({}), bytes))), code);
    }
}

#[test]
fn calls_that_make_no_sense_are_refused_and_change_nothing() {
    let node = Node::new();
    let mut host = Host::open(spoken(), &node, &[]);
    host.serve(&node);
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    for (bytes, code) in [
        (b"".to_vec(), "RW-C-CALL-FRAME"),
        (vec![1, 0, 0], "RW-C-CALL-FRAME"),
        (vec![5, 0, 0, 0, b'{'], "RW-C-CALL-FRAME"),
        (vec![0xff; 4], "RW-C-CALL-TOO-LARGE"),
        (vec![1, 0, 0, 0, 0xff], "RW-C-CALL-HEAD"),
        ([&40_001_u32.to_le_bytes()[..], deep.as_bytes()].concat(), "RW-C-CALL-HEAD"),
        (frame(json!([1, 2]), b""), "RW-C-CALL-HEAD"),
        (frame(json!({ "client": 1 }), b""), "RW-C-CALL-HEAD"),
    ] {
        assert_eq!(error_code(&host.spoken.handle(&bytes)), code, "{} bytes", bytes.len());
    }
    for (event, payload, code) in [
        (json!({ "is": "dance" }), b"".as_slice(), "RW-C-CALL-HEAD"),
        (json!({ "is": "tick", "extra": 1 }), b"", "RW-C-CALL-HEAD"),
        (json!({ "is": "arrived" }), b"", "RW-C-CALL-HEAD"),
        (json!({ "is": "arrived", "dial": "secret" }), b"", "RW-C-CALL-HEAD"),
        (json!({ "is": "arrived", "dial": 99 }), b"x", "RW-C-CALL-DIAL"),
        (json!({ "is": "reached", "dial": 0, "over": "websocket" }), b"", "RW-C-CALL-DIAL"),
        (json!({ "is": "signed", "dial": 1 }), b"short", "RW-C-CALL-FRAME"),
        (json!({ "is": "tick" }), b"payload", "RW-C-CALL-FRAME"),
        (json!({ "is": "ask", "ticket": 1, "op": { "is": "fly" } }), b"", "RW-C-CALL-HEAD"),
        (json!({ "is": "ask", "ticket": 1, "op": { "is": "get", "namespace": "n" } }), b"", "RW-C-CALL-HEAD"),
        (json!({ "is": "ask", "ticket": 1, "op": { "is": "get", "namespace": "n", "key": "a", "key_hex": "61" } }), b"", "RW-C-CALL-HEAD"),
        (json!({ "is": "ask", "ticket": 1, "op": { "is": "get", "namespace": "n", "key_hex": "6" } }), b"", "RW-C-CALL-HEAD"),
        (json!({ "is": "ask", "ticket": 1, "op": { "is": "get", "namespace": "n", "key": "a", "more": 1 } }), b"", "RW-C-CALL-HEAD"),
        (
            json!({ "is": "ask", "ticket": 1, "op": { "is": "put", "namespace": "n", "key": "a", "expect": { "version": 1, "x": 2 } } }),
            b"",
            "RW-C-CALL-HEAD",
        ),
        (json!({ "is": "ask", "ticket": 1, "op": { "is": "get", "namespace": "n", "key": "a" } }), b"value", "RW-C-CALL-FRAME"),
    ] {
        assert_eq!(error_code(&host.raw(event.clone(), payload)), code, "{event}");
    }
    assert_eq!(error_code(&host.raw(json!({ "is": "arrived", "dial": 1 }), &vec![0; 1024 * 1024 + 1])), "RW-C-CALL-TOO-LARGE");
    // Refused by their own rules, as answers.
    for (ticket, op, payload, code) in [
        (20, json!({ "is": "get", "namespace": "", "key": "a" }), b"".to_vec(), "RW-C-NAMESPACE-NAME"),
        (21, json!({ "is": "get", "namespace": "n", "key": "a".repeat(1_025) }), b"".to_vec(), "RW-C-KEY-TOO-LONG"),
        (22, json!({ "is": "put", "namespace": "n", "key": "a" }), vec![0; 1024 * 1024 + 1], "RW-C-VALUE-TOO-LARGE"),
        (23, json!({ "is": "enter", "namespace": "n", "mode": "user" }), b"".to_vec(), "RW-C-NO-USER-KEY"),
        (24, json!({ "is": "recovery" }), b"not a phrase".to_vec(), "RW-C-PHRASE"),
    ] {
        host.ask(ticket, op, &payload);
        assert_eq!(host.answer(ticket).0["error"]["code"], json!(code));
    }
    host.ask(30, json!({ "is": "status" }), b"");
    let twice = json!({ "is": "ask", "ticket": 30, "op": { "is": "status" } });
    assert_eq!(error_code(&host.raw(twice, b"")), "RW-C-CALL-TICKET");
    host.serve(&node);
    assert!(host.answer(30).0["answer"].is_object(), "the client is as it was");
}

#[test]
fn what_a_host_says_of_itself_is_looked_at() {
    let node = Node::new();
    for (more, code) in [
        (json!({ "over": [] }), "RW-C-NO-ADDRESS"),
        (json!({ "over": ["webtransport"] }), "RW-C-NO-ADDRESS"),
        (json!({ "over": ["pigeon"] }), "RW-C-CALL-HEAD"),
        (json!({ "device": {} }), "RW-C-CALL-HEAD"),
        (json!({ "device": { "seed": "0" } }), "RW-C-CALL-HEAD"),
        (json!({ "fresh": "00" }), "RW-C-CALL-HEAD"),
        (json!({ "timeouts": { "dial_ms": 1 } }), "RW-C-CALL-HEAD"),
        (json!({ "card_bytes": 1_000_000 }), "RW-C-CALL-FRAME"),
        (json!({ "color": "blue" }), "RW-C-CALL-HEAD"),
    ] {
        let answer = Host::try_open(&mut spoken(), &node, &[], more.clone());
        assert_eq!(error_code(&answer), code, "{more}");
        let words = one(&answer).0["error"]["words"].to_string();
        assert!(!words.contains("2121"), "a secret is repeated: {words}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// 512 rounds of 200 frames: none panics, and each is answered.
    #[test]
    fn no_bytes_end_a_module(rounds in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..64), any::<bool>()), 200)) {
        let mut spoken = spoken();
        for (which, bytes, framed) in rounds {
            let question = if framed { [&u32::try_from(bytes.len() / 2).unwrap().to_le_bytes()[..], &bytes].concat() } else { bytes };
            let answer = match which % 4 {
                0 => spoken.card(&question),
                1 => spoken.verify(&question),
                2 => spoken.open(&question),
                _ => spoken.handle(&question),
            };
            prop_assert_eq!(one(&answer).0["is"].clone(), json!("error"));
        }
    }

    /// A node that sends anything at all.
    #[test]
    fn no_node_ends_a_client(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..256), 1..20)) {
        let node = Node::new();
        let mut host = Host::open(spoken(), &node, &[]);
        let dial = host.reach();
        for piece in pieces {
            let answer = host.raw(json!({ "is": "arrived", "dial": dial }), &piece);
            prop_assert!(heads(&answer).iter().all(|told| told.0["is"] != "error"));
        }
    }
}
