//! `ringwall-sim log` and `ringwall-sim witness`: the simulated log and its witnesses as programs of their own.
//!
//! Decides: what can be typed; keys follow from names, so that whoever knows a name knows the key, and every process sees one world. The first line that
//! is printed says where it serves and which verifier key a policy lists. Trusts: nothing, protects nothing. Out of scope: what they do.

use super::serve::{Desk, serve};
use super::tile_log::TileLogDesk;
use super::witness::WitnessDesk;
use clap::Parser;
use ringwall_attest::release::note::VerifierKey;
use ringwall_client::release::note::{NoteKey, NoteKind};
use ringwall_client::release::witness::Witness;
use ringwall_wire::secret::Secret;
use sha2::{Digest as _, Sha256};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// A simulated log or witness of releases. Protects nothing: its keys are public.
#[derive(Debug, Parser)]
#[command(name = "ringwall-sim")]
enum Arguments {
    /// Serve a tile log
    Log(LogArguments),
    /// Serve a witness
    Witness(WitnessArguments),
    /// Print the verifier key of a name
    Key {
        /// Name
        name: String,
        /// Of a witness, not of a log
        #[arg(long)]
        witness: bool,
    },
}

#[derive(Debug, Parser)]
struct LogArguments {
    /// Its name: the first line of its checkpoints
    #[arg(long, default_value = "log.ringwall.example")]
    name: String,
    /// Where it serves; this machine alone
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address of a witness; may be repeated
    #[arg(long, value_name = "URL")]
    witness: Vec<String>,
    /// End when standard input is closed
    #[arg(long)]
    exit_with_parent: bool,
}

#[derive(Debug, Parser)]
struct WitnessArguments {
    /// Its name
    #[arg(long)]
    name: String,
    /// Where it serves; this machine alone
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Verifier key of a log it watches; may be repeated
    #[arg(long, value_name = "KEY")]
    log: Vec<String>,
    /// Folder for what it cosigned last
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// The second it names, instead of its clock's
    #[arg(long, value_name = "UNIX SECONDS")]
    at: Option<u64>,
    /// End when standard input is closed
    #[arg(long)]
    exit_with_parent: bool,
}

/// The key of a simulated log or witness of this name.
pub fn key_of(name: &str, kind: NoteKind) -> NoteKey {
    let seed = Sha256::new().chain_update(b"ringwall-sim note key\n").chain_update(name).finalize();
    NoteKey::from_seed(name, kind, Secret::new(seed.into()))
}

/// Whether these arguments (the program's name first) are for [`run`].
pub fn is_meant(arguments: &[OsString]) -> bool {
    arguments.get(1).is_some_and(|verb| ["log", "witness", "key"].iter().any(|known| verb == known))
}

/// Runs a log or a witness until it is ended.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let outcome = match Arguments::parse_from(arguments) {
        Arguments::Log(log) => {
            end_with_parent(log.exit_with_parent);
            let key = key_of(&log.name, NoteKind::Plain);
            let verifier = key.verifier_key();
            begin(log.listen, TileLogDesk::new(key, log.witness), &verifier)
        }
        Arguments::Witness(arguments) => {
            end_with_parent(arguments.exit_with_parent);
            witness(arguments)
        }
        Arguments::Key { name, witness } => {
            let kind = if witness { NoteKind::Timed } else { NoteKind::Plain };
            writeln!(std::io::stdout(), "{}", key_of(&name, kind).verifier_key())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // Nobody may be there to read it; the exit code says it too.
            let _ = writeln!(std::io::stderr(), "ringwall-sim: {fault}");
            ExitCode::from(2)
        }
    }
}

fn witness(arguments: WitnessArguments) -> std::io::Result<()> {
    let key = key_of(&arguments.name, NoteKind::Timed);
    let parsed = arguments.log.iter().map(|key| VerifierKey::parse(key)).collect::<Result<Vec<_>, _>>();
    let logs = parsed.map_err(|fault| std::io::Error::new(std::io::ErrorKind::InvalidInput, fault.to_string()))?;
    std::fs::create_dir_all(&arguments.folder)?;
    let judge = Witness::new(key.clone(), logs, &arguments.folder);
    let verifier = key.verifier_key();
    begin(arguments.listen, WitnessDesk::new(judge, key, arguments.at), &verifier)
}

fn begin(listen: SocketAddr, desk: impl Desk, verifier: &str) -> std::io::Result<()> {
    serve(listen, desk, |address| {
        // Whoever started it may not care.
        let _ = writeln!(std::io::stdout(), "http://{address} {verifier}");
        let _ = std::io::stdout().flush();
    })
}

/// Ends the process once nobody holds its standard input, so that none outlives whoever started it.
fn end_with_parent(wanted: bool) {
    if wanted {
        std::thread::spawn(|| {
            let mut byte = [0];
            while matches!(std::io::stdin().read(&mut byte), Ok(read) if read > 0) {}
            std::process::exit(0);
        });
    }
}
