//! `ringwall policy propose | withdraw | lease | status | diff` and `ringwall cluster`: the policy of a running cluster.
//!
//! Decides: a change is judged here first, as every member judges it, so that whoever brings one learns what it will do; whoever brings it decides nothing. Words of
//! governors are made and signed without a network, each in a new file. The newest policy is that of the card, or the newest one this user's devices have verified.
//! Trusts: the card. Out of scope: judging (`attest`), layout (`governance_show.rs`), parsing (`policy_args.rs`). Protocol section 8.

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::input::{bounded_file, card};
use super::policy::{digest, read, refused, say, write_new};
use super::policy_args::{Diff, Lease, Propose, Withdraw};
use super::signing::{self, NotAdded, WORD_FILE_BYTES, Word};
use super::verbs::connect;
use super::{governance_show as layout, input, policy_show, show};
use crate::anchor::AnchorFiles;
use crate::card::newest_policy;
use crate::doors::doors;
use crate::policy::{GovernorKey, PolicyFile, compare, to_toml};
use crate::{Anchors, Client, clock};
use clap::Subcommand;
use ringwall_attest::governance::{ChangeError, judge_change};
use ringwall_attest::{ApprovalError, verify_words};
use ringwall_wire::bounded::List;
use ringwall_wire::card_text::card_to_text;
use ringwall_wire::codec::Message;
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::governance::{GovernanceView, PolicyLease, PolicyOutcome, PolicyWithdrawal};
use ringwall_wire::ids::{ClusterId, SigPublic};
use ringwall_wire::known::NoticePaper;
use ringwall_wire::policy::{Governance, PolicyDoc, SignedPolicy};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Bytes of a notice: two checkpoints and two paths.
const NOTICE_FILE_BYTES: usize = 3 * ringwall_wire::limits::NOTE_BYTES;
const DAY_S: u64 = 86_400;

/// Verbs of `ringwall cluster`.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterVerb {
    /// Show the policy in force, changes that wait, the lease, the members and the epoch
    Status,
    /// Write the policy in force as TOML, as the node in use was judged by it: what a change starts from
    Policy {
        /// New file for the policy
        #[arg(long, short, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write the cluster's card anew: with every change of the policy that was verified, it pins the newest one; with where pages are let in now
    Card {
        /// As text, to paste into a page
        #[arg(long)]
        web: bool,
        /// New file for the card
        #[arg(long, short, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Runs one verb of `ringwall cluster`.
pub(crate) async fn cluster(shared: &SharedOptions, anchors: Anchors, verb: ClusterVerb) -> Result<Exit, Trouble> {
    match verb {
        ClusterVerb::Status => whole_status(shared, anchors).await,
        ClusterVerb::Policy { out } => write_policy(shared, anchors, &out).await,
        ClusterVerb::Card { out, web } => renew_card(shared, anchors, &out, web).await,
    }
}

/// The newest policy known here without a network: the card's, or a later one this user's devices have verified.
fn newest(shared: &SharedOptions, card: &ClusterCard) -> Result<PolicyDoc, Trouble> {
    let pinned = newest_policy(card);
    let Some(credential) = &shared.credential else { return Ok(pinned) };
    let path = AnchorFiles::beside(credential, &card.genesis.cluster_id()).path("policy");
    let verified = AnchorFiles::read_policy(&path)?.and_then(|known| known.policy().ok());
    Ok(verified.filter(|verified| verified.version > pinned.version).unwrap_or(pinned))
}

pub(super) fn differences(shared: &SharedOptions, diff: &Diff) -> Result<Exit, Trouble> {
    let policy = read(&diff.file)?.into_policy();
    let old = match &diff.against {
        Some(old) => read(old)?.into_policy(),
        None => newest(shared, &card(shared)?)?,
    };
    let changed = (&old, compare(&old, &policy));
    match shared.json {
        true => show::line(policy_show::verdict_json(&changed).to_string())?,
        false => show::print(policy_show::changes_text(&changed).trim_start().as_bytes())?,
    }
    Ok(Exit::Done)
}

/// Ends the session, whichever way it went.
async fn closing<T>(client: Client, outcome: Result<T, crate::GovernanceError>) -> Result<T, Trouble> {
    client.close().await;
    Ok(outcome?)
}

pub(super) async fn propose(shared: &SharedOptions, anchors: Anchors, propose: &Propose) -> Result<Exit, Trouble> {
    let PolicyFile::Signed(policy, signed) = read(&propose.file)? else {
        return Err(refused(&propose.file, "it is a policy without signatures; `ringwall policy approve` makes them"));
    };
    let notice = propose.notice.as_deref().map(|path| notice_for(path, &signed)).transpose()?;
    let client = connect(shared, anchors).await?;
    if let Some(paper) = notice {
        let outcome = client.give_notice(paper.notice).await;
        return told(shared, &closing(client, outcome).await?, &signed);
    }
    let in_force = client.verification().policy.clone();
    if let Err(fault) = judge_change(&in_force, &signed) {
        client.close().await;
        let code = match fault {
            ChangeError::Approval(ApprovalError::OtherStep { .. }) if digest(&policy) == digest(&in_force) => "RW-C-POLICY-IN-FORCE",
            ChangeError::Approval(_) => "RW-C-POLICY-NOT-APPROVED",
            _ => "RW-C-POLICY-FALLS",
        };
        return Err(Trouble::new(code, format!("{}: {fault}", propose.file.display())));
    }
    let changed = (&*in_force, compare(&in_force, &policy));
    if !shared.json {
        show::line(policy_show::verdict_text(&changed))?;
    }
    let outcome = client.propose_policy(signed.clone()).await;
    told(shared, &closing(client, outcome).await?, &signed)
}

fn notice_for(path: &Path, signed: &SignedPolicy) -> Result<NoticePaper, Trouble> {
    let wrong = |words: String| Trouble::new("RW-C-POLICY-NOTICE", format!("{}: {words}", path.display()));
    let paper = NoticePaper::decode(&bounded_file(path, NOTICE_FILE_BYTES)?).map_err(|fault| wrong(format!("no notice: {fault}")))?;
    let (got, wanted) = (paper.notice.change, signed.change());
    match got == wanted {
        true => Ok(paper),
        false => Err(wrong(format!("it is about change {got}, the policy's change is {wanted}"))),
    }
}

/// What a step gave.
fn told(shared: &SharedOptions, outcome: &PolicyOutcome, signed: &SignedPolicy) -> Result<Exit, Trouble> {
    let change = signed.change().to_string();
    say(shared.json, &layout::outcome_text(outcome), layout::outcome_json(outcome, Some(&change)))
}

/// A word of the governors about a policy of one cluster.
trait About: Word + Message {
    const NAME: &'static str;
    fn cluster_id(&self) -> ClusterId;
    fn says(&self) -> String;
}

impl About for PolicyWithdrawal {
    const NAME: &'static str = "withdrawal";
    fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }
    fn says(&self) -> String {
        format!("change {} shall not come into force", self.change)
    }
}

impl About for PolicyLease {
    const NAME: &'static str = "lease";
    fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }
    fn says(&self) -> String {
        format!("policy {} is wanted until {}", self.policy, ringwall_attest::date(self.until_s))
    }
}

/// Reads a word of the governors about the cluster of the card.
fn word<W: About>(card: &ClusterCard, path: &Path) -> Result<W, Trouble> {
    let wrong = |words: String| Trouble::new("RW-C-POLICY-WORD", format!("{}: {words}", path.display()));
    let word = W::decode(&bounded_file(path, WORD_FILE_BYTES)?).map_err(|_| wrong(format!("it is no {} of governors", W::NAME)))?;
    match word.cluster_id() == card.genesis.cluster_id() {
        true => Ok(word),
        false => Err(wrong(format!("the {} is for another cluster than the card", W::NAME))),
    }
}

/// Adds a governor's signature, and writes the word into a new file.
fn sign<W: About>(shared: &SharedOptions, governance: &Governance, mut word: W, key: &Path, out: &Path) -> Result<Exit, Trouble> {
    let governor = GovernorKey::read(key)?;
    let public = governor.public();
    if !governance.keys.contains(&public) {
        return Err(refused(key, format!("governor {public} is none of the policy in force, the signature would be refused")));
    }
    signing::add(&mut word, &governor).map_err(|no| match no {
        NotAdded::Already(_) => refused(key, no),
        NotAdded::Full => refused(out, no),
    })?;
    write_new(out, &word.to_bytes())?;
    let (shown, count) = (out.display().to_string(), word.signatures().len());
    let text = format!("{shown}: {}\nsigned by governor {public}, {count} signature(s) in all, {} must", word.says(), governance.threshold);
    let object = json!({ "written": shown, "says": word.says(), "governor": public.to_string(), "signatures": count });
    say(shared.json, &text, object)
}

/// Whether enough governors signed, before anybody is bothered with it.
fn enough(path: &Path, word: &dyn Word, governance: &Governance) -> Result<Vec<SigPublic>, Trouble> {
    let signed = verify_words(&word.signed(), word.signatures(), governance);
    signed.map_err(|fault| Trouble::new("RW-C-POLICY-NOT-APPROVED", format!("{}: {fault}", path.display())))
}

pub(super) async fn withdraw(shared: &SharedOptions, anchors: Anchors, arguments: &Withdraw) -> Result<Exit, Trouble> {
    let card = card(shared)?;
    if let (Some(key), Some(out)) = (&arguments.key, &arguments.out) {
        let governance = newest(shared, &card)?.governance;
        let word = match PolicyFile::read(&arguments.file) {
            Ok(PolicyFile::Signed(_, signed)) => {
                PolicyWithdrawal { cluster_id: card.genesis.cluster_id(), change: signed.change(), signatures: List::default() }
            }
            _ => word(&card, &arguments.file)?,
        };
        return sign(shared, &governance, word, key, out);
    }
    let word: PolicyWithdrawal = word(&card, &arguments.file)?;
    let client = connect(shared, anchors).await?;
    if let Err(few) = enough(&arguments.file, &word, &client.verification().policy.governance) {
        client.close().await;
        return Err(few);
    }
    let change = word.change.to_string();
    let outcome = client.withdraw_policy(word).await;
    let outcome = closing(client, outcome).await?;
    say(shared.json, &layout::outcome_text(&outcome), layout::outcome_json(&outcome, Some(&change)))
}

pub(super) async fn lease(shared: &SharedOptions, anchors: Anchors, arguments: &Lease) -> Result<Exit, Trouble> {
    let card = card(shared)?;
    if let (Some(key), Some(out)) = (&arguments.key, &arguments.out) {
        let policy = match &arguments.policy {
            Some(path) => read(path)?.into_policy(),
            None => newest(shared, &card)?,
        };
        let in_days = arguments.days.map(|days| clock::now_s().saturating_add(days.saturating_mul(DAY_S)));
        let word = match (&arguments.file, arguments.until.or(in_days)) {
            (Some(file), _) => word(&card, file)?,
            (None, Some(until_s)) => {
                let cluster_id = card.genesis.cluster_id();
                PolicyLease { cluster_id, policy: digest(&policy), until_s, signatures: List::default() }
            }
            (None, None) => return Err(Trouble::new("RW-C-USAGE", "say until when, with --days or --until")),
        };
        return sign(shared, &policy.governance, word, key, out);
    }
    let file = arguments.file.as_deref().ok_or_else(|| Trouble::new("RW-C-USAGE", "name the lease to bring"))?;
    let word: PolicyLease = word(&card, file)?;
    let client = connect(shared, anchors).await?;
    if let Err(few) = enough(file, &word, &client.verification().policy.governance) {
        client.close().await;
        return Err(few);
    }
    let outcome = client.renew_lease(word).await;
    let outcome = closing(client, outcome).await?;
    say(shared.json, &layout::outcome_text(&outcome), layout::outcome_json(&outcome, None))
}

pub(super) async fn status(shared: &SharedOptions, anchors: Anchors) -> Result<Exit, Trouble> {
    let client = connect(shared, anchors).await?;
    let seen = client.verification();
    let view = client.governance().await;
    let view = closing(client, view).await?;
    match shared.json {
        true => show::line(layout::view_json(&view, &seen.policy).to_string())?,
        false => show::print(layout::view_text(&view, &seen.policy).as_bytes())?,
    }
    Ok(Exit::Done)
}

async fn whole_status(shared: &SharedOptions, anchors: Anchors) -> Result<Exit, Trouble> {
    let client = connect(shared, anchors).await?;
    let seen = client.verification();
    let (status, view) = (client.status().await, client.governance().await);
    let view: GovernanceView = closing(client, view).await?;
    let status = status?;
    if shared.json {
        let mut object = show::status_json(&status);
        object["cluster"] = seen.cluster_id.to_string().into();
        object["epoch"] = seen.epoch.0.into();
        object["governance"] = layout::view_json(&view, &seen.policy);
        show::line(object.to_string())?;
        return Ok(Exit::Done);
    }
    let mut text = format!("cluster {}, epoch {}\n", seen.cluster_id, seen.epoch);
    text.push_str(&layout::view_text(&view, &seen.policy));
    text.push_str(&show::status_text(&status));
    show::print(text.as_bytes()).map(|()| Exit::Done)
}

/// The policy the session's node was judged by.
async fn write_policy(shared: &SharedOptions, anchors: Anchors, out: &Path) -> Result<Exit, Trouble> {
    let client = connect(shared, anchors).await?;
    let policy = client.verification().policy.clone();
    client.close().await;
    write_new(out, to_toml(&policy).as_bytes())?;
    let (shown, digest) = (out.display().to_string(), digest(&policy).to_string());
    let object = json!({ "written": shown, "version": policy.version.0, "digest": digest });
    say(shared.json, &format!("{shown}: policy version {}, {digest}", policy.version), object)
}

/// A card with what this user's devices have verified by now.
async fn renew_card(shared: &SharedOptions, anchors: Anchors, out: &Path, as_text: bool) -> Result<Exit, Trouble> {
    let card = card(shared)?;
    let client = connect(shared, anchors).await?;
    let status = client.status().await;
    client.close().await;
    let status = status?;
    let path = AnchorFiles::beside(input::credential_path(shared)?, &card.genesis.cluster_id()).path("policy");
    let steps = AnchorFiles::read_policy(&path)?.map_or_else(|| card.steps.clone(), |known| known.steps);
    let addresses = status.voters.iter().map(|member| member.address.clone()).collect();
    let addresses = List::new(addresses).unwrap_or_else(|_| card.addresses.clone());
    let web = doors(&card.genesis.cluster_id(), &addresses).await;
    let renewed = ClusterCard { steps, addresses, web, ..card };
    let written = if as_text { card_to_text(&renewed).into_bytes() } else { renewed.encode() };
    write_new(out, &written)?;
    let (shown, version) = (out.display().to_string(), newest_policy(&renewed).version.0);
    let (changes, doors) = (renewed.steps.len(), renewed.web.len());
    let object = json!({ "written": shown, "policy_version": version, "changes": changes, "doors": doors });
    say(
        shared.json,
        &format!("{shown}: policy version {version}, {changes} change(s) since the founding, {doors} node(s) that let pages in"),
        object,
    )
}
