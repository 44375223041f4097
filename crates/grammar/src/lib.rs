//! Random commands, made from the syntax in the command table: most of them valid.
//!
//! A [`Grammar`] walks a row's syntax. It draws options in any order, repeats them now and then,
//! leaves words out or puts wrong words in, and fills arguments from small pools of words
//! (`words.rs`), so that commands meet on the same keys. Names and types of arguments choose the
//! pool; where that is not enough, the row's `hints` do (`hints.rs`).
//!
//! The same seed makes the same commands. Nothing here makes a reply depend on the moment: times
//! are over or far ahead, and each relative time is used once, ten seconds apart from all others,
//! so that the order of two does not depend on the millisecond.
//!
//! Callers: the differential tests of `redis-compat` and the whole-cluster tests. Only tests depend
//! on this crate.

mod fill;
mod geo;
mod hints;
mod keys;
mod list;
mod payloads;
mod rng;
mod set;
mod stream;
mod words;
mod zset;

use bytes::Bytes;
use coterie_redis_compat::{Command, ROWS, Run};

pub use hints::{Hints, ReplyKind};
pub use rng::Rng;

/// The newest Redis that the replies are compared with.
const REDIS: (u32, u32) = (7, 2);

/// A source of random commands.
#[derive(Debug, Clone)]
pub struct Grammar {
    rng: Rng,
    /// Values in the format of `DUMP`.
    payloads: Vec<Bytes>,
    /// How many relative times were made.
    times: u64,
    /// The milliseconds of the greatest id of a stream.
    ids: u64,
    /// Keywords that are never sent.
    left_out: Vec<&'static str>,
}

impl Grammar {
    /// The source of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            payloads: payloads::payloads(),
            times: 0,
            ids: 0,
            left_out: Vec::new(),
        }
    }

    /// Never sends this keyword, nor the argument behind it.
    #[must_use]
    pub fn without(mut self, keyword: &'static str) -> Self {
        self.left_out.push(keyword);
        self
    }

    /// Any number.
    fn next(&mut self) -> u64 {
        self.rng.next()
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.rng.below(end)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A random item of `items`, which is not empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        self.rng.pick(items)
    }

    /// Keeps a reply to `DUMP`, for `RESTORE`.
    pub fn remember_payload(&mut self, payload: Bytes) {
        self.payloads.push(payload);
    }

    /// From here on ids of streams are behind this millisecond.
    pub fn begin_ids(&mut self, ms: u64) {
        self.ids = self.ids.max(ms);
    }

    /// A call of the command; every twelfth has a mistake in it.
    pub fn command(&mut self, row: &Command) -> Vec<Bytes> {
        let mut words = self.name(row.name);
        self.fill_syntax(row.syntax, &Hints::of(row), &mut words);
        // Without a word, another would be the timeout of a command that waits.
        if self.one_in(12) && !row.may_wait() {
            self.spoil(&mut words);
        }
        words
    }

    /// The words of a form: keywords stand for themselves, other words for arguments.
    pub fn form(&mut self, form: &'static str) -> Vec<Bytes> {
        let mut words = Vec::new();
        self.fill_syntax(form, &Hints::default(), &mut words);
        words
    }

    /// A mistake that people make: a word is missing, wrong, or too many.
    pub fn spoil(&mut self, words: &mut Vec<Bytes>) {
        let at = 1 + self.below(words.len().max(2) - 1);
        match self.below(3) {
            0 if at < words.len() => drop(words.remove(at)),
            1 if at < words.len() => words[at] = self.word("junk"),
            _ => words.push(self.word("junk")),
        }
    }

    /// The words of a row's name, in any case.
    fn name(&mut self, name: &str) -> Vec<Bytes> {
        let capitals = self.one_in(4);
        let cased = |word: &str| {
            if capitals {
                word.to_uppercase()
            } else {
                word.to_owned()
            }
        };
        name.split('|')
            .map(|word| Bytes::from(cased(word)))
            .collect()
    }
}

/// The rows of commands that groups run for clients, and that the Redis compared with knows, too.
pub fn compared_rows() -> impl Iterator<Item = &'static Command> {
    ROWS.iter().filter(|row| {
        let on_keys = matches!(row.run, Run::Group(_)) && !row.keys.is_empty();
        on_keys && !row.is_internal() && is_known(row)
    })
}

/// Whether the Redis compared with knows the command.
#[must_use]
pub fn is_known(row: &Command) -> bool {
    version(row.since) <= Some(REDIS)
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Rows to choose from, by the weights in their hints.
#[derive(Debug, Clone)]
pub struct Choice(Vec<&'static Command>);

impl Choice {
    /// A choice among `rows`.
    pub fn new(rows: impl Iterator<Item = &'static Command>) -> Self {
        let weighted = rows.flat_map(|row| std::iter::repeat_n(row, Hints::of(row).weight));
        Self(weighted.collect())
    }

    /// How many rows there are, each as often as its weight says.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.0.len()
    }

    /// A random row; `None` if there are none.
    pub fn pick(&self, grammar: &mut Grammar) -> Option<&'static Command> {
        (!self.0.is_empty()).then(|| *grammar.pick(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use coterie_redis_compat::syntax::{Argument, Kind, parse};

    use super::*;

    fn tokens(arguments: &[Argument], found: &mut BTreeSet<&'static str>) {
        for argument in arguments {
            found.extend(argument.token);
            if let Kind::OneOf(parts) | Kind::Block(parts) = &argument.kind {
                tokens(parts, found);
            }
        }
    }

    #[test]
    fn every_keyword_of_every_syntax_is_sent() {
        let mut grammar = Grammar::new(1);
        for row in compared_rows() {
            let mut wanted = BTreeSet::new();
            tokens(&parse(row.syntax), &mut wanted);
            let newer = Hints::of(row).newer;
            wanted.retain(|token| !newer.contains(token));
            for _ in 0..3000 {
                for word in grammar.command(row) {
                    wanted.retain(|token| !word.eq_ignore_ascii_case(token.as_bytes()));
                }
                if wanted.is_empty() {
                    break;
                }
            }
            assert!(wanted.is_empty(), "{}: never {wanted:?}", row.name);
        }
    }

    #[test]
    fn most_commands_have_as_many_words_as_they_take() {
        let mut grammar = Grammar::new(2);
        let mut wrong = 0;
        for row in compared_rows() {
            let words = |name: &str| name.split('|').count();
            let fits = (0..400)
                .filter(|_| {
                    let command = grammar.command(row);
                    command.len() >= words(row.name) && row.takes(command.len())
                })
                .count();
            assert!(fits > 300, "{}: {fits} of 400", row.name);
            wrong += 400 - fits;
        }
        assert!(wrong > 0, "nobody makes a mistake");
    }

    #[test]
    fn a_seed_says_it_all() {
        let all = |seed| {
            let mut grammar = Grammar::new(seed);
            compared_rows()
                .map(|row| grammar.command(row))
                .collect::<Vec<_>>()
        };
        assert_eq!(all(3), all(3));
        assert_ne!(all(3), all(4));
    }

    #[test]
    fn a_keyword_that_is_left_out_is_never_sent() {
        let mut grammar = Grammar::new(5).without("DB");
        let copy = compared_rows().find(|row| row.name == "copy");
        for _ in 0..2000 {
            let words = copy.map(|row| grammar.command(row)).unwrap_or_default();
            let sent = words.iter().any(|word| word.eq_ignore_ascii_case(b"db"));
            assert!(!sent && !words.is_empty());
        }
    }

    #[test]
    fn a_form_is_filled() {
        let mut grammar = Grammar::new(6);
        let words = grammar.form("SCAN 0 COUNT 10000 MATCH pattern");
        assert_eq!(words.len(), 6);
        let plain: Vec<_> = words[..5].iter().map(|w| w.to_ascii_uppercase()).collect();
        assert_eq!(plain, [&b"SCAN"[..], b"0", b"COUNT", b"10000", b"MATCH"]);
    }
}
