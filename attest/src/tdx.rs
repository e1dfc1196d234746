//! Intel TDX: from raw quote and collateral to claims.
//!
//! Decides: whether a quote is genuine. Signatures, chains, revocation lists and TCB levels are `dcap-qvl`'s, with its backend and root named
//! by us; around it this file closes what that crate leaves open: exact lengths on every level, versions 4 and 5 of TDs only, and a status that
//! reaches the policy instead of being hidden or judged here.
//! Trusts: the given root and time, `dcap-qvl` =0.7.1. Out of scope: whether the claims are acceptable (`appraise`), SGX quotes.
//! Protocol section 2.2, "TDX"; evidence notes section 2.2.

mod crypto;
mod frame;
mod refusal;

use crate::anchors::{Anchors, root_digest};
use crate::claims::TdxClaims;
use crate::error::VerifyError;
use crate::step::Step;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use crypto::Remembering;
use dcap_qvl::quote::{Quote, Report};
use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::{PckCertFlag, QuoteClaims, QuoteCollateralV3, QuotePolicy, TcbStatus};
use frame::Frame;
use ringwall_wire::evidence::{TdxEndorsements, TdxEvidence};
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::{Fmspc, MeasurementRegister, TdxTcbStatus, TdxTuple};
use sha2::{Digest as _, Sha256};

/// Verifies a quote; returns what it says and why it is believed.
pub(crate) fn verify(
    evidence: &TdxEvidence,
    endorsements: &TdxEndorsements,
    anchors: &Anchors,
    now_s: u64,
) -> Result<(TdxClaims, Vec<Step>), VerifyError> {
    let frame = Frame::parse(&evidence.quote)?;
    ends_in_root(&evidence.quote, &anchors.intel_root)?;
    // Debug and service TDs are refused by `appraise`, with the facts at hand; what no policy may accept is refused here.
    let verifier = QuoteVerifier::<Remembering>::new_with_config(anchors.intel_root.clone()).allow_debug(true).allow_service_td(true);
    let claims = verifier
        .verify_with_policy(&evidence.quote, collateral(endorsements)?, now_s, &QuotePolicy::claims_only(now_s))
        .map_err(|error| refusal::classify(&format!("{error:#}"), frame.td_attributes, now_s))?;
    let root = root_digest(&anchors.intel_root);
    let claims = read_claims(&frame, claims, root)?;
    let mut steps = Vec::new();
    steps.push(Step::new(
        "Intel's root certificate pinned by this program signed the chains of the platform's key and of Intel's statements",
    ));
    steps.push(Step::new("no certificate is on Intel's revocation lists; lists and statements are in force"));
    steps.push(Step::new(
        "the platform's key signed the quoting enclave's report, which names the key that signed this quote (ECDSA P-256)",
    ));
    steps.push(Step::new(format!(
        "Intel says of this platform: {:?} (evaluation {}, {} advisories)",
        claims.status,
        claims.tcb_evaluation,
        claims.advisories.len()
    )));
    Ok((claims, steps))
}

/// The quote's own chain is leaf, intermediate and the pinned root itself: `dcap-qvl` leaves out what it does not need, and what nobody looks at
/// could say anything.
fn ends_in_root(quote: &[u8], root: &[u8]) -> Result<(), VerifyError> {
    let chain = Quote::parse(quote).and_then(|quote| dcap_qvl::intel::extract_cert_chain(&quote));
    match chain.map_err(|error| VerifyError::IntelChain { reason: format!("{error:#}") })?.as_slice() {
        [_leaf, _intermediate, last] if last == root => Ok(()),
        [_leaf, _intermediate, last] => Err(VerifyError::IntelRoot { presented: root_digest(last), pinned: root_digest(root) }),
        chain => Err(VerifyError::IntelChain { reason: format!("the quote carries {} certificates, expected 3", chain.len()) }),
    }
}

/// The collateral in the form `dcap-qvl` takes; the chain of the platform's key is the quote's own.
fn collateral(endorsements: &TdxEndorsements) -> Result<QuoteCollateralV3, VerifyError> {
    let text = |bytes: &[u8], what: &str| {
        let text = core::str::from_utf8(bytes).map(ToOwned::to_owned);
        text.map_err(|_| VerifyError::CollateralMalformed { reason: format!("{what} is not UTF-8") })
    };
    Ok(QuoteCollateralV3 {
        pck_crl_issuer_chain: text(&endorsements.pck_crl_issuer_chain, "the PCK revocation list's issuer chain")?,
        root_ca_crl: endorsements.root_ca_crl.to_vec(),
        pck_crl: endorsements.pck_crl.to_vec(),
        tcb_info_issuer_chain: text(&endorsements.tcb_info_issuer_chain, "the TCB info's issuer chain")?,
        tcb_info: text(&endorsements.tcb_info, "the TCB info")?,
        tcb_info_signature: endorsements.tcb_info_signature.to_vec(),
        qe_identity_issuer_chain: text(&endorsements.qe_identity_issuer_chain, "the QE identity's issuer chain")?,
        qe_identity: text(&endorsements.qe_identity, "the QE identity")?,
        qe_identity_signature: endorsements.qe_identity_signature.to_vec(),
        pck_certificate_chain: None,
    })
}

fn read_claims(frame: &Frame, verified: QuoteClaims, root: Digest) -> Result<TdxClaims, VerifyError> {
    let body = verified.report.as_td10().ok_or(VerifyError::QuoteTeeType { got: verified.tee_type })?;
    let mut service_tds = Vec::new();
    if let Some(extended) = verified.report.as_td15() {
        service_tds.push(MeasurementRegister(extended.mr_service_td));
    }
    if let Report::TD15Ex(extended) = &verified.report {
        service_tds.push(MeasurementRegister(extended.init_service_td_hash));
        service_tds.push(MeasurementRegister(extended.cur_service_td_hash));
    }
    let pck = &verified.platform.pck;
    Ok(TdxClaims {
        root,
        quote_version: verified.header.version,
        body_type: frame.body_type,
        qe_svn: verified.header.qe_svn,
        pce_svn: verified.header.pce_svn,
        user_data: verified.header.user_data,
        tee_tcb_svn: body.tee_tcb_svn,
        mr_seam: MeasurementRegister(body.mr_seam),
        mr_signer_seam: MeasurementRegister(body.mr_signer_seam),
        seam_attributes: u64::from_le_bytes(body.seam_attributes),
        td_attributes: u64::from_le_bytes(body.td_attributes),
        xfam: u64::from_le_bytes(body.xfam),
        tuple: TdxTuple {
            mrtd: MeasurementRegister(body.mr_td),
            rtmr0: MeasurementRegister(body.rt_mr0),
            rtmr1: MeasurementRegister(body.rt_mr1),
            rtmr2: MeasurementRegister(body.rt_mr2),
        },
        rtmr3: MeasurementRegister(body.rt_mr3),
        mr_config_id: body.mr_config_id,
        mr_owner: MeasurementRegister(body.mr_owner),
        mr_owner_config: MeasurementRegister(body.mr_owner_config),
        report_data: body.report_data,
        service_tds,
        status: status(verified.tcb.status)?,
        advisories: advisories(&verified),
        tcb_evaluation: verified.tcb.eval_data_number,
        fmspc: Fmspc(pck.fmspc),
        platform: Digest(Sha256::digest(&pck.ppid).into()),
        dynamic_platform: flag(pck.dynamic_platform),
        cached_keys: flag(pck.cached_keys),
        smt: flag(pck.smt_enabled),
        pck_crl_number: verified.platform.pck_crl_num,
        root_crl_number: verified.platform.root_ca_crl_num,
        collateral_expires_s: verified.earliest_expiration_date,
    })
}

fn status(status: TcbStatus) -> Result<TdxTcbStatus, VerifyError> {
    match status {
        TcbStatus::UpToDate => Ok(TdxTcbStatus::UpToDate),
        TcbStatus::SWHardeningNeeded => Ok(TdxTcbStatus::SwHardeningNeeded),
        TcbStatus::ConfigurationNeeded => Ok(TdxTcbStatus::ConfigurationNeeded),
        TcbStatus::ConfigurationAndSWHardeningNeeded => Ok(TdxTcbStatus::ConfigurationAndSwHardeningNeeded),
        TcbStatus::OutOfDate => Ok(TdxTcbStatus::OutOfDate),
        TcbStatus::OutOfDateConfigurationNeeded => Ok(TdxTcbStatus::OutOfDateConfigurationNeeded),
        TcbStatus::TDRelaunchAdvised => Ok(TdxTcbStatus::RelaunchAdvised),
        TcbStatus::TDRelaunchAdvisedConfigurationNeeded => Ok(TdxTcbStatus::RelaunchAdvisedConfigurationNeeded),
        TcbStatus::Revoked => Err(VerifyError::TdxTcbRevoked),
    }
}

/// Every advisory that applies to the platform as launched, as it runs now, or to its quoting enclave.
fn advisories(verified: &QuoteClaims) -> Vec<String> {
    let current = verified.platform.current_tcb_level.iter().flat_map(|level| &level.advisory_ids);
    let all = verified.tcb.advisory_ids.iter().chain(&verified.platform.tcb_level.advisory_ids).chain(current);
    let mut advisories: Vec<String> = all.chain(&verified.qe.tcb_level.advisory_ids).cloned().collect();
    advisories.sort();
    advisories.dedup();
    advisories
}

fn flag(flag: PckCertFlag) -> Option<bool> {
    match flag {
        PckCertFlag::True => Some(true),
        PckCertFlag::False => Some(false),
        PckCertFlag::Undefined => None,
    }
}
