//! The directories of the repository, of the cache and of builds.

use std::path::PathBuf;

use crate::Result;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // The parent of xtask's folder is the workspace. Cargo names that folder at run time: the
    // binary may have been compiled in another checkout that shares the target directory.
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().map_or_else(|| own.clone(), PathBuf::from)
}

/// `${XDG_CACHE_HOME:-~/.cache}/coterie`: builds and downloads. They may be deleted, and take long
/// to make again.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => std::env::home_dir()
            .ok_or("no home directory: set XDG_CACHE_HOME")?
            .join(".cache"),
    };
    Ok(base.join("coterie"))
}

/// Cargo's target directory: shared by all checkouts unless `CARGO_TARGET_DIR` says otherwise.
pub(crate) fn target() -> Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
        // Cargo resolves a relative path from its working directory, which is the root here.
        Some(dir) => Ok(root().join(dir)),
        None => Ok(cache()?.join("target")),
    }
}

/// The `coterie` binary of a profile's directory, `debug` or `release`.
pub(crate) fn binary(profile: &str) -> Result<PathBuf> {
    Ok(target()?.join(profile).join("coterie"))
}
