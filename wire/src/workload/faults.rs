//! Why a workload is not granted a key, and why a grant policy is not taken: closed tables of codes and of words.
//!
//! Decides: the codes, which are stable, and one sentence for each: what is wrong and what to do. Trusts: nothing.
//! Out of scope: which of them applies (`attest`, `consensus`). Protocol section 10.

use crate::choice;
use crate::order::OrderFault;

choice! {
    /// Why a workload is not granted a key. Codes are stable.
    #[derive(Copy, PartialOrd, Ord, Hash)]
    pub enum GrantFault {
        /// The evidence is not genuine, or nobody can tell.
        1 => NotGenuine,
        /// The evidence leads to roots of another trust domain.
        2 => OtherRoots,
        /// The evidence was made for another session.
        3 => OtherSession,
        /// No accepted build was measured.
        4 => Measurement,
        /// The guest may be debugged.
        5 => Debug,
        /// Firmware, module or collateral is below the floor, or its status is not accepted.
        6 => TcbTooOld,
        /// Chip, platform or family is not accepted.
        7 => Chip,
        /// It was started with another configuration, or with none.
        8 => HostData,
        /// Another rule about the guest's or the machine's settings is broken.
        9 => Settings,
        /// There is no such key.
        10 => NoKey,
        /// As many grants as the policy allows were given in this minute.
        11 => RateLimited,
        /// The policy changed while the evidence was judged.
        12 => PolicyChanged,
        /// No evidence was shown in this session.
        13 => NoEvidence,
        /// The lease of the cluster's own policy is over.
        14 => LeaseOver,
    }
}

impl GrantFault {
    /// All of them, for tables.
    pub const ALL: [GrantFault; 14] = [
        GrantFault::NotGenuine,
        GrantFault::OtherRoots,
        GrantFault::OtherSession,
        GrantFault::Measurement,
        GrantFault::Debug,
        GrantFault::TcbTooOld,
        GrantFault::Chip,
        GrantFault::HostData,
        GrantFault::Settings,
        GrantFault::NoKey,
        GrantFault::RateLimited,
        GrantFault::PolicyChanged,
        GrantFault::NoEvidence,
        GrantFault::LeaseOver,
    ];

    /// The code people and programs see.
    pub fn code(self) -> &'static str {
        match self {
            GrantFault::NotGenuine => "NOT_GENUINE",
            GrantFault::OtherRoots => "OTHER_ROOTS",
            GrantFault::OtherSession => "OTHER_SESSION",
            GrantFault::Measurement => "MEASUREMENT",
            GrantFault::Debug => "DEBUG",
            GrantFault::TcbTooOld => "TCB_TOO_OLD",
            GrantFault::Chip => "CHIP",
            GrantFault::HostData => "HOST_DATA",
            GrantFault::Settings => "SETTINGS",
            GrantFault::NoKey => "NO_KEY",
            GrantFault::RateLimited => "RATE_LIMITED",
            GrantFault::PolicyChanged => "POLICY_CHANGED",
            GrantFault::NoEvidence => "NO_EVIDENCE",
            GrantFault::LeaseOver => "LEASE_OVER",
        }
    }

    /// What is wrong and what to do, for people.
    pub fn words(self) -> &'static str {
        match self {
            GrantFault::NotGenuine => "the evidence does not verify under the cluster's roots; look at chain, dates and revocation lists",
            GrantFault::OtherRoots => "the evidence leads to roots of another trust domain; use a cluster of the machine's own",
            GrantFault::OtherSession => "the evidence was made for another session; collect it for this session's report data",
            GrantFault::Measurement => "the measured build is none the grant policy names; start one it names, or have the policy changed",
            GrantFault::Debug => "the guest may be debugged, so its host can read its memory; start it without debugging",
            GrantFault::TcbTooOld => "firmware, module or collateral is below the policy's floor; update the machine",
            GrantFault::Chip => "chip, platform or family is none the grant policy names; use another machine, or have the policy changed",
            GrantFault::HostData => "the guest was started with a configuration the grant policy does not name, or with none",
            GrantFault::Settings => "a setting of the guest or of its machine breaks a rule of the grant policy; the node's log names it",
            GrantFault::NoKey => "there is no workload key of this name; have the governors create it",
            GrantFault::RateLimited => "as many grants as the policy allows were given in this minute; try again later",
            GrantFault::PolicyChanged => "the grant policy changed while the evidence was judged; ask again",
            GrantFault::NoEvidence => "no evidence was shown in this session; attest first",
            GrantFault::LeaseOver => "the lease of the cluster's policy is over: no key is granted until the governors renew it",
        }
    }
}

choice! {
    /// Why a grant policy is not taken.
    #[derive(Copy)]
    pub enum SetFault {
        /// The governors' signatures, or the cluster.
        1 => Order(OrderFault),
        /// It does not follow the policy in force: another one was set, or it makes a key that is there.
        2 => NotNext,
        /// What was signed is no grant policy, or its name is none.
        3 => Malformed,
        /// There are as many workload keys as a cluster may have.
        4 => TooManyKeys,
        /// It changes a key that is not there.
        5 => NoKey,
        /// The key is wrapped under a master key that is over, or that no entry named yet.
        6 => OtherMasterKey,
    }
}

impl SetFault {
    /// What is wrong and what to do, for people.
    pub fn words(self) -> &'static str {
        match self {
            SetFault::Order(OrderFault::NoGovernors) => {
                "this cluster's policy names no governors, or fewer than must sign: workload keys cannot be created here"
            }
            SetFault::Order(OrderFault::OtherCluster) => "the order is for another cluster; have one made from this cluster's card",
            SetFault::Order(OrderFault::Stranger) => "a key signed that is none of the governors; sign again without it",
            SetFault::Order(OrderFault::BadSignature) => "a signature does not verify over this order: the file was changed; sign again",
            SetFault::Order(_) => "too few governors signed the order; one that signed twice counts once",
            SetFault::NotNext => "the order does not follow the grant policy in force: make it again from that one",
            SetFault::Malformed => "what was signed is no grant policy; make it with `ringwall workload-key order`",
            SetFault::TooManyKeys => "the cluster has as many workload keys as it may have",
            SetFault::NoKey => "there is no workload key of this name; its first order says so with --first",
            SetFault::OtherMasterKey => "the master key was rotated meanwhile: bring the same order again",
        }
    }
}
