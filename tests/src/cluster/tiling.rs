//! Checks again and again that the ranges tile their table, while they change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};

use super::admin::Admin;
use super::rows::Range;

/// The pause between two checks. Maps that meta replaces within a pause may be missed.
const PAUSE: Duration = Duration::from_millis(20);

/// An error unless the ranges, in key order, cover each key exactly once and each has its own id.
fn check(ranges: &[Range]) -> anyhow::Result<()> {
    let mut next = Some(Vec::new());
    for range in ranges {
        ensure!(
            next.as_ref() == Some(&range.start),
            "range {} does not begin where the one before it ends, in {ranges:?}",
            range.id
        );
        next.clone_from(&range.end);
    }
    ensure!(
        next.is_none(),
        "the table's last keys have no range: {ranges:?}"
    );
    let mut ids: Vec<u64> = ranges.iter().map(|range| range.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() == ranges.len(), "an id is used twice: {ranges:?}");
    Ok(())
}

/// Checks the ranges of table 0 on a thread of its own until it is stopped.
#[derive(Debug)]
pub struct TilingWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<usize>>,
}

impl TilingWatch {
    /// Starts the thread.
    #[must_use]
    pub fn start(admin: Admin) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            let mut maps = 0;
            while !stopped.load(Ordering::Relaxed) {
                // A killed proxy does not answer; the next check is as good.
                if let Ok(ranges) = admin.ranges() {
                    check(&ranges)?;
                    if ranges != seen {
                        maps += 1;
                        seen = ranges;
                    }
                }
                std::thread::sleep(PAUSE);
            }
            Ok(maps)
        });
        Self { stop, thread }
    }

    /// Stops the thread. Returns the number of different maps that it saw, all of which tiled.
    pub fn finish(self) -> anyhow::Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let watched = self.thread.join().map_err(|_| anyhow!("it panicked"));
        watched.context("watch the ranges")?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(id: u64, start: &str, end: Option<&str>) -> Range {
        Range {
            id,
            start: start.as_bytes().to_vec(),
            end: end.map(|end| end.as_bytes().to_vec()),
            epoch: 1,
            group: 1,
            size_bytes: None,
        }
    }

    #[test]
    fn gaps_and_overlaps_are_seen() {
        let whole = [range(1, "", Some("m")), range(2, "m", None)];
        check(&whole).expect("it tiles");
        let bad = [
            vec![],
            vec![range(1, "a", None)],
            vec![range(1, "", Some("m"))],
            vec![range(1, "", Some("m")), range(2, "n", None)],
            vec![range(1, "", Some("m")), range(2, "l", None)],
            vec![range(1, "", Some("m")), range(1, "m", None)],
        ];
        for ranges in bad {
            assert!(check(&ranges).is_err(), "{ranges:?}");
        }
    }
}
