//! One network card gets the address the host chose.
//!
//! Decides: the requests to the kernel (rtnetlink): link up, address, default route; an answer that is none is refused. IPv4 alone.
//! Trusts: the kernel. The network is the host's whatever its addresses are; who is talked to is decided by attestation.
//! Out of scope: names (`/etc/resolv.conf` is written by `main.rs`).

use crate::fault::{Fault, fault};
use crate::settings::Settings;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use std::net::Ipv4Addr;

/// The card: the kernel's own name for the first one; nothing renames it.
pub(crate) const CARD: &str = "eth0";
const FIX: &str = "give the machine one virtio network card, and an address of its network in boot.conf";

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const ERROR: u16 = 2;
/// NLM_F_REQUEST and NLM_F_ACK.
const REQUEST: u16 = 0x1 | 0x4;
/// NLM_F_CREATE and NLM_F_EXCL besides.
const CREATE: u16 = REQUEST | 0x400 | 0x200;
const FAMILY_IPV4: u8 = 2;
const UP: u32 = 1;
/// Bytes of an answer: a header, an error number and the request it answers.
const ANSWER_BYTES: usize = 512;

/// One request, as bytes.
struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(1_u32.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(body);
        Request(bytes)
    }

    /// Adds an attribute of four bytes, the only length there is here.
    fn with(mut self, kind: u16, value: [u8; 4]) -> Self {
        self.0.extend(8_u16.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).expect("a request is short");
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// ifinfomsg: the link is up.
fn up(index: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(UP.to_ne_bytes());
    body.extend(UP.to_ne_bytes());
    Request::new(NEW_LINK, REQUEST, &body).finish()
}

/// ifaddrmsg: the address is the link's (IFA_LOCAL and IFA_ADDRESS).
fn address(index: u32, address: Ipv4Addr, prefix: u8) -> Vec<u8> {
    let mut body = vec![FAMILY_IPV4, prefix, 0, 0];
    body.extend(index.to_ne_bytes());
    Request::new(NEW_ADDRESS, CREATE, &body).with(2, address.octets()).with(1, address.octets()).finish()
}

/// rtmsg: main table, set up at boot, everywhere, unicast, no prefix (RTA_GATEWAY and RTA_OIF).
fn route(index: u32, gateway: Ipv4Addr) -> Vec<u8> {
    let body = [FAMILY_IPV4, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    Request::new(NEW_ROUTE, CREATE, &body).with(5, gateway.octets()).with(4, index.to_ne_bytes()).finish()
}

/// What the kernel says to a request: done, or an error number.
fn answer(bytes: &[u8]) -> Result<(), String> {
    let kind = bytes.get(4..6).map(|kind| u16::from_ne_bytes([kind[0], kind[1]]));
    let code = bytes.get(16..20).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(ERROR), Some(0)) => Ok(()),
        (Some(ERROR), Some(code)) => Err(std::io::Error::from_raw_os_error(code.saturating_neg()).to_string()),
        _ => Err("an answer that is none".into()),
    }
}

fn index(card: &str) -> Result<u32, Fault> {
    let path = format!("/sys/class/net/{card}/ifindex");
    let text = std::fs::read_to_string(&path).map_err(fault(format!("network card {card}"), FIX))?;
    text.trim().parse().map_err(fault(path, FIX))
}

/// Brings up the loopback device and the card.
pub(crate) fn configure(settings: &Settings) -> Result<(), Fault> {
    let step = || format!("the network ({CARD}, {}/{})", settings.address.0, settings.address.1);
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None).map_err(fault(step(), FIX))?;
    let card = index(CARD)?;
    let mut requests = vec![up(index("lo")?), up(card), address(card, settings.address.0, settings.address.1)];
    requests.extend(settings.gateway.map(|gateway| route(card, gateway)));
    for request in requests {
        sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).map_err(fault(step(), FIX))?;
        let mut bytes = [0; ANSWER_BYTES];
        let (read, _) = recv(&socket, &mut bytes, RecvFlags::empty()).map_err(fault(step(), FIX))?;
        answer(&bytes[..read.min(ANSWER_BYTES)]).map_err(fault(step(), FIX))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_the_kernel_reads_them() {
        let request = address(2, Ipv4Addr::new(10, 0, 2, 15), 24);
        assert_eq!(request.len(), 16 + 8 + 2 * 8);
        assert_eq!(request[..8], [40, 0, 0, 0, 20, 0, 5, 6]);
        assert_eq!(request[16..24], [2, 24, 0, 0, 2, 0, 0, 0]);
        assert_eq!(request[24..32], [8, 0, 2, 0, 10, 0, 2, 15]);
        let request = route(2, Ipv4Addr::new(10, 0, 2, 2));
        assert_eq!(request.len(), 16 + 12 + 2 * 8);
        assert_eq!(request[28..], [8, 0, 5, 0, 10, 0, 2, 2, 8, 0, 4, 0, 2, 0, 0, 0]);
        assert_eq!(up(1).len(), 16 + 16);
    }

    #[test]
    fn an_answer_is_done_or_says_why() {
        let said = |code: i32| {
            let mut bytes = vec![36, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
            bytes.extend(code.to_ne_bytes());
            bytes
        };
        assert_eq!(answer(&said(0)), Ok(()));
        assert!(answer(&said(-17)).is_err_and(|cause| cause.contains("exists")));
        assert!(answer(&said(i32::MIN)).is_err());
        assert!(answer(&said(0)[..19]).is_err());
        assert!(answer(&[]).is_err());
    }

    /// The same requests before the kernel this test runs on: loopback exists everywhere, and is up already where it is used.
    #[test]
    fn this_kernel_understands_them() {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None);
        let socket = socket.expect("every process may ask the kernel");
        let request = address(u32::MAX >> 1, Ipv4Addr::LOCALHOST, 8);
        sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).expect("sent");
        let mut bytes = [0; ANSWER_BYTES];
        let (read, _) = recv(&socket, &mut bytes, RecvFlags::empty()).expect("answered");
        // No such device as root, not permitted as anybody else: either way the request was read.
        let cause = answer(&bytes[..read]).expect_err("no card has this index");
        assert!(cause.contains("os error 19") || cause.contains("os error 1)"), "{cause}");
    }
}
