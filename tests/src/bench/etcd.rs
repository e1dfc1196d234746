//! The peer to beat: three etcd members on loopback with mutual TLS, made fresh for one run and removed after it.
//!
//! Decides: flags (fsync on, the default; quota raised so that a long run does not hit it), certificates, folders, teardown.
//! Trusts: the `etcd` on the PATH, or the one of Debian's package `etcd-server`, which is installed where that is possible without a
//! question. Out of scope: any other version of etcd.

use super::grpc::Channel;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why etcd could not be started.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// No etcd here, and no way to get it without asking.
    #[error("no `etcd` program found ({why}): install Debian's package `etcd-server` (as root: apt-get install etcd-server)")]
    NotInstalled {
        /// Why it was not installed.
        why: String,
    },
    /// It did not come up.
    #[error("etcd member {member} did not answer within {seconds} s; its log is {log}")]
    NotReady {
        /// Index of the member.
        member: usize,
        /// How long it was waited for.
        seconds: u64,
        /// Its log file.
        log: String,
    },
    /// Files or processes.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Certificates.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS settings.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Three members.
pub struct EtcdCluster {
    members: Vec<Child>,
    /// Where clients connect.
    pub clients: Vec<SocketAddr>,
    /// Client settings for mutual TLS.
    pub tls: Arc<rustls::ClientConfig>,
    /// Version line of the program.
    pub version: String,
}

struct Files {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl EtcdCluster {
    /// Starts three members in `folder` and waits until each answers a read.
    pub async fn start(folder: &Path) -> Result<Self, EtcdError> {
        let version = match version() {
            Some(version) => version,
            None => installed()?,
        };
        std::fs::create_dir_all(folder)?;
        let (files, tls) = certificates(folder)?;
        let ports = free_ports(6)?;
        let (client_ports, peer_ports) = ports.split_at(3);
        let initial: Vec<String> = peer_ports.iter().enumerate().map(|(i, port)| format!("m{i}=https://127.0.0.1:{port}")).collect();
        let mut members = Vec::new();
        for i in 0..3 {
            members.push(spawn_member(folder, &files, i, client_ports, peer_ports, &initial.join(","))?);
        }
        let clients = client_ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect();
        let cluster = EtcdCluster { members, clients, tls, version };
        for (member, address) in cluster.clients.iter().enumerate() {
            cluster.wait(member, *address, folder).await?;
        }
        Ok(cluster)
    }

    /// Process ids, for CPU and memory.
    pub fn pids(&self) -> Vec<u32> {
        self.members.iter().map(Child::id).collect()
    }

    async fn wait(&self, member: usize, address: SocketAddr, folder: &Path) -> Result<(), EtcdError> {
        let seconds = 30;
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            if let Ok(channel) = Channel::connect(address, self.tls.clone()).await
                && channel.call("/etcdserverpb.KV/Range", super::grpc::range_request(b"ready")).await.is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(EtcdError::NotReady { member, seconds, log: folder.join(format!("m{member}.log")).display().to_string() })
    }
}

impl Drop for EtcdCluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

/// First line of `etcd --version`, when there is one.
pub fn version() -> Option<String> {
    let output = Command::new("etcd").arg("--version").output().ok()?;
    String::from_utf8(output.stdout).ok()?.lines().next().map(str::to_owned)
}

/// Installs Debian's package, and returns the version line of the program. Needs root and `apt-get`; asks nothing.
fn installed() -> Result<String, EtcdError> {
    let missing = |why: &str| EtcdError::NotInstalled { why: why.to_owned() };
    if !rustix::process::geteuid().is_root() {
        return Err(missing("not root, so it cannot be installed here"));
    }
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(words).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let install = ["install", "-y", "--no-install-recommends", "etcd-server"];
    // The list of packages may be older than the package: look once more after fetching it.
    let done = apt(&install) || (apt(&["update"]) && apt(&install));
    if !done {
        return Err(missing("apt-get could not install it"));
    }
    version().ok_or_else(|| missing("it was installed and does not start"))
}

fn spawn_member(folder: &Path, files: &Files, i: usize, clients: &[u16], peers: &[u16], initial: &str) -> Result<Child, EtcdError> {
    let client = format!("https://127.0.0.1:{}", clients[i]);
    let peer = format!("https://127.0.0.1:{}", peers[i]);
    let log = std::fs::File::create(folder.join(format!("m{i}.log")))?;
    let mut command = Command::new("etcd");
    command
        .args(["--name", &format!("m{i}"), "--data-dir"])
        .arg(folder.join(format!("m{i}")))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", initial, "--initial-cluster-state", "new", "--logger", "zap"])
        .args(["--quota-backend-bytes", "8000000000", "--client-cert-auth", "--peer-client-cert-auth"]);
    for side in ["", "peer-"] {
        command.arg(format!("--{side}cert-file")).arg(&files.cert);
        command.arg(format!("--{side}key-file")).arg(&files.key);
        command.arg(format!("--{side}trusted-ca-file")).arg(&files.ca);
    }
    Ok(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?)
}

fn certificates(folder: &Path) -> Result<(Files, Arc<rustls::ClientConfig>), EtcdError> {
    let ca_key = rcgen::KeyPair::generate()?;
    let mut ca = rcgen::CertificateParams::new(Vec::<String>::new())?;
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "benchmark CA");
    let ca_cert = ca.self_signed(&ca_key)?;
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate()?;
    let mut leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let cert = leaf.signed_by(&key, &issuer)?;
    let files = Files { ca: folder.join("ca.pem"), cert: folder.join("cert.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.ca, ca_cert.pem())?;
    std::fs::write(&files.cert, cert.pem())?;
    std::fs::write(&files.key, key.serialize_pem())?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca_cert.der().clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![cert.der().clone()], private)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok((files, Arc::new(tls)))
}

fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
