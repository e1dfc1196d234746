//! The state machine as Raft sees it: apply, snapshot, install; and as readers see it: views, progress, marks.
//!
//! Decides: when readers see what was applied (before any client is told of it), and that snapshots are written beside the commit
//! path from a moment held still. Trusts: Raft to apply each entry once, in order.
//! Out of scope: what commands do (`state`). Protocol sections 4 and 5.

use crate::charter::Charter;
use crate::disk::DiskFile;
use crate::disk::authentic::STREAM_BLOCK_BYTES;
use crate::disk::flow::Flow;
use crate::ground::Ground;
use crate::machine::base::Base;
use crate::machine::expected::Expected;
use crate::machine::history::History;
use crate::machine::policy::Governed;
use crate::machine::replicated::ReplicatedState;
use crate::machine::snapshot::{self, Capture, Restored};
use crate::machine::store::Store;
use crate::machine::view::{Published, View};
use crate::report::Progress;
use crate::seal::{seal_path, seal_snapshot};
use crate::types::{self, Answers, EntryPayload, LogId, StoredMembership, Types};
use crate::watch;
use futures_util::{Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::{OptionalSend, Snapshot};
use ringwall_wire::ids::{Digest, KeyEpoch};
use ringwall_wire::receipt::TreePoint;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

/// Entries, or bytes of them, after which readers are shown what was applied.
const UNIT_ENTRIES: usize = 256;
const UNIT_BYTES: usize = 8 * 1024 * 1024;
/// Marks remembered.
const MARKS: usize = 16;

/// A finished snapshot; open, so that it can be read after it was replaced.
#[derive(Clone)]
pub(crate) struct SnapshotFile {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) digest: Digest,
    pub(crate) tree: TreePoint,
    /// Generation its seal is under; none where it has no seal, or none yet.
    pub(crate) sealed: Option<KeyEpoch>,
}

impl fmt::Debug for SnapshotFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SnapshotFile({}, {} bytes)", self.path.display(), self.bytes)
    }
}

type Meta = SnapshotMetaOf<Types>;

/// What readers share with the state machine.
pub(crate) struct Readers {
    ground: Ground,
    store: Store,
    published: RwLock<Published>,
    history: RwLock<Arc<RwLock<History>>>,
    pub(crate) progress: watch::Sender<Progress>,
    /// What governs, for whoever wants to be told when that changes.
    pub(crate) governed: watch::Sender<Arc<Governed>>,
    /// Digests of marked states by index: none while it is being computed.
    marks: Mutex<BTreeMap<u64, Option<Digest>>>,
    pub(crate) marked: watch::Sender<()>,
    current: Mutex<Option<(Meta, SnapshotFile)>>,
    pub(crate) expected: Expected,
}

/// The state machine.
pub(crate) struct Machine {
    state: ReplicatedState,
    ground: Ground,
    readers: Arc<Readers>,
    installed: u64,
}

impl Readers {
    /// A look at what is published.
    pub(crate) fn view(&self) -> View {
        let published = self.published.read().expect("nobody panics with the lock held");
        let history = Arc::clone(&self.history.read().expect("nobody panics with the lock held"));
        View { published: published.clone(), rows: self.store.snapshot(), history }
    }

    /// What is published, without its rows.
    pub(crate) fn published(&self) -> Published {
        self.published.read().expect("nobody panics with the lock held").clone()
    }

    /// The group's time that is published, Unix milliseconds.
    pub(crate) fn time_ms(&self) -> u64 {
        self.published.read().expect("nobody panics with the lock held").time_ms
    }

    /// The newest snapshot and the last entry it holds.
    pub(crate) fn current_snapshot(&self) -> Option<(Option<LogId>, SnapshotFile)> {
        let current = self.current.lock().expect("nobody panics with the lock held");
        current.as_ref().map(|(meta, file)| (meta.last_log_id, file.clone()))
    }

    /// Outer none: not marked, or forgotten. Inner none: being computed.
    pub(crate) fn mark(&self, index: u64) -> Option<Option<Digest>> {
        self.marks.lock().expect("nobody panics with the lock held").get(&index).copied()
    }

    fn set_mark(&self, index: u64, digest: Option<Digest>) {
        let mut marks = self.marks.lock().expect("nobody panics with the lock held");
        marks.insert(index, digest);
        while marks.len() > MARKS {
            marks.pop_first();
        }
        drop(marks);
        self.marked.send_replace(());
    }

    fn publish(&self, state: &ReplicatedState) {
        let mut published = self.published.write().expect("nobody panics with the lock held");
        state.store.publish();
        self.tell(&mut published, state);
    }

    /// Shows readers another state, rows and all, in one step.
    fn swap(&self, state: &ReplicatedState, base: Base) -> io::Result<()> {
        let mut published = self.published.write().expect("nobody panics with the lock held");
        state.store.adopt(base)?;
        state.store.publish();
        *self.history.write().expect("nobody panics with the lock held") = Arc::clone(&state.history);
        self.tell(&mut published, state);
        Ok(())
    }

    fn tell(&self, published: &mut Published, state: &ReplicatedState) {
        let next = state.published();
        if let Some(what) = published.goes_back(&next) {
            // Nothing is shown of it: whoever asks finds the fence.
            return self.ground.fence.raise(format!("{what} of the state would go back, which IN10 forbids"));
        }
        let changed = published.governed != next.governed;
        *published = next;
        if changed {
            self.governed.send_replace(Arc::clone(&published.governed));
        }
        self.progress.send_replace(Progress { applied: published.applied, revision: published.revision });
    }

    /// Seals the current snapshot anew where its seal is under another generation than this one: a snapshot outlives the key it was sealed under, and a
    /// recovery has no keys but those that are alive. Nothing takes the snapshot's place meanwhile.
    pub(crate) fn seal_anew(&self, key_epoch: KeyEpoch) -> io::Result<()> {
        let mut current = self.current.lock().expect("nobody panics with the lock held");
        let Some((meta, file)) = current.as_mut().filter(|(_, file)| file.sealed.is_some_and(|sealed| sealed != key_epoch)) else {
            return Ok(());
        };
        file.sealed = seal_snapshot(&self.ground, &file.path, types::positions(&meta.last_log_id), file.bytes, file.digest)?;
        Ok(())
    }

    /// Makes `file` the current snapshot and removes the one before.
    fn keep(&self, meta: Meta, file: SnapshotFile) {
        let mut current = self.current.lock().expect("nobody panics with the lock held");
        let newer = current.as_ref().is_none_or(|(old, _)| old.last_log_id < meta.last_log_id);
        let old = match newer {
            true => current.replace((meta, file)),
            false => Some((meta, file)).filter(|(_, file)| current.as_ref().is_some_and(|(_, kept)| kept.path != file.path)),
        };
        let kept = current.as_ref().map(|(_, file)| file.path.clone());
        let Some((_, old)) = old.filter(|(_, old)| Some(&old.path) != kept.as_ref()) else { return };
        if let Err(why) = self.ground.disk.remove(&old.path) {
            tracing::warn!(%why, path = %old.path.display(), "an old snapshot stays");
        }
        if self.ground.sealing.is_some()
            && let Err(why) = self.ground.disk.remove(&seal_path(&old.path))
        {
            tracing::warn!(%why, path = %old.path.display(), "the seal of an old snapshot stays");
        }
    }
}

impl Machine {
    /// The state machine before the first entry.
    pub(crate) fn create(ground: Ground, overlay_bytes: usize, charter: Charter) -> io::Result<(Self, Arc<Readers>)> {
        let store = Store::create(ground.clone(), overlay_bytes)?;
        let state = ReplicatedState::new(store.clone(), charter);
        let readers = Arc::new(Readers {
            ground: ground.clone(),
            store,
            published: RwLock::new(state.published()),
            history: RwLock::new(Arc::clone(&state.history)),
            progress: watch::Sender::new(Progress::default()),
            governed: watch::Sender::new(Arc::clone(&state.governed)),
            marks: Mutex::default(),
            marked: watch::Sender::new(()),
            current: Mutex::default(),
            expected: Expected::default(),
        });
        let machine = Machine { state, ground, readers: Arc::clone(&readers), installed: 0 };
        Ok((machine, readers))
    }

    /// Holds the state still as it is now.
    pub(crate) fn capture(&self) -> Capture {
        Capture::of(&self.state)
    }

    async fn apply_all<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut told: Vec<(ApplyResponder<Types>, Answers)> = Vec::new();
        let (mut unit_entries, mut unit_bytes) = (0, 0);
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let effect = self.state.apply(&entry)?;
            self.readers.expected.met(&self.state.tree)?;
            if let Some(responder) = responder {
                told.push((responder, Answers(effect.outcomes)));
            }
            unit_entries += 1;
            unit_bytes += match &entry.payload {
                EntryPayload::Normal(bytes) => bytes.0.len(),
                _ => 0,
            };
            if effect.mark {
                self.readers.set_mark(entry.log_id.index, None); // Before anybody can see that the entry is applied.
            }
            if effect.mark || unit_entries >= UNIT_ENTRIES || unit_bytes >= UNIT_BYTES {
                self.show(&mut told).await?;
                (unit_entries, unit_bytes) = (0, 0);
            }
            if effect.mark {
                self.remember_mark(entry.log_id.index);
            }
        }
        self.show(&mut told).await
    }

    /// Shows readers what was applied, tells the clients, and waits if memory is full.
    async fn show(&mut self, told: &mut Vec<(ApplyResponder<Types>, Answers)>) -> io::Result<()> {
        self.readers.publish(&self.state);
        for (responder, answers) in told.drain(..) {
            responder.send(answers);
        }
        self.state.store.wait_for_room().await
    }

    /// Computes the digest of the state as it is now, beside the commit path.
    fn remember_mark(&self, index: u64) {
        let capture = Capture::of(&self.state);
        let readers = Arc::clone(&self.readers);
        let fence = self.ground.fence.clone();
        let work = move || {
            if let Ok(digest) = fence.watch("digest of the state", capture.digest()) {
                readers.set_mark(index, Some(digest));
            }
        };
        self.ground.workers.soon("mark", Box::new(work));
    }

    /// Puts a state that was read in the place of this one, in one step.
    fn adopt(&mut self, restored: Restored, membership: StoredMembership, base: Base) -> io::Result<()> {
        self.state.applied = types::log_ids(&restored.meta.applied);
        self.state.membership = membership;
        self.state.revision = restored.meta.revision;
        self.state.time_ms = restored.meta.time_ms;
        self.state.roster = Arc::new(restored.roster);
        self.state.generations = Arc::new(restored.generations);
        self.state.custody = Arc::new(restored.custody);
        self.state.governed = Arc::new(restored.governed);
        self.state.clients = restored.clients;
        self.state.tree = restored.tree;
        self.readers.expected.met(&self.state.tree)?;
        self.state.history = Arc::new(RwLock::new(restored.history));
        self.readers.swap(&self.state, base)
    }

    /// The state before anything is applied here: that of a snapshot whose digest was compared.
    pub(crate) async fn begin_from(&mut self, file: Arc<dyn DiskFile>) -> io::Result<()> {
        self.installed += 1;
        let (store, name, founding) = (self.state.store.clone(), self.installed, self.state.charter.policy.clone());
        let prepare = move || store.prepare(name, |base| snapshot::read(Flow::of(file), base, founding));
        let (base, restored) = self.ground.done("begin", prepare).await?;
        let membership = membership_of(&restored)?;
        self.adopt(restored, membership, base)
    }

    /// Applies entries that a disk holds, for nobody who waits.
    pub(crate) async fn replay(&mut self, entries: &[types::Entry]) -> io::Result<()> {
        for unit in entries.chunks(UNIT_ENTRIES) {
            unit.iter().try_for_each(|entry| self.state.apply(entry).map(|_| ()))?;
            self.state.store.publish();
            self.state.store.wait_for_room().await?;
        }
        Ok(())
    }

    /// The state, for whoever recovers.
    pub(crate) fn replicated(&mut self) -> &mut ReplicatedState {
        &mut self.state
    }

    /// Shows readers the state as it is.
    pub(crate) fn publish(&self) {
        self.readers.publish(&self.state);
    }

    /// Replaces the state by that of a snapshot whose digest was compared.
    async fn install(&mut self, meta: &Meta, snapshot: &SnapshotFile) -> io::Result<()> {
        self.installed += 1;
        let (store, name, file) = (self.state.store.clone(), self.installed, Arc::clone(&snapshot.file));
        let founding = self.state.charter.policy.clone();
        let prepare = move || store.prepare(name, |base| snapshot::read(Flow::of(file), base, founding));
        let (base, restored) = self.ground.done("install", prepare).await?;
        let applied = types::log_ids(&restored.meta.applied);
        let membership = membership_of(&restored)?;
        if applied != meta.last_log_id || membership != meta.last_membership || restored.tree.point() != snapshot.tree {
            return Err(io::Error::other("a snapshot is not what its announcement says"));
        }
        self.adopt(restored, membership, base)?;
        let path = snapshot_path(&self.ground.dir, applied);
        let sealed = seal_snapshot(&self.ground, &path, types::positions(&applied), snapshot.bytes, snapshot.digest)?;
        self.ground.disk.rename(&snapshot.path, &path)?;
        self.readers.keep(meta.clone(), SnapshotFile { path, sealed, ..snapshot.clone() });
        Ok(())
    }
}

fn membership_of(restored: &Restored) -> io::Result<StoredMembership> {
    let members = types::membership_in(&restored.meta.membership).map_err(io::Error::other)?;
    Ok(StoredMembership::new(types::log_ids(&restored.meta.membership_at), members))
}

fn snapshot_path(dir: &Path, applied: Option<LogId>) -> PathBuf {
    dir.join(format!("snapshot-{:016}", applied.map_or(0, |applied| applied.index)))
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.state.applied, self.state.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let result = self.apply_all(entries).await;
        self.ground.fence.watch("apply", result)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            capture: Some(Capture::of(&self.state)),
            store: self.state.store.clone(),
            ground: self.ground.clone(),
            readers: Arc::clone(&self.readers),
        }
    }

    async fn install_snapshot(&mut self, meta: &Meta, snapshot: SnapshotFile) -> io::Result<()> {
        let result = self.install(meta, &snapshot).await;
        self.ground.fence.watch("snapshot install", result)
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, SnapshotFile>>> {
        let current = self.readers.current.lock().expect("nobody panics with the lock held");
        Ok(current.clone().map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// Writes one snapshot.
pub(crate) struct Builder {
    capture: Option<Capture>,
    store: Store,
    ground: Ground,
    readers: Arc<Readers>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, SnapshotFile>> {
        let capture = self.capture.take().ok_or_else(|| io::Error::other("a builder builds once"))?;
        let (store, ground, readers) = (self.store.clone(), self.ground.clone(), Arc::clone(&self.readers));
        let built = self.ground.done("snapshot", move || {
            let built = build(&capture, &ground)?;
            readers.keep(built.meta.clone(), built.snapshot.clone());
            store.sync_base()?;
            Ok(built)
        });
        self.ground.fence.watch("snapshot", built.await)
    }
}

/// Temporary file, fsync, rename, fsync of the folder.
pub(crate) fn build(capture: &Capture, ground: &Ground) -> io::Result<SnapshotOf<Types, SnapshotFile>> {
    let path = snapshot_path(&ground.dir, capture.applied);
    let temporary = path.with_extension("tmp");
    let file = ground.create(&temporary, STREAM_BLOCK_BYTES)?;
    let (bytes, digest) = capture.write(Flow::of(Arc::clone(&file)))?;
    file.sync()?;
    let sealed = seal_snapshot(ground, &path, types::positions(&capture.applied), bytes, digest)?;
    ground.disk.rename(&temporary, &path)?;
    let meta = Meta { last_log_id: capture.applied, last_membership: capture.membership.clone() };
    Ok(Snapshot { meta, snapshot: SnapshotFile { file, path, bytes, digest, tree: capture.tree(), sealed } })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::types::Entry;
    use ringwall_wire::ids::ClusterId;
    use ringwall_wire::peer::LogPosition;

    struct Place {
        machine: Machine,
        readers: Arc<Readers>,
        _dir: tempfile::TempDir,
    }

    /// A machine that has applied so many entries and shows them.
    fn place(entries: u64) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let charter = Charter::plain(ClusterId([9; 32]));
        let (mut machine, readers) = Machine::create(Ground::real(dir.path()), 1 << 20, charter).unwrap();
        for index in 0..entries {
            let log_id = types::log_id(&LogPosition { term: 1, index });
            machine.state.apply(&Entry { log_id, payload: EntryPayload::Blank }).unwrap();
        }
        readers.publish(&machine.state);
        Place { machine, readers, _dir: dir }
    }

    #[tokio::test]
    async fn a_state_that_went_back_is_not_shown_and_fences() {
        let Place { machine, readers, _dir } = place(4);
        readers.published.write().unwrap().term = 2;
        readers.publish(&machine.state);
        assert_eq!(readers.published().term, 2, "nothing of it is shown");
        assert!(machine.ground.fence.reason().unwrap().contains("the term of the state would go back, which IN10 forbids"));
    }

    #[tokio::test]
    async fn a_snapshot_that_is_not_what_its_leader_said_is_not_taken_in() {
        let from = place(4);
        let Snapshot { meta, snapshot } = build(&from.machine.capture(), &from.machine.ground).unwrap();
        let other_root = TreePoint { root: Digest([1; 32]), ..snapshot.tree };
        let elsewhere = Some(types::log_id(&LogPosition { term: 1, index: 2 }));
        let refused = |meta: Meta, file: SnapshotFile, announced: Option<TreePoint>| async move {
            let Place { mut machine, readers, _dir } = place(1);
            if let Some(tree) = announced {
                readers.expected.compare(&tree, || readers.view()).unwrap();
            }
            let outcome = machine.install_snapshot(&meta, file).await;
            assert_eq!(readers.published().applied, if outcome.is_ok() { 3 } else { 0 });
            assert_eq!(machine.ground.fence.reason().is_some(), outcome.is_err());
            outcome.err().map(|why| why.to_string())
        };
        let announcement = Some("a snapshot is not what its announcement says".to_owned());
        let lied = SnapshotFile { tree: other_root, ..snapshot.clone() };
        assert_eq!(refused(meta.clone(), lied, None).await, announcement, "the tree");
        let older = Meta { last_log_id: elsewhere, ..meta.clone() };
        assert_eq!(refused(older, snapshot.clone(), None).await, announcement, "the last entry");
        let members = meta.last_membership.membership().clone();
        let moved = Meta { last_membership: StoredMembership::new(elsewhere, members), ..meta.clone() };
        assert_eq!(refused(moved, snapshot.clone(), None).await, announcement, "the membership");
        // RC4: another leader had said another root of this size.
        let why = refused(meta.clone(), snapshot.clone(), Some(other_root)).await;
        assert!(why.is_some_and(|why| why.contains("has another root here")));
        assert_eq!(refused(meta, snapshot.clone(), Some(snapshot.tree)).await, None);
    }
}
