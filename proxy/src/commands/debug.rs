//! `DEBUG` (Redis `debug.c`): subcommands that tests need and that harm nobody. Without
//! `--enable-debug-command` it is refused, as by Redis.
//!
//! `SLEEP` holds its own connection, not the proxy. Switches of Redis' inner workings that have no
//! counterpart here answer OK. Subcommands that crash a server, or print Redis' memory, are
//! refused.

mod protocol;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coterie_redis_compat::errors::{DEBUG_NOT_ALLOWED, DEBUG_REFUSED, NO_SUCH_KEY, SYNTAX};
use coterie_redis_compat::{CommandError, Reply, Resp};

use super::{Named, Remote};
use crate::Allowed;
use crate::conn::bulk;
use crate::fanout::{Calls, unreadable};

pub(super) const HANDLERS: &[Named] = &[("debug", alone!(debug))];

/// Subcommands that change nothing here: their names, and the fewest and most words of each.
const HARMLESS: &[(&str, usize, usize)] = &[
    ("aof-flush-sleep", 3, 3),
    ("change-repl-id", 2, 2),
    ("config-rewrite-force-all", 2, 2),
    ("listpack", 3, 3),
    ("loadaof", 2, 2),
    ("pause-cron", 3, 3),
    ("quicklist", 3, 4),
    ("quicklist-packed-threshold", 3, 3),
    ("replybuffer", 4, 4),
    ("set-active-expire", 3, 3),
    ("set-disable-deny-scripts", 3, 3),
    ("set-skip-checksum-validation", 3, 3),
    ("stringmatch-len", 4, 4),
    ("stringmatch-test", 2, 2),
];

/// Subcommands that are not offered.
const REFUSED: &[&str] = &[
    "assert",
    "client-eviction",
    "clusterlink",
    "crash-and-recover",
    "digest",
    "digest-value",
    "drop-cluster-packet-filter",
    "jmap",
    "leak",
    "mallctl",
    "mallctl-str",
    "oom",
    "panic",
    "populate",
    "replicate",
    "restart",
    "sdslen",
    "segfault",
    "structsize",
];

/// `DEBUG subcommand ...`.
async fn debug(call: Remote) -> Result<Reply, CommandError> {
    let is_local = call.client.addr.ip().to_canonical().is_loopback();
    match call.shared.settings.debug_command {
        Allowed::Yes => {}
        Allowed::Local if is_local => {}
        Allowed::Local | Allowed::No => return Err(DEBUG_NOT_ALLOWED),
    }
    let words = call.args.len();
    let subcommand = call.args[1].to_ascii_lowercase();
    match subcommand.as_slice() {
        b"sleep" if words == 3 => Ok(sleep(&call.args[2]).await),
        b"help" if words == 2 => Ok(help()),
        b"error" if words == 3 => Ok(Reply::Error(call.args[2].clone())),
        b"log" if words == 3 => {
            let message = String::from_utf8_lossy(&call.args[2]).into_owned();
            tracing::info!(client = call.client.id, message, "DEBUG LOG");
            Ok(Reply::OK)
        }
        b"protocol" if words == 3 => protocol::of_type(&call.args[2], call.resp),
        b"object" if words == 3 => object(&call).await,
        b"reload" => reload(&call),
        b"htstats" | b"htstats-key" if words == 3 => {
            let text = "Keys are kept in key order, and not in hash tables.\n";
            Ok(super::verbatim(text))
        }
        name => match std::str::from_utf8(name) {
            Ok(name) if is_harmless(name, words) => Ok(Reply::OK),
            Ok(name) if REFUSED.contains(&name) => Err(DEBUG_REFUSED),
            _ => Err(super::subcommand_syntax(&call.args[1], "DEBUG")),
        },
    }
}

fn is_harmless(name: &str, words: usize) -> bool {
    let mut harmless = HARMLESS.iter();
    harmless.any(|(known, least, most)| *known == name && (*least..=*most).contains(&words))
}

/// `DEBUG SLEEP seconds`.
async fn sleep(seconds: &Bytes) -> Reply {
    // A word that is no number is 0, as to C's `strtod`.
    let seconds = std::str::from_utf8(seconds).unwrap_or_default();
    let seconds: f64 = seconds.parse().unwrap_or(0.0);
    let seconds = if seconds.is_finite() { seconds } else { 0.0 };
    tokio::time::sleep(Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0))).await;
    Reply::OK
}

/// `DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE]`: what was acknowledged is on disk, and is read from
/// there.
fn reload(call: &Remote) -> Result<Reply, CommandError> {
    let known = ["merge", "noflush", "nosave"];
    let mut options = 2..call.args.len();
    if options.all(|at| known.iter().any(|word| call.is(at, word))) {
        Ok(Reply::OK)
    } else {
        Err(SYNTAX)
    }
}

/// `DEBUG OBJECT key`: the line of Redis, with the encoding and the length of the payload of DUMP.
async fn object(call: &Remote) -> Result<Reply, CommandError> {
    let calls = Calls::new(Arc::clone(&call.shared.router), Resp::V2, call.deadline);
    let key = &call.args[2];
    let encoding = [&b"object"[..], b"encoding", key];
    let encoding = of_key(&calls, call, &encoding).await?.ok_or(NO_SUCH_KEY)?;
    let payload = of_key(&calls, call, &[b"dump", key])
        .await?
        .ok_or(NO_SUCH_KEY)?;
    // Behind the value are two bytes of a version and eight of a checksum, before it its type.
    let length = payload.len().saturating_sub(11);
    let encoding = String::from_utf8_lossy(&encoding);
    Ok(Reply::Simple(
        format!(
            "Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{length} lru:0 \
             lru_seconds_idle:0"
        )
        .into(),
    ))
}

/// The reply of the key's group to a command that reads it.
async fn of_key(
    calls: &Calls,
    call: &Remote,
    words: &[&[u8]],
) -> Result<Option<Bytes>, CommandError> {
    let key = &call.args[2];
    let mut behind = key.to_vec();
    behind.push(0);
    let interval = (key.clone(), Some(Bytes::from(behind)));
    let words: Vec<_> = words
        .iter()
        .map(|word| Bytes::copy_from_slice(word))
        .collect();
    let words = |_, _| words.clone();
    let (_, reply) = calls.first(call.table, interval, true, &words).await?;
    bulk(&reply).ok_or_else(unreadable)
}

fn help() -> Reply {
    Reply::help(
        "DEBUG",
        &[
            "ERROR <string>",
            "    Return a Redis protocol error with <string> as message. Useful for clients",
            "    unit tests to simulate Redis errors.",
            "LOG <message>",
            "    Write <message> to the server log.",
            "OBJECT <key>",
            "    Show low level info about `key` and associated value.",
            "PROTOCOL <type>",
            "    Reply with a test value of the specified type. <type> can be: string,",
            "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
            "    true, false.",
            "RELOAD [option ...]",
            "    Answer OK: acknowledged writes are on disk.",
            "SLEEP <seconds>",
            "    Stop this connection for <seconds>. Decimals allowed.",
        ],
    )
}
