//! How each fault is done to processes, disks and the network of a local cluster, and how one sees that it took effect.
//!
//! Decides: whom a strike meets, from the schedule's draw and the cluster's own word about who leads. What a strike began, `heal` ends, except that
//! replaced processes stay replaced. Trusts: the kernel's signals. Out of scope: when (`plan.rs`); what may not be seen meanwhile (`watch.rs`).

use super::plan::{Round, Strike};
use super::{CHIPS, Soak, SoakError, copy_folder, io};
use ringwall_client::ClusterStatus;
use ringwall_sim::cluster::{Machine, Rival};
use ringwall_wire::ids::Incarnation;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Longest wait for a strike to show that it took effect.
const CONFIRM: Duration = Duration::from_secs(45);

/// What a strike has to lead to.
pub(crate) enum Effect {
    /// This incarnation is no voter any more, and another one is in its slot.
    Replaced(Incarnation, u8),
    /// This incarnation led, and another one does.
    Deposed(Incarnation),
    /// The node stood still, or datagrams of it were cut: what was done is the effect.
    Done(bool),
    /// The copies asked to be admitted, and one incarnation alone is in the slot: the one that was there, or, if it could not be reached, one copy.
    Single(u8),
}

impl Soak {
    /// Does what the round says.
    pub(crate) async fn strike(&mut self, round: &Round) -> Result<Effect, SoakError> {
        let status = self.led().await?;
        let slot = self.victim(round, &status);
        let old = voter(&status, slot);
        let effect = match round.strike {
            Strike::KillLeader | Strike::KillFollower => {
                self.cluster.kill(slot);
                self.cluster.restart_on(slot, self.free_machine(round, slot))?;
                Effect::Replaced(old, slot)
            }
            Strike::PauseLeader => {
                self.cluster.signal(slot, Signal::STOP);
                Effect::Deposed(old)
            }
            Strike::PauseFollower => {
                self.cluster.signal(slot, Signal::STOP);
                self.pass(Duration::from_millis(500)).await;
                Effect::Done(self.cluster.pid(slot).is_some_and(stands_still))
            }
            Strike::IsolateLeader => {
                self.isolate(slot);
                Effect::Deposed(old)
            }
            Strike::IsolateFollower => {
                let before = self.weather[usize::from(slot) - 1].tally().cut;
                self.isolate(slot);
                self.pass(Duration::from_millis(500)).await;
                Effect::Done(self.weather[usize::from(slot) - 1].tally().cut > before)
            }
            Strike::ForeignDisk | Strike::OlderDisk => {
                self.other_disk(round, slot).await?;
                Effect::Replaced(old, slot)
            }
            Strike::TwoCopies => {
                let copies = self.settings.folder.join("copies");
                for name in ["one", "two"] {
                    let copy = copies.join(name);
                    // The copies of an earlier round, if there are any.
                    let _ = std::fs::remove_dir_all(&copy);
                    copy_folder(&self.cluster.data_folder(slot), &copy).map_err(io("copying a data folder"))?;
                    let rival = self.cluster.rival(slot, &format!("copy-{name}"), &self.free_machine(round, slot), Some(&copy), &[])?;
                    self.copies.push(rival);
                }
                Effect::Single(slot)
            }
        };
        Ok(effect)
    }

    /// A status of a cluster that has a leader among its voters.
    async fn led(&mut self) -> Result<ClusterStatus, SoakError> {
        let until = Instant::now() + CONFIRM;
        let mut seen = String::from("nothing");
        while Instant::now() < until {
            match self.watcher.status().await {
                Ok(status) if status.voters.iter().any(|voter| voter.incarnation == status.leader) => return Ok(status),
                Ok(status) => seen = format!("{status:?}"),
                Err(error) => seen = error.to_string(),
            }
            self.pass(Duration::from_millis(50)).await;
        }
        Err(SoakError::NotLive { what: "a change of weather alone".to_owned(), seen, logs: crate::local::logs(&self.cluster) })
    }

    fn victim(&self, round: &Round, status: &ClusterStatus) -> u8 {
        let leader = status.voters.iter().find(|voter| voter.incarnation == status.leader).map_or(1, |voter| voter.slot.0);
        let followers: Vec<u8> = self.cluster.slots().filter(|slot| *slot != leader).collect();
        match round.strike.meets_leader() {
            true => leader,
            false => followers[(round.victim % followers.len() as u64) as usize],
        }
    }

    /// A machine on which no node of another slot runs.
    fn free_machine(&self, round: &Round, slot: u8) -> Machine {
        let others: Vec<&str> = self.cluster.slots().filter(|other| *other != slot).map(|other| self.cluster.chip(other)).collect();
        let free: Vec<&str> = CHIPS.into_iter().filter(|chip| !others.contains(chip)).collect();
        Machine::honest(free[(round.machine % free.len() as u64) as usize])
    }

    /// Cuts a node off: nothing comes to it, and nothing it sends reaches the others.
    fn isolate(&self, slot: u8) {
        let own = self.cluster.address(slot);
        for (other, weather) in self.cluster.slots().zip(&self.weather) {
            if other == slot { weather.cut_all(true) } else { weather.cut(own) }
        }
    }

    /// Kills a node and puts another disk into its place before it is replaced.
    async fn other_disk(&mut self, round: &Round, slot: u8) -> Result<(), SoakError> {
        let (own, aside) = (self.cluster.data_folder(slot), self.settings.folder.join("disk-aside"));
        let _ = std::fs::remove_dir_all(&aside);
        let source = match round.strike {
            Strike::ForeignDisk => {
                let others: Vec<u8> = self.cluster.slots().filter(|other| *other != slot).collect();
                self.cluster.data_folder(others[(round.machine % others.len() as u64) as usize])
            }
            _ => own.clone(),
        };
        copy_folder(&source, &aside).map_err(io("copying a data folder"))?;
        // What is acknowledged meanwhile is missing in the copy.
        self.pass(Duration::from_secs(1)).await;
        self.cluster.kill(slot);
        std::fs::remove_dir_all(&own).map_err(io("removing a data folder"))?;
        copy_folder(&aside, &own).map_err(io("putting another data folder in place"))?;
        self.cluster.restart_on(slot, self.free_machine(round, slot))?;
        Ok(())
    }
}

impl Effect {
    /// Waits until the effect is seen; false when it never is.
    pub(crate) async fn confirmed(self, soak: &mut Soak) -> bool {
        let wanted = |soak: &Soak, status: &ClusterStatus| match &self {
            Effect::Replaced(old, slot) => status.voters.iter().any(|voter| voter.slot.0 == *slot && voter.incarnation != *old),
            Effect::Deposed(old) => status.leader != *old && status.voters.iter().any(|voter| voter.incarnation == status.leader),
            Effect::Done(done) => *done,
            Effect::Single(slot) => {
                let admitted = |copy: &Rival| std::fs::read_to_string(&copy.log).is_ok_and(|log| log.contains("admitted"));
                let asked = soak.copies.iter().any(admitted);
                asked && status.voters.iter().filter(|voter| voter.slot.0 == *slot).count() == 1
            }
        };
        let until = Instant::now() + CONFIRM;
        while Instant::now() < until {
            if let Ok(status) = soak.watcher.status().await
                && wanted(soak, &status)
            {
                return true;
            }
            if matches!(self, Effect::Done(_)) {
                return false;
            }
            soak.pass(Duration::from_millis(50)).await;
        }
        false
    }
}

/// Whether a process was stopped by a signal.
fn stands_still(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

fn voter(status: &ClusterStatus, slot: u8) -> Incarnation {
    status.voters.iter().find(|voter| voter.slot.0 == slot).map_or(Incarnation(0), |voter| voter.incarnation)
}
