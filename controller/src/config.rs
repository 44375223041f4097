//! The settings of a controller.

use std::time::Duration;

use bytes::Bytes;
use coterie_config::ClusterToken;

use crate::planner::Settings;

/// Smaller ranges are not worth the rows.
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
    /// Groups that a new cluster begins with.
    #[arg(long, env = "COTERIE_GROUPS", value_name = "N", default_value_t = 3)]
    pub groups: usize,
    /// Replicas of each group.
    #[arg(long, env = "COTERIE_REPLICAS", value_name = "N", default_value_t = 3)]
    pub replicas: usize,
    /// Nodes that must have joined before a new cluster's groups are made; by default as many as
    /// there are replicas.
    #[arg(long, env = "COTERIE_BOOTSTRAP_NODES", value_name = "N")]
    pub bootstrap_nodes: Option<usize>,
    /// Keys at which table 0 (database 0) of a new cluster is cut, so that several groups share it
    /// from the start; `\xHH` is a byte. By default it begins as one range.
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
    /// Silence after which the replicas of a node are put elsewhere.
    #[arg(long, env = "COTERIE_REPLACE_AFTER", value_name = "DURATION",
        default_value = "60s", value_parser = coterie_config::duration)]
    pub replace_after: Duration,
    /// Replicas that are brought to other nodes at once, in the whole cluster; to one node, one.
    #[arg(
        long,
        env = "COTERIE_SNAPSHOTS_MAX",
        value_name = "N",
        default_value_t = 2
    )]
    pub snapshots_max: usize,
    /// Bytes above which a range is cut in two.
    #[arg(long, env = "COTERIE_SPLIT_SIZE", value_name = "SIZE",
        default_value = "512MiB", value_parser = coterie_config::size)]
    pub split_size: u64,
    /// Commands per second above which a range is cut, when they last.
    #[arg(
        long,
        env = "COTERIE_SPLIT_OPS",
        value_name = "N",
        default_value_t = 20_000
    )]
    pub split_ops: u64,
    /// Bytes of commands and replies per second above which a range is cut, when they last.
    #[arg(long, env = "COTERIE_SPLIT_BYTES", value_name = "SIZE",
        default_value = "64MiB", value_parser = coterie_config::size)]
    pub split_bytes: u64,
    /// CPU time per second above which a range is cut, when it lasts.
    #[arg(long, env = "COTERIE_SPLIT_CPU", value_name = "DURATION",
        default_value = "800ms", value_parser = coterie_config::duration)]
    pub split_cpu: Duration,
    /// How long small neighbours must hardly have been used to become one range.
    #[arg(long, env = "COTERIE_MERGE_AFTER", value_name = "DURATION",
        default_value = "10m", value_parser = coterie_config::duration)]
    pub merge_after: Duration,
    /// Ranges that are moved at once by themselves, in the whole cluster.
    #[arg(long, env = "COTERIE_MOVES_MAX", value_name = "N", default_value_t = 2)]
    pub moves_max: usize,
    /// How long another controller waits for this one, when it is silent.
    #[arg(long, env = "COTERIE_LEASE", value_name = "DURATION",
        default_value = "6s", value_parser = coterie_config::duration)]
    pub lease: Duration,
    /// The secret shared by the cluster.
    #[command(flatten)]
    pub cluster_token: ClusterToken,
}

impl Config {
    /// A controller with the defaults of the flags.
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
        }
    }

    /// What the planner wants of it, or what is wrong.
    pub(crate) fn settings(&self) -> Result<Settings, String> {
        if self.groups == 0 || self.replicas == 0 {
            return Err("--groups and --replicas count from 1".to_owned());
        }
        let bootstrap_nodes = self.bootstrap_nodes.unwrap_or(self.replicas);
        if bootstrap_nodes < self.replicas {
            return Err(format!(
                "--bootstrap-nodes {bootstrap_nodes} is less than --replicas {}",
                self.replicas
            ));
        }
        if self.lease < Duration::from_secs(1) {
            return Err("--lease is at least 1s".to_owned());
        }
        if self.snapshots_max == 0 || self.moves_max == 0 {
            return Err("--snapshots-max and --moves-max count from 1".to_owned());
        }
        if self.split_size < SPLIT_SIZE_MIN {
            return Err(format!("--split-size is at least {SPLIT_SIZE_MIN} bytes"));
        }
        if self.split_ops == 0 || self.split_bytes == 0 || self.split_cpu.is_zero() {
            return Err("--split-ops, --split-bytes and --split-cpu are not 0".to_owned());
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

/// Keys as they are written on a command line: sorted, each once, none empty.
pub(crate) fn parse_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Result<Vec<Bytes>, String> {
    let mut parsed = Vec::new();
    for text in keys {
        let key = parse_key(text)?;
        if key.is_empty() {
            return Err("a table is not cut at the empty key".to_owned());
        }
        parsed.push(key);
    }
    parsed.sort();
    parsed.dedup();
    Ok(parsed)
}

fn parse_key(text: &str) -> Result<Bytes, String> {
    let mut key = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        key.extend_from_slice(before.as_bytes());
        let byte = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        key.push(byte.ok_or_else(|| format!("`{text}`: two hex digits follow `\\x`"))?);
        rest = &after[2..];
    }
    key.extend_from_slice(rest.as_bytes());
    Ok(Bytes::from(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_bytes_may_be_written() {
        let keys = parse_keys(["m", "g\\x00\\xff!", "m"].into_iter()).unwrap();
        assert_eq!(keys, [&b"g\x00\xff!"[..], b"m"]);
        for bad in ["", "\\x", "\\x0", "\\xzz", "a\\x€"] {
            assert!(parse_keys([bad].into_iter()).is_err(), "{bad}");
        }
    }

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
