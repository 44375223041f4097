//! `cargo xtask codegen`: regenerates the files that are made from the code, for review in the
//! diff.
//!
//! Tests compare `docs/COMPAT.md`, the tables of `docs/settings.md` and the recorded replies of
//! `testscripts/` with the code. With `UPDATE_GOLDENFILES` they write the files instead. So a stale
//! file fails the ordinary tests.

use crate::{Result, cargo, setup, shell};

/// The tests that write: all of `redis-compat`, and a test of the binary, which knows all flags.
const WRITERS: [&[&str]; 2] = [
    &["--package", "coterie-redis-compat"],
    &["--package", "coterie", "--bin", "coterie", "settings_md"],
];

/// Runs these tests in writing mode.
pub(crate) fn run() -> Result {
    setup::native()?;
    for writer in WRITERS {
        let mut tests = cargo::cargo()?;
        tests
            .arg("test")
            .args(writer)
            .env("UPDATE_GOLDENFILES", "1");
        shell::run(&mut tests)?;
    }
    Ok(())
}
