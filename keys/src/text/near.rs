//! Words of the list that a typed one may have been.
//!
//! Decides: what counts as near: at most [`SLIPS`] letters replaced, left out, too many or exchanged with their neighbour, or the same first four letters,
//! which tell every word of the list from all others. Trusts: nothing; of a long word the beginning is looked at.
//! Out of scope: whether a word fits the checksum (`words`, `phrase`), how it is told (`client`).

use super::words;
use alloc::string::String;
use alloc::vec::Vec;
use zeroize::Zeroizing;

/// Letters that may be wrong in a word that is near.
pub const SLIPS: usize = 2;
/// Letters that tell a word of the list from all others.
const TELLING: usize = 4;
/// Letters of a typed word that are looked at: more than any word of the list has, and slips.
const LETTERS: usize = 32;

/// Words of the list near `typed`, the nearest first, itself among them if it is of the list.
pub fn near(typed: &str) -> Vec<&'static str> {
    let typed: Zeroizing<String> = Zeroizing::new(typed.to_lowercase());
    let start: String = typed.chars().take(TELLING).collect();
    let slips_to = |word: &'static str| match start.chars().count() == TELLING && word.starts_with(&start) {
        true => 0,
        false => slips(word, &typed),
    };
    let mut found: Vec<(usize, &'static str)> =
        words::list().map(|word| (slips_to(word), word)).filter(|(slips, _)| *slips <= SLIPS).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, word)| word).collect()
}

/// Letters to replace, insert, leave out or exchange with their neighbour on the way from one word to the other.
pub fn slips(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().take(LETTERS).collect(), other.chars().take(LETTERS).collect());
    let get = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
    let mut rows: [Vec<usize>; 3] = [Vec::new(), Vec::new(), (0..=other.len()).collect()];
    for (at, letter) in one.iter().enumerate() {
        rows.rotate_left(1);
        let [before, above, row] = &mut rows;
        row.clear();
        row.push(at.saturating_add(1));
        for (place, compared) in other.iter().enumerate() {
            let replaced = get(above, place).saturating_add(usize::from(letter != compared));
            let shifted = get(above, place.saturating_add(1)).min(get(row, place)).saturating_add(1);
            let exchanged = match (at.checked_sub(1).and_then(|at| one.get(at)), place.checked_sub(1)) {
                (Some(earlier), Some(back)) if earlier == compared && other.get(back) == Some(letter) => {
                    get(before, back).saturating_add(1)
                }
                _ => usize::MAX / 2,
            };
            row.push(replaced.min(shifted).min(exchanged));
        }
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted_as_people_make_them() {
        for (one, other, want) in [
            ("zoo", "zoo", 0),
            ("zoo", "zooo", 1),
            ("winner", "wniner", 1),
            ("winner", "winter", 1),
            ("abandon", "abondn", 2),
            ("zoo", "", 3),
            ("", "", 0),
        ] {
            assert_eq!((slips(one, other), slips(other, one)), (want, want), "{one} {other}");
        }
    }

    #[test]
    fn near_words_come_nearest_first_and_nothing_far_comes() {
        assert_eq!(near("ZOOO").first(), Some(&"zoo"));
        assert_eq!(near("acousxxxxx").first(), Some(&"acoustic"), "four letters tell");
        assert!(near(&"x".repeat(100_000)).is_empty());
    }
}
