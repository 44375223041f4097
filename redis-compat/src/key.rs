//! The generic commands: keys of any type.

mod del;

pub(crate) use del::{del, exists};
