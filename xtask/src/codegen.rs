//! `cargo xtask codegen`: writes anew what is made from the code, for review in the diff.
//!
//! `docs/COMPAT.md` and the recorded replies of `testscripts/` come from the tests that compare
//! them: with `UPDATE_GOLDENFILES` they write instead. So a stale file fails the ordinary tests.

use crate::{Result, cargo, setup, shell};

/// Runs the tests of `redis-compat` so that they write.
pub(crate) fn run() -> Result {
    setup::native()?;
    let mut tests = cargo::cargo()?;
    tests
        .args(["test", "--package", "coterie-redis-compat"])
        .env("UPDATE_GOLDENFILES", "1");
    shell::run(&mut tests)
}
