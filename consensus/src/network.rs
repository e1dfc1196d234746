//! Raft's network over our transport: one call, one answer, appends pipelined.
//!
//! Decides: how Raft's requests are spelled on the wire, how many appends may be under way, and which failures are worth an immediate
//! retry. Pre-vote is a real question: an answer that does not come grants nothing.
//! Trusts: nothing in an answer beyond its meaning to Raft. Out of scope: sessions (`node`). Protocol section 4.

use crate::disk::read_exact;
use crate::ground::Ground;
use crate::machine::raft::{Readers, SnapshotFile};
use crate::transport::{Class, Transport, TransportError};
use crate::types::{self, Types, Vote};
use futures_util::{Stream, StreamExt, future, stream};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;
use openraft::{OptionalSend, Snapshot};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::ids::Incarnation;
use ringwall_wire::limits::SNAPSHOT_CHUNK_BYTES;
use ringwall_wire::peer::{
    AppendAnswer, AppendCall, Member, PeerAnswer, PeerCall, SnapshotChunk, SnapshotHead, TransferAnswer, TransferCall, VoteCall,
};
use ringwall_wire::receipt::{TreeHead, TreePoint, landmark_of};
use std::sync::Arc;
use std::time::Duration;

/// Appends under way to one member: enough to fill a long line, few enough to bound what both sides hold.
const APPENDS_IN_FLIGHT: usize = 16;
/// Milliseconds between tries to reach a member that cannot be reached.
const RETRY_MS: u64 = 100;

/// Makes a network for each member.
#[derive(Clone)]
pub(crate) struct Factory {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) timeout: Duration,
    pub(crate) ground: Ground,
    pub(crate) readers: Arc<Readers>,
}

/// The way to one member.
pub(crate) struct Network {
    to: Incarnation,
    member: Member,
    transport: Arc<dyn Transport>,
    timeout: Duration,
    appends: Class,
    ground: Ground,
    readers: Arc<Readers>,
}

impl Factory {
    fn network(&self, to: Incarnation, member: &Member, appends: Class) -> Network {
        Network {
            to,
            member: member.clone(),
            transport: Arc::clone(&self.transport),
            timeout: self.timeout,
            appends,
            ground: self.ground.clone(),
            readers: Arc::clone(&self.readers),
        }
    }
}

impl RaftNetworkFactory<Types> for Factory {
    type Network = Network;

    async fn new_client(&mut self, target: Incarnation, node: &Member) -> Network {
        self.network(target, node, Class::Append)
    }

    async fn new_heartbeat_client(&mut self, target: Incarnation, node: &Member) -> Network {
        // Not behind megabytes of entries.
        self.network(target, node, Class::Control)
    }
}

fn failed(why: TransportError) -> RPCError<Types> {
    match why {
        TransportError::Unreachable { .. } => Unreachable::from_string(why).into(),
        TransportError::Timeout { .. } => NetworkError::from_string(why).into(),
    }
}

fn unexpected(answer: PeerAnswer) -> RPCError<Types> {
    match answer {
        PeerAnswer::Refused(refusal) => Unreachable::from_string(format!("refused: {}", &*refusal.detail)).into(),
        _ => Unreachable::from_string("an answer to another question").into(),
    }
}

impl Network {
    fn call(&self, class: Class, call: PeerCall, timeout: Duration) -> crate::transport::BoxFuture<Result<PeerAnswer, RPCError<Types>>> {
        let answer = self.transport.call(self.to, &self.member, class, call, timeout);
        Box::pin(async move { answer.await.map_err(failed) })
    }

    async fn ask_vote(&self, rpc: VoteRequest<Types>, option: RPCOption, real: bool) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let call =
            VoteCall { ballot: types::ballot(&rpc.vote), last: types::positions(&rpc.last_log_id), transfer: rpc.leadership_transfer };
        let call = if real { PeerCall::Vote(call) } else { PeerCall::PreVote(call) };
        match self.call(Class::Control, call, option.hard_ttl()).await? {
            PeerAnswer::Vote(answer) => Ok(VoteResponse::new(types::vote(&answer.ballot), types::log_ids(&answer.last), answer.granted)),
            other => Err(unexpected(other)),
        }
    }

    /// Sends one append now; its answer may be awaited later.
    fn send_append(
        &self,
        rpc: AppendEntriesRequest<Types>,
    ) -> impl Future<Output = Result<StreamAppendResult<Types>, RPCError<Types>>> + 'static {
        let previous = rpc.prev_log_id;
        let last = rpc.entries.last().map(|entry| entry.log_id).or(previous);
        let tree = self.tree_for(last.map_or(0, |last| last.index + 1), !rpc.entries.is_empty());
        let sent = append_call(rpc, tree).map(|call| self.call(self.appends, call, self.timeout));
        async move {
            match sent?.await? {
                PeerAnswer::Append(AppendAnswer::Success) => Ok(Ok(last)),
                PeerAnswer::Append(AppendAnswer::Partial(at)) => Ok(Ok(types::log_ids(&at))),
                PeerAnswer::Append(AppendAnswer::HigherVote(ballot)) => Ok(Err(StreamAppendError::HigherVote(types::vote(&ballot)))),
                PeerAnswer::Append(AppendAnswer::Conflict) => match previous {
                    Some(previous) => Ok(Err(StreamAppendError::Conflict(previous))),
                    None => Err(Unreachable::from_string("a conflict before the first entry").into()),
                },
                other => Err(unexpected(other)),
            }
        }
    }

    /// The log tree that goes with an append whose receiver will have `through` entries: the applied one, or an earlier one for a member that lags.
    fn tree_for(&self, through: u64, entries: bool) -> Option<TreePoint> {
        let TreeHead { size, root, .. } = self.readers.published().tree.head;
        match through {
            0 => None,
            through if through >= size => Some(TreePoint { size, root }).filter(|_| size > 0),
            through if entries => {
                let view = self.readers.view();
                let exact = view.tree_at(through).ok().flatten();
                exact.or_else(|| view.tree_at(landmark_of(through)).ok().flatten())
            }
            _ => None,
        }
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotOf<Types, SnapshotFile>,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let Snapshot { meta, snapshot } = snapshot;
        let membership = types::membership_out(meta.last_membership.membership()).map_err(Unreachable::from_string)?;
        let head = SnapshotHead {
            ballot: types::ballot(&vote),
            last: types::positions(&meta.last_log_id),
            membership_at: types::positions(meta.last_membership.log_id()),
            membership,
            bytes: snapshot.bytes,
            digest: snapshot.digest,
            tree: snapshot.tree,
        };
        match self.call(Class::Bulk, PeerCall::SnapshotBegin(head), self.timeout).await? {
            PeerAnswer::Done => {}
            PeerAnswer::Snapshot(ballot) => return Ok(SnapshotResponse::new(types::vote(&ballot))),
            other => return Err(unexpected(other).into()),
        }
        let mut offset = 0;
        while offset < snapshot.bytes {
            let chunk = read_chunk(&self.ground, &snapshot, offset).await?;
            offset += chunk.bytes.len() as u64;
            // The last part is answered when the snapshot is installed.
            let timeout = if chunk.last { Duration::from_secs(600) } else { self.timeout };
            match self.call(Class::Bulk, PeerCall::SnapshotPart(chunk), timeout).await? {
                PeerAnswer::Done => {}
                PeerAnswer::Snapshot(ballot) => return Ok(SnapshotResponse::new(types::vote(&ballot))),
                other => return Err(unexpected(other).into()),
            }
        }
        Err(NetworkError::from_string("the last part was not acknowledged as such").into())
    }
}

fn append_call(rpc: AppendEntriesRequest<Types>, tree: Option<TreePoint>) -> Result<PeerCall, RPCError<Types>> {
    let entries = rpc.entries.iter().map(types::entry_out).collect::<Result<Vec<_>, _>>();
    let entries = entries.and_then(List::new).map_err(Unreachable::from_string)?;
    Ok(PeerCall::Append(AppendCall {
        ballot: types::ballot(&rpc.vote),
        previous: types::positions(&rpc.prev_log_id),
        entries,
        committed: types::positions(&rpc.leader_commit),
        tree,
    }))
}

async fn read_chunk(ground: &Ground, snapshot: &SnapshotFile, offset: u64) -> Result<SnapshotChunk, StreamingError<Types>> {
    let len = (snapshot.bytes - offset).min(SNAPSHOT_CHUNK_BYTES as u64);
    let file = Arc::clone(&snapshot.file);
    let read = ground.done("snapshot part", move || {
        let mut bytes = vec![0; len as usize];
        read_exact(file.as_ref(), offset, &mut bytes).map(|()| bytes)
    });
    let bytes = ground.fence.watch("snapshot", read.await).map_err(NetworkError::from_string)?;
    let bytes = Blob::new(bytes).map_err(NetworkError::from_string)?;
    Ok(SnapshotChunk { offset, bytes, last: offset + len == snapshot.bytes })
}

impl RaftNetworkV2<Types> for Network {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Ok(self.send_append(rpc).await?.into())
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let this: &'s Network = self;
        let answers = input.map(|rpc| this.send_append(rpc)).buffered(APPENDS_IN_FLIGHT);
        // Whatever comes after a failure would have to be sent again: the stream ends there.
        let answers = stream::unfold(Some(Box::pin(answers)), |answers| async move {
            let mut answers = answers?;
            let answer = answers.next().await?;
            let go_on = matches!(answer, Ok(Ok(_)));
            Some((answer, go_on.then_some(answers)))
        });
        let answers: BoxStream<'s, _> = Box::pin(answers);
        Box::pin(future::ready(Ok(answers)))
    }

    async fn vote(&mut self, rpc: VoteRequest<Types>, option: RPCOption) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(rpc, option, true).await
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<Types>, option: RPCOption) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(rpc, option, false).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Types, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            biased;
            sent = self.send_snapshot(vote, snapshot) => sent,
            closed = cancel => Err(closed.into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let call =
            TransferCall { ballot: types::ballot(rpc.from_leader()), to: *rpc.to_node_id(), last: rpc.last_log_id().map(types::position) };
        match self.call(Class::Control, PeerCall::Transfer(call), option.hard_ttl()).await? {
            PeerAnswer::Transfer(TransferAnswer::Accepted) => Ok(Ok(())),
            PeerAnswer::Transfer(TransferAnswer::VoteChanged(ballot)) => {
                Ok(Err(TransferLeaderError::VoteChanged { expected: *rpc.from_leader(), actual: types::vote(&ballot) }))
            }
            PeerAnswer::Transfer(TransferAnswer::NotFlushed(at)) => {
                Ok(Err(TransferLeaderError::LogNotFlushed { expected: rpc.last_log_id().copied(), actual: types::log_ids(&at) }))
            }
            other => Err(unexpected(other)),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(Duration::from_millis(RETRY_MS))))
    }
}
