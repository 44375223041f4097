//! The commands that a selector allows: a bit for each row.
//!
//! Redis' quirks (`acl.c`, `ACLChangeSelectorPerm`): a container stands for all of its
//! subcommands, also where a category names the container alone; and `+@all` allows commands of
//! later versions, which decides whether the description begins with `+@all` or with `-@all`.

use crate::{Categories, Command, ROW_COUNT, ROWS};

const WORD_BITS: usize = 64;
const WORDS: usize = ROW_COUNT.div_ceil(WORD_BITS);

/// A set of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allowed {
    words: [u64; WORDS],
    /// Commands of later versions are allowed.
    pub(super) future: bool,
}

/// Every row that a client may name: containers, each before its subcommands.
pub(super) fn rows() -> impl Iterator<Item = &'static Command> {
    let containers = crate::COMMANDS.iter().filter(|row| !row.is_internal());
    containers.flat_map(|row| std::iter::once(row).chain(row.subcommands()))
}

impl Allowed {
    /// No command.
    pub(super) const NONE: Self = Self {
        words: [0; WORDS],
        future: false,
    };
    /// Every command, those of later versions too.
    pub(super) const ALL: Self = Self {
        words: [u64::MAX; WORDS],
        future: true,
    };

    /// Whether the row is allowed.
    pub(super) fn has(&self, row: &Command) -> bool {
        let at = row.number();
        self.words[at / WORD_BITS] & (1 << (at % WORD_BITS)) != 0
    }

    /// Allows or forbids a row, and the subcommands of a container.
    pub(super) fn set(&mut self, row: &Command, allow: bool) {
        self.set_one(row, allow);
        for sub in row.subcommands() {
            self.set_one(sub, allow);
        }
    }

    fn set_one(&mut self, row: &Command, allow: bool) {
        let (word, bit) = (row.number() / WORD_BITS, 1 << (row.number() % WORD_BITS));
        if allow {
            self.words[word] |= bit;
        } else {
            self.words[word] &= !bit;
        }
    }

    /// How many rows of a category are allowed, and how many are not.
    pub(super) fn count(&self, category: Categories) -> (usize, usize) {
        let rows = of_category(category);
        rows.fold((0, 0), |(on, off), row| match self.has(row) {
            true => (on + 1, off),
            false => (on, off + 1),
        })
    }

    /// Whether every row is allowed.
    pub(super) fn is_all(&self) -> bool {
        *self == Self::ALL || ROWS.iter().all(|row| row.is_internal() || self.has(row))
    }
}

/// The rows of a category, each container before its subcommands.
pub fn of_category(category: Categories) -> impl Iterator<Item = &'static Command> {
    rows().filter(move |row| row.all_categories().contains(category))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lookup, row_number};

    fn sub(name: &str) -> &'static Command {
        &ROWS[row_number(name).unwrap()]
    }

    #[test]
    fn a_container_stands_for_its_subcommands() {
        let mut allowed = Allowed::NONE;
        let client = lookup(b"client").unwrap();
        allowed.set(client, true);
        assert!(allowed.has(client) && allowed.has(sub("client|kill")));
        allowed.set(sub("client|kill"), false);
        assert!(allowed.has(client) && !allowed.has(sub("client|kill")));
        assert!(!allowed.has(lookup(b"get").unwrap()) && !allowed.is_all());
    }

    #[test]
    fn a_category_names_its_rows() {
        let mut allowed = Allowed::NONE;
        of_category(Categories::HASH).for_each(|row| allowed.set(row, true));
        assert_eq!(allowed.count(Categories::HASH).1, 0);
        assert!(allowed.has(lookup(b"hget").unwrap()));
        assert!(!allowed.has(lookup(b"get").unwrap()));
        of_category(Categories::READ).for_each(|row| allowed.set(row, false));
        assert!(!allowed.has(lookup(b"hget").unwrap()) && allowed.has(lookup(b"hset").unwrap()));
    }

    #[test]
    fn all_rows_one_by_one_are_all() {
        let mut allowed = Allowed::NONE;
        for row in rows() {
            assert!(!allowed.is_all());
            allowed.set_one(row, true);
        }
        assert!(allowed.is_all() && Allowed::ALL.is_all());
        assert!(!allowed.future && allowed != Allowed::ALL);
    }
}
