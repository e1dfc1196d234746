//! `ringwall slot` as governors type it: the real program, files, exit codes.
//!
//! Decides: an order is made, signed and verified for one cluster, and everything that could never hold is refused where it is typed;
//! nothing is overwritten. Trusts: nothing. Out of scope: what a cluster does with an order (tests/tests/orders.rs).
#![allow(clippy::unwrap_used, clippy::panic)]

mod program;

use program::{done, fails, json, run};
use ringwall_client::policy::GovernorKey;
use ringwall_sim::world;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::{Epoch, Incarnation, Nonce, Slot};
use ringwall_wire::order::ReplaceOrder;
use ringwall_wire::policy::Governance;
use std::path::Path;

/// A card of the simulated world; `nonce` makes it another cluster.
fn card(path: &Path, nonce: u8, governors: &[GovernorKey], threshold: u8) -> ClusterCard {
    let mut policy = world::policy();
    let keys = governors.iter().map(GovernorKey::public).collect();
    policy.governance = Governance { keys: List::new(keys).unwrap(), threshold, timelock_s: 0, lease_s: 0 };
    let genesis = world::genesis_record(&policy, "slot", Nonce([nonce; 32]));
    let card = ClusterCard { genesis, policy, steps: Default::default(), addresses: List::default() };
    std::fs::write(path, card.encode()).unwrap();
    card
}

/// Governors `g1` to `g3`, and a stranger `g9`, with key files of those names.
fn governors(folder: &Path) -> Vec<GovernorKey> {
    GovernorKey::create(&folder.join("g9")).unwrap();
    ["g1", "g2", "g3"].map(|name| GovernorKey::create(&folder.join(name)).unwrap()).into()
}

#[test]
fn an_order_is_made_signed_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let governors = governors(folder);
    let cluster = card(&folder.join("card"), 1, &governors, 2).genesis.cluster_id();
    let made = json(&done(folder, "slot order --slot 2 --incumbent 1/17 --last-index 900 --out order --json"));
    assert_eq!((made["slot"].as_u64(), made["signatures"].as_u64(), made["written"].as_str()), (Some(2), Some(0), Some("order")));
    fails(folder, "slot verify order", 10, "0 of the governors signed, 2 must");
    done(folder, "slot sign order --key g1 --out once");
    fails(folder, "slot verify once", 10, "1 of the governors signed, 2 must");
    let signed = json(&done(folder, "slot sign once --key g3 --out twice --json"));
    assert_eq!(signed["governor"].as_str(), Some(governors[2].public().to_string().as_str()));
    let verified = json(&done(folder, "slot verify twice --json"));
    assert_eq!(verified["governors"].as_array().unwrap().len(), 2);
    assert_eq!((verified["incumbent"].as_u64(), verified["last_index"].as_u64()), (Some((1 << 40) | 17), Some(900)));
    assert!(done(folder, "slot verify twice").contains("replace incarnation 1/17 in slot 2"));

    let order = ReplaceOrder::decode(&std::fs::read(folder.join("twice")).unwrap()).unwrap();
    assert_eq!((order.cluster_id, order.epoch, order.slot), (cluster, Epoch(1), Slot(2)));
    assert_eq!((order.incumbent, order.signatures.len()), (Incarnation::new(Epoch(1), 17), 2));
    let open = done(folder, "slot order --slot 2 --incumbent 1099511627793 --out open");
    assert!(open.contains("for as long as it stands there"), "{open}");
}

#[test]
fn what_could_never_hold_is_refused_where_it_is_typed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let governors = governors(folder);
    card(&folder.join("card"), 1, &governors, 2);
    card(&folder.join("other"), 2, &governors, 2);
    card(&folder.join("nobody"), 1, &[], 1);
    done(folder, "slot order --slot 2 --incumbent 1/17 --out order");
    fails(folder, "slot order --slot 2 --incumbent 1/17 --out order", 1, "does not exist yet");
    fails(folder, "slot order --slot 200 --incumbent 1/17 --out o", 2, "200 is no slot of the cluster");
    fails(folder, "slot order --slot 2 --incumbent 17 --out o", 2, "like 1/17");
    fails(folder, "slot order --slot 2 --incumbent 1/17 --out o --card nobody", 10, "names no governors");
    fails(folder, "slot order --slot 2 --incumbent 1/17 --out o --card gone", 10, "gone");
    fails(folder, "slot sign order --key g9 --out o", 10, "is no governor of this cluster");
    fails(folder, "slot sign order --key g1 --out o --card other", 10, "the card is of");
    std::fs::write(folder.join("junk"), b"no order at all").unwrap();
    fails(folder, "slot sign junk --key g1 --out o", 10, "`ringwall slot order` makes one");
    fails(folder, "slot verify junk", 10, "`ringwall slot order` makes one");
    done(folder, "slot sign order --key g1 --out once");
    fails(folder, "slot sign once --key g1 --out o", 10, "signed it already");
    assert!(!folder.join("o").exists());

    let mut moved = ReplaceOrder::decode(&std::fs::read(folder.join("once")).unwrap()).unwrap();
    moved.signatures.push(governors[1].order(&moved)).unwrap();
    moved.incumbent = Incarnation(moved.incumbent.0 + 1);
    std::fs::write(folder.join("moved"), moved.encode()).unwrap();
    fails(folder, "slot verify moved", 10, "does not verify");
    let (code, _, err) = run(folder, "slot verify moved --json");
    assert_eq!((code, json(&err)["error"]["code"].as_str()), (10, Some("RW-C-ORDER-NOT-APPROVED")));
}
