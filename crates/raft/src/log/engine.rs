//! The log engine and its one writer thread.
//!
//! Rules: a job's `done` is called after its bytes are durable (with `Fsync::Always`), in the order
//! the jobs were queued, from the writer thread; the thread takes everything that is queued (up to
//! `BATCH_BYTES_MAX`) into one `LogBatch`, so that the appends of all groups share one fsync.
//! While one fsync is under way the next batch gathers: no artificial delay.
//!
//! raft-engine panics when fdatasync fails. That is meant: after a failed fsync nobody knows what
//! is on disk, and the process must not go on.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_types::GroupId;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use raft_engine::{Command, Engine, LogBatch, ReadableSize};
use tracing::{error, info};

use super::record::{Record, Records};
use crate::{Fsync, RaftError};

/// Called with the outcome once a job is durable.
pub(crate) type Done = Box<dyn FnOnce(std::io::Result<()>) + Send>;

/// Jobs queued at most; a full queue holds the groups' tasks back.
const QUEUE_JOBS_MAX: usize = 16 * 1024;
/// Bytes gathered into one write at most.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// How often expired log files are looked for.
const PURGE_FILES_PERIOD: Duration = Duration::from_secs(5);
/// Total size above which raft-engine drops and rewrites old files.
const PURGE_THRESHOLD: ReadableSize = ReadableSize::mb(256);

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
    /// Entries below `index` may go.
    Compact {
        group: GroupId,
        index: u64,
        purged: Vec<u8>,
        done: Option<Done>,
    },
    /// End the thread; what was queued before is written.
    Stop { done: Done },
    /// Forget the group: entries, vote and all.
    Clean { group: GroupId, done: Done },
}

/// A handle: cheap to clone; the thread ends when the last one is gone.
#[derive(Clone)]
pub(crate) struct LogEngine {
    engine: Arc<Engine>,
    jobs: Sender<Job>,
}

impl LogEngine {
    /// Opens (or makes) the engine in `dir` and starts the writer. A torn tail, which was never
    /// acknowledged, is cut; damage before it is an error.
    pub(crate) fn open(dir: &Path, fsync: Fsync) -> Result<Self, RaftError> {
        let config = raft_engine::Config {
            dir: dir.to_string_lossy().into_owned(),
            purge_threshold: PURGE_THRESHOLD,
            // One write per batch is fsynced by the writer itself.
            bytes_per_sync: None,
            target_file_size: ReadableSize::mb(64),
            ..raft_engine::Config::default()
        };
        let started = Instant::now();
        let engine = Arc::new(Engine::open(config)?);
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(
            groups = engine.raft_groups().len(),
            elapsed_ms, "log engine opened"
        );
        if fsync == Fsync::Never {
            tracing::warn!("fsync is off: a power failure loses acknowledged writes");
        }
        let (jobs, queue) = crossbeam_channel::bounded(QUEUE_JOBS_MAX);
        let writer = Writer {
            engine: Arc::clone(&engine),
            queue,
            sync: fsync == Fsync::Always,
        };
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self { engine, jobs })
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
        // The receiver may be gone: its caller was cancelled.
        let done: Done = Box::new(move |result| drop(tx.send(result)));
        self.submit(job(done))?;
        rx.await
            .map_err(|_| std::io::Error::other("log writer stopped"))?
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

    /// Entries `start..end` from disk; up to `bytes_max`, but at least one.
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

    /// Whether the group has anything here: a vote or entries.
    pub(crate) fn knows(&self, group: GroupId) -> bool {
        self.span(group).is_some() || self.get(group, super::store::VOTE_KEY).is_some()
    }

    /// Forgets a group whose replica is destroyed.
    pub(crate) async fn clean(&self, group: GroupId) -> std::io::Result<()> {
        self.submit_and_wait(|done| Job::Clean { group, done })
            .await
    }

    /// Ends the writer. The directory's lock goes with the last handle.
    pub(crate) async fn close(&self) -> std::io::Result<()> {
        self.submit_and_wait(|done| Job::Stop { done }).await
    }

    /// Bytes of the log's files.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.engine.get_used_size() as u64
    }
}

struct Writer {
    engine: Arc<Engine>,
    queue: Receiver<Job>,
    sync: bool,
}

impl Writer {
    fn run(self) {
        let mut purged_at = Instant::now();
        loop {
            match self.queue.recv_timeout(PURGE_FILES_PERIOD) {
                Ok(job) => {
                    if let Some(stopped) = self.write(job) {
                        drop(self);
                        return stopped(Ok(()));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if purged_at.elapsed() >= PURGE_FILES_PERIOD {
                purged_at = Instant::now();
                if let Err(error) = self.engine.purge_expired_files() {
                    error!(%error, "expired log files not purged");
                }
            }
        }
    }

    /// Writes what is queued; answers whom to tell when the thread is to end.
    fn write(&self, first: Job) -> Option<Done> {
        let mut batch = LogBatch::default();
        let mut dones = Vec::new();
        let mut bytes = 0;
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
                    if let Some(done) = done {
                        done(Err(std::io::Error::other(error)));
                    }
                }
            }
            next = if bytes < BATCH_BYTES_MAX {
                self.queue.try_recv().ok()
            } else {
                None
            };
        }
        // An empty batch would be an error of its own in raft-engine.
        let result = if batch.is_empty() {
            Ok(0)
        } else {
            self.engine.write(&mut batch, self.sync)
        };
        if let Err(error) = &result {
            error!(%error, "log not written");
        }
        for done in dones {
            done(
                result
                    .as_ref()
                    .map(|_| ())
                    .map_err(|e| std::io::Error::other(e.to_string())),
            );
        }
        stop
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
            match batch.put(group.0, super::store::PURGED_KEY.to_vec(), purged) {
                Ok(()) => Ok((64, done)),
                Err(error) => Err((error, done)),
            }
        }
        Job::Clean { group, done } => {
            batch.add_command(group.0, Command::Clean);
            Ok((64, Some(done)))
        }
        Job::Stop { done } => Ok((0, Some(done))),
    }
}
