//! Endorsements of this machine: fetched, verified, kept on disk, refreshed, and there for every quote.
//!
//! Evidence is worth nothing without what the vendor says about the machine that made it, and a client may have no way to the vendor. So the
//! node sends both. [`keeper`] answers quotes from memory and makes rounds; [`schedule`] says when. A round asks a [`mod@source`]: AMD's service
//! ([`kds`]), Intel's or a caching service ([`pcs`]), both over one bounded GET ([`http`]), or a folder ([`cache`]). [`part`] names documents,
//! [`document`] reads them, [`subject`] says which ones evidence needs, [`shelf`] decides what may replace what, [`cache`] keeps it on disk,
//! [`status`] tells people, [`settings`] and [`cli`] are the operator's, [`limits`] bounds everything.
//!
//! Decides: nothing that a verdict rests on: whoever receives endorsements verifies them. Trusts: `attest`, before anything fetched replaces
//! anything held. Out of scope: collecting evidence (`platform`), judging others' (`attesting`). Protocol section 2.2.

pub mod cache;
pub mod cli;
pub mod document;
pub mod http;
pub mod kds;
pub mod keeper;
pub mod limits;
pub mod part;
pub mod pcs;
pub mod schedule;
pub mod settings;
pub mod shelf;
pub mod source;
pub mod status;
pub mod subject;

use crate::clock::Clock;
use crate::entropy::Entropy;
use cache::{Cache, Folder};
use document::Document;
use http::Http;
use kds::Kds;
use keeper::{Keeper, Tools};
use limits::REFRESH_LEAST;
use part::Part;
use pcs::Pcs;
use ringwall_attest::Anchors;
use ringwall_wire::ids::Vendor;
use settings::{Origin, Settings};
use source::{FetchError, Source};
use std::path::{Path, PathBuf};

/// Folder of kept documents below the data folder.
const FOLDER: &str = "endorsements";

/// AMD's documents from one service, Intel's from another.
struct Services {
    kds: Kds,
    pcs: Pcs,
}

impl Source for Services {
    fn fetch(&self, part: &Part) -> Result<Document, FetchError> {
        match part.vendor() {
            Vendor::Amd => self.kds.fetch(part),
            Vendor::Intel => self.pcs.fetch(part),
        }
    }

    fn name(&self) -> String {
        format!("{} and {}", self.kds.name(), self.pcs.name())
    }
}

/// Where documents come from, as the operator said.
pub fn source(origin: &Origin) -> Box<dyn Source> {
    match origin {
        Origin::Folder(folder) => Box::new(Folder::new(folder.clone())),
        Origin::Services { amd, intel, intel_root_crl } => {
            let http = Http::new();
            Box::new(Services { kds: Kds::new(http.clone(), amd), pcs: Pcs::new(http, intel, intel_root_crl) })
        }
    }
}

/// The cache's folder of a node with this data folder.
pub fn folder(data: &Path) -> PathBuf {
    data.join(FOLDER)
}

/// A keeper as the operator said, with what an earlier process kept in `data`.
pub fn open(settings: &Settings, data: &Path, anchors: Anchors, clock: Clock, entropy: Entropy) -> std::io::Result<Keeper> {
    let cache = if settings.cache { Some(Cache::open(folder(data))?) } else { None };
    // Looking into a folder costs nothing, and whoever fills it wants it seen.
    let refresh = if matches!(settings.origin, Origin::Folder(_)) { REFRESH_LEAST } else { settings.refresh };
    let source = source(&settings.origin);
    Ok(Keeper::new(Tools { source, cache, anchors, clock, entropy, refresh, amd_product: settings.amd_product }))
}
