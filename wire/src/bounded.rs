//! Byte strings, lists and text that carry their limit in the type.
//!
//! Decides: a value above its limit cannot exist, whether it came from the network or from our own code.
//! Trusts: nothing; a list reserves memory as elements arrive, never by the announced count.
//! Out of scope: the limits themselves (`limits.rs`).

use crate::codec::{DecodeError, Field, Reader};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;

/// At most `MAX` bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Blob<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Blob<MAX> {
    /// Takes `bytes`, or says how much too long they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, DecodeError> {
        let bytes = bytes.into();
        match bytes.len() <= MAX {
            true => Ok(Blob(bytes)),
            false => Err(DecodeError::TooLong { what: "byte string", len: bytes.len(), max: MAX }),
        }
    }

    /// Gives the bytes away.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> Deref for Blob<MAX> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> core::fmt::Debug for Blob<MAX> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Blob({} bytes)", self.0.len())
    }
}

impl<const MAX: usize> Field for Blob<MAX> {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(&self.0, out);
    }
    fn size(&self) -> usize {
        self.0.len().saturating_add(4)
    }
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = input.length("byte string", MAX)?;
        Ok(Blob(input.bytes(len)?.to_vec()))
    }
}

/// At most `MAX` bytes that are never changed: a clone is the same bytes, and not a copy.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SharedBlob<const MAX: usize>(Arc<Vec<u8>>);

impl<const MAX: usize> SharedBlob<MAX> {
    /// Takes `bytes`, or says how much too long they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, DecodeError> {
        Blob::<MAX>::new(bytes).map(|blob| SharedBlob(Arc::new(blob.0)))
    }
}

impl<const MAX: usize> Deref for SharedBlob<MAX> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> core::fmt::Debug for SharedBlob<MAX> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "SharedBlob({} bytes)", self.0.len())
    }
}

/// Encoded as a [`Blob`].
impl<const MAX: usize> Field for SharedBlob<MAX> {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(&self.0, out);
    }
    fn size(&self) -> usize {
        self.0.len().saturating_add(4)
    }
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Blob::<MAX>::take(input).map(|blob| SharedBlob(Arc::new(blob.0)))
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let len = u32::try_from(bytes.len()).expect("MAX is below 4 GiB");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// At most `MAX` elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// Takes `items`, or says how many too many there are.
    pub fn new(items: Vec<T>) -> Result<Self, DecodeError> {
        match items.len() <= MAX {
            true => Ok(List(items)),
            false => Err(DecodeError::TooLong { what: "list", len: items.len(), max: MAX }),
        }
    }

    /// Adds one element if there is room.
    pub fn push(&mut self, item: T) -> Result<(), DecodeError> {
        if self.0.len() >= MAX {
            return Err(DecodeError::TooLong { what: "list", len: self.0.len().saturating_add(1), max: MAX });
        }
        self.0.push(item);
        Ok(())
    }

    /// Gives the elements away.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Field, const MAX: usize> Field for List<T, MAX> {
    fn put(&self, out: &mut Vec<u8>) {
        let len = u32::try_from(self.0.len()).expect("MAX is below 2^32");
        out.extend_from_slice(&len.to_be_bytes());
        for item in &self.0 {
            item.put(out);
        }
    }
    fn size(&self) -> usize {
        self.0.iter().fold(4, |sum: usize, item| sum.saturating_add(item.size()))
    }
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = input.length("list", MAX)?;
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(T::take(input)?);
        }
        Ok(List(items))
    }
}

/// UTF-8 without control characters, at most `MAX` bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Takes `text` if it is short and printable.
    pub fn new(text: impl Into<String>) -> Result<Self, DecodeError> {
        let text = text.into();
        if text.len() > MAX {
            return Err(DecodeError::TooLong { what: "text", len: text.len(), max: MAX });
        }
        if text.chars().any(char::is_control) {
            return Err(DecodeError::Illegal { what: "text" });
        }
        Ok(Text(text))
    }
}

impl<const MAX: usize> Deref for Text<MAX> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> core::fmt::Display for Text<MAX> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(&self.0)
    }
}

impl<const MAX: usize> Field for Text<MAX> {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.0.as_bytes(), out);
    }
    fn size(&self) -> usize {
        self.0.len().saturating_add(4)
    }
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = input.length("text", MAX)?;
        let text = core::str::from_utf8(input.bytes(len)?).map_err(|_| DecodeError::Illegal { what: "text" })?;
        Text::new(text)
    }
}
