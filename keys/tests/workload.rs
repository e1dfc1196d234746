//! Workload keys: one key for one place, the same bytes from every ring of the cluster, nothing for a liar.
//!
//! Decides: a wrapped key opens under its own name, policy version and policy, and under no other; whoever holds the cluster's keys unwraps the same
//! bytes; a user's own key depends on key and user. Trusts: nothing. Out of scope: who may ask (`attest`). Protocol section 10.
#![allow(clippy::unwrap_used, clippy::panic)]

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use ringwall_keys::ring::FIRST_KEY_EPOCH;
use ringwall_keys::{HedgedIvs, Keyring, OpenError, WorkloadPlace, workload_user_key};
use ringwall_wire::ids::{ClusterId, Digest, Incarnation, KeyEpoch, UserId};

fn ring(seed: u64, cluster: u8) -> Keyring {
    Keyring::found(ClusterId([cluster; 32]), &mut ChaCha20Rng::seed_from_u64(seed))
}

fn ivs(seed: u64) -> HedgedIvs {
    HedgedIvs::new(Box::new(ChaCha20Rng::seed_from_u64(seed)), Incarnation(1))
}

const PLACE: WorkloadPlace<'_> = WorkloadPlace { name: "db/key/1", version: 1, policy: Digest([5; 32]) };

#[test]
fn a_key_opens_in_its_place_and_in_no_other() {
    let (ring, mut ivs) = (ring(1, 1), ivs(2));
    let wrapped = ring.new_workload_key(&PLACE, FIRST_KEY_EPOCH, &mut ivs).unwrap();
    let key = ring.unwrap_workload_key(&PLACE, &wrapped).unwrap();
    for wrong in [
        WorkloadPlace { name: "db/key/2", ..PLACE },
        WorkloadPlace { version: 2, ..PLACE },
        WorkloadPlace { policy: Digest([6; 32]), ..PLACE },
    ] {
        assert_eq!(ring.unwrap_workload_key(&wrong, &wrapped).unwrap_err(), OpenError::NotAuthentic, "{wrong:?}");
    }
    let mut other = wrapped.clone();
    other.key_epoch = KeyEpoch(9);
    assert!(matches!(ring.unwrap_workload_key(&PLACE, &other), Err(OpenError::UnknownKeyEpoch { .. })));
    let mut other = wrapped.clone();
    other.commit[0] ^= 1;
    assert_eq!(ring.unwrap_workload_key(&PLACE, &other).unwrap_err(), OpenError::OtherKey);
    let mut other = wrapped.clone();
    other.ciphertext[0] ^= 1;
    assert_eq!(ring.unwrap_workload_key(&PLACE, &other).unwrap_err(), OpenError::NotAuthentic);
    assert_eq!(self::ring(7, 1).unwrap_workload_key(&PLACE, &wrapped).unwrap_err(), OpenError::OtherKey);
    let next = WorkloadPlace { version: 2, policy: Digest([6; 32]), ..PLACE };
    let moved = ring.move_workload_key(&PLACE, &wrapped, (&next, FIRST_KEY_EPOCH), &mut ivs).unwrap();
    assert!(ring.unwrap_workload_key(&next, &moved).unwrap().same(&key), "a changed policy keeps the key");
    assert_ne!(moved.iv, wrapped.iv);
}

#[test]
fn a_key_moves_to_another_master_key_and_outlives_the_first() {
    let (first, mut ivs) = (ring(1, 1), ivs(2));
    let wrapped = first.new_workload_key(&PLACE, FIRST_KEY_EPOCH, &mut ivs).unwrap();
    let next = KeyEpoch(2);
    let none = first.move_workload_key(&PLACE, &wrapped, (&PLACE, next), &mut ivs).unwrap_err();
    assert_eq!(none, OpenError::UnknownKeyEpoch { wanted: next });
    let both = first.with(&first.new_master(next, &mut ChaCha20Rng::seed_from_u64(3)));
    let moved = both.move_workload_key(&PLACE, &wrapped, (&PLACE, next), &mut ivs).unwrap();
    assert_eq!(moved.key_epoch, next);
    let later = both.keeping(|held| held.key_epoch == next);
    assert!(later.unwrap_workload_key(&PLACE, &moved).unwrap().same(&first.unwrap_workload_key(&PLACE, &wrapped).unwrap()));
    assert_eq!(later.unwrap_workload_key(&PLACE, &wrapped).unwrap_err(), OpenError::UnknownKeyEpoch { wanted: FIRST_KEY_EPOCH });
}

#[test]
fn every_member_unwraps_the_same_bytes() {
    let founder = ring(1, 1);
    let member = Keyring::from_grant(ClusterId([1; 32]), &founder.granted()).unwrap();
    let wrapped = founder.new_workload_key(&PLACE, FIRST_KEY_EPOCH, &mut ivs(2)).unwrap();
    let (one, two) = (founder.unwrap_workload_key(&PLACE, &wrapped).unwrap(), member.unwrap_workload_key(&PLACE, &wrapped).unwrap());
    assert!(one.same(&two));
    let user = UserId([3; 20]);
    assert!(workload_user_key(&one, &user).same(&workload_user_key(&two, &user)));
    assert!(!workload_user_key(&one, &user).same(&workload_user_key(&one, &UserId([4; 20]))));
    assert!(!workload_user_key(&one, &user).same(&one));
    assert_eq!(founder.subject_tag("db/key/1", &user), member.subject_tag("db/key/1", &user));
    assert_ne!(founder.subject_tag("db/key/1", &user), founder.subject_tag("db/key/2", &user));
}

#[test]
fn a_generator_that_repeats_gives_different_keys_to_different_names() {
    let ring = ring(1, 1);
    let key = |name| {
        let place = WorkloadPlace { name, ..PLACE };
        ring.unwrap_workload_key(&place, &ring.new_workload_key(&place, FIRST_KEY_EPOCH, &mut ivs(2)).unwrap()).unwrap()
    };
    assert!(key("a").same(&key("a")) && !key("a").same(&key("b")));
}
