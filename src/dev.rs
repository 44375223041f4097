//! `coterie dev`: a whole cluster in one process, to try and to develop against.
//!
//! The roles are the same as in production, with the same logs and fsyncs; each server has its own
//! directory. They listen on free ports of loopback. Only the addresses for clients and for HTTP
//! are fixed.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use coterie_config::{ClusterTlsFiles, ClusterToken, TokenError, is_given};
use coterie_rpc::{Credentials, Token};
use coterie_telemetry::LogConfig;
use tokio_util::sync::CancellationToken;

use crate::host::Host;
use crate::ready::Clients;
use crate::roles::{self, Maker, Roles};
use crate::signals;
use crate::threads::Threads;

/// Flags of `coterie dev` itself; those of the roles are passed through.
#[derive(Debug, Args)]
struct Dev {
    /// Directory of the data.
    #[arg(long, value_name = "DIR", default_value = ".coterie")]
    dir: PathBuf,
    /// Address for Redis clients.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:6379")]
    listen: SocketAddr,
    /// Address for metrics and health.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Number of servers.
    #[arg(long, value_name = "N", default_value_t = 3)]
    servers: usize,
    /// Number of groups that the first start makes.
    #[arg(long, value_name = "N", default_value_t = 3)]
    groups: usize,
    /// Number of replicas of each group [default: 3, or as many as there are servers].
    #[arg(long, value_name = "N")]
    replicas: Option<usize>,
    /// Number of members of meta. It cannot be changed for a directory that has data.
    #[arg(long, value_name = "N", default_value_t = 1)]
    metas: usize,
    #[command(flatten)]
    token: ClusterToken,
    #[command(flatten)]
    tls: ClusterTlsFiles,
    #[command(flatten)]
    _threads: Threads,
    #[command(flatten)]
    log: LogConfig,
}

/// The subcommand and its flags.
pub(crate) fn command() -> Command {
    roles::flags(Dev::augment_args(Command::new("dev")))
        .about("A whole cluster in one process, to try Coterie")
        .after_help("`coterie dev --help` lists the flags of the roles too.")
}

/// Starts the cluster, prints how to connect, and runs until a signal.
pub(crate) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let dev = Dev::from_arg_matches(matches)?;
    dev.log.install()?;
    let shutdown = signals::shutdown().context("take signals")?;
    let secret = own_secret(&dev.token)?;
    let metas = free_addresses(dev.metas).context("find free ports")?;
    let roles = roles(matches, &dev, &secret, &metas)?;
    roles.tell();
    let credentials = Credentials::with_tls(Token::new(&secret), &dev.tls)?;
    let mut host = Host::new(credentials, Some(dev.http), &shutdown).await?;
    eprintln!(
        "coterie: starting {} servers in {}",
        dev.servers,
        dev.dir.display()
    );
    let started = shutdown
        .run_until_cancelled(Box::pin(host.start(roles)))
        .await;
    let started = match started {
        Some(Ok(clients)) => {
            serve(&dev, &host, clients, &shutdown).await;
            Ok(())
        }
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    let stopped = host.stop().await;
    started?;
    stopped
}

/// The roles of the cluster. The members of meta will listen at `metas`.
fn roles(matches: &ArgMatches, dev: &Dev, secret: &str, metas: &[String]) -> anyhow::Result<Roles> {
    let maker = Maker::new(matches, secret, metas);
    let meta = |(id, listen): (usize, &String)| {
        maker.meta(id, listen, &dev.dir.join(format!("meta-{id}")))
    };
    let server = |number: usize| {
        let dir = dev.dir.join(format!("server-{number}"));
        // All servers stop together: there is nowhere to move leaders to.
        let alone = vec![("drain-timeout", "0s".to_owned())];
        maker.server("127.0.0.1:0", &dir, alone)
    };
    let replicas = dev.replicas.unwrap_or(dev.servers.min(3));
    let mut shape = vec![
        ("groups", dev.groups.to_string()),
        ("replicas", replicas.to_string()),
    ];
    if !is_given(matches, "bootstrap_nodes") {
        // All servers start within a moment, so the first groups wait for them and use all of them.
        shape.push(("bootstrap-nodes", dev.servers.max(replicas).to_string()));
    }
    Ok(Roles {
        metas: (1..).zip(metas).map(meta).collect::<Result<_, _>>()?,
        servers: (1..=dev.servers).map(server).collect::<Result<_, _>>()?,
        controller: maker.controller(shape)?,
        proxy: maker.proxy(&dev.listen.to_string())?,
    })
}

/// Prints how to connect once clients are served, then waits for a signal.
async fn serve(dev: &Dev, host: &Host, mut clients: Clients, shutdown: &CancellationToken) {
    let cluster = host.health().component("cluster");
    cluster.waiting("groups are made and elect their leaders");
    let served = shutdown.run_until_cancelled(clients.served()).await;
    if served.is_some() {
        cluster.ready();
        println!("Coterie serves. In another terminal:\n");
        let tls = clients.tls.map(|addr| (addr, " --tls --cacert FILE"));
        for (addr, flags) in clients.plain.map(|addr| (addr, "")).into_iter().chain(tls) {
            if addr.ip().is_loopback() && addr.is_ipv4() {
                println!("  redis-cli -p {}{flags}", addr.port());
            } else {
                println!("  redis-cli -h {} -p {}{flags}", addr.ip(), addr.port());
            }
        }
        println!();
        println!(
            "Metrics http://{}/metrics, data in {}.",
            dev.http,
            dev.dir.display()
        );
        println!("Ctrl-C stops.");
    }
    shutdown.cancelled().await;
}

/// The given token. Without it, a random token for the life of this process, which has all its
/// users.
fn own_secret(given: &ClusterToken) -> anyhow::Result<String> {
    match given.secret() {
        Err(TokenError::Missing) => {
            let mut bytes = [0_u8; 32];
            getrandom::fill(&mut bytes).context("draw a token")?;
            Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        }
        secret => String::from_utf8(secret?).context("the token is no text"),
    }
}

/// Addresses that were free a moment ago. They are held at the same time, so that they differ.
fn free_addresses(count: usize) -> io::Result<Vec<String>> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<io::Result<_>>()?;
    listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    fn roles_of(flags: &[&str]) -> Roles {
        let line = ["dev"].iter().chain(flags);
        let matches = command().get_matches_from(line);
        let dev = Dev::from_arg_matches(&matches).unwrap();
        roles(&matches, &dev, "secret", &["127.0.0.1:1".to_owned()]).unwrap()
    }

    #[test]
    fn without_flags_the_first_groups_wait_for_all_servers() {
        let roles = roles_of(&["--servers=5"]);
        assert_eq!((roles.metas.len(), roles.servers.len()), (1, 5));
        assert_eq!(roles.controller.replicas, 3);
        assert_eq!(roles.controller.bootstrap_nodes, Some(5));
    }

    #[test]
    fn flags_of_roles_reach_every_role_that_has_them() {
        let roles = roles_of(&["--max-value-bytes=3MiB", "--bootstrap-nodes=4"]);
        assert_eq!(roles.proxy.max_value_bytes, 3 << 20);
        let servers = roles.servers.iter();
        assert!(servers.map(|s| s.max_value_bytes).eq([3 << 20; 3]));
        assert_eq!(roles.controller.bootstrap_nodes, Some(4));
    }
    async fn fetch(http: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(http).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn metrics_and_readiness_of_every_role_are_served_together() {
        let dir = tempfile::tempdir().unwrap();
        let at = format!("--dir={}", dir.path().display());
        let line = [
            "dev",
            &at,
            "--servers=1",
            "--metas=2",
            "--listen=127.0.0.1:0",
        ];
        let matches = command().get_matches_from(line);
        let dev = Dev::from_arg_matches(&matches).unwrap();
        let metas = free_addresses(dev.metas).unwrap();
        let roles = roles(&matches, &dev, "secret", &metas).unwrap();
        let any_port = "127.0.0.1:0".parse().unwrap();
        let shutdown = CancellationToken::new();
        let mut host = Host::new(Token::new("secret"), Some(any_port), &shutdown)
            .await
            .unwrap();
        host.start(roles).await.unwrap();
        let http = host.http_addr().unwrap();
        let metrics = fetch(http, "/metrics").await;
        for metric in [
            "coterie_meta_is_leader{member=\"1\"}",
            "coterie_meta_is_leader{member=\"2\"}",
            "coterie_controller_active ",
            "coterie_server_disk_free_bytes{server=\"server-1\"}",
            "coterie_proxy_clients ",
        ] {
            let shown = metrics.lines().any(|line| line.starts_with(metric));
            assert!(shown, "{metric} is not in\n{metrics}");
        }
        let ready = fetch(http, "/ready").await;
        for role in ["meta", "meta 2", "controller", "server", "proxy"] {
            let shown = ready.lines().any(|line| line.starts_with(role));
            assert!(shown, "{role} is not in\n{ready}");
        }
        host.stop().await.unwrap();
    }
}
