//! A bounded soak: every fault once, and nothing acknowledged is lost.
//!
//! Decides: one lap of a schedule; each strike must have been done and have had its effect, each kind of weather must have met datagrams, and every
//! history must have one order. Long ones: `cargo soak --minutes M`. Trusts: the recorded histories.
//! Out of scope: speed and growth, which depend on the machine.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod three;

use ringwall_tests::soak::plan::Strike;
use ringwall_tests::soak::{Settings, Until, run};

/// Of the schedule; `RINGWALL_SOAK_SEED` names another one.
const SEED: u64 = 11;

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_happens_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let seed = std::env::var("RINGWALL_SOAK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    let settings = Settings {
        folder: folder.path().to_owned(),
        launch: three::launch(),
        nodes: 3,
        seed,
        until: Until::Rounds(Strike::ALL.len()),
        talkative: true,
    };
    let report = run(settings).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    eprintln!("{report:#?}");
    for strike in Strike::ALL.map(|strike| strike.to_string()) {
        assert_eq!(report.strikes.get(&strike), Some(&1), "{strike} was done once");
        assert_eq!(report.took_effect.get(&strike), Some(&1), "{strike} had its effect");
    }
    let sky = report.datagrams;
    assert!([sky.lost, sky.cut, sky.repeated, sky.reordered, sky.delayed].iter().all(|count| *count > 0), "{sky:?}");
    assert!(report.acknowledged > 200 && report.operations > 2 * report.acknowledged / 2, "{report:?}");
    assert!(report.read_again > 0 && report.statuses > 0 && report.terms > 0);
    assert!(report.growth.iter().all(|node| node.lives > 0 && node.rss_mib > 1.0 && node.files_mib > 0.0), "{:?}", report.growth);
}
