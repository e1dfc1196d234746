//! The words for logs in the configuration: their form and how much they say.
//!
//! Decides: which words there are. Trusts: nothing. Out of scope: writing logs (`cli`). Protocol section 2.1.

use serde::Deserialize;

/// Form and level of logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Form.
    pub format: LogFormat,
    /// Level.
    pub level: LogLevel,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What stops the node.
    Error,
    /// What an operator should look at.
    Warn,
    /// Steps of the node's life.
    #[default]
    Info,
    /// Sessions and attempts.
    Debug,
}

impl core::fmt::Display for LogLevel {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        })
    }
}
