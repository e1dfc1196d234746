//! The keys of one namespace: tags of key names, sealing and opening of records.
//!
//! Decides: `record keys = expand(records parent, iv)` gives a name key, a value key and a 32-byte commitment; the commitment is compared, in
//! constant time, before anything is decrypted, so a blob opens under one key only. AAD = `enc("rec", cluster_id, space, key, client, seq)`.
//! Names and values are padded to size buckets. The plaintext never leaves this file other than to the caller.
//! Trusts: the caller to present the client tag and write number it authenticated.
//! Out of scope: which key mode needs which key (`ring.rs`), replication. Protocol section 7.

use crate::bucket::{pad, unpad};
use crate::derive::{Purpose, expand};
use crate::hedge::HedgedIvs;
use crate::sealed::{TAG_BYTES, open_in_place, seal_in_place};
use alloc::vec::Vec;
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::{Field, enc};
use ringwall_wire::command::SealedRecord;
use ringwall_wire::ids::{ClientTag, ClusterId, KeyEpoch, KeyTag, SpaceTag};
use ringwall_wire::label::Label;
use ringwall_wire::limits::{KEY_BYTES, VALUE_BYTES};
use ringwall_wire::request::KeyMode;
use ringwall_wire::secret::{Secret, wash_stack};
use ringwall_wire::without::{Defence, left_out};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Why something could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key name is above its limit.
    #[error("the key name has {len} bytes, at most {max}")]
    NameTooLong {
        /// Bytes it has.
        len: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// The value is above its limit.
    #[error("the value has {len} bytes, at most {max}")]
    ValueTooLong {
        /// Bytes it has.
        len: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// The keys of the namespace need the user's part.
    #[error("a namespace in {mode:?} mode has no keys without the user's part of them")]
    UserKeyNeeded {
        /// The mode.
        mode: KeyMode,
    },
    /// The master key is not on the ring.
    #[error("master key {wanted} is in use and this node does not hold it yet; it asks other members for it")]
    UnknownKeyEpoch {
        /// Generation that is in use.
        wanted: KeyEpoch,
    },
}

/// Why something sealed was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The wrapping key's generation is not on the ring.
    #[error("wrapped under master key {wanted}, which this node does not hold")]
    UnknownKeyEpoch {
        /// Generation it names.
        wanted: KeyEpoch,
    },
    /// The blob commits to another key: it was not sealed under this one.
    #[error("the blob commits to another key than the one that should open it: it was moved, or altered")]
    OtherKey,
    /// The tag does not fit: altered, or moved to another place.
    #[error("the blob is not authentic here: it was altered, or belongs to another key, client or write")]
    NotAuthentic,
    /// Authentic, and yet not padded as we pad: a defect of the writer.
    #[error("the blob is authentic but not padded as this version pads")]
    BadPadding,
    /// The keys of the namespace need the user's part.
    #[error("a namespace in {mode:?} mode has no keys without the user's part of them")]
    UserKeyNeeded {
        /// The mode.
        mode: KeyMode,
    },
}

/// Where a record belongs: sealed records open in no other place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// Tag of the key ([`SpaceKeys::key_tag`] of its name).
    pub key: KeyTag,
    /// Tag of the client that writes.
    pub client: ClientTag,
    /// Its write. A key appears once in a write, so the place is unique.
    pub seq: u64,
}

/// The keys of one namespace of one cluster. Made by [`crate::Keyring`] only.
pub struct SpaceKeys {
    cluster_id: ClusterId,
    space: SpaceTag,
    mode: KeyMode,
    records: Secret<32>,
    index: Secret<32>,
}

impl core::fmt::Debug for SpaceKeys {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "SpaceKeys({})", self.space)
    }
}

/// Keys of one record, in order: name key, value key, commitment.
pub(crate) struct RecordKeys(Secret<96>);

impl RecordKeys {
    pub(crate) fn parts(&self) -> (&[u8; 32], &[u8; 32], &[u8; 32]) {
        let (chunks, _) = self.0.expose().as_chunks::<32>();
        match chunks {
            [name, value, commit] => (name, value, commit),
            _ => unreachable!("96 bytes are three chunks of 32"),
        }
    }
}

impl SpaceKeys {
    /// Derives the keys of a namespace from its data key: in dual mode from one the user's part was mixed into. The mode is part of every
    /// derivation, so that no mode's keys open another's records.
    #[inline(never)]
    pub(crate) fn derive(cluster_id: ClusterId, space: SpaceTag, mode: KeyMode, dek: &Secret<32>) -> Self {
        let named = mode.to_bytes();
        let fields: [&[u8]; 3] = [&cluster_id.0, &space.0, &named];
        let records = expand(dek, Purpose::SpaceRecords, &fields);
        let index = expand(dek, Purpose::SpaceIndex, &fields);
        SpaceKeys { cluster_id, space, mode, records, index }
    }

    /// The namespace.
    pub fn space(&self) -> &SpaceTag {
        &self.space
    }

    /// Its key mode.
    pub fn mode(&self) -> KeyMode {
        self.mode
    }

    /// The tag replicas index this key name by: 16 bytes, keyed, so that equal names of other namespaces differ.
    pub fn key_tag(&self, name: &[u8]) -> KeyTag {
        let tag = KeyTag(*expand::<16>(&self.index, Purpose::KeyTag, &[name]).expose());
        self.wash();
        tag
    }

    /// Keys of a session must be nowhere when it ends, whichever thread used them. Other keys live as long as the process.
    fn wash(&self) {
        if self.mode == KeyMode::Dual {
            wash_stack();
        }
    }

    /// Seals a name (at most `KEY_BYTES`) and a value (at most `VALUE_BYTES`) for `place`.
    pub fn seal(&self, place: &RecordPlace, name: &[u8], value: &[u8], ivs: &mut HedgedIvs) -> Result<SealedRecord, SealError> {
        if name.len() > KEY_BYTES {
            return Err(SealError::NameTooLong { len: name.len(), max: KEY_BYTES });
        }
        if value.len() > VALUE_BYTES {
            return Err(SealError::ValueTooLong { len: value.len(), max: VALUE_BYTES });
        }
        let aad = self.aad(&place.key, &place.client, place.seq);
        let iv = ivs.next(&[&self.space.0, &aad, name, value]);
        let keys = self.record_keys(&iv);
        let (name_key, value_key, commit) = keys.parts();
        let record = SealedRecord {
            client: place.client,
            seq: place.seq,
            iv,
            commit: *commit,
            name: Blob::new(sealed(name_key, &aad, name)).expect("a padded name fits SEALED_NAME_BYTES"),
            value: Blob::new(sealed(value_key, &aad, value)).expect("a padded value fits SEALED_VALUE_BYTES"),
        };
        self.wash();
        Ok(record)
    }

    /// Opens the record stored under `key`: name and value.
    pub fn open(&self, key: &KeyTag, record: &SealedRecord) -> Result<(Vec<u8>, Vec<u8>), OpenError> {
        let (keys, aad) = self.committed(key, record)?;
        let (name_key, value_key, _) = keys.parts();
        let both = opened(name_key, &aad, &record.name).and_then(|name| Ok((name, opened(value_key, &aad, &record.value)?)));
        self.wash();
        both
    }

    /// Opens only the name of the record stored under `key`.
    pub fn open_name(&self, key: &KeyTag, record: &SealedRecord) -> Result<Vec<u8>, OpenError> {
        let (keys, aad) = self.committed(key, record)?;
        let name = opened(keys.parts().0, &aad, &record.name);
        self.wash();
        name
    }

    /// The record's keys, after its commitment was found to be theirs.
    fn committed(&self, key: &KeyTag, record: &SealedRecord) -> Result<(RecordKeys, Vec<u8>), OpenError> {
        let keys = self.record_keys(&record.iv);
        if !bool::from(keys.parts().2.ct_eq(&record.commit)) && !left_out(Defence::KeyCommitment) {
            return Err(OpenError::OtherKey);
        }
        Ok((keys, self.aad(key, &record.client, record.seq)))
    }

    pub(crate) fn record_keys(&self, iv: &[u8; 24]) -> RecordKeys {
        RecordKeys(expand(&self.records, Purpose::RecordKeys, &[iv]))
    }

    pub(crate) fn aad(&self, key: &KeyTag, client: &ClientTag, seq: u64) -> Vec<u8> {
        enc(Label::Record, &[&self.cluster_id.0, &self.space.0, &key.0, &client.0, &seq.to_be_bytes()])
    }
}

fn sealed(key: &[u8; 32], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut text = pad(plain, TAG_BYTES);
    match left_out(Defence::Sealing) {
        false => seal_in_place(key, aad, &mut text),
        true => text.extend_from_slice(&[0; TAG_BYTES]),
    }
    text
}

fn opened(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut text = sealed.to_vec();
    if left_out(Defence::Sealing) {
        text.truncate(text.len().saturating_sub(TAG_BYTES));
    } else if !open_in_place(key, aad, &mut text) {
        return Err(OpenError::NotAuthentic);
    }
    if !unpad(&mut text) {
        text.zeroize();
        return Err(OpenError::BadPadding);
    }
    Ok(text)
}
