//! Intel TDX: from raw quote and collateral to claims.
//!
//! Decides: whether a quote is genuine. Signatures, chains, revocation lists and TCB levels are `dcap-qvl`'s, with its backend and root named
//! by us; around it this file closes what that crate leaves open: exact lengths on every level, versions 4 and 5 of TDs only, and a status that
//! reaches the policy instead of being hidden or judged here.
//! Trusts: the given root and time, `dcap-qvl` =0.7.1. Out of scope: whether the claims are acceptable (`appraise`), SGX quotes.
//! Protocol section 2.2, "TDX"; evidence notes section 2.2.

mod armor;
mod crypto;
pub(crate) mod frame;
mod padding;
pub(crate) mod refusal;

pub use padding::{ExactQuote, PaddingError, exact_quote};

use crate::anchors::{Anchors, root_digest};
use crate::claims::TdxClaims;
use crate::error::VerifyError;
use crate::event_log::BootLog;
use crate::step::{Stage, Trace, date};
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

/// ECDSA P-256 as two numbers of 32 bytes: a shorter second number would be the same number spelled otherwise.
const RAW_SIGNATURE_BYTES: usize = 64;

/// Verifies a quote; returns what it says and writes down why it is believed.
pub(crate) fn verify(
    evidence: &TdxEvidence,
    endorsements: &TdxEndorsements,
    anchors: &Anchors,
    now_s: u64,
    trace: &mut Trace,
) -> Result<TdxClaims, VerifyError> {
    let frame = Frame::parse(&evidence.quote)?;
    trace.note(Stage::Report, format!("the quote is {} bytes of Intel's layout, each accounted for", evidence.quote.len()));
    let intermediate = ends_in_root(&evidence.quote, &anchors.intel_root)?;
    complete(endorsements)?;
    issuer_chains(endorsements, &intermediate, &anchors.intel_root)?;
    let root = root_digest(&anchors.intel_root);
    trace.finish(Stage::Root, format!("the quote's chain ends in Intel's root (SHA-256 {root}), pinned by this program, byte for byte"));
    // Debug and service TDs are refused by `appraise`, with the facts at hand; what no policy may accept is refused here.
    let verifier = QuoteVerifier::<Remembering>::new_with_config(anchors.intel_root.clone()).allow_debug(true).allow_service_td(true);
    let verified = verifier
        .verify_with_policy(&evidence.quote, collateral(endorsements)?, now_s, &QuotePolicy::claims_only(now_s))
        .map_err(|error| {
            let text = format!("{error:#}");
            if refusal::comes_after_signatures(&text) {
                signatures_verified(trace);
            }
            refusal::classify(&text, frame.td_attributes, now_s)
        })?;
    signatures_verified(trace);
    same_pce(&endorsements.tcb_info, &verified)?;
    let claims = read_claims(&frame, verified, root, &evidence.event_log)?;
    let until = date(claims.collateral_expires_s);
    trace.note(Stage::Chain, format!("the first of these certificates, lists and statements runs out at {until}"));
    let (root_list, pck_list) = (claims.root_crl_number, claims.pck_crl_number);
    trace.note(Stage::Revocation, format!("the lists are no. {root_list} of the root and no. {pck_list} of the platforms"));
    let (status, evaluation, advisories) = (claims.status, claims.tcb_evaluation, claims.advisories.len());
    trace.note(
        Stage::Tcb,
        format!("Intel says of this platform, its TDX module and its quoting enclave: {status:?} (evaluation {evaluation}, {advisories} advisories)"),
    );
    if let BootLog::Replayed(log) = &claims.boot_log {
        let events = log.events().len();
        trace.note(Stage::Report, format!("the node's event log replays to the registers the hardware signed ({events} boot events)"));
    }
    Ok(claims)
}

/// What `dcap-qvl` has verified once it speaks of firmware levels or TD attributes: it looks at signatures, chains and lists before.
fn signatures_verified(trace: &mut Trace) {
    trace.finish(Stage::Chain, "the root signed the chains of the platform's key and of Intel's statements about platforms");
    trace.finish(Stage::Revocation, "no certificate is on Intel's revocation lists, which are in force");
    trace.finish(
        Stage::Report,
        "the platform's key signed the quoting enclave's report, which names the key that signed this quote (ECDSA P-256)",
    );
}

/// The quote's own chain is leaf, intermediate and the pinned root itself: `dcap-qvl` leaves out what it does not need, and what nobody looks at
/// could say anything. Returns the intermediate.
fn ends_in_root(quote: &[u8], root: &[u8]) -> Result<Vec<u8>, VerifyError> {
    let quote = Quote::parse(quote).map_err(|error| VerifyError::IntelChain { reason: format!("{error:#}") })?;
    armor::certificates_only("the quote's chain", quote.raw_cert_chain().unwrap_or_default())?;
    let chain = dcap_qvl::intel::extract_cert_chain(&quote);
    match chain.map_err(|error| VerifyError::IntelChain { reason: format!("{error:#}") })?.as_slice() {
        [_leaf, intermediate, last] if last == root => Ok(intermediate.clone()),
        [_leaf, _intermediate, last] => Err(VerifyError::IntelRoot { presented: root_digest(last), pinned: root_digest(root) }),
        chain => Err(VerifyError::IntelChain { reason: format!("the quote carries {} certificates, expected 3", chain.len()) }),
    }
}

/// Each issuer chain of the collateral is the issuer and the pinned root itself; the issuer of the platforms' revocation list is the one that
/// issued this platform's certificate. `dcap-qvl` never reads the latter chain and leaves out what it does not need of the others.
fn issuer_chains(endorsements: &TdxEndorsements, intermediate: &[u8], root: &[u8]) -> Result<(), VerifyError> {
    let chains = [
        ("the revocation list's issuer chain", &*endorsements.pck_crl_issuer_chain, Some(intermediate)),
        ("the TCB info's issuer chain", &*endorsements.tcb_info_issuer_chain, None),
        ("the QE identity's issuer chain", &*endorsements.qe_identity_issuer_chain, None),
    ];
    for (what, text, wanted) in chains {
        armor::certificates_only(what, text)?;
        let broken = |why: &str| VerifyError::IntelChain { reason: format!("{what}: {why}") };
        let certificates = pem::parse_many(text).map_err(|error| broken(&format!("{error}")))?;
        match certificates.as_slice() {
            [_, last] if last.contents() != root => return Err(broken("it does not end in the pinned root")),
            [issuer, _] if wanted.is_some_and(|wanted| issuer.contents() != wanted) => {
                return Err(broken("it is of another issuer than this platform's"));
            }
            [_, _] => {}
            several => return Err(broken(&format!("{} certificates, expected 2", several.len()))),
        }
    }
    Ok(())
}

/// The statements are about platforms of this provisioning enclave: Intel names a level by family *and* PCE, `dcap-qvl` compares the family only.
fn same_pce(tcb_info: &[u8], claims: &QuoteClaims) -> Result<(), VerifyError> {
    let told = serde_json::from_slice::<dcap_qvl::TcbInfo>(tcb_info);
    let told = told.map_err(|error| VerifyError::CollateralMalformed { reason: format!("{error}") })?;
    let platform = ringwall_wire::text::hex(&claims.platform.pck.pce_id);
    match told.pce_id.eq_ignore_ascii_case(&platform) {
        true => Ok(()),
        false => {
            Err(VerifyError::IntelChain { reason: format!("the TCB info is for PCE {}, the platform has PCE {platform}", told.pce_id) })
        }
    }
}

/// The collateral in the form `dcap-qvl` takes; the chain of the platform's key is the quote's own.
fn collateral(endorsements: &TdxEndorsements) -> Result<QuoteCollateralV3, VerifyError> {
    let text = |bytes: &[u8], what: &str| {
        let text = core::str::from_utf8(bytes).map(ToOwned::to_owned);
        text.map_err(|_| VerifyError::CollateralMalformed { reason: format!("{what} is not UTF-8") })
    };
    for (what, signature) in [
        ("the TCB info's signature", &*endorsements.tcb_info_signature),
        ("the QE identity's signature", &*endorsements.qe_identity_signature),
    ] {
        if signature.len() != RAW_SIGNATURE_BYTES {
            return Err(VerifyError::CollateralMalformed { reason: format!("{what} has {} bytes, expected 64", signature.len()) });
        }
    }
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

/// Fails when a part of the collateral is not there: nobody can tell then, and nothing is wrong with what is there.
fn complete(endorsements: &TdxEndorsements) -> Result<(), VerifyError> {
    match parts(endorsements).into_iter().find(|(bytes, _)| bytes.is_empty()) {
        None => Ok(()),
        Some((_, what)) => Err(VerifyError::CollateralMissing { what }),
    }
}

/// Every part of the collateral with its name.
fn parts(endorsements: &TdxEndorsements) -> [(&[u8], &'static str); 9] {
    [
        (&endorsements.pck_crl_issuer_chain, "the issuer chain of Intel's PCK list"),
        (&endorsements.root_ca_crl, "Intel's root revocation list"),
        (&endorsements.pck_crl, "Intel's PCK revocation list"),
        (&endorsements.tcb_info_issuer_chain, "the issuer chain of Intel's TCB info"),
        (&endorsements.tcb_info, "Intel's TCB info"),
        (&endorsements.tcb_info_signature, "the signature of Intel's TCB info"),
        (&endorsements.qe_identity_issuer_chain, "the issuer chain of Intel's QE identity"),
        (&endorsements.qe_identity, "Intel's QE identity"),
        (&endorsements.qe_identity_signature, "the signature of Intel's QE identity"),
    ]
}

fn read_claims(frame: &Frame, verified: QuoteClaims, root: Digest, event_log: &[u8]) -> Result<TdxClaims, VerifyError> {
    let body = verified.report.as_td10().ok_or(VerifyError::QuoteTeeType { got: verified.tee_type })?;
    let mut service_tds = Vec::new();
    if let Some(extended) = verified.report.as_td15() {
        service_tds.push(MeasurementRegister(extended.mr_service_td));
    }
    if let Report::TD15Ex(extended) = &verified.report {
        service_tds.push(MeasurementRegister(extended.init_service_td_hash));
        service_tds.push(MeasurementRegister(extended.cur_service_td_hash));
    }
    let (vm_index, device_information) = match &verified.report {
        Report::TD15Ex(extended) => {
            // a service TD that left attributes but no hash is one all the same
            let attributes = [extended.init_service_td_attributes, extended.cur_service_td_attributes].concat();
            if attributes.iter().any(|byte| *byte != 0) {
                let mut named = [0; 48];
                named.split_at_mut(attributes.len()).0.copy_from_slice(&attributes);
                service_tds.push(MeasurementRegister(named));
            }
            (extended.vmid, MeasurementRegister(extended.dev_info))
        }
        _ => (0, MeasurementRegister([0; 48])),
    };
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
        boot_log: BootLog::read(event_log, [body.rt_mr0, body.rt_mr1, body.rt_mr2, body.rt_mr3].map(MeasurementRegister)),
        mr_config_id: body.mr_config_id,
        mr_owner: MeasurementRegister(body.mr_owner),
        mr_owner_config: MeasurementRegister(body.mr_owner_config),
        report_data: body.report_data,
        service_tds,
        vm_index,
        device_information,
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
