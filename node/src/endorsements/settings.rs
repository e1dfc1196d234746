//! Where a node gets endorsements, as its operator says.
//!
//! Decides: the vendors' own services unless mirrors or a folder are named; addresses are https, except on this machine or when the operator
//! says otherwise. Nothing here can weaken a verdict: every document is verified against pinned roots, whoever handed it out.
//! Trusts: nothing. Out of scope: fetching. Documented by deploy/ringwalld.example.toml.

use super::limits::URL_BYTES;
use super::part::product_named;
use ringwall_wire::policy::SnpProduct;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::Uri;

/// AMD's own service.
pub const AMD_SERVICE: &str = "https://kdsintf.amd.com";
/// Intel's own service.
pub const INTEL_SERVICE: &str = "https://api.trustedservices.intel.com";
/// Where Intel publishes its root's revocation list.
pub const INTEL_ROOT_CRL: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";
/// Where a caching service has that list, below its own address.
const CACHED_ROOT_CRL: &str = "/sgx/certification/v4/rootcacrl";

/// The section `[endorsements]` as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileEndorsements {
    source: Option<String>,
    amd: Option<String>,
    intel: Option<String>,
    intel_root_crl: Option<String>,
    plain_http: bool,
    cache: Option<bool>,
    refresh_hours: Option<u64>,
    amd_product: Option<String>,
}

impl FileEndorsements {
    /// Services at these addresses, the vendors' own where there is none; plain http is for whoever writes it.
    pub(crate) fn services(amd: Option<String>, intel: Option<String>, intel_root_crl: Option<String>) -> Self {
        FileEndorsements { amd, intel, intel_root_crl, plain_http: true, ..FileEndorsements::default() }
    }
}

/// Where documents come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Services: AMD's, Intel's, and the address of the list of Intel's root.
    Services {
        /// AMD's service or a mirror.
        amd: String,
        /// Intel's service or a caching service.
        intel: String,
        /// The list of Intel's root.
        intel_root_crl: String,
    },
    /// Files somebody puts into this folder; nothing is fetched.
    Folder(PathBuf),
}

/// The section, complete and consistent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where documents come from.
    pub origin: Origin,
    /// Whether documents are kept on disk, in `endorsements` below the data folder.
    pub cache: bool,
    /// Longest time between two rounds that go well.
    pub refresh: Duration,
    /// The product, for reports that do not name it (version 2).
    pub amd_product: Option<SnpProduct>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings::read(&FileEndorsements::default(), Path::new("")).expect("the documented defaults are legal")
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettingFault {
    pub(crate) field: &'static str,
    pub(crate) cause: String,
    pub(crate) fix: &'static str,
}

impl Settings {
    /// Reads the section; paths are relative to `base`.
    pub(crate) fn read(raw: &FileEndorsements, base: &Path) -> Result<Self, SettingFault> {
        let origin = match raw.source.as_deref() {
            None | Some("services") => services(raw)?,
            Some(folder) => match folder.strip_prefix("file:").filter(|path| !path.is_empty()) {
                Some(path) => Origin::Folder(base.join(path)),
                None => {
                    return Err(SettingFault {
                        field: "endorsements.source",
                        cause: format!("{folder:?} is neither \"services\" nor \"file:FOLDER\""),
                        fix: "write one of them or leave it out",
                    });
                }
            },
        };
        let hours = raw.refresh_hours.unwrap_or(24);
        if !(1..=24 * 14).contains(&hours) {
            return Err(SettingFault {
                field: "endorsements.refresh_hours",
                cause: format!("{hours} is not between 1 and 336"),
                fix: "Intel's documents last 30 days: a day is good",
            });
        }
        let amd_product = raw.amd_product.as_deref().map(|name| {
            product_named(name).ok_or_else(|| SettingFault {
                field: "endorsements.amd_product",
                cause: format!("{name:?} is no product"),
                fix: "write milan, genoa or turin, or leave it out where reports name the product",
            })
        });
        let refresh = Duration::from_secs(hours.saturating_mul(3_600));
        Ok(Settings { origin, cache: raw.cache.unwrap_or(true), refresh, amd_product: amd_product.transpose()? })
    }
}

fn services(raw: &FileEndorsements) -> Result<Origin, SettingFault> {
    let amd = address("endorsements.amd", raw.amd.as_deref().unwrap_or(AMD_SERVICE), raw.plain_http)?;
    let intel = address("endorsements.intel", raw.intel.as_deref().unwrap_or(INTEL_SERVICE), raw.plain_http)?;
    let intel_root_crl = match (&raw.intel_root_crl, &raw.intel) {
        (Some(given), _) => given.clone(),
        (None, Some(_)) => format!("{intel}{CACHED_ROOT_CRL}"),
        (None, None) => INTEL_ROOT_CRL.to_owned(),
    };
    let intel_root_crl = address("endorsements.intel_root_crl", &intel_root_crl, raw.plain_http)?;
    Ok(Origin::Services { amd, intel, intel_root_crl })
}

/// An address without query, fragment, user or slash at its end.
fn address(field: &'static str, text: &str, plain_http: bool) -> Result<String, SettingFault> {
    let fault =
        |cause: &str, fix| Err(SettingFault { field, cause: format!("{:?} {cause}", text.chars().take(200).collect::<String>()), fix });
    let shape = "write it as \"https://host:port\", with a path if the service has one";
    if text.len() > URL_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return fault("is too long or has characters no address has", shape);
    }
    let Ok(uri) = text.parse::<Uri>() else { return fault("is no address", shape) };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return fault("is no complete address", shape) };
    if uri.query().is_some() || text.contains('#') || authority.as_str().contains('@') || authority.host().is_empty() {
        return fault("has a query, a fragment, a user or no host", shape);
    }
    match scheme {
        "https" => {}
        "http" if plain_http || is_this_machine(authority.host()) => {}
        "http" => {
            return fault(
                "is plain http to another machine",
                "use https, or set endorsements.plain_http = true: others can then see which chip asks and hold back news",
            );
        }
        _ => return fault("is neither https nor http", shape),
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<Settings, SettingFault> {
        Settings::read(&toml::from_str(text).unwrap(), Path::new("/etc/ringwall"))
    }

    fn intel_root(text: &str) -> String {
        match read(text).unwrap().origin {
            Origin::Services { intel_root_crl, .. } => intel_root_crl,
            Origin::Folder(_) => String::new(),
        }
    }

    #[test]
    fn the_vendors_are_asked_unless_somebody_else_is_named() {
        let defaults = Settings::default();
        let vendors = Origin::Services { amd: AMD_SERVICE.into(), intel: INTEL_SERVICE.into(), intel_root_crl: INTEL_ROOT_CRL.into() };
        assert_eq!(defaults.origin, vendors);
        assert!(defaults.cache);
        assert_eq!(read("source = \"services\"").unwrap(), defaults);
        assert_eq!(intel_root("intel = \"https://pccs.example:8081/\""), "https://pccs.example:8081/sgx/certification/v4/rootcacrl");
        assert_eq!(
            intel_root("intel = \"https://m.example\"\nintel_root_crl = \"https://m.example/root.der\""),
            "https://m.example/root.der"
        );
        let folder = Origin::Folder("/etc/ringwall/papers".into());
        assert_eq!(read("source = \"file:papers\"").unwrap().origin, folder);
        assert_eq!(read("source = \"file:/etc/ringwall/papers\"").unwrap().origin, folder);
    }

    #[test]
    fn plain_http_is_for_this_machine_or_said_aloud() {
        for good in ["http://127.0.0.1:8081", "http://[::1]:8081", "http://localhost/kds"] {
            assert!(read(&format!("amd = {good:?}")).is_ok(), "{good}");
        }
        assert_eq!(read("amd = \"http://127.0.0.1.example\"").unwrap_err().field, "endorsements.amd");
        assert!(read("amd = \"http://mirror.example\"\nplain_http = true").is_ok());
    }

    #[test]
    fn values_that_cannot_be_used_are_named() {
        for (text, field) in [
            ("source = \"vendor\"", "endorsements.source"),
            ("source = \"file:\"", "endorsements.source"),
            ("amd = \"kdsintf.amd.com\"", "endorsements.amd"),
            ("amd = \"ftp://kdsintf.amd.com\"", "endorsements.amd"),
            ("amd = \"https://user@kdsintf.amd.com\"", "endorsements.amd"),
            ("amd = \"https://kdsintf.amd.com?x\"", "endorsements.amd"),
            ("intel = \"https://a b\"", "endorsements.intel"),
            ("intel = \"http://pccs.example\"", "endorsements.intel"),
            ("intel_root_crl = \"https://x/#y\"", "endorsements.intel_root_crl"),
            ("refresh_hours = 0", "endorsements.refresh_hours"),
            ("refresh_hours = 337", "endorsements.refresh_hours"),
            ("amd_product = \"Venice\"", "endorsements.amd_product"),
        ] {
            assert_eq!(read(text).unwrap_err().field, field, "{text}");
        }
        let long = format!("amd = \"https://{}\"", "a".repeat(URL_BYTES));
        assert_eq!(read(&long).unwrap_err().field, "endorsements.amd");
    }
}
