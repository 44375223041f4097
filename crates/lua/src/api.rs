//! The table `redis`, which is also `server` (`script_lua.c`, `luaRegisterRedisAPI`).

use bytes::Bytes;
use mlua::{Lua, MultiValue, Table, Value};

use crate::bridge::{Answer, Ask, Bridge};
use crate::{Level, Resp, arguments, from_resp, number, raise};

/// The version that scripts see, as `INFO` shows it.
const VERSION: &str = "7.2.0";
/// [`VERSION`], a byte for each part.
const VERSION_NUM: u32 = 0x0007_0200;

/// The levels of `redis.log`, by their numbers.
const LEVELS: [(&str, Level); 4] = [
    ("LOG_DEBUG", Level::Debug),
    ("LOG_VERBOSE", Level::Verbose),
    ("LOG_NOTICE", Level::Notice),
    ("LOG_WARNING", Level::Warning),
];

/// The table that scripts and functions see while they run.
pub(crate) fn running(lua: &Lua, bridge: &Bridge) -> mlua::Result<Table> {
    let table = common(lua, bridge)?;
    for (name, raises) in [("call", true), ("pcall", false)] {
        let bridge = bridge.clone();
        let function = move |lua: &Lua, args: MultiValue| call(lua, &bridge, &args, raises);
        table.raw_set(name, lua.create_function(function)?)?;
    }
    table.raw_set("sha1hex", lua.create_function(sha1hex)?)?;
    table.raw_set("error_reply", lua.create_function(error_reply)?)?;
    table.raw_set("status_reply", lua.create_function(status_reply)?)?;
    let here = bridge.clone();
    let set_resp = move |_: &Lua, args: MultiValue| set_resp(&here, &args);
    table.raw_set("setresp", lua.create_function(set_resp)?)?;
    let here = bridge.clone();
    let set_repl = move |_: &Lua, args: MultiValue| set_repl(&here, &args);
    table.raw_set("set_repl", lua.create_function(set_repl)?)?;
    for (name, flags) in [
        ("NONE", 0),
        ("AOF", 1),
        ("SLAVE", 2),
        ("REPLICA", 2),
        ("ALL", 3),
    ] {
        table.raw_set(format!("REPL_{name}"), flags)?;
    }
    let here = bridge.clone();
    let acl_check = move |_: &Lua, args: MultiValue| acl_check(&here, &args);
    table.raw_set("acl_check_cmd", lua.create_function(acl_check)?)?;
    // There is no debugger, and effects have always been replicated.
    table.raw_set("breakpoint", lua.create_function(|_, ()| Ok(false))?)?;
    table.raw_set("debug", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
    table.raw_set("replicate_commands", lua.create_function(|_, ()| Ok(true))?)?;
    Ok(table)
}

/// The part of the table that a library sees while it is being loaded, too.
pub(crate) fn common(lua: &Lua, bridge: &Bridge) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let bridge = bridge.clone();
    let log = move |_: &Lua, args: MultiValue| log(&bridge, &args);
    table.raw_set("log", lua.create_function(log)?)?;
    for (number, (name, _)) in LEVELS.iter().enumerate() {
        table.raw_set(*name, number)?;
    }
    table.raw_set("REDIS_VERSION", VERSION)?;
    table.raw_set("REDIS_VERSION_NUM", VERSION_NUM)?;
    Ok(table)
}

/// `redis.call` (which raises error replies) and `redis.pcall`.
fn call(lua: &Lua, bridge: &Bridge, args: &MultiValue, raises: bool) -> mlua::Result<Value> {
    if !bridge.runs() {
        let text = "redis.call/pcall can only be called inside a script invocation";
        return Err(raise::reply(text));
    }
    let command = match command(args) {
        Ok(command) => command,
        Err(text) if raises => return Err(raise::reply(text)),
        Err(text) => return raise::error_table(lua, format!("ERR {text}").as_bytes()),
    };
    let answer = bridge.ask(Ask::Call(command, bridge.resp()))?;
    let Some(Answer::Reply(reply)) = answer else {
        return Err(raise::reply("the command has no reply"));
    };
    match from_resp::error_line(&reply) {
        Some(line) if raises => Err(raise::Raise::Reply(line).into()),
        _ => from_resp::value(lua, &reply),
    }
}

/// The arguments of a command: strings, and numbers with all their digits. They share an allocation.
fn command(args: &MultiValue) -> Result<Vec<Bytes>, &'static str> {
    if args.is_empty() {
        return Err("Please specify at least one argument for this redis lib call");
    }
    let mut buffer = Vec::with_capacity(16 * args.len());
    let mut ends = Vec::with_capacity(args.len());
    let mut text = String::new();
    for value in args {
        text.clear();
        match value {
            Value::String(bytes) => buffer.extend_from_slice(&bytes.as_bytes()),
            Value::Integer(integer) => number::write_integer_as_general(*integer, &mut text),
            Value::Number(number) => number::write_general(*number, 17, &mut text),
            _ => return Err("Lua redis lib command arguments must be strings or integers"),
        }
        buffer.extend_from_slice(text.as_bytes());
        ends.push(buffer.len());
    }
    let buffer = Bytes::from(buffer);
    let mut start = 0;
    let cut = |end| {
        let argument = buffer.slice(start..end);
        start = end;
        argument
    };
    Ok(ends.into_iter().map(cut).collect())
}

fn sha1hex(_: &Lua, args: MultiValue) -> mlua::Result<String> {
    if args.len() != 1 {
        return Err(raise::reply("wrong number of arguments"));
    }
    let bytes = args.front().and_then(arguments::to_bytes);
    Ok(crate::sha1_hex(&bytes.unwrap_or_default()))
}

/// The only argument, when it is a string.
fn only_string(args: &MultiValue) -> Option<Vec<u8>> {
    match args.front() {
        Some(Value::String(text)) if args.len() == 1 => Some(text.as_bytes().to_vec()),
        _ => None,
    }
}

const WRONG_ARGUMENTS: &[u8] = b"ERR wrong number or type of arguments";

fn error_reply(lua: &Lua, args: MultiValue) -> mlua::Result<Value> {
    let Some(text) = only_string(&args) else {
        return raise::error_table(lua, WRONG_ARGUMENTS);
    };
    let end = text.iter().position(|byte| *byte == 0);
    let text = &text[..end.unwrap_or(text.len())];
    let text = text.strip_prefix(b"-").unwrap_or(text);
    // A text without a blank has no code of its own.
    let (code, text) = match text.iter().position(|byte| *byte == b' ') {
        Some(blank) => (&text[..blank], &text[blank + 1..]),
        None => (b"ERR".as_slice(), text),
    };
    let line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let first = text
        .iter()
        .position(|byte| !line_end(byte))
        .unwrap_or(text.len());
    let last = text
        .iter()
        .rposition(|byte| !line_end(byte))
        .map_or(first, |last| last + 1);
    let line = [code, b" ", &text[first..last]].concat();
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set("err", lua.create_string(line)?)?;
    Ok(Value::Table(table))
}

fn status_reply(lua: &Lua, args: MultiValue) -> mlua::Result<Value> {
    let Some(text) = only_string(&args) else {
        return raise::error_table(lua, WRONG_ARGUMENTS);
    };
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set("ok", lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

/// The first argument as a C cast makes an integer of it; 0 when it is no number.
fn cast(args: &MultiValue) -> i32 {
    let value = args.front().and_then(arguments::to_number);
    number::to_int(value.unwrap_or_default())
}

fn set_resp(bridge: &Bridge, args: &MultiValue) -> mlua::Result<()> {
    if !bridge.runs() {
        let text = "redis.setresp can only be called inside a script invocation";
        return Err(raise::reply(text));
    }
    if args.len() != 1 {
        return Err(raise::reply("redis.setresp() requires one argument."));
    }
    match cast(args) {
        2 => bridge.set_resp(Resp::V2),
        3 => bridge.set_resp(Resp::V3),
        _ => return Err(raise::reply("RESP version must be 2 or 3.")),
    }
    Ok(())
}

/// Checks its argument, and that is all: the effects of a script are always replicated.
fn set_repl(bridge: &Bridge, args: &MultiValue) -> mlua::Result<()> {
    if !bridge.runs() {
        let text = "redis.set_repl can only be called inside a script invocation";
        return Err(raise::reply(text));
    }
    if args.len() != 1 {
        return Err(raise::reply("redis.set_repl() requires two arguments."));
    }
    if cast(args) & !3 != 0 {
        let text = "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return Err(raise::reply(text));
    }
    Ok(())
}

fn acl_check(bridge: &Bridge, args: &MultiValue) -> mlua::Result<bool> {
    if !bridge.runs() {
        let text = "redis.acl_check_cmd can only be called inside a script invocation";
        return Err(raise::reply(text));
    }
    let command = command(args).map_err(raise::reply)?;
    match bridge.ask(Ask::AclCheck(command))? {
        Some(Answer::Acl(Ok(allowed))) => Ok(allowed),
        _ => Err(raise::reply(
            "Invalid command passed to redis.acl_check_cmd()",
        )),
    }
}

fn log(bridge: &Bridge, args: &MultiValue) -> mlua::Result<()> {
    if args.len() < 2 {
        return Err(raise::reply("redis.log() requires two arguments or more."));
    }
    let level = args.front().and_then(arguments::to_number);
    let level =
        level.ok_or_else(|| raise::reply("First argument must be a number (log level)."))?;
    let level = usize::try_from(number::to_int(level)).ok();
    let level = level.and_then(|level| LEVELS.get(level));
    let (_, level) = level.ok_or_else(|| raise::reply("Invalid debug level."))?;
    let parts = args.iter().skip(1).filter_map(arguments::to_bytes);
    let text = parts.collect::<Vec<_>>().join(&b' ');
    bridge.ask(Ask::Log(*level, text))?;
    Ok(())
}
