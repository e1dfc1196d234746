//! Bundles of ours under the Sigstore community's verifier, and bundles of theirs under ours: their signer, services and verifier share no code with us.
//!
//! Decides: nothing; what one side accepts the other does, for managed keys and keyless certificates, in logs of Rekor 1 and 2 with timestamps, and neither
//! accepts another key, another person or another statement. Run by `.ci/run sigstore`, which fetches their packages and names the folder they are in
//! (`RINGWALL_SIGSTORE`). Trusts: the mock services to be what their authors test with. Out of scope: each rule of a bundle (`attest/tests`).

use super::{AGE_S, BAD, Makers, now_s};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ringwall_client::policy::to_toml;
use ringwall_sim::world;
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::{PolicyDoc, ReleaseRule};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Who signs without a key of their own.
const IDENTITY: &str = "https://builder.example/ringwall";
/// Who says so.
const ISSUER: &str = "https://issuer.example";

fn tool() -> PathBuf {
    let folder = std::env::var_os("RINGWALL_SIGSTORE").expect("RINGWALL_SIGSTORE names a folder with tests/sigstore and its packages");
    Path::new(&folder).join("tool.mjs")
}

/// Their services, on loopback, until dropped.
struct Services {
    child: Child,
    url: String,
}

impl Services {
    /// Serves, writes `root.json` into the folder of `makers`, and a token for [`IDENTITY`].
    fn start(makers: &Makers) -> Self {
        let mut command = Command::new("node");
        command.arg(tool()).arg("serve").arg(makers.folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let served: Value = serde_json::from_str(&line).unwrap();
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({ "sub": IDENTITY, "iss": ISSUER, "aud": "sigstore", "exp": now_s() + 600 });
        makers.write("token", format!("{}.{}.{}", part(json!({ "alg": "ES256" })), part(claims), part(json!({}))));
        Services { child, url: served["url"].as_str().unwrap().to_owned() }
    }

    /// Has a bundle logged and stamped: `NAME.bundle` becomes `NAME.whole`.
    fn publish(&self, makers: &Makers, name: &str, options: &str) {
        makers.done(&format!("release publish {name}.bundle --rekor {} {options} --out {name}.logged", self.url));
        makers.done(&format!("release publish {name}.logged --tsa {}/api/v1/timestamp --out {name}.whole", self.url));
    }

    /// Has their signer sign the statement, and log it in a Rekor of that version.
    fn sign(&self, makers: &Makers, version: u8, out: &str) {
        let paths = ["statement", out, "token"].map(|name| makers.path(name));
        let mut command = Command::new("node");
        command.arg(tool()).arg("sign").args(paths).arg(&self.url).arg(version.to_string());
        let ended = command.output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Their verdict on a bundle: nothing, or why not.
fn judged(makers: &Makers, bundle: &str, wanted: &Value) -> Result<(), String> {
    let mut command = Command::new("node");
    command.arg(tool()).arg("verify").arg(makers.path(bundle)).arg(makers.path("root.json")).arg(wanted.to_string());
    let ended = command.output().unwrap();
    if ended.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ended.stderr).into_owned()) }
}

/// A bundle whose statement is another one.
fn altered(makers: &Makers, bundle: &str) -> String {
    let mut parsed: Value = serde_json::from_slice(&std::fs::read(makers.path(bundle)).unwrap()).unwrap();
    let payload = parsed["dsseEnvelope"]["payload"].as_str().unwrap();
    let mut statement: Value = serde_json::from_slice(&STANDARD.decode(payload).unwrap()).unwrap();
    statement["predicate"]["svn"] = json!(7);
    parsed["dsseEnvelope"]["payload"] = json!(STANDARD.encode(statement.to_string()));
    let name = format!("{bundle}.altered");
    makers.write(&name, parsed.to_string());
    name
}

#[test]
#[ignore = "needs Node.js and packages of the Sigstore community: .ci/run sigstore"]
fn their_verifier_accepts_our_bundles_and_nothing_else() {
    let makers = Makers::publish(1);
    let services = Services::start(&makers);
    services.publish(&makers, "ana", &format!("--public-key {}", makers.path("ana.pem").display()));
    let key = |name: &str| json!({ "key": makers.path(name) });
    judged(&makers, "ana.whole", &key("ana.pem")).unwrap();
    let refused = judged(&makers, "ana.whole", &key("ben.pem")).unwrap_err();
    assert!(refused.contains("SIGNATURE_ERROR") || refused.contains("TLOG"), "{refused}");
    judged(&makers, "ana.bundle", &key("ana.pem")).expect_err("it is in no log");

    let person = |identity: &str, issuer: &str| json!({ "identity": identity, "issuer": issuer });
    for (name, options) in [("one", ""), ("two", "--rekor-version 2")] {
        let sign = format!("release sign statement --fulcio {} --identity-token token --out {name}.bundle", services.url);
        makers.done(&sign);
        services.publish(&makers, name, options);
        let whole = format!("{name}.whole");
        judged(&makers, &whole, &person(IDENTITY, ISSUER)).unwrap_or_else(|why| panic!("{name}: {why}"));
        for (other, issuer) in [("https://builder.example/other", ISSUER), (IDENTITY, "https://other.example")] {
            let refused = judged(&makers, &whole, &person(other, issuer)).unwrap_err();
            assert!(refused.contains("UNTRUSTED_SIGNER_ERROR"), "{name}: {refused}");
        }
        judged(&makers, &altered(&makers, &whole), &person(IDENTITY, ISSUER)).expect_err("another statement");
    }
}

#[test]
#[ignore = "needs Node.js and packages of the Sigstore community: .ci/run sigstore"]
fn our_verifier_accepts_their_bundles_and_nothing_else() {
    let makers = Makers::publish(2);
    let services = Services::start(&makers);
    let root = std::fs::read(makers.path("root.json")).unwrap();
    let pinned = Some(Digest(Sha256::digest(&root).into()));
    let policy = |name: &str, signer: String, pinned: Option<Digest>| {
        let mut rule = makers.log().rule(&[signer], 1, 2, AGE_S);
        rule.trusted_root = pinned;
        makers.write(name, to_toml(&PolicyDoc { release: ReleaseRule::Demanded(rule), ..world::policy() }));
    };
    policy("theirs.toml", format!("keyless:{ISSUER} {IDENTITY}"), pinned);
    policy("other.toml", format!("keyless:{ISSUER} {IDENTITY}/other"), pinned);
    policy("issuer.toml", format!("keyless:https://other.example {IDENTITY}"), pinned);
    for version in [1, 2] {
        let (bundle, proof) = (format!("theirs-{version}"), format!("proof-{version}"));
        services.sign(&makers, version, &bundle);
        makers.done(&format!("release publish {bundle} --log-url {}", makers.log().url()));
        let staple = format!("release staple {bundle} --log-url {} --trusted-root root.json --policy", makers.log().url());
        makers.done(&format!("{staple} theirs.toml --out {proof}"));
        let found = makers.done(&format!("release verify {proof} --policy theirs.toml"));
        assert!(found.to_string().contains(IDENTITY), "{found}");
        for other in ["other.toml", "issuer.toml"] {
            makers.fails(&format!("release verify {proof} --policy {other}"), BAD, "");
        }
        let altered = altered(&makers, &bundle);
        let published = makers.run(&format!("release publish {altered} --log-url {}", makers.log().url()));
        if published.code == 0 {
            let line = format!(
                "release staple {altered} --log-url {} --trusted-root root.json --policy theirs.toml --out bad",
                makers.log().url()
            );
            makers.fails(&line, BAD, "");
        }
    }
}
