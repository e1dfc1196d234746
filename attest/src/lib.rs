//! Evidence to verdict: is the other side a genuine TEE, is it one of ours, and does it speak in this very session?
//!
//! Three functions, three values that nothing else can make:
//! [`verify`] turns evidence, endorsements, pinned roots and a time into [`Verified`] (it is genuine); [`appraise`] turns that, a policy and what
//! it must be bound to into [`Appraised`] (it is acceptable); [`appraise_session`] turns a whole attestation answer into [`AppraisedPeer`] (it is
//! the peer of this handshake). A session is opened with the last one only.
//!
//! A workload that asks for a key is judged by [`appraise_grant`], with the same rules under a policy of the key's own.
//!
//! Each has a twin that writes down what it establishes, stage by stage, in a [`Trace`] that outlives a refusal: [`verify_traced`],
//! [`appraise_traced`], [`appraise_session_traced`]. Every refusal says at which [`Stage`] it stands, whether the node is bad or nobody can tell
//! ([`Finding`]), what was expected and found, and what a person can do ([`Advice`]).
//!
//! Trusts: the anchors, the time and the policy it is given. A software TEE is one more issuer with other anchors; there is no test branch here.
//! No I/O, no clock, no generator. Protocol sections 2.2 and 3.
#![no_std]

extern crate alloc;

mod account;
mod anchors;
mod appraise;
mod approval;
pub mod batch;
mod binding;
mod claims;
mod collect;
mod error;
mod event_log;
pub mod governance;
pub mod launch;
mod memo;
pub mod policy;
mod rejection;
pub mod release;
mod session;
mod snp;
mod step;
pub mod subject;
mod tdx;
mod x509;

pub use account::{Advice, Finding};
pub use anchors::Anchors;
pub use appraise::grant::{AppraisedWorkload, GrantError, GrantExpected, appraise_grant};
pub use appraise::{Expected, appraise, appraise_traced};
pub use approval::{
    ApprovalError, ApprovedGrant, ApprovedOrder, ApprovedPolicy, Authority, GovernorsError, is_governor, verify_approval,
    verify_grant_order, verify_order, verify_words,
};
pub use batch::{Batch, BatchError};
pub use binding::report_data;
pub use claims::{Claims, SnpClaims, TdxClaims};
pub use collect::{Attester, CollectError};
pub use error::{CertName, Layer, TcbKind, VekKind, VerifyError};
pub use event_log::{BootLog, Event, EventLog, EventLogError};
pub use rejection::{Rejection, ReportData};
pub use session::{AppraisedPeer, Asked, CLOCK_TOLERANCE_S, Pinned, PolicyPin, SessionError, appraise_session, appraise_session_traced};
pub use snp::{FirmwareVersion, Revocation, cert_table};
pub use step::{Stage, Step, Trace, date};
pub use tdx::{ExactQuote, PaddingError, exact_quote};

use crate::release::Released;
use alloc::string::String;
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::ids::{Digest, Vendor};

/// Genuine evidence: signed by hardware under a pinned root, in force, not revoked. Not yet acceptable.
#[derive(Debug)]
#[must_use = "genuine evidence is not acceptable evidence: appraise it"]
pub struct Verified {
    claims: Claims,
    trace: Trace,
}

impl Verified {
    /// What the evidence says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Why it is genuine, in words for people, in the order of the stages.
    pub fn steps(&self) -> &[Step] {
        self.trace.steps()
    }
}

/// Evidence that is genuine, satisfies the policy and is bound to what the caller expected.
#[derive(Debug)]
#[must_use = "a verdict nobody uses protects nobody"]
pub struct Appraised {
    claims: Claims,
    measurement: String,
    svn: u32,
    released: Option<Released>,
    trace: Trace,
}

impl Appraised {
    /// The vendor.
    pub fn vendor(&self) -> Vendor {
        self.claims.vendor()
    }

    /// SHA-256 of the chip or platform id.
    pub fn chip(&self) -> Digest {
        self.claims.chip()
    }

    /// Name of the measured build, as the policy calls it.
    pub fn measurement(&self) -> &str {
        &self.measurement
    }

    /// Security version of the build.
    pub fn svn(&self) -> u32 {
        self.svn
    }

    /// What its proof of release proved; none where the policy demands no proof.
    pub fn released(&self) -> Option<&Released> {
        self.released.as_ref()
    }

    /// What the evidence says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Why it is genuine and acceptable, in words for people, in the order of the stages.
    pub fn steps(&self) -> &[Step] {
        self.trace.steps()
    }
}

/// Verifies evidence against `anchors` at `now_s` (Unix seconds); nothing is fetched. A few milliseconds of public-key arithmetic.
pub fn verify(evidence: &Evidence, endorsements: &Endorsements, anchors: &Anchors, now_s: u64) -> Result<Verified, VerifyError> {
    verify_traced(evidence, endorsements, anchors, now_s, &mut Trace::new())
}

/// [`verify`], which also writes what it establishes to `trace`, up to the refusal if there is one.
pub fn verify_traced(
    evidence: &Evidence,
    endorsements: &Endorsements,
    anchors: &Anchors,
    now_s: u64,
    trace: &mut Trace,
) -> Result<Verified, VerifyError> {
    let mut own = Trace::new();
    let claims = match (evidence, endorsements) {
        (Evidence::Snp(evidence), Endorsements::Snp(endorsements)) => {
            snp::verify(evidence, endorsements, anchors, now_s, &mut own).map(Claims::Snp)
        }
        (Evidence::Tdx(evidence), Endorsements::Tdx(endorsements)) => {
            tdx::verify(evidence, endorsements, anchors, now_s, &mut own).map(Claims::Tdx)
        }
        (Evidence::Snp(_), Endorsements::Tdx(_)) => Err(VerifyError::OtherVendor { evidence: Vendor::Amd, endorsements: Vendor::Intel }),
        (Evidence::Tdx(_), Endorsements::Snp(_)) => Err(VerifyError::OtherVendor { evidence: Vendor::Intel, endorsements: Vendor::Amd }),
    };
    trace.absorb(&own);
    Ok(Verified { claims: claims?, trace: own })
}

/// Forgets which signatures of vendors and which changes of policies were verified before. Changes no verdict, only the time of the next ones: for measurements.
pub fn forget_signatures() {
    memo::CHAINS.forget();
    memo::STEPS.forget();
}
