//! The compiled C++ of RocksDB, cached and linked by every build.
//!
//! Compiling it takes ten to twenty minutes, and cargo would repeat that for each profile, set of
//! flags and target directory. So the ordinary build of `librocksdb-sys` compiles it once,
//! optimized; its archive is copied from the build directory into the cache, and `ROCKSDB_LIB_DIR`
//! with `ROCKSDB_STATIC` makes every later build link the copy.
//!
//! The bindings are made from the headers of a `librocksdb-sys`, and the archive must come from the
//! same version. So its directory is named by that version, read from Cargo.lock, and by the
//! features.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, paths, shell};

/// The features that change the archive's contents, as in the root's Cargo.toml.
const FEATURES: &str = "lz4-zstd";
const ARCHIVE: &str = "librocksdb.a";

/// The directory of the archive; builds the archive if it is absent.
pub(crate) fn lib_dir() -> Result<PathBuf> {
    let lock = fs::read_to_string(paths::root().join("Cargo.lock"))?;
    let version = locked_version(&lock, "librocksdb-sys")
        .ok_or("Cargo.lock names no librocksdb-sys; did the storage crate lose it?")?;
    let dir = paths::cache()?.join(format!("rocksdb-{version}-{FEATURES}"));
    if !dir.join(ARCHIVE).is_file() {
        build(&dir, &version)?;
    }
    Ok(dir)
}

fn build(dir: &Path, version: &str) -> Result {
    eprintln!("xtask: compiling RocksDB {version} once, ten to twenty minutes on two cores;");
    eprintln!("xtask: it is kept as {}", dir.join(ARCHIVE).display());
    // Cargo reports on standard output, in JSON, the directory of each build script's output. A
    // search of the target directory could find the build of another version.
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--package", "librocksdb-sys"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(paths::root())
        .env("CARGO_TARGET_DIR", paths::target()?)
        .env_remove("ROCKSDB_LIB_DIR")
        .env_remove("ROCKSDB_STATIC")
        .stdin(Stdio::null());
    let messages = shell::output(&mut cargo)?;
    let out_dir = messages
        .lines()
        .filter(|line| line.contains(r#""reason":"build-script-executed""#))
        .filter(|line| line.contains("librocksdb-sys"))
        .find_map(|line| json_string(line, "out_dir"))
        .ok_or("cargo did not say where it built librocksdb-sys")?;
    keep(&Path::new(&out_dir).join(ARCHIVE), dir)
}

/// Copies the archive, then renames it to its place: no reader finds half of it.
fn keep(built: &Path, dir: &Path) -> Result {
    fs::create_dir_all(dir)?;
    let part = dir.join(format!("{ARCHIVE}.{}", std::process::id()));
    fs::copy(built, &part).map_err(|error| format!("copy {}: {error}", built.display()))?;
    fs::rename(&part, dir.join(ARCHIVE))?;
    Ok(())
}

/// The version of `package` in the text of a Cargo.lock.
fn locked_version(lock: &str, package: &str) -> Option<String> {
    let mut lines = lock
        .lines()
        .skip_while(|line| *line != format!("name = \"{package}\""));
    let version = lines.nth(1)?.strip_prefix("version = \"")?;
    Some(version.trim_end_matches('"').to_owned())
}

/// The first string of this name in a line of JSON. Paths need no other escapes than these.
fn json_string(line: &str, name: &str) -> Option<String> {
    let (_, rest) = line.split_once(&format!(r#""{name}":""#))?;
    let (text, _) = rest.split_once('"')?;
    Some(text.replace(r"\/", "/").replace(r"\\", r"\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_lock() {
        let lock = "[[package]]\nname = \"librocksdb\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"librocksdb-sys\"\nversion = \"0.19.0+11.8.1\"\n";
        assert_eq!(
            locked_version(lock, "librocksdb-sys").as_deref(),
            Some("0.19.0+11.8.1")
        );
        assert_eq!(locked_version(lock, "other"), None);
    }

    #[test]
    fn the_directory_is_read_from_what_cargo_says() {
        let line = r##"{"reason":"build-script-executed","package_id":"registry+x#librocksdb-sys@1","linked_libs":["static=rocksdb"],"env":[],"out_dir":"/t/release/build/librocksdb-sys-5e3f/out"}"##;
        let found = json_string(line, "out_dir");
        assert_eq!(
            found.as_deref(),
            Some("/t/release/build/librocksdb-sys-5e3f/out")
        );
        assert_eq!(json_string(line, "absent"), None);
    }
}
