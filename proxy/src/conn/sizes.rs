//! Limits on the length of a request and of its arguments. A group would refuse anything longer;
//! the proxy knows before a byte of the argument has come.
//!
//! The parser checks each argument as soon as it has read its length, and drops an argument that is
//! too long (`cut`). The connection checks again with all arguments, because only then it is known
//! which of them are keys.

use bytes::Bytes;
use coterie_redis_compat::{Command, CommandError, Run, lookup};

/// The longest key that a group accepts.
pub(super) const KEY_BYTES_MAX: usize = 1 << 20;
/// The longest request that a group's log takes in one piece. A value alone may be longer if
/// configured so; then [`request_max`] is larger.
const REQUEST_BYTES_MAX: usize = 64 << 20;

/// Most bytes of all arguments of a request.
pub(super) fn request_max(value_max: usize) -> usize {
    REQUEST_BYTES_MAX.max(value_max.saturating_add(2 * KEY_BYTES_MAX))
}

/// Bytes that every argument of every command may have.
pub(super) fn argument_min(value_max: usize) -> usize {
    KEY_BYTES_MAX.min(value_max)
}

/// Most bytes of an argument of the command that begins with `name` and has `words` words; 0 for a
/// command that is refused whatever its arguments say.
pub(super) fn argument_max(name: &[u8], words: usize, value_max: usize) -> usize {
    match lookup(name) {
        Some(row) if row.is_internal() => 0,
        Some(row) if !row.is_container() && !row.takes(words) => 0,
        Some(row) => argument_max_of(row, value_max),
        None => 0,
    }
}

fn argument_max_of(row: &Command, value_max: usize) -> usize {
    match row.run {
        Run::Group(_) | Run::Script => KEY_BYTES_MAX.max(value_max),
        // The proxy's own commands do not store their arguments.
        Run::Proxy => usize::MAX,
    }
}

/// Refuses a request that a group would refuse. `held` bytes are sent with it: the rest of a
/// transaction.
pub(super) fn check(
    row: &Command,
    args: &[Bytes],
    held: usize,
    value_max: usize,
) -> Result<(), CommandError> {
    let (mut longest, mut total) = (0, held);
    for arg in args {
        longest = longest.max(arg.len());
        total += arg.len();
    }
    check_total(total, value_max)?;
    if longest <= argument_min(value_max) {
        return Ok(());
    }
    let mut keys = row.positions(args)?.peekable();
    for (at, arg) in args.iter().enumerate() {
        if keys.next_if_eq(&at).is_some() {
            if arg.len() > KEY_BYTES_MAX {
                return Err(CommandError::key_too_long(KEY_BYTES_MAX));
            }
        } else if arg.len() > value_max && row.is_write() {
            return Err(CommandError::value_too_long(value_max));
        }
    }
    Ok(())
}

/// Refuses a request with more bytes in all than may be kept.
pub(super) fn check_total(total: usize, value_max: usize) -> Result<(), CommandError> {
    let max = request_max(value_max);
    if total > max {
        return Err(CommandError::request_too_long(max));
    }
    Ok(())
}

/// The error for argument `at` of a command, which is longer than [`argument_max`].
pub(super) fn too_long(row: &Command, args: &[Bytes], at: usize, value_max: usize) -> CommandError {
    let is_key = row
        .positions(args)
        .is_ok_and(|mut keys| keys.any(|key| key == at));
    if is_key {
        CommandError::key_too_long(KEY_BYTES_MAX)
    } else {
        CommandError::value_too_long(value_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE_MAX: usize = 3 << 20;

    #[test]
    fn room_is_for_what_may_be_stored_or_echoed() {
        let room = |name: &str, words| argument_max(name.as_bytes(), words, VALUE_MAX);
        assert_eq!(room("SET", 3), VALUE_MAX);
        assert_eq!(room("get", 2), VALUE_MAX);
        assert_eq!(argument_max(b"set", 3, 10), KEY_BYTES_MAX);
        assert_eq!(room("echo", 2), usize::MAX);
        assert_eq!(room("config", 4), usize::MAX, "its subcommands know");
        for (name, words) in [("nosuch", 2), ("get", 3), ("_watch", 2), ("", 1)] {
            assert_eq!(room(name, words), 0, "{name}");
        }
    }

    #[test]
    fn whatever_is_cut_would_have_been_refused() {
        let long = Bytes::from(vec![b'x'; VALUE_MAX + 1]);
        let word = |word: &'static str| Bytes::from_static(word.as_bytes());
        for (args, expected) in [
            (
                [word("set"), word("k"), long.clone()],
                CommandError::value_too_long(VALUE_MAX),
            ),
            (
                [word("set"), long.clone(), word("v")],
                CommandError::key_too_long(KEY_BYTES_MAX),
            ),
        ] {
            let row = lookup(&args[0]).expect("a row");
            let at = args
                .iter()
                .position(|arg| arg.len() > VALUE_MAX)
                .unwrap_or(0);
            assert_eq!(check(row, &args, 0, VALUE_MAX), Err(expected.clone()));
            assert_eq!(too_long(row, &args, at, VALUE_MAX), expected);
        }
    }
}
