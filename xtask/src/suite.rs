//! `cargo xtask suite`: Redis' own Tcl suite against Coterie and against redis-server.
//!
//! `redis-compat/tcl/run.sh` does the work, on a cluster in memory; its head explains its options.

use std::process::Command;

use crate::{Result, cargo, paths, setup, shell};

/// Builds `coterie`, optimized unless `--debug` is among `args`, and runs the suite. The other
/// words are options and units of the script.
pub(crate) fn run(mut args: Vec<String>) -> Result {
    let before = args.len();
    args.retain(|arg| arg != "--debug");
    setup::suite()?;
    let binary = paths::binary(cargo::build_binary(args.len() == before)?)?;
    let mut script = Command::new(paths::root().join("redis-compat/tcl/run.sh"));
    script.arg("-f").arg("-b").arg(binary).args(args);
    shell::run(&mut script)
}
