//! An engine, and the libraries that it has loaded.
//!
//! Libraries come with each call, as code. The engine keeps those that it has loaded, by name, and
//! loads another code of the same name in their place. When two libraries have a function of the
//! same name, one of them is of the past: all are forgotten, and the library is loaded alone.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use coterie_group::{Ended, Rights};
use coterie_lua::{
    Call, Engine, Flags, Library, Limits, Resp, Script, ScriptError, Stop, library_head,
    script_head,
};
use coterie_redis_compat::errors::{NO_FUNCTION, SCRIPT_NEEDS_ROOM, SCRIPT_WRITES};
use coterie_redis_compat::{self as compat, CommandError, Reply, ScriptCall, ScriptSource};

use super::host::ScriptHost;

/// See the module's head.
pub(super) struct Worker {
    engine: Engine,
    libraries: BTreeMap<String, Loaded>,
}

struct Loaded {
    code: Bytes,
    library: Library,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            engine: Engine::new(Limits::default()),
            libraries: BTreeMap::new(),
        }
    }
}

impl Worker {
    /// Runs a script or a function, and appends its reply.
    pub(super) fn run(
        &mut self,
        call: &ScriptCall<'_>,
        resp: compat::Resp,
        host: &mut ScriptHost<'_, '_, '_>,
        out: &mut BytesMut,
    ) -> Ended {
        let done = match call.source {
            ScriptSource::Script(body) => self.run_script(body, call, resp, host),
            ScriptSource::Function { code, name } => {
                self.run_function((code, name), call, resp, host)
            }
        };
        match done {
            Ok(reply) => {
                out.extend_from_slice(&reply);
                Ended::ByItself
            }
            Err(error) => {
                let is_killed = matches!(
                    error,
                    Failed::Script(ScriptError::Stopped {
                        stop: Stop::Killed,
                        ..
                    })
                );
                let line = match error {
                    Failed::Script(error) => Bytes::from(error.line()),
                    Failed::Refused(error) => error.line(),
                };
                Reply::Error(line).encode(resp, out);
                if is_killed {
                    Ended::FromOutside
                } else {
                    Ended::ByItself
                }
            }
        }
    }

    fn run_script(
        &mut self,
        body: &Bytes,
        call: &ScriptCall<'_>,
        resp: compat::Resp,
        host: &mut ScriptHost<'_, '_, '_>,
    ) -> Result<Bytes, Failed> {
        let head = script_head(body)?;
        if head.shebang {
            restrict(head.flags, call, host)?;
        }
        // A copy: the engine keeps it, and the frame's buffer is large.
        let script = Script::new(Bytes::copy_from_slice(body));
        Ok(self.engine.run(&script, words_of(call, resp), host)?)
    }

    fn run_function(
        &mut self,
        (code, name): (&Bytes, &Bytes),
        call: &ScriptCall<'_>,
        resp: compat::Resp,
        host: &mut ScriptHost<'_, '_, '_>,
    ) -> Result<Bytes, Failed> {
        let library = self.load(code)?;
        let function = library
            .functions
            .iter()
            .find(|function| function.name.as_bytes().eq_ignore_ascii_case(name));
        let Some(function) = function else {
            return Err(Failed::Refused(NO_FUNCTION));
        };
        restrict(function.flags, call, host)?;
        let (library, function) = (library.name.clone(), function.name.clone());
        let words = words_of(call, resp);
        Ok(self.engine.call(&library, &function, words, host)?)
    }

    /// The library with this code.
    fn load(&mut self, code: &Bytes) -> Result<&Library, ScriptError> {
        let name = library_head(code)?.name;
        let is_loaded = self
            .libraries
            .get(&name)
            .is_some_and(|loaded| loaded.code == *code);
        if !is_loaded {
            let library = match self.engine.load_library(code) {
                Ok(library) => library,
                Err(_) if !self.libraries.is_empty() => {
                    self.engine.flush_libraries();
                    self.libraries.clear();
                    self.engine.load_library(code)?
                }
                Err(error) => return Err(error),
            };
            let code = Bytes::copy_from_slice(code);
            self.libraries
                .insert(name.clone(), Loaded { code, library });
        }
        match self.libraries.get(&name) {
            Some(loaded) => Ok(&loaded.library),
            None => Err(ScriptError::NoFunction),
        }
    }
}

/// Why there is no reply.
enum Failed {
    Script(ScriptError),
    Refused(CommandError),
}

impl From<ScriptError> for Failed {
    fn from(error: ScriptError) -> Self {
        Self::Script(error)
    }
}

impl From<CommandError> for Failed {
    fn from(error: CommandError) -> Self {
        Self::Refused(error)
    }
}

/// Gives a script the rights that its flags say. Errors in the order of Redis (`script.c`,
/// `scriptPrepareForRun`).
fn restrict(
    flags: Flags,
    call: &ScriptCall<'_>,
    host: &mut ScriptHost<'_, '_, '_>,
) -> Result<(), CommandError> {
    let may_write = !flags.contains(Flags::NO_WRITES);
    if may_write && call.is_read_only {
        return Err(SCRIPT_WRITES);
    }
    let may_grow = flags.contains(Flags::ALLOW_OOM);
    if may_write && !may_grow && !host.state.has_room() {
        return Err(SCRIPT_NEEDS_ROOM);
    }
    host.state.restrict(Rights {
        may_write,
        may_grow,
    });
    Ok(())
}

fn words_of<'a>(call: &ScriptCall<'a>, resp: compat::Resp) -> Call<'a> {
    let resp = match resp {
        compat::Resp::V2 => Resp::V2,
        compat::Resp::V3 => Resp::V3,
    };
    let (keys, args) = (call.keys, call.args);
    Call { keys, args, resp }
}
