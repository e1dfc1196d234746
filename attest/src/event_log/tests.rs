//! The log's parser: every field, every length, every kind of padding.
//!
//! Decides: that well-formed logs are read, that each way to be malformed has its name, and that no bytes can panic it.
//! Trusts: nothing. Out of scope: real logs (attest/tests/events.rs).

use super::*;
use alloc::vec;
use proptest::prelude::*;

fn spec_id() -> Vec<u8> {
    let mut data = SPEC_ID_SIGNATURE.to_vec();
    data.extend_from_slice(&[0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0x0c, 0, 48, 0, 0]);
    let mut out = vec![1, 0, 0, 0, 3, 0, 0, 0];
    out.extend_from_slice(&[0; 20]);
    out.extend_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
    out.extend_from_slice(&data);
    out
}

fn event_bytes(index: u32, event_type: u32, digest: [u8; 48], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for number in [index, event_type, 1] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&[0x0c, 0]);
    out.extend_from_slice(&digest);
    out.extend_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
    out.extend_from_slice(data);
    out
}

fn log() -> Vec<u8> {
    let mut out = spec_id();
    out.extend_from_slice(&event_bytes(1, 0x8000_000b, [1; 48], b"memory"));
    out.extend_from_slice(&event_bytes(0, EV_NO_ACTION, [0; 48], b"a note"));
    out.extend_from_slice(&event_bytes(2, 4, [2; 48], &[0; 4]));
    out.extend_from_slice(&event_bytes(4, 0x0800_0001, [3; 48], b""));
    out
}

fn with(at: usize, byte: u8) -> Result<EventLog, EventLogError> {
    let mut bytes = log();
    bytes[at] = byte;
    EventLog::parse(&bytes)
}

#[test]
fn events_are_read_in_order_and_notes_are_not() {
    let log = EventLog::parse(&log()).unwrap();
    let seen: Vec<_> = log.events().iter().map(|event| (event.register, event.event_type, event.digest.0[0])).collect();
    assert_eq!(seen, [(Rtmr::Rtmr0, 0x8000_000b, 1), (Rtmr::Rtmr1, 4, 2), (Rtmr::Rtmr3, 0x0800_0001, 3)]);
    assert_eq!(log.replay(Rtmr::Rtmr2), MeasurementRegister([0; 48]));
    let once: [u8; 48] = Sha384::digest([[0; 48], [1; 48]].concat()).into();
    assert_eq!(log.replay(Rtmr::Rtmr0), MeasurementRegister(once));
}

#[test]
fn every_shorter_log_is_refused_or_ends_between_events() {
    let whole = log();
    // The note begins with four zeros, which alone would be padding.
    let ends = [65, 137, 138, 139, 140, 141, 209, 279];
    for len in 0..whole.len() {
        assert_eq!(EventLog::parse(&whole[..len]).is_ok(), ends.contains(&len), "{len}");
    }
}

#[test]
fn padding_is_nothing_else() {
    for fill in [0, 0xff] {
        for len in [1, 7, 8, 4_096] {
            let mut padded = log();
            padded.resize(padded.len() + len, fill);
            assert_eq!(EventLog::parse(&padded), EventLog::parse(&log()), "{len} times {fill}");
        }
        let mut hiding = log();
        let at = hiding.len() + 100;
        hiding.resize(at + 100, fill);
        hiding[at] = 0x41;
        assert_eq!(EventLog::parse(&hiding), Err(EventLogError::Padding { offset: at }));
    }
    let mut other = log();
    other.resize(other.len() + 8, 0x20);
    assert!(matches!(EventLog::parse(&other), Err(EventLogError::Truncated { what: "number of digests", .. })));
}

#[test]
fn every_way_to_be_malformed_has_its_name() {
    use EventLogError as E;
    // the opening
    for (at, byte) in [(0, 5), (4, 4), (8, 1), (32, b's')] {
        assert_eq!(with(at, byte), Err(E::NoSpecId), "byte {at}");
    }
    assert_eq!(with(32 + 21, 3), Err(E::SpecVersion { got: (3, 0, 0) }));
    assert_eq!(with(32 + 24, 2), Err(E::Algorithms { got: 2 }));
    assert_eq!(with(32 + 28, 0x0b), Err(E::Algorithm { offset: 0, got: 0x0b }));
    assert_eq!(with(32 + 30, 32), Err(E::DigestBytes { got: 32 }));
    assert!(matches!(with(32 + 32, 1), Err(E::Truncated { what: "vendor's part", needed: 1, left: 0, .. })));
    assert!(matches!(with(28, 34), Err(E::SpecIdLength { extra: 1 })));
    // the first event, at 65
    assert_eq!(with(65, 0), Err(E::Register { offset: 65, got: 0 }));
    assert_eq!(with(65, 5), Err(E::Register { offset: 65, got: 5 }));
    assert_eq!(with(65 + 8, 0), Err(E::Digests { offset: 65, got: 0 }));
    assert_eq!(with(65 + 8, 2), Err(E::Digests { offset: 65, got: 2 }));
    assert_eq!(with(65 + 12, 0x0b), Err(E::Algorithm { offset: 65, got: 0x0b }));
    assert!(matches!(with(65 + 64, 0xff), Err(E::Truncated { what: "data of an event", offset: 131, needed: 16_711_686, .. })));
    // the note, at 137
    assert_eq!(with(137, 5), Err(E::Register { offset: 137, got: 5 }));
    assert_eq!(with(137 + 14, 1), Err(E::NoActionDigest { offset: 137 }));
    // the limits
    let mut long = log();
    long.resize(EVENT_LOG_BYTES + 1, 0xff);
    assert_eq!(EventLog::parse(&long), Err(E::TooLong { got: EVENT_LOG_BYTES + 1, max: EVENT_LOG_BYTES }));
    long.pop();
    assert!(EventLog::parse(&long).is_ok());
    let many = |count: usize| [spec_id(), event_bytes(1, 4, [1; 48], b"").repeat(count)].concat();
    assert_eq!(EventLog::parse(&many(EVENT_LOG_EVENTS)).map(|log| log.events().len()), Ok(EVENT_LOG_EVENTS));
    assert_eq!(EventLog::parse(&many(EVENT_LOG_EVENTS + 1)), Err(E::TooManyEvents { max: EVENT_LOG_EVENTS }));
}

#[test]
fn a_log_is_worth_what_the_registers_say() {
    let bytes = log();
    let parsed = EventLog::parse(&bytes).unwrap();
    let honest = REGISTERS.map(|register| parsed.replay(register));
    assert_eq!(BootLog::read(&bytes, honest), BootLog::Replayed(parsed.clone()));
    assert_eq!(BootLog::read(&[], honest), BootLog::Absent);
    assert!(matches!(BootLog::read(&bytes[..70], honest), BootLog::Malformed(EventLogError::Truncated { .. })));
    for at in 0..4 {
        let mut signed = honest;
        signed[at].0[47] ^= 1;
        let seen = BootLog::read(&bytes, signed);
        assert!(matches!(seen, BootLog::Mismatch { register, .. } if register == REGISTERS[at]), "{at}: {seen:?}");
    }
    // RTMR3 may be extended after the log was closed, if the log says nothing about it.
    let silent = &bytes[..bytes.len() - 66];
    assert!(matches!(BootLog::read(silent, honest), BootLog::Replayed(_)));
}

proptest! {
    #[test]
    fn no_bytes_panic_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = EventLog::parse(&bytes);
        let _ = EventLog::parse(&[spec_id(), bytes].concat());
    }

    /// One change of one byte either has no effect on what is extended, or changes a replay, or is refused.
    #[test]
    fn no_changed_byte_keeps_registers_and_changes_events(at in 0..log().len(), flip in 1u8..) {
        let honest = EventLog::parse(&log()).unwrap();
        if let Ok(changed) = with(at, log()[at] ^ flip) {
            let digests = |log: &EventLog, register| log.of(register).map(|event| event.digest).collect::<Vec<_>>();
            for register in REGISTERS {
                let same = honest.replay(register) == changed.replay(register);
                prop_assert_eq!(same, digests(&honest, register) == digests(&changed, register));
            }
        }
    }
}
