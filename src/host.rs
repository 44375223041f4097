//! Several roles in one process, for `dev` and `node`.
//!
//! They share one `rpc::Client`: a call to a role of the same process skips the socket. They share
//! the metrics, the health and the HTTP endpoint too. Roles are started in the order of the calls here and stopped against it, clients first, so that nothing
//! asks what is gone already.
//!
//! What the command decides for a role (where it listens, its directory) is given here; every
//! other flag of a role is passed through from the command line (`Part`).
//!
//! When one of them cannot go on the process is to end: it is told so as by a signal.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;

use anyhow::{Context as _, bail};
use clap::{ArgMatches, Command};
use coterie_config::{ClusterToken, Part};
use coterie_rpc::{Client, Token};
use coterie_telemetry::{Component, Health, Http, Metrics};
use tokio_util::sync::CancellationToken;
use tracing::info;

const TOKEN: [&str; 2] = ["cluster-token", "cluster-token-file"];

const META: Part<coterie_meta::Config> =
    Part::new(&["id", "listen", "peers", "dir", "http", TOKEN[0], TOKEN[1]]);
const SERVER: Part<coterie_server::Config> = Part::new(&[
    "listen",
    "advertise",
    "meta",
    "dir",
    "http",
    TOKEN[0],
    TOKEN[1],
]);
const PROXY: Part<coterie_proxy::Config> =
    Part::new(&["listen", "meta", "http", TOKEN[0], TOKEN[1]]);
const CONTROLLER: Part<coterie_controller::Config> =
    Part::new(&["meta", "http", TOKEN[0], TOKEN[1]]);

/// Adds to `command` the flags that are passed through to the roles.
pub(crate) fn flags(command: Command) -> Command {
    CONTROLLER.flags(PROXY.flags(SERVER.flags(META.flags(command))))
}

type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The roles of this process.
pub(crate) struct Host<'a> {
    matches: &'a ArgMatches,
    secret: String,
    rpc: Client,
    metrics: Metrics,
    health: Health,
    http: Option<Http>,
    running: Vec<Running>,
    /// Asks the process to drain and end.
    shutdown: CancellationToken,
    /// One of the roles cannot go on.
    failed: CancellationToken,
}

/// A role that was started, and how it is stopped.
struct Running {
    role: &'static str,
    stop: Stop,
    /// Says that it is ready, where the role does not do so itself; gone with the role.
    _ready: Option<Component>,
}

impl<'a> Host<'a> {
    /// No roles yet; metrics and health at `http`. `matches` are of a command that went through
    /// [`flags`]. A role that cannot go on cancels `shutdown`.
    ///
    /// # Errors
    /// When the token cannot be used, or `http` not be bound.
    pub(crate) async fn new(
        matches: &'a ArgMatches,
        token: &ClusterToken,
        http: Option<SocketAddr>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Host<'a>> {
        let secret = String::from_utf8(token.secret()?).context("the token is no text")?;
        let rpc = Client::new(Token::new(&secret));
        let (metrics, health) = (Metrics::new(), Health::new());
        let http = match http {
            Some(listen) => {
                let listen = listen.to_string();
                let started = Http::start(&listen, metrics.clone(), health.clone()).await;
                Some(started.with_context(|| format!("listen at {listen} (--http)"))?)
            }
            None => None,
        };
        Ok(Host {
            matches,
            secret,
            rpc,
            metrics,
            health,
            http,
            running: Vec::new(),
            shutdown: shutdown.clone(),
            failed: CancellationToken::new(),
        })
    }

    /// The health of this process, for what is more than one role's.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Starts a member of meta; gives where it listens.
    pub(crate) async fn meta(
        &mut self,
        id: usize,
        listen: &str,
        peers: &[String],
        dir: &Path,
    ) -> anyhow::Result<SocketAddr> {
        let mut given = vec![
            ("id", id.to_string()),
            ("listen", listen.to_owned()),
            path(dir)?,
        ];
        given.extend(peers.iter().map(|peer| ("peers", peer.clone())));
        let config = self.config(&META, given)?;
        let started = coterie_meta::start_with(config, self.rpc.clone()).await;
        let handle = started.with_context(|| format!("start meta {id}"))?;
        let addr = handle.addr;
        self.ends_with(handle.failed());
        let ready = self.ready("meta");
        self.runs("meta", Some(ready), handle.shutdown());
        Ok(addr)
    }

    /// Starts a server; `more` are settings of it that the command decides.
    pub(crate) async fn server(
        &mut self,
        listen: &str,
        meta: &[String],
        dir: &Path,
        more: Vec<(&'static str, String)>,
    ) -> anyhow::Result<()> {
        let mut given = more;
        given.extend([("listen", listen.to_owned()), path(dir)?]);
        given.extend(list("meta", meta));
        let config = self.config(&SERVER, given)?;
        // Several servers in one process are told apart by the names of their directories.
        let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy();
        let metrics = self.metrics.with_label("server", name);
        let rpc = self.rpc.clone();
        let started = coterie_server::Service::start(config, rpc, &metrics, &self.health).await;
        let service = started.with_context(|| format!("start the server of {}", dir.display()))?;
        self.ends_with(service.failed());
        self.runs("server", None, service.shutdown());
        Ok(())
    }

    /// Starts a proxy; gives where it listens.
    pub(crate) async fn proxy(
        &mut self,
        listen: &str,
        meta: &[String],
    ) -> anyhow::Result<SocketAddr> {
        let mut given = vec![("listen", listen.to_owned())];
        given.extend(list("meta", meta));
        let config = self.config(&PROXY, given)?;
        let (metrics, health) = (&self.metrics, &self.health);
        let started = coterie_proxy::start_with(config, self.rpc.clone(), metrics, health).await;
        let handle = started.context("start the proxy")?;
        let addr = handle.addr;
        self.runs("proxy", None, handle.shutdown());
        Ok(addr)
    }

    /// Starts a controller; `more` are settings of it that the command decides.
    pub(crate) async fn controller(
        &mut self,
        meta: &[String],
        more: Vec<(&'static str, String)>,
    ) -> anyhow::Result<()> {
        let mut given = more;
        given.extend(list("meta", meta));
        let config = self.config(&CONTROLLER, given)?;
        let started = coterie_controller::start_with(config, self.rpc.clone()).await;
        let handle = started.context("start the controller")?;
        let ready = self.ready("controller");
        self.runs("controller", Some(ready), handle.shutdown());
        Ok(())
    }

    /// Stops all roles, the last started first.
    ///
    /// # Errors
    /// When one of them could not go on.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        while let Some(Running { role, stop, .. }) = self.running.pop() {
            stop.await;
            info!(role, "stopped");
        }
        if let Some(http) = self.http {
            http.shutdown().await;
        }
        if self.failed.is_cancelled() {
            bail!("a role of this process cannot go on; the reason is in the log");
        }
        Ok(())
    }

    /// Has the process end when a role's `cannot_go_on` says so.
    fn ends_with(&self, cannot_go_on: CancellationToken) {
        let (failed, shutdown) = (self.failed.clone(), self.shutdown.clone());
        tokio::spawn(async move {
            cannot_go_on.cancelled().await;
            failed.cancel();
            shutdown.cancel();
        });
    }

    fn runs(
        &mut self,
        role: &'static str,
        ready: Option<Component>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) {
        self.running.push(Running {
            role,
            stop: Box::pin(stop),
            _ready: ready,
        });
    }

    fn ready(&self, role: &str) -> Component {
        let component = self.health.component(role);
        component.ready();
        component
    }

    fn config<C: clap::Args>(
        &self,
        part: &Part<C>,
        mut given: Vec<(&'static str, String)>,
    ) -> anyhow::Result<C> {
        given.push((TOKEN[0], self.secret.clone()));
        Ok(part.config(self.matches, &given)?)
    }
}

fn path(dir: &Path) -> anyhow::Result<(&'static str, String)> {
    let text = dir
        .to_str()
        .with_context(|| format!("{} is no text", dir.display()))?;
    Ok(("dir", text.to_owned()))
}

fn list<'a>(
    name: &'static str,
    values: &'a [String],
) -> impl Iterator<Item = (&'static str, String)> + 'a {
    values.iter().map(move |value| (name, value.clone()))
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::unwrap_used,
        reason = "a test that cannot go on should stop here"
    )]

    use super::*;

    async fn host<'a>(matches: &'a ArgMatches, shutdown: &CancellationToken) -> Host<'a> {
        let token = ClusterToken::given("secret");
        Host::new(matches, &token, None, shutdown).await.unwrap()
    }

    #[tokio::test]
    async fn a_role_that_cannot_go_on_ends_the_process_with_an_error() {
        let matches = flags(Command::new("test")).get_matches_from(["test"]);
        let (shutdown, role) = (CancellationToken::new(), CancellationToken::new());
        let host = host(&matches, &shutdown).await;
        host.ends_with(role.clone());
        assert!(!shutdown.is_cancelled());
        role.cancel();
        shutdown.cancelled().await;
        assert!(host.stop().await.is_err());
    }

    #[tokio::test]
    async fn a_process_that_is_asked_to_end_does_so_without_an_error() {
        let matches = flags(Command::new("test")).get_matches_from(["test"]);
        let (shutdown, role) = (CancellationToken::new(), CancellationToken::new());
        let host = host(&matches, &shutdown).await;
        host.ends_with(role);
        shutdown.cancel();
        assert!(host.stop().await.is_ok());
    }
}
