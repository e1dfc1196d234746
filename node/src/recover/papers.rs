//! The folder `recovery` in the data folder: how a recovering node and people hand papers to each other.
//!
//! Decides: `offer` and `progress` are for custodians and are replaced whole; what is put into `inbox` is read once, bounded, and taken away, good answers to a session
//! that others keep to `answers`, for a process that goes on with it; folders
//! (or links to them) under `disks` are data folders of other nodes; signed heads under `anchors` are held against the chosen log, backups under `backups` are claims and anchors. `status.json` is for
//! people, `evidence.json` says why a recovery ended. Custodians judge offers by evidence and shares are sealed to the session, so nobody has to be
//! trusted to carry any of it.
//! Trusts: nothing in the folder. Out of scope: what the papers mean. Protocol section 6.2; docs/formats.md, "Recovery folder".

use ringwall_wire::codec::Message;
use ringwall_wire::custodian::{CustodianAnswer, CustodianOp, CustodianReply, CustodianRequest, RecoveryProgress};
use ringwall_wire::limits::{CUSTODIAN_MESSAGE_BYTES, RECOVERY_FILE_BYTES};
use ringwall_wire::recovery::{LossSignature, ShareSubmission, SignedOffer};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Its name in the data folder.
pub const FOLDER: &str = "recovery";
/// Where disks are that other machines gave.
pub(crate) const ASSISTED: &str = "assisted";
/// Where answers are that counted in a session that keepers have.
const ANSWERS: &str = "answers";
/// Papers read from one folder at a look.
const PAPERS: usize = 64;
/// Bytes of one paper: the larger of a submission and a recovery file.
const PAPER_BYTES: usize = if CUSTODIAN_MESSAGE_BYTES > RECOVERY_FILE_BYTES { CUSTODIAN_MESSAGE_BYTES } else { RECOVERY_FILE_BYTES };

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct Papers {
    root: PathBuf,
}

/// A paper in the inbox.
#[derive(Debug)]
pub(crate) struct Paper {
    pub(crate) name: String,
    pub(crate) brought: Brought,
}

/// What it is.
#[derive(Debug)]
pub(crate) enum Brought {
    /// A custodian's share.
    Share(Box<ShareSubmission>),
    /// A custodian's acceptance of a loss.
    Loss(LossSignature),
    /// Neither.
    Nonsense,
}

impl Papers {
    /// Makes the folder; what an earlier session offered is laid aside, where nobody is shown it: a start that ends before it offers anything forgets nothing.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let papers = Papers { root: data.join(FOLDER) };
        for folder in ["inbox", ANSWERS, "disks", ASSISTED, "anchors", "backups"] {
            std::fs::create_dir_all(papers.root.join(folder))?;
        }
        let at = |name: &str| papers.root.join(name);
        let cleared = [
            std::fs::rename(at("offer"), at("offer.before")),
            std::fs::rename(at("progress"), at("progress.before")),
            std::fs::remove_file(at("evidence.json")),
        ];
        match cleared.into_iter().filter_map(Result::err).find(|fault| fault.kind() != io::ErrorKind::NotFound) {
            Some(fault) => Err(fault),
            None => Ok(papers),
        }
    }

    /// Where it is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Shows the offer to custodians.
    pub(crate) fn offer(&self, offer: &SignedOffer) -> io::Result<()> {
        self.replace("offer", &offer.encode())
    }

    /// Shows everybody how far it is, in the words a session would use.
    pub(crate) fn progress(&self, progress: RecoveryProgress) -> io::Result<()> {
        let reply = CustodianReply { number: 0, body: CustodianAnswer::Progress(Box::new(progress)) };
        self.replace("progress", &reply.encode())
    }

    /// Replaces a file whole.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (path, beside) = (self.root.join(name), self.root.join(format!("{name}.new")));
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)?;
        std::fs::File::open(&self.root)?.sync_all()
    }

    /// Adds to a file that is never rewritten.
    pub(crate) fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = std::fs::File::options().create(true).append(true).open(self.root.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Reads what is in the inbox, in the order of names; each is taken away by [`Papers::settle`]. A file that is still being written is named `.part` and left alone.
    pub(crate) fn take(&self) -> io::Result<Vec<Paper>> {
        let mut papers = Vec::new();
        for path in self.listed("inbox")? {
            if path.extension().is_some_and(|extension| extension == "part") {
                continue;
            }
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let brought = read_bounded(&path)?.map_or(Brought::Nonsense, |bytes| read(&bytes));
            papers.push(Paper { name, brought });
        }
        Ok(papers)
    }

    /// Takes a paper away that was looked at; an answer that counts is kept first, so that it is never in neither place.
    pub(crate) fn settle(&self, name: &str, counts: Option<&ShareSubmission>) -> io::Result<()> {
        if let Some(submission) = counts {
            self.replace(&format!("{ANSWERS}/{}", submission.custodian), &submission.encode())?;
        }
        std::fs::remove_file(self.root.join("inbox").join(name))
    }

    /// What happens to the answers an earlier process was given: in a session that goes on they are looked at again, as if they had just been brought; they are of no use to another one.
    pub(crate) fn answers(&self, goes_on: bool) -> io::Result<()> {
        for path in self.listed(ANSWERS)? {
            match path.file_name() {
                Some(name) if goes_on => {
                    std::fs::rename(&path, self.root.join("inbox").join(name))?;
                }
                _ => std::fs::remove_file(&path)?,
            }
        }
        Ok(())
    }

    /// Data folders that were brought, sorted.
    pub(crate) fn disks(&self) -> io::Result<Vec<PathBuf>> {
        Ok(self.listed("disks")?.into_iter().filter(|path| path.is_dir()).collect())
    }

    /// Data folders that other machines gave whole, sorted.
    pub(crate) fn assisted(&self) -> io::Result<Vec<PathBuf>> {
        Ok(self.listed(ASSISTED)?.into_iter().filter(|path| path.is_dir() && path.extension().is_none()).collect())
    }

    /// Backups that were brought, sorted.
    pub(crate) fn backups(&self) -> io::Result<Vec<PathBuf>> {
        Ok(self.listed("backups")?.into_iter().filter(|path| path.is_file()).collect())
    }

    /// The files under `anchors`, sorted, with their bytes; too large ones are left out.
    pub(crate) fn anchors(&self) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut found = Vec::new();
        for path in self.listed("anchors")? {
            if let Some(bytes) = read_bounded(&path)? {
                found.push((path, bytes));
            }
        }
        Ok(found)
    }

    fn listed(&self, folder: &str) -> io::Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(self.root.join(folder))?;
        let mut paths = entries.take(PAPERS).map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }
}

/// A file, if it is no larger than any paper; none as well for what is no file.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if !path.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(PAPER_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() <= PAPER_BYTES))
}

fn read(bytes: &[u8]) -> Brought {
    if let Ok(submission) = ShareSubmission::decode(bytes) {
        return Brought::Share(Box::new(submission));
    }
    match CustodianRequest::decode(bytes).map(|request| request.op) {
        Ok(CustodianOp::Submit(submission)) => Brought::Share(submission),
        Ok(CustodianOp::AcceptLoss(word)) => Brought::Loss(word),
        _ => Brought::Nonsense,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_wire::sample::{Sample as _, Source};

    #[test]
    fn what_is_brought_is_read_once_and_only_as_what_it_is() {
        let data = tempfile::tempdir().unwrap();
        let papers = Papers::open(data.path()).unwrap();
        let inbox = papers.root().join("inbox");
        let submission = ShareSubmission::sample(&mut Source::new(1));
        let word = LossSignature::sample(&mut Source::new(2));
        let loss = CustodianRequest { number: 1, op: CustodianOp::AcceptLoss(word) };
        std::fs::write(inbox.join("1"), submission.encode()).unwrap();
        std::fs::write(inbox.join("2"), loss.encode()).unwrap();
        std::fs::write(inbox.join("3"), b"garbage").unwrap();
        std::fs::write(inbox.join("4"), vec![0; PAPER_BYTES + 1]).unwrap();
        std::fs::write(inbox.join("5.part"), submission.encode()).unwrap();
        let taken = papers.take().unwrap();
        let what: Vec<&Brought> = taken.iter().map(|paper| &paper.brought).collect();
        let [Brought::Share(share), Brought::Loss(accepted), Brought::Nonsense, Brought::Nonsense] = what.as_slice() else {
            unreachable!("{taken:?}")
        };
        assert_eq!((share.as_ref(), accepted), (&submission, &word));
        taken.iter().for_each(|paper| papers.settle(&paper.name, None).unwrap());
        assert!(papers.take().unwrap().is_empty(), "read once; what is being written is left alone");
    }

    #[test]
    fn an_answer_that_counts_is_there_for_whoever_goes_on_and_for_nobody_else() {
        let data = tempfile::tempdir().unwrap();
        let papers = Papers::open(data.path()).unwrap();
        let submission = ShareSubmission::sample(&mut Source::new(1));
        std::fs::write(papers.root().join("inbox").join("ana"), submission.encode()).unwrap();
        // A process that dies before it is settled leaves it where it was.
        assert_eq!(papers.take().unwrap().len(), 1);
        papers.settle("ana", Some(&submission)).unwrap();
        assert!(papers.take().unwrap().is_empty());
        let papers = Papers::open(data.path()).unwrap();
        papers.answers(true).unwrap();
        let again = papers.take().unwrap();
        assert!(matches!(again.as_slice(), [Paper { brought: Brought::Share(share), .. }] if **share == submission), "{again:?}");
        papers.settle(&again[0].name, Some(&submission)).unwrap();
        papers.answers(false).unwrap();
        papers.answers(true).unwrap();
        assert!(papers.take().unwrap().is_empty(), "another session has no use for it");
    }

    #[test]
    fn a_new_session_shows_nothing_of_the_one_before() {
        let data = tempfile::tempdir().unwrap();
        let papers = Papers::open(data.path()).unwrap();
        papers.offer(&SignedOffer::sample(&mut Source::new(1))).unwrap();
        papers.replace("evidence.json", b"{}").unwrap();
        papers.append("epochs.log", b"one\n").unwrap();
        Papers::open(data.path()).unwrap();
        assert!(!papers.root().join("offer").exists() && !papers.root().join("evidence.json").exists());
        assert!(papers.root().join("epochs.log").exists(), "what was published stays");
    }
}
