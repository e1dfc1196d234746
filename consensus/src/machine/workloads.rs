//! Workload keys as replicas hold them: policies, wrapped keys, how often each was granted, and the audit chain.
//!
//! Decides: a policy is set when enough governors signed it and it follows the one in force; an attempt is granted when it was judged by the policy
//! in force, found no fault, the policy's grants of this minute are not used up, and the lease of the cluster's own policy runs; every outcome but a flood's is one entry of one hash chain.
//! A request has one entry however often it arrives. Applying is total, opens nothing, and reads the group's time, which never goes back.
//! Trusts: the member that judged the evidence, as members are trusted with the keys themselves. Out of scope: judging (`attest`), wrapping
//! (`keys`). Protocol section 10.

use crate::charter::Law;
use crate::machine::generations::Generations;
use crate::machine::rows::{WORKLOAD_AUDIT_ROWS, WORKLOAD_CHAIN, WORKLOAD_HEADS, WORKLOAD_METERS, WORKLOAD_POLICIES, WORKLOAD_REQUESTS};
use crate::machine::store::{Snapshot, Store};
use crate::machine::view::View;
use crate::report::ReadError;
use bytes::Bytes;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::{DecodeError, Field, Message as _};
use ringwall_wire::command::WrappedKey;
use ringwall_wire::ids::{Digest, KeyEpoch};
use ringwall_wire::limits::{AUDIT_PAGE, POLICY_BYTES, WORKLOAD_AUDIT, WORKLOAD_KEYS, WORKLOAD_REFUSALS_PER_MINUTE};
use ringwall_wire::order::OrderFault;
use ringwall_wire::rotation::RewrappedWorkload;
use ringwall_wire::workload::{
    AuditEntry, AuditEvent, AuditPage, GrantAttempt, GrantFault, GrantPolicy, SetFault, Subject, SubjectTag, WorkloadName, WorkloadOutcome,
    WorkloadSet, WorkloadWrite, audit_chain, is_name,
};
use std::io;

/// Milliseconds over which grants and refusals are counted.
const WINDOW_MS: u64 = 60_000;

ringwall_wire::record! {
    /// A workload key without its policy: `32 name`.
    pub struct HeadValue {
        /// Version of the policy in force.
        pub version: u64,
        /// Its SHA-256.
        pub policy: Digest,
        /// Grants in one minute.
        pub grants_per_minute: u32,
        /// The key, wrapped for this policy.
        pub key: WrappedKey,
    }
}

ringwall_wire::record! {
    /// What a key was asked for in this minute: `36 name`; an empty name counts for names that are none.
    #[derive(Copy)]
    pub struct MeterValue {
        /// The minute.
        pub window: u64,
        /// Grants.
        pub granted: u32,
        /// Refusals that were written down.
        pub refused: u32,
        /// Refusals since the last entry that were not.
        pub unrecorded: u64,
    }
}

ringwall_wire::record! {
    /// An entry of the audit chain: `34 number`.
    pub struct AuditValue {
        /// Digest of the chain after it.
        pub digest: Digest,
        /// The entry.
        pub entry: AuditEntry,
    }
}

ringwall_wire::record! {
    /// Where the audit chain stands: `37`.
    #[derive(Copy)]
    pub struct ChainState {
        /// Keys there are.
        pub keys: u64,
        /// Entries in all.
        pub count: u64,
        /// Digest after the last.
        pub head: Digest,
        /// Number of the oldest that is kept; one more than `count` when none is.
        pub first_kept: u64,
        /// Digest before that one.
        pub before: Digest,
    }
}

impl ChainState {
    /// Before the first entry.
    const START: ChainState = ChainState { keys: 0, count: 0, head: Digest([0; 32]), first_kept: 1, before: Digest([0; 32]) };
}

/// A workload key, as a member reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadRow {
    /// Version of its policy.
    pub version: u64,
    /// SHA-256 of its policy.
    pub policy_digest: Digest,
    /// The policy's canonical bytes.
    pub policy: Blob<POLICY_BYTES>,
    /// The key, wrapped for this policy.
    pub key: WrappedKey,
}

/// A workload key without its policy's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadHead {
    /// Version of its policy.
    pub version: u64,
    /// SHA-256 of its policy.
    pub policy: Digest,
    /// The key, wrapped for this policy.
    pub key: WrappedKey,
}

fn named(table: u8, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len().saturating_add(1));
    key.push(table);
    key.extend_from_slice(name.as_bytes());
    key
}

fn audit_row(seq: u64) -> Vec<u8> {
    let mut key = vec![WORKLOAD_AUDIT_ROWS];
    seq.put(&mut key);
    key
}

fn request_row(request: &Digest) -> Vec<u8> {
    let mut key = vec![WORKLOAD_REQUESTS];
    request.put(&mut key);
    key
}

/// Whether a row of a snapshot is one of these tables'.
pub(crate) fn is_row(key: &[u8], value: &[u8]) -> Result<bool, DecodeError> {
    let Some((table, rest)) = key.split_first() else { return Ok(false) };
    match *table {
        WORKLOAD_HEADS => HeadValue::from_bytes(value).map(|_| !rest.is_empty()),
        WORKLOAD_POLICIES => Ok(!rest.is_empty() && value.len() <= POLICY_BYTES),
        WORKLOAD_AUDIT_ROWS => Ok(AuditValue::from_bytes(value)?.entry.seq.to_bytes() == rest),
        WORKLOAD_REQUESTS => u64::from_bytes(value).map(|_| rest.len() == 32),
        WORKLOAD_METERS => MeterValue::from_bytes(value).map(|_| true),
        WORKLOAD_CHAIN => ChainState::from_bytes(value).map(|_| rest.is_empty()),
        _ => Ok(false),
    }
}

/// Whoever reads rows: the state while it is applied, and views of it.
trait Rows {
    fn value<T: Field>(&self, key: &[u8]) -> io::Result<Option<T>>;
}

impl Rows for Store {
    fn value<T: Field>(&self, key: &[u8]) -> io::Result<Option<T>> {
        self.read(key, |row| row.map(T::from_bytes).transpose())?.map_err(io::Error::other)
    }
}

impl Rows for Snapshot {
    fn value<T: Field>(&self, key: &[u8]) -> io::Result<Option<T>> {
        self.read(key, |row| row.map(T::from_bytes).transpose())?.map_err(io::Error::other)
    }
}

fn head(rows: &impl Rows, name: &str) -> io::Result<Option<HeadValue>> {
    rows.value(&named(WORKLOAD_HEADS, name))
}

fn chain(rows: &impl Rows) -> io::Result<ChainState> {
    Ok(rows.value(&[WORKLOAD_CHAIN])?.unwrap_or(ChainState::START))
}

/// Whether a key is wrapped under this master key.
pub(crate) fn wraps_under(store: &Store, key_epoch: KeyEpoch) -> io::Result<bool> {
    let most = usize::try_from(WORKLOAD_KEYS).unwrap_or(usize::MAX);
    let (heads, _) = store.range(&[WORKLOAD_HEADS], &[WORKLOAD_HEADS + 1], most)?;
    for (_, head) in heads {
        if HeadValue::from_bytes(&head).map_err(io::Error::other)?.key.key_epoch == key_epoch {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Moves a key to the newest master key. What is not as the proposer saw it stays.
pub(crate) fn rewrap(store: &Store, moved: RewrappedWorkload, newest: KeyEpoch) -> io::Result<()> {
    let RewrappedWorkload { name, policy, from, key } = moved;
    let Some(found) = head(store, &name)? else { return Ok(()) };
    let as_seen = found.policy == policy && found.key.key_epoch == from;
    if as_seen && key.key_epoch == newest && from < newest {
        store.put(named(WORKLOAD_HEADS, &name), Some(Bytes::from(HeadValue { key, ..found }.to_bytes())));
    }
    Ok(())
}

/// A write, and what it is applied to.
pub(crate) struct Applying<'a> {
    pub(crate) store: &'a Store,
    pub(crate) law: Law<'a>,
    /// Whether the lease of the cluster's policy is over: then no key is granted.
    pub(crate) lapsed: bool,
    pub(crate) generations: &'a Generations,
    pub(crate) time_ms: u64,
}

/// What an entry is about, beside its event.
struct About {
    name: WorkloadName,
    policy_version: u64,
    subject: Option<Subject>,
    user: Option<SubjectTag>,
    request: Digest,
    by: ringwall_wire::ids::Incarnation,
}

impl Applying<'_> {
    /// Applies it.
    pub(crate) fn apply(&self, write: WorkloadWrite) -> io::Result<WorkloadOutcome> {
        match write {
            WorkloadWrite::Set(set) => self.set(set),
            WorkloadWrite::Attempt(attempt) => self.attempt(attempt),
        }
    }

    fn put(&self, key: Vec<u8>, value: &impl Field) {
        self.store.put(key, Some(Bytes::from(value.to_bytes())));
    }

    fn set(&self, set: WorkloadSet) -> io::Result<WorkloadOutcome> {
        let policy = match self.judged(&set) {
            Ok(policy) => policy,
            Err(fault) => return Ok(WorkloadOutcome::NotSet(fault)),
        };
        let digest = set.order.policy_digest();
        let old = head(self.store, &policy.name)?;
        if old.as_ref().is_some_and(|old| old.policy == digest && old.version == policy.version) {
            // The same order again: a repeat, or somebody else was first with it.
            return Ok(WorkloadOutcome::Set(policy.version));
        }
        let follows = match (&old, &set.order.replaces) {
            (None, None) => policy.version == 1,
            (Some(old), Some(replaced)) => old.policy == *replaced && old.version.checked_add(1) == Some(policy.version),
            (None, Some(_)) => return Ok(WorkloadOutcome::NotSet(SetFault::NoKey)),
            (Some(_), None) => false,
        };
        if !follows {
            return Ok(WorkloadOutcome::NotSet(SetFault::NotNext));
        }
        if !self.generations.is_live(set.key.key_epoch) {
            return Ok(WorkloadOutcome::NotSet(SetFault::OtherMasterKey));
        }
        let mut chain = chain(self.store)?;
        if old.is_none() {
            if chain.keys >= WORKLOAD_KEYS {
                return Ok(WorkloadOutcome::NotSet(SetFault::TooManyKeys));
            }
            chain.keys += 1;
        }
        let value = HeadValue { version: policy.version, policy: digest, grants_per_minute: policy.grants_per_minute, key: set.key };
        self.put(named(WORKLOAD_HEADS, &policy.name), &value);
        self.store.put(named(WORKLOAD_POLICIES, &policy.name), Some(Bytes::copy_from_slice(&set.order.policy)));
        let event = if old.is_none() { AuditEvent::Created(digest) } else { AuditEvent::PolicySet(digest) };
        let about = About { name: policy.name, policy_version: policy.version, subject: None, user: None, request: digest, by: set.by };
        self.record(chain, about, event, 0)?;
        Ok(WorkloadOutcome::Set(policy.version))
    }

    /// The policy, when it is this cluster's and enough governors signed it.
    fn judged(&self, set: &WorkloadSet) -> Result<GrantPolicy, SetFault> {
        if set.order.cluster_id != *self.law.cluster_id() {
            return Err(SetFault::Order(OrderFault::OtherCluster));
        }
        self.law.words(&set.order.signed_words(), &set.order.signatures).map_err(SetFault::Order)?;
        GrantPolicy::decode(&set.order.policy).ok().filter(|policy| is_name(&policy.name)).ok_or(SetFault::Malformed)
    }

    fn attempt(&self, attempt: GrantAttempt) -> io::Result<WorkloadOutcome> {
        if let Some(seq) = self.store.value::<u64>(&request_row(&attempt.request))?
            && let Some(value) = self.store.value::<AuditValue>(&audit_row(seq))?
        {
            return Ok(told(&value.entry));
        }
        let key = head(self.store, &attempt.name)?;
        // Names that are none share one meter, so that nobody can fill the state by inventing them.
        let meter_row = named(WORKLOAD_METERS, if key.is_some() { &attempt.name } else { "" });
        let window = self.time_ms / WINDOW_MS;
        let mut meter = self.store.value::<MeterValue>(&meter_row)?.unwrap_or(MeterValue { window, granted: 0, refused: 0, unrecorded: 0 });
        if meter.window != window {
            meter = MeterValue { window, granted: 0, refused: 0, unrecorded: meter.unrecorded };
        }
        let fault = match (&key, attempt.fault) {
            // Where no key was named yet, evidence that is not genuine is refused for itself.
            (None, Some(fault)) if attempt.name.is_empty() => Some(fault),
            (None, _) => Some(GrantFault::NoKey),
            (Some(key), _) if attempt.policy != Some(key.policy) => Some(GrantFault::PolicyChanged),
            (Some(_), Some(fault)) => Some(fault),
            (Some(_), None) if self.lapsed => Some(GrantFault::LeaseOver),
            (Some(key), None) if meter.granted >= key.grants_per_minute => Some(GrantFault::RateLimited),
            (Some(_), None) => None,
        };
        if let Some(fault) = fault
            && meter.refused >= WORKLOAD_REFUSALS_PER_MINUTE
        {
            meter.unrecorded = meter.unrecorded.saturating_add(1);
            self.put(meter_row, &meter);
            return Ok(WorkloadOutcome::Refused(fault));
        }
        match fault {
            None => meter.granted = meter.granted.saturating_add(1),
            Some(_) => meter.refused = meter.refused.saturating_add(1),
        }
        let unrecorded = std::mem::take(&mut meter.unrecorded);
        self.put(meter_row, &meter);
        let GrantAttempt { request, name, subject, user, by, .. } = attempt;
        let about = About { name, policy_version: key.map_or(0, |key| key.version), subject, user, request, by };
        let event = fault.map_or(AuditEvent::Granted, AuditEvent::Refused);
        self.record(chain(self.store)?, about, event, unrecorded).map(|entry| told(&entry))
    }

    /// Adds an entry to the chain, and lets the oldest go when there are too many.
    fn record(&self, mut chain: ChainState, about: About, event: AuditEvent, unrecorded: u64) -> io::Result<AuditEntry> {
        let About { name, policy_version, subject, user, request, by } = about;
        let seq = chain.count + 1;
        let entry = AuditEntry { seq, at_ms: self.time_ms, name, policy_version, event, subject, user, request, by, unrecorded };
        chain.head = audit_chain(&chain.head, &entry);
        chain.count = seq;
        self.put(request_row(&entry.request), &seq);
        self.put(audit_row(seq), &AuditValue { digest: chain.head, entry: entry.clone() });
        while chain.count.saturating_sub(chain.first_kept) >= WORKLOAD_AUDIT {
            let row = audit_row(chain.first_kept);
            if let Some(old) = self.store.value::<AuditValue>(&row)? {
                chain.before = old.digest;
                let named = request_row(&old.entry.request);
                if self.store.value::<u64>(&named)? == Some(old.entry.seq) {
                    self.store.put(named, None);
                }
            }
            self.store.put(row, None);
            chain.first_kept += 1;
        }
        self.put(vec![WORKLOAD_CHAIN], &chain);
        Ok(entry)
    }
}

/// What the asker is told of an entry.
fn told(entry: &AuditEntry) -> WorkloadOutcome {
    match entry.event {
        AuditEvent::Granted => WorkloadOutcome::Granted(entry.seq),
        AuditEvent::Refused(fault) => WorkloadOutcome::Refused(fault),
        AuditEvent::Created(_) | AuditEvent::PolicySet(_) => WorkloadOutcome::Set(entry.policy_version),
    }
}

impl View {
    /// A workload key; none where there is none, as of this view.
    pub fn workload(&self, name: &str) -> Result<Option<WorkloadRow>, ReadError> {
        let Some(head) = head(&self.rows, name).map_err(fenced)? else { return Ok(None) };
        let copied = |row: Option<&[u8]>| row.map(|row| Blob::new(row.to_vec())).transpose();
        let policy = self.rows.read(&named(WORKLOAD_POLICIES, name), copied).map_err(fenced)?.map_err(fenced)?;
        let policy = policy.ok_or_else(|| ReadError::Fenced("a workload key has no policy".into()))?;
        Ok(Some(WorkloadRow { version: head.version, policy_digest: head.policy, policy, key: head.key }))
    }

    /// At most `limit` workload keys that are not wrapped under the newest master key, with their names, as of this view.
    pub fn workloads_to_move(&self, limit: usize) -> Result<Vec<(WorkloadName, WorkloadHead)>, ReadError> {
        let most = usize::try_from(WORKLOAD_KEYS).unwrap_or(usize::MAX);
        let (heads, _) = self.rows.range(&[WORKLOAD_HEADS], &[WORKLOAD_HEADS + 1], most).map_err(fenced)?;
        let newest = self.newest_key();
        let mut found = Vec::new();
        for (row, head) in &heads {
            let HeadValue { version, policy, key, .. } = HeadValue::from_bytes(head).map_err(fenced)?;
            if key.key_epoch != newest && found.len() < limit {
                let name = row.get(1..).unwrap_or_default().to_vec();
                let name = WorkloadName::new(String::from_utf8(name).map_err(fenced)?).map_err(fenced)?;
                found.push((name, WorkloadHead { version, policy, key }));
            }
        }
        Ok(found)
    }

    /// The audit chain after entry `after`, a page of it; it begins with the oldest kept entry where `after` is older.
    pub fn workload_audit(&self, after: u64) -> Result<AuditPage, ReadError> {
        let chain = chain(&self.rows).map_err(fenced)?;
        let first = after.saturating_add(1).max(chain.first_kept);
        let before = match first > chain.count {
            true => chain.head,
            false if first == chain.first_kept => chain.before,
            false => {
                let earlier = self.rows.value::<AuditValue>(&audit_row(first.saturating_sub(1))).map_err(fenced)?;
                earlier.ok_or_else(|| ReadError::Fenced("the audit chain has a gap".into()))?.digest
            }
        };
        let (rows, _) = self.rows.range(&audit_row(first), &[WORKLOAD_AUDIT_ROWS + 1], AUDIT_PAGE).map_err(fenced)?;
        let entries = rows.iter().map(|(_, row)| AuditValue::from_bytes(row).map(|value| value.entry));
        let entries = entries.collect::<Result<Vec<_>, _>>().map_err(fenced)?;
        let entries = List::new(entries).map_err(fenced)?;
        Ok(AuditPage { before, entries, count: chain.count, head: chain.head, first_kept: chain.first_kept })
    }
}

fn fenced(why: impl std::fmt::Display) -> ReadError {
    ReadError::Fenced(why.to_string())
}
