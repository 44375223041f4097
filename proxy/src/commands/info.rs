//! `INFO`: sections of lines, as Redis has them (`server.c`, `genRedisInfoString`), and `coterie`
//! for the cluster behind the proxy. Fields without a meaning here are left out rather than made
//! up.

mod calls;
mod lines;
mod process;
mod scripts;

use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use coterie_protocol::catalog::{JobDescriptor, JobState};
use coterie_protocol::pubsub::Kind;
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::{NodeDescriptor, NodeState};

use super::{Named, Remote};
use crate::VERSION;
use crate::clients::Blocked;
use crate::shared::Shared;

pub(super) const HANDLERS: &[Named] = &[("info", alone!(info))];

use lines::lines;

pub(super) use process::resident_bytes;

/// The sections of `INFO` without arguments, in order.
const DEFAULT: [&str; 10] = [
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cpu",
    "errorstats",
    "cluster",
    "coterie",
];

/// `INFO [section ...]`.
async fn info(call: Remote) -> Result<Reply, CommandError> {
    let wanted: Vec<_> = call.args[1..]
        .iter()
        .map(|word| word.to_ascii_lowercase())
        .collect();
    let everything = wanted.iter().any(|w| w == b"all" || w == b"everything");
    let default = wanted.is_empty() || everything || wanted.iter().any(|w| w == b"default");
    let asked = |section: &str| wanted.iter().any(|w| w == section.as_bytes());
    let mut sections = Vec::new();
    for section in DEFAULT {
        if default || asked(section) {
            sections.push(write(&call.shared, section));
        }
    }
    if everything || asked("commandstats") {
        sections.push(calls::commandstats(&call.shared));
    }
    if everything || asked("latencystats") {
        sections.push(calls::latencystats(&call.shared));
    }
    if default || asked("keyspace") {
        sections.push(keyspace(&call, everything || asked("keyspace")).await?);
    }
    Ok(super::verbatim(sections.join("\r\n")))
}

fn write(shared: &Shared, section: &str) -> String {
    match section {
        "server" => server(shared),
        "clients" => clients(shared),
        "memory" => process::memory() + &scripts::lines(shared),
        "persistence" => lines(
            "Persistence",
            &[(
                "loading",
                u64::from(shared.router.cache.load().is_empty()).to_string(),
            )],
        ),
        "stats" => stats(shared),
        "replication" => lines(
            "Replication",
            &[
                ("role", "master".to_owned()),
                ("connected_slaves", "0".to_owned()),
                ("master_replid", shared.run_id.clone()),
                ("master_repl_offset", "0".to_owned()),
            ],
        ),
        "cpu" => process::cpu(),
        "errorstats" => calls::errorstats(shared),
        "cluster" => lines("Cluster", &[("cluster_enabled", "0".to_owned())]),
        _ => coterie(shared),
    }
}

fn server(shared: &Shared) -> String {
    let uptime = shared.started.elapsed().as_secs();
    let started = shared
        .started_at
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    lines(
        "Server",
        &[
            ("redis_version", VERSION.to_owned()),
            ("coterie_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("redis_mode", "standalone".to_owned()),
            ("os", std::env::consts::OS.to_owned()),
            ("arch_bits", usize::BITS.to_string()),
            ("process_id", std::process::id().to_string()),
            ("run_id", shared.run_id.clone()),
            ("tcp_port", shared.addr.port().to_string()),
            (
                "server_time_usec",
                (started.as_micros() as u64 + uptime * 1_000_000).to_string(),
            ),
            ("uptime_in_seconds", uptime.to_string()),
            ("uptime_in_days", (uptime / 86_400).to_string()),
        ],
    )
}

/// The clients of this proxy. No client waits for a key, and none is of a cluster's bus.
fn clients(shared: &Shared) -> String {
    let all = shared.clients.all();
    let blocked: Vec<_> = all
        .iter()
        .filter_map(|client| client.details().blocked)
        .collect();
    let timed = blocked.iter().filter(|blocked| **blocked == Blocked::Timed);
    let peak = shared.clients.recent_peak();
    let maxclients = shared.settings.maxclients.load(Ordering::Relaxed);
    let pairs = [
        ("connected_clients", all.len() as u64),
        ("cluster_connections", 0),
        ("maxclients", maxclients),
        ("client_recent_max_input_buffer", peak.input_bytes as u64),
        ("client_recent_max_output_buffer", peak.output_bytes as u64),
        ("blocked_clients", blocked.len() as u64),
        ("tracking_clients", 0),
        ("clients_in_timeout_table", timed.count() as u64),
        ("total_blocking_keys", 0),
        ("total_blocking_keys_on_nokey", 0),
    ];
    lines(
        "Clients",
        &pairs.map(|(name, value)| (name, value.to_string())),
    )
}

fn stats(shared: &Shared) -> String {
    let stats = &shared.stats;
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed).to_string();
    let rates = stats.rates();
    let kilobytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    let found = stats.calls.lookups();
    lines(
        "Stats",
        &[
            ("total_connections_received", load(&stats.connections)),
            ("total_commands_processed", load(&stats.commands)),
            ("instantaneous_ops_per_sec", rates.commands.to_string()),
            ("total_net_input_bytes", load(&stats.input_bytes)),
            ("total_net_output_bytes", load(&stats.output_bytes)),
            ("instantaneous_input_kbps", kilobytes(rates.input_bytes)),
            ("instantaneous_output_kbps", kilobytes(rates.output_bytes)),
            ("rejected_connections", load(&stats.rejected_connections)),
            // Nothing is ever evicted.
            ("evicted_keys", "0".to_owned()),
            ("keyspace_hits", found.hits.to_string()),
            ("keyspace_misses", found.misses.to_string()),
            (
                "pubsub_channels",
                shared.pubsub.names(Kind::Channel).to_string(),
            ),
            (
                "pubsub_patterns",
                shared.pubsub.names(Kind::Pattern).to_string(),
            ),
            (
                "pubsubshard_channels",
                shared.pubsub.names(Kind::Shard).to_string(),
            ),
            ("total_error_replies", stats.errors.total().to_string()),
            ("acl_access_denied_auth", load(&stats.auth_failures)),
            ("acl_access_denied_cmd", load(&stats.denied_commands)),
            ("acl_access_denied_key", load(&stats.denied_keys)),
            ("acl_access_denied_channel", load(&stats.denied_channels)),
        ],
    )
}

fn coterie(shared: &Shared) -> String {
    let catalog = shared.catalog();
    let (revision, ranges) = (catalog.revision, catalog.ranges.len());
    let up = |node: &&NodeDescriptor| node.state == NodeState::Up;
    let nodes_up = catalog.nodes.values().filter(up).count();
    let running = |job: &&JobDescriptor| job.state == JobState::Running;
    let jobs: Vec<_> = catalog.jobs.values().filter(running).collect();
    let copying = jobs.iter().filter(|job| job.progress.is_some()).count();
    lines(
        "Coterie",
        &[
            ("cluster_id", format!("{:032x}", catalog.cluster_id)),
            ("catalog_revision", revision.to_string()),
            ("nodes", catalog.nodes.len().to_string()),
            ("nodes_up", nodes_up.to_string()),
            ("groups", catalog.groups.len().to_string()),
            ("tables", catalog.tables.len().to_string()),
            ("ranges", ranges.to_string()),
            ("jobs_running", jobs.len().to_string()),
            ("jobs_copying", copying.to_string()),
            ("retries", shared.metrics.retries.get().to_string()),
            ("moved", shared.metrics.moved.get().to_string()),
            ("moving", shared.metrics.moving.get().to_string()),
        ],
    )
}

/// Keys per database. How many expire is not counted, and given as 0, as parsers want the field.
async fn keyspace(call: &Remote, asked: bool) -> Result<String, CommandError> {
    let mut text = "# Keyspace\r\n".to_owned();
    let map = call.shared.router.cache.load();
    let tables = map
        .tables()
        .into_iter()
        .filter(|t| t.0 < coterie_redis_compat::DATABASES);
    let calls = call.calls();
    for table in tables {
        let counts = &call.shared.key_counts;
        // Clients ask INFO as they connect: without asking for the keyspace they wait for no count.
        let counted = if asked {
            counts.of(&calls, table).await?
        } else if let Some(counted) = counts.at_hand(&calls, table).await {
            counted
        } else {
            continue;
        };
        if counted.keys() > 0 {
            let keys = counted.keys();
            text.push_str(&format!("db{table}:keys={keys},expires=0,avg_ttl=0\r\n"));
        }
    }
    Ok(text)
}
