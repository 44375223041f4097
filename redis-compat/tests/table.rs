//! Invariants of every row of the command table.
use std::path::Path;

use bytes::Bytes;
use coterie_redis_compat::syntax::{self, Argument, Kind, Type};
use coterie_redis_compat::{
    COMMANDS, Command, Flags, KeyFlags, KeySpec, ROWS, Route, Run, lookup, lookup_subcommand,
    resolve,
};

/// Every row, subcommands included.
/// Whether all of its key specs are of keys, and none of shard channels.
fn has_keys_alone(row: &Command) -> bool {
    let mut specs = row.keys.iter();
    specs.all(|spec| !spec.flags.contains(KeyFlags::NOT_KEY))
}

fn rows() -> impl Iterator<Item = &'static Command> {
    ROWS.iter()
}

#[test]
fn names_are_sorted_and_lower_case() {
    assert!(
        COMMANDS.is_sorted_by(|a, b| a.name < b.name),
        "sorted, each once"
    );
    for row in COMMANDS {
        assert!(
            row.subcommands().is_sorted_by(|a, b| a.name < b.name),
            "{}",
            row.name
        );
        for sub in row.subcommands() {
            let word = sub
                .name
                .strip_prefix(row.name)
                .and_then(|rest| rest.strip_prefix('|'));
            let found = lookup_subcommand(row, word.unwrap().to_uppercase().as_bytes());
            assert_eq!(found.map(|row| row.name), Some(sub.name));
        }
    }
    assert!(rows().all(|row| row.name == row.name.to_lowercase()));
}

#[test]
fn every_row_says_what_it_is() {
    for row in rows() {
        let told = !row.summary.is_empty() && !row.complexity.is_empty() && !row.since.is_empty();
        assert!(told, "{} has no summary, cost or version", row.name);
        assert!(
            row.summary.ends_with('.'),
            "{}: a summary is a sentence",
            row.name
        );
        assert_eq!(row.is_internal(), row.name.starts_with('_'), "{}", row.name);
        assert_ne!(row.arity, 0, "{}", row.name);
    }
}

#[test]
fn what_a_group_runs_has_keys_and_a_direction() {
    for row in rows().filter(|row| matches!(row.run, Run::Group(_))) {
        let help = row.name.ends_with("|help");
        assert!(
            help || row.is_interval() || !row.keys.is_empty(),
            "{} has no keys",
            row.name
        );
        let (read, write) = (
            row.flags.contains(Flags::READ),
            row.flags.contains(Flags::WRITE),
        );
        assert!(help || (read != write), "{} reads or writes", row.name);
        assert_ne!(row.route, Route::Local, "{}", row.name);
    }
    for row in rows().filter(|row| row.is_write() && row.is_of_group()) {
        let walks = row.route == Route::EachRange;
        assert!(
            walks || !row.keys.is_empty(),
            "{} writes without a key",
            row.name
        );
    }
}

/// All arguments of a syntax, those in groups too.
fn flat(arguments: &[Argument]) -> Vec<&Argument> {
    let mut all = Vec::new();
    for argument in arguments {
        all.push(argument);
        if let Kind::OneOf(parts) | Kind::Block(parts) = &argument.kind {
            all.extend(flat(parts));
        }
    }
    all
}

#[test]
fn the_arity_is_that_of_the_syntax() {
    // Redis' own syntax and arity do not agree here.
    let other = [
        "client|kill",
        "command|getkeys",
        "command|getkeysandflags",
        "pfmerge",
        "psync",
        "quit",
        "replconf",
    ];
    for row in rows().filter(|row| !row.is_container()) {
        let arguments = syntax::parse(row.syntax);
        let least: usize = arguments.iter().map(Argument::words_min).sum();
        let least = least as i32 + row.name.split('|').count() as i32;
        let is_fixed = arguments.iter().all(Argument::is_fixed);
        let arity = if is_fixed { least } else { -least };
        assert_eq!(
            row.arity != arity,
            other.contains(&row.name),
            "{}",
            row.name
        );
    }
}

#[test]
fn a_syntax_names_as_many_kinds_of_keys_as_there_are_key_specs() {
    // The same key in another table; keys that patterns name.
    let further = ["move", "sort", "sort_ro"];
    for row in rows().filter(|row| !row.is_internal() && has_keys_alone(row)) {
        let arguments = syntax::parse(row.syntax);
        let arguments = flat(&arguments);
        let keys = arguments
            .iter()
            .filter(|argument| argument.kind == Kind::Word(Type::Key))
            .count();
        let name = row.name;
        assert_eq!(keys == 0, row.keys.is_empty(), "{name}");
        assert!(
            row.keys.len() <= keys.max(1) + usize::from(further.contains(&name)),
            "{name}"
        );
        for argument in arguments {
            assert!(!argument.name.is_empty(), "{name}: {argument:?}");
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_:/".contains(c);
            assert!(argument.name.chars().all(fits), "{name}: {argument:?}");
        }
    }
}

#[test]
fn the_flags_of_keys_go_with_those_of_the_command() {
    let changing = [KeyFlags::RW, KeyFlags::OW, KeyFlags::RM];
    for row in rows().filter(|row| !row.keys.is_empty() && has_keys_alone(row)) {
        let changes = |spec: &KeySpec| changing.iter().any(|flag| spec.flags.contains(*flag));
        for spec in row.keys {
            assert_ne!(
                changes(spec),
                spec.flags.contains(KeyFlags::RO),
                "{}",
                row.name
            );
        }
        // In Redis PFCOUNT notes the count in the value, and XREADGROUP changes the group alone.
        let is_write = (row.is_write() && row.name != "xreadgroup") || row.name == "pfcount";
        assert_eq!(row.keys.iter().any(changes), is_write, "{}", row.name);
    }
}

#[test]
fn keys_of_both_tables_are_visited() {
    let visited = |line: &str| {
        let args: Vec<_> = line
            .split(' ')
            .map(|word| Bytes::from(word.to_owned()))
            .collect();
        let mut keys = Vec::new();
        let row = resolve(&args).unwrap();
        row.visit_keys(coterie_types::TableId(0), &args, &mut |table, key| {
            keys.push(format!("{table}:{}", String::from_utf8_lossy(key)));
        })
        .unwrap();
        keys.join(" ")
    };
    assert_eq!(visited("get k"), "0:k");
    assert_eq!(visited("mset a 1 b 2"), "0:a 0:b");
    assert_eq!(visited("move k 3"), "0:k 3:k");
    assert_eq!(visited("move k 99"), "0:k");
    assert_eq!(visited("copy a b"), "0:a 0:b");
    assert_eq!(visited("copy a b replace DB 2"), "0:a 2:b");
    assert_eq!(visited("copy a b db 2 db 3"), "0:a 3:b");
    assert_eq!(visited("copy db db db 0"), "0:db 0:db");
    assert_eq!(visited("object encoding k"), "0:k");
    assert_eq!(visited("_count a b"), "");
}

#[test]
fn every_command_a_group_runs_has_a_script() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts");
    for row in rows().filter(|row| matches!(row.run, Run::Group(_))) {
        let file = row.name.trim_start_matches('_').replace('|', "_");
        let script = scripts.join(row.topic.word()).join(file);
        assert!(script.exists(), "{} has no {}", row.name, script.display());
    }
}

#[test]
fn internal_commands_are_found_but_not_listed() {
    assert!(lookup(b"_scan").unwrap().is_internal());
    let count = coterie_redis_compat::introspect::command(&[
        Bytes::from_static(b"command"),
        Bytes::from_static(b"count"),
    ]);
    let public = COMMANDS.iter().filter(|row| !row.is_internal()).count() as i64;
    assert_eq!(count.unwrap(), coterie_redis_compat::Reply::Integer(public));
}
