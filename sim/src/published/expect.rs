//! What a case's `expect` word demands of a verdict, and which exceptions from the strict policy a case may state.
//!
//! Decides: the meaning of each word, and the closed list of exceptions. An exception is granted only when a refusal asks for it and the case
//! states it, in a fact or in its reason. Trusts: the case. Out of scope: judging (`judge.rs`). docs/conformance.md, "Verdicts".

use super::case::Case;
use crate::strict::GUEST_POLICY_KNOWN;
use ringwall_attest::Rejection;
use ringwall_wire::policy::{PolicyDoc, TdxTcbStatus};
use std::fmt;

/// The verdict a case states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Genuine, and acceptable to the strict policy.
    Accept,
    /// Refused, by whatever layer.
    Reject,
    /// Genuine; a stated choice of policy decides.
    AcceptWithPolicy,
    /// Either verdict is defensible.
    RejectOrAccept,
    /// Incomplete: may parse, and is never accepted.
    ParseOnly,
}

impl Expect {
    /// The verdict of a word; hyphens, underscores and capitals do not matter.
    pub fn of_word(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().replace(['_', ' '], "-").as_str() {
            "accept" => Some(Expect::Accept),
            "reject" => Some(Expect::Reject),
            "accept-with-policy" => Some(Expect::AcceptWithPolicy),
            "reject-or-accept" | "accept-or-reject" => Some(Expect::RejectOrAccept),
            "parse-only" => Some(Expect::ParseOnly),
            _ => None,
        }
    }

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Expect::Accept => "accept",
            Expect::Reject => "reject",
            Expect::AcceptWithPolicy => "accept-with-policy",
            Expect::RejectOrAccept => "reject-or-accept",
            Expect::ParseOnly => "parse-only",
        }
    }
}

/// One rule of the strict policy, loosened as far as one report or quote needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// This word of Intel's is accepted besides UpToDate.
    Status(TdxTcbStatus),
    /// A provider's key may sign.
    Vlek,
    /// Reports of this privilege level.
    Vmpl(u32),
    /// These bits of the guest policy.
    GuestPolicy(u64),
    /// These bits of PLATFORM_INFO.
    Platform(u64),
    /// These attributes of the TD.
    TdAttributes(u64),
}

impl Exception {
    /// The exception under which this refusal would not have happened, if a policy can make one.
    pub fn against(rejection: &Rejection) -> Option<Self> {
        match *rejection {
            Rejection::StatusNotAccepted { reported, .. } => Some(Exception::Status(reported)),
            Rejection::VlekNotAccepted => Some(Exception::Vlek),
            Rejection::Vmpl { reported, .. } => Some(Exception::Vmpl(reported)),
            Rejection::GuestPolicyBitsForbidden { reported, .. } => Some(Exception::GuestPolicy(reported & !0xffff & !GUEST_POLICY_KNOWN)),
            Rejection::PlatformBitsForbidden { reported, allowed } => Some(Exception::Platform(reported & !allowed)),
            Rejection::TdAttributesForbidden { reported, allowed } => Some(Exception::TdAttributes(reported & !allowed)),
            _ => None,
        }
    }

    /// Loosens the policy by this and nothing else.
    pub fn apply(self, policy: &mut PolicyDoc) {
        match self {
            Exception::Status(status) => policy.tdx.statuses.push(status).expect("fewer statuses than a policy holds"),
            Exception::Vlek => policy.snp.allow_vlek = true,
            Exception::Vmpl(vmpl) => policy.snp.vmpl = vmpl,
            Exception::GuestPolicy(bits) => policy.snp.policy_allowed |= bits,
            Exception::Platform(bits) => policy.snp.platform_allowed |= bits,
            Exception::TdAttributes(bits) => policy.tdx.attributes_allowed |= bits,
        }
    }

    /// Whether the case states what the exception is about: as a fact of the evidence, or in words.
    pub fn stated(self, case: &Case) -> bool {
        let says = |word: &str| case.words().contains(&word.to_ascii_lowercase());
        let fact = |key: &str| case.number(key);
        match self {
            Exception::Status(status) => says(status_word(status)),
            Exception::Vlek => case.text("signer").eq_ignore_ascii_case("vlek") || says("vlek"),
            Exception::Vmpl(vmpl) => fact("vmpl") == Some(u64::from(vmpl)) || says("vmpl"),
            Exception::GuestPolicy(bits) => fact("policy").is_some_and(|stated| stated & bits == bits),
            Exception::Platform(bits) => fact("platform_info").is_some_and(|stated| stated & bits == bits),
            // case.json gives attributes as the eight bytes stand in the quote
            Exception::TdAttributes(bits) => case.little_endian("td_attributes").is_some_and(|stated| stated & bits == bits),
        }
    }
}

/// Intel's own spelling.
fn status_word(status: TdxTcbStatus) -> &'static str {
    match status {
        TdxTcbStatus::UpToDate => "UpToDate",
        TdxTcbStatus::SwHardeningNeeded => "SWHardeningNeeded",
        TdxTcbStatus::ConfigurationNeeded => "ConfigurationNeeded",
        TdxTcbStatus::ConfigurationAndSwHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
        TdxTcbStatus::OutOfDate => "OutOfDate",
        TdxTcbStatus::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
        TdxTcbStatus::RelaunchAdvised => "TDRelaunchAdvised",
        TdxTcbStatus::RelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exception::Status(status) => write!(out, "status {}", status_word(*status)),
            Exception::Vlek => write!(out, "VLEK"),
            Exception::Vmpl(vmpl) => write!(out, "VMPL {vmpl}"),
            Exception::GuestPolicy(bits) => write!(out, "guest policy bits {bits:#x}"),
            Exception::Platform(bits) => write!(out, "platform bits {bits:#x}"),
            Exception::TdAttributes(bits) => write!(out, "TD attributes {bits:#x}"),
        }
    }
}
