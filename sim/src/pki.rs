//! Certificates and revocation lists in the vendors' shapes.
//!
//! Decides: how a simulated authority signs. RSA-PSS salts derive from what is signed, so that every process mints the same bytes.
//! Trusts: its inputs; they are ours, so a failure is a broken invariant. Out of scope: which certificates exist (`amd`, `intel`).

use core::time::Duration;
use der::asn1::{Any, BitString, GeneralizedTime, ObjectIdentifier, OctetString, Uint, UtcTime};
use der::{Encode, EncodePem, pem::LineEnding};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rsa::signature::{Keypair, RandomizedSigner, Signer};
use sha2::{Digest as _, Sha256, Sha384};
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::{Rfc5280, TbsCertificate, Version};
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, CrlNumber, KeyUsage, KeyUsages, SubjectKeyIdentifier};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{
    DynSignatureAlgorithmIdentifier, EncodePublicKey, SignatureBitStringEncoding, SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef,
};
use x509_cert::time::{Time, Validity};
use x509_cert::{Certificate, builder};

/// 2020-01-01: simulated roots and intermediate authorities begin.
pub(crate) const AUTHORITY_FROM_S: u64 = 1_577_836_800;
/// 2045-01-01: simulated roots and intermediate authorities end.
pub(crate) const AUTHORITY_UNTIL_S: u64 = 2_366_841_600;
/// 2025-01-01: simulated leaf certificates begin.
pub(crate) const LEAF_FROM_S: u64 = 1_735_689_600;
/// 2035-01-01: simulated leaf certificates end.
pub(crate) const LEAF_UNTIL_S: u64 = 2_051_222_400;
/// Seconds of a day.
pub(crate) const DAY_S: u64 = 86_400;

/// A signing key of a simulated authority.
#[derive(Clone)]
pub(crate) enum Authority {
    /// RSASSA-PSS with SHA-384, MGF1-SHA-384 and a salt of 48 bytes: AMD's authorities.
    Rsa(rsa::pss::SigningKey<Sha384>),
    /// ECDSA P-256 with SHA-256: Intel's authorities.
    P256(p256::ecdsa::SigningKey),
    /// ECDSA P-384 with SHA-384: only for self-signed impostors of a VCEK.
    P384(p384::ecdsa::SigningKey),
}

/// What a certificate says, apart from its key and its issuer's signature.
pub(crate) struct Subject {
    pub(crate) name: Name,
    pub(crate) issuer: Name,
    pub(crate) serial: SerialNumber,
    pub(crate) from_s: u64,
    pub(crate) until_s: u64,
    pub(crate) extensions: Vec<Extension>,
    /// Whether key identifiers are added (AMD's VCEKs carry none).
    pub(crate) key_identifiers: bool,
}

impl Authority {
    /// The public key, as certificates carry it.
    pub(crate) fn spki(&self) -> SubjectPublicKeyInfoOwned {
        match self {
            Authority::Rsa(key) => SubjectPublicKeyInfoOwned::from_key(&key.verifying_key()),
            Authority::P256(key) => SubjectPublicKeyInfoOwned::from_key(key.verifying_key()),
            Authority::P384(key) => SubjectPublicKeyInfoOwned::from_key(key.verifying_key()),
        }
        .expect("a public key encodes")
    }

    /// A certificate over `spki`.
    pub(crate) fn certify(&self, subject: Subject, spki: SubjectPublicKeyInfoOwned) -> Certificate {
        let validity = Validity::new(time(subject.from_s), time(subject.until_s));
        let builder = CertificateBuilder::new(Shape::of(&subject), subject.serial, validity, spki).expect("a subject is well-formed");
        match self {
            Authority::Rsa(key) => assemble(builder, key, |blob| pss(key, blob)),
            Authority::P256(key) => assemble(builder, key, |blob| bits::<_, p256::ecdsa::DerSignature>(key, blob)),
            Authority::P384(key) => assemble(builder, key, |blob| bits::<_, p384::ecdsa::DerSignature>(key, blob)),
        }
    }

    /// A revocation list of `issuer`, naming `revoked` serial numbers.
    pub(crate) fn revoke(&self, issuer: &Name, window: Window, number: u32, revoked: &[SerialNumber]) -> Vec<u8> {
        let entry = |serial: &SerialNumber| RevokedCert {
            serial_number: serial.clone(),
            revocation_date: time(window.from_s),
            crl_entry_extensions: None,
        };
        let tbs = TbsCertList::<Rfc5280> {
            version: Version::V2,
            signature: self.algorithm(),
            issuer: issuer.clone(),
            this_update: time(window.from_s),
            next_update: Some(time(window.until_s)),
            revoked_certificates: (!revoked.is_empty()).then(|| revoked.iter().map(entry).collect()),
            crl_extensions: Some(vec![authority_key(&self.spki()), crl_number(number)]),
        };
        let blob = tbs.to_der().expect("a revocation list encodes");
        let list = CertificateList { tbs_cert_list: tbs, signature_algorithm: self.algorithm(), signature: self.sign(&blob) };
        list.to_der().expect("a revocation list encodes")
    }

    fn algorithm(&self) -> x509_cert::spki::AlgorithmIdentifierOwned {
        match self {
            Authority::Rsa(key) => key.signature_algorithm_identifier(),
            Authority::P256(key) => key.signature_algorithm_identifier(),
            Authority::P384(key) => key.signature_algorithm_identifier(),
        }
        .expect("the algorithm encodes")
    }

    /// The signature over `blob`, as certificates carry it.
    pub(crate) fn sign(&self, blob: &[u8]) -> BitString {
        match self {
            Authority::Rsa(key) => pss(key, blob),
            Authority::P256(key) => bits::<_, p256::ecdsa::DerSignature>(key, blob),
            Authority::P384(key) => bits::<_, p384::ecdsa::DerSignature>(key, blob),
        }
    }
}

/// When a dated document begins and ends, Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    pub(crate) from_s: u64,
    pub(crate) until_s: u64,
}

impl Window {
    /// From the start of yesterday for 31 days: at any moment of today 29 to 30 days are left. Days, so that one process signs once.
    pub(crate) fn around(now_s: u64) -> Window {
        let from_s = (now_s / DAY_S).saturating_sub(1).saturating_mul(DAY_S);
        Window { from_s, until_s: from_s.saturating_add(31 * DAY_S) }
    }

    /// A window that ended ten days ago.
    pub(crate) fn past(now_s: u64) -> Window {
        Window::around(now_s.saturating_sub(40 * DAY_S))
    }
}

fn assemble<S>(mut builder: CertificateBuilder<Shape>, key: &S, sign: impl FnOnce(&[u8]) -> BitString) -> Certificate
where
    S: Keypair + DynSignatureAlgorithmIdentifier,
    S::VerifyingKey: EncodePublicKey,
{
    let blob = builder.finalize(key).expect("a certificate encodes");
    builder.assemble(sign(&blob), key).expect("a certificate encodes")
}

fn pss(key: &rsa::pss::SigningKey<Sha384>, blob: &[u8]) -> BitString {
    let mut rng = ChaCha20Rng::from_seed(Sha256::digest(blob).into());
    let signature: rsa::pss::Signature = key.sign_with_rng(&mut rng, blob);
    signature.to_bitstring().expect("a signature encodes")
}

fn bits<S: Signer<T>, T: SignatureBitStringEncoding>(key: &S, blob: &[u8]) -> BitString {
    key.sign(blob).to_bitstring().expect("a signature encodes")
}

/// The profile the builder asks for: exactly the extensions we give, key identifiers first.
struct Shape {
    name: Name,
    issuer: Name,
    extensions: Vec<Extension>,
    key_identifiers: bool,
}

impl Shape {
    fn of(subject: &Subject) -> Shape {
        Shape {
            name: subject.name.clone(),
            issuer: subject.issuer.clone(),
            extensions: subject.extensions.clone(),
            key_identifiers: subject.key_identifiers,
        }
    }
}

impl BuilderProfile for Shape {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }
    fn get_subject(&self) -> Name {
        self.name.clone()
    }
    fn build_extensions(
        &self,
        spk: SubjectPublicKeyInfoRef<'_>,
        issuer_spk: SubjectPublicKeyInfoRef<'_>,
        _tbs: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        let mut extensions = Vec::new();
        if self.key_identifiers {
            extensions.push(extension(&SubjectKeyIdentifier::try_from(spk)?));
            extensions.push(extension(&AuthorityKeyIdentifier {
                key_identifier: Some(SubjectKeyIdentifier::try_from(issuer_spk)?.0),
                ..Default::default()
            }));
        }
        extensions.extend(self.extensions.iter().cloned());
        Ok(extensions)
    }
}

/// Basic constraints and key usage of a certificate authority.
pub(crate) fn authority_extensions(path_len: Option<u8>) -> Vec<Extension> {
    let constraints = BasicConstraints { ca: true, path_len_constraint: path_len };
    vec![critical(&constraints), critical(&KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))]
}

/// Basic constraints and key usage of a leaf that signs.
pub(crate) fn leaf_extensions() -> Vec<Extension> {
    let constraints = BasicConstraints { ca: false, path_len_constraint: None };
    vec![critical(&constraints), critical(&KeyUsage(KeyUsages::DigitalSignature | KeyUsages::NonRepudiation))]
}

/// An extension with raw content, DER or not.
pub(crate) fn raw_extension(id: ObjectIdentifier, content: impl Into<Vec<u8>>) -> Extension {
    Extension { extn_id: id, critical: false, extn_value: OctetString::new(content.into()).expect("an extension is short") }
}

/// A serial number from big-endian bytes; leading zeros do not count.
pub(crate) fn serial(bytes: &[u8]) -> SerialNumber {
    SerialNumber::new(bytes).expect("a serial number has at most 20 bytes")
}

/// A name from its parts, most general first, in the order the vendor writes them.
pub(crate) fn name(parts: &[(&str, &str)]) -> Name {
    // RFC 4514 text lists the last part first.
    let text: Vec<String> = parts.iter().rev().map(|(kind, value)| format!("{kind}={value}")).collect();
    text.join(",").parse().expect("a name is well-formed")
}

/// Unix seconds as X.509 writes them: UTCTime before 2050.
pub(crate) fn time(unix_s: u64) -> Time {
    let since = Duration::from_secs(unix_s);
    match UtcTime::from_unix_duration(since) {
        Ok(short) => Time::UtcTime(short),
        Err(_) => Time::GeneralTime(GeneralizedTime::from_unix_duration(since).expect("a year below 10,000")),
    }
}

/// Unix seconds as Intel's JSON writes them.
pub(crate) fn rfc3339(unix_s: u64) -> String {
    der::DateTime::from_unix_duration(Duration::from_secs(unix_s)).expect("a year below 10,000").to_string()
}

/// DER of a certificate.
pub(crate) fn der(certificate: &Certificate) -> Vec<u8> {
    certificate.to_der().expect("a certificate encodes")
}

/// PEM of a chain, leaf first.
pub(crate) fn pem(chain: &[&Certificate]) -> String {
    chain.iter().map(|certificate| certificate.to_pem(LineEnding::LF).expect("a certificate encodes")).collect()
}

/// `SEQUENCE { parts }` of already encoded parts.
pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    Any::new(der::Tag::Sequence, parts.concat()).and_then(|any| any.to_der()).expect("a sequence encodes")
}

/// One already encoded value as DER.
pub(crate) fn encoded(value: &impl Encode) -> Vec<u8> {
    value.to_der().expect("a value encodes")
}

fn authority_key(spki: &SubjectPublicKeyInfoOwned) -> Extension {
    use der::referenced::OwnedToRef;
    let identifier = SubjectKeyIdentifier::try_from(spki.owned_to_ref()).expect("a key hashes");
    extension(&AuthorityKeyIdentifier { key_identifier: Some(identifier.0), ..Default::default() })
}

fn crl_number(number: u32) -> Extension {
    extension(&CrlNumber(Uint::new(&number.to_be_bytes()).expect("a number encodes")))
}

fn extension<T: der::oid::AssociatedOid + Encode>(value: &T) -> Extension {
    (false, value).to_extension(&Name::default(), &[]).expect("an extension encodes")
}

fn critical<T: der::oid::AssociatedOid + Encode>(value: &T) -> Extension {
    (true, value).to_extension(&Name::default(), &[]).expect("an extension encodes")
}
