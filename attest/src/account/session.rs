//! The tables of [`SessionError`]: an answer that does not make the other side a peer of this session.
//!
//! Decides: stage, finding, advice, found and expected of each variant; what the evidence itself was refused for speaks for itself.
//! Trusts: the facts in the error. Out of scope: evidence (`account/verify.rs`, `account/rejection.rs`). Protocol section 3.

use super::{Advice, Facts, Finding, Ruling};
use crate::session::SessionError;
use crate::step::{Stage, date};
use alloc::format;
use ringwall_wire::genesis::BootCluster;

impl SessionError {
    pub(super) fn ruling(&self) -> Ruling {
        use Advice::{CompareCard, DoNotUse, UpdatePolicy};
        use Finding::{Bad, CannotTell};
        use SessionError as S;
        match self {
            S::OtherCluster { .. } | S::OtherTrustDomain { .. } | S::BootCluster { .. } => (Stage::Cluster, Bad, CompareCard),
            S::OtherPolicy { .. } | S::PolicyTooOld { .. } | S::PolicyContradicts { .. } => (Stage::Cluster, Bad, DoNotUse),
            S::PolicyUnrelated { .. } | S::Steps(_) | S::StepsLeadElsewhere { .. } => (Stage::Cluster, Bad, DoNotUse),
            S::FoundingPolicyMissing { .. } => (Stage::Cluster, CannotTell, CompareCard),
            S::IncarnationUnfit { .. } | S::BootConfig(_) => (Stage::Cluster, Bad, DoNotUse),
            S::SlotUnknown { .. } | S::SlotVendor { .. } => (Stage::Cluster, Bad, UpdatePolicy),
            S::OtherRole { .. } | S::OtherNoiseKey { .. } | S::BatchPath { .. } => (Stage::Binding, Bad, DoNotUse),
            S::WeakerMode { .. } | S::StandingNotOffered | S::StandingForRole { .. } => (Stage::Binding, Bad, DoNotUse),
            S::StandingSignature => (Stage::Binding, Bad, DoNotUse),
            S::StandingPeriod { .. } => (Stage::Binding, CannotTell, Advice::CompareClocks),
            S::Verify(error) => error.ruling(),
            S::Rejected(rejection) => rejection.ruling(),
        }
    }

    pub(super) fn facts(&self) -> Facts {
        use SessionError as S;
        match self {
            S::OtherCluster { got, pinned } => (format!("cluster {got}"), format!("cluster {pinned}")),
            S::OtherPolicy { got, named } => (format!("policy {got}"), format!("policy {named}, which the founding record names")),
            S::PolicyTooOld { got, required } => (format!("policy version {got}"), format!("version {required} or later")),
            S::PolicyUnrelated { got, held } => (format!("policy {got}"), format!("policy {held}, or changes that lead on from it")),
            S::FoundingPolicyMissing { changes } => {
                (format!("{changes} changes of the policy"), "the founding policy before them, or on the card it is judged with".into())
            }
            S::Steps(error) => {
                (format!("changes of the policy that do not hold: {error}"), "changes that hold, each after the one before".into())
            }
            S::StepsLeadElsewhere { lead, got } => (format!("policy {got}"), format!("policy {lead}, to which the changes lead")),
            S::PolicyContradicts { what } => (format!("different {what} in founding record and policy"), "the same".into()),
            S::OtherTrustDomain { got, required } => (format!("trust domain {got:?}"), format!("trust domain {required:?}")),
            S::OtherRole { got, required } => (format!("evidence for the part {got:?}"), format!("evidence for {required:?}")),
            S::OtherNoiseKey { got, required } => (format!("evidence for key {got}"), format!("{required}, the key of this session")),
            S::IncarnationUnfit { got, role, epoch } => (format!("incarnation {got}"), format!("one that fits {role:?} in epoch {epoch}")),
            S::BatchPath { index, leaves, hashes } => {
                (format!("leaf {index} of {leaves} with {hashes} hashes"), "exactly the hashes its place demands".into())
            }
            S::WeakerMode { asked, got } => (format!("a session proved in mode {got:?}"), format!("mode {asked:?}, or a stronger one")),
            S::StandingNotOffered => {
                ("a standing key".into(), "evidence for this session, since the policy offers no standing keys".into())
            }
            S::StandingForRole { role } => (format!("a standing key for the part {role:?}"), "evidence for this session".into()),
            S::StandingPeriod { start_s, now_s, period_s } => (
                format!("a period of {period_s} s from {}", date(*start_s)),
                format!("one that includes {}, by the clock used here", date(*now_s)),
            ),
            S::StandingSignature => ("a signature that does not verify".into(), "the standing key's signature over this session".into()),
            S::BootConfig(error) => (format!("a boot configuration that cannot be read: {error}"), "a boot configuration".into()),
            S::BootCluster { got } => {
                let started = match got {
                    BootCluster::Found(template) => format!("a node started to found a cluster from template {template}"),
                    BootCluster::Join(cluster) => format!("a node started for cluster {cluster}"),
                };
                (started, "one started for this cluster".into())
            }
            S::SlotUnknown { got } => (format!("slot {got}"), "a slot of the policy".into()),
            S::SlotVendor { slot, got } => (format!("{got} hardware"), format!("hardware that slot {slot} is for")),
            S::Verify(error) => error.facts(),
            S::Rejected(rejection) => rejection.facts(),
        }
    }
}
