//! The published documents of the key broker protocol against a real node: their requests as they stand there, our answers held against theirs.
//!
//! Decides: paths, members, types, statuses, cookies and errors are the documents' (`node/tests/vectors/kbs`, passages byte for byte). Where a placeholder
//! stands, a value is put; comments are taken out, as the documents demand; the version is the one that is spoken. What else differs is named here, with
//! the side that wins: decision 0032. Trusts: the passages. Out of scope: the types of the client's crate (`tests/tests/kbs.rs`).

use super::Brokered;
use super::workload::broker::{Answer, Guest, TeeKey};
use super::workload::{AMD, INTEL, NAME};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kbs_types::{CompositeEvidence, TeePubKey};
use serde_json::Value;
use std::collections::BTreeSet;

macro_rules! published {
    ($name:literal) => {
        include_str!(concat!("../../../node/tests/vectors/kbs/", $name))
    };
}

const REQUEST: &str = published!("request.json");
const REQUEST_EARLIER: &str = published!("request-earlier.json");
const ERRORS: &str = published!("errors.txt");

/// A passage without its comments, its placeholders filled.
fn filled(passage: &str, values: &[(&str, &str)]) -> String {
    let mut pieces = passage.split("/*");
    let mut text = pieces.next().unwrap().to_owned();
    pieces.for_each(|piece| text.push_str(piece.split_once("*/").unwrap().1));
    values.iter().fold(text, |text, (from, to)| text.replace(&format!("\"{from}\""), &format!("\"{to}\"")))
}

fn request(passage: &str, version: &str, tee: &str) -> String {
    filled(passage, &[("0.1.1", version), ("$tee", tee), ("$additional_tee", "nvidia")])
}

/// Names of the members a passage shows at its top: one a line, two spaces before it.
fn members(passage: &str) -> BTreeSet<&str> {
    passage.lines().filter_map(|line| Some(line.strip_prefix("  \"")?.split_once("\":")?.0)).collect()
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The members a schema of the API's description demands.
fn required(schema: &str) -> BTreeSet<&'static str> {
    let rest = published!("openapi-required.txt").split_once(&format!("    {schema}:\n      required:\n")).unwrap().1;
    rest.lines().map_while(|line| line.strip_prefix("        - ")).collect()
}

/// The statuses an operation of the API's description has.
fn statuses(operation: &str) -> BTreeSet<u16> {
    operation.lines().filter_map(|line| line.strip_prefix("        ")?.strip_suffix(':')?.parse().ok()).collect()
}

/// The status the documents' table gives for a type of error.
fn tabled(kind: &str) -> Option<u16> {
    let row = ERRORS.lines().find(|line| line.contains(&format!("`{kind}`")))?;
    row.split('|').nth(2)?.trim().parse().ok()
}

/// The type of an error, which is the documents' in every part.
fn kind_of(answer: &Answer) -> String {
    let shown = published!("error.json");
    let error: Value = answer.json();
    assert_eq!(names(&error), members(shown), "{answer:?}");
    assert_eq!(names(&error), required("ErrorInformation"));
    assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{answer:?}");
    let prefix = shown.split_once("\"type\": \"").unwrap().1.split_once("<problem-type>").unwrap().0;
    let kind = error["type"].as_str().unwrap().strip_prefix(prefix).unwrap().to_owned();
    // The table says 401 of a policy that denies; the text above it, the API's description and the reference service say 403.
    let wanted = if kind == "PolicyDeny" { Some(403) } else { tabled(&kind) };
    assert_eq!(Some(answer.status), wanted, "{kind}");
    assert!(answer.head.contains("content-type: application/json") && !answer.head.contains("set-cookie"), "{answer:?}");
    kind
}

/// The session an answer sets, in the documents' words.
fn cookie_of(answer: &Answer) -> Option<&str> {
    Some(answer.head.split_once("set-cookie: kbs-session-id=")?.1.split_once(';')?.0)
}

async fn posted(guest: &mut Guest, path: &str, body: &str) -> Answer {
    guest.send("POST", path, &[], body.as_bytes()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_are_spoken_as_they_stand() {
    let brokered = Brokered::start().await;
    brokered.governed.create(NAME).await;
    let key = brokered.governed.ask(None, AMD, NAME, None).await.unwrap().key;
    challenges(&mut brokered.guest(1, AMD, TeeKey::ec(1))).await;
    let mut chance = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(5);
    let rsa = TeeKey::Rsa(Box::new(rsa::PrivateKey::new(&mut chance, 2048).unwrap()));
    for (line, pair) in [(AMD, TeeKey::ec(2)), (INTEL, rsa)] {
        let mut guest = brokered.guest(1, line, pair);
        let token = attested(&mut guest).await;
        granted(&mut guest, &token, key.expose()).await;
    }
    refusals(&brokered).await;
    administration(&mut brokered.guest(2, AMD, TeeKey::ec(3))).await;
}

/// Request and challenge.
async fn challenges(guest: &mut Guest) {
    let auth = "/kbs/v0/auth";
    assert!(published!("endpoints.txt").contains(&format!("`{auth}` only accepts `POST`")));
    assert!(published!("endpoints.txt").contains("header set to `kbs-session-id=<session>`"));
    for passage in [REQUEST, REQUEST_EARLIER] {
        // As it stands it has comments, which "must not be used", and a version that is not spoken.
        for body in [passage.to_owned(), request(passage, "0.1.1", "snp")] {
            let answer = posted(guest, auth, &body).await;
            assert_eq!(kind_of(&answer), "AttestationError");
        }
        for tee in ["snp", "tdx"] {
            let answer = posted(guest, auth, &request(passage, "0.4.0", tee)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(statuses(published!("openapi-paths.txt")).contains(&200) && answer.head.contains("content-type: application/json"));
            assert!(cookie_of(&answer).is_some_and(|session| !session.is_empty()), "{answer:?}");
            let challenge: Value = answer.json();
            assert_eq!(names(&challenge), members(published!("challenge.json")));
            assert!(names(&challenge).is_superset(&required("Challenge")));
            assert!(challenge["nonce"].is_string() && challenge["extra-params"].is_object(), "{challenge}");
        }
    }
    // Every TEE of the document's list is known by name; those that are not attested here are refused as the documents refuse.
    let listed = published!("tees.txt").lines().filter_map(|line| line.split('`').nth(1));
    for tee in listed {
        let answer = posted(guest, auth, &request(REQUEST, "0.4.0", tee)).await;
        match tee {
            "snp" | "tdx" => assert_eq!(answer.status, 200, "{tee}"),
            _ => assert_eq!(kind_of(&answer), "AttestationError", "{tee}"),
        }
    }
    // "KBS checks that it matches the top-level `tee`"; "An unmapped `attestation-policy-selector` is rejected".
    let other = request(REQUEST, "0.4.0", "snp").replacen("\"snp\"", "\"tdx\"", 1);
    let selecting = format!("{{\"version\":\"0.4.0\",\"tee\":\"snp\",{}}}", published!("policy-selector.json"));
    for body in [other, selecting] {
        assert_eq!(kind_of(&posted(guest, auth, &body).await), "AttestationError");
    }
    // The API's description demands these members and no others.
    assert_eq!(required("Request"), ["tee", "version"].into());
    assert_eq!(posted(guest, auth, "{\"version\":\"0.4.0\",\"tee\":\"snp\"}").await.status, 200);
}

/// The document's attestation for a challenge, with this guest's key and evidence.
fn attestation(guest: &Guest, nonce: &str) -> String {
    let CompositeEvidence { primary_evidence, additional_evidence } = guest.attestation_with(nonce, "{}").tee_evidence;
    let passage = published!("attestation.json");
    assert!(passage.contains(&format!("\"additional_evidence\": \"{additional_evidence}\"")));
    let (start, rest) = passage.split_once("\"tee-pubkey\": {").unwrap();
    let (_, end) = rest.split_once('}').unwrap();
    let key = match guest.key.public() {
        TeePubKey::EC { crv, alg, x, y } => {
            let values = [("$curve_name", crv.as_str()), ("$key_algorithm", &*alg), ("$x_coordinate", &*x), ("$y_coordinate", &*y)];
            filled(published!("key-ec.json"), &values)
        }
        TeePubKey::RSA { alg, k_mod, k_exp } => {
            filled(published!("key-rsa.json"), &[("$key_algorithm", &*alg), ("$pubkey_modulus", &*k_mod), ("$pubkey_exponent", &*k_exp)])
        }
        other => panic!("{other:?}"),
    };
    let whole = format!("{start}\"tee-pubkey\": {key}{end}");
    filled(&whole, &[("$nonce", nonce)]).replace("\"primary_evidence\": {}", &format!("\"primary_evidence\": {primary_evidence}"))
}

/// Attestation to token.
async fn attested(guest: &mut Guest) -> String {
    let challenge = guest.auth().await;
    let session = guest.cookie.clone();
    let body = attestation(guest, &challenge.nonce);
    let answer = posted(guest, "/kbs/v0/attest", &body).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    // Figure 1: the answer sets the very cookie.
    assert_eq!(cookie_of(&answer), session.as_deref());
    let shown: Value = answer.json();
    assert_eq!(names(&shown), members(published!("token.json")));
    assert_eq!(names(&shown), required("AttestationToken"));
    let token = shown["token"].as_str().unwrap().to_owned();
    let parts: Vec<Vec<u8>> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    let [header, claims, _signature] = parts.as_slice() else { panic!("{token}") };
    let (header, claims): (Value, Value) = (serde_json::from_slice(header).unwrap(), serde_json::from_slice(claims).unwrap());
    assert_eq!(names(&header), members(published!("token-header.json")));
    assert_eq!(names(&header), required("AttestationTokenHeader"));
    assert_eq!(header["typ"], "JWT");
    assert!(names(&claims).is_superset(&members(published!("token-claims.json"))), "{claims}");
    assert!(claims["exp"].as_u64() > claims["iat"].as_u64() && claims["iss"].is_string(), "{claims}");
    let key = serde_json::to_value(guest.key.public()).unwrap();
    assert_eq!(claims["tee-pubkey"], key, "the token names the guest's key in the document's form");
    token
}

/// A resource, by cookie and by token.
async fn granted(guest: &mut Guest, token: &str, key: &[u8]) {
    let path = published!("resource-path.txt").trim_end();
    let places = ["<repository>", "<type>", "<tag>"];
    let path = places.iter().zip(NAME.split('/')).fold(path.to_owned(), |path, (place, part)| path.replace(place, part));
    let session = guest.cookie.clone();
    let by_cookie = guest.send("GET", &path, &[], &[]).await.unwrap();
    // Figures 2 and 3: who asks by cookie is shown it again, who asks by token is not.
    assert!(published!("figure-2.txt").contains("Header: \"Set-Cookie kbs-session-id=123\""));
    assert_eq!(cookie_of(&by_cookie), session.as_deref());
    guest.cookie = None;
    let by_token = guest.send("GET", &path, &[("authorization", &format!("Bearer {token}"))], &[]).await.unwrap();
    assert!(
        published!("figure-3.txt").contains("Header: No Cookie") && published!("figure-3.txt").contains("Header: Authorization Bearer")
    );
    assert_eq!(cookie_of(&by_token), None);
    for answer in [by_cookie, by_token] {
        assert_eq!(answer.status, 200, "{answer:?}");
        // The API's description calls it application/jwe; the document calls it a JSON payload, and so does the reference service.
        assert!(answer.head.contains("content-type: application/json"));
        let sealed: Value = answer.json();
        // `aad` is not sent: RFC 7516 would have it authenticated besides the header, where document and client authenticate the header alone.
        let mut shown = members(published!("response.json"));
        assert!(shown.remove("aad"));
        assert_eq!(names(&sealed), shown);
        assert!(shown.is_superset(&required("Response")));
        for value in sealed.as_object().unwrap().values() {
            assert!(!URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap().is_empty());
        }
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(sealed["protected"].as_str().unwrap()).unwrap()).unwrap();
        assert!(names(&header).is_superset(&required("KeyHeader")));
        assert_eq!(header["alg"], serde_json::to_value(guest.key.public()).unwrap()["alg"], "`alg` is the one of `tee-pubkey`");
        assert_eq!(guest.key.open(&answer.json()), key);
    }
}

/// The three reasons a request for a resource fails for.
async fn refusals(brokered: &Brokered) {
    let said: Vec<u16> = published!("refusals.txt").split("response with a ").skip(1).filter_map(status).collect();
    assert_eq!(said, [401, 403, 404]);
    let described = statuses(published!("openapi-resource.txt"));
    assert_eq!(described, [200, 401, 403, 404].into());
    let stranger = brokered.guest(1, AMD, TeeKey::ec(4)).resource(NAME).await;
    let mut unwanted = brokered.guest(1, "genoa-2,build=payments-0,config=region=eu", TeeKey::ec(5));
    unwanted.handshake().await;
    let mut wanted = brokered.guest(1, AMD, TeeKey::ec(6));
    wanted.handshake().await;
    let answers = [
        (stranger, "TokenNotFound"),
        (unwanted.resource(NAME).await, "PolicyDeny"),
        (wanted.resource("no/such/key").await, "InvalidRequestPath"),
    ];
    for ((answer, kind), status) in answers.iter().zip(said) {
        assert_eq!((answer.status, kind_of(answer).as_str()), (status, *kind));
    }
    // "Missing or invalid session ID".
    let mut nobody = brokered.guest(1, AMD, TeeKey::ec(7));
    for cookie in [None, Some("123".to_owned())] {
        nobody.cookie = cookie;
        assert_eq!(kind_of(&posted(&mut nobody, "/kbs/v0/attest", &attestation(&wanted, "AAAA")).await), "AttestationError");
    }
}

fn status(text: &str) -> Option<u16> {
    text.get(..3)?.parse().ok()
}

/// What the documents let administrators do over HTTP, nobody may here; other paths and methods are none.
async fn administration(guest: &mut Guest) {
    let (attestation, resource) = (published!("attestation-policy.json"), published!("resource-policy.json"));
    let stored = format!("/kbs/v0/resource/{NAME}");
    for (path, body) in [("/kbs/v0/attestation-policy", attestation), ("/kbs/v0/resource-policy", resource), (stored.as_str(), "bytes")] {
        assert_eq!(kind_of(&posted(guest, path, body).await), "AdminAuth", "{path}");
    }
    for (method, path, kind) in [
        ("GET", "/kbs/v0/auth", "InvalidRequestPath"),
        ("DELETE", "/kbs/v0/attest", "InvalidRequestPath"),
        ("GET", "/kbs/v1/auth", "InvalidRequestPath"),
        ("GET", "/kbs/v0/unknown", "PluginNotFound"),
    ] {
        assert_eq!(kind_of(&guest.send(method, path, &[], &[]).await.unwrap()), kind, "{method} {path}");
    }
}
