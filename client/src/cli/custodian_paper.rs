//! `ringwall custodian export` and `import`: a share, or the keys, as words, as a code, as a locked file, and back.
//!
//! Decides: a secret in the clear goes to a new file of its owner alone or to a terminal, and to nothing else: no pipe, no log. What comes back is compared
//! with the manifest before it is kept. Trusts: the person at the terminal.
//! Out of scope: the forms (`custodian/phrase.rs`, `custodian/qr.rs`), the step (`custodian/ceremony.rs`).

use super::custodian::{Run, TypedKeyring, message};
use super::custodian_args::{Export, Import};
use super::exit::{Exit, Trouble};
use super::input::bounded_file;
use super::policy::say;
use super::show;
use super::verbs::write_new;
use crate::clock;
use crate::custodian::CustodianError;
use crate::custodian::ceremony;
use crate::custodian::keys::SEEDS_BYTES;
use crate::custodian::locked::{self, LOCKED_FILE_BYTES, Lock};
use crate::custodian::phrase;
use crate::custodian::qr;
use crate::custodian::shelf::{self, Shelf};
use ringwall_keys::custody::spelled::{self, SpellFault, read_share, share_line, share_words};
use ringwall_keys::text::{line, words};
use ringwall_wire::codec::{Field as _, Message as _};
use ringwall_wire::custodian::Dealt;
use ringwall_wire::custody::{SharePlain, SignedManifest};
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::ClusterId;
use ringwall_wire::keeping::{JournalEvent, LockedKind, PaperForm, ShareLabel};
use serde_json::json;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use zeroize::Zeroizing;

/// What the text of keys opens with, and what their words are mixed with.
const KEYS: &str = "rwkeys";
/// Most bytes of what is imported.
const IMPORT_BYTES: usize = LOCKED_FILE_BYTES;

fn form(export: &Export) -> PaperForm {
    match (export.file, export.words) {
        (true, _) => PaperForm::File,
        (_, true) => PaperForm::Words,
        _ => PaperForm::Qr,
    }
}

/// `ringwall custodian export`.
pub(super) fn export(run: &mut Run<'_>, export: &Export) -> Result<Exit, Trouble> {
    if export.out.is_none() && (export.file || export.svg || run.shared.json) {
        return Err(Trouble::new(
            "RW-C-USAGE",
            "name a new file with --out: a locked file, a picture or JSON output does not go to a terminal",
        ));
    }
    if export.out.is_none() && !std::io::stdout().is_terminal() {
        return Err(Trouble::new("RW-C-USAGE", "a secret goes to a terminal or, with --out, to a new file: never into a pipe or a log"));
    }
    if export.keys && export.file {
        return Err(Trouble::new(
            "RW-C-USAGE",
            "the folder's file `keys` is the locked file of the keys: copy that, or export --words, --qr or --svg",
        ));
    }
    let mut shelf = run.shelf()?;
    if export.keys {
        let keys = run.unlock(&shelf)?;
        let seeds = keys.seeds();
        let text = written(export, "keys", || words::spell(KEYS, &*seeds), || line::spell(KEYS, &*seeds));
        shelf.note(clock::now_s(), JournalEvent::KeysExported(form(export)))?;
        return hand_out(run, export, "the keys", text.as_bytes());
    }
    let cluster_id = shelf.cluster(match &run.shared.card {
        Some(_) => Some(run.pinned(&shelf)?.genesis.cluster_id()),
        None => run.shared.cluster,
    })?;
    let held = shelf.newest_accepted(&cluster_id)?;
    let keys = run.unlock(&shelf)?;
    // What leaves is ready before the journal says that it left.
    let share = ceremony::opened(&shelf, &held.name, &keys)?;
    let bytes = match export.file {
        true => locked_share(run, export, share.share(), &keys.public().name)?,
        false => {
            let text = written(export, "share", || share_words(share.share()), || share_line(share.share()));
            Zeroizing::new(text.as_bytes().to_vec())
        }
    };
    drop(ceremony::export(&mut shelf, &held.name, &keys, form(export), clock::now_s())?);
    hand_out(run, export, &format!("share {} of {}", share.share().x, shelf::words(&cluster_id, held.name.custody_epoch)), &bytes)
}

fn locked_share(
    run: &mut Run<'_>,
    export: &Export,
    share: &SharePlain,
    name: &ringwall_wire::bounded::Text<64>,
) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let label = ShareLabel { cluster_id: share.cluster_id, custody_epoch: share.custody_epoch, index: share.x, custodian: name.clone() };
    let (label, plain) = (label.to_bytes(), Zeroizing::new(share.encode()));
    let recipients = &export.lock.age_recipient;
    let file = match recipients.is_empty() {
        true => {
            let passphrase = run.keyring.secrets.ask_new("passphrase for the exported share: ")?;
            locked::lock(LockedKind::Share, &label, &plain, &Lock::Passphrase(&passphrase))
        }
        false => locked::lock(LockedKind::Share, &label, &plain, &Lock::Age(&run.keyring.age, recipients)),
    };
    Ok(Zeroizing::new(file.map_err(CustodianError::from)?.encode()))
}

/// A secret in the form that was asked for.
fn written(
    export: &Export,
    what: &str,
    words: impl FnOnce() -> Zeroizing<String>,
    line: impl FnOnce() -> Zeroizing<String>,
) -> Zeroizing<String> {
    if export.words {
        let mut text = Zeroizing::new(String::with_capacity(phrase::PHRASE_BYTES));
        text.push_str(&format!("# ringwall {what}, in words. Write the lines down as they are, with their numbers.\n"));
        text.push_str(&phrase::lay_out(&words()));
        return text;
    }
    match export.svg {
        true => qr::svg(&line()),
        false => qr::for_terminal(&line()),
    }
}

fn hand_out(run: &Run<'_>, export: &Export, what: &str, bytes: &[u8]) -> Result<Exit, Trouble> {
    let Some(path) = &export.out else {
        show::print(bytes)?;
        show::note("whoever sees this has it: clear the screen and its scrollback when it is written down");
        return Ok(Exit::Done);
    };
    write_new(path, bytes)?;
    let shown = path.display().to_string();
    say(run.shared.json, &format!("{shown}: {what}"), json!({ "written": shown, "what": what }))?;
    if !export.file {
        show::note_unless(run.shared.json, &format!("{shown} is not locked: print it, then destroy the file"));
    }
    Ok(Exit::Done)
}

/// `ringwall custodian import`.
pub(super) fn import(run: &mut Run<'_>, import: &Import) -> Result<Exit, Trouble> {
    let mut shelf = run.shelf()?;
    let card = run.pinned(&shelf)?;
    run.take_orders(&shelf, &card, &import.orders)?;
    let bytes = read(import.from.as_deref())?;
    let keys = run.unlock(&shelf)?;
    let (share, form) = returned(&bytes, &card.genesis.cluster_id(), &mut run.keyring)?;
    let manifest = manifest(&shelf, &card, import.manifest.as_deref(), share.custody_epoch)?;
    let name = ceremony::import(&mut shelf, &card, &manifest, share, &keys, (form, clock::now_s()))?;
    let what = shelf::words(&name.cluster_id, name.custody_epoch);
    let object = json!({
        "cluster": name.cluster_id.to_string(), "custody_epoch": name.custody_epoch.0, "manifest": name.manifest.to_string(),
    });
    say(run.shared.json, &format!("the share of {what} is here again; it is the one that was dealt"), object)
}

/// The manifest that was named, or the one this folder holds of that dealing.
fn manifest(
    shelf: &Shelf,
    card: &ClusterCard,
    named: Option<&Path>,
    epoch: ringwall_wire::ids::CustodyEpoch,
) -> Result<SignedManifest, Trouble> {
    if let Some(path) = named {
        // Either form will do: a node gives dealings, people pass on manifests.
        return match message::<Dealt>(path, "a manifest or a dealing") {
            Ok(dealt) => Ok(dealt.manifest),
            Err(_) => message::<SignedManifest>(path, "a manifest or a dealing"),
        };
    }
    let held = shelf.all_held(&card.genesis.cluster_id())?.into_iter().rfind(|held| held.name.custody_epoch == epoch);
    held.map(|held| held.manifest).ok_or_else(|| {
        let words = format!(
            "the share is of dealing {epoch}, of which this folder has no manifest: name one with --manifest (it is public: a node's disk, an operator or \
             another custodian has it)"
        );
        Trouble::new("RW-C-CUSTODIAN-NOTHING", words)
    })
}

fn returned(bytes: &[u8], cluster_id: &ClusterId, keyring: &mut TypedKeyring) -> Result<(SharePlain, PaperForm), CustodianError> {
    // A locked file opens with a zero byte, as every message does; nobody types one.
    if bytes.first() == Some(&0) {
        let file = locked::decode(bytes, LockedKind::Share)?;
        keyring.what = "the exported share";
        let plain = locked::unlock(&file, keyring)?;
        let share = SharePlain::decode(&plain).map_err(locked::LockError::Malformed)?;
        let label = ShareLabel::from_bytes(&file.public).map_err(locked::LockError::Malformed)?;
        let fits = (label.cluster_id, label.custody_epoch, label.index) == (share.cluster_id, share.custody_epoch, share.x);
        return match fits {
            true => Ok((share, PaperForm::File)),
            false => Err(locked::LockError::Mismatch.into()),
        };
    }
    let text = text_of(bytes)?;
    let form = if is_line(text) { PaperForm::Qr } else { PaperForm::Words };
    if form == PaperForm::Words {
        // The words are held against their checksum first, as they stand: what is wrong is pointed at where it was typed.
        drop(phrase::read(spelled::PURPOSE, text, spelled::SPELLED_BYTES)?);
    }
    let plain = phrase::plain(text);
    read_share(&plain, cluster_id).map(|share| (share, form)).map_err(|fault| match fault {
        SpellFault::Line(fault) => fault.into(),
        fault => CustodianError::Spelled(fault),
    })
}

fn text_of(bytes: &[u8]) -> Result<&str, CustodianError> {
    std::str::from_utf8(bytes).map_err(|_| CustodianError::Input {
        what: "what was given".into(),
        wanted: "words, the line of a code, or a locked file",
        source: ringwall_wire::codec::DecodeError::Illegal { what: "text" },
    })
}

/// A line has no spaces; words have.
fn is_line(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && !text.contains(char::is_whitespace)
}

/// Keys from paper, for `init`.
pub(super) fn keys_from(path: &Path) -> Result<Zeroizing<[u8; SEEDS_BYTES]>, Trouble> {
    let bytes = read(Some(path))?;
    let text = text_of(&bytes)?;
    let secret = match is_line(text) {
        true => line::read(KEYS, text, SEEDS_BYTES).map_err(CustodianError::from)?,
        false => phrase::read(KEYS, text, SEEDS_BYTES).map_err(CustodianError::from)?,
    };
    let seeds = <[u8; SEEDS_BYTES]>::try_from(secret.as_slice()).expect("the secret has the length that was asked for");
    Ok(Zeroizing::new(seeds))
}

/// A file, or standard input.
fn read(path: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let path = path.filter(|path| *path != Path::new("-"));
    if let Some(path) = path {
        return bounded_file(path, IMPORT_BYTES).map(Zeroizing::new);
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        show::note("type the lines of words as they stand on the paper (or scan the code); end with Ctrl-D on an empty line");
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(IMPORT_BYTES + 1));
    let read = stdin.lock().take(IMPORT_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|fault| Trouble::new("RW-C-INPUT", format!("standard input: {fault}")))?;
    match bytes.len() > IMPORT_BYTES {
        true => Err(Trouble::new("RW-C-INPUT", format!("standard input is longer than {IMPORT_BYTES} bytes, which is the most it can be"))),
        false => Ok(bytes),
    }
}
