//! `ringwall recovery` and `ringwall restore`: the phrase, the escrow, and a user on a new device.
//!
//! Decides: a phrase is made here and printed once; it is read from standard input only, never from arguments. The escrow is on stable storage before the
//! cluster learns of the phrase, so that no phrase restores a user whose escrow was never kept. A test shows nothing of what it opened. A restored device
//! makes its credential and notes its user first: a second run, after the wait, goes on where the first stopped.
//! Trusts: the library. Out of scope: tries and waits (the cluster's). Protocol section 9.

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::user::{finish, make_credential, note_user, pinned, record};
use super::{input, show, verbs};
use crate::escrow::{self, EscrowError};
use crate::{Anchors, UserId, keep_user_key, read_escrow, read_user_key, user_key_path, write_escrow};
use clap::{Args, Subcommand};
use ringwall_wire::limits::{COOL_DOWN_MOST_S, COOL_DOWN_S};
use ringwall_wire::user::UserEscrow;
use serde_json::json;
use std::path::{Path, PathBuf};

/// What can be done about recovery.
#[derive(Debug, Subcommand)]
pub(crate) enum RecoveryVerb {
    /// Make a phrase, print it once, and make it the one that restores the user
    Create {
        /// New file for the escrow: ciphertext that holds the user key, opened by the phrase alone
        #[arg(long, value_name = "FILE")]
        escrow: PathBuf,
        /// Seconds a restored device waits before it counts, while other devices can stop it
        #[arg(long, default_value_t = COOL_DOWN_S, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(..=i64::from(COOL_DOWN_MOST_S)))]
        cool_down: u32,
    },
    /// Find out whether a phrase (from standard input) opens an escrow; shows nothing of it
    Test {
        /// The escrow
        #[arg(long, value_name = "FILE")]
        escrow: PathBuf,
    },
    /// Stop a restoration that waits
    Stop,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The escrow; without it, name the user: what is stored in dual and user mode stays closed
    #[arg(long, value_name = "FILE", required_unless_present = "user")]
    pub(crate) escrow: Option<PathBuf>,
    /// The user, where there is no escrow
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<UserId>,
}

/// Runs a verb of `ringwall recovery`.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, verb: &RecoveryVerb) -> Result<Exit, Trouble> {
    match verb {
        RecoveryVerb::Create { escrow, cool_down } => create(shared, anchors, escrow, *cool_down).await,
        RecoveryVerb::Test { escrow } => test(shared, escrow),
        RecoveryVerb::Stop => {
            let client = verbs::connect(shared, anchors).await?;
            finish(shared, client, async |client| client.stop_restore().await).await
        }
    }
}

async fn create(shared: &SharedOptions, anchors: Anchors, path: &Path, cool_down_s: u32) -> Result<Exit, Trouble> {
    let key = input::user_key(shared)?;
    let client = verbs::connect(shared, anchors).await?;
    let seq = client.user_record(u64::MAX).await?.seq;
    let phrase = escrow::new_phrase();
    let made = escrow::make(&phrase, pinned(shared)?, client.user(), seq, key.as_ref());
    write_escrow(path, &made)?;
    let set = client.set_recovery(&phrase, cool_down_s).await;
    client.close().await;
    set?;
    let words = phrase.words();
    match shared.json {
        true => {
            show::line(json!({ "phrase": words.as_str(), "escrow": path.display().to_string(), "user_key": key.is_some() }).to_string())?
        }
        false => {
            show::line(words.as_str())?;
            show::note("these words are not kept anywhere and are not shown again: write them down, then: ringwall recovery test");
            show::note(&format!(
                "whoever has them can restore the user; {} opens with them alone, keep copies of it anywhere",
                path.display()
            ));
        }
    }
    Ok(Exit::Done)
}

fn test(shared: &SharedOptions, path: &Path) -> Result<Exit, Trouble> {
    let escrow = read_escrow(path)?;
    if shared.card.is_some() || shared.cluster.is_some() {
        belongs(&escrow, &pinned(shared)?)?;
    }
    let phrase = input::phrase()?;
    let opened = escrow::open(&phrase, &escrow)?;
    let same = match (&opened, input::user_key(shared)?) {
        (Some(opened), Some(here)) => Some(opened.seed().same(here.seed())),
        _ => None,
    };
    match shared.json {
        true => show::line(
            json!({ "opens": true, "user": escrow.user.to_string(), "user_key": opened.is_some(), "same_user_key": same }).to_string(),
        )?,
        false => {
            show::line(format!("the phrase opens the escrow of user {}", escrow.user))?;
            let key = match (opened.is_some(), same) {
                (false, _) => "it holds no user key",
                (true, Some(true)) => "it holds the user key that is in use here",
                (true, Some(false)) => "it holds ANOTHER user key than the one in use here: create it anew",
                (true, None) => "it holds a user key",
            };
            show::line(key)?;
        }
    }
    Ok(Exit::Done)
}

fn belongs(escrow: &UserEscrow, pinned: &crate::ClusterId) -> Result<(), EscrowError> {
    match escrow.cluster_id == *pinned {
        true => Ok(()),
        false => Err(EscrowError::OtherCluster { got: escrow.cluster_id, pinned: *pinned }),
    }
}

/// Restores a user on this device.
pub(crate) async fn restore(shared: &SharedOptions, anchors: Anchors, args: &Restore) -> Result<Exit, Trouble> {
    let path = input::credential_path(shared)?;
    let cluster = pinned(shared)?;
    let escrow = args.escrow.as_deref().map(read_escrow).transpose()?;
    if let Some(escrow) = &escrow {
        belongs(escrow, &cluster)?;
    }
    let user = match (&escrow, args.user) {
        (Some(escrow), Some(wanted)) if escrow.user != wanted => return Err(EscrowError::OtherUser { got: escrow.user, wanted }.into()),
        (Some(escrow), _) => escrow.user,
        (None, Some(wanted)) => wanted,
        (None, None) => return Err(Trouble::new("RW-C-USAGE", "name an escrow, or the user")),
    };
    let phrase = input::phrase()?;
    let key = escrow.as_ref().map(|escrow| escrow::open(&phrase, escrow)).transpose()?.flatten();
    let credential = make_credential(path)?;
    note_user(path, &user)?;
    let key_path = shared.user_key.clone().unwrap_or_else(|| user_key_path(path));
    if let Some(key) = &key {
        match key_path.exists() {
            true if read_user_key(&key_path)?.seed().same(key.seed()) => {}
            true => {
                return Err(Trouble::new("RW-C-KEY-EXISTS", format!("{} holds another user key; move it away first", key_path.display())));
            }
            false => keep_user_key(&key_path, key)?,
        }
    }
    let mut options = verbs::options(shared, anchors, credential)?;
    options.user = Some(user);
    options.user_key = key;
    options.restore = Some(phrase.signature_seed());
    let client = verbs::open(shared, path, options).await?;
    let shown = client.user_record(u64::MAX).await;
    client.close().await;
    record(shared, &user, &shown?)
}
