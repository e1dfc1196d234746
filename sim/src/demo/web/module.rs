//! The module the page runs: built from this tree by the one recipe there is, with the simulated roots of the demo's nodes.
//!
//! Decides: that the recipe is run and not repeated (`.ci/wasm.py`), and that what it lacks is said with what to do. Trusts: the recipe.
//! Out of scope: the module (`client/web`), how the standard library of its target is had (docs/conformance.md, "In WebAssembly").

use crate::demo::DemoError;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Bytes of a module; ours has two million.
const MODULE_BYTES: u64 = 32 << 20;
/// Lines of the recipe's output that are shown where it fails.
const SHOWN_LINES: usize = 40;

/// The tree this program was built from.
pub(super) fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn failed(words: impl Into<String>) -> DemoError {
    DemoError::Module(words.into())
}

/// Builds the module and reads it. Takes minutes the first time.
pub(super) fn built(tree: &Path) -> Result<Vec<u8>, DemoError> {
    let recipe = tree.join(".ci/wasm.py");
    let mut command = Command::new("python3");
    command.arg(&recipe).arg("module").current_dir(tree).stdin(Stdio::null()).stdout(Stdio::piped());
    // Whoever sits before it sees cargo work; otherwise it is shown where it fails.
    let seen = std::io::stderr().is_terminal();
    command.stderr(if seen { Stdio::inherit() } else { Stdio::piped() });
    let ended = command.spawn().and_then(std::process::Child::wait_with_output);
    let ended =
        ended.map_err(|fault| failed(format!("python3 does not run ({fault}): it runs {}, which builds the module", recipe.display())))?;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    if !ended.status.success() {
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        let lines: Vec<&str> = said.lines().chain(told.lines()).collect();
        let end = lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default().join("\n");
        return Err(failed(format!("{} module ended with {}\n{end}", recipe.display(), ended.status)));
    }
    let path =
        said.lines().last().and_then(|line| line.strip_prefix("wasm: module ")).ok_or_else(|| failed("the recipe names no module"))?;
    read(Path::new(path))
}

/// Reads a module that was built before.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DemoError> {
    let shown = path.display();
    let size = std::fs::metadata(path).map_err(|fault| failed(format!("{shown}: {fault}")))?.len();
    if size > MODULE_BYTES {
        return Err(failed(format!("{shown} has {size} bytes, a module at most {MODULE_BYTES}")));
    }
    let bytes = std::fs::read(path).map_err(|fault| failed(format!("{shown}: {fault}")))?;
    match bytes.starts_with(b"\0asm\x01\0\0\0") {
        true => Ok(bytes),
        false => Err(failed(format!("{shown} is no WebAssembly module"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_no_module_is_not_served() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.wasm");
        assert!(read(&path).unwrap_err().to_string().contains("m.wasm"));
        std::fs::write(&path, "<html>").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("no WebAssembly module"));
        std::fs::write(&path, b"\0asm\x01\0\0\0rest").unwrap();
        assert_eq!(read(&path).unwrap().len(), 12);
        std::fs::File::create(&path).unwrap().set_len(MODULE_BYTES + 1).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("at most"));
    }

    #[test]
    fn the_recipe_says_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".ci")).unwrap();
        std::fs::write(folder.path().join(".ci/wasm.py"), "import sys; print('begun'); sys.exit('wasm: the target IS MISSING: do this')")
            .unwrap();
        let fault = built(folder.path()).unwrap_err().to_string();
        assert!(fault.contains("the target IS MISSING: do this") || std::io::stderr().is_terminal(), "{fault}");
        std::fs::write(folder.path().join(".ci/wasm.py"), "print('something else')").unwrap();
        assert!(built(folder.path()).unwrap_err().to_string().contains("names no module"));
    }
}
