//! Shares that are wrong in every way, and shares on paper: each names its custodian and says what to look at, and none spoils what is kept.
//!
//! Decides: what a custodian is told of a wrong envelope, of a wrong share inside a good one, of words with a slip; and that words, codes and files bring a
//! share back into an empty folder. Trusts: simulated roots. Out of scope: evidence (`custodian.rs`). Protocol section 6.1.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::ceremony;

use ceremony::{NAMES, PASSPHRASE, Ran, Table, custodian, ringwall};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use ringwall_keys::custody::envelope::seal_share;
use ringwall_keys::custody::{Draws, KemSecret, custodian_key, open_share, open_submission};
use ringwall_sim::custody::Dealing;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::Dealt;
use ringwall_wire::custody::SharePlain;
use ringwall_wire::ids::{ClusterId, CustodyEpoch, Digest};
use ringwall_wire::recovery::{RecoveryPurpose, ShareSubmission};
use ringwall_wire::secret::Secret;

/// What was dealt to a custodian, with another share inside their envelope.
fn resealed(table: &Table, dealing: &Dealing, at: usize, share: &SharePlain) -> Dealt {
    let mut dealt = dealing.dealt[at].clone();
    let custodian = &table.cluster.card.genesis.template.custodians[at];
    let (mut rng, public) = (ChaCha20Rng::from_seed([5; 32]), custodian_key(custodian).unwrap());
    let mut draws = Draws::new(&mut rng, &Secret::new([6; 32]));
    let sealed = seal_share(&Digest(dealing.manifest.manifest.digest()), (&custodian.id(), &public), share, &mut draws).unwrap();
    (dealt.envelope.x, dealt.envelope.kem, dealt.envelope.sealed) = (sealed.x, sealed.kem, sealed.sealed);
    dealt
}

/// The share of a custodian, as their own keys on paper open it.
fn share(table: &Table, dealing: &Dealing, at: usize) -> SharePlain {
    let file = format!("keys.{at}");
    let _ = std::fs::remove_file(table.place(&file));
    table.done(NAMES[at], &format!("export --keys --words --out {file}"));
    let words = std::fs::read_to_string(table.place(&file)).unwrap();
    let lines = words.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split_whitespace().skip(1));
    let seeds = ringwall_keys::text::words::read("rwkeys", &lines.collect::<Vec<_>>().join(" "), 64).unwrap();
    let kem = KemSecret::from_seed(Secret::new(seeds[32..].try_into().unwrap()));
    let custodian = table.cluster.card.genesis.template.custodians[at].id();
    open_share(&dealing.manifest.manifest, &custodian, &dealing.dealt[at].envelope, &kem).unwrap().share().clone()
}

#[test]
fn every_bad_share_names_its_custodian_and_spoils_nothing() {
    let table = Table::new();
    let first = table.deal(1);
    table.accepts("ana");
    let kept = table.done("ana", "status --json").json();
    let second = table.deal_after(2, Digest(first.manifest.manifest.digest()));
    let good = second.dealt[0].clone();
    let refused = |name: &str, dealt: &Dealt, words: &str| {
        table.put("dealt", dealt);
        table.done("ana", "pull --from dealt");
        let before = table.snapshot("ana");
        let ran = table.fails("ana", "accept --out ack", 10, words);
        assert!(ran.words().contains("share of ana (number 1)"), "{name}: {ran:?}");
        assert!(!table.place("ack").exists(), "{name}");
        assert_eq!(table.snapshot("ana"), before, "{name}: a refusal changes nothing");
    };
    let mine = share(&table, &second, 0);
    let inside = |change: &dyn Fn(&mut SharePlain)| {
        let mut share = mine.clone();
        change(&mut share);
        resealed(&table, &second, 0, &share)
    };
    refused("version", &inside(&|share| share.version = 9), "the share is of version 9");
    refused("cluster", &inside(&|share| share.cluster_id = ClusterId([8; 32])), "the share is of cluster 0808");
    refused("epoch", &inside(&|share| share.custody_epoch = CustodyEpoch(1)), "the share is of dealing 1, wanted is 2");
    refused("index", &inside(&|share| share.x = 2), "it is somebody else's share");
    refused("value", &inside(&|share| share.y = Secret::new([0; 32])), "its commitment is another");
    refused("hiding", &inside(&|share| share.r = Secret::new([0; 32])), "its commitment is another");
    refused("another's", &resealed(&table, &second, 0, &share(&table, &second, 1)), "number 2, this custodian's is number 1");
    let envelope = |change: &dyn Fn(&mut Dealt)| {
        let mut dealt = good.clone();
        change(&mut dealt);
        dealt
    };
    refused("manifest", &envelope(&|dealt| dealt.envelope.manifest = Digest([1; 32])), "put together from two dealings");
    refused(
        "recipient",
        &envelope(&|dealt| dealt.envelope.custodian = second.dealt[1].envelope.custodian),
        "the envelope is for custodian",
    );
    refused("swapped", &envelope(&|dealt| dealt.envelope.kem = second.dealt[1].envelope.kem), "it does not open with this key");
    refused("altered", &envelope(&|dealt| dealt.envelope.kem.0[7] ^= 1), "it does not open with this key");
    let cut = envelope(&|dealt| {
        let sealed = dealt.envelope.sealed[..20].to_vec();
        dealt.envelope.sealed = ringwall_wire::bounded::Blob::new(sealed).unwrap();
    });
    refused("cut", &cut, "it does not open with this key");
    // A file that was cut off, or holds more, is no dealing.
    let bytes = good.encode();
    for wrong in [&bytes[..bytes.len() - 1], &bytes[..9], &[&bytes[..], b"x"].concat(), b""] {
        std::fs::write(table.place("dealt"), wrong).unwrap();
        table.fails("ana", "pull --from dealt", 10, "is it another file, or cut off?");
    }
    // Somebody else's part is kept by nobody by mistake.
    table.put("dealt", &second.dealt[1]);
    table.done("ana", "pull --from dealt");
    table.fails("ana", "accept --out ack", 10, "the envelope is for custodian");
    // After all this the right one is accepted, and what was held is held.
    table.put("dealt", &good);
    table.done("ana", "pull --from dealt");
    table.done("ana", "accept --out ack");
    let after = table.done("ana", "status --json").json();
    assert_eq!(after["clusters"][0]["shares"][0], kept["clusters"][0]["shares"][0]);
    assert_eq!(after["clusters"][0]["shares"].as_array().unwrap().len(), 2);
}

/// Types words or a line into `who`'s machine.
fn import(table: &Table, who: &str, text: &str, more: &str) -> Ran {
    std::fs::write(table.place("typed"), text).unwrap();
    table.run(who, &format!("import --from typed {more}"))
}

#[test]
fn a_share_comes_back_from_words_from_a_code_and_from_a_file() {
    let table = Table::new();
    let dealing = table.deal(1);
    table.accepts("ana");
    table.done("ana", "export --words --out words");
    table.done("ana", "export --svg --out picture.svg");
    table.done("ana", "export --file --out locked");
    table.done("ana", "export --keys --words --out keys");
    assert!(std::fs::read_to_string(table.place("picture.svg")).unwrap().contains("<svg"));
    for name in ["words", "picture.svg", "locked", "keys"] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(table.place(name)).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    table.fails("ana", "export --words --out words", 1, "name a file that does not exist yet");
    // No pipe and no log takes a secret.
    table.fails("ana", "export --words", 2, "never into a pipe or a log");
    table.fails("ana", "export --qr --json", 2, "name a new file with --out");
    let journal = table.done("ana", "status --journal").words();
    for words in ["as words", "as a code", "as a locked file", "exported the KEYS as words"] {
        assert!(journal.contains(words), "{words}: {journal}");
    }

    let words = std::fs::read_to_string(table.place("words")).unwrap();
    let line = {
        let share = share(&table, &dealing, 0);
        ringwall_keys::custody::spelled::share_line(&share).to_uppercase()
    };
    table.put("manifest", &dealing.manifest);
    let new = |home: &str| {
        let ran = custodian(table.path(), home, "init --name ana --from-paper keys", &[PASSPHRASE]);
        assert_eq!(ran.code, 0, "{ran:?}");
    };
    new("fresh");
    assert_eq!(table.done("fresh", "card").out, table.done("ana", "card").out, "the same custodian");
    assert_eq!(import(&table, "fresh", &words, "--card card").code, 4, "without the manifest nothing says what the share is");
    let ran = import(&table, "fresh", &words, "--card card --manifest manifest");
    assert!(ran.code == 0 && ran.words().contains("it is the one that was dealt"), "{ran:?}");
    let ran = import(&table, "fresh", &words, "--card card --manifest manifest");
    assert!(ran.code == 5 && ran.words().contains("already, and it opens"), "a second time: {ran:?}");
    new("scanned");
    assert_eq!(import(&table, "scanned", &format!("{line}\n"), "--card card --manifest dealt.ana").code, 0);
    new("filed");
    assert_eq!(table.run("filed", "import --from locked --card card --manifest manifest").code, 0);
    // What came back is released like what was dealt.
    let offer = table.offer(&dealing, RecoveryPurpose::Outage, 9, 899);
    let mut released = Vec::new();
    for home in ["ana", "fresh", "scanned", "filed"] {
        table.done(home, &format!("submit offer --out from.{home} --yes"));
        let submission: ShareSubmission = table.get(&format!("from.{home}"));
        released.push(open_submission(&offer.kem, &submission).unwrap());
    }
    assert!(released.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_slip_on_paper_is_pointed_at() {
    let table = Table::new();
    let dealing = table.deal(1);
    table.accepts("ana");
    table.accepts("ben");
    table.done("ana", "export --words --out words");
    table.done("ben", "export --words --out words.ben");
    table.done("ana", "export --keys --words --out words.keys");
    let words = std::fs::read_to_string(table.place("words")).unwrap();
    let refused = |text: &str, code: i32, wanted: &str| {
        let before = table.snapshot("ana");
        let ran = import(&table, "ana", text, "");
        assert!(ran.code == code && ran.words().contains(wanted), "{wanted}: {ran:?}");
        assert_eq!(table.snapshot("ana"), before, "{wanted}");
    };
    // Line 1 is a comment; "3." is the number of the third line.
    let third = words.lines().find(|line| line.trim_start().starts_with("3.")).unwrap();
    let right = third.split_whitespace().nth(5).unwrap();
    // Some words are parts of others, and some come twice.
    let with = |word: &str| {
        let mut line: Vec<&str> = third.split_whitespace().collect();
        line[5] = word;
        words.replacen(third, &line.join(" "), 1)
    };
    refused(&with(&format!("{right}z")), 10, &format!("word 5: \"{right}z\" is not a word of the list; did you mean {right}?"));
    let other = if right == "zoo" { "abandon" } else { "zoo" };
    refused(&with(other), 10, "word 5: \"zoo\" is not the word that was written down, all others are right");
    let tail: Vec<&str> = words.lines().take(5).collect();
    refused(&tail.join("\n"), 10, "words were typed, there should be 58");
    refused(&std::fs::read_to_string(table.place("words.keys")).unwrap(), 10, "there should be 58");
    refused("", 10, "0 words were typed");
    let line = ringwall_keys::custody::spelled::share_line(&share_of(&table, &dealing));
    refused(&line.replacen('q', "p", 1), 10, "the line (or code) is not what was written");
    refused("rwkeys1qqqq", 10, "it should open with rwshare1");
    std::fs::write(table.place("typed"), [0xff, 0xfe]).unwrap();
    table.fails("ana", "import --from typed", 10, "is not words, the line of a code, or a locked file");
    // Somebody else's paper, a paper of another cluster, a paper of another dealing.
    let bens = std::fs::read_to_string(table.place("words.ben")).unwrap();
    refused(&bens, 10, "number 2, this custodian's is number 1");
    let mut elsewhere = share_of(&table, &dealing);
    elsewhere.cluster_id = ClusterId([9; 32]);
    refused(&ringwall_keys::custody::spelled::share_line(&elsewhere), 10, "the share is of another cluster");
    let mut later = share_of(&table, &dealing);
    later.custody_epoch = CustodyEpoch(7);
    let spelled = ringwall_keys::custody::spelled::share_line(&later);
    refused(&spelled, 4, "the share is of dealing 7, of which this folder has no manifest");
    let ran = import(&table, "ana", &spelled, "--manifest dealt.ana");
    assert!(ran.code == 10 && ran.words().contains("the share is of dealing 7, wanted is 1"), "{ran:?}");
    // A locked file under another passphrase, of the wrong kind, or cut off.
    table.done("ana", "export --file --out locked");
    let ran = custodian(table.path(), "ana", "import --from locked", &[PASSPHRASE, "another passphrase"]);
    assert!(ran.code == 10 && ran.words().contains("wrong passphrase"), "{ran:?}");
    table.fails("ana", "import --from ana/keys", 10, "it holds a custodian's keys, not a share");
    let bytes = std::fs::read(table.place("locked")).unwrap();
    std::fs::write(table.place("locked.cut"), &bytes[..bytes.len() / 2]).unwrap();
    table.fails("ana", "import --from locked.cut", 10, "is it another file, or cut off?");
}

fn share_of(table: &Table, dealing: &Dealing) -> SharePlain {
    share(table, dealing, 0)
}

/// A program that stands where `age` would: it swaps letters, and writes down what everybody could see of it and of whoever started it.
fn age(table: &Table) -> String {
    let path = table.place("age").display().to_string();
    let seen = table.place("seen").display().to_string();
    let script = format!(
        "#!/bin/sh\nfor of in self $PPID; do tr '\\0' '\\n' < /proc/$of/cmdline; tr '\\0' '\\n' < /proc/$of/environ; done >> {seen}\n\
         tr '\\000-\\377' '\\200-\\377\\000-\\177'\n"
    );
    let written =
        std::process::Command::new("sh").args(["-c", "printf %s \"$1\" > \"$2\" && chmod 700 \"$2\"", "sh", &script, &path]).status();
    assert!(written.unwrap().success());
    path
}

#[test]
fn keys_for_age_pass_through_its_pipes_alone() {
    let table = Table::new();
    let (program, dealing) = (age(&table), table.deal(1));
    let with = |who: &str, line: &str| {
        let words = ["custodian", "--home", who, "--age", &program];
        ringwall(table.path(), &words.into_iter().chain(line.split(' ')).collect::<Vec<_>>(), &[PASSPHRASE])
    };
    let made = with("ana", "relock --age-recipient age1mine --age-recipient age1yubikey1deputy --passphrase-fd 0");
    assert_eq!(made.code, 0, "{made:?}");
    table.done("ana", "pull --card card --from dealt.ana");
    table.fails("ana", "accept --out ack", 2, "it is locked for age: name the identity");
    let ran = with("ana", "accept --out ack --identity mine.txt");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = with("ana", "export --words --out words --identity mine.txt");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = with("ana", "export --keys --words --out keys --identity mine.txt");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = with("ben", "status");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = with("ben", "drill --card card --identity mine.txt");
    assert!(ran.code != 0, "{ran:?}");
    let none = ringwall(table.path(), &["custodian", "--home", "ana", "--age", "./none", "drill", "--identity", "mine.txt"], &[]);
    assert!(none.code == 10 && none.words().contains("install age"), "{none:?}");

    let seen = std::fs::read(table.place("seen")).unwrap();
    let text = String::from_utf8_lossy(&seen).into_owned();
    assert!(text.contains("age1yubikey1deputy") && text.contains("--identity"), "{text}");
    assert!(!text.contains(PASSPHRASE) && !text.contains("correct horse"), "{text}");
    for file in ["words", "keys"] {
        let secret = std::fs::read_to_string(table.place(file)).unwrap();
        let words: Vec<&str> =
            secret.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split_whitespace().skip(1)).collect();
        for pair in words.windows(2) {
            assert!(!text.contains(&pair.join(" ")), "{pair:?} of {file} could be seen");
        }
    }
    drop(dealing);
}
