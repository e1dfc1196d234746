//! GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1 (0x11b): what shares of a secret byte are computed in.
//!
//! Decides: sums and products. No table, no branch and no loop whose length depends on a value: the host sees which addresses and which
//! instructions a guest uses, and how long. A test reads this file for that, a program measures it (`cargo bench-constant-time`).
//! Trusts: the compiler to leave a mask a mask; that is what the program is for. Out of scope: polynomials over the field (`split.rs`).

use core::hint::black_box;

/// The polynomial, with its leading term.
const POLYNOMIAL: u16 = 0x11b;

/// All ones where the lowest bit of `value` is set, all zeros elsewhere.
#[inline(always)]
fn mask(value: u16) -> u16 {
    black_box(0_u16.wrapping_sub(value & 1))
}

/// The sum, which is the difference too.
#[inline(always)]
pub fn add(one: u8, other: u8) -> u8 {
    one ^ other
}

/// The product.
#[inline(always)]
pub fn mul(one: u8, other: u8) -> u8 {
    let (one, other) = (u16::from(one), u16::from(other));
    let mut product = 0_u16;
    for bit in 0..8 {
        product ^= (one << bit) & mask(other >> bit);
    }
    for bit in 0..7 {
        let over = 14 - bit;
        product ^= (POLYNOMIAL << (over - 8)) & mask(product >> over);
    }
    product as u8
}

/// The inverse, as the 254th power; 0 for 0.
pub fn invert(value: u8) -> u8 {
    let mut result = 1;
    let mut square = value;
    for _ in 0..7 {
        square = mul(square, square);
        result = mul(result, square);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same product in the way schoolbooks write it: another algorithm, with branches.
    fn slow(mut one: u8, mut other: u8) -> u8 {
        let mut product = 0;
        while other != 0 {
            if other & 1 == 1 {
                product ^= one;
            }
            let carries = one & 0x80 != 0;
            one <<= 1;
            if carries {
                one ^= 0x1b;
            }
            other >>= 1;
        }
        product
    }

    #[test]
    fn every_product_is_the_schoolbooks() {
        for one in 0..=255 {
            for other in 0..=255 {
                assert_eq!(mul(one, other), slow(one, other), "{one} * {other}");
            }
        }
        assert_eq!(mul(0x57, 0x83), 0xc1, "FIPS 197, section 4.2");
        assert_eq!(mul(0x57, 0x13), 0xfe, "FIPS 197, section 4.2.1");
    }

    #[test]
    fn it_is_a_field() {
        for one in 0..=255 {
            assert_eq!(mul(one, 1), one);
            assert_eq!(mul(one, invert(one)), u8::from(one != 0), "{one} has an inverse");
            for other in 0..=255 {
                assert_eq!(mul(one, other), mul(other, one));
                for third in [1, 2, 0x53, 0xca, 0xff] {
                    assert_eq!(mul(mul(one, other), third), mul(one, mul(other, third)));
                    assert_eq!(mul(add(one, other), third), add(mul(one, third), mul(other, third)));
                }
            }
        }
    }

    /// What secret bytes pass through has no branch, no table and no early end.
    #[test]
    fn the_arithmetic_has_no_table_and_no_branch() {
        let here = include_str!("field.rs");
        let (shipped, _) = here.split_once("#[cfg(test)]").expect("this module follows");
        let code: alloc::string::String = shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for word in ["if ", "match ", "while ", "return", "?", "[", "break", "&&", "||", "==", "<=", ">=", "%", "/ "] {
            let found = code.replace("#[inline(always)]", "").contains(word);
            assert!(!found, "`{word}` stands in the arithmetic");
        }
        assert_eq!(code.matches("for ").count(), 3, "loops of 8, 7 and 7 rounds, whatever the values");
    }
}
