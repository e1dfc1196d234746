//! Users and devices on record: tags that say nothing without the cluster's key, and sealed devices that open in their place.
//!
//! Trusts: `ringwall_keys` alone. Protocol section 9.
#![allow(clippy::unwrap_used)]

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ringwall_keys::{HedgedIvs, Keyring, OpenError};
use ringwall_wire::bounded::{Blob, Text};
use ringwall_wire::ids::{ClusterId, CredPublic, Incarnation, UserId};
use ringwall_wire::limits::DEVICE_NAME_BYTES;

fn ring(seed: u64) -> Keyring {
    Keyring::found(ClusterId([1; 32]), &mut ChaCha20Rng::seed_from_u64(seed))
}

#[test]
fn tags_differ_by_cluster_user_credential_and_kind() {
    let (ring, other) = (ring(1), ring(2));
    let (user, cred) = (UserId([3; 20]), CredPublic([4; 32]));
    let tag = ring.user_tag(&user);
    assert_ne!(tag, other.user_tag(&user));
    assert_ne!(tag, ring.user_tag(&UserId([5; 20])));
    let device = ring.device_tag(&tag, &cred);
    assert_ne!(device, ring.device_tag(&ring.user_tag(&UserId([5; 20])), &cred), "one credential of two users");
    assert_ne!(device, ring.device_tag(&tag, &CredPublic([6; 32])));
    assert_ne!(device, ring.recovery_tag(&tag, &cred), "a credential is no recovery key");
}

#[test]
fn a_sealed_device_opens_in_its_place_alone() {
    let (ring, other) = (ring(1), ring(2));
    let mut ivs = HedgedIvs::new(Box::new(ChaCha20Rng::seed_from_u64(3)), Incarnation(1));
    let (user, cred) = (ring.user_tag(&UserId([3; 20])), CredPublic([4; 32]));
    for name in ["", "phone", &"n".repeat(DEVICE_NAME_BYTES)] {
        let name = Text::new(name).unwrap();
        let entry = ring.seal_device(&user, &cred, &name, &mut ivs);
        assert_eq!(entry.tag, ring.device_tag(&user, &cred));
        assert_eq!(ring.open_device(&user, &entry).unwrap(), (cred, name.clone()));
        assert!(!entry.sealed.windows(32).any(|window| window == cred.0), "the credential stands in the clear");
        assert_eq!(other.open_device(&user, &entry).unwrap_err(), OpenError::OtherKey);
        assert_eq!(ring.open_device(&ring.user_tag(&UserId([9; 20])), &entry).unwrap_err(), OpenError::OtherKey);
        let mut moved = entry.clone();
        moved.tag = ring.device_tag(&user, &CredPublic([7; 32]));
        assert_eq!(ring.open_device(&user, &moved).unwrap_err(), OpenError::NotAuthentic);
        for at in 0..entry.sealed.len() {
            let mut damaged = entry.clone();
            let mut bytes = damaged.sealed.to_vec();
            bytes[at] ^= 1;
            damaged.sealed = Blob::new(bytes).unwrap();
            assert!(ring.open_device(&user, &damaged).is_err(), "byte {at}");
        }
    }
}
