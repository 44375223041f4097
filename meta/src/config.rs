//! The settings of a meta member.

use std::path::PathBuf;
use std::str::FromStr;

use coterie_config::{ClusterTlsFiles, ClusterToken};
use coterie_raft::RaftConfig;

/// Flags of `coterie meta`.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// This member's id, as in the list of peers.
    #[arg(long, env = "COTERIE_ID", value_name = "N")]
    pub id: u64,
    /// Where to listen for members, nodes, proxies and controllers.
    #[arg(long, env = "COTERIE_LISTEN", value_name = "IP:PORT")]
    pub listen: String,
    /// All members: `1=IP:PORT,2=IP:PORT,3=IP:PORT`. Without it, this is the only member.
    #[arg(
        long,
        env = "COTERIE_PEERS",
        value_name = "ID=IP:PORT",
        value_delimiter = ','
    )]
    pub peers: Vec<Peer>,
    /// Directory of the log and the snapshot.
    #[arg(long, env = "COTERIE_DIR", value_name = "DIR")]
    pub dir: PathBuf,
    /// Directory for backups of every change, written while this member leads; best on another
    /// disk.
    #[arg(long, env = "COTERIE_BACKUP_DIR", value_name = "DIR")]
    pub backup_dir: Option<PathBuf>,
    /// Where to serve `/metrics` and `/health`.
    #[arg(long, env = "COTERIE_HTTP", value_name = "IP:PORT")]
    pub http: Option<String>,
    /// The secret shared by the cluster.
    #[command(flatten)]
    pub cluster_token: ClusterToken,
    /// TLS between processes.
    #[command(flatten)]
    pub cluster_tls: ClusterTlsFiles,
    /// Settings of its Raft group.
    #[command(flatten)]
    pub raft: RaftConfig,
}

/// A member, as it is written in the list of peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub id: u64,
    /// Where it listens.
    pub addr: String,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, addr) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not of the form ID=IP:PORT"))?;
        let id: u64 = id
            .trim()
            .parse()
            .map_err(|_| format!("`{id}` is not a member's id"))?;
        let addr = addr.trim();
        if id == 0 {
            return Err("member ids count from 1".to_owned());
        }
        if !addr.contains(':') {
            return Err(format!("`{addr}` is not of the form IP:PORT"));
        }
        Ok(Self {
            id,
            addr: addr.to_owned(),
        })
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.id, self.addr)
    }
}

impl Config {
    /// A single member, with the defaults of the flags.
    #[must_use]
    pub fn alone(listen: impl Into<String>, dir: PathBuf, cluster_token: ClusterToken) -> Self {
        Self {
            id: 1,
            listen: listen.into(),
            peers: Vec::new(),
            dir,
            backup_dir: None,
            http: None,
            cluster_token,
            cluster_tls: ClusterTlsFiles::default(),
            raft: RaftConfig::default(),
        }
    }

    /// Checks the list of peers; the error is its first fault.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.id == 0 {
            return Err("member ids count from 1".to_owned());
        }
        for (index, peer) in self.peers.iter().enumerate() {
            if let Some(twin) = self.peers[..index]
                .iter()
                .find(|other| other.id == peer.id || other.addr == peer.addr)
            {
                return Err(format!("{twin} and {peer} are both in --peers"));
            }
        }
        if !self.peers.is_empty() && !self.peers.iter().any(|peer| peer.id == self.id) {
            return Err(format!("--id {} is not in --peers", self.id));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_read_as_they_are_written() {
        let peer: Peer = "2=127.0.0.1:7000".parse().unwrap();
        assert_eq!((peer.id, peer.addr.as_str()), (2, "127.0.0.1:7000"));
        assert_eq!(peer.to_string(), "2=127.0.0.1:7000");
        for text in ["", "127.0.0.1:7000", "0=a:1", "x=a:1", "1=a"] {
            assert!(text.parse::<Peer>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_without_this_member_or_with_one_twice_is_refused() {
        let token = ClusterToken::given("t");
        let mut config = Config::alone("127.0.0.1:0", PathBuf::from("d"), token);
        assert_eq!(config.check(), Ok(()));
        let peers = |list: &[&str]| list.iter().map(|p| p.parse().unwrap()).collect();
        config.peers = peers(&["1=a:1", "2=a:2"]);
        assert_eq!(config.check(), Ok(()));
        config.peers = peers(&["2=a:1", "3=a:2"]);
        assert!(config.check().unwrap_err().contains("--id 1"));
        config.peers = peers(&["1=a:1", "1=a:2"]);
        assert!(config.check().is_err());
        config.peers = peers(&["1=a:1", "2=a:1"]);
        assert!(config.check().is_err());
    }
}
