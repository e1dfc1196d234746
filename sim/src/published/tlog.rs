//! Cases of transparency logs: signed notes, verifier keys, RFC 6962 proofs, a log of tiles.
//!
//! Decides: how the published forms are told apart (by what is in a file, never by its name) and what each demands: notes verify under their keys,
//! keys are read or refused, paths lead to the stated roots or do not, each checkpoint of a log of tiles is the tree of its entries and continues the
//! one before. Proofs here leave out the first hash where RFC 9162 does.
//! Trusts: the verdict that is stated. Out of scope: judging (`ringwall_attest::release`). docs/conformance.md, "Transparency logs".

use super::case::CaseError;
use super::judge::variant;
use super::measurement::Measured;
use super::place::Place;
use ringwall_attest::release::log::{self, Checkpoint};
use ringwall_attest::release::{LogError, SignedNote, VerifierKey};
use ringwall_wire::bounded::List;
use ringwall_wire::ids::Digest;
use ringwall_wire::release::LogProof;
use ringwall_wire::tree::{Levels, is_consistent, leaf};
use serde_json::Value;

/// A case of a transparency log.
#[derive(Clone, Debug)]
pub struct TlogCase {
    pub(super) id: String,
    /// What the case itself says, for people.
    pub(super) stated: String,
    accepted: bool,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Note {
        note: String,
        keys: Vec<String>,
    },
    Key(String),
    Inclusion(Value),
    Consistency(Value),
    /// Checkpoint, the one before, the entries, the tile of their hashes, the log's key.
    Tiles {
        note: String,
        before: String,
        entries: Vec<u8>,
        tile: Vec<u8>,
        key: String,
    },
}

/// What an attacker could change of a case: how it is written, and its bytes. Hashes stand one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A signed note, and the texts of the keys it is judged by.
    Note(Vec<u8>, Vec<String>),
    /// A path.
    Hashes(Vec<u8>),
    /// Something else.
    Bytes(Vec<u8>),
}

impl TlogCase {
    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the case says that it verifies.
    pub fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// Whether it is a verifier key alone.
    pub fn is_key(&self) -> bool {
        matches!(self.what, What::Key(_))
    }

    /// What of it would come from a stranger: roots and sizes come from checkpoints, and keys from policies.
    /// A key alone is one, too: its id must be its own.
    pub fn pieces(&self) -> Vec<Piece> {
        let note = |note: &str, keys: &[String]| Piece::Note(note.as_bytes().to_vec(), keys.to_vec());
        let proof = |vector: &Value| Piece::Hashes(path(vector).unwrap_or_default().iter().flat_map(|hash| hash.0).collect());
        match &self.what {
            What::Note { note: text, keys } => vec![note(text, keys)],
            What::Key(key) => vec![Piece::Bytes(key.as_bytes().to_vec())],
            What::Inclusion(vector) => {
                let index = vector.get("leafIdx").and_then(Value::as_u64).unwrap_or_default();
                let leaf = hash(vector.get("leafHash")).map_or_else(Vec::new, |leaf| leaf.0.to_vec());
                vec![proof(vector), Piece::Bytes(leaf), Piece::Bytes(index.to_be_bytes().to_vec())]
            }
            What::Consistency(vector) => vec![proof(vector)],
            What::Tiles { note: text, before, entries, tile, key } => {
                let keys = [key.clone()];
                vec![note(text, &keys), note(before, &keys), Piece::Bytes(entries.clone()), Piece::Hashes(tile.clone())]
            }
        }
    }

    /// Judges other bytes in the place of a piece: the variant that refused.
    pub fn judge_other(&self, piece: usize, bytes: &[u8]) -> Result<(), String> {
        let mut case = self.clone();
        match (case.what.put(piece, bytes), judge(&case)) {
            (None, _) => Err("Malformed".to_owned()),
            (Some(()), judged) if judged.got == "accept" => Ok(()),
            (Some(()), judged) => Err(judged.refusal),
        }
    }
}

impl What {
    /// Puts bytes in the place of a piece; none when they cannot stand there.
    fn put(&mut self, piece: usize, bytes: &[u8]) -> Option<()> {
        let text = || String::from_utf8(bytes.to_vec()).ok();
        let hashes = || {
            let (hashes, rest) = bytes.as_chunks::<32>();
            rest.is_empty().then(|| Value::from(hashes.iter().map(|hash| crate::release::log::base64(hash)).collect::<Vec<_>>()))
        };
        match (self, piece) {
            (What::Note { note, .. } | What::Tiles { note, .. }, 0) => *note = text()?,
            (What::Tiles { before, .. }, 1) => *before = text()?,
            (What::Tiles { entries, .. }, 2) => *entries = bytes.to_vec(),
            (What::Tiles { tile, .. }, 3) => *tile = bytes.to_vec(),
            (What::Key(key), 0) => *key = text()?,
            (What::Inclusion(vector) | What::Consistency(vector), 0) => *vector.get_mut("proof")? = hashes()?,
            (What::Inclusion(vector), 1) => *vector.get_mut("leafHash")? = crate::release::log::base64(bytes).into(),
            (What::Inclusion(vector), 2) => *vector.get_mut("leafIdx")? = u64::from_be_bytes(bytes.try_into().ok()?).into(),
            _ => return None,
        }
        Some(())
    }
}

/// The cases in one JSON file; none when it is of no known form.
pub(super) fn of_file(place: &Place) -> Result<Vec<TlogCase>, CaseError> {
    let bytes = place.read()?;
    let path = place.path();
    let json: Value =
        serde_json::from_slice(&bytes).map_err(|error| CaseError::NotJson { path: path.to_owned(), reason: error.to_string() })?;
    let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let case = |name: String, stated: &str, accepted: bool, what: What| TlogCase {
        id: format!("{file}#{name}"),
        stated: stated.to_owned(),
        accepted,
        what,
    };
    let mut cases = Vec::new();
    for (at, one) in json.as_array().into_iter().flatten().enumerate() {
        let note = text(one, "note").to_owned();
        let keys = one.get("vkeys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let name = Some(text(one, "id")).filter(|id| !id.is_empty()).map_or_else(|| at.to_string(), str::to_owned);
        cases.push(case(name, text(one, "reason"), text(one, "expect") == "accept", What::Note { note, keys }));
    }
    for (member, accepted) in [("valid", true), ("invalid", false)] {
        let keys = json.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        cases.extend(keys.enumerate().map(|(at, key)| case(format!("{member}-{at}"), "", accepted, What::Key(key.to_owned()))));
    }
    for (at, one) in json.get("vectors").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let accepted = !one.get("wantErr").and_then(Value::as_bool).unwrap_or(false);
        let what = if one.get("leafIdx").is_some() { What::Inclusion(one.clone()) } else { What::Consistency(one.clone()) };
        cases.push(case(format!("{at}-{}", text(one, "_name")), text(one, "desc"), accepted, what));
    }
    Ok(cases)
}

/// The cases of a folder that is a log of tiles: file names with `__` for `/`, up to 255 entries, one checkpoint for each size.
pub(super) fn of_log(folder: &Place, key: Option<String>) -> Result<Vec<TlogCase>, CaseError> {
    let name = folder.name();
    let Some(key) = key else { return Ok(Vec::new()) };
    let note = |size: usize| -> Result<Option<String>, CaseError> {
        Ok(folder.first(&[&format!("checkpoint.{size}")])?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let mut cases = Vec::new();
    for size in 1..=255 {
        let (Some(before), Some(after)) = (note(size - 1)?, note(size)?) else { break };
        let tile = folder.first(&[&format!("tile__0__000.p__{size}")])?;
        let entries = folder.first(&[&format!("tile__entries__000.p__{size}")])?;
        let (Some(tile), Some(entries)) = (tile, entries) else { continue };
        let what = What::Tiles { note: after, before, entries, tile, key: key.clone() };
        cases.push(TlogCase { id: format!("{name}#{size}"), stated: "a checkpoint of a log of tiles".to_owned(), accepted: true, what });
    }
    Ok(cases)
}

/// The key under which a file of notes has the newest checkpoint of a log of tiles.
pub(super) fn key_for(cases: &[TlogCase], newest: &str) -> Option<String> {
    cases.iter().find_map(|case| match &case.what {
        What::Note { note, keys } if note.trim_end() == newest.trim_end() => keys.first().cloned(),
        _ => None,
    })
}

/// Judges a case.
pub(super) fn judge(case: &TlogCase) -> Measured {
    let refused = match &case.what {
        What::Note { note, keys } => judge_note(note, keys),
        What::Key(key) => VerifierKey::parse(key).map(|_| ()).map_err(LogError::Note),
        What::Inclusion(vector) => judge_inclusion(vector),
        What::Consistency(vector) => judge_consistency(vector),
        What::Tiles { note, before, entries, tile, key } => judge_tiles(note, before, entries, tile, key),
    }
    .err();
    let word = |accepted: bool| if accepted { "accept" } else { "reject" }.to_owned();
    Measured {
        expected: word(case.accepted),
        got: word(refused.is_none()),
        agrees: case.accepted == refused.is_none(),
        refusal: refused.as_ref().map(variant).unwrap_or_default(),
        reason: refused.map_or_else(|| "it verifies".to_owned(), |error| error.to_string()),
    }
}

fn text<'a>(json: &'a Value, key: &str) -> &'a str {
    json.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Every key that is no witness's signed the text; every witness cosigned the checkpoint.
fn judge_note(note: &str, keys: &[String]) -> Result<(), LogError> {
    let keys = keys.iter().map(|key| VerifierKey::parse(key)).collect::<Result<Vec<_>, _>>()?;
    let (witnesses, logs): (Vec<_>, Vec<_>) = keys.into_iter().partition(VerifierKey::is_cosigner);
    let signed = SignedNote::parse(note)?;
    if logs.is_empty() {
        return Err(LogError::Checkpoint { what: "the case names no key" });
    }
    logs.iter().try_for_each(|log| signed.verify(log))?;
    for log in logs.iter().filter(|_| !witnesses.is_empty()) {
        let threshold = u8::try_from(witnesses.len()).unwrap_or(u8::MAX);
        let _ = log::witnessed(note, log, &witnesses, threshold)?;
    }
    Ok(())
}

fn hash(value: Option<&Value>) -> Option<Digest> {
    base64(value?.as_str()?)?.try_into().ok().map(Digest)
}

/// RFC 4648 with padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=').bytes().map(digit).collect::<Option<Vec<u8>>>()?;
    let bits: Vec<u8> = digits.iter().flat_map(|digit| (0..6).rev().map(move |bit| digit >> bit & 1)).collect();
    Some(bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | bit)).collect())
}

fn path(vector: &Value) -> Option<Vec<Digest>> {
    vector.get("proof").and_then(Value::as_array).into_iter().flatten().map(|one| hash(Some(one))).collect()
}

fn tree(vector: &Value, size: &str, root: &str) -> Option<Checkpoint> {
    let size = vector.get(size)?.as_u64()?;
    Some(Checkpoint { origin: "log".into(), size, root: hash(vector.get(root))?, revoked: None })
}

const MALFORMED: LogError = LogError::Checkpoint { what: "a number or hash of the case is malformed" };

fn judge_inclusion(vector: &Value) -> Result<(), LogError> {
    let index = vector.get("leafIdx").and_then(Value::as_u64).ok_or(MALFORMED)?;
    let path = path(vector).and_then(|path| List::new(path).ok()).ok_or(MALFORMED)?;
    let checkpoint = tree(vector, "treeSize", "root").ok_or(MALFORMED)?;
    log::included(&hash(vector.get("leafHash")).ok_or(MALFORMED)?, &LogProof { index, path }, &checkpoint)
}

fn judge_consistency(vector: &Value) -> Result<(), LogError> {
    let path = path(vector).ok_or(MALFORMED)?;
    let (older, newer) = (tree(vector, "size1", "root1").ok_or(MALFORMED)?, tree(vector, "size2", "root2").ok_or(MALFORMED)?);
    // a path of RFC 9162 whose older size is a power of two begins with that tree's root, which is left out
    if older.size.is_power_of_two() && older.size < newer.size {
        let whole = [&[older.root][..], &path].concat();
        return match is_consistent(older.size, &older.root, newer.size, &newer.root, &whole) {
            true => Ok(()),
            false => Err(LogError::NoPath { older: older.size, newer: newer.size }),
        };
    }
    log::consistent(&older, &newer, &path)
}

fn judge_tiles(note: &str, before: &str, entries: &[u8], tile: &[u8], key: &str) -> Result<(), LogError> {
    let wrong = |what| LogError::Checkpoint { what };
    let key = VerifierKey::parse(key)?;
    let (before, after) = (log::checkpoint(before, &key)?, log::checkpoint(note, &key)?);
    let leaves = bundled(entries).ok_or(wrong("a bundle of entries is cut off"))?;
    let (hashes, rest) = tile.as_chunks::<32>();
    if !rest.is_empty() || !hashes.iter().eq(leaves.iter().map(|leaf| &leaf.0)) {
        return Err(wrong("a tile has other hashes than its entries"));
    }
    let levels = Levels::new(leaves.clone()).ok_or(wrong("there is no entry"))?;
    for (index, leaf) in leaves.iter().enumerate() {
        let path = levels.siblings(index).and_then(|path| List::new(path).ok()).ok_or(wrong("a path is too long"))?;
        log::included(leaf, &LogProof { index: index as u64, path }, &after)?;
    }
    let older = leaves.len().checked_sub(1).and_then(|len| leaves.get(..len)).ok_or(wrong("there is no entry"))?;
    match Levels::new(older.to_vec()).is_none_or(|levels| levels.root() == before.root) && before.size + 1 == after.size {
        true => Ok(()),
        false => Err(LogError::Forked { older: before.size, newer: after.size }),
    }
}

/// C2SP tlog-tiles, "Log entries": each with its length in two bytes.
fn bundled(mut entries: &[u8]) -> Option<Vec<Digest>> {
    let mut leaves = Vec::new();
    while !entries.is_empty() {
        let (len, rest) = entries.split_first_chunk::<2>()?;
        let (entry, after) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        leaves.push(leaf(entry));
        entries = after;
    }
    Some(leaves)
}
