//! Keeps this machine's endorsements: answers every quote from memory, asks the vendors now and then, survives their absence.
//!
//! Decides: what a round asks for, what becomes of the answers, what is served meanwhile: whatever is held, for as long as the vendors said and
//! beyond (a verifier then says that it cannot tell, not that this node is bad, and the log says why). Rounds are one at a time; quotes wait for
//! one only while nothing can be served at all.
//! Trusts: the clock for hygiene: moved, it makes rounds earlier or later and documents untimely, never false. Out of scope: verdicts (`shelf`),
//! waits (`schedule`). Protocol section 2.2.

use super::cache::{Cache, FileError, Kept};
use super::document::Document;
use super::limits::{CERT_LEAD, REFRESH_LEAST, RETRY_AFTER_MOST, RETRY_FIRST};
use super::part::{Form, Part};
use super::schedule::{self, Outlook};
use super::shelf::{Adoption, Judge, Outcomes, Shelf};
use super::source::Source;
use super::status::{PartStatus, Round, Status};
use super::subject::Subject;
use crate::clock::Clock;
use crate::entropy::{self, Entropy};
use crate::platform::store::EndorsementStore;
use ringwall_attest::cert_table::{CertTable, Guid};
use ringwall_attest::{Anchors, CollectError};
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements, SnpEvidence, TdxEndorsements, TdxEvidence};
use ringwall_wire::policy::SnpProduct;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::{error, info, warn};

/// Longest sleep of the refreshing task: a clock that was moved is noticed within it.
const NAP: Duration = Duration::from_secs(1_800);
/// Spread of the first round of a node that could serve without one.
const START_SPREAD_S: u64 = 300;

/// What a keeper works with.
pub struct Tools {
    /// Where documents come from.
    pub source: Box<dyn Source>,
    /// Where they are kept, if they are.
    pub cache: Option<Cache>,
    /// Pinned roots.
    pub anchors: Anchors,
    /// Wall clock.
    pub clock: Clock,
    /// Generator, for spread.
    pub entropy: Entropy,
    /// Longest time between two rounds that go well.
    pub refresh: Duration,
    /// The product, for reports that do not name it.
    pub amd_product: Option<SnpProduct>,
}

#[derive(Default)]
struct Desk {
    subject: Option<Subject>,
    /// What the host stapled last: looked at once.
    table: Option<CertTable>,
    shelf: Shelf,
    outlook: Outlook,
    /// When the next round is due, Unix seconds.
    due_s: u64,
    last: Option<Round>,
}

/// The keeper of one machine's endorsements.
pub struct Keeper {
    tools: Tools,
    desk: Mutex<Desk>,
    /// Held during a round.
    round: Mutex<()>,
    /// Told when evidence of another kind came.
    learned: Notify,
}

impl Keeper {
    /// Nothing is known until the first evidence comes.
    pub fn new(tools: Tools) -> Self {
        Keeper { tools, desk: Mutex::default(), round: Mutex::default(), learned: Notify::new() }
    }

    /// What this evidence needs, out of memory; out of a round where nothing can be served and one may be made.
    fn endorse(&self, evidence: &Evidence, stapled: Option<&CertTable>) -> Result<Endorsements, CollectError> {
        let none = |reason: String| CollectError::NoEndorsements { reason };
        self.learn(evidence, stapled).map_err(none)?;
        if let Ok(endorsements) = self.serve() {
            return Ok(endorsements);
        }
        self.round_if_due();
        self.serve().map_err(|missing| {
            let last = lock(&self.desk).last.as_ref().map(Round::faults).unwrap_or_default();
            none(if last.is_empty() { format!("{missing} is missing, and it is not yet time to ask again") } else { last })
        })
    }

    fn serve(&self) -> Result<Endorsements, Part> {
        let desk = lock(&self.desk);
        let subject = desk.subject.as_ref().expect("evidence was learned before it is served");
        desk.shelf.assemble(subject)
    }

    /// Takes note of evidence. Another machine, or other firmware, needs other documents: those on disk are looked at first.
    fn learn(&self, evidence: &Evidence, stapled: Option<&CertTable>) -> Result<(), String> {
        let subject = Subject::of(evidence, self.tools.amd_product).map_err(|fault| fault.to_string())?;
        let mut desk = lock(&self.desk);
        let known = desk.subject.as_ref().is_some_and(|known| known.parts() == subject.parts());
        if !known {
            let now_s = self.now_s();
            desk.shelf = self.load(&subject, &desk.shelf, now_s);
            desk.outlook = Outlook { expires_s: desk.shelf.expires_s(&subject), ..Outlook::default() };
            desk.due_s = self.first_due_s(&subject, &desk.shelf, now_s);
            self.learned.notify_one();
        }
        if let Some(table) = stapled.filter(|table| !known || desk.table.as_ref() != Some(table)) {
            desk.table = Some(table.clone());
            let offered = from_table(&subject, table, |part| {
                part.form() == Form::Crl && desk.shelf.get(part).is_some() || !self.is_due(&desk.shelf, part)
            });
            if !offered.is_empty() {
                let outcomes = desk.shelf.adopt(&subject, offered, self.judge(self.now_s()));
                self.keep(&subject, &desk.shelf, &outcomes);
                desk.outlook.expires_s = desk.shelf.expires_s(&subject);
            }
        }
        desk.subject = Some(subject);
        Ok(())
    }

    /// What memory and disk have for this subject. Documents that ran out still have to be genuine: they are judged at the last moment they
    /// were all in force.
    fn load(&self, subject: &Subject, before: &Shelf, now_s: u64) -> Shelf {
        let mut found: Vec<Kept> = Vec::new();
        for part in subject.parts() {
            match (before.get(part), &self.tools.cache) {
                (Some(kept), _) => found.push(kept.clone()),
                (None, Some(cache)) => match cache.load(part) {
                    Ok(kept) => found.push(kept),
                    Err(FileError::Absent) => {}
                    Err(fault) => warn!(%part, folder = %cache.folder().display(), %fault, "a kept document counts as absent"),
                },
                (None, None) => {}
            }
        }
        let at_s = found.iter().map(|kept| kept.document.edition().expires_s).min().unwrap_or(now_s).min(now_s);
        let mut shelf = Shelf::default();
        for (part, outcome) in shelf.adopt(subject, found, self.judge(at_s)) {
            if let Err(refusal) = outcome {
                warn!(%part, %refusal, "a kept document counts as absent");
            }
        }
        shelf
    }

    /// At once where something is missing or ran out; soon otherwise, and not at all soon after the last time, whoever restarts this process.
    fn first_due_s(&self, subject: &Subject, shelf: &Shelf, now_s: u64) -> u64 {
        let Some(expires_s) = shelf.expires_s(subject).filter(|expires_s| *expires_s > now_s) else { return now_s };
        let asked = subject.parts().iter().filter(|part| part.form() != Form::Cert).filter_map(|part| shelf.get(part));
        let asked_s = asked.map(|kept| kept.fetched_s).min().unwrap_or(0);
        if asked_s <= now_s && now_s.saturating_sub(asked_s) < REFRESH_LEAST.as_secs() {
            let outlook = Outlook { expires_s: Some(expires_s), ..Outlook::default() };
            return asked_s.saturating_add(schedule::wait(&outlook, self.tools.refresh, now_s, self.chance()).as_secs());
        }
        now_s.saturating_add(entropy::below(&self.tools.entropy, START_SPREAD_S))
    }

    /// One round, if it is time for one. Whoever waits for a round that is being made needs no other.
    fn round_if_due(&self) -> Option<Round> {
        let one_at_a_time = lock(&self.round);
        (self.due_in() == Duration::ZERO).then(|| self.make_round(&one_at_a_time))
    }

    /// One round now.
    pub fn once(&self) -> Round {
        self.make_round(&lock(&self.round))
    }

    /// Asks for what is due, takes what may be taken, sets the next round. Blocks for as long as the source takes.
    fn make_round(&self, _one_at_a_time: &MutexGuard<'_, ()>) -> Round {
        let (subject, due) = {
            let desk = lock(&self.desk);
            let Some(subject) = desk.subject.clone() else { return Round::default() };
            let due: Vec<Part> = subject.parts().iter().filter(|part| self.is_due(&desk.shelf, part)).cloned().collect();
            (subject, due)
        };
        let (mut offered, mut round) = (Vec::new(), Round::beginning(self.now_s()));
        let mut service_down = false;
        for part in due {
            if service_down {
                offered.extend(self.imported(&part));
                continue;
            }
            match self.tools.source.fetch(&part) {
                Ok(document) => offered.push(Kept { part, document, fetched_s: self.now_s() }),
                Err(fault) => {
                    offered.extend(self.imported(&part));
                    service_down = fault.is_service();
                    round.retry_after = round.retry_after.max(fault.retry_after());
                    round.failed(&part, &fault);
                }
            }
        }
        self.settle(&subject, offered, round)
    }

    /// What an operator may have put on the disk meanwhile.
    fn imported(&self, part: &Part) -> Option<Kept> {
        let found = self.tools.cache.as_ref()?.load(part).ok()?;
        let held = lock(&self.desk).shelf.get(part).is_some_and(|held| held.document == found.document);
        (!held).then_some(found)
    }

    fn settle(&self, subject: &Subject, offered: Vec<Kept>, mut round: Round) -> Round {
        let mut desk = lock(&self.desk);
        if desk.subject.as_ref().is_none_or(|now| now.parts() != subject.parts()) {
            // The firmware was updated meanwhile: other documents are needed, and a round for them is due already.
            return round;
        }
        let now_s = self.now_s();
        let outcomes = desk.shelf.adopt(subject, offered, self.judge(now_s));
        self.keep(subject, &desk.shelf, &outcomes);
        for (part, outcome) in &outcomes {
            match outcome {
                Ok(Adoption::News) => round.news = round.news.saturating_add(1),
                Ok(Adoption::Same) => round.same = round.same.saturating_add(1),
                Err(refusal) => round.failed(part, refusal),
            }
        }
        let expires_s = desk.shelf.expires_s(subject);
        let failures = if round.is_good() { 0 } else { desk.outlook.failures.saturating_add(1) };
        desk.outlook = Outlook { failures, retry_after: round.retry_after, expires_s };
        let wait = schedule::wait(&desk.outlook, self.tools.refresh, now_s, self.chance());
        desk.due_s = now_s.saturating_add(wait.as_secs().max(1));
        desk.last = Some(round.clone());
        drop(desk);
        self.report(&round, expires_s, now_s, wait);
        round
    }

    fn report(&self, round: &Round, expires_s: Option<u64>, now_s: u64, wait: Duration) {
        let next_s = wait.as_secs();
        let source = self.tools.source.name();
        match expires_s {
            Some(until_s) if until_s < now_s => {
                error!(
                    source,
                    until_s,
                    next_s,
                    faults = round.faults(),
                    "endorsements ran out: clients and members cannot tell whether this node is genuine"
                );
            }
            Some(until_s) if round.is_good() => info!(source, news = round.news, until_s, next_s, "endorsements are fresh"),
            _ => warn!(
                source,
                until_s = expires_s,
                next_s,
                faults = round.faults(),
                "endorsements were not refreshed; what is held is served"
            ),
        }
    }

    /// Lists and statements always; a certificate when it is missing or comes to its end.
    fn is_due(&self, shelf: &Shelf, part: &Part) -> bool {
        let Some(kept) = shelf.get(part) else { return true };
        part.form() != Form::Cert || kept.document.edition().is_over(self.now_s().saturating_add(CERT_LEAD.as_secs()))
    }

    /// Writes what is new, and when the same was seen again.
    fn keep(&self, subject: &Subject, shelf: &Shelf, outcomes: &Outcomes) {
        let Some(cache) = &self.tools.cache else { return };
        let mut taken = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).filter_map(|(part, _)| shelf.get(part));
        let written = taken.try_for_each(|kept| cache.save(kept));
        if let Err(fault) = written.and_then(|()| cache.prune(subject.parts())) {
            warn!(folder = %cache.folder().display(), %fault, "endorsements cannot be kept on disk; they are in memory until this process ends");
        }
    }

    /// How long until the next round is due; none of it after the clock was moved by more than any wait.
    pub fn due_in(&self) -> Duration {
        let (due_s, now_s) = (lock(&self.desk).due_s, self.now_s());
        let wait = Duration::from_secs(due_s.saturating_sub(now_s));
        if wait > self.tools.refresh.max(RETRY_AFTER_MOST) { Duration::ZERO } else { wait }
    }

    /// What there is, for people.
    pub fn status(&self) -> Status {
        let desk = lock(&self.desk);
        let parts = desk.subject.iter().flat_map(Subject::parts);
        Status {
            now_s: self.now_s(),
            source: self.tools.source.name(),
            parts: parts.map(|part| PartStatus::new(part, desk.shelf.get(part))).collect(),
            failures: desk.outlook.failures,
            due_s: desk.due_s,
            last: desk.last.clone(),
        }
    }

    fn judge(&self, now_s: u64) -> Judge<'_> {
        Judge { anchors: &self.tools.anchors, now_s }
    }

    fn now_s(&self) -> u64 {
        (self.tools.clock)() / 1_000
    }

    fn chance(&self) -> u64 {
        entropy::below(&self.tools.entropy, u64::MAX)
    }
}

impl EndorsementStore for Keeper {
    fn for_snp(&self, report: &SnpEvidence, stapled: Option<&CertTable>) -> Result<SnpEndorsements, CollectError> {
        match self.endorse(&Evidence::Snp(report.clone()), stapled)? {
            Endorsements::Snp(endorsements) => Ok(endorsements),
            Endorsements::Tdx(_) => Err(CollectError::NoEndorsements { reason: "Intel's for a report of AMD's".to_owned() }),
        }
    }

    fn for_tdx(&self, quote: &TdxEvidence) -> Result<TdxEndorsements, CollectError> {
        match self.endorse(&Evidence::Tdx(quote.clone()), None)? {
            Endorsements::Tdx(endorsements) => Ok(endorsements),
            Endorsements::Snp(_) => Err(CollectError::NoEndorsements { reason: "AMD's for a quote of Intel's".to_owned() }),
        }
    }
}

/// Makes rounds for ever, once there is evidence; run it in one task.
pub async fn refresh(keeper: Arc<Keeper>) {
    keeper.learned.notified().await;
    loop {
        let wait = keeper.due_in();
        if wait > Duration::ZERO {
            tokio::time::sleep(wait.clamp(RETRY_FIRST / 2, NAP)).await;
            continue;
        }
        let working = Arc::clone(&keeper);
        if let Err(fault) = tokio::task::spawn_blocking(move || working.round_if_due()).await {
            error!(%fault, "a round of fetching endorsements did not end");
        }
        // Whatever the clock says, rounds are apart.
        tokio::time::sleep(RETRY_FIRST / 2).await;
    }
}

/// What the host stapled, but for what is there already. The host's list is a beginning only: a service has newer ones.
fn from_table(subject: &Subject, table: &CertTable, there: impl Fn(&Part) -> bool) -> Vec<Kept> {
    let wanted = subject.parts().iter().filter(|part| !there(part));
    let offered = wanted.filter_map(|part| {
        let guid = match part {
            Part::AmdVcek { .. } => Guid::VCEK,
            Part::AmdVlek { .. } => Guid::VLEK,
            Part::AmdIntermediate { .. } => Guid::ASK,
            Part::AmdCrl { .. } => Guid::CRL,
            _ => return None,
        };
        let document = Document::der(part, table.get(guid)?.to_vec()).ok()?;
        // Never asked for: the next round asks the vendor for what can be had there.
        Some(Kept { part: part.clone(), document, fetched_s: 0 })
    });
    offered.collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
