//! `coterie dev`: a whole cluster in one process, to try and to develop against.
//!
//! The same roles as in production, with the same logs and fsyncs, each server in its own
//! directory. They listen on free ports of loopback; only clients and the HTTP endpoint have fixed ones.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use coterie_config::{ClusterToken, TokenError};
use coterie_telemetry::LogConfig;
use tokio_util::sync::CancellationToken;

use crate::host::{self, Host};
use crate::threads::Threads;
use crate::{ready, signals};

/// Flags of `coterie dev` itself; those of the roles are passed through.
#[derive(Debug, Args)]
struct Dev {
    /// Where the data is kept.
    #[arg(long, value_name = "DIR", default_value = ".coterie")]
    dir: PathBuf,
    /// Where Redis clients connect.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:6379")]
    listen: SocketAddr,
    /// Where metrics and health are served.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// How many servers.
    #[arg(long, value_name = "N", default_value_t = 3)]
    servers: usize,
    /// How many groups the first start makes.
    #[arg(long, value_name = "N", default_value_t = 3)]
    groups: usize,
    /// How many replicas each group has [default: 3, or as many as there are servers].
    #[arg(long, value_name = "N")]
    replicas: Option<usize>,
    /// How many members of meta. It cannot be changed for a directory that has data.
    #[arg(long, value_name = "N", default_value_t = 1)]
    metas: usize,
    #[command(flatten)]
    token: ClusterToken,
    #[command(flatten)]
    _threads: Threads,
    #[command(flatten)]
    log: LogConfig,
}

/// Its part of the command line.
pub(crate) fn command() -> Command {
    host::flags(Dev::augment_args(Command::new("dev")))
        .about("A whole cluster in one process, to try Coterie")
        .after_help("`coterie dev --help` lists the flags of the roles too.")
}

/// Starts the cluster, says what to type, and runs until a signal.
pub(crate) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let dev = Dev::from_arg_matches(matches)?;
    dev.log.install()?;
    let shutdown = signals::shutdown().context("take signals")?;
    let mut host = Host::new(matches, &own_token(&dev.token)?, Some(dev.http), &shutdown).await?;
    let started = shutdown.run_until_cancelled(start(&dev, &mut host)).await;
    if let Some(Ok(clients)) = &started {
        serve(&dev, &host, *clients, &shutdown).await;
    }
    let stopped = host.stop().await;
    started.map_or(Ok(()), |started| started.map(drop))?;
    stopped
}

/// Starts every role; gives where clients connect.
async fn start(dev: &Dev, host: &mut Host<'_>) -> anyhow::Result<SocketAddr> {
    eprintln!(
        "coterie: starting {} servers in {}",
        dev.servers,
        dev.dir.display()
    );
    let metas = free_addresses(dev.metas).context("find free ports")?;
    let peers: Vec<String> = (1..)
        .zip(&metas)
        .map(|(id, addr): (usize, _)| format!("{id}={addr}"))
        .collect();
    for (id, listen) in (1..).zip(&metas) {
        host.meta(id, listen, &peers, &dev.dir.join(format!("meta-{id}")))
            .await?;
    }
    for number in 1..=dev.servers {
        let dir = dev.dir.join(format!("server-{number}"));
        // All servers stop together: there is nowhere to move leaders to.
        let alone = vec![("drain-timeout", "0s".to_owned())];
        host.server("127.0.0.1:0", &metas, &dir, alone).await?;
    }
    let replicas = dev.replicas.unwrap_or(dev.servers.min(3));
    let shape = vec![
        ("groups", dev.groups.to_string()),
        ("replicas", replicas.to_string()),
        // All of them are here in a moment: none is left without replicas by the first groups.
        ("bootstrap-nodes", dev.servers.max(replicas).to_string()),
    ];
    host.controller(&metas, shape).await?;
    host.proxy(&dev.listen.to_string(), &metas).await
}

/// Tells when clients are served and what to type, then waits for a signal.
async fn serve(dev: &Dev, host: &Host<'_>, clients: SocketAddr, shutdown: &CancellationToken) {
    let cluster = host.health().component("cluster");
    cluster.waiting("groups are made and elect their leaders");
    let served = shutdown.run_until_cancelled(ready::served(clients)).await;
    if served.is_some() {
        cluster.ready();
        println!("Coterie serves. In another terminal:\n");
        match clients.ip().is_loopback() && clients.is_ipv4() {
            true => println!("  redis-cli -p {}\n", clients.port()),
            false => println!("  redis-cli -h {} -p {}\n", clients.ip(), clients.port()),
        }
        println!(
            "Metrics http://{}/metrics, data in {}.",
            dev.http,
            dev.dir.display()
        );
        println!("Ctrl-C stops.");
    }
    shutdown.cancelled().await;
}

/// The token given, else one that lives as long as this process: all who need it are in it.
fn own_token(given: &ClusterToken) -> anyhow::Result<ClusterToken> {
    match given.secret() {
        Err(TokenError::Missing) => {
            let mut bytes = [0_u8; 32];
            getrandom::fill(&mut bytes).context("draw a token")?;
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(ClusterToken::given(hex))
        }
        Ok(_) | Err(_) => Ok(given.clone()),
    }
}

/// Addresses that were free a moment ago. Held all at once, so that they differ.
fn free_addresses(count: usize) -> io::Result<Vec<String>> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<io::Result<_>>()?;
    listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.to_string()))
        .collect()
}
