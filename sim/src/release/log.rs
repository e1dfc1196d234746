//! A transparency log, its checkpoints and its witnesses, in memory.
//!
//! Decides: how keys follow from names; what a log signs, what a witness cosigns, and the paths of RFC 6962 between its trees. A witness here cosigns
//! what it is given: judging is a server's part.
//! Trusts: its caller. Out of scope: HTTP, tiles as files. C2SP signed-note, tlog-checkpoint, tlog-cosignature.

use ed25519_dalek::{Signer as _, SigningKey};
use ml_dsa::{EncodedVerifyingKey, MlDsa44};
use ringwall_attest::release::{Checkpoint, VerifierKey};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::Digest;
use ringwall_wire::release::{ConsistencyPath, KnownHead, LogEntry, LogProof, Note, RevocationList, Revoked};
use ringwall_wire::tree::{Levels, Nodes, empty_root, prove_consistency};
use sha2::{Digest as _, Sha256};
use std::convert::Infallible;

const ED25519: u8 = 0x01;
const COSIGNATURE: u8 = 0x04;
const COSIGNATURE_ML_DSA: u8 = 0x06;

fn seed(purpose: &str, name: &str) -> [u8; 32] {
    Sha256::new().chain_update("ringwall simulated release ").chain_update(purpose).chain_update(name).finalize().into()
}

fn key_id(name: &str, kind: u8, key: &[u8]) -> [u8; 4] {
    let hash: [u8; 32] = Sha256::new().chain_update(name).chain_update([b'\n', kind]).chain_update(key).finalize().into();
    [hash[0], hash[1], hash[2], hash[3]]
}

fn vkey(name: &str, kind: u8, key: &[u8]) -> String {
    let id = ringwall_wire::text::hex(&key_id(name, kind, key));
    format!("{name}+{id}+{}", base64(&[&[kind], key].concat()))
}

/// Base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0_u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for digit in 0..4 {
            let value = (word >> (18 - 6 * digit)) & 63;
            out.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    out
}

fn line(name: &str, id: [u8; 4], signature: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", base64(&[&id, signature].concat()))
}

/// A key that signs notes as they are: a log's.
#[derive(Clone, Debug)]
pub struct NoteSigner {
    name: String,
    key: SigningKey,
}

impl NoteSigner {
    /// The key of this name.
    pub fn new(name: &str) -> Self {
        NoteSigner { name: name.to_owned(), key: SigningKey::from_bytes(&seed("log", name)) }
    }

    /// Its verifier key.
    pub fn vkey(&self) -> String {
        vkey(&self.name, ED25519, self.key.verifying_key().as_bytes())
    }

    /// The signature line over `text`.
    pub fn sign(&self, text: &str) -> String {
        let id = key_id(&self.name, ED25519, self.key.verifying_key().as_bytes());
        line(&self.name, id, &self.key.sign(text.as_bytes()).to_bytes())
    }
}

#[derive(Clone, Debug)]
enum WitnessKey {
    Ed25519(Box<SigningKey>),
    MlDsa([u8; 32]),
}

/// A witness's key.
#[derive(Clone, Debug)]
pub struct Witness {
    name: String,
    key: WitnessKey,
}

impl Witness {
    /// The Ed25519 witness of this name.
    pub fn new(name: &str) -> Self {
        Witness { name: name.to_owned(), key: WitnessKey::Ed25519(Box::new(SigningKey::from_bytes(&seed("witness", name)))) }
    }

    /// The ML-DSA-44 witness of this name.
    pub fn post_quantum(name: &str) -> Self {
        Witness { name: name.to_owned(), key: WitnessKey::MlDsa(seed("witness ml-dsa", name)) }
    }

    fn public(&self) -> (u8, Vec<u8>) {
        match &self.key {
            WitnessKey::Ed25519(key) => (COSIGNATURE, key.verifying_key().as_bytes().to_vec()),
            WitnessKey::MlDsa(seed) => {
                let encoded: EncodedVerifyingKey<MlDsa44> = ml_dsa_key(seed).expanded_key().verifying_key().encode();
                (COSIGNATURE_ML_DSA, encoded.to_vec())
            }
        }
    }

    /// Its verifier key.
    pub fn vkey(&self) -> String {
        let (kind, key) = self.public();
        vkey(&self.name, kind, &key)
    }

    /// The signature line over a checkpoint at this second.
    pub fn cosign(&self, checkpoint: &Checkpoint, at_s: u64) -> String {
        let (kind, key) = self.public();
        let signature = match &self.key {
            WitnessKey::Ed25519(key) => {
                let words = format!("cosignature/v1\ntime {at_s}\n{}", checkpoint.text());
                key.sign(words.as_bytes()).to_bytes().to_vec()
            }
            WitnessKey::MlDsa(seed) => {
                let words = ml_dsa_words(&self.name, checkpoint, at_s);
                let signed = ml_dsa_key(seed).expanded_key().sign_deterministic(&words, &[]).expect("an empty context is short enough");
                signed.encode().to_vec()
            }
        };
        line(&self.name, key_id(&self.name, kind, &key), &[&at_s.to_be_bytes()[..], &signature].concat())
    }
}

fn ml_dsa_key(seed: &[u8; 32]) -> ml_dsa::SigningKey<MlDsa44> {
    ml_dsa::SigningKey::from_seed(&(*seed).into())
}

/// `cosigned_message` of C2SP tlog-cosignature.
fn ml_dsa_words(name: &str, checkpoint: &Checkpoint, at_s: u64) -> Vec<u8> {
    let sized = |text: &str| [&[u8::try_from(text.len()).expect("names are short")], text.as_bytes()].concat();
    [
        b"subtree/v1\n\0".to_vec(),
        sized(name),
        at_s.to_be_bytes().to_vec(),
        sized(&checkpoint.origin),
        0_u64.to_be_bytes().to_vec(),
        checkpoint.size.to_be_bytes().to_vec(),
        checkpoint.root.0.to_vec(),
    ]
    .concat()
}

/// A log.
#[derive(Clone, Debug)]
pub struct MintedLog {
    signer: NoteSigner,
    leaves: Vec<Digest>,
    revoked: Vec<Revoked>,
}

struct Leaves<'a>(&'a [Digest]);

impl Nodes for Leaves<'_> {
    type Fault = Infallible;
    fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, Infallible> {
        let width = 1_usize << level;
        let start = usize::try_from(index).expect("small trees") * width;
        Ok(self.0.get(start..start + width).and_then(|leaves| Levels::new(leaves.to_vec())).map(|levels| levels.root()))
    }
}

impl MintedLog {
    /// An empty log of this name.
    pub fn new(name: &str) -> Self {
        MintedLog { signer: NoteSigner::new(name), leaves: Vec::new(), revoked: Vec::new() }
    }

    /// Its verifier key.
    pub fn vkey(&self) -> String {
        self.signer.vkey()
    }

    /// Its signer, for notes of its own.
    pub fn signer(&self) -> &NoteSigner {
        &self.signer
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Adds an entry; its index.
    pub fn append(&mut self, entry: &LogEntry) -> u64 {
        self.leaves.push(entry.leaf());
        self.size() - 1
    }

    /// Adds a leaf that is no entry of ours.
    pub fn append_leaf(&mut self, leaf: Digest) {
        self.leaves.push(leaf);
    }

    /// Forgets every entry after the first `size`, as no honest log does.
    pub fn lose(&mut self, size: u64) {
        self.leaves.truncate(usize::try_from(size).expect("small trees"));
    }

    /// Revokes.
    pub fn revoke(&mut self, revoked: Revoked) {
        self.revoked.push(revoked);
    }

    /// Takes every revocation back, as no honest log does.
    pub fn forget_revocations(&mut self) {
        self.revoked.clear();
    }

    /// What was revoked.
    pub fn revocations(&self) -> RevocationList {
        RevocationList { revoked: List::new(self.revoked.clone()).expect("few revocations") }
    }

    fn first(&self, size: u64) -> &[Digest] {
        self.leaves.get(..usize::try_from(size).expect("small trees")).expect("the log has as many entries")
    }

    /// The checkpoint of its first `size` entries.
    pub fn checkpoint_at(&self, size: u64) -> Checkpoint {
        let root = Levels::new(self.first(size).to_vec()).map_or_else(empty_root, |levels| levels.root());
        let list = self.revocations();
        let revoked = (!self.revoked.is_empty()).then(|| (self.revoked.len() as u64, Digest(list.digest())));
        Checkpoint { origin: self.signer.name.clone(), size, root, revoked }
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> Checkpoint {
        self.checkpoint_at(self.size())
    }

    /// A checkpoint as a note, signed by the log and cosigned by each of these at `at_s`.
    pub fn note(&self, checkpoint: &Checkpoint, witnesses: &[Witness], at_s: u64) -> Note {
        let text = checkpoint.text();
        let mut note = format!("{text}\n{}", self.signer.sign(&text));
        for witness in witnesses {
            note.push_str(&witness.cosign(checkpoint, at_s));
        }
        Note::new(note.into_bytes()).expect("a note is short")
    }

    /// The newest checkpoint as a note.
    pub fn head(&self, witnesses: &[Witness], at_s: u64) -> Note {
        self.note(&self.checkpoint(), witnesses, at_s)
    }

    /// Where an entry is in the tree of the first `size`.
    pub fn inclusion(&self, index: u64, size: u64) -> LogProof {
        let levels = Levels::new(self.first(size).to_vec()).expect("there is an entry");
        let path = levels.siblings(usize::try_from(index).expect("small trees")).expect("there is that entry");
        LogProof { index, path: List::new(path).expect("a short path") }
    }

    /// From the first `first` entries to the first `second`.
    pub fn consistency(&self, first: u64, second: u64) -> ConsistencyPath {
        let Ok(path) = prove_consistency(&Leaves(self.first(second)), first, second);
        List::new(path.expect("all leaves are kept")).expect("a short path")
    }

    /// How the newest checkpoint continues each of these sizes, ascending.
    pub fn known(&self, sizes: &[u64]) -> Vec<KnownHead> {
        sizes.iter().map(|&size| KnownHead { size, path: self.consistency(size, self.size()) }).collect()
    }

    /// Its key, read by the verifier.
    pub fn key(&self) -> VerifierKey {
        VerifierKey::parse(&self.vkey()).expect("a verifier key of our own")
    }
}
