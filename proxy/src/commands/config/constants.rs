//! The parameters of Redis that have no counterpart in a proxy: tools and clients' test suites ask
//! for them, and set some.
//!
//! Each has the value of Redis' own default, or the value that says how Coterie works. Numbers and
//! switches that only tune Redis may be set, which changes nothing. A parameter that would be a
//! promise, like `min-replicas-to-write`, can only be set to the value that it has.

use super::setting::{Set, Setting};

macro_rules! constant {
    ($name:literal, $value:literal, $set:expr) => {
        Setting {
            name: $name,
            get: |_| bytes::Bytes::from_static($value.as_bytes()),
            set: $set,
        }
    };
}

/// A parameter that may be set to its present value.
macro_rules! same {
    ($name:literal, $value:literal) => {
        constant!($name, $value, Set::ToTheSame)
    };
}

/// A parameter that Redis, too, reads only at its start.
macro_rules! never {
    ($name:literal, $value:literal) => {
        constant!($name, $value, Set::Never)
    };
}

/// A number within bounds, to be set without effect.
macro_rules! ignored {
    ($name:literal, $value:literal, $least:expr, $most:expr) => {
        constant!($name, $value, Set::Ignored($least, $most))
    };
}

/// `yes` or `no`, to be set without effect.
macro_rules! switch {
    ($name:literal, $value:literal) => {
        constant!($name, $value, Set::IgnoredSwitch)
    };
}

/// A count.
const COUNT: i64 = i64::MAX;
/// A small number.
const SMALL: i64 = i32::MAX as i64;

/// All of them, sorted by name.
pub(super) static CONSTANTS: &[Setting] = &[
    same!("acl-pubsub-default", "resetchannels"),
    never!("aclfile", ""),
    ignored!("acllog-max-len", "128", 0, COUNT),
    ignored!("active-defrag-cycle-max", "25", 1, 99),
    ignored!("active-defrag-cycle-min", "1", 1, 99),
    ignored!("active-defrag-ignore-bytes", "104857600", 1, COUNT),
    ignored!("active-defrag-max-scan-fields", "1000", 1, COUNT),
    ignored!("active-defrag-threshold-lower", "10", 0, 1000),
    ignored!("active-defrag-threshold-upper", "100", 0, 1000),
    ignored!("active-expire-effort", "1", 1, 10),
    same!("activedefrag", "no"),
    switch!("activerehashing", "yes"),
    never!("always-show-logo", "no"),
    switch!("aof-disable-auto-gc", "no"),
    switch!("aof-load-truncated", "yes"),
    switch!("aof-rewrite-incremental-fsync", "yes"),
    switch!("aof-timestamp-enabled", "no"),
    switch!("aof-use-rdb-preamble", "yes"),
    never!("aof_rewrite_cpulist", ""),
    never!("appenddirname", "appendonlydir"),
    never!("appendfilename", "appendonly.aof"),
    ignored!("auto-aof-rewrite-min-size", "67108864", 0, COUNT),
    ignored!("auto-aof-rewrite-percentage", "100", 0, SMALL),
    never!("bgsave_cpulist", ""),
    same!("bind-source-addr", ""),
    never!("bio_cpulist", ""),
    ignored!("busy-reply-threshold", "5000", 0, COUNT),
    switch!("cluster-allow-pubsubshard-when-down", "yes"),
    same!("cluster-allow-reads-when-down", "no"),
    switch!("cluster-allow-replica-migration", "yes"),
    same!("cluster-announce-bus-port", "0"),
    same!("cluster-announce-hostname", ""),
    never!("cluster-config-file", "nodes.conf"),
    ignored!("cluster-link-sendbuf-limit", "0", 0, COUNT),
    ignored!("cluster-migration-barrier", "1", 0, SMALL),
    ignored!("cluster-node-timeout", "15000", 0, COUNT),
    never!("cluster-port", "0"),
    same!("cluster-preferred-endpoint-type", "ip"),
    switch!("cluster-replica-no-failover", "no"),
    ignored!("cluster-replica-validity-factor", "10", 0, SMALL),
    same!("cluster-require-full-coverage", "yes"),
    switch!("cluster-slave-no-failover", "no"),
    ignored!("cluster-slave-validity-factor", "10", 0, SMALL),
    same!("crash-log-enabled", "no"),
    switch!("crash-memcheck-enabled", "no"),
    never!("daemonize", "no"),
    same!("dbfilename", "dump.rdb"),
    never!("disable-thp", "no"),
    switch!("dynamic-hz", "yes"),
    never!("enable-module-command", "no"),
    never!("enable-protected-configs", "no"),
    ignored!("hz", "10", 0, SMALL),
    same!("ignore-warnings", ""),
    never!("io-threads-do-reads", "yes"),
    same!("jemalloc-bg-thread", "no"),
    same!("latency-tracking", "yes"),
    same!("latency-tracking-info-percentiles", "50 99 99.9"),
    switch!("lazyfree-lazy-eviction", "no"),
    switch!("lazyfree-lazy-expire", "no"),
    switch!("lazyfree-lazy-server-del", "no"),
    switch!("lazyfree-lazy-user-del", "no"),
    switch!("lazyfree-lazy-user-flush", "no"),
    ignored!("lfu-decay-time", "1", 0, SMALL),
    ignored!("lfu-log-factor", "10", 0, SMALL),
    never!("logfile", ""),
    same!("loglevel", "notice"),
    ignored!("lua-time-limit", "5000", 0, COUNT),
    same!("masterauth", ""),
    same!("masteruser", ""),
    same!("maxmemory-clients", "0"),
    ignored!("maxmemory-eviction-tenacity", "10", 0, 100),
    ignored!("maxmemory-samples", "5", 1, SMALL),
    ignored!("min-replicas-max-lag", "10", 0, SMALL),
    same!("min-replicas-to-write", "0"),
    ignored!("min-slaves-max-lag", "10", 0, SMALL),
    same!("min-slaves-to-write", "0"),
    same!("no-appendfsync-on-rewrite", "no"),
    same!("oom-score-adj", "no"),
    same!("oom-score-adj-values", "0 200 800"),
    never!("pidfile", ""),
    same!("proc-title-template", "{title} {listen-addr} {server-mode}"),
    same!("propagation-error-behavior", "ignore"),
    switch!("rdb-del-sync-files", "no"),
    switch!("rdb-save-incremental-fsync", "yes"),
    never!("rdbchecksum", "yes"),
    switch!("rdbcompression", "yes"),
    ignored!("repl-backlog-size", "1048576", 1, COUNT),
    ignored!("repl-backlog-ttl", "3600", 0, COUNT),
    switch!("repl-disable-tcp-nodelay", "no"),
    same!("repl-diskless-load", "disabled"),
    switch!("repl-diskless-sync", "yes"),
    ignored!("repl-diskless-sync-delay", "5", 0, SMALL),
    ignored!("repl-diskless-sync-max-replicas", "0", 0, SMALL),
    ignored!("repl-ping-replica-period", "10", 1, SMALL),
    ignored!("repl-ping-slave-period", "10", 1, SMALL),
    ignored!("repl-timeout", "60", 1, SMALL),
    same!("replica-announce-ip", ""),
    same!("replica-announce-port", "0"),
    switch!("replica-announced", "yes"),
    switch!("replica-ignore-disk-write-errors", "no"),
    switch!("replica-ignore-maxmemory", "yes"),
    switch!("replica-lazy-flush", "no"),
    ignored!("replica-priority", "100", 0, SMALL),
    switch!("replica-read-only", "yes"),
    switch!("replica-serve-stale-data", "yes"),
    never!("replicaof", ""),
    same!("sanitize-dump-payload", "no"),
    never!("server_cpulist", ""),
    never!("set-proc-title", "no"),
    same!("shutdown-on-sigint", "default"),
    same!("shutdown-on-sigterm", "default"),
    ignored!("shutdown-timeout", "10", 0, SMALL),
    same!("slave-announce-ip", ""),
    same!("slave-announce-port", "0"),
    switch!("slave-ignore-maxmemory", "yes"),
    switch!("slave-lazy-flush", "no"),
    ignored!("slave-priority", "100", 0, SMALL),
    switch!("slave-read-only", "yes"),
    switch!("slave-serve-stale-data", "yes"),
    never!("slaveof", ""),
    never!("socket-mark-id", "0"),
    same!("stop-writes-on-bgsave-error", "yes"),
    never!("supervised", "no"),
    never!("syslog-enabled", "no"),
    never!("syslog-facility", "local0"),
    never!("syslog-ident", "redis"),
    never!("tcp-backlog", "511"),
    same!("tls-auth-clients", "yes"),
    same!("tls-ca-cert-dir", ""),
    same!("tls-ca-cert-file", ""),
    same!("tls-cert-file", ""),
    same!("tls-ciphers", ""),
    same!("tls-ciphersuites", ""),
    same!("tls-client-cert-file", ""),
    same!("tls-client-key-file", ""),
    same!("tls-client-key-file-pass", ""),
    same!("tls-cluster", "no"),
    same!("tls-dh-params-file", ""),
    same!("tls-key-file", ""),
    same!("tls-key-file-pass", ""),
    same!("tls-port", "0"),
    same!("tls-prefer-server-ciphers", "no"),
    same!("tls-protocols", ""),
    same!("tls-replication", "no"),
    same!("tls-session-cache-size", "20480"),
    same!("tls-session-cache-timeout", "300"),
    same!("tls-session-caching", "yes"),
    ignored!("tracking-table-max-keys", "1000000", 0, COUNT),
    never!("unixsocket", ""),
    never!("unixsocketperm", "0"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_sorted() {
        assert!(CONSTANTS.is_sorted_by(|a, b| a.name < b.name));
    }
}
