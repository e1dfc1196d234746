//! How often shares and master keys are made anew.
//!
//! Decides: the defaults and their bounds. Nothing safe rests on them: a longer time only means that old shares, or erased keys, are within reach for
//! longer. Trusts: the operator, for that alone. Out of scope: who holds shares (the founding record), what is due when (`custody/schedule.rs`).
//! Protocol sections 6.1 and 7.5.

use crate::config::{ConfigError, Reading};
use crate::custody::schedule::Timetable;
use serde::Deserialize;
use std::time::Duration;

/// Seconds of a day.
const DAY_S: u64 = 24 * 60 * 60;
/// Longest time between two dealings, in days.
const REDEAL_MOST_DAYS: u32 = 366;
/// Longest time between two rotations, and from an erasure to one, in seconds.
const ROTATE_MOST_S: u32 = 366 * 24 * 60 * 60;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileCustody {
    redeal_days: u32,
    rotate_s: u32,
    erase_s: u32,
}

impl Default for FileCustody {
    fn default() -> Self {
        FileCustody { redeal_days: 90, rotate_s: 30 * 24 * 60 * 60, erase_s: 24 * 60 * 60 }
    }
}

/// What a file that says nothing means.
pub(super) fn defaults() -> Timetable {
    timetable(&FileCustody::default())
}

fn timetable(raw: &FileCustody) -> Timetable {
    Timetable {
        redeal: Duration::from_secs(u64::from(raw.redeal_days).saturating_mul(DAY_S)),
        rotate: Duration::from_secs(u64::from(raw.rotate_s)),
        erase: Duration::from_secs(u64::from(raw.erase_s)),
    }
}

impl Reading<'_> {
    pub(super) fn custody(&self, raw: &FileCustody) -> Result<Timetable, ConfigError> {
        if !(1..=REDEAL_MOST_DAYS).contains(&raw.redeal_days) {
            let cause = format!("{} is not between 1 and {REDEAL_MOST_DAYS}", raw.redeal_days);
            return Err(self.fault("custody.redeal_days", cause, "change it or leave it out"));
        }
        for (field, value) in [("custody.rotate_s", raw.rotate_s), ("custody.erase_s", raw.erase_s)] {
            if !(1..=ROTATE_MOST_S).contains(&value) {
                let cause = format!("{value} is not between 1 and {ROTATE_MOST_S}");
                return Err(self.fault(field, cause, "change it or leave it out"));
            }
        }
        Ok(timetable(raw))
    }
}

impl Default for Timetable {
    fn default() -> Self {
        defaults()
    }
}
