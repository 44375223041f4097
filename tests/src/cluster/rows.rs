//! The rows of `COTERIE NODES`, `GROUPS`, `RANGES` and `JOBS`, read from their maps.

use anyhow::{Context, ensure};

use crate::resp::Reply;

/// A row of `COTERIE NODES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: u64,
    /// Its address; empty if another node has that address now.
    pub addr: String,
    /// Its zone.
    pub zone: String,
    /// The machine that it names as its own.
    pub host: String,
    /// `up`, `down`, `draining`, `removed`, ...
    pub state: String,
    /// The number of replicas that it reported; `None` before its first report.
    pub replicas: Option<u64>,
    /// The number of groups that it leads, as it reported.
    pub leaders: Option<u64>,
    /// Bytes of its data.
    pub disk_used_bytes: Option<u64>,
    /// Whether a draining node may be stopped.
    pub safe_to_stop: bool,
}

/// A replica, in a row of `COTERIE GROUPS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its node.
    pub node: u64,
    /// Whether it votes.
    pub voter: bool,
    /// Its applied index, as last reported.
    pub applied_index: Option<u64>,
    /// The first index of its log, as last reported.
    pub first_index: Option<u64>,
}

/// A row of `COTERIE GROUPS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: u64,
    /// The node that leads it, if the leader is known.
    pub leader: Option<u64>,
    /// The highest term that a replica reported; `None` before the first report.
    pub term: Option<u64>,
    /// The number of ranges that it owns.
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
    /// The first key after it; `None` at the end of the table.
    pub end: Option<Vec<u8>>,
    /// Its epoch, which rises with each split, merge and move.
    pub epoch: u64,
    /// The group that owns it.
    pub group: u64,
    /// Bytes in it; `None` before the first report of its group.
    pub size_bytes: Option<u64>,
}

/// A row of `COTERIE JOBS`, or the longer reply to `COTERIE JOBS id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: u64,
    /// Its kind: `split`, `move` and so on.
    pub kind: String,
    /// `running`, `done` or `failed`.
    pub state: String,
    /// Why it was started.
    pub reason: String,
    /// Its log; empty in a list of jobs.
    pub log: Vec<String>,
    /// Bytes copied, by a job that copies.
    pub bytes: Option<u64>,
    /// Bytes to copy in all.
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
            term: number(row, "term").ok(),
            ranges: number(row, "ranges")?,
            replicas: replicas.collect::<anyhow::Result<_>>()?,
        })
    }

    /// The nodes of its voters.
    #[must_use]
    pub fn voters(&self) -> Vec<u64> {
        let voters = self.replicas.iter().filter(|replica| replica.voter);
        voters.map(|replica| replica.node).collect()
    }

    /// An error unless it has exactly `voters` voters and no learner, and all have applied nearly
    /// all of its log.
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

    /// Whether the range contains a key.
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

    /// Whether it is done or has failed.
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

/// A boolean of either protocol, or a word for it.
fn flag(row: &Reply, name: &str) -> bool {
    let text = row.field(name).and_then(Reply::text);
    text.is_some_and(|text| ["1", "t", "true", "yes"].contains(&text.as_str()))
}
