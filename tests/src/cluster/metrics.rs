//! The metrics that a process serves at `/metrics`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Cluster, Role};
use crate::wait;

const WITHIN: Duration = Duration::from_secs(5);

/// The metrics of a process at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// The values by name and labels, as in the text.
    series: BTreeMap<String, f64>,
    /// The names of the gauges, which may fall as well as rise.
    gauges: Vec<String>,
    /// The names of all metrics, as Prometheus shows them, also of metrics without a value.
    names: BTreeSet<String>,
}

impl Metrics {
    fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines() {
            if let Some(described) = line.strip_prefix("# TYPE ") {
                let gauge = described.strip_suffix(" gauge");
                metrics.gauges.extend(gauge.map(str::to_owned));
                let (name, kind) = described.split_once(' ').unwrap_or((described, ""));
                let total = if kind == "counter" { "_total" } else { "" };
                metrics.names.insert(format!("{name}{total}"));
            } else if let Some((name, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse()
            {
                metrics.series.insert(name.to_owned(), value);
            }
        }
        metrics
    }

    /// The sum of a metric over its labels.
    pub fn sum(&self, name: &str) -> anyhow::Result<f64> {
        let of_name = self.series.iter().filter(|(key, _)| bare(key) == name);
        let values: Vec<f64> = of_name.map(|(_, value)| *value).collect();
        ensure!(!values.is_empty(), "no metric {name}");
        Ok(values.iter().sum())
    }

    /// The names of all metrics, as Prometheus shows them.
    #[must_use]
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Each gauge, summed over its labels.
    #[must_use]
    pub fn gauges(&self) -> BTreeMap<String, f64> {
        let names = self.gauges.iter();
        let sums = names.filter_map(|name| Some((name.clone(), self.sum(name).ok()?)));
        sums.collect()
    }
}

/// The name of a series without its labels.
fn bare(series: &str) -> &str {
    series.split_once('{').map_or(series, |(name, _)| name)
}

fn read(addr: &str) -> anyhow::Result<Metrics> {
    let mut stream = TcpStream::connect(addr).with_context(|| format!("connect to {addr}"))?;
    stream.set_read_timeout(Some(WITHIN))?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text).context("read /metrics")?;
    ensure!(text.starts_with("HTTP/1.1 200"), "{addr} answered: {text}");
    Ok(Metrics::parse(&text))
}

impl Cluster {
    /// The metrics of a process.
    pub fn metrics(&self, name: &str) -> anyhow::Result<Metrics> {
        let member = self.member(name);
        // A controller's only port serves HTTP.
        let http = member.http.as_ref().unwrap_or(&member.port);
        read(&http.addr()).with_context(|| format!("the metrics of {name}"))
    }

    /// The sum of a metric over the processes of a role and over its labels.
    pub fn metric(&self, role: Role, metric: &str) -> anyhow::Result<f64> {
        let names = self.names(role);
        let values = names.iter().map(|name| self.metrics(name)?.sum(metric));
        values.sum()
    }

    /// The name of the meta that leads. An error while no meta reports that it leads.
    pub fn meta_leader(&self) -> anyhow::Result<String> {
        let leads = |name: &String| {
            let is_leader = self
                .metrics(name)
                .and_then(|m| m.sum("coterie_meta_is_leader"));
            is_leader.is_ok_and(|is| is == 1.0)
        };
        let leader = self.names(Role::Meta).into_iter().find(leads);
        leader.context("no meta leads")
    }

    /// Waits until no store compacts: earlier writes have reached their final files.
    pub fn wait_until_compacted(&self, within: Duration) -> anyhow::Result<()> {
        wait::until("compactions are over", within, || {
            for name in ["compactions_running", "compaction_debt_bytes"] {
                let left = self.metric(Role::Server, &format!("coterie_server_{name}"))?;
                ensure!(left == 0.0, "{name}: {left}");
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_added_up_and_gauges_told_from_counters() {
        let text = "HTTP/1.1 200 OK\r\n\r\n# HELP a_reads Reads.\n# TYPE a_reads counter\n\
            a_reads_total{group_id=\"1\"} 3\na_reads_total{group_id=\"2\"} 4\n\
            # TYPE a_clients gauge\na_clients 2\na_clients_more 9\n# EOF\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.sum("a_reads_total").expect("is there"), 7.0);
        assert!(metrics.sum("a_reads").is_err());
        let gauges = BTreeMap::from([("a_clients".to_owned(), 2.0)]);
        assert_eq!(metrics.gauges(), gauges);
        let names = ["a_clients", "a_reads_total"].map(str::to_owned);
        assert_eq!(*metrics.names(), BTreeSet::from(names));
    }
}
