//! `CONFIG`: the settings that exist, under Redis' names (Redis `config.c`).
//!
//! Those that may change are read and written here; others, which benchmarks and libraries ask for,
//! say truthfully how Coterie works and cannot be set. `CONFIG SET` changes all it names or nothing,
//! on this proxy and until it ends: lasting settings are flags.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use coterie_redis_compat::{CommandError, DATABASES, Reply, glob, number};

use super::{Answer, Local};
use crate::settings::Settings;
use crate::shared::Shared;

/// Checks a value, and sets it if told so.
type Set = fn(&Settings, &[u8], bool) -> Result<(), String>;

/// One setting.
struct Setting {
    name: &'static str,
    get: fn(&Shared) -> Bytes,
    /// `None`: it cannot be changed.
    set: Option<Set>,
}

/// `CONFIG GET pattern [pattern ...]`.
pub(crate) fn get(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let patterns: Vec<_> = args[2..]
        .iter()
        .map(|word| word.to_ascii_lowercase())
        .collect();
    let fits = |setting: &&Setting| {
        patterns
            .iter()
            .any(|pattern| glob::matches(pattern, setting.name.as_bytes()))
    };
    let pairs = SETTINGS.iter().filter(fits).map(|setting| {
        let value = (setting.get)(local.shared);
        (Reply::text(setting.name), Reply::Bulk(value))
    });
    Ok(Reply::Map(pairs.collect()).into())
}

/// `CONFIG SET name value [name value ...]`.
pub(crate) fn set(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let pairs = &args[2..];
    if !pairs.len().is_multiple_of(2) {
        return Err(CommandError::WrongArity("config|set"));
    }
    for (at, pair) in pairs.chunks_exact(2).enumerate() {
        let mut before = pairs.chunks_exact(2).take(at);
        if before.any(|other| other[0].eq_ignore_ascii_case(&pair[0])) {
            let name = String::from_utf8_lossy(&pair[0]).into_owned();
            return Err(failed(&name, "duplicate parameter"));
        }
    }
    for change in [false, true] {
        for pair in pairs.chunks_exact(2) {
            set_one(local.shared, pair, change)?;
        }
    }
    Ok(Reply::OK.into())
}

fn set_one(shared: &Shared, pair: &[Bytes], change: bool) -> Result<(), CommandError> {
    let found = SETTINGS
        .iter()
        .find(|s| pair[0].eq_ignore_ascii_case(s.name.as_bytes()));
    let setting = found.ok_or_else(|| CommandError::UnknownConfig(pair[0].clone()))?;
    match setting.set {
        Some(set) => {
            set(&shared.settings, &pair[1], change).map_err(|reason| failed(setting.name, &reason))
        }
        // What it is already may be "set": libraries and benchmarks do.
        None if (setting.get)(shared) == pair[1] => Ok(()),
        None => Err(failed(setting.name, "can't set immutable config")),
    }
}

fn failed(name: &str, reason: &str) -> CommandError {
    CommandError::Other(format!(
        "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
    ))
}

/// `CONFIG RESETSTAT`.
pub(crate) fn resetstat(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    local.shared.stats.reset();
    Ok(Reply::OK.into())
}

/// `CONFIG REWRITE`.
pub(crate) fn rewrite(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let line = "ERR The server is running without a config file";
    Err(CommandError::Other(line.to_owned()))
}

/// `CONFIG HELP`.
pub(crate) fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
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

fn fixed(name: &'static str, get: fn(&Shared) -> Bytes) -> Setting {
    Setting {
        name,
        get,
        set: None,
    }
}

macro_rules! constant {
    ($name:literal, $value:literal) => {
        Setting {
            name: $name,
            get: |_| Bytes::from_static($value.as_bytes()),
            set: None,
        }
    };
}

/// A number in `$field`, within `$range`, read by `$parse`.
macro_rules! number {
    ($name:literal, $field:ident, $range:expr, $parse:path) => {
        Setting {
            name: $name,
            get: |shared| decimal(shared.settings.$field.load(Ordering::Relaxed)),
            set: Some(|settings, value, change| {
                set_number(&settings.$field, $parse(value), $range, change)
            }),
        }
    };
}

fn decimal(value: impl ToString) -> Bytes {
    Bytes::from(value.to_string())
}

fn set_number(
    field: &AtomicU64,
    value: Option<i128>,
    range: RangeInclusive<u64>,
    change: bool,
) -> Result<(), String> {
    let value = value.ok_or("argument couldn't be parsed into an integer")?;
    let inside = u64::try_from(value)
        .ok()
        .filter(|value| range.contains(value));
    let value = inside.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        format!("argument must be between {least} and {most} inclusive")
    })?;
    if change {
        field.store(value, Ordering::Relaxed);
    }
    Ok(())
}

fn plain(value: &[u8]) -> Option<i128> {
    number::parse_int(value).map(i128::from)
}

/// A size as Redis writes it: `1mb` is 2^20 bytes, `1m` is 10^6 (`util.c`, `memtoull`).
fn memory(value: &[u8]) -> Option<i128> {
    let is_number = |byte: &&u8| byte.is_ascii_digit() || **byte == b'-';
    let digits = value.iter().take_while(is_number).count();
    let (number, unit) = value.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    Some(plain(number)? * factor)
}

fn yes_no(value: bool) -> Bytes {
    Bytes::from_static(if value { b"yes" } else { b"no" })
}

fn set_password(settings: &Settings, value: &[u8], change: bool) -> Result<(), String> {
    if change {
        settings.set_password(value);
    }
    Ok(())
}

fn set_protected(settings: &Settings, value: &[u8], change: bool) -> Result<(), String> {
    let value = match value.to_ascii_lowercase().as_slice() {
        b"yes" => true,
        b"no" => false,
        _ => return Err("argument must be 'yes' or 'no'".to_owned()),
    };
    if change {
        settings.protected_mode.store(value, Ordering::Relaxed);
    }
    Ok(())
}

fn set_slower_than(settings: &Settings, value: &[u8], change: bool) -> Result<(), String> {
    let value = number::parse_int(value).ok_or("argument couldn't be parsed into an integer")?;
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

fn output_limits(shared: &Shared) -> Bytes {
    let settings = &shared.settings;
    let load = |field: &AtomicU64| field.load(Ordering::Relaxed);
    let (hard, soft) = (
        load(&settings.output_limit),
        load(&settings.output_limit_soft),
    );
    let seconds = load(&settings.output_limit_soft_seconds);
    decimal(format!(
        "normal {hard} {soft} {seconds} slave 0 0 0 pubsub 0 0 0"
    ))
}

/// `class hard soft seconds`, several times. Only the class of normal clients has a meaning here.
fn set_output_limits(settings: &Settings, value: &[u8], change: bool) -> Result<(), String> {
    const WRONG: &str = "Wrong number of arguments in buffer limit configuration.";
    let words: Vec<_> = value
        .split(|byte| *byte == b' ')
        .filter(|w| !w.is_empty())
        .collect();
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err(WRONG.to_owned());
    }
    for limit in words.chunks_exact(4) {
        let known = ["normal", "slave", "replica", "pubsub"];
        if !known
            .iter()
            .any(|class| limit[0].eq_ignore_ascii_case(class.as_bytes()))
        {
            return Err("Invalid client class specified in buffer limit configuration.".to_owned());
        }
        let size = |word| memory(word).and_then(|size| u64::try_from(size).ok());
        let seconds = plain(limit[3]).and_then(|seconds| u64::try_from(seconds).ok());
        let numbers = size(limit[1]).zip(size(limit[2])).zip(seconds);
        let ((hard, soft), seconds) = numbers
            .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
        if change && limit[0].eq_ignore_ascii_case(b"normal") {
            settings.output_limit.store(hard, Ordering::Relaxed);
            settings.output_limit_soft.store(soft, Ordering::Relaxed);
            settings
                .output_limit_soft_seconds
                .store(seconds, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Sorted by name.
static SETTINGS: std::sync::LazyLock<Vec<Setting>> = std::sync::LazyLock::new(|| {
    vec![
        // What is acknowledged is in the logs of a majority, on disk: more than any of these says.
        constant!("appendfsync", "always"),
        constant!("appendonly", "yes"),
        fixed("bind", |shared| decimal(shared.addr.ip())),
        Setting {
            name: "client-output-buffer-limit",
            get: output_limits,
            set: Some(set_output_limits),
        },
        number!(
            "client-query-buffer-limit",
            client_query_buffer_limit,
            1_048_576..=i64::MAX as u64,
            memory
        ),
        constant!("cluster-enabled", "no"),
        fixed("databases", |_| decimal(DATABASES)),
        fixed("io-threads", |shared| decimal(shared.io_threads)),
        number!("maxclients", maxclients, 1..=u32::MAX.into(), plain),
        // Coterie keeps data on disk: nothing is evicted.
        constant!("maxmemory", "0"),
        constant!("maxmemory-policy", "noeviction"),
        constant!("notify-keyspace-events", ""),
        fixed("port", |shared| decimal(shared.addr.port())),
        Setting {
            name: "protected-mode",
            get: |shared| yes_no(shared.settings.protected_mode.load(Ordering::Relaxed)),
            set: Some(set_protected),
        },
        number!(
            "proto-max-bulk-len",
            proto_max_bulk_len,
            1_048_576..=i64::MAX as u64,
            memory
        ),
        Setting {
            name: "requirepass",
            get: |shared| shared.settings.password().into(),
            set: Some(set_password),
        },
        constant!("save", ""),
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
            set: Some(set_slower_than),
        },
        number!(
            "slowlog-max-len",
            slowlog_max_len,
            0..=i64::MAX as u64,
            plain
        ),
        number!("tcp-keepalive", tcp_keepalive, 0..=i32::MAX as u64, plain),
        number!("timeout", timeout, 0..=i32::MAX as u64, plain),
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_sorted() {
        assert!(SETTINGS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn sizes_are_read_as_redis_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("5", 5),
            ("1k", 1000),
            ("2KB", 2048),
            ("1gb", 1 << 30),
        ] {
            assert_eq!(memory(text.as_bytes()), Some(bytes), "{text}");
        }
        for text in ["", "mb", "1x", "1.5mb", "99999999999999999999gb"] {
            assert_eq!(memory(text.as_bytes()), None, "{text}");
        }
    }
}
