//! The same value under another key, or in another table.

use bytes::Bytes;
use coterie_types::TableId;

use crate::command::{Command, Part, Topic, command};
use crate::errors::{DB_OUT_OF_RANGE, SYNTAX};
use crate::errors::{NOT_AN_INTEGER, error_lines};
use crate::{
    Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number,
    parse_table,
};

pub(super) const PART: Part = Part::new(&[COPY, MOVE], LINES);

error_lines! {
    /// `MOVE` or `COPY` onto itself.
    pub(crate) SAME_OBJECT = "ERR source and destination objects are the same";
}

const COPY: Command = command(Topic::Generic, "copy")
    .syntax("source destination [DB destination-db] [REPLACE]")
    .flags(F::WRITE_ROOM)
    .keys(&[
        K::RO_ACCESS.at(1),
        K::OW_UPDATE.at(2).in_table(table_of_copy),
    ])
    .runs(copy)
    .check(copy_check)
    .docs(
        "6.2.0",
        "O(N) worst case for collections, where N is the number of nested items",
        "Copies a value to another key.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `COPY source destination [DB db] [REPLACE]`: 1 if copied, 0 if there is nothing to copy or the
/// destination was there. The expiry is copied. O(1).
///
/// Errors: `NOT_AN_INTEGER`, `DB_OUT_OF_RANGE`, `SYNTAX`, `SAME_OBJECT`. Source: Redis `db.c`,
/// `copyCommand`.
fn copy(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (from, to) = (args.bytes(1), args.bytes(2));
    let options = parse(args)?;
    let table = options.table.unwrap_or(txn.table());
    if table == txn.table() && from == to {
        return Err(SAME_OBJECT.into());
    }
    let Some(value) = txn.value(from)? else {
        return Ok(Reply::Integer(0));
    };
    if txn.exists_in(table, to)? && !options.replace {
        return Ok(Reply::Integer(0));
    }
    txn.notify_replaced(table, to);
    txn.copy_to(from, (table, to.clone()), value)?;
    txn.notify_in(table, Classes::GENERIC, "copy_to", to);
    Ok(Reply::Integer(1))
}

/// The table of the destination: the last `DB` counts, as it does for the command.
fn table_of_copy(args: &[Bytes]) -> Option<TableId> {
    let options = args.get(3..)?;
    let is_db = |word: &Bytes| word.eq_ignore_ascii_case(b"db");
    let at = options.iter().rposition(is_db)?;
    parse_table(options.get(at + 1)?)
}

/// The options of `COPY` make sense.
fn copy_check(args: &Args<'_>) -> Result<(), CommandError> {
    parse(args).map(drop)
}

#[derive(Default)]
struct Options {
    table: Option<TableId>,
    replace: bool,
}

fn parse(args: &Args<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut words = args.options(3);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "replace" => options.replace = true,
            "db" => options.table = Some(named_table(words.value()?)?),
            _ => return Err(SYNTAX),
        }
    }
    Ok(options)
}

const MOVE: Command = command(Topic::Generic, "move")
    .syntax("key db")
    .flags(F::WRITE_FAST)
    .keys(&[
        K::RW_ACCESS_UPDATE.at(1),
        K::RW_ACCESS_UPDATE.at(1).in_table(table_of_move).unlisted(),
    ])
    .runs(move_key)
    .docs("1.0.0", "O(1)", "Moves a key to another database.")
    .deviation(
        "The key's ranges in both databases must be in the same group; otherwise the reply is \
        CROSSGROUP.",
    );

/// `MOVE key db`: 1 if moved, 0 if there is nothing to move or the key is there already. O(1).
///
/// Errors: `NOT_AN_INTEGER`, `DB_OUT_OF_RANGE`, `SAME_OBJECT`. Source: Redis `db.c`, `moveCommand`.
fn move_key(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, table) = (args.bytes(1), named_table(args.bytes(2))?);
    if table == txn.table() {
        return Err(SAME_OBJECT.into());
    }
    let Some(value) = txn.value(key)? else {
        return Ok(Reply::Integer(0));
    };
    if txn.exists_in(table, key)? {
        return Ok(Reply::Integer(0));
    }
    txn.copy_to(key, (table, key.clone()), value)?;
    txn.remove_moved(key.clone())?;
    txn.notify(Classes::GENERIC, "move_from", key);
    txn.notify_in(table, Classes::GENERIC, "move_to", key);
    Ok(Reply::Integer(1))
}

fn table_of_move(args: &[Bytes]) -> Option<TableId> {
    parse_table(args.get(2)?)
}

fn named_table(word: &Bytes) -> Result<TableId, CommandError> {
    let number = number::parse_int(word).ok_or(NOT_AN_INTEGER)?;
    // Redis reads an int here, and complains of anything larger before it looks for the database.
    i32::try_from(number).map_err(|_| CommandError::int_out_of_range(i32::MIN, i32::MAX))?;
    parse_table(word).ok_or(DB_OUT_OF_RANGE)
}
