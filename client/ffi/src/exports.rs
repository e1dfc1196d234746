//! The functions other languages call, and everything the compiler counts as unsafe: their names, reading what callers lend, writing where they point, giving memory out and back.
//!
//! Decides: what is looked at before memory is touched (null, lengths, kinds of handles), that no panic leaves, and that what was handed out is freed once and wiped.
//! Trusts: that a pointer with a length points to so many bytes for the length of the call, which no library can look into. Out of scope: what is done (`core.rs`, `client.rs`).
//! `client/ffi/include/ringwall.h` is made of this file, `fault.rs`, `host.rs` and `callbacks.rs` (`cargo xtask header --write`).
#![allow(unsafe_code, reason = "the boundary to C; every block says why it is sound")]

use super::callbacks::{Callbacks, RingwallHost};
use super::client::{Client, Reply, is_inside};
use super::core;
use super::fault::Status;
use super::frame::{answered, frame, is_refusal, parts, refusal};
use super::ledger::Ledger;
use super::table::{Row, Table};
use serde_json::json;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::Duration;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a frame, at most: a card and a kept memory of their full sizes.
pub const FRAME_BYTES: usize = 96 * 1024 * 1024;
/// Bytes of a namespace's name, or of a key, at most; what a cluster takes is less.
pub const NAME_BYTES: usize = 4 * 1024;

static TABLE: Table = Table::new();
static LEDGER: Ledger = Ledger::new();

/// How a call ended, and what it says; or that it did nothing.
type Outcome = Result<(Status, Zeroizing<Vec<u8>>), Status>;

/// Runs a call so that no panic leaves it, and none is made from inside a callback.
fn guarded<T>(work: impl FnOnce() -> Result<T, Status>) -> Result<T, Status> {
    if is_inside() {
        return Err(Status::Reentrant);
    }
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Status::Panicked))
}

/// Bytes a caller lends for one call.
///
/// # Safety
/// Where `at` is not null, `len` bytes from there on are readable, and nobody writes to them for `'a`.
unsafe fn lent<'a>(at: *const u8, len: usize, most: usize) -> Result<&'a [u8], Status> {
    if len == 0 {
        return Ok(&[]);
    }
    if at.is_null() {
        return Err(Status::Null);
    }
    if len > most {
        return Err(Status::TooLarge);
    }
    // SAFETY: not null, at most `most` bytes, which is below isize::MAX; readable and unchanged for `'a` by this function's contract.
    Ok(unsafe { std::slice::from_raw_parts(at, len) })
}

/// Writes a number where the caller wants it.
///
/// # Safety
/// `at` is null, or may be written to.
unsafe fn put<T>(at: *mut T, value: T) {
    if !at.is_null() {
        // SAFETY: not null, and writable by this function's contract.
        unsafe { at.write(value) };
    }
}

/// Makes a call that has an answer: nothing is there before, and afterwards what the call says.
///
/// # Safety
/// `answer` and `answer_len` are null, or may be written to.
unsafe fn answering(answer: *mut *mut u8, answer_len: *mut usize, work: impl FnOnce() -> Outcome) -> i32 {
    if answer.is_null() || answer_len.is_null() {
        return Status::Null as i32;
    }
    // SAFETY: by this function's contract.
    unsafe {
        put(answer, null_mut());
        put(answer_len, 0);
    }
    match guarded(work) {
        Ok((status, bytes)) => {
            let len = bytes.len();
            let at = hand_out(&bytes);
            // SAFETY: by this function's contract.
            unsafe {
                put(answer, at);
                put(answer_len, len);
            }
            status as i32
        }
        Err(status) => status as i32,
    }
}

/// Memory of the caller's from now on; null for none.
fn hand_out(bytes: &[u8]) -> *mut u8 {
    if bytes.is_empty() {
        return null_mut();
    }
    let at = Box::into_raw(Box::<[u8]>::from(bytes)).cast::<u8>();
    LEDGER.gave(at.addr(), bytes.len());
    at
}

fn said(answer: Vec<u8>) -> (Status, Zeroizing<Vec<u8>>) {
    (if is_refusal(&answer) { Status::Refused } else { Status::Ok }, Zeroizing::new(answer))
}

/// The version of this library, as text that ends with a zero; never freed.
#[unsafe(no_mangle)]
pub extern "C" fn ringwall_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// What a status means: its code, what happened and what to do, as text that ends with a zero; never freed. Null for a number that is none.
#[unsafe(no_mangle)]
pub extern "C" fn ringwall_words(status: i32) -> *const c_char {
    Status::of(status).map_or(std::ptr::null(), |status| status.words().as_ptr())
}

/// Frees what a function handed out, with the length it gave. Wipes it first. Null with length 0 is nothing. What is not ours is not touched.
///
/// # Safety
/// Nobody uses the memory any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringwall_free(at: *mut u8, len: usize) -> i32 {
    if at.is_null() {
        return if len == 0 { Status::Ok } else { Status::Free } as i32;
    }
    if !LEDGER.took_back(at.addr(), len) {
        return Status::Free as i32;
    }
    // SAFETY: the ledger says that `hand_out` made a box of this address and length, and that it was not freed before; nobody uses it by this function's contract.
    let mut held = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(at, len)) };
    held.zeroize();
    Status::Ok as i32
}

/// Reads a card: docs/core.md, "Cards".
///
/// # Safety
/// `frame_len` bytes at `frame` are readable; `answer` and `answer_len` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringwall_card(frame: *const u8, frame_len: usize, answer: *mut *mut u8, answer_len: *mut usize) -> i32 {
    // SAFETY: both by this function's contract.
    unsafe { answering(answer, answer_len, || Ok(said(core::card(lent(frame, frame_len, FRAME_BYTES)?)))) }
}

/// Judges a saved exchange against a card, without a network: docs/core.md, "Verification without a network". That evidence is refused is an answer (`RINGWALL_OK`).
///
/// # Safety
/// `frame_len` bytes at `frame` are readable; `answer` and `answer_len` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringwall_verify(frame: *const u8, frame_len: usize, answer: *mut *mut u8, answer_len: *mut usize) -> i32 {
    // SAFETY: both by this function's contract.
    unsafe { answering(answer, answer_len, || Ok(said(core::verify(lent(frame, frame_len, FRAME_BYTES)?)))) }
}

/// Opens a client whose effects the caller carries out: docs/core.md, "open". `handle` is 0 where there is none.
///
/// # Safety
/// `frame_len` bytes at `frame` are readable; `handle`, `answer` and `answer_len` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringwall_open(
    frame: *const u8,
    frame_len: usize,
    handle: *mut u64,
    answer: *mut *mut u8,
    answer_len: *mut usize,
) -> i32 {
    let work = || {
        if handle.is_null() {
            return Err(Status::Null);
        }
        // SAFETY: by this function's contract.
        let frame = unsafe {
            put(handle, 0);
            lent(frame, frame_len, FRAME_BYTES)?
        };
        TABLE.has_room()?;
        let (core, answer) = core::opening()(frame);
        let (status, answer) = said(answer);
        if status == Status::Ok {
            let given = TABLE.insert_bare(core)?;
            // SAFETY: by this function's contract.
            unsafe { put(handle, given) };
        }
        Ok((status, answer))
    };
    // SAFETY: by this function's contract.
    unsafe { answering(answer, answer_len, work) }
}

/// Tells a client of `ringwall_open` one event; the answer is its effects, in the order in which they are to be carried out. One call at a time on a handle.
///
/// # Safety
/// `frame_len` bytes at `frame` are readable; `answer` and `answer_len` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringwall_handle(
    handle: u64,
    frame: *const u8,
    frame_len: usize,
    answer: *mut *mut u8,
    answer_len: *mut usize,
) -> i32 {
    let work = || {
        // SAFETY: by this function's contract.
        let frame = unsafe { lent(frame, frame_len, FRAME_BYTES)? };
        TABLE.bare(handle)?.call(|core| core.handle(frame)).map(said)
    };
    // SAFETY: by this function's contract.
    unsafe { answering(answer, answer_len, work) }
}

/// Ends a client; its handle is unknown from then on. A connected one says goodbye first, and no callback runs afterwards. Whoever waits is told `RINGWALL_ENDED`.
#[unsafe(no_mangle)]
pub extern "C" fn ringwall_close(handle: u64) -> i32 {
    let closed = guarded(|| {
        match TABLE.remove(handle)? {
            Row::Bare(bare) => drop(bare),
            Row::Driven(client) => client.close(),
        }
        Ok(())
    });
    closed.err().unwrap_or(Status::Ok) as i32
}

/// Opens a client that carries out its effects itself, on a thread of its own, with the functions of `host`. The frame is one of `open` without `now_ms`, `now_s` and `fresh`.
/// Returns before a node was asked. Ends with `ringwall_close`.
///
/// # Safety
/// `frame_len` bytes at `frame` are readable; `host` points to a `ringwall_host` whose functions have these shapes and may be called on another thread, with its context,
/// until `ringwall_close` returned; `handle`, `answer` and `answer_len` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringwall_connect(
    frame: *const u8,
    frame_len: usize,
    host: *const RingwallHost,
    handle: *mut u64,
    answer: *mut *mut u8,
    answer_len: *mut usize,
) -> i32 {
    let work = || {
        if handle.is_null() || host.is_null() {
            return Err(Status::Null);
        }
        // SAFETY: by this function's contract. The size comes first, so that a shorter host of another version is not read beyond its end.
        let frame = unsafe {
            put(handle, 0);
            if host.cast::<usize>().read() != size_of::<RingwallHost>() {
                return Err(Status::Host);
            }
            lent(frame, frame_len, FRAME_BYTES)?
        };
        // SAFETY: of our size, and readable by this function's contract.
        let callbacks = Callbacks::new(&unsafe { host.read() })?;
        TABLE.has_room()?;
        let (status, answer, client) = Client::connect(core::opening(), Box::new(callbacks), frame)?;
        if let Some(client) = client {
            let given = TABLE.insert(Row::Driven(Arc::new(client)))?;
            // SAFETY: by this function's contract.
            unsafe { put(handle, given) };
        }
        Ok((status, Zeroizing::new(answer)))
    };
    // SAFETY: by this function's contract.
    unsafe { answering(answer, answer_len, work) }
}

/// Asks a connected client, and waits for the answer: a frame of docs/core.md, "Operations", the operation as its head. From any thread, also several at once.
///
/// # Safety
/// `frame_len` bytes at `frame` are readable; `answer` and `answer_len` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringwall_ask(
    handle: u64,
    frame: *const u8,
    frame_len: usize,
    within_ms: u32,
    answer: *mut *mut u8,
    answer_len: *mut usize,
) -> i32 {
    let work = || {
        // SAFETY: by this function's contract.
        let frame = unsafe { lent(frame, frame_len, FRAME_BYTES)? };
        asked(handle, frame, within_ms)
    };
    // SAFETY: by this function's contract.
    unsafe { answering(answer, answer_len, work) }
}

/// Stores a value under a key of the namespace `space`, and waits until it is on a majority of disks. `version`, which may be null, is its version; `answer` is nothing, or says why it failed.
///
/// # Safety
/// Each pointer with a length points to so many readable bytes; `version`, `answer` and `answer_len` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringwall_put(
    handle: u64,
    space: *const u8,
    space_len: usize,
    key: *const u8,
    key_len: usize,
    value: *const u8,
    value_len: usize,
    within_ms: u32,
    version: *mut u64,
    answer: *mut *mut u8,
    answer_len: *mut usize,
) -> i32 {
    let work = || {
        // SAFETY: by this function's contract.
        let (namespace, key, value) = unsafe {
            put(version, 0);
            (lent(space, space_len, NAME_BYTES)?, lent(key, key_len, NAME_BYTES)?, lent(value, value_len, FRAME_BYTES / 2)?)
        };
        let Some(op) = keyed("put", namespace, key) else { return Ok(said(no_text())) };
        let (status, reply) = asked(handle, &frame(&op, value), within_ms)?;
        if status != Status::Ok {
            return Ok((status, reply));
        }
        let stored = answered(&reply).and_then(|(answer, _)| answer.version).ok_or(Status::Panicked)?;
        // SAFETY: by this function's contract.
        unsafe { put(version, stored) };
        Ok((Status::Ok, Zeroizing::default()))
    };
    // SAFETY: by this function's contract.
    unsafe { answering(answer, answer_len, work) }
}

/// Reads the value of a key of the namespace `space`. `found` is 1 where there is one; `version`, which may be null, is its version; `value` is the value, nothing where it is empty, or says why the call failed.
///
/// # Safety
/// Each pointer with a length points to so many readable bytes; `found`, `version`, `value` and `value_len` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringwall_get(
    handle: u64,
    space: *const u8,
    space_len: usize,
    key: *const u8,
    key_len: usize,
    within_ms: u32,
    found: *mut i32,
    version: *mut u64,
    value: *mut *mut u8,
    value_len: *mut usize,
) -> i32 {
    let work = || {
        if found.is_null() {
            return Err(Status::Null);
        }
        // SAFETY: by this function's contract.
        let (namespace, key) = unsafe {
            put(found, 0);
            put(version, 0);
            (lent(space, space_len, NAME_BYTES)?, lent(key, key_len, NAME_BYTES)?)
        };
        let Some(op) = keyed("get", namespace, key) else { return Ok(said(no_text())) };
        let (status, reply) = asked(handle, &frame(&op, b""), within_ms)?;
        if status != Status::Ok {
            return Ok((status, reply));
        }
        let (read, bytes) = answered(&reply).ok_or(Status::Panicked)?;
        // SAFETY: by this function's contract.
        unsafe {
            put(found, i32::from(read.found.unwrap_or_default()));
            put(version, read.version.unwrap_or_default());
        }
        Ok((Status::Ok, Zeroizing::new(bytes.to_vec())))
    };
    // SAFETY: by this function's contract.
    unsafe { answering(value, value_len, work) }
}

/// One question to a connected client.
fn asked(handle: u64, frame: &[u8], within_ms: u32) -> Outcome {
    let client = TABLE.driven(handle)?;
    let Some((op, payload)) = parts(frame) else {
        return Ok(said(refusal("RW-C-CALL-FRAME", "the frame is cut off, or its lengths do not add up")));
    };
    Ok(match client.ask(op, payload, Duration::from_millis(within_ms.into()))? {
        Reply::Answered(answer) => (Status::Ok, answer),
        Reply::Refused(answer) => (Status::Refused, Zeroizing::new(answer)),
        Reply::Ended(answer) => (Status::Ended, Zeroizing::new(answer)),
    })
}

fn no_text() -> Vec<u8> {
    refusal("RW-C-CALL-HEAD", "the name of the namespace is no UTF-8 text; names are text, keys may be any bytes")
}

/// An operation on one key; `None` where the namespace's name is no text.
fn keyed(op: &str, namespace: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let namespace = std::str::from_utf8(namespace).ok()?;
    let head = match std::str::from_utf8(key) {
        Ok(key) => json!({ "is": op, "namespace": namespace, "key": key }),
        Err(_) => json!({ "is": op, "namespace": namespace, "key_hex": **super::frame::hex(key) }),
    };
    Some(head.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::scripted::Script;
    use super::*;

    /// One call that has an answer; the status, and the answer as text.
    fn calls(call: impl FnOnce(*mut *mut u8, *mut usize) -> i32) -> (Option<Status>, String) {
        let (mut answer, mut len) = (null_mut(), 9);
        let status = call(&mut answer, &mut len);
        // SAFETY: what the call gave, with its length, until it is freed here.
        let text = unsafe { lent(answer, len, FRAME_BYTES) }.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        // SAFETY: not used any more.
        assert_eq!(unsafe { ringwall_free(answer, len) }, 0);
        (Status::of(status), text.unwrap())
    }

    fn tells(handle: u64, event: &str) -> (Option<Status>, String) {
        let asked = frame(format!("{{\"event\":{event}}}").as_bytes(), b"");
        // SAFETY: the frame lives longer than the call, and `calls` gives pointers that may be written to.
        calls(|answer, len| unsafe { ringwall_handle(handle, asked.as_ptr(), asked.len(), answer, len) })
    }

    #[test]
    fn a_panic_stays_inside_and_poisons_one_handle() {
        let (broken, whole) = (TABLE.insert_bare(Box::<Script>::default()).unwrap(), TABLE.insert_bare(Box::<Script>::default()).unwrap());
        assert_eq!(tells(broken, "{\"is\":\"ask\",\"ticket\":1,\"op\":{\"is\":\"a bug\"}}"), (Some(Status::Panicked), String::new()));
        assert_eq!(tells(broken, "{\"is\":\"tick\"}"), (Some(Status::Poisoned), String::new()));
        assert_eq!(tells(whole, "{\"is\":\"tick\"}").0, Some(Status::Ok), "others go on");
        assert_eq!((ringwall_close(broken), ringwall_close(broken), ringwall_close(whole)), (0, Status::Handle as i32, 0));
        assert_eq!(tells(whole, "{\"is\":\"tick\"}").0, Some(Status::Handle));
    }

    #[test]
    fn every_entry_keeps_panics_inside() {
        assert_eq!(guarded(|| -> Result<(), Status> { panic!("a bug") }), Err(Status::Panicked));
        // SAFETY: `calls` gives pointers that may be written to.
        assert_eq!(calls(|answer, len| unsafe { answering(answer, len, || panic!("a bug")) }), (Some(Status::Panicked), String::new()));
        let text = include_str!("exports.rs");
        let entries = text.split("#[unsafe(no_mangle)]\n").skip(1).map(|entry| entry.split("\n}\n").next().unwrap_or_default());
        let careless: Vec<&str> = entries.filter(|entry| !entry.contains("answering(") && !entry.contains("guarded(")).collect();
        let names: Vec<&str> = careless.iter().filter_map(|entry| entry.split("fn ").nth(1)?.split('(').next()).collect();
        assert_eq!(names, ["ringwall_version", "ringwall_words", "ringwall_free"], "these call nothing that could panic");
    }
}
