//! Attacks on governance: a loosened policy nobody agreed on.
//!
//! Decides: G5 as far as it is built: the signed step from one policy to the next. No cluster applies one yet, so there is none to attack.
//! Trusts: nothing. Out of scope: old builds and old policies (`evidence.rs`). Protocol section 8.

use super::report::Report;
use super::stage::Stage;
use crate::demo::DemoError;
use crate::profile::BuildImage;
use crate::world;
use ringwall_attest::{Authority, verify_approval};
use ringwall_client::policy::{Change, GovernorKey, compare};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, PolicyVersion};
use ringwall_wire::policy::{Governance, PolicyDoc, SignedPolicy};
use ringwall_wire::secret::Secret;

fn governor(number: u8) -> GovernorKey {
    GovernorKey::from_seed(Secret::new([number; 32]))
}

fn signed(policy: &PolicyDoc, replaces: Digest, by: &[u8]) -> Result<SignedPolicy, DemoError> {
    let policy = Blob::new(policy.encode()).map_err(|_| DemoError::Broken("a policy fits".into()))?;
    let mut step = SignedPolicy { replaces: Some(replaces), policy, signatures: List::default() };
    for number in by {
        let approval = governor(*number).approve(&step);
        step.signatures.push(approval).map_err(|_| DemoError::Broken("three signatures fit".into()))?;
    }
    Ok(step)
}

/// G5. One governor of three, two of whom must sign, adds a build of the attacker's.
pub(super) async fn loosened(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let keys = List::new((1..=3).map(|number| governor(number).public()).collect()).expect("three fit");
    let in_force = PolicyDoc { governance: Governance { keys, threshold: 2, timelock_s: 259_200, lease_s: 0 }, ..world::policy() };
    let mut builds = in_force.measurements.to_vec();
    builds.push(BuildImage::new("backdoor", 9).measurement());
    let loosened = PolicyDoc { version: PolicyVersion(2), measurements: List::new(builds).expect("two fit"), ..in_force.clone() };
    report.did("wrote a policy that accepts one more build, and had it signed by one of three governors, where two must");
    let loosening = compare(&in_force, &loosened).into_iter().find(|difference| difference.change == Change::Loosening);
    let found = loosening.ok_or_else(|| DemoError::Broken("one more build is no loosening".into()))?;
    report.answered(format!("the comparison calls it a loosening, which has to wait: {}: {}", found.field, found.says));
    let of = Digest(in_force.digest());
    let judge = |step: &SignedPolicy| verify_approval(step, Authority::Change(&in_force)).map(drop);
    report.tried("signed by one of the two who must", judge(&signed(&loosened, of, &[2])?));
    report.tried("signed by the same governor twice", judge(&signed(&loosened, of, &[2, 2])?));
    let usurped = PolicyDoc {
        governance: Governance { keys: List::new(vec![governor(9).public()]).expect("one fits"), threshold: 1, timelock_s: 0, lease_s: 0 },
        ..loosened.clone()
    };
    report.did("then named himself the only governor in the new policy, and signed it as such");
    report.tried("signed by the governor it names itself", judge(&signed(&usurped, of, &[9])?));
    report.did("then used signatures two governors had given for another step");
    let other = SignedPolicy { replaces: Some(of), ..signed(&loosened, Digest([3; 32]), &[1, 2])? };
    report.tried("signatures for another step", judge(&other));
    if let Err(fault) = judge(&signed(&loosened, of, &[1, 2])?) {
        return Err(DemoError::Broken(format!("two governors of three are refused: {fault}")));
    }
    report.remains("the signed step itself names who approved what, and anybody verifies it: `ringwall policy verify`");
    report.finished()
}
