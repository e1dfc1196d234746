//! Workload keys over the key broker protocol: a guest of Confidential Containers against real nodes, over HTTPS on loopback.
//!
//! Decides: a guest that speaks protocol 0.4 in the types of its own client (crate `kbs-types`) gets the very bytes a guest of ours gets, from any node,
//! under one pinned certificate, with keys on P-256 and RSA; versions, order of messages, bindings and refusals are the protocol's; each refusal is
//! in the audit chain; garbage ends the connection and nothing else.
//! Trusts: crates `sev` and `kbs-types` to write what guests write. Out of scope: messages one by one (`node/src/kbs`), what the documents say
//! (`kbs/documents.rs`). Decision 0032.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::workload;

#[path = "kbs/documents.rs"]
mod documents;

use ringwall_client::workload::{WorkloadSession, anywhere};
use ringwall_sim::cluster::LocalOptions;
use ringwall_sim::guest::guest;
use ringwall_tests::local;
use ringwall_wire::workload::{AuditEvent, GrantFault, WorkloadPurpose};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use workload::broker::{Guest, TeeKey, write_endorsements};
use workload::{AMD, Governed, INTEL, NAME};

struct Brokered {
    governed: Governed,
    certificate: Vec<u8>,
    _endorsements: tempfile::TempDir,
}

impl Brokered {
    async fn start() -> Self {
        let endorsements = tempfile::tempdir().unwrap();
        for line in [AMD, INTEL, "turin-2"] {
            write_endorsements(endorsements.path(), &guest(line).unwrap());
        }
        let options = LocalOptions { kbs: Some(endorsements.path().to_owned()), ..LocalOptions::default() };
        let governed = Governed::start_with(options).await;
        let options = governed.options();
        let asked = anywhere(&options, WorkloadPurpose::Governor, async |session: &mut WorkloadSession| session.certificate().await);
        let certificate = asked.await.unwrap();
        Brokered { governed, certificate, _endorsements: endorsements }
    }

    fn guest(&self, slot: u8, line: &str, key: TeeKey) -> Guest {
        Guest::new(self.governed.cluster.kbs_address(slot).unwrap(), &self.certificate, guest(line).unwrap(), key)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmodified_guest_gets_the_same_bytes_as_one_of_ours() {
    let mut brokered = Brokered::start().await;
    brokered.governed.create(NAME).await;
    let key = brokered.governed.ask(None, AMD, NAME, None).await.unwrap().key;
    let rsa = || {
        let mut chance = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(5);
        TeeKey::Rsa(Box::new(rsa::PrivateKey::new(&mut chance, 2048).unwrap()))
    };
    for (slot, line, pair) in [(1, AMD, TeeKey::ec(1)), (2, INTEL, TeeKey::ec(2)), (3, "turin-2,build=payments-1,config=region=eu", rsa())]
    {
        let mut asking = brokered.guest(slot, line, pair);
        let token = asking.handshake().await;
        let answer = asking.resource(NAME).await;
        assert_eq!(
            answer.status,
            200,
            "{line}: {answer:?} {}\n{}",
            String::from_utf8_lossy(&answer.body),
            local::logs(&brokered.governed.cluster)
        );
        assert_eq!(asking.key.open(&answer.json()), key.expose().to_vec(), "{line}");
        // The token alone will do, as the protocol has it, at the node that gave it.
        asking.cookie = None;
        let bearer = format!("Bearer {token}");
        let answer = asking.send("GET", &format!("/kbs/v0/resource/{NAME}"), &[("authorization", &bearer)], &[]).await.unwrap();
        assert_eq!(asking.key.open(&answer.json()), key.expose().to_vec(), "{line}, by token");
    }
    // A node's next life has the same certificate.
    let old = local::voter_of(&local::voters(&brokered.governed.user, &brokered.governed.cluster, 3).await, 2);
    brokered.governed.cluster.restart(2).unwrap();
    local::replaced(&brokered.governed.user, &brokered.governed.cluster, old).await;
    local::log_says(&brokered.governed.cluster, 2, "key broker protocol is offered").await;
    let mut again = brokered.guest(2, INTEL, TeeKey::ec(3));
    again.handshake().await;
    let answer = again.resource(NAME).await;
    assert_eq!(again.key.open(&answer.json()), key.expose().to_vec());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_the_protocols_and_are_written_down() {
    let brokered = Brokered::start().await;
    brokered.governed.create(NAME).await;
    // Nobody who has not attested gets anything.
    let mut stranger = brokered.guest(1, AMD, TeeKey::ec(1));
    let answer = stranger.resource(NAME).await;
    assert_eq!((answer.status, answer.error().error_type.rsplit('/').next()), (401, Some("TokenNotFound")));
    stranger.auth().await;
    assert_eq!(stranger.resource(NAME).await.status, 401, "a challenge is no attestation");
    let old = br#"{"version":"0.1.1","tee":"snp","extra-params":""}"#;
    let answer = stranger.send("POST", "/kbs/v0/auth", &[], old).await.unwrap();
    assert!(answer.status == 401 && answer.error().detail.contains("expect =0.4.0 while the request is 0.1.1"), "{answer:?}");

    let cases = [
        ("genoa-2,build=payments-0,config=region=eu", GrantFault::Measurement),
        ("genoa-2,build=payments-1,config=region=eu,lie=SnpDebug", GrantFault::Debug),
        ("tdx-2,build=payments-1,config=region=eu,lie=TdxDebug", GrantFault::Debug),
        ("genoa-2,build=payments-1", GrantFault::HostData),
        ("genoa-1,build=payments-1,config=region=eu", GrantFault::Chip),
    ];
    for (line, fault) in cases {
        let mut asking = brokered.guest(2, line, TeeKey::ec(4));
        asking.handshake().await;
        let answer = asking.resource(NAME).await;
        assert!(answer.status == 403 && answer.error().detail.starts_with(fault.code()), "{line}: {answer:?}");
    }
    let mut good = brokered.guest(3, INTEL, TeeKey::ec(5));
    good.handshake().await;
    for (path, detail) in
        [("no/such/key", "NO_KEY"), ("payments/db", "a resource is"), ("payments/db/1/2", "a resource is"), ("A/b/c", "a resource is")]
    {
        let answer = good.resource(path).await;
        assert!(answer.status == 404 && answer.error().detail.starts_with(detail), "{path}: {answer:?}");
    }
    let stored = good.send("POST", &format!("/kbs/v0/resource/{NAME}"), &[], b"x").await.unwrap();
    assert_eq!(stored.status, 401, "keys are made by governors alone");

    // Evidence for another nonce, for another key, and evidence that is not genuine.
    for (what, change) in [("nonce", 0), ("key", 1), ("signature", 2)] {
        let mut asking = brokered.guest(1, AMD, TeeKey::ec(6));
        let challenge = asking.auth().await;
        let mut attestation = asking.attestation(&challenge.nonce);
        match change {
            0 => attestation.runtime_data.nonce = "AAAA".into(),
            1 => attestation.runtime_data.tee_pubkey = TeeKey::ec(7).public(),
            _ => attestation.tee_evidence.primary_evidence["attestation_report"]["signature"]["r"][0] = 1.into(),
        }
        let answer = asking.attest(&attestation).await;
        let then = asking.resource(NAME).await;
        match change {
            // Genuine evidence is taken; that it is bound to another key is found where a key is asked for.
            1 => {
                assert!(answer.status == 200 && then.status == 403 && then.error().detail.starts_with("OTHER_SESSION"), "{what}: {then:?}")
            }
            _ => assert!(answer.status == 401 && then.status == 401, "{what}: {answer:?} {then:?}"),
        }
    }
    let audit = brokered.governed.audit().await;
    let refused: Vec<GrantFault> = audit
        .entries
        .iter()
        .filter_map(|entry| match entry.event {
            AuditEvent::Refused(fault) => Some(fault),
            _ => None,
        })
        .collect();
    let wanted: Vec<GrantFault> =
        cases.iter().map(|(_, fault)| *fault).chain([GrantFault::NoKey, GrantFault::OtherSession, GrantFault::NotGenuine]).collect();
    assert_eq!(refused, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_a_connection_and_nothing_else() {
    let brokered = Brokered::start().await;
    brokered.governed.create(NAME).await;
    let address = brokered.governed.cluster.kbs_address(1).unwrap();
    for garbage in [&b"\x16\x03\x01\xff\xff garbage"[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 4096]] {
        let mut plain = tokio::net::TcpStream::connect(address).await.unwrap();
        // The node may have closed it already.
        let _ = plain.write_all(garbage).await;
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "plain HTTP was answered");
    }
    let mut asking = brokered.guest(1, AMD, TeeKey::ec(1));
    let long = vec![b'x'; 600 * 1024];
    // A body that is too long is refused by its length; whether the rest could be sent does not matter.
    if let Ok(answer) = asking.send("POST", "/kbs/v0/auth", &[], &long).await {
        assert_eq!(answer.status, 413);
    }
    for body in [&b"{}"[..], b"", b"[", b"\xff\xfe"] {
        assert_eq!(asking.send("POST", "/kbs/v0/auth", &[], body).await.unwrap().status, 401);
        assert_eq!(asking.send("POST", "/kbs/v0/attest", &[], body).await.unwrap().status, 401);
    }
    assert_eq!(asking.send("GET", "/kbs/v0/unknown", &[], &[]).await.unwrap().status, 404);
    assert_eq!(asking.send("DELETE", "/kbs/v0/auth", &[], &[]).await.unwrap().status, 404);
    asking.handshake().await;
    assert_eq!(asking.resource(NAME).await.status, 200);
}
