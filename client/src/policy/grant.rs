//! Grant policies of workload keys, as people write them.
//!
//! Decides: the same strictness as for the cluster's policy and the same names: its rules for AMD and Intel are read by the same code. A file is
//! TOML, or a signed order ([`GrantFile`]). The template's rules are those of the policy's template, so that nobody has to know two.
//! Trusts: nothing; size is bounded first, repeated entries are refused last. Out of scope: whether it is wise. Protocol section 10.

use super::fault::PolicyFault;
use super::read::{POLICY_FILE_BYTES, SNP, TDX, measurement, register, snp, tdx};
use super::repeated::{repeated, within};
use super::table::{Source, Table};
use super::template::rules_of_machines;
use super::write::Page;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, PolicyVersion};
use ringwall_wire::limits::POLICY_BYTES;
use ringwall_wire::policy::{EndorseRule, Governance, PlatformUnseal, PolicyDoc, ReleaseRule, SessionRules};
use ringwall_wire::workload::{ConfigList, ConfigRule, GrantOrder, GrantPolicy, is_name};
use std::io::Read as _;
use std::path::Path;

const DOCUMENT: &[&str] = &["name", "version", "trust_domain", "min_svn", "grants_per_minute", "measurements", "config", "snp", "tdx"];

/// Head of the template; the rules about machines follow.
const HEAD: &str = include_str!("grant_template.toml");

/// The template of a grant policy.
pub fn grant_template(simulated: bool) -> String {
    let head = match simulated {
        true => HEAD.replacen("trust_domain = \"production\"", "trust_domain = \"simulated\"", 1),
        false => HEAD.to_owned(),
    };
    format!("{head}{}", rules_of_machines())
}

/// Reads a grant policy in TOML.
pub fn grant_from_toml(text: &str) -> Result<GrantPolicy, PolicyFault> {
    if text.len() > POLICY_FILE_BYTES {
        return Err(PolicyFault::TooLarge { most: POLICY_FILE_BYTES });
    }
    let source = Source::new(text);
    let parsed = source.parse()?;
    let policy = document(&Table::open(&source, String::new(), parsed.get_ref(), DOCUMENT)?)?;
    if !is_name(&policy.name) {
        return Err(PolicyFault::BadName { place: source.place("name") });
    }
    let configs = |list: &ConfigList| {
        within("config.host_data", &list.host_data, ToString::to_string)
            .or_else(|| within("config.mr_config_id", &list.mr_config_id, ToString::to_string))
    };
    let again = repeated(&as_policy(&policy)).or_else(|| match &policy.config {
        ConfigRule::Any => None,
        ConfigRule::Listed(list) => configs(list),
    });
    if let Some(again) = again {
        return Err(PolicyFault::Repeated { place: source.place(&again.key), found: again.found, first: again.first });
    }
    match policy.encode().len() {
        bytes if bytes <= POLICY_BYTES => Ok(policy),
        bytes => Err(PolicyFault::DocumentTooLarge { bytes, most: POLICY_BYTES }),
    }
}

/// The keys of the rule about configurations, which has more of them when one is demanded.
fn config_keys(listed: bool) -> &'static [&'static str] {
    match listed {
        false => &["listed"],
        true => &["listed", "host_data", "mr_config_id"],
    }
}

fn document(root: &Table<'_, '_>) -> Result<GrantPolicy, PolicyFault> {
    let config = root.table_by("config", "listed", config_keys)?;
    Ok(GrantPolicy {
        name: root.text("name")?,
        version: root.number("version")?,
        trust_domain: root.named("trust_domain")?,
        measurements: root.list("measurements", measurement)?,
        min_svn: root.number("min_svn")?,
        snp: snp(&root.table("snp", SNP)?)?,
        tdx: tdx(&root.table("tdx", TDX)?)?,
        config: match config.flag("listed")? {
            false => ConfigRule::Any,
            true => ConfigRule::Listed(ConfigList {
                host_data: config.list("host_data", |node| node.hex().map(Digest))?,
                mr_config_id: config.list("mr_config_id", register)?,
            }),
        },
        grants_per_minute: root.number("grants_per_minute")?,
    })
}

/// A grant policy as TOML. [`grant_from_toml`] gives the same one, as long as it repeats no entry.
pub fn grant_to_toml(policy: &GrantPolicy) -> String {
    let mut page = Page::new("# Ringwall grant policy. `ringwall workload-key new` explains every field.\n\n");
    page.opening(policy);
    page.config(&policy.config);
    page.snp(&policy.snp);
    page.tdx(&policy.tdx);
    page.into_text()
}

/// The rules of a grant policy in the place of a cluster's, to be looked at by the same code.
fn as_policy(policy: &GrantPolicy) -> PolicyDoc {
    PolicyDoc {
        version: PolicyVersion(policy.version),
        trust_domain: policy.trust_domain,
        measurements: policy.measurements.clone(),
        min_svn: policy.min_svn,
        snp: policy.snp.clone(),
        tdx: policy.tdx.clone(),
        slots: List::default(),
        endorse: EndorseRule { min_endorsers: 1, other_vendor: false },
        session: SessionRules { reattest_s: 0, standing_period_s: 0 },
        platform_unseal: PlatformUnseal::Never,
        release: ReleaseRule::NotDemanded,
        governance: Governance { keys: List::default(), threshold: 0, timelock_s: 0, lease_s: 0 },
    }
}

/// What a file about a workload key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantFile {
    /// TOML.
    Text(GrantPolicy),
    /// An order, with the policy in it. Nothing is said about its signatures.
    Order(GrantPolicy, GrantOrder),
}

impl GrantFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, PolicyFault> {
        let failed = |source| PolicyFault::Io { path: path.into(), source };
        let mut bytes = Vec::new();
        let limit = POLICY_FILE_BYTES as u64 + 1;
        std::fs::File::open(path).map_err(failed)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > POLICY_FILE_BYTES {
            return Err(PolicyFault::TooLarge { most: POLICY_FILE_BYTES });
        }
        // Canonical bytes begin with a zero byte (the length of their label), which no TOML text does.
        if bytes.first() != Some(&0) {
            let text = std::str::from_utf8(&bytes).map_err(|fault| PolicyFault::NotText { at: fault.valid_up_to() })?;
            return grant_from_toml(text).map(GrantFile::Text);
        }
        let order = GrantOrder::decode(&bytes).map_err(PolicyFault::NotCanonical)?;
        let policy = GrantPolicy::decode(&order.policy).map_err(PolicyFault::NotCanonical)?;
        Ok(GrantFile::Order(policy, order))
    }

    /// The policy.
    pub fn policy(&self) -> &GrantPolicy {
        match self {
            GrantFile::Text(policy) | GrantFile::Order(policy, _) => policy,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_wire::ids::TrustDomain;
    use ringwall_wire::policy::MeasurementRegister;

    #[test]
    fn the_templates_are_complete_and_round_trip() {
        let production = grant_from_toml(&grant_template(false)).unwrap();
        let simulated = grant_from_toml(&grant_template(true)).unwrap();
        assert_eq!((production.trust_domain, simulated.trust_domain), (TrustDomain::Production, TrustDomain::Simulated));
        assert_eq!(GrantPolicy { trust_domain: TrustDomain::Production, ..simulated }, production);
        assert!(
            matches!(&production.config, ConfigRule::Listed(list) if list.host_data.is_empty()),
            "nothing is granted before it is filled"
        );
        assert_eq!(grant_from_toml(&grant_to_toml(&production)).unwrap(), production);
        let any = GrantPolicy { config: ConfigRule::Any, ..production.clone() };
        assert_eq!(grant_from_toml(&grant_to_toml(&any)).unwrap(), any);
        let list = ConfigList {
            host_data: List::new(vec![Digest([1; 32]), Digest([2; 32])]).unwrap(),
            mr_config_id: List::new(vec![MeasurementRegister([3; 48])]).unwrap(),
        };
        let listed = GrantPolicy { config: ConfigRule::Listed(list), ..production };
        assert_eq!(grant_from_toml(&grant_to_toml(&listed)).unwrap(), listed);
    }

    #[test]
    fn what_is_missing_unknown_repeated_or_misnamed_is_refused() {
        let text = grant_template(false);
        for (from, to) in [
            ("min_svn = 1\n", ""),
            ("grants_per_minute = 60\n", ""),
            ("listed = true\n", ""),
            ("host_data = []\n", ""),
            ("version = 1\n", "version = 1\nother = 2\n"),
            ("name = \"team/key/1\"", "name = \"../key\""),
            ("name = \"team/key/1\"", "name = \"\""),
            ("host_data = []", &format!("host_data = [\"{0}\", \"{0}\"]", "11".repeat(32))),
            ("vmpl = 0\n", ""),
        ] {
            assert!(text.contains(from), "{from}");
            let wrong = text.replacen(from, to, 1);
            assert!(grant_from_toml(&wrong).is_err(), "{from} -> {to}");
        }
    }
}
