//! The log engine and its only writer thread.
//!
//! Rules: the writer thread calls a job's `done` after its bytes are durable (with
//! `Fsync::Always`), in the order in which the jobs were queued. The thread combines all queued
//! jobs (up to `BATCH_BYTES_MAX`) into a `LogBatch`, so that the appends of all groups share an
//! fsync. While an fsync is under way the next batch gathers: there is no artificial delay.
//!
//! After a failed write nothing more is written, since that would leave a hole;
//! [`LogEngine::failed`] reports the cause, and the process is to end. A failed fsync ends it at
//! once (`broken`).

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use coterie_types::GroupId;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use raft_engine::internals::EventListener;
use raft_engine::{Command, Engine, LogBatch, ReadableSize};
use tokio::sync::watch;
use tracing::{error, info};

use super::broken::{self, OpenEngine};
use super::damage::{self, Tail};
use super::end::{End, Written};
use super::fault::FaultyDisk;
use super::keys::{PURGED_KEY, VOTE_KEY, lost_tail};
use super::record::{Record, Records};
use crate::cpu_wait::cpu_wait;
use crate::latency::Latency;
use crate::{Fsync, RaftConfig, RaftError};

/// Called with the outcome once a job is durable.
pub(crate) type Done = Box<dyn FnOnce(std::io::Result<()>) + Send>;

/// Bound of the job queue; a full queue blocks the groups' tasks.
const QUEUE_JOBS_MAX: usize = 16 * 1024;
/// Bytes combined into a single write at most.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// How long stopped groups may take to release the log.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often expired log files are purged.
const PURGE_FILES_PERIOD: Duration = Duration::from_secs(5);
/// Total size above which raft-engine deletes old files and rewrites their few live entries. Larger
/// than the log that a few groups retain; otherwise it would rewrite live log for ever.
const PURGE_THRESHOLD: ReadableSize = ReadableSize::gb(4);

pub(super) enum Job {
    Append {
        group: GroupId,
        records: Vec<Record>,
        bytes: usize,
        done: Done,
    },
    Put {
        group: GroupId,
        key: &'static [u8],
        value: Vec<u8>,
        done: Option<Done>,
    },
    /// Drop entries below `index`.
    Compact {
        group: GroupId,
        index: u64,
        purged: Vec<u8>,
        done: Option<Done>,
    },
    /// Write nothing; done when all earlier jobs are written.
    Settle { done: Done },
    /// End the thread after all earlier jobs are written.
    Stop { done: Done },
    /// Delete everything of the group except the listed keys.
    Clean {
        group: GroupId,
        keep: Vec<(&'static [u8], Vec<u8>)>,
        done: Done,
    },
}

/// A handle: cheap to clone; the thread ends when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct LogEngine {
    engine: Arc<OpenEngine>,
    jobs: Sender<Job>,
    latency: Arc<Latency>,
    dir: PathBuf,
    /// The cause of a failed write.
    failure: watch::Receiver<Option<String>>,
}

impl LogEngine {
    /// Opens or creates the engine in `dir` and starts the writer. A torn tail, which was never
    /// acknowledged, is truncated; damage before it is an error.
    ///
    /// If acknowledged records may be lost at the tail, every group that has a log or is listed in
    /// `groups` is marked accordingly before anything else is written (`lost_tail`).
    pub(crate) fn open(
        dir: &Path,
        settings: &RaftConfig,
        groups: &[GroupId],
    ) -> Result<Self, RaftError> {
        let fsync = settings.fsync;
        let Opened {
            engine,
            end,
            written,
            faults,
        } = Opened::open(dir, settings, groups)?;
        if fsync == Fsync::Never {
            tracing::warn!("fsync is off: a power failure loses acknowledged writes");
        }
        let (jobs, queue) = crossbeam_channel::bounded(QUEUE_JOBS_MAX);
        let latency = Arc::new(Latency::new());
        let (failed, failure) = watch::channel(None);
        let writer = Writer {
            engine: Arc::clone(&engine),
            queue,
            latency: Arc::clone(&latency),
            sync: fsync == Fsync::Always,
            end,
            written,
            faults,
            failed,
        };
        let purged = Arc::downgrade(&engine);
        let (running, stopped) = crossbeam_channel::bounded(0);
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run(running))?;
        std::thread::Builder::new()
            .name("log-purger".to_owned())
            .spawn(move || purge_files(&purged, &stopped))?;
        Ok(Self {
            engine,
            jobs,
            latency,
            dir: dir.to_path_buf(),
            failure,
        })
    }

    pub(super) fn submit(&self, job: Job) -> std::io::Result<()> {
        self.jobs
            .send(job)
            .map_err(|_| std::io::Error::other("log writer stopped"))
    }

    /// Submits a job and waits until it is durable.
    pub(super) async fn submit_and_wait(
        &self,
        job: impl FnOnce(Done) -> Job,
    ) -> std::io::Result<()> {
        let (tx, rx) = tokio::sync::oneshot::channel();
        // The receiver is gone if its caller was cancelled.
        let done: Done = Box::new(move |result| drop(tx.send(result)));
        self.submit(job(done))?;
        rx.await
            .map_err(|_| std::io::Error::other("log writer stopped"))?
    }

    /// Waits until all jobs queued so far are durable.
    pub(crate) async fn settle(&self) -> std::io::Result<()> {
        self.submit_and_wait(|done| Job::Settle { done }).await
    }

    pub(super) fn get(&self, group: GroupId, key: &[u8]) -> Option<Vec<u8>> {
        self.engine.get(group.0, key)
    }

    pub(super) fn span(&self, group: GroupId) -> Option<(u64, u64)> {
        Some((
            self.engine.first_index(group.0)?,
            self.engine.last_index(group.0)?,
        ))
    }

    /// Reads entries `start..end` from disk; up to `bytes_max`, but at least one entry.
    pub(super) fn fetch(
        &self,
        group: GroupId,
        start: u64,
        end: u64,
        bytes_max: Option<usize>,
    ) -> std::io::Result<Vec<Record>> {
        let mut records = Vec::new();
        self.engine
            .fetch_entries_to::<Records>(group.0, start, end, bytes_max, &mut records)
            .map_err(std::io::Error::other)?;
        Ok(records)
    }

    /// The groups that may have lost acknowledged records.
    #[cfg(test)]
    pub(super) fn lost_groups(&self) -> Vec<GroupId> {
        let groups = self.engine.raft_groups().into_iter().map(GroupId);
        let (key, lost) = lost_tail();
        let is_lost = |group: &GroupId| self.get(*group, key).as_ref() == Some(&lost);
        groups.filter(is_lost).collect()
    }

    /// Whether the log holds a vote or entries of the group.
    pub(crate) fn knows(&self, group: GroupId) -> bool {
        self.span(group).is_some() || self.get(group, VOTE_KEY).is_some()
    }

    /// Ends the writer, and waits until the tasks of stopped groups have released the log. The
    /// directory's lock is released with the last handle, which the caller then holds.
    pub(crate) async fn close(&self) -> std::io::Result<()> {
        self.submit_and_wait(|done| Job::Stop { done }).await?;
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        while Arc::strong_count(&self.engine) > 1 {
            if Instant::now() > deadline {
                return Err(std::io::Error::other("something still holds the log"));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Resolves to the cause when the log can no longer be written.
    pub(crate) fn failed(&self) -> impl Future<Output = RaftError> + Send + use<> {
        let (mut failure, dir) = (self.failure.clone(), self.dir.clone());
        async move {
            let failed = failure.wait_for(Option::is_some).await;
            let reason = failed.map(|reason| reason.clone()).ok().flatten();
            match reason {
                Some(reason) => RaftError::LogFailed { dir, reason },
                // The log was closed.
                None => std::future::pending().await,
            }
        }
    }

    /// Mean microseconds of a write and its fsync over the last seconds, excluding waits for a CPU;
    /// 0 without any write.
    pub(crate) fn write_micros(&self) -> u64 {
        self.latency.mean_micros()
    }

    /// Bytes of the log's files.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.engine.get_used_size() as u64
    }
}

/// The engine, and the state that belongs to its files.
struct Opened {
    engine: Arc<OpenEngine>,
    end: End,
    written: Arc<Written>,
    faults: Option<Arc<FaultyDisk>>,
}

impl Opened {
    /// See [`LogEngine::open`].
    fn open(dir: &Path, settings: &RaftConfig, groups: &[GroupId]) -> Result<Self, RaftError> {
        let config = raft_engine::Config {
            dir: dir.to_string_lossy().into_owned(),
            purge_threshold: PURGE_THRESHOLD,
            // The writer itself requests an fsync per batch.
            bytes_per_sync: None,
            target_file_size: ReadableSize::mb(64),
            ..raft_engine::Config::default()
        };
        let started = Instant::now();
        std::fs::create_dir_all(dir)?;
        let (end, known) = End::open(dir)?;
        let (tail, ends_at) = damage::check(dir, known)?;
        let written = Arc::new(Written::default());
        written.set(ends_at);
        end.note_opened(ends_at, tail == Tail::Lost)?;
        let mut listeners: Vec<Arc<dyn EventListener>> = vec![Arc::clone(&written) as _];
        let mut faults = None;
        if let Some(path) = &settings.fault_log_delay_file {
            tracing::warn!(path = %path.display(), "the log is as slow as this file says");
            let disk = Arc::new(FaultyDisk::new(path.clone()));
            listeners.push(Arc::clone(&disk) as Arc<dyn EventListener>);
            faults = Some(disk);
        }
        let engine = Engine::open_with_listeners(config, listeners)?;
        let engine = Arc::new(OpenEngine::new(engine, dir));
        if tail == Tail::Lost {
            mark_lost(&engine, groups)?;
            end.note_opened(written.last(), false)?;
        }
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(
            groups = engine.raft_groups().len(),
            elapsed_ms, "log engine opened"
        );
        Ok(Self {
            engine,
            end,
            written,
            faults,
        })
    }
}

/// Marks groups whose last acknowledged records may be lost.
fn mark_lost(engine: &Engine, groups: &[GroupId]) -> raft_engine::Result<()> {
    let mut batch = LogBatch::default();
    let logged = engine.raft_groups().into_iter().map(GroupId);
    let all: BTreeSet<GroupId> = logged.chain(groups.iter().copied()).collect();
    for group in &all {
        let (key, value) = lost_tail();
        batch.put(group.0, key.to_vec(), value)?;
    }
    if all.is_empty() {
        Ok(())
    } else {
        engine.write(&mut batch, true).map(drop)
    }
}

/// Deletes files that no group needs, as long as the writer runs. On its own thread: it may have to
/// rewrite old entries, and no append should wait for that.
fn purge_files(engine: &Weak<OpenEngine>, stopped: &Receiver<()>) {
    broken::end_process_on_panic();
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(PURGE_FILES_PERIOD) {
        let Some(engine) = engine.upgrade() else {
            return;
        };
        if let Err(error) = engine.purge_expired_files() {
            error!(%error, "expired log files not purged");
        }
    }
}

struct Writer {
    engine: Arc<OpenEngine>,
    queue: Receiver<Job>,
    latency: Arc<Latency>,
    sync: bool,
    end: End,
    written: Arc<Written>,
    faults: Option<Arc<FaultyDisk>>,
    /// The cause of a failed write. A later write would leave a hole, so nothing more is written.
    failed: watch::Sender<Option<String>>,
}

impl Writer {
    fn run(mut self, _running: Sender<()>) {
        broken::end_process_on_panic();
        while let Ok(job) = self.queue.recv() {
            if let Some(stopped) = self.write(job) {
                self.close();
                drop(self);
                return stopped(Ok(()));
            }
        }
    }

    /// Writes all queued jobs; returns the `done` of a stop job if the thread is to end.
    fn write(&mut self, first: Job) -> Option<Done> {
        let (mut batch, mut dones, mut bytes) = (LogBatch::default(), Vec::new(), 0);
        let mut next = Some(first);
        let mut stop = None;
        while let Some(job) = next {
            if let Job::Stop { done } = job {
                stop = Some(done);
                break;
            }
            match add(&mut batch, job) {
                Ok((added, done)) => {
                    bytes += added;
                    dones.extend(done);
                }
                Err((error, done)) => {
                    self.fail(&error);
                    dones.extend(done);
                }
            }
            let more = bytes < BATCH_BYTES_MAX;
            next = more.then(|| self.queue.try_recv().ok()).flatten();
        }
        // raft-engine treats an empty batch as an error.
        if self.failed.borrow().is_none() && !batch.is_empty() {
            let (started, waited) = (Instant::now(), cpu_wait());
            if let Err(error) = self.persist(&mut batch) {
                self.fail(&error);
            }
            let waited = cpu_wait().saturating_sub(waited);
            self.latency
                .record(started.elapsed().saturating_sub(waited));
        }
        let failed = self.failed.borrow().clone();
        for done in dones {
            let failed = failed.clone();
            done(failed.map_or(Ok(()), |reason| Err(std::io::Error::other(reason))));
        }
        stop
    }

    fn persist(&self, batch: &mut LogBatch) -> raft_engine::Result<()> {
        if let Some(faults) = &self.faults {
            faults.check()?;
        }
        self.engine.write(batch, self.sync)?;
        Ok(self.end.note(self.written.last())?)
    }

    /// Notes the end of the log, if all of it is durable.
    fn close(&self) {
        if self.sync
            && self.failed.borrow().is_none()
            && let Err(error) = self.end.note_closed(self.written.last())
        {
            // The next start then treats the earlier note as a lower bound only.
            error!(%error, "the end of the log is not noted");
        }
    }

    fn fail(&self, error: &raft_engine::Error) {
        if self.failed.borrow().is_none() {
            error!(%error, "log not written: this node takes no more entries");
            self.failed.send_replace(Some(error.to_string()));
        }
    }
}

type Added = Result<(usize, Option<Done>), (raft_engine::Error, Option<Done>)>;

fn add(batch: &mut LogBatch, job: Job) -> Added {
    match job {
        Job::Append {
            group,
            records,
            bytes,
            done,
        } => match batch.add_entries::<Records>(group.0, &records) {
            Ok(()) => Ok((bytes, Some(done))),
            Err(error) => Err((error, Some(done))),
        },
        Job::Put {
            group,
            key,
            value,
            done,
        } => match batch.put(group.0, key.to_vec(), value) {
            Ok(()) => Ok((64, done)),
            Err(error) => Err((error, done)),
        },
        Job::Compact {
            group,
            index,
            purged,
            done,
        } => {
            batch.add_command(group.0, Command::Compact { index });
            match batch.put(group.0, PURGED_KEY.to_vec(), purged) {
                Ok(()) => Ok((64, done)),
                Err(error) => Err((error, done)),
            }
        }
        Job::Clean { group, keep, done } => {
            batch.add_command(group.0, Command::Clean);
            let mut keep = keep.into_iter();
            match keep.try_for_each(|(key, value)| batch.put(group.0, key.to_vec(), value)) {
                Ok(()) => Ok((64, Some(done))),
                Err(error) => Err((error, Some(done))),
            }
        }
        Job::Settle { done } | Job::Stop { done } => Ok((0, Some(done))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(1);

    async fn put(engine: &LogEngine, value: &[u8]) -> std::io::Result<()> {
        let value = value.to_vec();
        let put = |done| Job::Put {
            group: GROUP,
            key: b"key",
            value,
            done: Some(done),
        };
        engine.submit_and_wait(put).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn after_a_write_that_failed_nothing_is_written_and_it_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (log, fault) = (dir.path().join("log"), dir.path().join("fault"));
        let settings = RaftConfig {
            fault_log_delay_file: Some(fault.clone()),
            ..RaftConfig::default()
        };
        let engine = LogEngine::open(&log, &settings, &[]).unwrap();
        let failed = tokio::spawn(engine.failed());
        std::fs::write(&fault, "fail").unwrap();
        put(&engine, b"not written").await.unwrap_err();
        let told = failed.await.unwrap().to_string();
        assert!(told.contains(&log.display().to_string()), "{told}");
        assert!(told.contains("told to fail"), "{told}");

        std::fs::write(&fault, "").unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        put(&engine, b"after a hole").await.unwrap_err();
        engine.close().await.unwrap();
        drop(engine);
        let engine = LogEngine::open(&log, &settings, &[]).unwrap();
        assert_eq!(engine.get(GROUP, b"key"), None);
        put(&engine, b"written").await.unwrap();
        engine.close().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_log_that_was_closed_has_not_failed() {
        let dir = tempfile::tempdir().unwrap();
        let engine = LogEngine::open(dir.path(), &RaftConfig::default(), &[]).unwrap();
        let failed = tokio::spawn(engine.failed());
        put(&engine, b"written").await.unwrap();
        engine.close().await.unwrap();
        drop(engine);
        tokio::task::yield_now().await;
        assert!(!failed.is_finished());
        failed.abort();
    }
}
