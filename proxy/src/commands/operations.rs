//! Commands by which operators save, stop, extend and replicate a Redis server. A command whose
//! wish is fulfilled already answers OK. A command that would harm other clients is refused in
//! words.
//!
//! Saving: an acknowledged write is in the logs of a majority of its group, on disk. So `SAVE`,
//! `BGSAVE` and `BGREWRITEAOF` have nothing to do, and `LASTSAVE` (`role`) is always now: a script
//! that waits until it rises goes on.

use bytes::Bytes;
use coterie_redis_compat::errors::{
    FAILOVER_REFUSED, MODULE_NOT_ALLOWED, NO_FAILOVER, NO_SHUTDOWN, NOT_AN_INTEGER,
    REPLICAOF_REFUSED, REPLICATION_REFUSED, SHUTDOWN_REFUSED, SYNTAX,
};
use coterie_redis_compat::{CommandError, Reply, number};

use super::{Answer, Handler, Local, Named, is, verbatim};
use crate::VERSION;

pub(super) const HANDLERS: &[Named] = &[
    ("bgrewriteaof", Handler::Now(bgrewriteaof)),
    ("bgsave", Handler::Now(bgsave)),
    ("failover", Handler::Now(failover)),
    ("lolwut", Handler::Now(lolwut)),
    ("module|help", Handler::Now(module_help)),
    ("module|list", Handler::Now(module_list)),
    ("module|load", Handler::Now(module_load)),
    ("module|loadex", Handler::Now(module_load)),
    ("module|unload", Handler::Now(module_load)),
    ("psync", Handler::Now(replication)),
    ("replconf", Handler::Now(replication)),
    ("replicaof", Handler::Now(replicaof)),
    ("save", Handler::Now(save)),
    ("shutdown", Handler::Now(shutdown)),
    ("slaveof", Handler::Now(replicaof)),
    ("sync", Handler::Now(replication)),
];

/// `SAVE`.
fn save(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::OK.into())
}

/// `BGSAVE [SCHEDULE]`.
fn bgsave(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    match args.len() {
        1 => {}
        2 if is(args, 1, "schedule") => {}
        _ => return Err(SYNTAX),
    }
    Ok(Reply::simple("Background saving started").into())
}

/// `BGREWRITEAOF`.
fn bgrewriteaof(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::simple("Background append only file rewriting started").into())
}

/// `SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]` (Redis `db.c`, `shutdownCommand`): refused, as
/// the proxy serves other clients, too.
fn shutdown(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let (mut nosave, mut save, mut abort, mut others) = (false, false, false, false);
    for at in 1..args.len() {
        match () {
            () if is(args, at, "nosave") => nosave = true,
            () if is(args, at, "save") => save = true,
            () if is(args, at, "abort") => abort = true,
            () if is(args, at, "now") || is(args, at, "force") => others = true,
            () => return Err(SYNTAX),
        }
    }
    if (abort && (nosave || save || others)) || (nosave && save) {
        return Err(SYNTAX);
    }
    Err(if abort { NO_SHUTDOWN } else { SHUTDOWN_REFUSED })
}

/// `FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]`.
fn failover(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    Err(if args.len() == 2 && is(args, 1, "abort") {
        NO_FAILOVER
    } else {
        FAILOVER_REFUSED
    })
}

/// `REPLICAOF NO ONE` is true already; `REPLICAOF host port` is refused.
fn replicaof(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    if is(args, 1, "no") && is(args, 2, "one") {
        Ok(Reply::OK.into())
    } else {
        Err(REPLICAOF_REFUSED)
    }
}

/// `SYNC`, `PSYNC`, `REPLCONF`.
fn replication(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Err(REPLICATION_REFUSED)
}

/// `LOLWUT [VERSION version ...]`.
fn lolwut(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    if args.len() > 2 && is(args, 1, "version") {
        number::parse_int(&args[2]).ok_or(NOT_AN_INTEGER)?;
    }
    let text = format!(
        "   o---o---o\n  / \\ / \\ / \\\n o---o---o---o\n  \\ / \\ / \\ /\n   o---o---o\n\n\
         Coterie {}, Redis ver. {VERSION}\n",
        env!("CARGO_PKG_VERSION")
    );
    Ok(verbatim(text).into())
}

/// `MODULE LIST`.
fn module_list(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Array(Vec::new()).into())
}

/// `MODULE LOAD`, `LOADEX` and `UNLOAD`.
fn module_load(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Err(MODULE_NOT_ALLOWED)
}

/// `MODULE HELP`.
fn module_help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::help(
        "MODULE",
        &[
            "LIST",
            "    Return a list of loaded modules.",
            "LOAD <path> [<arg> ...]",
            "    Load a module library from <path>, passing to it any optional arguments.",
            "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
            "    Load a module library from <path>, while passing it module configurations and optional arguments.",
            "UNLOAD <name>",
            "    Unload a module.",
        ],
    )
    .into())
}
