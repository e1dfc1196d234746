//! docs/visibility.md: what whoever runs the machines sees of a cluster, and what not, as a run found it.
//!
//! | file | what it decides |
//! |---|---|
//! | `events.rs` | which log lines the shipped crates can write, and whether a line is one of them |
//! | `surfaces.rs` | through which sockets a process can be spoken to |
//!
//! Decides: the kinds of secrets, the form of the page, and that a page that says anything else is refused. A finding is a kind at a place, never
//! a count, so that the page is the same after every run.
//! Trusts: the run (`tests/tests/secrets.rs`) to have looked. Out of scope: looking.

pub mod events;
pub mod surfaces;

use events::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What has to be gone once a node has ended, and the credentials it never had.
pub const KEYS: [&str; 8] = [CREDENTIAL, MASTER, INCARNATION, SHARE, RECOVERY, USER_KEY, WORKLOAD, BROKER];
/// What a running node surely holds, and what it never has or is through with.
pub const HELD: [&str; 8] = [VALUE, KEY_NAME, CREDENTIAL, MASTER, INCARNATION, SHARE, RECOVERY, BROKER];
/// Kinds of secrets, as the columns of the page.
pub const KINDS: [&str; 13] =
    [VALUE, KEY_NAME, NAMESPACE, USER, CREDENTIAL, MASTER, INCARNATION, SHARE, RECOVERY, USER_KEY, WORKLOAD, BROKER, TOKEN];
/// What users store.
pub const VALUE: &str = "values";
/// Names of their keys.
pub const KEY_NAME: &str = "names of keys";
/// Names of their namespaces.
pub const NAMESPACE: &str = "names of namespaces";
/// Who they are.
pub const USER: &str = "user ids";
/// What they prove it with.
pub const CREDENTIAL: &str = "credentials";
/// The cluster's keys: master key, key of keys, tag key.
pub const MASTER: &str = "cluster keys";
/// The private keys of one incarnation.
pub const INCARNATION: &str = "node keys";
/// What custodians hold, and what they answered to a drill.
pub const SHARE: &str = "shares";
/// What enough shares are combined to, what follows from it, and the key that answers to a drill are sealed to.
pub const RECOVERY: &str = "recovery keys";
/// What devices keep beside the credential: the user's key, its parts in `dual` mode, the phrase and what follows from it.
pub const USER_KEY: &str = "user keys, phrases";
/// What workloads are granted.
pub const WORKLOAD: &str = "workload keys";
/// The key behind the certificate of the key broker protocol.
pub const BROKER: &str = "broker key";
/// What a guest's session with the key broker goes by.
pub const TOKEN: &str = "broker sessions";

/// A place that was searched for everything that was planted.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where.
    pub name: &'static str,
    /// Kinds of which something was found.
    pub found: BTreeSet<&'static str>,
    /// Kinds that were looked for.
    pub wanted: BTreeSet<&'static str>,
}

/// Something an operator may try to learn.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Where it was looked for.
    pub place: &'static str,
    /// What.
    pub what: &'static str,
    /// Whether the run learned it.
    pub learned: bool,
}

/// Everything a run found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Places in which nothing may be.
    pub closed: Vec<Place>,
    /// Memory that holds what a node works with.
    pub memory: Vec<Place>,
    /// What is there to be learned.
    pub answers: Vec<Answer>,
    /// Names a status has.
    pub status: Vec<&'static str>,
    /// Log lines there can be.
    pub events: BTreeSet<Event>,
}

const HEAD: &str = "# What an operator sees

Whoever runs the machines has root on the hosts, every disk, every cable and every log. This page says what that shows. It is written by
`tests/tests/secrets.rs` from what its run found, and the test fails as soon as a run finds anything else, in either direction; after a wanted change
`RINGWALL_BLESS=1 cargo test -p ringwall-tests --test secrets` writes it anew.

The run: three node processes on simulated TEEs with real sockets and disks, logging all they can. Three custodians take their shares, one proves that it
holds it, two answer a drill; a user has namespaces in all three modes on a laptop, makes a phrase, is restored on a phone with it, and somebody else tries another
phrase; governors make a workload key, which a guest is granted over the key broker protocol, and over ours by each node; one backup is taken. Ten users
store, read, list and delete 10,000 planted secrets; one node leaves in order, one is superseded while it stands still, one is aborted, and each is
replaced. The suite knows the nodes' keys too, because the simulated machines play their generators from tapes; it combines shares as a recovery would, and
what it searches for as the recovery key opened the cluster's keys before. It then searches every byte for every secret: as it is,
in hex, and in base64 at any offset. Each search is handed one more secret first, in the same place, and must find it.

Looking takes root: without it no process may read another one's memory, list its sockets, or say that it left no core dump. Then nothing on this page is tried: the
suite fails where `CI` is set, and elsewhere it says `NOT RUN` on its standard error, past whatever captures what tests print. Even with root the run does not see
what hardware would hide or show (registers, caches, the pace of memory), what a kernel keeps of a socket once it was read, the machines of clients, custodians
and guests, and a node that recovers a cluster from a total outage, in whose memory enough shares come together: that process is not among these three.

";

const MEMORY: &str = "
## Memory

A simulated TEE does not encrypt its memory, so the run can read what hardware keeps from the host. That a running node holds plaintext and keys is what
a TEE is for: **here it is visible, on SNP and TDX hardware the processor encrypts it**. What the code itself has to see to is that keys are gone
once a node has ended. Plaintext in memory that was given back is not wiped, and stays inside the TEE: what of it is left depends on the moment, and a
dash says that it was not asked.

";

const ANSWERS: &str = "
## What can be learned

";

const EVENTS: &str = "
## Log lines

Every line a node can write, from its sources; the run's lines were all among them, or warnings of the libraries `openraft`, `quinn` and `redb`. Fields hold node
ids, slots, addresses, indexes, folders, refusal codes and faults; no field holds a byte of a user.

| level | line | fields |
|---|---|---|
";

impl Findings {
    /// The page.
    pub fn page(&self) -> String {
        let mut page = String::from(HEAD);
        page.push_str("## Where nothing may be\n\n");
        table(&mut page, &self.closed, "none", "**FOUND**");
        page.push_str(MEMORY);
        table(&mut page, &self.memory, "none", "there");
        page.push_str(ANSWERS);
        page.push_str("| where | what | learned |\n|---|---|---|\n");
        for Answer { place, what, learned } in &self.answers {
            let _ = writeln!(page, "| {place} | {what} | {} |", if *learned { "yes" } else { "no" });
        }
        let _ = writeln!(
            page,
            "\nA status has {}, and nothing else. There is no other surface, except that a node with `[kbs]` has one TCP port for the key broker protocol: no port for \
             figures, no shell.",
            self.status.join(", ")
        );
        page.push_str(EVENTS);
        for Event { level, line, fields } in &self.events {
            let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
            let _ = writeln!(page, "| {level} | {line} | {} |", fields.join(" "));
        }
        page
    }

    /// Kinds that were found where nothing may be.
    pub fn breaches(&self) -> Vec<String> {
        let found = self.closed.iter().filter(|place| !place.found.is_empty());
        found.map(|place| format!("{}: {:?}", place.name, place.found)).collect()
    }
}

fn table(page: &mut String, places: &[Place], absent: &str, present: &str) {
    let _ = writeln!(page, "| where | {} |", KINDS.join(" | "));
    let _ = writeln!(page, "|---{}|", "|---".repeat(KINDS.len()));
    for place in places {
        let cells = KINDS.map(|kind| match (place.found.contains(kind), place.wanted.contains(kind)) {
            (true, _) => present,
            (false, true) => absent,
            (false, false) => "-",
        });
        let _ = writeln!(page, "| {} | {} |", place.name, cells.join(" | "));
    }
}

/// A place with what was found there, by kind.
pub fn place(name: &'static str, found: &BTreeMap<&'static str, usize>, wanted: &[&'static str]) -> Place {
    Place { name, found: found.keys().copied().filter(|kind| wanted.contains(kind)).collect(), wanted: wanted.iter().copied().collect() }
}

/// The page in this tree.
pub fn page_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/visibility.md")
}

/// The first line in which two pages differ, as a complaint.
pub fn difference(written: &str, found: &str) -> Option<String> {
    let (mut written, mut found) = (written.lines(), found.lines());
    for line in 1.. {
        match (written.next(), found.next()) {
            (None, None) => return None,
            (one, other) if one == other => {}
            (one, other) => {
                let shown = |line: Option<&str>| line.unwrap_or("(the end)").to_owned();
                return Some(format!("line {line}: the page says\n  {}\nthe run found\n  {}", shown(one), shown(other)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        let events = BTreeSet::from([Event { level: "info".into(), line: "voter".into(), fields: vec!["slot".into()] }]);
        Findings {
            closed: vec![place("disk", &BTreeMap::new(), &[VALUE])],
            memory: vec![place("a running node", &BTreeMap::from([(VALUE, 7)]), &[VALUE, MASTER])],
            answers: vec![Answer { place: "wire", what: "addresses", learned: true }],
            status: vec!["slot"],
            events,
        }
    }

    #[test]
    fn any_other_finding_is_another_page() {
        let page = findings().page();
        assert!(difference(&page, &page).is_none());
        let mut others: Vec<Findings> = (0..6).map(|_| findings()).collect();
        others[0].closed[0].found.insert(VALUE);
        others[1].memory[0].found.clear();
        others[2].memory[0].found.insert(MASTER);
        others[3].answers[0].learned = false;
        others[4].status.push("user");
        others[5].events.clear();
        for other in &others {
            assert!(difference(&page, &other.page()).is_some(), "{other:?}");
        }
        assert!(findings().breaches().is_empty());
        assert_eq!(others[0].breaches().len(), 1);
        assert!(difference(&page, &page[..page.len() - 20]).is_some());
    }
}
