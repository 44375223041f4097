//! Coterie: three servers with fsync on, three replicas of each group, a proxy, a controller.

use std::time::Duration;

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::connection::Connection;
use coterie_tests::resp::Reply;
use coterie_tests::rng::Rng;
use coterie_tests::wait;

use super::peer::Peer;
use crate::load::{self, Data};
use crate::plan::Settings;
use crate::raw::Overhead;
use crate::{cpu, disk};

const KEY_BYTES: usize = 16;

/// How long a cluster may take until it has followed a command.
pub(crate) const START_WITHIN: Duration = Duration::from_secs(60);

const FLUSH_WITHIN: Duration = Duration::from_secs(120);

const STOP_WITHIN: Duration = Duration::from_secs(60);

/// Starts the cluster.
pub(super) fn start(settings: &Settings, balance: bool) -> anyhow::Result<Peer> {
    Ok(Peer::Coterie(Box::new(cluster(settings, balance)?)))
}

fn cluster(settings: &Settings, balance: bool) -> anyhow::Result<Cluster> {
    let binary = &settings.coterie;
    ensure!(
        binary.is_file(),
        "no coterie binary at {}; see --coterie",
        binary.display()
    );
    let split_at: Vec<&str> = settings.split_at.iter().map(String::as_str).collect();
    let server_flags: Vec<&str> = settings.server_flags.iter().map(String::as_str).collect();
    let proxy_flags: Vec<&str> = settings.proxy_flags.iter().map(String::as_str).collect();
    let cluster = Cluster::builder()
        .binary(binary.clone())
        .count(Role::Meta, settings.metas)
        .split_at(&split_at)
        .flags(Role::Server, &server_flags)
        .flags(Role::Proxy, &proxy_flags)
        .start()
        .context("start the cluster")?;
    if !balance {
        cluster.hold_still(START_WITHIN)?;
    }
    Ok(cluster)
}

/// The processes, by role.
pub(super) fn processes(cluster: &mut Cluster) -> Vec<cpu::Process> {
    let mut processes = Vec::new();
    for role in Role::ALL {
        for name in cluster.names(role) {
            if let Some(pid) = cluster.process(&name).pid() {
                processes.push(cpu::Process {
                    role: role.name().to_owned(),
                    pid,
                });
            }
        }
    }
    processes
}

/// Fills a cluster of its own, each key once, waits until its stores have flushed all of it, and
/// adds up the tables of a server. The log is left out: it is bounded, and purged as stores flush.
pub(crate) fn bytes_per_record(settings: &Settings) -> anyhow::Result<Overhead> {
    let records = settings.disk_records;
    let data = Data::new(records, settings.value_bytes);
    let mut settings = settings.clone();
    settings
        .server_flags
        .extend(["--flush-interval".to_owned(), "1s".to_owned()]);
    let mut cluster = cluster(&settings, false)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Random bytes, so that neither a common prefix nor compression makes keys small.
    let key = |nth: usize| {
        let mut rng = Rng::new(nth as u64);
        rng.bytes(KEY_BYTES)
    };
    runtime.block_on(load::resp::fill(&cluster.proxy(), &data, key))?;
    let proxy = cluster.proxy();
    wait::until("the stores flush", FLUSH_WITHIN, || all_flushed(&proxy))?;
    let server = cluster.names(Role::Server).swap_remove(0);
    cluster.process(&server).terminate(STOP_WITHIN)?;
    let tables = disk::bytes(cluster.dir(&server), &|name| name.ends_with(".sst"))?;
    let key_and_value_bytes = KEY_BYTES + settings.value_bytes;
    let bytes_per_record = tables as f64 / records as f64 - key_and_value_bytes as f64;
    ensure!(
        bytes_per_record > 0.0,
        "the tables of {server} take only {tables} bytes"
    );
    Ok(Overhead {
        records,
        key_and_value_bytes,
        bytes_per_record,
        how: "all tables of one server, random keys and values, compressed as always".to_owned(),
    })
}

/// Fails while `COTERIE GROUPS` shows a replica whose store lacks entries of its log.
fn all_flushed(proxy: &str) -> anyhow::Result<()> {
    let groups = Connection::open(proxy, STOP_WITHIN)?.call(&["COTERIE", "GROUPS"])?;
    for group in groups.elements() {
        let replicas = group
            .field("replicas")
            .map(Reply::elements)
            .unwrap_or_default();
        ensure!(!replicas.is_empty(), "no replicas in {group:?}");
        for replica in replicas {
            let (last, flushed) = (replica.field("last_index"), replica.field("flushed_index"));
            ensure!(
                last.is_some() && last == flushed,
                "flushed {flushed:?} of {last:?}"
            );
        }
    }
    Ok(())
}
