//! Namespaces in user mode, as the client sees them: what it seals before a request and opens after an answer.
//!
//! Decides: the wire carries sealed names and sealed values in place of names and values; nothing else of a request changes. What does not open under
//! the user's key is an error of its own, never an absent key. Trusts: `keys`. Out of scope: order (`listing.rs`). Protocol section 7.4.

use crate::error::{ReadError, WriteError};
use rand_core::CryptoRng;
use ringwall_keys::{HedgedIvs, OpenError, SealError, UserSpace};
use ringwall_wire::ids::Incarnation;
use ringwall_wire::limits::{KEY_BYTES, VALUE_BYTES};
use ringwall_wire::request::{KeyName, Value};
use std::sync::{Mutex, PoisonError};

/// The keys of one namespace, and the ivs made under them.
#[derive(Debug)]
pub struct UserMode {
    space: UserSpace,
    ivs: Mutex<HedgedIvs>,
}

impl UserMode {
    /// Works under `space`, with ivs made from `rng`.
    pub fn new(space: UserSpace, rng: Box<dyn CryptoRng + Send>) -> Self {
        // A client is no incarnation: its ivs are told from a node's by their key.
        UserMode { space, ivs: Mutex::new(HedgedIvs::new(rng, Incarnation(0))) }
    }

    /// The name the cluster knows a key by.
    pub fn seal_name(&self, name: &[u8]) -> Result<KeyName, SealError> {
        let sealed = self.space.seal_name(name)?;
        KeyName::new(sealed).map_err(|_| SealError::NameTooLong { len: name.len(), max: KEY_BYTES })
    }

    /// The value the cluster stores under `name`, a sealed one.
    pub fn seal_value(&self, name: &KeyName, value: &[u8]) -> Result<Value, SealError> {
        let mut ivs = self.ivs.lock().unwrap_or_else(PoisonError::into_inner);
        let sealed = self.space.seal_value(name, value, &mut ivs)?;
        Value::new(sealed).map_err(|_| SealError::ValueTooLong { len: value.len(), max: VALUE_BYTES })
    }

    /// The name of a key the cluster named.
    pub fn open_name(&self, name: &KeyName) -> Result<Vec<u8>, OpenError> {
        self.space.open_name(name)
    }

    /// The value the cluster had under `name`.
    pub fn open_value(&self, name: &KeyName, value: &Value) -> Result<Vec<u8>, OpenError> {
        self.space.open_value(name, value)
    }
}

/// What a caller is told who cannot write that.
pub(super) fn write_error(fault: SealError) -> WriteError {
    match fault {
        SealError::NameTooLong { len, max } => WriteError::KeyTooLong { bytes: len, most: max },
        SealError::ValueTooLong { len, max } => WriteError::ValueTooLarge { bytes: len, most: max },
        SealError::UserKeyNeeded { .. } | SealError::UnknownKeyEpoch { .. } => {
            WriteError::Nonsense("keys that need nothing of the cluster asked for it".into())
        }
    }
}

/// What a caller is told who cannot ask for that.
pub(super) fn read_error(fault: SealError) -> ReadError {
    match fault {
        SealError::NameTooLong { len, max } => ReadError::KeyTooLong { bytes: len, most: max },
        SealError::ValueTooLong { .. } | SealError::UserKeyNeeded { .. } | SealError::UnknownKeyEpoch { .. } => {
            ReadError::Nonsense("a name was sealed as something else".into())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_keys::UserKey;
    use ringwall_wire::ids::{ClusterId, UserId};
    use ringwall_wire::secret::Secret;

    #[test]
    fn names_and_values_come_back_and_lies_do_not() {
        let key = UserKey::from_seed(Secret::new([1; 32]));
        let mode = UserMode::new(key.space(&ClusterId([2; 32]), &UserId([3; 20]), "notes"), Box::new(crate::chance::Dice(7)));
        let name = mode.seal_name(b"alpha").unwrap();
        let value = mode.seal_value(&name, b"one").unwrap();
        assert_eq!(mode.open_name(&name).unwrap(), b"alpha");
        assert_eq!(mode.open_value(&name, &value).unwrap(), b"one");
        let other = mode.seal_name(b"beta").unwrap();
        assert!(mode.open_value(&other, &value).is_err(), "the value of another key");
        assert!(mode.open_value(&name, &Value::new(b"one".to_vec()).unwrap()).is_err(), "a value nobody sealed");
        assert!(matches!(mode.seal_name(&[0; 300]).map_err(write_error), Err(WriteError::KeyTooLong { bytes: 300, .. })));
    }
}
