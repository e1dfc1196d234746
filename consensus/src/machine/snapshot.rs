//! Snapshots: the whole state as one file, the same bytes on every replica at the same index.
//!
//! Decides: `"RWS6"`, then items `u32 length, u8 kind, encoding`: meta, members, proposals, dealings, steps of the policy, clients, events, open tiles of the log tree, rows in key order, and an
//! end that counts the items. No time of day, no order of arrival, no library's layout. The digest of the state is the SHA-256 of it.
//! Trusts: nothing it reads; an item is bounded before it is held, kinds may only go up, row keys must rise.
//! Out of scope: sending (`network`, `gate`). Protocol section 4; layout: docs/formats.md, "Snapshots".

use crate::machine::base::{Base, Change};
use crate::machine::clients::{ClientRecord, Clients, LIMITS};
use crate::machine::custody::{Custody, CustodyRecord, HeldRecord};
use crate::machine::generations::{Generations, GenerationsRecord};
use crate::machine::history::{EventRecord, History};
use crate::machine::log_tree::{LogTree, OpenTile, TILE_BYTES};
use crate::machine::policy::{Governed, GovernedPart, GovernedRecord};
use crate::machine::replicated::ReplicatedState;
use crate::machine::roster::{MemberRecord, ProposalRecord, Roster};
use crate::machine::rows::{self, ChainValue, SpaceValue};
use crate::machine::store;
use crate::machine::workloads;
use crate::types::{self, LogId, StoredMembership};
use bytes::Bytes;
use ringwall_wire::backup::SNAPSHOT_MAGIC as MAGIC;
use ringwall_wire::backup::item::{CLIENT, DEALING, END, EVENT, GOVERNED, MEMBER, META, PROPOSAL, ROW, TREE};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::{DecodeError, Field};
use ringwall_wire::ids::{Digest, Epoch, Revision};
use ringwall_wire::limits::{EPOCHS, SNAPSHOT_ITEM_BYTES as ITEM_BYTES};
use ringwall_wire::peer::{LogPosition, Membership};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::receipt::{EpochStart, TreePoint};
use ringwall_wire::user::{AuditRow, UserRow};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// Rows read from the store at a time.
const PAGE_ROWS: usize = 256;
/// Bytes of rows written to the base in one commit.
const FILL_BYTES: usize = 8 * 1024 * 1024;

ringwall_wire::record! {
    /// What the state is, beside its rows.
    pub struct Meta {
        /// Epoch of the group; none before it is founded.
        pub epoch: Option<Epoch>,
        /// Last applied entry.
        pub applied: Option<LogPosition>,
        /// Entry of the membership.
        pub membership_at: Option<LogPosition>,
        /// The membership.
        pub membership: Membership,
        /// Newest revision.
        pub revision: Revision,
        /// Group time, Unix milliseconds.
        pub time_ms: u64,
        /// Events up to this revision are gone.
        pub history_floor: Revision,
        /// Live master keys.
        pub generations: GenerationsRecord,
        /// Shares, beside the dealings themselves.
        pub custody: CustodyRecord,
        /// Governance, beside its steps and what waits.
        pub governed: GovernedRecord,
        /// How every epoch but the first began.
        pub epochs: List<EpochStart, EPOCHS>,
    }
}

/// The state at one moment, held still while it is written out.
pub(crate) struct Capture {
    pub(crate) applied: Option<LogId>,
    pub(crate) membership: StoredMembership,
    revision: Revision,
    time_ms: u64,
    roster: Arc<Roster>,
    generations: Arc<Generations>,
    custody: Arc<Custody>,
    governed: Arc<Governed>,
    clients: Clients,
    history: History,
    tree: LogTree,
    rows: store::Snapshot,
}

impl Capture {
    /// Holds the state still; everything written so far must be published.
    pub(crate) fn of(state: &ReplicatedState) -> Self {
        Capture {
            applied: state.applied,
            membership: state.membership.clone(),
            revision: state.revision,
            time_ms: state.time_ms,
            roster: Arc::clone(&state.roster),
            generations: Arc::clone(&state.generations),
            custody: Arc::clone(&state.custody),
            governed: Arc::clone(&state.governed),
            clients: state.clients.clone(),
            history: state.history.read().expect("nobody panics with the lock held").clone(),
            tree: state.tree.clone(),
            rows: state.store.snapshot(),
        }
    }

    /// The log tree.
    pub(crate) fn tree(&self) -> TreePoint {
        self.tree.point()
    }

    /// Writes the snapshot. Gives its size and digest.
    pub(crate) fn write(&self, out: impl Write) -> io::Result<(u64, Digest)> {
        let mut out = Items { out: io::BufWriter::with_capacity(256 * 1024, out), hash: Sha256::new(), bytes: 0, items: 0 };
        out.raw(&MAGIC)?;
        let (custody, dealings) = self.custody.records();
        out.item(META, &self.meta(custody, self.governed.record())?)?;
        let (members, proposals) = self.roster.records();
        members.iter().try_for_each(|member| out.item(MEMBER, member))?;
        proposals.iter().try_for_each(|proposal| out.item(PROPOSAL, proposal))?;
        dealings.iter().try_for_each(|dealing| out.item(DEALING, dealing))?;
        self.governed.parts().try_for_each(|part| out.item(GOVERNED, &part))?;
        self.clients.records().try_for_each(|client| out.item(CLIENT, &client))?;
        self.history.records().try_for_each(|event| out.item(EVENT, &event))?;
        self.tree.open_tiles().try_for_each(|tile| out.item(TREE, &tile))?;
        for (from, end) in rows::IN_SNAPSHOTS {
            self.write_rows(&mut out, from, end)?;
        }
        let items = out.items;
        out.item(END, &items)?;
        out.out.flush()?;
        Ok((out.bytes, Digest(out.hash.finalize().into())))
    }

    fn write_rows(&self, out: &mut Items<impl Write>, from: u8, end: u8) -> io::Result<()> {
        let mut next = vec![from];
        loop {
            let (page, more) = self.rows.range(&next, &[end], PAGE_ROWS)?;
            for (key, value) in &page {
                out.row(key, value)?;
            }
            match page.last() {
                Some((last, _)) if more => {
                    next.clone_from(last);
                    next.push(0);
                }
                _ => return Ok(()),
            }
        }
    }

    /// The digest alone.
    pub(crate) fn digest(&self) -> io::Result<Digest> {
        self.write(io::sink()).map(|(_, digest)| digest)
    }

    fn meta(&self, custody: CustodyRecord, governed: GovernedRecord) -> io::Result<Meta> {
        Ok(Meta {
            epoch: self.roster.epoch,
            applied: types::positions(&self.applied),
            membership_at: types::positions(self.membership.log_id()),
            membership: types::membership_out(self.membership.membership()).map_err(io::Error::other)?,
            revision: self.revision,
            time_ms: self.time_ms,
            history_floor: self.history.floor(),
            generations: self.generations.record(),
            custody,
            governed,
            epochs: List::new(self.roster.epochs.clone()).map_err(io::Error::other)?,
        })
    }
}

struct Items<W: Write> {
    out: io::BufWriter<W>,
    hash: Sha256,
    bytes: u64,
    items: u64,
}

impl<W: Write> Items<W> {
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn header(&mut self, kind: u8, len: usize) -> io::Result<()> {
        let len = u32::try_from(len + 1).ok().filter(|len| *len as usize <= ITEM_BYTES);
        let len = len.ok_or_else(|| io::Error::other("an item is above the limit"))?;
        self.items += 1;
        self.raw(&len.to_be_bytes())?;
        self.raw(&[kind])
    }

    fn item(&mut self, kind: u8, item: &impl Field) -> io::Result<()> {
        let bytes = item.to_bytes();
        self.header(kind, bytes.len())?;
        self.raw(&bytes)
    }

    fn row(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.header(ROW, 1 + key.len() + value.len())?;
        let key_len = u8::try_from(key.len()).map_err(io::Error::other)?;
        self.raw(&[key_len])?;
        self.raw(key)?;
        self.raw(value)
    }
}

/// A state read back, without its rows.
pub(crate) struct Restored {
    pub(crate) meta: Meta,
    pub(crate) roster: Roster,
    pub(crate) generations: Generations,
    pub(crate) custody: Custody,
    pub(crate) governed: Governed,
    pub(crate) clients: Clients,
    pub(crate) history: History,
    pub(crate) tree: LogTree,
}

/// Reads a snapshot: rows go to `base`, the rest is given back. The founding policy is the charter's: it is in no snapshot.
pub(crate) fn read(input: impl Read, base: &mut Base, founding: Option<Arc<PolicyDoc>>) -> io::Result<Restored> {
    let mut input = io::BufReader::with_capacity(256 * 1024, input);
    let mut magic = [0; 4];
    input.read_exact(&mut magic)?;
    let meta = match next_item(&mut input)? {
        (META, bytes) if magic == MAGIC => decode::<Meta>(&bytes)?,
        _ => return Err(illegal("snapshot")),
    };
    let roster = Roster { epoch: meta.epoch, epochs: meta.epochs.to_vec(), ..Roster::default() };
    let generations = Generations::restore(meta.generations.clone()).ok_or_else(|| illegal("generations"))?;
    let custody = Custody::restore(meta.custody.clone()).ok_or_else(|| illegal("custodians"))?;
    let governed = Governed::restore(founding, meta.governed.clone());
    let (clients, history, tree) = (Clients::new(LIMITS), History::default(), LogTree::default());
    let mut restored = Restored { meta, roster, generations, custody, governed, clients, history, tree };
    restored.history.set_floor(restored.meta.history_floor);
    let mut fill = Fill { base, changes: Vec::new(), bytes: 0, last: Vec::new() };
    let (mut items, mut before) = (1_u64, META);
    loop {
        let (kind, bytes) = next_item(&mut input)?;
        if kind < before {
            return Err(illegal("order of a snapshot"));
        }
        before = kind;
        match kind {
            MEMBER => restored.roster.restore_member(decode::<MemberRecord>(&bytes)?),
            PROPOSAL => restored.roster.restore_proposal(decode::<ProposalRecord>(&bytes)?),
            DEALING if restored.custody.restore_held(decode::<HeldRecord>(&bytes)?) => {}
            GOVERNED if restored.governed.restore_part(decode::<GovernedPart>(&bytes)?) => {}
            CLIENT => restored.clients.restore(decode::<ClientRecord>(&bytes)?),
            EVENT => restored.history.restore(decode::<EventRecord>(&bytes)?),
            TREE => restored.tree.restore(decode::<OpenTile>(&bytes)?).map_err(io::Error::other)?,
            ROW => fill.row(&bytes)?,
            END if decode::<u64>(&bytes)? == items => break,
            _ => return Err(illegal("kind of a snapshot's item")),
        }
        items += 1;
    }
    fill.finish()?;
    if restored.tree.size() != restored.meta.applied.map_or(0, |applied| applied.index.saturating_add(1)) {
        return Err(illegal("size of the log tree"));
    }
    match input.read(&mut [0])? {
        0 => Ok(restored),
        _ => Err(illegal("end of a snapshot")),
    }
}

struct Fill<'a> {
    base: &'a mut Base,
    changes: Vec<Change>,
    bytes: usize,
    last: Vec<u8>,
}

impl Fill<'_> {
    fn row(&mut self, item: &[u8]) -> io::Result<()> {
        let (key_len, rest) = item.split_first().ok_or_else(|| illegal("row"))?;
        let (key, value) = rest.split_at_checked(usize::from(*key_len)).ok_or_else(|| illegal("row"))?;
        if key <= self.last.as_slice() {
            return Err(illegal("order of rows"));
        }
        match key.first() {
            Some(&rows::SPACES) if key.len() == 17 => {
                decode::<SpaceValue>(value)?;
            }
            Some(&rows::CHAINS) if key.len() == 17 => {
                decode::<ChainValue>(value)?;
            }
            Some(&(rows::ERASED | rows::SWEEP)) if key.len() == 17 && value.is_empty() => {}
            Some(&rows::USERS) if key.len() == 17 => {
                decode::<UserRow>(value)?;
            }
            Some(&rows::AUDITS) if key.len() == 25 => {
                decode::<AuditRow>(value)?;
            }
            Some(&rows::RESTORES_CLOSED) if key.len() == 1 => {
                decode::<u64>(value)?;
            }
            Some(&rows::TILES) if key.len() == 10 && value.len() == TILE_BYTES => {}
            Some(&rows::RECORDS) => {
                let (space, tag) = rows::split_record(key).map_err(io::Error::other)?;
                let record = rows::take_record(value).map_err(io::Error::other)?;
                if record.expires_at_ms != 0 {
                    self.changes.push((rows::expiry_key(record.expires_at_ms, &space, &tag), Some(Bytes::new())));
                }
            }
            Some(&(rows::WORKLOAD_HEADS..=rows::WORKLOAD_CHAIN)) if workloads::is_row(key, value).map_err(io::Error::other)? => {}
            _ => return Err(illegal("table of a row")),
        }
        self.last = key.to_vec();
        self.bytes += item.len();
        self.changes.push((key.to_vec(), Some(Bytes::copy_from_slice(value))));
        if self.bytes >= FILL_BYTES {
            self.finish()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.bytes = 0;
        self.base.write(std::mem::take(&mut self.changes), false)
    }
}

fn illegal(what: &'static str) -> io::Error {
    io::Error::other(DecodeError::Illegal { what })
}

fn decode<T: Field>(bytes: &[u8]) -> io::Result<T> {
    T::from_bytes(bytes).map_err(io::Error::other)
}

fn next_item(input: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut len = [0; 4];
    input.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    if len == 0 || len > ITEM_BYTES {
        return Err(illegal("length of a snapshot's item"));
    }
    let mut kind = [0];
    input.read_exact(&mut kind)?;
    let mut bytes = vec![0; len - 1];
    input.read_exact(&mut bytes)?;
    let [kind] = kind;
    Ok((kind, bytes))
}
