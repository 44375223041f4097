//! The engine: an interpreter for scripts and another for function libraries.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::functions::Functions;
use crate::random::Random;
use crate::scripts::Scripts;
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
    /// Scripts and functions draw from one generator of random numbers, as in Redis.
    random: Arc<Mutex<Random>>,
    scripts: Option<Scripts>,
    functions: Option<Functions>,
}

impl Engine {
    /// An engine without scripts or libraries. An interpreter is made when it is first needed.
    pub fn new(limits: Limits) -> Self {
        let random = Arc::new(Mutex::new(Random::new()));
        Self {
            limits,
            random,
            scripts: None,
            functions: None,
        }
    }

    /// Compiles a script without running it, and keeps it: `SCRIPT LOAD`.
    ///
    /// Errors: those of [`crate::script_head`], and
    /// `ERR Error compiling script (new function): ...`.
    pub fn check(&mut self, script: &Script) -> Result<ScriptHead, ScriptError> {
        let head = crate::script_head(&script.body)?;
        whole(&mut self.scripts, |scripts| {
            let scripts = Scripts::get(scripts, &self.limits, &self.random)?;
            scripts.compiled(script, &head).map(drop)
        })?;
        Ok(head)
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
        whole(&mut self.scripts, |scripts| {
            let scripts = Scripts::get(scripts, &self.limits, &self.random)?;
            scripts.run(script, call, host)
        })
    }

    /// Forgets all scripts and makes the interpreter of scripts anew: `SCRIPT FLUSH`.
    pub fn flush_scripts(&mut self) {
        self.scripts = None;
    }

    /// Loads a library, in place of any library of the same name; a library that cannot be loaded
    /// leaves the engine as it was. The caller refuses a name that is taken (`FUNCTION LOAD`
    /// without `REPLACE`: `ERR Library 'x' already exists`).
    ///
    /// Errors: those of [`crate::library_head`] and of `redis.register_function`, and
    /// `ERR Function x already exists` when another library has it.
    pub fn load_library(&mut self, code: &[u8]) -> Result<Library, ScriptError> {
        let head = crate::library_head(code)?;
        whole(&mut self.functions, |functions| {
            let functions = Functions::get(functions, &self.limits, &self.random)?;
            functions.load(code, &head, self.limits.load_time)
        })
    }

    /// Whether a library of that name is loaded.
    pub fn has_library(&self, name: &str) -> bool {
        self.functions
            .as_ref()
            .is_some_and(|functions| functions.has(name))
    }

    /// Forgets a library: `FUNCTION DELETE`. Returns whether there was one.
    pub fn unload_library(&mut self, name: &str) -> bool {
        self.functions
            .as_mut()
            .is_some_and(|functions| functions.unload(name))
    }

    /// Forgets all libraries and makes the interpreter of functions anew: `FUNCTION FLUSH`.
    pub fn flush_libraries(&mut self) {
        self.functions = None;
    }

    /// Runs a function of a loaded library and returns its reply, as RESP for the client; errors as
    /// for [`Engine::run`], with the function's name for the SHA1.
    ///
    /// A panic in the interpreter loses it with all its libraries ([`Engine::has_library`]).
    pub fn call(
        &mut self,
        library: &str,
        function: &str,
        call: Call<'_>,
        host: &mut dyn Host,
    ) -> Result<Bytes, ScriptError> {
        whole(&mut self.functions, |functions| match functions {
            Some(functions) => functions.call(library, function, call, host),
            None => Err(ScriptError::NoFunction),
        })
    }

    /// The bytes that both interpreters use now.
    pub fn memory(&self) -> usize {
        let scripts = self.scripts.as_ref().map_or(0, Scripts::memory);
        scripts + self.functions.as_ref().map_or(0, Functions::memory)
    }
}

/// Runs `body`; when it panics, the interpreter is dropped: its state is unknown.
fn whole<T, R>(
    interpreter: &mut Option<T>,
    body: impl FnOnce(&mut Option<T>) -> Result<R, ScriptError>,
) -> Result<R, ScriptError> {
    // Whatever a panic leaves behind in the interpreter is not used again.
    let result = panic::catch_unwind(AssertUnwindSafe(|| body(interpreter)));
    result.unwrap_or_else(|_| {
        *interpreter = None;
        Err(ScriptError::Run(
            "ERR the interpreter failed and was started anew".to_owned(),
        ))
    })
}
