//! Words of a command read, and replies made, as several commands of the proxy need it.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_redis_compat::errors::{
    TIMEOUT_NEGATIVE, TIMEOUT_NOT_AN_INTEGER, TIMEOUT_OUT_OF_RANGE,
};
use coterie_redis_compat::{CommandError, Reply, number, parse_table};
use coterie_types::TableId;

/// A table by its number, or a named table.
pub(crate) fn table_named(catalog: &Catalog, word: &[u8]) -> Option<TableId> {
    parse_table(word).or_else(|| {
        let mut tables = catalog.tables.values();
        let named = tables.find(|table| table.name.as_bytes() == word)?;
        Some(named.table_id)
    })
}

/// Word `at` is `word`, in any case.
pub(super) fn is(args: &[Bytes], at: usize, word: &str) -> bool {
    args.get(at)
        .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
}

/// The error of Redis where a container checks the words of its subcommands itself.
pub(super) fn subcommand_syntax(word: &[u8], container: &str) -> CommandError {
    CommandError::quoting(
        "unknown subcommand or wrong number of arguments for '",
        &word[..word.len().min(128)],
        &format!("'. Try {container} HELP."),
    )
}

/// A timeout in milliseconds; 0 is none. It must end before milliseconds no longer fit an i64
/// (Redis `timeout.c`, `getTimeoutFromObjectOrReply`).
pub(super) fn timeout_millis(word: &[u8]) -> Result<u64, CommandError> {
    let millis = number::parse_int(word).ok_or(TIMEOUT_NOT_AN_INTEGER)?;
    let millis = u64::try_from(millis).map_err(|_| TIMEOUT_NEGATIVE)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let room = u128::from(i64::MAX.unsigned_abs()).saturating_sub(now.as_millis());
    if u128::from(millis) > room {
        return Err(TIMEOUT_OUT_OF_RANGE);
    }
    Ok(millis)
}

pub(super) fn text(text: impl Into<String>) -> Reply {
    Reply::Bulk(Bytes::from(text.into()))
}

/// Text for people: of a type of its own in RESP3.
pub(super) fn verbatim(text: impl Into<Bytes>) -> Reply {
    Reply::Verbatim {
        format: *b"txt",
        text: text.into(),
    }
}

pub(super) fn int(value: u64) -> Reply {
    Reply::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The error of a `CONFIG SET` that fails at this parameter.
pub(super) fn failed_to_set(name: &[u8], reason: &str) -> CommandError {
    let before = "CONFIG SET failed (possibly related to argument '";
    CommandError::quoting(before, name, &format!("') - {reason}"))
}
