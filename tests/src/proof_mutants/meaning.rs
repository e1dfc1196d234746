//! What of a release proof carries no meaning, so that a difference in it alone is no damage.
//!
//! Decides: the closed list. Of notes: (1) lines of keys nobody named, (2) the order of lines, (3) in Sigstore's checkpoints the names before a log's
//! signature, since those logs are found by the id in it. Of bundles: (4) white space, the order of members and whether a number is text; (5) `hint` and
//! `keyid`, since keys are tried; (6) the media type between forms that name a signer alike; (7) the index and the time of an
//! entry without a signed entry timestamp, since nothing is concluded from them; (8) a proof of time beside another that remains, and a doubled one;
//! (9) in a timestamp what its authority does not sign: status, versions, names of hashes, certificates, who signed, attributes outside the signed ones,
//! whether or not they can be read; authorities are found by their keys.
//! Trusts: nothing. Out of scope: judging (`mod.rs`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

/// A value of DER: whole, and what it holds.
struct Element<'a> {
    whole: &'a [u8],
    held: &'a [u8],
}

/// The values that `bytes` consist of. What they hold is not looked at: nobody reads a certificate in a timestamp, so it need not be readable.
fn elements(mut bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut all = Vec::new();
    while let [_, first, after @ ..] = bytes {
        let digits = match *first {
            0..=0x7f => 0,
            0x80 => return None,
            0x81.. => usize::from(first & 0x7f),
        };
        let (long, after) = after.split_at_checked(digits)?;
        let long = long.iter().try_fold(0usize, |length, digit| length.checked_mul(256)?.checked_add(usize::from(*digit)))?;
        let (held, rest) = after.split_at_checked(if digits == 0 { usize::from(*first) } else { long })?;
        all.push(Element { whole: bytes.get(..bytes.len().checked_sub(rest.len())?)?, held });
        bytes = rest;
    }
    bytes.is_empty().then_some(all)
}

/// What is signed of a timestamp, how, and the signature (9).
fn stamp(text: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(text).ok()?;
    let response = elements(elements(&bytes)?.first()?.held)?;
    let token = elements(response.get(1)?.held)?;
    let data = elements(elements(token.get(1)?.held)?.first()?.held)?;
    let signer = elements(elements(data.last()?.held)?.first()?.held)?;
    let parts = [token.first()?, data.get(2)?, signer.get(2)?, signer.get(3)?, signer.get(4)?, signer.get(5)?];
    Some(parts.map(|part| part.whole).concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwall_sim::forge::Tlv;

    /// The parts of a timestamp: each one's tag, and whether its authority signs it or it is needed to verify that.
    const PARTS: [(&str, u8, bool); 13] = [
        ("status", 0x30, false),
        ("kind", 0x06, true),
        ("version of the data", 0x02, false),
        ("names of hashes", 0x31, false),
        ("content", 0x30, true),
        ("certificates", 0xa0, false),
        ("version of the signer", 0x02, false),
        ("who signed", 0x30, false),
        ("hash", 0x30, true),
        ("signed attributes", 0xa0, true),
        ("scheme", 0x30, true),
        ("signature", 0x04, true),
        ("other attributes", 0xa1, false),
    ];

    /// A timestamp in outline, the part at `changed` another one.
    fn outline(changed: Option<usize>, other: &[u8]) -> String {
        let mut parts =
            PARTS.iter().enumerate().map(|(at, (_, tag, _))| Tlv::bytes(*tag, if changed == Some(at) { other } else { &[5, 0][..] }));
        let mut next = |count: usize| parts.by_ref().take(count).collect::<Vec<Tlv>>();
        let (status, kind, mut data, signer) = (next(1), next(1), next(4), next(7));
        data.push(Tlv::parts(0x31, vec![Tlv::parts(0x30, signer)]));
        let token = [kind, vec![Tlv::parts(0xa0, vec![Tlv::parts(0x30, data)])]].concat();
        let response = [status, vec![Tlv::parts(0x30, token)]].concat();
        STANDARD.encode(Tlv::parts(0x30, response).encode())
    }

    /// Signed parts count, byte for byte. The others do not, even where their bytes are no DER.
    #[test]
    fn of_a_timestamp_what_its_authority_signs_counts_and_nothing_else() {
        let own = stamp(&outline(None, &[]));
        assert!(own.is_some());
        for (at, (name, _, counts)) in PARTS.iter().enumerate() {
            for other in [&[5, 1][..], &[0xbf, 0x7f], &[5, 0, 5, 0], &[]] {
                assert_eq!(stamp(&outline(Some(at), other)) != own, *counts, "{name}: {other:?}");
            }
        }
        let whole = STANDARD.decode(outline(None, &[])).unwrap_or_default();
        for len in 0..whole.len() {
            assert_eq!(stamp(&STANDARD.encode(whole.get(..len).unwrap_or_default())), None, "{len} bytes of it");
        }
    }
}
