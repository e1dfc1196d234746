//! What the command line reads: values, key files, batches, a vendor's raw files.
//!
//! Decides: everything read is bounded before it is held, and a batch is parsed strictly (unknown fields are refused).
//! Trusts: nothing. Out of scope: sizes of values and batches (the library refuses those). Protocol section 3, step 7.

use super::args::{SharedOptions, Verify};
use super::exit::Trouble;
use super::workload_key::Grant;
use crate::card::read_card;
use crate::namespace::expect_version;
use crate::{Batch, NamespaceHandle, Phrase, PutOptions, UserId, UserKey, WriteError, read_user, read_user_key, user_key_path, user_path};
use ringwall_keys::phrase::PHRASE_BYTES;
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements, SnpEvidence};
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::Revision;
use ringwall_wire::limits::{COLLATERAL_JSON_BYTES, CRL_BYTES, KEY_BYTES, PEM_CHAIN_BYTES, REQUEST_BYTES, VALUE_BYTES};
use ringwall_wire::request::Expect;
use ringwall_wire::text::read_hex_vec;
use serde::Deserialize;
use std::io::{IsTerminal, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes of collateral as JSON: every part of the full size, lists in hex, text with every character escaped.
const COLLATERAL_FILE_BYTES: usize = 2 * (3 * PEM_CHAIN_BYTES + 2 * CRL_BYTES + 2 * COLLATERAL_JSON_BYTES) + 8 * 1024;
/// Bytes of a batch as JSON: a batch of the full size, every byte in hex, with its framing.
const BATCH_JSON_BYTES: usize = 3 * REQUEST_BYTES;

/// The credential file of this run.
pub(crate) fn credential_path(shared: &SharedOptions) -> Result<&Path, Trouble> {
    shared
        .credential
        .as_deref()
        .ok_or_else(|| Trouble::new("RW-C-USAGE", "name a credential file with --credential or RINGWALL_CREDENTIAL"))
}

/// The cluster's card of this run.
pub(crate) fn card(shared: &SharedOptions) -> Result<ClusterCard, Trouble> {
    let path = shared.card.as_deref().ok_or_else(|| Trouble::new("RW-C-USAGE", "name the cluster's card with --card or RINGWALL_CARD"))?;
    Ok(read_card(path, shared.cluster)?)
}

/// The user's own key: the file that is named, or the one beside the credential, where there is one.
pub(crate) fn user_key(shared: &SharedOptions) -> Result<Option<UserKey>, Trouble> {
    let beside = || shared.credential.as_deref().map(user_key_path).filter(|path| path.exists());
    let path = shared.user_key.clone().or_else(beside);
    Ok(path.map(|path| read_user_key(&path)).transpose()?)
}

/// Whose device this credential is, where that is noted.
pub(crate) fn user(credential: &Path) -> Result<Option<UserId>, Trouble> {
    read_user(credential).map_err(|fault| unreadable(&user_path(credential).display().to_string(), &fault))
}

/// A recovery phrase, typed or piped. Nothing of it is repeated in an error.
pub(crate) fn phrase() -> Result<Phrase, Trouble> {
    let bytes = Zeroizing::new(read_bounded(None, PHRASE_BYTES, "the recovery phrase (24 words)")?);
    let text = std::str::from_utf8(&bytes).map_err(|_| Trouble::new("RW-C-PHRASE", "the recovery phrase is not text"))?;
    Phrase::parse(text).map_err(|fault| Trouble::new("RW-C-PHRASE", fault.to_string()))
}

fn unreadable(what: &str, fault: &std::io::Error) -> Trouble {
    Trouble::new("RW-C-INPUT", format!("{what}: {fault}"))
}

/// Reads at most one byte more than `most`, from a file or from standard input.
fn read_bounded(file: Option<&Path>, most: usize, wanted: &str) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    let limit = most as u64 + 1;
    match file {
        Some(path) => {
            let name = path.display().to_string();
            let file = std::fs::File::open(path).map_err(|fault| unreadable(&name, &fault))?;
            file.take(limit).read_to_end(&mut bytes).map_err(|fault| unreadable(&name, &fault))?;
        }
        None => {
            let stdin = std::io::stdin();
            if stdin.is_terminal() && std::io::stderr().is_terminal() {
                super::show::note(&format!("reading {wanted} from the terminal; end it with Ctrl-D"));
            }
            stdin.lock().take(limit).read_to_end(&mut bytes).map_err(|fault| unreadable("standard input", &fault))?;
        }
    }
    Ok(bytes)
}

/// A value.
pub(crate) fn value(file: Option<&Path>) -> Result<Vec<u8>, Trouble> {
    let bytes = read_bounded(file, VALUE_BYTES, "the value")?;
    match bytes.len() > VALUE_BYTES {
        true => Err(Trouble::new("RW-C-VALUE-TOO-LARGE", format!("the value is longer than {VALUE_BYTES} bytes; nothing was sent"))),
        false => Ok(bytes),
    }
}

/// A key, from the argument or from a file.
pub(crate) fn key(place: &super::args::Place) -> Result<Vec<u8>, Trouble> {
    match (&place.key, &place.key_file) {
        (Some(key), _) => Ok(key.as_bytes().to_vec()),
        (None, Some(path)) => read_bounded(Some(path), KEY_BYTES, "the key"),
        (None, None) => Err(Trouble::new("RW-C-USAGE", "a key or --key-file is needed")),
    }
}

/// A batch for `namespace`, and the number of its changes.
pub(crate) fn batch(namespace: &NamespaceHandle, file: Option<&Path>) -> Result<Batch, Trouble> {
    let bytes = read_bounded(file, BATCH_JSON_BYTES, "the batch")?;
    if bytes.len() > BATCH_JSON_BYTES {
        return Err(Trouble::new("RW-C-BATCH-TOO-LARGE", format!("the batch is longer than {BATCH_JSON_BYTES} bytes of JSON")));
    }
    let changes = parse_batch(&bytes)?;
    let mut batch = namespace.batch();
    for change in changes {
        batch = change.add_to(batch)?;
    }
    Ok(batch)
}

/// A vendor's raw files, if the arguments name any.
pub(crate) fn vendor_files(verify: &Verify) -> Result<Option<(Evidence, Endorsements)>, Trouble> {
    match (&verify.report, &verify.vek, &verify.ask, &verify.quote, &verify.collateral) {
        (Some(report), Some(vek), Some(ask), ..) => {
            let crl = verify.crl.as_deref().map(blob).transpose()?.unwrap_or_default();
            let endorsements = SnpEndorsements { vek: blob(vek)?, ask: blob(ask)?, crl };
            Ok(Some((Evidence::Snp(SnpEvidence { report: blob(report)? }), Endorsements::Snp(endorsements))))
        }
        (.., Some(quote), Some(path)) => {
            let json = bounded_file(path, COLLATERAL_FILE_BYTES)?;
            let endorsements =
                super::evidence::collateral(&json).map_err(|why| Trouble::new("RW-C-INPUT", format!("{}: {why}", path.display())))?;
            Ok(Some((super::evidence::tdx(blob(quote)?), Endorsements::Tdx(endorsements))))
        }
        _ => Ok(None),
    }
}

/// What the vendor says about this machine, from the files a workload was given.
pub(crate) fn endorsement_files(grant: &Grant) -> Result<Endorsements, Trouble> {
    match (&grant.vek, &grant.ask, &grant.collateral) {
        (Some(vek), Some(ask), None) => {
            let crl = grant.crl.as_deref().map(blob).transpose()?.unwrap_or_default();
            Ok(Endorsements::Snp(SnpEndorsements { vek: blob(vek)?, ask: blob(ask)?, crl }))
        }
        (None, None, Some(path)) => {
            let json = bounded_file(path, COLLATERAL_FILE_BYTES)?;
            let read = super::evidence::collateral(&json);
            read.map(Endorsements::Tdx).map_err(|why| Trouble::new("RW-C-INPUT", format!("{}: {why}", path.display())))
        }
        _ => Err(Trouble::new(
            "RW-C-USAGE",
            "name the vendor's statements about this machine: --vek, --ask and --crl on AMD, --collateral on Intel",
        )),
    }
}

fn blob<const MAX: usize>(path: &Path) -> Result<Blob<MAX>, Trouble> {
    let bytes = bounded_file(path, MAX)?;
    Ok(Blob::new(bytes).expect("the file was found to be within the limit"))
}

pub(crate) fn bounded_file(path: &Path, most: usize) -> Result<Vec<u8>, Trouble> {
    let bytes = read_bounded(Some(path), most, "")?;
    match bytes.len() > most {
        true => Err(Trouble::new("RW-C-INPUT", format!("{} is longer than {most} bytes, which is the most it can be", path.display()))),
        false => Ok(bytes),
    }
}

fn parse_batch(bytes: &[u8]) -> Result<Vec<ChangeJson>, Trouble> {
    serde_json::from_slice(bytes)
        .map_err(|fault| Trouble::new("RW-C-USAGE", format!("the batch is not as `ringwall batch --help` says: {fault}")))
}

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum ChangeJson {
    Put {
        key: Option<String>,
        key_hex: Option<String>,
        value: Option<String>,
        value_hex: Option<String>,
        #[serde(default)]
        ttl_s: u32,
        #[serde(default)]
        expect: ExpectJson,
    },
    Delete {
        key: Option<String>,
        key_hex: Option<String>,
        #[serde(default)]
        expect: ExpectJson,
    },
    Require {
        key: Option<String>,
        key_hex: Option<String>,
        expect: ExpectJson,
    },
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ExpectJson {
    #[default]
    Any,
    Absent,
    Present,
    Version(u64),
}

impl From<ExpectJson> for Expect {
    fn from(expect: ExpectJson) -> Self {
        match expect {
            ExpectJson::Any => Expect::Any,
            ExpectJson::Absent => Expect::Absent,
            ExpectJson::Present => Expect::Present,
            ExpectJson::Version(version) => expect_version(Revision(version)),
        }
    }
}

impl ChangeJson {
    fn add_to(self, batch: Batch) -> Result<Batch, Trouble> {
        let added: Result<Batch, WriteError> = match self {
            ChangeJson::Put { key, key_hex, value, value_hex, ttl_s, expect } => {
                let (key, value) = (bytes_of("key", key, key_hex)?, bytes_of("value", value, value_hex)?);
                batch.put_with(key, value, PutOptions { ttl_s, expect: expect.into() })
            }
            ChangeJson::Delete { key, key_hex, expect } => batch.delete(bytes_of("key", key, key_hex)?, expect.into()),
            ChangeJson::Require { key, key_hex, expect } => batch.require(bytes_of("key", key, key_hex)?, expect.into()),
        };
        Ok(added?)
    }
}

fn bytes_of(what: &str, text: Option<String>, hex: Option<String>) -> Result<Vec<u8>, Trouble> {
    let bytes = match (text, hex) {
        (Some(text), None) => Some(text.into_bytes()),
        (None, Some(hex)) => read_hex_vec(&hex),
        _ => None,
    };
    bytes.ok_or_else(|| Trouble::new("RW-C-USAGE", format!("a change needs either \"{what}\" or \"{what}_hex\" in lower-case hex")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_of_the_help_text_parses() {
        let text = r#"[ {"op": "put", "key": "a", "value": "text", "ttl_s": 60, "expect": "absent"},
            {"op": "put", "key_hex": "00ff", "value_hex": "0102", "expect": {"version": 7}},
            {"op": "delete", "key": "b", "expect": "present"},
            {"op": "require", "key": "c", "expect": "absent"} ]"#;
        let changes = parse_batch(text.as_bytes()).unwrap();
        assert_eq!(changes.len(), 4);
        assert!(matches!(changes[1], ChangeJson::Put { expect: ExpectJson::Version(7), .. }));
    }

    #[test]
    fn what_a_batch_may_not_hold_is_refused() {
        for text in [
            "{}",
            r#"[{"op":"drop","key":"a"}]"#,
            r#"[{"op":"delete","key":"a","ttl":1}]"#,
            r#"[{"op":"require","key":"a"}]"#,
            r#"[{"op":"put","key":"a","value":"b","expect":"maybe"}]"#,
        ] {
            assert!(parse_batch(text.as_bytes()).is_err(), "{text}");
        }
        assert!(bytes_of("key", None, None).is_err());
        assert!(bytes_of("key", Some("a".into()), Some("61".into())).is_err());
        assert!(bytes_of("key", None, Some("6".into())).is_err());
        assert_eq!(bytes_of("key", None, Some("61".into())).unwrap(), b"a");
    }
}
