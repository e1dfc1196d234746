//! `platform-check`: what it says of machines with and without a TEE, through fakes, through a real folder, and as a program.
//!
//! Decides: the verdicts, that each obstacle is named, that nothing secret is shown. Trusts: `kernel` and `fifo` to answer as Linux would.
//! Out of scope: the attester's own tests (`attester.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]

mod fifo;
use super::kernel;
use super::vendors;

use fifo::FifoFolder;
use kernel::{EBUSY, Fault, Kernel, NOW_S, outblob, table};
use ringwall_attest::Anchors;
use ringwall_node::endorsements::keeper::{Keeper, Tools};
use ringwall_node::endorsements::subject::Subject as Machine;
use ringwall_node::entropy;
use ringwall_node::platform::derived_keys::{DerivedKeyError, DerivedKeys, KeyFields, NoDerivedKeys};
use ringwall_node::platform::examination::{Examination, Outcome, Verdict};
use ringwall_node::platform::examine::{Subject, examine};
use ringwall_node::platform::stapled::Stapled;
use ringwall_node::platform::store::EndorsementStore;
use ringwall_node::platform::surroundings::Surroundings;
use ringwall_node::platform::tsm_fs::{ReportFolder, TsmFs};
use ringwall_node::platform::{Hardware, PlatformError};
use ringwall_sim::{Lie, SimTee, anchors, world};
use ringwall_wire::evidence::Endorsements;
use ringwall_wire::ids::{ClusterId, Slot, Vendor};
use ringwall_wire::secret::Secret;
use ringwall_wire::text::hex;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use vendors::{Act, Counter, Service, answer};

const ASKED: [u8; 64] = [0x33; 64];
const KEY: [u8; 32] = [0xab; 32];

fn tee(chip_name: &str) -> SimTee {
    SimTee::new(world::machine(chip_name, world::joining_config(ClusterId([7; 32]), Slot(1))).unwrap(), NOW_S)
}

/// Always the same key, whatever is mixed in.
struct OneKey;

impl DerivedKeys for OneKey {
    fn derive(&self, _fields: KeyFields) -> Result<Secret<32>, DerivedKeyError> {
        Ok(Secret::new(KEY))
    }
}

fn keys(vendor: Vendor) -> Result<Box<dyn DerivedKeys>, DerivedKeyError> {
    match vendor {
        Vendor::Amd => Ok(Box::new(OneKey)),
        Vendor::Intel => Ok(Box::new(NoDerivedKeys(vendor))),
    }
}

fn examined(fs: Arc<dyn TsmFs>, anchors: &Anchors, show_chip_id: bool) -> Examination {
    examined_with(Arc::new(Stapled), fs, anchors, show_chip_id)
}

fn examined_with(store: Arc<dyn EndorsementStore>, fs: Arc<dyn TsmFs>, anchors: &Anchors, show_chip_id: bool) -> Examination {
    let place = tempfile::tempdir().unwrap();
    examine(&Subject {
        surroundings: Surroundings::new(place.path(), place.path()),
        fs,
        adopted: None,
        store,
        derived_keys: &keys,
        anchors,
        now_s: NOW_S,
        asked: ASKED,
        show_chip_id,
    })
}

/// Everything said under one step.
fn said(found: &Examination, step: &str) -> String {
    let says: Vec<&str> = found.steps.iter().filter(|found| found.step == step).map(|found| found.says.as_str()).collect();
    says.join("\n")
}

#[test]
fn a_machine_with_everything_is_ready() {
    let kernel = Arc::new(Kernel::of(tee("genoa-1")));
    let found = examined(kernel.clone(), &anchors(), false);
    assert_eq!(found.verdict, Verdict::Ready, "{}", found.to_text());
    assert!(found.steps.iter().all(|found| found.outcome != Outcome::Bad));
    assert_eq!(said(&found, "provider"), "sev_guest");
    assert_eq!(said(&found, "evidence"), "a report of 1184 bytes");
    assert!(said(&found, "host's certificates").contains("VCEK, "), "{}", said(&found, "host's certificates"));
    assert!(said(&found, "verified").lines().count() >= 3, "{}", found.to_text());
    assert_eq!(said(&found, "chip digest"), hex(&tee("genoa-1").chip().0));
    assert_eq!(said(&found, "measurement"), hex(&tee("genoa-1").profile().build.snp_measurement().0));
    assert_eq!(said(&found, "VMPL"), "0");
    assert!(said(&found, "derived key").starts_with("usable"));
    assert_eq!(kernel.entries(), 0);
}

#[test]
fn neither_keys_nor_the_chips_id_are_shown_unasked() {
    let id = hex(&tee("genoa-1").profile().chip_id().unwrap().0);
    for show_chip_id in [false, true] {
        let found = examined(Arc::new(Kernel::of(tee("genoa-1"))), &anchors(), show_chip_id);
        // Lines are broken between words only, and these are one word each.
        for shown in [found.to_text(), found.to_json()] {
            assert_eq!(shown.contains(&id), show_chip_id, "{shown}");
            assert!(!shown.contains(&hex(&KEY)) && !shown.contains("171, 171"), "{shown}");
        }
    }
}

#[test]
fn each_obstacle_has_its_verdict_and_its_words() {
    // Nothing answers.
    let kernel = Kernel::of(tee("genoa-1")).with(|inner| inner.faults.push(Fault { at: "make", errno: kernel::ENXIO, times: 1_000 }));
    let found = examined(Arc::new(kernel), &anchors(), false);
    assert_eq!((found.verdict, found.verdict.exit_code()), (Verdict::NoEvidence, 11));
    assert!(said(&found, "provider").contains("no driver answers"));
    // The platform is busy for ever.
    let kernel = Kernel::of(tee("genoa-1")).with(|inner| inner.faults.push(Fault { at: "outblob", errno: EBUSY, times: 1_000 }));
    let found = examined(Arc::new(kernel), &anchors(), false);
    assert_eq!((found.verdict, said(&found, "evidence").contains("wait 2000 ms")), (Verdict::NoEvidence, true));
    // A recorded answer.
    let old = outblob(&tee("genoa-1").mint(&[1; 64]));
    let found = examined(Arc::new(Kernel::new("sev_guest", Box::new(move |_, _| Ok((old.clone(), Vec::new()))))), &anchors(), false);
    assert_eq!((found.verdict, said(&found, "evidence").contains("recorded answer")), (Verdict::NoEvidence, true));
    // A host without certificates, and nothing fetched.
    let minter = tee("genoa-1");
    let bare = Kernel::new("sev_guest", Box::new(move |asked, _| Ok((outblob(&minter.mint(asked)), Vec::new()))));
    let found = examined(Arc::new(bare), &anchors(), false);
    assert_eq!((found.verdict, found.verdict.exit_code()), (Verdict::NoEndorsements, 12));
    assert!(said(&found, "host's certificates").starts_with("none"));
    // Another root than the pinned one.
    let found = examined(Arc::new(Kernel::of(tee("genoa-1"))), &Anchors::production(), false);
    assert_eq!((found.verdict, found.verdict.exit_code()), (Verdict::NotGenuine, 12));
    // A quote, whose collateral nobody has here.
    let found = examined(Arc::new(Kernel::of(tee("tdx-1"))), &anchors(), false);
    assert_eq!(found.verdict, Verdict::NoEndorsements);
    assert!(said(&found, "evidence").contains(" zeros") && said(&found, "derived key").contains("derive no keys"));
}

#[test]
fn what_the_host_does_not_hand_over_is_asked_of_the_vendor() {
    for (chip, asked) in [("genoa-1", 3), ("turin-1", 3), ("tdx-1", 4)] {
        let (minter, shop) = (tee(chip), Counter::default());
        let machine = Machine::of(&minter.mint(&ASKED), None).unwrap();
        shop.0.stock(vendors::documents(machine.parts(), &minter.endorse()));
        let keeper = Keeper::new(Tools {
            source: Box::new(shop.clone()),
            cache: None,
            anchors: anchors(),
            clock: Arc::new(|| NOW_S * 1_000),
            entropy: entropy::system().unwrap(),
            refresh: Duration::from_secs(86_400),
            amd_product: None,
        });
        let provider = if chip.starts_with("tdx") { "tdx_guest" } else { "sev_guest" };
        let bare = Kernel::new(provider, Box::new(move |asked, _| Ok((outblob(&minter.mint(asked)), Vec::new()))));
        let found = examined_with(Arc::new(keeper), Arc::new(bare), &anchors(), false);
        assert_eq!((found.verdict, shop.0.asked()), (Verdict::Ready, asked), "{chip}: {}", found.to_text());
    }
}

#[test]
fn what_cannot_be_told_is_not_called_a_forgery() {
    let found = examined(Arc::new(Kernel::of(tee("turin-1").telling(&[Lie::SnpVekExpired]))), &anchors(), false);
    assert_eq!(found.verdict, Verdict::CannotTell, "{}", found.to_text());
    assert!(
        found.to_text().replace('\n', " ").contains("no sign of a forgery") && found.to_json().contains("\"cannot-tell\""),
        "{}",
        found.to_text()
    );
}

#[test]
fn what_a_policy_would_refuse_is_noted() {
    let found = examined(Arc::new(Kernel::of(tee("genoa-1").telling(&[Lie::SnpDebug]))), &anchors(), false);
    let debug = found.steps.iter().find(|found| found.step == "guest policy").unwrap();
    assert_eq!((debug.outcome, found.verdict), (Outcome::Note, Verdict::Ready), "genuine is not acceptable");
    assert!(debug.says.contains("DEBUG"), "{}", debug.says);
}

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

#[track_caller]
fn refusal(root: &Path) -> String {
    let reports = root.join("sys/kernel/config/tsm/report");
    match Hardware::open(&Surroundings::new(root, reports), Arc::new(Stapled)) {
        Err(refused @ PlatformError::NoDevice { .. }) => refused.to_string(),
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn a_machine_without_a_tee_says_what_was_looked_for_and_what_to_do() {
    let said = refusal(tree(&[]).path());
    for words in
        ["/sys/kernel/config/tsm/report", "/dev/sev-guest", "/dev/tdx_guest", "configfs is not mounted", "no confidential VM", "cargo demo"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let mounts = ("proc/self/mounts", "proc /proc proc rw 0 0\nconfigfs /sys/kernel/config configfs rw 0 0\n");
    let cpu = ("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sev sev_es sev_snp\nflags\t\t: tdx_guest\n");
    let said = refusal(tree(&[mounts, cpu]).path());
    assert!(said.contains("CONFIG_TSM_REPORTS") && said.contains("modprobe") && !said.contains("no confidential VM"), "{said}");
    let said = refusal(tree(&[mounts, cpu, ("dev/sev-guest", "")]).path());
    assert!(said.contains("/dev/sev-guest is there"), "{said}");
    let old = ("proc/cpuinfo", "flags\t\t: fpu sev sev_es\n");
    assert!(refusal(tree(&[mounts, old]).path()).contains("SEV without SNP"));
    let azure = ("sys/class/dmi/id/sys_vendor", "Microsoft Corporation\n");
    assert!(refusal(tree(&[mounts, azure]).path()).contains("paravisor"));
}

#[test]
fn what_the_machine_shows_is_read_with_care() {
    let name = format!("QEMU\u{1b}[31m{}\n", "x".repeat(1_000));
    let cpu = format!("flags\t\t: {}tdx_guest fpu\n", "a ".repeat(2_000));
    let root = tree(&[
        ("proc/sys/kernel/osrelease", "6.12.7\n"),
        ("sys/class/dmi/id/sys_vendor", name.as_str()),
        ("proc/cpuinfo", cpu.as_str()),
        ("sys/module/tdx_guest/refcnt", "0\n"),
    ]);
    let found = Surroundings::new(root.path(), root.path()).look();
    assert_eq!(
        (found.kernel.as_str(), found.flags.as_slice(), found.modules.as_slice()),
        ("6.12.7", &["tdx_guest"][..], &["tdx_guest"][..])
    );
    assert!(found.machine.len() <= 64 && found.machine.starts_with("QEMU[31mxxx"), "{}", found.machine);
    assert!(found.hints().is_empty(), "the folder is there: {:?}", found.hints());
}

#[test]
fn a_folder_that_is_not_the_kernels_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let root = tree(&[]);
    let refused = Hardware::open(&Surroundings::new(root.path(), folder.path()), Arc::new(Stapled)).unwrap_err();
    assert!(refused.to_string().contains("provider cannot be read: it is not there"), "{refused}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the entry that was made is removed");
}

/// Runs the program, which ends by itself within a minute or is ended.
fn platform_check(arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringwalld"))
        .arg("platform-check")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..600 {
        if child.try_wait().unwrap().is_some() {
            return child.wait_with_output().unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    panic!("the program did not end: {:?}", child.wait_with_output().unwrap());
}

fn json_of(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|fault| panic!("{fault}: {output:?}"))
}

#[test]
fn the_program_walks_a_live_entry_to_the_vendors_root() {
    let minter = tee("turin-1");
    let live = FifoFolder::of(Box::new(move |asked| {
        let Endorsements::Snp(chain) = minter.endorse() else { panic!("an AMD machine") };
        let asked: &[u8; 64] = asked.try_into().unwrap();
        (outblob(&minter.mint(asked)), table(&[(kernel::VCEK, &chain.vek), (kernel::ASK, &chain.ask), (kernel::ARK, b"ark")]))
    }));
    let root = live.folder.path().to_str().unwrap();
    let output = platform_check(&["--json", "--offline", "--tsm-root", root, "--tsm-entry", fifo::ENTRY]);
    let found = json_of(&output);
    // Everything but the root is right: what the program pins is AMD's.
    assert_eq!((found["verdict"].as_str(), output.status.code()), (Some("not-genuine"), Some(12)), "{found:#}");
    let said = |step: &str| {
        let all = found["steps"].as_array().unwrap().iter().filter(|found| found["step"] == step);
        all.map(|found| found["says"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("\n")
    };
    assert_eq!((said("provider"), said("evidence")), ("sev_guest".to_owned(), "a report of 1184 bytes".to_owned()));
    assert!(said("host's certificates").contains("ARK, 3 bytes"), "{found:#}");
    assert!(!said("verified").is_empty() && !said("endorsements").is_empty(), "{found:#}");
    assert_eq!(live.answers(), 1, "one question, one answer");
}

#[test]
fn the_program_asks_the_service_it_is_told_and_none_when_told() {
    let service = Service::start(|_, _| vec![Act::Send(answer("404 Not Found", &[], b""))]);
    let empty = tempfile::tempdir().unwrap();
    let ways: [(&[&str], usize); 3] =
        [(&["--offline"], 0), (&["--from", empty.path().to_str().unwrap()], 0), (&["--amd", &service.url], 3)];
    for (way, asked) in ways {
        let minter = tee("genoa-1");
        let live = FifoFolder::of(Box::new(move |asked| (outblob(&minter.mint(asked.try_into().unwrap())), Vec::new())));
        let place = ["--json", "--tsm-root", live.folder.path().to_str().unwrap(), "--tsm-entry", fifo::ENTRY];
        let output = platform_check(&[&place[..], way].concat());
        let found = json_of(&output);
        assert_eq!((found["verdict"].as_str(), output.status.code()), (Some("no-endorsements"), Some(12)), "{found:#}");
        assert_eq!((service.count(), output.stderr.as_slice()), (asked, &b""[..]), "quiet when piped: {output:?}");
    }
    let paths = service.requests.lock().unwrap().clone();
    assert!(paths.iter().any(|path| path.contains("/vcek/v1/Genoa/") && path.contains("blSPL=")), "{paths:?}");
    let wrong = platform_check(&["--offline", "--amd", &service.url]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    let wrong = platform_check(&["--amd", "ftp://example.org"]);
    assert_eq!((wrong.status.code(), wrong.stdout.len()), (Some(2), 0), "{wrong:?}");
}

#[test]
fn the_program_says_that_there_is_nothing_here() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("report");
    let output = platform_check(&["--offline", "--tsm-root", absent.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(11), "{text}");
    assert!(text.contains("BAD   report folder         /") && text.ends_with("A node does not start here.\n"), "{text}");
    let wrong = platform_check(&["--tsm-entry", "../x"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}

#[test]
fn a_real_folder_is_read_and_written_as_the_kernels_would_be() {
    let minter = tee("genoa-1");
    let live = FifoFolder::of(Box::new(move |asked| (outblob(&minter.mint(asked.try_into().unwrap())), Vec::new())));
    let fs: Arc<dyn TsmFs> = Arc::new(ReportFolder::new(live.folder.path()));
    let attester = ringwall_node::platform::attester::TsmAttester::open(fs, Some(fifo::ENTRY.to_owned()), Arc::new(Stapled)).unwrap();
    for byte in 0..3 {
        let collected = attester.collect(&[byte; 64]).unwrap();
        assert_eq!(collected.evidence, tee("genoa-1").mint(&[byte; 64]));
        assert_eq!((collected.generation, collected.tries), (2 * (u64::from(byte) + 1), 1));
    }
}
