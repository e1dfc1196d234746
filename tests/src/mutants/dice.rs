//! Choices that replay: from a seed, or from the bytes a fuzzer gives.
//!
//! Decides: nothing; equal seeds and bytes give equal choices on every machine. Trusts: nothing.
//! Out of scope: unpredictability; nothing here protects anything. Source: SplitMix64 (Steele, Lea, Flood).

/// A source of choices.
#[derive(Clone, Debug)]
pub struct Dice {
    bytes: Vec<u8>,
    used: usize,
    word: u64,
}

impl Dice {
    /// Choices of the mutant with this number under this seed.
    pub fn new(seed: u64, number: u64) -> Dice {
        let mut dice = Dice { bytes: Vec::new(), used: 0, word: seed };
        dice.word = dice.next().wrapping_add(number);
        dice
    }

    /// Choices taken from these bytes, eight at a time, and from their last word when they are used up.
    pub fn of(bytes: &[u8]) -> Dice {
        Dice { bytes: bytes.to_vec(), used: 0, word: 0x9e37 }
    }

    /// The next 64 bits.
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        if let Some(bytes) = self.bytes.get(self.used..).and_then(|rest| rest.first_chunk::<8>()) {
            self.used = self.used.saturating_add(8);
            self.word ^= u64::from_le_bytes(*bytes);
            return u64::from_le_bytes(*bytes);
        }
        self.word = self.word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.word;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `limit`; 0 when that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let drawn = self.next().checked_rem(limit).unwrap_or(0);
        usize::try_from(drawn).unwrap_or(0)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = self.below(from.len());
        from.get(at)
    }

    /// Some byte.
    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// True in one of `of` cases.
    pub fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}
