//! How policies are printed: in words within 100 columns, or as JSON with the same content.
//!
//! Decides: dangers come first and are called so; every rule carries its field. Trusts: the library's sentences; texts of the document
//! have no control characters by their type. Out of scope: what the sentences say (`policy` of the library).

use super::show::wrap;
use crate::policy::{Change, Difference, Explanation, Obstacles, Point, PolicyFile, Section};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, TrustDomain};
use ringwall_wire::policy::PolicyDoc;
use serde_json::{Value, json};

/// An older policy and what is different.
pub(super) type Changed<'a> = (&'a PolicyDoc, Vec<Difference>);

fn domain(domain: TrustDomain) -> &'static str {
    match domain {
        TrustDomain::Production => "production",
        TrustDomain::Simulated => "simulated",
    }
}

fn title(explained: &Explanation) -> String {
    format!("policy version {}, trust domain {}\nsha256 {}\n", explained.version, domain(explained.trust_domain), explained.digest)
}

fn obstacles_text(obstacles: &Obstacles) -> String {
    let mut text = String::new();
    let mut list = |opening: &str, reasons: &[String]| {
        if !reasons.is_empty() {
            text.push_str(&format!("\n{opening}\n"));
            reasons.iter().for_each(|reason| text.push_str(&wrap(&format!("- {reason}"), 4)));
        }
    };
    let all = [obstacles.either.as_slice(), &obstacles.amd, &obstacles.intel].concat();
    match obstacles.lets_nothing_in() {
        true => list("THIS POLICY LETS NOTHING IN, because", &all),
        false => {
            list("No AMD machine is let in, because", &obstacles.amd);
            list("No Intel machine is let in, because", &obstacles.intel);
        }
    }
    text
}

fn dangers_text(dangers: &[Point]) -> String {
    let mut text = String::new();
    for Point { field, says, why } in dangers {
        text.push('\n');
        text.push_str(&wrap(&format!("WARNING: {says} [{field}]"), 4));
        text.push_str(&wrap(&format!("  {why}"), 4));
    }
    text
}

/// Whether a policy is complete, for people.
pub(super) fn inspection_text(name: &str, file: &PolicyFile, explained: &Explanation) -> String {
    let bytes = file.policy().encode().len();
    let complete = wrap(&format!("{name}: a complete policy ({} form, {bytes} canonical bytes)", file.form()), 2);
    let mut text = format!("{}\n{}", complete.trim(), title(explained));
    text.push_str(&obstacles_text(&explained.obstacles));
    text.push_str(&dangers_text(&explained.dangers));
    text
}

/// The same for programs.
pub(super) fn inspection_json(file: &PolicyFile, explained: &Explanation) -> Value {
    let mut object = head_json(explained);
    object["form"] = file.form().into();
    object["bytes"] = file.policy().encode().len().into();
    object
}

/// A policy in words.
pub(super) fn explanation_text(explained: &Explanation, changed: Option<&Changed<'_>>) -> String {
    let mut text = title(explained);
    if let Some(changed) = changed {
        text.push_str(&changes_text(changed));
    }
    text.push_str(&obstacles_text(&explained.obstacles));
    text.push_str(&dangers_text(&explained.dangers));
    for Section { title, points } in &explained.sections {
        text.push_str(&format!("\n{title}\n"));
        for Point { field, says, why } in points {
            text.push_str(&wrap(&format!("- {says} [{field}]"), 4));
            text.push_str(&wrap(&format!("  why: {why}"), 9));
        }
    }
    text.push_str("\nRefused whatever a policy says\n");
    Explanation::ALWAYS_REFUSED.iter().for_each(|words| text.push_str(&wrap(&format!("- {words}"), 4)));
    text
}

fn points_json(points: &[Point]) -> Vec<Value> {
    points.iter().map(|Point { field, says, why }| json!({ "field": field, "says": says, "why": why })).collect()
}

fn head_json(explained: &Explanation) -> Value {
    let Obstacles { either, amd, intel } = &explained.obstacles;
    json!({
        "digest": explained.digest.to_string(),
        "version": explained.version.0,
        "trust_domain": domain(explained.trust_domain),
        "lets_nothing_in": explained.obstacles.lets_nothing_in(),
        "obstacles": { "either": either, "amd": amd, "intel": intel },
        "warnings": points_json(&explained.dangers),
    })
}

/// The same as data.
pub(super) fn explanation_json(explained: &Explanation, changed: Option<&Changed<'_>>) -> Value {
    let mut object = head_json(explained);
    let section = |section: &Section| json!({ "title": section.title, "points": points_json(&section.points) });
    object["sections"] = explained.sections.iter().map(section).collect::<Vec<_>>().into();
    object["always_refused"] = Explanation::ALWAYS_REFUSED.into();
    if let Some(changed) = changed {
        object["change"] = verdict_json(changed);
    }
    object
}

/// What a change is as a whole.
fn kind((_, differences): &Changed<'_>) -> Option<Change> {
    differences.iter().map(|difference| difference.change).max()
}

/// What follows from a change, in one sentence.
pub(super) fn verdict_text(changed: &Changed<'_>) -> String {
    match kind(changed) {
        None => "Nothing changes.".into(),
        Some(Change::Neutral) => "Nothing about what is accepted changes.".into(),
        Some(Change::Tightening) => "The change tightens: it counts as soon as it is approved.".into(),
        Some(Change::Loosening) => {
            let wait_s = changed.0.governance.timelock_s;
            format!("The change LOOSENS: it waits {wait_s} seconds after approval (the old policy's `governance.timelock_s`).")
        }
    }
}

pub(super) fn changes_text(changed: &Changed<'_>) -> String {
    let (old, differences) = changed;
    let mut text = format!("\nCompared with policy version {}, {}\n", old.version, Digest(old.digest()));
    for change in [Change::Loosening, Change::Tightening, Change::Neutral] {
        for Difference { field, says, .. } in differences.iter().filter(|difference| difference.change == change) {
            text.push_str(&wrap(&format!("{:<10} {field}: {says}", change.name()), 13));
        }
    }
    text.push_str(&wrap(&verdict_text(changed), 2));
    text
}

/// A change as data.
pub(super) fn verdict_json(changed: &Changed<'_>) -> Value {
    let (old, differences) = changed;
    let one = |difference: &Difference| json!({ "field": difference.field, "change": difference.change.name(), "says": difference.says });
    let wait_s = if kind(changed) == Some(Change::Loosening) { old.governance.timelock_s } else { 0 };
    json!({
        "old": Digest(old.digest()).to_string(),
        "kind": kind(changed).map(Change::name),
        "wait_s": wait_s,
        "differences": differences.iter().map(one).collect::<Vec<_>>(),
    })
}
