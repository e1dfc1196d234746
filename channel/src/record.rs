//! Records: how messages travel on one stream of a session.
//!
//! ```text
//! record   = u32 length of what follows, big-endian || AES-256-GCM(fragments || padding) || 16-byte tag
//! fragment = u32 (bit 31: FIN, this fragment ends its message; bits 0..=30: length) || bytes
//! padding  = zeros
//! ```
//!
//! Decides: AAD = the 4 length bytes; iv = 4 zero bytes || u64 number of the record in its stream and direction, big-endian, so a record
//! opens at its own place only. Many small messages share a record and one AEAD call; a long message fills records of 64 KiB, and its
//! fragment without FIN ends its record. The end of a message is authenticated; a stream cut inside one is noticed ([`Opener::finish`]),
//! a stream cut between two is not (every request has an answer). Plaintexts are padded to Padmé sizes (at most 12 % more), at least 128 B.
//! Lengths are compared with the limits before bytes are kept; any error closes the direction. Trusts: the session's keys (`schedule.rs`).
//! Out of scope: what messages say. Protocol section 3.

use crate::error::ChannelError;
use crate::schedule::KeyChain;
use aes_gcm::{AeadInOut, Tag};
use alloc::vec::Vec;
use core::ops::Range;
use ringwall_wire::counted::{Primitive, count};
use zeroize::Zeroizing;

/// Bytes of fragments and padding in one record: large enough for an AEAD at full speed, small enough to wait for.
pub const RECORD_PLAIN_BYTES: usize = 64 * 1024;
/// Bytes that may wait in an [`Opener`] to be taken with [`Opener::next`].
pub const INBOX_BYTES: usize = 1024 * 1024;
/// Bytes of the length in front of a record.
const HEADER_BYTES: usize = 4;
/// Bytes of a fragment's head.
const HEAD_BYTES: usize = 4;
/// Bytes of a tag.
const TAG_BYTES: usize = 16;
/// Least plaintext, bytes: small messages of different length look alike.
const MIN_PLAIN_BYTES: usize = 128;
/// A message is cut to fill up a record only if at least this many of its bytes fit.
const MIN_CUT_BYTES: usize = 1024;
/// Marks the fragment that ends its message.
const FIN: u32 = 1 << 31;

/// Seals messages of one direction of one stream.
pub struct Sealer {
    keys: KeyChain,
    limit: usize,
    closed: bool,
}

impl core::fmt::Debug for Sealer {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Sealer(record {})", self.keys.counter())
    }
}

impl Sealer {
    /// A sealer of messages of at most `limit` bytes.
    pub(crate) fn new(keys: KeyChain, limit: usize) -> Self {
        Sealer { keys, limit, closed: false }
    }

    /// Changes the limit of a message, bytes.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Seals one message and appends its records to `out`.
    pub fn seal(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), ChannelError> {
        self.seal_many(&[message], out)
    }

    /// Seals messages, in order, into as few records as they need, and appends these to `out`. Refuses all of them, before anything is
    /// sealed, if one is above the limit.
    pub fn seal_many<M: AsRef<[u8]>>(&mut self, messages: &[M], out: &mut Vec<u8>) -> Result<(), ChannelError> {
        if self.closed {
            return Err(ChannelError::Closed);
        }
        if let Some(long) = messages.iter().find(|message| message.as_ref().len() > self.limit) {
            return Err(ChannelError::MessageTooLong { len: long.as_ref().len(), max: self.limit });
        }
        let total: usize = messages.iter().map(|message| message.as_ref().len().saturating_add(HEAD_BYTES)).sum();
        out.reserve(total.saturating_add(total / 8).saturating_add(MIN_PLAIN_BYTES));
        let mut start = open_record(out);
        for message in messages {
            let mut rest = message.as_ref();
            loop {
                let room = RECORD_PLAIN_BYTES.saturating_sub(out.len().saturating_sub(start).saturating_sub(HEADER_BYTES));
                let fits = room.saturating_sub(HEAD_BYTES);
                if room >= HEAD_BYTES && rest.len() <= fits {
                    put_fragment(out, rest, FIN);
                    break;
                }
                if fits >= MIN_CUT_BYTES {
                    let (now, later) = rest.split_at(fits);
                    put_fragment(out, now, 0);
                    rest = later;
                }
                self.close_record(start, out)?;
                start = open_record(out);
            }
        }
        match out.len() > start.saturating_add(HEADER_BYTES) {
            true => self.close_record(start, out),
            false => {
                out.truncate(start);
                Ok(())
            }
        }
    }

    /// Pads, encrypts and finishes the record that starts at `start`.
    fn close_record(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), ChannelError> {
        let plain_at = start.saturating_add(HEADER_BYTES);
        let plain = padded(out.len().saturating_sub(plain_at));
        out.resize(plain_at.saturating_add(plain), 0);
        let header = u32::try_from(plain.saturating_add(TAG_BYTES)).expect("a record is below 4 GiB").to_be_bytes();
        let (cipher, iv) = self.keys.current();
        let (head, body) = out.get_mut(start..).and_then(|record| record.split_at_mut_checked(HEADER_BYTES)).expect("opened before");
        head.copy_from_slice(&header);
        count(Primitive::Seal);
        let tag = cipher.encrypt_inout_detached(&iv.into(), &header, body.into()).expect("a record is below GCM's 64 GiB");
        out.extend_from_slice(&tag);
        self.keys.advance().inspect_err(|_| self.closed = true)
    }
}

fn open_record(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    start
}

fn put_fragment(out: &mut Vec<u8>, bytes: &[u8], fin: u32) {
    let len = u32::try_from(bytes.len()).expect("a fragment fits a record");
    out.extend_from_slice(&(len | fin).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The padded size of a plaintext: Padmé (Nikitin et al. 2019) leaves the top `log2(log2(len)) + 1` bits and rounds the rest up.
fn padded(len: usize) -> usize {
    let len = len.max(MIN_PLAIN_BYTES);
    let exponent = len.ilog2();
    let low_bits = exponent.saturating_sub(exponent.ilog2().saturating_add(1));
    len.next_multiple_of(1 << low_bits).min(RECORD_PLAIN_BYTES)
}

/// Where a message is that is complete.
enum Whole {
    /// In the inbox, here.
    Within(Range<usize>),
    /// In `partial`: it came in several records.
    Gathered,
}

/// Opens messages of one direction of one stream, as bytes arrive.
pub struct Opener {
    keys: KeyChain,
    limit: usize,
    /// Bytes as they came; the current record is decrypted in place.
    inbox: Zeroizing<Vec<u8>>,
    /// Where the unread part of the inbox begins.
    at: usize,
    /// Where the plaintext of the current record ends; `at` when there is none.
    plain_end: usize,
    /// The beginning of a message that is not complete.
    partial: Zeroizing<Vec<u8>>,
    within_message: bool,
    closed: bool,
}

impl core::fmt::Debug for Opener {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Opener(record {})", self.keys.counter())
    }
}

impl Opener {
    /// An opener of messages of at most `limit` bytes.
    pub(crate) fn new(keys: KeyChain, limit: usize) -> Self {
        let (inbox, partial) = (Zeroizing::default(), Zeroizing::default());
        Opener { keys, limit, inbox, at: 0, plain_end: 0, partial, within_message: false, closed: false }
    }

    /// Changes the limit of a message, bytes.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes bytes of the stream. Call [`Opener::next`] or [`Opener::look`] until it gives `None` before pushing more: at most [`INBOX_BYTES`] wait.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        self.alive()?;
        let len = self.waiting().saturating_add(bytes.len());
        if len > INBOX_BYTES {
            self.closed = true;
            return Err(ChannelError::InboxFull { len, max: INBOX_BYTES });
        }
        // What was read leaves no copy in a buffer that may move. The buffer lives on, so this is not optimized away; `zeroize` is byte by byte.
        self.inbox.get_mut(..self.at).unwrap_or_default().fill(0);
        self.inbox.drain(..self.at);
        self.plain_end = self.plain_end.saturating_sub(self.at);
        self.at = 0;
        self.inbox.extend_from_slice(bytes);
        Ok(())
    }

    /// The next message, or `None` until more bytes are pushed.
    #[allow(clippy::should_implement_trait)] // fallible and not an iterator: `None` means "later", not "never"
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, ChannelError> {
        Ok(match self.whole()? {
            Some(Whole::Within(place)) => Some(self.within(place).to_vec()),
            Some(Whole::Gathered) => Some(core::mem::take(&mut *self.partial)),
            None => None,
        })
    }

    /// Shows the next message to `look`. Within one record it is shown where it lies: no copy of it is made, and none is left when more bytes were pushed. One of several
    /// records, which is more than a key takes, is gathered first.
    pub fn look<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, ChannelError> {
        Ok(match self.whole()? {
            Some(Whole::Within(place)) => Some(look(self.within(place))),
            Some(Whole::Gathered) => {
                let mut message = core::mem::take(&mut *self.partial);
                let seen = look(&message);
                // A message of several records is large, and `zeroize` is byte by byte. What is about to be freed need not be written: here it is.
                message.fill(0);
                core::hint::black_box(&mut message);
                Some(seen)
            }
            None => None,
        })
    }

    fn within(&self, place: Range<usize>) -> &[u8] {
        self.inbox.get(place).expect("a message stays in the inbox until more is pushed")
    }

    fn whole(&mut self) -> Result<Option<Whole>, ChannelError> {
        self.alive()?;
        self.step().inspect_err(|_| self.closed = true)
    }

    /// Says, when the stream has ended, whether it ended between two messages.
    pub fn finish(self) -> Result<(), ChannelError> {
        self.alive()?;
        match self.is_idle() {
            true => Ok(()),
            false => Err(ChannelError::Truncated),
        }
    }

    /// Whether nothing waits: no part of a record and no part of a message.
    pub fn is_idle(&self) -> bool {
        self.waiting() == 0 && !self.within_message
    }

    fn waiting(&self) -> usize {
        self.inbox.len().saturating_sub(self.at)
    }

    fn alive(&self) -> Result<(), ChannelError> {
        match self.closed {
            true => Err(ChannelError::Closed),
            false => Ok(()),
        }
    }

    fn step(&mut self) -> Result<Option<Whole>, ChannelError> {
        loop {
            if self.at == self.plain_end && !self.open_record()? {
                return Ok(None);
            }
            if let Some(message) = self.take_fragment()? {
                return Ok(Some(message));
            }
        }
    }

    /// Decrypts the next record in place; `false` until all of it is there.
    fn open_record(&mut self) -> Result<bool, ChannelError> {
        let rest = self.inbox.get_mut(self.at..).unwrap_or_default();
        let Some((header, rest)) = rest.split_first_chunk_mut::<HEADER_BYTES>() else { return Ok(false) };
        let (min, max) = (MIN_PLAIN_BYTES + TAG_BYTES, RECORD_PLAIN_BYTES + TAG_BYTES);
        let len = u32::from_be_bytes(*header) as usize;
        if len < min || len > max {
            return Err(ChannelError::RecordLength { len, min, max });
        }
        let Some(sealed) = rest.get_mut(..len) else { return Ok(false) };
        let (body, tag) = sealed.split_last_chunk_mut::<TAG_BYTES>().expect("a record is longer than a tag");
        let (cipher, iv) = self.keys.current();
        let forged = ChannelError::RecordNotAuthentic { counter: self.keys.counter() };
        let plain = body.len();
        count(Primitive::Open);
        cipher.decrypt_inout_detached(&iv.into(), header, body.into(), &Tag::from(*tag)).map_err(|_| forged)?;
        self.at = self.at.saturating_add(HEADER_BYTES);
        self.plain_end = self.at.saturating_add(plain);
        Ok(true)
    }

    /// Takes one fragment of the current record; gives the message it ends, if it ends one.
    fn take_fragment(&mut self) -> Result<Option<Whole>, ChannelError> {
        let malformed = ChannelError::MalformedRecord { counter: self.keys.counter() };
        let plain = self.inbox.get(self.at..self.plain_end).expect("the current record is in the inbox");
        let (head, rest) = plain.split_first_chunk::<HEAD_BYTES>().ok_or(malformed.clone())?;
        let word = u32::from_be_bytes(*head);
        let (fin, len) = (word & FIN != 0, (word & !FIN) as usize);
        let (bytes, rest) = rest.split_at_checked(len).ok_or(malformed.clone())?;
        let whole = self.partial.len().saturating_add(len);
        if whole > self.limit {
            return Err(ChannelError::MessageTooLong { len: whole, max: self.limit });
        }
        // A fragment that does not end its message fills its record; empty ones are padding and never come first.
        if !fin && (len == 0 || !rest.is_empty()) {
            return Err(malformed);
        }
        let start = self.at.saturating_add(HEAD_BYTES);
        let end = start.saturating_add(len);
        let message = match (fin, self.within_message) {
            (true, false) => Some(Whole::Within(start..end)),
            (true, true) => {
                self.partial.extend_from_slice(bytes);
                Some(Whole::Gathered)
            }
            (false, _) => {
                self.partial.extend_from_slice(bytes);
                None
            }
        };
        self.within_message = !fin;
        self.at = end;
        self.skip_padding(malformed)?;
        Ok(message)
    }

    /// Ends the current record if only padding is left of it.
    fn skip_padding(&mut self, malformed: ChannelError) -> Result<(), ChannelError> {
        let rest = self.inbox.get(self.at..self.plain_end).expect("the current record is in the inbox");
        let ends = match rest.first_chunk::<HEAD_BYTES>() {
            Some(head) => *head == [0; HEAD_BYTES],
            None => true,
        };
        if !ends {
            return Ok(());
        }
        if rest.iter().any(|byte| *byte != 0) {
            return Err(malformed);
        }
        self.at = self.plain_end.saturating_add(TAG_BYTES);
        self.plain_end = self.at;
        self.keys.advance()
    }
}

#[cfg(test)]
mod tests;
