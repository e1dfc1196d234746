//! A log with witnesses on this machine, each a process of its own: for suites and demonstrations.
//!
//! Decides: how they are started, that each has said where it serves before anybody asks it, and that all are gone when this is dropped.
//! Trusts: the program it is given. Out of scope: what they do.

use super::program::key_of;
use ringwall_client::release::http::{Answer, Http, HttpFault};
use ringwall_client::release::note::NoteKind;
use ringwall_client::release::tiles::TileLog;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::policy::ReleaseSigners;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Name of the log.
pub const LOG: &str = "log.ringwall.example";
/// Bytes of what a log or a witness answers to this module.
const ANSWER_BYTES: usize = 64 * 1024;

/// One process.
struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn start(program: &Path, arguments: &[String]) -> std::io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).arg("--exit-with-parent").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let served = Served { child, url: line.split(' ').next().unwrap_or_default().to_owned() };
        match served.url.starts_with("http://") {
            true => Ok(served),
            false => Err(std::io::Error::other(format!("{} {arguments:?} does not say where it serves", program.display()))),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that ended by itself is waited for all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A log and its witnesses.
pub struct LocalLog {
    program: PathBuf,
    folder: PathBuf,
    log: Served,
    witnesses: Vec<(String, Served)>,
}

impl LocalLog {
    /// Starts as many witnesses and a log that asks them, with folders below `folder`; `program` is `ringwall-sim` or one that begins as it does.
    pub fn start(program: &Path, folder: &Path, witnesses: usize) -> std::io::Result<Self> {
        let names = (1..=witnesses).map(|number| format!("witness-{number}.ringwall.example"));
        let started: Result<Vec<_>, _> = names.map(|name| witness(program, folder, &name).map(|served| (name, served))).collect();
        let witnesses = started?;
        let mut arguments = vec!["log".to_owned(), "--name".into(), LOG.into()];
        witnesses.iter().for_each(|(_, served)| arguments.extend(["--witness".to_owned(), served.url.clone()]));
        let log = Served::start(program, &arguments)?;
        Ok(LocalLog { program: program.to_owned(), folder: folder.to_owned(), log, witnesses })
    }

    /// Where the log serves.
    pub fn url(&self) -> &str {
        &self.log.url
    }

    /// The log.
    pub fn log(&self) -> TileLog {
        TileLog::new(&self.log.url, Http::new())
    }

    /// What others are shown once the log was told to fork.
    pub fn other(&self) -> TileLog {
        TileLog::new(&format!("{}/other", self.log.url), Http::new())
    }

    /// The log's verifier key.
    pub fn key(&self) -> String {
        key_of(LOG, NoteKind::Plain).verifier_key()
    }

    /// The witnesses' verifier keys.
    pub fn witness_keys(&self) -> Vec<String> {
        self.witnesses.iter().map(|(name, _)| key_of(name, NoteKind::Timed).verifier_key()).collect()
    }

    /// What a policy says of releases that these signers sign and this log publishes.
    pub fn rule(&self, signers: &[String], signer_threshold: u8, witness_threshold: u8, max_checkpoint_age_s: u32) -> ReleaseSigners {
        let witnesses = self.witness_keys().into_iter().map(|key| Text::new(key).unwrap_or_default()).collect();
        ReleaseSigners {
            signers: List::new(signers.iter().map(|key| Text::new(key.as_str()).unwrap_or_default()).collect()).unwrap_or_default(),
            signer_threshold,
            trusted_root: None,
            witnesses: List::new(witnesses).unwrap_or_default(),
            witness_threshold,
            log: Text::new(self.key()).unwrap_or_default(),
            max_checkpoint_age_s,
        }
    }

    /// Has the log do something: `honest`, `stall`, `lose/COUNT`, `forget/COUNT`, `crowd/COUNT`, `fork`.
    pub fn misbehave(&self, how: &str, body: &[u8]) -> Result<Answer, HttpFault> {
        Http::new().post(&format!("{}/misbehave/{how}", self.log.url), "application/octet-stream", body, ANSWER_BYTES)
    }

    /// Has a witness do something: `honest`, `stall`, `bought`, `at/SECOND`.
    pub fn witness_misbehave(&self, witness: usize, how: &str) -> Result<Answer, HttpFault> {
        let url = self.witnesses.get(witness).map_or("", |(_, served)| served.url.as_str());
        Http::new().post(&format!("{url}/misbehave/{how}"), "text/plain", &[], ANSWER_BYTES)
    }

    /// Where a witness keeps what it cosigned last, and proofs of forks.
    pub fn witness_folder(&self, witness: usize) -> PathBuf {
        self.folder.join(self.witnesses.get(witness).map_or("", |(name, _)| name.as_str()))
    }

    /// What witnesses said when they did not cosign.
    pub fn refusals(&self) -> Result<String, HttpFault> {
        let bytes = Http::new().get(&format!("{}/refusals", self.log.url), ANSWER_BYTES)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The program that serves.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

fn witness(program: &Path, folder: &Path, name: &str) -> std::io::Result<Served> {
    let log = key_of(LOG, NoteKind::Plain).verifier_key();
    let place = folder.join(name).display().to_string();
    Served::start(program, &["witness".to_owned(), "--name".into(), name.into(), "--log".into(), log, "--folder".into(), place])
}
