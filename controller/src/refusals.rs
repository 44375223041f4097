//! What is wanted and cannot be done now: told in the log when it changes, and kept in meta for whoever
//! asks, not more often than people read it.

use std::time::{Duration, Instant};

use tracing::info;

/// Between two writes of refusals to meta: most of them carry numbers that change all the time.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// The refusals of the last plan.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    lines: Vec<String>,
    written_at: Option<Instant>,
}

impl Refusals {
    /// Takes those of a plan; answers them when meta, which has `kept`, is to have them now.
    pub(crate) fn take(
        &mut self,
        lines: &[String],
        kept: &[String],
        now: Instant,
    ) -> Option<Vec<String>> {
        if self.lines != lines {
            for line in lines {
                info!(refusal = line, "not yet");
            }
            lines.clone_into(&mut self.lines);
        }
        let is_due = |at: Instant| now.saturating_duration_since(at) >= WRITE_EVERY;
        if kept == lines || !self.written_at.is_none_or(is_due) {
            return None;
        }
        self.written_at = Some(now);
        Some(self.lines.clone())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lines.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_written_when_they_differ_and_not_all_the_time() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let lines = |text: &str| vec![text.to_owned()];
        assert_eq!(refusals.take(&[], &[], start), None);
        let one = lines("one");
        assert_eq!(refusals.take(&one, &[], start), Some(one.clone()));
        assert_eq!(
            refusals.take(&lines("two"), &one, after(1)),
            None,
            "too soon"
        );
        assert_eq!(
            refusals.take(&lines("two"), &one, after(6)),
            Some(lines("two"))
        );
        assert_eq!(refusals.take(&[], &lines("two"), after(12)), Some(vec![]));
        assert_eq!(refusals.count(), 0);
    }
}
