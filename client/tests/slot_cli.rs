//! `ringwall slot`, and what governors say of a policy, as governors type it: the real program, files, exit codes.
//!
//! Decides: an order, a withdrawal, a lease is made, signed and verified for one cluster, and everything that could never hold is refused where it is typed;
//! nothing is overwritten; a card with changes pins the newest policy. Trusts: nothing. Out of scope: what a cluster does with it (tests/tests/orders.rs,
//! tests/tests/governance.rs).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::program;

use program::{done, fails, json, run};
use ringwall_attest::governance::{verify_lease, verify_withdrawal};
use ringwall_client::policy::{GovernorKey, PolicyFile};
use ringwall_sim::world;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::governance::{PolicyLease, PolicyStep, PolicyWithdrawal};
use ringwall_wire::ids::{Digest, Epoch, Incarnation, Nonce, PolicyVersion, Slot};
use ringwall_wire::order::ReplaceOrder;
use ringwall_wire::policy::{Governance, PolicyDoc, SignedPolicy};
use std::path::Path;

/// A card of the simulated world; `nonce` makes it another cluster.
fn card(path: &Path, nonce: u8, governors: &[GovernorKey], threshold: u8) -> ClusterCard {
    let mut policy = world::policy();
    let keys = governors.iter().map(GovernorKey::public).collect();
    policy.governance = Governance { keys: List::new(keys).unwrap(), threshold, timelock_s: 0, lease_s: 0 };
    let genesis = world::genesis_record(&policy, "slot", Nonce([nonce; 32]));
    let card = ClusterCard { genesis, policy, steps: Default::default(), addresses: List::default(), web: Default::default() };
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

#[test]
fn words_about_a_policy_are_made_and_signed_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let governors = governors(folder);
    let card = card(&folder.join("card"), 1, &governors, 2);
    let cluster = card.genesis.cluster_id();
    let mut next = PolicyDoc { version: PolicyVersion(2), ..card.policy.clone() };
    next.governance.lease_s = 86_400;
    std::fs::write(folder.join("old"), card.policy.encode()).unwrap();
    std::fs::write(folder.join("next"), next.encode()).unwrap();
    let told = json(&done(folder, "policy diff next --json"));
    assert_eq!(
        (told["kind"].as_str(), told["wait_s"].as_u64()),
        (Some("tightening"), Some(0)),
        "the card's policy is compared with: {told}"
    );
    assert!(done(folder, "policy diff old --against next").contains("The change LOOSENS"));

    done(folder, "policy approve next --against old --key g1 --out step.1");
    done(folder, "policy withdraw step.1 --key g1 --out no.1");
    fails(folder, "policy withdraw no.1 --key g1 --out x", 10, "signed it already");
    fails(folder, "policy withdraw no.1 --key g9 --out x", 10, "is none of the policy in force");
    fails(folder, "policy withdraw next --key g1 --out x", 10, "it is no withdrawal of governors");
    fails(folder, "policy withdraw step.1 --out x", 2, "--key");
    done(folder, "policy withdraw no.1 --key g3 --out no.2");
    let word = PolicyWithdrawal::decode(&std::fs::read(folder.join("no.2")).unwrap()).unwrap();
    let PolicyFile::Signed(_, step) = PolicyFile::read(&folder.join("step.1")).unwrap() else { panic!("a signed policy") };
    assert_eq!(verify_withdrawal(&word, &cluster, &card.policy), Ok(step.change()));

    // A lease is of the policy in force: the card's, unless a newer one is named.
    done(folder, "policy lease --until 2000000000 --policy next --key g2 --out lease.1");
    fails(folder, "policy lease lease.1 --key g2 --out x", 10, "signed it already");
    done(folder, "policy lease lease.1 --key g1 --out lease.2");
    let lease = PolicyLease::decode(&std::fs::read(folder.join("lease.2")).unwrap()).unwrap();
    assert_eq!(verify_lease(&lease, &cluster, &next), Ok(2_000_000_000));
    fails(folder, "policy lease --days 30", 2, "--key");
    fails(folder, "policy lease --key g1 --out x", 2, "--days");
    self::card(&folder.join("other.card"), 2, &governors, 2);
    fails(folder, "policy lease lease.2 --key g3 --out x --card other.card", 10, "is for another cluster than the card");
    assert!(!folder.join("x").exists(), "what is refused writes nothing");
}

#[test]
fn a_card_with_changes_pins_the_newest_policy_and_one_that_was_altered_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let governors = governors(folder);
    let founded = card(&folder.join("founded.card"), 1, &governors, 2);
    let mut policy = PolicyDoc { version: PolicyVersion(2), ..founded.policy.clone() };
    policy.governance.keys = List::new(governors[..2].iter().map(GovernorKey::public).collect()).unwrap();
    let bytes = Blob::new(policy.encode()).unwrap();
    let mut signed = SignedPolicy { replaces: Some(Digest(founded.policy.digest())), policy: bytes, signatures: List::default() };
    signed.signatures.push(governors[0].approve(&signed)).unwrap();
    let few = PolicyStep { signed: signed.clone(), notice: None };
    signed.signatures.push(governors[2].approve(&signed)).unwrap();
    let enough = PolicyStep { signed, notice: None };
    let write = |step: PolicyStep| {
        let card = ClusterCard { steps: List::new(vec![step]).unwrap(), ..founded.clone() };
        std::fs::write(folder.join("card"), card.encode()).unwrap();
    };
    write(few);
    fails(folder, "slot order --slot 2 --incumbent 1/17 --out order", 10, "RW-C-CARD-POLICY");
    write(enough);
    done(folder, "slot order --slot 2 --incumbent 1/17 --out order");
    fails(folder, "slot sign order --key g3 --out x", 10, "is no governor of this cluster");
    done(folder, "slot sign order --key g2 --out once");
}
