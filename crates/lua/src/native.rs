//! Lua's own functions that Rust functions use, and the room that Lua has for their results.

/// The most values that a Rust function returns at once: Lua's stack has room for 8,000.
pub(crate) const MOST_VALUES: usize = 7_000;

/// The name by which Rust functions find Lua's own `next`.
pub(crate) const NEXT: &str = "coterie.next";
/// The name by which Rust functions find Lua's own `pcall`.
pub(crate) const PCALL: &str = "coterie.pcall";
