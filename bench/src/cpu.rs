//! Processor time of the server side: user and system time of all threads, ended threads included,
//! in clock ticks of 10 ms.

use std::collections::BTreeMap;

use anyhow::Context;
use coterie_tests::vitals;

/// A process of a peer.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// Its role: `server`, `proxy`, ...
    pub(crate) role: String,
    pub(crate) pid: u32,
}

/// Microseconds used so far, by role.
pub(crate) type Used = BTreeMap<String, u64>;

/// The time that the processes have used since they started.
pub(crate) fn used(processes: &[Process]) -> anyhow::Result<Used> {
    let mut used = Used::new();
    for process in processes {
        let look = vitals::of(process.pid);
        let look = look.with_context(|| format!("{} is gone", process.role))?;
        let micros = u64::try_from(look.cpu.as_micros()).unwrap_or(u64::MAX);
        *used.entry(process.role.clone()).or_default() += micros;
    }
    Ok(used)
}
