//! `ringwalld endorsements`: for operators who look at what is kept, or carry documents to a machine without a way to the vendors.
//!
//! Decides: `show` lists the files of a node, `fetch` writes named documents into a folder on any machine, `import` puts such files into a node's
//! cache unless a newer edition is there. A running node looks there when its source gives nothing.
//! Trusts: nothing: only form and order are looked at here, a node verifies everything before it uses it. Out of scope: rounds (`keeper`).

use super::cache::{Cache, ENDING, FileError, Kept, decode, encode, read_file};
use super::part::Part;
use super::settings::{FileEndorsements, Settings};
use super::source::FetchError;
use super::status::PartStatus;
use crate::clock::Clock;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What to do.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Action {
    /// List the documents a node keeps: name, edition, until when it is in force.
    Show {
        /// The node's data folder.
        #[arg(long, value_name = "FOLDER")]
        data: PathBuf,
    },
    /// Fetch documents by name and write them as files, on any machine that can reach the vendors.
    Fetch {
        /// Where the files go.
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
        /// Who is asked.
        #[command(flatten)]
        services: ServiceFlags,
        /// Names, as `show` and a node's log spell them: amd-genoa-crl, intel-tdx-tcb-90c06f000000.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<Part>,
    },
    /// Put files that `fetch` wrote into a node's cache, unless it has a newer edition.
    Import {
        /// The node's data folder.
        #[arg(long, value_name = "FOLDER")]
        data: PathBuf,
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Which services are asked: the vendors' own, where no flag names another.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServiceFlags {
    /// AMD's service or a mirror.
    #[arg(long, value_name = "URL")]
    pub amd: Option<String>,
    /// Intel's service or a caching service.
    #[arg(long, value_name = "URL")]
    pub intel: Option<String>,
    /// Where the list of Intel's root is.
    #[arg(long, value_name = "URL")]
    pub intel_root_crl: Option<String>,
}

impl ServiceFlags {
    /// The settings these flags stand for; nothing is kept on disk.
    pub fn settings(&self) -> Result<Settings, CliError> {
        let raw = FileEndorsements::services(self.amd.clone(), self.intel.clone(), self.intel_root_crl.clone());
        let settings = Settings::read(&raw, Path::new(""));
        let settings = settings.map_err(|fault| CliError::Address { cause: fault.cause, fix: fault.fix })?;
        Ok(Settings { cache: false, ..settings })
    }
}

/// Why nothing, or not everything, was done.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A folder cannot be read or written.
    #[error("{place}: {cause}; check that it exists and that this user may use it", place = place.display())]
    Folder {
        /// Which.
        place: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file is no document.
    #[error("{file}: {cause}", file = file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        cause: FileError,
    },
    /// An older edition than the one that is kept.
    #[error("{file}: an older edition of {part} than the one that is kept; to go back on purpose, remove that one first", file = file.display())]
    Older {
        /// Which file.
        file: PathBuf,
        /// Which document.
        part: String,
    },
    /// An address cannot be used.
    #[error("{cause}; {fix}")]
    Address {
        /// What is wrong.
        cause: String,
        /// What to do.
        fix: &'static str,
    },
    /// A document could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

/// Does it; says each step on `out`.
pub fn run(action: &Action, clock: &Clock, out: &mut dyn Write) -> Result<(), CliError> {
    match action {
        Action::Show { data } => show(&super::folder(data), out),
        Action::Fetch { out: folder, services, names } => {
            let source = super::source(&services.settings()?.origin);
            std::fs::create_dir_all(folder).map_err(|cause| CliError::Folder { place: folder.clone(), cause })?;
            for part in names {
                let document = source.fetch(part)?;
                let kept = Kept { part: part.clone(), document, fetched_s: clock() / 1_000 };
                let file = folder.join(format!("{part}{ENDING}"));
                std::fs::write(&file, encode(&kept)).map_err(|cause| CliError::Folder { place: file.clone(), cause })?;
                say(out, &format!("{}", PartStatus::new(part, Some(&kept))));
            }
            Ok(())
        }
        Action::Import { data, files } => {
            let folder = super::folder(data);
            let place = |cause| CliError::Folder { place: folder.clone(), cause };
            let cache = Cache::open(folder.clone()).map_err(place)?;
            for file in files {
                let kept = read_file(file).and_then(|bytes| decode(&bytes));
                let kept = kept.map_err(|cause| CliError::File { file: file.clone(), cause })?;
                let held = cache.load(&kept.part).ok();
                if held.is_some_and(|held| kept.document.edition().is_older_than(&held.document.edition())) {
                    return Err(CliError::Older { file: file.clone(), part: kept.part.to_string() });
                }
                cache.save(&kept).map_err(place)?;
                say(out, &format!("{}", PartStatus::new(&kept.part, Some(&kept))));
            }
            Ok(())
        }
    }
}

fn show(folder: &Path, out: &mut dyn Write) -> Result<(), CliError> {
    let place = |cause| CliError::Folder { place: folder.to_path_buf(), cause };
    let files = Cache::open(folder.to_path_buf()).and_then(|cache| cache.list()).map_err(place)?;
    if files.is_empty() {
        say(out, "no documents are kept here");
    }
    for (name, file) in files {
        match file {
            Ok(kept) => say(out, &format!("{}", PartStatus::new(&kept.part, Some(&kept)))),
            Err(fault) => say(out, &format!("{name}: {fault} (counts as absent)")),
        }
    }
    Ok(())
}

fn say(out: &mut dyn Write, line: &str) {
    // Nobody is left to tell when the output is gone.
    let _ = writeln!(out, "{line}");
}
