//! `ACL GETUSER`, `LIST`, `USERS` and `LOG`.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use coterie_redis_compat::acl::Selector;
use coterie_redis_compat::errors::NOT_AN_INTEGER;
use coterie_redis_compat::{CommandError, Reply, number};

use crate::commands::words::subcommand_syntax;
use crate::commands::{Answer, Local, int, is};
use crate::rights::Entry;

/// Entries that LOG shows unless told otherwise.
const LOG_COUNT: i64 = 10;

/// `ACL USERS`.
pub(super) fn users(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let users = local.shared.users()?;
    let names = users.iter().map(|user| Reply::Bulk(user.name().clone()));
    Ok(Reply::Array(names.collect()).into())
}

/// `ACL LIST`.
pub(super) fn list(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let users = local.shared.users()?;
    let lines = users.iter().map(|user| {
        let line = [b"user ", &user.name()[..], b" ", &user.rules()].concat();
        Reply::Bulk(line.into())
    });
    Ok(Reply::Array(lines.collect()).into())
}

/// `ACL GETUSER username`.
pub(super) fn getuser(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let users = local.shared.users()?;
    let Some(user) = users.get(&args[2]) else {
        return Ok(Reply::Null.into());
    };
    let passwords = user.passwords().map(|digits| Reply::Bulk(digits.into()));
    let mut fields = vec![
        (
            Reply::text("flags"),
            Reply::Set(user.flags().map(Reply::text).collect()),
        ),
        (Reply::text("passwords"), Reply::Array(passwords.collect())),
    ];
    let (root, others) = match user.selectors() {
        [root, others @ ..] => (root, others),
        [] => return Ok(Reply::Null.into()),
    };
    fields.extend(described(root));
    let others = others.iter().map(|one| Reply::Map(described(one).into()));
    fields.push((Reply::text("selectors"), Reply::Array(others.collect())));
    Ok(Reply::Map(fields).into())
}

fn described(selector: &Selector) -> [(Reply, Reply); 3] {
    [
        (Reply::text("commands"), Reply::Bulk(selector.commands())),
        (Reply::text("keys"), Reply::Bulk(selector.keys())),
        (Reply::text("channels"), Reply::Bulk(selector.channels())),
    ]
}

/// `ACL LOG [count|RESET]`.
pub(super) fn log(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let denials = &local.shared.rights.denials;
    let count = match args {
        [_, _] => LOG_COUNT,
        [_, _, _] if is(args, 2, "reset") => {
            denials.reset();
            return Ok(Reply::OK.into());
        }
        [_, _, count] => number::parse_int(count).ok_or(NOT_AN_INTEGER)?,
        _ => return Err(subcommand_syntax(&args[1], "ACL")),
    };
    let now = SystemTime::now();
    let count = usize::try_from(count).unwrap_or(0);
    let entries = denials.newest(count);
    let entries = entries.iter().map(|entry| shown(entry, now));
    Ok(Reply::Array(entries.collect()).into())
}

fn shown(entry: &Entry, now: SystemTime) -> Reply {
    let millis = |at: SystemTime| {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        int(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    };
    let age = now.duration_since(entry.updated).unwrap_or_default();
    let age = age.as_millis() as f64 / 1000.0;
    let last = &entry.last;
    let fields = [
        ("count", int(entry.count)),
        ("reason", Reply::text(last.what.word())),
        ("context", Reply::text(last.context.word())),
        ("object", Reply::Bulk(last.object.clone())),
        ("username", Reply::Bulk(last.user.clone())),
        ("age-seconds", Reply::Double(age)),
        ("client-info", Reply::Bulk(last.client.clone())),
        ("entry-id", int(entry.id)),
        ("timestamp-created", millis(entry.created)),
        ("timestamp-last-updated", millis(entry.updated)),
    ];
    let fields = fields.map(|(name, value)| (Reply::text(name), value));
    Reply::Map(fields.into())
}
