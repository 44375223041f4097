//! Rows of the commands about scripts and functions: how they are stored, listed and ended. Those
//! that run them stand in `script.rs`.

use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{Categories as C, Flags as F};

pub(super) const PART: Part = Part::new(ROWS, LINES);

error_lines! {
    /// `SCRIPT KILL` and `FUNCTION KILL` while nothing runs.
    pub NOT_BUSY = "NOTBUSY No scripts in execution right now.";
    /// A script runs for long: the answer to other commands, and to `FUNCTION KILL`.
    pub BUSY_SCRIPT = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or \
        SHUTDOWN NOSAVE.";
    /// A function runs for long: the answer to other commands, and to `SCRIPT KILL`.
    pub BUSY_FUNCTION = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or \
        SHUTDOWN NOSAVE.";
    /// `SCRIPT FLUSH` with another word.
    pub SCRIPT_FLUSH_MODE = "ERR SCRIPT FLUSH only support SYNC|ASYNC option";
    /// `FUNCTION FLUSH` with another word.
    pub FUNCTION_FLUSH_MODE = "ERR FUNCTION FLUSH only supports SYNC|ASYNC option";
    /// `SCRIPT DEBUG`.
    pub NO_SCRIPT_DEBUG = "ERR scripts are not debugged here: they run at the leader of a group";
    /// `FUNCTION DELETE` of a library that is not there.
    pub NO_LIBRARY = "ERR Library not found";
    /// `FUNCTION LIST LIBRARYNAME` without a name.
    pub NO_LIBRARY_NAME = "ERR library name argument was not given";
    /// `FUNCTION RESTORE` of a payload with something that is no function.
    pub NO_FUNCTION_IN_PAYLOAD = "ERR given type is not a function";
    /// `FUNCTION RESTORE` of functions of a release candidate of Redis 7.0.
    pub OLD_FUNCTION_IN_PAYLOAD = "ERR Pre-GA function format not supported";
    /// `FUNCTION RESTORE` with an unknown policy.
    pub RESTORE_POLICY = "ERR Wrong restore policy given, value should be either FLUSH, APPEND or \
        REPLACE.";
}

const ON_ALL: &str = "request_policy:all_shards";
const IF_ALL: &str = "response_policy:all_succeeded";
const ALL_SHARDS: &[&str] = &[ON_ALL, IF_ALL];
const ALL_NODES: &[&str] = &["request_policy:all_nodes", IF_ALL];
const ONE: &[&str] = &[ON_ALL, "response_policy:one_succeeded"];

const KILL: &str = "A script that has written is ended, too: nothing of it has taken effect. All \
    scripts of the cluster that have run for longer than `busy-reply-threshold` are ended.";
const KEPT: &str = "Kept by meta, for every proxy.";

const fn script(name: &'static str) -> Command {
    command(Topic::Scripting, name)
}

const ROWS: &[Command] = &[
    script("function").container().docs(
        "7.0.0",
        "Depends on subcommand.",
        "Holds the commands about functions.",
    ),
    script("function|delete")
        .syntax("library-name")
        .flags(F::NOSCRIPT.with(F::WRITE))
        .tips(ALL_SHARDS)
        .docs("7.0.0", "O(1)", "Deletes a library and its functions."),
    script("function|dump").flags(F::NOSCRIPT).docs(
        "7.0.0",
        "O(N) where N is the number of functions",
        "Returns all libraries in a payload for FUNCTION RESTORE.",
    ),
    script("function|flush")
        .syntax("[async(ASYNC|SYNC)]")
        .flags(F::NOSCRIPT.with(F::WRITE))
        .tips(ALL_SHARDS)
        .docs(
            "7.0.0",
            "O(N) where N is the number of functions deleted",
            "Deletes all libraries.",
        ),
    script("function|help")
        .flags(F::ANY_TIME)
        .docs("7.0.0", "O(1)", "Lists the subcommands."),
    script("function|kill")
        .flags(F::NOSCRIPT.with(F::ALLOW_BUSY))
        .tips(ONE)
        .docs("7.0.0", "O(1)", "Ends the functions that run for long.")
        .deviation(KILL),
    script("function|list")
        .syntax("[LIBRARYNAME library-name-pattern] [WITHCODE]")
        .flags(F::NOSCRIPT)
        .tips(&["nondeterministic_output_order"])
        .docs(
            "7.0.0",
            "O(N) where N is the number of functions",
            "Lists libraries and their functions.",
        ),
    script("function|load")
        .syntax("[REPLACE] function-code")
        .flags(F::NOSCRIPT.with(F::WRITE_ROOM))
        .tips(ALL_SHARDS)
        .docs(
            "7.0.0",
            "O(1) (considering compilation time is redundant)",
            "Creates a library.",
        )
        .deviation(KEPT),
    script("function|restore")
        .syntax("serialized-value [policy(FLUSH|APPEND|REPLACE)]")
        .flags(F::NOSCRIPT.with(F::WRITE_ROOM))
        .tips(ALL_SHARDS)
        .docs(
            "7.0.0",
            "O(N) where N is the number of functions on the payload",
            "Creates the libraries of a payload.",
        ),
    script("function|stats")
        .flags(F::NOSCRIPT.with(F::ALLOW_BUSY))
        .tips(&["nondeterministic_output", ON_ALL, "response_policy:special"])
        .docs(
            "7.0.0",
            "O(1)",
            "Describes the function that is running, and counts libraries.",
        ),
    script("script").container().docs(
        "2.6.0",
        "Depends on subcommand.",
        "Holds the commands about scripts.",
    ),
    script("script|debug")
        .syntax("mode(YES|SYNC|NO)")
        .flags(F::NOSCRIPT)
        .docs("3.2.0", "O(1)", "Sets the debug mode of scripts.")
        .deviation("Refused, except with NO."),
    script("script|exists")
        .syntax("sha1 ...")
        .flags(F::NOSCRIPT)
        .tips(&[ON_ALL, "response_policy:agg_logical_and"])
        .docs(
            "2.6.0",
            "O(N) with N being the number of scripts to check (so checking a single script is an \
            O(1) operation).",
            "Tells which scripts are known.",
        ),
    script("script|flush")
        .syntax("[async(ASYNC|SYNC)]")
        .flags(F::NOSCRIPT)
        .tips(ALL_NODES)
        .docs(
            "2.6.0",
            "O(N) with N being the number of scripts in cache",
            "Forgets all scripts.",
        ),
    script("script|help")
        .flags(F::ANY_TIME)
        .docs("5.0.0", "O(1)", "Lists the subcommands."),
    script("script|kill")
        .flags(F::NOSCRIPT.with(F::ALLOW_BUSY))
        .tips(ONE)
        .docs("2.6.0", "O(1)", "Ends the scripts that run for long.")
        .deviation(KILL),
    script("script|load")
        .syntax("script")
        .flags(F::NOSCRIPT.with(F::STALE))
        .tips(ALL_NODES)
        .docs(
            "2.6.0",
            "O(N) with N being the length in bytes of the script body.",
            "Keeps a script for EVALSHA.",
        )
        .deviation(KEPT),
    script("script|show")
        .syntax("sha1")
        .flags(F::NOSCRIPT)
        .categories(C::SCRIPTING)
        .docs("8.0.0", "O(1)", "Returns the body of a script."),
];
