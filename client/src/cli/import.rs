//! `ringwall user import`: a user's records out of a backup of another cluster.
//!
//! Decides: the phrase comes from standard input; the old user's key comes out of the old escrow; the new cluster, credential and user key are those of every
//! other verb. What stayed behind is listed, each with its reason, and the run then ends with 4; a run that broke off is typed again.
//! Trusts: the library. Out of scope: opening and storing (`backup/import.rs`). Protocol section 9.2.

use super::args::SharedOptions;
use super::backup::bar;
use super::exit::{Exit, Trouble};
use super::recovery::namespace;
use super::{input, show, verbs};
use crate::backup::{ImportOptions, Imported, Left, import, keys_path, read_keys};
use crate::escrow::{self, EscrowError};
use crate::{Anchors, read_escrow};
use clap::Args;
use ringwall_wire::ids::SpaceTag;
use ringwall_wire::request::Namespace;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `user import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The backup of the old cluster
    #[arg(long, value_name = "FILE")]
    backup: PathBuf,
    /// The user's escrow in the old cluster
    #[arg(long, value_name = "FILE")]
    escrow: PathBuf,
    /// The data keys beside it, where they are elsewhere than in ESCROW.keys
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Name of a namespace that has none beside its key; may be repeated
    #[arg(long, value_name = "TAG=NAME", value_parser = tag_and_name)]
    name: Vec<(SpaceTag, Namespace)>,
    /// Only this namespace; may be repeated
    #[arg(long, value_name = "NAME", value_parser = namespace)]
    only: Vec<Namespace>,
    /// Replace what keys hold in the new cluster already
    #[arg(long)]
    overwrite: bool,
}

fn tag_and_name(text: &str) -> Result<(SpaceTag, Namespace), String> {
    let (tag, name) = text.split_once('=').ok_or("write TAG=NAME, the tag as an earlier run printed it")?;
    let tag = tag.parse().map_err(|_| "a namespace's tag has 32 lower-case hex digits".to_owned())?;
    Ok((tag, namespace(name)?))
}

/// Runs the verb.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, args: &Import) -> Result<Exit, Trouble> {
    let whose = read_escrow(&args.escrow)?;
    let keys = read_keys(&args.keys.clone().unwrap_or_else(|| keys_path(&args.escrow)))?;
    if keys.cluster_id != whose.cluster_id {
        return Err(EscrowError::OtherCluster { got: keys.cluster_id, pinned: whose.cluster_id }.into());
    }
    if keys.user != whose.user {
        return Err(EscrowError::OtherUser { got: keys.user, wanted: whose.user }.into());
    }
    let phrase = input::phrase()?;
    let user_key = escrow::open(&phrase, &whose)?;
    let client = verbs::connect(shared, anchors.clone()).await?;
    let names = args.name.iter().cloned().collect();
    let options = ImportOptions {
        backup: &args.backup,
        anchors: &anchors,
        keys: &keys,
        phrase: &phrase,
        user_key: user_key.as_ref(),
        names: &names,
        only: &args.only,
        overwrite: args.overwrite,
    };
    let bar = bar(shared, "records [{wide_bar}] {pos}/{len} {eta}");
    let imported = import(&client, &options, |seen, all| {
        bar.set_length(all);
        bar.set_position(seen);
    })
    .await;
    bar.finish_and_clear();
    client.close().await;
    let imported = imported?;
    match shared.json {
        true => show::line(imported_json(&imported).to_string())?,
        false => show::print(imported_text(&imported).as_bytes())?,
    }
    Ok(match imported.left.is_empty() {
        true => Exit::Done,
        false => Exit::NotFound,
    })
}

fn left_json(left: &Left) -> Value {
    let key = left.key.map(|key| key.to_string());
    json!({ "namespace": left.space.to_string(), "name": left.name, "record": key, "why": left.why })
}

fn imported_json(imported: &Imported) -> Value {
    let Imported { index, keys_index, namespaces, stored, already, kept, expired, left, more_left } = imported;
    json!({
        "index": index,
        "keys_index": keys_index,
        "namespaces": namespaces,
        "stored": stored,
        "already": already,
        "kept": kept.iter().map(left_json).collect::<Vec<_>>(),
        "expired": expired,
        "left": left.iter().map(left_json).collect::<Vec<_>>(),
        "more_left": more_left,
    })
}

fn imported_text(imported: &Imported) -> String {
    let Imported { index, keys_index, namespaces, stored, already, kept, expired, left, more_left } = imported;
    let mut text = format!(
        "{namespaces} namespaces: {stored} records stored, {already} were there already, {} others kept what they held, {expired} had expired\n",
        kept.len()
    );
    let mut name = |what: &str, left: &Left| {
        let named = left.name.as_deref().map_or_else(String::new, |name| format!(" ({})", show::words(name.as_bytes())));
        let record = left.key.map_or_else(String::new, |key| format!(", record {key}"));
        text.push_str(&show::wrap(&format!("{what}: namespace {}{named}{record}: {}", left.space, left.why), 2));
    };
    kept.iter().for_each(|left| name("kept", left));
    left.iter().for_each(|left| name("left behind", left));
    if *more_left > 0 {
        text.push_str(&format!("left behind: {more_left} more records\n"));
    }
    if keys_index < index {
        let words = format!(
            "the data keys are as of index {keys_index}, the backup of {index}: namespaces that were made in between are not among them"
        );
        text.push_str(&show::wrap(&words, 2));
    }
    text
}
