//! Walks a syntax and draws the words of a call.

use bytes::Bytes;
use coterie_redis_compat::syntax::{Argument, Kind, parse};

use crate::words::pool_of;
use crate::{Grammar, Hints};

impl Grammar {
    pub(crate) fn fill_syntax(
        &mut self,
        syntax: &'static str,
        hints: &Hints,
        words: &mut Vec<Bytes>,
    ) {
        self.fill_all(&parse(syntax), hints, words);
    }

    /// The elements in their order; options that stand side by side in any order.
    fn fill_all(&mut self, arguments: &[Argument], hints: &Hints, words: &mut Vec<Bytes>) {
        let mut rest = arguments;
        while let [first, after @ ..] = rest {
            let options = rest
                .iter()
                .take_while(|argument| is_option(argument))
                .count();
            if options > 0 {
                self.fill_options(&rest[..options], hints, words);
                rest = &rest[options..];
                continue;
            }
            if first.name == "numkeys"
                && let [keys, after @ ..] = after
                && !self.one_in(8)
            {
                self.fill_counted(keys, hints, words);
                rest = after;
                continue;
            }
            let is_there = !first.optional || self.one_in(2);
            if is_there {
                self.fill_repeated(first, hints, words);
            }
            rest = after;
        }
    }

    /// Keys behind their number.
    fn fill_counted(&mut self, keys: &Argument, hints: &Hints, words: &mut Vec<Bytes>) {
        let at = words.len();
        words.push(Bytes::new());
        self.fill_repeated(keys, hints, words);
        words[at] = Bytes::from((words.len() - at - 1).to_string());
    }

    /// Some of the options, none of them most often.
    fn fill_options(&mut self, options: &[Argument], hints: &Hints, words: &mut Vec<Bytes>) {
        let count = *self.pick(&[0, 0, 0, 1, 1, 1, 2, 3]);
        for _ in 0..count {
            if self.one_in(15) {
                words.push(self.word("junk"));
                continue;
            }
            let option = self.pick(options).clone();
            self.fill_repeated(&option, hints, words);
        }
    }

    fn fill_repeated(&mut self, argument: &Argument, hints: &Hints, words: &mut Vec<Bytes>) {
        let token = argument.token.filter(|_| argument.kind != Kind::Token);
        if argument
            .token
            .is_some_and(|token| self.left_out.contains(&token))
        {
            return;
        }
        let times = if argument.multiple {
            1 + self.below(4)
        } else {
            1
        };
        for time in 0..times {
            if let Some(token) = token.filter(|_| time == 0 || argument.multiple_token) {
                words.push(self.keyword(token));
            }
            // A keyword whose argument was forgotten.
            if token.is_none() || !self.one_in(30) {
                self.fill_one(argument, hints, words);
            }
        }
    }

    fn fill_one(&mut self, argument: &Argument, hints: &Hints, words: &mut Vec<Bytes>) {
        match &argument.kind {
            Kind::Token if hints.pool(&argument.name).is_some() => {
                let pool = hints.pool(&argument.name).unwrap_or_default();
                words.push(self.word(pool));
            }
            Kind::Token => {
                let token = argument.token.unwrap_or_default();
                words.push(self.keyword(token));
            }
            Kind::Word(of) => {
                let pool = hints.pool(&argument.name);
                let word = self.word(pool.unwrap_or_else(|| pool_of(&argument.name, *of)));
                words.push(word);
            }
            Kind::OneOf(_) if self.one_in(20) => words.push(self.word("junk")),
            Kind::OneOf(parts) => {
                let part = self.pick(parts).clone();
                self.fill_repeated(&part, hints, words);
            }
            // As many of each: the keys and ids of XREAD.
            Kind::Block(parts) if parts.len() > 1 && parts.iter().all(|part| part.multiple) => {
                let times = 1 + self.below(3);
                for part in parts {
                    for _ in 0..times {
                        self.fill_one(part, hints, words);
                    }
                }
            }
            Kind::Block(parts) => self.fill_all(parts, hints, words),
        }
    }

    fn keyword(&mut self, token: &'static str) -> Bytes {
        match self.below(3) {
            0 => Bytes::from(token.to_lowercase()),
            _ => Bytes::from_static(token.as_bytes()),
        }
    }
}

/// Whether an element may stand in another place: it begins with a keyword.
fn is_option(argument: &Argument) -> bool {
    let begins = match &argument.kind {
        Kind::OneOf(parts) => parts.iter().all(|part| part.token.is_some()),
        _ => false,
    };
    argument.optional && (argument.token.is_some() || begins)
}
