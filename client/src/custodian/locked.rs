//! Locking a secret into a file: under a passphrase, or for whatever a person's `age` can open.
//!
//! Decides: a passphrase becomes a key by Argon2id with a fresh salt, so that each key locks one secret, and AES-256-GCM binds the public part of the file;
//! the cost that a file asks for is bounded before it is paid. What age locked names no public part, so whoever opens a file compares the secret
//! with it (`keys.rs`, `share.rs`).
//! Trusts: for age, that program (`age.rs`). Out of scope: asking people (`cli/passphrase.rs`). Decision 0033; docs/formats.md, "Files of a custodian".

use super::age::{Age, AgeError};
use crate::entropy;
use aes_gcm::aead::consts::U12;
use aes_gcm::{AeadInOut as _, Aes256Gcm, KeyInit as _, Nonce as Iv, Tag};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::{DecodeError, Field as _, Message as _, enc};
use ringwall_wire::keeping::{LockedFile, LockedKind, PassphraseRule, Protection};
use ringwall_wire::label::Label;
use ringwall_wire::limits::{LOCKED_PUBLIC_BYTES, LOCKED_SECRET_BYTES};
use zeroize::Zeroizing;

/// Bytes of a locked file.
pub const LOCKED_FILE_BYTES: usize = LOCKED_PUBLIC_BYTES + LOCKED_SECRET_BYTES + 1_024;
/// Fewest characters of a passphrase: five words of a list, or twelve characters nobody can guess.
pub const PASSPHRASE_CHARS: usize = 12;
/// Most bytes of a passphrase.
pub const PASSPHRASE_BYTES: usize = 1_024;
/// Memory and passes of new files: the second choice of RFC 9106.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// Most a file may ask for, so that one from elsewhere does not take the machine down.
const MEMORY_MOST_KIB: u32 = 1024 * 1024;
const PASSES_MOST: u32 = 32;
const LANES_MOST: u32 = 16;

/// Bytes of a GCM tag.
const TAG_BYTES: usize = 16;

/// A passphrase, wiped when dropped.
pub struct Passphrase(Zeroizing<String>);

impl core::fmt::Debug for Passphrase {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("Passphrase")
    }
}

impl Passphrase {
    /// Takes what was typed, without the line's end.
    pub fn new(typed: Zeroizing<String>) -> Self {
        Passphrase(typed)
    }

    /// Why it is not to be used for a new file, if so.
    pub fn weakness(&self) -> Option<LockError> {
        let characters = self.0.chars().count();
        let different = self.0.chars().collect::<std::collections::BTreeSet<_>>().len();
        (characters < PASSPHRASE_CHARS || different < PASSPHRASE_CHARS / 2).then_some(LockError::Weak { characters, different })
    }

    /// Whether both are the same.
    pub fn is(&self, other: &Passphrase) -> bool {
        self.0 == other.0
    }
}

/// Why a file was not locked or not opened.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is no such file.
    #[error("it is no locked file of a custodian: {0}; is it another file, or cut off?")]
    Malformed(DecodeError),
    /// It holds something else.
    #[error("it holds {got}, not {wanted}")]
    OtherKind {
        /// What was wanted.
        wanted: &'static str,
        /// What it holds.
        got: &'static str,
    },
    /// The passphrase is not the one, or the file was changed.
    #[error("wrong passphrase, or the file was changed since it was written: try again, or take it from a copy")]
    NotOpened,
    /// The secret is not what the public part says.
    #[error("its secret part is not that of its public part: the file was put together from two; take it from a copy")]
    Mismatch,
    /// A new passphrase that others can guess.
    #[error(
        "the passphrase has {characters} characters ({different} different ones); it must have {PASSPHRASE_CHARS}, of which {} are different: \
         take five or more words of a list by dice",
        PASSPHRASE_CHARS / 2
    )]
    Weak {
        /// Characters it has.
        characters: usize,
        /// Different ones.
        different: usize,
    },
    /// The file asks for more work than any file this program writes.
    #[error("it asks for {memory_kib} KiB of memory, {passes} passes and {lanes} lanes, more than any file this program writes")]
    TooCostly {
        /// Memory, KiB.
        memory_kib: u32,
        /// Passes.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// There is not enough memory on this machine.
    #[error("this machine has no {memory_kib} KiB of memory to spare, which turning the passphrase into a key needs")]
    NoMemory {
        /// Memory, KiB.
        memory_kib: u32,
    },
    /// It is locked for age, and no identity was named.
    #[error("it is locked for age: name the identity (or plugin's identity file) that opens it with --identity")]
    NoIdentity,
    /// It is locked by a passphrase, and only an identity was named.
    #[error("it is locked by a passphrase, not for age: leave out --identity")]
    NotForAge,
    /// Nobody gave the passphrase.
    #[error("{0}")]
    NotGiven(String),
    /// age did not do it.
    #[error(transparent)]
    Age(#[from] AgeError),
    /// What is to be locked is too long, which no caller does.
    #[error("it is too long to be locked: {0}")]
    TooLong(DecodeError),
}

impl LockError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            LockError::Malformed(_) | LockError::TooLong(_) => "RW-C-CUSTODIAN-MALFORMED",
            LockError::OtherKind { .. } => "RW-C-CUSTODIAN-OTHER-FILE",
            LockError::NotOpened | LockError::NotGiven(_) => "RW-C-CUSTODIAN-PASSPHRASE",
            LockError::Mismatch => "RW-C-CUSTODIAN-MISMATCH",
            LockError::Weak { .. } => "RW-C-CUSTODIAN-WEAK",
            LockError::TooCostly { .. } | LockError::NoMemory { .. } => "RW-C-CUSTODIAN-COST",
            LockError::NoIdentity | LockError::NotForAge => "RW-C-USAGE",
            LockError::Age(_) => "RW-C-CUSTODIAN-AGE",
        }
    }
}

/// How a new file is to be locked.
#[derive(Debug)]
pub enum Lock<'a> {
    /// Under a passphrase.
    Passphrase(&'a Passphrase),
    /// For these recipients of age.
    Age(&'a Age, &'a [String]),
}

/// What opens files.
pub trait Keyring {
    /// The passphrase of a file locked by one; asked for when it is needed.
    fn passphrase(&mut self) -> Result<Passphrase, LockError>;
    /// The age program and the identity that opens files locked for it.
    fn age(&mut self) -> Result<(Age, std::path::PathBuf), LockError>;
}

/// Locks `secret`.
pub fn lock(kind: LockedKind, public: &[u8], secret: &[u8], lock: &Lock<'_>) -> Result<LockedFile, LockError> {
    let public = Blob::new(public).map_err(LockError::TooLong)?;
    let (protection, sealed) = match lock {
        Lock::Passphrase(passphrase) => {
            let rule = PassphraseRule { salt: entropy::bytes(), memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES };
            let cipher = cipher(passphrase, &rule)?;
            let protection = Protection::Passphrase(rule);
            let aad = bound(kind, &public, &protection);
            let mut sealed = secret.to_vec();
            let tag = cipher.encrypt_inout_detached(&Iv::<U12>::default(), &aad, sealed.as_mut_slice().into());
            sealed.extend_from_slice(&tag.expect("a secret is below GCM's 64 GiB"));
            (protection, sealed)
        }
        Lock::Age(age, recipients) => (Protection::Age, age.encrypt(secret, recipients)?),
    };
    let secret = Blob::new(sealed).map_err(LockError::TooLong)?;
    Ok(LockedFile { kind, public, protection, secret })
}

/// Opens a file; whether the secret fits its public part is for the caller to see.
pub fn unlock(file: &LockedFile, keyring: &mut dyn Keyring) -> Result<Zeroizing<Vec<u8>>, LockError> {
    match &file.protection {
        Protection::Passphrase(rule) => {
            bounded(rule)?;
            let cipher = cipher(&keyring.passphrase()?, rule)?;
            let aad = bound(file.kind, &file.public, &file.protection);
            let (sealed, tag) = file.secret.split_last_chunk::<TAG_BYTES>().ok_or(LockError::NotOpened)?;
            let mut opened = Zeroizing::new(sealed.to_vec());
            let done = cipher.decrypt_inout_detached(&Iv::<U12>::default(), &aad, opened.as_mut_slice().into(), &Tag::from(*tag));
            done.map(|()| opened).map_err(|_| LockError::NotOpened)
        }
        Protection::Age => {
            let (age, identity) = keyring.age()?;
            Ok(age.decrypt(&file.secret, &identity, LOCKED_SECRET_BYTES)?)
        }
    }
}

/// Reads a locked file of this kind.
pub fn decode(bytes: &[u8], kind: LockedKind) -> Result<LockedFile, LockError> {
    let file = LockedFile::decode(bytes).map_err(LockError::Malformed)?;
    match file.kind == kind {
        true => Ok(file),
        false => Err(LockError::OtherKind { wanted: words(kind), got: words(file.kind) }),
    }
}

fn words(kind: LockedKind) -> &'static str {
    match kind {
        LockedKind::Keys => "a custodian's keys",
        LockedKind::Share => "a share",
    }
}

/// What the passphrase's key authenticates beside the secret.
fn bound(kind: LockedKind, public: &[u8], protection: &Protection) -> Vec<u8> {
    enc(Label::LockedFile, &[&kind.to_bytes(), public, &protection.to_bytes()])
}

fn bounded(rule: &PassphraseRule) -> Result<(), LockError> {
    let PassphraseRule { memory_kib, passes, lanes, .. } = *rule;
    match memory_kib > MEMORY_MOST_KIB || passes > PASSES_MOST || lanes > LANES_MOST {
        true => Err(LockError::TooCostly { memory_kib, passes, lanes }),
        false => Ok(()),
    }
}

/// The cipher of one file.
fn cipher(passphrase: &Passphrase, rule: &PassphraseRule) -> Result<Aes256Gcm, LockError> {
    let mut key = Zeroizing::new([0; 32]);
    // Parameters that Argon2 does not know were not written by this program.
    let illegal = |_| LockError::Malformed(DecodeError::Illegal { what: "PassphraseRule" });
    let params = Params::new(rule.memory_kib, rule.passes, rule.lanes, Some(key.len())).map_err(illegal)?;
    let mut memory: Vec<Block> = Vec::new();
    memory.try_reserve_exact(params.block_count()).map_err(|_| LockError::NoMemory { memory_kib: rule.memory_kib })?;
    memory.resize(params.block_count(), Block::default());
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let derived = argon.hash_password_into_with_memory(passphrase.0.as_bytes(), &rule.salt, &mut *key, &mut memory);
    memory.iter_mut().for_each(zeroize::Zeroize::zeroize);
    derived.map_err(illegal)?;
    Ok(Aes256Gcm::new((&*key).into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    struct Typed(&'static str);

    impl Keyring for Typed {
        fn passphrase(&mut self) -> Result<Passphrase, LockError> {
            Ok(passphrase(self.0))
        }
        fn age(&mut self) -> Result<(Age, std::path::PathBuf), LockError> {
            Err(LockError::NoIdentity)
        }
    }

    const GOOD: &str = "correct horse battery staple";

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }

    fn locked() -> LockedFile {
        lock(LockedKind::Keys, b"public", b"secret", &Lock::Passphrase(&passphrase(GOOD))).unwrap()
    }

    #[test]
    fn what_was_locked_opens_with_its_passphrase_alone() {
        let file = decode(&locked().encode(), LockedKind::Keys).unwrap();
        assert_eq!(**unlock(&file, &mut Typed(GOOD)).unwrap(), *b"secret");
        assert!(matches!(unlock(&file, &mut Typed("correct horse battery stable")), Err(LockError::NotOpened)));
        assert!(matches!(decode(&file.encode(), LockedKind::Share), Err(LockError::OtherKind { .. })));
        assert_ne!(locked().secret, locked().secret, "every file has a salt of its own");
    }

    #[test]
    fn nothing_in_the_clear_can_be_changed() {
        let change = |change: fn(&mut LockedFile)| {
            let mut file = locked();
            change(&mut file);
            assert!(matches!(unlock(&file, &mut Typed(GOOD)), Err(LockError::NotOpened)));
        };
        change(|file| file.kind = LockedKind::Share);
        change(|file| file.public = Blob::new(*b"Public").unwrap());
        change(|file| {
            let Protection::Passphrase(rule) = &mut file.protection else { return };
            rule.passes += 1;
        });
    }

    #[test]
    fn a_file_cannot_ask_for_the_whole_machine() {
        let mut file = locked();
        for (memory_kib, passes, lanes) in [(MEMORY_MOST_KIB + 1, 1, 1), (8, PASSES_MOST + 1, 1), (1_024, 1, LANES_MOST + 1)] {
            file.protection = Protection::Passphrase(PassphraseRule { salt: [0; 16], memory_kib, passes, lanes });
            assert!(matches!(unlock(&file, &mut Typed(GOOD)), Err(LockError::TooCostly { .. })));
        }
        for (memory_kib, passes, lanes) in [(0, 1, 1), (1_024, 0, 1), (1_024, 1, 0)] {
            file.protection = Protection::Passphrase(PassphraseRule { salt: [0; 16], memory_kib, passes, lanes });
            assert!(matches!(unlock(&file, &mut Typed(GOOD)), Err(LockError::Malformed(_))));
        }
        assert!(matches!(LockedFile::decode(&file.encode()[..40]).map_err(LockError::Malformed), Err(LockError::Malformed(_))));
    }

    #[test]
    fn a_new_passphrase_is_long_and_varied() {
        for weak in ["", "short", "12345678901", "aaaaaaaaaaaaaaaaaaaaaaaa", "abababababababab"] {
            assert!(passphrase(weak).weakness().is_some(), "{weak}");
        }
        for fine in [GOOD, "x7!kQ2#mZ9pL"] {
            assert!(passphrase(fine).weakness().is_none(), "{fine}");
        }
        assert!(!format!("{:?}", passphrase(GOOD)).contains("horse"));
    }
}
