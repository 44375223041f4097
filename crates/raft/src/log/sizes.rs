//! Approximate sizes of a group's log by index, for retention and replay bounds.

use std::io;

use coterie_types::GroupId;

use super::engine::LogEngine;
use super::tail::entry_bytes;

/// Bytes between two samples of the log's size (see [`LogSizes`]).
const SIZE_SAMPLE_BYTES: u64 = 1 << 20;

/// Approximate bytes of log after an index: samples `(index, bytes appended up to it)`.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogSizes {
    appended: u64,
    samples: std::collections::VecDeque<(u64, u64)>,
}

impl LogSizes {
    pub(super) fn appended(&mut self, index: u64, bytes: usize) {
        while self
            .samples
            .back()
            .is_some_and(|(sampled, _)| *sampled >= index)
        {
            self.samples.pop_back();
        }
        self.appended += bytes as u64;
        let last = self.samples.back().map_or(0, |(_, bytes)| *bytes);
        if self.samples.is_empty() || self.appended - last >= SIZE_SAMPLE_BYTES {
            self.samples.push_back((index, self.appended));
        }
    }

    pub(super) fn purged_below(&mut self, index: u64) {
        while self.samples.len() > 1 && self.samples[0].0 < index {
            self.samples.pop_front();
        }
    }

    /// Bytes appended after `index`; at most a sample's distance too many.
    pub(crate) fn bytes_after(&self, index: u64) -> u64 {
        let at = self
            .samples
            .iter()
            .rev()
            .find(|(sampled, _)| *sampled <= index);
        self.appended - at.map_or(self.samples.front().map_or(0, |s| s.1), |(_, bytes)| *bytes)
    }

    /// The highest index that may be purged so that about `bytes` of log stay.
    pub(crate) fn index_keeping(&self, bytes: u64) -> Option<u64> {
        if bytes == 0 {
            return Some(u64::MAX);
        }
        let keep_from = self.appended.checked_sub(bytes)?;
        let at = self
            .samples
            .iter()
            .rev()
            .find(|(_, appended)| *appended <= keep_from)?;
        Some(at.0)
    }
}

/// Estimates the sizes of existing log from evenly spaced entries, so that retention also applies
/// to it.
pub(super) fn seed_sizes(
    sizes: &mut LogSizes,
    engine: &LogEngine,
    group: GroupId,
    first: u64,
    last: u64,
) -> io::Result<()> {
    let step = ((last - first) / 256).max(1);
    let mut index = first;
    while index <= last {
        let records = engine.fetch(group, index, index + 1, None)?;
        let bytes: usize = records
            .into_iter()
            .map(|record| record.into_entry().map(|entry| entry_bytes(&entry)))
            .sum::<io::Result<usize>>()?;
        let covered = step.min(last + 1 - index);
        sizes.appended(index, bytes * usize::try_from(covered).unwrap_or(1));
        index += step;
    }
    Ok(())
}
