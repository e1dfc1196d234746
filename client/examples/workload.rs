//! Workload: a program in a guest of its own that gets its key from a cluster at start, and every user's own key derived from it.
//!
//! In an AMD guest: `workload CARD NAME --vek vcek.der --ask ask.der --crl crl.der`; in an Intel guest: `workload CARD NAME --collateral FILE`.
//! `--simulated LINE` is a simulated guest, described as docs/runbooks/workloads.md says; that protects nothing and is for trying things out.
//! `--user ID` asks for that user's own key, `--out FILE` writes the key there instead of its SHA-256 to standard output.
//! Trusts: the card, and the vendors' roots compiled into the library. Out of scope: what the key is then used for.
#![allow(clippy::print_stdout)]

use ringwall_attest::Attester;
use ringwall_client::card::read_card;
use ringwall_client::guest::{KernelGuest, intel_collateral};
use ringwall_client::workload::request_workload_key;
use ringwall_client::{Anchors, Credential, Options, UserId};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, SnpEndorsements};
use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// Whatever went wrong, in words.
pub(crate) type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    run(std::env::args().skip(1)).await
}

/// The program, with its arguments.
pub(crate) async fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), Failure> {
    let (Some(card), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err(
            "usage: workload CARD NAME (--vek F --ask F [--crl F] | --collateral F | --simulated LINE) [--user ID] [--out F]".into()
        );
    };
    let mut flags = HashMap::new();
    while let (Some(flag), Some(value)) = (arguments.next(), arguments.next()) {
        flags.insert(flag, value);
    }

    // Who asks: this guest. Its evidence is made for the one session it is shown in.
    let (guest, anchors): (Arc<dyn Attester>, Anchors) = match flags.get("--simulated") {
        Some(line) => {
            let guest = ringwall_sim::guest::guest(line).ok_or("no simulated guest is described like this")?;
            (Arc::new(guest), ringwall_sim::anchors())
        }
        None => (Arc::new(KernelGuest::new(endorsements(&flags)?)), Anchors::production()),
    };

    // Whom it believes: the cluster the card pins, verified before anything is said. A workload needs no credential: its evidence is who it is.
    let options = Options::from_card(&read_card(Path::new(&card), None)?, anchors, Credential::generate())?;
    let user = flags.get("--user").map(|id| id.parse::<UserId>()).transpose()?;
    let granted = request_workload_key(&options, guest, &name, user).await?;

    // 32 bytes: the same on any machine, of either vendor, from any node, before and after restarts.
    match flags.get("--out") {
        Some(path) => {
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(granted.key.expose())?;
        }
        None => {
            use sha2::{Digest as _, Sha256};
            println!("key with SHA-256 {}", ringwall_wire::text::hex(&Sha256::digest(granted.key.expose())));
        }
    }
    println!("granted under policy version {}, audit entry {}", granted.policy_version, granted.seq);
    Ok(())
}

/// What the vendor says about this machine.
fn endorsements(flags: &HashMap<String, String>) -> Result<Endorsements, Failure> {
    if let Some(path) = flags.get("--collateral") {
        return Ok(intel_collateral(&std::fs::read(path)?)?);
    }
    let file = |flag: &str| flags.get(flag).map(std::fs::read).transpose();
    let (vek, ask) = (file("--vek")?.ok_or("name --vek and --ask, or --collateral")?, file("--ask")?.ok_or("name --ask")?);
    let crl = file("--crl")?.unwrap_or_default();
    Ok(Endorsements::Snp(SnpEndorsements { vek: Blob::new(vek)?, ask: Blob::new(ask)?, crl: Blob::new(crl)? }))
}
