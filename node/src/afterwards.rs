//! What follows a node that is the only process of its machine: whatever prepared the machine, once more.
//!
//! Decides: where the first process of a machine says so in its environment, the node that ends becomes the program that is named there, which is told
//! the exit code: it closes the disk and stops the machine (`deploy/image/init`). There is one process all the time. Everywhere else a node just ends.
//! Trusts: the environment of process 1, which the guest image's init wrote and nobody else could; no configuration has a word in it.
//! Out of scope: what is done then; how a node leaves (`run.rs`).

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

/// Names the program, for process 1 alone.
const AFTERWARDS: &str = "RINGWALL_AFTERWARDS";
/// Its first argument; the exit code is the second.
const ENDED: &str = "ended";

/// Ends this process with `code`, or becomes what follows it.
pub(crate) fn follow(code: u8) -> ExitCode {
    if let Some(mut next) = next(std::process::id(), std::env::var_os(AFTERWARDS), code) {
        let fault = next.exec();
        // The kernel stops the machine when process 1 ends: this is the last anybody hears.
        let _ = writeln!(std::io::stderr(), "{}: {fault}; the disk is left as a power cut leaves it", next.get_program().display());
    }
    ExitCode::from(code)
}

fn next(process: u32, named: Option<std::ffi::OsString>, code: u8) -> Option<Command> {
    let program = named.filter(|named| process == 1 && !named.is_empty())?;
    let mut next = Command::new(program);
    next.env_clear().args([ENDED, &code.to_string()]);
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_followed_where_it_is_the_first_process_and_told_so() {
        let next = next(1, Some("/init".into()), 20);
        let words = next.map(|next| (next.get_program().to_owned(), next.get_args().map(ToOwned::to_owned).collect::<Vec<_>>()));
        assert_eq!(words, Some(("/init".into(), vec!["ended".into(), "20".into()])));
        // In a container a node is process 1 as well; on a host somebody else may have set the word.
        for (process, named) in [(1, None), (1, Some("".into())), (2, Some("/init".into()))] {
            assert!(super::next(process, named, 0).is_none(), "{process}");
        }
        assert_eq!(format!("{:?}", follow(7)), format!("{:?}", ExitCode::from(7)));
    }
}
