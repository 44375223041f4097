//! Bounds the work of a Rust function that a script calls. The interpreter counts instructions of
//! Lua only: a pattern or a table with shared parts can keep a Rust function busy for ever.

use mlua::Lua;

use crate::bridge::Bridge;
use crate::raise;

/// The steps between two questions to the host.
const STEPS: u32 = 50_000;

/// Counts the steps of a call.
pub(crate) struct Patience<'a> {
    lua: &'a Lua,
    bridge: &'a Bridge,
    left: u32,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(lua: &'a Lua, bridge: &'a Bridge) -> Self {
        let left = STEPS;
        Self { lua, bridge, left }
    }

    /// Counts a step of a function that has built `bytes` so far; raises an error when they are too
    /// many, or when the script has to end.
    #[inline]
    pub(crate) fn step(&mut self, bytes: usize) -> mlua::Result<()> {
        self.left -= 1;
        if self.left == 0 {
            self.left = STEPS;
            self.bridge.may_go_on()?;
        }
        if bytes > self.bridge.memory {
            return Err(raise::error(self.lua, "not enough memory"));
        }
        Ok(())
    }
}
