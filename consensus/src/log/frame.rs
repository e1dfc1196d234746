//! Frames of the log: how one record lies in a segment.
//!
//! Decides: `magic(4) kind(1) back(3) segment(8) index(8) len(4) crc32c(4)`, then `len` bytes, all big-endian. `back` is how far the frame
//! lies behind the beginning of its group, which was written in one piece: it tells a torn end from a damaged middle. The checksum
//! covers the frame's offset in the segment, the header before it and the payload, so that a frame counts in its place only; the
//! segment number makes leftovers of a recycled file unreadable. A checksum finds accidents; who reads back in one life compares digests.
//! Trusts: nothing it reads. Out of scope: which frames follow which (`recover`). Layout: docs/formats.md, "Log segments".

use crate::seal::Seal;
use ringwall_wire::codec::{DecodeError, Field, Reader};
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::ENTRY_BYTES;
use ringwall_wire::peer::{Ballot, LogEntry, LogPosition};

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 32;
/// Bytes of a payload: an entry of the full size with its position and length, or a membership.
pub(crate) const PAYLOAD_BYTES: usize = ENTRY_BYTES + 64 * 1024;

const MAGIC: [u8; 4] = *b"RWL1";

ringwall_wire::record! {
    /// Opens a segment: what earlier segments said last.
    pub struct Opening {
        /// Newest vote.
        pub vote: Option<Ballot>,
        /// Newest commit position.
        pub committed: Option<LogPosition>,
        /// Everything up to here was purged.
        pub purged: Option<LogPosition>,
        /// Where the segment before this one ends; 0 in the first.
        pub previous_end: u64,
        /// Running digest over all frames of the segments before; zeros where nothing is sealed, and in the first.
        pub chain: Digest,
    }
}

/// The place of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) segment: u64,
    /// Offset in the segment.
    pub(crate) at: u64,
    /// Bytes since the beginning of the group; less than 16 MiB.
    pub(crate) back: u32,
}

/// What a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Opening(Opening),
    Entry(LogEntry),
    Vote(Ballot),
    Committed(Option<LogPosition>),
    /// Entries after this position are void.
    Truncate(Option<LogPosition>),
    /// Entries up to this position are gone.
    Purge(LogPosition),
    /// Ends a group: whoever holds the master keys vouches for every frame before it.
    Seal(Seal),
}

/// Why no frame could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// Zeroes, leftovers of the file's earlier life, or the end of the file.
    Nothing,
    /// A frame of this segment that does not match its checksum or does not decode.
    Damaged,
}

impl Record {
    fn kind(&self) -> u8 {
        match self {
            Record::Opening(_) => 1,
            Record::Entry(_) => 2,
            Record::Vote(_) => 3,
            Record::Committed(_) => 4,
            Record::Truncate(_) => 5,
            Record::Purge(_) => 6,
            Record::Seal(_) => 7,
        }
    }

    fn index(&self) -> u64 {
        match self {
            Record::Entry(entry) => entry.at.index,
            Record::Purge(at) => at.index,
            Record::Committed(at) | Record::Truncate(at) => at.map_or(0, |at| at.index),
            Record::Opening(_) | Record::Vote(_) | Record::Seal(_) => 0,
        }
    }

    /// Appends the frame to `out`, for a place.
    pub(crate) fn put(&self, spot: Spot, out: &mut Vec<u8>) {
        let start = out.len();
        let [_, back @ ..] = spot.back.to_be_bytes();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[self.kind()]);
        out.extend_from_slice(&back);
        out.extend_from_slice(&spot.segment.to_be_bytes());
        out.extend_from_slice(&self.index().to_be_bytes());
        out.extend_from_slice(&[0; 8]);
        match self {
            Record::Opening(opening) => opening.put(out),
            Record::Entry(entry) => entry.put(out),
            Record::Vote(ballot) => ballot.put(out),
            Record::Committed(at) | Record::Truncate(at) => at.put(out),
            Record::Purge(at) => at.put(out),
            Record::Seal(seal) => seal.put(out),
        }
        let len = u32::try_from(out.len() - start - HEADER_BYTES).expect("a payload is shorter than 4 GiB");
        let frame = out.split_at_mut(start).1;
        let (header, payload) = frame.split_at_mut(HEADER_BYTES);
        header.split_at_mut(24).1.split_at_mut(4).0.copy_from_slice(&len.to_be_bytes());
        let crc = checksum(spot.at, header.split_at(28).0, payload);
        header.split_at_mut(28).1.copy_from_slice(&crc.to_be_bytes());
    }

    /// Reads the frame at offset `at`, where `bytes` begin; gives it with its place and length.
    pub(crate) fn take(segment: u64, at: u64, bytes: &[u8]) -> Result<(Record, Spot, usize), FrameError> {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(FrameError::Nothing)?;
        let (kind, back, len) = opened(segment, header).ok_or(FrameError::Nothing)?;
        if len > PAYLOAD_BYTES {
            return Err(FrameError::Damaged);
        }
        let payload = bytes.get(HEADER_BYTES..HEADER_BYTES + len).ok_or(FrameError::Damaged)?;
        let crc = checksum(at, header.split_at(28).0, payload);
        if header.split_at(28).1 != crc.to_be_bytes() {
            return Err(FrameError::Damaged);
        }
        let record = decode(kind, payload).map_err(|_| FrameError::Damaged)?;
        Ok((record, Spot { segment, at, back }, HEADER_BYTES + len))
    }
}

fn checksum(at: u64, header: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&at.to_be_bytes()), header), payload)
}

/// Offset of the first frame after offset `from` that is whole and in its place, with the place. For a segment that ends early.
pub(crate) fn next_whole(segment: u64, bytes: &[u8], from: usize) -> Option<Spot> {
    let mut from = from;
    loop {
        let rest = bytes.get(from..)?;
        let at = from + rest.windows(MAGIC.len()).position(|window| window == MAGIC)?;
        if let Ok((_, spot, _)) = Record::take(segment, at as u64, bytes.get(at..)?) {
            return Some(spot);
        }
        from = at + 1;
    }
}

fn opened(segment: u64, header: &[u8; HEADER_BYTES]) -> Option<(u8, u32, usize)> {
    let mut input = Reader::new(header);
    let magic: [u8; 4] = input.array().ok()?;
    let [kind, back @ ..] = input.array::<4>().ok()?;
    let [high, middle, low] = back;
    let of = u64::take(&mut input).ok()?;
    let _index = u64::take(&mut input).ok()?;
    let len = u32::take(&mut input).ok()?;
    (magic == MAGIC && of == segment).then_some((kind, u32::from_be_bytes([0, high, middle, low]), len as usize))
}

fn decode(kind: u8, payload: &[u8]) -> Result<Record, DecodeError> {
    Ok(match kind {
        1 => Record::Opening(Field::from_bytes(payload)?),
        2 => Record::Entry(Field::from_bytes(payload)?),
        3 => Record::Vote(Field::from_bytes(payload)?),
        4 => Record::Committed(Field::from_bytes(payload)?),
        5 => Record::Truncate(Field::from_bytes(payload)?),
        6 => Record::Purge(Field::from_bytes(payload)?),
        7 => Record::Seal(Field::from_bytes(payload)?),
        tag => return Err(DecodeError::UnknownTag { what: "log record", tag }),
    })
}
