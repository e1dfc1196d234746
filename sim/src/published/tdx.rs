//! An Intel case: quote, collateral in the JSON form of `QuoteCollateralV3`, the root the case trusts.
//!
//! Decides: how collateral is read. A field that is missing is empty and one that is no hex makes the collateral unusable: both are refusals of
//! the case's evidence, not of the case. Trusts: the case for its root. Out of scope: whether any of it is genuine. docs/conformance.md, "Intel".

use super::case::{Case, CaseError, Offer, Offered};
use super::place::{Place, below};
use ringwall_attest::Anchors;
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, TdxEndorsements, TdxEvidence};
use ringwall_wire::text::read_hex_vec;
use serde_json::Value;
use std::path::PathBuf;

/// What the case hands to a verifier.
pub(super) fn offer(case: &Case) -> Result<Offered, CaseError> {
    let quote = case.file("quote.bin")?;
    let collateral = case.folder().first(&["collateral.json"])?.unwrap_or_default();
    let mut anchors = Anchors::production();
    if let Some(root) = root(case)? {
        anchors.intel_root = root;
    }
    let now_s = case.now_s()?;
    let Ok(quote) = Blob::new(quote) else {
        return Ok(Offered::Unusable("the quote is longer than the protocol allows".to_owned()));
    };
    Ok(match endorsements(&collateral) {
        Err(what) => Offered::Unusable(what),
        Ok(endorsements) => Offered::Whole(Box::new(Offer {
            evidence: Evidence::Tdx(TdxEvidence { quote, event_log: Blob::default() }),
            endorsements: Endorsements::Tdx(endorsements),
            anchors,
            now_s,
        })),
    })
}

/// The root: the case's own when it says so or does not say, else the shared file it names; none leaves it to this program.
fn root(case: &Case) -> Result<Option<Vec<u8>>, CaseError> {
    let trust = case.text("trust").trim();
    let own = trust.to_ascii_lowercase().starts_with("own");
    if own || trust.is_empty() {
        let found = case.folder().first(&["root.der"])?;
        let missing =
            || CaseError::Missing { path: case.folder().path().to_owned(), name: "root.der, though it trusts its own".to_owned() };
        return if own { found.ok_or_else(missing).map(Some) } else { Ok(found) };
    }
    let inside = below(trust).unwrap_or_else(|| PathBuf::from("roots/intel_sgx_root.der"));
    let found = case.folder().around("tdx").into_iter().map(|folder| folder.join(&inside)).find(Place::is_file);
    found.map(|place| place.read()).transpose()
}

fn endorsements(json: &[u8]) -> Result<TdxEndorsements, String> {
    let json: Value = serde_json::from_slice(json).map_err(|error| format!("the collateral is not JSON: {error}"))?;
    Ok(TdxEndorsements {
        pck_crl_issuer_chain: field(&json, "pck_crl_issuer_chain", text)?,
        root_ca_crl: field(&json, "root_ca_crl", bytes)?,
        pck_crl: field(&json, "pck_crl", bytes)?,
        tcb_info_issuer_chain: field(&json, "tcb_info_issuer_chain", text)?,
        tcb_info: field(&json, "tcb_info", text)?,
        tcb_info_signature: field(&json, "tcb_info_signature", bytes)?,
        qe_identity_issuer_chain: field(&json, "qe_identity_issuer_chain", text)?,
        qe_identity: field(&json, "qe_identity", text)?,
        qe_identity_signature: field(&json, "qe_identity_signature", bytes)?,
    })
}

fn field<const MAX: usize>(json: &Value, key: &str, read: fn(&Value) -> Option<Vec<u8>>) -> Result<Blob<MAX>, String> {
    let bytes = match json.get(key) {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => read(value).ok_or_else(|| format!("{key} of the collateral cannot be read"))?,
    };
    Blob::new(bytes).map_err(|_| format!("{key} of the collateral is longer than the protocol allows"))
}

fn text(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(|text| text.as_bytes().to_vec())
}

/// Hex, or a list of bytes as serde writes them.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(hex) => read_hex_vec(&hex.trim().to_ascii_lowercase()),
        Value::Array(list) => list.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect(),
        _ => None,
    }
}
