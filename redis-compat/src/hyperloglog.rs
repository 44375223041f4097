//! The HyperLogLog commands: estimates of how many different elements were added.
//!
//! A HyperLogLog is a string, byte for byte as Redis keeps it, so that `GET`, `SET`, `DUMP` and
//! `RESTORE` carry it between both:
//!
//! ```text
//! 4 bytes     "HYLL"
//! 1 byte      form: 0 = dense, 1 = sparse
//! 3 bytes     not used
//! 8 bytes     the count that was computed last, little endian; not valid while its highest bit is
//!             set
//! rest        16384 registers: 6 bits each ([`dense`]), or runs of equal registers ([`sparse`])
//! ```
//!
//! An element's hash chooses a register, which keeps the longest run of zeros seen in the rest of
//! the hash. Few registers are set at first: they are kept as runs, up to 3000 bytes.
//!
//! Source: Redis `hyperloglog.c`.

mod add;
mod count;
mod debug;
mod dense;
mod estimate;
mod hash;
mod layout;
mod merge;
mod selftest;
mod sparse;
mod value;

pub use selftest::self_test;

use crate::command::Part;

pub(crate) const PARTS: &[Part] = &[
    add::PART,
    count::PART,
    debug::PART,
    layout::PART,
    merge::PART,
    selftest::PART,
];
