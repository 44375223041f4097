//! `MEMORY`, but for USAGE, which the key's group answers.

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply};

use super::info::ProcessMemory;
use super::{Answer, Handler, Local, Named, int};

pub(super) const HANDLERS: &[Named] = &[
    ("memory|doctor", Handler::Now(doctor)),
    ("memory|help", Handler::Now(help)),
    ("memory|malloc-stats", Handler::Now(malloc_stats)),
    ("memory|purge", Handler::Now(purge)),
    ("memory|stats", Handler::Now(stats)),
];

/// `MEMORY STATS`: the fields of Redis 7.2 with figures of the process. Memory that only Redis has
/// is 0, and so are keys: they are not in the proxy's memory. `INFO keyspace` counts them.
fn stats(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let clients = local.shared.clients.all();
    let buffers = clients.iter().map(|client| client.memory().total());
    let buffers = int(buffers.sum::<usize>() as u64);
    let memory = ProcessMemory::read();
    let resident = int(memory.resident);
    let none = || Reply::Integer(0);
    let one = || Reply::Double(1.0);
    let fields = [
        ("peak.allocated", int(memory.peak)),
        ("total.allocated", resident.clone()),
        ("startup.allocated", int(memory.at_start)),
        ("replication.backlog", none()),
        ("clients.slaves", none()),
        ("clients.normal", buffers),
        ("cluster.links", none()),
        ("aof.buffer", none()),
        ("lua.caches", none()),
        ("functions.caches", none()),
        ("overhead.total", resident.clone()),
        ("keys.count", none()),
        ("keys.bytes-per-key", none()),
        ("dataset.bytes", none()),
        ("dataset.percentage", Reply::Double(0.0)),
        ("peak.percentage", Reply::Double(memory.percent_of_peak())),
        ("allocator.allocated", resident.clone()),
        ("allocator.active", resident.clone()),
        ("allocator.resident", resident),
        ("allocator-fragmentation.ratio", one()),
        ("allocator-fragmentation.bytes", none()),
        ("allocator-rss.ratio", one()),
        ("allocator-rss.bytes", none()),
        ("rss-overhead.ratio", one()),
        ("rss-overhead.bytes", none()),
        ("fragmentation", one()),
        ("fragmentation.bytes", none()),
    ];
    let fields = fields.map(|(name, value)| (Reply::text(name), value));
    Ok(Reply::Map(fields.to_vec()).into())
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
