//! `MEMORY`, but for USAGE, which the key's group answers.

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply};

use super::info::resident_bytes;
use super::{Answer, Handler, Local, Named, int};

pub(super) const HANDLERS: &[Named] = &[
    ("memory|doctor", Handler::Now(doctor)),
    ("memory|help", Handler::Now(help)),
    ("memory|malloc-stats", Handler::Now(malloc_stats)),
    ("memory|purge", Handler::Now(purge)),
    ("memory|stats", Handler::Now(stats)),
];

/// `MEMORY STATS`: figures of the process; the allocator's own figures are unknown.
fn stats(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let clients = local.shared.clients.all();
    let buffers = clients.iter().map(|client| client.memory().total());
    let buffers: usize = buffers.sum();
    let pair = |name, value| (Reply::text(name), value);
    Ok(Reply::Map(vec![
        pair("total.allocated", int(resident_bytes())),
        pair("clients.normal", int(buffers as u64)),
        pair("keys.count", Reply::Integer(0)),
    ])
    .into())
}

/// `MEMORY DOCTOR`.
fn doctor(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let text = "The proxy keeps no data: its memory is the buffers of its clients.";
    Ok(super::verbatim(text).into())
}

/// `MEMORY PURGE`.
fn purge(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::OK.into())
}

/// `MEMORY MALLOC-STATS`.
fn malloc_stats(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::text("Stats not supported for the current allocator").into())
}

/// `MEMORY HELP`.
fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::help(
        "MEMORY",
        &[
            "DOCTOR",
            "    Return memory problems reports.",
            "MALLOC-STATS",
            "    Return internal statistics report from the memory allocator.",
            "PURGE",
            "    Attempt to purge dirty pages for reclamation by the allocator.",
            "STATS",
            "    Return information about the memory usage of the server.",
            "USAGE <key> [SAMPLES <count>]",
            "    Return memory in bytes used by <key> and its value. Nested values are",
            "    sampled up to <count> times (default: 5, 0 means sample all).",
        ],
    )
    .into())
}
