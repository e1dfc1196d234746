//! Operations in words: what each asks, one question after the other, and how its answer is told.
//!
//! Decides: which questions an operation takes (one page in user mode takes many), and the fields of its answer; what an operation needs no node for is answered at once.
//! Trusts: nothing. Out of scope: what may be asked and what an answer means (`ops`). docs/core.md, "Operations".

use super::frame::{CallFault, bare, fault};
use super::heads::{ExpectHead, HasVersion, ModeHead, Op, bytes, needed};
use crate::asked::{Ask, Failure};
use crate::error::{NamespaceError, ReadError, WriteError};
use crate::ops::{self, Changing, Entering, Owner, Pages, PutOptions, Space, Told, UserError, Want, Wanted, escrow, expect_version};
use crate::shown;
use rand_core::CryptoRng;
use ringwall_keys::{Phrase, UserKey};
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::GovernanceAsk;
use ringwall_wire::ids::{ClusterId, Revision, UserId};
use ringwall_wire::limits::{KEY_BYTES, SESSION_PARTS, VALUE_BYTES};
use ringwall_wire::request::{Answer, Expect, KeyMode, Unlock};
use ringwall_wire::user::{DeviceName, UserFault, UserShown};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Bytes of a phrase as text.
const PHRASE_BYTES: usize = 1_024;

/// For whom a client asks, and what it knows of the namespaces it entered.
pub(super) struct Asking {
    pub(super) cluster_id: ClusterId,
    pub(super) user: UserId,
    pub(super) user_key: Option<UserKey>,
    pub(super) spaces: BTreeMap<String, Space>,
}

/// An operation that was begun.
pub(super) enum Begun {
    /// It takes questions.
    Asked(Box<Pending>, Ask),
    /// It is over.
    Over(Outcome),
}

/// What somebody is told: fields and a payload, or an error's fields.
pub(super) type Outcome = Result<(Value, Zeroizing<Vec<u8>>), Value>;

/// What an operation wants next.
pub(super) enum Next {
    Ask(Ask),
    /// The user's part of a namespace's keys is to be kept, then this asked.
    Keep(Unlock, Ask),
    Over(Outcome),
}

/// An operation under way.
pub(super) enum Pending {
    Enter { name: String, mode: KeyMode, unlock: Option<Unlock>, space: Space },
    Write,
    Get { space: Space, wanted: Wanted },
    List { pages: Pages, values: bool },
    Status,
    Governance,
    User(Changing),
    Escrow(Box<Phrase>),
}

impl Asking {
    fn owner(&self) -> Owner<'_> {
        Owner { cluster_id: &self.cluster_id, user: &self.user, user_key: self.user_key.as_ref() }
    }

    /// The namespace of this name. One that was not entered is in cluster mode where there is no key of the user; where there is one, nobody knows whether that
    /// key seals what is there, and what is asked would go out unsealed.
    pub(super) fn space(&self, name: &str) -> Result<Space, NamespaceError> {
        if let Some(space) = self.spaces.get(name) {
            return Ok(space.clone());
        }
        let namespace = ops::namespace_name(name)?;
        match self.user_key {
            Some(_) => Err(NamespaceError::NotEntered { name: name.into() }),
            None => Ok(Space::new(namespace, None)),
        }
    }

    /// Begins an operation that needs a node.
    pub(super) fn begin(&self, op: Op, payload: &[u8], rng: impl FnOnce() -> Box<dyn CryptoRng + Send>) -> Result<Begun, CallFault> {
        if !matches!(op, Op::Put { .. } | Op::Escrow {} | Op::Recovery { .. }) {
            bare(payload)?;
        }
        Ok(match op {
            Op::Enter { namespace, mode, make } => self.enter(namespace, mode.into(), make, rng),
            Op::Put { namespace, key, key_hex, ttl_s, expect } => {
                let key = needed("key", key, key_hex)?;
                write(self.put(&namespace, &key, payload, PutOptions { ttl_s, expect: expect.into() }))
            }
            Op::Delete { namespace, key, key_hex, expect } => {
                let key = needed("key", key, key_hex)?;
                write(self.delete(&namespace, &key, expect.into()))
            }
            Op::Get { namespace, key, key_hex } => {
                let key = needed("key", key, key_hex)?;
                self.get(&namespace, &key)
            }
            Op::List { namespace, prefix, prefix_hex, after, after_hex, limit, values } => {
                let prefix = bytes("prefix", prefix, prefix_hex)?.unwrap_or_default();
                let after = bytes("after", after, after_hex)?;
                self.list(&namespace, prefix, after, (limit, values))
            }
            Op::Status {} => Begun::Asked(Box::new(Pending::Status), Ask::Read(ringwall_wire::request::Op::Status)),
            Op::Governance {} => Begun::Asked(Box::new(Pending::Governance), ops::governed(GovernanceAsk::View)),
            Op::User {} => user(Changing::look(u64::MAX)),
            Op::Enrol { name } => match DeviceName::new(name.as_str()) {
                Ok(name) => user(Changing::enrol(name)),
                Err(_) => return Err(CallFault::Head("a device's name has at most 64 bytes and no control characters".into())),
            },
            Op::Escrow {} => match phrase(payload) {
                Ok(phrase) => Begun::Asked(Box::new(Pending::Escrow(Box::new(phrase))), Changing::look(u64::MAX).1),
                Err(outcome) => Begun::Over(Err(outcome)),
            },
            Op::Recovery { cool_down_s } => match phrase(payload) {
                Ok(phrase) => user(Changing::set_recovery(self.owner(), &phrase, cool_down_s)),
                Err(outcome) => Begun::Over(Err(outcome)),
            },
            // Answered without a node, by whoever holds the memory.
            Op::Phrase {} | Op::Anchor {} | Op::Evidence {} => return Err(CallFault::Head("it needs no node".into())),
        })
    }

    fn enter(&self, name: String, mode: KeyMode, make: bool, rng: impl FnOnce() -> Box<dyn CryptoRng + Send>) -> Begun {
        match ops::enter(self.owner(), &name, mode, make, rng) {
            Ok(Entering { open, unlock, space }) => Begun::Asked(Box::new(Pending::Enter { name, mode, unlock, space }), Ask::Read(open)),
            Err(refused) => Begun::Over(Err(fault(refused.code(), &refused))),
        }
    }

    fn put(&self, namespace: &str, key: &[u8], value: &[u8], options: PutOptions) -> Result<Ask, Value> {
        if value.len() > VALUE_BYTES {
            return Err(of_write(&WriteError::ValueTooLarge { bytes: value.len(), most: VALUE_BYTES }));
        }
        let space = self.space(namespace).map_err(|refused| fault(refused.code(), &refused))?;
        let mutation = space.put(key, value.to_vec(), options).map_err(|refused| of_write(&refused))?;
        space.write(vec![mutation]).map_err(|refused| of_write(&refused))
    }

    fn delete(&self, namespace: &str, key: &[u8], expect: Expect) -> Result<Ask, Value> {
        let space = self.space(namespace).map_err(|refused| fault(refused.code(), &refused))?;
        let mutation = space.delete(key, expect).map_err(|refused| of_write(&refused))?;
        space.write(vec![mutation]).map_err(|refused| of_write(&refused))
    }

    fn get(&self, namespace: &str, key: &[u8]) -> Begun {
        let space = match self.space(namespace) {
            Ok(space) => space,
            Err(refused) => return Begun::Over(Err(fault(refused.code(), &refused))),
        };
        match space.wanted(key) {
            Ok(wanted) => {
                let ask = space.get(&wanted);
                Begun::Asked(Box::new(Pending::Get { space, wanted }), ask)
            }
            Err(refused) => Begun::Over(Err(of_read(&refused))),
        }
    }

    fn list(&self, namespace: &str, prefix: Vec<u8>, after: Option<Vec<u8>>, (limit, values): (u64, bool)) -> Begun {
        let space = match self.space(namespace) {
            Ok(space) => space,
            Err(refused) => return Begun::Over(Err(fault(refused.code(), &refused))),
        };
        let begun = || {
            if prefix.len() > KEY_BYTES {
                return Err(ReadError::KeyTooLong { bytes: prefix.len(), most: KEY_BYTES });
            }
            let mut pages = Pages::new(space, prefix).page_entries(usize::try_from(limit).unwrap_or(usize::MAX));
            if values {
                pages = pages.with_values();
            }
            if let Some(after) = after {
                pages = pages.after(&after)?;
            }
            let want = pages.want()?;
            Ok((pages, want))
        };
        match begun() {
            Ok((pages, Want::Ask(ask))) => Begun::Asked(Box::new(Pending::List { pages, values }), ask),
            Ok((pages, Want::Page(page))) => Begun::Over(Ok(page_told(&pages, page, values))),
            Ok((pages, Want::End)) => Begun::Over(Ok(page_told(&pages, Vec::new(), values))),
            Err(refused) => Begun::Over(Err(of_read(&refused))),
        }
    }
}

impl Pending {
    /// Takes what came of the question that was asked.
    pub(super) fn take(
        &mut self,
        asking: &mut Asking,
        outcome: Result<Answer, Failure>,
        rng: impl FnOnce() -> Box<dyn CryptoRng + Send>,
    ) -> Next {
        match self {
            Pending::Enter { name, mode, unlock, space } => match ops::entered(outcome) {
                Err(refused) => Next::Over(Err(fault(refused.code(), &refused))),
                Ok(()) => match unlock.take() {
                    Some(unlock) => {
                        let ask = Ask::Read(ringwall_wire::request::Op::Unlock(unlock.clone()));
                        Next::Keep(unlock, ask)
                    }
                    None => {
                        let told = json!({ "namespace": name.as_str(), "mode": mode_name(*mode) });
                        asking.spaces.insert(std::mem::take(name), space.clone());
                        Next::Over(Ok((told, Zeroizing::default())))
                    }
                },
            },
            Pending::Write => Next::Over(match ops::written(outcome) {
                Ok(Revision(version)) => Ok((json!({ "version": version }), Zeroizing::default())),
                Err(refused) => Err(of_write(&refused)),
            }),
            Pending::Get { space, wanted } => Next::Over(match space.found(wanted, outcome) {
                Ok(Some(found)) => Ok((json!({ "found": true, "version": found.version.0 }), Zeroizing::new(found.value))),
                Ok(None) => Ok((json!({ "found": false }), Zeroizing::default())),
                Err(refused) => Err(of_read(&refused)),
            }),
            Pending::List { pages, values } => match pages.take(outcome).and_then(|()| pages.want()) {
                Ok(Want::Ask(ask)) => Next::Ask(ask),
                Ok(Want::Page(page)) => Next::Over(Ok(page_told(pages, page, *values))),
                Ok(Want::End) => Next::Over(Ok(page_told(pages, Vec::new(), *values))),
                Err(refused) => Next::Over(Err(of_read(&refused))),
            },
            Pending::Status => Next::Over(match ops::status(outcome) {
                Ok(status) => Ok((shown::status(&status), Zeroizing::default())),
                Err(refused) => Err(of_read(&refused)),
            }),
            Pending::Governance => Next::Over(match ops::view(outcome) {
                Ok(view) => Ok((shown::governance(&view), Zeroizing::default())),
                Err(refused) => Err(fault(refused.code(), &refused)),
            }),
            Pending::User(changing) => match changing.take(outcome) {
                Ok(Told::Ask(ask)) => Next::Ask(ask),
                Ok(Told::Done(shown)) => Next::Over(Ok((record(asking, &shown), Zeroizing::default()))),
                Err(refused) => Next::Over(Err(fault(refused.code(), &refused))),
            },
            Pending::Escrow(phrase) => Next::Over(match ops::told(outcome) {
                Ok(shown) if shown.seq == 0 => Err(of_user(UserFault::NoRecord)),
                Ok(shown) => {
                    let whose = (asking.cluster_id, asking.user);
                    let made = escrow::make(phrase, whose, shown.seq, asking.user_key.as_ref(), rng());
                    Ok((json!({ "key": made.key.to_string() }), Zeroizing::new(made.encode())))
                }
                Err(refused) => Err(fault(refused.code(), &refused)),
            }),
        }
    }

    /// What is told where there is no room for the user's part of another namespace.
    pub(super) fn no_room() -> Value {
        let refused = NamespaceError::TooManyUnlocked { most: SESSION_PARTS };
        fault(refused.code(), &refused)
    }
}

fn user((changing, ask): (Changing, Ask)) -> Begun {
    Begun::Asked(Box::new(Pending::User(changing)), ask)
}

fn write(ask: Result<Ask, Value>) -> Begun {
    match ask {
        Ok(ask) => Begun::Asked(Box::new(Pending::Write), ask),
        Err(refused) => Begun::Over(Err(refused)),
    }
}

fn record(asking: &Asking, shown: &UserShown) -> Value {
    shown::record(&asking.user, shown)
}

/// Reads a phrase; what is wrong with one repeats none of its words.
fn phrase(payload: &[u8]) -> Result<Phrase, Value> {
    let text = std::str::from_utf8(payload).ok().filter(|text| text.len() <= PHRASE_BYTES);
    let text = text.ok_or_else(|| fault("RW-C-PHRASE", &"the phrase is 24 words of plain text; copy all of them"))?;
    Phrase::parse(text).map_err(|wrong| fault("RW-C-PHRASE", &wrong))
}

/// A page, with its values one after the other.
fn page_told(pages: &Pages, page: Vec<ops::Item>, values: bool) -> (Value, Zeroizing<Vec<u8>>) {
    // As long as it will be: what grows leaves copies behind.
    let bytes = page.iter().map(|item| item.value.len()).sum();
    let mut payload = Zeroizing::new(Vec::with_capacity(bytes));
    let entries = page.into_iter().map(|item| {
        let mut entry = Map::new();
        shown::put_bytes(&mut entry, "key", &item.key);
        entry.insert("version".into(), item.version.0.into());
        if values {
            entry.insert("bytes".into(), item.value.len().into());
            payload.extend_from_slice(&item.value);
        }
        Value::Object(entry)
    });
    let entries = entries.collect::<Vec<_>>();
    (json!({ "entries": entries, "more": pages.more(), "revision": pages.revision().0 }), payload)
}

/// Why something was not read.
fn of_read(refused: &ReadError) -> Value {
    fault(refused.code(), refused)
}

/// Why a write was not confirmed; with a conflict the version the key has.
fn of_write(refused: &WriteError) -> Value {
    let mut told = fault(refused.code(), refused);
    if let (WriteError::Conflict { current, .. }, Value::Object(fields)) = (refused, &mut told) {
        fields.insert("current".into(), current.0.into());
    }
    told
}

fn of_user(why: UserFault) -> Value {
    let refused = UserError::Fault(why);
    fault(refused.code(), &refused)
}

impl From<ModeHead> for KeyMode {
    fn from(mode: ModeHead) -> KeyMode {
        match mode {
            ModeHead::Cluster => KeyMode::Cluster,
            ModeHead::Dual => KeyMode::Dual,
            ModeHead::User => KeyMode::User,
        }
    }
}

fn mode_name(mode: KeyMode) -> &'static str {
    match mode {
        KeyMode::Cluster => "cluster",
        KeyMode::Dual => "dual",
        KeyMode::User => "user",
    }
}

impl From<ExpectHead> for Expect {
    fn from(expect: ExpectHead) -> Expect {
        match expect {
            ExpectHead::Any => Expect::Any,
            ExpectHead::Absent => Expect::Absent,
            ExpectHead::Present => Expect::Present,
            ExpectHead::Has(HasVersion { version }) => expect_version(Revision(version)),
        }
    }
}
