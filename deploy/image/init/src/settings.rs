//! What the host may choose: the node's task and its network, from `boot.conf` on the data disk.
//!
//! Decides: which words are accepted; nothing here reaches the kernel's command line, another program, or a file outside the data disk.
//! Trusts: nothing: the file is the host's. What is security-relevant (slot, cluster) is in `ringwalld.toml`, and its hash is in the evidence.
//! Out of scope: that configuration (ringwalld reads it).

use crate::fault::Fault;
use std::net::Ipv4Addr;

/// Bytes of `boot.conf` that are read; more is refused.
pub(crate) const SETTINGS_BYTES: u64 = 4096;
/// Longest name of a file on the data disk, bytes.
const NAME_BYTES: usize = 64;
const FIX: &str = "write boot.conf on the data disk as deploy/image/README.md says";

/// Tasks of a node: the words of `ringwalld` for them.
const TASKS: [(&str, &[&str]); 5] = [
    ("found", &["found"]),
    ("run", &["run"]),
    ("recover-start", &["recover", "start"]),
    ("recover-assist", &["recover", "assist"]),
    ("recover-status", &["recover", "status"]),
];

/// The settings of one start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Words for `ringwalld`, before `--config`.
    pub(crate) task: &'static [&'static str],
    /// Address of the machine and length of its network's prefix.
    pub(crate) address: (Ipv4Addr, u8),
    /// Where packets to other networks go; none: nowhere.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Name server; none: names are not resolved.
    pub(crate) dns: Option<Ipv4Addr>,
    /// Order of the governors, a file on the data disk (`ringwalld run --replace-order`).
    pub(crate) replace_order: Option<String>,
}

impl Settings {
    /// Reads `key = value` lines; every key at most once, none unknown.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let refuse = |line: usize, cause: String| Fault { step: format!("line {} of boot.conf", line + 1), cause, fix: FIX };
        let (mut task, mut address, mut gateway, mut dns, mut replace_order) = (None, None, None, None, None);
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or_else(|| refuse(number, "not `key = value`".into()))?;
            let (key, value) = (key.trim(), value.trim());
            let unusable = || refuse(number, format!("{value:?} is no value of {key}"));
            let twice = match key {
                "task" => {
                    let words = TASKS.iter().find(|(name, _)| *name == value).ok_or_else(unusable)?.1;
                    task.replace(words).is_some()
                }
                "address" => address.replace(network(value).ok_or_else(unusable)?).is_some(),
                "gateway" => gateway.replace(value.parse().map_err(|_| unusable())?).is_some(),
                "dns" => dns.replace(value.parse().map_err(|_| unusable())?).is_some(),
                "replace_order" => replace_order.replace(file(value).ok_or_else(unusable)?).is_some(),
                _ => return Err(refuse(number, format!("{key:?} is no setting"))),
            };
            if twice {
                return Err(refuse(number, format!("{key} is set twice")));
            }
        }
        let missing = |key: &str| Fault { step: "boot.conf".into(), cause: format!("{key} is missing"), fix: FIX };
        Ok(Settings {
            task: task.ok_or_else(|| missing("task"))?,
            address: address.ok_or_else(|| missing("address"))?,
            gateway,
            dns,
            replace_order,
        })
    }
}

/// `a.b.c.d/length`.
fn network(value: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, length) = value.split_once('/')?;
    let length = length.parse().ok().filter(|length| (1..=32).contains(length))?;
    Some((address.parse().ok()?, length))
}

/// One word that names a file in the data folder itself.
fn file(value: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (!value.is_empty() && value.len() <= NAME_BYTES && !value.starts_with(['.', '-']) && value.bytes().all(plain)).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_settings_are_read() {
        let text =
            "# a node\ntask = recover-start\naddress = 10.0.2.15/24\ngateway=10.0.2.2\n\n dns = 10.0.2.3 \nreplace_order = order.1\n";
        let settings = Settings::parse(text).unwrap();
        assert_eq!(settings.task, ["recover", "start"]);
        assert_eq!(settings.address, (Ipv4Addr::new(10, 0, 2, 15), 24));
        assert_eq!((settings.gateway, settings.dns), (Some(Ipv4Addr::new(10, 0, 2, 2)), Some(Ipv4Addr::new(10, 0, 2, 3))));
        assert_eq!(settings.replace_order.as_deref(), Some("order.1"));
    }

    #[test]
    fn what_is_no_setting_is_refused_with_its_line() {
        let good = "task = run\naddress = 10.0.2.15/24\n";
        assert!(Settings::parse(good).is_ok());
        for (more, wanted) in [
            ("shell = yes\n", "\"shell\" is no setting"),
            ("task = run\n", "task is set twice"),
            ("gateway = host\n", "\"host\" is no value of gateway"),
            ("replace_order = ../etc/passwd\n", "is no value of replace_order"),
            ("replace_order = --config\n", "is no value of replace_order"),
            ("words\n", "not `key = value`"),
        ] {
            let fault = Settings::parse(&format!("{good}{more}")).unwrap_err().to_string();
            assert!(fault.starts_with("line 3 of boot.conf") && fault.contains(wanted), "{fault}");
        }
        for text in
            ["task = sh\naddress = 10.0.2.15/24", "task = run\naddress = 10.0.2.15", "task = run\naddress = 10.0.2.15/33", "task = run"]
        {
            assert!(Settings::parse(text).is_err(), "{text}");
        }
    }
}
