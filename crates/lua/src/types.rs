//! The bounds of an engine, and the values it is asked with and answers with.

use std::time::Duration;

use bytes::Bytes;

use crate::{Flags, Resp};

/// The bounds of an [`crate::Engine`].
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most bytes that each of the two interpreters may allocate. A script that needs more
    /// fails with `not enough memory`.
    pub memory: usize,
    /// The most compiled scripts kept. Beyond them the script that was used longest ago is
    /// compiled again when it comes back.
    pub scripts: usize,
    /// The longest reply of a script in bytes.
    pub reply: usize,
    /// The instructions between two questions to [`crate::Host::may_go_on`].
    pub instructions: u32,
    /// The longest time that loading a library may take.
    pub load_time: Duration,
}

impl Default for Limits {
    /// 64 MiB, 1,000 scripts, replies of 64 MiB, and Redis' 100,000 instructions and 500 ms.
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            scripts: 1_000,
            reply: 64 << 20,
            instructions: 100_000,
            load_time: Duration::from_millis(500),
        }
    }
}

/// A script of `EVAL` or `SCRIPT LOAD`.
#[derive(Debug, Clone)]
pub struct Script {
    /// [`crate::sha1_hex`] of the body. The engine keeps compiled scripts by it.
    pub sha1: String,
    /// The text, its shebang line included.
    pub body: Bytes,
}

impl Script {
    /// The script with that text.
    pub fn new(body: Bytes) -> Self {
        let sha1 = crate::sha1_hex(&body);
        Self { sha1, body }
    }
}

/// The arguments of a run.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// `KEYS`, or the first argument of a function.
    pub keys: &'a [Bytes],
    /// `ARGV`, or the second argument of a function.
    pub args: &'a [Bytes],
    /// The protocol of the client, in which the reply is written.
    pub resp: Resp,
}

/// A loaded function library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its engine: always `LUA`.
    pub engine: &'static str,
    /// Its functions in the order of their names.
    pub functions: Vec<Function>,
}

/// A function of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name, unique over all libraries.
    pub name: String,
    /// Its description, when it has one.
    pub description: Option<String>,
    /// Its declared flags.
    pub flags: Flags,
}
