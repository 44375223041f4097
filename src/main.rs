//! The `coterie` binary: every role of a cluster, alone or several in one process.
//!
//! It parses flags, sets up logs and signals, and calls the `run(config)` of a role. The roles are
//! libraries and know nothing of each other; `dev` and `node` are where several are put together.
//! `check` and `recover` ask a cluster that runs, and are no roles.
//!
//! Exit codes: 0 after a drain, 1 when a role failed, 2 when the configuration cannot be used,
//! 130 when a second signal cut the drain short. `check` and `recover` have
//! their own: 0, 1 and 2.

mod check;
mod cli;
mod dev;
mod host;
mod node;
mod ready;
mod rebuild;
mod recover;
mod restore;
mod role;
mod roles;
mod signals;
mod threads;

use std::process::ExitCode;

use clap::ArgMatches;
use coterie_config::{ConfigError, Layered};

/// Half of the cost of glibc's for what a server allocates (`docs/benchmarks.md`). RocksDB keeps to glibc's:
/// as `malloc` of the whole process jemalloc hangs at start under libfaketime, by which tests turn clocks.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What a configuration that cannot be used ends with, as clap's own errors do.
const EXIT_CONFIG: u8 = 2;

fn main() -> ExitCode {
    match coterie_config::layer(cli::command(), std::env::args_os()) {
        Ok(Layered::Run(matches)) => run(&matches),
        Ok(Layered::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        // Help and version are such "errors" too: clap knows where to print, and the code.
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

/// Tells the person at the terminal, with every cause. Logs may be JSON, or off.
fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("coterie: {error:#}");
    ExitCode::from(code)
}
