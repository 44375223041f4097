//! Publish and subscribe: subscribers over two proxies that all get every message, and publishers
//! that publish at a rate. Tells whether any message was lost or came out of order, and how long
//! messages took; beside a redis-server with the same subscribers.
//!
//! A message carries its publisher, its number and the time of its publication, so each subscriber
//! checks the order by itself.

mod load;
mod settings;

use std::fmt;

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::redis_server::RedisServer;
use coterie_tests::vitals;
use serde::Serialize;
use tempfile::TempDir;

use crate::origin::Origin;
use crate::peers::START_WITHIN;
use crate::report::publish;
use load::Seen;
use settings::Peer;
pub(crate) use settings::Settings;

/// A peer under the load.
#[derive(Debug, Clone, Serialize)]
struct Figure {
    peer: String,
    subscribers: usize,
    /// Messages published in a second, as far as the peer took them.
    published_per_second: f64,
    delivered_per_second: f64,
    lost: u64,
    out_of_order: u64,
    p50_us: u64,
    p99_us: u64,
    most_us: u64,
    /// Receivers that replies to PUBLISH told, too few or too many.
    wrong_counts: u64,
    /// CPU time of the server side for a delivery.
    cpu_us_per_delivery: f64,
}

impl Figure {
    fn new(peer: &str, settings: &Settings, seen: &Seen, cpu_us: u64) -> Self {
        let latency = |quantile| seen.latency.value_at_quantile(quantile);
        Self {
            peer: peer.to_owned(),
            subscribers: settings.subscribers,
            published_per_second: seen.published as f64 / seen.publishing.as_secs_f64(),
            delivered_per_second: seen.delivered as f64 / seen.took.as_secs_f64(),
            lost: (seen.published * settings.subscribers as u64).saturating_sub(seen.delivered),
            out_of_order: seen.out_of_order,
            p50_us: latency(0.5),
            p99_us: latency(0.99),
            most_us: seen.latency.max(),
            wrong_counts: seen.wrong_counts,
            cpu_us_per_delivery: cpu_us as f64 / (seen.delivered as f64).max(1.0),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} subscribers, {:.0} messages/s, {:.0} deliveries/s; lost {}, out of order {}, \
             wrong counts {}; p50 {} us, p99 {} us, max {} us; {:.2} us CPU per delivery",
            self.peer,
            self.subscribers,
            self.published_per_second,
            self.delivered_per_second,
            self.lost,
            self.out_of_order,
            self.wrong_counts,
            self.p50_us,
            self.p99_us,
            self.most_us,
            self.cpu_us_per_delivery,
        )
    }
}

/// All figures.
#[derive(Debug, Serialize)]
struct Report {
    origin: Origin,
    settings: Settings,
    figures: Vec<Figure>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.origin)?;
        for figure in &self.figures {
            writeln!(f, "{figure}")?;
        }
        Ok(())
    }
}

/// Measures the peers and prints the report.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    ensure!(
        settings.message_bytes >= load::HEAD_BYTES,
        "--message-bytes is too small"
    );
    let mut figures = Vec::new();
    if settings.at.is_empty() {
        for peer in &settings.peers {
            figures.push(measure(*peer, settings)?);
        }
    } else {
        let seen = load::run(&settings.at, settings)?;
        figures.push(Figure::new("running proxies", settings, &seen, 0));
    }
    for figure in &figures {
        eprintln!("{figure}");
    }
    let report = Report {
        origin: Origin::look(),
        settings: settings.clone(),
        figures,
    };
    publish(&report, settings.json.as_deref())
}

fn measure(peer: Peer, settings: &Settings) -> anyhow::Result<Figure> {
    match peer {
        Peer::Redis => {
            let dir: TempDir = tempfile::Builder::new()
                .prefix("coterie-bench-")
                .tempdir()?;
            // As many clients as Coterie's proxies take, and the same limit of a subscriber.
            let server = RedisServer::start(dir.path(), "redis", &["--maxclients", "15000"])?;
            let pid = server.process.pid().context("redis-server has ended")?;
            let before = micros(pid)?;
            let seen = load::run(&[server.addr()], settings)?;
            let used = micros(pid)?.saturating_sub(before);
            Ok(Figure::new("redis", settings, &seen, used))
        }
        Peer::Coterie => {
            let binary = &settings.coterie;
            let path = binary.display();
            ensure!(
                binary.is_file(),
                "no coterie binary at {path}; see --coterie"
            );
            let cluster = Cluster::builder()
                .binary(binary.clone())
                .count(Role::Meta, 1)
                .count(Role::Proxy, 2)
                .start()
                .context("start the cluster")?;
            cluster.hold_still(START_WITHIN)?;
            let used = || -> anyhow::Result<u64> {
                let pids = cluster.pids()?;
                pids.values().map(|pid| micros(*pid)).sum()
            };
            let before = used()?;
            let seen = load::run(&cluster.proxies(), settings)?;
            let used = used()?.saturating_sub(before);
            Ok(Figure::new("coterie", settings, &seen, used))
        }
    }
}

/// CPU time that a process has used.
fn micros(pid: u32) -> anyhow::Result<u64> {
    let look = vitals::of(pid).context("a process is gone")?;
    Ok(u64::try_from(look.cpu.as_micros()).unwrap_or(u64::MAX))
}
