//! One world from its founding to its verdict.
//!
//! Decides: found, join, let clients ask, let faults strike as planned, heal, demand that writes succeed and three voters hold equal
//! states, then judge everything clients saw; or let somebody use a calm cluster ([`calm`]). One thread: tokio's current-thread runtime with
//! its clock paused, so that time moves only when every task waits. Trusts: nothing. Out of scope: many worlds (`campaign`).

use crate::world::client::{Client, Crowd};
use crate::world::custody;
use crate::world::dice::Dice;
use crate::world::drills::drill;
use crate::world::flaws::{Flaw, Flaws};
use crate::world::governors::{self, Docket};
use crate::world::judge::replicas::States;
use crate::world::judge::watch::Watch;
use crate::world::judge::{Rule, Violation, linear, order};
use crate::world::kinds::{Counts, Kind};
use crate::world::machines::{SLOTS, World, client_address};
use crate::world::ops::Ops;
use crate::world::pipes::Wires;
use crate::world::plan::plan;
use crate::world::process::Start;
use crate::world::settings::{Guise, Settings};
use crate::world::site::{Cluster, Common};
use crate::world::strikes;
use crate::world::trace::Trace;
use crate::world::vcpu::Planted;
use ed25519_dalek::SigningKey;
use ringwall_sim::world::{CHIPS, PolicyBuilder, build, genesis_template};
use ringwall_sim::{BuildImage, Platform, anchors};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message;
use ringwall_wire::genesis::{GenesisRecord, GenesisTemplate};
use ringwall_wire::ids::{ClusterId, Epoch, Nonce, Slot};
use ringwall_wire::policy::{SnpProductRule, SnpTcb, TdxTcbStatus};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

/// Milliseconds a cluster may take to be whole after its founding.
const GROWING_MS: u64 = 60_000;
/// Milliseconds it may take to be whole again after the faults end: probes, endorsements, snapshots and one retry of a joiner fit.
const RECOVERY_MS: u64 = 60_000;

/// What came of a world.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Hash of all events, and how many there were.
    pub hash: (u64, u64),
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// Milliseconds from the end of the faults until the cluster was whole.
    pub recovered_ms: u64,
    /// Operations, answered ones, acknowledged writes.
    pub ops: (usize, usize, usize),
    /// Histories and calls searched without revisions.
    pub searched: (usize, usize),
    /// Messages of members watched, entries of logs, states compared.
    pub watched: (u64, usize, usize),
    /// Kinds that fired.
    pub kinds: BTreeMap<Kind, u64>,
    /// Broken rules.
    pub violations: Vec<Violation>,
    /// Events, where they were kept.
    pub lines: Vec<String>,
}

thread_local! {
    /// Panics of tasks of this thread's world that nobody planted.
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// Planted panics are silent; others are counted on their thread.
fn hook_panics() {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload().downcast_ref::<Planted>().is_none() {
                PANICS.with(|panics| panics.set(panics.get() + 1));
                before(panic);
            }
        }));
    });
}

/// Runs the world of `seed`.
pub fn run(seed: u64, settings: &Settings) -> Report {
    hook_panics();
    PANICS.with(|panics| panics.set(0));
    ringwall_consensus::defects::leave_out(&settings.flaws.rules());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread needs nothing that can be missing");
    runtime.block_on(live(seed, settings.clone()))
}

/// Grows the cluster of `seed`, in good weather and without clients, and lets `work` use it: to count what that takes. None: it never became whole.
pub fn calm<T>(seed: u64, settings: &Settings, work: impl AsyncFnOnce(&Arc<World>) -> T) -> Option<T> {
    hook_panics();
    ringwall_consensus::defects::leave_out(&settings.flaws.rules());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread needs nothing that can be missing");
    runtime.block_on(async {
        let world = world(seed, settings.clone());
        tokio::spawn(Arc::clone(&world.common.wires).run());
        let done = if grow(&world).await { Some(work(&world).await) } else { None };
        world.clear();
        done
    })
}

fn cluster(seed: u64, dice: &Dice, changes: bool, flaws: &Flaws) -> Cluster {
    let mut builder = PolicyBuilder::new().build(&build()).build(&BuildImage::new(strikes::NEXT_BUILD, 1)).slots(SLOTS);
    for chip in CHIPS {
        builder = builder.machine(Platform::of_chip(chip).expect("standard names are well-formed"), chip);
    }
    if flaws.has(Flaw::AnyChip) {
        for chip in ["genoa-77", "tdx-77"] {
            builder = builder.machine(Platform::of_chip(chip).expect("well-formed"), chip);
        }
    }
    if flaws.has(Flaw::OldBuild) {
        builder = builder.build(&BuildImage::new("ringwall-sim-0", 1));
    }
    if let Some(build) = governors::revocable(changes) {
        builder = builder.build(&build);
    }
    let mut policy = builder.finish();
    policy.governance = governors::governance(seed, changes);
    if flaws.has(Flaw::AnyFirmware) {
        let any = |rule: SnpProductRule| SnpProductRule { min_tcb: SnpTcb::default(), ..rule };
        policy.snp.products = List::new(policy.snp.products.into_vec().into_iter().map(any).collect()).expect("as many as before");
        policy.tdx.statuses = List::new(vec![TdxTcbStatus::UpToDate, TdxTcbStatus::OutOfDate]).expect("two fit");
    }
    if flaws.has(Flaw::OldLayouts) {
        policy.snp.report_versions = List::new(vec![2, 3, 5]).expect("three fit");
        let bare = |rule: SnpProductRule| SnpProductRule { required_mitigations: 0, ..rule };
        policy.snp.products = List::new(policy.snp.products.into_vec().into_iter().map(bare).collect()).expect("as many as before");
    }
    if flaws.has(Flaw::DebugAllowed) {
        policy.snp.policy_allowed |= 1 << 19;
    }
    let mut nonce = [0; 32];
    dice.fill(&mut nonce);
    let custodians = custody::keepers(seed).into_iter().map(|keeper| keeper.named).collect();
    let template = GenesisTemplate {
        custodians: List::new(custodians).expect("three fit"),
        custody_threshold: custody::THRESHOLD,
        ..genesis_template(&policy, "world")
    };
    let genesis = GenesisRecord { nonce: Nonce(nonce), template: template.clone() };
    Cluster { id: ClusterId(genesis.digest()), epoch: Epoch(1), genesis, template, policy, anchors: anchors() }
}

fn world(seed: u64, settings: Settings) -> Arc<World> {
    let trace = Arc::new(Trace::new(settings.keep, settings.print));
    let counts = Arc::new(Counts::default());
    let dice = Dice::new(seed, "founding", 0);
    let cluster = cluster(seed, &dice, settings.changes_policy(), &settings.flaws);
    let wires = Wires::new(Dice::new(seed, "wires", 0), Arc::clone(&trace), Arc::clone(&counts));
    let watch = Arc::new(Watch::new(cluster.id, Arc::clone(&trace)));
    let common = Arc::new(Common {
        wires,
        trace,
        watch,
        states: States::default(),
        cluster,
        seen: Mutex::default(),
        flaws: settings.flaws.clone(),
        calm: !settings.only.is_empty() && settings.only.iter().all(|kind| matches!(kind, Kind::CloneBoot | Kind::DiskClone)),
        ivs: Mutex::default(),
        docket: Docket::default(),
    });
    let mut user = [0; 32];
    dice.fill(&mut user);
    let crowd = Arc::new(Crowd {
        common: Arc::clone(&common),
        ops: Ops::default(),
        addresses: (1..=SLOTS).map(|slot| client_address(Slot(slot))).collect(),
        user: SigningKey::from_bytes(&user),
        stop: AtomicBool::new(false),
        give_up: AtomicBool::new(false),
        values: AtomicU64::new(1),
        pause_ms: AtomicU64::new(settings.pause_ms),
    });
    World::new(common, counts, crowd, seed, settings)
}

async fn until(limit_ms: u64, mut holds: impl FnMut() -> bool) -> bool {
    for _ in 0..limit_ms / 50 {
        if holds() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

async fn live(seed: u64, settings: Settings) -> Report {
    let world = world(seed, settings);
    tokio::spawn(Arc::clone(&world.common.wires).run());
    let grown = grow(&world).await;
    let mut recovered_ms = 0;
    if grown {
        let clients = clients(&world);
        suffer(&world).await;
        let ended = world.common.trace.now_ms();
        recover(&world).await;
        recovered_ms = world.common.trace.now_ms() - ended;
        rest(&world).await;
        finish(&world, clients).await;
    } else {
        world.common.watch.broken(Rule::Recovers, "the cluster never became whole");
    }
    report(&world, recovered_ms)
}

async fn grow(world: &Arc<World>) -> bool {
    world.start(1, Start::Found, Guise::default());
    if !until(GROWING_MS, || world.leader().is_some()).await {
        return false;
    }
    for place in 2..=SLOTS {
        world.start(place, Start::Join, Guise::default());
    }
    let whole = until(GROWING_MS, || world.is_whole()).await;
    tokio::spawn(Arc::clone(world).operate());
    whole
}

fn clients(world: &Arc<World>) -> Vec<tokio::task::JoinHandle<()>> {
    let client = |number| Client::new(Arc::clone(&world.crowd), number, Dice::new(world.seed, "client", u64::from(number)));
    (1..=world.settings.clients).map(|number| tokio::spawn(client(number).run())).collect()
}

/// Faults as planned; ends when the last of them is over or its time is.
async fn suffer(world: &Arc<World>) {
    if let Some(which) = world.settings.drill {
        return drill(world, which).await;
    }
    let begun = world.common.trace.now_ms();
    let mut strikes = Vec::new();
    for planned in plan(world.seed, world.settings.faults_ms, &world.settings.only, world.settings.kinds) {
        let now = world.common.trace.now_ms() - begun;
        tokio::time::sleep(Duration::from_millis(planned.at_ms.saturating_sub(now))).await;
        strikes.push(tokio::spawn(strikes::strike(Arc::clone(world), planned.kind)));
        if !world.common.watch.violations().is_empty() {
            return;
        }
    }
    let now = world.common.trace.now_ms() - begun;
    tokio::time::sleep(Duration::from_millis(world.settings.faults_ms.saturating_sub(now))).await;
    for strike in strikes {
        strike.abort();
    }
}

/// Heals, and demands that the cluster recovers: three voters, a write, equal states.
async fn recover(world: &Arc<World>) {
    world.heal();
    let whole = || {
        world.dismiss_spares();
        world.is_whole()
    };
    if !until(RECOVERY_MS, whole).await {
        let seen: Vec<String> = world.members().iter().map(|(place, _, process)| format!("{place}: {:?}", process.metrics())).collect();
        return world.common.watch.broken(Rule::Recovers, format!("not whole after {RECOVERY_MS} ms: {seen:#?}"));
    }
    let mut client = Client::new(Arc::clone(&world.crowd), 40, Dice::new(world.seed, "client", 40));
    let writing = async {
        client.open_namespace().await;
        for key in 0..3 {
            while !client.write_once(key).await {}
        }
    };
    if tokio::time::timeout(Duration::from_secs(20), writing).await.is_err() {
        return world.common.watch.broken(Rule::Recovers, "no write succeeds although the cluster is whole");
    }
    compare(world).await;
}

/// Clients go on until the world has lasted as long as it should; who broke a rule has nothing to show any more.
async fn rest(world: &Arc<World>) {
    if world.common.watch.violations().is_empty() {
        let left_ms = world.settings.least_ms.saturating_sub(world.common.trace.now_ms());
        tokio::time::sleep(Duration::from_millis(left_ms)).await;
    }
}

/// Equal states on all three replicas, at a marked index.
async fn compare(world: &Arc<World>) {
    for _ in 0..20 {
        let Some((_, leader, _)) = world.leader() else { continue };
        let Ok(Ok(index)) = tokio::time::timeout(Duration::from_secs(5), leader.replica.mark()).await else { continue };
        let mut digests = 0;
        for (_, _, process) in world.members() {
            let digest = tokio::time::timeout(Duration::from_secs(5), process.replica.state_digest_at(index)).await;
            if let Ok(Ok(Some(digest))) = digest {
                world.common.states.seen(&world.common.watch, process.incarnation, index, digest);
                world.common.trace.note(format_args!("{} at {index}: {digest:?}", process.incarnation));
                digests += 1;
            }
        }
        if digests >= usize::from(SLOTS) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    world.common.watch.broken(Rule::Recovers, "three replicas never showed a state at one index");
}

async fn finish(world: &Arc<World>, clients: Vec<tokio::task::JoinHandle<()>>) {
    world.crowd.stop.store(true, Ordering::Relaxed);
    for client in clients {
        // One that cannot end is given up.
        let _ = tokio::time::timeout(Duration::from_secs(10), client).await;
    }
    let mut reader = Client::new(Arc::clone(&world.crowd), 41, Dice::new(world.seed, "client", 41));
    if tokio::time::timeout(Duration::from_secs(20), reader.read_all()).await.is_err() {
        world.common.watch.broken(Rule::Recovers, "no read succeeds although the cluster is whole");
    }
    world.crowd.give_up.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(10)).await;
}

fn report(world: &Arc<World>, recovered_ms: u64) -> Report {
    let ops = world.crowd.ops.all();
    let (histories, calls, wrong) = linear::judge(&ops);
    for (rule, what) in order::judge(&ops).into_iter().chain(wrong) {
        world.common.watch.broken(rule, what);
    }
    let panics = PANICS.with(Cell::get);
    if panics > 0 {
        world.common.watch.broken(Rule::NoPanic, format!("{panics} tasks panicked"));
    }
    let (messages, entries) = world.common.watch.counts();
    let report = Report {
        seed: world.seed,
        hash: world.common.trace.hash(),
        simulated_ms: world.common.trace.now_ms(),
        recovered_ms,
        ops: world.crowd.ops.counts(),
        searched: (histories, calls),
        watched: (messages, entries, world.common.states.count()),
        kinds: world.counts.all(),
        violations: world.common.watch.violations(),
        lines: world.common.trace.lines(),
    };
    world.clear();
    report
}
