//! Evidence (what a TEE says about itself) and endorsements (what its vendor says about the TEE), as they travel.
//!
//! Decides: the bounded containers; evidence and endorsements are separate values. Trusts: nothing.
//! Out of scope: whether any of it is genuine (`attest`). Protocol section 2.2.

use crate::bounded::{Blob, List};
use crate::ids::{BootKeys, ClusterId, Digest, Epoch, Incarnation};
use crate::limits::{
    BATCH_PATH, CERT_BYTES, COLLATERAL_JSON_BYTES, CRL_BYTES, EVENT_LOG_BYTES, PEM_CHAIN_BYTES, SNP_REPORT_BYTES, TDX_QUOTE_BYTES,
};
use crate::{choice, record};

choice! {
    /// Evidence of one TEE, as its firmware signed it.
    pub enum Evidence {
        /// AMD's report.
        1 => Snp(SnpEvidence),
        /// Intel's quote.
        2 => Tdx(TdxEvidence),
    }
}

record! {
    /// A raw SNP attestation report.
    pub struct SnpEvidence {
        /// 1,184 bytes as the firmware gave them.
        pub report: Blob<SNP_REPORT_BYTES>,
    }
}

record! {
    /// A raw TDX quote, cut to its exact length, and the log of what its registers were extended with.
    pub struct TdxEvidence {
        /// Header, body, signature and certification parts.
        pub quote: Blob<TDX_QUOTE_BYTES>,
        /// The firmware's event log (CCEL); empty = none. The host can write it and nobody signs it: it counts as far as it replays to the
        /// registers of the quote, and no hash of this record is an identity.
        pub event_log: Blob<EVENT_LOG_BYTES>,
    }
}

choice! {
    /// What the vendor says, for one piece of evidence.
    pub enum Endorsements {
        /// AMD's certificates.
        1 => Snp(SnpEndorsements),
        /// Intel's collateral.
        2 => Tdx(TdxEndorsements),
    }
}

record! {
    /// AMD's chain below the pinned root (ARK).
    pub struct SnpEndorsements {
        /// VCEK or VLEK certificate, DER.
        pub vek: Blob<CERT_BYTES>,
        /// ASK or ASVK certificate, DER.
        pub ask: Blob<CERT_BYTES>,
        /// The product's revocation list, DER; empty when the vendor's list could not be had (policy decides).
        pub crl: Blob<CRL_BYTES>,
    }
}

record! {
    /// Intel's collateral for one platform (the fields of the PCS answers).
    pub struct TdxEndorsements {
        /// Issuer chain of the PCK revocation list, PEM.
        pub pck_crl_issuer_chain: Blob<PEM_CHAIN_BYTES>,
        /// Root CA revocation list, DER.
        pub root_ca_crl: Blob<CRL_BYTES>,
        /// PCK revocation list, DER.
        pub pck_crl: Blob<CRL_BYTES>,
        /// Issuer chain of the TCB info, PEM.
        pub tcb_info_issuer_chain: Blob<PEM_CHAIN_BYTES>,
        /// TCB info, the exact signed JSON.
        pub tcb_info: Blob<COLLATERAL_JSON_BYTES>,
        /// Its signature, r and s.
        pub tcb_info_signature: Blob<64>,
        /// Issuer chain of the QE identity, PEM.
        pub qe_identity_issuer_chain: Blob<PEM_CHAIN_BYTES>,
        /// QE identity, the exact signed JSON.
        pub qe_identity: Blob<COLLATERAL_JSON_BYTES>,
        /// Its signature, r and s.
        pub qe_identity_signature: Blob<64>,
    }
}

choice! {
    /// In which part of which protocol evidence was made: it counts in no other.
    #[derive(Copy)]
    pub enum Role {
        /// A member answering clients.
        1 => ClientServer,
        /// The dialling side of a session between members.
        2 => PeerInit,
        /// The answering side of a session between members.
        3 => PeerResp,
        /// A node that asks to join.
        4 => JoinInit,
        /// The member it asks.
        5 => JoinResp,
        /// A node that opens a recovery.
        6 => Recovery,
        /// The first node of a cluster.
        7 => Genesis,
        /// A member that deals shares: the evidence is bound to the manifest.
        8 => Dealing,
        /// A node that recovers and asks another machine for its disk, or to keep its session.
        9 => Assisted,
        /// The machine it asks.
        10 => Assisting,
    }
}

record! {
    /// Everything evidence is bound to: hashed into the 64 bytes of `report_data` / `REPORTDATA`.
    pub struct Binding {
        /// The cluster.
        pub cluster_id: ClusterId,
        /// Its epoch.
        pub epoch: Epoch,
        /// The part it is for.
        pub role: Role,
        /// The attester's incarnation, 0 before admission.
        pub incarnation: Incarnation,
        /// The attester's keys.
        pub keys: BootKeys,
        /// SHA-256 of its boot configuration.
        pub boot_config: Digest,
        /// SHA-256 of the policy document it follows.
        pub policy: Digest,
        /// Root over the sessions this evidence serves.
        pub batch_root: Digest,
    }
}

record! {
    /// Where a session's leaf stands under the batch root.
    pub struct BatchPath {
        /// Number of leaves of the batch.
        pub leaves: u32,
        /// Index of the leaf.
        pub index: u32,
        /// Sibling hashes from the leaf up.
        pub siblings: List<Digest, BATCH_PATH>,
    }
}
