//! Proofs of release with one thing wrong in each, heads that contradict what is remembered, and bytes bent at random.
//!
//! Decides: each part that is missing, doubled, reordered, foreign, old or false is refused by what it is; what was bent never says anything else.
//! Trusts: proofs `ringwall-sim` mints, accepted where they are honest. Out of scope: bundles of Sigstore's own log (the shared vectors).

use crate::harness::{ACCEPTED, Amd, NOW_S, Table, profile};
use ringwall_attest::release::{Checkpoint, LogError, Ran, ReleaseError, Released, Statement, verify_fork, verify_release};
use ringwall_sim::release::{ManagedKey, MintedLog, Publisher, statement_of};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClusterId, Digest};
use ringwall_wire::policy::{Measurement, ReleaseRule, ReleaseSigners};
use ringwall_wire::release::{ForkProof, LogEntry, LogHead, Logged, Note, ReleaseProof, Revoked, RevokedBuild};

/// A machine whose build is released.
struct Scene {
    amd: Amd,
    publisher: Publisher,
    build: Measurement,
    proof: ReleaseProof,
    rule: ReleaseSigners,
}

impl Scene {
    fn new() -> Self {
        Self::stating(|_| ())
    }

    /// The same, where the signers sign another statement.
    fn stating(change: impl FnOnce(&mut Statement)) -> Self {
        let mut publisher = Publisher::default();
        let rule = publisher.rule();
        let amd = Amd::of(profile("genoa-1"), |policy| policy.release = ReleaseRule::Demanded(rule.clone()));
        let build = amd.policy.measurements.first().unwrap().clone();
        let mut statement = statement_of(&build);
        change(&mut statement);
        let proof = publisher.publish(&statement, NOW_S);
        Scene { amd, publisher, build, proof, rule }
    }

    fn judge(&self) -> String {
        self.amd.with_proof(&self.proof.encode())
    }

    /// After an edit of the proof.
    fn edited(edit: impl FnOnce(&mut ReleaseProof)) -> String {
        let mut scene = Self::new();
        edit(&mut scene.proof);
        scene.judge()
    }

    /// After an edit of what the publisher does next; `refresh` gives the proof the newest head.
    fn later(at_s: u64, act: impl FnOnce(&mut Publisher)) -> String {
        let mut scene = Self::new();
        let size = scene.publisher.log.size();
        act(&mut scene.publisher);
        scene.publisher.refresh(&mut scene.proof, size, &[], at_s);
        scene.judge()
    }

    /// As a client judges that remembers a head.
    fn against(&self, last: Option<&LogHead>) -> Result<Released, ReleaseError> {
        self.bytes(&self.proof.encode(), last)
    }

    fn bytes(&self, proof: &[u8], last: Option<&LogHead>) -> Result<Released, ReleaseError> {
        let ran = Ran::Snp(*self.build.snp.first().unwrap());
        verify_release(proof, &self.rule, &self.build, &ran, NOW_S, last)
    }
}

fn revocation(what: RevokedBuild) -> Revoked {
    Revoked { what, reason: Text::new("it leaks").unwrap(), at_s: NOW_S }
}

fn other_entry() -> LogEntry {
    LogEntry::policy_change(ClusterId([7; 32]), Digest([7; 32]))
}

// tidy: a table of one row a part, clearer in one piece
pub fn rows(table: &mut Table) {
    assert_eq!(Scene::new().judge(), ACCEPTED, "an honest proof");
    let mut row = |id: &str, expected: &str, got: String| table.row(format!("release.{id}"), format!("R::NotReleased({expected}…"), got);
    let stating = |change: fn(&mut Statement)| Scene::stating(change).judge();
    row("bundles.none", "TooFewSigners { signed: 0", Scene::edited(|proof| proof.bundles = List::default()));
    row("bundles.one", "TooFewSigners { signed: 1", Scene::edited(|proof| proof.bundles = List::new(proof.bundles[..1].to_vec()).unwrap()));
    row("bundles.doubled", "SignerTwice", Scene::edited(|proof| proof.bundles.push(proof.bundles[0].clone()).unwrap()));
    row("bundles.reordered", "OtherEntry { what: \"the bundles", {
        Scene::edited(|proof| proof.bundles = List::new(proof.bundles.iter().rev().cloned().collect()).unwrap())
    });
    row("bundles.stranger", "Stranger { at: 0", {
        let mut scene = Scene::new();
        let payload = statement_of(&scene.build).write();
        let second = scene.proof.bundles[1].clone();
        scene.proof.bundles = List::new(vec![ManagedKey::p256("stranger").bundle(&payload), second]).unwrap();
        scene.judge()
    });
    row("bundles.extra_stranger", "Stranger { at: 2", {
        let mut scene = Scene::new();
        let payload = statement_of(&scene.build).write();
        scene.proof.bundles.push(ManagedKey::p256("stranger").bundle(&payload)).unwrap();
        scene.judge()
    });
    row(
        "bundles.damaged",
        "Bundle { at: 0, error: Shape",
        Scene::edited(|proof| {
            let json = proof.bundles[0][1..].to_vec();
            proof.bundles = List::new(vec![ringwall_wire::release::BundleBytes::new(json).unwrap(), proof.bundles[1].clone()]).unwrap();
        }),
    );
    row(
        "bundles.doubled_member",
        "Bundle { at: 0, error: Shape",
        Scene::edited(|proof| {
            let json = String::from_utf8(proof.bundles[0].to_vec()).unwrap().replacen('{', "{\"mediaType\":\"x\",", 1);
            proof.bundles =
                List::new(vec![ringwall_wire::release::BundleBytes::new(json.into_bytes()).unwrap(), proof.bundles[1].clone()]).unwrap();
        }),
    );
    row("bundles.other_payload", "OtherStatement { at: 1", {
        let mut scene = Scene::new();
        let mut other = statement_of(&scene.build);
        other.svn += 1;
        let first = scene.proof.bundles[0].clone();
        scene.proof.bundles = List::new(vec![first, scene.publisher.signers[1].bundle(&other.write())]).unwrap();
        scene.judge()
    });
    row("bundles.no_statement", "Bundle { at: 0, error: Shape", {
        let mut scene = Scene::new();
        let payload = statement_of(&scene.build).write();
        let first = scene.publisher.signers[0].bundle_of("text/plain", &payload);
        scene.proof.bundles = List::new(vec![first, scene.proof.bundles[1].clone()]).unwrap();
        scene.judge()
    });
    row(
        "root.extra",
        "OtherRoot { got: Some",
        Scene::edited(|proof| {
            proof.trusted_root = Some(ringwall_wire::bounded::Blob::new(b"{}".to_vec()).unwrap());
        }),
    );
    row("statement.other_build", "OtherBuild", stating(|statement| statement.build = "another".into()));
    row("statement.other_svn", "OtherSvn", stating(|statement| statement.svn += 1));
    row("statement.no_measurement", "NotMeasured", stating(|statement| statement.snp.clear()));
    row("statement.short_commit", "Statement(Shape", stating(|statement| statement.commit = "abc".into()));
    row("entry.other_kind", "OtherEntry { what: \"its kind\"", Scene::edited(|proof| proof.entry = other_entry()));
    row(
        "entry.other_svn",
        "OtherEntry { what: \"the security version\"",
        Scene::edited(|proof| {
            if let Logged::Release(entry) = &mut proof.entry.what {
                entry.svn += 1;
            }
        }),
    );
    row(
        "entry.other_build",
        "OtherEntry { what: \"the build\"",
        Scene::edited(|proof| {
            if let Logged::Release(entry) = &mut proof.entry.what {
                entry.build = Text::new("another").unwrap();
            }
        }),
    );
    row("inclusion.other_index", "Log(NotIncluded", Scene::edited(|proof| proof.inclusion.index -= 1));
    row("inclusion.longer", "Log(NotIncluded", Scene::edited(|proof| proof.inclusion.path.push(Digest([0; 32])).unwrap()));
    row(
        "checkpoint.other_log",
        "Log(Note(Missing",
        Scene::edited(|proof| {
            let mut other = MintedLog::new("log.example/other");
            other.append(&proof.entry);
            proof.checkpoint = other.head(&[], NOW_S);
        }),
    );
    row(
        "checkpoint.unsigned",
        "Log(Note",
        Scene::edited(|proof| {
            let text = String::from_utf8(proof.checkpoint.to_vec()).unwrap();
            let body = text.split("\n\n").next().unwrap().to_owned() + "\n\n";
            proof.checkpoint = ringwall_wire::release::Note::new(body.into_bytes()).unwrap();
        }),
    );
    row("consistency.extra", "Log(NoPath", Scene::edited(|proof| proof.consistency.push(Digest([0; 32])).unwrap()));
    row("consistency.missing", "Log(NoPath", {
        let mut scene = Scene::new();
        scene.publisher.log.append(&other_entry());
        let size = scene.publisher.log.size();
        scene.publisher.refresh(&mut scene.proof, size, &[], NOW_S);
        scene.judge()
    });
    row("head.one_witness", "Log(TooFewWitnesses { cosigned: 1", Scene::later(NOW_S, |publisher| publisher.cosigning = 1));
    row(
        "head.one_witness_twice",
        "Log(Note(Twice",
        Scene::later(NOW_S, |publisher| {
            publisher.witnesses = vec![publisher.witnesses[0].clone(), publisher.witnesses[0].clone()];
            publisher.cosigning = 2;
        }),
    );
    row(
        "head.strange_witnesses",
        "Log(TooFewWitnesses { cosigned: 0",
        Scene::later(NOW_S, |publisher| {
            publisher.witnesses = ["a", "b", "c"].map(ringwall_sim::release::Witness::new).to_vec();
        }),
    );
    row("head.old", "HeadTooOld { age_s: 86401", Scene::later(NOW_S - 86_401, |_| ()));
    row("head.future", "HeadFromFuture", Scene::later(NOW_S + 31, |_| ()));
    row("head.other_history", "Fork { error: Forked", {
        let mut scene = Scene::new();
        let mut other = MintedLog::new("log.example/releases");
        let _ = (other.append(&other_entry()), other.append(&other_entry()));
        scene.proof.head = other.head(&scene.publisher.witnesses, NOW_S);
        scene.judge()
    });
    row(
        "revocations.unnamed",
        "OtherRevocations",
        Scene::edited(|proof| {
            proof.revocations.revoked.push(revocation(RevokedBuild::Build(Text::new("another").unwrap()))).unwrap();
        }),
    );
    let build = Scene::new().build;
    let (name, digest) = (build.id.clone(), *build.snp.first().unwrap());
    row("revoked.build", "Revoked", Scene::later(NOW_S, |publisher| publisher.log.revoke(revocation(RevokedBuild::Build(name)))));
    row("revoked.measurement", "Revoked", Scene::later(NOW_S, |publisher| publisher.log.revoke(revocation(RevokedBuild::Snp(digest)))));
    row("revocations.left_out", "OtherRevocations", {
        let mut scene = Scene::new();
        let size = scene.publisher.log.size();
        scene.publisher.log.revoke(revocation(RevokedBuild::Snp(digest)));
        scene.publisher.refresh(&mut scene.proof, size, &[], NOW_S);
        scene.proof.revocations.revoked = List::default();
        scene.judge()
    });
    rules(&mut row);
}

/// Rules of a policy that prove nothing.
fn rules(row: &mut impl FnMut(&str, &str, String)) {
    let under = |change: fn(&mut ReleaseSigners)| {
        let scene = Scene::new();
        let mut rule = scene.rule.clone();
        change(&mut rule);
        let ran = Ran::Snp(*scene.build.snp.first().unwrap());
        let judged = verify_release(&scene.proof.encode(), &rule, &scene.build, &ran, NOW_S, None);
        judged.map_or_else(|error| format!("R::NotReleased({error:?})"), |_| ACCEPTED.into())
    };
    row("rule.no_signers_needed", "Rule(Threshold { whose: \"signers\"", under(|rule| rule.signer_threshold = 0));
    row("rule.no_witnesses_needed", "Rule(Threshold { whose: \"witnesses\"", under(|rule| rule.witness_threshold = 0));
    row("rule.too_many_needed", "Rule(Threshold", under(|rule| rule.witness_threshold = 4));
    row("rule.strange_signer", "Rule(Signer", under(|rule| rule.signers.push(Text::new("release@example.org").unwrap()).unwrap()));
    row(
        "rule.keyless_without_root",
        "Rule(NoRoot",
        under(|rule| {
            rule.signers.push(Text::new("keyless:https://issuer.example release@example.org").unwrap()).unwrap();
        }),
    );
    row("rule.signer_twice", "Rule(Twice", under(|rule| rule.signers.push(rule.signers[0].clone()).unwrap()));
    row("rule.witness_twice", "Rule(Key", under(|rule| rule.witnesses.push(rule.witnesses[0].clone()).unwrap()));
    row("rule.witness_for_log", "Rule(Key", under(|rule| rule.log = Text::new(rule.witnesses[0].to_string()).unwrap()));
    row("rule.log_damaged", "Rule(Key", under(|rule| rule.log = Text::new(rule.log.replacen("log.", "lag.", 1)).unwrap()));
}

/// A client never goes back behind the head it knows, and keeps what proves a lie.
#[test]
fn a_head_that_does_not_continue_the_known_one_is_refused_and_proven() {
    let mut scene = Scene::new();
    let known = scene.against(None).unwrap().head().clone();
    assert!(scene.against(Some(&known)).is_ok(), "the same head again");

    let size = scene.publisher.log.size();
    scene.publisher.log.append(&other_entry());
    let honest = scene.publisher.clone();
    scene.publisher.refresh(&mut scene.proof, size, &[], NOW_S);
    assert!(matches!(scene.against(Some(&known)), Err(ReleaseError::HeadUnknown { got: 3, known: 2 })), "nothing leads there");
    scene.publisher.refresh(&mut scene.proof, size, &[size], NOW_S);
    let newer = scene.against(Some(&known)).unwrap().head().clone();

    // the log loses an entry: at an earlier second it is an old head, at a later one of the same witnesses a lie
    scene.publisher.log.lose(size);
    scene.publisher.refresh(&mut scene.proof, size, &[], NOW_S - 5);
    assert!(matches!(scene.against(Some(&newer)), Err(ReleaseError::HeadOlder { got: 2, known: 3 })));
    scene.publisher.refresh(&mut scene.proof, size, &[], NOW_S + 5);
    let Err(ReleaseError::Fork { error: LogError::Shrank { older: 3, newer: 2 }, proof }) = scene.against(Some(&newer)) else {
        panic!("a log that shrank was not noticed")
    };
    let rule = ringwall_attest::release::Rule::read(&scene.rule).unwrap();
    assert!(matches!(verify_fork(&proof, &rule), Err(LogError::Shrank { .. })), "whoever has the proof sees it");
    let reversed = ForkProof { older: newer.note.clone(), newer: known.note.clone(), path: Default::default() };
    assert!(matches!(verify_fork(&reversed, &rule), Err(LogError::NoPath { older: 3, newer: 2 })), "two honest heads in any order");

    // another third entry, and then another fourth one
    let other = LogEntry::policy_change(ClusterId([8; 32]), Digest([8; 32]));
    scene.publisher.log.append(&other);
    for more in 0..2 {
        if more == 1 {
            let _ = scene.publisher.log.append(&other);
        }
        scene.publisher.refresh(&mut scene.proof, size, &[size, 3][..=more], NOW_S + 5);
        let Err(ReleaseError::Fork { error: LogError::Forked { .. }, proof }) = scene.against(Some(&newer)) else {
            panic!("a fork was not noticed")
        };
        assert!(matches!(verify_fork(&proof, &rule), Err(LogError::Forked { .. })), "whoever has the proof sees it");
    }
    // what is honest goes on
    scene.publisher = honest;
    scene.publisher.refresh(&mut scene.proof, size, &[size], NOW_S + 5);
    assert!(scene.against(Some(&newer)).is_ok());
}

#[test]
fn a_revocation_is_learned_from_a_newer_head_and_cannot_be_taken_back() {
    let mut scene = Scene::new();
    let size = scene.publisher.log.size();
    let other = RevokedBuild::Build(Text::new("another").unwrap());
    scene.publisher.log.revoke(revocation(other.clone()));
    scene.publisher.log.append(&other_entry());
    scene.publisher.refresh(&mut scene.proof, size, &[], NOW_S);
    let known = scene.against(None).unwrap().head().clone();
    scene.publisher.log.append(&other_entry());
    scene.publisher.log.forget_revocations();
    scene.publisher.refresh(&mut scene.proof, size, &[size, size + 1], NOW_S);
    assert!(matches!(scene.against(Some(&known)), Err(ReleaseError::RevocationTakenBack { known: 1, .. })));
    scene.publisher.log.revoke(revocation(RevokedBuild::Snp(*scene.build.snp.first().unwrap())));
    scene.publisher.refresh(&mut scene.proof, size, &[size, size + 1], NOW_S);
    assert!(matches!(scene.against(Some(&known)), Err(ReleaseError::RevocationTakenBack { .. })), "rewritten");
    scene.publisher.log.forget_revocations();
    scene.publisher.log.revoke(revocation(other));
    scene.publisher.log.revoke(revocation(RevokedBuild::Snp(*scene.build.snp.first().unwrap())));
    scene.publisher.refresh(&mut scene.proof, size, &[size, size + 1], NOW_S);
    assert!(matches!(scene.against(Some(&known)), Err(ReleaseError::Revoked { .. })), "learned from the node itself");
}

/// Each witness looks when it likes: the second by which enough of them cosigned a smaller head may be the later one, and nobody lied.
#[test]
fn witnesses_out_of_step_prove_nothing() {
    let mut scene = Scene::new();
    let smaller = scene.publisher.log.checkpoint();
    let size = smaller.size;
    scene.publisher.log.append(&other_entry());
    let larger = scene.publisher.log.checkpoint();
    let witnesses = scene.publisher.witnesses.clone();
    let cosigned = |log: &MintedLog, checkpoint: &Checkpoint, times: [Option<u64>; 3]| {
        let mut note = log.note(checkpoint, &[], NOW_S).to_vec();
        for (witness, at_s) in witnesses.iter().zip(times) {
            at_s.into_iter().for_each(|at_s| note.extend_from_slice(witness.cosign(checkpoint, at_s).as_bytes()));
        }
        Note::new(note).unwrap()
    };
    let (early, second, third, late) = (NOW_S - 90, NOW_S - 85, NOW_S - 84, NOW_S - 80);
    scene.publisher.refresh(&mut scene.proof, size, &[], NOW_S);
    scene.proof.head = cosigned(&scene.publisher.log, &larger, [Some(early), Some(late), None]);
    let known = scene.against(None).unwrap().head().clone();
    assert_eq!(known.since_s, early);
    scene.publisher.log.lose(size);
    scene.publisher.refresh(&mut scene.proof, size, &[], NOW_S);
    scene.proof.head = cosigned(&scene.publisher.log, &smaller, [None, Some(second), Some(third)]);
    assert_eq!(scene.against(None).unwrap().head().since_s, second, "later than the larger one, by the second that counts");
    let judged = |scene: &Scene| scene.against(Some(&known));
    assert!(matches!(judged(&scene), Err(ReleaseError::HeadOlder { got: 2, known: 3 })));
    // One witness went back, of the two that a lie takes; then both.
    scene.proof.head = cosigned(&scene.publisher.log, &smaller, [Some(second), Some(late), Some(third)]);
    assert!(matches!(judged(&scene), Err(ReleaseError::HeadOlder { .. })));
    scene.proof.head = cosigned(&scene.publisher.log, &smaller, [Some(second), Some(late + 1), None]);
    assert!(matches!(judged(&scene), Err(ReleaseError::Fork { error: LogError::Shrank { .. }, .. })));
}

/// Revoking adds no entry: a node that was stapled before it shows an older head of the same size.
#[test]
fn a_head_from_before_a_revocation_is_an_older_one_and_no_lie() {
    let mut scene = Scene::new();
    let before = scene.proof.clone();
    let size = scene.publisher.log.size();
    scene.publisher.log.revoke(revocation(RevokedBuild::Build(Text::new("another").unwrap())));
    scene.publisher.refresh(&mut scene.proof, size, &[], NOW_S);
    let known = scene.against(None).unwrap().head().clone();
    let after = std::mem::replace(&mut scene.proof, before);
    assert!(matches!(scene.against(Some(&known)), Err(ReleaseError::HeadOlder { got: 2, known: 2 })));
    scene.publisher.log.forget_revocations();
    scene.publisher.refresh(&mut scene.proof, size, &[], NOW_S + 5);
    assert!(matches!(scene.against(Some(&known)), Err(ReleaseError::HeadOlder { .. })), "whenever it was cosigned");
    // As many and others, at one size: there is one list of each length.
    scene.publisher.log.revoke(revocation(RevokedBuild::Build(Text::new("yet another").unwrap())));
    scene.publisher.refresh(&mut scene.proof, size, &[], NOW_S);
    assert!(matches!(scene.against(Some(&known)), Err(ReleaseError::RevocationTakenBack { known: 1, .. })));
    scene.proof = after;
    assert!(scene.against(Some(&known)).is_ok_and(|released| !released.begins_anew()));
}

/// What is remembered has the log's line first and no stranger's; the head of a log under another key is none of this log's.
#[test]
fn what_is_remembered_is_of_one_log_and_its_witnesses() {
    let mut scene = Scene::new();
    let honest = scene.against(None).unwrap();
    assert!(!honest.begins_anew(), "nothing was remembered");
    let stranger = ringwall_sim::release::Witness::new("log.example/releases");
    let text = String::from_utf8(scene.proof.head.to_vec()).unwrap();
    let line = stranger.cosign(&scene.publisher.log.checkpoint(), NOW_S);
    let at = text.find("\n\n").unwrap() + 2;
    scene.proof.head = Note::new(format!("{}{line}{}", &text[..at], &text[at..]).into_bytes()).unwrap();
    assert_eq!(scene.against(None).unwrap().head(), honest.head(), "a line that somebody put before the log's");
    let other = MintedLog::new("log.example/other");
    let elsewhere = LogHead { note: other.head(&[], NOW_S), since_s: NOW_S };
    assert!(scene.against(Some(&elsewhere)).unwrap().begins_anew());
}

/// A P-256 key in its two DER forms is one signer, and counts once.
#[test]
fn one_key_in_two_forms_is_one_signer() {
    let scene = Scene::new();
    let der = ManagedKey::p256("first").der();
    let (head, point) = der.split_at(26);
    let sign = 2 + (point[64] & 1);
    let mut compressed = [head, &[sign], &point[1..33]].concat();
    (compressed[1], compressed[24]) = (0x39, 0x22);
    let text = Text::new(format!("key:{}", ringwall_sim::release::log::base64(&compressed))).unwrap();
    assert!(ringwall_attest::release::Signer::parse(&text).is_ok());
    let mut rule = scene.rule.clone();
    rule.signers.push(text).unwrap();
    let read = ringwall_attest::release::Rule::read(&rule);
    assert!(matches!(read, Err(ringwall_attest::release::RuleError::Twice { .. })), "{read:?}");
}

/// Bytes bent at random: refused, or what is said is the same (a signature line of a key nobody knows).
#[test]
fn no_bent_proof_says_anything_else() {
    let scene = Scene::new();
    let honest = scene.against(None).unwrap();
    let bytes = scene.proof.encode();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let (mut refused, mut spelled) = (0, 0);
    for _ in 0..1_500 {
        let mut bent = bytes.clone();
        for _ in 0..=next(2) {
            let at = next(bent.len());
            match next(4) {
                0 => bent[at] ^= 1 << next(8),
                1 => bent[at] = next(256) as u8,
                2 => {
                    let _ = bent.remove(at);
                }
                _ => bent.insert(at, next(256) as u8),
            }
        }
        match scene.bytes(&bent, None) {
            Err(_) => refused += 1,
            Ok(released) => {
                assert_eq!((released.statement(), released.checkpoint()), (honest.statement(), honest.checkpoint()));
                spelled += 1;
            }
        }
    }
    assert!(refused > 1_400, "{refused} refused, {spelled} say the same");
}
