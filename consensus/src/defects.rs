//! Defects that can be switched on to prove that a test harness finds them. No shipped program contains this (feature `defects`).
//!
//! Decides: the closed list, each the absence of one rule; a defect holds for the thread that switched it on, which is the one thread
//! of a simulated world. Four of them are also defences that a build for attacks can leave out for a whole process (`ringwall_wire::without`).
//! Without these features every question is answered "no" at compile time and nothing is left of the rest.
//! Trusts: nothing. Out of scope: finding them (`tests`). Protocol sections 4 and 5.

use ringwall_wire::without::{Defence, left_out};

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "constructed and reached by the harness alone; the names are those of the rules"
)]
pub enum Defect {
    /// V1: votes are taken from anybody who is known, voter or not.
    NoVotersRule,
    /// V2: appends are taken under any ballot and any name.
    NoLeaderRule,
    /// V3: whoever is out, unknown or of another epoch is listened to.
    NoStandingRule,
    /// AP3 to AP5: whatever is shown of an admission is taken.
    AnyProof,
    /// Admissions need no endorsement.
    NoEndorsement,
    /// An endorsement counts under any signature.
    AnySignature,
    /// Two incarnations may be live in one slot.
    NoSlotRule,
    /// A retried write is applied again.
    NoDedup,
    /// Preconditions are not looked at.
    NoPrecondition,
    /// Applying depends on who applies.
    OwnState,
    /// A leader answers reads without asking a quorum.
    NoReadIndex,
    /// Pre-votes are always granted, which is openraft's default.
    GrantsPreVotes,
    /// A snapshot is taken in whatever its digest.
    AnySnapshot,
    /// What is read back from the disk is not compared.
    AnyEntry,
    /// An unusable disk does not fence.
    NoFence,
    /// A replica goes on from the log in its folder, as a store does that trusts its disk.
    Resumes,
    /// One that led when it stopped leads again at once, which is openraft's default.
    RestoresLeader,
    /// A dealing of shares is taken whatever its number.
    AnyDealing,
    /// A change of the policy that loosens is in force as soon as somebody says so.
    NoDelay,
    /// Of log writes that became durable together the newest is told first, what openraft could not bear before alpha.34 (#1960).
    NewestFirst,
    /// Of log writes that became durable together Raft never hears of the newest: what it made of that.
    NewestLost,
}

#[cfg(feature = "defects")]
thread_local! {
    static ON: std::cell::RefCell<std::collections::BTreeSet<Defect>> = const { std::cell::RefCell::new(std::collections::BTreeSet::new()) };
}

/// Whether a rule is left out, on this thread or in this process.
#[cfg(feature = "defects")]
pub(crate) fn on(defect: Defect) -> bool {
    ON.with(|on| on.borrow().contains(&defect)) || left_out_everywhere(defect)
}

/// Whether a rule is left out in this process: never, but in a build for attacks.
#[cfg(not(feature = "defects"))]
pub(crate) fn on(defect: Defect) -> bool {
    left_out_everywhere(defect)
}

fn left_out_everywhere(defect: Defect) -> bool {
    match defect {
        Defect::Resumes => left_out(Defence::FreshStart),
        Defect::NoReadIndex => left_out(Defence::ReadQuorum),
        Defect::AnyEntry => left_out(Defence::EntryDigests),
        Defect::NoDedup => left_out(Defence::NumberedWrites),
        _ => false,
    }
}

/// Another number each time.
#[cfg(feature = "defects")]
pub(crate) fn number() -> u64 {
    thread_local! {
        static NEXT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }
    NEXT.with(|next| next.replace(next.get() + 1))
}

/// Nothing asks.
#[cfg(not(feature = "defects"))]
pub(crate) const fn number() -> u64 {
    0
}

/// Leaves these rules out on this thread, and no others.
#[cfg(feature = "defects")]
pub fn leave_out(defects: &[Defect]) {
    ON.with(|on| *on.borrow_mut() = defects.iter().copied().collect());
}
