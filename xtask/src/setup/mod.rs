//! Installs what is missing, and says so. Asked again when all is there, it does nothing.
//!
//! System packages come by apt, as root or through sudo. Where neither is possible the error
//! names what to install by hand. Client libraries for the compatibility tests go into the cache,
//! not into the system.

mod apt;
mod clients;

use crate::{Result, cargo, shell};

pub(crate) use clients::dir as clients_dir;

/// What a build needs: a C++ compiler for RocksDB, libclang for its bindings, make for jemalloc.
pub(crate) fn native() -> Result {
    apt::ensure(&[apt::CXX, apt::MAKE, apt::LIBCLANG])
}

/// What the tests need: also a real Redis to compare with, wrong clocks, and client libraries.
pub(crate) fn tests() -> Result {
    apt::ensure(&[
        apt::CXX,
        apt::MAKE,
        apt::LIBCLANG,
        apt::REDIS_SERVER,
        apt::REDIS_CLI,
        apt::FAKETIME,
    ])?;
    clients::ensure();
    Ok(())
}

/// What the benches need: also the stores that are compared with.
pub(crate) fn benches() -> Result {
    apt::ensure(&[
        apt::CXX,
        apt::MAKE,
        apt::LIBCLANG,
        apt::REDIS_SERVER,
        apt::REDIS_CLI,
        apt::ETCD,
    ])
}

/// All of it.
pub(crate) fn everything() -> Result {
    tests()?;
    benches()?;
    component("fmt", "rustfmt")?;
    component("clippy", "clippy")
}

/// A component of the toolchain that gives cargo the subcommand `name`.
pub(crate) fn component(name: &str, component: &str) -> Result {
    if cargo::has(name) {
        return Ok(());
    }
    let mut rustup = std::process::Command::new("rustup");
    if shell::run(rustup.args(["component", "add", component])).is_ok() && cargo::has(name) {
        return Ok(());
    }
    Err(format!("`cargo {name}` is missing: install the toolchain's component {component}").into())
}
