//! Counts of acts, replies and failures.

use std::collections::BTreeMap;
use std::fmt;

/// The outcome of the acts.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The number of times that each act ran.
    pub acts: BTreeMap<&'static str, u64>,
    /// Replies read, errors included.
    pub replies: u64,
    /// Error replies by their first word.
    pub errors: BTreeMap<String, u64>,
    /// Well-formed commands that got no reply though their client read.
    pub unanswered: Vec<String>,
}

impl Tally {
    /// Adds the tally of another client.
    pub fn absorb(&mut self, other: Self) {
        for (act, times) in other.acts {
            *self.acts.entry(act).or_default() += times;
        }
        for (word, times) in other.errors {
            *self.errors.entry(word).or_default() += times;
        }
        self.replies += other.replies;
        self.unanswered.extend(other.unanswered);
    }

    pub(super) fn error(&mut self, line: &str) {
        let word = line.split_whitespace().next().unwrap_or_default();
        *self.errors.entry(word.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let acts: u64 = self.acts.values().sum();
        write!(
            f,
            "{acts} acts {:?}, {} replies, errors {:?}, {} unanswered",
            self.acts,
            self.replies,
            self.errors,
            self.unanswered.len()
        )
    }
}
