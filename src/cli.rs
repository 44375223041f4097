//! The command line: the subcommands, their flags, and the function that each runs.
//!
//! Flags of a role are its crate's `Config`; flags of logging are the same everywhere.
//! `coterie_config::layer` adds the layers below the flags (environment, file, defaults).

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgMatches, Args, Command};
use coterie_telemetry::LogConfig;

use crate::threads::Threads;
use crate::{check, dev, node, rebuild, recover, restore, role};

const ABOUT: &str = "A store that speaks the Redis protocol and does not lose what it acknowledged";

const AFTER_HELP: &str = "\
Try it:
  coterie dev                    a whole cluster in one process
  redis-cli -p 6379              in another terminal

Every flag is an environment variable and a key of a TOML file too: --raft-heartbeat-interval,
COTERIE_RAFT_HEARTBEAT_INTERVAL, `heartbeat-interval` in the section [raft] of --config FILE.";

/// The whole command line.
pub(crate) fn command() -> Command {
    Command::new("coterie")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER_HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(dev::command())
        .subcommand(
            role_command::<coterie_meta::Config>("meta", "One member of the metadata service")
                .args_conflicts_with_subcommands(true)
                .subcommand_negates_reqs(true)
                .subcommand(restore::command())
                .subcommand(rebuild::command()),
        )
        .subcommand(role_command::<coterie_server::Config>(
            "server",
            "One node: replicas of groups, with their logs and stores",
        ))
        .subcommand(role_command::<coterie_proxy::Config>(
            "proxy",
            "Takes Redis clients and forwards to the groups; keeps no data",
        ))
        .subcommand(role_command::<coterie_controller::Config>(
            "controller",
            "Makes the first groups and spreads their leaders; one of several is active",
        ))
        .subcommand(node::command())
        .subcommand(check::command())
        .subcommand(recover::command())
}

fn role_command<C: Args>(name: &'static str, about: &'static str) -> Command {
    let command = Threads::augment_args(C::augment_args(Command::new(name)));
    LogConfig::augment_args(command).about(about)
}

/// Runs the given command until it ends or a signal asks it to. Returns the exit code if it
/// succeeds.
pub(crate) async fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (name, matches) = matches.subcommand().context("no command was given")?;
    if name == "check" {
        return Ok(Box::pin(check::run(matches)).await);
    }
    if name == "recover" {
        return Ok(Box::pin(recover::run(matches)).await);
    }
    if let ("meta", Some(("restore", matches))) = (name, matches.subcommand()) {
        restore::run(matches)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let ("meta", Some(("rebuild", matches))) = (name, matches.subcommand()) {
        rebuild::run(matches).await?;
        return Ok(ExitCode::SUCCESS);
    }
    match name {
        "dev" => Box::pin(dev::run(matches)).await,
        "node" => Box::pin(node::run(matches)).await,
        "meta" => role::run(matches, name, coterie_meta::run).await,
        "server" => role::run(matches, name, coterie_server::run).await,
        "proxy" => role::run(matches, name, coterie_proxy::run).await,
        "controller" => role::run(matches, name, coterie_controller::run).await,
        other => anyhow::bail!("no command `{other}`"),
    }?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    /// Clap checks a command only in debug builds, which the tests of the binary are not.
    #[test]
    fn the_command_line_is_as_clap_wants_it() {
        super::command().debug_assert();
    }
}
