//! Error lines that several stream commands share.

use bytes::Bytes;

use super::id::until_nul;
use crate::CommandError;
use crate::command::Part;
use crate::errors::error_lines;

pub(super) const PART: Part = Part::new(&[], LINES);

error_lines! {
    /// A group or a consumer with more pending entries than a log entry can remove.
    pub(super) TOO_MANY_PENDING = "ERR too many pending entries to be removed by a single command: \
        acknowledge some first";
}

/// Key or group is absent; `after` ends the line.
pub(super) fn no_key_or_group(key: &[u8], group: &[u8], after: &str) -> CommandError {
    let (key, group) = (until_nul(key), until_nul(group));
    let start: &[u8] = b"NOGROUP No such key '";
    let line = [
        start,
        key,
        b"' or consumer group '",
        group,
        b"'",
        after.as_bytes(),
    ];
    CommandError::Quoting(Bytes::from(line.concat()))
}

/// The key has no group of this name.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (until_nul(key), until_nul(group));
    let start: &[u8] = b"NOGROUP No such consumer group '";
    let line = [start, group, b"' for key name '", key, b"'"];
    CommandError::Quoting(Bytes::from(line.concat()))
}

/// The words of a subcommand make no sense.
pub(super) fn wrong_subcommand(container: &str, word: &[u8]) -> CommandError {
    let before = "unknown subcommand or wrong number of arguments for '";
    CommandError::quoting(before, word, &format!("'. Try {container} HELP."))
}
