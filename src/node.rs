//! `coterie node`: every role of a host, so that three hosts need three like commands.
//!
//! `--join` lists the members of meta, in the same order on every host: the first is member 1. A
//! host whose address is in the list runs that member, a server, a proxy and a controller; any
//! other host runs all but meta. A host finds its own address in the list by trying to bind each.
//! Where it can bind several (all on loopback), `--advertise` decides.
//!
//! Other ports follow from that of meta, so that they need no flags: the server's is the next
//! above.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use coterie_config::{ClusterTlsFiles, ClusterToken};
use coterie_rpc::{Credentials, Token};
use coterie_telemetry::LogConfig;
use tracing::info;

use crate::host::Host;
use crate::roles::{self, Maker, Roles};
use crate::signals;
use crate::threads::Threads;

/// Flags of `coterie node` itself; those of the roles are passed through.
#[derive(Debug, Args)]
struct Node {
    /// The members of meta, one per host, in the same order on every host.
    #[arg(
        long,
        value_name = "IP:PORT,...",
        value_delimiter = ',',
        required = true
    )]
    join: Vec<SocketAddr>,
    /// Directory of this host's data.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// This host's own address, as the others reach it [default: found].
    #[arg(long, value_name = "IP")]
    advertise: Option<IpAddr>,
    /// Address for Redis clients [default: port 6379 of this host's address].
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Address for metrics and health.
    #[arg(long, value_name = "IP:PORT")]
    http: Option<SocketAddr>,
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
    roles::flags(Node::augment_args(Command::new("node")))
        .about("Every role of one host: three hosts, three like commands")
        .after_help(
            "On each of three hosts, with the same list and the same token:\n  \
             coterie node --join 10.0.0.1:7100,10.0.0.2:7100,10.0.0.3:7100 \\\n    \
             --dir /var/lib/coterie --cluster-token-file /etc/coterie/token\n\n\
             Further hosts are added by the same command; they run no member of meta.\n\
             `coterie node --help` lists the flags of the roles too.",
        )
}

/// Starts the roles of this host and runs until a signal, or until a role cannot go on.
pub(crate) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let node = Node::from_arg_matches(matches)?;
    node.log.install()?;
    let place = Place::find(&node.join, node.advertise)?;
    let shutdown = signals::shutdown().context("take signals")?;
    let secret = String::from_utf8(node.token.secret()?).context("the token is no text")?;
    let roles = roles(matches, &node, &place, &secret)?;
    roles.tell();
    let credentials = Credentials::with_tls(Token::new(&secret), &node.tls)?;
    let mut host = Host::new(credentials, node.http, &shutdown).await?;
    info!(member = place.member, meta = %place.meta, "host starts");
    let started = shutdown
        .run_until_cancelled(Box::pin(host.start(roles)))
        .await;
    let (mut clients, started) = match started {
        Some(Ok(clients)) => (Some(clients), Ok(())),
        Some(Err(error)) => (None, Err(error)),
        None => (None, Ok(())),
    };
    if let Some(clients) = &mut clients {
        let cluster = host.health().component("cluster");
        cluster.waiting("too few hosts are up, or groups elect their leaders");
        if shutdown
            .run_until_cancelled(clients.served())
            .await
            .is_some()
        {
            cluster.ready();
            println!("Coterie serves at {}.", clients.addresses());
        }
        shutdown.cancelled().await;
    }
    let stopped = host.stop().await;
    started?;
    stopped
}

/// The roles of this host.
fn roles(matches: &ArgMatches, node: &Node, place: &Place, secret: &str) -> anyhow::Result<Roles> {
    let metas: Vec<String> = node.join.iter().map(SocketAddr::to_string).collect();
    let maker = Maker::new(matches, secret, &metas);
    let meta = |id| maker.meta(id, &place.meta.to_string(), &node.dir.join("meta"));
    let server = place.server()?.to_string();
    let ip = place.meta.ip();
    let listen = node.listen.unwrap_or(SocketAddr::new(ip, 6379));
    Ok(Roles {
        metas: place
            .member
            .into_iter()
            .map(meta)
            .collect::<Result<_, _>>()?,
        servers: vec![maker.server(&server, &node.dir.join("server"), Vec::new())?],
        controller: maker.controller(Vec::new())?,
        proxy: maker.proxy(&listen.to_string())?,
    })
}

/// This host's place among the hosts.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// The id of its member of meta, if it runs one.
    member: Option<usize>,
    /// Address where that member listens, or would: other ports follow from it.
    meta: SocketAddr,
}

impl Place {
    /// Address of the host's server.
    fn server(&self) -> anyhow::Result<SocketAddr> {
        let port = self.meta.port().checked_add(1);
        let port = port.context("no port is above that of meta, for the server")?;
        Ok(SocketAddr::new(self.meta.ip(), port))
    }

    fn find(join: &[SocketAddr], advertise: Option<IpAddr>) -> anyhow::Result<Place> {
        let is_own = |ip: IpAddr| match advertise {
            Some(own) => ip == own,
            // Only an address of this host can be bound.
            None => TcpListener::bind((ip, 0)).is_ok(),
        };
        let own: Vec<(usize, SocketAddr)> = (1..)
            .zip(join.iter().copied())
            .filter(|(_, address)| is_own(address.ip()))
            .collect();
        match own.as_slice() {
            [(id, address)] => Ok(Place {
                member: Some(*id),
                meta: *address,
            }),
            [] => {
                let first = join.first().context("--join is empty")?;
                let ip = advertise.map_or_else(|| address_towards(*first), Ok)?;
                Ok(Place {
                    member: None,
                    meta: SocketAddr::new(ip, first.port()),
                })
            }
            several => {
                let found: Vec<String> = several.iter().map(|(_, a)| a.to_string()).collect();
                bail!(
                    "{} are all of this host: say --advertise IP",
                    found.join(" and ")
                )
            }
        }
    }
}

/// The address of this host from which it reaches `peer`. Sends nothing.
fn address_towards(peer: SocketAddr) -> anyhow::Result<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).context("open a socket")?;
    socket
        .connect(peer)
        .with_context(|| format!("find the way to {peer}"))?;
    Ok(socket
        .local_addr()
        .context("find this host's address")?
        .ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect()
    }

    #[test]
    fn a_host_finds_its_member_by_its_address() {
        // No host has a TEST-NET address.
        let join = list(&["192.0.2.1:7100", "127.0.0.1:7100", "192.0.2.3:7100"]);
        let place = Place::find(&join, None).unwrap();
        assert_eq!(
            place,
            Place {
                member: Some(2),
                meta: join[1]
            }
        );
    }

    #[test]
    fn among_several_own_addresses_one_must_be_named() {
        let join = list(&["127.0.0.1:7100", "127.0.0.2:7100", "127.0.0.3:7100"]);
        assert!(
            Place::find(&join, None)
                .unwrap_err()
                .to_string()
                .contains("--advertise")
        );
        let place = Place::find(&join, Some("127.0.0.3".parse().unwrap())).unwrap();
        assert_eq!(
            place,
            Place {
                member: Some(3),
                meta: join[2]
            }
        );
    }

    #[test]
    fn a_host_whose_meta_has_the_last_port_is_refused() {
        let place = Place::find(&list(&["127.0.0.1:65535"]), None).unwrap();
        assert!(place.server().is_err());
        let place = Place::find(&list(&["127.0.0.1:65534"]), None).unwrap();
        assert_eq!(place.server().unwrap(), "127.0.0.1:65535".parse().unwrap());
    }

    #[test]
    fn a_host_outside_the_list_runs_no_member() {
        let join = list(&["192.0.2.1:7100"]);
        let place = Place::find(&join, Some("127.0.0.9".parse().unwrap())).unwrap();
        assert_eq!(
            place,
            Place {
                member: None,
                meta: "127.0.0.9:7100".parse().unwrap()
            }
        );
    }
}
