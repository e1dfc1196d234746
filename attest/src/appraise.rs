//! Whether genuine evidence is acceptable: claims against the policy and against what they must be bound to.
//!
//! Decides: every rule of the field checklist, in a fixed order (trust domain, vendor's fields, binding, release), the first broken one named;
//! nothing is optional and nothing has a default.
//! Some rules no policy can loosen: debug and migratable guests, masked chips, a hidden must-be-one bit, foreign TDX modules, production
//! evidence under roots that are no vendor's.
//! Trusts: [`Verified`], which only `verify` makes. Out of scope: signatures; the session around the evidence (`session.rs`).
//! Protocol section 2.2.

pub(crate) mod grant;
mod replay;
mod snp;
mod tdx;

use crate::anchors::is_production_root;
use crate::binding::report_data;
use crate::claims::Claims;
use crate::rejection::{Rejection, ReportData};
use crate::release::{Ran, Released, verify_release};
use crate::step::{Stage, Trace, date};
use crate::{Appraised, Verified};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::Binding;
use ringwall_wire::genesis::{BootConfig, PROTOCOL_VERSION};
use ringwall_wire::ids::{Digest, TrustDomain};
use ringwall_wire::policy::{Measurement, MeasurementRegister, PlatformUnseal, PolicyDoc, ReleaseRule, SnpRules, TdxRules};
use ringwall_wire::release::LogHead;
use ringwall_wire::without::{Defence, left_out};
use ringwall_wire::workload::GrantPolicy;

/// What evidence must be bound to; every part is given by the caller, who knows what it asked for.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Hashed into the 64 bytes the hardware signed.
    pub binding: &'a Binding,
    /// The boot configuration the node says it was started with.
    pub boot_config: &'a BootConfig,
    /// Proof of release, exact bytes; empty when there is none.
    pub release_proof: &'a [u8],
    /// Now, Unix seconds: how old the release log's head is.
    pub now_s: u64,
    /// The newest head of the release log the caller has verified; none when it has none.
    pub last_head: Option<&'a LogHead>,
}

/// The rules about a guest and its machine, which the policy of a cluster and that of a workload key share: one judgement for both.
#[derive(Clone, Copy)]
struct Rules<'p> {
    measurements: &'p [Measurement],
    min_svn: u32,
    snp: &'p SnpRules,
    tdx: &'p TdxRules,
}

impl<'p> Rules<'p> {
    fn of(policy: &'p PolicyDoc) -> Self {
        Rules { measurements: &policy.measurements, min_svn: policy.min_svn, snp: &policy.snp, tdx: &policy.tdx }
    }

    fn of_grant(policy: &'p GrantPolicy) -> Self {
        Rules { measurements: &policy.measurements, min_svn: policy.min_svn, snp: &policy.snp, tdx: &policy.tdx }
    }

    fn judge(self, claims: &Claims, trace: &mut Trace) -> Result<&'p Measurement, Rejection> {
        match claims {
            Claims::Snp(claims) => snp::appraise(claims, self, trace),
            Claims::Tdx(claims) => tdx::appraise(claims, self, trace),
        }
    }
}

/// Judges verified evidence by `policy`; the first broken rule is named.
pub fn appraise(verified: Verified, policy: &PolicyDoc, expected: &Expected<'_>) -> Result<Appraised, Rejection> {
    appraise_traced(verified, policy, expected, &mut Trace::new())
}

/// [`appraise`], which also writes what it establishes to `trace`, up to the refusal if there is one.
pub fn appraise_traced(verified: Verified, policy: &PolicyDoc, expected: &Expected<'_>, trace: &mut Trace) -> Result<Appraised, Rejection> {
    appraise_bound(verified, policy, Digest(policy.digest()), expected, trace)
}

/// [`appraise_traced`], for evidence that has to be bound to the policy of this hash: `policy` itself, or one the caller knows it to have replaced.
pub(crate) fn appraise_bound(
    verified: Verified,
    policy: &PolicyDoc,
    bound: Digest,
    expected: &Expected<'_>,
    trace: &mut Trace,
) -> Result<Appraised, Rejection> {
    let Verified { claims, trace: mut whole } = verified;
    let mut own = Trace::new();
    let judged = judge(&claims, policy, &bound, expected, &mut own);
    trace.absorb(&own);
    let (build, released) = judged?;
    whole.absorb(&own);
    let (measurement, svn) = (build.id.to_string(), build.svn);
    Ok(Appraised { claims, measurement, svn, released, trace: whole })
}

/// The build, and what its proof of release proved where the policy demands one.
type Judged<'p> = (&'p Measurement, Option<Released>);

fn judge<'p>(
    claims: &Claims,
    policy: &'p PolicyDoc,
    policy_bound: &Digest,
    expected: &Expected<'_>,
    trace: &mut Trace,
) -> Result<Judged<'p>, Rejection> {
    trust_domain(claims, policy, expected.boot_config)?;
    trace.note(
        Stage::Root,
        match policy.trust_domain {
            TrustDomain::Production => "this root is the CPU maker's own",
            TrustDomain::Simulated => {
                "SIMULATED: this cluster lives under simulated roots, which protect nothing from whoever runs the machine"
            }
        },
    );
    trace.note(Stage::Policy, format!("the policy is version {} (SHA-256 {})", policy.version, Digest(policy.digest())));
    trace.note(
        Stage::Policy,
        match policy.platform_unseal {
            PlatformUnseal::Never => {
                "after a total outage it takes custodians to open this cluster's keys: no chip opens them (platform_unseal = never)"
            }
            PlatformUnseal::SameChips => {
                "after a total outage the cluster's own AMD chips open its keys WITHOUT custodians (platform_unseal = same_chips)"
            }
        },
    );
    let build = Rules::of(policy).judge(claims, trace)?;
    bound(claims, policy_bound, expected)?;
    let binding = expected.binding;
    trace.note(
        Stage::Binding,
        format!(
            "the hardware signed the hash of exactly this: cluster, epoch {}, role {:?}, incarnation {}, the node's keys, boot configuration, \
             policy and session",
            binding.epoch, binding.role, binding.incarnation
        ),
    );
    let field = if matches!(claims, Claims::Snp(_)) { "HOST_DATA" } else { "MRCONFIGID" };
    trace.finish(
        Stage::Binding,
        format!("the machine was started with this boot configuration (SHA-256 {}), as {field} recorded at launch", binding.boot_config),
    );
    let released = released(claims, policy, build, expected)?;
    trace.finish(Stage::Release, release_words(released.as_ref()));
    Ok((build, released))
}

fn release_words(released: Option<&Released>) -> String {
    let Some(released) = released else {
        return "the policy demands no proof of release: its own list of builds decides".into();
    };
    let (statement, checkpoint) = (released.statement(), released.checkpoint());
    format!(
        "the build was published from commit {} by {}, in log {} of {} entries, witnessed since {}; it is not among {} revocations",
        statement.commit,
        released.signers().join(" and "),
        checkpoint.origin,
        checkpoint.size,
        date(released.head().since_s),
        checkpoint.revoked.map_or(0, |(count, _)| count)
    )
}

fn trust_domain(claims: &Claims, policy: &PolicyDoc, boot: &BootConfig) -> Result<(), Rejection> {
    if boot.protocol != PROTOCOL_VERSION {
        return Err(Rejection::BootProtocol { reported: boot.protocol, required: PROTOCOL_VERSION });
    }
    if boot.trust_domain != policy.trust_domain {
        return Err(Rejection::BootTrustDomain { reported: boot.trust_domain, required: policy.trust_domain });
    }
    if policy.trust_domain == TrustDomain::Simulated {
        return Ok(());
    }
    if !is_production_root(claims.root()) {
        return Err(Rejection::RootNotProduction { reported: *claims.root() });
    }
    match policy.release {
        ReleaseRule::Demanded(_) => Ok(()),
        ReleaseRule::NotDemanded => Err(Rejection::ReleaseRuleMissing),
    }
}

fn bound(claims: &Claims, policy: &Digest, expected: &Expected<'_>) -> Result<(), Rejection> {
    let (bound, given) = (expected.binding.boot_config, expected.boot_config.host_data());
    if bound != given {
        return Err(Rejection::BoundBootConfig { bound, given });
    }
    let (bound, given) = (expected.binding.policy, *policy);
    if bound != given {
        return Err(Rejection::BoundPolicy { bound, given });
    }
    let (reported, required) = (*claims.report_data(), report_data(expected.binding));
    if reported != required && !left_out(Defence::SessionBinding) {
        return Err(Rejection::ReportData { reported: Box::new(ReportData(reported)), expected: Box::new(ReportData(required)) });
    }
    match claims {
        Claims::Snp(claims) => {
            let (reported, required) = (claims.host_data, expected.boot_config.host_data());
            demand(reported == required || left_out(Defence::BootConfiguration), || Rejection::HostData { reported, required })
        }
        Claims::Tdx(claims) => {
            let reported = MeasurementRegister(claims.mr_config_id);
            let required = MeasurementRegister(expected.boot_config.mr_config_id());
            demand(reported == required || left_out(Defence::BootConfiguration), || Rejection::MrConfigId { reported, required })
        }
    }
}

fn released(claims: &Claims, policy: &PolicyDoc, build: &Measurement, expected: &Expected<'_>) -> Result<Option<Released>, Rejection> {
    let Expected { release_proof, now_s, last_head, binding: _, boot_config: _ } = *expected;
    let rule = match &policy.release {
        ReleaseRule::NotDemanded => return Ok(None),
        ReleaseRule::Demanded(_) if release_proof.is_empty() => return Err(Rejection::ReleaseProofMissing),
        ReleaseRule::Demanded(rule) => rule,
    };
    let ran = match claims {
        Claims::Snp(claims) => Ran::Snp(claims.measurement),
        Claims::Tdx(claims) => Ran::Tdx(claims.tuple.clone()),
    };
    let released = verify_release(release_proof, rule, build, &ran, now_s, last_head);
    released.map(Some).map_err(|error| Rejection::NotReleased(Box::new(error)))
}

/// Writes down which build was found.
fn build_accepted(build: &Measurement, policy: Rules<'_>, trace: &mut Trace) {
    let Measurement { id, svn, .. } = build;
    trace.note(
        Stage::Measurement,
        format!("the build is {} (security version {svn}, at least {} is demanded), which the policy names", &**id, policy.min_svn),
    );
}

/// Fails when the build's security version is below the policy's.
fn new_enough(build: &Measurement, policy: Rules<'_>) -> Result<(), Rejection> {
    match build.svn >= policy.min_svn || left_out(Defence::LeastVersion) {
        true => Ok(()),
        false => Err(Rejection::SvnTooLow { release: build.id.to_string(), reported: build.svn, required: policy.min_svn }),
    }
}

/// Whether a list of the policy accepts `reported`. An empty one accepts nothing.
fn accepts<T: PartialEq>(list: &[T], reported: &T) -> bool {
    list.contains(reported) || (list.is_empty() && left_out(Defence::EmptyLists))
}

/// `Ok` when `holds`, else the rejection.
fn demand(holds: bool, rejection: impl FnOnce() -> Rejection) -> Result<(), Rejection> {
    match holds {
        true => Ok(()),
        false => Err(rejection()),
    }
}
