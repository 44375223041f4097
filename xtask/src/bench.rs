//! `cargo xtask bench`: measures the speed of Coterie and of other stores on this machine, in one
//! run.
//!
//! `cluster`, the default, runs `coterie-bench`: a cluster, redis-server and etcd under the same
//! load, and the ratios. `replies` measures large replies: the memory that they take and how long
//! other clients wait meanwhile. `types` measures commands of every type beside SET and GET,
//! `pubsub` messages to many subscribers, `move` a range that is split and moved under full load.
//! `micro` runs the criterion benches of the crates. The figures depend on the machine, so CI
//! checks none of them.

use crate::{Result, cargo, paths, setup, shell};

/// Runs the benchmark that the first word names; the other words are its arguments.
pub(crate) fn run(args: &[String]) -> Result {
    match args.split_first() {
        Some((first, rest)) if first == "micro" => micro(rest),
        Some((first, rest)) if first == "replies" => measured("replies", rest),
        Some((first, rest)) if first == "types" => measured("types", rest),
        Some((first, rest)) if first == "pubsub" => measured("pubsub", rest),
        Some((first, rest)) if first == "move" => measured("move", rest),
        Some((first, rest)) if first == "cluster" => measured("cluster", rest),
        _ => measured("cluster", args),
    }
}

/// `coterie-bench command`, on the release binary.
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
