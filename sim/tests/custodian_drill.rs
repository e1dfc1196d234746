//! A custodian in a drill: the real program, offers and receipts as files, and everything that is no drill of the dealing it holds.
//!
//! Decides: an offer of a drill is judged as one of a recovery is; what leaves is a share of the shadow, and the real one neither leaves nor counts as
//! released; a shadow that is not of this session, this dealing and these custodians is refused; a receipt is believed under the key its evidence vouches for.
//! Trusts: simulated roots. Out of scope: nodes over the network (`tests/tests/drill.rs`), the words of a drill (`node/src/drill`).
#![allow(clippy::unwrap_used, clippy::panic)]

mod ceremony;

use ceremony::{CHIP, Table, custodian, now_s, ringwall};
use ringwall_keys::custody::{GoodShare, combine, open_submission};
use ringwall_sim::custody::{self, Custody, Drill};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::CustodyManifest;
use ringwall_wire::drill::{DrillOffer, DrillOutcome, DrillPaper};
use ringwall_wire::ids::{ClusterId, CustodyEpoch, Digest};
use ringwall_wire::recovery::{RecoveryFault, RecoveryPurpose, ShareSubmission};

/// The good share in a submission, judged against a manifest.
fn received(table: &Table, drill: &Drill, manifest: &CustodyManifest, name: &str) -> Result<GoodShare, String> {
    let sent: ShareSubmission = table.get(name);
    let share = open_submission(&drill.offer.kem, &sent).map_err(|fault| fault.to_string())?;
    GoodShare::judge(manifest, &sent.custodian, share).map_err(|fault| fault.to_string())
}

#[test]
fn a_drill_is_judged_and_answered_with_a_share_of_its_shadow_alone() {
    let table = Table::new();
    let dealing = table.deal(1);
    ["ana", "ben"].into_iter().for_each(|who| table.accepts(who));
    let drill = table.cluster.drill(&dealing, 9, 899);
    table.put("drill", &drill.asked);
    // Read before it is asked; nobody can say yes here.
    let asked = table.fails("ana", "drill drill --out answer.ana", 5, "there is no terminal to ask on").words();
    for sentence in [
        "You are asked to show in a DRILL that you could release your share of cluster \"table\"",
        "What leaves is a share of a key that was made for this drill and opens nothing else; your own share stays closed. Nothing is recovered.",
        "It rehearses with the custodians of dealing 1; 2 of 3 recover the cluster",
        "SIMULATED: this protects nothing",
    ] {
        assert!(asked.contains(sentence), "{sentence}: {asked}");
    }
    assert!(!table.place("answer.ana").exists());
    let mut shares = Vec::new();
    for who in ["ana", "ben"] {
        let told = table.done(who, &format!("drill drill --out answer.{who} --yes --json")).json();
        assert_eq!(told["purpose"].as_str(), Some("drill"));
        shares.push(received(&table, &drill, &drill.asked.shadow, &format!("answer.{who}")).unwrap());
        let real = received(&table, &drill, &dealing.manifest.manifest, &format!("answer.{who}"));
        assert!(real.is_err(), "what left is no share of the dealing");
    }
    let key = combine(&drill.asked.shadow, &shares).unwrap();
    let opened = key.open(&drill.asked.shadow, &drill.blob).unwrap();
    assert_ne!(opened.granted(), table.cluster.ring.granted());
    assert!(key.open(&dealing.manifest.manifest, &dealing.recovery).is_err(), "the real blob stays shut");
    assert!(combine(&dealing.manifest.manifest, &shares).is_err());
    // It is in the journal as a rehearsal, so that it keeps nobody from a recovery.
    let journal = table.done("ana", "status --journal").words();
    assert!(journal.contains("rehearsed with the share of dealing 1") && !journal.contains("RELEASED"), "{journal}");
    let offer = table.offer(&dealing, RecoveryPurpose::Outage, 10, 899);
    table.fails("ana", "drill offer --out none --yes", 2, "use `ringwall custodian submit`");
    table.fails("ana", "submit drill --out none --yes", 2, "use `ringwall custodian drill`");
    table.done("ana", "submit offer --out share --yes");
    assert!(received(&table, &Drill { offer, ..drill }, &dealing.manifest.manifest, "share").is_ok());
}

#[test]
fn a_shadow_of_something_else_is_refused_and_nothing_is_opened() {
    let table = Table::new();
    let dealing = table.deal(1);
    table.accepts("ana");
    let good = table.cluster.drill(&dealing, 9, 899);
    let before = table.snapshot("ana");
    let refused = |asked: &DrillOffer, code: i32, words: &str| {
        table.put("drill", asked);
        table.fails("ana", "drill drill --out answer --yes", code, words);
        assert!(!table.place("answer").exists());
        assert_eq!(table.snapshot("ana"), before, "{words}");
    };
    // Signed and proven anew by a node that runs other code: each time the shadow is changed in one thing.
    let changed = |change: &dyn Fn(&mut CustodyManifest)| {
        let mut drill = table.cluster.drill(&dealing, 9, 899);
        change(&mut drill.asked.shadow);
        let manifest = Digest(drill.asked.shadow.digest());
        table.cluster.offer_anew(&mut drill.offer, |offer| offer.manifest = manifest);
        DrillOffer { signed: drill.offer.signed, ..drill.asked }
    };
    let real = dealing.manifest.manifest.cluster_id;
    refused(&changed(&|shadow| shadow.cluster_id = real), 3, "another shadow cluster");
    refused(&changed(&|shadow| shadow.cluster_id = ClusterId([9; 32])), 3, "another shadow cluster");
    refused(&changed(&|shadow| shadow.threshold = 3), 3, "another threshold");
    refused(&changed(&|shadow| shadow.custody_epoch = CustodyEpoch(7)), 3, "another number");
    refused(&changed(&|shadow| shadow.previous = Digest([9; 32])), 10, "this folder holds those of dealing 1");
    // The real dealing itself in the shadow's place: its envelope would open.
    let envelopes = dealing.dealt.iter().map(|dealt| dealt.envelope.clone()).collect();
    let mut disguised = table.cluster.drill(&dealing, 9, 899);
    let manifest = Digest(dealing.manifest.manifest.digest());
    table.cluster.offer_anew(&mut disguised.offer, |offer| offer.manifest = manifest);
    let disguised = DrillOffer {
        signed: disguised.offer.signed,
        shadow: dealing.manifest.manifest.clone(),
        envelopes: ringwall_wire::bounded::List::new(envelopes).unwrap(),
    };
    refused(&disguised, 10, "this folder holds those of dealing 1");
    let unsigned = DrillOffer { shadow: table.cluster.drill(&dealing, 8, 899).asked.shadow, ..good.asked.clone() };
    refused(&unsigned, 3, "another manifest");
    let mut tampered = good.asked.clone();
    tampered.signed.offer.kem.0[0] ^= 1;
    refused(&tampered, 3, "evidence is refused");
    let without = DrillOffer { envelopes: ringwall_wire::bounded::List::default(), ..good.asked.clone() };
    refused(&without, 3, "holds no envelope");
    let mut swapped = good.asked.clone();
    swapped.envelopes = ringwall_wire::bounded::List::new(
        good.asked
            .envelopes
            .iter()
            .rev()
            .cloned()
            .zip(good.asked.envelopes.iter())
            .map(|(mut other, own)| {
                other.custodian = own.custodian;
                other
            })
            .collect(),
    )
    .unwrap();
    table.put("drill", &swapped);
    let ran = table.run("ana", "drill drill --out answer --yes");
    assert!(ran.code != 0 && !table.place("answer").exists(), "somebody else's envelope under this name: {ran:?}");
    table.put("drill", &good.asked);
    table.done("ana", "drill drill --out answer --yes");
}

#[test]
fn a_receipt_is_verified_without_a_network_and_every_change_is_noticed() {
    let table = Table::new();
    let dealing = table.deal(1);
    let drill = table.cluster.drill(&dealing, 9, 899);
    let verify = |paper: &DrillPaper| {
        table.put("receipt", paper);
        ringwall(table.path(), &["drill", "verify", "receipt", "--card", "card", "--json"], &[])
    };
    let good = table.cluster.receipt(&drill, 2, |_| {});
    let ran = verify(&good);
    assert_eq!(ran.code, 0, "{ran:?}");
    let told = ran.json();
    assert_eq!((told["passed"].as_bool(), told["custody_epoch"].as_u64(), told["index"].as_u64()), (Some(true), Some(1), Some(900)));
    let answered: Vec<_> = told["custodians"].as_array().unwrap().iter().map(|one| one["answer"]["answered"].as_bool().unwrap()).collect();
    assert_eq!(answered, [true, true, false]);
    let words = ringwall(table.path(), &["drill", "verify", "receipt", "--card", "card"], &[]).words();
    for sentence in ["PASSED", "ana: answered after 5000 ms", "cleo: did not answer before the end", "2 of 3 voters' disks were not read"] {
        assert!(words.contains(sentence), "{sentence}: {words}");
    }
    // One that says it went badly is as genuine.
    let bad = table.cluster.receipt(&drill, 1, |receipt| receipt.outcome = DrillOutcome::Failed(RecoveryFault::Ended));
    let ran = verify(&bad);
    assert_eq!((ran.code, ran.json()["passed"].as_bool()), (0, Some(false)));
    let mut improved = bad.clone();
    improved.receipt.outcome = good.receipt.outcome;
    let mut another = good.clone();
    another.offer = table.cluster.drill(&dealing, 8, 899).asked.signed;
    let mut unproven = good.clone();
    unproven.offer.exchange = another.offer.exchange.clone();
    let recovery = table.cluster.offer(&dealing, RecoveryPurpose::Outage, 9, 899).signed;
    let outage = table.cluster.receipt(&drill, 2, |receipt| receipt.offer = Digest(recovery.offer.digest()));
    let outage = DrillPaper { offer: recovery, ..outage };
    for (what, paper) in [("improved", improved), ("another drill's", another), ("unproven", unproven), ("a recovery's", outage)] {
        let ran = verify(&paper);
        assert_eq!(ran.code, 3, "{what}: {ran:?}");
    }
    let template = table.cluster.card.genesis.template.clone();
    let elsewhere = Custody::found(template, custody::policy(CHIP), CHIP, 2, now_s());
    let theirs = elsewhere.drill(&elsewhere.deal(1, Digest([0; 32])), 9, 899);
    assert_eq!(verify(&elsewhere.receipt(&theirs, 2, |_| {})).code, 3, "another cluster's");
    // A custodian's folder keeps a card that does as well, once it pulled.
    table.accepts("ana");
    table.put("receipt", &good);
    let ran = ringwall(table.path(), &["drill", "--home", "ana", "verify", "receipt"], &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = custodian(table.path(), "ana", "drill receipt --out none --yes", &[]);
    assert_eq!(ran.code, 10, "a receipt is no drill: {ran:?}");
}
