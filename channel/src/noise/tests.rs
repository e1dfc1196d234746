//! Published Noise vectors through our primitives: the files of the `snow` crate and the cacophony subset among the shared vectors.
//!
//! Decides: our X25519, AES-GCM and SHA-256 are what other Noise implementations use, up to the raw split keys records derive from.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use super::{builder, counter_iv};
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ringwall_wire::text::{hex, read_hex_vec};
use serde_json::Value;
use snow::{Builder, HandshakeState};
use std::{env, format, fs, path::PathBuf, vec};

fn text<'a>(vector: &'a Value, name: &str) -> Option<&'a str> {
    vector.get(name).and_then(Value::as_str)
}

fn bytes(vector: &Value, name: &str) -> Option<Vec<u8>> {
    text(vector, name).map(|text| read_hex_vec(text).unwrap())
}

/// Places of the psk tokens in a pattern: `XXpsk0+psk3` gives 0 and 3.
fn psk_places(protocol: &str) -> Vec<u8> {
    let pattern = protocol.split('_').nth(1).unwrap();
    pattern.split("psk").skip(1).map(|part| part.trim_end_matches('+').parse().unwrap()).collect()
}

fn side(vector: &Value, protocol: &str, prefix: &str) -> HandshakeState {
    let get = |name: &str| bytes(vector, &format!("{prefix}_{name}"));
    let prologue = get("prologue").unwrap_or_default();
    let (local, remote, ephemeral) = (get("static"), get("remote_static"), get("ephemeral"));
    let psks: Vec<[u8; 32]> = vector
        .get(format!("{prefix}_psks"))
        .and_then(Value::as_array)
        .map_or(Vec::new(), |all| all.iter().map(|psk| read_hex_vec(psk.as_str().unwrap()).unwrap().try_into().unwrap()).collect());
    let mut build: Builder<'_> = builder(protocol, None, &mut ChaCha20Rng::seed_from_u64(1)).prologue(&prologue).unwrap();
    if let Some(key) = &local {
        build = build.local_private_key(key).unwrap();
    }
    if let Some(key) = &remote {
        build = build.remote_public_key(key).unwrap();
    }
    if let Some(key) = &ephemeral {
        build = build.fixed_ephemeral_key_for_testing_only(key);
    }
    for (place, psk) in psk_places(protocol).into_iter().zip(&psks) {
        build = build.psk(place, psk).unwrap();
    }
    match prefix {
        "init" => build.build_initiator().unwrap(),
        _ => build.build_responder().unwrap(),
    }
}

/// Runs one vector; gives the number of its messages.
fn run(vector: &Value) -> usize {
    let protocol = text(vector, "protocol_name").unwrap();
    let (mut init, mut resp) = (side(vector, protocol, "init"), side(vector, protocol, "resp"));
    let messages = vector.get("messages").and_then(Value::as_array).unwrap();
    let mut sent = [0u64; 2];
    for (number, message) in messages.iter().enumerate() {
        let (payload, ciphertext) = (bytes(message, "payload").unwrap(), text(message, "ciphertext").unwrap());
        let dials = number % 2 == 0;
        if init.is_handshake_finished() {
            let (dialled, answered) = init.dangerously_get_raw_split();
            assert_eq!((dialled, answered), resp.dangerously_get_raw_split(), "{protocol}: both sides split alike");
            let key = if dials { dialled } else { answered };
            let counter = &mut sent[usize::from(!dials)];
            let mut out = payload;
            let cipher = Aes256Gcm::new(&key.into());
            let tag = cipher.encrypt_inout_detached(&counter_iv(*counter).into(), &[], out.as_mut_slice().into()).unwrap();
            out.extend_from_slice(&tag);
            *counter += 1;
            assert_eq!(hex(&out), ciphertext, "{protocol}: transport message {number}");
            continue;
        }
        let (from, to) = if dials { (&mut init, &mut resp) } else { (&mut resp, &mut init) };
        let (mut out, mut read) = (vec![0; 4096], vec![0; 4096]);
        let len = from.write_message(&payload, &mut out).unwrap();
        assert_eq!(hex(out.get(..len).unwrap()), ciphertext, "{protocol}: handshake message {number}");
        let got = to.read_message(out.get(..len).unwrap(), &mut read).unwrap();
        assert_eq!(read.get(..got).unwrap(), payload, "{protocol}: payload {number}");
    }
    assert!(init.is_handshake_finished() && resp.is_handshake_finished());
    assert_eq!(init.get_handshake_hash(), resp.get_handshake_hash());
    if let Some(hash) = text(vector, "handshake_hash") {
        assert_eq!(hex(init.get_handshake_hash()), hash, "{protocol}");
    }
    messages.len()
}

fn names(vectors: &[Value]) -> Vec<String> {
    vectors.iter().map(|vector| text(vector, "protocol_name").unwrap().to_string()).collect()
}

#[test]
fn noise_vectors_of_our_patterns() {
    let file: Value = serde_json::from_str(include_str!("../../tests/vectors/noise-aesgcm-sha256.json")).unwrap();
    let vectors = file.get("vectors").and_then(Value::as_array).unwrap();
    let names = names(vectors);
    for ours in [super::NK, super::XX] {
        assert!(names.iter().any(|name| name == ours), "{ours} is among the vectors");
    }
    assert!(vectors.iter().map(run).sum::<usize>() >= 40);
}

#[test]
fn noise_vectors_shared_subset() {
    let folder = env::var_os("RINGWALL_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"), PathBuf::from);
    let path = folder.join("noise/cacophony-subset.json");
    let Ok(file) = fs::read_to_string(&path) else {
        assert!(env::var("CI").as_deref() != Ok("true"), "no vectors at {}", path.display());
        std::eprintln!("SKIPPED: no vectors at {}; set RINGWALL_VECTORS", path.display());
        return;
    };
    let file: Value = serde_json::from_str(&file).unwrap();
    let all = file.get("vectors").and_then(Value::as_array).unwrap();
    let ours: Vec<Value> =
        all.iter().filter(|vector| text(vector, "protocol_name").unwrap().ends_with("_25519_AESGCM_SHA256")).cloned().collect();
    assert!(names(&ours).iter().any(|name| name == super::NK) && names(&ours).iter().any(|name| name == super::XX));
    assert!(ours.iter().map(run).sum::<usize>() >= 40);
}

#[test]
fn handshake_randomness_depends_on_the_callers_generator_alone() {
    use snow::types::Random as _;
    let draw = |seed: u64| {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        rand_core::Rng::fill_bytes(&mut rng, &mut *seed);
        let mut out = [0; 80];
        super::SeedRandom { seed, counter: 0 }.try_fill_bytes(&mut out).unwrap();
        out
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    let drawn = draw(1);
    let (blocks, _) = drawn.split_at(64);
    assert_ne!(blocks.split_at(32).0, blocks.split_at(32).1, "blocks do not repeat");
}
