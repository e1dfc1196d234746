//! From recovered keys to the first member of a new epoch: claims, choice, anchors, account, lineage (DR3 to DR7).
//!
//! Decides: the order. Disks are read one after the other; a log is chosen; where too few of its voters' logs are there, all custodians are asked, and more
//! disks may be brought meanwhile; whatever anybody has seen is compared before anything is begun. The start of the epoch is published, then put on
//! record as the first decision of the new lineage, then the caller serves.
//! Trusts: `ringwall_consensus::recovery` for the rules. Out of scope: shares (`session.rs`). Protocol section 6.2.

use crate::context::Node;
use crate::custody::blob_file;
use crate::folders;
use crate::join::joiner::{self, OwnEvidence};
use crate::recover::backups;
use crate::recover::disks::{self, Evidence, Refused};
use crate::recover::keeping::Sole;
use crate::recover::{RecoverError, Recovery, heads, policy, verdict};
use crate::ring::Ring;
use crate::run;
use ringwall_consensus::KeyRow;
use ringwall_consensus::recovery::{Chosen, Disagreement, Known, OwnedSealJudge, SeenBy, Unfit, choose, compare};
use ringwall_keys::Keyring;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::{Founding, Outcome};
use ringwall_wire::custodian::RecoveryStep;
use ringwall_wire::ids::{Digest, Epoch, Incarnation, Slot};
use ringwall_wire::limits::SLOTS;
use ringwall_wire::receipt::{EpochStart, TreePoint};
use ringwall_wire::recovery::{
    AbsentVoter, AcceptLoss, AuditWhat, CustodyAnchor, DiskClaim, EpochBegun, LossAsked, LossTerms, RecoveryAccount, RecoveryFault,
    RefusedClaim, claims_digest,
};
use ringwall_wire::text::hex;
use ringwall_wire::without::{Defence, left_out};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Folder states are computed in, in the data folder.
const SCRATCH: &str = "recovery-scratch";
/// File of starts of epochs, in the folder of papers.
const PUBLISHED: &str = "epochs.log";
/// How often more disks and acceptances are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// Epoch ids a founding life may be moved on by, where a folder of that name is left from a try that was cut off.
const IDS: u64 = 16;

/// One taking up.
pub(crate) struct TakeUp<'a> {
    recovery: &'a mut Recovery,
    own_evidence: &'a OwnEvidence,
    ring: Keyring,
    by: OpenedBy,
    judge: OwnedSealJudge,
    evidence: Vec<Evidence>,
    refused: Vec<Refused>,
    /// Folders that were read.
    read: Vec<PathBuf>,
}

/// What opened the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenedBy {
    /// Shares.
    Custodians,
    /// This machine's chip.
    Chip,
}

/// What was decided.
struct Decision {
    claim: DiskClaim,
    tree: TreePoint,
    epoch: Epoch,
    loss: Option<AcceptLoss>,
}

impl<'a> TakeUp<'a> {
    pub(crate) fn new(recovery: &'a mut Recovery, own_evidence: &'a OwnEvidence, (ring, by): (Keyring, OpenedBy)) -> Self {
        let judge = disks::judge_of(ring.clone());
        TakeUp { recovery, own_evidence, ring, by, judge, evidence: Vec::new(), refused: Vec::new(), read: Vec::new() }
    }

    pub(crate) async fn run(mut self, lap: &(dyn Fn(&str) + Sync)) -> Result<Arc<Node>, RecoverError> {
        let outcome = self.decide_and_begin(lap).await;
        self.evidence.clear();
        if let Err(fault) = disks::remove(&self.recovery.site.config.data.join(SCRATCH)) {
            warn!(%fault, "recovery: the folder of scratch states is left; remove it by hand");
        }
        outcome
    }

    async fn decide_and_begin(&mut self, lap: &(dyn Fn(&str) + Sync)) -> Result<Arc<Node>, RecoverError> {
        self.read_disks().await?;
        lap("the disks are read");
        let decision = self.decide().await?;
        policy::agree(&self.recovery.site, &self.found(&decision.claim).found.view().governance(), self.by)?;
        self.catch_up_keys(&decision)?;
        self.recovery.session.forget();
        lap("a log is chosen, and holds all that is known to have been seen");
        let sole = self.recovery.finish().await?;
        self.begin(decision, sole).await
    }

    /// A chip's copy of the keys may be older than a disk that was brought: what it cannot read must not count as missing.
    fn keys_reach(&self) -> Result<(), RecoverError> {
        if self.by == OpenedBy::Custodians {
            return Ok(());
        }
        let newest = self.ring.newest();
        let beyond = self.refused.iter().find_map(|refused| match refused.why {
            Unfit::NotAuthentic { key_epoch } if key_epoch > newest => Some(key_epoch),
            _ => None,
        });
        beyond.map_or(Ok(()), |named| Err(RecoverError::OldWrap { wrapped: newest, named }))
    }

    /// Reads every folder that was not read yet; true if there was one.
    async fn read_disks(&mut self) -> Result<bool, RecoverError> {
        let data = self.recovery.data_folders()?;
        let lives: Vec<_> = disks::lives(&data).into_iter().filter(|(folder, _)| !self.read.contains(folder)).collect();
        let any = !lives.is_empty();
        for (at, life) in lives.into_iter().enumerate() {
            self.read.push(life.0.clone());
            let scratch = self.recovery.site.config.data.join(SCRATCH).join(format!("{}-{at}", self.read.len()));
            let session = self.recovery.session.offer().session;
            let secrets = Arc::clone(&self.recovery.secrets);
            let site = Arc::clone(&self.recovery.site);
            let now_s = site.now_s();
            let read = disks::read(&site, &secrets, (session, &self.ring, &self.judge), life, &scratch).await;
            self.take_in(read, now_s);
        }
        let any = self.read_backups().await? || any;
        self.keys_reach()?;
        Ok(any)
    }

    /// Reads every backup that was not read yet; true if there was one.
    async fn read_backups(&mut self) -> Result<bool, RecoverError> {
        let brought: Vec<PathBuf> = self.recovery.papers.backups()?.into_iter().filter(|path| !self.read.contains(path)).collect();
        let any = !brought.is_empty();
        for path in brought {
            self.read.push(path.clone());
            let scratch = self.recovery.site.config.data.join(SCRATCH).join(format!("backup-{}", self.read.len()));
            let session = self.recovery.session.offer().session;
            let (site, secrets) = (Arc::clone(&self.recovery.site), Arc::clone(&self.recovery.secrets));
            let read = backups::read(&site, &secrets, (session, &self.ring, &self.judge), path, &scratch).await;
            self.take_in(read, site.now_s());
        }
        Ok(any)
    }

    fn take_in(&mut self, read: Result<Evidence, Refused>, now_s: u64) {
        match read {
            Ok(evidence) => {
                let claim = &evidence.claim;
                info!(
                    folder = %evidence.source.folder.display(), incarnation = %claim.incarnation, slot = %claim.slot,
                    entries = claim.tree.size, term = claim.last.term, committed = claim.committed, "recovery: a disk's claim"
                );
                self.recovery.session.audit.note(now_s, AuditWhat::Claimed(Digest(claim.digest())));
                self.evidence.push(evidence);
            }
            Err(refused) => {
                warn!(folder = %refused.folder.display(), why = %refused.why, "recovery: a folder is no claim");
                let (slot, incarnation) = (self.recovery.site.slot(), refused.incarnation);
                let fault = RecoveryFault::BadClaim;
                self.recovery.session.audit.note(now_s, AuditWhat::ClaimRefused(RefusedClaim { slot, incarnation, fault }));
                self.refused.push(refused);
            }
        }
    }

    fn claims(&self) -> Vec<DiskClaim> {
        self.evidence.iter().map(|evidence| evidence.claim.clone()).collect()
    }

    /// DR4 and DR5: chooses, waits for a majority or for the word of all custodians, compares.
    async fn decide(&mut self) -> Result<Decision, RecoverError> {
        let mut leaving = self.recovery.site.leaving.subscribe();
        loop {
            let claims = self.claims();
            let chosen = choose(&claims)?;
            let known = self.compare(&chosen, &claims)?;
            let terms = self.terms(&chosen, &claims);
            let accepted = self.recovery.session.accepted_loss().filter(|loss| loss.terms == terms);
            if chosen.majority || accepted.is_some() {
                let (claim, tree) = (chosen.claim.clone(), chosen.tree());
                let epoch = self.found(&claim).found.epoch;
                self.used_once(epoch)?;
                self.recovery.session.audit.note(self.recovery.site.now_s(), AuditWhat::Chosen(tree));
                return Ok(Decision { claim, tree, epoch, loss: accepted.filter(|_| !chosen.majority) });
            }
            warn!(
                voters = terms.voters,
                missing = terms.missing,
                entries = terms.chosen.size,
                "recovery: too few disks: bring more of them into `disks`, or have every custodian accept the loss"
            );
            let asked = LossAsked { terms, taken: chosen.claim.incarnation, absent: absent(&chosen, &claims), known };
            self.recovery.session.ask_loss(asked, self.recovery.site.now_s());
            self.recovery.tell(None)?;
            while !self.recovery.look()? && !self.read_disks().await? {
                // Nobody is asked to sign a loss for a process that may not finish.
                self.recovery.ask_keepers().await?;
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    _ = leaving.wait_for(|leaving| *leaving) => return Err(RecoverError::Ended(RecoveryFault::TooFewClaims)),
                }
            }
        }
    }

    fn terms(&self, chosen: &Chosen<'_>, claims: &[DiskClaim]) -> LossTerms {
        LossTerms {
            session: self.recovery.session.offer().session,
            claims: claims_digest(claims),
            chosen: chosen.tree(),
            missing: chosen.missing,
            voters: chosen.voters,
        }
    }

    fn found(&self, claim: &DiskClaim) -> &Evidence {
        self.evidence.iter().find(|evidence| evidence.claim == *claim).expect("a chosen claim is one of those that were made")
    }

    /// A rotation may be on record whose keys no file had yet when the power went: they are in the record, sealed to the same recovery key. Where the record has another
    /// dealing by then, its file is written for the next try: that dealing's shares are the ones that open it.
    fn catch_up_keys(&mut self, decision: &Decision) -> Result<(), RecoverError> {
        let view = self.found(&decision.claim).found.view();
        let (rows, custody) = (view.key_rows(), view.custody());
        drop(view);
        let held = self.ring.generations();
        let named =
            |row: &KeyRow| held.iter().any(|held| held.key_epoch == row.key_epoch && row.commit.is_none_or(|commit| commit == held.commit));
        if rows.iter().all(named) {
            return Ok(());
        }
        let active = custody.active.as_ref().and_then(|active| Some((active, active.recovery.as_ref()?)));
        let (active, blob) = active.ok_or(RecoverError::Ended(RecoveryFault::NoBlob))?;
        if active.hash == self.recovery.session.offer().manifest {
            self.ring = self.recovery.session.open_newer(blob).map_err(|fault| RecoverError::Ended(fault.0))?;
            self.judge = disks::judge_of(self.ring.clone());
            info!(key_epoch = %self.ring.newest(), "recovery: the log holds newer keys than any file");
            return Ok(());
        }
        let folder = self.recovery.papers.root().join("disks").join("from-the-log");
        blob_file::put(&folder, &blob_file::of(active, blob.clone()))?;
        Err(RecoverError::LaterDealing { custody_epoch: active.custody_epoch() })
    }

    /// A dealing opens one recovery, unless the operator says why it opens another one.
    fn used_once(&self, epoch: Epoch) -> Result<(), RecoverError> {
        let manifest = self.recovery.session.manifest();
        if epoch > manifest.epoch && self.recovery.plan.again.is_none() {
            return Err(RecoverError::Again { custody_epoch: manifest.custody_epoch, epoch, dealt: manifest.epoch });
        }
        Ok(())
    }

    /// Holds the chosen log against everything that is known to have been seen; how far that goes, in entries of its epoch.
    fn compare(&self, chosen: &Chosen<'_>, claims: &[DiskClaim]) -> Result<u64, RecoverError> {
        let found = &self.found(chosen.claim).found;
        let (mut known, shown) = self.known();
        let mut disagreements: Vec<Disagreement> = Vec::new();
        for (custodian, word) in self.recovery.session.words() {
            // A custodian's word for an epoch, under its signature: nobody recovers an older one over it.
            if word.last_epoch > found.epoch {
                let by = SeenBy::Custodian(*custodian);
                disagreements.push(Disagreement::NewerEpoch { by, known: word.last_epoch, found: found.epoch });
            }
        }
        for evidence in &self.evidence {
            known.extend(disks::known(evidence)?);
        }
        let log = ringwall_consensus::recovery::anchors::Recovered { epoch: found.epoch, size: found.tree.size };
        disagreements.extend(compare(log, |size| found.root_at(size), &known)?);
        if left_out(Defence::CustodianAnchors) {
            disagreements.clear();
        }
        let furthest = known.iter().filter(|known| known.epoch == found.epoch).map(|known| known.tree.size).max();
        let Some(first) = disagreements.first() else { return Ok(furthest.unwrap_or(0)) };
        let rollback = disagreements.iter().any(Disagreement::is_loss);
        let bytes = verdict::evidence(&self.recovery.site.cluster_id, chosen.claim, &disagreements, claims, &shown);
        self.recovery.papers.replace("evidence.json", &bytes)?;
        disagreements.iter().for_each(|what| warn!("recovery: {what}"));
        Err(RecoverError::Disagrees {
            verdict: if rollback { "ROLLBACK_DETECTED" } else { "FORK_DETECTED" },
            first: first.to_string(),
            evidence: self.recovery.papers.root().join("evidence.json"),
        })
    }

    /// Heads of custodians and of paper that hold, and the same as they were shown.
    fn known(&self) -> (Vec<Known>, Vec<(SeenBy, CustodyAnchor)>) {
        let custodians = self.recovery.session.words().filter_map(|(id, word)| Some((SeenBy::Custodian(*id), word.anchor.clone()?)));
        let mut shown: Vec<(SeenBy, CustodyAnchor)> = custodians.collect();
        let papers = self.recovery.papers.anchors().unwrap_or_else(|fault| {
            warn!(%fault, "recovery: the folder of anchors cannot be read");
            Vec::new()
        });
        for (number, (path, bytes)) in papers.into_iter().enumerate() {
            match heads::of_paper(&bytes) {
                Ok(anchor) => shown.push((SeenBy::Paper(number + 1), anchor)),
                Err(fault) => warn!(path = %path.display(), fault, "recovery: a paper is no signed head and is left aside"),
            }
        }
        let mut known = Vec::new();
        shown.retain(|(by, anchor)| match heads::judge(&self.recovery.site, *by, anchor) {
            Ok(head) => {
                known.push(head);
                true
            }
            Err(fault) => {
                warn!(%by, fault, "recovery: a signed head does not hold and is left aside");
                false
            }
        });
        (known, shown)
    }

    /// DR6 and DR7: account, start, lineage, record. Nothing of it happens in a process that may not be the only one.
    async fn begin(&mut self, decision: Decision, _sole: Sole) -> Result<Arc<Node>, RecoverError> {
        let site = Arc::clone(&self.recovery.site);
        let epoch = Epoch(decision.epoch.0.checked_add(1).ok_or(RecoverError::UsedUp)?);
        let source = self.found(&decision.claim).source.clone();
        let claims = self.claims();
        // The scratch states hold the folders' files open; what is taken up is read once more.
        self.evidence.clear();
        site.epochs.set(epoch);
        let incarnation = self.founder(epoch, decision.tree.size);
        let cert = joiner::cert(&site, &self.recovery.secrets, self.own_evidence);
        let keyring = Ring::new(self.ring.clone());
        let (secrets, judge) = (Arc::clone(&self.recovery.secrets), Arc::clone(&self.judge));
        let node = run::assemble_recovered(&site, secrets, incarnation, keyring, (source, judge, decision.tree, cert.clone())).await?;
        let begun = self.account(&decision, &claims, Founding { incarnation, cert }, epoch);
        self.publish(&begun)?;
        let applied = node.replica.begin(begun).await?;
        match applied.outcomes.first() {
            Some(Outcome::Admitted(_)) => {}
            other => return Err(RecoverError::Denied(format!("{other:?}"))),
        }
        self.recovery.session.audit.note(site.now_s(), AuditWhat::Served(incarnation));
        info!(%epoch, %incarnation, entries = decision.tree.size, "recovery: the epoch began");
        Ok(node)
    }

    /// The first life of the epoch. A folder that a try left behind is not used again.
    fn founder(&self, epoch: Epoch, size: u64) -> Incarnation {
        let data = &self.recovery.site.config.data;
        let ids = (size..size.saturating_add(IDS)).map(|id| Incarnation::new(epoch, id));
        ids.into_iter().find(|id| !folders::of(data, *id).exists()).unwrap_or(Incarnation::new(epoch, size))
    }

    fn account(&mut self, decision: &Decision, claims: &[DiskClaim], founding: Founding, epoch: Epoch) -> EpochBegun {
        let session = &self.recovery.session;
        let offer = session.offer();
        let account = RecoveryAccount {
            cluster_id: offer.cluster_id,
            epoch,
            offer: Digest(offer.digest()),
            manifest: offer.manifest,
            custodians: session.submitted(),
            unsealed: (self.by == OpenedBy::Chip).then(|| self.recovery.site.slot()),
            claims: claims_digest(claims),
            chosen: decision.claim.incarnation,
            loss: decision.loss.clone(),
            again: self.recovery.plan.again.clone().filter(|_| decision.epoch > session.manifest().epoch).unwrap_or_default(),
            audit: session.audit.last(),
        };
        let start = EpochStart {
            cluster_id: offer.cluster_id,
            epoch,
            previous: decision.tree,
            account: Digest(account.digest()),
            witnesses: List::default(),
        };
        EpochBegun { start, account, founding }
    }

    /// Writes the start down where the operator can hand it on. No log that others watch exists yet: this is a file, and says no more than a file can.
    fn publish(&mut self, begun: &EpochBegun) -> Result<(), RecoverError> {
        let line = format!("{} {}\n", hex(&begun.start.encode()), hex(&begun.account.encode()));
        self.recovery.papers.append(PUBLISHED, line.as_bytes())?;
        let now_s = self.recovery.site.now_s();
        self.recovery.session.audit.note(now_s, AuditWhat::Published(Digest(begun.start.digest())));
        self.recovery.session.reach(RecoveryStep::Witnesses);
        Ok(())
    }
}

/// The voters whose logs are not there, with their places where a log of theirs is named.
fn absent(chosen: &Chosen<'_>, claims: &[DiskClaim]) -> List<AbsentVoter, { 2 * SLOTS }> {
    let memberships = || std::iter::once(&chosen.claim.membership).chain(&chosen.claim.previous);
    let place = |incarnation: &Incarnation| {
        let mut named = memberships().flat_map(|membership| membership.members.iter());
        named.find(|named| named.incarnation == *incarnation).map_or(Slot(0), |named| named.member.slot)
    };
    let absent = chosen.absent(claims).into_iter().take(2 * SLOTS);
    let absent = absent.map(|incarnation| AbsentVoter { slot: place(&incarnation), incarnation }).collect();
    List::new(absent).expect("no more than fit were taken")
}

/// A reason, as it may be recorded.
pub(crate) fn reason(text: &str) -> Result<Text<256>, &'static str> {
    let text = Text::new(text).map_err(|_| "a reason has at most 256 bytes and no control characters")?;
    match text.trim().is_empty() {
        true => Err("a reason says something"),
        false => Ok(text),
    }
}
