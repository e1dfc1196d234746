//! One life of a node, from its configuration to its end.
//!
//! Decides: the order of things: memory protected, evidence tried on the node itself, then the endpoint, then founding or joining, then
//! serving; on a signal everything that was promised is kept, on a fence nothing more is said. Whatever ends a node has a type and an
//! exit code.
//! Trusts: the providers it is given (attester, roots, clock, generator). Out of scope: the command line (`cli`). Protocol section 4.

use crate::attesting::{self, Claim, Wanted};
use crate::clock::Clock;
use crate::config::{ClusterPart, Config, ConfigError};
use crate::context::{EpochCell, Node, Site};
use crate::custody::{self, CustodyDesk};
use crate::endorsements::limits::START_WAITS;
use crate::entropy::{self, Entropy, EntropyError};
use crate::fencing::{self, FenceReason};
use crate::found::{self, FIRST_EPOCH, FoundError};
use crate::governance::judges::NotJudged;
use crate::governance::{self, GovernanceDesk};
use crate::hardening::HardeningError;
use crate::heard::HeardCell;
use crate::join::joiner::{self, OwnEvidence};
use crate::join::steward;
use crate::life::{Life, LifeCell};
use crate::peers::pool::PeerPool;
use crate::platform::PlatformError;
use crate::platform::chip_keys::{ChipKeys, KeySource};
use crate::recover::assist::Assist;
use crate::recover::{self, Plan, RecoverError};
use crate::renewal::Sessions;
use crate::ring::Ring;
use crate::web::{Doors, ListenError};
use crate::{accept, folders, front, publication, stapling};
use ringwall_attest::{Anchors, Attester, CollectError, SessionError};
use ringwall_channel::NodeSecrets;
use ringwall_consensus::recovery::{OwnedSealJudge, Source, TakeUpError};
use ringwall_consensus::{Class, CustodyTerms, Granted, OpenError, Options, ProposeError, Replica, Transport};
use ringwall_keys::Keyring;
use ringwall_quic::{Alpn, BindError, PipeError};
use ringwall_wire::admission::IncarnationCert;
use ringwall_wire::bounded::Text;
use ringwall_wire::evidence::Role;
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::{Digest, Incarnation};
use ringwall_wire::peer::{NamedMember, PeerCall};
use ringwall_wire::receipt::TreePoint;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

/// Longest wait until another member leads.
const HAND_OVER: Duration = Duration::from_secs(3);
/// Longest wait until other members know that this one leaves.
const FAREWELL: Duration = Duration::from_millis(500);
/// Longest wait until close messages are sent.
const CLOSING: Duration = Duration::from_secs(1);

/// What a node needs from outside.
pub struct Providers {
    /// Makes evidence of this machine.
    pub attester: Arc<dyn Attester>,
    /// Opens what derives keys on this machine.
    pub chip_keys: KeySource,
    /// Roots of trust.
    pub anchors: Anchors,
    /// Wall clock.
    pub clock: Clock,
    /// Generator.
    pub entropy: Entropy,
}

/// Why a node did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No usable generator.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Memory cannot be protected.
    #[error(transparent)]
    Hardening(#[from] HardeningError),
    /// No TEE.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The TEE gives no evidence.
    #[error("this machine gives no evidence: {0}")]
    NoEvidence(#[from] CollectError),
    /// The node's own evidence is refused by its own verifier: every other node would refuse it too.
    #[error("this machine's evidence is refused by the cluster's policy: {0}")]
    EvidenceRefused(#[from] SessionError),
    /// The address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The endpoint.
    #[error(transparent)]
    Pipe(#[from] PipeError),
    /// The TCP address of the door for pages.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Founding.
    #[error(transparent)]
    Found(#[from] FoundError),
    /// The data folder.
    #[error("data folder {folder}: {cause}; check that it exists, is writable and has room", folder = folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The replica.
    #[error(transparent)]
    Replica(#[from] OpenError),
    /// The founder's group did not start.
    #[error("the group was not founded: {0}")]
    NotFounded(#[from] ProposeError),
    /// Recovery from total outage.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The incarnation is out.
    #[error("this incarnation is out: {0}")]
    Fenced(FenceReason),
    /// The card's steps of the policy do not hold.
    #[error("the card: {0}")]
    Policy(#[from] NotJudged),
    /// The runtime.
    #[error("the runtime cannot start: {0}")]
    Runtime(std::io::Error),
}

impl NodeError {
    /// Exit code of the process; stable, listed by `--help`.
    pub fn exit_code(&self) -> u8 {
        match self {
            NodeError::Config(_) | NodeError::Policy(_) => 10,
            NodeError::Platform(_) | NodeError::NoEvidence(_) => 11,
            NodeError::EvidenceRefused(_) => 12,
            NodeError::Bind(_) | NodeError::Listen(_) => 13,
            NodeError::Folder { .. } | NodeError::Replica(_) => 14,
            NodeError::Found(_) | NodeError::NotFounded(_) => 15,
            NodeError::Entropy(_) | NodeError::Hardening(_) => 16,
            NodeError::Recover(fault) if fault.is_disagreement() => 19,
            NodeError::Recover(_) => 18,
            NodeError::Fenced(_) => 20,
            NodeError::Pipe(_) | NodeError::Runtime(_) => 70,
        }
    }
}

/// Runs a node until `stop` resolves (then it leaves in good order) or it ends by itself.
pub async fn run_node(config: Config, providers: Providers, stop: impl Future<Output = ()>) -> Result<(), NodeError> {
    run_from(config, providers, Errand::Serve, stop).await
}

/// What a process is started for.
pub(crate) enum Errand {
    /// To found or to join, and to serve.
    Serve,
    /// To recover, and to serve.
    Recover(Plan),
    /// To give its disk to whoever recovers.
    Assist,
}

pub(crate) async fn run_from(
    config: Config,
    providers: Providers,
    errand: Errand,
    stop: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    tokio::pin!(stop);
    let (site, card) = prepare(config, providers)?;
    let own_evidence = tokio::select! {
        tried = try_own_evidence(&site, !matches!(errand, Errand::Serve)) => tried?,
        () = stop.as_mut() => return Ok(()),
    };
    site.life.step(Life::Unjoined).expect("a booted node is unjoined");
    info!(cluster = %site.cluster_id, slot = %site.slot(), address = %site.config.listen, vendor = %own_evidence.vendor, "own evidence is accepted");
    let (member, members) = watch::channel(None);
    let mut accepting = tokio::task::JoinSet::new();
    let assist = matches!(errand, Errand::Assist).then(|| Assist::new(&site));
    accepting.spawn(accept::run(Arc::clone(&site), members, assist));
    accepting.spawn(renew_on_hangup(Arc::clone(&site)));
    accepting.spawn(stapling::follow(Arc::clone(&site)));
    accepting.spawn(publication::follow(Arc::clone(&site)));
    let begins = match (card, errand) {
        (Some(card), _) => Begins::Founds(Box::new(card)),
        (None, Errand::Recover(plan)) => Begins::Recovers(plan),
        (None, Errand::Assist) => Begins::Assists,
        (None, Errand::Serve) => Begins::Joins,
    };
    let outcome = live(&site, begins, &own_evidence, &member, stop).await;
    if let Err(fault) = &outcome {
        // Nothing more is said: whoever waits learns it from the closed connection.
        let _ = site.life.step(Life::Fenced);
        warn!(%fault, "this node ends");
    }
    site.leaving.send_replace(true);
    member.send_replace(None);
    site.endpoint.close((ringwall_quic::CloseCode::ShuttingDown as u32).into(), b"");
    // Whether the last packets went out changes nothing here.
    let _ = tokio::time::timeout(CLOSING, site.endpoint.wait_idle()).await;
    accepting.shutdown().await;
    outcome
}

/// SIGHUP, an operator's word: every session is opened anew, with fresh evidence.
async fn renew_on_hangup(site: Arc<Site>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        info!("all sessions are opened anew");
        site.sessions.renew();
    }
}

/// Everything before the first word: identity, folder, endpoint.
fn prepare(config: Config, providers: Providers) -> Result<(Arc<Site>, Option<ClusterCard>), NodeError> {
    entropy::try_out(&providers.entropy)?;
    let (card, founding) = match &config.cluster {
        ClusterPart::Found(template, policy) => {
            found::claim(&config.data)?;
            (found::identity(*template.clone(), *policy.clone(), &providers.entropy), true)
        }
        ClusterPart::Join(card) => (*card.clone(), false),
    };
    let folder = |cause| NodeError::Folder { folder: config.data.clone(), cause };
    std::fs::create_dir_all(&config.data).map_err(folder)?;
    let policies = governance::file::at_start(&config.data, card.genesis.cluster_id(), &card.policy, &card.steps)?;
    let endpoint = ringwall_quic::bind(config.listen, Some(ringwall_quic::server_config()?))?;
    let web = Doors::open(&config, &providers.clock, &providers.entropy)?;
    let site = Site {
        cluster_id: card.genesis.cluster_id(),
        epochs: EpochCell::new(FIRST_EPOCH),
        genesis: card.genesis.clone(),
        founding: card.policy.clone(),
        card_addresses: card.addresses.to_vec(),
        sessions: Sessions::new(&policies.now().policy().session, config.limits.reattest),
        policies: Arc::new(policies),
        heard: HeardCell::at_start(&config.data),
        published: Arc::default(),
        config,
        attester: providers.attester,
        chip_keys: ChipKeys::new(providers.chip_keys),
        anchors: providers.anchors,
        clock: providers.clock,
        entropy: providers.entropy,
        endpoint,
        web,
        dial: ringwall_quic::dial_config(Alpn::Peer)?,
        life: LifeCell::default(),
        leaving: watch::Sender::new(false),
    };
    Ok((Arc::new(site), founding.then_some(card)))
}

/// Judges this node's own evidence as a stranger would: what is refused here is refused everywhere.
async fn try_own_evidence(site: &Arc<Site>, recovers: bool) -> Result<OwnEvidence, NodeError> {
    let secrets = NodeSecrets::generate(&mut *(site.entropy)());
    let (handshake, nonce) = (Digest(entropy::nonce(&site.entropy).0), entropy::nonce(&site.entropy));
    let role = match site.config.cluster {
        ClusterPart::Found(..) => Role::Genesis,
        ClusterPart::Join(_) if recovers => Role::Recovery,
        ClusterPart::Join(_) => Role::JoinInit,
    };
    let claim = Claim { role, incarnation: Incarnation(0), keys: secrets.public().clone(), handshake, nonce };
    let mut waits = START_WAITS.into_iter();
    let answer = loop {
        match (attesting::answer(site, claim.clone()).await, waits.next()) {
            // A vendor's service that is down for a moment is no reason to give up a start.
            (Err(CollectError::NoEndorsements { reason }), Some(wait)) => {
                warn!(reason, wait_s = wait.as_secs(), "no endorsements yet");
                tokio::time::sleep(wait).await;
            }
            (outcome, _) => break outcome?,
        }
    };
    let wanted = Wanted { role, handshake, nonce, noise: secrets.public().noise };
    let peer = attesting::judge(site, answer, wanted).await?;
    let judged = peer.appraised();
    site.chip_keys.look(judged.claims());
    let measurement = Text::new(judged.measurement()).expect("a policy names measurements in at most 64 bytes");
    Ok(OwnEvidence { vendor: judged.vendor(), chip: judged.chip(), measurement })
}

/// How a node becomes a member.
enum Begins {
    /// Of a cluster of its own.
    Founds(Box<ClusterCard>),
    /// By taking up what is left of one.
    Recovers(Plan),
    /// By asking members.
    Joins,
    /// It becomes none.
    Assists,
}

/// Founds, recovers or joins, then serves.
async fn live(
    site: &Arc<Site>,
    begins: Begins,
    own_evidence: &OwnEvidence,
    member: &watch::Sender<Option<Arc<Node>>>,
    stop: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    tokio::pin!(stop);
    let node = match begins {
        Begins::Assists => {
            info!(address = %site.config.listen, "assist: this disk is given to an attested node of the cluster that recovers; stop this process once it serves");
            stop.await;
            return Ok(());
        }
        Begins::Founds(card) => found_group(site, *card, own_evidence).await?,
        Begins::Recovers(plan) => {
            let recovered = tokio::select! {
                recovered = recover::run(site, own_evidence, &plan) => recovered?,
                () = &mut stop => return Ok(()),
            };
            site.life.step(Life::Voter).expect("whoever recovers is its group's only voter");
            front::open(&recovered);
            recovered
        }
        Begins::Joins => {
            let granted = tokio::select! {
                granted = joiner::join(site, own_evidence) => granted,
                () = &mut stop => return Ok(()),
            };
            let Some(granted) = granted else { return Ok(()) };
            let grant = granted.grant;
            info!(incarnation = %grant.incarnation, slot = %site.slot(), "admitted: this life has its name and the cluster's keys");
            let named = Granted { members: grant.members.into_vec(), voting: grant.voting.into_vec(), admission: grant.admission };
            let node = assemble(site, granted.secrets, grant.incarnation, granted.keyring, Some(named)).await?;
            site.life.step(Life::Learner).expect("a granted node becomes a learner");
            node
        }
    };
    member.send_replace(Some(Arc::clone(&node)));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(steward::run(Arc::clone(&node)));
    tasks.spawn(become_voter(Arc::clone(&node)));
    tasks.spawn(announce(Arc::clone(&node)));
    custody::spawn(&node, &mut tasks);
    governance::spawn(&node, &mut tasks);
    let outcome = tokio::select! {
        reason = fencing::out(Arc::clone(&node)) => Err(NodeError::Fenced(reason)),
        () = &mut stop => Ok(()),
    };
    if outcome.is_ok() {
        leave(&node).await;
    }
    tasks.shutdown().await;
    node.replica.shutdown().await;
    outcome
}

async fn found_group(site: &Arc<Site>, card: ClusterCard, own_evidence: &OwnEvidence) -> Result<Arc<Node>, NodeError> {
    let secrets = Arc::new(NodeSecrets::generate(&mut *(site.entropy)()));
    let keyring = Ring::new(Keyring::found(site.cluster_id, &mut *(site.entropy)()));
    let cert = joiner::cert(site, &secrets, own_evidence);
    let node = assemble(site, secrets, found::first_incarnation(), keyring, None).await?;
    node.replica.found(cert).await?;
    site.life.step(Life::Voter).expect("a founder is its group's only voter");
    front::open(&node);
    let card = found::publish(&site.config, site.web.door(), card)?;
    info!(cluster = %site.cluster_id, incarnation = %node.incarnation, card = %card.display(), "founded");
    Ok(node)
}

/// How every replica of this cluster is opened, but for whom it knows and what it seals with.
pub(crate) fn replica_options(site: &Site, dir: PathBuf, incarnation: Incarnation) -> Options {
    let mut options = Options::new(dir, site.cluster_id, incarnation, Arc::clone(&site.clock));
    options.policy = Some(Arc::new(site.founding.clone()));
    options.judges = governance::judges::judges();
    options.custody = CustodyTerms::of(&site.genesis.template).map(Arc::new);
    options.heartbeat_ms = site.config.timing.heartbeat_ms;
    options.election_ms = site.config.timing.election_ms;
    options
}

/// A member that takes up a found log as the only voter of a new epoch.
pub(crate) async fn assemble_recovered(
    site: &Arc<Site>,
    secrets: Arc<NodeSecrets>,
    incarnation: Incarnation,
    keyring: Arc<Ring>,
    (source, judge, chosen, cert): (Source, OwnedSealJudge, TreePoint, IncarnationCert),
) -> Result<Arc<Node>, TakeUpError> {
    let peers = PeerPool::new(Arc::clone(site), Arc::clone(&secrets), incarnation);
    let mut options = replica_options(site, folders::of(&site.config.data, incarnation), incarnation);
    options.sealer = Some(keyring.sealer());
    let transport: Arc<dyn Transport> = peers.clone();
    let replica = Replica::take_up(options, transport, source, judge, (chosen, cert)).await?;
    Ok(member(site, (secrets, incarnation, keyring), (peers, replica), Vec::new()))
}

/// A member in a fresh folder.
async fn assemble(
    site: &Arc<Site>,
    secrets: Arc<NodeSecrets>,
    incarnation: Incarnation,
    keyring: Arc<Ring>,
    granted: Option<Granted>,
) -> Result<Arc<Node>, NodeError> {
    let peers = PeerPool::new(Arc::clone(site), Arc::clone(&secrets), incarnation);
    let mut options = replica_options(site, folders::of(&site.config.data, incarnation), incarnation);
    options.sealer = Some(keyring.sealer());
    options.granted = granted.map(Arc::new);
    let granted = options.granted.as_ref().map_or_else(Vec::new, |granted| granted.members.clone());
    let transport: Arc<dyn Transport> = peers.clone();
    let replica = Replica::open(options, transport).await?;
    Ok(member(site, (secrets, incarnation, keyring), (peers, replica), granted))
}

fn member(
    site: &Arc<Site>,
    (secrets, incarnation, keyring): (Arc<NodeSecrets>, Incarnation, Arc<Ring>),
    (peers, replica): (Arc<PeerPool>, Replica),
    granted: Vec<NamedMember>,
) -> Arc<Node> {
    peers.show(replica.prover());
    Arc::new(Node {
        site: Arc::clone(site),
        secrets,
        incarnation,
        keyring,
        replica,
        peers,
        granted,
        front: OnceLock::new(),
        gone: Mutex::default(),
        admitting: tokio::sync::Mutex::default(),
        steward: tokio::sync::Notify::new(),
        custody: CustodyDesk::default(),
        governance: GovernanceDesk::default(),
    })
}

/// Tells the members of the grant that this node is up now, so that the leader need not find out.
async fn announce(node: Arc<Node>) {
    // The member of this node's own slot is the life it replaces, and may have had the same address.
    let others = node.granted.iter().filter(|named| named.member.slot != node.site.slot());
    let calls: Vec<_> =
        others.map(|named| node.peers.call(named.incarnation, &named.member, Class::Control, PeerCall::Alive, FAREWELL)).collect();
    // A member that does not answer is one the leader will do without.
    let _ = futures_util::future::join_all(calls).await;
}

/// Waits until this is a voter; then opens the front door and clears old lives away.
async fn become_voter(node: Arc<Node>) {
    let mut replica = node.replica.clone();
    while !replica.metrics().voters.iter().any(|voter| voter.incarnation == node.incarnation) {
        if !replica.metrics_changed().await {
            // Fenced before it was one: `fencing` ends the process, and says why.
            return;
        }
    }
    if node.site.life.now() == Life::Learner {
        node.site.life.step(Life::Voter).expect("a learner becomes a voter");
        info!(incarnation = %node.incarnation, slot = %node.site.slot(), "voter");
        front::open(&node);
    }
    let (data, me) = (node.site.config.data.clone(), node.incarnation);
    match tokio::task::spawn_blocking(move || folders::tidy(&data, me)).await {
        Ok(Ok(removed)) if removed.is_empty() => {}
        Ok(Ok(removed)) => info!(?removed, "folders of old lives removed"),
        Ok(Err(fault)) => warn!(%fault, "folders of old lives are left: remove them by hand"),
        Err(fault) => warn!(%fault, "folders of old lives are left: remove them by hand"),
    }
}

/// Leaves in good order: clients get their answers, another member leads, everybody knows.
async fn leave(node: &Arc<Node>) {
    info!(incarnation = %node.incarnation, "leaving");
    node.site.leaving.send_replace(true);
    if let Some(front) = node.front() {
        front.shutdown().await;
    }
    match tokio::time::timeout(HAND_OVER, node.replica.hand_over()).await {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => warn!(%fault, "leadership was not handed over"),
        Err(_) => warn!("leadership was not handed over in time"),
    }
    let members = node.replica.metrics().voters;
    let told = members
        .iter()
        .filter(|named| named.incarnation != node.incarnation)
        .map(|named| node.peers.call(named.incarnation, &named.member, Class::Control, PeerCall::Leaving, FAREWELL));
    let told: Vec<_> = told.collect();
    // A member that cannot be told finds out by itself.
    let _ = futures_util::future::join_all(told).await;
}
