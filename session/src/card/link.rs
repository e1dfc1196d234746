//! A card as a line of text that fits a code for a camera: the cluster, where to ask, and which certificates its doors for pages show.
//!
//! Decides: the form, exactly one for what it says but for the order of its parts; what is longer, what repeats a mark, what has a character no address has, is
//! refused with the place. Nothing is allocated by what a link announces: it announces nothing.
//! Trusts: nothing; addresses are hints. Out of scope: codes as images (`client/web`). docs/core.md, "Cards".

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringwall_wire::ids::{ClusterId, Digest};
use ringwall_wire::limits::SLOTS;

/// Characters of a link: a code of 2,048 characters is still read by a camera at arm's length.
pub const LINK_CHARS: usize = 2_048;
/// Characters of an address, as on a card.
const ADDRESS_CHARS: usize = 128;
/// Certificates one door names: the one it shows and the next.
const CERTIFICATES: usize = 2;
/// What a link begins with.
const SCHEME: &str = "ringwall:";

/// A WebTransport door for pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// `host:port`.
    pub address: String,
    /// SHA-256 of the certificates it shows, now and next.
    pub certificates: Vec<Digest>,
}

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Where native clients may ask.
    pub addresses: Vec<String>,
    /// Where pages may ask over WebTransport.
    pub doors: Vec<Door>,
    /// Where they may over WebSocket: whole addresses.
    pub sockets: Vec<String>,
}

/// Why a text is no link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// It is longer than any.
    #[error("it has {chars} characters, at most {most} are possible")]
    TooLong {
        /// Its characters.
        chars: usize,
        /// Most characters.
        most: usize,
    },
    /// It holds a character no link has.
    #[error("character {at} is none that a link has")]
    Character {
        /// Which, counted from 1.
        at: usize,
    },
    /// What should be the cluster is not 64 lower-case hex digits.
    #[error("\"ringwall:\" is not followed by a cluster id of 64 lower-case hex digits")]
    Cluster,
    /// A part is neither a node nor a door.
    #[error("part {part} is none of n=ADDRESS, w=ADDRESS,CERTIFICATE[,CERTIFICATE], s=ws://ADDRESS")]
    Part {
        /// Which, counted from 1.
        part: usize,
    },
    /// An address is none.
    #[error("the address of part {part} is no host:port")]
    Address {
        /// Which, counted from 1.
        part: usize,
    },
    /// A certificate's hash is none.
    #[error("a certificate of part {part} is not the SHA-256 of one in 43 characters of base64url")]
    Certificate {
        /// Which, counted from 1.
        part: usize,
    },
    /// More parts than a cluster has places.
    #[error("it names more than {most} nodes or doors")]
    TooMany {
        /// Most of each kind.
        most: usize,
    },
}

/// Whether bytes are meant to be a link.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(SCHEME.as_bytes())
}

impl Link {
    /// Reads a link.
    pub fn read(bytes: &[u8]) -> Result<Self, LinkFault> {
        if bytes.len() > LINK_CHARS {
            return Err(LinkFault::TooLong { chars: bytes.len(), most: LINK_CHARS });
        }
        let strange = |byte: &u8| !(byte.is_ascii_alphanumeric() || b"-_.:[]?&=,/".contains(byte));
        if let Some(at) = bytes.iter().position(strange) {
            return Err(LinkFault::Character { at: at.saturating_add(1) });
        }
        let text = std::str::from_utf8(bytes).expect("every byte is a letter, a digit or a mark of ASCII");
        let rest = text.strip_prefix(SCHEME).ok_or(LinkFault::Cluster)?;
        let (cluster, parts) = match rest.split_once('?') {
            Some((cluster, parts)) => (cluster, Some(parts)),
            None => (rest, None),
        };
        let cluster_id = ringwall_wire::text::read_hex(cluster).map(ClusterId).ok_or(LinkFault::Cluster)?;
        let mut link = Link { cluster_id, addresses: Vec::new(), doors: Vec::new(), sockets: Vec::new() };
        for (at, part) in parts.into_iter().flat_map(|parts| parts.split('&')).enumerate() {
            link.add(at.saturating_add(1), part)?;
        }
        Ok(link)
    }

    fn add(&mut self, part: usize, text: &str) -> Result<(), LinkFault> {
        match text.split_once('=') {
            Some(("n", address)) => self.addresses.push(read_address(part, address)?),
            Some(("w", door)) => self.doors.push(read_door(part, door)?),
            Some(("s", socket)) => self.sockets.push(read_socket(part, socket)?),
            _ => return Err(LinkFault::Part { part }),
        }
        match self.addresses.len().max(self.doors.len()).max(self.sockets.len()) > SLOTS {
            true => Err(LinkFault::TooMany { most: SLOTS }),
            false => Ok(()),
        }
    }

    /// The link as text; none where it would be longer than one may be, or an address has a character that none may have.
    pub fn text(&self) -> Option<String> {
        let mut text = format!("{SCHEME}{}", self.cluster_id);
        let nodes = self.addresses.iter().map(|address| format!("n={address}"));
        let doors = self.doors.iter().map(|door| {
            let hashes: String = door.certificates.iter().map(|hash| format!(",{}", URL_SAFE_NO_PAD.encode(hash.0))).collect();
            format!("w={}{hashes}", door.address)
        });
        let sockets = self.sockets.iter().map(|socket| format!("s={socket}"));
        for (at, part) in nodes.chain(doors).chain(sockets).enumerate() {
            text.push(if at == 0 { '?' } else { '&' });
            text.push_str(&part);
        }
        // Whatever it was made of, it is given out only if it says the same again.
        Link::read(text.as_bytes()).ok().filter(|again| again == self).map(|_| text)
    }
}

fn read_address(part: usize, text: &str) -> Result<String, LinkFault> {
    let wrong = LinkFault::Address { part };
    let Some((host, port)) = text.rsplit_once(':') else { return Err(wrong) };
    // An address of version 6 stands in brackets; nothing else has colons in it.
    let bare = host.strip_prefix('[').map_or(Some(host), |inner| inner.strip_suffix(']'));
    let named = bare.is_some_and(|bare| !bare.is_empty() && !bare.contains(['[', ']', '?', '&', '=', ',', '/']));
    let plain = host.starts_with('[') || !host.contains(':');
    let numbered = port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0);
    if text.len() <= ADDRESS_CHARS && named && plain && numbered { Ok(text.into()) } else { Err(wrong) }
}

fn read_door(part: usize, text: &str) -> Result<Door, LinkFault> {
    let mut pieces = text.split(',');
    let address = read_address(part, pieces.next().unwrap_or_default())?;
    let hash = |piece: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(piece).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(Digest).ok_or(LinkFault::Certificate { part })
    };
    let certificates = pieces.map(hash).collect::<Result<Vec<_>, _>>()?;
    match certificates.len() {
        1..=CERTIFICATES => Ok(Door { address, certificates }),
        _ => Err(LinkFault::Certificate { part }),
    }
}

fn read_socket(part: usize, text: &str) -> Result<String, LinkFault> {
    let wrong = LinkFault::Address { part };
    let rest = text.strip_prefix("ws://").or_else(|| text.strip_prefix("wss://")).ok_or(wrong.clone())?;
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    read_address(part, address)?;
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    if text.len() <= ADDRESS_CHARS && plain { Ok(text.into()) } else { Err(wrong) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            cluster_id: ClusterId([0xab; 32]),
            addresses: vec!["10.0.0.1:7000".into(), "[2001:db8::1]:7000".into()],
            doors: vec![Door { address: "node.example:7001".into(), certificates: vec![Digest([1; 32]), Digest([0xff; 32])] }],
            sockets: vec!["ws://127.0.0.1:7002/ringwall".into(), "wss://node.example:443".into()],
        }
    }

    #[test]
    fn a_link_says_what_it_was_made_of() {
        let text = link().text().unwrap();
        assert!(
            text.starts_with("ringwall:abab") && text.contains("?n=10.0.0.1:7000&n=[2001:db8::1]:7000&w=node.example:7001,AQEB"),
            "{text}"
        );
        assert_eq!(Link::read(text.as_bytes()).unwrap(), link());
        let bare = Link { addresses: Vec::new(), doors: Vec::new(), sockets: Vec::new(), ..link() };
        assert_eq!(bare.text().unwrap().len(), 73);
        assert_eq!(Link::read(bare.text().unwrap().as_bytes()).unwrap(), bare);
    }

    #[test]
    fn sixteen_nodes_are_too_much_for_a_link_or_fit_it() {
        let many = |count: usize| Link { addresses: vec!["10.0.0.1:7000".into(); count], doors: Vec::new(), ..link() };
        assert!(many(SLOTS).text().is_some());
        assert_eq!(many(SLOTS + 1).text(), None);
        let long = Link { addresses: vec![format!("{}:1", "a".repeat(126)); SLOTS], ..link() };
        assert_eq!(long.text(), None, "longer than a link may be");
        let strange = Link { addresses: vec!["a b:1".into()], ..link() };
        assert_eq!(strange.text(), None);
    }

    #[test]
    fn what_is_no_link_is_refused_with_its_place() {
        let id = "ab".repeat(32);
        let read = |text: String| Link::read(text.as_bytes()).unwrap_err();
        assert_eq!(read("ringwall:".into()), LinkFault::Cluster);
        assert_eq!(read(format!("ringwall:{}", id.to_uppercase())), LinkFault::Cluster);
        assert_eq!(read(format!("ringwall:{id}0")), LinkFault::Cluster);
        assert_eq!(read(format!("ringwall:{id}?")), LinkFault::Part { part: 1 });
        assert_eq!(read(format!("ringwall:{id}?n=a:1&")), LinkFault::Part { part: 2 });
        assert_eq!(read(format!("ringwall:{id}?x=a:1")), LinkFault::Part { part: 1 });
        assert_eq!(read(format!("ringwall:{id} ")), LinkFault::Character { at: 74 });
        assert_eq!(read(format!("ringwall:{id}#")), LinkFault::Character { at: 74 });
        for address in ["", ":1", "a", "a:", "a:0", "a:65536", "a:b:1", "[::1:1", "[]:1", "a,b:1", "a=b:1"] {
            assert_eq!(read(format!("ringwall:{id}?n={address}")), LinkFault::Address { part: 1 }, "{address}");
        }
        for socket in ["a:1", "ws:/a:1", "http://a:1", "ws://a", "ws://a:1/?x", "ws://a:1/x=y", "ws://:1/"] {
            assert_eq!(read(format!("ringwall:{id}?s={socket}")), LinkFault::Address { part: 1 }, "{socket}");
        }
        assert_eq!(read(format!("ringwall:{id}?w=a:1")), LinkFault::Certificate { part: 1 });
        for hash in ["", "AAAA", &"A".repeat(42), &"A".repeat(44), &format!("{}B", "A".repeat(42))] {
            assert_eq!(read(format!("ringwall:{id}?w=a:1,{hash}")), LinkFault::Certificate { part: 1 }, "{hash}");
        }
        let hash = "A".repeat(43);
        assert_eq!(read(format!("ringwall:{id}?w=a:1,{hash},{hash},{hash}")), LinkFault::Certificate { part: 1 });
        assert_eq!(read(format!("ringwall:{id}?{}", "n=a:1&".repeat(400))), LinkFault::TooLong { chars: 2_474, most: LINK_CHARS });
        assert_eq!(read(format!("ringwall:{id}?{}n=a:1", "n=a:1&".repeat(SLOTS))), LinkFault::TooMany { most: SLOTS });
    }
}
