//! Keys that sign notes: a log's checkpoint, a witness's cosignature (C2SP signed-note, tlog-cosignature).
//!
//! Decides: how a verifier key is written, and the line a signature becomes; a cosignature says when, and is over the log's own words.
//! Trusts: its key file. Out of scope: verifying (`ringwall_attest::release::note`), whether to sign at all (`witness.rs`).

use crate::seed_file::{self, SeedFileError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_wire::secret::Secret;
use ringwall_wire::text::hex;
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// First line of a key file.
const HEADER: &str = "ringwall note key 1";

/// What a key's signatures are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// The text: a log's.
    Plain,
    /// The text and a time: a witness's.
    Timed,
}

impl NoteKind {
    fn byte(self) -> u8 {
        match self {
            NoteKind::Plain => 0x01,
            NoteKind::Timed => 0x04,
        }
    }
}

/// An Ed25519 key with the name notes know it by.
#[derive(Clone)]
pub struct NoteKey {
    name: String,
    kind: NoteKind,
    seed: Secret<32>,
}

impl core::fmt::Debug for NoteKey {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "NoteKey({})", self.verifier_key())
    }
}

impl NoteKey {
    /// Takes a seed from elsewhere: 32 uniformly random bytes.
    pub fn from_seed(name: &str, kind: NoteKind, seed: Secret<32>) -> Self {
        NoteKey { name: name.to_owned(), kind, seed }
    }

    /// Makes a new key in a new file that its owner alone can read, on stable storage when this returns.
    pub fn create(path: &Path, name: &str, kind: NoteKind) -> Result<Self, SeedFileError> {
        seed_file::create(path, HEADER).map(|seed| NoteKey::from_seed(name, kind, seed))
    }

    /// Reads a key file, and refuses one that others can read.
    pub fn read(path: &Path, name: &str, kind: NoteKind) -> Result<Self, SeedFileError> {
        seed_file::read(path, HEADER).map(|seed| NoteKey::from_seed(name, kind, seed))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What policies list: `name+id+key`.
    pub fn verifier_key(&self) -> String {
        let typed = self.typed();
        format!("{}+{}+{}", self.name, hex(&self.id(&typed)), STANDARD.encode(&typed))
    }

    fn typed(&self) -> Vec<u8> {
        [[self.kind.byte()].as_slice(), self.signing_key().verifying_key().as_bytes()].concat()
    }

    fn id(&self, typed: &[u8]) -> [u8; 4] {
        let hash: [u8; 32] = Sha256::new().chain_update(&self.name).chain_update(b"\n").chain_update(typed).finalize().into();
        let [first, second, third, fourth, ..] = hash;
        [first, second, third, fourth]
    }

    /// The line that signs `text` (which ends with a line feed); `at_s` counts for a witness's key alone.
    pub fn line(&self, text: &str, at_s: u64) -> String {
        let (time, words) = match self.kind {
            NoteKind::Plain => (Vec::new(), text.to_owned()),
            NoteKind::Timed => (at_s.to_be_bytes().to_vec(), format!("cosignature/v1\ntime {at_s}\n{text}")),
        };
        let signature = self.signing_key().sign(words.as_bytes()).to_bytes();
        let bytes = [self.id(&self.typed()).as_slice(), &time, &signature].concat();
        format!("\u{2014} {} {}\n", self.name, STANDARD.encode(bytes))
    }

    /// The key that signs; wiped by its own type when dropped.
    fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(self.seed.expose())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_attest::release::log::{Checkpoint, witnessed};
    use ringwall_attest::release::note::VerifierKey;
    use ringwall_wire::tree::empty_root;

    #[test]
    fn what_is_signed_here_verifies_there() {
        let log = NoteKey::from_seed("log.example/a", NoteKind::Plain, Secret::new([1; 32]));
        let witness = NoteKey::from_seed("witness.example", NoteKind::Timed, Secret::new([2; 32]));
        let checkpoint = Checkpoint { origin: log.name().into(), size: 0, root: empty_root(), revoked: None };
        let text = checkpoint.text();
        let note = format!("{text}\n{}{}", log.line(&text, 0), witness.line(&text, 1_700_000_000));
        let keys = [&log, &witness].map(|key| VerifierKey::parse(&key.verifier_key()).unwrap());
        let found = witnessed(&note, &keys[0], &keys[1..], 1).unwrap();
        assert_eq!((found.checkpoint(), found.since(1)), (&checkpoint, 1_700_000_000));
        assert!(!format!("{log:?}").contains(&hex(&[1; 8])));
    }
}
