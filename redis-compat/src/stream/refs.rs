//! What becomes of pending entries when an entry is deleted: `KEEPREF`, `DELREF`, `ACKED`.

use bytes::Bytes;

use super::Stream;
use super::group::Group;
use super::id::StreamId;
use crate::{EvalError, Txn};

/// An option of Redis 8.2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Refs {
    /// They stay.
    #[default]
    Keep,
    /// They are removed.
    Remove,
    /// The entry stays until all groups have read and acknowledged it.
    WaitForAll,
}

impl Refs {
    pub(super) fn of_keyword(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "keepref" => Self::Keep,
            "delref" => Self::Remove,
            "acked" => Self::WaitForAll,
            _ => return None,
        })
    }
}

/// The option, and the groups that it asks.
pub(super) struct References {
    refs: Refs,
    groups: Vec<Group>,
}

impl References {
    pub(super) fn new(stream: &Stream, txn: &mut Txn<'_>, refs: Refs) -> Result<Self, EvalError> {
        let groups = match refs {
            Refs::Keep => Vec::new(),
            Refs::Remove | Refs::WaitForAll => stream.all_groups(txn)?,
        };
        Ok(Self { refs, groups })
    }

    /// The same, which also knows this group.
    pub(super) fn with_group(
        stream: &Stream,
        txn: &mut Txn<'_>,
        refs: Refs,
        name: &Bytes,
    ) -> Result<Self, EvalError> {
        let mut references = Self::new(stream, txn, refs)?;
        if refs == Refs::Keep {
            references.groups.extend(stream.group(txn, name)?);
        }
        Ok(references)
    }

    /// Whether the entry may be deleted. Removes its pending entries if they are to go with it.
    pub(super) fn let_go(
        &mut self,
        stream: &mut Stream,
        txn: &mut Txn<'_>,
        id: StreamId,
    ) -> Result<bool, EvalError> {
        if self.refs == Refs::WaitForAll && self.groups.is_empty() {
            // As in Redis: nobody has acknowledged it.
            return Ok(false);
        }
        for group in &mut self.groups {
            match self.refs {
                Refs::Keep => {}
                Refs::Remove => {
                    group.acknowledge(stream, txn, id)?;
                }
                Refs::WaitForAll => {
                    if group.last < id || group.pending(stream, txn, id)?.is_some() {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Acknowledges an entry in this group.
    pub(super) fn acknowledge(
        &mut self,
        stream: &mut Stream,
        txn: &mut Txn<'_>,
        name: &[u8],
        id: StreamId,
    ) -> Result<bool, EvalError> {
        let group = self.groups.iter_mut().find(|group| *group.name == *name);
        match group {
            Some(group) => Ok(group.acknowledge(stream, txn, id)?),
            None => Ok(false),
        }
    }

    /// Stores the groups that were changed; returns whether any was.
    pub(super) fn finish(self, stream: &mut Stream, txn: &mut Txn<'_>) -> bool {
        let changed = self.groups.iter().filter(|group| group.is_changed());
        changed.fold(false, |_, group| {
            stream.put_group(txn, group);
            true
        })
    }
}
