//! Finds the `coterie` binary: the file `COTERIE_BIN` if set; otherwise cargo builds it, once per
//! test process, into the target directory of the running test.
//!
//! Cargo builds it in release mode even for debug tests: whole-cluster tests prove the binary that
//! people run. `COTERIE_BIN_PROFILE=dev` asks for the debug build.
//!
//! `CARGO_BIN_EXE_coterie` is of no use: cargo sets it only for tests of the binary's own package.

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
    let target_dir = exe.ancestors().nth(3);
    let target_dir = target_dir.context("the test is in no target folder")?;
    let profile = match std::env::var("COTERIE_BIN_PROFILE") {
        Ok(given) if !given.is_empty() => given,
        _ => "release".to_owned(),
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
        .args(["--profile", &profile, "--target-dir"])
        .arg(target_dir)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "cargo build failed");
    let folder = match profile.as_str() {
        "dev" => "debug",
        other => other,
    };
    Ok(target_dir.join(folder).join("coterie"))
}
