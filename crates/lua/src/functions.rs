//! The interpreter of functions and its libraries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mlua::{Function, Table};
use parking_lot::Mutex;

use crate::random::Random;
use crate::vm::Vm;
use crate::{Call, Host, Library, LibraryHead, Limits, ScriptError, library, raise, scripts};

/// Redis' name for the text of a library.
const CHUNK: &str = "@user_function";

/// The interpreter of functions.
pub(crate) struct Functions {
    vm: Vm,
    /// Library -> function -> callback, within Lua: references from Rust are few.
    callbacks: Table,
    /// Library -> names of its functions.
    libraries: BTreeMap<String, Vec<String>>,
}

impl Functions {
    /// The interpreter, made if need be.
    pub(crate) fn get<'a>(
        slot: &'a mut Option<Self>,
        limits: &Limits,
        random: &Arc<Mutex<Random>>,
    ) -> Result<&'a mut Self, ScriptError> {
        if slot.is_none() {
            let made = Vm::new(limits, random.clone(), Some(library::load_api));
            let made = made.and_then(|vm| {
                let (callbacks, libraries) = (vm.lua.create_table()?, BTreeMap::new());
                Ok(Self {
                    vm,
                    callbacks,
                    libraries,
                })
            });
            *slot = Some(made.map_err(|error| scripts::no_interpreter(&error))?);
        }
        slot.as_mut().ok_or(ScriptError::NoFunction)
    }

    /// Loads a library in place of the one of its name.
    pub(crate) fn load(
        &mut self,
        code: &[u8],
        head: &LibraryHead,
        time: Duration,
    ) -> Result<Library, ScriptError> {
        let compiled = self.vm.compile(code, head.length, CHUNK);
        let compiled = compiled.map_err(|error| {
            let text = raise::foreign(&error);
            ScriptError::compile(format_args!("Error compiling function: {text}"))
        })?;
        let deadline = Instant::now() + time;
        let (loaded, loading) = self
            .vm
            .bridge
            .while_loading(deadline, || self.vm.load(&compiled));
        loaded.map_err(|text| {
            ScriptError::compile(format_args!("Error registering functions: {text}"))
        })?;
        let mut registered = loading.functions;
        if registered.is_empty() {
            return Err(ScriptError::compile("No functions registered"));
        }
        registered.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        for (function, _) in &registered {
            let others = self
                .libraries
                .iter()
                .filter(|(library, _)| **library != head.name);
            if others
                .flat_map(|(_, names)| names)
                .any(|name| *name == function.name)
            {
                let text = format!("Function {} already exists", function.name);
                return Err(ScriptError::compile(text));
            }
        }
        self.keep(head, &registered).map_err(|error| {
            let text = raise::foreign(&error);
            ScriptError::compile(format_args!("Error registering functions: {text}"))
        })?;
        let functions: Vec<_> = registered
            .into_iter()
            .map(|(function, _)| function)
            .collect();
        let names = functions
            .iter()
            .map(|function| function.name.clone())
            .collect();
        self.libraries.insert(head.name.clone(), names);
        Ok(Library {
            name: head.name.clone(),
            engine: head.engine,
            functions,
        })
    }

    fn keep(
        &self,
        head: &LibraryHead,
        registered: &[(crate::Function, Function)],
    ) -> mlua::Result<()> {
        let table = self
            .vm
            .lua
            .create_table_with_capacity(0, registered.len())?;
        for (function, callback) in registered {
            table.raw_set(function.name.as_str(), callback)?;
        }
        self.callbacks.raw_set(head.name.as_str(), table)
    }

    /// Whether a library of that name is loaded.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.libraries.contains_key(name)
    }

    /// Forgets a library. Returns whether there was one.
    pub(crate) fn unload(&mut self, name: &str) -> bool {
        let _ = self.callbacks.raw_set(name, mlua::Nil);
        self.libraries.remove(name).is_some()
    }

    /// Runs a function.
    pub(crate) fn call(
        &mut self,
        library: &str,
        function: &str,
        call: Call<'_>,
        host: &mut dyn Host,
    ) -> Result<Bytes, ScriptError> {
        let library = self
            .callbacks
            .raw_get::<Option<Table>>(library)
            .ok()
            .flatten();
        let callback = library
            .and_then(|library| library.raw_get::<Option<Function>>(function).ok().flatten());
        let callback = callback.ok_or(ScriptError::NoFunction)?;
        self.vm.call(callback, function, call, host)
    }

    /// The bytes that the interpreter uses.
    pub(crate) fn memory(&self) -> usize {
        self.vm.lua.used_memory()
    }
}
