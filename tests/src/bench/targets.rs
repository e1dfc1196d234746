//! The two systems under the same load.
//!
//! Decides: connections: as many as clients, at most [`SOCKETS`], spread over all members. Each Ringwall connection is a user of its
//! own with keys of its own; etcd has no such thing. Trusts: nothing. Out of scope: the load (`load.rs`).

use super::etcd::EtcdCluster;
use super::grpc::{Channel, put_request, range_request};
use super::load::{KEYS, Target};
use crate::local;
use ringwall_client::{Client, NamespaceHandle};
use ringwall_sim::cluster::LocalCluster;

/// Most connections of one point.
pub const SOCKETS: usize = 64;

/// Three Ringwall nodes.
pub struct RingwallTarget {
    handles: Vec<NamespaceHandle>,
}

impl RingwallTarget {
    /// Opens attested sessions, each with one node, spread over all.
    pub async fn connect(cluster: &LocalCluster, clients: usize) -> Result<Self, String> {
        let mut handles = Vec::new();
        let nodes = cluster.slots().count();
        for number in 0..clients.min(SOCKETS) {
            let mut options = local::options(cluster);
            // The first address is where the session starts; the others are for failures.
            options.addresses.rotate_left(number % nodes);
            let client = Client::connect(options).await.map_err(|error| error.to_string())?;
            handles.push(client.namespace("bench").await.map_err(|error| error.to_string())?);
        }
        Ok(RingwallTarget { handles })
    }

    fn handle(&self, client: usize) -> &NamespaceHandle {
        &self.handles[client % self.handles.len()]
    }
}

impl Target for RingwallTarget {
    fn partitions(&self) -> usize {
        self.handles.len()
    }

    async fn put(&self, client: usize, key: usize, value: &[u8]) -> Result<(), String> {
        self.handle(client).put(key_name(key), value).await.map(drop).map_err(|error| error.to_string())
    }

    async fn get(&self, client: usize, key: usize) -> Result<usize, String> {
        match self.handle(client).get(key_name(key)).await {
            Ok(Some(found)) => Ok(found.value.len()),
            Ok(None) => Err("the key is not there".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Three etcd members.
pub struct EtcdTarget {
    channels: Vec<Channel>,
}

impl EtcdTarget {
    /// Opens connections with mutual TLS, spread over all members.
    pub async fn connect(cluster: &EtcdCluster, clients: usize) -> Result<Self, String> {
        let mut channels = Vec::new();
        for number in 0..clients.min(SOCKETS) {
            let address = cluster.clients[number % cluster.clients.len()];
            channels.push(Channel::connect(address, cluster.tls.clone()).await.map_err(|error| error.to_string())?);
        }
        Ok(EtcdTarget { channels })
    }

    fn channel(&self, client: usize) -> &Channel {
        &self.channels[client % self.channels.len()]
    }
}

impl Target for EtcdTarget {
    async fn put(&self, client: usize, key: usize, value: &[u8]) -> Result<(), String> {
        let request = put_request(key_name(key).as_bytes(), value);
        self.channel(client).call("/etcdserverpb.KV/Put", request).await.map(drop).map_err(|error| error.to_string())
    }

    async fn get(&self, client: usize, key: usize) -> Result<usize, String> {
        let request = range_request(key_name(key).as_bytes());
        let answer = self.channel(client).call("/etcdserverpb.KV/Range", request).await.map_err(|error| error.to_string())?;
        super::grpc::value_bytes(&answer).ok_or_else(|| "the key is not there".into())
    }
}

fn key_name(key: usize) -> String {
    debug_assert!(key < KEYS);
    format!("bench/key/{key:09}")
}
