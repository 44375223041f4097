//! A row's hints for random commands: words of the form `name=value`, divided by spaces.
//!
//! ```text
//! weight=17        chosen 17 times as often as a command without a weight
//! reply=time       the reply tells of the moment; `payload`: bytes that may differ and mean the
//!                  same; `any-order`: the same elements; `encoding`: the name of an encoding;
//!                  `random`: as many elements; `scan`: a page of elements; `scores`: doubles may
//!                  have other digits; `moments`: times within the reply are about the same;
//!                  `ours`: figures that only Coterie's documentation explains
//! newer=IFEQ       the Redis compared with does not know this keyword: it is never sent
//! without=WORD     this keyword is never sent: what it does depends on more than the words
//! offset=bit-offset    the argument called `offset`, or the keyword `*` of this name, is filled
//!                  from this pool of `words.rs`
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
    /// The same but for moments, for fields since Redis 7.2, and for fields about Redis' memory.
    Moments,
    /// Of the same type, no more.
    Ours,
    /// Random elements: as many.
    Random,
    /// A page of elements: the same in any order, if it is the first and the last.
    Scan,
    /// With doubles, which Redis 7.0 writes with 17 digits, and 7.2 with as few as it takes.
    Scores,
}

/// The hints of a row, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hints {
    /// How often the command is chosen, compared with others.
    pub weight: usize,
    /// How its replies are compared.
    pub reply: ReplyKind,
    pools: Vec<(&'static str, &'static str)>,
    /// Keywords that the Redis compared with does not know.
    pub newer: Vec<&'static str>,
}

impl Default for Hints {
    fn default() -> Self {
        Self {
            weight: 1,
            reply: ReplyKind::Same,
            pools: Vec::new(),
            newer: Vec::new(),
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
                ("weight", value) if value.parse::<usize>().is_ok() => {
                    hints.weight = value.parse().unwrap_or(1);
                }
                ("reply", "time") => hints.reply = ReplyKind::Time,
                ("reply", "payload") => hints.reply = ReplyKind::Payload,
                ("reply", "any-order") => hints.reply = ReplyKind::AnyOrder,
                ("reply", "encoding") => hints.reply = ReplyKind::Encoding,
                ("reply", "moments") => hints.reply = ReplyKind::Moments,
                ("reply", "ours") => hints.reply = ReplyKind::Ours,
                ("reply", "random") => hints.reply = ReplyKind::Random,
                ("reply", "scan") => hints.reply = ReplyKind::Scan,
                ("reply", "scores") => hints.reply = ReplyKind::Scores,
                ("newer" | "without", keyword) => hints.newer.push(keyword),
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
                + hints.newer.len()
                + hints.pools.len();
            assert_eq!(parts.count(), meant, "{}: {}", row.name, row.hints);
            let shown = format!("{:?}", syntax::parse(row.syntax));
            for keyword in &hints.newer {
                let token = format!("token: Some(\"{keyword}\")");
                assert!(shown.contains(&token), "{}: no {keyword}", row.name);
            }
            for (argument, pool) in &hints.pools {
                let named = format!("name: \"{argument}\"");
                assert!(shown.contains(&named), "{}: no {argument}", row.name);
                assert!(POOLS.contains(pool), "{}: no pool {pool}", row.name);
            }
        }
    }
}
