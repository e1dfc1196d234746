//! The attack table: every row of the register as something that is performed, told in plain words, and judged.
//!
//! Decides: the command line `ringwall-attack`; an attack that was held off ends with code 0, one that succeeded with 1, one that could not be performed with
//! 3. Everything printed comes from what happened. Nothing is left behind: processes and folders end with the program.
//! Trusts: nothing. Out of scope: the rows (`register`), the performing (`disks`, `worlds`, `shares`, `returning`, `times`, `network`, `evidence`,
//! `joiners`, `keys`, `governance`, `releases`, `strangers`). docs/attacks.md is made from it (`page`). Protocol section 1.2.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the program's whole output passes here")]

mod disks;
mod evidence;
mod governance;
mod joiners;
mod keys;
mod network;
mod page;
pub mod register;
mod releases;
mod report;
mod returning;
mod shares;
mod stage;
mod strangers;
mod times;
pub(crate) mod ward;
mod worlds;

pub use page::page;
pub use report::Report;
pub use stage::Stage;

use crate::cluster::Launch;
use crate::demo::{DemoError, NODE_WORD};
use clap::{Parser, Subcommand};
use register::{Row, Shown, row, rows};
use ringwall_wire::without::{CAN_LEAVE_OUT, Defence};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// The namespace and the key attacks are about.
const SPACE: &str = "wallet";
const KEY: &str = "balance";

/// What an ordinary build says to `--without`.
const HOW_TO_BUILD: &str = "this program cannot leave a defence out, like every program that is shipped. A build made for that can: `cargo attack-without run \
                            NAME --without DEFENCE` (cargo run -p ringwall-sim --features without --bin ringwall-attack -- ...)";

/// Performs the attacks of the register (docs/attacks.md) against nodes on this machine, and shows what answers.
#[derive(Debug, Parser)]
#[command(name = "ringwall-attack", about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the attacks.
    List {
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Perform one attack, or `all`. Ends with 0 when the defences held, with 1 when an attack succeeded, with 3 when one could not be performed.
    Run {
        /// Name of a row, or `all`.
        name: String,
        /// Print one JSON object for each attack.
        #[arg(long)]
        json: bool,
        /// Leave this defence out. Only in a build made for that.
        #[arg(long, value_name = "DEFENCE")]
        without: Option<String>,
        /// Folder for the nodes' files and for evidence; made if it does not exist, and kept. Default: a new one, removed at the end.
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Print docs/attacks.md.
    Page,
}

/// Runs the program, or a node of it.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.nth(1).is_some_and(|word| word == NODE_WORD) {
        return crate::daemon::run(std::iter::once(NODE_WORD.into()).chain(arguments));
    }
    let arguments = Arguments::parse();
    if CAN_LEAVE_OUT {
        eprintln!("{}", String::from_utf8_lossy(&ringwall_wire::without::MARK));
        eprintln!("It was built with the feature `without`, for attacks alone. Never give it to anybody as a node or a client.\n");
    }
    match arguments.verb {
        Verb::List { json } => list(json),
        Verb::Page => {
            print!("{}", page());
            ExitCode::SUCCESS
        }
        Verb::Run { name, json, without, folder } => run(&name, json, without.as_deref(), folder),
    }
}

fn list(json: bool) -> ExitCode {
    let state = |row: &Row| match row.shown {
        Shown::Performed { scene, .. } => scene.words().to_owned(),
        Shown::Apart(by) => format!("performed apart: {by}"),
        Shown::Planned(why) => format!("planned: {why}"),
    };
    let names = |row: &Row| row.without().iter().map(|defence| defence.name()).collect::<Vec<_>>();
    if json {
        let rows: Vec<Value> = rows()
            .iter()
            .map(|row| {
                json!({
                    "name": row.id, "attack": row.attack, "breaks": row.breaks, "defence": row.defence, "section": row.section, "code": row.code,
                    "performed": row.is_performed(), "against": state(row), "without": names(row),
                })
            })
            .collect();
        println!("{}", Value::Array(rows));
        return ExitCode::SUCCESS;
    }
    for row in rows() {
        println!("{:<4} {}", row.id, row.attack);
        println!("     {}; --without: {}", state(&row), if names(&row).is_empty() { "-".to_owned() } else { names(&row).join(", ") });
    }
    ExitCode::SUCCESS
}

fn usage(words: &str) -> ExitCode {
    eprintln!("ringwall-attack: {words}");
    ExitCode::from(2)
}

fn run(name: &str, json: bool, without: Option<&str>, folder: Option<PathBuf>) -> ExitCode {
    let wanted = match (name, row(name)) {
        ("all", _) => rows(),
        (_, Some(row)) => vec![row],
        (_, None) => return usage(&format!("no attack is called {name:?}; `ringwall-attack list` names them")),
    };
    let left_out = match without.map(|name| leave_out(name, &wanted)).transpose() {
        Ok(defence) => defence,
        Err(words) => return usage(&words),
    };
    let launch = Launch::this_program(NODE_WORD).map(|launch| without_in_nodes(launch, left_out));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let (launch, runtime) = match (launch, runtime) {
        (Ok(launch), Ok(runtime)) => (launch, runtime),
        (Err(fault), _) => return usage(&fault.to_string()),
        (_, Err(fault)) => return usage(&fault.to_string()),
    };
    let made = folder.is_none();
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join(format!("ringwall-attack-{}", std::process::id())));
    let code = runtime.block_on(async {
        tokio::select! {
            code = perform_all(&wanted, launch, &folder, json) => code,
            _ = tokio::signal::ctrl_c() => {
                eprintln!("Interrupted: every node was stopped, nothing is left behind.");
                130
            }
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    if made {
        let _ = std::fs::remove_dir_all(&folder);
    }
    ExitCode::from(code)
}

/// The defence, if this build can leave it out and the attack is one that it answers.
fn leave_out(name: &str, wanted: &[Row]) -> Result<Defence, String> {
    let all = || Defence::ALL.iter().map(|defence| defence.name()).collect::<Vec<_>>().join(", ");
    let defence = Defence::named(name).ok_or_else(|| format!("no defence is called {name:?}; there are: {}", all()))?;
    if let [row] = wanted
        && !row.without().contains(&defence)
    {
        let these = row.without().iter().map(|defence| defence.name()).collect::<Vec<_>>().join(", ");
        return Err(format!(
            "{} is not what {} is about; it can be shown without: {}",
            name,
            row.id,
            if these.is_empty() { "-" } else { &these }
        ));
    }
    if !CAN_LEAVE_OUT {
        return Err(HOW_TO_BUILD.into());
    }
    #[cfg(feature = "without")]
    ringwall_wire::without::leave_out(defence);
    Ok(defence)
}

/// Nodes are processes of their own and have to be told as well.
pub fn without_in_nodes(mut launch: Launch, left_out: Option<Defence>) -> Launch {
    if let Some(defence) = left_out {
        launch.arguments.extend(["--without".into(), defence.name().into()]);
    }
    launch
}

async fn perform_all(wanted: &[Row], launch: Launch, folder: &Path, json: bool) -> u8 {
    let mut stage = Stage::new(launch, folder);
    let mut summary: Vec<(Row, &'static str, f64)> = Vec::new();
    let mut code = 0;
    for row in wanted {
        let begun = Instant::now();
        let outcome = match row.shown {
            Shown::Performed { perform, .. } => Some(perform(&mut stage).await),
            Shown::Apart(_) | Shown::Planned(_) => None,
        };
        let seconds = begun.elapsed().as_secs_f64();
        match json {
            true => println!("{}", told_as_json(row, outcome.as_ref(), seconds)),
            false => tell(row, outcome.as_ref()),
        }
        let (words, own) = match &outcome {
            None if row.is_performed() => ("apart", 0),
            None => ("planned", 0),
            Some(Ok(report)) if report.held() => ("held", 0),
            Some(Ok(_)) => ("SUCCEEDED", 1),
            Some(Err(_)) => ("not performed", 3),
        };
        code = code.max(own);
        summary.push((*row, words, seconds));
    }
    if wanted.len() > 1 && !json {
        println!("\n{:<4} {:<14} {:>6}  attack", "row", "outcome", "s");
        for (row, words, seconds) in &summary {
            println!("{:<4} {words:<14} {seconds:>6.1}  {}", row.id, row.attack);
        }
        let count = |wanted: &str| summary.iter().filter(|(_, words, _)| *words == wanted).count();
        println!(
            "\n{} held off, {} succeeded, {} not performed, {} performed apart, {} planned",
            count("held"),
            count("SUCCEEDED"),
            count("not performed"),
            count("apart"),
            count("planned")
        );
    }
    code
}

fn tell(row: &Row, outcome: Option<&Result<Report, DemoError>>) {
    println!("\n== {}: the attacker {}", row.id, row.attack);
    println!("   elsewhere: {}", row.breaks);
    println!("   here:      {} (protocol {})", row.defence, row.section);
    match (outcome, row.shown) {
        (None, Shown::Apart(by)) => println!("   APART: performed by {by}, which needs an emulator; .ci/run image"),
        (None, Shown::Planned(why)) => println!("   PLANNED: what it attacks does not exist yet ({why})"),
        (None, Shown::Performed { .. }) => {}
        (Some(Err(fault)), _) => println!("   NOT PERFORMED: {fault}"),
        (Some(Ok(report)), _) => {
            report.lines().iter().for_each(|line| println!("{line}"));
            println!("   {}", if report.held() { "HELD: the attack came to nothing" } else { "THE ATTACK SUCCEEDED" });
        }
    }
}

fn told_as_json(row: &Row, outcome: Option<&Result<Report, DemoError>>, seconds: f64) -> Value {
    let mut told = match outcome {
        None => json!({ (if row.is_performed() { "apart" } else { "planned" }): true }),
        Some(Err(fault)) => json!({ "error": fault.to_string() }),
        Some(Ok(report)) => report.json(),
    };
    told["name"] = row.id.into();
    told["attack"] = row.attack.into();
    told["seconds"] = seconds.into();
    told
}
