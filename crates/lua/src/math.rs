//! Lua's `math.random` and `math.randomseed`, over Redis' generator.

use mlua::{Lua, MultiValue, Value};

use crate::bridge::Bridge;
use crate::random::Random;
use crate::{arguments, raise};

/// Both functions.
pub(crate) fn functions(lua: &Lua, bridge: &Bridge) -> mlua::Result<(Value, Value)> {
    let here = bridge.clone();
    let random = lua.create_function(move |lua, args: MultiValue| {
        if !here.runs() {
            let text = "math.random can only be called inside a script invocation";
            return Err(raise::error(lua, text));
        }
        let most = Random::MAX;
        let fraction = here.random(|random| f64::from(random.next() % most) / f64::from(most));
        match args.len() {
            0 => Ok(fraction),
            1 => {
                let high = arguments::int(lua, &args, 1)?;
                if high < 1 {
                    return Err(raise::bad_argument(lua, 1, "interval is empty"));
                }
                Ok((fraction * f64::from(high)).floor() + 1.0)
            }
            2 => {
                let low = arguments::int(lua, &args, 1)?;
                let high = arguments::int(lua, &args, 2)?;
                if low > high {
                    return Err(raise::bad_argument(lua, 2, "interval is empty"));
                }
                // C computes the width in 32 bits.
                let width = high.wrapping_sub(low).wrapping_add(1);
                Ok((fraction * f64::from(width)).floor() + f64::from(low))
            }
            _ => Err(raise::error(lua, "wrong number of arguments")),
        }
    })?;
    let here = bridge.clone();
    let seed = lua.create_function(move |lua, args: MultiValue| {
        if !here.runs() {
            let text = "math.randomseed can only be called inside a script invocation";
            return Err(raise::error(lua, text));
        }
        let seed = arguments::int(lua, &args, 1)?;
        here.random(|random| random.seed(seed));
        Ok(())
    })?;
    Ok((Value::Function(random), Value::Function(seed)))
}
