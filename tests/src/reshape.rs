//! Random changes of the range map by an operator's commands: splits, merges, moves, transfers of
//! leadership.
//!
//! A change is possible when it is chosen. The controller may refuse it later, because of another
//! job or of harm done meanwhile. A refusal is an outcome; the tests bound their number.

use anyhow::{Context, ensure};

use crate::cluster::{Admin, Group, Range, To};
use crate::rng::Rng;

/// With more ranges than this the change is a merge instead of a split.
const RANGES_MAX: usize = 12;

/// With more groups than this no further group is made.
const GROUPS_MAX: usize = 5;

/// A change of the range map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reshape {
    /// A range is split before this key.
    Split(String),
    /// The range that holds this key is merged with its right neighbour.
    Merge(String),
    /// The range that holds this key moves.
    Move(String, To),
    /// The leadership of this group goes to this node.
    Lead(u64, u64),
}

impl Reshape {
    /// A random change that is possible now.
    pub fn any(admin: &Admin, rng: &mut Rng) -> anyhow::Result<Self> {
        let (ranges, groups) = (admin.ranges()?, admin.groups()?);
        ensure!(
            !ranges.is_empty() && !groups.is_empty(),
            "nothing to change"
        );
        let key = format!("{:02x}:", rng.below(256));
        Ok(match rng.below(10) {
            // A range cannot be split at its own start.
            0..3 if ranges.len() < RANGES_MAX && !begins(&ranges, &key) => Self::Split(key),
            0..5 if ranges.len() > 1 => {
                let left = &ranges[rng.below(ranges.len() - 1)];
                Self::Merge(String::from_utf8_lossy(&left.start).into_owned())
            }
            5..9 => any_move(&ranges, &groups, key, rng)?,
            _ => any_transfer(&groups, rng)?,
        })
    }

    /// Asks for the change. Returns the job's id; `None` for a change that needs no job.
    pub fn begin(&self, admin: &Admin) -> anyhow::Result<Option<u64>> {
        match self {
            Self::Split(key) => admin.split(key).map(Some),
            Self::Merge(key) => admin.merge(key).map(Some),
            Self::Move(key, to) => admin.move_range(key, *to).map(Some),
            Self::Lead(group, node) => admin.lead(*group, *node).map(|()| None),
        }
    }
}

fn begins(ranges: &[Range], key: &str) -> bool {
    ranges.iter().any(|range| range.start == key.as_bytes())
}

fn any_move(
    ranges: &[Range],
    groups: &[Group],
    key: String,
    rng: &mut Rng,
) -> anyhow::Result<Reshape> {
    let range = ranges.iter().find(|range| range.holds(key.as_bytes()));
    let owner = range.context("no range holds the key")?.group;
    let others: Vec<u64> = groups
        .iter()
        .map(|g| g.id)
        .filter(|&id| id != owner)
        .collect();
    let make_one = groups.len() < GROUPS_MAX && rng.percent(20);
    let to = if others.is_empty() || make_one {
        To::New
    } else {
        To::Group(*rng.pick(&others))
    };
    Ok(Reshape::Move(key, to))
}

fn any_transfer(groups: &[Group], rng: &mut Rng) -> anyhow::Result<Reshape> {
    let group = rng.pick(groups);
    let voters = group.voters();
    ensure!(!voters.is_empty(), "group {} has no voter", group.id);
    Ok(Reshape::Lead(group.id, *rng.pick(&voters)))
}
