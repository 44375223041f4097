//! Where the `coterie` binary is: `COTERIE_BIN` if set, else built by cargo, once per test process,
//! into the target directory and profile that the running test came from.
//!
//! `CARGO_BIN_EXE_coterie` does not serve: cargo sets it only for tests of the binary's own package.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, ensure};

/// The path of the binary, built if need be.
pub fn coterie() -> anyhow::Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| locate().map_err(|error| format!("{error:#}")));
    match found {
        Ok(path) => Ok(path),
        Err(why) => Err(anyhow::anyhow!("no coterie binary: {why}")),
    }
}

fn locate() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("COTERIE_BIN") {
        let path = PathBuf::from(given);
        ensure!(
            path.is_file(),
            "COTERIE_BIN names no file: {}",
            path.display()
        );
        return Ok(path);
    }
    // <target>/<profile folder>/deps/<this test>
    let exe = std::env::current_exe()?;
    let profile_dir = exe
        .ancestors()
        .nth(2)
        .context("test binary has no profile folder")?;
    let target_dir = profile_dir
        .parent()
        .context("profile folder has no parent")?;
    let folder = profile_dir.file_name().and_then(|name| name.to_str());
    let profile = match folder.context("profile folder has no name")? {
        "debug" => "dev",
        other => other,
    };
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--quiet",
            "--package",
            "coterie",
            "--bin",
            "coterie",
        ])
        .args(["--profile", profile, "--target-dir"])
        .arg(target_dir)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "cargo build failed");
    Ok(profile_dir.join("coterie"))
}
