//! A process of a test: started, signalled and started again under the same name, its output
//! appended to the same file over all its lives. Dropping it ends the process.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::{spawn, vitals, wait};

/// A program, its command line, and its running child if it was started.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Describes a process; [`Self::start`] starts it. `log` gets its standard output and error.
    #[must_use]
    pub fn new(name: &str, program: &Path, log: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            log,
            child: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = A>, A: Into<OsString>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Replaces all arguments, from the next start on.
    pub fn set_args(&mut self, args: Vec<String>) {
        self.args = args.into_iter().map(Into::into).collect();
    }

    /// Another process with the command line of this process, except for the values of some flags.
    #[must_use]
    pub fn variant(&self, name: &str, changes: &[(&str, &str)]) -> Self {
        let mut args = self.args.clone();
        for (flag, value) in changes {
            if let Some(at) = args.iter().position(|arg| arg == flag) {
                args[at + 1] = value.into();
            }
        }
        Self {
            name: name.to_owned(),
            program: self.program.clone(),
            args,
            env: self.env.clone(),
            log: self.log.with_file_name(format!("{name}.log")),
            child: None,
        }
    }

    /// The whole output of all its lives.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its resident memory, in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let pid = self.pid().context("not running")?;
        Ok(vitals::of(pid)?.memory)
    }

    /// The number of its open files and sockets.
    pub fn open_files(&self) -> anyhow::Result<usize> {
        let pid = self.pid().context("not running")?;
        Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its name in this test.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file of its output.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its pid, from the start until [`Self::kill`], even after it has ended by itself.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts the process. An error if it runs already.
    pub fn start(&mut self) -> anyhow::Result<()> {
        ensure!(!self.is_running(), "{} runs already", self.name);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let mut command = spawn::command(&self.program);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = spawn::spawn(command);
        self.child = Some(child.with_context(|| format!("start {}", self.name))?);
        Ok(())
    }

    /// Whether it has not ended; a paused process counts as running.
    pub fn is_running(&mut self) -> bool {
        let Some(child) = &mut self.child else {
            return false;
        };
        matches!(child.try_wait(), Ok(None))
    }

    /// The exit status of its last life, if that has ended.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok()?
    }

    /// `kill -9`, and waits for the end. Does nothing if the process does not run.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// `SIGSTOP`: it does not run, and its connections stay open.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// `SIGCONT`.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// `SIGTERM`, and waits for the end.
    pub fn terminate(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_for_end(within)
    }

    /// Waits until the process ends by itself.
    pub fn wait_for_end(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let what = format!("{} ends (log: {})", self.name, self.log.display());
        wait::until(&what, within, || {
            self.exit_status().context("still running")
        })
    }

    fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if !self.is_running() {
            bail!("{} is not running (log: {})", self.name, self.log.display());
        }
        let pid = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        kill_process(pid.context("no pid")?, signal)
            .with_context(|| format!("send {signal:?} to {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(dir: &Path) -> Process {
        Process::new("sleeper", Path::new("sleep"), dir.join("log")).args(["600"])
    }

    #[test]
    fn a_killed_process_can_be_started_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut process = sleeper(dir.path());
        assert!(!process.is_running());
        process.start().expect("starts");
        assert!(process.is_running() && process.start().is_err());
        process.kill();
        assert!(!process.is_running());
        process.start().expect("starts again");
        let status = process.terminate(Duration::from_secs(5)).expect("ends");
        assert!(!status.success(), "ended by a signal");
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut process = sleeper(dir.path());
        process.start().expect("starts");
        let proc_dir = format!("/proc/{}", process.pid().expect("a pid"));
        process.pause().expect("stops");
        drop(process);
        assert!(!Path::new(&proc_dir).exists());
    }
}
