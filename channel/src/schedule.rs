//! Keys of a session: from the handshake's two raw keys to the key of every record.
//!
//! Decides, with SHA-256 (HKDF's expand step; parents are uniform):
//! - `chain_0 = expand(raw key of the direction, enc("stream-key", handshake, direction, stream))`;
//! - `chain_{g+1} || record key_g = expand(chain_g, enc("stream-ratchet", g))`, a new generation every 2^20 records, so that one
//!   AES-GCM key never carries more than 64 GiB and a captured key opens no earlier generation;
//! - `psk = HKDF(ML-KEM shared secret, enc("nk-psk", msg1))`.
//!
//! Trusts: the handshake. Out of scope: record layout (`record.rs`). Protocol section 3.

use crate::error::ChannelError;
use crate::noise::counter_iv;
use aes_gcm::{Aes256Gcm, KeyInit};
use alloc::boxed::Box;
use hkdf::Hkdf;
use ringwall_wire::codec::enc;
use ringwall_wire::counted::{Primitive, count};
use ringwall_wire::ids::Digest;
use ringwall_wire::label::Label;
use ringwall_wire::secret::Secret;
use sha2::Sha256;

/// Records under one AES-GCM key.
pub(crate) const RATCHET_RECORDS: u64 = 1 << 20;
/// Records of one stream in one direction: far beyond any session, far below the counter's end.
const STREAM_RECORDS: u64 = 1 << 48;

/// Which side sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The side that opened the session.
    Dial,
    /// The side that answered.
    Answer,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Side::Dial => Side::Answer,
            Side::Answer => Side::Dial,
        }
    }

    fn as_bytes(self) -> &'static [u8] {
        match self {
            Side::Dial => b"dial",
            Side::Answer => b"answer",
        }
    }
}

/// The pre-shared key of a client handshake.
pub(crate) fn psk(shared: &Secret<32>, msg1: &[u8]) -> Secret<32> {
    count(Primitive::Derive);
    let kdf = Hkdf::<Sha256>::new(None, shared.expose());
    expand(&kdf, &enc(Label::NkPsk, &[msg1]))
}

/// The keys of one direction of one stream, in record order.
pub(crate) struct KeyChain {
    chain: Secret<32>,
    cipher: Box<Aes256Gcm>,
    counter: u64,
    ratchet_records: u64,
}

impl KeyChain {
    /// The chain of what `sender` sends on `stream`; `raw` is that direction's key of the handshake.
    pub(crate) fn new(raw: &Secret<32>, handshake: &Digest, sender: Side, stream: u32) -> Self {
        let info = enc(Label::StreamKey, &[&handshake.0, sender.as_bytes(), &stream.to_be_bytes()]);
        Self::start(expand(&parent(raw), &info), RATCHET_RECORDS)
    }

    fn start(chain: Secret<32>, ratchet_records: u64) -> Self {
        let (chain, cipher) = next_generation(&chain, 0);
        KeyChain { chain, cipher, counter: 0, ratchet_records }
    }

    /// A chain with a short generation, so that tests reach the next one.
    #[cfg(test)]
    pub(crate) fn short(raw: &Secret<32>, ratchet_records: u64) -> Self {
        Self::start(raw.clone(), ratchet_records)
    }

    /// The cipher and iv of the current record.
    pub(crate) fn current(&self) -> (&Aes256Gcm, [u8; 12]) {
        (&self.cipher, counter_iv(self.counter))
    }

    /// Number of the current record.
    pub(crate) fn counter(&self) -> u64 {
        self.counter
    }

    /// Goes on to the next record.
    pub(crate) fn advance(&mut self) -> Result<(), ChannelError> {
        let next = self.counter.checked_add(1).filter(|next| *next < STREAM_RECORDS).ok_or(ChannelError::Exhausted)?;
        if next.is_multiple_of(self.ratchet_records) {
            (self.chain, self.cipher) = next_generation(&self.chain, next / self.ratchet_records);
        }
        self.counter = next;
        Ok(())
    }
}

/// The chain after `chain`, and the cipher of generation `generation`.
fn next_generation(chain: &Secret<32>, generation: u64) -> (Secret<32>, Box<Aes256Gcm>) {
    let both: Secret<64> = expand(&parent(chain), &enc(Label::StreamRatchet, &[&generation.to_be_bytes()]));
    let (next, key) = both.expose().split_at(32);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(next);
    let cipher = Box::new(Aes256Gcm::new_from_slice(key).expect("the second half is 32 bytes"));
    (Secret::from_mut(&mut bytes), cipher)
}

fn parent(key: &Secret<32>) -> Hkdf<Sha256> {
    Hkdf::<Sha256>::from_prk(key.expose()).expect("a parent key has the length of the hash")
}

fn expand<const N: usize>(kdf: &Hkdf<Sha256>, info: &[u8]) -> Secret<N> {
    count(Primitive::Derive);
    let mut out = [0; N];
    kdf.expand(info, &mut out).expect("at most 64 bytes are asked of HKDF");
    Secret::from_mut(&mut out)
}
