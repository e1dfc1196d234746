//! Limits of fetching and keeping endorsements, each with its unit and its reason.
//!
//! Decides: how much a vendor's service, a mirror or a damaged disk can make a node hold, wait for or send. A limit applies before memory is
//! reserved. Explained for people in docs/limits.md.
//! Trusts: nothing. Out of scope: sizes that also travel (`wire/src/limits.rs`).

use ringwall_wire::limits::{CERT_BYTES, COLLATERAL_JSON_BYTES, CRL_BYTES, PEM_CHAIN_BYTES};
use std::time::Duration;

/// Bytes of a certificate in an answer: one DER certificate.
pub const REPLY_CERT_BYTES: usize = CERT_BYTES;
/// Bytes of a certificate chain in an answer: PEM.
pub const REPLY_CHAIN_BYTES: usize = PEM_CHAIN_BYTES;
/// Bytes of a revocation list in an answer: caching services write it as hex.
pub const REPLY_CRL_BYTES: usize = 2 * CRL_BYTES + 64;
/// Bytes of a signed JSON document in an answer, with its signature and the braces around both.
pub const REPLY_JSON_BYTES: usize = COLLATERAL_JSON_BYTES + 1_024;
/// Bytes of an answer's status line and headers: Intel sends a chain of two certificates in one header, 4 KiB.
pub const REPLY_HEAD_BYTES: usize = 32 * 1024;
/// Bytes of the buffer an answer is read through: one head of the full size, and enough more to see that it is longer.
pub const REPLY_BUFFER_BYTES: usize = REPLY_HEAD_BYTES + 4_096;
/// Bytes of one address of a service.
pub const URL_BYTES: usize = 512;

/// Longest time for one request, from looking up the name to the last byte of the answer.
pub const FETCH_TIME: Duration = Duration::from_secs(20);
/// Longest time for connecting, over all addresses of a name.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);

/// First wait after a failed round; doubles up to [`RETRY_MOST`].
pub const RETRY_FIRST: Duration = Duration::from_secs(4);
/// Longest wait after a failed round: a service that returns is noticed within this.
pub const RETRY_MOST: Duration = Duration::from_secs(3 * 3_600);
/// Longest wait a service can ask for (`Retry-After`): more would let it silence a node.
pub const RETRY_AFTER_MOST: Duration = Duration::from_secs(6 * 3_600);
/// Least time between two rounds that went well, whatever else asks for one.
pub const REFRESH_LEAST: Duration = Duration::from_secs(600);
/// Share of the remaining validity after which a round is due, as a divisor.
pub const REFRESH_SHARE: u64 = 3;
/// Remaining validity below which a certificate is fetched again: they live for years, and AMD's service is slow to make one.
pub const CERT_LEAD: Duration = Duration::from_secs(30 * 86_400);
/// Waits before a node that has no endorsements yet tries once more, while it starts.
pub const START_WAITS: [Duration; 5] =
    [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(20), Duration::from_secs(40), Duration::from_secs(70)];

/// Files of the cache: a node needs three (AMD) or four (Intel); older firmware's certificates make the rest.
pub const CACHE_FILES: usize = 32;
/// Bytes of one file of the cache: the largest document with its chain, signature and frame.
pub const CACHE_FILE_BYTES: usize = CRL_BYTES + PEM_CHAIN_BYTES + 4_096;
/// Entries of the cache folder that are looked at: whatever else somebody put there is left alone.
pub const CACHE_ENTRIES: usize = 1_024;
