//! Rows of the commands that tools ask a Redis Cluster.

use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{Categories as C, Flags as F};

pub(super) const PART: Part = Part::new(ROWS, LINES);

error_lines! {
    /// A slot that is no number, or beyond the last.
    pub INVALID_SLOT = "ERR Invalid slot";
    /// `CLUSTER GETKEYSINSLOT` with a slot or a count that makes no sense.
    pub INVALID_SLOT_OR_COUNT = "ERR Invalid slot or number of keys";
    /// Coterie's own: commands that change a Redis Cluster.
    pub SLOTS_ARE_FIXED = "ERR the slots cannot be changed: they are divided over the live \
        proxies, and each proxy serves every key";
}

/// Changes a Redis Cluster.
const CHANGES: F = F::ADMIN.with(F::STALE).with(F::NO_ASYNC_LOADING);

/// How keys of a slot are found.
const SCANS: &str = "It reads all keys, range after range.";
/// Why the commands that change a cluster are refused.
const REFUSED: &str = "It is refused: proxies come and go by themselves.";

const ROWS: &[Command] = &[
    command(Topic::Cluster, "cluster")
        .container()
        .docs(
            "3.0.0",
            "Depends on subcommand",
            "A container for commands that tools send to a Redis Cluster.",
        )
        .deviation(
            "It is answered although cluster mode is off. With `--cluster-announce` it describes \
            the live proxies as nodes that share the slots, else this proxy as the only node. \
            Every proxy serves every key: MOVED and ASK do not occur.",
        ),
    command(Topic::Cluster, "asking")
        .flags(F::FAST)
        .categories(C::CONNECTION)
        .docs("3.0.0", "O(1)", "Announces a command after a redirection.")
        .deviation("It answers OK and changes nothing."),
    command(Topic::Cluster, "cluster|addslots")
        .syntax("slot ...")
        .flags(CHANGES)
        .docs(
            "3.0.0",
            "O(N) where N is the total number of hash slot arguments",
            "Gives slots to the node.",
        )
        .deviation(REFUSED),
    command(Topic::Cluster, "cluster|addslotsrange")
        .syntax("start-slot_end-slot(start-slot:integer end-slot:integer) ...")
        .flags(CHANGES)
        .docs(
            "7.0.0",
            "O(N) where N is the total number of the slots between the start slot and end slot \
                arguments.",
            "Gives intervals of slots to the node.",
        )
        .deviation(REFUSED),
    command(Topic::Cluster, "cluster|bumpepoch")
        .flags(CHANGES)
        .tips(&["nondeterministic_output"])
        .docs("3.0.0", "O(1)", "Raises the epoch of the node.")
        .deviation("It answers STILL and changes nothing."),
    command(Topic::Cluster, "cluster|count-failure-reports")
        .syntax("node-id")
        .flags(F::ADMIN.with(F::STALE))
        .tips(&["nondeterministic_output"])
        .docs(
            "3.0.0",
            "O(N) where N is the number of failure reports",
            "Counts the nodes that take a node for dead.",
        )
        .deviation("The reply is 0: a dead proxy is no longer a node."),
    command(Topic::Cluster, "cluster|countkeysinslot")
        .syntax("slot")
        .flags(F::STALE)
        .docs("3.0.0", "O(1)", "Counts the keys of a slot.")
        .deviation(SCANS),
    command(Topic::Cluster, "cluster|delslots")
        .syntax("slot ...")
        .flags(CHANGES)
        .docs(
            "3.0.0",
            "O(N) where N is the total number of hash slot arguments",
            "Takes slots from the node.",
        )
        .deviation(REFUSED),
    command(Topic::Cluster, "cluster|delslotsrange")
        .syntax("start-slot_end-slot(start-slot:integer end-slot:integer) ...")
        .flags(CHANGES)
        .docs(
            "7.0.0",
            "O(N) where N is the total number of the slots between the start slot and end slot \
                arguments.",
            "Takes intervals of slots from the node.",
        )
        .deviation(REFUSED),
    command(Topic::Cluster, "cluster|failover")
        .syntax("[options(FORCE|TAKEOVER)]")
        .flags(CHANGES)
        .docs("3.0.0", "O(1)", "Makes a replica take over.")
        .deviation(REFUSED),
    command(Topic::Cluster, "cluster|flushslots")
        .flags(CHANGES)
        .docs("3.0.0", "O(1)", "Takes all slots from the node.")
        .deviation(REFUSED),
    command(Topic::Cluster, "cluster|forget")
        .syntax("node-id")
        .flags(CHANGES)
        .docs("3.0.0", "O(1)", "Removes a node.")
        .deviation(REFUSED),
    command(Topic::Cluster, "cluster|getkeysinslot")
        .syntax("slot count")
        .flags(F::STALE)
        .tips(&["nondeterministic_output"])
        .docs(
            "3.0.0",
            "O(log(N)) where N is the number of requested keys",
            "Lists keys of a slot.",
        )
        .deviation(SCANS),
    command(Topic::Cluster, "cluster|help")
        .flags(F::ANY_TIME)
        .docs("5.0.0", "O(1)", "Lists the subcommands."),
    command(Topic::Cluster, "cluster|info")
        .flags(F::STALE)
        .tips(&["nondeterministic_output"])
        .docs("3.0.0", "O(1)", "Describes the state of the cluster."),
    command(Topic::Cluster, "cluster|keyslot")
        .syntax("key:string")
        .flags(F::STALE)
        .docs(
            "3.0.0",
            "O(N) where N is the number of bytes in the key",
            "Returns the slot of a key.",
        ),
    command(Topic::Cluster, "cluster|links")
        .flags(F::STALE)
        .tips(&["nondeterministic_output"])
        .docs(
            "7.0.0",
            "O(N) where N is the total number of Cluster nodes",
            "Describes the connections between nodes.",
        ),
    command(Topic::Cluster, "cluster|meet")
        .syntax("ip port:integer [cluster_bus_port:integer]")
        .flags(CHANGES)
        .docs("3.0.0", "O(1)", "Adds a node.")
        .deviation(REFUSED),
    command(Topic::Cluster, "cluster|myid")
        .flags(F::STALE)
        .docs("3.0.0", "O(1)", "Returns the id of the node."),
    command(Topic::Cluster, "cluster|myshardid")
        .flags(F::STALE)
        .tips(&["nondeterministic_output"])
        .docs("7.2.0", "O(1)", "Returns the id of the shard of the node."),
    command(Topic::Cluster, "cluster|nodes")
        .flags(F::STALE)
        .tips(&["nondeterministic_output"])
        .docs(
            "3.0.0",
            "O(N) where N is the total number of Cluster nodes",
            "Describes the nodes.",
        ),
    command(Topic::Cluster, "cluster|replicas")
        .syntax("node-id")
        .flags(F::ADMIN.with(F::STALE))
        .tips(&["nondeterministic_output"])
        .docs("5.0.0", "O(1)", "Describes the replicas of a node."),
    command(Topic::Cluster, "cluster|replicate")
        .syntax("node-id")
        .flags(CHANGES)
        .docs("3.0.0", "O(1)", "Makes the node a replica.")
        .deviation(REFUSED),
    command(Topic::Cluster, "cluster|reset")
        .syntax("[hard_soft(HARD|SOFT)]")
        .flags(F::ADMIN.with(F::NOSCRIPT).with(F::STALE))
        .docs(
            "3.0.0",
            "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a \
                side effect.",
            "Resets the node.",
        )
        .deviation(REFUSED),
    command(Topic::Cluster, "cluster|saveconfig")
        .flags(CHANGES)
        .docs("3.0.0", "O(1)", "Saves the state of the cluster.")
        .deviation("It answers OK: there is nothing to save."),
    command(Topic::Cluster, "cluster|set-config-epoch")
        .syntax("config-epoch:integer")
        .flags(CHANGES)
        .docs("3.0.0", "O(1)", "Sets the epoch of a new node.")
        .deviation(REFUSED),
    command(Topic::Cluster, "cluster|setslot")
        .syntax("slot subcommand(IMPORTING node-id|MIGRATING node-id|NODE node-id|STABLE)")
        .flags(CHANGES)
        .docs("3.0.0", "O(1)", "Gives a slot to a node.")
        .deviation(REFUSED),
    command(Topic::Cluster, "cluster|shards")
        .flags(F::STALE)
        .tips(&["nondeterministic_output"])
        .docs(
            "7.0.0",
            "O(N) where N is the total number of cluster nodes",
            "Returns the slots of each shard.",
        ),
    command(Topic::Cluster, "cluster|slaves")
        .syntax("node-id")
        .flags(F::ADMIN.with(F::STALE))
        .tips(&["nondeterministic_output"])
        .docs("3.0.0", "O(1)", "Describes the replicas of a node."),
    command(Topic::Cluster, "cluster|slots")
        .flags(F::STALE)
        .tips(&["nondeterministic_output"])
        .docs(
            "3.0.0",
            "O(N) where N is the total number of Cluster nodes",
            "Returns the slots of each node.",
        ),
    command(Topic::Cluster, "readonly")
        .flags(F::ANY_TIME.with(F::FAST))
        .categories(C::CONNECTION)
        .docs(
            "3.0.0",
            "O(1)",
            "Lets followers serve the reads of this connection.",
        )
        .deviation("It is answered although cluster mode is off."),
    command(Topic::Cluster, "readwrite")
        .flags(F::ANY_TIME.with(F::FAST))
        .categories(C::CONNECTION)
        .docs("3.0.0", "O(1)", "Ends READONLY.")
        .deviation("It is answered although cluster mode is off."),
];
