//! The outer pipe: one UDP endpoint that speaks QUIC, and bounded frames on its streams.
//!
//! This crate decides how bytes travel, never who is at the other end. TLS 1.3 inside QUIC is transport alone: the certificate is
//! thrown away and its names are ignored, so *everything* a session is worth comes from the Noise handshake and the evidence inside
//! it. What TLS does give is [`transport_binding`]: a value both ends of one QUIC connection share and nobody in the middle can,
//! which goes into the Noise prologue.
//!
//! - [`Alpn`], [`server_config`], [`dial_config`], [`bind`], [`dial`]: the endpoint.
//! - [`FrameReader`], [`FrameWriter`]: `u32 length || bytes` with a limit and a time for each frame.
//! - [`limits`]: how much a stranger can make an endpoint hold.
//!
//! Trusts: nothing it receives. Out of scope: sessions (`channel`), messages (`wire`). Protocol section 3, SB6.

mod endpoint;
mod frame;
pub mod limits;
mod tls;

pub use endpoint::{
    Alpn, BindError, CloseCode, DialError, PipeError, admit, alpn, bind, close, dial, dial_config, server_config, transport_binding,
};
pub use frame::{FrameError, FrameReader, FrameWriter};
