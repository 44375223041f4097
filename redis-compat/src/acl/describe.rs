//! A user as rules, in the form that `ACL LIST` prints.
//!
//! The rules of commands are found anew from the bits (Redis 7.0 `acl.c`,
//! `ACLDescribeSelectorCommandRules`): from all or nothing, category by category, best fit first,
//! then command by command. Reading the rules gives the same user.

use bytes::Bytes;

use super::allowed::{Allowed, of_category, rows};
use super::patterns::{Channels, Keys};
use super::selector::Selector;
use super::user::{Sanitize, User};
use super::words::push_inner;
use crate::{Categories, Command};

impl User {
    /// Its rules, as `ACL LIST` prints them behind the name.
    #[must_use]
    pub fn rules(&self) -> Bytes {
        let mut words: Vec<Vec<u8>> = Vec::new();
        words.extend(self.flags().map(|word| word.as_bytes().to_vec()));
        words.extend(
            self.passwords()
                .map(|digits| format!("#{digits}").into_bytes()),
        );
        words.extend(self.selector_words());
        words.join(&b' ').into()
    }

    /// Its rules without flags and passwords, for a leader that runs a script of the user;
    /// `None` if it may do everything.
    #[must_use]
    pub fn script_rules(&self) -> Option<Bytes> {
        let described = || Bytes::from(self.selector_words().join(&b' '));
        (!self.is_unrestricted()).then(|| self.for_scripts.0.get_or_init(described).clone())
    }

    fn selector_words(&self) -> Vec<Vec<u8>> {
        let (root, others) = self.selectors.split_first().expect("a user has selectors");
        let mut words = root.words();
        for selector in others {
            let mut inner = b"(".to_vec();
            for (at, word) in selector.words().iter().enumerate() {
                if at > 0 {
                    inner.push(b' ');
                }
                push_inner(&mut inner, word);
            }
            inner.push(b')');
            words.push(inner);
        }
        words
    }

    /// Its flags, in Redis' order.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let flags = [
            (self.is_on, "on"),
            (!self.is_on, "off"),
            (self.needs_no_password, "nopass"),
            (self.sanitize == Sanitize::Skip, "skip-sanitize-payload"),
            (self.sanitize == Sanitize::Always, "sanitize-payload"),
        ];
        flags
            .into_iter()
            .filter(|(set, _)| *set)
            .map(|(_, word)| word)
    }

    /// The digests of its passwords, in hexadecimal.
    pub fn passwords(&self) -> impl Iterator<Item = String> {
        self.passwords.iter().map(ToString::to_string)
    }

    /// The rules outside of parentheses, then those within.
    #[must_use]
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }
}

impl Selector {
    /// All of its rules.
    fn words(&self) -> Vec<Vec<u8>> {
        let mut words = self.key_words();
        if self.channels != Channels::All {
            words.push(b"resetchannels".to_vec());
        }
        words.extend(self.channel_words());
        words.extend(self.command_words());
        words
    }

    /// Its rules about commands, as `ACL GETUSER` shows them.
    #[must_use]
    pub fn commands(&self) -> Bytes {
        self.command_words().join(&b' ').into()
    }

    /// Its patterns of keys, likewise.
    #[must_use]
    pub fn keys(&self) -> Bytes {
        self.key_words().join(&b' ').into()
    }

    /// Its patterns of channels, likewise.
    #[must_use]
    pub fn channels(&self) -> Bytes {
        self.channel_words().join(&b' ').into()
    }

    fn key_words(&self) -> Vec<Vec<u8>> {
        match &self.keys {
            Keys::All => vec![b"~*".to_vec()],
            Keys::These(patterns) => patterns
                .iter()
                .map(|one| [one.sign(), &one.pattern].concat())
                .collect(),
        }
    }

    fn channel_words(&self) -> Vec<Vec<u8>> {
        match &self.channels {
            Channels::All => vec![b"&*".to_vec()],
            Channels::These(patterns) => {
                let word = |pattern: &Bytes| [b"&", &pattern[..]].concat();
                patterns.iter().map(word).collect()
            }
        }
    }

    fn command_words(&self) -> Vec<Vec<u8>> {
        // From all or from nothing; the other sign then makes exceptions.
        let takes_away = self.commands.future;
        let (start, mut described, sign) = match takes_away {
            true => ("+@all", Allowed::ALL, '-'),
            false => ("-@all", Allowed::NONE, '+'),
        };
        let mut words = vec![start.as_bytes().to_vec()];
        for category in best_categories(&self.commands, takes_away) {
            of_category(category).for_each(|row| described.set(row, !takes_away));
            let name = category.words().next().unwrap_or_default();
            words.push(format!("{sign}{name}").into_bytes());
        }
        for row in rows() {
            let allowed = self.commands.has(row);
            if allowed != described.has(row) {
                let sign = if allowed { '+' } else { '-' };
                words.push(format!("{sign}{}", row.name).into_bytes());
                described.set(row, allowed);
            }
            if !allowed {
                words.extend(self.first_word_rules(row));
            }
        }
        words
    }

    fn first_word_rules(&self, row: &Command) -> impl Iterator<Item = Vec<u8>> {
        let words = self.first_words.get(&row.number());
        let words = words.map_or(&[][..], Vec::as_slice).iter();
        words.map(|word| [b"+", row.name.as_bytes(), b"|", word].concat())
    }
}

/// The categories that describe the set best, in the order in which they fit: each has more rows in
/// common with the rest to describe than not.
fn best_categories(commands: &Allowed, takes_away: bool) -> Vec<Categories> {
    let mut left = commands.clone();
    let mut unused: Vec<_> = Categories::each().collect();
    let mut found = Vec::new();
    loop {
        let fit = |category: Categories| {
            let (on, off) = left.count(category);
            if takes_away { (off, on) } else { (on, off) }
        };
        let mut best: Option<(usize, usize, usize)> = None;
        for (at, category) in unused.iter().enumerate() {
            let (same, other) = fit(*category);
            let is_better = best
                .is_none_or(|(_, least, most)| other < least || (other == least && same > most));
            if same > other && is_better {
                best = Some((at, other, same));
            }
        }
        let Some((at, ..)) = best else {
            return found;
        };
        let category = unused.remove(at);
        of_category(category).for_each(|row| left.set(row, takes_away));
        found.push(category);
    }
}
