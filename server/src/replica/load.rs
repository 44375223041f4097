//! The load of each range, from a sample: every [`SAMPLE`]th frame is examined and counts for that
//! many. Samples are kept in windows of a few seconds; reports use the last complete window.
//!
//! The sampled keys show where a split would halve the load, and whether a single key makes up the
//! load.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_group::{Ownership, ResolvedFrame};
use coterie_protocol::server::{HotKey, RangeLoad, SplitPoint};
use coterie_types::RangeId;
use parking_lot::{Mutex, MutexGuard};

/// Frames per sampled frame.
const SAMPLE: u64 = 8;
/// Length of a window, at least.
const WINDOW: Duration = Duration::from_secs(3);
/// Keys kept of a range in a window, at most.
const KEYS_MAX: usize = 256;
/// Fewer keys are not enough to judge by.
const KEYS_MIN: usize = 32;
/// A key with at least this many thousandths of the load is hot.
const HOT_PERMILLE: usize = 100;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Loads {
    turn: AtomicU64,
    windows: Mutex<Windows>,
}

#[derive(Debug)]
struct Windows {
    began: Instant,
    now: HashMap<RangeId, Sample>,
    /// The last complete window, and its length.
    last: (HashMap<RangeId, Sample>, Duration),
}

#[derive(Debug, Default)]
struct Sample {
    reads: u64,
    writes: u64,
    bytes: u64,
    /// CPU time of reads.
    cpu: Duration,
    /// Answered frames, and their times added up.
    answered: u64,
    waited: Duration,
    seen: u64,
    keys: Vec<Bytes>,
}

/// Kind of a sampled frame.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Reads outside the log: their CPU time, and how long they took.
    Read(Duration, Duration),
    /// A frame that goes through the log.
    Write,
}

/// A sampled frame that is yet to be answered: its range, and its arrival.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed {
    range_id: RangeId,
    arrived: Instant,
}

impl Loads {
    pub(crate) fn new() -> Self {
        Self {
            turn: AtomicU64::new(0),
            windows: Mutex::new(Windows {
                began: Instant::now(),
                now: HashMap::new(),
                last: (HashMap::new(), WINDOW),
            }),
        }
    }

    /// Whether this frame belongs to the sample.
    pub(crate) fn is_turn(&self) -> bool {
        self.turn
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(SAMPLE)
    }

    /// Adds a sampled frame; `bytes` are those of its commands and, if known, its replies. A frame
    /// for the log is returned, to be [answered](Self::answered) later.
    pub(crate) fn add(
        &self,
        ownership: &Ownership,
        frame: &ResolvedFrame,
        kind: Kind,
        bytes: usize,
    ) -> Option<Timed> {
        let share = bytes as u64 / frame.commands.len().max(1) as u64;
        let (arrived, mut timed) = (Instant::now(), None);
        let mut windows = self.lock();
        windows.turn(arrived);
        for command in &frame.commands {
            let interval = command.interval();
            let mut first =
                interval.and_then(|interval| ownership.range_of(interval.table, &interval.start));
            command.visit_keys(&mut |table, key| {
                let Some(range_id) = ownership.range_of(table, key) else {
                    return;
                };
                first.get_or_insert(range_id);
                windows.now.entry(range_id).or_default().see(key);
            });
            // A command that names no key here is no load.
            let Some(range_id) = first else {
                continue;
            };
            let sample = windows.now.entry(range_id).or_default();
            sample.bytes += share;
            match kind {
                Kind::Read(cpu, took) => {
                    sample.reads += 1;
                    sample.cpu += cpu / u32::try_from(frame.commands.len()).unwrap_or(u32::MAX);
                    if timed.is_none() {
                        sample.answer(took);
                    }
                }
                Kind::Write => sample.writes += 1,
            }
            timed.get_or_insert(Timed { range_id, arrived });
        }
        timed
    }

    /// A sampled frame was answered.
    pub(crate) fn answered(&self, timed: Timed) {
        let now = Instant::now();
        let mut windows = self.lock();
        windows.turn(now);
        let sample = windows.now.entry(timed.range_id).or_default();
        sample.answer(now.saturating_duration_since(timed.arrived));
    }

    /// The load of `ranges` in the last window. Each range comes with its bytes on disk.
    /// `apply_cpu` is the CPU per second that applying took; ranges share it by their writes.
    pub(crate) fn report(&self, ranges: &[(RangeId, u64)], apply_cpu: Duration) -> Vec<RangeLoad> {
        let mut windows = self.lock();
        windows.turn(Instant::now());
        let (last, length) = &windows.last;
        let writes_total: u64 = last.values().map(|sample| sample.writes).sum();
        let idle = Sample::default();
        let load = |(range_id, size_bytes): &(RangeId, u64)| {
            let sample = last.get(range_id).unwrap_or(&idle);
            let per_second = |count: u64| {
                (count as f64 * SAMPLE as f64 / length.as_secs_f64().max(0.001)).round() as u64
            };
            let applied = match writes_total {
                0 => 0.0,
                total => apply_cpu.as_micros() as f64 * sample.writes as f64 / total as f64,
            };
            RangeLoad {
                range_id: *range_id,
                size_bytes: *size_bytes,
                reads_per_second: per_second(sample.reads),
                writes_per_second: per_second(sample.writes),
                bytes_per_second: per_second(sample.bytes),
                cpu_micros_per_second: per_second(
                    u64::try_from(sample.cpu.as_micros()).unwrap_or(u64::MAX),
                ) + applied as u64,
                latency_micros: sample.latency_micros(),
                split_point: sample.split_point(),
                hot_key: sample.hot_key(),
            }
        };
        ranges.iter().map(load).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock()
    }
}

impl Windows {
    /// Ends the window if its time is over.
    fn turn(&mut self, now: Instant) {
        let length = now.saturating_duration_since(self.began);
        if length >= WINDOW {
            self.last = (std::mem::take(&mut self.now), length);
            self.began = now;
        }
    }
}

impl Sample {
    fn answer(&mut self, took: Duration) {
        self.answered += 1;
        self.waited += took;
    }

    fn latency_micros(&self) -> u64 {
        let waited = self.waited.as_micros() / u128::from(self.answered.max(1));
        u64::try_from(waited).unwrap_or(u64::MAX)
    }

    /// Keeps the key or not: each key seen has the same chance (reservoir sampling).
    fn see(&mut self, key: &Bytes) {
        self.seen += 1;
        if self.keys.len() < KEYS_MAX {
            self.keys.push(Bytes::copy_from_slice(key));
            return;
        }
        // A weak random number will do: it only decides which keys are kept.
        let at = mix(self.seen) % self.seen;
        if let Some(kept) = usize::try_from(at)
            .ok()
            .and_then(|at| self.keys.get_mut(at))
        {
            *kept = Bytes::copy_from_slice(key);
        }
    }

    fn sorted(&self) -> Vec<&Bytes> {
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort();
        keys
    }

    /// The key that halves the load best; `None` when a single key has all of it.
    fn split_point(&self) -> Option<SplitPoint> {
        let keys = self.sorted();
        if keys.len() < KEYS_MIN {
            return None;
        }
        let boundaries = (1..keys.len()).filter(|at| keys[at - 1] != keys[*at]);
        let at = boundaries.min_by_key(|at| (2 * at).abs_diff(keys.len()))?;
        Some(SplitPoint {
            at: keys[at].clone(),
            left_permille: u16::try_from(at * 1000 / keys.len()).unwrap_or(1000),
        })
    }

    fn hot_key(&self) -> Option<HotKey> {
        let keys = self.sorted();
        if keys.len() < KEYS_MIN {
            return None;
        }
        let runs = keys.chunk_by(|a, b| a == b);
        let longest = runs.max_by_key(|run| run.len())?;
        let permille = longest.len() * 1000 / keys.len();
        (permille >= HOT_PERMILLE).then(|| HotKey {
            key: longest[0].clone(),
            permille: u16::try_from(permille).unwrap_or(1000),
        })
    }
}

/// SplitMix64.
fn mix(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(keys: impl Iterator<Item = usize>) -> Sample {
        let mut sample = Sample::default();
        for key in keys {
            sample.see(&Bytes::from(format!("{key:05}")));
        }
        sample
    }

    #[test]
    fn an_even_load_is_split_in_the_middle() {
        let sample = sample((0..10_000).map(|n| n * 7919 % 1000));
        let point = sample.split_point().unwrap();
        assert!((400..=600).contains(&point.left_permille), "{point:?}");
        assert!(point.at > "00350" && point.at < "00650", "{point:?}");
        assert_eq!(sample.hot_key(), None);
    }

    #[test]
    fn a_hot_key_is_named_and_never_split() {
        let sample = sample((0..10_000).map(|n| if n % 10 < 8 { 500 } else { n % 1000 }));
        let hot = sample.hot_key().unwrap();
        assert!(hot.key == "00500" && hot.permille > 700, "{hot:?}");
        let point = sample.split_point().unwrap();
        assert!(!(300..=700).contains(&point.left_permille), "{point:?}");
        assert_eq!(super::Sample::default().split_point(), None);
    }

    #[test]
    fn one_key_alone_cannot_be_split() {
        assert_eq!(sample(std::iter::repeat_n(5, 1000)).split_point(), None);
    }
}
