//! Known answers of every derivation: a changed label, field order or length is a changed format and must be a decision.
//!
//! The answers were computed with Python's `hmac` and `hashlib`, not with this crate. Decides: the table is closed and collision-free.
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_keys::derive::{Purpose, expand, extract};
use ringwall_keys::ring::FIRST_KEY_EPOCH;
use ringwall_keys::user::commitment;
use ringwall_keys::{HedgedIvs, Keyring, UserKey};
use ringwall_wire::admission::GrantedKey;
use ringwall_wire::ids::{ClientId, ClusterId, KeyEpoch, UserId};
use ringwall_wire::request::KeyMode;
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
    (Purpose::UserPart, "92ff4459ff73c618df1f3fb2212c683bcf51f9a2739e7d8308c4895d8af69785"),
    (Purpose::UserRoot, "1a16047ad63c62d837b0b799748b5c27321e6eb7d0e9fa3543c9773b1dd052ea"),
    (Purpose::UserCommit, "3180b402d11f8dbf115b9b23946b1e0aebe91807082fc9ce6425f27d9b3b88da"),
    (Purpose::MixSalt, "cac58f4f27e853517c38f5288e4602753d053f5049b9c25e9341bd76244c3d91"),
    (Purpose::DekMix, "0297757a927752d71a43cff31e2ba5b42009634915355ec486760dbe12d001c2"),
    (Purpose::UserIndex, "1f300c5bb45a8fe569ba3a26d8c4e40673356f84b93c4da351db1e717fff00be"),
    (Purpose::UserNames, "bb1ba2d5a9d07f13e87ab921ce63a07e20219b6d608cbea3c998f6367a37da58"),
    (Purpose::UserRecords, "f39a4831ecf5d1fe054181d1cb5b6cb251193e28968cc444c84189bcb591ae68"),
    (Purpose::UserName, "635955242ba110f6092eb597886db7da6c7d8eeab4e5bdec4d695ce7bb185f2d"),
    (
        Purpose::UserValue,
        "709272b6e0298262b9a9da14aa692765f1cdb9336d2c75d3d39c58c22d2684a35d4b7c4ff264548562e49789a1d421c9d62923fddebe6e78cd5ec7420728f597",
    ),
    (Purpose::UserTag, "ca5bffb88e7285c66c1c36177316aef9"),
    (Purpose::DeviceTag, "e9c1ea869670ac6040815d16be81dc84"),
    (Purpose::UserRecoveryTag, "d258100122df39af6aa31b3d1e9a2db0"),
    (
        Purpose::DeviceKeys,
        "a2640c94580e80d9e09b62ffa241afd66efceeac66d45b94c118831d140f74cd87c37ba8e8328c369f745311d3615885daa1060e589ef9a09cf45b19571c33f0",
    ),
    (Purpose::RecoverySign, "316cf25cf57c5a213cb3d8e87b22e60f23f919a3a149071c3187d292dd9868d7"),
    (
        Purpose::EscrowKeys,
        "c5088fda11d2857e9492f9cc0a80fc244ebf8f02b36fc51c3b513349d6e5776d256db126b009a1ff6c308463f1e17bc0c2a52e9756b601bff9a663d1b8f7f4c1",
    ),
    (Purpose::EscrowSeed, "e1b87e8a5be59e8508673c1067074ccdd5ebc14b27e2b6bbccb0e0718922984f"),
    (Purpose::EscrowSalt, "228a002ead76297d882860a58e1baa71f1cf98c75f7d074c837317996fd5462b"),
    (Purpose::HedgedIv, "2d8525f6ca331c9219f661c23c262b8fa423a59b876acf35"),
    (Purpose::CustodySalt, "3863076080d054c65318767a8aedca2d6c263288d839b83321eb58e6079f909d"),
    (Purpose::CustodyDraw, "0c8b2d513031a966727bbbf093fb6f715723aed8c30b5a806f2a09f607b9cf0d"),
    (Purpose::CustodyKcv, "de6ed66acbcd90724690228e4f972e09"),
    (Purpose::RecoverySeed, "c5c822a4095135b3f1ff4b57b7fc2b6d4496b8d26b755643e698d6b42c264b26"),
    (Purpose::RecoveryTag, "afa4a3b42cec68f312697e7b7f287c92ff20f3cc56f2216f1830be28eeb0e23c"),
    (Purpose::ShareProof, "205432620372533b9688d9c69064188ad060d7a4291ad266c010147a5ec5bec5"),
    (Purpose::WorkloadKey, "9ce03c53fbb8d05b9c9d75c7a24b5702707f7ef298f3413a14a5c6d32859e586"),
    (Purpose::WorkloadUser, "4e4915ff949da166937b0d879b2b81973b18dcc9c7366765b378cab9764aa592"),
    (Purpose::WorkloadSubject, "34ec4c8d2145f60006f8750aec25dc79"),
    (Purpose::BrokerKey, "37d06c8347bf97682dba7d0252c4b4f373f4b99c9d947eb6d0747f67430467b7"),
    (Purpose::LogSeal, "5697bc34b616ac5658d3ba396439bdd452d0c59a24f3375ec5e4c68356d0120d"),
    (Purpose::PlatformWrap, "c59c1f4bf749767a9f2567298df64cab413e2381622f9b3c5545821e206f3f2b"),
    (
        Purpose::PlatformKeys,
        "0749d7f0d641d1761bbdf7f4ba3c71368f3ca36c7d8a4b140ff1499655c4d0a348cb9458656bcc96d6118c03cb2c1b72b51839554675fb571b28bdaf3c6bb98c",
    ),
];

/// A name sealed in user mode, without its tag; computed with Python's `cryptography`.
const NAME_SEALED: &str = "52576e313dd2bb69f8689ea9e8486e256d829833faf5a7864b06eb35729121e889e86db28df429eaf87c71c5c53b5e6b82ee7450c6a636b6759aaec722b97aec52\
    bbd349171e9307015e7ddcbfde2add1acbead4f6bd27ff";

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

fn ring() -> Keyring {
    let granted = [
        GrantedKey { key_epoch: KeyEpoch(0), key: Secret::new([0x22; 32]) },
        GrantedKey { key_epoch: KeyEpoch(1), key: Secret::new([0x33; 32]) },
    ];
    Keyring::from_grant(ClusterId([0x11; 32]), &granted).unwrap()
}

#[test]
fn tags_have_their_known_answers() {
    let ring = ring();
    let space = ring.space_tag(&UserId([0x44; 20]), "notes");
    assert_eq!(hex(&space.0), "4a68b7cfed2ff4d00a98dc60dce79b20");
    assert_eq!(hex(&ring.client_tag(&space, &ClientId([0x55; 16])).0), "47d6ba2566945db19ee933cef965d081");
}

/// What a ring holds and hands nobody; computed with Python's `hmac`.
#[test]
fn seals_of_logs_have_their_known_answer() {
    let ring = ring();
    let sealed = ring.seal_log(KeyEpoch(1), b"words").unwrap();
    assert_eq!(hex(&sealed), "f12291f16daf331ef3560aa255ef41fb7edb39b00831b07422f360c474e8ddeb");
    assert_eq!(ring.seal_log(KeyEpoch(2), b"words"), None);
}

#[test]
fn what_a_users_key_gives_has_its_known_answers() {
    let (cluster, user) = (ClusterId([0x11; 32]), UserId([0x44; 20]));
    let key = UserKey::from_seed(Secret::new([0x88; 32]));
    let part = key.part(&cluster, &user, "notes");
    assert_eq!(hex(part.expose()), "2967be2cdd20088c3112fa28b85c4211ea8badf2443875001f90cff5f8f4a53f");
    let dual = commitment(&cluster, KeyMode::Dual, &part);
    assert_eq!(dual.to_string(), "4e5a372419fd4e0a8d1f001f50e0a2c524cbb3454cca322898f28feb7bc97522");
    let space = key.space(&cluster, &user, "notes");
    assert_eq!(space.commitment().to_string(), "84b4fa4aaa32a6d6a50ae2de9d7b41cf079d1cfd3e3e6593b19c2a3116a45029");
    let name = space.seal_name(b"alpha").unwrap();
    assert_eq!(hex(&name[4..20]), "315ea6f89f627950788ed0069db4ff9b");
    assert_eq!(hex(&[&name[..4], &name[20..]].concat()), NAME_SEALED);
}

#[test]
fn nothing_secret_is_printed() {
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let ring = Keyring::found(ClusterId([0x11; 32]), &mut rng);
    let mut ivs = HedgedIvs::new(Box::new(rng), ringwall_wire::ids::Incarnation(1));
    let (keys, _) = ring.new_space_key(&ring.space_tag(&UserId([1; 20]), "n"), KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs).unwrap();
    let printed = format!("{ring:?} {ivs:?} {keys:?} {:?}", ring.granted());
    for granted in ring.granted() {
        let secret = hex(granted.key.expose());
        assert!(!printed.contains(secret.split_at(8).0), "{printed}");
    }
    assert!(printed.contains("Secret<32>"));
}
