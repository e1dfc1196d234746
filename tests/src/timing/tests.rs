//! The statistics by themselves, on numbers that are known or made: no clock is read here.
//!
//! Decides: t has its textbook values; a planted difference is found, in the mean or in the spread, where slow outliers hide it from the plain test;
//! equal classes give none. Trusts: a generator of 64 bits (SplitMix64). Out of scope: times.

use super::operations::OPERATIONS;
use super::*;

/// SplitMix64, as numbers from 0 to 1.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) as f64 / 18_446_744_073_709_551_616.0
    }
}

/// Times around 100 with a spread of 20 for the fixed class, and a fiftieth of both that was interrupted for up to 100,000. The random class is slower by
/// `shift`, and spreads wider by `spread` times.
fn times(seed: u64, count: usize, shift: f64, spread: f64) -> Vec<Time> {
    let mut numbers = Numbers(seed);
    let one = |_| {
        let random = numbers.next() < 0.5;
        let (noise, slow, length) = (numbers.next() - 0.5, numbers.next() < 0.02, numbers.next());
        let (class, shift, spread) = if random { (Class::Random, shift, spread) } else { (Class::Fixed, 0.0, 1.0) };
        let interrupted = if slow { 100_000.0 * length } else { 0.0 };
        (class, 100.0 + shift + 20.0 * spread * noise + interrupted)
    };
    (0..count).map(one).collect()
}

fn plain(times: &[Time]) -> f64 {
    let of = |class| Moments::of(times.iter().filter(|(of, _)| *of == class).map(|(_, time)| *time));
    welch(&of(Class::Fixed), &of(Class::Random)).abs()
}

#[test]
fn t_has_its_textbook_values() {
    let close = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-9, "{found}, wanted {wanted}");
    let one = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4];
    let other = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4];
    let (one, other) = (Moments::of(one), Moments::of(other));
    close(welch(&one, &other), -2.455_356_398_286_01);
    close(welch(&other, &one), 2.455_356_398_286_01);
    // Different numbers of values, different spreads.
    let (one, other) =
        (Moments::of([17.2, 20.9, 22.6, 18.1, 21.7, 21.4, 23.5, 24.2, 14.7, 21.8]), Moments::of([21.5, 22.8, 21.0, 23.0, 21.6, 23.6]));
    close(welch(&one, &other), -1.579_114_567_872_890_6);
    // Large numbers lose nothing to cancellation.
    let far = |values: [f64; 3]| Moments::of(values.map(|value| value + 1e9));
    close(welch(&far([1.0, 2.0, 3.0]), &far([2.0, 3.0, 4.0])), -1.224_744_871_391_589);
}

#[test]
fn too_little_says_nothing_and_no_spread_at_all_says_everything() {
    let same = Moments::of([5.0; 4]);
    assert_eq!(welch(&Moments::default(), &same), 0.0);
    assert_eq!(welch(&Moments::of([1.0]), &same), 0.0);
    assert_eq!(welch(&same, &same), 0.0);
    assert_eq!(welch(&Moments::of([6.0; 4]), &same), f64::INFINITY);
    let few: Vec<Time> = times(1, 900, 1_000.0, 1.0);
    assert_eq!(largest(&few).t, 0.0, "fewer than {ENOUGH} of a class");
    assert_eq!(largest(&[]).t, 0.0);
}

#[test]
fn times_are_cropped_where_dudect_crops_them() {
    let crops: Vec<f64> = crops().collect();
    assert_eq!(crops.len(), 100);
    assert!(crops.is_sorted() && crops.iter().all(|kept| (0.0..1.0).contains(kept)));
    let close = |at: usize, wanted: f64| assert!((crops[at] - wanted).abs() < 1e-12, "{} at {at}", crops[at]);
    close(0, 0.066_967_008_463_192_59);
    close(9, 0.5);
    close(99, 0.999_023_437_5);
}

#[test]
fn a_planted_difference_is_found_behind_slow_outliers() {
    let times = times(7, 100_000, 0.5, 1.0);
    assert!(plain(&times) < SEEN, "the plain test sees it, so this is no test of cropping: {}", plain(&times));
    let found = largest(&times);
    assert!(found.t >= 2.0 * SEEN && found.kept < 1.0 && !found.spread, "{found:?}");
}

#[test]
fn a_difference_in_spread_alone_is_one() {
    let undisturbed = |spread| times(8, 100_000, 0.0, spread).into_iter().filter(|(_, time)| *time < 200.0).collect::<Vec<Time>>();
    let wider = undisturbed(1.5);
    assert!(plain(&wider) < SEEN, "the means differ, so this is no test of spreads: {}", plain(&wider));
    assert!(in_spread(&wider).t >= 2.0 * SEEN, "{:?}", in_spread(&wider));
    assert!(largest(&wider).t >= in_spread(&wider).t);
    assert!(in_spread(&undisturbed(1.0)).t < SEEN, "{:?}", in_spread(&undisturbed(1.0)));
}

#[test]
fn equal_classes_show_none() {
    for seed in 1..=8 {
        let found = largest(&times(seed, 20_000, 0.0, 1.0));
        assert!(found.t < SEEN, "seed {seed}: {found:?}");
    }
}

#[test]
fn the_verdict_needs_its_control() {
    let finding = |leaks, t| Finding { operation: "", leaks, measurements: 0, difference: Difference { t, kept: 1.0, spread: false } };
    let (quiet, seen) = (finding(false, 1.0), finding(true, 900.0));
    assert_eq!(verdict(&[quiet.clone(), seen.clone()]), Verdict::NothingSeen);
    assert_eq!(verdict(std::slice::from_ref(&quiet)), Verdict::TooNoisy, "nothing shows that anything could be seen");
    assert_eq!(verdict(&[quiet.clone(), finding(true, 4.4)]), Verdict::TooNoisy);
    assert_eq!(verdict(&[finding(false, 4.5), seen.clone()]), Verdict::Depends);
    assert_eq!(verdict(&[finding(false, f64::INFINITY), finding(true, 0.0)]), Verdict::Depends);
}

/// What is measured is what is meant: for both classes an operation does all of its work and comes to the same end, and bytes that fit come to another.
#[test]
fn every_operation_does_its_work_for_both_classes() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut bench = Bench::new(&mut rng);
    assert!(OPERATIONS.iter().any(|operation| operation.leaks) && OPERATIONS.iter().any(|operation| !operation.leaks));
    for operation in &OPERATIONS {
        let fixed = (operation.fixed)(&bench);
        for random in [false, true] {
            (operation.set)(&mut bench, &input(random, &fixed, &mut rng));
            let came = (operation.run)(&bench);
            assert!(!operation.compares || came == operations::REFUSED, "{}, random {random}: came to {came}", operation.name);
        }
        if operation.compares {
            // The fixed bytes are right but for the last one.
            let mut right = fixed;
            right[31] ^= 1;
            (operation.set)(&mut bench, &right);
            assert_eq!((operation.run)(&bench), operations::RIGHT, "{}: the right bytes", operation.name);
        }
    }
}
