//! Real boots: event logs of real TDs against the quotes of the same TDs, and both against tables of allowed events.
//!
//! Decides: that the logs of the shared vectors replay to all four registers, that whole evidence with such a log is accepted by a table and
//! refused as soon as log or table is bent, and that no change of a log's bytes is accepted unless it leaves every event as it was.
//! Trusts: the vectors. Out of scope: simulated machines that lie about their boot (sim/tests/lies.rs).
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::indexing_slicing, clippy::result_large_err)]

use super::shelf;
use super::strict;

use proptest::prelude::*;
use ringwall_attest::{Anchors, BootLog, Claims, EventLog, EventLogError, Expected, Rejection as R, TdxClaims, Verified, appraise, verify};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::evidence::{Endorsements, Evidence, TdxEvidence};
use ringwall_wire::policy::{BootEvent, Measurement, MeasurementRegister, PolicyDoc, Presence, Rtmr, TdxReplay};
use ringwall_wire::text::read_hex_vec;
use shelf::Quoted;

const COS: &str = "tdx-v4-cos113-google-00806f@2025-06-25";
const DSTACK: &str = "tdx-v4-dstack-quotereport-90c06f@2026-03-01";

/// A real TD: its quote with Intel's statements, and its log.
struct Boot {
    quoted: Quoted,
    log: Vec<u8>,
}

impl Boot {
    fn verified(&self, log: &[u8]) -> Verified {
        let evidence = TdxEvidence { quote: Blob::new(self.quoted.quote.clone()).unwrap(), event_log: Blob::new(log).unwrap() };
        let endorsements = Endorsements::Tdx(self.quoted.endorsements.clone());
        verify(&Evidence::Tdx(evidence), &endorsements, &Anchors::production(), self.quoted.now_s).unwrap()
    }

    /// The one thing left to refuse when all is well is that the evidence was not made for us.
    fn judge(&self, log: &[u8], change: impl FnOnce(&mut Measurement)) -> R {
        let verified = self.verified(log);
        let claims = tdx(&verified);
        let mut policy: PolicyDoc = strict::policy(verified.claims());
        let mut build = policy.measurements[0].clone();
        build.tdx = List::default();
        build.tdx_replays = strict::list(vec![table(claims.tuple.mrtd, &EventLog::parse(&self.log).unwrap())]);
        change(&mut build);
        policy.measurements = strict::list(vec![build]);
        let boot_config = strict::boot_config();
        let binding = strict::binding(&policy, &boot_config);
        let expected = Expected { binding: &binding, boot_config: &boot_config, release_proof: &[], now_s: 0, last_head: None };
        appraise(verified, &policy, &expected).map(|_| ()).unwrap_err()
    }

    fn judge_table(&self, change: impl FnOnce(&mut Vec<BootEvent>)) -> R {
        self.judge(&self.log, |build| edit(build, change))
    }
}

fn edit(build: &mut Measurement, change: impl FnOnce(&mut Vec<BootEvent>)) {
    let mut table = build.tdx_replays[0].clone();
    let mut events = table.events.into_vec();
    change(&mut events);
    table.events = strict::list(events);
    build.tdx_replays = strict::list(vec![table]);
}

fn tdx(verified: &Verified) -> &TdxClaims {
    match verified.claims() {
        Claims::Tdx(claims) => claims,
        Claims::Snp(_) => panic!("not Intel"),
    }
}

/// The table that allows exactly this log.
fn table(mrtd: MeasurementRegister, log: &EventLog) -> TdxReplay {
    let entry = |(at, event): (usize, &ringwall_attest::Event)| BootEvent {
        register: event.register,
        event_type: event.event_type,
        digests: strict::list(vec![event.digest]),
        presence: Presence::Required,
        label: Text::new(format!("event {at}")).unwrap(),
    };
    TdxReplay { mrtd, events: strict::list(log.events().iter().enumerate().map(entry).collect()) }
}

fn cos() -> Option<Boot> {
    let quoted = shelf::quoted(COS)?;
    assert!(shelf::file("measurement/ccel-cos113/quote.bin")? == quoted.quote, "one machine");
    Some(Boot { quoted, log: shelf::file("measurement/ccel-cos113/ccel.bin")? })
}

/// This project keeps its log as JSON: the same events in the format firmware writes.
fn dstack() -> Option<Boot> {
    let vector = shelf::json("measurement/tdx-rtmr-replay-dstack.json")?;
    let quoted = shelf::quoted(DSTACK)?;
    let padded = read_hex_vec(vector["data"]["quote"].as_str().unwrap()).unwrap();
    assert!(padded.starts_with(&quoted.quote), "one machine");
    let events: serde_json::Value = serde_json::from_str(vector["data"]["event_log"].as_str().unwrap()).unwrap();
    let mut log = shelf::file("measurement/ccel-cos113/ccel.bin")?;
    log.truncate(65);
    for event in events.as_array().unwrap() {
        let number = |key: &str| u32::try_from(event[key].as_u64().unwrap()).unwrap();
        for word in [number("imr") + 1, number("event_type"), 1] {
            log.extend_from_slice(&word.to_le_bytes());
        }
        log.extend_from_slice(&[0x0c, 0]);
        log.extend_from_slice(&read_hex_vec(event["digest"].as_str().unwrap()).unwrap());
        log.extend_from_slice(&[0; 4]);
    }
    Some(Boot { quoted, log })
}

#[test]
fn real_logs_replay_to_the_signed_registers() {
    let (Some(cos), Some(dstack)) = (cos(), dstack()) else { return };
    for (boot, events, of_rtmr3) in [(cos, 43, 0), (dstack, 28, 8)] {
        let verified = boot.verified(&boot.log);
        let claims = tdx(&verified);
        let BootLog::Replayed(log) = &claims.boot_log else { panic!("{:?}", claims.boot_log) };
        assert_eq!((log.events().len(), log.of(Rtmr::Rtmr3).count()), (events, of_rtmr3));
        let registers = [claims.tuple.rtmr0, claims.tuple.rtmr1, claims.tuple.rtmr2, claims.rtmr3];
        assert_eq!([Rtmr::Rtmr0, Rtmr::Rtmr1, Rtmr::Rtmr2, Rtmr::Rtmr3].map(|register| log.replay(register)), registers);
        assert!(verified.steps().iter().any(|step| step.as_str().contains(&format!("({events} boot events)"))));
    }
    eprintln!("two real logs replay to the four registers of their quotes");
}

#[test]
fn a_real_machine_is_accepted_by_its_table_and_by_no_other() {
    let (Some(cos), Some(dstack)) = (cos(), dstack()) else { return };
    for boot in [cos, dstack] {
        let accepted = |rejection: R| matches!(rejection, R::ReportData { .. });
        assert!(accepted(boot.judge(&boot.log, |_| ())));
        // Several entries for one place, and entries that are not needed.
        assert!(accepted(boot.judge_table(|events| {
            let mut digests = events[0].digests.to_vec();
            digests.insert(0, MeasurementRegister([7; 48]));
            events[0].digests = strict::list(digests);
            events.insert(5, BootEvent { presence: Presence::Optional, event_type: 99, ..events[5].clone() });
        })));
        assert!(accepted(boot.judge(&boot.log, |build| {
            let mut tables = build.tdx_replays.to_vec();
            tables.insert(0, TdxReplay { events: List::default(), ..tables[0].clone() });
            build.tdx_replays = strict::list(tables);
        })));
        let none = |rejection: R| matches!(rejection, R::TupleUnknown { .. });
        assert!(none(boot.judge(&boot.log, |build| build.tdx_replays = List::default())));
        assert!(none(boot.judge(&boot.log, |build| {
            let other = TdxReplay { mrtd: MeasurementRegister([7; 48]), ..build.tdx_replays[0].clone() };
            build.tdx_replays = strict::list(vec![other]);
        })));
    }
}

#[test]
fn a_bent_table_is_told_by_its_first_event() {
    let Some(boot) = cos() else { return };
    let refused = boot.judge_table(|events| drop(events.remove(0)));
    assert!(matches!(refused, R::EventNotAllowed { register: Rtmr::Rtmr0, index: 0, event_type: 0x8000_000b, .. }), "{refused:?}");
    let refused = boot.judge_table(|events| events[0].digests = List::default());
    assert!(matches!(refused, R::EventNotAllowed { register: Rtmr::Rtmr0, index: 0, .. }), "{refused:?}");
    let refused = boot.judge_table(|events| events[42].event_type = 1);
    assert!(matches!(refused, R::EventNotAllowed { register: Rtmr::Rtmr1, index: 6, .. }), "{refused:?}");
    let refused = boot.judge_table(|events| events[40].register = Rtmr::Rtmr3);
    assert!(matches!(refused, R::EventNotAllowed { register: Rtmr::Rtmr2, .. }), "{refused:?}");
    // 8 to 10 are ACPI tables of RTMR0.
    let refused = boot.judge_table(|events| events.swap(8, 9));
    assert!(matches!(refused, R::EventOutOfOrder { register: Rtmr::Rtmr0, index: 8, .. }), "{refused:?}");
    let refused = boot
        .judge_table(|events| events.push(BootEvent { digests: strict::list(vec![MeasurementRegister([7; 48])]), ..events[0].clone() }));
    assert!(matches!(&refused, R::EventMissing { register: Rtmr::Rtmr0, label, .. } if label == "event 0"), "{refused:?}");
    assert!(refused.to_string().contains("RTMR0 lacks the event the policy calls \"event 0\""), "{refused}");
    // Between two registers the order of a table does not count: no register holds it.
    let by_register = |events: &mut Vec<BootEvent>| events.sort_by_key(|event| core::cmp::Reverse(event.register));
    assert!(matches!(boot.judge_table(by_register), R::ReportData { .. }));
}

/// Offsets of the events of a log, without the opening, and its end.
fn offsets(log: &[u8]) -> Vec<usize> {
    let mut at = vec![65];
    while log.get(*at.last().unwrap()).is_some_and(|byte| *byte != 0xff) {
        let start = *at.last().unwrap();
        let data = u32::from_le_bytes(log[start + 62..start + 66].try_into().unwrap());
        at.push(start + 66 + data as usize);
    }
    at
}

#[test]
fn a_bent_log_is_refused_by_name() {
    let Some(boot) = cos() else { return };
    let judge = |log: &[u8]| boot.judge(log, |_| ());
    assert!(matches!(judge(&[]), R::EventLogMissing { mrtd } if mrtd != MeasurementRegister([0; 48])));
    assert!(matches!(judge(&boot.log[1..]), R::EventLogMalformed { reason: EventLogError::NoSpecId }));
    assert!(matches!(judge(&boot.log[..1_000]), R::EventLogMalformed { reason: EventLogError::Truncated { .. } }));
    let at = offsets(&boot.log);
    assert_eq!((at.len(), at[43]), (44, 18_101));
    let registers = EventLog::parse(&boot.log).unwrap().events().iter().map(|event| event.register).collect::<Vec<_>>();
    for event in 0..43 {
        let mut dropped = boot.log.clone();
        dropped.drain(at[event]..at[event + 1]);
        let refused = judge(&dropped);
        assert!(matches!(refused, R::EventLogMismatch { register, .. } if register == registers[event]), "without {event}: {refused:?}");
        let mut twice = boot.log.clone();
        let again = boot.log[at[event]..at[event + 1]].to_vec();
        twice.splice(at[event]..at[event], again);
        assert!(matches!(judge(&twice), R::EventLogMismatch { register, .. } if register == registers[event]), "twice {event}");
        let Some(next) = (event + 1..43).find(|next| registers[*next] == registers[event]) else { continue };
        let mut swapped = boot.log[..at[event]].to_vec();
        swapped.extend_from_slice(&boot.log[at[next]..at[next + 1]]);
        swapped.extend_from_slice(&boot.log[at[event + 1]..at[next]]);
        swapped.extend_from_slice(&boot.log[at[event]..at[event + 1]]);
        swapped.extend_from_slice(&boot.log[at[next + 1]..]);
        let same = boot.log[at[event] + 14..at[event] + 62] == boot.log[at[next] + 14..at[next] + 62];
        let refused = judge(&swapped);
        match same {
            // shim measures one digest for two names: the register cannot tell them apart, and the name is no part of an event.
            true => assert!(matches!(refused, R::ReportData { .. }), "{refused:?}"),
            false => assert!(matches!(refused, R::EventLogMismatch { .. }), "{event} after {next}: {refused:?}"),
        }
    }
}

#[test]
fn a_log_of_another_machine_is_no_excuse() {
    let (Some(cos), Some(dstack)) = (cos(), dstack()) else { return };
    for (boot, other) in [(&cos, &dstack), (&dstack, &cos)] {
        assert!(matches!(boot.judge(&other.log, |_| ()), R::EventLogMismatch { register: Rtmr::Rtmr0, .. }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// Whatever becomes of a log's bytes: it is accepted when every event, as the parser reads it, is the one that was measured, and else refused.
    #[test]
    fn changed_bytes_of_a_log_count_or_change_nothing(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
        grow in proptest::collection::vec(any::<u8>(), 0..3),
    ) {
        let Some(boot) = cos() else { return Ok(()) };
        let mut log = boot.log.clone();
        edits.iter().for_each(|(at, byte)| { let at = at.index(log.len()); log[at] = *byte; });
        if let Some(cut) = cut {
            log.truncate(cut.index(log.len()));
        }
        log.extend_from_slice(&grow);
        let same = EventLog::parse(&log) == EventLog::parse(&boot.log);
        let refused = boot.judge(&log, |_| ());
        prop_assert_eq!(matches!(refused, R::ReportData { .. }), same, "{:?}", refused);
    }
}
