//! `CONFIG`: the settings that exist, under Redis' names (Redis `config.c`).
//!
//! Those that may change are read and written here; others, which benchmarks and libraries ask for,
//! say truthfully how Coterie works and cannot be set. Thresholds of encodings are Redis' defaults,
//! by which `OBJECT ENCODING` answers; to set them is allowed and changes nothing. `CONFIG SET`
//! changes all it names or nothing, on this proxy and until it ends: lasting settings are flags.

mod rights;

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use coterie_redis_compat::errors::{NO_CONFIG_FILE, SYNTAX};
use coterie_redis_compat::{CommandError, DATABASES, Reply, glob, number};

use super::{Answer, Handler, Local, Named, Remote, set_requirepass};
use crate::rights::Rights;
use crate::settings::{OutputLimit, Settings};
use crate::shared::Shared;

pub(super) const HANDLERS: &[Named] = &[
    ("config|get", Handler::Now(get)),
    ("config|help", Handler::Now(help)),
    ("config|resetstat", Handler::Now(resetstat)),
    ("config|rewrite", Handler::Now(rewrite)),
    ("config|set", Handler::Now(set)),
];

/// Checks a value, and sets it if told so.
type SetValue = fn(&Settings, &[u8], bool) -> Result<(), String>;

/// Likewise, for a setting about users.
type SetRight = fn(&Rights, &[u8], bool) -> Result<(), String>;

/// How a setting is set.
#[derive(Clone, Copy)]
enum Set {
    To(SetValue),
    OfRights(SetRight),
    /// To its present value, no more: libraries and benchmarks do so with settings that Redis can
    /// change.
    ToTheSame,
    /// To a number from 0 on, for all proxies and nodes: meta keeps it.
    OfCluster,
    /// To a number in this range, without effect.
    Ignored(i64, i64),
    /// The password of the default user, which all proxies share.
    Requirepass,
    /// Not at all, nor by Redis.
    Never,
}

/// A setting.
struct Setting {
    name: &'static str,
    get: fn(&Shared) -> Bytes,
    set: Set,
}

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
fn set(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let settings = named_settings(&args[2..])?;
    check_all(local.shared, &settings)?;
    if password_of(&settings).is_some() {
        return Ok(Answer::RunsAlone(|call| Box::pin(set_with_password(call))));
    }
    set_all(local.shared, &settings)?;
    Ok(Reply::OK.into())
}

/// As [`set`], with the default user's password among the settings.
async fn set_with_password(call: Remote) -> Result<Reply, CommandError> {
    let settings = named_settings(&call.args[2..])?;
    check_all(&call.shared, &settings)?;
    if let Some(password) = password_of(&settings) {
        set_requirepass(&call, password).await?;
    }
    set_all(&call.shared, &settings)?;
    Ok(Reply::OK)
}

fn check_all(shared: &Shared, settings: &[(&Setting, &Bytes)]) -> Result<(), CommandError> {
    let mut settings = settings.iter();
    settings.try_for_each(|(setting, value)| set_one(shared, setting, value, false))
}

fn set_all(shared: &Shared, settings: &[(&Setting, &Bytes)]) -> Result<(), CommandError> {
    let mut settings = settings.iter();
    settings.try_for_each(|(setting, value)| set_one(shared, setting, value, true))
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
        Set::ToTheSame | Set::Never => Err(IMMUTABLE.to_owned()),
    };
    done.map_err(|reason| failed(setting.name.as_bytes(), &reason))
}

const IMMUTABLE: &str = "can't set immutable config";

fn failed(name: &[u8], reason: &str) -> CommandError {
    let before = "CONFIG SET failed (possibly related to argument '";
    CommandError::quoting(before, name, &format!("') - {reason}"))
}

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

fn check_number(value: &[u8], least: i64, most: i64) -> Result<(), String> {
    // Those that count bytes may be written with a unit.
    let number = number::parse_int(value).or_else(|| i64::try_from(memory(value).ok()?).ok());
    match number {
        Some(number) if (least..=most).contains(&number) => Ok(()),
        Some(_) => Err(format!(
            "argument must be between {least} and {most} inclusive"
        )),
        None => Err(NOT_AN_INTEGER.to_owned()),
    }
}

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

fn decimal(value: impl ToString) -> Bytes {
    Bytes::from(value.to_string())
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

/// A number; a number below zero is made greater than any range's end.
fn plain(value: &[u8]) -> Result<u64, &'static str> {
    let number = number::parse_int(value).ok_or(NOT_AN_INTEGER)?;
    Ok(u64::try_from(number).unwrap_or(u64::MAX))
}

/// A size as Redis writes it: `1mb` is 2^20 bytes, `1m` is 10^6, and a unit alone is 0. A
/// number too long for 64 bits wraps around (`util.c`, `memtoull`).
fn memory(value: &[u8]) -> Result<u64, &'static str> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    let (number, unit) = value.split_at(digits.count());
    let factor = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return Err(NOT_A_SIZE),
    };
    if number.len() >= 128 {
        return Err(NOT_A_SIZE);
    }
    let number = number.iter().fold(0u64, |number, digit| {
        let digit = u64::from(digit - b'0');
        number.saturating_mul(10).saturating_add(digit)
    });
    Ok(number.wrapping_mul(factor))
}

const NOT_AN_INTEGER: &str = "argument couldn't be parsed into an integer";
const NOT_A_SIZE: &str = "argument must be a memory value";

fn yes_no(value: bool) -> Bytes {
    Bytes::from_static(if value { b"yes" } else { b"no" })
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

/// The classes of clients that have output limits, as Redis names them.
const OUTPUT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

fn output_limit<'a>(settings: &'a Settings, class: &[u8]) -> Option<&'a OutputLimit> {
    let limits = &settings.output_limits;
    match class.to_ascii_lowercase().as_slice() {
        b"normal" => Some(&limits.normal),
        b"slave" | b"replica" => Some(&limits.replica),
        b"pubsub" => Some(&limits.pubsub),
        _ => None,
    }
}

fn output_limits(shared: &Shared) -> Bytes {
    let load = |field: &AtomicU64| field.load(Ordering::Relaxed);
    let limits = OUTPUT_CLASSES.iter().filter_map(|class| {
        let limit = output_limit(&shared.settings, class.as_bytes())?;
        let (hard, soft) = (load(&limit.hard), load(&limit.soft));
        let seconds = load(&limit.soft_seconds);
        Some(format!("{class} {hard} {soft} {seconds}"))
    });
    decimal(limits.collect::<Vec<_>>().join(" "))
}

/// `class hard soft seconds`, several times. That of replicas has no effect.
fn set_output_limits(settings: &Settings, value: &[u8], change: bool) -> Result<(), String> {
    const WRONG: &str = "Wrong number of arguments in buffer limit configuration.";
    let words: Vec<_> = value
        .split(|byte| *byte == b' ')
        .filter(|w| !w.is_empty())
        .collect();
    if !words.len().is_multiple_of(4) {
        return Err(WRONG.to_owned());
    }
    for words in words.chunks_exact(4) {
        let limit = output_limit(settings, words[0])
            .ok_or("Invalid client class specified in buffer limit configuration.")?;
        let size = |word| memory(word).ok();
        let seconds = std::str::from_utf8(words[3])
            .ok()
            .and_then(|s| s.parse().ok());
        let seconds = seconds.and_then(|seconds: i64| u64::try_from(seconds).ok());
        let numbers = size(words[1]).zip(size(words[2])).zip(seconds);
        let ((hard, soft), seconds) = numbers
            .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
        if change {
            limit.hard.store(hard, Ordering::Relaxed);
            limit.soft.store(soft, Ordering::Relaxed);
            limit.soft_seconds.store(seconds, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Sorted by name.
static SETTINGS: std::sync::LazyLock<Vec<Setting>> = std::sync::LazyLock::new(|| {
    vec![
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
            get: output_limits,
            set: Set::To(set_output_limits),
        },
        number!(
            "client-query-buffer-limit",
            client_query_buffer_limit,
            1_048_576..=i64::MAX as u64,
            memory
        ),
        fixed("cluster-enabled", Set::Never, |_| yes_no(false)),
        fixed("databases", Set::Never, |_| decimal(DATABASES)),
        threshold!("hash-max-listpack-entries", "512", COUNT),
        threshold!("hash-max-listpack-value", "64", COUNT),
        threshold!("hash-max-ziplist-entries", "512", COUNT),
        threshold!("hash-max-ziplist-value", "64", COUNT),
        threshold!("hll-sparse-max-bytes", "3000", COUNT),
        fixed("io-threads", Set::Never, |shared| {
            decimal(shared.io_threads)
        }),
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
        constant!("notify-keyspace-events", ""),
        fixed("port", Set::ToTheSame, |shared| decimal(shared.addr.port())),
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
        threshold!("zset-max-listpack-entries", "128", COUNT),
        threshold!("zset-max-listpack-value", "64", COUNT),
        threshold!("zset-max-ziplist-entries", "128", COUNT),
        threshold!("zset-max-ziplist-value", "64", COUNT),
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
            ("02mb", 2 << 20),
            ("", 0),
            ("mb", 0),
            ("99999999999999999999", u64::MAX),
            ("18446744073709551615gb", u64::MAX << 30),
        ] {
            assert_eq!(memory(text.as_bytes()), Ok(bytes), "{text}");
        }
        for text in ["-1", "abc", "1x", "1.5mb", "+2mb", "2-mb", " 2mb"] {
            assert_eq!(memory(text.as_bytes()), Err(NOT_A_SIZE), "{text}");
        }
    }
}
