//! What dealing, opening and combining shares takes in one process, and splitting and combining beside another implementation of the same scheme.
//!
//! Decides: contenders take turns (A B A B), medians count. The peer splits and combines bytes; what is ours alone (proving the split in every choice of
//! shares, sealing to custodians, comparing the key) stands without a peer, so that nobody compares a dealing with a split.
//! Trusts: the peer to do the same work: 32 bytes, the same field, coefficients from the same kind of generator. Out of scope: whether results agree
//! (`tests/tests/custody.rs`).

use super::progress;
use crate::bench::measure::{forget_peak, median, peak_rss_mib};
use crate::dealer::{CLUSTER, Dealer, recovered, split_secret};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use ringwall_keys::Keyring;
use ringwall_keys::custody::split::{evaluate, holds, interpolate};
use ringwall_keys::custody::{Dealt, Draws, GoodShare, custodian_key};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::Digest;
use ringwall_wire::secret::Secret;
use serde::Serialize;
use std::hint::black_box;
use std::time::Instant;
use vsss_rs::Gf256;

/// Beside whom.
pub const PEER: &str = "vsss-rs 6.0.1";
/// Numbers of shares that are dealt: how many recover, of how many.
const SHARES: [(u8, u8); 3] = [(2, 3), (3, 5), (9, 16)];
/// Time one turn of a contender takes, about.
const TURN_US: f64 = 20_000.0;

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// How many shares of how many.
    pub shares: String,
    /// What was done.
    pub step: String,
    /// Microseconds.
    pub us: f64,
    /// Of the peer.
    pub peer_us: Option<f64>,
    /// Ours over the peer's; below 1 is faster.
    pub ratio: Option<f64>,
    /// Peak of this process while it was measured.
    pub peak_mib: f64,
}

/// Does it once; fails with words.
type Work<'a> = Box<dyn FnMut() -> Result<(), String> + 'a>;

/// Measures all of them.
pub fn measure(turns: usize) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (threshold, count) in SHARES {
        progress(&format!("{threshold} of {count} shares"));
        rows.extend(steps(threshold, count, turns)?);
    }
    Ok(rows)
}

fn words(fault: impl std::fmt::Display) -> String {
    fault.to_string()
}

fn drawn(rng: &mut ChaCha20Rng) -> Secret<32> {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    Secret::from_mut(&mut bytes)
}

/// Shares of `secret`, as a dealing makes them: its draws come from the generator alone, as the peer's do.
fn split(secret: &Secret<32>, threshold: u8, count: u8, rng: &mut ChaCha20Rng) -> Vec<(u8, Secret<32>)> {
    let coefficients: Vec<Secret<32>> = (1..threshold).map(|_| drawn(rng)).collect();
    (1..=count).map(|x| (x, evaluate(secret, &coefficients, x))).collect()
}

fn steps(threshold: u8, count: u8, turns: usize) -> Result<Vec<Row>, String> {
    let mut rng = ChaCha20Rng::seed_from_u64(u64::from(count));
    let ring = Keyring::found(CLUSTER, &mut rng);
    let mut dealer = Dealer::new(ring, threshold, count, Box::new(ChaCha20Rng::seed_from_u64(2)));
    let dealt = dealer.deal(&mut rng).map_err(words)?;
    let shares = dealer.shares(&dealt).map_err(words)?;
    let secret = split_secret(&shares).map_err(words)?;
    let contest = Contest { shares: format!("{threshold} of {count}"), turns };
    let mut rows = parts(&contest, (threshold, count), &secret)?;
    rows.push(contest.row("one envelope sealed", Box::new(|| sealed(&dealer, &dealt, &shares[0])), None)?);
    let last = dealer.custodians.len() - 1;
    rows.push(contest.row("one envelope opened, judged", Box::new(|| dealer.share(&dealt, last).map(drop).map_err(words)), None)?);
    rows.push(contest.row("shares to recovery key", Box::new(|| recovered(&dealt.manifest, &shares).map(drop).map_err(words)), None)?);
    rows.push(contest.row("a whole dealing", Box::new(|| dealer.deal(&mut rng).map(drop).map_err(words)), None)?);
    Ok(rows)
}

/// The scheme alone: what the peer has, too, and the proof of the split, which it has not.
fn parts(contest: &Contest, (threshold, count): (u8, u8), secret: &Secret<32>) -> Result<Vec<Row>, String> {
    let (mut one, mut other) = (ChaCha20Rng::seed_from_u64(3), ChaCha20Rng::seed_from_u64(3));
    let points = split(secret, threshold, count, &mut one);
    let theirs: Vec<Vec<u8>> = points.iter().take(usize::from(threshold)).map(|(x, y)| [&[*x], y.expose().as_slice()].concat()).collect();
    let ours = points.clone();
    let split_ours: Work<'_> = Box::new(move || {
        black_box(split(secret, threshold, count, &mut one));
        Ok(())
    });
    let split_theirs: Work<'_> = Box::new(move || {
        let split = Gf256::split_bytes(usize::from(threshold), usize::from(count), secret.expose(), &mut other);
        split.map(|shares| drop(black_box(shares))).map_err(|fault| format!("{PEER}: {fault:?}"))
    });
    let combine_ours: Work<'_> = Box::new(move || {
        let lent: Vec<(u8, &Secret<32>)> = ours.iter().take(usize::from(threshold)).map(|(x, y)| (*x, y)).collect();
        same(interpolate(&lent).map_err(words)?.expose(), secret)
    });
    let combine_theirs: Work<'_> = Box::new(move || {
        let found = Gf256::combine_bytes(&theirs).map_err(|fault| format!("{PEER}: {fault:?}"))?;
        same(&found, secret)
    });
    let prove: Work<'_> = Box::new(move || match holds(secret, &points, usize::from(threshold)) {
        true => Ok(()),
        false => Err("the split does not hold".to_owned()),
    });
    Ok(vec![
        contest.row("split", split_ours, Some(split_theirs))?,
        contest.row("combine", combine_ours, Some(combine_theirs))?,
        contest.row("split proven in every choice", prove, None)?,
    ])
}

fn same(found: &[u8], secret: &Secret<32>) -> Result<(), String> {
    match black_box(found) == secret.expose() {
        true => Ok(()),
        false => Err("another secret came back".to_owned()),
    }
}

fn sealed(dealer: &Dealer, dealt: &Dealt, good: &GoodShare) -> Result<(), String> {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let mut draws = Draws::new(&mut rng, &good.share().r);
    let at = usize::from(good.share().x) - 1;
    let public = custodian_key(&dealer.custodians[at]).map_err(words)?;
    let manifest = Digest(dealt.manifest.digest());
    let envelope = ringwall_keys::custody::envelope::seal_share(&manifest, (good.custodian(), &public), good.share(), &mut draws);
    envelope.map(|envelope| drop(black_box(envelope))).map_err(words)
}

/// Rows of one number of shares.
struct Contest {
    shares: String,
    turns: usize,
}

impl Contest {
    /// One row: contenders in turns.
    fn row<'w>(&self, step: &str, ours: Work<'w>, peer: Option<Work<'w>>) -> Result<Row, String> {
        let me = std::process::id();
        forget_peak(me);
        let mut contenders = vec![ours];
        contenders.extend(peer);
        let mut rounds = Vec::new();
        for work in &mut contenders {
            rounds.push(((TURN_US / timed(work, 1)?.max(0.01)) as u32).clamp(1, 100_000));
        }
        let mut times = vec![Vec::new(); contenders.len()];
        for _ in 0..self.turns.max(1) {
            for ((work, rounds), times) in contenders.iter_mut().zip(&rounds).zip(&mut times) {
                times.push(timed(work, *rounds)?);
            }
        }
        let mut medians = times.into_iter().map(median);
        let (us, peer_us) = (medians.next().unwrap_or(f64::NAN), medians.next());
        let (shares, step, ratio) = (self.shares.clone(), step.to_owned(), peer_us.map(|peer| us / peer));
        Ok(Row { shares, step, us, peer_us, ratio, peak_mib: peak_rss_mib(me) })
    }
}

/// Microseconds of one, over so many.
fn timed(work: &mut Work<'_>, rounds: u32) -> Result<f64, String> {
    let begun = Instant::now();
    for _ in 0..rounds {
        work()?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(rounds))
}
