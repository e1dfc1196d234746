//! The door of a node that clients come to.
//!
//! Decides: nothing of its own: a session is opened by the steps of `node/src/front/session.rs`, requests become sealed writes as in
//! `front/requests.rs`, reads take a read index as in `front/reads.rs`. Not run here: the queues that join many writes into one entry
//! and many reads into one round, quotes shared by many sessions, lists, watches and room. A voter alone opens the door.
//! Trusts: nothing. Out of scope: clients (`client`). Protocol sections 3.1, 4.5 and 7.

use crate::world::flaws::Flaw;
use crate::world::judge::Rule;
use crate::world::pipes::{Door, Pipe};
use crate::world::process::Process;
use crate::world::receipts;
use crate::world::sessions::{self, refusal};
use crate::world::site::Claim;
use ringwall_channel::user::UserBinding;
use ringwall_channel::user::verify_user;
use ringwall_channel::{ClientPrologue, answer_client};
use ringwall_consensus::runtime;
use ringwall_consensus::{ProposeError, ReadError, View};
use ringwall_keys::ring::FIRST_KEY_EPOCH;
use ringwall_keys::space::{RecordPlace, SpaceKeys};
use ringwall_node::governance::cell::after;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message;
use ringwall_wire::command::{OpenSpace, Outcome, SealedChange, SealedMutation, SealedPut, SealedWrite, SpaceChange};
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{ClientId, Revision, UserId};
use ringwall_wire::limits::REQUEST_BYTES;
use ringwall_wire::request::{Answer, Change, Entry, Get, KeyMode, KeyName, Namespace, Op, OpenNamespace, Reply, Request, Write};
use ringwall_wire::session::{GetDescriptor, NodeDescriptor, RefusalCode, UserAuth, UserReady};
use ringwall_wire::version;
use std::sync::{Arc, Mutex, PoisonError};

/// Milliseconds a step of a handshake may take.
const STEP_MS: u64 = 3_000;

/// Opens the door once this incarnation votes, and serves who comes.
pub async fn open_when_voter(process: Arc<Process>) {
    let mut replica = process.replica.clone();
    while !replica.metrics().voters.iter().any(|voter| voter.incarnation == process.incarnation) {
        if !replica.metrics_changed().await {
            return;
        }
    }
    let mut pipes = process.site.common.wires.listen(process.site.place, Door::Clients, process.number);
    while let Some(pipe) = pipes.recv().await {
        runtime::spawn(serve(Arc::clone(&process), pipe));
    }
}

async fn serve(process: Arc<Process>, mut pipe: Pipe) {
    // A session that could not be opened is closed; the client goes elsewhere.
    let _ = converse(&process, &mut pipe).await;
}

async fn converse(process: &Arc<Process>, pipe: &mut Pipe) -> Option<()> {
    let (site, cluster) = (&process.site, &process.site.common.cluster);
    let asked = GetDescriptor::decode(&pipe.read(STEP_MS).await?).ok()?;
    let version = version::pick(&asked.versions)?;
    let keys = process.secrets.public().clone();
    let descriptor = NodeDescriptor {
        version,
        cluster_id: cluster.id,
        epoch: cluster.epoch,
        incarnation: process.incarnation,
        noise: keys.noise,
        kem: keys.kem,
        policy_version: site.policies.now().policy().version,
        web: None,
    };
    pipe.write(descriptor.encode());
    let msg1 = pipe.read(STEP_MS).await?;
    let binding = pipe.binding;
    let prologue = ClientPrologue { cluster_id: cluster.id, epoch: cluster.epoch, version, transport_binding: &binding };
    let (msg2, mut session) = answer_client(&process.secrets, &prologue, &msg1, &mut site.dice.clone()).ok()?;
    pipe.write(msg2);
    let asked = session.open_attest_req(&pipe.read(STEP_MS).await?).ok()?;
    let (handshake, by) = (*session.handshake(), site.generation());
    let claim = Claim {
        role: Role::ClientServer,
        incarnation: process.incarnation,
        keys: process.secrets.public(),
        handshake: &handshake,
        nonce: &asked.nonce,
    };
    let mut answer = site.collect(&claim);
    site.common.keep_seen(&answer);
    answer.steps = after(&answer.policy, &answer.steps, asked.known_policy.as_ref());
    pipe.write(session.seal_attest_resp(&answer).ok()?);
    let mut session = session.serve().ok()?;
    let (mut sealer, mut opener) = session.split(0, REQUEST_BYTES).ok()?;
    let auth = UserAuth::decode(&sessions::receive(&mut opener, pipe, STEP_MS).await?).ok()?;
    let binding = UserBinding { handshake: &handshake, nonce: &asked.nonce, incarnation: process.incarnation };
    let user = verify_user(&auth, &binding).ok()?;
    // PC10: no session is opened by a policy that was replaced meanwhile.
    if site.generation() != by {
        return None;
    }
    let revision = process.replica.view().map_or(Revision(0), |view| view.revision());
    let receipt = receipts::issue(process, &user, asked.nonce, auth.known).await?;
    sessions::tell(
        &mut sealer,
        pipe,
        &UserReady { revision, members: List::default(), receipt, epochs: List::default(), recovered: None }.encode(),
    );
    let talk = Talk { process: Arc::clone(process), user: *user.user(), client: *user.client(), spaces: Mutex::default() };
    loop {
        let message = sessions::receive(&mut opener, pipe, 60_000).await?;
        // PC10: what was opened under another policy ends; the client opens anew and asks again.
        if site.generation() != by {
            return None;
        }
        let Request { number, op } = Request::decode(&message).ok()?;
        let body = talk.take(op).await;
        if process.replica.view().is_err() {
            return None;
        }
        sessions::tell(&mut sealer, pipe, &Reply { number, body }.encode());
    }
}

struct Talk {
    process: Arc<Process>,
    user: UserId,
    client: ClientId,
    spaces: Mutex<Vec<(Namespace, Arc<SpaceKeys>)>>,
}

fn refused(code: RefusalCode) -> Answer {
    Answer::Refused(refusal(code, "see the code"))
}

/// The one namespace of a node that does not tell them apart.
fn everything() -> Namespace {
    Namespace::new("all").expect("short")
}

fn unread(fault: ReadError) -> Answer {
    refused(match fault {
        ReadError::Transient => RefusalCode::Unavailable,
        ReadError::Fenced(_) => RefusalCode::Fenced,
    })
}

impl Talk {
    /// Where something is stored: namespaces and names are derived from apart, but where that is the mistake.
    fn place(&self, namespace: Namespace, key: KeyName) -> (Namespace, KeyName) {
        if !self.process.site.common.flaws.has(Flaw::Unframed) {
            return (namespace, key);
        }
        let together = [namespace.as_bytes(), &key[..]].concat();
        (everything(), KeyName::new(together).expect("short"))
    }

    async fn take(&self, op: Op) -> Answer {
        let answer = match op {
            Op::OpenNamespace(ask) => self.open_namespace(ask).await,
            Op::Write(ask) => self.write(ask).await,
            Op::Get(ask) => self.get(ask).await,
            _ => Err(refused(RefusalCode::Malformed)),
        };
        answer.unwrap_or_else(|refused| refused)
    }

    async fn open_namespace(&self, ask: OpenNamespace) -> Result<Answer, Answer> {
        let namespace = if self.process.site.common.flaws.has(Flaw::Unframed) { everything() } else { ask.namespace };
        let tag = self.process.keyring.space_tag(&self.user, &namespace);
        let owner = self.process.keyring.owner_mark(&self.user, &tag);
        let dek = {
            let mut ivs = self.process.ivs.lock().unwrap_or_else(PoisonError::into_inner);
            let made = self.process.keyring.new_space_key(&tag, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs);
            made.map_err(|_| refused(RefusalCode::Malformed))?.1
        };
        match self.propose(SealedWrite::OpenSpace(OpenSpace { space: tag, mode: KeyMode::Cluster, commit: None, dek, owner })).await? {
            Outcome::Applied(revision) => Ok(Answer::Opened(revision)),
            _ => Err(refused(RefusalCode::OtherMode)),
        }
    }

    async fn propose(&self, write: SealedWrite) -> Result<Outcome, Answer> {
        let applied = self.process.replica.write(vec![write]).await.map_err(|fault| {
            refused(match fault {
                ProposeError::NotLeader { .. } | ProposeError::Transient => RefusalCode::Unavailable,
                ProposeError::NoRoom => RefusalCode::NoRoom,
                ProposeError::Unknown => RefusalCode::OutcomeUnknown,
                ProposeError::TooLarge { .. } => RefusalCode::TooLarge,
                ProposeError::Fenced(_) => RefusalCode::Fenced,
            })
        })?;
        applied.outcomes.first().copied().ok_or_else(|| refused(RefusalCode::OutcomeUnknown))
    }

    /// The keys of a namespace, from the state as it is here or, when it is not known here, as of a read index.
    async fn space(&self, namespace: &Namespace) -> Result<Arc<SpaceKeys>, Answer> {
        let known = self
            .spaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .find(|(name, _)| name == namespace)
            .map(|(_, keys)| keys.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let tag = self.process.keyring.space_tag(&self.user, namespace);
        let row = {
            let view = self.look().await?;
            view.space(&tag).map_err(unread)?
        };
        let row = row.ok_or_else(|| refused(RefusalCode::NoNamespace))?;
        let keys = self.process.keyring.unwrap_space_key(&tag, row.mode, &row.dek).map_err(|_| refused(RefusalCode::Malformed))?;
        let keys = Arc::new(keys);
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner).push((namespace.clone(), Arc::clone(&keys)));
        Ok(keys)
    }

    async fn write(&self, ask: Write) -> Result<Answer, Answer> {
        let (namespace, _) = self.place(ask.namespace.clone(), KeyName::default());
        let keys = self.space(&namespace).await?;
        let client = self.process.keyring.client_tag(keys.space(), &self.client);
        let mut mutations = Vec::new();
        for mutation in ask.mutations.into_vec() {
            let (_, name) = self.place(ask.namespace.clone(), mutation.key);
            let key = keys.key_tag(&name);
            let change = match mutation.change {
                Change::Put(put) => {
                    let place = RecordPlace { key, client, seq: ask.once.seq };
                    let mut ivs = self.process.ivs.lock().unwrap_or_else(PoisonError::into_inner);
                    let sealed = keys.seal(&place, &name, &put.value, &mut ivs);
                    drop(ivs);
                    let record = sealed.map_err(|_| refused(RefusalCode::TooLarge))?;
                    let mut iv = record.iv;
                    if self.process.site.common.flaws.has(Flaw::PlainIvs) {
                        self.process.site.dice.fill(&mut iv);
                    }
                    self.process.site.common.fresh_iv(&iv);
                    SealedChange::Put(SealedPut { record, ttl_s: put.ttl_s })
                }
                Change::Delete => SealedChange::Delete,
                Change::Keep => SealedChange::Keep,
            };
            mutations.push(SealedMutation { key, expect: mutation.expect, change });
        }
        let mutations = List::new(mutations).map_err(|_| refused(RefusalCode::TooLarge))?;
        let change = SpaceChange { space: *keys.space(), client, once: ask.once, mutations };
        Ok(match self.propose(SealedWrite::Change(change)).await? {
            Outcome::Applied(revision) => Answer::Written(revision),
            Outcome::Conflict(conflict) => Answer::Conflict(conflict),
            Outcome::ClientForgotten | Outcome::OutOfWindow => refused(RefusalCode::ClientForgotten),
            _ => refused(RefusalCode::NoNamespace),
        })
    }

    /// The state as of a read index asked for now.
    async fn look(&self) -> Result<View, Answer> {
        match self.process.site.common.flaws.has(Flaw::LocalReads) {
            true => self.process.replica.view().map_err(unread),
            false => self.process.replica.linear_view().await.map_err(unread),
        }
    }

    async fn get(&self, ask: Get) -> Result<Answer, Answer> {
        let (namespace, name) = self.place(ask.namespace, ask.key);
        let keys = self.space(&namespace).await?;
        let key = keys.key_tag(&name);
        let view = self.look().await?;
        match view.get(keys.space(), &key).map_err(unread)? {
            None => Ok(Answer::Absent(view.revision())),
            Some(stored) => match keys.open(&key, &stored.record) {
                Ok((name, value)) => {
                    let entry = (KeyName::new(name), ringwall_wire::request::Value::new(value));
                    let (Ok(key), Ok(value)) = entry else { return Err(refused(RefusalCode::Malformed)) };
                    Ok(Answer::Found(Entry { key, value, version: stored.version }))
                }
                Err(fault) => {
                    self.process.site.common.watch.broken(Rule::EqualState, format!("a stored record does not open: {fault}"));
                    Err(refused(RefusalCode::Malformed))
                }
            },
        }
    }
}
