//! The key broker protocol of Confidential Containers over HTTPS: an unmodified guest gets workload keys as resources.
//!
//! | file | what it decides |
//! |---|---|
//! | [`settings`] | whether and where it is offered |
//! | `identity.rs` | the certificate it is offered under: one for the cluster, its key in memory only |
//! | `http.rs`, `protocol.rs`, `evidence.rs`, `jwe.rs` | which bytes are a request; the JSON of the protocol, of evidence, and of what guests are sent |
//! | `sessions.rs` | what a cookie or a token stands for |
//! | `serve.rs` | which request is answered how |
//!
//! It is one more way to ask: evidence is verified and appraised by the same functions, under the same grant policies, with the same audit chain
//! (`front/grants.rs`). Resource `repository/type/tag` is the workload key of that name.
//! Trusts: nothing a client sends; TLS is for the client, who learns by it that this is the cluster. A key is sealed to the key pair the guest's
//! hardware vouched for, so TLS is not what keeps it secret. Out of scope: registering resources and policies over HTTP (governors sign orders).
//! Source: confidential-containers/trustee, `kbs/docs/kbs_attestation_protocol.md`, protocol 0.4. Decision 0032; protocol section 10.

mod evidence;
pub mod http;
mod identity;
mod jwe;
mod protocol;
mod serve;
mod sessions;
pub mod settings;

pub(crate) use identity::Identity;
pub(crate) use serve::run;
