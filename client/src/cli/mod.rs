//! The `ringwall` command line.
//!
//! Decides: how a run begins and ends: arguments, one runtime, one verb, an exit code that says what happened (listed in `--help`).
//! The roots of trust are an argument of [`run`]: the shipped program passes the vendors', and nothing typed can change them.
//! Trusts: its arguments and environment for where and as whom, not for whom to believe. Out of scope: the operations (the library).

mod args;
mod backup;
mod custodian;
mod custodian_args;
mod custodian_loss;
mod custodian_paper;
mod custodian_show;
mod custody;
mod drill;
mod drill_args;
mod drill_show;
mod erase;
mod evidence;
mod exit;
mod governance;
mod governance_show;
mod held;
mod import;
mod input;
mod measure;
mod passphrase;
mod policy;
mod policy_args;
mod policy_notice;
mod policy_show;
mod receipt;
mod recovery;
mod rekey;
mod release;
mod release_args;
mod release_epochs;
mod release_log;
mod release_verify;
mod show;
mod signing;
mod slot;
mod user;
mod verbs;
mod verify;
mod workload_audit;
mod workload_key;

use crate::Anchors;
use args::Arguments;
use clap::Parser;
pub(crate) use evidence::collateral;
use exit::{Exit, Trouble};
use ringwall_attest::Attester;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the command line with `arguments` (the program's name first) and these roots of trust. Exit codes are listed in `--help`.
pub fn run(arguments: impl IntoIterator<Item = OsString>, anchors: Anchors) -> ExitCode {
    run_in(arguments, anchors, None)
}

/// [`run`] in a guest whose evidence comes from `guest`; none for the kernel of this machine.
pub fn run_in(arguments: impl IntoIterator<Item = OsString>, anchors: Anchors, guest: Option<Arc<dyn Attester>>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(words) => {
            // Help and version come this way too, with exit code 0. Nobody may be there to read them.
            let _ = words.print();
            return ExitCode::from(u8::try_from(words.exit_code()).unwrap_or(Exit::Usage as u8));
        }
    };
    let json = arguments.shared.json;
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => return fail(&Trouble::new("RW-C-OUTPUT", format!("no async runtime: {fault}")), json),
    };
    match runtime.block_on(verbs::run(arguments, anchors, guest)) {
        Ok(exit) => exit.into(),
        Err(trouble) => fail(&trouble, json),
    }
}

fn fail(trouble: &Trouble, json: bool) -> ExitCode {
    match json {
        true => {
            use std::io::Write;
            // Nobody may be there to read it; the exit code says it too.
            let _ = writeln!(std::io::stderr().lock(), "{}", trouble.json());
        }
        false => show::note(&format!("{} [{}]", trouble.message, trouble.code)),
    }
    trouble.exit().into()
}
