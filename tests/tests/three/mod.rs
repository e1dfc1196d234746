//! A cluster of three, two AMD and one Intel, for one test.
//!
//! Decides: the machines. Trusts: nothing. Out of scope: what the test does with them.
#![allow(dead_code, unreachable_pub, clippy::panic)]

use ringwall_client::Client;
use ringwall_sim::cluster::{Launch, LocalCluster, Machine};
use ringwall_tests::local;

/// Three voters and a user; everything ends with it.
pub struct Three {
    /// The nodes.
    pub cluster: LocalCluster,
    /// A user who watches the cluster.
    pub user: Client,
    folder: tempfile::TempDir,
}

/// How this test's nodes are started.
pub fn launch() -> Launch {
    Launch { program: env!("CARGO_BIN_EXE_sim-node").into(), arguments: Vec::new() }
}

impl Three {
    /// Starts them and waits until all three vote.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder can be made");
        let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
        let cluster = LocalCluster::start(folder.path(), launch(), &machines).unwrap_or_else(|error| panic!("{error}"));
        let user = local::client(&cluster).await;
        local::voters(&user, &cluster, 3).await;
        Three { cluster, user, folder }
    }

    /// The folder everything is in.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}
