//! What happened in a world: a hash of every event, and the events themselves when somebody wants to read them.
//!
//! Decides: two runs are the same run when their hashes are equal: every frame with its bytes, every step of every life, every fault,
//! every answer to a client and every state digest is an event, with its moment in simulated milliseconds.
//! Trusts: nothing. Out of scope: what counts as an error (`judge`).

use std::fmt::Arguments;
use std::sync::Mutex;
use tokio::time::Instant;

/// Events of one world.
pub struct Trace {
    start: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    hash: u64,
    events: u64,
    lines: Option<Vec<String>>,
    print: bool,
}

impl Trace {
    /// Starts now. `kept`: keep the lines; `print`: print each line as it happens.
    pub fn new(kept: bool, print: bool) -> Self {
        let inner = Inner { hash: 0xcbf2_9ce4_8422_2325, events: 0, lines: kept.then(Vec::new), print };
        Trace { start: Instant::now(), inner: Mutex::new(inner) }
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Notes an event for people and for the hash.
    #[allow(clippy::print_stdout)] // what --trace is for
    pub fn note(&self, what: Arguments<'_>) {
        let now = self.now_ms();
        let text = what.to_string();
        let mut inner = self.inner.lock().expect("nobody panics with the lock held");
        inner.mix(now);
        inner.mix_bytes(text.as_bytes());
        if inner.print {
            println!("{now:>8} ms  {text}");
        }
        if let Some(lines) = &mut inner.lines {
            lines.push(format!("{now:>8} ms  {text}"));
        }
    }

    /// Notes a frame for the hash alone; told when `RINGWALL_FRAMES` is set, to find where two runs part.
    #[allow(clippy::print_stdout)] // what --trace is for
    pub fn frame(&self, pipe: u64, way: usize, stream: u32, bytes: &[u8]) {
        let now = self.now_ms();
        let mut inner = self.inner.lock().expect("nobody panics with the lock held");
        for word in [now, pipe, way as u64, u64::from(stream)] {
            inner.mix(word);
        }
        inner.mix_bytes(bytes);
        if inner.print && std::env::var_os("RINGWALL_FRAMES").is_some() {
            println!("{now:>8} ms  frame {pipe}.{way}.{stream} {} bytes, hash now {:016x}", bytes.len(), inner.hash);
        }
    }

    /// The hash so far, and how many events went into it.
    pub fn hash(&self) -> (u64, u64) {
        let inner = self.inner.lock().expect("nobody panics with the lock held");
        (inner.hash, inner.events)
    }

    /// The lines that were kept.
    pub fn lines(&self) -> Vec<String> {
        self.inner.lock().expect("nobody panics with the lock held").lines.clone().unwrap_or_default()
    }
}

impl Inner {
    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    fn mix_bytes(&mut self, bytes: &[u8]) {
        self.events += 1;
        self.mix(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.mix(u64::from_le_bytes(word));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_hash_depends_on_what_happened_when_and_in_which_order() {
        let hash = |events: &[&str]| {
            let trace = Trace::new(true, false);
            events.iter().for_each(|event| trace.note(format_args!("{event}")));
            (trace.hash().0, trace.lines().len())
        };
        assert_eq!(hash(&["a", "b"]), hash(&["a", "b"]));
        assert_ne!(hash(&["a", "b"]), hash(&["b", "a"]));
        assert_ne!(hash(&["a"]), hash(&["a", "a"]));
        let (first, second) = (Trace::new(false, false), Trace::new(false, false));
        first.frame(1, 0, 1, b"abc");
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
        second.frame(1, 0, 1, b"abc");
        assert_ne!(first.hash(), second.hash(), "one millisecond later");
    }
}
