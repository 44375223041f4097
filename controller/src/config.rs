//! The settings of a controller.

use std::time::Duration;

use bytes::Bytes;
use coterie_config::ClusterToken;

use crate::planner::Settings;

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
        Self {
            meta,
            http: None,
            groups: 3,
            replicas: 3,
            bootstrap_nodes: None,
            split_at: Vec::new(),
            liveness_timeout: Duration::from_secs(3),
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
        Ok(Settings {
            groups: self.groups,
            replicas: self.replicas,
            bootstrap_nodes,
            split_at: parse_keys(self.split_at.iter().map(String::as_str))?,
            liveness_timeout: self.liveness_timeout,
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
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
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
