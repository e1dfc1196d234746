//! The state, and what each command does to it.
//!
//! Decides: the one deterministic function from entries to state. It is total: bytes that are no command change nothing and say so.
//! Trusts: nothing in an entry; only its own storage may make it fail, which fences the replica.
//! Out of scope: agreeing on entries, opening records. Protocol sections 4, 5 and 7.

use crate::charter::{Charter, Law};
use crate::defects::{self, Defect};
use crate::machine::clients::{Admission, At, Clients, LIMITS};
use crate::machine::custody::Custody;
use crate::machine::generations::Generations;
use crate::machine::history::History;
use crate::machine::log_tree::LogTree;
use crate::machine::policy::Governed;
use crate::machine::roster::{Roster, Voter};
use crate::machine::rows::{self, ChainValue, RecordHead, SpaceValue};
use crate::machine::store::Store;
use crate::machine::view::{ChangeEvent, Published, PublishedTree};
use crate::machine::workloads;
use crate::types::{self, Entry, EntryPayload, LogId, StoredMembership};
use bytes::Bytes;
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::{Field, Message};
use ringwall_wire::command::{
    Command, CommandBody, Denial, OpenSpace, Outcome, SealedChange, SealedMutation, SealedPut, SealedRecord, SealedWrite, SpaceChange,
};
use ringwall_wire::ids::{Digest, KeyTag, Revision, SpaceTag};
use ringwall_wire::receipt::{CHAIN_DELETE, CHAIN_EXPIRE, CHAIN_PUT, entry_leaf};
use ringwall_wire::request::{Conflict, Expect};
use ringwall_wire::spared::{Part, spared};
use std::io;
use std::sync::{Arc, RwLock};

/// Records one `Expire` removes: bounds the time an entry takes, and what shares a revision must fit one message to a watcher.
pub(crate) const EXPIRE_RECORDS: usize = ringwall_wire::limits::WATCH_EVENTS;

/// The entry that is being applied. Not state: nothing of it outlives the entry.
#[derive(Clone, Copy)]
struct Applying {
    /// SHA-256 of its payload.
    payload: Digest,
    /// Changes of it that had their turn, whatever came of them.
    changes: u32,
}

/// The state of one replica.
pub(crate) struct ReplicatedState {
    pub(crate) store: Store,
    /// Not state: every replica of a group is opened with the same one.
    pub(crate) charter: Charter,
    pub(crate) applied: Option<LogId>,
    pub(crate) membership: StoredMembership,
    pub(crate) revision: Revision,
    pub(crate) time_ms: u64,
    pub(crate) roster: Arc<Roster>,
    pub(crate) generations: Arc<Generations>,
    pub(crate) custody: Arc<Custody>,
    pub(crate) governed: Arc<Governed>,
    pub(crate) clients: Clients,
    /// One leaf for every applied entry.
    pub(crate) tree: LogTree,
    /// Shared with readers, who look at it up to the revision they see.
    pub(crate) history: Arc<RwLock<History>>,
    applying: Applying,
}

/// What applying an entry gave.
pub(crate) struct Effect {
    pub(crate) outcomes: Vec<Outcome>,
    /// Whether the digest of the state after this entry is wanted.
    pub(crate) mark: bool,
}

impl ReplicatedState {
    /// The state before the first entry.
    pub(crate) fn new(store: Store, charter: Charter) -> Self {
        let governed = Arc::new(Governed::new(charter.policy.clone()));
        ReplicatedState {
            store,
            charter,
            governed,
            applied: None,
            membership: StoredMembership::default(),
            revision: Revision(0),
            time_ms: 0,
            roster: Arc::default(),
            generations: Arc::default(),
            custody: Arc::default(),
            clients: Clients::new(LIMITS),
            tree: LogTree::default(),
            history: Arc::default(),
            applying: Applying { payload: Digest([0; 32]), changes: 0 },
        }
    }

    /// What readers may see once it is published.
    pub(crate) fn published(&self) -> Published {
        Published {
            applied: self.applied.map_or(0, |applied| applied.index),
            term: self.applied.map_or(0, |applied| applied.leader_id.term),
            tree: Arc::new(PublishedTree::of(&self.tree)),
            revision: self.revision,
            time_ms: self.time_ms,
            roster: Arc::clone(&self.roster),
            generations: Arc::clone(&self.generations),
            custody: Arc::clone(&self.custody),
            governed: Arc::clone(&self.governed),
            voters: Arc::new(self.membership.voter_ids().collect()),
        }
    }

    /// Applies one entry. Fails only when storage does.
    pub(crate) fn apply(&mut self, entry: &Entry) -> io::Result<Effect> {
        let index = entry.log_id.index;
        self.grow_tree(entry)?;
        let effect = match &entry.payload {
            EntryPayload::Blank => Effect { outcomes: Vec::new(), mark: false },
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                Effect { outcomes: Vec::new(), mark: false }
            }
            EntryPayload::Normal(bytes) => match Command::decode(&bytes.0) {
                Ok(command) => self.command(index, command)?,
                Err(why) => {
                    tracing::error!(index, %why, "an entry is no command: nothing was changed");
                    Effect { outcomes: Vec::new(), mark: false }
                }
            },
        };
        self.applied = Some(entry.log_id);
        Ok(effect)
    }

    /// The entry's leaf: every entry has one, also one that changes nothing.
    fn grow_tree(&mut self, entry: &Entry) -> io::Result<()> {
        if spared(Part::Receipts) {
            return Ok(());
        }
        let (index, size) = (entry.log_id.index, self.tree.size());
        if index != size {
            return Err(io::Error::other(format!("entry {index} does not follow a log tree of {size} leaves")));
        }
        let epoch = self.roster.epoch.unwrap_or_default();
        let payload = types::payload_digest(&entry.payload)?;
        self.applying = Applying { payload, changes: 0 };
        let leaf = entry_leaf(epoch, index, entry.log_id.leader_id.term, &payload);
        for (key, value) in self.tree.push(leaf) {
            self.store.put(key, value);
        }
        Ok(())
    }

    /// Numbers `count` changes of this entry. Gives the number of the first.
    fn number(&mut self, count: usize) -> u32 {
        let first = self.applying.changes;
        self.applying.changes = first.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        first
    }

    fn chain(&self, space: &SpaceTag) -> io::Result<ChainValue> {
        let row = self.store.read(&rows::chain_key(space), |row| row.map(ChainValue::from_bytes).transpose())?;
        Ok(row.map_err(io::Error::other)?.unwrap_or(ChainValue::START))
    }

    fn put_chain(&self, space: &SpaceTag, chain: &ChainValue) {
        self.store.put(rows::chain_key(space), Some(Bytes::from(chain.to_bytes())));
    }

    fn command(&mut self, index: u64, command: Command) -> io::Result<Effect> {
        self.time_ms = self.time_ms.max(command.at_ms);
        if defects::on(Defect::OwnState) {
            self.time_ms += defects::number() % 3;
        }
        let mark = command.body == CommandBody::Mark;
        let outcomes = match command.body {
            CommandBody::Writes(writes) => {
                let writes = Arc::unwrap_or_clone(writes).into_vec().into_iter();
                writes.map(|write| self.write(index, write)).collect::<io::Result<Vec<_>>>()?
            }
            CommandBody::Expire => vec![self.expire()?],
            CommandBody::Mark => vec![Outcome::Done],
            CommandBody::AdmitPropose(_) | CommandBody::AdmitCommit(_) if self.governed.is_lapsed(self.time_ms) => {
                vec![Outcome::Denied(Denial::LeaseOver)]
            }
            CommandBody::AdmitPropose(propose) => {
                let (charter, governed) = (self.charter.clone(), Arc::clone(&self.governed));
                let law = Law { charter: &charter, policy: governed.in_force() };
                vec![self.roster().propose(index, *propose, law)]
            }
            CommandBody::Endorse(endorse) => {
                let (voters, cluster_id) = (self.voters(), self.charter.cluster_id);
                vec![self.roster().endorse(index, endorse, &voters, &cluster_id)]
            }
            CommandBody::AdmitCommit(commit) => {
                let voters = self.voters();
                vec![self.roster().commit(index, commit.admit_index, &voters)]
            }
            CommandBody::Retire(incarnation) => vec![self.roster().retire(incarnation)],
            CommandBody::Found(founding) => {
                self.generations().rotated_ms = self.time_ms;
                let outcome = self.roster().found(*founding);
                if matches!(outcome, Outcome::Admitted(_)) {
                    Arc::make_mut(&mut self.governed).founded(index, self.time_ms);
                }
                vec![outcome]
            }
            CommandBody::Begin(begun) => {
                let cluster_id = self.charter.cluster_id;
                let outcome = self.roster().begin(index, *begun, &cluster_id);
                if matches!(outcome, Outcome::Admitted(_)) {
                    self.close_restores();
                }
                vec![outcome]
            }
            CommandBody::Custody(step) => vec![self.custody_step(*step)],
            CommandBody::Keys(step) => vec![self.keys(*step)?],
            CommandBody::Policy(step) => vec![self.policy_step(index, *step)?],
        };
        Ok(Effect { outcomes, mark })
    }

    fn roster(&mut self) -> &mut Roster {
        Arc::make_mut(&mut self.roster)
    }

    pub(super) fn voters(&self) -> Vec<Voter> {
        let voters = self.membership.voter_ids();
        let voters = voters.filter_map(|id| self.membership.get_node(&id).map(|member| (id, member)));
        voters.map(|(incarnation, member)| Voter { incarnation, slot: member.slot, vendor: member.vendor, sig: member.sig }).collect()
    }

    fn write(&mut self, index: u64, write: SealedWrite) -> io::Result<Outcome> {
        match write {
            SealedWrite::OpenSpace(open) => self.open_space(open),
            SealedWrite::Change(change) => self.change_space(index, change),
            SealedWrite::Erase(spaces) => {
                spaces.iter().try_for_each(|space| self.erase(space))?;
                Ok(Outcome::Done)
            }
            SealedWrite::Workload(write) => {
                let at = workloads::Applying {
                    store: &self.store,
                    law: Law { charter: &self.charter, policy: self.governed.in_force() },
                    lapsed: self.governed.is_lapsed(self.time_ms),
                    generations: &self.generations,
                    time_ms: self.time_ms,
                };
                at.apply(*write).map(Outcome::Workload)
            }
            SealedWrite::User(change) => self.change_user(index, change),
        }
    }

    pub(super) fn space(&self, space: &SpaceTag) -> io::Result<Option<SpaceValue>> {
        self.store.read(&rows::space_key(space), |row| row.map(SpaceValue::from_bytes).transpose())?.map_err(io::Error::other)
    }

    pub(super) fn put_space(&self, space: &SpaceTag, value: &SpaceValue) {
        self.store.put(rows::space_key(space), Some(Bytes::from(value.to_bytes())));
    }

    fn open_space(&mut self, open: OpenSpace) -> io::Result<Outcome> {
        if let Some(found) = self.space(&open.space)? {
            return Ok(match (found.mode == open.mode, found.commit == open.commit) {
                (true, true) => Outcome::Applied(found.revision),
                (true, false) => Outcome::OtherUserKey,
                (false, _) => Outcome::OtherMode,
            });
        }
        if let Err(fault) = self.may_open(&open.space, open.dek.key_epoch)? {
            return Ok(Outcome::Denied(Denial::Keys(fault)));
        }
        self.revision.0 += 1;
        self.generations().wrapped(open.dek.key_epoch);
        let OpenSpace { mode, commit, dek, owner, .. } = open;
        let value = SpaceValue { mode, commit, dek, owner, revision: self.revision, evict_floor: Revision(0) };
        self.put_space(&open.space, &value);
        Ok(Outcome::Applied(self.revision))
    }

    fn change_space(&mut self, index: u64, change: SpaceChange) -> io::Result<Outcome> {
        let first = self.number(change.mutations.len());
        let Some(space) = self.space(&change.space)? else {
            return Ok(Outcome::NoSpace);
        };
        if let Admission::Answer(outcome) = self.clients.admit(change.space, change.client, &change.once, space.evict_floor) {
            return Ok(outcome);
        }
        let who = (change.space, change.client);
        let once = change.once;
        let outcome = self.mutate(change, first)?;
        let at = At { index, revision: self.revision, floor: space.evict_floor };
        for evicted in self.clients.record(who, &once, outcome, at) {
            if let Some(mut value) = self.space(&evicted.space)? {
                value.evict_floor = value.evict_floor.max(evicted.revision);
                self.put_space(&evicted.space, &value);
            }
        }
        Ok(outcome)
    }

    /// All mutations or none; every precondition looks at the state before the first of them. The first is number `first` of the entry's.
    fn mutate(&mut self, change: SpaceChange, first: u32) -> io::Result<Outcome> {
        for (at, mutation) in change.mutations.iter().enumerate() {
            // Without a condition nothing is looked up.
            let version = match mutation.expect {
                Expect::Any => None,
                _ => self.seen_version(&change.space, &mutation.key)?,
            };
            let holds = match mutation.expect {
                Expect::Any => true,
                Expect::Absent => version.is_none(),
                Expect::Present => version.is_some(),
                Expect::Version(expected) => version == Some(expected),
            };
            if !holds && !defects::on(Defect::NoPrecondition) {
                let mutation = u16::try_from(at).unwrap_or(u16::MAX);
                return Ok(Outcome::Conflict(Conflict { mutation, current: version.unwrap_or_default() }));
            }
        }
        let next = Revision(self.revision.0 + 1);
        let mut chain = self.chain(&change.space)?;
        let before = chain.seq;
        let payload = self.applying.payload;
        for (place, SealedMutation { key, change: what, .. }) in (first..).zip(change.mutations.into_vec()) {
            match what {
                SealedChange::Put(put) => {
                    self.put(next, &change.space, key, put)?;
                    chain.step(CHAIN_PUT, &key, &payload, place);
                }
                SealedChange::Delete if self.delete(next, &change.space, key)? => chain.step(CHAIN_DELETE, &key, &payload, place),
                SealedChange::Delete | SealedChange::Keep => {}
            }
        }
        if chain.seq != before {
            if !spared(Part::Receipts) {
                self.put_chain(&change.space, &chain);
            }
            self.revision = next;
        }
        Ok(Outcome::Applied(self.revision))
    }

    fn head(&self, row: &[u8]) -> io::Result<Option<RecordHead>> {
        self.store.read(row, |bytes| bytes.map(rows::take_head).transpose())?.map_err(io::Error::other)
    }

    /// Version of a key, unless it is absent or past its time.
    fn seen_version(&self, space: &SpaceTag, key: &KeyTag) -> io::Result<Option<Revision>> {
        let head = self.head(&rows::record_key(space, key))?;
        Ok(head.filter(|head| head.visible(self.time_ms)).map(|head| head.version))
    }

    fn put(&mut self, next: Revision, space: &SpaceTag, key: KeyTag, put: SealedPut) -> io::Result<()> {
        let row = rows::record_key(space, &key);
        if let Some(old) = self.head(&row)?.filter(|old| old.expires_at_ms != 0) {
            self.store.put(rows::expiry_key(old.expires_at_ms, space, &key), None);
        }
        let expires_at_ms = match put.ttl_s {
            0 => 0,
            ttl_s => self.time_ms.saturating_add(u64::from(ttl_s) * 1_000).max(1),
        };
        let head = RecordHead { version: next, expires_at_ms };
        let stored = rows::put_record(head, &put.record);
        self.store.put(row, Some(Bytes::from(stored)));
        if expires_at_ms != 0 {
            self.store.put(rows::expiry_key(expires_at_ms, space, &key), Some(Bytes::new()));
        }
        self.tell(next, space, key, put.record, false);
        Ok(())
    }

    /// Whether there was something readers could see.
    fn delete(&mut self, next: Revision, space: &SpaceTag, key: KeyTag) -> io::Result<bool> {
        let row = rows::record_key(space, &key);
        let old = self.store.read(&row, |bytes| bytes.map(rows::take_record).transpose())?.map_err(io::Error::other)?;
        let Some(old) = old else { return Ok(false) };
        let head = RecordHead { version: old.version, expires_at_ms: old.expires_at_ms };
        if !head.visible(self.time_ms) {
            return Ok(false); // `Expire` will remove it, and tell watchers.
        }
        self.remove(next, space, key, row, head, old.record);
        Ok(true)
    }

    fn remove(&mut self, next: Revision, space: &SpaceTag, key: KeyTag, row: Vec<u8>, head: RecordHead, record: SealedRecord) {
        self.store.put(row, None);
        if head.expires_at_ms != 0 {
            self.store.put(rows::expiry_key(head.expires_at_ms, space, &key), None);
        }
        self.tell(next, space, key, SealedRecord { value: Blob::default(), ..record }, true);
    }

    fn tell(&self, revision: Revision, space: &SpaceTag, key: KeyTag, record: SealedRecord, removed: bool) {
        let event = ChangeEvent { revision, space: *space, key, record: Arc::new(record), removed };
        self.history.write().expect("nobody panics with the lock held").push(event);
    }

    fn expire(&mut self) -> io::Result<Outcome> {
        let start = rows::expiry_key(0, &SpaceTag([0; 16]), &KeyTag([0; 16]));
        let (due, _) = self.store.range(&start, &rows::expiry_end(self.time_ms), EXPIRE_RECORDS)?;
        let next = Revision(self.revision.0 + 1);
        let mut changed = false;
        let rest = EXPIRE_RECORDS.saturating_sub(due.len());
        for (expiry, _) in due {
            let (_, space, key) = rows::split_expiry(&expiry).map_err(io::Error::other)?;
            let row = rows::record_key(&space, &key);
            let old = self.store.read(&row, |bytes| bytes.map(rows::take_record).transpose())?.map_err(io::Error::other)?;
            match old {
                // Of an erased namespace nobody is told anything.
                Some(_) if self.store.read(&rows::erased_key(&space), |row| row.is_some())? => {
                    self.store.put(row, None);
                    self.store.put(expiry, None);
                }
                Some(old) => {
                    let head = RecordHead { version: old.version, expires_at_ms: old.expires_at_ms };
                    self.remove(next, &space, key, row, head, old.record);
                    let (mut chain, payload, place) = (self.chain(&space)?, self.applying.payload, self.number(1));
                    chain.step(CHAIN_EXPIRE, &key, &payload, place);
                    self.put_chain(&space, &chain);
                    changed = true;
                }
                None => self.store.put(expiry, None),
            }
        }
        if changed {
            self.revision = next;
        }
        self.sweep(rest)?;
        Ok(Outcome::Done)
    }
}
