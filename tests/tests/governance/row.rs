//! More changes than one answer carries, over real processes.
//!
//! Decides: after forty changes whoever holds the founding card, a device that was away since the founding, a saved exchange and a node that joins with the founding
//! card all come to the newest policy, and a chip can still be taken off. Trusts: the helpers above. Out of scope: pages by themselves (`attest`, `client`, `node`).

use super::*;

/// More than one answer carries, and fewer than two pages.
const CHANGES: u64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_behind_by_more_than_an_answer_carries_catches_up_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let machines = CHIPS.map(Machine::honest);
    let mut cluster = LocalCluster::start_with(folder, three::launch(), &machines, governance(NEVER_S)).unwrap();
    let (here, away, fresh) =
        (Device::new(&cluster, folder, "here"), Device::new(&cluster, folder, "away"), Device::new(&cluster, folder, "fresh"));
    let client = here.client(&cluster).await;
    away.client(&cluster).await.close().await;
    let mut policy = cluster.card().policy.clone();
    let newest = policy.version.0 + CHANGES;
    while policy.version.0 < newest {
        let new = next(&policy, |policy| policy.session.reattest_s -= 1);
        let outcome = client.propose_policy(signed(&policy, &new, &[1, 2])).await.unwrap();
        assert_eq!(outcome, PolicyOutcome::InForce(new.version));
        policy = new;
    }
    follows(&client, &cluster, newest).await;
    assert_eq!((here.remembers(), away.remembers(), fresh.remembers()), (newest, 1, 0));
    for device in [&away, &fresh] {
        let client = device.client(&cluster).await;
        follows(&client, &cluster, newest).await;
        assert_eq!(device.remembers(), newest);
        client.close().await;
    }

    // One attestation in a file is judged again by whoever knows the cluster id alone; a card made today has the whole row.
    let card = cluster.card_path();
    done(ringwall(folder, &card, "init").await);
    let save = format!("verify --save saved --address {}", cluster.address(2));
    assert_eq!(done(ringwall(folder, &card, &save).await)["policy_version"], newest);
    assert_eq!(done(ringwall(folder, &card, "verify --from saved").await)["policy_version"], newest);
    let told = done(ringwall(folder, &card, "cluster card --out newer.card").await);
    assert_eq!((&told["policy_version"], &told["changes"]), (&newest.into(), &CHANGES.into()), "{told}");

    // What no cluster may be without: something is taken off.
    let revoked = next(&policy, |policy| policy.snp.chips = List::new(policy.snp.chips[..3].to_vec()).unwrap());
    let outcome = client.propose_policy(signed(&policy, &revoked, &[1, 3])).await.unwrap();
    assert_eq!(outcome, PolicyOutcome::InForce(revoked.version));
    follows(&client, &cluster, newest + 1).await;

    // A node that knows no more than the founding card joins.
    let old = local::voter_of(&local::voters(&client, &cluster, 3).await, 3);
    cluster.kill(3);
    std::fs::remove_file(cluster.data_folder(3).join("policy.steps")).unwrap();
    cluster.restart(3).unwrap();
    local::replaced(&client, &cluster, old).await;
    follows(&client, &cluster, newest + 1).await;
    client.close().await;
}
