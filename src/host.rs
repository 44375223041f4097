//! Several roles in one process, for `dev` and `node`.
//!
//! The roles share an `rpc::Client`: a call to a role of the same process skips the socket. They
//! also share the metrics, the health and the HTTP endpoint. Roles are started from meta to the
//! proxy and stopped in reverse, clients first, so that no role calls a role that is gone.
//!
//! When a role cannot go on, the process drains and ends as after a signal, with an error.

use std::net::SocketAddr;
use std::pin::Pin;

use anyhow::{Context as _, bail};
use coterie_rpc::{Client, Credentials};
use coterie_telemetry::{Endpoint, Health};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::ready::Clients;
use crate::roles::Roles;

type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The roles of this process.
pub(crate) struct Host {
    rpc: Client,
    endpoint: Endpoint,
    running: Vec<Running>,
    /// Asks the process to drain and end.
    shutdown: CancellationToken,
    /// A role cannot go on.
    failed: CancellationToken,
}

/// A role that was started, and how to stop it.
struct Running {
    role: &'static str,
    stop: Stop,
}

impl Running {
    async fn stop(self) {
        self.stop.await;
    }
}

impl Host {
    /// A host without roles, with metrics and health at `http`. The roles share the credentials. A
    /// role that cannot go on cancels `shutdown`.
    ///
    /// # Errors
    /// When `http` cannot be bound.
    pub(crate) async fn new(
        credentials: impl Into<Credentials>,
        http: Option<SocketAddr>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Host> {
        let credentials = credentials.into();
        let http = http.map(|listen| listen.to_string());
        let endpoint = Endpoint::start(http.as_deref()).await.context("--http")?;
        if let Some(certificate) = credentials.collector() {
            endpoint.metrics.register_collector(certificate);
        }
        let rpc = Client::new(credentials);
        Ok(Host {
            rpc,
            endpoint,
            running: Vec::new(),
            shutdown: shutdown.clone(),
            failed: CancellationToken::new(),
        })
    }

    /// The health of this process, for components that are not a single role.
    pub(crate) fn health(&self) -> &Health {
        &self.endpoint.health
    }

    /// Where metrics and health are served, if they are.
    #[cfg(test)]
    pub(crate) fn http_addr(&self) -> Option<SocketAddr> {
        self.endpoint.http_addr()
    }

    /// Starts every role; returns where clients connect.
    ///
    /// # Errors
    /// When a role does not start.
    pub(crate) async fn start(&mut self, roles: Roles) -> anyhow::Result<Clients> {
        for config in roles.metas {
            self.meta(config).await?;
        }
        for config in roles.servers {
            self.server(config).await?;
        }
        self.controller(roles.controller)?;
        self.proxy(roles.proxy).await
    }

    async fn meta(&mut self, config: coterie_meta::Config) -> anyhow::Result<()> {
        let id = config.id;
        // Several members of a process are told apart by their ids.
        let metrics = self.endpoint.metrics.with_label("member", id.to_string());
        let (rpc, health) = (self.rpc.clone(), &self.endpoint.health);
        let started = coterie_meta::start_with(config, rpc, &metrics, health).await;
        let handle = started.with_context(|| format!("start meta {id}"))?;
        self.ends_with(handle.failed());
        self.runs("meta", handle.shutdown());
        Ok(())
    }

    async fn server(&mut self, config: coterie_server::Config) -> anyhow::Result<()> {
        let dir = config.dir.clone();
        // Several servers of a process are told apart by the names of their directories.
        let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy();
        let metrics = self.endpoint.metrics.with_label("server", name);
        let (rpc, health) = (self.rpc.clone(), &self.endpoint.health);
        let started = coterie_server::Service::start(config, rpc, &metrics, health).await;
        let service = started.with_context(|| format!("start the server of {}", dir.display()))?;
        self.ends_with(service.failed());
        self.runs("server", service.shutdown());
        Ok(())
    }

    fn controller(&mut self, config: coterie_controller::Config) -> anyhow::Result<()> {
        let (metrics, health) = (&self.endpoint.metrics, &self.endpoint.health);
        let started = coterie_controller::start_with(config, self.rpc.clone(), metrics, health);
        let handle = started.context("start the controller")?;
        self.runs("controller", handle.shutdown());
        Ok(())
    }

    async fn proxy(&mut self, config: coterie_proxy::Config) -> anyhow::Result<Clients> {
        let is_tls_only = config.tls.tls_only;
        let (metrics, health) = (&self.endpoint.metrics, &self.endpoint.health);
        let started = coterie_proxy::start_with(config, self.rpc.clone(), metrics, health).await;
        let handle = started.context("start the proxy")?;
        let clients = Clients {
            plain: (!is_tls_only).then_some(handle.addr),
            tls: handle.tls_addr,
            served: Box::pin(handle.served()),
        };
        self.runs("proxy", handle.shutdown());
        Ok(clients)
    }

    /// Stops all roles, the last started first. Roles of the same kind stop together, since members
    /// that wait for a majority never get it once the others are gone.
    ///
    /// # Errors
    /// When a role could not go on.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        while let Some(last) = self.running.pop() {
            let role = last.role;
            let same = self.running.iter().rposition(|other| other.role != role);
            let mut together = self.running.split_off(same.map_or(0, |at| at + 1));
            together.push(last);
            let mut stops: JoinSet<()> = together.into_iter().map(Running::stop).collect();
            while stops.join_next().await.is_some() {}
            info!(role, "stopped");
        }
        self.endpoint.shutdown().await;
        if self.failed.is_cancelled() {
            bail!("a role of this process cannot go on; the reason is in the log");
        }
        Ok(())
    }

    /// Ends the process when `cannot_go_on` of a role is cancelled.
    fn ends_with(&self, cannot_go_on: CancellationToken) {
        let (failed, shutdown) = (self.failed.clone(), self.shutdown.clone());
        tokio::spawn(async move {
            cannot_go_on.cancelled().await;
            failed.cancel();
            shutdown.cancel();
        });
    }

    fn runs(&mut self, role: &'static str, stop: impl Future<Output = ()> + Send + 'static) {
        self.running.push(Running {
            role,
            stop: Box::pin(stop),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use coterie_rpc::Token;
    use tokio::sync::Barrier;

    use super::*;

    async fn host(shutdown: &CancellationToken) -> Host {
        Host::new(Token::new("secret"), None, shutdown)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_role_that_cannot_go_on_ends_the_process_with_an_error() {
        let (shutdown, role) = (CancellationToken::new(), CancellationToken::new());
        let host = host(&shutdown).await;
        host.ends_with(role.clone());
        assert!(!shutdown.is_cancelled());
        role.cancel();
        shutdown.cancelled().await;
        assert!(host.stop().await.is_err());
    }

    #[tokio::test]
    async fn a_process_that_is_asked_to_end_does_so_without_an_error() {
        let (shutdown, role) = (CancellationToken::new(), CancellationToken::new());
        let host = host(&shutdown).await;
        host.ends_with(role);
        shutdown.cancel();
        assert!(host.stop().await.is_ok());
    }

    #[tokio::test]
    async fn roles_of_one_kind_stop_together_and_clients_first() {
        let mut host = host(&CancellationToken::new()).await;
        let (no_clients, both) = (CancellationToken::new(), Arc::new(Barrier::new(2)));
        for _ in 0..2 {
            let (no_clients, both) = (no_clients.clone(), Arc::clone(&both));
            host.runs("server", async move {
                assert!(no_clients.is_cancelled());
                both.wait().await;
            });
        }
        let stop = async move { no_clients.cancel() };
        host.runs("proxy", stop);
        let stopped = tokio::time::timeout(Duration::from_secs(30), host.stop()).await;
        stopped.unwrap().unwrap();
    }
}
