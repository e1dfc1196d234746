//! The closed table of key derivations, and the only place of this crate that calls HKDF.
//!
//! Decides: `key = HKDF-Expand(parent, info = enc("derive", purpose, fields...))` with SHA-256. Parents are uniform 32-byte keys, so
//! the extract step is left out (RFC 5869 section 3.3), except where two secrets are mixed ([`extract`]).
//! Trusts: nothing. A purpose is never reused for another meaning; its text and its output length are pinned by known answers
//! (`tests/labels.rs`). Out of scope: who calls it. Protocol section 7.

use hkdf::Hkdf;
use ringwall_wire::counted::{Primitive, count};
use ringwall_wire::label::Label;
use ringwall_wire::secret::Secret;
use sha2::Sha256;
use zeroize::Zeroize;

macro_rules! purposes {
    ($($(#[$meta:meta])* $variant:ident = $text:literal,)*) => {
        /// What a derived key is for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Purpose { $($(#[$meta])* #[doc = concat!("Spelled `", $text, "`.")] $variant,)* }

        impl Purpose {
            /// All purposes, for the test that no two share a text.
            pub const ALL: &'static [Purpose] = &[$(Purpose::$variant),*];

            /// The text that is hashed.
            pub const fn as_str(self) -> &'static str {
                match self { $(Purpose::$variant => $text,)* }
            }
        }
    };
}

purposes! {
    /// MK to KEK; fields: cluster, key epoch.
    Kek = "kek",
    /// MK to its public commitment (32 bytes); fields: cluster, key epoch.
    MasterCommit = "mk-commit",
    /// Tag key to namespace tag (16 bytes); fields: cluster, user, namespace.
    SpaceTag = "space-tag",
    /// Tag key to the mark of whose a namespace is (16 bytes); fields: cluster, user, namespace tag.
    OwnerMark = "owner-mark",
    /// Tag key to client tag (16 bytes); fields: cluster, namespace tag, client.
    ClientTag = "client-tag",
    /// Fresh randomness extracted with the KEK to a new DEK; fields: cluster, namespace tag.
    Dek = "dek",
    /// KEK to wrapping key and commitment (64 bytes); field: iv.
    WrapKeys = "wrap-keys",
    /// DEK to the parent of record keys; fields: cluster, namespace tag, key mode.
    SpaceRecords = "space-records",
    /// DEK to the parent of key tags; fields: cluster, namespace tag, key mode.
    SpaceIndex = "space-index",
    /// Index key to key tag (16 bytes); field: key name.
    KeyTag = "key-tag",
    /// Record parent to name key, value key and commitment (96 bytes); field: iv.
    RecordKeys = "record-keys",
    /// A user's key to the part of a namespace's keys that the cluster gets for a session, in dual mode; fields: cluster, user, namespace.
    UserPart = "user-part",
    /// A user's key to the root of a namespace's keys in user mode, which never leaves the client; fields: cluster, user, namespace.
    UserRoot = "user-root",
    /// A user's part, or root, to what the cluster stores in its place; fields: cluster, key mode.
    UserCommit = "user-commit",
    /// DEK to the salt it is mixed with a user's part under; fields: cluster, namespace tag.
    MixSalt = "mix-salt",
    /// DEK and a user's part, mixed, to the data key of a namespace in dual mode; fields: cluster, namespace tag.
    DekMix = "dek-mix",
    /// Root to the parent of key tags in user mode.
    UserIndex = "user-index",
    /// Root to the parent of name keys in user mode.
    UserNames = "user-names",
    /// Root to the parent of value keys in user mode.
    UserRecords = "user-records",
    /// Name parent to the key of one name in user mode; field: key tag.
    UserName = "user-name",
    /// Record parent to value key and commitment in user mode (64 bytes); field: iv.
    UserValue = "user-value",
    /// Tag key to the tag of a user (16 bytes); fields: cluster, user.
    UserTag = "user-tag",
    /// Tag key to the tag of a device (16 bytes); fields: cluster, user tag, credential.
    DeviceTag = "device-tag",
    /// Tag key to the tag of a recovery key (16 bytes); fields: cluster, user tag, public half.
    UserRecoveryTag = "user-recovery-tag",
    /// Tag key to sealing key and commitment of a device on record (64 bytes); fields: cluster, user tag, iv.
    DeviceKeys = "device-keys",
    /// A recovery phrase's entropy to the seed of its signature key.
    RecoverySign = "recovery-sign",
    /// A recovery phrase's entropy to sealing key and commitment of an escrow (64 bytes); fields: cluster, user, iv.
    EscrowKeys = "escrow-keys",
    /// A recovery phrase's entropy to the seed of the X-Wing pair data keys are escrowed to; fields: cluster, user.
    EscrowSeed = "escrow-seed",
    /// KEK to the salt of the randomness that data keys are escrowed with.
    EscrowSalt = "escrow-salt",
    /// Hedge key to initialization vector (24 bytes); fields: randomness, incarnation, counter, digest of the input.
    HedgedIv = "hedged-iv",
    /// KEK to the salt of a dealing's randomness; field: custody epoch.
    CustodySalt = "custody-salt",
    /// Fresh randomness extracted with a salt to one draw of a dealing; field: counter.
    CustodyDraw = "custody-draw",
    /// RK to its check value (16 bytes); fields: cluster, custody epoch.
    CustodyKcv = "custody-kcv",
    /// RK to the seed of the X-Wing pair master keys are sealed to; fields: cluster, custody epoch.
    RecoverySeed = "recovery-seed",
    /// RK to the key of tags of recovery blobs; fields: cluster, custody epoch.
    RecoveryTag = "recovery-tag",
    /// Share extracted with its hiding value to its proof key; fields: cluster, custody epoch, place.
    ShareProof = "share-proof",
    /// Fresh randomness extracted with the KEK to a new workload key; fields: cluster, name.
    WorkloadKey = "workload-key",
    /// Workload key to one user's own; field: user.
    WorkloadUser = "workload-user",
    /// Tag key to a user's tag in the audit chain (16 bytes); fields: cluster, name, user.
    WorkloadSubject = "workload-subject",
    /// Tag key to the private key of the key broker protocol's certificate; fields: cluster, try.
    BrokerKey = "broker-key",
    /// MK to the key of seals on what members write to their disks, and of claims over it; fields: cluster, key epoch.
    LogSeal = "log-seal",
    /// A chip's derived key to what a node wraps master keys under; fields: cluster, slot.
    PlatformWrap = "platform-wrap",
    /// That key to wrapping key and commitment of one wrap (64 bytes); field: iv.
    PlatformKeys = "platform-keys",
}

/// Fields a derivation has at most.
const FIELDS: usize = 6;
/// Parts of an encoding: label and number of fields, then the length and the bytes of the purpose and of each field.
const PARTS: usize = 3 + 2 * (FIELDS + 1);

/// Derives `N` bytes for `purpose` from a uniform parent key.
///
/// # Panics
/// With more than six fields: no purpose has so many.
pub fn expand<const N: usize>(parent: &Secret<32>, purpose: Purpose, fields: &[&[u8]]) -> Secret<N> {
    const { assert!(N <= 255 * 32, "HKDF-SHA-256 gives at most 8,160 bytes") };
    count(Primitive::Derive);
    let mut out = [0; N];
    let kdf = Hkdf::<Sha256>::from_prk(parent.expose()).expect("a parent key has the length of the hash");
    with_info(purpose, fields, |info| kdf.expand_multi_info(info, &mut out)).expect("N is within HKDF's limit");
    Secret::from_mut(&mut out)
}

/// Mixes secret `input` into `salt`: uniform to whoever lacks either of them.
pub fn extract(salt: &Secret<32>, input: &[u8]) -> Secret<32> {
    count(Primitive::Derive);
    let (mut prk, _) = Hkdf::<Sha256>::extract(Some(salt.expose()), input);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(&prk);
    prk.as_mut_slice().zeroize();
    Secret::from_mut(&mut bytes)
}

/// `enc("derive", purpose, fields...)`, in parts: a derivation is in every step of the hot path, and takes no memory for what it only reads.
fn with_info<T>(purpose: Purpose, fields: &[&[u8]], work: impl FnOnce(&[&[u8]]) -> T) -> T {
    assert!(fields.len() <= FIELDS, "a derivation has at most {FIELDS} fields");
    let label = Label::Derive.as_str().as_bytes();
    let label_len = u16::try_from(label.len()).expect("labels are short").to_be_bytes();
    let count = u16::try_from(fields.len().saturating_add(1)).expect("a derivation has few fields").to_be_bytes();
    let framed = || core::iter::once(purpose.as_str().as_bytes()).chain(fields.iter().copied());
    let mut lengths = [[0; 4]; FIELDS + 1];
    for (length, field) in lengths.iter_mut().zip(framed()) {
        *length = u32::try_from(field.len()).expect("a field is shorter than 4 GiB").to_be_bytes();
    }
    let opening: [&[u8]; 3] = [&label_len, label, &count];
    let framed = lengths.iter().zip(framed()).flat_map(|(length, field)| [length.as_slice(), field]);
    // What is left over stays empty, and adds nothing.
    let mut parts: [&[u8]; PARTS] = [&[]; PARTS];
    for (part, bytes) in parts.iter_mut().zip(opening.into_iter().chain(framed)) {
        *part = bytes;
    }
    work(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use ringwall_wire::codec::enc;

    #[test]
    fn the_parts_are_the_one_encoding() {
        let fields: [&[u8]; FIELDS] = [b"cluster", b"", &[0; 32], b"\0", &[0xff; 300], b"six"];
        for &purpose in Purpose::ALL {
            for some in 0..=FIELDS {
                let fields = &fields[..some];
                let all: Vec<&[u8]> = core::iter::once(purpose.as_str().as_bytes()).chain(fields.iter().copied()).collect();
                assert_eq!(with_info(purpose, fields, |info| info.concat()), enc(Label::Derive, &all), "{purpose:?} of {some} fields");
            }
        }
    }

    #[test]
    #[should_panic(expected = "at most 6 fields")]
    fn a_field_too_many_is_never_left_out_in_silence() {
        let _ = expand::<32>(&Secret::new([1; 32]), Purpose::Kek, &[b"1", b"2", b"3", b"4", b"5", b"6", b"7"]);
    }
}
