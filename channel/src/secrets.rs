//! The keys a node makes at boot, in memory, and never writes anywhere; and the ML-KEM-768 half of client sessions.
//!
//! Decides: X25519 (Noise), ML-KEM-768 and Ed25519 from the caller's generator; wiped when dropped; no way to take the secrets out.
//! Trusts: the generator. Out of scope: the evidence that vouches for the public halves (`attest`). Protocol section 2.1.

use crate::error::ChannelError;
use alloc::boxed::Box;
use ed25519_dalek::{Signer, SigningKey};
use ml_kem::kem::{Decapsulate, Encapsulate, KeyExport};
use ml_kem::{DecapsulationKey768, EncapsulationKey768};
use rand_core::CryptoRng;
use ringwall_wire::counted::{Primitive, count};
use ringwall_wire::ids::{BootKeys, KemPublic, NoisePublic, SigPublic, Signature};
use ringwall_wire::secret::{Secret, wash_stack};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of an ML-KEM-768 ciphertext.
pub(crate) const KEM_CIPHERTEXT_BYTES: usize = 1_088;

/// A node's secret keys. Not `Clone`, not serializable, `Debug` prints the public halves' short names only.
pub struct NodeSecrets {
    noise: Secret<32>,
    kem: Box<DecapsulationKey768>,
    sig: Box<SigningKey>,
    public: BootKeys,
}

impl core::fmt::Debug for NodeSecrets {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "NodeSecrets(noise {})", self.public.noise)
    }
}

impl NodeSecrets {
    /// Makes fresh keys.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let made = Self::made(rng);
        wash_stack();
        made
    }

    #[inline(never)]
    fn made<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut noise = [0; 32];
        rng.fill_bytes(&mut noise);
        let mut kem_seed = Zeroizing::new([0; 64]);
        rng.fill_bytes(&mut *kem_seed);
        let mut sig_seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *sig_seed);

        let noise_public = PublicKey::from(&StaticSecret::from(noise)).to_bytes();
        let noise = Secret::from_mut(&mut noise);
        let kem = Box::new(DecapsulationKey768::from_seed((*kem_seed).into()));
        let sig = Box::new(SigningKey::from_bytes(&sig_seed));
        let public = BootKeys {
            noise: NoisePublic(noise_public),
            sig: SigPublic(sig.verifying_key().to_bytes()),
            kem: KemPublic(kem.encapsulation_key().to_bytes().into()),
        };
        NodeSecrets { noise, kem, sig, public }
    }

    /// The seeds of all three keys, for a node that writes them to its disk as no shipped one does.
    #[cfg(feature = "without")]
    pub fn written_down(&self) -> [u8; 128] {
        let mut seeds = [0; 128];
        let (noise, rest) = seeds.split_at_mut(32);
        let (kem, sig) = rest.split_at_mut(64);
        noise.copy_from_slice(self.noise.expose());
        kem.copy_from_slice(&self.kem.to_seed().expect("a key that was made from a seed has one"));
        sig.copy_from_slice(self.sig.as_bytes());
        seeds
    }

    /// The public halves.
    pub fn public(&self) -> &BootKeys {
        &self.public
    }

    /// Signs an encoding (`enc(..)` bytes) with the incarnation's key.
    pub fn sign(&self, message: &[u8]) -> Signature {
        count(Primitive::Sign);
        Signature(self.sig.sign(message).to_bytes())
    }

    /// The Noise static key, for the handshake alone.
    pub(crate) fn noise(&self) -> &[u8; 32] {
        self.noise.expose()
    }

    /// The shared secret in a ciphertext. A ciphertext made for another key gives an unrelated secret (implicit rejection), and the
    /// handshake fails at the other side.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8; KEM_CIPHERTEXT_BYTES]) -> Secret<32> {
        secret(self.kem.decapsulate(&(*ciphertext).into()))
    }
}

/// A fresh shared secret and the ciphertext that carries it to the holder of `key`.
pub(crate) fn encapsulate<R: CryptoRng + ?Sized>(
    key: &KemPublic,
    rng: &mut R,
) -> Result<([u8; KEM_CIPHERTEXT_BYTES], Secret<32>), ChannelError> {
    let key = EncapsulationKey768::new(&key.0.into()).map_err(|_| ChannelError::MalformedKemKey)?;
    let (ciphertext, shared) = key.encapsulate_with_rng(rng);
    Ok((ciphertext.into(), secret(shared)))
}

fn secret(mut shared: ml_kem::SharedKey) -> Secret<32> {
    let mut bytes: [u8; 32] = shared.into();
    shared.as_mut_slice().zeroize();
    Secret::from_mut(&mut bytes)
}
