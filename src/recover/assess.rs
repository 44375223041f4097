//! Groups that have lost their majority, and the data that a recovery would lose. Pure.

use std::fmt;

use coterie_meta_client::Liveness;
use coterie_protocol::server::ReplicaStatus;
use coterie_types::{GroupDescriptor, GroupId, LogIndex, NodeId, Term};

use crate::check::look::Look;

/// A group that cannot elect a leader any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) group_id: GroupId,
    /// The remaining replica that reaches furthest.
    pub(super) best: Option<NodeId>,
    voters: Vec<(NodeId, Voter)>,
    ranges: usize,
}

/// State of a voter.
#[derive(Debug, PartialEq, Eq)]
enum Voter {
    /// It answers, and its log reaches this far.
    Left(Reach),
    /// It answers, but its replica is of no use.
    Useless(String),
    /// It does not answer. Its last heartbeat, and the age of that in milliseconds.
    Lost(Option<(Reach, u64)>),
}

/// How far a replica reaches: by its log first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Reach {
    last_term: Term,
    last_index: LogIndex,
    applied: LogIndex,
}

impl Reach {
    fn of(status: &ReplicaStatus) -> Self {
        Self {
            last_term: status.last_term,
            last_index: status.last_index,
            applied: status.applied_index,
        }
    }
}

/// The groups that no replica serves and that lack answers from a majority of their voters. The
/// last leader may still believe that it leads, so only `serving` counts.
pub(super) fn losses(look: &Look, liveness: &Liveness) -> Vec<Loss> {
    let groups = look.catalog.groups.values();
    let serves = |group_id: GroupId| {
        let mut replicas = look.replicas();
        replicas.any(|(_, replica)| replica.group_id == group_id && replica.serving)
    };
    let lost = groups.filter(|group| !serves(group.group_id));
    lost.filter_map(|group| loss(look, liveness, group))
        .collect()
}

fn loss(look: &Look, liveness: &Liveness, group: &GroupDescriptor) -> Option<Loss> {
    let group_id = group.group_id;
    let voters = group.voters();
    let voters: Vec<_> = voters
        .map(|node| (node, voter(look, liveness, group_id, node)))
        .collect();
    let answer = |voter: &Voter| !matches!(voter, Voter::Lost(_));
    let answering = voters.iter().filter(|(_, voter)| answer(voter)).count();
    if 2 * answering > voters.len() {
        return None;
    }
    let left = voters.iter().filter_map(|(node, voter)| match voter {
        Voter::Left(reach) => Some((*reach, *node)),
        _ => None,
    });
    let mapped = look.catalog.ranges.values();
    Some(Loss {
        group_id,
        best: left.max().map(|(_, node)| node),
        ranges: mapped.filter(|range| range.group_id == group_id).count(),
        voters,
    })
}

fn voter(look: &Look, liveness: &Liveness, group_id: GroupId, node: NodeId) -> Voter {
    match look.said.get(&node) {
        Some(Ok(replicas)) => match replicas.iter().find(|r| r.group_id == group_id) {
            Some(status) => match &status.fault {
                None => Voter::Left(Reach::of(status)),
                Some(fault) => Voter::Useless(format!("its replica has stopped: {fault}")),
            },
            None => Voter::Useless("it has no replica of it".to_owned()),
        },
        Some(Err(_)) | None => {
            let mut heard = liveness.nodes.iter();
            let heard = heard.find(|heard| heard.heartbeat.node_id == node);
            Voter::Lost(heard.and_then(|heard| {
                let mut replicas = heard.heartbeat.replicas.iter();
                let status = replicas.find(|r| r.group_id == group_id)?;
                Some((Reach::of(status), heard.age_ms))
            }))
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |wanted: fn(&Voter) -> bool| {
            let found = self.voters.iter().filter(move |(_, voter)| wanted(voter));
            found
                .map(|(node, voter)| (*node, voter))
                .collect::<Vec<_>>()
        };
        let lost = of(|voter| matches!(voter, Voter::Lost(_)));
        let (group_id, ranges, all) = (self.group_id, self.ranges, self.voters.len());
        let answer = all - lost.len();
        writeln!(
            f,
            "group {group_id}: {answer} of {all} voters answer, nobody leads; {ranges} range(s) are \
             not served"
        )?;
        for (node, voter) in &self.voters {
            let mark = if Some(*node) == self.best {
                ", would be kept"
            } else {
                ""
            };
            writeln!(f, "  node {node}: {voter}{mark}")?;
        }
        let Some(kept) = self.reach_of_best() else {
            return writeln!(f, "  no replica is left to go on from: bring a node back");
        };
        let names: Vec<String> = lost.iter().map(|(node, _)| node.to_string()).collect();
        let ahead = lost.iter().filter_map(|(_, voter)| match voter {
            Voter::Lost(Some((reach, _))) if *reach > kept => Some(reach.last_index.0),
            _ => None,
        });
        match ahead.max() {
            Some(index) => writeln!(
                f,
                "  lost: {} entries at least, which node(s) {} had when last heard, and all that \
                 was acknowledged since then",
                index.saturating_sub(kept.last_index.0).max(1),
                names.join(", ")
            )?,
            None => writeln!(
                f,
                "  may be lost: what was acknowledged by node(s) {} after they were last heard, and \
                 did not reach the replica that would be kept",
                names.join(", ")
            )?,
        }
        writeln!(
            f,
            "  node(s) {} would be removed for good, in all groups: what they hold is wiped if they \
             come back",
            names.join(", ")
        )
    }
}

impl Loss {
    fn reach_of_best(&self) -> Option<Reach> {
        self.voters.iter().find_map(|(node, voter)| match voter {
            Voter::Left(reach) if Some(*node) == self.best => Some(*reach),
            _ => None,
        })
    }
}

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left(reach) => write!(f, "{reach}"),
            Self::Useless(why) => write!(f, "{why}"),
            Self::Lost(None) => write!(
                f,
                "does not answer, and was not heard since meta elected its leader"
            ),
            Self::Lost(Some((reach, age_ms))) => write!(
                f,
                "does not answer; {} s ago it was last heard, with {reach}",
                age_ms / 1000
            ),
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            last_term,
            last_index,
            applied,
        } = self;
        write!(
            f,
            "log to entry {last_index} of term {last_term}, applied to {applied}"
        )
    }
}
