//! A table of boot events, made from the event log of a boot that is known to be good.
//!
//! Decides: one required event for each one of the log that extended RTMR0 to RTMR2, with exactly the digest it had. What may be left out or differ on
//! other machines is for the author of the policy to add.
//! Trusts: nothing: whether the log is that of a machine shows when its replay is compared with the registers of a verified quote, which is why
//! the replay is given beside the table. Out of scope: judging by a table (`attest`). Protocol section 2.2, "Boot events".

use super::names::Named as _;
use ringwall_attest::{EventLog, EventLogError};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::policy::{BootEvent, MeasurementRegister, Presence, Rtmr, TdxReplay};

/// RTMR3 belongs to the running system: policies name its value, tables do not reach it.
const TABLED: [Rtmr; 3] = [Rtmr::Rtmr0, Rtmr::Rtmr1, Rtmr::Rtmr2];

/// A table, and what the log it was made from replays to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootTable {
    /// For `tdx_replays` of a measurement.
    pub replay: TdxReplay,
    /// RTMR0, RTMR1 and RTMR2 after the log; a quote of the same boot has these.
    pub registers: [MeasurementRegister; 3],
}

/// Makes a table from the bytes of an event log (`/sys/firmware/acpi/tables/data/CCEL` in the guest) and the MRTD of the same boot.
pub fn boot_table(log: &[u8], mrtd: MeasurementRegister) -> Result<BootTable, EventLogError> {
    let log = EventLog::parse(log)?;
    let mut events = Vec::new();
    for register in TABLED {
        for (event, number) in log.of(register).zip(1_u16..) {
            let label = format!("{} no. {number}: {}", register.name(), type_name(event.event_type));
            events.push(BootEvent {
                register,
                event_type: event.event_type,
                digests: List::new(vec![event.digest]).expect("one digest fits"),
                presence: Presence::Required,
                label: Text::new(label).expect("the names below are short"),
            });
        }
    }
    let events = List::new(events).expect("a log has no more events than a table");
    Ok(BootTable { replay: TdxReplay { mrtd, events }, registers: TABLED.map(|register| log.replay(register)) })
}

/// Names of the types real boots have (TCG PC Client Platform Firmware Profile 1.06, "Event types"), for people.
fn type_name(event_type: u32) -> String {
    let name = match event_type {
        0x0000_0001 => "POST code",
        0x0000_0004 => "separator",
        0x0000_0005 => "action",
        0x0000_0006 => "event tag",
        0x0000_000a => "platform configuration flags",
        0x0000_000d => "IPL",
        0x8000_0001 => "EFI variable",
        0x8000_0002 => "EFI boot variable",
        0x8000_0003 => "EFI application",
        0x8000_0006 => "GPT",
        0x8000_0007 => "EFI action",
        0x8000_0008 => "firmware volume",
        0x8000_000a => "firmware volume (named)",
        0x8000_000b => "hand-off tables",
        0x8000_00e0 => "EFI authority",
        other => return format!("type {other:#x}"),
    };
    name.to_owned()
}
