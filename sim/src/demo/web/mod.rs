//! `cargo demo --web`: the cluster of the demo, and a page that verifies it in a browser on this machine.
//!
//! Decides: the order (module, cluster, papers, server), that orders are carried out one after the other, and that everything ends on Ctrl-C, on SIGTERM or when the time
//! is over. Trusts: nothing; the page verifies as any client does, under the simulated roots its module was built with.
//! Out of scope: the page (client/web/page), HTTP (`serve.rs`), paths (`desk.rs`), what a host can do (`host.rs`). docs/web.md.

mod desk;
mod doors;
mod host;
mod module;
mod papers;
mod releases;
mod serve;

use super::say::Say;
use super::{DemoError, NODE_WORD};
use crate::cluster::Launch;
use desk::{Order, WebDesk};
use host::Host;
use serde_json::{Value, json};
use serve::{Server, content_policy};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Where to serve on loopback; 0 for any free port.
    pub port: u16,
    /// Ends after so long.
    pub stay: Option<Duration>,
    /// A module that was built before.
    pub module: Option<PathBuf>,
}

/// Runs it to its end.
pub(super) async fn run(say: &Say, folder: &Path, wanted: Wanted) -> Result<(), DemoError> {
    let mut ends = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = served(say, folder, &wanted) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = ends.recv() => Ok(()),
    }?;
    say.line("Ended: every node was stopped, nothing is left behind.");
    Ok(())
}

async fn served(say: &Say, folder: &Path, wanted: &Wanted) -> Result<(), DemoError> {
    // The port is taken first: whoever waits for the module does not find it in use afterwards.
    let server = Server::bind(wanted.port).await.map_err(|fault| DemoError::Port { port: wanted.port, fault })?;
    let tree = module::tree();
    let module = module(say, &tree, wanted.module.clone()).await?;
    say.heading("Three nodes on this machine, as three processes: two AMD SEV-SNP, one Intel TDX (simulated)");
    let begun = Instant::now();
    let wait = say.working("founding the cluster, nodes attest each other and join, custodians take their shares");
    let host = Host::start(&folder.join("cluster"), Launch::this_program(NODE_WORD)?).await?;
    let papers = folder.join("papers");
    papers::write_minted(&papers)?;
    papers::write_of_cluster(&papers, &host).await?;
    wait.finish_and_clear();
    say.line(&format!("Cluster {} is up after {:.1} s.", host.cluster().card().genesis.cluster_id(), begun.elapsed().as_secs_f64()));

    let (orders, taken) = mpsc::channel(1);
    let desk = WebDesk::new(&tree.join("client/web/page"), module, &papers, orders)?;
    let doors: Vec<String> = host.doors().iter().flat_map(doors::origins).collect();
    told(say, &server, &desk, &host, &papers, wanted);
    let stay = async {
        match wanted.stay {
            Some(stay) => tokio::time::sleep(stay).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        outcome = server.serve(Arc::new(desk), content_policy(&doors)) => outcome.map_err(DemoError::Io),
        outcome = obeyed(say, host, taken, &papers) => outcome,
        () = stay => Ok(()),
    }
}

/// The module's bytes, on a thread that may wait for the compiler.
async fn module(say: &Say, tree: &Path, built: Option<PathBuf>) -> Result<Vec<u8>, DemoError> {
    say.heading("The module of the page, from the sources of this tree");
    let wait = say.working("building it (minutes, the first time)");
    let tree = tree.to_owned();
    let reading = tokio::task::spawn_blocking(move || match built {
        Some(path) => module::read(&path),
        None => module::built(&tree),
    });
    let module = reading.await.map_err(|fault| DemoError::Module(fault.to_string()))??;
    wait.finish_and_clear();
    Ok(module)
}

/// Says where everything is.
fn told(say: &Say, server: &Server, desk: &WebDesk, host: &Host, papers: &Path, wanted: &Wanted) {
    let cluster = host.cluster();
    let nodes: Vec<Value> = cluster.slots().map(|slot| json!({ "slot": slot, "address": cluster.address(slot).to_string() })).collect();
    say.result(&json!({
        "ok": true,
        "url": server.url(),
        "cluster": cluster.card().genesis.cluster_id().to_string(),
        "card": papers.join("cluster.card"),
        "papers": papers,
        "module": desk.module_digest().to_string(),
        "nodes": nodes,
    }));
    say.line(&format!("The module has SHA-256 {}.", desk.module_digest()));
    // Browsers make passkeys for a name, and for no number.
    say.heading(&format!("Open {} in a browser on this machine", server.url().replacen("127.0.0.1", "localhost", 1)));
    let end = wanted.stay.map_or_else(|| "until you press Ctrl-C".to_owned(), |stay| format!("for {} s, or until Ctrl-C", stay.as_secs()));
    say.line(&format!("It is served {end}. The page has the card of this cluster; what a host can do to you is a button on it."));
}

/// Carries out orders, one after the other. One that cannot be carried out is told to whoever gave it; the demo goes on.
async fn obeyed(say: &Say, mut host: Host, mut taken: mpsc::Receiver<Order>, papers: &Path) -> Result<(), DemoError> {
    while let Some(Order { deed, tell }) = taken.recv().await {
        let done = host.does(deed).await;
        if done.is_ok() {
            papers::write_of_cluster(papers, &host).await?;
        }
        let words = done.map_err(|fault| fault.to_string());
        say.line(&format!("The host: {}", words.as_ref().unwrap_or_else(|words| words)));
        // Whoever ordered it may have left.
        let _ = tell.send(words);
    }
    Ok(())
}
