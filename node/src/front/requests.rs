//! What the requests of one session do: to which queue each of them goes, sealed.
//!
//! Decides: a value is sealed here, once, before it goes anywhere; what stands in the queue and in the log is ciphertext. Requests
//! of one read from the network are handed on together. A namespace in dual mode is usable after the session brought the user's part of its keys,
//! which are this session's alone and are wiped with it. Words of refusals are constant.
//! Trusts: the session's user, whose signature was verified. Out of scope: order and outcomes (`writes.rs`, `reads.rs`). Protocol sections 3 and 7.

use crate::front::Front;
use crate::front::backup;
use crate::front::erasure;
use crate::front::escrow;
use crate::front::governance;
use crate::front::limits::{SESSION_LISTS, SESSION_SPACES};
use crate::front::outbox::{Charge, Outbox, ReadKey, sum};
use crate::front::receipts::Touched;
use crate::front::record;
use crate::front::refusals::{awaiting_key, fenced, no_namespace, refusal, told, unavailable, user_key_needed};
use crate::front::spaces::Space;
use crate::front::status::cluster_status;
use crate::front::users::{Device, Standing, standing};
use crate::front::watch::Watching;
use crate::front::writes::Pending;
use ringwall_channel::user::VerifiedUser;
use ringwall_consensus::SpaceRow;
use ringwall_keys::{HedgedIvs, RecordPlace, SealError};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::{OpenSpace, Outcome, SealedChange, SealedMutation, SealedPut, SealedWrite, SpaceChange};
use ringwall_wire::ids::{ClientTag, SpaceTag};
use ringwall_wire::limits::{ERASE_SPACES, REQUEST_BYTES, SESSION_PARTS, SESSION_WATCHES};
use ringwall_wire::receipt::space_name;
use ringwall_wire::request::{
    Answer, Change, Get, KeyMode, ListKeys, Mutation, Namespace, Op, OpenNamespace, Reply, Request, Unlock, Watch, Write,
};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// The desk of one session: takes its requests.
#[derive(Debug)]
pub(crate) struct Desk {
    front: Arc<Front>,
    outbox: Arc<Outbox>,
    user: VerifiedUser,
    device: Device,
    ivs: HedgedIvs,
    spaces: HashMap<Namespace, Known>,
    /// In dual mode, by the user's part; here and nowhere else.
    unlocked: HashMap<Namespace, Known>,
    /// Erasures that had been seen when those were unwrapped.
    erasures: u64,
    writes: Vec<Pending>,
    reads: Vec<(Arc<Outbox>, ReadKey, Charge)>,
    lists: Arc<Semaphore>,
    watches: HashMap<u64, AbortHandle>,
}

/// A namespace as this session uses it.
#[derive(Clone, Debug)]
struct Known {
    space: Arc<Space>,
    client: ClientTag,
    touched: Touched,
}

impl Desk {
    /// A desk for `user`'s session.
    pub(crate) fn new(front: Arc<Front>, outbox: Arc<Outbox>, user: VerifiedUser) -> Self {
        let ivs = HedgedIvs::new((front.entropy)(), front.incarnation);
        let keyring = front.keyring.now();
        let tag = keyring.user_tag(user.user());
        let device = Device { user: tag, tag: keyring.device_tag(&tag, user.cred()) };
        Desk {
            front,
            outbox,
            user,
            device,
            ivs,
            spaces: HashMap::new(),
            unlocked: HashMap::new(),
            erasures: 0,
            writes: Vec::new(),
            reads: Vec::new(),
            lists: Arc::new(Semaphore::new(SESSION_LISTS)),
            watches: HashMap::new(),
        }
    }

    /// Where answers go.
    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Whether this member knows that the user revoked the session's device.
    pub(crate) fn is_revoked(&self) -> bool {
        // A member that is fenced ends its sessions anyway.
        standing(&self.front, &self.device).is_ok_and(|standing| !matches!(standing, Standing::Counts | Standing::NoRecord))
    }

    /// Hands on what was staged since the last call.
    pub(crate) fn submit(&mut self) {
        if !self.writes.is_empty() {
            self.front.writes.submit(self.writes.drain(..));
        }
        if !self.reads.is_empty() {
            self.front.reads.submit(self.reads.drain(..));
        }
    }

    /// Ends what the session still has running.
    pub(crate) fn close(&mut self) {
        self.submit();
        self.watches.drain().for_each(|(_, watch)| watch.abort());
    }

    /// Takes one request that was admitted under `charge`; its answer follows, now or later.
    pub(crate) async fn take(&mut self, request: Request, charge: Charge) {
        let number = request.number;
        let answer = match request.op {
            Op::OpenNamespace(ask) => self.open_namespace(number, ask, charge),
            Op::FindNamespace(ask) => self.find_namespace(number, ask, charge).await,
            Op::Unlock(ask) => self.unlock(number, ask, charge).await,
            Op::Write(ask) => self.write(number, ask, charge).await,
            Op::Get(ask) => self.get(number, ask, charge).await,
            Op::List(ask) => self.list(number, ask, charge).await,
            Op::Watch(ask) => self.watch(number, ask, charge).await,
            Op::CancelWatch(watch) => {
                if let Some(watch) = self.watches.remove(&watch) {
                    watch.abort();
                }
                Ok(Some(Answer::Done))
            }
            Op::Erase(namespace) => self.erase(number, namespace, charge).await,
            Op::User(ask) => {
                // Staged requests must not wait for this one.
                self.submit();
                record::answer(&self.front, &self.user, *ask).await.map(Some)
            }
            Op::Backup(ask) => {
                let (front, user) = (self.front.clone(), *self.user.user());
                self.aside(number, charge, async move { backup::answer(&front, &user, ask).await });
                Ok(None)
            }
            Op::EscrowKeys(ask) => {
                let (front, user) = (self.front.clone(), *self.user.user());
                self.aside(number, charge, async move { escrow::answer(&front, &user, *ask).await });
                Ok(None)
            }
            Op::Governance(ask) => {
                let front = self.front.clone();
                self.aside(number, charge, async move { governance::answer(&front, ask).await });
                Ok(None)
            }
            Op::Status => Ok(Some(Answer::Status(cluster_status(self.front.slot, &self.front.replica)))),
        };
        match answer {
            Ok(None) => {}
            Ok(Some(answer)) => self.outbox.answer(number, answer, charge),
            Err(refusal) => self.outbox.answer(number, Answer::Refused(refusal), charge),
        }
    }

    fn open_namespace(&mut self, number: u64, ask: OpenNamespace, charge: Charge) -> Result<Option<Answer>, Refusal> {
        if (ask.mode == KeyMode::Cluster) != ask.commit.is_none() {
            return Err(refusal(
                RefusalCode::Malformed,
                "a namespace has a commitment to the user's key in dual and user mode, and in no other",
            ));
        }
        let tag = self.front.keyring.now().space_tag(self.user.user(), &ask.namespace);
        let charge = charge.about(self.touched(tag, &ask.namespace));
        let view = self.front.replica.view().map_err(|_| fenced())?;
        if let Some(row) = view.space(&tag).map_err(|_| fenced())? {
            self.outbox.answer(number, found(&row, &ask), charge);
            return Ok(None);
        }
        let keyring = self.front.keyring.now();
        let dek = keyring.new_data_key(&tag, ask.mode, view.newest_key(), &mut self.ivs).map_err(unsealable)?;
        let owner = keyring.owner_mark(self.user.user(), &tag);
        let write = SealedWrite::OpenSpace(OpenSpace { space: tag, mode: ask.mode, commit: ask.commit, dek, owner });
        self.writes.push(Pending::of_session(write, self.outbox.clone(), number, charge));
        Ok(None)
    }

    async fn find_namespace(&mut self, number: u64, ask: OpenNamespace, charge: Charge) -> Result<Option<Answer>, Refusal> {
        let tag = self.front.keyring.now().space_tag(self.user.user(), &ask.namespace);
        let row = self.row(&tag).await?;
        self.outbox.answer(number, found(&row, &ask), charge.about(self.touched(tag, &ask.namespace)));
        Ok(None)
    }

    /// Takes the user's part of a namespace's keys, for as long as the session lasts.
    async fn unlock(&mut self, number: u64, ask: Unlock, charge: Charge) -> Result<Option<Answer>, Refusal> {
        if self.unlocked.len() >= SESSION_PARTS && !self.unlocked.contains_key(&ask.namespace) {
            return Err(refusal(
                RefusalCode::TooLarge,
                "the session works on as many namespaces in dual mode as it may; open another session",
            ));
        }
        let tag = self.front.keyring.now().space_tag(self.user.user(), &ask.namespace);
        let row = self.row(&tag).await?;
        let space = Arc::new(self.front.spaces.unlock(&tag, &row, &ask.part)?);
        let client = self.front.keyring.now().client_tag(&tag, self.user.client());
        let touched = self.touched(tag, &ask.namespace);
        self.unlocked.insert(ask.namespace, Known { client, space, touched });
        self.outbox.answer(number, Answer::Opened(row.revision), charge.about(touched));
        Ok(None)
    }

    /// A namespace as the state has it; made sure of on a read round when this member does not know it yet.
    async fn row(&mut self, tag: &SpaceTag) -> Result<SpaceRow, Refusal> {
        let look = |front: &Front| front.replica.view().and_then(|view| view.space(tag)).map_err(|_| fenced());
        if let Some(row) = look(&self.front)? {
            return Ok(row);
        }
        // Staged requests must not wait for this one.
        self.submit();
        self.front.reads.barrier().await?;
        look(&self.front)?.ok_or_else(no_namespace)
    }

    async fn write(&mut self, number: u64, ask: Write, charge: Charge) -> Result<Option<Answer>, Refusal> {
        if ask.once.seq == 0 || ask.mutations.is_empty() {
            return Err(refusal(RefusalCode::Malformed, "a write has a number from 1 and at least one change"));
        }
        if told_bytes(&ask) > REQUEST_BYTES {
            return Err(refusal(
                RefusalCode::TooLarge,
                "the changes of one write are above the size of one message: not applied; write fewer at once",
            ));
        }
        let known = self.known(&ask.namespace).await?;
        let charge = charge.about(known.touched);
        let mut seen = HashSet::new();
        let mut mutations = Vec::with_capacity(ask.mutations.len());
        let several = ask.mutations.len() > 1;
        for Mutation { key: name, expect, change } in ask.mutations.into_vec() {
            known.space.takes(&name, stored(&change))?;
            let key = known.space.keys().key_tag(&name);
            if several && !seen.insert(key) {
                return Err(refusal(RefusalCode::Malformed, "a key appears twice in one write; a key appears at most once"));
            }
            let change = match change {
                Change::Put(put) => {
                    let place = RecordPlace { key, client: known.client, seq: ask.once.seq };
                    let record = known.space.keys().seal(&place, &name, &put.value, &mut self.ivs).map_err(unsealable)?;
                    SealedChange::Put(SealedPut { record, ttl_s: put.ttl_s })
                }
                Change::Delete => SealedChange::Delete,
                Change::Keep => SealedChange::Keep,
            };
            mutations.push(SealedMutation { key, expect, change });
        }
        let mutations = List::new(mutations).map_err(|_| refusal(RefusalCode::TooLarge, "too many changes in one write"))?;
        let change = SpaceChange { space: *known.space.tag(), client: known.client, once: ask.once, mutations };
        self.writes.push(Pending::of_session(SealedWrite::Change(change), self.outbox.clone(), number, charge));
        Ok(None)
    }

    async fn get(&mut self, number: u64, ask: Get, charge: Charge) -> Result<Option<Answer>, Refusal> {
        let Known { space, touched, .. } = self.known(&ask.namespace).await?;
        let charge = charge.about(touched);
        space.takes(&ask.key, None)?;
        let key = space.keys().key_tag(&ask.key);
        self.reads.push((self.outbox.clone(), ReadKey { number, space, key }, charge));
        Ok(None)
    }

    async fn list(&mut self, number: u64, ask: ListKeys, charge: Charge) -> Result<Option<Answer>, Refusal> {
        let Known { space, touched, .. } = self.known(&ask.namespace).await?;
        let front = self.front.clone();
        self.aside(number, charge.about(touched), async move {
            match front.reads.barrier().await {
                Ok(()) => front.lists.page(&space, &ask).await,
                Err(refusal) => Answer::Refused(refusal),
            }
        });
        Ok(None)
    }

    /// Answers beside the session's other requests what may be long in coming, or large.
    fn aside(&self, number: u64, charge: Charge, answer: impl Future<Output = Answer> + Send + 'static) {
        let (outbox, turns) = (self.outbox.clone(), self.lists.clone());
        tokio::spawn(async move {
            // The turn is kept until the answer has its place among the session's replies, which bounds such answers in memory.
            let Ok(_turn) = turns.acquire_owned().await else { return };
            let reply = Reply { number, body: answer.await };
            let page = Charge::bytes(reply.encode().len());
            if outbox.admitted(page).await {
                outbox.answer(number, reply.body, sum(charge, page));
            }
        });
    }

    async fn watch(&mut self, number: u64, ask: Watch, charge: Charge) -> Result<Option<Answer>, Refusal> {
        let Known { space, touched, .. } = self.known(&ask.namespace).await?;
        let charge = charge.about(touched);
        self.watches.retain(|_, watch| !watch.is_finished());
        if self.watches.len() >= SESSION_WATCHES {
            return Err(refusal(RefusalCode::TooLarge, "the session has as many watches as it may; cancel one or open another session"));
        }
        if self.watches.contains_key(&number) {
            return Err(refusal(RefusalCode::Malformed, "a watch with this number is running"));
        }
        let watching =
            Watching { outbox: self.outbox.clone(), number, space, prefix: ask.prefix, told: ask.after, charge, about: charge.about };
        let task = tokio::spawn(self.front.feeds.clone().follow(watching));
        self.watches.insert(number, task.abort_handle());
        Ok(None)
    }

    /// Destroys the keys of one namespace, or of all that are this user's. What a session still has unwrapped is forgotten with them.
    async fn erase(&mut self, number: u64, namespace: Option<Namespace>, charge: Charge) -> Result<Option<Answer>, Refusal> {
        self.submit();
        let spaces = match namespace {
            Some(namespace) => vec![self.front.keyring.now().space_tag(self.user.user(), &namespace)],
            None => {
                self.front.reads.barrier().await?;
                erasure::of_user(&self.front, self.user.user()).await?
            }
        };
        if spaces.is_empty() {
            return Ok(Some(Answer::Done));
        }
        let more = spaces.len() > ERASE_SPACES;
        let erased = List::new(spaces.into_iter().take(ERASE_SPACES).collect()).map_err(|_| fenced())?;
        let (outbox, charge) = (self.outbox.clone(), charge);
        let write = SealedWrite::Erase(erased);
        if !more {
            self.writes.push(Pending::of_session(write, outbox, number, charge));
            return Ok(None);
        }
        match self.front.replica.write(vec![write]).await {
            Ok(_) => Err(refusal(RefusalCode::Busy, "some namespaces were erased and more are left: ask again")),
            Err(_) => Err(unavailable()),
        }
    }

    fn touched(&self, tag: SpaceTag, namespace: &Namespace) -> Touched {
        Touched { name: space_name(&self.front.cluster_id, self.user.user(), namespace), tag }
    }

    /// What was unwrapped before a namespace was erased is not used any more and not held; what a part of the user's opened stays, if it is still there.
    /// Asked at every request, and by the session's clock: one that asks nothing holds an erased key no longer than one that does.
    pub(crate) fn forget_erased(&mut self) -> Result<(), Refusal> {
        let erasures = self.front.spaces.erasures();
        if self.erasures != erasures {
            self.spaces.clear();
            let view = self.front.replica.view().map_err(|_| fenced())?;
            self.unlocked.retain(|_, known| view.space(known.space.tag()).is_ok_and(|row| row.is_some()));
            self.erasures = erasures;
        }
        Ok(())
    }

    /// The namespace of a request; made sure of on a read round when this member does not know it yet.
    async fn known(&mut self, namespace: &Namespace) -> Result<Known, Refusal> {
        self.forget_erased()?;
        if let Some(known) = self.unlocked.get(namespace).or_else(|| self.spaces.get(namespace)) {
            return Ok(known.clone());
        }
        let tag = self.front.keyring.now().space_tag(self.user.user(), namespace);
        let mut space = self.front.spaces.cached(&tag);
        if space.is_none() {
            // Wrapped under a key that is over: this member has not applied how it is wrapped now.
            space = self.front.load_space(&tag).or_else(|refusal| match refusal.code {
                RefusalCode::Unavailable => Ok(None),
                _ => Err(refusal),
            })?;
        }
        if space.is_none() {
            // Staged requests must not wait for this one.
            self.submit();
            self.front.reads.barrier().await?;
            space = self.front.load_space(&tag)?;
        }
        let space = space.ok_or_else(no_namespace)?;
        let client = self.front.keyring.now().client_tag(&tag, self.user.client());
        let known = Known { client, space, touched: self.touched(tag, namespace) };
        if self.spaces.len() >= SESSION_SPACES {
            self.spaces.clear();
        }
        self.spaces.insert(namespace.clone(), known.clone());
        Ok(known)
    }
}

/// What a client that names a namespace with mode and commitment is told of it.
fn found(row: &SpaceRow, ask: &OpenNamespace) -> Answer {
    match (row.mode == ask.mode, row.commit == ask.commit) {
        (true, true) => Answer::Opened(row.revision),
        (true, false) => told(Outcome::OtherUserKey, true, true),
        (false, _) => told(Outcome::OtherMode, true, true),
    }
}

/// The value a change stores.
fn stored(change: &Change) -> Option<&[u8]> {
    match change {
        Change::Put(put) => Some(&put.value),
        Change::Delete | Change::Keep => None,
    }
}

/// Bytes of the events a write becomes: a watch tells all of a write in one message.
fn told_bytes(ask: &Write) -> usize {
    ask.mutations.iter().fold(128, |sum: usize, mutation| {
        let value = stored(&mutation.change).map_or(0, <[u8]>::len);
        sum.saturating_add(mutation.key.len()).saturating_add(value).saturating_add(24)
    })
}

fn unsealable(fault: SealError) -> Refusal {
    match fault {
        SealError::NameTooLong { .. } | SealError::ValueTooLong { .. } => {
            refusal(RefusalCode::TooLarge, "a key name or value is above its limit: not applied")
        }
        SealError::UnknownKeyEpoch { .. } => awaiting_key(),
        SealError::UserKeyNeeded { .. } => user_key_needed(),
    }
}
