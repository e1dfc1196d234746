//! Why bytes are no event log: one closed enum with the place and the facts.
//!
//! Decides: the vocabulary of `event_log.rs`. Every variant says where, what was found, and what was expected.
//! Trusts: nothing. Out of scope: whether a well-formed log is this machine's. Protocol section 2.2, "TDX".

/// Why bytes are no event log of a TD. Offsets are bytes from the start of the log, or of its first event's data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum EventLogError {
    /// Above the limit of the protocol.
    #[error("it has {got} bytes, at most {max} are read: cut the padding off")]
    TooLong { got: usize, max: usize },
    /// Above the limit of the protocol.
    #[error("it has more than {max} events")]
    TooManyEvents { max: usize },
    /// A field reaches beyond the end.
    #[error("{what} needs {needed} bytes at offset {offset}, {left} are left: the log was cut")]
    Truncated { what: &'static str, offset: usize, needed: usize, left: usize },
    /// The first event does not announce the crypto-agile format.
    #[error("the first event is no Spec ID event of the crypto-agile format: is this the CCEL log?")]
    NoSpecId,
    /// Another version of the format.
    #[error("the Spec ID event is of version {}.{} errata {}, expected 2.x", got.0, got.1, got.2)]
    SpecVersion { got: (u8, u8, u8) },
    /// The log's digests are not SHA-384 alone.
    #[error("the log announces {got} digest algorithms, expected SHA-384 alone, as TDX registers use it")]
    Algorithms { got: u32 },
    /// A digest is of another algorithm.
    #[error("the digest at offset {offset} is of algorithm {got:#06x}, expected 0x000c (SHA-384)")]
    Algorithm { offset: usize, got: u16 },
    /// SHA-384 is announced with another size.
    #[error("the log announces SHA-384 with {got} bytes, it has 48")]
    DigestBytes { got: u16 },
    /// The Spec ID event does not end where it says.
    #[error("the Spec ID event has {extra} bytes too many")]
    SpecIdLength { extra: usize },
    /// An event has no digest, or several.
    #[error("the event at offset {offset} has {got} digests, expected one")]
    Digests { offset: usize, got: u32 },
    /// An event extends what no event can extend.
    #[error("the event at offset {offset} names register index {got}, expected 1 to 4 (RTMR0 to RTMR3)")]
    Register { offset: usize, got: u32 },
    /// An event that extends nothing has a digest.
    #[error("the event at offset {offset} extends nothing (EV_NO_ACTION) and has a digest")]
    NoActionDigest { offset: usize },
    /// Something stands in the padding.
    #[error("the padding holds another byte at offset {offset}")]
    Padding { offset: usize },
}
