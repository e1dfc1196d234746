//! The policy an operator starts from.
//!
//! Decides: nothing in code; the strict choices and their reasons stand in `template.toml`, where people read them. For clusters of
//! simulated TEEs two things differ: the trust domain, and that no proof of release is demanded.
//! Trusts: nothing. Out of scope: what is the operator's own (chips, builds, keys): those lists are empty and accept nothing.

const TEMPLATE: &str = include_str!("template.toml");
const PRODUCTION: &str = "trust_domain = \"production\"";
const SIMULATED: &str = "trust_domain = \"simulated\"";
const RELEASE: &str = "[release]\n";
const GOVERNANCE: &str = "[governance]\n";
const AMD: &str = "# ---------------------------------------------------------------------------------------------- AMD SEV-SNP\n";
const CLUSTER: &str = "# ---------------------------------------------------------------------------------------------- the cluster\n";
const NO_RELEASE: &str = "[release]\n# No proof of release: legal in a simulated trust domain only.\ndemanded = false\n\n";

/// The template for hardware.
pub fn template() -> &'static str {
    TEMPLATE
}

/// The part about machines, AMD's and Intel's: the template of a grant policy has the same.
pub(super) fn rules_of_machines() -> &'static str {
    let start = TEMPLATE.find(AMD).expect("the template has rules for AMD");
    let end = TEMPLATE.find(CLUSTER).expect("the template has rules of the cluster after those of machines");
    TEMPLATE.get(start..end).expect("AMD's rules stand before the cluster's")
}

/// The template for a cluster of simulated TEEs, which protects nothing.
pub fn simulated_template() -> String {
    let text = TEMPLATE.replacen(PRODUCTION, SIMULATED, 1);
    let (before, rest) = text.split_once(RELEASE).expect("the template has a release rule");
    let (_, after) = rest.split_once(GOVERNANCE).expect("the template has governors after the release rule");
    format!("{before}{NO_RELEASE}{GOVERNANCE}{after}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::{from_toml, to_toml};
    use ringwall_wire::ids::TrustDomain;
    use ringwall_wire::policy::{PolicyDoc, ReleaseRule};

    #[test]
    fn both_templates_are_complete_policies() {
        let production = from_toml(template()).unwrap();
        let simulated = from_toml(&simulated_template()).unwrap();
        assert_eq!(from_toml(&to_toml(&production)).unwrap(), production);
        assert_eq!((production.trust_domain, simulated.trust_domain), (TrustDomain::Production, TrustDomain::Simulated));
        assert!(matches!(production.release, ReleaseRule::Demanded(_)));
        let same = PolicyDoc { trust_domain: simulated.trust_domain, release: ReleaseRule::NotDemanded, ..production };
        assert_eq!(simulated, same, "nothing else differs");
    }

    #[test]
    fn the_template_explains_every_field() {
        let (mut explained, mut seen) = (false, std::collections::BTreeSet::new());
        for line in template().lines() {
            let field = line.split_once(" = ").filter(|(key, _)| !key.starts_with(['#', ' ', '[']));
            if let Some((key, _)) = field {
                assert!(explained || seen.contains(key), "{key} has no comment above it, here or where it stands first");
                seen.insert(key);
            }
            // A comment counts for the keys right below it.
            explained = line.starts_with('#') || (explained && (field.is_some() || line.starts_with(['[', ' ', ']'])));
        }
        assert!(template().lines().all(|line| line.chars().count() <= 130));
    }
}
