//! The functions of Lua's `string` that would otherwise run for ever, or break the stack: those
//! with patterns, and `rep`.

use std::cell::Cell;

use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};

use crate::bridge::Bridge;
use crate::patience::Patience;
use crate::pattern::{Capture, Failure, Matcher};
use crate::raise::Raise;
use crate::{arguments, native, raise};

/// The characters that make a text a pattern.
const SPECIALS: &[u8] = b"^$*+?.([%-";

/// The functions that replace Lua's own.
pub(crate) fn functions(lua: &Lua, bridge: &Bridge) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let memory = bridge.memory;
    let repeat = move |lua: &Lua, args: MultiValue| repeat(lua, &args, memory);
    table.raw_set("rep", lua.create_function(repeat)?)?;
    let here = bridge.clone();
    let find = move |lua: &Lua, args: MultiValue| find(lua, &here, &args, true);
    table.raw_set("find", lua.create_function(find)?)?;
    let here = bridge.clone();
    let match_ = move |lua: &Lua, args: MultiValue| find_match(lua, &here, &args);
    table.raw_set("match", lua.create_function(match_)?)?;
    let here = bridge.clone();
    let gmatch = move |lua: &Lua, args: MultiValue| matches(lua, &here, &args);
    let gmatch = lua.create_function(gmatch)?;
    table.raw_set("gmatch", &gmatch)?;
    table.raw_set("gfind", gmatch)?;
    let here = bridge.clone();
    let gsub = move |lua: &Lua, args: MultiValue| substitute(lua, &here, &args);
    table.raw_set("gsub", lua.create_function(gsub)?)?;
    Ok(table)
}

/// `string.rep`. Lua's own counts to the number even for an empty string.
fn repeat(lua: &Lua, args: &MultiValue, memory: usize) -> mlua::Result<LuaString> {
    let text = arguments::bytes(lua, args, 1)?;
    let times = usize::try_from(arguments::int(lua, args, 2)?).unwrap_or(0);
    match text.len().checked_mul(times) {
        Some(length) if length <= memory => lua.create_string(text.repeat(times)),
        _ => Err(raise::error(lua, "not enough memory")),
    }
}

/// The error of a failed pattern.
fn raised(lua: &Lua, failure: Failure) -> mlua::Error {
    match failure {
        Failure::Text(text) => raise::error(lua, text),
        Failure::Raised(error) => error,
    }
}

fn find_match(lua: &Lua, bridge: &Bridge, args: &MultiValue) -> mlua::Result<MultiValue> {
    find(lua, bridge, args, false)
}

/// `string.find`, which returns the place before the captures, and `string.match`.
fn find(lua: &Lua, bridge: &Bridge, args: &MultiValue, place: bool) -> mlua::Result<MultiValue> {
    let subject = arguments::bytes(lua, args, 1)?;
    let pattern = arguments::bytes(lua, args, 2)?;
    let start = arguments::optional(lua, args, 3)?.unwrap_or(1);
    let start = start_index(start, subject.len());
    let plain = args
        .get(3)
        .is_some_and(|value| !matches!(value, Value::Nil | Value::Boolean(false)));
    let special = |byte: &u8| SPECIALS.contains(byte);
    if place && (plain || !pattern.iter().take_while(|byte| **byte != 0).any(special)) {
        return Ok(match memchr::memmem::find(&subject[start..], &pattern) {
            Some(at) => {
                let first = start + at;
                let last = first + pattern.len();
                numbers(&[first + 1, last])
            }
            None => nothing(),
        });
    }
    let (anchor, pattern) = match pattern.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, pattern.as_slice()),
    };
    let mut matcher = Matcher::new(&subject, pattern, Patience::new(lua, bridge));
    for first in start..=subject.len() {
        let end = matcher.at(first).map_err(|failure| raised(lua, failure))?;
        if let Some(end) = end {
            let mut values = MultiValue::new();
            if place {
                values = numbers(&[first + 1, end]);
            }
            let whole = usize::from(!place);
            push_captures(lua, &matcher, &subject, (first, end), whole, &mut values)?;
            return Ok(values);
        }
        if anchor {
            break;
        }
    }
    Ok(nothing())
}

/// The index where a search starts, from 0: negative numbers count from the end.
fn start_index(start: i64, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let start = if start < 0 {
        start.saturating_add(length + 1)
    } else {
        start
    };
    (start - 1).clamp(0, length) as usize
}

fn numbers(numbers: &[usize]) -> MultiValue {
    let values = numbers.iter().map(|number| Value::Number(*number as f64));
    values.collect()
}

fn nothing() -> MultiValue {
    MultiValue::from_vec(vec![Value::Nil])
}

/// Appends the captures of a match; without any the whole match, when `whole` is 1.
fn push_captures(
    lua: &Lua,
    matcher: &Matcher<'_>,
    subject: &[u8],
    (start, end): (usize, usize),
    whole: usize,
    values: &mut MultiValue,
) -> mlua::Result<()> {
    for index in 0..matcher.captured().max(whole) {
        let capture = matcher.capture(index, start, end);
        let capture = capture.map_err(|failure| raised(lua, failure))?;
        values.push_back(value(lua, subject, capture)?);
    }
    Ok(())
}

fn value(lua: &Lua, subject: &[u8], capture: Capture) -> mlua::Result<Value> {
    Ok(match capture {
        Capture::Part(start, end) => Value::String(lua.create_string(&subject[start..end])?),
        Capture::Position(position) => Value::Number(position as f64),
    })
}

/// `string.gmatch`: an iterator over all matches.
fn matches(lua: &Lua, bridge: &Bridge, args: &MultiValue) -> mlua::Result<Function> {
    let subject = arguments::bytes(lua, args, 1)?;
    let pattern = arguments::bytes(lua, args, 2)?;
    // The strings belong to Lua, which counts their memory.
    let (subject, pattern) = (lua.create_string(subject)?, lua.create_string(pattern)?);
    let bridge = bridge.clone();
    let next = Cell::new(0);
    lua.create_function(move |lua, _: MultiValue| {
        let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
        let mut matcher = Matcher::new(&subject, &pattern, Patience::new(lua, &bridge));
        for first in next.get()..=subject.len() {
            let end = matcher.at(first).map_err(|failure| raised(lua, failure))?;
            let Some(end) = end else {
                continue;
            };
            next.set(end + usize::from(end == first));
            let mut values = MultiValue::new();
            push_captures(lua, &matcher, &subject, (first, end), 1, &mut values)?;
            return Ok(values);
        }
        next.set(subject.len() + 1);
        Ok(nothing())
    })
}

/// `string.gsub`.
fn substitute(lua: &Lua, bridge: &Bridge, args: &MultiValue) -> mlua::Result<MultiValue> {
    let subject = arguments::bytes(lua, args, 1)?;
    let pattern = arguments::bytes(lua, args, 2)?;
    let most = arguments::optional(lua, args, 4)?;
    let most = most.map_or(usize::MAX, |most| usize::try_from(most as i32).unwrap_or(0));
    let by = Replacement::read(lua, args.get(2))?;
    let (anchor, pattern) = match pattern.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, pattern.as_slice()),
    };
    let mut matcher = Matcher::new(&subject, pattern, Patience::new(lua, bridge));
    let mut patience = Patience::new(lua, bridge);
    let mut out = Vec::with_capacity(subject.len());
    let (mut at, mut count) = (0, 0);
    while count < most {
        patience.step(out.len())?;
        let end = matcher.at(at).map_err(|failure| raised(lua, failure))?;
        if let Some(end) = end {
            count += 1;
            by.write(lua, &matcher, &subject, (at, end), &mut out)?;
        }
        match end {
            Some(end) if end > at => at = end,
            _ if at < subject.len() => {
                out.push(subject[at]);
                at += 1;
            }
            _ => break,
        }
        if anchor {
            break;
        }
    }
    out.extend_from_slice(&subject[at..]);
    patience.step(out.len())?;
    let text = Value::String(lua.create_string(out)?);
    Ok(MultiValue::from_vec(vec![
        text,
        Value::Number(count as f64),
    ]))
}

/// The third argument of `gsub`.
enum Replacement {
    Text(Vec<u8>),
    Table(Table),
    /// The function, and Lua's own `pcall`: an error keeps its value that way.
    Function(Function, Function),
}

impl Replacement {
    fn read(lua: &Lua, value: Option<&Value>) -> mlua::Result<Self> {
        match value {
            Some(Value::Table(table)) => Ok(Self::Table(table.clone())),
            Some(Value::Function(function)) => {
                let pcall = lua.named_registry_value(native::PCALL)?;
                Ok(Self::Function(function.clone(), pcall))
            }
            other => match other.and_then(arguments::to_bytes) {
                Some(text) => Ok(Self::Text(text)),
                None => Err(raise::bad_argument(
                    lua,
                    3,
                    "string/function/table expected",
                )),
            },
        }
    }

    /// Writes the replacement of a match.
    fn write(
        &self,
        lua: &Lua,
        matcher: &Matcher<'_>,
        subject: &[u8],
        (start, end): (usize, usize),
        out: &mut Vec<u8>,
    ) -> mlua::Result<()> {
        let with = match self {
            Self::Text(text) => {
                return write_text(lua, matcher, subject, (start, end), text, out);
            }
            Self::Table(table) => {
                let key = matcher.capture(0, start, end);
                let key = key.map_err(|failure| raised(lua, failure))?;
                table.get::<Value>(value(lua, subject, key)?)?
            }
            Self::Function(function, pcall) => {
                let mut args = MultiValue::from_vec(vec![Value::Function(function.clone())]);
                push_captures(lua, matcher, subject, (start, end), 1, &mut args)?;
                match pcall.call::<(bool, Value)>(args)? {
                    (true, value) => value,
                    (false, Value::Error(error)) => return Err(*error),
                    (false, error) => return Err(Raise::Value(error).into()),
                }
            }
        };
        match &with {
            Value::Nil | Value::Boolean(false) => out.extend_from_slice(&subject[start..end]),
            other => match arguments::to_bytes(other) {
                Some(text) => out.extend_from_slice(&text),
                None => {
                    let name = raise::type_name(other);
                    let text = format!("invalid replacement value (a {name})");
                    return Err(raise::error(lua, text));
                }
            },
        }
        Ok(())
    }
}

/// Writes a replacement text, in which `%1` is a capture and `%0` the match.
fn write_text(
    lua: &Lua,
    matcher: &Matcher<'_>,
    subject: &[u8],
    (start, end): (usize, usize),
    text: &[u8],
    out: &mut Vec<u8>,
) -> mlua::Result<()> {
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        // A `%` at the end escapes the zero after the text in C.
        match bytes.next().copied().unwrap_or(0) {
            b'0' => out.extend_from_slice(&subject[start..end]),
            digit @ b'1'..=b'9' => {
                let capture = matcher.capture(usize::from(digit - b'1'), start, end);
                match capture.map_err(|failure| raised(lua, failure))? {
                    Capture::Part(start, end) => out.extend_from_slice(&subject[start..end]),
                    Capture::Position(position) => {
                        out.extend_from_slice(position.to_string().as_bytes());
                    }
                }
            }
            other => out.push(other),
        }
    }
    Ok(())
}
