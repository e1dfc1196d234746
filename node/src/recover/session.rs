//! One session with custodians: an offer, and the shares that answer it.
//!
//! Decides: DR1, DR2 and KS4. A submission counts if its signature is its custodian's, it answers this very offer (or one of the same session that it names), opens with this session's key, and holds the
//! share that was dealt to that custodian; whatever does not count names its custodian and takes nothing from the others. After five whose signatures are
//! good and whose shares are not, the session is over. Shares are combined once, and wiped with the session.
//! Trusts: the manifest, which was judged (`dealing.rs`). Sans I/O: messages in, verdicts out; time is an argument. Out of scope: files, disks,
//! what is done with the keys (`mod.rs`). Protocol section 6.2.

use crate::recover::audit::Audit;
use ringwall_channel::NodeSecrets;
use ringwall_keys::Keyring;
use ringwall_keys::custody::{EnvelopeError, GoodShare, KemSecret, RecoveryKey, ShareError, combine, open_submission};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{RecoveryProgress, RecoveryStep};
use ringwall_wire::custody::{CustodyManifest, RecoveryBlob};
use ringwall_wire::ids::{CustodianId, Digest, Epoch, KeyEpoch, SigPublic, Signature};
use ringwall_wire::limits::SUBMISSIONS_REFUSED;
use ringwall_wire::recovery::{
    AcceptLoss, AuditWhat, CustodyAnchor, LossAsked, LossSignature, LossTerms, RecoveryFault, RecoveryOffer, RefusedShare, ShareSubmission,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a custodian said beside its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// Newest epoch it has seen.
    pub(crate) last_epoch: Epoch,
    /// How far it has seen the log.
    pub(crate) anchor: Option<CustodyAnchor>,
}

/// Why shares that were good gave no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOpened(pub(crate) RecoveryFault);

/// The session.
pub struct Session {
    offer: RecoveryOffer,
    digest: Digest,
    manifest: CustodyManifest,
    kem: KemSecret,
    shares: Vec<GoodShare>,
    /// From the combination of the shares until [`Session::forget`].
    key: Option<RecoveryKey>,
    words: BTreeMap<CustodianId, Word>,
    /// Digests of refused submissions: the same one is refused once, whoever brings it again.
    refused: BTreeSet<Digest>,
    loss: Option<LossTerms>,
    accepted: BTreeMap<CustodianId, Signature>,
    step: RecoveryStep,
    pub(crate) audit: Audit,
}

impl Session {
    /// A session for `offer`, whose key is `kem`.
    pub fn new(offer: RecoveryOffer, manifest: CustodyManifest, kem: KemSecret, secrets: Arc<NodeSecrets>, now_s: u64) -> Self {
        let mut audit = Audit::new(offer.cluster_id, offer.session, secrets);
        let digest = Digest(offer.digest());
        audit.note(now_s, AuditWhat::Offered(digest));
        Session {
            offer,
            digest,
            manifest,
            kem,
            shares: Vec::new(),
            key: None,
            words: BTreeMap::new(),
            refused: BTreeSet::new(),
            loss: None,
            accepted: BTreeMap::new(),
            step: RecoveryStep::Shares,
            audit,
        }
    }

    /// Takes a submission in; the custodian whose share it was.
    pub fn submit(&mut self, submission: &ShareSubmission, now_s: u64) -> Result<CustodianId, RecoveryFault> {
        if self.is_over() {
            return Err(RecoveryFault::TooManyRefused);
        }
        let custodian = submission.custodian;
        let member = self.manifest.member(&custodian).ok_or(RecoveryFault::NotCustodian)?;
        // Nobody is blamed for words that are not its own, or that were for another session.
        if !is_signed(&member.custodian.sig, &submission.words(), &submission.signature) {
            return Err(RecoveryFault::BadSignature);
        }
        // What answered an offer of this very session by a process before this one was sealed to the same key, with the same keepers named.
        if submission.offer != self.digest && !self.offer.earlier.contains(&submission.offer) {
            return Err(RecoveryFault::OtherSession);
        }
        if submission.manifest != self.offer.manifest {
            return Err(RecoveryFault::OtherManifest);
        }
        if self.words.contains_key(&custodian) {
            return Err(RecoveryFault::Already);
        }
        match self.judge(submission) {
            Ok(share) => {
                self.shares.push(share);
                let word = Word { last_epoch: submission.last_epoch, anchor: submission.anchor.clone() };
                self.words.insert(custodian, word);
                self.audit.note(now_s, AuditWhat::Submitted(custodian));
                Ok(custodian)
            }
            Err(fault) => {
                if self.refused.insert(Digest(submission.digest())) {
                    self.audit.note(now_s, AuditWhat::Refused(RefusedShare { custodian, fault }));
                }
                if self.is_over() {
                    self.end(now_s, RecoveryFault::TooManyRefused);
                }
                Err(fault)
            }
        }
    }

    fn judge(&self, submission: &ShareSubmission) -> Result<GoodShare, RecoveryFault> {
        let share = open_submission(&self.kem, submission).map_err(|fault| match fault {
            EnvelopeError::NotThat { .. } => RecoveryFault::NotAShare,
            EnvelopeError::BadKey { .. } | EnvelopeError::NotSealedHere => RecoveryFault::NotSealedHere,
        })?;
        GoodShare::judge(&self.manifest, &submission.custodian, share).map_err(|fault| match fault {
            ShareError::OtherPlace { .. } | ShareError::OtherCommitment { .. } => RecoveryFault::OtherShare,
            _ => RecoveryFault::NotAShare,
        })
    }

    /// Whether too many were refused.
    pub(crate) fn is_over(&self) -> bool {
        self.refused.len() >= SUBMISSIONS_REFUSED
    }

    /// Shares that are in, and how many are needed.
    pub fn count(&self) -> (usize, usize) {
        (self.shares.len(), usize::from(self.manifest.threshold))
    }

    /// Whether the shares recover.
    pub fn is_enough(&self) -> bool {
        self.shares.len() >= usize::from(self.manifest.threshold)
    }

    /// Combines the shares and opens the first of `blobs` that is the members' work. The shares are wiped when this returns, the recovery key when it is forgotten.
    pub fn open(&mut self, blobs: &[RecoveryBlob], now_s: u64) -> Result<Keyring, NotOpened> {
        let shares = std::mem::take(&mut self.shares);
        let key = combine(&self.manifest, &shares).map_err(|_| NotOpened(RecoveryFault::OtherKey))?;
        drop(shares);
        let mut fault = RecoveryFault::NoBlob;
        for blob in blobs {
            match key.open(&self.manifest, blob) {
                Ok(ring) => {
                    self.key = Some(key);
                    self.audit.note(now_s, AuditWhat::Opened(ring.newest()));
                    self.step = RecoveryStep::Claims;
                    return Ok(ring);
                }
                Err(why) => {
                    tracing::warn!(%why, key_epoch = %blob.newest_key, "stored keys are refused");
                    fault = RecoveryFault::BadBlob;
                }
            }
        }
        Err(NotOpened(fault))
    }

    /// This machine's chip opened the keys: nobody is asked for a share.
    pub(crate) fn unsealed(&mut self, newest: KeyEpoch, now_s: u64) {
        self.audit.note(now_s, AuditWhat::Unsealed(newest));
        self.step = RecoveryStep::Claims;
    }

    /// Opens a newer blob of the same dealing, which the chosen log holds and no file had yet.
    pub(crate) fn open_newer(&self, blob: &RecoveryBlob) -> Result<Keyring, NotOpened> {
        let key = self.key.as_ref().ok_or(NotOpened(RecoveryFault::NoSession))?;
        key.open(&self.manifest, blob).map_err(|why| {
            tracing::warn!(%why, key_epoch = %blob.newest_key, "keys that the log holds are refused");
            NotOpened(RecoveryFault::BadBlob)
        })
    }

    /// Wipes the recovery key, and shares that came in while a chip had opened the keys.
    pub(crate) fn forget(&mut self) {
        self.key = None;
        self.shares.clear();
        ringwall_wire::secret::wash_stack();
    }

    /// What the custodians said beside their shares.
    pub(crate) fn words(&self) -> impl Iterator<Item = (&CustodianId, &Word)> {
        self.words.iter()
    }

    /// Whose shares opened it, in their order.
    pub(crate) fn submitted(&self) -> List<CustodianId, { ringwall_wire::limits::CUSTODIANS }> {
        List::new(self.words.keys().copied().collect()).expect("no more custodians than a manifest has")
    }

    /// Asks every custodian to accept a loss; what was accepted of other terms is void.
    pub(crate) fn ask_loss(&mut self, asked: LossAsked, now_s: u64) {
        if self.loss != Some(asked.terms) {
            self.accepted.clear();
            self.loss = Some(asked.terms);
            self.audit.note(now_s, AuditWhat::LossAsked(asked));
        }
        self.step = RecoveryStep::Loss;
    }

    /// Takes a custodian's word that it accepts the loss that is asked.
    pub(crate) fn accept_loss(&mut self, word: &LossSignature, now_s: u64) -> Result<(), RecoveryFault> {
        let terms = self.loss.ok_or(RecoveryFault::NoSession)?;
        let member = self.manifest.member(&word.custodian).ok_or(RecoveryFault::NotCustodian)?;
        if !is_signed(&member.custodian.sig, &terms.words(&self.offer.cluster_id), &word.signature) {
            return Err(RecoveryFault::BadSignature);
        }
        if self.accepted.insert(word.custodian, word.signature).is_some() {
            return Err(RecoveryFault::Already);
        }
        self.audit.note(now_s, AuditWhat::LossAccepted(word.custodian));
        Ok(())
    }

    /// Who accepted the loss that is asked.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = &CustodianId> {
        self.accepted.keys()
    }

    /// The loss, once every custodian of the dealing has accepted it.
    pub(crate) fn accepted_loss(&self) -> Option<AcceptLoss> {
        let terms = self.loss?;
        let signatures = self.accepted.iter().map(|(custodian, signature)| LossSignature { custodian: *custodian, signature: *signature });
        let all = self.manifest.members.iter().all(|member| self.accepted.contains_key(&member.id()));
        all.then(|| AcceptLoss { terms, signatures: List::new(signatures.collect()).expect("one of each custodian") })
    }

    /// Goes on to another step.
    pub(crate) fn reach(&mut self, step: RecoveryStep) {
        self.step = step;
    }

    /// Ends without a result.
    pub(crate) fn end(&mut self, now_s: u64, fault: RecoveryFault) {
        self.step = RecoveryStep::Ended;
        self.audit.note(now_s, AuditWhat::Ended(fault));
    }

    /// What everybody may see.
    pub(crate) fn progress(&self) -> RecoveryProgress {
        RecoveryProgress {
            session: self.offer.session,
            step: self.step,
            submitted: self.submitted(),
            loss: self.loss.filter(|_| self.step == RecoveryStep::Loss),
            audit: List::new(self.audit.events().to_vec()).expect("the audit keeps its limit"),
        }
    }

    /// The offer.
    pub fn offer(&self) -> &RecoveryOffer {
        &self.offer
    }

    /// The manifest.
    pub(crate) fn manifest(&self) -> &CustodyManifest {
        &self.manifest
    }
}

/// Whether `key` signed `words`.
pub(crate) fn is_signed(key: &SigPublic, words: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key.0).ok().filter(|key| !key.is_weak());
    key.is_some_and(|key| key.verify_strict(words, &signature).is_ok())
}

#[cfg(test)]
pub(crate) mod tests;
