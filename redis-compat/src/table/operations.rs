//! Rows of the commands by which operators save, stop, extend and replicate a Redis server. The
//! proxy answers them truthfully, or refuses them in words.

use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{Categories as C, Flags as F};

pub(super) const PART: Part = Part::new(ROWS, LINES);

error_lines! {
    /// `DEBUG` without `--enable-debug-command`.
    pub DEBUG_NOT_ALLOWED = "ERR DEBUG command not allowed. If the enable-debug-command option is \
        set to \"local\", you can run it from a local connection, otherwise you need to set this \
        option in the configuration file, and then restart the server.";
    /// `MODULE LOAD`, `LOADEX` and `UNLOAD`.
    pub MODULE_NOT_ALLOWED = "ERR MODULE command not allowed. If the enable-module-command option \
        is set to \"local\", you can run it from a local connection, otherwise you need to set \
        this option in the configuration file, and then restart the server.";
    /// `FAILOVER ABORT`.
    pub NO_FAILOVER = "ERR No failover in progress.";
    /// `SHUTDOWN ABORT`.
    pub NO_SHUTDOWN = "ERR No shutdown in progress.";
    /// Coterie's own: `FAILOVER`.
    pub FAILOVER_REFUSED = "ERR FAILOVER is refused: each group elects its leader itself. \
        COTERIE LEADER hands the leadership of a group to another node";
    /// Coterie's own: `SHUTDOWN`.
    pub SHUTDOWN_REFUSED = "ERR SHUTDOWN is refused: other clients use this proxy. \
        Stop its process with SIGTERM";
    /// Coterie's own: `REPLICAOF` and `SLAVEOF`.
    pub REPLICAOF_REFUSED = "ERR REPLICAOF is refused: the groups of the cluster replicate their \
        keys themselves";
    /// Coterie's own: the commands of a replica.
    pub REPLICATION_REFUSED = "ERR the replication protocol of Redis is not offered: SCAN and DUMP \
        read all keys";
    /// `DEBUG` with a subcommand that would harm other clients, or that shows Redis' own memory.
    pub DEBUG_REFUSED = "ERR this DEBUG subcommand is not offered";
}

/// Administrative, and not while a dataset is loaded.
const ADMIN: F = F::ADMIN.with(F::NOSCRIPT).with(F::NO_ASYNC_LOADING);

const ROWS: &[Command] = &[
    command(Topic::Server, "bgrewriteaof")
        .flags(ADMIN)
        .docs(
            "1.0.0",
            "O(1)",
            "Asks the server to rewrite its append-only file.",
        )
        .deviation("It does nothing: groups shorten their logs themselves."),
    command(Topic::Server, "bgsave")
        .syntax("[SCHEDULE]")
        .flags(ADMIN)
        .docs("1.0.0", "O(1)", "Asks the server to save its data.")
        .deviation(
            "It does nothing: an acknowledged write is on the disks of a majority of its group.",
        ),
    command(Topic::Server, "failover")
        .syntax("[TO target(host port:integer [FORCE])] [ABORT] [TIMEOUT milliseconds]")
        .flags(F::ADMIN.with(F::NOSCRIPT).with(F::STALE))
        .docs("6.2.0", "O(1)", "Asks a server to hand over to a replica.")
        .deviation("It is refused: `COTERIE LEADER` hands over a group."),
    command(Topic::Server, "lolwut")
        .syntax("[VERSION version:integer]")
        .flags(F::READ_FAST)
        .docs("5.0.0", "O(1)", "Shows the version."),
    command(Topic::Server, "module").container().docs(
        "4.0.0",
        "Depends on subcommand.",
        "A container for modules.",
    ),
    command(Topic::Server, "module|help")
        .flags(F::ANY_TIME)
        .docs("5.0.0", "O(1)", "Lists the subcommands."),
    command(Topic::Server, "module|list")
        .flags(F::ADMIN.with(F::NOSCRIPT))
        .tips(&["nondeterministic_output_order"])
        .docs(
            "4.0.0",
            "O(N) where N is the number of loaded modules.",
            "Lists the loaded modules.",
        )
        .deviation("There are no modules."),
    command(Topic::Server, "module|load")
        .syntax("path [arg ...]")
        .flags(ADMIN)
        .docs("4.0.0", "O(1)", "Loads a module.")
        .deviation("It is refused, as by a Redis with `enable-module-command no`."),
    command(Topic::Server, "module|loadex")
        .syntax("path [CONFIG configs(name value)] ... [ARGS args(arg) ...]")
        .flags(ADMIN)
        .docs("7.0.0", "O(1)", "Loads a module with settings.")
        .deviation("It is refused, as by a Redis with `enable-module-command no`."),
    command(Topic::Server, "module|unload")
        .syntax("name")
        .flags(ADMIN)
        .docs("4.0.0", "O(1)", "Unloads a module.")
        .deviation("It is refused, as by a Redis with `enable-module-command no`."),
    command(Topic::Server, "psync")
        .syntax("replicationid offset:integer")
        .flags(ADMIN.with(F::NO_MULTI))
        .arity(-3)
        .docs("2.8.0", "O(1)", "Begins replication.")
        .deviation("It is refused."),
    command(Topic::Server, "replconf")
        .flags(F::ADMINISTERS.with(F::ALLOW_BUSY))
        .arity(-1)
        .docs("3.0.0", "O(1)", "Configures replication.")
        .deviation("It is refused."),
    command(Topic::Server, "replicaof")
        .syntax("args(host-port(host port:integer)|no-one(NO ONE))")
        .flags(ADMIN.with(F::STALE))
        .docs("5.0.0", "O(1)", "Makes the server a replica, or a master.")
        .deviation("`NO ONE` answers OK and does nothing; any other form is refused."),
    command(Topic::Server, "save")
        .flags(ADMIN.with(F::NO_MULTI))
        .docs(
            "1.0.0",
            "O(N) where N is the total number of keys in all databases",
            "Saves the data and waits for it.",
        )
        .deviation(
            "It does nothing: an acknowledged write is on the disks of a majority of its group.",
        ),
    command(Topic::Server, "shutdown")
        .syntax("[nosave_save(NOSAVE|SAVE)] [NOW] [FORCE] [ABORT]")
        .flags(F::ADMINISTERS.with(F::NO_MULTI).with(F::ALLOW_BUSY))
        .docs(
            "1.0.0",
            "O(N) when saving, where N is the total number of keys in all databases when saving \
                data, otherwise O(1)",
            "Stops the server.",
        )
        .deviation("It is refused: a client must not stop the proxy of others. Send it SIGTERM."),
    command(Topic::Server, "slaveof")
        .syntax("args(host-port(host port:integer)|no-one(NO ONE))")
        .flags(ADMIN.with(F::STALE))
        .docs("1.0.0", "O(1)", "Makes the server a replica, or a master.")
        .deviation("`NO ONE` answers OK and does nothing; any other form is refused."),
    command(Topic::Server, "sync")
        .flags(ADMIN.with(F::NO_MULTI))
        .docs("1.0.0", "O(1)", "Begins replication.")
        .deviation("It is refused."),
    command(Topic::Generic, "waitaof")
        .syntax("numlocal:integer numreplicas timeout")
        .flags(F::NOSCRIPT)
        .categories(C::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .docs(
            "7.2.0",
            "O(1)",
            "Waits until earlier writes are on the disks of the server and of replicas.",
        )
        .deviation(
            "The first number is always 1: a leader has a write on disk before it replies. The \
            second is that of WAIT.",
        ),
];
