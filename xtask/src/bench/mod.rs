//! `cargo xtask bench`: the benches of the crates.

use crate::{Result, cargo, setup, shell};

/// Runs `cargo bench` over the workspace with `args`.
pub(crate) fn run(args: &[String]) -> Result {
    setup::benches()?;
    let mut bench = cargo::cargo()?;
    shell::run(bench.args(["bench", "--workspace"]).args(args))
}
