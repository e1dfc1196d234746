//! The client in words: calls of one frame, answers of frames, for whoever is not Rust.
//!
//! Decides: what a call takes and what it gives (docs/core.md); how many clients there are. Whatever a call holds, it is answered: a call that makes no sense gives an error
//! and changes nothing. Cards are read and saved exchanges judged without a client.
//! Trusts: whoever calls for time and randomness, and the roots it was made with. Out of scope: how a call comes in (`client/web`, `client/ffi`), the client itself
//! (`wired.rs`). docs/core.md.

mod asked;
mod chance;
mod client;
mod frame;
mod heads;

pub use ringwall_attest::Anchors;

use crate::card::{Card, newest_policy};
use crate::checksummed;
use crate::credential::Credential;
use crate::exchange::{EXCHANGE_FILE_BYTES, Exchange};
use crate::kept::Kept;
use crate::opening::{Device, Now, Terms};
use crate::shown;
use crate::timeouts::Timeouts;
use crate::wired::{Over, Wired};
use asked::Asking;
use chance::Chance;
use client::{Client, judged_told};
use frame::{CallFault, Told, answer, at_most, parted, read};
use heads::{CardHead, DeviceHead, HandleHead, OpenHead, TimeoutsHead, VerifyHead};
use ringwall_keys::UserKey;
use ringwall_wire::card_text::CARD_TEXT_PREFIX;
use ringwall_wire::ids::{CredPublic, PolicyVersion, UserId};
use ringwall_wire::limits::{CARD_BYTES, KEPT_MEMORY_BYTES};
use ringwall_wire::session::AttestMode;
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Clients at once.
const CLIENTS: usize = 16;
/// Milliseconds a timeout may have.
const TIMEOUT_MS: RangeInclusive<u64> = 100..=600_000;
/// Numbers of heads are below this: beyond it a double, which is all some hosts have, is not exact.
const NUMBERS: u64 = 1 << 53;
/// Bytes of a card's text: as many digits as a card of the full size takes, and line breaks.
const CARD_TEXT_BYTES: usize = CARD_BYTES * 3 / 2;

/// All clients of one module, and what needs none.
pub struct Spoken {
    anchors: Arc<Anchors>,
    clients: BTreeMap<u64, Client>,
    next: u64,
}

impl core::fmt::Debug for Spoken {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Spoken({} clients)", self.clients.len())
    }
}

impl Spoken {
    /// Clients that trust these roots.
    pub fn new(anchors: Anchors) -> Self {
        Spoken { anchors: Arc::new(anchors), clients: BTreeMap::new(), next: 1 }
    }

    /// Clients that trust the vendors' own roots.
    pub fn production() -> Self {
        Spoken::new(Anchors::production())
    }

    /// The call `card`.
    pub fn card(&self, frame: &[u8]) -> Vec<u8> {
        answer(card(frame))
    }

    /// The call `verify`.
    pub fn verify(&self, frame: &[u8]) -> Vec<u8> {
        answer(verify(&self.anchors, frame))
    }

    /// The call `open`.
    pub fn open(&mut self, frame: &[u8]) -> Vec<u8> {
        answer(self.opened(frame))
    }

    /// The call `handle`.
    pub fn handle(&mut self, frame: &[u8]) -> Vec<u8> {
        answer(self.handled(frame))
    }

    fn opened(&mut self, frame: &[u8]) -> Result<Vec<Told>, CallFault> {
        let (head, payload) = read::<OpenHead>(frame)?;
        let (bytes, memory) = parted(payload, head.card_bytes)?;
        at_most("kept memory", memory.len(), KEPT_MEMORY_BYTES)?;
        if self.clients.len() >= CLIENTS {
            return Err(CallFault::Clients { most: CLIENTS });
        }
        let card = read_card(bytes)?;
        let over: Vec<Over> = head.over.iter().take(3).map(|over| (*over).into()).collect();
        let timeouts = timeouts(&head.timeouts)?;
        let device = device(head.device)?;
        let user = head.user.map_or_else(|| UserId::of(&device.public()), |user| UserId(user.open()));
        let cluster_id = card.cluster_id();
        let kept = Kept::read(memory, cluster_id, user)?;
        let terms = Terms {
            cluster_id,
            anchors: Arc::clone(&self.anchors),
            attest: AttestMode::Batched,
            min_policy_version: PolicyVersion(head.min_policy_version),
            user,
            device,
            restore: None,
        };
        let now = now(head.now_ms, head.now_s)?;
        let mut chance = Chance::new(&head.fresh.0);
        let wired = Wired::new((&card, &over), terms, kept, timeouts, now, &mut chance)?;
        let user_key = head.user_key.map(|key| UserKey::from_seed(key.0));
        let asking = Asking { cluster_id, user, user_key, spaces: BTreeMap::new() };
        let mut client = Client::new(wired, chance, asking, now);
        let number = self.next;
        let opened = json!({ "client": number, "cluster": cluster_id.to_string(), "user": user.to_string(), "anchor": client.anchor() });
        let mut told = vec![Told::new("opened", opened)];
        if !client.effects(now, &mut told) {
            self.clients.insert(number, client);
        }
        self.next = self.next.saturating_add(1);
        Ok(told)
    }

    fn handled(&mut self, frame: &[u8]) -> Result<Vec<Told>, CallFault> {
        let (head, payload) = read::<HandleHead>(frame)?;
        let client = self.clients.get_mut(&head.client).ok_or(CallFault::Client(head.client))?;
        let now = now(head.now_ms, head.now_s)?;
        client.chance().mix(&head.fresh.0);
        let (told, over) = client.handle(head.event, payload, now)?;
        if over {
            self.clients.remove(&head.client);
        }
        Ok(told)
    }
}

/// What a call comes to that a host adds: its name, its fields, and its payload; or a code and words.
pub type Said = Result<(&'static str, serde_json::Value, Vec<u8>), (&'static str, String)>;

/// A call that a host adds to these, in the same frames: its head is read and bounded as theirs are.
pub fn call<H: serde::de::DeserializeOwned>(frame: &[u8], work: impl FnOnce(H, &[u8]) -> Said) -> Vec<u8> {
    answer(read::<H>(frame).and_then(|(head, payload)| match work(head, payload) {
        Ok((is, head, payload)) => Ok(vec![Told::with(is, head, Zeroizing::new(payload))]),
        Err((code, words)) => Err(CallFault::Host { code, words }),
    }))
}

/// A card in whichever form; bounded before it is looked into.
fn read_card(bytes: &[u8]) -> Result<Card, CallFault> {
    at_most("a card", bytes.len(), CARD_TEXT_BYTES)?;
    Ok(Card::read(bytes)?)
}

fn card(frame: &[u8]) -> Result<Vec<Told>, CallFault> {
    let (CardHead {}, payload) = read(frame)?;
    let card = read_card(payload)?;
    let link = card.to_link();
    let is_text = payload.trim_ascii_start().starts_with(CARD_TEXT_PREFIX.as_bytes());
    let doors = link.doors.iter().map(|door| {
        let certificates: Vec<String> = door.certificates.iter().map(ToString::to_string).collect();
        json!({ "address": door.address, "certificates": certificates })
    });
    let whole = match &card {
        Card::Link(_) => json!({ "form": "link", "name": null, "trust_domain": null, "policy_version": null, "policy_changes": null }),
        Card::File(file) => json!({
            "form": if is_text { "text" } else { "file" },
            "name": &*file.genesis.template.name,
            "trust_domain": shown::domain(file.genesis.template.trust_domain),
            "policy_version": newest_policy(file).version.0,
            "policy_changes": file.steps.len(),
        }),
    };
    let places = json!({
        "cluster": link.cluster_id.to_string(),
        "addresses": link.addresses,
        "web": doors.collect::<Vec<_>>(),
        "sockets": link.sockets,
        "link": link.text(),
    });
    Ok(vec![Told::new("card", shown::merged(whole, places))])
}

/// Judges a saved exchange.
fn verify(anchors: &Anchors, frame: &[u8]) -> Result<Vec<Told>, CallFault> {
    let (head, payload) = read::<VerifyHead>(frame)?;
    let (card, saved) = parted(payload, head.card_bytes)?;
    at_most("a saved exchange", saved.len(), EXCHANGE_FILE_BYTES)?;
    let body = checksummed::body(saved, EXCHANGE_FILE_BYTES)
        .map_err(|_| CallFault::Exchange("the saved exchange is cut off or altered: its checksum does not fit; save it again".into()))?;
    let exchange = Exchange::decode(body).map_err(|why| CallFault::Exchange(format!("it is no saved exchange: {why}")))?;
    let (exchange, pinned_by) = match card {
        [] => (exchange, "file"),
        card => {
            let card = read_card(card)?;
            let known = card.known_policy();
            let least = known.as_ref().map_or(PolicyVersion(0), |known| known.founding.version);
            let exchange = exchange.pinned_to(card.cluster_id(), least);
            let held = known.map(|known| exchange.clone().held_to(known)).transpose();
            let held = held.map_err(|why| CallFault::Exchange(format!("the card's policy cannot be read: {why}")))?;
            (held.unwrap_or(exchange), "card")
        }
    };
    let at_s = head.at_s.unwrap_or(exchange.at_s());
    let examined = exchange.as_of(at_s).examine(anchors, "saved exchange");
    let (_, told) = judged_told(&examined);
    let told = shown::merged(told, json!({ "pinned_by": pinned_by, "age_s": head.now_s.saturating_sub(at_s) }));
    Ok(vec![Told::new("verified", told)])
}

/// A host's times: a clock that once said what is none would hold for ever, since it only goes forward.
fn now(ms: u64, s: u64) -> Result<Now, CallFault> {
    match ms.max(s) < NUMBERS {
        true => Ok(Now { ms, s }),
        false => Err(CallFault::Head("`now_ms` and `now_s` are below 2^53".into())),
    }
}

fn device(head: DeviceHead) -> Result<Device, CallFault> {
    match (head.seed, head.public) {
        (Some(seed), None) => Ok(Device::Key(Credential::from_seed(seed.0))),
        (None, Some(public)) => Ok(Device::Elsewhere(CredPublic(public.open()))),
        _ => Err(CallFault::Head("`device` has either `seed` or `public`".into())),
    }
}

fn timeouts(head: &TimeoutsHead) -> Result<Timeouts, CallFault> {
    let usual = Timeouts::default();
    let time = |wanted: Option<u64>, usual: Duration| match wanted {
        None => Ok(usual),
        Some(wanted) if TIMEOUT_MS.contains(&wanted) => Ok(Duration::from_millis(wanted)),
        Some(_) => Err(CallFault::Head("a timeout is from 100 to 600000 ms".into())),
    };
    Ok(Timeouts {
        dial: time(head.dial_ms, usual.dial)?,
        answer: time(head.answer_ms, usual.answer)?,
        deadline: time(head.deadline_ms, usual.deadline)?,
    })
}
