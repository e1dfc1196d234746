//! A connected client as its callers see it: questions from any thread, each answered or given up in time, and one thread that does the work.
//!
//! Decides: who waits for what and how long, and what callers are told when the thread is over or met a bug. Closing waits for the thread, so no callback runs after it.
//! Trusts: nothing. Out of scope: the work (`driver.rs`), handles (`table.rs`).

use super::core::{Core, Opening};
use super::driver::{Driver, brought};
use super::fault::Status;
use super::frame::{is_refusal, parts, with_fields};
use super::host::Host;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use zeroize::Zeroizing;

/// Orders that wait for a client's thread, at most.
const ORDERS: usize = 1_024;

/// What callers want of the thread.
pub(crate) enum Order {
    /// A question.
    Ask {
        /// Its number.
        ticket: u64,
        /// The operation, as the caller wrote it.
        op: Zeroizing<Vec<u8>>,
        /// What goes with it.
        payload: Zeroizing<Vec<u8>>,
        /// Who waits.
        reply: SyncSender<Reply>,
    },
    /// Nobody waits for it any more.
    Forget {
        /// Which.
        ticket: u64,
    },
    /// Look whether the client is closing.
    Close,
}

/// What a caller is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The answer; wiped where nobody waits for it any more.
    Answered(Zeroizing<Vec<u8>>),
    /// Why there is none.
    Refused(Vec<u8>),
    /// The client is over.
    Ended(Vec<u8>),
}

/// What callers and the thread share.
#[derive(Default)]
struct Shared {
    closing: AtomicBool,
    /// Why the client is over. A thread that ends without saying so met a bug.
    over: Mutex<Option<Vec<u8>>>,
}

/// A client with a thread of its own.
pub(crate) struct Client {
    orders: SyncSender<Order>,
    tickets: AtomicU64,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<bool>>>,
}

thread_local! {
    /// Whether this thread is one of ours: whatever is called on it is called from inside a callback.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the caller is inside a callback.
pub(crate) fn is_inside() -> bool {
    INSIDE.get()
}

/// What came of opening: a client and the frames of it, or why there is none.
pub(crate) type Connected = (Status, Vec<u8>, Option<Client>);

impl Client {
    /// Opens a client over `host` and gives it a thread. The frame is one of `open` without what the host brings.
    pub(crate) fn connect(opening: Opening, host: Box<dyn Host>, frame: &[u8]) -> Result<Connected, Status> {
        let shared = Arc::new(Shared::default());
        let (orders, inbox) = sync_channel(ORDERS);
        let (tell, told) = sync_channel(1);
        let (ours, asked) = (shared.clone(), Zeroizing::new(frame.to_vec()));
        let work = move || {
            INSIDE.set(true);
            catch_unwind(AssertUnwindSafe(|| live(opening, host, &asked, &tell, &inbox, &ours))).is_ok()
        };
        let thread = std::thread::Builder::new().name("ringwall".into()).spawn(work).map_err(|_| Status::Thread)?;
        let Ok((status, answer)) = told.recv() else {
            let worked = thread.join().unwrap_or_default();
            return Err(if worked { Status::Random } else { Status::Panicked });
        };
        if status != Status::Ok {
            let _ = thread.join();
            return Ok((status, answer, None));
        }
        let client = Client { orders, tickets: AtomicU64::new(1), shared, thread: Mutex::new(Some(thread)) };
        Ok((status, answer, Some(client)))
    }

    /// Asks, and waits at most so long.
    pub(crate) fn ask(&self, op: &[u8], payload: &[u8], within: Duration) -> Result<Reply, Status> {
        let ticket = self.tickets.fetch_add(1, Ordering::SeqCst);
        let (reply, answer) = sync_channel(1);
        let (op, payload) = (Zeroizing::new(op.to_vec()), Zeroizing::new(payload.to_vec()));
        match self.orders.try_send(Order::Ask { ticket, op, payload, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Status::Busy),
            Err(TrySendError::Disconnected(_)) => return self.told_over(Status::Poisoned),
        }
        match answer.recv_timeout(within) {
            Ok(reply) => Ok(reply),
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.orders.try_send(Order::Forget { ticket });
                Err(Status::Deadline)
            }
            Err(RecvTimeoutError::Disconnected) => self.told_over(Status::Panicked),
        }
    }

    fn told_over(&self, bug: Status) -> Result<Reply, Status> {
        let over = self.shared.over.lock().unwrap_or_else(PoisonError::into_inner).clone();
        over.map(Reply::Ended).ok_or(bug)
    }

    /// Ends the client and waits until its thread is over: no callback runs afterwards.
    pub(crate) fn close(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let _ = self.orders.try_send(Order::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}

/// A client's life: opened, told, driven.
fn live(
    opening: Opening,
    mut host: Box<dyn Host>,
    asked: &[u8],
    tell: &SyncSender<(Status, Vec<u8>)>,
    inbox: &Receiver<Order>,
    shared: &Shared,
) {
    let malformed = |words: &str| (Status::Refused, super::frame::refusal("RW-C-CALL-FRAME", words));
    let Some((head, payload)) = parts(asked) else {
        let _ = tell.try_send(malformed("the frame is cut off, or its lengths do not add up"));
        return;
    };
    let Some(brought) = brought(&mut *host) else { return };
    let Some(whole) = with_fields(head, &brought) else {
        let _ = tell.try_send(malformed("the head is no JSON object of at most 64 KiB"));
        return;
    };
    let (core, answer): (Box<dyn Core>, Vec<u8>) = opening(&super::frame::frame(&whole, payload));
    if is_refusal(&answer) {
        let _ = tell.try_send((Status::Refused, answer));
        return;
    }
    let answer = Zeroizing::new(answer);
    let _ = tell.try_send((Status::Ok, answer.to_vec()));
    let over = Driver::new(core, host, &answer).run(inbox, &|| shared.closing.load(Ordering::SeqCst));
    *shared.over.lock().unwrap_or_else(PoisonError::into_inner) = Some(over);
}

#[cfg(test)]
mod tests {
    use super::super::frame::frame;
    use super::super::scripted::{Events, Script, Scripted};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Duration = Duration::from_secs(20);

    fn connect(fails: Option<&'static str>) -> (Result<Connected, Status>, Events) {
        let host = Scripted { fails, ..Scripted::default() };
        let events = host.events.clone();
        let asked = frame(br#"{"device":{"seed":"00"}}"#, b"card");
        (Client::connect(Script::opening(events.clone()), Box::new(host), &asked), events)
    }

    fn connected(fails: Option<&'static str>) -> (Client, Events) {
        let (made, events) = connect(fails);
        let (status, _, client) = made.unwrap();
        assert_eq!(status, Status::Ok);
        (client.unwrap(), events)
    }

    fn op(name: &str) -> Vec<u8> {
        format!("{{\"is\":\"{name}\",\"key\":\"k\"}}").into_bytes()
    }

    fn answered(reply: &Result<Reply, Status>) -> bool {
        matches!(reply, Ok(Reply::Answered(_)))
    }

    fn wait_for(events: &Events, what: &str) {
        for _ in 0..2_000 {
            if events.all().iter().any(|event| event == what) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no {what} in {:?}", events.all());
    }

    #[test]
    fn effects_are_carried_out_in_order_and_told_afterwards() {
        let (client, events) = connected(None);
        assert!(answered(&client.ask(&op("put"), b"value", PATIENCE)) && answered(&client.ask(&op("status"), b"", PATIENCE)));
        let Ok(Reply::Answered(read)) = client.ask(&op("get"), b"", PATIENCE) else { panic!("no value") };
        assert!(read.ends_with(b"value"));
        for what in ["core tick", "core arrived", "host keep"] {
            wait_for(&events, what);
        }
        client.close();
        let all: Vec<String> =
            events.all().into_iter().filter(|event| !["core ask", "core tick", "core arrived"].contains(&&**event)).collect();
        let opening =
            ["host dial", "core reached", "host send", "host sign", "core written", "core signed", "host told believed", "host keep"];
        assert_eq!(all, [&opening[..], &["core close", "host hang_up well", "host told ended"]].concat());
        assert!(matches!(client.ask(&op("get"), b"", SECOND), Ok(Reply::Ended(_))), "closed");
    }

    #[test]
    fn what_is_refused_is_told_to_who_asked() {
        let (client, _) = connected(None);
        for (asked, words) in [("conflict", "RW-C-CONFLICT"), ("unknown", "no such operation")] {
            let Ok(Reply::Refused(why)) = client.ask(&op(asked), b"", PATIENCE) else { panic!("{asked}") };
            assert!(String::from_utf8_lossy(&why).contains(words));
        }
        for bad in [&b"{}},\"x\":{"[..], b"", b"{"] {
            assert!(matches!(client.ask(bad, b"", PATIENCE), Ok(Reply::Refused(_))), "{bad:?}");
        }
        assert!(answered(&client.ask(&op("put"), b"", PATIENCE)), "it goes on");
    }

    #[test]
    fn nobody_waits_longer_than_they_said() {
        let (client, events) = connected(None);
        assert_eq!(client.ask(&op("silence"), b"", Duration::from_millis(30)), Err(Status::Deadline));
        wait_for(&events, "core forget");
        assert!(answered(&client.ask(&op("put"), b"", PATIENCE)));
    }

    #[test]
    fn many_threads_ask_one_client() {
        let (client, _) = connected(None);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..50).for_each(|_| assert!(answered(&client.ask(&op("put"), b"v", PATIENCE)))));
            }
        });
    }

    #[test]
    fn a_bug_ends_one_client_and_says_so() {
        let (client, _) = connected(None);
        let (other, _) = connected(None);
        let waiting = std::thread::scope(|scope| {
            let waits = scope.spawn(|| client.ask(&op("silence"), b"", PATIENCE));
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(client.ask(&op("a bug"), b"", PATIENCE), Err(Status::Panicked));
            waits.join().unwrap()
        });
        assert_eq!(waiting, Err(Status::Panicked), "who waited is told, too");
        // Who asks while the thread still ends is told like those who waited.
        let mut after = (0..500).map(|_| client.ask(&op("put"), b"", PATIENCE));
        let ended = after.find(|told| {
            std::thread::sleep(Duration::from_millis(10));
            *told != Err(Status::Panicked)
        });
        assert_eq!(ended, Some(Err(Status::Poisoned)));
        assert!(answered(&other.ask(&op("put"), b"", PATIENCE)), "others go on");
        client.close();
        client.close();
    }

    #[test]
    fn a_memory_that_is_not_kept_ends_the_client() {
        let (client, events) = connected(Some("keep more"));
        let Ok(Reply::Ended(why)) = client.ask(&op("keep"), b"", PATIENCE) else { panic!("it went on") };
        assert!(String::from_utf8_lossy(&why).contains("RW-C-MEMORY-UNKEPT"), "what followed in the batch was not done");
        assert!(events.all().contains(&"core unkept".to_owned()));
        assert!(matches!(client.ask(&op("get"), b"", PATIENCE), Ok(Reply::Ended(_))));
    }

    #[test]
    fn a_host_that_fails_is_told_to_the_core() {
        for (fails, told) in [("dial", "core unreached"), ("send", "core lost"), ("receive", "core lost"), ("sign", "core unsigned")] {
            let (client, events) = connected(Some(fails));
            wait_for(&events, told);
            assert!(answered(&client.ask(&op("put"), b"", PATIENCE)), "the core decides what follows");
        }
        assert_eq!(connect(Some("random")).0.map(|(status, ..)| status), Err(Status::Random));
    }

    #[test]
    fn an_opening_that_is_refused_gives_no_client() {
        for head in ["{}", "{\"device\":{}}", "[]", "{", "{}}"] {
            let made = Client::connect(Script::opening(Events::default()), Box::new(Scripted::default()), &frame(head.as_bytes(), b""));
            let (status, why, client) = made.unwrap();
            assert!(status == Status::Refused && client.is_none() && !why.is_empty(), "{head}");
        }
        let cut = Client::connect(Script::opening(Events::default()), Box::new(Scripted::default()), &[9, 0, 0, 0]);
        assert_eq!(cut.map(|(status, ..)| status), Ok(Status::Refused));
    }
}
