//! `cargo xtask bench`: how fast it is, measured beside other stores on this machine in this run.
//!
//! `cluster`, the default, runs `coterie-bench`: a cluster, redis-server and etcd under the same
//! load, and the ratios. `micro` runs the criterion benches of the crates. A figure depends on the
//! machine: neither decides anything in CI.

use crate::{Result, cargo, paths, setup, shell};

/// Runs one of the two; the rest of `args` goes to it.
pub(crate) fn run(args: &[String]) -> Result {
    match args.split_first() {
        Some((first, rest)) if first == "micro" => micro(rest),
        Some((first, rest)) if first == "cluster" => cluster(rest),
        _ => cluster(args),
    }
}

fn cluster(args: &[String]) -> Result {
    setup::benches()?;
    let binary = paths::binary(cargo::build_binary(true)?)?;
    let mut bench = cargo::cargo()?;
    bench.args(["run", "--release", "--package", "coterie-bench", "--"]);
    bench.args(["cluster", "--coterie"]).arg(binary).args(args);
    shell::run(&mut bench)
}

fn micro(args: &[String]) -> Result {
    setup::native()?;
    let mut bench = cargo::cargo()?;
    shell::run(
        bench
            .args(["bench", "--workspace", "--bench", "*"])
            .args(args),
    )
}
