//! Workload keys: evidence judged, attempts proposed, keys given; policies set; the audit chain read.
//!
//! Decides: a key leaves this node only after the evidence was judged here by the policy in force and the attempt was applied as granted, which
//! every replica decides alike; without a quorum nothing is granted. Every refusal that has a key's name goes the same way, to be written down.
//! A changed policy takes the key along: it is unwrapped and wrapped again for the new one.
//! Trusts: `attest` for the verdict, the replica for order, the keyring for keys; who asks for nothing. Out of scope: how asking travels
//! (`workloads.rs`, `kbs`). Protocol section 10.

use crate::front::Front;
use crate::front::limits::{GRANT_TRIES, JUDGING, STEP};
use crate::front::refusals::{awaiting_key, fenced, refusal, unavailable, unreadable};
use crate::front::writes::Pending;
use ringwall_attest::{GrantError, GrantExpected, Verified, appraise_grant, is_governor, verify, verify_grant_order};
use ringwall_consensus::WorkloadRow;
use ringwall_keys::{HedgedIvs, OpenError, WorkloadPlace, workload_user_key};
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::{Message as _, enc_digest};
use ringwall_wire::command::{Outcome, SealedWrite};
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::ids::{Digest, UserId};
use ringwall_wire::label::Label;
use ringwall_wire::policy::Approval;
use ringwall_wire::session::{Refusal, RefusalCode};
use ringwall_wire::workload::{
    AuditPage, GrantAttempt, GrantFault, GrantOrder, GrantPolicy, Granted, NotGranted, SetFault, Subject, WorkloadName, WorkloadOutcome,
    WorkloadSet, WorkloadWrite,
};
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// Evidence a workload showed, verified or found wanting: what it is worth for a key, the key's policy decides.
#[derive(Debug)]
pub(crate) struct Guest {
    evidence: Result<Verified, GrantError>,
    report_data: [u8; 64],
}

impl Guest {
    /// Why its evidence is not genuine, in words; none when it is.
    pub(crate) fn not_genuine(&self) -> Option<String> {
        self.evidence.as_ref().err().map(ToString::to_string)
    }

    /// The machine, when its evidence is genuine.
    pub(crate) fn subject(&self) -> Option<Subject> {
        self.evidence.as_ref().ok().map(Verified::subject)
    }

    /// A guest without evidence, for tests about what is around it.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Guest { evidence: Err(GrantError::OtherSession), report_data: [0; 64] }
    }
}

/// What a workload is told.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The key.
    Granted(Granted),
    /// Why not.
    NotGranted(NotGranted),
}

/// How many pieces of evidence are verified at once.
#[derive(Debug)]
pub(crate) struct Judges(Semaphore);

impl Default for Judges {
    fn default() -> Self {
        Judges(Semaphore::new(JUDGING))
    }
}

impl Front {
    /// Unix seconds, for judging evidence.
    pub(crate) fn now_s(&self) -> u64 {
        (self.clock)() / 1_000
    }

    /// Verifies a workload's evidence, which must be bound to `report_data`.
    pub(crate) async fn guest(
        self: &Arc<Self>,
        evidence: Evidence,
        endorsements: Endorsements,
        report_data: [u8; 64],
    ) -> Result<Guest, Refusal> {
        let busy = || refusal(RefusalCode::Busy, "too many workloads show evidence to this member at once; try again or ask another one");
        let _turn = timeout(STEP, self.judges.0.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
        let front = self.clone();
        let judging = tokio::task::spawn_blocking(move || {
            let evidence = verify(&evidence, &endorsements, &front.anchors, front.now_s()).map_err(GrantError::from);
            Guest { evidence, report_data }
        });
        judging.await.map_err(|_| unavailable())
    }

    /// Asks for a key. `session` and `number` name the request: asking again under the same name has one audit entry.
    pub(crate) async fn grant(
        &self,
        guest: Option<&Guest>,
        (session, number): (&Digest, u64),
        name: &WorkloadName,
        user: Option<&UserId>,
    ) -> Result<Verdict, Refusal> {
        let mut fresh = false;
        for round in 0..GRANT_TRIES {
            let row = self.workload(name, fresh).await?;
            let policy = row.as_ref().map(|row| GrantPolicy::decode(&row.policy)).transpose().map_err(|_| unreadable())?;
            let judged = self.judged(guest, policy.as_ref());
            let words: [&[u8]; 3] = [&session.0, &number.to_be_bytes(), &round.to_be_bytes()];
            let attempt = GrantAttempt {
                request: Digest(enc_digest(Label::WorkloadRequest, &words)),
                name: name.clone(),
                policy: row.as_ref().map(|row| row.policy_digest),
                fault: judged.as_ref().err().map(|(fault, _)| *fault),
                subject: guest.and_then(Guest::subject),
                user: user.map(|user| self.keyring.now().subject_tag(name, user)),
                by: self.incarnation,
            };
            let detail = judged.err().map(|(_, detail)| detail);
            match (self.applied(WorkloadWrite::Attempt(attempt)).await?, row) {
                (WorkloadOutcome::Granted(seq), Some(row)) => return self.given(name, user, &row, seq).map(Verdict::Granted),
                (WorkloadOutcome::Refused(GrantFault::PolicyChanged), _) if round.saturating_add(1) < GRANT_TRIES => fresh = true,
                (WorkloadOutcome::Refused(fault), row) => {
                    tracing::info!(
                        ?fault,
                        known = row.is_some(),
                        why = detail.as_deref().unwrap_or_default(),
                        "a workload was refused a key"
                    );
                    let detail = detail.unwrap_or_else(|| fault.words().to_owned());
                    return Ok(Verdict::NotGranted(NotGranted { fault, detail: short(&detail) }));
                }
                _ => return Err(unavailable()),
            }
        }
        Err(unavailable())
    }

    /// Whether the evidence satisfies the policy; the reason in code and words when it does not.
    fn judged(&self, guest: Option<&Guest>, policy: Option<&GrantPolicy>) -> Result<(), (GrantFault, String)> {
        let plain = |fault: GrantFault| (fault, fault.words().to_owned());
        let guest = guest.ok_or_else(|| plain(GrantFault::NoEvidence))?;
        let refused = |error: &GrantError| (error.fault(), error.to_string());
        let verified = guest.evidence.as_ref().map_err(refused)?;
        let policy = policy.ok_or_else(|| plain(GrantFault::NoKey))?;
        let expected = GrantExpected { report_data: &guest.report_data, trust_domain: self.policies.now().policy().trust_domain };
        appraise_grant(verified, policy, &expected).map(|_| ()).map_err(|error| refused(&error))
    }

    /// The key of a row, or the user's own.
    fn given(&self, name: &str, user: Option<&UserId>, row: &WorkloadRow, seq: u64) -> Result<Granted, Refusal> {
        let place = WorkloadPlace { name, version: row.version, policy: row.policy_digest };
        let key = self.keyring.now().unwrap_workload_key(&place, &row.key).map_err(unopened)?;
        let key = user.map_or_else(|| key.clone(), |user| workload_user_key(&key, user));
        Ok(Granted { key, policy_version: row.version, key_epoch: row.key.key_epoch, seq })
    }

    /// The key as this member knows it; none is believed only after a read round, and so is an old policy.
    async fn workload(&self, name: &str, fresh: bool) -> Result<Option<WorkloadRow>, Refusal> {
        let look = || self.replica.view().and_then(|view| view.workload(name)).map_err(|_| fenced());
        if !fresh && let Some(row) = look()? {
            return Ok(Some(row));
        }
        self.reads.barrier().await?;
        look()
    }

    /// Proposes a write and waits for its outcome.
    async fn applied(&self, write: WorkloadWrite) -> Result<WorkloadOutcome, Refusal> {
        let (told, outcome) = oneshot::channel();
        self.writes.submit([Pending::awaited(SealedWrite::Workload(Box::new(write)), told)]);
        match outcome.await {
            Ok(Ok(Outcome::Workload(outcome))) => Ok(outcome),
            Ok(Ok(_)) | Err(_) => Err(unavailable()),
            Ok(Err(refusal)) => Err(refusal),
        }
    }

    /// Sets a grant policy its governors signed; the first one makes the key.
    pub(crate) async fn set_grant_policy(&self, order: GrantOrder) -> Result<Result<u64, SetFault>, Refusal> {
        let approved = match verify_grant_order(&order, &self.cluster_id, &self.policies.now().policy().governance) {
            Ok(approved) => approved,
            Err(fault) => return Ok(Err(fault)),
        };
        let (name, version) = (approved.policy().name.clone(), approved.policy().version);
        let policy = order.policy_digest();
        let place = WorkloadPlace { name: &name, version, policy };
        let mut ivs = HedgedIvs::new((self.entropy)(), self.incarnation);
        let (row, keyring) = (self.workload(&name, true).await?, self.keyring.now());
        // Under what the log calls the newest: a ring may hold one that no entry names.
        let newest = self.replica.view().map_err(|_| fenced())?.newest_key();
        let key = match (row, order.replaces) {
            (Some(row), _) if row.policy_digest == policy => return Ok(Ok(row.version)),
            (Some(row), Some(replaced)) if row.policy_digest == replaced => {
                let old = WorkloadPlace { name: &name, version: row.version, policy: row.policy_digest };
                keyring.move_workload_key(&old, &row.key, (&place, newest), &mut ivs).map_err(unopened)?
            }
            (Some(_), _) => return Ok(Err(SetFault::NotNext)),
            (None, Some(_)) => return Ok(Err(SetFault::NoKey)),
            (None, None) => keyring.new_workload_key(&place, newest, &mut ivs).map_err(unopened)?,
        };
        match self.applied(WorkloadWrite::Set(WorkloadSet { order, key, by: self.incarnation })).await? {
            WorkloadOutcome::Set(version) => {
                tracing::info!(key = %*name, version, "a grant policy was set");
                Ok(Ok(version))
            }
            WorkloadOutcome::NotSet(fault) => Ok(Err(fault)),
            WorkloadOutcome::Granted(_) | WorkloadOutcome::Refused(_) => Err(unavailable()),
        }
    }

    /// A page of the audit chain, for a governor who signed `words`.
    pub(crate) async fn audit(&self, words: &[u8], governor: &Approval, after: u64) -> Result<AuditPage, Refusal> {
        if !is_governor(words, governor, &self.policies.now().policy().governance) {
            return Err(refusal(
                RefusalCode::NotAuthorized,
                "the audit chain is read by governors: sign with a governor's key of this cluster, on this session",
            ));
        }
        self.reads.barrier().await?;
        self.replica.view().and_then(|view| view.workload_audit(after)).map_err(|_| fenced())
    }
}

/// A workload key did not unwrap: its master key is on its way here, or our storage or our keys are wrong; not the asker.
fn unopened(fault: OpenError) -> Refusal {
    if let OpenError::UnknownKeyEpoch { wanted } = fault {
        tracing::debug!(%wanted, "a workload key is wrapped under a master key that is not here");
        return awaiting_key();
    }
    tracing::error!(%fault, "a workload key did not unwrap");
    unreadable()
}

/// As much of a text as a message holds.
fn short<const MAX: usize>(words: &str) -> Text<MAX> {
    let mut cut = String::new();
    for letter in words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }) {
        if cut.len().saturating_add(letter.len_utf8()) > MAX {
            break;
        }
        cut.push(letter);
    }
    Text::new(cut).unwrap_or_default()
}
