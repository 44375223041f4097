//! Commands that run scripts: `EVAL`, `FCALL` and their kin.
//!
//! Lua does not come out the same on every replica, so no replica runs it at apply: the leader of
//! the group runs a script once, and its effects go through the log (`coterie_group`). This crate
//! knows the rows and the words, and no Lua.
//!
//! A leader needs no memory of scripts: a proxy sends a script with its body. `EVALSHA` becomes
//! `EVAL`, and `FCALL` becomes `_FCALL`, with the code of the library as its last word. The keys
//! stay where they are, so that the rows of the client's commands route these words, too. A user
//! without all rights sends its rules along (`_EVAL_AS`, `_FCALL_AS`): the leader checks the
//! commands of the script by them.

use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{Args, CommandError, Flags as F, KeyFlags as K, KeySpec};

pub(crate) const PART: Part = Part::new(ROWS, LINES);

error_lines! {
    /// No proxy and no leader knows the script.
    pub NO_SCRIPT = "NOSCRIPT No matching script. Please use EVAL.";
    /// More keys than words.
    pub TOO_MANY_KEYS = "ERR Number of keys can't be greater than number of args";
    /// Fewer keys than none.
    pub NEGATIVE_KEYS = "ERR Number of keys can't be negative";
    /// `FCALL` with a count of keys that is no number.
    pub BAD_KEYS = "ERR Bad number of keys provided";
    /// `FCALL` of a function that no library has.
    pub NO_FUNCTION = "ERR Function not found";
    /// A script calls a command that does not exist.
    pub SCRIPT_UNKNOWN_COMMAND = "ERR Unknown Redis command called from script";
    /// A script calls a command with too few or too many words.
    pub SCRIPT_WRONG_ARITY = "ERR Wrong number of args calling Redis command from script";
    /// A script calls a command that no script may call.
    pub NOT_FROM_SCRIPT = "ERR This Redis command is not allowed from script";
    /// A script that may not write calls a command that writes.
    pub SCRIPT_READ_ONLY = "ERR Write commands are not allowed from read-only scripts.";
    /// A script that may write, called by a command that allows no writes.
    pub SCRIPT_WRITES = "ERR Can not execute a script with write flag using *_ro command.";
    /// A script that does not say that it may run without room, when there is none.
    pub SCRIPT_NEEDS_ROOM = "OOM allow-oom flag is not set on the script, can not run it when used \
        memory > 'maxmemory'";
    /// A script touches a key that its group does not own.
    pub SCRIPT_NON_LOCAL =
        "ERR Script attempted to access a non local key in a cluster node";
}

/// The digits of a SHA1.
const SHA1_LEN: usize = 40;

const ANY: F = F::NOSCRIPT
    .with(F::SKIP_MONITOR)
    .with(F::NO_MANDATORY_KEYS)
    .with(F::STALE)
    .with(F::MOVABLE_KEYS);
const WRITES: F = ANY.with(F::MAY_REPLICATE);
const READS: F = ANY.with(F::READ);

const RW_KEYS: &[KeySpec] =
    &[WRITTEN
        .notes("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")];
const RO_KEYS: &[KeySpec] = &[
    READ.notes("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS")
];
const WRITTEN: KeySpec = K::RW_ACCESS_UPDATE.at(2).counted();
const READ: KeySpec = K::RO_ACCESS.at(2).counted();

const OF_SCRIPT: &str = "Depends on the script that is executed.";
const OF_FUNCTION: &str = "Depends on the function that is executed.";

const LOCAL_KEYS: &str = "A script may touch the keys that its group owns: all that it names must \
    be in one group, and another key that lies elsewhere is an error. Its writes take effect \
    together, at its end. A script that is ended from outside has changed nothing.";

const ROWS: &[Command] = &[
    command(Topic::Scripting, "eval")
        .syntax("script numkeys [key ...] [arg ...]")
        .flags(WRITES)
        .keys(RW_KEYS)
        .check(check_script)
        .runs_script()
        .docs("2.6.0", OF_SCRIPT, "Runs a Lua script.")
        .deviation(LOCAL_KEYS),
    command(Topic::Scripting, "eval_ro")
        .syntax("script numkeys [key ...] [arg ...]")
        .flags(READS)
        .keys(RO_KEYS)
        .check(check_script)
        .runs_script()
        .docs("7.0.0", OF_SCRIPT, "Runs a Lua script that only reads."),
    command(Topic::Scripting, "evalsha")
        .syntax("sha1 numkeys [key ...] [arg ...]")
        .flags(WRITES)
        .keys(&[WRITTEN])
        .check(check_sha)
        .runs_script()
        .docs(
            "2.6.0",
            OF_SCRIPT,
            "Runs a Lua script, named by its digest.",
        )
        .deviation(
            "Every proxy knows the scripts of SCRIPT LOAD, and the last scripts of EVAL of all \
            proxies as far as they have room; those of many short-lived scripts may be forgotten.",
        ),
    command(Topic::Scripting, "evalsha_ro")
        .syntax("sha1 numkeys [key ...] [arg ...]")
        .flags(READS)
        .keys(&[READ])
        .check(check_sha)
        .runs_script()
        .docs(
            "7.0.0",
            OF_SCRIPT,
            "Runs a Lua script that only reads, named by its digest.",
        ),
    command(Topic::Scripting, "fcall")
        .syntax("function numkeys [key ...] [arg ...]")
        .flags(WRITES)
        .keys(RW_KEYS)
        .check(check_function)
        .runs_script()
        .docs("7.0.0", OF_FUNCTION, "Calls a function."),
    command(Topic::Scripting, "fcall_ro")
        .syntax("function numkeys [key ...] [arg ...]")
        .flags(READS)
        .keys(RO_KEYS)
        .check(check_function)
        .runs_script()
        .docs("7.0.0", OF_FUNCTION, "Calls a function that only reads."),
    command(Topic::Scripting, "_fcall")
        .syntax("function numkeys [key ...] [arg ...] code")
        .flags(WRITES.with(F::INTERNAL))
        .keys(RW_KEYS)
        .check(check_function)
        .runs_script()
        .shown_as("FCALL")
        .docs("0.1.0", OF_FUNCTION, "Calls a function of a library."),
    command(Topic::Scripting, "_fcall_ro")
        .syntax("function numkeys [key ...] [arg ...] code")
        .flags(READS.with(F::INTERNAL))
        .keys(RO_KEYS)
        .check(check_function)
        .runs_script()
        .shown_as("FCALL_RO")
        .docs(
            "0.1.0",
            OF_FUNCTION,
            "Calls a function of a library that only reads.",
        ),
    command(Topic::Scripting, "_eval_as")
        .syntax("script numkeys [key ...] [arg ...] rules")
        .flags(WRITES.with(F::INTERNAL))
        .keys(RW_KEYS)
        .check(check_script)
        .runs_script()
        .shown_as("EVAL")
        .docs(
            "0.1.0",
            OF_SCRIPT,
            "Runs a Lua script with the rights of a user.",
        ),
    command(Topic::Scripting, "_eval_ro_as")
        .syntax("script numkeys [key ...] [arg ...] rules")
        .flags(READS.with(F::INTERNAL))
        .keys(RO_KEYS)
        .check(check_script)
        .runs_script()
        .shown_as("EVAL_RO")
        .docs(
            "0.1.0",
            OF_SCRIPT,
            "Runs a Lua script that only reads, with the rights of a user.",
        ),
    command(Topic::Scripting, "_fcall_as")
        .syntax("function numkeys [key ...] [arg ...] code rules")
        .flags(WRITES.with(F::INTERNAL))
        .keys(RW_KEYS)
        .check(check_function)
        .runs_script()
        .shown_as("FCALL")
        .docs(
            "0.1.0",
            OF_FUNCTION,
            "Calls a function of a library with the rights of a user.",
        ),
    command(Topic::Scripting, "_fcall_ro_as")
        .syntax("function numkeys [key ...] [arg ...] code rules")
        .flags(READS.with(F::INTERNAL))
        .keys(RO_KEYS)
        .check(check_function)
        .runs_script()
        .shown_as("FCALL_RO")
        .docs(
            "0.1.0",
            OF_FUNCTION,
            "Calls a function that only reads, with the rights of a user.",
        ),
];

/// Redis' order of errors: `eval.c`, `evalGenericCommand`.
fn check_script(args: &Args<'_>) -> Result<(), CommandError> {
    check_count(args.int(2)?, args.len())
}

/// The same, behind the length of the digest. Words that have their code already name none.
fn check_sha(args: &Args<'_>) -> Result<(), CommandError> {
    let is_digest = args.bytes(1).len() == SHA1_LEN || !args.is(0, args.name());
    if is_digest {
        check_script(args)
    } else {
        Err(NO_SCRIPT)
    }
}

/// Redis' order of errors: `functions.c`, `fcallCommandGeneric`.
fn check_function(args: &Args<'_>) -> Result<(), CommandError> {
    check_count(args.int(2).map_err(|_| BAD_KEYS)?, args.len())
}

fn check_count(keys: i64, words: usize) -> Result<(), CommandError> {
    match usize::try_from(keys) {
        Err(_) => Err(NEGATIVE_KEYS),
        Ok(keys) if keys > words - 3 => Err(TOO_MANY_KEYS),
        Ok(_) => Ok(()),
    }
}
