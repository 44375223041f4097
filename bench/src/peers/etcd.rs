//! etcd: three members with its default settings (it syncs its log before it answers).

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use coterie_tests::ports::Port;
use coterie_tests::process::Process;
use coterie_tests::wait;

use super::peer::Peer;
use crate::load;

const MEMBERS: usize = 3;

/// Starts three members and finds their leader.
pub(super) fn start(dir: &Path) -> anyhow::Result<Peer> {
    let ports = || {
        (0..MEMBERS)
            .map(|_| Port::reserve())
            .collect::<anyhow::Result<Vec<_>>>()
    };
    let (client_ports, peer_ports) = (ports()?, ports()?);
    let url = |port: &Port| format!("http://{}", port.addr());
    let cluster: Vec<String> = peer_ports
        .iter()
        .enumerate()
        .map(|(n, port)| format!("m{n}={}", url(port)))
        .collect();
    let mut members = Vec::new();
    for n in 0..MEMBERS {
        let name = format!("m{n}");
        let data = dir.join(&name);
        let (client, peer) = (url(&client_ports[n]), url(&peer_ports[n]));
        let log = dir.join(format!("etcd-{n}.log"));
        let mut member = Process::new(&name, Path::new("etcd"), log)
            .args(["--name", &name])
            .args(["--data-dir".into(), data.into_os_string()])
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args([
                "--initial-cluster",
                &cluster.join(","),
                "--initial-cluster-state",
                "new",
            ])
            .args(["--quota-backend-bytes", "8589934592", "--logger", "zap"]);
        member.start()?;
        members.push(member);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let leader = wait::until("etcd has a leader", Duration::from_secs(60), || {
        for port in &client_ports {
            if runtime.block_on(load::etcd::is_leader(&port.addr()))? {
                return Ok(port.addr());
            }
        }
        None.context("no member leads")
    })?;
    Ok(Peer::Etcd { members, leader })
}
