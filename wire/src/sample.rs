//! Random well-formed values of every message, for the property tests of this and other crates.
//!
//! Decides: how a test draws a value; small sizes are likelier, limits are reached sometimes. Compiled for tests only
//! (`feature = "sample"`). Trusts: nothing. Out of scope: production code.

use crate::bounded::{Blob, List, SharedBlob, Text};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

/// A reproducible source of numbers (xorshift64*); not for keys.
#[derive(Clone, Debug)]
pub struct Source(u64);

impl Source {
    /// Starts from a seed; equal seeds give equal values.
    pub fn new(seed: u64) -> Self {
        Source(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "never ends, so there is no Option to unpack")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number in `0..limit`; 0 when `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        match limit {
            0 => 0,
            _ => (self.next() % limit as u64) as usize,
        }
    }
}

/// A type whose values can be drawn.
pub trait Sample: Sized {
    /// Draws one.
    fn sample(source: &mut Source) -> Self;
}

macro_rules! integer_samples {
    ($($kind:ty),*) => {$(
        impl Sample for $kind {
            fn sample(source: &mut Source) -> Self { source.next() as $kind }
        }
    )*};
}
integer_samples!(u8, u16, u32, u64);

impl Sample for bool {
    fn sample(source: &mut Source) -> Self {
        source.next() & 1 == 1
    }
}

impl<const N: usize> Sample for [u8; N] {
    fn sample(source: &mut Source) -> Self {
        core::array::from_fn(|_| source.next() as u8)
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(source: &mut Source) -> Self {
        bool::sample(source).then(|| T::sample(source))
    }
}

impl<T: Sample> Sample for Box<T> {
    fn sample(source: &mut Source) -> Self {
        Box::new(T::sample(source))
    }
}

impl<T: Sample> Sample for Arc<T> {
    fn sample(source: &mut Source) -> Self {
        Arc::new(T::sample(source))
    }
}

impl<const MAX: usize> Sample for Blob<MAX> {
    fn sample(source: &mut Source) -> Self {
        let len = source.below(MAX.min(96) + 1);
        let bytes: alloc::vec::Vec<u8> = (0..len).map(|_| source.next() as u8).collect();
        Blob::new(bytes).expect("within the limit")
    }
}

impl<const MAX: usize> Sample for SharedBlob<MAX> {
    fn sample(source: &mut Source) -> Self {
        SharedBlob::new(Blob::<MAX>::sample(source).into_vec()).expect("within the limit")
    }
}

impl<T: Sample, const MAX: usize> Sample for List<T, MAX> {
    fn sample(source: &mut Source) -> Self {
        let len = source.below(MAX.min(3) + 1);
        List::new((0..len).map(|_| T::sample(source)).collect()).expect("within the limit")
    }
}

impl<const MAX: usize> Sample for Text<MAX> {
    fn sample(source: &mut Source) -> Self {
        let len = source.below(MAX.min(24) + 1);
        let text: String = (0..len).map(|_| char::from(b'a' + source.below(26) as u8)).collect();
        Text::new(text).expect("printable and short")
    }
}
