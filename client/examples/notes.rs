//! Notes: verifies a node, opens a namespace as a user, and does every kind of operation once.
//!
//! Run it against a cluster whose card you were given: `cargo run -p ringwall-client --example notes -- cluster.card me.credential`.
//! The credential file is made when it does not exist. `--simulated` believes simulated nodes (`cargo demo --keep` leaves such a
//! cluster running); that protects nothing and is for trying things out.
//! Trusts: the card, and the vendors' roots compiled into the library. Out of scope: error handling beyond telling it.
#![allow(clippy::print_stdout)]

use ringwall_client::card::read_card;
use ringwall_client::{Anchors, Client, Credential, Expect, Options, PutOptions, WriteError};
use std::path::{Path, PathBuf};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (simulated, paths): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|argument| argument == "--simulated");
    let [card, credential] = paths.as_slice() else {
        return Err("usage: notes [--simulated] CARD CREDENTIAL".into());
    };
    let (card, credential): (PathBuf, &Path) = (card.into(), credential.as_ref());

    // Who asks: an Ed25519 credential. Its file is made once, for its owner alone.
    let credential = match credential.exists() {
        true => Credential::read(credential)?,
        false => Credential::create(credential)?,
    };

    // Whom to believe: the cluster the card pins, judged under the vendors' roots. Nothing leaves before that has happened.
    let anchors = match simulated.is_empty() {
        true => Anchors::production(),
        false => ringwall_sim::anchors(),
    };
    let client = Client::connect(Options::from_card(&read_card(&card, None)?, anchors, credential)?).await?;
    let seen = client.verification();
    println!("verified {} ({}), because:", seen.address, seen.vendor);
    for step in &seen.steps {
        println!("  - {step}");
    }

    // One session serves all of this; if its node dies, another is verified and what is unanswered is asked there, applied once.
    let notes = client.namespace("notes").await?;
    let version = notes.put("todo/1", "water the plants").await?;
    println!("todo/1 has version {version}");

    // Compare-and-set: only whoever saw the newest version changes it.
    let newer = notes.compare_and_set("todo/1", version, "water the plants twice").await?;
    match notes.compare_and_set("todo/1", version, "too late").await {
        Err(WriteError::Conflict { current, .. }) => println!("a writer with version {version} is refused, it is {current} now"),
        other => println!("unexpected: {other:?}"),
    }

    // All or nothing, and a note that goes away by itself.
    let soon = PutOptions { ttl_s: 3_600, expect: Expect::Any };
    let batch = notes.batch().put("todo/2", "feed the cat")?.put_with("reminder", "in an hour", soon)?;
    batch.require("todo/1", Expect::Version(newer))?.commit().await?;

    // A watch resumes after a revision: everything since the first note is told, then what comes.
    let mut changes = notes.watch("todo/", version).await?;
    while let Some(change) = changes.next().await {
        let change = change?;
        println!("revision {}: {} changed", change.revision, String::from_utf8_lossy(&change.key));
        if change.key == b"todo/2" {
            break;
        }
    }

    let mut listing = notes.list("todo/").with_values().page_entries(100);
    while let Some(item) = listing.next().await? {
        println!("{}: {}", String::from_utf8_lossy(&item.key), String::from_utf8_lossy(&item.value));
    }
    notes.delete("reminder").await?;

    let status = client.status().await?;
    println!("{} voters, leader {}, revision {}", status.voters.len(), status.leader, status.revision);
    drop((changes, listing, notes));
    client.close().await;
    Ok(())
}
