//! The event log of a TD: what its firmware and boot loader say they measured, in the order they extended the registers.
//!
//! Decides: which bytes are a log (one spelling of every event, SHA-384 alone, nothing but padding after the last one), what its events replay
//! to, and what a log is worth beside a quote ([`BootLog`]).
//! Trusts: nothing. The host can write every byte of a log; its events count when they replay to the registers the hardware signed, and then by
//! register, type and digest alone. The bytes a log calls the event's data are skipped: digests often cover something else.
//! Out of scope: which events are allowed (`appraise/replay.rs`). Sources: TCG PC Client Platform Firmware Profile 1.06, "Event logging"
//! (TCG_PCR_EVENT, Spec ID Event03, TCG_PCR_EVENT2); UEFI 2.10 section 38.4.1 (CC measurement register index). Protocol section 2.2, "TDX".

mod error;

pub use error::EventLogError;

use alloc::vec::Vec;
use ringwall_wire::limits::{EVENT_LOG_BYTES, EVENT_LOG_EVENTS};
use ringwall_wire::policy::{MeasurementRegister, Rtmr};
use sha2::{Digest as _, Sha384};

/// An event that extends nothing: notes of the firmware.
const EV_NO_ACTION: u32 = 3;
const TPM_ALG_SHA384: u16 = 0x000c;
const SHA384_BYTES: u16 = 48;
const SPEC_ID_SIGNATURE: &[u8; 16] = b"Spec ID Event03\0";
/// MRTD has index 0, RTMR0 to RTMR3 have 1 to 4.
const LAST_REGISTER: u32 = 4;
/// Padding begins with this many equal bytes: no event can, since no register 0 or 0xffff_ffff is ever extended.
const PADDING_HEAD: usize = 8;

/// All of them, in the order of a quote.
pub(crate) const REGISTERS: [Rtmr; 4] = [Rtmr::Rtmr0, Rtmr::Rtmr1, Rtmr::Rtmr2, Rtmr::Rtmr3];

/// One event that extended a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The register.
    pub register: Rtmr,
    /// TCG event type.
    pub event_type: u32,
    /// What the register was extended with.
    pub digest: MeasurementRegister,
}

/// A well-formed log; of whose boot, only a replay can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLog {
    events: Vec<Event>,
}

impl EventLog {
    /// Reads the whole of `bytes`: at most 64 KiB and 256 events, in the crypto-agile format with SHA-384 as its one algorithm, then nothing, or
    /// zeros or 0xff only. Events of type `EV_NO_ACTION` are stepped over: they extend nothing, so nothing vouches for them.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventLogError> {
        if bytes.len() > EVENT_LOG_BYTES {
            return Err(EventLogError::TooLong { got: bytes.len(), max: EVENT_LOG_BYTES });
        }
        let mut rest = Rest { bytes, at: 0 };
        opening(&mut rest)?;
        let mut events = Vec::new();
        let mut read: usize = 0;
        while !rest.ended()? {
            if read == EVENT_LOG_EVENTS {
                return Err(EventLogError::TooManyEvents { max: EVENT_LOG_EVENTS });
            }
            read = read.saturating_add(1);
            events.extend(event(&mut rest)?);
        }
        Ok(EventLog { events })
    }

    /// The events that extended a register, in the order of the log.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Events of one register, in order.
    pub fn of(&self, register: Rtmr) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.register == register)
    }

    /// What a register holds after its events: zeros, then `SHA-384(register || digest)` for each one (Intel TDX module, TDG.MR.RTMR.EXTEND).
    pub fn replay(&self, register: Rtmr) -> MeasurementRegister {
        extended(self.of(register).map(|event| event.digest))
    }
}

/// What a register of zeros holds after it was extended with each of these.
pub(crate) fn extended(digests: impl IntoIterator<Item = MeasurementRegister>) -> MeasurementRegister {
    let extend = |held: [u8; 48], digest: MeasurementRegister| Sha384::new().chain_update(held).chain_update(digest.0).finalize().into();
    MeasurementRegister(digests.into_iter().fold([0; 48], extend))
}

/// What a node's event log is worth beside its quote. Only [`BootLog::Replayed`] says something about the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootLog {
    /// The node sent none.
    Absent,
    /// The bytes are no log.
    Malformed(EventLogError),
    /// It is the log of another boot, or was changed.
    Mismatch {
        /// First register that differs.
        register: Rtmr,
        /// What the log replays to.
        replayed: MeasurementRegister,
        /// What the hardware signed.
        signed: MeasurementRegister,
    },
    /// Its events are exactly those the signed registers were extended with: RTMR0, RTMR1, RTMR2, and RTMR3 if the log names it.
    Replayed(EventLog),
}

impl BootLog {
    /// Compares the bytes the host sent with the registers RTMR0 to RTMR3 of a verified quote. RTMR3 may have been extended after the firmware
    /// closed its log, so a log without events of it says nothing about it; the policy pins its value in any case.
    pub(crate) fn read(bytes: &[u8], signed: [MeasurementRegister; 4]) -> Self {
        if bytes.is_empty() {
            return BootLog::Absent;
        }
        let log = match EventLog::parse(bytes) {
            Ok(log) => log,
            Err(error) => return BootLog::Malformed(error),
        };
        for (register, signed) in REGISTERS.into_iter().zip(signed) {
            let replayed = log.replay(register);
            let silent = register == Rtmr::Rtmr3 && log.of(register).next().is_none();
            if replayed != signed && !silent {
                return BootLog::Mismatch { register, replayed, signed };
            }
        }
        BootLog::Replayed(log)
    }
}

/// The first event, in the old format: it says which format the others have.
fn opening(rest: &mut Rest<'_>) -> Result<(), EventLogError> {
    let register = rest.number("register of the first event")?;
    let event_type = rest.number("type of the first event")?;
    let digest: [u8; 20] = rest.array("SHA-1 digest of the first event")?;
    if event_type != EV_NO_ACTION || register > LAST_REGISTER || digest != [0; 20] {
        return Err(EventLogError::NoSpecId);
    }
    let announced = rest.number("size of the first event")?;
    let mut spec = Rest { bytes: rest.take("Spec ID event", announced)?, at: 0 };
    if spec.take("signature of the Spec ID event", 16)? != SPEC_ID_SIGNATURE {
        return Err(EventLogError::NoSpecId);
    }
    // Platform class, and after the version the size of a UINTN: nothing here depends on them.
    spec.take("platform class", 4)?;
    let [minor, major, errata, _uintn] = spec.array("version of the Spec ID event")?;
    if major != 2 {
        return Err(EventLogError::SpecVersion { got: (major, minor, errata) });
    }
    let algorithms = spec.number("number of digest algorithms")?;
    if algorithms != 1 {
        return Err(EventLogError::Algorithms { got: algorithms });
    }
    match (spec.short("digest algorithm")?, spec.short("digest size")?) {
        (TPM_ALG_SHA384, SHA384_BYTES) => {}
        (TPM_ALG_SHA384, got) => return Err(EventLogError::DigestBytes { got }),
        (got, _) => return Err(EventLogError::Algorithm { offset: 0, got }),
    }
    let [vendor_bytes] = spec.array("size of the vendor's part")?;
    spec.take("vendor's part", u32::from(vendor_bytes))?;
    match spec.left() {
        0 => Ok(()),
        extra => Err(EventLogError::SpecIdLength { extra }),
    }
}

/// One event; none when it extends nothing.
fn event(rest: &mut Rest<'_>) -> Result<Option<Event>, EventLogError> {
    let offset = rest.at;
    let index = rest.number("register of an event")?;
    let event_type = rest.number("type of an event")?;
    let digests = rest.number("number of digests")?;
    if digests != 1 {
        return Err(EventLogError::Digests { offset, got: digests });
    }
    match rest.short("digest algorithm")? {
        TPM_ALG_SHA384 => {}
        got => return Err(EventLogError::Algorithm { offset, got }),
    }
    let digest = MeasurementRegister(rest.array("digest of an event")?);
    let announced = rest.number("size of an event's data")?;
    rest.take("data of an event", announced)?;
    match (event_type, register_of(index)) {
        (EV_NO_ACTION, _) if index > LAST_REGISTER => Err(EventLogError::Register { offset, got: index }),
        (EV_NO_ACTION, _) if digest != MeasurementRegister([0; 48]) => Err(EventLogError::NoActionDigest { offset }),
        (EV_NO_ACTION, _) => Ok(None),
        (_, None) => Err(EventLogError::Register { offset, got: index }),
        (_, Some(register)) => Ok(Some(Event { register, event_type, digest })),
    }
}

fn register_of(index: u32) -> Option<Rtmr> {
    match index {
        1 => Some(Rtmr::Rtmr0),
        2 => Some(Rtmr::Rtmr1),
        3 => Some(Rtmr::Rtmr2),
        4 => Some(Rtmr::Rtmr3),
        _ => None,
    }
}

/// A cursor over little-endian fields that names what it lacks.
struct Rest<'a> {
    bytes: &'a [u8],
    /// Offset in the log (or in its first event) of what is left.
    at: usize,
}

impl<'a> Rest<'a> {
    fn left(&self) -> usize {
        self.bytes.len()
    }

    fn take(&mut self, what: &'static str, len: u32) -> Result<&'a [u8], EventLogError> {
        let needed = usize::try_from(len).unwrap_or(usize::MAX);
        let truncated = EventLogError::Truncated { what, offset: self.at, needed, left: self.bytes.len() };
        let (head, tail) = self.bytes.split_at_checked(needed).ok_or(truncated)?;
        self.bytes = tail;
        self.at = self.at.saturating_add(needed);
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], EventLogError> {
        let len = u32::try_from(N).expect("fields are short");
        Ok(self.take(what, len)?.try_into().expect("N bytes were taken"))
    }

    fn number(&mut self, what: &'static str) -> Result<u32, EventLogError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn short(&mut self, what: &'static str) -> Result<u16, EventLogError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    /// Whether nothing or padding is left. Padding that holds something else is refused: what nobody looks at could say anything.
    fn ended(&self) -> Result<bool, EventLogError> {
        let Some(fill) = self.bytes.first() else { return Ok(true) };
        let foreign = self.bytes.iter().position(|byte| byte != fill);
        match (fill, foreign) {
            (0 | 0xff, None) => Ok(true),
            (0 | 0xff, Some(at)) if at >= PADDING_HEAD => Err(EventLogError::Padding { offset: self.at.saturating_add(at) }),
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests;
