//! The proof that worlds notice mistakes: each is made on purpose, in worlds whose faults give it its chance.
//!
//! Decides: which mistakes, which kinds of faults, how many seeds, and whether a world is expected to notice. Mistakes a second defence
//! holds are in the table too, and expected to go unnoticed: the row says what holds them. Trusts: nothing.
//! Out of scope: the mistakes themselves (`flaws`, and `defects` of `consensus`). Protocol section 4.

use crate::world::drills::Drill;
use crate::world::flaws::{Flaw, Flaws};
use crate::world::judge::Rule;
use crate::world::kinds::Kind;
use crate::world::run::run;
use crate::world::settings::Settings;
use ringwall_consensus::defects::Defect;

/// One row of the table.
pub struct Case {
    /// The mistake in words.
    pub mistake: &'static str,
    /// The mistake.
    pub flaws: &'static [Flaw],
    /// Faults of its worlds.
    pub kinds: &'static [Kind],
    /// An attack in full, instead.
    pub drill: Option<Drill>,
    /// What holds it, where it is expected to go unnoticed.
    pub held_by: Option<&'static str>,
    /// Whether worlds were seen to notice it: the test demands it of these rows. The others are expected, and told.
    pub seen: bool,
}

/// What came of one row.
pub struct Proof {
    /// Worlds run.
    pub worlds: u64,
    /// The seed, the rule and the words of the first world that noticed.
    pub noticed: Option<(u64, Rule, String)>,
}

const fn case(mistake: &'static str, flaws: &'static [Flaw], kinds: &'static [Kind]) -> Case {
    Case { mistake, flaws, kinds, drill: None, held_by: None, seen: true }
}

const fn expected(mistake: &'static str, flaws: &'static [Flaw], kinds: &'static [Kind]) -> Case {
    Case { mistake, flaws, kinds, drill: None, held_by: None, seen: false }
}

const fn drilled(mistake: &'static str, flaws: &'static [Flaw], drill: Drill) -> Case {
    Case { mistake, flaws, kinds: &[], drill: Some(drill), held_by: None, seen: true }
}

const fn held(mistake: &'static str, flaws: &'static [Flaw], kinds: &'static [Kind], by: &'static str) -> Case {
    Case { mistake, flaws, kinds, drill: None, held_by: Some(by), seen: false }
}

/// All rows.
pub const CASES: &[Case] = &[
    case("retried writes are applied again", &[Flaw::Rule(Defect::NoDedup)], &[Kind::Drop, Kind::Pause, Kind::FullCut]),
    case("preconditions are not looked at", &[Flaw::Rule(Defect::NoPrecondition)], &[Kind::Pause]),
    case("applying depends on who applies", &[Flaw::Rule(Defect::OwnState)], &[Kind::Crash]),
    expected("a leader answers reads without a quorum", &[Flaw::Rule(Defect::NoReadIndex)], &[Kind::Pause, Kind::SlowCpu]),
    case("reads are answered from what is here", &[Flaw::LocalReads], &[Kind::FullCut, Kind::SlowLine]),
    case("acknowledged before the sync", &[Flaw::EarlySync], &[Kind::Crash, Kind::Bounce]),
    case("keys are granted before the admission", &[Flaw::EarlyGrant], &[Kind::Crash]),
    case("no endorsement", &[Flaw::Rule(Defect::NoEndorsement), Flaw::NoSecondOpinion], &[Kind::Crash]),
    case("a leader speaks for other voters", &[Flaw::Rule(Defect::AnySignature), Flaw::ForgedVerdicts], &[Kind::Crash]),
    expected("the incumbent is not asked", &[Flaw::NoProbe], &[Kind::CloneBoot, Kind::DiskClone]),
    expected("two live incarnations in a slot", &[Flaw::Rule(Defect::NoSlotRule), Flaw::NoProbe], &[Kind::CloneBoot, Kind::DiskClone]),
    expected("an address is an identity", &[Flaw::AddressIsIdentity], &[Kind::AddressSwap, Kind::ZombieResumed, Kind::Crash]),
    expected("roots that are not the vendor's", &[Flaw::OtherRoots], &[Kind::ForgedVendor, Kind::Crash]),
    expected("any genuine chip is ours", &[Flaw::AnyChip], &[Kind::ChipSwap, Kind::Crash]),
    expected("a withdrawn image is accepted", &[Flaw::OldBuild], &[Kind::OldMeasurement, Kind::Crash]),
    expected("firmware of any age", &[Flaw::AnyFirmware], &[Kind::TcbDowngrade, Kind::Crash]),
    expected("a debug guest is accepted", &[Flaw::DebugAllowed], &[Kind::DebugGuest, Kind::Crash]),
    case("an admission that is shown is not verified", &[Flaw::Rule(Defect::AnyProof)], &[Kind::RogueMember, Kind::Crash]),
    case("keys survive the process", &[Flaw::KeptKeys], &[Kind::Crash]),
    case("a retry has a new number", &[Flaw::NewNumberOnRetry], &[Kind::Drop, Kind::Pause, Kind::FullCut]),
    drilled("stock replica, disk rolled back (T-R1)", &[Flaw::Rule(Defect::Resumes), Flaw::Resumes], Drill::Rollback),
    drilled("stock replica, node cloned (T-R2)", &[Flaw::Rule(Defect::Resumes), Flaw::Resumes], Drill::Clone),
    held(
        "a faulty disk does not fence",
        &[Flaw::Rule(Defect::NoFence)],
        &[Kind::WriteError, Kind::DiskFull],
        "openraft stops at a failed write",
    ),
    held("V1 left out", &[Flaw::Rule(Defect::NoVotersRule)], &[Kind::ZombieResumed, Kind::Crash], "V3, and openraft counts voters alone"),
    held("V2 left out", &[Flaw::Rule(Defect::NoLeaderRule)], &[Kind::ZombieResumed, Kind::FullCut], "honest members send none; see T-R9"),
    held("V3 left out", &[Flaw::Rule(Defect::NoStandingRule)], &[Kind::ZombieResumed, Kind::FullCut], "sessions of the retired are cut"),
    held("pre-votes are always granted", &[Flaw::Rule(Defect::GrantsPreVotes)], &[Kind::FullCut], "costs elections, loses nothing"),
    held(
        "what is read back is not compared",
        &[Flaw::Rule(Defect::AnyEntry)],
        &[Kind::MemorySqueeze, Kind::BitFlip],
        "the frame's checksum",
    ),
];

/// Makes a mistake in up to `worlds` worlds, until one notices.
pub fn prove(case: &Case, worlds: u64) -> Proof {
    let settings =
        Settings { faults_ms: 20_000, only: case.kinds.to_vec(), flaws: Flaws::new(case.flaws), drill: case.drill, ..Settings::default() };
    for seed in 0..worlds {
        let report = run(10_000 + seed, &settings);
        if let Some(first) = report.violations.first() {
            return Proof { worlds: seed + 1, noticed: Some((report.seed, first.rule, first.what.clone())) };
        }
    }
    Proof { worlds, noticed: None }
}
