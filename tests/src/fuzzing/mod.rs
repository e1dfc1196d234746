//! Bodies of the fuzz targets: plain functions of bytes, run by libFuzzer (folder `fuzz`), by `ringwall-fuzz`, and over the committed corpus by a test.
//!
//! Decides: each target's oracle. No body panics on input; what decodes encodes to the same bytes; what is not valid evidence, in one of its
//! spellings, does not verify. A new target is a function and a line of [`TARGETS`].
//! Trusts: minted evidence of `ringwall-sim`. Out of scope: how inputs are found; whether real evidence verifies (attest/tests).
#![allow(clippy::panic, reason = "an oracle that fails ends the fuzzer")]

pub mod corpus;
mod custody;
mod governance;
mod launch;
mod release;

use crate::mutants::{Dice, Mutant, Original, Subject, Verdict, judge, mutant, originals};
use ringwall_attest::batch::{fold, leaf};
use ringwall_attest::{Anchors, Asked, EventLog, Pinned, PolicyPin, VerifyError, appraise_session, cert_table, verify};
use ringwall_client::anchor::{EvidenceFile, against, merge};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::{Field, Message};
use ringwall_wire::evidence::{BatchPath, Binding, Endorsements, Evidence, Role};
use ringwall_wire::genesis::{BootConfig, ClusterCard, GenesisRecord};
use ringwall_wire::ids::{ClusterId, Digest, NoisePublic, Nonce, PolicyVersion};
use ringwall_wire::policy::{PolicyDoc, Rtmr};
use ringwall_wire::receipt::{self, Anchor, Receipt};
use ringwall_wire::session::{AttestMode, AttestReq, AttestResp};
use ringwall_wire::tree;
use std::sync::LazyLock;

/// A target: its name, which is that of its corpus folder, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("snp_report", snp_report),
    ("snp_certificates", snp_certificates),
    ("snp_crl", snp_crl),
    ("cert_table", cert_table),
    ("event_log", event_log),
    ("tdx_quote", tdx_quote),
    ("tdx_collateral", tdx_collateral),
    ("verify_mutants", verify_mutants),
    ("wire_documents", wire_documents),
    ("attest_messages", attest_messages),
    ("receipts", receipts),
    ("custody", custody::custody),
    ("release", release::release),
    ("policy_steps", governance::policy_steps),
    ("launch", launch::launch),
];

/// Minted originals of this process.
pub(crate) static MINTED: LazyLock<Vec<Original>> = LazyLock::new(originals::minted);

/// The original a target edits: a Turin machine, or an Intel one with the largest quote.
pub(crate) fn base(amd: bool) -> &'static Original {
    let wanted = |original: &&Original| original.name.starts_with(if amd { "turin" } else { "tdx-4" });
    MINTED.iter().find(wanted).expect("both are minted")
}

/// Replaces a blob; input beyond its limit cannot travel and is cut.
fn put<const MAX: usize>(blob: &mut Blob<MAX>, bytes: &[u8]) {
    *blob = Blob::new(bytes.get(..MAX).unwrap_or(bytes)).expect("cut to the limit");
}

/// Nothing but an original in another spelling verifies.
fn not_believed(original: &'static Original, subject: Subject) {
    match judge(&Mutant { original, subject, edits: Vec::new() }) {
        Verdict::Refused(_) | Verdict::OtherSpelling => {}
        Verdict::Finding(why) => panic!("{}: {why}", original.name),
    }
}

/// A report under a root that is not there: parsing and everything before the chain, thousands of times a second.
fn snp_report(bytes: &[u8]) {
    let original = base(true);
    let mut subject = original.subject.clone();
    if let Evidence::Snp(evidence) = &mut subject.evidence {
        put(&mut evidence.report, bytes);
    }
    let rootless = Anchors { amd: Vec::new(), intel_root: Vec::new() };
    let outcome = verify(&subject.evidence, &subject.endorsements, &rootless, original.now_s);
    assert!(outcome.is_err(), "no root, no verdict");
    if let Err(VerifyError::AnchorMissing { .. } | VerifyError::ProductMismatch { .. }) = outcome {
        not_believed(original, subject);
    }
}

/// The first byte says which certificate; the rest is that.
fn snp_certificates(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let original = base(true);
    let mut subject = original.subject.clone();
    if let Endorsements::Snp(endorsements) = &mut subject.endorsements {
        match which & 1 {
            0 => put(&mut endorsements.vek, bytes),
            _ => put(&mut endorsements.ask, bytes),
        }
    }
    not_believed(original, subject);
}

fn snp_crl(bytes: &[u8]) {
    let original = base(true);
    let mut subject = original.subject.clone();
    if let Endorsements::Snp(endorsements) = &mut subject.endorsements {
        put(&mut endorsements.crl, bytes);
    }
    not_believed(original, subject);
}

/// A host's certificate table: every entry lies within it, and there are few.
fn cert_table(bytes: &[u8]) {
    let Ok(table) = cert_table::parse(bytes) else { return };
    let within = table.entries().iter().all(|entry| bytes.windows(entry.bytes.len().max(1)).any(|part| part == entry.bytes));
    assert!(table.entries().len() <= cert_table::CERT_TABLE_ENTRIES && within, "an entry is not in the table");
}

/// A TD's event log: one that replays to the registers of the honest one has the events of the honest one, register by register.
fn event_log(bytes: &[u8]) {
    let Ok(log) = EventLog::parse(bytes) else { return };
    let Evidence::Tdx(evidence) = &base(false).subject.evidence else { panic!("an Intel machine") };
    let honest = EventLog::parse(&evidence.event_log).expect("minted");
    for register in [Rtmr::Rtmr0, Rtmr::Rtmr1, Rtmr::Rtmr2, Rtmr::Rtmr3] {
        let digests = |log: &EventLog| log.of(register).map(|event| event.digest).collect::<Vec<_>>();
        let same = log.replay(register) == honest.replay(register);
        assert_eq!(same, digests(&log) == digests(&honest), "{register}");
    }
}

fn tdx_quote(bytes: &[u8]) {
    let original = base(false);
    let mut subject = original.subject.clone();
    if let Evidence::Tdx(evidence) = &mut subject.evidence {
        put(&mut evidence.quote, bytes);
    }
    // quotes of other minted machines are genuine: judged by their own claims elsewhere
    if !MINTED.iter().any(|other| other.subject.evidence == subject.evidence) {
        not_believed(original, subject);
    }
}

/// The first byte says which member of the collateral; the rest is that.
fn tdx_collateral(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let original = base(false);
    let mut subject = original.subject.clone();
    if let Endorsements::Tdx(all) = &mut subject.endorsements {
        match which % 9 {
            0 => put(&mut all.pck_crl_issuer_chain, bytes),
            1 => put(&mut all.root_ca_crl, bytes),
            2 => put(&mut all.pck_crl, bytes),
            3 => put(&mut all.tcb_info_issuer_chain, bytes),
            4 => put(&mut all.tcb_info, bytes),
            5 => put(&mut all.tcb_info_signature, bytes),
            6 => put(&mut all.qe_identity_issuer_chain, bytes),
            7 => put(&mut all.qe_identity, bytes),
            _ => put(&mut all.qe_identity_signature, bytes),
        }
    }
    not_believed(original, subject);
}

/// The bytes are the choices of a mutant.
fn verify_mutants(bytes: &[u8]) {
    let Some(mutant) = mutant(&mut Dice::of(bytes), &MINTED) else { return };
    if let Verdict::Finding(why) = judge(&mutant) {
        panic!("{}: {}: {why}", mutant.original.name, mutant.edits.join(", "));
    }
}

fn message<T: Message + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let decoded = T::decode(bytes).ok()?;
    assert_eq!(decoded.encode(), bytes, "one value, one encoding: {decoded:?}");
    Some(decoded)
}

fn value<T: Field + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let decoded = T::from_bytes(bytes).ok()?;
    assert_eq!(decoded.to_bytes(), bytes, "one value, one encoding: {decoded:?}");
    Some(decoded)
}

/// The first byte says which type; the rest is decoded as that.
fn wire_documents(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 7 {
        0 => drop(message::<BootConfig>(bytes)),
        1 => drop(message::<PolicyDoc>(bytes)),
        2 => drop(message::<GenesisRecord>(bytes)),
        3 => drop(message::<ClusterCard>(bytes).map(|card| card.pinned())),
        4 => drop(value::<Binding>(bytes).map(|binding| ringwall_attest::report_data(&binding))),
        5 => drop(value::<Evidence>(bytes)),
        _ => drop(value::<Endorsements>(bytes)),
    }
}

/// Receipts, anchors and evidence files: decoded; a receipt that continues another one does so by its own words; nothing that is not the minted
/// evidence proves anything. The first byte says which.
fn receipts(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 4 {
        0 => {
            let Some(receipt) = message::<Receipt>(bytes) else { return };
            let known = Anchor { newest: receipt.clone(), others: Default::default() };
            // What is known continues itself, and nothing before it.
            assert!(against(&known, &receipt, receipt.head.tree.size, &[]).is_ok() || !agrees_with_itself(&receipt));
            let mut shorter = receipt;
            shorter.head.tree.size = shorter.head.tree.size.saturating_sub(1);
            let shrank = shorter.head.tree.size != known.newest.head.tree.size;
            assert!(!shrank || against(&known, &shorter, 0, &[]).is_err(), "a shorter log was taken for a longer one");
        }
        1 => {
            let Some(anchor) = message::<Anchor>(bytes) else { return };
            if let Ok(merged) = merge(&anchor, &anchor) {
                assert_eq!(merge(&merged, &merged).as_ref(), Ok(&merged), "merging settles");
            }
        }
        2 => {
            let Some(evidence) = message::<receipt::Evidence>(bytes) else { return };
            let roots = &base(true).roots;
            assert!(EvidenceFile(evidence).verify(roots).is_err(), "nobody attested for this");
        }
        _ => {
            // One field is the older root's seed, the rest is a path: what it leads to depends on every byte.
            let hashes: Vec<Digest> = bytes.as_chunks::<32>().0.iter().take(70).map(|hash| Digest(*hash)).collect();
            let sizes = bytes.first_chunk::<2>().map_or((1, 2), |[first, more]| (u64::from(*first), u64::from(*first) + u64::from(*more)));
            if let Some((older, newer)) = tree::consistency_roots(sizes.0, sizes.1, &hashes) {
                assert!(tree::is_consistent(sizes.0, &older, sizes.1, &newer, &hashes));
                assert!(!tree::is_consistent(sizes.0, &newer, sizes.1, &older, &hashes) || older == newer);
            }
        }
    }
}

/// Whether a receipt names no namespace twice with two marks.
fn agrees_with_itself(receipt: &Receipt) -> bool {
    receipt.leaf.spaces.iter().all(|mark| receipt.leaf.mark(&mark.space).is_some_and(|first| first.seq < mark.seq || first == mark))
}

/// What a session asks with, and what it is answered: decoded, and the answer judged for a session it was not made for.
fn attest_messages(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let (handshake, nonce) = (Digest([0x11; 32]), Nonce([0x22; 32]));
    match which % 3 {
        0 => drop(message::<AttestReq>(bytes)),
        1 => {
            let Some(path) = value::<BatchPath>(bytes) else { return };
            // a leaf folds to itself only in a tree of its own
            let leaf = leaf(&handshake, &nonce);
            let folded = fold(&leaf, &path);
            assert_eq!(folded == Some(leaf), path.leaves == 1 && path.index == 0 && path.siblings.is_empty());
        }
        _ => {
            let Some(answer) = message::<AttestResp>(bytes) else { return };
            let original = base(true);
            for (cluster_id, noise) in [(ClusterId([0; 32]), NoisePublic([0; 32])), (answer.genesis.cluster_id(), answer.keys.noise)] {
                for role in [Role::ClientServer, answer.role] {
                    let asked = Asked { handshake: &handshake, nonce: &nonce, role, noise: &noise, mode: AttestMode::Standing };
                    let pinned = Pinned {
                        cluster_id,
                        policy: PolicyPin::Founding { min_version: PolicyVersion(0) },
                        anchors: &original.roots,
                        now_s: original.now_s,
                        last_head: None,
                    };
                    assert!(appraise_session(&answer, &asked, &pinned).is_err(), "nobody attested for this session");
                }
            }
        }
    }
}
