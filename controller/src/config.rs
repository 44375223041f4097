//! The flags of a controller.

use std::time::Duration;

use coterie_config::{ClusterTlsFiles, ClusterToken};

use crate::keys::parse_keys;
use crate::planner::Settings;

/// A smaller limit would make ranges that are not worth their rows in meta.
const SPLIT_SIZE_MIN: u64 = 64 << 10;

/// Flags of `coterie controller`.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// The members of the metadata service.
    #[arg(
        long,
        env = "COTERIE_META",
        value_name = "IP:PORT",
        value_delimiter = ',',
        required = true
    )]
    pub meta: Vec<String>,
    /// Where to serve `/metrics` and `/health`.
    #[arg(long, env = "COTERIE_HTTP", value_name = "IP:PORT")]
    pub http: Option<String>,
    /// Groups of a new cluster.
    #[arg(long, env = "COTERIE_GROUPS", value_name = "N", default_value_t = 3)]
    pub groups: usize,
    /// Replicas of each group.
    #[arg(long, env = "COTERIE_REPLICAS", value_name = "N", default_value_t = 3)]
    pub replicas: usize,
    /// Nodes that must have joined before the groups of a new cluster are created; by default the
    /// number of replicas.
    #[arg(long, env = "COTERIE_BOOTSTRAP_NODES", value_name = "N")]
    pub bootstrap_nodes: Option<usize>,
    /// Keys at which table 0 (database 0) of a new cluster is split, so that several groups share
    /// it from the start; `\xHH` is a byte. By default it begins as a single range.
    #[arg(
        long,
        env = "COTERIE_SPLIT_AT",
        value_name = "KEY",
        value_delimiter = ','
    )]
    pub split_at: Vec<String>,
    /// Silence after which a node counts as down.
    #[arg(long, env = "COTERIE_LIVENESS_TIMEOUT", value_name = "DURATION",
        default_value = "3s", value_parser = coterie_config::duration)]
    pub liveness_timeout: Duration,
    /// Silence after which a node's replicas are replaced on other nodes.
    #[arg(long, env = "COTERIE_REPLACE_AFTER", value_name = "DURATION",
        default_value = "60s", value_parser = coterie_config::duration)]
    pub replace_after: Duration,
    /// Replicas that may move to other nodes at the same time, in the whole cluster; a node
    /// receives at most one at a time.
    #[arg(
        long,
        env = "COTERIE_SNAPSHOTS_MAX",
        value_name = "N",
        default_value_t = 2
    )]
    pub snapshots_max: usize,
    /// Bytes above which a range is split.
    #[arg(long, env = "COTERIE_SPLIT_SIZE", value_name = "SIZE",
        default_value = "512MiB", value_parser = coterie_config::size)]
    pub split_size: u64,
    /// Commands per second above which a range is split, if they last.
    #[arg(
        long,
        env = "COTERIE_SPLIT_OPS",
        value_name = "N",
        default_value_t = 20_000
    )]
    pub split_ops: u64,
    /// Bytes of commands and replies per second above which a range is split, if they last.
    #[arg(long, env = "COTERIE_SPLIT_BYTES", value_name = "SIZE",
        default_value = "64MiB", value_parser = coterie_config::size)]
    pub split_bytes: u64,
    /// CPU time per second above which a range is split, if it lasts.
    #[arg(long, env = "COTERIE_SPLIT_CPU", value_name = "DURATION",
        default_value = "800ms", value_parser = coterie_config::duration)]
    pub split_cpu: Duration,
    /// How long small neighbouring ranges must have been nearly idle before they are merged.
    #[arg(long, env = "COTERIE_MERGE_AFTER", value_name = "DURATION",
        default_value = "10m", value_parser = coterie_config::duration)]
    pub merge_after: Duration,
    /// Ranges that may move at the same time by the controller's own decision, in the whole
    /// cluster.
    #[arg(long, env = "COTERIE_MOVES_MAX", value_name = "N", default_value_t = 2)]
    pub moves_max: usize,
    /// How long a silent controller stays active before another takes over.
    #[arg(long, env = "COTERIE_LEASE", value_name = "DURATION",
        default_value = "6s", value_parser = coterie_config::duration)]
    pub lease: Duration,
    /// The secret shared by the cluster.
    #[command(flatten)]
    pub cluster_token: ClusterToken,
    /// TLS between processes.
    #[command(flatten)]
    pub cluster_tls: ClusterTlsFiles,
}

impl Config {
    /// The default of every flag.
    #[must_use]
    pub fn of(meta: Vec<String>, cluster_token: ClusterToken) -> Self {
        let settings = Settings::default();
        Self {
            meta,
            http: None,
            groups: settings.groups,
            replicas: settings.replicas,
            bootstrap_nodes: None,
            split_at: Vec::new(),
            liveness_timeout: settings.liveness_timeout,
            replace_after: settings.replace_after,
            snapshots_max: settings.snapshots_max,
            split_size: settings.split_size,
            split_ops: settings.split_ops,
            split_bytes: settings.split_bytes,
            split_cpu: settings.split_cpu,
            merge_after: settings.merge_after,
            moves_max: settings.moves_max,
            lease: Duration::from_secs(6),
            cluster_token,
            cluster_tls: ClusterTlsFiles::default(),
        }
    }

    /// The planner's settings, or the flag that is wrong.
    pub(crate) fn settings(&self) -> Result<Settings, String> {
        if self.groups == 0 || self.replicas == 0 {
            return Err("--groups and --replicas must be at least 1".to_owned());
        }
        let bootstrap_nodes = self.bootstrap_nodes.unwrap_or(self.replicas);
        if bootstrap_nodes < self.replicas {
            return Err(format!(
                "--bootstrap-nodes {bootstrap_nodes} is less than --replicas {}",
                self.replicas
            ));
        }
        if self.lease < Duration::from_secs(1) {
            return Err("--lease must be at least 1s".to_owned());
        }
        if self.snapshots_max == 0 || self.moves_max == 0 {
            return Err("--snapshots-max and --moves-max must be at least 1".to_owned());
        }
        if self.split_size < SPLIT_SIZE_MIN {
            return Err(format!(
                "--split-size must be at least {SPLIT_SIZE_MIN} bytes"
            ));
        }
        if self.split_ops == 0 || self.split_bytes == 0 || self.split_cpu.is_zero() {
            return Err("--split-ops, --split-bytes and --split-cpu must not be 0".to_owned());
        }
        Ok(Settings {
            groups: self.groups,
            replicas: self.replicas,
            bootstrap_nodes,
            split_at: parse_keys(self.split_at.iter().map(String::as_str))?,
            liveness_timeout: self.liveness_timeout,
            replace_after: self.replace_after,
            snapshots_max: self.snapshots_max,
            split_size: self.split_size,
            split_ops: self.split_ops,
            split_bytes: self.split_bytes,
            split_cpu: self.split_cpu,
            merge_after: self.merge_after,
            moves_max: self.moves_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_flags_and_planner_are_the_same() {
        #[derive(clap::Parser)]
        struct Flags {
            #[command(flatten)]
            config: Config,
        }
        let flags = ["coterie", "--meta", "here:1", "--cluster-token", "t"];
        let parsed = <Flags as clap::Parser>::try_parse_from(flags).unwrap();
        let (parsed, made) = (parsed.config.settings(), Settings::default());
        assert_eq!(parsed.unwrap(), made);
    }

    #[test]
    fn fewer_nodes_than_replicas_make_no_sense() {
        let mut config = Config::of(vec![], ClusterToken::given("t"));
        assert_eq!(config.settings().unwrap().bootstrap_nodes, 3);
        config.replicas = 1;
        assert_eq!(config.settings().unwrap().bootstrap_nodes, 1);
        config.replicas = 5;
        config.bootstrap_nodes = Some(3);
        assert!(config.settings().is_err());
    }
}
