//! The scripts and functions that this node runs: those of frames that go through the log
//! (`replica/scripting.rs`), and those of reads (`replica/read.rs`).
//!
//! A script runs on a thread where it may block, with a [`Worker`] of its own: an engine with what
//! it has compiled. Workers are kept for the next scripts. Every running script is listed here, so
//! that `SCRIPT KILL` finds it.

mod host;
mod running;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coterie_group::{Ended, ScriptEngine, ScriptState};
use coterie_protocol::objects::ObjectKind;
use coterie_protocol::scripts::{KilledScripts, RunningScript};
use coterie_redis_compat::{Resp, ScriptCall};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

pub(crate) use host::Watch;
pub(crate) use running::{Busy, Running};

use crate::addresses::Addresses;
use host::ScriptHost;
use running::Register;
use worker::Worker;

/// Workers that are kept while no script runs.
const IDLE_MAX: usize = 4;
/// Scripts of reads that run at a time; others wait.
const READS_MAX: usize = 8;
/// From here on a script is busy, unless CONFIG says otherwise.
const BUSY_REPLY_THRESHOLD: Duration = Duration::from_secs(5);
/// The name of the parameter.
const BUSY_PARAMETER: &[u8] = b"busy-reply-threshold";

/// See the module's head.
pub(crate) struct Scripts {
    addresses: Addresses,
    idle: Mutex<Vec<Worker>>,
    register: Register,
    /// Permits for the scripts of reads.
    pub(crate) reads: Arc<Semaphore>,
    /// Scripts and functions that have ended.
    pub(crate) runs_total: AtomicU64,
    /// The time they took, in microseconds.
    pub(crate) run_micros_total: AtomicU64,
    /// Scripts and functions that were ended from outside.
    pub(crate) killed_total: AtomicU64,
}

impl Scripts {
    pub(crate) fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            idle: Mutex::default(),
            register: Register::default(),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            runs_total: AtomicU64::new(0),
            run_micros_total: AtomicU64::new(0),
            killed_total: AtomicU64::new(0),
        }
    }

    /// How long a script may run until others are told that it is busy; `None` for any time.
    pub(crate) fn busy_threshold(&self) -> Option<Duration> {
        let catalog = self.addresses.catalog();
        let set = catalog.object(ObjectKind::Config, BUSY_PARAMETER);
        let set = set.and_then(|value| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
        match set {
            None => Some(BUSY_REPLY_THRESHOLD),
            Some(0) => None,
            Some(millis) => Some(Duration::from_millis(millis)),
        }
    }

    /// Ends the scripts, or the functions, that are busy.
    pub(crate) fn kill(&self, functions: bool) -> KilledScripts {
        match self.busy_threshold() {
            Some(threshold) => self.register.kill(functions, threshold),
            None => KilledScripts::default(),
        }
    }

    /// The scripts and functions that are busy.
    pub(crate) fn busy(&self) -> Vec<RunningScript> {
        let threshold = self.busy_threshold();
        threshold.map_or_else(Vec::new, |threshold| self.register.busy(threshold))
    }

    /// Calls `with` with an engine. `busy` shows the script that runs to others.
    pub(crate) fn with_engine<T>(
        &self,
        busy: Option<&Busy>,
        watch: &mut dyn Watch,
        with: impl FnOnce(&mut dyn ScriptEngine) -> T,
    ) -> T {
        let worker = self.idle.lock().pop();
        let mut seat = Seat {
            worker: worker.unwrap_or_default(),
            scripts: self,
            busy,
            watch,
        };
        let done = with(&mut seat);
        let Seat { worker, .. } = seat;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(worker);
        }
        done
    }
}

/// Where a script runs.
struct Seat<'a> {
    worker: Worker,
    scripts: &'a Scripts,
    busy: Option<&'a Busy>,
    watch: &'a mut dyn Watch,
}

impl ScriptEngine for Seat<'_> {
    fn begin_frame(&mut self, frame: usize) {
        self.watch.begin_frame(frame);
    }

    fn run(
        &mut self,
        call: &ScriptCall<'_>,
        state: &mut ScriptState<'_, '_>,
        resp: Resp,
        out: &mut bytes::BytesMut,
    ) -> Ended {
        let scripts = self.scripts;
        let running = scripts.register.begin(call);
        if let Some(busy) = self.busy {
            busy.begin(&running);
        }
        let mut host = ScriptHost::new(state, &running, self.watch);
        let ended = self.worker.run(call, resp, &mut host, out);
        if let Some(busy) = self.busy {
            busy.end();
        }
        let took = scripts.register.end(&running);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        scripts.runs_total.fetch_add(1, Ordering::Relaxed);
        scripts
            .run_micros_total
            .fetch_add(micros, Ordering::Relaxed);
        let is_killed = ended == Ended::FromOutside;
        scripts
            .killed_total
            .fetch_add(u64::from(is_killed), Ordering::Relaxed);
        ended
    }
}
