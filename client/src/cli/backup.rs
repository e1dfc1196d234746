//! `ringwall backup`: take, verify, show.
//!
//! Decides: a bar on a terminal, silence when piped, one object of JSON at the end; exit code 3 for a backup whose signer or signature is refused, 10 for a
//! file that is cut off or altered, 12 where nobody can tell. `verify` and `show` use no network, and judge the same.
//! Trusts: the library. Out of scope: the judging (`backup/file.rs`). Protocol section 9.1.

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::{input, show, verbs};
use crate::backup::{Progress, Proven, fetch, verify};
use crate::card::read_card;
use crate::{Anchors, ClusterId, Credential};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use ringwall_attest::date;
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Verbs of `ringwall backup`.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupVerb {
    /// Fetch a backup from a cluster that serves; one that broke off is gone on with
    Take {
        /// Where it is to be; one that is there is replaced when the new one is whole and verified
        file: PathBuf,
    },
    /// Verify a backup (no network)
    Verify {
        /// The backup
        file: PathBuf,
    },
    /// Verify a backup and show what is in it (no network)
    Show {
        /// The backup
        file: PathBuf,
    },
}

/// Runs the verb.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, verb: &BackupVerb) -> Result<Exit, Trouble> {
    match verb {
        BackupVerb::Take { file } => take(shared, anchors, file).await,
        BackupVerb::Verify { file } => {
            let proven = judged(shared, &anchors, file)?;
            match shared.json {
                true => show::line(proven_json(file, &proven).to_string())?,
                false => show::line(headline(file, &proven))?,
            }
            Ok(Exit::Done)
        }
        BackupVerb::Show { file } => {
            let proven = judged(shared, &anchors, file)?;
            match shared.json {
                true => show::line(proven_json(file, &proven).to_string())?,
                false => show::print(proven_text(file, &proven).as_bytes())?,
            }
            Ok(Exit::Done)
        }
    }
}

/// The cluster a backup has to be of; none takes the file's word.
fn wanted(shared: &SharedOptions) -> Result<Option<ClusterId>, Trouble> {
    Ok(match (&shared.card, shared.cluster) {
        (Some(card), expected) => Some(read_card(card, expected)?.genesis.cluster_id()),
        (None, cluster) => cluster,
    })
}

fn judged(shared: &SharedOptions, anchors: &Anchors, file: &Path) -> Result<Proven, Trouble> {
    let pinned = wanted(shared)?;
    if pinned.is_none() {
        show::note_unless(shared.json, "no cluster was named (--card or --cluster): that it is yours is not shown");
    }
    let spinner = verbs::spinner(shared, "verifying");
    let proven = verify(file, pinned, anchors);
    spinner.finish_and_clear();
    Ok(proven?)
}

async fn take(shared: &SharedOptions, anchors: Anchors, file: &Path) -> Result<Exit, Trouble> {
    let path = input::credential_path(shared)?;
    let mut options = verbs::options(shared, anchors, Credential::read(path)?)?;
    options.user = input::user(path)?;
    let client = verbs::open(shared, path, options.clone()).await?;
    let bar = bar(shared, "{msg} [{wide_bar}] {bytes}/{total_bytes} {eta}");
    let fetched = fetch(&options, &client, file, |progress| tell(shared, &bar, progress)).await;
    bar.finish_and_clear();
    client.close().await;
    let fetched = fetched?;
    let mut object = proven_json(file, &fetched.proven);
    if let Some(object) = object.as_object_mut() {
        object.insert("had".into(), fetched.had.into());
        object.insert("begun_anew".into(), fetched.anew.into());
    }
    match shared.json {
        true => show::line(object.to_string())?,
        false => show::line(headline(file, &fetched.proven))?,
    }
    Ok(Exit::Done)
}

/// A bar on a terminal, nothing elsewhere.
pub(super) fn bar(shared: &SharedOptions, template: &str) -> ProgressBar {
    if shared.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn tell(shared: &SharedOptions, bar: &ProgressBar, progress: Progress) {
    match progress {
        Progress::Making => bar.set_message("a member makes a snapshot"),
        Progress::Begun { index, bytes, had } => {
            bar.set_length(bytes);
            bar.set_position(had);
            bar.set_message(format!("index {index}"));
            if had > 0 {
                show::note_unless(
                    shared.json,
                    &format!("going on where an earlier run stopped: {had} of {bytes} bytes of index {index} are there"),
                );
            }
        }
        Progress::Anew => {
            let words = "what an earlier run had begun is no longer to be had from any member: beginning anew";
            show::note_unless(shared.json, words);
        }
        Progress::At(bytes) => bar.set_position(bytes),
        Progress::Verifying => bar.set_message("verifying"),
    }
}

fn headline(file: &Path, proven: &Proven) -> String {
    let head = &proven.made.head;
    format!(
        "{}: good: cluster {}, epoch {}, index {}, revision {}",
        file.display(),
        head.cluster_id,
        head.epoch,
        head.index,
        proven.revision
    )
}

fn proven_json(file: &Path, proven: &Proven) -> Value {
    let Proven { made, attested_s, measurement, revision, time_ms, counted } = proven;
    let head = &made.head;
    json!({
        "file": file.display().to_string(),
        "cluster": head.cluster_id.to_string(),
        "epoch": head.epoch.0,
        "index": head.index,
        "term": head.term,
        "tree_size": head.tree.size,
        "tree_root": head.tree.root.to_string(),
        "state": made.state.to_string(),
        "bytes": made.bytes,
        "revision": revision.0,
        "time_ms": time_ms,
        "signer": head.incarnation.0,
        "signer_build": measurement,
        "signer_attested_s": attested_s,
        "members": counted.members,
        "namespaces": counted.namespaces,
        "records": counted.records,
        "users": counted.users,
    })
}

fn proven_text(file: &Path, proven: &Proven) -> String {
    let Proven { made, attested_s, measurement, time_ms, counted, .. } = proven;
    let head = &made.head;
    let words = "It is what a member said the state was at that index. That nothing newer exists, no backup can say.";
    format!(
        "{}\nlog: {} entries, root {}\nstate: {} bytes, SHA-256 {}\ngroup time {}\nsigned by incarnation {} ({}), attested {}\nholds {} namespaces, {} \
         records, {} users, {} members on record\n{}",
        headline(file, proven),
        head.tree.size,
        head.tree.root,
        made.bytes,
        made.state,
        date(time_ms / 1_000),
        head.incarnation,
        show::words(measurement.as_bytes()),
        date(*attested_s),
        counted.namespaces,
        counted.records,
        counted.users,
        counted.members,
        show::wrap(words, 2)
    )
}
