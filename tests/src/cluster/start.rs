//! The start of a cluster that a [`Builder`] describes.

use anyhow::Context;

use super::Cluster;
use super::builder::Builder;
use super::folder::Folder;
use super::role::Role;
use super::turn::Turn;

impl Builder {
    /// Starts the processes and waits until every range takes reads and writes, and the controller
    /// knows every group's leader.
    pub fn start(self) -> anyhow::Result<Cluster> {
        let within = self.serving_within;
        let mut cluster = self.start_processes()?;
        let serving = cluster.wait_until_serving(within);
        if let Err(error) = serving.and_then(|()| cluster.wait_for_leaders(within)) {
            cluster.print_logs();
            return Err(error);
        }
        Ok(cluster)
    }

    /// Starts the processes and waits for nothing.
    pub fn start_processes(self) -> anyhow::Result<Cluster> {
        let binary = self.binary_path()?.display().to_string();
        let turn = Turn::take()?;
        let folder = Folder::create()?;
        let mut members = Vec::new();
        for role in Role::ALL {
            for number in 1..=self.counts[role as usize] {
                members.push(self.member(role, number, folder.path())?);
            }
        }
        let args: Vec<_> = members.iter().map(|m| self.args(m, &members)).collect();
        for (member, args) in members.iter_mut().zip(args) {
            member.process.set_args(args);
            let start = member.process.start();
            start.with_context(|| format!("binary {binary}"))?;
        }
        Ok(Cluster::new(folder, turn, members, self))
    }
}
