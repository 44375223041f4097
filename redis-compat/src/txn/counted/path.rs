//! Places in the order: the nodes from the highest down to a leaf, and an item of it.

use bytes::Bytes;

use super::super::state::State;
use super::run::Run;
use super::{Counted, START, corrupt};
use crate::{Fault, Txn};

/// A place in the order: before an item, or behind the last.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    /// From the highest level down.
    pub(super) steps: Vec<Step>,
    /// The entry of the leaf: how many of its items are before the place.
    pub(super) at: usize,
}

/// A node on the way, and the entry that the way goes on through.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) run: Run,
    pub(super) at: usize,
}

impl Path {
    /// How many items are before the place.
    pub(crate) fn rank(&self) -> u64 {
        let before = self.steps.iter().map(|step| step.run.items_of(0..step.at));
        before.sum::<u64>() + self.at as u64
    }

    /// The place behind the item that is behind this place.
    pub(crate) fn behind(mut self) -> Self {
        self.at += 1;
        self
    }

    pub(super) fn leaf(&self) -> Result<&Step, Fault> {
        self.steps.last().ok_or_else(corrupt)
    }
}

impl Counted<'_> {
    /// The place before all items that are not before `item`.
    pub(crate) fn seek(&self, txn: &Txn<'_>, item: &[u8]) -> Result<Path, Fault> {
        let mut path = self.descend(txn, |run| Ok(run.up_to(item).saturating_sub(1)))?;
        path.at = path.leaf()?.run.before(item);
        Ok(path)
    }

    /// The place with so many items before it; `None` if there are not so many.
    pub(crate) fn select(&self, txn: &Txn<'_>, nth: u64) -> Result<Option<Path>, Fault> {
        if nth >= self.count {
            return Ok(None);
        }
        let mut left = nth;
        let mut path = self.descend(txn, |run| {
            for at in 0..run.len() {
                match left.checked_sub(run.count(at)) {
                    Some(rest) => left = rest,
                    None => return Ok(at),
                }
            }
            Err(corrupt())
        })?;
        path.at = usize::try_from(left).map_err(|_| corrupt())?;
        if path.at >= path.leaf()?.run.len() {
            return Err(corrupt());
        }
        Ok(Some(path))
    }

    /// Shows the items behind a place in order, or those before it backwards, until `visit` returns
    /// false. The place moves along: the item that is refused is passed, too.
    pub(crate) fn walk(
        &self,
        txn: &Txn<'_>,
        path: &mut Path,
        down: bool,
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Fault> {
        while let Some(step) = path.steps.last() {
            let leaf = &step.run;
            let next = if down {
                path.at.checked_sub(1)
            } else {
                (path.at < leaf.len()).then_some(path.at)
            };
            if let Some(next) = next {
                let goes_on = visit(leaf.key(next), leaf.value(next));
                path.at = if down { next } else { next + 1 };
                if !goes_on {
                    return Ok(());
                }
            } else {
                self.pass_to_next_leaf(txn, path, down)?;
            }
        }
        Ok(())
    }

    /// The first item and its value.
    pub(crate) fn first(&self, txn: &Txn<'_>) -> Result<Option<(Bytes, Bytes)>, Fault> {
        let (mut path, mut first) = (self.seek(txn, START)?, None);
        self.walk(txn, &mut path, false, |item, value| {
            let copied = [item, value].map(Bytes::copy_from_slice);
            first = Some(copied.into());
            false
        })?;
        Ok(first)
    }

    /// A node of a level.
    pub(super) fn node(&self, state: &State<'_>, level: u8, name: &[u8]) -> Result<Run, Fault> {
        let bytes = state.element(self.of, self.family + level, name)?;
        Run::decode(bytes.ok_or_else(corrupt)?, level == 0)
    }

    /// Goes down from the highest node, by the entry that `choose` names in each node.
    fn descend(
        &self,
        txn: &Txn<'_>,
        mut choose: impl FnMut(&Run) -> Result<usize, Fault>,
    ) -> Result<Path, Fault> {
        let mut steps = Vec::with_capacity(usize::from(self.top()) + 1);
        let mut name = Bytes::from_static(START);
        for level in (1..=self.top()).rev() {
            let run = self.node(&txn.state, level, &name)?;
            let at = choose(&run)?;
            if at >= run.len() {
                return Err(corrupt());
            }
            let below = run.key_bytes(at);
            steps.push(Step { run, at });
            name = below;
        }
        let run = self.node(&txn.state, 0, &name)?;
        steps.push(Step { run, at: 0 });
        Ok(Path { steps, at: 0 })
    }

    /// Moves to the beginning of the next leaf, or to the end of the leaf before. If there is none,
    /// nothing is left of the path.
    fn pass_to_next_leaf(&self, txn: &Txn<'_>, path: &mut Path, down: bool) -> Result<(), Fault> {
        path.steps.pop();
        let top = usize::from(self.top());
        loop {
            let Some(step) = path.steps.last_mut() else {
                return Ok(());
            };
            let next = if down {
                step.at.checked_sub(1)
            } else {
                Some(step.at + 1).filter(|next| *next < step.run.len())
            };
            match next {
                None => drop(path.steps.pop()),
                Some(next) => {
                    step.at = next;
                    break;
                }
            }
        }
        while path.steps.len() <= top {
            let Some(step) = path.steps.last() else {
                return Err(corrupt());
            };
            let name = step.run.key_bytes(step.at);
            let run = self.node(&txn.state, (top - path.steps.len()) as u8, &name)?;
            let at = if down { run.len().saturating_sub(1) } else { 0 };
            path.steps.push(Step { run, at });
        }
        let leaf = path.steps.last_mut().ok_or_else(corrupt)?;
        path.at = if down { leaf.run.len() } else { 0 };
        leaf.at = 0;
        Ok(())
    }
}
