//! A user's records, out of a backup of one cluster into namespaces of another.
//!
//! Decides: the backup is verified first; what is the user's is found by the data keys the phrase opened, and by nothing else: a backup does not say whose a
//! namespace is. Records are opened here and stored through ordinary writes, so the new cluster seals them anew. What a key holds already stays, unless the
//! user says otherwise; a value that is the same counts as done, so a run that broke off is repeated and goes on. Whatever could not be opened is named.
//! Times to live go on by this machine's clock. Trusts: `keys` for authenticity of each record; the session for the rest.
//! Out of scope: users, devices and workload keys of the old cluster, which are not a user's to carry over. Protocol section 9.2.

use super::escrow::{self, KeysError};
use super::file::{self, BackupError};
use super::snapshot::{Item, Space, Stored};
use crate::client::Client;
use crate::clock;
use crate::error::{ConnectError, NamespaceError, ReadError, WriteError};
use crate::namespace::{NamespaceHandle, PutOptions};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ringwall_attest::Anchors;
use ringwall_keys::escrow::SpaceSecret;
use ringwall_keys::user::commitment;
use ringwall_keys::{Phrase, SpaceKeys, UserKey, UserSpace};
use ringwall_wire::backup::KeysEscrow;
use ringwall_wire::ids::{ClusterId, KeyTag, SpaceTag};
use ringwall_wire::request::{Expect, KeyMode, Namespace};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Records under way at once.
const AHEAD: usize = 32;
/// How often a write whose outcome is not known is tried: it finds what it has stored itself.
const TRIES: usize = 4;
/// Records that could not be opened which are named; further ones are counted.
const NAMED: usize = 10_000;

/// Why an import did not go on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The data keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A record was not stored.
    #[error("{0}; what was stored stays, run it again to go on")]
    Write(#[from] WriteError),
    /// What is stored already was not read.
    #[error("{0}; what was stored stays, run it again to go on")]
    Read(#[from] ReadError),
    /// No session.
    #[error("{0}; what was stored stays, run it again to go on")]
    Session(#[from] ConnectError),
    /// The task that reads ended.
    #[error("the backup was not read to its end: {0}")]
    Ended(String),
}

impl ImportError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ImportError::Backup(fault) => fault.code(),
            ImportError::Keys(fault) => fault.code(),
            ImportError::Write(fault) => fault.code(),
            ImportError::Read(fault) => fault.code(),
            ImportError::Session(fault) => fault.code(),
            ImportError::Ended(_) => "RW-C-OUTPUT",
        }
    }
}

/// What an import works with.
pub struct ImportOptions<'a> {
    /// The backup.
    pub backup: &'a Path,
    /// Roots its signer is judged under.
    pub anchors: &'a Anchors,
    /// Data keys of the old cluster.
    pub keys: &'a KeysEscrow,
    /// What opens them.
    pub phrase: &'a Phrase,
    /// The user's own key in the old cluster, for dual and user mode.
    pub user_key: Option<&'a UserKey>,
    /// Names of namespaces that have none beside their keys.
    pub names: &'a BTreeMap<SpaceTag, Namespace>,
    /// Only namespaces of these names; all where it is empty.
    pub only: &'a [Namespace],
    /// Whether what a key holds already is replaced.
    pub overwrite: bool,
}

impl core::fmt::Debug for ImportOptions<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "ImportOptions({})", self.backup.display())
    }
}

/// Something that stayed behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Namespace.
    pub space: SpaceTag,
    /// Its name, where it is known.
    pub name: Option<String>,
    /// The record; none for the whole namespace.
    pub key: Option<KeyTag>,
    /// Why.
    pub why: String,
}

/// What became of a user's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Index of the backup's state.
    pub index: u64,
    /// Index at which the data keys were escrowed: namespaces that were made later have none.
    pub keys_index: u64,
    /// Namespaces that were opened.
    pub namespaces: u64,
    /// Records that were stored now.
    pub stored: u64,
    /// Records whose keys held the same value already.
    pub already: u64,
    /// Records whose keys held another value, which stayed.
    pub kept: Vec<Left>,
    /// Records whose time had come.
    pub expired: u64,
    /// What could not be opened.
    pub left: Vec<Left>,
    /// What could not be opened beyond those named.
    pub more_left: u64,
}

impl Imported {
    fn leave(&mut self, left: Left) {
        match self.left.len() < NAMED {
            true => self.left.push(left),
            false => self.more_left = self.more_left.saturating_add(1),
        }
    }
}

/// What opens one namespace of the old cluster.
struct Old {
    name: Namespace,
    mode: KeyMode,
    keys: SpaceKeys,
    user: Option<UserSpace>,
}

/// Imports what the phrase opens. `told` is given how many records of the backup were looked at, and how many there are.
pub async fn import(client: &Client, options: &ImportOptions<'_>, mut told: impl FnMut(u64, u64)) -> Result<Imported, ImportError> {
    let secrets = escrow::open(options.phrase, options.keys)?;
    let (path, pinned, anchors) = (options.backup.to_owned(), options.keys.cluster_id, options.anchors.clone());
    let verified = tokio::task::spawn_blocking(move || file::verify(&path, Some(pinned), &anchors)).await;
    let proven = verified.map_err(|fault| ImportError::Ended(fault.to_string()))??;
    let mut done = Imported { index: proven.made.head.index, keys_index: options.keys.index, ..Imported::default() };
    let mut state = file::state_of(options.backup)?;
    let of_state = |source| ImportError::Backup(BackupError::Snapshot { path: options.backup.into(), source });
    let mut theirs: HashMap<SpaceTag, SpaceSecret> = secrets.into_iter().map(|secret| (*secret.space(), secret)).collect();
    let mut open: HashMap<SpaceTag, (Old, NamespaceHandle)> = HashMap::new();
    let now_ms = proven.time_ms.max(clock::now_s().saturating_mul(1_000));
    let (mut flight, mut seen) = (FuturesUnordered::new(), 0_u64);
    while let Some(item) = state.next().map_err(of_state)? {
        match item {
            Item::Space(space) => {
                let Some(secret) = theirs.remove(&space.space) else { continue };
                let name = secret.name().or_else(|| options.names.get(&space.space));
                if !options.only.is_empty() && !name.is_some_and(|name| options.only.contains(name)) {
                    continue;
                }
                match enter(client, options, &space, &secret).await? {
                    Ok(entered) => {
                        done.namespaces = done.namespaces.saturating_add(1);
                        open.insert(space.space, entered);
                    }
                    Err(left) => done.leave(left),
                }
            }
            Item::Record(stored) => {
                seen = seen.saturating_add(1);
                told(seen, proven.counted.records);
                let Some((old, new)) = open.get(&stored.space) else { continue };
                let Some(put) = readable(old, &stored, now_ms, &mut done) else { continue };
                flight.push(store(new.clone(), put, options.overwrite));
            }
            Item::Other => {}
        }
        while flight.len() >= AHEAD {
            settle(&mut done, flight.next().await)?;
        }
    }
    while !flight.is_empty() {
        settle(&mut done, flight.next().await)?;
    }
    for secret in theirs.into_values() {
        done.leave(left_space(&secret, "it is not in the backup: it was made after it, or erased before it"));
    }
    Ok(done)
}

fn settle(done: &mut Imported, outcome: Option<Result<Became, ImportError>>) -> Result<(), ImportError> {
    match outcome.transpose()? {
        None => {}
        Some(Became::Now) => done.stored = done.stored.saturating_add(1),
        Some(Became::Already) => done.already = done.already.saturating_add(1),
        Some(Became::Kept(left)) => done.kept.push(left),
    }
    Ok(())
}

fn left_space(secret: &SpaceSecret, why: impl Into<String>) -> Left {
    Left { space: *secret.space(), name: secret.name().map(|name| name.to_string()), key: None, why: why.into() }
}

/// Opens the namespace in both clusters; the inner error says why it stays behind.
async fn enter(
    client: &Client,
    options: &ImportOptions<'_>,
    space: &Space,
    secret: &SpaceSecret,
) -> Result<Result<(Old, NamespaceHandle), Left>, ImportError> {
    let old = match old(options, space, secret) {
        Ok(old) => old,
        Err(why) => return Ok(Err(left_space(secret, why))),
    };
    match client.open_with(&old.name, old.mode).await {
        Ok(new) => Ok(Ok((old, new))),
        Err(NamespaceError::Session(fault)) => Err(fault.into()),
        Err(fault) => Ok(Err(left_space(secret, format!("the new cluster does not open it: {fault}")))),
    }
}

/// What opens the namespace as the backup has it, or why nothing does.
fn old(options: &ImportOptions<'_>, space: &Space, secret: &SpaceSecret) -> Result<Old, String> {
    if space.mode != secret.mode() {
        return Err(format!("its key is of one in {:?} mode, and it is in {:?} mode", secret.mode(), space.mode));
    }
    let named = secret.name().or_else(|| options.names.get(&space.space));
    let name = named.cloned().ok_or_else(|| format!("its name is not beside its key: give it with --name {}=NAME", space.space))?;
    let (cluster, user): (&ClusterId, _) = (&options.keys.cluster_id, &options.keys.user);
    let key = || options.user_key.ok_or("it needs the user's own key, and the escrow holds none".to_owned());
    let other = || "another name or another user key belongs to it: the commitment does not fit".to_owned();
    let (part, own) = match space.mode {
        KeyMode::Cluster => (None, None),
        KeyMode::Dual => {
            let part = key()?.part(cluster, user, &name);
            if space.commit != Some(commitment(cluster, KeyMode::Dual, &part)) {
                return Err(other());
            }
            (Some(part), None)
        }
        KeyMode::User => {
            let own = key()?.space(cluster, user, &name);
            if space.commit != Some(own.commitment()) {
                return Err(other());
            }
            (None, Some(own))
        }
    };
    let keys = secret.keys(part.as_ref()).map_err(|fault| fault.to_string())?;
    Ok(Old { name, mode: space.mode, keys, user: own })
}

/// A record as it is stored anew.
struct Put {
    space: SpaceTag,
    tag: KeyTag,
    name: Vec<u8>,
    value: Vec<u8>,
    ttl_s: u32,
}

/// Opens a record; none for one whose time has come, or that does not open, which is noted.
fn readable(old: &Old, stored: &Stored, now_ms: u64, done: &mut Imported) -> Option<Put> {
    let left_ms = stored.expires_at_ms.saturating_sub(now_ms);
    if stored.expires_at_ms != 0 && left_ms == 0 {
        done.expired = done.expired.saturating_add(1);
        return None;
    }
    let opened = old.keys.open(&stored.key, &stored.record).and_then(|(name, value)| match &old.user {
        None => Ok((name, value)),
        Some(user) => Ok((user.open_name(&name)?, user.open_value(&name, &value)?)),
    });
    match opened {
        Ok((name, value)) => {
            let ttl_s = u32::try_from(left_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
            Some(Put { space: stored.space, tag: stored.key, name, value, ttl_s })
        }
        Err(fault) => {
            let name = Some(old.name.to_string());
            done.leave(Left { space: stored.space, name, key: Some(stored.key), why: fault.to_string() });
            None
        }
    }
}

/// What became of one record.
enum Became {
    Now,
    Already,
    Kept(Left),
}

async fn store(new: NamespaceHandle, put: Put, overwrite: bool) -> Result<Became, ImportError> {
    let expect = if overwrite { Expect::Any } else { Expect::Absent };
    let options = PutOptions { ttl_s: put.ttl_s, expect };
    let mut tries = 0_usize;
    loop {
        match new.put_with(&put.name, put.value.clone(), options).await {
            Ok(_) => return Ok(Became::Now),
            Err(WriteError::Conflict { .. }) => break,
            Err(WriteError::OutcomeUnknown { .. }) if tries < TRIES => tries = tries.saturating_add(1),
            Err(fault) => return Err(fault.into()),
        }
    }
    match new.get(&put.name).await? {
        Some(found) if found.value == put.value => Ok(Became::Already),
        _ => {
            let why = "the key holds another value in the new cluster, which stays; --overwrite replaces it".into();
            Ok(Became::Kept(Left { space: put.space, name: Some(new.name().into()), key: Some(put.tag), why }))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::snapshot::Snapshot;
    use super::super::snapshot::tests::{record_row, snapshot, space_row};
    use super::*;
    use ringwall_keys::escrow::open_page;
    use ringwall_keys::{HedgedIvs, Keyring, RecordPlace};
    use ringwall_wire::backup::EscrowKey;
    use ringwall_wire::bounded::List;
    use ringwall_wire::ids::{ClientTag, Incarnation, KeyEpoch, UserId};
    use ringwall_wire::secret::Secret;

    /// A namespace of an old cluster with one record in it, as a backup has it, and what its user has.
    struct World {
        keys: KeysEscrow,
        phrase: Phrase,
        user_key: UserKey,
        bytes: Vec<u8>,
    }

    fn world(mode: KeyMode, named: bool, expires_at_ms: u64) -> World {
        let (cluster_id, user) = (ClusterId([1; 32]), UserId([2; 20]));
        let mut entropy = crate::entropy::Entropy;
        let ring = Keyring::found(cluster_id, &mut entropy);
        let mut ivs = HedgedIvs::new(Box::new(entropy), Incarnation(1));
        let (phrase, user_key) = (Phrase::from_entropy(Secret::new([7; 32])), UserKey::from_seed(Secret::new([9; 32])));
        let to = escrow::make(&phrase, &cluster_id, &user);
        let space = ring.space_tag(&user, "notes");
        let dek = ring.new_data_key(&space, mode, KeyEpoch(1), &mut ivs).unwrap();
        let (part, own) = (user_key.part(&cluster_id, &user, "notes"), user_key.space(&cluster_id, &user, "notes"));
        let (keys, commit) = match mode {
            KeyMode::Cluster => (ring.unwrap_space_key(&space, mode, &dek), None),
            KeyMode::Dual => (ring.unwrap_dual_space_key(&space, &dek, &part), Some(commitment(&cluster_id, mode, &part))),
            KeyMode::User => (ring.unwrap_space_key(&space, mode, &dek), Some(own.commitment())),
        };
        let (keys, mut name, mut value) = (keys.unwrap(), b"k".to_vec(), b"v".to_vec());
        if mode == KeyMode::User {
            name = own.seal_name(b"k").unwrap();
            value = own.seal_value(&name, b"v", &mut ivs).unwrap();
        }
        let place = RecordPlace { key: keys.key_tag(&name), client: ClientTag([4; 16]), seq: 5 };
        let record = keys.seal(&place, &name, &value, &mut ivs).unwrap();
        let rows = [space_row(space, mode, commit), record_row(space, place.key, &record, expires_at_ms)];
        let name = named.then(|| Namespace::new("notes").unwrap());
        let escrowed = ringwall_keys::escrow::Escrowed { space, mode, dek, name };
        let page = ring.escrow(&user, &to, &[escrowed], None, &mut entropy).unwrap();
        let keys = KeysEscrow { cluster_id, user, to, index: 3, pages: List::new(vec![page]).unwrap() };
        World { keys, phrase, user_key, bytes: snapshot(9, &rows) }
    }

    /// What is found of the one record, or why its namespace stays behind.
    fn found(world: &World, user_key: Option<&UserKey>, names: &BTreeMap<SpaceTag, Namespace>) -> Result<(Option<Put>, Imported), String> {
        let secrets = escrow::open(&world.phrase, &world.keys).unwrap();
        let anchors = ringwall_sim::anchors();
        let backup = Path::new("none");
        let options = ImportOptions {
            backup,
            anchors: &anchors,
            keys: &world.keys,
            phrase: &world.phrase,
            user_key,
            names,
            only: &[],
            overwrite: false,
        };
        let mut state = Snapshot::open(world.bytes.as_slice()).unwrap();
        let (mut open, mut done) = (None, Imported::default());
        while let Some(item) = state.next().unwrap() {
            match item {
                Item::Space(space) => open = Some(old(&options, &space, &secrets[0])?),
                Item::Record(stored) => return Ok((readable(open.as_ref().unwrap(), &stored, 5_000, &mut done), done)),
                Item::Other => {}
            }
        }
        Err("no record".into())
    }

    #[test]
    fn in_every_mode_what_was_sealed_comes_back() {
        for mode in [KeyMode::Cluster, KeyMode::Dual, KeyMode::User] {
            let world = world(mode, true, 9_000);
            let (put, done) = found(&world, Some(&world.user_key), &BTreeMap::new()).unwrap();
            let put = put.unwrap();
            assert_eq!((put.name.as_slice(), put.value.as_slice(), put.ttl_s), (&b"k"[..], &b"v"[..], 4), "{mode:?}");
            assert_eq!(done, Imported::default());
        }
    }

    #[test]
    fn what_is_missing_is_said_and_what_is_over_is_not_stored() {
        let late = world(KeyMode::Cluster, true, 5_000);
        let (put, done) = found(&late, None, &BTreeMap::new()).unwrap();
        assert!(put.is_none() && done.expired == 1);
        for mode in [KeyMode::Dual, KeyMode::User] {
            let world = world(mode, true, 0);
            assert!(found(&world, None, &BTreeMap::new()).err().unwrap().contains("own key"));
            let other = UserKey::from_seed(Secret::new([8; 32]));
            assert!(found(&world, Some(&other), &BTreeMap::new()).err().unwrap().contains("commitment"));
        }
        let unnamed = world(KeyMode::User, false, 0);
        assert!(found(&unnamed, Some(&unnamed.user_key), &BTreeMap::new()).err().unwrap().contains("--name"));
        let space = *escrow::open(&unnamed.phrase, &unnamed.keys).unwrap()[0].space();
        let wrong = BTreeMap::from([(space, Namespace::new("other").unwrap())]);
        assert!(found(&unnamed, Some(&unnamed.user_key), &wrong).err().unwrap().contains("another name"));
        let right = BTreeMap::from([(space, Namespace::new("notes").unwrap())]);
        assert!(found(&unnamed, Some(&unnamed.user_key), &right).unwrap().0.is_some());
    }

    #[test]
    fn a_record_that_was_altered_is_named_and_the_rest_goes_on() {
        let mut world = world(KeyMode::Cluster, true, 0);
        // The last byte of the record's value: before the end item of 13 bytes.
        let at = world.bytes.len() - 14;
        world.bytes[at] ^= 1;
        let (put, done) = found(&world, None, &BTreeMap::new()).unwrap();
        assert!(put.is_none());
        assert!(matches!(&done.left[..], [Left { key: Some(_), name: Some(name), .. }] if name == "notes"), "{done:?}");
    }

    #[test]
    fn another_phrase_opens_no_keys() {
        let world = world(KeyMode::Cluster, true, 0);
        let other = Phrase::from_entropy(Secret::new([8; 32]));
        assert!(matches!(escrow::open(&other, &world.keys), Err(KeysError::OtherPhrase)));
        let pair = world.phrase.escrow_pair(&world.keys.cluster_id, &world.keys.user);
        let claimed = EscrowKey { kem: other.escrow_pair(&world.keys.cluster_id, &world.keys.user).public(), ..world.keys.to.clone() };
        assert!(
            open_page(&pair, &world.keys.cluster_id, &world.keys.user, &claimed, &world.keys.pages[0]).is_err(),
            "sealed to another key"
        );
    }
}
