//! Where an error of a script comes from, and how a script sees errors that it catches.

use std::sync::Arc;

use mlua::{Lua, Value};
use parking_lot::Mutex;

use crate::arguments;
use crate::raise::{self, Raise};

/// The name of the prelude's chunk.
pub(crate) const PRELUDE: &str = "=prelude";

/// The prefix of error texts that were raised with a position in the prelude.
const PREFIX: &str = "prelude:";

/// An error that ended a script.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    /// The error line, with its code.
    pub(crate) message: String,
    /// The source and the line of the script where it was raised.
    place: Option<String>,
}

impl Failed {
    /// The client's error line, with the name of the script and the place.
    pub(crate) fn line(&self, name: &str) -> String {
        let message = &self.message;
        match &self.place {
            Some(place) => format!("{message} script: {name}, on {place}."),
            None => message.clone(),
        }
    }
}

/// The error that ended the running script, from its handler to the engine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<Failed>>>);

impl Failure {
    pub(crate) fn take(&self) -> Option<Failed> {
        self.0.lock().take()
    }
}

/// Notes an uncaught error with its place. Lua calls it where the error was raised.
pub(crate) fn trace(lua: &Lua, failure: &Failure, error: Value) -> mlua::Result<()> {
    let stop = match &error {
        Value::Error(error) => match error.downcast_ref::<Raise>() {
            Some(Raise::Stop(stop)) => Some(raise::stop_line(stop)),
            _ => None,
        },
        _ => None,
    };
    let message = match stop {
        Some(line) => line,
        None => message(lua, raise::reveal(lua, error)?)?,
    };
    let place = place(lua, |source, line| format!("{source}:{line}"));
    *failure.0.lock() = Some(Failed { message, place });
    Ok(())
}

/// The error line of an error value.
fn message(lua: &Lua, error: Value) -> mlua::Result<String> {
    if let Value::Table(table) = &error {
        let text = arguments::to_bytes(&table.get::<Value>("err")?);
        let text = text.unwrap_or_else(|| b"ERR unknown error".to_vec());
        return Ok(String::from_utf8_lossy(&text).into_owned());
    }
    let text = match &error {
        Value::Nil => "nil".to_owned(),
        Value::Boolean(value) => value.to_string(),
        other => match arguments::to_bytes(other) {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => other.to_string()?,
        },
    };
    // An error of a function of the prelude is shown at its caller.
    let text = match without_prefix(&text) {
        Some(rest) => {
            let here = place(lua, |source, line| {
                format!("{}:{line}: ", source.trim_start_matches('@'))
            });
            format!("{}{rest}", here.unwrap_or_default())
        }
        None => text,
    };
    Ok(format!("ERR {text}"))
}

/// The first function of a script on the stack.
fn place(lua: &Lua, show: impl Fn(&str, i64) -> String) -> Option<String> {
    for level in 1.. {
        let found = lua.inspect_stack(level, |frame| {
            let source = frame.source();
            let name = source.source?;
            if source.what == "C" || source.what == "tail" || name == PRELUDE {
                return None;
            }
            let line = frame
                .current_line()
                .and_then(|line| i64::try_from(line).ok());
            Some(show(&name, line.unwrap_or(-1)))
        })?;
        if found.is_some() {
            return found;
        }
    }
    None
}

fn without_prefix(text: &str) -> Option<&str> {
    let (line, rest) = text.strip_prefix(PREFIX)?.split_once(": ")?;
    line.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(rest)
}

/// A caught error as the script sees it.
pub(crate) fn reveal(lua: &Lua, error: Value) -> mlua::Result<Value> {
    if let Value::String(text) = &error {
        let text = text.to_string_lossy();
        return match without_prefix(&text) {
            Some(rest) => Ok(Value::String(lua.create_string(rest)?)),
            None => Ok(error),
        };
    }
    raise::reveal(lua, error)
}
