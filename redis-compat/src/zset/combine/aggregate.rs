//! How scores of the same member are put together.

use crate::CommandError;
use crate::errors::SYNTAX;

/// How the scores of a member are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Min,
    Max,
    /// The sum of the weights.
    Count,
}

impl Aggregate {
    pub(super) fn of(word: &str) -> Result<Self, CommandError> {
        match word {
            "sum" => Ok(Self::Sum),
            "min" => Ok(Self::Min),
            "max" => Ok(Self::Max),
            "count" => Ok(Self::Count),
            _ => Err(SYNTAX),
        }
    }
}
