//! `SLOWLOG` (Redis `slowlog.c`): the slow commands of this proxy's clients.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use coterie_redis_compat::errors::SLOWLOG_COUNT;
use coterie_redis_compat::{CommandError, Reply, number};

use super::{Answer, Handler, Local, Named, int};

pub(super) const HANDLERS: &[Named] = &[
    ("slowlog|get", Handler::Now(get)),
    ("slowlog|help", Handler::Now(help)),
    ("slowlog|len", Handler::Now(len)),
    ("slowlog|reset", Handler::Now(reset)),
];

/// `SLOWLOG GET [count]`: ten, or `count`; all for -1.
fn get(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let count = match args.get(2) {
        None => 10,
        Some(_) if args.len() > 3 => return Err(super::subcommand_syntax(&args[1], "SLOWLOG")),
        Some(word) => match number::parse_int(word) {
            Some(-1) => usize::MAX,
            Some(count @ 0..) => usize::try_from(count).unwrap_or(usize::MAX),
            _ => {
                return Err(SLOWLOG_COUNT);
            }
        },
    };
    let entries = local.shared.slowlog.newest(count);
    let entries = entries.into_iter().map(|entry| {
        let at = entry.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Reply::Array(vec![
            int(entry.id),
            int(at.as_secs()),
            int(entry.elapsed.as_micros() as u64),
            Reply::Array(entry.words.into_iter().map(Reply::Bulk).collect()),
            super::text(entry.client_addr),
            Reply::Bulk(entry.client_name),
        ])
    });
    Ok(Reply::Array(entries.collect()).into())
}

/// `SLOWLOG LEN`.
fn len(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(int(local.shared.slowlog.len() as u64).into())
}

/// `SLOWLOG RESET`.
fn reset(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    local.shared.slowlog.reset();
    Ok(Reply::OK.into())
}

/// `SLOWLOG HELP`.
fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::help(
        "SLOWLOG",
        &[
            "GET [<count>]",
            "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
            "    Entries are made of:",
            "    id, timestamp, time in microseconds, arguments array, client IP and port,",
            "    client name",
            "LEN",
            "    Return the length of the slowlog.",
            "RESET",
            "    Reset the slowlog.",
        ],
    )
    .into())
}
