//! `client-output-buffer-limit`: for each class of clients, the bytes beyond which a client is
//! closed.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::values::{decimal, memory};
use crate::settings::{OutputLimit, Settings};
use crate::shared::Shared;

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

pub(super) fn get(shared: &Shared) -> Bytes {
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
pub(super) fn set(settings: &Settings, value: &[u8], change: bool) -> Result<(), String> {
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
