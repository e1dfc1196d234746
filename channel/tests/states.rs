//! SB1 by the compiler: an unverified session has no way to carry application bytes, and verdicts cannot be made up.
//!
//! Each file of `tests/ui/` must fail to compile, for the reason in the `.stderr` beside it.

#[test]
fn illegal_states_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
