//! A vendor's raw evidence on the command line: Intel's collateral as JSON, and what verified evidence says of itself.
//!
//! Decides: the names of both, which are those of the vendors' services and fields; collateral is parsed strictly (unknown fields are refused,
//! except the PCK chain, which the quote carries itself and which is not used).
//! Trusts: nothing. Out of scope: the judging (`attest`). docs/explain.md.

use ringwall_attest::{BootLog, Claims, SnpClaims, TdxClaims};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Evidence, TdxEndorsements, TdxEvidence};
use ringwall_wire::limits::TDX_QUOTE_BYTES;
use ringwall_wire::text::{hex, read_hex_vec};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CollateralJson {
    pck_crl_issuer_chain: String,
    root_ca_crl: String,
    pck_crl: String,
    tcb_info_issuer_chain: String,
    tcb_info: String,
    tcb_info_signature: String,
    qe_identity_issuer_chain: String,
    qe_identity: String,
    qe_identity_signature: String,
    #[serde(default, rename = "pck_certificate_chain")]
    _pck_certificate_chain: Option<String>,
}

/// Reads collateral.
pub(crate) fn collateral(json: &[u8]) -> Result<TdxEndorsements, String> {
    let json: CollateralJson =
        serde_json::from_slice(json).map_err(|fault| format!("it is not collateral as docs/explain.md says: {fault}"))?;
    Ok(TdxEndorsements {
        pck_crl_issuer_chain: text("pck_crl_issuer_chain", json.pck_crl_issuer_chain)?,
        root_ca_crl: bytes("root_ca_crl", &json.root_ca_crl)?,
        pck_crl: bytes("pck_crl", &json.pck_crl)?,
        tcb_info_issuer_chain: text("tcb_info_issuer_chain", json.tcb_info_issuer_chain)?,
        tcb_info: text("tcb_info", json.tcb_info)?,
        tcb_info_signature: bytes("tcb_info_signature", &json.tcb_info_signature)?,
        qe_identity_issuer_chain: text("qe_identity_issuer_chain", json.qe_identity_issuer_chain)?,
        qe_identity: text("qe_identity", json.qe_identity)?,
        qe_identity_signature: bytes("qe_identity_signature", &json.qe_identity_signature)?,
    })
}

fn text<const MAX: usize>(name: &str, text: String) -> Result<Blob<MAX>, String> {
    Blob::new(text.into_bytes()).map_err(|fault| format!("{name}: {fault}"))
}

fn bytes<const MAX: usize>(name: &str, text: &str) -> Result<Blob<MAX>, String> {
    let bytes = read_hex_vec(text).ok_or_else(|| format!("{name} is not lower-case hex"))?;
    Blob::new(bytes).map_err(|fault| format!("{name}: {fault}"))
}

/// A quote as evidence.
pub(crate) fn tdx(quote: Blob<TDX_QUOTE_BYTES>) -> Evidence {
    Evidence::Tdx(TdxEvidence { quote, event_log: Blob::default() })
}

/// Every claim with its name, for people; byte strings in hex.
pub(crate) fn claims(claims: &Claims) -> Vec<(&'static str, String)> {
    match claims {
        Claims::Snp(claims) => snp_claims(claims),
        Claims::Tdx(claims) => tdx_claims(claims),
    }
}

macro_rules! named {
    ($claims:ident: $kind:ident { $($field:ident = $shown:expr),* $(,)? }) => {{
        // Every field is named, so that a new one cannot be left out.
        let $kind { $($field),* } = $claims;
        vec![$((stringify!($field), $shown)),*]
    }};
}

fn snp_claims(claims: &SnpClaims) -> Vec<(&'static str, String)> {
    named!(claims: SnpClaims {
        product = format!("{product:?}"),
        root = root.to_string(),
        revocation = format!("{revocation:?}"),
        report_version = report_version.to_string(),
        guest_svn = guest_svn.to_string(),
        guest_policy = format!("{guest_policy:#x}"),
        family_id = hex(family_id),
        image_id = hex(image_id),
        vmpl = vmpl.to_string(),
        platform_bits = format!("{platform_bits:#x}"),
        signed_by = signed_by.to_string(),
        author_key_used = author_key_used.to_string(),
        chip_key_masked = chip_key_masked.to_string(),
        report_data = hex(report_data),
        measurement = measurement.to_string(),
        host_data = host_data.to_string(),
        id_key_digest = id_key_digest.to_string(),
        author_key_digest = author_key_digest.to_string(),
        report_id = hex(report_id),
        report_id_ma = hex(report_id_ma),
        chip_id = chip_id.to_string(),
        current_tcb = format!("{current_tcb:?}"),
        reported_tcb = format!("{reported_tcb:?}"),
        committed_tcb = format!("{committed_tcb:?}"),
        launch_tcb = format!("{launch_tcb:?}"),
        current_version = current_version.to_string(),
        committed_version = committed_version.to_string(),
        launch_mitigations = optional(*launch_mitigations),
        current_mitigations = optional(*current_mitigations),
    })
}

fn tdx_claims(claims: &TdxClaims) -> Vec<(&'static str, String)> {
    named!(claims: TdxClaims {
        root = root.to_string(),
        quote_version = quote_version.to_string(),
        body_type = body_type.to_string(),
        qe_svn = qe_svn.to_string(),
        pce_svn = pce_svn.to_string(),
        user_data = hex(user_data),
        tee_tcb_svn = hex(tee_tcb_svn),
        mr_seam = mr_seam.to_string(),
        mr_signer_seam = mr_signer_seam.to_string(),
        seam_attributes = format!("{seam_attributes:#x}"),
        td_attributes = format!("{td_attributes:#x}"),
        xfam = format!("{xfam:#x}"),
        tuple = format!("MRTD {}, RTMR0 {}, RTMR1 {}, RTMR2 {}", tuple.mrtd, tuple.rtmr0, tuple.rtmr1, tuple.rtmr2),
        rtmr3 = rtmr3.to_string(),
        boot_log = log_words(boot_log),
        mr_config_id = hex(mr_config_id),
        mr_owner = mr_owner.to_string(),
        mr_owner_config = mr_owner_config.to_string(),
        report_data = hex(report_data),
        service_tds = service_tds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        vm_index = vm_index.to_string(),
        device_information = device_information.to_string(),
        status = format!("{status:?}"),
        advisories = advisories.join(", "),
        tcb_evaluation = tcb_evaluation.to_string(),
        fmspc = fmspc.to_string(),
        platform = platform.to_string(),
        dynamic_platform = flag(*dynamic_platform),
        cached_keys = flag(*cached_keys),
        smt = flag(*smt),
        pck_crl_number = pck_crl_number.to_string(),
        root_crl_number = root_crl_number.to_string(),
        collateral_expires_s = collateral_expires_s.to_string(),
    })
}

/// The event log, which is as long as a boot.
fn log_words(log: &BootLog) -> String {
    match log {
        BootLog::Absent => "none".into(),
        BootLog::Malformed(fault) => format!("not readable: {fault}"),
        BootLog::Mismatch { register, replayed, .. } => format!("of another boot: it replays to {register} {replayed}"),
        BootLog::Replayed(log) => format!("{} events, which replay to the registers", log.events().len()),
    }
}

fn optional(bits: Option<u64>) -> String {
    bits.map_or_else(|| "not told".into(), |bits| format!("{bits:#x}"))
}

fn flag(flag: Option<bool>) -> String {
    flag.map_or_else(|| "not told".into(), |flag| flag.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn collateral_is_read_strictly() {
        let parts = [
            "pck_crl_issuer_chain",
            "root_ca_crl",
            "pck_crl",
            "tcb_info_issuer_chain",
            "tcb_info",
            "tcb_info_signature",
            "qe_identity_issuer_chain",
            "qe_identity",
            "qe_identity_signature",
        ];
        let json = |more: &str| {
            let fields: Vec<String> = parts.iter().map(|part| format!("\"{part}\": \"00ff\"")).collect();
            format!("{{{}{more}}}", fields.join(", "))
        };
        let read = collateral(json("").as_bytes()).unwrap();
        assert_eq!((&*read.pck_crl, &*read.tcb_info), (&[0x00, 0xff][..], &b"00ff"[..]));
        assert!(collateral(json(r#", "pck_certificate_chain": "x""#).as_bytes()).is_ok());
        assert!(collateral(json(r#", "other": "x""#).as_bytes()).is_err());
        assert!(collateral(json("").replace("\"pck_crl\": \"00ff\"", "\"pck_crl\": \"0xff\"").as_bytes()).unwrap_err().contains("pck_crl"));
        let long = format!("\"tcb_info_signature\": \"{}\"", "00".repeat(65));
        assert!(collateral(json("").replace("\"tcb_info_signature\": \"00ff\"", &long).as_bytes()).is_err());
        assert!(collateral(b"{}").is_err());
    }
}
