//! What a connected client needs of the program it lives in: ways to nodes, time, randomness, a place for its memory.
//!
//! Decides: the shape of it, for `driver.rs`. exports.rs makes one of a caller's function pointers, tests make scripted ones.
//! Trusts: the host for time and randomness, and for nothing a node could profit from. Out of scope: what is done with it (`driver.rs`). docs/core.md, "Effects".

/// A way that is wanted.
#[derive(Debug)]
pub(crate) struct Dial<'a> {
    /// The core's number for it.
    pub(crate) dial: u64,
    /// Host and port.
    pub(crate) address: &'a str,
    /// Which kind of way.
    pub(crate) over: Over,
    /// Hashes of the certificates its door may show; one after the other, 32 bytes each.
    pub(crate) certificates: &'a [u8],
    /// How long the host may take.
    pub(crate) within_ms: u32,
}

/// Kinds of ways.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// QUIC as the native client speaks it; what was shown is the exporter value of its TLS.
    Native = 1,
    /// WebTransport; what was shown is the hash of the certificate.
    WebTransport = 2,
    /// WebSocket; nothing is shown.
    WebSocket = 3,
}

impl Over {
    /// As the core spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Over::Native => "native",
            Over::WebTransport => "webtransport",
            Over::WebSocket => "websocket",
        }
    }

    /// What the core spelled.
    pub(crate) fn of(name: &str) -> Option<Over> {
        [Over::Native, Over::WebTransport, Over::WebSocket].into_iter().find(|over| over.name() == name)
    }
}

/// What came of waiting for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// None yet.
    Nothing,
    /// There will be no more.
    Lost,
}

/// The program a client lives in. All of it is called on one thread.
pub(crate) trait Host: Send {
    /// Opens a way; what was shown, where it could be.
    fn dial(&mut self, wanted: &Dial<'_>) -> Option<[u8; 32]>;
    /// Sends all of it, or says that the way is lost.
    fn send(&mut self, dial: u64, bytes: &[u8]) -> bool;
    /// Waits at most so long for bytes.
    fn receive(&mut self, dial: u64, into: &mut [u8], within_ms: u32) -> Received;
    /// Ends a way; `well`: after what was given to `send`.
    fn hang_up(&mut self, dial: u64, well: bool);
    /// Milliseconds of a clock that only goes forward.
    fn now_ms(&mut self) -> u64;
    /// Unix seconds.
    fn now_s(&mut self) -> u64;
    /// Fills it from the platform's generator.
    fn random(&mut self, into: &mut [u8; 32]) -> bool;
    /// Replaces the kept memory, on stable storage.
    fn keep(&mut self, memory: &[u8]) -> bool;
    /// Signs with the device's key, where it lives outside the core.
    fn sign(&mut self, words: &[u8]) -> Option<[u8; 64]>;
    /// Shows a frame: who was believed, who was not, and why the client ended.
    fn told(&mut self, frame: &[u8]);
}
