//! Releases as people make and check them, against a log and witnesses that are processes of their own, and nodes that carry the proof.
//!
//! Decides: nothing; each test is a promise of protocol section 8, "Releases": sessions need nobody but the node; what was revoked is refused by whoever is
//! shown it; a log that shrinks or forks is noticed, also by a user in a session, and the proof of it kept for others; "nobody can tell" is not "bad". Commands are the shipped command line.
//! Trusts: the simulated roots. Out of scope: each rule of a proof (`attest/tests`), bundles of other tools.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "releases/epochs.rs"]
mod epochs;
use super::three;

#[path = "releases/sigstore.rs"]
mod sigstore;

use ringwall_attest::release::note::VerifierKey;
use ringwall_attest::release::signer::Rule;
use ringwall_attest::release::statement::Statement;
use ringwall_attest::release::{LogError, verify_fork};
use ringwall_client::anchor::{AnchorFiles, AnchorStore as _, LogForkFile};
use ringwall_client::measure::{MeasurementSet, SnpMeasurement, TdxMeasurement};
use ringwall_client::policy::to_toml;
use ringwall_client::release::http::Http;
use ringwall_client::release::key::ReleaseKey;
use ringwall_client::release::note::{NoteKey, NoteKind};
use ringwall_client::release::staple::{Signed, Stapling};
use ringwall_client::{Client, Credential, Options, read_exchange};
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine};
use ringwall_sim::logs::local::LocalLog;
use ringwall_sim::release::MintedLog;
use ringwall_sim::world;
use ringwall_tests::local;
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::Message as _;
use ringwall_wire::policy::{PolicyDoc, ReleaseRule, ReleaseSigners};
use ringwall_wire::release::{ForkProof, LogHead, LogProof, ReleaseProof};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Exit codes of the command line that are asserted here.
const BAD: i32 = 3;
const CONFLICT: i32 = 5;
const CANNOT_TELL: i32 = 12;
const DETECTED: i32 = 13;
/// Seconds a head may be old.
const AGE_S: u32 = 86_400;
/// The commit a release is built from.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Those who publish releases: two signers, a log, witnesses; and the folder they work in.
struct Makers {
    folder: tempfile::TempDir,
    log: Option<LocalLog>,
}

/// How a command ended.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_sim-ringwall"))
}

/// What the build of the simulated world measures to, as a prediction says it.
fn predicted() -> MeasurementSet {
    let build = world::build().measurement();
    MeasurementSet {
        build_id: build.id.to_string(),
        svn: build.svn,
        snp: build.snp.iter().map(|digest| SnpMeasurement { vcpus: 4, model: "EPYC-v4".into(), digest: *digest }).collect(),
        tdx: build
            .tdx
            .iter()
            .map(|tuple| TdxMeasurement {
                shape: "4 vCPUs".into(),
                mrtd: tuple.mrtd,
                rtmr0: tuple.rtmr0,
                rtmr1: tuple.rtmr1,
                rtmr2: tuple.rtmr2,
            })
            .collect(),
    }
}

impl Makers {
    /// Everything up to a published release; nothing is stapled yet.
    fn publish(witnesses: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = LocalLog::start(program(), &folder.path().join("witnesses"), witnesses).unwrap();
        let makers = Makers { folder, log: Some(log) };
        let signers = ["ana", "ben"].map(|name| {
            makers.done(&format!("release keygen {name} --public {name}.pem"));
            ReleaseKey::read(&makers.path(name)).unwrap().signer()
        });
        makers.write("measurements.json", serde_json::to_string(&predicted()).unwrap());
        makers.write("initrd", "the image");
        makers.write("flake.lock", "{}");
        makers.done(&format!(
            "release make --measurements measurements.json --artefact initrd --source https://code.example/ringwall --commit {COMMIT} \
             --recipe flake.lock --out statement"
        ));
        for name in ["ana", "ben"] {
            makers.done(&format!("release sign statement --key {name} --out {name}.bundle"));
        }
        let published = makers.done(&format!("release publish ana.bundle ben.bundle --log-url {}", makers.log().url()));
        assert_eq!(published["index"], 0);
        let rule = makers.log().rule(&signers, 2, 2, AGE_S);
        let policy = PolicyDoc { release: ReleaseRule::Demanded(rule), ..world::policy() };
        makers.write("policy.toml", to_toml(&policy));
        makers
    }

    fn log(&self) -> &LocalLog {
        self.log.as_ref().expect("the log still runs")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn policy(&self) -> PolicyDoc {
        ringwall_client::policy::PolicyFile::read(&self.path("policy.toml")).unwrap().into_policy()
    }

    fn rule(&self) -> ReleaseSigners {
        let ReleaseRule::Demanded(rule) = self.policy().release else { panic!("the policy demands a proof") };
        rule
    }

    fn run(&self, line: &str) -> Ended {
        let mut command = Command::new(program());
        command.args(line.split_whitespace()).arg("--json").current_dir(self.folder.path());
        for name in ["RINGWALL_CARD", "RINGWALL_CREDENTIAL", "RINGWALL_CUSTODIAN"] {
            command.env_remove(name);
        }
        let ended = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: ended.status.code().unwrap_or(-1), out: text(&ended.stdout), err: text(&ended.stderr) }
    }

    #[track_caller]
    fn done(&self, line: &str) -> Value {
        let ended = self.run(line);
        assert_eq!(ended.code, 0, "{line}: {}{}", ended.out, ended.err);
        serde_json::from_str(ended.out.lines().last().unwrap_or("null")).unwrap()
    }

    #[track_caller]
    fn fails(&self, line: &str, code: i32, words: &str) {
        let ended = self.run(line);
        assert_eq!(ended.code, code, "{line}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains(words), "{line}: {}", ended.err);
    }

    fn staple_line(&self, out: &str) -> String {
        format!("release staple ana.bundle ben.bundle --log-url {} --policy policy.toml --renew --out {out}", self.log().url())
    }

    /// Adds entries of others to the log.
    fn grow(&self, entries: &[&str]) {
        entries.iter().for_each(|entry| {
            self.log().log().add(entry.as_bytes()).unwrap();
        });
    }

    /// A proof as somebody staples it who does not look whether it is any good.
    fn careless(&self, note: &str, log: &ringwall_client::release::tiles::TileLog, earlier: Option<&ReleaseProof>) -> ReleaseProof {
        let signed = Signed::new(["ana.bundle", "ben.bundle"].map(|name| std::fs::read(self.path(name)).unwrap()).to_vec()).unwrap();
        let stated = Statement::parse(signed.statement()).unwrap();
        let entry = signed.entry(Text::new(stated.build.as_str()).unwrap(), stated.svn);
        let rule = Rule::read(&self.rule()).unwrap();
        Stapling { log, rule: &rule, signed: &signed, entry, trusted_root: None, earlier }.staple(note).unwrap()
    }

    fn proof(&self, name: &str) -> ReleaseProof {
        ReleaseProof::decode(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_need_nobody_but_the_node() {
    let mut makers = Makers::publish(3);
    let stapled = makers.done(&makers.staple_line("proof"));
    assert_eq!((&stapled["size"], &stapled["revoked"]), (&1.into(), &0.into()));
    // Whoever publishes and watches is gone before the first node starts.
    let policy = makers.policy();
    makers.log = None;

    let machines = ["genoa-1", "tdx-1"].map(Machine::honest);
    let options = LocalOptions { policy: Some(policy), release_proof: Some(makers.path("proof")), ..LocalOptions::default() };
    let cluster = LocalCluster::start_with(&makers.path("cluster"), three::launch(), &machines, options).unwrap();
    // The second joined the first: each has judged the other's proof.
    let user = local::client(&cluster).await;
    local::voters(&user, &cluster, 2).await;
    let notes = user.namespace("notes").await.unwrap();
    notes.put("todo", "water the plants").await.unwrap();
    user.close().await;

    let card = cluster.card_path().display().to_string();
    for slot in [1, 2] {
        makers.done(&format!("verify --card {card} --address {} --save exchange-{slot}", cluster.address(slot)));
        let found =
            makers.done(&format!("release verify --from exchange-{slot} --card {card} --measurements measurements.json --known head"));
        assert_eq!((&found["commit"], &found["reported"]), (&COMMIT.into(), &true.into()), "node {slot}");
    }
    // What somebody else built is not what runs.
    let mut other = predicted();
    other.snp[0].digest.0[0] ^= 1;
    makers.write("other.json", serde_json::to_string(&other).unwrap());
    makers.fails(&format!("release verify --from exchange-1 --card {card} --measurements other.json"), BAD, "SNP launch digests");
    // The head of another log protects nothing any more, which is said.
    let elsewhere = MintedLog::new("log.example/other").head(&[], now_s());
    makers.write("elsewhere", LogHead { note: elsewhere, since_s: now_s() }.encode());
    for (known, anew) in [("head", false), ("elsewhere", true)] {
        let found = makers.done(&format!("release verify proof --policy policy.toml --known {known}"));
        assert_eq!(found["log"]["begins_anew"], anew, "{known}");
    }
    // A year later nobody can tell, although nothing is bad.
    let later = now_s() + 366 * 86_400;
    makers.fails(&format!("release verify proof --policy policy.toml --at {later}"), CANNOT_TELL, "witnessed");
}

/// A user who remembers.
fn remembering(cluster: &LocalCluster, folder: &Path, name: &str) -> (Options, AnchorFiles) {
    let files = AnchorFiles::beside(&folder.join(name), &cluster.card().genesis.cluster_id());
    (Options { credential: Credential::generate(), anchor: Arc::new(files.clone()), ..local::options(cluster) }, files)
}

impl Makers {
    /// Puts a proof in place of what the node hands out, and waits until whoever asks is shown it.
    async fn hands_out(&self, cluster: &LocalCluster, proof: &ReleaseProof, round: usize) {
        self.write("beside", proof.encode());
        std::fs::rename(self.path("beside"), self.path("proof")).unwrap();
        let until = Instant::now() + local::PATIENCE;
        loop {
            let kept = format!("shown-{round}");
            // Somebody who remembers nothing believes the node by either history: nothing but memory shows the lie.
            let card = cluster.card_path();
            self.done(&format!("verify --card {} --address {} --save {kept}", card.display(), cluster.address(1)));
            let shown = read_exchange(&self.path(&kept)).unwrap();
            std::fs::remove_file(self.path(&kept)).unwrap();
            if shown.release_proof() == proof.encode() {
                return;
            }
            assert!(Instant::now() < until, "the node keeps its proof\n{}", local::logs(cluster));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A session of this user is refused by `code`; the proof lies where it says, and somebody who has nothing but the card verifies it without a network.
    async fn refuses(&self, cluster: &LocalCluster, (options, files): &(Options, AnchorFiles), code: &str, what: &str) {
        let fault = local::try_client(options.clone()).await.expect_err("the log lied to this user");
        let evidence = files.path("log-lied");
        assert_eq!(fault.code(), code, "{fault}");
        assert!(fault.to_string().contains(&evidence.display().to_string()), "{fault}");
        let third = self.path(&format!("third-{code}"));
        std::fs::create_dir(&third).unwrap();
        std::fs::copy(&evidence, third.join("evidence")).unwrap();
        std::fs::copy(cluster.card_path(), third.join("card")).unwrap();
        let (evidence, card) = (third.join("evidence"), third.join("card"));
        let line = format!("receipt verify {} --card {}", evidence.display(), card.display());
        let told = self.done(&line);
        assert_eq!((&told["proven"], &told["log"]), (&true.into(), &"release".into()), "{told}");
        assert!(told["what"].as_str().unwrap().contains(what), "{told}");
        // With another byte it is no evidence, and under a policy that names another log it is about nothing.
        let good = std::fs::read(&evidence).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bent = good.clone();
            bent[at] ^= 1;
            std::fs::write(&evidence, bent).unwrap();
            assert_ne!(self.run(&line).code, 0, "byte {at} changed");
        }
        let proof = LogForkFile::from_bytes(&good).unwrap();
        assert!(proof.verify(&self.rule()).unwrap().is_some());
        let strangers = ReleaseSigners { log: Text::new(self.log().witness_keys()[0].as_str()).unwrap(), ..self.rule() };
        assert!(!matches!(proof.verify(&strangers), Ok(Some(_))), "it proves nothing of another log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lies_to_a_user_in_a_session_is_refused_and_proven_to_others() {
    let makers = Makers::publish(3);
    makers.grow(&["one", "two"]);
    makers.done(&makers.staple_line("proof"));
    let options = LocalOptions { policy: Some(makers.policy()), release_proof: Some(makers.path("proof")), ..LocalOptions::default() };
    let cluster = LocalCluster::start_with(&makers.path("cluster"), three::launch(), &[Machine::honest("genoa-1")], options).unwrap();
    let [ana, ben, eve] = ["ana", "ben", "eve"].map(|name| remembering(&cluster, makers.folder.path(), &format!("user-{name}")));
    for (options, files) in [&ana, &ben] {
        let client = Client::connect(options.clone()).await.unwrap_or_else(|fault| panic!("{fault}\n{}", local::logs(&cluster)));
        client.namespace("notes").await.unwrap().put("k", "v").await.unwrap();
        client.close().await;
        assert!(files.governed().unwrap().head.is_some(), "the head that was shown is remembered");
    }

    // Another history of the same size, cosigned by witnesses that were bought: who remembers the first one refuses, and who does not is shown nothing wrong.
    (0..3).for_each(|witness| drop(makers.log().witness_misbehave(witness, "bought").unwrap()));
    makers.log().misbehave("fork", b"").unwrap();
    let other = makers.log().other();
    let forked = makers.careless(&other.checkpoint().unwrap(), &other, None);
    makers.hands_out(&cluster, &forked, 1).await;
    makers.refuses(&cluster, &ana, "RW-C-FORK-DETECTED", "two histories").await;
    local::try_client(eve.0.clone()).await.unwrap().close().await;

    // The node shows the first history again. That settles nothing for who was lied to; others go on.
    makers.log().misbehave("honest", b"").unwrap();
    let honest = makers.careless(&makers.log().log().checkpoint().unwrap(), &makers.log().log(), None);
    makers.hands_out(&cluster, &honest, 2).await;
    let again = local::try_client(ana.0.clone()).await.unwrap_err();
    assert_eq!(again.code(), "RW-C-FORK-DETECTED", "{again}");
    local::try_client(ben.0.clone()).await.unwrap().close().await;

    // The log loses entries, and witnesses that had cosigned more cosign less, a second later.
    let seen_s = ben.1.governed().unwrap().head.unwrap().since_s;
    while now_s() <= seen_s + 1 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    makers.log().misbehave("lose/2", b"").unwrap();
    let shrunk = makers.careless(&makers.log().log().checkpoint().unwrap(), &makers.log().log(), None);
    makers.hands_out(&cluster, &shrunk, 3).await;
    makers.refuses(&cluster, &ben, "RW-C-ROLLBACK-DETECTED", "shrank").await;
}

/// Unix seconds by this machine's clock.
fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn who_saw_an_older_head_learns_what_was_revoked_since() {
    let makers = Makers::publish(3);
    makers.done(&makers.staple_line("proof"));
    let verify = "release verify --policy policy.toml --known head";
    makers.done(&format!("{verify} proof"));
    makers.done(&format!("release record proof --folder {}", makers.folder.path().display()));

    let build = predicted().build_id;
    makers.done(&format!("release revoke --list revoked --build {build} --reason leaks --log-url {}", makers.log().url()));
    makers.fails(&format!("release revoke --list revoked --build {build} --reason again"), CONFLICT, "revoked already");
    makers.grow(&["another"]);
    // Nobody who looks staples it, and the good proof stays.
    let before = std::fs::read(makers.path("proof")).unwrap();
    makers.fails(&makers.staple_line("proof"), BAD, "was revoked: leaks");
    assert_eq!(std::fs::read(makers.path("proof")).unwrap(), before);
    // Unless it is to be shown: then it is written, and refused by whoever is shown it.
    makers.fails(&format!("{} --even-revoked", makers.staple_line("shown")), BAD, "was revoked: leaks");
    assert_eq!(makers.proof("shown").revocations.revoked.len(), 1);
    makers.fails("release verify shown --policy policy.toml", BAD, "was revoked: leaks");
    // A node that shows the newer head has told its client by that; the client needs nobody else to know.
    let note = makers.log().log().checkpoint().unwrap();
    let newer = makers.careless(&note, &makers.log().log(), Some(&makers.proof("proof")));
    makers.write("newer", newer.encode());
    makers.fails(&format!("{verify} newer"), BAD, "was revoked: leaks");
    // The list cannot be left out of it, nor shortened.
    let silent = ReleaseProof { revocations: ringwall_wire::release::RevocationList { revoked: Default::default() }, ..newer };
    makers.write("silent", silent.encode());
    makers.fails(&format!("{verify} silent"), BAD, "list of revocations");
}

#[test]
fn a_log_that_shrinks_or_forks_is_noticed_and_the_proof_kept() {
    let makers = Makers::publish(3);
    makers.grow(&["one", "two"]);
    makers.done(&makers.staple_line("proof"));
    let verify = "release verify --policy policy.toml --known head";
    makers.done(&format!("{verify} proof"));
    let rule = Rule::read(&makers.rule()).unwrap();

    // Another history for others: honest witnesses do not cosign it, so that nobody can tell anything by it.
    makers.log().misbehave("fork", b"").unwrap();
    assert!(makers.log().refusals().unwrap().contains("409"), "{}", makers.log().refusals().unwrap());
    let other = makers.log().other();
    let careless = makers.careless(&other.checkpoint().unwrap(), &other, None);
    makers.write("forked", careless.encode());
    makers.fails("release verify forked --policy policy.toml", CANNOT_TELL, "witnesses");
    let kept = std::fs::read_dir(makers.log().witness_folder(0)).unwrap();
    let fork = kept.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|kind| kind == "fork"));
    let fork = ForkProof::decode(&std::fs::read(fork.expect("a witness keeps both histories")).unwrap()).unwrap();
    assert!(verify_fork(&fork, &rule).is_err());

    // With witnesses that were bought a client that saw the first history still notices, and has the proof.
    (0..3).for_each(|witness| drop(makers.log().witness_misbehave(witness, "bought").unwrap()));
    makers.log().misbehave("fork", b"").unwrap();
    makers.write("forked", makers.careless(&other.checkpoint().unwrap(), &other, None).encode());
    makers.done("release verify forked --policy policy.toml");
    makers.fails(&format!("{verify} forked"), DETECTED, "head.fork");
    let fork = ForkProof::decode(&std::fs::read(makers.path("head.fork")).unwrap()).unwrap();
    assert!(verify_fork(&fork, &rule).is_err());

    // Entries are lost: whoever staples notices by the proof before. A smaller head may be an old one, whatever its log says of it now, unless the witnesses
    // of the larger one saw it later.
    let cosigned_at =
        |second: u64| (0..3).for_each(|witness| drop(makers.log().witness_misbehave(witness, &format!("at/{second}")).unwrap()));
    cosigned_at(1_000);
    makers.log().misbehave("lose/2", b"").unwrap();
    makers.fails(&makers.staple_line("proof"), CANNOT_TELL, "older");
    assert!(!makers.path("proof.fork").exists(), "nothing is proven by it");
    cosigned_at(4_000_000_000);
    makers.fails(&makers.staple_line("proof"), DETECTED, "proof.fork");
    let fork = ForkProof::decode(&std::fs::read(makers.path("proof.fork")).unwrap()).unwrap();
    assert!(matches!(verify_fork(&fork, &rule), Err(LogError::Shrank { .. })));
}

/// A longer log that names fewer revocations is no older one: nothing is stapled from it, however many witnesses were bought.
#[test]
fn a_log_that_takes_a_revocation_back_gives_no_proof() {
    let makers = Makers::publish(3);
    let revoke = |build: &str| format!("release revoke --list revoked --build {build} --reason leaks --log-url {}", makers.log().url());
    makers.done(&revoke("another-build"));
    makers.done(&makers.staple_line("proof"));
    let good = std::fs::read(makers.path("proof")).unwrap();
    // The list was written and the log did not get it: it is handed in once more.
    makers.log().misbehave("forget/1", b"").unwrap();
    assert_eq!(makers.done(&revoke("another-build"))["revoked"], 1);
    assert_eq!(makers.log().log().revocations().unwrap().revoked.len(), 1);

    (0..3).for_each(|witness| drop(makers.log().witness_misbehave(witness, "bought").unwrap()));
    makers.log().misbehave("forget/1", b"").unwrap();
    makers.grow(&["another"]);
    makers.fails(&makers.staple_line("proof"), DETECTED, "took back a revocation");
    assert_eq!(std::fs::read(makers.path("proof")).unwrap(), good);
    assert!(makers.path("proof.fork").exists());
    // Where nothing was stapled before, nobody here can know.
    makers.done(&makers.staple_line("anew"));
}

/// Others log what they like: a release that was stapled once is found where it was, and not only among the newest 8,192 entries.
#[test]
fn a_release_is_stapled_anew_however_much_was_logged_since() {
    let makers = Makers::publish(2);
    makers.done(&makers.staple_line("proof"));
    assert_eq!(makers.log().misbehave("crowd/8192", b"").unwrap().status, 200);
    let fresh = makers.run(&makers.staple_line("fresh"));
    assert!(fresh.code != 0 && fresh.err.contains("no such entry among its newest"), "{}", fresh.err);
    assert_eq!(makers.done(&makers.staple_line("proof"))["size"], 8_193);
    assert_eq!(makers.proof("proof").inclusion.index, 0);
    // A place that is not the entry's is not taken.
    let earlier = ReleaseProof { inclusion: LogProof { index: 8_000, path: Default::default() }, ..makers.proof("proof") };
    makers.write("proof", earlier.encode());
    makers.fails(&makers.staple_line("proof"), fresh.code, "no such entry");
}

#[test]
fn without_enough_witnesses_nobody_can_tell() {
    let makers = Makers::publish(3);
    makers.done(&makers.staple_line("proof"));
    (0..2).for_each(|witness| drop(makers.log().witness_misbehave(witness, "stall").unwrap()));
    makers.grow(&["another"]);
    makers.fails(&makers.staple_line("proof"), CANNOT_TELL, "1 of the named witnesses");
    // The proof from before still counts, for as long as its head is new enough.
    makers.done("release verify proof --policy policy.toml");
    // Anybody can look at the log; a cosignature brought by hand is shown with the others, and is none of a named witness.
    let key = NoteKey::create(&makers.path("w.key"), "w.example", NoteKind::Timed).unwrap();
    let witness = format!(
        "release witness --key w.key --name w.example --log {} --log-url {} --folder w --submit",
        makers.log().key(),
        makers.log().url()
    );
    assert_eq!(makers.done(&witness)["size"], 2);
    let note = makers.log().log().checkpoint().unwrap();
    assert!(note.contains("w.example") && note.matches('\u{2014}').count() == 3, "{note}");
    let own = [VerifierKey::parse(&key.verifier_key()).unwrap()];
    let log = VerifierKey::parse(&makers.log().key()).unwrap();
    assert!(ringwall_attest::release::log::witnessed(&note, &log, &own, 1).is_ok());
    // The log stalls: it takes entries and shows none of them.
    makers.log().misbehave("stall", b"").unwrap();
    makers.grow(&["never shown"]);
    assert_eq!(makers.done(&witness)["size"], 2);
    // It shrinks: this witness has seen more.
    makers.log().misbehave("honest", b"").unwrap();
    makers.done(&witness);
    makers.log().misbehave("lose/2", b"").unwrap();
    makers.fails(&witness, CANNOT_TELL, "an older one, or the log shrank");
    // Nobody is asked over the network for what is not this machine's: the address is checked before anything is sent.
    assert!(Http::new().post_secret("http://192.0.2.1/", "text/plain", b"token", 1).unwrap_err().to_string().contains("https"));
}
