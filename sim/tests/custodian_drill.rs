//! A custodian in a drill, and asked to accept a loss: the real program, offers, receipts and questions as files, and everything that is not what it seems.
//!
//! Decides: an offer of a drill is judged as one of a recovery is; what leaves is a share of the shadow, and the real one neither leaves nor counts as
//! released; a shadow that is not of this session, this dealing and these custodians is refused; a receipt is believed under the key its evidence vouches for.
//! A loss is read in sentences, signed for one session and one choice, and never where the custodian saw more.
//! Trusts: simulated roots. Out of scope: nodes over the network (`tests/tests/drill.rs`, `tests/tests/custodian_line.rs`), the words of a drill (`node/src/drill`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::ceremony;

use ceremony::{CHIP, PASSPHRASE, Table, custodian, now_s, policy, ringwall};
use ringwall_keys::custody::{GoodShare, combine, open_submission};
use ringwall_sim::custody::{Custody, Dealing, Drill};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodianOp, CustodianReply, CustodianRequest, RecoveryProgress, RecoveryStep};
use ringwall_wire::custody::CustodyManifest;
use ringwall_wire::drill::{DrillOffer, DrillOutcome, DrillPaper};
use ringwall_wire::ids::{ClusterId, CustodianId, CustodyEpoch, Digest, Nonce};
use ringwall_wire::recovery::{AuditWhat, RecoveryFault, RecoveryPurpose, ShareSubmission};

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
    let elsewhere = Custody::found(template, policy(), CHIP, 2, now_s());
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

/// Who is asked, in the order of their shares.
fn ids(dealing: &Dealing) -> Vec<CustodianId> {
    dealing.manifest.manifest.members.iter().map(|member| member.id()).collect()
}

const ACCEPT: &str = "accept-loss offer --progress progress --out word";

#[test]
fn a_loss_is_read_before_it_is_asked_and_signed_for_that_session_alone() {
    let table = Table::new();
    let dealing = table.deal(1);
    ["ana", "cleo"].into_iter().for_each(|who| table.accepts(who));
    let ids = ids(&dealing);
    let offer = table.offer(&dealing, RecoveryPurpose::Outage, 9, 899);
    table.saw("ana", &table.cluster.seen(880));
    table.put("progress", &offer.asks_loss(900, false, &[ids[1]]));
    let words = table.fails("ana", ACCEPT, 5, "there is no terminal to ask on").words();
    for sentence in [
        "You are asked to accept a LOSS: cluster \"table\"",
        "Whatever is on none of them is given up for good",
        "AMD SEV-SNP in slot 1, build ringwall-sim-1",
        "SIMULATED: this protects nothing",
        "Of 2 voters whose logs would show it, 1 made no claim: slot 2 (life 1/8)",
        "What would be taken up is the log of life 1/7: 900 entries in epoch 1",
        "are known to have seen are 900 entries: all of them are kept",
        "You saw 880 entries in epoch 1",
        "What may be lost are entries from number 900 on. Whether there were any, and how many, is UNKNOWN",
        "All 3 custodians of dealing 1 have to accept, not the threshold; accepted so far: ben; still missing: ana, cleo",
        "The session is 0909090909090909, the claims are 0808080808080808",
    ] {
        assert!(words.contains(sentence), "{sentence}: {words}");
    }
    assert!(!table.place("word").exists());
    // Cleo gave no share and is asked all the same.
    let told = table.done("cleo", &format!("{ACCEPT} --yes --json")).json();
    assert_eq!((told["missing"].as_u64(), told["absent"][0]["slot"].as_u64(), told["backup"].as_bool()), (Some(1), Some(2), Some(false)));
    assert_eq!((told["entries"].as_u64(), &told["not_accepted"]), (Some(900), &serde_json::json!(["ana", "cleo"])));
    let CustodianOp::AcceptLoss(word) = table.get::<CustodianRequest>("word").op else { panic!("another word") };
    let CustodianAnswer::Progress(progress) = table.get::<CustodianReply>("progress").body else { panic!("another answer") };
    let member = dealing.manifest.manifest.member(&word.custodian).unwrap();
    let signed = progress.loss.unwrap().words(&table.cluster.card.genesis.cluster_id());
    let key = ed25519_dalek::VerifyingKey::from_bytes(&member.custodian.sig.0).unwrap();
    key.verify_strict(&signed, &ed25519_dalek::Signature::from_bytes(&word.signature.0)).unwrap();
    assert_eq!(word.custodian, ids[2]);
    // The same again: the same bytes, no second entry.
    let (before, entries) = (std::fs::read(table.place("word")).unwrap(), table.snapshot("cleo"));
    assert!(table.done("cleo", &format!("{ACCEPT} --yes")).words().contains("You accepted this very loss on"));
    assert_eq!((std::fs::read(table.place("word")).unwrap(), table.snapshot("cleo")), (before, entries));
    let journal = table.done("cleo", "status --journal").words();
    assert!(
        journal.contains("ACCEPTED A LOSS in session 0909090909090909 (build ringwall-sim-1): 900 entries are kept, 1 of 2 voters"),
        "{journal}"
    );
    // A backup is named as what it is.
    table.put("progress", &offer.asks_loss(910, true, &[]));
    let words = table.run("cleo", ACCEPT).words();
    assert!(words.contains("the state of a BACKUP, which is nobody's disk: 910 entries") && words.contains("; nobody has yet"), "{words}");
    assert!(words.contains("No custodian, paper or disk is known to have seen how far the log was"), "{words}");
    // Another session is another recovery, for a loss as for a share.
    let second = table.offer(&dealing, RecoveryPurpose::Outage, 10, 899);
    table.put("progress", &second.asks_loss(900, false, &[]));
    table.fails(
        "cleo",
        "accept-loss offer --progress progress --out two --yes",
        5,
        "session 0909090909090909 of this dealing was answered",
    );
    table.fails("cleo", "submit offer --out share --yes", 5, "two recoveries of one dealing make two clusters");
    let folder = ["custodian", "--home", "cleo", "--passphrase-fd", "0"];
    let insisting =
        ["accept-loss", "offer", "--progress", "progress", "--out", "two", "--yes", "--second-session", "the first node burned"];
    let ran = ringwall(table.path(), &[&folder[..], &insisting].concat(), &[PASSPHRASE]);
    assert!(ran.code == 0 && ran.words().contains("You answered ANOTHER session of this dealing before"), "{ran:?}");
    assert!(table.done("cleo", "status --journal").words().contains("because: the first node burned"));
}

#[test]
fn no_acceptance_outweighs_what_was_seen_and_no_question_is_made_up() {
    let table = Table::new();
    let dealing = table.deal(1);
    table.accepts("ana");
    let offer = table.offer(&dealing, RecoveryPurpose::Outage, 9, 899);
    let asks = || offer.asks_loss(900, false, &[]);
    table.put("progress", &asks());
    let refused = |code: i32, words: &str| {
        let before = table.snapshot("ana");
        table.fails("ana", &format!("{ACCEPT} --yes"), code, words);
        assert!(!table.place("word").exists(), "{words}");
        assert_eq!(table.snapshot("ana"), before, "{words}");
    };
    table.saw("ana", &table.cluster.seen(950));
    refused(13, "has 900 entries, and you saw entries 900 to 949 yourself");
    let mut forked = table.cluster.seen(900);
    forked.anchor.head.tree.root = Digest([1; 32]);
    table.saw("ana", &forked);
    refused(13, "another log than the one you saw");
    table.saw("ana", &table.cluster.seen(900));
    // A question that is not, or no longer, the node's signed word.
    let told = |change: &dyn Fn(&mut RecoveryProgress)| {
        let mut reply = asks();
        let CustodianAnswer::Progress(progress) = &mut reply.body else { panic!("another answer") };
        change(progress);
        table.put("progress", &reply);
    };
    table.put("progress", &offer.progress(Vec::new()));
    refused(10, "asks nobody to accept a loss");
    told(&|progress| progress.step = RecoveryStep::Claims);
    refused(10, "asks nobody to accept a loss");
    told(&|progress| progress.loss.iter_mut().for_each(|terms| terms.missing = 0));
    refused(10, "not the one that the node signed");
    told(&|progress| progress.loss = None);
    refused(10, "not the one that the node signed");
    told(&|progress| {
        let mut events = progress.audit.clone().into_vec();
        let AuditWhat::LossAsked(asked) = &mut events[0].what else { panic!("another event") };
        (asked.absent, asked.terms.missing) = (ringwall_wire::bounded::List::default(), 0);
        progress.loss = Some(asked.terms);
        progress.audit = ringwall_wire::bounded::List::new(events).unwrap();
    });
    refused(10, "an event is not signed by the node");
    table.put("progress", &table.cluster.offer(&dealing, RecoveryPurpose::Outage, 8, 899).asks_loss(900, false, &[]));
    refused(10, "another session");
    table.put("progress", &asks());
    let mut unsigned = offer.signed.clone();
    unsigned.signature.0[0] ^= 1;
    table.put("offer", &unsigned);
    refused(3, "signature does not verify");
    let drill = table.offer(&dealing, RecoveryPurpose::Drill, 9, 899);
    table.put("progress", &drill.asks_loss(900, false, &[]));
    refused(2, "a drill, in which nothing is lost");
}

#[test]
fn a_session_that_takes_the_place_of_another_one_says_so() {
    let table = Table::new();
    let dealing = table.deal(1);
    table.accepts("ana");
    let first = table.offer(&dealing, RecoveryPurpose::Outage, 9, 899);
    table.done("ana", "submit offer --out one --yes");
    let mut second = table.cluster.offer(&dealing, RecoveryPurpose::Outage, 10, 899);
    table.put("offer", &second.signed);
    let strange = table.fails("ana", "submit offer --out two --yes", 5, "If the first one failed, repeat with --second-session").words();
    assert!(!strange.contains("the override is expected"), "{strange}");
    for (replaces, expected) in [(Nonce([7; 32]), false), (first.signed.offer.session, true)] {
        table.cluster.offer_anew(&mut second, |offer| offer.replaces = Some(replaces));
        table.put("offer", &second.signed);
        let words = table.fails("ana", "submit offer --out two --yes", 5, "two recoveries of one dealing make two clusters").words();
        assert_eq!(words.contains("takes the place of that very one") && words.contains("the override is expected"), expected, "{words}");
        assert!(!table.place("two").exists(), "expected or not, nobody releases without saying why");
    }
    let insisting =
        ["custodian", "--home", "ana", "--passphrase-fd", "0", "submit", "offer", "--out", "two", "--yes", "--second-session", "power cut"];
    let ran = ringwall(table.path(), &insisting, &[PASSPHRASE]);
    assert!(ran.code == 0 && ran.words().contains("It says that its session takes the place of session 0909090909090909"), "{ran:?}");
}
