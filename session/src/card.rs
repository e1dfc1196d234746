//! Cluster cards: what pins a cluster, as the bytes of a file or as a link.
//!
//! Decides: a card is bounded, canonical and consistent before anything in it is used; the changes of the policy it carries are judged here, since nobody vouches
//! for a card. A link pins the cluster id alone; what it lacks the first node shows, and it is judged then.
//! Trusts: whoever handed it over, for which cluster is meant. Out of scope: files (`client`), how cards are made (`node`). Protocol section 2.1.

mod link;

pub use link::{Door, LINK_CHARS, Link, LinkFault};

use ringwall_attest::governance::{StepError, verify_row};
use ringwall_wire::card_text::{CARD_TEXT_PREFIX, CardTextError, card_from_text};
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::genesis::{CardError, ClusterCard};
use ringwall_wire::ids::ClusterId;
use ringwall_wire::known::KnownPolicy;
use ringwall_wire::limits::CARD_BYTES;
use ringwall_wire::policy::PolicyDoc;

/// Why bytes are no card that can be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CardFault {
    /// They are more than any card.
    #[error("it is larger than any cluster card ({most} bytes); is it another file?")]
    TooLarge {
        /// Most bytes.
        most: usize,
    },
    /// They are no card.
    #[error("it is no cluster card: {0}; ask the founders for the file cluster.card")]
    Malformed(DecodeError),
    /// The parts contradict each other.
    #[error("it contradicts itself: {0}; ask the founders for a good one")]
    Contradiction(CardError),
    /// The changes of the policy do not hold.
    #[error("its changes of the policy do not hold: {0}; ask whoever runs the cluster for a good card")]
    Changes(StepError),
    /// It begins as the text of a card and is none.
    #[error("it is not the text of a cluster card: {0}; copy all of it, or ask for the file cluster.card")]
    Text(CardTextError),
    /// It begins as a link and is none.
    #[error("it is no link to a cluster: {0}; copy all of it, or ask for the file cluster.card")]
    Link(LinkFault),
}

impl CardFault {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            CardFault::TooLarge { .. } => "RW-C-CARD-TOO-LARGE",
            CardFault::Malformed(_) => "RW-C-CARD-MALFORMED",
            CardFault::Text(_) => "RW-C-CARD-TEXT",
            CardFault::Contradiction(_) => "RW-C-CARD-CONTRADICTION",
            CardFault::Changes(_) => "RW-C-CARD-POLICY",
            CardFault::Link(_) => "RW-C-CARD-LINK",
        }
    }
}

/// The policies of a card, oldest first: the founding one and what each change made. A card that was read is whole, so none is left out.
pub fn policies(card: &ClusterCard) -> impl Iterator<Item = PolicyDoc> {
    let changed = card.steps.iter().filter_map(|step| PolicyDoc::decode(&step.signed.policy).ok());
    std::iter::once(card.policy.clone()).chain(changed)
}

/// The newest policy a card pins.
pub fn newest_policy(card: &ClusterCard) -> PolicyDoc {
    policies(card).last().unwrap_or_else(|| card.policy.clone())
}

/// Reads the bytes of a card file, or the text of one where they say so: bytes of a card never begin like it.
pub fn read(bytes: &[u8]) -> Result<ClusterCard, CardFault> {
    if bytes.trim_ascii_start().starts_with(CARD_TEXT_PREFIX.as_bytes()) {
        let begins = bytes.len().saturating_sub(bytes.trim_ascii_start().len()).saturating_add(CARD_TEXT_PREFIX.len());
        let at = |fault: std::str::Utf8Error| fault.valid_up_to().saturating_sub(begins).saturating_add(1);
        let text = std::str::from_utf8(bytes).map_err(|fault| CardTextError::Damaged { at: at(fault) });
        return judged(text.and_then(card_from_text).map_err(CardFault::Text)?);
    }
    if bytes.len() > CARD_BYTES {
        return Err(CardFault::TooLarge { most: CARD_BYTES });
    }
    judged(ClusterCard::decode(bytes).map_err(CardFault::Malformed)?)
}

/// A card whose parts belong together and whose changes hold.
fn judged(card: ClusterCard) -> Result<ClusterCard, CardFault> {
    let cluster = card.pinned().map_err(CardFault::Contradiction)?;
    let _holds = verify_row(&cluster, &card.policy, &card.steps).map_err(CardFault::Changes)?;
    Ok(card)
}

/// A card in whichever form it came.
#[derive(Clone, Debug)]
pub enum Card {
    /// A file, or the text of one.
    File(Box<ClusterCard>),
    /// A link.
    Link(Link),
}

impl Card {
    /// Reads a card: a link or a text where the bytes begin as one, blanks around it aside, and a file otherwise.
    pub fn read(bytes: &[u8]) -> Result<Self, CardFault> {
        match link::begins(bytes.trim_ascii_start()) {
            true => Link::read(bytes.trim_ascii()).map(Card::Link).map_err(CardFault::Link),
            false => read(bytes).map(|card| Card::File(Box::new(card))),
        }
    }

    /// The cluster it pins.
    pub fn cluster_id(&self) -> ClusterId {
        match self {
            Card::File(card) => card.genesis.cluster_id(),
            Card::Link(link) => link.cluster_id,
        }
    }

    /// Its policy with the changes since; none in a link.
    pub fn known_policy(&self) -> Option<KnownPolicy> {
        let Card::File(card) = self else { return None };
        Some(KnownPolicy { cluster_id: self.cluster_id(), founding: card.policy.clone(), steps: card.steps.clone() })
    }

    /// The same as a link, with everything a link can say.
    pub fn to_link(&self) -> Link {
        match self {
            Card::Link(link) => link.clone(),
            Card::File(card) => Link {
                cluster_id: self.cluster_id(),
                addresses: card.addresses.iter().map(ToString::to_string).collect(),
                doors: doors(card),
                sockets: card.web.iter().map(|door| door.socket.to_string()).filter(|socket| !socket.is_empty()).collect(),
            },
        }
    }
}

/// The WebTransport doors a card names.
fn doors(card: &ClusterCard) -> Vec<Door> {
    let shown = card.web.iter().filter(|door| !door.address.is_empty() && !door.certificates.is_empty());
    shown.map(|door| Door { address: door.address.to_string(), certificates: door.certificates.to_vec() }).collect()
}
