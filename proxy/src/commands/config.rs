//! `CONFIG`: the settings that exist, under Redis' names (Redis `config.c`).
//!
//! Those that may change are read and written here; others, which benchmarks and libraries ask for,
//! say truthfully how Coterie works and cannot be set. Thresholds of encodings are Redis' defaults,
//! by which `OBJECT ENCODING` answers; to set them is allowed and changes nothing. `CONFIG SET`
//! changes all it names or nothing, on this proxy and until it ends: lasting settings are flags.

mod constants;
mod output_limits;
mod rights;
mod setting;
mod values;

use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use coterie_protocol::objects::NOTIFY_KEYSPACE_EVENTS;
use coterie_redis_compat::errors::{NO_CONFIG_FILE, SYNTAX};
use coterie_redis_compat::{CommandError, DATABASES, Reply, glob, number};

use super::config_cluster;
use super::config_tls::{self, Field};
use super::words::failed_to_set as failed;
use super::{Answer, Handler, Local, Named, Remote, set_requirepass};
use crate::settings::Settings;
use crate::shared::Shared;
use constants::CONSTANTS;
use setting::{Set, Setting};
use values::{NOT_AN_INTEGER, check_number, decimal, memory, plain, switch};

pub(super) const HANDLERS: &[Named] = &[
    ("config|get", Handler::Now(get)),
    ("config|help", Handler::Now(help)),
    ("config|resetstat", Handler::Now(resetstat)),
    ("config|rewrite", Handler::Now(rewrite)),
    ("config|set", also_queued!(set)),
];

/// `CONFIG GET pattern [pattern ...]`: each setting once. A setting that is asked for by its plain
/// name is called as the client wrote it.
fn get(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let pairs = SETTINGS.iter().filter_map(|setting| {
        let name = args[2..].iter().find_map(|word| name_by(word, setting))?;
        Some((Reply::Bulk(name), Reply::Bulk((setting.get)(local.shared))))
    });
    Ok(Reply::Map(pairs.collect()).into())
}

/// The name of a setting in the reply to this word; `None` if the word is for others.
fn name_by(word: &Bytes, setting: &Setting) -> Option<Bytes> {
    let name = setting.name.as_bytes();
    if word.iter().any(|byte| b"[*?".contains(byte)) {
        let pattern = word.to_ascii_lowercase();
        return glob::matches(&pattern, name).then_some(Bytes::from_static(name));
    }
    word.eq_ignore_ascii_case(name).then(|| word.clone())
}

/// `CONFIG SET name value [name value ...]`: the names are checked before any value (Redis
/// `config.c`, `configSetCommand`).
async fn set(call: Remote) -> Result<Reply, CommandError> {
    let shared = &call.shared;
    let settings = named_settings(&call.args[2..])?;
    for (setting, value) in &settings {
        set_one(shared, setting, value, false)?;
    }
    let of_tls = settings
        .iter()
        .filter_map(|(setting, value)| match setting.set {
            Set::Tls(field) => Some((setting.name, field, *value)),
            _ => None,
        });
    let made = config_tls::try_out(shared, of_tls)?;
    let of_cluster = settings
        .iter()
        .filter_map(|(setting, value)| match setting.set {
            Set::Cluster(shown) => Some((setting.name, shown, *value)),
            _ => None,
        });
    // First: only these may fail from here on.
    config_cluster::set(&call, of_cluster).await?;
    if let Some(password) = password_of(&settings) {
        set_requirepass(&call, password).await?;
    }
    for (setting, value) in &settings {
        set_one(shared, setting, value, true)?;
    }
    config_tls::put(shared, made);
    shared.tracking.trim();
    Ok(Reply::OK)
}

fn password_of<'a>(settings: &[(&Setting, &'a Bytes)]) -> Option<&'a Bytes> {
    let mut settings = settings.iter();
    let found = settings.find(|(setting, _)| matches!(setting.set, Set::Requirepass));
    found.map(|(_, password)| *password)
}

/// Pairs of name and value: the settings, with their new values.
fn named_settings(words: &[Bytes]) -> Result<Vec<(&'static Setting, &Bytes)>, CommandError> {
    let mut named: Vec<(&'static Setting, &Bytes)> = Vec::new();
    if !words.len().is_multiple_of(2) {
        return Err(SYNTAX);
    }
    for pair in words.chunks_exact(2) {
        let (name, value) = (&pair[0], &pair[1]);
        let found = SETTINGS
            .iter()
            .find(|setting| name.eq_ignore_ascii_case(setting.name.as_bytes()));
        let setting = found.ok_or_else(|| CommandError::unknown_config(name))?;
        if matches!(setting.set, Set::Never) {
            return Err(failed(name, IMMUTABLE));
        }
        if named.iter().any(|(other, _)| other.name == setting.name) {
            return Err(failed(name, "duplicate parameter"));
        }
        named.push((setting, value));
    }
    Ok(named)
}

fn set_one(
    shared: &Shared,
    setting: &Setting,
    value: &Bytes,
    change: bool,
) -> Result<(), CommandError> {
    let done = match setting.set {
        Set::To(set) => set(&shared.settings, value, change),
        Set::OfRights(set) => set(&shared.rights, value, change),
        Set::Requirepass => Ok(()),
        Set::OfCluster => check_number(value, 0, i64::MAX).map(|()| {
            if change {
                shared.scripts.set_busy_threshold(value);
            }
        }),
        Set::ToTheSame if (setting.get)(shared) == value => Ok(()),
        Set::Ignored(least, most) => check_number(value, least, most),
        // Tried and put in force by `set`.
        Set::Tls(_) => Ok(()),
        Set::IgnoredSwitch => switch(value).map(drop),
        // Changed by `set_in_cluster`.
        Set::Cluster(shown) => shown(value).map(drop),
        Set::ToTheSame | Set::Never => Err(IMMUTABLE.to_owned()),
    };
    done.map_err(|reason| failed(setting.name.as_bytes(), &reason))
}

const IMMUTABLE: &str = "can't set immutable config";

/// `CONFIG RESETSTAT`.
fn resetstat(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    local.shared.stats.reset();
    Ok(Reply::OK.into())
}

/// `CONFIG REWRITE`.
fn rewrite(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Err(NO_CONFIG_FILE)
}

/// `CONFIG HELP`.
fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::help(
        "CONFIG",
        &[
            "GET <pattern>",
            "    Return parameters matching the glob-like <pattern> and their values.",
            "SET <directive> <value>",
            "    Set the configuration <directive> to <value>.",
            "RESETSTAT",
            "    Reset statistics reported by the INFO command.",
            "REWRITE",
            "    Rewrite the configuration file.",
        ],
    )
    .into())
}

fn fixed(name: &'static str, set: Set, get: fn(&Shared) -> Bytes) -> Setting {
    Setting { name, get, set }
}

macro_rules! constant {
    ($name:literal, $value:literal) => {
        Setting {
            name: $name,
            get: |_| Bytes::from_static($value.as_bytes()),
            set: Set::ToTheSame,
        }
    };
}

/// A setting of TLS for clients.
macro_rules! tls {
    ($name:literal, $field:expr) => {
        Setting {
            name: $name,
            get: |shared| $field.get(shared),
            set: Set::Tls($field),
        }
    };
}

/// A threshold of Redis' encodings, within `$range`.
macro_rules! threshold {
    ($name:literal, $value:literal, $range:expr) => {
        Setting {
            name: $name,
            get: |_| Bytes::from_static($value.as_bytes()),
            set: Set::Ignored($range.0, $range.1),
        }
    };
}

/// A count or a size.
const COUNT: (i64, i64) = (0, i64::MAX);
/// A size of nodes: below zero it is a class of sizes.
const INT: (i64, i64) = (i32::MIN as i64, i32::MAX as i64);

/// A number in `$field`, within `$range`, read by `$parse`.
macro_rules! number {
    ($name:literal, $field:ident, $range:expr, $parse:path) => {
        Setting {
            name: $name,
            get: |shared| decimal(shared.settings.$field.load(Ordering::Relaxed)),
            set: Set::To(|settings, value, change| {
                set_number(&settings.$field, $parse(value), $range, change)
            }),
        }
    };
}

fn set_number(
    field: &AtomicU64,
    value: Result<u64, &str>,
    range: RangeInclusive<u64>,
    change: bool,
) -> Result<(), String> {
    let value = value?;
    if !range.contains(&value) {
        let (least, most) = (range.start(), range.end());
        return Err(format!(
            "argument must be between {least} and {most} inclusive"
        ));
    }
    if change {
        field.store(value, Ordering::Relaxed);
    }
    Ok(())
}

fn yes_no(value: bool) -> Bytes {
    Bytes::from_static(if value { b"yes" } else { b"no" })
}

fn set_protected(settings: &Settings, value: &[u8], change: bool) -> Result<(), String> {
    let value = switch(value)?;
    if change {
        settings.protected_mode.store(value, Ordering::Relaxed);
    }
    Ok(())
}

fn set_slower_than(settings: &Settings, value: &[u8], change: bool) -> Result<(), String> {
    let value = number::parse_int(value).ok_or(NOT_AN_INTEGER)?;
    if value < -1 {
        return Err(format!(
            "argument must be between -1 and {} inclusive",
            i64::MAX
        ));
    }
    if change {
        settings
            .slowlog_log_slower_than
            .store(value, Ordering::Relaxed);
    }
    Ok(())
}

/// Sorted by name.
static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    with_constants(vec![
        Setting {
            name: "acl-pubsub-default",
            get: rights::pubsub_default,
            set: Set::OfRights(rights::set_pubsub_default),
        },
        fixed("aclfile", Set::Never, rights::aclfile),
        Setting {
            name: "acllog-max-len",
            get: |shared| decimal(shared.rights.denials.len_max.load(Ordering::Relaxed)),
            set: Set::OfRights(|rights, value, change| {
                set_number(
                    &rights.denials.len_max,
                    plain(value),
                    0..=i64::MAX as u64,
                    change,
                )
            }),
        },
        // Acknowledged writes are in the logs of a majority, on disk: more than any of these says.
        constant!("appendfsync", "always"),
        constant!("appendonly", "yes"),
        fixed("bind", Set::ToTheSame, |shared| decimal(shared.addr.ip())),
        Setting {
            name: "busy-reply-threshold",
            get: |shared| shared.scripts.busy_threshold(),
            set: Set::OfCluster,
        },
        Setting {
            name: "client-output-buffer-limit",
            get: output_limits::get,
            set: Set::To(output_limits::set),
        },
        number!(
            "client-query-buffer-limit",
            client_query_buffer_limit,
            1_048_576..=i64::MAX as u64,
            memory
        ),
        fixed("cluster-announce-ip", Set::ToTheSame, |shared| {
            let own = shared.roster.own();
            decimal(own.announces.as_ref().map_or("", |(host, _)| host))
        }),
        fixed("cluster-announce-port", Set::ToTheSame, |shared| {
            decimal(
                shared
                    .roster
                    .own()
                    .announces
                    .as_ref()
                    .map_or(0, |(_, port)| *port),
            )
        }),
        fixed("cluster-announce-tls-port", Set::ToTheSame, |shared| {
            decimal(shared.roster.own().announces_tls.unwrap_or(0))
        }),
        fixed("cluster-enabled", Set::Never, |shared| {
            yes_no(shared.is_cluster())
        }),
        fixed("databases", Set::Never, |_| decimal(DATABASES)),
        fixed("dir", Set::ToTheSame, |_| {
            decimal(std::env::current_dir().unwrap_or_default().display())
        }),
        fixed("enable-debug-command", Set::Never, |shared| {
            decimal(shared.settings.debug_command)
        }),
        threshold!("hash-max-listpack-entries", "512", COUNT),
        threshold!("hash-max-listpack-value", "64", COUNT),
        threshold!("hash-max-ziplist-entries", "512", COUNT),
        threshold!("hash-max-ziplist-value", "64", COUNT),
        threshold!("hll-sparse-max-bytes", "3000", COUNT),
        fixed("io-threads", Set::Never, |shared| {
            decimal(shared.io_threads)
        }),
        number!(
            "latency-monitor-threshold",
            latency_monitor_threshold,
            0..=i64::MAX as u64,
            plain
        ),
        threshold!("list-compress-depth", "0", (0, i32::MAX as i64)),
        threshold!("list-max-listpack-size", "-2", INT),
        threshold!("list-max-ziplist-size", "-2", INT),
        // The name that Redis had for it before 7.0.
        Setting {
            name: "lua-time-limit",
            get: |shared| shared.scripts.busy_threshold(),
            set: Set::OfCluster,
        },
        number!("maxclients", maxclients, 1..=u32::MAX.into(), plain),
        // Coterie keeps data on disk: nothing is evicted.
        constant!("maxmemory", "0"),
        constant!("maxmemory-policy", "noeviction"),
        Setting {
            name: "notify-keyspace-events",
            get: |shared| config_cluster::get(shared, NOTIFY_KEYSPACE_EVENTS),
            set: Set::Cluster(config_cluster::event_classes),
        },
        fixed("port", Set::ToTheSame, |shared| {
            decimal(if shared.is_tls_only {
                0
            } else {
                shared.addr.port()
            })
        }),
        Setting {
            name: "protected-mode",
            get: |shared| yes_no(shared.settings.protected_mode.load(Ordering::Relaxed)),
            set: Set::To(set_protected),
        },
        number!(
            "proto-max-bulk-len",
            proto_max_bulk_len,
            1_048_576..=i64::MAX as u64,
            memory
        ),
        Setting {
            name: "requirepass",
            get: |shared| shared.rights.requirepass(),
            set: Set::Requirepass,
        },
        constant!("save", ""),
        threshold!("set-max-intset-entries", "512", COUNT),
        threshold!("set-max-listpack-entries", "128", COUNT),
        threshold!("set-max-listpack-value", "64", COUNT),
        Setting {
            name: "slowlog-log-slower-than",
            get: |shared| {
                decimal(
                    shared
                        .settings
                        .slowlog_log_slower_than
                        .load(Ordering::Relaxed),
                )
            },
            set: Set::To(set_slower_than),
        },
        number!(
            "slowlog-max-len",
            slowlog_max_len,
            0..=i64::MAX as u64,
            plain
        ),
        threshold!("stream-node-max-bytes", "4096", COUNT),
        threshold!("stream-node-max-entries", "100", COUNT),
        number!("tcp-keepalive", tcp_keepalive, 0..=i32::MAX as u64, plain),
        number!("timeout", timeout, 0..=i32::MAX as u64, plain),
        number!(
            "tracking-table-max-keys",
            tracking_table_max_keys,
            0..=i64::MAX as u64,
            plain
        ),
        tls!("tls-auth-clients", Field::AuthClients),
        tls!("tls-ca-cert-file", Field::Ca),
        tls!("tls-cert-file", Field::Cert),
        tls!("tls-key-file", Field::Key),
        fixed("tls-port", Set::ToTheSame, |shared| {
            decimal(config_tls::port(shared))
        }),
        tls!("tls-protocols", Field::Protocols),
        threshold!("zset-max-listpack-entries", "128", COUNT),
        threshold!("zset-max-listpack-value", "64", COUNT),
        threshold!("zset-max-ziplist-entries", "128", COUNT),
        threshold!("zset-max-ziplist-value", "64", COUNT),
    ])
});

/// These settings, and the constants that are not among them.
fn with_constants(mut settings: Vec<Setting>) -> Vec<Setting> {
    let constants = CONSTANTS.iter().copied();
    let absent: Vec<_> = constants
        .filter(|constant| settings.iter().all(|own| own.name != constant.name))
        .collect();
    settings.extend(absent);
    settings.sort_by_key(|setting| setting.name);
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_sorted() {
        assert!(SETTINGS.is_sorted_by(|a, b| a.name < b.name));
    }
}
