//! The origin of a figure: without commit and machine it cannot be compared.

use std::process::Command;

use serde::Serialize;

/// The commit, the machine and the versions of the peers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Origin {
    commit: String,
    cores: usize,
    processor: String,
    memory_gib: u64,
    kernel: String,
    redis: String,
    etcd: String,
}

impl Origin {
    pub(crate) fn look() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let meminfo = read("/proc/meminfo");
        let memory_kib: u64 = field(&meminfo, "MemTotal")
            .split_whitespace()
            .next()
            .and_then(|kib| kib.parse().ok())
            .unwrap_or(0);
        Self {
            commit: first_line("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: field(&cpuinfo, "model name"),
            memory_gib: memory_kib >> 20,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            redis: first_line("redis-server", &["--version"]),
            etcd: first_line("etcd", &["--version"]),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "commit   {}", self.commit)?;
        writeln!(
            f,
            "machine  {} cores, {}, {} GiB, kernel {}",
            self.cores, self.processor, self.memory_gib, self.kernel
        )?;
        write!(f, "peers    {}; {}", self.redis, self.etcd)
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(
        || "unknown".to_owned(),
        |(_, value)| value.trim().to_owned(),
    )
}

fn first_line(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    let line = text
        .ok()
        .and_then(|text| text.lines().next().map(str::to_owned));
    line.unwrap_or_else(|| format!("no {program}"))
}
