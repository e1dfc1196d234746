//! Rows R1 to R11: what a host does to members, their disks, clocks, networks and generators.
//!
//! Decides: these rows. Trusts: nothing. Out of scope: evidence (`evidence.rs`), the rest (`others.rs`). Protocol section 1.2.

use super::{Row, Scene, Shown};
use crate::attack::{disks, evidence, keys, network, times, worlds};
use ringwall_wire::without::Defence;

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "R1",
        attack: "puts an older disk under a node and starts it again",
        breaks: "a node that forgot its vote and its log votes again: acknowledged writes are lost",
        defence: "a process that starts is a new incarnation, with new keys and an empty log; it learns, and is admitted, before it votes",
        section: "4",
        code: &["consensus/src/files.rs", "node/src/life.rs", "node/src/join/steward.rs"],
        shown: Shown::Performed {
            scene: Scene::OwnCluster,
            perform: |stage| Box::pin(disks::rolled_back(stage)),
            remains: "the admission of the new incarnation, in the replicated log",
            without: &[Defence::FreshStart],
        },
    },
    Row {
        id: "R2",
        attack: "copies a live node's disk and starts a second machine from it",
        breaks: "two nodes vote under one name: the cluster splits in two",
        defence: "name and keys are in memory only; the copy is a stranger, and the slot's incumbent answers",
        section: "4",
        code: &["node/src/join/leader.rs", "channel/src/secrets.rs"],
        shown: Shown::Performed {
            scene: Scene::Cluster,
            perform: |stage| Box::pin(disks::cloned(stage)),
            remains: "the refused join in the leader's log",
            without: &[Defence::FreshStart],
        },
    },
    Row {
        id: "R3",
        attack: "puts the disks of all machines back to an earlier hour, kills everything, and has the cluster recovered from them",
        breaks: "everybody on the other side has forgotten the same writes: nobody notices",
        defence: "a recovery is held against what custodians have seen; clients remember what was confirmed, and a receipt with every answer must continue it",
        section: "5.2, 6",
        code: &["node/src/recover/takeup.rs", "session/src/anchor/judge.rs", "session/src/anchor/keeper.rs"],
        shown: Shown::Performed {
            scene: Scene::Outage,
            perform: |stage| Box::pin(worlds::rolled_back(stage)),
            remains: "`evidence.json` of the recovery that was refused; a file of evidence that anybody verifies with `ringwall receipt verify`",
            without: &[Defence::Anchor, Defence::CustodianAnchors],
        },
    },
    Row {
        id: "R4",
        attack: "has one state recovered twice, and shows each of the two clusters to other devices",
        breaks: "two histories under one identity: each user trusts another one",
        defence: "a custodian's journal names the first session; one log tree; paths and digests of namespaces must fit what a client remembers; two devices compare",
        section: "5.2, 6",
        code: &["client/src/custodian/ceremony.rs", "wire/src/tree.rs", "session/src/anchor/merge.rs"],
        shown: Shown::Performed {
            scene: Scene::Outage,
            perform: |stage| Box::pin(worlds::forked(stage)),
            remains: "a file of evidence with both receipts; both sessions in the custodian's journal",
            without: &[Defence::Anchor],
        },
    },
    Row {
        id: "R5",
        attack: "puts older bytes in the place of newer ones on the disk of a running node",
        breaks: "the node serves, or passes on, what was overwritten long ago",
        defence: "a digest of every block and log entry is in memory and compared before anything is parsed; a difference ends the node",
        section: "5.1",
        code: &["consensus/src/log/store.rs", "consensus/src/disk/authentic.rs"],
        shown: Shown::Performed {
            scene: Scene::OwnCluster,
            perform: |stage| Box::pin(disks::edited(stage)),
            remains: "the node's last line: which file, which offset, what to do",
            without: &[Defence::EntryDigests],
        },
    },
    Row {
        id: "R6",
        attack: "migrates a guest, or restores its memory elsewhere",
        breaks: "keys leave the machine that attested",
        defence: "guests that may migrate or be debugged are refused by their settings, which the hardware signs",
        section: "2.2",
        code: &["attest/src/appraise/snp.rs", "attest/src/appraise/tdx.rs"],
        shown: Shown::Performed {
            scene: Scene::Verifier,
            perform: |stage| Box::pin(evidence::migratable(stage)),
            remains: "the refusal, with the field",
            without: &[Defence::MigrationRule],
        },
    },
    Row {
        id: "R7",
        attack: "puts the leader to sleep, lets others take over, wakes it and asks it first",
        breaks: "a leader that does not know it lost its place answers from the past",
        defence: "every read is confirmed by a majority after it arrived",
        section: "4.5",
        code: &["consensus/src/replica.rs", "node/src/front/reads.rs"],
        shown: Shown::Performed {
            scene: Scene::Cluster,
            perform: |stage| Box::pin(times::paused(stage)),
            remains: "the new term in the log",
            without: &[Defence::ReadQuorum],
        },
    },
    Row {
        id: "R8",
        attack: "stops the machines' clocks at a day when old certificates were good",
        breaks: "revoked or outdated machines are believed",
        defence: "clients judge every date by their own clock; nothing safe rests on a node's",
        section: "8",
        code: &["session/src/opening.rs", "attest/src/appraise/snp.rs", "attest/src/tdx.rs"],
        shown: Shown::Performed {
            scene: Scene::Verifier,
            perform: |stage| Box::pin(times::frozen_clocks(stage)),
            remains: "the refusal names the date and the clock",
            without: &[Defence::RevocationLists],
        },
    },
    Row {
        id: "R9",
        attack: "exchanges the addresses of two members",
        breaks: "a group that knows members by address counts one vote for another",
        defence: "a member is the key it attested; the one who answers must be the one who was meant",
        section: "3.2",
        code: &["node/src/peers/handshake.rs", "node/src/context.rs"],
        shown: Shown::Performed {
            scene: Scene::Cluster,
            perform: |stage| Box::pin(network::swapped(stage)),
            remains: "refused sessions in the nodes' logs",
            without: &[],
        },
    },
    Row {
        id: "R10",
        attack: "reorders, repeats and withholds datagrams, and the answers to a write",
        breaks: "writes are applied twice, or refused though they were applied",
        defence: "numbered records; numbered writes whose first outcome is kept",
        section: "5.3",
        code: &["channel/src/record.rs", "consensus/src/machine/clients.rs", "session/src/lane.rs"],
        shown: Shown::Performed {
            scene: Scene::Cluster,
            perform: |stage| Box::pin(network::bad_weather(stage)),
            remains: "the client's numbers in the replicated bookkeeping",
            without: &[Defence::NumberedWrites],
        },
    },
    Row {
        id: "R11",
        attack: "makes the processor's generator return zeroes, or stand still",
        breaks: "one key and one initialization vector for two texts: their difference can be read",
        defence: "a stuck generator is refused at boot; initialization vectors depend on what is sealed besides",
        section: "7.3",
        code: &["node/src/entropy.rs", "keys/src/hedge.rs"],
        shown: Shown::Performed {
            scene: Scene::Verifier,
            perform: |stage| Box::pin(keys::stuck_generator(stage)),
            remains: "at a start, exit code 16 and what to do",
            without: &[Defence::HedgedIvs],
        },
    },
];
