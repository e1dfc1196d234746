//! Other verifiers, each asked in its own words.
//!
//! Decides: how evidence is handed to each of them, and that a panic of theirs is a refusal and counted.
//! Trusts: nothing they say. Out of scope: what a difference means (`known.rs`).

use dcap_qvl::configs::RustCryptoConfig;
use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::{QuoteCollateralV3, QuotePolicy};
use ringwall_sim::published::{Kind, Offer};
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements, TdxEndorsements};
use sev::certs::snp::{Chain, Verifiable as _};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser as _;
use sha2::{Digest as _, Sha256};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// One other verifier.
pub(crate) struct Foreign {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether it is asked for a verdict by policy too, not only for genuineness.
    pub(crate) acceptable: bool,
    verify: fn(&Offer) -> Result<(), String>,
}

/// What it said.
pub(crate) struct Word {
    pub(crate) refusal: Option<String>,
    pub(crate) panicked: bool,
}

/// Everybody who is asked.
pub(crate) const ALL: [Foreign; 4] = [
    Foreign { name: "sev", kind: Kind::Snp, acceptable: false, verify: by_sev },
    Foreign { name: "omne-attest", kind: Kind::Snp, acceptable: false, verify: by_omne },
    Foreign {
        name: "dcap-qvl",
        kind: Kind::Tdx,
        acceptable: false,
        verify: |offer| by_dcap_qvl(offer, QuotePolicy::claims_only(offer.now_s), false),
    },
    Foreign { name: "dcap-qvl strict", kind: Kind::Tdx, acceptable: true, verify: |offer| by_dcap_qvl(offer, strict(offer.now_s), true) },
];

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Keeps the panics of others, which are asked thousands of times, out of the output; everybody else's stay.
pub(crate) fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
}

impl Foreign {
    /// Asks; a panic is a refusal.
    pub(crate) fn ask(&self, offer: &Offer) -> Word {
        QUIET.set(true);
        let said = catch_unwind(AssertUnwindSafe(|| (self.verify)(offer)));
        QUIET.set(false);
        match said {
            Ok(Ok(())) => Word { refusal: None, panicked: false },
            Ok(Err(words)) => Word { refusal: Some(words), panicked: false },
            Err(payload) => {
                let words = payload.downcast_ref::<String>().cloned();
                let words = words.or_else(|| payload.downcast_ref::<&str>().map(|words| (*words).to_owned()));
                Word { refusal: Some(format!("panic: {}", words.unwrap_or_default())), panicked: true }
            }
        }
    }
}

fn amd(offer: &Offer) -> (&[u8], &SnpEndorsements, &[u8]) {
    let (Evidence::Snp(evidence), Endorsements::Snp(endorsements)) = (&offer.evidence, &offer.endorsements) else { panic!("not AMD") };
    // others are told which root to take; the intermediate names it
    let issuer = |product| format!("ARK-{product:?}").into_bytes();
    let names = |name: &[u8]| endorsements.ask.windows(name.len()).any(|window| window == name);
    let root = offer.anchors.amd.iter().find(|(product, _)| names(&issuer(product))).or_else(|| offer.anchors.amd.first());
    (&evidence.report, endorsements, &root.unwrap().1)
}

fn by_sev(offer: &Offer) -> Result<(), String> {
    let (report, endorsements, ark) = amd(offer);
    let chain = Chain::from_der(ark, &endorsements.ask, &endorsements.vek).map_err(|error| error.to_string())?;
    let report = AttestationReport::from_bytes(report).map_err(|error| error.to_string())?;
    (&chain, &report).verify().map_err(|error| error.to_string())
}

fn by_omne(offer: &Offer) -> Result<(), String> {
    let (report, endorsements, ark) = amd(offer);
    let policy = omne_attest::snp::Policy { measurement: None, report_data: None, tcb_floor: None, max_vmpl: 3, reject_debug: false };
    let pinned: [u8; 32] = Sha256::digest(ark).into();
    let verdict = omne_attest::snp::verify(report, &endorsements.vek, &endorsements.ask, ark, &pinned, &policy);
    verdict.map(|_| ()).map_err(|error| error.to_string())
}

fn intel(offer: &Offer) -> (&[u8], &TdxEndorsements) {
    let (Evidence::Tdx(evidence), Endorsements::Tdx(endorsements)) = (&offer.evidence, &offer.endorsements) else { panic!("not Intel") };
    (&evidence.quote, endorsements)
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

/// UpToDate alone, with the platform flags every real server has: the policy the vectors' verdicts are for.
fn strict(now_s: u64) -> QuotePolicy {
    QuotePolicy::strict(now_s).allow_dynamic_platform(true).allow_cached_keys(true).allow_smt(true)
}

fn by_dcap_qvl(offer: &Offer, policy: QuotePolicy, strict: bool) -> Result<(), String> {
    let (quote, endorsements) = intel(offer);
    let collateral = QuoteCollateralV3 {
        pck_crl_issuer_chain: text(&endorsements.pck_crl_issuer_chain)?,
        root_ca_crl: endorsements.root_ca_crl.to_vec(),
        pck_crl: endorsements.pck_crl.to_vec(),
        tcb_info_issuer_chain: text(&endorsements.tcb_info_issuer_chain)?,
        tcb_info: text(&endorsements.tcb_info)?,
        tcb_info_signature: endorsements.tcb_info_signature.to_vec(),
        qe_identity_issuer_chain: text(&endorsements.qe_identity_issuer_chain)?,
        qe_identity: text(&endorsements.qe_identity)?,
        qe_identity_signature: endorsements.qe_identity_signature.to_vec(),
        pck_certificate_chain: None,
    };
    let root = offer.anchors.intel_root.clone();
    // debugged TDs are genuine too; whether they are acceptable is asked with a policy
    let verifier = QuoteVerifier::<RustCryptoConfig>::new_with_config(root).allow_debug(!strict).allow_service_td(!strict);
    verifier.verify_with_policy(quote, collateral, offer.now_s, &policy).map(|_| ()).map_err(|error| format!("{error:#}"))
}
