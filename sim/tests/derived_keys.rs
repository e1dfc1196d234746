//! Derived keys of simulated chips: what makes another key, what does not, and what is refused.
//!
//! Decides: that a key is the chip's and the guest's own, as MSG_KEY_REQ promises. Trusts: nothing.
//! Out of scope: asking real firmware (`ringwall_node::platform::sev_guest`).
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_node::platform::derived_keys::{DerivedKeyError, DerivedKeys, KeyFields};
use ringwall_sim::{BuildImage, SimTee, TeeProfile, world};
use ringwall_wire::ids::{ClusterId, Slot, Vendor};
use ringwall_wire::secret::Secret;

const EVERYTHING: KeyFields =
    KeyFields { policy: true, image_id: true, family_id: true, measurement: true, guest_svn: Some(0), tcb_version: Some(0), vmpl: 0 };

fn profile(chip_name: &str) -> TeeProfile {
    world::machine(chip_name, world::joining_config(ClusterId([7; 32]), Slot(1))).unwrap()
}

fn key(profile: TeeProfile, fields: KeyFields) -> Secret<32> {
    SimTee::new(profile, 0).derive(fields).unwrap()
}

#[test]
fn the_same_chip_and_guest_derive_the_same_key() {
    for fields in [KeyFields::default(), EVERYTHING] {
        assert!(key(profile("genoa-1"), fields).same(&key(profile("genoa-1"), fields)));
    }
}

#[test]
fn another_chip_derives_another_key() {
    for other in ["genoa-2", "turin-1", "milan-1"] {
        assert!(!key(profile("genoa-1"), EVERYTHING).same(&key(profile(other), EVERYTHING)), "{other}");
        assert!(!key(profile("genoa-1"), KeyFields::default()).same(&key(profile(other), KeyFields::default())), "{other}");
    }
}

#[test]
fn another_measurement_derives_another_key_when_it_is_mixed_in() {
    let other = TeeProfile { build: BuildImage::new("another build", 1), ..profile("genoa-1") };
    let measured = KeyFields { measurement: true, ..KeyFields::default() };
    assert!(!key(profile("genoa-1"), measured).same(&key(other.clone(), measured)));
    let unmeasured = KeyFields { measurement: false, ..EVERYTHING };
    assert!(key(profile("genoa-1"), unmeasured).same(&key(other, unmeasured)), "a key without the measurement outlives a new build");
}

#[test]
fn another_boot_configuration_always_derives_another_key() {
    let other = world::machine("genoa-1", world::joining_config(ClusterId([7; 32]), Slot(2))).unwrap();
    assert!(!key(profile("genoa-1"), KeyFields::default()).same(&key(other, KeyFields::default())));
}

#[test]
fn every_field_of_the_mask_makes_another_key() {
    let none = KeyFields::default();
    let all = [
        none,
        KeyFields { policy: true, ..none },
        KeyFields { image_id: true, ..none },
        KeyFields { family_id: true, ..none },
        KeyFields { measurement: true, ..none },
        KeyFields { guest_svn: Some(0), ..none },
        KeyFields { tcb_version: Some(0), ..none },
        KeyFields { tcb_version: Some(1), ..none },
        KeyFields { vmpl: 1, ..none },
        EVERYTHING,
    ];
    let keys: Vec<Secret<32>> = all.iter().map(|fields| key(profile("genoa-1"), *fields)).collect();
    for (at, one) in keys.iter().enumerate() {
        assert!(!keys.iter().skip(at + 1).any(|other| one.same(other)), "fields {at}");
    }
}

#[test]
fn what_the_guest_does_not_have_is_refused() {
    let tee = SimTee::new(profile("genoa-1"), 0);
    let refused = DerivedKeyError::Refused { status: 0x16 };
    let above = [
        KeyFields { guest_svn: Some(1), ..KeyFields::default() },
        KeyFields { tcb_version: Some(u64::MAX), ..KeyFields::default() },
        // Only the SNP firmware's part, byte 6, is above what is committed.
        KeyFields { tcb_version: Some(0xff << 48), ..KeyFields::default() },
        KeyFields { vmpl: 4, ..KeyFields::default() },
    ];
    for fields in above {
        assert_eq!(tee.derive(fields), Err(refused.clone()), "{fields:?}");
    }
    let intel = SimTee::new(profile("tdx-1"), 0).derive(KeyFields::default());
    assert_eq!(intel, Err(DerivedKeyError::NoneHere { vendor: Vendor::Intel }));
}
