//! Rows of the bitmap commands.

use crate::command::{Command, Group, row, spec};
use crate::{Categories as C, Flags as F, Keys, bitmap};

const G: Group = Group::Bitmap;

pub(super) const ROWS: &[Command] = &[
    row(G, "bitcount", -2, F::READ, Keys::One(1), bitmap::bitcount)
        .specs(&[spec(&["RO", "access"], 1, 0, 1)])
        .categories(C::BITMAP)
        .since("2.6.0", "O(N)")
        .summary("Counts the bits that are set."),
    row(
        G,
        "bitfield",
        -2,
        F::WRITE.with(F::DENYOOM),
        Keys::One(1),
        bitmap::bitfield,
    )
    .specs(
        &[spec(&["RW", "access", "update", "variable_flags"], 1, 0, 1)
            .notes("This command allows both access and modification of the key")],
    )
    .categories(C::BITMAP)
    .since("3.2.0", "O(1) for each subcommand specified")
    .summary("Reads and changes integers of any width within a string."),
    row(
        G,
        "bitfield_ro",
        -2,
        F::READ.with(F::FAST),
        Keys::One(1),
        bitmap::bitfield_ro,
    )
    .specs(&[spec(&["RO", "access"], 1, 0, 1)])
    .categories(C::BITMAP)
    .since("6.0.0", "O(1) for each subcommand specified")
    .summary("Reads integers of any width within a string."),
    row(
        G,
        "bitop",
        -4,
        F::WRITE.with(F::DENYOOM),
        Keys::range(2, -1, 1),
        bitmap::bitop,
    )
    .specs(&[
        spec(&["OW", "update"], 2, 0, 1),
        spec(&["RO", "access"], 3, -1, 1),
    ])
    .categories(C::BITMAP)
    .since("2.6.0", "O(N)")
    .check(bitmap::bitop_check)
    .summary("Combines strings bit by bit and stores the result.")
    .deviation("the keys must be on one group, else CROSSGROUP."),
    row(G, "bitpos", -3, F::READ, Keys::One(1), bitmap::bitpos)
        .specs(&[spec(&["RO", "access"], 1, 0, 1)])
        .categories(C::BITMAP)
        .since("2.8.7", "O(N)")
        .summary("Finds the first bit that is set or clear."),
    row(
        G,
        "getbit",
        3,
        F::READ.with(F::FAST),
        Keys::One(1),
        bitmap::getbit,
    )
    .specs(&[spec(&["RO", "access"], 1, 0, 1)])
    .categories(C::BITMAP)
    .since("2.2.0", "O(1)")
    .summary("Answers one bit."),
    row(
        G,
        "setbit",
        4,
        F::WRITE.with(F::DENYOOM),
        Keys::One(1),
        bitmap::setbit,
    )
    .specs(&[spec(&["RW", "access", "update"], 1, 0, 1)])
    .categories(C::BITMAP)
    .since("2.2.0", "O(1)")
    .summary("Sets or clears one bit and answers what it was."),
];
