//! Defences that a build made for that purpose can leave out, so that an attack is seen to succeed. No shipped program contains this
//! (feature `without`): the two shipped programs do not compile with it, and a test searches them for [`MARK`].
//!
//! Decides: the closed list and its names. A defence is left out for the whole process, and cannot be put back. Without the feature every question
//! is answered "no" at compile time and nothing is left of the rest.
//! Trusts: nothing. Out of scope: the attacks (`ringwall_sim::attack`), rules a harness leaves out for one thread (`consensus`, `defects`).
//! Protocol section 1.2.

macro_rules! defences {
    ($($(#[$meta:meta])* $variant:ident = $name:literal,)*) => {
        /// A defence that can be left out.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Defence { $($(#[$meta])* #[doc = concat!("Named `", $name, "`.")] $variant,)* }

        impl Defence {
            /// All of them.
            pub const ALL: &'static [Defence] = &[$(Defence::$variant),*];

            /// How it is named on a command line.
            pub const fn name(self) -> &'static str {
                match self { $(Defence::$variant => $name,)* }
            }

            /// The defence of this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|defence| defence.name() == name)
            }
        }
    };
}

defences! {
    /// A process that starts is a new incarnation with new keys and an empty log.
    FreshStart = "fresh-start",
    /// A read is confirmed by a quorum after it arrived.
    ReadQuorum = "read-quorum",
    /// A log entry read back from the disk is compared with its digest in memory.
    EntryDigests = "entry-digests",
    /// A write that was applied is not applied again.
    NumberedWrites = "numbered-writes",
    /// Initialization vectors depend on what is sealed, not on the generator alone.
    HedgedIvs = "hedged-ivs",
    /// A sealed record names the key it opens under.
    KeyCommitment = "key-commitment",
    /// What the hardware signed is compared with this session, this role and these keys.
    SessionBinding = "session-binding",
    /// Guests the host may debug are refused.
    DebugRule = "debug-rule",
    /// Every part of the firmware has a least version.
    FirmwareMinimum = "firmware-minimum",
    /// What the guest was started with is compared with what the hardware recorded.
    BootConfiguration = "boot-configuration",
    /// A revocation list in force is demanded.
    RevocationLists = "revocation-lists",
    /// A chain ends in a root that was pinned.
    PinnedRoots = "pinned-roots",
    /// Chips and platforms are on the policy's list.
    ChipList = "chip-list",
    /// A build has a least security version.
    LeastVersion = "least-version",
    /// The cluster a client talks to is the one it pinned.
    ClusterPin = "cluster-pin",
    /// A client remembers what was confirmed, and has it continued.
    Anchor = "anchor",
    /// As many governors sign a policy as the policy in force demands.
    ApprovalThreshold = "approval-threshold",
    /// Guests that may migrate are refused.
    MigrationRule = "migration-rule",
    /// An empty list of a policy accepts nothing.
    EmptyLists = "empty-lists",
    /// The chip's own key signs, and its id is not masked.
    ChipKey = "chip-key",
    /// What a layout reserves is zero.
    ReservedBytes = "reserved-bytes",
    /// Names and values are padded to buckets.
    Padding = "padding",
    /// Names and values are sealed before they are proposed.
    Sealing = "sealing",
    /// A share is compared with the commitment of its dealing.
    ShareCommitments = "share-commitments",
    /// Fewer shares than the threshold say nothing of the key.
    ShareThreshold = "share-threshold",
    /// A recovery is held against what custodians have seen of the log.
    CustodianAnchors = "custodian-anchors",
    /// An epoch that begins with a recovery restores no user for one window of tries.
    ClosedTries = "closed-tries",
    /// A master key that nothing is wrapped under any more ends.
    KeyRetirement = "key-retirement",
    /// Those who sign a release are named by the policy.
    NamedSigners = "named-signers",
    /// A policy that loosens was public for the delay of the one it replaces.
    Timelock = "timelock",
    /// The entry of a release is proven to be in the log.
    LogInclusion = "log-inclusion",
    /// As many witnesses cosign the head of the release log as the policy demands.
    Witnesses = "witnesses",
}

/// Bytes that stand in every program that can leave a defence out, and in no other.
pub const MARK: [u8; 52] = *b"RINGWALL: THIS PROGRAM CAN LEAVE ITS DEFENCES OUT!!!";

/// Whether this build can leave defences out. The shipped programs do not compile where it can.
pub const CAN_LEAVE_OUT: bool = cfg!(feature = "without");

/// The mark and the switches in one: a program that asks the switches holds the mark.
#[cfg(feature = "without")]
#[repr(C)]
struct Switches {
    mark: [u8; MARK.len()],
    out: core::sync::atomic::AtomicU32,
}

#[cfg(feature = "without")]
#[used]
static SWITCHES: Switches = Switches { mark: MARK, out: core::sync::atomic::AtomicU32::new(0) };

/// Whether the defence is left out in this process.
#[cfg(feature = "without")]
pub fn left_out(defence: Defence) -> bool {
    SWITCHES.out.load(core::sync::atomic::Ordering::Relaxed) & (1 << defence as u32) != 0
}

/// Never.
#[cfg(not(feature = "without"))]
pub const fn left_out(_: Defence) -> bool {
    false
}

/// Leaves the defence out from now on, in this whole process. Gives the mark, for whoever announces it.
#[cfg(feature = "without")]
pub fn leave_out(defence: Defence) -> &'static [u8] {
    SWITCHES.out.fetch_or(1 << defence as u32, core::sync::atomic::Ordering::Relaxed);
    &SWITCHES.mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_and_found() {
        assert!(Defence::ALL.len() <= 32, "one bit each");
        for (at, defence) in Defence::ALL.iter().enumerate() {
            assert_eq!(Defence::named(defence.name()), Some(*defence));
            assert_eq!(*defence as usize, at);
        }
        assert_eq!(Defence::named("nothing"), None);
    }

    #[test]
    #[cfg(not(feature = "without"))]
    fn an_ordinary_build_leaves_nothing_out() {
        const { assert!(!CAN_LEAVE_OUT) };
        assert!(Defence::ALL.iter().all(|defence| !left_out(*defence)));
    }
}
