//! Why a session could not be made or carried on.
//!
//! Decides: one closed enum with facts for tests and people; a stranger learns none of it (nodes answer with a `Refusal` code).
//! Every error ends the session: nothing in this crate retries. Trusts: nothing.
//! Out of scope: what the caller does about it. Protocol section 3.

use ringwall_wire::codec::DecodeError;
use ringwall_wire::ids::{Digest, NoisePublic};
use ringwall_wire::session::Refusal;

/// Why a session could not be made or carried on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// A handshake message has a length no handshake message of this step has.
    #[error("handshake message {message} has {got} bytes, expected {expected}")]
    HandshakeLength {
        /// Which message, from 1.
        message: u8,
        /// Bytes expected.
        expected: usize,
        /// Bytes got.
        got: usize,
    },
    /// A handshake message is not authentic: the sides disagree about keys, cluster, epoch, version, slots or transport, or somebody
    /// changed a message.
    #[error(
        "handshake message {message} is not authentic: the other side has other keys, another cluster, epoch, version or transport, \
         or the message was altered on the way; fetch the node's descriptor again"
    )]
    HandshakeNotAuthentic {
        /// Which message, from 1.
        message: u8,
    },
    /// A public key of the other side is of low order: the shared secret would be known to everybody.
    #[error("handshake message {message} leads to an X25519 key of low order: refused")]
    WeakKey {
        /// Which message, from 1; 1 also stands for the key in the descriptor.
        message: u8,
    },
    /// The descriptor's encapsulation key is not a canonical ML-KEM-768 key.
    #[error("the descriptor's ML-KEM-768 key is malformed")]
    MalformedKemKey,
    /// The other side refused.
    #[error("the other side refused ({:?}): {}", .0.code, .0.detail)]
    Refused(Refusal),
    /// Authentic bytes are not the message that belongs here.
    #[error("not the message that belongs here: {0}")]
    Decode(#[from] DecodeError),
    /// More or less than one message where exactly one belongs.
    #[error("exactly one message belongs here")]
    NotOneMessage,
    /// The evidence was judged for another session.
    #[error("the evidence was judged for session {judged}, this is session {this}")]
    OtherSession {
        /// Handshake hash it was judged for.
        judged: Digest,
        /// Handshake hash of this session.
        this: Digest,
    },
    /// The evidence vouches for another Noise key than the one of this session.
    #[error("the evidence vouches for Noise key {attested}, the session was made with {used}")]
    OtherNoiseKey {
        /// Key in the evidence.
        attested: NoisePublic,
        /// Key the handshake authenticated.
        used: NoisePublic,
    },
    /// The evidence vouches for another encapsulation key than the descriptor offered.
    #[error("the evidence vouches for another ML-KEM-768 key than the descriptor offered")]
    OtherKemKey,
    /// The session's other side has no static key, so no evidence can be about it.
    #[error("the other side of this session is an anonymous client: it cannot be attested")]
    AnonymousPeer,
    /// Only the answering side of a client session serves without attesting its peer.
    #[error("only the answering side of a client session may serve an unattested peer")]
    NotServing,
    /// The stream number was used before in this session.
    #[error("stream {stream} was already used in this session")]
    StreamUsed {
        /// The number.
        stream: u32,
    },
    /// The session used all the streams it may.
    #[error("the session used its {max} streams; open a new session")]
    TooManyStreams {
        /// How many it may use.
        max: usize,
    },
    /// A record announces a length no record has.
    #[error("record announces {len} bytes, expected {min} to {max}")]
    RecordLength {
        /// Announced.
        len: usize,
        /// Least.
        min: usize,
        /// Most.
        max: usize,
    },
    /// A record is not authentic at this place of this stream: altered, reordered, repeated, dropped before it, or of another stream.
    #[error("record {counter} is not authentic here: altered, reordered, repeated, missing, or of another stream")]
    RecordNotAuthentic {
        /// Its number in the stream, from 0.
        counter: u64,
    },
    /// An authentic record has contents this version does not write.
    #[error("record {counter} is authentic but its fragments are malformed")]
    MalformedRecord {
        /// Its number in the stream, from 0.
        counter: u64,
    },
    /// A message is above the stream's limit.
    #[error("message of at least {len} bytes, at most {max} on this stream")]
    MessageTooLong {
        /// Bytes it has at least.
        len: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// More bytes were pushed than may wait.
    #[error("{len} bytes would wait to be opened, at most {max}")]
    InboxFull {
        /// Bytes that would wait.
        len: usize,
        /// Bytes that may.
        max: usize,
    },
    /// The stream ended inside a message or record.
    #[error("the stream ended inside a message")]
    Truncated,
    /// The stream carried as many records as one key chain may.
    #[error("the stream carried all the records it may; open a new one")]
    Exhausted,
    /// The stream failed before.
    #[error("the stream failed before and is closed")]
    Closed,
}
