//! The three ways in which Redis keeps a string, as `OBJECT ENCODING` tells them.
//!
//! Coterie keeps bytes. A record only notes the way where the value alone does not say it: a value
//! changed in place is `raw` however short, and a sum of `INCRBYFLOAT` is never `int`.
//! Source: Redis `object.c`, `tryObjectEncoding`.

use crate::number;

/// The longest string Redis keeps in the same allocation as its header.
const EMBSTR_MAX: usize = 44;

/// How Redis would keep a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As a number.
    Int,
    /// In the same allocation as its header.
    Embstr,
    /// In a buffer of its own.
    Raw,
}

impl Encoding {
    /// That of a value freshly set.
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

    /// That of a value which Redis does not try to keep as a number.
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
        }
    }
}
