//! What is due when, by the record alone.
//!
//! Decides: the order of causes and their times. Trusts: nothing it tests. Out of scope: doing any of it.

#![allow(clippy::unwrap_used)]

use super::*;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::{Dealing, ManifestMember, ShareAck};
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{Digest, SigPublic};
use ringwall_wire::sample::{Sample as _, Source};
use std::collections::BTreeMap;
use std::sync::Arc;

const TABLE: Timetable = Timetable { redeal: Duration::from_secs(1_000), rotate: Duration::from_secs(100), erase: Duration::from_secs(10) };

fn custodian(number: u8) -> Custodian {
    Custodian { name: Default::default(), sig: SigPublic([number; 32]), kem: Blob::new(vec![number; 8]).unwrap() }
}

fn terms(numbers: &[u8]) -> CustodyTerms {
    CustodyTerms::new(List::new(numbers.iter().map(|number| custodian(*number)).collect()).unwrap(), 2).unwrap()
}

fn held(terms: &CustodyTerms, epoch: u32, dealt_ms: u64, acks: usize) -> Arc<Held> {
    let mut dealing = Dealing::sample(&mut Source::new(1));
    let manifest = &mut dealing.manifest.manifest;
    let members = terms.custodians.iter().zip(1..);
    let members = members.map(|(custodian, x)| ManifestMember { custodian: custodian.clone(), x, commitment: Digest([x; 32]) });
    manifest.members = List::new(members.collect()).unwrap();
    manifest.threshold = terms.threshold;
    manifest.epoch = Epoch(epoch);
    let hash = Digest(manifest.digest());
    let acks: BTreeMap<_, _> = manifest
        .members
        .iter()
        .take(acks)
        .map(|member| (member.id(), ShareAck { custodian: member.id(), ..ShareAck::sample(&mut Source::new(2)) }))
        .collect();
    Arc::new(Held { hash, dealing, dealt_ms, recovery: None, acks, proofs: BTreeMap::new(), drills: Default::default() })
}

#[test]
fn shares_are_dealt_when_there_are_none_or_they_are_others_or_old() {
    let (now, next) = (terms(&[1, 2, 3]), terms(&[1, 2, 4]));
    let custody = |active: Option<Arc<Held>>, waiting: Option<Arc<Held>>| Custody { active, waiting, ..Custody::default() };
    let due = |custody: &Custody, terms: Option<&CustodyTerms>, now_ms: u64| {
        TABLE.due(&Seen { custody, terms, epoch: Some(Epoch(1)), rotated: (now_ms, None), now_ms })
    };
    let nothing = custody(None, None);
    assert_eq!(due(&nothing, None, 5), Due::Nothing, "nobody is to hold shares");
    assert_eq!(due(&nothing, Some(&now), 5), Due::Deal(Why::First));
    let active = custody(Some(held(&now, 1, 500, 3)), None);
    assert_eq!(due(&active, Some(&now), 1_000_499), Due::Nothing);
    assert_eq!(due(&active, Some(&now), 1_000_500), Due::Deal(Why::Age));
    assert_eq!(due(&active, Some(&next), 600), Due::Deal(Why::Custodians));
    assert_eq!(due(&custody(Some(held(&now, 7, 500, 3)), None), Some(&now), 600), Due::Deal(Why::Recovered));
    for acks in 0..3 {
        let waits = custody(Some(held(&now, 1, 0, 3)), Some(held(&now, 1, 500, acks)));
        assert_eq!(due(&waits, Some(&now), 2_000_000), Due::Nothing, "one that waits is not dealt over");
    }
    assert_eq!(due(&custody(None, Some(held(&now, 1, 500, 3))), Some(&now), 600), Due::Activate);
    assert_eq!(due(&custody(None, Some(held(&now, 1, 500, 3))), Some(&next), 600), Due::Drop);
    assert_eq!(due(&custody(None, Some(held(&now, 2, 500, 3))), Some(&now), 600), Due::Drop);
}

#[test]
fn keys_are_rotated_by_age_and_soon_after_an_erasure() {
    let now = terms(&[1, 2, 3]);
    let waits = Custody { waiting: Some(held(&now, 1, 0, 2)), ..Custody::default() };
    for (custody, terms) in [(Custody::default(), None), (waits, Some(&now))] {
        let due = |rotated: (u64, Option<u64>), now_ms: u64| {
            TABLE.due(&Seen { custody: &custody, terms, epoch: Some(Epoch(1)), rotated, now_ms })
        };
        assert_eq!(due((1_000, None), 100_999), Due::Nothing);
        assert_eq!(due((1_000, None), 101_000), Due::Rotate);
        assert_eq!(due((1_000, Some(5_000)), 14_999), Due::Nothing);
        assert_eq!(due((1_000, Some(5_000)), 15_000), Due::Rotate);
        assert_eq!(due((u64::MAX, Some(u64::MAX)), 15_000), Due::Nothing);
    }
}
