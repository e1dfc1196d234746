//! The architecture as a graph: which crate may know which, what pure crates never reach, how much foreign code each one carries.
//!
//! Decides: the table of arrows, the words no pure crate reaches, the budget of each crate. Trusts: `cargo metadata`.
//! Out of scope: what stands inside a file (rules.rs). ARCHITECTURE.md, "Arrows"; style rules 1 and 15.

use cargo_metadata::{DependencyKind, Metadata, Package, PackageId};
use std::collections::{BTreeMap, BTreeSet};

/// Crate, what it may depend on, and how many foreign packages may be linked into it (Linux). The numbers are what they are: a higher
/// one is a decision that shows in the change. Cargo resolves features for the whole workspace: the other verifiers that `tests` compares ours
/// with switch on `getrandom` under shared crates, and `sim` tables of multiples under the curves; both count here and are in no shipped program.
pub(crate) const ARROWS: [(&str, &[&str], usize); 12] = [
    ("wire", &[], 17),
    ("attest", &["wire"], 115),
    ("channel", &["wire", "attest"], 129),
    ("keys", &["wire"], 49),
    ("quic", &[], 65),
    ("consensus", &["wire"], 85),
    ("node", &["wire", "attest", "channel", "keys", "quic", "consensus"], 249),
    ("session", &["wire", "attest", "channel", "keys"], 150),
    ("client", &["wire", "attest", "channel", "keys", "quic", "session"], 221),
    ("web", &["wire", "attest", "session"], 150),
    ("sim", &["wire", "attest", "channel", "keys", "quic", "node", "session", "client"], 262),
    ("tests", &["wire", "attest", "channel", "keys", "quic", "consensus", "node", "session", "client", "sim"], 322),
];
/// `#![no_std]`, no sockets, files, threads, clocks.
pub(crate) const PURE: [&str; 4] = ["wire", "attest", "channel", "keys"];
/// What no pure crate reaches.
const IMPURE: [&str; 14] = [
    "tokio",
    "mio",
    "quinn",
    "quinn-proto",
    "redb",
    "openraft",
    "rustls",
    "hyper",
    "reqwest",
    "rustix",
    "async-std",
    "smol",
    "socket2",
    "tracing-subscriber",
];
/// What is shipped.
const SHIPPED: [&str; 10] = ["wire", "attest", "channel", "keys", "quic", "consensus", "node", "session", "client", "web"];

/// Name of a member: `ringwall-wire` is `wire`.
pub(crate) fn folder(package: &str) -> Option<&str> {
    package.strip_prefix("ringwall-")
}

/// Where a member lies: in the folder of its name, but for one, which is a client's.
pub(crate) fn place(member: &str) -> String {
    if member == "web" { "client/web".to_owned() } else { member.to_owned() }
}

/// One declared dependency between members.
#[derive(Clone, Debug)]
pub(crate) struct Arrow {
    /// Who depends.
    pub(crate) from: String,
    /// On whom.
    pub(crate) to: String,
    /// Only for its tests.
    pub(crate) for_tests: bool,
}

/// Features no shipped program may have.
const TEST_FEATURES: [&str; 3] = ["faults", "defects", FOR_ATTACKS];
/// The one no dependency may ask for, not even the suites': a build for attacks is made by a person, and is made apart.
const FOR_ATTACKS: &str = "without";

/// Every arrow between members, as their manifests declare them.
pub(crate) fn arrows(metadata: &Metadata) -> Vec<Arrow> {
    let mut found = Vec::new();
    for package in metadata.workspace_packages() {
        let Some(from) = folder(&package.name) else { continue };
        for dependency in &package.dependencies {
            if let Some(to) = folder(&dependency.name) {
                let for_tests = dependency.kind == DependencyKind::Development;
                found.push(Arrow { from: from.to_owned(), to: to.to_owned(), for_tests });
            }
        }
    }
    found
}

/// Arrows that are not in the table. Tests may use the crate itself (for its samplers) and simulated evidence besides.
pub(crate) fn wrong_arrows(arrows: &[Arrow]) -> Vec<String> {
    let legal = |arrow: &&Arrow| {
        let Some((_, targets, _)) = ARROWS.iter().find(|(name, _, _)| *name == arrow.from) else { return false };
        targets.contains(&arrow.to.as_str()) || (arrow.for_tests && (arrow.to == "sim" || arrow.to == arrow.from))
    };
    let wrong = arrows.iter().filter(|arrow| !legal(arrow));
    wrong.map(|arrow| format!("{} -> {}{}", arrow.from, arrow.to, if arrow.for_tests { " (tests)" } else { "" })).collect()
}

/// Names of all packages that are linked into a member: normal dependencies, without macros and what only macros need.
pub(crate) fn reached(metadata: &Metadata, member: &str) -> BTreeSet<String> {
    let names: BTreeMap<&PackageId, &Package> = metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let resolve = metadata.resolve.as_ref().expect("metadata was asked for the resolve graph");
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let start =
        metadata.workspace_packages().into_iter().find(|package| folder(&package.name) == Some(member)).expect("a member of this name");
    let (mut open, mut seen) = (vec![&start.id], BTreeSet::new());
    while let Some(id) = open.pop() {
        let Some(node) = nodes.get(id) else { continue };
        for next in &node.deps {
            let counts = next.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            let linked = counts && !names[&next.pkg].targets.iter().any(|target| target.is_proc_macro());
            if linked && seen.insert(&next.pkg) {
                open.push(&next.pkg);
            }
        }
    }
    seen.into_iter().map(|id| format!("{}@{}", names[id].name, names[id].version)).collect()
}

fn name_of(package: &str) -> &str {
    package.split('@').next().unwrap_or(package)
}

/// Foreign packages among what a member reaches, and why there are too many.
pub(crate) fn over_budget(member: &str, reached: &BTreeSet<String>) -> Option<String> {
    let foreign = reached.iter().filter(|package| folder(name_of(package)).is_none()).count();
    let (_, _, budget) = ARROWS.iter().find(|(name, _, _)| *name == member)?;
    (foreign > *budget).then(|| format!("{member} reaches {foreign} foreign packages, budget {budget}"))
}

/// What a pure crate must not reach, among what it reaches.
pub(crate) fn impurities(reached: &BTreeSet<String>) -> Vec<&str> {
    reached.iter().map(|package| name_of(package)).filter(|name| IMPURE.contains(name)).collect()
}

/// Features that exist for tests: a disk that lies, rules that are left out. Who asks for one of them, and whether for its own tests.
pub(crate) fn test_features(metadata: &Metadata) -> Vec<(String, String, bool)> {
    let mut found = Vec::new();
    for package in metadata.workspace_packages() {
        let Some(from) = folder(&package.name) else { continue };
        for dependency in &package.dependencies {
            let for_tests = dependency.kind == DependencyKind::Development;
            let asked = dependency.features.iter().filter(|feature| TEST_FEATURES.contains(&feature.as_str()));
            found.extend(asked.map(|feature| (from.to_owned(), feature.clone(), for_tests)));
        }
        let by_default = package.features.iter().filter(|(name, _)| !TEST_FEATURES.contains(&name.as_str()));
        for (_, enabled) in by_default {
            let named = enabled.iter().filter(|name| TEST_FEATURES.iter().any(|feature| name.split('/').next_back() == Some(feature)));
            found.extend(named.map(|name| (from.to_owned(), name.clone(), false)));
        }
    }
    found
}

/// Who must not ask for such a feature: everybody but the suites, beside a crate's own tests.
pub(crate) fn wrong_features(asked: &[(String, String, bool)]) -> Vec<String> {
    let apart = |feature: &str| feature.split('/').next_back() == Some(FOR_ATTACKS);
    let wrong = asked.iter().filter(|(from, feature, for_tests)| apart(feature) || (from != "tests" && !for_tests));
    wrong.map(|(from, feature, _)| format!("{from} switches on `{feature}`, which is for tests")).collect()
}

/// Everything wrong with the graph.
pub(crate) fn complaints(metadata: &Metadata) -> Vec<String> {
    let mut found = wrong_arrows(&arrows(metadata));
    found.extend(wrong_features(&test_features(metadata)));
    for (member, _, _) in ARROWS {
        let reached = reached(metadata, member);
        found.extend(over_budget(member, &reached));
        if PURE.contains(&member) {
            found.extend(impurities(&reached).into_iter().map(|name| format!("{member} is pure and reaches {name}")));
        }
        if SHIPPED.contains(&member) && reached.iter().any(|package| name_of(package) == "ringwall-sim") {
            found.push(format!("{member} is shipped and reaches simulated TEEs"));
        }
    }
    found
}

/// Why the root file of a pure crate does not keep the standard library out.
pub(crate) fn std_complaint(text: &str) -> Option<&'static str> {
    let code = super::source::Source::new(text).shipped();
    if !code.contains("#![no_std]") {
        return Some("no `#![no_std]`");
    }
    code.contains("extern crate std").then_some("links the standard library outside tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: &str, to: &str, for_tests: bool) -> Arrow {
        Arrow { from: from.to_owned(), to: to.to_owned(), for_tests }
    }

    #[test]
    fn wrong_arrows_bite() {
        for (from, to) in
            [("wire", "attest"), ("keys", "attest"), ("attest", "keys"), ("consensus", "keys"), ("client", "consensus"), ("node", "sim")]
        {
            assert_eq!(wrong_arrows(&[arrow(from, to, false)]).len(), 1, "{from} -> {to}");
        }
        assert_eq!(wrong_arrows(&[arrow("newcomer", "wire", false)]).len(), 1, "a crate outside the table");
        assert_eq!(wrong_arrows(&[arrow("client", "consensus", true)]).len(), 1, "tests do not excuse every arrow");
        assert!(wrong_arrows(&[arrow("node", "keys", false), arrow("attest", "sim", true), arrow("wire", "wire", true)]).is_empty());
    }

    #[test]
    fn a_shipped_crate_with_a_feature_for_tests_bites() {
        let asks = |from: &str, for_tests| (from.to_owned(), "defects".to_owned(), for_tests);
        assert_eq!(wrong_features(&[asks("node", false)]).len(), 1);
        assert_eq!(wrong_features(&[asks("consensus", false)]).len(), 1, "by a default of its own");
        assert!(wrong_features(&[asks("tests", false), asks("consensus", true)]).is_empty());
        for feature in ["without", "ringwall-wire/without"] {
            for (from, for_tests) in [("tests", false), ("sim", true), ("node", false)] {
                assert_eq!(wrong_features(&[(from.to_owned(), feature.to_owned(), for_tests)]).len(), 1, "{from}: {feature}");
            }
        }
    }

    #[test]
    fn budgets_and_impurities_bite() {
        let many: BTreeSet<String> = (0..18).map(|number| format!("crate-{number}@1.0.0")).collect();
        assert!(over_budget("wire", &many).is_some());
        let tokio: BTreeSet<String> = ["tokio@1.0.0".to_owned(), "sha2@0.11.0".to_owned()].into();
        assert_eq!(impurities(&tokio), ["tokio"]);
        assert!(over_budget("wire", &tokio).is_none());
    }

    #[test]
    fn std_bites() {
        assert!(std_complaint("//! Doc.\nextern crate alloc;\n").is_some());
        assert!(std_complaint("#![no_std]\nextern crate std;\n").is_some());
        assert!(std_complaint("// #![no_std]\n").is_some());
        assert!(std_complaint("#![no_std]\n#[cfg(test)]\nextern crate std;\n").is_none());
    }
}
