//! How a node becomes a member: request, endorsement, admission, key grant, catch-up proof.
//!
//! Decides: the messages between a joiner and a member and the commands they lead to. Protocol section 4.
//! Trusts: nothing. Out of scope: who decides (`node`), what is replicated (`command.rs`).

use crate::bounded::{Blob, List, Text};
use crate::codec::{Message as _, enc};
use crate::ids::{BootKeys, ClusterId, Digest, Epoch, Incarnation, KeyEpoch, Nonce, Signature, Slot, Vendor};
use crate::label::Label;
use crate::limits::{ADMISSION_LINKS, SLOTS};
use crate::order::ReplaceOrder;
use crate::peer::NamedMember;
use crate::secret::Secret;
use crate::session::Refusal;
use crate::{choice, message, record};

message! {
    /// What an incarnation is, as the log records it.
    pub struct IncarnationCert = IncarnationCert {
        /// Its place.
        pub slot: Slot,
        /// Its keys.
        pub keys: BootKeys,
        /// Its CPU's vendor.
        pub vendor: Vendor,
        /// SHA-256 of its chip or platform id.
        pub chip: Digest,
        /// Name of the measured release.
        pub measurement: Text<64>,
        /// SHA-256 of its boot configuration.
        pub boot_config: Digest,
        /// Where it answers members; a hint.
        pub peer_address: Text<128>,
        /// Where it answers clients; a hint.
        pub client_address: Text<128>,
    }
}

message! {
    /// Asks to be admitted; sent on an attested session, so the evidence was already judged by the receiver.
    pub struct JoinRequest = JoinRequest {
        /// What the joiner says of itself; the receiver compares it with what was attested.
        pub cert: IncarnationCert,
        /// The governors' order to replace the slot's incumbent although it answers, if the joiner was given one.
        pub order: Option<ReplaceOrder>,
    }
}

choice! {
    /// The answer to a join request.
    pub enum JoinAnswer {
        /// Admitted: the incarnation, the keys, the members.
        1 => Granted(Box<KeyGrant>),
        /// Ask the leader.
        2 => Elsewhere(Text<128>),
        /// No.
        3 => Refused(Refusal),
    }
}

use alloc::boxed::Box;
use alloc::vec::Vec;

message! {
    /// The answer, on the attested session.
    pub struct JoinReply = JoinReply {
        /// What came of it.
        pub answer: JoinAnswer,
    }
}

message! {
    /// Keys and place of an admitted node; sent only after the admission was applied.
    pub struct KeyGrant = KeyGrant {
        /// Who the joiner is from now on.
        pub incarnation: Incarnation,
        /// Epoch.
        pub epoch: Epoch,
        /// Master keys that are alive.
        pub master_keys: List<GrantedKey, 16>,
        /// Live incarnations as of the grant: whom the joiner believes until its own record says otherwise.
        pub members: List<NamedMember, { 2 * SLOTS }>,
        /// Slots that had a voter then.
        pub voting: List<Slot, SLOTS>,
        /// The joiner's own admission, which it shows to members that have not heard of it.
        pub admission: Option<AdmissionLink>,
    }
}

record! {
    /// One generation of the master key.
    pub struct GrantedKey {
        /// Which.
        pub key_epoch: KeyEpoch,
        /// The key.
        pub key: Secret<32>,
    }
}

message! {
    /// Proposes to admit a joiner.
    pub struct AdmitPropose = AdmitPropose {
        /// Who.
        pub cert: IncarnationCert,
        /// SHA-256 of the attestation answer that was judged.
        pub evidence: Digest,
        /// Opens the nonce the joiner's evidence was asked with.
        pub nonce: Nonce,
        /// The incarnation it replaces; 0 for none.
        pub replaces: Incarnation,
        /// The order it was proposed with, where the incumbent was not asked whether it answers.
        pub order: Option<ReplaceOrder>,
    }
}

message! {
    /// One voter's verdict over a joiner, after its own verification.
    pub struct Endorse = Endorse {
        /// Log index of the proposal.
        pub admit_index: u64,
        /// Who says it.
        pub by: Incarnation,
        /// Whether the evidence satisfied the policy.
        pub accepts: bool,
        /// Signature over `enc("endorse-signed", cluster_id, admit_index, cert digest, evidence digest, accepts)`.
        pub signature: Signature,
    }
}

impl Endorse {
    /// What the signature of a verdict over `propose`, proposed at `admit_index`, is made over: the one form for who gives it, who
    /// proposes it and who applies it.
    pub fn signed_bytes(cluster_id: &ClusterId, admit_index: u64, propose: &AdmitPropose, accepts: bool) -> Vec<u8> {
        signed_words(cluster_id, admit_index, &propose.cert, &propose.evidence, accepts)
    }
}

impl AdmissionProof {
    /// Shows nothing.
    pub fn none() -> Self {
        AdmissionProof { links: List::default() }
    }
}

impl AdmissionLink {
    /// What every verdict of the link signs: the words of an accepting [`Endorse`].
    pub fn signed_bytes(&self, cluster_id: &ClusterId) -> Vec<u8> {
        signed_words(cluster_id, self.admit_index, &self.cert, &self.admission.evidence, true)
    }
}

fn signed_words(cluster_id: &ClusterId, admit_index: u64, cert: &IncarnationCert, evidence: &Digest, accepts: bool) -> Vec<u8> {
    let fields: [&[u8]; 5] = [&cluster_id.0, &admit_index.to_be_bytes(), &cert.digest(), &evidence.0, &[u8::from(accepts)]];
    enc(Label::EndorseSigned, &fields)
}

record! {
    /// A voter's acceptance, as it is shown: the rest of its [`Endorse`] stands beside it.
    #[derive(Copy)]
    pub struct Verdict {
        /// Who accepted.
        pub by: Incarnation,
        /// The signature of its [`Endorse`].
        pub signature: Signature,
    }
}

record! {
    /// What an admission was decided by: kept on record beside the incarnation.
    pub struct Admission {
        /// Log index at which it was decided.
        pub at: u64,
        /// SHA-256 of the attestation answer that was judged.
        pub evidence: Digest,
        /// The acceptances that counted.
        pub verdicts: List<Verdict, { 2 * SLOTS }>,
    }
}

record! {
    /// One admission, as shown to somebody who has not heard of it.
    pub struct AdmissionLink {
        /// Log index of the proposal, which names the incarnation.
        pub admit_index: u64,
        /// What was admitted.
        pub cert: IncarnationCert,
        /// By what.
        pub admission: Admission,
    }
}

message! {
    /// Admissions in the order in which the log decided them, up to the incarnation that shows them. Protocol section 4.4, AP1 to AP7.
    pub struct AdmissionProof = AdmissionProof {
        /// The admissions.
        pub links: List<AdmissionLink, ADMISSION_LINKS>,
    }
}

message! {
    /// Admits a proposed joiner.
    pub struct AdmitCommit = AdmitCommit {
        /// Log index of the proposal.
        pub admit_index: u64,
    }
}

message! {
    /// Shows that a learner holds the same state as the leader.
    pub struct CatchUpProof = CatchUpProof {
        /// Who.
        pub incarnation: Incarnation,
        /// Applied log index.
        pub applied_index: u64,
        /// Digest of the state at that index.
        pub state_digest: Digest,
        /// Signature over `enc("catch-up-signed", ...)` of everything above.
        pub signature: Signature,
    }
}

/// Evidence of a joiner, forwarded to the voters who endorse it.
pub type ForwardedEvidence = Blob<{ crate::limits::ATTEST_MESSAGE_BYTES }>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample as _, Source};

    #[test]
    fn a_link_signs_the_words_of_the_endorsements_it_repeats() {
        let mut source = Source::new(11);
        let (cluster, propose) = (ClusterId::sample(&mut source), AdmitPropose::sample(&mut source));
        let admission = Admission { at: 12, evidence: propose.evidence, verdicts: List::default() };
        let link = AdmissionLink { admit_index: 9, cert: propose.cert.clone(), admission };
        assert_eq!(link.signed_bytes(&cluster), Endorse::signed_bytes(&cluster, 9, &propose, true));
        assert_ne!(link.signed_bytes(&cluster), Endorse::signed_bytes(&cluster, 9, &propose, false));
        assert_ne!(link.signed_bytes(&cluster), Endorse::signed_bytes(&cluster, 8, &propose, true));
    }
}
