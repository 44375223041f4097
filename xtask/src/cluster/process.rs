//! A process of the cluster: starts it detached, finds out whether it runs, sends it signals.
//!
//! A pid is trusted only while `/proc` shows this member's command line for it: pids are reused,
//! and a signal to a foreign process is worse than none. Signals go through the shell's `kill`,
//! since the standard library has none.

use std::fmt;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::layout::Member;
use crate::Result;

/// How long a process may drain before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The state of a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    /// Running under this pid.
    Running(u32),
    /// Alive, but stopped by a signal.
    Paused(u32),
    /// No process with this command line.
    Stopped,
}

impl fmt::Display for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Liveness::Running(pid) => f.pad(&format!("up {pid}")),
            Liveness::Paused(pid) => f.pad(&format!("paused {pid}")),
            Liveness::Stopped => f.pad("stopped"),
        }
    }
}

/// Starts `member` in a process group of its own, its output into its log.
pub(super) fn start(member: &Member, binary: &Path) -> Result {
    fs::create_dir_all(&member.dir)?;
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(member.log())?;
    let child = Command::new(binary)
        .args(&member.arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C in this terminal must not reach it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
    fs::write(
        member.dir.join("binary"),
        binary.to_string_lossy().as_bytes(),
    )?;
    Ok(fs::write(member.dir.join("pid"), child.id().to_string())?)
}

/// The binary that `member` was last started with.
pub(super) fn binary(member: &Member) -> Result<PathBuf> {
    let path = fs::read_to_string(member.dir.join("binary"))
        .map_err(|_| format!("{} was never started", member.name))?;
    Ok(PathBuf::from(path))
}

/// Whether `member` runs.
pub(super) fn state(member: &Member) -> Liveness {
    let Some(pid) = pid(member) else {
        return Liveness::Stopped;
    };
    // `pid (name) S …`: the state follows the name, which may hold any character.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    match stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next())
    {
        Some('T') => Liveness::Paused(pid),
        Some('Z') | None => Liveness::Stopped,
        Some(_) => Liveness::Running(pid),
    }
}

/// Sends a signal to `member`.
pub(super) fn signal(member: &Member, name: &str) -> Result {
    let pid = pid(member).ok_or_else(|| format!("{} does not run", member.name))?;
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -\"$0\" \"$1\"", name, &pid.to_string()]);
    if kill.status()?.success() {
        Ok(())
    } else {
        Err(format!("could not send {name} to {}", member.name).into())
    }
}

/// Stops `member` by SIGTERM; after the timeout, kills it and prints that it did.
pub(super) fn stop(member: &Member) -> Result {
    if let Liveness::Paused(_) = state(member) {
        signal(member, "CONT")?;
    }
    if state(member) == Liveness::Stopped {
        return Ok(());
    }
    signal(member, "TERM")?;
    if !gone_within(member, STOP_TIMEOUT) {
        println!(
            "{}: did not end within {STOP_TIMEOUT:?}, killed",
            member.name
        );
        signal(member, "KILL")?;
        if !gone_within(member, STOP_TIMEOUT) {
            return Err(format!("{} does not end", member.name).into());
        }
    }
    Ok(())
}

fn gone_within(member: &Member, timeout: Duration) -> bool {
    let started = Instant::now();
    while started.elapsed() < timeout {
        if state(member) == Liveness::Stopped {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// The pid of `member`, if that process has the command line of `member`.
fn pid(member: &Member) -> Option<u32> {
    let pid: u32 = fs::read_to_string(member.dir.join("pid"))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let mut words = line.trim_end_matches('\0').split('\0');
    let is_coterie = words
        .next()
        .is_some_and(|program| program.ends_with("coterie"));
    (is_coterie && words.eq(member.arguments.iter().map(String::as_str))).then_some(pid)
}
