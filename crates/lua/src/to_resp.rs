//! The value that a script returns as a reply (`script_lua.c`, `luaReplyToRedisReply`).

use std::io::Write as _;

use mlua::{Table, Value};

use crate::{Resp, arguments, number, raise};

/// The deepest nesting of a reply. Redis ends where Lua's stack does, at some 8,000 levels.
const DEPTH: usize = 256;

/// Redis' words for a reply that is nested too deeply: an error in its place.
const TOO_DEEP: &[u8] = b"-ERR reached lua stack limit\r\n";

/// Writes a reply.
pub(crate) struct Writer {
    /// The protocol of the client.
    client: Resp,
    /// The protocol of the script, by which booleans are read.
    script: Resp,
    /// The most bytes written.
    limit: usize,
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(client: Resp, script: Resp, limit: usize) -> Self {
        let out = Vec::with_capacity(64);
        Self {
            client,
            script,
            limit,
            out,
        }
    }

    /// The reply of a value.
    pub(crate) fn reply(mut self, value: &Value) -> mlua::Result<Vec<u8>> {
        self.value(value, 0)?;
        Ok(self.out)
    }

    fn value(&mut self, value: &Value, depth: usize) -> mlua::Result<()> {
        if self.out.len() > self.limit {
            return Err(raise::reply("the reply of the script is too long"));
        }
        if depth > DEPTH {
            self.out.extend_from_slice(TOO_DEEP);
            return Ok(());
        }
        match value {
            Value::String(text) => self.bulk(&text.as_bytes()),
            Value::Boolean(true) if self.script == Resp::V2 => self.line(b':', b"1"),
            Value::Boolean(false) if self.script == Resp::V2 => self.null(),
            Value::Boolean(value) => match (self.client, value) {
                (Resp::V3, true) => self.line(b'#', b"t"),
                (Resp::V3, false) => self.line(b'#', b"f"),
                (Resp::V2, value) => self.line(b':', if *value { b"1" } else { b"0" }),
            },
            Value::Integer(value) => self.integer(*value),
            Value::Number(value) => self.integer(number::to_long(*value)),
            Value::Table(table) => return self.table(table, depth),
            _ => self.null(),
        }
        Ok(())
    }

    fn table(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        if let Value::String(_) = table.raw_get::<Value>("err")? {
            // Redis reads the field again with metamethods, which finds the same string.
            let line: mlua::LuaString = table.raw_get("err")?;
            let line = line.as_bytes();
            let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
            self.safe_line(b'-', &line[..end.map_or(0, |last| last + 1)]);
            return Ok(());
        }
        if let Value::String(status) = table.raw_get::<Value>("ok")? {
            self.safe_line(b'+', &status.as_bytes());
            return Ok(());
        }
        let double = table.raw_get::<Value>("double")?;
        if matches!(double, Value::Integer(_) | Value::Number(_)) {
            let text = number::shortest(arguments::to_number(&double).unwrap_or_default());
            match self.client {
                Resp::V2 => self.bulk(text.as_bytes()),
                Resp::V3 => self.line(b',', text.as_bytes()),
            }
            return Ok(());
        }
        if let Value::String(digits) = table.raw_get::<Value>("big_number")? {
            match self.client {
                Resp::V2 => self.bulk(&blanked(&digits.as_bytes())),
                Resp::V3 => self.safe_line(b'(', &digits.as_bytes()),
            }
            return Ok(());
        }
        if self.verbatim(table)? {
            return Ok(());
        }
        if let Value::Table(fields) = table.raw_get::<Value>("map")? {
            return self.map(&fields, depth);
        }
        if let Value::Table(members) = table.raw_get::<Value>("set")? {
            return self.set(&members, depth);
        }
        self.array(table, depth)
    }

    /// Writes a verbatim string, if the table is one.
    fn verbatim(&mut self, table: &Table) -> mlua::Result<bool> {
        let Value::Table(parts) = table.raw_get::<Value>("verbatim_string")? else {
            return Ok(false);
        };
        let Value::String(format) = parts.raw_get::<Value>("format")? else {
            return Ok(false);
        };
        let Value::String(text) = parts.raw_get::<Value>("string")? else {
            return Ok(false);
        };
        let text = text.as_bytes();
        if self.client == Resp::V2 {
            self.bulk(&text);
            return Ok(true);
        }
        // The format has three characters, whatever the script gave.
        let mut three = [b' '; 3];
        let format = format.as_bytes();
        let format = format.split(|byte| *byte == 0).next().unwrap_or_default();
        for (place, byte) in three.iter_mut().zip(format) {
            *place = *byte;
        }
        let _ = write!(self.out, "={}\r\n", text.len() + 4);
        self.out.extend_from_slice(&three);
        self.out.push(b':');
        self.out.extend_from_slice(&text);
        self.out.extend_from_slice(b"\r\n");
        Ok(true)
    }

    /// An array ends before its first nil.
    fn array(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        let head = self.out.len();
        let mut length = 0;
        loop {
            let value = table.raw_get::<Value>(length + 1)?;
            if value.is_nil() {
                break;
            }
            self.value(&value, depth + 1)?;
            length += 1;
        }
        self.insert_head(head, b'*', length);
        Ok(())
    }

    fn map(&mut self, fields: &Table, depth: usize) -> mlua::Result<()> {
        let head = self.out.len();
        let mut length = 0;
        for pair in fields.pairs::<Value, Value>() {
            let (key, value) = pair?;
            length += 1;
            self.value(&key, depth + 1)?;
            self.value(&value, depth + 1)?;
        }
        match self.client {
            Resp::V2 => self.insert_head(head, b'*', length * 2),
            Resp::V3 => self.insert_head(head, b'%', length),
        }
        Ok(())
    }

    fn set(&mut self, members: &Table, depth: usize) -> mlua::Result<()> {
        let head = self.out.len();
        let mut length = 0;
        for pair in members.pairs::<Value, Value>() {
            length += 1;
            self.value(&pair?.0, depth + 1)?;
        }
        let kind = if self.client == Resp::V2 { b'*' } else { b'~' };
        self.insert_head(head, kind, length);
        Ok(())
    }

    /// Writes the head of a collection before its elements, which are written already.
    fn insert_head(&mut self, at: usize, kind: u8, length: usize) {
        let line = format!("{}{length}\r\n", char::from(kind));
        let end = self.out.len();
        self.out.extend_from_slice(line.as_bytes());
        self.out[at..].rotate_right(line.len());
        debug_assert!(self.out.len() - end == line.len());
    }

    fn integer(&mut self, value: i64) {
        let _ = write!(self.out, ":{value}\r\n");
    }

    fn null(&mut self) {
        let null: &[u8] = if self.client == Resp::V2 {
            b"$-1\r\n"
        } else {
            b"_\r\n"
        };
        self.out.extend_from_slice(null);
    }

    fn bulk(&mut self, bytes: &[u8]) {
        let _ = write!(self.out, "${}\r\n", bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A line of a script's own text: line ends within it become blanks.
    fn safe_line(&mut self, kind: u8, text: &[u8]) {
        self.line(kind, &blanked(text));
    }
}

fn blanked(text: &[u8]) -> Vec<u8> {
    let blank = |byte: &u8| {
        if matches!(byte, b'\r' | b'\n') {
            b' '
        } else {
            *byte
        }
    };
    text.iter().map(blank).collect()
}
