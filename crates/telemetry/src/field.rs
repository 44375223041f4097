//! The names of log fields: the same name in the logs of every role, so that a search finds all
//! lines.
//!
//! `tracing`'s macros take a name as an identifier, `warn!(group_id = %group, "…")`; these
//! constants are the list to choose from, and the keys to look for in `--log-format json`. Names
//! contain the unit: `elapsed_ms`, `size_bytes`.

/// A node's id in decimal.
pub const NODE_ID: &str = "node_id";
/// A group's id in decimal.
pub const GROUP_ID: &str = "group_id";
/// A range's id in decimal.
pub const RANGE_ID: &str = "range_id";
/// A replica's id in decimal.
pub const REPLICA_ID: &str = "replica_id";
/// The Raft term.
pub const TERM: &str = "term";
/// The position in a Raft log.
pub const LOG_INDEX: &str = "log_index";
/// The epoch of a range descriptor.
pub const EPOCH: &str = "epoch";
/// The node at the other end of a connection.
pub const PEER_ID: &str = "peer_id";
/// A request, as its session and sequence number.
pub const REQUEST_ID: &str = "request_id";
/// A Redis command's name, without its arguments.
pub const COMMAND: &str = "command";
/// How long something took, milliseconds.
pub const ELAPSED_MS: &str = "elapsed_ms";
/// An error with its chain of causes.
pub const ERROR: &str = "error";

/// All names, in the order of the house style.
pub const ALL: [&str; 12] = [
    NODE_ID, GROUP_ID, RANGE_ID, REPLICA_ID, TERM, LOG_INDEX, EPOCH, PEER_ID, REQUEST_ID, COMMAND,
    ELAPSED_MS, ERROR,
];
