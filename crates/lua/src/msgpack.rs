//! The library `cmsgpack`: MessagePack as lua-cmsgpack 0.4 writes and reads it.

use mlua::{Lua, LuaString, MultiValue, Table, Value};

use crate::bridge::Bridge;
use crate::patience::Patience;
use crate::vm::MOST_VALUES;
use crate::{arguments, number, raise};

/// Tables nested deeper are packed as nil (`LUACMSGPACK_MAX_NESTING`).
const PACK_DEPTH: usize = 16;
/// The deepest nesting that is unpacked. Redis ends where Lua's stack does.
const UNPACK_DEPTH: usize = 1_000;

/// The table `cmsgpack`.
pub(crate) fn library(lua: &Lua, bridge: &Bridge) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let here = bridge.clone();
    let pack = move |lua: &Lua, args: MultiValue| pack(lua, &here, &args);
    table.raw_set("pack", lua.create_function(pack)?)?;
    let unpack_all = |lua: &Lua, args: MultiValue| unpack(lua, &args, 0, 0);
    table.raw_set("unpack", lua.create_function(unpack_all)?)?;
    let unpack_one = |lua: &Lua, args: MultiValue| {
        let offset = arguments::optional(lua, &args, 2)?;
        unpack(lua, &args, 1, offset.unwrap_or(0))
    };
    table.raw_set("unpack_one", lua.create_function(unpack_one)?)?;
    let unpack_limit = |lua: &Lua, args: MultiValue| {
        let limit = number::to_long(arguments::number(lua, &args, 2)?);
        let offset = arguments::optional(lua, &args, 3)?;
        unpack(lua, &args, limit, offset.unwrap_or(0))
    };
    table.raw_set("unpack_limit", lua.create_function(unpack_limit)?)?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

fn pack(lua: &Lua, bridge: &Bridge, args: &MultiValue) -> mlua::Result<LuaString> {
    if args.is_empty() {
        return Err(raise::bad_argument(lua, 0, "MessagePack pack needs input."));
    }
    let (patience, out) = (Patience::new(lua, bridge), Vec::new());
    let mut packer = Packer { patience, out };
    for value in args {
        packer.value(value, 0)?;
    }
    lua.create_string(packer.out)
}

struct Packer<'a> {
    patience: Patience<'a>,
    out: Vec<u8>,
}

impl Packer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> mlua::Result<()> {
        self.patience.step(self.out.len())?;
        match value {
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Boolean(value) => self.out.push(0xc2 + u8::from(*value)),
            Value::Integer(integer) => self.integer(*integer),
            Value::Number(double) => self.double(*double),
            Value::Table(table) if depth < PACK_DEPTH => return self.table(table, depth),
            _ => self.out.push(0xc0),
        }
        Ok(())
    }

    fn table(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        if let Some(length) = array_length(table)? {
            self.head(length, [0x90, 0xdc, 0xdd]);
            for index in 1..=length {
                self.value(&table.raw_get(index)?, depth + 1)?;
            }
            return Ok(());
        }
        let length = table.pairs::<Value, Value>().count();
        self.head(length, [0x80, 0xde, 0xdf]);
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            self.value(&key, depth + 1)?;
            self.value(&value, depth + 1)?;
        }
        Ok(())
    }

    /// The head of an array or a map, with its three codes: up to 15 elements, 16 bits, 32 bits.
    fn head(&mut self, length: usize, [small, medium, large]: [u8; 3]) {
        match length {
            0..=15 => self.out.push(small | length as u8),
            16..=0xffff => self.code(medium, &(length as u16).to_be_bytes()),
            _ => self.code(large, &(length as u32).to_be_bytes()),
        }
    }

    fn code(&mut self, code: u8, bytes: &[u8]) {
        self.out.push(code);
        self.out.extend_from_slice(bytes);
    }

    fn string(&mut self, bytes: &[u8]) {
        match bytes.len() {
            0..=31 => self.out.push(0xa0 | bytes.len() as u8),
            32..=0xff => self.code(0xd9, &[bytes.len() as u8]),
            0x100..=0xffff => self.code(0xda, &(bytes.len() as u16).to_be_bytes()),
            _ => self.code(0xdb, &(bytes.len() as u32).to_be_bytes()),
        }
        self.out.extend_from_slice(bytes);
    }

    fn integer(&mut self, value: i64) {
        match value {
            0..=0x7f => self.out.push(value as u8),
            0x80..=0xff => self.code(0xcc, &[value as u8]),
            0x100..=0xffff => self.code(0xcd, &(value as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.code(0xce, &(value as u32).to_be_bytes()),
            0x1_0000_0000.. => self.code(0xcf, &value.to_be_bytes()),
            -32..=-1 => self.out.push(value as u8),
            -0x80..=-33 => self.code(0xd0, &[value as u8]),
            -0x8000..=-0x81 => self.code(0xd1, &(value as u16).to_be_bytes()),
            -0x8000_0000..=-0x8001 => self.code(0xd2, &(value as u32).to_be_bytes()),
            _ => self.code(0xd3, &value.to_be_bytes()),
        }
    }

    fn double(&mut self, value: f64) {
        if value == 0.0 {
            // `mlua` calls every whole number an integer, but not the negative zero.
            self.integer(0);
        } else if f64::from(value as f32) == value {
            self.code(0xca, &(value as f32).to_be_bytes());
        } else {
            self.code(0xcb, &value.to_be_bytes());
        }
    }
}

/// The length of a table whose keys are exactly 1 to its number of elements.
fn array_length(table: &Table) -> mlua::Result<Option<usize>> {
    let (mut count, mut most) = (0, 0);
    for pair in table.pairs::<Value, Value>() {
        let Value::Integer(key) = pair?.0 else {
            return Ok(None);
        };
        if key <= 0 || key > i64::from(i32::MAX) {
            return Ok(None);
        }
        most = most.max(key);
        count += 1;
    }
    Ok((most == count).then_some(count as usize))
}

/// Unpacks up to `limit` values from `offset` on, and then returns the next offset first; all values
/// when both are 0.
fn unpack(lua: &Lua, args: &MultiValue, limit: i64, offset: i64) -> mlua::Result<MultiValue> {
    let data = arguments::bytes(lua, args, 1)?;
    let all = limit == 0 && offset == 0;
    let length = data.len();
    if offset < 0 || limit < 0 {
        // Redis prints the length in place of the limit.
        let text =
            format!("Invalid request to unpack with offset of {offset} and limit of {length}.");
        return Err(raise::error(lua, text));
    }
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let Some(rest) = data.get(start..) else {
        let text = format!("Start offset {offset} greater than input length {length}.");
        return Err(raise::error(lua, text));
    };
    let mut reader = Reader {
        lua,
        rest,
        open: Vec::new(),
    };
    let limit = if all {
        usize::MAX
    } else {
        usize::try_from(limit).unwrap_or(usize::MAX)
    };
    let mut values = Vec::new();
    if !all {
        values.push(Value::Nil);
    }
    let mut count = 0;
    while !reader.rest.is_empty() && count < limit {
        if values.len() > MOST_VALUES {
            return Err(too_many(lua));
        }
        values.push(reader.whole()?);
        count += 1;
    }
    if !all {
        let left = reader.rest.len();
        let next = if left == 0 {
            -1.0
        } else {
            (length - left) as f64
        };
        values[0] = Value::Number(next);
    }
    Ok(MultiValue::from_vec(values))
}

fn too_many(lua: &Lua) -> mlua::Error {
    let text = "stack overflow (too many return values at once; use unpack_one or unpack_limit \
                instead.)";
    raise::error(lua, text)
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    /// The arrays and maps that are being read, the innermost last: not the stack of the thread,
    /// which may be too small for a thousand levels.
    open: Vec<Open>,
}

/// An array or a map of which some elements are read.
enum Open {
    Array {
        table: Table,
        read: usize,
        length: usize,
    },
    Map {
        table: Table,
        left: u32,
        key: Option<Value>,
    },
}

impl<'a> Reader<'a> {
    /// Reads a value with all that is in it.
    fn whole(&mut self) -> mlua::Result<Value> {
        loop {
            let Some(mut value) = self.value()? else {
                continue;
            };
            // Puts the value into its table, and a table that ends into its own.
            loop {
                match self.open.pop() {
                    None => return Ok(value),
                    Some(open) => match open.put(value)? {
                        Ok(table) => value = Value::Table(table),
                        Err(open) => {
                            self.open.push(open);
                            break;
                        }
                    },
                }
            }
        }
    }

    /// Opens an array or a map; an empty one is a value.
    fn begin(&mut self, open: Open) -> mlua::Result<Option<Value>> {
        if self.open.len() >= UNPACK_DEPTH {
            return Err(too_many(self.lua));
        }
        match open {
            Open::Array {
                table, length: 0, ..
            }
            | Open::Map { table, left: 0, .. } => Ok(Some(Value::Table(table))),
            open => {
                self.open.push(open);
                Ok(None)
            }
        }
    }

    /// Reads a value, or the head of an array or map, which it opens.
    fn value(&mut self) -> mlua::Result<Option<Value>> {
        let code = self.bytes(1)?[0];
        let number = match code {
            0x00..=0x7f => f64::from(code),
            0xe0..=0xff => f64::from(code as i8),
            0xcc => f64::from(self.take::<1>()?[0]),
            0xcd => f64::from(u16::from_be_bytes(self.take()?)),
            0xce => f64::from(u32::from_be_bytes(self.take()?)),
            // Redis pushes the unsigned number as a signed integer of Lua.
            0xcf => i64::from_be_bytes(self.take()?) as f64,
            0xd0 => f64::from(self.take::<1>()?[0] as i8),
            0xd1 => f64::from(i16::from_be_bytes(self.take()?)),
            0xd2 => f64::from(i32::from_be_bytes(self.take()?)),
            0xd3 => i64::from_be_bytes(self.take()?) as f64,
            0xca => f64::from(f32::from_be_bytes(self.take()?)),
            0xcb => f64::from_be_bytes(self.take()?),
            _ => return self.other(code),
        };
        Ok(Some(Value::Number(number)))
    }

    /// A value that is no number.
    fn other(&mut self, code: u8) -> mlua::Result<Option<Value>> {
        match code {
            0xc0 => Ok(Some(Value::Nil)),
            0xc2 => Ok(Some(Value::Boolean(false))),
            0xc3 => Ok(Some(Value::Boolean(true))),
            0xa0..=0xbf => self.string(usize::from(code & 0x1f)),
            0xd9 => {
                let length = self.take::<1>()?[0];
                self.string(usize::from(length))
            }
            0xda => {
                let length = u16::from_be_bytes(self.take()?);
                self.string(usize::from(length))
            }
            0xdb => {
                let length = u32::from_be_bytes(self.take()?);
                self.string(length as usize)
            }
            0x90..=0x9f => self.array(u32::from(code & 0xf)),
            0xdc => {
                let length = u16::from_be_bytes(self.take()?);
                self.array(length.into())
            }
            0xdd => {
                let length = u32::from_be_bytes(self.take()?);
                self.array(length)
            }
            0x80..=0x8f => self.map(u32::from(code & 0xf)),
            0xde => {
                let length = u16::from_be_bytes(self.take()?);
                self.map(length.into())
            }
            0xdf => {
                let length = u32::from_be_bytes(self.take()?);
                self.map(length)
            }
            _ => Err(raise::error(self.lua, "Bad data format in input.")),
        }
    }

    fn bytes(&mut self, length: usize) -> mlua::Result<&'a [u8]> {
        let cut = self.rest.split_at_checked(length);
        let missing = || raise::error(self.lua, "Missing bytes in input.");
        let (bytes, rest) = cut.ok_or_else(missing)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn take<const N: usize>(&mut self) -> mlua::Result<[u8; N]> {
        let mut taken = [0; N];
        taken.copy_from_slice(self.bytes(N)?);
        Ok(taken)
    }

    fn string(&mut self, length: usize) -> mlua::Result<Option<Value>> {
        let bytes = self.bytes(length)?;
        Ok(Some(Value::String(self.lua.create_string(bytes)?)))
    }

    fn array(&mut self, length: u32) -> mlua::Result<Option<Value>> {
        let (table, length) = (self.lua.create_table()?, length as usize);
        self.begin(Open::Array {
            table,
            read: 0,
            length,
        })
    }

    fn map(&mut self, left: u32) -> mlua::Result<Option<Value>> {
        let table = self.lua.create_table()?;
        self.begin(Open::Map {
            table,
            left,
            key: None,
        })
    }
}

impl Open {
    /// Takes a value; returns the table when it was the last one.
    fn put(self, value: Value) -> mlua::Result<Result<Table, Self>> {
        Ok(match self {
            Self::Array {
                table,
                read,
                length,
            } => {
                let read = read + 1;
                table.raw_seti(read, value)?;
                match read == length {
                    true => Ok(table),
                    false => Err(Self::Array {
                        table,
                        read,
                        length,
                    }),
                }
            }
            Self::Map {
                table,
                left,
                key: None,
            } => Err(Self::Map {
                table,
                left,
                key: Some(value),
            }),
            Self::Map {
                table,
                left,
                key: Some(key),
            } => {
                table.raw_set(key, value)?;
                match left {
                    1 => Ok(table),
                    left => Err(Self::Map {
                        table,
                        left: left - 1,
                        key: None,
                    }),
                }
            }
        })
    }
}
