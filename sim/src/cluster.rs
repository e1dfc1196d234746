//! A cluster of simulated nodes on this machine, as separate processes with real sockets and real fsync.
//!
//! Decides: folders, ports, configuration files, and that every process ends with this one. Shared by the demo, the suites over real
//! processes and the benchmark. Trusts: the program it starts to be `ringwall_sim::daemon`.
//! Out of scope: what nodes do; waiting for a state (callers ask the cluster itself).

use crate::world;
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::{ClusterCard, Custodian};
use ringwall_wire::policy::{Governance, PolicyDoc};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long founding may take: minting, one quote, one fsync.
const FOUNDING: Duration = Duration::from_secs(60);

/// Why a local cluster could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file or a process.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The founding node ended or never wrote its card.
    #[error("the founding node wrote no cluster card within {seconds} s; its log is {log}:\n{tail}")]
    NotFounded {
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The card cannot be read.
    #[error("the cluster card is not one: {0}")]
    Card(#[from] ringwall_wire::codec::DecodeError),
}

/// A TCP port nobody listens on.
fn free_port() -> Result<SocketAddr, LocalError> {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).map_err(io("finding a free port"))
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> LocalError {
    let what = what.into();
    move |cause| LocalError::Io { what, cause }
}

/// How a simulated daemon is started: a program and the arguments that make it one.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Arguments before those of the daemon.
    pub arguments: Vec<OsString>,
}

impl Launch {
    /// This very program, which must run [`crate::daemon::run`] when its first argument is `word`.
    pub fn this_program(word: &str) -> Result<Self, LocalError> {
        let program = std::env::current_exe().map_err(io("finding this program"))?;
        Ok(Launch { program, arguments: vec![word.into()] })
    }
}

/// What kind of machine stands in a slot and how it behaves.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Name of the chip.
    pub chip: String,
    /// Further arguments of the simulated daemon (`--lie`, `--build`, ...).
    pub behaviour: Vec<String>,
}

impl Machine {
    /// An honest machine.
    pub fn honest(chip: &str) -> Self {
        Machine { chip: chip.to_owned(), behaviour: Vec::new() }
    }
}

/// How a local cluster differs from the plain one.
#[derive(Clone, Debug, Default)]
pub struct LocalOptions {
    /// Milliseconds between heartbeats, least and most until an election; none leaves the daemon's defaults.
    pub timing: Option<(u64, u64, u64)>,
    /// Addresses the nodes are told to name instead of their own, by slot: where a test listens in. Empty = their own.
    pub advertise: Vec<SocketAddr>,
    /// MiB that every node keeps free on its disk; none leaves the daemon's default.
    pub disk_reserve_mib: Option<u64>,
    /// Form and level of the nodes' logs; none is text at `info`.
    pub log: Option<(&'static str, &'static str)>,
    /// The founding policy; none is the standard world's.
    pub policy: Option<PolicyDoc>,
    /// Governors of the founding policy; none for a cluster nobody governs.
    pub governance: Option<Governance>,
    /// Seconds after which sessions attest anew; none leaves the daemon's default.
    pub reattest_s: Option<u32>,
    /// Who holds shares of the recovery key, and how many of them recover; nobody where it is empty.
    pub custodians: (Vec<Custodian>, u8),
    /// Seconds between two rotations of the master key, and from an erasure to one; none leaves the daemon's defaults.
    pub rotate_s: Option<(u32, u32)>,
    /// Folder of endorsements of workloads' machines; with it every node offers the key broker protocol on a port of its own.
    pub kbs: Option<PathBuf>,
    /// Slots whose nodes alone offer it; empty = all.
    pub kbs_slots: Vec<u8>,
    /// Whether nodes let pages in, by WebTransport and by WebSocket.
    pub web: bool,
    /// Ids of users who may back the cluster up.
    pub backup_users: Vec<String>,
    /// The proof of release every node hands out.
    pub release_proof: Option<PathBuf>,
}

/// One slot and the process that stands in it.
#[derive(Debug)]
struct Place {
    machine: Machine,
    address: SocketAddr,
    /// Where it offers the key broker protocol.
    kbs: Option<SocketAddr>,
    /// Where it lets pages in that come by WebSocket.
    socket: Option<SocketAddr>,
    child: Option<Child>,
}

/// Nodes of one cluster; all of them end when this is dropped.
#[derive(Debug)]
pub struct LocalCluster {
    folder: PathBuf,
    launch: Launch,
    places: Vec<Place>,
    card: ClusterCard,
    options: LocalOptions,
}

impl LocalCluster {
    /// Founds a cluster of the standard world in `folder` with a node for each machine: the first founds, the others are started and
    /// join by themselves. Returns once the card exists; joining goes on.
    pub fn start(folder: &Path, launch: Launch, machines: &[Machine]) -> Result<Self, LocalError> {
        Self::start_with(folder, launch, machines, LocalOptions::default())
    }

    /// The same, with options.
    pub fn start_with(folder: &Path, launch: Launch, machines: &[Machine], options: LocalOptions) -> Result<Self, LocalError> {
        std::fs::create_dir_all(folder).map_err(io(format!("making {}", folder.display())))?;
        let mut policy = options.policy.clone().unwrap_or_else(world::policy);
        if let Some(governance) = &options.governance {
            policy.governance = governance.clone();
        }
        let mut template = world::genesis_template(&policy, "local");
        let (custodians, threshold) = options.custodians.clone();
        template.custodians = ringwall_wire::bounded::List::new(custodians)?;
        template.custody_threshold = threshold;
        std::fs::write(folder.join("cluster.policy"), policy.encode()).map_err(io("writing the policy"))?;
        std::fs::write(folder.join("genesis.template"), template.encode()).map_err(io("writing the founding template"))?;
        let sockets: Vec<UdpSocket> =
            machines.iter().map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<Result<_, _>>().map_err(io("finding a free port"))?;
        let mut places = Vec::new();
        for ((socket, machine), slot) in sockets.iter().zip(machines).zip(1..) {
            let address = socket.local_addr().map_err(io("finding a free port"))?;
            let offers = options.kbs.is_some() && (options.kbs_slots.is_empty() || options.kbs_slots.contains(&slot));
            let (kbs, socket) = (offers.then(free_port).transpose()?, options.web.then(free_port).transpose()?);
            places.push(Place { machine: machine.clone(), address, kbs, socket, child: None });
        }
        drop(sockets);
        let unread = ClusterCard {
            genesis: world::genesis_record(&policy, "local", ringwall_wire::ids::Nonce([0; 32])),
            policy,
            steps: Default::default(),
            addresses: Default::default(),
            web: Default::default(),
        };
        let mut cluster = LocalCluster { folder: folder.to_owned(), launch, places, card: unread, options };
        cluster.spawn(1, "found")?;
        cluster.card = cluster.wait_for_card()?;
        for slot in 2..=machines.len() {
            cluster.spawn(slot as u8, "run")?;
        }
        Ok(cluster)
    }

    /// The cluster card.
    pub fn card(&self) -> &ClusterCard {
        &self.card
    }

    /// Path of the card file, for command lines.
    pub fn card_path(&self) -> PathBuf {
        self.folder.join("cluster.card")
    }

    /// Where the node of `slot` answers.
    pub fn address(&self, slot: u8) -> SocketAddr {
        self.place(slot).address
    }

    /// Where the node of `slot` offers the key broker protocol, if it does.
    pub fn kbs_address(&self, slot: u8) -> Option<SocketAddr> {
        self.place(slot).kbs
    }

    /// All addresses nodes name, as text.
    pub fn addresses(&self) -> Vec<String> {
        match self.options.advertise.is_empty() {
            true => self.places.iter().map(|place| place.address.to_string()).collect(),
            false => self.options.advertise.iter().map(SocketAddr::to_string).collect(),
        }
    }

    /// Slots, from 1.
    pub fn slots(&self) -> std::ops::RangeInclusive<u8> {
        1..=self.places.len() as u8
    }

    /// Name of the chip in `slot`.
    pub fn chip(&self, slot: u8) -> &str {
        &self.place(slot).machine.chip
    }

    /// Process ids of the running nodes.
    pub fn pids(&self) -> Vec<u32> {
        self.places.iter().filter_map(|place| place.child.as_ref().map(Child::id)).collect()
    }

    /// Process id of the node of `slot`, when it runs.
    pub fn pid(&self, slot: u8) -> Option<u32> {
        self.place(slot).child.as_ref().map(Child::id)
    }

    /// Data folder of `slot`.
    pub fn data_folder(&self, slot: u8) -> PathBuf {
        self.folder.join(format!("node-{slot}"))
    }

    /// Log file of `slot`; every life of the node appends to it.
    pub fn log(&self, slot: u8) -> PathBuf {
        self.folder.join(format!("node-{slot}.log"))
    }

    /// Kills the node of `slot` at once (SIGKILL), as a power cut would.
    pub fn kill(&mut self, slot: u8) {
        if let Some(mut child) = self.place_mut(slot).child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the node of `slot` again, on `machine`: a new process that joins by attestation.
    pub fn restart_on(&mut self, slot: u8, machine: Machine) -> Result<(), LocalError> {
        self.kill(slot);
        self.place_mut(slot).machine = machine;
        self.spawn(slot, "run")
    }

    /// Starts the node of `slot` again on the machine it was on.
    pub fn restart(&mut self, slot: u8) -> Result<(), LocalError> {
        let machine = self.place(slot).machine.clone();
        self.restart_on(slot, machine)
    }

    /// Starts the node of `slot` again, to recover the cluster from a total outage; `flags` follow those of `recover start`.
    pub fn recover(&mut self, slot: u8, flags: &[OsString]) -> Result<(), LocalError> {
        self.kill(slot);
        self.spawn_with(slot, &["recover", "start"], flags)
    }

    /// Starts the node of `slot` again, to give its disk to the one that recovers.
    pub fn assist(&mut self, slot: u8) -> Result<(), LocalError> {
        self.kill(slot);
        self.spawn_with(slot, &["recover", "assist"], &[])
    }

    /// The same on `machine`.
    pub fn recover_on(&mut self, slot: u8, machine: Machine, flags: &[OsString]) -> Result<(), LocalError> {
        self.kill(slot);
        self.place_mut(slot).machine = machine;
        self.recover(slot, flags)
    }

    /// Asks the node of `slot` to stop (SIGTERM) and waits; true when it ended by itself within `bound`.
    pub fn stop(&mut self, slot: u8, bound: Duration) -> bool {
        self.place(slot).child.is_none() || self.end(slot, rustix::process::Signal::TERM, bound).is_some()
    }

    /// Sends `signal` to the process of `slot` and waits; none when it had to be killed after `bound`, or did not run.
    pub fn end(&mut self, slot: u8, signal: rustix::process::Signal, bound: Duration) -> Option<ExitStatus> {
        let mut child = self.place_mut(slot).child.take()?;
        let pid = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(pid, signal);
        let until = Instant::now() + bound;
        while Instant::now() < until {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }

    /// Whether the process of `slot` still runs.
    pub fn is_running(&mut self, slot: u8) -> bool {
        matches!(self.place_mut(slot).child.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// Exit code of the process of `slot`, once it ended by itself.
    pub fn exit_code(&mut self, slot: u8) -> Option<i32> {
        self.place_mut(slot).child.as_mut()?.try_wait().ok().flatten()?.code()
    }

    /// Starts another process for the place of `slot`, beside whatever stands there and at an address of its own. `name` becomes its log, and its
    /// data folder where `data` names none, as whoever copied a disk would; `flags` follow those of `run`.
    pub fn rival(&self, slot: u8, name: &str, machine: &Machine, data: Option<&Path>, flags: &[OsString]) -> Result<Rival, LocalError> {
        let address = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).map_err(io("finding a free port"))?;
        let (config, log) = (self.folder.join(format!("{name}.toml")), self.folder.join(format!("{name}.log")));
        std::fs::File::create(&log).map_err(io(format!("opening {}", log.display())))?;
        let data = data.map_or_else(|| self.folder.join(name), Path::to_owned);
        let text = self.config_of(slot, &data, address, None);
        let child = self.process(machine, &["run"], &config, &text, &log, flags)?;
        Ok(Rival { child, address, log })
    }

    /// Sends a signal to the process of `slot`.
    pub fn signal(&self, slot: u8, signal: rustix::process::Signal) {
        if let Some(child) = &self.place(slot).child {
            let _ = rustix::process::kill_process(rustix::process::Pid::from_child(child), signal);
        }
    }

    fn place(&self, slot: u8) -> &Place {
        &self.places[usize::from(slot) - 1]
    }

    fn place_mut(&mut self, slot: u8) -> &mut Place {
        &mut self.places[usize::from(slot) - 1]
    }

    fn spawn(&mut self, slot: u8, verb: &str) -> Result<(), LocalError> {
        self.spawn_with(slot, &[verb], &[])
    }

    fn spawn_with(&mut self, slot: u8, verbs: &[&str], flags: &[OsString]) -> Result<(), LocalError> {
        let place = self.place(slot);
        let advertise = self.options.advertise.get(usize::from(slot) - 1).copied();
        let text = self.config_of(slot, &self.data_folder(slot), place.address, advertise);
        let config = self.folder.join(format!("node-{slot}.toml"));
        let child = self.process(&place.machine, verbs, &config, &text, &self.log(slot), flags)?;
        self.place_mut(slot).child = Some(child);
        Ok(())
    }

    fn process(
        &self,
        machine: &Machine,
        verbs: &[&str],
        config: &Path,
        text: &str,
        log: &Path,
        flags: &[OsString],
    ) -> Result<Child, LocalError> {
        std::fs::write(config, text).map_err(io(format!("writing {}", config.display())))?;
        let out = std::fs::File::options().create(true).append(true).open(log).map_err(io(format!("opening {}", log.display())))?;
        let copy = out.try_clone().map_err(io("opening a log twice"))?;
        let mut command = Command::new(&self.launch.program);
        command.args(&self.launch.arguments).args(["--chip", &machine.chip, "--exit-with-parent"]).args(&machine.behaviour);
        command.arg("--").args(verbs).arg("--config").arg(config).args(flags).stdin(Stdio::piped()).stdout(copy).stderr(out);
        command.spawn().map_err(io(format!("starting {}", self.launch.program.display())))
    }

    fn config_of(&self, slot: u8, folder: &Path, address: SocketAddr, advertise: Option<SocketAddr>) -> String {
        let mut text = String::new();
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let _ = writeln!(text, "data = {}\nslot = {slot}\nlisten = \"{address}\"", quoted(folder));
        if let Some(address) = advertise {
            let _ = writeln!(text, "advertise = \"{address}\"");
        }
        if let Some(proof) = &self.options.release_proof {
            let _ = writeln!(text, "release_proof = {}", quoted(proof));
        }
        let _ = writeln!(text, "[cluster]\ncard = {}", quoted(&self.card_path()));
        let _ = writeln!(text, "template = {}", quoted(&self.folder.join("genesis.template")));
        let _ = writeln!(text, "policy = {}", quoted(&self.folder.join("cluster.policy")));
        let (format, level) = self.options.log.unwrap_or(("text", "info"));
        let _ = writeln!(text, "[peers]\naddresses = {:?}\n[log]\nformat = {format:?}\nlevel = {level:?}", self.addresses());
        let _ = writeln!(text, "[limits]");
        if let Some(reserve) = self.options.disk_reserve_mib {
            let _ = writeln!(text, "disk_reserve_mib = {reserve}");
        }
        if let Some(seconds) = self.options.reattest_s {
            let _ = writeln!(text, "reattest_s = {seconds}");
        }
        if let Some((rotate, erase)) = self.options.rotate_s {
            let _ = writeln!(text, "[custody]\nrotate_s = {rotate}\nerase_s = {erase}");
        }
        if !self.options.backup_users.is_empty() {
            let _ = writeln!(text, "[backup]\nusers = {:?}", self.options.backup_users);
        }
        if let (Some(folder), Some(address)) = (&self.options.kbs, self.place(slot).kbs) {
            let _ = writeln!(text, "[kbs]\nlisten = \"{address}\"\nnames = [\"127.0.0.1\"]\nendorsements = {}", quoted(folder));
        }
        if let Some(address) = self.place(slot).socket {
            // Beside the data, which may be put back or taken away: what pages were told stays good.
            let folder = self.folder.join(format!("web-{slot}"));
            let _ = writeln!(text, "[web]\nfolder = {}\nsocket_listen = \"{address}\"", quoted(&folder));
        }
        if let Some((heartbeat, least, most)) = self.options.timing {
            let _ = writeln!(text, "[timing]\nheartbeat_ms = {heartbeat}\nelection_min_ms = {least}\nelection_max_ms = {most}");
        }
        text
    }

    fn wait_for_card(&mut self) -> Result<ClusterCard, LocalError> {
        let written = self.data_folder(1).join("cluster.card");
        let until = Instant::now() + FOUNDING;
        while Instant::now() < until && self.is_running(1) {
            if let Ok(bytes) = std::fs::read(&written)
                && let Ok(card) = ClusterCard::decode(&bytes)
            {
                std::fs::write(self.card_path(), &bytes).map_err(io("copying the card"))?;
                return Ok(card);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(LocalError::NotFounded { seconds: FOUNDING.as_secs(), log: self.log(1), tail: tail(&self.log(1)) })
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        for slot in self.slots() {
            self.kill(slot);
        }
    }
}

/// A process that asks for the place of a slot somebody stands in already; it ends when this is dropped.
#[derive(Debug)]
pub struct Rival {
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
    /// Its log.
    pub log: PathBuf,
}

impl Rival {
    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a log.
pub fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
