//! Answers to other members: what passed the gate is handed to Raft, appends in order, snapshots piece by piece.
//!
//! Decides: one lane of appends for each member keeps their order without waiting for the disk between them; a snapshot is taken in
//! only if its digest is the announced one. Trusts: what the gate let pass. Out of scope: the gate's rules. Protocol section 4.

use crate::defects::{self, Defect};
use crate::disk::authentic::STREAM_BLOCK_BYTES;
use crate::disk::{Disk, DiskFile, write_whole};
use crate::ground::Ground;
use crate::machine::raft::{Machine, SnapshotFile};
use crate::types::{self, StoredMembership, Types, Vote};
use futures_util::{StreamExt, stream};
use openraft::Snapshot;
use openraft::raft::{AppendEntriesRequest, StreamAppendError, TransferLeaderError, TransferLeaderRequest, VoteRequest};
use openraft::storage::SnapshotMeta;
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::DecodeError;
use ringwall_wire::ids::Incarnation;
use ringwall_wire::limits::SLOTS;
use ringwall_wire::peer::{
    AppendAnswer, AppendCall, PeerAnswer, SnapshotChunk, SnapshotHead, TransferAnswer, TransferCall, VoteAnswer, VoteCall,
};
use ringwall_wire::session::{Refusal, RefusalCode};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot};

pub(crate) type Raft = openraft::Raft<Types, Machine>;

/// Appends of one member that may wait: more than an honest one has under way.
const LANE: usize = 64;
/// Appends handed to Raft and not answered yet.
const LANE_WAITING: usize = 32;
/// Bytes of a snapshot; a guard against nonsense, the disk is the limit.
const SNAPSHOT_BYTES: u64 = 1 << 42;

type Queued = (AppendEntriesRequest<Types>, oneshot::Sender<PeerAnswer>);

/// Everything needed to answer.
pub(crate) struct Answerer {
    raft: Raft,
    ground: Ground,
    lanes: Mutex<HashMap<Incarnation, mpsc::Sender<Queued>>>,
    incoming: tokio::sync::Mutex<HashMap<Incarnation, Incoming>>,
    incoming_count: std::sync::atomic::AtomicU64,
}

/// A refusal with a text for people.
pub(crate) fn refuse(code: RefusalCode, detail: impl ToString) -> PeerAnswer {
    let mut detail: String = detail.to_string().chars().filter(|letter| !letter.is_control()).collect();
    while detail.len() > 512 {
        detail.pop();
    }
    PeerAnswer::Refused(Refusal { code, detail: Text::new(detail).unwrap_or_default() })
}

fn malformed(why: DecodeError) -> PeerAnswer {
    refuse(RefusalCode::Malformed, why)
}

impl Answerer {
    pub(crate) fn new(raft: Raft, ground: Ground) -> Self {
        Answerer { raft, ground, lanes: Mutex::default(), incoming: Default::default(), incoming_count: Default::default() }
    }

    pub(crate) fn fenced(&self, why: impl ToString) -> PeerAnswer {
        refuse(RefusalCode::Fenced, self.ground.fence.reason().map_or_else(|| why.to_string(), str::to_owned))
    }

    /// Queues an append behind those that came before, at once.
    pub(crate) fn queue_append(&self, from: Incarnation, call: AppendCall) -> Result<oneshot::Receiver<PeerAnswer>, PeerAnswer> {
        let entries = call.entries.into_vec().into_iter().map(types::entry_in).collect::<Result<Vec<_>, _>>().map_err(malformed)?;
        let mut previous = types::log_ids(&call.previous);
        for entry in &entries {
            let next = previous.map_or(Some(0), |previous| previous.index.checked_add(1));
            if next != Some(entry.log_id.index) || entry.log_id.index == u64::MAX {
                return Err(malformed(DecodeError::Illegal { what: "order of entries" }));
            }
            previous = Some(entry.log_id);
        }
        let rpc = AppendEntriesRequest {
            vote: types::vote(&call.ballot),
            prev_log_id: types::log_ids(&call.previous),
            entries,
            leader_commit: types::log_ids(&call.committed),
        };
        let (reply, answer) = oneshot::channel();
        let mut lanes = self.lanes.lock().expect("nobody panics with the lock held");
        if lanes.len() > 4 * SLOTS {
            lanes.clear(); // Lanes of incarnations that are gone; those in use begin anew.
        }
        let lane = lanes.entry(from).or_insert_with(|| self.open_lane());
        match lane.try_send((rpc, reply)) {
            Ok(()) => Ok(answer),
            Err(mpsc::error::TrySendError::Full(_)) => Err(refuse(RefusalCode::Busy, "too many appends wait")),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                lanes.remove(&from);
                Err(refuse(RefusalCode::Unavailable, "the lane of appends ended"))
            }
        }
    }

    fn open_lane(&self) -> mpsc::Sender<Queued> {
        let (lane, queue) = mpsc::channel(LANE);
        crate::runtime::spawn(run_lane(self.raft.clone(), queue));
        lane
    }

    pub(crate) async fn vote(&self, call: VoteCall, real: bool) -> PeerAnswer {
        let mut rpc = VoteRequest::new(types::vote(&call.ballot), types::log_ids(&call.last));
        rpc.leadership_transfer = call.transfer;
        let grants = !real && defects::on(Defect::GrantsPreVotes);
        let answer = if real { self.raft.vote(rpc).await } else { self.raft.pre_vote(rpc).await };
        match answer {
            Ok(answer) => PeerAnswer::Vote(VoteAnswer {
                ballot: types::ballot(&answer.vote),
                granted: answer.vote_granted || grants,
                last: types::positions(&answer.last_log_id),
            }),
            Err(why) => self.fenced(why),
        }
    }

    pub(crate) async fn transfer(&self, call: TransferCall) -> PeerAnswer {
        let rpc = TransferLeaderRequest::new(types::vote(&call.ballot), call.to, types::log_ids(&call.last));
        PeerAnswer::Transfer(match self.raft.handle_transfer_leader(rpc).await {
            Ok(Ok(())) => TransferAnswer::Accepted,
            Ok(Err(TransferLeaderError::VoteChanged { actual, .. })) => TransferAnswer::VoteChanged(types::ballot(&actual)),
            Ok(Err(TransferLeaderError::LogNotFlushed { actual, .. })) => TransferAnswer::NotFlushed(types::positions(&actual)),
            Err(why) => return self.fenced(why),
        })
    }

    /// Opens a file for a snapshot; one at a time from one member, a new one replaces the old.
    pub(crate) async fn begin_snapshot(&self, from: Incarnation, head: SnapshotHead) -> PeerAnswer {
        if head.bytes > SNAPSHOT_BYTES || head.bytes == 0 {
            return refuse(RefusalCode::TooLarge, format!("a snapshot of {} bytes", head.bytes));
        }
        let members = match types::membership_in(&head.membership) {
            Ok(members) => members,
            Err(why) => return malformed(why),
        };
        let count = self.incoming_count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = self.ground.dir.join(format!("incoming-{count:08}"));
        let file = match self.ground.fence.watch("incoming snapshot", self.ground.create(&path, STREAM_BLOCK_BYTES)) {
            Ok(file) => file,
            Err(why) => return self.fenced(why),
        };
        let membership = StoredMembership::new(types::log_ids(&head.membership_at), members);
        let mut incoming = self.incoming.lock().await;
        if incoming.len() > SLOTS {
            incoming.clear();
        }
        let disk = Arc::clone(&self.ground.disk);
        incoming.insert(from, Incoming { head, membership, disk, file, path, offset: 0, hash: Sha256::new(), keep: false });
        PeerAnswer::Done
    }

    pub(crate) async fn take_snapshot_part(&self, from: Incarnation, chunk: SnapshotChunk) -> PeerAnswer {
        let Some(mut incoming) = self.incoming.lock().await.remove(&from) else {
            return refuse(RefusalCode::Unavailable, "no snapshot was announced, or it was given up");
        };
        let end = incoming.offset + chunk.bytes.len() as u64;
        if chunk.offset != incoming.offset
            || end > incoming.head.bytes
            || chunk.last != (end == incoming.head.bytes)
            || chunk.bytes.is_empty()
        {
            return refuse(RefusalCode::Malformed, "a part of a snapshot out of order");
        }
        let last = chunk.last;
        let written = self.ground.done("incoming snapshot", move || incoming.write(&chunk).map(|()| incoming)).await;
        let incoming = match self.ground.fence.watch("incoming snapshot", written) {
            Ok(incoming) => incoming,
            Err(why) => return self.fenced(why),
        };
        if !last {
            self.incoming.lock().await.insert(from, incoming);
            return PeerAnswer::Done;
        }
        self.install(incoming).await
    }

    async fn install(&self, mut incoming: Incoming) -> PeerAnswer {
        let digest: [u8; 32] = std::mem::take(&mut incoming.hash).finalize().into();
        if digest != incoming.head.digest.0 && !defects::on(Defect::AnySnapshot) {
            return refuse(RefusalCode::Malformed, "a snapshot is not what was announced");
        }
        incoming.keep = true;
        let vote: Vote = types::vote(&incoming.head.ballot);
        let snapshot = Snapshot {
            meta: SnapshotMeta { last_log_id: types::log_ids(&incoming.head.last), last_membership: incoming.membership.clone() },
            snapshot: SnapshotFile {
                file: Arc::clone(&incoming.file),
                path: incoming.path.clone(),
                bytes: incoming.head.bytes,
                digest: incoming.head.digest,
                tree: incoming.head.tree,
                sealed: None,
            },
        };
        match self.raft.install_full_snapshot(vote, snapshot).await {
            Ok(answer) => {
                // Raft may have had no use for it; then the file is still where it was.
                let _ = self.ground.disk.remove(&incoming.path);
                PeerAnswer::Snapshot(types::ballot(&answer.vote))
            }
            Err(why) => self.fenced(why),
        }
    }
}

/// A snapshot on its way in. Its file goes when it is dropped, unless it was taken in.
struct Incoming {
    head: SnapshotHead,
    membership: StoredMembership,
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    offset: u64,
    hash: Sha256,
    keep: bool,
}

impl Incoming {
    fn write(&mut self, chunk: &SnapshotChunk) -> io::Result<()> {
        self.hash.update(&*chunk.bytes);
        write_whole(self.file.as_ref(), self.offset, &chunk.bytes)?;
        self.offset += chunk.bytes.len() as u64;
        match chunk.last {
            true => self.file.sync(),
            false => Ok(()),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.keep {
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// Hands appends to Raft in order and answers them in order. After a refusal Raft ends the stream; the next append begins a new one.
async fn run_lane(raft: Raft, mut queue: mpsc::Receiver<Queued>) {
    while let Some((rpc, reply)) = queue.recv().await {
        let (requests, input) = mpsc::channel(LANE);
        let input = stream::unfold(input, |mut input: mpsc::Receiver<AppendEntriesRequest<Types>>| async move {
            input.recv().await.map(|rpc| (rpc, input))
        });
        let mut answers = std::pin::pin!(raft.stream_append(input));
        let mut waiting = VecDeque::from([reply]);
        let mut open = requests.send(rpc).await.is_ok();
        while open {
            tokio::select! {
                biased;
                queued = queue.recv(), if waiting.len() < LANE_WAITING => match queued {
                    Some((rpc, reply)) => {
                        waiting.push_back(reply);
                        open = requests.send(rpc).await.is_ok();
                    }
                    None => return,
                },
                answer = answers.next() => {
                    let (answer, go_on) = append_answer(answer);
                    open = go_on;
                    if let Some(reply) = waiting.pop_front() {
                        let _ = reply.send(answer);
                    }
                }
            }
        }
        for reply in waiting {
            let _ = reply.send(refuse(RefusalCode::Unavailable, "an append before this one failed"));
        }
    }
}

type Streamed = Option<Result<openraft::raft::StreamAppendResult<Types>, openraft::errors::Fatal<Types>>>;

/// What to answer, and whether the stream goes on.
fn append_answer(answer: Streamed) -> (PeerAnswer, bool) {
    match answer {
        Some(Ok(Ok(_))) => (PeerAnswer::Append(AppendAnswer::Success), true),
        Some(Ok(Err(StreamAppendError::Conflict(_)))) => (PeerAnswer::Append(AppendAnswer::Conflict), false),
        Some(Ok(Err(StreamAppendError::HigherVote(vote)))) => (PeerAnswer::Append(AppendAnswer::HigherVote(types::ballot(&vote))), false),
        Some(Err(why)) => (refuse(RefusalCode::Fenced, why), false),
        None => (refuse(RefusalCode::Fenced, "Raft has ended"), false),
    }
}
