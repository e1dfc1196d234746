//! The demo: the main job, told step by step against real processes.
//!
//! Decides: the order of the story and that nothing is left behind (processes, folders) however it ends. Every line it prints comes
//! from what happened. Trusts: nothing; the client verifies as any client does, under the simulated roots.
//! Out of scope: assertions (the suites make them); here a surprise ends the story with an error.

mod disk;
mod gap;
mod say;
mod story;
mod web;

use clap::Parser;
use say::Say;
use std::path::PathBuf;
use std::process::ExitCode;

/// The word that makes the demo program a node.
pub const NODE_WORD: &str = "simulated-node";

/// Starts three attested nodes on this machine, uses them, kills one, and shows what happens.
#[derive(Debug, Parser)]
#[command(name = "cargo demo", about, max_term_width = 100)]
struct Arguments {
    /// Leave the cluster running and print how to use the client against it, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Print one JSON object instead of the story: at its end, or with --web once the page is served.
    #[arg(long)]
    json: bool,
    /// Serve a page that verifies the cluster in a browser on this machine, in place of the story, until Ctrl-C.
    #[arg(long, conflicts_with = "keep")]
    web: bool,
    /// Port of 127.0.0.1 for the page; 0 takes any that is free.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "web")]
    port: u16,
    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS", requires = "web")]
    stay: Option<u64>,
    /// A module built before by `.ci/wasm.py module`, in place of building it.
    #[arg(long, value_name = "FILE", requires = "web")]
    module: Option<PathBuf>,
    /// Folder for the nodes' files; made if it does not exist. Default: a new one, removed at the end.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// What ended the story early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Starting or restarting nodes.
    #[error("{0}")]
    Local(#[from] crate::cluster::LocalError),
    /// No session.
    #[error("{0}")]
    Connect(#[from] ringwall_client::ConnectError),
    /// The card contradicts itself.
    #[error("{0}")]
    Card(#[from] ringwall_wire::genesis::CardError),
    /// A namespace.
    #[error("{0}")]
    Namespace(#[from] ringwall_client::NamespaceError),
    /// A write.
    #[error("{0}")]
    Write(#[from] ringwall_client::WriteError),
    /// A read.
    #[error("{0}")]
    Read(#[from] ringwall_client::ReadError),
    /// A file.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The cluster did not come to the state that was waited for.
    #[error("waited {seconds} s for {what}; last seen: {seen}\n{logs}")]
    Waited {
        /// How long.
        seconds: u64,
        /// For what.
        what: &'static str,
        /// What was seen instead.
        seen: String,
        /// Ends of the nodes' logs.
        logs: String,
    },
    /// The module of the page.
    #[error("the page has no module: {0}")]
    Module(String),
    /// The port of the page.
    #[error("port {port} of 127.0.0.1 cannot be served: {fault}; name another one with --port")]
    Port {
        /// Which.
        port: u16,
        /// What the system said.
        fault: std::io::Error,
    },
    /// The host was ordered to do what cannot be done now.
    #[error("{0}")]
    Refused(String),
    /// Something Ringwall promises did not hold.
    #[error("this must not happen: {0}")]
    Broken(String),
}

/// Runs the demo, or a node of it.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.nth(1).is_some_and(|word| word == NODE_WORD) {
        return crate::daemon::run(std::iter::once(NODE_WORD.into()).chain(arguments));
    }
    let arguments = Arguments::parse();
    let say = Say::new(arguments.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return say.failed(&DemoError::Io(error)),
    };
    let made = arguments.folder.is_none();
    let folder = arguments.folder.unwrap_or_else(|| std::env::temp_dir().join(format!("ringwall-demo-{}", std::process::id())));
    let outcome = runtime.block_on(async {
        if arguments.web {
            let stay = arguments.stay.map(std::time::Duration::from_secs);
            let wanted = web::Wanted { port: arguments.port, stay, module: arguments.module };
            return Some(web::run(&say, &folder, wanted).await);
        }
        tokio::select! {
            outcome = story::tell(&say, &folder, arguments.keep) => Some(outcome),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    if made {
        let _ = std::fs::remove_dir_all(&folder);
    }
    match outcome {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => say.failed(&error),
        None => {
            say.line("Interrupted: every node was stopped, nothing is left behind.");
            ExitCode::from(130)
        }
    }
}
