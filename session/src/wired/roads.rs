//! Where a card leads: places, and the ways there that a host can go.
//!
//! Decides: a place is one node's door, with its ways in the order the host wants them; a way that was not open is followed by the next one to the same place. Members a
//! verified node names count where a way to them is known. Trusts: nothing; a place is where to ask, never who answers. Out of scope: which place is next (`book.rs`).
//! Protocol section 3.

use crate::card::Link;
use ringwall_wire::ids::Digest;
use ringwall_wire::session::MemberHint;

/// A way to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// QUIC, as native clients go: bound by the exporter value of the connection.
    Native,
    /// WebTransport: bound by the certificate that was shown.
    WebTransport,
    /// WebSocket: bound by nothing.
    WebSocket,
}

/// One way to one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// How.
    pub(crate) over: Over,
    /// `host:port`, or for WebSocket the whole address.
    pub(crate) address: String,
    /// SHA-256 of the certificates WebTransport may show.
    pub(crate) certificates: Vec<Digest>,
}

impl Way {
    fn plain(over: Over, address: &str) -> Self {
        Way { over, address: address.into(), certificates: Vec::new() }
    }
}

/// The places of one cluster.
#[derive(Debug)]
pub(super) struct Roads {
    /// Each with at least one way; the first one's address names it.
    places: Vec<Vec<Way>>,
    is_native: bool,
}

impl Roads {
    /// Where `link` leads for a host that can go `over` these, best first.
    pub(super) fn new(link: &Link, over: &[Over]) -> Self {
        let doors = link.doors.iter().map(|door| Way {
            over: Over::WebTransport,
            address: door.address.clone(),
            certificates: door.certificates.clone(),
        });
        let doors: Vec<Way> = doors.filter(|_| over.contains(&Over::WebTransport)).collect();
        let sockets = link.sockets.iter().map(|socket| Way::plain(Over::WebSocket, socket));
        let sockets: Vec<Way> = sockets.filter(|_| over.contains(&Over::WebSocket)).collect();
        let is_native = over.contains(&Over::Native);
        // As many of the one kind as of the other are two doors of each node, in the order of the card. A wrong pair costs one attempt.
        let paired = doors.len() == sockets.len();
        let mut places: Vec<Vec<Way>> = match paired {
            true => doors.into_iter().zip(sockets).map(|(door, socket)| vec![door, socket]).collect(),
            false => doors.into_iter().chain(sockets).map(|way| vec![way]).collect(),
        };
        let rank = |way: &Way| over.iter().position(|over| *over == way.over);
        places.iter_mut().for_each(|place| place.sort_by_key(rank));
        if is_native {
            places.extend(link.addresses.iter().map(|address| vec![Way::plain(Over::Native, address)]));
        }
        Roads { places, is_native }
    }

    /// The names of all places.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.places.iter().filter_map(|place| place.first()).map(|way| way.address.clone()).collect()
    }

    /// The ways to the place of this name.
    pub(super) fn ways(&self, address: &str) -> Vec<Way> {
        let found = self.places.iter().find(|place| place.first().is_some_and(|way| way.address == address));
        match found {
            Some(ways) => ways.clone(),
            None if self.is_native => vec![Way::plain(Over::Native, address)],
            None => Vec::new(),
        }
    }

    /// Whether a way to this member is known.
    pub(super) fn leads_to(&self, member: &MemberHint) -> bool {
        self.is_native || !self.ways(&member.address).is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::card::Door;
    use ringwall_wire::ids::ClusterId;

    fn link(doors: usize, sockets: usize) -> Link {
        let door = |at: usize| Door { address: format!("d{at}:1"), certificates: vec![Digest([1; 32])] };
        let sockets = (0..sockets).map(|at| format!("ws://s{at}:1")).collect();
        Link { cluster_id: ClusterId([0; 32]), addresses: vec!["n:1".into()], doors: (0..doors).map(door).collect(), sockets }
    }

    #[test]
    fn a_place_has_its_ways_in_the_order_that_is_wanted() {
        let over = |roads: &Roads, address: &str| roads.ways(address).iter().map(|way| way.over).collect::<Vec<_>>();
        let both = Roads::new(&link(2, 2), &[Over::WebSocket, Over::WebTransport]);
        assert_eq!(both.addresses(), ["ws://s0:1", "ws://s1:1"]);
        assert_eq!(over(&both, "ws://s1:1"), [Over::WebSocket, Over::WebTransport]);
        let apart = Roads::new(&link(1, 2), &[Over::WebTransport, Over::WebSocket]);
        assert_eq!(apart.addresses(), ["d0:1", "ws://s0:1", "ws://s1:1"]);
        assert_eq!(over(&apart, "n:1"), [], "nobody here goes there");
        let native = Roads::new(&link(1, 1), &[Over::Native]);
        assert_eq!(native.addresses(), ["n:1"]);
        assert_eq!(over(&native, "elsewhere:1"), [Over::Native], "a member that was named");
    }
}
