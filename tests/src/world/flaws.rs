//! Mistakes that are made on purpose, to prove that a world notices them.
//!
//! Decides: the closed list: rules of `consensus` left out ([`Defect`], a feature no shipped program has), and steps of a node or a
//! client left out in the world's own code that stands where `node` and `client` stand. Mistakes the types forbid cannot be made: a session
//! that was not judged carries no request (`channel`), a verdict has one maker (`attest`), so an unbound quote or an unverified signature
//! does not compile. Trusts: nothing. Out of scope: which are found (`proof`). Protocol section 4.

use ringwall_consensus::defects::Defect;

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A rule of the replicated state machine is left out.
    Rule(Defect),
    /// Reads are answered from what is here, without a read index.
    LocalReads,
    /// Syncs are acknowledged and not done.
    EarlySync,
    /// Keys are granted when a joiner is proposed.
    EarlyGrant,
    /// The leader asks nobody for a second opinion.
    NoSecondOpinion,
    /// The leader writes verdicts of other voters itself.
    ForgedVerdicts,
    /// Whoever answers at a member's address is taken for it, and whoever dials for what it says.
    AddressIsIdentity,
    /// The incumbent of a slot is not asked whether it lives.
    NoProbe,
    /// Evidence under roots that are not the vendor's is taken.
    OtherRoots,
    /// The policy names more chips than are ours.
    AnyChip,
    /// The policy names an image that was withdrawn.
    OldBuild,
    /// The policy has no least firmware.
    AnyFirmware,
    /// The policy allows guests whose memory the host may read.
    DebugAllowed,
    /// Nobody looks at the vendor's signature over a report or a quote.
    NoSignature,
    /// Nobody compares what was signed with this session and these keys.
    Unbound,
    /// A machine is taken for what it says it runs, not for what was measured.
    SelfReported,
    /// Nobody compares what a guest was started with.
    AnyConfig,
    /// Nobody looks whether the host may read a guest's memory.
    NoDebugRule,
    /// A machine without any admission is let in and heard.
    NoIntroduction,
    /// Whoever is not admitted asks for a vote, in place of sending entries.
    RogueVotes,
    /// Whoever is not admitted sends entries under the ballot of a member.
    BorrowedBallot,
    /// Master keys are written beside the log.
    ClearKeys,
    /// Initialization vectors are what the generator gives.
    PlainIvs,
    /// A follower says it has entries that it did not take: what a count of stale acknowledgements makes a leader believe (openraft #1802).
    FalseAck,
    /// A follower whose log conflicts says it does not: an acknowledgement that outlives the log it was for.
    StaleAck,
    /// Nobody grants a pre-vote (openraft #1796).
    DeniedPreVotes,
    /// No snapshot reaches whoever needs one (openraft #1828).
    NoSnapshots,
    /// A snapshot arrives other than it was sent (openraft #1892: one that conflicts is taken).
    BentSnapshots,
    /// Whoever takes a snapshot in believes that it alone votes: a membership no log has any more (openraft #1808).
    PhantomMembership,
    /// A fenced member answers what it is asked until its process is gone.
    AnswersFenced,
    /// A process has the same keys in every life.
    KeptKeys,
    /// A client numbers a retry anew.
    NewNumberOnRetry,
    /// A process goes on from its disk under its old name.
    Resumes,
    /// A process that was superseded or removed goes on, and members take it for one of theirs.
    StaysOn,
    /// Reports of layouts that lack what the policy looks at are taken: the oldest version, which has neither CPU nor mitigations in it.
    OldLayouts,
    /// A quote is read as if its header were the beginning of its body.
    NoQuoteHeader,
    /// No mistake: clients name what they store so that namespace and key run together would be the same for two keys.
    CloseNames,
    /// Namespace and key are put one behind the other before anything is derived from them.
    Unframed,
    /// A member goes by the policy it was founded with, whatever is in force.
    OldPolicy,
}

/// The mistakes of a world.
#[derive(Clone, Debug, Default)]
pub struct Flaws(Vec<Flaw>);

impl Flaws {
    /// These.
    pub fn new(flaws: &[Flaw]) -> Self {
        Flaws(flaws.to_vec())
    }

    /// Whether one of them is made.
    pub fn has(&self, flaw: Flaw) -> bool {
        self.0.contains(&flaw)
    }

    /// Rules left out in `consensus`.
    pub fn rules(&self) -> Vec<Defect> {
        let rules = self.0.iter().filter_map(|flaw| match flaw {
            Flaw::Rule(defect) => Some(*defect),
            _ => None,
        });
        rules.collect()
    }
}
