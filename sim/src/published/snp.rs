//! An AMD case: report, signing certificate, the intermediate above it, the root the case trusts, a revocation list when there is one.
//!
//! Decides: where each of them is looked for. An intermediate or a list is only offered, so taking a wrong one can but lead to a refusal; the
//! root is the case's own file when it says so, the shared folder's it names, else the one this program pins.
//! Trusts: the case for its root. Out of scope: whether any of it is genuine. docs/conformance.md, "AMD".

use super::case::{Case, CaseError, Offer, Offered};
use super::place::{Place, below};
use ringwall_attest::{Anchors, VerifyError};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements, SnpEvidence};
use ringwall_wire::policy::SnpProduct;
use std::path::PathBuf;

/// AMD's intermediates as its key distribution service gives them, for cases without a folder of roots: public, and trusted for nothing.
const INTERMEDIATES: [(SnpProduct, &[u8], &[u8]); 3] = [
    (SnpProduct::Milan, include_bytes!("../../published/milan_ask.der"), include_bytes!("../../published/milan_asvk.der")),
    (SnpProduct::Genoa, include_bytes!("../../published/genoa_ask.der"), include_bytes!("../../published/genoa_asvk.der")),
    (SnpProduct::Turin, include_bytes!("../../published/turin_ask.der"), include_bytes!("../../published/turin_asvk.der")),
];
/// KEY_INFO, bits 2 to 4: which key signed; 1 is a VLEK. Source: AMD SEV-SNP ABI, ATTESTATION_REPORT.
const KEY_INFO_AT: usize = 0x48;
/// CPUID family and model, from version 3 on.
const CPUID_AT: usize = 0x188;
/// Object identifier 1.3.6.1.4.1.3704.1.2 (productName), DER.
const PRODUCT_NAME_OID: [u8; 11] = [0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01, 0x02];

/// What the case hands to a verifier.
pub(super) fn offer(case: &Case) -> Result<Offered, CaseError> {
    let report = case.file("report.bin")?;
    // a case without one is refused by the verifier, not left out
    let vek = case.folder().first(&["vek.der", "vcek.der", "vlek.der"])?.unwrap_or_default();
    let chip = named_chip(case).or_else(|| chip_of_cpu(&report)).or_else(|| chip_of_cert(&vek)).unwrap_or(SnpProduct::Milan);
    let (ark, ask) = above(case, chip, provider_key(case, &report))?;
    let mut anchors = Anchors::production();
    if let Some(ark) = ark {
        anchors.amd = vec![(chip, ark)];
    }
    let vendors_own = Anchors::production().amd.iter().any(|root| anchors.amd.contains(root));
    let crl = crl(case, chip, vendors_own)?;
    let now_s = case.now_s()?;
    let blobs = || Some((Blob::new(report).ok()?, Blob::new(vek).ok()?, Blob::new(ask).ok()?, Blob::new(crl).ok()?));
    let Some((report, vek, ask, crl)) = blobs() else {
        return Ok(Offered::Unusable("report, certificate or revocation list is longer than the protocol allows".to_owned()));
    };
    let evidence = Evidence::Snp(SnpEvidence { report });
    let mut endorsements = SnpEndorsements { vek, ask, crl };
    // a list of a later day was not there to be offered
    let offered = Endorsements::Snp(endorsements.clone());
    if matches!(ringwall_attest::verify(&evidence, &offered, &anchors, now_s), Err(VerifyError::CrlNotYet { .. })) {
        endorsements.crl = Blob::default();
    }
    Ok(Offered::Whole(Box::new(Offer { evidence, endorsements: Endorsements::Snp(endorsements), anchors, now_s })))
}

/// Whether a provider's key signed: by the fact `signer`, else by what the report says.
fn provider_key(case: &Case, report: &[u8]) -> bool {
    match case.text("signer").trim().to_ascii_lowercase().as_str() {
        "vlek" => true,
        "vcek" => false,
        _ => report.get(KEY_INFO_AT).is_some_and(|key_info| key_info >> 2 & 0b111 == 1),
    }
}

/// The root the case trusts, unless it is left to this program, and the intermediate it offers.
fn above(case: &Case, chip: SnpProduct, provider_key: bool) -> Result<(Option<Vec<u8>>, Vec<u8>), CaseError> {
    let own = case.text("trust").trim().to_ascii_lowercase().starts_with("own");
    let wanted: &[&str] = if provider_key { &["asvk.der", "ask.der"] } else { &["ask.der"] };
    let (mut ark, mut ask) = (None, None);
    if own || case.text("trust").is_empty() {
        ark = case.folder().first(&["ark.der"])?;
        ask = case.folder().first(wanted)?;
    }
    if own && ark.is_none() && ask.is_none() {
        let name = "ark.der or ask.der, though it trusts its own".to_owned();
        return Err(CaseError::Missing { path: case.folder().path().to_owned(), name });
    }
    if let Some(roots) = roots(case, chip) {
        // a case that brings an intermediate alone still trusts the shared root
        if ark.is_none() {
            ark = roots.first(&["ark.der"])?;
        }
        if ask.is_none() {
            ask = roots.first(wanted.get(..1).unwrap_or_default())?;
        }
    }
    Ok((ark, ask.unwrap_or_else(|| intermediate(chip, provider_key))))
}

/// The folder of shared roots a case names, `roots/<chip>`, else that of its chip.
fn roots(case: &Case, chip: SnpProduct) -> Option<Place> {
    let named = below(case.text("trust")).filter(|path| path.starts_with("roots"));
    let candidates = named.into_iter().chain([PathBuf::from("roots").join(folder_of(chip))]);
    let around = case.folder().around("snp");
    candidates.flat_map(|inside| around.iter().map(move |folder| folder.join(&inside))).find(Place::is_dir)
}

/// The chip by the roots a case trusts, else by its fact `chip`.
fn named_chip(case: &Case) -> Option<SnpProduct> {
    let by_roots = case.text("trust").trim().strip_prefix("roots/").and_then(chip_of_name);
    by_roots.or_else(|| chip_of_name(case.text("chip")))
}

fn chip_of_name(name: &str) -> Option<SnpProduct> {
    match name.trim().trim_end_matches('/').to_ascii_lowercase().as_str() {
        "milan" => Some(SnpProduct::Milan),
        // AMD certifies these under the Genoa root
        "genoa" | "bergamo" | "siena" => Some(SnpProduct::Genoa),
        "turin" => Some(SnpProduct::Turin),
        _ => None,
    }
}

fn folder_of(chip: SnpProduct) -> &'static str {
    match chip {
        SnpProduct::Milan => "milan",
        SnpProduct::Genoa => "genoa",
        SnpProduct::Turin => "turin",
    }
}

fn chip_of_cpu(report: &[u8]) -> Option<SnpProduct> {
    let version = report.first().filter(|version| **version >= 3)?;
    match (version, *report.get(CPUID_AT)?, *report.get(CPUID_AT + 1)?) {
        (_, 0x19, 0x00..=0x0f) => Some(SnpProduct::Milan),
        (_, 0x19, 0x10..=0x1f | 0xa0..=0xaf) => Some(SnpProduct::Genoa),
        (_, 0x1a, 0x00..=0x1f) => Some(SnpProduct::Turin),
        _ => None,
    }
}

/// The product a certificate's extension names: identifier, OCTET STRING, IA5String.
fn chip_of_cert(vek: &[u8]) -> Option<SnpProduct> {
    let at = vek.windows(PRODUCT_NAME_OID.len()).position(|window| window == PRODUCT_NAME_OID)?;
    let name = vek.get(at + PRODUCT_NAME_OID.len() + 4..)?;
    [(b"Milan", SnpProduct::Milan), (b"Genoa", SnpProduct::Genoa), (b"Turin", SnpProduct::Turin)]
        .into_iter()
        .find_map(|(word, product)| name.starts_with(word).then_some(product))
}

fn intermediate(chip: SnpProduct, provider_key: bool) -> Vec<u8> {
    let (_, ask, asvk) = INTERMEDIATES.into_iter().find(|(product, _, _)| *product == chip).expect("one row for each product");
    if provider_key { asvk.to_vec() } else { ask.to_vec() }
}

/// The revocation list: the case's own `crl.der`, else the file its fact `crl` names, else the shared list of its chip, which only AMD's own
/// root can have signed.
fn crl(case: &Case, chip: SnpProduct, vendors_own: bool) -> Result<Vec<u8>, CaseError> {
    let of_chip = format!("{}.crl.der", folder_of(chip));
    if let Some(own) = case.folder().first(&["crl.der", &of_chip])? {
        return Ok(own);
    }
    let around = |inside: PathBuf| case.folder().around("snp").into_iter().map(move |folder| folder.join(&inside));
    if let Some(named) = below(case.text("crl")) {
        let missing = || CaseError::Missing { path: case.folder().path().to_owned(), name: named.display().to_string() };
        return around(named.clone()).find(Place::is_file).ok_or_else(missing)?.read();
    }
    let shared = around(PathBuf::from("crl").join(of_chip)).find(|place| place.is_file() && vendors_own);
    shared.map_or_else(|| Ok(Vec::new()), |place| place.read())
}
