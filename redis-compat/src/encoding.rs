//! The ways in which Redis keeps a value, as `OBJECT ENCODING` tells them.
//!
//! Coterie keeps bytes. A record only notes the way where the value alone does not say it: a string
//! changed in place is `raw` however short, a sum of `INCRBYFLOAT` is never `int`, and a hash that
//! was large stays `hashtable`. Source: Redis `object.c`, `tryObjectEncoding`, and `t_hash.c`.

use crate::number;

/// The longest string Redis keeps in the same allocation as its header.
const EMBSTR_MAX: usize = 44;

/// How Redis would keep a value: a string in the first three ways, a collection in the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As a number.
    Int,
    /// In the same allocation as its header.
    Embstr,
    /// In a buffer of its own.
    Raw,
    /// Packed, while it is small.
    Listpack,
    /// In a table.
    Hashtable,
    /// A set of integers, sorted.
    Intset,
    /// A list of packed nodes.
    Quicklist,
    /// In a table and a skip list.
    Skiplist,
    /// A tree of packed nodes.
    Stream,
}

impl Encoding {
    /// That of a string freshly set.
    #[must_use]
    pub fn when_set(value: &[u8]) -> Self {
        // Redis looks for an integer in texts of at most 20 bytes, the greatest length of an
        // integer.
        if number::parse_int(value).is_some() {
            Self::Int
        } else {
            Self::of_text(value)
        }
    }

    /// That of a string which Redis does not try to keep as a number.
    #[must_use]
    pub fn of_text(value: &[u8]) -> Self {
        if value.len() <= EMBSTR_MAX {
            Self::Embstr
        } else {
            Self::Raw
        }
    }

    /// The reply of `OBJECT ENCODING`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Embstr => "embstr",
            Self::Raw => "raw",
            Self::Listpack => "listpack",
            Self::Hashtable => "hashtable",
            Self::Intset => "intset",
            Self::Quicklist => "quicklist",
            Self::Skiplist => "skiplist",
            Self::Stream => "stream",
        }
    }
}
