//! Changes by the controller: groups, ranges, jobs, ids. A proposal is applied as a whole or not at
//! all, and only if its sender holds the lease.

use coterie_protocol::catalog::{JobDescriptor, JobState, Row};
use coterie_protocol::meta::{ControllerOp, Outcome, Rejection};
use coterie_types::{GroupDescriptor, GroupId, JobId, NodeId, NodeState, RangeDescriptor, RangeId};

use super::edit::{Edit, RowName, invalid};

const REPLICAS_MAX: usize = 64;
pub(super) const KEY_BYTES_MAX: usize = 1 << 20;
/// A job about two ranges has four of their bounds, and a log.
const JOB_BYTES_MAX: usize = 4 * KEY_BYTES_MAX + (256 << 10);
/// Lines of refusals, and bytes of each, at most.
const REFUSALS_MAX: usize = 100;
const REFUSAL_BYTES_MAX: usize = 1000;
/// Removed groups that are remembered, at most; the oldest are forgotten.
const REMOVED_GROUPS_MAX: usize = 10_000;
/// Ids set aside at once, at most.
const IDS_MAX: u64 = 1 << 20;

impl Edit<'_> {
    pub(super) fn controller(
        &mut self,
        fence: u64,
        ops: Vec<ControllerOp>,
    ) -> Result<Option<Outcome>, Rejection> {
        self.check_fence(fence)?;
        let mut ids = None;
        for op in ops {
            match op {
                ControllerOp::PutGroup(group) => self.put_group(group)?,
                ControllerOp::DeleteGroup(group_id) => self.delete_group(group_id)?,
                ControllerOp::PutRange(range) => self.put_range(range)?,
                ControllerOp::DeleteRange(range_id) => self.delete_range(range_id)?,
                ControllerOp::PutJob(job) => self.put_job(job)?,
                ControllerOp::DeleteJob(job_id) => self.delete_job(job_id)?,
                ControllerOp::PutRefusals(lines) => self.put_refusals(lines),
                ControllerOp::ForgetDropped(range_id) => {
                    self.delete(RowName::Dropped(range_id));
                }
                ControllerOp::LoseNode(node_id) => self.lose_node(node_id)?,
                ControllerOp::AllocateIds { .. } if ids.is_some() => {
                    return Err(invalid("ids are set aside once in a proposal"));
                }
                ControllerOp::AllocateIds {
                    groups,
                    ranges,
                    jobs,
                } => ids = Some(self.allocate_ids(groups, ranges, jobs)?),
            }
        }
        self.check_ranges()?;
        self.check_owners()?;
        Ok(ids)
    }

    fn put_group(&mut self, group: GroupDescriptor) -> Result<(), Rejection> {
        let group_id = group.group_id;
        if group_id == GroupId(0) || group_id.0 >= self.next().group {
            return Err(invalid(format!("group id {group_id} was not given")));
        }
        self.check_members(&group)?;
        self.put(Row::Group(group));
        Ok(())
    }

    /// Checks that the members are sorted, each once, and that their nodes exist.
    pub(super) fn check_members(&self, group: &GroupDescriptor) -> Result<(), Rejection> {
        let group_id = group.group_id;
        let replicas = &group.replicas;
        if replicas.is_empty() || replicas.len() > REPLICAS_MAX {
            return Err(invalid(format!(
                "group {group_id} has 1 to {REPLICAS_MAX} replicas"
            )));
        }
        if !replicas.is_sorted_by(|a, b| a.node_id < b.node_id) {
            return Err(invalid(format!(
                "the replicas of group {group_id} are not sorted by node, each once"
            )));
        }
        let before = self.catalog().groups.get(&group_id);
        let is_member =
            |id: NodeId| before.is_some_and(|row| row.replicas.iter().any(|r| r.node_id == id));
        for replica in replicas {
            let node = self.node(replica.node_id)?;
            // A lost node stays a member until another node has taken its place.
            if node.state == NodeState::Removed && !is_member(node.node_id) {
                return Err(invalid(format!("node {} was removed", node.node_id)));
            }
        }
        Ok(())
    }

    /// Deletes a group, and remembers that it existed. A group that meta has never heard of may be
    /// a group that a restored meta lost, and its replicas must not be removed.
    fn delete_group(&mut self, group_id: GroupId) -> Result<(), Rejection> {
        if !self.catalog().groups.contains_key(&group_id) {
            return Err(Rejection::NotFound(format!("group {group_id}")));
        }
        let catalog = self.catalog();
        let mut ranges = catalog.ranges.values().chain(catalog.dropped.values());
        if let Some(range) = ranges.find(|range| range.group_id == group_id) {
            let range_id = range.range_id;
            return Err(invalid(format!("group {group_id} owns range {range_id}")));
        }
        self.delete(RowName::Group(group_id));
        let mut removed = self.catalog().removed_groups.clone();
        removed.insert(group_id);
        while removed.len() > REMOVED_GROUPS_MAX {
            removed.pop_first();
        }
        self.put(Row::RemovedGroups(removed));
        Ok(())
    }

    fn put_range(&mut self, range: RangeDescriptor) -> Result<(), Rejection> {
        let range_id = range.range_id;
        if range_id == RangeId(0) || range_id.0 >= self.next().range {
            return Err(invalid(format!("range id {range_id} was not given")));
        }
        self.write_range(range)
    }

    /// Writes a range's row; refuses a row older than the present row.
    pub(super) fn write_range(&mut self, range: RangeDescriptor) -> Result<(), Rejection> {
        let table = range.bounds.table;
        if !self.catalog().tables.contains_key(&table) {
            return Err(Rejection::NotFound(format!("table {table}")));
        }
        if self.catalog().dropped.contains_key(&range.range_id) {
            return Err(invalid(format!("range {} was dropped", range.range_id)));
        }
        let ends = [Some(&range.bounds.start), range.bounds.end.as_ref()];
        if ends
            .into_iter()
            .flatten()
            .any(|key| key.len() > KEY_BYTES_MAX)
        {
            return Err(invalid(format!("a key of more than {KEY_BYTES_MAX} bytes")));
        }
        if let Some(old) = self.catalog().ranges.get(&range.range_id) {
            if *old == range {
                return Ok(());
            }
            if old.bounds.table != table {
                return Err(invalid("a range does not change its table"));
            }
            if range.epoch <= old.epoch {
                return Err(invalid(format!(
                    "range {} is at epoch {} already, not before {}",
                    range.range_id, old.epoch, range.epoch
                )));
            }
        }
        self.put(Row::Range(range));
        Ok(())
    }

    fn delete_range(&mut self, range_id: RangeId) -> Result<(), Rejection> {
        if !self.catalog().ranges.contains_key(&range_id) {
            return Err(Rejection::NotFound(format!("range {range_id}")));
        }
        self.delete(RowName::Range(range_id));
        Ok(())
    }

    /// Checks that the owner of every written range exists.
    pub(super) fn check_owners(&self) -> Result<(), Rejection> {
        for (range_id, _) in self.touched_ranges() {
            let Some(range) = self.catalog().ranges.get(&range_id) else {
                continue;
            };
            if !self.catalog().groups.contains_key(&range.group_id) {
                return Err(Rejection::NotFound(format!("group {}", range.group_id)));
            }
        }
        Ok(())
    }

    fn put_job(&mut self, job: JobDescriptor) -> Result<(), Rejection> {
        let job_id = job.job_id;
        if job_id == JobId(0) || job_id.0 >= self.next().job {
            return Err(invalid(format!("job id {job_id} was not given")));
        }
        let log_bytes: usize = job.log.iter().map(|line| line.len() + 1).sum();
        if log_bytes + job.step.len() + job.kind.len() > JOB_BYTES_MAX {
            return Err(invalid(format!(
                "job {job_id} takes more than {JOB_BYTES_MAX} bytes"
            )));
        }
        self.put(Row::Job(job));
        Ok(())
    }

    fn delete_job(&mut self, job_id: JobId) -> Result<(), Rejection> {
        match self.catalog().jobs.get(&job_id) {
            None => Err(Rejection::NotFound(format!("job {job_id}"))),
            Some(job) if job.state == JobState::Running => {
                Err(invalid(format!("job {job_id} is running")))
            }
            Some(_) => {
                self.delete(RowName::Job(job_id));
                Ok(())
            }
        }
    }

    fn put_refusals(&mut self, mut lines: Vec<String>) {
        lines.retain(|line| line.len() <= REFUSAL_BYTES_MAX);
        lines.truncate(REFUSALS_MAX);
        self.put(Row::Refusals(lines));
    }

    fn allocate_ids(&mut self, groups: u64, ranges: u64, jobs: u64) -> Result<Outcome, Rejection> {
        if groups.max(ranges).max(jobs) > IDS_MAX {
            return Err(invalid(format!(
                "at most {IDS_MAX} ids are set aside at once"
            )));
        }
        let next = self.next();
        let first = Outcome::Ids {
            group: next.group,
            range: next.range,
            job: next.job,
        };
        next.group += groups;
        next.range += ranges;
        next.job += jobs;
        Ok(first)
    }
}
