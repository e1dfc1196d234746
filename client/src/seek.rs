//! Which node is next: the address book, bans and backoff, and the search for a usable node.
//!
//! Decides: a node whose evidence, cluster or history was refused is not used again (the dialler knows it by its key), and its address is
//! left alone for a while, so that a successor at the same place is found later; every other failure is tried again, round by round with
//! growing, jittered pauses, until the deadline. Addresses come from the options and from verified nodes only.
//! Trusts: nothing; an address is where to ask, never who answers. Out of scope: opening a session (`dial.rs`). Protocol section 3.

use crate::error::{Attempt, ConnectError};
use crate::link::{Dial, DialError, Opened};
use crate::options::Timeouts;
use crate::refused::REFUSED_RESTS;
use crate::{clock, entropy};
use ringwall_wire::ids::ClientId;
use ringwall_wire::session::MemberHint;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Addresses a book holds: those of the options, and hints up to this number.
const ADDRESSES: usize = 64;
/// Pause after the first round in which every address failed; doubled each round.
const ROUND_FIRST: Duration = Duration::from_millis(40);
/// Longest such pause.
const ROUND_MOST: Duration = Duration::from_secs(2);

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

    fn point_at(&mut self, address: &str) {
        self.cursor = self.places.iter().position(|place| place.address == address).unwrap_or(self.cursor);
    }

    pub(crate) fn note(&mut self, address: &str, trouble: Option<DialError>) {
        if let Some(place) = self.places.iter_mut().find(|place| place.address == address) {
            place.trouble = trouble;
            place.rests_until = place.is_refused().then(|| clock::now() + REFUSED_RESTS);
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

    /// What stands in the way, after `waited_ms`: a refused node is told before one out of reach.
    pub(crate) fn trouble(&self, waited_ms: u64) -> ConnectError {
        let tried = self.tried();
        let refused = self.places.iter().find_map(|place| match &place.trouble {
            Some(trouble) if trouble.is_final_for_node() => Some((place.address.clone(), trouble.clone())),
            _ => None,
        });
        match refused {
            Some((address, DialError::Evidence(error))) => ConnectError::Evidence { address, error, tried },
            Some((address, DialError::OtherCluster { claimed, pinned })) => ConnectError::OtherCluster { address, claimed, pinned, tried },
            Some((address, DialError::WentBack { known, got })) => ConnectError::WentBack { address, known, got, tried },
            _ => ConnectError::Unavailable { waited_ms, tried },
        }
    }
}

impl<D: Dial> Seeker<D> {
    /// A seeker over these addresses.
    pub(crate) fn new(dialler: D, addresses: Vec<String>, timeouts: Timeouts) -> Self {
        Seeker { dialler, timeouts, book: Arc::new(Mutex::new(Book::new(addresses))) }
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
        let waited_ms = || u64::try_from(clock::now().saturating_duration_since(started).as_millis()).unwrap_or(u64::MAX);
        let mut pause = ROUND_FIRST;
        tokio::time::sleep(pause_first.min(until.saturating_duration_since(started))).await;
        loop {
            let round = self.book(|book| book.round(clock::now()));
            if round.is_empty() {
                let nobody = self.book(|book| book.places.is_empty());
                return Err(if nobody { ConnectError::NoAddress } else { self.book(|book| book.trouble(waited_ms())) });
            }
            for address in round {
                let now = clock::now();
                if now >= until {
                    return Err(self.book(|book| book.trouble(waited_ms())));
                }
                let until = until.min(now + self.timeouts.dial);
                match self.dialler.dial(&address, client, until).await {
                    Ok(opened) => {
                        self.book(|book| {
                            book.note(&address, None);
                            book.point_at(&address);
                            book.learn(&opened.ready.members);
                        });
                        return Ok((address, opened));
                    }
                    Err(DialError::NotAuthorized(detail)) => return Err(ConnectError::NotAuthorized { address, detail }),
                    Err(trouble) => self.book(|book| book.note(&address, Some(trouble))),
                }
            }
            let left = until.saturating_duration_since(clock::now());
            tokio::time::sleep(entropy::jitter(pause).min(left)).await;
            pause = pause.saturating_mul(2).min(ROUND_MOST);
        }
    }
}
