//! That a share still exists, shown without it.
//!
//! Decides: the proof key is a one-way function of share and hiding value; an answer is a MAC under it over one question on one session. The
//! key says nothing of the share: `r` is 32 random bytes that nobody but the custodian has, so there is nothing to try `y` against. An answer is of
//! no use on another session or for another question. Who holds proof keys (members, wrapped) could answer, but not sign.
//! Trusts: the caller for handshake hash and nonce, and for the custodian's signature. Out of scope: both. Protocol section 6.1, "Prove".

use super::recovered::mac;
use super::share::GoodShare;
use crate::derive::{Purpose, expand, extract};
use ringwall_wire::custody::{ShareChallenge, SharePlain, ShareProof};
use ringwall_wire::ids::Digest;
use ringwall_wire::secret::Secret;
use subtle::ConstantTimeEq;

/// Why a proof was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It answers another question.
    #[error("the proof answers another question; ask for a new one")]
    OtherQuestion,
    /// It was made on another session.
    #[error("the proof was made on another session; answer on the one that asked")]
    OtherSession,
    /// The answer is wrong.
    #[error("the answer is not this share's: it is another share, or none")]
    OtherShare,
}

/// The proof key of a share.
pub(crate) fn proof_key(share: &SharePlain) -> Secret<32> {
    let parent = extract(&share.r, share.y.expose());
    expand(&parent, Purpose::ShareProof, &[&share.cluster_id.0, &share.custody_epoch.0.to_be_bytes(), &[share.x]])
}

/// A custodian's answer to `challenge` on the session with this handshake hash.
pub fn answer_challenge(good: &GoodShare, challenge: &ShareChallenge, handshake: &Digest) -> [u8; 32] {
    mac(&proof_key(good.share()), &ShareProof::answered(&challenge.manifest, good.custodian(), &challenge.nonce, handshake))
}

/// A proof key, as a member unwrapped it.
pub struct ProofKey(Secret<32>);

impl core::fmt::Debug for ProofKey {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("ProofKey")
    }
}

impl ProofKey {
    /// Takes the key that [`crate::Keyring::unwrap_custody`] gave.
    pub fn new(key: Secret<32>) -> Self {
        ProofKey(key)
    }

    /// Judges a proof that came as the answer to `challenge` on the session with this handshake hash. Its signature is judged elsewhere.
    pub fn judge(&self, challenge: &ShareChallenge, handshake: &Digest, proof: &ShareProof) -> Result<(), ProofError> {
        if proof.nonce != challenge.nonce || proof.manifest != challenge.manifest {
            return Err(ProofError::OtherQuestion);
        }
        if proof.handshake != *handshake {
            return Err(ProofError::OtherSession);
        }
        let wanted = mac(&self.0, &ShareProof::answered(&proof.manifest, &proof.custodian, &proof.nonce, &proof.handshake));
        match bool::from(wanted.ct_eq(&proof.answer)) {
            true => Ok(()),
            false => Err(ProofError::OtherShare),
        }
    }
}
