//! Handshake between nodes: `Noise_XX_25519_AESGCM_SHA256`, three messages.
//!
//! Decides: both sides prove possession of their static keys; whether those keys belong to attested members is decided afterwards, by
//! evidence bound to the handshake hash and by the committed membership.
//! Trusts: nothing of the other side. Out of scope: attestation (`session.rs`), membership (`node`). Protocol section 3.

use crate::client::{read, write};
use crate::error::ChannelError;
use crate::noise::{Shake, peer_builder};
use crate::prologue::PeerPrologue;
use crate::schedule::Side;
use crate::secrets::NodeSecrets;
use crate::session::{Remote, Session, Unverified};
use alloc::vec::Vec;
use rand_core::CryptoRng;
use ringwall_wire::ids::NoisePublic;
use ringwall_wire::secret::wash_stack;

/// Bytes of message 1: ephemeral key.
pub const MSG1_BYTES: usize = 32;
/// Bytes of message 2: ephemeral key, sealed static key, tag.
pub const MSG2_BYTES: usize = 32 + 48 + 16;
/// Bytes of message 3: sealed static key, tag.
pub const MSG3_BYTES: usize = 48 + 16;

/// The dialling node, after message 1.
#[must_use]
pub struct PeerDial {
    handshake: Shake,
}

/// The answering node, after message 2.
#[must_use]
pub struct PeerAnswer {
    handshake: Shake,
}

impl core::fmt::Debug for PeerDial {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("PeerDial")
    }
}

impl core::fmt::Debug for PeerAnswer {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("PeerAnswer")
    }
}

impl PeerDial {
    /// Starts a handshake; gives message 1 ([`MSG1_BYTES`]).
    pub fn start<R: CryptoRng + ?Sized>(
        secrets: &NodeSecrets,
        prologue: &PeerPrologue<'_>,
        rng: &mut R,
    ) -> Result<(Self, Vec<u8>), ChannelError> {
        let prologue = prologue.to_bytes();
        let fresh = peer_builder(secrets, rng)
            .prologue(&prologue)
            .and_then(|builder| builder.build_initiator())
            .expect("the prologue is set once, all primitives resolve");
        let mut handshake = Shake::new(fresh);
        let msg1 = write::<MSG1_BYTES>(&mut handshake, &[], 1)?;
        Ok((PeerDial { handshake }, msg1))
    }

    /// Takes message 2; gives message 3 ([`MSG3_BYTES`]) and the session.
    pub fn finish(mut self, msg2: &[u8]) -> Result<(Vec<u8>, Session<Unverified>), ChannelError> {
        read::<0>(&mut self.handshake, msg2, MSG2_BYTES, 2)?;
        let msg3 = write::<MSG3_BYTES>(&mut self.handshake, &[], 3)?;
        Ok((msg3, session(self.handshake, Side::Dial)))
    }
}

impl PeerAnswer {
    /// Answers message 1; gives message 2 ([`MSG2_BYTES`]).
    pub fn start<R: CryptoRng + ?Sized>(
        secrets: &NodeSecrets,
        prologue: &PeerPrologue<'_>,
        msg1: &[u8],
        rng: &mut R,
    ) -> Result<(Self, Vec<u8>), ChannelError> {
        let prologue = prologue.to_bytes();
        let fresh = peer_builder(secrets, rng)
            .prologue(&prologue)
            .and_then(|builder| builder.build_responder())
            .expect("the prologue is set once, all primitives resolve");
        let mut handshake = Shake::new(fresh);
        read::<0>(&mut handshake, msg1, MSG1_BYTES, 1)?;
        let msg2 = write::<MSG2_BYTES>(&mut handshake, &[], 2)?;
        Ok((PeerAnswer { handshake }, msg2))
    }

    /// Takes message 3.
    pub fn finish(mut self, msg3: &[u8]) -> Result<Session<Unverified>, ChannelError> {
        read::<0>(&mut self.handshake, msg3, MSG3_BYTES, 3)?;
        Ok(session(self.handshake, Side::Answer))
    }
}

fn session(handshake: Shake, side: Side) -> Session<Unverified> {
    let noise = handshake.get_remote_static().and_then(|key| key.try_into().ok()).expect("XX ends with the remote's static key");
    let session = Session::new(handshake, side, Remote::Node { noise: NoisePublic(noise), kem: None });
    wash_stack();
    session
}
