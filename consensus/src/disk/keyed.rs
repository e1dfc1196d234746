//! How a member knows its own blocks again: a keyed hash whose key and values never leave memory.
//!
//! Decides: the tag of a block is POLYVAL (RFC 8452) over the block, filled up with zeroes to words of 16 bytes, and a last word with its length; the
//! key is drawn when the file, or the log, is made. POLYVAL is a universal hash: whoever knows neither key nor tags makes a given other block pass with at most one
//! chance in 2^128 for each word of a block (2^116 at 64 KiB, 2^108 at 16 MiB), whatever they prepare. There is one try, because a difference ends the member.
//! Trusts: the system's generator, and memory. Out of scope: bytes that another process or another life is to judge, for which this is no hash.
//! Protocol section 5.1; docs/decisions/0034-blocks-under-a-keyed-hash.md.

use polyval::universal_hash::UniversalHash as _;
use polyval::{Block, Key, Polyval};
use ringwall_wire::spared::{Part, spared};
use std::io;

/// Tag of one block, or of one frame of the log. What is said to be where is what the tag is kept beside.
pub(crate) type Tag = [u8; 16];

/// The key of one file, or of one log.
#[derive(Clone)]
pub(crate) struct BlockKey(Polyval);

impl BlockKey {
    /// Draws a key.
    pub(crate) fn draw() -> io::Result<Self> {
        Ok(Self::of(crate::entropy::draw()?))
    }

    fn of(bytes: [u8; 16]) -> Self {
        BlockKey(Polyval::new(&Key::from(bytes)))
    }

    /// The tag of a block.
    pub(crate) fn tag(&self, block: &[u8]) -> Tag {
        if spared(Part::AuthenticatedDisks) {
            return Tag::default();
        }
        let mut hash = self.0.clone();
        hash.update_padded(block);
        hash.update(&[Block::from((block.len() as u128).to_le_bytes())]);
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Appendix A of RFC 8452 has two words; the length follows here, so the result is (that + length) * H, as a second computation says.
    #[test]
    fn it_is_polyval_with_the_length_behind() {
        let bytes = |hex: u128| hex.to_be_bytes();
        let key = bytes(0x2562_9347_5892_4276_1d31_f826_ba4b_757b);
        let words = [bytes(0x4f4f_9566_8c83_dfb6_4017_62bb_2d01_a262), bytes(0xd1a2_4ddd_2721_d006_bbe4_5f20_d3c9_f362)];
        let published = bytes(0xf7a3_b47b_8461_19fa_e5b7_866c_f5e5_b77e);
        let mut last = published;
        last.iter_mut().zip(32_u128.to_le_bytes()).for_each(|(byte, len)| *byte ^= len);
        let mut whole = Polyval::new(&Key::from(key));
        whole.update(&[Block::from(last)]);
        assert_eq!(BlockKey::of(key).tag(&words.concat()), <Tag>::from(whole.finalize()));
    }

    #[test]
    fn other_bytes_other_lengths_and_other_keys_have_other_tags() {
        let (key, other) = (BlockKey::draw().unwrap(), BlockKey::draw().unwrap());
        let block = vec![7; 4096];
        let tag = key.tag(&block);
        assert_eq!(tag, key.tag(&block));
        assert_ne!(tag, other.tag(&block), "keys are drawn for each file");
        for at in [0, 15, 16, 2048, 4080, 4095] {
            let mut changed = block.clone();
            *changed.get_mut(at).unwrap() ^= 1;
            assert_ne!(key.tag(&changed), tag, "byte {at}");
        }
        assert_ne!(key.tag(&vec![0; 4096]), key.tag(&vec![0; 4095]), "zeroes are counted");
        assert_ne!(key.tag(&vec![0; 4096]), [0; 16]);
    }
}
