//! A running controller: waits for the lease, then looks and acts, again and again.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_meta_client::MetaClient;
use coterie_protocol::catalog::{Catalog, JobState};
use coterie_rpc::{Client, Token};
use coterie_telemetry::{Component, Endpoint, Health, Metrics};
use coterie_types::{JobId, Revision};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::config::Config;
use crate::error::RunError;
use crate::executor::{Executor, Stop};
use crate::lease::{self, Lease};
use crate::metrics::ControllerMetrics;
use crate::planner::{self, Memory, Settings};
use crate::ports::{RealMeta, RealServers, wall_clock};
use crate::refusals::Refusals;
use crate::view::View;

/// How often the cluster is looked at, at least and at most.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// How long the copy of the catalog may take to show what was just written.
const COPY_TIMEOUT: Duration = Duration::from_secs(2);

const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A controller that runs in this process.
pub struct Handle {
    /// Of a controller that does not share it with other roles.
    endpoint: Option<Endpoint>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Runs a controller until `shutdown`.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let handle = start(config).await?;
    shutdown.cancelled().await;
    info!("controller stops");
    handle.shutdown().await;
    Ok(())
}

/// Starts a controller.
pub async fn start(config: Config) -> Result<Handle, RunError> {
    let rpc = Client::new(Token::new(config.cluster_token.secret()?));
    let endpoint = Endpoint::start(config.http.as_deref()).await?;
    let started = start_with(config, rpc, &endpoint.metrics, &endpoint.health);
    let (mut handle, endpoint) = endpoint.of(started).await?;
    handle.endpoint = Some(endpoint);
    Ok(handle)
}

/// Starts a controller that shares connections, metrics and health with other roles of the process.
/// `config.http` is ignored.
pub fn start_with(
    config: Config,
    rpc: Client,
    metrics: &Metrics,
    health: &Health,
) -> Result<Handle, RunError> {
    let settings = config.settings().map_err(RunError::Config)?;
    let mut holder = [0; 8];
    getrandom::fill(&mut holder).map_err(|error| RunError::Chance(io::Error::other(error)))?;
    let metrics = ControllerMetrics::register(metrics);
    let component = health.component("controller");
    let client = MetaClient::new(rpc.clone(), config.meta.clone());
    let copy = client.follow(None);
    let controller = Controller {
        meta: Arc::new(RealMeta {
            client: client.clone(),
            copy: copy.clone(),
        }),
        servers: Arc::new(RealServers {
            rpc,
            copy: copy.clone(),
        }),
        client,
        copy,
        settings,
        // 0 is nobody; it is also nothing that chance gives.
        holder: u64::from_le_bytes(holder).max(1),
        ttl: config.lease,
        component,
        metrics,
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(controller.run(stop.clone()));
    Ok(Handle {
        endpoint: None,
        stop,
        task,
    })
}

impl Handle {
    /// Where `/metrics` and `/health` are served, if they are.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().and_then(Endpoint::http_addr)
    }

    /// Stops, and gives the lease back.
    pub async fn shutdown(self) {
        self.stop.cancel();
        // A task that panicked has said so.
        let _ = self.task.await;
        if let Some(endpoint) = self.endpoint {
            endpoint.shutdown().await;
        }
    }
}

/// The jobs under way, each in a task.
type Driven = BTreeMap<JobId, AbortOnDropHandle<Result<Revision, Stop>>>;

struct Controller {
    meta: Arc<RealMeta>,
    servers: Arc<RealServers>,
    client: MetaClient,
    copy: watch::Receiver<Arc<Catalog>>,
    settings: Settings,
    /// Who this is to meta: random, made once per process.
    holder: u64,
    ttl: Duration,
    component: Component,
    metrics: ControllerMetrics,
}

impl Controller {
    async fn run(mut self, stop: CancellationToken) {
        let stopped = stop.clone();
        // On the heap: it holds what every step of a job holds.
        stopped
            .run_until_cancelled(Box::pin(self.run_for_ever()))
            .await;
        lease::release(&self.meta, self.holder).await;
    }

    async fn run_for_ever(&mut self) {
        loop {
            // Standing by is all that a second controller has to do.
            self.component.ready();
            let lease = lease::acquire(&self.meta, self.holder, self.ttl).await;
            let (fence, lost) = (lease.fence, lease.lost.clone());
            info!(fence, "this controller is active");
            self.metrics.active.set(1);
            let _keeper = self.keep(lease);
            lost.run_until_cancelled(self.lead(fence)).await;
            self.metrics.active.set(0);
            info!(fence, "this controller is not active any more");
        }
    }

    fn keep(&self, lease: Lease) -> AbortOnDropHandle<()> {
        let keeping = lease.keep(Arc::clone(&self.meta), self.holder, self.ttl);
        AbortOnDropHandle::new(tokio::spawn(keeping))
    }

    /// Looks and acts until another controller is found to be active.
    async fn lead(&mut self, fence: u64) {
        let executor = Executor::new(
            Arc::clone(&self.meta),
            Arc::clone(&self.servers),
            self.settings.clone(),
            fence,
        );
        // Dropped with this future: no job goes on without the lease.
        let mut driven = Driven::new();
        let mut refusals = Refusals::default();
        // What the controller before this one remembered is not known: it all has to last again.
        let mut memory = Memory::default();
        // The copy may be older than what the controller before this one did.
        let mut seen = self.newest().await;
        loop {
            if self.reap(&mut driven, &mut seen).await == Err(Stop::Fenced) {
                return;
            }
            if let Some(catalog) = self.catalog(seen).await {
                match self
                    .act(&executor, &catalog, &mut memory, &mut seen, &mut refusals)
                    .await
                {
                    Ok(()) => {}
                    Err(Stop::Fenced) => return,
                    Err(stop) => {
                        warn!(%stop, "the plan is not carried out whole");
                        seen = self.newest().await.max(seen);
                    }
                }
            }
            if let Some(catalog) = self.catalog(seen).await {
                drive_new(&executor, &catalog, &mut driven);
                self.metrics.jobs_running.set(driven.len() as u64);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
            // An error is the end of the follower, which lives as long as its receivers.
            let _ = tokio::time::timeout(LOOK_EVERY, self.copy.changed()).await;
        }
    }

    /// Meta's revision now; when it cannot be had, whatever the copy shows must do.
    async fn newest(&self) -> Revision {
        match self.client.read(READ_TIMEOUT).await {
            Ok(catalog) => catalog.revision,
            Err(error) => {
                warn!(%error, "cannot read the catalog");
                Revision(0)
            }
        }
    }

    /// Takes the jobs off the list that are over, or have to be taken up again.
    async fn reap(&self, driven: &mut Driven, seen: &mut Revision) -> Result<(), Stop> {
        let ended = driven.extract_if(.., |_, task| task.is_finished());
        for (job_id, task) in ended.collect::<Vec<_>>() {
            match task.await {
                Ok(Ok(revision)) => *seen = revision.max(*seen),
                Ok(Err(Stop::Fenced)) => return Err(Stop::Fenced),
                Ok(Err(stop)) => {
                    warn!(%job_id, %stop, "a job is taken up again");
                    *seen = self.newest().await.max(*seen);
                }
                Err(panic) => {
                    warn!(%job_id, error = %panic, "a job is taken up again");
                    *seen = self.newest().await.max(*seen);
                }
            }
        }
        Ok(())
    }

    /// The copy of the catalog, once it is as new as `revision`.
    async fn catalog(&mut self, revision: Revision) -> Option<Arc<Catalog>> {
        let newer = self.copy.wait_for(|copy| copy.revision >= revision);
        match tokio::time::timeout(COPY_TIMEOUT, newer).await {
            Ok(Ok(copy)) if copy.revision > Revision(0) => Some(Arc::clone(&copy)),
            _ => None,
        }
    }

    /// Plans by what is seen now, and carries it out.
    async fn act(
        &self,
        executor: &Executor<RealMeta, RealServers>,
        catalog: &Arc<Catalog>,
        memory: &mut Memory,
        seen: &mut Revision,
        refusals: &mut Refusals,
    ) -> Result<(), Stop> {
        let liveness = self.client.liveness().await?;
        let view = View::new(Arc::clone(catalog), liveness, wall_clock());
        let plan = planner::plan_on(&view, &self.settings, memory);
        let news = refusals.take(&plan.refusals, &catalog.refusals, Instant::now());
        if let Some(lines) = news {
            *seen = executor.write_refusals(lines).await?.max(*seen);
        }
        self.metrics.plans.inc();
        self.metrics.refusals.set(refusals.count() as u64);
        for action in plan.actions {
            *seen = executor.apply(action, view.now).await?.max(*seen);
            self.metrics.actions.inc();
        }
        Ok(())
    }
}

/// Sees that each running job is driven.
fn drive_new(executor: &Executor<RealMeta, RealServers>, catalog: &Catalog, driven: &mut Driven) {
    for job in catalog.jobs.values() {
        if job.state == JobState::Running {
            driven.entry(job.job_id).or_insert_with(|| {
                let (executor, job) = (executor.clone(), job.clone());
                let driving = tokio::spawn(async move { executor.drive(job).await });
                AbortOnDropHandle::new(driving)
            });
        }
    }
}
