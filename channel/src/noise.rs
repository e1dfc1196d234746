//! The Noise state machine (`snow`) on our own primitives.
//!
//! Decides: X25519, AES-256-GCM and SHA-256 from RustCrypto and dalek, wiped when dropped; an X25519 output of low order aborts (SB4).
//! Randomness: 32 bytes are drawn from the caller's generator before the handshake; `snow` gets HMAC-SHA-256(seed, counter) blocks.
//! Trusts: `snow` for the order of tokens; it is checked against published vectors (`tests/noise.rs`). Its own copies of the chaining
//! key, of the psk and of derived cipher keys on the stack are not wiped: a reader of the node's memory is out of scope.
//! Protocol section 3.

use crate::secrets::NodeSecrets;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Tag};
use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};
use hmac::{Hmac, Mac};
use rand_core::CryptoRng;
use ringwall_wire::counted::{Primitive, count};
use ringwall_wire::secret::wash_stack;
use sha2::{Digest as _, Sha256};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

/// Pattern of client sessions.
const NK: &str = "Noise_NKpsk2_25519_AESGCM_SHA256";
/// Pattern of sessions between nodes.
const XX: &str = "Noise_XX_25519_AESGCM_SHA256";
/// A pattern without static keys: what a handshake is overwritten with.
const NN: &str = "Noise_NN_25519_AESGCM_SHA256";
/// Bytes of an AES-GCM tag.
const TAG_BYTES: usize = 16;

/// A builder for the client pattern, at the client's end.
pub(crate) fn client_builder<'a, R: CryptoRng + ?Sized>(rng: &mut R) -> Builder<'a> {
    builder(NK, None, rng)
}

/// A builder for the client pattern, at the end of the node whose keys these are.
pub(crate) fn node_builder<'a, R: CryptoRng + ?Sized>(own: &'a NodeSecrets, rng: &mut R) -> Builder<'a> {
    with_own(NK, own, rng)
}

/// A builder for the pattern between nodes.
pub(crate) fn peer_builder<'a, R: CryptoRng + ?Sized>(own: &'a NodeSecrets, rng: &mut R) -> Builder<'a> {
    with_own(XX, own, rng)
}

fn with_own<'a, R: CryptoRng + ?Sized>(pattern: &str, own: &'a NodeSecrets, rng: &mut R) -> Builder<'a> {
    let builder = builder(pattern, Some(own.public().noise.0), rng);
    builder.local_private_key(own.noise()).expect("a local key is set once")
}

fn builder<'a, R: CryptoRng + ?Sized>(pattern: &str, own: Option<[u8; 32]>, rng: &mut R) -> Builder<'a> {
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *seed);
    Builder::with_resolver(pattern.parse().expect("the pattern is one snow knows"), Box::new(Primitives { seed, own }))
}

/// A handshake under way: at one place in memory from its first message on, and overwritten there at its end, because `snow` wipes neither
/// chaining key nor psk, and from the chaining key follow the keys of the session.
pub(crate) struct Shake(Box<HandshakeState>);

impl Shake {
    /// Takes a handshake that holds no secret of the session yet.
    pub(crate) fn new(fresh: HandshakeState) -> Self {
        Shake(Box::new(fresh))
    }
}

impl Deref for Shake {
    type Target = HandshakeState;
    fn deref(&self) -> &HandshakeState {
        &self.0
    }
}

impl DerefMut for Shake {
    fn deref_mut(&mut self) -> &mut HandshakeState {
        &mut self.0
    }
}

impl Drop for Shake {
    fn drop(&mut self) {
        let blank = Builder::with_resolver(
            NN.parse().expect("the pattern is one snow knows"),
            Box::new(Primitives { seed: Zeroizing::default(), own: None }),
        );
        *self.0 = blank.build_initiator().expect("a pattern without static keys needs none");
        // Freed memory need not be written: here it is.
        core::hint::black_box(&mut *self.0);
        wash_stack();
    }
}

/// Hands our primitives to `snow`.
struct Primitives {
    seed: Zeroizing<[u8; 32]>,
    /// Public half of the local static key, where it is known: making it again is one more multiplication in each handshake.
    own: Option<[u8; 32]>,
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SeedRandom { seed: self.seed.clone(), counter: 0 }))
    }
    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(X25519 { own: self.own, ..X25519::default() }) as Box<dyn Dh>)
    }
    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::new(NoiseSha256::default()) as Box<dyn Hash>)
    }
    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::AESGCM).then(|| Box::new(NoiseAesGcm(None)) as Box<dyn Cipher>)
    }
}

/// HMAC-SHA-256 in counter mode over a seed that is used for one handshake.
struct SeedRandom {
    seed: Zeroizing<[u8; 32]>,
    counter: u64,
}

impl Random for SeedRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        for chunk in dest.chunks_mut(32) {
            let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&*self.seed).map_err(|_| Error::Rng)?;
            mac.update(&self.counter.to_be_bytes());
            self.counter = self.counter.checked_add(1).ok_or(Error::Rng)?;
            let mut block = mac.finalize().into_bytes();
            for (to, from) in chunk.iter_mut().zip(&block) {
                *to = *from;
            }
            block.as_mut_slice().zeroize();
        }
        Ok(())
    }
}

/// One X25519 key pair.
#[derive(Default)]
struct X25519 {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
    /// Public half of the only key that is ever set and not generated; a wrong one fails the handshake.
    own: Option<[u8; 32]>,
}

impl X25519 {
    fn made(&mut self) {
        count(Primitive::Exchange);
        self.public = PublicKey::from(&StaticSecret::from(*self.secret)).to_bytes();
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }
    fn pub_len(&self) -> usize {
        32
    }
    fn priv_len(&self) -> usize {
        32
    }
    fn set(&mut self, privkey: &[u8]) {
        self.secret.copy_from_slice(privkey);
        match self.own {
            Some(public) => self.public = public,
            None => self.made(),
        }
    }
    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        rng.try_fill_bytes(&mut *self.secret)?;
        self.made();
        Ok(())
    }
    fn pubkey(&self) -> &[u8] {
        &self.public
    }
    fn privkey(&self) -> &[u8] {
        &*self.secret
    }
    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), Error> {
        // snow passes its whole key buffer, longer than our keys.
        let public: [u8; 32] = *pubkey.first_chunk().ok_or(Error::Dh)?;
        count(Primitive::Exchange);
        let shared = StaticSecret::from(*self.secret).diffie_hellman(&PublicKey::from(public));
        if !shared.was_contributory() {
            return Err(Error::Dh);
        }
        out.get_mut(..32).ok_or(Error::Dh)?.copy_from_slice(shared.as_bytes());
        Ok(())
    }
}

/// AES-256-GCM with Noise's iv: four zero bytes and the counter, big-endian.
struct NoiseAesGcm(Option<Aes256Gcm>);

impl NoiseAesGcm {
    fn keyed(&self) -> &Aes256Gcm {
        self.0.as_ref().expect("snow sets a key before it encrypts or decrypts")
    }
}

/// The iv of a counter.
pub(crate) fn counter_iv(counter: u64) -> [u8; 12] {
    let mut iv = [0; 12];
    iv.split_at_mut(4).1.copy_from_slice(&counter.to_be_bytes());
    iv
}

impl Cipher for NoiseAesGcm {
    fn name(&self) -> &'static str {
        "AESGCM"
    }
    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Some(Aes256Gcm::new(key.into()));
    }
    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let len = plaintext.len().saturating_add(TAG_BYTES);
        let out = out.get_mut(..len).expect("snow checks the room before it encrypts");
        let (body, tag) = out.split_at_mut(plaintext.len());
        body.copy_from_slice(plaintext);
        let iv = counter_iv(nonce);
        count(Primitive::Seal);
        let sum = self.keyed().encrypt_inout_detached(&iv.into(), authtext, body.into()).expect("a Noise message is below 64 KiB");
        tag.copy_from_slice(&sum);
        len
    }
    fn decrypt(&self, nonce: u64, authtext: &[u8], ciphertext: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let (sealed, tag) = ciphertext.split_last_chunk::<TAG_BYTES>().ok_or(Error::Decrypt)?;
        let body = out.get_mut(..sealed.len()).ok_or(Error::Decrypt)?;
        body.copy_from_slice(sealed);
        let (iv, tag) = (counter_iv(nonce), Tag::from(*tag));
        count(Primitive::Open);
        self.keyed().decrypt_inout_detached(&iv.into(), authtext, body.into(), &tag).map_err(|_| Error::Decrypt)?;
        Ok(sealed.len())
    }
}

/// SHA-256 with Noise's interface.
#[derive(Default)]
struct NoiseSha256(Sha256);

impl Hash for NoiseSha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }
    fn block_len(&self) -> usize {
        64
    }
    fn hash_len(&self) -> usize {
        32
    }
    fn reset(&mut self) {
        self.0 = Sha256::new();
    }
    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }
    fn result(&mut self, out: &mut [u8]) {
        count(Primitive::Hash);
        let digest = core::mem::take(&mut self.0).finalize();
        out.get_mut(..32).expect("snow's buffers hold a hash").copy_from_slice(&digest);
    }
}

#[cfg(test)]
mod tests;
