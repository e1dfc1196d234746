//! The simulated Intel chain and collateral: root, PCK and TCB signing certificates, revocation lists, TCB info, QE identity.
//!
//! Decides: what Intel's provisioning service would answer for a simulated platform, in its exact JSON and DER shapes.
//! Trusts: nothing. Out of scope: quotes (`tdx`), which lie is told when (`tee`). Evidence notes section 4.

use crate::pki::{
    AUTHORITY_FROM_S, AUTHORITY_UNTIL_S, Authority, LEAF_FROM_S, LEAF_UNTIL_S, Subject, Window, authority_extensions, der, encoded,
    leaf_extensions, name, pem, raw_extension, rfc3339, sequence, serial,
};
use crate::seed;
use core::fmt::Write as _;
use der::asn1::{ObjectIdentifier, OctetString};
use p256::ecdsa::signature::Signer;
use ringwall_wire::text::hex;
use std::sync::LazyLock;
use x509_cert::Certificate;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;

/// CPU security versions of up-to-date simulated platforms.
pub(crate) const CPU_SVN: [u8; 16] = [6, 6, 2, 2, 3, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0];
/// Security version of the provisioning enclave.
pub(crate) const PCE_SVN: u8 = 11;
/// Security versions of the TDX module: ISVSVN 5 of module 1.5, then the platform's.
pub(crate) const TEE_TCB_SVN: [u8; 16] = [5, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Security version of the quoting enclave.
pub(crate) const QE_SVN: u16 = 4;
/// TCB evaluation data number of the collateral.
pub(crate) const EVALUATION: u32 = 18;
/// The advisory that goes with every status that is not current.
pub(crate) const ADVISORY: &str = "INTEL-SA-99999";

/// A root with everything below it: the simulated Intel, or a stranger with the same names.
pub(crate) struct Service {
    root: Authority,
    root_certificate: Certificate,
    platform: Authority,
    platform_certificate: Certificate,
    tcb: p256::ecdsa::SigningKey,
    tcb_certificate: Certificate,
}

/// One platform as its PCK certificate describes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Platform {
    pub(crate) ppid: [u8; 16],
    pub(crate) instance: [u8; 16],
    pub(crate) fmspc: [u8; 6],
    pub(crate) cpu_svn: [u8; 16],
    pub(crate) dynamic: bool,
    pub(crate) cached_keys: bool,
    pub(crate) smt: bool,
}

/// How the collateral judges platforms.
#[derive(Clone, Debug)]
pub(crate) struct Judgement {
    /// Intel's word for the newest level.
    pub(crate) status: &'static str,
    /// Whether an advisory is attached to it.
    pub(crate) advisory: bool,
    /// Intel's word for the quoting enclave.
    pub(crate) qe_status: &'static str,
    /// Least SVN of the first component of every level.
    pub(crate) least_svn: u8,
    pub(crate) evaluation: u32,
    pub(crate) fmspc: [u8; 6],
    pub(crate) window: Window,
}

/// A signed JSON document.
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) signature: [u8; 64],
}

/// The simulated Intel.
pub(crate) fn service() -> &'static Service {
    static SERVICE: LazyLock<Service> = LazyLock::new(|| Service::found(b"intel"));
    &SERVICE
}

/// A stranger who copied Intel's names.
pub(crate) fn foreign() -> &'static Service {
    static SERVICE: LazyLock<Service> = LazyLock::new(|| Service::found(b"foreign intel"));
    &SERVICE
}

/// MRSIGNER of the simulated quoting enclave.
pub(crate) fn qe_signer() -> [u8; 32] {
    seed::bytes(&[b"qe mrsigner"])
}

impl Service {
    fn found(seed_name: &[u8]) -> Service {
        let root_key = seed::p256(&[seed_name, b"root"]);
        let root = Authority::P256(root_key);
        let platform = Authority::P256(seed::p256(&[seed_name, b"platform ca"]));
        let tcb = seed::p256(&[seed_name, b"tcb signing"]);
        let authority = |common: &str, path_len| Subject {
            name: intel_name(common),
            issuer: intel_name(ROOT),
            serial: serial_of(&[seed_name, common.as_bytes()]),
            from_s: AUTHORITY_FROM_S,
            until_s: AUTHORITY_UNTIL_S,
            extensions: authority_extensions(Some(path_len)),
            key_identifiers: true,
        };
        let root_certificate = root.certify(authority(ROOT, 1), root.spki());
        let platform_certificate = root.certify(authority(PLATFORM_CA, 0), platform.spki());
        let signing = Subject { extensions: leaf_extensions(), ..authority(TCB_SIGNING, 0) };
        let tcb_certificate = root.certify(signing, Authority::P256(tcb.clone()).spki());
        Service { root, root_certificate, platform, platform_certificate, tcb, tcb_certificate }
    }

    /// The root certificate, DER.
    pub(crate) fn root_der(&self) -> Vec<u8> {
        der(&self.root_certificate)
    }

    /// The chain a quote carries: PCK, platform authority, root, as PEM.
    pub(crate) fn pck_chain(&self, platform: &Platform) -> String {
        let subject = Subject {
            name: intel_name("Intel SGX PCK Certificate"),
            issuer: intel_name(PLATFORM_CA),
            serial: pck_serial(platform),
            from_s: LEAF_FROM_S,
            until_s: LEAF_UNTIL_S,
            extensions: [leaf_extensions(), vec![raw_extension(oid(SGX), sgx_extension(platform))]].concat(),
            key_identifiers: true,
        };
        let pck = self.platform.certify(subject, Authority::P256(pck_key(platform)).spki());
        pem(&[&pck, &self.platform_certificate, &self.root_certificate])
    }

    /// The issuer chain of the PCK revocation list, PEM.
    pub(crate) fn platform_chain(&self) -> String {
        pem(&[&self.platform_certificate, &self.root_certificate])
    }

    /// The issuer chain of both JSON documents, PEM.
    pub(crate) fn tcb_chain(&self) -> String {
        pem(&[&self.tcb_certificate, &self.root_certificate])
    }

    /// The root's revocation list, DER.
    pub(crate) fn root_crl(&self, window: Window, platform_ca_revoked: bool) -> Vec<u8> {
        let revoked = platform_ca_revoked.then(|| self.platform_certificate.tbs_certificate().serial_number().clone());
        self.root.revoke(&intel_name(ROOT), window, crl_number(window), revoked.as_slice())
    }

    /// The platform authority's revocation list, DER.
    pub(crate) fn pck_crl(&self, window: Window, revoked: Option<&Platform>) -> Vec<u8> {
        let revoked = revoked.map(pck_serial);
        self.platform.revoke(&intel_name(PLATFORM_CA), window, crl_number(window), revoked.as_slice())
    }

    /// TCB info, version 3, id TDX.
    pub(crate) fn tcb_info(&self, judgement: &Judgement) -> Document {
        self.sign(tcb_info(judgement))
    }

    /// QE identity, version 2, id TD_QE.
    pub(crate) fn qe_identity(&self, judgement: &Judgement) -> Document {
        self.sign(qe_identity(judgement))
    }

    /// Raw r and s of the signer of statements.
    pub(crate) fn signature(&self, text: &[u8]) -> [u8; 64] {
        let signature: p256::ecdsa::Signature = self.tcb.sign(text);
        signature.to_bytes().into()
    }

    /// The root's key.
    pub(crate) fn root_key(&self) -> Authority {
        self.root.clone()
    }

    /// The key that certifies platforms.
    pub(crate) fn platform_key(&self) -> Authority {
        self.platform.clone()
    }

    /// The key that signs statements.
    pub(crate) fn statement_key(&self) -> Authority {
        Authority::P256(self.tcb.clone())
    }

    fn sign(&self, text: String) -> Document {
        Document { signature: self.signature(text.as_bytes()), text }
    }
}

/// The key of a platform's PCK certificate, which signs its quoting enclave's reports.
pub(crate) fn pck_key(platform: &Platform) -> p256::ecdsa::SigningKey {
    seed::p256(&[b"pck", &platform.ppid, &platform.cpu_svn])
}

const ROOT: &str = "Intel SGX Root CA";
const PLATFORM_CA: &str = "Intel SGX PCK Platform CA";
const TCB_SIGNING: &str = "Intel SGX TCB Signing";
const SGX: &str = "1.2.840.113741.1.13.1";

fn intel_name(common: &str) -> Name {
    name(&[("CN", common), ("O", "Intel Corporation"), ("L", "Santa Clara"), ("ST", "CA"), ("C", "US")])
}

fn serial_of(path: &[&[u8]]) -> SerialNumber {
    let mut bytes: [u8; 20] = seed::bytes(&[path, &[b"serial"]].concat());
    // Positive and of full length, as RFC 5280 wants it.
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    serial(&bytes)
}

fn pck_serial(platform: &Platform) -> SerialNumber {
    serial_of(&[b"pck", &platform.ppid, &platform.cpu_svn, &platform.fmspc])
}

fn crl_number(window: Window) -> u32 {
    u32::try_from(window.from_s / crate::pki::DAY_S).expect("days fit")
}

fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new(text).expect("an identifier is well-formed")
}

/// Intel's SGX extension: a sequence of (identifier, value).
fn sgx_extension(platform: &Platform) -> Vec<u8> {
    let pair = |tail: &str, value: Vec<u8>| sequence(&[encoded(&oid(&format!("{SGX}.{tail}"))), value]);
    let octets = |bytes: &[u8]| encoded(&OctetString::new(bytes).expect("a value is short"));
    let mut tcb: Vec<Vec<u8>> = (1u8..).zip(platform.cpu_svn).map(|(at, svn)| pair(&format!("2.{at}"), encoded(&svn))).collect();
    tcb.push(pair("2.17", encoded(&PCE_SVN)));
    tcb.push(pair("2.18", octets(&platform.cpu_svn)));
    let flags = [("7.1", platform.dynamic), ("7.2", platform.cached_keys), ("7.3", platform.smt)];
    let flags: Vec<Vec<u8>> = flags.iter().map(|(tail, set)| pair(tail, encoded(set))).collect();
    sequence(&[
        pair("1", octets(&platform.ppid)),
        pair("2", sequence(&tcb)),
        pair("3", octets(&[0, 0])),
        pair("4", octets(&platform.fmspc)),
        // ENUMERATED 1: scalable
        pair("5", vec![0x0a, 0x01, 0x01]),
        pair("6", octets(&platform.instance)),
        pair("7", sequence(&flags)),
    ])
}

fn tcb_info(judgement: &Judgement) -> String {
    let mut text = String::new();
    let zero48 = "0".repeat(96);
    let _ = write!(
        text,
        "{{\"id\":\"TDX\",\"version\":3,\"issueDate\":\"{}\",\"nextUpdate\":\"{}\",\"fmspc\":\"{}\",\"pceId\":\"0000\",\"tcbType\":0,\
         \"tcbEvaluationDataNumber\":{},\"tdxModule\":{{\"mrsigner\":\"{zero48}\",\"attributes\":\"0000000000000000\",\
         \"attributesMask\":\"FFFFFFFFFFFFFFFF\"}},\"tdxModuleIdentities\":[{{\"id\":\"TDX_01\",\"mrsigner\":\"{zero48}\",\
         \"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\",\"tcbLevels\":[{{\"tcb\":{{\"isvsvn\":{}}},\
         \"tcbDate\":\"2026-05-13T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}},{{\"tcb\":{{\"isvsvn\":4}},\
         \"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"OutOfDate\"}}]}}],\"tcbLevels\":[",
        rfc3339(judgement.window.from_s),
        rfc3339(judgement.window.until_s),
        hex(&judgement.fmspc).to_uppercase(),
        judgement.evaluation,
        TEE_TCB_SVN.first().copied().unwrap_or_default(),
    );
    let first = CPU_SVN.first().copied().unwrap_or_default().max(judgement.least_svn);
    level(&mut text, first, PCE_SVN, "2026-05-13", judgement.status, judgement.advisory);
    text.push(',');
    level(&mut text, 5.max(judgement.least_svn), 5, "2023-08-09", "OutOfDate", true);
    text.push_str("]}");
    text
}

/// One TCB level whose first component is `first`.
fn level(text: &mut String, first: u8, pce_svn: u8, date: &str, status: &str, advisory: bool) {
    let components = |list: &[u8]| list.iter().map(|svn| format!("{{\"svn\":{svn}}}")).collect::<Vec<_>>().join(",");
    let mut cpu = CPU_SVN;
    if let Some(svn) = cpu.first_mut() {
        *svn = first;
    }
    let advisories = if advisory { format!(",\"advisoryIDs\":[\"{ADVISORY}\"]") } else { String::new() };
    let _ = write!(
        text,
        "{{\"tcb\":{{\"sgxtcbcomponents\":[{}],\"pcesvn\":{pce_svn},\"tdxtcbcomponents\":[{}]}},\"tcbDate\":\"{date}T00:00:00Z\",\
         \"tcbStatus\":\"{status}\"{advisories}}}",
        components(&cpu),
        components(&TEE_TCB_SVN),
    );
}

fn qe_identity(judgement: &Judgement) -> String {
    format!(
        "{{\"id\":\"TD_QE\",\"version\":2,\"issueDate\":\"{}\",\"nextUpdate\":\"{}\",\"tcbEvaluationDataNumber\":{},\
         \"miscselect\":\"00000000\",\"miscselectMask\":\"FFFFFFFF\",\"attributes\":\"11000000000000000000000000000000\",\
         \"attributesMask\":\"FBFFFFFFFFFFFFFF0000000000000000\",\"mrsigner\":\"{}\",\"isvprodid\":2,\
         \"tcbLevels\":[{{\"tcb\":{{\"isvsvn\":{QE_SVN}}},\"tcbDate\":\"2026-05-13T00:00:00Z\",\"tcbStatus\":\"{}\"}}]}}",
        rfc3339(judgement.window.from_s),
        rfc3339(judgement.window.until_s),
        judgement.evaluation,
        hex(&qe_signer()).to_uppercase(),
        judgement.qe_status,
    )
}
