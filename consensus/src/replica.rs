//! The handle of one replica: open, found, propose, read, answer, change members, leave.
//!
//! Decides: how outcomes and faults of Raft look to the node. Trusts: the caller that `from` of [`Replica::answer`] was attested.
//! Whatever reaches into openraft returns a boxed future: the compiler makes the code of an `async fn` in each program that awaits it, and openraft's
//! whole engine with it; a boxed one is made here, once.
//! Out of scope: coalescing client writes into commands (`node`). Protocol sections 4 and 5.

use crate::answer::{Answerer, Raft, refuse};
use crate::defects::{self, Defect};
use crate::fence::Fence;
use crate::files;
use crate::gate::Known;
use crate::ground::Ground;
use crate::log::store::LogStore;
use crate::machine::policy::Governed;
use crate::machine::raft::Readers;
use crate::machine::view::View;
use crate::membership;
use crate::network::Factory;
use crate::options::Options;
use crate::pace::Pace;
use crate::report::{Applied, Metrics, OpenError, Progress, ProposeError, ReadError, Role};
use crate::runtime;
use crate::shown::Shown;
use crate::transport::{BoxFuture, Class, Transport};
use crate::types::{Payload, Types};
use crate::watch;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardReason, ForwardToLeader, LinearizableReadError, RaftError};
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{RaftMetrics, ReadPolicy, ServerState};
use ringwall_wire::admission::IncarnationCert;
use ringwall_wire::bounded::{List, SharedBlob};
use ringwall_wire::codec::Message;
use ringwall_wire::command::{Command, CommandBody, Founding, Outcomes, SealedWrite, SharedWrites};
use ringwall_wire::ids::{Incarnation, KeyEpoch};
use ringwall_wire::limits::ENTRY_BYTES;
use ringwall_wire::peer::{ForwardCall, Member, PeerAnswer, PeerCall};
use ringwall_wire::session::RefusalCode;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

/// Tries of a step that may be refused for a moment.
pub(crate) const TRIES: u32 = 50;

/// Handle of one replica; clones are the same replica.
#[derive(Clone)]
pub struct Replica {
    inner: Arc<Inner>,
    changes: WatchReceiverOf<Types, RaftMetrics<Types>>,
}

pub(crate) struct Inner {
    pub(crate) raft: Raft,
    pub(crate) options: Options,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) fence: Fence,
    pub(crate) ground: Ground,
    pub(crate) shown: RwLock<Shown>,
    pub(crate) pace: Pace,
    log: LogStore,
    answerer: Answerer,
}

/// How the member a certificate describes stands in the membership.
pub fn member_of(cert: &IncarnationCert) -> Member {
    Member {
        slot: cert.slot,
        vendor: cert.vendor,
        noise: cert.keys.noise,
        sig: cert.keys.sig,
        peer_address: cert.peer_address.clone(),
        client_address: cert.client_address.clone(),
    }
}

impl Replica {
    /// Opens an empty replica in an empty folder. It waits to be founded, or to be added by a leader.
    pub fn open(options: Options, transport: Arc<dyn Transport>) -> BoxFuture<Result<Self, OpenError>> {
        Box::pin(runtime::hosted(options.host.clone(), Replica::open_here(options, transport)))
    }

    async fn open_here(options: Options, transport: Arc<dyn Transport>) -> Result<Self, OpenError> {
        let fence = Fence::new();
        let ground = Ground::of(&options, fence.clone());
        let (theirs, setup) = (ground.clone(), options.clone());
        options.raft()?; // Before anything is made on the disk.
        let files = ground.done("open", move || Ok(files::set_up(theirs, &setup))).await??;
        Replica::start(options, transport, (fence, ground), files).await
    }

    /// Starts Raft over files that were set up.
    pub(crate) async fn start(
        options: Options,
        transport: Arc<dyn Transport>,
        (fence, ground): (Fence, Ground),
        (log, machine, readers): files::Files,
    ) -> Result<Self, OpenError> {
        let config = options.raft()?;
        let timeout = Duration::from_millis(options.call_ms);
        let factory = Factory { transport: Arc::clone(&transport), timeout, ground: ground.clone(), readers: Arc::clone(&readers) };
        let raft = Raft::new(options.me, Arc::new(config), factory, log.clone(), machine).await;
        let raft = raft.map_err(|why| OpenError::Storage(std::io::Error::other(why.to_string())))?;
        let answerer = Answerer::new(raft.clone(), ground.clone());
        let changes = raft.metrics();
        runtime::spawn(membership::elect_when_voter(raft.clone(), fence.clone(), options.me));
        Ok(Replica {
            inner: Arc::new(Inner {
                raft,
                options,
                transport,
                readers,
                fence,
                ground,
                shown: RwLock::default(),
                pace: Pace::default(),
                log,
                answerer,
            }),
            changes,
        })
    }

    /// Makes this replica the only voter of a new group, waits until it leads, and records `cert` as its first member.
    pub fn found(&self, cert: IncarnationCert) -> BoxFuture<Result<Applied, ProposeError>> {
        let replica = self.clone();
        Box::pin(async move { replica.found_here(cert).await })
    }

    async fn found_here(&self, cert: IncarnationCert) -> Result<Applied, ProposeError> {
        let me = self.inner.options.me;
        self.inner.raft.runtime_config().elect(true);
        let first = std::collections::BTreeMap::from([(me, member_of(&cert))]);
        if let Err(why) = self.inner.raft.initialize(first).await {
            return Err(match why {
                RaftError::APIError(_) => ProposeError::NotLeader { leader: None },
                RaftError::Fatal(why) => self.inner.fenced(why),
            });
        }
        let founding = Box::new(Founding { incarnation: me, cert });
        let mut last = ProposeError::Transient;
        for _ in 0..TRIES {
            match self.propose(CommandBody::Found(founding.clone())).await {
                Ok(applied) => return Ok(applied),
                Err(why @ (ProposeError::Transient | ProposeError::NotLeader { .. })) => last = why,
                Err(why) => return Err(why),
            }
            tokio::time::sleep(Duration::from_millis(self.inner.options.heartbeat_ms)).await;
        }
        Err(last)
    }

    /// Proposes one command and waits until it is applied here. Only on the leader.
    pub fn propose(&self, body: CommandBody) -> BoxFuture<Result<Applied, ProposeError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.propose(body).await })
    }

    /// Proposes writes here, or forwards them to the leader (`PeerCall::Forward`), and waits for their outcomes. The state here may
    /// lag behind `index`: use [`Replica::wait_applied`] before reading.
    pub fn write(&self, writes: Vec<SealedWrite>) -> BoxFuture<Result<Applied, ProposeError>> {
        let (replica, writes) =
            (self.clone(), List::new(writes).map_err(|_| ProposeError::TooLarge { bytes: usize::MAX, max: ENTRY_BYTES }));
        Box::pin(async move { replica.write_shared(Arc::new(writes?)).await })
    }

    /// The same, of writes that stay with whoever may have to try again.
    pub async fn write_shared(&self, writes: SharedWrites) -> Result<Applied, ProposeError> {
        match self.inner.leader()? {
            None => Err(ProposeError::NotLeader { leader: None }),
            Some((leader, _)) if leader == self.inner.options.me => self.propose(CommandBody::Writes(writes)).await,
            Some((leader, member)) => self.inner.forward(leader, &member, ForwardCall { writes }).await,
        }
    }

    /// The index a linearizable read must wait for: one quorum round, shared by all who ask at once; asks the leader when another
    /// member leads.
    pub fn read_index(&self) -> BoxFuture<Result<u64, ReadError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.read_index().await })
    }

    /// Waits until `index` is applied here, or gives up after [`Options::call_ms`].
    pub async fn wait_applied(&self, index: u64) -> Result<(), ReadError> {
        let mut progress = self.inner.readers.progress.subscribe();
        let mut fenced = self.inner.fence.subscribe();
        let limit = Duration::from_millis(self.inner.options.call_ms);
        self.inner.alive()?;
        tokio::select! {
            biased;
            _ = fenced.wait_for(|fenced| *fenced) => Err(self.inner.read_fenced()),
            reached = progress.wait_for(|progress| progress.applied >= index) => reached.map(|_| ()).map_err(|_| self.inner.read_fenced()),
            () = tokio::time::sleep(limit) => Err(ReadError::Transient),
        }
    }

    /// Has the newest snapshot sealed under this generation, which the sealer seals with by now. To be called when it changes, and again: a snapshot that was
    /// being made then is still under the one before. Costs nothing where the seal is right.
    pub async fn seal_snapshot_under(&self, key_epoch: KeyEpoch) -> Result<(), ReadError> {
        self.inner.alive()?;
        let readers = Arc::clone(&self.inner.readers);
        let sealed = self.inner.ground.done("seal", move || readers.seal_anew(key_epoch)).await;
        self.inner.fence.watch("snapshot", sealed).map_err(|why| ReadError::Fenced(why.to_string()))
    }

    /// Index of the last applied entry that readers see.
    pub fn applied(&self) -> u64 {
        self.inner.readers.progress.borrow().applied
    }

    /// A look at the state as of now; for a linearizable one after [`Replica::read_index`] and [`Replica::wait_applied`].
    pub fn view(&self) -> Result<View, ReadError> {
        self.inner.alive()?;
        Ok(self.inner.readers.view())
    }

    /// `read_index`, `wait_applied` and `view` in one.
    pub async fn linear_view(&self) -> Result<View, ReadError> {
        let index = self.read_index().await?;
        self.wait_applied(index).await?;
        self.view()
    }

    /// Whether the attested member `from` may have writes proposed here: for a node that takes `PeerCall::Forward` itself, to put them
    /// into entries with its own, instead of handing it to [`Replica::answer`]. It is in the membership, of this epoch, and neither
    /// superseded nor retired (V3). Cheap: nothing is read from the disk.
    pub fn may_forward(&self, from: Incarnation) -> bool {
        self.inner.fence.reason().is_none() && self.inner.known(|known| known.asks(from)).is_ok()
    }

    /// Handles a call of the attested member `from`. Appends take their place in the order in which this function is called, not in
    /// which its future is polled: call it as the messages arrive, await the futures later, and answer in the same order.
    ///
    /// Handles `Append`, `Vote`, `PreVote`, `Transfer`, `SnapshotBegin`, `SnapshotPart`, `ReadIndex` and `Forward`; the others are
    /// the node's, and are refused here.
    pub fn answer(&self, from: Incarnation, call: PeerCall) -> BoxFuture<PeerAnswer> {
        let inner = Arc::clone(&self.inner);
        if let Some(why) = inner.fence.reason() {
            let refusal = refuse(RefusalCode::Fenced, why);
            return Box::pin(std::future::ready(refusal));
        }
        if let Err(stopped) = inner.known(|known| known.pass(from, &call)) {
            tracing::debug!(%from, %stopped, "stopped at the gate");
            return Box::pin(std::future::ready(refuse(RefusalCode::NotMember, stopped)));
        }
        match call {
            PeerCall::Append(call) => {
                if let Some(Err(why)) = call.tree.map(|tree| inner.readers.expected.compare(&tree, || inner.readers.view())) {
                    tracing::error!(%from, %why, "a leader has another history: its entries are refused");
                    return Box::pin(std::future::ready(refuse(RefusalCode::OtherHistory, why)));
                }
                let queued = inner.answerer.queue_append(from, call);
                Box::pin(async move {
                    match queued {
                        Ok(answer) => answer.await.unwrap_or_else(|_| inner.answerer.fenced("Raft has ended")),
                        Err(refusal) => refusal,
                    }
                })
            }
            call => Box::pin(async move { inner.answer(from, call).await }),
        }
    }

    /// Told after each applied batch of entries.
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.inner.readers.progress.subscribe()
    }

    /// The policy in force and what waits: what it is now, and told when it changes.
    pub fn governance(&self) -> watch::Receiver<Arc<Governed>> {
        self.inner.readers.governed.subscribe()
    }

    /// As of now.
    pub fn metrics(&self) -> Metrics {
        self.inner.metrics()
    }

    /// Waits until something in [`Replica::metrics`] may have changed since the last call on this handle. False when Raft has ended and this replica
    /// is fenced: nothing changes any more, and whoever asks again is answered at once.
    #[must_use = "who asks again after the end spins"]
    pub async fn metrics_changed(&mut self) -> bool {
        if self.changes.changed().await.is_ok() {
            return true;
        }
        let mut fenced = self.inner.fence.subscribe();
        let _ = fenced.wait_for(|fenced| *fenced).await;
        false
    }

    /// Waits until this replica is fenced or shut down, and says why.
    pub async fn fenced(&self) -> String {
        let mut fenced = self.inner.fence.subscribe();
        let _ = fenced.wait_for(|fenced| *fenced).await;
        self.inner.fence.reason().unwrap_or_default().to_owned()
    }

    /// Asks the voter whose log is nearest to lead, and waits (bounded) until this replica does not. Nothing to do when it does not
    /// lead, or is the only voter.
    pub fn hand_over(&self) -> BoxFuture<Result<(), ReadError>> {
        let replica = self.clone();
        Box::pin(async move { replica.hand_over_here().await })
    }

    async fn hand_over_here(&self) -> Result<(), ReadError> {
        let (_, most) = self.inner.options.election_ms;
        for _ in 0..3 {
            let metrics = self.metrics();
            if metrics.role != Role::Leader {
                return self.inner.alive();
            }
            let voters = metrics.replication.iter().filter(|(id, _)| metrics.voters.iter().any(|voter| voter.incarnation == *id));
            let Some((to, _)) = voters.filter(|(id, _)| *id != metrics.me).max_by_key(|(_, index)| *index) else {
                return Ok(());
            };
            self.inner.raft.trigger().transfer_leader(*to).await.map_err(|why| ReadError::Fenced(why.to_string()))?;
            let wait = self.inner.raft.wait(Some(Duration::from_millis(2 * most)));
            if wait.metrics(|metrics| metrics.state != ServerState::Leader, "hand over").await.is_ok() {
                return Ok(());
            }
        }
        Err(ReadError::Transient)
    }

    /// Stops for good: nothing is answered afterwards. What was queued for the log is written.
    pub fn shutdown(&self) -> BoxFuture<()> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            inner.fence.close();
            if let Err(why) = inner.raft.shutdown().await {
                tracing::warn!(%why, "Raft did not end in order");
            }
            inner.log.stop().await;
        })
    }

    /// Bytes of memory that the digests of this replica's files take; at most [`crate::disk::TAG_BYTES`].
    pub fn tag_bytes(&self) -> u64 {
        self.inner.ground.account.bytes()
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// For whom this replica's transport holds: no replica is kept alive by it.
    pub(crate) fn downgraded(&self) -> Weak<Inner> {
        Arc::downgrade(&self.inner)
    }
}

impl Inner {
    pub(crate) fn fenced(&self, why: impl ToString) -> ProposeError {
        ProposeError::Fenced(self.fence.reason().map_or_else(|| why.to_string(), str::to_owned))
    }

    fn read_fenced(&self) -> ReadError {
        ReadError::Fenced(self.fence.reason().unwrap_or("Raft has ended").to_owned())
    }

    pub(crate) fn alive(&self) -> Result<(), ReadError> {
        match self.fence.reason() {
            None => Ok(()),
            Some(why) => Err(ReadError::Fenced(why.to_owned())),
        }
    }

    /// What `judge` says by what this replica knows now.
    pub(crate) fn known<T>(&self, judge: impl FnOnce(&Known<'_>) -> T) -> T {
        let effective = Arc::clone(&self.raft.server_metrics().borrow_watched().membership_config);
        let published = self.readers.published();
        let granted = self.options.granted.as_deref();
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        judge(&Known { me: self.options.me, effective: &effective, published: &published, last: self.log.last(), granted, shown: &shown })
    }

    /// Who leads, with its entry in the membership.
    fn leader(&self) -> Result<Option<(Incarnation, Member)>, ProposeError> {
        if self.fence.reason().is_some() {
            return Err(self.fenced(""));
        }
        let server = self.raft.server_metrics();
        let server = server.borrow_watched();
        let leader = server.current_leader;
        Ok(leader.and_then(|leader| server.membership_config.get_node(&leader).map(|member| (leader, member.clone()))))
    }

    async fn call(&self, to: Incarnation, member: &Member, class: Class, call: PeerCall) -> Option<PeerAnswer> {
        self.transport.call(to, member, class, call, Duration::from_millis(self.options.call_ms)).await.ok()
    }

    async fn propose(&self, body: CommandBody) -> Result<Applied, ProposeError> {
        if self.fence.reason().is_some() {
            return Err(self.fenced(""));
        }
        let bytes = Command { at_ms: self.now_ms(), body: self.options.judges.sign(body) }.encode();
        let len = bytes.len();
        let bytes = SharedBlob::new(bytes).map_err(|_| ProposeError::TooLarge { bytes: len, max: ENTRY_BYTES })?;
        let write = self.raft.client_write(Payload(bytes));
        match tokio::time::timeout(Duration::from_millis(self.options.propose_ms), write).await {
            Err(_) => Err(ProposeError::Unknown),
            Ok(Ok(written)) => Ok(Applied { index: written.log_id.index, outcomes: written.data.0 }),
            Ok(Err(RaftError::Fatal(why))) => Err(self.fenced(why)),
            Ok(Err(RaftError::APIError(why))) => Err(match why {
                ClientWriteError::ForwardToLeader(forward) => not_leader(forward),
                ClientWriteError::LogEntryDiscarded(_) => ProposeError::Unknown,
                ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_) => ProposeError::Transient,
            }),
        }
    }

    async fn forward(&self, leader: Incarnation, member: &Member, call: ForwardCall) -> Result<Applied, ProposeError> {
        match self.call(leader, member, Class::Forward, PeerCall::Forward(call)).await {
            Some(PeerAnswer::Outcomes(outcomes)) => Ok(Applied { index: outcomes.index, outcomes: outcomes.outcomes.into_vec() }),
            Some(PeerAnswer::Refused(refusal)) => Err(match refusal.code {
                RefusalCode::OutcomeUnknown => ProposeError::Unknown,
                RefusalCode::NoRoom => ProposeError::NoRoom,
                _ => ProposeError::Transient,
            }),
            _ => Err(ProposeError::Unknown),
        }
    }

    async fn read_index(&self) -> Result<u64, ReadError> {
        match self.leader().map_err(|_| self.read_fenced())? {
            None => Err(ReadError::Transient),
            Some((leader, _)) if leader == self.options.me => self.read_index_here().await,
            Some((leader, member)) => {
                let answer = self.call(leader, &member, Class::Control, PeerCall::ReadIndex).await;
                match answer {
                    Some(PeerAnswer::ReadIndex(index)) => Ok(index),
                    _ => Err(ReadError::Transient),
                }
            }
        }
    }

    async fn read_index_here(&self) -> Result<u64, ReadError> {
        if defects::on(Defect::NoReadIndex) {
            return Ok(self.readers.published().applied);
        }
        match self.raft.get_read_log_id(ReadPolicy::ReadIndex).await {
            Ok((read, _)) => Ok(read.log_id().index),
            Err(RaftError::Fatal(_)) => Err(self.read_fenced()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_) | LinearizableReadError::QuorumNotEnough(_))) => {
                Err(ReadError::Transient)
            }
        }
    }

    /// Calls other than appends, after the gate.
    async fn answer(&self, from: Incarnation, call: PeerCall) -> PeerAnswer {
        match call {
            PeerCall::Vote(call) => self.answerer.vote(call, true).await,
            PeerCall::PreVote(call) => self.answerer.vote(call, false).await,
            PeerCall::Transfer(call) => self.answerer.transfer(call).await,
            PeerCall::SnapshotBegin(head) => self.answerer.begin_snapshot(from, head).await,
            PeerCall::SnapshotPart(chunk) => self.answerer.take_snapshot_part(from, chunk).await,
            PeerCall::ReadIndex => match self.read_index_here().await {
                Ok(index) => PeerAnswer::ReadIndex(index),
                Err(why) => refuse(RefusalCode::Unavailable, why),
            },
            PeerCall::Forward(call) => self.answer_forward(call).await,
            _ => refuse(RefusalCode::Malformed, "not a message for the replica"),
        }
    }

    async fn answer_forward(&self, call: ForwardCall) -> PeerAnswer {
        match self.propose(CommandBody::Writes(call.writes)).await {
            Ok(Applied { index, outcomes }) => match List::new(outcomes) {
                Ok(outcomes) => PeerAnswer::Outcomes(Outcomes { index, outcomes }),
                Err(why) => refuse(RefusalCode::OutcomeUnknown, why),
            },
            Err(why) => refuse(
                match why {
                    ProposeError::NotLeader { .. } | ProposeError::Transient => RefusalCode::Unavailable,
                    ProposeError::NoRoom => RefusalCode::NoRoom,
                    ProposeError::Unknown => RefusalCode::OutcomeUnknown,
                    ProposeError::TooLarge { .. } => RefusalCode::TooLarge,
                    ProposeError::Fenced(_) => RefusalCode::Fenced,
                },
                why,
            ),
        }
    }
}

/// A lease that ran out is no reason to go elsewhere: this member leads, and has not heard of a quorum lately.
fn not_leader(forward: ForwardToLeader<Types>) -> ProposeError {
    match forward.reason {
        ForwardReason::LeaseExpired | ForwardReason::LeadershipTransfer => ProposeError::Transient,
        ForwardReason::NotLeader => {
            let leader = forward.leader_id.zip(forward.leader_node).map(|(id, member)| (id, Box::new(member)));
            ProposeError::NotLeader { leader }
        }
    }
}
