//! The settings of a server.

use std::path::PathBuf;
use std::time::Duration;

use coterie_config::{ClusterTlsFiles, ClusterToken, duration, size};
use coterie_raft::RaftConfig;

use crate::replica::ReadMode;

/// Flags of `coterie server`.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where to listen for proxies, other servers and controllers.
    #[arg(long, env = "COTERIE_LISTEN", value_name = "IP:PORT")]
    pub listen: String,
    /// Where others reach this server, if that differs from where it listens.
    #[arg(long, env = "COTERIE_ADVERTISE", value_name = "IP:PORT")]
    pub advertise: Option<String>,
    /// The members of the metadata service.
    #[arg(
        long,
        env = "COTERIE_META",
        value_name = "IP:PORT,...",
        value_delimiter = ',',
        required = true
    )]
    pub meta: Vec<String>,
    /// Directory of the log and the replicas.
    #[arg(long, env = "COTERIE_DIR", value_name = "DIR")]
    pub dir: PathBuf,
    /// Where to serve `/metrics` and `/health`.
    #[arg(long, env = "COTERIE_HTTP", value_name = "IP:PORT")]
    pub http: Option<String>,
    /// The failure domain this server is in; replicas of a group are spread over zones.
    #[arg(long, env = "COTERIE_ZONE", value_name = "ZONE", default_value = "")]
    pub zone: String,
    /// The machine this server runs on, by any name: load is not spread over servers of the same
    /// machine. By default the kernel's boot id, which is the same for all processes of a machine.
    #[arg(long, env = "COTERIE_HOST", value_name = "HOST")]
    pub host: Option<String>,
    /// Bytes this server may fill; by default the size of its file system.
    #[arg(long, env = "COTERIE_CAPACITY", value_name = "SIZE", value_parser = size)]
    pub capacity: Option<u64>,
    /// Memory for cached blocks of all stores.
    #[arg(long, env = "COTERIE_BLOCK_CACHE", value_name = "SIZE", default_value = "512MiB", value_parser = size)]
    pub block_cache: u64,
    /// Memory for cached values of all stores. A cached value is returned without a search of the
    /// store; 0 turns this cache off.
    #[arg(long, env = "COTERIE_RECORD_CACHE", value_name = "SIZE", default_value = "128MiB", value_parser = size)]
    pub record_cache: u64,
    /// Memory for the recent writes of each replica. When they take that much they are flushed;
    /// writes that arrive meanwhile take as much again.
    #[arg(long, env = "COTERIE_WRITE_BUFFER", value_name = "SIZE", default_value = "32MiB", value_parser = write_buffer)]
    pub write_buffer: u64,
    /// Memory for long replies (over 64KiB) that are being made or have not left yet. A read waits
    /// until there is room for its reply.
    #[arg(long, env = "COTERIE_REPLY_MEMORY", value_name = "SIZE", default_value = "128MiB", value_parser = size)]
    pub reply_memory: u64,
    /// The part of the reply memory that the replies to a single proxy may take. It bounds how many
    /// long reads run at a time, so that short commands pass between them.
    #[arg(long, env = "COTERIE_LINK_REPLY_MEMORY", value_name = "SIZE", default_value = "2MiB", value_parser = size)]
    pub link_reply_memory: u64,
    /// How a leader makes sure that it may serve a read.
    #[arg(
        long,
        env = "COTERIE_READ_MODE",
        value_name = "MODE",
        default_value = "lease"
    )]
    pub read_mode: ReadMode,
    /// Bytes of the longest value that a command may make. The proxies' setting of the same name
    /// limits the values that clients send.
    #[arg(long, env = "COTERIE_MAX_VALUE_BYTES", value_name = "SIZE", default_value = "1MiB", value_parser = size)]
    pub max_value_bytes: u64,
    /// Writes are refused when the file system has less free space than this; reads and deletes are
    /// not.
    #[arg(long, env = "COTERIE_DISK_RESERVE", value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    pub disk_reserve: u64,
    /// Bytes per second at which this node copies ranges that move to it, all of them together; 0
    /// is unlimited. The copy shares the log with clients' writes: on two cores 16MiB made their
    /// p99 several times as long, 4MiB about twice (`docs/benchmarks.md`).
    #[arg(long, env = "COTERIE_MOVE_RATE", value_name = "SIZE", default_value = "4MiB", value_parser = size)]
    pub move_rate: u64,
    /// Bytes per second that flushes and compactions of this node write at most, all of them
    /// together; 0 is unlimited. They begin with a twentieth of it and speed up within seconds when
    /// that is not enough: an unlimited compaction would make clients wait.
    #[arg(long, env = "COTERIE_COMPACTION_RATE", value_name = "SIZE", default_value = "512MiB", value_parser = size)]
    pub compaction_rate: u64,
    /// How often this node reports its status to meta.
    #[arg(long, env = "COTERIE_HEARTBEAT_INTERVAL", value_name = "DURATION", default_value = "500ms", value_parser = duration)]
    pub heartbeat_interval: Duration,
    /// How long a stop waits for leaders to move elsewhere, three seconds at most.
    // As the proxy's: `coterie node` has one value for both.
    #[arg(long, env = "COTERIE_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub drain_timeout: Duration,
    /// The secret shared by the cluster.
    #[command(flatten)]
    pub cluster_token: ClusterToken,
    /// TLS between processes.
    #[command(flatten)]
    pub cluster_tls: ClusterTlsFiles,
    /// Settings of its Raft groups.
    #[command(flatten)]
    pub raft: RaftConfig,
}

/// The smallest write buffer. Each flush makes a file, so smaller ones would make many small files,
/// which compactions would have to merge.
const WRITE_BUFFER_MIN: u64 = 1 << 20;

fn write_buffer(text: &str) -> Result<u64, String> {
    let bytes = size(text).map_err(|error| error.to_string())?;
    if bytes < WRITE_BUFFER_MIN {
        return Err("must be at least 1MiB".to_owned());
    }
    Ok(bytes)
}
