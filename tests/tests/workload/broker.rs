//! A guest of Confidential Containers: evidence as its attesters write it, messages in the types of crate `kbs-types`, which its client uses.
//!
//! Decides: nothing of its own: what the published client does, step by step (guest-components, `kbs_protocol`, protocol 0.4), with another HTTP client.
//! Trusts: the cluster's certificate, pinned. Out of scope: what the suites expect.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use kbs_types::{
    Attestation, Challenge, CompositeEvidence, ErrorInformation, HashAlgorithm, Request, Response, RuntimeData, Tee, TeePubKey,
};
use ringwall_sim::SimTee;
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::ids::Vendor;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use sev::firmware::guest::AttestationReport;
use sev::firmware::host::{CertTableEntry, CertType};
use sev::parser::ByteParser as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|fault| panic!("{fault}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn error(&self) -> ErrorInformation {
        self.json()
    }
}

/// The guest's side.
pub struct Guest {
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    pub tee: SimTee,
    pub key: TeeKey,
    pub cookie: Option<String>,
}

/// Its key pair.
pub enum TeeKey {
    Ec(p256::SecretKey),
    Rsa(Box<rsa::PrivateKey>),
}

impl TeeKey {
    pub fn ec(seed: u8) -> Self {
        TeeKey::Ec(p256::SecretKey::from_slice(&[seed; 32]).unwrap())
    }

    pub fn public(&self) -> TeePubKey {
        use p256::elliptic_curve::sec1::ToSec1Point as _;
        match self {
            TeeKey::Ec(key) => {
                let point = key.public_key().to_sec1_point(false);
                let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
                let (x, y) = (text(point.x().unwrap()), text(point.y().unwrap()));
                TeePubKey::EC { crv: "P-256".into(), alg: "ECDH-ES+A256KW".into(), x, y }
            }
            TeeKey::Rsa(key) => {
                use rsa::traits::PublicKeyParts as _;
                let text = |bytes: Box<[u8]>| URL_SAFE_NO_PAD.encode(bytes);
                let (k_mod, k_exp) = (text(key.n_bytes()), text(key.e_bytes()));
                TeePubKey::RSA { alg: "RSA-OAEP-256".into(), k_mod, k_exp }
            }
        }
    }

    /// What the client does with a response: the header is written anew, and that is what is authenticated.
    pub fn open(&self, response: &Response) -> Vec<u8> {
        use aes_gcm::{AeadInOut as _, KeyInit as _};
        let key: [u8; 32] = match self {
            TeeKey::Rsa(key) => key.decrypt(rsa::Oaep::<sha2::Sha256>::new(), &response.encrypted_key).unwrap().try_into().unwrap(),
            TeeKey::Ec(secret) => {
                let epk = response.protected.other_fields["epk"].as_object().unwrap();
                let part = |name: &str| URL_SAFE_NO_PAD.decode(epk[name].as_str().unwrap()).unwrap();
                let point = [vec![4], part("x"), part("y")].concat();
                let theirs = p256::PublicKey::from_sec1_bytes(&point).unwrap();
                let shared = p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), theirs.as_affine());
                unwrap(&concat_kdf(shared.raw_secret_bytes()), &response.encrypted_key)
            }
        };
        let aad = response.protected.generate_aad().unwrap();
        let mut text = response.ciphertext.clone();
        let (iv, tag): ([u8; 12], [u8; 16]) = (response.iv.clone().try_into().unwrap(), response.tag.clone().try_into().unwrap());
        let cipher = aes_gcm::Aes256Gcm::new((&key).into());
        cipher.decrypt_inout_detached(&iv.into(), &aad, text.as_mut_slice().into(), &tag.into()).unwrap();
        text
    }
}

fn concat_kdf(shared: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    let algorithm = b"ECDH-ES+A256KW";
    let parts: [&[u8]; 6] = [&[0, 0, 0, 1], shared, &[0, 0, 0, 14], algorithm, &[0; 8], &[0, 0, 1, 0]];
    sha2::Sha256::digest(parts.concat()).into()
}

/// RFC 3394, 2.2.2, by index.
fn unwrap(kek: &[u8; 32], wrapped: &[u8]) -> [u8; 32] {
    use aes::cipher::{BlockCipherDecrypt as _, KeyInit as _};
    let cipher = aes::Aes256::new(kek.into());
    let mut a: [u8; 8] = wrapped[..8].try_into().unwrap();
    let mut r: Vec<[u8; 8]> = wrapped[8..].chunks(8).map(|part| part.try_into().unwrap()).collect();
    for j in (0..6).rev() {
        for i in (0..4).rev() {
            let t = (4 * j + i + 1) as u64;
            let mixed: Vec<u8> = a.iter().zip(t.to_be_bytes()).map(|(byte, count)| byte ^ count).chain(r[i]).collect();
            let mut block: aes::Block = <[u8; 16]>::try_from(mixed).unwrap().into();
            cipher.decrypt_block(&mut block);
            a.copy_from_slice(&block[..8]);
            r[i].copy_from_slice(&block[8..]);
        }
    }
    assert_eq!(a, [0xa6; 8], "the key does not unwrap");
    r.concat().try_into().unwrap()
}

impl Guest {
    /// A guest that pins the certificate `der`.
    pub fn new(address: SocketAddr, der: &[u8], tee: SimTee, key: TeeKey) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(der.to_vec())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let tls = Arc::new(tls.with_root_certificates(roots).with_no_client_auth());
        Guest { address, tls, tee, key, cookie: None }
    }

    /// A node begins to listen when it knows the cluster's certificate, a moment after it became a member.
    async fn connect(&self) -> std::io::Result<tokio::net::TcpStream> {
        for _ in 0..200 {
            match tokio::net::TcpStream::connect(self.address).await {
                Err(fault) if fault.kind() == std::io::ErrorKind::ConnectionRefused => tokio::time::sleep(Duration::from_millis(50)).await,
                done => return done,
            }
        }
        Err(std::io::ErrorKind::ConnectionRefused.into())
    }

    /// Sends one request and reads its answer.
    pub async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<Answer> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tcp = self.connect().await?;
        let mut stream = tokio_rustls::TlsConnector::from(self.tls.clone()).connect(name, tcp).await?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        if let Some(cookie) = &self.cookie {
            head.push_str(&format!("cookie: kbs-session-id={cookie}\r\n"));
        }
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        if method == "POST" {
            head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await?;
        stream.write_all(body).await?;
        stream.flush().await?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await?;
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| std::io::Error::other("no head"))?;
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        if let Some((_, rest)) = head.split_once("set-cookie: kbs-session-id=") {
            self.cookie = Some(rest.split(';').next().unwrap().to_owned());
        }
        Ok(Answer { status, head, body: all[end + 4..].to_vec() })
    }

    fn kind(&self) -> Tee {
        match self.tee.vendor() {
            Vendor::Amd => Tee::Snp,
            Vendor::Intel => Tee::Tdx,
        }
    }

    /// Request and challenge.
    pub async fn auth(&mut self) -> Challenge {
        let hashes: Vec<String> = HashAlgorithm::list_all().iter().map(ToString::to_string).collect();
        let extra_params = json!({ "supported-hash-algorithms": hashes });
        let request = Request { version: "0.4.0".into(), tee: self.kind(), extra_params };
        let answer = self.send("POST", "/kbs/v0/auth", &[], &serde_json::to_vec(&request).unwrap()).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The third message for a nonce, with evidence bound to it.
    pub fn attestation(&self, nonce: &str) -> Attestation {
        self.attestation_with(nonce, "")
    }

    /// The same, with what is told of additional devices.
    pub fn attestation_with(&self, nonce: &str, additional: &str) -> Attestation {
        let runtime_data = RuntimeData { nonce: nonce.to_owned(), tee_pubkey: self.key.public() };
        let additional_evidence = additional.to_owned();
        // The client canonicalizes; for objects of strings that is sorting, as this map does by itself.
        let bound: std::collections::BTreeMap<&str, Value> = [
            ("additional-evidence", json!(additional_evidence)),
            ("nonce", json!(nonce)),
            ("tee-pubkey", sorted(serde_json::to_value(&runtime_data.tee_pubkey).unwrap())),
        ]
        .into();
        let digest = HashAlgorithm::Sha384.digest(&serde_json::to_vec(&bound).unwrap());
        let mut report_data = [0; 64];
        report_data[..digest.len()].copy_from_slice(&digest);
        let primary_evidence = evidence(&self.tee, &report_data);
        Attestation { init_data: None, runtime_data, tee_evidence: CompositeEvidence { primary_evidence, additional_evidence } }
    }

    pub async fn attest(&mut self, attestation: &Attestation) -> Answer {
        self.send("POST", "/kbs/v0/attest", &[], &serde_json::to_vec(attestation).unwrap()).await.unwrap()
    }

    /// All of it, up to the token.
    pub async fn handshake(&mut self) -> String {
        let challenge = self.auth().await;
        assert_eq!(challenge.extra_params["selected-hash-algorithm"], "sha384");
        let answer = self.attest(&self.attestation(&challenge.nonce)).await;
        assert_eq!(answer.status, 200, "{answer:?} {}", String::from_utf8_lossy(&answer.body));
        answer.json::<Value>()["token"].as_str().unwrap().to_owned()
    }

    pub async fn resource(&mut self, path: &str) -> Answer {
        self.send("GET", &format!("/kbs/v0/resource/{path}"), &[], &[]).await.unwrap()
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: std::collections::BTreeMap<String, Value> = map.into_iter().collect();
            ordered.into_iter().collect()
        }
        other => other,
    }
}

/// Evidence as the guest's attester writes it.
pub fn evidence(tee: &SimTee, report_data: &[u8; 64]) -> Value {
    match (tee.mint(report_data), tee.endorse()) {
        (Evidence::Snp(evidence), Endorsements::Snp(endorsements)) => {
            let report = AttestationReport::from_bytes(&evidence.report).unwrap();
            let entry = |cert_type, data: &[u8]| CertTableEntry { cert_type, data: data.to_vec() };
            let chain = vec![entry(CertType::VCEK, &endorsements.vek), entry(CertType::ASK, &endorsements.ask)];
            json!({ "attestation_report": report, "cert_chain": chain })
        }
        (Evidence::Tdx(evidence), _) => {
            json!({ "cc_eventlog": STANDARD.encode(&*evidence.event_log), "quote": STANDARD.encode(&*evidence.quote) })
        }
        _ => panic!("evidence and endorsements are of one vendor"),
    }
}

/// Writes what the vendor says about a machine into a folder, as `ringwalld endorsements fetch` does.
pub fn write_endorsements(folder: &std::path::Path, tee: &SimTee) {
    use ringwall_node::endorsements::cache::{ENDING, Kept, encode};
    use ringwall_node::endorsements::document::Document;
    use ringwall_node::endorsements::part::Part;
    use ringwall_node::endorsements::subject::Subject;
    std::fs::create_dir_all(folder).unwrap();
    let subject = Subject::of(&tee.mint(&[0; 64]), None).unwrap();
    for part in subject.parts() {
        let (bytes, signature, chain): (Vec<u8>, Vec<u8>, Vec<u8>) = match (part, tee.endorse()) {
            (Part::AmdVcek { .. }, Endorsements::Snp(all)) => (all.vek.to_vec(), vec![], vec![]),
            (Part::AmdIntermediate { .. }, Endorsements::Snp(all)) => (all.ask.to_vec(), vec![], vec![]),
            (Part::AmdCrl { .. }, Endorsements::Snp(all)) => (all.crl.to_vec(), vec![], vec![]),
            (Part::IntelTcbInfo { .. }, Endorsements::Tdx(all)) => {
                (all.tcb_info.to_vec(), all.tcb_info_signature.to_vec(), all.tcb_info_issuer_chain.to_vec())
            }
            (Part::IntelQeIdentity, Endorsements::Tdx(all)) => {
                (all.qe_identity.to_vec(), all.qe_identity_signature.to_vec(), all.qe_identity_issuer_chain.to_vec())
            }
            (Part::IntelPckCrl { .. }, Endorsements::Tdx(all)) => (all.pck_crl.to_vec(), vec![], all.pck_crl_issuer_chain.to_vec()),
            (Part::IntelRootCrl, Endorsements::Tdx(all)) => (all.root_ca_crl.to_vec(), vec![], vec![]),
            (part, _) => panic!("{part} is of another vendor"),
        };
        let document = Document::new(part, bytes, signature, chain).unwrap();
        let kept = Kept { part: part.clone(), document, fetched_s: 0 };
        std::fs::write(folder.join(format!("{part}{ENDING}")), encode(&kept)).unwrap();
    }
}
