//! Cases of Sigstore bundles: a bundle, what it is about, a trusted root, and perhaps a key or an identity.
//!
//! Decides: what a case hands to the verifier: its own trusted root or a shared one, its artifact or the SHA-256 it states, its key when it says that a
//! managed key signed; an identity or issuer it states must be the certificate's. Judged in November 2026 when it does not say when.
//! Trusts: the trusted root a case names. Out of scope: judging (`ringwall_attest::release`). docs/conformance.md, "Sigstore".

use super::case::{CaseError, number};
use super::expect::Expect;
use super::judge::variant;
use super::measurement::Measured;
use super::place::{Place, below};
use ringwall_attest::release::{Bundle, BundleError, TrustedRoot};
use ringwall_wire::text::read_hex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// When a case that does not say is judged: 2026-11-24, Unix seconds.
const JUDGED_AT_S: u64 = 1_795_521_600;

/// A case of a bundle.
#[derive(Clone, Debug)]
pub struct SigstoreCase {
    pub(super) id: String,
    /// What the case itself says, for people.
    pub(super) stated: String,
    expect: Expect,
    bundle: Vec<u8>,
    artifact: [u8; 32],
    root: Vec<u8>,
    /// DER; `Some(None)` when the key's file is no public key.
    key: Option<Option<Vec<u8>>>,
    identity: Option<String>,
    issuer: Option<String>,
    now_s: u64,
}

impl SigstoreCase {
    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the case says that its bundle verifies.
    pub fn is_accepted(&self) -> bool {
        self.expect == Expect::Accept
    }

    /// The bundle, exact bytes.
    pub fn bundle(&self) -> &[u8] {
        &self.bundle
    }

    /// Judges another bundle in its place: who signed it, or the variant that refused.
    pub fn judge_other(&self, bundle: &[u8]) -> Result<String, String> {
        let case = SigstoreCase { bundle: bundle.to_vec(), ..self.clone() };
        verify(&case).map_err(|refusal| refusal.0)
    }
}

/// Reads a case.
pub(super) fn of_folder(folder: &Place, facts: &Value) -> Result<SigstoreCase, CaseError> {
    let text = |key: &str| facts.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let missing = |name: &str| CaseError::Missing { path: folder.path().to_owned(), name: name.to_owned() };
    let unknown = || CaseError::UnknownExpect { path: folder.path().to_owned(), expect: text("expect") };
    let name = folder.name();
    let stated_hash = read_hex::<32>(&text("artifact_sha256").trim().to_ascii_lowercase());
    let artifact = match (folder.first(&["artifact"])?, stated_hash) {
        (Some(bytes), _) => Sha256::digest(bytes).into(),
        (None, Some(hash)) => hash,
        (None, None) => return Err(missing("artifact")),
    };
    let managed = facts.get("managed_key").and_then(Value::as_bool).unwrap_or(false);
    let key = match (managed, folder.first(&["key.pub"])?) {
        (false, _) => None,
        (true, Some(pem)) => Some(der::pem::decode_vec(&pem).ok().filter(|(label, _)| *label == "PUBLIC KEY").map(|(_, der)| der)),
        (true, None) => return Err(missing("key.pub")),
    };
    let stated = |key: &str| Some(text(key)).filter(|text| !text.is_empty());
    Ok(SigstoreCase {
        id: stated("id").unwrap_or(name),
        stated: text("reason"),
        expect: Expect::of_word(&text("expect")).ok_or_else(unknown)?,
        bundle: folder.first(&["bundle.sigstore.json", "bundle.json"])?.ok_or_else(|| missing("bundle.sigstore.json"))?,
        artifact,
        root: root(folder, &text("trusted_root"))?.ok_or_else(|| missing("trusted_root.json"))?,
        key,
        identity: stated("identity"),
        issuer: stated("issuer"),
        now_s: facts.get("verify_at").and_then(number).unwrap_or(JUDGED_AT_S),
    })
}

/// The case's own root, else the shared one it names.
fn root(folder: &Place, named: &str) -> Result<Option<Vec<u8>>, CaseError> {
    if let Some(own) = folder.first(&["trusted_root.json"])? {
        return Ok(Some(own));
    }
    let Some(named) = below(named) else { return Ok(None) };
    let found = folder.around("sigstore").into_iter().map(|above| above.join(&named)).find(Place::is_file);
    found.map(|place| place.read()).transpose()
}

/// Judges a case.
pub(super) fn judge(case: &SigstoreCase) -> Measured {
    let refused = verify(case).err();
    let agrees = match case.expect {
        Expect::Accept => refused.is_none(),
        Expect::Reject | Expect::ParseOnly => refused.is_some(),
        Expect::AcceptWithPolicy | Expect::RejectOrAccept => true,
    };
    Measured {
        expected: case.expect.word().to_owned(),
        got: if refused.is_none() { "accept" } else { "reject" }.to_owned(),
        agrees,
        refusal: refused.as_ref().map(|refusal| refusal.0.clone()).unwrap_or_default(),
        reason: refused.map_or_else(|| "the bundle verifies".to_owned(), |refusal| refusal.1),
    }
}

/// Who signed, of a bundle that verifies; the variant that refused, and its words.
fn verify(case: &SigstoreCase) -> Result<String, (String, String)> {
    let told = |error: BundleError| (variant(&error), error.to_string());
    let other = |what: &str| Err(("Identity".to_owned(), format!("{what} is another one than the case states")));
    let root = TrustedRoot::parse(&case.root).map_err(told)?;
    let bundle = Bundle::parse(&case.bundle).map_err(told)?;
    if !bundle.is_about(&case.artifact) {
        return Err(told(BundleError::OtherArtifact));
    }
    match &case.key {
        Some(Some(key)) => bundle.verify_managed(key, Some(&root), case.now_s).map(|()| "the managed key".to_owned()).map_err(told),
        Some(None) => Err(("Key".to_owned(), "the key's file has no public key".to_owned())),
        None => {
            let certified = bundle.verify_keyless(&root, case.now_s).map_err(told)?;
            if case.identity.as_ref().is_some_and(|identity| *identity != certified.identity) {
                return other("the identity");
            }
            match case.issuer.as_ref().is_some_and(|issuer| *issuer != certified.issuer) {
                true => other("the issuer"),
                false => Ok(format!("{} of {}", certified.identity, certified.issuer)),
            }
        }
    }
}
