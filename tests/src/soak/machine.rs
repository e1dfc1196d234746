//! Whether this machine could lose and delay packets by itself: network namespaces, and `tc` with netem in one.
//!
//! Decides: nothing; it tries, and says what came of it. The suites use the relay of `tap.rs` everywhere, so that they depend on nothing installed by
//! hand. Trusts: the exit codes of `unshare` and `tc`. Out of scope: installing anything. Nothing outside the namespace it makes is changed.

use serde::Serialize;
use std::process::Command;

/// What this machine allows.
#[derive(Clone, Debug, Serialize)]
pub struct Allowed {
    /// A network namespace.
    pub namespaces: String,
    /// Loss and delay inside one.
    pub netem: String,
}

/// Tries both.
pub fn try_out() -> Allowed {
    let netem = ["--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"];
    Allowed { namespaces: tried(&["--net", "true"]), netem: tried(&netem) }
}

fn tried(arguments: &[&str]) -> String {
    match Command::new("unshare").args(arguments).output() {
        Ok(output) if output.status.success() => "yes".to_owned(),
        Ok(output) => format!("no: {}", String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => format!("no: unshare: {error}"),
    }
}
