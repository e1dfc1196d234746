//! Everything a client remembers of one cluster, as one record that whoever has no files keeps: a page, a program in another language.
//!
//! Decides: the record says of which cluster and user it is and carries a checksum; one that is damaged, cut off or somebody else's is an error, never a fresh start, and
//! no record is a fresh start. Every change makes it anew ([`Kept::take_changed`]): its holder has it on stable storage before anything that follows is done.
//! What makes it too large goes in this order: proofs of who signed old receipts, in what was detected the proof of who signed the older receipt, then of who signed the
//! other one. So a detection is always kept; where nothing more can go the client stops.
//! Trusts: its holder to give back what was kept; the checksum finds damage and nothing else. Out of scope: rules (`anchor`). Protocol section 5.2; docs/formats.md.

use crate::anchor::{
    Anchor, AnchorError, AnchorStore, EvidenceFile, KeptAnchor, KeptGovernance, KnownPolicy, LogForkFile, Misdeed, merge, newer_head,
    newer_policy,
};
use crate::checksummed::{self, Unread};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClusterId, UserId};
use ringwall_wire::known::KeptMemory;
use ringwall_wire::limits::{ANCHOR_RECEIPTS, KEPT_MEMORY_BYTES};
use ringwall_wire::receipt::Signer;
use ringwall_wire::release::LogHead;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where evidence is, in words.
const PLACE: &str = "in this client's kept memory (the operation \"evidence\" gives it out)";

/// Why a kept memory is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeptFault {
    /// It is cut off or altered, or no memory at all.
    #[error(
        "the kept memory was cut off or altered: it remembers what this cluster confirmed, so without it a rollback goes unnoticed. Restore it from a copy; removing it \
         begins anew"
    )]
    Damaged,
    /// It is longer than any.
    #[error(
        "the kept memory has {bytes} bytes, at most {most} are possible: it is something else. Restore it from a copy; removing it begins anew"
    )]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// Most bytes.
        most: usize,
    },
    /// It is whole, and of another release or another kind.
    #[error("the kept memory is whole and none that this release reads: use the release that kept it; removing it begins anew")]
    Unknown,
    /// It is another cluster's.
    #[error("the kept memory is of cluster {got}, the card is of {wanted}: keep one for each cluster")]
    OtherCluster {
        /// Whose it is.
        got: ClusterId,
        /// Whose it should be.
        wanted: ClusterId,
    },
    /// It is another user's.
    #[error("the kept memory is of user {got}, this is {wanted}: keep one for each user")]
    OtherUser {
        /// Whose it is.
        got: UserId,
        /// Whose it should be.
        wanted: UserId,
    },
}

impl KeptFault {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            KeptFault::Damaged | KeptFault::TooLarge { .. } | KeptFault::Unknown => "RW-C-MEMORY-DAMAGED",
            KeptFault::OtherCluster { .. } | KeptFault::OtherUser { .. } => "RW-C-MEMORY-OTHER",
        }
    }
}

/// The record, while it is in use.
#[derive(Debug)]
pub struct Kept(Mutex<Held>);

#[derive(Debug)]
struct Held {
    memory: KeptMemory,
    changed: bool,
}

impl Kept {
    /// Reads what was kept for this user of this cluster; nothing was where there are no bytes.
    pub fn read(bytes: &[u8], cluster_id: ClusterId, user: UserId) -> Result<Self, KeptFault> {
        let memory = match bytes {
            [] => KeptMemory {
                cluster_id,
                user,
                anchor: None,
                signers: List::default(),
                detected: None,
                policy: None,
                head: None,
                log_lied: None,
            },
            bytes => checksummed::from_bytes::<KeptMemory>(bytes, KEPT_MEMORY_BYTES).map_err(|fault| match fault {
                Unread::TooLarge => KeptFault::TooLarge { bytes: bytes.len(), most: KEPT_MEMORY_BYTES },
                Unread::Damaged => KeptFault::Damaged,
                Unread::Malformed(_) => KeptFault::Unknown,
            })?,
        };
        match (memory.cluster_id, memory.user) {
            (got, _) if got != cluster_id => Err(KeptFault::OtherCluster { got, wanted: cluster_id }),
            (_, got) if got != user => Err(KeptFault::OtherUser { got, wanted: user }),
            _ => Ok(Kept(Mutex::new(Held { memory, changed: false }))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered.
    pub fn memory(&self) -> KeptMemory {
        self.lock().memory.clone()
    }

    /// The bytes to keep, if anything changed since they were taken last.
    pub fn take_changed(&self) -> Option<Vec<u8>> {
        let mut held = self.lock();
        std::mem::take(&mut held.changed).then(|| checksummed::to_bytes(&held.memory))
    }

    /// The proof of what was detected, as a file: against the cluster, or against the release log.
    pub fn evidence(&self) -> Option<(Misdeed, Vec<u8>)> {
        let held = self.lock();
        let cluster = held.memory.detected.clone().map(|evidence| (evidence.misdeed, EvidenceFile(evidence).to_bytes()));
        cluster.or_else(|| {
            let file = LogForkFile(held.memory.log_lied.clone()?);
            Some((file.misdeed(), file.to_bytes()))
        })
    }

    /// Makes the record what `change` makes of it, if that is something else and fits.
    fn change(&self, change: impl FnOnce(&mut KeptMemory)) -> Result<(), AnchorError> {
        let mut held = self.lock();
        let mut memory = held.memory.clone();
        change(&mut memory);
        if memory != held.memory {
            held.memory = fitting(memory)?;
            held.changed = true;
        }
        Ok(())
    }
}

/// A record that is not too large, without the oldest proofs of signers if need be, and without those of a detection before the detection itself is lost: it stops this
/// client with two receipts alone, though a third party cannot tell who signed them.
fn fitting(mut memory: KeptMemory) -> Result<KeptMemory, AnchorError> {
    // The checksum is behind the message.
    let most = KEPT_MEMORY_BYTES - 32;
    let mut bytes = memory.encode().len();
    let mut signers = memory.signers.into_vec();
    let of_detected = memory.detected.iter_mut().flat_map(|evidence| [&mut evidence.known_signer, &mut evidence.got_signer]);
    for signer in signers.iter_mut().chain(of_detected) {
        if bytes > most {
            bytes = bytes.saturating_sub(signer.exchange.len());
            signer.exchange = Blob::default();
        }
    }
    memory.signers = List::new(signers).unwrap_or_default();
    match bytes > most {
        false => Ok(memory),
        true => {
            let source = std::io::Error::other(format!("it would have {bytes} bytes, at most {most} are possible"));
            Err(AnchorError::Io { path: "kept memory".into(), source })
        }
    }
}

/// The signers of what `anchor` holds, each once; a proof is worth more than a name.
fn signers_of(anchor: &Anchor, before: &[Signer], added: &[Signer]) -> List<Signer, { ANCHOR_RECEIPTS + 1 }> {
    let mut signers: Vec<Signer> = Vec::new();
    for signer in
        before.iter().chain(added).filter(|signer| anchor.receipts().any(|receipt| receipt.head.incarnation == signer.incarnation))
    {
        match signers.iter_mut().find(|known| known.incarnation == signer.incarnation) {
            Some(known) if known.exchange.is_empty() => *known = signer.clone(),
            Some(_) => {}
            None => signers.push(signer.clone()),
        }
    }
    // As many signers as receipts at most.
    List::new(signers).unwrap_or_default()
}

impl AnchorStore for Kept {
    fn load(&self) -> Result<KeptAnchor, AnchorError> {
        let KeptMemory { anchor, signers, detected, .. } = self.memory();
        let detected = detected.map(|evidence| (evidence.misdeed, PLACE.to_owned()));
        Ok(KeptAnchor { anchor, signers: signers.into_vec(), detected })
    }

    fn save(&self, anchor: &Anchor, signers: &[Signer]) -> Result<(), AnchorError> {
        let before = self.memory();
        let merged = match &before.anchor {
            Some(before) => merge(before, anchor).map_err(AnchorError::Contradiction)?,
            None => anchor.clone(),
        };
        self.change(|memory| {
            memory.signers = signers_of(&merged, &before.signers, signers);
            memory.anchor = Some(merged);
        })
    }

    fn detected(&self, evidence: &EvidenceFile) -> Result<String, AnchorError> {
        self.change(|memory| {
            memory.detected.get_or_insert_with(|| evidence.0.clone());
        })?;
        Ok(PLACE.into())
    }

    fn governed(&self) -> Result<KeptGovernance, AnchorError> {
        let KeptMemory { policy, head, log_lied, .. } = self.memory();
        let detected = log_lied.map(|proof| (LogForkFile(proof).misdeed(), PLACE.to_owned()));
        Ok(KeptGovernance { policy, head, detected })
    }

    fn save_policy(&self, policy: &KnownPolicy) -> Result<KnownPolicy, AnchorError> {
        let newest = match &self.memory().policy {
            Some(before) => newer_policy(before, policy)?,
            None => policy.clone(),
        };
        self.change(|memory| memory.policy = Some(newest.clone()))?;
        Ok(newest)
    }

    fn save_head(&self, head: &LogHead) -> Result<(), AnchorError> {
        self.change(|memory| {
            let newest = memory.head.as_ref().map_or(head, |before| newer_head(before, head)).clone();
            memory.head = Some(newest);
        })
    }

    fn log_lied(&self, proof: &LogForkFile) -> Result<String, AnchorError> {
        self.change(|memory| {
            memory.log_lied.get_or_insert_with(|| proof.0.clone());
        })?;
        Ok(PLACE.into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_wire::governance::PolicyStep;
    use ringwall_wire::limits::{EXCHANGE_ROW_BYTES, NOTE_BYTES, POLICY_BYTES, POLICY_ROW_BYTES};
    use ringwall_wire::policy::SignedPolicy;
    use ringwall_wire::receipt::{Evidence, Receipt};
    use ringwall_wire::release::{ConsistencyPath, ForkProof};
    use ringwall_wire::sample::{Sample as _, Source};

    fn whose() -> (ClusterId, UserId) {
        (ClusterId([7; 32]), UserId([9; 20]))
    }

    fn read(bytes: &[u8]) -> Result<Kept, KeptFault> {
        Kept::read(bytes, whose().0, whose().1)
    }

    #[test]
    fn what_was_kept_comes_back_and_every_damage_is_told() {
        let kept = read(&[]).unwrap();
        assert_eq!(kept.take_changed(), None, "nothing was remembered");
        let head = LogHead { note: Blob::new(b"log\n10\nAAAA\n".to_vec()).unwrap(), since_s: 5 };
        kept.save_head(&head).unwrap();
        let bytes = kept.take_changed().unwrap();
        assert_eq!(kept.take_changed(), None, "it was taken");
        kept.save_head(&head).unwrap();
        assert_eq!(kept.take_changed(), None, "nothing is new");
        assert_eq!(read(&bytes).unwrap().governed().unwrap().head, Some(head));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(read(&damaged).unwrap_err(), KeptFault::Damaged, "byte {at}");
            if at > 0 {
                assert_eq!(read(&bytes[..at]).unwrap_err(), KeptFault::Damaged, "{at} bytes");
            }
        }
        assert_eq!(read(&checksummed::sealed(b"something else".to_vec())).unwrap_err(), KeptFault::Unknown);
        let huge = vec![0; KEPT_MEMORY_BYTES + 1];
        assert!(matches!(read(&huge), Err(KeptFault::TooLarge { .. })));
        let (cluster, user) = whose();
        assert!(matches!(Kept::read(&bytes, ClusterId([8; 32]), user), Err(KeptFault::OtherCluster { .. })));
        assert!(matches!(Kept::read(&bytes, cluster, UserId([1; 20])), Err(KeptFault::OtherUser { .. })));
    }

    #[test]
    fn a_detection_stays_with_its_evidence() {
        let kept = read(&[]).unwrap();
        let mut source = Source::new(5);
        let first = EvidenceFile(ringwall_wire::receipt::Evidence::sample(&mut source));
        let second = EvidenceFile(ringwall_wire::receipt::Evidence::sample(&mut source));
        assert!(kept.detected(&first).unwrap().contains("evidence"));
        kept.detected(&second).unwrap();
        let again = read(&kept.take_changed().unwrap()).unwrap();
        assert_eq!(again.load().unwrap().detected.map(|found| found.0), Some(first.0.misdeed));
        assert_eq!(again.evidence(), Some((first.0.misdeed, first.to_bytes())), "the first one is kept");
    }

    #[test]
    fn a_record_that_grows_too_large_gives_up_proofs_before_it_gives_up() {
        let mut source = Source::new(6);
        let proof = |source: &mut Source, bytes: usize| Signer { exchange: Blob::new(vec![1; bytes]).unwrap(), ..Signer::sample(source) };
        let memory = |signers: Vec<Signer>| KeptMemory { signers: List::new(signers).unwrap(), ..read(&[]).unwrap().memory() };
        let many = vec![proof(&mut source, 12 << 20), proof(&mut source, 17 << 20), proof(&mut source, 17 << 20)];
        let fits = fitting(memory(many)).unwrap();
        let left: Vec<bool> = fits.signers.iter().map(|signer| signer.exchange.is_empty()).collect();
        assert_eq!(left, [true, false, false], "the oldest one goes");
        let mut evidence = ringwall_wire::receipt::Evidence::sample(&mut source);
        evidence.known_signer = proof(&mut source, 17 << 20);
        evidence.got_signer = proof(&mut source, 17 << 20);
        let log_lied = None;
        let detected = Some(evidence);
        assert!(fitting(KeptMemory { detected, log_lied, ..memory(vec![proof(&mut source, 17 << 20)]) }).is_ok());
    }

    #[test]
    fn a_detection_is_kept_beside_everything_at_its_largest() {
        let mut source = Source::new(7);
        let mut proof = || Signer { exchange: Blob::new(vec![1; EXCHANGE_ROW_BYTES]).unwrap(), ..Signer::sample(&mut source) };
        let (old, known_signer, got_signer) = (proof(), proof(), proof());
        let evidence = Evidence { known_signer, got_signer, ..Evidence::sample(&mut source) };
        let others = List::new((0..ANCHOR_RECEIPTS).map(|_| Receipt::sample(&mut source)).collect()).unwrap();
        let anchor = Anchor { newest: Receipt::sample(&mut source), others };
        let note = || Blob::new(vec![1; NOTE_BYTES]).unwrap();
        let signed = SignedPolicy { replaces: None, policy: Blob::new(vec![1; POLICY_BYTES]).unwrap(), signatures: List::default() };
        let change = PolicyStep { signed, notice: None };
        // The longest row of changes, and one that no cluster has.
        for (changes, gone) in [(POLICY_ROW_BYTES / POLICY_BYTES, [true, false]), (220, [true, true])] {
            let steps = List::new(vec![change.clone(); changes]).unwrap();
            let policy = Some(KnownPolicy { cluster_id: whose().0, founding: ringwall_sim::world::policy(), steps });
            let before = KeptMemory {
                anchor: Some(anchor.clone()),
                signers: List::new(vec![old.clone()]).unwrap(),
                policy: policy.clone(),
                head: Some(LogHead { note: note(), since_s: 5 }),
                log_lied: Some(ForkProof { older: note(), newer: note(), path: ConsistencyPath::default() }),
                ..read(&[]).unwrap().memory()
            };
            let kept = Kept(Mutex::new(Held { memory: before, changed: false }));
            kept.detected(&EvidenceFile(evidence.clone())).unwrap();
            let bytes = kept.take_changed().unwrap();
            assert!(bytes.len() <= KEPT_MEMORY_BYTES, "{} bytes", bytes.len());
            let memory = read(&bytes).unwrap().memory();
            let found = memory.detected.unwrap();
            assert_eq!([found.known_signer.exchange.is_empty(), found.got_signer.exchange.is_empty()], gone, "{changes} changes");
            assert!((found.misdeed, &found.known, &found.got) == (evidence.misdeed, &evidence.known, &evidence.got));
            assert!(memory.policy == policy && memory.anchor.as_ref() == Some(&anchor), "nothing else went");
        }
    }
}
