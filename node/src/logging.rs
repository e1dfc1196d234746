//! Structured logs: text for people, JSON for machines, on standard error.
//!
//! Decides: form and level. What is logged is decided where it is logged, and is node ids, slots, addresses, indexes and refusal codes:
//! never a byte a user sent, never a key. Trusts: nothing. Out of scope: where logs go afterwards. Protocol section 1.2, S2.

use crate::config::{LogConfig, LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;

/// Starts logging for this process; a second call changes nothing.
pub fn start(config: &LogConfig) {
    // openraft warns once a heartbeat about a member that is down, which `peers` says once.
    let raft = if config.level == LogLevel::Debug { "warn" } else { "error" };
    let filter = EnvFilter::new(format!("warn,openraft={raft},ringwall_node={level},ringwall_consensus={level}", level = config.level));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error says that logging runs already, which tests in one process cause.
    let _ = match config.format {
        LogFormat::Text => logs.with_target(false).with_ansi(false).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
}
