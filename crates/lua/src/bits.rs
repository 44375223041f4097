//! The library `bit` (LuaBitOp): operations on 32 bits.

use mlua::{Lua, MultiValue, Table};

use crate::{arguments, raise};

/// The table `bit`.
pub(crate) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let add = |name: &str, operation: fn(&Lua, &MultiValue) -> mlua::Result<u32>| {
        let function = move |lua: &Lua, args: MultiValue| {
            // The result is a signed number.
            operation(lua, &args).map(|bits| bits as i32)
        };
        table.raw_set(name, lua.create_function(function)?)
    };
    add("tobit", |lua, args| bits(lua, args, 1))?;
    add("bnot", |lua, args| bits(lua, args, 1).map(|bits| !bits))?;
    add("band", |lua, args| {
        fold(lua, args, |one, other| one & other)
    })?;
    add("bor", |lua, args| fold(lua, args, |one, other| one | other))?;
    add("bxor", |lua, args| {
        fold(lua, args, |one, other| one ^ other)
    })?;
    add("lshift", |lua, args| {
        shift(lua, args, |bits, by| bits << by)
    })?;
    add("rshift", |lua, args| {
        shift(lua, args, |bits, by| bits >> by)
    })?;
    add("arshift", |lua, args| {
        shift(lua, args, |bits, by| ((bits as i32) >> by) as u32)
    })?;
    add("rol", |lua, args| shift(lua, args, u32::rotate_left))?;
    add("ror", |lua, args| shift(lua, args, u32::rotate_right))?;
    add("bswap", |lua, args| bits(lua, args, 1).map(u32::swap_bytes))?;
    table.raw_set(
        "tohex",
        lua.create_function(|lua, args| to_hex(lua, &args))?,
    )?;
    Ok(table)
}

/// The low 32 bits of an argument: the number plus 2^52 + 2^51 has them at its end, rounded.
fn bits(lua: &Lua, args: &MultiValue, number: usize) -> mlua::Result<u32> {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    let value = args.get(number - 1);
    let double = value.and_then(arguments::to_number);
    let double = double.ok_or_else(|| raise::wrong_type(lua, number, "number", value))?;
    Ok((double + SHIFT).to_bits() as u32)
}

fn fold(lua: &Lua, args: &MultiValue, with: fn(u32, u32) -> u32) -> mlua::Result<u32> {
    let mut result = bits(lua, args, 1)?;
    for number in (2..=args.len()).rev() {
        result = with(result, bits(lua, args, number)?);
    }
    Ok(result)
}

fn shift(lua: &Lua, args: &MultiValue, with: fn(u32, u32) -> u32) -> mlua::Result<u32> {
    let value = bits(lua, args, 1)?;
    Ok(with(value, bits(lua, args, 2)? & 31))
}

/// The last digits as text: 8 or as many as the second argument says, upper case when negative.
fn to_hex(lua: &Lua, args: &MultiValue) -> mlua::Result<String> {
    let value = bits(lua, args, 1)?;
    let digits = match args.get(1) {
        None => 8,
        Some(_) => bits(lua, args, 2)? as i32,
    };
    let upper = digits < 0;
    let digits = digits.unsigned_abs().min(8) as usize;
    let text = if upper {
        format!("{value:08X}")
    } else {
        format!("{value:08x}")
    };
    Ok(text[8 - digits..].to_owned())
}
