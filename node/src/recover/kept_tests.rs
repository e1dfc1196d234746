//! What lies on disks and papers beside the evidence of who made it: recovery files, signed heads, backups.
//!
//! Decides: each word counts only with the evidence of the member that said it, made for that very purpose, and that member's signature. Every change here is
//! signed anew by the same key, so that a signature alone refuses none of them. Trusts: `ringwall-sim` to mint evidence, `attest` to judge it.
//! Out of scope: what is computed from what counts. Protocol section 6.2, DR0, DR3 and DR5.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::dealing::newest;
use super::{backups, disks, heads};
use crate::attesting::{self, Claim};
use crate::context::Site;
use crate::custody::blob_file;
use crate::join::endorse::place;
use ringwall_channel::NodeSecrets;
use ringwall_consensus::recovery::{SeenBy, Unfit};
use ringwall_keys::Keyring;
use ringwall_wire::backup::{BACKUP_MAGIC, BackupHead, BackupProof};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::{CustodyManifest, RecoveryBlob, RecoveryFile, SignedManifest};
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{ClusterId, CustodyEpoch, Digest, Epoch, Incarnation, KeyEpoch, Nonce};
use ringwall_wire::receipt::{ReceiptHead, Signer, TreeHead};
use ringwall_wire::recovery::CustodyAnchor;
use ringwall_wire::sample::{Sample as _, Source};
use ringwall_wire::session::{AttestMode, SavedExchange};
use std::path::PathBuf;
use std::sync::Arc;

/// A member, and the keys it attested.
struct Member {
    site: Arc<Site>,
    secrets: NodeSecrets,
    me: Incarnation,
}

impl Member {
    fn new() -> Self {
        let site = place::site_of("genoa-1", 1, &[]);
        let secrets = NodeSecrets::generate(&mut *(site.entropy)());
        let me = Incarnation::new(site.epoch(), 4);
        Member { site, secrets, me }
    }

    /// Its evidence for one role, bound to these words, as it is kept.
    async fn evidence(&self, role: Role, (handshake, nonce): (Digest, Nonce)) -> Vec<u8> {
        let keys = self.secrets.public().clone();
        let noise = keys.noise;
        let claim = Claim { role, incarnation: self.me, keys, handshake, nonce };
        let answer = attesting::answer(&self.site, claim).await.unwrap();
        let exchange = SavedExchange {
            cluster_id: self.site.cluster_id,
            min_policy_version: self.site.policy().version,
            handshake,
            nonce,
            noise,
            mode: AttestMode::Single,
            at_s: self.site.now_s(),
            answer: Blob::new(answer.encode()).unwrap(),
        };
        exchange.encode()
    }

    fn manifest(&self, custody_epoch: u32) -> CustodyManifest {
        let mut manifest = CustodyManifest::sample(&mut Source::new(u64::from(custody_epoch)));
        (manifest.cluster_id, manifest.epoch) = (self.site.cluster_id, self.site.epoch());
        (manifest.dealer, manifest.dealer_sig) = (self.me, self.secrets.public().sig);
        manifest.custody_epoch = CustodyEpoch(custody_epoch);
        manifest
    }

    /// What a member writes about a dealing of its own, with evidence that is bound to it.
    async fn file(&self, manifest: CustodyManifest) -> RecoveryFile {
        let exchange = Blob::new(self.evidence(Role::Dealing, manifest.opening()).await).unwrap();
        let recovery = RecoveryBlob { manifest: Digest(manifest.digest()), ..RecoveryBlob::sample(&mut Source::new(1)) };
        let signature = self.secrets.sign(&manifest.words());
        RecoveryFile { manifest: SignedManifest { manifest, signature }, exchange, recovery }
    }

    fn head(&self) -> ReceiptHead {
        let tree = TreeHead { size: 10, root: Digest([1; 32]), landmark: Digest([2; 32]) };
        ReceiptHead {
            cluster_id: self.site.cluster_id,
            epoch: self.site.epoch(),
            index: 9,
            term: 1,
            tree,
            group: Digest([3; 32]),
            incarnation: self.me,
            signature: self.secrets.sign(b""),
        }
    }

    async fn signer(&self, role: Role) -> Signer {
        let exchange = self.evidence(role, (Digest([4; 32]), Nonce([5; 32]))).await;
        Signer { incarnation: self.me, exchange: Blob::new(exchange).unwrap() }
    }
}

/// The dealing that these files tell of, each in a folder of its own.
fn told(member: &Member, files: &[&RecoveryFile]) -> Option<(CustodyEpoch, Vec<KeyEpoch>)> {
    let root = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..files.len()).map(|number| root.path().join(number.to_string())).collect();
    for (folder, file) in folders.iter().zip(files) {
        blob_file::put(folder, file).unwrap();
    }
    let dealing = newest(&member.site, &folders)?;
    Some((dealing.manifest.custody_epoch, dealing.blobs.iter().map(|blob| blob.newest_key).collect()))
}

#[tokio::test]
async fn a_recovery_file_counts_by_its_dealers_evidence_for_that_manifest() {
    let member = Member::new();
    let good = member.file(member.manifest(3)).await;
    let key = good.recovery.newest_key;
    assert_eq!(told(&member, &[&good]), Some((CustodyEpoch(3), vec![key])));
    let with = async |change: &dyn Fn(&mut CustodyManifest)| {
        let mut manifest = member.manifest(3);
        change(&mut manifest);
        member.file(manifest).await
    };
    let stranger = NodeSecrets::generate(&mut *(member.site.entropy)());
    let mut strangers = with(&|manifest| manifest.dealer_sig = stranger.public().sig).await;
    strangers.manifest.signature = stranger.sign(&strangers.manifest.manifest.words());
    let mut forged = good.clone();
    forged.manifest.signature.0[1] ^= 1;
    let wrong = [
        ("another cluster's", with(&|manifest| manifest.cluster_id = ClusterId([9; 32])).await),
        ("another member's", with(&|manifest| manifest.dealer = Incarnation::new(member.site.epoch(), 5)).await),
        ("another key's", strangers),
        ("signed otherwise", forged),
        ("with evidence for another manifest", RecoveryFile { exchange: member.file(member.manifest(4)).await.exchange, ..good.clone() }),
        ("with keys of another dealing", RecoveryFile { recovery: member.file(member.manifest(4)).await.recovery, ..good.clone() }),
    ];
    for (what, file) in &wrong {
        assert_eq!(told(&member, &[file]), None, "{what}");
        assert_eq!(told(&member, &[file, &good]), Some((CustodyEpoch(3), vec![key])), "{what}: the others count");
    }
}

#[tokio::test]
async fn the_newest_dealing_is_asked_for_with_its_newest_keys_first() {
    let member = Member::new();
    let (old, mut new) = (member.file(member.manifest(3)).await, member.file(member.manifest(4)).await);
    new.recovery.newest_key = KeyEpoch(7);
    let mut newer = new.clone();
    newer.recovery.newest_key = KeyEpoch(8);
    let keys = vec![KeyEpoch(8), KeyEpoch(7)];
    for files in [[&old, &new, &newer], [&new, &old, &newer], [&newer, &new, &old], [&newer, &old, &new]] {
        assert_eq!(told(&member, &files), Some((CustodyEpoch(4), keys.clone())));
    }
    assert_eq!(told(&member, &[&new, &new]), Some((CustodyEpoch(4), vec![KeyEpoch(7)])), "the same keys once");
}

#[tokio::test]
async fn a_signed_head_counts_by_the_evidence_of_who_signed_it() {
    let member = Member::new();
    let signer = member.signer(Role::ClientServer).await;
    let judged = |signer: &Signer, change: &dyn Fn(&mut ReceiptHead)| {
        let mut head = member.head();
        change(&mut head);
        head.signature = member.secrets.sign(&head.words());
        heads::judge(&member.site, SeenBy::Paper(1), &CustodyAnchor { head, signer: signer.clone() })
    };
    let known = judged(&signer, &|_| {}).unwrap();
    assert_eq!((known.by, known.epoch, known.tree), (SeenBy::Paper(1), member.site.epoch(), member.head().tree));
    let refused = |change: &dyn Fn(&mut ReceiptHead)| judged(&signer, change).unwrap_err();
    assert!(refused(&|head| head.cluster_id = ClusterId([9; 32])).contains("another cluster"));
    assert!(refused(&|head| head.incarnation = Incarnation::new(head.epoch, 5)).contains("another member"));
    assert!(refused(&|head| head.epoch = Epoch(head.epoch.0 + 1)).contains("another member"));
    assert!(refused(&|head| head.index = 10).contains("did not sign"), "two words about where the log ends");
    assert!(judged(&member.signer(Role::Dealing).await, &|_| {}).is_err(), "evidence that was made for something else");
    let head = member.head();
    let unsigned = heads::judge(&member.site, SeenBy::Paper(1), &CustodyAnchor { head, signer });
    assert!(unsigned.unwrap_err().contains("did not sign"));
}

#[tokio::test]
async fn a_backup_is_not_opened_unless_a_member_signed_that_snapshot() {
    let member = Member::new();
    let signer = member.signer(Role::ClientServer).await;
    let root = tempfile::tempdir().unwrap();
    let ring = Keyring::found(member.site.cluster_id, &mut *(member.site.entropy)());
    let judge = disks::judge_of(ring.clone());
    let read = async |magic: [u8; 4], change: &dyn Fn(&mut BackupHead), sign: bool| {
        let (bytes, state) = (64, Digest([6; 32]));
        let group = BackupHead::group(&member.site.cluster_id, bytes, &state);
        let mut made = BackupHead { head: ReceiptHead { group, ..member.head() }, bytes, state };
        change(&mut made);
        if sign {
            made.head.signature = member.secrets.sign(&made.head.words());
        }
        let proof = BackupProof { made, signer: signer.clone() }.encode();
        let length = u32::try_from(proof.len()).unwrap().to_be_bytes();
        let path = root.path().join("backup");
        std::fs::write(&path, [&magic[..], &length, &proof, &[0; 64]].concat()).unwrap();
        let scratch = root.path().join("scratch");
        match backups::read(&member.site, &member.secrets, (Nonce([7; 32]), &ring, &judge), path, &scratch).await {
            Err(refused) => match refused.why {
                Unfit::Backup(why) => why,
                other => panic!("{other}"),
            },
            Ok(_) => panic!("64 zeros are no snapshot"),
        }
    };
    assert!(read(*b"RWB9", &|_| {}, true).await.contains("does not begin as a backup"));
    assert!(read(BACKUP_MAGIC, &|_| {}, false).await.contains("did not sign"));
    let changes: [&dyn Fn(&mut BackupHead); 4] =
        [&|made| made.bytes += 1, &|made| made.state = Digest([8; 32]), &|made| made.head.group = Digest([8; 32]), &|made| {
            made.head.index = 10
        }];
    for change in changes {
        assert!(read(BACKUP_MAGIC, change, true).await.contains("not of this snapshot"));
    }
    let last = read(BACKUP_MAGIC, &|_| {}, true).await;
    assert!(last.contains("not the one that was signed"), "what follows is compared with what was signed: {last}");
}
