//! The scripts that run: listed, so that they can be ended and shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::scripts::{KilledScripts, RunningScript};
use coterie_redis_compat::{ScriptCall, ScriptSource};
use parking_lot::Mutex;

/// Bytes of a word that is shown, and words of a command, at most.
const WORD_BYTES_MAX: usize = 128;
const WORDS_MAX: usize = 32;

/// A script that runs.
#[derive(Debug)]
pub(crate) struct Running {
    number: u64,
    is_function: bool,
    name: Bytes,
    words: Vec<Bytes>,
    began: Instant,
    is_killed: AtomicBool,
}

impl Running {
    /// Whether it is to end.
    pub(crate) fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::Relaxed)
    }
}

/// All scripts that run here.
#[derive(Debug, Default)]
pub(super) struct Register {
    running: Mutex<BTreeMap<u64, Arc<Running>>>,
    begun: AtomicU64,
}

impl Register {
    pub(super) fn begin(&self, call: &ScriptCall<'_>) -> Arc<Running> {
        let (is_function, name) = match call.source {
            ScriptSource::Script(_) => (false, Bytes::new()),
            ScriptSource::Function { name, .. } => (true, short(name)),
        };
        // A slice of the frame, which lives as long as the call: copied only when asked for.
        let mut words = vec![match call.source {
            ScriptSource::Script(body) => body.clone(),
            ScriptSource::Function { name, .. } => name.clone(),
        }];
        words.push(Bytes::from(call.keys.len().to_string()));
        let rest = call.keys.iter().chain(call.args).take(WORDS_MAX);
        words.extend(rest.cloned());
        let running = Arc::new(Running {
            number: self.begun.fetch_add(1, Ordering::Relaxed),
            is_function,
            name,
            words,
            began: Instant::now(),
            is_killed: AtomicBool::new(false),
        });
        let mut all = self.running.lock();
        all.insert(running.number, Arc::clone(&running));
        running
    }

    /// Returns how long it ran.
    pub(super) fn end(&self, running: &Running) -> Duration {
        self.running.lock().remove(&running.number);
        running.began.elapsed()
    }

    pub(super) fn kill(&self, functions: bool, threshold: Duration) -> KilledScripts {
        let mut killed = KilledScripts::default();
        for running in self.running.lock().values() {
            if running.began.elapsed() < threshold {
                continue;
            }
            if running.is_function == functions {
                running.is_killed.store(true, Ordering::Relaxed);
                killed.killed += 1;
            } else {
                killed.others += 1;
            }
        }
        killed
    }

    pub(super) fn busy(&self, threshold: Duration) -> Vec<RunningScript> {
        let running: Vec<_> = self.running.lock().values().cloned().collect();
        let busy = running
            .into_iter()
            .filter(|running| running.began.elapsed() >= threshold);
        let shown = busy.map(|running| RunningScript {
            is_function: running.is_function,
            name: running.name.clone(),
            words: running.words.iter().map(short).collect(),
            millis: u64::try_from(running.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        shown.collect()
    }
}

fn short(word: &Bytes) -> Bytes {
    Bytes::copy_from_slice(&word[..word.len().min(WORD_BYTES_MAX)])
}

/// The script that a group waits for, if any.
#[derive(Debug)]
pub(crate) struct Busy {
    started: Instant,
    /// Milliseconds since `started` when it began, plus one, times two; odd for a function. 0 for
    /// none.
    began: AtomicU64,
}

impl Default for Busy {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            began: AtomicU64::new(0),
        }
    }
}

impl Busy {
    pub(super) fn begin(&self, running: &Running) {
        let millis = running.began.saturating_duration_since(self.started);
        let millis = u64::try_from(millis.as_millis()).unwrap_or(0) + 1;
        let began = 2 * millis + u64::from(running.is_function);
        self.began.store(began, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.began.store(0, Ordering::Relaxed);
    }

    /// Whether a script runs, and has run for so long; then whether it is a function.
    pub(crate) fn is_over(&self, threshold: impl FnOnce() -> Option<Duration>) -> Option<bool> {
        let began = self.began.load(Ordering::Relaxed);
        if began == 0 {
            return None;
        }
        let since = Duration::from_millis(began / 2 - 1);
        let ran = self.started.elapsed().saturating_sub(since);
        (ran >= threshold()?).then_some(began % 2 == 1)
    }
}
