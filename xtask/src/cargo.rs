//! Cargo as every command runs it: from the root, with the shared target directory and the prebuilt
//! RocksDB.

use std::process::Command;

use crate::{Result, paths, rocksdb, shell};

/// `cargo` with the environment of this workspace.
pub(crate) fn cargo() -> Result<Command> {
    let mut cargo = plain();
    cargo.env("CARGO_TARGET_DIR", paths::target()?);
    // A developer who names an archive of RocksDB gets that archive.
    if std::env::var_os("ROCKSDB_LIB_DIR").is_none() {
        cargo
            .env("ROCKSDB_LIB_DIR", rocksdb::lib_dir()?)
            .env("ROCKSDB_STATIC", "1");
    }
    Ok(cargo)
}

/// `cargo` for subcommands that compile nothing: fmt, tree, metadata.
pub(crate) fn plain() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root());
    cargo
}

/// Builds the `coterie` binary; returns the name of the profile's directory.
pub(crate) fn build_binary(release: bool) -> Result<&'static str> {
    let mut build = cargo()?;
    build.args(["build", "--package", "coterie"]);
    if release {
        build.arg("--release");
    }
    shell::run(&mut build)?;
    Ok(if release { "release" } else { "debug" })
}

/// Whether cargo has the subcommand `name`: built in, a component, or installed.
pub(crate) fn has(name: &str) -> bool {
    shell::succeeds(plain().args([name, "--version"]))
}
