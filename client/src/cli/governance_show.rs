//! How governance is printed: what is in force, what waits and until when, the lease; in words within 100 columns, or as JSON with the same content.
//!
//! Decides: a change that waits is shown with what it would do to the policy in force, loosenings first; times are the group's, and what is left of them is counted by
//! the group's own clock as the node tells it. Trusts: the view for what it shows; what a client acts on is verified elsewhere. Out of scope: asking (`governance.rs`).

use super::policy_show::{changes_text, verdict_json};
use super::show::{with, wrap};
use crate::policy::compare;
use ringwall_attest::date;
use ringwall_session::shown::{self, left_s};
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::{GovernanceView, PendingNotice, PendingPolicy, PolicyOutcome};
use ringwall_wire::policy::PolicyDoc;
use serde_json::{Value, json};

/// A span of seconds, for people: its two greatest units.
fn span(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (name, unit) in units {
        if rest >= unit {
            parts.push(format!("{} {name}", rest / unit));
            rest %= unit;
        }
    }
    match parts.get(..2) {
        Some(two) => two.join(" "),
        None => parts.pop().unwrap_or_else(|| "0 s".into()),
    }
}

/// What keeps a change from being in force.
fn waits(view: &GovernanceView, pending: &PendingPolicy) -> String {
    let left = left_s(view.now_ms, pending.ready_ms);
    let time = match left {
        0 => "its delay is over".to_owned(),
        left => format!("not in force before {} ({} left)", date(pending.ready_ms / 1_000), span(left)),
    };
    match pending.notice {
        PendingNotice::Missing => format!("{time}, nor without a notice from the log of releases"),
        PendingNotice::NotDemanded => format!("{time}; the policy names no witnesses, so the group's own clock is all that delays it"),
        PendingNotice::There => format!("{time}; it was public"),
    }
}

fn pending_text(view: &GovernanceView, pending: &PendingPolicy, in_force: &PolicyDoc) -> String {
    let change = pending.signed.change();
    let Ok(policy) = PolicyDoc::decode(&pending.signed.policy) else {
        return wrap(&format!("change {change} waits, and what it would put in force cannot be read"), 4);
    };
    let head = format!("version {} waits, proposed {}: {}", policy.version, date(pending.proposed_ms / 1_000), waits(view, pending));
    let mut text = wrap(&head, 4);
    text.push_str(&wrap(&format!("change {change}"), 4));
    text.push_str(changes_text(&(in_force, compare(in_force, &policy))).trim_start());
    text
}

fn lease_text(view: &GovernanceView) -> String {
    match view.lease_until_s {
        None => "no lease is demanded: members grant keys under this policy until another one is in force".into(),
        Some(until_s) => match left_s(view.now_ms, until_s.saturating_mul(1_000)) {
            0 => format!(
                "THE LEASE HAS LAPSED ({}): no member grants keys, to joiners or to workloads; reads and writes go on",
                date(until_s)
            ),
            left => format!("the lease runs until {} ({} left): then no member grants keys", date(until_s), span(left)),
        },
    }
}

/// Governance for people.
pub(super) fn view_text(view: &GovernanceView, in_force: &PolicyDoc) -> String {
    let since = date(view.since_ms / 1_000);
    let mut text = format!("policy version {} in force since {since}, after {} change(s)\n", view.version, view.steps);
    text.push_str(&format!("sha256 {}\n", view.in_force));
    if view.pending.is_empty() {
        text.push_str("no change waits\n");
    }
    view.pending.iter().for_each(|pending| text.push_str(&pending_text(view, pending, in_force)));
    text.push_str(wrap(&lease_text(view), 2).trim_start());
    text
}

fn pending_json(view: &GovernanceView, pending: &PendingPolicy, in_force: &PolicyDoc) -> Value {
    let policy = PolicyDoc::decode(&pending.signed.policy).ok();
    with(shown::pending(view, pending), "does", policy.map(|policy| verdict_json(&(in_force, compare(in_force, &policy)))))
}

/// The same for programs.
pub(super) fn view_json(view: &GovernanceView, in_force: &PolicyDoc) -> Value {
    let pending = view.pending.iter().map(|pending| pending_json(view, pending, in_force)).collect::<Vec<_>>();
    with(shown::governance(view), "pending", pending)
}

/// What a step of governance gave, for people.
pub(super) fn outcome_text(outcome: &PolicyOutcome) -> String {
    match outcome {
        PolicyOutcome::Pending(ready_ms) => {
            format!("it waits, not in force before {}; everybody sees it in `ringwall policy status`", date(ready_ms / 1_000))
        }
        PolicyOutcome::InForce(version) => format!("policy version {version} is in force"),
        PolicyOutcome::Noticed => "the notice is on record".into(),
        PolicyOutcome::Withdrawn => "the change is withdrawn and will not come into force".into(),
        PolicyOutcome::Leased(until_s) => format!("the lease runs until {}", date(*until_s)),
        PolicyOutcome::Refused(fault) => fault.words().into(),
    }
}

/// The same for programs.
pub(super) fn outcome_json(outcome: &PolicyOutcome, change: Option<&str>) -> Value {
    let mut object = match outcome {
        PolicyOutcome::Pending(ready_ms) => json!({ "outcome": "pending", "ready_ms": ready_ms }),
        PolicyOutcome::InForce(version) => json!({ "outcome": "in_force", "version": version.0 }),
        PolicyOutcome::Noticed => json!({ "outcome": "noticed" }),
        PolicyOutcome::Withdrawn => json!({ "outcome": "withdrawn" }),
        PolicyOutcome::Leased(until_s) => json!({ "outcome": "leased", "until_s": until_s }),
        PolicyOutcome::Refused(fault) => json!({ "outcome": "refused", "why": fault.words() }),
    };
    if let (Value::Object(fields), Some(change)) = (&mut object, change) {
        fields.insert("change".into(), change.into());
    }
    object
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_wire::bounded::{Blob, List};
    use ringwall_wire::ids::{Digest, PolicyVersion};
    use ringwall_wire::policy::SignedPolicy;

    fn view(lease_until_s: Option<u64>) -> (GovernanceView, PolicyDoc) {
        let in_force = ringwall_sim::world::policy();
        let mut next = PolicyDoc { version: PolicyVersion(2), ..in_force.clone() };
        next.session.reattest_s += 1;
        let digest = Digest(in_force.digest());
        let signed = SignedPolicy { replaces: Some(digest), policy: Blob::new(next.encode()).unwrap(), signatures: List::default() };
        let pending = PendingPolicy { signed, proposed_ms: 1_000_000, ready_ms: 4_600_000, notice: PendingNotice::Missing };
        let pending = List::new(vec![pending]).unwrap();
        let version = in_force.version;
        (GovernanceView { in_force: digest, version, since_ms: 5_000, steps: 0, pending, lease_until_s, now_ms: 1_000_001 }, in_force)
    }

    #[test]
    fn what_waits_is_shown_with_what_it_does_and_when() {
        let (view, in_force) = view(Some(2_000));
        let text = view_text(&view, &in_force);
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        for wanted in
            ["policy version 1 in force since 1970-01-01T00:00:05Z", "version 2 waits", "1 h left", "nor without a notice", "LOOSENS"]
        {
            assert!(words.contains(wanted), "{wanted}: {text}");
        }
        assert!(words.contains("16 min 40 s left"), "{text}");
        let shown = view_json(&view, &in_force);
        assert_eq!(shown["pending"][0]["left_s"], 3_600);
        assert_eq!((&shown["pending"][0]["does"]["kind"], &shown["pending"][0]["notice"]), (&json!("loosening"), &json!("missing")));
        assert_eq!(shown["lease_lapsed"], false);
    }

    #[test]
    fn a_lapsed_lease_says_so_and_none_is_none() {
        let (lapsed, in_force) = view(Some(1_000));
        assert!(view_text(&lapsed, &in_force).contains("THE LEASE HAS LAPSED"));
        assert_eq!(view_json(&lapsed, &in_force)["lease_lapsed"], true);
        let (none, _) = view(None);
        assert!(view_text(&none, &in_force).contains("no lease is demanded"));
        assert_eq!(view_json(&none, &in_force)["lease_until_s"], Value::Null);
    }

    #[test]
    fn spans_have_their_two_greatest_units() {
        for (seconds, words) in [(0, "0 s"), (59, "59 s"), (3_600, "1 h"), (3_661, "1 h 1 min"), (90_000, "1 d 1 h"), (86_401, "1 d 1 s")] {
            assert_eq!(span(seconds), words);
        }
    }
}
