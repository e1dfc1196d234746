//! One life of a node in a world: boot, join, learn, vote, serve, end.
//!
//! Decides: nothing of its own: the order is that of `node/src/run.rs`, `join/joiner.rs` and `fencing.rs`. Fresh keys for every attempt
//! to join, a new name, an empty folder; a process ends when it is fenced, superseded, removed or stranded. A process that crashes is
//! stopped by its virtual CPU and runs nothing any more, not even its destructors. Trusts: nothing. Protocol sections 4.1 to 4.3.

use crate::world::admission;
use crate::world::flaws::Flaw;
use crate::world::front;
use crate::world::judge::Rule;
use crate::world::judge::watch::Life;
use crate::world::members::{self, Peers};
use crate::world::pipes::Door;
use crate::world::sessions::{self, Fault, Own};
use crate::world::site::{Site, address};
use ringwall_channel::NodeSecrets;
use ringwall_consensus::runtime;
use ringwall_consensus::{Class, CustodyTerms, Granted, MemberStanding, Metrics, Options, Recognition, Replica, Transport};
use ringwall_keys::Keyring;
use ringwall_keys::hedge::HedgedIvs;
use ringwall_sim::world::BUILD;
use ringwall_wire::admission::{IncarnationCert, JoinAnswer, JoinReply, JoinRequest, KeyGrant};
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{Incarnation, NoisePublic, Slot};
use ringwall_wire::peer::{NamedMember, PeerCall};
use ringwall_wire::session::{PeerPurpose, RefusalCode};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Milliseconds of the first pause between two rounds of asking; doubles.
const PAUSE_FIRST_MS: u64 = 50;
/// Longest such pause.
const PAUSE_MOST_MS: u64 = 2_000;
/// Rounds of asking of a host that attacks.
const DISHONEST_ROUNDS: u32 = 3;
/// Leaders followed in one attempt.
const HOPS: usize = 4;
/// Milliseconds a learner waits for somebody who goes on with it.
const STRANDED_MS: u64 = 60_000;
/// How long a process that answers although it is fenced stays there.
const GOING_MS: u64 = 500;

/// What a process is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It founds the cluster.
    Found,
    /// It joins.
    Join,
}

/// Where a process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Keys made, asks to join.
    Asking,
    /// Refused for good by a member that judged its evidence.
    Refused,
    /// Admitted.
    Member,
    /// Over, and why.
    Ended(String),
}

/// What the world sees of a process from outside.
pub struct Status {
    stage: Mutex<Stage>,
    member: Mutex<Option<Arc<Process>>>,
}

/// How a replica is opened, beside what node decides.
pub type Tune = Arc<dyn Fn(&mut Options) + Send + Sync>;

/// A member.
pub struct Process {
    /// Its number.
    pub number: u64,
    /// Machine and cluster.
    pub site: Arc<Site>,
    /// Keys.
    pub secrets: Arc<NodeSecrets>,
    /// Name.
    pub incarnation: Incarnation,
    /// Master keys.
    pub keyring: Arc<Keyring>,
    /// Replicated state.
    pub replica: Replica,
    /// Sessions.
    pub peers: Arc<Peers>,
    /// Whom the grant named.
    pub granted: Vec<NamedMember>,
    /// Members that said they leave.
    pub gone: Mutex<BTreeSet<Incarnation>>,
    /// Held while a joiner is admitted.
    pub admitting: tokio::sync::Mutex<()>,
    /// Told when an admission begins, for whoever wants to disturb it.
    pub admission_begun: Notify,
    /// Woken when there is membership work.
    pub steward: Notify,
    /// Initialization vectors.
    pub ivs: Mutex<HedgedIvs>,
    /// Told to leave in good order.
    pub leaving: Notify,
}

impl Status {
    /// Nothing done yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Status { stage: Mutex::new(Stage::Asking), member: Mutex::default() })
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn step(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// The member it became.
    pub fn member(&self) -> Option<Arc<Process>> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets go of the member, when the world is over.
    pub fn clear(&self) {
        self.member.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// What a process is started with.
pub struct Boot {
    /// Its number.
    pub number: u64,
    /// Machine and cluster.
    pub site: Arc<Site>,
    /// Found or join.
    pub start: Start,
    /// Addresses it asks.
    pub seeds: Vec<Text<128>>,
    /// How its replica is opened.
    pub tune: Tune,
    /// Whether its machine, build and configuration are what the policy accepts.
    pub honest: bool,
    /// What the world sees of it.
    pub status: Arc<Status>,
    /// Goes on as this process, for the proof that it must not.
    pub identity: Option<Arc<Process>>,
}

impl Boot {
    /// One life, from beginning to end.
    pub async fn run(self) {
        let trace = Arc::clone(&self.site.common.trace);
        let number = self.number;
        let process = match (self.start, &self.identity) {
            (_, Some(old)) => self.resume(old).await,
            (Start::Found, None) => self.found().await,
            (Start::Join, None) => self.join().await,
        };
        let Some(process) = process else { return };
        *self.status.member.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&process));
        self.status.step(Stage::Member);
        let why = serve(&process).await;
        trace.note(format_args!("process {number}, {}, ends: {why}", process.incarnation));
        self.site.common.watch.fenced(process.incarnation);
        if self.site.common.calm && ["superseded", "succeeded"].contains(&why.as_str()) {
            self.site.common.watch.broken(Rule::OccupiedSlot, format!("{} answered, and its slot was given away", process.incarnation));
        }
        if self.site.common.flaws.has(Flaw::AnswersFenced) {
            // The moment a process needs to be gone, which the others take for part of its life.
            tokio::time::sleep(Duration::from_millis(GOING_MS)).await;
        }
        process.site.common.wires.unplug(number);
        process.replica.shutdown().await;
        self.status.step(Stage::Ended(why));
    }

    async fn found(&self) -> Option<Arc<Process>> {
        let cluster = &self.site.common.cluster;
        let secrets = Arc::new(NodeSecrets::generate(&mut self.site.dice.clone()));
        let keyring = Arc::new(Keyring::found(cluster.id, &mut self.site.dice.clone()));
        let cert = self.cert(&secrets);
        let process = self.assemble(secrets, Incarnation::new(cluster.epoch, 1), keyring, None).await?;
        let founded = process.replica.found(cert).await;
        self.site.common.trace.note(format_args!("process {} founds: {founded:?}", self.number));
        founded.ok().map(|_| process)
    }

    /// Fresh keys for every attempt.
    fn secrets(&self) -> Arc<NodeSecrets> {
        let mut dice = self.site.dice.clone();
        if self.site.common.flaws.has(Flaw::KeptKeys) {
            dice = crate::world::dice::Dice::new(1, "kept keys", u64::from(self.site.place));
        }
        Arc::new(NodeSecrets::generate(&mut dice))
    }

    /// What a node would do that trusts its disk: the same name, the same keys, the log it finds.
    async fn resume(&self, old: &Process) -> Option<Arc<Process>> {
        self.site.common.watch.revive(old.incarnation, self.number);
        let (secrets, keyring) = (Arc::clone(&old.secrets), Arc::clone(&old.keyring));
        self.assemble(secrets, old.incarnation, keyring, None).await
    }

    fn cert(&self, secrets: &NodeSecrets) -> IncarnationCert {
        let (site, profile) = (&self.site, self.site.tee.profile());
        IncarnationCert {
            slot: site.slot(),
            keys: secrets.public().clone(),
            vendor: site.tee.vendor(),
            chip: site.tee.chip(),
            measurement: Text::new(self.said_build(&profile.build.id)).expect("short"),
            boot_config: site.boot.host_data(),
            peer_address: address(site.slot()),
            client_address: address(site.slot()),
        }
    }

    /// The build it says it runs: what was measured, where anybody looks at that.
    fn said_build<'a>(&self, measured: &'a str) -> &'a str {
        if self.site.common.flaws.has(Flaw::SelfReported) { BUILD } else { measured }
    }

    async fn join(&self) -> Option<Arc<Process>> {
        let mut pause = PAUSE_FIRST_MS;
        // A host that shows false evidence gives up after a few rounds; an honest node asks for ever.
        let rounds = if self.honest { u32::MAX } else { DISHONEST_ROUNDS };
        for _ in 0..rounds {
            for seed in &self.seeds {
                match self.attempt(seed).await {
                    Ok((secrets, grant)) => return self.accept(secrets, grant).await,
                    Err(Fault::Refused(code)) => {
                        self.site.common.trace.note(format_args!("process {} is refused: {code:?}", self.number));
                        if code == RefusalCode::EvidenceRefused {
                            self.status.step(Stage::Refused);
                        }
                    }
                    Err(fault) => self.site.common.trace.note(format_args!("process {} asks {}: {fault:?}", self.number, &**seed)),
                }
            }
            let wait = pause / 2 + self.site.dice.below(pause / 2);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            pause = (pause * 2).min(PAUSE_MOST_MS);
        }
        // Nobody lets it in: its host gives up.
        self.status.step(Stage::Refused);
        None
    }

    async fn attempt(&self, seed: &Text<128>) -> Result<(Arc<NodeSecrets>, KeyGrant), Fault> {
        let mut next = seed.clone();
        for _ in 0..HOPS {
            let secrets = self.secrets();
            let own = Own { site: &self.site, secrets: &secrets, incarnation: Incarnation(0), prover: None };
            let dialled = self.site.common.wires.dial(self.site.place, self.number, &next, Door::Peers).await;
            let mut pipe = dialled.ok_or(Fault::Lost)?;
            let mut opened = sessions::dial(own, &mut pipe, PeerPurpose::Join, None).await?;
            sessions::tell(&mut opened.sealer, &pipe, &JoinRequest { cert: self.cert(&secrets), order: None }.encode());
            let reply = sessions::receive(&mut opened.opener, &mut pipe, 20_000).await.ok_or(Fault::Lost)?;
            match JoinReply::decode(&reply).map_err(|_| Fault::Malformed)?.answer {
                JoinAnswer::Granted(grant) => return Ok((secrets, *grant)),
                JoinAnswer::Elsewhere(leader) if leader == address(self.site.slot()) => return Err(Fault::NotMember),
                JoinAnswer::Elsewhere(leader) => next = leader,
                JoinAnswer::Refused(refusal) => return Err(Fault::Refused(refusal.code)),
            }
        }
        Err(Fault::Lost)
    }

    async fn accept(&self, secrets: Arc<NodeSecrets>, grant: KeyGrant) -> Option<Arc<Process>> {
        let cluster = &self.site.common.cluster;
        if (grant.epoch, grant.incarnation.epoch()) != (cluster.epoch, cluster.epoch) {
            return None;
        }
        let newest = grant.master_keys.iter().map(|key| key.key_epoch.0).max().unwrap_or(0);
        self.site.common.watch.granted(grant.incarnation, newest);
        let keyring = Arc::new(Keyring::from_grant(cluster.id, &grant.master_keys).ok()?);
        let named = Granted { members: grant.members.into_vec(), voting: grant.voting.into_vec(), admission: grant.admission };
        self.assemble(secrets, grant.incarnation, keyring, Some(named)).await
    }

    async fn assemble(
        &self,
        secrets: Arc<NodeSecrets>,
        incarnation: Incarnation,
        keyring: Arc<Keyring>,
        granted: Option<Granted>,
    ) -> Option<Arc<Process>> {
        let (site, common) = (&self.site, &self.site.common);
        let sig = secrets.public().sig;
        common.watch.life(Life { process: self.number, incarnation, sig, vendor: site.tee.vendor(), honest: self.honest });
        let peers = Peers::new(Arc::clone(site), Arc::clone(&secrets), incarnation);
        let clock_site = Arc::clone(site);
        let mut options = Options::new(format!("inc-{incarnation}"), common.cluster.id, incarnation, Arc::new(move || clock_site.now_ms()));
        options.granted = granted.map(Arc::new);
        options.policy = Some(Arc::new(common.cluster.policy.clone()));
        options.judges = ringwall_node::governance::judges::judges();
        options.custody = CustodyTerms::of(&common.cluster.template).map(Arc::new);
        let granted = options.granted.as_ref().map_or_else(Vec::new, |granted| granted.members.clone());
        (self.tune)(&mut options);
        if common.flaws.has(Flaw::ClearKeys) {
            in_the_clear(&options, &keyring);
        }
        let transport: Arc<dyn Transport> = peers.clone();
        let replica = match Replica::open(options, transport).await {
            Ok(replica) => replica,
            Err(why) => {
                common.trace.note(format_args!("process {} cannot open its replica: {why}", self.number));
                self.status.step(Stage::Ended(why.to_string()));
                return None;
            }
        };
        peers.show(replica.prover());
        common.trace.note(format_args!("process {} is {incarnation} in slot {} on machine {}", self.number, site.slot().0, site.place));
        Some(Arc::new(Process {
            number: self.number,
            site: Arc::clone(site),
            secrets,
            incarnation,
            keyring,
            replica,
            peers,
            granted,
            gone: Mutex::default(),
            admitting: tokio::sync::Mutex::default(),
            admission_begun: Notify::new(),
            steward: Notify::new(),
            ivs: Mutex::new(HedgedIvs::new(site.dice.generator(), incarnation)),
            leaving: Notify::new(),
        }))
    }
}

/// What a node would do that keeps its keys for the next start.
fn in_the_clear(options: &Options, keyring: &Keyring) {
    let keys = keyring.granted().iter().flat_map(|key| key.key.expose().to_vec()).collect::<Vec<u8>>();
    let file = options.disk.create_empty("keys".as_ref());
    // A disk that fails holds no keys.
    let _ = file.and_then(|file| file.write_at(0, &keys).and_then(|_| file.sync()));
}

/// Serves until the process is out; says why.
async fn serve(process: &Arc<Process>) -> String {
    let mut tasks = Tasks::default();
    tasks.start(doors(Arc::clone(process)));
    tasks.start(admission::steward(Arc::clone(process)));
    tasks.start(announce(Arc::clone(process)));
    tasks.start(front::open_when_voter(Arc::clone(process)));
    let why = tokio::select! {
        biased;
        why = out(process) => why,
        () = process.leaving.notified() => leave(process).await,
    };
    drop(tasks);
    why
}

/// Tasks that end with their owner.
#[derive(Default)]
struct Tasks(Vec<tokio::task::AbortHandle>);

impl Tasks {
    fn start(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.push(runtime::spawn(task).abort_handle());
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

async fn doors(process: Arc<Process>) {
    let mut pipes = process.site.common.wires.listen(process.site.place, Door::Peers, process.number);
    while let Some(pipe) = pipes.recv().await {
        runtime::spawn(members::accept(Arc::clone(&process), pipe));
    }
}

/// Tells the members of the grant that this node is up.
async fn announce(process: Arc<Process>) {
    let others = process.granted.iter().filter(|named| named.member.slot != process.site.slot());
    let call =
        |named: &NamedMember| process.peers.call(named.incarnation, &named.member, Class::Control, PeerCall::Alive, Duration::from_secs(1));
    let calls: Vec<_> = others.map(call).collect();
    futures_util::future::join_all(calls).await;
}

/// Waits until this incarnation is out, as `node/src/fencing.rs`.
async fn out(process: &Arc<Process>) -> String {
    let mut replica = process.replica.clone();
    let (mut was_member, mut progress, mut judged) = (false, (0, false), 0);
    let mut since_ms = process.site.common.trace.now_ms();
    loop {
        let metrics = process.replica.metrics();
        if let Some(fault) = metrics.fenced {
            return format!("storage: {fault}");
        }
        if process.peers.successor().is_some() && !process.site.common.flaws.has(Flaw::StaysOn) {
            return "succeeded".into();
        }
        let Ok(view) = process.replica.view() else { return "storage".into() };
        let one_row = process.follow(&view.governance());
        process.site.common.watch.shows(process.incarnation, &view);
        let standing = view.member(process.incarnation).map(|row| row.standing);
        drop(view);
        if !one_row {
            return "the record has another row of policies than it was shown".into();
        }
        let steps = process.site.generation();
        if steps > judged {
            match process.fits() {
                Ok(()) => judged = steps,
                Err(why) => return format!("excluded: {why}"),
            }
        }
        let stays = process.site.common.flaws.has(Flaw::StaysOn);
        match standing.filter(|_| !stays) {
            Some(MemberStanding::Superseded) => return "superseded".into(),
            Some(MemberStanding::Retired) => return "removed".into(),
            Some(MemberStanding::Live) | None => {}
        }
        let (voter, learner) = (process.is_named(&metrics.voters), process.is_named(&metrics.learners));
        if !voter && !learner && was_member && !stays {
            return "removed".into();
        }
        was_member |= voter || learner;
        let now = process.site.common.trace.now_ms();
        if voter || progress != (metrics.applied, learner) {
            progress = (metrics.applied, learner);
            since_ms = now;
        }
        if now - since_ms > STRANDED_MS {
            return "stranded".into();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        // The timeout only bounds the wait.
        let _ = tokio::time::timeout(Duration::from_millis(500), replica.metrics_changed()).await;
    }
}

async fn leave(process: &Arc<Process>) -> String {
    // What cannot be handed over, or told, others find out by themselves.
    let _ = tokio::time::timeout(Duration::from_secs(3), process.replica.hand_over()).await;
    let voters = process.replica.metrics().voters;
    let others = voters.iter().filter(|named| named.incarnation != process.incarnation);
    let call = |named: &NamedMember| {
        process.peers.call(named.incarnation, &named.member, Class::Control, PeerCall::Leaving, Duration::from_millis(500))
    };
    let told: Vec<_> = others.map(call).collect();
    futures_util::future::join_all(told).await;
    "left".into()
}

impl Process {
    fn is_named(&self, members: &[NamedMember]) -> bool {
        members.iter().any(|named| named.incarnation == self.incarnation)
    }

    /// Its metrics.
    pub fn metrics(&self) -> Metrics {
        self.replica.metrics()
    }

    /// Its slot.
    pub fn slot(&self) -> Slot {
        self.site.slot()
    }

    /// Whom a session with this name and key belongs to, as the replica says.
    pub fn recognise(&self, incarnation: Incarnation, noise: &NoisePublic) -> Recognition {
        let flaws = &self.site.common.flaws;
        match self.replica.recognise(incarnation, noise) {
            _ if flaws.has(Flaw::AddressIsIdentity) => Recognition::Member,
            Recognition::Out if flaws.has(Flaw::StaysOn) => Recognition::Member,
            seen => seen,
        }
    }
}
