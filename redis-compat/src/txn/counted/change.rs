//! Changes of the order: items come and go, and nodes are divided and joined as the hash says.

use bytes::Bytes;

use super::path::Path;
use super::run::{NewRun, Run};
use super::{Counted, START, corrupt, top};
use crate::{Fault, Txn};

impl Counted<'_> {
    /// Builds the order of items that has none yet; `count` is the number of the items. O(n).
    pub(crate) fn build<'i>(
        &self,
        txn: &mut Txn<'_>,
        items: impl Iterator<Item = (&'i [u8], &'i [u8])>,
    ) {
        let (mut nodes, mut name, mut leaf) = (Vec::new(), START, NewRun::default());
        for (item, value) in items {
            if self.height(item) > 0 {
                let full = std::mem::take(&mut leaf);
                nodes.push((Bytes::copy_from_slice(name), full.items()));
                self.put(txn, 0, name, full);
                name = item;
            }
            leaf.push_item(item, value);
        }
        nodes.push((Bytes::copy_from_slice(name), leaf.items()));
        self.put(txn, 0, name, leaf);
        let top = self.top();
        for level in 1..=top {
            nodes = self.build_level(txn, level, nodes, level == top);
        }
    }

    /// Builds a level over the nodes below, with their numbers of items.
    fn build_level(
        &self,
        txn: &mut Txn<'_>,
        level: u8,
        below: Vec<(Bytes, u64)>,
        is_top: bool,
    ) -> Vec<(Bytes, u64)> {
        let (mut nodes, mut name, mut run) =
            (Vec::new(), Bytes::from_static(START), NewRun::default());
        for (first, count) in below {
            if !is_top && self.begins(level, &first) {
                let full = std::mem::take(&mut run);
                let full_name = std::mem::replace(&mut name, first.clone());
                nodes.push((full_name.clone(), full.items()));
                self.put(txn, level, &full_name, full);
            }
            run.push_node(&first, count);
        }
        nodes.push((name.clone(), run.items()));
        self.put(txn, level, &name, run);
        nodes
    }

    /// Adds an item that is not there.
    pub(crate) fn insert(&self, txn: &mut Txn<'_>, item: &[u8], value: &[u8]) -> Result<(), Fault> {
        let (path, height, top) = (self.seek(txn, item)?, self.height(item), self.top());
        let leaf = path.leaf()?;
        let (mut left, mut right) = (NewRun::like(&leaf.run), NewRun::default());
        left.extend(&leaf.run, 0..path.at);
        let behind = if height > 0 { &mut right } else { &mut left };
        behind.push_item(item, value);
        behind.extend(&leaf.run, path.at..leaf.run.len());
        let mut below = self.put_both(txn, 0, (&leaf.name, left), (item, right));
        for level in 1..=top {
            let step = path.step(level)?;
            let (run, at) = (&step.run, step.at);
            let (mut left, mut right) = (NewRun::like(run), NewRun::default());
            left.extend(run, 0..at);
            left.push_node(run.key(at), below.0);
            let is_divided = level < top && height > level;
            let behind = if is_divided { &mut right } else { &mut left };
            if below.1 > 0 {
                behind.push_node(item, below.1);
            }
            behind.extend(run, at + 1..run.len());
            below = self.put_both(txn, level, (&step.name, left), (item, right));
        }
        let count = self.count.checked_add(1).ok_or_else(corrupt)?;
        (top..self::top(count)).try_for_each(|level| self.raise(txn, level))
    }

    /// Stores a node, and the one divided from it if that has items; returns their numbers of
    /// items.
    fn put_both(
        &self,
        txn: &mut Txn<'_>,
        level: u8,
        (left_name, left): (&[u8], NewRun),
        (right_name, right): (&[u8], NewRun),
    ) -> (u64, u64) {
        let items = (left.items(), right.items());
        self.put(txn, level, left_name, left);
        if items.1 > 0 {
            self.put(txn, level, right_name, right);
        }
        items
    }

    /// Removes items that are there and stand side by side in order. One item or more remain.
    pub(crate) fn remove_run(&self, txn: &mut Txn<'_>, run: &[Bytes]) -> Result<(), Fault> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(());
        };
        let (left, right) = (
            self.seek_behind_previous(txn, first)?,
            self.seek(txn, last)?,
        );
        self.check_run(&left, &right, last, run.len())?;
        let top = self.top();
        for item in run {
            for level in 0..self.height(item).min(top) {
                txn.remove_element(self.of, self.family + level, item.clone());
            }
        }
        let mut below = 0;
        for level in 0..=top {
            let (from, to) = (left.step(level)?, right.step(level)?);
            let mut joined = NewRun::like(&from.run);
            if level == 0 {
                joined.extend(&from.run, 0..left.at);
                joined.extend(&to.run, right.at + 1..to.run.len());
            } else {
                joined.extend(&from.run, 0..from.at);
                joined.push_node(from.run.key(from.at), below);
                joined.extend(&to.run, to.at + 1..to.run.len());
            }
            below = joined.items();
            self.put(txn, level, &from.name, joined);
        }
        let count = self.count.checked_sub(run.len() as u64);
        let count = count.filter(|count| *count == below).ok_or_else(corrupt)?;
        (self::top(count)..top)
            .rev()
            .try_for_each(|level| self.lower(txn, level))
    }

    /// Whether the places enclose the items.
    fn check_run(&self, left: &Path, right: &Path, last: &[u8], items: usize) -> Result<(), Fault> {
        let leaf = &right.leaf()?.run;
        let is_there = right.at < leaf.len() && leaf.key(right.at) == last;
        let enclosed = (right.rank() + 1).checked_sub(left.rank());
        if is_there && enclosed == Some(items as u64) {
            Ok(())
        } else {
            Err(corrupt())
        }
    }

    /// Divides the highest node, of this level, as the hash says, and puts a node over the parts.
    fn raise(&self, txn: &mut Txn<'_>, level: u8) -> Result<(), Fault> {
        let run = self.node(txn, level, START)?;
        let entries = (0..run.len()).map(|at| (run.key_bytes(at), run.count(at)));
        let nodes = self.build_level(txn, level, entries.collect(), false);
        self.build_level(txn, level + 1, nodes, true);
        Ok(())
    }

    /// Joins all nodes of a level, and removes the node over them.
    fn lower(&self, txn: &mut Txn<'_>, level: u8) -> Result<(), Fault> {
        let over = self.node(txn, level + 1, START)?;
        let mut joined = NewRun::default();
        for at in 0..over.len() {
            let name = over.key_bytes(at);
            let run: Run = self.node(txn, level, &name)?;
            joined.extend(&run, 0..run.len());
            if name != START {
                txn.remove_element(self.of, self.family + level, name);
            }
        }
        self.put(txn, level, START, joined);
        let start = Bytes::from_static(START);
        txn.remove_element(self.of, self.family + level + 1, start);
        Ok(())
    }

    /// Whether a node of this level begins with the node of this name.
    fn begins(&self, level: u8, name: &[u8]) -> bool {
        name != START && self.height(name) > level
    }

    fn put(&self, txn: &mut Txn<'_>, level: u8, name: &[u8], run: NewRun) {
        let name = Bytes::copy_from_slice(name);
        txn.put_element(self.of, self.family + level, name, run.into_bytes());
    }
}
