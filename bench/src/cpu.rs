//! Processor time of the server side, from `/proc/PID/stat`: user and system time of all threads,
//! ended ones included, in clock ticks of 10 ms.

use std::collections::BTreeMap;

use anyhow::Context;

/// A process of a peer.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// What it is: `server`, `proxy`, ...
    pub(crate) role: String,
    pub(crate) pid: u32,
}

/// Microseconds used so far, by role.
pub(crate) type Used = BTreeMap<String, u64>;

/// What the processes have used since they started.
pub(crate) fn used(processes: &[Process]) -> anyhow::Result<Used> {
    let mut used = Used::new();
    for process in processes {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid));
        let stat = stat.with_context(|| format!("{} is gone", process.role))?;
        let ticks = ticks(&stat).with_context(|| format!("read {stat:?}"))?;
        let micros = ticks * 1_000_000 / rustix::param::clock_ticks_per_second();
        *used.entry(process.role.clone()).or_default() += micros;
    }
    Ok(used)
}

/// User and system time in a line of `/proc/PID/stat`: fields 14 and 15. The second field is the
/// program's name in parentheses and may hold spaces, so counting starts behind it.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_fields_are_added_whatever_the_name() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 0 0 0";
        assert_eq!(ticks(stat), Some(300));
        let me = Process {
            role: "me".into(),
            pid: std::process::id(),
        };
        assert!(used(&[me]).is_ok());
    }
}
