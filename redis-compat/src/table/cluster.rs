//! Rows of the commands that tools ask a Redis Cluster.

use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{Categories as C, Flags as F};

pub(super) const PART: Part = Part::new(ROWS, LINES);

error_lines! {
    /// `CLUSTER COUNTKEYSINSLOT` and `GETKEYSINSLOT`.
    pub NOT_BY_SLOT = "ERR keys are kept in key order, not by slot";
}

const ROWS: &[Command] = &[
    command(Topic::Cluster, "cluster")
        .container()
        .docs(
            "3.0.0",
            "Depends on subcommand",
            "A container for commands that tools send to a Redis Cluster.",
        )
        .deviation(
            "It is answered although cluster mode is off, and describes the proxy as the only \
            node, with all slots.",
        ),
    command(Topic::Cluster, "cluster|countkeysinslot")
        .syntax("slot")
        .flags(F::STALE)
        .docs("3.0.0", "O(1)", "Counts the keys of a slot.")
        .deviation("It is refused, because keys are stored in key order and not by slot."),
    command(Topic::Cluster, "cluster|getkeysinslot")
        .syntax("slot count")
        .flags(F::STALE)
        .tips(&["nondeterministic_output"])
        .docs(
            "3.0.0",
            "O(log(N)) where N is the number of requested keys",
            "Lists keys of a slot.",
        )
        .deviation("It is refused, because keys are stored in key order and not by slot."),
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
    command(Topic::Cluster, "cluster|shards")
        .flags(F::STALE)
        .tips(&["nondeterministic_output"])
        .docs(
            "7.0.0",
            "O(N) where N is the total number of cluster nodes",
            "Returns the slots of each shard.",
        ),
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
