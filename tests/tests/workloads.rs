//! Workload keys over real processes: who is granted the bytes, who is not and why, and what is written down of it.
//!
//! Decides: an AMD and an Intel workload get the same bytes from every node, before and after restarts and with another leader; every refusal has its
//! code and its entry; orders that do not hold make nothing; the audit chain is whole and only governors read it; the command line does all of it.
//! Trusts: simulated guests to lie well. Out of scope: each rule by itself (`attest/tests/grants.rs`), what replicas hold
//! (`consensus/src/machine/workloads_tests.rs`). Protocol section 10.
#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(dead_code, reason = "its own `main` is not called here")]
#[path = "../../client/examples/workload.rs"]
mod example;
use super::three;
use super::workload;

use ringwall_client::UserId;
use ringwall_client::workload::{WorkloadError, WorkloadSession};
use ringwall_sim::cluster::{LocalCluster, LocalOptions};
use ringwall_sim::guest::guest;
use ringwall_tests::local;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::ClusterId;
use ringwall_wire::order::OrderFault;
use ringwall_wire::workload::{AuditEvent, GrantFault, GrantOrder, GrantPolicy, SetFault, WorkloadPurpose};
use std::sync::Arc;
use std::time::{Duration, Instant};
use workload::{AMD, Governed, INTEL, NAME, policy, ringwall};

/// The key as both workloads get it from every node.
async fn everywhere(governed: &Governed, name: &str) -> [u8; 32] {
    let mut seen: Option<[u8; 32]> = None;
    for slot in 1..=3 {
        for line in [AMD, INTEL] {
            let granted = governed.ask(Some(slot), line, name, None).await;
            let granted = granted.unwrap_or_else(|error| panic!("{line} at {slot}: {error}\n{}", local::logs(&governed.cluster)));
            let key = *granted.key.expose();
            assert_eq!(*seen.get_or_insert(key), key, "{line} got other bytes from the node of slot {slot}");
        }
    }
    seen.unwrap()
}

async fn settled(governed: &Governed) -> ringwall_client::ClusterStatus {
    local::voters(&governed.user, &governed.cluster, 3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_vendors_get_the_same_bytes_from_any_node_before_and_after_restarts() {
    let mut governed = Governed::start().await;
    let first = governed.create(NAME).await;
    let key = everywhere(&governed, NAME).await;
    // The example for programs, as it stands: the same bytes.
    let (card, out) = (governed.cluster.card_path().display().to_string(), governed.path("example.key"));
    let arguments = [card.as_str(), NAME, "--simulated", AMD, "--out", out.to_str().unwrap()];
    example::run(arguments.into_iter().map(str::to_owned)).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(std::fs::read(&out).unwrap(), key, "the example got another key");
    let other = governed.create("payments/db/2").await;
    assert_ne!(everywhere(&governed, "payments/db/2").await, key, "two keys have the same bytes");

    // One user's own key: the same everywhere, another one for another user, and never the key itself.
    let (alice, bob) = (UserId([1; 20]), UserId([2; 20]));
    let own = governed.ask(Some(1), AMD, NAME, Some(alice)).await.unwrap().key;
    assert!(own.same(&governed.ask(Some(3), INTEL, NAME, Some(alice)).await.unwrap().key));
    assert!(!own.same(&governed.ask(Some(1), AMD, NAME, Some(bob)).await.unwrap().key));
    assert_ne!(*own.expose(), key);

    // Every node is a new life, one after the other; the leader is among them.
    let leader = local::leader_slot(&settled(&governed).await);
    for slot in [leader, leader % 3 + 1, (leader + 1) % 3 + 1] {
        let old = local::voter_of(&settled(&governed).await, slot);
        governed.cluster.restart(slot).unwrap();
        local::replaced(&governed.user, &governed.cluster, old).await;
    }
    let now = local::leader_slot(&settled(&governed).await);
    assert_eq!(everywhere(&governed, NAME).await, key, "the key changed over restarts (leader was {leader}, is {now})");

    // A changed policy keeps the key, for those it names.
    let raised = GrantPolicy { version: 2, min_svn: 2, ..first.clone() };
    assert_eq!(governed.bring(&governed.order(&raised, Some(&first), &[1, 2])).await.unwrap(), 2);
    assert_eq!(governed.refused(AMD, NAME).await, "MEASUREMENT");
    let back = GrantPolicy { version: 3, ..first.clone() };
    assert_eq!(governed.bring(&governed.order(&back, Some(&raised), &[0, 2])).await.unwrap(), 3);
    assert_eq!(everywhere(&governed, NAME).await, key, "the key changed with its policy");
    let granted = governed.ask(None, AMD, "payments/db/2", None).await.unwrap();
    assert_eq!((granted.policy_version, other.version), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_outlives_the_master_keys_it_was_wrapped_under() {
    // Every two seconds, whoever leads.
    let governed = Governed::start_with(LocalOptions { rotate_s: Some((2, 2)), ..LocalOptions::default() }).await;
    let first = governed.create(NAME).await;
    let granted = governed.ask(None, AMD, NAME, None).await.unwrap();
    let until = Instant::now() + local::PATIENCE;
    let mut last = granted.key_epoch;
    while last.0 < granted.key_epoch.0 + 3 {
        assert!(Instant::now() < until, "no rotation was seen\n{}", local::logs(&governed.cluster));
        tokio::time::sleep(Duration::from_millis(100)).await;
        // A member that the next master key is on its way to says so; another one has it.
        match governed.ask(None, INTEL, NAME, None).await {
            Ok(again) => {
                assert!(again.key.same(&granted.key), "the key changed with the master key {}", again.key_epoch);
                last = again.key_epoch;
            }
            Err(error) => assert!(matches!(error, WorkloadError::Refused { code: "UNAVAILABLE", .. }), "{error:?}"),
        }
    }
    local::log_says(&governed.cluster, 1, "master keys that are over were dropped").await;
    // A policy that is set between two rotations finds the key where the last one left it.
    let next = GrantPolicy { version: 2, grants_per_minute: 999, ..first.clone() };
    assert_eq!(governed.bring(&governed.order(&next, Some(&first), &[0, 1])).await.unwrap(), 2);
    assert!(governed.ask(None, AMD, NAME, None).await.unwrap().key.same(&granted.key));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_that_does_not_satisfy_the_policy_is_refused_by_code_and_written_down() {
    let governed = Governed::start().await;
    governed.create(NAME).await;
    governed.ask(None, AMD, NAME, None).await.unwrap();
    let amd = |change: &str| format!("{AMD},{change}");
    let intel = |change: &str| format!("{INTEL},{change}");
    let cases: Vec<(String, GrantFault)> = vec![
        ("genoa-2,build=payments-0,config=region=eu".into(), GrantFault::Measurement),
        ("tdx-2,build=payments-0,config=region=eu".into(), GrantFault::Measurement),
        (amd("lie=SnpDebug"), GrantFault::Debug),
        (intel("lie=TdxDebug"), GrantFault::Debug),
        (amd("lie=SnpOldReported"), GrantFault::TcbTooOld),
        (amd("lie=SnpOldCommitted"), GrantFault::TcbTooOld),
        (intel("lie=TdxOutOfDate"), GrantFault::TcbTooOld),
        ("genoa-1,build=payments-1,config=region=eu".into(), GrantFault::Chip),
        ("milan-1,build=payments-1,config=region=eu".into(), GrantFault::Chip),
        ("tdx-3,build=payments-1,config=region=eu".into(), GrantFault::Chip),
        ("genoa-2,build=payments-1".into(), GrantFault::HostData),
        ("tdx-2,build=payments-1".into(), GrantFault::HostData),
        ("genoa-2,build=payments-1,config=region=us".into(), GrantFault::HostData),
        (amd("lie=SnpMigrateMa"), GrantFault::Settings),
        (amd("lie=ForeignRoot"), GrantFault::NotGenuine),
        (intel("lie=Signature"), GrantFault::NotGenuine),
        (amd("lie=ReportData"), GrantFault::OtherSession),
        (intel("lie=ReportData"), GrantFault::OtherSession),
    ];
    for (line, fault) in &cases {
        assert_eq!(governed.refused(line, NAME).await, fault.code(), "{line}");
    }
    assert_eq!(governed.refused(AMD, "no/such/key").await, "NO_KEY");
    let audit = governed.audit().await;
    let refusals: Vec<AuditEvent> = audit.entries.iter().skip(2).map(|entry| entry.event).collect();
    let wanted: Vec<AuditEvent> = cases.iter().map(|(_, fault)| *fault).chain([GrantFault::NoKey]).map(AuditEvent::Refused).collect();
    assert_eq!(refusals, wanted);
    assert!(matches!(audit.entries[0].event, AuditEvent::Created(_)));
    assert_eq!(audit.entries[1].event, AuditEvent::Granted);
    assert_eq!(audit.entries[1].subject.unwrap().chip, guest(AMD).unwrap().chip());
    for entry in &audit.entries {
        // What was not genuine says nothing of a machine.
        let named = !matches!(entry.event, AuditEvent::Created(_) | AuditEvent::Refused(GrantFault::NotGenuine));
        assert_eq!(entry.subject.is_some(), named, "{entry:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_counts_in_the_session_it_was_made_for_and_sessions_keep_their_order() {
    let governed = Governed::start().await;
    governed.create(NAME).await;
    let (options, tee) = (governed.options_of(1), guest(AMD).unwrap());
    let open = || WorkloadSession::open(&options, &options.addresses[0], WorkloadPurpose::Workload);
    let mut session = open().await.unwrap();
    let without = session.grant(NAME, None).await;
    assert!(matches!(without, Err(WorkloadError::NotGranted { fault: GrantFault::NoEvidence, .. })), "{without:?}");
    let evidence = tee.mint(&session.report_data());
    session.attest(evidence.clone(), tee.endorse()).await.unwrap();
    let first = session.grant(NAME, None).await.unwrap();
    let again = session.grant(NAME, None).await.unwrap();
    assert!(first.key.same(&again.key) && again.seq == first.seq + 1, "each grant is an entry");
    // The very same evidence in another session with the same node.
    let mut other = open().await.unwrap();
    other.attest(evidence, tee.endorse()).await.unwrap();
    let replayed = other.grant(NAME, None).await;
    assert!(matches!(replayed, Err(WorkloadError::NotGranted { fault: GrantFault::OtherSession, .. })), "{replayed:?}");
    // A workload brings no orders, and a governor's session asks for no keys.
    let order = governed.order(&policy("a", 1, 1), None, &[0, 1]);
    assert!(matches!(other.order(&order).await, Err(WorkloadError::Refused { code: "MALFORMED", .. })));
    let mut governor = WorkloadSession::open(&options, &options.addresses[0], WorkloadPurpose::Governor).await.unwrap();
    assert!(matches!(governor.grant(NAME, None).await, Err(WorkloadError::Refused { code: "MALFORMED", .. })));
    assert!(matches!(session.grant("../etc", None).await, Err(WorkloadError::Name(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_governors_make_keys_and_read_what_was_written_down() {
    let governed = Governed::start().await;
    let first = policy(NAME, 1, 5);
    let good = governed.order(&first, None, &[0, 1]);
    let elsewhere = GrantOrder { cluster_id: ClusterId([7; 32]), ..good.clone() };
    let changed = GrantOrder { policy: governed.order(&policy(NAME, 1, 6), None, &[]).policy, ..good.clone() };
    let later = policy(NAME, 2, 5);
    for (what, order, fault) in [
        ("one signature", governed.order(&first, None, &[0]), SetFault::Order(OrderFault::TooFew)),
        ("one signed twice", governed.order(&first, None, &[0, 0]), SetFault::Order(OrderFault::TooFew)),
        ("another cluster", elsewhere, SetFault::Order(OrderFault::OtherCluster)),
        ("changed after signing", changed, SetFault::Order(OrderFault::BadSignature)),
        ("no first one", governed.order(&later, Some(&first), &[0, 1]), SetFault::NoKey),
    ] {
        match governed.bring(&order).await {
            Err(WorkloadError::NotSet(got)) => assert_eq!(got, fault, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    assert_eq!(governed.refused(AMD, NAME).await, "NO_KEY");
    assert_eq!(governed.bring(&good).await.unwrap(), 1);
    assert_eq!(governed.bring(&good).await.unwrap(), 1, "bringing an order twice changes nothing");
    let skipped = governed.bring(&governed.order(&policy(NAME, 3, 5), Some(&first), &[0, 1])).await;
    assert!(matches!(skipped, Err(WorkloadError::NotSet(SetFault::NotNext))), "{skipped:?}");

    // The policy gives five a minute; whichever minute they fall into, the sixth to eleventh find at least one refusal.
    let mut limited = 0;
    for _ in 0..11 {
        match governed.ask(None, AMD, NAME, None).await {
            Ok(_) => {}
            Err(WorkloadError::NotGranted { fault: GrantFault::RateLimited, .. }) => limited += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(limited >= 1, "eleven grants in at most two minutes were given under a policy of five");

    let stranger = ringwall_client::policy::GovernorKey::create(&governed.path("stranger")).unwrap();
    let options = governed.options_of(2);
    let mut session = WorkloadSession::open(&options, &options.addresses[0], WorkloadPurpose::Governor).await.unwrap();
    let refused = session.audit_page(&stranger, 0).await;
    assert!(matches!(refused, Err(WorkloadError::Refused { code: "NOT-AUTHORIZED", .. })), "{refused:?}");
    let audit = governed.audit().await;
    assert_eq!(audit.count, audit.entries.len() as u64);
    assert!(audit.entries.iter().any(|entry| entry.event == AuditEvent::Refused(GrantFault::RateLimited)));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_governors_or_a_quorum_there_is_no_key() {
    let plain = three::Three::start().await;
    let order = unsigned(&plain.cluster);
    let (options, address) = (local::options(&plain.cluster), plain.cluster.address(1).to_string());
    let refused = WorkloadSession::open(&options, &address, WorkloadPurpose::Governor).await.unwrap().order(&order).await;
    assert!(matches!(refused, Err(WorkloadError::NotSet(SetFault::Order(OrderFault::NoGovernors)))), "{refused:?}");
    drop(plain);

    let mut governed = Governed::start().await;
    governed.create(NAME).await;
    governed.ask(Some(1), AMD, NAME, None).await.unwrap();
    // A node that is alone answers nobody, however good the evidence is: the grant could not be written down.
    governed.cluster.kill(2);
    governed.cluster.kill(3);
    let mut options = governed.options_of(1);
    options.timeouts.deadline = std::time::Duration::from_secs(4);
    let alone = ringwall_client::workload::request_workload_key(&options, Arc::new(guest(AMD).unwrap()), NAME, None).await;
    assert!(alone.is_err(), "a node without a quorum granted a key");
}

/// An order nobody signed.
fn unsigned(cluster: &LocalCluster) -> GrantOrder {
    let policy = Blob::new(policy(NAME, 1, 1).encode()).unwrap();
    GrantOrder { cluster_id: cluster.card().genesis.cluster_id(), replaces: None, policy, signatures: List::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_orders_brings_asks_and_audits() {
    let governed = Governed::start().await;
    let folder = governed.folder.path().to_owned();
    let toml = ringwall_client::policy::grant_to_toml(&policy(NAME, 1, 100));
    std::fs::write(folder.join("payments.toml"), &toml).unwrap();
    let run = |guest: Option<&str>, words: &[&str]| {
        let words: Vec<&str> = ["--card", "cluster.card"].iter().chain(words).copied().collect();
        let output = ringwall(&folder, guest, &words);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        (output.status.code().unwrap(), out, err)
    };
    let done = |guest: Option<&str>, words: &[&str]| {
        let (code, out, err) = run(guest, words);
        assert_eq!(code, 0, "{words:?}: {out}{err}");
        out
    };
    done(None, &["workload-key", "order", "payments.toml", "--first", "--out", "order.0"]);
    done(None, &["workload-key", "sign", "order.0", "--key", "governor-1", "--out", "order.1"]);
    let (code, _, err) = run(None, &["workload-key", "create", "order.1"]);
    assert!(code == 11 && err.contains("too few governors"), "{code} {err}");
    done(None, &["workload-key", "sign", "order.1", "--key", "governor-3", "--out", "order.2"]);
    assert!(done(None, &["workload-key", "verify", "order.2"]).contains("makes the key"));
    assert!(done(None, &["workload-key", "create", "order.2"]).contains("created"));
    assert_eq!(done(None, &["workload-key", "show", "order.2"]), toml);

    let (amd, intel) = (done(Some(AMD), &["workload-key", "grant", NAME]), done(Some(INTEL), &["workload-key", "grant", NAME]));
    assert!(amd == intel && amd.trim().len() == 64, "{amd} {intel}");
    done(Some(AMD), &["workload-key", "grant", NAME, "--out", "key"]);
    assert_eq!(ringwall_wire::text::hex(&std::fs::read(folder.join("key")).unwrap()), amd.trim());
    let (code, out, err) = run(Some("genoa-1,build=payments-1"), &["workload-key", "grant", NAME]);
    assert!(code == 8 && out.is_empty() && err.contains("CHIP") && err.contains("RW-C-NOT-GRANTED"), "{code} {out} {err}");

    let seen = done(None, &["workload-key", "audit", "--key", "governor-2"]);
    assert!(seen.contains("refused CHIP") && seen.contains("chain verified: 5 entries, 5 kept"), "{seen}");
    let head = seen.trim_end().rsplit(' ').next().unwrap();
    done(Some(AMD), &["workload-key", "grant", NAME, "--user", &"ab".repeat(20)]);
    let later = done(None, &["--json", "workload-key", "audit", NAME, "--key", "governor-2", "--since", head]);
    assert!(later.contains("\"entries\":6") && later.contains("user_tag") && !later.contains(&"ab".repeat(20)), "{later}");
    let forged = format!("{}:{}", head.split(':').next().unwrap(), "0".repeat(64));
    let (code, _, err) = run(None, &["workload-key", "audit", "--key", "governor-2", "--since", &forged]);
    assert!(code == 13 && err.contains("RW-C-AUDIT-FORK"), "{code} {err}");
}
