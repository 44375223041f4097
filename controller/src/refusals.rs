//! The planner's refusals: wanted changes that have to wait. They go to the log when they change,
//! and to meta for operators, no more often than people read them.

use std::time::{Duration, Instant};

use tracing::info;

/// Between two writes of refusals to meta. Most of them carry numbers that change all the time.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// The refusals of the last plan.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    lines: Vec<String>,
    written_at: Option<Instant>,
}

impl Refusals {
    /// Takes the refusals of a plan. Returns them if they have to be written to meta now, which
    /// holds `kept`.
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

    /// The number of refusals.
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
