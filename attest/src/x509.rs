//! AMD's certificates, read strictly: one signature algorithm, signed bytes taken as they came.
//!
//! Decides: a certificate or revocation list counts only when it is exact DER, its inner and outer signature algorithms are both RSASSA-PSS with
//! SHA-384, MGF1 of SHA-384 and 48 bytes of salt, and the signature verifies over the bytes received (nothing is re-encoded).
//! Trusts: the `der`, `x509-cert` and `rsa` crates. Out of scope: which names and which chain (`snp/chain.rs`); Intel's chains (`tdx.rs`).
//! Protocol section 2.2; the parameter check is ours because verifiers in the field skip it.

use crate::error::{CertName, VerifyError};
use crate::memo::{self, Claimed};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use der::asn1::ObjectIdentifier;
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use rsa::PublicKey;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::signature::hazmat::PrehashVerifier as _;
use rsa::traits::PublicKeyParts as _;
use sha2::{Digest as _, Sha384};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::spki::AlgorithmIdentifierOwned;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// Bytes of the modulus of AMD's roots and intermediates.
const RSA_MODULUS_BYTES: usize = 512;
const SALT_BYTES: usize = 48;

/// RSASSA-PSS-params of SHA-384, MGF1 of SHA-384, salt 48; the trailer field left to its default.
const PSS_SHA384: &[u8] = &[
    0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa1, 0x1c, 0x30,
    0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
    0x04, 0x02, 0x02, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x30,
];
/// `[3] INTEGER 1`: the same trailer field, spelled out, as AMD's roots do.
const PSS_TRAILER: &[u8] = &[0xa3, 0x03, 0x02, 0x01, 0x01];

/// The three parts of a signed DER structure.
pub(crate) struct Signed<'a> {
    /// The signed bytes, header included.
    pub(crate) body: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

/// Splits `SEQUENCE { body, algorithm, BIT STRING }`.
pub(crate) fn split_signed(bytes: &[u8]) -> Option<Signed<'_>> {
    let outer = der::asn1::AnyRef::from_der(bytes).ok().filter(|any| any.header().tag() == der::Tag::Sequence)?;
    let mut parts = SliceReader::new(outer.value()).ok()?;
    let body = parts.tlv_bytes().ok()?;
    let algorithm = parts.tlv_bytes().ok()?;
    let signature = der::asn1::BitStringRef::decode(&mut parts).ok()?.as_bytes()?;
    parts.is_finished().then_some(Signed { body, algorithm, signature })
}

impl Signed<'_> {
    /// Whether the signature verifies under the key of `above`; fails with `wrong` when it does not, or with what is wrong with the key.
    pub(crate) fn verify(&self, above: &Cert<'_>, wrong: VerifyError) -> Result<(), VerifyError> {
        let key = above.rsa_key_bytes()?;
        let claimed = Claimed { algorithm: "RSASSA-PSS-4096-SHA384-48", key, message: self.body, signature: self.signature };
        memo::CHAINS.verified(&claimed, || {
            let verifying = rsa::pss::VerifyingKey::<Sha384>::new_with_salt_len(above.rsa_key()?, SALT_BYTES);
            let signature = rsa::pss::Signature::try_from(self.signature).map_err(|_| wrong.clone())?;
            verifying.verify_prehash(&Sha384::digest(self.body), &signature).map_err(|_| wrong)
        })
    }
}

/// Whether an algorithm identifier is RSASSA-PSS with exactly the parameters AMD uses.
pub(crate) fn is_pss_sha384(algorithm: &AlgorithmIdentifierOwned) -> bool {
    let Some(parameters) = algorithm.parameters.as_ref().and_then(|any| any.to_der().ok()) else {
        return false;
    };
    let mut spelled_out = PSS_SHA384.to_vec();
    spelled_out.extend_from_slice(PSS_TRAILER);
    if let Some(length) = spelled_out.get_mut(1) {
        *length = 0x39;
    }
    algorithm.oid == RSASSA_PSS && (parameters == PSS_SHA384 || parameters == spelled_out)
}

/// One certificate of AMD's chain, well-formed and not yet trusted.
pub(crate) struct Cert<'a> {
    which: CertName,
    signed: Signed<'a>,
    parsed: Certificate,
}

impl<'a> Cert<'a> {
    /// Reads a certificate.
    pub(crate) fn parse(which: CertName, bytes: &'a [u8]) -> Result<Self, VerifyError> {
        if bytes.is_empty() {
            return Err(VerifyError::CertMissing { which });
        }
        let malformed = |what| VerifyError::CertMalformed { which, what };
        let signed = split_signed(bytes).ok_or(malformed("not exactly one signed DER structure"))?;
        let parsed = Certificate::from_der(bytes).map_err(|_| malformed("not an X.509 certificate"))?;
        let inner = parsed.tbs_certificate().signature();
        if inner != parsed.signature_algorithm() || signed.algorithm != inner.to_der().unwrap_or_default() {
            return Err(malformed("it names two signature algorithms"));
        }
        let cert = Cert { which, signed, parsed };
        let extensions = cert.parsed.tbs_certificate().extensions().map_or(&[][..], |all| all.as_slice());
        for (at, extension) in extensions.iter().enumerate() {
            if extensions.iter().skip(at.saturating_add(1)).any(|later| later.extn_id == extension.extn_id) {
                return Err(malformed("an extension appears twice"));
            }
            if extension.critical && ![BASIC_CONSTRAINTS, KEY_USAGE].contains(&extension.extn_id) {
                return Err(malformed("it has a critical extension this program does not know"));
            }
        }
        Ok(cert)
    }

    /// The common name of the subject.
    pub(crate) fn subject_name(&self) -> String {
        let name = self.parsed.tbs_certificate().subject().common_name();
        name.ok().flatten().map_or_else(String::new, |name| name.value().to_string())
    }

    /// The serial number, big-endian, as DER carries it.
    pub(crate) fn serial(&self) -> &[u8] {
        self.parsed.tbs_certificate().serial_number().as_bytes()
    }

    /// The subject as DER, for comparison with issuer fields.
    pub(crate) fn subject_der(&self) -> Vec<u8> {
        self.parsed.tbs_certificate().subject().to_der().unwrap_or_default()
    }

    /// The content of the extension `oid`, without the OCTET STRING around it.
    pub(crate) fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let extensions = self.parsed.tbs_certificate().extensions()?;
        extensions.iter().find(|extension| extension.extn_id == oid).map(|extension| extension.extn_value.as_bytes())
    }

    /// Last second of the certificate's validity, Unix time.
    pub(crate) fn until_s(&self) -> u64 {
        self.parsed.tbs_certificate().validity().not_after.to_unix_duration().as_secs()
    }

    /// Fails unless `now_s` is within the certificate's validity.
    pub(crate) fn in_force(&self, now_s: u64) -> Result<(), VerifyError> {
        let from_s = self.parsed.tbs_certificate().validity().not_before.to_unix_duration().as_secs();
        let until_s = self.until_s();
        if now_s < from_s {
            return Err(VerifyError::CertNotYet { which: self.which, from_s, now_s });
        }
        if now_s > until_s {
            return Err(VerifyError::CertExpired { which: self.which, until_s, now_s });
        }
        Ok(())
    }

    /// Fails unless basic constraints (and key usage, where it is told) say exactly whether this certificate may sign others.
    pub(crate) fn constrained(&self, may_sign: bool) -> Result<(), VerifyError> {
        let constraints = self.parsed.tbs_certificate().get_extension::<BasicConstraints>();
        let constraints = constraints.map_err(|_| VerifyError::CertConstraints { which: self.which })?;
        let usage = self.parsed.tbs_certificate().get_extension::<KeyUsage>();
        let usage = usage.map_err(|_| VerifyError::CertConstraints { which: self.which })?;
        let authority = constraints.is_some_and(|(_, constraints)| constraints.ca);
        let signs = usage.is_none_or(|(_, usage)| usage.key_cert_sign());
        match authority == may_sign && (signs || !may_sign) {
            true => Ok(()),
            false => Err(VerifyError::CertConstraints { which: self.which }),
        }
    }

    /// Fails unless `above` issued this certificate: names, algorithm and signature.
    pub(crate) fn issued_by(&self, above: &Cert<'_>) -> Result<(), VerifyError> {
        let which = self.which;
        if self.parsed.tbs_certificate().issuer().to_der().unwrap_or_default() != above.subject_der() {
            return Err(VerifyError::CertIssuer { which });
        }
        if !is_pss_sha384(self.parsed.signature_algorithm()) {
            return Err(VerifyError::CertAlgorithm { which });
        }
        self.signed.verify(above, VerifyError::CertSignature { which })
    }

    /// The certificate's RSA key as its DER carries it, read no further.
    fn rsa_key_bytes(&self) -> Result<&[u8], VerifyError> {
        let spki = self.parsed.tbs_certificate().subject_public_key_info();
        spki.subject_public_key.as_bytes().filter(|_| spki.algorithm.oid == RSA_ENCRYPTION).ok_or_else(|| self.not_rsa())
    }

    /// The certificate's RSA key, which must have 4,096 bits.
    fn rsa_key(&self) -> Result<PublicKey, VerifyError> {
        let key = PublicKey::from_pkcs1_der(self.rsa_key_bytes()?).ok();
        key.filter(|key| key.size() == RSA_MODULUS_BYTES).ok_or_else(|| self.not_rsa())
    }

    fn not_rsa(&self) -> VerifyError {
        VerifyError::CertMalformed { which: self.which, what: "its key is not RSA with 4,096 bits" }
    }

    /// The certificate's P-384 key.
    pub(crate) fn p384_key(&self) -> Result<p384::ecdsa::VerifyingKey, VerifyError> {
        const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
        const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
        let malformed = VerifyError::CertMalformed { which: self.which, what: "its key is not on P-384" };
        let spki = self.parsed.tbs_certificate().subject_public_key_info();
        let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        if spki.algorithm.oid != EC_PUBLIC_KEY || curve != Some(SECP384R1) {
            return Err(malformed);
        }
        let bytes = spki.subject_public_key.as_bytes().ok_or(malformed.clone())?;
        p384::ecdsa::VerifyingKey::from_sec1_bytes(bytes).map_err(|_| malformed)
    }
}
