//! Real node processes under load while everything around them fails, for as long as one wants.
//!
//! | file | what it decides |
//! |---|---|
//! | `plan.rs` | which fault comes when, from a seed |
//! | `strikes.rs` | how each fault is done to processes, disks and the network |
//! | `watch.rs` | what may never be seen meanwhile: two leaders of one term, an incarnation that goes back |
//! | `slopes.rs` | memory and files of each node over time, and how fast they grow |
//! | `machine.rs` | whether this machine could do the network's part itself |
//!
//! Decides: a run is rounds. Each has weather, a strike and clients in a namespace of its own; then everything is healed, liveness is demanded, and the
//! round's history must have one order. At the end every round's last values must still be there.
//! Trusts: the recorded histories. Not reproduced by a seed: what processes do with the time they get; the schedule is.
//! Out of scope: simulated clusters (`world`), whose every byte a seed repeats. Protocol section 4, goal G29.

pub mod machine;
pub mod plan;
pub mod slopes;
mod strikes;
mod watch;

use crate::history::History;
use crate::linearizable::Action;
use crate::load::{Load, read_all};
use crate::local;
use plan::Round;
use ringwall_client::{Client, ClusterStatus, Credential};
use ringwall_sim::cluster::{Launch, LocalCluster, LocalError, LocalOptions, Machine, Rival};
use ringwall_sim::tap::Tap;
use ringwall_sim::weather::{Tally, Weather, mixed};
use serde::{Serialize, Serializer};
use slopes::{Growth, Samples};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use watch::Watch;

/// Keys of one round.
const KEYS: u64 = 12;
/// Clients, each with a session of its own.
const CLIENTS: usize = 3;
/// Tasks of each client.
const TASKS: usize = 2;
/// Pause of a task between two operations.
const PAUSE: Duration = Duration::from_millis(5);
/// Time for the cluster to be whole again after a round.
const LIVENESS: Duration = Duration::from_secs(120);
/// Chips of the simulated world: more than there are nodes, so that a replacement need not be the same machine.
pub(crate) const CHIPS: [&str; 6] = ["genoa-1", "turin-1", "tdx-1", "genoa-2", "turin-2", "tdx-2"];

/// What is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything is kept.
    pub folder: PathBuf,
    /// How a node is started.
    pub launch: Launch,
    /// Nodes, 3 to 5.
    pub nodes: usize,
    /// Of the schedule.
    pub seed: u64,
    /// When to stop beginning rounds.
    pub until: Until,
    /// Whether to say each round as it ends.
    pub talkative: bool,
}

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// So many rounds.
    Rounds(usize),
    /// As many rounds as begin within four fifths of this time; then load alone, in fair weather, for the rest.
    Time(Duration),
}

/// Why a run ended early: something was wrong with the cluster, or with the run.
#[derive(Debug, thiserror::Error)]
pub enum SoakError {
    /// A process, a port or a file.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// A file or a socket of the run itself.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The cluster did not come back although everything was healed.
    #[error("after {what} everything was healed, and the cluster was not whole within {} s; last seen: {seen}\n{logs}", LIVENESS.as_secs())]
    NotLive {
        /// The round.
        what: String,
        /// What was seen last.
        seen: String,
        /// The ends of all logs.
        logs: String,
    },
    /// Something was seen that may not be: all of it, in words.
    #[error("{}", .0.join("\n"))]
    Violated(Vec<String>),
}

pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> SoakError {
    let what = what.into();
    move |cause| SoakError::Io { what, cause }
}

/// What a run did and saw.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Of the schedule.
    pub seed: u64,
    /// Nodes.
    pub nodes: usize,
    /// Rounds done.
    pub rounds: usize,
    /// Seconds it took.
    pub seconds: f64,
    /// How often each strike was done.
    pub strikes: BTreeMap<String, usize>,
    /// Whether each strike had the effect it is named after, by strike: how often.
    pub took_effect: BTreeMap<String, usize>,
    /// What happened to datagrams.
    #[serde(serialize_with = "counted")]
    pub datagrams: Tally,
    /// Operations of clients.
    pub operations: usize,
    /// Writes among them that were acknowledged.
    pub acknowledged: usize,
    /// Values read again at the end, of earlier rounds.
    pub read_again: usize,
    /// Longest time from a healed fault to a whole cluster, seconds.
    pub longest_recovery_s: f64,
    /// Statuses the watch saw.
    pub statuses: usize,
    /// Terms that had a leader.
    pub terms: usize,
    /// Growth of each node.
    pub growth: Vec<Growth>,
    /// Growth in the quiet part at the end.
    pub quiet: Vec<Growth>,
}

/// A run under way.
pub(crate) struct Soak {
    pub(crate) settings: Settings,
    pub(crate) cluster: LocalCluster,
    /// They end when they are dropped.
    _taps: Vec<Tap>,
    pub(crate) weather: Vec<Arc<Weather>>,
    /// Processes over copied disks, until they are healed away.
    pub(crate) copies: Vec<Rival>,
    pub(crate) watcher: Client,
    clients: Vec<Client>,
    watch: Watch,
    samples: Samples,
    /// What may be read of each key of earlier rounds.
    ledger: BTreeMap<String, BTreeMap<String, BTreeSet<Option<u64>>>>,
    report: Report,
}

/// Runs to the end; the folder stays.
pub async fn run(settings: Settings) -> Result<Report, SoakError> {
    let begun = Instant::now();
    let mut soak = Soak::start(settings).await?;
    let quiet_from = match soak.settings.until {
        Until::Time(time) => Some(begun + time.mul_f64(0.8)),
        Until::Rounds(_) => None,
    };
    for (number, round) in plan::schedule(soak.settings.seed).enumerate() {
        let over = match soak.settings.until {
            Until::Rounds(rounds) => number >= rounds,
            Until::Time(_) => quiet_from.is_some_and(|end| Instant::now() >= end),
        };
        if over {
            break;
        }
        soak.round(number, &round).await?;
    }
    if let Until::Time(time) = soak.settings.until {
        soak.quiet(begun + time).await?;
    }
    soak.read_again().await?;
    soak.finish(begun)
}

impl Soak {
    async fn start(settings: Settings) -> Result<Self, SoakError> {
        let nodes = settings.nodes.clamp(3, 5);
        let (mut taps, mut weather) = (Vec::new(), Vec::new());
        for number in 0..nodes {
            let of_tap = Arc::new(Weather::new(mixed(settings.seed ^ number as u64)));
            taps.push(Tap::under(Arc::clone(&of_tap)).await.map_err(io("listening for a tap"))?);
            weather.push(of_tap);
        }
        let machines: Vec<Machine> = CHIPS.iter().take(nodes).map(|chip| Machine::honest(chip)).collect();
        let options = LocalOptions { advertise: taps.iter().map(|tap| tap.address).collect(), ..LocalOptions::default() };
        let cluster = LocalCluster::start_with(&settings.folder, settings.launch.clone(), &machines, options)?;
        for (slot, tap) in cluster.slots().zip(&taps) {
            tap.aim(cluster.address(slot));
        }
        let watcher = local::client(&cluster).await;
        local::voters(&watcher, &cluster, nodes).await;
        let mut clients = Vec::new();
        let credential = Credential::generate();
        for number in 0..CLIENTS {
            let mut options = local::options(&cluster);
            options.credential = credential.clone();
            options.addresses.rotate_left(number % nodes);
            let client =
                Client::connect(options).await.map_err(|error| io("opening a session")(std::io::Error::other(error.to_string())))?;
            clients.push(client);
        }
        let watch = Watch::start(&cluster);
        let report = Report { seed: settings.seed, nodes, ..Report::default() };
        Ok(Soak {
            samples: Samples::start(nodes),
            settings,
            cluster,
            _taps: taps,
            weather,
            copies: Vec::new(),
            watcher,
            clients,
            watch,
            ledger: BTreeMap::new(),
            report,
        })
    }

    /// Load in a namespace of its own, weather, a strike, healing, liveness, judgement.
    async fn round(&mut self, number: usize, round: &Round) -> Result<(), SoakError> {
        let name = format!("round-{number}");
        let load = self.load(&name).await?;
        self.pass(Duration::from_millis(300)).await;
        self.weather.iter().for_each(|weather| weather.set(round.weather.forecast()));
        let effect = self.strike(round).await?;
        self.pass(round.hold).await;
        let named = round.strike.to_string();
        *self.report.strikes.entry(named.clone()).or_insert(0) += 1;
        let confirmed = effect.confirmed(self).await;
        *self.report.took_effect.entry(named.clone()).or_insert(0) += usize::from(confirmed);
        let what = format!("round {number} ({named}, {} weather)", round.weather);
        let recovery = self.heal(&what).await?;
        self.judge(&what, &name, load).await?;
        self.report.rounds += 1;
        self.report.longest_recovery_s = self.report.longest_recovery_s.max(recovery.as_secs_f64());
        if self.settings.talkative {
            say(&format!("{what}: whole again after {:.1} s, {} operations so far", recovery.as_secs_f64(), self.report.operations));
        }
        Ok(())
    }

    async fn load(&self, namespace: &str) -> Result<Load, SoakError> {
        let mut handles = Vec::new();
        for client in &self.clients {
            let opened = client.namespace(namespace).await;
            let handle =
                opened.map_err(|error| SoakError::Violated(vec![format!("{namespace}: no namespace in a whole cluster: {error}")]))?;
            handles.extend(std::iter::repeat_n(handle, TASKS));
        }
        Ok(Load::start(handles, KEYS, PAUSE))
    }

    /// Lets time pass, with a sample every second.
    pub(crate) async fn pass(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            self.samples.take(&self.cluster);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(slopes::EVERY)).await;
        }
    }

    /// Ends every fault and waits until all slots vote, and a write and a read succeed. Gives how long that took.
    async fn heal(&mut self, what: &str) -> Result<Duration, SoakError> {
        let begun = Instant::now();
        self.weather.iter().for_each(|weather| weather.clear());
        self.cluster.slots().for_each(|slot| self.cluster.signal(slot, rustix::process::Signal::CONT));
        self.copies.clear();
        let mut seen = String::from("nothing");
        while begun.elapsed() < LIVENESS {
            let down: Vec<u8> = self.cluster.slots().filter(|slot| !self.cluster.is_running(*slot)).collect();
            for slot in down {
                self.cluster.restart(slot)?;
            }
            match self.watcher.status().await {
                Ok(status) if self.is_whole(&status) => match self.works(what).await {
                    Ok(()) => return Ok(begun.elapsed()),
                    Err(why) => seen = why,
                },
                Ok(status) => seen = format!("{status:?}"),
                Err(error) => seen = error.to_string(),
            }
            self.pass(Duration::from_millis(100)).await;
        }
        Err(SoakError::NotLive { what: what.to_owned(), seen, logs: local::logs(&self.cluster) })
    }

    fn is_whole(&self, status: &ClusterStatus) -> bool {
        let slots: BTreeSet<u8> = status.voters.iter().map(|voter| voter.slot.0).collect();
        let leads = status.voters.iter().any(|voter| voter.incarnation == status.leader);
        leads && slots.len() == self.report.nodes && status.voters.len() == self.report.nodes && status.learners.is_empty()
    }

    async fn works(&self, what: &str) -> Result<(), String> {
        let space = self.watcher.namespace("alive").await.map_err(|error| error.to_string())?;
        space.put("k", what).await.map_err(|error| error.to_string())?;
        let found = space.get("k").await.map_err(|error| error.to_string())?;
        match found.is_some_and(|found| found.value == what.as_bytes()) {
            true => Ok(()),
            false => Err("a value that was just written is not read".to_owned()),
        }
    }

    /// Ends the load, reads everything once more, and looks for an order.
    async fn judge(&mut self, what: &str, namespace: &str, load: Load) -> Result<(), SoakError> {
        let history = load.finish().await;
        let space = self.watcher_space(namespace).await?;
        read_all(&space, &history, KEYS).await;
        let (operations, acknowledged) = history.counts();
        self.report.operations += operations;
        self.report.acknowledged += acknowledged;
        let judged = Arc::clone(&history);
        let broken =
            tokio::task::spawn_blocking(move || judged.violations()).await.unwrap_or_else(|_| vec!["the judge panicked".to_owned()]);
        let mut complaints: Vec<String> = broken.into_iter().map(|key| format!("{what}: no order explains the history of {key}")).collect();
        complaints.extend(self.watch.complaints());
        if !complaints.is_empty() {
            return Err(SoakError::Violated(complaints));
        }
        self.ledger.insert(namespace.to_owned(), last_values(&history));
        Ok(())
    }

    /// The namespace as the load's user sees it.
    async fn watcher_space(&self, namespace: &str) -> Result<ringwall_client::NamespaceHandle, SoakError> {
        let opened = self.clients[0].namespace(namespace).await;
        opened.map_err(|error| SoakError::Violated(vec![format!("{namespace}: no namespace in a whole cluster: {error}")]))
    }

    /// Load alone until `end`, in fair weather, so that growth is seen without faults.
    async fn quiet(&mut self, end: Instant) -> Result<(), SoakError> {
        let before = std::mem::replace(&mut self.samples, Samples::start(self.report.nodes));
        let mut number = 0;
        while Instant::now() < end {
            let name = format!("quiet-{number}");
            let load = self.load(&name).await?;
            self.pass(end.saturating_duration_since(Instant::now()).min(Duration::from_secs(20))).await;
            self.judge(&format!("the quiet part {number}"), &name, load).await?;
            number += 1;
        }
        self.report.quiet = std::mem::replace(&mut self.samples, before).growth();
        Ok(())
    }

    /// What earlier rounds left must still be there.
    async fn read_again(&mut self) -> Result<(), SoakError> {
        let mut complaints = Vec::new();
        for (namespace, keys) in &self.ledger {
            let space = self.watcher_space(namespace).await?;
            for (key, allowed) in keys {
                let found = space.get(key).await.map_err(|error| SoakError::Violated(vec![format!("{namespace}/{key}: {error}")]))?;
                let value = found.and_then(|found| found.value.try_into().ok()).map(u64::from_be_bytes);
                self.report.read_again += 1;
                if !allowed.contains(&value) {
                    complaints.push(format!("{namespace}/{key} holds {value:?}; its round left one of {allowed:?}"));
                }
            }
        }
        if complaints.is_empty() { Ok(()) } else { Err(SoakError::Violated(complaints)) }
    }

    fn finish(mut self, begun: Instant) -> Result<Report, SoakError> {
        let complaints = self.watch.complaints();
        if !complaints.is_empty() {
            return Err(SoakError::Violated(complaints));
        }
        (self.report.statuses, self.report.terms) = self.watch.counts();
        self.report.growth = self.samples.growth();
        for tally in self.weather.iter().map(|weather| weather.tally()) {
            self.report.datagrams.add(tally);
        }
        self.report.seconds = begun.elapsed().as_secs_f64();
        Ok(self.report)
    }
}

fn counted<S: Serializer>(tally: &Tally, to: S) -> Result<S::Ok, S::Error> {
    let Tally { seen, lost, cut, repeated, reordered, delayed } = *tally;
    let names = ["seen", "lost", "cut", "repeated", "reordered", "delayed"];
    to.collect_map(names.into_iter().zip([seen, lost, cut, repeated, reordered, delayed]))
}

/// What may be read of each key from now on: what was read last, or a write whose answer never came.
fn last_values(history: &History) -> BTreeMap<String, BTreeSet<Option<u64>>> {
    let mut last: BTreeMap<String, BTreeSet<Option<u64>>> = BTreeMap::new();
    history.each(|key, operations| {
        let read = operations.iter().rev().find_map(|operation| match operation.action {
            Action::Read(value) if operation.answered.is_some() => Some(value),
            _ => None,
        });
        let open = operations.iter().filter(|operation| operation.answered.is_none());
        let unclear = open.filter_map(|operation| if let Action::Write(value) = operation.action { Some(Some(value)) } else { None });
        last.insert(key.to_owned(), read.into_iter().chain(unclear).collect());
    });
    last
}

#[expect(clippy::print_stderr, reason = "progress for a person")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// The folder of a copy.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        match path.is_dir() {
            true => copy_folder(&path, &target)?,
            // A node may remove a file between the listing and the copying.
            false => drop(std::fs::copy(&path, &target)),
        }
    }
    Ok(())
}
