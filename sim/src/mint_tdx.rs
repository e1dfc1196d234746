//! What a simulated Intel machine answers, honest or not.
//!
//! Decides: how each lie bends quote, event log or collateral; everything else is what genuine firmware and Intel's service would say.
//! Trusts: nothing. Out of scope: layout (`tdx`), boot events (`boot`), certificates and JSON (`intel`). Protocol section 2.2, "TDX".

use crate::boot::{self, Measured};
use crate::intel::{self, Judgement, Platform, Service};
use crate::lie::Lie;
use crate::mint_snp::{booted_build, booted_config};
use crate::minted::Minted;
use crate::pki::Window;
use crate::profile::TeeProfile;
use crate::seed;
use crate::tdx::{self, QuoteShape, Quoting, TdReport, attributes};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{TdxEndorsements, TdxEvidence};
use ringwall_wire::policy::Rtmr;

/// A platform family no policy of ours names.
const OTHER_FMSPC: [u8; 6] = [0, 0x80, 0x6f, 0x05, 0, 0];

/// A quote over `report_data`.
pub(crate) fn evidence(profile: &TeeProfile, report_data: &[u8; 64]) -> TdxEvidence {
    let tells = |lie| profile.tells(lie);
    let platform = platform(profile);
    let attestation = attestation_key(profile);
    let stranger = seed::p256(&[b"attestation key", b"of a stranger"]);
    // The chain is the platform's; the quote is made for each question.
    static CHAINS: Minted<(Platform, bool), String> = Minted::new();
    let chain = CHAINS.once((platform.clone(), tells(Lie::ForeignRoot)), || service(profile).pck_chain(&platform));
    let by = Quoting {
        attestation: &attestation,
        vouched: if tells(Lie::TdxAttestationKey) { &stranger } else { &attestation },
        pck: &intel::pck_key(&platform),
        pck_chain: &chain,
        qe_signer: if tells(Lie::TdxQeSigner) { [0x11; 32] } else { tdx::ordinary_qe() },
    };
    let shape = if tells(Lie::TdxServiceTd) || relaunch_advised(profile) { QuoteShape::V5Td15 } else { profile.quote_shape };
    let version = match (tells(Lie::Version), shape) {
        (true, _) => 6,
        (_, QuoteShape::V4) => 4,
        _ => 5,
    };
    let mut quote = report(profile, report_data).quote(shape, version, &by);
    if let Some(byte) = quote.get_mut(signature_offset(shape)).filter(|_| tells(Lie::Signature)) {
        *byte ^= 1;
    }
    if tells(Lie::TdxTrailing) {
        quote.push(0);
    }
    if tells(Lie::Truncated) {
        quote.pop();
    }
    let event_log = event_log(profile);
    TdxEvidence { quote: Blob::new(quote).expect("a quote is short"), event_log: Blob::new(event_log).expect("a log is short") }
}

/// What was really measured while the machine booted.
fn boot_events(profile: &TeeProfile) -> Vec<Measured> {
    let tells = |lie| profile.tells(lie);
    let memory_gib = if tells(Lie::TdxMemory) { 7 } else { profile.memory_gib };
    let mut events = boot::events(&booted_build(profile).id, memory_gib);
    // The last events are kernel image, exit of boot services, command line, initrd.
    let last = events.len().saturating_sub(1);
    if tells(Lie::TdxEventsSwapped) {
        events.swap(last, last.saturating_sub(1));
    }
    if tells(Lie::TdxEventTwice) {
        events.extend(events.get(last.saturating_sub(1)).cloned());
    }
    if tells(Lie::TdxEventMissing) {
        events.remove(last.saturating_sub(3));
    }
    if tells(Lie::TdxEventUnlisted) {
        events.push(boot::unlisted());
    }
    events
}

/// What the host says was measured.
fn event_log(profile: &TeeProfile) -> Vec<u8> {
    let tells = |lie| profile.tells(lie);
    let mut events = boot_events(profile);
    if tells(Lie::TdxLogDropped) {
        events.pop();
    }
    if tells(Lie::TdxLogReordered) {
        events.swap(0, 1);
    }
    let mut log = boot::log(&events);
    if let Some(byte) = log.first_mut().filter(|_| tells(Lie::TdxLogGarbled)) {
        *byte = 0x77;
    }
    if tells(Lie::TdxLogAbsent) {
        log.clear();
    }
    log
}

/// The key this machine's quoting enclave signs with.
pub(crate) fn attestation_key(profile: &TeeProfile) -> p256::ecdsa::SigningKey {
    seed::p256(&[b"attestation key", &platform(profile).ppid])
}

/// The collateral for this machine: the same all day.
pub(crate) fn endorsements(profile: &TeeProfile, now_s: u64) -> TdxEndorsements {
    static DAYS: Minted<(String, Vec<Lie>, u64), TdxEndorsements> = Minted::new();
    let today = (profile.chip_name.clone(), profile.lies.clone(), Window::around(now_s).from_s);
    DAYS.once(today, || collateral(profile, now_s))
}

fn collateral(profile: &TeeProfile, now_s: u64) -> TdxEndorsements {
    let tells = |lie| profile.tells(lie);
    let service = service(profile);
    let judgement = judgement(profile, now_s);
    let window = judgement.window;
    let mut tcb_info = service.tcb_info(&judgement);
    let qe_identity = service.qe_identity(&judgement);
    if tells(Lie::TdxTcbInfoForged) {
        tcb_info.text = tcb_info.text.replace("\"OutOfDate\"", "\"UpToDate\"");
    }
    let revoked = platform(profile);
    let chain = |pem: String| Blob::new(pem).expect("a chain is short");
    TdxEndorsements {
        pck_crl_issuer_chain: chain(service.platform_chain()),
        root_ca_crl: Blob::new(service.root_crl(window, tells(Lie::TdxCaRevoked))).expect("a list is short"),
        pck_crl: Blob::new(service.pck_crl(window, Some(&revoked).filter(|_| tells(Lie::TdxPckRevoked)))).expect("a list is short"),
        tcb_info_issuer_chain: chain(service.tcb_chain()),
        tcb_info: Blob::new(tcb_info.text).expect("a document is short"),
        tcb_info_signature: Blob::new(tcb_info.signature).expect("a signature has 64 bytes"),
        qe_identity_issuer_chain: chain(service.tcb_chain()),
        qe_identity: Blob::new(qe_identity.text).expect("a document is short"),
        qe_identity_signature: Blob::new(qe_identity.signature).expect("a signature has 64 bytes"),
    }
}

fn report(profile: &TeeProfile, report_data: &[u8; 64]) -> TdReport {
    let tells = |lie| profile.tells(lie);
    let register = |lie| [u8::from(tells(lie)); 48];
    let events = boot_events(profile);
    let rtmr = |register| boot::extended(&events, register);
    let rtmr2 = if tells(Lie::TdxRtmr2) { seed::bytes(&[b"another command line"]) } else { rtmr(Rtmr::Rtmr2) };
    // A module that was updated under a running TD: launched with the one before.
    let mut launched = intel::TEE_TCB_SVN;
    if let Some(svn) = launched.first_mut().filter(|_| relaunch_advised(profile)) {
        *svn = svn.saturating_sub(1);
    }
    TdReport {
        tee_tcb_svn: launched,
        tee_tcb_svn2: intel::TEE_TCB_SVN,
        mr_seam: seed::bytes(&[b"tdx module 1.5"]),
        mr_signer_seam: register(Lie::TdxMrSignerSeam),
        seam_attributes: u64::from(tells(Lie::TdxSeamAttributes)),
        td_attributes: td_attributes(profile),
        // Bit 63 is no feature Intel has defined.
        xfam: tdx::XFAM | u64::from(tells(Lie::TdxXfam)) << 63,
        mr_td: booted_build(profile).tdx_tuple().mrtd.0,
        mr_config_id: profile.guest.as_ref().map_or_else(|| booted_config(profile).mr_config_id(), |guest| guest.mr_config_id),
        mr_owner: register(Lie::TdxMrOwner),
        mr_owner_config: register(Lie::TdxMrOwnerConfig),
        rtmr: [rtmr(Rtmr::Rtmr0), rtmr(Rtmr::Rtmr1), rtmr2, register(Lie::TdxRtmr3)],
        report_data: *report_data,
        mr_service_td: register(Lie::TdxServiceTd),
    }
}

fn td_attributes(profile: &TeeProfile) -> u64 {
    let bit = |set: bool, bit: u64| if set { bit } else { 0 };
    bit(!profile.tells(Lie::TdxSeptVe), attributes::SEPT_VE_DISABLE)
        | bit(profile.tells(Lie::TdxDebug), attributes::DEBUG)
        | bit(profile.tells(Lie::TdxMigratable), attributes::MIGRATABLE)
        | bit(profile.tells(Lie::TdxPerfmon), attributes::PERFMON)
        | bit(profile.tells(Lie::TdxAttributesUnknown), attributes::UNKNOWN)
}

fn judgement(profile: &TeeProfile, now_s: u64) -> Judgement {
    let tells = |lie| profile.tells(lie);
    Judgement {
        status: status(profile),
        advisory: tells(Lie::TdxAdvisory),
        qe_status: if tells(Lie::TdxQeOld) { "OutOfDate" } else { "UpToDate" },
        least_svn: if tells(Lie::TdxNoLevel) { 200 } else { 0 },
        evaluation: intel::EVALUATION.saturating_sub(u32::from(tells(Lie::TdxOldEvaluation))),
        fmspc: match tells(Lie::TdxOtherCollateral) {
            true => OTHER_FMSPC,
            false => platform(profile).fmspc,
        },
        window: if tells(Lie::TdxStale) { Window::past(now_s) } else { Window::around(now_s) },
    }
}

fn platform(profile: &TeeProfile) -> Platform {
    let honest = profile.intel_platform();
    match profile.tells(Lie::TdxFamily) {
        true => Platform { fmspc: OTHER_FMSPC, ..honest },
        false => honest,
    }
}

fn service(profile: &TeeProfile) -> &'static Service {
    match profile.tells(Lie::ForeignRoot) {
        true => intel::foreign(),
        false => intel::service(),
    }
}

/// Whether the lie is that the TDX module was updated since launch.
fn relaunch_advised(profile: &TeeProfile) -> bool {
    profile.tells(Lie::TdxRelaunch) || profile.tells(Lie::TdxRelaunchConfiguration)
}

/// Intel's word for the platform as it runs now; a relaunch is what the verifier makes of two of them.
fn status(profile: &TeeProfile) -> &'static str {
    let words = [
        (Lie::TdxSwHardening, "SWHardeningNeeded"),
        (Lie::TdxConfiguration, "ConfigurationNeeded"),
        (Lie::TdxConfigurationAndSwHardening, "ConfigurationAndSWHardeningNeeded"),
        (Lie::TdxOutOfDate, "OutOfDate"),
        (Lie::TdxOutOfDateConfiguration, "OutOfDateConfigurationNeeded"),
        (Lie::TdxRelaunchConfiguration, "ConfigurationNeeded"),
        (Lie::TdxRevoked, "Revoked"),
    ];
    words.iter().find(|(lie, _)| profile.tells(*lie)).map_or("UpToDate", |(_, word)| word)
}

/// Where the quote's signature begins: after header, body and the length of what follows.
fn signature_offset(shape: QuoteShape) -> usize {
    match shape {
        QuoteShape::V4 => 48 + 584 + 4,
        QuoteShape::V5 => 48 + 6 + 584 + 4,
        QuoteShape::V5Td15 => 48 + 6 + 648 + 4,
        QuoteShape::V5Td15Extended => 48 + 6 + 885 + 4,
    }
}
