//! A custodian's keys: one that signs, one that shares are sealed to; and the public card that goes into a founding template.
//!
//! Decides: both keys come from seeds of their own; the file says whose it is in the clear, so that the card can be shown without the passphrase, and
//! an opened file whose public part is another's is refused. The card names the id, a hash of both keys, which people compare by telephone.
//! Trusts: the machine's generator. Out of scope: how files are locked (`locked.rs`). Protocol section 6.1.

use super::locked::{Keyring, Lock, LockError, lock, unlock};
use crate::entropy::{self, Entropy};
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_keys::custody::{Draws, KemSecret, custodian_key};
use ringwall_wire::bounded::{Blob, Text};
use ringwall_wire::codec::Field as _;
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{CustodianId, SigPublic, Signature};
use ringwall_wire::keeping::{LockedFile, LockedKind};
use ringwall_wire::secret::Secret;
use ringwall_wire::text::{hex, read_hex, read_hex_vec};
use serde::Deserialize;
use zeroize::Zeroizing;

/// Bytes of one seed.
const SEED_BYTES: usize = 32;
/// Bytes of both.
pub const SEEDS_BYTES: usize = 2 * SEED_BYTES;
/// Bytes of a file of cards: those of all custodians of a cluster, with comments.
pub const CARDS_BYTES: usize = 16 * 4 * 1024;

/// The keys. Dropped, they leave no trace in memory.
pub struct CustodianKeys {
    name: Text<64>,
    sig: Secret<32>,
    kem: Secret<32>,
}

impl core::fmt::Debug for CustodianKeys {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "CustodianKeys({})", self.public().id())
    }
}

impl CustodianKeys {
    /// Makes new ones.
    pub fn make(name: Text<64>) -> Self {
        CustodianKeys { name, sig: Secret::from_mut(&mut entropy::bytes()), kem: Secret::from_mut(&mut entropy::bytes()) }
    }

    /// Takes both seeds: what [`CustodianKeys::seeds`] gave.
    pub fn from_seeds(name: Text<64>, seeds: &[u8; SEEDS_BYTES]) -> Self {
        let (sig, kem) = seeds.split_at(SEED_BYTES);
        let seed = |half: &[u8]| {
            let mut bytes = [0; SEED_BYTES];
            bytes.copy_from_slice(half);
            Secret::from_mut(&mut bytes)
        };
        CustodianKeys { name, sig: seed(sig), kem: seed(kem) }
    }

    /// Both seeds, one behind the other: what stands on paper.
    pub fn seeds(&self) -> Zeroizing<[u8; SEEDS_BYTES]> {
        let mut seeds = Zeroizing::new([0; SEEDS_BYTES]);
        let (sig, kem) = seeds.split_at_mut(SEED_BYTES);
        sig.copy_from_slice(self.sig.expose());
        kem.copy_from_slice(self.kem.expose());
        seeds
    }

    /// The public halves, as a founding record has them.
    pub fn public(&self) -> Custodian {
        let sig = SigPublic(SigningKey::from_bytes(self.sig.expose()).verifying_key().to_bytes());
        let kem = Blob::new(self.kem_secret().public().0).expect("an X-Wing key has 1,216 bytes");
        Custodian { name: self.name.clone(), sig, kem }
    }

    /// Who they are of.
    pub fn id(&self) -> CustodianId {
        self.public().id()
    }

    /// What opens envelopes.
    pub(crate) fn kem_secret(&self) -> KemSecret {
        KemSecret::from_seed(self.kem.clone())
    }

    /// Runs `work` with randomness that a generator which repeats does not repeat: mixed with a secret of these keys.
    pub(crate) fn with_draws<T>(&self, work: impl FnOnce(&mut Draws<'_>) -> T) -> T {
        work(&mut Draws::new(&mut Entropy, &self.kem))
    }

    /// Signs words.
    pub(crate) fn sign(&self, words: &[u8]) -> Signature {
        Signature(SigningKey::from_bytes(self.sig.expose()).sign(words).to_bytes())
    }

    /// A file with them.
    pub fn lock(&self, how: &Lock<'_>) -> Result<LockedFile, LockError> {
        lock(LockedKind::Keys, &self.public().to_bytes(), &*self.seeds(), how)
    }

    /// Opens a file.
    pub fn unlock(file: &LockedFile, keyring: &mut dyn Keyring) -> Result<Self, LockError> {
        let public = public_of(file)?;
        let secret = unlock(file, keyring)?;
        let seeds = <&[u8; SEEDS_BYTES]>::try_from(secret.as_slice()).map_err(|_| LockError::Mismatch)?;
        let keys = CustodianKeys::from_seeds(public.name.clone(), seeds);
        match keys.public() == public {
            true => Ok(keys),
            false => Err(LockError::Mismatch),
        }
    }
}

/// Whose keys a file holds. It says so itself: believed once it was opened.
pub fn public_of(file: &LockedFile) -> Result<Custodian, LockError> {
    Custodian::from_bytes(&file.public).map_err(LockError::Malformed)
}

/// Why text is no card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardTextError {
    /// It is no TOML of this shape.
    #[error("it is no card of a custodian ({0}); `ringwall custodian card` prints one")]
    Malformed(String),
    /// A key or name is not one.
    #[error("the card of {name} has no good {field}: it was cut or changed on its way; ask for it again")]
    Field {
        /// Whose.
        name: String,
        /// Which field.
        field: &'static str,
    },
    /// The id is another one.
    #[error(
        "the card of {name} says id {said}, its keys make {made}: it was changed on its way; ask for it again and compare the id by telephone"
    )]
    OtherId {
        /// Whose.
        name: String,
        /// What it says.
        said: String,
        /// What its keys make.
        made: CustodianId,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardsToml {
    custodians: Vec<CardToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardToml {
    name: String,
    id: String,
    sig: String,
    kem: String,
}

/// The card, as founders paste it into one file with the others.
pub fn card_toml(custodian: &Custodian) -> String {
    let name = toml::Value::String(custodian.name.to_string());
    format!(
        "# A Ringwall custodian. Public; compare the id with its owner by another way.\n[[custodians]]\nname = {name}\nid = \"{}\"\n\
         sig = \"{}\"\nkem = \"{}\"\n",
        custodian.id(),
        custodian.sig,
        hex(&custodian.kem)
    )
}

/// Reads cards, in their order.
pub fn read_cards(text: &str) -> Result<Vec<Custodian>, CardTextError> {
    let cards: CardsToml = toml::from_str(text).map_err(|fault| CardTextError::Malformed(fault.message().to_owned()))?;
    cards.custodians.into_iter().map(read_card).collect()
}

fn read_card(card: CardToml) -> Result<Custodian, CardTextError> {
    let wrong = |field| CardTextError::Field { name: card.name.clone(), field };
    let name = Text::new(card.name.as_str()).map_err(|_| wrong("name"))?;
    let sig = SigPublic(read_hex(&card.sig).ok_or_else(|| wrong("sig"))?);
    let kem = read_hex_vec(&card.kem).and_then(|kem| Blob::new(kem).ok()).ok_or_else(|| wrong("kem"))?;
    let custodian = Custodian { name, sig, kem };
    custodian_key(&custodian).map_err(|_| wrong("kem"))?;
    match custodian.id().to_string() == card.id {
        true => Ok(custodian),
        false => Err(CardTextError::OtherId { name: card.name.clone(), said: card.id.clone(), made: custodian.id() }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::custodian::age::Age;
    use crate::custodian::locked::{Passphrase, decode};
    use ringwall_wire::codec::Message as _;

    struct Typed;

    impl Keyring for Typed {
        fn passphrase(&mut self) -> Result<Passphrase, LockError> {
            Ok(passphrase())
        }
        fn age(&mut self) -> Result<(Age, std::path::PathBuf), LockError> {
            Err(LockError::NoIdentity)
        }
    }

    fn passphrase() -> Passphrase {
        Passphrase::new(Zeroizing::new("correct horse battery staple".to_owned()))
    }

    fn keys(name: &str) -> CustodianKeys {
        CustodianKeys::make(Text::new(name).unwrap())
    }

    #[test]
    fn keys_come_back_from_a_file_and_from_paper() {
        let made = keys("Ana");
        let file = made.lock(&Lock::Passphrase(&passphrase())).unwrap();
        assert_eq!(public_of(&file).unwrap(), made.public());
        let opened = CustodianKeys::unlock(&decode(&file.encode(), LockedKind::Keys).unwrap(), &mut Typed).unwrap();
        assert_eq!(opened.public(), made.public());
        assert_eq!(CustodianKeys::from_seeds(Text::new("Ana").unwrap(), &made.seeds()).public(), made.public());
        assert!(!format!("{made:?}").contains(&hex(made.sig.expose())));
    }

    #[test]
    fn a_file_put_together_from_two_is_refused() {
        let (one, other) = (keys("Ana"), keys("Ben"));
        // What age locks names no public part: only the comparison can notice.
        let swapped = lock(LockedKind::Keys, &one.public().to_bytes(), &*other.seeds(), &Lock::Passphrase(&passphrase())).unwrap();
        assert!(matches!(CustodianKeys::unlock(&swapped, &mut Typed), Err(LockError::Mismatch)));
    }

    #[test]
    fn cards_are_read_together_and_every_change_is_noticed() {
        let (one, other) = (keys("Ana \"the first\""), keys("Ben"));
        let text = card_toml(&one.public()) + "\n" + &card_toml(&other.public());
        assert_eq!(read_cards(&text).unwrap(), [one.public(), other.public()]);
        let card = card_toml(&other.public());
        let sig = other.public().sig.to_string();
        let changed = card.replace(&sig, &one.public().sig.to_string());
        assert!(matches!(read_cards(&changed), Err(CardTextError::OtherId { .. })));
        let cut = card.replace(&sig, &sig[..62]);
        assert!(matches!(read_cards(&cut), Err(CardTextError::Field { field: "sig", .. })));
        assert!(matches!(read_cards("hello"), Err(CardTextError::Malformed(_))));
        assert!(matches!(read_cards(&card.replace("kem", "key")), Err(CardTextError::Malformed(_))));
    }
}
