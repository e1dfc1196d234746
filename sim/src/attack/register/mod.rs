//! The register of attacks as one table: what is tried, what it breaks elsewhere, what answers here and where, and who performs it.
//!
//! Decides: the rows, which are those of docs/protocol.md, section 1.2 (a test compares names and states). A row whose target does not exist yet is planned; the
//! test has a closed list of these, so that no other row is left without its attack. Trusts: nothing.
//! Out of scope: performing (the files beside this folder), the page that shows the table (`page.rs`). Protocol section 1.2.

mod evidence;
mod members;
mod others;

use super::report::Report;
use super::stage::Stage;
use crate::demo::DemoError;
use ringwall_wire::without::Defence;
use std::pin::Pin;

/// An attack under way.
pub type Performing<'a> = Pin<Box<dyn Future<Output = Result<Report, DemoError>> + 'a>>;
/// How an attack is performed.
pub type Perform = for<'a> fn(&'a mut Stage) -> Performing<'a>;

/// What an attack is performed against; each has a test of its own in tests/tests/attacks.rs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scene {
    /// The real verifier and the real key hierarchy, without a network.
    Verifier,
    /// A false node over real QUIC, and a real client.
    FalseNode,
    /// A cluster of three processes that is as it was afterwards.
    Cluster,
    /// A cluster of three processes of its own.
    OwnCluster,
    /// A cluster with custodians, whose processes are all killed and which is recovered.
    Outage,
}

impl Scene {
    /// All of them.
    pub const ALL: [Scene; 5] = [Scene::Verifier, Scene::FalseNode, Scene::Cluster, Scene::OwnCluster, Scene::Outage];

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Scene::Verifier => "verifier and keys",
            Scene::FalseNode => "a false node, a real client",
            Scene::Cluster | Scene::OwnCluster => "three processes",
            Scene::Outage => "three processes with custodians, killed and recovered",
        }
    }

    /// The test that performs it.
    pub const fn test(self) -> &'static str {
        match self {
            Scene::Verifier => "attacks_on_the_verifier_and_on_keys_are_held_off",
            Scene::FalseNode => "false_nodes_are_held_off",
            Scene::Cluster => "attacks_on_a_cluster_that_stays_as_it_was_are_held_off",
            Scene::OwnCluster => "attacks_that_need_a_cluster_of_their_own_are_held_off",
            Scene::Outage => "attacks_on_custody_and_recovery_are_held_off",
        }
    }
}

/// How a row is shown.
#[derive(Clone, Copy, Debug)]
pub enum Shown {
    /// An attack is performed.
    Performed {
        /// Against what.
        scene: Scene,
        /// By what.
        perform: Perform,
        /// Which evidence is left of it.
        remains: &'static str,
        /// Defences without which it succeeds, in a build made for that.
        without: &'static [Defence],
    },
    /// Performed apart, because it needs what this program has not: by which file, which shows it succeed without the defence, too.
    Apart(&'static str),
    /// What it attacks does not exist yet: what is missing.
    Planned(&'static str),
}

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Name of the row.
    pub id: &'static str,
    /// What the attacker does.
    pub attack: &'static str,
    /// What that breaks where nothing answers.
    pub breaks: &'static str,
    /// What answers here.
    pub defence: &'static str,
    /// Section of the protocol.
    pub section: &'static str,
    /// Where in the code.
    pub code: &'static [&'static str],
    /// How it is shown.
    pub shown: Shown,
}

impl Row {
    /// Whether an attack is performed, here or apart.
    pub fn is_performed(&self) -> bool {
        !matches!(self.shown, Shown::Planned(_))
    }

    /// Against what it is performed.
    pub fn scene(&self) -> Option<Scene> {
        match self.shown {
            Shown::Performed { scene, .. } => Some(scene),
            Shown::Apart(_) | Shown::Planned(_) => None,
        }
    }

    /// Defences without which it succeeds.
    pub fn without(&self) -> &'static [Defence] {
        match self.shown {
            Shown::Performed { without, .. } => without,
            Shown::Apart(_) | Shown::Planned(_) => &[],
        }
    }
}

/// Rows that are performed and have no defence that could be left out to see them succeed, and why.
pub const ALONE: [(&str, &str); 2] = [
    (
        "R9",
        "the one who answers is not compared then with the one who was meant; but in a cluster of three the answer of any other member makes a \
         majority, under whatever name it is counted, so nothing is lost by it",
    ),
    (
        "S3",
        "the longest frame, the windows of the pipe, the one stream of a stranger and strict decoding stand one behind the other: without one of \
         them the next one bounds what a stranger takes; bandwidth anybody can take, and nothing here prevents it",
    ),
];

/// All rows, in the order of the protocol.
pub fn rows() -> Vec<Row> {
    [members::ROWS, evidence::ROWS, others::ROWS].concat()
}

/// The row of this name, in any case.
pub fn row(id: &str) -> Option<Row> {
    rows().into_iter().find(|row| row.id.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_defence_that_can_be_left_out_belongs_to_an_attack() {
        let used: BTreeSet<Defence> = rows().iter().flat_map(|row| row.without()).copied().collect();
        let all: BTreeSet<Defence> = Defence::ALL.iter().copied().collect();
        assert_eq!(used, all);
    }

    #[test]
    fn whoever_performs_an_attack_that_cannot_succeed_says_why() {
        let never: Vec<&str> = rows().iter().filter(|row| row.scene().is_some() && row.without().is_empty()).map(|row| row.id).collect();
        assert_eq!(never, ALONE.map(|(row, _)| row));
    }

    #[test]
    fn rows_are_whole_and_found_by_name() {
        let rows = rows();
        let names: BTreeSet<&str> = rows.iter().map(|row| row.id).collect();
        assert_eq!(names.len(), rows.len());
        for one in &rows {
            assert!(
                [one.attack, one.breaks, one.defence, one.section].iter().all(|cell| !cell.is_empty() && !cell.contains('|')),
                "{}",
                one.id
            );
            assert!(one.is_performed() != one.code.is_empty(), "{}: code where something answers, and nowhere else", one.id);
            assert_eq!(row(&one.id.to_lowercase()).map(|found| found.id), Some(one.id));
        }
    }
}
