//! The machines of a world: which process runs where, on which chip and disk, and the operator who starts them again.
//!
//! Decides: three official machines, one for each slot, where addresses lead; spare machines for hosts that attack. A process that is
//! over is started again on its official machine after a while, as a service manager does. Faults that take a voter away for good are
//! let happen only while all voters are there: losing two of three is an outage, which worlds do not recover from (protocol section 6).
//! Trusts: nothing. Out of scope: which fault when (`plan`, `strikes`).

use crate::world::client::Crowd;
use crate::world::dice::Dice;
use crate::world::disks::WorldDisk;
use crate::world::flaws::Flaw;
use crate::world::images;
use crate::world::kinds::Counts;
use crate::world::pipes::Place;
use crate::world::process::{Boot, Process, Stage, Start, Status, Tune};
use crate::world::settings::{Guise, Settings};
use crate::world::site::{Common, MachineClock, Site, address};
use crate::world::vcpu::Vcpu;
use ringwall_consensus::disk::memory::MemoryDisk;
use ringwall_consensus::runtime::{Host, hosted};
use ringwall_consensus::workers::Stepped;
use ringwall_consensus::{Metrics, Options, Role};
use ringwall_node::governance::PolicyCell;
use ringwall_sim::{BuildImage, Platform, SimTee, TeeProfile};
use ringwall_wire::ids::{Incarnation, Slot};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Slots of every world.
pub const SLOTS: u8 = 3;
/// First machine of the hosts that attack.
pub const SPARES: Place = 20;

/// One running process, as its host sees it.
#[derive(Clone)]
pub struct Running {
    /// Its number.
    pub number: u64,
    /// Its slot.
    pub slot: Slot,
    /// Its build was revoked before it was started.
    pub revoked: bool,
    /// Its CPU.
    pub vcpu: Arc<Vcpu>,
    /// Its disk work.
    pub hands: Stepped,
    /// Its disk.
    pub disk: WorldDisk,
    /// Where it stands.
    pub status: Arc<Status>,
    /// Its generator.
    pub dice: Dice,
}

/// A machine.
struct Machine {
    slot: Slot,
    chip: String,
    build: BuildImage,
    clock: Arc<MachineClock>,
    running: Option<Running>,
    restart_at: Option<u64>,
    images: Vec<MemoryDisk>,
    squeezed: bool,
}

/// A world.
pub struct World {
    /// What machines share.
    pub common: Arc<Common>,
    /// Kinds that fired.
    pub counts: Arc<Counts>,
    /// Chance.
    pub dice: Dice,
    /// Clients.
    pub crowd: Arc<Crowd>,
    /// Settings.
    pub settings: Settings,
    /// The seed.
    pub seed: u64,
    machines: Mutex<BTreeMap<Place, Machine>>,
    processes: AtomicU64,
    zombies: Mutex<Vec<Running>>,
}

impl World {
    /// Machines without processes.
    pub fn new(common: Arc<Common>, counts: Arc<Counts>, crowd: Arc<Crowd>, seed: u64, settings: Settings) -> Arc<Self> {
        let world = World {
            common,
            counts,
            dice: Dice::new(seed, "world", 0),
            crowd,
            settings,
            seed,
            machines: Mutex::default(),
            processes: AtomicU64::new(0),
            zombies: Mutex::default(),
        };
        for (slot, chip) in (1..=SLOTS).zip(["genoa-1", "turin-1", "tdx-1"]) {
            world.add_machine(slot, Slot(slot), chip);
            world.point(slot);
        }
        Arc::new(world)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, Machine>> {
        self.machines.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Adds a machine.
    pub fn add_machine(&self, place: Place, slot: Slot, chip: &str) {
        let machine = Machine {
            slot,
            chip: chip.to_owned(),
            build: ringwall_sim::world::build(),
            clock: Arc::default(),
            running: None,
            restart_at: None,
            images: Vec::new(),
            squeezed: false,
        };
        self.lock().insert(place, machine);
    }

    /// The names of a slot lead to its official machine.
    pub fn point(&self, place: Place) {
        self.common.wires.name(&address(Slot(place)), place);
        self.common.wires.name(&client_address(Slot(place)), place);
    }

    /// The clock of a machine.
    pub fn clock(&self, place: Place) -> Option<Arc<MachineClock>> {
        self.lock().get(&place).map(|machine| Arc::clone(&machine.clock))
    }

    /// The chip of a machine.
    pub fn chip(&self, place: Place) -> Option<String> {
        self.lock().get(&place).map(|machine| machine.chip.clone())
    }

    /// The process of a machine.
    pub fn running(&self, place: Place) -> Option<Running> {
        self.lock().get(&place).and_then(|machine| machine.running.clone())
    }

    /// Every process that is a member and takes steps, with its machine.
    pub fn members(&self) -> Vec<(Place, Running, Arc<Process>)> {
        let machines = self.lock();
        let running = machines.iter().filter_map(|(place, machine)| machine.running.clone().map(|running| (*place, running)));
        running
            .filter(|(_, running)| !running.vcpu.is_stopped() && running.status.stage() == Stage::Member)
            .filter_map(|(place, running)| running.status.member().map(|member| (place, running, member)))
            .collect()
    }

    /// The machine that leads, as far as a majority may know.
    pub fn leader(&self) -> Option<(Place, Arc<Process>, Metrics)> {
        let members = self.members().into_iter().map(|(place, _, process)| (place, process.metrics(), process));
        let leading = members.filter(|(_, metrics, _)| metrics.role == Role::Leader);
        leading.max_by_key(|(_, metrics, _)| metrics.term).map(|(place, metrics, process)| (place, process, metrics))
    }

    /// Whether three voters are there, each a running process on the machine its slot's name leads to, and no change is under way.
    pub fn is_whole(&self) -> bool {
        let Some((_, _, metrics)) = self.leader() else { return false };
        let members = self.members();
        let there = |incarnation: Incarnation| {
            members.iter().any(|(place, running, process)| {
                let named = self.common.wires.look_up(&address(running.slot)) == Some(*place);
                process.incarnation == incarnation && named && !running.vcpu.is_paused() && !running.vcpu.is_doomed()
            })
        };
        metrics.voters.len() == usize::from(SLOTS)
            && metrics.learners.is_empty()
            && !metrics.joint
            && metrics.voters.iter().all(|voter| there(voter.incarnation))
            && !self.lock().values().any(|machine| machine.running.as_ref().is_some_and(|running| running.disk.is_armed()))
    }

    /// Starts a process on a machine, as it should be or in a guise.
    pub fn start(self: &Arc<Self>, place: Place, start: Start, guise: Guise) -> Option<Running> {
        let number = self.processes.fetch_add(1, Ordering::Relaxed) + 1;
        let cluster = &self.common.cluster;
        let (slot, profile, clock, squeezed) = {
            let machines = self.lock();
            let machine = machines.get(&place)?;
            let boot = guise.boot.clone().unwrap_or_else(|| match start {
                Start::Found => ringwall_sim::world::founding_config(&cluster.template, machine.slot),
                Start::Join => ringwall_sim::world::joining_config(cluster.id, machine.slot),
            });
            let chip = guise.chip.clone().unwrap_or_else(|| machine.chip.clone());
            let build = guise.build.clone().unwrap_or_else(|| machine.build.clone());
            let platform = Platform::of_chip(&chip)?;
            let mut profile = TeeProfile::new(platform, chip, build, boot);
            profile.report_version = guise.report_version.unwrap_or(profile.report_version);
            (machine.slot, profile, Arc::clone(&machine.clock), machine.squeezed || guise.squeezed)
        };
        let (boot, revoked) = (profile.boot_config.clone(), self.common.docket.is_revoked(&profile.build));
        let dice = Dice::new(self.seed, "process", number);
        if guise.stuck_dice {
            dice.stick(true);
        }
        let (tee_clock, trace) = (Arc::clone(&clock), Arc::clone(&self.common.trace));
        let tee = SimTee::new(profile, 0).with_clock(move || tee_clock.now_ms(&trace) / 1_000).telling(&guise.lies);
        if guise.primed {
            drop(tee.mint(&[0; 64]));
        }
        let site = Site {
            common: Arc::clone(&self.common),
            place,
            process: number,
            tee,
            boot,
            clock,
            dice: dice.clone(),
            borrowed: guise.borrowed,
            policies: PolicyCell::founding(self.common.cluster.policy.clone()),
        };
        let disk_dice = Dice::new(self.seed, "disk", number);
        let disk = match guise.disk {
            Some(memory) => WorldDisk::over(memory, disk_dice, Arc::clone(&self.counts)),
            None => WorldDisk::new(disk_dice, Arc::clone(&self.counts)),
        };
        if self.settings.flaws.has(Flaw::EarlySync) {
            disk.acknowledge_early();
        }
        let (hands, status, vcpu) = (Stepped::default(), Status::new(), Arc::new(Vcpu::new(Dice::new(self.seed, "vcpu", number))));
        let running = Running { number, slot, revoked, vcpu, hands, disk, status, dice };
        let seeds = (1..=SLOTS).map(|other| address(Slot(other))).collect();
        let tune = self.tune(&running, squeezed);
        let boot = Boot {
            number,
            site: Arc::new(site),
            start,
            seeds,
            tune,
            honest: !guise.dishonest && !revoked,
            status: Arc::clone(&running.status),
            identity: guise.identity,
        };
        self.common.trace.note(format_args!("process {number} starts on machine {place} for slot {}", slot.0));
        let host: Arc<dyn Host> = running.vcpu.clone();
        tokio::spawn(hosted(Some(Arc::clone(&host)), boot.run()));
        tokio::spawn(hosted(Some(host), work(running.hands.clone(), running.disk.clone(), Dice::new(self.seed, "hands", number))));
        if let Some(machine) = self.lock().get_mut(&place) {
            machine.running = Some(running.clone());
            machine.restart_at = None;
        }
        Some(running)
    }

    fn tune(&self, running: &Running, squeezed: bool) -> Tune {
        let (disk, hands, vcpu) = (running.disk.clone(), running.hands.clone(), Arc::clone(&running.vcpu));
        let heartbeat = self.settings.heartbeat_ms;
        Arc::new(move |options: &mut Options| {
            options.disk = Arc::new(disk.clone());
            options.workers = Arc::new(hands.clone());
            options.host = Some(vcpu.clone());
            options.heartbeat_ms = heartbeat;
            options.election_ms = (heartbeat * 5, heartbeat * 10);
            options.call_ms = 1_000;
            options.propose_ms = 3_000;
            options.segment_bytes = 8 * 1024 * 1024;
            options.snapshot_entries = 150;
            options.keep_entries = 60;
            options.tail_bytes = if squeezed { 2 * 1024 } else { 512 * 1024 };
            options.overlay_bytes = if squeezed { 8 * 1024 } else { 512 * 1024 };
        })
    }

    /// A process is gone at once. Its disk is what a power cut leaves.
    pub fn crash(&self, place: Place) -> Option<Running> {
        let running = self.lock().get_mut(&place)?.running.take()?;
        self.common.trace.note(format_args!("process {} on machine {place} is gone", running.number));
        running.vcpu.stop();
        running.hands.clear();
        self.common.wires.unplug(running.number);
        if let Some(member) = running.status.member() {
            self.common.watch.fenced(member.incarnation);
        }
        let image = running.disk.power_cut();
        images::judge(&self.common.watch, &running, &image);
        if let Some(machine) = self.lock().get_mut(&place) {
            machine.images.push(image);
            if machine.images.len() > 2 {
                machine.images.remove(0);
            }
        }
        Some(running)
    }

    /// Ends this process of a machine, if it is still there; the service manager starts another one.
    pub fn replace(&self, place: Place, number: u64) {
        if self.running(place).is_some_and(|running| running.number == number) {
            self.crash(place);
        }
    }

    /// Sets aside a paused process; its machine is free for a successor.
    pub fn set_aside(&self, place: Place) -> Option<Running> {
        let running = self.lock().get_mut(&place)?.running.take()?;
        self.zombies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(running.clone());
        Some(running)
    }

    /// Starts an official machine again `after_ms` from now.
    pub fn restart_in(&self, place: Place, after_ms: u64) {
        let at = self.common.trace.now_ms() + after_ms;
        if let Some(machine) = self.lock().get_mut(&place) {
            machine.restart_at = Some(at);
        }
    }

    /// A process that was set aside, goes on again and still stands in its slot gets its machine back: nobody could take its place.
    fn reclaim(&self) {
        let awake = |zombie: &Running| !zombie.vcpu.is_paused() && zombie.status.stage() == Stage::Member;
        let back: Vec<Running> = {
            let mut zombies = self.zombies.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            zombies.retain(|zombie| !matches!(zombie.status.stage(), Stage::Ended(_)));
            zombies.iter().filter(|zombie| awake(zombie)).cloned().collect()
        };
        for zombie in back {
            let Some(member) = zombie.status.member() else { continue };
            let place = member.site.place;
            let successor = self.running(place).map(|running| running.status.stage());
            // As the leader counts: whoever slept while all others were replaced is told by nobody that it is out. It may be the leader itself.
            let itself = || Some(member.metrics()).filter(|metrics| metrics.role == Role::Leader);
            let counted = self.leader().map(|(_, _, metrics)| metrics).or_else(itself);
            let voters = counted.map(|metrics| metrics.voters).unwrap_or_default();
            let voted = voters.iter().any(|voter| voter.incarnation == member.incarnation);
            if voted && successor != Some(Stage::Member) && zombie.vcpu.awake_for(4_000, self.common.trace.now_ms()) {
                self.crash(place);
                self.zombies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).retain(|other| other.number != zombie.number);
                self.common.trace.note(format_args!("process {} has its machine back", zombie.number));
                if let Some(machine) = self.lock().get_mut(&place) {
                    machine.running = Some(zombie);
                }
            }
        }
    }

    /// The build a machine boots from now on.
    pub fn set_build(&self, place: Place, build: BuildImage) -> bool {
        match self.lock().get_mut(&place) {
            Some(machine) => {
                let other = machine.build != build;
                machine.build = build;
                other
            }
            None => false,
        }
    }

    /// How much memory processes of this machine get from now on.
    pub fn squeeze(&self, place: Place, squeezed: bool) {
        if let Some(machine) = self.lock().get_mut(&place) {
            machine.squeezed = squeezed;
        }
    }

    /// An older image of a machine's disk.
    pub fn old_image(&self, place: Place) -> Option<MemoryDisk> {
        self.lock().get(&place).and_then(|machine| machine.images.first().map(MemoryDisk::copy))
    }

    /// The service manager: an official machine whose process is over gets another one.
    pub async fn operate(self: Arc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.reclaim();
            let now = self.common.trace.now_ms();
            for place in 1..=SLOTS {
                let due = {
                    let mut machines = self.lock();
                    let Some(machine) = machines.get_mut(&place) else { continue };
                    let useless = |running: &Running| running.revoked && matches!(running.status.stage(), Stage::Refused | Stage::Ended(_));
                    // Whose image members refuse since it was revoked, or that refuses itself, is given another one by its operator.
                    let outdated = self.common.docket.is_revoked(&machine.build) && machine.running.as_ref().is_some_and(useless);
                    if outdated {
                        (machine.build, machine.restart_at) = (ringwall_sim::world::build(), Some(now));
                    }
                    let over = outdated || machine.running.as_ref().is_none_or(|running| matches!(running.status.stage(), Stage::Ended(_)));
                    if over && machine.restart_at.is_none() {
                        machine.restart_at = Some(now + 300);
                    }
                    over && machine.restart_at.is_some_and(|at| at <= now)
                };
                if due {
                    if let Some(running) = self.running(place) {
                        running.vcpu.stop();
                        running.hands.clear();
                    }
                    self.start(place, Start::Join, Guise::default());
                }
            }
        }
    }

    /// Good weather, good disks, right clocks, names that lead where they should, CPUs that run; spare machines are switched off, and faults
    /// that were cut short are finished.
    pub fn heal(&self) {
        self.common.wires.heal();
        let spares: Vec<Place> = self.lock().keys().copied().filter(|place| *place >= SPARES).collect();
        for place in 1..=SLOTS {
            self.point(place);
            self.squeeze(place, false);
            if let Some(clock) = self.clock(place) {
                clock.freeze(&self.common.trace, false);
                clock.jump(0);
            }
            if let Some(running) = self.running(place) {
                running.disk.mend();
                running.dice.stick(false);
                running.vcpu.resume();
            }
            self.settle(place);
        }
        for zombie in self.zombies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            zombie.vcpu.resume();
        }
        let members: Vec<Place> = self.members().into_iter().map(|(place, _, _)| place).collect();
        for place in spares.into_iter().filter(|place| !members.contains(place)) {
            self.crash(place);
        }
        self.dismiss_spares();
        self.common.trace.note(format_args!("healed"));
    }

    /// What a fault that was cut short left behind: a process whose end was announced ends, and a machine that was kept off is switched on.
    /// An end is announced only while all voters are there, so no second one goes with it.
    fn settle(&self, place: Place) {
        if self.running(place).is_some_and(|running| running.vcpu.is_doomed()) {
            self.crash(place);
        }
        if self.running(place).is_none() {
            self.restart_in(place, 200);
        }
    }

    /// Switches off spare machines that became members in a machine's absence, as whoever owns the cluster would: one that votes only
    /// while both other voters take steps. Left alone it would keep its place for ever where it leads: the slot's own machine is led to
    /// itself by its own address, and a leader that answers is not replaced.
    pub fn dismiss_spares(&self) {
        let members = self.members();
        for (place, _, process) in members.iter().filter(|(place, _, _)| *place >= SPARES) {
            let Some((_, _, metrics)) = self.leader() else { return };
            let there = |incarnation: Incarnation| {
                let mut others = self.members().into_iter().filter(|(other, _, _)| other != place);
                others.any(|(_, running, other)| other.incarnation == incarnation && !running.vcpu.is_paused())
            };
            let (own, others): (Vec<_>, Vec<_>) = metrics.voters.iter().partition(|voter| voter.incarnation == process.incarnation);
            let spared = others.iter().filter(|voter| there(voter.incarnation)).count();
            if own.is_empty() || (spared >= usize::from(SLOTS) - 1 && !metrics.joint) {
                self.crash(*place);
            }
        }
    }

    /// Lets go of everything, so that nothing outlives its world.
    pub fn clear(&self) {
        for machine in std::mem::take(&mut *self.lock()).into_values() {
            if let Some(running) = machine.running {
                running.vcpu.stop();
                running.hands.clear();
                running.status.clear();
            }
        }
        for zombie in std::mem::take(&mut *self.zombies.lock().unwrap_or_else(std::sync::PoisonError::into_inner)) {
            zombie.vcpu.stop();
            zombie.hands.clear();
            zombie.status.clear();
        }
        self.common.wires.clear();
    }
}

/// The name under which clients know a slot.
pub fn client_address(slot: Slot) -> ringwall_wire::bounded::Text<128> {
    ringwall_wire::bounded::Text::new(format!("client-{}", slot.0)).expect("short")
}

/// Does the disk work of a process, one piece after the other, each taking its time.
async fn work(hands: Stepped, disk: WorldDisk, dice: Dice) {
    loop {
        hands.arrived().await;
        let pace = dice.below(2) + disk.pace_ms();
        if pace > 0 {
            tokio::time::sleep(Duration::from_millis(pace)).await;
        }
        let waiting = hands.waiting().len() as u64;
        let pick = if dice.chance(100) { dice.below(waiting) } else { 0 };
        hands.run(pick as usize);
    }
}
