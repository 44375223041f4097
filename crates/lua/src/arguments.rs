//! The arguments that Lua passes to Rust functions, converted as C functions of Lua convert them.

use mlua::{Lua, MultiValue, Value};

use crate::{number, raise};

/// The number of a value, as `lua_tonumber` reads numbers and numeric strings.
pub(crate) fn to_number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(integer) => Some(*integer as f64),
        Value::Number(number) => Some(*number),
        Value::String(text) => number::parse(&text.as_bytes()),
        _ => None,
    }
}

/// The bytes of a string, or of a number as `tostring` writes it (`lua_tolstring`).
pub(crate) fn to_bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(integer) => Some(number::general(*integer as f64, 14).into_bytes()),
        Value::Number(number) => Some(number::general(*number, 14).into_bytes()),
        _ => None,
    }
}

/// A number that must be there (`luaL_checknumber`). `number` counts from 1.
pub(crate) fn number(lua: &Lua, args: &MultiValue, number: usize) -> mlua::Result<f64> {
    let value = args.get(number - 1);
    let found = value.and_then(to_number);
    found.ok_or_else(|| raise::wrong_type(lua, number, "number", value))
}

/// An integer that must be there (`luaL_checkint`).
pub(crate) fn int(lua: &Lua, args: &MultiValue, index: usize) -> mlua::Result<i32> {
    Ok(number::to_int(number(lua, args, index)?))
}

/// An integer that may be absent or nil (`luaL_optinteger`).
pub(crate) fn optional(lua: &Lua, args: &MultiValue, index: usize) -> mlua::Result<Option<i64>> {
    match args.get(index - 1) {
        None | Some(Value::Nil) => Ok(None),
        Some(_) => Ok(Some(number::to_long(number(lua, args, index)?))),
    }
}

/// A string that must be there (`luaL_checklstring`).
pub(crate) fn bytes(lua: &Lua, args: &MultiValue, number: usize) -> mlua::Result<Vec<u8>> {
    let value = args.get(number - 1);
    let found = value.and_then(to_bytes);
    found.ok_or_else(|| raise::wrong_type(lua, number, "string", value))
}
