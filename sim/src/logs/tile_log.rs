//! A tile log that can misbehave: C2SP tlog-tiles over HTTP, with an endpoint that takes entries and one for what was revoked.
//!
//! Decides: what the log shows: checkpoint, tiles, entries; that every new checkpoint is brought to its witnesses (C2SP tlog-witness), with a proof from
//! where each stands, and shown with the cosignatures that came back. On demand it stalls, loses entries, takes back revocations or shows others another history; it signs all of
//! that, as a log that lies would. Trusts: nothing, protects nothing: its key is public. Out of scope: keeping anything after its end.

use super::serve::{Answer, Desk};
use ringwall_attest::release::log::Checkpoint;
use ringwall_client::release::http::Http;
use ringwall_client::release::note::NoteKey;
use ringwall_client::release::tiles::{ENTRY_BYTES, TILE_HASHES, tile_path};
use ringwall_client::release::witness::Submission;
use ringwall_node::kbs::http::Method;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::NOTE_BYTES;
use ringwall_wire::release::RevocationList;
use ringwall_wire::tree::{Nodes, leaf, parent, prove_consistency, root_at};
use std::convert::Infallible;

/// Entries one simulated log takes.
const ENTRIES: usize = 65_536;
/// Signature lines somebody may add by hand.
const ADDED_LINES: usize = 8;
/// Bytes of what a witness answers.
const ANSWER_BYTES: usize = 16 * 1024;

/// One history: entries and their leaves.
#[derive(Clone, Debug, Default)]
struct History {
    entries: Vec<Vec<u8>>,
    leaves: Vec<Digest>,
    /// Leaves its checkpoint has: fewer than there are where the log stalls.
    shown: usize,
    note: String,
}

impl Nodes for History {
    type Fault = Infallible;

    fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, Infallible> {
        let range = index.checked_shl(level).zip(1_u64.checked_shl(level)).and_then(|(start, width)| {
            let start = usize::try_from(start).ok()?;
            self.leaves.get(start..start.checked_add(usize::try_from(width).ok()?)?)
        });
        let Some(leaves) = range else { return Ok(None) };
        let mut hashes = leaves.to_vec();
        while hashes.len() > 1 {
            hashes = hashes.as_chunks::<2>().0.iter().map(|[left, right]| parent(left, right)).collect();
        }
        Ok(hashes.first().copied())
    }
}

impl History {
    fn push(&mut self, entry: Vec<u8>) {
        self.leaves.push(leaf(&entry));
        self.entries.push(entry);
    }

    fn cut(&mut self, entries: usize) {
        self.entries.truncate(entries);
        self.leaves.truncate(entries);
        self.shown = self.shown.min(entries);
    }

    fn root(&self, size: usize) -> Digest {
        let Ok(root) = root_at(self, size as u64);
        root.unwrap_or_else(ringwall_wire::tree::empty_root)
    }

    fn consistency(&self, first: u64) -> Vec<Digest> {
        let Ok(path) = prove_consistency(self, first, self.shown as u64);
        path.unwrap_or_default()
    }

    /// A tile, or the entries of one: as wide as was asked for.
    fn tile(&self, level: Option<u32>, number: u64, width: u64) -> Option<Vec<u8>> {
        let first = number.checked_mul(TILE_HASHES)?;
        if level.is_none() {
            let range = usize::try_from(first).ok()?..usize::try_from(first.checked_add(width)?).ok()?;
            let prefixed = self.entries.get(range)?.iter().map(|entry| {
                let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
                [length.to_be_bytes().as_slice(), entry].concat()
            });
            return Some(prefixed.collect::<Vec<_>>().concat());
        }
        let level = level?.checked_mul(8)?;
        let hashes = (first..first.checked_add(width)?).map(|at| {
            let Ok(node) = self.node(level, at);
            node.map(|hash| hash.0)
        });
        Some(hashes.collect::<Option<Vec<_>>>()?.concat())
    }
}

/// How the log behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    /// As a log should.
    #[default]
    Honest,
    /// It takes entries and shows none of them, nor a newer cosignature.
    Stalls,
}

struct Watcher {
    url: String,
    /// Entries it has seen of this log, as far as the log knows.
    seen: u64,
}

/// A log.
pub struct TileLogDesk {
    key: NoteKey,
    http: Http,
    witnesses: Vec<Watcher>,
    history: History,
    /// What others are shown, below `other/`.
    other: Option<History>,
    revoked: RevocationList,
    mood: Mood,
    /// What witnesses said when they did not cosign, newest last.
    refusals: Vec<String>,
}

impl TileLogDesk {
    /// An empty log that brings its checkpoints to these witnesses.
    pub fn new(key: NoteKey, witnesses: Vec<String>) -> Self {
        let witnesses = witnesses.into_iter().map(|url| Watcher { url: url.trim_end_matches('/').to_owned(), seen: 0 }).collect();
        let (history, revoked) = (History::default(), RevocationList { revoked: Default::default() });
        let mut desk =
            TileLogDesk { key, http: Http::new(), witnesses, history, other: None, revoked, mood: Mood::Honest, refusals: Vec::new() };
        desk.publish();
        desk
    }

    /// A checkpoint over everything, brought to all witnesses; a log that stalls shows the old one.
    fn publish(&mut self) {
        if self.mood == Mood::Stalls {
            return;
        }
        let mut history = std::mem::take(&mut self.history);
        self.show(&mut history);
        self.history = history;
    }

    fn show(&mut self, history: &mut History) {
        history.shown = history.leaves.len();
        let count = self.revoked.revoked.len() as u64;
        let revoked = (count > 0).then(|| (count, Digest(self.revoked.digest())));
        let text =
            Checkpoint { origin: self.key.name().to_owned(), size: history.shown as u64, root: history.root(history.shown), revoked }
                .text();
        let mut note = format!("{text}\n{}", self.key.line(&text, 0));
        let signed = note.clone();
        for at in 0..self.witnesses.len() {
            match self.bring(at, history, &signed) {
                Ok(lines) => note.push_str(&lines),
                Err(words) => self.refusals.push(words),
            }
        }
        self.refusals.drain(..self.refusals.len().saturating_sub(64));
        history.note = note;
    }

    /// Asks one witness; where it stands elsewhere than was thought, once more from there.
    fn bring(&mut self, at: usize, history: &History, note: &str) -> Result<String, String> {
        let Some(Watcher { url, seen }) = self.witnesses.get_mut(at) else { return Err("no such witness".into()) };
        let url_of = format!("{url}/add-checkpoint");
        for _ in 0..2 {
            let path = history.consistency(*seen);
            let body = Submission { old: *seen, path, note: note.to_owned() }.body();
            let answer = self.http.post(&url_of, "text/plain", &body, ANSWER_BYTES).map_err(|fault| fault.to_string())?;
            let words = String::from_utf8_lossy(&answer.body).into_owned();
            match answer.status {
                200 => {
                    *seen = history.shown as u64;
                    return Ok(words);
                }
                409 if answer.kind.starts_with("text/x.tlog.size") => match words.trim_end().parse() {
                    Ok(size) if size != *seen => *seen = size,
                    _ => return Err(format!("{url_of}: 409: another history of the same size")),
                },
                status => return Err(format!("{url_of}: {status}: {}", words.trim_end())),
            }
        }
        Err(format!("{url_of}: it stands at {seen} entries, which this tree cannot continue"))
    }

    fn add(&mut self, entry: &[u8]) -> Answer {
        if entry.is_empty() || entry.len() > ENTRY_BYTES || self.history.entries.len() >= ENTRIES {
            return Answer::text(400, "an entry has 1 to 65535 bytes, and this log takes 65536 of them\n");
        }
        let index = match self.history.entries.iter().position(|old| old == entry) {
            Some(index) => index,
            None => {
                self.history.push(entry.to_vec());
                self.publish();
                self.history.entries.len() - 1
            }
        };
        Answer::text(200, format!("{index}\n"))
    }

    fn revoke(&mut self, body: &[u8]) -> Answer {
        let Ok(list) = RevocationList::decode(body) else { return Answer::text(400, "this is no list of revocations\n") };
        let continues = list.digest_of_first(self.revoked.revoked.len() as u64) == Some(Digest(self.revoked.digest()));
        if !continues {
            return Answer::text(409, "revocations are added, never taken back or changed\n");
        }
        self.revoked = list;
        self.publish();
        Answer::text(200, format!("{}\n", self.revoked.revoked.len()))
    }

    /// Somebody's cosignatures of the newest checkpoint, brought by hand.
    fn cosigned(&mut self, body: &[u8]) -> Answer {
        let lines = std::str::from_utf8(body).unwrap_or_default();
        let shaped =
            lines.ends_with('\n') && lines.lines().count() <= ADDED_LINES && lines.lines().all(|line| line.starts_with("\u{2014} "));
        if !shaped || self.history.note.len().saturating_add(lines.len()) > NOTE_BYTES {
            return Answer::text(400, "signature lines are brought here, at most 8\n");
        }
        self.history.note.push_str(lines);
        Answer::text(200, "")
    }

    /// What a log that lies does, on demand.
    fn misbehave(&mut self, how: &[&str], body: &[u8]) -> Answer {
        match how {
            ["honest"] => {
                self.mood = Mood::Honest;
                self.other = None;
                self.publish();
            }
            ["stall"] => self.mood = Mood::Stalls,
            ["lose", count] => {
                let lost = count.parse().unwrap_or(0);
                self.history.cut(self.history.entries.len().saturating_sub(lost));
                self.publish();
            }
            ["crowd", count] => {
                // Others log so much.
                let room = ENTRIES.saturating_sub(self.history.entries.len());
                let from = self.history.entries.len();
                (0..count.parse::<usize>().unwrap_or(0).min(room))
                    .for_each(|at| self.history.push(format!("of others {}", from + at).into_bytes()));
                self.publish();
            }
            ["forget", count] => {
                let kept = self.revoked.revoked.len().saturating_sub(count.parse().unwrap_or(0));
                self.revoked.revoked = List::new(self.revoked.revoked.iter().take(kept).cloned().collect()).unwrap_or_default();
                self.publish();
            }
            ["fork"] => {
                // The others are shown another last entry, under the same name and size.
                let mut other = self.history.clone();
                other.cut(other.entries.len().saturating_sub(1));
                other.push(if body.is_empty() { b"another last entry".to_vec() } else { body.to_vec() });
                self.show(&mut other);
                self.other = Some(other);
            }
            _ => return Answer::text(404, "this log can be honest, stall, lose/COUNT, forget/COUNT, crowd/COUNT and fork\n"),
        }
        Answer::text(200, "")
    }

    fn read(&self, history: &History, parts: &[&str]) -> Answer {
        let missing = || Answer::text(404, "there is no such thing in this log\n");
        match parts {
            ["checkpoint"] => Answer::text(200, history.note.clone()),
            ["revocations"] => Answer::bytes(self.revoked.encode()),
            ["tile", "entries", place @ ..] => {
                tile_of(place).and_then(|(number, width)| history.tile(None, number, width)).map_or_else(missing, Answer::bytes)
            }
            ["tile", level, place @ ..] => {
                let level = level.parse().ok().filter(|parsed: &u32| *parsed < 8 && parsed.to_string() == **level);
                let found = level.zip(tile_of(place)).and_then(|(level, (number, width))| history.tile(Some(level), number, width));
                found.map_or_else(missing, Answer::bytes)
            }
            _ => missing(),
        }
    }
}

impl Desk for TileLogDesk {
    fn answer(&mut self, method: Method, path: &str, body: &[u8]) -> Answer {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            (Method::Post, ["add-entry"]) => self.add(body),
            (Method::Post, ["revocations"]) => self.revoke(body),
            (Method::Post, ["add-cosignature"]) => self.cosigned(body),
            (Method::Post, ["renew"]) => {
                self.publish();
                Answer::text(200, self.history.note.clone())
            }
            (Method::Post, ["misbehave", how @ ..]) => self.misbehave(how, body),
            (Method::Get, ["refusals"]) => Answer::text(200, self.refusals.iter().map(|words| format!("{words}\n")).collect::<String>()),
            (Method::Get, ["other", parts @ ..]) => match &self.other {
                Some(other) => self.read(other, parts),
                None => Answer::text(404, "nobody is shown another history\n"),
            },
            (Method::Get, parts) => self.read(&self.history, parts),
            _ => Answer::text(405, "this log does not do that\n"),
        }
    }
}

/// Number and width a place names, when it is written as the specification writes it.
fn tile_of(place: &[&str]) -> Option<(u64, u64)> {
    let (width, groups) = match place {
        [groups @ .., last, width] if last.ends_with(".p") => {
            let width = width.parse().ok().filter(|parsed: &u64| (1..TILE_HASHES).contains(parsed) && parsed.to_string() == *width)?;
            (width, [groups, &[last.trim_end_matches(".p")]].concat())
        }
        _ => (TILE_HASHES, place.to_vec()),
    };
    let digits: String = groups.iter().map(|group| group.trim_start_matches('x')).collect();
    let number = digits.parse().ok()?;
    (tile_path(number) == groups.join("/")).then_some((number, width))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_client::release::note::NoteKind;
    use ringwall_wire::secret::Secret;

    fn desk() -> TileLogDesk {
        TileLogDesk::new(NoteKey::from_seed("log.example", NoteKind::Plain, Secret::new([1; 32])), Vec::new())
    }

    fn get(desk: &mut TileLogDesk, path: &str) -> (u16, Vec<u8>) {
        let answer = desk.answer(Method::Get, path, &[]);
        (answer.status, answer.body)
    }

    #[test]
    fn tiles_and_entries_are_served_as_wide_as_the_tree_has_them() {
        let mut desk = desk();
        (0..257_u16).for_each(|at| desk.history.push(at.to_be_bytes().to_vec()));
        desk.publish();
        let full = get(&mut desk, "/tile/0/000").1;
        assert_eq!(full.len(), 8_192);
        assert_eq!(get(&mut desk, "/tile/0/001.p/1").1, leaf(&256_u16.to_be_bytes()).0);
        let Ok(over) = desk.history.node(8, 0);
        assert_eq!(get(&mut desk, "/tile/1/000.p/1").1, over.unwrap().0);
        assert_eq!(get(&mut desk, "/tile/entries/001.p/1").1, [0, 2, 1, 0]);
        assert_eq!(get(&mut desk, "/tile/entries/000").1.len(), 256 * 4);
        for nothing in
            ["/tile/0/001", "/tile/0/1", "/tile/00/000", "/tile/0/000.p/256", "/tile/0/x000/000", "/tile/0/001.p/2", "/tile/9/000", "/x"]
        {
            assert_eq!(get(&mut desk, nothing).0, 404, "{nothing}");
        }
    }

    #[test]
    fn entries_keep_their_index_and_revocations_are_never_taken_back() {
        let mut desk = desk();
        assert_eq!(desk.answer(Method::Post, "/add-entry", b"a").body, b"0\n");
        assert_eq!(desk.answer(Method::Post, "/add-entry", b"b").body, b"1\n");
        assert_eq!(desk.answer(Method::Post, "/add-entry", b"a").body, b"0\n");
        assert_eq!(desk.answer(Method::Post, "/add-entry", b"").status, 400);
        let list = |builds: &[&str]| {
            let one = |build: &&str| ringwall_wire::release::Revoked {
                what: ringwall_wire::release::RevokedBuild::Build(ringwall_wire::bounded::Text::new(*build).unwrap()),
                reason: Default::default(),
                at_s: 1,
            };
            RevocationList { revoked: ringwall_wire::bounded::List::new(builds.iter().map(one).collect::<Vec<_>>()).unwrap() }.encode()
        };
        assert_eq!(desk.answer(Method::Post, "/revocations", &list(&["one"])).status, 200);
        assert_eq!(desk.answer(Method::Post, "/revocations", &list(&["one", "two"])).status, 200);
        for back in [&[][..], &["one"], &["two", "one", "three"]] {
            assert_eq!(desk.answer(Method::Post, "/revocations", &list(back)).status, 409, "{back:?}");
        }
        assert!(String::from_utf8(get(&mut desk, "/checkpoint").1).unwrap().contains("\nringwall-revoked 2 "));
    }
}
