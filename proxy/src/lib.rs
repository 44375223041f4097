//! The proxy: RESP to clients, routing, retries; keeps no data.
//!
//! Serves any Redis client: finds the groups that own the keys of its commands, and sends the
//! commands there in frames until they are answered. It holds nothing that it cannot lose: the
//! range map is a copy (`router`), and sessions with the groups end with the process. Any number of
//! proxies serve the same cluster.
//!
//! A command's path: `conn::codec` parses it off the socket, `conn::begin` makes a `conn::Call` of
//! it and checks it, `conn::run` sends it on, `conn::route` finds its groups, `conn::pipeline` puts
//! it in a frame, `router::retry` sends the frame, and the reply leaves through `conn::replies` in
//! order. `commands` holds the commands that the proxy answers itself; `fanout` asks every range.
//!
//! Rules: replies leave in the order of the commands; commands for the same group run in that
//! order; a client gets `TRYAGAIN` only for a command that was surely not applied, and `UNKNOWN`
//! for a command that may have been.

mod blocking;
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
mod pubsub;
mod pushes;
mod rights;
mod router;
mod scripts;
mod settings;
mod shared;
mod slowlog;
mod stalled_clients;
mod start;
mod stats;

pub use config::{Config, PubsubDefault};
pub use rights::AclFileError;
pub use start::{Handle, RunError, run, start, start_with};

/// The version of Redis whose behaviour is tracked.
pub const VERSION: &str = "7.2.0";
