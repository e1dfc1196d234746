//! A caller's function pointers as a host.
//!
//! Decides: which of them must be there, and what their answers mean; one that says it wrote more than there was room for is not believed. Trusts: that the pointers lead to
//! functions of these shapes, which `ringwall_connect` demands of its caller. Calling them is safe as the compiler counts; what they do is the caller's.
//! Out of scope: when they are called (`driver.rs`).

use super::fault::Status;
use super::host::{Dial, Host, Received};
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

/// What a connected client needs of the program it lives in: functions, each called with `context` as it stands here, all of them on one thread of the client.
/// A function must not call this library, and must not unwind: an exception that leaves it ends the process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RingwallHost {
    /// `sizeof(ringwall_host)`: another number is of another version of this interface.
    pub size: usize,
    /// Handed to every function; used from another thread than the one that connects.
    pub context: *mut c_void,
    /// Opens a way to `address` (host and port) of the kind `over`, within `within_ms` milliseconds. `certificates` are hashes of 32 bytes each. Writes to `shown` (32 bytes)
    /// what the way showed: its exporter value, or the hash of its certificate. 0: it is open.
    pub dial: Option<
        extern "C" fn(
            context: *mut c_void,
            dial: u64,
            address: *const u8,
            address_len: usize,
            over: i32,
            certificates: *const u8,
            certificates_len: usize,
            within_ms: u32,
            shown: *mut u8,
        ) -> i32,
    >,
    /// Sends all of it, after what was sent before. 0: taken.
    pub send: Option<extern "C" fn(context: *mut c_void, dial: u64, bytes: *const u8, len: usize) -> i32>,
    /// Waits at most `within_ms` milliseconds for bytes; how many were written to `into`, at most `room`. 0: none yet. Below 0: the way is lost.
    pub receive: Option<extern "C" fn(context: *mut c_void, dial: u64, into: *mut u8, room: usize, within_ms: u32) -> i64>,
    /// Ends a way; `well` is 1 where what was sent is to arrive first.
    pub hang_up: Option<extern "C" fn(context: *mut c_void, dial: u64, well: i32)>,
    /// Milliseconds of a clock that only goes forward.
    pub now_ms: Option<extern "C" fn(context: *mut c_void) -> u64>,
    /// Unix seconds.
    pub now_s: Option<extern "C" fn(context: *mut c_void) -> u64>,
    /// Fills `into` from the platform's generator. 0: done.
    pub random: Option<extern "C" fn(context: *mut c_void, into: *mut u8, len: usize) -> i32>,
    /// Replaces the kept memory. 0: it is on stable storage, whatever happens next.
    pub keep: Option<extern "C" fn(context: *mut c_void, memory: *const u8, len: usize) -> i32>,
    /// May be null. Signs with the device's Ed25519 key, where the caller did not give its seed; writes 64 bytes. 0: done.
    pub sign: Option<extern "C" fn(context: *mut c_void, words: *const u8, len: usize, signature: *mut u8) -> i32>,
    /// May be null. A frame to show: who was believed or not, with the saved exchange, and why the client ended.
    pub told: Option<extern "C" fn(context: *mut c_void, frame: *const u8, len: usize)>,
}

/// The same, known to be complete.
pub(crate) struct Callbacks {
    context: AtomicPtr<c_void>,
    dial: extern "C" fn(*mut c_void, u64, *const u8, usize, i32, *const u8, usize, u32, *mut u8) -> i32,
    send: extern "C" fn(*mut c_void, u64, *const u8, usize) -> i32,
    receive: extern "C" fn(*mut c_void, u64, *mut u8, usize, u32) -> i64,
    hang_up: extern "C" fn(*mut c_void, u64, i32),
    now_ms: extern "C" fn(*mut c_void) -> u64,
    now_s: extern "C" fn(*mut c_void) -> u64,
    random: extern "C" fn(*mut c_void, *mut u8, usize) -> i32,
    keep: extern "C" fn(*mut c_void, *const u8, usize) -> i32,
    sign: Option<extern "C" fn(*mut c_void, *const u8, usize, *mut u8) -> i32>,
    told: Option<extern "C" fn(*mut c_void, *const u8, usize)>,
}

impl Callbacks {
    /// Takes them, where none is missing.
    pub(crate) fn new(host: &RingwallHost) -> Result<Self, Status> {
        Ok(Callbacks {
            context: AtomicPtr::new(host.context),
            dial: host.dial.ok_or(Status::Null)?,
            send: host.send.ok_or(Status::Null)?,
            receive: host.receive.ok_or(Status::Null)?,
            hang_up: host.hang_up.ok_or(Status::Null)?,
            now_ms: host.now_ms.ok_or(Status::Null)?,
            now_s: host.now_s.ok_or(Status::Null)?,
            random: host.random.ok_or(Status::Null)?,
            keep: host.keep.ok_or(Status::Null)?,
            sign: host.sign,
            told: host.told,
        })
    }

    fn context(&self) -> *mut c_void {
        self.context.load(Ordering::Relaxed)
    }
}

impl Host for Callbacks {
    fn dial(&mut self, wanted: &Dial<'_>) -> Option<[u8; 32]> {
        let mut shown = [0; 32];
        let (address, certificates) = (wanted.address.as_bytes(), wanted.certificates);
        let opened = (self.dial)(
            self.context(),
            wanted.dial,
            address.as_ptr(),
            address.len(),
            wanted.over as i32,
            certificates.as_ptr(),
            certificates.len(),
            wanted.within_ms,
            shown.as_mut_ptr(),
        );
        (opened == 0).then_some(shown)
    }

    fn send(&mut self, dial: u64, bytes: &[u8]) -> bool {
        (self.send)(self.context(), dial, bytes.as_ptr(), bytes.len()) == 0
    }

    fn receive(&mut self, dial: u64, into: &mut [u8], within_ms: u32) -> Received {
        let came = (self.receive)(self.context(), dial, into.as_mut_ptr(), into.len(), within_ms);
        match usize::try_from(came) {
            Ok(0) => Received::Nothing,
            Ok(len) if len <= into.len() => Received::Bytes(len),
            _ => Received::Lost,
        }
    }

    fn hang_up(&mut self, dial: u64, well: bool) {
        (self.hang_up)(self.context(), dial, i32::from(well));
    }

    fn now_ms(&mut self) -> u64 {
        (self.now_ms)(self.context())
    }

    fn now_s(&mut self) -> u64 {
        (self.now_s)(self.context())
    }

    fn random(&mut self, into: &mut [u8; 32]) -> bool {
        (self.random)(self.context(), into.as_mut_ptr(), into.len()) == 0
    }

    fn keep(&mut self, memory: &[u8]) -> bool {
        (self.keep)(self.context(), memory.as_ptr(), memory.len()) == 0
    }

    fn sign(&mut self, words: &[u8]) -> Option<[u8; 64]> {
        let mut signature = [0; 64];
        let sign = self.sign?;
        (sign(self.context(), words.as_ptr(), words.len(), signature.as_mut_ptr()) == 0).then_some(signature)
    }

    fn told(&mut self, frame: &[u8]) {
        if let Some(told) = self.told {
            told(self.context(), frame.as_ptr(), frame.len());
        }
    }
}
