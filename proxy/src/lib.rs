//! The proxy: RESP to clients, routing, retries; keeps no data.
//!
//! Takes any Redis client, finds the groups that own the keys of its commands, and sends them there
//! in frames until they are answered. It holds nothing that it cannot lose: the range map is a copy
//! (`router`), and sessions with the groups end with the process. Any number of proxies serve one
//! cluster.
//!
//! A command's way: `conn::codec` takes it off the socket, `conn::begin` checks it, `conn::route`
//! finds its groups, `conn::pipeline` puts it in a frame, `router::retry` sends that, and the reply
//! leaves through `conn::replies` in order. What the proxy answers itself is in `commands`; what it
//! asks every range is in `fanout`.
//!
//! Rules: replies leave in the order of the commands; commands for one group run in that order; a
//! client is told `TRYAGAIN` only for what was surely not done, and `UNKNOWN` for what may have been.

mod client_line;
mod client_memory;
mod client_peaks;
mod clients;
mod commands;
mod config;
pub mod conn;
mod fanout;
mod io_threads;
pub mod metrics;
mod pause;
mod router;
mod settings;
mod shared;
mod slowlog;
mod start;
mod stats;

pub use config::Config;
pub use start::{Handle, RunError, run, start, start_with};

/// The version of Redis whose behaviour is tracked.
pub const VERSION: &str = "7.2.0";
