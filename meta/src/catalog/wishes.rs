//! Wishes of operators: each is a job from the start, so that the operator can follow it. The
//! controller makes a plan of it, or reports why it cannot.

use bytes::Bytes;
use coterie_protocol::catalog::{JobDescriptor, JobState, Row, Wish};
use coterie_protocol::meta::{Outcome, Rejection};
use coterie_types::{JobId, UnixMillis};

use super::controller::KEY_BYTES_MAX;
use super::edit::{Edit, invalid};

/// Running jobs at which new wishes are refused.
const RUNNING_MAX: usize = 1000;

impl Edit<'_> {
    pub(super) fn ask(&mut self, wish: Wish, now: UnixMillis) -> Result<Outcome, Rejection> {
        let (kind, key) = match &wish {
            Wish::Split { at, .. } => ("split", Some(at)),
            Wish::Merge { key, .. } => ("merge", Some(key)),
            Wish::Move { key, .. } => ("move", Some(key)),
            Wish::Replace { .. } => ("replace-replica", None),
            Wish::Recover { .. } => ("recover", None),
        };
        if key.is_some_and(|key| key.len() > KEY_BYTES_MAX) {
            return Err(invalid(format!("a key of more than {KEY_BYTES_MAX} bytes")));
        }
        let jobs = self.catalog().jobs.values();
        let running = jobs.filter(|job| job.state == JobState::Running).count();
        if running >= RUNNING_MAX {
            return Err(invalid(format!("{running} jobs are running already")));
        }
        let job_id = JobId(self.next().job);
        self.next().job += 1;
        self.put(Row::Job(JobDescriptor {
            job_id,
            kind: kind.to_owned(),
            step: Bytes::new(),
            wish: Some(wish),
            progress: None,
            effect: None,
            state: JobState::Running,
            log: vec!["asked for by an operator".to_owned()],
            started_at: now,
        }));
        Ok(Outcome::Job(job_id))
    }
}
