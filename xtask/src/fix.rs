//! `cargo xtask fix`: applies every correction that a program can make. Writes to the tree.

use crate::{Result, cargo, codegen, setup, shell, tidy};

/// rustfmt, clippy's own corrections, generated files, and the lists of tidy where counts fell.
pub(crate) fn run() -> Result {
    setup::native()?;
    setup::component("clippy", "clippy")?;
    setup::component("fmt", "rustfmt")?;
    let mut clippy = cargo::cargo()?;
    clippy.args(["clippy", "--fix", "--workspace", "--all-targets"]);
    shell::run(clippy.args(["--allow-dirty", "--allow-staged"]))?;
    shell::run(cargo::plain().args(["fmt", "--all"]))?;
    codegen::run()?;
    tidy::run(&["--shrink".to_owned()])
}
