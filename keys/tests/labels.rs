//! Known answers of every derivation: a changed label, field order or length is a changed format and must be a decision.
//!
//! The answers were computed with Python's `hmac` and `hashlib`, not with this crate. Decides: the table is closed and collision-free.
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_keys::derive::{Purpose, expand, extract};
use ringwall_keys::ring::FIRST_KEY_EPOCH;
use ringwall_keys::{HedgedIvs, Keyring};
use ringwall_wire::admission::GrantedKey;
use ringwall_wire::ids::{ClientId, ClusterId, KeyEpoch, UserId};
use ringwall_wire::secret::Secret;
use ringwall_wire::text::hex;
use std::collections::BTreeSet;

const KNOWN: &[(Purpose, &str)] = &[
    (Purpose::Kek, "89a8801a55c4e5c306af11ff7ae769094a0e5191a308c3fa755a871b1b21c838"),
    (Purpose::MasterCommit, "b071015bc882d6f08cf6e2028be3dbef1e117c4769bf00a3be55421b80242786"),
    (Purpose::SpaceTag, "a896037bba0490a77c786ebd483df68b"),
    (Purpose::OwnerMark, "6c4f48da804ac0721ed3a129418054f4"),
    (Purpose::ClientTag, "2d2232115b5c5cee265bcf038a40c948"),
    (Purpose::Dek, "536dab7a7b5beb1add7f55ea39ed83b96588fd9a11682e26b54deb72b836482d"),
    (
        Purpose::WrapKeys,
        "374779a2b0c59659f339edea237807277c0a46b4650ab9ff23281ffc0a2ad78d46fe6655dd22507fa736491d6124fb458249a2cc70753b2fdce36e9116084b37",
    ),
    (Purpose::SpaceRecords, "1c5e56d3dbb7013bb009e71a65cc0f4f615d8a7a103976a5e99e21ba443bc596"),
    (Purpose::SpaceIndex, "b23b8fb244f3b526f1effd347ea01cda070ffc4509b43592eacb1dd6930234f3"),
    (Purpose::KeyTag, "ae608b6a4fc87907b33d89761164c414"),
    (
        Purpose::RecordKeys,
        "16ec63dd224d3343d0ae3daaa5025d5ac76e1d110066a019040a37423c955d7441562f8c140a462386cdfc67b1674369a31c747243a37dcc965f1abc7c4e21e7\
         1198ee0de2b16dfb70533765f0638c026eed06695a45673969e8fc8fa14c1e4b",
    ),
    (Purpose::HedgedIv, "2d8525f6ca331c9219f661c23c262b8fa423a59b876acf35"),
    (Purpose::CustodySalt, "3863076080d054c65318767a8aedca2d6c263288d839b83321eb58e6079f909d"),
    (Purpose::CustodyDraw, "0c8b2d513031a966727bbbf093fb6f715723aed8c30b5a806f2a09f607b9cf0d"),
    (Purpose::CustodyKcv, "de6ed66acbcd90724690228e4f972e09"),
    (Purpose::RecoverySeed, "c5c822a4095135b3f1ff4b57b7fc2b6d4496b8d26b755643e698d6b42c264b26"),
    (Purpose::RecoveryTag, "afa4a3b42cec68f312697e7b7f287c92ff20f3cc56f2216f1830be28eeb0e23c"),
    (Purpose::ShareProof, "205432620372533b9688d9c69064188ad060d7a4291ad266c010147a5ec5bec5"),
    (Purpose::LogSeal, "5697bc34b616ac5658d3ba396439bdd452d0c59a24f3375ec5e4c68356d0120d"),
];

fn parent() -> Secret<32> {
    Secret::new(core::array::from_fn(|byte| byte as u8))
}

#[test]
fn every_purpose_has_its_known_answer() {
    assert_eq!(KNOWN.len(), Purpose::ALL.len(), "a purpose lacks its known answer");
    for (purpose, want) in KNOWN {
        let fields: [&[u8]; 2] = [b"one", b""];
        let got = match want.len() / 2 {
            16 => hex(expand::<16>(&parent(), *purpose, &fields).expose()),
            24 => hex(expand::<24>(&parent(), *purpose, &fields).expose()),
            32 => hex(expand::<32>(&parent(), *purpose, &fields).expose()),
            64 => hex(expand::<64>(&parent(), *purpose, &fields).expose()),
            96 => hex(expand::<96>(&parent(), *purpose, &fields).expose()),
            other => panic!("no derivation gives {other} bytes"),
        };
        assert_eq!(got, *want, "{purpose:?}");
    }
    assert_eq!(hex(extract(&parent(), b"input").expose()), "de226f5373b6067abd0dd958f29ddb94b4d45bb0b7a78ad446ed4591927f9d05");
}

#[test]
fn no_two_purposes_share_a_text_or_an_output() {
    let texts: BTreeSet<&str> = Purpose::ALL.iter().map(|purpose| purpose.as_str()).collect();
    assert_eq!(texts.len(), Purpose::ALL.len());
    let outputs: BTreeSet<String> = Purpose::ALL.iter().map(|purpose| hex(expand::<16>(&parent(), *purpose, &[]).expose())).collect();
    assert_eq!(outputs.len(), Purpose::ALL.len());
}

#[test]
fn fields_are_framed() {
    let split = |fields: &[&[u8]]| hex(expand::<32>(&parent(), Purpose::Kek, fields).expose());
    assert_ne!(split(&[b"ab", b"c"]), split(&[b"a", b"bc"]));
    assert_ne!(split(&[b"ab"]), split(&[b"ab", b""]));
}

#[test]
fn tags_have_their_known_answers() {
    let granted = [
        GrantedKey { key_epoch: KeyEpoch(0), key: Secret::new([0x22; 32]) },
        GrantedKey { key_epoch: KeyEpoch(1), key: Secret::new([0x33; 32]) },
    ];
    let ring = Keyring::from_grant(ClusterId([0x11; 32]), &granted).unwrap();
    let space = ring.space_tag(&UserId([0x44; 20]), "notes");
    assert_eq!(hex(&space.0), "4a68b7cfed2ff4d00a98dc60dce79b20");
    assert_eq!(hex(&ring.client_tag(&space, &ClientId([0x55; 16])).0), "47d6ba2566945db19ee933cef965d081");
}

#[test]
fn nothing_secret_is_printed() {
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let ring = Keyring::found(ClusterId([0x11; 32]), &mut rng);
    let mut ivs = HedgedIvs::new(Box::new(rng), ringwall_wire::ids::Incarnation(1));
    let (keys, _) = ring
        .new_space_key(&ring.space_tag(&UserId([1; 20]), "n"), ringwall_wire::request::KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs)
        .unwrap();
    let printed = format!("{ring:?} {ivs:?} {keys:?} {:?}", ring.granted());
    for granted in ring.granted() {
        let secret = hex(granted.key.expose());
        assert!(!printed.contains(secret.split_at(8).0), "{printed}");
    }
    assert!(printed.contains("Secret<32>"));
}
