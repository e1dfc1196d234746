//! `ringwall policy publish` and `notice`: a change that loosens is made public in the log of releases, and shown to have been public for the delay.
//!
//! Decides: the log and its witnesses are those of the policy that is replaced; a checkpoint counts when enough of them cosigned it; a notice that members would refuse
//! is not written, and says what is missing. Trusts: nothing the log says: everything is judged here as members judge it.
//! Out of scope: the log (`crate::release`), bringing the notice (`governance.rs`). Protocol section 8, "Changes".

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::input::{bounded_file, card};
use super::policy::{read, refused, say, write_new};
use super::policy_args::{Notice, Publish, Step};
use crate::policy::PolicyFile;
use crate::release::http::Http;
use crate::release::tiles::{TileLog, TilesFault};
use ringwall_attest::governance::verify_notice;
use ringwall_attest::release::log::witnessed;
use ringwall_attest::release::{SignedNote, VerifierKey, Witnessed};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::NoticeFor;
use ringwall_wire::ids::ClusterId;
use ringwall_wire::known::NoticePaper;
use ringwall_wire::limits::NOTE_BYTES;
use ringwall_wire::policy::{PolicyDoc, ReleaseRule, SignedPolicy};
use ringwall_wire::release::{LogEntry, LogProof, Note, PolicyNotice};
use serde_json::json;

fn wrong(words: impl std::fmt::Display) -> Trouble {
    Trouble::new("RW-C-POLICY-NOTICE", words.to_string())
}

fn of_log(fault: TilesFault) -> Trouble {
    wrong(fault)
}

/// A change, the policy it replaces, and whoever that policy has watch over it.
struct Watched {
    cluster_id: ClusterId,
    in_force: PolicyDoc,
    signed: SignedPolicy,
    log: VerifierKey,
    witnesses: Vec<VerifierKey>,
    threshold: u8,
}

impl Watched {
    fn read(shared: &SharedOptions, Step { file, against }: &Step) -> Result<Self, Trouble> {
        let PolicyFile::Signed(_, signed) = read(file)? else {
            return Err(refused(file, "it is a policy without signatures; `ringwall policy approve` makes them"));
        };
        let in_force = read(against)?.into_policy();
        let ReleaseRule::Demanded(rule) = &in_force.release else {
            return Err(wrong("the policy that is replaced names no log and no witnesses: a change of it needs no notice"));
        };
        let key = |text: &str| VerifierKey::parse(text).map_err(wrong);
        let (log, threshold) = (key(&rule.log)?, rule.witness_threshold);
        let witnesses = rule.witnesses.iter().map(|text| key(text)).collect::<Result<_, _>>()?;
        let cluster_id = card(shared)?.genesis.cluster_id();
        Ok(Watched { cluster_id, signed, log, witnesses, threshold, in_force })
    }

    fn entry(&self) -> LogEntry {
        LogEntry::policy_change(self.cluster_id, self.signed.change())
    }

    /// A checkpoint with the lines the policy asks for: members refuse a notice with others, which logs and witnesses add as they please.
    fn canonical(&self, note: &str) -> Result<String, Trouble> {
        let note = SignedNote::parse(note).map_err(wrong)?;
        Ok(note.only_of(std::iter::once(&self.log).chain(&self.witnesses)))
    }

    /// A checkpoint enough witnesses cosigned.
    fn seen(&self, note: &str) -> Result<Witnessed, Trouble> {
        witnessed(note, &self.log, &self.witnesses, self.threshold).map_err(wrong)
    }
}

/// Hands the change in, and keeps a witnessed checkpoint that has it.
pub(super) fn publish(shared: &SharedOptions, arguments: &Publish) -> Result<Exit, Trouble> {
    let watched = Watched::read(shared, &arguments.step)?;
    let log = TileLog::new(&arguments.log_url, Http::new());
    let index = log.add(&watched.entry().encode()).map_err(of_log)?;
    let note = log.renewed().map_err(of_log)?;
    let size = watched.seen(&note)?.checkpoint().size;
    if size <= index {
        return Err(wrong(format!("the log's newest checkpoint has {size} entries, the change is entry {index}: run the command again")));
    }
    write_new(&arguments.out, note.as_bytes())?;
    let (shown, delay_s) = (arguments.out.display().to_string(), watched.in_force.governance.timelock_s);
    let text = format!("{shown}: the change is public as entry {index}; after {delay_s} s make the notice: ringwall policy notice");
    say(shared.json, &text, json!({ "written": shown, "entry": index, "size": size, "delay_s": delay_s }))
}

/// Writes the notice, once the delay is over by the witnesses' clocks.
pub(super) fn notice(shared: &SharedOptions, arguments: &Notice) -> Result<Exit, Trouble> {
    let watched = Watched::read(shared, &arguments.step)?;
    let bytes = bounded_file(&arguments.published, NOTE_BYTES)?;
    let published = String::from_utf8(bytes).map_err(|_| wrong(format!("{}: it is no checkpoint", arguments.published.display())))?;
    let log = TileLog::new(&arguments.log_url, Http::new());
    let later = log.renewed().map_err(of_log)?;
    let (first, last) = (watched.seen(&published)?, watched.seen(&later)?);
    let (first, last) = (first.checkpoint(), last.checkpoint());
    let tree = log.tree(first.size, first.root).map_err(of_log)?;
    let found = tree.find(&watched.entry().leaf()).map_err(of_log)?;
    let index = found.map_err(|_| wrong("the checkpoint does not have the change among its newest entries; publish it first"))?;
    let path = tree.inclusion(index).map_err(of_log)?;
    let consistency = log.tree(last.size, last.root).map_err(of_log)?.consistency(first.size).map_err(of_log)?;
    let note = |text: String| Note::new(watched.canonical(&text)?.into_bytes()).map_err(wrong);
    let notice = PolicyNotice {
        published: note(published)?,
        proof: LogProof { index, path: List::new(path).map_err(wrong)? },
        later: note(later)?,
        consistency: List::new(consistency).map_err(wrong)?,
    };
    verify_notice(&watched.cluster_id, &watched.signed, &notice, &watched.in_force).map_err(wrong)?;
    let change = watched.signed.change();
    write_new(&arguments.out, &NoticePaper { notice: NoticeFor { change, notice } }.encode())?;
    let shown = arguments.out.display().to_string();
    let text = format!("{shown}: the change was public for the delay; bring it: ringwall policy propose SIGNED --notice {shown}");
    say(shared.json, &text, json!({ "written": shown, "change": change.to_string(), "entry": index }))
}
