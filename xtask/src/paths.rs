//! Where things are.

use std::path::PathBuf;

use crate::Result;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // The folder above its own is the workspace. Cargo says at run time where that is: with a target
    // directory that checkouts share, the binary may have been compiled in another one.
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().map_or_else(|| own.clone(), PathBuf::from)
}

/// `${XDG_CACHE_HOME:-~/.cache}/coterie`: what is expensive to make and may be deleted.
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
        // Cargo reads a relative one from the directory it is run in, which is the root here.
        Some(dir) => Ok(root().join(dir)),
        None => Ok(cache()?.join("target")),
    }
}

/// The `coterie` binary of a profile's directory, `debug` or `release`.
pub(crate) fn binary(profile: &str) -> Result<PathBuf> {
    Ok(target()?.join(profile).join("coterie"))
}
