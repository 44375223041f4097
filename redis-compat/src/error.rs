//! The error that a client gets, and the two ways a command can fail.
//!
//! Variants are for errors that code tells apart. A line that never changes is a constant
//! ([`crate::errors`]); a line with a number or a client's word in it is made by a function here.
//! The texts of the proxy are among them (authentication, protocol, transactions, limits), so that
//! a test can compare each with a line recorded from a real Redis (`tests/error_lines.rs`). Each
//! line begins with a code that a client can match.

use std::fmt::Display;

use bytes::Bytes;

use crate::Fault;

/// The error that a client gets. `Display` is the RESP error line as Redis words it, without `-`
/// and CRLF.
///
/// Text that comes from a client may hold CR and LF here; [`crate::Reply::encode`] blanks them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A line that never changes; see [`crate::errors`].
    #[error("{0}")]
    Fixed(&'static str),
    /// Too few or too many words; with the command's full name.
    #[error("ERR wrong number of arguments for '{0}' command")]
    WrongArity(&'static str),
    /// An unknown command; with its words.
    #[error("{}", lossy(&unknown_command(.0, .1)))]
    UnknownCommand(Bytes, Vec<Bytes>),
    /// An unknown subcommand; with the container's name.
    #[error("{}", lossy(&unknown_subcommand(.0, .1)))]
    UnknownSubcommand(Bytes, &'static str),
    /// The keys of a command, or of a transaction, live in several groups.
    #[error(
        "CROSSGROUP the keys are in different groups: a command or transaction is done by one group; COTERIE LOCATE <key> shows the group of a key"
    )]
    CrossGroup,
    /// Nothing was done; the same command may succeed soon.
    #[error("TRYAGAIN {0}")]
    TryAgain(String),
    /// The command may or may not have been done.
    #[error("UNKNOWN {0}")]
    Unknown(String),
    /// Any other line; it must begin with a code (`ERR ...`).
    #[error("{0}")]
    Other(String),
    /// Any other line with a client's word in it, see [`CommandError::quoting`].
    #[error("{}", lossy(.0))]
    Quoting(Bytes),
}

/// Why a command did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// Deterministic: every replica refuses alike; the client is told, the entry counts as applied.
    #[error(transparent)]
    Rejected(#[from] CommandError),
    /// This node alone could not read its state; it stops before it diverges.
    #[error("read range state")]
    Fault(#[from] Fault),
}

impl CommandError {
    /// The line `ERR before word after`, the word as the client sent it, up to the first NUL.
    #[must_use]
    pub fn quoting(before: &str, word: &[u8], after: &str) -> Self {
        Self::Quoting(quoting(before, word, after).into())
    }

    /// An argument is a number outside of these bounds.
    #[must_use]
    pub fn int_out_of_range(min: impl Display, max: impl Display) -> Self {
        Self::Other(format!(
            "ERR value is out of range, value must between {min} and {max}"
        ))
    }

    /// An expiry that is not above zero, or past the end of time; with the command's name.
    #[must_use]
    pub fn invalid_expire(command: &'static str) -> Self {
        Self::Other(format!("ERR invalid expire time in '{command}' command"))
    }

    /// An option that is not known.
    #[must_use]
    pub fn unsupported_option(word: &[u8]) -> Self {
        Self::quoting("Unsupported option ", word, "")
    }

    /// `HELLO` with an option that is not known.
    #[must_use]
    pub fn hello_option(word: &[u8]) -> Self {
        Self::quoting("Syntax error in HELLO option '", word, "'")
    }

    /// A command that puts sets together, without any; with its name.
    #[must_use]
    pub fn no_input_key(command: &str) -> Self {
        Self::Other(format!(
            "ERR at least 1 input key is needed for '{command}' command"
        ))
    }

    /// `CONFIG SET` of a name that is not known.
    #[must_use]
    pub fn unknown_config(name: &[u8]) -> Self {
        let before = "Unknown option or number of arguments for CONFIG SET - '";
        Self::quoting(before, name, "'")
    }

    /// The user may not run the command; with its full name.
    #[must_use]
    pub fn no_perm_command(name: &str) -> Self {
        Self::Other(format!(
            "NOPERM this user has no permissions to run the '{name}' command"
        ))
    }

    /// Bytes that are no request; the connection is closed after it.
    #[must_use]
    pub fn protocol(reason: &str) -> Self {
        Self::Other(format!("ERR Protocol error: {reason}"))
    }

    /// A transaction would change more bytes than a log entry may. In Redis' words for a
    /// transaction that its memory has no room for (`multi.c`, `execCommandAbort`).
    #[must_use]
    pub fn transaction_too_large(max: usize) -> Self {
        Self::Other(format!(
            "EXECABORT Transaction discarded because of: \
             OOM a transaction may change {max} bytes of keys and values"
        ))
    }

    /// A script would change more bytes than an entry of its effects may have.
    #[must_use]
    pub fn script_too_large(max: usize) -> Self {
        Self::Other(format!(
            "OOM a script may change {max} bytes of keys and values, and nothing was changed"
        ))
    }

    /// The replies of a transaction would be longer than a frame may be, in bytes.
    #[must_use]
    pub fn transaction_replies_too_long(max: usize) -> Self {
        Self::Other(format!(
            "EXECABORT Transaction discarded because of: \
             replies exceed maximum allowed size ({max} bytes)"
        ))
    }

    /// The reply would be longer than a frame may be, in bytes.
    #[must_use]
    pub fn reply_too_long(max: usize) -> Self {
        Self::too_long("reply", max)
    }

    /// A key longer than the limit, in bytes.
    #[must_use]
    pub fn key_too_long(max: usize) -> Self {
        Self::too_long("key", max)
    }

    /// A value longer than the limit, in bytes.
    #[must_use]
    pub fn value_too_long(max: usize) -> Self {
        Self::too_long("value", max)
    }

    /// A request larger than the limit, in bytes.
    #[must_use]
    pub fn request_too_long(max: usize) -> Self {
        Self::too_long("request", max)
    }

    fn too_long(thing: &str, max: usize) -> Self {
        Self::Other(format!(
            "ERR {thing} exceeds maximum allowed size ({max} bytes)"
        ))
    }

    /// The error line as sent, without `-` and CRLF. Differs from `Display` where a client's words
    /// that are quoted are not UTF-8.
    #[must_use]
    pub fn line(&self) -> Bytes {
        Bytes::from(match self {
            Self::UnknownCommand(name, args) => unknown_command(name, args),
            Self::UnknownSubcommand(word, container) => unknown_subcommand(word, container),
            Self::Quoting(line) => return line.clone(),
            other => other.to_string().into_bytes(),
        })
    }
}

fn lossy(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

/// At most `max` bytes, and none from the first NUL on, as C's `%.*s` prints them.
fn c_str(bytes: &[u8], max: usize) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(max)];
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn quoting(before: &str, word: &[u8], after: &str) -> Vec<u8> {
    [
        b"ERR ",
        before.as_bytes(),
        c_str(word, usize::MAX),
        after.as_bytes(),
    ]
    .concat()
}

fn unknown_subcommand(word: &[u8], container: &str) -> Vec<u8> {
    let after = format!("'. Try {} HELP.", container.to_ascii_uppercase());
    quoting("unknown subcommand '", c_str(word, 128), &after)
}

/// With Redis' preview of the arguments: quoted, until 128 bytes are written (`server.c`,
/// `commandCheckExistence`).
fn unknown_command(name: &[u8], args: &[Bytes]) -> Vec<u8> {
    let mut preview = Vec::new();
    for arg in args {
        if preview.len() >= 128 {
            break;
        }
        let room = 128 - preview.len();
        preview.extend([b"'", c_str(arg, room), b"' "].concat());
    }
    let mut line = quoting(
        "unknown command '",
        c_str(name, 128),
        "', with args beginning with: ",
    );
    line.extend(preview);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_byte_by_byte() {
        let error = CommandError::quoting("No such user '", b"a\xffb\0c", "'");
        assert_eq!(error.line(), &b"ERR No such user 'a\xffb'"[..]);
        assert_eq!(error.to_string(), "ERR No such user 'a\u{fffd}b'");
    }

    #[test]
    fn the_preview_is_cut_as_redis_cuts_it() {
        let unknown = |args: &[&'static str]| {
            let args = args
                .iter()
                .map(|a| Bytes::from_static(a.as_bytes()))
                .collect();
            let error = CommandError::UnknownCommand(Bytes::from_static(b"foo"), args);
            assert_eq!(error.line(), error.to_string());
            error.to_string()
        };
        assert_eq!(
            unknown(&[]),
            "ERR unknown command 'foo', with args beginning with: "
        );
        assert_eq!(
            unknown(&["a", "b"]),
            "ERR unknown command 'foo', with args beginning with: 'a' 'b' "
        );
        let long: &'static str = "x".repeat(200).leak();
        assert_eq!(
            unknown(&[long, "b"]),
            format!(
                "ERR unknown command 'foo', with args beginning with: '{}' ",
                "x".repeat(128)
            )
        );
    }
}
