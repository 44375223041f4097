//! The replies of `COMMAND`, made from the rows alone. The proxy calls [`command`] and adds
//! nothing.
//!
//! Commands come in the order of the table, where Redis follows its hash table; internal commands
//! are left out. Source: Redis `server.c`, `addReplyCommandInfo` and the functions behind it.

use bytes::Bytes;

use crate::command::{Command, Topic};
use crate::errors::{INVALID_ARGUMENT_COUNT, INVALID_COMMAND_SPECIFIED, NO_KEY_ARGUMENTS, SYNTAX};
use crate::history::{Past, past_of};
use crate::syntax::{self, Argument, Kind, Type};
use crate::table::{COMMANDS, lookup, lookup_subcommand};
use crate::{
    Args, BeginSearch, Categories, CommandError, FindKeys, Flags, KeyFlags, KeySpec, Reply, glob,
};

/// Runs `COMMAND` and its subcommands; `args` are all words, whose number [`crate::resolve`]
/// checked.
pub fn command(args: &[Bytes]) -> Result<Reply, CommandError> {
    let Some(word) = args.get(1) else {
        return Ok(info_of(&[]));
    };
    match word.to_ascii_lowercase().as_slice() {
        b"count" => Ok(Reply::Integer(public().count() as i64)),
        b"docs" => Ok(docs_of(&args[2..])),
        b"getkeys" => getkeys(&args[2..]),
        b"getkeysandflags" => getkeysandflags(&args[2..]),
        b"help" => Ok(help()),
        b"info" => Ok(info_of(&args[2..])),
        b"list" => list(&args[2..]),
        _ => Err(CommandError::UnknownSubcommand(word.clone(), "command")),
    }
}

/// The commands a client may send.
fn public() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(|command| !command.is_internal())
}

/// The row of a name like `get` or `object|encoding`.
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

/// `COMMAND INFO name`: the ten elements of a command.
#[must_use]
pub fn info(row: &Command) -> Reply {
    let subcommands = match row.subcommands() {
        // As Redis has it: a set when empty.
        [] => Reply::Set(Vec::new()),
        rows => Reply::Array(rows.iter().map(info).collect()),
    };
    let mut elements = elements(row);
    elements.push(subcommands);
    Reply::Array(elements)
}

/// As [`info`], without the subcommands.
#[must_use]
pub fn info_alone(row: &Command) -> Reply {
    let mut elements = elements(row);
    elements.push(Reply::Set(Vec::new()));
    Reply::Array(elements)
}

/// Redis has this flag, and shows it to nobody.
const HIDDEN: &str = "may_replicate";

fn elements(row: &Command) -> Vec<Reply> {
    let listed = || row.keys.iter().filter(|spec| !spec.unlisted);
    let specs: Vec<_> = listed().copied().collect();
    let range = LegacyRange::of(&specs);
    let flags = if range.moves {
        row.flags.with(Flags::MOVABLE_KEYS)
    } else {
        row.flags
    };
    vec![
        bulk(row.name),
        Reply::Integer(row.arity.into()),
        simple_set(flags.words().filter(|word| *word != HIDDEN)),
        Reply::Integer(range.first),
        Reply::Integer(range.last),
        Reply::Integer(range.step),
        simple_set(row.all_categories().words()),
        Reply::Set(row.tips.iter().copied().map(bulk).collect()),
        Reply::Set(listed().map(key_spec).collect()),
    ]
}

/// The only range of words that clients knew before key specifications: it covers the runs that are
/// plain and follow each other. Source: Redis `server.c`, `populateCommandLegacyRangeSpec`.
#[derive(Default)]
struct LegacyRange {
    first: i64,
    last: i64,
    step: i64,
    /// The range does not cover all keys.
    moves: bool,
}

impl LegacyRange {
    fn of(specs: &[KeySpec]) -> Self {
        let mut all = Self::default();
        for spec in specs {
            all.moves |= spec.flags.contains(KeyFlags::INCOMPLETE);
            let (BeginSearch::Index(first), FindKeys::Range { last, step, .. }) =
                (spec.begin, spec.find)
            else {
                all.moves = true;
                continue;
            };
            let (first, last) = (first as i64, i64::from(last));
            let last = if last < 0 { last } else { first + last };
            let continues = all.step == 0 || all.last + 1 == first;
            if specs.len() > 1 && (step != 1 || !continues) {
                all.moves = true;
                continue;
            }
            if all.step == 0 {
                (all.first, all.step) = (first, step as i64);
            }
            // Below 0 is beyond all that is not.
            let is_later = all.last >= 0 && (last < 0 || last > all.last);
            all.last = if is_later { last } else { all.last };
        }
        all
    }
}

fn key_spec(spec: &KeySpec) -> Reply {
    let integer = |name, value| (bulk(name), Reply::Integer(value));
    let typed = |kind, fields| {
        Reply::Map(vec![
            (bulk("type"), bulk(kind)),
            (bulk("spec"), Reply::Map(fields)),
        ])
    };
    let begin = match spec.begin {
        BeginSearch::Index(index) => typed("index", vec![integer("index", index as i64)]),
        BeginSearch::Keyword { word, start_from } => {
            let keyword = (bulk("keyword"), bulk(word));
            typed(
                "keyword",
                vec![keyword, integer("startfrom", start_from.into())],
            )
        }
        BeginSearch::Unknown => typed("unknown", Vec::new()),
    };
    let find = match spec.find {
        FindKeys::Range { last, step, limit } => {
            let fields = [
                integer("lastkey", last.into()),
                integer("keystep", step as i64),
                integer("limit", limit as i64),
            ];
            typed("range", fields.to_vec())
        }
        FindKeys::KeyNum { count, first, step } => {
            let fields = [
                integer("keynumidx", count as i64),
                integer("firstkey", first as i64),
                integer("keystep", step as i64),
            ];
            typed("keynum", fields.to_vec())
        }
        FindKeys::Unknown => typed("unknown", Vec::new()),
    };
    let notes = spec.notes.map(|notes| (bulk("notes"), bulk(notes)));
    let rest = [
        (bulk("flags"), simple_set(spec.flags.words())),
        (bulk("begin_search"), begin),
        (bulk("find_keys"), find),
    ];
    Reply::Map(notes.into_iter().chain(rest).collect())
}

/// `COMMAND INFO [name ...]`: each, null for an unknown command; all if none is named.
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

/// `COMMAND DOCS name`: the documentation of a command.
#[must_use]
pub fn docs(row: &Command) -> Reply {
    let mut fields = vec![
        (bulk("summary"), bulk(row.summary)),
        (bulk("since"), bulk(row.since)),
        (bulk("group"), bulk(row.topic.word())),
        (bulk("complexity"), bulk(row.complexity)),
    ];
    let past = past_of(row.name);
    fields.extend(past_fields(past));
    if !row.syntax.is_empty() {
        let listed = row.keys.iter().filter(|spec| !spec.unlisted).count();
        let mut specs = Specs {
            next: 0,
            listed,
            named: row.keys.iter().position(KeySpec::is_named),
            past,
        };
        let arguments = syntax::parse(row.syntax);
        fields.push((bulk("arguments"), specs.arguments(&arguments, "")));
    }
    if row.is_container() {
        let subcommands = row
            .subcommands()
            .iter()
            .map(|sub| (bulk(sub.name), docs(sub)));
        fields.push((bulk("subcommands"), Reply::Map(subcommands.collect())));
    }
    Reply::Map(fields)
}

/// The fields about a command's past. Source: Redis `server.c`, `addReplyCommandDocs`.
fn past_fields(past: &Past) -> Vec<(Reply, Reply)> {
    let mut fields = Vec::new();
    let flags = [
        (past.replaced.is_some(), "deprecated"),
        (past.is_system, "syscmd"),
    ];
    let mut flags = flags.iter().filter(|(is_set, _)| *is_set).peekable();
    if flags.peek().is_some() {
        fields.push((bulk("doc_flags"), simple_set(flags.map(|(_, word)| *word))));
    }
    if let Some((since, by)) = past.replaced {
        fields.push((bulk("deprecated_since"), bulk(since)));
        fields.push((bulk("replaced_by"), bulk(by)));
    }
    if !past.history.is_empty() {
        let changes = past.history.iter();
        let changes = changes.map(|(since, text)| Reply::Array(vec![bulk(since), bulk(text)]));
        fields.push((bulk("history"), Reply::Set(changes.collect())));
    }
    fields
}

/// Which key specification describes an argument: they come in the same order, and the last
/// describes all keys that are left. Patterns have a specification of their own.
struct Specs {
    next: usize,
    listed: usize,
    named: Option<usize>,
    past: &'static Past,
}

impl Specs {
    /// The arguments below `path`, which is empty or ends with `/`.
    fn arguments(&mut self, arguments: &[Argument], path: &str) -> Reply {
        let replies = arguments
            .iter()
            .map(|argument| self.argument(argument, path));
        Reply::Array(replies.collect())
    }

    fn index_for(&mut self, kind: &Kind) -> Option<usize> {
        match kind {
            Kind::Word(Type::Pattern) => self.named,
            Kind::Word(Type::Key) if self.next < self.listed => {
                let skipped = usize::from(self.named == Some(self.next));
                let index = self.next + skipped;
                self.next = (index + 1).min(self.listed - 1);
                Some(index)
            }
            _ => None,
        }
    }

    /// An argument. Source: Redis `server.c`, `addReplyCommandArgList`.
    fn argument(&mut self, argument: &Argument, path: &str) -> Reply {
        let path = format!("{path}{}", argument.token.unwrap_or(&argument.name));
        let name = || Reply::Bulk(Bytes::from(argument.name.clone()));
        let mut fields = vec![
            (bulk("name"), name()),
            (bulk("type"), bulk(argument.kind.word())),
        ];
        if !matches!(argument.kind, Kind::OneOf(_) | Kind::Block(_)) {
            fields.push((bulk("display_text"), name()));
        }
        if let Some(index) = self.index_for(&argument.kind) {
            fields.push((bulk("key_spec_index"), Reply::Integer(index as i64)));
        }
        if let Some(token) = argument.token {
            fields.push((bulk("token"), bulk(token)));
        }
        let versions = [
            ("since", self.past.argument_since(&path)),
            ("deprecated_since", self.past.argument_deprecated(&path)),
        ];
        for (field, version) in versions {
            fields.extend(version.map(|version| (bulk(field), bulk(version))));
        }
        let flags = [
            (argument.optional, "optional"),
            (argument.multiple, "multiple"),
            (argument.multiple_token, "multiple_token"),
        ];
        let mut flags = flags.iter().filter(|(is_set, _)| *is_set).peekable();
        if flags.peek().is_some() {
            fields.push((bulk("flags"), simple_set(flags.map(|(_, word)| *word))));
        }
        if let Kind::OneOf(parts) | Kind::Block(parts) = &argument.kind {
            let parts = self.arguments(parts, &format!("{path}/"));
            fields.push((bulk("arguments"), parts));
        }
        Reply::Map(fields)
    }
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
/// Subcommands are listed too, by their full name. Errors: `SYNTAX`.
pub fn list(filter: &[Bytes]) -> Result<Reply, CommandError> {
    let names = |pass: &dyn Fn(&Command) -> bool| {
        let with_subcommands =
            public().flat_map(|row| std::iter::once(row).chain(row.subcommands()));
        let passing = with_subcommands.filter(|row| pass(row));
        Reply::Array(passing.map(|row| bulk(row.name)).collect())
    };
    let words = Args::new(filter, "command|list");
    match filter {
        [] => Ok(names(&|_| true)),
        [_, _, value] if words.is(0, "filterby") => {
            if words.is(1, "module") {
                Ok(Reply::Array(Vec::new()))
            } else if words.is(1, "pattern") {
                // Names are in lower case.
                let pattern = value.to_ascii_lowercase();
                Ok(names(&|row| glob::matches(&pattern, row.name.as_bytes())))
            } else if words.is(1, "aclcat") {
                let category = Categories::from_word(value);
                Ok(names(&|row| {
                    category.is_some_and(|c| row.all_categories().contains(c))
                }))
            } else {
                Err(SYNTAX)
            }
        }
        _ => Err(SYNTAX),
    }
}

/// `COMMAND GETKEYS name [argument ...]`: the keys. Errors: `INVALID_COMMAND_SPECIFIED`,
/// `NO_KEY_ARGUMENTS`, `INVALID_ARGUMENT_COUNT`, `INVALID_ARGUMENTS`.
pub fn getkeys(args: &[Bytes]) -> Result<Reply, CommandError> {
    let keys = row_with_keys(args)?.positions(args)?;
    let keys = keys.map(|at| Reply::Bulk(args[at].clone()));
    Ok(Reply::Array(keys.collect()))
}

/// `COMMAND GETKEYSANDFLAGS name [argument ...]`: the keys, and how the command uses each. Errors:
/// as [`getkeys`].
pub fn getkeysandflags(args: &[Bytes]) -> Result<Reply, CommandError> {
    let row = row_with_keys(args)?;
    let mut keys = Vec::new();
    for spec in row.keys.iter().filter(|spec| !spec.unlisted) {
        let flags = row.key_flags(spec, args);
        for at in spec.positions(args)? {
            let flags = simple_set(flags.words());
            keys.push(Reply::Array(vec![Reply::Bulk(args[at].clone()), flags]));
        }
    }
    Ok(Reply::Array(keys))
}

fn row_with_keys(args: &[Bytes]) -> Result<&'static Command, CommandError> {
    let name = args.first().ok_or(INVALID_COMMAND_SPECIFIED)?;
    let command = lookup(name).filter(|command| !command.is_internal());
    let mut row = command.ok_or(INVALID_COMMAND_SPECIFIED)?;
    if row.is_container()
        && let Some(word) = args.get(1)
    {
        row = lookup_subcommand(row, word).ok_or(INVALID_COMMAND_SPECIFIED)?;
    }
    let is_key = |spec: &KeySpec| !spec.flags.contains(KeyFlags::NOT_KEY);
    if !row.keys.iter().any(is_key) {
        Err(NO_KEY_ARGUMENTS)
    } else if row.takes(args.len()) {
        Ok(row)
    } else {
        Err(INVALID_ARGUMENT_COUNT)
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

/// The rows of a topic, subcommands behind their container.
pub fn rows_of(topic: Topic) -> impl Iterator<Item = &'static Command> {
    public()
        .filter(move |row| row.topic == topic)
        .flat_map(|row| std::iter::once(row).chain(row.subcommands()))
}
