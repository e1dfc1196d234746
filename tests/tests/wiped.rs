//! Keys are in memory while they are held, and nowhere in it once they are let go.
//!
//! Decides: another process uses the shipped types and drops them; its memory is read before and after. Known keys are searched for; session keys are
//! looked for by trying every 32 bytes of memory on a record that was seen. What washes the stack is tried with nothing after it that would do
//! so too. Trusts: the kernel's view of the other process's memory.
//! Out of scope: whole nodes (`secrets.rs`). Row T-M1.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use ringwall_sim::canary::{Canaries, Found};
use ringwall_sim::tape::BLOCK;
use ringwall_tests::memory::{Memory, Recorded};
use ringwall_wire::ids::Digest;
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
