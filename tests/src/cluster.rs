//! A cluster of real processes on loopback: starts it, harms its processes by name, asks for its
//! leaders, and ends it.
//!
//! Names are `meta-1`, `server-2`, `proxy-1`, `controller-1`. When a test fails, the folder with
//! all data and logs is kept, and its path and the last lines of each log are printed. When it
//! passes, the logs must have no ERROR line that the test did not [announce](Cluster::announce).

mod admin;
mod builder;
mod care;
mod folder;
mod logs;
mod member;
mod metrics;
mod role;
mod rows;
mod start;
mod tiling;
mod turn;
mod vitals;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

pub use admin::{Admin, To};
pub use builder::Builder;
pub use metrics::Metrics;
pub use role::Role;
pub use rows::{Group, Job, Node, Range};
pub use tiling::TilingWatch;
pub use turn::Turn;

use crate::connection::Connection;
use crate::process::Process;
use crate::resp::Reply;
use crate::wait;
use folder::Folder;
use member::Member;

/// A running cluster. Dropping it ends every process.
#[derive(Debug)]
pub struct Cluster {
    // Before the folder, so that the processes are gone when it is removed.
    members: Vec<Member>,
    folder: Folder,
    plan: Builder,
    announced: Vec<String>,
    _turn: Turn,
}

impl Cluster {
    fn new(folder: Folder, turn: Turn, members: Vec<Member>, plan: Builder) -> Self {
        Self {
            members,
            folder,
            plan,
            announced: Vec::new(),
            _turn: turn,
        }
    }

    /// A description of a cluster, to be completed and started.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The names of all processes of a role.
    #[must_use]
    pub fn names(&self, role: Role) -> Vec<String> {
        let of_role = self.members.iter().filter(|m| m.role == role);
        of_role.map(|m| m.process.name().to_owned()).collect()
    }

    /// The names of all processes.
    #[must_use]
    pub fn all_names(&self) -> Vec<String> {
        Role::ALL
            .iter()
            .flat_map(|&role| self.names(role))
            .collect()
    }

    /// The address at which a process listens.
    #[must_use]
    pub fn addr(&self, name: &str) -> String {
        self.member(name).port.addr()
    }

    /// The addresses of the proxies, at which clients connect.
    #[must_use]
    pub fn proxies(&self) -> Vec<String> {
        self.names(Role::Proxy)
            .iter()
            .map(|name| self.addr(name))
            .collect()
    }

    /// The first proxy's address.
    #[must_use]
    pub fn proxy(&self) -> String {
        self.addr("proxy-1")
    }

    /// A connection to the first proxy; it waits for a reply as long as a proxy retries.
    pub fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(&self.proxy(), crate::workload::client::REPLY_TIMEOUT)
    }

    /// An operator at the first proxy.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::at(self.proxy())
    }

    /// The data directory of a process.
    #[must_use]
    pub fn dir(&self, name: &str) -> &Path {
        &self.member(name).dir
    }

    /// The folder of the cluster.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The cluster token.
    #[must_use]
    pub fn token(&self) -> &str {
        self.plan.token()
    }

    /// The process `name`. Panics if there is no process of this name.
    #[track_caller]
    pub fn process(&mut self, name: &str) -> &mut Process {
        let found = self.members.iter_mut().find(|m| m.process.name() == name);
        &mut found
            .unwrap_or_else(|| panic!("no process is called {name}"))
            .process
    }

    #[track_caller]
    fn member(&self, name: &str) -> &Member {
        let found = self.members.iter().find(|m| m.process.name() == name);
        found.unwrap_or_else(|| panic!("no process is called {name}"))
    }

    /// Kills a process and starts it again.
    pub fn restart(&mut self, name: &str) -> anyhow::Result<()> {
        let process = self.process(name);
        process.kill();
        process.start()
    }

    /// Announces ERROR lines: lines that contain `text` do not fail the test.
    pub fn announce(&mut self, text: &str) {
        self.announced.push(text.to_owned());
    }

    /// A key in each range that the cluster started with.
    #[must_use]
    pub fn key_in_each_range(&self, suffix: &str) -> Vec<String> {
        let starts = std::iter::once("").chain(self.plan.boundaries().iter().map(String::as_str));
        // The lowest byte after a boundary, so that the key stays below the next boundary.
        starts.map(|start| format!("{start}\0{suffix}")).collect()
    }

    /// Waits until a write and a read succeed in every range, through every running proxy.
    pub fn wait_until_serving(&mut self, within: Duration) -> anyhow::Result<()> {
        let keys = self.key_in_each_range("serving");
        for name in self.names(Role::Proxy) {
            if !self.process(&name).is_running() {
                continue;
            }
            let addr = self.addr(&name);
            wait::until(
                &format!("every range serves through {name}"),
                within,
                || keys.iter().try_for_each(|key| probe(&addr, key)),
            )?;
        }
        Ok(())
    }

    /// The name of the server that leads each group. An error while any group has no leader.
    pub fn leaders(&self) -> anyhow::Result<BTreeMap<u64, String>> {
        let names = self.server_names()?;
        let mut leaders = BTreeMap::new();
        for group in self.admin().groups()? {
            let leader = group.leader;
            let leader = leader.with_context(|| format!("group {} has no leader", group.id))?;
            let name = names.get(&leader);
            let name = name.with_context(|| format!("node {leader} has no server"))?;
            leaders.insert(group.id, name.clone());
        }
        ensure!(!leaders.is_empty(), "there is no group");
        Ok(leaders)
    }

    /// The names of the servers by node id; nodes without a server of this cluster are left out.
    pub fn server_names(&self) -> anyhow::Result<BTreeMap<u64, String>> {
        let at = |addr: &str| self.members.iter().find(|m| m.port.addr() == addr);
        let nodes = self.admin().nodes()?.into_iter();
        let named = nodes.filter_map(|node| {
            let name = at(&node.addr)?.process.name();
            Some((node.id, name.to_owned()))
        });
        Ok(named.collect())
    }

    /// The node id of a server.
    pub fn node_of(&self, server: &str) -> anyhow::Result<u64> {
        let names = self.server_names()?;
        let found = names.iter().find(|(_, name)| *name == server);
        let (node, _) = found.with_context(|| format!("{server} is no node"))?;
        Ok(*node)
    }

    /// Waits until every group has a running leader; returns the leaders' names by group.
    pub fn wait_for_leaders(&mut self, within: Duration) -> anyhow::Result<BTreeMap<u64, String>> {
        let running: Vec<String> = self
            .members
            .iter_mut()
            .filter_map(|m| m.process.is_running().then(|| m.process.name().to_owned()))
            .collect();
        wait::until("every group has a leader", within, || {
            let leaders = self.leaders()?;
            for (group, name) in &leaders {
                ensure!(
                    running.contains(name),
                    "group {group} is led by {name}, which is down"
                );
            }
            Ok(leaders)
        })
    }

    /// Waits, while the group takes writes, until its leader has purged the log up to `index`.
    pub fn wait_until_purged(
        &self,
        group: u64,
        index: u64,
        within: Duration,
    ) -> anyhow::Result<()> {
        wait::until("the group's log is purged", within, || {
            let group = self.admin().group(group)?;
            let leads = |replica: &&rows::Replica| Some(replica.node) == group.leader;
            let replica = group.replicas.iter().find(leads);
            let first = replica.and_then(|replica| replica.first_index);
            let first = first.context("its leader is not known")?;
            ensure!(first > index, "it begins at {first}");
            Ok(())
        })
    }

    /// The group that owns a key, by `COTERIE LOCATE`.
    pub fn group_of(&self, key: &str) -> anyhow::Result<u64> {
        let reply = self.admin().ask(&["LOCATE", key])?;
        let field = ["group", "group_id"]
            .iter()
            .find_map(|name| reply.field(name));
        let text = field.and_then(Reply::text);
        let text = text.with_context(|| format!("no group in {reply:?}"))?;
        text.parse().with_context(|| format!("group {text:?}"))
    }

    /// The member that leads the group that owns a key, once every group has a leader.
    pub fn leader_of(&mut self, key: &str, within: Duration) -> anyhow::Result<String> {
        let group = self.group_of(key)?;
        let leaders = self.wait_for_leaders(within)?;
        let leader = leaders.get(&group).cloned();
        leader.with_context(|| format!("no leader of group {group}"))
    }

    /// The unannounced alarms in the logs.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let mut alarms = Vec::new();
        for member in &self.members {
            for line in logs::alarms(member.process.log(), &self.announced) {
                alarms.push(format!("{}: {line}", member.process.name()));
            }
        }
        alarms
    }

    fn print_logs(&mut self) {
        self.folder.keep();
        eprintln!("data and logs are kept in {}", self.folder.path().display());
        for member in &self.members {
            let log = member.process.log();
            eprintln!("--- the end of {}\n{}", log.display(), logs::tail(log, 15));
        }
    }
}

/// Writes and reads a key.
fn probe(proxy: &str, key: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(proxy, Duration::from_secs(12))?;
    let written = connection.call(&["SET", key, "serving"])?;
    if matches!(&written, Reply::Error(text) if text.starts_with("NOAUTH")) {
        // A proxy with a password listens; the other proxies show whether the ranges serve.
        return Ok(());
    }
    ensure!(
        written == Reply::Simple("OK".into()),
        "SET answered {written:?}"
    );
    let read = connection.call(&["GET", key])?;
    ensure!(
        read == Reply::Bulk(b"serving".into()),
        "GET answered {read:?}"
    );
    connection.call(&["DEL", key])?;
    Ok(())
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.process.kill();
        }
        if std::thread::panicking() {
            self.print_logs();
            return;
        }
        let alarms = self.alarms();
        if !alarms.is_empty() {
            self.print_logs();
            panic!("processes logged ERROR lines:\n{}", alarms.join("\n"));
        }
    }
}
