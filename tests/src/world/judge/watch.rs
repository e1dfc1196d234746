//! What is watched while a world runs: every message members send each other, in the clear, and every step of every life.
//!
//! Decides: IN1 to IN4, IN6 to IN8, IN10 and Raft's own rules, after each message. It keeps its own record of the log from the entries
//! leaders send, and recounts admissions from it under the keys of the processes that really ran: what a node believes of itself or
//! of others counts for nothing. Trusts: that the world reports every message. Out of scope: clients' histories (`order`, `linear`).

use crate::world::judge::{Rule, Violation};
use crate::world::trace::Trace;
use ringwall_consensus::View;
use ringwall_consensus::log::recover::Recovered;
use ringwall_wire::admission::{AdmitPropose, Endorse};
use ringwall_wire::codec::{Field, Message};
use ringwall_wire::command::{Command, CommandBody};
use ringwall_wire::ids::{ClusterId, Incarnation, SigPublic, Slot, Vendor};
use ringwall_wire::peer::{AppendCall, EntryPayload, LogEntry, LogPosition, PeerAnswer, PeerCall, VoteCall};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// A process that has a name, as the world knows it.
#[derive(Clone, Debug)]
pub struct Life {
    /// The process; processes are numbered from 1 in the order they were started.
    pub process: u64,
    /// Its name.
    pub incarnation: Incarnation,
    /// The key it signs with.
    pub sig: SigPublic,
    /// Its CPU's maker.
    pub vendor: Vendor,
    /// Whether the policy accepts its machine, its build and its configuration.
    pub honest: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    digest: u64,
    previous: Option<LogPosition>,
}

/// What a node shows of its state that never goes back in one life (IN10), by name.
type Shown = [(&'static str, u64); 8];
/// Where the policy's version stands in it.
const POLICY: usize = 6;

#[derive(Default)]
struct Inner {
    violations: Vec<Violation>,
    votes: BTreeMap<(Incarnation, u64), Incarnation>,
    granted_terms: BTreeMap<Incarnation, u64>,
    stood: BTreeMap<(Incarnation, u64), Option<LogPosition>>,
    leaders: BTreeMap<u64, Incarnation>,
    entries: BTreeMap<LogPosition, Seen>,
    commits: BTreeMap<u64, u64>,
    told_commit: BTreeMap<(Incarnation, Incarnation, bool), u64>,
    lives: BTreeMap<Incarnation, Life>,
    fenced: BTreeMap<Incarnation, u64>,
    proposals: BTreeMap<u64, AdmitPropose>,
    endorsers: BTreeMap<u64, BTreeSet<Incarnation>>,
    admitted: BTreeSet<u64>,
    slots: BTreeMap<u64, Slot>,
    voters: BTreeMap<u64, BTreeSet<Incarnation>>,
    newest_key_epoch: u32,
    durable: BTreeMap<Incarnation, LogPosition>,
    shown: BTreeMap<Incarnation, Shown>,
    messages: u64,
}

/// The watch over one world.
pub struct Watch {
    cluster: ClusterId,
    trace: Arc<Trace>,
    inner: Mutex<Inner>,
}

/// A short digest of an entry's payload: equal payloads, equal digests; forging one is nobody's aim here.
fn payload_digest(payload: &EntryPayload) -> u64 {
    let bytes = payload.to_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl Watch {
    /// Nothing seen yet.
    pub fn new(cluster: ClusterId, trace: Arc<Trace>) -> Self {
        Watch { cluster, trace, inner: Mutex::default() }
    }

    fn with(&self, look: impl FnOnce(&mut Inner, &mut Vec<(Rule, String)>)) {
        let mut broken = Vec::new();
        look(&mut self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner), &mut broken);
        broken.into_iter().for_each(|(rule, what)| self.broken(rule, what));
    }

    /// Notes a broken rule.
    pub fn broken(&self, rule: Rule, what: impl Into<String>) {
        let violation = Violation { rule, at_ms: self.trace.now_ms(), what: what.into() };
        self.trace.note(format_args!("BROKEN {violation}"));
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner).violations.push(violation);
    }

    /// Broken rules so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner).violations.clone()
    }

    /// Messages watched, and entries of logs.
    pub fn counts(&self) -> (u64, usize) {
        let inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (inner.messages, inner.entries.len())
    }

    /// A process has a name and keys now.
    pub fn life(&self, life: Life) {
        self.with(|inner, broken| {
            if let Some(other) = inner.lives.get(&life.incarnation).filter(|other| other.process != life.process) {
                broken.push((Rule::OneLife, format!("processes {} and {} are both {}", other.process, life.process, life.incarnation)));
            }
            if inner.lives.values().any(|other| other.sig == life.sig && other.process != life.process) {
                broken.push((Rule::OneLife, format!("process {} has the keys of another process", life.process)));
            }
            if !life.honest {
                broken.push((
                    Rule::HonestOnly,
                    format!("process {} is not what the policy accepts and became {}", life.process, life.incarnation),
                ));
            }
            inner.lives.insert(life.incarnation, life);
        });
    }

    /// A process goes on as one that is gone: not held against it, so that what comes of it is seen.
    pub fn revive(&self, who: Incarnation, process: u64) {
        self.with(|inner, _| {
            inner.fenced.remove(&who);
            inner.durable.remove(&who);
            inner.shown.remove(&who);
            inner.granted_terms.remove(&who);
            if let Some(life) = inner.lives.get_mut(&who) {
                life.process = process;
            }
        });
    }

    /// A node was given master keys of generations up to `key_epoch`.
    pub fn granted(&self, to: Incarnation, key_epoch: u32) {
        self.with(|inner, broken| {
            let index = to.admit_index();
            // While the founder votes alone it commits before it sends.
            let alone = inner.voters.values().next_back().is_none_or(|voters| voters.len() < 2);
            if index > 1 && !alone && !inner.admitted.contains(&index) {
                broken.push((Rule::KeysAfterAdmission, format!("{to} has keys, and no admission of it was committed")));
            }
            if key_epoch < inner.newest_key_epoch {
                broken.push((Rule::NeverBack, format!("{to} was granted generation {key_epoch} after {}", inner.newest_key_epoch)));
            }
            inner.newest_key_epoch = inner.newest_key_epoch.max(key_epoch);
        });
    }

    /// What a node shows of its state now: nothing of it goes back in one life.
    pub fn shows(&self, who: Incarnation, view: &View) {
        let epoch = view.epoch().map_or(0, |epoch| epoch.0);
        let (custody, governed) = (view.custody(), view.governance());
        let policy = governed.in_force();
        let now = [
            ("applied index", view.applied()),
            ("revision", view.revision().0),
            ("time", view.time_ms()),
            ("epoch", u64::from(epoch)),
            ("newest dealing", u64::from(custody.newest.0)),
            ("active dealing", u64::from(custody.active_epoch().0)),
            ("policy version", policy.map_or(0, |policy| policy.version.0)),
            ("least security version", policy.map_or(0, |policy| u64::from(policy.min_svn))),
        ];
        self.showed(who, now);
    }

    fn showed(&self, who: Incarnation, now: Shown) {
        self.with(|inner, broken| {
            let Some(before) = inner.shown.insert(who, now) else { return };
            let back = before.iter().zip(&now).filter(|((_, before), (_, now))| now < before);
            broken.extend(back.map(|((what, before), (_, now))| (Rule::NeverBack, format!("{who} shows {what} {now} after {before}"))));
        });
    }

    /// The policy version a node has shown to be in force in its state; 0 before it has shown any.
    pub fn policy_of(&self, who: Incarnation) -> u64 {
        let inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.shown.get(&who).map_or(0, |shown| shown[POLICY].1)
    }

    /// Somebody opened a session with a node it judged by a policy of this version; when it asked, `floor` was in force already.
    pub fn opened(&self, by: impl std::fmt::Display, floor: u64, version: u64) {
        if version < floor {
            self.broken(Rule::NewestPolicy, format!("{by} judged a node by policy version {version} when {floor} was in force already"));
        }
    }

    /// `by` took an append of `from` in, or voted for it.
    pub fn followed(&self, by: Incarnation, from: Incarnation) {
        self.with(|inner, broken| {
            if !inner.lives.get(&from).is_some_and(|life| life.honest) {
                broken.push((Rule::FollowsMembers, format!("{by} heeded {from}, which nobody admitted")));
            }
        });
    }

    /// A node stopped for good.
    pub fn fenced(&self, who: Incarnation) {
        let now = self.trace.now_ms();
        self.with(|inner, _| {
            inner.fenced.entry(who).or_insert(now);
        });
    }

    /// A message of `from` to `to`, as sent; `control` when it does not go with the appends.
    pub fn call(&self, from: Incarnation, to: Incarnation, control: bool, call: &PeerCall) {
        self.with(|inner, broken| {
            inner.messages += 1;
            match call {
                PeerCall::Append(append) => inner.append((from, to, control), append, &self.cluster, broken),
                PeerCall::Vote(vote) => {
                    let first = *inner.stood.entry((from, vote.ballot.term)).or_insert(vote.last);
                    if first > vote.last {
                        broken.push((
                            Rule::LeaderComplete,
                            format!("{from} stood in term {} with {first:?}, then with {:?}", vote.ballot.term, vote.last),
                        ));
                    }
                }
                _ => {}
            }
        });
    }

    /// An answer of `by` to a vote that `candidate` asked for.
    pub fn voted(&self, by: Incarnation, candidate: Incarnation, call: &VoteCall, answer: &PeerAnswer) {
        let PeerAnswer::Vote(vote) = answer else { return };
        if !vote.granted {
            return;
        }
        let term = call.ballot.term;
        self.with(|inner, broken| {
            if let Some(other) = inner.votes.insert((by, term), candidate).filter(|other| *other != candidate) {
                broken.push((Rule::OneVote, format!("{by} voted in term {term} for {other} and for {candidate}")));
            }
            let before = inner.granted_terms.insert(by, term).unwrap_or(0);
            if before > term {
                broken.push((Rule::TermForward, format!("{by} voted in term {before}, then in term {term}")));
            }
        });
    }

    /// An append up to `last` is about to be acknowledged by `by`.
    pub fn acknowledged(&self, by: Incarnation, last: LogPosition) {
        self.with(|inner, _| {
            inner.durable.insert(by, last);
        });
    }

    /// The log that was found on the disk of `by` after it was gone.
    pub fn recovered(&self, by: Incarnation, found: &Recovered) {
        self.with(|inner, broken| {
            if let Some(said) = inner.durable.get(&by) {
                let purged = found.purged.is_some_and(|purged| purged.index >= said.index);
                let there = found.entries.iter().any(|entry| entry.at.index == said.index && entry.at.term >= said.term);
                // What was overwritten by a later leader may also have been cut off.
                let cut = found.entries.last().is_some_and(|last| last.at.term > said.term);
                if !purged && !there && !cut {
                    let last = found.entries.last().map(|entry| entry.at);
                    broken.push((Rule::Durable, format!("{by} acknowledged {said:?}; its disk ends at {last:?} ({:?})", found.ending)));
                }
            }
            let voted = inner.granted_terms.get(&by).copied().unwrap_or(0);
            if found.vote.map_or(0, |vote| vote.term) < voted {
                broken.push((Rule::Durable, format!("{by} voted in term {voted}; its disk has {:?}", found.vote)));
            }
        });
    }

    /// Any answer of `by`, before it is sealed.
    pub fn answered(&self, by: Incarnation, answer: &PeerAnswer) {
        let now = self.trace.now_ms();
        self.with(|inner, broken| {
            let fenced = inner.fenced.get(&by).is_some_and(|at| now > at + 1);
            if fenced && !matches!(answer, PeerAnswer::Refused(_)) {
                broken.push((Rule::FencedSilence, format!("{by} is fenced and answers {answer:?}")));
            }
        });
    }

    /// Whether this key belongs to an honest process that has a name.
    pub fn is_genuine(&self, sig: &SigPublic) -> bool {
        let inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.lives.values().any(|life| life.sig == *sig && life.honest)
    }

    /// Admissions that were committed and are sufficiently endorsed, by admit index.
    pub fn admissions(&self) -> BTreeSet<u64> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner).admitted.clone()
    }
}

impl Inner {
    fn append(
        &mut self,
        way: (Incarnation, Incarnation, bool),
        append: &AppendCall,
        cluster: &ClusterId,
        broken: &mut Vec<(Rule, String)>,
    ) {
        let (from, _, _) = way;
        let term = append.ballot.term;
        if append.ballot.leader != from || !append.ballot.committed {
            broken.push((Rule::OwnBallot, format!("{from} sent an append under {:?}", append.ballot)));
        }
        match self.leaders.get(&term) {
            None => {
                self.leaders.insert(term, from);
                self.new_leader(from, term, broken);
            }
            Some(other) if *other != from => broken.push((Rule::OneLeader, format!("{other} and {from} lead in term {term}"))),
            Some(_) => {}
        }
        let mut previous = append.previous;
        for entry in append.entries.iter() {
            if previous.is_some_and(|previous| previous.index + 1 != entry.at.index || previous.term > entry.at.term) {
                broken.push((Rule::Consecutive, format!("{from}: {:?} follows {previous:?}", entry.at)));
            }
            self.entry(entry, previous, cluster, broken);
            previous = Some(entry.at);
        }
        if let Some(committed) = append.committed {
            let told = self.told_commit.insert(way, committed.index).unwrap_or(0);
            if told > committed.index {
                broken.push((Rule::CommitForward, format!("{from} told {} that {told} is committed, then {}", way.1, committed.index)));
            }
            if committed.term > term {
                broken.push((Rule::CommitTerm, format!("{from} of term {term} commits {committed:?}")));
            }
            self.commit(committed, broken);
        }
    }

    fn new_leader(&mut self, leader: Incarnation, term: u64, broken: &mut Vec<(Rule, String)>) {
        let newest = self.commits.last_key_value().map(|(index, term)| LogPosition { term: *term, index: *index });
        let Some(Some(stood)) = self.stood.get(&(leader, term)).copied() else { return };
        if newest.is_some_and(|newest| newest.term < term && newest > stood) {
            broken.push((
                Rule::LeaderComplete,
                format!("{leader} leads in term {term} with a log up to {stood:?}, and {newest:?} is committed"),
            ));
        }
    }

    fn entry(&mut self, entry: &LogEntry, previous: Option<LogPosition>, cluster: &ClusterId, broken: &mut Vec<(Rule, String)>) {
        let seen = Seen { digest: payload_digest(&entry.payload), previous };
        match self.entries.get(&entry.at) {
            Some(before) if *before != seen => broken.push((Rule::LogMatching, format!("two entries at {:?}", entry.at))),
            Some(_) => {}
            None => {
                self.entries.insert(entry.at, seen);
                self.note_admission(entry, cluster);
            }
        }
    }

    /// Marks the entry and everything before it as committed; a committed index has one entry for ever.
    fn commit(&mut self, committed: LogPosition, broken: &mut Vec<(Rule, String)>) {
        let mut at = Some(committed);
        while let Some(position) = at {
            match self.commits.get(&position.index) {
                Some(term) if *term == position.term => return,
                Some(term) => {
                    broken.push((
                        Rule::CommittedPrefix,
                        format!("index {} was committed in term {term}, now {}", position.index, position.term),
                    ));
                    return;
                }
                None => {
                    self.commits.insert(position.index, position.term);
                }
            }
            at = self.entries.get(&position).and_then(|seen| seen.previous);
        }
    }

    /// Recounts admissions from the log alone.
    fn note_admission(&mut self, entry: &LogEntry, cluster: &ClusterId) {
        let bytes = match &entry.payload {
            EntryPayload::Command(bytes) => bytes,
            EntryPayload::Membership(membership) => {
                self.voters.insert(entry.at.index, membership.configs.iter().flat_map(|config| config.iter().copied()).collect());
                return;
            }
            EntryPayload::Blank => return,
        };
        let Ok(command) = Command::decode(bytes) else { return };
        match command.body {
            CommandBody::AdmitPropose(propose) => {
                self.endorsers.remove(&entry.at.index);
                self.slots.insert(entry.at.index, propose.cert.slot);
                self.proposals.insert(entry.at.index, *propose);
            }
            CommandBody::Found(founding) => {
                self.slots.insert(founding.incarnation.admit_index(), founding.cert.slot);
            }
            CommandBody::Endorse(endorse) if endorse.accepts && self.truly_signed(&endorse, cluster) => {
                self.endorsers.entry(endorse.admit_index).or_default().insert(endorse.by);
            }
            CommandBody::AdmitCommit(commit) if self.is_endorsed(entry.at.index, commit.admit_index) => {
                self.admitted.insert(commit.admit_index);
            }
            _ => {}
        }
    }

    /// Under the key of the process that really was that incarnation.
    fn truly_signed(&self, endorse: &Endorse, cluster: &ClusterId) -> bool {
        let (Some(life), Some(propose)) = (self.lives.get(&endorse.by), self.proposals.get(&endorse.admit_index)) else { return false };
        let words = Endorse::signed_bytes(cluster, endorse.admit_index, propose, true);
        let signature = ed25519_dalek::Signature::from_bytes(&endorse.signature.0);
        ed25519_dalek::VerifyingKey::from_bytes(&life.sig.0).is_ok_and(|key| key.verify_strict(&words, &signature).is_ok())
    }

    /// Protocol section 4.3, step 4, counted again: two voters, one of the other vendor where there is one; of other slots.
    fn is_endorsed(&self, index: u64, admit_index: u64) -> bool {
        let (Some(propose), Some((_, voters))) = (self.proposals.get(&admit_index), self.voters.range(..index).next_back()) else {
            return false;
        };
        let elsewhere =
            |voter: &Incarnation| *voter != propose.replaces && self.slots.get(&voter.admit_index()) != Some(&propose.cert.slot);
        let counted: BTreeSet<Incarnation> = voters.iter().copied().filter(elsewhere).collect();
        let accepted = self.endorsers.get(&admit_index).cloned().unwrap_or_default();
        let accepted: Vec<Incarnation> = counted.intersection(&accepted).copied().collect();
        let other = |voter: &Incarnation| self.lives.get(voter).is_some_and(|life| life.vendor != propose.cert.vendor);
        let superseded: BTreeSet<Incarnation> =
            self.admitted.iter().filter_map(|at| self.proposals.get(at)).map(|propose| propose.replaces).collect();
        let crossed = !counted.difference(&superseded).any(other) || accepted.iter().any(other);
        accepted.len() >= 2.min(counted.len()).max(1) && crossed
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
