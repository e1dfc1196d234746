//! Backups: snapshots of this member, signed and handed out in parts.
//!
//! Decides: whoever the operator named in this node's configuration may fetch the state, sealed as it is: the operator has the same bytes on the disk and could
//! hand those out, so the list gives away nothing that was not the operator's to give; strangers and users who are not named learn nothing.
//! One snapshot in [`BACKUP_PAUSE`], [`BACKUPS_HELD`] held at once for [`BACKUP_IDLE`], [`BACKUP_READS`] read at a time. What is signed is a receipt head whose
//! group is the snapshot's digest, as of the snapshot's own index.
//! Trusts: the replica. Out of scope: making snapshots (`consensus`), judging them (`client`). Protocol section 9.1.

use crate::clock;
use crate::front::Front;
use crate::front::limits::{BACKUP_IDLE, BACKUP_LOOK, BACKUP_PATIENCE, BACKUP_PAUSE, BACKUP_READS, BACKUP_STEP, BACKUPS_HELD};
use crate::front::refusals::{fenced, refusal, unavailable};
use ringwall_consensus::{HeldSnapshot, Replica};
use ringwall_wire::backup::{BackupAsk, BackupHead, BackupPlace, BackupTold};
use ringwall_wire::bounded::Blob;
use ringwall_wire::ids::{Signature, UserId};
use ringwall_wire::limits::BACKUP_PART_BYTES;
use ringwall_wire::receipt::{ReceiptHead, TreeHead, landmark_of};
use ringwall_wire::request::Answer;
use ringwall_wire::session::{Refusal, RefusalCode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// Snapshots that are being fetched from this member.
#[derive(Debug)]
pub(crate) struct Backups {
    allowed: Vec<UserId>,
    reads: Semaphore,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The oldest first.
    held: Vec<Held>,
    /// When one was made last because somebody asked.
    made: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Held {
    used: Instant,
    head: BackupHead,
    snapshot: HeldSnapshot,
}

impl Backups {
    /// Nothing is held yet; these users may ask.
    pub(crate) fn new(allowed: Vec<UserId>) -> Self {
        Backups { allowed, reads: Semaphore::new(BACKUP_READS), kept: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held of this index.
    fn find(&self, wanted: impl Fn(&BackupHead) -> bool) -> Option<Held> {
        let now = clock::now();
        let mut kept = self.lock();
        let held = kept.held.iter_mut().find(|held| wanted(&held.head))?;
        held.used = now;
        Some(held.clone())
    }

    fn keep(&self, held: Held) {
        let mut kept = self.lock();
        kept.held.push(held);
        let above = kept.held.len().saturating_sub(BACKUPS_HELD);
        kept.held.drain(..above);
    }

    /// Whether a snapshot may be made now for somebody who asks; notes it.
    fn may_make(&self) -> bool {
        let now = clock::now();
        let mut kept = self.lock();
        let may = kept.made.is_none_or(|made| now.saturating_duration_since(made) >= BACKUP_PAUSE);
        if may {
            kept.made = Some(now);
        }
        may
    }

    /// Lets go of what nobody fetches any more, for as long as the member serves.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            sleep(BACKUP_LOOK).await;
            let now = clock::now();
            self.lock().held.retain(|held| now.saturating_duration_since(held.used) < BACKUP_IDLE);
        }
    }
}

/// Answers a user who backs the cluster up.
pub(crate) async fn answer(front: &Front, user: &UserId, ask: BackupAsk) -> Answer {
    let told = match (front.backups.allowed.contains(user), ask) {
        (false, _) => Err(refusal(
            RefusalCode::NotAuthorized,
            "this user may not back the cluster up here; its operator names who may, in the node's configuration (backup.users)",
        )),
        (true, BackupAsk::Begin(from)) => begin(front, from).await,
        (true, BackupAsk::Part(place)) => part(front, &place).await,
    };
    told.map_or_else(Answer::Refused, |told| Answer::Backup(Box::new(told)))
}

/// A snapshot of the state as of `from` or later, once there is one.
async fn begin(front: &Front, from: Option<u64>) -> Result<BackupTold, Refusal> {
    let index = match from {
        Some(index) if index <= front.replica.applied() => index,
        _ => {
            front.reads.barrier().await?;
            front.replica.applied()
        }
    };
    let until = clock::now() + BACKUP_PATIENCE;
    loop {
        if let Some(snapshot) = reached(&front.replica, index)? {
            return ready(front, snapshot).map(|head| BackupTold::Ready(Box::new(head)));
        }
        if front.backups.may_make() {
            front.replica.make_snapshot().await.map_err(|_| fenced())?;
        }
        if clock::now() >= until {
            return Ok(BackupTold::Making(index));
        }
        sleep(BACKUP_STEP).await;
    }
}

fn reached(replica: &Replica, index: u64) -> Result<Option<HeldSnapshot>, Refusal> {
    let newest = replica.newest_snapshot().map_err(|_| fenced())?;
    Ok(newest.filter(|snapshot| snapshot.applied().index >= index))
}

/// Holds a snapshot and signs for it, once for all who fetch it.
fn ready(front: &Front, snapshot: HeldSnapshot) -> Result<BackupHead, Refusal> {
    let (applied, state) = (snapshot.applied(), snapshot.digest());
    if let Some(held) = front.backups.find(|head| (head.head.index, head.state) == (applied.index, state)) {
        return Ok(held.head);
    }
    let (tree, bytes) = (snapshot.tree(), snapshot.bytes());
    let view = front.replica.view().map_err(|_| fenced())?;
    let landmark = view.tree_at(landmark_of(tree.size)).map_err(|_| fenced())?.ok_or_else(unavailable)?;
    let mut head = ReceiptHead {
        cluster_id: front.cluster_id,
        epoch: front.epoch,
        index: applied.index,
        term: applied.term,
        tree: TreeHead { size: tree.size, root: tree.root, landmark: landmark.root },
        group: BackupHead::group(&front.cluster_id, bytes, &state),
        incarnation: front.incarnation,
        signature: Signature([0; 64]),
    };
    head.signature = front.secrets.sign(&head.words());
    let head = BackupHead { head, bytes, state };
    front.backups.keep(Held { used: clock::now(), head: head.clone(), snapshot });
    Ok(head)
}

async fn part(front: &Front, place: &BackupPlace) -> Result<BackupTold, Refusal> {
    let held = front.backups.find(|head| (head.head.index, head.state) == (place.index, place.state)).map(|held| held.snapshot);
    // A member that was not asked to begin may have the very same snapshot.
    let same = |snapshot: &HeldSnapshot| (snapshot.applied().index, snapshot.digest()) == (place.index, place.state);
    let snapshot = match held {
        Some(held) => held,
        None => match front.replica.newest_snapshot().map_err(|_| fenced())?.filter(same) {
            Some(snapshot) => snapshot,
            None => return Ok(BackupTold::Gone),
        },
    };
    if place.offset >= snapshot.bytes() {
        return Err(refusal(RefusalCode::Malformed, "the snapshot ends before the part that is asked for"));
    }
    let _turn = front.backups.reads.acquire().await.map_err(|_| fenced())?;
    let bytes = snapshot.part(place.offset, BACKUP_PART_BYTES).await.map_err(|_| fenced())?;
    Blob::new(bytes).map(BackupTold::Part).map_err(|_| unavailable())
}
