//! Users and rights: properties of rules, and random rules against a real Redis.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use common::real::{Connection, Server};
use common::{Store, words};
use coterie_grammar::Grammar;
use coterie_redis_compat::acl::{Reading, User, of_category};
use coterie_redis_compat::{Categories, Command, ROWS, Reply, Resolved, Resp, Run, resolve};
use coterie_types::TableId;
use proptest::collection::vec;
use proptest::prelude::*;

/// Names that rules are about: commands, subcommands, and categories.
fn names() -> Vec<String> {
    let public = ROWS.iter().filter(|row| !row.is_internal());
    let rows = public.map(|row| row.name.to_owned());
    let categories = Categories::each().map(|one| one.words().next().unwrap().to_owned());
    let all = ["@all".to_owned()];
    rows.chain(categories).chain(all).collect()
}

/// A rule that every version takes.
fn rule() -> impl Strategy<Value = String> {
    let names = proptest::sample::select(names());
    let sign = proptest::sample::select(vec!["+", "-"]);
    let access = proptest::sample::select(vec!["~", "%R~", "%W~", "%RW~", "&"]);
    let words = [
        "on",
        "off",
        "nopass",
        "resetpass",
        "resetkeys",
        "resetchannels",
        "reset",
    ];
    prop_oneof![
        4 => (sign, names).prop_map(|(sign, name)| format!("{sign}{name}")),
        4 => (access, "[a-c*?)(\"'\\\\|~%]{0,4}").prop_map(|(sign, text)| format!("{sign}{text}")),
        1 => "[a-z]{0,3}".prop_map(|word| format!(">{word}")),
        1 => "[0-9a-z)\"]{1,3}".prop_map(|word| format!("+select|{word}")),
        1 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
    ]
}

/// As in [`rule`], some of them in parentheses.
fn rules() -> impl Strategy<Value = Vec<String>> {
    let is_inner = |rule: &String| rule.starts_with(['+', '-', '~', '%', '&']);
    let inner = vec(rule().prop_filter("of a user", is_inner), 0..4);
    let inner = inner.prop_map(|rules| {
        let quoted = rules.iter().map(|rule| {
            let escaped = rule.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{escaped}\"")
        });
        format!("({})", quoted.collect::<Vec<_>>().join(" "))
    });
    vec(prop_oneof![5 => rule(), 1 => inner], 0..12)
}

/// The user after each of these rules that is not refused.
fn user(rules: &[String]) -> User {
    let mut user = User::new(Bytes::from_static(b"u"), Reading::default());
    for rule in rules {
        let rule = Bytes::from(rule.clone());
        if let Ok(changed) = user.changed(&[rule], Reading::default()) {
            user = changed;
        }
    }
    user
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_user_is_read_back_from_its_rules(rules in rules()) {
        let user = user(&rules);
        let described = user.rules();
        let read = User::of_rules(Bytes::from_static(b"u"), &described);
        prop_assert_eq!(read.as_ref(), Ok(&user), "{:?}", described);
        prop_assert_eq!(read.unwrap().rules(), described);
    }

    #[test]
    fn no_bytes_make_rules_panic(rules in vec(vec(any::<u8>(), 0..12), 0..6)) {
        let rules: Vec<Bytes> = rules.into_iter().map(Bytes::from).collect();
        let user = User::new(Bytes::from_static(b"u"), Reading::default());
        if let Ok(user) = user.changed(&rules, Reading::default()) {
            let read = User::of_rules(Bytes::from_static(b"u"), &user.rules());
            prop_assert_eq!(read, Ok(user));
        }
        let _ = User::of_rules(Bytes::new(), &rules.concat());
    }

    #[test]
    fn more_rules_of_plus_never_take_away(first in rules(), name in proptest::sample::select(names())) {
        let before = user(&first);
        let more = user(&[first.as_slice(), &[format!("+{name}")]].concat());
        for row in ROWS.iter().filter(|row| !row.is_internal()) {
            let args: Vec<_> = row.name.split('|').map(|word| Bytes::from(word.to_owned())).collect();
            let denies = |user: &User| user.check(row, &args).is_err();
            prop_assert!(denies(&before) || !denies(&more), "{}", row.name);
        }
    }
}

fn encoded(reply: Reply) -> Bytes {
    let mut out = BytesMut::new();
    reply.encode(Resp::V2, &mut out);
    out.freeze()
}

fn bulks(items: &Bytes) -> Vec<String> {
    let text = String::from_utf8(items.to_vec()).unwrap();
    let lines = text
        .split("\r\n")
        .filter(|line| !line.starts_with(['*', '$', '%', '~']));
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The rows that the real Redis knows, too.
fn shared_rows(real: &mut Connection) -> Vec<&'static Command> {
    let mut rows = Vec::new();
    for row in ROWS.iter().filter(|row| !row.is_internal()) {
        let info = real.run(&words(&format!("command info {}", row.name)));
        if !info.starts_with(b"*1\r\n*-1") && !info.starts_with(b"*1\r\n$-1") {
            rows.push(row);
        }
    }
    rows
}

#[test]
fn categories_have_the_commands_that_they_have_in_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    let known = shared_rows(&mut real);
    let categories = bulks(&real.run(&words("acl cat")));
    let ours = Categories::each().map(|one| one.words().next().unwrap()[1..].to_owned());
    assert_eq!(ours.collect::<Vec<_>>(), categories);
    for category in Categories::each() {
        let name = &category.words().next().unwrap()[1..];
        let theirs = bulks(&real.run(&words(&format!("acl cat {name}"))));
        // Commands that Coterie does not have yet are not compared.
        let mut theirs: Vec<_> = theirs
            .iter()
            .filter(|name| known.iter().any(|row| row.name == **name))
            .map(String::as_str)
            .collect();
        let ours = of_category(category).filter(|row| known.iter().any(|one| one.name == row.name));
        let mut ours: Vec<_> = ours.map(|row| row.name).collect();
        theirs.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, theirs, "{name}");
    }
}

/// A rule for both servers.
fn shared_rule(grammar: &mut Grammar, rows: &[&'static Command]) -> String {
    const PATTERNS: [&str; 9] = [
        "k*", "{tag}*", "*", "[a-h]*", "[^x]*1", "list", "", "%", "\\*",
    ];
    const SINGLE: [&str; 14] = [
        "on",
        "off",
        "nopass",
        "resetpass",
        "allkeys",
        "resetkeys",
        "allchannels",
        "resetchannels",
        "allcommands",
        "nocommands",
        "reset",
        "clearselectors",
        "sanitize-payload",
        "skip-sanitize-payload",
    ];
    const ODD: [&str; 12] = [
        "+nothing",
        "-@nothing",
        "%Q~x",
        "+config|get|x",
        "<absent",
        "!x",
        "#12",
        "nonsense",
        "+select|",
        "-select|0",
        "&a\tb",
        "ALLKEYS",
    ];
    let sign = if grammar.one_in(3) { '-' } else { '+' };
    match grammar.below(12) {
        0..=3 => format!("{sign}{}", grammar.pick(rows).name),
        4 | 5 => {
            let at = grammar.below(21);
            let category = Categories::each().nth(at).unwrap();
            format!("{sign}{}", category.words().next().unwrap())
        }
        6 => format!("~{}", grammar.pick(&PATTERNS)),
        7 => format!(
            "%{}~{}",
            grammar.pick(&["R", "W", "RW", "r"]),
            grammar.pick(&PATTERNS)
        ),
        8 => format!("&{}", grammar.pick(&PATTERNS)),
        9 => (*grammar.pick(&SINGLE)).to_owned(),
        10 => format!(
            "+{}|{}",
            grammar.pick(rows).name,
            grammar.pick(&["0", "get", "k1"])
        ),
        _ => (*grammar.pick(&ODD)).to_owned(),
    }
}

fn shared_rules(grammar: &mut Grammar, rows: &[&'static Command]) -> Vec<Bytes> {
    let mut rules = Vec::new();
    for _ in 0..=grammar.below(6) {
        if !grammar.one_in(5) {
            rules.push(Bytes::from(shared_rule(grammar, rows)));
            continue;
        }
        let inner: Vec<_> = (0..grammar.below(4))
            .map(|_| shared_rule(grammar, rows))
            .collect();
        rules.push(Bytes::from(format!("({})", inner.join(" "))));
    }
    rules
}

/// Whether a call names several keys to store under: Redis checks the first and stores under the
/// last.
fn stores_twice(args: &[Bytes]) -> bool {
    let stores =
        |arg: &&Bytes| arg.eq_ignore_ascii_case(b"store") || arg.eq_ignore_ascii_case(b"storedist");
    args.iter().filter(stores).count() > 1
}

/// Whether our answer to DRYRUN is meant to differ: these need all keys here.
fn shows_keys(row: &Command) -> bool {
    matches!(row.name, "monitor" | "slowlog|get" | "acl|log" | "coterie")
}

fn dry_run(user: &User, args: &[Bytes]) -> Bytes {
    let row = match resolve(args) {
        Ok(row) => row,
        Err(error) => return encoded(error.into()),
    };
    encoded(match user.check(row, args) {
        Ok(()) => Reply::OK,
        Err(denial) => Reply::Bulk(denial.of_dry_run(row, args)),
    })
}

#[test]
fn random_users_may_do_what_they_may_do_in_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    let rows = shared_rows(&mut real);
    let mut grammar = Grammar::new(3);
    let (mut allowed, mut denied, mut refused) = (0, 0, 0);
    let mut user = User::new(Bytes::from_static(b"u"), Reading::default());
    real.run(&words("acl setuser u"));
    for round in 0..300 {
        if round % 5 == 0 {
            let start = *grammar.pick(&["reset", "reset +@all", "reset +@all (~* +@all -@write)"]);
            user = user.changed(&words(start), Reading::default()).unwrap();
            real.run(&words(&format!("acl setuser u {start}")));
        }
        let rules = shared_rules(&mut grammar, &rows);
        let theirs = real.run(&[words("acl setuser u"), rules.clone()].concat());
        let ours = match user.changed(&rules, Reading::default()) {
            Ok(changed) => {
                user = changed;
                encoded(Reply::OK)
            }
            Err(error) => {
                refused += 1;
                encoded(error.into())
            }
        };
        assert_eq!(ours, theirs, "{rules:?}");
        for _ in 0..60 {
            let row = *grammar.pick(&rows);
            let mut args = grammar.command(row);
            args.truncate(40);
            // Redis takes `1e3` for a count of 1 here, and refuses it afterwards.
            let is_whole = resolve(&args).is_ok_and(|row| row.positions(&args).is_ok());
            if !is_whole
                || stores_twice(&args)
                || args.iter().any(|arg| arg.contains(&0))
                || shows_keys(row)
            {
                continue;
            }
            let theirs = real.run(&[words("acl dryrun u"), args.clone()].concat());
            if theirs.starts_with(b"-ERR wrong number") {
                // Newer versions take more words.
                continue;
            }
            let ours = dry_run(&user, &args);
            assert_eq!(ours, theirs, "{args:?} by {:?}", user.rules());
            match theirs.starts_with(b"+OK") {
                true => allowed += 1,
                false => denied += 1,
            }
        }
    }
    assert!(
        allowed > 1000 && denied > 1000 && refused > 20,
        "{allowed} {denied} {refused}"
    );
}

#[test]
fn rules_about_commands_are_described_so_that_redis_reads_the_same() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    let rows = shared_rows(&mut real);
    let known = |word: &&Bytes| {
        let name = String::from_utf8_lossy(&word[1..]).into_owned();
        let is_rule = word.starts_with(b"+") || word.starts_with(b"-");
        !is_rule || name.starts_with('@') || rows.iter().any(|row| row.name == name)
    };
    let mut grammar = Grammar::new(5);
    for _ in 0..40 {
        let rules: Vec<_> = (0..4)
            .map(|_| Bytes::from(shared_rule(&mut grammar, &rows)))
            .filter(|rule| rule.starts_with(b"+") || rule.starts_with(b"-"))
            .collect();
        let user = User::new(Bytes::from_static(b"u"), Reading::default());
        let Ok(user) = user.changed(&rules, Reading::default()) else {
            continue;
        };
        let described = user.rules();
        let described: Vec<_> = described
            .split(|byte| *byte == b' ')
            .map(Bytes::copy_from_slice)
            .collect();
        let described: Vec<Bytes> = described.iter().filter(known).cloned().collect();
        real.run(&[words("acl setuser u reset"), described.clone()].concat());
        for row in &rows {
            let mut args = words(&row.name.replace('|', " "));
            let least = usize::try_from(row.arity.unsigned_abs()).unwrap();
            args.resize(least.max(args.len()), Bytes::from_static(b"1"));
            if shows_keys(row) || row.is_container() {
                continue;
            }
            let theirs = real.run(&[words("acl dryrun u"), args.clone()].concat());
            let is_denied = String::from_utf8_lossy(&theirs).contains("permissions to run the");
            let ours = user.check(row, &args);
            let ours_denies = matches!(
                ours,
                Err(denial) if denial.reason == coterie_redis_compat::acl::Reason::Command
            );
            assert_eq!(ours_denies, is_denied, "{args:?} {described:?}");
        }
    }
}

/// Keys that random commands name, and that mean themselves as patterns.
fn keys_of_random_commands(grammar: &mut Grammar) -> BTreeSet<Bytes> {
    let mut keys = BTreeSet::new();
    let rows: Vec<_> = ROWS.iter().filter(|row| !row.is_internal()).collect();
    for _ in 0..3000 {
        let row = grammar_row(grammar, &rows);
        let args = grammar.command(row);
        let command = Resolved::new(TableId(0), args);
        command.visit_keys(&mut |_, key| {
            let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"*?[]\\^".contains(byte);
            if key.iter().all(is_plain) && (1..20).contains(&key.len()) {
                keys.insert(key.clone());
            }
        });
    }
    keys
}

fn grammar_row(grammar: &mut Grammar, rows: &[&'static Command]) -> &'static Command {
    let row: &&Command = grammar.pick(rows);
    row
}

fn secret(key: &Bytes) -> Vec<u8> {
    [b"secret<", &key[..], b">"].concat()
}

/// Every key holds its secret, in a value of some type.
fn fill(store: &mut Store, keys: &BTreeSet<Bytes>) {
    const FILLS: [&[&str]; 6] = [
        &["set", "KEY", "SECRET"],
        &["rpush", "KEY", "SECRET", "1"],
        &["sadd", "KEY", "SECRET", "1"],
        &["hset", "KEY", "f", "SECRET", "SECRET", "1"],
        &["zadd", "KEY", "1", "SECRET", "2", "m"],
        &["xadd", "KEY", "1-1", "f", "SECRET"],
    ];
    for (at, key) in keys.iter().enumerate() {
        let word = |word: &&str| match *word {
            "KEY" => key.clone(),
            "SECRET" => Bytes::from(secret(key)),
            word => Bytes::from(word.to_owned()),
        };
        let args: Vec<_> = FILLS[at % FILLS.len()].iter().map(word).collect();
        store.run(0, &args, Resp::V3);
    }
}

#[test]
fn no_command_shows_the_value_of_a_key_that_its_user_may_not_read() {
    let mut grammar = Grammar::new(17);
    let keys = keys_of_random_commands(&mut grammar);
    assert!(keys.len() > 20, "{keys:?}");
    let rows: Vec<_> = ROWS
        .iter()
        .filter(|row| matches!(row.run, Run::Group(_)) && !row.is_internal())
        .collect();
    let (mut ran, mut showed) = (0, 0);
    for _ in 0..25 {
        let mut store = Store {
            now: 1,
            ..Store::default()
        };
        fill(&mut store, &keys);
        let mut rules = words("on +@all");
        let mut unreadable = Vec::new();
        for key in &keys {
            let sign = *grammar.pick(&["~", "%R~", "%W~", ""]);
            if matches!(sign, "%W~" | "") {
                unreadable.push(key.clone());
            }
            if !sign.is_empty() {
                rules.push([sign.as_bytes(), key].concat().into());
            }
        }
        let user = User::new(Bytes::from_static(b"u"), Reading::default());
        let user = user.changed(&rules, Reading::default()).unwrap();
        for _ in 0..400 {
            let row = grammar_row(&mut grammar, &rows);
            let args = grammar.command(row);
            let Ok(row) = resolve(&args) else {
                continue;
            };
            if user.check(row, &args).is_err() || user.check_options(row, &args).is_err() {
                continue;
            }
            let reply = store.run(0, &args, Resp::V3);
            ran += 1;
            let shows = |key: &Bytes| {
                let secret = secret(key);
                reply.windows(secret.len()).any(|part| part == secret)
            };
            showed += usize::from(keys.iter().any(shows));
            let found = unreadable.iter().find(|key| shows(key));
            assert_eq!(found, None, "{args:?} by {:?}", user.rules());
        }
    }
    assert!(ran > 500 && showed > 20, "{ran} {showed}");
}
