//! Model B, held to what the project promises: nothing breaks with all rules, and something breaks without each that stands alone.
//!
//! Decides: bounds that take seconds. A rule behind which another one stands breaks nothing alone; then the scope was visited to its end, and a
//! further test takes out what stands behind it. Each counterexample is printed (`--nocapture`). Trusts: the rows of `session::rules`.
//! Out of scope: more runs, which the program searches. Protocol section 3.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use ringwall_model::search::{Bound, Outcome, search};
use ringwall_model::session::rules::{RULES, Rule, Rules};
use ringwall_model::session::{SCOPES, Session};

fn run(without: &[Rule], scope: &str, breaks: Option<&'static str>, worlds: usize) -> Outcome {
    let bound = Bound::new(worlds);
    let scope = *SCOPES.iter().find(|known| known.name == scope).unwrap();
    let model = Session { rules: Rules { without: without.to_vec() }, scope, bound: bound.clone() };
    search(model, breaks, &bound, 1)
}

#[track_caller]
fn breaks(without: &[Rule], scope: &str, property: &'static str) {
    let outcome = run(without, scope, Some(property), 0);
    let Some((broken, actions)) = outcome.broken else {
        panic!("without {without:?}, {property} holds in {scope}: {} worlds", outcome.worlds)
    };
    println!("without {without:?} in `{scope}`: {broken} breaks after {} actions ({} worlds)", actions.len(), outcome.worlds);
    actions.iter().for_each(|action| println!("    {action}"));
    assert_eq!(broken, property);
}

#[track_caller]
fn holds(without: &[Rule], scope: &str) {
    let outcome = run(without, scope, None, 0);
    assert!(outcome.broken.is_none(), "without {without:?} in {scope}: {:?}", outcome.broken);
    assert!(outcome.complete, "only {} worlds were visited", outcome.worlds);
    println!("without {without:?} in `{scope}`: nothing breaks in all {} worlds", outcome.worlds);
}

#[track_caller]
fn row(rule: Rule) {
    let row = RULES.iter().find(|row| row.rule == rule).unwrap();
    match row.breaks {
        Some(property) => breaks(&[rule], row.scope, property),
        None => holds(&[rule], row.scope),
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
    without_the_handshake_hash: HandshakeHash,
    without_the_nonce: Nonce,
    without_the_role: Role,
    without_the_static_key: StaticKey,
    without_the_members_key: MemberKey,
    without_the_cluster_in_the_binding: ClusterBinding,
    without_the_cluster_in_the_prologue: ClusterPrologue,
    without_the_cluster_id: ClusterId,
    without_the_list_of_chips: ChipList,
    without_the_image: Image,
    without_attesting_first: AttestFirst,
    without_attesting_second: AttestSecond,
}

#[test]
fn every_rule_has_a_test() {
    for row in &RULES {
        assert!(TESTED.contains(&row.rule), "{} has none", row.name);
        assert!(SCOPES.iter().any(|scope| scope.name == row.scope), "{} is looked for in {}, which is no scope", row.name, row.scope);
    }
}

/// A generator that repeats the client's ephemeral key: an old session is played again, and only the nonce tells.
#[test]
fn the_nonce_stands_behind_the_clients_ephemeral_key() {
    holds(&[], "repeats");
    breaks(&[Rule::Nonce], "repeats", "AGREEMENT");
}

/// Where no key leaked, role, own keys and the membership's record each stop reflection alone; all three must go.
#[test]
fn the_static_key_stands_behind_the_role() {
    for kept in [Rule::Role, Rule::StaticKey, Rule::MemberKey] {
        let without: Vec<Rule> = [Rule::Role, Rule::StaticKey, Rule::MemberKey].into_iter().filter(|rule| *rule != kept).collect();
        holds(&without, "sealed-answer");
    }
    breaks(&[Rule::Role, Rule::StaticKey, Rule::MemberKey], "sealed-answer", "REFLECTION");
}

#[test]
fn with_all_rules_no_scope_breaks_anything() {
    for scope in &SCOPES {
        let outcome = run(&[], scope.name, None, 200_000);
        println!("{}: {} worlds, {} deep, complete {}", scope.name, outcome.worlds, outcome.depth, outcome.complete);
        assert!(outcome.broken.is_none(), "{}: {:?}", scope.name, outcome.broken);
        assert!(outcome.complete || outcome.worlds >= 200_000, "{} stopped early", scope.name);
    }
}

#[test]
fn the_searches_are_not_empty() {
    assert!(run(&[], "client", None, 0).seen.contains(&"a client speaks to a member"));
    assert!(run(&[], "sealed", None, 0).seen.contains(&"two members accept each other"));
}
