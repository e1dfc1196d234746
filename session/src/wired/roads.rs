//! Where a card leads: places, and the ways there that a host can go.
//!
//! Decides: a place is one node's door, with its ways in the order the host wants them; a way that was not open is followed by the next one to the same place. Two ways
//! lead to one place where a host has as many doors as sockets. Members a verified node names count where a way to them is known. Trusts: nothing; a place is where to ask, never who answers. Out of scope: which place is next (`book.rs`).
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

/// The host of `host:port`, or of a WebSocket's whole address.
fn host(address: &str) -> &str {
    let place = address.split_once("://").map_or(address, |(_, rest)| rest);
    let place = place.split_once('/').map_or(place, |(place, _)| place);
    // Colons of an address of IPv6 stand in brackets.
    let ends = place.rfind(']').unwrap_or_default();
    let port = place.get(ends..).and_then(|rest| rest.find(':'));
    port.and_then(|at| place.get(..ends.saturating_add(at))).unwrap_or(place)
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
        let mut doors: Vec<Way> = doors.filter(|_| over.contains(&Over::WebTransport)).collect();
        let sockets = link.sockets.iter().map(|socket| Way::plain(Over::WebSocket, socket));
        let mut sockets: Vec<Way> = sockets.filter(|_| over.contains(&Over::WebSocket)).collect();
        let is_native = over.contains(&Over::Native);
        let mut places: Vec<Vec<Way>> = Vec::new();
        while let Some(host) = doors.first().map(|door| host(&door.address).to_owned()) {
            let here = |way: &Way| self::host(&way.address).eq_ignore_ascii_case(&host);
            let (ours, others): (Vec<Way>, Vec<Way>) = doors.into_iter().partition(here);
            let (theirs, elsewhere): (Vec<Way>, Vec<Way>) = sockets.into_iter().partition(here);
            (doors, sockets) = (others, elsewhere);
            // Several nodes of one host stand in the order of the card. A wrong pair costs one attempt.
            match ours.len() == theirs.len() {
                true => places.extend(ours.into_iter().zip(theirs).map(|(door, socket)| vec![door, socket])),
                false => places.extend(ours.into_iter().chain(theirs).map(|way| vec![way])),
            }
        }
        places.extend(sockets.into_iter().map(|socket| vec![socket]));
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
        at((0..doors).map(|at| format!("h{at}:1")).collect(), (0..sockets).map(|at| format!("ws://h{at}:2/ringwall")).collect())
    }

    fn at(doors: Vec<String>, sockets: Vec<String>) -> Link {
        let door = |address: String| Door { address, certificates: vec![Digest([1; 32])] };
        Link { cluster_id: ClusterId([0; 32]), addresses: vec!["n:1".into()], doors: doors.into_iter().map(door).collect(), sockets }
    }

    #[test]
    fn a_place_has_its_ways_in_the_order_that_is_wanted() {
        let over = |roads: &Roads, address: &str| roads.ways(address).iter().map(|way| way.over).collect::<Vec<_>>();
        let both = Roads::new(&link(2, 2), &[Over::WebSocket, Over::WebTransport]);
        assert_eq!(both.addresses(), ["ws://h0:2/ringwall", "ws://h1:2/ringwall"]);
        assert_eq!(over(&both, "ws://h1:2/ringwall"), [Over::WebSocket, Over::WebTransport]);
        let one = Roads::new(&link(1, 2), &[Over::WebTransport, Over::WebSocket]);
        assert_eq!(one.addresses(), ["h0:1", "ws://h1:2/ringwall"]);
        assert_eq!(over(&one, "h0:1"), [Over::WebTransport, Over::WebSocket]);
        assert_eq!(over(&one, "n:1"), [], "nobody here goes there");
        let native = Roads::new(&link(1, 1), &[Over::Native]);
        assert_eq!(native.addresses(), ["n:1"]);
        assert_eq!(over(&native, "elsewhere:1"), [Over::Native], "a member that was named");
    }

    #[test]
    fn doors_and_sockets_are_of_one_place_where_their_host_is_the_same() {
        let places = |doors: &[&str], sockets: &[&str]| {
            let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let roads = Roads::new(&at(own(doors), own(sockets)), &[Over::WebTransport, Over::WebSocket]);
            let ways = roads.places.iter().map(|place| place.iter().map(|way| way.address.clone()).collect::<Vec<_>>().join(" "));
            ways.collect::<Vec<_>>()
        };
        // As many of each, and no two of one machine.
        assert_eq!(places(&["a:1", "b:1"], &["ws://c:2", "wss://d:2"]), ["a:1", "b:1", "ws://c:2", "wss://d:2"]);
        // In another order.
        assert_eq!(places(&["a:1", "[::1]:1"], &["ws://[::1]:2/x", "ws://a:2"]), ["a:1 ws://a:2", "[::1]:1 ws://[::1]:2/x"]);
        // Names have no case, and a port may be left out.
        assert_eq!(
            places(&["A.example:1", "[::1]:1"], &["wss://[::1]/x", "wss://a.EXAMPLE"]),
            ["A.example:1 wss://a.EXAMPLE", "[::1]:1 wss://[::1]/x"]
        );
        // Several nodes of one machine stand in order; where their numbers differ nobody can tell which belong together.
        assert_eq!(places(&["a:1", "a:3"], &["ws://a:2", "ws://a:4"]), ["a:1 ws://a:2", "a:3 ws://a:4"]);
        assert_eq!(places(&["a:1", "a:3"], &["ws://a:4"]), ["a:1", "a:3", "ws://a:4"]);
        assert_eq!(places(&[], &["ws://a:4"]), ["ws://a:4"]);
    }
}
