//! The one canonical encoding: how values become bytes and how bytes become values again.
//!
//! Decides: integers are fixed-width big-endian, variable bytes carry a `u32` length, choices a `u8` tag, and a decoder
//! accepts exactly the bytes an encoder would write (nothing shorter, longer, or spelled differently).
//! Trusts: nothing; every length is compared with what is left and with the type's limit before memory is reserved.
//! Out of scope: what the fields mean. Layout: docs/formats.md, "Canonical encoding".

use crate::counted::{Primitive, count};
use crate::label::Label;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};

/// Why bytes are not the canonical encoding of the expected value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ended early.
    #[error("input ends early: {needed} more bytes needed, {left} left")]
    Truncated {
        /// Bytes the next value needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Bytes are left after the value.
    #[error("{extra} bytes left after the value")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// A length or count is above the limit of its type.
    #[error("{what} is too long: {len}, at most {max}")]
    TooLong {
        /// Which type.
        what: &'static str,
        /// Announced length (bytes, or elements of a list).
        len: usize,
        /// Limit.
        max: usize,
    },
    /// A choice carries a tag nobody defined.
    #[error("{what} has no variant {tag}")]
    UnknownTag {
        /// Which choice.
        what: &'static str,
        /// The tag.
        tag: u8,
    },
    /// The message is another one, or of another protocol version.
    #[error("expected a message labelled {expected}")]
    WrongLabel {
        /// The label the reader wanted.
        expected: &'static str,
    },
    /// The message has another number of fields.
    #[error("{label} has {expected} fields, got {got}")]
    FieldCount {
        /// Label of the message.
        label: &'static str,
        /// Fields it has.
        expected: usize,
        /// Fields found.
        got: usize,
    },
    /// The bytes have the right shape and no legal meaning.
    #[error("{what} holds an illegal value")]
    Illegal {
        /// Which type.
        what: &'static str,
    },
}

/// A value with a canonical positional encoding.
pub trait Field: Sized {
    /// Appends the encoding.
    fn put(&self, out: &mut Vec<u8>);
    /// Bytes of the encoding, exactly: whoever writes it asks for its memory once, and nothing moves while it is written.
    fn size(&self) -> usize;
    /// Reads one value from the front of `input`.
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The encoding alone.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.put(&mut out);
        out
    }

    /// Decodes a value that must fill `bytes` exactly.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let value = Self::take(&mut input)?;
        input.finish()?;
        Ok(value)
    }
}

/// A top-level message: a labelled list of fields, so that no message can be read as another.
pub trait Message: Sized {
    /// The label that opens the encoding.
    const LABEL: Label;
    /// `enc(label, fields...)`.
    fn encode(&self) -> Vec<u8>;
    /// Decodes exactly `bytes`.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
    /// SHA-256 of the encoding.
    fn digest(&self) -> [u8; 32] {
        count(Primitive::Hash);
        Sha256::digest(self.encode()).into()
    }
}

/// A bounded cursor over untrusted bytes.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Takes the next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(len) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(DecodeError::Truncated { needed: len, left: self.rest.len() }),
        }
    }

    /// Takes the next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let left = self.rest.len();
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated { needed: N, left })?;
        self.rest = tail;
        Ok(*head)
    }

    /// Takes a `u32` length and refuses it above `max`.
    pub fn length(&mut self, what: &'static str, max: usize) -> Result<usize, DecodeError> {
        let len = u32::from_be_bytes(self.array()?) as usize;
        if len > max {
            return Err(DecodeError::TooLong { what, len, max });
        }
        Ok(len)
    }

    /// Bytes not read yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Fails unless everything was read.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(DecodeError::Trailing { extra }),
        }
    }
}

/// `u16(len label) || label || u16(fields) || (u32 len || bytes)*`: everything hashed, MACed or signed goes through here.
///
/// # Panics
/// When a caller passes more than 65,535 fields or a field above 4 GiB: both are programming errors.
pub fn enc(label: Label, fields: &[&[u8]]) -> Vec<u8> {
    let size: usize = fields.iter().map(|field| field.len().saturating_add(4)).sum();
    let mut out = open_enc(label, fields.len(), size);
    for field in fields {
        let len = u32::try_from(field.len()).expect("a field is shorter than 4 GiB");
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(field);
    }
    out
}

/// SHA-256 over [`enc`].
pub fn enc_digest(label: Label, fields: &[&[u8]]) -> [u8; 32] {
    count(Primitive::Hash);
    Sha256::digest(enc(label, fields)).into()
}

/// Starts an encoding with room for `size` bytes of fields; the `message!` macro appends them with [`put_framed`].
pub fn open_enc(label: Label, fields: usize, size: usize) -> Vec<u8> {
    let name = label.as_str().as_bytes();
    let mut out = Vec::with_capacity(name.len().saturating_add(size).saturating_add(4));
    let name_len = u16::try_from(name.len()).expect("labels are short");
    let count = u16::try_from(fields).expect("a message has at most 65,535 fields");
    out.extend_from_slice(&name_len.to_be_bytes());
    out.extend_from_slice(name);
    out.extend_from_slice(&count.to_be_bytes());
    out
}

/// Bytes [`put_framed`] appends.
pub fn framed_size(field: &impl Field) -> usize {
    field.size().saturating_add(4)
}

/// Appends one length-framed field without an intermediate buffer.
pub fn put_framed(field: &impl Field, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    field.put(out);
    let len = u32::try_from(out.len().saturating_sub(at).saturating_sub(4)).expect("a field is shorter than 4 GiB");
    if let Some(slot) = out.get_mut(at..at.saturating_add(4)) {
        slot.copy_from_slice(&len.to_be_bytes());
    }
}

/// Reads the opening of an encoding with this label and number of fields.
pub fn take_opening(input: &mut Reader<'_>, label: Label, fields: usize) -> Result<(), DecodeError> {
    let name = label.as_str();
    let wrong = DecodeError::WrongLabel { expected: name };
    let len = u16::from_be_bytes(input.array()?) as usize;
    if len != name.len() || input.bytes(len)? != name.as_bytes() {
        return Err(wrong);
    }
    let got = u16::from_be_bytes(input.array()?) as usize;
    if got != fields {
        return Err(DecodeError::FieldCount { label: name, expected: fields, got });
    }
    Ok(())
}

/// Reads one length-framed field, which must fill its frame.
pub fn take_framed<T: Field>(input: &mut Reader<'_>) -> Result<T, DecodeError> {
    let len = u32::from_be_bytes(input.array()?) as usize;
    T::from_bytes(input.bytes(len)?)
}

macro_rules! integer_fields {
    ($($kind:ty),*) => {$(
        impl Field for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn size(&self) -> usize {
                size_of::<$kind>()
            }
            fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(<$kind>::from_be_bytes(input.array()?))
            }
        }
    )*};
}
integer_fields!(u8, u16, u32, u64);

impl Field for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn size(&self) -> usize {
        1
    }
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::take(input)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Illegal { what: "bool" }),
        }
    }
}

impl<const N: usize> Field for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn size(&self) -> usize {
        N
    }
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.array()
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.put(out);
            }
        }
    }
    fn size(&self) -> usize {
        self.as_ref().map_or(1, |value| value.size().saturating_add(1))
    }
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::take(input)? {
            0 => Ok(None),
            1 => Ok(Some(T::take(input)?)),
            tag => Err(DecodeError::UnknownTag { what: "option", tag }),
        }
    }
}

macro_rules! pointer_fields {
    ($($pointer:ident),*) => {$(
        impl<T: Field> Field for $pointer<T> {
            fn put(&self, out: &mut Vec<u8>) {
                (**self).put(out);
            }
            fn size(&self) -> usize {
                (**self).size()
            }
            fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok($pointer::new(T::take(input)?))
            }
        }
    )*};
}
pointer_fields!(Box, Arc);
