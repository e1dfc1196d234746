//! What a user's client seals opens for that user alone, in its place alone, and nothing about it is guessed.
//!
//! Decides: names are found again and hide their text; values are bound to names, namespaces, users and clusters; every damage is refused.
//! Trusts: `ringwall_keys` alone. Protocol section 7.4.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ringwall_keys::bucket::bucket;
use ringwall_keys::user::{is_sealed_name, is_sealed_value};
use ringwall_keys::{HedgedIvs, OpenError, SealError, UserKey, UserSpace};
use ringwall_wire::ids::{ClusterId, Incarnation, UserId};
use ringwall_wire::limits::{KEY_BYTES, USER_NAME_BYTES, USER_VALUE_BYTES, VALUE_BYTES};
use ringwall_wire::secret::Secret;

const CLUSTER: ClusterId = ClusterId([1; 32]);
const USER: UserId = UserId([2; 20]);

fn key(byte: u8) -> UserKey {
    UserKey::from_seed(Secret::new([byte; 32]))
}

fn notes() -> UserSpace {
    key(3).space(&CLUSTER, &USER, "notes")
}

fn ivs() -> HedgedIvs {
    HedgedIvs::new(Box::new(ChaCha20Rng::seed_from_u64(5)), Incarnation(0))
}

/// Every other place and key there is.
fn elsewhere() -> Vec<(&'static str, UserSpace)> {
    vec![
        ("another key", key(4).space(&CLUSTER, &USER, "notes")),
        ("another cluster", key(3).space(&ClusterId([9; 32]), &USER, "notes")),
        ("another user", key(3).space(&CLUSTER, &UserId([9; 20]), "notes")),
        ("another namespace", key(3).space(&CLUSTER, &USER, "other")),
    ]
}

#[test]
fn a_name_is_found_again_and_opens_for_its_user_alone() {
    let space = notes();
    let sealed = space.seal_name(b"alpha").unwrap();
    assert_eq!(sealed, notes().seal_name(b"alpha").unwrap(), "equal names are equal bytes, or nobody finds them");
    assert_ne!(sealed, space.seal_name(b"alphb").unwrap());
    assert_eq!(space.open_name(&sealed).unwrap(), b"alpha");
    assert!(is_sealed_name(&sealed) && !is_sealed_value(&sealed));
    assert!(!sealed.windows(5).any(|window| window == b"alpha"));
    for (what, other) in elsewhere() {
        assert_ne!(other.seal_name(b"alpha").unwrap(), sealed, "{what}");
        assert_eq!(other.open_name(&sealed).unwrap_err(), OpenError::NotAuthentic, "{what}");
        assert_ne!(other.commitment(), space.commitment(), "{what}");
    }
}

#[test]
fn a_value_opens_under_its_name_alone() {
    let (space, mut ivs) = (notes(), ivs());
    let (alpha, beta) = (space.seal_name(b"alpha").unwrap(), space.seal_name(b"beta").unwrap());
    let sealed = space.seal_value(&alpha, b"one", &mut ivs).unwrap();
    assert_ne!(sealed, space.seal_value(&alpha, b"one", &mut ivs).unwrap(), "equal values are not equal bytes");
    assert_eq!(space.open_value(&alpha, &sealed).unwrap(), b"one");
    assert_eq!(space.open_value(&beta, &sealed).unwrap_err(), OpenError::NotAuthentic);
    for (what, other) in elsewhere() {
        assert_eq!(other.open_value(&alpha, &sealed).unwrap_err(), OpenError::OtherKey, "{what}");
    }
}

#[test]
fn sizes_show_as_buckets_and_fit_what_the_cluster_takes() {
    let (space, mut ivs) = (notes(), ivs());
    let name = |len: usize| space.seal_name(&vec![7; len]).unwrap().len();
    assert_eq!((name(0), name(65)), (name(64), name(USER_NAME_BYTES)));
    assert!(name(0) < name(65) && name(USER_NAME_BYTES) <= KEY_BYTES);
    let too_long = SealError::NameTooLong { len: USER_NAME_BYTES + 1, max: USER_NAME_BYTES };
    assert_eq!(space.seal_name(&vec![7; USER_NAME_BYTES + 1]), Err(too_long));
    let alpha = space.seal_name(b"alpha").unwrap();
    for len in [0, 1, 64, 65, 4096, 70_000, USER_VALUE_BYTES] {
        let value = vec![9; len];
        let sealed = space.seal_value(&alpha, &value, &mut ivs).unwrap();
        assert_eq!(sealed.len(), 4 + 24 + 32 + 4 + bucket(len) + 16);
        assert!(sealed.len() <= VALUE_BYTES && is_sealed_value(&sealed));
        assert_eq!(space.open_value(&alpha, &sealed).unwrap(), value);
    }
    let too_long = SealError::ValueTooLong { len: USER_VALUE_BYTES + 1, max: USER_VALUE_BYTES };
    assert_eq!(space.seal_value(&alpha, &vec![9; USER_VALUE_BYTES + 1], &mut ivs), Err(too_long));
}

#[test]
fn every_damaged_byte_is_refused() {
    let (space, mut ivs) = (notes(), ivs());
    let name = space.seal_name(b"alpha").unwrap();
    let value = space.seal_value(&name, b"one", &mut ivs).unwrap();
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    for at in 0..name.len() {
        assert!(space.open_name(&flipped(&name, at)).is_err(), "byte {at} of a name");
    }
    for at in 0..value.len() {
        assert!(space.open_value(&name, &flipped(&value, at)).is_err(), "byte {at} of a value");
    }
    for len in 0..value.len() {
        assert!(space.open_value(&name, &value[..len]).is_err(), "{len} bytes of a value");
    }
}

#[test]
fn what_a_client_did_not_seal_does_not_pass_for_it() {
    for plain in [&b""[..], b"alpha", b"RWn1", b"RWn1alpha", &[0; 104], &[b'R'; 296]] {
        assert!(!is_sealed_name(plain) && !is_sealed_value(plain), "{plain:?}");
    }
}

#[test]
fn the_part_the_cluster_gets_tells_nothing_about_user_mode_or_other_namespaces() {
    let key = key(3);
    let (notes, other) = (key.part(&CLUSTER, &USER, "notes"), key.part(&CLUSTER, &USER, "other"));
    assert!(!notes.same(&other) && !notes.same(key.seed()));
    // A node that takes the part for a user's key gets other keys.
    let guessed = UserKey::from_seed(notes).space(&CLUSTER, &USER, "notes");
    let sealed = key.space(&CLUSTER, &USER, "notes").seal_name(b"alpha").unwrap();
    assert!(guessed.open_name(&sealed).is_err());
}

proptest! {
    #[test]
    fn any_name_and_value_come_back(name in proptest::collection::vec(any::<u8>(), 0..USER_NAME_BYTES), value in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let (space, mut ivs) = (notes(), ivs());
        let sealed = space.seal_name(&name).unwrap();
        prop_assert_eq!(space.open_name(&sealed).unwrap(), name);
        let kept = space.seal_value(&sealed, &value, &mut ivs).unwrap();
        prop_assert_eq!(space.open_value(&sealed, &kept).unwrap(), value);
    }

    #[test]
    fn arbitrary_bytes_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(notes().open_name(&bytes).is_err());
        prop_assert!(notes().open_value(b"name", &bytes).is_err());
    }
}
