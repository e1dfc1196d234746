//! The file of data keys that a recovery phrase opens.
//!
//! Decides: it stands beside the escrow, as `ESCROW.keys`; it is replaced whole; it belongs to one cluster, user and recovery key, and opens under one phrase.
//! It is ciphertext: any place will do for a copy. Fetching it anew needs no phrase, since what keys are sealed to stands in it in the clear, signed.
//! Trusts: `keys`. Out of scope: what the keys open (`import.rs`). Protocol section 9.2; bytes: docs/formats.md, "Escrowed data keys".

use crate::client::Client;
use crate::private::private;
use crate::users::UserError;
use ed25519_dalek::SigningKey;
use ringwall_channel::user::{sign_escrow_key, verify_escrow_key};
use ringwall_keys::Phrase;
use ringwall_keys::custody::EnvelopeError;
use ringwall_keys::escrow::{SpaceSecret, open_page};
use ringwall_session::asked::{Ask, Failure};
use ringwall_session::ops::answer_name;
use ringwall_wire::backup::{EscrowAsk, EscrowKey, KeysEscrow};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{ClusterId, UserId};
use ringwall_wire::limits::{ESCROW_PAGE_BYTES, ESCROW_PAGES};
use ringwall_wire::request::{Answer, Namespace, Op};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of such a file: all its pages, with what they are sealed to.
const KEYS_FILE_BYTES: u64 = (ESCROW_PAGES * (ESCROW_PAGE_BYTES + 2_048) + 8 * 1_024) as u64;

/// Why data keys were not escrowed, or do not open.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It is none.
    #[error("{} holds no escrowed data keys: it is cut off, altered, or another file. Use another copy of it", .path.display())]
    Malformed {
        /// Where.
        path: PathBuf,
    },
    /// It opens under another phrase, or was altered.
    #[error("the data keys do not open under this phrase: they belong to another one, perhaps an earlier one, or were altered")]
    OtherPhrase,
    /// More namespaces than a file holds.
    #[error("the user has more namespaces than {most} pages of keys hold")]
    TooMany {
        /// Pages.
        most: usize,
    },
    /// The cluster refused, or no session.
    #[error(transparent)]
    User(#[from] UserError),
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl KeysError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            KeysError::Malformed { .. } => "RW-C-ESCROW-MALFORMED",
            KeysError::OtherPhrase => "RW-C-ESCROW-OTHER-PHRASE",
            KeysError::TooMany { .. } => "RW-C-ESCROW-TOO-MANY",
            KeysError::User(fault) => fault.code(),
            KeysError::Io { .. } => "RW-C-ESCROW-IO",
        }
    }
}

/// Where the data keys of an escrow are kept.
pub fn keys_path(escrow: &Path) -> PathBuf {
    let mut name = escrow.as_os_str().to_owned();
    name.push(".keys");
    name.into()
}

/// What data keys are sealed to under a phrase.
pub(crate) fn make(phrase: &Phrase, cluster_id: &ClusterId, user: &UserId) -> EscrowKey {
    let key = SigningKey::from_bytes(phrase.signature_seed().expose());
    sign_escrow_key(cluster_id, user, phrase.escrow_pair(cluster_id, user).public(), &key)
}

/// Opens escrowed data keys.
pub(crate) fn open(phrase: &Phrase, keys: &KeysEscrow) -> Result<Vec<SpaceSecret>, KeysError> {
    let KeysEscrow { cluster_id, user, to, pages, .. } = keys;
    let pair = phrase.escrow_pair(cluster_id, user);
    if pair.public() != to.kem {
        return Err(KeysError::OtherPhrase);
    }
    let mut opened = Vec::new();
    for page in pages.iter() {
        opened.extend(open_page(&pair, cluster_id, user, to, page).map_err(|_: EnvelopeError| KeysError::OtherPhrase)?);
    }
    Ok(opened)
}

impl Client {
    /// Has the data keys of all of the user's namespaces sealed to `to`; `names` are those of namespaces whose names are to stand beside their keys.
    pub(crate) async fn escrow_keys(&self, to: &EscrowKey, names: &[Namespace]) -> Result<KeysEscrow, KeysError> {
        let principal = self.principal();
        let (cluster_id, user) = (principal.cluster_id, principal.user);
        let nonsense = |why: &str| KeysError::User(UserError::Nonsense(why.into()));
        let names = List::new(names.to_vec()).map_err(|_| nonsense("more names than one question takes"))?;
        let status = self.status().await.map_err(|fault| nonsense(&fault.to_string()))?;
        let (mut pages, mut after) = (List::default(), None);
        loop {
            let ask = EscrowAsk { to: to.clone(), names: names.clone(), after };
            let page = match self.ask(Ask::Read(Op::EscrowKeys(Box::new(ask)))).await {
                Ok(Answer::EscrowKeys(page)) => *page,
                Ok(Answer::UserRefused(fault)) => return Err(UserError::Fault(fault).into()),
                Ok(other) => return Err(nonsense(answer_name(&other))),
                Err(Failure::Refused(refusal)) => return Err(UserError::Refused(refusal).into()),
                Err(Failure::Session(fault)) => return Err(UserError::Session(fault).into()),
                Err(Failure::OutcomeUnknown { cause, .. }) => return Err(nonsense(&cause)),
            };
            let next = page.next;
            if next.is_some() && next <= after {
                return Err(nonsense("pages of keys that do not go on"));
            }
            pages.push(page).map_err(|_| KeysError::TooMany { most: ESCROW_PAGES })?;
            after = next;
            if after.is_none() {
                return Ok(KeysEscrow { cluster_id, user, to: to.clone(), index: status.applied, pages });
            }
        }
    }
}

/// Reads a file of data keys; the word of its recovery key is verified.
pub fn read_keys(path: &Path) -> Result<KeysEscrow, KeysError> {
    let failed = |source| KeysError::Io { path: path.into(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(KEYS_FILE_BYTES).read_to_end(&mut bytes)).map_err(failed)?;
    let malformed = || KeysError::Malformed { path: path.into() };
    let keys = KeysEscrow::decode(&bytes).map_err(|_| malformed())?;
    match verify_escrow_key(&keys.to, &keys.cluster_id, &keys.user) {
        Ok(()) => Ok(keys),
        Err(_) => Err(malformed()),
    }
}

/// Writes a file of data keys in the place of an older one, on stable storage when this returns.
pub fn write_keys(path: &Path, keys: &KeysEscrow) -> Result<(), KeysError> {
    let failed = |source| KeysError::Io { path: path.into(), source };
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    let mut file = private().write(true).create(true).truncate(true).open(&fresh).map_err(failed)?;
    file.write_all(&keys.encode()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)
}
