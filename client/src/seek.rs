//! Which node is next: the address book, bans and backoff, and the search for a usable node.
//!
//! Decides: a node whose evidence, cluster or history was refused is not used again (the dialler knows it by its key), and its address is
//! left alone for a while, so that a successor at the same place is found later; every other failure is tried again, round by round with
//! growing, jittered pauses, until the deadline. A silent address holds nobody up: the next one is tried beside it, and the first node
//! that passes is used. Addresses come from the options and from verified nodes only.
//! Trusts: nothing; an address is where to ask, never who answers. Out of scope: opening a session (`dial.rs`). Protocol section 3.

use crate::anchor::Trouble;
use crate::error::{Attempt, ConnectError};
use crate::link::{Dial, DialError, Opened};
use crate::options::Timeouts;
use crate::{clock, entropy};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ringwall_session::refused::REFUSED_RESTS_MS;
use ringwall_wire::ids::ClientId;
use ringwall_wire::session::MemberHint;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Addresses a book holds: those of the options, and hints up to this number.
const ADDRESSES: usize = 64;
/// Pause after the first round in which every address failed; doubled each round.
const ROUND_FIRST: Duration = Duration::from_millis(40);
/// Longest such pause.
const ROUND_MOST: Duration = Duration::from_secs(2);
/// Time after which an address that said nothing at all no longer delays the next one: many round trips, and little beside an election.
const SILENT: Duration = Duration::from_millis(250);
/// The same for a node that answered the transport and is busy with its evidence: a throttled guest waits up to 2 s for its quote, and
/// asking every node at once would only make that worse.
const ATTESTING: Duration = Duration::from_millis(2_500);

#[derive(Debug)]
struct Place {
    address: String,
    /// Whether it came from the options, and therefore stays.
    given: bool,
    trouble: Option<DialError>,
    /// When a refused address may be asked again; long enough that a hostile place costs next to nothing.
    rests_until: Option<Instant>,
}

impl Place {
    fn new(address: String, given: bool) -> Self {
        Place { address, given, trouble: None, rests_until: None }
    }

    fn is_refused(&self) -> bool {
        self.trouble.as_ref().is_some_and(DialError::is_final_for_node)
    }
}

/// Finds nodes.
#[derive(Debug)]
pub(crate) struct Seeker<D> {
    dialler: D,
    timeouts: Timeouts,
    book: Arc<Mutex<Book>>,
}

/// Addresses with what is known of each; shared with whoever has to say why an operation failed.
#[derive(Debug)]
pub(crate) struct Book {
    places: Vec<Place>,
    cursor: usize,
}

impl Book {
    fn new(addresses: Vec<String>) -> Self {
        let cursor = entropy::index(addresses.len());
        let mut places: Vec<Place> = Vec::new();
        for address in addresses {
            if !places.iter().any(|place| place.address == address) {
                places.push(Place::new(address, true));
            }
        }
        Book { places, cursor }
    }

    /// Replaces earlier hints with what a verified node just said.
    fn learn(&mut self, members: &[MemberHint]) {
        let current = self.places.get(self.cursor).map(|place| place.address.clone());
        self.places.retain(|place| place.given || place.is_refused() || members.iter().any(|member| *member.address == *place.address));
        for member in members {
            let known = self.places.iter().any(|place| *place.address == *member.address);
            if !known && !member.address.is_empty() && self.places.len() < ADDRESSES {
                self.places.push(Place::new(member.address.to_string(), false));
            }
        }
        self.cursor = self.places.iter().position(|place| Some(&place.address) == current.as_ref()).unwrap_or(0);
    }

    /// The addresses to try in this round, the present one first.
    fn round(&self, now: Instant) -> Vec<String> {
        let usable = |place: &&Place| place.rests_until.is_none_or(|until| until <= now);
        let (before, from) = self.places.split_at(self.cursor.min(self.places.len()));
        from.iter().chain(before).filter(usable).map(|place| place.address.clone()).collect()
    }

    /// The node at `address` serves, and says who else may.
    fn found(&mut self, address: &str, members: &[MemberHint]) {
        self.note(address, None);
        self.cursor = self.places.iter().position(|place| place.address == address).unwrap_or(self.cursor);
        self.learn(members);
    }

    pub(crate) fn note(&mut self, address: &str, trouble: Option<DialError>) {
        if let Some(place) = self.places.iter_mut().find(|place| place.address == address) {
            place.trouble = trouble;
            place.rests_until = place.is_refused().then(|| clock::now() + Duration::from_millis(REFUSED_RESTS_MS));
        }
    }

    /// An attempt failed. One that was `cut` off by the end of the search says nothing against what its node said before.
    fn failed(&mut self, address: &str, trouble: DialError, cut: bool) {
        let told = self.places.iter().any(|place| place.address == address && place.trouble.is_some());
        if !(cut && told) {
            self.note(address, Some(trouble));
        }
    }

    /// Leaves a node: the next round starts after it.
    pub(crate) fn leave(&mut self, address: &str, trouble: DialError) {
        self.note(address, Some(trouble));
        let count = self.places.len().max(1);
        if let Some(at) = self.places.iter().position(|place| place.address == address) {
            self.cursor = at.saturating_add(1) % count;
        }
    }

    fn tried(&self) -> Vec<Attempt> {
        let attempt = |place: &Place| {
            let trouble = place.trouble.as_ref()?;
            Some(Attempt { address: place.address.clone(), cause: trouble.to_string(), refused: place.is_refused() })
        };
        self.places.iter().filter_map(attempt).collect()
    }

    /// No node was refused for good: where one has an older policy than is known, that is told before who is out of reach.
    fn behind(&self, waited_ms: u64, tried: Vec<Attempt>) -> ConnectError {
        let behind = self.places.iter().find_map(|place| match &place.trouble {
            Some(DialError::OldPolicy(error)) => Some((place.address.clone(), Arc::clone(error))),
            _ => None,
        });
        match behind {
            Some((address, error)) => ConnectError::of_evidence(address, error, tried),
            None => ConnectError::Unavailable { waited_ms, tried },
        }
    }

    /// What stands in the way, after `waited_ms`: a bad node is told before one nobody can tell of, and that before one out of reach.
    pub(crate) fn trouble(&self, waited_ms: u64) -> ConnectError {
        let tried = self.tried();
        let refused = self.places.iter().filter_map(|place| match &place.trouble {
            Some(trouble) if trouble.is_final_for_node() => Some((place.address.clone(), trouble.clone())),
            _ => None,
        });
        match refused.min_by_key(|(_, trouble)| trouble.is_undecided()) {
            Some((address, DialError::Evidence(error))) => ConnectError::of_evidence(address, error, tried),
            Some((address, DialError::OtherCluster { claimed, pinned })) => ConnectError::OtherCluster { address, claimed, pinned, tried },
            Some((address, DialError::History(trouble))) => ConnectError::of_history(address, trouble, tried),
            Some((address, DialError::WentBack { known, got })) => ConnectError::WentBack { address, known, got, tried },
            _ => self.behind(waited_ms, tried),
        }
    }
}

impl<D: Dial> Seeker<D> {
    /// A seeker over these addresses.
    pub(crate) fn new(dialler: D, addresses: Vec<String>, timeouts: Timeouts) -> Self {
        Seeker { dialler, timeouts, book: Arc::new(Mutex::new(Book::new(addresses))) }
    }

    /// Keeps what is remembered.
    pub(crate) async fn settle(&self) {
        self.dialler.settle().await;
    }

    /// Runs `with` on the address book.
    pub(crate) fn book<T>(&self, with: impl FnOnce(&mut Book) -> T) -> T {
        // Nothing panics while it is held, and the book stays usable if something did.
        with(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tries node after node until one serves, a final answer comes, or `until` passes, after `pause_first`. Returns the address with the link.
    pub(crate) async fn seek(
        &self,
        client: ClientId,
        until: Instant,
        pause_first: Duration,
    ) -> Result<(String, Opened<D::Link>), ConnectError> {
        let started = clock::now();
        let trouble = || self.book(|book| book.trouble(clock::millis(clock::now().saturating_duration_since(started))));
        tokio::time::sleep(pause_first.min(until.saturating_duration_since(started))).await;
        let mut rounds = Rounds::new(clock::now());
        let mut trying = FuturesUnordered::new();
        loop {
            let now = clock::now();
            if now >= until {
                return Err(trouble());
            }
            if rounds.is_due(now) {
                let usable = self.book(|book| book.round(now));
                if usable.is_empty() && trying.is_empty() {
                    let nobody = self.book(|book| book.places.is_empty());
                    return Err(if nobody { ConnectError::NoAddress } else { trouble() });
                }
                rounds.begin(usable);
            }
            if let Some((address, reached)) = rounds.next(now) {
                trying.push(self.attempt(address, client, until, reached));
            }
            let ended = tokio::select! {
                Some(ended) = trying.next() => ended,
                () = tokio::time::sleep_until(rounds.wake().min(until)) => continue,
            };
            let (address, outcome) = ended;
            rounds.ended(&address, clock::now());
            match outcome {
                Ok(opened) => {
                    self.book(|book| book.found(&address, &opened.ready.members));
                    return Ok((address, opened));
                }
                // No other node would make it better.
                Err(DialError::History(trouble @ (Trouble::Detected(_) | Trouble::Store { .. }))) => {
                    return Err(ConnectError::of_history(address, trouble, self.book(|book| book.tried())));
                }
                Err(DialError::NotAuthorized(detail)) => return Err(ConnectError::NotAuthorized { address, detail }),
                Err(DialError::DeviceRevoked(detail)) => return Err(ConnectError::DeviceRevoked { address, detail }),
                Err(DialError::NotRestored(detail)) => return Err(ConnectError::NotRestored { address, detail }),
                Err(trouble) => {
                    let cut = clock::now() >= until;
                    self.book(|book| book.failed(&address, trouble, cut));
                }
            }
        }
    }

    async fn attempt(
        &self,
        address: String,
        client: ClientId,
        until: Instant,
        reached: Arc<AtomicBool>,
    ) -> (String, Result<Opened<D::Link>, DialError>) {
        let until = until.min(clock::now() + self.timeouts.dial);
        let outcome = match self.dialler.reach(&address, until).await {
            Ok(reach) => {
                reached.store(true, Ordering::Relaxed);
                self.dialler.open(reach, &address, client, until).await
            }
            Err(fault) => Err(fault),
        };
        (address, outcome)
    }
}

/// When the next address is tried: at once after a failure, beside an attempt that has been silent too long, and after a pause when every
/// address had its turn. An address is never tried twice at the same time.
#[derive(Debug)]
struct Rounds {
    waiting: VecDeque<String>,
    trying: Vec<String>,
    /// The newest attempt, while nothing has failed since: when it began, and whether its node answered the transport.
    newest: Option<(Instant, Arc<AtomicBool>)>,
    /// When the next round begins, once this one is over.
    again: Option<Instant>,
    pause: Duration,
    now: Instant,
}

impl Rounds {
    fn new(now: Instant) -> Self {
        Rounds { waiting: VecDeque::new(), trying: Vec::new(), newest: None, again: Some(now), pause: ROUND_FIRST, now }
    }

    /// Whether a new round begins now.
    fn is_due(&mut self, now: Instant) -> bool {
        self.now = now;
        if self.again.is_none() && self.waiting.is_empty() && self.turn() <= now {
            self.again = Some(now + entropy::jitter(self.pause));
            self.pause = self.pause.saturating_mul(2).min(ROUND_MOST);
        }
        self.again.is_some_and(|again| again <= now)
    }

    fn begin(&mut self, usable: Vec<String>) {
        let trying = &self.trying;
        self.waiting = usable.into_iter().filter(|address| !trying.contains(address)).collect();
        self.again = None;
    }

    /// The address to try now, and where to note that its node was reached.
    fn next(&mut self, now: Instant) -> Option<(String, Arc<AtomicBool>)> {
        if self.turn() > now {
            return None;
        }
        let address = self.waiting.pop_front()?;
        let reached = Arc::new(AtomicBool::new(false));
        self.newest = Some((now, Arc::clone(&reached)));
        self.trying.push(address.clone());
        Some((address, reached))
    }

    fn ended(&mut self, address: &str, now: Instant) {
        self.trying.retain(|trying| trying != address);
        self.newest = None;
        self.now = now;
    }

    /// When the newest attempt no longer holds up what comes next.
    fn turn(&self) -> Instant {
        match &self.newest {
            Some((began, reached)) if reached.load(Ordering::Relaxed) => *began + ATTESTING,
            Some((began, _)) => *began + SILENT,
            None => self.now,
        }
    }

    /// When there may be something to do even if nothing happens.
    fn wake(&self) -> Instant {
        self.again.unwrap_or_else(|| self.turn())
    }
}
