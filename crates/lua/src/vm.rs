//! An interpreter: Lua with Redis' globals.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use mlua::{Function, HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Table, Value, VmState};
use parking_lot::Mutex;

use crate::bridge::Bridge;
use crate::native::{NEXT, PCALL};
use crate::random::Random;
use crate::to_resp::Writer;
use crate::trace::{self, Failure};
use crate::{
    Call, Host, Limits, ScriptError, api, arguments, bits, json, math, msgpack, number, packed,
    raise, strings,
};

/// An interpreter for scripts, or for the functions of libraries.
pub(crate) struct Vm {
    pub(crate) lua: Lua,
    pub(crate) bridge: Bridge,
    failure: Failure,
    reply: usize,
    /// The memory in use at which garbage is collected after a run.
    collect_at: Cell<usize>,
    loading: Function,
    load: Function,
    run: Function,
    call: Function,
}

impl Vm {
    /// A new interpreter. `load_api` makes the table that libraries see while they are loaded.
    pub(crate) fn new(
        limits: &Limits,
        random: Arc<Mutex<Random>>,
        load_api: Option<fn(&Lua, &Bridge) -> mlua::Result<Table>>,
    ) -> mlua::Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        let bridge = Bridge::new(random, limits.memory);
        let failure = Failure::default();
        for (name, function) in [(NEXT, "next"), (PCALL, "pcall")] {
            let function: Function = lua.globals().raw_get(function)?;
            lua.set_named_registry_value(name, function)?;
        }
        let native = natives(&lua, &bridge, &failure)?;
        if let Some(load_api) = load_api {
            native.raw_set("load_only", load_api(&lua, &bridge)?)?;
        }
        let prelude = lua
            .load(include_str!("prelude.lua"))
            .set_name(trace::PRELUDE);
        let made: Table = prelude.call((native, visible(&lua, &bridge)?))?;
        lua.set_globals(made.raw_get("globals")?)?;
        let part = |name: &str| made.raw_get::<Function>(name);
        let (loading, load) = (part("loading")?, part("load")?);
        let (run, call) = (part("run")?, part("call")?);
        let here = bridge.clone();
        let triggers = HookTriggers::new().every_nth_instruction(limits.instructions.max(1));
        lua.set_global_hook(triggers, move |_, _| {
            here.may_go_on().map(|()| VmState::Continue)
        })?;
        lua.set_memory_limit(limits.memory.max(lua.used_memory() + (64 << 10)))?;
        let (reply, collect_at) = (limits.reply, Cell::new(limits.memory / 2));
        Ok(Self {
            lua,
            bridge,
            failure,
            reply,
            collect_at,
            loading,
            load,
            run,
            call,
        })
    }

    /// Compiles a text without its shebang line of `skip` bytes.
    pub(crate) fn compile(&self, text: &[u8], skip: usize, name: &str) -> mlua::Result<Function> {
        let text = text.get(skip..).unwrap_or_default();
        // Bytecode can break the interpreter. With a blank before it, it is a syntax error.
        let blanked = text.starts_with(b"\x1b").then(|| [b" ", text].concat());
        let text = blanked.as_deref().unwrap_or(text);
        let chunk = self
            .lua
            .load(text)
            .set_name(name)
            .set_mode(mlua::chunk::ChunkMode::Text);
        chunk.into_function()
    }

    /// Runs a compiled script. `name` is its SHA1, for error texts.
    pub(crate) fn run(
        &self,
        script: Function,
        name: &str,
        call: Call<'_>,
        host: &mut dyn Host,
    ) -> Result<Bytes, ScriptError> {
        let result = self.bridge.with_host(&self.lua, host, || {
            let args = (script, self.strings(call.keys)?, self.strings(call.args)?);
            self.run
                .call::<(bool, Value)>(args)
                .and_then(|end| self.reply(end, call))
        });
        self.end(result, name)
    }

    /// Runs a function of a library.
    pub(crate) fn call(
        &self,
        function: Function,
        name: &str,
        call: Call<'_>,
        host: &mut dyn Host,
    ) -> Result<Bytes, ScriptError> {
        let result = self.bridge.with_host(&self.lua, host, || {
            let args = (function, self.strings(call.keys)?, self.strings(call.args)?);
            self.call
                .call::<(bool, Value)>(args)
                .and_then(|end| self.reply(end, call))
        });
        self.end(result, name)
    }

    /// Runs the text of a library, which registers its functions.
    pub(crate) fn load(&self, library: &Function) -> Result<(), String> {
        let switched = self.loading.call::<()>(true);
        let result = switched.and_then(|()| self.load.call::<(bool, Value)>(library));
        let back = self.loading.call::<()>(false);
        let result = result.and_then(|end| back.map(|()| end));
        self.tidy(matches!(result, Ok((true, _))));
        match result {
            Ok((true, _)) => Ok(()),
            Ok((false, value)) => Err(match self.failure.take().filter(|_| !value.is_string()) {
                Some(failed) => failed.message,
                None => format!("ERR {}", text_of(&value)),
            }),
            Err(error) => Err(format!("ERR {}", raise::foreign(&error))),
        }
    }

    /// Collects garbage when there may be much. Lua collects it at twice the memory that was live
    /// before, and not when memory is short: a script would fail for the garbage of others.
    fn tidy(&self, ended_well: bool) {
        let limit = self.bridge.memory;
        let at = if ended_well {
            self.collect_at.get()
        } else {
            limit / 4
        };
        if self.lua.used_memory() > at {
            let _ = self.lua.gc_collect();
            let live = self.lua.used_memory();
            self.collect_at.set((live + live / 4).max(limit / 2));
        }
    }

    fn strings(&self, list: &[Bytes]) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(list.len(), 0)?;
        for (index, bytes) in (1..).zip(list) {
            table.raw_seti(index, self.lua.create_string(bytes)?)?;
        }
        Ok(table)
    }

    /// The reply of a script that has ended; `Err` with its error value.
    fn reply(
        &self,
        (ok, value): (bool, Value),
        call: Call<'_>,
    ) -> mlua::Result<Result<Vec<u8>, Value>> {
        if !ok {
            return Ok(Err(value));
        }
        let writer = Writer::new(call.resp, self.bridge.resp(), self.reply);
        writer.reply(&value).map(Ok)
    }

    fn end(
        &self,
        result: mlua::Result<Result<Vec<u8>, Value>>,
        name: &str,
    ) -> Result<Bytes, ScriptError> {
        let failed = self.failure.take();
        if let Some(host) = self.bridge.take_panic() {
            std::panic::resume_unwind(Box::new(host));
        }
        self.tidy(matches!(result, Ok(Ok(_))));
        let line = match result {
            Ok(Ok(reply)) => return Ok(Bytes::from(reply)),
            // Without memory no handler is called: the value is Lua's text.
            Ok(Err(value)) => match failed.filter(|_| !value.is_string()) {
                Some(failed) => failed.line(name),
                None => format!("ERR Error running script {name}, {}", text_of(&value)),
            },
            Err(error) => match error.downcast_ref::<raise::Raise>() {
                Some(raised @ raise::Raise::Reply(_)) => raised.to_string(),
                _ => format!(
                    "ERR Error running script {name}, {}",
                    raise::foreign(&error)
                ),
            },
        };
        let line = crate::error::one_line(&line);
        Err(match self.bridge.stopped() {
            Some(stop) => ScriptError::Stopped { stop, line },
            None => ScriptError::Run(line),
        })
    }
}

/// The text of an error value that no handler has seen: that of a lack of memory.
fn text_of(value: &Value) -> String {
    let bytes = arguments::to_bytes(value);
    let bytes = bytes.unwrap_or_else(|| b"execution failure".to_vec());
    String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned()
}

/// The Rust functions that the prelude needs.
fn natives(lua: &Lua, bridge: &Bridge, failure: &Failure) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    native.raw_set("reveal", lua.create_function(trace::reveal)?)?;
    let here = bridge.clone();
    let stopped = move |_: &Lua, ()| Ok(here.stopped().is_some());
    native.raw_set("stopped", lua.create_function(stopped)?)?;
    let here = failure.clone();
    let trace = move |lua: &Lua, error: Value| trace::trace(lua, &here, error);
    native.raw_set("trace", lua.create_function(trace)?)?;
    // Whether `unpack` from an index to another has more results than Lua's stack has room for.
    let too_many = |_: &Lua, (first, last): (Value, Value)| {
        let int = |value: &Value| arguments::to_number(value).map_or(1, number::to_int);
        Ok(i64::from(int(&last)) - i64::from(int(&first)) >= 8_000)
    };
    native.raw_set("too_many", lua.create_function(too_many)?)?;
    let number = |_: &Lua, value: Value| Ok(arguments::to_number(&value));
    native.raw_set("number", lua.create_function(number)?)?;
    let frozen = lua.create_table()?;
    native.raw_set("frozen", &frozen)?;
    // In Rust, as an error of it has to show its caller's line.
    let rawset = move |lua: &Lua, args: MultiValue| raw_set(lua, &frozen, &args);
    native.raw_set("rawset", lua.create_function(rawset)?)?;
    let metatable = |_: &Lua, table: Table| Ok(table.metatable());
    native.raw_set("metatable", lua.create_function(metatable)?)?;
    native.raw_set("string", strings::functions(lua, bridge)?)?;
    let (random, seed) = math::functions(lua, bridge)?;
    let math = lua.create_table()?;
    math.raw_set("random", random)?;
    math.raw_set("randomseed", seed)?;
    native.raw_set("math", math)?;
    Ok(native)
}

/// `rawset`, which refuses frozen tables.
fn raw_set(lua: &Lua, frozen: &Table, args: &MultiValue) -> mlua::Result<Value> {
    let Some(Value::Table(table)) = args.front() else {
        return Err(raise::wrong_type(lua, 1, "table", args.front()));
    };
    let [key, value] = [1, 2].map(|index| args.get(index));
    let (Some(key), Some(value)) = (key, value) else {
        let number = if key.is_none() { 2 } else { 3 };
        return Err(raise::bad_argument(lua, number, "value expected"));
    };
    if !frozen.raw_get::<Value>(table)?.is_nil() {
        let text = "Attempt to modify a readonly table".to_owned();
        return Err(raise::Raise::Text(text).into());
    }
    table.raw_set(key, value)?;
    Ok(Value::Table(table.clone()))
}

/// The libraries that scripts see, not yet frozen.
fn visible(lua: &Lua, bridge: &Bridge) -> mlua::Result<Table> {
    let libraries = lua.create_table()?;
    for name in ["string", "table", "math", "coroutine"] {
        libraries.raw_set(name, lua.globals().raw_get::<Table>(name)?)?;
    }
    let os = lua.create_table()?;
    os.raw_set(
        "clock",
        lua.globals()
            .raw_get::<Table>("os")?
            .raw_get::<Function>("clock")?,
    )?;
    libraries.raw_set("os", os)?;
    libraries.raw_set("redis", api::running(lua, bridge)?)?;
    libraries.raw_set("cjson", json::library(lua, bridge)?)?;
    libraries.raw_set("cmsgpack", msgpack::library(lua, bridge)?)?;
    libraries.raw_set("struct", packed::library(lua, bridge.memory)?)?;
    libraries.raw_set("bit", bits::library(lua)?)?;
    Ok(libraries)
}
