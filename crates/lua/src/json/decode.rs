//! `cjson.decode`.

use mlua::{Lua, Value};

use super::{HARD_DEPTH, Options};
use crate::raise;

/// The value of a JSON text.
pub(super) fn decode(lua: &Lua, options: &Options, text: &[u8]) -> mlua::Result<Value> {
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        let text = "JSON parser does not support UTF-16 or UTF-32";
        return Err(raise::error(lua, text));
    }
    let mut decoder = Decoder { lua, options, text, at: 0, depth: 0 };
    let token = decoder.token();
    let value = decoder.value(token)?;
    match decoder.token() {
        Token { kind: Kind::End, .. } => Ok(value),
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

struct Decoder<'a> {
    lua: &'a Lua,
    options: &'a Options,
    text: &'a [u8],
    at: usize,
    depth: i32,
}

impl Decoder<'_> {
    fn refuse(&self, expected: &str, token: &Token) -> mlua::Error {
        let (found, at) = (token.kind.name(), token.at + 1);
        let text = format!("Expected {expected} but found {found} at character {at}");
        raise::error(self.lua, text)
    }

    fn value(&mut self, token: Token) -> mlua::Result<Value> {
        match token.kind {
            Kind::String(text) => Ok(Value::String(self.lua.create_string(text)?)),
            Kind::Number(number) => Ok(Value::Number(number)),
            Kind::Boolean(value) => Ok(Value::Boolean(value)),
            Kind::ObjectBegin => self.object(),
            Kind::ArrayBegin => self.array(),
            // A nil would remove the key.
            Kind::Null => Ok(Value::NULL),
            _ => Err(self.refuse("value", &token)),
        }
    }

    fn descend(&mut self) -> mlua::Result<()> {
        self.depth += 1;
        if self.depth > self.options.decode_depth.min(HARD_DEPTH) {
            let (depth, at) = (self.depth, self.at);
            let text =
                format!("Found too many nested data structures ({depth}) at character {at}");
            return Err(raise::error(self.lua, text));
        }
        Ok(())
    }

    fn object(&mut self) -> mlua::Result<Value> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut token = self.token();
        if matches!(token.kind, Kind::ObjectEnd) {
            self.depth -= 1;
            return Ok(Value::Table(table));
        }
        loop {
            let Kind::String(key) = token.kind else {
                return Err(self.refuse("object key string", &token));
            };
            let key = self.lua.create_string(key)?;
            let colon = self.token();
            if !matches!(colon.kind, Kind::Colon) {
                return Err(self.refuse("colon", &colon));
            }
            let first = self.token();
            let value = self.value(first)?;
            table.raw_set(key, value)?;
            token = self.token();
            match token.kind {
                Kind::ObjectEnd => break,
                Kind::Comma => token = self.token(),
                _ => return Err(self.refuse("comma or object end", &token)),
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn array(&mut self) -> mlua::Result<Value> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut token = self.token();
        if matches!(token.kind, Kind::ArrayEnd) {
            self.depth -= 1;
            return Ok(Value::Table(table));
        }
        for index in 1.. {
            let value = self.value(token)?;
            table.raw_seti(index, value)?;
            token = self.token();
            match token.kind {
                Kind::ArrayEnd => break,
                Kind::Comma => token = self.token(),
                _ => return Err(self.refuse("comma or array end", &token)),
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
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
            0 => return Token { at, kind: Kind::End },
            b'"' => {
                let kind = self.string();
                // An error is reported at its own place.
                let at = if matches!(kind, Kind::Error(_)) { self.at } else { at };
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
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
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
                sum.saturating_mul(10).saturating_add(i32::from(digit - b'0'))
            });
            let exponent = if negative { -exponent } else { exponent };
            scale = exponent.saturating_add(scale);
            at = start + count;
        }
    }
    (value * 2_f64.powi(scale), at)
}
