//! `INFO`: sections of lines, as Redis has them (`server.c`, `genRedisInfoString`), and `coterie`
//! for the cluster behind the proxy. What does not exist here is left out rather than made up.

use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use coterie_protocol::catalog::{JobDescriptor, JobState};
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::{NodeDescriptor, NodeState};

use super::Call;
use crate::VERSION;
use crate::clients::Blocked;
use crate::shared::Shared;

/// The sections of `INFO` without arguments, in order.
const DEFAULT: [&str; 9] = [
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cpu",
    "cluster",
    "coterie",
];

/// `INFO [section ...]`.
pub(crate) async fn info(call: Call) -> Result<Reply, CommandError> {
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
        sections.push(commandstats(&call.shared));
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
        "memory" => memory(),
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
        "cpu" => cpu(),
        "cluster" => lines("Cluster", &[("cluster_enabled", "0".to_owned())]),
        _ => coterie(shared),
    }
}

fn lines(title: &str, pairs: &[(&str, String)]) -> String {
    let mut text = format!("# {title}\r\n");
    for (name, value) in pairs {
        text.push_str(&format!("{name}:{value}\r\n"));
    }
    text
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

fn memory() -> String {
    let resident = resident_bytes();
    lines(
        "Memory",
        &[
            ("used_memory", resident.to_string()),
            ("used_memory_human", human(resident)),
            ("used_memory_rss", resident.to_string()),
            ("used_memory_rss_human", human(resident)),
            ("maxmemory", "0".to_owned()),
            ("maxmemory_human", "0B".to_owned()),
            ("maxmemory_policy", "noeviction".to_owned()),
        ],
    )
}

fn human(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match UNITS.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{:.2}{unit}", bytes as f64 / *size as f64),
        None => format!("{bytes}B"),
    }
}

fn stats(shared: &Shared) -> String {
    let stats = &shared.stats;
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed).to_string();
    lines(
        "Stats",
        &[
            ("total_connections_received", load(&stats.connections)),
            ("total_commands_processed", load(&stats.commands)),
            (
                "instantaneous_ops_per_sec",
                stats.commands_per_second().to_string(),
            ),
            ("total_net_input_bytes", load(&stats.input_bytes)),
            ("total_net_output_bytes", load(&stats.output_bytes)),
            ("rejected_connections", load(&stats.rejected_connections)),
            ("total_error_replies", load(&stats.errors)),
            ("acl_access_denied_auth", load(&stats.auth_failures)),
        ],
    )
}

fn commandstats(shared: &Shared) -> String {
    let mut text = "# Commandstats\r\n".to_owned();
    for (name, calls) in shared.stats.calls() {
        text.push_str(&format!("cmdstat_{name}:calls={calls}\r\n"));
    }
    text
}

/// Seconds of processor time, of this process.
fn cpu() -> String {
    // Fields 14 and 15 of `stat`, in ticks of 10 ms; behind the name, which may hold blanks.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut ticks = rest
        .split_whitespace()
        .skip(11)
        .map(|word| word.parse::<f64>().unwrap_or(0.0));
    let (user, system) = (ticks.next().unwrap_or(0.0), ticks.next().unwrap_or(0.0));
    let seconds = |ticks: f64| format!("{:.6}", ticks / 100.0);
    lines(
        "CPU",
        &[
            ("used_cpu_sys", seconds(system)),
            ("used_cpu_user", seconds(user)),
        ],
    )
}

/// Bytes of this process in memory.
pub(super) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
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
async fn keyspace(call: &Call, asked: bool) -> Result<String, CommandError> {
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
        let counted = match asked {
            true => counts.of(&calls, table).await?,
            false => match counts.at_hand(&calls, table).await {
                Some(counted) => counted,
                None => continue,
            },
        };
        if counted.keys() > 0 {
            let keys = counted.keys();
            text.push_str(&format!("db{table}:keys={keys},expires=0,avg_ttl=0\r\n"));
        }
    }
    Ok(text)
}
