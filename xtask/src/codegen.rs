//! `cargo xtask codegen`: regenerates the files that are made from the code, for review in the
//! diff.
//!
//! The tests of `redis-compat` compare `docs/COMPAT.md` and the recorded replies of `testscripts/`
//! with the code. With `UPDATE_GOLDENFILES` they write the files instead. So a stale file fails the
//! ordinary tests.

use crate::{Result, cargo, setup, shell};

/// Runs the tests of `redis-compat` in writing mode.
pub(crate) fn run() -> Result {
    setup::native()?;
    let mut tests = cargo::cargo()?;
    tests
        .args(["test", "--package", "coterie-redis-compat"])
        .env("UPDATE_GOLDENFILES", "1");
    shell::run(&mut tests)
}
