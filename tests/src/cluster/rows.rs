//! The rows of `COTERIE NODES`, `GROUPS`, `RANGES` and `JOBS`, read from their maps.

use anyhow::{Context, ensure};

use crate::resp::Reply;

/// A row of `COTERIE NODES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: u64,
    /// Where it is reached; empty for one whose address another node has now.
    pub addr: String,
    /// Its zone.
    pub zone: String,
    /// The machine it says it runs on.
    pub host: String,
    /// `up`, `down`, `draining`, `removed`, ...
    pub state: String,
    /// Replicas it said it holds, if it was heard.
    pub replicas: Option<u64>,
    /// Groups it said it leads.
    pub leaders: Option<u64>,
    /// Bytes of its data.
    pub disk_used_bytes: Option<u64>,
    /// Whether a draining node may be stopped.
    pub safe_to_stop: bool,
}

/// A replica, in a row of `COTERIE GROUPS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Where it is.
    pub node: u64,
    /// Whether it votes.
    pub voter: bool,
    /// How far it said it has applied the log.
    pub applied_index: Option<u64>,
    /// Where its log begins.
    pub first_index: Option<u64>,
}

/// A row of `COTERIE GROUPS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: u64,
    /// The node that leads it, if that is known.
    pub leader: Option<u64>,
    /// Its term, by the replica that has the highest.
    pub term: u64,
    /// How many ranges it owns.
    pub ranges: u64,
    /// Its replicas.
    pub replicas: Vec<Replica>,
}

/// A row of `COTERIE RANGES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Its id.
    pub id: u64,
    /// Its first key.
    pub start: Vec<u8>,
    /// The key behind its last; `None` is the end of the table.
    pub end: Option<Vec<u8>>,
    /// Rises with each split, merge and move.
    pub epoch: u64,
    /// The group that owns it.
    pub group: u64,
    /// Bytes in it, if its group was heard.
    pub size_bytes: Option<u64>,
}

/// A row of `COTERIE JOBS`, or the one that `COTERIE JOBS id` tells more of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: u64,
    /// What it does.
    pub kind: String,
    /// `running`, `done` or `failed`.
    pub state: String,
    /// Why it was begun.
    pub reason: String,
    /// What happened; empty in a list of jobs.
    pub log: Vec<String>,
    /// Bytes copied, by a job that copies.
    pub bytes: Option<u64>,
    /// Bytes there are to copy.
    pub bytes_total: Option<u64>,
}

impl Node {
    pub(super) fn read(row: &Reply) -> anyhow::Result<Self> {
        Ok(Self {
            id: number(row, "id")?,
            addr: text(row, "addr").unwrap_or_default(),
            zone: text(row, "zone").unwrap_or_default(),
            host: text(row, "host").unwrap_or_default(),
            state: text(row, "state")?,
            replicas: number(row, "replicas").ok(),
            leaders: number(row, "leaders").ok(),
            disk_used_bytes: number(row, "disk_used_bytes").ok(),
            safe_to_stop: flag(row, "safe_to_stop"),
        })
    }
}

impl Group {
    pub(super) fn read(row: &Reply) -> anyhow::Result<Self> {
        let replicas = row.field("replicas").context("no replicas")?;
        let replicas = replicas.elements().iter().map(Replica::read);
        Ok(Self {
            id: number(row, "id")?,
            leader: number(row, "leader").ok().filter(|&leader| leader != 0),
            term: number(row, "term")?,
            ranges: number(row, "ranges")?,
            replicas: replicas.collect::<anyhow::Result<_>>()?,
        })
    }

    /// The nodes with a vote.
    #[must_use]
    pub fn voters(&self) -> Vec<u64> {
        let voters = self.replicas.iter().filter(|replica| replica.voter);
        voters.map(|replica| replica.node).collect()
    }

    /// Fails unless it has so many voters, no learner, and all have applied nearly all of its log.
    pub fn check_caught_up(&self, voters: usize) -> anyhow::Result<()> {
        let applied: Vec<u64> = self
            .replicas
            .iter()
            .filter_map(|r| r.applied_index)
            .collect();
        let whole = self.replicas.len() == voters
            && self.voters().len() == voters
            && applied.len() == voters;
        let apart = applied.iter().max().zip(applied.iter().min());
        let near = apart.is_some_and(|(highest, lowest)| highest - lowest < 1000);
        ensure!(
            whole && near,
            "not yet {voters} voters up to date: {self:?}"
        );
        Ok(())
    }
}

impl Replica {
    fn read(row: &Reply) -> anyhow::Result<Self> {
        Ok(Self {
            node: number(row, "node")?,
            voter: text(row, "role")? == "voter",
            applied_index: number(row, "applied_index").ok(),
            first_index: number(row, "first_index").ok(),
        })
    }
}

impl Range {
    pub(super) fn read(row: &Reply) -> anyhow::Result<Self> {
        let key = |name: &str| match row.field(name) {
            Some(Reply::Bulk(bytes)) => Some(bytes.clone()),
            _ => None,
        };
        Ok(Self {
            id: number(row, "id")?,
            start: key("start").with_context(|| format!("no start in {row:?}"))?,
            end: key("end"),
            epoch: number(row, "epoch")?,
            group: number(row, "group")?,
            size_bytes: number(row, "size_bytes").ok(),
        })
    }

    /// Whether it holds a key.
    #[must_use]
    pub fn holds(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && self.end.as_deref().is_none_or(|end| key < end)
    }
}

impl Job {
    pub(super) fn read(row: &Reply) -> anyhow::Result<Self> {
        let log = row.field("log").map(Reply::elements).unwrap_or_default();
        Ok(Self {
            id: number(row, "id")?,
            kind: text(row, "kind")?,
            state: text(row, "state")?,
            reason: text(row, "reason").unwrap_or_default(),
            log: log.iter().filter_map(Reply::text).collect(),
            bytes: number(row, "bytes").ok(),
            bytes_total: number(row, "bytes_total").ok(),
        })
    }

    /// Whether nothing more happens to it.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.state != "running"
    }
}

fn text(row: &Reply, name: &str) -> anyhow::Result<String> {
    let text = row.field(name).and_then(Reply::text);
    text.with_context(|| format!("no {name} in {row:?}"))
}

fn number(row: &Reply, name: &str) -> anyhow::Result<u64> {
    let text = text(row, name)?;
    text.parse().with_context(|| format!("{name} is {text:?}"))
}

/// A boolean in either protocol, or in words.
fn flag(row: &Reply, name: &str) -> bool {
    let text = row.field(name).and_then(Reply::text);
    text.is_some_and(|text| ["1", "t", "true", "yes"].contains(&text.as_str()))
}
