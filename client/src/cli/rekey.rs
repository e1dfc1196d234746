//! `ringwall user rekey`: namespaces in dual and user mode are moved under another user key.
//!
//! Decides: the new key is made in a file of its own, unless an earlier run made it; the one in use is left where it is, since namespaces that were not
//! named here still need it. The last step is the user's: the new file takes the place of the old one on every device, and a new phrase and escrow are made.
//! Trusts: the library. Out of scope: moving (`rekey.rs`). Protocol section 7.4.

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::recovery::namespace;
use super::{show, verbs};
use crate::rekey::{Move, Moved, rekey};
use crate::{Anchors, Client, UserKey, create_user_key, read_user_key};
use clap::Args;
use ringwall_wire::request::Namespace;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `user rekey`.
#[derive(Debug, Args)]
pub(crate) struct Rekey {
    /// File of the new user key: made unless it is there
    #[arg(long, value_name = "FILE")]
    new: PathBuf,
    /// Erase each old namespace once all of it was moved
    #[arg(long)]
    erase: bool,
    /// Replace what keys of the new namespaces hold already
    #[arg(long)]
    overwrite: bool,
    /// A namespace of the mode that is named with --mode, and the name of the one that takes its place; may be repeated
    #[arg(required = true, value_name = "FROM=TO", value_parser = from_and_to)]
    moves: Vec<(Namespace, Namespace)>,
}

fn from_and_to(text: &str) -> Result<(Namespace, Namespace), String> {
    let (from, to) = text.split_once('=').ok_or("write FROM=TO: the name of an erased namespace is not used again")?;
    Ok((namespace(from)?, namespace(to)?))
}

/// Runs the verb.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, args: &Rekey) -> Result<Exit, Trouble> {
    let client = verbs::connect(shared, anchors).await?;
    let key = match args.new.exists() {
        true => read_user_key(&args.new)?,
        false => create_user_key(&args.new)?,
    };
    let moved = move_all(shared, &client, &key, args).await;
    client.close().await;
    moved?;
    if !shared.json {
        let new = args.new.display();
        show::note(&format!(
            "when all of your namespaces in dual and user mode are moved: put {new} in the place of CREDENTIAL.userkey on every device"
        ));
        show::note("then: ringwall recovery create. The escrow that is there holds the old key");
    }
    Ok(Exit::Done)
}

async fn move_all(shared: &SharedOptions, client: &Client, key: &UserKey, args: &Rekey) -> Result<(), Trouble> {
    for (from, to) in &args.moves {
        let (from, to, mode) = (from.to_string(), to.to_string(), shared.mode.into());
        let wanted = Move { from, to, mode, overwrite: args.overwrite, erase: args.erase };
        let bar = verbs::spinner(shared, "moving records");
        let moved = rekey(client, key, &wanted, |_| bar.tick()).await;
        bar.finish_and_clear();
        told(shared, &wanted, &moved?)?;
    }
    Ok(())
}

fn told(shared: &SharedOptions, wanted: &Move, moved: &Moved) -> Result<(), Trouble> {
    let Moved { stored, already, erased } = moved;
    match shared.json {
        true => {
            show::line(json!({ "from": wanted.from, "to": wanted.to, "stored": stored, "already": already, "erased": erased }).to_string())
        }
        false => {
            let (from, to) = (show::words(wanted.from.as_bytes()), show::words(wanted.to.as_bytes()));
            let end = if *erased { format!("{from} is erased") } else { format!("{from} is still there") };
            show::line(format!("{from} is moved to {to}: {stored} records sealed anew, {already} were there already; {end}"))
        }
    }
}
