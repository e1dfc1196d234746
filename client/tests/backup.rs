//! Files of backups, good and hostile, judged without a network.
//!
//! Decides: each way a file can be wrong has its code, whatever else of it is right: a forger is given every signature and checksum but the one in question.
//! Trusts: simulated evidence and its roots. Out of scope: fetching and importing (`tests/tests/backup.rs`). Protocol section 9.1.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::saved;

use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_client::backup::verify;
use ringwall_sim::Lie;
use ringwall_wire::backup::{BACKUP_MAGIC, BackupHead, BackupProof, SNAPSHOT_MAGIC, item};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::{Field as _, Message as _};
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, Revision, SigPublic, Signature};
use ringwall_wire::limits::BACKUP_STATE_BYTES;
use ringwall_wire::peer::{LogPosition, Membership};
use ringwall_wire::receipt::{ReceiptHead, Signer, TreeHead};
use ringwall_wire::session::SavedExchange;
use saved::Saved;
use sha2::{Digest as _, Sha256};

const INDEX: u64 = 9;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

/// An empty state at this index.
fn snapshot(index: u64) -> Vec<u8> {
    let mut out = SNAPSHOT_MAGIC.to_vec();
    let mut put = |kind: u8, bytes: &[u8]| {
        out.extend_from_slice(&u32::try_from(bytes.len() + 1).unwrap().to_be_bytes());
        out.push(kind);
        out.extend_from_slice(bytes);
    };
    let mut meta = Vec::new();
    Some(Epoch(1)).put(&mut meta);
    Some(LogPosition { term: 2, index }).put(&mut meta);
    Option::<LogPosition>::None.put(&mut meta);
    Membership { configs: List::default(), members: List::default() }.put(&mut meta);
    Revision(7).put(&mut meta);
    1_000_u64.put(&mut meta);
    meta.extend_from_slice(&[0; 200]);
    put(item::META, &meta);
    put(item::END, &1_u64.to_be_bytes());
    out
}

/// A backup and everything that is needed to forge it.
#[derive(Clone)]
struct Made {
    proof: BackupProof,
    state: Vec<u8>,
}

impl Made {
    fn by(saved: &Saved) -> Self {
        let state = snapshot(INDEX);
        let head = ReceiptHead {
            cluster_id: saved.asked.cluster_id,
            epoch: Epoch(1),
            index: INDEX,
            term: 2,
            tree: TreeHead { size: INDEX + 1, root: Digest([3; 32]), landmark: Digest([4; 32]) },
            group: Digest([0; 32]),
            incarnation: saved.answer.incarnation,
            signature: Signature([0; 64]),
        };
        let exchange = SavedExchange { answer: Blob::new(saved.answer.encode()).unwrap(), ..saved.asked.clone() }.encode();
        let signer = Signer { incarnation: head.incarnation, exchange: Blob::new(exchange).unwrap() };
        let made = BackupHead { head, bytes: 0, state: Digest([0; 32]) };
        Made { proof: BackupProof { made, signer }, state }.measured().signed(&key())
    }

    fn honest() -> Self {
        Self::by(&saved(&[]))
    }

    /// Size, digest and group of the state that is in it.
    fn measured(mut self) -> Self {
        let made = &mut self.proof.made;
        made.bytes = self.state.len() as u64;
        made.state = Digest(Sha256::digest(&self.state).into());
        self.grouped()
    }

    fn grouped(mut self) -> Self {
        let made = &mut self.proof.made;
        made.head.group = BackupHead::group(&made.head.cluster_id, made.bytes, &made.state);
        self
    }

    fn signed(mut self, key: &SigningKey) -> Self {
        let head = &mut self.proof.made.head;
        head.signature = Signature(key.sign(&head.words()).to_bytes());
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Made)) -> Self {
        change(&mut self);
        self
    }

    /// The file, with a checksum that fits.
    fn file(&self) -> Vec<u8> {
        let proof = self.proof.encode();
        let len = u32::try_from(proof.len()).unwrap();
        let mut bytes = [BACKUP_MAGIC.as_slice(), &len.to_be_bytes(), &proof, &self.state].concat();
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }
}

fn saved(lies: &[Lie]) -> Saved {
    Saved::signing(SigPublic(key().verifying_key().to_bytes()), "genoa-1", lies, |_| ())
}

/// How a file is judged: its code, or none for a good one.
fn code(bytes: &[u8], pinned: Option<ClusterId>) -> Option<&'static str> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    verify(file.path(), pinned, &ringwall_sim::anchors()).err().map(|fault| fault.code())
}

#[test]
fn an_honest_backup_is_good_and_says_what_it_is() {
    let made = Made::honest();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), made.file()).unwrap();
    let cluster = made.proof.made.head.cluster_id;
    let proven = verify(file.path(), Some(cluster), &ringwall_sim::anchors()).unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(
        (proven.made, proven.revision, proven.time_ms, proven.attested_s),
        (made.proof.made.clone(), Revision(7), 1_000, saved::NOW_S)
    );
    assert_eq!(code(&made.file(), None), None);
    assert_eq!(code(&made.file(), Some(ClusterId([8; 32]))), Some("RW-C-BACKUP-OTHER-CLUSTER"));
}

#[test]
fn whatever_is_wrong_is_refused_although_all_else_is_right() {
    let honest = Made::honest;
    let refused = [
        ("signed by somebody else", honest().signed(&SigningKey::from_bytes(&[6; 32]))),
        ("a head without its signature", honest().with(|made| made.proof.made.head.term = 3)),
        ("a state of another index, honestly signed", honest().with(|made| made.state = snapshot(INDEX + 1)).measured().signed(&key())),
        ("another epoch", honest().with(|made| made.proof.made.head.epoch = Epoch(2)).signed(&key())),
        ("another member", honest().with(|made| made.proof.made.head.incarnation = Incarnation::new(Epoch(1), 8)).signed(&key())),
        ("an index that is not the tree's", honest().with(|made| made.proof.made.head.tree.size = 12).signed(&key())),
        ("a receipt's head", honest().with(|made| made.proof.made.head.group = Digest([1; 32])).signed(&key())),
        ("another digest than the one that was signed", honest().with(|made| made.proof.made.state = Digest([1; 32]))),
        ("another size than the one that was signed", honest().with(|made| made.proof.made.bytes += 1)),
        ("a machine that lies", Made::by(&saved(&[Lie::SnpDebug]))),
    ];
    for (what, made) in refused {
        assert_eq!(code(&made.file(), None), Some("RW-C-BACKUP-REFUSED"), "{what}");
    }
    let other = honest().with(|made| made.state = snapshot(INDEX + 1));
    assert_eq!(code(&other.file(), None), Some("RW-C-BACKUP-ALTERED"), "another state of the same size");
    let endless = honest().with(|made| made.proof.made.bytes = BACKUP_STATE_BYTES + 1).grouped().signed(&key());
    assert_eq!(code(&endless.file(), None), Some("RW-C-BACKUP-MALFORMED"), "more than any state has");
    let longer = honest().with(|made| made.proof.made.bytes += 1).grouped().signed(&key());
    assert_eq!(code(&longer.file(), None), Some("RW-C-BACKUP-MALFORMED"), "a length that is not the file's");
    let nobody = honest().with(|made| made.proof.signer.exchange = Blob::default());
    assert_eq!(code(&nobody.file(), None), Some("RW-C-BACKUP-MALFORMED"), "nobody's evidence");
}

#[test]
fn no_byte_can_be_altered_and_no_file_cut_or_lengthened() {
    let whole = Made::honest().file();
    for at in (0..whole.len()).step_by(97).chain([whole.len() - 1, whole.len() - 33]) {
        let mut altered = whole.clone();
        altered[at] ^= 0x40;
        assert!(code(&altered, None).is_some(), "byte {at} of {}", whole.len());
    }
    for length in (0..whole.len()).step_by(211).chain([whole.len() - 1]) {
        assert!(code(&whole[..length], None).is_some(), "cut off at {length}");
    }
    assert_eq!(code(&[whole.as_slice(), &[0]].concat(), None), Some("RW-C-BACKUP-MALFORMED"), "a byte more");
    let mut huge = whole;
    huge[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(code(&huge, None), Some("RW-C-BACKUP-MALFORMED"), "a length is compared before memory is reserved");
}
