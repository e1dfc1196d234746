//! The firmware's event log on its way from the guest's files to evidence.
//!
//! Decides: that a log the machine shows is sent beside each quote and counts there, that a missing or overlong one leaves the quote as good as
//! before, and that AMD machines send none.
//! Trusts: `kernel` to answer as Linux would, `ringwall-sim` to mint quote and log of one boot. Out of scope: judging logs (`attest`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::kernel;

use kernel::{Kernel, NOW_S};
use ringwall_attest::{Attester, BootLog, Claims, verify};
use ringwall_node::platform::attester::TsmAttester;
use ringwall_node::platform::stapled::Stapled;
use ringwall_node::platform::surroundings::Surroundings;
use ringwall_sim::{SimTee, anchors, world};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::Evidence;
use ringwall_wire::ids::{ClusterId, Slot};
use ringwall_wire::limits::EVENT_LOG_BYTES;
use std::path::Path;
use std::sync::Arc;

const ASKED: [u8; 64] = [0x5a; 64];

fn tee() -> SimTee {
    SimTee::new(world::machine("tdx-1", world::joining_config(ClusterId([7; 32]), Slot(1))).unwrap(), NOW_S)
}

fn log_of(tee: &SimTee) -> Vec<u8> {
    match tee.mint(&ASKED) {
        Evidence::Tdx(evidence) => evidence.event_log.to_vec(),
        Evidence::Snp(_) => panic!("an Intel machine"),
    }
}

/// What the machine whose files are below `root` sends, judged.
fn boot_log(root: &Path) -> BootLog {
    let surroundings = Surroundings::new(root, root.join("reports"));
    let attester = TsmAttester::open(Arc::new(Kernel::of(tee())), None, Arc::new(Stapled)).unwrap();
    let evidence = attester.with_event_log(surroundings.event_log()).evidence(&ASKED).unwrap();
    let verified = verify(&evidence, &tee().endorse(), &anchors(), NOW_S).unwrap();
    match verified.claims() {
        Claims::Tdx(claims) => claims.boot_log.clone(),
        Claims::Snp(_) => panic!("an Intel machine"),
    }
}

#[test]
fn a_log_the_firmware_left_counts_and_anything_else_leaves_the_quote_alone() {
    let log = log_of(&tee());
    assert!(!log.is_empty() && log.len() < EVENT_LOG_BYTES);
    let root = tempfile::tempdir().unwrap();
    assert_eq!(boot_log(root.path()), BootLog::Absent, "no firmware table");
    let place = root.path().join("sys/firmware/acpi/tables/data");
    std::fs::create_dir_all(&place).unwrap();
    let show = |bytes: &[u8]| std::fs::write(place.join("CCEL"), bytes).unwrap();
    show(&log);
    assert!(matches!(boot_log(root.path()), BootLog::Replayed(found) if !found.events().is_empty()));
    // The firmware's area is larger than its log, and filled up.
    let mut area = log.clone();
    area.resize(EVENT_LOG_BYTES, 0xff);
    show(&area);
    assert!(matches!(boot_log(root.path()), BootLog::Replayed(_)));
    area.push(0xff);
    show(&area);
    assert_eq!(boot_log(root.path()), BootLog::Absent, "longer than any node sends");
    show(b"no log at all");
    assert!(matches!(boot_log(root.path()), BootLog::Malformed(_)));
}

#[test]
fn an_amd_machine_sends_none() {
    let amd = SimTee::new(world::machine("genoa-1", world::joining_config(ClusterId([7; 32]), Slot(1))).unwrap(), NOW_S);
    let attester = TsmAttester::open(Arc::new(Kernel::of(amd)), None, Arc::new(Stapled)).unwrap();
    let evidence = attester.with_event_log(Blob::new(log_of(&tee())).unwrap()).evidence(&ASKED).unwrap();
    assert!(matches!(evidence, Evidence::Snp(_)));
}
