//! What must not be inside the programs people install: the simulated chain's keys, and the crate that holds them.
//!
//! Decides: `ringwalld`, `ringwall` and the C library, as built beside this test, hold neither the public nor the private half of a fixed
//! simulated key, no symbol of `ringwall-sim`, and not the mark of programs that can leave defences out. Trusts: the search, which is shown to find the keys where they belong.
//! Out of scope: dependencies (graph.rs). SECURITY.md, "Simulated TEEs"; style rule 4.

use std::path::{Path, PathBuf};

/// Programs that are shipped, and the library for other languages, which the tests build where they link it.
pub(crate) const SHIPPED: [&str; 3] = ["ringwalld", "ringwall", "deps/libringwall_ffi.so"];

/// Something to look for, and what it is.
#[derive(Debug)]
pub(crate) struct Needle {
    /// The key file.
    pub(crate) name: String,
    /// 48 bytes out of the middle of its modulus: in the certificate, in the public key and in the private key alike.
    pub(crate) bytes: Vec<u8>,
}

/// The needle of an RSA-4096 key in PKCS #8: its modulus is the first integer of 513 bytes.
pub(crate) fn needle(name: &str, pkcs8: &[u8]) -> Option<Needle> {
    let opening = [0x02, 0x82, 0x02, 0x01, 0x00];
    let at = pkcs8.windows(opening.len()).position(|window| window == opening)? + opening.len();
    let bytes = pkcs8.get(at + 200..at + 248)?.to_vec();
    Some(Needle { name: name.to_owned(), bytes })
}

/// The name every symbol of the crate of simulated TEEs carries.
pub(crate) fn crate_name() -> Needle {
    Needle { name: "the crate of simulated TEEs".to_owned(), bytes: b"ringwall_sim".to_vec() }
}

/// What stands in every program that can leave a defence out (sim/tests/without.rs finds it in one).
pub(crate) fn mark() -> Needle {
    Needle { name: "switches that leave defences out".to_owned(), bytes: ringwall_wire::without::MARK.to_vec() }
}

/// Which needles are in the bytes.
pub(crate) fn found<'a>(bytes: &[u8], needles: &'a [Needle]) -> Vec<&'a str> {
    needles.iter().filter(|needle| contains(bytes, &needle.bytes)).map(|needle| needle.name.as_str()).collect()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return true };
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first).map(|at| at + from) {
        if bytes[at + 1..].starts_with(rest) {
            return true;
        }
        from = at + 1;
    }
    false
}

/// Where programs stand that were built with this test: two folders above the test program.
pub(crate) fn built(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let folder = test.parent().and_then(Path::parent)?;
    Some(folder.join(name)).filter(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_key_bites() {
        let key: Vec<u8> =
            [0x30, 0x02, 0x82, 0x02, 0x01, 0x00].into_iter().chain((0..512_u32).map(|number| (number * 7 + number / 256) as u8)).collect();
        let needles = [needle("planted", &key).expect("a modulus")];
        let mut program = vec![7_u8; 4_096];
        assert!(found(&program, &needles).is_empty());
        program.splice(1_000..1_000, key);
        assert_eq!(found(&program, &needles), ["planted"]);
        program.extend(mark().bytes);
        assert_eq!(found(&program, &[mark()]), ["switches that leave defences out"]);
    }
}
