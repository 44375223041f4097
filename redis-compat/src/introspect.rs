//! What `COMMAND` answers, read from the rows alone. The proxy calls [`command`] and adds nothing.
//!
//! Commands come in the order of the table, where Redis follows its hash table; internal commands
//! are left out. Source: Redis `server.c`, `addReplyCommandInfo` and what follows it.

use bytes::Bytes;

use crate::command::{Command, Group};
use crate::table::{COMMANDS, lookup, lookup_subcommand};
use crate::{Args, Categories, CommandError, KeyFlags, KeySpec, Keys, Reply, glob};

/// Runs `COMMAND` and its subcommands; `args` are all words, whose number [`crate::resolve`]
/// checked.
pub fn command(args: &[Bytes]) -> Result<Reply, CommandError> {
    let words = Args::new(args, "command");
    match () {
        () if args.len() == 1 => Ok(info_of(&[])),
        () if words.is(1, "count") => Ok(Reply::Integer(public().count() as i64)),
        () if words.is(1, "docs") => Ok(docs_of(&args[2..])),
        () if words.is(1, "getkeys") => getkeys(&args[2..]),
        () if words.is(1, "getkeysandflags") => getkeysandflags(&args[2..]),
        () if words.is(1, "help") => Ok(help()),
        () if words.is(1, "info") => Ok(info_of(&args[2..])),
        () if words.is(1, "list") => list(&args[2..]),
        () => Err(CommandError::UnknownSubcommand(args[1].clone(), "command")),
    }
}

/// The commands a client may send.
fn public() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(|command| !command.is_internal())
}

/// The row of a name such as `get` or `object|encoding`.
fn find(name: &[u8]) -> Option<&'static Command> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let command = lookup(parts.next()?).filter(|command| !command.is_internal())?;
    match parts.next() {
        Some(word) => lookup_subcommand(command, word),
        None => Some(command),
    }
}

fn bulk(text: &'static str) -> Reply {
    Reply::text(text)
}

fn simple_set(words: impl Iterator<Item = &'static str>) -> Reply {
    Reply::Set(words.map(Reply::simple).collect())
}

/// `COMMAND INFO name`: the ten elements of one command.
#[must_use]
pub fn info(row: &Command) -> Reply {
    let (first, last, step) = match row.keys {
        Keys::None | Keys::Interval { .. } | Keys::NumKeys { .. } => (0, 0, 0),
        Keys::One(at) => (at as i64, at as i64, 1),
        Keys::Range { first, last, step } => (first as i64, last.into(), step as i64),
    };
    let subcommands = match row.subcommands {
        // As Redis has it: a set when empty.
        [] => Reply::Set(Vec::new()),
        rows => Reply::Array(rows.iter().map(info).collect()),
    };
    Reply::Array(vec![
        bulk(row.name),
        Reply::Integer(row.arity.into()),
        simple_set(row.flags.words()),
        Reply::Integer(first),
        Reply::Integer(last),
        Reply::Integer(step),
        simple_set(row.all_categories().words()),
        Reply::Set(row.tips.iter().copied().map(bulk).collect()),
        Reply::Set(row.key_specs.iter().map(key_spec).collect()),
        subcommands,
    ])
}

fn key_spec(spec: &KeySpec) -> Reply {
    let typed = |kind, fields| {
        Reply::Map(vec![
            (bulk("type"), bulk(kind)),
            (bulk("spec"), Reply::Map(fields)),
        ])
    };
    let begin = typed(
        "index",
        vec![(bulk("index"), Reply::Integer(spec.first as i64))],
    );
    let range = vec![
        (bulk("lastkey"), Reply::Integer(spec.last.into())),
        (bulk("keystep"), Reply::Integer(spec.step as i64)),
        (bulk("limit"), Reply::Integer(0)),
    ];
    let notes = spec.notes.map(|notes| (bulk("notes"), bulk(notes)));
    let rest = [
        (bulk("flags"), simple_set(spec.flags.0.iter().copied())),
        (bulk("begin_search"), begin),
        (bulk("find_keys"), typed("range", range)),
    ];
    Reply::Map(notes.into_iter().chain(rest).collect())
}

/// `COMMAND INFO [name ...]`: each, null for one that is not known; all if none is named.
#[must_use]
pub fn info_of(names: &[Bytes]) -> Reply {
    if names.is_empty() {
        return Reply::Array(public().map(info).collect());
    }
    Reply::Array(
        names
            .iter()
            .map(|name| find(name).map_or(Reply::Null, info))
            .collect(),
    )
}

/// `COMMAND DOCS name`: the documentation of one command.
#[must_use]
pub fn docs(row: &Command) -> Reply {
    let mut fields = vec![
        (bulk("summary"), bulk(row.summary)),
        (bulk("since"), bulk(row.since)),
        (bulk("group"), bulk(row.group.word())),
        (bulk("complexity"), bulk(row.complexity)),
    ];
    if !row.subcommands.is_empty() {
        let subcommands = row
            .subcommands
            .iter()
            .map(|sub| (bulk(sub.name), docs(sub)));
        fields.push((bulk("subcommands"), Reply::Map(subcommands.collect())));
    }
    Reply::Map(fields)
}

/// `COMMAND DOCS [name ...]`: those that are known; all if none is named.
#[must_use]
pub fn docs_of(names: &[Bytes]) -> Reply {
    let named = |row: &'static Command| (bulk(row.name), docs(row));
    if names.is_empty() {
        return Reply::Map(public().map(named).collect());
    }
    Reply::Map(
        names
            .iter()
            .filter_map(|name| find(name))
            .map(named)
            .collect(),
    )
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`: the names.
///
/// Subcommands are listed too, by their full name. Errors: `Syntax`.
pub fn list(filter: &[Bytes]) -> Result<Reply, CommandError> {
    let names = |pass: &dyn Fn(&Command) -> bool| {
        let with_subcommands = public().flat_map(|row| std::iter::once(row).chain(row.subcommands));
        let passing = with_subcommands.filter(|row| pass(row));
        Reply::Array(passing.map(|row| bulk(row.name)).collect())
    };
    let words = Args::new(filter, "command|list");
    match filter {
        [] => Ok(names(&|_| true)),
        [_, _, value] if words.is(0, "filterby") => match () {
            () if words.is(1, "module") => Ok(Reply::Array(Vec::new())),
            () if words.is(1, "pattern") => {
                // Names are in lower case.
                let pattern = value.to_ascii_lowercase();
                Ok(names(&|row| glob::matches(&pattern, row.name.as_bytes())))
            }
            () if words.is(1, "aclcat") => {
                let category = Categories::from_word(value);
                Ok(names(&|row| {
                    category.is_some_and(|c| row.all_categories().contains(c))
                }))
            }
            () => Err(CommandError::Syntax),
        },
        _ => Err(CommandError::Syntax),
    }
}

/// `COMMAND GETKEYS name [argument ...]`: the keys. Errors: `InvalidCommandSpecified`,
/// `NoKeyArguments`, `InvalidArgumentCount`, `InvalidArguments`.
pub fn getkeys(args: &[Bytes]) -> Result<Reply, CommandError> {
    let row = row_with_keys(args)?;
    let keys = row
        .keys
        .positions(args)?
        .map(|at| Reply::Bulk(args[at].clone()));
    Ok(Reply::Array(keys.collect()))
}

/// `COMMAND GETKEYSANDFLAGS name [argument ...]`: the keys, and what is done with each. Errors: as
/// [`getkeys`].
pub fn getkeysandflags(args: &[Bytes]) -> Result<Reply, CommandError> {
    let row = row_with_keys(args)?;
    let mut keys = Vec::new();
    for spec in row.key_specs {
        let last = if spec.last < 0 {
            spec.last
        } else {
            spec.first as i32 + spec.last
        };
        let flags = actual_flags(row, spec.flags, args);
        for at in Keys::range(spec.first, last, spec.step).positions(args)? {
            let flags = simple_set(flags.iter().copied());
            keys.push(Reply::Array(vec![Reply::Bulk(args[at].clone()), flags]));
        }
    }
    Ok(Reply::Array(keys))
}

/// The flags of a key where they depend on the options: `SET` reads with GET alone, `BITFIELD`
/// writes unless all is GET.
fn actual_flags(row: &Command, flags: KeyFlags, args: &[Bytes]) -> &'static [&'static str] {
    let has = |word: &str| {
        args.iter()
            .skip(2)
            .any(|a| a.eq_ignore_ascii_case(word.as_bytes()))
    };
    match row.name {
        "set" if !args.iter().skip(3).any(|a| a.eq_ignore_ascii_case(b"get")) => &["OW", "update"],
        "bitfield" if !has("set") && !has("incrby") => &["RO", "access"],
        "set" | "bitfield" => &["RW", "access", "update"],
        _ => flags.0,
    }
}

fn row_with_keys(args: &[Bytes]) -> Result<&'static Command, CommandError> {
    let name = args.first().ok_or(CommandError::InvalidCommandSpecified)?;
    let command = lookup(name).filter(|command| !command.is_internal());
    let mut row = command.ok_or(CommandError::InvalidCommandSpecified)?;
    if !row.subcommands.is_empty()
        && let Some(word) = args.get(1)
    {
        row = lookup_subcommand(row, word).ok_or(CommandError::InvalidCommandSpecified)?;
    }
    match () {
        () if row.keys == Keys::None => Err(CommandError::NoKeyArguments),
        () if !row.takes(args.len()) => Err(CommandError::InvalidArgumentCount),
        () => Ok(row),
    }
}

/// `COMMAND HELP`.
#[must_use]
pub fn help() -> Reply {
    Reply::help(
        "COMMAND",
        &[
            "(no subcommand)",
            "    Return details about all Redis commands.",
            "COUNT",
            "    Return the total number of commands in this Redis server.",
            "LIST",
            "    Return a list of all commands in this Redis server.",
            "INFO [<command-name> ...]",
            "    Return details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "DOCS [<command-name> ...]",
            "    Return documentation details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "GETKEYS <full-command>",
            "    Return the keys from a full Redis command.",
            "GETKEYSANDFLAGS <full-command>",
            "    Return the keys and the access flags from a full Redis command.",
        ],
    )
}

/// The rows of one documentation group, subcommands behind their container.
pub fn rows_of(group: Group) -> impl Iterator<Item = &'static Command> {
    public()
        .filter(move |row| row.group == group)
        .flat_map(|row| std::iter::once(row).chain(row.subcommands))
}
