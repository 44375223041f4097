//! Three hosts, each a process with all roles: `coterie node`, at loopback addresses of their own.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::cluster::Turn;
use crate::connection::Connection;
use crate::ports::Port;
use crate::process::Process;
use crate::resp::Reply;
use crate::{binary, wait};

/// The number of hosts.
const COUNT: usize = 3;

/// Three hosts that run.
#[derive(Debug)]
pub struct Hosts {
    // Before the folder, so that the processes are gone when it is removed.
    processes: Vec<Process>,
    proxies: Vec<String>,
    dir: tempfile::TempDir,
    _ports: Vec<Port>,
    _turn: Turn,
}

impl Hosts {
    /// Starts the hosts with further `flags`, and waits until each serves.
    pub fn start(flags: &[&str], within: Duration) -> anyhow::Result<Self> {
        let turn = Turn::take()?;
        let dir = tempfile::Builder::new()
            .prefix("coterie-hosts-")
            .tempdir()?;
        let (meta, server) = two_neighbours()?;
        let listen = Port::reserve()?;
        let ips: Vec<String> = (1..=COUNT).map(|n| format!("127.0.0.{n}")).collect();
        let join: Vec<String> = ips
            .iter()
            .map(|ip| format!("{ip}:{}", meta.number()))
            .collect();
        let join = join.join(",");
        let at = |ip: &String| format!("{ip}:{}", listen.number());
        let proxies: Vec<String> = ips.iter().map(at).collect();
        let mut processes = Vec::new();
        for (ip, proxy) in ips.iter().zip(&proxies) {
            let name = format!("host-{ip}");
            let log = dir.path().join(format!("{name}.log"));
            let data = dir.path().join(&name).display().to_string();
            let mut process = Process::new(&name, binary::coterie()?, log)
                .args(["node", "--join", &join, "--advertise", ip, "--dir", &data])
                .args(["--listen", proxy, "--cluster-token", "token of three hosts"])
                .args(flags.iter().copied());
            process.start()?;
            processes.push(process);
        }
        let mut hosts = Self {
            processes,
            proxies,
            dir,
            _ports: vec![meta, server, listen],
            _turn: turn,
        };
        if let Err(error) = hosts.wait_until_serving(within) {
            hosts.print_logs();
            return Err(error);
        }
        Ok(hosts)
    }

    /// The address for clients, by host.
    #[must_use]
    pub fn proxies(&self) -> &[String] {
        &self.proxies
    }

    /// A host's process.
    pub fn process(&mut self, number: usize) -> &mut Process {
        &mut self.processes[number]
    }

    /// The folder of the logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until a write and a read succeed through each host's proxy.
    pub fn wait_until_serving(&mut self, within: Duration) -> anyhow::Result<()> {
        for proxy in &self.proxies {
            wait::until(&format!("{proxy} serves"), within, || {
                let mut client = Connection::open(proxy, Duration::from_secs(20))?;
                for key in ["00:serves", "60:serves", "b0:serves"] {
                    let stored = client.call(&["SET", key, "x"])?;
                    anyhow::ensure!(stored == Reply::Simple("OK".to_owned()), "{stored:?}");
                    let found = client.call(&["GET", key])?;
                    anyhow::ensure!(found == Reply::Bulk(b"x".to_vec()), "{found:?}");
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Prints the last lines of each log, for a test that fails.
    pub fn print_logs(&self) {
        for process in &self.processes {
            let output = process.output();
            let lines: Vec<&str> = output.lines().collect();
            let last = lines.len().saturating_sub(60);
            eprintln!("--- {}\n{}", process.name(), lines[last..].join("\n"));
        }
    }
}

/// Reserves two neighbouring ports: a host's server listens at the port after that of its member of
/// meta.
fn two_neighbours() -> anyhow::Result<(Port, Port)> {
    for _ in 0..100 {
        let low = Port::reserve()?;
        if let Ok(high) = Port::reserve_number(low.number() + 1) {
            return Ok((low, high));
        }
    }
    None.context("no two ports side by side are free")
}
