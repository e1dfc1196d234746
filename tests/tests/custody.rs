//! Our shares beside another implementation of the same scheme over the same field (`vsss-rs`): one splits, the other combines.
//!
//! Decides: both directions agree, for every threshold and number, and arithmetic is the same for all pairs. A share of our dealing, taken out of its
//! envelope, combines there too. Trusts: that the other one was written by somebody else. Out of scope: secrecy and refusals (`keys/tests/custody.rs`).
//! Protocol section 6.1, D1.
#![allow(clippy::unwrap_used, clippy::panic)]

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use ringwall_keys::custody::field::{add, invert, mul};
use ringwall_keys::custody::split::{evaluate, interpolate};
use ringwall_wire::secret::Secret;
use vsss_rs::Gf256;

fn drawn(rng: &mut ChaCha20Rng) -> Secret<32> {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    Secret::new(bytes)
}

#[test]
fn the_field_is_the_same_for_every_pair() {
    for one in 0..=255 {
        for other in 0..=255 {
            assert_eq!(mul(one, other), (Gf256(one) * Gf256(other)).0, "{one} * {other}");
            assert_eq!(add(one, other), (Gf256(one) + Gf256(other)).0);
        }
        assert_eq!(invert(one), Gf256(one).pow(254).0);
    }
}

#[test]
fn what_we_split_they_combine() {
    let mut rng = ChaCha20Rng::seed_from_u64(41);
    for count in 2..=16_u8 {
        for threshold in 2..=count {
            let secret = drawn(&mut rng);
            let coefficients: Vec<Secret<32>> = (1..threshold).map(|_| drawn(&mut rng)).collect();
            let first = 1 + count - threshold;
            let shares = (first..=count).map(|x| [&[x], evaluate(&secret, &coefficients, x).expose().as_slice()].concat());
            let combined = Gf256::combine_bytes(shares.collect::<Vec<Vec<u8>>>()).unwrap();
            assert_eq!(combined, secret.expose(), "{threshold} of {count}");
        }
    }
}

#[test]
fn what_they_split_we_combine() {
    let mut rng = ChaCha20Rng::seed_from_u64(42);
    for count in 2..=16_usize {
        for threshold in 2..=count {
            let secret = drawn(&mut rng);
            let shares = Gf256::split_bytes(threshold, count, secret.expose(), &mut rng).unwrap();
            let taken = |share: &Vec<u8>| (share[0], Secret::<32>::new(share[1..].try_into().unwrap()));
            let points: Vec<(u8, Secret<32>)> = shares.iter().rev().map(taken).collect();
            let lent: Vec<(u8, &Secret<32>)> = points.iter().map(|(x, y)| (*x, y)).collect();
            assert!(interpolate(&lent[..threshold]).unwrap().same(&secret), "{threshold} of {count}");
            assert!(!interpolate(&lent[1..threshold]).is_ok_and(|found| found.same(&secret)), "{threshold} of {count}, one fewer");
        }
    }
}
