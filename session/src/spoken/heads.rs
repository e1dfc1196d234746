//! Heads of calls, as they are written down: every field, and nothing else.
//!
//! Decides: which fields there are and of which type; a field that is not named here is refused. Secrets become secrets where they are read.
//! Trusts: nothing. Out of scope: what they do (`client.rs`). docs/core.md, "Calls", "Events" and "Operations".

use super::frame::CallFault;
use crate::wired::Over;
use ringwall_wire::secret::Secret;
use ringwall_wire::text::{read_hex, read_hex_vec};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroize as _;

/// So many bytes in lower-case hex; their place is wiped.
#[derive(Debug)]
pub(super) struct Hex<const N: usize>(pub(super) Secret<N>);

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits<const N: usize>;
        impl<const N: usize> Visitor<'_> for Digits<N> {
            type Value = Hex<N>;
            fn expecting(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(out, "{} lower-case hex digits", N.saturating_mul(2))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hex<N>, E> {
                let mut bytes = read_hex::<N>(text).ok_or_else(|| E::invalid_length(text.len(), &self))?;
                Ok(Hex(Secret::from_mut(&mut bytes)))
            }
            fn visit_string<E: serde::de::Error>(self, mut text: String) -> Result<Hex<N>, E> {
                let read = self.visit_str(&text);
                text.zeroize();
                read
            }
        }
        deserializer.deserialize_str(Digits)
    }
}

impl<const N: usize> Hex<N> {
    /// The bytes, where they are no secret.
    pub(super) fn open(&self) -> [u8; N] {
        *self.0.expose()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CardHead {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyHead {
    pub(super) now_s: u64,
    pub(super) card_bytes: u64,
    pub(super) at_s: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenHead {
    pub(super) now_ms: u64,
    pub(super) now_s: u64,
    pub(super) fresh: Hex<32>,
    pub(super) card_bytes: u64,
    pub(super) device: DeviceHead,
    pub(super) over: Vec<OverHead>,
    pub(super) user: Option<Hex<20>>,
    pub(super) user_key: Option<Hex<32>>,
    #[serde(default)]
    pub(super) min_policy_version: u64,
    #[serde(default)]
    pub(super) timeouts: TimeoutsHead,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceHead {
    pub(super) seed: Option<Hex<32>>,
    pub(super) public: Option<Hex<32>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OverHead {
    Native,
    WebTransport,
    WebSocket,
}

impl From<OverHead> for Over {
    fn from(over: OverHead) -> Over {
        match over {
            OverHead::Native => Over::Native,
            OverHead::WebTransport => Over::WebTransport,
            OverHead::WebSocket => Over::WebSocket,
        }
    }
}

/// The name of a way.
pub(super) fn over_name(over: Over) -> &'static str {
    match over {
        Over::Native => "native",
        Over::WebTransport => "webtransport",
        Over::WebSocket => "websocket",
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeoutsHead {
    pub(super) dial_ms: Option<u64>,
    pub(super) answer_ms: Option<u64>,
    pub(super) deadline_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HandleHead {
    pub(super) client: u64,
    pub(super) now_ms: u64,
    pub(super) now_s: u64,
    pub(super) fresh: Hex<32>,
    pub(super) event: Event,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Event {
    Reached { dial: u64, over: OverHead, certificate: Option<Hex<32>>, binding: Option<Hex<32>> },
    Unreached { dial: u64, why: String },
    Arrived { dial: u64 },
    Written { dial: u64, waiting: u64 },
    Lost { dial: u64, why: String },
    Signed { dial: u64 },
    Unsigned { dial: u64, why: String },
    Unkept { why: String },
    Tick {},
    Ask { ticket: u64, op: Op },
    Watch { ticket: u64, namespace: String, prefix: Option<String>, prefix_hex: Option<String>, after: u64 },
    ReadOn { ticket: u64 },
    Forget { ticket: u64 },
    Close {},
}

#[derive(Debug, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Op {
    Enter {
        namespace: String,
        mode: ModeHead,
        #[serde(default = "yes")]
        make: bool,
    },
    Put {
        namespace: String,
        key: Option<String>,
        key_hex: Option<String>,
        #[serde(default)]
        ttl_s: u32,
        #[serde(default)]
        expect: ExpectHead,
    },
    Delete {
        namespace: String,
        key: Option<String>,
        key_hex: Option<String>,
        #[serde(default)]
        expect: ExpectHead,
    },
    Get {
        namespace: String,
        key: Option<String>,
        key_hex: Option<String>,
    },
    List {
        namespace: String,
        prefix: Option<String>,
        prefix_hex: Option<String>,
        after: Option<String>,
        after_hex: Option<String>,
        #[serde(default = "hundred")]
        limit: u64,
        #[serde(default)]
        values: bool,
    },
    Status {},
    Governance {},
    User {},
    Enrol {
        name: String,
    },
    Phrase {},
    Escrow {},
    Recovery {
        #[serde(default = "a_day")]
        cool_down_s: u32,
    },
    Anchor {},
    Evidence {},
}

fn yes() -> bool {
    true
}

fn hundred() -> u64 {
    100
}

fn a_day() -> u32 {
    ringwall_wire::limits::COOL_DOWN_S
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModeHead {
    Cluster,
    Dual,
    User,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ExpectHead {
    #[default]
    Any,
    Absent,
    Present,
    #[serde(untagged)]
    Has(HasVersion),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HasVersion {
    pub(super) version: u64,
}

/// Bytes that are written as text or as hex; none where neither is there.
pub(super) fn bytes(name: &'static str, text: Option<String>, digits: Option<String>) -> Result<Option<Vec<u8>>, CallFault> {
    match (text, digits) {
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(digits)) => {
            let bytes = read_hex_vec(&digits).ok_or_else(|| CallFault::Head(format!("{name}_hex is not lower-case hex")))?;
            Ok(Some(bytes))
        }
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(CallFault::Head(format!("both {name} and {name}_hex are there"))),
    }
}

/// The same where one has to be there.
pub(super) fn needed(name: &'static str, text: Option<String>, digits: Option<String>) -> Result<Vec<u8>, CallFault> {
    bytes(name, text, digits)?.ok_or_else(|| CallFault::Head(format!("missing field `{name}` or `{name}_hex`")))
}
