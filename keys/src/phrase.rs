//! A recovery phrase: 24 words of BIP 39 that stand for 256 random bits, what follows from them, and the escrow they open.
//!
//! Decides: the English list, words joined by single spaces, the checksum of BIP 39; reading forgives case and spacing and nothing else, and says which word
//! is not of the list, with those that are near. From the bits come a signature seed (it proves on a session that somebody has the phrase) and the keys of the
//! user's escrow; BIP 39's own stretching is left out, because the bits are uniform. Trusts: the randomness it is given.
//! Out of scope: who asks for a phrase (`client`), what it may do (`consensus`). Protocol section 9.

use crate::bucket::{pad, unpad};
use crate::derive::{Purpose, expand};
use crate::hedge::HedgedIvs;
use crate::sealed::{TAG_BYTES, open_in_place, seal_in_place};
use crate::space::OpenError;
use crate::text::near::{near, slips};
use crate::text::words;
use alloc::string::String;
use alloc::vec::Vec;
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::{Message, enc};
use ringwall_wire::ids::{ClusterId, CredPublic, UserId};
use ringwall_wire::label::Label;
use ringwall_wire::secret::{Secret, wash_stack};
use ringwall_wire::user::{EscrowSecrets, UserEscrow};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Words of a phrase.
pub const WORDS: usize = 24;
/// Words of the list that are named where one is not of it, at most.
const NEAR: usize = 4;
/// Places named where the checksum does not fit, at most.
const SUSPECTS: usize = 6;
/// Bytes of a typed phrase: 24 words of 8 letters with generous spacing.
pub const PHRASE_BYTES: usize = 1_024;

/// Why a typed phrase is none. Nothing of what was typed is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Another number of words.
    #[error("a recovery phrase has {WORDS} words, this one has {got}")]
    Count {
        /// Words it has.
        got: usize,
    },
    /// A word that is not of the list.
    #[error("word {place} is not of the list{}", near_words(.near))]
    Unknown {
        /// Which, from 1.
        place: usize,
        /// Words of the list that are near it.
        near: Vec<&'static str>,
    },
    /// All words are of the list, and the checksum does not fit: one of them is another one, or two stand in the other order.
    #[error("all words are of the list and the checksum does not fit: a word is another one, or two were exchanged{}", suspect_words(.suspects))]
    Checksum {
        /// Changes of one place by which it would fit: place from 1, and the word that would stand there.
        suspects: Vec<(usize, &'static str)>,
    },
}

fn near_words(near: &[&str]) -> String {
    match near {
        [] => "; compare it with what you wrote down".into(),
        near => alloc::format!("; near it are: {}", near.join(", ")),
    }
}

fn suspect_words(suspects: &[(usize, &str)]) -> String {
    let places: Vec<String> = suspects.iter().map(|(place, word)| alloc::format!("word {place} as \"{word}\"")).collect();
    match places.is_empty() {
        true => "; compare all of them with what you wrote down".into(),
        false => alloc::format!("; it would fit with {}", places.join(", or ")),
    }
}

/// A recovery phrase.
#[derive(Clone)]
pub struct Phrase(Secret<32>);

impl core::fmt::Debug for Phrase {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("Phrase")
    }
}

impl Phrase {
    /// Takes 256 uniformly random bits.
    pub fn from_entropy(entropy: Secret<32>) -> Self {
        Phrase(entropy)
    }

    /// The words.
    pub fn words(&self) -> Zeroizing<String> {
        let list = list();
        let mut text = Zeroizing::new(String::with_capacity(WORDS * 9));
        for number in indices(self.0.expose()).iter().copied() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(list.get(usize::from(number)).copied().unwrap_or_default());
        }
        text
    }

    /// Reads typed words.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        let lower = Zeroizing::new(text.to_lowercase());
        let typed: Zeroizing<Vec<String>> = Zeroizing::new(lower.split_whitespace().map(String::from).collect());
        if typed.len() != WORDS {
            return Err(PhraseError::Count { got: typed.len() });
        }
        let list = list();
        let mut numbers = Zeroizing::new([0_u16; WORDS]);
        for (at, (word, number)) in typed.iter().zip(numbers.iter_mut()).enumerate() {
            let found = list.binary_search(&word.as_str());
            let found = found
                .map_err(|_| PhraseError::Unknown { place: at.saturating_add(1), near: near(word).into_iter().take(NEAR).collect() })?;
            *number = u16::try_from(found).unwrap_or_default();
        }
        entropy(&numbers).map(Phrase).ok_or_else(|| PhraseError::Checksum { suspects: suspects(&numbers, &list) })
    }

    /// The seed of the Ed25519 key that proves that somebody has the phrase.
    pub fn signature_seed(&self) -> Secret<32> {
        let seed = expand(&self.0, Purpose::RecoverySign, &[]);
        wash_stack();
        seed
    }

    /// Seals what restores the user. `key`: the public half of the signature key; `seq`: the number of the user's last change.
    pub fn seal_escrow(&self, place: &EscrowPlace, seq: u64, secrets: &EscrowSecrets, ivs: &mut HedgedIvs) -> UserEscrow {
        let EscrowPlace { cluster_id, user, key } = *place;
        let plain = Zeroizing::new(secrets.encode());
        let aad = escrow_aad(place, seq);
        let iv = ivs.next(&[&aad, &plain]);
        let keys = self.escrow_keys(place, &iv);
        let (seal, commit) = halves(&keys);
        let mut text = pad(&plain, TAG_BYTES);
        seal_in_place(seal, &aad, &mut text);
        UserEscrow { cluster_id, user, key, seq, iv, commit: *commit, sealed: Blob::new(text).expect("a padded key fits") }
    }

    /// Opens an escrow. The commitment is compared first: an escrow opens under one phrase.
    pub fn open_escrow(&self, escrow: &UserEscrow) -> Result<EscrowSecrets, OpenError> {
        let place = EscrowPlace { cluster_id: escrow.cluster_id, user: escrow.user, key: escrow.key };
        let keys = self.escrow_keys(&place, &escrow.iv);
        let (seal, commit) = halves(&keys);
        if !bool::from(commit.ct_eq(&escrow.commit)) {
            return Err(OpenError::OtherKey);
        }
        let mut text = Zeroizing::new(escrow.sealed.to_vec());
        if !open_in_place(seal, &escrow_aad(&place, escrow.seq), &mut text) {
            return Err(OpenError::NotAuthentic);
        }
        if !unpad(&mut text) {
            return Err(OpenError::BadPadding);
        }
        let secrets = EscrowSecrets::decode(&text).map_err(|_| OpenError::BadPadding);
        wash_stack();
        secrets
    }

    /// What everything else follows from.
    pub(crate) fn bits(&self) -> &Secret<32> {
        &self.0
    }

    fn escrow_keys(&self, place: &EscrowPlace, iv: &[u8; 24]) -> Secret<64> {
        expand(&self.0, Purpose::EscrowKeys, &[&place.cluster_id.0, &place.user.0, iv])
    }
}

/// Whose escrow, under which recovery key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EscrowPlace {
    /// Cluster.
    pub cluster_id: ClusterId,
    /// User.
    pub user: UserId,
    /// Public half of the recovery key.
    pub key: CredPublic,
}

fn escrow_aad(place: &EscrowPlace, seq: u64) -> Vec<u8> {
    enc(Label::UserEscrow, &[&place.cluster_id.0, &place.user.0, &place.key.0, &seq.to_be_bytes()])
}

fn halves(keys: &Secret<64>) -> (&[u8; 32], &[u8; 32]) {
    let (chunks, _) = keys.expose().as_chunks::<32>();
    match chunks {
        [seal, commit] => (seal, commit),
        _ => unreachable!("64 bytes are two chunks of 32"),
    }
}

fn list() -> Vec<&'static str> {
    words::list().collect()
}

/// The entropy, then the first byte of its SHA-256, as numbers of words.
fn indices(entropy: &[u8; 32]) -> Zeroizing<Vec<u16>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(33));
    bytes.extend_from_slice(entropy);
    bytes.extend_from_slice(Sha256::digest(entropy).get(..1).unwrap_or_default());
    Zeroizing::new(words::symbols_of(&bytes))
}

/// The entropy of these words, if their checksum fits.
fn entropy(numbers: &[u16; WORDS]) -> Option<Secret<32>> {
    let (mut bytes, _) = words::unpacked(numbers);
    let (body, sum) = bytes.split_first_chunk_mut::<32>()?;
    let fits = Sha256::digest(body.as_slice()).first() == sum.first();
    fits.then(|| Secret::from_mut(body))
}

/// Changes of one place, or exchanges of two neighbours, by which the checksum fits: a typed word that is near another one of the list.
fn suspects(numbers: &[u16; WORDS], list: &[&'static str]) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    let word = |number: u16| list.get(usize::from(number)).copied().unwrap_or_default();
    let mut tried = Zeroizing::new(*numbers);
    for at in 0..WORDS {
        let Some(typed) = numbers.get(at).copied() else { continue };
        let near =
            list.iter().enumerate().filter(|(other, _)| *other != usize::from(typed)).filter(|(_, other)| slips(word(typed), other) == 1);
        for (other, _) in near {
            let other = u16::try_from(other).unwrap_or_default();
            tried.iter_mut().skip(at).take(1).for_each(|slot| *slot = other);
            if entropy(&tried).is_some() {
                found.push((at.saturating_add(1), word(other)));
            }
        }
        tried.copy_from_slice(numbers);
        if at.saturating_add(1) < WORDS {
            tried.swap(at, at.saturating_add(1));
            if *tried != *numbers && entropy(&tried).is_some() {
                found.push((at.saturating_add(1), word(tried.get(at).copied().unwrap_or_default())));
            }
            tried.copy_from_slice(numbers);
        }
    }
    tried.zeroize();
    found.truncate(SUSPECTS);
    found
}
