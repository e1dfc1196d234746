//! Shamir's scheme over GF(2^8), byte by byte: any `threshold` shares give the secret, fewer say nothing of it.
//!
//! Decides: shares are values of one random polynomial for each byte, at public places from 1; every coefficient is uniform over all 256 values
//! (zero too: RUSTSEC-2024-0398 is what leaving it out is called). Secrets only meet [`field`](super::field); what is compared, looked up or
//! branched on is places, which are public.
//! Trusts: the coefficients to be random. Out of scope: whether a share is the one that was dealt (`share.rs`). Protocol section 6.1, D1.

use super::field::{add, invert, mul};
use alloc::vec::Vec;
use ringwall_wire::limits::CUSTODIANS;
use ringwall_wire::secret::Secret;

/// Why points give no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// There is none.
    #[error("no share was given")]
    None,
    /// There are more than a cluster has custodians.
    #[error("{given} shares were given, a cluster has at most {CUSTODIANS} custodians")]
    TooMany {
        /// How many.
        given: usize,
    },
    /// A share stands at place 0, where the secret itself is.
    #[error("a share says place 0: that is no share's place")]
    Origin,
    /// Two shares stand at one place.
    #[error("two shares say place {x}: one of them is needless or wrong")]
    Twice {
        /// The place.
        x: u8,
    },
}

/// The share of `secret` at place `x`, under the polynomial with these coefficients, the lowest first.
pub fn evaluate(secret: &Secret<32>, coefficients: &[Secret<32>], x: u8) -> Secret<32> {
    let mut value = [0_u8; 32];
    for coefficient in coefficients.iter().rev().chain(core::iter::once(secret)) {
        for (byte, part) in value.iter_mut().zip(coefficient.expose()) {
            *byte = add(mul(*byte, x), *part);
        }
    }
    Secret::from_mut(&mut value)
}

/// The value at place 0 of the polynomial of the lowest degree through these points. It is the secret if they are at least as many as the
/// threshold and all of them genuine; nothing here can tell.
pub fn interpolate(points: &[(u8, &Secret<32>)]) -> Result<Secret<32>, PointError> {
    if points.is_empty() {
        return Err(PointError::None);
    }
    if points.len() > CUSTODIANS {
        return Err(PointError::TooMany { given: points.len() });
    }
    let places: Vec<u8> = points.iter().map(|(x, _)| *x).collect();
    for (at, x) in places.iter().enumerate() {
        if *x == 0 {
            return Err(PointError::Origin);
        }
        if places.iter().skip(at.saturating_add(1)).any(|other| other == x) {
            return Err(PointError::Twice { x: *x });
        }
    }
    let mut value = [0_u8; 32];
    for (x, y) in points {
        let weight = weight(*x, &places);
        for (byte, part) in value.iter_mut().zip(y.expose()) {
            *byte = add(*byte, mul(*part, weight));
        }
    }
    Ok(Secret::from_mut(&mut value))
}

/// Lagrange's weight at 0 of the point at `x`: the product of `other / (other - x)`. Only public places go in.
fn weight(x: u8, places: &[u8]) -> u8 {
    let others = places.iter().filter(|other| **other != x);
    others.fold(1, |weight, other| mul(weight, mul(*other, invert(add(*other, x)))))
}

/// Whether every choice of `threshold` shares gives `secret` and no choice of one fewer does: what is wrong here is wrong before anybody was
/// given a share. At most 24,310 choices.
pub fn holds(secret: &Secret<32>, shares: &[(u8, Secret<32>)], threshold: usize) -> bool {
    let gives = |chosen: &Chosen<'_>| interpolate(chosen).is_ok_and(|found| found.same(secret));
    let mut enough = true;
    each_choice(shares, threshold, &mut |chosen| enough &= gives(chosen));
    each_choice(shares, threshold.saturating_sub(1), &mut |chosen| enough &= !gives(chosen));
    enough
}

/// Shares with their indices.
type Chosen<'a> = [(u8, &'a Secret<32>)];

/// Calls `with` with every choice of `size` shares; sizes of 0 have none.
fn each_choice(shares: &[(u8, Secret<32>)], size: usize, with: &mut dyn FnMut(&Chosen<'_>)) {
    let count = shares.len().min(CUSTODIANS);
    for set in 1_u32..1 << count {
        if set.count_ones() as usize == size {
            let chosen = shares.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
            let chosen: Vec<(u8, &Secret<32>)> = chosen.map(|(_, (x, y))| (*x, y)).collect();
            with(&chosen);
        }
    }
}
