//! C2SP signed notes and the keys they are verified with.
//!
//! Decides: what a note is (text, an empty line, signature lines, nothing else), what a verifier key is (its id must be the hash of its name, type
//! and key), and whether a key signed: every line that names a known key must verify, lines of unknown keys are skipped, a key signs once.
//! Trusts: the keys it is given. Out of scope: what the text says (`log.rs`). C2SP signed-note, tlog-cosignature.

use super::base64;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use ed25519_dalek::{Signature, VerifyingKey};
use ringwall_wire::limits::{NOTE_BYTES, NOTE_SIGNATURES};
use sha2::{Digest as _, Sha256};

const ED25519: u8 = 0x01;
const COSIGNATURE: u8 = 0x04;
const COSIGNATURE_ML_DSA: u8 = 0x06;
/// Longest name of a key, in bytes: names are addresses without a scheme.
const NAME_BYTES: usize = 255;
const DASH: &str = "\u{2014} ";

/// Why a note or a verifier key is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum NoteError {
    /// The key's text has another shape.
    #[error("a verifier key is `name+8 hex digits+base64`, this is none: {what}; copy it again from whoever runs the key")]
    Key { what: &'static str },
    /// The key's id is not its own.
    #[error("verifier key {name} says id {said:08x}, its bytes have {own:08x}: one of the two was changed")]
    KeyId { name: String, said: u32, own: u32 },
    /// A type of signature this program does not know.
    #[error(
        "verifier key {name} is of type {kind:#04x}: Ed25519 (0x01) and timestamped cosignatures (0x04 with Ed25519, 0x06 with ML-DSA-44) are known"
    )]
    KeyType { name: String, kind: u8 },
    /// A note has another shape.
    #[error("this is no signed note: {what}")]
    Note { what: &'static str },
    /// A known key's line does not verify.
    #[error("a signature in the name of {name} does not verify: the text or the signature was changed")]
    BadSignature { name: String },
    /// A known key signed twice.
    #[error("{name} signed the same note twice: a note has one line for each key")]
    Twice { name: String },
    /// A known key did not sign.
    #[error("{name} did not sign the note")]
    Missing { name: String },
}

/// How a key signs notes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum KeyKind {
    /// The text itself.
    Plain(VerifyingKey),
    /// The text with a time.
    Timed(VerifyingKey),
    /// Size and root with a time, by ML-DSA-44.
    TimedMlDsa(Vec<u8>),
}

/// A key that notes are verified with: its name, its id and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    kind: KeyKind,
}

impl VerifierKey {
    /// Reads `name+id+base64`. The id must be the one the C2SP specification gives this name, type and key.
    pub fn parse(text: &str) -> Result<VerifierKey, NoteError> {
        let shape = |what| NoteError::Key { what };
        let (name, rest) = text.split_once('+').ok_or(shape("there is no `+`"))?;
        let (id, key) = rest.split_once('+').ok_or(shape("there is one `+` only"))?;
        if !is_name(name) {
            return Err(shape("the name is empty, too long, or has spaces"));
        }
        let id = ringwall_wire::text::read_hex::<4>(id).ok_or(shape("the id is not 8 lower-case hex digits"))?;
        let said = u32::from_be_bytes(id);
        let key = base64::read(key).ok_or(shape("the key is not base64"))?;
        let own = key_id(name, &key);
        let (&kind, bytes) = key.split_first().ok_or(shape("the key is empty"))?;
        let ed25519 = || {
            let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| shape("an Ed25519 key has 32 bytes"))?;
            VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak()).ok_or(shape("these bytes are no Ed25519 key"))
        };
        let kind = match kind {
            ED25519 => KeyKind::Plain(ed25519()?),
            COSIGNATURE => KeyKind::Timed(ed25519()?),
            COSIGNATURE_ML_DSA => KeyKind::TimedMlDsa(super::ml_dsa::key(bytes).ok_or(shape("these bytes are no ML-DSA-44 key"))?),
            kind => return Err(NoteError::KeyType { name: name.to_string(), kind }),
        };
        if said != own {
            return Err(NoteError::KeyId { name: name.to_string(), said, own });
        }
        Ok(VerifierKey { name: name.to_string(), id: own, kind })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it signs with a time, as witnesses do.
    pub fn is_cosigner(&self) -> bool {
        !matches!(self.kind, KeyKind::Plain(_))
    }

    /// The bytes of the public key alone: two keys with equal ones are one key, whatever they are called.
    pub fn key_bytes(&self) -> &[u8] {
        match &self.kind {
            KeyKind::Plain(key) | KeyKind::Timed(key) => key.as_bytes(),
            KeyKind::TimedMlDsa(key) => key,
        }
    }

    /// The Ed25519 key, when it is a plain one: a signer of releases.
    pub(crate) fn plain(&self) -> Option<&VerifyingKey> {
        match &self.kind {
            KeyKind::Plain(key) => Some(key),
            KeyKind::Timed(_) | KeyKind::TimedMlDsa(_) => None,
        }
    }
}

/// The id of a key: `typed` is its type byte and its bytes.
fn key_id(name: &str, typed: &[u8]) -> u32 {
    let hash: [u8; 32] = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(typed).finalize().into();
    let [first, second, third, fourth, ..] = hash;
    u32::from_be_bytes([first, second, third, fourth])
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// One signature line, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    name: String,
    id: u32,
    signature: Vec<u8>,
}

/// A note with its signature lines; nothing of it is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    lines: Vec<Line>,
}

impl SignedNote {
    /// Reads a note: at most `NOTE_BYTES`, at most `NOTE_SIGNATURES` lines.
    pub fn parse(note: &str) -> Result<SignedNote, NoteError> {
        let shape = |what| NoteError::Note { what };
        if note.len() > NOTE_BYTES {
            return Err(shape("it is too long"));
        }
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(shape("it has control characters"));
        }
        let body = note.strip_suffix('\n').ok_or(shape("it does not end with a line feed"))?;
        let (text, signatures) = body.rsplit_once("\n\n").ok_or(shape("no empty line parts text from signatures"))?;
        let mut lines = Vec::new();
        for line in signatures.split('\n') {
            if lines.len() >= NOTE_SIGNATURES {
                return Err(shape("it has too many signatures"));
            }
            lines.push(signature_line(line).ok_or(shape("a signature line is malformed"))?);
        }
        let mut text = text.to_string();
        text.push('\n');
        Ok(SignedNote { text, lines })
    }

    /// [`SignedNote::parse`] of bytes.
    pub fn parse_bytes(note: &[u8]) -> Result<SignedNote, NoteError> {
        SignedNote::parse(core::str::from_utf8(note).map_err(|_| NoteError::Note { what: "it is not UTF-8" })?)
    }

    /// The text, with its last line feed. Nothing in it counts before a trusted key's signature was verified.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The note with the lines of these keys alone, in this order: what anybody else appended is left out.
    pub(crate) fn only<'k>(&self, keys: impl Iterator<Item = &'k VerifierKey>) -> String {
        let mut note = alloc::format!("{}\n", self.text);
        for key in keys {
            let Ok(signature) = self.line(key) else { continue };
            let bytes = [&key.id.to_be_bytes()[..], signature].concat();
            note.push_str(&alloc::format!("{DASH}{} {}\n", key.name, base64::write(&bytes)));
        }
        note
    }

    /// The signature in the name of `key`, if there is one: name and id must both be the key's.
    fn line(&self, key: &VerifierKey) -> Result<&[u8], NoteError> {
        let mut own = self.lines.iter().filter(|line| line.id == key.id && line.name == key.name);
        let line = own.next().ok_or_else(|| NoteError::Missing { name: key.name.clone() })?;
        match own.next() {
            None => Ok(&line.signature),
            Some(_) => Err(NoteError::Twice { name: key.name.clone() }),
        }
    }

    /// Whether `key`, a plain one, signed the text.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteError> {
        let bad = || NoteError::BadSignature { name: key.name.clone() };
        let signature = self.line(key)?;
        let KeyKind::Plain(verifying) = &key.kind else { return Err(bad()) };
        strictly(verifying, self.text.as_bytes(), signature).ok_or_else(bad)
    }

    /// The second at which `key`, a witness's, cosigned. `covered` are what a checkpoint says, which ML-DSA cosignatures sign instead of the text.
    pub(crate) fn cosigned(&self, key: &VerifierKey, covered: &Covered<'_>) -> Result<u64, NoteError> {
        let bad = || NoteError::BadSignature { name: key.name.clone() };
        let timed = self.line(key)?;
        let (time, signature) = timed.split_first_chunk::<8>().ok_or_else(bad)?;
        let time = u64::from_be_bytes(*time);
        if time == 0 || time > i64::MAX.unsigned_abs() {
            return Err(bad()); // 0 says nothing about when.
        }
        let verified = match &key.kind {
            KeyKind::Plain(_) => None,
            KeyKind::Timed(verifying) => {
                let words = alloc::format!("cosignature/v1\ntime {time}\n{}", self.text);
                strictly(verifying, words.as_bytes(), signature)
            }
            KeyKind::TimedMlDsa(verifying) => {
                covered.words(&key.name, time).and_then(|words| super::ml_dsa::verified(verifying, &words, signature))
            }
        };
        verified.map(|()| time).ok_or_else(bad)
    }

    /// The signatures of this id, whatever their names, for logs whose keys are no verifier keys (Sigstore's).
    pub(crate) fn raw(&self, id: u32) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().filter(move |line| line.id == id).map(|line| &*line.signature)
    }

    /// The note with the lines in the names of these keys alone, in the order of the keys: the one form of it for whoever knows no others. Nothing is
    /// verified.
    pub fn only_of<'k>(&self, keys: impl IntoIterator<Item = &'k VerifierKey>) -> String {
        let mut note = alloc::format!("{}\n", self.text);
        for key in keys {
            for line in self.lines.iter().filter(|line| line.id == key.id && line.name == key.name) {
                let signature = base64::write(&[&line.id.to_be_bytes()[..], &line.signature].concat());
                note.push_str(&alloc::format!("{DASH}{} {signature}\n", line.name));
            }
        }
        note
    }
}

/// What an ML-DSA cosignature is over.
pub(crate) struct Covered<'a> {
    pub(crate) origin: &'a str,
    pub(crate) size: u64,
    pub(crate) root: &'a [u8; 32],
}

impl Covered<'_> {
    /// `cosigned_message` of C2SP tlog-cosignature, for a whole tree.
    pub(crate) fn words(&self, cosigner: &str, time: u64) -> Option<Vec<u8>> {
        let mut words = b"subtree/v1\n\0".to_vec();
        words.push(u8::try_from(cosigner.len()).ok()?);
        words.extend_from_slice(cosigner.as_bytes());
        words.extend_from_slice(&time.to_be_bytes());
        words.push(u8::try_from(self.origin.len()).ok()?);
        words.extend_from_slice(self.origin.as_bytes());
        words.extend_from_slice(&0_u64.to_be_bytes());
        words.extend_from_slice(&self.size.to_be_bytes());
        words.extend_from_slice(self.root);
        Some(words)
    }
}

fn signature_line(line: &str) -> Option<Line> {
    let (name, signature) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = base64::read(signature)?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    let fits = is_name(name) && !signature.is_empty();
    fits.then(|| Line { name: name.to_string(), id: u32::from_be_bytes(*id), signature: signature.to_vec() })
}

fn strictly(key: &VerifyingKey, words: &[u8], signature: &[u8]) -> Option<()> {
    key.verify_strict(words, &Signature::from_slice(signature).ok()?).ok()
}
