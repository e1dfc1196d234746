//! What an attempt is begun with: whom to look for, who asks, and what for.
//!
//! Decides: a device's key is here, or signs elsewhere; either way the same words are signed. Trusts: whoever fills it in. Out of scope: the attempt (`opening.rs`).
//! Protocol sections 3.1 and 9.

use crate::credential::Credential;
use ringwall_attest::Anchors;
use ringwall_wire::ids::{ClientId, ClusterId, CredPublic, PolicyVersion, UserId};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::AttestMode;
use std::sync::Arc;

/// The time of whoever drives an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that only goes forward, from any origin.
    pub ms: u64,
    /// Unix seconds: evidence is judged as of then.
    pub s: u64,
}

/// What all attempts of one client have in common.
pub struct Terms {
    /// The cluster; sessions with any other are refused.
    pub cluster_id: ClusterId,
    /// Roots of trust.
    pub anchors: Arc<Anchors>,
    /// How sessions are bound to evidence.
    pub attest: AttestMode,
    /// Least policy version; later versions that were seen raise it.
    pub min_policy_version: PolicyVersion,
    /// For whom.
    pub user: UserId,
    /// Who signs for them.
    pub device: Device,
    /// The seed of the user's recovery key, on a device that is not on the user's record yet.
    pub restore: Option<Secret<32>>,
}

impl core::fmt::Debug for Terms {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Terms({} for {} by {:?})", self.cluster_id, self.user, self.device)
    }
}

/// The key of a device.
#[derive(Clone, Debug)]
pub enum Device {
    /// It is here.
    Key(Credential),
    /// Its private half is elsewhere, and signs what it is shown ([`super::Step::Sign`]).
    Elsewhere(CredPublic),
}

impl Device {
    /// The public half.
    pub fn public(&self) -> CredPublic {
        match self {
            Device::Key(credential) => credential.public(),
            Device::Elsewhere(public) => *public,
        }
    }
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// A judgement; the node is left then.
    Examine,
    /// A session of which no user is said anything.
    Visit,
    /// The user's session.
    User {
        /// The name writes are numbered under.
        client: ClientId,
    },
}
