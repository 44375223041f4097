//! Random sequences of commands, from the syntax of the command table (`coterie-grammar`), and the
//! commands of the proxy that are worth comparing.
//!
//! A row says which of these lists its command belongs to: how many keys it has, how it is
//! scattered over groups, whether its reply depends on the moment.

use coterie_grammar::{Choice, Grammar, Hints, ReplyKind, compared_rows};
use coterie_redis_compat::{Command as Row, Route, Topic};

use crate::rng::Rng;

/// The words of a command, as a client sends it.
pub type Command = Vec<Vec<u8>>;

/// Rows that are left out: the reply depends on another table, which FLUSHALL empties for both, but
/// whose ranges may be anywhere.
const LEFT_OUT: &[&str] = &["move"];

/// Commands that take more words since Redis 7.2: an older Redis refuses the number of words, and
/// aborts a transaction for it.
pub(super) const LONGER: &[&str] = &["zrank", "zrevrank"];

/// Forms of the proxy's commands whose reply depends on an order in memory.
const LOOSE: &[&str] = &["KEYS pattern"];

/// A page of SCAN holds all keys only if they are in the same group; otherwise the cursor goes on.
const SCANS: &[&str] = &[
    "SCAN 0 COUNT 10000",
    "SCAN 0 COUNT 10000 MATCH pattern",
    "SCAN 0 COUNT 10000 TYPE STRING",
];

/// Forms on no key or on all keys, and some with unknown names.
const OTHER: &[&str] = &[
    "PING",
    "PING value",
    "ECHO value",
    "DBSIZE",
    "SELECT number:integer",
    "SELECT 0",
    "CLIENT GETNAME",
    "CLIENT SETNAME key",
    "UNWATCH",
    "DISCARD",
    "EXEC",
    "OBJECT NOSUCH key",
    "CLIENT NOSUCH",
    "NOSUCH key value",
    "NOSUCH",
];

/// The groups of the keys that a command may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// All keys are in the same group: every form works.
    OneGroup,
    /// Keys are in several groups: commands that need all keys in the same group are left out.
    ManyGroups,
}

/// Every command on keys that sequences may hold, for a test that checks that none is missing.
///
/// Random elements differ between any two servers, and so do the ids that a stream makes from the
/// time: `redis-compat/tests/differential.rs` compares these commands.
pub fn commands() -> impl Iterator<Item = &'static Row> {
    compared_rows().filter(|row| {
        let is_comparable = !matches!(
            Hints::of(row).reply,
            ReplyKind::Ours | ReplyKind::Random | ReplyKind::Scan | ReplyKind::Moments
        );
        is_comparable && row.topic != Topic::Stream && !LEFT_OUT.contains(&row.name)
    })
}

/// Whether the reply depends on the moment or on an order in memory, or is written differently by
/// the versions of Redis.
fn is_loose(row: &Row) -> bool {
    let is_written_differently = matches!(
        Hints::of(row).reply,
        ReplyKind::Time | ReplyKind::AnyOrder | ReplyKind::Scores | ReplyKind::Encoding
    );
    is_written_differently || LONGER.contains(&row.name)
}

/// Whether the command is scattered over groups.
fn is_scattered(row: &Row) -> bool {
    matches!(
        row.route,
        Route::SumOverKeys | Route::ArrayOverKeys | Route::PairsOverKeys
    )
}

/// The lists to choose from.
struct Lists {
    on_keys: Choice,
    scattered: Choice,
    loose: Choice,
    loose_forms: Vec<&'static str>,
}

impl Lists {
    fn new(spread: Spread) -> Self {
        let together = |row: &Row| spread == Spread::OneGroup || row.has_one_key();
        let mut loose_forms = LOOSE.to_vec();
        if spread == Spread::OneGroup {
            loose_forms.extend(SCANS);
        }
        let plain = || commands().filter(|row| !is_loose(row));
        Self {
            on_keys: Choice::new(plain().filter(|row| !is_scattered(row) && together(row))),
            scattered: Choice::new(plain().filter(|row| is_scattered(row))),
            loose: Choice::new(
                commands().filter(|row| is_loose(row) && (is_scattered(row) || together(row))),
            ),
            loose_forms,
        }
    }
}

/// A random sequence of about `len` commands.
pub fn sequence(rng: &mut Rng, len: usize, spread: Spread) -> Vec<Command> {
    // The keys of another database may be in other groups: COPY stays in its own.
    let mut grammar = Grammar::new(rng.next()).without("DB");
    let lists = Lists::new(spread);
    let mut sequence = Vec::new();
    while sequence.len() < len {
        match rng.below(100) {
            0..65 => sequence.extend(chosen(&lists.on_keys, &mut grammar)),
            65..77 => sequence.extend(chosen(&lists.scattered, &mut grammar)),
            77..83 => sequence.extend(chosen(&lists.loose, &mut grammar)),
            83..87 => sequence.push(form(rng.pick::<&str>(&lists.loose_forms), &mut grammar)),
            87..96 => sequence.push(spoiled_form(rng, &mut grammar)),
            _ if spread == Spread::OneGroup => {
                transaction(rng, &mut grammar, &lists.on_keys, &mut sequence);
            }
            _ => {}
        }
    }
    sequence
}

/// Perhaps `WATCH`, then `MULTI`, a few commands, and `EXEC` or `DISCARD`.
fn transaction(rng: &mut Rng, grammar: &mut Grammar, rows: &Choice, sequence: &mut Vec<Command>) {
    if rng.percent(40) {
        sequence.push(form("WATCH key ...", grammar));
    }
    if rng.percent(20) {
        sequence.extend(chosen(rows, grammar));
    }
    sequence.push(form("MULTI", grammar));
    for _ in 0..rng.below(6) {
        if rng.percent(5) {
            sequence.push(form("MULTI", grammar));
        } else {
            sequence.extend(chosen(rows, grammar));
        }
    }
    let end = if rng.percent(80) { "EXEC" } else { "DISCARD" };
    sequence.push(form(end, grammar));
}

fn chosen(rows: &Choice, grammar: &mut Grammar) -> Option<Command> {
    let row = rows.pick(grammar)?;
    Some(words(&grammar.command(row)))
}

fn form(form: &'static str, grammar: &mut Grammar) -> Command {
    words(&grammar.form(form))
}

/// A command of the proxy, now and then with a mistake in it.
fn spoiled_form(rng: &mut Rng, grammar: &mut Grammar) -> Command {
    let mut command = grammar.form(rng.pick::<&str>(OTHER));
    if rng.percent(8) {
        grammar.spoil(&mut command);
    }
    words(&command)
}

fn words(command: &[bytes::Bytes]) -> Command {
    command.iter().map(|word| word.to_vec()).collect()
}
