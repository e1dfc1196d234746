//! `ringwall user` and `ringwall device`: what a user makes once, their devices, and what was done with their record.
//!
//! Decides: a credential and a user key that are there are kept, what is missing is made, nothing is overwritten; a new device shows a code that one of the
//! user's devices has added. Names of devices are for people: a name that several devices have is refused where one is meant.
//! Trusts: the file system, the library. Out of scope: what the cluster allows. Protocol sections 7.4 and 9.

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::import::Import;
use super::rekey::Rekey;
use super::{input, show, verbs};
use crate::card::read_card;
use crate::{Anchors, Client, Credential, UserId, create_user_key, read_user_key, user_key_path, write_user};
use clap::Subcommand;
use ringwall_channel::user::sign_device_request;
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{ClusterId, DeviceTag};
use ringwall_wire::text::{hex, read_hex_vec};
use ringwall_wire::user::{AuditAct, AuditRow, DeviceName, DeviceRequest, UserShown};
use serde_json::{Value, json};
use std::path::Path;

/// What a device's code begins with.
const CODE: &str = "rwd1-";
/// Characters of a code: a request with the longest name, in hex.
const CODE_CHARS: usize = 2_048;

/// What can be done for a user.
#[derive(Debug, Subcommand)]
pub(crate) enum UserVerb {
    /// Make a credential and a user key (mode 0600), each unless there is one; with a cluster, enrol there as the first device
    Init {
        /// What this device is called
        #[arg(long, default_value = "first device", value_parser = device_name)]
        name: DeviceName,
    },
    /// Show devices, recovery, and what waits
    Show,
    /// Store here what the recovery phrase (from standard input) opens of a backup of another cluster
    Import(Import),
    /// Move namespaces in dual or user mode under a new user key
    Rekey(Rekey),
    /// Show what was done with the record: every change, and every try to restore the user with a wrong phrase
    Audit {
        /// Only after this number
        #[arg(long, default_value_t = 0, value_name = "NUMBER")]
        after: u64,
    },
}

/// What can be done with devices.
#[derive(Debug, Subcommand)]
pub(crate) enum DeviceVerb {
    /// On a new device: make a credential and print the code that has it added
    Request {
        /// The user, as `ringwall user show` prints it on a device that is added already
        #[arg(long, value_name = "ID")]
        user: UserId,
        /// What this device is called
        #[arg(long, value_parser = device_name)]
        name: DeviceName,
    },
    /// Add a device by its code
    Add {
        /// The code
        code: String,
    },
    /// Revoke a device: it is refused from now on, and its sessions end
    Revoke {
        /// Its name or tag, as `ringwall user show` prints them
        device: String,
    },
}

pub(crate) fn device_name(text: &str) -> Result<DeviceName, String> {
    DeviceName::new(text).map_err(|_| "a device's name has at most 64 bytes and no control characters".into())
}

/// Runs a verb of `ringwall user`.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, verb: &UserVerb) -> Result<Exit, Trouble> {
    match verb {
        UserVerb::Init { name } => init(shared, anchors, name).await,
        UserVerb::Show => {
            let client = verbs::connect(shared, anchors).await?;
            let shown = client.user_record(u64::MAX).await;
            let user = client.user();
            client.close().await;
            record(shared, &user, &shown?)
        }
        UserVerb::Import(args) => super::import::run(shared, anchors, args).await,
        UserVerb::Rekey(args) => super::rekey::run(shared, anchors, args).await,
        UserVerb::Audit { after } => audit(shared, anchors, *after).await,
    }
}

/// Runs a verb of `ringwall device`.
pub(crate) async fn device(shared: &SharedOptions, anchors: Anchors, verb: &DeviceVerb) -> Result<Exit, Trouble> {
    match verb {
        DeviceVerb::Request { user, name } => request(shared, user, name),
        DeviceVerb::Add { code } => {
            let request = read_code(code)?;
            let client = verbs::connect(shared, anchors).await?;
            finish(shared, client, async |client| client.add_device(&request).await).await
        }
        DeviceVerb::Revoke { device } => {
            let client = verbs::connect(shared, anchors).await?;
            let shown = client.user_record(u64::MAX).await?;
            let tag = find(&shown, device)?;
            finish(shared, client, async |client| client.revoke_device(tag).await).await
        }
    }
}

/// Makes a change and shows the record as it is then.
pub(super) async fn finish(
    shared: &SharedOptions,
    client: Client,
    change: impl AsyncFnOnce(&Client) -> Result<UserShown, crate::UserError>,
) -> Result<Exit, Trouble> {
    let shown = change(&client).await;
    let user = client.user();
    client.close().await;
    record(shared, &user, &shown?)
}

async fn init(shared: &SharedOptions, anchors: Anchors, name: &DeviceName) -> Result<Exit, Trouble> {
    let path = input::credential_path(shared)?;
    let key_path = shared.user_key.clone().unwrap_or_else(|| user_key_path(path));
    let credential = make_credential(path)?;
    match key_path.exists() {
        true => read_user_key(&key_path)?,
        false => create_user_key(&key_path)?,
    };
    let user = input::user(path)?.unwrap_or_else(|| credential.user());
    let online = shared.card.is_some() || shared.cluster.is_some();
    if online {
        let client = verbs::connect(shared, anchors).await?;
        let enrolled = client.enrol(name.clone()).await;
        client.close().await;
        enrolled?;
    }
    let (credential, key) = (path.display().to_string(), key_path.display().to_string());
    match shared.json {
        true => show::line(json!({ "user": user.to_string(), "credential": credential, "user_key": key, "enrolled": online }).to_string())?,
        false => {
            show::line(format!("user {user}"))?;
            show::note(&format!(
                "{credential} is this device's key to the user's data, {key} the user's to what is stored in dual and user mode"
            ));
            show::note("`ringwall recovery create` makes a phrase that restores both when this device is lost");
        }
    }
    Ok(Exit::Done)
}

/// The credential that is there, or a new one.
pub(super) fn make_credential(path: &Path) -> Result<Credential, Trouble> {
    Ok(match path.exists() {
        true => Credential::read(path)?,
        false => Credential::create(path)?,
    })
}

/// The cluster that is pinned.
pub(super) fn pinned(shared: &SharedOptions) -> Result<ClusterId, Trouble> {
    match (&shared.card, shared.cluster) {
        (Some(card), expected) => Ok(read_card(card, expected)?.genesis.cluster_id()),
        (None, Some(cluster)) => Ok(cluster),
        (None, None) => Err(Trouble::new("RW-C-USAGE", "pin a cluster with --card or RINGWALL_CARD, or with --cluster")),
    }
}

fn request(shared: &SharedOptions, user: &UserId, name: &DeviceName) -> Result<Exit, Trouble> {
    let path = input::credential_path(shared)?;
    let cluster_id = pinned(shared)?;
    let credential = make_credential(path)?;
    note_user(path, user)?;
    let request = sign_device_request(&cluster_id, user, name.clone(), &credential.signing_key());
    let code = format!("{CODE}{}", hex(&request.encode()));
    match shared.json {
        true => show::line(json!({ "code": code, "credential": path.display().to_string() }).to_string())?,
        false => {
            show::line(&code)?;
            show::note("on a device of the user: ringwall device add CODE. The code is no secret");
        }
    }
    Ok(Exit::Done)
}

/// Notes whose device a credential is.
pub(super) fn note_user(credential: &Path, user: &UserId) -> Result<(), Trouble> {
    let place = crate::user_path(credential).display().to_string();
    write_user(credential, user).map_err(|fault| Trouble::new("RW-C-INPUT", format!("{place}: {fault}")))
}

fn read_code(code: &str) -> Result<DeviceRequest, Trouble> {
    let wrong = || {
        Trouble::new(
            "RW-C-DEVICE-CODE",
            "this is no device's code: it was cut off or altered; copy all of what `ringwall device request` printed",
        )
    };
    let digits = code.trim().strip_prefix(CODE).filter(|digits| digits.len() <= CODE_CHARS).ok_or_else(wrong)?;
    let bytes = read_hex_vec(digits).ok_or_else(wrong)?;
    DeviceRequest::decode(&bytes).map_err(|_| wrong())
}

/// The device that is meant: one that counts, by name or tag.
fn find(shown: &UserShown, wanted: &str) -> Result<DeviceTag, Trouble> {
    let mut found = shown.devices.iter().filter(|device| device.revoked_ms == 0).filter(|device| {
        let tag = device.tag.to_string();
        *device.name == *wanted || tag == wanted || wanted.len() >= 8 && tag.starts_with(wanted)
    });
    match (found.next(), found.next()) {
        (Some(device), None) => Ok(device.tag),
        (None, _) => Err(Trouble::new("RW-C-NOT-FOUND", "no device of that name or tag counts; `ringwall user show` lists them")),
        (Some(_), Some(_)) => Err(Trouble::new("RW-C-USAGE", "several devices have that name; name one by its tag")),
    }
}

/// Shows a user's record.
pub(super) fn record(shared: &SharedOptions, user: &UserId, shown: &UserShown) -> Result<Exit, Trouble> {
    match shared.json {
        true => show::line(ringwall_session::shown::record(user, shown).to_string())?,
        false => show::print(record_text(user, shown).as_bytes())?,
    }
    Ok(Exit::Done)
}

fn record_text(user: &UserId, shown: &UserShown) -> String {
    let mut text = format!("user {user}, {} changes\n", shown.seq);
    if shown.seq == 0 {
        text.push_str(&show::wrap("no record: the credential that names the user is its only device", 2));
    }
    for device in shown.devices.iter() {
        let out = if device.revoked_ms == 0 { String::new() } else { format!(", revoked at {}", device.revoked_ms / 1_000) };
        let name = show::words(device.name.as_bytes());
        text.push_str(&show::wrap(&format!("{}  {name}, added at {}{out}", device.tag, device.added_ms / 1_000), 4));
    }
    text.push_str(&show::wrap(&recovery_words(shown), 2));
    if let Some(waiting) = &shown.restoring {
        let words = format!(
            "SOMEBODY WITH THE PHRASE restores this user: device {} counts from {} on. If that is not you: ringwall recovery stop",
            waiting.device.tag,
            waiting.ready_ms.div_ceil(1_000)
        );
        text.push_str(&show::wrap(&words, 2));
    }
    text
}

fn recovery_words(shown: &UserShown) -> String {
    match shown.recovery {
        Some(row) => format!("recovery: a phrase, since {}; a restored device waits {} s", row.set_ms / 1_000, row.cool_down_s),
        None => "recovery: none; when the last device is lost, so is the user".into(),
    }
}

async fn audit(shared: &SharedOptions, anchors: Anchors, after: u64) -> Result<Exit, Trouble> {
    let client = verbs::connect(shared, anchors).await?;
    let mut seen = after;
    loop {
        let shown = client.user_record(seen).await?;
        verify_trail(&shown.audit)?;
        for row in shown.audit.iter() {
            match shared.json {
                true => show::line(audit_json(row).to_string())?,
                false => show::line(format!("{}\t{}\t{}\tby {}\ton {}", row.seq, row.at_ms / 1_000, act(row.act), row.actor, row.subject))?,
            }
        }
        match shown.audit.last() {
            Some(last) if last.seq < shown.seq => seen = last.seq,
            Some(last) if last.digest != shown.digest => return Err(broken()),
            _ => break,
        }
    }
    client.close().await;
    Ok(Exit::Done)
}

/// Whether each row is linked to the one before it.
fn verify_trail(rows: &[AuditRow]) -> Result<(), Trouble> {
    let linked = rows.windows(2).all(|pair| match pair {
        [before, row] => row.seq == before.seq.saturating_add(1) && row.digest == row.digest_after(&before.digest),
        _ => true,
    });
    if linked { Ok(()) } else { Err(broken()) }
}

fn broken() -> Trouble {
    Trouble::new(
        "RW-C-NOT-AUTHENTIC",
        "the audit trail is not linked: rows were left out or altered; keep what was printed and tell the operators",
    )
}

fn audit_json(row: &AuditRow) -> Value {
    json!({
        "seq": row.seq,
        "index": row.index,
        "at_s": row.at_ms / 1_000,
        "act": act(row.act),
        "by": row.actor.to_string(),
        "on": row.subject.to_string(),
        "digest": row.digest.to_string(),
    })
}

fn act(act: AuditAct) -> &'static str {
    match act {
        AuditAct::Enrolled => "enrolled",
        AuditAct::Added => "device added",
        AuditAct::Revoked => "device revoked",
        AuditAct::RecoverySet => "recovery set",
        AuditAct::RestoreBegan => "restore began",
        AuditAct::Restored => "restored",
        AuditAct::RestoreStopped => "restore stopped",
        AuditAct::RestoreRefused => "restore refused",
    }
}
