//! What a process leaves on its disk, judged when it is gone.
//!
//! Decides: what it said is durable must be there, and no key of the cluster may be. Trusts: nothing of what the process believed; a disk that
//! lied is no witness of what was written, but what stands on it is still read.
//! Out of scope: disks (`disks`), and the larger search for secrets (`tests/tests/secrets.rs`). Protocol sections 5.1 and 7.

use crate::world::judge::Rule;
use crate::world::judge::watch::Watch;
use crate::world::machines::Running;
use ringwall_consensus::disk::memory::MemoryDisk;
use ringwall_keys::Keyring;
use std::io::BufRead as _;

/// Judges the image of a process that is gone.
pub(super) fn judge(watch: &Watch, running: &Running, image: &MemoryDisk) {
    let Some(member) = running.status.member() else { return };
    search(watch, &member.keyring, image);
    let folder = format!("inc-{}", member.incarnation);
    if running.disk.has_lied() {
        return;
    }
    if let Ok(found) = ringwall_consensus::log::recover::recover(image, folder.as_ref()) {
        watch.recovered(member.incarnation, &found);
    }
}

fn search(watch: &Watch, keyring: &Keyring, image: &MemoryDisk) {
    for path in image.paths() {
        let bytes = image.bytes(&path).unwrap_or_default();
        if keyring.granted().iter().any(|granted| contains(&bytes, granted.key.expose())) {
            watch.broken(Rule::KeysStayInside, format!("{} holds a key of the cluster in the clear", path.display()));
        }
    }
}

fn contains(mut bytes: &[u8], key: &[u8; 32]) -> bool {
    let [first, rest @ ..] = key;
    // Disks are mostly empty: the standard library looks for one byte fast.
    while bytes.skip_until(*first).is_ok_and(|passed| passed > 0) {
        if bytes.starts_with(rest) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn a_key_is_found_wherever_it_stands_and_only_whole() {
        let key: [u8; 32] = core::array::from_fn(|at| at as u8 + 7);
        for at in [0, 1, 31, 4_000] {
            let mut bytes = vec![7; 5_000];
            assert!(!contains(&bytes, &key));
            bytes[at..at + 32].copy_from_slice(&key);
            assert!(contains(&bytes, &key), "{at}");
            bytes[at + 31] = 0;
            assert!(!contains(&bytes, &key), "{at}");
        }
        assert!(!contains(&key[..31], &key) && !contains(&[], &key));
    }
}
