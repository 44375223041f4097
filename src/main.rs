//! The `coterie` binary: every role of a cluster, alone or several in a process.
//!
//! It parses flags, sets up logs and signals, and calls the `run(config)` of a role. The roles are
//! libraries and know nothing of each other; `dev` and `node` put several together. `check` and
//! `recover` are no roles: they ask a running cluster.
//!
//! Exit codes: 0 after a drain, 1 when a role failed, 2 when the configuration cannot be used, 130
//! when a second signal cut the drain short. `check` and `recover` give 0, 1 and 2 meanings of
//! their own.

#[cfg(test)]
mod arenas;
mod check;
mod cli;
mod dev;
mod host;
mod node;
mod operator;
mod ready;
mod rebuild;
mod recover;
mod restore;
mod role;
mod roles;
#[cfg(test)]
mod settings_md;
mod signals;
mod threads;

use std::process::ExitCode;

use clap::ArgMatches;
use coterie_config::{ConfigError, Layered};

/// Costs half as much as glibc's allocator for the allocations of a server (`docs/benchmarks.md`).
/// RocksDB keeps glibc's: as `malloc` of the whole process, jemalloc hangs at start under
/// libfaketime, which tests use to change clocks. `malloc.c` bounds the arenas of that one.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit code for a configuration that cannot be used, as for clap's own errors.
const EXIT_CONFIG: u8 = 2;

fn main() -> ExitCode {
    match coterie_config::layer(cli::command(), std::env::args_os()) {
        Ok(Layered::Run(matches)) => run(&matches),
        Ok(Layered::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        // Help and version are "errors" of this kind too: clap knows where to print them, and the
        // code.
        Err(ConfigError::Usage(error)) => error.exit(),
        Err(error) => complain(&error.into(), EXIT_CONFIG),
    }
}

fn run(matches: &ArgMatches) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads::count(matches))
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(&anyhow::Error::from(error).context("start threads"), 1),
    };
    match runtime.block_on(cli::run(matches)) {
        Ok(code) => code,
        Err(error) => complain(&error, 1),
    }
}

/// Prints the error with every cause for the person at the terminal. Logs may be JSON, or off.
fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("coterie: {error:#}");
    ExitCode::from(code)
}
