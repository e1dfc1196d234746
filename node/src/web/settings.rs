//! Whether a node lets pages in, and through which doors: the part of the configuration.
//!
//! Decides: WebTransport on the node's own UDP address, WebSocket on a TCP address, or both; without the section neither. Operational: a page is let in
//! to the same sessions as any client, and judges the node by its evidence. Trusts: nobody with it. Out of scope: serving. Protocol section 3.5.

use crate::web::PATH;
use ringwall_wire::bounded::Text;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The section as it stands in a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileWeb {
    #[serde(default = "yes")]
    transport: bool,
    folder: Option<PathBuf>,
    socket_listen: Option<String>,
    socket: Option<String>,
}

fn yes() -> bool {
    true
}

/// Which doors there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder with the seed of the certificates; none where WebTransport is not offered.
    pub transport: Option<PathBuf>,
    /// TCP address of WebSocket, and where pages are told to find it; none where it is not offered.
    pub socket: Option<(SocketAddr, Text<128>)>,
}

impl FileWeb {
    /// The settings, or the field that cannot be used, why, and what to do. `clients` is the address clients are told.
    pub fn read(
        self,
        data: PathBuf,
        clients: &str,
        resolve: impl Fn(PathBuf) -> PathBuf,
    ) -> Result<Settings, (&'static str, String, &'static str)> {
        let transport = self.transport.then(|| self.folder.clone().map_or(data, resolve));
        if self.folder.is_some() && transport.is_none() {
            return Err(("web.folder", "it has no use where web.transport is off".into(), "leave it out"));
        }
        let socket = match (self.socket_listen, self.socket) {
            (None, None) => None,
            (None, Some(_)) => {
                return Err(("web.socket", "there is no web.socket_listen".into(), "name the TCP address to listen on, too"));
            }
            (Some(listen), told) => {
                let listen: SocketAddr = listen
                    .parse()
                    .map_err(|_| ("web.socket_listen", format!("{listen:?} is no address"), "write it as \"0.0.0.0:7401\""))?;
                let host = clients.rsplit_once(':').map_or(clients, |(host, _)| host);
                let told = told.unwrap_or_else(|| format!("ws://{host}:{}{PATH}", listen.port()));
                Some((listen, address(&told)?))
            }
        };
        if transport.is_none() && socket.is_none() {
            return Err(("web.transport", "no door is left open".into(), "leave the whole section out, or name web.socket_listen"));
        }
        Ok(Settings { transport, socket })
    }
}

/// The whole address of a WebSocket door: its path is ours, since a proxy in front hands on what it was asked for.
fn address(told: &str) -> Result<Text<128>, (&'static str, String, &'static str)> {
    let rest = told.strip_prefix("ws://").or_else(|| told.strip_prefix("wss://"));
    let host = rest.and_then(|rest| rest.strip_suffix(PATH));
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | ':' | '[' | ']');
    let legal = host.is_some_and(|host| !host.is_empty() && host.chars().all(plain));
    Text::new(told).ok().filter(|_| legal).ok_or((
        "web.socket",
        format!("{told:?} is no address of this door"),
        "write it as \"wss://HOST/ringwall\", at most 128 bytes",
    ))
}
