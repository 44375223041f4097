//! Client libraries of other languages, for the tests that drive Coterie as users do.
//!
//! redis-py and ioredis, pinned, in `<cache>/clients`. Without a network they cannot be installed:
//! the tests that need them then report that they are skipped, and the other tests run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt;
use crate::{Result, paths, shell};

const REDIS_PY: &str = "redis==8.1.0";
const IOREDIS: &str = "ioredis@5.9.2";

/// Their directory: `python/` for PYTHONPATH, `node/node_modules` for NODE_PATH.
pub(crate) fn dir() -> Result<PathBuf> {
    Ok(paths::cache()?.join("clients"))
}

/// Installs the absent libraries; prints the name of each library that could not be installed.
pub(crate) fn ensure() {
    for (name, install) in [("redis-py", python as fn() -> Result), ("ioredis", node)] {
        if let Err(error) = install() {
            eprintln!("xtask: no {name}, its tests will be skipped: {error}");
        }
    }
}

fn python() -> Result {
    let dir = dir()?.join("python");
    if is_done(&dir, REDIS_PY) {
        return Ok(());
    }
    apt::ensure(&[apt::PIP])?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--upgrade",
    ]);
    shell::run(pip.arg("--target").arg(&dir).arg(REDIS_PY))?;
    done(&dir, REDIS_PY)
}

fn node() -> Result {
    let dir = dir()?.join("node");
    if is_done(&dir, IOREDIS) {
        return Ok(());
    }
    apt::ensure(&[apt::NPM])?;
    fs::create_dir_all(&dir)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]);
    shell::run(npm.arg(&dir).arg(IOREDIS))?;
    done(&dir, IOREDIS)
}

/// The file `installed` beside a library names the version that is completely installed.
fn is_done(dir: &Path, version: &str) -> bool {
    fs::read_to_string(dir.join("installed")).is_ok_and(|text| text.trim() == version)
}

fn done(dir: &Path, version: &str) -> Result {
    Ok(fs::write(dir.join("installed"), version)?)
}
