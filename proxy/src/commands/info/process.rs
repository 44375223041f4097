//! The sections of INFO about the process: its memory and its processor time. Where a process has
//! several roles, it is that of all of them.

use super::lines::lines;

/// The memory of the process as the kernel counts it, in the place of Redis' allocator.
pub(super) fn memory() -> String {
    let resident = resident_bytes();
    // Before the first reading of a peak there is none.
    let peak = bytes_of("/proc/self/status", "VmHWM:").max(resident);
    let system = bytes_of("/proc/meminfo", "MemTotal:");
    lines(
        "Memory",
        &[
            ("used_memory", resident.to_string()),
            ("used_memory_human", human(resident)),
            ("used_memory_rss", resident.to_string()),
            ("used_memory_rss_human", human(resident)),
            ("used_memory_peak", peak.to_string()),
            ("used_memory_peak_human", human(peak)),
            ("total_system_memory", system.to_string()),
            ("total_system_memory_human", human(system)),
            ("maxmemory", "0".to_owned()),
            ("maxmemory_human", "0B".to_owned()),
            ("maxmemory_policy", "noeviction".to_owned()),
        ],
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
        ],
    )
}

/// Bytes of this process in memory.
pub(in crate::commands) fn resident_bytes() -> u64 {
    bytes_of("/proc/self/status", "VmRSS:")
}

/// The bytes that a line of a file under `/proc` gives in kB; 0 where there is none.
fn bytes_of(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
