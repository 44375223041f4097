//! The words of a command: by position, or option by option.

use bytes::Bytes;

use crate::errors::{NOT_AN_INTEGER, SYNTAX};
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

    /// The words from `at` on, to be read as options.
    #[must_use]
    pub fn options(&self, at: usize) -> Words<'a> {
        Words::new(self.rest(at))
    }

    /// Word `at` as a signed integer, as strictly as Redis reads it.
    pub fn int(&self, at: usize) -> Result<i64, CommandError> {
        number::parse_int(self.bytes(at)).ok_or(NOT_AN_INTEGER)
    }

    /// Whether word `at` is `word`, in any case. An absent word is not.
    #[must_use]
    pub fn is(&self, at: usize, word: &str) -> bool {
        self.get(at)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// Reads options: each is a keyword, with or without words behind it.
///
/// ```text
/// let mut words = args.options(3);
/// while let Some(word) = words.next() {
///     match word.keyword().as_str() {
///         "replace" => options.replace = true,
///         "freq" => options.freq = words.int()?,
///         _ => return Err(SYNTAX),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Words<'a>(&'a [Bytes]);

impl<'a> Words<'a> {
    /// Reads these words.
    #[must_use]
    pub fn new(words: &'a [Bytes]) -> Self {
        Self(words)
    }

    /// How many words are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// The word behind an option. Errors: `SYNTAX` if there is none.
    pub fn value(&mut self) -> Result<&'a Bytes, CommandError> {
        self.values().map(|[value]| value)
    }

    /// The words behind an option. Errors: `SYNTAX` if there are fewer.
    pub fn values<const N: usize>(&mut self) -> Result<&'a [Bytes; N], CommandError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(SYNTAX)?;
        self.0 = rest;
        Ok(taken)
    }

    /// So many words, if there are.
    pub fn many(&mut self, count: usize) -> Option<&'a [Bytes]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The integer behind an option. Errors: `SYNTAX`, `NOT_AN_INTEGER`.
    pub fn int(&mut self) -> Result<i64, CommandError> {
        number::parse_int(self.value()?).ok_or(NOT_AN_INTEGER)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(Word(first))
    }
}

/// A word that may be a keyword.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a>(pub &'a Bytes);

/// The longest keyword there is; longer words are none.
const KEYWORD_BYTES_MAX: usize = 32;

impl Word<'_> {
    /// The word in lower case, for a comparison with keywords; empty if it can be none.
    #[must_use]
    pub fn keyword(self) -> Keyword {
        let mut bytes = [0; KEYWORD_BYTES_MAX];
        let len = self.0.len();
        if len > KEYWORD_BYTES_MAX {
            return Keyword { bytes, len: 0 };
        }
        for (lower, byte) in bytes.iter_mut().zip(self.0) {
            *lower = byte.to_ascii_lowercase();
        }
        Keyword { bytes, len }
    }
}

/// A word in lower case, on the stack.
#[derive(Debug, Clone, Copy)]
pub struct Keyword {
    bytes: [u8; KEYWORD_BYTES_MAX],
    len: usize,
}

impl Keyword {
    /// The word as text; empty if it is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_any_case_with_their_values() {
        let line = ["FREQ", "7", "Replace", "idletime"].map(Bytes::from);
        let mut words = Words::new(&line);
        assert_eq!(
            words.next().map(|word| word.keyword().as_str() == "freq"),
            Some(true)
        );
        assert_eq!(words.int(), Ok(7));
        assert_eq!(words.left(), 2);
        assert_eq!(words.next().map(|word| word.0.len()), Some(7));
        assert!(words.next().is_some());
        assert_eq!(words.value(), Err(SYNTAX), "an option without its value");
    }

    #[test]
    fn words_that_can_be_no_keyword_are_none() {
        for word in [Bytes::from("x".repeat(33)), Bytes::from_static(b"\xff\xfe")] {
            assert_eq!(Word(&word).keyword().as_str(), "");
        }
    }
}
