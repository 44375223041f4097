//! `cjson.encode`.

use std::fmt::Display;

use mlua::{Function, Lua, LuaString, Table, Value};

use super::{HARD_DEPTH, Options};
use crate::bridge::Bridge;
use crate::patience::Patience;
use crate::{number, raise};

/// The JSON text of a value.
pub(super) fn encode(
    lua: &Lua,
    bridge: &Bridge,
    options: &Options,
    value: &Value,
) -> mlua::Result<LuaString> {
    let next = lua.named_registry_value(crate::vm::NEXT)?;
    let (patience, out) = (Patience::new(lua, bridge), Vec::new());
    let mut encoder = Encoder {
        lua,
        options,
        next,
        patience,
        out,
        open: Vec::new(),
    };
    encoder.value(value)?;
    while let Some(open) = encoder.open.pop() {
        encoder.element(open)?;
    }
    lua.create_string(encoder.out)
}

struct Encoder<'a> {
    lua: &'a Lua,
    options: &'a Options,
    next: Function,
    patience: Patience<'a>,
    out: Vec<u8>,
    /// The tables that are being written, the innermost last: not the stack of the thread, which
    /// may be too small for a thousand levels.
    open: Vec<Open>,
}

/// A table of which some elements are written.
enum Open {
    Array {
        table: Table,
        written: i64,
        length: i64,
    },
    Object {
        table: Table,
        last: Value,
    },
}

impl Encoder<'_> {
    /// Writes a value, or the head of a table and leaves it open.
    fn value(&mut self, value: &Value) -> mlua::Result<()> {
        self.patience.step(self.out.len())?;
        match value {
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Integer(_) | Value::Number(_) => self.number(value)?,
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Table(table) => self.table(table)?,
            Value::Nil => self.out.extend_from_slice(b"null"),
            other if *other == Value::NULL => self.out.extend_from_slice(b"null"),
            other => return Err(self.refuse(other, "type not supported")),
        }
        Ok(())
    }

    fn refuse(&self, value: &Value, reason: impl Display) -> mlua::Error {
        let name = raise::type_name(value);
        raise::error(self.lua, format_args!("Cannot serialise {name}: {reason}"))
    }

    fn table(&mut self, table: &Table) -> mlua::Result<()> {
        let depth = self.open.len() + 1;
        let most = self.options.encode_depth.min(HARD_DEPTH);
        if depth > usize::try_from(most).unwrap_or(0) {
            let text = format!("Cannot serialise, excessive nesting ({depth})");
            return Err(raise::error(self.lua, text));
        }
        let table = table.clone();
        // An empty table is an object.
        match self.array_length(&table)?.filter(|length| *length > 0) {
            Some(length) => {
                self.out.push(b'[');
                self.open.push(Open::Array {
                    table,
                    written: 0,
                    length,
                });
            }
            None => {
                self.out.push(b'{');
                self.open.push(Open::Object {
                    table,
                    last: Value::Nil,
                });
            }
        }
        Ok(())
    }

    /// Writes elements of a table up to one that is a table itself, or its end.
    fn element(&mut self, open: Open) -> mlua::Result<()> {
        match open {
            Open::Array {
                table,
                written,
                length,
            } => self.array(table, written, length),
            Open::Object { table, last } => self.object(table, last),
        }
    }

    /// The highest index of a table that has only positive whole keys; `None` for objects.
    fn array_length(&self, table: &Table) -> mlua::Result<Option<i64>> {
        let (mut most, mut items) = (0_i64, 0_i64);
        for pair in table.pairs::<Value, Value>() {
            match pair?.0 {
                Value::Integer(key) if key >= 1 => {
                    most = most.max(key);
                    items += 1;
                }
                // Whole, but beyond 64 bits.
                Value::Number(key) if key >= 1.0 && key.fract() == 0.0 => {
                    most = i64::MAX;
                    items += 1;
                }
                _ => return Ok(None),
            }
        }
        let ratio = i64::from(self.options.sparse_ratio);
        let safe = i64::from(self.options.sparse_safe);
        if ratio > 0 && most > items * ratio && most > safe {
            if !self.options.sparse_convert {
                let text = "Cannot serialise table: excessively sparse array";
                return Err(raise::error(self.lua, text));
            }
            return Ok(None);
        }
        Ok(Some(most))
    }

    fn array(&mut self, table: Table, mut written: i64, length: i64) -> mlua::Result<()> {
        while written < length {
            if written > 0 {
                self.out.push(b',');
            }
            written += 1;
            let value: Value = table.raw_get(written)?;
            if value.is_table() {
                self.open.push(Open::Array {
                    table,
                    written,
                    length,
                });
                return self.value(&value);
            }
            self.value(&value)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, table: Table, mut last: Value) -> mlua::Result<()> {
        loop {
            let first = last.is_nil();
            let (key, value): (Value, Value) = self.next.call((&table, last))?;
            if key.is_nil() {
                self.out.push(b'}');
                return Ok(());
            }
            if !first {
                self.out.push(b',');
            }
            match &key {
                Value::String(text) => self.string(&text.as_bytes()),
                Value::Integer(_) | Value::Number(_) => {
                    self.out.push(b'"');
                    self.number(&key)?;
                    self.out.push(b'"');
                }
                key => return Err(self.refuse(key, "table key must be a number or string")),
            }
            self.out.push(b':');
            if value.is_table() {
                self.open.push(Open::Object { table, last: key });
                return self.value(&value);
            }
            self.value(&value)?;
            last = key;
        }
    }

    fn number(&mut self, value: &Value) -> mlua::Result<()> {
        let precision = usize::try_from(self.options.precision).unwrap_or(14);
        let double = match value {
            // Up to 14 digits `%.14g` is the integer itself.
            Value::Integer(integer)
                if precision == 14 && integer.unsigned_abs() < 100_000_000_000_000 =>
            {
                self.out.extend_from_slice(integer.to_string().as_bytes());
                return Ok(());
            }
            Value::Integer(integer) => *integer as f64,
            Value::Number(number) => *number,
            _ => 0.0,
        };
        if !double.is_finite() {
            match self.options.encode_invalid {
                0 => return Err(self.refuse(value, "must not be NaN or Inf")),
                1 if double.is_nan() => self.out.extend_from_slice(b"nan"),
                1 => self
                    .out
                    .extend_from_slice(number::general(double, 14).as_bytes()),
                _ => self.out.extend_from_slice(b"null"),
            }
            return Ok(());
        }
        self.out
            .extend_from_slice(number::general(double, precision).as_bytes());
        Ok(())
    }

    fn string(&mut self, text: &[u8]) {
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        let mut plain = 0;
        for (index, byte) in text.iter().enumerate() {
            let escape = match byte {
                b'"' => b'"',
                b'\\' => b'\\',
                b'/' => b'/',
                8 => b'b',
                9 => b't',
                10 => b'n',
                12 => b'f',
                13 => b'r',
                0..0x20 | 0x7f => b'u',
                _ => continue,
            };
            self.out.extend_from_slice(&text[plain..index]);
            plain = index + 1;
            self.out.extend_from_slice(&[b'\\', escape]);
            if escape == b'u' {
                self.out.extend_from_slice(format!("{byte:04x}").as_bytes());
            }
        }
        self.out.extend_from_slice(&text[plain..]);
        self.out.push(b'"');
    }
}
