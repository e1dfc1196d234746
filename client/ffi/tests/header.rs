//! The header is what its source makes.
//!
//! Decides: that `client/ffi/include/ringwall.h` is neither stale nor edited, with the very file `cargo xtask header` uses. Trusts: a C compiler for whether it is C, which
//! `programs.rs` asks. Out of scope: what functions do.

use std::path::Path;

#[path = "../../../xtask/src/header.rs"]
mod generator;

#[test]
fn the_header_is_what_its_source_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let made = generator::made(&generator::SOURCES.map(read)).unwrap();
    assert!(read(generator::HEADER) == made, "{} is stale: cargo xtask header --write", generator::HEADER);
    let exports = read("client/ffi/src/exports.rs");
    let named: Vec<&str> = exports.split("fn ringwall_").skip(1).filter_map(|rest| rest.split('(').next()).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(made.contains(&format!("ringwall_{name}(")), "ringwall_{name} is not in the header");
    }
}
