//! Rows of the string commands.

use crate::command::{Command, Group, row, spec};
use crate::keys::Keys;
use crate::{Categories, Flags, Route, key, string};

const READ: Flags = Flags::READ;
const WRITE: Flags = Flags::WRITE;
const DENYOOM: Flags = Flags::DENYOOM;
const FAST: Flags = Flags::FAST;
const G: Group = Group::String;

pub(super) const ROWS: &[Command] = &[
    row(G, "get", 2, READ.with(FAST), Keys::One(1), string::get),
    row(G, "set", -3, WRITE.with(DENYOOM), Keys::One(1), string::set),
    row(
        G,
        "incrby",
        3,
        WRITE.with(DENYOOM).with(FAST),
        Keys::One(1),
        string::incrby,
    ),
    row(
        G,
        "decr",
        2,
        WRITE.with(DENYOOM).with(FAST),
        Keys::One(1),
        string::decr,
    ),
    row(
        G,
        "decrby",
        3,
        WRITE.with(DENYOOM).with(FAST),
        Keys::One(1),
        string::decrby,
    ),
    row(
        G,
        "incr",
        2,
        WRITE.with(DENYOOM).with(FAST),
        Keys::One(1),
        string::incr,
    ),
    row(
        G,
        "del",
        -2,
        WRITE,
        Keys::Range {
            first: 1,
            last: -1,
            step: 1,
        },
        key::del,
    )
    .route(Route::SumOverKeys),
    row(
        G,
        "exists",
        -2,
        READ.with(FAST),
        Keys::Range {
            first: 1,
            last: -1,
            step: 1,
        },
        key::exists,
    )
    .route(Route::SumOverKeys),
    row(
        Group::Coterie,
        "_watch",
        2,
        READ.with(Flags::INTERNAL),
        Keys::One(1),
        crate::watch::watch,
    ),
];
