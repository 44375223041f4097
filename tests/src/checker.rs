//! Is a history linearizable? Each key is a register, and keys are judged separately, which is
//! sound: a history is linearizable exactly if its part on each object is (Herlihy and Wing).
//!
//! A key starts absent. The verdict is exact unless the search reaches its bound. Then it is
//! [`Verdict::Undecided`], which should fail a test as a violation does: a checker that gave up has
//! shown nothing.

mod done;
mod register;
mod search;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;

pub use register::{Value, step};
use search::{Found, Search, Stuck};

use crate::history::Operation;

/// Points visited per key before the checker gives up; each takes a few hundred bytes.
pub const STATES_MAX: usize = 4_000_000;

/// The judgement over a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The operations of each key could have been executed in sequence.
    Linearizable,
    /// The operations of this key could not.
    Violation {
        /// The key.
        key: Bytes,
        /// For a person: how far the best order came, and the operations that could not follow.
        explanation: String,
    },
    /// The search for this key was stopped at its bound.
    Undecided {
        /// The key.
        key: Bytes,
    },
}

impl Verdict {
    /// Panics with the explanation unless the history is linearizable.
    #[track_caller]
    pub fn expect_linearizable(&self) {
        match self {
            Self::Linearizable => {}
            Self::Violation { key, explanation } => {
                panic!(
                    "not linearizable at key \"{}\": {explanation}",
                    key.escape_ascii()
                )
            }
            Self::Undecided { key } => {
                panic!("the search gave up at key \"{}\"", key.escape_ascii())
            }
        }
    }
}

/// Judges a history; reports the bad key that is first by name.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    check_within(history, STATES_MAX)
}

/// As [`check`], with another bound on the points visited per key.
#[must_use]
pub fn check_within(history: &[Operation], states_max: usize) -> Verdict {
    let mut by_key: BTreeMap<&Bytes, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        by_key.entry(&operation.key).or_default().push(operation);
    }
    for (key, mut operations) in by_key {
        operations.sort_by_key(|operation| operation.began);
        let key = key.clone();
        match Search::new(&operations).run(None, states_max) {
            Found::Order => {}
            Found::NoOrder(stuck) => {
                let explanation = explain(&stuck, &operations);
                return Verdict::Violation { key, explanation };
            }
            Found::TooMany => return Verdict::Undecided { key },
        }
    }
    Verdict::Linearizable
}

fn explain(stuck: &Stuck<'_>, operations: &[&Operation]) -> String {
    let mut text = format!(
        "the longest order places {} of {} known operations and leaves the value {:?}; none of \
         these can follow:\n",
        stuck.placed,
        operations.iter().filter(|o| o.ended.is_some()).count(),
        stuck.value,
    );
    for operation in &stuck.cannot_follow {
        let _ = writeln!(text, "  {operation}");
    }
    let near = stuck
        .cannot_follow
        .iter()
        .map(|o| o.began)
        .min()
        .unwrap_or(0);
    let _ = writeln!(text, "what happened around it:");
    let around = operations.iter().filter(|o| {
        o.began <= near + 100 && o.ended.as_ref().is_none_or(|(at, _)| *at + 100 >= near)
    });
    for operation in around.take(60) {
        let _ = writeln!(text, "  {operation}");
    }
    text
}

#[cfg(test)]
mod tests;
