//! What sealed records and wrapped keys refuse: every move, every damage, every wrong key; and what they show to a holder of the disk.
//!
//! Protocol section 7, T-R11. The attack on missing key commitment (T-K6) is in `src/salamander.rs`, beside the keys it needs.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ringwall_keys::ring::FIRST_KEY_EPOCH;
use ringwall_keys::{HedgedIvs, Keyring, KeyringError, OpenError, RecordPlace, SealError, SpaceKeys, bucket::bucket};
use ringwall_sim::stuck::Stuck;
use ringwall_wire::admission::GrantedKey;
use ringwall_wire::bounded::Blob;
use ringwall_wire::command::{SealedRecord, WrappedKey};
use ringwall_wire::ids::{ClientTag, ClusterId, Incarnation, KeyEpoch, KeyTag, SpaceTag, UserId};
use ringwall_wire::limits::{KEY_BYTES, VALUE_BYTES};
use ringwall_wire::request::KeyMode;
use ringwall_wire::secret::Secret;
use std::collections::BTreeSet;

const CLUSTER: ClusterId = ClusterId([1; 32]);

struct World {
    ring: Keyring,
    ivs: HedgedIvs,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let ring = Keyring::found(CLUSTER, &mut rng);
        World { ring, ivs: HedgedIvs::new(Box::new(rng), Incarnation(1)) }
    }

    fn space(&mut self, name: &str) -> (SpaceKeys, SpaceTag, WrappedKey) {
        let tag = self.ring.space_tag(&UserId([9; 20]), name);
        let (keys, wrapped) = self.ring.new_space_key(&tag, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut self.ivs).unwrap();
        (keys, tag, wrapped)
    }
}

fn place(keys: &SpaceKeys, name: &[u8], seq: u64) -> RecordPlace {
    RecordPlace { key: keys.key_tag(name), client: ClientTag([5; 16]), seq }
}

fn granted(ring: &Keyring) -> Vec<GrantedKey> {
    ring.granted()
}

#[test]
fn opens_what_it_sealed_after_a_grant_and_an_unwrap() {
    let mut world = World::new(1);
    let (keys, tag, wrapped) = world.space("notes");
    let place = place(&keys, b"alpha", 1);
    let record = keys.seal(&place, b"alpha", b"value", &mut world.ivs).unwrap();

    let member = Keyring::from_grant(CLUSTER, &granted(&world.ring)).unwrap();
    assert_eq!(member.space_tag(&UserId([9; 20]), "notes"), tag);
    let theirs = member.unwrap_space_key(&tag, KeyMode::Cluster, &wrapped).unwrap();
    assert_eq!(theirs.key_tag(b"alpha"), place.key);
    assert_eq!(theirs.open(&place.key, &record).unwrap(), (b"alpha".to_vec(), b"value".to_vec()));
    assert_eq!(theirs.open_name(&place.key, &record).unwrap(), b"alpha".to_vec());
}

#[test]
fn a_record_opens_in_no_other_place() {
    let mut world = World::new(2);
    let (keys, _, _) = world.space("notes");
    let (other_space, _, _) = world.space("mail");
    let at = place(&keys, b"alpha", 7);
    let record = keys.seal(&at, b"alpha", b"value", &mut world.ivs).unwrap();

    let other_key = keys.key_tag(b"beta");
    assert_eq!(keys.open(&other_key, &record), Err(OpenError::NotAuthentic), "another key");
    let other_client = SealedRecord { client: ClientTag([6; 16]), ..record.clone() };
    assert_eq!(keys.open(&at.key, &other_client), Err(OpenError::NotAuthentic), "another client");
    let other_write = SealedRecord { seq: 8, ..record.clone() };
    assert_eq!(keys.open(&at.key, &other_write), Err(OpenError::NotAuthentic), "another write");
    assert_eq!(other_space.open(&at.key, &record), Err(OpenError::OtherKey), "another namespace of the user");
    assert_eq!(keys.open_name(&other_key, &record), Err(OpenError::NotAuthentic), "the name alone, of another key");
}

/// The same data key, reached through the same master and tag keys, in a cluster with another identity.
#[test]
fn a_record_opens_in_no_other_cluster() {
    let mut world = World::new(3);
    let (keys, tag, wrapped) = world.space("notes");
    let at = place(&keys, b"alpha", 1);
    let record = keys.seal(&at, b"alpha", b"value", &mut world.ivs).unwrap();
    let clone = Keyring::from_grant(ClusterId([2; 32]), &granted(&world.ring)).unwrap();
    assert_ne!(clone.space_tag(&UserId([9; 20]), "notes"), tag);
    assert_eq!(clone.unwrap_space_key(&tag, KeyMode::Cluster, &wrapped).unwrap_err(), OpenError::OtherKey);
    let (theirs, _) = clone.new_space_key(&tag, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut world.ivs).unwrap();
    assert_eq!(theirs.open(&at.key, &record), Err(OpenError::OtherKey));
}

#[test]
fn name_and_value_cannot_change_places_or_records() {
    let mut world = World::new(4);
    let (keys, _, _) = world.space("notes");
    let at = place(&keys, b"alpha", 1);
    let first = keys.seal(&at, b"alpha", b"value one", &mut world.ivs).unwrap();
    let second = keys.seal(&at, b"alpha", b"value two", &mut world.ivs).unwrap();
    let swapped =
        SealedRecord { name: Blob::new(first.value.to_vec()).unwrap(), value: Blob::new(first.name.to_vec()).unwrap(), ..first.clone() };
    assert_eq!(keys.open(&at.key, &swapped), Err(OpenError::NotAuthentic));
    let mixed = SealedRecord { value: second.value.clone(), ..first.clone() };
    assert_eq!(keys.open(&at.key, &mixed), Err(OpenError::NotAuthentic));
    let other_iv = SealedRecord { iv: second.iv, ..first.clone() };
    assert_eq!(keys.open(&at.key, &other_iv), Err(OpenError::OtherKey));
    let other_iv_and_commit = SealedRecord { iv: second.iv, commit: second.commit, ..first };
    assert_eq!(keys.open(&at.key, &other_iv_and_commit), Err(OpenError::NotAuthentic));
}

#[test]
fn a_wrapped_key_opens_in_its_place_and_epoch_only() {
    let mut world = World::new(5);
    let (_, tag, wrapped) = world.space("notes");
    let (_, other_tag, other) = world.space("mail");
    let open = |tag: &SpaceTag, wrapped: &WrappedKey| world.ring.unwrap_space_key(tag, KeyMode::Cluster, wrapped).map(|_| ());
    assert_eq!(open(&tag, &wrapped), Ok(()));
    assert_eq!(open(&other_tag, &wrapped), Err(OpenError::NotAuthentic), "another namespace");
    assert_eq!(open(&tag, &other), Err(OpenError::NotAuthentic), "another namespace");
    let later = WrappedKey { key_epoch: KeyEpoch(2), ..wrapped.clone() };
    assert_eq!(open(&tag, &later), Err(OpenError::UnknownKeyEpoch { wanted: KeyEpoch(2) }));

    // A ring that has the named epoch, with another key: the commitment says no before anything is decrypted.
    let mut keys = granted(&world.ring);
    keys.push(GrantedKey { key_epoch: KeyEpoch(2), key: Secret::new([7; 32]) });
    let rotated = Keyring::from_grant(CLUSTER, &keys).unwrap();
    assert_eq!(rotated.newest(), KeyEpoch(2));
    assert!(rotated.unwrap_space_key(&tag, KeyMode::Cluster, &wrapped).is_ok(), "old epochs stay open");
    assert_eq!(rotated.unwrap_space_key(&tag, KeyMode::Cluster, &later).unwrap_err(), OpenError::OtherKey);

    // The same key under two epoch numbers still is two wrapping keys.
    let mut keys = granted(&world.ring);
    let same = keys.last().unwrap().key.clone();
    keys.push(GrantedKey { key_epoch: KeyEpoch(2), key: same });
    let doubled = Keyring::from_grant(CLUSTER, &keys).unwrap();
    assert_eq!(doubled.unwrap_space_key(&tag, KeyMode::Cluster, &later).unwrap_err(), OpenError::OtherKey);
}

#[test]
fn tags_survive_rotation() {
    let world = World::new(6);
    let before = world.ring.space_tag(&UserId([3; 20]), "notes");
    let mut keys = granted(&world.ring);
    keys.push(GrantedKey { key_epoch: KeyEpoch(2), key: Secret::new([7; 32]) });
    keys.retain(|granted| granted.key_epoch != KeyEpoch(1));
    let rotated = Keyring::from_grant(CLUSTER, &keys).unwrap();
    assert_eq!(rotated.space_tag(&UserId([3; 20]), "notes"), before);
}

#[test]
fn grants_that_make_no_ring_are_refused() {
    let key = |epoch: u32| GrantedKey { key_epoch: KeyEpoch(epoch), key: Secret::new([1; 32]) };
    assert_eq!(Keyring::from_grant(CLUSTER, &[key(1)]).unwrap_err(), KeyringError::NoTagKey);
    assert_eq!(Keyring::from_grant(CLUSTER, &[key(0)]).unwrap_err(), KeyringError::NoMasterKey);
    assert_eq!(Keyring::from_grant(CLUSTER, &[key(0), key(0), key(1)]).unwrap_err(), KeyringError::Twice { key_epoch: KeyEpoch(0) });
    assert_eq!(Keyring::from_grant(CLUSTER, &[key(0), key(1), key(1)]).unwrap_err(), KeyringError::Twice { key_epoch: KeyEpoch(1) });
}

#[test]
fn modes_that_need_the_users_key_are_refused_by_name() {
    let mut world = World::new(7);
    let (_, tag, wrapped) = world.space("notes");
    let mode = KeyMode::Dual;
    assert_eq!(world.ring.new_space_key(&tag, mode, FIRST_KEY_EPOCH, &mut world.ivs).unwrap_err(), SealError::UserKeyNeeded { mode });
    assert_eq!(world.ring.unwrap_space_key(&tag, mode, &wrapped).unwrap_err(), OpenError::UserKeyNeeded { mode });
}

#[test]
fn dual_keys_are_the_clusters_and_the_users_together() {
    let mut world = World::new(11);
    let tag = world.ring.space_tag(&UserId([9; 20]), "dual");
    let wrapped = world.ring.new_data_key(&tag, KeyMode::Dual, FIRST_KEY_EPOCH, &mut world.ivs).unwrap();
    let (part, other) = (Secret::new([3; 32]), Secret::new([4; 32]));
    let keys = world.ring.unwrap_dual_space_key(&tag, &wrapped, &part).unwrap();
    let place = place(&keys, b"alpha", 1);
    let record = keys.seal(&place, b"alpha", b"value", &mut world.ivs).unwrap();

    // Another member with the same part opens it: the keys are a function of both.
    let member = Keyring::from_grant(CLUSTER, &granted(&world.ring)).unwrap();
    let theirs = member.unwrap_dual_space_key(&tag, &wrapped, &part).unwrap();
    assert_eq!(theirs.open(&place.key, &record).unwrap(), (b"alpha".to_vec(), b"value".to_vec()));
    assert_eq!(theirs.mode(), KeyMode::Dual);

    // The cluster with a part that is not the user's; the user's part with another data key of the same cluster; the data key as other modes use it.
    let guessed = world.ring.unwrap_dual_space_key(&tag, &wrapped, &other).unwrap();
    assert_eq!(guessed.open(&place.key, &record).unwrap_err(), OpenError::OtherKey);
    let again = world.ring.new_data_key(&tag, KeyMode::Dual, FIRST_KEY_EPOCH, &mut world.ivs).unwrap();
    let elsewhere = world.ring.unwrap_dual_space_key(&tag, &again, &part).unwrap();
    assert_eq!(elsewhere.open(&place.key, &record).unwrap_err(), OpenError::OtherKey);
    for mode in [KeyMode::Cluster, KeyMode::User] {
        assert_eq!(
            world.ring.unwrap_space_key(&tag, mode, &wrapped).unwrap_err(),
            OpenError::NotAuthentic,
            "the mode is bound to the wrapped key"
        );
    }
    let stranger = World::new(12).ring.unwrap_dual_space_key(&tag, &wrapped, &part).unwrap_err();
    assert_eq!(stranger, OpenError::OtherKey, "another cluster's keys with the user's part");
}

#[test]
fn limits_and_buckets() {
    let mut world = World::new(8);
    let (keys, _, _) = world.space("notes");
    let at = place(&keys, b"n", 1);
    let long_name = SealError::NameTooLong { len: KEY_BYTES + 1, max: KEY_BYTES };
    assert_eq!(keys.seal(&at, &[0; KEY_BYTES + 1], b"", &mut world.ivs), Err(long_name));
    let long_value = SealError::ValueTooLong { len: VALUE_BYTES + 1, max: VALUE_BYTES };
    assert_eq!(keys.seal(&at, b"n", &vec![0; VALUE_BYTES + 1], &mut world.ivs), Err(long_value));
    let full = keys.seal(&at, &[1; KEY_BYTES], &vec![2; VALUE_BYTES], &mut world.ivs).unwrap();
    assert_eq!(keys.open(&at.key, &full).unwrap(), (vec![1; KEY_BYTES], vec![2; VALUE_BYTES]));
    for (name, value) in [(0, 0), (1, 64), (64, 65), (65, 1000), (1000, 5000)] {
        let record = keys.seal(&at, &vec![1; name], &vec![2; value], &mut world.ivs).unwrap();
        assert_eq!(record.name.len(), bucket(name) + 4 + 16);
        assert_eq!(record.value.len(), bucket(value) + 4 + 16);
    }
}

/// T-R11: with a generator stuck at zero no iv comes twice for different inputs, in one process or in two that start alike.
#[test]
fn a_stuck_generator_repeats_no_iv_for_different_inputs() {
    let ring = Keyring::found(CLUSTER, &mut ChaCha20Rng::seed_from_u64(9));
    let tag = ring.space_tag(&UserId([9; 20]), "notes");
    let mut seen = BTreeSet::new();
    let mut made = 0;
    for process in 0..8u8 {
        let mut ivs = HedgedIvs::new(Box::new(Stuck(0)), Incarnation(1));
        let (keys, _) = ring.new_space_key(&tag, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs).unwrap();
        for step in 0..64u64 {
            let at = RecordPlace { key: keys.key_tag(b"n"), client: ClientTag([5; 16]), seq: step };
            let record = keys.seal(&at, b"n", &[process, 1], &mut ivs).unwrap();
            made += 1;
            assert!(seen.insert(record.iv), "iv of process {process}, step {step} was there before");
            // The same step with only the name, or only the write number, changed.
            let mut again = HedgedIvs::new(Box::new(Stuck(0)), Incarnation(1));
            let name = keys.seal(&at, &[b'm', process], &[process, 1], &mut again).unwrap();
            let mut again = HedgedIvs::new(Box::new(Stuck(0)), Incarnation(1));
            let later = RecordPlace { seq: step + 1_000, ..at };
            let write = keys.seal(&later, b"n", &[process, 1], &mut again).unwrap();
            assert!(name.iv != record.iv && write.iv != record.iv && name.iv != write.iv);
        }
    }
    assert_eq!(seen.len(), made);
}

/// T-R11: two processes that start alike and seal the same thing make the same bytes: nothing is learned but that they are the same.
#[test]
fn a_repeated_iv_means_a_repeated_record() {
    let ring = Keyring::found(CLUSTER, &mut ChaCha20Rng::seed_from_u64(10));
    let tag = ring.space_tag(&UserId([9; 20]), "notes");
    let seal = |value: &[u8]| {
        let mut ivs = HedgedIvs::new(Box::new(Stuck(0)), Incarnation(1));
        let (keys, _) = ring.new_space_key(&tag, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs).unwrap();
        keys.seal(&place(&keys, b"n", 1), b"n", value, &mut ivs).unwrap()
    };
    assert_eq!(seal(b"same"), seal(b"same"));
    let (one, other) = (seal(b"same"), seal(b"else"));
    assert_ne!(one.iv, other.iv);
    assert_ne!(one.commit, other.commit, "other iv, other record keys");
}

/// A stuck generator makes equal data keys for no two namespaces, and none that can be computed without the master key.
#[test]
fn a_stuck_generator_does_not_give_data_keys_away() {
    let ring = Keyring::found(CLUSTER, &mut ChaCha20Rng::seed_from_u64(11));
    let other_ring = Keyring::found(CLUSTER, &mut ChaCha20Rng::seed_from_u64(12));
    let tags = [SpaceTag([1; 16]), SpaceTag([2; 16])];
    let mut seen = BTreeSet::new();
    for ring in [&ring, &other_ring] {
        for tag in &tags {
            let mut ivs = HedgedIvs::new(Box::new(Stuck(0)), Incarnation(1));
            let (keys, _) = ring.new_space_key(tag, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs).unwrap();
            assert!(seen.insert(keys.key_tag(b"n")), "two namespaces share their keys");
        }
    }
}

fn sealed_sample(seed: u64, name: &[u8], value: &[u8]) -> (SpaceKeys, KeyTag, SealedRecord) {
    let mut world = World::new(seed);
    let (keys, _, _) = world.space("notes");
    let at = place(&keys, name, 1);
    let record = keys.seal(&at, name, value, &mut world.ivs).unwrap();
    (keys, at.key, record)
}

/// Flips one bit of the record's bytes, counted over all of its fields.
fn damaged(record: &SealedRecord, bit: usize) -> SealedRecord {
    let mut name = record.name.to_vec();
    let mut value = record.value.to_vec();
    let mut seq = record.seq.to_be_bytes();
    let mut out = record.clone();
    let mut fields: [&mut [u8]; 6] = [&mut out.client.0, &mut seq, &mut out.iv, &mut out.commit, &mut name, &mut value];
    let total: usize = fields.iter().map(|field| field.len()).sum();
    let mut at = (bit / 8) % total;
    for field in &mut fields {
        match field.get_mut(at) {
            Some(byte) => {
                *byte ^= 1 << (bit % 8);
                break;
            }
            None => at -= field.len(),
        }
    }
    out.seq = u64::from_be_bytes(seq);
    out.name = Blob::new(name).unwrap();
    out.value = Blob::new(value).unwrap();
    out
}

#[test]
fn every_damaged_byte_is_refused() {
    let (keys, key, record) = sealed_sample(13, b"alpha", b"value");
    let total = 16 + 8 + 24 + 32 + record.name.len() + record.value.len();
    for byte in 0..total {
        let broken = damaged(&record, byte * 8 + byte % 8);
        assert_ne!(broken, record);
        assert!(keys.open(&key, &broken).is_err(), "byte {byte}");
    }
    for cut in 0..record.value.len() {
        let short = SealedRecord { value: Blob::new(record.value.get(..cut).unwrap().to_vec()).unwrap(), ..record.clone() };
        assert_eq!(keys.open(&key, &short), Err(OpenError::NotAuthentic), "cut to {cut}");
    }
}

#[test]
fn every_damaged_byte_of_a_wrapped_key_is_refused() {
    let mut world = World::new(14);
    let (_, tag, wrapped) = world.space("notes");
    for byte in 0..24 + 32 + 48 {
        let mut broken = wrapped.clone();
        let flipped = match byte {
            0..24 => &mut broken.iv[byte],
            24..56 => &mut broken.commit[byte - 24],
            _ => &mut broken.ciphertext[byte - 56],
        };
        *flipped ^= 0x10;
        assert!(world.ring.unwrap_space_key(&tag, KeyMode::Cluster, &broken).is_err(), "byte {byte}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_name_and_value_come_back(seed: u64, name in prop::collection::vec(any::<u8>(), 0..=KEY_BYTES), value in prop::collection::vec(any::<u8>(), 0..6000)) {
        let (keys, key, record) = sealed_sample(seed, &name, &value);
        prop_assert_eq!(keys.open(&key, &record).unwrap(), (name.clone(), value));
        prop_assert_eq!(keys.open_name(&key, &record).unwrap(), name);
    }

    #[test]
    fn any_flipped_bit_is_refused(seed: u64, bit: usize, value in prop::collection::vec(any::<u8>(), 0..300)) {
        let (keys, key, record) = sealed_sample(seed, b"name", &value);
        let broken = damaged(&record, bit);
        prop_assert_ne!(&broken, &record);
        prop_assert!(keys.open(&key, &broken).is_err());
    }
}
