//! Approvals of policies and of orders: enough distinct governors, this very thing, strict signatures, and nothing else.
//!
//! Decides: that every way to count short, count twice, or sign something else is refused by name. Row G5 of the register, as far as built.
//! Trusts: Ed25519; one signature was made by another program (Python's `cryptography`). Out of scope: what a change may do and how it
//! is followed (`governance/`, tests of this program).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::result_large_err, clippy::type_complexity)]

mod governance;

use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_attest::{ApprovalError, Authority, GovernorsError, verify_approval, verify_order};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, PolicyVersion, SigPublic, Signature, Slot, TrustDomain};
use ringwall_wire::limits::POLICY_VERSION_JUMP;
use ringwall_wire::order::{OrderFault, ReplaceOrder};
use ringwall_wire::policy::{Approval, Governance, PolicyDoc, SignedPolicy};
use ringwall_wire::sample::{Sample as _, Source};
use ringwall_wire::text::hex;

fn governor(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public(key: &SigningKey) -> SigPublic {
    SigPublic(key.verifying_key().to_bytes())
}

fn governance(numbers: &[u8], threshold: u8) -> Governance {
    let keys = numbers.iter().map(|number| public(&governor(*number))).collect();
    Governance { keys: List::new(keys).unwrap(), threshold, timelock_s: 0, lease_s: 0 }
}

/// The policy in force: three governors, two must sign.
fn in_force() -> PolicyDoc {
    let mut policy = PolicyDoc::sample(&mut Source::new(5));
    policy.version = PolicyVersion(3);
    policy.trust_domain = TrustDomain::Simulated;
    policy.governance = governance(&[1, 2, 3], 2);
    policy
}

/// A policy that may follow it.
fn next() -> PolicyDoc {
    let mut policy = in_force();
    policy.version = PolicyVersion(4);
    policy.min_svn = policy.min_svn.wrapping_add(1);
    policy
}

fn unsigned(policy: &PolicyDoc, replaces: Option<Digest>) -> SignedPolicy {
    SignedPolicy { replaces, policy: Blob::new(policy.encode()).unwrap(), signatures: List::default() }
}

fn change() -> SignedPolicy {
    unsigned(&next(), Some(Digest(in_force().digest())))
}

fn signed_by(mut signed: SignedPolicy, numbers: &[u8]) -> SignedPolicy {
    for number in numbers {
        let key = governor(*number);
        let signature = Signature(key.sign(&signed.signed_words()).to_bytes());
        signed.signatures.push(Approval { key: public(&key), signature }).unwrap();
    }
    signed
}

fn refused(signed: &SignedPolicy) -> ApprovalError {
    verify_approval(signed, Authority::Change(&in_force())).unwrap_err()
}

#[test]
fn enough_governors_approve() {
    for signers in [&[1, 2][..], &[3, 1], &[1, 2, 3]] {
        let approved = verify_approval(&signed_by(change(), signers), Authority::Change(&in_force())).unwrap();
        assert_eq!(approved.policy(), &next());
        assert_eq!(approved.approvers().len(), signers.len());
    }
}

#[test]
fn too_few_do_not() {
    assert_eq!(refused(&change()), ApprovalError::Governors(GovernorsError::TooFew { approved: 0, threshold: 2 }));
    assert_eq!(refused(&signed_by(change(), &[2])), ApprovalError::Governors(GovernorsError::TooFew { approved: 1, threshold: 2 }));
}

#[test]
fn one_governor_counts_once_however_often() {
    assert_eq!(refused(&signed_by(change(), &[2, 2, 2])), ApprovalError::Governors(GovernorsError::TooFew { approved: 1, threshold: 2 }));
    // Enough others signed: the second copy says nothing, and would travel for ever.
    assert_eq!(refused(&signed_by(change(), &[1, 2, 2])), ApprovalError::SignedTwice { signatures: 3, governors: 2 });
    // Listed twice in the policy in force, it is still one.
    let mut twice = in_force();
    twice.governance = governance(&[1, 1], 2);
    let step = unsigned(&next(), Some(Digest(twice.digest())));
    let refused = verify_approval(&signed_by(step, &[1]), Authority::Change(&twice)).unwrap_err();
    assert_eq!(refused, ApprovalError::Governors(GovernorsError::Unreachable { threshold: 2, governors: 1 }));
}

#[test]
fn a_stranger_spoils_the_message() {
    let key = public(&governor(9));
    assert_eq!(refused(&signed_by(change(), &[1, 2, 9])), ApprovalError::Governors(GovernorsError::Stranger { key }));
    assert_eq!(refused(&signed_by(change(), &[9, 1, 2])), ApprovalError::Governors(GovernorsError::Stranger { key }));
}

#[test]
fn governors_of_the_new_policy_alone_have_no_say() {
    let mut usurped = next();
    usurped.governance = governance(&[7, 8], 1);
    let step = unsigned(&usurped, Some(Digest(in_force().digest())));
    assert_eq!(refused(&signed_by(step, &[7, 8])), ApprovalError::Governors(GovernorsError::Stranger { key: public(&governor(7)) }));
}

#[test]
fn every_changed_byte_ends_the_approval() {
    let good = signed_by(change(), &[1, 2]);
    let bytes = good.policy.to_vec();
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        let changed = SignedPolicy { policy: Blob::new(bytes).unwrap(), ..good.clone() };
        assert!(verify_approval(&changed, Authority::Change(&in_force())).is_err(), "byte {at}");
    }
    for (entry, at) in [(0, 0), (0, 31), (0, 32), (0, 63), (1, 40)] {
        let mut entries = good.signatures.to_vec();
        entries[entry].signature.0[at] ^= 1;
        let key = entries[entry].key;
        let changed = SignedPolicy { signatures: List::new(entries).unwrap(), ..good.clone() };
        assert_eq!(refused(&changed), ApprovalError::Governors(GovernorsError::BadSignature { key }));
    }
}

#[test]
fn an_approval_is_for_one_step() {
    let mut other = in_force();
    other.min_svn ^= 1;
    let elsewhere = unsigned(&next(), Some(Digest(other.digest())));
    assert!(matches!(refused(&signed_by(elsewhere, &[1, 2])), ApprovalError::OtherStep { signed_for: Some(_), .. }));
    let first = unsigned(&next(), None);
    assert!(matches!(refused(&signed_by(first, &[1, 2])), ApprovalError::OtherStep { signed_for: None, .. }));
    // The field alone does not help: it is under the signature.
    let mut moved = signed_by(unsigned(&next(), Some(Digest(other.digest()))), &[1, 2]);
    moved.replaces = Some(Digest(in_force().digest()));
    assert_eq!(refused(&moved), ApprovalError::Governors(GovernorsError::BadSignature { key: public(&governor(1)) }));
}

#[test]
fn versions_rise_and_the_domain_stays() {
    for version in [3, 2, 0] {
        let old = PolicyDoc { version: PolicyVersion(version), ..next() };
        let step = signed_by(unsigned(&old, Some(Digest(in_force().digest()))), &[1, 2]);
        assert_eq!(refused(&step), ApprovalError::VersionNotHigher { offered: PolicyVersion(version), in_force: PolicyVersion(3) });
    }
    let jump =
        |by: u64| signed_by(unsigned(&PolicyDoc { version: PolicyVersion(3 + by), ..next() }, Some(Digest(in_force().digest()))), &[1, 2]);
    assert!(verify_approval(&jump(POLICY_VERSION_JUMP), Authority::Change(&in_force())).is_ok());
    for by in [POLICY_VERSION_JUMP + 1, u64::MAX - 3] {
        let (offered, in_force) = (PolicyVersion(3 + by), PolicyVersion(3));
        assert_eq!(refused(&jump(by)), ApprovalError::VersionJump { offered, in_force, most: POLICY_VERSION_JUMP });
    }
    let other = PolicyDoc { trust_domain: TrustDomain::Production, ..next() };
    let step = signed_by(unsigned(&other, Some(Digest(in_force().digest()))), &[1, 2]);
    let (offered, in_force) = (TrustDomain::Production, TrustDomain::Simulated);
    assert_eq!(refused(&step), ApprovalError::OtherTrustDomain { offered, in_force });
}

#[test]
fn what_is_no_policy_is_not_approved() {
    let mut step = change();
    step.policy = Blob::new(b"policy bytes".to_vec()).unwrap();
    assert!(matches!(refused(&signed_by(step, &[1, 2])), ApprovalError::NoPolicy(_)));
}

#[test]
fn a_first_policy_is_approved_by_the_keys_that_are_given() {
    let signed = signed_by(unsigned(&in_force(), None), &[4]);
    let keys = [public(&governor(4)), public(&governor(5))];
    assert!(verify_approval(&signed, Authority::First { keys: &keys, threshold: 1 }).is_ok());
    let refused = |keys: &[SigPublic], threshold| verify_approval(&signed, Authority::First { keys, threshold }).unwrap_err();
    assert_eq!(refused(&keys, 0), ApprovalError::Governors(GovernorsError::NoThreshold));
    assert_eq!(refused(&keys, 2), ApprovalError::Governors(GovernorsError::TooFew { approved: 1, threshold: 2 }));
    assert_eq!(refused(&keys, 3), ApprovalError::Governors(GovernorsError::Unreachable { threshold: 3, governors: 2 }));
    assert_eq!(refused(&[], 1), ApprovalError::Governors(GovernorsError::Unreachable { threshold: 1, governors: 0 }));
}

/// A key of small order verifies many messages at once without the strict rules.
#[test]
fn a_key_of_small_order_signs_nothing() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut weak = [0; 64];
    weak[..32].copy_from_slice(&identity);
    let mut signed = unsigned(&in_force(), None);
    let key = SigPublic(identity);
    signed.signatures.push(Approval { key, signature: Signature(weak) }).unwrap();
    let refused = verify_approval(&signed, Authority::First { keys: &[key], threshold: 1 }).unwrap_err();
    assert_eq!(refused, ApprovalError::Governors(GovernorsError::BadSignature { key }));
}

/// Signed words and signatures by Python, from the layout in docs/formats.md.
#[test]
fn another_program_signs_the_same_words() {
    const TAIL: &str = "0000000c706f6c696379206279746573";
    let key = governor(7);
    assert_eq!(public(&key).to_string(), "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c");
    for (replaces, words, signature) in [
        (
            None,
            &format!("001972696e6777616c6c2f76312f706f6c6963792d7369676e6564000200000001{}{TAIL}", "00"),
            "9159abcff112ca2484d9f662893ebc6d27b749b94e08e0b4422b13b99ebb17c346910956f0af316116570ab8c88c1dac421bf0af5f067ba82cf27ebfa0288701",
        ),
        (
            Some(Digest([0x22; 32])),
            &format!("001972696e6777616c6c2f76312f706f6c6963792d7369676e6564000200000021{}{TAIL}", "01".to_owned() + &"22".repeat(32)),
            "0b40caea5b16d9da8223f76ad689bbce42550f06d73679f070fe9ffa0cc10e9b4b678692d40fa50189e95fd86ce0b04a30cdfa4a9c1f6efa471b07daa590190b",
        ),
    ] {
        let signed = SignedPolicy { replaces, policy: Blob::new(b"policy bytes".to_vec()).unwrap(), signatures: List::default() };
        assert_eq!(&hex(&signed.signed_words()), words);
        assert_eq!(hex(&key.sign(&signed.signed_words()).to_bytes()), signature);
    }
}

/// An order of the policy in force, unsigned.
fn order() -> ReplaceOrder {
    ReplaceOrder {
        cluster_id: ClusterId([7; 32]),
        epoch: Epoch(1),
        slot: Slot(3),
        incumbent: Incarnation::new(Epoch(1), 40),
        last_index: None,
        signatures: List::default(),
    }
}

fn ordered_by(mut order: ReplaceOrder, numbers: &[u8]) -> ReplaceOrder {
    for number in numbers {
        let key = governor(*number);
        let signature = Signature(key.sign(&order.signed_words()).to_bytes());
        order.signatures.push(Approval { key: public(&key), signature }).unwrap();
    }
    order
}

#[test]
fn an_order_takes_enough_distinct_governors_and_nobody_else() {
    let governance = in_force().governance;
    let approved = verify_order(&ordered_by(order(), &[3, 1]), &governance).unwrap();
    assert_eq!((approved.order().incumbent, approved.approvers().len()), (order().incumbent, 2));
    let refused = |numbers: &[u8]| verify_order(&ordered_by(order(), numbers), &governance).unwrap_err();
    assert_eq!(refused(&[]), GovernorsError::TooFew { approved: 0, threshold: 2 });
    assert_eq!(refused(&[2, 2, 2]), GovernorsError::TooFew { approved: 1, threshold: 2 });
    assert_eq!(refused(&[2, 2, 2]).order_fault(), OrderFault::TooFew);
    assert_eq!(refused(&[1, 2, 9]), GovernorsError::Stranger { key: public(&governor(9)) });
    assert_eq!(refused(&[1, 2, 9]).order_fault(), OrderFault::Stranger);
    let nobody = Governance { keys: List::default(), threshold: 1, timelock_s: 0, lease_s: 0 };
    let unreachable = verify_order(&ordered_by(order(), &[]), &nobody).unwrap_err();
    assert_eq!(unreachable, GovernorsError::Unreachable { threshold: 1, governors: 0 });
    assert_eq!(unreachable.order_fault(), OrderFault::NoGovernors);
    let nothing = Governance { threshold: 0, ..governance.clone() };
    assert_eq!(verify_order(&ordered_by(order(), &[]), &nothing).unwrap_err(), GovernorsError::NoThreshold);
}

#[test]
fn every_field_of_an_order_is_under_its_signatures() {
    let governance = in_force().governance;
    let good = ordered_by(order(), &[1, 2]);
    for changed in [
        ReplaceOrder { cluster_id: ClusterId([8; 32]), ..good.clone() },
        ReplaceOrder { epoch: Epoch(2), ..good.clone() },
        ReplaceOrder { slot: Slot(4), ..good.clone() },
        ReplaceOrder { incumbent: Incarnation(good.incumbent.0 + 1), ..good.clone() },
        ReplaceOrder { last_index: Some(9), ..good.clone() },
    ] {
        let refused = verify_order(&changed, &governance).unwrap_err();
        assert_eq!(refused, GovernorsError::BadSignature { key: public(&governor(1)) }, "{changed:?}");
        assert_eq!(refused.order_fault(), OrderFault::BadSignature);
    }
    // A governor's word about a policy is none about an order: the labels differ.
    let mut lent = order();
    lent.signatures = signed_by(change(), &[1, 2]).signatures;
    assert!(matches!(verify_order(&lent, &governance).unwrap_err(), GovernorsError::BadSignature { .. }));
}
