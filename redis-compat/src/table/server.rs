//! Rows of the commands about the server.

use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{Categories as C, Flags as F, Route};

pub(super) const PART: Part = Part::new(ROWS, LINES);

error_lines! {
    /// `COMMAND GETKEYS` of a command that is not known.
    pub INVALID_COMMAND_SPECIFIED = "ERR Invalid command specified";
    /// `COMMAND GETKEYS` with too few or too many words.
    pub INVALID_ARGUMENT_COUNT = "ERR Invalid number of arguments specified for command";
    /// `COMMAND GETKEYS` of a command without keys.
    pub NO_KEY_ARGUMENTS = "ERR The command has no key arguments";
    /// `CONFIG REWRITE`: settings that last are flags.
    pub NO_CONFIG_FILE = "ERR The server is running without a config file";
    /// `SLOWLOG GET` with a count that means nothing.
    pub SLOWLOG_COUNT = "ERR count should be greater than or equal to -1";
}

const ROWS: &[Command] = &[
    command(Topic::Server, "command")
        .flags(F::ANY_TIME)
        .arity(-1)
        .categories(C::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .docs(
            "2.8.13",
            "O(N) where N is the total number of Redis commands",
            "Describes all commands.",
        ),
    command(Topic::Server, "command|count")
        .flags(F::ANY_TIME)
        .categories(C::CONNECTION)
        .docs("2.8.13", "O(1)", "Counts the commands."),
    command(Topic::Server, "command|docs")
        .syntax("[command-name ...]")
        .flags(F::ANY_TIME)
        .categories(C::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .docs(
            "7.0.0",
            "O(N) where N is the number of commands to look up",
            "Returns documentation of commands.",
        ),
    command(Topic::Server, "command|getkeys")
        .syntax("command [arg ...]")
        .flags(F::ANY_TIME)
        .arity(-4)
        .categories(C::CONNECTION)
        .docs(
            "2.8.13",
            "O(N) where N is the number of arguments to the command",
            "Finds the keys among the words of a command.",
        ),
    command(Topic::Server, "command|getkeysandflags")
        .syntax("command [arg ...]")
        .flags(F::ANY_TIME)
        .arity(-4)
        .categories(C::CONNECTION)
        .docs(
            "7.0.0",
            "O(N) where N is the number of arguments to the command",
            "Finds the keys among the words of a command, and how it uses them.",
        ),
    command(Topic::Server, "command|help")
        .flags(F::ANY_TIME)
        .categories(C::CONNECTION)
        .docs("5.0.0", "O(1)", "Lists the subcommands."),
    command(Topic::Server, "command|info")
        .syntax("[command-name ...]")
        .flags(F::ANY_TIME)
        .categories(C::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .docs(
            "2.8.13",
            "O(N) where N is the number of commands to look up",
            "Describes commands.",
        ),
    command(Topic::Server, "command|list")
        .syntax("[FILTERBY filterby(MODULE module-name|ACLCAT category|PATTERN pattern)]")
        .flags(F::ANY_TIME)
        .categories(C::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .docs(
            "7.0.0",
            "O(N) where N is the total number of Redis commands",
            "Lists the names of commands.",
        ),
    command(Topic::Server, "config").container().docs(
        "2.0.0",
        "Depends on subcommand",
        "A container for settings.",
    ),
    command(Topic::Server, "config|get")
        .syntax("parameter(parameter) ...")
        .flags(F::ADMINISTERS)
        .docs(
            "2.0.0",
            "O(N) when N is the number of configuration parameters provided",
            "Returns the values of settings.",
        )
        .deviation("It shows only the settings that Coterie has."),
    command(Topic::Server, "config|help")
        .flags(F::ANY_TIME)
        .docs("5.0.0", "O(1)", "Lists the subcommands."),
    command(Topic::Server, "config|resetstat")
        .flags(F::ADMINISTERS)
        .docs("2.0.0", "O(1)", "Resets the statistics."),
    command(Topic::Server, "config|rewrite")
        .flags(F::ADMINISTERS)
        .docs("2.8.0", "O(1)", "Writes the settings to their file.")
        .deviation(
            "It is refused, as in a Redis without a config file, because lasting settings are \
            flags.",
        ),
    command(Topic::Server, "config|set")
        .syntax("parameter_value(parameter value) ...")
        .flags(F::ADMINISTERS)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs(
            "2.0.0",
            "O(N) when N is the number of configuration parameters provided",
            "Changes settings.",
        )
        .deviation(
            "It sets only the settings that Coterie has, on this proxy until it ends; a fixed \
            setting that Redis could change can be set to its present value.",
        ),
    command(Topic::Server, "dbsize")
        .flags(F::READ_FAST)
        .route(Route::EachRange)
        .categories(C::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .docs("1.0.0", "O(1)", "Counts the keys of the database.")
        .deviation(
            "It counts by reading all keys, range after range, so writes meanwhile may or may \
            not count.",
        ),
    command(Topic::Server, "debug")
        .syntax("subcommand [arg ...]")
        .flags(F::ADMINISTERS)
        .docs("1.0.0", "Depends on subcommand", "Commands for tests.")
        .deviation(
            "It has only SLEEP, which blocks its own connection alone, and SET-ACTIVE-EXPIRE \
            and QUICKLIST-PACKED-THRESHOLD, which do nothing.",
        ),
    command(Topic::Server, "flushall")
        .syntax("[async(ASYNC|SYNC)]")
        .flags(F::WRITE)
        .route(Route::EachRange)
        .categories(C::KEYSPACE.with(C::DANGEROUS))
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs(
            "1.0.0",
            "O(N) where N is the total number of keys in all databases",
            "Removes all keys of all databases.",
        )
        .deviation("ASYNC and SYNC do the same, and each group is emptied by itself."),
    command(Topic::Server, "flushdb")
        .syntax("[async(ASYNC|SYNC)]")
        .flags(F::WRITE)
        .route(Route::EachRange)
        .categories(C::KEYSPACE.with(C::DANGEROUS))
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs(
            "1.0.0",
            "O(N) where N is the number of keys in the selected database",
            "Removes all keys of the database.",
        )
        .deviation("ASYNC and SYNC do the same, and each group is emptied by itself."),
    command(Topic::Server, "info")
        .syntax("[section ...]")
        .flags(F::ANY_TIME)
        .categories(C::DANGEROUS)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ])
        .docs("1.0.0", "O(1)", "Describes the server and the cluster.")
        .deviation(
            "It has only the fields that apply to a proxy, and a section `coterie`; see \
            [figures of INFO](#figures-of-info).",
        ),
    command(Topic::Server, "lastsave")
        .flags(F::ANY_TIME.with(F::FAST))
        .categories(C::ADMIN.with(C::DANGEROUS))
        .tips(&["nondeterministic_output"])
        .docs("1.0.0", "O(1)", "Returns the time of the last save."),
    command(Topic::Server, "latency")
        .container()
        .docs(
            "2.8.13",
            "Depends on subcommand",
            "A container for latency reports.",
        )
        .deviation("No events are sampled, so replies about events are empty."),
    command(Topic::Server, "latency|doctor")
        .flags(F::ADMINISTERS)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ])
        .docs("2.8.13", "O(1)", "Returns advice about latency."),
    command(Topic::Server, "latency|graph")
        .syntax("event")
        .flags(F::ADMINISTERS)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ])
        .docs(
            "2.8.13",
            "O(1)",
            "Returns a graph of the latency of an event.",
        ),
    command(Topic::Server, "latency|help")
        .flags(F::ANY_TIME)
        .docs("2.8.13", "O(1)", "Lists the subcommands."),
    command(Topic::Server, "latency|histogram")
        .syntax("[command ...]")
        .flags(F::ADMINISTERS)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ])
        .docs(
            "7.0.0",
            "O(N) where N is the number of commands with latency information being \
            retrieved",
            "Returns how long commands took.",
        )
        .deviation("Its times are those of `usec` in INFO."),
    command(Topic::Server, "latency|history")
        .syntax("event")
        .flags(F::ADMINISTERS)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ])
        .docs(
            "2.8.13",
            "O(1)",
            "Returns the latency of an event over time.",
        ),
    command(Topic::Server, "latency|latest")
        .flags(F::ADMINISTERS)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ])
        .docs(
            "2.8.13",
            "O(1)",
            "Returns the latest latency of each event.",
        ),
    command(Topic::Server, "latency|reset")
        .syntax("[event ...]")
        .flags(F::ADMINISTERS)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs("2.8.13", "O(1)", "Forgets the latency of events."),
    command(Topic::Server, "memory").container().docs(
        "4.0.0",
        "Depends on subcommand",
        "A container for commands about memory.",
    ),
    command(Topic::Server, "memory|doctor")
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ])
        .docs("4.0.0", "O(1)", "Returns advice about memory."),
    command(Topic::Server, "memory|help")
        .flags(F::ANY_TIME)
        .docs("4.0.0", "O(1)", "Lists the subcommands."),
    command(Topic::Server, "memory|malloc-stats")
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ])
        .docs(
            "4.0.0",
            "Depends on how much memory is allocated, could be slow",
            "Returns the allocator's statistics.",
        ),
    command(Topic::Server, "memory|purge")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs(
            "4.0.0",
            "Depends on how much memory is allocated, could be slow",
            "Asks the allocator to release memory.",
        ),
    command(Topic::Server, "memory|stats")
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ])
        .docs("4.0.0", "O(1)", "Returns how memory is used.")
        .deviation(
            "It has only total.allocated and clients.normal of the proxy, and keys.count, which \
            is 0.",
        ),
    command(Topic::Server, "role")
        .flags(F::SESSION.with(F::FAST))
        .categories(C::ADMIN.with(C::DANGEROUS))
        .docs("2.8.12", "O(1)", "Returns the role in replication."),
    command(Topic::Server, "slowlog")
        .container()
        .docs(
            "2.2.12",
            "Depends on subcommand",
            "A container for commands about the log of slow commands.",
        )
        .deviation(
            "It has only commands that go to groups or run alone on their connection, with the \
            time from sending them to their replies.",
        ),
    command(Topic::Server, "slowlog|get")
        .syntax("[count]")
        .flags(F::ADMIN.with(F::ANY_TIME))
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .docs(
            "2.2.12",
            "O(N) where N is the number of entries returned",
            "Returns entries of the log of slow commands.",
        )
        .deviation("A user needs the right to all keys. No passwords are shown."),
    command(Topic::Server, "slowlog|help")
        .flags(F::ANY_TIME)
        .docs("6.2.0", "O(1)", "Lists the subcommands."),
    command(Topic::Server, "slowlog|len")
        .flags(F::ADMIN.with(F::ANY_TIME))
        .tips(&[
            "request_policy:all_nodes",
            "response_policy:agg_sum",
            "nondeterministic_output",
        ])
        .docs("2.2.12", "O(1)", "Counts the entries of the log."),
    command(Topic::Server, "slowlog|reset")
        .flags(F::ADMIN.with(F::ANY_TIME))
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs(
            "2.2.12",
            "O(N) where N is the number of entries in the slowlog",
            "Empties the log.",
        ),
    command(Topic::Server, "time")
        .flags(F::ANY_TIME.with(F::FAST))
        .tips(&["nondeterministic_output"])
        .docs("2.6.0", "O(1)", "Returns the current time."),
];
