//! The interpreter of scripts and its compiled scripts.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use mlua::{Function, Table};
use parking_lot::Mutex;

use crate::random::Random;
use crate::vm::Vm;
use crate::{Call, Host, Limits, Script, ScriptError, ScriptHead, raise};

/// Redis' name for the text of a script.
const CHUNK: &str = "@user_script";

/// The interpreter of scripts.
pub(crate) struct Scripts {
    vm: Vm,
    /// SHA1 -> function, within Lua: references from Rust are few.
    functions: Table,
    /// SHA1 -> the run in which it was used last.
    used: HashMap<String, u64>,
    runs: u64,
    most: usize,
}

impl Scripts {
    /// The interpreter, made if need be.
    pub(crate) fn get<'a>(
        slot: &'a mut Option<Self>,
        limits: &Limits,
        random: &Arc<Mutex<Random>>,
    ) -> Result<&'a mut Self, ScriptError> {
        if slot.is_none() {
            let made = Vm::new(limits, random.clone(), None).and_then(|vm| {
                let functions = vm.lua.create_table()?;
                let (used, runs, most) = (HashMap::new(), 0, limits.scripts.max(1));
                Ok(Self {
                    vm,
                    functions,
                    used,
                    runs,
                    most,
                })
            });
            *slot = Some(made.map_err(|error| no_interpreter(&error))?);
        }
        slot.as_mut().ok_or(ScriptError::NoFunction)
    }

    /// Runs a script; compiles it first when it is new.
    pub(crate) fn run(
        &mut self,
        script: &Script,
        call: Call<'_>,
        host: &mut dyn Host,
    ) -> Result<Bytes, ScriptError> {
        let kept = self
            .functions
            .raw_get::<Option<Function>>(script.sha1.as_str());
        let function = match kept {
            Ok(Some(function)) => {
                self.runs += 1;
                if let Some(used) = self.used.get_mut(&script.sha1) {
                    *used = self.runs;
                }
                function
            }
            _ => self.compiled(script, &crate::script_head(&script.body)?)?,
        };
        self.vm.run(function, &script.sha1, call, host)
    }

    /// The function of a script, compiled if need be.
    pub(crate) fn compiled(
        &mut self,
        script: &Script,
        head: &ScriptHead,
    ) -> Result<Function, ScriptError> {
        let compile = |vm: &Vm| vm.compile(&script.body, head.length, CHUNK);
        let function = match compile(&self.vm) {
            Err(mlua::Error::MemoryError(_)) => {
                // Compiled scripts use the memory of running ones.
                self.forget_all();
                compile(&self.vm)
            }
            other => other,
        };
        let function = function.map_err(|error| {
            let text = raise::foreign(&error);
            ScriptError::compile(format_args!(
                "Error compiling script (new function): {text}"
            ))
        })?;
        self.keep(script, &function);
        Ok(function)
    }

    /// Keeps a compiled script, in place of the one that was used longest ago when they are too
    /// many. Without memory to keep it, it is compiled again next time.
    fn keep(&mut self, script: &Script, function: &Function) {
        if !self.used.contains_key(&script.sha1) && self.used.len() >= self.most {
            let oldest = self.used.iter().min_by_key(|(_, used)| **used);
            if let Some(oldest) = oldest.map(|(sha1, _)| sha1.clone()) {
                self.used.remove(&oldest);
                let _ = self.functions.raw_set(oldest, mlua::Nil);
            }
        }
        if self
            .functions
            .raw_set(script.sha1.as_str(), function)
            .is_ok()
        {
            self.runs += 1;
            self.used.insert(script.sha1.clone(), self.runs);
        }
    }

    fn forget_all(&mut self) {
        self.used.clear();
        let _ = self.functions.clear();
        let _ = self.vm.lua.gc_collect();
    }

    /// The bytes that the interpreter uses.
    pub(crate) fn memory(&self) -> usize {
        self.vm.lua.used_memory()
    }
}

/// The error for a client when no interpreter can be made.
pub(crate) fn no_interpreter(error: &mlua::Error) -> ScriptError {
    let text = raise::foreign(error);
    ScriptError::Run(crate::error::one_line(&format!(
        "ERR no interpreter for scripts: {text}"
    )))
}
