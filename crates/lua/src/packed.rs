//! The library `struct`: values packed into strings by a format, as C lays them out.

use mlua::{Lua, MultiValue, Table, Value};

use crate::{arguments, number, raise};

/// The largest integer in bytes.
const MAX_INTEGER: usize = 32;
/// The alignment that `!` without a number asks for: that of a double.
const MAX_ALIGN: usize = 8;

/// The table `struct`. Packed strings are bounded by `memory`.
pub(crate) fn library(lua: &Lua, memory: usize) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let function = move |lua: &Lua, args: MultiValue| pack(lua, &args, memory);
    table.raw_set("pack", lua.create_function(function)?)?;
    table.raw_set(
        "unpack",
        lua.create_function(|lua, args| unpack(lua, &args))?,
    )?;
    table.raw_set("size", lua.create_function(|lua, args| size(lua, &args))?)?;
    Ok(table)
}

/// A format that is being read, with the byte order and the alignment it has set.
struct Format<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    big: bool,
    align: usize,
}

impl<'a> Format<'a> {
    fn new(lua: &'a Lua, text: &'a [u8]) -> Self {
        // C reads a format up to its first zero.
        let end = text
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(text.len());
        let (rest, big, align) = (&text[..end], cfg!(target_endian = "big"), 1);
        Self {
            lua,
            rest,
            big,
            align,
        }
    }

    /// The next option with its size: 0 for options that need no alignment.
    fn next(&mut self) -> mlua::Result<Option<(u8, usize)>> {
        let Some((&option, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        let size = match option {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'f' => 4,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > MAX_INTEGER {
                    let text =
                        format!("integral size {size} is larger than limit of {MAX_INTEGER}");
                    return Err(raise::error(self.lua, text));
                }
                size
            }
            _ => 0,
        };
        Ok(Some((option, size)))
    }

    /// The number at the start of the rest, or `otherwise`.
    fn number(&mut self, otherwise: usize) -> mlua::Result<usize> {
        let digits = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits == 0 {
            return Ok(otherwise);
        }
        let (text, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let value = text.iter().try_fold(0i32, |value, digit| {
            value.checked_mul(10)?.checked_add(i32::from(digit - b'0'))
        });
        let value = value.ok_or_else(|| raise::error(self.lua, "integral size overflow"))?;
        Ok(value as usize)
    }

    /// The bytes that align an element of `size` at `position`.
    fn padding(&self, position: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        // C masks with sizes that are no powers of two as well (`i3`).
        let size = size.min(self.align);
        size.wrapping_sub(position & (size - 1)) & (size - 1)
    }

    /// Obeys an option that sets byte order or alignment; others are refused.
    fn control(&mut self, option: u8) -> mlua::Result<()> {
        match option {
            b' ' => {}
            b'>' => self.big = true,
            b'<' => self.big = false,
            b'!' => {
                let align = self.number(MAX_ALIGN)?;
                if !align.is_power_of_two() {
                    let text = format!("alignment {align} is not a power of 2");
                    return Err(raise::error(self.lua, text));
                }
                self.align = align;
            }
            other => {
                let text = format!("invalid format option '{}'", char::from(other));
                return Err(raise::bad_argument(self.lua, 1, text));
            }
        }
        Ok(())
    }

    /// Appends `bytes`, given in little order, in the order of the format.
    fn put(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.big {
            out.extend(bytes.iter().rev());
        } else {
            out.extend_from_slice(bytes);
        }
    }

    /// `N` bytes of data in little order.
    fn take<const N: usize>(&self, data: &[u8]) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(data);
        if self.big {
            bytes.reverse();
        }
        bytes
    }
}

fn is_integer(option: u8) -> bool {
    matches!(
        option,
        b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I'
    )
}

fn pack(lua: &Lua, args: &MultiValue, memory: usize) -> mlua::Result<mlua::LuaString> {
    let text = arguments::bytes(lua, args, 1)?;
    let mut format = Format::new(lua, &text);
    let mut out = Vec::new();
    let mut argument = 2;
    while let Some((option, size)) = format.next()? {
        let padding = format.padding(out.len(), option, size);
        out.resize(out.len() + padding, 0);
        match option {
            option if is_integer(option) => {
                let double = arguments::number(lua, args, argument)?;
                format.put(&integer_bytes(double, size), &mut out);
                argument += 1;
            }
            b'x' => out.push(0),
            b'f' => {
                let double = arguments::number(lua, args, argument)?;
                format.put(&(double as f32).to_le_bytes(), &mut out);
                argument += 1;
            }
            b'd' => {
                let double = arguments::number(lua, args, argument)?;
                format.put(&double.to_le_bytes(), &mut out);
                argument += 1;
            }
            b'c' | b's' => {
                let bytes = arguments::bytes(lua, args, argument)?;
                argument += 1;
                let size = if size == 0 { bytes.len() } else { size };
                if bytes.len() < size {
                    return Err(raise::bad_argument(lua, argument, "string too short"));
                }
                if out.len() + size > memory {
                    return Err(raise::error(lua, "not enough memory"));
                }
                out.extend_from_slice(&bytes[..size]);
                out.extend((option == b's').then_some(0));
            }
            other => format.control(other)?,
        }
    }
    lua.create_string(out)
}

/// An integer in little order: 8 bytes of a C long, and zeros beyond.
fn integer_bytes(double: f64, size: usize) -> Vec<u8> {
    let value = if double < 0.0 || double.is_nan() {
        number::to_long(double) as u64
    } else if double < 18_446_744_073_709_551_616.0 {
        double as u64
    } else {
        // Beyond 64 bits x86 makes zero of it.
        0
    };
    let mut bytes = value.to_le_bytes().to_vec();
    bytes.resize(size, 0);
    bytes
}

fn unpack(lua: &Lua, args: &MultiValue) -> mlua::Result<MultiValue> {
    let text = arguments::bytes(lua, args, 1)?;
    let data = arguments::bytes(lua, args, 2)?;
    let position = arguments::optional(lua, args, 3)?.unwrap_or(1);
    // C compares an unsigned number: only 0 is refused, and what is negative lies beyond the data.
    let mut position = match usize::try_from(position) {
        Ok(0) => return Err(raise::bad_argument(lua, 3, "offset must be 1 or greater")),
        Ok(position) => position - 1,
        Err(_) => return Err(raise::bad_argument(lua, 2, "data string too short")),
    };
    let short = |lua| raise::bad_argument(lua, 2, "data string too short");
    let mut format = Format::new(lua, &text);
    let mut values = Vec::new();
    while let Some((option, mut size)) = format.next()? {
        position += format.padding(position, option, size);
        let field = position
            .checked_add(size)
            .and_then(|end| data.get(position..end));
        let field = field.ok_or_else(|| short(lua))?;
        match option {
            option if is_integer(option) => {
                let signed = option.is_ascii_lowercase();
                values.push(Value::Number(integer(field, format.big, signed)));
            }
            b'x' => {}
            b'f' => values.push(Value::Number(f32::from_le_bytes(format.take(field)).into())),
            b'd' => values.push(Value::Number(f64::from_le_bytes(format.take(field)))),
            b'c' => {
                let mut field = field;
                if size == 0 {
                    let length = values.pop().as_ref().and_then(arguments::to_number);
                    let length = length
                        .ok_or_else(|| raise::error(lua, "format 'c0' needs a previous size"))?;
                    size = usize::try_from(number::to_long(length)).map_err(|_| short(lua))?;
                    let end = position.checked_add(size);
                    let found = end.and_then(|end| data.get(position..end));
                    field = found.ok_or_else(|| short(lua))?;
                }
                values.push(Value::String(lua.create_string(field)?));
            }
            b's' => {
                let rest = &data[position..];
                let end = rest.iter().position(|byte| *byte == 0);
                let end = end.ok_or_else(|| raise::error(lua, "unfinished string in data"))?;
                values.push(Value::String(lua.create_string(&rest[..end])?));
                size = end + 1;
            }
            other => format.control(other)?,
        }
        position += size;
        if values.len() > crate::vm::MOST_VALUES {
            return Err(raise::error(lua, "stack overflow (too many results)"));
        }
    }
    values.push(Value::Number((position + 1) as f64));
    Ok(MultiValue::from_vec(values))
}

/// An integer of the data. Only its low 8 bytes count, as in C.
fn integer(field: &[u8], big: bool, signed: bool) -> f64 {
    let shift = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if big {
        field.iter().fold(0, shift)
    } else {
        field.iter().rev().fold(0, shift)
    };
    if !signed {
        return value as f64;
    }
    // C shifts by the size modulo 64 bits.
    let bits = (field.len() as u32 * 8).wrapping_sub(1) & 63;
    let mask = u64::MAX << bits;
    let value = if value & mask != 0 {
        value | mask
    } else {
        value
    };
    value as i64 as f64
}

fn size(lua: &Lua, args: &MultiValue) -> mlua::Result<f64> {
    let text = arguments::bytes(lua, args, 1)?;
    let mut format = Format::new(lua, &text);
    let mut position: usize = 0;
    while let Some((option, size)) = format.next()? {
        position += format.padding(position, option, size);
        if option == b's' {
            return Err(raise::bad_argument(lua, 1, "option 's' has no fixed size"));
        }
        if option == b'c' && size == 0 {
            return Err(raise::bad_argument(lua, 1, "option 'c0' has no fixed size"));
        }
        if !option.is_ascii_alphanumeric() {
            format.control(option)?;
        }
        position += size;
    }
    Ok(position as f64)
}
