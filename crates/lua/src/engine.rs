//! The engine: an interpreter for scripts and another for function libraries.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::bridge::HostPanic;
use crate::functions::Functions;
use crate::random::Random;
use crate::scripts::Scripts;
use crate::{Call, Host, Library, Limits, Script, ScriptError, ScriptHead};

/// Runs scripts and functions, in turn.
///
/// After an error, a stop or a lack of memory the engine is as usable as before.
pub struct Engine {
    limits: Limits,
    /// Scripts and functions share the generator of random numbers, as in Redis.
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
    /// An error table that the script returns is a reply, too. An error that it raises is
    /// [`ScriptError::Run`], its line as Redis prints it:
    /// `ERR ... script: SHA1, on @user_script:1.`
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

    /// Forgets a library: `FUNCTION DELETE`. Returns whether it was loaded.
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

/// Runs `body`; when the interpreter panics, it is dropped: its state is unknown. A panic of the
/// host continues.
fn whole<T, R>(
    interpreter: &mut Option<T>,
    body: impl FnOnce(&mut Option<T>) -> Result<R, ScriptError>,
) -> Result<R, ScriptError> {
    // The remains of a panic are not used again.
    let result = panic::catch_unwind(AssertUnwindSafe(|| body(interpreter)));
    result.unwrap_or_else(|payload| match payload.downcast::<HostPanic>() {
        Ok(host) => panic::resume_unwind(host.0),
        Err(_) => {
            *interpreter = None;
            Err(ScriptError::Run(
                "ERR the interpreter failed and was started anew".to_owned(),
            ))
        }
    })
}
