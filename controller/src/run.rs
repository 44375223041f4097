//! A running controller: waits for the lease, then plans and acts again and again.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_meta_client::MetaClient;
use coterie_protocol::catalog::{Catalog, JobState};
use coterie_rpc::{Client, Credentials};
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

/// The longest and the shortest pause between two plans.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// How long the copy of the catalog may take to show a change that was just written.
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
    let credentials = Credentials::open(&config.cluster_token, &config.cluster_tls)?;
    let endpoint = Endpoint::start(config.http.as_deref()).await?;
    if let Some(certificate) = credentials.collector() {
        endpoint.metrics.register_collector(certificate);
    }
    let rpc = Client::new(credentials);
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
        // 0 means no holder. Chance practically never gives it.
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
    /// The address of `/metrics` and `/health`, if they are served.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().and_then(Endpoint::http_addr)
    }

    /// Stops, and releases the lease.
    pub async fn shutdown(self) {
        self.stop.cancel();
        // A panic of the task is in the log already.
        let _ = self.task.await;
        if let Some(endpoint) = self.endpoint {
            endpoint.shutdown().await;
        }
    }
}

/// The running jobs, each in a task.
type Driven = BTreeMap<JobId, AbortOnDropHandle<Result<Revision, Stop>>>;

struct Controller {
    meta: Arc<RealMeta>,
    servers: Arc<RealServers>,
    client: MetaClient,
    copy: watch::Receiver<Arc<Catalog>>,
    settings: Settings,
    /// This process as meta knows it: a random number.
    holder: u64,
    ttl: Duration,
    component: Component,
    metrics: ControllerMetrics,
}

impl Controller {
    async fn run(mut self, stop: CancellationToken) {
        let stopped = stop.clone();
        // On the heap: the future contains the futures of all steps.
        stopped
            .run_until_cancelled(Box::pin(self.run_for_ever()))
            .await;
        lease::release(&self.meta, self.holder).await;
    }

    async fn run_for_ever(&mut self) {
        loop {
            // A controller without the lease is ready too: it stands by.
            self.component.ready();
            let lease = lease::acquire(&self.meta, self.holder, self.ttl).await;
            let (fence, lost) = (lease.fence, lease.lost.clone());
            info!(fence, "this controller is active");
            self.metrics.active.set(1);
            let _keeper = self.keep(lease);
            lost.run_until_cancelled(self.lead(fence)).await;
            self.metrics.active.set(0);
            info!(fence, "this controller is no longer active");
        }
    }

    fn keep(&self, lease: Lease) -> AbortOnDropHandle<()> {
        let keeping = lease.keep(Arc::clone(&self.meta), self.holder, self.ttl);
        AbortOnDropHandle::new(tokio::spawn(keeping))
    }

    /// Plans and acts until another controller is active.
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
        // The memory of the previous controller is lost: every condition has to last again.
        let mut memory = Memory::default();
        // The copy may lack the last changes of the previous controller.
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
                        warn!(%stop, "only a part of the plan is carried out");
                        seen = self.newest().await.max(seen);
                    }
                }
            }
            if let Some(catalog) = self.catalog(seen).await {
                drive_new(&executor, &catalog, &mut driven);
                self.metrics.jobs_running.set(driven.len() as u64);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
            // An error means that the follower has ended. It lives as long as its receivers.
            let _ = tokio::time::timeout(LOOK_EVERY, self.copy.changed()).await;
        }
    }

    /// Meta's current revision. If meta does not answer, the copy has to do.
    async fn newest(&self) -> Revision {
        match self.client.read(READ_TIMEOUT).await {
            Ok(catalog) => catalog.revision,
            Err(error) => {
                warn!(%error, "cannot read the catalog");
                Revision(0)
            }
        }
    }

    /// Removes ended jobs from the list. A job that stopped half-way is then driven anew.
    async fn reap(&self, driven: &mut Driven, seen: &mut Revision) -> Result<(), Stop> {
        let ended = driven.extract_if(.., |_, task| task.is_finished());
        for (job_id, task) in ended.collect::<Vec<_>>() {
            match task.await {
                Ok(Ok(revision)) => *seen = revision.max(*seen),
                Ok(Err(Stop::Fenced)) => return Err(Stop::Fenced),
                Ok(Err(stop)) => {
                    warn!(%job_id, %stop, "a job stopped half-way, and is driven anew");
                    *seen = self.newest().await.max(*seen);
                }
                Err(panic) => {
                    warn!(%job_id, error = %panic, "a job stopped half-way, and is driven anew");
                    *seen = self.newest().await.max(*seen);
                }
            }
        }
        Ok(())
    }

    /// The copy of the catalog, once it has `revision`.
    async fn catalog(&mut self, revision: Revision) -> Option<Arc<Catalog>> {
        let newer = self.copy.wait_for(|copy| copy.revision >= revision);
        match tokio::time::timeout(COPY_TIMEOUT, newer).await {
            Ok(Ok(copy)) if copy.revision > Revision(0) => Some(Arc::clone(&copy)),
            _ => None,
        }
    }

    /// Plans by the current view, and carries the plan out.
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

/// Drives each running job that has no task yet.
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
