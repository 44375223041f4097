//! Every error line a client can see, in Redis' own words; and the two ways a command can fail.
//!
//! The words live here alone, those of the proxy included (authentication, protocol, transactions,
//! limits), so that one test can compare each with a line recorded from a real Redis
//! (`tests/error_lines.rs`). Coterie's own errors stand at the end: each begins with a code a
//! client can match.

use bytes::Bytes;

use crate::Fault;

/// What a client is told. `Display` is the RESP error line as Redis words it, without `-` and CRLF.
///
/// Text that comes from a client may hold CR and LF here; [`crate::Reply::encode`] blanks them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The key holds another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// An argument or a stored value is no i64 in Redis' strict decimal form.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// An argument is a number outside of what fits.
    #[error("ERR value is out of range, value must between {0} and {1}")]
    IntOutOfRange(i32, i32),
    /// An argument is a number, and not above zero.
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    /// An argument or a stored value is no number.
    #[error("ERR value is not a valid float")]
    NotAFloat,
    /// The sum is no i64.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// `DECRBY` by the smallest i64.
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    /// `INCRBYFLOAT` would store no number.
    #[error("ERR increment would produce NaN or Infinity")]
    NanOrInfinity,
    /// Options that do not fit together, or are not known.
    #[error("ERR syntax error")]
    Syntax,
    /// The key must exist.
    #[error("ERR no such key")]
    NoSuchKey,
    /// A string offset below zero.
    #[error("ERR offset is out of range")]
    OffsetOutOfRange,
    /// The value would be longer than a string may be.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    /// A bit offset below zero or past the longest string.
    #[error("ERR bit offset is not an integer or out of range")]
    BitOffset,
    /// A bit that is neither 0 nor 1.
    #[error("ERR bit is not an integer or out of range")]
    BitValue,
    /// `BITPOS` for a bit that is neither 0 nor 1.
    #[error("ERR The bit argument must be 1 or 0.")]
    BitArgument,
    /// `BITOP NOT` with several sources.
    #[error("ERR BITOP NOT must be called with a single source key.")]
    BitOpNot,
    /// A `BITFIELD` type that is not `i1`..`i64` or `u1`..`u63`.
    #[error(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
    )]
    BitfieldType,
    /// A `BITFIELD` overflow word that is not known.
    #[error("ERR Invalid OVERFLOW type specified")]
    BitfieldOverflow,
    /// `BITFIELD_RO` with something other than GET.
    #[error("ERR BITFIELD_RO only supports the GET subcommand")]
    BitfieldReadOnly,
    /// `LCS` with both LEN and IDX.
    #[error("ERR If you want both the length and indexes, please just use IDX.")]
    LcsLenAndIdx,
    /// `LCS` of values too long to compare.
    #[error("ERR String too long for LCS")]
    LcsTooLong,
    /// `LCS` of values whose table does not fit in memory.
    #[error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")]
    LcsMemory,
    /// An expiry that is not above zero, or past the end of time; with the command's name.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    /// `EXPIRE` with NX and another condition.
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    ExpireNxAndOthers,
    /// `EXPIRE` with both GT and LT.
    #[error("ERR GT and LT options at the same time are not compatible")]
    ExpireGtAndLt,
    /// An option that is not known.
    #[error("{}", lossy(&quoting("Unsupported option ", .0, "")))]
    UnsupportedOption(Bytes),
    /// `RESTORE` on a key that exists.
    #[error("BUSYKEY Target key name already exists.")]
    BusyKey,
    /// A `RESTORE` payload of another version, or damaged.
    #[error("ERR DUMP payload version or checksum are wrong")]
    BadDump,
    /// A `RESTORE` payload that is whole and makes no sense.
    #[error("ERR Bad data format")]
    BadDataFormat,
    /// `RESTORE` with a TTL below zero.
    #[error("ERR Invalid TTL value, must be >= 0")]
    InvalidTtl,
    /// `RESTORE` with an idle time below zero.
    #[error("ERR Invalid IDLETIME value, must be >= 0")]
    InvalidIdleTime,
    /// `RESTORE` with a frequency that is no byte.
    #[error("ERR Invalid FREQ value, must be >= 0 and <= 255")]
    InvalidFreq,
    /// A database number past the last.
    #[error("ERR DB index is out of range")]
    DbOutOfRange,
    /// `MOVE` or `COPY` onto itself.
    #[error("ERR source and destination objects are the same")]
    SameObject,
    /// `SCAN` with a cursor that is no number.
    #[error("ERR invalid cursor")]
    InvalidCursor,
    /// `OBJECT FREQ` without an LFU policy, which Coterie does not have.
    #[error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
    )]
    NoLfuPolicy,

    /// Too few or too many words; with the command's full name.
    #[error("ERR wrong number of arguments for '{0}' command")]
    WrongArity(&'static str),
    /// No such command; with its words.
    #[error("{}", lossy(&unknown_command(.0, .1)))]
    UnknownCommand(Bytes, Vec<Bytes>),
    /// No such subcommand; with the container's name.
    #[error("{}", lossy(&unknown_subcommand(.0, .1)))]
    UnknownSubcommand(Bytes, &'static str),
    /// `COMMAND GETKEYS` of a command that is not known.
    #[error("ERR Invalid command specified")]
    InvalidCommandSpecified,
    /// `COMMAND GETKEYS` with too few or too many words.
    #[error("ERR Invalid number of arguments specified for command")]
    InvalidArgumentCount,
    /// `COMMAND GETKEYS` with words that hide the keys.
    #[error("ERR Invalid arguments specified for command")]
    InvalidArguments,
    /// `COMMAND GETKEYS` of a command without keys.
    #[error("ERR The command has no key arguments")]
    NoKeyArguments,

    /// A command before `AUTH`.
    #[error("NOAUTH Authentication required.")]
    NoAuth,
    /// `HELLO` before `AUTH`, without credentials.
    #[error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
    )]
    NoAuthHello,
    /// Wrong credentials.
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPass,
    /// `AUTH` while no password is set.
    #[error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
    )]
    NoPasswordSet,
    /// The user may not run the command; with its full name.
    #[error("NOPERM this user has no permissions to run the '{0}' command")]
    NoPermCommand(String),
    /// The user may not touch the key.
    #[error("NOPERM this user has no permissions to access one of the keys used as arguments")]
    NoPermKey,
    /// The user may not use the channel.
    #[error("NOPERM this user has no permissions to access one of the channels used as arguments")]
    NoPermChannel,
    /// `HELLO` with a version other than 2 or 3.
    #[error("NOPROTO unsupported protocol version")]
    NoProto,
    /// `HELLO` with a version that is no number.
    #[error("ERR Protocol version is not an integer or out of range")]
    ProtoNotANumber,
    /// `HELLO` with an option that is not known.
    #[error("{}", lossy(&quoting("Syntax error in HELLO option '", .0, "'")))]
    HelloOption(Bytes),
    /// Bytes that are no request; the connection is closed after it.
    #[error("ERR Protocol error: {0}")]
    Protocol(String),
    /// A connection over the limit.
    #[error("ERR max number of clients reached")]
    MaxClients,
    /// A stranger from another host while no password is set.
    #[error(
        "DENIED Coterie is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers, set an authentication password for the default user, or disable protected mode."
    )]
    ProtectedMode,

    /// `MULTI` within `MULTI`.
    #[error("ERR MULTI calls can not be nested")]
    NestedMulti,
    /// `EXEC` without `MULTI`.
    #[error("ERR EXEC without MULTI")]
    ExecWithoutMulti,
    /// `DISCARD` without `MULTI`.
    #[error("ERR DISCARD without MULTI")]
    DiscardWithoutMulti,
    /// `WATCH` within `MULTI`.
    #[error("ERR WATCH inside MULTI is not allowed")]
    WatchInsideMulti,
    /// A command that `MULTI` does not queue.
    #[error("ERR Command not allowed inside a transaction")]
    NotInMulti,
    /// `EXEC` after a command that could not be queued.
    #[error("EXECABORT Transaction discarded because of previous errors.")]
    ExecAbort,
    /// `CONFIG GET|SET` of a name that is not known.
    #[error("{}", lossy(&quoting(UNKNOWN_CONFIG, .0, "'")))]
    UnknownConfig(Bytes),
    /// `CLIENT KILL` and friends on a client that is gone.
    #[error("ERR No such client")]
    NoSuchClient,
    /// `CLIENT SETNAME` with a name that would break `CLIENT LIST`.
    #[error("ERR Client names cannot contain spaces, newlines or special characters.")]
    BadClientName,

    /// The keys of one command, or of one transaction, live in several groups.
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
    /// `WAIT` or `CLIENT PAUSE` with a timeout that is no number.
    #[error("ERR timeout is not an integer or out of range")]
    TimeoutNotAnInteger,
    /// `WAIT` or `CLIENT PAUSE` with a timeout below zero.
    #[error("ERR timeout is negative")]
    TimeoutNegative,
    /// `WAIT` or `CLIENT PAUSE` with a timeout that ends after the last millisecond there is.
    #[error("ERR timeout is out of range")]
    TimeoutOutOfRange,

    /// A transaction would change more than one log entry may, in bytes. In Redis' words for one that
    /// its memory has no room for (`multi.c`, `execCommandAbort`).
    #[error(
        "EXECABORT Transaction discarded because of: \
        OOM a transaction may change {0} bytes of keys and values"
    )]
    TransactionTooLarge(usize),
    /// The replies of a transaction would be longer than what a frame may hold, in bytes.
    #[error(
        "EXECABORT Transaction discarded because of: \
        replies exceed maximum allowed size ({0} bytes)"
    )]
    TransactionRepliesTooLong(usize),
    /// The reply would be longer than what a frame may hold, in bytes.
    #[error("ERR reply exceeds maximum allowed size ({0} bytes)")]
    ReplyTooLong(usize),
    /// No room on disk.
    #[error("OOM command not allowed when the disk is full")]
    DiskFull,
    /// A key longer than the limit, in bytes.
    #[error("ERR key exceeds maximum allowed size ({0} bytes)")]
    KeyTooLong(usize),
    /// A value longer than the limit, in bytes.
    #[error("ERR value exceeds maximum allowed size ({0} bytes)")]
    ValueTooLong(usize),
    /// A request larger than the limit, in bytes.
    #[error("ERR request exceeds maximum allowed size ({0} bytes)")]
    RequestTooLong(usize),
    /// A word that belongs to Redis, and that Coterie does not offer; with the reason.
    #[error("ERR {0}")]
    NotSupported(&'static str),
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

const UNKNOWN_CONFIG: &str = "Unknown option or number of arguments for CONFIG SET - '";

impl CommandError {
    /// The line `ERR before word after`, the word as the client sent it, up to the first NUL.
    #[must_use]
    pub fn quoting(before: &str, word: &[u8], after: &str) -> Self {
        Self::Quoting(quoting(before, word, after).into())
    }

    /// The error line as sent, without `-` and CRLF. Differs from `Display` where a client's words
    /// that are quoted are not UTF-8.
    #[must_use]
    pub fn line(&self) -> Bytes {
        Bytes::from(match self {
            Self::UnknownCommand(name, args) => unknown_command(name, args),
            Self::UnknownSubcommand(word, container) => unknown_subcommand(word, container),
            Self::UnsupportedOption(word) => quoting("Unsupported option ", word, ""),
            Self::HelloOption(word) => quoting("Syntax error in HELLO option '", word, "'"),
            Self::UnknownConfig(name) => quoting(UNKNOWN_CONFIG, name, "'"),
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
