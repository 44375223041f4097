//! A spread list: a leaf at each end, and between them a tree of leaves (`tree.rs`).
//!
//! The leaves at the ends stand in the header and not in the tree. So a push or a pop changes its
//! leaf and the header alone; the tree learns of a leaf when it is full, and gives one away when
//! the leaf at the end is used up. Nothing is searched for: a queue never meets what it removed.
//!
//! The type's part of the header:
//!
//! ```text
//! varint      listpack bytes of all elements (`value.rs`)
//! varint      the number of the next node
//! varint x2   the leaf at the left end: its number and its elements, 0 if there is none
//! varint x2   the leaf at the right end
//! varint      how many pages are above each leaf of the tree, 0 if it is empty
//! varint      the number of its root
//! ```
//!
//! The layout is on disk: pinned by the tests below, described in `docs/disk-format.md`.

use bytes::Bytes;
use coterie_types::varint;

use super::nodes::{Node, Nodes};
use super::place::End;
use super::run::Run;
use super::tree::{Change, Tree, Visit, walk_below};
use crate::errors::COLLECTION_TOO_LARGE;
use crate::txn::spread::{COPY_BYTES_MAX, SpreadHeader};
use crate::{Collection, CommandError, EvalError, Fault, Txn};

/// The elements of a spread list.
pub(super) struct Rope {
    nodes: Nodes,
    left: Node,
    right: Node,
    tree: Tree,
}

impl Rope {
    /// A list without elements.
    pub(super) fn new(of: Collection) -> Self {
        Self {
            nodes: Nodes { of, next_id: 1 },
            left: Node::default(),
            right: Node::default(),
            tree: Tree::default(),
        }
    }

    /// The list of a header, and the listpack bytes of its elements.
    pub(super) fn of(of: Collection, header: &SpreadHeader) -> Result<(Self, u64), Fault> {
        let mut rest = &header.rest[..];
        let mut take = || varint::take(&mut rest).ok_or_else(corrupt);
        let (weight, next_id) = (take()?, take()?);
        let mut node = || {
            let (id, count) = (take()?, take()?);
            Ok::<_, Fault>(Node { id, count })
        };
        let (left, right) = (node()?, node()?);
        let (levels, id) = (take()?, take()?);
        let ends = left.count.checked_add(right.count);
        let count = ends.and_then(|ends| header.count.checked_sub(ends));
        let count = count.filter(|count| (*count == 0) == (levels == 0));
        let count = count.ok_or_else(corrupt)?;
        let root = Node { id, count };
        let rope = Self {
            nodes: Nodes { of, next_id },
            left,
            right,
            tree: Tree { levels, root },
        };
        Ok((rope, weight))
    }

    pub(super) fn header(&self, weight: u64) -> SpreadHeader {
        let mut rest = Vec::with_capacity(24);
        for number in [
            weight,
            self.nodes.next_id,
            self.left.id,
            self.left.count,
            self.right.id,
            self.right.count,
            self.tree.levels,
            self.tree.root.id,
        ] {
            varint::put(&mut rest, number);
        }
        SpreadHeader {
            incarnation: self.nodes.of.incarnation,
            count: self.len(),
            rest: Bytes::from(rest),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.left.count + self.tree.len() + self.right.count
    }

    /// Pushes elements to an end, in turn.
    pub(super) fn push(
        &mut self,
        txn: &mut Txn<'_>,
        end: End,
        elements: &[Bytes],
    ) -> Result<(), Fault> {
        let mut rest = elements;
        while !rest.is_empty() {
            let node = self.end(end);
            let mut run = self.leaf_at_end(txn, node)?;
            let (now, later) = rest.split_at(run.fitting(rest));
            if now.is_empty() {
                self.tree.push(&mut self.nodes, txn, end, node)?;
                *self.end_mut(end) = Node::default();
                continue;
            }
            run.push(end, now)?;
            let id = if node.count == 0 {
                self.nodes.new_id()
            } else {
                node.id
            };
            *self.end_mut(end) = self.nodes.put_leaf(txn, id, &run);
            rest = later;
        }
        Ok(())
    }

    /// Pops up to `count` elements off an end.
    pub(super) fn pop(
        &mut self,
        txn: &mut Txn<'_>,
        end: End,
        count: u64,
    ) -> Result<Vec<Bytes>, Fault> {
        let mut popped = Vec::new();
        let mut left = count.min(self.len());
        while left > 0 {
            self.fill_end(txn, end)?;
            let node = self.end(end);
            let mut run = self.nodes.leaf(txn, node)?;
            let some = left.min(node.count);
            popped.extend(run.take(end, some as usize)?);
            left -= some;
            *self.end_mut(end) = if run.is_empty() {
                self.nodes.remove_leaf(txn, node.id);
                Node::default()
            } else {
                self.nodes.put_leaf(txn, node.id, &run)
            };
        }
        Ok(popped)
    }

    /// Removes up to `count` elements from an end; shows each to `lost`, in runs.
    pub(super) fn drop_some(
        &mut self,
        txn: &mut Txn<'_>,
        end: End,
        count: u64,
        lost: &mut dyn FnMut(&Run) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut left = count;
        let node = self.end(end);
        if node.count > 0 && node.count <= left {
            lost(&self.nodes.leaf(txn, node)?)?;
            self.nodes.remove_leaf(txn, node.id);
            *self.end_mut(end) = Node::default();
            left -= node.count;
        }
        if self.end(end).count == 0 {
            self.tree
                .drop_leaves(&mut self.nodes, txn, end, &mut left, lost)?;
        }
        let mut rest = Run::default();
        rest.push(End::Right, &self.pop(txn, end, left)?)?;
        lost(&rest)
    }

    /// The element at a place.
    pub(super) fn get(&self, txn: &Txn<'_>, at: u64) -> Result<Option<Bytes>, Fault> {
        if at >= self.len() {
            return Ok(None);
        }
        let (start, run) = self.leaf_of(txn, at)?;
        run.get((at - start) as usize)
    }

    /// The leaf with the element at a place that is there, and the place of its first element.
    pub(super) fn leaf_of(&self, txn: &Txn<'_>, at: u64) -> Result<(u64, Run), Fault> {
        let behind = self.left.count + self.tree.len();
        let (node, start) = if at < self.left.count {
            (self.left, 0)
        } else if at < behind {
            let before = self.left.count;
            let (node, start) = self.tree.leaf_of(&self.nodes, txn, at - before)?;
            (node, before + start)
        } else {
            (self.right, behind)
        };
        Ok((start, self.nodes.leaf(txn, node)?))
    }

    /// Changes the leaf that has the element at a place that is there.
    pub(super) fn edit_leaf(
        &mut self,
        txn: &mut Txn<'_>,
        at: u64,
        change: Change<'_>,
    ) -> Result<(), Fault> {
        let behind = self.left.count + self.tree.len();
        if at < self.left.count {
            self.edit_end(txn, End::Left, at, change)
        } else if at < behind {
            let at = at - self.left.count;
            self.tree.edit_leaf(&mut self.nodes, txn, at, change)
        } else {
            self.edit_end(txn, End::Right, at - behind, change)
        }
    }

    /// Removes up to `max` elements that are equal to `element`, searched from an end, leaf by
    /// leaf; returns how many there were. Errors: `COLLECTION_TOO_LARGE`.
    pub(super) fn remove_equal(
        &mut self,
        txn: &mut Txn<'_>,
        element: &Bytes,
        max: u64,
        from: End,
    ) -> Result<u64, EvalError> {
        let (before, mut removed) = (txn.changed_bytes(), 0);
        // All elements on the far side of this place are still to be looked at.
        let mut at = from.pick(0, self.len());
        while removed < max && at != from.pick(self.len(), 0) {
            let (start, run) = self.leaf_of(txn, from.pick(at, at.saturating_sub(1)))?;
            let left = usize::try_from(max - removed).unwrap_or(usize::MAX);
            let places = run.places_of(element, left, from)?;
            if !places.is_empty() {
                self.edit_leaf(txn, start, &mut |run, _| run.remove(&places))?;
                removed += places.len() as u64;
                check_room(txn, before)?;
            }
            let rest = run.len() - places.len();
            at = from.pick(start + rest as u64, start);
        }
        Ok(removed)
    }

    /// Visits the leaves from that with element `from` on, towards an end.
    pub(super) fn walk(
        &self,
        txn: &mut Txn<'_>,
        from: u64,
        towards: End,
        visit: Visit<'_>,
    ) -> Result<(), EvalError> {
        let (in_tree, behind) = (self.left.count, self.left.count + self.tree.len());
        for part in towards.pick([2, 1, 0], [0, 1, 2]) {
            let (start, node) = match part {
                0 => (0, self.left),
                1 => (in_tree, self.tree.root),
                _ => (behind, self.right),
            };
            let is_ahead = towards.pick(start <= from, start + node.count > from);
            if node.count == 0 || !is_ahead {
                continue;
            }
            let walk = (from, towards);
            let goes_on = if part == 1 {
                self.tree.walk(&self.nodes, txn, start, walk, visit)?
            } else {
                walk_below(&self.nodes, txn, (0, node), start, walk, visit)?
            };
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// Changes the leaf at an end. Only its part at the end of the list stays outside of the tree.
    fn edit_end(
        &mut self,
        txn: &mut Txn<'_>,
        end: End,
        offset: u64,
        change: Change<'_>,
    ) -> Result<(), Fault> {
        let node = self.end(end);
        let mut run = self.nodes.leaf(txn, node)?;
        change(&mut run, offset as usize)?;
        if run.is_empty() {
            self.nodes.remove_leaf(txn, node.id);
            *self.end_mut(end) = Node::default();
            return Ok(());
        }
        let mut parts = run.parts()?;
        if end == End::Right {
            parts.reverse();
        }
        // From the end of the list inwards; so the innermost is pushed first.
        while parts.len() > 1
            && let Some(part) = parts.pop()
        {
            let id = self.nodes.new_id();
            let leaf = self.nodes.put_leaf(txn, id, &part);
            self.tree.push(&mut self.nodes, txn, end, leaf)?;
        }
        for part in &parts {
            *self.end_mut(end) = self.nodes.put_leaf(txn, node.id, part);
        }
        Ok(())
    }

    /// Sees to it that a list with elements has a leaf at this end.
    fn fill_end(&mut self, txn: &mut Txn<'_>, end: End) -> Result<(), Fault> {
        if self.end(end).count == 0 {
            let taken = self.tree.take(&mut self.nodes, txn, end)?;
            let filled = taken.unwrap_or_else(|| std::mem::take(self.end_mut(end.other())));
            *self.end_mut(end) = filled;
        }
        Ok(())
    }

    fn leaf_at_end(&self, txn: &Txn<'_>, node: Node) -> Result<Run, Fault> {
        if node.count == 0 {
            Ok(Run::default())
        } else {
            self.nodes.leaf(txn, node)
        }
    }

    fn end(&self, end: End) -> Node {
        end.pick(self.left, self.right)
    }

    fn end_mut(&mut self, end: End) -> &mut Node {
        match end {
            End::Left => &mut self.left,
            End::Right => &mut self.right,
        }
    }
}

/// Refuses a command that has changed more than a log entry should hold, since there were `before`
/// changed bytes. Errors: `COLLECTION_TOO_LARGE`.
pub(super) fn check_room(txn: &Txn<'_>, before: usize) -> Result<(), CommandError> {
    if txn.changed_bytes().saturating_sub(before) > COPY_BYTES_MAX {
        return Err(COLLECTION_TOO_LARGE);
    }
    Ok(())
}

fn corrupt() -> Fault {
    Fault::corrupt("the header of a spread list is damaged")
}
