//! The table of refused evidence: how a row is made, judged and compared with what it names.
//!
//! Decides: a row is an id, what must refuse it, and what did. The first is a text that the refusal's debug form opens with, `V::` for
//! `VerifyError`, `R::` for `Rejection`, `S::` for `SessionError`; parts after `…` must follow in this order, for reasons in prose.
//! Trusts: `ringwall-sim`, whose honest machines are accepted here first. Out of scope: which rows there are (the files beside this one).

use ringwall_attest::{Anchors, Expected, Rejection, SessionError, VerifyError, appraise, report_data, verify};
use ringwall_sim::forge::{QuoteParts, Signer, Tlv, ders_of, pem_of, signed_again, statement_signature};
use ringwall_sim::{QuoteShape, SimTee, TeeProfile, anchors, policy_for, world};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Binding, Endorsements, Evidence, Role, SnpEndorsements, SnpEvidence, TdxEndorsements, TdxEvidence};
use ringwall_wire::ids::{BootKeys, ClusterId, Digest, Epoch, Incarnation, KemPublic, NoisePublic, SigPublic, Slot};
use ringwall_wire::policy::PolicyDoc;

/// 2026-11-24 12:00:00 UTC.
pub const NOW_S: u64 = 1_795_521_600;
pub const DAY_S: u64 = 86_400;

/// One piece of evidence and what became of it.
pub struct Row {
    pub id: String,
    pub expected: String,
    pub got: String,
}

impl Row {
    /// Whether it was refused by what it names.
    pub fn holds(&self) -> bool {
        let mut parts = self.expected.split('…').map(str::trim);
        let Some(mut rest) = parts.next().and_then(|opening| self.got.strip_prefix(opening)) else { return false };
        parts.all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    }

    /// The variant that refused, `V::CertTcb` for example.
    pub fn variant(&self) -> &str {
        let end = self.got.find([' ', '(']).unwrap_or(self.got.len());
        &self.got[..end]
    }
}

#[derive(Default)]
pub struct Table(pub Vec<Row>);

impl Table {
    pub fn row(&mut self, id: impl Into<String>, expected: impl Into<String>, got: String) {
        self.0.push(Row { id: id.into(), expected: expected.into(), got });
    }
}

pub const ACCEPTED: &str = "accepted";

pub fn not_genuine(error: &VerifyError) -> String {
    format!("V::{error:?}")
}

pub fn rejected(rejection: &Rejection) -> String {
    format!("R::{rejection:?}")
}

pub fn no_peer(error: &SessionError) -> String {
    match error {
        SessionError::Verify(error) => format!("S::Verify V::{error:?}"),
        SessionError::Rejected(rejection) => format!("S::Rejected R::{rejection:?}"),
        other => format!("S::{other:?}"),
    }
}

pub fn profile(chip_name: &str) -> TeeProfile {
    world::machine(chip_name, world::joining_config(ClusterId([7; 32]), Slot(1))).unwrap()
}

/// What the judge wants bound.
pub fn binding(tee: &SimTee, policy: &PolicyDoc) -> Binding {
    Binding {
        cluster_id: ClusterId([7; 32]),
        epoch: Epoch(1),
        role: Role::PeerResp,
        incarnation: Incarnation(3),
        keys: BootKeys { noise: NoisePublic([1; 32]), sig: SigPublic([2; 32]), kem: KemPublic([3; 1184]) },
        boot_config: tee.profile().boot_config.host_data(),
        policy: Digest(policy.digest()),
        batch_root: Digest([4; 32]),
    }
}

fn judge_at(
    tee: &SimTee,
    policy: &PolicyDoc,
    evidence: &Evidence,
    endorsements: &Endorsements,
    roots: &Anchors,
    now_s: u64,
    release_proof: &[u8],
) -> String {
    let verified = match verify(evidence, endorsements, roots, now_s) {
        Ok(verified) => verified,
        Err(error) => return not_genuine(&error),
    };
    let binding = binding(tee, policy);
    let expected = Expected { binding: &binding, boot_config: &tee.profile().boot_config, release_proof, now_s, last_head: None };
    match appraise(verified, policy, &expected) {
        Ok(_) => ACCEPTED.into(),
        Err(rejection) => rejected(&rejection),
    }
}

/// A machine under a policy, with whatever it says and sends.
pub fn machine_under(tee: &SimTee, policy: &PolicyDoc) -> String {
    let evidence = tee.mint(&report_data(&binding(tee, policy)));
    judge_at(tee, policy, &evidence, &tee.endorse(), &anchors(), NOW_S, &[])
}

/// An AMD machine, its evidence, and a policy that accepts exactly it.
#[derive(Clone)]
pub struct Amd {
    pub tee: SimTee,
    pub policy: PolicyDoc,
    pub report: Vec<u8>,
    pub endorsements: SnpEndorsements,
    pub roots: Anchors,
}

impl Amd {
    pub fn new(chip_name: &str) -> Amd {
        Amd::of(profile(chip_name), |_| ())
    }

    /// The machine, and the policy after `change`.
    pub fn of(profile: TeeProfile, change: impl FnOnce(&mut PolicyDoc)) -> Amd {
        let tee = SimTee::new(profile, NOW_S);
        let mut policy = policy_for(&[&tee]);
        change(&mut policy);
        let Evidence::Snp(evidence) = tee.mint(&report_data(&binding(&tee, &policy))) else { panic!("not AMD") };
        let Endorsements::Snp(endorsements) = tee.endorse() else { panic!("not AMD") };
        Amd { tee, policy, report: evidence.report.to_vec(), endorsements, roots: anchors() }
    }

    /// The same machine under its policy changed.
    pub fn under(&self, change: impl FnOnce(&mut PolicyDoc)) -> String {
        Amd::of(self.tee.profile().clone(), change).honest()
    }

    pub fn judge_at(&self, report: Vec<u8>, endorsements: SnpEndorsements, now_s: u64) -> String {
        let evidence = Evidence::Snp(SnpEvidence { report: Blob::new(report).unwrap() });
        judge_at(&self.tee, &self.policy, &evidence, &Endorsements::Snp(endorsements), &self.roots, now_s, &[])
    }

    pub fn with_proof(&self, release_proof: &[u8]) -> String {
        let evidence = Evidence::Snp(SnpEvidence { report: Blob::new(self.report.clone()).unwrap() });
        let endorsements = Endorsements::Snp(self.endorsements.clone());
        judge_at(&self.tee, &self.policy, &evidence, &endorsements, &self.roots, NOW_S, release_proof)
    }

    pub fn honest(&self) -> String {
        self.judge_at(self.report.clone(), self.endorsements.clone(), NOW_S)
    }

    /// The report, edited and signed again.
    pub fn report(&self, edit: impl FnOnce(&mut [u8])) -> String {
        let mut report = self.report.clone();
        edit(&mut report);
        self.tee.sign_report_again(&mut report);
        self.judge_at(report, self.endorsements.clone(), NOW_S)
    }

    /// The report with these bytes at this offset, signed again.
    pub fn put(&self, at: usize, bytes: &[u8]) -> String {
        self.report(|report| report[at..at + bytes.len()].copy_from_slice(bytes))
    }

    /// The report with one byte changed by xor, signed again.
    pub fn flip(&self, at: usize, bits: u8) -> String {
        self.report(|report| report[at] ^= bits)
    }

    /// The report, edited under its old signature.
    pub fn unsigned(&self, edit: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut report = self.report.clone();
        edit(&mut report);
        self.judge_at(report, self.endorsements.clone(), NOW_S)
    }

    pub fn endorsed(&self, endorsements: SnpEndorsements) -> String {
        self.judge_at(self.report.clone(), endorsements, NOW_S)
    }

    /// The chip's certificate, edited and signed again.
    pub fn vek(&self, edit: impl FnOnce(&mut Tlv)) -> String {
        let mut cert = Tlv::parse(&self.endorsements.vek).unwrap();
        edit(&mut cert);
        self.endorsed(SnpEndorsements { vek: Blob::new(signed_again(&cert, Signer::Ask)).unwrap(), ..self.endorsements.clone() })
    }

    /// The intermediate, edited and signed again.
    pub fn ask(&self, edit: impl FnOnce(&mut Tlv)) -> String {
        let mut cert = Tlv::parse(&self.endorsements.ask).unwrap();
        edit(&mut cert);
        self.endorsed(SnpEndorsements { ask: Blob::new(signed_again(&cert, Signer::Ark)).unwrap(), ..self.endorsements.clone() })
    }

    /// The revocation list, edited and signed again.
    pub fn crl(&self, edit: impl FnOnce(&mut Tlv)) -> String {
        let mut list = Tlv::parse(&self.endorsements.crl).unwrap();
        edit(&mut list);
        self.endorsed(SnpEndorsements { crl: Blob::new(signed_again(&list, Signer::Ark)).unwrap(), ..self.endorsements.clone() })
    }
}

/// An Intel machine, its evidence, and a policy that accepts exactly it.
#[derive(Clone)]
pub struct Intel {
    pub tee: SimTee,
    pub policy: PolicyDoc,
    pub quote: Vec<u8>,
    pub endorsements: TdxEndorsements,
    pub roots: Anchors,
}

impl Intel {
    pub fn new(quote_shape: QuoteShape) -> Intel {
        Intel::of(TeeProfile { quote_shape, ..profile("tdx-1") }, |_| ())
    }

    /// The machine, and the policy after `change`.
    pub fn of(profile: TeeProfile, change: impl FnOnce(&mut PolicyDoc)) -> Intel {
        let tee = SimTee::new(profile, NOW_S);
        let mut policy = policy_for(&[&tee]);
        change(&mut policy);
        let Evidence::Tdx(evidence) = tee.mint(&report_data(&binding(&tee, &policy))) else { panic!("not Intel") };
        let Endorsements::Tdx(endorsements) = tee.endorse() else { panic!("not Intel") };
        Intel { tee, policy, quote: evidence.quote.to_vec(), endorsements, roots: anchors() }
    }

    pub fn under(&self, change: impl FnOnce(&mut PolicyDoc)) -> String {
        Intel::of(self.tee.profile().clone(), change).honest()
    }

    pub fn judge_at(&self, quote: Vec<u8>, endorsements: TdxEndorsements, now_s: u64) -> String {
        let evidence = Evidence::Tdx(TdxEvidence { quote: Blob::new(quote).unwrap(), event_log: Blob::default() });
        judge_at(&self.tee, &self.policy, &evidence, &Endorsements::Tdx(endorsements), &self.roots, now_s, &[])
    }

    pub fn honest(&self) -> String {
        self.judge_at(self.quote.clone(), self.endorsements.clone(), NOW_S)
    }

    /// Parts edited, nothing signed again.
    pub fn parts(&self, edit: impl FnOnce(&mut QuoteParts)) -> String {
        let mut parts = QuoteParts::of(&self.quote).unwrap();
        edit(&mut parts);
        self.judge_at(parts.assemble(), self.endorsements.clone(), NOW_S)
    }

    /// Header or body edited, signed again by the attestation key.
    pub fn td(&self, edit: impl FnOnce(&mut QuoteParts)) -> String {
        self.parts(|parts| {
            edit(parts);
            self.tee.sign_quote_again(parts);
        })
    }

    /// The body with these bytes at this offset, signed again.
    pub fn put(&self, at: usize, bytes: &[u8]) -> String {
        self.td(|parts| parts.body[at..at + bytes.len()].copy_from_slice(bytes))
    }

    /// One byte of the body changed by xor, signed again.
    pub fn flip(&self, at: usize, bits: u8) -> String {
        self.td(|parts| parts.body[at] ^= bits)
    }

    /// The quoting enclave's report (or what it vouches for) edited, signed again by the platform's key.
    pub fn enclave(&self, edit: impl FnOnce(&mut QuoteParts)) -> String {
        self.parts(|parts| {
            edit(parts);
            self.tee.sign_enclave_again(parts);
        })
    }

    /// Raw bytes of the quote edited.
    pub fn raw(&self, edit: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut quote = self.quote.clone();
        edit(&mut quote);
        self.judge_at(quote, self.endorsements.clone(), NOW_S)
    }

    /// The platform's certificate edited, signed again by the platforms' authority.
    pub fn pck(&self, edit: impl FnOnce(&mut Tlv)) -> String {
        self.quote_certificate(0, Signer::IntelPlatform, edit)
    }

    /// A certificate of the quote's chain (0 is the platform's) edited and signed again.
    pub fn quote_certificate(&self, place: usize, by: Signer, edit: impl FnOnce(&mut Tlv)) -> String {
        self.parts(|parts| {
            let mut chain = ders_of(&parts.chain);
            let mut cert = Tlv::parse(&chain[place]).unwrap();
            edit(&mut cert);
            chain[place] = signed_again(&cert, by);
            parts.chain = pem_of(&chain).into_bytes();
        })
    }

    pub fn endorsed(&self, change: impl FnOnce(&mut TdxEndorsements)) -> String {
        let mut endorsements = self.endorsements.clone();
        change(&mut endorsements);
        self.judge_at(self.quote.clone(), endorsements, NOW_S)
    }

    /// The TCB info with every `old` replaced, signed again.
    pub fn tcb_info(&self, old: &str, new: &str) -> String {
        let text = replaced(&self.endorsements.tcb_info, old, new);
        self.tcb_info_text(&text)
    }

    pub fn tcb_info_text(&self, text: &str) -> String {
        self.endorsed(|all| {
            all.tcb_info_signature = Blob::new(statement_signature(text.as_bytes())).unwrap();
            all.tcb_info = Blob::new(text.as_bytes()).unwrap();
        })
    }

    /// The QE identity with every `old` replaced, signed again.
    pub fn qe_identity(&self, old: &str, new: &str) -> String {
        let text = replaced(&self.endorsements.qe_identity, old, new);
        self.qe_identity_text(&text)
    }

    pub fn qe_identity_text(&self, text: &str) -> String {
        self.endorsed(|all| {
            all.qe_identity_signature = Blob::new(statement_signature(text.as_bytes())).unwrap();
            all.qe_identity = Blob::new(text.as_bytes()).unwrap();
        })
    }
}

fn replaced(text: &[u8], old: &str, new: &str) -> String {
    let text = std::str::from_utf8(text).unwrap();
    assert!(text.contains(old), "{old} is not in {text}");
    text.replace(old, new)
}

/// Where things stand in a certificate: body, then its members.
pub const SERIAL: &[usize] = &[0, 1];
pub const ALGORITHM: &[usize] = &[0, 2];
pub const ISSUER: &[usize] = &[0, 3];
pub const NOT_BEFORE: &[usize] = &[0, 4, 0];
pub const NOT_AFTER: &[usize] = &[0, 4, 1];
pub const SUBJECT: &[usize] = &[0, 5];
pub const KEY: &[usize] = &[0, 6];
pub const EXTENSIONS: &[usize] = &[0, 7, 0];

/// The bytes at this place of a certificate or list.
pub fn set(cert: &mut Tlv, path: &[usize], bytes: &[u8]) {
    *cert.at_mut(path).unwrap().bytes_mut().unwrap() = bytes.to_vec();
}

/// The value of the extension with this identifier; the closure gets the OCTET STRING's bytes.
pub fn extension(cert: &mut Tlv, oid: &[u8], edit: impl FnOnce(&mut Vec<u8>)) {
    let list = cert.at_mut(EXTENSIONS).unwrap().list_mut().unwrap();
    let found = list.iter_mut().find(|extension| is_extension(extension, oid)).unwrap();
    edit(found.list_mut().unwrap().last_mut().unwrap().bytes_mut().unwrap());
}

fn is_extension(extension: &Tlv, oid: &[u8]) -> bool {
    extension.clone().at_mut(&[0]).cloned() == Some(Tlv::bytes(6, oid))
}

/// Takes the extension with this identifier out.
pub fn without_extension(cert: &mut Tlv, oid: &[u8]) {
    let list = cert.at_mut(EXTENSIONS).unwrap().list_mut().unwrap();
    let before = list.len();
    list.retain(|extension| !is_extension(extension, oid));
    assert_eq!(list.len() + 1, before, "the extension was there once");
}

/// Adds an extension.
pub fn with_extension(cert: &mut Tlv, oid: &[u8], critical: bool, value: &[u8]) {
    let mut parts = vec![Tlv::bytes(6, oid)];
    if critical {
        parts.push(Tlv::bytes(1, [0xff]));
    }
    parts.push(Tlv::bytes(4, value));
    cert.at_mut(EXTENSIONS).unwrap().list_mut().unwrap().push(Tlv::parts(0x30, parts));
}
