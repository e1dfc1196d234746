//! Disks that arrive in pieces, from whoever gives them.
//!
//! Decides: what was begun goes on and is whole at its end; an altered, invented, oversized or escaping file is refused by name and never leaves its folder.
//! Trusts: nothing. Out of scope: sessions (`tests/tests/recover.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::folders;
use crate::recover::assist::Folder;
use ringwall_quic::FrameError;
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::ids::{Digest, Slot};

/// A giver of a real folder that is cut off after some answers, or answers something else.
struct Cut {
    folder: Folder,
    left: usize,
    instead: Option<fn(AssistOp) -> Option<AssistAnswer>>,
    asked: Vec<AssistOp>,
}

impl Cut {
    fn of(data: &Path, left: usize) -> Self {
        Cut { folder: Folder::read(data, Slot(1)).unwrap(), left, instead: None, asked: Vec::new() }
    }
}

impl Giver for Cut {
    async fn ask(&mut self, op: AssistOp) -> Result<AssistAnswer, NotFetched> {
        self.left = self.left.checked_sub(1).ok_or(PeerError::Frame(FrameError::Ended { inside: false }))?;
        self.asked.push(op);
        Ok(self.instead.and_then(|instead| instead(op)).unwrap_or_else(|| self.folder.answer(op)))
    }
}

/// Two lives, one of them with a file of several parts, and a file no recovery reads.
fn data() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let write = |life: u64, name: &str, bytes: &[u8]| {
        let folder = folders::of(data.path(), Incarnation(life));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    };
    let words = 5_u32 << 18;
    let long: Vec<u8> = (0..words).flat_map(|word| word.to_be_bytes().into_iter().skip(2)).collect();
    write(7, "log-0000000000000001", &long);
    write(7, "snapshot-0000000000000003", b"snapshot");
    write(7, "snapshot-0000000000000003.seal", b"seal");
    write(9, "log-0000000000000001", b"");
    write(9, "base-1", b"a database is not given");
    std::fs::write(data.path().join("platform.wrap"), b"of use to its own chip").unwrap();
    std::fs::write(data.path().join("recovery.blob"), b"recovery file").unwrap();
    data
}

fn tree(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push((path.strip_prefix(root).unwrap().to_owned(), std::fs::read(&path).unwrap())),
            }
        }
    }
    found.sort();
    found
}

async fn taken(giver: &mut Cut, to: &Path) -> Result<(), NotFetched> {
    take(giver, "somewhere", (&to.join("disk"), &to.join("disk.part")), 0).await
}

#[tokio::test]
async fn what_was_cut_off_goes_on_where_it_stopped() {
    let (data, to) = (data(), tempfile::tempdir().unwrap());
    let mut asked_from = Vec::new();
    let mut whole = false;
    // Each session is cut off a little later than the one before: in lists, in the middle of files, before digests.
    for answers in 0..40 {
        let mut giver = Cut::of(data.path(), answers);
        whole = taken(&mut giver, to.path()).await.is_ok();
        asked_from.extend(giver.asked.iter().filter_map(|op| match op {
            AssistOp::Part(part) => Some((part.file, part.offset)),
            _ => None,
        }));
        if whole {
            break;
        }
    }
    assert!(whole && asked_from.len() > 4, "{asked_from:?}");
    let mut once = asked_from.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), asked_from.len(), "no byte is asked for twice");
    let mut wanted = tree(data.path());
    wanted.retain(|(path, _)| !path.ends_with("base-1") && !path.ends_with("platform.wrap"));
    assert_eq!(tree(&to.path().join("disk")), wanted);
    assert!(!to.path().join("disk.part").exists());
    // Once more: compared, and nothing is sent again.
    let mut again = Cut::of(data.path(), 64);
    taken(&mut again, to.path()).await.unwrap();
    assert!(again.asked.iter().all(|op| !matches!(op, AssistOp::Part(_))));
}

#[tokio::test]
async fn another_file_than_was_listed_is_refused_and_asked_for_again() {
    let (data, to) = (data(), tempfile::tempdir().unwrap());
    let mut giver = Cut::of(data.path(), 64);
    giver.instead = Some(|op| matches!(op, AssistOp::Digest(0)).then_some(AssistAnswer::Digest(Digest([9; 32]))));
    assert!(matches!(taken(&mut giver, to.path()).await, Err(NotFetched::Differs { name }) if name == "recovery.blob"));
    assert!(!to.path().join("disk").exists(), "half a disk is none");
    giver.instead = Some(|op| match op {
        AssistOp::Part(_) => Some(AssistAnswer::Bytes(Blob::new(vec![0; 100]).unwrap())),
        _ => None,
    });
    assert!(matches!(taken(&mut giver, to.path()).await, Err(NotFetched::Nonsense(_))), "longer than it was listed");
    giver.instead = Some(|op| matches!(op, AssistOp::Part(_)).then(|| AssistAnswer::Bytes(Blob::default())));
    assert!(matches!(taken(&mut giver, to.path()).await, Err(NotFetched::Nonsense(_))), "shorter than it was listed");
    taken(&mut Cut::of(data.path(), 64), to.path()).await.unwrap();
    assert!(to.path().join("disk").join("recovery.blob").exists());
}

#[tokio::test]
async fn a_list_that_leaves_its_folder_repeats_a_file_or_fills_the_disk_is_refused() {
    fn only(life: Option<u64>, name: &str, bytes: u64) -> AssistFile {
        AssistFile { life: life.map(Incarnation), name: Text::new(name).unwrap(), bytes }
    }
    fn list(files: Vec<AssistFile>) -> Option<AssistAnswer> {
        Some(AssistAnswer::Folder(AssistFolder { files: List::new(files).unwrap(), notes: List::default() }))
    }
    let (data, to) = (data(), tempfile::tempdir().unwrap());
    let lists: [fn(AssistOp) -> Option<AssistAnswer>; 5] = [
        |_| list(vec![only(Some(7), "log-../../x", 1)]),
        |_| list(vec![only(None, "cluster.card", 1)]),
        |_| list(vec![only(Some(7), "log-1", 1), only(Some(7), "log-1", 1)]),
        |_| list(vec![only(Some(7), "log-1", u64::MAX), only(Some(7), "log-2", 1)]),
        |_| list(vec![]),
    ];
    for instead in lists {
        let mut giver = Cut::of(data.path(), 64);
        giver.instead = Some(instead);
        assert!(matches!(taken(&mut giver, to.path()).await, Err(NotFetched::Nonsense(_))));
    }
    let mut giver = Cut::of(data.path(), 64);
    giver.instead = Some(|_| list(vec![only(Some(7), "log-1", u64::MAX)]));
    assert!(matches!(taken(&mut giver, to.path()).await, Err(NotFetched::NoRoom { .. })));
    assert!(tree(to.path()).is_empty(), "nothing was written");
}

#[test]
fn an_address_makes_a_name_and_no_path() {
    let root = Path::new("/r");
    assert_eq!(folder_of(root, "10.0.0.2:7000"), root.join("10-0-0-2-7000"));
    assert_eq!(folder_of(root, "../../etc:1"), root.join("------etc-1"));
}
