//! What a leader or a sender of snapshots could make up about dealings, and that it does not count.
//!
//! Decides: a voter deals under the key it was admitted with, whatever the membership says; a snapshot has one dealing in each place. Trusts: nothing it
//! tests. Out of scope: what an honest leader deals (`super`).

use super::*;
use crate::types;
use std::collections::BTreeSet;

#[test]
fn a_voter_deals_under_the_key_it_was_admitted_with() {
    let (mut bench, me) = scene();
    // A leader writes the membership: it may put a key of its own choice beside a voter.
    let forger = custodian_key(77);
    let mut member = bench.state.membership.get_node(&me).unwrap().clone();
    member.sig = SigPublic(forger.verifying_key().to_bytes());
    let mut manifest = manifest(&bench, me);
    manifest.dealer_sig = member.sig;
    let members = types::RaftMembership::new(vec![BTreeSet::from([me])], BTreeMap::from([(me, member)])).unwrap();
    bench.state.membership = types::StoredMembership::new(None, members);
    let mut dealing = dealing(&bench, manifest);
    dealing.manifest.signature = Signature(forger.sign(&dealing.manifest.manifest.words()).to_bytes());
    assert_eq!(step(&mut bench, CustodyCommand::Deal(Box::new(dealing))), refused(CustodyFault::NotDealer));
}

#[test]
fn a_snapshot_has_one_dealing_in_each_place() {
    let (mut bench, me) = scene();
    active(&mut bench, me);
    deal(&mut bench, me);
    let (_, held) = bench.state.custody.records();
    let mut custody = Custody::default();
    for record in &held {
        assert!(custody.restore_held(record.clone()));
    }
    for record in held {
        assert!(!custody.restore_held(record), "a second one in the same place");
    }
}
