//! What names a cluster, a boot configuration and a user: hashes computed by another program, and cards that contradict themselves.
//!
//! Decides: the identity hashes are the documented ones, byte for byte (the expected values were made with Python's hashlib from the
//! layout in docs/formats.md); a card pins a cluster only when its parts belong together.
//! Trusts: nothing. Out of scope: whether an identity is genuine (`attest`). Spec: docs/protocol.md, section 2.1.
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::{Message, enc};
use ringwall_wire::genesis::{BootCluster, BootConfig, CardError, ClusterCard, GenesisRecord, GenesisTemplate};
use ringwall_wire::ids::{ClusterId, CredPublic, Digest, Nonce, Slot, TrustDomain, UserId, Vendor};
use ringwall_wire::label::Label;
use ringwall_wire::policy::{PolicyDoc, SlotRule};
use ringwall_wire::sample::{Sample, Source};
use ringwall_wire::text::hex;

#[test]
fn enc_is_the_documented_layout() {
    let bytes = enc(Label::Bind, &[b"a", b"", b"\xff\x00"]);
    assert_eq!(hex(&bytes), "001072696e6777616c6c2f76312f62696e64000300000001610000000000000002ff00");
}

#[test]
fn a_user_is_named_by_its_credential() {
    let cred = CredPublic(core::array::from_fn(|at| at as u8));
    assert_eq!(UserId::of(&cred).to_string(), "8a97e2461dea35fb10181e1234d26a16aa370c48");
}

#[test]
fn the_boot_configuration_hashes_as_the_vendors_registers_hold_it() {
    let cluster = BootCluster::Join(ClusterId([0x11; 32]));
    let config = BootConfig { protocol: 1, trust_domain: TrustDomain::Production, cluster, slot: Slot(3) };
    assert_eq!(config.host_data().to_string(), "d26604ebe1c85589e4e7c335a1348c3f1db8ad8d217ade7c823eb495c29cee7f");
    let sha384 = "34d6d2e9158d3516cbea8a8f17f22df3745d247b08ec26af0fa63c15ea6af2785760af3488f0530586d065819a873382";
    assert_eq!(hex(&config.mr_config_id()), sha384);
}

fn slots() -> Vec<SlotRule> {
    let vendors = List::new(vec![Vendor::Amd]).unwrap();
    vec![SlotRule { slot: Slot(1), vendors, failure_domain: Text::new("a").unwrap() }]
}

fn template(policy: Digest) -> GenesisTemplate {
    GenesisTemplate {
        trust_domain: TrustDomain::Simulated,
        name: Text::new("demo").unwrap(),
        custodians: List::default(),
        custody_threshold: 2,
        slots: List::new(slots()).unwrap(),
        policy,
    }
}

#[test]
fn the_cluster_id_is_the_hash_of_the_founding_record() {
    let record = GenesisRecord { nonce: Nonce([0x33; 32]), template: template(Digest([0x22; 32])) };
    assert_eq!(record.cluster_id().to_string(), "63f6e089f8d2337ad6490a0edabea088868b5cea58b018a1de4eed074b186693");
    let again = GenesisRecord { nonce: Nonce([0x34; 32]), ..record.clone() };
    assert_ne!(record.cluster_id(), again.cluster_id(), "two foundings from one template are two clusters");
}

fn card() -> ClusterCard {
    let mut policy = PolicyDoc::sample(&mut Source::new(1));
    policy.trust_domain = TrustDomain::Simulated;
    policy.slots = List::new(slots()).unwrap();
    let template = template(Digest(policy.digest()));
    ClusterCard {
        genesis: GenesisRecord { nonce: Nonce([7; 32]), template },
        policy,
        addresses: List::default(),
        steps: List::default(),
        web: List::default(),
    }
}

#[test]
fn a_card_that_belongs_together_pins_its_cluster() {
    let card = card();
    assert_eq!(card.pinned(), Ok(card.genesis.cluster_id()));
    let mut moved = card.clone();
    moved.addresses.push(Text::new("192.0.2.1:4000").unwrap()).unwrap();
    assert_eq!(moved.pinned(), card.pinned(), "addresses are hints and pin nothing");
}

#[test]
fn a_card_with_another_policy_is_refused() {
    let mut card = card();
    card.policy.min_svn ^= 1;
    let got = Digest(card.policy.digest());
    assert_eq!(card.pinned(), Err(CardError::OtherPolicy { got, named: card.genesis.template.policy }));
}

#[test]
fn a_card_with_another_trust_domain_is_refused() {
    let mut card = card();
    card.genesis.template.trust_domain = TrustDomain::Production;
    assert_eq!(card.pinned(), Err(CardError::OtherTrustDomain));
}

#[test]
fn a_card_with_other_slots_is_refused() {
    let mut card = card();
    card.genesis.template.slots = List::default();
    assert_eq!(card.pinned(), Err(CardError::OtherSlots));
}

#[test]
fn secrets_are_not_printed() {
    let secret = ringwall_wire::secret::Secret::<32>::new([0xab; 32]);
    assert_eq!(format!("{secret:?}"), "Secret<32>");
    assert!(secret.same(&secret.clone()));
    assert!(!secret.same(&ringwall_wire::secret::Secret::new([0xac; 32])));
    let mut bytes = [7; 32];
    let taken = ringwall_wire::secret::Secret::from_mut(&mut bytes);
    assert_eq!(bytes, [0; 32], "the caller's copy is wiped");
    assert_eq!(taken.expose(), &[7; 32]);
}
