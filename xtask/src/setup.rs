//! Installs missing programs and prints their names. A second call does nothing.
//!
//! apt installs system packages, as root or through sudo. Where neither is possible, the error
//! names the packages to install by hand. Client libraries for the compatibility tests go into the
//! cache, not into the system.

mod apt;
mod clients;

use crate::{Result, cargo, shell};

pub(crate) use clients::dir as clients_dir;

/// Requirements of a build: a C++ compiler for RocksDB, libclang for its bindings, make for
/// jemalloc.
pub(crate) fn native() -> Result {
    apt::ensure(&[apt::CXX, apt::MAKE, apt::LIBCLANG])
}

/// Requirements of the tests: those of a build, a real Redis for comparison, wrong clocks, and
/// client libraries.
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

/// Requirements of the benches: those of a build, and the stores that Coterie is compared with.
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

/// Requirements of Redis' own test suite: those of a build, Tcl, a Redis, and what fetches its
/// source.
pub(crate) fn suite() -> Result {
    apt::ensure(&[
        apt::CXX,
        apt::MAKE,
        apt::LIBCLANG,
        apt::TCL,
        apt::REDIS_SERVER,
        apt::REDIS_CLI,
        apt::DPKG_DEV,
    ])
}

/// The requirements of all commands.
pub(crate) fn everything() -> Result {
    tests()?;
    benches()?;
    suite()?;
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
