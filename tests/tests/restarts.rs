//! Every node is restarted after the policy changed, one after the other, while clients write: over real processes.
//!
//! Decides: nothing acknowledged is lost; at every moment, whoever answers goes by the newest policy: members that stay, and each new life from its first
//! session on, also to somebody who has never seen the cluster; what waits still waits; a client with an old anchor follows, and one with the newest never meets an older one.
//! Trusts: the recorded history. Out of scope: what changes, and what is refused (`governance.rs`); outages (`recover.rs`). Protocol section 8, PC9 and PC10.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::{governing, three};

use governing::{CHIPS, Device, LOOK, NEVER_S, follows, governance, governed_where, next, signed};
use ringwall_client::{Client, GovernanceError};
use ringwall_sim::cluster::{LocalCluster, Machine};
use ringwall_tests::load::{Load, read_all};
use ringwall_tests::local::{self, PATIENCE};
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::PolicyOutcome;
use ringwall_wire::ids::{Digest, PolicyVersion};
use ringwall_wire::policy::PolicyDoc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const KEYS: u64 = 8;

/// Looks at what is in force all the time, from one member after the other.
struct Lookout {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(u64, Vec<String>)>,
}

impl Lookout {
    fn start(client: Client, in_force: &PolicyDoc) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, wanted) = (Arc::clone(&stop), (in_force.version, Digest(in_force.digest())));
        let task = tokio::spawn(async move {
            let (mut looks, mut wrong) = (0, Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                match client.governance().await {
                    Ok(view) if (view.version, view.in_force) == wanted => looks += 1,
                    Ok(view) => wrong.push(format!("{} is in force: {}", view.version, view.in_force)),
                    // A node that is gone says nothing; one that goes by an older policy would be found by the client itself.
                    Err(GovernanceError::Session(fault)) if fault.code() != "RW-C-UNAVAILABLE" => wrong.push(fault.to_string()),
                    Err(_) => {}
                }
                if client.verification().policy_version != wanted.0 {
                    wrong.push(format!("a session by policy version {}", client.verification().policy_version));
                }
                tokio::time::sleep(LOOK).await;
            }
            client.close().await;
            (looks, wrong)
        });
        Lookout { stop, task }
    }

    async fn ends(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Waits until the load wrote on since `before`.
async fn goes_on(load: &Load, cluster: &LocalCluster, before: usize, what: &str) -> usize {
    let until = Instant::now() + PATIENCE;
    loop {
        let (_, acknowledged) = load.history.counts();
        if acknowledged > before + 20 {
            return acknowledged;
        }
        assert!(Instant::now() < until, "writes stand still {what}\n{}", local::logs(cluster));
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_every_node_after_a_change_lose_nothing_and_never_go_back() {
    let folder = tempfile::tempdir().unwrap();
    let machines = CHIPS.map(Machine::honest);
    let mut cluster = LocalCluster::start_with(folder.path(), three::launch(), &machines, governance(NEVER_S)).unwrap();
    let (here, away) = (Device::new(&cluster, folder.path(), "here"), Device::new(&cluster, folder.path(), "away"));
    let client = here.client(&cluster).await;
    local::voters(&client, &cluster, 3).await;
    away.client(&cluster).await.close().await;
    let namespace = client.namespace("load").await.unwrap();
    let load = Load::start(vec![namespace.clone(); 4], KEYS, Duration::from_millis(4));

    // Under load: a change that tightens, and one of it that waits.
    let founding = cluster.card().policy.clone();
    let tightened = next(&founding, |policy| policy.session.reattest_s -= 1);
    let outcome = client.propose_policy(signed(&founding, &tightened, &[1, 2])).await.unwrap();
    assert_eq!(outcome, PolicyOutcome::InForce(PolicyVersion(2)));
    let loosened = next(&tightened, |policy| policy.session.reattest_s += 1);
    let outcome = client.propose_policy(signed(&tightened, &loosened, &[2, 3])).await.unwrap();
    assert!(matches!(outcome, PolicyOutcome::Pending(_)), "{outcome:?}");
    follows(&client, &cluster, 2).await;
    let lookout = Lookout::start(Device::new(&cluster, folder.path(), "lookout").following(&cluster, 2).await, &tightened);

    // The leader first, then the others.
    let leader = local::leader_slot(&local::voters(&client, &cluster, 3).await);
    let mut written = goes_on(&load, &cluster, 0, "before anything is restarted").await;
    for slot in [leader, leader % 3 + 1, (leader + 1) % 3 + 1] {
        let old = local::voter_of(&local::voters(&client, &cluster, 3).await, slot);
        cluster.kill(slot);
        written = goes_on(&load, &cluster, written, "while a node is gone").await;
        cluster.restart(slot).unwrap();
        // Somebody who knows the founding card alone asks this node from its first moment on.
        let first = local::client_of(&cluster, slot).await;
        assert_eq!(first.verification().policy_version.0, 2, "the first session with the new life of node {slot}");
        let view = first.governance().await.unwrap();
        assert_eq!((view.in_force, view.steps, view.pending.len()), (Digest(tightened.digest()), 1, 1), "node {slot}");
        first.close().await;
        local::replaced(&client, &cluster, old).await;
        written = goes_on(&load, &cluster, written, "after a node came back").await;
    }
    let (looks, wrong) = lookout.ends().await;
    assert!(looks > 20, "only {looks} looks");
    assert_eq!(wrong, Vec::<String>::new());

    // Nobody is left who was there when it changed; it is in force, and what waits waits.
    let view = governed_where(&client, &cluster, "the change that waits", |view| view.version.0 == 2 && view.pending.len() == 1).await;
    assert_eq!(&*view.pending[0].signed.policy, loosened.encode().as_slice());
    assert_eq!((here.remembers(), away.remembers()), (2, 1));
    let returned = away.client(&cluster).await;
    follows(&returned, &cluster, 2).await;
    returned.namespace("notes").await.unwrap().put("k", "returned").await.unwrap();
    assert_eq!(away.remembers(), 2);
    returned.close().await;

    let history = load.finish().await;
    read_all(&namespace, &history, KEYS).await;
    let (all, acknowledged) = history.counts();
    assert!(acknowledged > 100, "only {acknowledged} writes of {all} operations");
    assert_eq!(history.violations(), Vec::<String>::new(), "no order explains these keys ({all} operations)");
}
