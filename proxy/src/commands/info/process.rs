//! The sections of INFO about the process: its memory and its processor time. Where a process has
//! several roles, it is that of all of them.

use std::sync::OnceLock;

use super::constants;
use super::lines::{lines, with_constants};

/// Bytes of this process in memory.
#[derive(Debug, Clone, Copy)]
pub(in crate::commands) struct ProcessMemory {
    pub(in crate::commands) resident: u64,
    pub(in crate::commands) peak: u64,
    /// When they were first read.
    pub(in crate::commands) at_start: u64,
}

impl ProcessMemory {
    /// As the kernel counts it, in the place of Redis' allocator.
    pub(in crate::commands) fn read() -> Self {
        static AT_START: OnceLock<u64> = OnceLock::new();
        let resident = bytes_of("/proc/self/status", "VmRSS:");
        Self {
            resident,
            // Before the first reading of a peak there is none.
            peak: bytes_of("/proc/self/status", "VmHWM:").max(resident),
            at_start: *AT_START.get_or_init(|| resident),
        }
    }

    /// The present part of the peak, in percent.
    pub(in crate::commands) fn percent_of_peak(&self) -> f64 {
        self.resident as f64 * 100.0 / self.peak.max(1) as f64
    }
}

/// Reads the memory at the start of the proxy.
pub(crate) fn note_memory_at_start() {
    ProcessMemory::read();
}

/// The memory of the process. All of it is overhead, as data is with the servers. Figures of
/// fragmentation would need another allocator: it has none.
pub(super) fn memory(clients: u64) -> String {
    let memory = ProcessMemory::read();
    let system = bytes_of("/proc/meminfo", "MemTotal:");
    let resident = memory.resident.to_string();
    let none = || "0".to_owned();
    let one = || "1.00".to_owned();
    with_constants(
        "Memory",
        &[
            ("used_memory", resident.clone()),
            ("used_memory_human", human(memory.resident)),
            ("used_memory_rss", resident.clone()),
            ("used_memory_rss_human", human(memory.resident)),
            ("used_memory_peak", memory.peak.to_string()),
            ("used_memory_peak_human", human(memory.peak)),
            (
                "used_memory_peak_perc",
                format!("{:.2}%", memory.percent_of_peak()),
            ),
            ("used_memory_overhead", resident.clone()),
            ("used_memory_startup", memory.at_start.to_string()),
            ("used_memory_dataset", none()),
            ("used_memory_dataset_perc", "0.00%".to_owned()),
            ("allocator_allocated", resident.clone()),
            ("allocator_active", resident.clone()),
            ("allocator_resident", resident),
            ("total_system_memory", system.to_string()),
            ("total_system_memory_human", human(system)),
            ("maxmemory", none()),
            ("maxmemory_human", "0B".to_owned()),
            ("maxmemory_policy", "noeviction".to_owned()),
            ("allocator_frag_ratio", one()),
            ("allocator_frag_bytes", none()),
            ("allocator_rss_ratio", one()),
            ("allocator_rss_bytes", none()),
            ("rss_overhead_ratio", one()),
            ("rss_overhead_bytes", none()),
            ("mem_fragmentation_ratio", one()),
            ("mem_fragmentation_bytes", none()),
            ("mem_not_counted_for_evict", none()),
            ("mem_replication_backlog", none()),
            ("mem_total_replication_buffers", none()),
            ("mem_clients_slaves", none()),
            ("mem_clients_normal", clients.to_string()),
            ("mem_cluster_links", none()),
            ("mem_aof_buffer", none()),
            ("mem_allocator", "libc".to_owned()),
            ("active_defrag_running", none()),
            ("lazyfree_pending_objects", none()),
            ("lazyfreed_objects", none()),
        ],
        constants::MEMORY,
    )
}

fn human(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match UNITS.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{:.2}{unit}", bytes as f64 / *size as f64),
        None => format!("{bytes}B"),
    }
}

/// Seconds of processor time, of this process.
pub(super) fn cpu() -> String {
    // Fields 14 and 15 of `stat`, in ticks of 10 ms; behind the name, which may hold blanks.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut ticks = rest
        .split_whitespace()
        .skip(11)
        .map(|word| word.parse::<f64>().unwrap_or(0.0));
    let (user, system) = (ticks.next().unwrap_or(0.0), ticks.next().unwrap_or(0.0));
    let seconds = |ticks: f64| format!("{:.6}", ticks / 100.0);
    lines(
        "CPU",
        &[
            ("used_cpu_sys", seconds(system)),
            ("used_cpu_user", seconds(user)),
            // Nothing is forked.
            ("used_cpu_sys_children", seconds(0.0)),
            ("used_cpu_user_children", seconds(0.0)),
        ],
    )
}

/// The bytes that a line of a file under `/proc` gives in kB; 0 where there is none.
fn bytes_of(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// The system's name, version and processor.
pub(super) fn system() -> String {
    let version = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {} {}", version.trim(), std::env::consts::ARCH)
}
