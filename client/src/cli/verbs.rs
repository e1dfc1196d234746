//! What each verb does.
//!
//! Decides: which library call a verb is, what it prints and how it ends. Reads never make a namespace; writes do.
//! Trusts: the library. Out of scope: parsing (`args.rs`), shapes of output (`show.rs`).

use super::args::{self, Arguments, SharedOptions, Verb};
use super::exit::{Exit, Trouble};
use super::{input, show, verify};
use crate::Verification;
use crate::anchor::AnchorFiles;
use crate::card::read_card;
use crate::clock;
use crate::namespace::expect_version;
use crate::private::private;
use crate::{Anchors, Client, Credential, Expect, NamespaceHandle, Options, PutOptions, Revision, Timeouts, WriteError};
use clap::CommandFactory;
use indicatif::{ProgressBar, ProgressStyle};
use ringwall_attest::Attester;
use serde_json::{Map, json};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Runs one verb.
pub(crate) async fn run(arguments: Arguments, anchors: Anchors, guest: Option<Arc<dyn Attester>>) -> Result<Exit, Trouble> {
    let Arguments { shared, verb } = arguments;
    match verb {
        Verb::Init => init(&shared),
        Verb::User { verb } => super::user::run(&shared, anchors, &verb).await,
        Verb::Device { verb } => super::user::device(&shared, anchors, &verb).await,
        Verb::Recovery { verb } => super::recovery::run(&shared, anchors, &verb).await,
        Verb::Restore(restore) => super::recovery::restore(&shared, anchors, &restore).await,
        Verb::Backup { verb } => super::backup::run(&shared, anchors, &verb).await,
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "ringwall", &mut script);
            show::print(&script).map(|()| Exit::Done)
        }
        Verb::Receipt { verb } => super::receipt::run(&shared, &anchors, verb),
        Verb::Policy { verb } => super::policy::run(&shared, anchors, verb).await,
        Verb::Cluster { verb } => super::governance::cluster(&shared, anchors, verb).await,
        Verb::Release { verb } => super::release::run(&shared, anchors, verb).await,
        Verb::Measure(arguments) => super::measure::run(&shared, &arguments),
        Verb::Slot { verb } => super::slot::run(&shared, verb),
        Verb::Custodian(arguments) => super::custodian::run(&shared, anchors, arguments).await,
        Verb::Custody { verb } => super::custody::run(&shared, anchors, verb).await,
        Verb::Drill(arguments) => super::drill::run(&shared, anchors, arguments).await,
        Verb::WorkloadKey { verb } => super::workload_key::run(&shared, anchors, guest, verb).await,
        Verb::Verify(args) => verify::run(&shared, anchors, &args).await,
        Verb::Put(put) => {
            let options = PutOptions { ttl_s: put.ttl, expect: put_condition(&put) };
            store(&shared, anchors, &put.place, put.file.as_deref(), options).await
        }
        Verb::Cas(cas) => {
            let options = PutOptions { ttl_s: 0, expect: expect_version(Revision(cas.expected)) };
            store(&shared, anchors, &cas.place, cas.file.as_deref(), options).await
        }
        Verb::Get(get) => read(&shared, anchors, &get).await,
        Verb::Erase(erase) => super::erase::run(&shared, anchors, &erase).await,
        Verb::Delete(delete) => remove(&shared, anchors, &delete).await,
        Verb::List(list) => keys(&shared, anchors, &list).await,
        Verb::Batch(batch) => apply(&shared, anchors, &batch).await,
        Verb::Watch(watch) => follow(&shared, anchors, &watch).await,
        Verb::Status => status(&shared, anchors).await,
    }
}

fn init(shared: &SharedOptions) -> Result<Exit, Trouble> {
    let path = input::credential_path(shared)?;
    let credential = Credential::create(path)?;
    match shared.json {
        true => show::line(json!({ "user": credential.user().to_string(), "credential": path.display().to_string() }).to_string())?,
        false => {
            show::line(format!("user {}", credential.user()))?;
            show::note(&format!("{} is the only key to this user's data: keep a copy in a safe place", path.display()));
        }
    }
    Ok(Exit::Done)
}

/// What a client of this run is told, with a given credential.
pub(super) fn options(shared: &SharedOptions, anchors: Anchors, credential: Credential) -> Result<Options, Trouble> {
    let mut options = match (&shared.card, shared.cluster) {
        (Some(path), expected) => Options::from_card(&read_card(path, expected)?, anchors, credential)
            .map_err(|fault| Trouble::new("RW-C-CARD-CONTRADICTION", fault.to_string()))?,
        (None, Some(cluster_id)) => Options::pinned(cluster_id, Vec::new(), anchors, credential),
        (None, None) => {
            return Err(Trouble::new("RW-C-USAGE", "pin a cluster with --card or RINGWALL_CARD, or with --cluster and --address"));
        }
    };
    if !shared.address.is_empty() {
        options.addresses.clone_from(&shared.address);
    }
    let deadline = Duration::from_secs(shared.timeout);
    let usual = Timeouts::default();
    options.timeouts = Timeouts { dial: usual.dial.min(deadline), answer: usual.answer.min(deadline), deadline };
    Ok(options)
}

pub(super) async fn connect(shared: &SharedOptions, anchors: Anchors) -> Result<Client, Trouble> {
    let path = input::credential_path(shared)?;
    let mut options = options(shared, anchors, Credential::read(path)?)?;
    options.user_key = input::user_key(shared)?;
    options.user = input::user(path)?;
    open(shared, path, options).await
}

/// Connects as what was prepared.
pub(super) async fn open(shared: &SharedOptions, path: &Path, mut options: Options) -> Result<Client, Trouble> {
    options.anchor = Arc::new(AnchorFiles::beside(path, &options.cluster_id));
    let spinner = spinner(shared, "verifying a node");
    let client = Client::connect(options).await;
    spinner.finish_and_clear();
    let client = client?;
    tell(shared, &client.verification());
    Ok(client)
}

/// What a session showed of the cluster that people should know, whatever they came for.
pub(super) fn tell(shared: &SharedOptions, node: &Verification) {
    for recovery in node.recovered.iter().filter(|recovery| recovery.is_news || recovery.is_hidden()) {
        show::note_unless(shared.json, &recovery.words(clock::now_s()));
    }
    if node.log_began_anew {
        let words = "the policy names another release log than before: what was remembered of the earlier one says nothing of this one, and begins anew";
        show::note_unless(shared.json, words);
    }
}

/// A namespace that is expected to exist. In cluster mode the question itself finds out; in the others the user's key is compared first.
async fn existing(shared: &SharedOptions, client: &Client, name: &str) -> Result<NamespaceHandle, Trouble> {
    Ok(match shared.mode {
        args::Mode::Cluster => client.existing_namespace(name)?,
        mode => client.find_with(name, mode.into()).await?,
    })
}

/// A spinner on a terminal, nothing elsewhere.
pub(super) fn spinner(shared: &SharedOptions, words: &'static str) -> ProgressBar {
    if shared.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let spinner = ProgressBar::new_spinner().with_style(style).with_message(words);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

fn put_condition(put: &args::Put) -> Expect {
    match (put.if_absent, put.if_present, put.if_version) {
        (true, ..) => Expect::Absent,
        (_, true, _) => Expect::Present,
        (.., Some(version)) => Expect::Version(Revision(version)),
        _ => Expect::Any,
    }
}

async fn store(
    shared: &SharedOptions,
    anchors: Anchors,
    place: &args::Place,
    file: Option<&Path>,
    options: PutOptions,
) -> Result<Exit, Trouble> {
    let key = input::key(place)?;
    let value = input::value(file)?;
    let client = connect(shared, anchors).await?;
    let written = client.open_with(&place.namespace, shared.mode.into()).await?.put_with(key, value, options).await;
    finish_write(shared, client, written).await
}

async fn remove(shared: &SharedOptions, anchors: Anchors, delete: &args::Delete) -> Result<Exit, Trouble> {
    let key = input::key(&delete.place)?;
    let client = connect(shared, anchors).await?;
    let expect = delete.if_version.map_or(Expect::Present, |version| Expect::Version(Revision(version)));
    let removed = existing(shared, &client, &delete.place.namespace).await?.delete_with(&key, expect).await;
    match removed {
        Err(WriteError::Conflict { current: Revision(0), .. }) => {
            client.close().await;
            Err(Trouble::new("RW-C-NOT-FOUND", format!("there is no key {}", show::words(&key))))
        }
        other => finish_write(shared, client, other).await,
    }
}

async fn apply(shared: &SharedOptions, anchors: Anchors, batch: &args::Batch) -> Result<Exit, Trouble> {
    let client = connect(shared, anchors).await?;
    let namespace = client.open_with(&batch.namespace, shared.mode.into()).await?;
    let written = input::batch(&namespace, batch.file.as_deref())?.commit().await;
    drop(namespace);
    finish_write(shared, client, written).await
}

async fn finish_write(shared: &SharedOptions, client: Client, written: Result<Revision, WriteError>) -> Result<Exit, Trouble> {
    client.close().await;
    let version = written?;
    match shared.json {
        true => show::line(json!({ "version": version.0 }).to_string())?,
        false => show::line(format!("version {version}"))?,
    }
    Ok(Exit::Done)
}

async fn read(shared: &SharedOptions, anchors: Anchors, get: &args::Get) -> Result<Exit, Trouble> {
    let key = input::key(&get.place)?;
    let client = connect(shared, anchors).await?;
    let found = existing(shared, &client, &get.place.namespace).await?.get(&key).await;
    client.close().await;
    let Some(found) = found? else {
        return Err(Trouble::new("RW-C-NOT-FOUND", format!("there is no key {}", show::words(&key))));
    };
    if let Some(path) = &get.output {
        write_new(path, &found.value)?;
    }
    match (shared.json, &get.output) {
        (true, output) => {
            let mut object = Map::new();
            show::put_bytes(&mut object, "key", &key);
            object.insert("version".into(), found.version.0.into());
            if output.is_none() {
                show::put_bytes(&mut object, "value", &found.value);
            }
            show::line(serde_json::Value::Object(object).to_string())?;
        }
        (false, Some(_)) => {}
        (false, None) => {
            show::print(&found.value)?;
            if std::io::stdout().is_terminal() && found.value.last() != Some(&b'\n') {
                show::print(b"\n")?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Writes to a new file that its owner alone can read.
pub(super) fn write_new(path: &Path, value: &[u8]) -> Result<(), Trouble> {
    let opened = private().write(true).create_new(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(value).and_then(|()| file.sync_all()));
    written.map_err(|fault| Trouble::new("RW-C-OUTPUT", format!("{}: {fault}; name a file that does not exist yet", path.display())))
}

async fn keys(shared: &SharedOptions, anchors: Anchors, list: &args::List) -> Result<Exit, Trouble> {
    let client = connect(shared, anchors).await?;
    let namespace = existing(shared, &client, &list.namespace).await?;
    let mut listing = namespace.list(&list.prefix);
    if list.values {
        listing = listing.with_values();
    }
    if let Some(after) = &list.after {
        listing = listing.after(after)?;
    }
    let most = list.limit.unwrap_or(u64::MAX);
    listing = listing.page_entries(usize::try_from(most).unwrap_or(usize::MAX));
    let mut shown = 0;
    while shown < most {
        let Some(item) = listing.next().await? else { break };
        shown = shown.saturating_add(1);
        match (shared.json, list.values) {
            (true, values) => show::line(show::item_json(&item, values).to_string())?,
            (false, true) => show::line(format!("{}\t{}", show::words(&item.key), show::words(&item.value)))?,
            (false, false) => show::line(show::words(&item.key))?,
        }
    }
    drop((listing, namespace));
    client.close().await;
    Ok(Exit::Done)
}

async fn follow(shared: &SharedOptions, anchors: Anchors, watch: &args::Watch) -> Result<Exit, Trouble> {
    let client = connect(shared, anchors).await?;
    let namespace = existing(shared, &client, &watch.namespace).await?;
    let after = match watch.after {
        Some(after) => Revision(after),
        None => now(&namespace).await?,
    };
    let mut changes = namespace.watch(&watch.prefix, after).await?;
    let mut shown = 0;
    while watch.count.is_none_or(|count| shown < count) {
        let Some(change) = changes.next().await else { break };
        let change = change?;
        shown = shown.saturating_add(1);
        match (shared.json, &change.value) {
            (true, _) => show::line(show::change_json(&change).to_string())?,
            (false, Some(value)) => {
                show::line(format!("{}\tput\t{}\t{}", change.revision, show::words(&change.key), show::words(value)))?;
            }
            (false, None) => show::line(format!("{}\tremoved\t{}", change.revision, show::words(&change.key)))?,
        }
    }
    drop((changes, namespace));
    client.close().await;
    Ok(Exit::Done)
}

/// The present revision: one that includes every write that was confirmed before.
async fn now(namespace: &NamespaceHandle) -> Result<Revision, Trouble> {
    let mut listing = namespace.list("").page_entries(1);
    listing.next_page().await?;
    Ok(listing.revision())
}

async fn status(shared: &SharedOptions, anchors: Anchors) -> Result<Exit, Trouble> {
    let client = connect(shared, anchors).await?;
    let status = client.status().await;
    let node = client.verification();
    client.close().await;
    let status = status?;
    let now_s = clock::now_s();
    if shared.json {
        let mut object = show::status_json(&status);
        if !node.recovered.is_empty() {
            object["recovered"] = node.recovered.iter().map(|recovery| show::recovery_json(recovery, now_s)).collect();
        }
        show::line(object.to_string())?;
    } else {
        show::print(show::status_text(&status).as_bytes())?;
        // The others were told when the session opened.
        let quiet = node.recovered.iter().filter(|recovery| !recovery.is_news && !recovery.is_hidden());
        quiet.for_each(|recovery| show::note(&recovery.words(now_s)));
    }
    Ok(Exit::Done)
}
