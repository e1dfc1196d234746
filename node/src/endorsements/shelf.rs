//! The documents a node holds and serves, and what may replace them.
//!
//! Decides: a document is taken only when, together with what is held, it verifies this node's own evidence under the pinned roots, and it is no
//! older edition than the one it replaces. So no service, mirror, host or disk can make a node serve less than it has. What a vendor says
//! against this very platform (revoked, below every level) is genuine news and is taken: who asks shall know.
//! Trusts: `attest` for the verdict, the time it is given. Out of scope: fetching, files. Protocol sections 1.2 (A11) and 2.2.

use super::cache::Kept;
use super::part::{Form, Part};
use super::subject::Subject;
use ringwall_attest::{Anchors, VerifyError, verify};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, SnpEndorsements, TdxEndorsements};
use ringwall_wire::ids::Vendor;

/// What documents are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// Pinned roots.
    pub anchors: &'a Anchors,
    /// Unix seconds.
    pub now_s: u64,
}

/// What became of a document that was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// It is a new edition and is held now.
    News,
    /// It is what was held already.
    Same,
}

/// Why a document is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is an older edition than the one that is held.
    #[error(
        "edition {number} of {issued_s} (Unix seconds) is older than edition {held_number} of {held_issued_s}, which is kept; the source lags behind, or holds back news"
    )]
    Older {
        /// Its number.
        number: u64,
        /// When it was issued, Unix seconds.
        issued_s: u64,
        /// Number of the one that is held.
        held_number: u64,
        /// When that was issued, Unix seconds.
        held_issued_s: u64,
    },
    /// It ran out, and what is held did not.
    #[error("it ran out at {expires_s} (Unix seconds); what is held is in force and is kept")]
    Over {
        /// When, Unix seconds.
        expires_s: u64,
    },
    /// With it this node's evidence does not verify.
    #[error("this node's own evidence does not verify with it: {0}")]
    NotGenuine(VerifyError),
    /// It cannot be judged before the others are there.
    #[error("it cannot be judged before {missing} is there")]
    Alone {
        /// What is missing.
        missing: String,
    },
}

/// What happened to each document offered.
pub type Outcomes = Vec<(Part, Result<Adoption, Refusal>)>;

/// Documents of one machine, each verified.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    held: Vec<Kept>,
}

impl Shelf {
    /// The document of this part.
    pub fn get(&self, part: &Part) -> Option<&Kept> {
        self.held.iter().find(|kept| kept.part == *part)
    }

    /// Everything held.
    pub fn held(&self) -> &[Kept] {
        &self.held
    }

    /// Until when everything the subject needs is in force, Unix seconds; none while something is missing, optional parts included.
    pub fn expires_s(&self, subject: &Subject) -> Option<u64> {
        let ends = subject.parts().iter().map(|part| Some(self.get(part)?.document.edition().expires_s));
        ends.collect::<Option<Vec<u64>>>()?.into_iter().min()
    }

    /// What travels with the subject's evidence; the name of what is missing otherwise.
    pub fn assemble(&self, subject: &Subject) -> Result<Endorsements, Part> {
        assemble(&self.held, subject)
    }

    /// Takes what may be taken of `offered` (parts of the subject, each once).
    pub fn adopt(&mut self, subject: &Subject, offered: Vec<Kept>, judge: Judge<'_>) -> Outcomes {
        let (mut outcomes, mut news) = (Outcomes::new(), Vec::new());
        for kept in offered {
            match self.compare(&kept, judge.now_s) {
                Ok(Adoption::News) => news.push(kept),
                Ok(Adoption::Same) => {
                    outcomes.push((kept.part.clone(), Ok(Adoption::Same)));
                    self.put(kept);
                }
                Err(refusal) => outcomes.push((kept.part, Err(refusal))),
            }
        }
        if news.is_empty() {
            return outcomes;
        }
        if self.trial(subject, &news, judge).is_ok() {
            return self.take(news, outcomes);
        }
        // One of them is not genuine. What nothing can be judged without comes first and together, everything else alone.
        let (missing, others): (Vec<Kept>, Vec<Kept>) =
            news.into_iter().partition(|kept| !kept.part.optional() && self.get(&kept.part).is_none());
        for group in core::iter::once(missing).filter(|group| !group.is_empty()).chain(others.into_iter().map(|kept| vec![kept])) {
            match self.trial(subject, &group, judge) {
                Ok(()) => outcomes = self.take(group, outcomes),
                Err(refusal) => outcomes.extend(group.into_iter().map(|kept| (kept.part, Err(refusal.clone())))),
            }
        }
        outcomes
    }

    /// What `kept` is beside the edition that is held.
    fn compare(&self, kept: &Kept, now_s: u64) -> Result<Adoption, Refusal> {
        let Some(held) = self.get(&kept.part) else { return Ok(Adoption::News) };
        let (new, old) = (kept.document.edition(), held.document.edition());
        if kept.document == held.document {
            return Ok(Adoption::Same);
        }
        if new.is_older_than(&old) {
            return Err(Refusal::Older {
                number: new.number,
                issued_s: new.issued_s,
                held_number: old.number,
                held_issued_s: old.issued_s,
            });
        }
        if new.is_over(now_s) && !old.is_over(now_s) {
            return Err(Refusal::Over { expires_s: new.expires_s });
        }
        Ok(Adoption::News)
    }

    /// Whether the subject's evidence verifies with `news` in place of what is held.
    fn trial(&self, subject: &Subject, news: &[Kept], judge: Judge<'_>) -> Result<(), Refusal> {
        let mut together = self.clone();
        for kept in news {
            together.put(kept.clone());
        }
        let endorsements = together.assemble(subject).map_err(|missing| Refusal::Alone { missing: missing.to_string() })?;
        match verify(subject.evidence(), &endorsements, judge.anchors, judge.now_s) {
            Ok(_) => Ok(()),
            Err(fault) if is_news(&fault, news) => Ok(()),
            Err(fault) => Err(Refusal::NotGenuine(fault)),
        }
    }

    fn take(&mut self, news: Vec<Kept>, mut outcomes: Outcomes) -> Outcomes {
        for kept in news {
            outcomes.push((kept.part.clone(), Ok(Adoption::News)));
            self.put(kept);
        }
        outcomes
    }

    fn put(&mut self, kept: Kept) {
        self.held.retain(|held| held.part != kept.part);
        self.held.push(kept);
    }
}

/// Whether the evidence fails because of what genuine documents say against this platform. Levels and attributes are looked at after every
/// signature was verified. A revocation is believed of a single new list: then what it revokes is what was held, not what came with it.
fn is_news(fault: &VerifyError, news: &[Kept]) -> bool {
    let list_alone = matches!(news, [only] if only.part.form() == Form::Crl);
    match fault {
        VerifyError::TdxTcbRevoked | VerifyError::TdxTcbBelowAll { .. } | VerifyError::TdAttributes { .. } => true,
        VerifyError::CertRevoked { .. } => list_alone,
        // The text of the verifier behind it for a certificate on a list whose signature was verified.
        VerifyError::IntelRevocation { reason } => list_alone && reason.contains("CertRevoked"),
        _ => false,
    }
}

/// What travels with the subject's evidence, out of these documents; the name of what is missing otherwise.
pub(crate) fn assemble(held: &[Kept], subject: &Subject) -> Result<Endorsements, Part> {
    let get = |wanted: fn(&Part) -> bool| {
        let part = subject.parts().iter().find(|part| wanted(part));
        let part = part.expect("a subject names each kind of part of its vendor");
        held.iter().find(|kept| kept.part == *part).map(|kept| &kept.document).ok_or_else(|| part.clone())
    };
    let is_snp = subject.parts().iter().any(|part| part.vendor() == Vendor::Amd);
    if is_snp {
        let vek = get(|part| matches!(part, Part::AmdVcek { .. } | Part::AmdVlek { .. }))?;
        let ask = get(|part| matches!(part, Part::AmdIntermediate { .. }))?;
        let crl = get(|part| matches!(part, Part::AmdCrl { .. })).ok();
        return Ok(Endorsements::Snp(SnpEndorsements {
            vek: blob(vek.bytes()),
            ask: blob(ask.bytes()),
            crl: crl.map_or_else(Blob::default, |crl| blob(crl.bytes())),
        }));
    }
    let tcb_info = get(|part| matches!(part, Part::IntelTcbInfo { .. }))?;
    let qe_identity = get(|part| matches!(part, Part::IntelQeIdentity))?;
    let pck_crl = get(|part| matches!(part, Part::IntelPckCrl { .. }))?;
    let root_crl = get(|part| matches!(part, Part::IntelRootCrl))?;
    Ok(Endorsements::Tdx(TdxEndorsements {
        pck_crl_issuer_chain: blob(pck_crl.chain()),
        root_ca_crl: blob(root_crl.bytes()),
        pck_crl: blob(pck_crl.bytes()),
        tcb_info_issuer_chain: blob(tcb_info.chain()),
        tcb_info: blob(tcb_info.bytes()),
        tcb_info_signature: blob(tcb_info.signature()),
        qe_identity_issuer_chain: blob(qe_identity.chain()),
        qe_identity: blob(qe_identity.bytes()),
        qe_identity_signature: blob(qe_identity.signature()),
    }))
}

fn blob<const MAX: usize>(bytes: &[u8]) -> Blob<MAX> {
    Blob::new(bytes).expect("a document is within the limit of its part, which is this one")
}
