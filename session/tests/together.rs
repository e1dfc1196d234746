//! All tests of this crate that are not beside their code, as one program.
