//! openraft's state machine over a [`StateMachine`]: decodes entries, keeps the `applied` blob,
//! answers proposals, provides snapshots.
//!
//! There are two kinds of snapshot in a single openraft type. `build_snapshot` returns a snapshot
//! without files: it only tells openraft which entry is durable, so that the log below may be
//! purged (`purge`). `get_current_snapshot` returns a real checkpoint, made when a follower needs
//! it. An id beyond the durable state is never reported: openraft would install it at start.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use coterie_types::{LogIndex, Term};
use futures_util::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};

use crate::snapshot::SnapshotFiles;
use crate::type_config::{Answer, Applied, LogId, SnapshotMeta, StoredMembership, TypeConfig};
use crate::{Entry, Fault, StateMachine};

/// Most entries applied in a call of the state machine.
const APPLY_ENTRIES_MAX: usize = 256;

pub(crate) type TheSnapshot = openraft::alias::SnapshotOf<TypeConfig, SnapshotFiles>;

/// State of the state machine that other tasks read without waiting for it.
#[derive(Default)]
pub(crate) struct Progress {
    /// Term of the last entry applied.
    pub(crate) applied_term: AtomicU64,
    /// Index of the last entry applied.
    pub(crate) applied_index: AtomicU64,
    /// Index of the last entry known to be durable in the state machine.
    pub(crate) flushed_index: AtomicU64,
    /// The next snapshot without files shall begin a flush (`purge`), not only report the durable
    /// entry.
    pub(crate) flush_wanted: AtomicBool,
    /// The group runs: from now on openraft asks for snapshots only for followers.
    pub(crate) started: AtomicBool,
    /// Why the state machine stopped, if it did.
    pub(crate) fault: parking_lot::Mutex<Option<String>>,
}

impl Progress {
    fn applied(&self, log_id: Option<LogId>) {
        if let Some(log_id) = log_id {
            // The index first: a reader that sees the new term sees its index too.
            self.applied_index.store(log_id.index, Ordering::Release);
            self.applied_term
                .store(*log_id.leader_id, Ordering::Release);
        }
    }

    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.lock().clone()
    }
}

pub(crate) struct OpenraftMachine {
    /// A mutex of std, which remembers that its holder panicked.
    inner: Arc<Mutex<Box<dyn StateMachine>>>,
    applied: Applied,
    progress: Arc<Progress>,
    /// Where checkpoints for followers are made.
    snapshots: PathBuf,
}

impl OpenraftMachine {
    pub(crate) fn new(
        machine: Box<dyn StateMachine>,
        progress: Arc<Progress>,
        snapshots: PathBuf,
    ) -> io::Result<Self> {
        let applied = match machine.applied() {
            Some(blob) => Applied::decode(&blob)?,
            None => Applied::default(),
        };
        progress.applied(applied.log_id);
        let durable = applied.log_id.map_or(0, |log_id| log_id.index);
        progress.flushed_index.store(durable, Ordering::Release);
        Ok(Self {
            inner: Arc::new(Mutex::new(machine)),
            applied,
            progress,
            snapshots,
        })
    }

    /// Applies on this thread if that is quick: handing the runtime to another thread and back
    /// costs more than applying a small entry.
    fn apply_entries(&self, entries: Vec<Entry>) -> io::Result<Vec<Bytes>> {
        // The current holder of the lock may take long.
        if let Ok(mut machine) = self.inner.try_lock()
            && machine.is_quick(&entries)
        {
            return noted(&self.progress, "apply", machine.apply(entries));
        }
        self.run("apply", |machine| machine.apply(entries))
    }

    /// Runs `work` on the state machine while another thread takes over the runtime.
    fn run<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut dyn StateMachine) -> Result<T, Fault>,
    ) -> io::Result<T> {
        blocking(&self.inner, &self.progress, what, work)
    }
}

fn blocking<T>(
    inner: &Mutex<Box<dyn StateMachine>>,
    progress: &Progress,
    what: &'static str,
    work: impl FnOnce(&mut dyn StateMachine) -> Result<T, Fault>,
) -> io::Result<T> {
    let result = tokio::task::block_in_place(|| {
        // A state machine that panicked half-way must not be used again.
        let mut machine = inner
            .lock()
            .map_err(|_| Fault::from("state machine panicked"))?;
        work(machine.as_mut())
    });
    noted(progress, what, result)
}

/// Records why the state machine stopped, if it did.
fn noted<T>(progress: &Progress, what: &'static str, result: Result<T, Fault>) -> io::Result<T> {
    result.map_err(|fault| {
        tracing::error!(error = %fault, "{what} failed: the replica stops");
        *progress.fault.lock() = Some(format!("{what}: {fault}"));
        io::Error::other(format!("{what}: {fault}"))
    })
}

impl RaftStateMachine<TypeConfig> for OpenraftMachine {
    type SnapshotData = SnapshotFiles;
    type SnapshotBuilder = DurableMark;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied.log_id, self.applied.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut stream: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        loop {
            let mut entries = Vec::new();
            let mut responders = Vec::new();
            while entries.len() < APPLY_ENTRIES_MAX {
                let Some(item) = stream.next().await else {
                    break;
                };
                let (entry, responder) = item?;
                let log_id = entry.log_id;
                let payload = match entry.payload {
                    EntryPayload::Normal(payload) => Some(payload.0),
                    EntryPayload::Blank => None,
                    EntryPayload::Membership(membership) => {
                        self.applied.membership = StoredMembership::new(Some(log_id), membership);
                        None
                    }
                };
                self.applied.log_id = Some(log_id);
                let applied = self.applied.encode();
                let (term, index) = (Term(*log_id.leader_id), LogIndex(log_id.index));
                entries.push(Entry {
                    term,
                    index,
                    applied,
                    payload,
                });
                responders.push(responder);
            }
            if entries.is_empty() {
                return Ok(());
            }
            let answers = self.apply_entries(entries)?;
            self.progress.applied(self.applied.log_id);
            debug_assert_eq!(answers.len(), responders.len(), "one answer per entry");
            let answers = answers
                .into_iter()
                .chain(std::iter::repeat_with(Bytes::new));
            for (responder, answer) in responders.into_iter().zip(answers) {
                if let Some(responder) = responder {
                    responder.send(Answer(answer));
                }
            }
        }
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        DurableMark {
            inner: Arc::clone(&self.inner),
            progress: Arc::clone(&self.progress),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFiles,
    ) -> Result<(), io::Error> {
        let Some(dir) = snapshot.dir() else {
            return Err(io::Error::other(
                "a snapshot without files was sent to be installed",
            ));
        };
        self.run("install snapshot", |machine| machine.install(dir))?;
        self.applied = Applied {
            log_id: meta.last_log_id,
            membership: meta.last_membership.clone(),
        };
        self.progress.applied(self.applied.log_id);
        let index = self.applied.log_id.map_or(0, |log_id| log_id.index);
        self.progress.flushed_index.store(index, Ordering::Release);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<TheSnapshot>, io::Error> {
        let Some(log_id) = self.applied.log_id else {
            return Ok(None);
        };
        let meta = SnapshotMeta {
            last_log_id: self.applied.log_id,
            last_membership: self.applied.membership.clone(),
        };
        // At start openraft asks as well, to learn the applied entry.
        if !self.progress.started.load(Ordering::Acquire) {
            return Ok(Some(Snapshot {
                meta,
                snapshot: SnapshotFiles::none(),
            }));
        }
        let files = SnapshotFiles::temporary(&self.snapshots, log_id.index)?;
        let dir = files
            .dir()
            .map(std::path::Path::to_path_buf)
            .unwrap_or_default();
        self.run("checkpoint", |machine| machine.checkpoint(&dir))?;
        Ok(Some(Snapshot {
            meta,
            snapshot: files,
        }))
    }
}

/// Builds the snapshot without files: the id of the durable entry, after starting a flush if
/// requested.
pub(crate) struct DurableMark {
    inner: Arc<Mutex<Box<dyn StateMachine>>>,
    progress: Arc<Progress>,
}

impl RaftSnapshotBuilder<TypeConfig> for DurableMark {
    type SnapshotData = SnapshotFiles;

    async fn build_snapshot(&mut self) -> Result<TheSnapshot, io::Error> {
        let is_wanted = self.progress.flush_wanted.swap(false, Ordering::AcqRel);
        let blob = blocking(&self.inner, &self.progress, "flush", |machine| {
            if is_wanted {
                machine.flush()?;
            }
            machine.durable()
        })?;
        let durable = match blob {
            Some(blob) => Applied::decode(&blob)?,
            None => Applied::default(),
        };
        let index = durable.log_id.map_or(0, |log_id| log_id.index);
        self.progress.flushed_index.store(index, Ordering::Release);
        let meta = SnapshotMeta {
            last_log_id: durable.log_id,
            last_membership: durable.membership,
        };
        Ok(Snapshot {
            meta,
            snapshot: SnapshotFiles::none(),
        })
    }
}
