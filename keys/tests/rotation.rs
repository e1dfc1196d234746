//! Rotation: what a data key looks like after it was wrapped anew, who can still open it, and how members know that they hold one key.
//!
//! Decides: a rewrap changes the wrapping alone; a ring without a generation opens nothing of it; commitments tell keys apart and tell nothing else.
//! Trusts: nothing it tests. Protocol section 7.5.
#![allow(clippy::unwrap_used, clippy::panic)]

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ringwall_keys::ring::FIRST_KEY_EPOCH;
use ringwall_keys::{HedgedIvs, Keyring, OpenError, RecordPlace, SealError};
use ringwall_wire::admission::GrantedKey;
use ringwall_wire::ids::{ClientTag, ClusterId, Incarnation, KeyEpoch, SpaceTag};
use ringwall_wire::request::KeyMode;
use ringwall_wire::secret::Secret;

const CLUSTER: ClusterId = ClusterId([1; 32]);
const SPACE: SpaceTag = SpaceTag([2; 16]);
const SECOND: KeyEpoch = KeyEpoch(2);

fn ring(seed: u64) -> (Keyring, HedgedIvs, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let ring = Keyring::found(CLUSTER, &mut rng);
    (ring, HedgedIvs::new(Box::new(rng.clone()), Incarnation(1)), rng)
}

#[test]
fn a_data_key_wrapped_anew_opens_the_records_it_sealed() {
    let (old, mut ivs, mut rng) = ring(1);
    let (keys, wrapped) = old.new_space_key(&SPACE, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs).unwrap();
    let place = RecordPlace { key: keys.key_tag(b"name"), client: ClientTag([5; 16]), seq: 1 };
    let record = keys.seal(&place, b"name", b"value", &mut ivs).unwrap();

    let both = old.with(&old.new_master(SECOND, &mut rng));
    let rewrapped = both.rewrap(&SPACE, KeyMode::Cluster, &wrapped, SECOND, &mut ivs).unwrap();
    assert_eq!(rewrapped.key_epoch, SECOND);
    assert_ne!(rewrapped.ciphertext, wrapped.ciphertext);

    let new = both.keeping(|generation| generation.key_epoch == SECOND);
    let opened = new.unwrap_space_key(&SPACE, KeyMode::Cluster, &rewrapped).unwrap();
    assert_eq!(opened.open(&place.key, &record).unwrap().1, b"value");
    assert_eq!(opened.key_tag(b"name"), place.key, "tags stay");

    // Who has one of the two keys has one of the two wrappings.
    let open = |ring: &Keyring, wrapped| ring.unwrap_space_key(&SPACE, KeyMode::Cluster, wrapped).map(|_| ());
    assert_eq!(open(&new, &wrapped), Err(OpenError::UnknownKeyEpoch { wanted: FIRST_KEY_EPOCH }));
    assert_eq!(open(&old, &rewrapped), Err(OpenError::UnknownKeyEpoch { wanted: SECOND }));
    let guessed = old.with(&GrantedKey { key_epoch: SECOND, key: Secret::new([9; 32]) });
    assert_eq!(open(&guessed, &rewrapped), Err(OpenError::OtherKey), "the new key does not follow from the old one");
}

#[test]
fn in_the_other_modes_a_data_key_moves_without_its_user() {
    let (old, mut ivs, mut rng) = ring(4);
    let both = old.with(&old.new_master(SECOND, &mut rng));
    let new = both.keeping(|generation| generation.key_epoch == SECOND);
    let dual = old.new_data_key(&SPACE, KeyMode::Dual, FIRST_KEY_EPOCH, &mut ivs).unwrap();
    let part = Secret::new([3; 32]);
    let keys = old.unwrap_dual_space_key(&SPACE, &dual, &part).unwrap();
    let place = RecordPlace { key: keys.key_tag(b"name"), client: ClientTag([5; 16]), seq: 1 };
    let record = keys.seal(&place, b"name", b"value", &mut ivs).unwrap();
    let moved = both.rewrap(&SPACE, KeyMode::Dual, &dual, SECOND, &mut ivs).unwrap();
    let opened = new.unwrap_dual_space_key(&SPACE, &moved, &part).unwrap();
    assert_eq!(opened.open(&place.key, &record).unwrap().1, b"value");
    let guessed = new.unwrap_dual_space_key(&SPACE, &moved, &Secret::new([4; 32])).unwrap();
    assert_eq!(guessed.open(&place.key, &record).unwrap_err(), OpenError::OtherKey, "the user is needed as before");
    for mode in [KeyMode::Cluster, KeyMode::User] {
        let taken = both.rewrap(&SPACE, mode, &dual, SECOND, &mut ivs).map(|_| ());
        assert_eq!(taken, Err(OpenError::NotAuthentic), "a move changes no mode");
    }
    let user = old.new_data_key(&SPACE, KeyMode::User, FIRST_KEY_EPOCH, &mut ivs).unwrap();
    let moved = both.rewrap(&SPACE, KeyMode::User, &user, SECOND, &mut ivs).unwrap();
    let (before, after) =
        (old.unwrap_space_key(&SPACE, KeyMode::User, &user).unwrap(), new.unwrap_space_key(&SPACE, KeyMode::User, &moved).unwrap());
    assert_eq!(before.key_tag(b"name"), after.key_tag(b"name"));
}

#[test]
fn nothing_is_wrapped_under_a_key_that_is_not_there() {
    let (ring, mut ivs, _) = ring(2);
    let (_, wrapped) = ring.new_space_key(&SPACE, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs).unwrap();
    let made = ring.new_space_key(&SPACE, KeyMode::Cluster, SECOND, &mut ivs).map(|_| ());
    assert_eq!(made, Err(SealError::UnknownKeyEpoch { wanted: SECOND }));
    let moved = ring.rewrap(&SPACE, KeyMode::Cluster, &wrapped, SECOND, &mut ivs).map(|_| ());
    assert_eq!(moved, Err(OpenError::UnknownKeyEpoch { wanted: SECOND }));
    let elsewhere = ring.rewrap(&SpaceTag([3; 16]), KeyMode::Cluster, &wrapped, FIRST_KEY_EPOCH, &mut ivs).map(|_| ());
    assert_eq!(elsewhere, Err(OpenError::NotAuthentic), "a data key is wrapped anew where it belongs, or not at all");
}

#[test]
fn a_commitment_names_one_key_of_one_generation_of_one_cluster() {
    let (ring, _, mut rng) = ring(3);
    let key = ring.new_master(SECOND, &mut rng);
    let named = ring.generation_of(&key);
    assert_eq!(ring.with(&key).generations().last(), Some(&named));
    assert_ne!(named.commit.0, *key.key.expose());
    let other = GrantedKey { key_epoch: SECOND, key: Secret::new([9; 32]) };
    assert_ne!(ring.generation_of(&other).commit, named.commit, "another key");
    let later = GrantedKey { key_epoch: KeyEpoch(3), key: key.key.clone() };
    assert_ne!(ring.generation_of(&later).commit, named.commit, "another generation");
    let elsewhere = Keyring::from_grant(ClusterId([2; 32]), &ring.granted()).unwrap();
    assert_ne!(elsewhere.generation_of(&key).commit, named.commit, "another cluster");
    let again = ring.with(&key).with(&other);
    assert_eq!(again.generations().len(), 2, "one key a generation");
    assert_eq!(again.generations().last().unwrap().commit, ring.generation_of(&other).commit);
}

#[test]
fn a_ring_keeps_a_master_key_and_its_tag_key() {
    let (ring, _, mut rng) = ring(4);
    assert_eq!(ring.keeping(|_| false).generations(), ring.generations());
    let tag = GrantedKey { key_epoch: KeyEpoch(0), key: Secret::new([9; 32]) };
    assert_eq!(ring.with(&tag).granted(), ring.granted(), "tags would change");
    let key = ring.new_master(SECOND, &mut rng);
    assert_eq!(ring.with(&key).granted_key(SECOND), Some(key));
    assert_eq!(ring.granted_key(KeyEpoch(0)), None, "the tag key is no master key");
}
