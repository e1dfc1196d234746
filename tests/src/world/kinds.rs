//! The kinds of faults a world knows, and how often each fired.
//!
//! Decides: the closed list; a suite fails when a kind never fired ([`missing`]). A kind counts as fired when it changed
//! something: a frame that was damaged, a sync that failed, a quote that was presented. New kinds come last, so that older seeds stay what
//! they were. Kinds of the plan that no world has are in [`LEFT_OUT`], ours that are not of the plan in [`BESIDE`]. Trusts: nothing. Out of scope:
//! what a kind does (`strikes`, `pipes`, `hostile`, `custody`, `governors`).

use std::collections::BTreeMap;
use std::sync::Mutex;

/// Who is to blame for a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blame {
    /// The network between hosts.
    Network,
    /// A process or its machine.
    Process,
    /// A disk that fails as disks do.
    Disk,
    /// A host that attacks.
    Host,
    /// A custodian, or whoever stands between custodians and nodes.
    Custody,
    /// Governors, and a host in whose interest they signed, or too few of them.
    Governor,
}

macro_rules! kinds {
    ($($blame:ident { $($(#[$doc:meta])* $kind:ident,)* })*) => {
        /// One kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($($(#[$doc])* $kind,)*)* }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Kind] = &[$($(Kind::$kind,)*)*];

            /// Who is to blame.
            pub fn blame(self) -> Blame {
                match self { $($(Kind::$kind => Blame::$blame,)*)* }
            }
        }
    };
}

kinds! {
    Network {
        /// A frame is taken out of a session.
        Drop,
        /// A frame comes twice.
        Duplicate,
        /// Two frames change places.
        Reorder,
        /// A frame comes late, and all behind it.
        Delay,
        /// Nothing passes from one machine to another; the way back is open.
        OneWayCut,
        /// A machine reaches nobody, nobody reaches it.
        FullCut,
        /// Everything between two machines waits, then comes at once.
        Clog,
        /// A byte of a frame is another one.
        CorruptFrame,
        /// Frames of an old session are played to a node again.
        ReplaySession,
        /// A name leads to another machine.
        AddressSwap,
        /// A line goes up and down every few hundred milliseconds.
        FlappingLine,
        /// One direction is much slower than the other.
        SlowLine,
    }
    Process {
        /// A process is gone at once; its machine starts another one later.
        Crash,
        /// A process is gone and its successor starts at once.
        Bounce,
        /// A process stands still for a while.
        Pause,
        /// A process runs for a few milliseconds out of many.
        SlowCpu,
        /// A task of the process panics at one of its steps.
        PanicAtStep,
        /// A process starts with memory for almost nothing: everything is read back from its disk.
        MemorySqueeze,
        /// Nodes are stopped in turn and started with another accepted build.
        RollingUpgrade,
        /// A node leaves in good order.
        GracefulLeave,
        /// The leader hands over in the middle of its work.
        HandOver,
        /// Snapshots are made at moments nobody planned, so that learners get them.
        ForcedSnapshot,
        /// The leader is gone while it admits somebody.
        LeaderGoneWhileAdmitting,
    }
    Disk {
        /// What was written and not synced is gone after a crash.
        LostUnsynced,
        /// A write that was not synced is on the disk in part.
        TornWrite,
        /// Writes that were not synced reached the disk in another order.
        ReorderedWrites,
        /// A read fails.
        ReadError,
        /// A write fails.
        WriteError,
        /// There is no room.
        DiskFull,
        /// A bit of what is read is another one.
        BitFlip,
        /// A write lands somewhere else.
        Misdirected,
        /// A read gives less than was asked.
        ShortRead,
        /// A sync takes long.
        SlowSync,
    }
    Host {
        /// A node is started over an older copy of its disk.
        DiskRollback,
        /// A second node is started over a copy of a running one's disk.
        DiskClone,
        /// A single block of the disk is an old one.
        BlockReplay,
        /// The same image is booted a second time for the same slot, while the first runs.
        CloneBoot,
        /// A machine's clock stands still.
        ClockFreeze,
        /// A machine's clock jumps.
        ClockJump,
        /// A machine's generator gives the same bytes again and again.
        RngRepeat,
        /// A node is booted with another configuration.
        ConfigSwap,
        /// A node is booted on a chip the policy does not list.
        ChipSwap,
        /// An old quote is shown.
        StaleQuote,
        /// A genuine node's evidence is shown by somebody else.
        RelayedQuote,
        /// Evidence under roots that are not the vendor's.
        ForgedVendor,
        /// A machine with firmware below what the policy demands.
        TcbDowngrade,
        /// An image the policy does not list.
        OldMeasurement,
        /// The host withholds some classes of messages and lets others pass.
        Withholding,
        /// A virtual CPU is paused before a chosen step and goes on much later.
        PauseAtStep,
        /// A process is paused, replaced, and goes on after that.
        ZombieResumed,
        /// A guest whose memory the host may read.
        DebugGuest,
        /// A client is led to somebody who is no node.
        ImpostorToClient,
        /// A machine with evidence as good as a member's claims an admission no log has.
        RogueMember,
        /// A machine whose reports have a layout that lacks what the policy looks at.
        OldLayout,
    }
    Custody {
        /// A share that is not the one that was dealt.
        BadShare,
        /// A submission, or an acknowledgement, that was made before.
        ReplayedShare,
        /// A share of an earlier dealing; a dealing whose number is taken.
        WrongDealing,
        /// A custodian that acknowledges nothing and gives no share.
        CustodianAbsent,
    }
    Governor {
        /// A loosening of the policy is called for before its time.
        PrematureLoosening,
        /// A change that tightens comes into force.
        Tightening,
        /// A change that loosens comes into force after its delay, by the group's time.
        LooseningInTime,
        /// A build that one node runs is revoked.
        BuildRevoked,
        /// Two changes of one policy are brought, one to a leader that is cut off or hands over.
        ChangeWhileCut,
    }
}

/// Kinds of the plan that no world has: nobody asks a public log in one; recoveries need disks and folders, which worlds do not
/// read (tests/tests/recover.rs does).
pub const LEFT_OUT: [&str; 3] = ["double recovery", "split view of the public log", "witness missing"];

/// How often each kind fired.
#[derive(Default)]
pub struct Counts(Mutex<BTreeMap<Kind, u64>>);

impl Counts {
    /// One more.
    pub fn fired(&self, kind: Kind) {
        *self.0.lock().expect("nobody panics with the lock held").entry(kind).or_default() += 1;
    }

    /// All counts.
    pub fn all(&self) -> BTreeMap<Kind, u64> {
        self.0.lock().expect("nobody panics with the lock held").clone()
    }
}

/// Kinds that are not of the plan's 51: they do not count towards the 45 of them that have to fire.
pub const BESIDE: [Kind; 15] = [
    Kind::FlappingLine,
    Kind::SlowLine,
    Kind::GracefulLeave,
    Kind::HandOver,
    Kind::ForcedSnapshot,
    Kind::LeaderGoneWhileAdmitting,
    Kind::ZombieResumed,
    Kind::DebugGuest,
    Kind::ImpostorToClient,
    Kind::RogueMember,
    Kind::OldLayout,
    Kind::Tightening,
    Kind::LooseningInTime,
    Kind::BuildRevoked,
    Kind::ChangeWhileCut,
];

/// Adds the counts of one world to those of a suite.
pub fn add(suite: &mut BTreeMap<Kind, u64>, world: &BTreeMap<Kind, u64>) {
    for (kind, count) in world {
        *suite.entry(*kind).or_default() += count;
    }
}

/// Kinds that never fired.
pub fn missing(suite: &BTreeMap<Kind, u64>) -> Vec<Kind> {
    Kind::ALL.iter().copied().filter(|kind| suite.get(kind).is_none_or(|count| *count == 0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_kinds_as_the_plan_wants() {
        assert_eq!(Kind::ALL.len() - BESIDE.len() + LEFT_OUT.len(), 51, "the plan's kinds, with those that no world has");
        assert!(Kind::ALL.len() - BESIDE.len() >= 45, "{}", Kind::ALL.len());
        let hostile = Kind::ALL.iter().filter(|kind| kind.blame() == Blame::Host).count();
        assert!(hostile >= 15, "{hostile}");
    }

    #[test]
    fn worlds_of_the_kinds_before_have_none_in_which_the_policy_changes() {
        let changing = [Kind::Tightening, Kind::LooseningInTime, Kind::BuildRevoked, Kind::ChangeWhileCut];
        assert_eq!(
            Kind::ALL[crate::world::governors::BEFORE_CHANGES..],
            changing,
            "new kinds come last, and old seeds keep their founding"
        );
    }

    #[test]
    fn a_kind_that_never_fired_is_missing() {
        let counts = Counts::default();
        counts.fired(Kind::Crash);
        let missing = missing(&counts.all());
        assert_eq!(missing.len(), Kind::ALL.len() - 1);
        assert!(!missing.contains(&Kind::Crash));
    }
}
