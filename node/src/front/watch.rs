//! Watches: what changed in a namespace since a revision, in order.
//!
//! Decides: a watch goes from history to live changes without a gap, waits while its client reads slowly, and is refused once the history it
//! still needs is gone, or its namespace was erased: it holds that one's keys. Quiet watches cost nothing: one loop looks at each watched namespace for all
//! of its watches.
//! Trusts: the state's history. Out of scope: starting and stopping (`requests.rs`). Protocol section 3, step 7.

use crate::clock;
use crate::front::limits::{PAGE_BYTES, WATCH_PROGRESS, WATCHED_SPACES};
use crate::front::outbox::{Charge, Outbox, sum};
use crate::front::receipts::Touched;
use crate::front::refusals::{fenced, no_namespace, refusal, unreadable};
use crate::front::spaces::Space;
use ringwall_consensus::{ChangeEvent, Replica, View};
use ringwall_keys::OpenError;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::ids::{Revision, SpaceTag};
use ringwall_wire::limits::WATCH_EVENTS;
use ringwall_wire::request::{Answer, Event, Events, KeyName};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Least time between two looks at the watched namespaces.
const LOOK_GAP: Duration = Duration::from_millis(1);
/// Added to it for each watched namespace, so that looking stays a small part of the load.
const LOOK_GAP_EACH: Duration = Duration::from_micros(20);

/// What is known of one watched namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Looked {
    /// No change of the namespace after this ...
    touched: Revision,
    /// ... up to this.
    through: Revision,
}

type Feed = Arc<watch::Sender<Looked>>;

/// The watched namespaces.
pub(crate) struct Feeds {
    replica: Replica,
    feeds: Mutex<HashMap<SpaceTag, Feed>>,
}

/// One watch.
#[derive(Debug)]
pub(crate) struct Watching {
    /// Where its events go.
    pub(crate) outbox: Arc<Outbox>,
    /// Number of the request.
    pub(crate) number: u64,
    /// Namespace.
    pub(crate) space: Arc<Space>,
    /// Only keys that start so.
    pub(crate) prefix: KeyName,
    /// Everything up to here was told.
    pub(crate) told: Revision,
    /// What the request holds until its first answer.
    pub(crate) charge: Charge,
    /// What all of its answers are about.
    pub(crate) about: Option<Touched>,
}

impl Feeds {
    /// Nothing is watched yet.
    pub(crate) fn new(replica: Replica) -> Self {
        Feeds { replica, feeds: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SpaceTag, Feed>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn feed(&self, tag: SpaceTag) -> Result<Feed, Refusal> {
        let through = self.view()?.revision();
        let mut feeds = self.lock();
        if feeds.len() >= WATCHED_SPACES && !feeds.contains_key(&tag) {
            return Err(refusal(RefusalCode::Busy, "this member watches as many namespaces as it may; ask another one"));
        }
        Ok(feeds.entry(tag).or_insert_with(|| Arc::new(watch::Sender::new(Looked { touched: through, through }))).clone())
    }

    fn view(&self) -> Result<View, Refusal> {
        self.replica.view().map_err(|_| fenced())
    }

    /// Looks for changes of watched namespaces for ever; run it in one task.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut progress = self.replica.subscribe();
        while progress.changed().await.is_ok() {
            let watched = self.look();
            sleep(LOOK_GAP + LOOK_GAP_EACH.saturating_mul(u32::try_from(watched).unwrap_or(u32::MAX))).await;
        }
    }

    /// Looks once; the number of watched namespaces.
    fn look(&self) -> usize {
        let feeds: Vec<(SpaceTag, Feed)> = {
            let mut feeds = self.lock();
            // A feed that only this map holds has no watch any more.
            feeds.retain(|_, feed| Arc::strong_count(feed) > 1);
            feeds.iter().map(|(tag, feed)| (*tag, feed.clone())).collect()
        };
        let Ok(view) = self.view() else { return feeds.len() };
        let now = view.revision();
        for (tag, feed) in &feeds {
            let before = feed.borrow().through;
            // Gone history counts as a change: the watches find out what it means for them.
            let changed = view.changes(tag, before, 1).is_none_or(|(changes, _)| !changes.is_empty());
            feed.send_if_modified(|looked| {
                looked.through = looked.through.max(now);
                if changed {
                    looked.touched = looked.through;
                }
                changed
            });
        }
        feeds.len()
    }

    /// Serves one watch until its session is over or it is refused.
    pub(crate) async fn follow(self: Arc<Self>, mut watching: Watching) {
        if let Err(refusal) = self.try_follow(&mut watching).await {
            let charge = std::mem::take(&mut watching.charge);
            watching.outbox.answer(watching.number, Answer::Refused(refusal), charge);
        }
    }

    /// Whether the namespace is there: looked for when any was erased since the last look.
    fn is_there(&self, tag: &SpaceTag, erasures: &mut u64) -> Result<(), Refusal> {
        let view = self.view()?;
        if view.erasures() == std::mem::replace(erasures, view.erasures()) {
            return Ok(());
        }
        view.space(tag).map_err(|_| fenced())?.map(|_| ()).ok_or_else(no_namespace)
    }

    async fn try_follow(&self, watching: &mut Watching) -> Result<(), Refusal> {
        // Held for as long as the watch lives: a feed nobody holds is forgotten.
        let feed = self.feed(*watching.space.tag())?;
        let mut news = feed.subscribe();
        let mut shown = None;
        let mut shown_at = clock::now();
        let mut erasures = 0;
        loop {
            self.is_there(watching.space.tag(), &mut erasures)?;
            let looked = *news.borrow_and_update();
            if watching.told < looked.touched {
                let found = self.view()?.changes(watching.space.tag(), watching.told, WATCH_EVENTS);
                let (changes, through) = found.filter(|(_, through)| *through > watching.told).ok_or_else(compacted)?;
                if !watching.tell_changes(&changes, through).await? {
                    return Ok(());
                }
                if !changes.is_empty() {
                    (shown, shown_at) = (Some(watching.told), clock::now());
                }
                continue;
            }
            watching.told = watching.told.max(looked.through);
            let progress = shown.is_none_or(|shown| shown < watching.told && shown_at.elapsed() >= WATCH_PROGRESS);
            if progress {
                if !watching.tell(Events { events: List::default(), through: watching.told }, 0).await {
                    return Ok(());
                }
                (shown, shown_at) = (Some(watching.told), clock::now());
            }
            // Quiet revisions wake nobody; they are looked at again after a while.
            if let Ok(Err(_)) = timeout(WATCH_PROGRESS, news.changed()).await {
                return Ok(());
            }
            if watching.outbox.is_over() {
                return Ok(());
            }
        }
    }
}

impl Drop for Watching {
    /// A watch that is cancelled before its first answer gives back what its request held.
    fn drop(&mut self) {
        self.outbox.sent(std::mem::take(&mut self.charge));
    }
}

impl Watching {
    /// Tells changes in as many messages as they need; false when the session is over.
    async fn tell_changes(&mut self, changes: &[ChangeEvent], through: Revision) -> Result<bool, Refusal> {
        let mut rest = changes;
        while !rest.is_empty() {
            let packed = pack(&self.space, &self.prefix, rest, through).map_err(|_| unreadable())?;
            rest = rest.get(packed.taken..).unwrap_or_default();
            self.told = self.told.max(packed.events.through);
            if !packed.events.events.is_empty() && !self.tell(packed.events, packed.bytes).await {
                return Ok(false);
            }
        }
        self.told = self.told.max(through);
        Ok(true)
    }

    /// Waits until the session has room, then tells; false when the session is over.
    async fn tell(&mut self, events: Events, bytes: usize) -> bool {
        let extra = Charge { about: self.about, ..Charge::bytes(bytes) };
        if !self.outbox.admitted(extra).await {
            return false;
        }
        let charge = sum(extra, std::mem::take(&mut self.charge));
        self.outbox.answer(self.number, Answer::Events(events), charge);
        true
    }
}

/// One message of events.
#[derive(Debug)]
struct Packed {
    events: Events,
    bytes: usize,
    /// Changes it covers, those with another prefix included.
    taken: usize,
}

/// Packs as many changes into one message as fit, whole revisions: a client is told all of a write at once. Only a revision that alone is
/// above the limits is cut, which the limits of writes and expiries rule out. `through`: how far all of `changes` are complete.
fn pack(space: &Space, prefix: &[u8], changes: &[ChangeEvent], through: Revision) -> Result<Packed, OpenError> {
    let mut packed = Packed { events: Events { events: List::default(), through }, bytes: 0, taken: 0 };
    'revisions: for revision in changes.chunk_by(|left, right| left.revision == right.revision) {
        let opened = revision.iter().map(|change| open(space, prefix, change)).collect::<Result<Vec<_>, _>>()?;
        let bytes: usize = opened.iter().flatten().map(size).sum();
        let count = opened.iter().flatten().count();
        let told = packed.events.events.len();
        if told > 0 && (told.saturating_add(count) > WATCH_EVENTS || packed.bytes.saturating_add(bytes) > PAGE_BYTES) {
            break;
        }
        for event in opened {
            if event.is_some_and(|event| packed.events.events.push(event).is_err()) {
                break 'revisions;
            }
            packed.taken = packed.taken.saturating_add(1);
        }
        packed.bytes = packed.bytes.saturating_add(bytes);
    }
    if let Some(next) = changes.get(packed.taken) {
        packed.events.through = Revision(next.revision.0.saturating_sub(1));
    }
    Ok(packed)
}

/// Bytes of an event in a message, about.
fn size(event: &Event) -> usize {
    event.value.as_ref().map_or(0, |value| value.len()).saturating_add(event.key.len()).saturating_add(32)
}

/// The event of a change; none when its key has another prefix.
fn open(space: &Space, prefix: &[u8], change: &ChangeEvent) -> Result<Option<Event>, OpenError> {
    let name = space.keys().open_name(&change.key, &change.record)?;
    if !name.starts_with(prefix) {
        return Ok(None);
    }
    let value = match change.removed {
        true => None,
        false => Some(space.keys().open(&change.key, &change.record)?.1),
    };
    let key = Blob::new(name).map_err(|_| OpenError::BadPadding)?;
    let value = value.map(Blob::new).transpose().map_err(|_| OpenError::BadPadding)?;
    Ok(Some(Event { key, revision: change.revision, value }))
}

fn compacted() -> Refusal {
    refusal(
        RefusalCode::Compacted,
        "changes this watch needs are no longer kept; list the namespace and watch from the revision of the list",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::front::testing::{record, space};

    fn change(space: &Space, revision: u64, name: &str, value: Option<&[u8]>) -> ChangeEvent {
        let (key, mut record) = record(space, name.as_bytes(), value.unwrap_or_default(), revision);
        if value.is_none() {
            record.value = Blob::default();
        }
        ChangeEvent { revision: Revision(revision), space: *space.tag(), key, record: Arc::new(record), removed: value.is_none() }
    }

    /// All messages for `changes`, as (through, names).
    fn told(space: &Space, prefix: &str, changes: &[ChangeEvent], through: u64) -> Vec<(u64, Vec<String>)> {
        let mut rest = changes;
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let packed = pack(space, prefix.as_bytes(), rest, Revision(through)).unwrap();
            assert!(packed.taken > 0, "no progress");
            rest = &rest[packed.taken..];
            let names = packed.events.events.iter().map(|event| String::from_utf8(event.key.to_vec()).unwrap()).collect();
            messages.push((packed.events.through.0, names));
        }
        messages
    }

    #[test]
    fn changes_come_in_order_with_their_prefix_and_removals_keep_their_name() {
        let space = space();
        let changes = [
            change(&space, 3, "a/1", Some(b"x")),
            change(&space, 4, "b/1", Some(b"x")),
            change(&space, 4, "a/2", Some(b"y")),
            change(&space, 9, "a/1", None),
        ];
        assert_eq!(told(&space, "a/", &changes, 12), [(12, vec!["a/1".into(), "a/2".into(), "a/1".into()])]);
        let packed = pack(&space, b"a/", &changes, Revision(12)).unwrap();
        let values: Vec<_> = packed.events.events.iter().map(|event| event.value.as_ref().map(|value| value.to_vec())).collect();
        assert_eq!(values, [Some(b"x".to_vec()), Some(b"y".to_vec()), None]);
    }

    #[test]
    fn messages_are_bounded_and_never_cut_a_write() {
        let space = space();
        // Four changes fit a message; a write has three.
        let value = vec![1; PAGE_BYTES / 5];
        let changes: Vec<ChangeEvent> =
            (0..9).map(|at| change(&space, 10 + at / 3, &format!("{}/{}", at / 3, at % 3), Some(&value))).collect();
        let messages = told(&space, "", &changes, 20);
        let names = |revision: u64| (0..3).map(|at| format!("{revision}/{at}")).collect::<Vec<_>>();
        assert_eq!(messages, [(10, names(0)), (11, names(1)), (20, names(2))]);
        let many: Vec<ChangeEvent> = (0..WATCH_EVENTS as u64 + 10).map(|at| change(&space, at + 1, "k", Some(b"v"))).collect();
        let sizes: Vec<usize> = told(&space, "", &many, 999).iter().map(|(_, names)| names.len()).collect();
        assert_eq!(sizes, [WATCH_EVENTS, 10]);
    }
}
