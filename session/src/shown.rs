//! What a client saw, as JSON with stable names: for `ringwall --json`, for the page, for other languages.
//!
//! Decides: names and shapes; bytes that are no text are shown as `..._hex`. A name never changes its meaning. Trusts: what it is given.
//! Out of scope: what is asked, text for people (`client`). docs/explain.md, docs/core.md.

use crate::recovered::{Publicity, Recovery};
use crate::verification::Verification;
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::{GovernanceView, PendingNotice, PendingPolicy};
use ringwall_wire::ids::{TrustDomain, UserId};
use ringwall_wire::policy::{PlatformUnseal, PolicyDoc};
use ringwall_wire::request::ClusterStatus;
use ringwall_wire::session::MemberHint;
use ringwall_wire::text::hex;
use ringwall_wire::user::{DeviceShown, UserShown};
use serde_json::{Map, Value, json};

/// Puts bytes into an object: as `name` when they are text, else as `name_hex`.
pub fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.into(), text.into()),
        Err(_) => object.insert(format!("{name}_hex"), hex(bytes).into()),
    };
}

/// `object` with the fields of `more`.
pub fn merged(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

fn member(member: &MemberHint) -> Value {
    json!({
        "slot": member.slot.0,
        "incarnation": member.incarnation.0,
        "vendor": member.vendor.to_string(),
        "address": &*member.address,
    })
}

/// State of the cluster.
pub fn status(status: &ClusterStatus) -> Value {
    json!({
        "slot": status.slot.0,
        "incarnation": status.incarnation.0,
        "leader": status.leader.0,
        "term": status.term,
        "applied": status.applied,
        "revision": status.revision.0,
        "voters": status.voters.iter().map(member).collect::<Vec<_>>(),
        "learners": status.learners.iter().map(member).collect::<Vec<_>>(),
    })
}

/// A recovery a node told of.
pub fn recovery(recovery: &Recovery, now_s: u64) -> Value {
    let (publicity, index) = match &recovery.publicity {
        Publicity::NoLog => ("no log", None),
        Publicity::NotShown => ("not shown", None),
        Publicity::Refused(_) => ("refused", None),
        Publicity::Public { index, .. } => ("public", Some(*index)),
    };
    json!({
        "epoch": recovery.start.epoch.0, "began_s": recovery.began_s, "entries": recovery.start.previous.size,
        "publicity": publicity, "index": index, "words": recovery.words(now_s),
    })
}

/// What was verified of a node.
pub fn verification(seen: &Verification) -> Value {
    json!({
        "address": seen.address,
        "cluster": seen.cluster_id.to_string(),
        "epoch": seen.epoch.0,
        "incarnation": seen.incarnation.0,
        "trust_domain": domain(seen.trust_domain),
        "vendor": seen.vendor.to_string(),
        "chip": seen.chip.to_string(),
        "measurement": seen.measurement,
        "svn": seen.svn,
        "policy_version": seen.policy_version.0,
        "platform_unseal": unseal(seen.platform_unseal),
        "steps": seen.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// A trust domain's name.
pub fn domain(domain: TrustDomain) -> &'static str {
    match domain {
        TrustDomain::Production => "production",
        TrustDomain::Simulated => "simulated",
    }
}

fn unseal(unseal: PlatformUnseal) -> &'static str {
    match unseal {
        PlatformUnseal::Never => "never",
        PlatformUnseal::SameChips => "same_chips",
    }
}

fn device(device: &DeviceShown) -> Value {
    json!({
        "tag": device.tag.to_string(),
        "name": device.name.to_string(),
        "credential": device.cred.to_string(),
        "added_s": device.added_ms / 1_000,
        "revoked_s": (device.revoked_ms != 0).then_some(device.revoked_ms / 1_000),
    })
}

/// A user's record.
pub fn record(user: &UserId, shown: &UserShown) -> Value {
    json!({
        "user": user.to_string(),
        "seq": shown.seq,
        "digest": shown.digest.to_string(),
        "devices": shown.devices.iter().map(device).collect::<Vec<_>>(),
        "recovery": shown.recovery.map(|row| json!({ "cool_down_s": row.cool_down_s, "set_s": row.set_ms / 1_000 })),
        "restoring": shown.restoring.as_ref().map(|waiting| json!({
            "tag": waiting.device.tag.to_string(),
            "credential": waiting.device.cred.to_string(),
            "ready_s": waiting.ready_ms.div_ceil(1_000),
        })),
    })
}

/// Seconds from `now_ms` until a moment; 0 when it is past.
pub fn left_s(now_ms: u64, until_ms: u64) -> u64 {
    until_ms.saturating_sub(now_ms).div_ceil(1_000)
}

fn notice(notice: PendingNotice) -> &'static str {
    match notice {
        PendingNotice::NotDemanded => "not_demanded",
        PendingNotice::Missing => "missing",
        PendingNotice::There => "there",
    }
}

/// A change of the policy that waits.
pub fn pending(view: &GovernanceView, pending: &PendingPolicy) -> Value {
    let policy = PolicyDoc::decode(&pending.signed.policy).ok();
    json!({
        "change": pending.signed.change().to_string(),
        "version": policy.as_ref().map(|policy| policy.version.0),
        "proposed_ms": pending.proposed_ms,
        "ready_ms": pending.ready_ms,
        "left_s": left_s(view.now_ms, pending.ready_ms),
        "notice": notice(pending.notice),
        "signatures": pending.signed.signatures.len(),
    })
}

/// What governs the cluster.
pub fn governance(view: &GovernanceView) -> Value {
    json!({
        "in_force": view.in_force.to_string(),
        "version": view.version.0,
        "since_ms": view.since_ms,
        "changes": view.steps,
        "pending": view.pending.iter().map(|waits| pending(view, waits)).collect::<Vec<_>>(),
        "lease_until_s": view.lease_until_s,
        "lease_lapsed": view.lease_until_s.is_some_and(|until_s| left_s(view.now_ms, until_s.saturating_mul(1_000)) == 0),
        "now_ms": view.now_ms,
    })
}
