//! `COMMAND` and its subcommands: all of it comes from the rows.

use bytes::Bytes;
use coterie_redis_compat::{CommandError, introspect};

use super::{Answer, Handler, Local, Named};

pub(super) const HANDLERS: &[Named] = &[
    ("command", Handler::Now(introspect)),
    ("command|count", Handler::Now(introspect)),
    ("command|docs", Handler::Now(introspect)),
    ("command|getkeys", Handler::Now(introspect)),
    ("command|getkeysandflags", Handler::Now(introspect)),
    ("command|help", Handler::Now(introspect)),
    ("command|info", Handler::Now(introspect)),
    ("command|list", Handler::Now(introspect)),
];

/// `COMMAND [COUNT|DOCS|GETKEYS|GETKEYSANDFLAGS|HELP|INFO|LIST ...]`.
fn introspect(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    introspect::command(args).map(Answer::Reply)
}
