//! The TOML layer: maps the keys of a file to settings and their values.
//!
//! Sections and dashes are equivalent: `election-timeout-min` in `[raft]`,
//! `raft.election-timeout-min` and `raft-election-timeout-min` all mean
//! `--raft-election-timeout-min`. A section named after a role, `[server]`, holds settings for that
//! role alone and overrides the general settings. So a file may serve all roles: a key that only
//! another role knows is skipped, and a key that no role knows is an error.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{ArgAction, Command};
use toml::{Table, Value};

use crate::error::ConfigError;
use crate::nearest::nearest;

/// Flags that belong to the layering itself and are not allowed in a file.
pub(crate) const RESERVED: [&str; 4] = ["config", "print-config", "help", "version"];

/// The settings of a file: flag name to the values as text.
pub(crate) type Settings = BTreeMap<String, Vec<String>>;

/// Reads `table`, the content of `file`, for the command at `path` below `root`.
pub(crate) fn settings(
    root: &Command,
    path: &[String],
    file: &Path,
    table: &Table,
) -> Result<Settings, ConfigError> {
    let reader = Reader { root, path, file };
    let mut general = Settings::new();
    let mut of_role = Settings::new();
    for (key, value) in flatten(table) {
        let (scope, name) = reader.resolve(&key)?;
        let layer = match scope {
            Scope::General => &mut general,
            Scope::Role => &mut of_role,
            Scope::Elsewhere => continue,
        };
        let values = reader.values(&key, &name, value)?;
        if layer.insert(name.clone(), values).is_some() {
            let (path, key) = (file.to_owned(), key.join("."));
            return Err(ConfigError::Twice {
                path,
                key,
                flag: name,
            });
        }
    }
    general.extend(of_role);
    Ok(general)
}

/// The commands that a key applies to.
enum Scope {
    /// Every command that knows it, this command included.
    General,
    /// This role alone.
    Role,
    /// Not this command.
    Elsewhere,
}

struct Reader<'a> {
    root: &'a Command,
    path: &'a [String],
    file: &'a Path,
}

impl Reader<'_> {
    /// The flag that `key` means, without the leading dashes.
    fn resolve(&self, key: &[String]) -> Result<(Scope, String), ConfigError> {
        let whole = key.join("-");
        if let Some((role, rest)) = key.split_first()
            && let Some(command) = self.root.find_subcommand(role)
            && !rest.is_empty()
        {
            let name = rest.join("-");
            if self.path.first() == Some(role) && knows(self.leaf(), &name) {
                return Ok((Scope::Role, name));
            }
            if known_below(command, &name) {
                return Ok((Scope::Elsewhere, name));
            }
        }
        if knows(self.leaf(), &whole) {
            return Ok((Scope::General, whole));
        }
        if known_below(self.root, &whole) {
            return Ok((Scope::Elsewhere, whole));
        }
        Err(self.unknown(key))
    }

    fn leaf(&self) -> &Command {
        self.path.iter().fold(self.root, |command, name| {
            command.find_subcommand(name).unwrap_or(command)
        })
    }

    fn unknown(&self, key: &[String]) -> ConfigError {
        // Inside a role's section suggest the names of that role, without the role's own name as a
        // prefix.
        let section = key.first().and_then(|role| self.root.find_subcommand(role));
        let (scope, name, prefix) = match section {
            Some(role) if key.len() > 1 => (role, key[1..].join("-"), Some(role.get_name())),
            _ => (self.root, key.join("-"), None),
        };
        let names = names_below(scope);
        let nearest = nearest(&name, names.iter().map(String::as_str)).map(|found| {
            // In the shape of the key: for `raft.x` suggest `raft.y`.
            let shaped = key
                .first()
                .filter(|_| prefix.is_none() && key.len() > 1)
                .and_then(|first| found.strip_prefix(&format!("{first}-")).map(|r| (first, r)))
                .map_or_else(
                    || found.to_owned(),
                    |(first, rest)| format!("{first}.{rest}"),
                );
            prefix.map_or_else(|| shaped.clone(), |role| format!("{role}.{shaped}"))
        });
        ConfigError::UnknownKey {
            path: self.file.to_owned(),
            key: key.join("."),
            nearest,
        }
    }

    /// The values of a key as text, checked against the shape of its flag.
    fn values(
        &self,
        key: &[String],
        name: &str,
        value: &Value,
    ) -> Result<Vec<String>, ConfigError> {
        let shape = |expected| ConfigError::Shape {
            path: self.file.to_owned(),
            key: key.join("."),
            expected,
        };
        match value {
            Value::Array(values) if takes_list(self.leaf(), name) => values
                .iter()
                .map(|value| scalar(value).ok_or_else(|| shape("a list of plain values")))
                .collect(),
            value => Ok(vec![scalar(value).ok_or_else(|| shape("one plain value"))?]),
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

fn flatten(table: &Table) -> Vec<(Vec<String>, &Value)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                found.extend(flatten(inner).into_iter().map(|(mut path, value)| {
                    path.insert(0, key.clone());
                    (path, value)
                }));
            }
            value => found.push((vec![key.clone()], value)),
        }
    }
    found
}

fn knows(command: &Command, name: &str) -> bool {
    !RESERVED.contains(&name)
        && command
            .get_arguments()
            .any(|arg| arg.get_long() == Some(name))
}

fn known_below(command: &Command, name: &str) -> bool {
    knows(command, name) || command.get_subcommands().any(|sub| known_below(sub, name))
}

fn names_below(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(|arg| arg.get_long());
    let mut names: Vec<String> = own
        .filter(|name| !RESERVED.contains(name))
        .map(str::to_owned)
        .collect();
    names.extend(command.get_subcommands().flat_map(names_below));
    names
}

/// Whether the flag `name` of `command` may be given several values.
pub(crate) fn takes_list(command: &Command, name: &str) -> bool {
    command.get_arguments().any(|arg| {
        arg.get_long() == Some(name)
            && (matches!(arg.get_action(), ArgAction::Append)
                || arg.get_value_delimiter().is_some())
    })
}
