//! The resources of a process: memory, descriptors, threads and processor time, read from `/proc`.
//!
//! The kernel counts the peak, so no growth between two readings is missed. The peak can be reset
//! to the present size.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

/// A reading of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vitals {
    /// Resident bytes.
    pub memory: u64,
    /// The most resident bytes since the process started, or since the peak was reset.
    pub peak: u64,
    /// Open descriptors: files and sockets.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// User and system time of all its threads since it started, ended threads included.
    pub cpu: Duration,
}

/// Reads the vitals of a process.
pub fn of(pid: u32) -> anyhow::Result<Vitals> {
    let status = fs::read_to_string(proc(pid, "status")).context("read the status of a process")?;
    let descriptors = fs::read_dir(proc(pid, "fd")).context("list the descriptors of a process")?;
    let field = |name| field(&status, name);
    Ok(Vitals {
        memory: field("VmRSS:")? << 10,
        peak: field("VmHWM:")? << 10,
        descriptors: descriptors.count(),
        threads: usize::try_from(field("Threads:")?)?,
        cpu: cpu(&fs::read_to_string(proc(pid, "stat"))?)?,
    })
}

/// Resets the peak of a process to its present size.
pub fn forget_peak(pid: u32) -> anyhow::Result<()> {
    // 5 resets only the peak resident size: proc(5), `clear_refs`.
    fs::write(proc(pid, "clear_refs"), "5").context("forget the peak of a process' memory")
}

fn proc(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

/// The number after a name in `/proc/PID/status`; sizes there are in KiB.
fn field(status: &str, name: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.with_context(|| format!("no {name} in the status of a process"))?;
    number.parse().with_context(|| format!("{name} {number:?}"))
}

/// User and system time in `/proc/PID/stat`: fields 14 and 15. The second field is the program's
/// name in parentheses and may hold spaces, so counting starts behind it.
fn cpu(stat: &str) -> anyhow::Result<Duration> {
    let (_, rest) = stat
        .rsplit_once(')')
        .context("no name in the stat of a process")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || {
        fields
            .next()
            .context("a stat cut short")?
            .parse::<u64>()
            .context("ticks")
    };
    let ticks = next()? + next()?;
    Ok(Duration::from_micros(
        ticks * 1_000_000 / rustix::param::clock_ticks_per_second(),
    ))
}

impl fmt::Display for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} MiB (peak {}), {} descriptors, {} threads",
            self.memory >> 20,
            self.peak >> 20,
            self.descriptors,
            self.threads
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// The size of a block that this process allocates and frees; far larger than the allocations
    /// of other tests that run in this process meanwhile.
    const BLOCK: usize = 256 << 20;

    #[test]
    fn a_peak_is_seen_afterwards_and_can_be_forgotten() {
        let me = std::process::id();
        let before = of(me).expect("runs");
        assert!(before.threads >= 1 && before.descriptors >= 3, "{before:?}");
        // Not zeros: the kernel would give those no memory.
        drop(std::hint::black_box(vec![1u8; BLOCK]));
        let after = of(me).expect("runs");
        assert!(after.peak >= before.memory + 200 * MIB, "{after}");
        assert!(after.memory < after.peak - 100 * MIB, "{after}");
        forget_peak(me).expect("forgets");
        assert!(of(me).expect("runs").peak < after.peak - 100 * MIB);
    }

    #[test]
    fn a_descriptor_counts() {
        let me = std::process::id();
        let dir = tempfile::tempdir().expect("a folder");
        let before = of(me).expect("runs").descriptors;
        let files: Vec<_> = (0..200)
            .map(|n| fs::File::create(dir.path().join(n.to_string())).expect("creates"))
            .collect();
        assert!(of(me).expect("runs").descriptors >= before + 150);
        drop(files);
    }

    #[test]
    fn processor_time_is_read_whatever_the_name() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 0 0 0";
        let ticks = rustix::param::clock_ticks_per_second();
        let expected = Duration::from_micros(300 * 1_000_000 / ticks);
        assert_eq!(cpu(stat).expect("is there"), expected);
        assert!(cpu("7 (a) S 1").is_err());
    }

    #[test]
    fn a_process_that_is_gone_has_none() {
        assert!(of(u32::MAX).is_err());
    }
}
