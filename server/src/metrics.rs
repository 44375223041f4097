//! Metrics of a server for Prometheus, read from the replicas at each scrape.

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use coterie_storage::RecordCache;
use coterie_telemetry::prometheus_client::collector::Collector;
use coterie_telemetry::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use coterie_telemetry::prometheus_client::metrics::counter::ConstCounter;
use coterie_telemetry::prometheus_client::metrics::gauge::ConstGauge;

use crate::node::Node;
use crate::replica::{Replica, Shared};

/// A gauge of each replica: its name (`coterie_server_` is put before it), its help, and its value.
/// Labelled by `group_id`: groups per node are tens.
type Family = (
    &'static str,
    &'static str,
    fn(&coterie_protocol::server::ReplicaStatus) -> i64,
);

const GAUGES: [Family; 8] = [
    ("replica_applied_index", "Last entry applied.", |s| {
        i64::try_from(s.applied_index.0).unwrap_or(i64::MAX)
    }),
    ("replica_last_index", "Last entry in the log.", |s| {
        i64::try_from(s.last_index.0).unwrap_or(i64::MAX)
    }),
    (
        "replica_flushed_index",
        "Last entry durable in the store.",
        |s| i64::try_from(s.flushed_index.0).unwrap_or(i64::MAX),
    ),
    ("replica_size_bytes", "Bytes of the store on disk.", |s| {
        i64::try_from(s.size_bytes).unwrap_or(i64::MAX)
    }),
    ("replica_serving", "1 when it leads and serves.", |s| {
        i64::from(s.serving)
    }),
    (
        "replica_faulty",
        "1 when it stopped for a fault of its own.",
        |s| i64::from(s.fault.is_some()),
    ),
    (
        "replica_importing_ranges",
        "Ranges of which not all records have arrived.",
        |s| i64::try_from(s.importing.len()).unwrap_or(i64::MAX),
    ),
    (
        "replica_frozen_ranges",
        "Ranges that were handed off and are still held for their new owners.",
        |s| i64::try_from(s.frozen.len()).unwrap_or(i64::MAX),
    ),
];

/// A counter of each replica: its name, its help, and its place.
type Counted = (&'static str, &'static str, fn(&Shared) -> &AtomicU64);

/// Counters of each replica since its process started.
const COUNTERS: [Counted; 7] = [
    ("reads", "Read commands served.", |s| &s.reads_total),
    ("writes", "Frames applied for proxies.", |s| &s.writes_total),
    (
        "frames_put_off",
        "Frames that waited for a further log entry, as theirs had changed enough.",
        |s| &s.put_off_total,
    ),
    (
        "script_reruns",
        "Frames with scripts that were run again, as the state had changed meanwhile.",
        |s| &s.script_reruns_total,
    ),
    (
        "reclaimed_elements",
        "Elements without a header that were removed.",
        |s| &s.garbage.elements_total,
    ),
    (
        "reclaimed_bytes",
        "Bytes of elements without a header that were removed.",
        |s| &s.garbage.bytes_total,
    ),
    (
        "reclaim_milliseconds",
        "Milliseconds spent looking for elements without a header, pauses included.",
        |s| &s.garbage.millis_total,
    ),
];

/// Collects from a node for as long as the node exists.
#[derive(Debug)]
pub(crate) struct NodeCollector(pub(crate) Weak<Node>);

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {}", self.node_id)
    }
}

impl Collector for NodeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(node) = self.0.upgrade() else {
            return Ok(());
        };
        encode_replicas(&node, &mut encoder)?;
        encode_counters(&node, &mut encoder)?;
        encode_gauges(&node, &mut encoder)
    }
}

fn encode_replicas(
    node: &Node,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let replicas = node.replicas();
    let statuses: Vec<_> = replicas.iter().map(Replica::status).collect();
    for (name, help, value) in GAUGES {
        let gauge = ConstGauge::new(0i64);
        let mut family = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
        for status in &statuses {
            let labels = [("group_id", status.group_id.to_string())];
            ConstGauge::new(value(status)).encode(family.encode_family(&labels)?)?;
        }
    }
    for (name, help, value) in COUNTERS {
        let counter = ConstCounter::new(0u64);
        let mut family = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
        for replica in &replicas {
            let labels = [("group_id", replica.group.id().to_string())];
            let total = value(&replica.shared).load(Ordering::Relaxed);
            ConstCounter::new(total).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_counters(
    node: &Node,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let records = node.settings.rocks.records();
    let scripts = &node.settings.scripts;
    for (name, help, value) in [
        (
            "record_cache_hits",
            "Reads of one record that found it in memory.",
            records.map_or(0, RecordCache::hits),
        ),
        (
            "scripts",
            "Scripts and functions that have ended.",
            scripts.runs_total.load(Ordering::Relaxed),
        ),
        (
            "script_microseconds",
            "Microseconds that scripts and functions took.",
            scripts.run_micros_total.load(Ordering::Relaxed),
        ),
        (
            "scripts_killed",
            "Scripts and functions that were ended from outside.",
            scripts.killed_total.load(Ordering::Relaxed),
        ),
        (
            "waits_served",
            "Frames that waited for data and were served.",
            node.replicas()
                .iter()
                .map(|replica| replica.waits().1)
                .sum(),
        ),
        (
            "record_cache_misses",
            "Reads of one record that searched the store.",
            records.map_or(0, RecordCache::misses),
        ),
    ] {
        let counter = ConstCounter::new(value);
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
    }
    Ok(())
}

fn encode_gauges(node: &Node, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
    let records = node.settings.rocks.records();
    let stores = || {
        node.replicas()
            .into_iter()
            .filter_map(|r| r.store().upgrade())
    };
    for (name, help, value) in [
        (
            "compactions_running",
            "Compactions of all stores that run now.",
            stores().map(|store| store.compactions()).sum(),
        ),
        (
            "compaction_debt_bytes",
            "Bytes that compactions of all stores still have to rewrite, about.",
            stores().map(|store| store.compaction_debt_bytes()).sum(),
        ),
        (
            "record_cache_bytes",
            "Bytes of records in memory, with what keeping them takes, about.",
            records.map_or(0, RecordCache::bytes),
        ),
        (
            "reply_bytes",
            "Bytes of long replies that are being made or have not left yet.",
            node.settings.replies.used() as u64,
        ),
        (
            "replies_waiting",
            "Reads that wait until there is room for their replies.",
            node.settings.replies.waiting() as u64,
        ),
        (
            "waiting_frames",
            "Frames that wait for data.",
            node.replicas()
                .iter()
                .map(|replica| replica.waits().0 as u64)
                .sum(),
        ),
        (
            "disk_free_bytes",
            "Free bytes of the file system.",
            node.disk.free_bytes(),
        ),
        (
            "log_size_bytes",
            "Bytes of the log of all groups.",
            node.raft.log_size_bytes(),
        ),
    ] {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
    }
    Ok(())
}
