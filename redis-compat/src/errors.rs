//! Error lines that never change, in Redis' own words.
//!
//! The lines of a single command are constants beside it; those that several commands or the proxy
//! share stand here. [`crate::all_error_lines`] lists them, so that a test can compare each with a
//! line recorded from a real Redis (`tests/error_lines.rs`).

use crate::CommandError;

pub use crate::table::all_error_lines;
pub use crate::table::errors::*;

/// Constants for error lines, and `LINES`, the list of them.
macro_rules! error_lines {
    ($($(#[$doc:meta])* $vis:vis $name:ident = $line:literal;)*) => {
        $($(#[$doc])* $vis const $name: $crate::CommandError = $crate::CommandError::Fixed($line);)*
        const LINES: &[$crate::CommandError] = &[$($name),*];
    };
}
pub(crate) use error_lines;

error_lines! {
    /// The key holds another type.
    pub WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    /// The key must exist.
    pub NO_SUCH_KEY = "ERR no such key";
    /// An argument or a stored value is no i64 in Redis' strict decimal form.
    pub NOT_AN_INTEGER = "ERR value is not an integer or out of range";
    /// An argument or a stored value is no number.
    pub NOT_A_FLOAT = "ERR value is not a valid float";
    /// The sum would be no number that can be stored.
    pub NAN_OR_INFINITY = "ERR increment would produce NaN or Infinity";
    /// Options that do not fit together, or are not known.
    pub SYNTAX = "ERR syntax error";
    /// The sum is no i64.
    pub OVERFLOW = "ERR increment or decrement would overflow";
    /// The value would be longer than a string may be.
    pub STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    /// A count below zero, or no number.
    pub NOT_POSITIVE = "ERR value is out of range, must be positive";
    /// The elements of a collection would be more than a command may copy at once.
    pub COLLECTION_TOO_LARGE = "ERR the collection is too large to be copied by a single command";
    /// A command would remove more elements than it may change at once.
    pub TOO_MANY_REMOVED = "ERR the members are too many to be removed by a single command";
    /// A database number past the last.
    pub DB_OUT_OF_RANGE = "ERR DB index is out of range";
    /// `COMMAND GETKEYS` with words that hide the keys.
    pub INVALID_ARGUMENTS = "ERR Invalid arguments specified for command";
    /// A command before `AUTH`.
    pub NO_AUTH = "NOAUTH Authentication required.";
    /// The user may not touch the key.
    pub NO_PERM_KEY = "NOPERM this user has no permissions to access one of the keys used as \
        arguments";
    /// The user may not use the channel.
    pub NO_PERM_CHANNEL = "NOPERM this user has no permissions to access one of the channels used \
        as arguments";
    /// A connection over the limit.
    pub MAX_CLIENTS = "ERR max number of clients reached";
    /// A stranger from another host while no password is set.
    pub PROTECTED_MODE = "DENIED Coterie is running in protected mode because protected mode is \
        enabled and no password is set for the default user. In this mode connections are only \
        accepted from the loopback interface. If you want to connect from external \
        computers, set an authentication password for the default user, or disable \
        protected mode.";
    /// No room on disk.
    pub DISK_FULL = "OOM command not allowed when the disk is full";
    /// A proxy that does not know yet where keys are.
    pub STARTING = "LOADING Coterie is starting: no ranges yet";
    /// A row that neither a group nor the proxy runs.
    pub NOT_OFFERED = "ERR command is not offered";
    /// A command touched a key that its row does not declare.
    pub UNDECLARED_KEY = "ERR the command touched a key that it did not declare";
    /// A command of the proxy that was sent to a group.
    pub OF_THE_PROXY = "ERR command is answered by the proxy alone";
    /// A script in a frame that says nothing of scripts.
    pub OF_THE_LEADER = "ERR a script is run by the leader of its group alone";
}

/// The lines of this file.
pub(crate) const SHARED: &[CommandError] = LINES;
