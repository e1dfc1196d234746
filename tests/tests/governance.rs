//! The policy of a running cluster changes: over real processes, by governors' signatures, in the sight of users and under load.
//!
//! Decides: a change that tightens is in force at once, ends sessions and is followed by everybody, also by who was away; one that loosens waits where all can see
//! it, and can be withdrawn; too few signatures, and rules no governor can undo, are refused by name. A build that is taken off ends its nodes and keeps others
//! out, and a rolling upgrade loses nothing. A lapsed lease stops joins and no reads. Restarts and a recovery by custodians keep what is in force.
//! Trusts: the recorded history; times of the group, never this machine's. Out of scope: each rule by itself (`attest`, `consensus`). Protocol section 8.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "governance/row.rs"]
mod row;

use super::{governing, three};

use governing::{
    CHIPS, Device, LOOK, NEVER_S, ended, follows, governance, governed_where, governors, newer_build, next, refused, running, signed,
    wanted,
};
use ringwall_client::policy::GovernorKey;
use ringwall_client::{Client, GovernanceError, GovernanceView};
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine, tail};
use ringwall_sim::guarded::{Guarded, SLOTS};
use ringwall_sim::world;
use ringwall_tests::load::{Load, read_all};
use ringwall_tests::local::{self, PATIENCE};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::{PolicyFault, PolicyOutcome};
use ringwall_wire::ids::{Digest, PolicyVersion};
use ringwall_wire::policy::PolicyDoc;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A delay as good as none, in seconds.
const SOON_S: u32 = 2;
/// How long members grant keys after the governors' last word, in seconds.
const LEASE_S: u32 = 8;
const KEYS: u64 = 8;

/// `ringwall` as a person runs it in `folder`: exit code, and what it printed as JSON.
async fn ringwall(folder: &Path, card: &Path, line: &str) -> (i32, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim-ringwall"));
    command.current_dir(folder).env("RINGWALL_CARD", card).env("RINGWALL_CREDENTIAL", "me");
    command.arg("--json").args(line.split_whitespace());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let told = if output.status.success() { &out } else { &err };
    let told = told.lines().next_back().unwrap_or_default();
    (output.status.code().unwrap(), serde_json::from_str(told).unwrap_or_else(|fault| panic!("{line}: {fault}: {out}{err}")))
}

#[track_caller]
fn done((code, told): (i32, Value)) -> Value {
    assert_eq!(code, 0, "{told}");
    told
}

/// Changes two governors signed and the rules refuse, each by its name.
fn refused_for_ever(policy: &PolicyDoc) -> Vec<(PolicyDoc, PolicyFault)> {
    let mut floor = next(policy, |_| ());
    let mut products = floor.snp.products.to_vec();
    products[0].min_tcb.microcode -= 1;
    floor.snp.products = List::new(products).unwrap();
    let fewer = List::new(policy.slots[..2].to_vec()).unwrap();
    vec![
        (next(policy, |policy| policy.min_svn -= 1), PolicyFault::SvnFell),
        (floor, PolicyFault::FloorFell),
        (next(policy, |policy| policy.slots = fewer), PolicyFault::SlotsChanged),
        (
            next(policy, |again| {
                again.version = policy.version;
                again.session.reattest_s -= 1;
            }),
            PolicyFault::VersionNotHigher,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tightening_counts_at_once_and_a_loosening_waits_in_sight() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let machines = CHIPS.map(Machine::honest);
    let cluster = LocalCluster::start_with(folder, three::launch(), &machines, governance(NEVER_S)).unwrap();
    let (here, away) = (Device::new(&cluster, folder, "here"), Device::new(&cluster, folder, "away"));
    let client = here.client(&cluster).await;
    local::voters(&client, &cluster, 3).await;
    away.client(&cluster).await.close().await;
    assert_eq!((here.remembers(), away.remembers()), (1, 1));
    client.namespace("notes").await.unwrap().put("k", "before").await.unwrap();

    // Too few governors, or rules no governor can undo: refused, and nothing changes.
    let founding = cluster.card().policy.clone();
    let tightened = next(&founding, |policy| policy.snp.chips = List::new(policy.snp.chips[..3].to_vec()).unwrap());
    for by in [&[][..], &[2], &[2, 2]] {
        assert_eq!(refused(client.propose_policy(signed(&founding, &tightened, by)).await), PolicyFault::TooFew, "{by:?}");
    }
    for (policy, fault) in refused_for_ever(&founding) {
        assert_eq!(refused(client.propose_policy(signed(&founding, &policy, &[1, 2])).await), fault);
    }
    let view = client.governance().await.unwrap();
    assert_eq!((view.version, view.steps, view.pending.len(), view.lease_until_s), (founding.version, 0, 0, None));

    // Enough of them: in force at once, sessions end, clients follow; who was away follows when they return.
    let outcome = client.propose_policy(signed(&founding, &tightened, &[1, 3])).await.unwrap();
    assert_eq!(outcome, PolicyOutcome::InForce(PolicyVersion(2)));
    let view = governed_where(&client, &cluster, "the tightened policy", |view| view.version.0 == 2).await;
    assert_eq!((view.in_force, view.steps), (Digest(tightened.digest()), 1));
    follows(&client, &cluster, 2).await;
    let value = client.namespace("notes").await.unwrap().get("k").await.unwrap().unwrap().value;
    assert_eq!(value, b"before");
    assert_eq!((here.remembers(), away.remembers()), (2, 1));
    let returned = away.client(&cluster).await;
    follows(&returned, &cluster, 2).await;
    assert_eq!(away.remembers(), 2);
    returned.close().await;

    waits_and_is_withdrawn(&cluster, folder, &client, &tightened).await;
}

/// A loosening waits in the sight of users; governors withdraw it, and it does not come back.
async fn waits_and_is_withdrawn(cluster: &LocalCluster, folder: &Path, client: &Client, in_force: &PolicyDoc) {
    let card = cluster.card_path();
    let run = |line: &'static str| ringwall(folder, &card, line);
    done(run("init").await);
    for number in 1..=2_usize {
        // The command makes keys of its own: these are the governors', as their files would hold them.
        let path = folder.join(format!("governor-{number}"));
        governor_file(&path, number);
    }
    let loosened = next(in_force, |policy| policy.session.reattest_s += 1);
    std::fs::write(folder.join("in-force"), in_force.encode()).unwrap();
    std::fs::write(folder.join("next"), loosened.encode()).unwrap();
    assert_eq!(done(run("policy diff next").await)["kind"], "loosening", "compared with the card");
    done(run("policy approve next --against in-force --key governor-1 --out next.1").await);
    let (code, told) = run("policy propose next.1").await;
    assert_eq!((code, &told["error"]["code"]), (10, &"RW-C-POLICY-NOT-APPROVED".into()), "one of two: {told}");
    done(run("policy approve next.1 --key governor-2 --out next.2").await);
    let told = done(run("policy propose next.2").await);
    assert_eq!(told["outcome"], "pending", "{told}");
    let (code, told) = run("policy propose next.2").await;
    assert_eq!((code, &told["error"]["code"]), (11, &"RW-C-GOVERNANCE-NOT-NOW".into()), "{told}");

    let view = client.governance().await.unwrap();
    assert_eq!((view.version, view.pending.len()), (in_force.version, 1), "it waits and is not in force");
    let pending = &view.pending[0];
    assert_eq!(&*pending.signed.policy, loosened.encode().as_slice());
    assert_eq!(pending.ready_ms, pending.proposed_ms + u64::from(NEVER_S) * 1_000);
    let told = done(run("policy status").await);
    assert_eq!((&told["version"], &told["pending"][0]["does"]["kind"]), (&2.into(), &"loosening".into()), "{told}");
    let told = done(run("cluster status").await);
    assert_eq!((&told["epoch"], &told["governance"]["pending"][0]["version"]), (&1.into(), &3.into()), "{told}");
    // One attestation, kept in a file, is judged again by whoever knows no more than the cluster id: it has every change since the founding.
    let save = format!("verify --save saved --address {}", cluster.address(2));
    let told = done(ringwall(folder, &card, &save).await);
    assert_eq!(told["policy_version"], 2);
    // The card knows the founding policy alone; this user's sessions have seen the change.
    assert_eq!((&told["held_policy"]["version"], &told["held_policy"]["from"]), (&2.into(), &"anchor".into()), "{told}");
    assert_eq!(done(run("verify --from saved").await)["policy_version"], 2);
    let told = done(run("cluster card --out newer.card").await);
    assert_eq!((&told["policy_version"], &told["changes"]), (&2.into(), &1.into()), "{told}");

    done(run("policy withdraw next.2 --key governor-1 --out no.1").await);
    let (code, told) = run("policy withdraw no.1 --bring").await;
    assert_eq!((code, &told["error"]["code"]), (10, &"RW-C-POLICY-NOT-APPROVED".into()), "{told}");
    done(run("policy withdraw no.1 --key governor-2 --out no.2").await);
    assert_eq!(done(run("policy withdraw no.2 --bring").await)["outcome"], "withdrawn");
    governed_where(client, cluster, "nothing that waits", |view| view.pending.is_empty() && view.version == in_force.version).await;
    assert_eq!(refused(client.propose_policy(signed(in_force, &loosened, &[1, 2])).await), PolicyFault::Withdrawn);
    // A card made today pins the newest policy for who has never seen the cluster.
    let newcomer = folder.join("newcomer");
    std::fs::create_dir(&newcomer).unwrap();
    done(ringwall(&newcomer, &folder.join("newer.card"), "init").await);
    assert_eq!(done(ringwall(&newcomer, &folder.join("newer.card"), "policy status").await)["version"], 2);
}

/// The key file of a governor of this suite.
fn governor_file(path: &Path, number: usize) {
    use std::os::unix::fs::PermissionsExt as _;
    let seed = ringwall_wire::text::hex(&[u8::try_from(number).unwrap(); 32]);
    std::fs::write(path, format!("ringwall governor key 1\n{seed}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(GovernorKey::read(path).unwrap().public(), governors()[number - 1].public());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_upgrade_under_load_loses_nothing_and_the_old_build_stays_out() {
    let folder = tempfile::tempdir().unwrap();
    let machines = CHIPS.map(Machine::honest);
    let mut cluster = LocalCluster::start_with(folder.path(), three::launch(), &machines, governance(SOON_S)).unwrap();
    let device = Device::new(&cluster, folder.path(), "me");
    let client = device.client(&cluster).await;
    local::voters(&client, &cluster, 3).await;
    let namespace = client.namespace("load").await.unwrap();
    let load = Load::start(vec![namespace.clone(); 4], KEYS, Duration::from_millis(4));

    // The newer build is let in once its delay is over by the time of the group, and not before.
    let founding = cluster.card().policy.clone();
    let both = next(&founding, |policy| policy.measurements.push(newer_build().measurement()).unwrap());
    let PolicyOutcome::Pending(ready_ms) = client.propose_policy(signed(&founding, &both, &[2, 3])).await.unwrap() else {
        panic!("one more build is no loosening")
    };
    let view = governed_where(&client, &cluster, "the newer build to be let in", |view| view.version.0 == 2).await;
    assert!(view.since_ms >= ready_ms, "it was in force at {} and had to wait until {ready_ms}", view.since_ms);
    follows(&client, &cluster, 2).await;

    // Two nodes are replaced by ones that run it; the third stays as it is.
    for slot in [1, 2] {
        let old = local::voter_of(&local::voters(&client, &cluster, 3).await, slot);
        cluster.restart_on(slot, running(CHIPS[usize::from(slot) - 1], &newer_build())).unwrap();
        local::replaced(&client, &cluster, old).await;
    }
    let standing = local::voter_of(&local::voters(&client, &cluster, 3).await, 3);
    let only = next(&both, |policy| {
        policy.measurements = List::new(vec![newer_build().measurement()]).unwrap();
        policy.min_svn = newer_build().svn;
    });
    assert_eq!(client.propose_policy(signed(&both, &only, &[1, 2])).await.unwrap(), PolicyOutcome::InForce(PolicyVersion(3)));
    assert_eq!(ended(&mut cluster, 3).await, 20, "the node of the build that was taken off fences itself\n{}", local::logs(&cluster));
    governed_where(&client, &cluster, "the older build to be out", |view| view.version.0 == 3).await;
    follows(&client, &cluster, 3).await;

    // Neither that build nor a policy that would let it in again comes back.
    let said = std::fs::read_to_string(cluster.log(3)).unwrap().len();
    cluster.restart(3).unwrap();
    stays_out(&mut cluster, 3, said).await;
    // Nor does a machine with an empty disk, which knows no policy but the founding one: the members say why, by a code.
    let downgraded = cluster.rival(3, "downgraded", &running(CHIPS[2], &world::build()), None, &[]).unwrap();
    refused_by_code(&cluster, &downgraded.log).await;
    drop(downgraded);
    let status = local::status_where(&client, &cluster, "a leader", |status| !status.voters.is_empty()).await;
    let here = status.voters.iter().chain(status.learners.iter()).find(|member| member.slot.0 == 3);
    assert!(here.is_none_or(|member| member.incarnation == standing), "the old build was let in: {status:?}");
    let back = next(&only, |policy| policy.measurements.push(world::build().measurement()).unwrap());
    assert_eq!(refused(client.propose_policy(signed(&only, &back, &[1, 2, 3])).await), PolicyFault::BuildBelowSvn);
    let lower = next(&back, |policy| policy.min_svn = 1);
    assert_eq!(refused(client.propose_policy(signed(&only, &lower, &[1, 2, 3])).await), PolicyFault::SvnFell);
    cluster.restart_on(3, running(CHIPS[2], &newer_build())).unwrap();
    local::replaced(&client, &cluster, standing).await;

    let history = load.finish().await;
    read_all(&namespace, &history, KEYS).await;
    let (all, acknowledged) = history.counts();
    assert!(acknowledged > 100, "only {acknowledged} writes of {all} operations");
    assert_eq!(history.violations(), Vec::<String>::new(), "no order explains these keys ({all} operations)");
    assert_eq!(device.remembers(), 3);
}

/// Waits until the node with this log was told that its evidence is refused; it is never admitted.
async fn refused_by_code(cluster: &LocalCluster, log: &Path) {
    let until = Instant::now() + PATIENCE;
    loop {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        assert!(!said.contains("admitted: this life"), "{said}");
        if said.contains("EvidenceRefused") {
            return;
        }
        assert!(Instant::now() < until, "nobody refuses the older build by a code:\n{said}\n{}", local::logs(cluster));
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until the node that was started in `slot` ended, or was refused by another one.
async fn stays_out(cluster: &mut LocalCluster, slot: u8, from: usize) {
    let until = Instant::now() + PATIENCE;
    loop {
        let log = std::fs::read_to_string(cluster.log(slot)).unwrap_or_default();
        let own = log.get(from..).unwrap_or_default();
        assert!(!own.contains("admitted: this life"), "{}", tail(&cluster.log(slot)));
        if own.contains("EvidenceRefused") || cluster.exit_code(slot).is_some() {
            return cluster.kill(slot);
        }
        assert!(Instant::now() < until, "nobody refuses the node of the old build:\n{}", local::logs(cluster));
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_lease_stops_joins_alone_and_a_recovery_keeps_what_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let rarely = Some((NEVER_S, NEVER_S));
    let options = LocalOptions { rotate_s: rarely, ..governance(NEVER_S) };
    let mut guarded = Guarded::start(folder.path(), three::launch(), options).unwrap();
    guarded.voters().await.unwrap();
    guarded.accept_shares(1, &SLOTS).await.unwrap();
    let device = Device::new(&guarded.cluster, folder.path(), "me");
    let client = device.client(&guarded.cluster).await;
    let notes = client.namespace("notes").await.unwrap();
    notes.put("k", "kept").await.unwrap();
    let founding = guarded.cluster.card().policy.clone();
    let leased = next(&founding, |policy| policy.governance.lease_s = LEASE_S);
    let step = signed(&founding, &leased, &[1, 2]);
    assert_eq!(client.propose_policy(step).await.unwrap(), PolicyOutcome::InForce(PolicyVersion(2)));
    follows(&client, &guarded.cluster, 2).await;
    let lapsed = |view: &GovernanceView| view.lease_until_s.is_some_and(|until_s| view.now_ms / 1_000 > until_s);
    governed_where(&client, &guarded.cluster, "the lease to lapse", lapsed).await;

    // Nobody joins; reads and writes go on.
    let old = local::voter_of(&local::voters(&client, &guarded.cluster, 3).await, 3);
    guarded.cluster.restart(3).unwrap();
    local::log_says(&guarded.cluster, 3, "the lease of the cluster's policy is over").await;
    assert_eq!(notes.get("k").await.unwrap().unwrap().value, b"kept");
    notes.put("k", "written").await.unwrap();
    let status = client.status().await.unwrap();
    assert!(status.voters.iter().all(|voter| voter.slot.0 != 3 || voter.incarnation == old), "somebody joined: {status:?}");
    // A word of the governors for what is in force brings them back; it has to be said again as long as joining takes longer than it lasts.
    let until = Instant::now() + PATIENCE;
    loop {
        let view = governed_where(&client, &guarded.cluster, "a view", |_| true).await;
        match client.renew_lease(wanted(&governors(), &guarded.cluster, &leased, view.now_ms)).await {
            Err(GovernanceError::Fault(fault)) if fault != PolicyFault::LeaseNotLonger => {
                panic!("{fault:?}\n{}", local::logs(&guarded.cluster))
            }
            // A look without a quorum is made again.
            _ => {}
        }
        let joined = client
            .status()
            .await
            .is_ok_and(|now| now.voters.len() == 3 && now.learners.is_empty() && now.voters.iter().all(|voter| voter.incarnation != old));
        if joined {
            break;
        }
        assert!(Instant::now() < until, "nobody joins under a lease\n{}", local::logs(&guarded.cluster));
        tokio::time::sleep(LOOK).await;
    }
    assert_eq!(
        refused(client.renew_lease(wanted(&governors(), &guarded.cluster, &founding, u64::MAX / 2_000)).await),
        PolicyFault::OtherPolicy
    );

    // What is in force outlives every process, one by one and all at once.
    let longer = next(&leased, |policy| policy.governance.lease_s = 3_600);
    let waits = client.propose_policy(signed(&leased, &longer, &[2, 3])).await.unwrap();
    assert!(matches!(waits, PolicyOutcome::Pending(_)), "a longer lease is a loosening: {waits:?}");
    client.close().await;
    recovers(&mut guarded, &device, &leased).await;
}

/// Every process dies; two custodians bring the cluster back, and the same policy is in force, with what waits.
async fn recovers(guarded: &mut Guarded, device: &Device, leased: &PolicyDoc) {
    guarded.kill_all();
    let disks = other_disks(guarded);
    guarded.cluster.recover(1, &disks).unwrap();
    let offer = guarded.offer(1).await.unwrap();
    for number in [1, 2] {
        guarded.answer(1, &offer, (number, number), None).unwrap();
    }
    guarded.told_where(1, "service", |told| told["step"] == "serving").await.unwrap();
    let client = device.client(&guarded.cluster).await;
    assert_eq!((client.verification().epoch.0, client.verification().policy_version.0), (2, 2));
    let view = governed_where(&client, &guarded.cluster, "the policy after the outage", |view| view.version.0 == 2).await;
    assert_eq!((view.in_force, view.steps, view.pending.len()), (Digest(leased.digest()), 1, 1));
    assert_eq!(client.namespace("notes").await.unwrap().get("k").await.unwrap().unwrap().value, b"written");
    // The governors of the policy in force still govern.
    let tighter = next(leased, |policy| policy.session.reattest_s -= 1);
    let outcome = client.propose_policy(signed(leased, &tighter, &[1, 2])).await.unwrap();
    assert_eq!(outcome, PolicyOutcome::InForce(PolicyVersion(3)));
    let view = governed_where(&client, &guarded.cluster, "the tightened policy", |view| view.version.0 == 3).await;
    assert!(view.pending.is_empty(), "what replaced another policy waits no more");
    follows(&client, &guarded.cluster, 3).await;
    assert_eq!(device.remembers(), 3);
    client.close().await;
}

/// Flags that bring the disks of the other nodes.
fn other_disks(guarded: &Guarded) -> Vec<std::ffi::OsString> {
    let copies: Vec<PathBuf> = [2, 3]
        .map(|slot| {
            let from = guarded.cluster.data_folder(slot);
            let to = from.with_extension("copy");
            ringwall_sim::guarded::copy_disk(&from, &to).unwrap();
            to
        })
        .to_vec();
    ringwall_sim::guarded::disks(&copies)
}
