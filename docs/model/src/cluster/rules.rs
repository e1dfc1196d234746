//! The rules of the cluster's life that can be taken out, one at a time, and what is expected of the model without each.
//!
//! Decides: names of rules, where the protocol states them, and whether taking one out must give a counterexample.
//! Trusts: nothing. Out of scope: what a rule does (`moves`). Protocol sections 4 and 6.

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "`RULES` says what each one is")]
pub enum Rule {
    FreshIncarnation,
    Occupied,
    Endorsements,
    OtherVendor,
    GrantAfterCommit,
    CatchUp,
    Joint,
    Fencing,
    Durable,
    ReadQuorum,
    V1,
    V1Gate,
    V2,
    AdmissionProof,
    V3Epoch,
    V3Out,
    V4,
    V4Campaign,
    Dr1,
    Dr2,
    Dr3,
    Dr4,
    Dr4Voters,
    Dr4Joint,
    Dr5,
    Dr5Anchor,
    Dr6,
    Dr7,
}

/// A rule with its name on the command line, its place, and its meaning.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Rule.
    pub rule: Rule,
    /// Name.
    pub name: &'static str,
    /// The budget in which its absence is looked for (`scope`).
    pub scope: &'static str,
    /// The property that must break; none where the rule is expected not to matter in the model, for the reason the README gives.
    pub breaks: Option<&'static str>,
    /// What the rule says.
    pub says: &'static str,
}

const fn row(rule: Rule, name: &'static str, scope: &'static str, breaks: Option<&'static str>, says: &'static str) -> Row {
    Row { rule, name, scope, breaks, says }
}

/// Every rule.
pub const RULES: [Row; 28] = [
    row(Rule::FreshIncarnation, "fresh-incarnation", "restart", Some("IN2"), "a process that starts is nobody, whatever its disk says"),
    row(Rule::Occupied, "occupied-slot", "clone", Some("SLOT"), "a slot whose incumbent answers is refused"),
    row(Rule::Endorsements, "endorsements", "join-rogue", Some("IN7"), "two voters accept a joiner, where there are two"),
    row(
        Rule::OtherVendor,
        "other-vendor",
        "join-five",
        Some("IN7"),
        "one of them is of another vendor than the joiner, where there is one",
    ),
    row(Rule::GrantAfterCommit, "grant-after-commit", "admit", Some("IN6"), "keys are granted once the admission is applied"),
    row(Rule::CatchUp, "catch-up", "break", Some("IN3"), "a learner votes once it has shown the leader's log and state"),
    row(Rule::Joint, "joint-majorities", "join-paused", Some("IN4"), "a change of membership needs majorities before and after it"),
    row(Rule::Fencing, "fencing", "join-paused", Some("IN8"), "who has applied its own supersession ends"),
    row(Rule::Durable, "durable-majority", "elect", Some("IN4"), "a write is acknowledged when a majority has it on disk"),
    row(Rule::ReadQuorum, "read-quorum", "elect", Some("IN9"), "a read waits until a quorum confirms the leader"),
    row(Rule::V1, "v1", "vote-rogue", Some("IN4"), "V1: votes of members count, for themselves, and no others"),
    row(Rule::V1Gate, "v1-gate", "join", None, "V1, the receiving half: a vote is given among voters, or to a longer log"),
    row(Rule::V2, "v2", "rogue", Some("IN3"), "V2: appends count from known members"),
    row(
        Rule::AdmissionProof,
        "admission-proof",
        "rogue",
        Some("IN3"),
        "who is not known yet shows its admission: `consensus/src/shown.rs`",
    ),
    row(Rule::V3Epoch, "v3-epoch", "two-epochs", Some("IN3"), "V3: another epoch is refused"),
    row(Rule::V3Out, "v3-out", "break", Some("IN3"), "V3: the superseded and the retired are refused"),
    row(Rule::V4, "v4", "admit", Some("IN3"), "V4: nothing on the wire reaches Raft's initialization"),
    row(Rule::V4Campaign, "v4-campaign", "join", None, "V4: a learner never campaigns"),
    row(Rule::Dr1, "dr1", "recover-rogue", Some("IN6"), "DR1: custodians verify the recovering TEE"),
    row(Rule::Dr2, "dr2", "recover-rolled", Some("ANCHOR"), "DR2: one custodian is not enough"),
    row(Rule::Dr3, "dr3", "recover", Some("LOST"), "DR3: a claim is authenticated under the master key"),
    row(Rule::Dr4, "dr4", "recover", Some("LOST"), "DR4: claims of a majority"),
    row(Rule::Dr4Voters, "dr4-voters", "recover-joined", Some("LOST"), "DR4: of voters, by incarnation, not of places"),
    row(
        Rule::Dr4Joint,
        "dr4-joint",
        "recover-paused",
        Some("LOST"),
        "DR4: of both sides of a change the newest claim does not know to be over",
    ),
    row(Rule::Dr5, "dr5", "recover", Some("LOST"), "DR5: the newest claim is chosen"),
    row(Rule::Dr5Anchor, "dr5-anchor", "recover-rolled", Some("ANCHOR"), "DR5: a world older than a known anchor is refused"),
    row(Rule::Dr6, "dr6", "two-epochs", Some("LINEAGES"), "DR6: the epoch start is public before anything is served"),
    row(Rule::Dr7, "dr7", "two-epochs", Some("EPOCH"), "DR7: the recovered cluster lives in a new epoch"),
];

/// The rules in force: all, or all but one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The rule that was taken out.
    pub without: Option<Rule>,
}

impl Rules {
    /// Whether a rule is in force.
    pub fn keep(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}

/// The row of a name.
pub fn find(name: &str) -> Option<&'static Row> {
    RULES.iter().find(|row| row.name == name)
}
