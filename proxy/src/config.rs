//! The proxy's settings. Settings that Redis has, too, bear Redis' names, and `CONFIG GET|SET`
//! shows and changes them while the proxy runs (`settings`).

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::ArgAction;
use coterie_config::{ClusterToken, Secret, duration, size};

/// See the module's head.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// The address at which clients connect.
    // Redis' port, and loopback only: an operator who opens it to the world must say so.
    #[arg(
        long,
        env = "COTERIE_LISTEN",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:6379"
    )]
    pub listen: SocketAddr,

    /// Addresses of the members of the metadata service.
    #[arg(
        long,
        env = "COTERIE_META",
        value_name = "IP:PORT,...",
        value_delimiter = ',',
        required = true
    )]
    pub meta: Vec<String>,

    /// The address that serves metrics and health.
    #[arg(long, env = "COTERIE_HTTP", value_name = "IP:PORT")]
    pub http: Option<String>,

    /// Number of threads that serve clients; by default half the number of cores.
    // The kernel needs about as many cores for the sockets, and so do servers on the same host.
    // With more threads than free cores, batches become smaller, which costs every client more.
    #[arg(long, env = "COTERIE_IO_THREADS", value_name = "N")]
    pub io_threads: Option<NonZeroUsize>,

    /// The secret of the cluster.
    #[command(flatten)]
    pub cluster_token: ClusterToken,

    /// How long a command may take before its client gets `TRYAGAIN` or `UNKNOWN`.
    // Long enough for a leader to die and for several elections.
    #[arg(
        long,
        env = "COTERIE_REQUEST_TIMEOUT",
        value_name = "DURATION",
        value_parser = request_timeout,
        default_value = "10s"
    )]
    pub request_timeout: Duration,

    /// How long a stopping proxy waits for clients to take their replies.
    #[arg(
        long,
        env = "COTERIE_DRAIN_TIMEOUT",
        value_name = "DURATION",
        value_parser = duration,
        default_value = "5s"
    )]
    pub drain_timeout: Duration,

    /// The largest value a client may write.
    // Each value goes through the log of a group as a whole, so a large value delays all others.
    #[arg(
        long,
        env = "COTERIE_MAX_VALUE_BYTES",
        value_name = "SIZE",
        value_parser = size,
        default_value = "1MiB"
    )]
    pub max_value_bytes: u64,

    /// The password of the default user, until ACL SETUSER or CONFIG SET changes that user; empty
    /// for none.
    #[arg(
        long,
        env = "COTERIE_REQUIREPASS",
        value_name = "PASSWORD",
        hide_env_values = true
    )]
    pub requirepass: Option<Secret>,

    /// A file of users, a line `user NAME RULE ...` each. They become the users of a cluster that
    /// has none; ACL LOAD and ACL SAVE read and write it.
    #[arg(long, env = "COTERIE_ACLFILE", value_name = "PATH")]
    pub aclfile: Option<PathBuf>,

    /// The channels that a new user may use.
    #[arg(
        long,
        env = "COTERIE_ACL_PUBSUB_DEFAULT",
        value_enum,
        default_value = "resetchannels"
    )]
    pub acl_pubsub_default: PubsubDefault,

    /// Maximum number of denials that ACL LOG keeps.
    #[arg(
        long,
        env = "COTERIE_ACLLOG_MAX_LEN",
        value_name = "N",
        default_value_t = 128
    )]
    pub acllog_max_len: u64,

    /// Without a password, accept clients from loopback only.
    #[arg(
        long,
        env = "COTERIE_PROTECTED_MODE",
        value_name = "yes|no",
        value_parser = clap::builder::BoolishValueParser::new(),
        action = ArgAction::Set,
        default_value = "yes"
    )]
    pub protected_mode: bool,

    /// Maximum number of connected clients.
    #[arg(
        long,
        env = "COTERIE_MAXCLIENTS",
        value_name = "N",
        default_value_t = 10_000
    )]
    pub maxclients: u64,

    /// Close clients that were idle for this long; 0s for never.
    #[arg(
        long,
        env = "COTERIE_TIMEOUT",
        value_name = "DURATION",
        value_parser = duration,
        default_value = "0s"
    )]
    pub timeout: Duration,

    /// With a password set, close clients that do not authenticate within this time; 0s for never.
    #[arg(
        long,
        env = "COTERIE_AUTH_TIMEOUT",
        value_name = "DURATION",
        value_parser = duration,
        default_value = "60s"
    )]
    pub auth_timeout: Duration,

    /// How often TCP probes silent clients; 0s for never.
    #[arg(
        long,
        env = "COTERIE_TCP_KEEPALIVE",
        value_name = "DURATION",
        value_parser = duration,
        default_value = "300s"
    )]
    pub tcp_keepalive: Duration,

    /// The largest argument a client may send.
    #[arg(
        long,
        env = "COTERIE_PROTO_MAX_BULK_LEN",
        value_name = "SIZE",
        value_parser = size,
        default_value = "512MiB"
    )]
    pub proto_max_bulk_len: u64,

    /// Maximum bytes received from a client that are not yet a complete command.
    #[arg(
        long,
        env = "COTERIE_CLIENT_QUERY_BUFFER_LIMIT",
        value_name = "SIZE",
        value_parser = size,
        default_value = "1GiB"
    )]
    pub client_query_buffer_limit: u64,

    /// Maximum bytes of replies that wait for a client; beyond it the client is closed. 0 for no
    /// limit.
    // Redis has no limit for normal clients. Here a client that does not take its replies is not
    // read from either, so only replies to commands in flight can pile up.
    #[arg(
        long,
        env = "COTERIE_CLIENT_OUTPUT_BUFFER_LIMIT",
        value_name = "SIZE",
        value_parser = size,
        default_value = "1GiB"
    )]
    pub client_output_buffer_limit: u64,

    /// Maximum bytes of messages that wait for a client that did not ask for them: of channels that
    /// it subscribed to, and invalidations. Beyond it the client is closed. 0 for no limit.
    #[arg(
        long,
        env = "COTERIE_PUBSUB_OUTPUT_BUFFER_LIMIT",
        value_name = "SIZE",
        value_parser = size,
        default_value = "32MiB"
    )]
    pub pubsub_output_buffer_limit: u64,

    /// Memory for long replies (over 64KiB) that clients have not taken yet, for all clients
    /// together. The proxy requests such a reply from a group only when there is room for it.
    #[arg(
        long,
        env = "COTERIE_REPLY_MEMORY",
        value_name = "SIZE",
        value_parser = size,
        default_value = "128MiB"
    )]
    pub reply_memory: u64,

    /// The part of the reply memory that a client may take; a longer single reply gets what it
    /// needs.
    #[arg(
        long,
        env = "COTERIE_CLIENT_REPLY_MEMORY",
        value_name = "SIZE",
        value_parser = size,
        default_value = "128KiB"
    )]
    pub client_reply_memory: u64,

    /// Memory for long requests (over 64KiB) that are incomplete or unanswered, for all clients
    /// together. The proxy reads a long argument only when there is room for it.
    #[arg(
        long,
        env = "COTERIE_REQUEST_MEMORY",
        value_name = "SIZE",
        value_parser = size,
        default_value = "64MiB"
    )]
    pub request_memory: u64,

    /// Commands that take longer are recorded by SLOWLOG. The time includes the way to the group
    /// and back.
    #[arg(
        long,
        env = "COTERIE_SLOWLOG_LOG_SLOWER_THAN",
        value_name = "DURATION",
        value_parser = duration,
        default_value = "100ms"
    )]
    pub slowlog_log_slower_than: Duration,

    /// Maximum number of slow commands that SLOWLOG keeps.
    #[arg(
        long,
        env = "COTERIE_SLOWLOG_MAX_LEN",
        value_name = "N",
        default_value_t = 128
    )]
    pub slowlog_max_len: u64,
}

/// The channels that a new user may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PubsubDefault {
    /// All.
    Allchannels,
    /// None.
    Resetchannels,
}

/// A group drops its replies to a proxy that was silent for ten minutes of the group's clock, so a
/// write must not be sent again for nearly as long.
const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(5 * 60);

fn request_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text).map_err(|error| error.to_string())?;
    if timeout.is_zero() || timeout > REQUEST_TIMEOUT_MAX {
        return Err("must be above zero, and five minutes at most".to_owned());
    }
    Ok(timeout)
}

impl Config {
    /// How many threads serve clients.
    pub(crate) fn io_threads(&self) -> NonZeroUsize {
        self.io_threads.unwrap_or_else(|| {
            let cores = available_parallelism().map_or(1, NonZeroUsize::get);
            NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN)
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    #[test]
    fn settings_are_written_as_people_write_them() {
        let argv = "x --meta 127.0.0.1:1,127.0.0.1:2 --request-timeout 500ms --protected-mode no \
                    --proto-max-bulk-len 1MiB --requirepass s3cret";
        let config = Cli::try_parse_from(argv.split_whitespace()).unwrap().config;
        assert_eq!(config.meta, ["127.0.0.1:1", "127.0.0.1:2"]);
        assert_eq!(config.request_timeout, Duration::from_millis(500));
        for refused in ["0s", "301s", "soon"] {
            let argv = ["x", "--meta", "127.0.0.1:1", "--request-timeout", refused];
            assert!(Cli::try_parse_from(argv).is_err(), "{refused}");
        }
        assert!(!config.protected_mode);
        assert_eq!(config.proto_max_bulk_len, 1 << 20);
        assert!(!format!("{config:?}").contains("s3cret"));
        assert!(Cli::try_parse_from(["x"]).is_err(), "meta is required");
    }
}
