//! A selector: commands, keys and channels that are allowed together.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::allowed::{Allowed, of_category};
use super::patterns::{Access, Channels, Keys};
use super::rule::{Reading, RuleError, c_str, has_spaces, pattern};
use super::words::line_words;
use crate::table::{lookup, lookup_subcommand};
use crate::{Categories, Command};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    pub(super) commands: Allowed,
    /// Words by which a row that is not allowed may begin, by the row's number. In Redis' own words
    /// a misuse, but `+select|0` is written everywhere.
    pub(super) first_words: BTreeMap<usize, Vec<Bytes>>,
    pub(super) keys: Keys,
    pub(super) channels: Channels,
}

impl Selector {
    /// A selector that allows nothing but the default channels.
    pub(super) fn new(reading: Reading) -> Self {
        Self {
            commands: Allowed::NONE,
            first_words: BTreeMap::new(),
            keys: Keys::NONE,
            channels: match reading.all_channels {
                true => Channels::All,
                false => Channels::NONE,
            },
        }
    }

    /// Whether it allows everything.
    pub(super) fn is_unrestricted(&self) -> bool {
        self.commands.is_all() && self.keys == Keys::All && self.channels == Channels::All
    }

    /// A selector of its rules, which stand in parentheses.
    pub(super) fn of_rules(text: &[u8], reading: Reading) -> Result<Self, RuleError> {
        let mut selector = Self::new(reading);
        for rule in line_words(text).ok_or(RuleError::Syntax)? {
            reading.take(selector.apply(&rule))?;
        }
        Ok(selector)
    }

    /// Applies a rule.
    pub(super) fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"allkeys" | b"~*" => self.keys = Keys::All,
            b"resetkeys" => self.keys = Keys::NONE,
            b"allchannels" | b"&*" => self.channels = Channels::All,
            b"resetchannels" => self.channels = Channels::NONE,
            b"allcommands" | b"+@all" => self.set_all(Allowed::ALL),
            b"nocommands" | b"-@all" => self.set_all(Allowed::NONE),
            lower => return self.apply_signed(rule, lower),
        }
        Ok(())
    }

    fn apply_signed(&mut self, rule: &[u8], lower: &[u8]) -> Result<(), RuleError> {
        match lower {
            [b'~' | b'%', ..] => self.add_keys(rule),
            [b'&', ..] if self.channels == Channels::All => Err(RuleError::AfterAllChannels),
            [b'&', ..] => {
                self.channels.add(pattern(rule, 1)?);
                Ok(())
            }
            [sign @ (b'+' | b'-'), b'@', category @ ..] => {
                let category = Categories::from_word(c_str(category)).ok_or(RuleError::Unknown)?;
                for row in of_category(category) {
                    self.set(row, *sign == b'+');
                }
                Ok(())
            }
            [b'+', name @ ..] => self.allow(c_str(name)),
            [b'-', name @ ..] => {
                let row = row_named(c_str(name)).ok_or(RuleError::Unknown)?;
                self.set(row, false);
                Ok(())
            }
            _ => Err(RuleError::Syntax),
        }
    }

    fn set_all(&mut self, commands: Allowed) {
        self.commands = commands;
        self.first_words.clear();
    }

    /// Allows or forbids a row. That ends what was said about its first words.
    fn set(&mut self, row: &Command, allow: bool) {
        self.commands.set(row, allow);
        self.first_words.remove(&row.number());
    }

    /// `+command`, `+container|subcommand`, or `+command|word`.
    fn allow(&mut self, name: &[u8]) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|byte| *byte == b'|') else {
            let row = row_named(name).ok_or(RuleError::Unknown)?;
            self.set(row, true);
            return Ok(());
        };
        let (before, word) = (&name[..bar], &name[bar + 1..]);
        let row = row_named(before).ok_or(RuleError::Unknown)?;
        if before.contains(&b'|') {
            return Err(RuleError::WordOfSubcommand);
        }
        if word.is_empty() || has_spaces(word) {
            return Err(RuleError::Syntax);
        }
        if row.is_container() {
            let row = row_named(name).ok_or(RuleError::Unknown)?;
            self.set(row, true);
            return Ok(());
        }
        if self.commands.has(row) {
            // Every first word is allowed.
            return Ok(());
        }
        let words = self.first_words.entry(row.number()).or_default();
        if !words.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            words.push(Bytes::copy_from_slice(word));
        }
        Ok(())
    }

    /// `~pattern`, `%R~pattern`, `%W~pattern`, `%RW~pattern`.
    fn add_keys(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.keys == Keys::All {
            return Err(RuleError::AfterAllKeys);
        }
        let (access, from) = match rule {
            [b'%', rest @ ..] => {
                let (access, letters) = access(rest)?;
                (access, 1 + letters)
            }
            _ => (Access::ALL, 1),
        };
        self.keys.add(access, pattern(rule, from)?);
        Ok(())
    }
}

/// Reads `R`, `W` or both, up to `~`; returns how many bytes that is. Redis takes the end of the
/// rule for the `~` of an empty pattern.
fn access(letters: &[u8]) -> Result<(Access, usize), RuleError> {
    let (mut access, mut used) = (Access::NONE, 0);
    for letter in letters {
        let more = match letter.to_ascii_uppercase() {
            b'R' => Access::READ,
            b'W' => Access::WRITE,
            b'~' => {
                used += 1;
                break;
            }
            _ => return Err(RuleError::Syntax),
        };
        if access.covers(more) {
            return Err(RuleError::Syntax);
        }
        access = access.with(more);
        used += 1;
    }
    match access {
        Access::NONE => Err(RuleError::Syntax),
        access => Ok((access, used)),
    }
}

/// The row with this full name, as a client may write it.
pub(super) fn row_named(name: &[u8]) -> Option<&'static Command> {
    let mut parts = name.split(|byte| *byte == b'|');
    let command = lookup(parts.next()?).filter(|row| !row.is_internal())?;
    let row = match parts.next() {
        Some(word) => lookup_subcommand(command, word)?,
        None => command,
    };
    parts.next().is_none().then_some(row)
}
