//! A share as text: 58 words for paper, or one line of 133 characters.
//!
//! Decides: what is written down is version, four bytes of the cluster id, custody epoch, place, share and hiding value. The rest of the cluster id
//! comes from the manifest or card it is used with; the four bytes tell a mix-up early, the commitment is what counts.
//! Trusts: the reader's machine. Out of scope: files and questions (`client`). Bytes: docs/formats.md, "Shares as text".

use crate::text::line::{self, LineFault};
use crate::text::words::{self, WordFault};
use alloc::string::String;
use alloc::vec::Vec;
use ringwall_wire::codec::{DecodeError, Field as _, Reader};
use ringwall_wire::custody::{SHARE_VERSION, SharePlain};
use ringwall_wire::ids::{ClusterId, CustodyEpoch};
use ringwall_wire::secret::Secret;
use zeroize::Zeroizing;

/// What a line opens with, and what words are mixed with.
pub const PURPOSE: &str = "rwshare";
/// Bytes of a share as they are spelled.
pub const SPELLED_BYTES: usize = 1 + 4 + 4 + 1 + 32 + 32;

/// Why text is not a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpellFault {
    /// The words are wrong.
    #[error(transparent)]
    Words(#[from] WordFault),
    /// The line is wrong.
    #[error(transparent)]
    Line(#[from] LineFault),
    /// It was written by another version.
    #[error("the share is of version {got}, this program knows {SHARE_VERSION}; use the program it was written with")]
    OtherVersion {
        /// Its version.
        got: u8,
    },
    /// It is of another cluster.
    #[error("the share is of another cluster: its id begins with {}, this one's with {}", Begin(*got), Begin(*wanted))]
    OtherCluster {
        /// First bytes of its cluster's id.
        got: [u8; 4],
        /// First bytes of the id wanted.
        wanted: [u8; 4],
    },
}

struct Begin([u8; 4]);

impl core::fmt::Display for Begin {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        ringwall_wire::text::write_hex(&self.0, out)
    }
}

/// The words of a share.
pub fn share_words(share: &SharePlain) -> Zeroizing<String> {
    words::spell(PURPOSE, &spelled(share))
}

/// The line of a share.
pub fn share_line(share: &SharePlain) -> Zeroizing<String> {
    line::spell(PURPOSE, &spelled(share))
}

/// Reads a share of this cluster, in whichever form: a line has no spaces.
pub fn read_share(text: &str, cluster_id: &ClusterId) -> Result<SharePlain, SpellFault> {
    let bytes = match text.trim().contains(char::is_whitespace) {
        true => words::read(PURPOSE, text, SPELLED_BYTES)?,
        false => line::read(PURPOSE, text, SPELLED_BYTES)?,
    };
    let parts = taken(&bytes).expect("a text of this length holds every part");
    let (version, begin, custody_epoch, x, y, r) = parts;
    if version != SHARE_VERSION {
        return Err(SpellFault::OtherVersion { got: version });
    }
    let wanted = begin_of(cluster_id);
    if begin != wanted {
        return Err(SpellFault::OtherCluster { got: begin, wanted });
    }
    Ok(SharePlain { version, cluster_id: *cluster_id, custody_epoch, x, y, r })
}

fn begin_of(cluster_id: &ClusterId) -> [u8; 4] {
    let [a, b, c, d, ..] = cluster_id.0;
    [a, b, c, d]
}

fn spelled(share: &SharePlain) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(SPELLED_BYTES));
    bytes.push(share.version);
    bytes.extend_from_slice(&begin_of(&share.cluster_id));
    bytes.extend_from_slice(&share.custody_epoch.0.to_be_bytes());
    bytes.push(share.x);
    bytes.extend_from_slice(share.y.expose());
    bytes.extend_from_slice(share.r.expose());
    bytes
}

type Parts = (u8, [u8; 4], CustodyEpoch, u8, Secret<32>, Secret<32>);

fn taken(bytes: &[u8]) -> Result<Parts, DecodeError> {
    let mut input = Reader::new(bytes);
    let (version, begin) = (u8::take(&mut input)?, input.array()?);
    let (custody_epoch, x) = (CustodyEpoch::take(&mut input)?, u8::take(&mut input)?);
    let (y, r) = (Secret::take(&mut input)?, Secret::take(&mut input)?);
    input.finish()?;
    Ok((version, begin, custody_epoch, x, y, r))
}
