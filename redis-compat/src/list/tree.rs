//! The tree of a spread list: leaves in their order, counted.
//!
//! A page has the nodes below it in order, each with the number of its elements; all leaves are at
//! the same depth. An element is found by adding counts up, page by page. A page that is full is
//! halved, a page or leaf that has become small is joined with a neighbour of its page if both fit.

use super::nodes::{Node, Nodes, PAGE_NODES_MAX, corrupt};
use super::place::End;
use super::run::Run;
use crate::{EvalError, Fault, Txn};

/// Changes a leaf, given a place in it.
pub(super) type Change<'c> = &'c mut dyn FnMut(&mut Run, usize) -> Result<(), Fault>;

/// Sees a leaf: the place of its first element, and its elements. Returns whether to go on.
pub(super) type Visit<'v> = &'v mut dyn FnMut(&mut Txn<'_>, u64, &Run) -> Result<bool, EvalError>;

/// Changes a page of leaves, given the slot of a leaf and a place in that leaf.
type Edit<'e> =
    &'e mut dyn FnMut(&mut Nodes, &mut Txn<'_>, &mut Vec<Node>, usize, u64) -> Result<(), Fault>;

/// The root, and how many pages are above a leaf: none if the tree is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) levels: u64,
    pub(super) root: Node,
}

/// What became of a page.
struct Changed {
    /// Itself, none, or several that it was divided into.
    nodes: Vec<Node>,
    is_small: bool,
}

impl Tree {
    /// How many elements there are.
    pub(super) fn len(&self) -> u64 {
        self.root.count
    }

    /// Adds a leaf at an end.
    pub(super) fn push(
        &mut self,
        nodes: &mut Nodes,
        txn: &mut Txn<'_>,
        end: End,
        leaf: Node,
    ) -> Result<(), Fault> {
        if self.levels == 0 {
            let id = nodes.new_id();
            (self.levels, self.root) = (1, nodes.put_page(txn, id, &[leaf]));
            return Ok(());
        }
        let at = end.pick(0, self.len());
        self.edit(nodes, txn, at, &mut |_, _, page, slot, _| {
            page.insert(end.pick(slot, slot + 1), leaf);
            Ok(())
        })
    }

    /// Takes the leaf at an end out of the tree; its record stays.
    pub(super) fn take(
        &mut self,
        nodes: &mut Nodes,
        txn: &mut Txn<'_>,
        end: End,
    ) -> Result<Option<Node>, Fault> {
        if self.levels == 0 {
            return Ok(None);
        }
        let (at, mut taken) = (end.pick(0, self.len()), None);
        self.edit(nodes, txn, at, &mut |_, _, page, slot, _| {
            taken = Some(page.remove(slot));
            Ok(())
        })?;
        Ok(taken)
    }

    /// Changes the leaf that has element `at`.
    pub(super) fn edit_leaf(
        &mut self,
        nodes: &mut Nodes,
        txn: &mut Txn<'_>,
        at: u64,
        change: Change<'_>,
    ) -> Result<(), Fault> {
        self.edit(nodes, txn, at, &mut |nodes, txn, page, slot, offset| {
            let node = page[slot];
            let mut run = nodes.leaf(txn, node)?;
            change(&mut run, usize::try_from(offset).map_err(|_| corrupt())?)?;
            if run.is_empty() {
                nodes.remove_leaf(txn, node.id);
                page.remove(slot);
                return Ok(());
            }
            if run.is_small() && join_leaves(nodes, txn, page, slot, &run)? {
                return Ok(());
            }
            let mut leaves = Vec::with_capacity(1);
            for part in run.parts()? {
                let id = if leaves.is_empty() {
                    node.id
                } else {
                    nodes.new_id()
                };
                leaves.push(nodes.put_leaf(txn, id, &part));
            }
            page.splice(slot..=slot, leaves);
            Ok(())
        })
    }

    /// Removes whole leaves from an end, as many as come to at most `count` elements; takes their
    /// number from `count`, and shows each to `lost`.
    pub(super) fn drop_leaves(
        &mut self,
        nodes: &mut Nodes,
        txn: &mut Txn<'_>,
        end: End,
        count: &mut u64,
        lost: &mut dyn FnMut(&Run) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.levels == 0 {
            return Ok(());
        }
        let root = (self.levels, self.root);
        let changed = drop_below(nodes, txn, root, end, count, lost)?;
        self.settle(nodes, txn, changed)
    }

    /// The leaf that has element `at`, and the place of its first element.
    pub(super) fn leaf_of(
        &self,
        nodes: &Nodes,
        txn: &Txn<'_>,
        at: u64,
    ) -> Result<(Node, u64), Fault> {
        let (mut node, mut start) = (self.root, 0);
        for _ in 0..self.levels {
            let page = nodes.page(txn, node)?;
            let (slot, offset) = slot_of(&page, at - start);
            (node, start) = (page[slot], at - offset);
        }
        Ok((node, start))
    }

    /// Visits the leaves from that with element `from` on, towards an end. The tree begins at place
    /// `start`. Returns false if `visit` did.
    pub(super) fn walk(
        &self,
        nodes: &Nodes,
        txn: &mut Txn<'_>,
        start: u64,
        (from, towards): (u64, End),
        visit: Visit<'_>,
    ) -> Result<bool, EvalError> {
        if self.levels == 0 {
            return Ok(true);
        }
        let root = (self.levels, self.root);
        walk_below(nodes, txn, root, start, (from, towards), visit)
    }

    /// Changes the page of leaves above element `at`; for their number, the last page.
    fn edit(
        &mut self,
        nodes: &mut Nodes,
        txn: &mut Txn<'_>,
        at: u64,
        edit: Edit<'_>,
    ) -> Result<(), Fault> {
        let root = (self.levels, self.root);
        let changed = edit_below(nodes, txn, root, at, edit)?;
        self.settle(nodes, txn, changed)
    }

    /// Puts a changed root into its place: the tree becomes deeper, or less deep, or empty.
    fn settle(
        &mut self,
        nodes: &mut Nodes,
        txn: &mut Txn<'_>,
        changed: Changed,
    ) -> Result<(), Fault> {
        match changed.nodes.as_slice() {
            [] => *self = Self::default(),
            [root] => self.root = *root,
            several => {
                let id = nodes.new_id();
                self.root = nodes.put_page(txn, id, several);
                self.levels += 1;
            }
        }
        while changed.is_small && self.levels > 1 {
            let [only] = nodes.page(txn, self.root)?[..] else {
                break;
            };
            nodes.remove_page(txn, self.root.id);
            (self.root, self.levels) = (only, self.levels - 1);
        }
        Ok(())
    }
}

fn edit_below(
    nodes: &mut Nodes,
    txn: &mut Txn<'_>,
    (level, node): (u64, Node),
    at: u64,
    edit: Edit<'_>,
) -> Result<Changed, Fault> {
    let mut page = nodes.page(txn, node)?;
    let (slot, offset) = slot_of(&page, at);
    if level == 1 {
        edit(nodes, txn, &mut page, slot, offset)?;
    } else {
        let changed = edit_below(nodes, txn, (level - 1, page[slot]), offset, edit)?;
        replace(nodes, txn, &mut page, slot, changed)?;
    }
    Ok(put(nodes, txn, node.id, &page))
}

fn drop_below(
    nodes: &mut Nodes,
    txn: &mut Txn<'_>,
    (level, node): (u64, Node),
    end: End,
    count: &mut u64,
    lost: &mut dyn FnMut(&Run) -> Result<(), Fault>,
) -> Result<Changed, Fault> {
    let mut page = nodes.page(txn, node)?;
    while !page.is_empty() {
        let slot = end.pick(0, page.len() - 1);
        let below = (level - 1, page[slot]);
        if page[slot].count > *count {
            if level > 1 && *count > 0 {
                let changed = drop_below(nodes, txn, below, end, count, lost)?;
                replace(nodes, txn, &mut page, slot, changed)?;
            }
            break;
        }
        *count -= page[slot].count;
        remove_below(nodes, txn, below, lost)?;
        page.remove(slot);
    }
    Ok(put(nodes, txn, node.id, &page))
}

/// Removes a node and all below it.
fn remove_below(
    nodes: &Nodes,
    txn: &mut Txn<'_>,
    (level, node): (u64, Node),
    lost: &mut dyn FnMut(&Run) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if level == 0 {
        lost(&nodes.leaf(txn, node)?)?;
        nodes.remove_leaf(txn, node.id);
        return Ok(());
    }
    for below in nodes.page(txn, node)? {
        remove_below(nodes, txn, (level - 1, below), lost)?;
    }
    nodes.remove_page(txn, node.id);
    Ok(())
}

/// See [`Tree::walk`].
pub(super) fn walk_below(
    nodes: &Nodes,
    txn: &mut Txn<'_>,
    (level, node): (u64, Node),
    start: u64,
    (from, towards): (u64, End),
    visit: Visit<'_>,
) -> Result<bool, EvalError> {
    if level == 0 {
        let run = nodes.leaf(txn, node)?;
        return visit(txn, start, &run);
    }
    let mut end = start;
    let mut below = Vec::with_capacity(PAGE_NODES_MAX);
    for node in nodes.page(txn, node)? {
        let start = end;
        end = start.checked_add(node.count).ok_or_else(corrupt)?;
        if towards.pick(start <= from, end > from) {
            below.push((start, node));
        }
    }
    if towards == End::Left {
        below.reverse();
    }
    for (start, node) in below {
        let walk = (from, towards);
        if !walk_below(nodes, txn, (level - 1, node), start, walk, visit)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The slot of the node that has element `at`, and the place of the element in that node; for their
/// number, the end of the last.
fn slot_of(page: &[Node], at: u64) -> (usize, u64) {
    let mut offset = at;
    for (slot, node) in page.iter().enumerate() {
        if offset < node.count || slot + 1 == page.len() {
            return (slot, offset);
        }
        offset -= node.count;
    }
    (0, at)
}

/// Puts a changed child into the place of the old.
fn replace(
    nodes: &Nodes,
    txn: &mut Txn<'_>,
    page: &mut Vec<Node>,
    slot: usize,
    changed: Changed,
) -> Result<(), Fault> {
    page.splice(slot..=slot, changed.nodes);
    if changed.is_small && page.len() > 1 {
        join_pages(nodes, txn, page, slot)?;
    }
    Ok(())
}

/// Joins a small page with its neighbour, if that leaves room for more.
fn join_pages(
    nodes: &Nodes,
    txn: &mut Txn<'_>,
    page: &mut Vec<Node>,
    slot: usize,
) -> Result<(), Fault> {
    let left = slot.min(page.len() - 2);
    let (first, second) = (page[left], page[left + 1]);
    let joined = [nodes.page(txn, first)?, nodes.page(txn, second)?].concat();
    if joined.len() <= PAGE_NODES_MAX * 3 / 4 {
        nodes.remove_page(txn, second.id);
        page.remove(left + 1);
        page[left] = nodes.put_page(txn, first.id, &joined);
    }
    Ok(())
}

/// Joins a small leaf, whose elements are `run` now, with its neighbour; returns whether it did.
fn join_leaves(
    nodes: &Nodes,
    txn: &mut Txn<'_>,
    page: &mut Vec<Node>,
    slot: usize,
    run: &Run,
) -> Result<bool, Fault> {
    let is_last = slot + 1 == page.len();
    let Some(other) = (if is_last {
        slot.checked_sub(1)
    } else {
        Some(slot + 1)
    }) else {
        return Ok(false);
    };
    let neighbour = nodes.leaf(txn, page[other])?;
    if !run.joins(&neighbour) {
        return Ok(false);
    }
    let joined = if is_last {
        neighbour.joined(run)
    } else {
        run.joined(&neighbour)
    };
    let left = slot.min(other);
    nodes.remove_leaf(txn, page[left + 1].id);
    page.remove(left + 1);
    page[left] = nodes.put_leaf(txn, page[left].id, &joined);
    Ok(true)
}

/// Stores a changed page: removed if it is empty, halved if it is too long.
fn put(nodes: &mut Nodes, txn: &mut Txn<'_>, id: u64, page: &[Node]) -> Changed {
    if page.is_empty() {
        nodes.remove_page(txn, id);
    }
    let pages = page.len().div_ceil(PAGE_NODES_MAX).max(1);
    let mut stored = Vec::with_capacity(pages);
    for part in page.chunks(page.len().div_ceil(pages).max(1)) {
        let id = if stored.is_empty() {
            id
        } else {
            nodes.new_id()
        };
        stored.push(nodes.put_page(txn, id, part));
    }
    let is_small = stored.len() == 1 && page.len() < PAGE_NODES_MAX / 4;
    Changed {
        nodes: stored,
        is_small,
    }
}
