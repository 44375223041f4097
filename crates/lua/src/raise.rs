//! Errors that Rust functions raise in Lua.
//!
//! `mlua` carries a Rust error through Lua as userdata. Wherever a script could catch it (`pcall`,
//! `xpcall`, `coroutine.resume`), `prelude.lua` turns it into the string or the table that a
//! function written in C would have raised; [`Raise::Stop`] it raises again.

use std::fmt;

use mlua::{Error, IntoLua as _, Lua, Value};

use crate::Stop;

/// An error for the script.
#[derive(Debug, Clone)]
pub(crate) enum Raise {
    /// A string, as `luaL_error` raises.
    Text(String),
    /// A table `{err = text}`, as `redis.call` raises.
    Reply(Vec<u8>),
    /// The host ends the script. Cannot be caught.
    Stop(Stop),
}

impl fmt::Display for Raise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Reply(text) => f.write_str(&String::from_utf8_lossy(text)),
            Self::Stop(stop) => f.write_str(&stop_line(stop)),
        }
    }
}

impl std::error::Error for Raise {}

impl From<Raise> for Error {
    fn from(raise: Raise) -> Self {
        Error::external(raise)
    }
}

/// The error line of a stop: code and text.
pub(crate) fn stop_line(stop: &Stop) -> String {
    match stop {
        Stop::Killed => "ERR Script killed by user with SCRIPT KILL...".to_owned(),
        Stop::Error(line) => line.clone(),
    }
}

/// Raises `text` with the position of the Lua function that called, as `luaL_error` does.
pub(crate) fn error(lua: &Lua, text: impl fmt::Display) -> Error {
    Raise::Text(format!("{}{text}", position(lua, 1))).into()
}

/// Raises `bad argument #1 to 'name' (detail)`, as `luaL_argerror` does.
pub(crate) fn bad_argument(lua: &Lua, number: usize, detail: impl fmt::Display) -> Error {
    let mut number = number;
    let names = lua.inspect_stack(0, |frame| {
        let names = frame.names();
        (names.name.map(|name| name.into_owned()), names.name_what)
    });
    let (name, kind) = names.unwrap_or_default();
    let name = name.unwrap_or_else(|| "?".to_owned());
    if kind == Some("method") {
        number = number.saturating_sub(1);
        if number == 0 {
            return error(lua, format_args!("calling '{name}' on bad self ({detail})"));
        }
    }
    error(
        lua,
        format_args!("bad argument #{number} to '{name}' ({detail})"),
    )
}

/// Raises that an argument has another type than the expected one, as `luaL_typerror` does.
pub(crate) fn wrong_type(lua: &Lua, number: usize, expected: &str, found: Option<&Value>) -> Error {
    let found = found.map_or("no value", type_name);
    bad_argument(
        lua,
        number,
        format_args!("{expected} expected, got {found}"),
    )
}

/// Raises a table `{err = "ERR text"}`, as Redis' functions do (`luaPushError`).
pub(crate) fn reply(text: &str) -> Error {
    Raise::Reply(format!("ERR {text}").into_bytes()).into()
}

/// Lua's name of a value's type.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}

/// `source:line: ` of the function at that level; empty when it is not a Lua function.
pub(crate) fn position(lua: &Lua, level: usize) -> String {
    let position = lua.inspect_stack(level, |frame| {
        let line = frame.current_line().filter(|line| *line > 0)?;
        let source = frame.source().short_src?.into_owned();
        Some(format!("{source}:{line}: "))
    });
    position.flatten().unwrap_or_default()
}

/// The value that a script sees in place of a caught error; `Err` when it must not see it.
pub(crate) fn reveal(lua: &Lua, value: Value) -> mlua::Result<Value> {
    let Value::Error(error) = value else {
        return Ok(value);
    };
    match error.downcast_ref::<Raise>() {
        Some(Raise::Text(text)) => text.as_str().into_lua(lua),
        Some(Raise::Reply(line)) => error_table(lua, line),
        Some(stop @ Raise::Stop(_)) => Err(stop.clone().into()),
        None => foreign(&error).into_lua(lua),
    }
}

/// The text of an error that `mlua` itself made.
pub(crate) fn foreign(error: &Error) -> String {
    match error {
        Error::CallbackError { cause, .. } => foreign(cause),
        Error::MemoryError(_) => "not enough memory".to_owned(),
        Error::StackError => "stack overflow".to_owned(),
        Error::RuntimeError(text) => text.clone(),
        Error::SyntaxError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// The table of an error reply. Its second field tells Redis that the error was counted when the
/// command failed; scripts can see it.
pub(crate) fn error_table(lua: &Lua, line: &[u8]) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 2)?;
    table.raw_set("err", lua.create_string(line)?)?;
    table.raw_set("ignore_error_stats_update", true)?;
    Ok(Value::Table(table))
}
