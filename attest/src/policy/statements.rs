//! Whose signed statement a policy asks of evidence: that of the build under which it finds the measurement.
//!
//! Decides: where releases are demanded before and after, whether evidence that stays acceptable needs the statement of another build now: its digest or
//! tuple is found under another name or security version first; or a tuple or a table of boot events of its firmware is gone, stands elsewhere or is
//! found under another build, so that evidence falls through to a table it did not reach, or to a build of which less must have been published.
//! Trusts: nothing. Out of scope: what is accepted at all (`compare.rs`), the statements (`release/proof.rs`). Protocol section 8.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use ringwall_wire::codec::Field as _;
use ringwall_wire::policy::Measurement;
use sha2::{Digest as _, Sha256};

/// What a statement has to name: a build and its security version.
type Home<'a> = (&'a str, u32);
/// A vendor, and a digest or tuple of its.
type Entry = (&'static str, String);

/// Every measurement and every firmware whose evidence may need the statement of another build, for people. Builds with the least security version.
pub(super) fn moved(old: (&[Measurement], u32), new: (&[Measurement], u32)) -> Vec<String> {
    let (before, after) = (homes(old.0, old.1), homes(new.0, new.1));
    let moves = before.into_iter().filter_map(|(entry, was)| {
        let is = after.get(&entry).filter(|is| **is != was)?;
        let (vendor, digest) = entry;
        Some(format!(
            "evidence with {vendor} measurement {digest} needs the statement of another build now: \"{}\" with security version {}, before \"{}\" with {}",
            is.0, is.1, was.0, was.1
        ))
    });
    let firmware = falls_through(old.0, new).into_iter().map(|mrtd| {
        let mrtd = ringwall_wire::text::hex(&mrtd);
        format!("evidence with MRTD {mrtd} may need the statement of another build now: tuples or tables of boot events before it are gone or others")
    });
    moves.chain(firmware).collect()
}

/// The build under which each digest and tuple is found and accepted: the first that has it.
fn homes(builds: &[Measurement], min_svn: u32) -> BTreeMap<Entry, Home<'_>> {
    let mut homes = BTreeMap::new();
    for build in builds {
        let snp = build.snp.iter().map(|digest| ("AMD", digest.to_string()));
        let tdx = build.tdx.iter().map(|tuple| ("Intel", ringwall_wire::text::hex(&tuple.to_bytes())));
        snp.chain(tdx).for_each(|entry| {
            homes.entry(entry).or_insert((&*build.id, build.svn));
        });
    }
    homes.retain(|_, (_, svn)| *svn >= min_svn);
    homes
}

/// The tables of one build for one firmware. All of them must have been published with it.
struct Tables<'a> {
    home: Home<'a>,
    digests: BTreeSet<[u8; 32]>,
}

/// By firmware, in the order in which tables are looked at.
fn courses(builds: &[Measurement]) -> BTreeMap<[u8; 48], Vec<Tables<'_>>> {
    let mut courses = BTreeMap::<_, Vec<_>>::new();
    for build in builds {
        let mut own = BTreeMap::<_, BTreeSet<[u8; 32]>>::new();
        for table in build.tdx_replays.iter() {
            own.entry(table.mrtd.0).or_default().insert(Sha256::digest(table.to_bytes()).into());
        }
        for (mrtd, digests) in own {
            courses.entry(mrtd).or_default().push(Tables { home: (&*build.id, build.svn), digests });
        }
    }
    courses
}

/// The firmware of which a table is accepted and something that stood before it is gone or another. What is added is told as accepted, or only refuses.
fn falls_through(old: &[Measurement], (new, min_svn): (&[Measurement], u32)) -> Vec<[u8; 48]> {
    let tuples = |builds: &[Measurement]| -> BTreeSet<([u8; 48], Vec<u8>)> {
        builds.iter().flat_map(|build| build.tdx.iter().map(|tuple| (tuple.mrtd.0, tuple.to_bytes()))).collect()
    };
    let (had, has) = (tuples(old), tuples(new));
    let bared: BTreeSet<[u8; 48]> = had.difference(&has).map(|(mrtd, _)| *mrtd).collect();
    let before = courses(old);
    let falls = |mrtd: &[u8; 48], after: &[Tables<'_>]| {
        let mut after = after.iter();
        let mut stays = |was: &Tables<'_>| after.any(|is| is.home == was.home && was.digests.is_subset(&is.digests));
        bared.contains(mrtd) || before.get(mrtd).is_some_and(|course| !course.iter().all(&mut stays))
    };
    let accepts = |after: &[Tables<'_>]| after.iter().any(|tables| tables.home.1 >= min_svn);
    courses(new).into_iter().filter(|(mrtd, after)| accepts(after) && falls(mrtd, after)).map(|(mrtd, _)| mrtd).collect()
}
