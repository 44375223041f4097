//! Patterns: a `*` in them stands for an element, and so they name a key.

use bytes::Bytes;

use super::lines::FOREIGN_KEY;
use crate::errors::UNDECLARED_KEY;
use crate::key::Typed;
use crate::{EvalError, Txn};

/// A pattern of `BY` or `GET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `#`: the element itself.
    Element,
    /// A pattern without `*`, which names nothing.
    Nothing,
    Key {
        before: Bytes,
        after: Bytes,
        /// The field, behind `->`: the key is that of a hash.
        field: Option<Bytes>,
    },
}

impl Pattern {
    pub(super) fn of(word: &Bytes) -> Self {
        if &word[..] == b"#" {
            return Self::Element;
        }
        // Redis looks for the signs in a C string.
        let text = word.split(|byte| *byte == 0).next().unwrap_or_default();
        let Some(star) = text.iter().position(|byte| *byte == b'*') else {
            return Self::Nothing;
        };
        let behind = star + 1;
        let arrow = text[behind..].windows(2).position(|pair| pair == b"->");
        let arrow = arrow.map(|at| behind + at).filter(|at| at + 2 < text.len());
        Self::Key {
            before: word.slice(..star),
            after: word.slice(behind..arrow.unwrap_or(word.len())),
            field: arrow.map(|at| word.slice(at + 2..)),
        }
    }

    /// Whether it names another key for each element.
    pub(super) fn names_elements(&self) -> bool {
        matches!(self, Self::Key { .. })
    }

    /// The value that it names for an element. Errors: `FOREIGN_KEY`.
    pub(super) fn value(
        &self,
        txn: &mut Txn<'_>,
        element: &Bytes,
    ) -> Result<Option<Bytes>, EvalError> {
        let (before, after, field) = match self {
            Self::Element => return Ok(Some(element.clone())),
            Self::Nothing => return Ok(None),
            Self::Key {
                before,
                after,
                field,
            } => (before, after, field),
        };
        let key = Bytes::from([&before[..], element, after].concat());
        let value = match txn.named_value(&key) {
            Err(EvalError::Rejected(error)) if error == UNDECLARED_KEY => {
                return Err(FOREIGN_KEY.into());
            }
            value => value?,
        };
        let Some(value) = value else {
            return Ok(None);
        };
        match (value.typed(txn.table(), &key)?, field) {
            (Typed::String(string), None) => Ok(Some(string.read_all(txn, &key)?.into_bytes())),
            (Typed::Hash(mut hash), Some(field)) => Ok(hash.get(txn, field)?),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(before: &'static str, after: &'static str, field: Option<&'static str>) -> Pattern {
        Pattern::Key {
            before: Bytes::from(before),
            after: Bytes::from(after),
            field: field.map(Bytes::from),
        }
    }

    #[test]
    fn patterns_are_read_as_redis_reads_them() {
        for (word, pattern) in [
            ("#", Pattern::Element),
            ("##", Pattern::Nothing),
            ("nosort", Pattern::Nothing),
            ("", Pattern::Nothing),
            ("w_*", key("w_", "", None)),
            ("*", key("", "", None)),
            ("a*b*c", key("a", "b*c", None)),
            ("h_*->f", key("h_", "", Some("f"))),
            ("h_*x->f->g", key("h_", "x", Some("f->g"))),
            ("h_*->", key("h_", "->", None)),
            ("h->*", key("h->", "", None)),
            ("a\0*", Pattern::Nothing),
            ("a*\0->f", key("a", "\0->f", None)),
        ] {
            assert_eq!(Pattern::of(&Bytes::from(word)), pattern, "{word:?}");
        }
    }
}
