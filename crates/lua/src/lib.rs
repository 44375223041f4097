//! Redis' Lua: an interpreter for scripts (`EVAL`) and function libraries (`FCALL`), bounded in
//! memory and time, with the globals, the libraries and the error texts of Redis 7.
//!
//! The crate knows no command. A script's `redis.call` hands its arguments to a [`Host`] and reads
//! the reply that the host returns, as RESP; [`Engine::run`] and [`Engine::call`] return the
//! script's own reply as RESP, ready for the client.
//!
//! An [`Engine`] has two interpreters, as Redis has: scripts and functions share nothing. They are
//! PUC Lua 5.1, compiled in by `mlua`. Redis' libraries (`cjson`, `cmsgpack`, `struct`, `bit`) and
//! Lua's patterns are written in Rust: `docs/decisions/2026-11-30-lua-by-mlua.md` says why.
//!
//! ```text
//! client -> Engine::run -> interpreter -> redis.call -> Host::call
//!                                      <- Lua value  <- RESP
//!        <- RESP        <- Lua value
//! ```

mod api;
mod arguments;
mod bits;
mod bridge;
mod engine;
mod error;
mod flags;
mod from_resp;
mod functions;
mod head;
mod host;
mod json;
mod library;
mod msgpack;
mod number;
mod packed;
mod patience;
mod raise;
mod random;
mod scripts;
mod strings;
mod to_resp;
mod trace;
mod vm;

pub use engine::{Call, Engine, Function, Library, Limits, Script};
pub use error::ScriptError;
pub use flags::Flags;
pub use head::{LibraryHead, ScriptHead, is_function_name, library_head, script_head};
pub use host::{Host, Level, Resp, Stop, UnknownCommand};

use sha1::{Digest, Sha1};

/// The SHA1 of a script as 40 lower-case hexadecimal digits: the name that `EVALSHA` uses.
pub fn sha1_hex(body: &[u8]) -> String {
    let mut text = String::with_capacity(40);
    for byte in Sha1::digest(body) {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_sha1_is_lower_case_hexadecimal() {
        let empty = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        assert_eq!(super::sha1_hex(b""), empty);
    }
}
