//! `redis.register_function`, by which a library declares its functions while it is loaded
//! (`function_lua.c`).

use mlua::{Function, Lua, MultiValue, Table, Value};

use crate::bridge::Bridge;
use crate::head::{BAD_NAME, is_function_name};
use crate::{Flags, api, arguments, raise};

/// The table `redis` of a library that is being loaded.
pub(crate) fn load_api(lua: &Lua, bridge: &Bridge) -> mlua::Result<Table> {
    let table = api::common(lua, bridge)?;
    let here = bridge.clone();
    let register = move |_: &Lua, args: MultiValue| register(&here, &args);
    table.raw_set("register_function", lua.create_function(register)?)?;
    Ok(table)
}

fn register(bridge: &Bridge, args: &MultiValue) -> mlua::Result<()> {
    if bridge.loading(|_| ()).is_none() {
        let text = "redis.register_function can only be called on FUNCTION LOAD command";
        return Err(raise::reply(text));
    }
    let (function, callback) = match args.len() {
        1 => named(args.front()),
        2 => positional(args),
        _ => Err("wrong number of arguments to redis.register_function"),
    }
    .map_err(raise::reply)?;
    if !is_function_name(function.name.as_bytes()) {
        return Err(raise::reply(BAD_NAME));
    }
    let added = bridge.loading(|loading| {
        let taken = loading
            .functions
            .iter()
            .any(|(known, _)| known.name == function.name);
        if !taken {
            loading.functions.push((function, callback));
        }
        !taken
    });
    match added {
        Some(true) => Ok(()),
        _ => Err(raise::reply("Function already exists in the library")),
    }
}

type Registered = Result<(crate::Function, Function), &'static str>;

/// `redis.register_function(name, callback)`.
fn positional(args: &MultiValue) -> Registered {
    let name = args.front().and_then(text);
    let name = name.ok_or("first argument to redis.register_function must be a string")?;
    let Some(Value::Function(callback)) = args.get(1) else {
        return Err("second argument to redis.register_function must be a function");
    };
    let (description, flags) = (None, Flags::NONE);
    Ok((
        crate::Function {
            name,
            description,
            flags,
        },
        callback.clone(),
    ))
}

/// `redis.register_function{function_name = ..., callback = ..., flags = ..., description = ...}`.
fn named(args: Option<&Value>) -> Registered {
    let Some(Value::Table(args)) = args else {
        return Err(
            "calling redis.register_function with a single argument is only applicable to \
                    Lua table (representing named arguments).",
        );
    };
    let (mut name, mut callback) = (None, None);
    let (mut description, mut flags) = (None, Flags::NONE);
    for pair in args.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|_| "not enough memory")?;
        let not_text = "named argument key given to redis.register_function is not a string";
        let key = text(&key).ok_or(not_text)?;
        match key.to_ascii_lowercase().as_str() {
            "function_name" => {
                name = Some(text(&value).ok_or(
                    "function_name argument given to redis.register_function must be a string",
                )?);
            }
            "description" => {
                description = Some(text(&value).ok_or(
                    "description argument given to redis.register_function must be a string",
                )?);
            }
            "callback" => {
                let Value::Function(function) = value else {
                    return Err(
                        "callback argument given to redis.register_function must be a function",
                    );
                };
                callback = Some(function);
            }
            "flags" => {
                let Value::Table(list) = value else {
                    return Err("flags argument to redis.register_function must be a table \
                                representing function flags");
                };
                flags = read_flags(&list).ok_or("unknown flag given")?;
            }
            _ => return Err("unknown argument given to redis.register_function"),
        }
    }
    let name = name.ok_or("redis.register_function must get a function name argument")?;
    let callback = callback.ok_or("redis.register_function must get a callback argument")?;
    Ok((
        crate::Function {
            name,
            description,
            flags,
        },
        callback,
    ))
}

fn text(value: &Value) -> Option<String> {
    let bytes = arguments::to_bytes(value)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn read_flags(list: &Table) -> Option<Flags> {
    let mut flags = Flags::NONE;
    for index in 1.. {
        let value: Value = list.raw_get(index).ok()?;
        if value.is_nil() {
            break;
        }
        flags = flags.with(Flags::parse_any_case(&arguments::to_bytes(&value)?)?);
    }
    Some(flags)
}
