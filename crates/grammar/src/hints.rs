//! A row's hints for random commands: words of the form `name=value`, divided by spaces.
//!
//! ```text
//! weight=17        chosen 17 times as often as a command without a weight
//! reply=time       the reply tells of the moment; `payload`: bytes that may differ and mean the
//!                  same; `any-order`: the same elements; `encoding`: the name of an encoding;
//!                  `moments`: times within the reply are about the same; `ours`: figures that only
//!                  Coterie's documentation explains
//! offset=bit-offset    the argument, or the keyword, called `offset` is filled from this pool of
//!                  `words.rs`
//! ```

use coterie_redis_compat::Command;

/// How replies of two servers are to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyKind {
    /// Byte by byte.
    #[default]
    Same,
    /// A remaining time or a moment: about the same.
    Time,
    /// A payload of `DUMP`: it must hold the same value.
    Payload,
    /// The same elements in any order.
    AnyOrder,
    /// The same encoding, or one that the Redis compared with does not have yet.
    Encoding,
    /// The same but for moments, and for what Redis tells since 7.2 or tells of its memory.
    Moments,
    /// Of the same type, no more.
    Ours,
}

/// The hints of a row, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hints {
    /// How often the command is chosen, compared with others.
    pub weight: usize,
    /// How its replies are compared.
    pub reply: ReplyKind,
    pools: Vec<(&'static str, &'static str)>,
}

impl Default for Hints {
    fn default() -> Self {
        Self {
            weight: 1,
            reply: ReplyKind::Same,
            pools: Vec::new(),
        }
    }
}

impl Hints {
    /// The hints of this row. Unreadable hints are passed over.
    #[must_use]
    pub fn of(row: &Command) -> Self {
        let mut hints = Self::default();
        for (name, value) in row.hints.split(' ').filter_map(|hint| hint.split_once('=')) {
            match (name, value) {
                ("weight", value) => hints.weight = value.parse().unwrap_or(1),
                ("reply", "time") => hints.reply = ReplyKind::Time,
                ("reply", "payload") => hints.reply = ReplyKind::Payload,
                ("reply", "any-order") => hints.reply = ReplyKind::AnyOrder,
                ("reply", "encoding") => hints.reply = ReplyKind::Encoding,
                ("reply", "moments") => hints.reply = ReplyKind::Moments,
                ("reply", "ours") => hints.reply = ReplyKind::Ours,
                (argument, pool) => hints.pools.push((argument, pool)),
            }
        }
        hints
    }

    /// The pool for the argument of this name, if there is a hint.
    pub(crate) fn pool(&self, argument: &str) -> Option<&'static str> {
        let mut pools = self.pools.iter();
        pools
            .find(|(name, _)| *name == argument)
            .map(|(_, pool)| *pool)
    }
}

#[cfg(test)]
mod tests {
    use coterie_redis_compat::{ROWS, syntax};

    use super::*;
    use crate::words::POOLS;

    #[test]
    fn hints_name_arguments_and_pools() {
        for row in ROWS.iter() {
            let hints = Hints::of(row);
            let parts = row.hints.split(' ').filter(|hint| !hint.is_empty());
            let meant = usize::from(hints.weight != 1)
                + usize::from(hints.reply != ReplyKind::Same)
                + hints.pools.len();
            assert_eq!(parts.count(), meant, "{}: {}", row.name, row.hints);
            for (argument, pool) in &hints.pools {
                let shown = format!("{:?}", syntax::parse(row.syntax));
                let named = format!("name: \"{argument}\"");
                assert!(shown.contains(&named), "{}: no {argument}", row.name);
                assert!(POOLS.contains(pool), "{}: no pool {pool}", row.name);
            }
        }
    }
}
