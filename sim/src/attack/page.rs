//! docs/attacks.md, made from the register.
//!
//! Decides: the page, byte for byte (a test compares it with the tree; `RINGWALL_BLESS=1` writes it). Trusts: the register.
//! Out of scope: whether a row's words are true (its attack is performed).

use super::register::{ALONE, Row, Shown, rows};
use ringwall_wire::without::Defence;
use std::fmt::Write as _;

const OPENING: &str = "# Attacks

Every row of the register ([protocol.md](protocol.md), section 1.2) as an attack that can be performed: what the attacker does, what that breaks where
nothing answers, what answers here, and what is left of it. This page is made by the program that performs them, from one table
(`sim/src/attack/register/mod.rs`); `tests/tests/attacks.rs` holds it against the protocol, and performs them all.

```
cargo attack list                 # the rows
cargo attack run R7               # one of them, told step by step; exit code 0 when the defence held
cargo attack run all              # all of them, with a summary
cargo attack run R7 --json        # the same as one JSON object a line
```

An attack is performed against real processes, or against the real verifier and the real keys with minted evidence; nothing is pretended. A row is
*planned* where what it attacks does not exist yet.

## Seeing one succeed

A defence nobody saw missing proves little. A build made for that purpose, and for nothing else, can leave one out:

```
cargo attack-without run R7 --without read-quorum      # exit code 1: the attack succeeded
```

Such a build says so on every start. `ringwalld` and `ringwall` do not compile with the feature behind it (`without`), and a test searches the
shipped programs for its mark (`tests/tests/tidy/shipped.rs`). The switches are in `wire/src/without.rs`:

| left out | what is not done then | attacks that succeed |
|---|---|---|
";

/// The page.
pub fn page() -> String {
    let mut page = String::from(OPENING);
    for defence in Defence::ALL {
        let rows: Vec<&str> = rows().iter().filter(|row| row.without().contains(defence)).map(|row| row.id).collect();
        let _ = writeln!(page, "| `{}` | {} | {} |", defence.name(), words(*defence), rows.join(", "));
    }
    page.push_str("\nNo single defence decides these, so none of them is seen to succeed:\n\n");
    for (row, why) in ALONE {
        let _ = writeln!(page, "- {row}: {why}.");
    }
    let heads = [
        ("R", "Members, disks, clocks, networks"),
        ("A", "Evidence"),
        ("G", "Governance and releases"),
        ("K", "Keys and custody"),
        ("S", "Leaks and exhaustion"),
    ];
    for (letter, head) in heads {
        let _ = write!(
            page,
            "\n## {head}\n\n| id | the attacker | breaks elsewhere | answers here | where | performed | remains |\n|---|---|---|---|---|---|---|\n"
        );
        for row in rows().iter().filter(|row| row.id.starts_with(letter)) {
            page.push_str(&line(row));
        }
    }
    page
}

fn line(row: &Row) -> String {
    let Row { id, attack, breaks, defence, section, code, shown } = row;
    let places: Vec<String> = code.iter().map(|path| format!("`{path}`")).collect();
    let places = if places.is_empty() { "-".to_owned() } else { places.join(", ") };
    let (performed, remains) = match shown {
        Shown::Performed { scene, remains, .. } => (format!("{}: `tests/tests/attacks.rs::{}`", scene.words(), scene.test()), *remains),
        Shown::Apart(by) => (format!("apart, in an emulator: `{by}`"), "the word the host's code wrote where it ran, and the console"),
        Shown::Planned(why) => (format!("planned: what it attacks does not exist yet ({why})"), "-"),
    };
    format!("| {id} | {attack} | {breaks} | {defence} ({section}) | {places} | {performed} | {remains} |\n")
}

/// What is not done any more without the defence.
fn words(defence: Defence) -> &'static str {
    match defence {
        Defence::FreshStart => "a node writes its keys and its place down and goes on from its disk",
        Defence::ReadQuorum => "a leader answers reads by itself",
        Defence::EntryDigests => "log entries that come back from the disk are not compared",
        Defence::NumberedWrites => "a write that is sent again is applied again",
        Defence::HedgedIvs => "initialization vectors are what the generator gives",
        Defence::KeyCommitment => "a record's commitment to its key is not compared",
        Defence::SessionBinding => "what the hardware signed is not compared with this session, role and key",
        Defence::DebugRule => "guests that may be debugged are accepted",
        Defence::FirmwareMinimum => "versions of AMD's firmware are not compared with the minimum",
        Defence::BootConfiguration => "the recorded configuration is not compared",
        Defence::RevocationLists => "AMD's revocation list may be old or missing",
        Defence::PinnedRoots => "AMD's intermediate need not be signed by the pinned root",
        Defence::ChipList => "any chip and platform is accepted",
        Defence::LeastVersion => "a build's security version is not compared",
        Defence::ClusterPin => "any cluster is taken for the pinned one",
        Defence::Anchor => "a client forgets with its process",
        Defence::ApprovalThreshold => "one governor is enough",
        Defence::MigrationRule => "guests that may migrate, or have an agent that moves them, are accepted",
        Defence::EmptyLists => "an empty list of a policy compares nothing",
        Defence::ChipKey => "AMD's provider key and masked chips are accepted",
        Defence::ReservedBytes => "reserved bytes of AMD's report are not looked at",
        Defence::Padding => "names and values are as long on the disk as they are",
        Defence::Sealing => "names and values lie on the disk as they are",
        Defence::ShareCommitments => "a share is not compared with its commitment",
        Defence::ShareThreshold => "every share is the whole key, and the split is not looked at before it leaves",
        Defence::CustodianAnchors => "a recovery does not ask what custodians and owners of disks have seen",
        Defence::ClosedTries => "an epoch that begins with a recovery goes on with the tries its disk remembers",
        Defence::KeyRetirement => "a master key is kept when nothing is wrapped under it any more",
        Defence::NamedSigners => "anybody who signs a release counts as a signer",
        Defence::Timelock => "a policy that loosens needs no notice that it was public",
        Defence::LogInclusion => "a release is taken for logged without a proof that its entry is in the log",
        Defence::Witnesses => "one witness of the release log is enough",
    }
}
