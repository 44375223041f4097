//! `COTERIE`: the cluster, for its operators. Answers are maps in RESP3 and flat lists in RESP2, so
//! that redis-cli prints them readably.
//!
//! Lists come from the proxy's copy of the catalog, also while meta is away; changes go to meta or
//! to a group's leader, and report the outcome.

mod all;
mod change;
mod jobs;
mod list;
mod ranges;
mod setting;
mod wish;
mod words;

pub(super) use change::propose;

use coterie_redis_compat::{CommandError, Reply};

use super::{Named, Remote};
pub(super) use change::put_objects;
use words::{Pair, error, name_at, number, pair, quoted, table, word};

pub(super) const HANDLERS: &[Named] = &[("coterie", alone!(coterie))];

/// `COTERIE subcommand ...`.
async fn coterie(call: Remote) -> Result<Reply, CommandError> {
    let words = call.args.len();
    match call.args[1].to_ascii_lowercase().as_slice() {
        b"all" if words >= 3 => all::all(&call).await,
        b"proxies" if words == 2 => Ok(all::proxies(&call)),
        b"nodes" if words == 2 => list::nodes(&call).await,
        b"groups" if words == 2 => list::groups(&call).await,
        b"ranges" if words <= 3 => ranges::ranges(&call).await,
        b"hotkeys" if words <= 3 => ranges::hotkeys(&call).await,
        b"jobs" if words <= 3 => jobs::jobs(&call).await,
        b"locate" if words == 3 => ranges::locate(&call),
        b"split" if words == 4 => wish::split(&call).await,
        b"merge" if words == 4 => wish::merge(&call).await,
        b"move" if (5..=6).contains(&words) => wish::move_range(&call).await,
        b"replace" if words == 4 => wish::replace(&call).await,
        b"balance" if words <= 3 => setting::balance(&call).await,
        b"leader" if words == 4 => change::leader(&call).await,
        b"node" if words == 4 => change::node(&call).await,
        b"setting" if words >= 3 => setting::setting(&call).await,
        b"table" if words >= 3 => change::table(&call).await,
        b"help" if words == 2 => Ok(help()),
        _ => Err(super::subcommand_syntax(&call.args[1], "COTERIE")),
    }
}

fn help() -> Reply {
    Reply::help(
        "COTERIE",
        &[
            "ALL <command> [<arg> ...]",
            "    Run a command about a proxy on all proxies, for example CLIENT LIST, CONFIG SET or INFO.",
            "    The replies come behind the addresses of their proxies.",
            "PROXIES",
            "    List the live proxies.",
            "NODES",
            "    List the nodes, with their state and load, and which may be stopped.",
            "GROUPS",
            "    List the replication groups, with their leaders and replicas.",
            "RANGES [<table>]",
            "    List the ranges of a table, or of all tables, in key order, with their load.",
            "HOTKEYS [<count>]",
            "    List the keys with the greatest load, 10 by default.",
            "JOBS [<id>|REFUSED]",
            "    List the controller's jobs with their progress, describe a job, or list the changes",
            "    that the controller wants and cannot make now.",
            "LOCATE <key>",
            "    Show the range and the group of a key of the selected table.",
            "SPLIT <table> <key>",
            "    Split the range that holds the key, at the key. Returns the job, as the next three do.",
            "MERGE <table> <key>",
            "    Merge the range that holds the key with its right neighbour.",
            "MOVE <table> <key> GROUP <group>|NEW",
            "    Move the range that holds the key to a group, or to a new group.",
            "REPLACE <group> <node>",
            "    Move the replica of a group from this node to another node.",
            "BALANCE [ON|OFF]",
            "    Show whether the controller balances ranges and leaders, or turn that on or off.",
            "LEADER <group> <node>",
            "    Hand the leadership of a group to the replica on a node.",
            "NODE DRAIN|RESUME|REMOVE <node>",
            "    Empty a node, take it into service again, or remove an empty node.",
            "SETTING GET [<name>]",
            "    Show the cluster's settings with their values, defaults and meanings, or a value.",
            "SETTING SET <name> [<value>]",
            "    Set a setting of the cluster, or return to its default.",
            "    balance: whether the controller balances ranges and leaders; on by default.",
            "TABLE CREATE <name> [SPLIT <key> [<key> ...]]",
            "    Create a table, split at these keys. SELECT <name> selects it.",
            "    The name is not a number and has no blanks. Keys may come in any order, and twice.",
            "TABLE DROP <name>",
            "    Drop a table with its data.",
            "TABLE LIST",
            "    List the tables.",
        ],
    )
}
