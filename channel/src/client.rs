//! Handshake between a client and a node: `Noise_NKpsk2_25519_AESGCM_SHA256`, two messages.
//!
//! Decides: message 1 carries an ML-KEM-768 ciphertext as its payload, nothing else; the psk derives from the shared secret and from
//! message 1 itself. Both keys come from an unverified descriptor, so nothing secret is said until the node has attested.
//! Trusts: nothing of the other side. Out of scope: attestation (`session.rs`). Protocol section 3.

use crate::error::ChannelError;
use crate::noise::{Shake, client_builder, node_builder};
use crate::prologue::ClientPrologue;
use crate::schedule::{Side, psk};
use crate::secrets::{KEM_CIPHERTEXT_BYTES, NodeSecrets, encapsulate};
use crate::session::{Remote, Session, Unverified};
use alloc::boxed::Box;
use alloc::vec::Vec;
use rand_core::CryptoRng;
use ringwall_wire::ids::{KemPublic, NoisePublic};
use ringwall_wire::secret::{Secret, wash_stack};
use ringwall_wire::session::NodeDescriptor;
use snow::HandshakeState;

/// Bytes of message 1: ephemeral key, ciphertext, tag.
pub const MSG1_BYTES: usize = 32 + KEM_CIPHERTEXT_BYTES + 16;
/// Bytes of message 2: ephemeral key, tag.
pub const MSG2_BYTES: usize = 32 + 16;
/// Place of the psk in the pattern.
const PSK_PLACE: usize = 2;

/// A client that sent message 1.
#[must_use]
pub struct ClientDial {
    handshake: Shake,
    noise: NoisePublic,
    kem: Box<KemPublic>,
}

impl core::fmt::Debug for ClientDial {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "ClientDial(to {})", self.noise)
    }
}

impl ClientDial {
    /// Starts a handshake with the node the descriptor claims; gives message 1 ([`MSG1_BYTES`]).
    pub fn start<R: CryptoRng + ?Sized>(
        descriptor: &NodeDescriptor,
        prologue: &ClientPrologue<'_>,
        rng: &mut R,
    ) -> Result<(Self, Vec<u8>), ChannelError> {
        let (ciphertext, shared) = encapsulate(&descriptor.kem, rng)?;
        let prologue = prologue.to_bytes();
        let fresh = client_builder(rng)
            .prologue(&prologue)
            .and_then(|builder| builder.remote_public_key(&descriptor.noise.0))
            .and_then(|builder| builder.build_initiator())
            .expect("prologue and remote key are set once, all primitives resolve");
        let mut handshake = Shake::new(fresh);
        let msg1 = write::<MSG1_BYTES>(&mut handshake, &ciphertext, 1)?;
        set_psk(&mut handshake, &psk(&shared, &msg1));
        wash_stack();
        Ok((ClientDial { handshake, noise: descriptor.noise, kem: Box::new(descriptor.kem) }, msg1))
    }

    /// Finishes with the node's message 2. The session is private to whoever holds the descriptor's keys; who that is, only
    /// attestation says.
    pub fn finish(mut self, msg2: &[u8]) -> Result<Session<Unverified>, ChannelError> {
        read::<0>(&mut self.handshake, msg2, MSG2_BYTES, 2)?;
        let session = Session::new(self.handshake, Side::Dial, Remote::Node { noise: self.noise, kem: Some(self.kem) });
        wash_stack();
        Ok(session)
    }
}

/// Answers a client's message 1; gives message 2 ([`MSG2_BYTES`]).
pub fn answer_client<R: CryptoRng + ?Sized>(
    secrets: &NodeSecrets,
    prologue: &ClientPrologue<'_>,
    msg1: &[u8],
    rng: &mut R,
) -> Result<(Vec<u8>, Session<Unverified>), ChannelError> {
    let prologue = prologue.to_bytes();
    let fresh = node_builder(secrets, rng)
        .prologue(&prologue)
        .and_then(|builder| builder.build_responder())
        .expect("the prologue is set once, all primitives resolve");
    let mut handshake = Shake::new(fresh);
    let ciphertext = read::<KEM_CIPHERTEXT_BYTES>(&mut handshake, msg1, MSG1_BYTES, 1)?;
    let shared = secrets.decapsulate(&ciphertext);
    set_psk(&mut handshake, &psk(&shared, msg1));
    let msg2 = write::<MSG2_BYTES>(&mut handshake, &[], 2)?;
    let session = Session::new(handshake, Side::Answer, Remote::Client);
    wash_stack();
    Ok((msg2, session))
}

fn set_psk(handshake: &mut HandshakeState, psk: &Secret<32>) {
    handshake.set_psk(PSK_PLACE, psk.expose()).expect("a psk of 32 bytes at a place the pattern has");
}

/// Writes a handshake message of exactly `N` bytes.
pub(crate) fn write<const N: usize>(handshake: &mut HandshakeState, payload: &[u8], message: u8) -> Result<Vec<u8>, ChannelError> {
    // snow wants room for a tag even where none is written.
    let mut out = alloc::vec![0; N.saturating_add(16)];
    let len = handshake.write_message(payload, &mut out).map_err(|error| refused(&error, message))?;
    assert_eq!(len, N, "handshake message {message} has a fixed length");
    out.truncate(len);
    Ok(out)
}

/// Reads a handshake message of exactly `expected` bytes with a payload of exactly `P` bytes.
pub(crate) fn read<const P: usize>(
    handshake: &mut HandshakeState,
    bytes: &[u8],
    expected: usize,
    message: u8,
) -> Result<[u8; P], ChannelError> {
    if bytes.len() != expected {
        return Err(ChannelError::HandshakeLength { message, expected, got: bytes.len() });
    }
    let mut payload = [0; P];
    let len = handshake.read_message(bytes, &mut payload).map_err(|error| refused(&error, message))?;
    assert_eq!(len, P, "the length of the message fixes the length of its payload");
    Ok(payload)
}

fn refused(error: &snow::Error, message: u8) -> ChannelError {
    match error {
        snow::Error::Dh => ChannelError::WeakKey { message },
        _ => ChannelError::HandshakeNotAuthentic { message },
    }
}
