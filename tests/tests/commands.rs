//! Command lines that a user types: `coterie dev`, `coterie node` on three hosts, settings from a
//! file, and the errors for a wrong command line.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, ensure};
use coterie_tests::binary;
use coterie_tests::connection::Connection;
use coterie_tests::ports::Port;
use coterie_tests::process::Process;
use coterie_tests::wait;

const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn dev_serves_says_what_to_type_and_keeps_its_data() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (listen, http) = (Port::reserve()?, Port::reserve()?);
    let mut dev = Process::new("dev", binary::coterie()?, dir.path().join("log"))
        .args(["dev", "--dir"])
        .args([dir.path().join("data")])
        .args(["--listen", &listen.addr(), "--http", &http.addr()]);
    for (times, life) in [(1, "first"), (2, "second")] {
        dev.start()?;
        let typed = format!("redis-cli -p {}", listen.number());
        wait::until("dev says what to type", WITHIN, || {
            let output = dev.output();
            ensure!(output.matches(&typed).count() == times, "says {output}");
            Ok(())
        })?;
        let mut client = Connection::open(&listen.addr(), WITHIN)?;
        let before = client.call(&["GETSET", "life", life])?.text();
        let expected = (life == "second").then_some("first");
        ensure!(before.as_deref() == expected, "{before:?}");
        let status = dev.terminate(WITHIN)?;
        ensure!(status.success(), "a drain ends with 0, not {status}");
    }
    Ok(())
}

#[test]
fn three_like_commands_make_a_cluster_of_three_hosts() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut hosts = Hosts::new(dir.path())?;
    for host in &mut hosts.processes {
        host.start()?;
    }
    hosts.call(0, &["SET", "k", "v"])?;
    ensure!(hosts.call(2, &["GET", "k"])?.as_deref() == Some("v"));

    // Any host may fail, with its member of meta and the leaders on it.
    hosts.processes[0].kill();
    hosts.call(1, &["SET", "k", "w"])?;
    ensure!(hosts.call(2, &["GET", "k"])?.as_deref() == Some("w"));
    hosts.processes[0].start()?;
    ensure!(hosts.call(0, &["GET", "k"])?.as_deref() == Some("w"));
    Ok(())
}

/// Three hosts, as three loopback addresses.
struct Hosts {
    processes: Vec<Process>,
    clients: Vec<String>,
    // Held for their reservations: meta's port, the server's above it, and the clients'.
    _ports: [Port; 3],
}

impl Hosts {
    fn new(dir: &Path) -> anyhow::Result<Hosts> {
        let ports = ports_in_a_row()?;
        let ips = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
        let meta = ports[0].number();
        let join = ips.map(|ip| format!("{ip}:{meta}")).join(",");
        let clients = ips.map(|ip| format!("{ip}:{}", ports[2].number()));
        let mut processes = Vec::new();
        for (ip, listen) in ips.into_iter().zip(&clients) {
            let host = Process::new(ip, binary::coterie()?, dir.join(format!("{ip}.log")))
                .args([
                    "node",
                    "--advertise",
                    ip,
                    "--join",
                    &join,
                    "--listen",
                    listen,
                ])
                .args(["--cluster-token", "secret", "--dir"])
                .args([dir.join(ip)]);
            processes.push(host);
        }
        Ok(Hosts {
            processes,
            clients: clients.to_vec(),
            _ports: ports,
        })
    }

    /// Calls the proxy of a host until it answers without an error; returns the reply's text.
    fn call(&self, host: usize, command: &[&str]) -> anyhow::Result<Option<String>> {
        wait::until("the host serves", WITHIN, || {
            let mut client = Connection::open(&self.clients[host], WITHIN)?;
            client.send(command)?;
            let raw = client.receive_raw()?;
            ensure!(
                !raw.starts_with(b"-"),
                "refused: {}",
                String::from_utf8_lossy(&raw)
            );
            Ok(coterie_tests::resp::Reply::parse(&raw)?.0.text())
        })
    }
}

/// Reserves a port whose successor is free too, and a third port.
fn ports_in_a_row() -> anyhow::Result<[Port; 3]> {
    for _ in 0..100 {
        let first = Port::reserve()?;
        if let Ok(second) = Port::reserve_number(first.number() + 1) {
            return Ok([first, second, Port::reserve()?]);
        }
    }
    anyhow::bail!("no two free ports in a row")
}

#[test]
fn settings_come_from_a_file_and_a_wrong_name_is_told() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("coterie.toml");
    std::fs::write(
        &file,
        "meta = [\"127.0.0.1:1\"]\n[raft]\nelection-timeout-min = \"700ms\"\n\
         [server]\nlisten = \"127.0.0.1:0\"\ndir = \"/nowhere\"\n",
    )?;
    let shown = coterie(&["server", "--print-config", "--config"], &file)?;
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    ensure!(shown.status.success(), "{shown:?}");
    ensure!(text.contains("election-timeout-min = \"700ms\""), "{text}");
    ensure!(text.contains("meta = [\"127.0.0.1:1\"]"), "{text}");

    std::fs::write(&file, "[raft]\nelection-timeout-mim = \"700ms\"\n")?;
    let refused = coterie(&["server", "--config"], &file)?;
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(2), "{refused:?}");
    ensure!(
        text.contains("did you mean `raft.election-timeout-min`"),
        "{text}"
    );
    Ok(())
}

#[test]
fn without_a_token_a_role_does_not_start_and_says_how_to_make_one() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let meta = ["meta", "--id", "1", "--listen", "127.0.0.1:0", "--dir"];
    let refused = coterie(&meta, dir.path())?;
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success(), "{refused:?}");
    ensure!(text.contains("--cluster-token-file"), "{text}");
    Ok(())
}

/// Runs the binary to its end, without settings from the environment.
fn coterie(args: &[&str], last: &Path) -> anyhow::Result<Output> {
    let mut command = Command::new(binary::coterie()?);
    command.args(args).arg(last);
    for name in ["COTERIE_CLUSTER_TOKEN", "COTERIE_CLUSTER_TOKEN_FILE"] {
        command.env_remove(name);
    }
    command.output().context("run coterie")
}
