//! `COTERIE JOBS`: the present and past jobs of the controller, with reasons and progress.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::catalog::{JobDescriptor, JobState, Progress};
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::JobId;

use super::{Pair, error, number, pair, word};
use crate::commands::{Remote, int, text};

/// How long meta may take to tell of a job.
const META_TIMEOUT: Duration = Duration::from_secs(1);

/// `COTERIE JOBS [id | REFUSED]`.
pub(super) async fn jobs(call: &Remote) -> Result<Reply, CommandError> {
    let catalog = call.shared.catalog();
    if call.args.len() == 3 && call.is(2, "refused") {
        let lines = catalog.refusals.iter().cloned().map(text);
        return Ok(Reply::Array(lines.collect()));
    }
    if call.args.len() == 2 {
        let jobs = catalog.jobs.values().map(|job| Reply::Map(job_pairs(job)));
        return Ok(Reply::Array(jobs.collect()));
    }
    let id = JobId(number(call, 2)?);
    let job = match catalog.jobs.get(&id) {
        Some(job) => Some(job.clone()),
        // Another proxy may have answered its number before it is in this proxy's copy.
        None if catalog.jobs.keys().all(|known| *known < id) => at_meta(call, id).await,
        None => None,
    };
    let job = job.ok_or_else(|| error(format!("no such job '{}'", word(call, 2))))?;
    let mut pairs = job_pairs(&job);
    let log = job.log.iter().map(|line| text(line.clone()));
    pairs.push(pair("log", Reply::Array(log.collect())));
    Ok(Reply::Map(pairs))
}

/// The job as meta has it, if meta can be asked.
async fn at_meta(call: &Remote, id: JobId) -> Option<JobDescriptor> {
    let left = call.deadline.saturating_duration_since(Instant::now());
    let catalog = call.shared.meta.read(left.min(META_TIMEOUT)).await;
    catalog.ok()?.jobs.remove(&id)
}

fn job_pairs(job: &JobDescriptor) -> Vec<Pair> {
    let line = |line: Option<&String>| Reply::bulk_or_null(line.cloned().map(Bytes::from));
    let mut pairs = vec![
        pair("id", int(job.job_id.0)),
        pair("kind", text(job.kind.clone())),
        pair("state", text(format!("{:?}", job.state).to_lowercase())),
        pair("started_at_ms", int(job.started_at.0)),
        pair("reason", line(job.log.first())),
        pair("last", line(job.log.last())),
    ];
    if let Some(progress) = &job.progress {
        pairs.extend([
            pair("bytes", int(progress.bytes)),
            pair("bytes_total", int(progress.bytes_total)),
            pair("bytes_per_second", int(progress.bytes_per_second)),
        ]);
        if job.state == JobState::Running {
            let left = seconds_left(progress);
            pairs.push(pair("seconds_left", left.map_or(Reply::Null, int)));
        }
    }
    pairs
}

/// How long the rest takes at the rate of late, if both are known.
fn seconds_left(progress: &Progress) -> Option<u64> {
    let left = progress.bytes_total.saturating_sub(progress.bytes);
    let known = progress.bytes_total > 0 && (left == 0 || progress.bytes_per_second > 0);
    known.then(|| left.div_ceil(progress.bytes_per_second.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_known_when_the_rest_and_the_rate_are() {
        let left = |bytes, bytes_total, bytes_per_second| {
            seconds_left(&Progress {
                bytes,
                bytes_total,
                bytes_per_second,
            })
        };
        assert_eq!(left(10, 100, 20), Some(5));
        assert_eq!(left(10, 0, 20), None, "how much there is, is not known");
        assert_eq!(left(10, 100, 0), None, "it stands still");
        assert_eq!(left(100, 100, 0), Some(0));
        assert_eq!(left(120, 100, 7), Some(0), "there was more than thought");
    }
}
