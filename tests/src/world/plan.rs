//! Which faults strike when, drawn from the seed of a world.
//!
//! Decides: phases of a few seconds with one to three faults at once, and every kind as likely as every other, so that a suite of a few
//! hundred seeds fires all of them. Trusts: nothing. Out of scope: what a kind does (`strikes`).

use crate::world::dice::Dice;
use crate::world::kinds::Kind;

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When, milliseconds after the faults begin.
    pub at_ms: u64,
    /// Which.
    pub kind: Kind,
}

/// The faults of `seed` within `span_ms`, in order; of `only` where that is not empty, otherwise of the first `known` kinds.
pub fn plan(seed: u64, span_ms: u64, only: &[Kind], known: usize) -> Vec<Planned> {
    let dice = Dice::new(seed, "plan", 0);
    let all = &Kind::ALL[..known.clamp(1, Kind::ALL.len())];
    let kinds = if only.is_empty() { all } else { only };
    let (mut planned, mut at_ms) = (Vec::new(), 0);
    // The first kind goes round with the seed, so that no kind waits for luck.
    let mut first = only.is_empty().then(|| all[(seed % all.len() as u64) as usize]);
    loop {
        at_ms += dice.between(600, 4_500);
        if at_ms >= span_ms {
            return planned;
        }
        for _ in 0..dice.between(1, 3) {
            let Some(kind) = first.take().or_else(|| dice.pick(kinds).copied()) else { return planned };
            planned.push(Planned { at_ms: at_ms + dice.below(400), kind });
        }
        planned.sort_by_key(|planned| planned.at_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_have_equal_plans_and_a_round_of_seeds_has_every_kind() {
        let all = Kind::ALL.len();
        assert_eq!(plan(5, 40_000, &[], all), plan(5, 40_000, &[], all));
        assert_ne!(plan(5, 40_000, &[], all), plan(6, 40_000, &[], all));
        let kinds = |known| (0..known as u64).flat_map(move |seed| plan(seed, 40_000, &[], known)).map(|planned| planned.kind);
        assert_eq!(kinds(all).collect::<std::collections::BTreeSet<Kind>>().len(), all);
        assert!(kinds(53).all(|kind| Kind::ALL[..53].contains(&kind)), "a world that knows fewer kinds has no others");
    }
}
