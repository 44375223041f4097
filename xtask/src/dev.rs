//! `cargo xtask dev`: takes a bare machine to a running cluster.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::{Result, cargo, paths, setup};

/// Builds `coterie`, optimized unless `--debug` is among `args`, and becomes `coterie dev ARGS`.
pub(crate) fn run(mut args: Vec<String>) -> Result {
    let before = args.len();
    args.retain(|arg| arg != "--debug");
    setup::native()?;
    let profile = cargo::build_binary(args.len() == before)?;
    // Not a child: Ctrl-C and SIGTERM then reach the cluster itself, which drains.
    let error = Command::new(paths::binary(profile)?)
        .arg("dev")
        .args(args)
        .exec();
    Err(format!("cannot start coterie: {error}").into())
}
