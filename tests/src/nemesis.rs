//! Random harm: kills processes and starts them again, pauses and resumes them, while clients work.
//!
//! After each blow all processes run again, and the next blow waits until clients make progress, so
//! the run is bounded by blows and not by time. A blow harms at most a minority of servers or of
//! metas at once, except for the blows that say otherwise, which wake or restart every process that
//! they hit.

use std::time::Duration;

use crate::cluster::{Cluster, Role};
use crate::rng::Rng;

/// Longer than the longest election timeout (1.2 s by default): a paused leader has lost its lease
/// and its followers have elected a new leader.
const PAST_ELECTION: Duration = Duration::from_millis(2500);

/// A kind of harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// `kill -9` of a server that leads, and a restart.
    KillLeader,
    /// `kill -9` of any server, and a restart.
    KillServer,
    /// `SIGSTOP` of a leader past the election timeout, and `SIGCONT`.
    PauseLeader,
    /// `SIGSTOP` of any server, too briefly for an election.
    PauseServerBriefly,
    /// `kill -9` of every server at once, and restarts.
    KillAllServers,
    /// `kill -9` of a meta, and a restart.
    KillMeta,
    /// `kill -9` of a controller, and a restart.
    KillController,
    /// `kill -9` of a proxy, and a restart: its clients do not learn the fate of their commands.
    KillProxy,
}

impl Blow {
    /// The blows and their frequencies, of 20.
    const ODDS: [(Self, usize); 8] = [
        (Self::KillLeader, 4),
        (Self::KillServer, 3),
        (Self::PauseLeader, 4),
        (Self::PauseServerBriefly, 2),
        (Self::KillAllServers, 1),
        (Self::KillMeta, 2),
        (Self::KillController, 1),
        (Self::KillProxy, 3),
    ];

    /// A random blow.
    #[must_use]
    pub fn any(rng: &mut Rng) -> Self {
        let mut left = rng.below(Self::ODDS.iter().map(|(_, odds)| odds).sum());
        for (blow, odds) in Self::ODDS {
            if left < odds {
                return blow;
            }
            left -= odds;
        }
        Self::KillLeader
    }

    /// Deals the blow and repairs it.
    pub fn deal(self, cluster: &mut Cluster, rng: &mut Rng) -> anyhow::Result<()> {
        match self {
            Self::KillLeader => {
                let leader = any_leader(cluster, rng)?;
                cluster.restart(&leader)
            }
            Self::KillServer => restart_one(cluster, Role::Server, rng),
            Self::KillMeta => restart_one(cluster, Role::Meta, rng),
            Self::KillController => restart_one(cluster, Role::Controller, rng),
            Self::KillProxy => restart_one(cluster, Role::Proxy, rng),
            Self::PauseLeader => {
                let leader = any_leader(cluster, rng)?;
                pause(cluster, &leader, PAST_ELECTION)
            }
            Self::PauseServerBriefly => {
                let servers = cluster.names(Role::Server);
                let millis = rng.below(400) as u64;
                pause(
                    cluster,
                    rng.pick::<String>(&servers),
                    Duration::from_millis(millis),
                )
            }
            Self::KillAllServers => {
                let servers = cluster.names(Role::Server);
                for name in &servers {
                    cluster.process(name).kill();
                }
                servers
                    .iter()
                    .try_for_each(|name| cluster.process(name).start())
            }
        }
    }
}

fn restart_one(cluster: &mut Cluster, role: Role, rng: &mut Rng) -> anyhow::Result<()> {
    let names = cluster.names(role);
    cluster.restart(rng.pick::<String>(&names))
}

fn any_leader(cluster: &mut Cluster, rng: &mut Rng) -> anyhow::Result<String> {
    let leaders = cluster.wait_for_leaders(Duration::from_secs(60))?;
    let names: Vec<String> = leaders.into_values().collect();
    Ok(rng.pick(&names).clone())
}

/// Pauses a process for `length`. The duration is the harm itself, not a wait for a condition.
pub fn pause(cluster: &mut Cluster, name: &str, length: Duration) -> anyhow::Result<()> {
    cluster.process(name).pause()?;
    std::thread::sleep(length);
    cluster.process(name).resume()
}
