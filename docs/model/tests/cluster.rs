//! Model A, held to what the project promises: nothing breaks with all rules, and something breaks without each.
//!
//! Decides: bounds that take seconds. Every rule's row is searched twice in its scope, without the rule and with it, so that a counterexample is
//! the rule's absence and not the scope. Each counterexample is printed (`--nocapture`). Trusts: the rows of `cluster::rules`.
//! Out of scope: ten million worlds, which the program searches. Protocol sections 4 and 6.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use ringwall_model::cluster::Cluster;
use ringwall_model::cluster::rules::{RULES, Rule, Rules};
use ringwall_model::cluster::scope::{SCOPES, Scope};
use ringwall_model::search::{Bound, Outcome, search};

/// Worlds of the big search: the least the project promises of a test.
const WORLDS: usize = 1_000_000;
/// Worlds of a search whose scope is not small enough to be visited to its end.
const ENOUGH: usize = 500_000;

fn run(without: Option<Rule>, scope: &str, breaks: Option<&'static str>, worlds: usize) -> Outcome {
    let bound = Bound::new(worlds);
    let scope = *Scope::find(scope).unwrap();
    let model = Cluster { rules: Rules { without }, scope, bound: bound.clone() };
    search(model, breaks, &bound, if worlds == WORLDS { 2 } else { 1 })
}

#[track_caller]
fn breaks(rule: Rule, scope: &str, property: &'static str) {
    let outcome = run(Some(rule), scope, Some(property), 0);
    let Some((broken, actions)) = outcome.broken else {
        panic!("without {rule:?}, {property} holds in {scope}: {} worlds", outcome.worlds)
    };
    println!("without {rule:?} in `{scope}`: {broken} breaks after {} actions ({} worlds)", actions.len(), outcome.worlds);
    actions.iter().for_each(|action| println!("    {action}"));
    assert_eq!(broken, property);
}

/// The row of a rule: what it says breaks, breaks; where it says nothing does, the scope was visited to its end.
#[track_caller]
fn row(rule: Rule) {
    let row = RULES.iter().find(|row| row.rule == rule).unwrap();
    match row.breaks {
        Some(property) => breaks(rule, row.scope, property),
        None => {
            let outcome = run(Some(rule), row.scope, None, 0);
            assert!(outcome.broken.is_none(), "{rule:?} matters after all: {:?}", outcome.broken);
            assert!(outcome.complete, "only {} worlds were visited", outcome.worlds);
            println!("without {rule:?} in `{}`: nothing breaks in all {} worlds", row.scope, outcome.worlds);
        }
    }
}

macro_rules! rows {
    ($($name:ident: $rule:ident,)*) => {
        $(#[test] fn $name() { row(Rule::$rule); })*
        /// The rules that have a test.
        const TESTED: &[Rule] = &[$(Rule::$rule),*];
    };
}

rows! {
    without_fresh_incarnations: FreshIncarnation,
    without_the_occupied_slot: Occupied,
    without_two_endorsements: Endorsements,
    without_another_vendor: OtherVendor,
    without_admission_before_the_grant: GrantAfterCommit,
    without_the_proof_of_having_caught_up: CatchUp,
    without_joint_majorities: Joint,
    without_fencing: Fencing,
    without_a_durable_majority: Durable,
    without_a_quorum_for_reads: ReadQuorum,
    without_v1: V1,
    without_the_receiving_half_of_v1: V1Gate,
    without_v2: V2,
    without_a_proof_of_admission: AdmissionProof,
    without_v3_for_epochs: V3Epoch,
    without_v3_for_who_is_out: V3Out,
    without_v4: V4,
    without_v4_for_campaigns: V4Campaign,
    without_dr1: Dr1,
    without_dr2: Dr2,
    without_dr3: Dr3,
    without_dr4: Dr4,
    without_dr4_counting_voters: Dr4Voters,
    without_dr4_on_both_sides_of_a_change: Dr4Joint,
    without_dr5: Dr5,
    without_the_anchors_of_dr5: Dr5Anchor,
    without_dr6: Dr6,
    without_dr7: Dr7,
}

#[test]
fn every_rule_has_a_test() {
    for row in &RULES {
        assert!(TESTED.contains(&row.rule), "{} has none", row.name);
        assert!(Scope::find(row.scope).is_some(), "{} is looked for in {}, which is no scope", row.name, row.scope);
    }
}

/// The two sides of decision 1: a disk put back makes a member vote twice, and loses what was acknowledged.
#[test]
fn a_disk_put_back_votes_twice_and_loses_writes() {
    breaks(Rule::FreshIncarnation, "restart", "IN1");
    breaks(Rule::FreshIncarnation, "restart", "IN4");
}

/// A loss that is not public is a loss nobody can notice.
#[test]
fn without_dr6_a_loss_is_silent() {
    breaks(Rule::Dr6, "two-epochs", "LINEAGES");
    let outcome = run(Some(Rule::Dr6), "recover-rolled", Some("DETECT"), 0);
    assert_eq!(outcome.broken.unwrap().0, "DETECT");
}

#[test]
fn the_receiving_half_of_v1_is_not_needed_against_rogues_either() {
    let outcome = run(Some(Rule::V1Gate), "vote-rogue", None, ENOUGH);
    assert!(outcome.broken.is_none(), "{:?}", outcome.broken);
}

/// Two voters of the broken vendor are enough for a joiner of it, where the rule of the other vendor is missing; among three slots there never
/// are two besides the replaced one.
#[test]
fn among_three_slots_the_other_vendor_adds_nothing() {
    let outcome = run(Some(Rule::OtherVendor), "join-rogue", None, 0);
    assert!(outcome.broken.is_none() && outcome.complete, "{outcome:?}");
}

#[test]
fn with_all_rules_no_scope_breaks_anything() {
    let mut seen = Vec::new();
    for scope in SCOPES.iter().filter(|scope| scope.name != "full") {
        let outcome = run(None, scope.name, None, ENOUGH);
        println!("{}: {} worlds, {} deep, complete {}", scope.name, outcome.worlds, outcome.depth, outcome.complete);
        assert!(outcome.broken.is_none(), "{}: {:?}", scope.name, outcome.broken);
        assert!(outcome.complete || outcome.worlds >= ENOUGH, "{} stopped early", scope.name);
        seen.extend(outcome.seen);
    }
    for possible in ["a second leader acknowledges", "a joiner becomes a voter", "a recovered cluster acknowledges"] {
        assert!(seen.contains(&possible), "in no scope {possible}: the searches are emptier than they look");
    }
}

#[test]
fn a_million_worlds_of_everything_at_once_break_nothing() {
    let outcome = run(None, "full", None, WORLDS);
    println!("full: {} worlds ({} generated), {} deep", outcome.worlds, outcome.generated, outcome.depth);
    assert!(outcome.broken.is_none(), "{:?}", outcome.broken);
    assert!(outcome.worlds >= WORLDS, "only {} worlds", outcome.worlds);
}
