//! Whether a node offers the key broker protocol, and how: the part of the configuration.
//!
//! Decides: an address, names for the certificate, a folder of endorsements; without the section nothing is offered. Operational: who is granted
//! what is decided by grant policies, which no configuration touches. Trusts: nobody with it. Out of scope: serving (`serve.rs`).

use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Names a certificate may have.
const NAMES: usize = 16;

/// The section as it stands in a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileKbs {
    listen: String,
    names: Vec<String>,
    endorsements: Option<PathBuf>,
}

/// How the protocol is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// TCP address.
    pub listen: SocketAddr,
    /// DNS names and IP addresses guests find the node under, for its certificate.
    pub names: Vec<String>,
    /// Folder with what the vendors say about machines of workloads; none where guests bring everything themselves.
    pub endorsements: Option<PathBuf>,
}

impl FileKbs {
    /// The settings, or the field that cannot be used, why, and what to do.
    pub fn read(self, resolve: impl Fn(PathBuf) -> PathBuf) -> Result<Settings, (&'static str, String, &'static str)> {
        let listen = self.listen.parse().map_err(|_| ("kbs.listen", format!("{:?} is no address", self.listen), "write ADDRESS:PORT"))?;
        let plain = |name: &String| {
            let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | ':');
            !name.is_empty() && name.len() <= 253 && name.chars().all(legal)
        };
        if self.names.is_empty() || self.names.len() > NAMES || !self.names.iter().all(plain) {
            return Err(("kbs.names", "there must be 1 to 16 DNS names or IP addresses".into(), "name what guests dial"));
        }
        Ok(Settings { listen, names: self.names, endorsements: self.endorsements.map(resolve) })
    }
}
