//! The engine: an interpreter for scripts and another for function libraries.

use std::time::Duration;

use bytes::Bytes;

use crate::{Flags, Host, Resp, ScriptError, ScriptHead};

/// The bounds of an [`Engine`].
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
    /// The instructions between two questions to [`Host::may_go_on`].
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

/// Runs scripts and functions, one at a time.
///
/// After an error, a stop or a lack of memory the engine is as usable as before.
pub struct Engine {
    limits: Limits,
}

impl Engine {
    /// An engine without scripts or libraries. An interpreter is made when it is first needed.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Compiles a script without running it, and keeps it: `SCRIPT LOAD`.
    ///
    /// Errors: those of [`crate::script_head`], and `ERR Error compiling script (new function): ...`.
    pub fn check(&mut self, script: &Script) -> Result<ScriptHead, ScriptError> {
        crate::script_head(&script.body)
    }

    /// Runs a script and returns its reply, as RESP for the client.
    ///
    /// An error table that the script returns is such a reply. An error that it raises is
    /// [`ScriptError::Run`], its line as Redis prints it: `ERR ... script: SHA1, on @user_script:1.`
    pub fn run(
        &mut self,
        script: &Script,
        call: Call<'_>,
        host: &mut dyn Host,
    ) -> Result<Bytes, ScriptError> {
        Err(ScriptError::NoFunction)
    }

    /// Forgets all scripts and makes the interpreter of scripts anew: `SCRIPT FLUSH`.
    pub fn flush_scripts(&mut self) {}

    /// Loads a library, in place of any library of the same name; a library that cannot be loaded
    /// leaves the engine as it was. The caller refuses a name that is taken (`FUNCTION LOAD` without
    /// `REPLACE`: `ERR Library 'x' already exists`).
    ///
    /// Errors: those of [`crate::library_head`] and of `redis.register_function`, and
    /// `ERR Function x already exists` when another library has it.
    pub fn load_library(&mut self, code: &[u8]) -> Result<Library, ScriptError> {
        Err(ScriptError::NoFunction)
    }

    /// Whether a library of that name is loaded.
    pub fn has_library(&self, name: &str) -> bool {
        false
    }

    /// Forgets a library: `FUNCTION DELETE`. Returns whether there was one.
    pub fn unload_library(&mut self, name: &str) -> bool {
        false
    }

    /// Forgets all libraries and makes the interpreter of functions anew: `FUNCTION FLUSH`.
    pub fn flush_libraries(&mut self) {}

    /// Runs a function of a loaded library and returns its reply, as RESP for the client; errors as
    /// for [`Engine::run`], with the function's name for the SHA1.
    pub fn call(
        &mut self,
        library: &str,
        function: &str,
        call: Call<'_>,
        host: &mut dyn Host,
    ) -> Result<Bytes, ScriptError> {
        Err(ScriptError::NoFunction)
    }

    /// The bytes that both interpreters use now.
    pub fn memory(&self) -> usize {
        0
    }
}
