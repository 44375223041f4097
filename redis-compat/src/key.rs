//! The generic commands: keys of any type.

mod copy;
mod del;
mod dump;
mod expire;
mod object;
mod rename;
mod ttl;

use crate::Command;

pub(crate) const ROWS: &[&[Command]] = &[
    copy::ROWS,
    del::ROWS,
    dump::ROWS,
    expire::ROWS,
    object::ROWS,
    rename::ROWS,
    ttl::ROWS,
];
