//! What one life of the controller remembers of a job between its attempts. Nothing is right or
//! wrong by it, since it may be lost at any time.

use std::time::Duration;

use tokio::time::Instant;

use super::patience::Watched;
use super::replace::AskedDigest;

/// How often a group may refuse what it could do, before the job is given up.
const REFUSALS_MAX: u32 = 10;

/// Between two writes of how far a copy is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// See the module's head.
#[derive(Default)]
pub(super) struct Recall {
    /// How often this phase was refused.
    pub(super) refusals: u32,
    /// When the hand-off was asked for that took place.
    pub(super) handed_off_at: Option<Instant>,
    /// Bytes copied, and when.
    copied: Option<(Instant, u64)>,
    /// The rate at that time.
    bytes_per_second: u64,
    /// When the job's progress was written last.
    shown_at: Option<Instant>,
    /// The digest that is waited for.
    pub(super) digest: Option<AskedDigest>,
    /// How the node was that takes a replica in.
    pub(super) watched: Option<Watched>,
}

impl Recall {
    /// Another phase begins.
    pub(super) fn turn(&mut self) {
        (self.refusals, self.watched) = (0, None);
    }

    /// Whether one more refusal is borne.
    pub(super) fn may_be_refused(&mut self) -> bool {
        self.refusals += 1;
        self.refusals < REFUSALS_MAX
    }

    /// Bytes per second, lately, now that so many are copied.
    pub(super) fn rate(&mut self, bytes: u64) -> u64 {
        let now = Instant::now();
        let (since, before) = *self.copied.get_or_insert((now, bytes));
        let elapsed_ms = u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX);
        if elapsed_ms >= 1000 {
            let copied = u128::from(bytes.saturating_sub(before)) * 1000;
            let rate = copied / u128::from(elapsed_ms);
            self.bytes_per_second = u64::try_from(rate).unwrap_or(u64::MAX);
            self.copied = Some((now, bytes));
        }
        self.bytes_per_second
    }

    /// Whether progress is to be written, which is then said to be done.
    pub(super) fn is_due(&mut self) -> bool {
        let is_due = self
            .shown_at
            .is_none_or(|at| at.elapsed() >= PROGRESS_EVERY);
        if is_due {
            self.shown_at = Some(Instant::now());
        }
        is_due
    }
}
