//! The reply of a command as a Lua value (`script_lua.c`, `redisProtocolToLuaType`).

use mlua::{Lua, Table, Value};

use crate::raise;

/// The deepest nesting of a reply. Commands nest three or four levels.
const DEPTH: usize = 128;

/// A reply that is not one whole RESP value.
fn damaged() -> mlua::Error {
    raise::reply("the reply of the command is damaged")
}

/// The Lua value of a reply: an error becomes a table `{err = ...}`.
pub(crate) fn value(lua: &Lua, reply: &[u8]) -> mlua::Result<Value> {
    let mut reader = Reader { lua, rest: reply };
    let value = reader.value(0)?;
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(damaged())
    }
}

/// The error line of a reply that is an error, as `redis.call` raises it: `CODE text`.
pub(crate) fn error_line(reply: &[u8]) -> Option<Vec<u8>> {
    let line = reply.strip_prefix(b"-")?;
    let end = line
        .iter()
        .position(|byte| *byte == b'\r' || *byte == b'\n');
    let line = &line[..end.unwrap_or(line.len())];
    if line.contains(&b' ') {
        return Some(line.to_vec());
    }
    // A line without a code gets the general code (`luaPushErrorBuff`).
    Some([b"ERR ", line].concat())
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> mlua::Result<Value> {
        if depth > DEPTH {
            return Err(damaged());
        }
        let whole = self.rest;
        let (kind, line) = self.line()?;
        match kind {
            b':' => Ok(Value::Number(integer(line)? as f64)),
            b'$' => self.bulk(line),
            b'+' => self.single("ok", self.lua.create_string(line)?),
            b'-' => {
                let line = error_line(whole).ok_or_else(damaged)?;
                raise::error_table(self.lua, &line)
            }
            b'*' => self.array(line, depth),
            b'%' => self.map(line, depth),
            b'~' => self.set(line, depth),
            b'_' => Ok(Value::Nil),
            b'#' => Ok(Value::Boolean(line == b"t")),
            b',' => self.single("double", double(line)?),
            b'(' => self.single("big_number", self.lua.create_string(line)?),
            b'=' => self.verbatim(line),
            b'|' => {
                // Attributes are not shown to scripts.
                for _ in 0..count(line)?.ok_or_else(damaged)? * 2 {
                    self.value(depth + 1)?;
                }
                self.value(depth)
            }
            _ => Err(damaged()),
        }
    }

    /// The type and the text of the next line.
    fn line(&mut self) -> mlua::Result<(u8, &'a [u8])> {
        let end = self
            .rest
            .iter()
            .position(|byte| *byte == b'\r')
            .ok_or_else(damaged)?;
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix(b"\r\n").ok_or_else(damaged)?;
        let (kind, line) = line.split_first().ok_or_else(damaged)?;
        Ok((*kind, line))
    }

    fn bytes(&mut self, length: usize) -> mlua::Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(damaged)?;
        self.rest = rest.strip_prefix(b"\r\n").ok_or_else(damaged)?;
        Ok(bytes)
    }

    fn single(&self, name: &str, value: impl mlua::IntoLua) -> mlua::Result<Value> {
        let table = self.lua.create_table_with_capacity(0, 1)?;
        table.raw_set(name, value)?;
        Ok(Value::Table(table))
    }

    /// A string; the null of RESP2 is `false`.
    fn bulk(&mut self, line: &[u8]) -> mlua::Result<Value> {
        let Some(length) = count(line)? else {
            return Ok(Value::Boolean(false));
        };
        let bytes = self.bytes(length)?;
        Ok(Value::String(self.lua.create_string(bytes)?))
    }

    fn array(&mut self, line: &[u8], depth: usize) -> mlua::Result<Value> {
        let Some(length) = count(line)? else {
            return Ok(Value::Boolean(false));
        };
        let table = self.table(length, 0)?;
        for index in 1..=length {
            let value = self.value(depth + 1)?;
            table.raw_seti(index, value)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, line: &[u8], depth: usize) -> mlua::Result<Value> {
        let length = count(line)?.ok_or_else(damaged)?;
        let fields = self.table(0, length)?;
        for _ in 0..length {
            let key = self.value(depth + 1)?;
            let value = self.value(depth + 1)?;
            fields.raw_set(key, value)?;
        }
        self.single("map", fields)
    }

    fn set(&mut self, line: &[u8], depth: usize) -> mlua::Result<Value> {
        let length = count(line)?.ok_or_else(damaged)?;
        let members = self.table(0, length)?;
        for _ in 0..length {
            let member = self.value(depth + 1)?;
            members.raw_set(member, true)?;
        }
        self.single("set", members)
    }

    fn verbatim(&mut self, line: &[u8]) -> mlua::Result<Value> {
        let length = count(line)?.ok_or_else(damaged)?;
        let bytes = self.bytes(length)?;
        let (format, text) = bytes.split_at_checked(4).ok_or_else(damaged)?;
        let parts = self.lua.create_table_with_capacity(0, 2)?;
        parts.raw_set("string", self.lua.create_string(text)?)?;
        parts.raw_set("format", self.lua.create_string(&format[..3])?)?;
        self.single("verbatim_string", parts)
    }

    /// A table with room for the announced elements, but for no more than the reply can hold.
    fn table(&self, array: usize, fields: usize) -> mlua::Result<Table> {
        let most = self.rest.len() / 3 + 1;
        self.lua
            .create_table_with_capacity(array.min(most), fields.min(most))
    }
}

/// A length; `None` for the null, -1.
fn count(line: &[u8]) -> mlua::Result<Option<usize>> {
    match integer(line)? {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| damaged()),
    }
}

fn integer(line: &[u8]) -> mlua::Result<i64> {
    let text = std::str::from_utf8(line).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(damaged)
}

fn double(line: &[u8]) -> mlua::Result<f64> {
    let text = std::str::from_utf8(line).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(damaged)
}
