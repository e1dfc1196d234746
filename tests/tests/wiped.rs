//! Keys are in memory while they are held, and nowhere in it once they are let go.
//!
//! Decides: another process uses the shipped types and drops them; its memory is read before and after. Known keys are searched for; session keys are
//! looked for by trying every 32 bytes of memory on a record that was seen. What washes the stack is tried with nothing after it that would do
//! so too. Trusts: the kernel's view of the other process's memory.
//! Out of scope: whole nodes (`secrets.rs`, and of custody `recover.rs`). Row T-M1.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use ringwall_keys::custody::spelled::{share_line, share_words};
use ringwall_keys::derive::{Purpose, expand};
use ringwall_sim::canary::{Canaries, Found};
use ringwall_sim::tape::{BLOCK, Tape};
use ringwall_tests::dealer::{CLUSTER, Dealer, split_secret};
use ringwall_tests::memory::{Memory, Recorded};
use ringwall_wire::ids::{CustodyEpoch, Digest};
use ringwall_wire::secret::Secret;
use ringwall_wire::text::read_hex_vec;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Blocks of the tape that are the cluster's keys, then the node's.
const RING: usize = 2;
const NODE: usize = 4;

struct Holder {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Holder {
    fn start(tape: &Path, thing: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_key-holder"));
        let mut child = command.arg(tape).args(thing).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Holder { child, output }
    }

    fn let_go(&mut self) {
        writeln!(self.child.stdin.as_mut().unwrap(), "drop").unwrap();
        assert_eq!(self.line().trim(), "dropped");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    fn found(&self, canaries: &Canaries) -> Found {
        let mut found = Found::new();
        let bytes = Memory::open(self.child.id()).unwrap().search(canaries, &mut found).unwrap();
        assert!(bytes > 1 << 20, "only {bytes} bytes of memory were read");
        found
    }
}

/// What is searched for of a draw: an allocator writes over the first bytes of what it is given back, and would hide that nobody wiped the rest.
fn half(block: &[u8]) -> &[u8] {
    &block[BLOCK / 2..]
}

/// A new tape, and what is on it.
fn recorded(folder: &Path) -> (PathBuf, Vec<u8>) {
    let tape = folder.join("tape");
    let mut bytes = vec![0; 64 * BLOCK];
    getrandom::fill(&mut bytes).unwrap();
    std::fs::write(&tape, &bytes).unwrap();
    (tape, bytes)
}

#[test]
fn keys_that_were_let_go_are_nowhere_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (tape, bytes) = recorded(folder.path());
    let mut holder = Holder::start(&tape, None);

    let said = holder.line();
    let words: Vec<&str> = said.split_whitespace().collect();
    let ["held", handshake, record, blocks] = words.as_slice() else { panic!("{said}") };
    let recorded =
        Recorded { handshake: Digest(read_hex_vec(handshake).unwrap().try_into().unwrap()), record: read_hex_vec(record).unwrap() };
    let mut canaries = Canaries::default();
    let blocks: usize = blocks.parse().unwrap();
    assert!(blocks > RING + NODE, "{blocks} blocks were drawn");
    bytes.chunks(BLOCK).take(blocks).for_each(|block| canaries.add_raw("drawn", half(block)));

    let held = holder.found(&canaries);
    assert!((0..RING as u32).all(|block| held.contains(&block)), "the ring holds its keys: {held:?}");
    assert!(held.contains(&(RING as u32)) && held.contains(&((RING + NODE - 1) as u32)), "the node holds its keys: {held:?}");
    let live = recorded.keys_in(&Memory::open(holder.child.id()).unwrap().dump().unwrap());
    assert!(live > 0, "the key of a live session opens its record");
    eprintln!("held: draws {held:?} of {blocks}, {live} copies of session keys");

    holder.let_go();
    let left = holder.found(&canaries);
    let keys = recorded.keys_in(&Memory::open(holder.child.id()).unwrap().dump().unwrap());
    eprintln!("dropped: draws {left:?}, {keys} copies of session keys");
    assert!(left.is_empty(), "draws that keys were made of are still in memory: {left:?} (of {blocks}; ring 0..2, node 2..6)");
    assert_eq!(keys, 0, "session keys are still in memory");
}

#[test]
fn whatever_was_done_last_leaves_nothing_behind() {
    for thing in [
        "keys-of-a-cluster",
        "granted-keys",
        "keys-of-a-node",
        "key-of-a-namespace",
        "dialled-client",
        "answered-client",
        "finished-client",
        "finished-member",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (tape, bytes) = recorded(folder.path());
        let mut holder = Holder::start(&tape, Some(thing));
        let said = holder.line();
        let blocks: usize = said.trim().strip_prefix("held - - ").unwrap_or_else(|| panic!("{thing}: {said}")).parse().unwrap();
        let mut canaries = Canaries::default();
        bytes.chunks(BLOCK).take(blocks).for_each(|block| canaries.add_raw("drawn", half(block)));
        assert!(holder.found(&canaries).contains(&0), "{thing}: what is held is found");
        holder.let_go();
        let left = holder.found(&canaries);
        assert!(left.is_empty(), "{thing}: draws are still in memory: {left:?} of {blocks}");
    }
}

/// What the shares of a tape and all that they come of and lead to are, by kind. The tape is played here as the other process plays it.
fn secrets_of_custody(tape: &Path) -> Canaries {
    let mut tape = Tape::open(tape).unwrap();
    let mut dealer = Dealer::on_tape(&tape);
    let dealt = dealer.deal(&mut tape).unwrap();
    let shares: Vec<_> = (0..3).map(|at| dealer.share(&dealt, at).unwrap()).collect();
    let key = split_secret(&shares).unwrap();
    let seed: Secret<32> = expand(&key, Purpose::RecoverySeed, &[&CLUSTER.0, &CustodyEpoch(1).0.to_be_bytes()]);
    let mut canaries = Canaries::default();
    dealer.ring.granted().iter().for_each(|granted| canaries.add_raw("master key", half(granted.key.expose())));
    for good in &shares {
        let share = good.share();
        canaries.add_raw("share", half(share.y.expose()));
        canaries.add_raw("share", half(share.r.expose()));
        for text in [share_words(share), share_line(share)] {
            canaries.add_raw("spelled share", &text.as_bytes()[BLOCK..]);
        }
    }
    // At place 1 of a line the value is the secret and its one coefficient.
    let coefficient: Vec<u8> = shares[0].share().y.expose().iter().zip(key.expose()).map(|(y, secret)| y ^ secret).collect();
    canaries.add_raw("coefficient", half(&coefficient));
    canaries.add_raw("recovery key", half(key.expose()));
    canaries.add_raw("seed of its pair", half(seed.expose()));
    canaries.add_raw("tag key", half(dealer.tag_key(&dealt).unwrap().expose().expose()));
    (0..3).for_each(|at| canaries.add_raw("proof key", half(dealer.unwrapped_proof_key(&dealt, at).unwrap().expose())));
    canaries
}

/// Shares, recovery key and what comes of it are in memory where they are held, by whoever has to hold them, and nowhere and by nobody else; let go, they are
/// nowhere at all.
#[test]
fn of_custody_nobody_holds_more_than_they_must_and_nothing_stays() {
    for (thing, kept) in [
        ("custody-dealt", vec!["master key"]),
        ("custody-opened", vec!["share"]),
        ("custody-sent", vec!["share"]),
        ("custody-spelled", vec!["spelled share"]),
        ("custody-combined", vec!["recovery key"]),
        ("custody-recovered", vec!["master key"]),
        ("custody-members", vec!["proof key", "tag key"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (tape, _) = recorded(folder.path());
        let mut holder = Holder::start(&tape, Some(thing));
        let said = holder.line();
        assert!(said.starts_with("held - - "), "{thing}: {said}");
        let canaries = secrets_of_custody(&tape);
        let kinds = |found: &Found| canaries.by_kind(found).into_keys().collect::<Vec<&str>>();
        assert_eq!(kinds(&holder.found(&canaries)), kept, "{thing}: what is held");
        holder.let_go();
        let left = holder.found(&canaries);
        assert!(left.is_empty(), "{thing}: still in memory: {:?}", canaries.by_kind(&left));
    }
}
