//! A client against hostile and broken nodes, over real QUIC and real handshakes.
//!
//! Decides: nothing; each case is one way for a node, or somebody in its place, to misbehave. In every one the client ends with a typed
//! error, in bounded time, and the node's side has seen nothing but versions, handshake and the request for evidence (T-A1, T-A3, T-A6,
//! A10, A12, A13 at the client). Trusts: simulated evidence (`ringwall-sim`). Out of scope: clusters (the cross-crate suites).
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_attest::{SessionError, VerifyError};
use ringwall_client::{Client, ConnectError, Credential, Options, ReadError, Timeouts, verify_node};
use ringwall_sim::Lie;
use ringwall_sim::impostor::{Act, Impostor};
use ringwall_wire::session::AttestMode;
use std::time::{Duration, Instant};

fn options(impostor: &Impostor, deadline_ms: u64) -> Options {
    let mut options = Options::pinned(impostor.cluster_id, vec![impostor.address.clone()], ringwall_sim::anchors(), Credential::generate());
    let patience = Duration::from_millis(deadline_ms);
    options.timeouts = Timeouts { dial: patience, answer: patience, deadline: patience };
    options
}

/// Connects to a misbehaving node and returns the error, after the case was found bounded and silent.
///
/// Nodes that merely do not work are tried until the deadline; nodes that must not be used end the attempt at once.
async fn refused(act: Act) -> ConnectError {
    let impostor = Impostor::start(act);
    let started = Instant::now();
    let deadline_ms = match act {
        Act::OtherCluster | Act::ReplayedEvidence | Act::Lies(_) => 20_000,
        _ => 1_500,
    };
    let fault = Client::connect(options(&impostor, deadline_ms)).await.expect_err("a hostile node was believed");
    assert!(started.elapsed() < Duration::from_secs(10), "{act:?} took {:?}", started.elapsed());
    assert!(!fault.code().is_empty() && fault.to_string().len() < 4_096, "{fault}");
    impostor.assert_nothing_was_told();
    fault
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_node_is_believed_and_served() {
    let impostor = Impostor::start(Act::Honest);
    let client = Client::connect(options(&impostor, 20_000)).await.unwrap();
    let seen = client.verification();
    assert_eq!(seen.cluster_id, impostor.cluster_id);
    assert!(seen.steps.len() > 3, "{:?}", seen.steps);
    let notes = client.namespace("notes").await.unwrap();
    assert!(notes.get("k").await.unwrap().is_none());
    client.close().await;
    assert!(impostor.bytes_after_evidence() > 0, "the counter of application bytes does not count");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verifying_alone_tells_the_node_nothing_of_the_user() {
    let impostor = Impostor::start(Act::Honest);
    let seen = verify_node(&options(&impostor, 20_000), &impostor.address).await.unwrap();
    assert_eq!(seen.address, impostor.address);
    impostor.assert_nothing_was_told();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_instead_of_a_descriptor() {
    assert!(matches!(refused(Act::GarbageDescriptor).await, ConnectError::Unavailable { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_announces_four_gigabytes() {
    let fault = refused(Act::HugeFrame).await;
    assert!(fault.to_string().contains("at most 8192"), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_never_answers() {
    for act in [Act::SilentAtOnce, Act::SilentBeforeEvidence] {
        assert!(matches!(refused(act).await, ConnectError::Unavailable { .. }), "{act:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_descriptor_of_another_cluster() {
    assert!(matches!(refused(Act::OtherCluster).await, ConnectError::OtherCluster { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_descriptor_with_keys_the_node_does_not_hold() {
    let fault = refused(Act::BorrowedKeys).await;
    assert!(matches!(fault, ConnectError::Unavailable { .. }), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_instead_of_evidence() {
    for act in [Act::GarbageEvidence, Act::HugeEvidence] {
        assert!(matches!(refused(act).await, ConnectError::Unavailable { .. }), "{act:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_of_another_session_is_refused() {
    match refused(Act::ReplayedEvidence).await {
        ConnectError::Evidence { error, .. } => assert!(matches!(*error, SessionError::Rejected(_)), "{error}"),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lying_evidence_is_refused_with_its_reason() {
    for lie in [Lie::ReportData, Lie::BootConfig, Lie::Build, Lie::ForeignRoot, Lie::Signature, Lie::SnpDebug] {
        let fault = refused(Act::Lies(lie)).await;
        assert!(matches!(fault, ConnectError::Evidence { .. }), "{lie:?}: {fault}");
        assert!(fault.is_refused_evidence());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simulated_evidence_is_nothing_to_a_client_with_the_vendors_roots() {
    let impostor = Impostor::start(Act::Honest);
    let mut options = options(&impostor, 20_000);
    options.anchors = std::sync::Arc::new(ringwall_client::Anchors::production());
    match Client::connect(options).await.unwrap_err() {
        ConnectError::Evidence { error, .. } => assert!(
            matches!(
                *error,
                SessionError::Verify(VerifyError::CertSignature { .. } | VerifyError::CertIssuer { .. } | VerifyError::CertNamed { .. })
            ),
            "{error}"
        ),
        other => panic!("{other}"),
    }
    impostor.assert_nothing_was_told();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_node_is_not_even_asked_for_a_handshake_again() {
    let impostor = Impostor::start(Act::Lies(Lie::Build));
    let mut options = options(&impostor, 20_000);
    // Two ways to one node: it is known by its key.
    options.addresses.push(impostor.address.replace("127.0.0.1", "127.0.0.2"));
    let fault = Client::connect(options).await.unwrap_err();
    assert_eq!(fault.tried().len(), 2, "{fault}");
    assert!(fault.tried().iter().all(|attempt| attempt.refused), "{fault}");
    assert_eq!(impostor.handshakes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_shared_with_other_sessions_is_refused_by_a_client_that_asked_for_its_own() {
    let impostor = Impostor::start(Act::SharedEvidence);
    let mut options = options(&impostor, 20_000);
    Client::connect(options.clone()).await.expect("by default, evidence for several sessions will do").close().await;
    let told = impostor.bytes_after_evidence();
    options.attest = AttestMode::Single;
    match Client::connect(options).await.unwrap_err() {
        ConnectError::Evidence { error, .. } => {
            assert_eq!(*error, SessionError::WeakerMode { asked: AttestMode::Single, got: AttestMode::Batched });
        }
        other => panic!("{other}"),
    }
    assert_eq!(impostor.bytes_after_evidence(), told, "the client went on after weaker evidence than it asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_not_used_longer_than_the_policy_says() {
    let impostor = Impostor::start(Act::ShortSessions);
    let client = Client::connect(options(&impostor, 20_000)).await.unwrap();
    let notes = client.existing_namespace("notes").unwrap();
    notes.get("k").await.unwrap();
    let before = impostor.handshakes();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    notes.get("k").await.unwrap();
    assert!(impostor.handshakes() > before, "the node was not judged anew");
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_the_node_does_not_accept() {
    let impostor = Impostor::start(Act::RefusesUser);
    let fault = Client::connect(options(&impostor, 20_000)).await.unwrap_err();
    assert!(matches!(fault, ConnectError::NotAuthorized { .. }), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_node_that_breaks_the_records_ends_with_a_typed_error() {
    for act in [Act::GarbageRecords, Act::EndlessMessage, Act::NeverReplies] {
        let impostor = Impostor::start(act);
        let mut options = options(&impostor, 2_000);
        options.timeouts.dial = Duration::from_secs(10);
        let client = Client::connect(options).await.unwrap();
        let notes = client.existing_namespace("notes").unwrap();
        let started = Instant::now();
        let fault = notes.get("k").await.unwrap_err();
        assert!(matches!(fault, ReadError::Session(_)), "{act:?}: {fault}");
        assert!(started.elapsed() < Duration::from_secs(8), "{act:?} took {:?}", started.elapsed());
    }
}
