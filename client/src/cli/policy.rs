//! What each verb of `ringwall policy` does.
//!
//! Decides: which library call a verb is, what it writes and how it ends. Nothing here talks to anybody; files that are written are new.
//! Trusts: the library. Out of scope: parsing (`policy_args.rs`), layout (`policy_show.rs`), verbs about a running cluster (`governance.rs`). Protocol section 8.

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::input::bounded_file;
use super::policy_args::{self, PolicyVerb};
use super::{governance, policy_notice, policy_show, show, signing};
use crate::Anchors;
use crate::custodian::keys::{CARDS_BYTES, read_cards};
use crate::policy::{
    GovernorKey, PolicyFault, PolicyFile, boot_table, compare, explain, replay_to_toml, simulated_template, template, to_toml,
};
use ringwall_attest::{ApprovalError, Authority, verify_approval};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::{Custodian, GenesisTemplate};
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::{CUSTODIANS, EVENT_LOG_BYTES};
use ringwall_wire::policy::{PolicyDoc, SignedPolicy};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;

/// Runs one verb.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, verb: PolicyVerb) -> Result<Exit, Trouble> {
    match verb {
        PolicyVerb::Propose(propose) => governance::propose(shared, anchors, &propose).await,
        PolicyVerb::Publish(publish) => policy_notice::publish(shared, &publish),
        PolicyVerb::Notice(notice) => policy_notice::notice(shared, &notice),
        PolicyVerb::Withdraw(withdraw) => governance::withdraw(shared, anchors, &withdraw).await,
        PolicyVerb::Lease(lease) => governance::lease(shared, anchors, &lease).await,
        PolicyVerb::Status => governance::status(shared, anchors).await,
        PolicyVerb::Diff(diff) => governance::differences(shared, &diff),
        verb => offline(verb, shared.json),
    }
}

/// Runs one verb that reads and writes files alone.
fn offline(verb: PolicyVerb, json: bool) -> Result<Exit, Trouble> {
    match verb {
        PolicyVerb::New(new) => begin(&new, json),
        PolicyVerb::Check(one) => inspect(&one.file, json),
        PolicyVerb::Encode(encode) => write_bytes(&encode, json),
        PolicyVerb::Show(one) => text(&one.file, json),
        PolicyVerb::Digest(one) => {
            let digest = digest(read(&one.file)?.policy());
            say(json, &digest.to_string(), json!({ "digest": digest.to_string() }))
        }
        PolicyVerb::Explain(arguments) => in_words(&arguments, json),
        PolicyVerb::Events(events) => tabulate(&events, json),
        PolicyVerb::Keygen(keygen) => {
            let key = GovernorKey::create(&keygen.file)?.public().to_string();
            let path = keygen.file.display().to_string();
            say(json, &format!("governor {key}"), json!({ "governor": key, "key_file": path }))?;
            show::note_unless(json, &format!("{path} approves changes of policies: keep it offline, and a copy in a safe place"));
            Ok(Exit::Done)
        }
        PolicyVerb::Sign(sign) => approve(&sign, json),
        PolicyVerb::Verify(verify) => verify_signed(&verify, json),
        PolicyVerb::Genesis(genesis) => founding(&genesis, json),
        other => Err(Trouble::new("RW-C-USAGE", format!("{other:?} needs a cluster"))),
    }
}

pub(super) fn read(path: &Path) -> Result<PolicyFile, Trouble> {
    PolicyFile::read(path).map_err(|fault| match &fault {
        PolicyFault::Io { .. } => Trouble::new(fault.code(), fault.to_string()),
        _ => Trouble::new(fault.code(), format!("{}: {fault}", path.display())),
    })
}

pub(super) fn digest(policy: &PolicyDoc) -> Digest {
    Digest(policy.digest())
}

/// Prints one line, or one object.
pub(super) fn say(json: bool, text: &str, object: Value) -> Result<Exit, Trouble> {
    match json {
        true => show::line(object.to_string())?,
        false => show::line(text)?,
    }
    Ok(Exit::Done)
}

/// Writes a file that was not there.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|fault| Trouble::new("RW-C-OUTPUT", format!("{}: {fault}; name a file that does not exist yet", path.display())))
}

fn begin(new: &policy_args::New, json: bool) -> Result<Exit, Trouble> {
    let text = if new.simulated { simulated_template() } else { template().to_owned() };
    write_template(&text, new.out.as_deref(), |path| format!("ringwall policy check {path}"), json)
}

/// Writes a template into a new file, or to standard output; `next` is the command to run once its lists are filled.
pub(super) fn write_template(text: &str, out: Option<&Path>, next: impl FnOnce(&str) -> String, json: bool) -> Result<Exit, Trouble> {
    let Some(path) = out else {
        return match json {
            true => say(true, "", json!({ "toml": text })),
            false => show::print(text.as_bytes()).map(|()| Exit::Done),
        };
    };
    write_new(path, text.as_bytes())?;
    let shown = path.display().to_string();
    say(json, &format!("{shown}: fill the lists marked FILL, then run: {}", next(&shown)), json!({ "written": shown }))
}

/// Exit code 10 when no machine at all could be let in.
fn inspect(path: &Path, json: bool) -> Result<Exit, Trouble> {
    let file = read(path)?;
    let explained = explain(file.policy());
    match json {
        true => show::line(policy_show::inspection_json(&file, &explained).to_string())?,
        false => show::print(policy_show::inspection_text(&path.display().to_string(), &file, &explained).as_bytes())?,
    }
    Ok(if explained.obstacles.lets_nothing_in() { Exit::File } else { Exit::Done })
}

fn write_bytes(encode: &policy_args::Encode, json: bool) -> Result<Exit, Trouble> {
    let policy = read(&encode.file)?.into_policy();
    let bytes = policy.encode();
    write_new(&encode.out, &bytes)?;
    let (digest, shown) = (digest(&policy).to_string(), encode.out.display().to_string());
    let object = json!({ "written": shown, "bytes": bytes.len(), "digest": digest });
    say(json, &format!("{shown}: {} bytes, policy {digest}", bytes.len()), object)
}

fn text(path: &Path, json: bool) -> Result<Exit, Trouble> {
    let file = read(path)?;
    let text = to_toml(file.policy());
    match json {
        true => say(true, "", json!({ "form": file.form(), "digest": digest(file.policy()).to_string(), "toml": text })),
        false => show::print(text.as_bytes()).map(|()| Exit::Done),
    }
}

fn in_words(arguments: &policy_args::Explain, json: bool) -> Result<Exit, Trouble> {
    let policy = read(&arguments.file)?.into_policy();
    let old = arguments.against.as_deref().map(read).transpose()?.map(PolicyFile::into_policy);
    let explained = explain(&policy);
    let changed = old.as_ref().map(|old| (old, compare(old, &policy)));
    match json {
        true => show::line(policy_show::explanation_json(&explained, changed.as_ref()).to_string())?,
        false => show::print(policy_show::explanation_text(&explained, changed.as_ref()).as_bytes())?,
    }
    Ok(Exit::Done)
}

/// The table goes to standard output, to be put behind its measurement; what to compare it with stands in its comments.
fn tabulate(arguments: &policy_args::Events, json: bool) -> Result<Exit, Trouble> {
    let log = bounded_file(&arguments.log, EVENT_LOG_BYTES)?;
    let shown = arguments.log.display();
    let table = boot_table(&log, arguments.mrtd).map_err(|fault| Trouble::new("RW-C-INPUT", format!("{shown}: {fault}")))?;
    let toml = replay_to_toml(&table.replay);
    let [rtmr0, rtmr1, rtmr2] = table.registers.map(|register| register.to_string());
    if json {
        let object = json!({ "toml": toml, "events": table.replay.events.len(), "rtmr0": rtmr0, "rtmr1": rtmr1, "rtmr2": rtmr2 });
        return say(true, "", object);
    }
    let head = format!(
        "# {} boot events. They count for this machine only if its verified quote has:\n#   rtmr0 {rtmr0}\n#   rtmr1 {rtmr1}\n#   rtmr2 {rtmr2}\n\
         # Put the table behind its measurement, in place of `tdx_replays = []`.\n",
        table.replay.events.len()
    );
    show::print((head + &toml).as_bytes()).map(|()| Exit::Done)
}

pub(super) fn refused(path: &Path, words: impl std::fmt::Display) -> Trouble {
    Trouble::new("RW-C-POLICY-NOT-SIGNED", format!("{}: {words}", path.display()))
}

fn approve(sign: &policy_args::Sign, json: bool) -> Result<Exit, Trouble> {
    let old = sign.against.as_deref().map(read).transpose()?.map(PolicyFile::into_policy);
    let replaces = old.as_ref().map(digest);
    let mut signed = match read(&sign.file)? {
        PolicyFile::Signed(_, signed) => {
            if (sign.first || old.is_some()) && signed.replaces != replaces {
                return Err(refused(&sign.file, "it was signed for another step than the one named; start from the policy itself"));
            }
            signed
        }
        _ if !sign.first && old.is_none() => {
            return Err(Trouble::new("RW-C-USAGE", "name the policy in force with --against, or say --first for a new cluster"));
        }
        file => {
            let bytes = Blob::new(file.policy().encode()).expect("a policy that was read has a policy's size");
            SignedPolicy { replaces, policy: bytes, signatures: List::default() }
        }
    };
    let key = GovernorKey::read(&sign.key)?;
    if old.as_ref().is_some_and(|old| !old.governance.keys.contains(&key.public())) {
        return Err(refused(&sign.key, format!("governor {} is none of the policy in force, the approval would be refused", key.public())));
    }
    signing::add(&mut signed, &key).map_err(|no| refused(&sign.file, no))?;
    write_new(&sign.out, &signed.encode())?;
    let (shown, count) = (sign.out.display().to_string(), signed.signatures.len());
    let object = json!({ "written": shown, "governor": key.public().to_string(), "signatures": count });
    say(json, &format!("{shown}: approved by governor {}, {count} signature(s) in all", key.public()), object)
}

fn verify_signed(verify: &policy_args::VerifyPolicy, json: bool) -> Result<Exit, Trouble> {
    let PolicyFile::Signed(_, signed) = read(&verify.file)? else {
        return Err(refused(&verify.file, "it is a policy without signatures; `ringwall policy sign` makes them"));
    };
    let old = verify.against.as_deref().map(read).transpose()?.map(PolicyFile::into_policy);
    let authority = match &old {
        Some(old) => Authority::Change(old),
        None => Authority::First { keys: &verify.governor, threshold: verify.threshold.unwrap_or(0) },
    };
    let not_approved = |fault: ApprovalError| Trouble::new("RW-C-POLICY-NOT-APPROVED", format!("{}: {fault}", verify.file.display()));
    let approved = verify_approval(&signed, authority).map_err(not_approved)?;
    if let Some(path) = &verify.out {
        write_new(path, &approved.policy().encode())?;
    }
    let governors: Vec<String> = approved.approvers().iter().map(ToString::to_string).collect();
    let changed = old.as_ref().map(|old| (old, compare(old, approved.policy())));
    let object = json!({
        "approved": digest(approved.policy()).to_string(),
        "version": approved.policy().version.0,
        "governors": governors,
        "change": changed.as_ref().map(policy_show::verdict_json),
    });
    let mut text = format!("policy {} (version {}) is approved by:", digest(approved.policy()), approved.policy().version);
    governors.iter().for_each(|governor| text.push_str(&format!("\n  governor {governor}")));
    if let Some(changed) = &changed {
        text.push_str(&format!("\n{}", policy_show::verdict_text(changed)));
    }
    say(json, &text, object)
}

fn founding(genesis: &policy_args::Genesis, json: bool) -> Result<Exit, Trouble> {
    let policy = read(&genesis.file)?.into_policy();
    let name = Text::new(genesis.name.as_str())
        .map_err(|_| Trouble::new("RW-C-USAGE", "the name of a cluster has at most 64 bytes and no control characters"))?;
    let (custodians, custody_threshold) = custodians(genesis)?;
    let named = custodians.len();
    let template = GenesisTemplate {
        trust_domain: policy.trust_domain,
        name,
        custodians,
        custody_threshold,
        slots: policy.slots.clone(),
        policy: digest(&policy),
    };
    write_new(&genesis.out, &template.encode())?;
    let shown = genesis.out.display().to_string();
    let object = json!({
        "written": shown, "template": Digest(template.digest()).to_string(), "policy": digest(&policy).to_string(),
        "custodians": template.custodians.iter().map(|custodian| json!({ "name": &*custodian.name, "id": custodian.id().to_string() }))
            .collect::<Vec<_>>(),
    });
    say(json, &format!("{shown}: founding template {}, policy {}", Digest(template.digest()), digest(&policy)), object)?;
    match named {
        0 => show::note_unless(json, "no custodians are named, and none can be named later: a total outage of this cluster will be final"),
        _ => {
            let ids: Vec<String> = template.custodians.iter().map(|custodian| format!("{} {}", custodian.name, custodian.id())).collect();
            show::note_unless(
                json,
                &format!("{custody_threshold} of {named} custodians recover it; compare with each of them: {}", ids.join(", ")),
            );
        }
    }
    Ok(Exit::Done)
}

/// The custodians of a new cluster, and how many of them recover it.
fn custodians(genesis: &policy_args::Genesis) -> Result<(List<Custodian, CUSTODIANS>, u8), Trouble> {
    match (&genesis.custodians, genesis.custody_threshold) {
        (Some(path), Some(threshold)) => cards(path, threshold),
        _ => Ok((List::default(), 0)),
    }
}

/// Cards of custodians in one file, of whom so many recover.
pub(super) fn cards(path: &Path, threshold: u8) -> Result<(List<Custodian, CUSTODIANS>, u8), Trouble> {
    let wrong = |words: String| Trouble::new("RW-C-CUSTODIAN-CARD", format!("{}: {words}", path.display()));
    let bytes = bounded_file(path, CARDS_BYTES)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("it is no text".into()))?;
    let custodians = read_cards(text).map_err(|fault| wrong(fault.to_string()))?;
    if usize::from(threshold) > custodians.len() {
        return Err(wrong(format!("{threshold} of {} custodians can never come together", custodians.len())));
    }
    for (at, custodian) in custodians.iter().enumerate() {
        let again = |other: &&Custodian| other.sig == custodian.sig || other.kem == custodian.kem || other.name == custodian.name;
        if let Some(other) = custodians.iter().take(at).find(again) {
            return Err(wrong(format!("{} and {} share a key or a name: one person would hold two shares", other.name, custodian.name)));
        }
    }
    let most = custodians.len();
    let list = List::new(custodians).map_err(|_| wrong(format!("{most} custodians, at most {CUSTODIANS} can be named")))?;
    Ok((list, threshold))
}
