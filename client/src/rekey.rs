//! Another user key: what a namespace holds under the old one is moved, sealed anew, into a namespace under the new one.
//!
//! Decides: a namespace is bound to one user key for ever, and the name of an erased one is not used again, so the new one has another name. Everything is read
//! under the old key, written under the new one, and then looked at once more: only if nothing was written to the old namespace meanwhile is the move
//! called whole, and only then is the old one erased where that was asked. A key that holds the same value already counts as moved, so a run that broke off is
//! repeated and goes on. Times to live are not shown to clients: what had one lives for ever afterwards.
//! Trusts: the session. Out of scope: which namespaces a user has (the cluster does not know their names), the key files (`user_key.rs`). Protocol section 7.4.

use crate::client::Client;
use crate::error::{NamespaceError, ReadError, WriteError};
use crate::namespace::{NamespaceHandle, PutOptions};
use futures_util::StreamExt as _;
use futures_util::stream;
use ringwall_keys::UserKey;
use ringwall_wire::ids::Revision;
use ringwall_wire::request::{Expect, KeyMode};
use std::collections::BTreeMap;

/// Records under way at once.
const AHEAD: usize = 32;
/// How often a write whose outcome is not known is tried: it finds what it has stored itself.
const TRIES: usize = 4;

/// Why a namespace was not moved, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// No user key takes part.
    #[error(
        "a namespace in cluster mode is not sealed under the user's key: there is nothing to move; name the mode with --mode dual or --mode user"
    )]
    ClusterMode,
    /// Both keys are one.
    #[error("the new user key is the one in use: make another one")]
    SameKey,
    /// Both namespaces are one.
    #[error("{name} cannot be moved onto itself: a namespace keeps the user key it was made under; choose another name")]
    SameName {
        /// The name.
        name: String,
    },
    /// A namespace was not opened.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The old namespace, or what is in the new one, was not read.
    #[error("{0}; what was moved stays, run it again to go on")]
    Read(#[from] ReadError),
    /// A record was not stored.
    #[error("{0}; what was moved stays, run it again to go on")]
    Write(#[from] WriteError),
    /// A key of the new namespace holds something else.
    #[error("{count} keys of {to} hold other values than in {from}, and stayed as they are; nothing was erased. --overwrite replaces them")]
    Differs {
        /// Moved from.
        from: String,
        /// Moved to.
        to: String,
        /// How many.
        count: u64,
    },
    /// Somebody went on writing.
    #[error(
        "{from} was changed while it was moved; nothing was erased. Have all devices use the new namespace, then run it again with --overwrite"
    )]
    Changed {
        /// Moved from.
        from: String,
    },
}

impl RekeyError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            RekeyError::ClusterMode | RekeyError::SameName { .. } => "RW-C-USAGE",
            RekeyError::SameKey => "RW-C-OTHER-USER-KEY",
            RekeyError::Namespace(fault) => fault.code(),
            RekeyError::Read(fault) => fault.code(),
            RekeyError::Write(fault) => fault.code(),
            RekeyError::Differs { .. } | RekeyError::Changed { .. } => "RW-C-CONFLICT",
        }
    }
}

/// One namespace to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Made under the user key the client has.
    pub from: String,
    /// Made under the new one, now or by an earlier run.
    pub to: String,
    /// Mode of both.
    pub mode: KeyMode,
    /// Whether what keys of `to` hold is replaced.
    pub overwrite: bool,
    /// Whether `from` is erased when the move is whole.
    pub erase: bool,
}

/// What became of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Records stored now.
    pub stored: u64,
    /// Records that were there already.
    pub already: u64,
    /// Whether the old namespace was erased.
    pub erased: bool,
}

/// What became of one record.
enum Became {
    Stored,
    Already,
    Other,
}

/// Moves one namespace of `client` under `key`. `told` is given how many records were moved so far.
pub async fn rekey(client: &Client, key: &UserKey, wanted: &Move, mut told: impl FnMut(u64)) -> Result<Moved, RekeyError> {
    let Move { from, to, mode, overwrite, erase } = wanted;
    if *mode == KeyMode::Cluster {
        return Err(RekeyError::ClusterMode);
    }
    if from == to {
        return Err(RekeyError::SameName { name: from.clone() });
    }
    if client.principal().user_key.as_ref().is_some_and(|old| old.seed().same(key.seed())) {
        return Err(RekeyError::SameKey);
    }
    let old = client.find_with(from, *mode).await?;
    let new = client.with_user_key(key.clone()).open_with(to, *mode).await?;
    let expect = if *overwrite { Expect::Any } else { Expect::Absent };
    let (mut moved, mut others, mut seen) = (Moved::default(), 0_u64, BTreeMap::new());
    let mut listing = old.list("").with_values();
    loop {
        let page = listing.next_page().await?;
        if page.is_empty() {
            break;
        }
        seen.extend(page.iter().map(|item| (item.key.clone(), item.version)));
        let mut flight = stream::iter(page).map(|item| store(&new, item.key, item.value, expect)).buffer_unordered(AHEAD);
        while let Some(became) = flight.next().await {
            match became? {
                Became::Stored => moved.stored = moved.stored.saturating_add(1),
                Became::Already => moved.already = moved.already.saturating_add(1),
                Became::Other => others = others.saturating_add(1),
            }
            told(moved.stored.saturating_add(moved.already));
        }
    }
    if others > 0 {
        return Err(RekeyError::Differs { from: from.clone(), to: to.clone(), count: others });
    }
    if versions(&old).await? != seen {
        return Err(RekeyError::Changed { from: from.clone() });
    }
    if *erase {
        old.erase().await?;
        moved.erased = true;
    }
    Ok(moved)
}

async fn versions(namespace: &NamespaceHandle) -> Result<BTreeMap<Vec<u8>, Revision>, ReadError> {
    let items = namespace.list("").all().await?;
    Ok(items.into_iter().map(|item| (item.key, item.version)).collect())
}

async fn store(new: &NamespaceHandle, key: Vec<u8>, value: Vec<u8>, expect: Expect) -> Result<Became, RekeyError> {
    let options = PutOptions { ttl_s: 0, expect };
    let mut tries = 0_usize;
    loop {
        match new.put_with(&key, value.clone(), options).await {
            Ok(_) => return Ok(Became::Stored),
            Err(WriteError::Conflict { .. }) => break,
            Err(WriteError::OutcomeUnknown { .. }) if tries < TRIES => tries = tries.saturating_add(1),
            Err(fault) => return Err(fault.into()),
        }
    }
    match new.get(&key).await? {
        Some(found) if found.value == value => Ok(Became::Already),
        _ => Ok(Became::Other),
    }
}
