//! The words of one command, and their reading as numbers.

use bytes::Bytes;

use crate::{CommandError, number};

/// A command's words; word 0 is its name. Functions run after the arity check, so a word below the
/// row's arity is always there.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a> {
    words: &'a [Bytes],
    name: &'static str,
}

impl<'a> Args<'a> {
    /// Wraps the words of the command whose row is called `name`.
    #[must_use]
    pub fn new(words: &'a [Bytes], name: &'static str) -> Self {
        Self { words, name }
    }

    /// The row's name, for errors that quote it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many words there are, the name included.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a command has at least its name"
    )]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Word `at`; panics if absent, which the arity check rules out.
    #[must_use]
    pub fn bytes(&self, at: usize) -> &'a Bytes {
        &self.words[at]
    }

    /// Word `at`, if there.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&'a Bytes> {
        self.words.get(at)
    }

    /// The words from `at` on.
    #[must_use]
    pub fn rest(&self, at: usize) -> &'a [Bytes] {
        self.words.get(at..).unwrap_or_default()
    }

    /// Word `at` as a signed integer, as strictly as Redis reads one.
    pub fn int(&self, at: usize) -> Result<i64, CommandError> {
        number::parse_int(self.bytes(at)).ok_or(CommandError::NotAnInteger)
    }

    /// Whether word `at` is `word`, in any case. An absent word is not.
    #[must_use]
    pub fn is(&self, at: usize, word: &str) -> bool {
        self.get(at)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }
}
