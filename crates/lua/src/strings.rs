//! Functions of Lua's `string` that would otherwise run for ever, or break the stack.

use mlua::{Lua, LuaString, MultiValue, Table};

use crate::bridge::Bridge;
use crate::{arguments, raise};

/// The functions that replace Lua's own.
pub(crate) fn functions(lua: &Lua, bridge: &Bridge) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let memory = bridge.memory;
    let repeat = move |lua: &Lua, args: MultiValue| repeat(lua, &args, memory);
    table.raw_set("rep", lua.create_function(repeat)?)?;
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
