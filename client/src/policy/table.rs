//! Strict reading of TOML tables: every key known, every key there, every value of its kind and range.
//!
//! Decides: how text becomes numbers, names, bytes, bits and bounded lists, and what a mistake is told; positions come from the parser's
//! spans. Trusts: the `toml` parser for syntax, spans and its limit on nesting; the caller bounded the text.
//! Out of scope: which fields a policy has (`read.rs`).

use super::fault::{Place, PolicyFault, quoted};
use super::names::{Bits, Named};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::text::read_hex;
use std::cell::RefCell;
use std::collections::HashMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text, and where each key stands in it.
#[derive(Debug)]
pub(super) struct Source<'s> {
    text: &'s str,
    places: RefCell<HashMap<String, usize>>,
}

impl<'s> Source<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        Source { text, places: RefCell::default() }
    }

    /// The whole document.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'s>>, PolicyFault> {
        DeTable::parse(self.text).map_err(|fault| PolicyFault::Syntax {
            place: Place { key: String::new(), position: fault.span().map(|span| self.position(span.start)) },
            cause: fault.message().replace('\n', " "),
        })
    }

    /// Where a key that was read stands.
    pub(super) fn place(&self, key: &str) -> Place {
        let at = self.places.borrow().get(key).copied();
        Place { key: key.to_owned(), position: at.map(|at| self.position(at)) }
    }

    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count()).saturating_add(1);
        (line, column)
    }
}

/// One value with its path.
#[derive(Debug)]
pub(super) struct Node<'a, 's> {
    source: &'a Source<'s>,
    key: String,
    value: &'a DeValue<'s>,
}

/// A table whose keys are exactly the wanted ones.
#[derive(Debug)]
pub(super) struct Table<'a, 's> {
    source: &'a Source<'s>,
    key: String,
    entries: &'a DeTable<'s>,
}

impl<'a, 's> Table<'a, 's> {
    /// The table at `key`, which must have exactly the keys `wanted`.
    pub(super) fn open(
        source: &'a Source<'s>,
        key: String,
        entries: &'a DeTable<'s>,
        wanted: &'static [&'static str],
    ) -> Result<Self, PolicyFault> {
        let table = Table { source, key, entries };
        for (name, _) in entries {
            if !wanted.contains(&&**name.get_ref()) {
                let place = Place { key: table.path(&shown(name.get_ref())), position: Some(source.position(name.span().start)) };
                return Err(PolicyFault::UnknownKey { place, allowed: wanted });
            }
        }
        match wanted.iter().find(|name| !entries.contains_key(**name)) {
            None => Ok(table),
            Some(&missing) => Err(PolicyFault::Missing { place: source.place(&table.key), missing }),
        }
    }

    fn path(&self, name: &str) -> String {
        match self.key.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.key),
        }
    }

    /// The value of a key.
    pub(super) fn node(&self, name: &'static str) -> Result<Node<'a, 's>, PolicyFault> {
        let found = self.entries.get(name);
        let value = found.ok_or_else(|| PolicyFault::Missing { place: self.source.place(&self.key), missing: name })?;
        Ok(Node::new(self.source, self.path(name), value))
    }

    /// A table in this one.
    pub(super) fn table(&self, name: &'static str, wanted: &'static [&'static str]) -> Result<Table<'a, 's>, PolicyFault> {
        self.node(name)?.table(wanted)
    }

    /// A table in this one whose keys depend on one of its values.
    pub(super) fn table_by(
        &self,
        name: &'static str,
        first: &'static str,
        wanted: impl FnOnce(bool) -> &'static [&'static str],
    ) -> Result<Table<'a, 's>, PolicyFault> {
        let node = self.node(name)?;
        let entries = node.entries()?;
        let missing = || PolicyFault::Missing { place: self.source.place(&node.key), missing: first };
        let chosen = entries.get(first).ok_or_else(missing)?;
        let flag = Node::new(self.source, format!("{}.{first}", node.key), chosen).flag()?;
        node.table(wanted(flag))
    }

    /// A whole number.
    pub(super) fn number<T: TryFrom<u64>>(&self, name: &'static str) -> Result<T, PolicyFault> {
        self.node(name)?.number()
    }

    /// Yes or no.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, PolicyFault> {
        self.node(name)?.flag()
    }

    /// A name of a closed choice.
    pub(super) fn named<T: Named>(&self, name: &'static str) -> Result<T, PolicyFault> {
        self.node(name)?.named()
    }

    /// Bytes in hex.
    pub(super) fn hex<const N: usize>(&self, name: &'static str) -> Result<[u8; N], PolicyFault> {
        self.node(name)?.hex()
    }

    /// A short text.
    pub(super) fn text<const MAX: usize>(&self, name: &'static str) -> Result<Text<MAX>, PolicyFault> {
        self.node(name)?.text()
    }

    /// A list.
    pub(super) fn list<T, const MAX: usize>(
        &self,
        name: &'static str,
        each: impl Fn(&Node<'a, 's>) -> Result<T, PolicyFault>,
    ) -> Result<List<T, MAX>, PolicyFault> {
        let node = self.node(name)?;
        let DeValue::Array(items) = node.value else { return Err(node.wrong_type("an array")) };
        if items.len() > MAX {
            return Err(PolicyFault::TooMany { place: node.place(), found: items.len(), most: MAX });
        }
        let mut list = List::default();
        for (at, item) in items.iter().enumerate() {
            let element = Node::new(self.source, format!("{}[{at}]", node.key), item);
            list.push(each(&element)?).expect("the elements were counted");
        }
        Ok(list)
    }

    /// A set of bits, as names.
    pub(super) fn bits(&self, name: &'static str, known: &Bits) -> Result<u64, PolicyFault> {
        let positions: List<u32, 64> = self.list(name, |node| {
            let text = node.string("the name of a bit")?;
            let unknown = || PolicyFault::UnknownName { place: node.place(), found: quoted(text), allowed: known.allowed() };
            known.of(text).ok_or_else(unknown)
        })?;
        let path = self.path(name);
        for (later, at) in positions.iter().enumerate() {
            if let Some(first) = positions.iter().position(|other| other == at).filter(|first| *first < later) {
                let place = self.source.place(&format!("{path}[{later}]"));
                return Err(PolicyFault::Repeated { place, found: quoted(&known.name(*at)), first: format!("{path}[{first}]") });
            }
        }
        Ok(positions.iter().fold(0, |bits, at| bits | 1u64 << at))
    }
}

/// A key as it may be shown.
fn shown(key: &str) -> String {
    let cut: String = key.chars().take(40).collect();
    cut.escape_debug().to_string()
}

/// Largest value of an unsigned type of this size.
fn most<T>() -> u64 {
    u64::MAX >> (64_usize.saturating_sub(8 * size_of::<T>()))
}

impl<'a, 's> Node<'a, 's> {
    fn new(source: &'a Source<'s>, key: String, value: &'a Spanned<DeValue<'s>>) -> Self {
        source.places.borrow_mut().insert(key.clone(), value.span().start);
        Node { source, key, value: value.get_ref() }
    }

    fn place(&self) -> Place {
        self.source.place(&self.key)
    }

    fn wrong_type(&self, wanted: &'static str) -> PolicyFault {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        PolicyFault::WrongType { place: self.place(), found, wanted }
    }

    fn entries(&self) -> Result<&'a DeTable<'s>, PolicyFault> {
        match self.value {
            DeValue::Table(entries) => Ok(entries),
            _ => Err(self.wrong_type("a table")),
        }
    }

    /// This value as a table with exactly these keys.
    pub(super) fn table(&self, wanted: &'static [&'static str]) -> Result<Table<'a, 's>, PolicyFault> {
        Table::open(self.source, self.key.clone(), self.entries()?, wanted)
    }

    /// This value as a whole number of the type's range.
    pub(super) fn number<T: TryFrom<u64>>(&self) -> Result<T, PolicyFault> {
        let DeValue::Integer(number) = self.value else { return Err(self.wrong_type("a whole number")) };
        let value = u64::from_str_radix(number.as_str(), number.radix()).ok();
        let fault = || PolicyFault::OutOfRange { place: self.place(), found: shown(&number.to_string()), most: most::<T>() };
        value.and_then(|value| T::try_from(value).ok()).ok_or_else(fault)
    }

    fn flag(&self) -> Result<bool, PolicyFault> {
        match self.value {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    fn string(&self, wanted: &'static str) -> Result<&'a str, PolicyFault> {
        match self.value {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong_type(wanted)),
        }
    }

    /// This value as a name.
    pub(super) fn named<T: Named>(&self) -> Result<T, PolicyFault> {
        let text = self.string("a name in quotes")?;
        T::of(text).ok_or_else(|| PolicyFault::UnknownName { place: self.place(), found: quoted(text), allowed: T::all() })
    }

    /// This value as exactly `N` bytes of hex.
    pub(super) fn hex<const N: usize>(&self) -> Result<[u8; N], PolicyFault> {
        let text = self.string("hex digits in quotes")?;
        let fault = || PolicyFault::BadHex {
            place: self.place(),
            found: format!("{} ({} characters)", quoted(text), text.chars().count()),
            digits: N.saturating_mul(2),
        };
        read_hex(text).ok_or_else(fault)
    }

    /// This value as a short text.
    pub(super) fn text<const MAX: usize>(&self) -> Result<Text<MAX>, PolicyFault> {
        let text = self.string("text in quotes")?;
        let found = || format!("{} ({} bytes)", quoted(text), text.len());
        Text::new(text).map_err(|_| PolicyFault::BadText { place: self.place(), found: found(), most: MAX })
    }
}
