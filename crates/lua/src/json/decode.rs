//! `cjson.decode`.

use mlua::{Lua, LuaString, Table, Value};

use super::{HARD_DEPTH, Options};
use crate::raise;

/// The value of a JSON text.
pub(super) fn decode(lua: &Lua, options: &Options, text: &[u8]) -> mlua::Result<Value> {
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        let text = "JSON parser does not support UTF-16 or UTF-32";
        return Err(raise::error(lua, text));
    }
    let mut decoder = Decoder {
        lua,
        options,
        text,
        at: 0,
        open: Vec::new(),
    };
    let value = decoder.whole()?;
    match decoder.token() {
        Token {
            kind: Kind::End, ..
        } => Ok(value),
        other => Err(decoder.refuse("the end", &other)),
    }
}

/// A token with the place where it begins, or where an error is.
struct Token {
    at: usize,
    kind: Kind,
}

enum Kind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Kind {
    /// The name in error texts.
    fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String(_) => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Error(text) => text,
        }
    }
}

/// The beginning of an array or an object.
enum Begun {
    Empty(Table),
    /// The first token of its first value.
    First(Token),
}

/// The state after a value.
enum Put {
    /// The text is read.
    Whole(Value),
    /// The table around the value has ended, too.
    Ended(Table),
    /// The first token of the next value.
    Next(Token),
}

struct Decoder<'a> {
    lua: &'a Lua,
    options: &'a Options,
    text: &'a [u8],
    at: usize,
    /// The arrays and objects that are being read, the innermost last: not the stack of the thread,
    /// which may be too small for a thousand levels.
    open: Vec<Open>,
}

/// An array or an object of which some elements are read.
enum Open {
    Array { table: Table, length: usize },
    Object { table: Table, key: LuaString },
}

impl Decoder<'_> {
    fn refuse(&self, expected: &str, token: &Token) -> mlua::Error {
        let (found, at) = (token.kind.name(), token.at + 1);
        let text = format!("Expected {expected} but found {found} at character {at}");
        raise::error(self.lua, text)
    }

    /// Reads a value with all that is in it.
    fn whole(&mut self) -> mlua::Result<Value> {
        let mut token = self.token();
        loop {
            let mut value = match token.kind {
                Kind::String(text) => Value::String(self.lua.create_string(text)?),
                Kind::Number(number) => Value::Number(number),
                Kind::Boolean(value) => Value::Boolean(value),
                // A nil would remove the key.
                Kind::Null => Value::NULL,
                Kind::ObjectBegin | Kind::ArrayBegin => match self.begin(&token.kind)? {
                    Begun::Empty(table) => Value::Table(table),
                    Begun::First(first) => {
                        token = first;
                        continue;
                    }
                },
                _ => return Err(self.refuse("value", &token)),
            };
            // Puts the value into its table, and a table that ends into its own.
            loop {
                match self.put(value)? {
                    Put::Whole(whole) => return Ok(whole),
                    Put::Ended(table) => value = Value::Table(table),
                    Put::Next(next) => {
                        token = next;
                        break;
                    }
                }
            }
        }
    }

    /// Begins an array or an object, up to its first value.
    fn begin(&mut self, kind: &Kind) -> mlua::Result<Begun> {
        let depth = self.open.len() + 1;
        let most = self.options.decode_depth.min(HARD_DEPTH);
        if depth > usize::try_from(most).unwrap_or(0) {
            let at = self.at;
            let text = format!("Found too many nested data structures ({depth}) at character {at}");
            return Err(raise::error(self.lua, text));
        }
        let table = self.lua.create_table()?;
        let first = self.token();
        match (kind, &first.kind) {
            (Kind::ArrayBegin, Kind::ArrayEnd) | (Kind::ObjectBegin, Kind::ObjectEnd) => {
                Ok(Begun::Empty(table))
            }
            (Kind::ArrayBegin, _) => {
                self.open.push(Open::Array { table, length: 0 });
                Ok(Begun::First(first))
            }
            _ => {
                let (key, first) = self.key(first)?;
                self.open.push(Open::Object { table, key });
                Ok(Begun::First(first))
            }
        }
    }

    /// Reads a key and its colon; returns the token after them.
    fn key(&mut self, token: Token) -> mlua::Result<(LuaString, Token)> {
        let Kind::String(key) = token.kind else {
            return Err(self.refuse("object key string", &token));
        };
        let key = self.lua.create_string(key)?;
        let colon = self.token();
        if !matches!(colon.kind, Kind::Colon) {
            return Err(self.refuse("colon", &colon));
        }
        Ok((key, self.token()))
    }

    /// Puts a value into the innermost open table and reads on.
    fn put(&mut self, value: Value) -> mlua::Result<Put> {
        match self.open.pop() {
            None => Ok(Put::Whole(value)),
            Some(Open::Array { table, length }) => {
                table.raw_seti(length + 1, value)?;
                let token = self.token();
                match token.kind {
                    Kind::ArrayEnd => Ok(Put::Ended(table)),
                    Kind::Comma => {
                        self.open.push(Open::Array {
                            table,
                            length: length + 1,
                        });
                        Ok(Put::Next(self.token()))
                    }
                    _ => Err(self.refuse("comma or array end", &token)),
                }
            }
            Some(Open::Object { table, key }) => {
                table.raw_set(key, value)?;
                let token = self.token();
                match token.kind {
                    Kind::ObjectEnd => Ok(Put::Ended(table)),
                    Kind::Comma => {
                        let token = self.token();
                        let (key, first) = self.key(token)?;
                        self.open.push(Open::Object { table, key });
                        Ok(Put::Next(first))
                    }
                    _ => Err(self.refuse("comma or object end", &token)),
                }
            }
        }
    }

    /// The byte at a place; 0 beyond the end, which is where a text ends in C, too.
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn token(&mut self) -> Token {
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let at = self.at;
        let kind = match self.byte(at) {
            b'{' => Kind::ObjectBegin,
            b'}' => Kind::ObjectEnd,
            b'[' => Kind::ArrayBegin,
            b']' => Kind::ArrayEnd,
            b',' => Kind::Comma,
            b':' => Kind::Colon,
            0 => {
                return Token {
                    at,
                    kind: Kind::End,
                };
            }
            b'"' => {
                let kind = self.string();
                // An error is reported at its own place.
                let at = if matches!(kind, Kind::Error(_)) {
                    self.at
                } else {
                    at
                };
                return Token { at, kind };
            }
            _ => {
                let kind = self.word();
                return Token { at, kind };
            }
        };
        self.at += 1;
        Token { at, kind }
    }

    /// A number or a word. Stays where it is when there is neither.
    fn word(&mut self) -> Kind {
        let rest = &self.text[self.at..];
        let first = self.byte(self.at);
        if first == b'-' || first.is_ascii_digit() {
            if !self.options.decode_invalid && is_invalid_number(rest) {
                return Kind::Error("invalid number");
            }
            return self.number();
        }
        for (word, kind) in [
            (b"true".as_slice(), Kind::Boolean(true)),
            (b"false", Kind::Boolean(false)),
            (b"null", Kind::Null),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return kind;
            }
        }
        let may_begin = matches!(first, b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+');
        if may_begin && self.options.decode_invalid && is_invalid_number(rest) {
            return self.number();
        }
        Kind::Error("invalid token")
    }

    fn number(&mut self) -> Kind {
        match read_number(&self.text[self.at..]) {
            Some((number, length)) => {
                self.at += length;
                Kind::Number(number)
            }
            None => Kind::Error("invalid number"),
        }
    }

    fn string(&mut self) -> Kind {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.byte(self.at) {
                b'"' => break,
                0 => return Kind::Error("unexpected end of string"),
                b'\\' => {
                    let escaped = match self.byte(self.at + 1) {
                        byte @ (b'"' | b'\\' | b'/') => byte,
                        b'b' => 8,
                        b't' => b'\t',
                        b'n' => b'\n',
                        b'f' => 12,
                        b'r' => b'\r',
                        b'u' => match self.unicode(&mut text) {
                            Some(()) => continue,
                            None => return Kind::Error("invalid unicode escape code"),
                        },
                        _ => return Kind::Error("invalid escape code"),
                    };
                    text.push(escaped);
                    self.at += 2;
                }
                byte => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Kind::String(text)
    }

    /// Reads `\uXXXX`, or two of them that make a character beyond 16 bits.
    fn unicode(&mut self, text: &mut Vec<u8>) -> Option<()> {
        let mut point = self.hex4(self.at + 2)?;
        let mut length = 6;
        if point & 0xf800 == 0xd800 {
            let pair = self.byte(self.at + 6) == b'\\' && self.byte(self.at + 7) == b'u';
            if point & 0x400 != 0 || !pair {
                return None;
            }
            let low = self.hex4(self.at + 8)?;
            if low & 0xfc00 != 0xdc00 {
                return None;
            }
            point = ((point & 0x3ff) << 10 | low & 0x3ff) + 0x1_0000;
            length = 12;
        }
        let point = char::from_u32(point)?;
        text.extend_from_slice(point.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += length;
        Some(())
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        (at..at + 4).try_fold(0, |value, at| {
            Some(value << 4 | char::from(self.byte(at)).to_digit(16)?)
        })
    }
}

/// Whether the text begins with a number that JSON does not know: hexadecimal, infinite, not a
/// number, with a sign or a zero in front.
fn is_invalid_number(text: &[u8]) -> bool {
    if text.starts_with(b"+") {
        return true;
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    match text {
        [b'0', second, ..] => second | 0x20 == b'x' || second.is_ascii_digit(),
        [first, ..] if *first <= b'9' => false,
        _ => starts_with_word(text, b"inf") || starts_with_word(text, b"nan"),
    }
}

fn starts_with_word(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// The number at the start of a text and its length, as `strtod` reads it.
fn read_number(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let digits = &text[sign..];
    let (value, length) = if starts_with_word(digits, b"infinity") {
        (f64::INFINITY, 8)
    } else if starts_with_word(digits, b"inf") {
        (f64::INFINITY, 3)
    } else if starts_with_word(digits, b"nan") {
        (f64::NAN, 3)
    } else if starts_with_word(digits, b"0x") {
        read_hexadecimal(digits)
    } else {
        read_decimal(digits)?
    };
    let value = if text[0] == b'-' { -value } else { value };
    Some((value, sign + length))
}

fn count_digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn read_decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = count_digits(text);
    let mut length = whole;
    let mut fraction = 0;
    if text.get(whole) == Some(&b'.') {
        fraction = count_digits(&text[whole + 1..]);
        length += usize::from(whole + fraction > 0) + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(length + 1), Some(b'-' | b'+')));
        let exponent = count_digits(text.get(length + 1 + sign..).unwrap_or_default());
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    let digits = std::str::from_utf8(&text[..length]).ok()?;
    Some((digits.parse().ok()?, length))
}

/// A number after `0x`, with a fraction and a binary exponent. Without digits it is the zero alone.
fn read_hexadecimal(text: &[u8]) -> (f64, usize) {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut value, mut at, mut scale, mut digits) = (0.0, 2, 0, 0);
    while let Some(found) = digit(at) {
        value = value * 16.0 + f64::from(found);
        (at, digits) = (at + 1, digits + 1);
    }
    if text.get(at) == Some(&b'.') && (digits > 0 || digit(at + 1).is_some()) {
        at += 1;
        while let Some(found) = digit(at) {
            value = value * 16.0 + f64::from(found);
            (at, scale, digits) = (at + 1, scale - 4, digits + 1);
        }
    }
    if digits == 0 {
        return (0.0, 1);
    }
    if matches!(text.get(at), Some(b'p' | b'P')) {
        let negative = text.get(at + 1) == Some(&b'-');
        let sign = usize::from(matches!(text.get(at + 1), Some(b'-' | b'+')));
        let count = count_digits(text.get(at + 1 + sign..).unwrap_or_default());
        if count > 0 {
            let start = at + 1 + sign;
            let exponent = text[start..start + count].iter().fold(0_i32, |sum, digit| {
                sum.saturating_mul(10)
                    .saturating_add(i32::from(digit - b'0'))
            });
            let exponent = if negative { -exponent } else { exponent };
            scale = exponent.saturating_add(scale);
            at = start + count;
        }
    }
    (value * 2_f64.powi(scale), at)
}
