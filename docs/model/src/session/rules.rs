//! The rules of an attested session that can be taken out, and what is expected of the model without each.
//!
//! Decides: names of rules and what must break. More than one can be out at once: some stand behind each other.
//! Trusts: nothing. Out of scope: what a rule does (`moves`). Protocol sections 2.2 and 3.

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "`RULES` says what each one is")]
pub enum Rule {
    HandshakeHash,
    Nonce,
    Role,
    StaticKey,
    MemberKey,
    ClusterBinding,
    ClusterPrologue,
    ClusterId,
    ChipList,
    Image,
    AttestFirst,
    AttestSecond,
}

/// A rule with its name on the command line and its meaning.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Rule.
    pub rule: Rule,
    /// Name.
    pub name: &'static str,
    /// The scope in which its absence is looked for.
    pub scope: &'static str,
    /// The property that must break; none where another rule stands behind this one, as the README says.
    pub breaks: Option<&'static str>,
    /// What the rule says.
    pub says: &'static str,
}

const fn row(rule: Rule, name: &'static str, scope: &'static str, breaks: Option<&'static str>, says: &'static str) -> Row {
    Row { rule, name, scope, breaks, says }
}

/// Every rule.
pub const RULES: [Row; 12] = [
    row(Rule::HandshakeHash, "handshake-hash", "client", Some("SECRECY"), "evidence is bound to the handshake hash"),
    row(Rule::Nonce, "client-nonce", "client", None, "evidence is bound to the asker's nonce"),
    row(Rule::Role, "role", "member", Some("REFLECTION"), "evidence is bound to the part its maker has in the protocol"),
    row(Rule::StaticKey, "static-key", "member", None, "evidence is bound to its maker's own keys"),
    row(
        Rule::MemberKey,
        "member-key",
        "member",
        Some("REFLECTION"),
        "a member's key is the one its admission records; a dialler knows whom it dials",
    ),
    row(Rule::ClusterBinding, "cluster-in-binding", "client", None, "evidence is bound to the cluster id"),
    row(Rule::ClusterPrologue, "cluster-in-prologue", "client", None, "the handshake is bound to the cluster id"),
    row(Rule::ClusterId, "cluster-id", "client", Some("SECRECY"), "the cluster id is in evidence and handshake"),
    row(Rule::ChipList, "chip-list", "client", Some("SECRECY"), "the chip is one the policy lists"),
    row(Rule::Image, "image", "client", Some("SECRECY"), "the measurement is one the policy names"),
    row(Rule::AttestFirst, "attest-first", "client", Some("SECRECY"), "nothing is said before evidence was accepted (SB1)"),
    row(
        Rule::AttestSecond,
        "attest-second",
        "member",
        Some("REFLECTION"),
        "a member that dialled attests once it has accepted the other side",
    ),
];

/// The rules in force: all but those taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Rules that were taken out.
    pub without: Vec<Rule>,
}

impl Rules {
    /// Whether a rule is in force.
    pub fn keep(&self, rule: Rule) -> bool {
        !self.without.contains(&rule)
    }
}

/// The row of a name.
pub fn find(name: &str) -> Option<&'static Row> {
    RULES.iter().find(|row| row.name == name)
}
