//! The proof that worlds notice mistakes: each is made on purpose, in worlds whose faults give it its chance.
//!
//! Decides: which mistakes, which kinds of faults, how many seeds, and whether a world is expected to notice. Three families: the nine mistakes
//! found in published code of such stores, openraft's defects as far as they can be made from outside, and rules of ours. Mistakes a second defence
//! holds are in the table too, and expected to go unnoticed: the row says what holds them; the row after it takes that away as well.
//! Trusts: nothing. Out of scope: the mistakes themselves (`flaws`, `lenient`, and `defects` of `consensus`). Protocol section 4.

use crate::world::drills::Drill;
use crate::world::flaws::{Flaw, Flaws};
use crate::world::judge::Rule;
use crate::world::kinds::Kind;
use crate::world::run::run;
use crate::world::settings::Settings;
use ringwall_consensus::defects::Defect;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One row of the table.
pub struct Case {
    /// Where the mistake comes from: `code N` (published code), `raft` (openraft), `rule` (a rule of ours left out).
    pub origin: &'static str,
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
}

/// What came of one row.
pub struct Proof {
    /// Worlds run.
    pub worlds: u64,
    /// The seed, the rule and the words of the first world that noticed.
    pub noticed: Option<(u64, Rule, String)>,
}

const fn case(origin: &'static str, mistake: &'static str, flaws: &'static [Flaw], kinds: &'static [Kind]) -> Case {
    Case { origin, mistake, flaws, kinds, drill: None, held_by: None }
}

const fn drilled(origin: &'static str, mistake: &'static str, flaws: &'static [Flaw], drill: Drill) -> Case {
    Case { origin, mistake, flaws, kinds: &[], drill: Some(drill), held_by: None }
}

const fn held(origin: &'static str, mistake: &'static str, flaws: &'static [Flaw], kinds: &'static [Kind], by: &'static str) -> Case {
    Case { origin, mistake, flaws, kinds, drill: None, held_by: Some(by) }
}

/// Tests beside the worlds. Mistake 4 stands here alone: a proof of release is judged from its bytes and a time, with no cluster in which a world could
/// notice it. It is made by leaving out the named signers, the proof of inclusion and the witnesses in turn, and the attacks on releases succeed then.
/// 6 and 8 are made in worlds; where the bytes are read and framed, these tests hold them besides.
pub const ELSEWHERE: [(&str, &str, &str); 3] = [
    ("code 4", "a proof of release that nobody verifies", "sim/tests/without.rs::without_its_defence_each_quick_attack_succeeds"),
    (
        "code 6",
        "a layout is read at the wrong place",
        "attest/tests/negative/main.rs::every_row_is_refused_by_what_it_names_and_every_variant_has_a_row",
    ),
    ("code 8", "parts of a derivation run together", "wire/tests/roundtrip.rs::enc_frames_every_field"),
];

/// All rows.
pub const CASES: &[Case] = &[
    case("code 1", "evidence under roots that are not the vendor's", &[Flaw::OtherRoots], &[Kind::ForgedVendor, Kind::Crash]),
    case("code 2", "what runs is what a machine says it runs", &[Flaw::SelfReported], &[Kind::OldMeasurement, Kind::Crash]),
    case("code 3", "the vendor's signature is not verified", &[Flaw::NoSignature], &[Kind::ForgedVendor, Kind::Crash]),
    case("code 5", "master keys are written to the disk", &[Flaw::ClearKeys], &[Kind::Crash]),
    case("code 6", "reports that lack fields are taken (version 2)", &[Flaw::OldLayouts], &[Kind::OldLayout, Kind::Crash]),
    case("code 6", "a quote is read without its header", &[Flaw::NoQuoteHeader], &[Kind::Crash]),
    case("code 7", "evidence of a joiner is not bound to its session", &[Flaw::Unbound], &[Kind::RelayedQuote, Kind::Crash]),
    case("code 7", "evidence of a server is not bound to its session", &[Flaw::Unbound], &[Kind::ImpostorToClient, Kind::CorruptFrame]),
    held("code 8", "names of two keys would be one if run together", &[Flaw::CloseNames], &[Kind::Pause], "parts are derived from apart"),
    case("code 8", "... and they are run together", &[Flaw::CloseNames, Flaw::Unframed], &[Kind::Pause]),
    case("code 9", "any genuine chip is ours", &[Flaw::AnyChip], &[Kind::ChipSwap, Kind::Crash]),
    case("code 9", "any boot configuration is ours", &[Flaw::AnyConfig], &[Kind::ConfigSwap, Kind::Crash]),
    case("code 9", "one member's opinion is enough", &[Flaw::Rule(Defect::NoEndorsement), Flaw::NoSecondOpinion], &[Kind::Crash]),
    drilled("raft", "a replica resumes, disk rolled back (T-R1)", &[Flaw::Rule(Defect::Resumes), Flaw::Resumes], Drill::Rollback),
    drilled("raft", "a replica resumes, node cloned (T-R2)", &[Flaw::Rule(Defect::Resumes), Flaw::Resumes], Drill::Clone),
    drilled(
        "raft",
        "a leader leads again after its restart",
        &[Flaw::Rule(Defect::Resumes), Flaw::Rule(Defect::RestoresLeader), Flaw::Resumes],
        Drill::Leader,
    ),
    case("raft", "entries nobody took are acknowledged (#1802)", &[Flaw::FalseAck], &[Kind::Crash, Kind::FullCut]),
    case("raft", "an acknowledgement outlives its log", &[Flaw::StaleAck], &[Kind::Crash, Kind::FullCut]),
    case("raft", "nobody grants a pre-vote (#1796)", &[Flaw::DeniedPreVotes], &[Kind::Crash, Kind::FullCut]),
    case("raft", "no snapshot is sent (#1828)", &[Flaw::NoSnapshots], &[Kind::Crash]),
    case("raft", "a snapshot is not what was sent (#1892)", &[Flaw::BentSnapshots], &[Kind::Crash]),
    case(
        "raft",
        "... and its digest is not compared",
        &[Flaw::BentSnapshots, Flaw::Rule(Defect::AnySnapshot)],
        &[Kind::Crash, Kind::ForcedSnapshot],
    ),
    held(
        "raft",
        "a membership survives the snapshot it is not in (#1808)",
        &[Flaw::PhantomMembership],
        &[Kind::Crash, Kind::ForcedSnapshot, Kind::FullCut],
        "the memberships after it",
    ),
    held(
        "raft",
        "of log writes done together the newest is told first (#1960)",
        &[Flaw::Rule(Defect::NewestFirst)],
        &[Kind::SlowSync, Kind::Crash],
        "openraft keeps the newest, since alpha.34",
    ),
    case("raft", "... and Raft forgets the newest, as before", &[Flaw::Rule(Defect::NewestLost)], &[Kind::SlowSync]),
    case("raft", "a leader answers reads without a quorum", &[Flaw::Rule(Defect::NoReadIndex)], &[Kind::FullCut]),
    held("raft", "pre-votes are always granted", &[Flaw::Rule(Defect::GrantsPreVotes)], &[Kind::FullCut], "costs elections, loses nothing"),
    case("rule", "a loosening of the policy does not wait", &[Flaw::Rule(Defect::NoDelay)], &[Kind::PrematureLoosening]),
    case("rule", "a member goes by the policy of the founding", &[Flaw::OldPolicy], &[Kind::Tightening, Kind::Crash]),
    case("rule", "retried writes are applied again", &[Flaw::Rule(Defect::NoDedup)], &[Kind::Drop, Kind::CorruptFrame, Kind::FullCut]),
    case("rule", "preconditions are not looked at", &[Flaw::Rule(Defect::NoPrecondition)], &[Kind::Pause]),
    case("rule", "applying depends on who applies", &[Flaw::Rule(Defect::OwnState)], &[Kind::Crash]),
    case("rule", "reads are answered from what is here", &[Flaw::LocalReads], &[Kind::FullCut, Kind::SlowLine]),
    case("rule", "acknowledged before the sync", &[Flaw::EarlySync], &[Kind::Crash, Kind::Bounce]),
    case("rule", "keys are granted before the admission", &[Flaw::EarlyGrant], &[Kind::Crash]),
    case("rule", "a leader speaks for other voters", &[Flaw::Rule(Defect::AnySignature), Flaw::ForgedVerdicts], &[Kind::Crash]),
    case("rule", "the incumbent is not asked", &[Flaw::NoProbe], &[Kind::CloneBoot, Kind::DiskClone]),
    case("rule", "two live incarnations in a slot", &[Flaw::Rule(Defect::NoSlotRule), Flaw::NoProbe], &[Kind::CloneBoot, Kind::DiskClone]),
    case("rule", "an address is an identity", &[Flaw::AddressIsIdentity], &[Kind::AddressSwap, Kind::ZombieResumed, Kind::Crash]),
    case("rule", "a withdrawn image is accepted", &[Flaw::OldBuild], &[Kind::OldMeasurement, Kind::Crash]),
    case("rule", "firmware of any age", &[Flaw::AnyFirmware], &[Kind::TcbDowngrade, Kind::Crash]),
    held("rule", "a policy allows debug guests", &[Flaw::DebugAllowed], &[Kind::DebugGuest, Kind::Crash], "refused whatever a policy says"),
    case("rule", "... and nobody looks whether a guest is one", &[Flaw::NoDebugRule], &[Kind::DebugGuest, Kind::Crash]),
    case("rule", "an admission that is shown is not verified", &[Flaw::Rule(Defect::AnyProof)], &[Kind::RogueMember]),
    held(
        "rule",
        "... by one that speaks under a member's ballot",
        &[Flaw::Rule(Defect::AnyProof), Flaw::BorrowedBallot],
        &[Kind::RogueMember],
        "V2: a leader speaks for itself",
    ),
    case(
        "rule",
        "... and V2 is left out",
        &[Flaw::Rule(Defect::AnyProof), Flaw::BorrowedBallot, Flaw::Rule(Defect::NoLeaderRule)],
        &[Kind::RogueMember],
    ),
    held(
        "rule",
        "... by one that asks for a vote",
        &[Flaw::Rule(Defect::AnyProof), Flaw::RogueVotes],
        &[Kind::RogueMember],
        "V1: a vote is asked among voters",
    ),
    case(
        "rule",
        "... and V1 is left out",
        &[Flaw::Rule(Defect::AnyProof), Flaw::RogueVotes, Flaw::Rule(Defect::NoVotersRule)],
        &[Kind::RogueMember],
    ),
    held(
        "rule",
        "V1 alone is left out",
        &[Flaw::Rule(Defect::NoVotersRule), Flaw::RogueVotes],
        &[Kind::RogueMember, Kind::ZombieResumed, Kind::Crash],
        "proofs of admission; among members, Raft's comparison of logs",
    ),
    held(
        "rule",
        "V2 alone is left out",
        &[Flaw::Rule(Defect::NoLeaderRule), Flaw::BorrowedBallot],
        &[Kind::RogueMember, Kind::ZombieResumed, Kind::Crash],
        "proofs of admission; members speak for themselves",
    ),
    held(
        "rule",
        "a superseded process goes on, and is let in",
        &[Flaw::StaysOn],
        &[Kind::ZombieResumed, Kind::Crash],
        "V3: who is out is not heard",
    ),
    held(
        "rule",
        "... and V3 is left out",
        &[Flaw::StaysOn, Flaw::Rule(Defect::NoStandingRule)],
        &[Kind::ZombieResumed, Kind::Crash],
        "V1, and reads and writes are done for members alone",
    ),
    held(
        "rule",
        "... and V1 as well",
        &[Flaw::StaysOn, Flaw::Rule(Defect::NoStandingRule), Flaw::Rule(Defect::NoVotersRule)],
        &[Kind::ZombieResumed, Kind::Crash],
        "Raft compares logs; a superseded one's is older",
    ),
    held("rule", "sessions of strangers are served", &[Flaw::NoIntroduction], &[Kind::RogueMember], "V3: who is out is not heard"),
    case("rule", "... and V3 is left out", &[Flaw::NoIntroduction, Flaw::Rule(Defect::NoStandingRule)], &[Kind::RogueMember]),
    case("rule", "a fenced member answers until it is gone", &[Flaw::AnswersFenced], &[Kind::DiskFull, Kind::WriteError, Kind::CloneBoot]),
    case("rule", "keys survive the process", &[Flaw::KeptKeys], &[Kind::Crash]),
    case("rule", "a retry has a new number", &[Flaw::NewNumberOnRetry], &[Kind::Drop, Kind::CorruptFrame, Kind::FullCut]),
    case("rule", "a dealing's number is not looked at", &[Flaw::Rule(Defect::AnyDealing)], &[Kind::WrongDealing]),
    case("rule", "initialization vectors are the generator's", &[Flaw::PlainIvs], &[Kind::RngRepeat]),
    held(
        "rule",
        "a faulty disk does not fence",
        &[Flaw::Rule(Defect::NoFence)],
        &[Kind::WriteError, Kind::DiskFull],
        "openraft stops at a failed write",
    ),
    held(
        "rule",
        "what is read back is not compared",
        &[Flaw::Rule(Defect::AnyEntry)],
        &[Kind::MemorySqueeze, Kind::BitFlip],
        "the frame's checksum",
    ),
];

/// Worlds of a row that is expected to go unnoticed: they show no more than that the second defence is there.
const HELD_WORLDS: u64 = 3;

/// Makes a mistake in up to `worlds` worlds, until one notices.
pub fn prove(case: &Case, worlds: u64) -> Proof {
    let settings =
        Settings { faults_ms: 20_000, only: case.kinds.to_vec(), flaws: Flaws::new(case.flaws), drill: case.drill, ..Settings::default() };
    let worlds = if case.held_by.is_some() { worlds.min(HELD_WORLDS) } else { worlds };
    for seed in 0..worlds {
        let report = run(10_000 + seed, &settings);
        if let Some(first) = report.violations.first() {
            return Proof { worlds: seed + 1, noticed: Some((report.seed, first.rule, first.what.clone())) };
        }
    }
    Proof { worlds, noticed: None }
}

impl Case {
    /// Its row of the table; the first part alone where it went unnoticed although nothing holds it.
    fn row(&self, proof: &Proof) -> Result<String, String> {
        let (origin, mistake) = (self.origin, self.mistake);
        match (&proof.noticed, self.held_by) {
            (Some((seed, rule, what)), _) => {
                let words: String = what.chars().filter(|letter| *letter != '\n').take(80).collect();
                Ok(row(origin, mistake, &format!("in {} worlds", proof.worlds), &format!("{rule:?} in seed {seed}: {words}")))
            }
            (None, Some(by)) => Ok(row(origin, mistake, "held", by)),
            (None, None) => Err(row(origin, mistake, "MISSED", &format!("in {} worlds", proof.worlds))),
        }
    }
}

fn row(origin: &str, mistake: &str, noticed: &str, what: &str) -> String {
    format!("{origin:<7} {mistake:<52} {noticed:<12} {what}\n")
}

/// The rows of `cases` as people read them, and those among them that went unnoticed although nothing holds them. `told` hears each row as it
/// is known.
pub fn prove_all(cases: &[&Case], worlds: u64, threads: usize, told: impl Fn(&str) + Sync) -> (String, Vec<String>) {
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((at, case)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, cases.get(at)?))) {
                    let row = case.row(&prove(case, worlds));
                    told(row.as_ref().unwrap_or_else(|missed| missed));
                    rows.lock().expect("nobody panics with the lock held").insert(at, row);
                }
            });
        }
    });
    let (mut table, mut missed) = (row("origin", "mistake", "noticed", "by"), Vec::new());
    for row in rows.into_inner().expect("nobody panics with the lock held").into_values() {
        table += row.as_ref().unwrap_or_else(|missed| missed);
        missed.extend(row.err());
    }
    ELSEWHERE.iter().for_each(|(origin, mistake, test)| table += &row(origin, mistake, "elsewhere", test));
    (table, missed)
}
