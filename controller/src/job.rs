//! Jobs: their parameters, their progress and their log, as stored in meta.
//!
//! A controller may have taken a stored step any number of times, in part or whole. The encoding is
//! postcard of [`Step`]. A variant never gets a second meaning, since another version of the
//! controller may have begun the job.

use coterie_protocol::catalog::{JobDescriptor, JobState};
use coterie_types::{JobId, UnixMillis};

mod parameters;
mod phases;
mod show;
mod step;

pub use parameters::{
    AddRanges, AddReplica, DropRanges, MakeGroups, MergeRanges, MoveRange, NewGroup, Recover,
    RemoveGroup, ReplaceReplica, SplitRange, TransferLeader,
};
pub use phases::{
    AddPhase, MakePhase, MergePhase, MovePhase, RecoverPhase, RemovePhase, ReplacePhase, SplitPhase,
};
pub(crate) use show::shown;
pub use step::Step;

/// The log keeps this many lines of its beginning, and of its end.
const FIRST_LINES: usize = 20;
const LAST_LINES: usize = 60;

/// A new job.
#[must_use]
pub fn begin(
    job_id: JobId,
    kind: &str,
    step: &Step,
    reasons: Vec<String>,
    now: UnixMillis,
) -> JobDescriptor {
    JobDescriptor {
        job_id,
        kind: kind.to_owned(),
        step: step.encode(),
        wish: None,
        progress: None,
        effect: None,
        state: JobState::Running,
        log: reasons,
        started_at: now,
    }
}

/// The beginning of the log line that says why a job turns back.
const TURNED_BACK: &str = "turned back: ";

/// The log line that says why a job turns back.
pub(crate) fn turned_back(reason: &str) -> String {
    format!("{TURNED_BACK}{reason}")
}

/// Why a job turned back. It becomes the last line, which people read first.
pub(crate) fn why_turned_back(job: &JobDescriptor) -> String {
    let mut lines = job.log.iter().rev();
    let reason = lines.find_map(|line| line.strip_prefix(TURNED_BACK));
    reason.unwrap_or("it was turned back").to_owned()
}

/// Adds a line to a job's log, unless it equals the last line. A long log loses lines of its
/// middle. Returns whether the line was added.
pub fn add_line(job: &mut JobDescriptor, line: String) -> bool {
    if job.log.last() == Some(&line) {
        return false;
    }
    job.log.push(line);
    if job.log.len() > FIRST_LINES + LAST_LINES {
        job.log.remove(FIRST_LINES);
    }
    true
}

#[cfg(test)]
mod tests {
    use coterie_types::{GroupId, NodeId};

    use super::*;

    #[test]
    fn a_log_keeps_its_beginning_and_its_end() {
        let step = Step::TransferLeader(TransferLeader {
            group_id: GroupId(1),
            from: NodeId(1),
            to: NodeId(2),
            urgent: false,
        });
        let mut job = begin(JobId(1), "test", &step, vec!["why".into()], UnixMillis(0));
        assert_eq!(Step::of(&job).unwrap(), step);
        for number in 0..500 {
            assert!(add_line(&mut job, format!("line {number}")));
            assert!(!add_line(&mut job, format!("line {number}")));
        }
        assert_eq!(job.log.len(), FIRST_LINES + LAST_LINES);
        assert_eq!(
            (job.log[0].as_str(), job.log[1].as_str()),
            ("why", "line 0")
        );
        assert_eq!(job.log.last().unwrap(), "line 499");
    }
}
