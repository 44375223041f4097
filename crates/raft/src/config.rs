//! How the groups of a node behave: timeouts, durability, how much log is kept.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::RaftError;

/// When an append counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fsync {
    /// After fdatasync: what is acknowledged survives a power failure of every node.
    Always,
    /// When the operating system has it: for tests only; a power failure loses data.
    Never,
}

/// Flags of every role that holds Raft groups.
#[derive(Debug, Clone, clap::Args)]
pub struct RaftConfig {
    /// How often a leader says that it lives.
    #[arg(id = "raft-heartbeat-interval", long, env = "COTERIE_RAFT_HEARTBEAT_INTERVAL",
        value_name = "DURATION", default_value = "150ms", value_parser = coterie_config::duration)]
    pub heartbeat_interval: Duration,
    /// Shortest silence of a leader after which a follower campaigns.
    #[arg(id = "raft-election-timeout-min", long = "raft-election-timeout-min", env = "COTERIE_RAFT_ELECTION_TIMEOUT_MIN",
        value_name = "DURATION", default_value = "600ms", value_parser = coterie_config::duration)]
    pub election_timeout_min: Duration,
    /// Longest such silence; also the length of the leader lease.
    #[arg(id = "raft-election-timeout-max", long = "raft-election-timeout-max", env = "COTERIE_RAFT_ELECTION_TIMEOUT_MAX",
        value_name = "DURATION", default_value = "1200ms", value_parser = coterie_config::duration)]
    pub election_timeout_max: Duration,
    /// When an append counts as durable; `never` is for tests.
    #[arg(
        long,
        env = "COTERIE_FSYNC",
        value_name = "WHEN",
        default_value = "always"
    )]
    pub fsync: Fsync,
    /// How often stores are flushed, so that the log below can go.
    #[arg(long, env = "COTERIE_FLUSH_INTERVAL",
        value_name = "DURATION", default_value = "10s", value_parser = coterie_config::duration)]
    pub flush_interval: Duration,
    /// Log a restart may have to apply again, per group: more forces a flush.
    #[arg(long, env = "COTERIE_LOG_REPLAY_BYTES_MAX",
        value_name = "SIZE", default_value = "128MiB", value_parser = coterie_config::size)]
    pub log_replay_bytes_max: u64,
    /// Log kept for followers that are away, per group; beyond it they get a snapshot. While one is sent,
    /// up to eight times as much is kept, so that the follower can go on from it.
    #[arg(long, env = "COTERIE_LOG_RETENTION",
        value_name = "SIZE", default_value = "512MiB", value_parser = coterie_config::size)]
    pub log_retention: u64,
    /// Bytes per second a snapshot is sent with at most, to each follower.
    #[arg(long, env = "COTERIE_SNAPSHOT_RATE",
        value_name = "SIZE", default_value = "128MiB", value_parser = coterie_config::size)]
    pub snapshot_rate: u64,
    /// Off only to show what goes wrong without it: a process that has just started then votes at
    /// once, though it may have granted a lease before it died.
    #[arg(id = "raft-restart-fence", long = "raft-restart-fence", env = "COTERIE_RAFT_RESTART_FENCE", hide = true,
        default_value = "true", action = clap::ArgAction::Set)]
    pub restart_fence: bool,
    /// For tests: a file with the milliseconds that every write of the log takes longer, or `fail`. It
    /// is read again as the log is written; while it is absent or empty nothing is slower.
    #[arg(
        long,
        env = "COTERIE_FAULT_LOG_DELAY_FILE",
        value_name = "PATH",
        hide = true
    )]
    pub fault_log_delay_file: Option<PathBuf>,
}

impl Default for RaftConfig {
    /// The flags' defaults.
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(150),
            election_timeout_min: Duration::from_millis(600),
            election_timeout_max: Duration::from_millis(1200),
            fsync: Fsync::Always,
            flush_interval: Duration::from_secs(10),
            log_replay_bytes_max: 128 << 20,
            log_retention: 512 << 20,
            snapshot_rate: 128 << 20,
            restart_fence: true,
            fault_log_delay_file: None,
        }
    }
}

impl RaftConfig {
    /// The leader lease as granted by followers.
    pub(crate) fn lease(&self) -> Duration {
        self.election_timeout_max
    }

    /// How long a leader waits for the answer to a heartbeat. One that comes later would be of no use to
    /// its lease.
    fn answer_wait(&self) -> Duration {
        self.heartbeat_interval.max(self.lease() * 5 / 6)
    }

    /// openraft's own configuration of one group.
    pub(crate) fn openraft(&self, elect_at_once: bool) -> Result<openraft::Config, RaftError> {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let config = openraft::Config {
            cluster_name: "coterie".to_owned(),
            heartbeat_interval: millis(self.heartbeat_interval),
            election_timeout_min: millis(self.election_timeout_min),
            election_timeout_max: millis(self.election_timeout_max),
            // The proposer batches commands into entries of up to hundreds of KiB: few per message.
            max_payload_entries: 64,
            // Snapshots and purges are asked for by `purge`, by bytes; never by entry counts.
            snapshot_policy: openraft::SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            replication_lag_threshold: u64::MAX,
            install_snapshot_timeout: 60_000,
            enable_elect: elect_at_once,
            enable_pre_vote: Some(true),
            // A restarted leader campaigns like anyone else (see `fence`).
            enable_leader_restore: Some(false),
            quorum_loss_probe_interval: Some(2 * millis(self.election_timeout_max)),
            backoff: "50ms 100ms 200ms ...1s".to_owned(),
            ..openraft::Config::default()
        };
        let config = config.validate();
        let mut config = config.map_err(|e| RaftError::Config(e.to_string()))?;
        // Not before: by the rules heartbeats must come more often than this, and they do (see `beat`).
        // openraft has one number for the pause between its own and the wait for an answer.
        config.heartbeat_interval = millis(self.answer_wait());
        Ok(config)
    }
}
