//! The watches of one client: what each was told last, and how it goes on after a change of node or a slow reader.
//!
//! Decides: a watch is asked again from the last revision its reader was told, so that nothing is missed and nothing is told twice; a
//! reader who falls behind is not buffered without limit: the watch is cancelled at the node and asked again once there is room.
//! Trusts: nothing; events out of order end the watch. Out of scope: I/O. Protocol section 3, step 7.

use crate::asked::{Handed, Reader};
use crate::error::{ConnectError, WatchError, code_name};
use ringwall_wire::codec::Message;
use ringwall_wire::ids::Revision;
use ringwall_wire::limits::SESSION_WATCHES;
use ringwall_wire::request::{Answer, Events, KeyName, Namespace, Op, Request, Watch};
use ringwall_wire::session::{Refusal, RefusalCode};

#[derive(Debug)]
struct Followed<R> {
    namespace: Namespace,
    prefix: KeyName,
    after: Revision,
    /// Number of the question on the present session; none while it has to be asked (again).
    number: Option<u64>,
    reader: R,
    paused: bool,
}

/// What a reply to a watch means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The reader was told everything up to here.
    Through(Revision),
    /// Nothing to note.
    Nothing,
    /// The node cannot serve now.
    Leave(String),
}

/// All watches of one client.
#[derive(Debug)]
pub(crate) struct Watches<R> {
    followed: Vec<Followed<R>>,
    cancels: Vec<u64>,
}

impl<R: Reader> Watches<R> {
    pub(crate) fn new() -> Self {
        Watches { followed: Vec::new(), cancels: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.followed.is_empty()
    }

    /// Whether `number` is the question of a watch.
    pub(crate) fn owns(&self, number: u64) -> bool {
        self.followed.iter().any(|followed| followed.number == Some(number))
    }

    /// Takes a new watch, or says that there are too many.
    pub(crate) fn add(&mut self, namespace: Namespace, prefix: KeyName, after: Revision, reader: R) -> Result<(), WatchError> {
        self.tidy();
        if self.followed.len() >= SESSION_WATCHES {
            return Err(WatchError::TooMany { most: SESSION_WATCHES });
        }
        self.followed.push(Followed { namespace, prefix, after, number: None, reader, paused: false });
        Ok(())
    }

    /// Forgets watches nobody reads and wakes those whose reader caught up.
    pub(crate) fn tidy(&mut self) {
        let cancels = &mut self.cancels;
        self.followed.retain(|followed| {
            let read = !followed.reader.is_gone();
            if !read {
                cancels.extend(followed.number);
            }
            read
        });
        for followed in &mut self.followed {
            if followed.paused && followed.reader.has_room() {
                followed.paused = false;
            }
        }
    }

    /// Appends the questions and cancellations that are due.
    pub(crate) fn send(&mut self, next_number: &mut u64, out: &mut Vec<Vec<u8>>) {
        let mut ask = |op: Op| {
            let number = *next_number;
            *next_number = next_number.saturating_add(1);
            out.push(Request { number, op }.encode());
            number
        };
        for number in self.cancels.drain(..) {
            ask(Op::CancelWatch(number));
        }
        for followed in &mut self.followed {
            if followed.number.is_none() && !followed.paused {
                let watch = Watch { namespace: followed.namespace.clone(), prefix: followed.prefix.clone(), after: followed.after };
                followed.number = Some(ask(Op::Watch(watch)));
            }
        }
    }

    /// The session is gone: every watch has to be asked again.
    pub(crate) fn lost(&mut self) {
        self.cancels.clear();
        for followed in &mut self.followed {
            followed.number = None;
        }
    }

    /// Takes a reply to the watch that [`Watches::owns`] `number`.
    pub(crate) fn reply(&mut self, number: u64, body: Answer) -> Told {
        let Some(at) = self.followed.iter().position(|followed| followed.number == Some(number)) else { return Told::Nothing };
        match body {
            Answer::Events(events) => self.events(at, events),
            Answer::Refused(refusal) => self.refused(at, refusal),
            _ => self.end(at, WatchError::Nonsense("a watch was answered with something else than events".into())),
        }
    }

    fn events(&mut self, at: usize, events: Events) -> Told {
        let Some(followed) = self.followed.get_mut(at) else { return Told::Nothing };
        let after = followed.after;
        let mut last = after;
        for event in events.events.iter() {
            // Several keys of one batch share a revision.
            if event.revision <= after || event.revision < last || event.revision > events.through {
                return self.end(at, WatchError::Nonsense(format!("revision {} came after {last}", event.revision)));
            }
            last = event.revision;
        }
        if events.through < after {
            return self.end(at, WatchError::Nonsense(format!("told through {} after {after}", events.through)));
        }
        let through = events.through;
        match followed.reader.tell(events) {
            Handed::Taken => {
                followed.after = through;
                Told::Through(through)
            }
            Handed::Full => {
                // Not told, so `after` stays; later events of this question are not looked at.
                self.cancels.extend(followed.number.take());
                followed.paused = true;
                Told::Nothing
            }
            Handed::Gone => {
                self.tidy();
                Told::Nothing
            }
        }
    }

    fn refused(&mut self, at: usize, refusal: Refusal) -> Told {
        let Some(followed) = self.followed.get_mut(at) else { return Told::Nothing };
        let detail = refusal.detail.to_string();
        match refusal.code {
            RefusalCode::Unavailable | RefusalCode::NotMember | RefusalCode::ShuttingDown | RefusalCode::Fenced | RefusalCode::Busy => {
                followed.number = None;
                Told::Leave(format!("{}: {detail}", code_name(refusal.code)))
            }
            RefusalCode::Compacted => {
                let after = followed.after;
                self.end(at, WatchError::Compacted { after, detail })
            }
            RefusalCode::NoNamespace => self.end(at, WatchError::NoNamespace { detail }),
            _ => self.end(at, WatchError::Refused(refusal)),
        }
    }

    /// Ends one watch with its last word. A reader whose buffer is full gets it when there is room.
    fn end(&mut self, at: usize, fault: WatchError) -> Told {
        let followed = self.followed.swap_remove(at);
        self.cancels.extend(followed.number);
        followed.reader.last_word(fault);
        Told::Nothing
    }

    /// Ends all watches: no session will come.
    pub(crate) fn fail(&mut self, trouble: &ConnectError) {
        for followed in std::mem::take(&mut self.followed) {
            followed.reader.last_word(WatchError::Session(trouble.clone()));
        }
        self.cancels.clear();
    }
}
