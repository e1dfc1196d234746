//! How a refusal is read by people: at which question it stands, whether the node is bad or nobody can tell, expected, found, what to do.
//!
//! Decides: for every variant of [`VerifyError`], [`Rejection`] and [`SessionError`], in exhaustive tables without a catch-all, so that a new
//! variant forces each of these decisions. *Bad*: something that is there contradicts a signature, a rule or what was asked. *Cannot tell*:
//! something is missing, out of date, or unknown to this version, and nothing that is there contradicts. Neither is ever an acceptance.
//! Trusts: nothing. Out of scope: whether something is refused (the functions that verify and appraise). Protocol section 2.2.

mod rejection;
mod release;
mod session;
mod verify;

use crate::error::VerifyError;
use crate::rejection::Rejection;
use crate::release::ReleaseError;
use crate::session::SessionError;
use crate::step::Stage;
use alloc::string::String;

/// What a refusal says of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// The node proved something false or forbidden, or what it gave contradicts itself.
    Bad,
    /// The judge lacks what it needs: something is absent, out of date or unknown to this version. Refused all the same.
    CannotTell,
}

impl Finding {
    /// Stable name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Finding::Bad => "bad",
            Finding::CannotTell => "cannot-tell",
        }
    }
}

impl core::fmt::Display for Finding {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            Finding::Bad => "bad",
            Finding::CannotTell => "cannot tell",
        })
    }
}

/// What a person does about a refusal. None of it ends in using the node as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Advice {
    /// Leave it alone.
    DoNotUse,
    /// The vendor's statements are missing, old or another machine's.
    RefreshEndorsements,
    /// Something is not in force at this time.
    CompareClocks,
    /// This version does not know the format or cannot verify the proof.
    UpdateProgram,
    /// The policy does not name it.
    UpdatePolicy,
    /// Firmware is too old.
    UpdateFirmware,
    /// The machine or the guest has settings the policy does not accept.
    ChangeSettings,
    /// The software is too old.
    UpdateBuild,
    /// There is no proof of release.
    AskForProof,
    /// The proof of release is older than what is known.
    RefreshProof,
    /// It is another cluster.
    CompareCard,
}

impl Advice {
    /// All of them.
    pub const ALL: [Advice; 11] = [
        Advice::DoNotUse,
        Advice::RefreshEndorsements,
        Advice::CompareClocks,
        Advice::UpdateProgram,
        Advice::UpdatePolicy,
        Advice::UpdateFirmware,
        Advice::ChangeSettings,
        Advice::UpdateBuild,
        Advice::AskForProof,
        Advice::RefreshProof,
        Advice::CompareCard,
    ];

    /// Stable name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Advice::DoNotUse => "do-not-use",
            Advice::RefreshEndorsements => "refresh-endorsements",
            Advice::CompareClocks => "compare-clocks",
            Advice::UpdateProgram => "update-program",
            Advice::UpdatePolicy => "update-policy",
            Advice::UpdateFirmware => "update-firmware",
            Advice::ChangeSettings => "change-settings",
            Advice::UpdateBuild => "update-build",
            Advice::AskForProof => "ask-for-proof",
            Advice::RefreshProof => "refresh-proof",
            Advice::CompareCard => "compare-card",
        }
    }

    /// What to do, as a sentence without a full stop.
    pub const fn words(self) -> &'static str {
        match self {
            Advice::DoNotUse => "do not use this node; keep this output and show it to the people who answer for the cluster",
            Advice::RefreshEndorsements => {
                "ask the node's operator to refresh its endorsements (the CPU maker's certificates, revocation lists and statements); do not \
                 use the node before that"
            }
            Advice::CompareClocks => {
                "compare this machine's clock with another one; if it is right, ask the node's operator to refresh its endorsements; do not \
                 use the node before that"
            }
            Advice::UpdateProgram => "use a newer version of this program; do not use the node before one has judged it",
            Advice::UpdatePolicy => {
                "if this is meant to be part of the cluster, update the client's policy: ask the founders for a card whose policy names it; \
                 if it is not, do not use this node"
            }
            Advice::UpdateFirmware => "ask the node's operator to update the machine's firmware; do not use the node before that",
            Advice::ChangeSettings => {
                "ask the node's operator to start it with the settings the policy demands; do not use the node before that"
            }
            Advice::UpdateBuild => "ask the node's operator to start a newer build; do not use the node before that",
            Advice::AskForProof => {
                "ask the node's operator for the proof that its build was published; do not use the node before it comes with one"
            }
            Advice::RefreshProof => {
                "try another node, or ask this node's operator to staple a newer proof of release with the log's newest checkpoint; do not use \
                 the node before that"
            }
            Advice::CompareCard => {
                "compare the cluster card, or the cluster id, and the address with what the founders gave you; if they are right, do not use \
                 this node"
            }
        }
    }
}

impl core::fmt::Display for Advice {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(self.words())
    }
}

/// Stage, finding and advice of one refusal.
type Ruling = (Stage, Finding, Advice);
/// Found and expected of one refusal.
type Facts = (String, String);

macro_rules! accounts {
    ($($error:ty),* $(,)?) => {$(
        impl $error {
            /// The question at which it was refused.
            pub fn stage(&self) -> Stage {
                self.ruling().0
            }

            /// Whether the node is bad, or nobody can tell. Never an acceptance.
            pub fn finding(&self) -> Finding {
                self.ruling().1
            }

            /// What a person does about it.
            pub fn advice(&self) -> Advice {
                self.ruling().2
            }

            /// What was found, as text.
            pub fn found(&self) -> String {
                self.facts().0
            }

            /// What was expected in its place, as text.
            pub fn expected(&self) -> String {
                self.facts().1
            }
        }
    )*};
}
accounts!(VerifyError, Rejection, SessionError, ReleaseError);
