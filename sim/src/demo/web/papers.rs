//! Papers the demo hands to a page: cards, and exchanges to be judged without a network.
//!
//! Decides: what lies there. Of the cluster that runs: its card, one of another cluster with the same addresses, an exchange with a node. Minted besides, each with a card
//! of its own: an exchange whose endorsements are out of date, and one whose proof of release has one witness where two are demanded. Trusts: nothing.
//! Out of scope: judging them. docs/formats.md, "Cluster card" and "Saved exchange".

use super::host::Host;
use crate::answering::{NOW_S, Node, SESSION, node_of, released};
use crate::demo::DemoError;
use crate::release::Publisher;
use crate::{Lie, world};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::{Nonce, PolicyVersion};
use ringwall_wire::session::{AttestResp, SavedExchange};
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// Everything that follows from the cluster that runs; again whenever its nodes may be others.
pub(super) async fn write_of_cluster(folder: &Path, host: &Host) -> Result<(), DemoError> {
    std::fs::create_dir_all(folder)?;
    let card = card(host)?;
    std::fs::write(folder.join("cluster.card"), card.encode())?;
    let other = ClusterCard { genesis: world::genesis_record(&card.policy, "another", Nonce([7; 32])), ..card };
    std::fs::write(folder.join("other.card"), other.encode())?;
    for slot in host.serving().into_iter().take(1) {
        std::fs::write(folder.join("honest.exchange"), host.exchange(slot).await?.to_bytes())?;
    }
    Ok(())
}

/// The card of the cluster, with its nodes' addresses and their doors for pages.
fn card(host: &Host) -> Result<ClusterCard, DemoError> {
    let broken = |fault: ringwall_wire::codec::DecodeError| DemoError::Broken(fault.to_string());
    let addresses = host.cluster().addresses().into_iter().map(Text::new).collect::<Result<Vec<_>, _>>().map_err(broken)?;
    let (addresses, web) = (List::new(addresses).map_err(broken)?, List::new(host.doors()).map_err(broken)?);
    Ok(ClusterCard { addresses, web, ..host.cluster().card().clone() })
}

/// What needs no cluster.
pub(super) fn write_minted(folder: &Path) -> Result<(), DemoError> {
    std::fs::create_dir_all(folder)?;
    let mut stale = node_of("tdx-1", "outdated", |_| ());
    stale.tee = stale.tee.telling(&[Lie::TdxStale]);
    let answer = stale.answers(SESSION);
    write_pair(folder, "outdated", &stale, answer)?;
    let (node, mut answer) = released("genoa-1");
    let build = node.policy.measurements.iter().find(|build| !build.snp.is_empty());
    let build = build.ok_or_else(|| DemoError::Broken("the policy names no build of an AMD machine".into()))?;
    let proof = Publisher { cosigning: 1, ..Publisher::default() }.release(build, NOW_S);
    answer.release_proof = Blob::new(proof).map_err(|fault| DemoError::Broken(fault.to_string()))?;
    write_pair(folder, "unwitnessed", &node, answer)
}

fn write_pair(folder: &Path, name: &str, node: &Node, answer: AttestResp) -> Result<(), DemoError> {
    let (genesis, policy) = (node.genesis.clone(), node.policy.clone());
    let card = ClusterCard { genesis, policy, steps: Default::default(), addresses: List::default(), web: List::default() };
    let saved = SavedExchange {
        cluster_id: node.genesis.cluster_id(),
        min_policy_version: PolicyVersion(1),
        handshake: SESSION.hash,
        nonce: SESSION.nonce,
        noise: SESSION.noise,
        mode: SESSION.mode,
        at_s: NOW_S,
        answer: Blob::new(answer.encode()).map_err(|fault| DemoError::Broken(fault.to_string()))?,
    };
    let body = saved.encode();
    std::fs::write(folder.join(format!("{name}.exchange")), [&body[..], &Sha256::digest(&body)].concat())?;
    Ok(std::fs::write(folder.join(format!("{name}.card")), card.encode())?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_client::read_exchange;

    #[test]
    fn minted_exchanges_are_refused_for_the_reason_they_are_there_for() {
        let folder = tempfile::tempdir().unwrap();
        write_minted(folder.path()).unwrap();
        for (name, words) in [("outdated", "not in force"), ("unwitnessed", "witness")] {
            let card = ClusterCard::decode(&std::fs::read(folder.path().join(format!("{name}.card"))).unwrap()).unwrap();
            let exchange = read_exchange(&folder.path().join(format!("{name}.exchange"))).unwrap();
            let examined = exchange.pinned_to(card.genesis.cluster_id(), PolicyVersion(1)).examine(&crate::anchors(), name);
            let fault = examined.verdict.unwrap_err();
            assert!(fault.to_string().contains(words), "{name}: {fault}");
        }
    }
}
