//! The nodes of a spread list, as records: leaves of elements, and pages of nodes.
//!
//! ```text
//! family 0    leaves: number (8 bytes, big endian) -> elements ([`Run`])
//! family 1    pages: number (8 bytes, big endian) -> of each node its number and how many elements
//!             it has (varints)
//! ```
//!
//! Numbers say nothing of the order: the pages do, and the header. A number is given once.
//!
//! The layout is on disk: pinned by the tests below, described in `docs/disk-format.md`.

use bytes::Bytes;
use coterie_types::varint;

use super::run::Run;
use crate::{Collection, Fault, Txn};

const LEAVES: u8 = 0;
const PAGES: u8 = 1;

/// The most nodes of a page.
pub(super) const PAGE_NODES_MAX: usize = if cfg!(test) { 8 } else { 128 };

/// A leaf or a page: its number, and how many elements are in it or below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) id: u64,
    pub(super) count: u64,
}

/// The records of the nodes.
pub(super) struct Nodes {
    pub(super) of: Collection,
    /// The number of the next node.
    pub(super) next_id: u64,
}

impl Nodes {
    pub(super) fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    pub(super) fn leaf(&self, txn: &Txn<'_>, node: Node) -> Result<Run, Fault> {
        let body = txn.element(&self.of, LEAVES, &node.id.to_be_bytes())?;
        Run::of(node.count, body.ok_or_else(missing)?)
    }

    pub(super) fn put_leaf(&self, txn: &mut Txn<'_>, id: u64, run: &Run) -> Node {
        txn.put_element(&self.of, LEAVES, key(id), run.body().clone());
        let count = run.len() as u64;
        Node { id, count }
    }

    pub(super) fn remove_leaf(&self, txn: &mut Txn<'_>, id: u64) {
        txn.remove_element(&self.of, LEAVES, key(id));
    }

    pub(super) fn page(&self, txn: &Txn<'_>, node: Node) -> Result<Vec<Node>, Fault> {
        let body = txn.element(&self.of, PAGES, &node.id.to_be_bytes())?;
        let body = body.ok_or_else(missing)?;
        let mut rest = &body[..];
        let mut page = Vec::with_capacity(PAGE_NODES_MAX + 1);
        while !rest.is_empty() {
            let (id, count) = (varint::take(&mut rest), varint::take(&mut rest));
            let (Some(id), Some(count)) = (id, count) else {
                return Err(corrupt());
            };
            page.push(Node { id, count });
        }
        if page.is_empty() || counted(&page) != node.count {
            return Err(corrupt());
        }
        Ok(page)
    }

    pub(super) fn put_page(&self, txn: &mut Txn<'_>, id: u64, page: &[Node]) -> Node {
        let mut body = Vec::with_capacity(page.len() * 6);
        for node in page {
            varint::put(&mut body, node.id);
            varint::put(&mut body, node.count);
        }
        txn.put_element(&self.of, PAGES, key(id), body);
        let count = counted(page);
        Node { id, count }
    }

    pub(super) fn remove_page(&self, txn: &mut Txn<'_>, id: u64) {
        txn.remove_element(&self.of, PAGES, key(id));
    }
}

fn key(id: u64) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

/// How many elements nodes have together. Damaged counts do not add up.
fn counted(page: &[Node]) -> u64 {
    let counts = page.iter().map(|node| node.count);
    counts.fold(0, u64::saturating_add)
}

fn missing() -> Fault {
    Fault::corrupt("a node of a list is missing")
}

pub(super) fn corrupt() -> Fault {
    Fault::corrupt("a page of a list does not fit its count")
}

#[cfg(test)]
mod tests {
    use super::super::place::End;
    use super::*;
    use crate::MemView;
    use crate::txn::tests::{b, ctx};

    #[test]
    fn the_records_on_disk_are_pinned() {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        let of = txn.begin_collection(&b("k"));
        let mut nodes = Nodes {
            of: of.clone(),
            next_id: 7,
        };
        let mut run = Run::default();
        run.push(End::Right, &[b("ab"), b("")]).unwrap();
        let id = nodes.new_id();
        let leaf = nodes.put_leaf(&mut txn, id, &run);
        assert_eq!(leaf, Node { id: 7, count: 2 });
        let key = b"\0\0\0\0\0\0\0\x07";
        assert_eq!(txn.element(&of, 0, key).unwrap(), Some(b("\x02ab\0")));
        assert_eq!(nodes.leaf(&txn, leaf).unwrap(), run);
        let id = nodes.new_id();
        let page = [leaf, Node { id: 3, count: 300 }];
        let node = nodes.put_page(&mut txn, id, &page);
        assert_eq!(node, Node { id: 8, count: 302 });
        let key = b"\0\0\0\0\0\0\0\x08";
        let stored = txn.element(&of, 1, key).unwrap();
        assert_eq!(stored.unwrap(), &b"\x07\x02\x03\xac\x02"[..]);
        assert_eq!(nodes.page(&txn, node).unwrap(), page);
    }

    #[test]
    fn pages_that_do_not_fit_are_a_fault() {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        let of = txn.begin_collection(&b("k"));
        let nodes = Nodes { of, next_id: 1 };
        let page = [Node { id: 1, count: 2 }];
        let node = nodes.put_page(&mut txn, 9, &page);
        for count in [0, 1, 3] {
            assert!(nodes.page(&txn, Node { count, ..node }).is_err());
        }
        assert!(nodes.page(&txn, Node { id: 8, count: 2 }).is_err());
        txn.put_element(&nodes.of, PAGES, key(9), b("\x01"));
        assert!(nodes.page(&txn, node).is_err());
    }
}
