//! Whether a change was public for as long as the policy it replaces demands.
//!
//! Decides: the change of this cluster is an entry of the log that policy names; the entry is in a checkpoint enough of its witnesses cosigned; a
//! checkpoint that continues it was cosigned by enough of them a full delay later. Of the earlier one the time counts by which surely an honest
//! witness had seen it (the threshold-th smallest), of the later one the time before which surely none had (the threshold-th largest): witnesses
//! below the threshold can make the wait longer and never shorter. No clock is asked. Whoever brings a notice may be anybody, and it is kept for ever:
//! its notes have the lines of the policy's log and witnesses and no others, each in its one form.
//! Trusts: the keys the policy names. Out of scope: approvals, the group's own delay. C2SP tlog-checkpoint, tlog-cosignature. Protocol section 8.

use crate::release::log::{consistent, included, witnessed};
use crate::release::note::SignedNote;
use crate::release::{LogError, NoteError, VerifierKey, Witnessed};
use alloc::vec::Vec;
use ringwall_wire::governance::PolicyFault;
use ringwall_wire::ids::ClusterId;
use ringwall_wire::policy::{PolicyDoc, ReleaseRule, ReleaseSigners, SignedPolicy};
use ringwall_wire::release::{LogEntry, Note, PolicyNotice};

/// Which part of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticePart {
    /// The checkpoint that has the entry.
    Published,
    /// The later one.
    Later,
    /// Where the entry is.
    Entry,
    /// That the later one continues the earlier one.
    Continuation,
}

impl core::fmt::Display for NoticePart {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            NoticePart::Published => "the checkpoint that has the change",
            NoticePart::Later => "the later checkpoint",
            NoticePart::Entry => "the place of the change in the log",
            NoticePart::Continuation => "the continuation from the one checkpoint to the other",
        })
    }
}

/// Why a notice does not show that a change was public for long enough.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum NoticeError {
    /// There is none.
    #[error("the change loosens, and nothing shows that it was public; publish it in the log and bring the notice")]
    Missing,
    /// There is one where none is needed.
    #[error("the change has a notice where none is needed; leave it out")]
    NotNeeded,
    /// The policy it replaces demands no witness.
    #[error("the policy in force demands 0 witnesses, which no notice at all would meet: it cannot be loosened")]
    NoThreshold,
    /// A key the policy names cannot be read.
    #[error("the policy in force names a key that cannot be read ({0}): it cannot be loosened")]
    Key(NoteError),
    /// A checkpoint is no text.
    #[error("{part} is no text")]
    NoText { part: NoticePart },
    /// A part does not hold.
    #[error("{part} does not hold: {error}")]
    Part { part: NoticePart, error: LogError },
    /// A note has more in it than it needs.
    #[error(
        "{part} has more in it than the policy in force asks for: it may have the lines of its log and its witnesses alone, in the policy's order; make \
         the notice again with `ringwall policy notice`"
    )]
    Foreign { part: NoticePart },
    /// It was not public for long enough.
    #[error(
        "the change was public at {published_s}, the later checkpoint is of {later_s} (Unix seconds), the delay is {delay_s} s: wait, and bring a newer one"
    )]
    Early { published_s: u64, later_s: u64, delay_s: u32 },
}

impl NoticeError {
    /// The same, as replicas tell it.
    pub fn fault(&self) -> PolicyFault {
        match self {
            NoticeError::Missing => PolicyFault::NoticeMissing,
            NoticeError::NotNeeded => PolicyFault::NoticeNotNeeded,
            NoticeError::Part { error: LogError::TooFewWitnesses { .. }, .. } | NoticeError::NoThreshold => PolicyFault::NoticeWitnesses,
            NoticeError::Early { .. } => PolicyFault::NoticeEarly,
            NoticeError::Key(_) | NoticeError::NoText { .. } | NoticeError::Foreign { .. } | NoticeError::Part { .. } => {
                PolicyFault::NoticeBad
            }
        }
    }
}

/// Verifies that the replacement of `in_force` by `signed`, in this cluster, was public for the delay `in_force` demands. A function of its arguments
/// alone; two notes of at most 16 witnesses each are verified.
pub fn verify_notice(
    cluster_id: &ClusterId,
    signed: &SignedPolicy,
    notice: &PolicyNotice,
    in_force: &PolicyDoc,
) -> Result<(), NoticeError> {
    let ReleaseRule::Demanded(rule) = &in_force.release else { return Err(NoticeError::NotNeeded) };
    let watch = Watch::of(rule)?;
    let published = watch.read(&notice.published, NoticePart::Published)?;
    let later = watch.read(&notice.later, NoticePart::Later)?;
    let of = |part| move |error| NoticeError::Part { part, error };
    let leaf = LogEntry::policy_change(*cluster_id, signed.change()).leaf();
    included(&leaf, &notice.proof, published.checkpoint()).map_err(of(NoticePart::Entry))?;
    consistent(published.checkpoint(), later.checkpoint(), &notice.consistency).map_err(of(NoticePart::Continuation))?;
    let (published_s, later_s) = (watch.surely_by(&published), later.since(watch.threshold));
    let delay_s = in_force.governance.timelock_s;
    match later_s >= published_s.saturating_add(u64::from(delay_s)) {
        true => Ok(()),
        false => Err(NoticeError::Early { published_s, later_s, delay_s }),
    }
}

/// The log and the witnesses of one policy.
struct Watch {
    log: VerifierKey,
    witnesses: Vec<VerifierKey>,
    threshold: u8,
}

impl Watch {
    fn of(rule: &ReleaseSigners) -> Result<Self, NoticeError> {
        if rule.witness_threshold == 0 {
            return Err(NoticeError::NoThreshold);
        }
        let log = VerifierKey::parse(&rule.log).map_err(NoticeError::Key)?;
        let witnesses = rule.witnesses.iter().map(|key| VerifierKey::parse(key)).collect::<Result<Vec<_>, _>>();
        Ok(Watch { log, witnesses: witnesses.map_err(NoticeError::Key)?, threshold: rule.witness_threshold })
    }

    fn read(&self, note: &Note, part: NoticePart) -> Result<Witnessed, NoticeError> {
        let text = core::str::from_utf8(note).map_err(|_| NoticeError::NoText { part })?;
        let of = |error| NoticeError::Part { part, error };
        let seen = witnessed(text, &self.log, &self.witnesses, self.threshold).map_err(of)?;
        let own = core::iter::once(&self.log).chain(&self.witnesses);
        let canonical = SignedNote::parse(text).map_err(|error| of(error.into()))?.only_of(own);
        match canonical == text {
            true => Ok(seen),
            false => Err(NoticeError::Foreign { part }),
        }
    }

    /// The second by which surely an honest witness had seen it, when fewer than the threshold lie: the threshold-th smallest of their times.
    fn surely_by(&self, seen: &Witnessed) -> u64 {
        let times = seen.times();
        let at = times.len().checked_sub(usize::from(self.threshold));
        at.and_then(|at| times.get(at)).copied().unwrap_or(u64::MAX)
    }
}
