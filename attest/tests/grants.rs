//! Grants to workloads: genuine evidence under a key's own policy, each rule with its coded reason.
//!
//! Decides: an AMD and an Intel workload that satisfy the policy are accepted; every refusal the policy can give has its code; evidence made for
//! another session, or for another part of the protocol, is worth nothing; orders count under enough signatures of this cluster's governors.
//! Trusts: the simulated TEE to lie well. Out of scope: the rules one by one (`fields.rs`), what is replicated (`consensus`). Protocol section 10.
#![allow(clippy::unwrap_used, clippy::panic)]

use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_attest::{GrantError, GrantExpected, appraise_grant, is_governor, verify, verify_grant_order};
use ringwall_sim::{BuildImage, GuestConfig, Lie, SimTee, anchors, world};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::Evidence;
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, Nonce, SigPublic, Signature, Slot, TrustDomain};
use ringwall_wire::order::OrderFault;
use ringwall_wire::policy::{Approval, Governance, MeasurementRegister};
use ringwall_wire::workload::{ConfigList, ConfigRule, GrantFault, GrantOrder, GrantPolicy, SetFault, workload_report_data};

const NOW_S: u64 = 1_790_000_000;
const CONFIG: GuestConfig = GuestConfig { host_data: [7; 32], mr_config_id: [8; 48] };

fn guest(chip: &str, config: GuestConfig) -> SimTee {
    let nowhere = world::joining_config(ClusterId([0; 32]), Slot(0));
    let mut profile = world::machine(chip, nowhere).unwrap();
    profile.build = BuildImage::new("payments-1", 3);
    profile.guest = Some(config);
    SimTee::new(profile, NOW_S)
}

fn policy() -> GrantPolicy {
    let base = world::PolicyBuilder::new().build(&BuildImage::new("payments-1", 3));
    let base =
        ["genoa-1", "tdx-1"].iter().fold(base, |base, chip| base.machine(ringwall_sim::Platform::of_chip(chip).unwrap(), chip)).finish();
    let config = ConfigList {
        host_data: List::new(vec![Digest(CONFIG.host_data)]).unwrap(),
        mr_config_id: List::new(vec![MeasurementRegister(CONFIG.mr_config_id)]).unwrap(),
    };
    GrantPolicy {
        name: Text::new("payments/db/1").unwrap(),
        version: 1,
        trust_domain: TrustDomain::Simulated,
        measurements: base.measurements,
        min_svn: base.min_svn,
        snp: base.snp,
        tdx: base.tdx,
        config: ConfigRule::Listed(config),
        grants_per_minute: 60,
    }
}

fn asked() -> [u8; 64] {
    workload_report_data(&ClusterId([1; 32]), Epoch(1), Incarnation(2), &Digest([3; 32]), &Nonce([4; 32]))
}

fn judge(tee: &SimTee, policy: &GrantPolicy, signed: &[u8; 64]) -> Result<(), GrantError> {
    let verified = verify(&tee.mint(signed), &tee.endorse(), &anchors(), NOW_S)?;
    let expected = GrantExpected { report_data: &asked(), trust_domain: TrustDomain::Simulated };
    appraise_grant(&verified, policy, &expected).map(|workload| {
        assert_eq!(workload.build(), "payments-1");
        assert_eq!(workload.subject().chip, tee.chip());
        assert!(!workload.steps().is_empty());
    })
}

fn fault(tee: &SimTee, policy: &GrantPolicy) -> Option<GrantFault> {
    judge(tee, policy, &asked()).err().map(|error| error.fault())
}

#[test]
fn workloads_of_both_vendors_are_accepted_and_every_refusal_has_its_code() {
    for chip in ["genoa-1", "tdx-1"] {
        let honest = guest(chip, CONFIG);
        assert_eq!(judge(&honest, &policy(), &asked()), Ok(()), "{chip}");
        let missing = GuestConfig { host_data: [0; 32], mr_config_id: [0; 48] };
        let error = judge(&guest(chip, missing), &policy(), &asked()).unwrap_err();
        assert!(error.fault() == GrantFault::HostData && error.to_string().ends_with("started without one"), "{error}");
        let other = GuestConfig { host_data: [9; 32], mr_config_id: [9; 48] };
        assert_eq!(fault(&guest(chip, other.clone()), &policy()), Some(GrantFault::HostData), "{chip}");
        let any = GrantPolicy { config: ConfigRule::Any, ..policy() };
        assert_eq!(fault(&guest(chip, other), &any), None);
        let none = GrantPolicy {
            config: ConfigRule::Listed(ConfigList { host_data: List::default(), mr_config_id: List::default() }),
            ..policy()
        };
        assert_eq!(fault(&guest(chip, CONFIG), &none), Some(GrantFault::HostData), "an empty list accepts nothing");

        let mut old = guest(chip, CONFIG).profile().clone();
        old.build = BuildImage::new("payments-0", 3);
        assert_eq!(fault(&SimTee::new(old, NOW_S), &policy()), Some(GrantFault::Measurement), "{chip}");
        assert_eq!(fault(&honest, &GrantPolicy { min_svn: 4, ..policy() }), Some(GrantFault::Measurement));
        assert_eq!(fault(&honest, &GrantPolicy { measurements: List::default(), ..policy() }), Some(GrantFault::Measurement));
        assert_eq!(fault(&honest.clone().telling(&[Lie::ForeignRoot]), &policy()), Some(GrantFault::NotGenuine));
        assert_eq!(fault(&honest.clone().telling(&[Lie::Signature]), &policy()), Some(GrantFault::NotGenuine));
        assert_eq!(fault(&honest, &GrantPolicy { trust_domain: TrustDomain::Production, ..policy() }), Some(GrantFault::OtherRoots));
    }
    let snp = |lie| fault(&guest("genoa-1", CONFIG).telling(&[lie]), &policy());
    let tdx = |lie| fault(&guest("tdx-1", CONFIG).telling(&[lie]), &policy());
    assert_eq!(snp(Lie::SnpDebug), Some(GrantFault::Debug));
    assert_eq!(tdx(Lie::TdxDebug), Some(GrantFault::Debug));
    assert_eq!(snp(Lie::SnpOldReported), Some(GrantFault::TcbTooOld));
    assert_eq!(snp(Lie::SnpOldCommitted), Some(GrantFault::TcbTooOld));
    assert_eq!(tdx(Lie::TdxOutOfDate), Some(GrantFault::TcbTooOld));
    assert_eq!(snp(Lie::SnpMigrateMa), Some(GrantFault::Settings));
    assert_eq!(fault(&guest("genoa-2", CONFIG), &policy()), Some(GrantFault::Chip));
    assert_eq!(fault(&guest("turin-1", CONFIG), &policy()), Some(GrantFault::Chip), "another family");
    assert_eq!(fault(&guest("tdx-2", CONFIG), &policy()), Some(GrantFault::Chip));
}

#[test]
fn evidence_counts_for_the_session_it_was_made_for() {
    let mut other = asked();
    other[63] ^= 1;
    for chip in ["genoa-1", "tdx-1"] {
        let refused = judge(&guest(chip, CONFIG), &policy(), &other);
        assert_eq!(refused, Err(GrantError::OtherSession), "{chip}");
    }
}

#[test]
fn simulated_roots_are_nothing_in_production() {
    let tee = guest("genoa-1", CONFIG);
    let verified = verify(&tee.mint(&asked()), &tee.endorse(), &anchors(), NOW_S).unwrap();
    let production = GrantPolicy { trust_domain: TrustDomain::Production, ..policy() };
    let expected = GrantExpected { report_data: &asked(), trust_domain: TrustDomain::Production };
    assert!(matches!(appraise_grant(&verified, &production, &expected), Err(GrantError::Roots { .. })));
    assert!(matches!(tee.mint(&asked()), Evidence::Snp(_)));
    // A policy that says the cluster is a simulated one opens nothing in production.
    let refused = appraise_grant(&verified, &policy(), &expected).err();
    assert_eq!(refused, Some(GrantError::PolicyDomain { policy: TrustDomain::Simulated, cluster: TrustDomain::Production }));
}

fn order(governors: &[&SigningKey]) -> GrantOrder {
    let policy = Blob::new(policy().encode()).unwrap();
    let mut order = GrantOrder { cluster_id: ClusterId([1; 32]), replaces: None, policy, signatures: List::default() };
    let words = order.signed_words();
    order.signatures = List::new(governors.iter().map(|key| approval(key, &words)).collect()).unwrap();
    order
}

fn approval(key: &SigningKey, words: &[u8]) -> Approval {
    Approval { key: SigPublic(key.verifying_key().to_bytes()), signature: Signature(key.sign(words).to_bytes()) }
}

#[test]
fn an_order_holds_under_enough_signatures_of_this_clusters_governors() {
    let keys: Vec<SigningKey> = (1..=4).map(|seed| SigningKey::from_bytes(&[seed; 32])).collect();
    let [one, two, three, stranger] = keys.as_slice() else { panic!("four keys") };
    let listed = [one, two, three].map(|key| SigPublic(key.verifying_key().to_bytes()));
    let governance = Governance { keys: List::new(listed.to_vec()).unwrap(), threshold: 2, timelock_s: 0, lease_s: 0 };
    let judge = |order: &GrantOrder| verify_grant_order(order, &ClusterId([1; 32]), &governance).map(|approved| approved.approvers().len());
    assert_eq!(judge(&order(&[one, three])), Ok(2));
    let named = |fault| Err(SetFault::Order(fault));
    assert_eq!(judge(&order(&[one])), named(OrderFault::TooFew));
    assert_eq!(judge(&order(&[one, one])), named(OrderFault::TooFew));
    assert_eq!(judge(&order(&[one, two, stranger])), named(OrderFault::Stranger));
    let good = order(&[one, two]);
    assert_eq!(judge(&GrantOrder { cluster_id: ClusterId([2; 32]), ..good.clone() }), named(OrderFault::OtherCluster));
    assert_eq!(judge(&GrantOrder { replaces: Some(Digest([1; 32])), ..good.clone() }), named(OrderFault::BadSignature));
    let other = Blob::new(GrantPolicy { grants_per_minute: 61, ..policy() }.encode()).unwrap();
    assert_eq!(judge(&GrantOrder { policy: other, ..good.clone() }), named(OrderFault::BadSignature));
    let nobody = Governance { keys: List::default(), threshold: 1, timelock_s: 0, lease_s: 0 };
    assert_eq!(verify_grant_order(&good, &ClusterId([1; 32]), &nobody).err(), Some(SetFault::Order(OrderFault::NoGovernors)));
    let mut nameless = good;
    nameless.policy = Blob::new(GrantPolicy { name: Text::new("../x").unwrap(), ..policy() }.encode()).unwrap();
    let words = nameless.signed_words();
    nameless.signatures = List::new(vec![approval(one, &words), approval(two, &words)]).unwrap();
    assert_eq!(judge(&nameless), Err(SetFault::Malformed));

    assert!(is_governor(b"words", &approval(two, b"words"), &governance));
    assert!(!is_governor(b"other", &approval(two, b"words"), &governance));
    assert!(!is_governor(b"words", &approval(stranger, b"words"), &governance));
    assert!(!is_governor(b"words", &approval(two, b"words"), &nobody));
}
