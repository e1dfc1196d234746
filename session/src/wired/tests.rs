//! A client of which a host asks and forgets while no node is reachable: what it holds meanwhile.
//!
//! Decides: nothing. Trusts: nothing. Compiled for tests only. Out of scope: what the core does with what it holds (`core/tests.rs`), words (`spoken`).
#![allow(clippy::unwrap_used)]

use super::{Over, Wired};
use crate::asked::Ask;
use crate::card::Card;
use crate::chance::Dice;
use crate::credential::Credential;
use crate::kept::Kept;
use crate::opening::{Device, Now, Terms};
use crate::timeouts::Timeouts;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::{PolicyVersion, UserId};
use ringwall_wire::request::{Change, Expect, KeyName, Mutation, Namespace, PutValue, Value};
use ringwall_wire::session::AttestMode;
use std::sync::Arc;

const NOW: Now = Now { ms: 1_000, s: ringwall_sim::answering::NOW_S };

fn client(dice: &mut Dice) -> Wired {
    let node = ringwall_sim::answering::node("genoa-1");
    let addresses = List::new(vec![Text::new("node:1").unwrap()]).unwrap();
    let card = ClusterCard { genesis: node.genesis, policy: node.policy, steps: List::default(), addresses, web: List::default() };
    let card = Card::read(&card.encode()).unwrap();
    let device = Device::Key(Credential::from_seed(ringwall_wire::secret::Secret::new([7; 32])));
    let (cluster_id, user) = (card.cluster_id(), UserId::of(&device.public()));
    let anchors = Arc::new(ringwall_sim::anchors());
    let terms =
        Terms { cluster_id, anchors, attest: AttestMode::Batched, min_policy_version: PolicyVersion(0), user, device, restore: None };
    let kept = Kept::read(&[], cluster_id, user).unwrap();
    Wired::new((&card, &[Over::Native]), terms, kept, Timeouts::default(), NOW, dice).unwrap()
}

/// A write of 64 KiB.
fn write() -> Ask {
    let change = Change::Put(PutValue { value: Value::new(vec![1; 64 * 1024]).unwrap(), ttl_s: 0 });
    let mutation = Mutation { key: KeyName::new(*b"k").unwrap(), expect: Expect::Any, change };
    Ask::Write(Namespace::new("notes").unwrap(), List::new(vec![mutation]).unwrap())
}

#[test]
fn what_is_asked_and_forgotten_is_not_held() {
    let mut dice = Dice(1);
    let mut wired = client(&mut dice);
    wired.submit(0, write(), NOW);
    for number in 1..=10_000 {
        wired.submit(number, write(), NOW);
        // Its host looks at what is left to do after every event: one dial, and nothing of it.
        for _ in 0..10 {
            if wired.next(NOW, &mut dice).is_none() {
                break;
            }
        }
        wired.forget(number);
        assert_eq!(wired.core.held(), 1, "the one that somebody waits for");
    }
}
