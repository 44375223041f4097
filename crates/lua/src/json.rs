//! The library `cjson`, as lua-cjson 2.1 behaves in Redis.

mod decode;
mod encode;

use std::sync::Arc;

use mlua::{Lua, MultiValue, Table, Value};
use parking_lot::Mutex;

use crate::bridge::Bridge;
use crate::{arguments, number, raise};

/// Tables are nested at most that deep, whatever a script allows.
const HARD_DEPTH: i32 = 1_000;

/// The options of a module table. Scripts change them for all later scripts, as in Redis.
#[derive(Debug, Clone)]
struct Options {
    sparse_convert: bool,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_depth: i32,
    decode_depth: i32,
    /// 0: refused, 1: written, 2: written as null.
    encode_invalid: i32,
    decode_invalid: bool,
    precision: i32,
    /// Remembered for the script that asks; a buffer is not kept.
    keep_buffer: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth: 1_000,
            decode_depth: 1_000,
            encode_invalid: 0,
            decode_invalid: true,
            precision: 14,
            keep_buffer: true,
        }
    }
}

/// A module table with options of its own: `cjson`, and the result of `cjson.new()`.
pub(crate) fn library(lua: &Lua, bridge: &Bridge) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let options = Arc::new(Mutex::new(Options::default()));
    let (here, own) = (bridge.clone(), options.clone());
    let encode = move |lua: &Lua, args: MultiValue| {
        let value = only(lua, &args)?;
        encode::encode(lua, &here, &own.lock().clone(), value)
    };
    table.raw_set("encode", lua.create_function(encode)?)?;
    let own = options.clone();
    let decode = move |lua: &Lua, args: MultiValue| {
        only(lua, &args)?;
        let text = arguments::bytes(lua, &args, 1)?;
        decode::decode(lua, &own.lock().clone(), &text)
    };
    table.raw_set("decode", lua.create_function(decode)?)?;
    let add = |name: &str, change: Change| {
        let own = options.clone();
        let function = move |lua: &Lua, args: MultiValue| change(lua, &args, &mut own.lock());
        table.raw_set(name, lua.create_function(function)?)
    };
    add("encode_sparse_array", sparse_array)?;
    add("encode_max_depth", |lua, args, options| {
        one_integer(lua, args, &mut options.encode_depth, 1, i32::MAX)
    })?;
    add("decode_max_depth", |lua, args, options| {
        one_integer(lua, args, &mut options.decode_depth, 1, i32::MAX)
    })?;
    add("encode_number_precision", |lua, args, options| {
        one_integer(lua, args, &mut options.precision, 1, 14)
    })?;
    add("encode_keep_buffer", |lua, args, options| {
        one_switch(lua, args, &mut options.keep_buffer)
    })?;
    add("encode_invalid_numbers", invalid_numbers)?;
    add("decode_invalid_numbers", |lua, args, options| {
        one_switch(lua, args, &mut options.decode_invalid)
    })?;
    let here = bridge.clone();
    let new = move |lua: &Lua, _: MultiValue| library(lua, &here);
    table.raw_set("new", lua.create_function(new)?)?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

/// A function that changes options and returns their values.
type Change = fn(&Lua, &MultiValue, &mut Options) -> mlua::Result<MultiValue>;

/// The only argument.
fn only<'a>(lua: &Lua, args: &'a MultiValue) -> mlua::Result<&'a Value> {
    match args.front() {
        Some(value) if args.len() == 1 => Ok(value),
        _ => Err(raise::bad_argument(lua, 1, "expected 1 argument")),
    }
}

fn at_most(lua: &Lua, args: &MultiValue, most: usize) -> mlua::Result<()> {
    if args.len() > most {
        return Err(raise::bad_argument(
            lua,
            most + 1,
            "found too many arguments",
        ));
    }
    Ok(())
}

fn sparse_array(lua: &Lua, args: &MultiValue, options: &mut Options) -> mlua::Result<MultiValue> {
    at_most(lua, args, 3)?;
    let convert = switch(lua, args, &mut options.sparse_convert)?;
    let ratio = integer(lua, args, 2, &mut options.sparse_ratio, 0, i32::MAX)?;
    let safe = integer(lua, args, 3, &mut options.sparse_safe, 0, i32::MAX)?;
    Ok(MultiValue::from_vec(vec![convert, ratio, safe]))
}

fn one_integer(
    lua: &Lua,
    args: &MultiValue,
    setting: &mut i32,
    least: i32,
    most: i32,
) -> mlua::Result<MultiValue> {
    at_most(lua, args, 1)?;
    let value = integer(lua, args, 1, setting, least, most)?;
    Ok(MultiValue::from_vec(vec![value]))
}

fn one_switch(lua: &Lua, args: &MultiValue, setting: &mut bool) -> mlua::Result<MultiValue> {
    at_most(lua, args, 1)?;
    let value = switch(lua, args, setting)?;
    Ok(MultiValue::from_vec(vec![value]))
}

fn integer(
    lua: &Lua,
    args: &MultiValue,
    index: usize,
    setting: &mut i32,
    least: i32,
    most: i32,
) -> mlua::Result<Value> {
    if args.get(index - 1).is_some_and(|value| !value.is_nil()) {
        let value = number::to_int(arguments::number(lua, args, index)?);
        if value < least || value > most {
            let text = format!("expected integer between {least} and {most}");
            return Err(raise::bad_argument(lua, 1, text));
        }
        *setting = value;
    }
    Ok(Value::Integer((*setting).into()))
}

/// The first argument as a switch: a boolean, "on" or "off".
fn switch(lua: &Lua, args: &MultiValue, setting: &mut bool) -> mlua::Result<Value> {
    match args.front() {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(value)) => *setting = *value,
        Some(_) => *setting = option(lua, args, &["off", "on"])? == 1,
    }
    Ok(Value::Boolean(*setting))
}

fn invalid_numbers(
    lua: &Lua,
    args: &MultiValue,
    options: &mut Options,
) -> mlua::Result<MultiValue> {
    at_most(lua, args, 1)?;
    match args.front() {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(value)) => options.encode_invalid = i32::from(*value),
        Some(_) => {
            options.encode_invalid = option(lua, args, &["off", "on", "null"])?;
        }
    }
    let value = match options.encode_invalid {
        2 => Value::String(lua.create_string("null")?),
        other => Value::Boolean(other == 1),
    };
    Ok(MultiValue::from_vec(vec![value]))
}

/// The place of the first argument among `names` (`luaL_checkoption`).
fn option(lua: &Lua, args: &MultiValue, names: &[&str]) -> mlua::Result<i32> {
    let given = arguments::bytes(lua, args, 1)?;
    let place = names.iter().position(|name| name.as_bytes() == given);
    let place = place.ok_or_else(|| {
        let given = String::from_utf8_lossy(&given);
        raise::bad_argument(lua, 1, format_args!("invalid option '{given}'"))
    })?;
    Ok(place as i32)
}
