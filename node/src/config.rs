//! The configuration of a node: one TOML file, and flags over it.
//!
//! Decides: unknown fields, contradictions and unreadable files are refused with file, field, cause and fix. Everything security-relevant
//! ends up in the [`BootConfig`], which is bound into the evidence (slot, and the cluster by its id or its template's hash); the rest is
//! folders, addresses, logs and operational limits. Documented by deploy/ringwalld.example.toml, which a test reads.
//! Trusts: nobody with it: a changed file gives other evidence or another address. Out of scope: acting on it. Protocol section 2.1.

mod backup;
mod custody;
mod logs;
mod release;

pub use logs::{LogConfig, LogFormat, LogLevel};

use crate::custody::schedule::Timetable;
use crate::endorsements::settings::{FileEndorsements, Settings};
use crate::kbs::settings::{FileKbs, Settings as KbsSettings};
use crate::stapling::Staple;
use crate::web::settings::{FileWeb, Settings as WebSettings};
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::Message;
use ringwall_wire::genesis::{BootCluster, BootConfig, ClusterCard, GenesisTemplate, PROTOCOL_VERSION};
use ringwall_wire::ids::{Digest, Slot, UserId};
use ringwall_wire::limits::{REATTEST_MOST_S, SLOTS};
use ringwall_wire::order::ReplaceOrder;
use ringwall_wire::policy::PolicyDoc;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a configuration file: a real one has under 4 KiB.
const CONFIG_BYTES: u64 = 1024 * 1024;
/// Bytes of a card, template or policy file: the policy is the large part.
const CARD_BYTES: u64 = 512 * 1024;

/// Why a node cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{file}: cannot be read: {cause}; check that it exists and that this user may read it", file = file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A file is far larger than any of its kind.
    #[error("{file}: {bytes} bytes, at most {max}; is it the right file?", file = file.display())]
    TooLarge {
        /// Which.
        file: PathBuf,
        /// Its size.
        bytes: u64,
        /// Limit.
        max: u64,
    },
    /// The file is not TOML, or has a field nobody knows, or a field of another kind.
    #[error("{file}: {place}: {cause}; compare with ringwalld.example.toml, which documents every field", file = file.display())]
    Syntax {
        /// Which.
        file: PathBuf,
        /// Line and column.
        place: String,
        /// What is wrong there, with the field's name.
        cause: String,
    },
    /// A field has a value that cannot be used.
    #[error("{file}: field `{field}`: {cause}; {fix}", file = file.display())]
    Field {
        /// Which file.
        file: PathBuf,
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        cause: String,
        /// What to do.
        fix: &'static str,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileConfig {
    data: Option<PathBuf>,
    slot: Option<u8>,
    listen: Option<String>,
    advertise: Option<String>,
    advertise_clients: Option<String>,
    release_proof: Option<PathBuf>,
    #[serde(default)]
    cluster: FileCluster,
    #[serde(default)]
    peers: FilePeers,
    #[serde(default)]
    log: LogConfig,
    #[serde(default)]
    limits: FileLimits,
    #[serde(default)]
    timing: FileTiming,
    #[serde(default)]
    endorsements: FileEndorsements,
    #[serde(default)]
    custody: custody::FileCustody,
    kbs: Option<FileKbs>,
    #[serde(default)]
    backup: backup::FileBackup,
    web: Option<FileWeb>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCluster {
    card: Option<PathBuf>,
    template: Option<PathBuf>,
    policy: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePeers {
    #[serde(default)]
    addresses: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileLimits {
    connections: u32,
    connections_per_address: u32,
    handshake_ms: u64,
    disk_reserve_mib: u64,
    reattest_s: u32,
}

impl Default for FileLimits {
    fn default() -> Self {
        FileLimits {
            connections: 4_096,
            connections_per_address: 512,
            handshake_ms: 5_000,
            disk_reserve_mib: 512,
            reattest_s: REATTEST_MOST_S,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileTiming {
    heartbeat_ms: u64,
    election_min_ms: u64,
    election_max_ms: u64,
}

impl Default for FileTiming {
    fn default() -> Self {
        FileTiming { heartbeat_ms: 50, election_min_ms: 250, election_max_ms: 500 }
    }
}

/// What the command line says over the file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Configuration file (TOML).
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
    /// Data folder, over `data`.
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Slot of this node, over `slot`.
    #[arg(long, value_name = "NUMBER")]
    pub slot: Option<u8>,
    /// UDP address to listen on, over `listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Address members and clients are told, over `advertise`.
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Cluster card, over `cluster.card`.
    #[arg(long, value_name = "FILE")]
    pub card: Option<PathBuf>,
    /// Another node's address, besides `peers.addresses`; may be repeated.
    #[arg(long = "peer", value_name = "HOST:PORT")]
    pub peers: Vec<String>,
    /// Signed order of the governors to replace the slot's incumbent although it answers (`ringwall slot`); for `run` alone.
    #[arg(long, value_name = "FILE")]
    pub replace_order: Option<PathBuf>,
    /// Level of logs, over `log.level`.
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// Form of logs, over `log.format`.
    #[arg(long, value_enum, value_name = "FORM")]
    pub log_format: Option<LogFormat>,
}

/// How much of the machine strangers and users may use; operational.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address (of IPv6: from one /64, which is what one customer has).
    pub connections_per_address: usize,
    /// Longest time for the handshake of the outer pipe, and for each message before a session between nodes is open.
    pub handshake: Duration,
    /// Free bytes of the data folder's file system below which puts are refused; 0 for no reserve.
    pub disk_reserve_bytes: u64,
    /// Age at which a session ends; the policy may want less.
    pub reattest: Duration,
}

/// Raft's timers; operational (no safety rests on them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
    /// Milliseconds without a leader until an election, at least and at most.
    pub election_ms: (u64, u64),
}

/// What is founded, or what is joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterPart {
    /// A cluster from this template, under this policy.
    Found(Box<GenesisTemplate>, Box<PolicyDoc>),
    /// The cluster of this card.
    Join(Box<ClusterCard>),
}

/// A complete, consistent configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Data folder.
    pub data: PathBuf,
    /// UDP address to listen on.
    pub listen: SocketAddr,
    /// Where members are told to find this node.
    pub advertise_peers: Text<128>,
    /// Where clients are told to find this node.
    pub advertise_clients: Text<128>,
    /// The cluster.
    pub cluster: ClusterPart,
    /// Where other nodes may be.
    pub peers: Vec<Text<128>>,
    /// Logs.
    pub log: LogConfig,
    /// Limits.
    pub limits: Limits,
    /// Timers.
    pub timing: Timing,
    /// How often shares and master keys are made anew.
    pub custody: Timetable,
    /// Where endorsements come from.
    pub endorsements: Settings,
    /// How the key broker protocol is offered to workloads; none for not at all.
    pub kbs: Option<KbsSettings>,
    /// Users who may fetch snapshots of the whole state, sealed as it is. Operational: the operator has the same bytes on the disk.
    pub backup_users: Vec<UserId>,
    /// Whether pages are let in, and how; none for not at all.
    pub web: Option<WebSettings>,
    /// The proof of release it hands out.
    pub staple: Arc<Staple>,
    /// What is bound into the evidence.
    pub boot: BootConfig,
    /// The governors' order this node joins with. Whether it holds, the cluster says.
    pub replace_order: Option<ReplaceOrder>,
}

/// What the caller wants to do, which decides what `[cluster]` must name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Found a cluster: a template and a policy.
    Found,
    /// Join one: a card.
    Join,
}

/// Reads the file and lays the flags over it.
pub fn load(flags: &Flags, purpose: Purpose) -> Result<Config, ConfigError> {
    let file = &flags.config;
    let text = read(file, CONFIG_BYTES)?;
    let text = String::from_utf8(text).map_err(|_| ConfigError::Syntax {
        file: file.clone(),
        place: "file".into(),
        cause: "it is not UTF-8 text".into(),
    })?;
    let raw: FileConfig = toml::from_str(&text).map_err(|fault| ConfigError::Syntax {
        file: file.clone(),
        place: fault.span().map_or_else(|| "file".into(), |span| place(&text, span.start)),
        cause: fault.message().replace('\n', " "),
    })?;
    Reading { file, base: file.parent().unwrap_or(Path::new(".")) }.complete(raw, flags, purpose)
}

fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().map_or(0, str::len).saturating_add(1);
    format!("line {line}, column {column}")
}

fn read(file: &Path, max: u64) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |cause| ConfigError::Unreadable { file: file.to_path_buf(), cause };
    let bytes = std::fs::metadata(file).map_err(unreadable)?.len();
    if bytes > max {
        return Err(ConfigError::TooLarge { file: file.to_path_buf(), bytes, max });
    }
    std::fs::read(file).map_err(unreadable)
}

struct Reading<'a> {
    file: &'a Path,
    base: &'a Path,
}

impl Reading<'_> {
    fn complete(&self, raw: FileConfig, flags: &Flags, purpose: Purpose) -> Result<Config, ConfigError> {
        let data = flags.data.clone().or_else(|| raw.data.map(|path| self.base.join(path)));
        let data = data.ok_or_else(|| self.fault("data", "it is missing", "name the folder this node may write to"))?;
        let slot =
            flags.slot.or(raw.slot).ok_or_else(|| self.fault("slot", "it is missing", "give the number of a slot of the cluster"))?;
        let listen = flags.listen.clone().or(raw.listen);
        let listen =
            listen.ok_or_else(|| self.fault("listen", "it is missing", "give an address and a UDP port, as in \"0.0.0.0:7400\""))?;
        let listen: SocketAddr = listen.parse().map_err(|_| {
            self.fault("listen", format!("{listen:?} is no address and port"), "write it as \"0.0.0.0:7400\" or \"[::]:7400\"")
        })?;
        let advertised = flags.advertise.clone().or(raw.advertise);
        let advertise_peers = match advertised {
            Some(address) => self.address("advertise", address)?,
            None if listen.ip().is_unspecified() => {
                return Err(self.fault(
                    "advertise",
                    format!("it is missing and `listen` is {listen}, which nobody can dial"),
                    "give the address other nodes and clients reach this node at",
                ));
            }
            None => self.address("advertise", listen.to_string())?,
        };
        let advertise_clients = match raw.advertise_clients {
            Some(address) => self.address("advertise_clients", address)?,
            None => advertise_peers.clone(),
        };
        let mut peers = Vec::new();
        for address in raw.peers.addresses.into_iter().chain(flags.peers.iter().cloned()) {
            peers.push(self.address("peers.addresses", address)?);
        }
        let cluster = self.cluster(raw.cluster, flags, purpose)?;
        let boot = self.boot_config(&cluster, Slot(slot))?;
        let log = LogConfig { format: flags.log_format.unwrap_or(raw.log.format), level: flags.log_level.unwrap_or(raw.log.level) };
        let limits = self.limits(&raw.limits)?;
        let timing = self.timing(&raw.timing)?;
        let custody = self.custody(&raw.custody)?;
        let replace_order = self.replace_order(flags, purpose)?;
        let endorsements = Settings::read(&raw.endorsements, self.base).map_err(|fault| self.fault(fault.field, fault.cause, fault.fix))?;
        let kbs = raw.kbs.map(|kbs| kbs.read(|path| self.base.join(path))).transpose();
        let kbs = kbs.map_err(|(field, cause, fix)| self.fault(field, cause, fix))?;
        let web = raw.web.map(|web| web.read(data.clone(), &advertise_clients, |path| self.base.join(path))).transpose();
        let web = web.map_err(|(field, cause, fix)| self.fault(field, cause, fix))?;
        Ok(Config {
            data,
            listen,
            advertise_peers,
            advertise_clients,
            cluster,
            peers,
            log,
            limits,
            timing,
            custody,
            endorsements,
            kbs,
            backup_users: self.backup_users(&raw.backup)?,
            web,
            staple: self.staple(raw.release_proof.as_deref())?,
            boot,
            replace_order,
        })
    }

    fn fault(&self, field: &'static str, cause: impl Into<String>, fix: &'static str) -> ConfigError {
        ConfigError::Field { file: self.file.to_path_buf(), field, cause: cause.into(), fix }
    }

    /// `host:port`; hosts are looked up when they are dialled.
    fn address(&self, field: &'static str, address: String) -> Result<Text<128>, ConfigError> {
        let legal = address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
        let text = Text::new(address.clone()).ok().filter(|_| legal);
        text.ok_or_else(|| self.fault(field, format!("{address:?} is no host and port"), "write it as \"host:7400\", at most 128 bytes"))
    }

    fn cluster(&self, raw: FileCluster, flags: &Flags, purpose: Purpose) -> Result<ClusterPart, ConfigError> {
        match purpose {
            Purpose::Join => {
                let named = flags.card.clone().or_else(|| raw.card.map(|path| self.base.join(path)));
                let path = named.ok_or_else(|| {
                    self.fault("cluster.card", "it is missing", "name the cluster card that `found` wrote on the first node")
                })?;
                let card: ClusterCard = self.message("cluster.card", &path)?;
                card.pinned()
                    .map_err(|fault| self.fault("cluster.card", fault.to_string(), "fetch the card again from a source you trust"))?;
                Ok(ClusterPart::Join(Box::new(card)))
            }
            Purpose::Found => {
                let missing = |field| self.fault(field, "it is missing", "founding needs a template and the policy it names");
                let template = self.base.join(raw.template.ok_or_else(|| missing("cluster.template"))?);
                let policy = self.base.join(raw.policy.ok_or_else(|| missing("cluster.policy"))?);
                let template: GenesisTemplate = self.message("cluster.template", &template)?;
                let policy: PolicyDoc = self.message("cluster.policy", &policy)?;
                if Digest(policy.digest()) != template.policy
                    || policy.trust_domain != template.trust_domain
                    || policy.slots != template.slots
                {
                    let cause = "it is not the policy the template names (hash, trust domain and slots must agree)";
                    return Err(self.fault("cluster.policy", cause, "use the pair of files that was made together"));
                }
                Ok(ClusterPart::Found(Box::new(template), Box::new(policy)))
            }
        }
    }

    fn replace_order(&self, flags: &Flags, purpose: Purpose) -> Result<Option<ReplaceOrder>, ConfigError> {
        let Some(path) = &flags.replace_order else { return Ok(None) };
        match purpose {
            Purpose::Join => self.message("--replace-order", path).map(Some),
            Purpose::Found => Err(self.fault("--replace-order", "a cluster that is founded has nobody to replace", "leave it out")),
        }
    }

    fn message<M: Message>(&self, field: &'static str, path: &Path) -> Result<M, ConfigError> {
        M::decode(&read(path, CARD_BYTES)?).map_err(|fault| {
            self.fault(field, format!("{} is not what it should be: {fault}", path.display()), "name the right file, unchanged")
        })
    }

    fn boot_config(&self, cluster: &ClusterPart, slot: Slot) -> Result<BootConfig, ConfigError> {
        let (template, named) = match cluster {
            ClusterPart::Found(template, _) => (template.as_ref(), BootCluster::Found(Digest(template.digest()))),
            ClusterPart::Join(card) => (&card.genesis.template, BootCluster::Join(card.genesis.cluster_id())),
        };
        if !template.slots.iter().any(|rule| rule.slot == slot) {
            let slots: Vec<u8> = template.slots.iter().map(|rule| rule.slot.0).collect();
            return Err(self.fault("slot", format!("{slot} is no slot of the cluster, which has {slots:?}"), "use one of them"));
        }
        Ok(BootConfig { protocol: PROTOCOL_VERSION, trust_domain: template.trust_domain, cluster: named, slot })
    }

    fn limits(&self, raw: &FileLimits) -> Result<Limits, ConfigError> {
        let least = 2 * SLOTS as u32;
        if raw.connections < least {
            let cause = format!("{} is too few: members alone need {least}", raw.connections);
            return Err(self.fault("limits.connections", cause, "raise it or leave it out"));
        }
        if raw.connections_per_address < 2 || raw.connections_per_address > raw.connections {
            let cause = format!("{} is not between 2 and limits.connections", raw.connections_per_address);
            return Err(self.fault("limits.connections_per_address", cause, "change it or leave it out"));
        }
        if !(100..=60_000).contains(&raw.handshake_ms) {
            let cause = format!("{} is not between 100 and 60000", raw.handshake_ms);
            return Err(self.fault("limits.handshake_ms", cause, "change it or leave it out"));
        }
        if !(1..=REATTEST_MOST_S).contains(&raw.reattest_s) {
            let cause = format!("{} is not between 1 and {REATTEST_MOST_S}, which is a day", raw.reattest_s);
            return Err(self.fault("limits.reattest_s", cause, "change it or leave it out"));
        }
        let disk_reserve_bytes = raw.disk_reserve_mib.checked_mul(1024 * 1024).ok_or_else(|| {
            let cause = format!("{} is more than any disk has", raw.disk_reserve_mib);
            self.fault("limits.disk_reserve_mib", cause, "change it or leave it out")
        })?;
        Ok(Limits {
            connections: raw.connections as usize,
            connections_per_address: raw.connections_per_address as usize,
            handshake: Duration::from_millis(raw.handshake_ms),
            disk_reserve_bytes,
            reattest: Duration::from_secs(u64::from(raw.reattest_s)),
        })
    }

    fn timing(&self, raw: &FileTiming) -> Result<Timing, ConfigError> {
        if !(10..=5_000).contains(&raw.heartbeat_ms) {
            let cause = format!("{} is not between 10 and 5000", raw.heartbeat_ms);
            return Err(self.fault("timing.heartbeat_ms", cause, "change it or leave it out"));
        }
        if raw.election_min_ms < raw.heartbeat_ms.saturating_mul(3) {
            let cause = format!("{} is below three heartbeats ({} ms each)", raw.election_min_ms, raw.heartbeat_ms);
            return Err(self.fault("timing.election_min_ms", cause, "raise it, or one lost heartbeat starts an election"));
        }
        if raw.election_max_ms <= raw.election_min_ms || raw.election_max_ms > 60_000 {
            let cause = format!("{} is not above election_min_ms and at most 60000", raw.election_max_ms);
            return Err(self.fault("timing.election_max_ms", cause, "elections need some spread: twice election_min_ms is good"));
        }
        Ok(Timing { heartbeat_ms: raw.heartbeat_ms, election_ms: (raw.election_min_ms, raw.election_max_ms) })
    }
}
