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
use crate::backup::{self, KeysError};
use crate::escrow::{self, EscrowError};
use crate::{Anchors, Client, UserId, keep_user_key, read_escrow, read_user_key, user_key_path, write_escrow};
use clap::{Args, Subcommand};
use ringwall_wire::backup::EscrowKey;
use ringwall_wire::limits::{COOL_DOWN_MOST_S, COOL_DOWN_S, NAMESPACE_BYTES};
use ringwall_wire::request::Namespace;
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
        /// Namespace whose name is to stand beside its data key in FILE.keys; may be repeated
        #[arg(long, value_name = "NAME", value_parser = namespace)]
        namespace: Vec<Namespace>,
    },
    /// Have the data keys of the user's namespaces sealed to the phrase anew (FILE.keys): whenever namespaces were made
    Keys {
        /// The escrow
        #[arg(long, value_name = "FILE")]
        escrow: PathBuf,
        /// Namespace whose name is to stand beside its key; may be repeated
        #[arg(long, value_name = "NAME", value_parser = namespace)]
        namespace: Vec<Namespace>,
        /// Read the phrase from standard input: names that stood beside keys before stay, and FILE.keys need not exist yet
        #[arg(long)]
        phrase: bool,
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
        RecoveryVerb::Create { escrow, cool_down, namespace } => create(shared, anchors, escrow, *cool_down, namespace).await,
        RecoveryVerb::Keys { escrow, namespace, phrase } => keys(shared, anchors, escrow, namespace, *phrase).await,
        RecoveryVerb::Test { escrow } => test(shared, escrow),
        RecoveryVerb::Stop => {
            let client = verbs::connect(shared, anchors).await?;
            finish(shared, client, async |client| client.stop_restore().await).await
        }
    }
}

/// The name of a namespace, as it is typed.
pub(super) fn namespace(text: &str) -> Result<Namespace, String> {
    match Namespace::new(text) {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => Err(format!("a namespace's name has 1 to {NAMESPACE_BYTES} bytes")),
    }
}

async fn create(shared: &SharedOptions, anchors: Anchors, path: &Path, cool_down_s: u32, names: &[Namespace]) -> Result<Exit, Trouble> {
    let key = input::user_key(shared)?;
    let client = verbs::connect(shared, anchors).await?;
    let seq = client.user_record(u64::MAX).await?.seq;
    let phrase = escrow::new_phrase();
    let made = escrow::make(&phrase, pinned(shared)?, client.user(), seq, key.as_ref());
    write_escrow(path, &made)?;
    if let Err(fault) = client.set_recovery(&phrase, cool_down_s).await {
        client.close().await;
        return Err(fault.into());
    }
    let to = backup::make(&phrase, &made.cluster_id, &made.user);
    // The phrase is in force: it is printed, whatever becomes of these.
    let kept = escrow_keys(&client, &to, names, &backup::keys_path(path)).await;
    client.close().await;
    let words = phrase.words();
    match shared.json {
        true => {
            let (path, kept) = (path.display().to_string(), kept.is_ok());
            show::line(json!({ "phrase": words.as_str(), "escrow": path, "user_key": key.is_some(), "data_keys": kept }).to_string())?
        }
        false => {
            show::line(words.as_str())?;
            show::note("these words are not kept anywhere and are not shown again: write them down, then: ringwall recovery test");
            show::note(&format!(
                "whoever has them can restore the user; {} opens with them alone, keep copies of it anywhere",
                path.display()
            ));
            match kept {
                Ok(()) => show::note(
                    "what restores records from a backup is beside it, in a file ending in .keys: make it anew with `ringwall recovery keys`",
                ),
                Err(fault) => show::note(&format!("no data keys are beside it yet ({fault}): run `ringwall recovery keys --phrase`")),
            }
        }
    }
    Ok(Exit::Done)
}

async fn escrow_keys(client: &Client, to: &EscrowKey, names: &[Namespace], path: &Path) -> Result<(), KeysError> {
    let keys = client.escrow_keys(to, names).await?;
    let path = path.to_owned();
    backup::write_keys(&path, &keys)
}

async fn keys(shared: &SharedOptions, anchors: Anchors, escrow: &Path, names: &[Namespace], phrase: bool) -> Result<Exit, Trouble> {
    let path = backup::keys_path(escrow);
    let whose = read_escrow(escrow)?;
    belongs(&whose, &pinned(shared)?)?;
    let mut names = names.to_vec();
    let to = match phrase {
        true => {
            let phrase = input::phrase()?;
            escrow::open(&phrase, &whose)?;
            if path.exists() {
                let before = backup::open(&phrase, &backup::read_keys(&path)?)?;
                let fresh = before.iter().filter_map(|secret| secret.name().cloned()).filter(|name| !names.contains(name));
                names.extend(fresh.collect::<Vec<_>>());
            }
            backup::make(&phrase, &whose.cluster_id, &whose.user)
        }
        false => backup::read_keys(&path)?.to,
    };
    if to.key != whose.key {
        return Err(EscrowError::OtherPhrase.into());
    }
    let client = verbs::connect(shared, anchors).await?;
    let kept = escrow_keys(&client, &to, &names, &path).await;
    client.close().await;
    kept?;
    match shared.json {
        true => show::line(json!({ "keys": path.display().to_string(), "names": names.len() }).to_string())?,
        false => show::line(format!("{}: data keys of user {}, {} with their names", path.display(), whose.user, names.len()))?,
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
