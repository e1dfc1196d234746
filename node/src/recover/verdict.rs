//! How a recovery that is refused is written down: for people as one sentence, for others as a file.
//!
//! Decides: what the file of evidence holds: the chosen log, every disagreement in words and numbers, and the signed heads themselves, so that whoever
//! doubts it judges them again. Nothing of it is secret.
//! Trusts: nothing. Out of scope: deciding (`ringwall_consensus::recovery`). Protocol section 6.2, DR5; docs/formats.md, "Recovery folder".

use ringwall_consensus::recovery::{Disagreement, SeenBy};
use ringwall_wire::codec::{Field as _, Message as _};
use ringwall_wire::ids::ClusterId;
use ringwall_wire::recovery::{CustodyAnchor, DiskClaim};
use ringwall_wire::text::hex;
use serde_json::{Value, json};

/// The file's bytes.
pub(crate) fn evidence(
    cluster_id: &ClusterId,
    chosen: &DiskClaim,
    found: &[Disagreement],
    claims: &[DiskClaim],
    heads: &[(SeenBy, CustodyAnchor)],
) -> Vec<u8> {
    let rollback = found.iter().any(Disagreement::is_loss);
    let told: Vec<Value> = found.iter().map(disagreement).collect();
    let claims: Vec<String> = claims.iter().map(|claim| hex(&claim.encode())).collect();
    let heads: Vec<Value> = heads.iter().map(|(by, anchor)| json!({ "by": by.to_string(), "anchor": hex(&anchor.to_bytes()) })).collect();
    let object = json!({
        "verdict": if rollback { "ROLLBACK_DETECTED" } else { "FORK_DETECTED" },
        "cluster": cluster_id.to_string(),
        "chosen": {
            "incarnation": chosen.incarnation.0,
            "entries": chosen.tree.size,
            "root": chosen.tree.root.to_string(),
            "term": chosen.last.term,
        },
        "disagreements": told,
        "claims": claims,
        "heads": heads,
    });
    let mut text = serde_json::to_vec_pretty(&object).unwrap_or_default();
    text.push(b'\n');
    text
}

fn disagreement(what: &Disagreement) -> Value {
    let words = what.to_string();
    match what {
        Disagreement::Lost { by, known, found } => {
            json!({ "what": "lost", "by": by.to_string(), "from": found, "to": known.saturating_sub(1), "words": words })
        }
        Disagreement::NewerEpoch { by, known, found } => {
            json!({ "what": "newer-epoch", "by": by.to_string(), "known": known.0, "found": found.0, "words": words })
        }
        Disagreement::Forked { by, size } => json!({ "what": "forked", "by": by.to_string(), "size": size, "words": words }),
    }
}
