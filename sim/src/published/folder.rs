//! Finds the cases of a folder: a whole set, the folder of one kind, or one case.
//!
//! Decides: what is a case, what is shared by cases, what this version does not judge. Trusts: nothing; entries are counted, links to folders
//! above are not followed further than two levels. Out of scope: reading evidence. docs/conformance.md, "Folders".

use super::case::{self, Case, CaseError, Kind};
use super::measurement::{self, MeasurementCase};
use super::place::Place;
use super::sigstore::{self, SigstoreCase};
use super::tlog::{self, TlogCase};
use std::path::Path;

/// Folders that cases share.
const SHARED: [&str; 3] = ["roots", "crl", "trusted_roots"];
/// Kinds of a set that a later version judges.
const LATER: [&str; 2] = ["noise", "shamir"];

/// A case or folder that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its name.
    pub name: String,
    /// Why.
    pub error: CaseError,
}

/// Something that was seen and left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotJudged {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: &'static str,
}

/// What is in a folder.
#[derive(Debug, Default)]
pub struct Found {
    /// Cases of evidence, by kind and name.
    pub cases: Vec<Case>,
    /// Cases of measurements, by name.
    pub measurements: Vec<MeasurementCase>,
    /// Cases of Sigstore bundles, by name.
    pub bundles: Vec<SigstoreCase>,
    /// Cases of transparency logs, by name.
    pub logs: Vec<TlogCase>,
    /// What cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// What this version does not judge.
    pub not_judged: Vec<NotJudged>,
}

/// Finds every case in `folder`, or those of one kind.
pub fn find(folder: &Path, only: Option<Kind>) -> Result<Found, CaseError> {
    find_in(&Place::found_on_disk(folder)?, only)
}

/// The same, wherever the folder is.
pub fn find_in(folder: &Place, only: Option<Kind>) -> Result<Found, CaseError> {
    let mut found = Found::default();
    let own_name = folder.name();
    if folder.named("case.json").is_some() {
        found.take(folder, None, only);
    } else if Kind::of_folder(&own_name).is_some() {
        found.kind_folder(folder, only)?;
    } else if is_later(&own_name) {
        found.not_judged.push(NotJudged { name: own_name, why: LATER_WHY });
    } else {
        found.set(folder, only)?;
    }
    found.cases.sort_by(|a, b| (a.kind(), a.id()).cmp(&(b.kind(), b.id())));
    found.measurements.sort_by(|a, b| a.id.cmp(&b.id));
    found.bundles.sort_by(|a, b| a.id.cmp(&b.id));
    found.logs.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

const LATER_WHY: &str = "not judged by this version";

impl Found {
    /// A folder of kinds; what is no kind may be a folder of cases that say theirs.
    fn set(&mut self, folder: &Place, only: Option<Kind>) -> Result<(), CaseError> {
        for inside in folder.folders()? {
            let name = inside.name();
            match Kind::of_folder(&name) {
                Some(kind) if only.is_none_or(|only| only == kind) => self.kind_folder(&inside, only)?,
                Some(_) => {}
                None if SHARED.contains(&name.to_ascii_lowercase().as_str()) => {}
                None if is_later(&name) => self.not_judged.push(NotJudged { name, why: LATER_WHY }),
                None if inside.named("case.json").is_some() => self.take(&inside, None, only),
                None => self.stranger(&inside, only)?,
            }
        }
        Ok(())
    }

    /// A folder of another name: its cases say their kind; without any it is told, and no failure.
    fn stranger(&mut self, folder: &Place, only: Option<Kind>) -> Result<(), CaseError> {
        let cases: Vec<Place> = folder.folders()?.into_iter().filter(|inside| inside.named("case.json").is_some()).collect();
        if cases.is_empty() {
            self.not_judged.push(NotJudged { name: folder.name(), why: "no folder of a known kind, and no cases in it" });
        }
        cases.iter().for_each(|case| self.take(case, None, only));
        Ok(())
    }

    /// A folder of one kind: every folder in it is a case, but for shared ones.
    fn kind_folder(&mut self, folder: &Place, only: Option<Kind>) -> Result<(), CaseError> {
        let kind = Kind::of_folder(&folder.name());
        if kind == Some(Kind::Tlog) {
            return self.log_folder(folder);
        }
        for inside in folder.folders()? {
            if !SHARED.contains(&inside.name().to_ascii_lowercase().as_str()) {
                self.take(&inside, kind, only);
            }
        }
        if kind == Some(Kind::Measurement) && only.is_none_or(|only| only == Kind::Measurement) {
            for file in folder.entries()?.into_iter().filter(is_json) {
                match measurement::of_file(&file) {
                    Ok(cases) => self.measurements.extend(cases),
                    Err(error) => self.unreadable.push(Unreadable { name: file.name(), error }),
                }
            }
        }
        Ok(())
    }

    /// A folder of what transparency logs gave: JSON files of cases, and logs of tiles whose key one of these files has.
    fn log_folder(&mut self, folder: &Place) -> Result<(), CaseError> {
        for file in folder.entries()?.into_iter().filter(is_json) {
            match tlog::of_file(&file) {
                Ok(cases) => self.logs.extend(cases),
                Err(error) => self.unreadable.push(Unreadable { name: file.name(), error }),
            }
        }
        for inside in folder.folders()? {
            let newest = inside.first(&["checkpoint"])?.unwrap_or_default();
            let key = tlog::key_for(&self.logs, &String::from_utf8_lossy(&newest));
            match tlog::of_log(&inside, key) {
                Ok(cases) if cases.is_empty() => {
                    self.not_judged.push(NotJudged { name: inside.name(), why: "no log of tiles whose key is known" });
                }
                Ok(cases) => self.logs.extend(cases),
                Err(error) => self.unreadable.push(Unreadable { name: inside.name(), error }),
            }
        }
        Ok(())
    }

    /// One case. What it says of its kind counts more than the folder it lies in.
    fn take(&mut self, folder: &Place, lies_in: Option<Kind>, only: Option<Kind>) {
        let read = case::facts(folder).and_then(|facts| {
            let said = facts.get("kind").and_then(serde_json::Value::as_str).unwrap_or_default().to_ascii_lowercase();
            if LATER.iter().any(|later| said.starts_with(later)) {
                return Ok(None);
            }
            let kind = case::kind_of(folder, &facts)?;
            match (kind, only.is_none_or(|only| only == kind)) {
                (_, false) => Ok(None),
                (Kind::Sigstore, true) => sigstore::of_folder(folder, &facts).map(Box::new).map(Taken::Bundle).map(Some),
                (Kind::Measurement, true) => measurement::of_folder(folder).map(Taken::Measurement).map(Some),
                (_, true) => Case::of(folder, kind, facts).map(Taken::Evidence).map(Some),
            }
        });
        match read {
            Ok(Some(Taken::Evidence(case))) => self.cases.push(case),
            Ok(Some(Taken::Measurement(case))) => self.measurements.push(case),
            Ok(Some(Taken::Bundle(case))) => self.bundles.push(*case),
            Ok(None) => self.skipped(folder, only),
            Err(error) if only.is_none() || lies_in.is_none() || lies_in == only => {
                self.unreadable.push(Unreadable { name: folder.name(), error });
            }
            Err(_) => {}
        }
    }

    fn skipped(&mut self, folder: &Place, only: Option<Kind>) {
        if only.is_none() {
            self.not_judged.push(NotJudged { name: folder.name(), why: LATER_WHY });
        }
    }
}

/// What a folder with `case.json` turned out to be.
enum Taken {
    Evidence(Case),
    Measurement(MeasurementCase),
    Bundle(Box<SigstoreCase>),
}

fn is_json(place: &Place) -> bool {
    place.is_file() && place.path().extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

fn is_later(name: &str) -> bool {
    LATER.contains(&name.to_ascii_lowercase().as_str())
}
