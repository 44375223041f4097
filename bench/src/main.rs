//! Measures a cluster beside redis-server and etcd: the same load, one machine, one run.
//!
//! `coterie-bench cluster --coterie target/release/coterie` starts each peer in turn, loads it with
//! keys, measures SET and GET in several shapes, stops it, and prints a table and the ratios;
//! `coterie-bench replies` does so for large replies, `coterie-bench move` for a range that is
//! split and moved under full load. `--json` writes the same to a file. Whether the project's bars
//! are met is printed and decides nothing: a figure depends on the machine, so it is no test.

mod cpu;
mod disk;
mod load;
mod moves;
mod origin;
mod peers;
mod plan;
mod raw;
mod replies;
mod report;
mod run;

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
    /// Clients that read much at once, what it takes of memory, and what others wait meanwhile.
    Replies(replies::Settings),
    /// A range that is split and moved three times under full load.
    Move(moves::Settings),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Cluster(settings) => run::cluster(&settings),
        Command::Replies(settings) => replies::run(&settings),
        Command::Move(settings) => moves::run(&settings),
    }
}
