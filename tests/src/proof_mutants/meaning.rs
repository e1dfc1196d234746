//! What of a release proof carries no meaning, so that a difference in it alone is no damage.
//!
//! Decides: the closed list. Of notes: (1) lines of keys nobody named, (2) the order of lines, (3) in Sigstore's checkpoints the names before a log's
//! signature, since those logs are found by the id in it. Of bundles: (4) white space, the order of members and whether a number is text; (5) `hint` and
//! `keyid`, since keys are tried; (6) the media type between forms that name a signer alike; (7) the index and the time of an
//! entry without a signed entry timestamp, since nothing is concluded from them; (8) a proof of time beside another that remains, and a doubled one;
//! (9) in a timestamp what its authority does not sign: status, versions, names of hashes, certificates, who signed; authorities are found by their keys.
//! Trusts: nothing. Out of scope: judging (`mod.rs`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringwall_sim::forge::{Content, Tlv};
use serde_json::Value;

/// A note's text, and its lines that `counts`, in one order.
fn note_with(text: &str, counts: impl Fn(&str, &[u8]) -> Option<String>) -> Option<String> {
    let (words, lines) = text.strip_suffix('\n')?.rsplit_once("\n\n")?;
    let line = |line: &str| {
        let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        counts(name, &STANDARD.decode(signature).ok()?)
    };
    let mut kept: Vec<String> = lines.split('\n').filter_map(line).collect();
    kept.sort();
    Some(format!("{words}\n{}", kept.join("\n")))
}

/// A C2SP note under these verifier keys (`name+id+key`).
pub(super) fn note(bytes: &[u8], keys: &[String]) -> Option<Vec<u8>> {
    let named = |name: &str, signature: &[u8]| {
        let id = ringwall_wire::text::hex(signature.get(..4)?);
        let own = keys.iter().any(|key| key.starts_with(&format!("{name}+{id}+")));
        own.then(|| format!("{name} {}", ringwall_wire::text::hex(signature)))
    };
    note_with(std::str::from_utf8(bytes).ok()?, named).map(String::into_bytes)
}

/// A Sigstore bundle, as one that is accepted in the place of `original` has it.
pub(super) fn bundle(original: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut told, mut wanted) = (plain(bytes)?, plain(original)?);
    // (8): what is left of the proofs of time is the original's; what it lacks counts for nothing in both.
    let entry = "/verificationMaterial/tlogEntries/0";
    if told.pointer(entry)?.get("inclusionPromise").is_none() {
        [&mut told, &mut wanted].into_iter().for_each(|one| one.pointer_mut(entry).into_iter().for_each(without_promise));
    }
    let kept = stamps(&mut told);
    let had = stamps(&mut wanted);
    let promised = told.pointer(entry)?.get("inclusionPromise").is_some();
    let times = kept.iter().all(|stamp| had.contains(stamp)) && (promised || !kept.is_empty());
    (times && told == wanted).then(|| b"the same".to_vec())
}

/// Without (4) to (7), its checkpoint by (1) to (3).
fn plain(bytes: &[u8]) -> Option<Value> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    numbers(&mut value);
    value.as_object_mut()?.remove("mediaType");
    value.as_object_mut()?.retain(|_, member| !member.is_null());
    let material = value.get_mut("verificationMaterial")?.as_object_mut()?;
    material.retain(|_, member| !member.is_null());
    if let Some(key) = material.get_mut("publicKey") {
        key.as_object_mut()?.remove("hint");
    }
    if let Some(signatures) = value.pointer_mut("/dsseEnvelope/signatures").and_then(Value::as_array_mut) {
        signatures.iter_mut().filter_map(Value::as_object_mut).for_each(|one| drop(one.remove("keyid")));
    }
    let entry = value.pointer_mut("/verificationMaterial/tlogEntries/0")?;
    entry.as_object_mut()?.retain(|_, member| !member.is_null());
    if entry.get("inclusionPromise").is_none() {
        without_promise(entry);
    }
    let id = STANDARD.decode(entry.pointer("/logId/keyId")?.as_str()?).ok()?;
    let envelope = entry.pointer_mut("/inclusionProof/checkpoint/envelope")?;
    let own = |_: &str, signature: &[u8]| (signature.get(..4)? == id.get(..4)?).then(|| ringwall_wire::text::hex(signature));
    *envelope = note_with(envelope.as_str()?, own)?.into();
    Some(value)
}

fn without_promise(entry: &mut Value) {
    if let Some(members) = entry.as_object_mut() {
        members.retain(|name, _| !matches!(name.as_str(), "inclusionPromise" | "logIndex" | "integratedTime"));
    }
}

fn numbers(value: &mut Value) {
    match value {
        Value::Number(number) => *value = number.to_string().into(),
        Value::Array(all) => all.iter_mut().for_each(numbers),
        Value::Object(all) => all.values_mut().for_each(numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Takes the timestamps out; what their authorities signed.
fn stamps(bundle: &mut Value) -> Vec<Option<Vec<u8>>> {
    let data =
        bundle.get_mut("verificationMaterial").and_then(Value::as_object_mut).and_then(|all| all.remove("timestampVerificationData"));
    let list = data.as_ref().and_then(|data| data.get("rfc3161Timestamps")).and_then(Value::as_array);
    list.into_iter().flatten().map(|one| stamp(one.get("signedTimestamp")?.as_str()?)).collect()
}

fn inside(value: &Tlv) -> Option<&[Tlv]> {
    match &value.content {
        Content::Parts(parts) => Some(parts),
        Content::Bytes(_) => None,
    }
}

/// What is signed of a timestamp, how, and the signature (9).
fn stamp(text: &str) -> Option<Vec<u8>> {
    let response = Tlv::parse(&STANDARD.decode(text).ok()?)?;
    let token = inside(inside(&response)?.get(1)?)?;
    let data = inside(inside(token.get(1)?)?.first()?)?;
    let signer = inside(inside(data.last()?)?.first()?)?;
    let parts = [token.first()?, data.get(2)?, signer.get(2)?, signer.get(3)?, signer.get(4)?, signer.get(5)?];
    Some(parts.iter().flat_map(|part| part.encode()).collect())
}
