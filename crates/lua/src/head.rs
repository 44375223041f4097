//! The shebang line of a script (`#!lua flags=no-writes`) and of a library (`#!lua name=mylib`).

use crate::{Flags, ScriptError};

/// The declarations at the head of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptHead {
    /// The flags; empty when there are none or no shebang line.
    pub flags: Flags,
    /// Whether there is a shebang line. Without one Redis' old rules hold: the script may write,
    /// keys of several slots are allowed, and the flags of the command decide.
    pub shebang: bool,
    /// The length of the shebang line without its line feed, which stays so that lines are counted.
    pub(crate) length: usize,
}

/// The declarations at the head of a function library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryHead {
    /// The engine, as `FUNCTION LIST` shows it: always `LUA`.
    pub engine: &'static str,
    /// The library's name.
    pub name: String,
    /// The length of the shebang line without its line feed.
    pub(crate) length: usize,
}

/// Reads the head of a script. It does not look at the code.
///
/// Errors: `ERR Invalid script shebang` and its like. Source: Redis `eval.c`,
/// `evalExtractShebangFlags`.
pub fn script_head(body: &[u8]) -> Result<ScriptHead, ScriptError> {
    if !body.starts_with(b"#!") {
        let (flags, shebang, length) = (Flags::NONE, false, 0);
        return Ok(ScriptHead {
            flags,
            shebang,
            length,
        });
    }
    let line = first_line(body).ok_or_else(|| refuse("Invalid script shebang", b""))?;
    let parts = split_args(line).filter(|parts| !parts.is_empty());
    let parts = parts.ok_or_else(|| refuse("Invalid engine in script shebang", b""))?;
    if parts[0] != b"#!lua" {
        return Err(refuse("Unexpected engine in script shebang: ", &parts[0]));
    }
    let mut flags = Flags::NONE;
    for part in &parts[1..] {
        let Some(list) = part.strip_prefix(b"flags=") else {
            return Err(refuse("Unknown lua shebang option: ", part));
        };
        // An empty list has no element, as with `sdssplitlen`.
        for name in list
            .split(|byte| *byte == b',')
            .filter(|_| !list.is_empty())
        {
            let flag = Flags::parse(name);
            let flag = flag.ok_or_else(|| refuse("Unexpected flag in script shebang: ", name))?;
            flags = flags.with(flag);
        }
    }
    let (shebang, length) = (true, line.len());
    Ok(ScriptHead {
        flags,
        shebang,
        length,
    })
}

/// Reads the head of a library. It does not look at the code.
///
/// Errors: `ERR Missing library metadata` and its like. Source: Redis `functions.c`,
/// `functionExtractLibMetaData`.
pub fn library_head(code: &[u8]) -> Result<LibraryHead, ScriptError> {
    if !code.starts_with(b"#!") {
        return Err(refuse("Missing library metadata", b""));
    }
    let invalid = || refuse("Invalid library metadata", b"");
    let line = first_line(code).ok_or_else(invalid)?;
    let parts = split_args(line).filter(|parts| !parts.is_empty());
    let parts = parts.ok_or_else(invalid)?;
    let mut name: Option<&[u8]> = None;
    for part in &parts[1..] {
        let is_name = part.len() >= 5 && part[..5].eq_ignore_ascii_case(b"name=");
        if !is_name {
            return Err(refuse("Invalid metadata value given: ", part));
        }
        if name.replace(&part[5..]).is_some() {
            let text = "Invalid metadata value, name argument was given multiple times";
            return Err(refuse(text, b""));
        }
    }
    let name = name.ok_or_else(|| refuse("Library name was not given", b""))?;
    if !is_function_name(name) {
        return Err(refuse(BAD_NAME, b""));
    }
    let engine = &parts[0][2..];
    if !engine.eq_ignore_ascii_case(b"lua") {
        let engine = String::from_utf8_lossy(engine);
        return Err(ScriptError::compile(format_args!(
            "Engine '{engine}' not found"
        )));
    }
    let name = String::from_utf8_lossy(name).into_owned();
    Ok(LibraryHead {
        engine: "LUA",
        name,
        length: line.len(),
    })
}

/// Redis' refusal of a name of a library or function.
pub(crate) const BAD_NAME: &str = "Library names can only contain letters, numbers, or \
                                   underscores(_) and must be at least one character long";

/// Whether a library or a function may have that name: letters, digits and underscores.
pub fn is_function_name(name: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !name.is_empty() && name.iter().all(legal)
}

fn refuse(text: &str, detail: &[u8]) -> ScriptError {
    ScriptError::compile(format_args!("{text}{}", String::from_utf8_lossy(detail)))
}

/// The first line without its line feed; `None` when nothing ends it.
fn first_line(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some(&text[..end])
}

/// The words of a line, with quotes as in Redis' own command line (`sds.c`, `sdssplitargs`); `None`
/// when quotes do not match.
fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
        let start = rest.iter().position(|byte| !blank(byte));
        let Some(start) = start else {
            return Some(words);
        };
        rest = &rest[start..];
        let mut word = Vec::new();
        while let Some(&byte) = rest.first().filter(|byte| !blank(byte) && **byte != 0) {
            rest = match byte {
                b'"' | b'\'' => quoted(&rest[1..], byte, &mut word)?,
                _ => {
                    word.push(byte);
                    &rest[1..]
                }
            };
        }
        words.push(word);
        if rest.first() == Some(&0) {
            return Some(words);
        }
    }
}

/// Reads a quoted part after its opening quote into `word`, and returns the text after the closing
/// quote, which a blank or the end must follow.
fn quoted<'a>(mut rest: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        if byte == quote {
            let ends = rest.first().is_none_or(|next| next.is_ascii_whitespace());
            return ends.then_some(rest);
        }
        if byte != b'\\' {
            word.push(byte);
            continue;
        }
        if quote == b'\'' {
            // Only the quote itself can be escaped here.
            let escaped = rest.first() == Some(&b'\'');
            word.push(if escaped { b'\'' } else { b'\\' });
            rest = if escaped { &rest[1..] } else { rest };
            continue;
        }
        let hex = |byte: &u8| char::from(*byte).to_digit(16);
        if let [b'x', high, low, ..] = rest
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            word.push(u8::try_from(high * 16 + low).ok()?);
            rest = &rest[3..];
            continue;
        }
        let (&escaped, after) = rest.split_first()?;
        word.push(match escaped {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'a' => 7,
            other => other,
        });
        rest = after;
    }
}
