//! `--print-config`: the settings in force, as TOML that `--config` reads back.
//!
//! Values are printed as written (`500ms`, not `0.5`). Secrets, which are the flags that hide their
//! environment value in `--help`, are listed without their value.

use std::fmt::Write as _;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::Value;

use crate::file::{RESERVED, takes_list};

/// Components whose settings have their own section; the other settings come first.
const SECTIONS: [&str; 7] = ["raft", "storage", "log", "rpc", "cluster", "client", "tls"];

/// Prints the values that `matches` holds for the flags of `command`.
pub(crate) fn in_force(command: &Command, matches: &ArgMatches) -> String {
    let args: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| arg.get_long().is_some_and(|name| !RESERVED.contains(&name)))
        .collect();
    let mut text = format!("# Settings of `coterie {}` in force.\n", command.get_name());
    for arg in args.iter().filter(|arg| section_of(arg).is_none()) {
        line(&mut text, command, matches, arg, name_of(arg));
    }
    for section in SECTIONS {
        let mut lines = String::new();
        for arg in args.iter().filter(|arg| section_of(arg) == Some(section)) {
            let name = name_of(arg);
            line(
                &mut lines,
                command,
                matches,
                arg,
                &name[section.len() + 1..],
            );
        }
        if !lines.is_empty() {
            text.push_str(&format!("\n[{section}]\n{lines}"));
        }
    }
    text
}

fn name_of(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_default()
}

fn section_of(arg: &Arg) -> Option<&'static str> {
    let (first, _) = name_of(arg).split_once('-')?;
    SECTIONS.into_iter().find(|section| *section == first)
}

fn line(text: &mut String, command: &Command, matches: &ArgMatches, arg: &Arg, key: &str) {
    let id = arg.get_id().as_str();
    let written = if arg.is_hide_env_values_set() {
        let given = matches.contains_id(id);
        writeln!(
            text,
            "# {key} is {}",
            if given {
                "given, and secret"
            } else {
                "not given"
            }
        )
    } else {
        match value_of(command, matches, arg) {
            Some(value) => writeln!(text, "{key} = {value}{}", source_of(matches, id)),
            None => writeln!(text, "# {key} is not set"),
        }
    };
    written.expect("a String takes any text");
}

fn source_of(matches: &ArgMatches, id: &str) -> &'static str {
    match matches.value_source(id) {
        Some(ValueSource::CommandLine) => "  # by flag",
        Some(ValueSource::EnvVariable) => "  # by environment",
        _ => "",
    }
}

fn value_of(command: &Command, matches: &ArgMatches, arg: &Arg) -> Option<Value> {
    let id = arg.get_id().as_str();
    if matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse) {
        return Some(Value::Boolean(matches.get_flag(id)));
    }
    let raw = matches.get_raw(id)?;
    let values: Vec<Value> = raw.map(|value| scalar(&value.to_string_lossy())).collect();
    if takes_list(command, name_of(arg)) {
        return Some(Value::Array(values));
    }
    values.into_iter().next()
}

fn scalar(text: &str) -> Value {
    // Only numbers that read back as the same text: `007` and `+7` stay strings.
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => Value::Integer(number),
        _ => match text {
            "true" => Value::Boolean(true),
            "false" => Value::Boolean(false),
            _ => Value::String(text.to_owned()),
        },
    }
}
