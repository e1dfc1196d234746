//! The outer pipe: one UDP endpoint that speaks QUIC, and bounded frames on its streams.
//!
//! This crate decides how bytes travel, never who is at the other end. TLS 1.3 inside QUIC is transport alone: the certificate names
//! nobody, so *everything* a session is worth comes from the Noise handshake and the evidence inside it. Native diallers are shown one
//! that is thrown away; pages, which browsers let in by the hash of a certificate, one that the node chooses. What TLS does give is [`transport_binding`]: a value both ends of one QUIC connection share and nobody in the middle can,
//! which goes into the Noise prologue.
//!
//! - [`Alpn`], [`server_config`], [`dial_config`], [`bind`], [`dial`]: the endpoint.
//! - [`PageCertificate`], [`server_config_with_pages`], [`narrow`]: what changes where browsers are let in too.
//! - [`FrameReader`], [`FrameWriter`]: `u32 length || bytes` with a limit and a time for each frame, over a [`Source`] and a [`Sink`].
//! - [`limits`]: how much a stranger can make an endpoint hold.
//!
//! Trusts: nothing it receives. Out of scope: sessions (`channel`), messages (`wire`). Protocol section 3, SB6.

mod endpoint;
mod frame;
pub mod limits;
mod stream;
mod tls;

pub use endpoint::{
    Alpn, BindError, CloseCode, DialError, PipeError, admit, alpn, bind, close, dial, dial_config, narrow, server_config,
    server_config_with_pages, transport_binding,
};
pub use frame::{FrameError, FrameReader, FrameWriter};
pub use stream::{Sink, Source, of_write};
pub use tls::PageCertificate;
