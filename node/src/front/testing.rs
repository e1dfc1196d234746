//! What the unit tests of the front door share: a namespace with real keys, sealed records, sealed writes.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: anything outside tests.

use crate::front::spaces::Space;
use core::convert::Infallible;
use rand_core::{CryptoRng, TryCryptoRng, TryRng};
use ringwall_keys::ring::FIRST_KEY_EPOCH;
use ringwall_keys::{HedgedIvs, Keyring, RecordPlace};
use ringwall_wire::bounded::List;
use ringwall_wire::command::{SealedChange, SealedMutation, SealedPut, SealedRecord, SealedWrite, SpaceChange};
use ringwall_wire::ids::{ClientTag, ClusterId, Incarnation, KeyTag, Revision, SpaceTag, UserId};
use ringwall_wire::request::{Expect, KeyMode, Once};
use std::sync::Arc;

/// A counter that passes for a generator: tests need distinct values, not secret ones.
struct Counter(u64);

impl TryRng for Counter {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 += 1;
        Ok(self.0 as u32)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(self.0)
    }
    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for chunk in dst.chunks_mut(8) {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

/// A generator of distinct values.
pub(crate) fn rng() -> Box<dyn CryptoRng + Send> {
    Box::new(Counter(1))
}

/// A namespace.
pub(crate) fn space() -> Arc<Space> {
    let keyring = Keyring::found(ClusterId([7; 32]), &mut *rng());
    let tag = keyring.space_tag(&UserId([1; 20]), "notes");
    let mut ivs = HedgedIvs::new(rng(), Incarnation(1));
    let (keys, _) = keyring.new_space_key(&tag, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs).expect("cluster mode is offered");
    Arc::new(Space::new(keys))
}

/// A sealed record.
pub(crate) fn record(space: &Space, name: &[u8], value: &[u8], seq: u64) -> (KeyTag, SealedRecord) {
    let key = space.keys().key_tag(name);
    let mut ivs = HedgedIvs::new(rng(), Incarnation(1));
    let place = RecordPlace { key, client: ClientTag([3; 16]), seq };
    (key, space.keys().seal(&place, name, value, &mut ivs).expect("names and values of tests are short"))
}

/// A sealed write; `seq` tells it from others.
pub(crate) fn write(seq: u64) -> SealedWrite {
    let mutations = vec![SealedMutation { key: KeyTag([seq as u8; 16]), expect: Expect::Any, change: SealedChange::Delete }];
    change(seq, mutations)
}

/// A sealed write with a record of this size.
pub(crate) fn write_of(seq: u64, bytes: usize) -> SealedWrite {
    let (key, record) = record(&space(), b"name", &vec![7; bytes], seq);
    change(seq, vec![SealedMutation { key, expect: Expect::Any, change: SealedChange::Put(SealedPut { record, ttl_s: 0 }) }])
}

fn change(seq: u64, mutations: Vec<SealedMutation>) -> SealedWrite {
    SealedWrite::Change(SpaceChange {
        space: SpaceTag([9; 16]),
        client: ClientTag([3; 16]),
        once: Once { seq, acked: seq - 1, since: Revision(0) },
        mutations: List::new(mutations).expect("few mutations"),
    })
}

/// The number a test write was made with.
pub(crate) fn seq_of(write: &SealedWrite) -> u64 {
    match write {
        SealedWrite::Change(change) => change.once.seq,
        SealedWrite::OpenSpace(_) | SealedWrite::Erase(_) | SealedWrite::Workload(_) | SealedWrite::User(_) => 0,
    }
}
