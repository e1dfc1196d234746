//! AMD's chain: pinned root (ARK), intermediate (ASK or ASVK), report-signing key (VCEK or VLEK).
//!
//! Decides: whether the signing key is AMD's for this product; which chip, firmware and kind of key the certificate speaks for.
//! Trusts: the pinned root, whose self-signature therefore does not matter. Names, basic constraints, dates, signature parameters and the
//! revocation list are all looked at, because verifiers in the field accept expired, foreign and revoked certificates.
//! Out of scope: comparing with the report (`snp.rs`). Protocol section 2.2; evidence notes section 2.1.

use super::crl::{self, Revocation};
use super::product;
use crate::anchors::{Anchors, root_digest};
use crate::error::{CertName, VekKind, VerifyError};
use crate::step::{Stage, Trace, date};
use crate::x509::Cert;
use alloc::format;
use alloc::string::String;
use der::Decode as _;
use der::asn1::{Ia5StringRef, ObjectIdentifier};
use ringwall_wire::evidence::SnpEndorsements;
use ringwall_wire::policy::{ChipId, SnpProduct, SnpTcb};
use ringwall_wire::without::{Defence, left_out};

const PRODUCT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.2");
const SPL_BOOT_LOADER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.1");
const SPL_TEE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.2");
const SPL_SNP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.3");
const SPL_MICROCODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.8");
const SPL_FMC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.9");
const HARDWARE_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.4");
const PROVIDER_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.5");

/// What a verified chain says.
pub(crate) struct Chain {
    pub(crate) product: SnpProduct,
    pub(crate) kind: VekKind,
    /// The key that signs reports.
    pub(crate) key: p384::ecdsa::VerifyingKey,
    /// The chip, for a VCEK.
    pub(crate) chip: Option<ChipId>,
    /// The firmware the key was derived for.
    pub(crate) tcb: SnpTcb,
    pub(crate) revocation: Revocation,
}

/// Verifies the chain and writes down what it establishes; `by_cpu` is the product the report names, where it names one.
pub(crate) fn verify(
    endorsements: &SnpEndorsements,
    anchors: &Anchors,
    by_cpu: Option<SnpProduct>,
    now_s: u64,
    trace: &mut Trace,
) -> Result<Chain, VerifyError> {
    let vek = Cert::parse(CertName::Vek, &endorsements.vek)?;
    let ask = Cert::parse(CertName::Ask, &endorsements.ask)?;
    let product = product_of(&vek)?;
    if let Some(report) = by_cpu
        && report != product
    {
        return Err(VerifyError::ProductMismatch { report, certificate: product });
    }
    let root = anchors.ark(product).ok_or(VerifyError::AnchorMissing { product })?;
    let ark = Cert::parse(CertName::Ark, root)?;

    let kind = kind_of(&vek)?;
    named(CertName::Ark, &ark, format!("ARK-{}", product::name(product)))?;
    named(CertName::Ask, &ask, format!("{}{}", if kind == VekKind::Vcek { "SEV-" } else { "SEV-VLEK-" }, product::name(product)))?;
    named(CertName::Vek, &vek, format!("SEV-{kind}"))?;
    for cert in [&ark, &ask, &vek] {
        cert.in_force(now_s)?;
    }
    ark.constrained(true)?;
    ask.constrained(true)?;
    vek.constrained(false)?;
    if !left_out(Defence::PinnedRoots) {
        ask.issued_by(&ark)?;
    }
    let (above, middle, digest) = (ark.subject_name(), ask.subject_name(), root_digest(root));
    trace.finish(Stage::Root, format!("AMD's root {above} (SHA-256 {digest}), pinned by this program, signed AMD's intermediate {middle}"));
    vek.issued_by(&ask)?;
    let until = date(ark.until_s().min(ask.until_s()).min(vek.until_s()));
    trace.note(Stage::Chain, format!("AMD's intermediate {middle} signed the {kind} certificate; all three are in force until {until}"));
    let revocation = crl::look_up(&endorsements.crl, &ark, &ask, now_s)?;
    match revocation {
        Revocation::Current { .. } => trace.finish(Stage::Revocation, revocation.explain(now_s)),
        Revocation::Stale { .. } | Revocation::Absent => trace.note(Stage::Revocation, revocation.explain(now_s)),
    }

    let chip = match kind {
        VekKind::Vcek => Some(chip_of(&vek, product)?),
        VekKind::Vlek => None,
    };
    Ok(Chain { product, kind, key: vek.p384_key()?, chip, tcb: tcb_of(&vek, product)?, revocation })
}

fn named(which: CertName, cert: &Cert<'_>, expected: String) -> Result<(), VerifyError> {
    match cert.subject_name() {
        got if got == expected => Ok(()),
        got => Err(VerifyError::CertNamed { which, got, expected }),
    }
}

fn product_of(vek: &Cert<'_>) -> Result<SnpProduct, VerifyError> {
    let missing = VerifyError::CertExtension { what: "productName" };
    let name = vek.extension(PRODUCT_NAME).and_then(|bytes| Ia5StringRef::from_der(bytes).ok()).ok_or(missing)?;
    product::of_name(name.as_str())
}

/// A VCEK names its chip, a VLEK its provider; a certificate that names both or neither is no signing certificate of AMD's.
fn kind_of(vek: &Cert<'_>) -> Result<VekKind, VerifyError> {
    match (vek.extension(HARDWARE_ID), vek.extension(PROVIDER_ID)) {
        (Some(_), None) => Ok(VekKind::Vcek),
        (None, Some(_)) => Ok(VekKind::Vlek),
        _ => Err(VerifyError::CertExtension { what: "hwID or csp_id" }),
    }
}

fn chip_of(vek: &Cert<'_>, product: SnpProduct) -> Result<ChipId, VerifyError> {
    let raw = vek.extension(HARDWARE_ID).filter(|raw| raw.len() == product::hardware_id_bytes(product));
    let raw = raw.ok_or(VerifyError::CertExtension { what: "hwID" })?;
    let mut chip = [0; 64];
    chip.split_at_mut(raw.len()).0.copy_from_slice(raw);
    Ok(ChipId(chip))
}

fn tcb_of(vek: &Cert<'_>, product: SnpProduct) -> Result<SnpTcb, VerifyError> {
    let part = |oid, what| {
        let value = vek.extension(oid).and_then(|bytes| u8::from_der(bytes).ok());
        value.ok_or(VerifyError::CertExtension { what })
    };
    let fmc = match product {
        SnpProduct::Turin => part(SPL_FMC, "fmcSPL")?,
        SnpProduct::Milan | SnpProduct::Genoa => 0,
    };
    Ok(SnpTcb {
        fmc,
        boot_loader: part(SPL_BOOT_LOADER, "blSPL")?,
        tee: part(SPL_TEE, "teeSPL")?,
        snp: part(SPL_SNP, "snpSPL")?,
        microcode: part(SPL_MICROCODE, "ucodeSPL")?,
    })
}
