//! `cargo xtask bench`: how fast it is, measured beside other stores on this machine in this run.
//!
//! `cluster`, the default, runs `coterie-bench`: a cluster, redis-server and etcd under the same
//! load, and the ratios. `replies` measures large replies, the memory they take and what others wait
//! meanwhile; `move` a range that is cut and moved under full load. `micro` runs the criterion benches of the crates. A figure depends on the machine:
//! none decides anything in CI.

use crate::{Result, cargo, paths, setup, shell};

/// Runs one of them; the rest of `args` goes to it.
pub(crate) fn run(args: &[String]) -> Result {
    match args.split_first() {
        Some((first, rest)) if first == "micro" => micro(rest),
        Some((first, rest)) if first == "replies" => measured("replies", rest),
        Some((first, rest)) if first == "move" => measured("move", rest),
        Some((first, rest)) if first == "cluster" => measured("cluster", rest),
        _ => measured("cluster", args),
    }
}

/// `coterie-bench` with one of its commands, on the release binary.
fn measured(command: &str, args: &[String]) -> Result {
    setup::benches()?;
    let binary = paths::binary(cargo::build_binary(true)?)?;
    let mut bench = cargo::cargo()?;
    bench.args(["run", "--release", "--package", "coterie-bench", "--"]);
    bench.args([command, "--coterie"]).arg(binary).args(args);
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
