//! `COMMAND` and its subcommands: all of it comes from the rows.

use bytes::Bytes;
use coterie_redis_compat::{CommandError, command};

use super::{Answer, Local};

/// `COMMAND [COUNT|DOCS|GETKEYS|GETKEYSANDFLAGS|HELP|INFO|LIST ...]`.
pub(crate) fn introspect(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    command::introspect(args).map(Answer::Reply)
}
