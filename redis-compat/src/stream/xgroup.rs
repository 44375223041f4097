//! Making, changing and removing groups and their consumers.

use bytes::Bytes;

use super::Stream;
use super::group::Group;
use super::id::{StreamId, until_nul};
use super::refusal::{no_group, wrong_subcommand};
use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(
    &[
        XGROUP,
        CREATE,
        SETID,
        DESTROY,
        CREATECONSUMER,
        DELCONSUMER,
        HELP,
    ],
    LINES,
);

error_lines! {
    READS_NEGATIVE = "ERR value for ENTRIESREAD must be positive or -1";
    KEY_MISSING = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you \
        may want to use the MKSTREAM option to create an empty stream automatically.";
    GROUP_EXISTS = "BUSYGROUP Consumer Group name already exists";
}

const XGROUP: Command = command(Topic::Stream, "xgroup").container().docs(
    "5.0.0",
    "Depends on subcommand.",
    "A container for commands about groups of consumers.",
);

const CREATE: Command = command(Topic::Stream, "xgroup|create")
    .syntax("key groupname id(id|new_id=$) [MKSTREAM] [ENTRIESREAD entries_read:integer]")
    .flags(F::WRITE_ROOM)
    .keys(&[K::RW_INSERT.at(2)])
    .runs(create)
    .hints(
        "weight=6 key=stream-key groupname=stream-group id=stream-low-id entries_read=stream-reads",
    )
    .docs("5.0.0", "O(1)", "Creates a group of consumers.");

/// `XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD n]`: OK. O(1).
///
/// Errors: `NOT_AN_INTEGER`, `READS_NEGATIVE`, wrong subcommand, `WRONG_TYPE`, `KEY_MISSING`,
/// `INVALID_ID`, `GROUP_EXISTS`. Source: Redis `t_stream.c`, `xgroupCommand`.
fn create(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let options = parse(args, true)?;
    let (key, name) = (args.bytes(2), args.bytes(3));
    let stream = txn.stream(key)?;
    if stream.is_none() && !options.makes_stream {
        return Err(KEY_MISSING.into());
    }
    if args.len() > 8 {
        return Err(wrong_subcommand("XGROUP", args.bytes(1)).into());
    }
    let mut stream = stream.unwrap_or_default();
    let last = match until_nul(args.bytes(4)) {
        b"$" => stream.head.last,
        _ => StreamId::parse(args.bytes(4))?,
    };
    if stream.group(txn, name)?.is_some() {
        return Err(GROUP_EXISTS.into());
    }
    let group = stream.new_group(name, last, options.reads)?;
    stream.put_group(txn, &group);
    txn.put_stream(key.clone(), &stream)?;
    txn.notify(Classes::STREAM, "xgroup-create", key);
    Ok(Reply::OK)
}

const SETID: Command = command(Topic::Stream, "xgroup|setid")
    .syntax("key groupname id(id|new_id=$) [ENTRIESREAD entries_read:integer]")
    .flags(F::WRITE)
    .keys(&[K::RW_UPDATE.at(2)])
    .runs(setid)
    .hints("weight=4 key=stream-key groupname=stream-group id=stream-id entries_read=stream-reads")
    .docs(
        "5.0.0",
        "O(1)",
        "Sets the last id that a group has delivered.",
    );

/// `XGROUP SETID key group id|$ [ENTRIESREAD n]`: OK. O(1).
///
/// Errors: as those of `XGROUP CREATE`, `NOGROUP`.
fn setid(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let options = parse(args, false)?;
    let (mut stream, mut group) = existing(txn, args)?;
    if !matches!(args.len(), 5 | 7) {
        return Err(wrong_subcommand("XGROUP", args.bytes(1)).into());
    }
    group.last = match until_nul(args.bytes(4)) {
        b"$" => stream.head.last,
        _ => StreamId::parse_any(args.bytes(4), 0)?,
    };
    group.reads = options.reads;
    stream.put_group(txn, &group);
    txn.put_stream(args.bytes(2).clone(), &stream)?;
    txn.notify(Classes::STREAM, "xgroup-setid", args.bytes(2));
    Ok(Reply::OK)
}

#[derive(Default)]
struct Options {
    makes_stream: bool,
    reads: Option<i64>,
}

fn parse(args: &Args<'_>, creates: bool) -> Result<Options, EvalError> {
    let mut options = Options::default();
    let mut words = args.options(5);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "mkstream" if creates => options.makes_stream = true,
            "entriesread" if words.left() > 0 => {
                options.reads = match words.int()? {
                    -1 => None,
                    reads @ 0.. => Some(reads),
                    _ => return Err(READS_NEGATIVE.into()),
                };
            }
            _ => return Err(wrong_subcommand("XGROUP", args.bytes(1)).into()),
        }
    }
    Ok(options)
}

/// The stream of word 2. Errors: `WRONG_TYPE`, `KEY_MISSING`.
fn existing_stream(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Stream, EvalError> {
    Ok(txn.stream(args.bytes(2))?.ok_or(KEY_MISSING)?)
}

/// The same, and the group of word 3. Errors: `NOGROUP`, too.
fn existing(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<(Stream, Group), EvalError> {
    let stream = existing_stream(txn, args)?;
    let (key, name): (&Bytes, &Bytes) = (args.bytes(2), args.bytes(3));
    let group = stream.group(txn, name)?;
    Ok((stream, group.ok_or_else(|| no_group(key, name))?))
}

const DESTROY: Command = command(Topic::Stream, "xgroup|destroy")
    .syntax("key groupname")
    .flags(F::WRITE)
    .keys(&[K::RW.with(K::DELETE).at(2)])
    .runs(destroy)
    .hints("weight=2 key=stream-key groupname=stream-group")
    .docs(
        "5.0.0",
        "O(N) where N is the number of entries in the group's pending entries list (PEL).",
        "Removes a group of consumers.",
    )
    .deviation("A group with more than about 130,000 pending entries is not removed.");

/// `XGROUP DESTROY key group`: 1 if the group was there. O(pending entries).
///
/// Errors: `WRONG_TYPE`, `KEY_MISSING`, `TOO_MANY_PENDING`.
fn destroy(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut stream = existing_stream(txn, args)?;
    let Some(group) = stream.group(txn, args.bytes(3))? else {
        return Ok(Reply::Integer(0));
    };
    stream.remove_group(txn, &group)?;
    txn.put_stream(args.bytes(2).clone(), &stream)?;
    txn.notify(Classes::STREAM, "xgroup-destroy", args.bytes(2));
    Ok(Reply::Integer(1))
}

/// The event of a consumer that a group did not have.
pub(super) const CONSUMER_CREATED: &str = "xgroup-createconsumer";

const CREATECONSUMER: Command = command(Topic::Stream, "xgroup|createconsumer")
    .syntax("key groupname consumername")
    .flags(F::WRITE_ROOM)
    .keys(&[K::RW_INSERT.at(2)])
    .runs(createconsumer)
    .hints("weight=4 key=stream-key groupname=stream-group consumername=stream-consumer")
    .docs("6.2.0", "O(1)", "Creates a consumer in a group.");

/// `XGROUP CREATECONSUMER key group consumer`: 1 if it is new. O(1). Errors: `WRONG_TYPE`,
/// `KEY_MISSING`, `NOGROUP`.
fn createconsumer(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (mut stream, mut group) = existing(txn, args)?;
    let (_, is_new) = group.consumer_or_new(&mut stream, txn, args.bytes(4))?;
    if is_new {
        stream.put_group(txn, &group);
        txn.put_stream(args.bytes(2).clone(), &stream)?;
        txn.notify(Classes::STREAM, CONSUMER_CREATED, args.bytes(2));
    }
    Ok(Reply::Integer(is_new.into()))
}

const DELCONSUMER: Command = command(Topic::Stream, "xgroup|delconsumer")
    .syntax("key groupname consumername")
    .flags(F::WRITE)
    .keys(&[K::RW.with(K::DELETE).at(2)])
    .runs(delconsumer)
    .hints("weight=4 key=stream-key groupname=stream-group consumername=stream-consumer")
    .docs("5.0.0", "O(1)", "Removes a consumer from a group.")
    .deviation("A consumer with more than about 130,000 pending entries is not removed.");

/// `XGROUP DELCONSUMER key group consumer`: how many pending entries it had. O(pending entries).
///
/// Errors: `WRONG_TYPE`, `KEY_MISSING`, `NOGROUP`, `TOO_MANY_PENDING`.
fn delconsumer(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (mut stream, mut group) = existing(txn, args)?;
    let Some(number) = group.find_consumer(&stream, txn, args.bytes(4))? else {
        return Ok(Reply::Integer(0));
    };
    let pending = group.remove_consumer(&mut stream, txn, number)?;
    stream.put_group(txn, &group);
    txn.put_stream(args.bytes(2).clone(), &stream)?;
    txn.notify(Classes::STREAM, "xgroup-delconsumer", args.bytes(2));
    Ok(Reply::Integer(pending as i64))
}

const HELP: Command = command(Topic::Stream, "xgroup|help")
    .flags(F::ANY_TIME)
    .runs(help)
    .docs("5.0.0", "O(1)", "Lists the subcommands.");

/// `XGROUP HELP`: the subcommands.
fn help(_: &mut Txn<'_>, _: &Args<'_>) -> Result<Reply, EvalError> {
    Ok(Reply::help(
        "XGROUP",
        &[
            "CREATE <key> <groupname> <id|$> [option]",
            "    Create a new consumer group. Options are:",
            "    * MKSTREAM",
            "      Create the empty stream if it does not exist.",
            "    * ENTRIESREAD entries_read",
            "      Set the group's entries_read counter (internal use).",
            "CREATECONSUMER <key> <groupname> <consumer>",
            "    Create a new consumer in the specified group.",
            "DELCONSUMER <key> <groupname> <consumer>",
            "    Remove the specified consumer.",
            "DESTROY <key> <groupname>",
            "    Remove the specified group.",
            "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
            "    Set the current group ID and entries_read counter.",
        ],
    ))
}
