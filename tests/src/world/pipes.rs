//! The network of a world: pipes that carry frames in order between machines, in simulated milliseconds.
//!
//! Decides: when a frame arrives, and what a hostile network does to it. A pipe stands where a QUIC connection stands in `node`: ordered
//! frames of numbered streams, a binding both ends know, an end that closes, and an idle limit. QUIC repairs what datagrams lose, so
//! loss shows as delay; what is dropped, doubled, swapped or damaged here is the work of a host inside the pipe, which is trusted for
//! nothing. Trusts: nothing. Out of scope: sessions over pipes (`sessions`). Register R9, R10.

use crate::world::dice::Dice;
use crate::world::kinds::{Counts, Kind};
use crate::world::trace::Trace;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// A machine, or a client's device.
pub type Place = u8;

/// Milliseconds after which a pipe nothing passes through is given up, as `quic::PEER_IDLE`.
pub const IDLE_MS: u64 = 4_000;
/// Frames of a dialler kept for a replay.
const RECORDED_FRAMES: usize = 16;
/// Sessions kept for a replay.
const RECORDED: usize = 6;

/// What is behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// Members and joiners.
    Peers,
    /// Clients.
    Clients,
}

/// One frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Stream within the pipe.
    pub stream: u32,
    /// Bytes.
    pub bytes: Vec<u8>,
}

/// What a hostile or poor network does, each of a thousand frames.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// Least and most milliseconds a frame takes.
    pub latency_ms: (u64, u64),
    /// Frames taken out.
    pub drop: u64,
    /// Frames that come twice.
    pub duplicate: u64,
    /// Frames that change places with the next.
    pub reorder: u64,
    /// Frames with a wrong byte.
    pub corrupt: u64,
    /// Frames that come late.
    pub delay: u64,
}

/// One end of a pipe.
pub struct Pipe {
    /// Sends.
    pub out: PipeOut,
    frames: mpsc::UnboundedReceiver<Frame>,
    /// What both ends know of the pipe, as the TLS exporter value.
    pub binding: [u8; 32],
    /// The door that was dialled.
    pub door: Door,
    /// Who dialled.
    pub from: Place,
}

/// The sending half of one end.
#[derive(Clone)]
pub struct PipeOut {
    wires: Arc<Wires>,
    number: u64,
    way: usize,
}

/// A recorded session: the door, who dialled whom, and the dialler's first frames.
pub type Recording = (Door, (Place, Place), Vec<Frame>);

struct Line {
    ends: (Place, Place),
    owners: (u64, u64),
    door: Door,
    inboxes: [Option<mpsc::UnboundedSender<Frame>>; 2],
    last_ms: [u64; 2],
    swapped: [Option<Frame>; 2],
    /// When frames began to wait, by way.
    stuck_since: [Option<u64>; 2],
    record: Vec<Frame>,
}

#[derive(Default)]
struct Inner {
    lines: BTreeMap<u64, Line>,
    due: BTreeMap<(u64, u64), (u64, usize, Option<Frame>)>,
    held: VecDeque<(u64, usize, Option<Frame>)>,
    listeners: BTreeMap<(Place, Door), (u64, mpsc::UnboundedSender<Pipe>)>,
    names: BTreeMap<String, Place>,
    diverted: BTreeMap<(Place, String), Place>,
    cuts: BTreeSet<(Place, Place)>,
    slow: BTreeMap<(Place, Place), u64>,
    withheld: BTreeMap<(Place, Place), BTreeSet<u32>>,
    weather: Weather,
    recordings: VecDeque<Recording>,
    opened: u64,
    queued: u64,
    /// Frames and bytes that were sent.
    sent: BTreeMap<Way, (u64, u64)>,
}

/// The door that was dialled, the stream, and whether whoever dialled it sent.
pub type Way = (Door, u32, bool);

/// All pipes of a world.
pub struct Wires {
    inner: Mutex<Inner>,
    wake: Notify,
    dice: Dice,
    trace: Arc<Trace>,
    counts: Arc<Counts>,
}

impl Wires {
    /// No machine, no pipe, good weather.
    pub fn new(dice: Dice, trace: Arc<Trace>, counts: Arc<Counts>) -> Arc<Self> {
        let inner = Inner { weather: Weather { latency_ms: (1, 3), ..Weather::default() }, ..Inner::default() };
        Arc::new(Wires { inner: Mutex::new(inner), wake: Notify::new(), dice, trace, counts })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// `process` listens at `place` from now on; who listened before it hears nothing more.
    pub fn listen(&self, place: Place, door: Door, process: u64) -> mpsc::UnboundedReceiver<Pipe> {
        let (send, recv) = mpsc::unbounded_channel();
        self.lock().listeners.insert((place, door), (process, send));
        recv
    }

    /// `process` is gone: it listens no more, and every pipe of it is dead.
    pub fn unplug(&self, process: u64) {
        let mut inner = self.lock();
        inner.listeners.retain(|_, (owner, _)| *owner != process);
        let own = |line: &Line| line.owners.0 == process || line.owners.1 == process;
        let dead: Vec<u64> = inner.lines.iter().filter(|(_, line)| own(line)).map(|(at, _)| *at).collect();
        for number in dead {
            if let Some(line) = inner.lines.get_mut(&number) {
                let own = usize::from(line.owners.0 != process);
                // The dead end hears nothing; the other end finds out by itself.
                line.inboxes[own] = None;
            }
            let at = (self.trace.now_ms() + IDLE_MS, inner.next());
            inner.due.insert(at, (number, 2, None));
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Where a name leads.
    pub fn name(&self, name: &str, place: Place) {
        self.lock().names.insert(name.to_owned(), place);
    }

    /// The place a name leads to.
    pub fn look_up(&self, name: &str) -> Option<Place> {
        self.lock().names.get(name).copied()
    }

    /// A name leads somewhere else for whoever asks from `from`.
    pub fn divert(&self, from: Place, name: &str, to: Place) {
        self.lock().diverted.insert((from, name.to_owned()), to);
    }

    /// Sets the weather.
    pub fn weather(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    /// Nothing passes from the first to the second.
    pub fn cut(&self, from: Place, to: Place) {
        self.lock().cuts.insert((from, to));
    }

    /// Everything passes again from the first to the second, what waited first.
    pub fn mend(&self, from: Place, to: Place) {
        self.lock().cuts.remove(&(from, to));
        self.release();
    }

    /// Adds milliseconds to the way from the first to the second; 0 = none.
    pub fn slow(&self, from: Place, to: Place, by_ms: u64) {
        self.lock().slow.insert((from, to), by_ms);
    }

    /// The host lets no frame of these streams pass from the first to the second.
    pub fn withhold(&self, from: Place, to: Place, streams: &[u32]) {
        self.lock().withheld.insert((from, to), streams.iter().copied().collect());
    }

    /// Good weather, no cuts, nothing withheld.
    pub fn heal(&self) {
        let mut inner = self.lock();
        inner.weather = Weather { latency_ms: (1, 3), ..Weather::default() };
        inner.cuts.clear();
        inner.slow.clear();
        inner.withheld.clear();
        inner.diverted.clear();
        drop(inner);
        self.release();
    }

    fn release(&self) {
        let mut inner = self.lock();
        let held = std::mem::take(&mut inner.held);
        for (number, way, frame) in held {
            inner.post(number, way, frame, self.trace.now_ms() + 1, &self.trace);
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Frames and bytes that were sent so far, whatever became of them.
    pub fn sent(&self) -> BTreeMap<Way, (u64, u64)> {
        self.lock().sent.clone()
    }

    /// Recorded sessions.
    pub fn recordings(&self) -> Vec<Recording> {
        self.lock().recordings.iter().cloned().collect()
    }

    /// Dials whoever listens where `name` leads. None: nobody answers.
    pub async fn dial(self: &Arc<Self>, from: Place, process: u64, name: &str, door: Door) -> Option<Pipe> {
        let diverted = self.lock().diverted.get(&(from, name.to_owned())).copied();
        let to = diverted.or_else(|| self.look_up(name))?;
        self.dial_place((from, process), to, door).await
    }

    /// Dials a place.
    pub async fn dial_place(self: &Arc<Self>, (from, process): (Place, u64), to: Place, door: Door) -> Option<Pipe> {
        let round = {
            let inner = self.lock();
            let blocked = inner.cuts.contains(&(from, to)) || inner.cuts.contains(&(to, from));
            if blocked { None } else { Some(2 * inner.latency(&self.dice, from, to)) }
        };
        tokio::time::sleep(Duration::from_millis(round.unwrap_or(1_000))).await;
        round?;
        let mut inner = self.lock();
        let (owner, listener) = inner.listeners.get(&(to, door)).cloned()?;
        inner.opened += 1;
        let number = inner.opened;
        let mut binding = [0; 32];
        self.dice.fill(&mut binding);
        let ((to_dialler, at_dialler), (to_answerer, at_answerer)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let line = Line {
            ends: (from, to),
            owners: (process, owner),
            door,
            inboxes: [Some(to_dialler), Some(to_answerer)],
            last_ms: [0; 2],
            swapped: [None, None],
            stuck_since: [None; 2],
            record: Vec::new(),
        };
        inner.lines.insert(number, line);
        drop(inner);
        let end = |way, frames| Pipe { out: PipeOut { wires: Arc::clone(self), number, way }, frames, binding, door, from };
        let (dialler, answerer) = (end(1, at_dialler), end(0, at_answerer));
        listener.send(answerer).ok().map(|()| dialler)
    }

    fn send(&self, number: u64, way: usize, frame: Frame) {
        let mut inner = self.lock();
        let Some(line) = inner.lines.get_mut(&number) else { return };
        let (from, to) = if way == 1 { line.ends } else { (line.ends.1, line.ends.0) };
        if way == 1 && line.record.len() < RECORDED_FRAMES {
            line.record.push(frame.clone());
        }
        self.trace.frame(number, way, frame.stream, &frame.bytes);
        let door = line.door;
        let (frames, bytes) = inner.sent.entry((door, frame.stream, way == 1)).or_default();
        (*frames, *bytes) = (*frames + 1, *bytes + frame.bytes.len() as u64);
        if inner.withheld.get(&(from, to)).is_some_and(|streams| streams.contains(&frame.stream)) {
            self.counts.fired(Kind::Withholding);
            return;
        }
        let mut at = self.trace.now_ms() + inner.latency(&self.dice, from, to);
        let weather = inner.weather.clone();
        if self.dice.chance(weather.delay) {
            self.counts.fired(Kind::Delay);
            at += self.dice.between(20, 400);
        }
        let frames = self.spoiled(&mut inner, number, way, frame, &weather);
        for frame in frames {
            inner.post(number, way, Some(frame), at, &self.trace);
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// What becomes of a frame in this weather.
    fn spoiled(&self, inner: &mut Inner, number: u64, way: usize, mut frame: Frame, weather: &Weather) -> Vec<Frame> {
        let Some(line) = inner.lines.get_mut(&number) else { return Vec::new() };
        if let Some(earlier) = line.swapped[way].take() {
            self.counts.fired(Kind::Reorder);
            return vec![frame, earlier];
        }
        if self.dice.chance(weather.drop) {
            self.counts.fired(Kind::Drop);
            return Vec::new();
        }
        if self.dice.chance(weather.reorder) {
            line.swapped[way] = Some(frame);
            return Vec::new();
        }
        if self.dice.chance(weather.duplicate) {
            self.counts.fired(Kind::Duplicate);
            return vec![frame.clone(), frame];
        }
        if !frame.bytes.is_empty() && self.dice.chance(weather.corrupt) {
            self.counts.fired(Kind::CorruptFrame);
            let at = self.dice.below(frame.bytes.len() as u64) as usize;
            frame.bytes[at] ^= 1 << self.dice.below(8);
        }
        vec![frame]
    }

    fn close(&self, number: u64, way: usize) {
        let mut inner = self.lock();
        let now = self.trace.now_ms();
        let Some(line) = inner.lines.get(&number) else { return };
        let (from, to) = if way == 1 { line.ends } else { (line.ends.1, line.ends.0) };
        let at = now + inner.latency(&self.dice, from, to);
        inner.post(number, way, None, at, &self.trace);
        drop(inner);
        self.wake.notify_one();
    }

    /// Delivers what is due, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let next = self.lock().due.first_key_value().map(|((at, _), _)| *at);
            let now = self.trace.now_ms();
            match next {
                Some(at) if at <= now => self.deliver(now),
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = self.wake.notified() => {}
                        () = tokio::time::sleep(Duration::from_millis(at - now)) => {}
                    }
                }
                None => self.wake.notified().await,
            }
        }
    }

    fn deliver(&self, now: u64) {
        let mut inner = self.lock();
        while let Some(entry) = inner.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let (number, way, frame) = entry.remove();
            let Some(line) = inner.lines.get(&number) else { continue };
            if way == 2 {
                inner.end(number);
                continue;
            }
            let (from, to) = if way == 1 { line.ends } else { (line.ends.1, line.ends.0) };
            if inner.cuts.contains(&(from, to)) {
                let stuck = inner.lines.get_mut(&number).map(|line| *line.stuck_since[way].get_or_insert(now));
                if stuck.is_some_and(|since| now - since >= IDLE_MS) {
                    inner.end(number);
                } else {
                    inner.held.push_back((number, way, frame));
                }
                continue;
            }
            if let Some(line) = inner.lines.get_mut(&number) {
                line.stuck_since[way] = None;
            }
            match frame {
                Some(frame) => {
                    let inbox = inner.lines.get(&number).and_then(|line| line.inboxes[way].clone());
                    // An end that is gone has dropped its half.
                    let _ = inbox.map(|inbox| inbox.send(frame));
                }
                None => inner.end(number),
            }
        }
    }

    /// Forgets everything, so that nothing keeps anything alive.
    pub fn clear(&self) {
        *self.lock() = Inner::default();
    }
}

impl Inner {
    fn next(&mut self) -> u64 {
        self.queued += 1;
        self.queued
    }

    fn latency(&self, dice: &Dice, from: Place, to: Place) -> u64 {
        let (least, most) = self.weather.latency_ms;
        dice.between(least, most) + self.slow.get(&(from, to)).copied().unwrap_or(0)
    }

    fn post(&mut self, number: u64, way: usize, frame: Option<Frame>, at: u64, _: &Trace) {
        let order = self.next();
        let Some(line) = self.lines.get_mut(&number) else { return };
        let at = at.max(line.last_ms[way]);
        line.last_ms[way] = at;
        self.due.insert((at, order), (number, way, frame));
    }

    fn end(&mut self, number: u64) {
        let Some(line) = self.lines.remove(&number) else { return };
        self.held.retain(|(held, _, _)| *held != number);
        if line.record.len() > 2 {
            self.recordings.push_back((line.door, line.ends, line.record));
            while self.recordings.len() > RECORDED {
                self.recordings.pop_front();
            }
        }
    }
}

impl Pipe {
    /// The next frame; none when the pipe has ended.
    pub async fn recv(&mut self) -> Option<Frame> {
        self.frames.recv().await
    }

    /// The next frame of stream 0 within `ms`.
    pub async fn read(&mut self, ms: u64) -> Option<Vec<u8>> {
        let frame = tokio::time::timeout(Duration::from_millis(ms), self.recv()).await.ok()??;
        (frame.stream == 0).then_some(frame.bytes)
    }

    /// Sends on stream 0.
    pub fn write(&self, bytes: Vec<u8>) {
        self.out.send(0, bytes);
    }
}

impl PipeOut {
    /// Sends a frame.
    pub fn send(&self, stream: u32, bytes: Vec<u8>) {
        self.wires.send(self.number, self.way, Frame { stream, bytes });
    }

    /// Ends the pipe.
    pub fn close(&self) {
        self.wires.close(self.number, self.way);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.out.close();
    }
}
