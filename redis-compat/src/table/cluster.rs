//! Rows of the commands that tools ask a Redis Cluster.

use crate::command::{Command, Group, proxy};
use crate::{Categories as C, Flags as F};

const G: Group = Group::Cluster;

pub(super) const ROWS: &[Command] = &[
    proxy(G, "cluster", -2, F::NONE)
        .since("3.0.0", "Depends on subcommand")
        .summary("A container for what tools ask a Redis Cluster.")
        .deviation(
            "answered though cluster mode is off: the proxy is one node that \
has all slots.",
        )
        .subcommands(&[
            proxy(G, "cluster|countkeysinslot", 3, F::STALE)
                .since("3.0.0", "O(1)")
                .summary("Counts the keys of a slot.")
                .deviation("refused: keys are kept in key order, not by slot."),
            proxy(G, "cluster|getkeysinslot", 4, F::STALE)
                .tips(&["nondeterministic_output"])
                .since("3.0.0", "O(log(N)) where N is the number of requested keys")
                .summary("Lists keys of a slot.")
                .deviation("refused: keys are kept in key order, not by slot."),
            proxy(G, "cluster|help", 2, F::LOADING.with(F::STALE))
                .since("5.0.0", "O(1)")
                .summary("Lists the subcommands."),
            proxy(G, "cluster|info", 2, F::STALE)
                .tips(&["nondeterministic_output"])
                .since("3.0.0", "O(1)")
                .summary("Describes the state of the cluster."),
            proxy(G, "cluster|keyslot", 3, F::STALE)
                .since("3.0.0", "O(N) where N is the number of bytes in the key")
                .summary("Answers the slot of a key."),
            proxy(G, "cluster|links", 2, F::STALE)
                .tips(&["nondeterministic_output"])
                .since("7.0.0", "O(N) where N is the total number of Cluster nodes")
                .summary("Describes the connections between nodes."),
            proxy(G, "cluster|myid", 2, F::STALE)
                .since("3.0.0", "O(1)")
                .summary("Answers the id of the node."),
            proxy(G, "cluster|myshardid", 2, F::STALE)
                .tips(&["nondeterministic_output"])
                .since("7.2.0", "O(1)")
                .summary("Answers the id of the group that answers."),
            proxy(G, "cluster|nodes", 2, F::STALE)
                .tips(&["nondeterministic_output"])
                .since("3.0.0", "O(N) where N is the total number of Cluster nodes")
                .summary("Describes the nodes."),
            proxy(G, "cluster|replicas", 3, F::ADMIN.with(F::STALE))
                .tips(&["nondeterministic_output"])
                .since("5.0.0", "O(1)")
                .summary("Describes the replicas of a node."),
            proxy(G, "cluster|shards", 2, F::STALE)
                .tips(&["nondeterministic_output"])
                .since("7.0.0", "O(N) where N is the total number of cluster nodes")
                .summary("Answers which group holds which slots."),
            proxy(G, "cluster|slots", 2, F::STALE)
                .tips(&["nondeterministic_output"])
                .since("3.0.0", "O(N) where N is the total number of Cluster nodes")
                .summary("Answers which nodes hold which slots."),
        ]),
    proxy(G, "readonly", 1, F::LOADING.with(F::STALE).with(F::FAST))
        .categories(C::CONNECTION)
        .since("3.0.0", "O(1)")
        .summary("Lets followers answer the reads of this connection.")
        .deviation("answered though cluster mode is off."),
    proxy(G, "readwrite", 1, F::LOADING.with(F::STALE).with(F::FAST))
        .categories(C::CONNECTION)
        .since("3.0.0", "O(1)")
        .summary("Ends READONLY.")
        .deviation("answered though cluster mode is off."),
];
