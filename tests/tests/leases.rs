//! What members hand out when the lease of the cluster's policy is over: nothing; and what goes on: everything of users. Over real processes.
//!
//! Decides: a guest that was granted a key is refused by every member, over the cluster's own protocol, the command line and the key broker protocol, each by
//! the reason's code, and so is one that was never granted any; refusals are in the audit chain; reads and writes go on; a renewed lease brings the
//! very same bytes back. Trusts: simulated guests. Out of scope: joins under a lapsed lease (`governance.rs`), each rule by itself (`consensus`). Protocol section 8, PC11.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::{governing, workload};

use governing::{LOOK, governed_where, next, signed_by, wanted};
use ringwall_client::GovernanceError;
use ringwall_client::workload::{WorkloadError, WorkloadSession, anywhere};
use ringwall_sim::cluster::LocalOptions;
use ringwall_sim::guest::guest;
use ringwall_tests::local::{self, PATIENCE};
use ringwall_wire::governance::{PolicyFault, PolicyOutcome};
use ringwall_wire::ids::PolicyVersion;
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::workload::{AuditEvent, GrantFault, WorkloadPurpose};
use std::time::Instant;
use workload::broker::{Guest, TeeKey, write_endorsements};
use workload::{AMD, Governed, INTEL, NAME, ringwall};

/// Seconds members grant keys after the governors' last word: enough to ask every member twice.
const LEASE_S: u32 = 20;
/// Exit code of the command line for a workload that may not have the key.
const NOT_AUTHORIZED: i32 = 8;

/// What a guest gets over the key broker protocol: the bytes, or what it is told.
async fn brokered(governed: &Governed, certificate: &[u8], slot: u8, line: &str) -> Result<Vec<u8>, (u16, String)> {
    let address = governed.cluster.kbs_address(slot).unwrap();
    let mut asking = Guest::new(address, certificate, guest(line).unwrap(), TeeKey::ec(slot));
    asking.handshake().await;
    let answer = asking.resource(NAME).await;
    match answer.status {
        200 => Ok(asking.key.open(&answer.json())),
        status => Err((status, answer.error().detail)),
    }
}

/// Every member refuses both guests, at each door, because the lease is over.
async fn refused_everywhere(governed: &Governed, certificate: &[u8]) {
    for slot in 1..=3 {
        for line in [AMD, INTEL] {
            match governed.ask(Some(slot), line, NAME, None).await {
                Err(WorkloadError::NotGranted { fault: GrantFault::LeaseOver, .. }) => {}
                other => panic!("{line} at {slot}: {other:?}\n{}", local::logs(&governed.cluster)),
            }
            let (status, detail) = brokered(governed, certificate, slot, line).await.expect_err("no key under a lapsed lease");
            assert!(status == 403 && detail.starts_with("LEASE_OVER"), "{line} at {slot}: {status} {detail}");
        }
    }
    // As a person types it in a guest.
    let card = governed.cluster.card_path().display().to_string();
    let folder = governed.folder.path().to_owned();
    let typed = move || ringwall(&folder, Some(AMD), &["--card", &card, "--json", "workload-key", "grant", NAME]);
    let told = tokio::task::spawn_blocking(typed).await.unwrap();
    let err = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.status.code(), Some(NOT_AUTHORIZED), "{err}");
    assert!(err.contains("LEASE_OVER") && told.stdout.is_empty(), "{err}");
}

/// Brings the governors' word until a member takes it.
async fn renewed(governed: &Governed, leased: &PolicyDoc) {
    let until = Instant::now() + PATIENCE;
    loop {
        let view = governed_where(&governed.user, &governed.cluster, "a view", |_| true).await;
        match governed.user.renew_lease(wanted(&governed.governors, &governed.cluster, leased, view.now_ms)).await {
            Ok(outcome) => return assert!(matches!(outcome, PolicyOutcome::Leased(_)), "{outcome:?}"),
            Err(GovernanceError::Fault(fault)) if fault != PolicyFault::LeaseNotLonger => panic!("{fault:?}"),
            // A look without a quorum is made again.
            Err(_) => tokio::time::sleep(LOOK).await,
        }
        assert!(Instant::now() < until, "no lease is taken\n{}", local::logs(&governed.cluster));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_lease_stops_grants_at_every_door_and_a_renewed_one_brings_the_same_bytes() {
    let endorsements = tempfile::tempdir().unwrap();
    [AMD, INTEL].iter().for_each(|line| write_endorsements(endorsements.path(), &guest(line).unwrap()));
    let governed = Governed::start_with(LocalOptions { kbs: Some(endorsements.path().to_owned()), ..LocalOptions::default() }).await;
    let options = governed.options();
    let asked = anywhere(&options, WorkloadPurpose::Governor, async |session: &mut WorkloadSession| session.certificate().await);
    let certificate = asked.await.unwrap();
    governed.create(NAME).await;
    let key = governed.ask(None, AMD, NAME, None).await.unwrap().key.expose().to_vec();
    let notes = governed.user.namespace("notes").await.unwrap();
    notes.put("k", "before").await.unwrap();

    // The governors demand to be heard from, and are not.
    let founding = governed.cluster.card().policy.clone();
    let leased = next(&founding, |policy| policy.governance.lease_s = LEASE_S);
    let step = signed_by(&governed.governors, &founding, &leased, &[1, 2]);
    assert_eq!(governed.user.propose_policy(step).await.unwrap(), PolicyOutcome::InForce(PolicyVersion(2)));
    let lapsed = |view: &ringwall_client::GovernanceView| view.lease_until_s.is_some_and(|until_s| view.now_ms / 1_000 > until_s);
    governed_where(&governed.user, &governed.cluster, "the lease to lapse", lapsed).await;
    refused_everywhere(&governed, &certificate).await;

    // Reads and writes of users go on, at every member.
    for slot in 1..=3 {
        let user = local::client_of(&governed.cluster, slot).await;
        let own = user.namespace("own").await.unwrap();
        own.put("k", [slot]).await.unwrap();
        assert_eq!(own.get("k").await.unwrap().unwrap().value, [slot]);
        user.close().await;
    }
    assert_eq!(notes.get("k").await.unwrap().unwrap().value, b"before");
    notes.put("k", "after").await.unwrap();
    let audit = governed.audit().await;
    let refusals = audit.entries.iter().filter(|entry| entry.event == AuditEvent::Refused(GrantFault::LeaseOver)).count();
    assert!(refusals >= 13, "{refusals} of 13 refusals are written down");

    // The governors say that this policy is still wanted: every member gives the very same bytes, at each door.
    renewed(&governed, &leased).await;
    for (slot, line) in [(1, AMD), (2, INTEL), (3, AMD)] {
        let granted = governed.ask(Some(slot), line, NAME, None).await;
        let granted = granted.unwrap_or_else(|fault| panic!("{line} at {slot}: {fault}\n{}", local::logs(&governed.cluster)));
        assert_eq!(granted.key.expose().to_vec(), key, "other bytes from the node of slot {slot}");
        assert_eq!(brokered(&governed, &certificate, slot, line).await, Ok(key.clone()), "other bytes from the broker of slot {slot}");
    }
    assert_eq!(notes.get("k").await.unwrap().unwrap().value, b"after");
}
