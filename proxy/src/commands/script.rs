//! `SCRIPT`: the scripts that EVALSHA may name, and those that run (Redis `eval.c`).

use bytes::Bytes;
use coterie_lua::{Engine, Limits, Script};
use coterie_redis_compat::errors::{NO_SCRIPT, NO_SCRIPT_DEBUG, SCRIPT_FLUSH_MODE};
use coterie_redis_compat::{CommandError, Reply};

use super::running::{Kind, kill};
use super::{Answer, Handler, Local, Named, Remote, is, subcommand_syntax, text};

pub(super) const HANDLERS: &[Named] = &[
    ("script|debug", Handler::Now(debug)),
    ("script|exists", alone!(exists)),
    ("script|flush", alone!(flush)),
    ("script|help", Handler::Now(help)),
    ("script|kill", alone!(kill_scripts)),
    ("script|load", alone!(load)),
    ("script|show", alone!(show)),
];

/// `SCRIPT LOAD script`: its SHA1. Every proxy knows it from now on.
async fn load(call: Remote) -> Result<Reply, CommandError> {
    let body = Bytes::copy_from_slice(&call.args[2]);
    let script = Script::new(body.clone());
    let sha1 = script.sha1.clone();
    // Compiling may take long.
    let checked = tokio::task::spawn_blocking(move || {
        let mut engine = Engine::new(Limits::default());
        engine.check(&script).map(drop)
    });
    let checked = checked
        .await
        .map_err(|error| CommandError::Other(format!("ERR {error}")))?;
    checked.map_err(|error| CommandError::Other(error.line()))?;
    let scripts = &call.shared.scripts;
    scripts.load(&sha1, &body, call.deadline).await?;
    Ok(text(sha1))
}

/// `SCRIPT EXISTS sha1 ...`: 1 or 0 for each.
async fn exists(call: Remote) -> Result<Reply, CommandError> {
    let scripts = &call.shared.scripts;
    let names = &call.args[2..];
    if names.iter().any(|name| scripts.body(name).is_none()) {
        scripts.news().await;
    }
    let known = names
        .iter()
        .map(|name| Reply::Integer(scripts.body(name).is_some().into()));
    Ok(Reply::Array(known.collect()))
}

/// `SCRIPT SHOW sha1`: the body.
async fn show(call: Remote) -> Result<Reply, CommandError> {
    let scripts = &call.shared.scripts;
    let name = &call.args[2];
    if scripts.body(name).is_none() {
        scripts.news().await;
    }
    scripts.body(name).map(Reply::Bulk).ok_or(NO_SCRIPT)
}

/// `SCRIPT FLUSH [ASYNC|SYNC]`: both wait until meta has forgotten them.
async fn flush(call: Remote) -> Result<Reply, CommandError> {
    let is_known = call.is(2, "async") || call.is(2, "sync");
    if call.args.len() > 3 || (call.args.len() == 3 && !is_known) {
        return Err(SCRIPT_FLUSH_MODE);
    }
    call.shared.scripts.flush(call.deadline).await?;
    Ok(Reply::OK)
}

/// `SCRIPT KILL`.
async fn kill_scripts(call: Remote) -> Result<Reply, CommandError> {
    kill(&call, Kind::Script).await
}

/// `SCRIPT DEBUG YES|SYNC|NO`.
fn debug(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    if is(args, 2, "no") {
        Ok(Reply::OK.into())
    } else if is(args, 2, "yes") || is(args, 2, "sync") {
        Err(NO_SCRIPT_DEBUG)
    } else {
        Err(subcommand_syntax(&args[1], "SCRIPT"))
    }
}

/// `SCRIPT HELP`.
fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::help(
        "SCRIPT",
        &[
            "DEBUG (YES|SYNC|NO)",
            "    Set the debug mode for subsequent scripts executed.",
            "EXISTS <sha1> [<sha1> ...]",
            "    Return information about the existence of the scripts in the script cache.",
            "FLUSH [ASYNC|SYNC]",
            "    Flush the Lua scripts cache. Very dangerous on replicas.",
            "    When called without the optional mode argument, the behavior is determined by",
            "    the lazyfree-lazy-user-flush configuration directive. Valid modes are:",
            "    * ASYNC: Asynchronously flush the scripts cache.",
            "    * SYNC: Synchronously flush the scripts cache.",
            "KILL",
            "    Kill the currently executing Lua script.",
            "LOAD <script>",
            "    Load a script into the scripts cache without executing it.",
            "SHOW <sha1>",
            "    Return the body of a script.",
        ],
    )
    .into())
}
