//! A machine that assists a recovery: it gives what its data folder holds to an attested node of its cluster that recovers, and may keep its session (`keeper`).
//!
//! Decides: who is answered (a node whose evidence holds for this session, this cluster, and the part of recovering), one at a time; what is given: the recovery file,
//! logs and snapshots of the newest lives, by number in a list made once a session, in bounded parts. Everything of it is sealed, and of use to a host that has the disk anyway.
//! Trusts: evidence. It has no keys and makes no claim: whoever recovers computes that from the bytes. Out of scope: taking them in (`fetch`). Protocol section 6.2, DR3.

use crate::context::Site;
use crate::custody::blob_file::{self, RECOVERY_FILE};
use crate::entropy;
use crate::folders;
use crate::peers::handshake::{self, Greeted, Own, PeerError, Turn, refusal};
use crate::peers::records::Records;
use crate::recover::disks;
use crate::recover::keeper::Keeper;
use quinn::Connection;
use ringwall_channel::NodeSecrets;
use ringwall_quic::{CloseCode, FrameError, close};
use ringwall_wire::assist::{AssistAnswer, AssistAsk, AssistFile, AssistFolder, AssistOp, AssistPart, AssistReply};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::ids::{CustodyEpoch, Digest, Incarnation, Slot};
use ringwall_wire::limits::{ASSIST_ASKS, ASSIST_FILES, ASSIST_PART_BYTES, HANDSHAKE_MESSAGE_BYTES};
use ringwall_wire::session::RefusalCode;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::{info, warn};

/// Longest pause between two questions: the other side writes and hashes in between.
const IDLE: Duration = Duration::from_secs(120);
/// Longest time for one answer to leave.
const SEND: Duration = Duration::from_secs(60);
/// Time a refused node has to read why.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Questions to the keeper at once: each is an attested session.
const KEEPS: usize = 4;

/// This process assists.
pub(crate) struct Assist {
    pub(crate) secrets: NodeSecrets,
    turn: Semaphore,
    /// The session it keeps, where a recovering node asked for that (`keeper.rs`).
    pub(crate) keeper: Mutex<Keeper>,
    pub(crate) keeps: Semaphore,
}

impl core::fmt::Debug for Assist {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("Assist")
    }
}

impl Assist {
    pub(crate) fn new(site: &Site) -> Arc<Self> {
        // Whoever dials is bound to the epoch that is said here.
        if let Some(epoch) = disks::newest_epoch(std::slice::from_ref(&site.config.data)) {
            site.epochs.set(epoch);
        }
        let secrets = NodeSecrets::generate(&mut *(site.entropy)());
        let keeper = Mutex::new(Keeper::new(site.cluster_id, secrets.public().sig));
        Arc::new(Assist { secrets, turn: Semaphore::new(1), keeper, keeps: Semaphore::new(KEEPS) })
    }
}

/// Serves one recovering node.
pub(crate) async fn serve(site: &Arc<Site>, assist: &Assist, connection: Connection, greeted: Greeted) {
    let Ok(_turn) = assist.turn.try_acquire() else {
        return greeted.refuse(&connection, &refusal(RefusalCode::Busy, "another node is given this disk right now; try again")).await;
    };
    let own = Own { site, secrets: &assist.secrets, incarnation: Incarnation(0), prover: None };
    let nonce = entropy::nonce(&site.entropy);
    let outcome = async {
        let mut opened = handshake::answer(own, &connection, greeted, nonce, |_| Turn::Free, |_| true).await?;
        info!(address = %connection.remote_address(), "assist: an attested node that recovers asks for this disk");
        let folder = Folder::read(&site.config.data, site.slot()).map_err(|fault| PeerError::Stream(fault.to_string()))?;
        answers(Arc::new(folder), &mut opened.records).await?;
        opened.records.finish(LAST_WORD).await;
        Ok::<(), PeerError>(())
    };
    match outcome.await {
        Ok(()) => info!("assist: the session ended; this machine goes on assisting until it is stopped"),
        Err(fault) => warn!(address = %connection.remote_address(), %fault, "assist: a session failed"),
    }
    close(&connection, CloseCode::Done);
}

async fn answers(folder: Arc<Folder>, records: &mut Records) -> Result<(), PeerError> {
    for _ in 0..ASSIST_ASKS {
        let ask: AssistAsk = match records.receive_at_most(HANDSHAKE_MESSAGE_BYTES, IDLE).await {
            Err(PeerError::Frame(FrameError::Ended { inside: false })) => return Ok(()),
            asked => asked?,
        };
        let folder = Arc::clone(&folder);
        let answering = tokio::task::spawn_blocking(move || folder.answer(ask.op)).await;
        let answer = answering.unwrap_or(AssistAnswer::Unreadable);
        records.send(&AssistReply { answer }, SEND).await?;
    }
    Ok(())
}

/// A data folder as it was when the session began.
pub(crate) struct Folder {
    listed: AssistFolder,
    paths: Vec<PathBuf>,
}

impl Folder {
    /// Lists what a recovery reads of it.
    pub(crate) fn read(data: &Path, slot: Slot) -> io::Result<Self> {
        let (mut files, mut paths) = (Vec::new(), Vec::new());
        let mut add = |life: Option<Incarnation>, path: PathBuf| -> io::Result<()> {
            let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(|name| Text::new(name).ok()) else { return Ok(()) };
            let kept = std::fs::symlink_metadata(&path)?;
            let file = AssistFile { life, name, bytes: kept.len() };
            if kept.is_file() && file.is_named_well() {
                files.push(file);
                paths.push(path);
            }
            Ok(())
        };
        let recovery = data.join(RECOVERY_FILE);
        if recovery.is_file() {
            add(None, recovery)?;
        }
        for (folder, life) in disks::lives(&[data.to_owned()]) {
            let mut found =
                std::fs::read_dir(&folder)?.take(ASSIST_FILES).map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
            found.sort();
            found.into_iter().try_for_each(|path| add(Some(life), path))?;
        }
        let custody_epoch = blob_file::read(data).ok().flatten().map_or(CustodyEpoch(0), |file| file.manifest.manifest.custody_epoch);
        let notes = disks::notes(&[data.to_owned()], slot, custody_epoch);
        let many = |_| io::Error::other("more files than one machine gives; copy the folder by hand");
        let listed = AssistFolder { files: List::new(files).map_err(many)?, notes: List::new(notes).unwrap_or_default() };
        Ok(Folder { listed, paths })
    }

    /// Answers one question.
    pub(crate) fn answer(&self, op: AssistOp) -> AssistAnswer {
        let answered = match op {
            AssistOp::List => return AssistAnswer::Folder(self.listed.clone()),
            AssistOp::Part(part) => self.part(part).map(AssistAnswer::Bytes),
            AssistOp::Digest(file) => self.path(file).and_then(digest_of).map(AssistAnswer::Digest),
        };
        answered.unwrap_or_else(|fault| {
            warn!(%fault, "assist: a file cannot be given");
            AssistAnswer::Unreadable
        })
    }

    fn path(&self, file: u32) -> io::Result<&Path> {
        let at = usize::try_from(file).unwrap_or(usize::MAX);
        self.paths.get(at).map(PathBuf::as_path).ok_or_else(|| io::Error::other("no file of this number was listed"))
    }

    fn part(&self, AssistPart { file, offset }: AssistPart) -> io::Result<Blob<ASSIST_PART_BYTES>> {
        let mut file = File::open(self.path(file)?)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(ASSIST_PART_BYTES as u64).read_to_end(&mut bytes)?;
        Blob::new(bytes).map_err(|_| io::Error::other("no more was read than a part holds"))
    }
}

/// SHA-256 of a file.
pub(crate) fn digest_of(path: &Path) -> io::Result<Digest> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let mut room = vec![0; 64 * 1024];
    loop {
        match file.read(&mut room)? {
            0 => return Ok(Digest(hash.finalize().into())),
            read => hash.update(room.get(..read).unwrap_or_default()),
        }
    }
}

/// Where a file that was given belongs, below the folder it is put into.
pub(crate) fn place_of(root: &Path, file: &AssistFile) -> PathBuf {
    match file.life {
        None => root.join(RECOVERY_FILE),
        Some(life) => folders::of(root, life).join(&*file.name),
    }
}
