//! What may never be seen of a cluster, asked of every member all the time.
//!
//! Decides: one leader a term; an incarnation's term and applied index never go back; no incarnation stands in two slots. A status is compared with what
//! was known when it was asked for: answers of several sessions arrive in any order.
//! Trusts: what members say of themselves, compared with what they and others said before. Out of scope: what users see (`crate::history`).

use ringwall_client::{Client, ClusterStatus};
use ringwall_sim::cluster::LocalCluster;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Pause between two questions to one member.
const EVERY: Duration = Duration::from_millis(200);
/// Complaints kept.
const KEPT: usize = 20;

/// Tasks that ask.
pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<JoinHandle<()>>,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Seen {
    statuses: usize,
    leaders: BTreeMap<u64, u64>,
    progress: Progress,
    slots: BTreeMap<u64, u8>,
    complaints: Vec<String>,
}

impl Watch {
    /// Starts one task for each node.
    pub(crate) fn start(cluster: &LocalCluster) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let tasks = cluster.addresses().into_iter().map(|address| {
            let (seen, mut options) = (Arc::clone(&seen), crate::local::options(cluster));
            options.addresses = vec![address];
            options.timeouts.deadline = Duration::from_secs(5);
            tokio::spawn(async move {
                loop {
                    // A node that is away is asked again.
                    if let Ok(client) = Client::connect(options.clone()).await {
                        ask(&client, &seen).await;
                    }
                    tokio::time::sleep(EVERY).await;
                }
            })
        });
        Watch { tasks: tasks.collect(), seen }
    }

    /// What may not have been seen.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).complaints.clone()
    }

    /// Statuses seen, and terms that had a leader.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.statuses, seen.leaders.len())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Asks until the session ends.
async fn ask(client: &Client, seen: &Mutex<Seen>) {
    loop {
        let before = seen.lock().unwrap_or_else(PoisonError::into_inner).progress.clone();
        let Ok(status) = client.status().await else { return };
        seen.lock().unwrap_or_else(PoisonError::into_inner).note(&status, &before);
        tokio::time::sleep(EVERY).await;
    }
}

/// Highest term and applied index each incarnation showed so far.
type Progress = BTreeMap<u64, (u64, u64)>;

impl Seen {
    /// Notes an answer to a question that was asked when `before` was known.
    fn note(&mut self, status: &ClusterStatus, before: &Progress) {
        self.statuses += 1;
        let (me, term) = (status.incarnation.0, status.term);
        let mut complaints = Vec::new();
        if status.leader.0 != 0 {
            let first = *self.leaders.entry(term).or_insert(status.leader.0);
            if first != status.leader.0 {
                complaints.push(format!("term {term} has two leaders: {first} and {}", status.leader));
            }
        }
        let now = (term, status.applied);
        let before = before.get(&me).copied().unwrap_or_default();
        let shown = self.progress.entry(me).or_default();
        *shown = (shown.0.max(now.0), shown.1.max(now.1));
        if now.0 < before.0 || now.1 < before.1 {
            complaints.push(format!("incarnation {} went back from (term, applied) {before:?} to {now:?}", status.incarnation));
        }
        for voter in status.voters.iter().chain(status.learners.iter()) {
            let first = *self.slots.entry(voter.incarnation.0).or_insert(voter.slot.0);
            if first != voter.slot.0 {
                complaints.push(format!("incarnation {} stands in slots {first} and {}", voter.incarnation, voter.slot));
            }
        }
        let room = KEPT.saturating_sub(self.complaints.len());
        self.complaints.extend(complaints.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwall_wire::bounded::{List, Text};
    use ringwall_wire::ids::{Incarnation, Revision, Slot, Vendor};
    use ringwall_wire::session::MemberHint;

    fn status(me: u64, leader: u64, term: u64, applied: u64, slot: u8) -> ClusterStatus {
        let voter = MemberHint { slot: Slot(slot), incarnation: Incarnation(me), vendor: Vendor::Amd, address: Text::default() };
        ClusterStatus {
            slot: Slot(slot),
            incarnation: Incarnation(me),
            leader: Incarnation(leader),
            term,
            applied,
            revision: Revision(applied),
            voters: List::new(vec![voter]).expect("one is few"),
            learners: List::default(),
        }
    }

    #[test]
    fn what_may_not_be_is_noticed_and_nothing_else_is() {
        let mut seen = Seen::default();
        for status in
            [status(1, 1, 3, 10, 1), status(2, 1, 3, 9, 2), status(1, 0, 4, 10, 1), status(2, 2, 5, 11, 2), status(1, 2, 5, 11, 1)]
        {
            let known = seen.progress.clone();
            seen.note(&status, &known);
        }
        // Asked before the newest answer of this incarnation came.
        seen.note(&status(1, 2, 5, 10, 1), &BTreeMap::from([(1, (4, 10))]));
        assert!(seen.complaints.is_empty(), "{:?}", seen.complaints);
        for (bad, wanted) in [
            (status(1, 1, 5, 12, 1), "two leaders"),
            (status(1, 2, 5, 8, 1), "went back"),
            (status(2, 2, 4, 11, 2), "went back"),
            (status(2, 2, 5, 12, 3), "stands in slots"),
        ] {
            let before = seen.complaints.len();
            let known = seen.progress.clone();
            seen.note(&bad, &known);
            assert!(seen.complaints[before..].iter().any(|complaint| complaint.contains(wanted)), "{wanted}: {:?}", seen.complaints);
        }
    }
}
