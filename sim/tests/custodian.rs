//! `ringwall custodian` as three people use it on machines without a network: the real program, files from a simulated cluster, exit codes, words.
//!
//! Decides: two shares that were accepted and submitted here open the master keys, and nothing is acknowledged or released before the node behind it
//! was judged. Trusts: simulated roots. Out of scope: bad shares and papers (`custodian_shares.rs`), runs that are cut off (the unit tests of `client`).
//! Protocol section 6.1.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::ceremony;

use ceremony::{CHIP, NAMES, PASSPHRASE, Table, custodian, now_s, policy, ringwall};
use ed25519_dalek::{Signature, VerifyingKey};
use ringwall_keys::custody::{GoodShare, combine, open_submission};
use ringwall_sim::Lie;
use ringwall_sim::custody::{Custody, Dealing, Offer};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodianReply, Dealt};
use ringwall_wire::custody::ShareAck;
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{CustodianId, Digest, Epoch, Incarnation, Nonce, SigPublic, Slot};
use ringwall_wire::keeper::Keeper;
use ringwall_wire::recovery::{AuditWhat, RecoveryFault, RecoveryPurpose, RefusedShare, ShareSubmission};

fn outage(table: &Table, dealing: &Dealing, session: u8) -> Offer {
    table.offer(dealing, RecoveryPurpose::Outage, session, 899)
}

/// What the recovering node finds in a submission.
fn received(table: &Table, dealing: &Dealing, offer: &Offer, file: &str) -> GoodShare {
    let submission: ShareSubmission = table.get(file);
    assert_eq!(submission.offer, Digest(offer.signed.offer.digest()));
    let member = dealing.manifest.manifest.member(&submission.custodian).unwrap();
    let signature = Signature::from_bytes(&submission.signature.0);
    VerifyingKey::from_bytes(&member.custodian.sig.0).unwrap().verify_strict(&submission.words(), &signature).unwrap();
    let share = open_submission(&offer.kem, &submission).unwrap();
    GoodShare::judge(&dealing.manifest.manifest, &submission.custodian, share).unwrap()
}

#[test]
fn shares_that_were_accepted_and_submitted_recover_the_master_keys() {
    let table = Table::new();
    let dealing = table.deal(1);
    for who in NAMES {
        let pulled = table.done(who, &format!("pull --card card --from dealt.{who} --json")).json();
        assert_eq!((pulled["custody_epoch"].as_u64(), pulled["threshold"].as_u64()), (Some(1), Some(2)));
        let accepted = table.done(who, &format!("accept --out ack.{who}"));
        assert!(accepted.words().contains("dealt inside a genuine node: AMD SEV-SNP, build ringwall-sim-1"), "{accepted:?}");
        let ack: ShareAck = table.get(&format!("ack.{who}"));
        let member = dealing.manifest.manifest.member(&ack.custodian).unwrap();
        let words = ShareAck::words(&table.cluster.card.genesis.cluster_id(), &Digest(dealing.manifest.manifest.digest()), &ack.custodian);
        let key = VerifyingKey::from_bytes(&member.custodian.sig.0).unwrap();
        key.verify_strict(&words, &Signature::from_bytes(&ack.signature.0)).unwrap();
        assert_eq!(&*member.custodian.name, who);
    }
    assert!(table.done("ana", "drill").words().contains("share 1 of dealing 1, which is the one that was dealt"));

    let offer = outage(&table, &dealing, 9);
    let mut shares = Vec::new();
    for who in ["ana", "cleo"] {
        let told = table.done(who, &format!("submit offer --out share.{who} --yes --json")).json();
        assert_eq!((told["purpose"].as_str(), told["node"]["measurement"].as_str()), (Some("recovery"), Some("ringwall-sim-1")));
        shares.push(received(&table, &dealing, &offer, &format!("share.{who}")));
    }
    let recovered = combine(&dealing.manifest.manifest, &shares).unwrap();
    let ring = recovered.open(&dealing.manifest.manifest, &dealing.recovery).unwrap();
    assert_eq!(ring.granted(), table.cluster.ring.granted(), "the master keys are back");

    let status = table.done("ana", "status --journal --json").json();
    let share = &status["clusters"][0]["shares"][0];
    assert_eq!((share["state"].as_str(), share["share"].as_u64()), (Some("accepted"), Some(1)));
    assert!(share["released_s"].is_u64() && share["rehearsed_s"].is_u64() && share["proved_s"].is_null());
    let events: Vec<&str> = status["journal"]["events"].as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    let opens = ["made the keys", "pulled dealing 1", "accepted the share", "rehearsed", "RELEASED the share of dealing 1"];
    assert_eq!(events.len(), opens.len(), "{events:?}");
    assert!(events.iter().zip(opens).all(|(event, opens)| event.starts_with(opens)), "{events:?}");
}

#[test]
fn what_is_authorised_is_read_before_it_is_asked() {
    let table = Table::new();
    let dealing = table.deal(1);
    table.accepts("ana");
    let offer = outage(&table, &dealing, 9);
    // There is no terminal here, so nobody can say yes.
    let asked = table.fails("ana", "submit offer --out share", 5, "there is no terminal to ask on");
    let words = asked.words();
    for sentence in [
        "release your share so that cluster \"table\"",
        "is RECOVERED after an outage",
        "AMD SEV-SNP in slot 1, build ringwall-sim-1 (security version 1), under policy version 1",
        "SIMULATED: this protects nothing",
        "2 of 3 recover the cluster",
        "Who else answered was not told with this offer: ask the other custodians",
        "the newest log has 900 entries, the last of term 3",
        "You have never seen this cluster's log yourself",
        "The session is 0909090909090909",
    ] {
        assert!(words.contains(sentence), "{sentence}: {words}");
    }
    assert!(!table.place("share").exists());

    table.saw("ana", &table.cluster.seen(900));
    assert!(table.run("ana", "submit offer --out share").words().contains("What it found is not older than that."));
    table.saw("ana", &table.cluster.seen(950));
    assert!(table.run("ana", "submit offer --out share").words().contains("WARNING: what it found lacks at least 50 entries that you saw"));

    let ids: Vec<CustodianId> = dealing.manifest.manifest.members.iter().map(|member| member.custodian.id()).collect();
    let refused = RefusedShare { custodian: ids[2], fault: RecoveryFault::OtherShare };
    let told = offer.progress(vec![AuditWhat::Offered(Digest([1; 32])), AuditWhat::Submitted(ids[1]), AuditWhat::Refused(refused)]);
    table.put("progress", &told);
    let words = table.run("ana", "submit offer --out share --progress progress").words();
    assert!(words.contains("Answered so far: ben. A share of cleo was refused: the share is not the one dealt"), "{words}");
    let told = table.done("ana", "submit offer --out share --progress progress --yes --json").json();
    assert_eq!((told["answered"][0].as_str(), told["refused"][0]["custodian"].as_str()), (Some("ben"), Some("cleo")));
    assert_eq!((told["age"].as_str(), told["lacking_entries"].as_u64()), (Some("older"), Some(50)));
    let submission: ShareSubmission = table.get("share");
    assert_eq!(submission.anchor.unwrap().head.tree.size, 950, "what was seen goes along");
}

#[test]
fn who_keeps_a_session_and_who_goes_on_with_it_is_read_before_it_is_asked() {
    let table = Table::new();
    let dealing = table.deal(1);
    table.accepts("ana");
    let mut offer = outage(&table, &dealing, 9);
    let asked = |table: &Table| table.fails("ana", "submit offer --out share", 5, "there is no terminal to ask on");
    assert!(!asked(&table).words().contains("KEEP the session"), "nobody else has it");
    let keepers = [2, 3].map(|slot| Keeper { slot: Slot(slot), sig: SigPublic([slot; 32]) });
    table.cluster.offer_anew(&mut offer, |offer| offer.keepers = List::new(keepers.to_vec()).unwrap());
    table.put("offer", &offer.signed);
    let words = asked(&table).words();
    for sentence in [
        "machines in slot 2, slot 3",
        "KEEP the session",
        "another attested process of the same build",
        "Whether it dies or not",
        "any machine the policy lists",
        "only if all of them say so",
    ] {
        assert!(words.contains(sentence), "{sentence}: {words}");
    }
    let told = table.done("ana", "submit offer --out share --yes --json").json();
    assert_eq!((told["keepers"][1]["slot"].as_u64(), told["earlier"].as_array().map(Vec::len)), (Some(3), Some(0)), "{told}");
    let first = Digest(offer.signed.offer.digest());

    // Another process goes on: the same session under an offer of its own. Nobody has to answer twice; who does is not asked for a reason.
    table.cluster.offer_anew(&mut offer, |offer| offer.earlier = List::new(vec![first]).unwrap());
    table.put("offer", &offer.signed);
    let words = asked(&table).words();
    assert!(words.contains("in the place of 1 other process(es)") && words.contains("need not answer again"), "{words}");
    let told = table.done("ana", "submit offer --out again --yes --json").json();
    assert_eq!(told["earlier"][0].as_str(), Some(first.to_string().as_str()));
    assert_eq!(table.get::<ShareSubmission>("again").offer, Digest(offer.signed.offer.digest()));
}

#[test]
fn progress_is_believed_in_the_nodes_own_words_alone() {
    let table = Table::new();
    let dealing = table.deal(1);
    table.accepts("ana");
    let offer = outage(&table, &dealing, 9);
    let who = dealing.manifest.manifest.members[1].custodian.id();
    let told = |change: &dyn Fn(&mut CustodianReply)| {
        let mut reply = offer.progress(vec![AuditWhat::Submitted(who), AuditWhat::Drilled]);
        change(&mut reply);
        table.put("progress", &reply);
    };
    let edit = |change: fn(&mut ringwall_wire::custodian::RecoveryProgress)| {
        told(&|reply| {
            let CustodianAnswer::Progress(progress) = &mut reply.body else { return };
            change(progress);
        });
    };
    let refused = |words: &str| table.fails("ana", "submit offer --out share --yes --progress progress", 10, words);
    edit(|progress| progress.session = Nonce([1; 32]));
    refused("another session");
    edit(|progress| {
        let mut events = progress.audit.clone().into_vec();
        events[0].what = AuditWhat::Drilled;
        progress.audit = ringwall_wire::bounded::List::new(events).unwrap();
    });
    refused("not signed by the node");
    edit(|progress| progress.audit = ringwall_wire::bounded::List::new(progress.audit.clone().into_vec().split_off(1)).unwrap());
    refused("missing or was put in");
    told(&|reply| reply.body = CustodianAnswer::Fault(ringwall_wire::custody::CustodyFault::Already));
    refused("another question");
    std::fs::write(table.place("progress"), b"junk").unwrap();
    refused("no reply about progress");
    assert!(!table.place("share").exists());
}

/// Ana, in a copy of her folder, takes this dealing in and does not accept it.
fn refuses(table: &Table, (name, dealt): (&str, &Dealt), code: i32, words: &str) {
    table.put("dealt", dealt);
    let folder = format!("ana.{name}");
    copy(&table.place("ana"), &table.place(&folder));
    table.done(&folder, "pull --card card --from dealt");
    let pulled = table.snapshot(&folder);
    table.fails(&folder, "accept --out ack", code, words);
    assert!(!table.place("ack").exists(), "{name}");
    assert_eq!(table.snapshot(&folder), pulled, "{name}: a refusal changes nothing");
}

#[test]
fn a_dealing_is_judged_before_it_is_acknowledged() {
    let table = Table::new();
    let dealing = table.deal(1);
    let good = dealing.dealt[0].clone();
    let before = table.snapshot("ana");
    let refused = |name: &str, dealt: &Dealt, code: i32, words: &str| refuses(&table, (name, dealt), code, words);
    // The node.
    for (name, lies, code, words) in [
        ("debug", &[Lie::SnpDebug][..], 3, "the dealer's evidence is refused"),
        ("root", &[Lie::ForeignRoot], 3, "the dealer's evidence is refused"),
        ("bound", &[Lie::ReportData], 3, "the dealer's evidence is refused"),
        ("crl", &[Lie::SnpCrlAbsent], 12, "nobody can tell"),
    ] {
        let template = table.cluster.card.genesis.template.clone();
        let lying = Custody::found(template, policy(), CHIP, 1, now_s()).telling(lies);
        refused(name, &lying.deal(1, Digest([0; 32])).dealt[0], code, words);
    }
    let mut other_role = good.clone();
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    other_role.exchange = table.cluster.exchange(Role::ClientServer, Custody::dealer(), &good.manifest.manifest.opening(), &key);
    refused("role", &other_role, 3, "attests as ClientServer");
    let mut of_another = good.clone();
    of_another.exchange = table.cluster.deal(2, Digest([0; 32])).dealt[0].exchange.clone();
    refused("of-another", &of_another, 3, "the dealer's evidence is refused");
    let mut no_evidence = good.clone();
    no_evidence.exchange = ringwall_wire::bounded::Blob::new(b"none".to_vec()).unwrap();
    refused("no-evidence", &no_evidence, 10, "evidence cannot be read");
    // Its word.
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let mut other_key = good.clone();
    other_key.exchange = table.cluster.exchange(Role::Dealing, Custody::dealer(), &good.manifest.manifest.opening(), &stranger);
    refused("key", &other_key, 3, "another key");
    let mut other_life = good.clone();
    let later = Incarnation::new(Epoch(1), 8);
    other_life.exchange = table.cluster.exchange(Role::Dealing, later, &good.manifest.manifest.opening(), &key);
    refused("life", &other_life, 3, "another incarnation");
    let mut unsigned = good.clone();
    unsigned.manifest.signature.0[5] ^= 1;
    refused("unsigned", &unsigned, 3, "signature does not verify");
    assert_eq!(table.snapshot("ana"), before);
    table.accepts("ana");
}

#[test]
fn what_a_dealing_says_is_held_against_the_founding_record() {
    let table = Table::new();
    let dealing = table.deal(1);
    let good = dealing.dealt[0].clone();
    let before = table.snapshot("ana");
    let refused = |name: &str, dealt: &Dealt, code: i32, words: &str| refuses(&table, (name, dealt), code, words);
    let changed = |change: &dyn Fn(&mut ringwall_wire::custody::CustodyManifest)| {
        let mut dealt = good.clone();
        change(&mut dealt.manifest.manifest);
        table.cluster.sign_anew(&mut dealt);
        dealt
    };
    refused("policy", &changed(&|manifest| manifest.policy = Digest([1; 32])), 3, "under another policy");
    refused("threshold", &changed(&|manifest| manifest.threshold = 1), 3, "1 shares recover, it says 2");
    refused(
        "fewer",
        &changed(&|manifest| manifest.members = ringwall_wire::bounded::List::new(manifest.members[..2].to_vec()).unwrap()),
        3,
        "2 custodians hold shares, it names 3",
    );
    let swap = |manifest: &mut ringwall_wire::custody::CustodyManifest| {
        let mut members = manifest.members.clone().into_vec();
        members[2].custodian = members[1].custodian.clone();
        manifest.members = ringwall_wire::bounded::List::new(members).unwrap();
    };
    refused("twice", &changed(&swap), 3, "share 3 is for ben");
    let same = |manifest: &mut ringwall_wire::custody::CustodyManifest| {
        let mut members = manifest.members.clone().into_vec();
        members[2].commitment = members[1].commitment;
        manifest.members = ringwall_wire::bounded::List::new(members).unwrap();
    };
    refused("same", &changed(&same), 3, "two custodians were given the same share");
    assert_eq!(table.snapshot("ana"), before);
    // The shipped program believes none of this, and the card of another cluster does not either.
    let elsewhere = Custody::found(table.cluster.card.genesis.template.clone(), policy(), CHIP, 2, now_s());
    table.put("elsewhere", &elsewhere.card);
    table.fails("ana", "pull --card elsewhere --from dealt.ana", 3, "look which card was given");
    let ran = table.run("ana", "pull --card card --from card");
    assert!(ran.code == 10 && ran.words().contains("is it another file, or cut off?"), "{ran:?}");
    table.accepts("ana");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

#[test]
fn an_offer_is_judged_before_anything_is_asked() {
    let table = Table::new();
    let dealing = table.deal(1);
    table.accepts("ana");
    let before = table.snapshot("ana");
    let refused = |signed: &ringwall_wire::recovery::SignedOffer, code: i32, words: &str| {
        table.put("offer", signed);
        table.fails("ana", "submit offer --out share --yes", code, words);
        assert!(!table.place("share").exists(), "{words}");
        assert_eq!(table.snapshot("ana"), before, "{words}: a refusal changes nothing");
    };
    let template = table.cluster.card.genesis.template.clone();
    for (lies, code) in [(&[Lie::SnpDebug][..], 3), (&[Lie::Build], 3), (&[Lie::SnpCrlAbsent], 12)] {
        let lying = Custody::found(template.clone(), policy(), CHIP, 1, now_s()).telling(lies);
        refused(&lying.offer(&dealing, RecoveryPurpose::Outage, 9, 899).signed, code, "the recovering node's evidence is refused");
    }
    let good = outage(&table, &dealing, 9);
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let opening = good.signed.offer.opening();
    let mut joining = good.signed.clone();
    joining.exchange = table.cluster.exchange(Role::JoinInit, Incarnation(0), &opening, &key);
    refused(&joining, 3, "attests as JoinInit");
    let mut another = good.signed.clone();
    another.exchange = outage(&table, &dealing, 8).signed.exchange;
    refused(&another, 3, "evidence is refused");
    let mut borrowed = good.signed.clone();
    borrowed.exchange = table.cluster.exchange(Role::Recovery, Incarnation(0), &opening, &ed25519_dalek::SigningKey::from_bytes(&[7; 32]));
    refused(&borrowed, 3, "another key");
    let mut unsigned = good.signed.clone();
    unsigned.signature.0[0] ^= 1;
    refused(&unsigned, 3, "signature does not verify");
    let mut changed = good.signed.clone();
    changed.offer.kem.0[0] ^= 1;
    refused(&changed, 3, "evidence is refused");
    let elsewhere = Custody::found(template, policy(), CHIP, 2, now_s());
    let theirs = elsewhere.deal(1, Digest([0; 32]));
    refused(&elsewhere.offer(&theirs, RecoveryPurpose::Outage, 9, 899).signed, 3, "nothing of this folder is for it");
    let newer = table.cluster.deal(2, Digest(dealing.manifest.manifest.digest()));
    refused(&table.cluster.offer(&newer, RecoveryPurpose::Outage, 9, 899).signed, 10, "this folder holds those of dealing 1");
    refused(&table.cluster.offer(&dealing, RecoveryPurpose::Drill, 9, 899).signed, 2, "use `ringwall custodian drill`");
    std::fs::write(table.place("offer"), &good.signed.encode()[..500]).unwrap();
    table.fails("ana", "submit offer --out share --yes", 10, "is it another file, or cut off?");
    // One who saw a newer epoch knows that this recovery is of an old disk.
    let mut seen = table.cluster.seen(900);
    seen.anchor.head.epoch = Epoch(2);
    table.saw("ana", &seen);
    table.put("offer", &good.signed);
    table.fails("ana", "submit offer --out share --yes", 5, "the cluster was recovered already");
    // The tree of reasons is there for whoever asks.
    let told = table.run("ana", "submit offer --out share --yes --explain");
    assert_eq!(told.code, 5);
    table.put("offer", &joining);
    assert!(table.run("ana", "submit offer --out share --yes --explain").out.contains("[FAILED]"));
}

#[test]
fn one_dealing_is_released_to_one_session() {
    let table = Table::new();
    let dealing = table.deal(1);
    table.accepts("ana");
    let first = outage(&table, &dealing, 9);
    table.done("ana", "submit offer --out one --yes");
    let released = received(&table, &dealing, &first, "one");
    // The same session again: nothing new, the same bytes, no second entry.
    std::fs::rename(table.place("one"), table.place("before")).unwrap();
    let again = table.done("ana", "submit offer --out one --yes");
    assert!(again.words().contains("You released your share to this very session on"), "{again:?}");
    assert_eq!(std::fs::read(table.place("one")).unwrap(), std::fs::read(table.place("before")).unwrap());
    assert_eq!(table.done("ana", "status --json").json()["journal"]["entries"].as_u64(), Some(4));
    // Another session.
    let second = outage(&table, &dealing, 10);
    let before = table.snapshot("ana");
    let refused = table.fails("ana", "submit offer --out two --yes", 5, "two recoveries of one dealing make two clusters");
    assert!(
        refused.words().contains("session 0909090909090909") && refused.words().contains("this is session 0a0a0a0a0a0a0a0a"),
        "{refused:?}"
    );
    assert!(!table.place("two").exists());
    assert_eq!(table.snapshot("ana"), before);
    let empty = ["custodian", "--home", "ana", "--passphrase-fd", "0", "submit", "offer", "--out", "two", "--yes", "--second-session", " "];
    assert_eq!(ringwall(table.path(), &empty, &[PASSPHRASE]).code, 2);
    let insisting = [&empty[..11], &["the first node burned down"]].concat();
    let done = ringwall(table.path(), &insisting, &[PASSPHRASE]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.words().contains("ANOTHER session of this dealing before"), "{done:?}");
    assert_eq!(received(&table, &dealing, &second, "two").share(), released.share());
    let journal = table.done("ana", "status --journal").words();
    assert!(journal.contains("although session 0909090909090909 had it, because: the first node burned down"), "{journal}");
    // The real share leaves for no drill, under neither verb.
    let _drill = table.offer(&dealing, RecoveryPurpose::Drill, 11, 899);
    table.fails("ana", "submit offer --out three --yes", 2, "use `ringwall custodian drill`");
    table.fails("ana", "drill offer --out three --yes", 2, "a drill's without its shadow");
    assert!(!table.place("three").exists());
    // A new dealing is another matter.
    let newer = table.deal_after(2, Digest(dealing.manifest.manifest.digest()));
    table.accepts("ana");
    outage(&table, &newer, 12);
    table.done("ana", "submit offer --out four --yes");
}

#[test]
fn dealings_are_kept_beside_each_other() {
    let table = Table::new();
    let first = table.deal(1);
    table.accepts("ana");
    assert!(table.done("ana", "accept --out ack.again --json").json()["accepted_before_s"].as_u64().is_some());
    assert_eq!(std::fs::read(table.place("ack.ana")).unwrap(), std::fs::read(table.place("ack.again")).unwrap());
    // One that was dropped before it became active, and the one that took its place: same number, other manifest.
    let template = table.cluster.card.genesis.template.clone();
    let mut other = table.cluster.deal(2, Digest(first.manifest.manifest.digest())).dealt[0].clone();
    other.manifest.manifest.kcv[0] ^= 1;
    table.cluster.sign_anew(&mut other);
    table.put("dealt.ana", &other);
    table.done("ana", "pull --card card --from dealt.ana");
    let refused = table.run("ana", "accept --out ack.other");
    assert_eq!(refused.code, 10, "its envelope is of another manifest: {refused:?}");
    assert!(refused.words().contains("share of ana (number 1)"), "{refused:?}");
    let second = table.deal_after(2, Digest(first.manifest.manifest.digest()));
    table.done("ana", "pull --card card --from dealt.ana");
    let accepted = table.done("ana", "accept --out ack.second");
    assert!(accepted.words().contains("It continues the dealing you accepted before."), "{accepted:?}");
    let shares = table.done("ana", "status --json").json()["clusters"][0]["shares"].as_array().unwrap().len();
    assert_eq!(shares, 3);
    for (dealing, session) in [(&first, 20), (&second, 21)] {
        let offer = outage(&table, dealing, session);
        table.done("ana", &format!("submit offer --out share.{session} --yes"));
        let _ = received(&table, dealing, &offer, &format!("share.{session}"));
    }
    drop(template);
}

#[test]
fn passphrases_open_and_nothing_else_does() {
    let table = Table::new();
    let dealing = table.deal(1);
    table.done("ana", "pull --card card --from dealt.ana");
    let before = table.snapshot("ana");
    for (typed, words) in [(&["wrong horse battery staple"][..], "wrong passphrase"), (&[""], "wrong passphrase")] {
        let ran = custodian(table.path(), "ana", "accept --out ack", typed);
        assert!(ran.code == 10 && ran.words().contains(words), "{ran:?}");
    }
    assert_eq!(table.snapshot("ana"), before);
    for (typed, words) in [("short", "by dice"), ("aaaaaaaaaaaaaaaaaaaa", "by dice"), ("tab\tinside the passphrase", "control character")] {
        let ran = custodian(table.path(), "new", "init --name New", &[typed]);
        assert!(ran.code == 10 && ran.words().contains(words), "{ran:?}");
        assert!(!table.place("new/keys").exists());
    }
    let ran = custodian(table.path(), "ana", "init --name Ana", &[PASSPHRASE]);
    assert!(ran.code == 10 && ran.words().contains("not overwritten"), "{ran:?}");
    // Another passphrase, and the old one is of no use.
    let ran = custodian(table.path(), "ana", "relock", &[PASSPHRASE, "an entirely new passphrase"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(custodian(table.path(), "ana", "accept --out ack", &[PASSPHRASE]).code, 10);
    assert_eq!(custodian(table.path(), "ana", "accept --out ack", &["an entirely new passphrase"]).code, 0);
    drop(dealing);
}

#[test]
fn a_folder_that_others_can_read_or_that_is_in_use_is_left_alone() {
    use std::os::unix::fs::PermissionsExt;
    let table = Table::new();
    let mode = |name: &str, bits| std::fs::set_permissions(table.place(name), std::fs::Permissions::from_mode(bits)).unwrap();
    mode("ana/keys", 0o640);
    table.fails("ana", "status", 10, "chmod 600");
    mode("ana/keys", 0o600);
    mode("ana", 0o755);
    table.fails("ana", "status", 10, "chmod 700");
    mode("ana", 0o700);
    table.fails("ana", "drill", 4, "ringwall custodian pull");
    table.fails("nobody", "status", 10, "ringwall custodian init");
    let held = std::fs::File::open(table.place("ana/lock")).unwrap();
    held.lock().unwrap();
    table.fails("ana", "status", 10, "in use by another run");
    drop(held);
    table.done("ana", "status");
    let mut journal = std::fs::read(table.place("ana/journal")).unwrap();
    journal.extend_from_slice(&journal.clone());
    std::fs::write(table.place("ana/journal"), journal).unwrap();
    table.fails("ana", "status", 10, "does not follow the one before it");
}

#[test]
fn the_founding_template_takes_cards_and_nothing_doubtful() {
    let table = Table::new();
    let cards = std::fs::read_to_string(table.place("custodians.toml")).unwrap();
    let genesis = |text: &str, threshold: &str| {
        std::fs::write(table.place("cards"), text).unwrap();
        let line = format!("policy genesis policy --name x --custodians cards --custody-threshold {threshold} --out t{threshold}");
        ringwall(table.path(), &line.split(' ').collect::<Vec<_>>(), &[])
    };
    let one = table.done("ana", "card").out;
    for (text, threshold, code, words) in [
        (cards.clone(), "4", 10, "can never come together"),
        (cards.clone(), "1", 2, "1 is not in"),
        (format!("{cards}\n{one}"), "2", 10, "share a key or a name"),
        (cards.replacen("sig = \"", "sig = \"0", 1), "2", 10, "has no good sig"),
        (cards.replacen("id = \"", "id = \"0", 1), "2", 10, "compare the id by telephone"),
        ("hello".into(), "2", 10, "no card of a custodian"),
    ] {
        let ran = genesis(&text, threshold);
        assert!(ran.code == code && ran.words().contains(words), "{words}: {ran:?}");
    }
    assert_eq!(genesis(&cards, "3").code, 0);
}
