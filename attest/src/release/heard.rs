//! What a judge heard of the release log: a head that enough witnesses cosigned, with everything it says was revoked.
//!
//! Decides: whether a proof that holds by itself still counts for somebody who heard more. A head that is older, or that nothing leads to, is no lie: nodes
//! are stapled at different times. But a build that was revoked stays revoked, whatever head is shown for it; and of two heads that cannot both be honest
//! the later one is refused, with the proof. A head of another log than the policy's says nothing.
//! Trusts: the policy. Out of scope: the proof itself (`proof.rs`), keeping what was heard (nodes). Protocol section 8, "Releases".

use super::log::{Checkpoint, checkpoint, witnessed};
use super::proof::{Ran, ReleaseError, continues, known, own_lines, revoked, revoked_by_now, text, whole_list};
use super::signer::Rule;
use ringwall_wire::codec::Message as _;
use ringwall_wire::policy::{Measurement, ReleaseSigners};
use ringwall_wire::release::{LogHead, ReleaseProof, RevocationList};

/// A head of the log, which enough of the policy's witnesses cosigned, and the list of revocations it names, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    head: LogHead,
    checkpoint: Checkpoint,
    revocations: RevocationList,
}

impl Heard {
    /// What a proof (exact bytes) shows of the policy's log, whatever it proves of a build. However old: what is in a log stays in it.
    pub fn of(proof: &[u8], rule: &ReleaseSigners) -> Result<Heard, ReleaseError> {
        let rule = Rule::read(rule).map_err(ReleaseError::Rule)?;
        let proof = ReleaseProof::decode(proof).map_err(ReleaseError::Malformed)?;
        let head = witnessed(text(&proof.head)?, &rule.log, &rule.witnesses, rule.witness_threshold)?;
        whole_list(&proof.revocations, head.checkpoint())?;
        let note = LogHead { note: own_lines(&proof.head, &rule)?, since_s: head.since(rule.witness_threshold) };
        Ok(Heard { head: note, checkpoint: head.checkpoint().clone(), revocations: proof.revocations })
    }

    /// What the head says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// How many revocations it names.
    pub fn revoked(&self) -> u64 {
        self.checkpoint.revoked.map_or(0, |(count, _)| count)
    }

    /// Whether it says more than `other`, which is of the same log: more entries, or as many and more revocations, and in either case every revocation of the other one. A
    /// head that takes one back is a lie, and nothing to forget the other for.
    pub fn says_more_than(&self, other: &Heard) -> bool {
        let more = (self.checkpoint.size, self.revoked()) > (other.checkpoint.size, other.revoked());
        more && other.checkpoint.revoked.is_none_or(|(count, list)| self.revocations.digest_of_first(count) == Some(list))
    }

    /// Whether `proof` (exact bytes), which proves `build` as the hardware reported it (`ran`), still does for somebody who heard this. An older head passes, unless
    /// the witnesses of this one cosigned it later; a revocation this head names does not.
    pub fn allows(&self, proof: &[u8], rule: &ReleaseSigners, build: &Measurement, ran: &Ran) -> Result<(), ReleaseError> {
        let rule = Rule::read(rule).map_err(ReleaseError::Rule)?;
        let Some((known, last)) = known(Some(&self.head), &rule)? else { return Ok(()) };
        let proof = ReleaseProof::decode(proof).map_err(ReleaseError::Malformed)?;
        let head = checkpoint(text(&proof.head)?, &rule.log)?;
        match continues(&proof, &rule, &head, (&known, last)) {
            Ok(()) | Err(ReleaseError::HeadOlder { .. }) => {}
            // It has more entries: its list of revocations begins with this one whatever leads from one to the other.
            Err(ReleaseError::HeadUnknown { .. }) => revoked_by_now(&proof, (&known, last), Default::default())?,
            Err(lied) => return Err(lied),
        }
        revoked(&self.revocations, build, ran)
    }
}
