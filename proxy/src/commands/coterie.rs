//! `COTERIE`: the cluster, for its operators. Answers are maps in RESP3 and flat lists in RESP2, so
//! that redis-cli prints them readably.
//!
//! What is listed comes from the proxy's copy of the catalog, which goes on being there while meta
//! is away; what changes something goes to meta or to a group's leader, and says how it went.

mod change;
mod list;

use coterie_redis_compat::{CommandError, Reply};

use super::Call;

/// `COTERIE subcommand ...`.
pub(crate) async fn coterie(call: Call) -> Result<Reply, CommandError> {
    let words = call.args.len();
    match call.args[1].to_ascii_lowercase().as_slice() {
        b"nodes" if words == 2 => list::nodes(&call).await,
        b"groups" if words == 2 => list::groups(&call).await,
        b"ranges" if words <= 3 => list::ranges(&call),
        b"jobs" if words <= 3 => list::jobs(&call),
        b"locate" if words == 3 => list::locate(&call),
        b"leader" if words == 4 => change::leader(&call).await,
        b"node" if words == 4 => change::node(&call).await,
        b"setting" if words >= 3 => change::setting(&call).await,
        b"table" if words >= 3 => change::table(&call).await,
        b"help" if words == 2 => Ok(help()),
        _ => Err(super::subcommand_syntax(&call.args[1], "COTERIE")),
    }
}

fn help() -> Reply {
    Reply::help(
        "COTERIE",
        &[
            "NODES",
            "    List the nodes, with their state and load.",
            "GROUPS",
            "    List the replication groups, with their leaders and replicas.",
            "RANGES [<table>]",
            "    List the ranges of all tables or of one, in key order.",
            "JOBS [<id>]",
            "    List the controller's jobs, or describe one.",
            "LOCATE <key>",
            "    Tell the range and the group of a key of the selected table.",
            "LEADER <group> <node>",
            "    Hand the leadership of a group to the replica on a node.",
            "NODE DRAIN|RESUME|REMOVE <node>",
            "    Empty a node, take it into service again, or forget an empty one.",
            "SETTING GET [<name>]",
            "    Show the cluster's settings, or one.",
            "SETTING SET <name> [<value>]",
            "    Set a setting of the cluster, or remove it.",
            "TABLE CREATE|DROP <name>",
            "    Create or drop a table of its own. SELECT <name> selects it.",
            "TABLE LIST",
            "    List the tables.",
        ],
    )
}

/// A number among the words.
fn number(call: &Call, at: usize) -> Result<u64, CommandError> {
    let word = call
        .args
        .get(at)
        .map(|word| word.as_ref())
        .unwrap_or_default();
    let number = coterie_redis_compat::number::parse_int(word);
    number
        .and_then(|number| u64::try_from(number).ok())
        .ok_or(CommandError::NotAnInteger)
}

/// Words as text.
fn word(call: &Call, at: usize) -> String {
    String::from_utf8_lossy(&call.args[at]).into_owned()
}

fn error(line: impl Into<String>) -> CommandError {
    CommandError::Other(format!("ERR {}", line.into()))
}
