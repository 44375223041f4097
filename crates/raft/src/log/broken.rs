//! The effect of raft-engine's panics. It panics when an fsync fails, since the state of the disk
//! is then unknown.
//!
//! On the threads that write the log, the panic ends the process at once: a panic hook aborts
//! before the backtrace is made, which takes seconds in a large binary while the other threads
//! still answer.
//!
//! When the log is closed because the process ends for another reason, a panic must not turn that
//! exit into an abort. So [`OpenEngine`] syncs the files itself first, and does not close an engine
//! whose disk fails: closing it would panic in each of its two queues, the second time while
//! unwinding.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;

use raft_engine::Engine;
use tracing::error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnPanic {
    /// The previous hook decides.
    Report,
    EndProcess,
    /// The panic is caught, and its catcher reports it.
    Catch,
}

thread_local! {
    static ON_PANIC: Cell<OnPanic> = const { Cell::new(OnPanic::Report) };
}

/// From now on a panic of this thread ends the process.
pub(super) fn end_process_on_panic() {
    install_hook();
    ON_PANIC.set(OnPanic::EndProcess);
}

/// Runs `work`; `None` if it panicked. Neither message nor backtrace is printed.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    install_hook();
    let before = ON_PANIC.replace(OnPanic::Catch);
    let done = catch_unwind(AssertUnwindSafe(work));
    ON_PANIC.set(before);
    done.ok()
}

fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = std::panic::take_hook();
        let hook = move |panic: &PanicHookInfo<'_>| match ON_PANIC.get() {
            OnPanic::Report => before(panic),
            OnPanic::EndProcess => {
                error!(%panic, "the log cannot be written: the process ends at once");
                std::process::abort();
            }
            OnPanic::Catch => {}
        };
        std::panic::set_hook(Box::new(hook));
    });
}

/// The log engine while it is open; see the module's head for closing it.
pub(super) struct OpenEngine {
    engine: Option<Engine>,
    dir: PathBuf,
}

impl OpenEngine {
    /// The engine of the files in `dir`.
    pub(super) fn new(engine: Engine, dir: &Path) -> Self {
        Self {
            engine: Some(engine),
            dir: dir.to_path_buf(),
        }
    }
}

/// Syncs every file of the engine; unlike raft-engine's own fsync it returns an error instead of
/// panicking.
fn sync_files(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let extension = path.extension().and_then(OsStr::to_str);
        if matches!(extension, Some("raftlog" | "rewrite")) {
            File::open(path)?.sync_data()?;
        }
    }
    Ok(())
}

impl Deref for OpenEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        self.engine.as_ref().expect("only dropping takes it")
    }
}

impl Drop for OpenEngine {
    fn drop(&mut self) {
        let Some(engine) = self.engine.take() else {
            return;
        };
        let synced = sync_files(&self.dir);
        // A directory that was removed meanwhile is not a failing disk.
        if let Err(error) = synced
            && error.kind() != io::ErrorKind::NotFound
        {
            error!(%error, "the log is not closed, as its disk fails");
            // The files stay open, and the directory locked, until the process ends.
            std::mem::forget(engine);
        } else if caught(|| drop(engine)).is_none() {
            error!("the log was not closed cleanly");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_is_caught_changes_nothing_for_later_ones() {
        assert_eq!(caught(|| 1), Some(1));
        assert_eq!(caught::<()>(|| panic!("as a failed fsync does")), None);
        assert_eq!(ON_PANIC.get(), OnPanic::Report);
    }
}
