//! The hardware attester over a kernel that does what Linux does, and over one that does not.
//!
//! Decides: that evidence comes out only for what was asked, that a busy or disturbed entry is asked again a bounded number of times, and that
//! every failure is typed and leaves no entry behind.
//! Trusts: `kernel` to follow Linux's ABI. Out of scope: real evidence (`recorded.rs`), the command (`examine.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::kernel;

use kernel::{EACCES, EAGAIN, EBUSY, EEXIST, EINVAL, EIO, ENOENT, ENOTTY, ENXIO, ETIMEDOUT, Fault, Kernel, NOW_S, outblob, table};
use ringwall_attest::{Attester, CollectError, verify};
use ringwall_node::platform::PlatformError;
use ringwall_node::platform::attester::TsmAttester;
use ringwall_node::platform::stapled::Stapled;
use ringwall_node::platform::store::EndorsementStore;
use ringwall_node::platform::tsm::{OUTBLOB_BYTES, TRIES};
use ringwall_sim::{Lie, SimTee, anchors, world};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements, SnpEvidence, TdxEndorsements, TdxEvidence};
use ringwall_wire::ids::{ClusterId, Slot, Vendor};
use std::sync::Arc;

const ASKED: [u8; 64] = [0x5a; 64];

fn tee(chip_name: &str) -> SimTee {
    SimTee::new(world::machine(chip_name, world::joining_config(ClusterId([7; 32]), Slot(1))).unwrap(), NOW_S)
}

fn kernel_of(chip_name: &str) -> Kernel {
    Kernel::of(tee(chip_name))
}

/// What the machine's firmware signs; its log of boot events is not the kernel's to give.
fn minted(chip_name: &str) -> Evidence {
    match tee(chip_name).mint(&ASKED) {
        Evidence::Tdx(evidence) => Evidence::Tdx(TdxEvidence { event_log: Blob::default(), ..evidence }),
        evidence @ Evidence::Snp(_) => evidence,
    }
}

/// Hands out what it was given.
struct Given(SimTee);

impl EndorsementStore for Given {
    fn for_snp(
        &self,
        _report: &SnpEvidence,
        stapled: Option<&ringwall_attest::cert_table::CertTable>,
    ) -> Result<SnpEndorsements, CollectError> {
        assert!(stapled.is_none(), "only for hosts without a usable table");
        match self.0.endorse() {
            Endorsements::Snp(chain) => Ok(chain),
            Endorsements::Tdx(_) => panic!("an AMD machine"),
        }
    }
    fn for_tdx(&self, _quote: &TdxEvidence) -> Result<TdxEndorsements, CollectError> {
        match self.0.endorse() {
            Endorsements::Tdx(collateral) => Ok(collateral),
            Endorsements::Snp(_) => panic!("an Intel machine"),
        }
    }
}

#[track_caller]
fn unavailable(outcome: Result<Evidence, CollectError>, words: &str) {
    match outcome {
        Err(CollectError::Unavailable { reason }) => assert!(reason.contains(words), "{reason}"),
        outcome => panic!("{outcome:?}"),
    }
}

#[track_caller]
fn malformed(outcome: Result<Evidence, CollectError>, words: &str) {
    match outcome {
        Err(CollectError::Malformed { reason }) => assert!(reason.contains(words), "{reason}"),
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn evidence_of_either_vendor_verifies_with_what_the_attester_gives() {
    for chip in ["milan-1", "genoa-1", "turin-1"] {
        let kernel = Arc::new(kernel_of(chip));
        let attester = kernel.stapled();
        let evidence = attester.evidence(&ASKED).unwrap();
        let verified = verify(&evidence, &attester.endorsements().unwrap(), &anchors(), NOW_S).unwrap();
        assert_eq!((attester.vendor(), verified.claims().report_data()), (Vendor::Amd, &ASKED), "{chip}");
        assert_eq!(kernel.entries(), 0, "every entry is removed");
    }
    let kernel = Arc::new(kernel_of("tdx-1"));
    let attester = kernel.attester(Arc::new(Given(tee("tdx-1"))));
    let evidence = attester.evidence(&ASKED).unwrap();
    assert_eq!(evidence, minted("tdx-1"), "8,000 bytes are cut to the quote");
    let verified = verify(&evidence, &attester.endorsements().unwrap(), &anchors(), NOW_S).unwrap();
    assert_eq!((attester.vendor(), verified.claims().report_data()), (Vendor::Intel, &ASKED));
    assert_eq!(kernel.entries(), 0);
}

#[test]
fn a_provider_key_needs_the_providers_certificate() {
    let tee = tee("genoa-1").telling(&[Lie::SnpVlek]);
    let Endorsements::Snp(chain) = tee.endorse() else { panic!("an AMD machine") };
    let hand = |name| {
        let (tee, aux) = (tee.clone(), table(&[(name, &chain.vek), (kernel::ASK, &chain.ask)]));
        Arc::new(Kernel::new("sev_guest", Box::new(move |asked, _| Ok((outblob(&tee.mint(asked)), aux.clone()))))).stapled()
    };
    let attester = hand(kernel::VLEK);
    let evidence = attester.evidence(&ASKED).unwrap();
    assert!(verify(&evidence, &attester.endorsements().unwrap(), &anchors(), NOW_S).is_ok());
    let attester = hand(kernel::VCEK);
    attester.evidence(&ASKED).unwrap();
    assert!(matches!(attester.endorsements(), Err(CollectError::NoEndorsements { .. })), "a VCEK did not sign this report");
}

#[test]
fn endorsements_can_be_asked_for_first() {
    let kernel = Arc::new(kernel_of("turin-1"));
    let attester = kernel.stapled();
    assert_eq!(attester.endorsements().unwrap(), tee("turin-1").endorse());
    assert_eq!(kernel.inner().asked, 1);
    attester.endorsements().unwrap();
    assert_eq!(kernel.inner().asked, 1, "the newest evidence says it from then on");
}

#[test]
fn a_busy_platform_is_asked_again_a_bounded_number_of_times() {
    for errno in [EBUSY, EAGAIN] {
        let busy = |times| Arc::new(kernel_of("genoa-1").with(|inner| inner.faults.push(Fault { at: "outblob", errno, times })));
        let kernel = busy(TRIES - 1);
        let collected = kernel.stapled().collect(&ASKED).unwrap();
        assert_eq!((collected.tries, kernel.inner().pauses), (TRIES, TRIES - 1));
        let kernel = busy(1_000);
        assert_eq!(kernel.stapled().evidence(&ASKED), Err(CollectError::Throttled { retry_after_ms: 2_000 }));
        assert_eq!((kernel.entries(), kernel.inner().pauses), (0, TRIES - 1));
    }
}

#[test]
fn an_answer_counts_only_when_nobody_else_wrote() {
    for chip in ["genoa-1", "tdx-1"] {
        let disturbed = |times| Arc::new(kernel_of(chip).with(|inner| inner.disturbances = times));
        let kernel = disturbed(2);
        let collected = kernel.stapled().collect(&ASKED).unwrap();
        assert_eq!((collected.tries, collected.evidence), (3, minted(chip)));
        let kernel = disturbed(1_000);
        unavailable(kernel.stapled().evidence(&ASKED), "used by somebody else in each of 5 tries");
        assert_eq!((kernel.entries(), kernel.inner().asked), (0, TRIES));
    }
}

#[test]
fn a_write_the_kernel_lost_in_silence_is_noticed() {
    let kernel = Arc::new(kernel_of("genoa-1").prepared("shared"));
    let attester = TsmAttester::open(kernel.clone(), Some("shared".to_owned()), Arc::new(Stapled)).unwrap();
    attester.evidence(&[1; 64]).unwrap();
    kernel.inner().lost = 1;
    assert_eq!(attester.evidence(&ASKED).unwrap(), tee("genoa-1").mint(&ASKED), "asked again");
    kernel.inner().lost = 1_000;
    unavailable(attester.evidence(&ASKED), "generation");
    assert_eq!(kernel.entries(), 1, "an entry that was there before stays");
}

#[test]
fn a_write_of_which_a_part_is_taken_is_no_question() {
    for taken in [0, 63] {
        let kernel = Arc::new(kernel_of("genoa-1").with(|inner| inner.short = Some(taken)));
        malformed(kernel.stapled().evidence(&ASKED), &format!("{taken} of 64 bytes"));
        assert_eq!((kernel.entries(), kernel.inner().asked), (0, 0), "nothing was asked, and nothing stays behind");
    }
}

#[test]
fn every_failure_of_the_system_is_typed_and_leaves_nothing_behind() {
    let at = [
        ("outblob", EIO, "the host or its firmware failed"),
        ("outblob", EINVAL, "the firmware refused the request"),
        ("outblob", ENOTTY, "VMPCK"),
        ("outblob", ETIMEDOUT, "did not answer in time"),
        ("outblob", ENOENT, "it is not there"),
        ("auxblob", EIO, "auxblob cannot be read"),
        ("inblob", EACCES, "inblob cannot be written: this process may not"),
        ("privlevel", EINVAL, "does not take this value"),
        ("generation", ENOENT, "generation cannot be read"),
    ];
    for (at, errno, words) in at {
        let kernel = Arc::new(kernel_of("genoa-1"));
        let attester = kernel.stapled();
        kernel.inner().faults.push(Fault { at, errno, times: 1 });
        unavailable(attester.evidence(&ASKED), words);
        assert_eq!((kernel.entries(), kernel.inner().pauses), (0, 0), "{at}: not asked again");
    }
}

#[test]
fn entries_that_cannot_be_made_say_why() {
    for (errno, words) in [(ENXIO, "no driver answers"), (EACCES, "run it as root"), (ENOENT, "CONFIG_TSM_REPORTS")] {
        let kernel = kernel_of("genoa-1").with(|inner| inner.faults.push(Fault { at: "make", errno, times: 1 }));
        let refused = TsmAttester::open(Arc::new(kernel), None, Arc::new(Stapled)).unwrap_err();
        assert!(matches!(&refused, PlatformError::Unusable { reason } if reason.contains(words)), "{refused}");
    }
    // A name that is taken is no obstacle; one name after the other being taken is.
    let kernel = Arc::new(kernel_of("genoa-1").with(|inner| inner.faults.push(Fault { at: "make", errno: EEXIST, times: 3 })));
    assert!(kernel.stapled().evidence(&ASKED).is_ok());
    kernel.inner().faults.push(Fault { at: "make", errno: EEXIST, times: 1_000 });
    assert!(TsmAttester::open(kernel.clone(), None, Arc::new(Stapled)).is_err());
    let made = kernel.inner().made.clone();
    assert_eq!(made.len(), 2);
    assert_ne!(made[0], made[1], "each request has an entry of its own");
}

#[test]
fn short_and_interrupted_reads_are_put_together() {
    let mut kernel = kernel_of("turin-1").with(|inner| inner.interrupted = 10);
    kernel.chunk = 7;
    assert_eq!(Arc::new(kernel).stapled().evidence(&ASKED).unwrap(), tee("turin-1").mint(&ASKED));
    let kernel = Arc::new(kernel_of("turin-1"));
    let attester = kernel.stapled();
    kernel.inner().interrupted = 1_000;
    unavailable(attester.evidence(&ASKED), "signals kept interrupting it");
}

#[test]
fn no_more_than_the_limit_is_read() {
    let endless = || Kernel::new("sev_guest", Box::new(|_, _| Ok((vec![1; 1 << 24], Vec::new()))));
    let kernel = Arc::new(endless());
    malformed(kernel.stapled().evidence(&ASKED), "more than 65536 bytes");
    assert!(kernel.inner().served < OUTBLOB_BYTES + 8 * 1024, "{} bytes were read", kernel.inner().served);
    let kernel = Arc::new(Kernel::new("tdx_guest", Box::new(|_, _| Ok((Vec::new(), Vec::new())))));
    malformed(kernel.stapled().evidence(&ASKED), "is empty");
}

#[test]
fn what_is_no_evidence_or_was_made_for_others_is_refused() {
    let answering = |provider, outblob: Vec<u8>| Arc::new(Kernel::new(provider, Box::new(move |_, _| Ok((outblob.clone(), Vec::new())))));
    let report = outblob(&tee("genoa-1").mint(&[1; 64]));
    malformed(answering("sev_guest", report.clone()).stapled().evidence(&ASKED), "other 64 bytes");
    malformed(answering("sev_guest", report[..1183].to_vec()).stapled().evidence(&ASKED), "a report of 1183 bytes, expected 1184");
    let quote = outblob(&tee("tdx-1").mint(&[1; 64]));
    malformed(answering("tdx_guest", quote.clone()).stapled().evidence(&ASKED), "other 64 bytes");
    let mut rubbish = outblob(&tee("tdx-1").mint(&ASKED));
    *rubbish.last_mut().unwrap() = 1;
    malformed(answering("tdx_guest", rubbish).stapled().evidence(&ASKED), "byte 7999 after the quote's");
    malformed(answering("tdx_guest", report).stapled().evidence(&ASKED), "attestation key type");
    malformed(answering("tdx_guest", quote[..3_000].to_vec()).stapled().evidence(&ASKED), "signature data");
}

#[test]
fn a_table_that_is_none_is_left_out() {
    let minter = tee("genoa-1");
    let kernel = Arc::new(Kernel::new("sev_guest", Box::new(move |asked, _| Ok((outblob(&minter.mint(asked)), vec![1; 100])))));
    let attester = kernel.attester(Arc::new(Given(tee("genoa-1"))));
    let evidence = attester.evidence(&ASKED).unwrap();
    assert!(verify(&evidence, &attester.endorsements().unwrap(), &anchors(), NOW_S).is_ok(), "evidence needs no table");
    let attester = kernel.stapled();
    attester.evidence(&ASKED).unwrap();
    assert!(matches!(attester.endorsements(), Err(CollectError::NoEndorsements { .. })));
}

#[test]
fn reports_are_asked_for_at_the_level_the_kernel_runs_at() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (minter, levels) = (tee("genoa-1"), seen.clone());
    let mut kernel = Kernel::new(
        "sev_guest",
        Box::new(move |asked, level| {
            levels.lock().unwrap().push(level);
            Ok((outblob(&minter.mint(asked)), Vec::new()))
        }),
    );
    kernel.floor = "2".to_owned();
    let collected = Arc::new(kernel).stapled().collect(&ASKED).unwrap();
    assert_eq!((collected.privlevel, seen.lock().unwrap().as_slice()), (Some(2), &[2][..]));
    for (floor, words) in [("4", "a level from 0 to 3"), ("", "a number"), ("-1", "a number"), ("a b", "one printable word")] {
        let mut kernel = kernel_of("genoa-1");
        kernel.floor = floor.to_owned();
        malformed(Arc::new(kernel).stapled().evidence(&ASKED), words);
    }
}

#[test]
fn a_provider_nobody_knows_is_refused_at_once() {
    let kernel = Kernel::new("arm_cca_guest", Box::new(|_, _| Err(EIO)));
    let refused = TsmAttester::open(Arc::new(kernel), None, Arc::new(Stapled)).unwrap_err();
    assert!(refused.to_string().contains("\"arm_cca_guest\", expected sev_guest or tdx_guest"), "{refused}");
}
