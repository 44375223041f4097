//! The side that scripts call: it executes commands, writes the log, and may end a script.

use bytes::Bytes;

/// A version of the Redis protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resp {
    /// RESP2, which every script and every connection starts with.
    #[default]
    V2,
    /// RESP3, after `redis.setresp(3)` in a script or `HELLO 3` on a connection.
    V3,
}

/// The level of a line that a script logs (`redis.LOG_DEBUG` and so on).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `redis.LOG_DEBUG`, 0.
    Debug,
    /// `redis.LOG_VERBOSE`, 1.
    Verbose,
    /// `redis.LOG_NOTICE`, 2.
    Notice,
    /// `redis.LOG_WARNING`, 3.
    Warning,
}

/// The reason why a host ends a running script. The script cannot catch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// `SCRIPT KILL` or `FUNCTION KILL`.
    Killed,
    /// Any other reason: the error line, with its code and without `-`.
    Error(String),
}

/// `redis.acl_check_cmd` was asked about a command that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownCommand;

/// Executes the commands of a script.
pub trait Host {
    /// Executes a command and returns its reply in `resp`.
    ///
    /// `args` has at least the command's name. An error reply is a line `-CODE text\r\n`:
    /// `redis.call` raises it and `redis.pcall` returns it. Refusals that concern scripts come from
    /// the host, too (`-ERR Unknown Redis command called from script`). A reply that is not one
    /// whole RESP value becomes an error of the script.
    fn call(&mut self, args: Vec<Bytes>, resp: Resp) -> Bytes;

    /// Writes a line of `redis.log`; drops it when its level is too low.
    fn log(&mut self, level: Level, text: &[u8]);

    /// Returns whether the script's user may run the command (`redis.acl_check_cmd`).
    fn acl_check(&mut self, args: &[Bytes]) -> Result<bool, UnknownCommand>;

    /// Returns whether the script may continue. It is asked every [`Limits::instructions`]
    /// instructions, and now and then by long library calls (patterns, `cjson`).
    ///
    /// [`Limits::instructions`]: crate::Limits::instructions
    fn may_go_on(&mut self) -> Result<(), Stop>;
}
