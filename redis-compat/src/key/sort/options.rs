//! The words of `SORT`.

use bytes::Bytes;

use super::pattern::Pattern;
use crate::errors::SYNTAX;
use crate::{Args, CommandError};

/// How to sort, and the use of the elements then.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// Elements are ordered by the values that this names, if there is a pattern.
    pub(super) by: Option<Pattern>,
    /// They keep the order of their collection, because `BY` names the same key for all.
    pub(super) is_unsorted: bool,
    /// They are ordered as bytes, not as numbers.
    pub(super) is_alpha: bool,
    pub(super) is_descending: bool,
    /// How many elements are passed over.
    pub(super) offset: usize,
    /// The most elements, if there is a limit.
    pub(super) count: Option<usize>,
    /// The values that are returned in place of each element.
    pub(super) get: Vec<Pattern>,
    pub(super) store: Option<Bytes>,
}

/// Errors: `SYNTAX`, `NOT_AN_INTEGER`.
pub(super) fn parse(args: &Args<'_>, may_store: bool) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut words = args.options(2);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "asc" => options.is_descending = false,
            "desc" => options.is_descending = true,
            "alpha" => options.is_alpha = true,
            "limit" if words.left() >= 2 => {
                let (offset, count) = (words.int()?, words.int()?);
                options.offset = usize::try_from(offset).unwrap_or(0);
                options.count = usize::try_from(count).ok();
            }
            "store" if may_store => options.store = Some(words.value()?.clone()),
            "by" => {
                let pattern = Pattern::of(words.value()?);
                options.is_unsorted |= !pattern.names_elements();
                options.by = Some(pattern);
            }
            "get" => options.get.push(Pattern::of(words.value()?)),
            _ => return Err(SYNTAX),
        }
    }
    Ok(options)
}

/// The place of the key to store under: behind the last `STORE` that is no word of another option.
pub(super) fn place_of_store(words: &[Bytes]) -> Option<usize> {
    let (mut at, mut found) = (2, None);
    while let Some(word) = words.get(at) {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        if is("limit") {
            at += 2;
        } else if is("by") || is("get") {
            at += 1;
        } else if is("store") && at + 1 < words.len() {
            at += 1;
            found = Some(at);
        }
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Bytes> {
        line.split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect()
    }

    #[test]
    fn the_key_that_the_words_store_under_is_found() {
        for (line, place) in [
            ("sort k", None),
            ("sort k store d", Some(3)),
            ("sort k desc STORE d alpha", Some(4)),
            ("sort k by store store d", Some(5)),
            ("sort k get store", None),
            ("sort k limit store 1 store d", Some(6)),
            ("sort k store a store b", Some(5)),
            ("sort k store", None),
            ("sort store store store", Some(3)),
        ] {
            assert_eq!(place_of_store(&words(line)), place, "{line}");
        }
    }

    #[test]
    fn the_key_that_is_stored_under_is_the_key_that_is_declared() {
        for line in [
            "sort k store d",
            "sort k by store store d",
            "sort k store a store b",
            "sort k store store get store",
            "sort k limit 1 2 store d asc",
        ] {
            let words = words(line);
            let options = parse(&Args::new(&words, "sort"), true).unwrap();
            let declared = place_of_store(&words).map(|at| words[at].clone());
            assert_eq!(options.store, declared, "{line}");
        }
    }

    #[test]
    fn limits_are_those_of_redis() {
        let parse = |line: &str| {
            let words = words(line);
            let options = parse(&Args::new(&words, "sort"), true).ok()?;
            Some((options.offset, options.count))
        };
        assert_eq!(parse("sort k limit 2 5"), Some((2, Some(5))));
        assert_eq!(parse("sort k limit -3 -1"), Some((0, None)));
        assert_eq!(parse("sort k limit 1"), None);
        assert_eq!(parse("sort k limit x 1"), None);
    }
}
