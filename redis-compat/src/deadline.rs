//! Deadlines of the fields of hashes and of the members of sets: what their commands have in
//! common.
//!
//! ```text
//! words.rs     reading the words
//! expire.rs    HEXPIRE, SEXPIRE and their like: setting deadlines, and taking them away
//! ttl.rs       HTTL, STTL and their like: asking for deadlines
//! put.rs       HSETEX, SADDEX: adding elements with a deadline
//! ```
//!
//! Source: Redis `t_hash.c`, from 7.4 on. Keywords come in any order, as in Redis since 8.4.

mod expire;
mod put;
mod ttl;
mod words;

pub(crate) use expire::{expire, persist};
pub(crate) use put::{Put, put};
pub(crate) use ttl::ttl;
pub(crate) use words::{Deadline, Options, PART, fixed_names};

use bytes::Bytes;

use crate::txn::members::Members;
use crate::{Classes, EvalError, Txn};

/// Whose deadlines they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// Of the fields of a hash.
    Fields,
    /// Of the members of a set.
    Members,
}

impl Of {
    /// The fields or members of a key. Errors: `WRONG_TYPE`.
    fn load(self, txn: &mut Txn<'_>, key: &Bytes) -> Result<Members, EvalError> {
        Ok(match self {
            Self::Fields => txn.hash(key)?.0,
            Self::Members => txn.set(key)?.0,
        })
    }
}

impl Of {
    /// The class of its events.
    fn class(self) -> Classes {
        match self {
            Self::Fields => Classes::HASH,
            Self::Members => Classes::SET,
        }
    }

    /// The events of deadlines that were set, and of elements that went by a deadline in the past.
    fn events(self) -> (&'static str, &'static str) {
        match self {
            Self::Fields => ("hexpire", "hdel"),
            Self::Members => ("sexpire", "srem"),
        }
    }

    /// The event of deadlines that were taken away.
    fn persisted(self) -> &'static str {
        match self {
            Self::Fields => "hpersist",
            Self::Members => "spersist",
        }
    }
}

/// The reply for an element that is absent.
const NO_ELEMENT: i64 = -2;
/// The reply for an element without a deadline.
const NO_DEADLINE: i64 = -1;
