//! Measures a cluster beside redis-server and etcd: the same load on the same machine in one run.
//!
//! `coterie-bench cluster --coterie target/release/coterie` starts each peer in turn, loads it with
//! keys, measures SET and GET in several shapes, stops it, and prints a table and the ratios;
//! `coterie-bench types` measures commands of every type, `coterie-bench replies` large replies,
//! `coterie-bench pubsub` messages to many subscribers, `coterie-bench move` a range that is split
//! and moved under full load. `--json` writes the results to a file. The report says whether the
//! project's bars are met, but a missed bar is no failure: figures depend on the machine.

mod cpu;
mod disk;
mod load;
mod moves;
mod origin;
mod peers;
mod plan;
mod pubsub;
mod raw;
mod replies;
mod report;
mod run;
mod types;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "coterie-bench", about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// SET and GET against Coterie, redis-server in three settings, and etcd.
    Cluster(plan::Settings),
    /// Commands of every type, beside SET and GET, and beside Redis; and a queue.
    Types(types::Settings),
    /// Clients that read much at once: the memory it takes, and the latency of other clients.
    Replies(replies::Settings),
    /// Subscribers over two proxies that all get every message.
    Pubsub(pubsub::Settings),
    /// A range that is split and moved three times under full load.
    Move(moves::Settings),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Cluster(settings) => run::cluster(&settings),
        Command::Types(settings) => types::run(&settings),
        Command::Replies(settings) => replies::run(&settings),
        Command::Pubsub(settings) => pubsub::run(&settings),
        Command::Move(settings) => moves::run(&settings),
    }
}
