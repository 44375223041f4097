//! What a process says of itself at `/metrics`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Cluster, Role};
use crate::wait;

const WITHIN: Duration = Duration::from_secs(5);

/// All metrics of a process, a line each.
fn metrics(addr: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(addr).with_context(|| format!("connect to {addr}"))?;
    stream.set_read_timeout(Some(WITHIN))?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text).context("read /metrics")?;
    ensure!(text.starts_with("HTTP/1.1 200"), "{addr} answered: {text}");
    Ok(text)
}

/// The value of a metric without labels.
fn gauge(addr: &str, name: &str) -> anyhow::Result<f64> {
    let text = metrics(addr)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.with_context(|| format!("no {name} at {addr}"))?;
    Ok(value.trim().parse()?)
}

impl Cluster {
    /// The name of the meta that leads. Fails while none says so.
    pub fn meta_leader(&self) -> anyhow::Result<String> {
        let metas = self.members.iter().filter(|m| m.role == Role::Meta);
        let http = metas.filter_map(|m| Some((m.process.name(), m.http.as_ref()?.addr())));
        let leads = |addr: &str| gauge(addr, "coterie_meta_is_leader").is_ok_and(|is| is == 1.0);
        let leader = http.into_iter().find(|(_, addr)| leads(addr));
        let (name, _) = leader.context("no meta leads")?;
        Ok(name.to_owned())
    }

    /// The sum of a metric over all servers and their groups.
    pub fn total_of_servers(&self, name: &str) -> anyhow::Result<f64> {
        let servers = self.members.iter().filter(|m| m.role == Role::Server);
        let http: Vec<_> = servers
            .filter_map(|m| Some(m.http.as_ref()?.addr()))
            .collect();
        ensure!(!http.is_empty(), "no server has /metrics");
        let mut total = 0.0;
        for addr in http {
            let text = metrics(&addr)?;
            let is_it = |line: &&str| line.starts_with(&format!("{name}{{"));
            for line in text.lines().filter(is_it) {
                let value = line.rsplit(' ').next().context("a metric has a value")?;
                total += value.parse::<f64>()?;
            }
        }
        Ok(total)
    }

    /// Waits until no store compacts: what was written before is where it stays.
    pub fn wait_until_compacted(&self, within: Duration) -> anyhow::Result<()> {
        let servers = self.members.iter().filter(|m| m.role == Role::Server);
        let http: Vec<_> = servers
            .filter_map(|m| Some(m.http.as_ref()?.addr()))
            .collect();
        ensure!(!http.is_empty(), "no server has /metrics");
        wait::until("compactions are over", within, || {
            for addr in &http {
                for name in ["compactions_running", "compaction_debt_bytes"] {
                    let left = gauge(addr, &format!("coterie_server_{name}"))?;
                    ensure!(left == 0.0, "{name} of {addr}: {left}");
                }
            }
            Ok(())
        })
    }
}
