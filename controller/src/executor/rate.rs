//! The rate of a copy.

use tokio::time::Instant;

/// Bytes per second, measured over at least a second.
#[derive(Default)]
pub(super) struct Rate {
    /// The begin of the measurement, and the bytes copied by then.
    since: Option<(Instant, u64)>,
    bytes_per_second: u64,
}

impl Rate {
    /// The rate now that this many bytes are copied.
    pub(super) fn at(&mut self, bytes: u64) -> u64 {
        let now = Instant::now();
        let (since, before) = *self.since.get_or_insert((now, bytes));
        let elapsed_ms = u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX);
        if elapsed_ms >= 1000 {
            let copied = u128::from(bytes.saturating_sub(before)) * 1000;
            let rate = copied / u128::from(elapsed_ms);
            self.bytes_per_second = u64::try_from(rate).unwrap_or(u64::MAX);
            self.since = Some((now, bytes));
        }
        self.bytes_per_second
    }
}
