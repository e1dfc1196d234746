//! The client front door of a member: attested sessions, and what clients ask in them.
//!
//! | file | what it decides |
//! |---|---|
//! | `session.rs`, `users.rs`, `custodians.rs` | the way from a stranger's first byte to a user's or a custodian's session, bounded in time and size |
//! | `record.rs`, `erasure.rs`, `escrow.rs` | what a user's devices see of their record and change of it; whose namespaces are erased; to what data keys are sealed |
//! | `backup.rs` | who fetches snapshots of the whole state, and what is signed for them |
//! | `quotes.rs`, `requests.rs`, `spaces.rs` | when a quote is made, and for which sessions; what is sealed under which namespace's keys |
//! | `governance.rs`, `writes.rs` | what governs the cluster and what governors sign; how the writes of all sessions become few log entries, and what their clients are told |
//! | `reads.rs`, `lists.rs`, `index.rs`, `watch.rs` | linearizable reads, pages in key order, changes since a revision |
//! | `workloads.rs`, `grants.rs` | sessions of workloads and governors, and which keys leave |
//! | `outbox.rs`, `sender.rs`, `receipts.rs` | how replies leave, how much a session may hold, what is signed for it |
//!
//! Trusts: the replica for order and durability, `attest` and `channel` for cryptography; clients for nothing. No byte of a user is in a log
//! line or a refusal. Out of scope: members' sessions (`peers`), admission. Protocol section 3.

mod backup;
mod custodians;
mod erasure;
mod escrow;
mod expiry;
mod governance;
pub(crate) mod grants;
mod index;
mod limits;
mod lists;
mod outbox;
mod quotes;
mod reads;
mod receipts;
mod record;
mod refusals;
mod requests;
mod sender;
mod session;
mod spaces;
mod status;
#[cfg(test)]
pub(crate) mod testing;
mod users;
mod watch;
mod workloads;
mod writes;

#[cfg(test)]
pub(crate) use session::house;

use crate::clock::Clock;
use crate::context::Node;
use crate::entropy::Entropy;
use crate::governance::PolicyCell;
use crate::kbs;
use crate::publication::PublicationCell;
use crate::renewal::Sessions;
use crate::ring::Ring;
use crate::room::Room;
use crate::stapling::Staple;
use crate::web::Doors;
use crate::web::caller::Caller;
use quotes::{Bound, Platform, Quotes};
use ringwall_attest::{Anchors, Attester};
use ringwall_channel::NodeSecrets;
use ringwall_consensus::Replica;
use ringwall_quic::{CloseCode, FrameReader, FrameWriter};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Binding, Role};
use ringwall_wire::genesis::{BootConfig, GenesisRecord};
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, Slot, SpaceTag, UserId};
use ringwall_wire::limits::HANDSHAKE_MESSAGE_BYTES;
use ringwall_wire::peer::{ForwardCall, PeerAnswer};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::session::{AttestResp, NodeDescriptor, Refusal, RefusalCode};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Semaphore;
use tokio::sync::watch::{Sender as Signaller, channel as signal};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What a front door is opened with.
pub struct FrontParts {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Who this member is.
    pub incarnation: Incarnation,
    /// Its place.
    pub slot: Slot,
    /// Its boot keys.
    pub secrets: Arc<NodeSecrets>,
    /// Makes its evidence.
    pub attester: Arc<dyn Attester>,
    /// Roots workloads are judged under.
    pub anchors: Arc<Anchors>,
    /// The cluster's keys.
    pub keyring: Arc<Ring>,
    /// Its replica.
    pub replica: Replica,
    /// The founding record.
    pub genesis: GenesisRecord,
    /// The policy in force.
    pub policies: Arc<PolicyCell>,
    /// What it was told at boot.
    pub boot_config: BootConfig,
    /// Proof of release; empty where the policy demands none.
    pub staple: Arc<Staple>,
    /// The proof that recoveries are public.
    pub published: Arc<PublicationCell>,
    /// The clock: Unix milliseconds.
    pub clock: Clock,
    /// The generator.
    pub entropy: Entropy,
    /// Room on the disk of its data folder.
    pub room: Room,
    /// How long sessions last.
    pub sessions: Arc<Sessions>,
    /// The member behind the door, for what custodians ask.
    pub(crate) node: Weak<Node>,
    /// How the key broker protocol is offered; none for not at all.
    pub kbs: Option<kbs::settings::Settings>,
    /// Who may fetch snapshots of the whole state.
    pub backup_users: Vec<UserId>,
    /// Where pages are let in.
    pub web: Arc<Doors>,
}

/// The front door of one member.
pub struct Front {
    cluster_id: ClusterId,
    epoch: Epoch,
    incarnation: Incarnation,
    slot: Slot,
    secrets: Arc<NodeSecrets>,
    anchors: Arc<Anchors>,
    clock: Clock,
    judges: grants::Judges,
    keyring: Arc<Ring>,
    replica: Replica,
    genesis: GenesisRecord,
    policies: Arc<PolicyCell>,
    boot_config: Blob<4096>,
    staple: Arc<Staple>,
    published: Arc<PublicationCell>,
    web: Arc<Doors>,
    pub(crate) entropy: Entropy,
    /// The certificate of the key broker protocol, where it is offered.
    broker: Option<Arc<kbs::Identity>>,
    quotes: Arc<Quotes<Platform>>,
    writes: Arc<writes::Writes<Replica>>,
    reads: Arc<reads::Rounds<Replica>>,
    receipts: Arc<receipts::Receipts>,
    lists: lists::Lists,
    feeds: Arc<watch::Feeds>,
    /// Held while somebody's namespaces are looked for.
    erasing: Semaphore,
    spaces: spaces::Spaces,
    backups: Arc<backup::Backups>,
    sessions: Arc<Semaphore>,
    lasting: Arc<Sessions>,
    half_open: Arc<Semaphore>,
    leaving: Signaller<bool>,
    node: Weak<Node>,
    /// Tasks that end by themselves once the queues they serve are left and empty.
    queues: Mutex<Vec<JoinHandle<()>>>,
    /// Tasks that run until they are ended.
    loops: Mutex<Vec<JoinHandle<()>>>,
}

impl core::fmt::Debug for Front {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Front(incarnation {})", self.incarnation)
    }
}

impl Front {
    /// Opens the door: starts the tasks behind it. Sessions are taken by [`Front::serve`].
    pub fn start(parts: FrontParts) -> Arc<Front> {
        let FrontParts {
            cluster_id, epoch, incarnation, slot, secrets, attester, keyring, replica, genesis, policies, boot_config, ..
        } = parts;
        let binding = Binding {
            cluster_id,
            epoch,
            role: Role::ClientServer,
            incarnation,
            keys: secrets.public().clone(),
            boot_config: boot_config.host_data(),
            policy: policies.now().digest(),
            batch_root: Digest([0; 32]),
        };
        let clock = parts.clock.clone();
        let now_s = Arc::new(move || clock() / 1_000);
        let quotes = Quotes::new(Platform { attester, binding, policies: Arc::clone(&policies) }, now_s, (parts.entropy)());
        let (leader, leader_known) = signal(replica.metrics().leader);
        let broker = parts.kbs.as_ref().and_then(|settings| match kbs::Identity::new(&keyring.now(), &settings.names) {
            Ok(identity) => Some(Arc::new(identity)),
            Err(fault) => {
                tracing::error!(%fault, "the key broker protocol is not offered");
                None
            }
        });
        let front = Arc::new(Front {
            broker: broker.clone(),
            anchors: parts.anchors,
            clock: parts.clock.clone(),
            judges: grants::Judges::default(),
            cluster_id,
            epoch,
            incarnation,
            slot,
            boot_config: Blob::new(boot_config.encode()).expect("a boot configuration is under 200 bytes"),
            staple: parts.staple,
            published: parts.published,
            web: parts.web,
            entropy: parts.entropy,
            quotes: Arc::new(quotes),
            writes: Arc::new(writes::Writes::new(replica.clone(), leader_known, parts.room)),
            reads: Arc::new(reads::Rounds::new(replica.clone())),
            receipts: Arc::new(receipts::Receipts::new(cluster_id, epoch, incarnation, secrets.clone(), replica.clone())),
            lists: lists::Lists::new(replica.clone()),
            feeds: Arc::new(watch::Feeds::new(replica.clone())),
            erasing: Semaphore::new(1),
            spaces: spaces::Spaces::new(keyring.clone()),
            backups: Arc::new(backup::Backups::new(parts.backup_users)),
            sessions: Arc::new(Semaphore::new(limits::SESSIONS)),
            lasting: parts.sessions,
            half_open: Arc::new(Semaphore::new(limits::HALF_OPEN)),
            leaving: signal(false).0,
            queues: Mutex::default(),
            loops: Mutex::default(),
            secrets,
            keyring,
            replica,
            genesis,
            policies,
            node: parts.node,
        });
        front.spawn_tasks(leader);
        if let (Some(settings), Some(identity)) = (parts.kbs, broker) {
            lock(&front.loops).push(tokio::spawn(kbs::run(front.clone(), settings, identity)));
        }
        front
    }

    fn spawn_tasks(&self, leader: Signaller<Option<Incarnation>>) {
        let queues = [tokio::spawn(self.writes.clone().run()), tokio::spawn(self.reads.clone().run())];
        let loops = [
            tokio::spawn(self.quotes.clone().run()),
            tokio::spawn(self.receipts.clone().run()),
            tokio::spawn(self.feeds.clone().run()),
            tokio::spawn(self.backups.clone().run()),
            tokio::spawn(expiry::run(self.replica.clone())),
            tokio::spawn(follow_leader(self.replica.clone(), leader)),
        ];
        lock(&self.queues).extend(queues);
        lock(&self.loops).extend(loops);
    }

    /// Serves one client connection; returns when it is over and closed.
    pub async fn serve(self: &Arc<Self>, caller: Caller) {
        session::serve(self.clone(), caller).await;
    }

    /// Proposes writes another member forwarded, together with this member's own.
    pub async fn forwarded(&self, call: ForwardCall) -> PeerAnswer {
        self.writes.forwarded(call).await
    }

    /// Namespaces were erased: what was unwrapped before is forgotten.
    pub(crate) fn forget_erased(&self, erasures: u64) {
        if self.spaces.forget(erasures) {
            self.lists.forget();
        }
    }

    /// Closes the door: takes nothing new, lets what is under way get its answers, tells every session. Bounded in time.
    pub async fn shutdown(&self) {
        self.leaving.send_replace(true);
        let all = u32::try_from(limits::SESSIONS).unwrap_or(u32::MAX);
        // Sessions that do not end in time are cut off with the endpoint.
        let _ = timeout(limits::LEAVING.saturating_mul(2), self.sessions.acquire_many(all)).await;
        self.writes.leave();
        self.reads.leave();
        let (queues, loops) = (std::mem::take(&mut *lock(&self.queues)), std::mem::take(&mut *lock(&self.loops)));
        for mut queue in queues {
            if timeout(limits::LEAVING, &mut queue).await.is_err() {
                queue.abort();
            }
        }
        loops.iter().for_each(JoinHandle::abort);
    }

    fn descriptor(&self, version: u16) -> NodeDescriptor {
        let keys = self.secrets.public();
        NodeDescriptor {
            version,
            cluster_id: self.cluster_id,
            epoch: self.epoch,
            incarnation: self.incarnation,
            noise: keys.noise,
            kem: keys.kem,
            policy_version: self.policies.now().policy().version,
            web: self.web.door(),
        }
    }

    /// What was asked for by somebody who knows this policy.
    fn attest_resp(&self, bound: Bound, known_policy: Option<&Digest>) -> Result<AttestResp, Refusal> {
        let in_force = &bound.quote.in_force;
        if !in_force.reaches(known_policy) {
            return Err(refusals::changed_meanwhile());
        }
        Ok(AttestResp {
            cluster_id: self.cluster_id,
            epoch: self.epoch,
            role: Role::ClientServer,
            incarnation: self.incarnation,
            keys: self.secrets.public().clone(),
            boot_config: self.boot_config.clone(),
            genesis: self.genesis.clone(),
            policy: PolicyDoc::clone(in_force.policy()),
            steps: in_force.after(known_policy),
            evidence: bound.quote.evidence.clone(),
            endorsements: bound.quote.endorsements.clone(),
            proof: bound.proof,
            release_proof: self.staple.current(),
        })
    }

    /// The member behind the door, while it is one.
    fn node(&self) -> Result<Arc<Node>, Refusal> {
        self.node.upgrade().ok_or_else(refusals::leaving)
    }

    fn load_space(&self, tag: &SpaceTag) -> Result<Option<Arc<spaces::Space>>, Refusal> {
        self.spaces.load(&self.replica.view().map_err(|_| refusals::fenced())?, tag)
    }
}

/// Opens the front door of a member; later calls give the one that is open.
pub(crate) fn open(node: &Arc<Node>) -> Arc<Front> {
    let site = &node.site;
    let start = || {
        Front::start(FrontParts {
            cluster_id: site.cluster_id,
            epoch: site.epoch(),
            incarnation: node.incarnation,
            slot: site.slot(),
            secrets: node.secrets.clone(),
            attester: site.attester.clone(),
            anchors: Arc::new(site.anchors.clone()),
            keyring: node.keyring.clone(),
            replica: node.replica.clone(),
            genesis: site.genesis.clone(),
            policies: Arc::clone(&site.policies),
            boot_config: site.config.boot.clone(),
            staple: Arc::clone(&site.config.staple),
            published: Arc::clone(&site.published),
            clock: site.clock.clone(),
            entropy: site.entropy.clone(),
            room: Room::new(site.config.data.clone(), site.config.limits.disk_reserve_bytes),
            sessions: Arc::clone(&site.sessions),
            node: Arc::downgrade(node),
            kbs: site.config.kbs.clone(),
            backup_users: site.config.backup_users.clone(),
            web: Arc::clone(&site.web),
        })
    };
    node.front.get_or_init(start).clone()
}

/// Serves one client connection of a member.
pub(crate) async fn serve(node: Arc<Node>, caller: Caller) {
    match node.front() {
        Some(front) => front.serve(caller).await,
        None => refuse(caller, RefusalCode::Unavailable, "this member is not ready yet; try again or ask another one").await,
    }
}

/// Proposes writes another member forwarded.
pub(crate) async fn forwarded(node: &Node, call: ForwardCall) -> PeerAnswer {
    match node.front() {
        Some(front) => front.forwarded(call).await,
        None => PeerAnswer::Refused(refusals::unavailable()),
    }
}

/// Tells a client why it is not served, and closes.
pub async fn refuse(mut caller: Caller, code: RefusalCode, detail: &'static str) {
    let told = async {
        let Ok((send, recv)) = caller.streams().await else { return };
        // The question is read first, so that the answer is not lost with it.
        if FrameReader::new(recv).read(HANDSHAKE_MESSAGE_BYTES, limits::STEP).await.is_ok() {
            session::refuse_plain(FrameWriter::new(send), refusals::refusal(code, detail)).await;
        }
    };
    // Whether it was heard changes nothing for us.
    let _ = timeout(limits::STEP, told).await;
    caller.close(CloseCode::Refused).await;
}

/// Tells the batcher when another member leads.
async fn follow_leader(mut replica: Replica, leader: Signaller<Option<Incarnation>>) {
    while replica.metrics_changed().await {
        let now = replica.metrics().leader;
        leader.send_if_modified(|known| std::mem::replace(known, now) != now);
        // Metrics change with every entry; a leader does not.
        sleep(limits::RETRY_FIRST).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
