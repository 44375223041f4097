//! `COTERIE` commands through a proxy, as an operator sends them: queries and orders.
//!
//! An order returns the id of a job; [`Admin::finish`] waits for the end of the job and shows its
//! log if it failed. While meta has no leader a command may be refused: tests that do harm
//! meanwhile send their commands through [`Admin::persist`].

use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::rows::{Group, Job, Node, Range};
use crate::connection::Connection;
use crate::resp::Reply;
use crate::wait;

/// Time limit of an administrative command: longer than the proxy's own timeout.
const WITHIN: Duration = Duration::from_secs(15);

/// The table that the tests work on.
const TABLE: &str = "0";

/// The destination of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// This group.
    Group(u64),
    /// A new group.
    New,
}

/// An operator at a proxy. Cheap to clone; any thread may have its own.
#[derive(Debug, Clone)]
pub struct Admin {
    proxy: String,
}

impl Admin {
    /// An operator at the proxy of this address.
    #[must_use]
    pub fn at(proxy: String) -> Self {
        Self { proxy }
    }

    /// Sends a `COTERIE` command; an error reply is an error.
    pub fn ask(&self, words: &[&str]) -> anyhow::Result<Reply> {
        let mut connection = Connection::open(&self.proxy, WITHIN)?;
        match connection.call(&[&["COTERIE"], words].concat())? {
            Reply::Error(text) => bail!("COTERIE {} answered: {text}", words.join(" ")),
            reply => Ok(reply),
        }
    }

    fn rows<T>(
        &self,
        words: &[&str],
        read: impl Fn(&Reply) -> anyhow::Result<T>,
    ) -> anyhow::Result<Vec<T>> {
        self.ask(words)?.elements().iter().map(read).collect()
    }

    /// The nodes.
    pub fn nodes(&self) -> anyhow::Result<Vec<Node>> {
        self.rows(&["NODES"], Node::read)
    }

    /// The node with this id.
    pub fn node(&self, id: u64) -> anyhow::Result<Node> {
        let found = self.nodes()?.into_iter().find(|node| node.id == id);
        found.with_context(|| format!("no node {id}"))
    }

    /// The groups.
    pub fn groups(&self) -> anyhow::Result<Vec<Group>> {
        self.rows(&["GROUPS"], Group::read)
    }

    /// The group with this id.
    pub fn group(&self, id: u64) -> anyhow::Result<Group> {
        let found = self.groups()?.into_iter().find(|group| group.id == id);
        found.with_context(|| format!("no group {id}"))
    }

    /// The ranges of table 0, in key order.
    pub fn ranges(&self) -> anyhow::Result<Vec<Range>> {
        self.rows(&["RANGES", TABLE], Range::read)
    }

    /// The range of table 0 that holds a key, in meta's map.
    pub fn range_of(&self, key: &str) -> anyhow::Result<Range> {
        let mut ranges = self.ranges()?.into_iter();
        let found = ranges.find(|range| range.holds(key.as_bytes()));
        found.with_context(|| format!("no range holds {key:?}"))
    }

    /// A group that does not own a key.
    pub fn other_group(&self, key: &str) -> anyhow::Result<u64> {
        let owner = self.range_of(key)?.group;
        let mut groups = self.groups()?.into_iter();
        let other = groups.find(|group| group.id != owner);
        Ok(other.context("another group")?.id)
    }

    /// The running jobs, and the ended jobs that meta still keeps.
    pub fn jobs(&self) -> anyhow::Result<Vec<Job>> {
        self.rows(&["JOBS"], Job::read)
    }

    /// The job with this id, and its log.
    pub fn job(&self, id: u64) -> anyhow::Result<Job> {
        Job::read(&self.ask(&["JOBS", &id.to_string()])?)
    }

    /// Starts a split before `key`; returns the job's id.
    pub fn split(&self, key: &str) -> anyhow::Result<u64> {
        self.begin(&["SPLIT", TABLE, key])
    }

    /// Starts a merge of the range that holds `key` with its right neighbour; returns the job's id.
    pub fn merge(&self, key: &str) -> anyhow::Result<u64> {
        self.begin(&["MERGE", TABLE, key])
    }

    /// Starts a move of the range that holds `key`; returns the job's id.
    pub fn move_range(&self, key: &str, to: To) -> anyhow::Result<u64> {
        match to {
            To::Group(id) => self.begin(&["MOVE", TABLE, key, "GROUP", &id.to_string()]),
            To::New => self.begin(&["MOVE", TABLE, key, "NEW"]),
        }
    }

    /// Starts the replacement of a group's replica on a node; returns the job's id.
    pub fn replace(&self, group: u64, node: u64) -> anyhow::Result<u64> {
        self.begin(&["REPLACE", &group.to_string(), &node.to_string()])
    }

    fn begin(&self, words: &[&str]) -> anyhow::Result<u64> {
        let reply = self.ask(words)?;
        let id = reply.text().and_then(|text| text.parse().ok());
        id.with_context(|| format!("COTERIE {} answered {reply:?}", words.join(" ")))
    }

    /// Waits until a job is done or has failed.
    pub fn ended(&self, job: u64, within: Duration) -> anyhow::Result<Job> {
        wait::until(&format!("job {job} ends"), within, || {
            let job = self.job(job)?;
            ensure!(job.ended(), "{job:?}");
            Ok(job)
        })
    }

    /// Waits until a job is done; fails at once, with its log, when it failed.
    pub fn finish(&self, job: u64, within: Duration) -> anyhow::Result<Job> {
        let job = self.ended(job, within)?;
        ensure!(
            job.state == "done",
            "job {} ({}) failed:\n{}",
            job.id,
            job.kind,
            job.log.join("\n")
        );
        Ok(job)
    }

    /// Repeats a command that may be refused while harm is done, until it succeeds.
    pub fn persist<T>(
        &self,
        within: Duration,
        mut question: impl FnMut(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        wait::until("an operator is answered", within, || question(self))
    }

    /// Transfers a group's leadership to a node.
    pub fn lead(&self, group: u64, node: u64) -> anyhow::Result<()> {
        self.ask(&["LEADER", &group.to_string(), &node.to_string()])
            .map(drop)
    }

    /// Turns on or off the controller's moves for balance.
    pub fn balance(&self, on: bool) -> anyhow::Result<()> {
        self.ask(&["BALANCE", if on { "ON" } else { "OFF" }])
            .map(drop)
    }

    /// Sends `NODE DRAIN`, `RESUME` or `REMOVE` of a node.
    pub fn set_node(&self, word: &str, node: u64) -> anyhow::Result<()> {
        self.ask(&["NODE", word, &node.to_string()]).map(drop)
    }
}
