//! Adds the layers to a `clap::Command`: flags > environment > file > defaults.
//!
//! There are two passes. The first is lenient: nothing is required, and only the role and its
//! `--config` are read. The settings of the file then become the *defaults* of their flags, and the
//! second pass is clap's ordinary parsing: so clap itself provides the order of the layers, and the
//! errors for bad values.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::error::ConfigError;
use crate::file::{self, Settings};
use crate::print;

/// The outcome of parsing the command line.
#[derive(Debug)]
pub enum Layered {
    /// Run with these settings.
    Run(ArgMatches),
    /// `--print-config` was given: print this, and exit.
    Print(String),
}

/// Parses `argv` (the program's name first) with every layer in force.
///
/// Each flag with a long name gets an environment variable `COTERIE_<NAME>` unless it has one,
/// and each subcommand gets `--config FILE` and `--print-config`.
///
/// # Errors
/// See [`ConfigError`]; `--help` and `--version` come as `ConfigError::Usage`.
pub fn layer<I, T>(command: Command, argv: I) -> Result<Layered, ConfigError>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let argv: Vec<OsString> = argv.into_iter().map(Into::into).collect();
    let mut command = prepared(command);
    command.build();
    let first = lenient(command.clone()).try_get_matches_from(&argv)?;
    let (path, leaf) = leaf_of(&first);

    if let Some(file) = leaf.try_get_one::<PathBuf>("config").ok().flatten() {
        let table = read(file)?;
        let settings = file::settings(&command, &path, file, &table)?;
        command = with_defaults(command, &path, &settings);
    }
    let matches = command.clone().try_get_matches_from(&argv)?;
    let (path, leaf) = leaf_of(&matches);
    if leaf.try_get_one::<bool>("print-config").ok().flatten() == Some(&true) {
        let leaf_command = path.iter().fold(&command, |command, name| {
            command.find_subcommand(name).unwrap_or(command)
        });
        return Ok(Layered::Print(print::in_force(leaf_command, leaf)));
    }
    Ok(Layered::Run(matches))
}

/// Adds the environment and the flags of the layering to every subcommand.
fn prepared(command: Command) -> Command {
    with_environment(command).mut_subcommands(|sub| {
        sub.arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .env("COTERIE_CONFIG")
                .value_parser(value_parser!(PathBuf))
                .help_heading("Configuration")
                .help("A TOML file of settings; flags and environment win over it"),
        )
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help_heading("Configuration")
                .help("Print the settings in force as TOML, and exit"),
        )
        .mut_subcommands(with_environment)
    })
}

fn with_environment(command: Command) -> Command {
    let named = command.mut_args(|arg| match (arg.get_long(), arg.get_env()) {
        (Some(long), None) if !file::RESERVED.contains(&long) => {
            let name = format!("COTERIE_{}", long.to_uppercase().replace('-', "_"));
            arg.env(name)
        }
        _ => arg,
    });
    named.mut_subcommands(with_environment)
}

fn lenient(command: Command) -> Command {
    command
        .mut_args(|arg| arg.required(false))
        .mut_subcommands(lenient)
}

/// Follows the subcommands: their names, and the matches of the last.
fn leaf_of(matches: &ArgMatches) -> (Vec<String>, &ArgMatches) {
    let mut path = Vec::new();
    let mut leaf = matches;
    while let Some((name, inner)) = leaf.subcommand() {
        path.push(name.to_owned());
        leaf = inner;
    }
    (path, leaf)
}

fn read(path: &Path) -> Result<toml::Table, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    text.parse().map_err(|source| ConfigError::Syntax {
        path: path.to_owned(),
        source,
    })
}

fn with_defaults(command: Command, path: &[String], settings: &Settings) -> Command {
    match path.split_first() {
        Some((name, rest)) => {
            command.mut_subcommand(name, |sub| with_defaults(sub, rest, settings))
        }
        None => command.mut_args(
            |arg| match arg.get_long().and_then(|name| settings.get(name)) {
                // A required flag counts as given if the file sets it.
                Some(values) => arg.required(false).default_values(values.clone()),
                None => arg,
            },
        ),
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
