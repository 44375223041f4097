//! Settings of the Raft groups of a node: timeouts, durability, log retention.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::RaftError;

/// When an append counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fsync {
    /// After fdatasync: acknowledged entries survive a power failure of every node.
    Always,
    /// After the write to the operating system: for tests only; a power failure loses data.
    Never,
}

/// Flags of every role that hosts Raft groups.
#[derive(Debug, Clone, clap::Args)]
pub struct RaftConfig {
    /// How often a leader sends heartbeats.
    #[arg(id = "raft-heartbeat-interval", long, env = "COTERIE_RAFT_HEARTBEAT_INTERVAL",
        value_name = "DURATION", default_value = "150ms", value_parser = coterie_config::duration)]
    pub heartbeat_interval: Duration,
    /// Shortest silence of a leader after which a follower campaigns.
    #[arg(id = "raft-election-timeout-min", long = "raft-election-timeout-min", env = "COTERIE_RAFT_ELECTION_TIMEOUT_MIN",
        value_name = "DURATION", default_value = "600ms", value_parser = coterie_config::duration)]
    pub election_timeout_min: Duration,
    /// Longest silence of a leader after which a follower campaigns; also the length of the leader
    /// lease.
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
    /// How often stores are flushed, so that older log can be purged.
    #[arg(long, env = "COTERIE_FLUSH_INTERVAL",
        value_name = "DURATION", default_value = "10s", value_parser = coterie_config::duration)]
    pub flush_interval: Duration,
    /// Log that a restart may have to apply again, per group; a flush is forced at half of this
    /// size.
    #[arg(long, env = "COTERIE_LOG_REPLAY_BYTES_MAX",
        value_name = "SIZE", default_value = "128MiB", value_parser = coterie_config::size)]
    pub log_replay_bytes_max: u64,
    /// Log kept for absent followers, per group; a follower further behind gets a snapshot. While a
    /// snapshot is being sent, up to eight times as much is kept, so that the follower can continue
    /// from it.
    #[arg(long, env = "COTERIE_LOG_RETENTION",
        value_name = "SIZE", default_value = "512MiB", value_parser = coterie_config::size)]
    pub log_retention: u64,
    /// Highest rate, in bytes per second, at which a snapshot is sent to each follower.
    #[arg(long, env = "COTERIE_SNAPSHOT_RATE",
        value_name = "SIZE", default_value = "128MiB", value_parser = coterie_config::size)]
    pub snapshot_rate: u64,
    /// Switch off only to show the failure that the fence prevents: a process that has just started
    /// then votes at once, though it may have granted a lease before it died.
    #[arg(id = "raft-restart-fence", long = "raft-restart-fence", env = "COTERIE_RAFT_RESTART_FENCE", hide = true,
        default_value = "true", action = clap::ArgAction::Set)]
    pub restart_fence: bool,
    /// For tests: a file with the number of milliseconds by which every log write is delayed, or
    /// `fail`. The file is read again while the log is written; if it is absent or empty there is
    /// no delay.
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
    /// The leader lease that followers grant.
    pub(crate) fn lease(&self) -> Duration {
        self.election_timeout_max
    }

    /// How long a leader waits for the answer to a heartbeat. A later answer could not extend its
    /// lease.
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
            // The proposer batches commands into entries of up to hundreds of KiB, so a few entries
            // fill a message.
            max_payload_entries: 64,
            // `purge` asks for snapshots and purges by bytes; entry counts never trigger them.
            snapshot_policy: openraft::SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            replication_lag_threshold: u64::MAX,
            install_snapshot_timeout: 60_000,
            enable_elect: elect_at_once,
            enable_pre_vote: Some(true),
            // A restarted leader campaigns like any other voter (see `fence`).
            enable_leader_restore: Some(false),
            quorum_loss_probe_interval: Some(2 * millis(self.election_timeout_max)),
            backoff: "50ms 100ms 200ms ...1s".to_owned(),
            ..openraft::Config::default()
        };
        let config = config.validate();
        let mut config = config.map_err(|e| RaftError::Config(e.to_string()))?;
        // Set after validation, which requires heartbeats to be more frequent than this. They are:
        // `beat` sends them. openraft uses this one number for its own pause and for the wait for
        // an answer.
        config.heartbeat_interval = millis(self.answer_wait());
        Ok(config)
    }
}
