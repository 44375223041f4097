//! `docs/settings.md`: its tables are written from the flags; this fails when they are stale.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p coterie --bin coterie settings_md` writes them anew, between
//! the two marks. The text before the marks is written by hand.
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::{Arg, Command};
use coterie_protocol::settings::SETTINGS;

use crate::cli;

const BEGIN: &str = "<!-- Written from the flags by src/settings_md.rs; do not edit. -->\n";
const END: &str = "<!-- The end of the written tables. -->\n";

/// A setting that several roles share stands in their common table.
const ROLES: [&str; 4] = ["meta", "server", "proxy", "controller"];

/// Commands with flags of their own. Their tables leave out the flags of the roles: the short help
/// of `node` and `dev` hides most of them, and the rest stands in an earlier table.
const COMMANDS: [&[&str]; 6] = [
    &["node"],
    &["dev"],
    &["check"],
    &["recover"],
    &["meta", "restore"],
    &["meta", "rebuild"],
];

#[test]
fn settings_md_is_what_the_flags_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let stored = fs::read_to_string(&path).unwrap();
    let (before, rest) = stored.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let written = format!("{before}{BEGIN}{}{END}{after}", tables());
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        fs::write(&path, &written).unwrap();
        return;
    }
    assert!(
        stored == written,
        "docs/settings.md is stale: run with UPDATE_GOLDENFILES=1"
    );
}

fn tables() -> String {
    let command = cli::command();
    let (mut out, mut known) = (String::new(), BTreeSet::new());
    for (roles, of_roles) in by_roles(&command) {
        let title = format!("Settings of {}", roles.join(", "));
        table(&mut out, &title, &of_roles);
        known.extend(of_roles);
    }
    for path in COMMANDS {
        let mut own = rows(find(&command, path));
        own.retain(|row| !known.contains(row));
        let title = format!("Flags of `coterie {}`", path.join(" "));
        table(&mut out, &title, &own);
    }
    let cluster = SETTINGS.iter().map(|setting| {
        let default = format!("`{}`", setting.default);
        let meaning = format!("{} ({})", setting.meaning, setting.kind.values());
        row(setting.name, &default, &meaning)
    });
    let cluster: Vec<String> = cluster.collect();
    table(
        &mut out,
        "Settings of the cluster (`COTERIE SETTING`)",
        &cluster,
    );
    out.push('\n');
    out
}

/// The rows of all roles by the roles that share them, the most shared first.
fn by_roles(command: &Command) -> Vec<(Vec<&'static str>, Vec<String>)> {
    let mut roles_of: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for role in ROLES {
        for row in rows(find(command, &[role])) {
            roles_of.entry(row).or_default().push(role);
        }
    }
    let mut tables: BTreeMap<Vec<&'static str>, Vec<String>> = BTreeMap::new();
    for (row, roles) in roles_of {
        tables.entry(roles).or_default().push(row);
    }
    let mut tables: Vec<_> = tables.into_iter().collect();
    tables.sort_by_key(|(roles, _)| Reverse(roles.len()));
    tables
}

fn find<'a>(command: &'a Command, path: &[&str]) -> &'a Command {
    path.iter().fold(command, |command, name| {
        command.find_subcommand(name).unwrap()
    })
}

fn table(out: &mut String, title: &str, rows: &[String]) {
    writeln!(out, "\n## {title}\n\n| name | default | meaning |").unwrap();
    writeln!(out, "|---|---|---|").unwrap();
    for row in rows {
        out.push_str(row);
    }
}

/// A line for each flag that help shows, sorted.
fn rows(command: &Command) -> Vec<String> {
    let shown = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !arg.is_hide_short_help_set());
    let mut rows: Vec<String> = shown.filter_map(row_of).collect();
    rows.sort();
    rows
}

fn row_of(arg: &Arg) -> Option<String> {
    let long = arg.get_long()?;
    let takes_value = arg.get_action().takes_values();
    let default: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    let default = match default.join(",") {
        _ if !takes_value => String::new(),
        _ if arg.is_required_set() => "required".to_owned(),
        text if text.is_empty() => text,
        text => format!("`{text}`"),
    };
    let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
    for value in arg.get_possible_values() {
        if let Some(help) = value.get_help() {
            write!(meaning, ". `{}`: {help}", value.get_name()).unwrap();
        }
    }
    Some(row(&format!("--{long}"), &default, &meaning))
}

fn row(name: &str, default: &str, meaning: &str) -> String {
    let meaning = meaning.replace('|', "\\|");
    format!("| `{name}` | {default} | {meaning} |\n")
}
