//! Entering a namespace: which of the user's keys take part, and what the node is told of them.
//!
//! Decides: in dual mode the node in use gets the user's part of this namespace's keys, in user mode a commitment and nothing else, in cluster mode nothing; what a
//! refusal means. Trusts: `keys`. Out of scope: keeping a part for the sessions to come (`lane.rs`). Protocol sections 7.2 to 7.4.

use super::answer_name;
use super::space::{Space, namespace_name};
use super::user_mode::UserMode;
use crate::asked::Failure;
use crate::error::NamespaceError;
use rand_core::CryptoRng;
use ringwall_keys::UserKey;
use ringwall_keys::user::commitment;
use ringwall_wire::ids::{ClusterId, UserId};
use ringwall_wire::request::{Answer, KeyMode, Op, OpenNamespace, Unlock};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::sync::Arc;

/// For whom a namespace is entered, and where.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The cluster.
    pub cluster_id: &'a ClusterId,
    /// The user.
    pub user: &'a UserId,
    /// The user's own key, if the client was given it.
    pub user_key: Option<&'a UserKey>,
}

/// What is asked to enter a namespace.
#[derive(Debug)]
pub struct Entering {
    /// The first question.
    pub open: Op,
    /// In dual mode, what is kept for every later session, and asked after the first was answered.
    pub unlock: Option<Unlock>,
    /// The namespace, once all was answered.
    pub space: Space,
}

/// Enters the namespace `name` in a key mode; `make` makes one that does not exist. In user mode `rng` is the generator its ivs are made with.
pub fn enter(
    owner: Owner<'_>,
    name: &str,
    mode: KeyMode,
    make: bool,
    rng: impl FnOnce() -> Box<dyn CryptoRng + Send>,
) -> Result<Entering, NamespaceError> {
    let namespace = namespace_name(name)?;
    let Owner { cluster_id, user, user_key } = owner;
    let key = || user_key.ok_or(NamespaceError::NoUserKey { mode });
    let (commit, part, user_mode) = match mode {
        KeyMode::Cluster => (None, None, None),
        KeyMode::Dual => {
            let part = key()?.part(cluster_id, user, &namespace);
            (Some(commitment(cluster_id, mode, &part)), Some(part), None)
        }
        KeyMode::User => {
            let space = key()?.space(cluster_id, user, &namespace);
            (Some(space.commitment()), None, Some(Arc::new(UserMode::new(space, rng()))))
        }
    };
    let ask = if make { Op::OpenNamespace } else { Op::FindNamespace };
    let open = ask(OpenNamespace { namespace: namespace.clone(), mode, commit });
    let unlock = part.map(|part| Unlock { namespace: namespace.clone(), part });
    Ok(Entering { open, unlock, space: Space::new(namespace, user_mode) })
}

/// Whether a question of [`Entering`] was answered well.
pub fn entered(outcome: Result<Answer, Failure>) -> Result<(), NamespaceError> {
    match outcome {
        Ok(Answer::Opened(_)) => Ok(()),
        Ok(other) => Err(NamespaceError::Nonsense(answer_name(&other).into())),
        Err(Failure::Refused(refusal)) => Err(refused(refusal)),
        Err(Failure::Session(fault)) => Err(NamespaceError::Session(fault)),
        Err(Failure::OutcomeUnknown { cause, .. }) => Err(NamespaceError::Nonsense(cause)),
    }
}

/// Why a namespace was not opened.
fn refused(refusal: Refusal) -> NamespaceError {
    let detail = refusal.detail.to_string();
    match refusal.code {
        RefusalCode::OtherMode => NamespaceError::OtherMode { detail },
        RefusalCode::OtherUserKey => NamespaceError::OtherUserKey { detail },
        RefusalCode::NoNamespace => NamespaceError::NoNamespace { detail },
        _ => NamespaceError::Refused(refusal),
    }
}
