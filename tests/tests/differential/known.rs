//! Differences that are known, each with its reason.
//!
//! Decides: what counts as explained. A row names one other verifier, and one refusal of theirs or of ours: a new kind of difference has no row
//! and fails the test. Trusts: nothing. Out of scope: finding differences.

use super::Subject;
use ringwall_wire::evidence::Endorsements;

/// Something another verifier refuses and we accept.
pub(crate) struct Stricter {
    pub(crate) other: &'static str,
    /// By the evidence and by their words.
    pub(crate) when: fn(&Subject, &str) -> bool,
    pub(crate) reason: &'static str,
}

/// What others refuse and we accept.
pub(crate) const STRICTER: &[Stricter] = &[
    Stricter {
        other: "omne-attest",
        when: |subject, words| signed_by_provider(subject) && words.contains("missing required AMD extension 1.3.6.1.4.1.3704.1.4"),
        reason: "it knows no VLEK: a provider's certificate names no chip",
    },
    Stricter {
        other: "omne-attest",
        when: |subject, words| turin(subject) && words.contains("different chip"),
        reason: "it knows no Turin: the certificate names the chip in 8 bytes there",
    },
];

/// What we refuse and others accept: who, our refusal, why we do.
pub(crate) const LOOSER: &[(&str, &str, &str)] = &[
    ("sev", "CertExpired", NO_DATES),
    ("sev", "CertNotYet", NO_DATES),
    ("sev", "CertNamed", "it looks at no names"),
    ("sev", "CertConstraints", "it does not ask whether a certificate may sign others"),
    ("sev", "CertMalformed", TWO_ALGORITHMS),
    ("sev", "CertExtension", "it does not read the certificate's extensions"),
    ("sev", "ProductMismatch", "it does not compare the certificate's product with the report's"),
    ("sev", "ChipMismatch", "it does not compare the certificate's chip with the report's"),
    ("sev", "CertTcb", "it does not compare the certificate's firmware with the report's"),
    ("sev", "CertRevoked", NO_LISTS),
    ("sev", "CrlIssuer", NO_LISTS),
    ("sev", "CrlNotYet", NO_LISTS),
    ("sev", "CrlSignature", NO_LISTS),
    ("sev", "CrlMalformed", NO_LISTS),
    ("sev", "ReportVersion", "it reads versions above 5 as version 5"),
    ("sev", "SignatureAlgorithm", "it does not look at the report's signature algorithm"),
    ("sev", "SignaturePadding", PADDING),
    ("sev", "ReportSignature", "it hashes the report as it writes it, without what stood in the reserved bytes of TCB versions"),
    ("omne-attest", "CertExpired", NO_DATES),
    ("omne-attest", "CertNotYet", NO_DATES),
    ("omne-attest", "CertNamed", "it looks at no names"),
    ("omne-attest", "CertConstraints", "it does not ask whether a certificate may sign others"),
    ("omne-attest", "CertMalformed", TWO_ALGORITHMS),
    ("omne-attest", "ProductMismatch", "it does not compare the certificate's product with the report's"),
    ("omne-attest", "CertRevoked", NO_LISTS),
    ("omne-attest", "CrlIssuer", NO_LISTS),
    ("omne-attest", "CrlNotYet", NO_LISTS),
    ("omne-attest", "CrlSignature", NO_LISTS),
    ("omne-attest", "CrlMalformed", NO_LISTS),
    ("omne-attest", "ReportReserved", "it skips reserved bytes"),
    ("omne-attest", "SignaturePadding", PADDING),
    ("dcap-qvl", "QuoteVersion", "it judges SGX quotes too"),
    ("dcap-qvl", "QuoteLength", LENGTHS),
    ("dcap-qvl", "QuoteCertType", CERT_TYPE),
    ("dcap-qvl", "IntelRoot", OWN_ROOT),
    ("dcap-qvl", "IntelChain", UNREAD),
    ("dcap-qvl", "PemText", TEXT),
    ("dcap-qvl", "CollateralMissing", UNREAD),
    ("dcap-qvl", "CollateralMalformed", SHORT),
    ("dcap-qvl strict", "QuoteLength", LENGTHS),
    ("dcap-qvl strict", "QuoteCertType", CERT_TYPE),
    ("dcap-qvl strict", "IntelRoot", OWN_ROOT),
    ("dcap-qvl strict", "IntelChain", UNREAD),
    ("dcap-qvl strict", "PemText", TEXT),
    ("dcap-qvl strict", "CollateralMissing", UNREAD),
    ("dcap-qvl strict", "CollateralMalformed", SHORT),
    ("dcap-qvl strict", "TdAttributesForbidden", "it allows performance monitoring (PERFMON)"),
];

const NO_DATES: &str = "it looks at no dates";
const NO_LISTS: &str = "it knows no revocation lists";
const TWO_ALGORITHMS: &str = "it does not compare the two places where a certificate names its signature's algorithm";
const PADDING: &str = "it ignores the padding and the unsigned tail of the signature";
const LENGTHS: &str = "it ignores bytes after the quote and after its parts";
const CERT_TYPE: &str = "it does not look at the type of the outer certification data";
const UNREAD: &str = "it leaves out superfluous certificates, never reads the issuer chain of the platforms' list, and compares no PCE";
const TEXT: &str = "it skips text around certificates";
const SHORT: &str = "it takes a signature whose second number is cut where it begins with zeros";
const OWN_ROOT: &str = "it leaves out the root and any further certificate the quote itself carries";

fn endorsed(subject: &Subject) -> Option<&[u8]> {
    match &subject.offer.endorsements {
        Endorsements::Snp(endorsements) => Some(&endorsements.vek),
        Endorsements::Tdx(_) => None,
    }
}

fn holds(bytes: Option<&[u8]>, word: &[u8]) -> bool {
    bytes.is_some_and(|bytes| bytes.windows(word.len()).any(|window| window == word))
}

fn signed_by_provider(subject: &Subject) -> bool {
    holds(endorsed(subject), b"SEV-VLEK")
}

fn turin(subject: &Subject) -> bool {
    holds(endorsed(subject), b"Turin")
}
