//! The seeds of the fuzz targets, made from minted evidence and sampled messages, and kept small.
//!
//! Decides: what is committed under `fuzz/corpus`: one folder a target, one file a seed. Equal code makes equal files.
//! Trusts: `ringwall-sim`. Out of scope: what a fuzzer finds; new inputs are kept by hand, as the regression they are.

use super::{MINTED, base};
use ringwall_attest::cert_table::Guid;
use ringwall_attest::release::Bundle;
use ringwall_attest::{Batch, report_data};
use ringwall_sim::{SimTee, genesis_record, policy_for, world};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::{Field as _, Message as _};
use ringwall_wire::evidence::{BatchPath, Binding, Endorsements, Evidence, Role};
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::{
    BootKeys, ClientId, ClusterId, Digest, Epoch, Incarnation, KemPublic, NoisePublic, Nonce, PolicyVersion, SigPublic, Signature, Slot,
    UserId,
};
use ringwall_wire::receipt::{self, Anchor, Misdeed, Receipt, ReceiptHead, ReceiptLeaf, SpaceMark, TreeHead};
use ringwall_wire::release::{ForkProof, Published, PublishedEntry, ReleaseProof};
use ringwall_wire::session::{AttestMode, AttestReq, AttestResp, SessionProof};
use std::io;
use std::path::Path;

/// A seed: its target, its name, its bytes.
pub type Seed = (&'static str, String, Vec<u8>);

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], bytes].concat()
}

/// A host's certificate table (GHCB specification): entries of 24 bytes, one of zeros, then the certificates.
fn table(certificates: &[(Guid, &[u8])]) -> Vec<u8> {
    let mut at = 24 * (certificates.len() + 1);
    let (mut head, mut rest) = (Vec::new(), Vec::new());
    for (guid, bytes) in certificates {
        head.extend_from_slice(&guid.0);
        for number in [at, bytes.len()] {
            head.extend_from_slice(&u32::try_from(number).expect("tables are short").to_le_bytes());
        }
        at += bytes.len();
        rest.extend_from_slice(bytes);
    }
    [head, vec![0; 24], rest].concat()
}

/// A proof of release, whole and in its parts.
fn releases(seeds: &mut Vec<Seed>) {
    let bytes = &super::release::RELEASE.proof;
    let proof = ReleaseProof::decode(bytes).expect("minted");
    let key = ringwall_sim::release::MintedLog::new("log.example/releases").vkey();
    let bundle = proof.bundles.first().expect("a minted proof has bundles");
    let statement = Bundle::parse(bundle).ok().and_then(|bundle| bundle.statement().map(<[u8]>::to_vec)).expect("minted");
    let fork = ForkProof { older: proof.head.clone(), newer: proof.head.clone(), path: List::default() };
    let entry = PublishedEntry { entry: proof.entry.clone(), proof: proof.inclusion.clone() };
    let published = Published { checkpoint: proof.head.clone(), entries: List::new(vec![entry]).expect("one entry") };
    let parts: [(&str, &[u8]); 8] = [
        ("key", key.as_bytes()),
        ("note", &proof.head),
        ("bundle", bundle),
        ("root", br#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[],"ctlogs":[]}"#),
        ("statement", &statement),
        ("fork", &fork.encode()),
        ("proof", bytes),
        ("published", &published.encode()),
    ];
    seeds.extend((0u8..).zip(parts).map(|(tag, (name, bytes))| ("release", name.to_owned(), tagged(tag, bytes))));
}

/// Every seed.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for original in MINTED.iter() {
        let name = original.name.replace(' ', "-").to_lowercase();
        match &original.subject.evidence {
            Evidence::Snp(evidence) => seeds.push(("snp_report", name, evidence.report.to_vec())),
            Evidence::Tdx(evidence) => seeds.push(("tdx_quote", name, evidence.quote.to_vec())),
        }
    }
    if let Endorsements::Snp(all) = &base(true).subject.endorsements {
        seeds.push(("snp_certificates", "vcek".into(), tagged(0, &all.vek)));
        seeds.push(("snp_certificates", "ask".into(), tagged(1, &all.ask)));
        seeds.push(("snp_crl", "crl".into(), all.crl.to_vec()));
        seeds.push(("snp_crl", "none".into(), Vec::new()));
        seeds.push(("cert_table", "vcek-ask".into(), table(&[(Guid::VCEK, &all.vek), (Guid::ASK, &all.ask)])));
        seeds.push(("cert_table", "none".into(), Vec::new()));
    }
    releases(&mut seeds);
    if let Evidence::Tdx(evidence) = &base(false).subject.evidence {
        seeds.push(("event_log", "minted".into(), evidence.event_log.to_vec()));
    }
    if let Endorsements::Tdx(all) = &base(false).subject.endorsements {
        let members: [(&str, &[u8]); 9] = [
            ("crl-chain", &all.pck_crl_issuer_chain),
            ("root-crl", &all.root_ca_crl),
            ("pck-crl", &all.pck_crl),
            ("tcb-chain", &all.tcb_info_issuer_chain),
            ("tcb-info", &all.tcb_info),
            ("tcb-signature", &all.tcb_info_signature),
            ("qe-chain", &all.qe_identity_issuer_chain),
            ("qe-identity", &all.qe_identity),
            ("qe-signature", &all.qe_identity_signature),
        ];
        for (tag, (name, bytes)) in (0u8..).zip(members) {
            seeds.push(("tdx_collateral", name.into(), tagged(tag, bytes)));
        }
    }
    for number in 0u8..8 {
        let choices: Vec<u8> = (0..64u8).map(|at| at.wrapping_mul(37).wrapping_add(number.wrapping_mul(101))).collect();
        seeds.push(("verify_mutants", format!("choices-{number}"), choices));
    }
    seeds.extend(documents());
    seeds.extend(super::custody::seeds().into_iter().map(|(name, which, bytes)| ("custody", name.to_owned(), tagged(which, &bytes))));
    seeds.extend(super::governance::seeds().into_iter().map(|(name, bytes)| ("policy_steps", name.to_owned(), bytes)));
    seeds.extend(super::launch::seeds().into_iter().map(|(name, which, bytes)| ("launch", name.to_owned(), tagged(which, &bytes))));
    seeds
}

fn documents() -> Vec<Seed> {
    let boot = world::joining_config(ClusterId([7; 32]), Slot(1));
    let tee = SimTee::new(world::machine("turin-1", boot.clone()).expect("a known name"), base(true).now_s);
    let policy = policy_for(&[&tee]);
    let genesis = genesis_record(&policy, "fuzzed", Nonce([9; 32]));
    let batch = Batch::new((0..5u8).map(|at| Digest([at; 32])).collect()).expect("five leaves");
    let path = batch.path(2).expect("there is a third leaf");
    let keys = BootKeys { noise: NoisePublic([1; 32]), sig: SigPublic([2; 32]), kem: KemPublic([3; 1184]) };
    let binding = Binding {
        cluster_id: genesis.cluster_id(),
        epoch: Epoch(1),
        role: Role::ClientServer,
        incarnation: Incarnation::new(Epoch(1), 7),
        keys: keys.clone(),
        boot_config: boot.host_data(),
        policy: Digest(policy.digest()),
        batch_root: batch.root(),
    };
    let answer = AttestResp {
        cluster_id: binding.cluster_id,
        epoch: binding.epoch,
        role: binding.role,
        incarnation: binding.incarnation,
        keys,
        boot_config: Blob::new(boot.encode()).expect("short"),
        genesis: genesis.clone(),
        policy: policy.clone(),
        steps: Default::default(),
        evidence: tee.mint(&report_data(&binding)),
        endorsements: tee.endorse(),
        proof: SessionProof::Batched(path.clone()),
        release_proof: Blob::default(),
    };
    let ask = AttestReq { nonce: Nonce([5; 32]), mode: AttestMode::Batched, min_policy_version: PolicyVersion(1), known_policy: None };
    let card = ClusterCard {
        genesis: genesis.clone(),
        policy: policy.clone(),
        steps: Default::default(),
        addresses: Default::default(),
        web: Default::default(),
    };
    let (receipt, anchor, evidence) = receipts();
    let seeds: [(&'static str, &str, u8, Vec<u8>); 14] = [
        ("wire_documents", "boot-config", 0, boot.encode()),
        ("wire_documents", "policy", 1, policy.encode()),
        ("wire_documents", "genesis", 2, genesis.encode()),
        ("wire_documents", "card", 3, card.encode()),
        ("wire_documents", "binding", 4, binding.to_bytes()),
        ("wire_documents", "evidence", 5, answer.evidence.to_bytes()),
        ("wire_documents", "endorsements", 6, answer.endorsements.to_bytes()),
        ("attest_messages", "request", 0, ask.encode()),
        ("attest_messages", "path", 1, path.to_bytes()),
        ("attest_messages", "answer", 2, answer.encode()),
        ("receipts", "receipt", 0, receipt.encode()),
        ("receipts", "anchor", 1, anchor.encode()),
        ("receipts", "evidence", 2, evidence.encode()),
        ("receipts", "path", 3, (0..96_u8).collect()),
    ];
    seeds.into_iter().map(|(target, name, tag, bytes)| (target, name.to_owned(), tagged(tag, &bytes))).collect()
}

/// A receipt of a small log, an anchor of it, and evidence without signers.
fn receipts() -> (Receipt, Anchor, receipt::Evidence) {
    let spaces = List::new(vec![SpaceMark { space: Digest([8; 32]), seq: 3, digest: Digest([9; 32]) }]).expect("one");
    let leaf = ReceiptLeaf { user: UserId([1; 20]), client: ClientId([2; 16]), nonce: Nonce([3; 32]), number: 1, spaces };
    let tree = TreeHead { size: 300, root: Digest([4; 32]), landmark: Digest([5; 32]) };
    let (incarnation, signature) = (Incarnation::new(Epoch(1), 7), Signature([6; 64]));
    let head = ReceiptHead {
        cluster_id: ClusterId([7; 32]),
        epoch: Epoch(1),
        index: 299,
        term: 2,
        tree,
        group: leaf.leaf(),
        incarnation,
        signature,
    };
    let path = BatchPath { leaves: 1, index: 0, siblings: List::default() };
    let receipt = Receipt { head, leaf, path };
    let mut older = receipt.clone();
    older.head.tree.size = 200;
    older.head.index = 199;
    let anchor = Anchor { newest: receipt.clone(), others: List::new(vec![older.clone()]).expect("one") };
    let signer = receipt::Signer { incarnation, exchange: Blob::default() };
    let evidence = receipt::Evidence {
        misdeed: Misdeed::Rollback,
        known: receipt.clone(),
        got: older,
        opening: Nonce([8; 32]),
        heads: List::new(anchor.heads()).expect("two"),
        from: 300,
        path: List::default(),
        known_signer: signer.clone(),
        got_signer: signer,
        epochs: List::default(),
    };
    (receipt, anchor, evidence)
}

/// Writes every seed under `folder`.
pub fn write(folder: &Path) -> io::Result<usize> {
    let seeds = seeds();
    for (target, name, bytes) in &seeds {
        let place = folder.join(target);
        std::fs::create_dir_all(&place)?;
        std::fs::write(place.join(name), bytes)?;
    }
    Ok(seeds.len())
}
