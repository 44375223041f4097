//! The description of a cluster to start: the number of processes of each role, their flags and
//! folders.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::member::Member;
use super::role::Role;
use crate::binary;
use crate::ports::Port;
use crate::process::Process;

/// A description of a cluster.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) counts: [usize; 4],
    /// Flags by the name of a role or of a process.
    flags: Vec<(String, Vec<String>)>,
    /// The process, the variable, its value.
    env: Vec<(String, String, String)>,
    split_at: Vec<String>,
    token: String,
    server_dir: Option<PathBuf>,
    /// Data directories by the name of a process.
    dirs: Vec<(String, PathBuf)>,
    binary: Option<PathBuf>,
    cluster_mode: bool,
    pub(super) serving_within: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            counts: [3, 3, 1, 1],
            flags: Vec::new(),
            env: Vec::new(),
            split_at: Vec::new(),
            token: "token of a test cluster".to_owned(),
            server_dir: None,
            dirs: Vec::new(),
            binary: None,
            cluster_mode: false,
            serving_within: Duration::from_secs(90),
        }
    }
}

impl Builder {
    /// Sets the number of processes of a role; by default 3 metas, 3 servers, 1 proxy and 1
    /// controller.
    #[must_use]
    pub fn count(mut self, role: Role, count: usize) -> Self {
        self.counts[role as usize] = count;
        self
    }

    /// Proxies announce themselves to clients of cluster mode.
    #[must_use]
    pub fn cluster_mode(mut self) -> Self {
        self.cluster_mode = true;
        self
    }

    /// Adds flags for every process of a role.
    #[must_use]
    pub fn flags(self, role: Role, flags: &[&str]) -> Self {
        self.flags_of(role.name(), flags)
    }

    /// Adds flags for the process `name`.
    #[must_use]
    pub fn flags_of(mut self, name: &str, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        self.flags.push((name.to_owned(), flags));
        self
    }

    /// Adds environment variables for the process `name`.
    #[must_use]
    pub fn env_of(mut self, name: &str, variables: &[(&str, String)]) -> Self {
        let of = |(variable, value): &(&str, String)| {
            (name.to_owned(), (*variable).to_owned(), value.clone())
        };
        self.env.extend(variables.iter().map(of));
        self
    }

    /// Sets the zone of each server, in the order of their numbers.
    #[must_use]
    pub fn zones(self, zones: &[&str]) -> Self {
        let numbered = zones.iter().enumerate();
        numbered.fold(self, |builder, (at, zone)| {
            builder.flags_of(&format!("server-{}", at + 1), &["--zone", zone])
        })
    }

    /// The host that each server names, in order of their numbers. Without it all servers are on
    /// this machine, and no load is spread over them.
    #[must_use]
    pub fn hosts(self, hosts: &[&str]) -> Self {
        let numbered = hosts.iter().enumerate();
        numbered.fold(self, |builder, (at, host)| {
            builder.flags_of(&format!("server-{}", at + 1), &["--host", host])
        })
    }

    /// Splits table 0 at these keys from the start, so that several groups share it.
    #[must_use]
    pub fn split_at(mut self, boundaries: &[&str]) -> Self {
        self.split_at = boundaries.iter().map(|&key| key.to_owned()).collect();
        self
    }

    /// Sets the parent of the servers' data directories, for instance a small file system; by
    /// default the cluster's own folder.
    #[must_use]
    pub fn server_dir(mut self, dir: PathBuf) -> Self {
        self.server_dir = Some(dir);
        self
    }

    /// Sets the data directory of the process `name`.
    #[must_use]
    pub fn dir_of(mut self, name: &str, dir: PathBuf) -> Self {
        self.dirs.push((name.to_owned(), dir));
        self
    }

    /// Sets the binary to run; by default the binary that belongs to the tests.
    #[must_use]
    pub fn binary(mut self, binary: PathBuf) -> Self {
        self.binary = Some(binary);
        self
    }

    /// A process that is not started yet and has no arguments yet.
    pub(super) fn member(
        &self,
        role: Role,
        number: usize,
        folder: &Path,
    ) -> anyhow::Result<Member> {
        let name = format!("{}-{number}", role.name());
        let log = folder.join(format!("{name}.log"));
        let mut process = Process::new(&name, self.binary_path()?, log).env("RUST_BACKTRACE", "1");
        for (_, variable, value) in self.env.iter().filter(|(of, ..)| *of == name) {
            process = process.env(variable, value);
        }
        let parent = match (role, &self.server_dir) {
            (Role::Server, Some(dir)) => dir.as_path(),
            _ => folder,
        };
        let own = self.dirs.iter().find(|(of, _)| *of == name);
        Ok(Member {
            role,
            number,
            dir: own.map_or_else(|| parent.join(&name), |(_, dir)| dir.clone()),
            port: Port::reserve()?,
            http: (role != Role::Controller).then(Port::reserve).transpose()?,
            process,
        })
    }

    /// The binary to run.
    pub(super) fn binary_path(&self) -> anyhow::Result<&Path> {
        match &self.binary {
            Some(given) => Ok(given.as_path()),
            None => binary::coterie(),
        }
    }

    /// The cluster token.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The keys at which table 0 is split from the start.
    pub(super) fn boundaries(&self) -> &[String] {
        &self.split_at
    }

    /// The command line of a process.
    pub(super) fn args(&self, member: &Member, all: &[Member]) -> Vec<String> {
        let metas = || all.iter().filter(|m| m.role == Role::Meta);
        let meta_addrs: Vec<String> = metas().map(|m| m.port.addr()).collect();
        let dir = member.dir.display().to_string();
        let mut args = vec![member.role.name().to_owned()];
        let mut flag = |name: &str, value: String| args.extend([name.to_owned(), value]);
        match member.role {
            Role::Meta => {
                let peers: Vec<_> = metas()
                    .map(|m| format!("{}={}", m.number, m.port.addr()))
                    .collect();
                flag("--id", member.number.to_string());
                flag("--peers", peers.join(","));
            }
            _ => flag("--meta", meta_addrs.join(",")),
        }
        match member.role {
            Role::Controller => {
                flag("--http", member.port.addr());
                if !self.split_at.is_empty() {
                    flag("--split-at", self.split_at.join(","));
                }
            }
            _ => flag("--listen", member.port.addr()),
        }
        if self.cluster_mode && member.role == Role::Proxy {
            flag("--cluster-announce", member.port.addr());
        }
        if let Some(http) = &member.http {
            flag("--http", http.addr());
        }
        if matches!(member.role, Role::Meta | Role::Server) {
            flag("--dir", dir);
        }
        flag("--cluster-token", self.token.clone());
        for (of, flags) in &self.flags {
            if of == member.role.name() || of == member.process.name() {
                args.extend(flags.iter().cloned());
            }
        }
        args
    }
}
