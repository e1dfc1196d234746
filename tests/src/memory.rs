//! The memory of another process, as whoever is root on its machine reads it, and keys looked for by using them.
//!
//! Decides: every readable mapping is read to its end. A session key is looked for as an attacker would who recorded a record: every 32
//! bytes of writable memory are tried as that session's key, so nothing in the channel has to give its keys away.
//! Trusts: the kernel's `/proc`. Out of scope: hardware that encrypts memory: on a simulated TEE there is none.

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Tag};
use hkdf::Hkdf;
use ringwall_sim::canary::{CHUNK, Canaries, Found};
use ringwall_wire::codec::enc;
use ringwall_wire::ids::Digest;
use ringwall_wire::label::Label;
use sha2::Sha256;
use std::fs::File;
use std::io::{Error, Read, Result, Write as _};
use std::os::unix::fs::FileExt;

/// Bytes of a key.
const KEY: usize = 32;
/// Different bytes a random key has at least; pointers and texts have fewer.
const DIFFERENT: u32 = 22;

/// Whether this process may look into others, which takes root. Where it may not, a suite that has to look fails if `CI` is set; elsewhere it says that `what`
/// was not run, on standard error itself, which nothing that captures a test's output takes away.
///
/// # Panics
/// Where it may not, and `CI` is set.
pub fn may_be_read(what: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "NOT RUN: {what}: memory and sockets of other processes are read as root");
    // Nobody to tell is nobody to mislead.
    let _ = writeln!(std::io::stderr(), "\nNOT RUN: {what}: only root reads memory and sockets of other processes\n");
    false
}

/// The memory of a process.
pub struct Memory {
    file: File,
    regions: Vec<Region>,
}

/// One mapping.
#[derive(Clone, Copy, Debug)]
struct Region {
    start: u64,
    end: u64,
    writable: bool,
}

impl Memory {
    /// Opens the memory of `pid`; needs root, or the right to trace it.
    pub fn open(pid: u32) -> Result<Self> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let regions: Vec<Region> = maps.lines().filter_map(region).collect();
        if regions.is_empty() {
            return Err(Error::other("the process has no memory: it ended, or this is not allowed"));
        }
        Ok(Memory { file: File::open(format!("/proc/{pid}/mem"))?, regions })
    }

    /// Adds to `found` what occurs anywhere; gives how many bytes were read.
    pub fn search(&self, canaries: &Canaries, found: &mut Found) -> Result<u64> {
        self.regions
            .iter()
            .map(|region| canaries.search_stream(Reading { file: &self.file, at: region.start, end: region.end }, found))
            .sum()
    }

    /// All writable memory, as a core dump would hold it.
    pub fn dump(&self) -> Result<Vec<u8>> {
        let mut dump = Vec::new();
        for region in self.regions.iter().filter(|region| region.writable) {
            Reading { file: &self.file, at: region.start, end: region.end }.read_to_end(&mut dump)?;
        }
        Ok(dump)
    }
}

/// `start-end rw-p offset device inode path`; only what can be read.
fn region(line: &str) -> Option<Region> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?;
    let path = fields.nth(3).unwrap_or_default();
    let readable = rights.starts_with('r') && !["[vvar]", "[vvar_vclock]", "[vsyscall]"].contains(&path);
    let parse = |text| u64::from_str_radix(text, 16).ok();
    Some(Region { start: parse(start)?, end: parse(end)?, writable: rights.contains('w') }).filter(|_| readable)
}

struct Reading<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let len = usize::try_from(self.end - self.at).unwrap_or(CHUNK).min(buffer.len()).min(CHUNK);
        if len == 0 {
            return Ok(0);
        }
        match self.file.read_at(&mut buffer[..len], self.at) {
            Ok(read) => {
                self.at += read as u64;
                Ok(read)
            }
            // A page that went away, or one of a device: the rest of its mapping is not there.
            Err(_) => Ok(0),
        }
    }
}

/// A record of a session, as it was seen on the wire: the first that the dialling side sent.
pub struct Recorded {
    /// Handshake hash of its session.
    pub handshake: Digest,
    /// Length, ciphertext and tag.
    pub record: Vec<u8>,
}

impl Recorded {
    /// How many 32-byte strings in `memory` open the record: as its key, as the chain it comes from, as the session's raw key, or as the handshake's
    /// chaining key.
    pub fn keys_in(&self, memory: &[u8]) -> usize {
        candidates(memory).filter(|window| self.opens_with(window.as_slice())).count()
    }

    fn opens_with(&self, candidate: &[u8]) -> bool {
        // Noise splits its chaining key with HKDF over nothing; the dialling side's key comes first.
        let split = |chaining: &[u8]| {
            let mut both = vec![0; 64];
            Hkdf::<Sha256>::new(Some(chaining), b"").expand(b"", &mut both).expect("64 bytes are few");
            both[..KEY].to_vec()
        };
        // The record is the first of stream 0 that the dialling side sent.
        let stream = |raw: &[u8]| expand(raw, &enc(Label::StreamKey, &[&self.handshake.0, b"dial", &0_u32.to_be_bytes()]), KEY);
        let chains = [candidate.to_vec(), stream(candidate), stream(&split(candidate))];
        let ratcheted = chains.map(|chain| expand(&chain, &enc(Label::StreamRatchet, &[&0_u64.to_be_bytes()]), 2 * KEY).split_off(KEY));
        self.opens(candidate) || ratcheted.iter().any(|key| self.opens(key))
    }

    /// Whether `key` is the key of the record itself.
    fn opens(&self, key: &[u8]) -> bool {
        let (header, sealed) = self.record.split_at(4);
        let (body, tag) = sealed.split_at(sealed.len() - 16);
        let cipher = Aes256Gcm::new_from_slice(key).expect("a key has 32 bytes");
        let tag = Tag::try_from(tag).expect("a tag has 16 bytes");
        cipher.decrypt_inout_detached(&[0; 12].into(), header, body.to_vec().as_mut_slice().into(), &tag).is_ok()
    }
}

fn expand(parent: &[u8], info: &[u8], len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    Hkdf::<Sha256>::from_prk(parent).expect("a parent has 32 bytes").expand(info, &mut out).expect("64 bytes are few");
    out
}

/// Every 32 bytes of `memory` that could be a key: those a key in memory of its own begins with.
pub fn candidates(memory: &[u8]) -> impl Iterator<Item = &[u8; KEY]> {
    memory.windows(KEY).step_by(8).filter(|window| looks_random(window)).filter_map(|window| window.first_chunk())
}

/// Whether a window has as many different bytes as random ones have.
fn looks_random(window: &[u8]) -> bool {
    let mut seen = [0_u64; 4];
    window.iter().for_each(|byte| seen[usize::from(byte >> 6)] |= 1 << (byte & 63));
    seen.iter().map(|bits| bits.count_ones()).sum::<u32>() >= DIFFERENT
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn this_process_is_read_to_where_a_secret_lies() {
        let secret: [u8; 32] = std::array::from_fn(|at| (at * 37 + 11) as u8 ^ 0x5a);
        let mut canaries = Canaries::default();
        canaries.add_raw("planted", &secret);
        let kept = Box::new(secret);
        let memory = Memory::open(std::process::id()).unwrap();
        let mut found = Found::new();
        let bytes = memory.search(&canaries, &mut found).unwrap();
        assert!(bytes > 100_000 && !found.is_empty(), "{bytes} bytes were read");
        assert_eq!(*kept, secret);
    }

    #[test]
    fn mappings_are_read_as_the_kernel_writes_them() {
        assert!(region("7f00-7f10 rw-p 00000000 00:00 0 [heap]").unwrap().writable);
        assert!(!region("7f00-7f10 r--p 00000000 08:01 12 /lib/libc.so").unwrap().writable);
        assert!(region("7f00-7f10 ---p 00000000 00:00 0").is_none());
        assert!(region("7f00-7f10 r--p 00000000 00:00 0 [vvar]").is_none());
    }
}
